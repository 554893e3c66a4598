//! The types that a product multiplies, and which values of its operands are kept in memory so that it reads or packs
//! them from there.

use super::Machine;
use super::axes::{Axes, operand_space, strides_of};
use super::member::Space;
use super::policy::{is_inlinable, storage_of};
use super::views::operand_coords;
use lazulite_ir::{DType, Dim, DimOverflow, Dims, Graph, IndexExpr, NodeId, Op, Ranges, linearize};

/// The type the product computes in.
pub(super) fn element_of(acc: DType) -> DType {
    match acc {
        DType::F16 | DType::BF16 | DType::F32 => DType::F32,
        DType::F64 => DType::F64,
        DType::U64 | DType::I64 => DType::I64,
        _ => DType::I32,
    }
}

/// The types that a contraction's operands are multiplied in: their own where there are such products, be they converted
/// to the type of the sums or not, else that of the sums.
pub(super) fn factors_of(graph: &Graph, id: NodeId, machine: &Machine) -> [DType; 2] {
    let element = element_of(graph.tensor_type(id).dtype);
    let factors = [0, 1].map(|side| {
        let mut at = graph.node(id).inputs[side];
        let mut dtype = graph.tensor_type(at).dtype;
        while dtype == element {
            let node = graph.node(at);
            match node.op {
                Op::Cast { .. }
                | Op::Reshape { .. }
                | Op::Permute { .. }
                | Op::Expand { .. }
                | Op::Slice { .. } => at = node.inputs[0],
                _ => break,
            }
            dtype = graph.tensor_type(at).dtype;
        }
        dtype
    });
    match machine.narrow.takes(factors, element) {
        true => factors,
        false => [element; 2],
    }
}

/// The node to keep in memory so that the product reads it as left operand without packing: the
/// value under the operand's views, or the operand itself where these are no strides.
pub(super) fn direct_operand(
    graph: &Graph,
    id: NodeId,
    machine: &Machine,
) -> Result<Option<NodeId>, DimOverflow> {
    let Some(axes) = Axes::of(graph, id) else {
        return Ok(None);
    };
    let left = Left::of(graph, id, &axes, machine)?;
    let operand = graph.node(id).inputs[0];
    if left.is_read_under_views(graph, &axes)? {
        return Ok(Some(left.base));
    }
    let dense = storage_of(graph, operand).node;
    let ty = graph.tensor_type(operand);
    let is_read = left.is_read_from((ty.dtype, &axes.lhs), &left.coords, &axes)?;
    Ok(is_read.then_some(dense))
}

/// Whether the product reads what its left operand is a view of where it lies.
pub(super) fn is_read_in_place(
    graph: &Graph,
    id: NodeId,
    axes: &Axes,
    machine: &Machine,
) -> Result<bool, DimOverflow> {
    Left::of(graph, id, axes, machine)?.is_read_under_views(graph, axes)
}

/// A product's left operand, and what it is made of by views and conversions.
struct Left {
    space: Space,
    /// Where an element of the operand lies in it.
    coords: Vec<IndexExpr>,
    base: NodeId,
    /// The same in `base`.
    inside: Vec<IndexExpr>,
    factor: DType,
    group: i64,
}

impl Left {
    fn of(graph: &Graph, id: NodeId, axes: &Axes, machine: &Machine) -> Result<Left, DimOverflow> {
        let operand = graph.node(id).inputs[0];
        let element = element_of(graph.tensor_type(id).dtype);
        let factor = factors_of(graph, id, machine)[0];
        let mut space = Space::default();
        let coords = operand_space(&mut space, &axes.lhs, &axes.lhs_groups());
        let ranges = Ranges {
            outer: &[],
            inner: &space.dims,
        };
        let (base, inside) =
            under_widening(graph, operand, coords.clone(), (ranges, [factor, element]))?;
        Ok(Left {
            coords,
            base,
            inside,
            factor,
            group: machine.narrow.group(factor, element),
            space,
        })
    }

    /// Whether the product reads `base` where it lies.
    fn is_read_under_views(&self, graph: &Graph, axes: &Axes) -> Result<bool, DimOverflow> {
        let ty = graph.tensor_type(self.base);
        self.is_read_from((ty.dtype, &ty.dims), &self.inside, axes)
    }

    /// Whether the product reads a tensor where it lies, whose elements at `at` the operand has.
    fn is_read_from(
        &self,
        (dtype, dims): (DType, &Dims),
        at: &[IndexExpr],
        axes: &Axes,
    ) -> Result<bool, DimOverflow> {
        if dtype != self.factor {
            return Ok(false);
        }
        let ranges = Ranges {
            outer: &[],
            inner: &self.space.dims,
        };
        let index = linearize(at, dims, ranges)?;
        let strides = strides_of(&axes.lhs, axes.lhs_groups(), &self.coords, &index)?;
        Ok(strides.is_some_and(|strides| is_read(&strides, axes, self.group)))
    }
}

/// Whether the product reads a left operand with these strides where it lies: groups of factors along the sum only.
pub(super) fn is_read(strides: &[Dim; 4], axes: &Axes, group: i64) -> bool {
    let mut summed = axes.lhs_sum.iter();
    group == 1 || strides[3].is(1) || summed.all(|&axis| axes.lhs[axis].is(1))
}

/// The node of narrow factors to keep in memory, so that the product packs them from there: the value under the right
/// operand's views and conversions.
pub(super) fn narrow_operand(
    graph: &Graph,
    id: NodeId,
    machine: &Machine,
) -> Result<Option<NodeId>, DimOverflow> {
    let Some(axes) = Axes::of(graph, id) else {
        return Ok(None);
    };
    let element = element_of(graph.tensor_type(id).dtype);
    let factor = factors_of(graph, id, machine)[1];
    if factor == element {
        return Ok(None);
    }
    let groups: [&[usize]; 3] = [&axes.rhs_batch, &axes.rhs_sum, &axes.columns];
    let mut space = Space::default();
    let coords = operand_space(&mut space, &axes.rhs, &groups);
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    let operand = graph.node(id).inputs[1];
    let (base, _) = under_widening(graph, operand, coords, (ranges, [factor, element]))?;
    Ok((graph.tensor_type(base).dtype == factor).then_some(base))
}

/// As [`under_views`], looking also under the conversion of narrow factors to the type of the sums.
fn under_widening(
    graph: &Graph,
    node: NodeId,
    coords: Vec<IndexExpr>,
    (ranges, [factor, element]): (Ranges<'_>, [DType; 2]),
) -> Result<(NodeId, Vec<IndexExpr>), DimOverflow> {
    let (base, inside) = under_views(graph, node, coords, ranges)?;
    match graph.node(base).op {
        Op::Cast { dtype } if dtype == element && factor != element => {
            under_views(graph, graph.node(base).inputs[0], inside, ranges)
        }
        _ => Ok((base, inside)),
    }
}

/// The padded value to keep in memory so that the product reads windows of it without packing them before.
pub(super) fn padded_operand(graph: &Graph, id: NodeId, machine: &Machine) -> Option<NodeId> {
    let Op::Contract { .. } = graph.node(id).op else {
        return None;
    };
    let (mut at, mut windowed) = (graph.node(id).inputs[1], false);
    if graph.tensor_type(at).dtype != factors_of(graph, id, machine)[1] {
        return None;
    }
    loop {
        let node = graph.node(at);
        match node.op {
            Op::Window { .. } => windowed = true,
            Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } => {}
            Op::Pad { .. } => return windowed.then_some(at),
            _ => return None,
        }
        at = node.inputs[0];
    }
}

/// The value that `node` is a view of, and where it is read for the element at `coords`. Slices of values
/// that would have to be computed first count as values: only the slice is needed.
pub(super) fn under_views(
    graph: &Graph,
    node: NodeId,
    coords: Vec<IndexExpr>,
    ranges: Ranges<'_>,
) -> Result<(NodeId, Vec<IndexExpr>), DimOverflow> {
    let (mut at, mut inside) = (node, coords);
    let mut slice = None;
    loop {
        let n = graph.node(at);
        match n.op {
            Op::Slice { .. } => {
                slice.get_or_insert((at, inside.clone()));
            }
            Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. } => {}
            _ => break,
        }
        let from = n.inputs[0];
        let dims = [&graph.tensor_type(at).dims, &graph.tensor_type(from).dims];
        inside = operand_coords(&n.op, &inside, dims, ranges)?;
        at = from;
    }
    Ok(match slice {
        Some(slice) if is_inlinable(&graph.node(at).op) => slice,
        _ => (at, inside),
    })
}
