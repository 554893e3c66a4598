//! Mathematical functions over the builder, written once for every backend.
//!
//! All work on F32 and F64 registers of any number of lanes, give NaN for NaN, and are defined
//! for every other input too: zeros keep their sign where the function is odd, denormals are neither
//! taken for zero nor flushed, infinities give limits. The main path has no branches; what is rare and
//! long (huge arguments of sine, zero and infinite arguments of the logarithm) runs under
//! [`Stmt::IfAny`](super::Stmt::IfAny).
//!
//! Polynomials are minimax fits: a Remez exchange in 200-bit arithmetic on the interval and for the error
//! measure stated at each table, coefficients then rounded to the class (for f32 one after the
//! other, refitting the rest, where that is better).
//!
//! Errors in units in the last place of the exact result, measured by the tests over the whole range:
//!
//! | function | f32 | f64 |
//! | --- | --- | --- |
//! | exp, log, sin, cos, tanh, erf | 2 | 2 |
//! | expm1, log1p, atan | 4 | 4 |
//! | pow | 1 | 2 |
//! | rem | exact | exact |

mod atan;
mod erf;
mod exp;
mod log;
mod pow;
mod rem;
mod tanh;
mod trig;

pub use pow::{pow, powi};
pub use rem::rem;

use super::{Builder, Class, Reg};
use lazulite_ir::Unary;

/// A function of one float register; also negation and absolute value of integers.
pub fn unary(b: &mut Builder, f: Unary, x: Reg) -> Reg {
    match f {
        Unary::Neg => b.neg(x),
        Unary::Abs => b.abs(x),
        Unary::Floor => b.floor(x),
        Unary::Round => b.round(x),
        Unary::Sqrt => b.sqrt(x),
        Unary::Exp => exp::exp(b, x),
        Unary::Expm1 => exp::expm1(b, x),
        Unary::Log => log::log(b, x),
        Unary::Log1p => log::log1p(b, x),
        Unary::Sin => trig::sin(b, x),
        Unary::Cos => trig::cos(b, x),
        Unary::Tanh => tanh::tanh(b, x),
        Unary::Atan => atan::atan(b, x),
        Unary::Erf => erf::erf(b, x),
    }
}

/// The layout of a float class.
#[derive(Clone, Copy)]
struct Format {
    /// Stored bits of the significand.
    mantissa: u32,
    /// Exponent bias.
    bias: i64,
    /// Bits of the smallest positive normal number.
    min_normal: u64,
    /// Bits of infinity.
    infinity: u64,
    /// Bits of the sign.
    sign: u64,
    /// Bits of 1.
    one: u64,
}

impl Format {
    /// The layout of `x`'s class. Classes that are not float, which the builder refuses, count as F64.
    fn of(b: &Builder, x: Reg) -> Format {
        let (mantissa, exponent) = match b.class(x) {
            Class::F32 => (23, 8),
            Class::F64 | Class::I32 | Class::I64 | Class::Mask => (52, 11),
        };
        let bias = (1i64 << (exponent - 1)) - 1;
        Format {
            mantissa,
            bias,
            min_normal: 1 << mantissa,
            infinity: ((1 << exponent) - 1) << mantissa,
            sign: 1 << (mantissa + exponent),
            one: (bias as u64) << mantissa,
        }
    }

    /// The number that, added to a small one, leaves its nearest integer in the low bits.
    fn magic(self) -> f64 {
        1.5 * self.low_bit()
    }

    /// The number whose lowest bit counts 1.
    fn low_bit(self) -> f64 {
        (1u64 << self.mantissa) as f64
    }
}

/// `f32` or `f64` table, as `x`'s class has it.
fn table<T: Copy>(b: &Builder, x: Reg, f32: T, f64: T) -> T {
    match b.class(x) {
        Class::F32 => f32,
        Class::F64 | Class::I32 | Class::I64 | Class::Mask => f64,
    }
}

/// Polynomial in `x`; the constant term comes first.
fn poly(b: &mut Builder, x: Reg, coefficients: &[f64]) -> Reg {
    let mut terms = coefficients.iter().rev();
    let highest = terms.next().copied().unwrap_or(0.0);
    let mut sum = b.float_like(x, highest);
    for &c in terms {
        let c = b.float_like(x, c);
        sum = b.fma(sum, x, c);
    }
    sum
}

/// `value` with the sign of `x`, for a value that is not negative.
fn with_sign(b: &mut Builder, value: Reg, x: Reg) -> Reg {
    let sign = sign_bits(b, x);
    let bits = b.bits(value);
    let bits = b.or(bits, sign);
    b.bits(bits)
}

/// The sign bit of `x`, as an integer.
fn sign_bits(b: &mut Builder, x: Reg) -> Reg {
    let bits = b.bits(x);
    let sign = b.int_like(bits, Format::of(b, x).sign as i64);
    b.and(bits, sign)
}

/// The nearest integer of `x * scale`: as the low bits of a float's bits, and as a float.
fn nearest_multiple(b: &mut Builder, x: Reg, scale: f64) -> (Reg, Reg) {
    let magic = b.float_like(x, Format::of(b, x).magic());
    let scale = b.float_like(x, scale);
    let shifted = b.fma(x, scale, magic);
    (shifted, b.sub(shifted, magic))
}

/// `x` where it is in `low..=high`, else the nearer bound; NaN stays.
fn clamp(b: &mut Builder, x: Reg, low: f64, high: f64) -> Reg {
    let low = b.float_like(x, low);
    let x = b.max(low, x);
    let high = b.float_like(x, high);
    b.min(high, x)
}

/// A mask of the lanes where `x` is not a positive, normal number below the one with bits `end`.
fn not_plain(b: &mut Builder, x: Reg, end: u64) -> Reg {
    let format = Format::of(b, x);
    let bits = b.bits(x);
    let first = b.int_like(bits, format.min_normal as i64);
    let above = b.sub(bits, first);
    let range = b.int_like(bits, (end - format.min_normal) as i64);
    b.le_u(range, above)
}
