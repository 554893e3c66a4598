//! Functions of two elements. Identities on floats hold for -0, infinities and NaN too: `x + 0` is
//! not `x` (for -0), `x * 0` is not 0, and `x - x` is not 0.

use super::{Rule, exact, order};
use crate::canon::expr::Expr;
use crate::canon::facts::Facts;
use crate::canon::fold::{self, is_number, neutral_of_add, number};
use lazulite_ir::{Binary, Combine, DType, Node, NodeId, Op, Scalar, Unary, scalar_ops};

fn function(n: &Node) -> Option<Binary> {
    match n.op {
        Op::Binary { f } => Some(f),
        _ => None,
    }
}

/// The function and the constant on its right.
fn with_constant(f: &Facts<'_>, n: &Node) -> Option<(Binary, Scalar)> {
    Some((function(n)?, f.splat(n.inputs[1])?))
}

/// The left operand if `keeps` says so of the function and the constant on the right.
fn left_if(f: &Facts<'_>, n: &Node, keeps: fn(Binary, Scalar) -> bool) -> Option<Expr> {
    let (function, c) = with_constant(f, n)?;
    keeps(function, c).then(|| n.inputs[0].into())
}

fn is_real_number(d: DType) -> bool {
    d.is_int() || d.is_float()
}

/// Functions whose operands may be exchanged. The larger and smaller of the two zeros, and of two
/// NaN, depend on the order, so those of floats are not among them.
pub(crate) fn commutes(function: Binary, dtype: DType) -> bool {
    match function {
        Binary::Add | Binary::Mul | Binary::And | Binary::Or | Binary::Xor => true,
        Binary::Max | Binary::Min => !dtype.is_float(),
        Binary::Div | Binary::Rem | Binary::Pow | Binary::Shl | Binary::Shr => false,
    }
}

pub(super) const BINARY: &[Rule] = &[
    exact(
        "fold-binary",
        "a function of constants is a constant",
        |f, n| {
            let [a, b] = [f.splat(n.inputs[0])?, f.splat(n.inputs[1])?];
            let value = fold::binary(function(n)?, a, b)?;
            Some(Expr::Splat(value, f.dims(n.inputs[0]).clone()))
        },
    ),
    exact(
        "order-operands",
        "operands that may be exchanged stand in one order, constants last, so that equal \
         operations are found and other rules need not look twice",
        |f, n| {
            let key = |id: NodeId| (f.splat(id).is_some(), id);
            let (a, b) = (n.inputs[0], n.inputs[1]);
            (commutes(function(n)?, f.dtype(a)) && key(b) < key(a))
                .then(|| Expr::Op(n.op.clone(), vec![b.into(), a.into()]))
        },
    ),
    exact(
        "add-neutral",
        "adding 0 to an integer, or -0 to a float, changes nothing",
        |f, n| {
            left_if(f, n, |g, c| {
                g == Binary::Add && c == neutral_of_add(c.dtype())
            })
        },
    ),
    exact(
        "mul-one",
        "multiplying or dividing by 1 changes nothing",
        |f, n| {
            left_if(f, n, |g, c| {
                matches!(g, Binary::Mul | Binary::Div) && !c.dtype().is_complex() && is_number(c, 1)
            })
        },
    ),
    exact(
        "mul-minus-one",
        "multiplying or dividing by -1 negates, infinities and the smallest integer included",
        |f, n| {
            let (g, c) = with_constant(f, n)?;
            let signed = c.dtype().is_float() || c.dtype().is_signed_int();
            (matches!(g, Binary::Mul | Binary::Div) && signed && is_number(c, -1))
                .then(|| Expr::unary(Unary::Neg, n.inputs[0]))
        },
    ),
    exact(
        "mul-neg",
        "the sign of a float product or quotient, and of an integer product modulo 2^n, goes \
         outside: there it meets others and cancels",
        |f, n| {
            let (g, [a, b]) = (function(n)?, [n.inputs[0], n.inputs[1]]);
            let sign_is_free = match g {
                Binary::Mul => is_real_number(f.dtype(a)),
                Binary::Div => f.dtype(a).is_float(),
                _ => false,
            };
            let positive = |x| f.of_unary(Unary::Neg, x);
            let (x, y) = match (positive(a), positive(b)) {
                (Some(a), _) => (a, b),
                (None, Some(b)) => (a, b),
                (None, None) => return None,
            };
            sign_is_free.then(|| Expr::unary(Unary::Neg, Expr::binary(g, x, y)))
        },
    ),
    exact(
        "div-power-of-two",
        "the reciprocal of a power of two is exact, and a product is cheaper than a quotient",
        |f, n| {
            let (g, c) = with_constant(f, n)?;
            let reciprocal = exact_reciprocal(c).filter(|_| g == Binary::Div)?;
            let dims = f.dims(n.inputs[1]).clone();
            let by = Expr::Splat(reciprocal, dims);
            Some(Expr::binary(Binary::Mul, n.inputs[0], by))
        },
    ),
    exact(
        "max-limit",
        "nothing is below the lowest value or above the highest (NaN stays NaN)",
        |f, n| {
            left_if(f, n, |g, c| match limited_by(g) {
                Some(kind) => Some(c) == scalar_ops::identity(kind, c.dtype()),
                None => false,
            })
        },
    ),
    exact(
        "pow-one",
        "the first power is the number itself, for every number",
        |f, n| {
            left_if(f, n, |g, c| {
                g == Binary::Pow && is_real_number(c.dtype()) && is_number(c, 1)
            })
        },
    ),
    exact(
        "pow-square-f32",
        "the exact square of an f32 is an f64, and rounds as the product does",
        |f, n| square(f, n, |d| d == DType::F32),
    ),
    order(
        "pow-square-f64",
        "one product is nearer to the square than any power function",
        |f, n| square(f, n, |d| d == DType::F64),
    ),
    exact("pow-zero", "the power 0 is 1, even of NaN", |f, n| {
        let (g, c) = with_constant(f, n)?;
        let fires = g == Binary::Pow && is_real_number(c.dtype()) && c.as_f64() == 0.0;
        fires.then(|| Expr::Splat(number(c.dtype(), 1), f.dims(n.inputs[0]).clone()))
    }),
];

/// The combination whose neutral element leaves the other operand of Max or Min.
fn limited_by(function: Binary) -> Option<Combine> {
    match function {
        Binary::Max => Some(Combine::Max),
        Binary::Min => Some(Combine::Min),
        _ => None,
    }
}

/// `1 / c` for a positive or negative power of two, if it is a normal number like `c`.
fn exact_reciprocal(c: Scalar) -> Option<Scalar> {
    let dtype = c.dtype();
    // Half floats are divided in f32; the rule then fires there.
    let (mantissa, least) = match dtype {
        DType::F32 => (23, f64::from(f32::MIN_POSITIVE)),
        DType::F64 => (52, f64::MIN_POSITIVE),
        _ => return None,
    };
    let value = c.as_f64();
    let power_of_two = c.bits() & ((1 << mantissa) - 1) == 0;
    let reciprocal = 1.0 / value;
    let normal = |v: f64| v.is_finite() && v.abs() >= least;
    (power_of_two && normal(value) && normal(reciprocal))
        .then(|| Scalar::from_f64(dtype, reciprocal))
}

/// Rules for integers and bools, whose arithmetic is exact modulo 2^n.
pub(super) const INTEGER: &[Rule] = &[
    exact("int-add-neg", "an integer less itself is 0", |f, n| {
        let (a, b) = (n.inputs[0], n.inputs[1]);
        let opposite = f.of_unary(Unary::Neg, b) == Some(a) || f.of_unary(Unary::Neg, a) == Some(b);
        let fires = function(n)? == Binary::Add && opposite && f.dtype(a).is_int();
        fires.then(|| zero_like(f, a))
    }),
    exact("int-mul-zero", "0 times an integer is 0", |f, n| {
        let (g, c) = with_constant(f, n)?;
        let fires = matches!(g, Binary::Mul | Binary::And) && is_bits(c.dtype()) && c.bits() == 0;
        fires.then(|| zero_like(f, n.inputs[0]))
    }),
    exact("int-rem-one", "the remainder by 1 is 0", |f, n| {
        let (g, c) = with_constant(f, n)?;
        (g == Binary::Rem && c.dtype().is_int() && is_number(c, 1))
            .then(|| zero_like(f, n.inputs[0]))
    }),
    exact(
        "int-same-operands",
        "and, or, max and min of a value with itself are that value, and exclusive or is 0; for \
         bool, sum and product are or and and",
        |f, n| {
            let (x, dtype) = (n.inputs[0], f.dtype(n.inputs[0]));
            if n.inputs[1] != x || !is_bits(dtype) {
                return None;
            }
            match function(n)? {
                Binary::And | Binary::Or | Binary::Max | Binary::Min => Some(x.into()),
                Binary::Add | Binary::Mul if dtype == DType::Bool => Some(x.into()),
                Binary::Xor => Some(zero_like(f, x)),
                _ => None,
            }
        },
    ),
    exact(
        "bits-neutral",
        "or, exclusive or and shifts with 0 change nothing, nor does and with all ones",
        |f, n| {
            left_if(f, n, |g, c| match g {
                Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => c.bits() == 0,
                Binary::And => c == all_ones(c.dtype()),
                _ => false,
            })
        },
    ),
    exact("or-ones", "or with all ones is all ones", |f, n| {
        let (g, c) = with_constant(f, n)?;
        let or = g == Binary::Or || (g == Binary::Add && c.dtype() == DType::Bool);
        (or && c == all_ones(c.dtype())).then(|| n.inputs[1].into())
    }),
    exact(
        "int-reassociate",
        "two constants in a chain become one: integer arithmetic is associative",
        |f, n| {
            let (g, outer) = with_constant(f, n)?;
            let inner = f.node(n.inputs[0]);
            let associative = commutes(g, outer.dtype()) && is_bits(outer.dtype());
            if !associative || inner.op != n.op {
                return None;
            }
            let c = scalar_ops::binary(g, f.splat(inner.inputs[1])?, outer)?;
            let c = Expr::Splat(c, f.dims(n.inputs[1]).clone());
            Some(Expr::binary(g, inner.inputs[0], c))
        },
    ),
    exact(
        "int-square",
        "the second power of an integer is one product",
        |f, n| square(f, n, DType::is_int),
    ),
];

/// The product for a second power in one of the given types.
fn square(f: &Facts<'_>, n: &Node, of: fn(DType) -> bool) -> Option<Expr> {
    let (g, c) = with_constant(f, n)?;
    (g == Binary::Pow && of(c.dtype()) && is_number(c, 2))
        .then(|| Expr::binary(Binary::Mul, n.inputs[0], n.inputs[0]))
}

fn is_bits(d: DType) -> bool {
    d.is_int() || d == DType::Bool
}

fn all_ones(dtype: DType) -> Scalar {
    Scalar::from_bits(dtype, u128::MAX)
}

fn zero_like(f: &Facts<'_>, x: NodeId) -> Expr {
    Expr::Splat(number(f.dtype(x), 0), f.dims(x).clone())
}
