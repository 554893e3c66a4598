//! Columns of a product that its only reader wants in front of the rows, as a batch.
//!
//! A convolution multiplies weights with the windows of all images, and its result has the images in front of the
//! rows: as columns they would make the product write across memory, and what follows it could not write over it. As a
//! batch that shares the left operand they are written as they are wanted, and the right operand of an entry has an axis
//! less.

use super::axes::Axes;
use super::operands::is_read_in_place;
use super::policy::count_users;
use super::prepare::{is_small, is_small_product, permuted};
use super::{ScheduleError, ScheduleOptions};
use crate::PassError;
use crate::build::{Builder, Emit, live_nodes, operands, rewrite};
use crate::product::Product;
use lazulite_ir::{Dim, Graph, NodeId, Op};
use rustc_hash::FxHashMap;

const PASS: &str = "schedule";

/// The graph with outer columns as batches; `None` when there are none.
pub(super) fn outer_columns(
    graph: &Graph,
    options: &ScheduleOptions,
) -> Result<Option<Graph>, ScheduleError> {
    let live = live_nodes(graph);
    let mut users = None;
    let mut found = FxHashMap::default();
    for &id in &live {
        let Op::Permute { perm } = &graph.node(id).op else {
            continue;
        };
        let product = graph.node(id).inputs[0];
        if let Some(outer) = Outer::of(graph, product, perm, options)? {
            let users = users.get_or_insert_with(|| count_users(graph, &live));
            let is_result = graph.outputs().contains(&product);
            if users[product.index()] == 1 && !is_result {
                found.insert(product, outer);
            }
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let new = rewrite(PASS, graph, |b, id, new_of| {
        let inputs = operands(graph, id, new_of);
        Ok::<_, ScheduleError>(match (&graph.node(id).op, found.get(&id)) {
            (_, Some(outer)) => Some(outer.emit(b, [inputs[0], inputs[1]])?),
            (Op::Permute { perm }, None) => Some(permuted(b, inputs[0], perm)?),
            _ => None,
        })
    });
    new.map(Some)
}

/// The columns of a product that become a batch.
struct Outer {
    product: Product,
    /// Their axis in the right operand, and where it is among all columns' axes.
    axis: u32,
    place: usize,
    /// Axes of the result: batch, all of size 1, then rows, then columns.
    axes: [usize; 3],
}

impl Outer {
    /// Those of a product that is read through this permutation, if it takes less time with them as a batch.
    fn of(
        graph: &Graph,
        id: NodeId,
        perm: &[u32],
        options: &ScheduleOptions,
    ) -> Result<Option<Outer>, ScheduleError> {
        let (Some(axes), Some(product)) = (Axes::of(graph, id), Product::of(&graph.node(id).op))
        else {
            return Ok(None);
        };
        let machine = &options.machine;
        let counts = [axes.lhs_batch.len(), axes.rows.len(), axes.columns.len()];
        let dims = &graph.tensor_type(id).dims;
        let is_real = |axis: &u32| !dims[*axis as usize].is(1);
        let first = (counts[0] + counts[1]) as u32;
        let is_column = |axis: &u32| *axis >= first;
        let wanted: Vec<u32> = perm.iter().copied().filter(is_real).collect();
        let Some((&outer, inner)) = wanted.split_first() else {
            return Ok(None);
        };
        let is_outer = is_column(&outer) && inner.first().is_some_and(|axis| !is_column(axis));
        let is_split = is_outer && inner.last().is_some_and(is_column) && inner.is_sorted();
        // A left operand of its own for each entry would need a second stride along them, and one that is written to a
        // place of its own would be written for each.
        let has_batch = (0..counts[0] as u32).any(|axis| is_real(&axis));
        if !is_split || has_batch || !is_read_in_place(graph, id, &axes, machine)? {
            return Ok(None);
        }
        let [_, m, n, k] = axes.extents()?;
        let entries = &dims[outer as usize];
        let rest = inner.iter().filter(|axis| is_column(axis));
        let rest = Dim::product(rest.map(|&axis| &dims[axis as usize]))?;
        let apart = [entries.clone(), m.clone(), rest, k.clone()];
        if is_small_product(graph, id, options)? || is_small(&apart, machine)? {
            return Ok(None);
        }
        let time = |extents: [Dim; 4], storing: i64| {
            let [b, m, n, k] = extents.map(|dim| options.sizes.estimate(&dim));
            let stored = [b, m, n, storing].into_iter().fold(1, i64::saturating_mul);
            machine.multiplying([b, m, n, k]).saturating_add(stored)
        };
        if time(apart, machine.aligned_cost) >= time([Dim::ONE, m, n, k], machine.scattered_cost) {
            return Ok(None);
        }
        let place = (outer - first) as usize;
        Ok(Some(Outer {
            product,
            axis: axes.columns[place] as u32,
            place,
            axes: counts,
        }))
    }

    /// The product's value.
    fn emit(&self, b: &mut Builder, [lhs, rhs]: [NodeId; 2]) -> Result<NodeId, PassError> {
        let entries = b.dims(rhs)[self.axis as usize].clone();
        let lhs = repeated(b, lhs, entries)?;
        let mut product = self.product.clone();
        let own = [&mut product.batch[0], &mut product.sum[0]];
        own.into_iter().flatten().for_each(|axis| *axis += 1);
        product.batch[0].insert(0, 0);
        product.batch[1].insert(0, self.axis);
        let whole = b.emit(product.op(), &[lhs, rhs])?;
        // Back to where the columns were.
        let mut order: Vec<u32> = (1..self.axes.iter().sum::<usize>() as u32).collect();
        order.insert(self.axes[0] + self.axes[1] + self.place, 0);
        b.permute(whole, order)
    }
}

/// A tensor with one more axis in front, along which it is the same.
fn repeated(b: &mut Builder, x: NodeId, count: Dim) -> Result<NodeId, PassError> {
    let mut dims = b.dims(x);
    dims.insert(0, Dim::ONE);
    let unit = b.reshape(x, dims.clone())?;
    dims[0] = count;
    b.expand(unit, dims)
}
