//! Hyperbolic tangent.

use super::exp::half_expm1_normal;
use super::{table, with_sign};
use crate::vector::{Builder, Reg};

/// Below this magnitude the quotient is corrected: there the error of its divisor would count.
const BORDER: f64 = 0.35;

/// Hyperbolic tangent: `h / (h + 1)` with `h = (e^2a - 1) / 2`, which loses no bits near zero.
pub(super) fn tanh(b: &mut Builder, x: Reg) -> Reg {
    let a = b.abs(x);
    // Beyond this the result is 1, and the exponential could overflow.
    let most = b.float_like(x, table(b, x, 10.0, 20.0));
    let bounded = b.min(most, a);
    let twice = b.add(bounded, bounded);
    let half = half_expm1_normal(b, twice);
    let one = b.float_like(x, 1.0);
    let divisor = b.add(half, one);
    let quotient = b.div(half, divisor);
    let negative = b.neg(half);
    let corrected = b.fma(negative, quotient, half);
    let border = b.float_like(x, BORDER);
    let is_small = b.lt(a, border);
    let y = b.select(is_small, corrected, quotient);
    with_sign(b, y, x)
}
