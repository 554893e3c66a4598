//! Columns of a product that its only reader wants in front of the rows, as a batch.
//!
//! A convolution multiplies weights with the windows of all images, and its result has the images in front of the
//! rows: as columns they would make the product write across memory, and what follows it could not write over it. As a
//! batch that shares the left operand they are written as they are wanted, and the right operand of an entry has an axis
//! less.

use super::axes::Axes;
use super::policy::count_users;
use super::prepare::{is_small_product, permuted};
use super::{ScheduleError, ScheduleOptions};
use crate::PassError;
use crate::build::{Builder, Emit, live_nodes, operands, rewrite};
use crate::product::Product;
use lazulite_ir::{Dim, Dims, Graph, NodeId, Op};
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
    /// Axes of the right operand, and whether they are such columns.
    columns: Vec<(u32, bool)>,
    /// Number of batch axes, of size 1, and of rows.
    others: [usize; 2],
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
        let others = [axes.lhs_batch.len(), axes.rows.len()];
        let dims = &graph.tensor_type(id).dims;
        let is_real = |axis: &u32| !dims[*axis as usize].is(1);
        // A left operand of its own for each entry would need a second stride along them.
        if (0..others[0] as u32).any(|axis| is_real(&axis)) {
            return Ok(None);
        }
        let first = (others[0] + others[1]) as u32;
        let is_column = |axis: &u32| *axis >= first;
        let wanted: Vec<u32> = perm.iter().copied().filter(is_real).collect();
        let count = wanted.iter().take_while(|axis| is_column(axis)).count();
        let (outer, inner) = wanted.split_at(count);
        let is_split = !outer.is_empty() && inner.last().is_some_and(is_column);
        let in_order = outer.is_sorted() && inner.is_sorted();
        if !is_split || !in_order || is_small_product(graph, id, options)? {
            return Ok(None);
        }
        let [_, m, n, k] = axes.extents()?.map(|dim| options.sizes.estimate(&dim));
        let entries = options
            .sizes
            .count(outer.iter().map(|&a| &dims[a as usize]));
        let machine = &options.machine;
        let time = |[b, n]: [i64; 2], storing: i64| {
            let stored = [b, m, n, storing].into_iter().fold(1, i64::saturating_mul);
            machine.multiplying([b, m, n, k]).saturating_add(stored)
        };
        let apart = time([entries, n / entries.max(1)], machine.aligned_cost);
        if apart >= time([1, n], machine.scattered_cost) {
            return Ok(None);
        }
        let columns = (first..).zip(&axes.columns);
        let columns = columns.map(|(at, &axis)| (axis as u32, outer.contains(&at)));
        Ok(Some(Outer {
            product,
            columns: columns.collect(),
            others,
        }))
    }

    /// The product's value.
    fn emit(&self, b: &mut Builder, [lhs, rhs]: [NodeId; 2]) -> Result<NodeId, PassError> {
        let of = |is_outer: bool| {
            let columns = self.columns.iter().filter(move |c| c.1 == is_outer);
            columns.map(|c| c.0).collect::<Vec<u32>>()
        };
        let (outer, [batch, rows]) = (of(true), self.others);
        let dims = b.dims(rhs);
        let front: Dims = outer.iter().map(|&a| dims[a as usize].clone()).collect();
        let lhs = repeated(b, lhs, front)?;
        let mut product = self.product.clone();
        let behind = |axes: &[u32]| {
            axes.iter()
                .map(|a| a + outer.len() as u32)
                .collect::<Vec<u32>>()
        };
        let own = behind(&product.batch[0]);
        product.sum[0] = behind(&product.sum[0]);
        product.batch[0] = (0..outer.len() as u32).chain(own).collect();
        product.batch[1] = [outer.clone(), product.batch[1].clone()].concat();
        let whole = b.emit(product.op(), &[lhs, rhs])?;
        // Back to batch, rows, and columns as they were.
        let mut next = [0, (outer.len() + batch + rows) as u32];
        let columns = self.columns.iter().map(|&(_, is_outer)| {
            let next = &mut next[usize::from(!is_outer)];
            *next += 1;
            *next - 1
        });
        let kept = (outer.len() as u32..).take(batch + rows);
        b.permute(whole, kept.chain(columns).collect())
    }
}

/// A tensor with further axes in front, along which it is the same.
fn repeated(b: &mut Builder, x: NodeId, front: Dims) -> Result<NodeId, PassError> {
    let dims = b.dims(x);
    let unit = front.iter().map(|_| Dim::ONE).chain(dims.iter().cloned());
    let unit = b.reshape(x, unit.collect())?;
    b.expand(unit, front.into_iter().chain(dims).collect())
}
