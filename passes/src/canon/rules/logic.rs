//! Comparisons and selection.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use crate::canon::facts::Facts;
use crate::canon::fold::{boolean, is_true};
use lazulite_ir::{Binary, DType, Node, NodeId, Op, Predicate, scalar_ops};

fn predicate(n: &Node) -> Option<Predicate> {
    match n.op {
        Op::Compare { predicate } => Some(predicate),
        _ => None,
    }
}

/// `x` where it is not, as one canonical operation.
fn not(f: &Facts<'_>, x: NodeId) -> Expr {
    Expr::binary(
        Binary::Xor,
        x,
        Expr::Splat(boolean(true), f.dims(x).clone()),
    )
}

/// The operand of [`not`].
fn negated(f: &Facts<'_>, x: NodeId) -> Option<NodeId> {
    let n = f.node(x);
    let xor = n.op == Op::Binary { f: Binary::Xor } && f.dtype(x) == DType::Bool;
    (xor && f.splat(n.inputs[1]).is_some_and(is_true)).then(|| n.inputs[0])
}

pub(super) const COMPARE: &[Rule] = &[
    exact(
        "fold-compare",
        "a comparison of constants is known",
        |f, n| {
            let [a, b] = [f.splat(n.inputs[0])?, f.splat(n.inputs[1])?];
            let value = boolean(scalar_ops::compare(predicate(n)?, a, b)?);
            Some(Expr::Splat(value, f.dims(n.inputs[0]).clone()))
        },
    ),
    exact(
        "compare-same",
        "a value is not less than itself, and no integer differs from itself (NaN does)",
        |f, n| {
            let x = n.inputs[0];
            let ordered = !f.dtype(x).is_float() && !f.dtype(x).is_complex();
            let value = match predicate(n)? {
                Predicate::Lt => false,
                Predicate::Ne if ordered => false,
                Predicate::Eq | Predicate::Le if ordered => true,
                Predicate::Eq | Predicate::Le | Predicate::Ne => return None,
            };
            (n.inputs[1] == x).then(|| Expr::Splat(boolean(value), f.dims(x).clone()))
        },
    ),
    exact(
        "order-equality",
        "equality is symmetric: constants last, so that equal comparisons are found",
        |f, n| {
            let key = |id: NodeId| (f.splat(id).is_some(), id);
            let (a, b) = (n.inputs[0], n.inputs[1]);
            let symmetric = matches!(predicate(n)?, Predicate::Eq | Predicate::Ne);
            (symmetric && key(b) < key(a)).then(|| Expr::Op(n.op.clone(), vec![b.into(), a.into()]))
        },
    ),
    exact(
        "compare-bool",
        "a bool compared with a constant is that bool or its negation",
        |f, n| {
            let (x, p) = (n.inputs[0], predicate(n)?);
            let value = f.splat(n.inputs[1]).filter(|c| c.dtype() == DType::Bool)?;
            match (p, is_true(value)) {
                (Predicate::Eq, true) | (Predicate::Ne, false) => Some(x.into()),
                (Predicate::Eq, false) | (Predicate::Ne, true) => Some(not(f, x)),
                (Predicate::Lt | Predicate::Le, _) => None,
            }
        },
    ),
    exact(
        "compare-unsigned-zero",
        "no unsigned number is below 0",
        |f, n| {
            let zero = |id| {
                f.splat(id)
                    .is_some_and(|c| c.dtype().is_unsigned_int() && c.bits() == 0)
            };
            let value = match predicate(n)? {
                Predicate::Lt if zero(n.inputs[1]) => false,
                Predicate::Le if zero(n.inputs[0]) => true,
                _ => return None,
            };
            let dims = f.dims(n.inputs[0]).clone();
            Some(Expr::Splat(boolean(value), dims))
        },
    ),
];

pub(super) const SELECT: &[Rule] = &[
    exact(
        "select-constant",
        "with a known condition only one branch is seen",
        |f, n| {
            let condition = f.splat(n.inputs[0])?;
            let (seen, other) = if is_true(condition) { (1, 2) } else { (2, 1) };
            (!f.may_fault(n.inputs[other])).then(|| n.inputs[seen].into())
        },
    ),
    exact(
        "select-equal",
        "equal branches need no condition",
        |f, n| {
            let equal = n.inputs[1] == n.inputs[2] && !f.may_fault(n.inputs[0]);
            equal.then(|| n.inputs[1].into())
        },
    ),
    exact(
        "select-bools",
        "true where true and false elsewhere is the condition itself",
        |f, n| {
            let (a, b) = (f.splat(n.inputs[1])?, f.splat(n.inputs[2])?);
            match (a.dtype(), is_true(a), is_true(b)) {
                (DType::Bool, true, false) => Some(n.inputs[0].into()),
                (DType::Bool, false, true) => Some(not(f, n.inputs[0])),
                _ => None,
            }
        },
    ),
    exact(
        "select-not",
        "a negated condition exchanges the branches",
        |f, n| {
            let condition = negated(f, n.inputs[0])?;
            Some(Expr::select(condition, n.inputs[2], n.inputs[1]))
        },
    ),
    exact(
        "select-select",
        "inside a branch its own condition is known",
        |f, n| {
            let branch = |branch: usize| {
                let inner = f.node(n.inputs[branch]);
                let same = inner.op == Op::Select {} && inner.inputs[0] == n.inputs[0];
                (same && !f.may_fault(inner.inputs[3 - branch])).then(|| inner.inputs[branch])
            };
            let (a, b) = (branch(1), branch(2));
            (a.is_some() || b.is_some()).then(|| {
                let (a, b) = (a.unwrap_or(n.inputs[1]), b.unwrap_or(n.inputs[2]));
                Expr::select(n.inputs[0], a, b)
            })
        },
    ),
];
