//! Derivatives of products, without divisions, so that zeros are exact to any order.

use super::Result;
use super::context::Cx;
use super::linear::{Linear, Map, inverse};
use crate::build::Emit;
use lazulite_ir::{Binary, Combine, DType, Dim, Dims, Graph, NodeId, Op, Scalar, TensorType};
use std::sync::Arc;

/// `Reduce prod`: every element times the product of all others.
pub(super) fn reduce(cx: &mut Cx<'_, '_>, x: NodeId, axes: &[u32]) -> Result<Vec<Map>> {
    let from = cx.ty(x).clone();
    let others = product_of_others(cx, x, axes)?;
    let sum = Map::Primitive {
        op: Linear::Sum(axes.to_vec()),
        from,
    };
    Ok(vec![Map::Times(others), sum])
}

fn product_of_others(cx: &mut Cx<'_, '_>, x: NodeId, axes: &[u32]) -> Result<NodeId> {
    let dims = cx.dims(x);
    if let [axis] = axes {
        let before = before(cx, x, *axis as usize, false)?;
        let after = self::before(cx, x, *axis as usize, true)?;
        return Ok(cx.binary(Binary::Mul, before, after)?);
    }
    // Several axes become one, behind the others.
    let kept = (0..dims.len() as u32).filter(|a| !axes.contains(a));
    let perm: Vec<u32> = kept.chain(axes.iter().copied()).collect();
    let at = dims.len() - axes.len();
    let permuted = cx.permute(x, perm.clone())?;
    let permuted_dims = cx.dims(permuted);
    let mut flat: Dims = permuted_dims[..at].iter().cloned().collect();
    flat.push(Dim::product(&permuted_dims[at..])?);
    let line = cx.reshape(permuted, flat)?;
    let others = product_of_others(cx, line, &[at as u32])?;
    let others = cx.reshape(others, permuted_dims)?;
    Ok(cx.permute(others, inverse(&perm))?)
}

/// The product of all elements before each one along the axis (`reverse`: behind).
fn before(cx: &mut Cx<'_, '_>, x: NodeId, axis: usize, reverse: bool) -> Result<NodeId> {
    let one = Scalar::from_f64(cx.dtype(x), 1.0);
    let shifted = shift(cx, x, axis, one, reverse)?;
    let op = Op::Scan {
        kind: Combine::Prod,
        axis: axis as u32,
        reverse,
    };
    Ok(cx.emit(op, &[shifted])?)
}

/// Element `i` is element `i - 1` (`reverse`: `i + 1`), `fill` at the end that is left free.
fn shift(
    cx: &mut Cx<'_, '_>,
    x: NodeId,
    axis: usize,
    fill: Scalar,
    reverse: bool,
) -> Result<NodeId> {
    let dims = cx.dims(x);
    // Nothing can be cut off an empty axis.
    let by = dims[axis].minimum(&Dim::ONE);
    let none: Dims = dims.iter().map(|_| Dim::ZERO).collect();
    let (mut low, mut high) = (none.clone(), none.clone());
    (low[axis], high[axis]) = (by.clone(), Dim::ZERO.sub(&by)?);
    if reverse {
        std::mem::swap(&mut low, &mut high);
    }
    let fill = cx.emit(Op::Const { value: fill }, &[])?;
    let interior = none;
    let op = Op::Pad {
        low,
        high,
        interior,
    };
    let shifted = cx.emit(op, &[x, fill])?;
    cx.conform(shifted, &dims)
}

/// `Scan prod`: an element's tangent times what is before it, carried on by what comes behind.
pub(super) fn scan(cx: &mut Cx<'_, '_>, x: NodeId, axis: usize, reverse: bool) -> Result<Vec<Map>> {
    let before = before(cx, x, axis, reverse)?;
    let recurrence = Map::Recurrence {
        coefficient: x,
        axis,
        reverse,
    };
    Ok(vec![Map::Times(before), recurrence])
}

/// See [`Map::Recurrence`].
pub(super) fn recurrence(
    cx: &mut Cx<'_, '_>,
    coefficient: NodeId,
    t: NodeId,
    axis: usize,
    reverse: bool,
) -> Result<NodeId> {
    let [a, b] = [
        rows(cx, coefficient, axis, reverse)?,
        rows(cx, t, axis, reverse)?,
    ];
    let ty = cx.ty(b).clone();
    let row = TensorType::new(ty.dtype, ty.dims[1..].iter().cloned());
    let start = cx.zeros(&row)?;
    let op = Op::Loop {
        trip: ty.dims[0].clone(),
        carries: 1,
        scanned: 2,
        body: Arc::new(step(cx, &row)?),
    };
    let run = cx.emit(op, &[start, a, b])?;
    let stacked = cx.get(run, 1)?;
    let ordered = if reverse {
        cx.flip(stacked, 0)?
    } else {
        stacked
    };
    // The first axis goes back to its place.
    let rank = ty.dims.len() as u32;
    let mut perm: Vec<u32> = (1..rank).collect();
    perm.insert(axis, 0);
    Ok(cx.permute(ordered, perm)?)
}

/// The transpose of [`recurrence`]: the recurrence the other way, with shifted coefficients.
pub(super) fn transposed_recurrence(
    cx: &mut Cx<'_, '_>,
    coefficient: NodeId,
    g: NodeId,
    axis: usize,
    reverse: bool,
) -> Result<NodeId> {
    let zero = Scalar::from_f64(cx.dtype(coefficient), 0.0);
    let conjugate = cx.conj(coefficient)?;
    let shifted = shift(cx, conjugate, axis, zero, !reverse)?;
    recurrence(cx, shifted, g, axis, !reverse)
}

/// The slices along `axis`, from the end if `reverse`, along the first axis.
fn rows(cx: &mut Cx<'_, '_>, x: NodeId, axis: usize, reverse: bool) -> Result<NodeId> {
    let rank = cx.dims(x).len() as u32;
    let others = (0..rank).filter(|&a| a != axis as u32);
    let first = cx.permute(x, [axis as u32].into_iter().chain(others).collect())?;
    if reverse {
        cx.flip(first, 0)
    } else {
        Ok(first)
    }
}

/// The body: parameters iteration, d, a, b; results a * d + b, twice.
fn step(cx: &mut Cx<'_, '_>, row: &TensorType) -> Result<Graph> {
    let mut inner = cx.inner()?;
    inner.builder.input(TensorType::scalar(DType::I64));
    let [d, a, b] = [(); 3].map(|()| inner.builder.input(row.clone()));
    let carried = inner.binary(Binary::Mul, a, d)?;
    let next = inner.binary(Binary::Add, carried, b)?;
    Ok(inner.builder.finish([next, next], &Graph::new()))
}
