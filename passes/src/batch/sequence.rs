//! The elements of a batch one after the other, for operations that have no form for all at once.

use super::context::{Cx, Lane};
use super::rules::results;
use super::sweep::Slot;
use super::{Randomness, Result};
use crate::build::Emit;
use lazulite_ir::{DType, Graph, NodeId, Op, TensorType, Type};
use std::sync::Arc;

/// A loop over the batch with the operation, which has a batched operand, as its body.
pub(super) fn in_turn(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    if cx.shared.randomness != Randomness::Same && cx.shared.known.draws(op) {
        let name = op.mnemonic();
        return Err(cx.none(format!(
            "`{name}` with random numbers inside, on which the elements of the batch do not agree, \
             can only share one draw (randomness \"same\")"
        )));
    }
    let (scanned, shared): (Vec<Lane>, Vec<Lane>) = x.iter().partition(|x| x.batched);
    let source = cx.builder.source().cloned();
    let types: Vec<TensorType> = x.iter().map(|x| element_type(cx, *x)).collect();
    let mut inner = cx.inner()?;
    inner.builder.at(source.as_ref());
    let iteration = TensorType::scalar(DType::I64);
    inner.builder.input(iteration);
    let mut operands = vec![NodeId(0); x.len()];
    for batched in [true, false] {
        for i in (0..x.len()).filter(|&i| x[i].batched == batched) {
            operands[i] = inner.builder.input(types[i].clone());
        }
    }
    let value = inner.emit(op.clone(), &operands)?;
    let several = match &inner.graph().node(value).ty {
        Type::Tensor(_) => None,
        Type::Tuple(types) => Some(types.len()),
    };
    let mut outputs = Vec::new();
    match several {
        None => outputs.push(value),
        Some(count) => {
            for i in 0..count {
                outputs.push(inner.get(value, i)?);
            }
        }
    }
    let stacks = vec![true; outputs.len()];
    let op = Op::Loop {
        body: Arc::new(inner.builder.finish(outputs, &Graph::new())),
        trip: cx.shared.size.clone(),
        carries: 0,
        scanned: scanned.len() as u32,
    };
    let operands: Vec<NodeId> = scanned.iter().chain(&shared).map(|x| x.node).collect();
    let tuple = cx.emit(op, &operands)?;
    match (several, results(cx, tuple, &stacks)?) {
        (None, Slot::Tuple(lanes)) => Ok(Slot::Tensor(lanes[0])),
        (_, slot) => Ok(slot),
    }
}

fn element_type(cx: &Cx<'_>, x: Lane) -> TensorType {
    let ty = cx.ty(x.node);
    let own = ty.dims.iter().skip(x.batched.into());
    TensorType::new(ty.dtype, own.cloned())
}
