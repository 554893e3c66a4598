//! Logarithms.

use super::exp::{LN2_F32, LN2_F64};
use super::{Format, not_plain, poly, table, with_sign};
use crate::vector::{Builder, Class, Reg};
use std::f64::consts::FRAC_1_SQRT_2;

/// `(log(1 + f) - f) / f^2` for 1 + f between sqrt(1/2) and sqrt(2), relative to `log(1 + f)`; error 2^-27.4.
const F32: &[f64] = &[
    -0.49999988079071045,
    0.33333325386047363,
    -0.25001582503318787,
    0.20001980662345886,
    -0.16609078645706177,
    0.14181721210479736,
    -0.1324295699596405,
    0.1290498673915863,
    -0.0762239545583725,
];

/// `(2 atanh(s) / s - 2) / z`, with z = s^2 and s = f / (2 + f) for the same f, so that
/// `log(1 + f) = 2 atanh(s)`; error 2^-59.4 relative to it.
const F64: &[f64] = &[
    0.6666666666666734,
    0.39999999999416475,
    0.2857142874210377,
    0.22222198593374978,
    0.18183563656458657,
    0.15314059355026802,
    0.14795935428994486,
];

/// A positive, normal, finite number as `2^exponent * significand`.
pub(super) struct Parts {
    /// A float.
    pub exponent: Reg,
    /// Between sqrt(1/2) and sqrt(2).
    pub significand: Reg,
    /// Biased exponent in its place, as an integer.
    pub biased: Reg,
}

/// Splits a positive, normal, finite number.
pub(super) fn split(b: &mut Builder, x: Reg) -> Parts {
    let format = Format::of(b, x);
    let root = match b.class(x) {
        Class::F32 => u64::from((FRAC_1_SQRT_2 as f32).to_bits()),
        Class::F64 | Class::I32 | Class::I64 | Class::Mask => FRAC_1_SQRT_2.to_bits(),
    };
    let bits = b.bits(x);
    let shift = b.int_like(bits, (format.one - root) as i64);
    let moved = b.add(bits, shift);
    let places = b.int_like(bits, i64::from(format.mantissa));
    let number = b.shr_u(moved, places);
    // A small integer becomes a float as the low bits of a large one.
    let base = b.float_like(x, format.low_bit());
    let base = b.bits(base);
    let number = b.or(number, base);
    let number = b.bits(number);
    let offset = b.float_like(x, format.low_bit() + format.bias as f64);
    let exponent = b.sub(number, offset);
    let mask = b.int_like(bits, (format.min_normal - 1) as i64);
    let low = b.and(moved, mask);
    let root = b.int_like(bits, root as i64);
    let significand = b.add(low, root);
    Parts {
        exponent,
        significand: b.bits(significand),
        biased: b.xor(moved, low),
    }
}

/// `exponent * ln 2 + log(1 + f)`.
fn combine(b: &mut Builder, exponent: Reg, f: Reg) -> Reg {
    let [high, low] = table(b, f, LN2_F32, LN2_F64);
    let (high, low) = (b.float_like(f, high), b.float_like(f, low));
    let square = b.mul(f, f);
    if b.class(f) == Class::F32 {
        let tail = poly(b, f, F32);
        let tail = b.mul(square, tail);
        let tail = b.fma(exponent, low, tail);
        let sum = b.add(f, tail);
        return b.fma(exponent, high, sum);
    }
    let two = b.float_like(f, 2.0);
    let divisor = b.add(f, two);
    let s = b.div(f, divisor);
    let z = b.mul(s, s);
    let series = poly(b, z, F64);
    // log(1 + f) = f - f^2/2 + s (f^2/2 + z series), in which f alone carries no rounding error.
    let half = b.float_like(f, 0.5);
    let half_square = b.mul(half, square);
    let tail = b.fma(z, series, half_square);
    let low_part = b.mul(exponent, low);
    let tail = b.fma(s, tail, low_part);
    let tail = b.sub(tail, half_square);
    let sum = b.add(f, tail);
    b.fma(exponent, high, sum)
}

/// Logarithm of a positive, normal, finite number times `2^-shift`.
fn log_plain(b: &mut Builder, x: Reg, shift: f64) -> Reg {
    let parts = split(b, x);
    let shift = b.float_like(x, shift);
    let exponent = b.sub(parts.exponent, shift);
    let one = b.float_like(x, 1.0);
    let f = b.sub(parts.significand, one);
    combine(b, exponent, f)
}

/// `y` but for arguments that are zero (minus infinity), negative (NaN), infinite or NaN (themselves).
fn limits(b: &mut Builder, x: Reg, y: Reg) -> Reg {
    let zero = b.float_like(x, 0.0);
    let infinity = b.float_like(x, f64::INFINITY);
    let lowest = b.neg(infinity);
    let nan = b.float_like(x, f64::NAN);
    let is_zero = b.eq(x, zero);
    let y = b.select(is_zero, lowest, y);
    let below = b.lt(x, zero);
    let y = b.select(below, nan, y);
    let finite = b.lt(x, infinity);
    b.select(finite, y, x)
}

/// Natural logarithm.
pub(super) fn log(b: &mut Builder, x: Reg) -> Reg {
    let format = Format::of(b, x);
    let y = log_plain(b, x, 0.0);
    let special = not_plain(b, x, format.infinity);
    let [y] = b.patch(special, [y], |b| {
        let shift = f64::from(format.mantissa);
        let factor = b.float_like(x, shift.exp2());
        let scaled = b.mul(x, factor);
        let better = log_plain(b, scaled, shift);
        let least = b.bits_like(x, format.min_normal);
        let small = b.lt(x, least);
        let y = b.select(small, better, y);
        [limits(b, x, y)]
    });
    y
}

/// `log(1 + x)`.
pub(super) fn log1p(b: &mut Builder, x: Reg) -> Reg {
    let format = Format::of(b, x);
    let one = b.float_like(x, 1.0);
    let sum = b.add(x, one);
    // What the sum lost, to be added to the reduced argument at its scale.
    let back = b.sub(sum, one);
    let lost = b.sub(x, back);
    let parts = split(b, sum);
    let twice_bias = b.int_like(parts.biased, (2 * format.one) as i64);
    let scale = b.sub(twice_bias, parts.biased);
    let scale = b.bits(scale);
    let f = b.sub(parts.significand, one);
    let f = b.fma(lost, scale, f);
    let y = combine(b, parts.exponent, f);
    // The scale of large sums may not exist; there the 1 does not count.
    let end = format.one + (64 << format.mantissa);
    let special = not_plain(b, sum, end);
    let [y] = b.patch(special, [y], |b| {
        let better = log_plain(b, x, 0.0);
        let bound = b.bits_like(x, end);
        let large = b.le(bound, x);
        let y = b.select(large, better, y);
        [limits(b, sum, y)]
    });
    with_sign(b, y, x)
}
