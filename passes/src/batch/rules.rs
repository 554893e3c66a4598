//! The form for batches of every primitive.

use super::context::{Cx, Lane};
use super::sweep::Slot;
use super::{Randomness, Result, VmapError, index, region, sequence};
use crate::build::Emit;
use lazulite_ir::{Class, Custom, DType, Dim, Dims, NodeId, Op, Scalar, TensorType, Type};

/// Adds `op`, applied to operands of which some have a batch axis.
pub(super) fn batch(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    // Graphs inside may draw, and so differ between elements that have equal operands.
    let holds_graphs = op.class() == Class::Region;
    if !holds_graphs && !matches!(op, Op::Random { .. }) && !x.iter().any(|x| x.batched) {
        return copy(cx, op, x);
    }
    let node = match op {
        // Leaves have no operands, and results are taken apart by the sweep.
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Get { .. } => return copy(cx, op, x),
        Op::Random { dims, .. } => return random(cx, op, dims, x),
        Op::Cast { .. }
        | Op::Bitcast { .. }
        | Op::Complex {}
        | Op::Real {}
        | Op::Imag {}
        | Op::Unary { .. }
        | Op::Binary { .. }
        | Op::Compare { .. }
        | Op::Select {} => {
            let x = lifted(cx, x)?;
            cx.emit(op.clone(), &x)?
        }
        Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Barrier {}
        | Op::Expand { .. }
        | Op::Slice { .. }
        | Op::Window { .. }
        | Op::Reduce { .. }
        | Op::Scan { .. }
        | Op::Fold { .. } => {
            let op = one_operand(cx, op);
            cx.emit(op, &[x[0].node])?
        }
        Op::Pad {
            low,
            high,
            interior,
        } => pad(cx, [low, high, interior], x)?,
        Op::Contract { .. } => index::contract(cx, op, x)?,
        Op::Gather { axes } => index::gather(cx, axes, x)?,
        Op::Scatter { axes, combine } => index::scatter(cx, axes, *combine, x)?,
        Op::Sort { axis, descending } => {
            let op = Op::Sort {
                axis: axis + 1,
                descending: *descending,
            };
            let x = lifted(cx, x)?;
            let tuple = cx.emit(op, &x)?;
            return results(cx, tuple, &vec![true; x.len()]);
        }
        Op::Call { .. } => return region::call(cx, op, x),
        Op::If { .. } => return region::branch(cx, op, x),
        Op::While { .. } => return region::while_loop(cx, op, x),
        Op::Loop { .. } => return region::counted_loop(cx, op, x),
        Op::Custom { target, results } => return custom(cx, target, results, x),
    };
    let batched = true;
    Ok(Slot::Tensor(Lane { node, batched }))
}

/// The operation as it is, on operands without batch axes.
pub(super) fn copy(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    let operands: Vec<NodeId> = x.iter().map(|x| x.node).collect();
    let node = cx.emit(op.clone(), &operands)?;
    let count = match &cx.graph().node(node).ty {
        Type::Tensor(_) => {
            let batched = false;
            return Ok(Slot::Tensor(Lane { node, batched }));
        }
        Type::Tuple(types) => types.len(),
    };
    results(cx, node, &vec![false; count])
}

/// The results of a tuple, of which those marked have a batch axis.
pub(super) fn results(cx: &mut Cx<'_>, tuple: NodeId, batched: &[bool]) -> Result<Slot> {
    let mut lanes = Vec::with_capacity(batched.len());
    for (i, &batched) in batched.iter().enumerate() {
        let node = cx.get(tuple, i)?;
        lanes.push(Lane { node, batched });
    }
    Ok(Slot::Tuple(lanes))
}

/// A function of the library takes batches as they are.
fn custom(cx: &mut Cx<'_>, target: &Custom, types: &[TensorType], x: &[Lane]) -> Result<Slot> {
    let op = |types| Op::Custom {
        target: target.clone(),
        results: types,
    };
    if let Custom::Host(..) = target {
        return sequence::in_turn(cx, &op(types.to_vec()), x);
    }
    let lead = |ty: &TensorType| TensorType {
        dtype: ty.dtype,
        dims: cx.lead(&ty.dims),
    };
    let op = op(types.iter().map(lead).collect());
    let x = lifted(cx, x)?;
    let tuple = cx.emit(op, &x)?;
    results(cx, tuple, &vec![true; types.len()])
}

/// All operands with a batch axis.
pub(super) fn lifted(cx: &mut Cx<'_>, x: &[Lane]) -> Result<Vec<NodeId>> {
    x.iter().map(|&x| cx.lift(x)).collect()
}

/// Axes behind a new first one.
pub(super) fn behind(axes: &[u32]) -> Vec<u32> {
    axes.iter().map(|a| a + 1).collect()
}

/// An operation with one operand, which leaves the batch axis in front of it alone.
fn one_operand(cx: &Cx<'_>, op: &Op) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Reshape { dims } | Op::Expand { dims } => *dims = cx.lead(dims),
        Op::Permute { perm } => {
            *perm = behind(perm);
            perm.insert(0, 0);
        }
        Op::Slice { start, len, step } => {
            start.insert(0, Dim::ZERO);
            *len = cx.lead(len);
            step.insert(0, 1);
        }
        Op::Reduce { axes, .. } => *axes = behind(axes),
        Op::Window { axis, .. } | Op::Scan { axis, .. } | Op::Fold { axis, .. } => *axis += 1,
        _ => {}
    }
    op
}

/// A draw for all elements, or one of the batch's size: the number of an element counts the random
/// bits, so that every element has bits of its own.
fn random(cx: &mut Cx<'_>, op: &Op, dims: &Dims, x: &[Lane]) -> Result<Slot> {
    if x.iter().any(|x| x.batched) {
        return sequence::in_turn(cx, op, x);
    }
    match cx.shared.randomness {
        Randomness::Same => copy(cx, op, x),
        Randomness::Error => Err(VmapError::Random {
            source: cx.builder.source().cloned(),
        }),
        Randomness::Different => {
            let mut op = op.clone();
            if let Op::Random { dims: drawn, .. } = &mut op {
                *drawn = cx.lead(dims);
            }
            let node = cx.emit(op, &[x[0].node, x[1].node])?;
            let batched = true;
            Ok(Slot::Tensor(Lane { node, batched }))
        }
    }
}

/// Fill values that differ between elements are put where a padded mask says.
fn pad(cx: &mut Cx<'_>, [low, high, interior]: [&Dims; 3], x: &[Lane]) -> Result<NodeId> {
    let [tensor, fill] = [x[0], x[1]];
    let padding = |batched: bool| {
        let zero = batched.then_some(Dim::ZERO);
        let list = |dims: &Dims| zero.iter().chain(dims).cloned().collect();
        Op::Pad {
            low: list(low),
            high: list(high),
            interior: list(interior),
        }
    };
    if !fill.batched {
        return Ok(cx.emit(padding(true), &[tensor.node, fill.node])?);
    }
    let value = Scalar::from_f64(cx.dtype(fill.node), 0.0);
    let zero = cx.emit(Op::Const { value }, &[])?;
    let node = cx.emit(padding(tensor.batched), &[tensor.node, zero])?;
    let padded = cx.lift(Lane { node, ..tensor })?;
    let own = cx.dims(tensor.node);
    let own: Dims = own.into_iter().skip(tensor.batched.into()).collect();
    let truth = |value| Scalar::from_i64(DType::Bool, value);
    let inside = cx.splat(truth(1), &own)?;
    let value = truth(0);
    let outside = cx.emit(Op::Const { value }, &[])?;
    let node = cx.emit(padding(false), &[inside, outside])?;
    let batched = false;
    let mask = cx.lift(Lane { node, batched })?;
    let dims = cx.dims(padded);
    let fill = cx.along(fill.node, &dims)?;
    Ok(cx.select(mask, padded, fill)?)
}
