//! Arithmetic on f16 and bf16 is arithmetic in f32 and a rounding. Written out, other passes need
//! not know half floats at all: they are loaded, stored, moved, selected and converted.

use super::{Rule, exact};
use crate::canon::expr::Expr;
use crate::canon::facts::Facts;
use lazulite_ir::{Combine, DType, Node, NodeId, Op};

fn is_half(d: DType) -> bool {
    d.compute() != d
}

fn wide(x: NodeId) -> Expr {
    Expr::cast(x, DType::F32)
}

/// True when the operation takes half floats in its first operand.
fn takes_half(f: &Facts<'_>, n: &Node) -> bool {
    n.inputs.first().is_some_and(|&x| is_half(f.dtype(x)))
}

pub(super) const HALF: &[Rule] = &[
    exact(
        "half-arithmetic",
        "functions of half floats are those of f32, rounded",
        |f, n| {
            let pointwise = matches!(n.op, Op::Unary { .. } | Op::Binary { .. });
            (pointwise && takes_half(f, n)).then(|| {
                let operands = n.inputs.iter().map(|&x| wide(x)).collect();
                rounded(f, n, Expr::Op(n.op.clone(), operands))
            })
        },
    ),
    exact(
        "half-compare",
        "f32 orders half floats as they order themselves",
        |f, n| {
            let compare = matches!(n.op, Op::Compare { .. });
            (compare && takes_half(f, n)).then(|| {
                let operands = n.inputs.iter().map(|&x| wide(x)).collect();
                Expr::Op(n.op.clone(), operands)
            })
        },
    ),
    exact(
        "half-aggregate",
        "half floats are summed and multiplied in f32, and the result is rounded",
        |f, n| {
            let sums = matches!(n.op, Op::Reduce { .. } | Op::Scan { .. } | Op::Fold { .. });
            (sums && takes_half(f, n))
                .then(|| rounded(f, n, Expr::op(n.op.clone(), wide(n.inputs[0]))))
        },
    ),
    exact(
        "half-scatter",
        "updates are added to or multiplied into half floats in f32",
        |f, n| {
            let Op::Scatter {
                combine: Some(Combine::Sum | Combine::Prod),
                ..
            } = n.op
            else {
                return None;
            };
            takes_half(f, n).then(|| {
                let [x, updates] = [wide(n.inputs[0]), wide(n.inputs[1])];
                let indices = n.inputs[2..].iter().map(|&i| Expr::Node(i));
                let operands = [x, updates].into_iter().chain(indices).collect();
                rounded(f, n, Expr::Op(n.op.clone(), operands))
            })
        },
    ),
    exact(
        "half-contract",
        "products of half floats are exact in f32, where they are summed",
        |f, n| {
            let Op::Contract { acc, .. } = &n.op else {
                return None;
            };
            // Some machines take half floats and sum in f32.
            let narrow = f.half_products();
            let done = narrow && !is_half(*acc);
            (takes_half(f, n) && !done).then(|| {
                let mut op = n.op.clone();
                if let Op::Contract { acc, .. } = &mut op {
                    *acc = acc.compute();
                }
                let operands = n.inputs.iter().map(|&x| match narrow {
                    true => Expr::Node(x),
                    false => Expr::cast(x, acc.compute()),
                });
                let wide = Expr::Op(op, operands.collect());
                if is_half(*acc) {
                    Expr::Round(Box::new(wide), *acc)
                } else {
                    wide
                }
            })
        },
    ),
];

/// The result of f32 arithmetic as the half float that the operation promises.
fn rounded(f: &Facts<'_>, n: &Node, wide: Expr) -> Expr {
    Expr::Round(Box::new(wide), f.dtype(n.inputs[0]))
}
