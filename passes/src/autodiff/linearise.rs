//! The derivative of every primitive with respect to each of its operands: the one table behind
//! both modes.

use super::Result;
use super::activity::differentiable;
use super::context::Cx;
use super::linear::{Contracted, Indices, Linear, Map, Pads};
use super::{ordered, pointwise, product};
use crate::build::Emit;
use lazulite_ir::{Combine, DType, Dim, Dims, NodeId, Op, Scalar};

/// An operation in the graph under construction.
#[derive(Clone, Copy)]
pub(super) struct Applied<'a> {
    pub op: &'a Op,
    pub operands: &'a [NodeId],
    /// What it gives: a tensor, or for sorts the tuple with the permutation as last result.
    pub value: NodeId,
}

/// The derivative of result `result` with respect to `operand`, both differentiable, as a chain of
/// linear maps, first to last; `None` if there is none. Operations that hold graphs and foreign
/// functions are not treated here.
pub(super) fn linearise(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    operand: usize,
    result: usize,
) -> Result<Option<Vec<Map>>> {
    let x = at.operands[operand];
    Ok(match at.op {
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Random { .. }
        | Op::Bitcast { .. }
        | Op::Compare { .. } => None,
        Op::Cast { .. }
        | Op::Real {}
        | Op::Imag {}
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Expand { .. }
        | Op::Slice { .. }
        | Op::Window { .. }
        | Op::Fold { .. } => linear(cx, at),
        Op::Barrier {} => Some(Vec::new()),
        Op::Complex {} => Some(vec![Map::Part {
            imaginary: operand == 1,
        }]),
        Op::Unary { f } => Some(pointwise::unary(cx, *f, x, at.value)?),
        Op::Binary { f } => {
            let operands = [at.operands[0], at.operands[1]];
            pointwise::binary(cx, *f, operands, at.value, operand)?
        }
        Op::Select {} => Some(vec![Map::Keep {
            mask: at.operands[0],
            when: operand == 1,
        }]),
        Op::Pad { .. } => Some(vec![pad(cx, at, operand)?]),
        Op::Reduce { kind, axes } => reduce(cx, at, *kind, axes)?,
        Op::Scan {
            kind,
            axis,
            reverse,
        } => scan(cx, at, *kind, *axis as usize, *reverse)?,
        Op::Contract { .. } => Some(vec![Map::Contracted(Contracted {
            op: at.op.clone(),
            other: at.operands[1 - operand],
            right: operand == 1,
            from: cx.ty(x).clone(),
        })]),
        Op::Gather { axes } => Some(vec![Map::Gathered {
            at: Indices::new(axes, &at.operands[1..]),
            from: cx.dims(x),
        }]),
        Op::Scatter { axes, combine } => {
            let indices = Indices::new(axes, &at.operands[2..]);
            Some(ordered::scatter(cx, at, indices, *combine, operand)?)
        }
        // Results move with the keys: each depends on its own operand alone.
        Op::Sort { .. } if operand != result => None,
        Op::Sort { axis, .. } => Some(vec![ordered::sort(cx, at, *axis as usize)?]),
        Op::Call { .. }
        | Op::If { .. }
        | Op::While { .. }
        | Op::Loop { .. }
        | Op::Custom { .. }
        | Op::Get { .. } => {
            let what = format!("{} is not differentiated as a primitive", at.op.mnemonic());
            return Err(cx.none(what));
        }
    })
}

fn reduce(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    kind: Combine,
    axes: &[u32],
) -> Result<Option<Vec<Map>>> {
    let x = at.operands[0];
    Ok(match kind {
        Combine::Sum => linear(cx, at),
        Combine::Prod => Some(product::reduce(cx, x, axes)?),
        Combine::Max | Combine::Min => Some(ordered::reduce(cx, x, at.value, axes)?),
    })
}

fn scan(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    kind: Combine,
    axis: usize,
    reverse: bool,
) -> Result<Option<Vec<Map>>> {
    let x = at.operands[0];
    Ok(match kind {
        Combine::Sum => linear(cx, at),
        Combine::Prod => Some(product::scan(cx, x, axis, reverse)?),
        Combine::Max | Combine::Min => Some(ordered::scan(cx, x, at.value, axis, reverse)?),
    })
}

/// Linear operations of one operand are their own derivatives.
fn linear(cx: &Cx<'_, '_>, at: Applied<'_>) -> Option<Vec<Map>> {
    let from = cx.ty(at.operands[0]).clone();
    Linear::of(at.op).map(|op| vec![Map::Primitive { op, from }])
}

/// True for operands that a derivative may go through.
pub(super) fn is_differentiable(cx: &Cx<'_, '_>, operand: NodeId) -> bool {
    differentiable(cx.ty(operand))
}

fn pad(cx: &mut Cx<'_, '_>, at: Applied<'_>, operand: usize) -> Result<Map> {
    let from = cx.dims(at.operands[0]);
    if operand == 0 {
        let pads = Pads::of(at.op).ok_or_else(|| cx.none("only `pad` is padded"))?;
        return Ok(Map::Padded { pads, from });
    }
    let [inside, outside] = [0, 1].map(|truth| Scalar::from_i64(DType::Bool, truth));
    let inside = cx.splat(inside, &from)?;
    let outside = cx.emit(Op::Const { value: outside }, &[])?;
    let mask = cx.emit(at.op.clone(), &[inside, outside])?;
    Ok(Map::Fill { mask })
}

/// A tensor that lacks `axes` with them put back, repeated to the sizes in `dims`.
pub(super) fn restore(
    cx: &mut Cx<'_, '_>,
    reduced: NodeId,
    dims: &Dims,
    axes: &[u32],
) -> Result<NodeId> {
    let gone = |a: usize| axes.contains(&(a as u32));
    let kept = dims.iter().enumerate();
    let kept = kept.map(|(a, d)| if gone(a) { Dim::ONE } else { d.clone() });
    let unit = cx.reshape(reduced, kept.collect())?;
    Ok(cx.expand(unit, dims.clone())?)
}
