//! Conversions between element types.

use super::{Rule, exact, order};
use crate::canon::expr::Expr;
use crate::canon::facts::tensor;
use crate::canon::fold::embeds;
use lazulite_ir::{DType, Op, Scalar, scalar_ops};

pub(super) const CAST: &[Rule] = &[
    exact(
        "fold-cast",
        "a conversion of a constant is a constant",
        |f, n| {
            let (dims, dtype) = tensor(n)?;
            let value = scalar_ops::cast(f.splat(n.inputs[0])?, dtype);
            Some(Expr::Splat(value, dims.clone()))
        },
    ),
    exact(
        "cast-same",
        "every value has its own type already",
        |f, n| (f.dtype(n.inputs[0]) == tensor(n)?.1).then(|| n.inputs[0].into()),
    ),
    exact(
        "cast-through-wider",
        "a type that holds every value of the one before adds nothing on the way",
        |f, n| {
            let Op::Cast { dtype: between } = f.op(n.inputs[0]) else {
                return None;
            };
            let x = f.operand(n.inputs[0]);
            embeds(f.dtype(x), *between).then(|| Expr::op(n.op.clone(), x))
        },
    ),
    exact(
        "cast-integers",
        "integers wrap modulo 2^n: only the narrowest counts, if it comes last",
        |f, n| {
            let Op::Cast { dtype: between } = f.op(n.inputs[0]) else {
                return None;
            };
            let (x, to) = (f.operand(n.inputs[0]), tensor(n)?.1);
            let integers = [f.dtype(x), *between, to].iter().all(|d| d.is_int());
            (integers && to.size() <= between.size()).then(|| Expr::op(n.op.clone(), x))
        },
    ),
    order(
        "cast-up-rounded",
        "arithmetic on half floats need not round what it takes up again at once; a conversion \
         that the program itself asked for stays",
        |f, n| {
            let wide = matches!(tensor(n)?.1, DType::F32 | DType::F64);
            let x = f.before_rounding(n.inputs[0]).filter(|_| wide)?;
            Some(Expr::op(n.op.clone(), x))
        },
    ),
];

pub(super) const BITCAST: &[Rule] = &[
    exact(
        "fold-bitcast",
        "the bits of a constant are known",
        |f, n| {
            let (dims, dtype) = tensor(n)?;
            let value = scalar_ops::bitcast(f.splat(n.inputs[0])?, dtype)?;
            Some(Expr::Splat(value, dims.clone()))
        },
    ),
    exact("bitcast-same", "the bits have that type already", |f, n| {
        (f.dtype(n.inputs[0]) == tensor(n)?.1).then(|| n.inputs[0].into())
    }),
    exact(
        "bitcast-bitcast",
        "bits do not change on the way",
        |f, n| match f.op(n.inputs[0]) {
            Op::Bitcast { .. } => Some(Expr::op(n.op.clone(), f.operand(n.inputs[0]))),
            _ => None,
        },
    ),
];

pub(super) const COMPLEX: &[Rule] = &[
    exact(
        "fold-complex",
        "parts of constants are constants",
        |f, n| {
            let (dims, dtype) = tensor(n)?;
            let (re, im) = match n.op {
                Op::Complex {} => (
                    f.splat(n.inputs[0])?.as_f64(),
                    f.splat(n.inputs[1])?.as_f64(),
                ),
                Op::Imag {} => (f.splat(n.inputs[0])?.as_complex().1, 0.0),
                _ => (f.splat(n.inputs[0])?.as_f64(), 0.0),
            };
            Some(Expr::Splat(
                Scalar::from_complex(dtype, re, im),
                dims.clone(),
            ))
        },
    ),
    exact(
        "part-of-complex",
        "the parts are those it was made of",
        |f, n| {
            let parts = &f.node(n.inputs[0]).inputs;
            match (&n.op, f.op(n.inputs[0])) {
                (Op::Real {}, Op::Complex {}) => Some(parts[0].into()),
                (Op::Imag {}, Op::Complex {}) => Some(parts[1].into()),
                _ => None,
            }
        },
    ),
    exact(
        "complex-of-parts",
        "a number made of its own parts is itself",
        |f, n| {
            let Op::Complex {} = n.op else { return None };
            let parts = (f.op(n.inputs[0]), f.op(n.inputs[1]));
            let whole = f.node(n.inputs[0]).inputs.first().copied();
            let same = whole == f.node(n.inputs[1]).inputs.first().copied();
            (parts == (&Op::Real {}, &Op::Imag {}) && same)
                .then_some(whole)
                .flatten()
                .map(Expr::Node)
        },
    ),
    exact(
        "imag-of-real",
        "a converted real number has the imaginary part 0",
        |f, n| {
            let Op::Cast { .. } = f.op(n.inputs[0]) else {
                return None;
            };
            let x = f.operand(n.inputs[0]);
            if f.dtype(x).is_complex() {
                return None;
            }
            let (dims, dtype) = tensor(n)?;
            match n.op {
                Op::Real {} => Some(Expr::cast(x, dtype)),
                Op::Imag {} => Some(Expr::Splat(Scalar::from_f64(dtype, 0.0), dims.clone())),
                _ => None,
            }
        },
    ),
];
