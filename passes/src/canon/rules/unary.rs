//! Functions of one element.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use lazulite_ir::{Node, Op, Unary, scalar_ops};

fn function(n: &Node) -> Option<Unary> {
    match n.op {
        Op::Unary { f } => Some(f),
        _ => None,
    }
}

pub(super) const UNARY: &[Rule] = &[
    exact(
        "fold-unary",
        "a function of a constant is a constant",
        |f, n| {
            let value = scalar_ops::unary(function(n)?, f.splat(n.inputs[0])?)?;
            Some(Expr::Splat(value, f.dims(n.inputs[0]).clone()))
        },
    ),
    exact(
        "neg-neg",
        "negation flips the sign, or wraps around: twice is nothing",
        |f, n| match function(n)? {
            Unary::Neg => f.of_unary(Unary::Neg, n.inputs[0]).map(Expr::Node),
            _ => None,
        },
    ),
    exact(
        "abs-neg",
        "the absolute value does not see the sign (but a negated unsigned number is another)",
        |f, n| match function(n)? {
            Unary::Abs if !f.dtype(n.inputs[0]).is_unsigned_int() => {
                let x = f.of_unary(Unary::Neg, n.inputs[0])?;
                Some(Expr::unary(Unary::Abs, x))
            }
            _ => None,
        },
    ),
    exact(
        "abs-abs",
        "an absolute value is its own (the smallest integer's wraps to itself)",
        |f, n| match function(n)? {
            Unary::Abs if f.dtype(n.inputs[0]).is_unsigned_int() => Some(n.inputs[0].into()),
            Unary::Abs => f
                .of_unary(Unary::Abs, n.inputs[0])
                .map(|_| n.inputs[0].into()),
            _ => None,
        },
    ),
    exact(
        "round-rounded",
        "a whole number stays itself when rounded",
        |f, n| {
            let whole = |g: &Op| {
                matches!(
                    g,
                    Op::Unary {
                        f: Unary::Floor | Unary::Round
                    }
                )
            };
            (whole(&n.op) && whole(f.op(n.inputs[0]))).then(|| n.inputs[0].into())
        },
    ),
];
