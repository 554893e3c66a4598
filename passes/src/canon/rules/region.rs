//! Control flow that is known. Bodies have been simplified before.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use crate::canon::fold;
use lazulite_ir::{Dim, Node, NodeId, Op};
use std::sync::Arc;

fn exprs(ids: &[NodeId]) -> Vec<Expr> {
    ids.iter().map(|&id| id.into()).collect()
}

pub(super) const REGION: &[Rule] = &[
    exact("if-constant", "a known condition has one branch", |f, n| {
        let Op::If { then, other } = &n.op else {
            return None;
        };
        let branch = if fold::is_true(f.splat(n.inputs[0])?) {
            then
        } else {
            other
        };
        Some(Expr::Splice(branch.clone(), exprs(&n.inputs[1..])))
    }),
    exact("if-same", "two equal branches need no condition", |_, n| {
        let Op::If { then, other } = &n.op else {
            return None;
        };
        let same = Arc::ptr_eq(then, other) || then == other;
        same.then(|| Expr::Splice(then.clone(), exprs(&n.inputs[1..])))
    }),
    exact(
        "while-never",
        "a loop whose condition is false from the start leaves its carries as they are",
        |_, n| {
            let Op::While { carries, cond, .. } = &n.op else {
                return None;
            };
            let verdict = &cond.node(*cond.outputs().first()?).op;
            let value = fold::boolean(false);
            (*verdict == Op::Const { value })
                .then(|| Expr::Results(exprs(&n.inputs[..*carries as usize])))
        },
    ),
    exact(
        "loop-never",
        "a loop of no iterations leaves its carries as they are and stacks nothing",
        |_, n| {
            let Op::Loop {
                trip,
                carries,
                body,
                ..
            } = &n.op
            else {
                return None;
            };
            let carries = *carries as usize;
            let mut results = exprs(n.inputs.get(..carries)?);
            for ty in body.output_types().into_iter().skip(carries) {
                let dims = [Dim::ZERO].into_iter().chain(ty.dims).collect();
                results.push(Expr::Splat(fold::number(ty.dtype, 0), dims));
            }
            trip.is(0).then_some(Expr::Results(results))
        },
    ),
];

pub(super) const GET: &[Rule] = &[exact(
    "get-invariant",
    "a carry that the body hands on untouched keeps its first value",
    |f, n| {
        let Op::Get { index } = n.op else {
            return None;
        };
        unchanged(f.node(n.inputs[0]), index as usize).map(Expr::Node)
    },
)];

/// The operand that is carry number `index` for the whole loop.
fn unchanged(region: &Node, index: usize) -> Option<NodeId> {
    let (carries, body, first) = match &region.op {
        Op::While { carries, body, .. } => (*carries, body, 0),
        Op::Loop { carries, body, .. } => (*carries, body, 1),
        _ => return None,
    };
    let handed_on = body.outputs().get(index) == body.inputs().get(first + index);
    (index < carries as usize && handed_on).then(|| region.inputs[index])
}
