//! Exponentials.

use super::{Format, clamp, nearest_multiple, poly, table};
use crate::vector::{Builder, Class, Reg};
use std::f64::consts::LOG2_E;

/// `(e^r - 1 - r) / r^2` on |r| <= 0.3475 (a little over ln 2 / 2), relative to `e^r - 1`; error 2^-25.9.
const F32: &[f64] = &[
    0.4999999701976776,
    0.16666537523269653,
    0.0416673868894577,
    0.00836727675050497,
    0.0013883111532777548,
];

/// The same; error 2^-55.0.
const F64: &[f64] = &[
    0.5000000000000006,
    0.16666666666666588,
    0.04166666666657489,
    0.008333333333390753,
    0.0013888888932241292,
    0.00019841269717188096,
    2.4801504404914438e-05,
    2.755740835025984e-06,
    2.7626401185352027e-07,
    2.505381408362317e-08,
];

/// ln 2 in two parts.
pub(super) const LN2_F32: [f64; 2] = [0.6931471824645996, -1.9046542121259336e-09];
/// The same.
pub(super) const LN2_F64: [f64; 2] = [std::f64::consts::LN_2, 2.3190468138462996e-17];

/// An argument split as `n ln 2 + r`.
struct Reduced {
    /// The shifted n of [`nearest_multiple`].
    shifted: Reg,
    n: Reg,
    r: Reg,
}

fn reduce(b: &mut Builder, x: Reg) -> Reduced {
    let (shifted, n) = nearest_multiple(b, x, LOG2_E);
    let r = less_logarithm(b, x, n);
    Reduced { shifted, n, r }
}

/// `x - n ln 2` where that is small. The first product and sum are exact: n has few bits and the parts cancel.
fn less_logarithm(b: &mut Builder, x: Reg, n: Reg) -> Reg {
    table(b, x, LN2_F32, LN2_F64).iter().fold(x, |r, part| {
        let part = b.float_like(x, -part);
        b.fma(n, part, r)
    })
}

/// `2^(n - 1)` for a shifted n, if that is a normal number.
fn half_power(b: &mut Builder, shifted: Reg) -> Reg {
    let format = Format::of(b, shifted);
    let bits = b.bits(shifted);
    let places = b.int_like(bits, i64::from(format.mantissa));
    let exponent = b.shl(bits, places);
    let half = b.int_like(bits, (format.one - format.min_normal) as i64);
    let bits = b.add(exponent, half);
    b.bits(bits)
}

/// e to the `x`.
pub(super) fn exp(b: &mut Builder, x: Reg) -> Reg {
    // Beyond these bounds results are 0 and infinite.
    let (low, high) = table(b, x, (-104.0, 89.0), (-746.0, 710.0));
    let x = clamp(b, x, low, high);
    exp_normal(b, x)
}

/// `(e^r - 1 - r) / r^2` on |r| <= 0.0218 (a little over ln 2 / 32), relative to `e^r`; error 2^-29.2.
const SHORT_F32: &[f64] = &[0.5000163316726685, 0.16666719317436218];

/// Sixteenths of powers of two from a table leave so little that a polynomial of the third degree is enough.
fn exp_by_table(b: &mut Builder, x: Reg) -> Reg {
    // The low bits of the sum count sixteenths.
    let magic = b.float_like(x, Format::of(b, x).magic() / 16.0);
    let scale = b.float_like(x, LOG2_E);
    let shifted = b.fma(x, scale, magic);
    let n = b.sub(shifted, magic);
    let r = less_logarithm(b, x, n);
    let power = b.sixteenth_power(shifted);
    let tail = poly(b, r, SHORT_F32);
    let square = b.mul(r, r);
    let rest = b.fma(square, tail, r);
    let y = b.fma(power, rest, power);
    b.scale_floor(y, n)
}

/// e to the `x` for arguments that are NaN or between -170 and 170.
pub(super) fn exp_normal(b: &mut Builder, x: Reg) -> Reg {
    if b.has_tables() && b.class(x) == Class::F32 {
        return exp_by_table(b, x);
    }
    let Reduced { n, r, .. } = reduce(b, x);
    let tail = table(b, r, F32, F64);
    let all: Vec<f64> = [1.0, 1.0].iter().chain(tail).copied().collect();
    let y = poly(b, r, &all);
    b.scale(y, n)
}

/// `(e^x - 1) / 2` for arguments for which `2^n` is a normal number.
pub(super) fn half_expm1_normal(b: &mut Builder, x: Reg) -> Reg {
    let Reduced { shifted, r, .. } = reduce(b, x);
    let tail = poly(b, r, table(b, r, F32, F64));
    let square = b.mul(r, r);
    let reduced = b.fma(square, tail, r);
    // Half the result, since 2^n alone may overflow.
    let power = half_power(b, shifted);
    let half = b.float_like(x, 0.5);
    let offset = b.sub(power, half);
    b.fma(reduced, power, offset)
}

/// `e^x - 1`.
pub(super) fn expm1(b: &mut Builder, x: Reg) -> Reg {
    let (low, high) = table(b, x, (-20.0, 89.0), (-40.0, 710.0));
    let clamped = clamp(b, x, low, high);
    let y = half_expm1_normal(b, clamped);
    let y = b.add(y, y);
    // Keeps the sign of zero and the last bit of denormals.
    let size = b.abs(x);
    let tiny = b.float_like(x, table(b, x, f64::powi(2.0, -25), f64::powi(2.0, -54)));
    let mask = b.lt(size, tiny);
    b.select(mask, x, y)
}
