//! Which operand of a product is packed.
//!
//! The product reads its left operand where it lies, packs the right one, and has the right one's columns
//! innermost in its result. Both operands can take either part. What differs is how much is packed, whether
//! reading, packing and the result's readers go along memory or across it, and how many lanes are filled.

use super::ScheduleOptions;
use super::axes::{Axes, group_stride, operand_space};
use super::member::{Space, variable};
use super::operands::under_views;
use super::policy::{count_users, is_inlinable};
use super::views::operand_coords;
use crate::build::{Builder, Emit};
use crate::product::Product;
use lazulite_ir::{Dim, DimOverflow, Graph, NodeId, Op, Ranges, Var, linearize};

/// The products whose operands change places.
pub(super) struct Orientation {
    turned: Vec<bool>,
}

impl Orientation {
    /// Decides for the products among the `live` nodes.
    pub fn new(
        graph: &Graph,
        live: &[NodeId],
        options: &ScheduleOptions,
    ) -> Result<Orientation, DimOverflow> {
        let mut turned = vec![false; graph.nodes().len()];
        let mut crossed = None;
        for &id in live {
            if let Some(axes) = Axes::of(graph, id) {
                let crossed = crossed.get_or_insert_with(|| crossed_results(graph, live));
                turned[id.index()] = is_turned(graph, id, &axes, crossed[id.index()], options)?;
            }
        }
        Ok(Orientation { turned })
    }

    /// True when the product's operands change places.
    pub fn is_turned(&self, product: NodeId) -> bool {
        self.turned[product.index()]
    }
}

/// The product of these operands, the other way around, with its result's axes in their order.
pub(super) fn turn(
    b: &mut Builder,
    graph: &Graph,
    id: NodeId,
    inputs: &[NodeId],
) -> Result<NodeId, crate::PassError> {
    let op = &graph.node(id).op;
    let (Some(mut contraction), Some(axes)) = (Product::of(op), Axes::of(graph, id)) else {
        return b.emit(op.clone(), inputs);
    };
    contraction.batch.reverse();
    contraction.sum.reverse();
    let product = b.emit(contraction.op(), &[inputs[1], inputs[0]])?;
    let [batch, rows, columns] = group_sizes(&axes);
    // The turned product has columns before rows.
    let rows_at = batch + columns..batch + columns + rows;
    let order = (0..batch).chain(rows_at).chain(batch..batch + columns);
    b.permute(product, order.map(|a| a as u32).collect())
}

fn group_sizes(axes: &Axes) -> [usize; 3] {
    [axes.lhs_batch.len(), axes.rows.len(), axes.columns.len()]
}

/// Per node: whether it is a product that is only read through a permutation that puts one of its rows' axes last.
fn crossed_results(graph: &Graph, live: &[NodeId]) -> Vec<bool> {
    let mut users = count_users(graph, live);
    for output in graph.outputs() {
        users[output.index()] += 1;
    }
    let mut crossed = vec![false; graph.nodes().len()];
    for &id in live {
        let node = graph.node(id);
        let Op::Permute { perm } = &node.op else {
            continue;
        };
        let Some(axes) = Axes::of(graph, node.inputs[0]) else {
            continue;
        };
        let [batch, rows, _] = group_sizes(&axes).map(|n| n as u32);
        let dims = &graph.tensor_type(node.inputs[0]).dims;
        let last = perm.iter().rev().find(|&&axis| !dims[axis as usize].is(1));
        crossed[node.inputs[0].index()] = users[node.inputs[0].index()] == 1
            && last.is_some_and(|axis| (batch..batch + rows).contains(axis));
    }
    crossed
}

/// True when the product is estimated to take less time the other way around.
fn is_turned(
    graph: &Graph,
    id: NodeId,
    axes: &Axes,
    crossed: bool,
    options: &ScheduleOptions,
) -> Result<bool, DimOverflow> {
    let [b, m, n, k] = axes.extents()?.map(|d| options.sizes.estimate(&d));
    let inputs = &graph.node(id).inputs;
    // Each operand as right one, whose columns lie beside each other or not, and as left one with its summed axes.
    let (lhs, rhs) = (
        (&axes.lhs_batch, &axes.rows, &axes.lhs_sum),
        (&axes.rhs_batch, &axes.columns, &axes.rhs_sum),
    );
    let packing = |input: usize, (batch, free, sum): (&Vec<usize>, &Vec<usize>, &Vec<usize>)| {
        let packed = Packing::new(graph, inputs[input], [batch, free, sum])?;
        let read = Packing::new(graph, inputs[input], [batch, sum, free])?;
        Ok::<_, DimOverflow>([packed, read])
    };
    let [left_packed, left_read] = packing(0, lhs)?;
    let [right_packed, right_read] = packing(1, rhs)?;
    let machine = &options.machine;
    let cost = |m: i64, n: i64, packed: &Packing, read: &Packing, is_scattered: bool| {
        let price = |operand: &Packing| match operand.is_crossed {
            true => machine.crossed_cost,
            false => machine.aligned_cost,
        };
        let moved = |operand: &Packing, free: i64, price: i64| {
            let batches = if operand.is_shared { 1 } else { b };
            product([batches, k, free, 1]).saturating_mul(price)
        };
        let storing = product([b, m, n, 1]).saturating_mul(match is_scattered {
            true => machine.scattered_cost,
            false => machine.aligned_cost,
        });
        // A left operand without strides is written out by a kernel.
        let read_price = match read.is_strided {
            true => price(read),
            false => machine.scattered_cost,
        };
        // What is not in memory is computed into its place by a kernel.
        let packed_price = match packed.is_crossed && packed.is_computed {
            true => machine.scattered_cost,
            false => price(packed),
        };
        let terms = [
            machine.multiplying([b, m, n, k]),
            moved(packed, n, packed_price),
            storing,
            moved(read, m, read_price),
        ];
        terms.into_iter().fold(0, i64::saturating_add)
    };
    let turned = cost(n, m, &left_packed, &right_read, !crossed);
    Ok(turned < cost(m, n, &right_packed, &left_read, crossed))
}

/// True when the product's right operand is a parameter, or a view of one, whose columns lie beside each other.
pub(super) fn reads_along_columns(
    graph: &Graph,
    id: NodeId,
    axes: &Axes,
) -> Result<bool, DimOverflow> {
    let groups: [&[usize]; 3] = [&axes.rhs_batch, &axes.columns, &axes.rhs_sum];
    let packing = Packing::new(graph, graph.node(id).inputs[1], groups)?;
    Ok(packing.is_parameter && !packing.is_crossed)
}

fn product(extents: [i64; 4]) -> i64 {
    extents.into_iter().fold(1, i64::saturating_mul)
}

/// What it would mean to go through an operand along some of its axes, to pack it or to read it.
struct Packing {
    /// The elements along them do not lie beside each other.
    is_crossed: bool,
    /// It is the same for all batch entries.
    is_shared: bool,
    /// It is a parameter, or a view of one.
    is_parameter: bool,
    /// There is one stride along the axes of each group.
    is_strided: bool,
    /// Its elements are computed from others.
    is_computed: bool,
}

impl Packing {
    /// Of an operand with these groups of axes: batch, those gone along, the others.
    fn new(graph: &Graph, operand: NodeId, groups: [&[usize]; 3]) -> Result<Packing, DimOverflow> {
        let dims = &graph.tensor_type(operand).dims;
        let mut space = Space::default();
        let coords = operand_space(&mut space, dims, &groups);
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        let (mut base, mut at) = under_views(graph, operand, coords.clone(), ranges)?;
        let mut is_windowed = false;
        while let Op::Window { .. } = graph.node(base).op {
            is_windowed = true;
            let from = graph.node(base).inputs[0];
            let dims = [base, from].map(|id| &graph.tensor_type(id).dims);
            at = operand_coords(&graph.node(base).op, &at, dims, ranges)?;
            (base, at) = under_views(graph, from, at, ranges)?;
        }
        let index = linearize(&at, &graph.tensor_type(base).dims, ranges)?;
        let stride = |axis: usize| {
            variable(&coords[axis]).and_then(|v| index.stride_of(Var::Inner(v as u32)))
        };
        // Axes of size 1 have no variable.
        let column = { groups[1].iter().rev() }.find(|&&axis| variable(&coords[axis]).is_some());
        let op = &graph.node(base).op;
        let mut is_strided = true;
        for group in groups {
            is_strided &= group_stride(&index, &coords, dims, group)?.is_some();
        }
        Ok(Packing {
            is_strided,
            is_computed: is_inlinable(op) && !matches!(op, Op::Pad { .. }),
            is_parameter: !is_windowed && matches!(op, Op::Input { .. }),
            is_crossed: column.is_some_and(|&axis| stride(axis) != Some(Dim::ONE)),
            is_shared: groups[0]
                .iter()
                .all(|&axis| variable(&coords[axis]).is_none() || stride(axis) == Some(Dim::ZERO)),
        })
    }
}
