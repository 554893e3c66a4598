//! Derivatives of operations that choose elements: maxima and minima, sorts, scatters.
//!
//! Reduced extrema share their gradient evenly among equal elements; running extrema give it to the
//! latest one; both as PyTorch.

use super::Result;
use super::context::Cx;
use super::linear::{Indices, Linear, Map, gather};
use super::linearise::{Applied, restore};
use crate::build::Emit;
use lazulite_ir::{Binary, Combine, DType, Dim, NodeId, Op, Predicate, Scalar};

/// `Reduce max` and `Reduce min`.
pub(super) fn reduce(cx: &mut Cx<'_, '_>, x: NodeId, y: NodeId, axes: &[u32]) -> Result<Vec<Map>> {
    let from = cx.ty(x).clone();
    let chosen = restore(cx, y, &from.dims, axes)?;
    let mask = cx.compare(Predicate::Eq, x, chosen)?;
    let sum = Linear::Sum(axes.to_vec());
    // Half floats cannot count far.
    let ones = cx.cast(mask, from.dtype.compute())?;
    let kind = Combine::Sum;
    let axes = axes.to_vec();
    let count = cx.emit(Op::Reduce { kind, axes }, &[ones])?;
    // Nobody has won among no elements, or among NaN.
    let one = cx.number_like(1.0, count)?;
    let count = cx.binary(Binary::Max, count, one)?;
    let count = cx.cast(count, from.dtype)?;
    Ok(vec![
        Map::Keep { mask, when: true },
        Map::Primitive { op: sum, from },
        Map::Over(count),
    ])
}

/// `Scan max` and `Scan min`: the element at the latest place that set the record.
pub(super) fn scan(
    cx: &mut Cx<'_, '_>,
    x: NodeId,
    y: NodeId,
    axis: usize,
    reverse: bool,
) -> Result<Vec<Map>> {
    let from = cx.dims(x);
    let same = cx.compare(Predicate::Eq, x, y)?;
    let nan = cx.compare(Predicate::Ne, x, x)?;
    let record = cx.binary(Binary::Or, same, nan)?;
    let place = cx.coordinates(&from, axis)?;
    let (kind, nowhere) = if reverse {
        (Combine::Min, i64::MAX)
    } else {
        (Combine::Max, -1)
    };
    let nowhere = cx.splat(Scalar::from_i64(DType::I64, nowhere), &from)?;
    let places = cx.select(record, place, nowhere)?;
    let axis_number = axis as u32;
    let op = Op::Scan {
        kind,
        axis: axis_number,
        reverse,
    };
    let latest = cx.emit(op, &[places])?;
    let at = along(cx, latest, axis)?;
    Ok(vec![Map::Gathered { at, from }])
}

/// Indices that take from a tensor, at every place, the element at `index` along `axis`.
fn along(cx: &mut Cx<'_, '_>, index: NodeId, axis: usize) -> Result<Indices> {
    let dims = cx.dims(index);
    let mut nodes = Vec::with_capacity(dims.len());
    for other in 0..dims.len() {
        nodes.push(if other == axis {
            index
        } else {
            cx.coordinates(&dims, other)?
        });
    }
    let axes = (0..dims.len() as u32).collect();
    Ok(Indices { axes, nodes })
}

/// `Sort`, whose last result is the permutation.
pub(super) fn sort(cx: &mut Cx<'_, '_>, at: Applied<'_>, axis: usize) -> Result<Map> {
    let from = cx.dims(at.operands[0]);
    let permutation = cx.get(at.value, at.operands.len())?;
    let at = along(cx, permutation, axis)?;
    Ok(Map::Gathered { at, from })
}

/// `Scatter`, with respect to the tensor (operand 0) or the updates (operand 1).
pub(super) fn scatter(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    indices: Indices,
    combine: Option<Combine>,
    operand: usize,
) -> Result<Vec<Map>> {
    let [x, updates] = [at.operands[0], at.operands[1]];
    let mut maps = match combine {
        None => vec![replaced(cx, x, updates, &indices, operand)?],
        Some(Combine::Sum) => Vec::new(),
        Some(Combine::Prod) => vec![Map::Times(others(cx, x, updates, &indices, operand)?)],
        Some(Combine::Max | Combine::Min) => shares(cx, [x, updates], at.value, &indices, operand)?,
    };
    if operand == 1 {
        let into = cx.dims(x);
        maps.push(Map::Scattered { at: indices, into });
    }
    Ok(maps)
}

fn scattered(
    cx: &mut Cx<'_, '_>,
    into: NodeId,
    updates: NodeId,
    at: &Indices,
    combine: Option<Combine>,
) -> Result<NodeId> {
    let axes = at.axes.clone();
    let mut operands = vec![into, updates];
    operands.extend_from_slice(&at.nodes);
    Ok(cx.emit(Op::Scatter { axes, combine }, &operands)?)
}

/// Elements that nothing replaced, or updates that no later one replaced.
fn replaced(
    cx: &mut Cx<'_, '_>,
    x: NodeId,
    updates: NodeId,
    at: &Indices,
    operand: usize,
) -> Result<Map> {
    let (into, from) = (cx.dims(x), cx.dims(updates));
    let number = |n| Scalar::from_i64(DType::I64, n);
    let nobody = cx.splat(number(-1), &into)?;
    let places = cx.dims(at.nodes[0]);
    let count = Dim::product(&places)?;
    let dtype = DType::I64;
    let order = cx.emit(Op::Iota { len: count, dtype }, &[])?;
    let mut unit = places.clone();
    unit.extend(from[places.len()..].iter().map(|_| Dim::ONE));
    let order = cx.reshape(order, unit)?;
    let order = cx.expand(order, from)?;
    let writer = scattered(cx, nobody, order, at, Some(Combine::Max))?;
    let mask = if operand == 0 {
        cx.compare(Predicate::Eq, writer, nobody)?
    } else {
        let last = gather(cx, writer, at)?;
        cx.compare(Predicate::Eq, last, order)?
    };
    Ok(Map::Keep { mask, when: true })
}

/// The extremum's gradient is shared evenly by all elements and updates equal to it.
fn shares(
    cx: &mut Cx<'_, '_>,
    [x, updates]: [NodeId; 2],
    y: NodeId,
    at: &Indices,
    operand: usize,
) -> Result<Vec<Map>> {
    let compute = cx.dtype(x).compute();
    let chosen = gather(cx, y, at)?;
    let mine = cx.compare(Predicate::Eq, x, y)?;
    let theirs = cx.compare(Predicate::Eq, updates, chosen)?;
    let [a, b] = [cx.cast(mine, compute)?, cx.cast(theirs, compute)?];
    let count = scattered(cx, a, b, at, Some(Combine::Sum))?;
    let count = cx.cast(count, cx.dtype(x))?;
    let (mask, count) = match operand {
        0 => {
            // Where something else is the extremum there may be nobody to count.
            let one = cx.number_like(1.0, count)?;
            (mine, cx.select(mine, count, one)?)
        }
        _ => (theirs, gather(cx, count, at)?),
    };
    Ok(vec![Map::Keep { mask, when: true }, Map::Over(count)])
}

/// For every factor the product of the others at its place, exact with zeros, and so is its first
/// derivative: zeros are taken out of the products and their sum put in where that is one factor.
fn others(
    cx: &mut Cx<'_, '_>,
    x: NodeId,
    updates: NodeId,
    at: &Indices,
    operand: usize,
) -> Result<NodeId> {
    let dtype = cx.dtype(x);
    let factors = [x, updates];
    let mut is_zero = factors;
    let mut nonzero = factors;
    let mut zeros = factors;
    let mut ones = factors;
    for i in 0..2 {
        is_zero[i] = cx.equals(factors[i], 0.0)?;
        let one = cx.number_like(1.0, factors[i])?;
        nonzero[i] = cx.select(is_zero[i], one, factors[i])?;
        zeros[i] = cx.keep(factors[i], is_zero[i], true)?;
        ones[i] = cx.cast(is_zero[i], dtype.real().compute())?;
    }
    let mut product = scattered(cx, nonzero[0], nonzero[1], at, Some(Combine::Prod))?;
    let mut zero_sum = scattered(cx, zeros[0], zeros[1], at, Some(Combine::Sum))?;
    let mut count = scattered(cx, ones[0], ones[1], at, Some(Combine::Sum))?;
    if operand == 1 {
        product = gather(cx, product, at)?;
        zero_sum = gather(cx, zero_sum, at)?;
        count = gather(cx, count, at)?;
    }
    let [none, one, two] = [
        cx.equals(count, 0.0)?,
        cx.equals(count, 1.0)?,
        cx.equals(count, 2.0)?,
    ];
    let rest = cx.binary(Binary::Div, product, nonzero[operand])?;
    let with_zero = cx.binary(Binary::Mul, rest, zero_sum)?;
    let with_zero = cx.keep(with_zero, one, true)?;
    let of_nonzero = cx.select(none, rest, with_zero)?;
    let other_zero = cx.sub(zero_sum, zeros[operand])?;
    let with_other = cx.binary(Binary::Mul, product, other_zero)?;
    let with_other = cx.keep(with_other, two, true)?;
    let of_zero = cx.select(one, product, with_other)?;
    Ok(cx.select(is_zero[operand], of_zero, of_nonzero)?)
}
