//! Quotients, powers and elementary functions of complex numbers, with the formulas and the
//! special cases of the interpreter. All are computed in f64 and rounded once, so that squares of
//! f32 neither overflow nor vanish.

use super::formula::{Formula, Num, Test};
use super::pair::Pair;
use crate::PassError;
use crate::build::{Builder, Emit};
use lazulite_ir::{Binary, DType, Unary};
use std::f64::consts::{FRAC_PI_2, PI};

/// A complex number in a formula.
#[derive(Clone, Copy)]
struct Z<'f> {
    re: Num<'f>,
    im: Num<'f>,
}

const fn z<'f>(re: Num<'f>, im: Num<'f>) -> Z<'f> {
    Z { re, im }
}

/// `f(x)`.
pub(super) fn unary(b: &mut Builder, f: Unary, x: Pair) -> Result<Pair, PassError> {
    let formula: for<'f> fn(Z<'f>) -> Z<'f> = match f {
        Unary::Neg => |x| z(-x.re, -x.im),
        Unary::Abs => |x| z(hypot(x), x.re.number(0.0)),
        Unary::Sqrt => sqrt,
        Unary::Exp => exp,
        Unary::Expm1 => expm1,
        Unary::Log => log,
        Unary::Log1p => log1p,
        Unary::Sin => sin,
        Unary::Cos => cos,
        Unary::Tanh => tanh,
        Unary::Floor | Unary::Round | Unary::Atan | Unary::Erf => {
            let what = format!("{f} is not defined on complex numbers");
            return Err(b.unsupported(what));
        }
    };
    evaluate(b, [x], |[x]| formula(x))
}

/// `f(x, y)` for quotients and powers.
pub(super) fn binary(b: &mut Builder, f: Binary, x: Pair, y: Pair) -> Result<Pair, PassError> {
    evaluate(b, [x, y], |[x, y]| match f {
        Binary::Pow => pow(x, y),
        _ => div(x, y),
    })
}

/// Adds a formula over the operands to the graph.
fn evaluate<const N: usize>(
    b: &mut Builder,
    operands: [Pair; N],
    write: impl for<'f> FnOnce([Z<'f>; N]) -> Z<'f>,
) -> Result<Pair, PassError> {
    let (dtype, dims) = (b.dtype(operands[0].re), b.dims(operands[0].re));
    let mut wide = operands;
    for pair in &mut wide {
        *pair = pair.map(|part| b.cast(part, DType::F64))?;
    }
    let formula = Formula::default();
    let result = write(wide.map(|p| z(formula.node(p.re), formula.node(p.im))));
    let [re, im] = formula.emit(b, &dims, [result.re, result.im])?;
    Pair { re, im }.map(|part| b.cast(part, dtype))
}

/// `a` where `test` holds, else `b`.
fn choose<'f>(test: Test<'f>, a: Z<'f>, b: Z<'f>) -> Z<'f> {
    z(test.choose(a.re, b.re), test.choose(a.im, b.im))
}

fn is_zero(x: Z<'_>) -> Test<'_> {
    x.re.is(0.0).and(x.im.is(0.0))
}

fn mul<'f>(a: Z<'f>, b: Z<'f>) -> Z<'f> {
    z(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
}

/// Scaled by the larger part of the divisor, so that nothing overflows on the way.
fn div<'f>(a: Z<'f>, b: Z<'f>) -> Z<'f> {
    let by_re = b.re.abs().ge(b.im.abs());
    let (large, small) = (by_re.choose(b.re, b.im), by_re.choose(b.im, b.re));
    let (u, v) = (by_re.choose(a.re, a.im), by_re.choose(a.im, a.re));
    let ratio = small / large;
    let scale = large + small * ratio;
    let difference = v - u * ratio;
    let quotient = z(
        (u + v * ratio) / scale,
        by_re.choose(difference, -difference) / scale,
    );
    let zero = b.re.abs();
    choose(is_zero(b), z(a.re / zero, a.im / zero), quotient)
}

/// The absolute value.
fn hypot(x: Z<'_>) -> Num<'_> {
    let (a, b) = (x.re.abs(), x.im.abs());
    let (large, small) = (a.max(b), a.min(b));
    let ratio = small / large;
    let size = large * (ratio * ratio + 1.0).sqrt();
    let infinite = a.is(f64::INFINITY).or(b.is(f64::INFINITY));
    let size = large.is(0.0).choose(large, size);
    infinite.choose(a.number(f64::INFINITY), size)
}

/// The angle of the point (x.re, x.im), in all quadrants.
fn angle(x: Z<'_>) -> Num<'_> {
    let (a, b) = (x.re.abs(), x.im.abs());
    let (large, small) = (a.max(b), a.min(b));
    let ratio = large.is(0.0).choose(large, small / large);
    let both_infinite = small.is(f64::INFINITY);
    let first = both_infinite.choose(a.number(1.0), ratio).atan();
    let steep = a.ge(b).choose(first, -first + FRAC_PI_2);
    let flat = x.re.is_negative().choose(-steep + PI, steep);
    flat.signed_as(x.im)
}

/// `e` to the `x` as two factors, of which the second is 1 unless the first overflows without it.
fn exp_factors(x: Num<'_>) -> (Num<'_>, Num<'_>) {
    let small = x.lt(700.0);
    let first = small.choose(x, x * 0.5).exp();
    (first, small.choose(x.number(1.0), first))
}

fn exp(x: Z<'_>) -> Z<'_> {
    let (first, second) = exp_factors(x.re);
    let general = z(first * x.im.cos() * second, first * x.im.sin() * second);
    let (zero, nan) = (x.re.number(0.0), x.re.number(f64::NAN));
    let up = x.re.gt(0.0);
    let limit = z(up.choose(x.re, zero), up.choose(nan, zero));
    let at_limit = choose(x.im.is_finite(), general, limit);
    let general = choose(x.re.is_infinite(), at_limit, general);
    choose(x.im.is(0.0), z(x.re.exp(), x.im), general)
}

fn expm1(x: Z<'_>) -> Z<'_> {
    let large = exp(x);
    let half = (x.im * 0.5).sin();
    let near = z(
        x.re.expm1() * x.im.cos() - half * half * 2.0,
        x.re.exp() * x.im.sin(),
    );
    let far = x.re.abs().gt(1.0);
    let general = choose(far, z(large.re - 1.0, large.im), near);
    choose(x.im.is(0.0), z(x.re.expm1(), x.im), general)
}

fn log(x: Z<'_>) -> Z<'_> {
    z(log_abs(x), angle(x))
}

/// The logarithm of the absolute value, accurate where that is near 1.
fn log_abs(x: Z<'_>) -> Num<'_> {
    let (a, b) = (x.re.abs(), x.im.abs());
    let (large, small) = (a.max(b), a.min(b));
    let near = ((large - 1.0) * (large + 1.0) + small * small).ln_1p() * 0.5;
    let is_near = large.ge(large.number(0.5)).and(large.number(2.0).ge(large));
    is_near.choose(near, hypot(x).ln())
}

fn log1p(x: Z<'_>) -> Z<'_> {
    let shifted = z(x.re + 1.0, x.im);
    let near = (x.re * (x.re + 2.0) + x.im * x.im).ln_1p() * 0.5;
    let is_near = x.re.abs().lt(0.5).and(x.im.abs().lt(0.5));
    z(is_near.choose(near, log_abs(shifted)), angle(shifted))
}

fn sqrt(x: Z<'_>) -> Z<'_> {
    // A power of four brings both parts where their squares neither overflow nor vanish.
    let size = x.re.abs().max(x.im.abs());
    let (large, tiny) = (size.gt(1e300), size.lt(1e-300));
    let scale = |large_by: f64, tiny_by: f64| {
        let one = size.number(1.0);
        large.choose(
            size.number(large_by),
            tiny.choose(size.number(tiny_by), one),
        )
    };
    let (down, up) = (scale(0.25, 2f64.powi(108)), scale(2.0, 2f64.powi(-54)));
    let scaled = z(x.re * down, x.im * down);
    let t = ((scaled.re.abs() + hypot(scaled)) * 0.5).sqrt();
    let other = scaled.im / (t * 2.0);
    let right = z(t * up, other * up);
    let left = z(other.abs() * up, t.signed_as(x.im) * up);
    let finite = choose(x.re.ge(x.re.number(0.0)), right, left);

    let infinity = x.re.number(f64::INFINITY);
    let small = x.im.is_nan().choose(x.im, x.im.number(0.0));
    let real = choose(
        x.re.gt(0.0),
        z(x.re, small.signed_as(x.im)),
        z(small, infinity.signed_as(x.im)),
    );
    let result = choose(x.re.is_infinite(), real, finite);
    let result = choose(x.im.is_infinite(), z(infinity, x.im), result);
    choose(is_zero(x), z(x.re.number(0.0), x.im), result)
}

/// Hyperbolic cosine and sine.
fn cosh_sinh(x: Num<'_>) -> (Num<'_>, Num<'_>) {
    let a = x.abs();
    let (first, second) = exp_factors(a);
    // e^a / 2, and e^-a / 2 as a quarter of its inverse.
    let up = first * 0.5 * second;
    let down = x.number(0.25) / up;
    let m = a.expm1();
    let near = (m + m / (m + 1.0)) * 0.5;
    let sinh = a.lt(1.0).choose(near, up - down);
    (up + down, sinh.signed_as(x))
}

/// `a * b`, where a zero `a` wins over an infinite `b`.
fn damped<'f>(a: Num<'f>, b: Num<'f>) -> Num<'f> {
    a.is(0.0).and(b.is_infinite()).choose(a, a * b)
}

fn sin(x: Z<'_>) -> Z<'_> {
    let (sin, cos) = (x.re.sin(), x.re.cos());
    let (cosh, sinh) = cosh_sinh(x.im);
    let general = z(damped(sin, cosh), damped(cos, sinh));
    choose(x.im.is(0.0), z(sin, cos * x.im), general)
}

fn cos(x: Z<'_>) -> Z<'_> {
    let (sin, cos) = (x.re.sin(), x.re.cos());
    let (cosh, sinh) = cosh_sinh(x.im);
    let general = z(damped(cos, cosh), -damped(sin, sinh));
    choose(x.im.is(0.0), z(cos, -sin * x.im), general)
}

/// After Kahan: no cancellation, and no overflow for large real parts.
fn tanh(x: Z<'_>) -> Z<'_> {
    let (sin, cos) = (x.im.sin(), x.im.cos());
    let t = sin / cos;
    let beta = t * t + 1.0;
    let (_, s) = cosh_sinh(x.re);
    let rho = (s * s + 1.0).sqrt();
    let scale = beta * s * s + 1.0;
    let near = z(beta * rho * s / scale, t / scale);

    let one = x.re.number(1.0).signed_as(x.re);
    let slope = sin * cos * 4.0 * (x.re.abs() * -2.0).exp();
    let vanishing = x.im.number(0.0).signed_as(x.im);
    let far = z(one, x.im.is_finite().choose(slope, vanishing));
    choose(x.re.abs().gt(22.0), far, near)
}

fn pow<'f>(base: Z<'f>, exponent: Z<'f>) -> Z<'f> {
    let number = |v| base.re.number(v);
    let general = exp(mul(exponent, log(base)));
    let rising = exponent.re.gt(0.0);
    let limit = rising.choose(number(0.0), number(f64::NAN));
    let result = choose(is_zero(base), z(limit, limit), general);
    choose(is_zero(exponent), z(number(1.0), number(0.0)), result)
}
