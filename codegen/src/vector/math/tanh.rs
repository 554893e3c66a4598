//! Hyperbolic tangent.

use super::exp::exp_normal;
use super::{poly, table, with_sign};
use crate::vector::{Builder, Reg};

/// Below this magnitude the polynomial counts, above it the exponential, whose error the
/// subtraction from 1 then no longer magnifies.
const BORDER: f64 = 0.625;

/// `(tanh(a) / a - 1) / z`, with z = a^2, on 0 <= a <= 0.626, relative to `tanh(a)`; error 2^-27.7.
const F32: &[f64] = &[
    -0.3333328068256378,
    0.13331405818462372,
    -0.05373665317893028,
    0.020629122853279114,
    -0.005693881772458553,
];

/// The same; error 2^-56.3.
const F64: &[f64] = &[
    -0.3333333333333284,
    0.13333333333259698,
    -0.05396825393017685,
    0.021869487551598434,
    -0.008863220687551358,
    0.0035919866736118878,
    -0.001454946222296913,
    0.0005862755812090229,
    -0.00022848218803673572,
    7.705180240838848e-05,
    -1.6027565789126292e-05,
];

/// Hyperbolic tangent.
pub(super) fn tanh(b: &mut Builder, x: Reg) -> Reg {
    let a = b.abs(x);
    let z = b.mul(a, a);
    let coefficients = table(b, x, F32, F64);
    let tail = poly(b, z, coefficients);
    let cube = b.mul(a, z);
    let small = b.fma(cube, tail, a);
    // 1 - 2 / (e^2a + 1), where the exponential cannot overflow.
    let most = b.float_like(x, table(b, x, 10.0, 20.0));
    let bounded = b.min(most, a);
    let twice = b.add(bounded, bounded);
    let e = exp_normal(b, twice);
    let one = b.float_like(x, 1.0);
    let divisor = b.add(e, one);
    let two = b.float_like(x, 2.0);
    let distance = b.div(two, divisor);
    let large = b.sub(one, distance);
    let border = b.float_like(x, BORDER);
    let is_small = b.lt(a, border);
    let y = b.select(is_small, small, large);
    with_sign(b, y, x)
}
