//! Floating-point remainder, exact for every pair of magnitudes.

use super::with_sign;
use crate::vector::{Builder, Class, Conv, Reg};

/// Bits of quotient that one step of the slow path removes: a multiple of three below 53.
const STEP: u32 = 51;

/// Steps that cover the largest ratio of two f32, and of two f64.
const STEPS_F32: i64 = 5;
const STEPS_F64: i64 = 41;

/// `x - n y` with n the quotient truncated: the sign of `x`, smaller than `y`; C's fmod. NaN for a zero
/// divisor and an infinite dividend.
pub fn rem(b: &mut Builder, x: Reg, y: Reg) -> Reg {
    let (a, d) = (b.abs(x), b.abs(y));
    let r = step(b, a, d);
    // One step is exact while the quotient has fewer bits than a significand.
    let f32 = b.class(x) == Class::F32;
    let bound = b.float_like(x, f64::powi(2.0, if f32 { 22 } else { 51 }));
    let infinity = b.float_like(x, f64::INFINITY);
    let zero = b.float_like(x, 0.0);
    let quotient = b.div(a, d);
    let many = b.lt(bound, quotient);
    let finite = b.lt(a, infinity);
    let nonzero = b.lt(zero, d);
    let slow = b.and(many, finite);
    let slow = b.and(slow, nonzero);
    let [r] = b.patch(slow, [r], |b| {
        let exact = if f32 {
            let wide_a = b.convert(Conv::Float, Class::F64, a);
            let wide_d = b.convert(Conv::Float, Class::F64, d);
            let exact = long_division(b, wide_a, wide_d, STEPS_F32);
            b.convert(Conv::Float, Class::F32, exact)
        } else {
            long_division(b, a, d, STEPS_F64)
        };
        [b.select(slow, exact, r)]
    });
    with_sign(b, r, x)
}

/// `a mod d` for non-negative operands whose quotient has fewer bits than a significand.
fn step(b: &mut Builder, a: Reg, d: Reg) -> Reg {
    let quotient = b.div(a, d);
    let n = b.trunc(quotient);
    let minus = b.neg(n);
    // Exact: a multiple of d's last place, smaller than d.
    let r = b.fma(minus, d, a);
    // The rounded quotient may have reached the next integer.
    let zero = b.float_like(a, 0.0);
    let over = b.lt(r, zero);
    let next = b.add(r, d);
    let r = b.select(over, next, r);
    let done = b.lt(a, d);
    b.select(done, a, r)
}

/// `a mod d` in F64, bringing `a` below ever smaller powers of two times `d`, then below `d`.
fn long_division(b: &mut Builder, a: Reg, d: Reg, steps: i64) -> Reg {
    let (class, lanes) = b.shape(a);
    let rest = b.var(class, lanes);
    b.set(rest, a);
    let (zero, end) = (b.s_const(0), b.s_const(steps + 1));
    b.for_loop(zero, end, 1, |b, counter| {
        // 2^(STEP k), k from `steps` down to 0, in three factors: the whole may overflow.
        let third = b.s_const(i64::from(STEP / 3));
        let last = b.s_const(steps);
        let k = b.s_sub(last, counter);
        let exponent = b.s_mul(k, third);
        let bias = b.s_const(1023);
        let exponent = b.s_add(exponent, bias);
        let exponent = b.splat(Class::I64, lanes, exponent);
        let places = b.int_like(exponent, 52);
        let factor = b.shl(exponent, places);
        let factor = b.bits(factor);
        let d = b.mul(d, factor);
        let d = b.mul(d, factor);
        let d = b.mul(d, factor);
        let a = b.get(rest);
        let r = step(b, a, d);
        b.set(rest, r);
    });
    b.get(rest)
}
