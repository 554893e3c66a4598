//! Products with long sums and few results, in parts.
//!
//! The tiles of such a product are too few for all threads, and what they have in common with each other is little: its
//! time goes into the sums. One of its summed axes is taken in parts, whose number depends on the shape only. The parts
//! are a batch of products; their results are added.

use super::axes::Axes;
use super::prepare::{is_small_product, is_streamed};
use super::{ScheduleError, ScheduleOptions};
use crate::PassError;
use crate::build::{Builder, Emit, live_nodes, operands, rewrite};
use crate::product::Product;
use lazulite_ir::{Combine, Dim, Graph, NodeId, Op};
use rustc_hash::FxHashMap;

const PASS: &str = "schedule";

/// Parts at most, and at least.
const PARTS: std::ops::RangeInclusive<i64> = 4..=16;
/// Summed elements of a part at least, per row, where the right operand is read but once.
const LEAST: i64 = 16;

/// The graph with long products in parts; `None` when there are none.
pub(super) fn long_products(
    graph: &Graph,
    options: &ScheduleOptions,
) -> Result<Option<Graph>, ScheduleError> {
    let mut found = FxHashMap::default();
    for id in live_nodes(graph) {
        if let Some(parts) = Parts::of(graph, id, options)? {
            found.insert(id, parts);
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let new = rewrite(PASS, graph, |b, id, new_of| {
        let Some(parts) = found.get(&id) else {
            return Ok::<_, ScheduleError>(None);
        };
        let inputs = operands(graph, id, new_of);
        Ok(Some(parts.emit(b, [inputs[0], inputs[1]])?))
    });
    new.map(Some)
}

/// How a product is taken apart.
struct Parts {
    product: Product,
    /// Number of the axis among the summed ones.
    axis: usize,
    count: i64,
}

impl Parts {
    fn of(
        graph: &Graph,
        id: NodeId,
        options: &ScheduleOptions,
    ) -> Result<Option<Parts>, ScheduleError> {
        let machine = &options.machine;
        let (Some(axes), Some(product)) = (Axes::of(graph, id), Product::of(&graph.node(id).op))
        else {
            return Ok(None);
        };
        let extents = axes.extents()?;
        if is_small_product(graph, id, options)? {
            return Ok(None);
        }
        let is_streamed = is_streamed(graph, id, &axes, &extents, machine)?;
        let [Some(b), Some(m), Some(n), Some(k)] = extents.map(|d| d.as_const()) else {
            return Ok(None);
        };
        let [rows, columns] = machine.product_tile;
        let pieces = |size: i64, most: i64| (size + most - 1) / most;
        let tiles = b
            .saturating_mul(pieces(m, rows))
            .saturating_mul(pieces(n, columns));
        // A large operand that is read but once is best read along memory from end to end, by each thread a part. The
        // parts' results are to be few beside it.
        let is_read_once = is_streamed && n.saturating_mul(k) >= machine.uncached_product;
        let is_long = (1..machine.product_tiles).contains(&tiles) && k >= machine.long_sum;
        let least = match (is_read_once, is_long && !is_streamed) {
            (true, _) => m.saturating_mul(LEAST),
            (false, true) => 1,
            (false, false) => return Ok(None),
        };
        let lhs = &graph.tensor_type(graph.node(id).inputs[0]).dims;
        let sizes = product.sum[0].iter().map(|&a| lhs[a as usize].as_const());
        let counts = sizes.map(|size| {
            let divides =
                |count: &i64| size.is_some_and(|size| size % count == 0) && k / count >= least;
            PARTS.rev().find(divides)
        });
        let found = counts
            .enumerate()
            .find_map(|(axis, count)| Some((axis, count?)));
        Ok(found.map(|(axis, count)| Parts {
            product,
            axis,
            count,
        }))
    }

    /// The product's value.
    fn emit(&self, b: &mut Builder, inputs: [NodeId; 2]) -> Result<NodeId, PassError> {
        let Product {
            mut batch,
            mut sum,
            acc,
        } = self.product.clone();
        let mut whole = inputs;
        for (side, operand) in whole.iter_mut().enumerate() {
            let at = sum[side][self.axis];
            let mut dims = b.dims(*operand);
            let count = Dim::constant(self.count);
            let part = dims[at as usize].floor_div(&count)?;
            dims[at as usize] = part;
            dims.insert(at as usize, count);
            *operand = b.reshape(*operand, dims)?;
            // Parts come before places in a part.
            let behind = |a: &mut u32| *a += u32::from(*a >= at);
            batch[side].iter_mut().for_each(behind);
            sum[side].iter_mut().for_each(behind);
            batch[side].insert(0, at);
        }
        let wide = acc.compute();
        let parts = Product {
            batch,
            sum,
            acc: wide,
        };
        let parts = b.emit(parts.op(), &whole)?;
        let op = Op::Reduce {
            kind: Combine::Sum,
            axes: vec![0],
        };
        let all = b.emit(op, &[parts])?;
        b.cast(all, acc)
    }
}
