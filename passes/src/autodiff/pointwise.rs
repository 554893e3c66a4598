//! Derivatives of the functions of one and two elements. Values where PyTorch's choice matters
//! (ties, zeros, infinities) are PyTorch's.

use super::Result;
use super::context::Cx;
use super::linear::{Linear, Map};
use crate::build::Emit;
use lazulite_ir::{Binary, NodeId, Op, Predicate, Unary};

/// The derivative of `y = f(x)`.
pub(super) fn unary(cx: &mut Cx<'_, '_>, f: Unary, x: NodeId, y: NodeId) -> Result<Vec<Map>> {
    let times = |factor| vec![Map::Times(factor)];
    let over = |divisor| vec![Map::Over(divisor)];
    Ok(match f {
        Unary::Neg => vec![Map::Negate],
        Unary::Abs => abs(cx, x, y)?,
        Unary::Floor | Unary::Round => {
            let ty = cx.ty(x).clone();
            let (from, to) = (ty.clone(), ty);
            vec![Map::Zero { from, to }]
        }
        Unary::Sqrt => over(cx.binary(Binary::Add, y, y)?),
        Unary::Exp => times(y),
        Unary::Expm1 => times(plus_one(cx, y)?),
        Unary::Log => over(x),
        Unary::Log1p => over(plus_one(cx, x)?),
        Unary::Sin => times(cx.unary(Unary::Cos, x)?),
        Unary::Cos => {
            let sin = cx.unary(Unary::Sin, x)?;
            times(cx.unary(Unary::Neg, sin)?)
        }
        Unary::Tanh => {
            let square = cx.binary(Binary::Mul, y, y)?;
            let one = cx.number_like(1.0, x)?;
            times(cx.sub(one, square)?)
        }
        Unary::Atan => {
            let square = cx.binary(Binary::Mul, x, x)?;
            over(plus_one(cx, square)?)
        }
        Unary::Erf => {
            let square = cx.binary(Binary::Mul, x, x)?;
            let minus = cx.unary(Unary::Neg, square)?;
            let bell = cx.unary(Unary::Exp, minus)?;
            let scale = cx.number_like(std::f64::consts::FRAC_2_SQRT_PI, x)?;
            times(cx.binary(Binary::Mul, bell, scale)?)
        }
    })
}

fn plus_one(cx: &mut Cx<'_, '_>, x: NodeId) -> Result<NodeId> {
    let one = cx.number_like(1.0, x)?;
    Ok(cx.binary(Binary::Add, x, one)?)
}

/// The sign, 0 at 0. Of a complex number: the projection onto its direction, as a complex number.
fn abs(cx: &mut Cx<'_, '_>, x: NodeId, y: NodeId) -> Result<Vec<Map>> {
    let zero = cx.number_like(0.0, x)?;
    if !cx.dtype(x).is_complex() {
        let [one, minus] = [cx.number_like(1.0, x)?, cx.number_like(-1.0, x)?];
        let above = cx.compare(Predicate::Lt, zero, x)?;
        let below = cx.compare(Predicate::Lt, x, zero)?;
        let rest = cx.select(below, minus, zero)?;
        return Ok(vec![Map::Times(cx.select(above, one, rest)?)]);
    }
    let at_zero = cx.compare(Predicate::Eq, x, zero)?;
    let one = cx.number_like(1.0, x)?;
    let safe = cx.select(at_zero, one, y)?;
    let kept = cx.keep(x, at_zero, false)?;
    let direction = cx.binary(Binary::Div, kept, safe)?;
    let conjugate = cx.conj(direction)?;
    let from = cx.ty(x).clone();
    let mut real = from.clone();
    real.dtype = real.dtype.real();
    let project = Map::Primitive {
        op: Linear::Real,
        from,
    };
    Ok(vec![
        Map::Times(conjugate),
        project,
        Map::Part { imaginary: false },
    ])
}

/// The derivative of `y = f(a, b)` with respect to one operand; `None` if there is none.
pub(super) fn binary(
    cx: &mut Cx<'_, '_>,
    f: Binary,
    [a, b]: [NodeId; 2],
    y: NodeId,
    operand: usize,
) -> Result<Option<Vec<Map>>> {
    Ok(Some(match (f, operand) {
        (Binary::Add, _) => Vec::new(),
        (Binary::Mul, 0) => vec![Map::Times(b)],
        (Binary::Mul, _) => vec![Map::Times(a)],
        (Binary::Div, 0) => vec![Map::Over(b)],
        (Binary::Div, _) => {
            let ratio = cx.binary(Binary::Div, y, b)?;
            vec![Map::Times(ratio), Map::Negate]
        }
        (Binary::Rem, 0) => Vec::new(),
        (Binary::Rem, _) => {
            // Minus the quotient: what was subtracted, in units of the divisor.
            let multiple = cx.sub(y, a)?;
            let quotient = cx.binary(Binary::Div, multiple, b)?;
            vec![Map::Times(cx.unary(Unary::Round, quotient)?)]
        }
        (Binary::Max, 0) => extremum(cx, a, b, [a, b])?,
        (Binary::Max, _) => extremum(cx, a, b, [b, a])?,
        (Binary::Min, 0) => extremum(cx, a, b, [b, a])?,
        (Binary::Min, _) => extremum(cx, a, b, [a, b])?,
        (Binary::Pow, 0) => pow_base(cx, a, b)?,
        (Binary::Pow, _) => pow_exponent(cx, a, b, y)?,
        (Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr, _) => return Ok(None),
    }))
}

/// Nothing where `below < above`, half where both are equal: each gets the same share.
fn extremum(
    cx: &mut Cx<'_, '_>,
    a: NodeId,
    b: NodeId,
    [below, above]: [NodeId; 2],
) -> Result<Vec<Map>> {
    let loses = cx.compare(Predicate::Lt, below, above)?;
    let tie = cx.compare(Predicate::Eq, a, b)?;
    let [half, one] = [cx.number_like(0.5, a)?, cx.number_like(1.0, a)?];
    let share = cx.select(tie, half, one)?;
    Ok(vec![
        Map::Keep {
            mask: loses,
            when: false,
        },
        Map::Times(share),
    ])
}

/// `b * a^(b - 1)`, and 0 where the exponent is 0, whatever the base.
fn pow_base(cx: &mut Cx<'_, '_>, a: NodeId, b: NodeId) -> Result<Vec<Map>> {
    let constant = cx.equals(b, 0.0)?;
    let one = cx.number_like(1.0, b)?;
    // Inside the mask the power must be finite, for derivatives of this one.
    let exponent = cx.select(constant, one, b)?;
    let less = cx.sub(exponent, one)?;
    let power = cx.binary(Binary::Pow, a, less)?;
    let slope = cx.binary(Binary::Mul, exponent, power)?;
    Ok(vec![
        Map::Keep {
            mask: constant,
            when: false,
        },
        Map::Times(slope),
    ])
}

/// `a^b * log(a)`, and 0 where the base is 0 and the exponent is not negative.
fn pow_exponent(cx: &mut Cx<'_, '_>, a: NodeId, b: NodeId, y: NodeId) -> Result<Vec<Map>> {
    let base_zero = cx.equals(a, 0.0)?;
    let real = if cx.dtype(b).is_complex() {
        cx.emit(Op::Real {}, &[b])?
    } else {
        b
    };
    let zero = cx.number_like(0.0, real)?;
    let not_negative = cx.compare(Predicate::Le, zero, real)?;
    let flat = cx.binary(Binary::And, base_zero, not_negative)?;
    let one = cx.number_like(1.0, a)?;
    let base = cx.select(flat, one, a)?;
    let log = cx.unary(Unary::Log, base)?;
    let slope = cx.binary(Binary::Mul, y, log)?;
    Ok(vec![
        Map::Keep {
            mask: flat,
            when: false,
        },
        Map::Times(slope),
    ])
}
