//! Rewrites of a graph that only pay for kernels.
//!
//! - A reduction with few results and many elements has nothing to run in parallel: it is taken in blocks, of
//!   a size that depends on the shape only, and the blocks' results are combined.
//! - A product whose operands are used about once, or that is tiny, is not worth packing: it is the sum
//!   of products that it stands for.
//! - A product with a long sum and few results is taken in parts ([`super::long`]).
//! - Other products are turned around where that is faster, and their outer columns become a batch where results are
//!   wanted like that ([`super::batches`]).

use super::ScheduleError;
use super::axes::Axes;
use super::batches::outer_columns;
use super::blocks::by_rows;
use super::long::long_products;
use super::orient::{Orientation, reads_along_columns, turn};
use super::{Machine, ScheduleOptions};
use crate::build::{Builder, Emit, live_nodes, operands, rewrite};
use lazulite_ir::{Binary, Combine, Dim, DimOverflow, Dims, Graph, NodeId, Op, scalar_ops};

const PASS: &str = "schedule";

/// The rewritten graph; `None` when there is nothing to rewrite.
pub(super) fn prepare(
    graph: &Graph,
    options: &ScheduleOptions,
) -> Result<Option<Graph>, ScheduleError> {
    if !options.fuse {
        return Ok(None);
    }
    let mut prepared = None;
    for form in [by_rows, long_products, rewritten, outer_columns] {
        prepared = form(prepared.as_ref().unwrap_or(graph), options)?.or(prepared);
    }
    Ok(prepared)
}

/// The graph with what is better computed in another form.
fn rewritten(graph: &Graph, options: &ScheduleOptions) -> Result<Option<Graph>, ScheduleError> {
    let live = live_nodes(graph);
    let orientation = Orientation::new(graph, &live, options)?;
    let mut found = false;
    for id in live {
        found |= orientation.is_turned(id);
        found |= is_small_product(graph, id, options)? || split_of(graph, id, options).is_some();
    }
    if !found {
        return Ok(None);
    }
    let new = rewrite(PASS, graph, |builder, id, new_of| {
        let inputs = operands(graph, id, new_of);
        Ok::<_, ScheduleError>(Some(if is_small_product(graph, id, options)? {
            sum_of_products(builder, graph, id, &inputs)?
        } else if let Some(split) = split_of(graph, id, options) {
            in_parts(builder, &split, inputs[0])?
        } else if orientation.is_turned(id) {
            turn(builder, graph, id, &inputs)?
        } else if let Op::Permute { perm } = &graph.node(id).op {
            permuted(builder, inputs[0], perm)?
        } else {
            return Ok(None);
        }))
    });
    new.map(Some)
}

/// A permutation, as one with that of a product in another form below it.
pub(super) fn permuted(b: &mut Builder, x: NodeId, perm: &[u32]) -> Result<NodeId, ScheduleError> {
    let below = b.graph().node(x);
    let Op::Permute { perm: inner } = &below.op else {
        return Ok(b.permute(x, perm.to_vec())?);
    };
    let (from, both) = (
        below.inputs[0],
        perm.iter().map(|&p| inner[p as usize]).collect(),
    );
    Ok(b.permute(from, both)?)
}

/// True when packing the operands costs more than it gains: each element is used about once, or
/// there are few.
pub(super) fn is_small_product(
    graph: &Graph,
    id: NodeId,
    options: &ScheduleOptions,
) -> Result<bool, ScheduleError> {
    match Axes::of(graph, id) {
        Some(axes) => {
            let extents = axes.extents()?;
            let streamed = is_streamed(graph, id, &axes, &extents, &options.machine)?;
            Ok(!streamed && is_small(&extents, &options.machine)?)
        }
        None => Ok(false),
    }
}

/// True when there are few rows and the right operand is a large parameter whose columns lie beside each other: the
/// product reads it where it lies, once and along memory.
pub(super) fn is_streamed(
    graph: &Graph,
    id: NodeId,
    axes: &Axes,
    [_, m, n, k]: &[Dim; 4],
    machine: &Machine,
) -> Result<bool, DimOverflow> {
    let size = |d: &Dim| d.as_const().unwrap_or(0);
    let is_thin = |d: &Dim| size(d) <= machine.thin_product;
    let is_large = size(n).saturating_mul(size(k)) >= machine.streamed_product;
    Ok(is_thin(m) && !is_thin(n) && is_large && reads_along_columns(graph, id, axes)?)
}

/// The same of a product with extents b, m, n, k.
pub(crate) fn is_small([b, m, n, k]: &[Dim; 4], machine: &Machine) -> Result<bool, DimOverflow> {
    let all = Dim::product([b, m, n, k])?.as_const();
    let is_small = all.is_some_and(|all| all <= machine.small_product);
    let is_thin = |d: &Dim| d.as_const().is_some_and(|d| d <= machine.thin_product);
    Ok(is_thin(m) || is_thin(n) || k.is(1) || is_small)
}

/// The product as a multiplication of repeated operands and a sum.
fn sum_of_products(
    b: &mut Builder,
    graph: &Graph,
    id: NodeId,
    inputs: &[NodeId],
) -> Result<NodeId, ScheduleError> {
    let Some(axes) = Axes::of(graph, id) else {
        return Ok(id);
    };
    let ty = graph.tensor_type(id);
    let mut whole = ty.dims.clone();
    whole.extend(axes.lhs_sum.iter().map(|&a| axes.lhs[a].clone()));
    let (rows, columns) = (axes.rows.len(), axes.columns.len());
    let wide = ty.dtype.compute();
    let mut operands = Vec::with_capacity(2);
    for (x, groups, missing) in [
        (
            inputs[0],
            [&axes.lhs_batch, &axes.rows, &axes.lhs_sum],
            axes.lhs_batch.len() + rows..ty.dims.len(),
        ),
        (
            inputs[1],
            [&axes.rhs_batch, &axes.columns, &axes.rhs_sum],
            axes.lhs_batch.len()..ty.dims.len() - columns,
        ),
    ] {
        let perm = groups.into_iter().flatten().map(|&a| a as u32).collect();
        let x = b.permute(x, perm)?;
        let x = b.cast(x, wide)?;
        let mut dims: Dims = b.dims(x);
        for at in missing {
            dims.insert(at, Dim::ONE);
        }
        let x = b.reshape(x, dims)?;
        operands.push(b.expand(x, whole.clone())?);
    }
    let product = b.binary(Binary::Mul, operands[0], operands[1])?;
    let op = Op::Reduce {
        kind: Combine::Sum,
        axes: (ty.dims.len() as u32..whole.len() as u32).collect(),
    };
    let sum = b.emit(op, &[product])?;
    Ok(b.cast(sum, ty.dtype)?)
}

/// A reduction to be taken in parts.
struct Split {
    kind: Combine,
    axes: Vec<u32>,
    /// The axis that is taken in parts.
    axis: u32,
    /// Elements of a part along the axis; `None` when each index is a part.
    block: Option<i64>,
}

fn split_of(graph: &Graph, id: NodeId, options: &ScheduleOptions) -> Option<Split> {
    let node = graph.node(id);
    let Op::Reduce { kind, axes } = &node.op else {
        return None;
    };
    let machine = &options.machine;
    let dims = &graph.tensor_type(node.inputs[0]).dims;
    let size = |a: u32| options.sizes.estimate(&dims[a as usize]);
    let elements = axes.iter().fold(1i64, |n, &a| n.saturating_mul(size(a)));
    let results = options.sizes.count(&graph.tensor_type(id).dims);
    if results >= machine.parallel_points || elements < machine.reduce_block.saturating_mul(2) {
        return None;
    }
    let (kind, axes) = (*kind, axes.clone());
    let outermost = axes[0];
    let alone = machine.parallel_points..machine.reduce_block;
    if axes.len() > 1 && alone.contains(&size(outermost)) {
        return Some(Split {
            kind,
            axes,
            axis: outermost,
            block: None,
        });
    }
    let axis = axes.iter().copied().max_by_key(|&a| size(a))?;
    let others = elements / size(axis).max(1);
    let wanted = (machine.reduce_block / others.max(1)).max(1);
    let block = match dims[axis as usize].as_const() {
        Some(n) => divisor_near(n, wanted).unwrap_or(wanted),
        None => wanted,
    };
    Some(Split {
        kind,
        axes,
        axis,
        block: Some(block),
    })
}

/// A divisor of `n` at most twice and at least half as large as `wanted`.
fn divisor_near(n: i64, wanted: i64) -> Option<i64> {
    let candidates = (wanted / 2).max(1)..=wanted.saturating_mul(2).min(n);
    candidates.into_iter().rev().find(|d| n % d == 0)
}

/// Reduces all but the parts, then the parts. Sums of half floats are rounded once, at the end.
fn in_parts(b: &mut Builder, split: &Split, x: NodeId) -> Result<NodeId, ScheduleError> {
    let dtype = b.dtype(x);
    let mut x = b.cast(x, dtype.compute())?;
    let mut first: Vec<u32> = split.axes.clone();
    let axis = split.axis;
    match split.block {
        Some(block) => {
            x = in_blocks(b, split, x, block)?;
            // The axis has become two, of which the first stays.
            for a in &mut first {
                *a += u32::from(*a >= axis);
            }
        }
        None => first.retain(|&a| a != axis),
    }
    let kind = split.kind;
    let kept_before = (0..axis).filter(|a| !first.contains(a)).count() as u32;
    let parts = b.emit(Op::Reduce { kind, axes: first }, &[x])?;
    let axes = vec![kept_before];
    let all = b.emit(Op::Reduce { kind, axes }, &[parts])?;
    Ok(b.cast(all, dtype)?)
}

/// The operand with the split axis as two: blocks, and places in a block. What is missing in the last block is
/// filled with what combinations start from.
fn in_blocks(
    b: &mut Builder,
    split: &Split,
    x: NodeId,
    block: i64,
) -> Result<NodeId, ScheduleError> {
    let axis = split.axis as usize;
    let mut dims = b.dims(x);
    let block = Dim::constant(block);
    let count = dims[axis].add(&block.sub(&Dim::ONE)?)?.floor_div(&block)?;
    let missing = count.mul(&block)?.sub(&dims[axis])?;
    let mut x = x;
    if !missing.is(0) {
        let identity = scalar_ops::identity(split.kind, b.dtype(x));
        let value = identity.ok_or_else(|| b.unsupported("a combination without a start"))?;
        let fill = b.emit(Op::Const { value }, &[])?;
        let none: Dims = dims.iter().map(|_| Dim::ZERO).collect();
        let mut high = none.clone();
        high[axis] = missing;
        let op = Op::Pad {
            low: none.clone(),
            high,
            interior: none,
        };
        x = b.emit(op, &[x, fill])?;
    }
    dims[axis] = count;
    dims.insert(axis + 1, block);
    Ok(b.reshape(x, dims)?)
}
