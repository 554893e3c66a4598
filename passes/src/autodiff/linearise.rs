//! The derivative of every primitive with respect to each of its operands: the one table behind
//! both modes.

use super::Result;
use super::activity::differentiable;
use super::context::Cx;
use super::linear::{Contracted, Indices, Linear, Map, Pads};
use super::{ordered, pointwise, product};
use crate::build::Emit;
use lazulite_ir::{Combine, DType, Dim, Dims, NodeId, Op, Scalar, TensorType};

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
    let only = |op: Linear, from: TensorType| Some(vec![Map::Primitive { op, from }]);
    let from = cx.ty(x).clone();
    Ok(match at.op {
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Random { .. }
        | Op::Bitcast { .. }
        | Op::Compare { .. } => None,
        Op::Cast { dtype } => only(Linear::Cast(*dtype), from),
        Op::Complex {} => Some(vec![Map::Part {
            imaginary: operand == 1,
        }]),
        Op::Real {} => only(Linear::Real, from),
        Op::Imag {} => only(Linear::Imag, from),
        Op::Unary { f } => Some(pointwise::unary(cx, *f, x, at.value)?),
        Op::Binary { f } => {
            let operands = [at.operands[0], at.operands[1]];
            pointwise::binary(cx, *f, operands, at.value, operand)?
        }
        Op::Select {} => Some(vec![Map::Keep {
            mask: at.operands[0],
            when: operand == 1,
        }]),
        Op::Reshape { dims } => only(Linear::Reshape(dims.clone()), from),
        Op::Permute { perm } => only(Linear::Permute(perm.clone()), from),
        Op::Expand { dims } => only(Linear::Expand(dims.clone()), from),
        Op::Pad {
            low,
            high,
            interior,
        } => {
            let pads = Pads {
                low: low.clone(),
                high: high.clone(),
                interior: interior.clone(),
            };
            Some(vec![pad(cx, at.operands[0], pads, operand)?])
        }
        Op::Slice { start, len, step } => {
            let (start, len, step) = (start.clone(), len.clone(), step.clone());
            only(Linear::Slice { start, len, step }, from)
        }
        Op::Window {
            axis,
            size,
            stride,
            dilation,
        } => {
            let op = Linear::Window {
                axis: *axis,
                size: size.clone(),
                stride: stride.clone(),
                dilation: dilation.clone(),
            };
            only(op, from)
        }
        Op::Fold {
            axis,
            len,
            stride,
            dilation,
        } => {
            let op = Linear::Fold {
                axis: *axis,
                len: len.clone(),
                stride: stride.clone(),
                dilation: dilation.clone(),
            };
            only(op, from)
        }
        Op::Reduce { kind, axes } => match kind {
            Combine::Sum => only(Linear::Sum(axes.clone()), from),
            Combine::Prod => Some(product::reduce(cx, x, axes)?),
            Combine::Max | Combine::Min => Some(ordered::reduce(cx, x, at.value, axes)?),
        },
        Op::Scan {
            kind,
            axis,
            reverse,
        } => {
            let (axis, reverse) = (*axis, *reverse);
            match kind {
                Combine::Sum => only(Linear::Running { axis, reverse }, from),
                Combine::Prod => Some(product::scan(cx, x, axis as usize, reverse)?),
                Combine::Max | Combine::Min => {
                    Some(ordered::scan(cx, x, at.value, axis as usize, reverse)?)
                }
            }
        }
        Op::Contract { .. } => Some(vec![Map::Contracted(Contracted {
            op: at.op.clone(),
            other: at.operands[1 - operand],
            right: operand == 1,
            from,
        })]),
        Op::Gather { axes } => Some(vec![Map::Gathered {
            at: Indices {
                axes: axes.clone(),
                nodes: at.operands[1..].to_vec(),
            },
            from: from.dims,
        }]),
        Op::Scatter { axes, combine } => {
            let indices = Indices {
                axes: axes.clone(),
                nodes: at.operands[2..].to_vec(),
            };
            Some(ordered::scatter(cx, at, indices, *combine, operand)?)
        }
        // Results move with the keys: each depends on its own operand alone.
        Op::Sort { axis, .. } if operand == result => {
            Some(vec![ordered::sort(cx, at, *axis as usize)?])
        }
        Op::Sort { .. } => None,
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

/// True for operands that a derivative may go through.
pub(super) fn is_differentiable(cx: &Cx<'_, '_>, operand: NodeId) -> bool {
    differentiable(cx.ty(operand))
}

fn pad(cx: &mut Cx<'_, '_>, x: NodeId, pads: Pads, operand: usize) -> Result<Map> {
    let from = cx.dims(x);
    if operand == 0 {
        return Ok(Map::Padded { pads, from });
    }
    let inside = cx.splat(Scalar::from_i64(DType::Bool, 0), &from)?;
    let value = Scalar::from_i64(DType::Bool, 1);
    let outside = cx.emit(Op::Const { value }, &[])?;
    let mask = cx.emit(pads.op(), &[inside, outside])?;
    Ok(Map::Fill { mask })
}

/// `axes` of `x` put back with size 1 and repeated, for a tensor that lacks them.
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
