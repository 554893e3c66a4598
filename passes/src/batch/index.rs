//! Operations that pair axes or address elements by data.

use super::Result;
use super::context::{Cx, Lane};
use super::rules::behind;
use crate::build::Emit;
use lazulite_ir::{Combine, DType, Dims, NodeId, Op};

/// With two batched operands the batch is one of the contraction's own; with one it is among the
/// axes that are left, and is moved to the front.
pub(super) fn contract(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<NodeId> {
    let [left, right] = [x[0], x[1]];
    let both = left.batched && right.batched;
    let shifted = |axes: &mut Vec<u32>, x: Lane, paired: bool| {
        if x.batched {
            *axes = behind(axes);
        }
        if paired {
            axes.insert(0, 0);
        }
    };
    let mut op = op.clone();
    let mut place = 0;
    if let Op::Contract {
        lhs_batch,
        rhs_batch,
        lhs_sum,
        rhs_sum,
        ..
    } = &mut op
    {
        if !both {
            place = lhs_batch.len();
        }
        if !left.batched {
            place = cx.ty(left.node).rank() - lhs_sum.len();
        }
        shifted(lhs_batch, left, both);
        shifted(rhs_batch, right, both);
        shifted(lhs_sum, left, false);
        shifted(rhs_sum, right, false);
    }
    let product = cx.emit(op, &[left.node, right.node])?;
    cx.axis_first(product, place)
}

/// Every element number, at all places of an index tensor with a batch axis.
fn elements(cx: &mut Cx<'_>, dims: &Dims) -> Result<NodeId> {
    let op = Op::Iota {
        len: dims[0].clone(),
        dtype: DType::I64,
    };
    let iota = cx.emit(op, &[])?;
    cx.along(iota, dims)
}

pub(super) fn gather(cx: &mut Cx<'_>, axes: &[u32], x: &[Lane]) -> Result<NodeId> {
    let (from, indices) = (x[0], &x[1..]);
    if !indices.iter().any(|i| i.batched) {
        let places = cx.ty(indices[0].node).rank();
        let operands: Vec<NodeId> = x.iter().map(|x| x.node).collect();
        let axes = behind(axes);
        let result = cx.emit(Op::Gather { axes }, &operands)?;
        return cx.axis_first(result, places);
    }
    let mut operands = vec![from.node];
    for &index in indices {
        operands.push(cx.lift(index)?);
    }
    let mut axes = axes.to_vec();
    if from.batched {
        axes = behind(&axes);
        axes.insert(0, 0);
        let dims = cx.dims(operands[1]);
        operands.insert(1, elements(cx, &dims)?);
    }
    Ok(cx.emit(Op::Gather { axes }, &operands)?)
}

/// The updates of each element come in their old order, whether the batch axis is behind or before
/// the axes of the indices.
pub(super) fn scatter(
    cx: &mut Cx<'_>,
    axes: &[u32],
    combine: Option<Combine>,
    x: &[Lane],
) -> Result<NodeId> {
    let indices = &x[2..];
    let mut operands = vec![cx.lift(x[0])?, cx.lift(x[1])?];
    let mut axes = behind(axes);
    if indices.iter().any(|i| i.batched) {
        for &index in indices {
            operands.push(cx.lift(index)?);
        }
        axes.insert(0, 0);
        let dims = cx.dims(operands[2]);
        operands.insert(2, elements(cx, &dims)?);
    } else {
        let places = cx.ty(indices[0].node).rank();
        operands[1] = cx.first_axis_to(operands[1], places)?;
        operands.extend(indices.iter().map(|i| i.node));
    }
    Ok(cx.emit(Op::Scatter { axes, combine }, &operands)?)
}
