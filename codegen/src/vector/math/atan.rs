//! Arc tangent.

use super::{poly, table, with_sign};
use crate::vector::{Builder, Reg};
use std::f64::consts::{FRAC_PI_2, SQRT_2};

/// `(atan(t) / t - 1) / z`, with z = t^2, on 0 <= t <= tan(pi/8), relative to `atan(t)`; error 2^-25.5.
const F32: &[f64] = &[
    -0.3333294987678528,
    0.19977721571922302,
    -0.13877685368061066,
    0.08053430914878845,
];

/// The same; error 2^-54.6.
const F64: &[f64] = &[
    -0.33333333333330134,
    0.19999999999084697,
    -0.1428571419490069,
    0.11111106638648828,
    -0.0909078206210021,
    0.07690063334555777,
    -0.06641077837885419,
    0.0569231113447494,
    -0.043584343884586305,
    0.021251721831881322,
];

/// pi/2 in two parts; pi/4 is half of them.
const HALF_PI_F32: [f64; 2] = [1.5707963705062866, -4.371138828673793e-08];
const HALF_PI_F64: [f64; 2] = [FRAC_PI_2, 6.123233995736766e-17];

/// Arc tangent.
pub(super) fn atan(b: &mut Builder, x: Reg) -> Reg {
    let a = b.abs(x);
    let zero = b.float_like(x, 0.0);
    let one = b.float_like(x, 1.0);
    let minus_one = b.float_like(x, -1.0);
    // atan(a) = pi/4 + atan((a - 1) / (a + 1)) = pi/2 + atan(-1 / a), whichever is small.
    let border = b.float_like(x, SQRT_2 - 1.0);
    let middle = b.lt(border, a);
    let border = b.float_like(x, SQRT_2 + 1.0);
    let upper = b.lt(border, a);
    let below = b.sub(a, one);
    let above = b.add(a, one);
    let divided = b.select(middle, below, a);
    let divided = b.select(upper, minus_one, divided);
    let divisor = b.select(middle, above, one);
    let divisor = b.select(upper, a, divisor);
    let t = b.div(divided, divisor);
    let [base, rest] = table(b, x, HALF_PI_F32, HALF_PI_F64).map(|part| {
        let half = b.float_like(x, part / 2.0);
        let whole = b.float_like(x, part);
        let base = b.select(middle, half, zero);
        b.select(upper, whole, base)
    });
    let z = b.mul(t, t);
    let coefficients = table(b, x, F32, F64);
    let tail = poly(b, z, coefficients);
    let cube = b.mul(t, z);
    let tail = b.fma(cube, tail, rest);
    let y = b.add(t, tail);
    let y = b.add(base, y);
    with_sign(b, y, x)
}
