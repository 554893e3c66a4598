//! `If`: the derivative of the branch that is taken. The reverse sweep computes the branch again.

use super::{Dual, duals_of, flattened, marked_results, pullback, pushforward};
use crate::autodiff::Result;
use crate::autodiff::context::Cx;
use crate::autodiff::linearise::Applied;
use crate::build::Emit;
use lazulite_ir::{Graph, NodeId, Op};
use std::sync::Arc;

/// Cotangents of the operands. An operand that one branch does not use has zeros from there.
pub(in crate::autodiff) fn pull(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    results: &[Option<NodeId>],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let Op::If { then, other } = at.op else {
        return Err(cx.none("only `if` is differentiated as `if`"));
    };
    let seeded: Vec<bool> = results.iter().map(Option::is_some).collect();
    let wanted = &wanted[1..];
    let never = vec![false; wanted.len()];
    let mut reached = never.clone();
    for body in [then, other] {
        let derived = pullback(cx, body, &seeded, wanted, &never)?;
        join(&mut reached, &derived.reached);
    }
    let op = Op::If {
        then: pullback(cx, then, &seeded, wanted, &reached)?.graph,
        other: pullback(cx, other, &seeded, wanted, &reached)?.graph,
    };
    let cotangents = results.iter().flatten().copied();
    let operands: Vec<NodeId> = at.operands.iter().copied().chain(cotangents).collect();
    let tuple = cx.emit(op, &operands)?;
    let mut found = vec![None];
    found.extend(marked_results(cx, tuple, 0, &reached)?);
    Ok(found)
}

/// Results with tangents. A result that one branch does not make depend on them has zeros there.
pub(in crate::autodiff) fn push(
    cx: &mut Cx<'_, '_>,
    [then, other]: [&Arc<Graph>; 2],
    operands: &[Dual],
) -> Result<Vec<Dual>> {
    let (condition, operands) = operands
        .split_first()
        .ok_or_else(|| cx.none("`if` without a condition"))?;
    let moving: Vec<bool> = operands.iter().map(|d| d.tangent.is_some()).collect();
    let never = vec![false; then.outputs().len()];
    let mut reached = never.clone();
    for body in [then, other] {
        let derived = pushforward(cx, body, &moving, &never)?;
        join(&mut reached, &derived.reached);
    }
    let op = Op::If {
        then: pushforward(cx, then, &moving, &reached)?.graph,
        other: pushforward(cx, other, &moving, &reached)?.graph,
    };
    let mut inputs = vec![condition.value];
    inputs.extend(flattened(operands));
    let tuple = cx.emit(op, &inputs)?;
    duals_of(cx, tuple, 0, &reached)
}

fn join(marks: &mut [bool], more: &[bool]) {
    for (mark, more) in marks.iter_mut().zip(more) {
        *mark |= more;
    }
}
