//! Powers.

use super::log::{Parts, split};
use super::{Format, clamp, not_plain, poly};
use crate::vector::{Builder, Class, Conv, Reg};
use std::f64::consts::LN_2;

/// `2 atanh(s) / (s ln 2)` in z = s^2, s = f / (2 + f), 1 + f between sqrt(1/2) and sqrt(2), so that
/// `log2(1 + f)` is s times it; relative error 2^-37.7.
const LOG2_SHORT: &[f64] = &[
    2.88539008179011,
    0.9617966733086587,
    0.5770835917576294,
    0.4116722871983822,
    0.34073849874386425,
];

/// The same from the third term on, the first two being exact; error 2^-65.6 relative to the whole.
const LOG2_LONG: &[f64] = &[
    0.5770780163556178,
    0.41219858309197327,
    0.32059890226926585,
    0.262307701374721,
    0.22198399132299396,
    0.191255209215222,
    0.19038580159929763,
];

/// The first two terms, 2 / ln 2 and a third of it, in two parts each.
const TERM_0: [f64; 2] = [2.8853900817779268, 4.0710547481862066e-17];
const TERM_1: [f64; 2] = [0.9617966939259756, 5.0577616648125907e-17];

/// `(2^r - 1) / r` on |r| <= 1/2, relative to `2^r`; error 2^-28.9.
const EXP2_SHORT: &[f64] = &[
    0.6931472027925369,
    0.24022647878967482,
    0.05550332519241345,
    0.009618440716766471,
    0.0013398866112431433,
    0.00015352579295014828,
];

/// The same on |r| <= 0.5005; error 2^-55.1.
const EXP2_LONG: &[f64] = &[
    LN_2,
    0.2402265069591013,
    0.05550410866482007,
    0.009618129107593847,
    0.0013333558146777318,
    0.0001540353045749206,
    1.525273349133123e-05,
    1.3215435077551527e-06,
    1.0178199998476011e-07,
    7.07382076124234e-09,
    4.434753617501687e-10,
];

/// Exponents beyond this magnitude give the limit for every base but 1; bounding them keeps
/// infinities out of the arithmetic.
const MOST_EXPONENT: f64 = 1e30;

/// `x` to the power `y`, with the special cases of IEEE 754's `pow`.
pub fn pow(b: &mut Builder, x: Reg, y: Reg) -> Reg {
    let a = b.abs(x);
    let bounded = clamp(b, y, -MOST_EXPONENT, MOST_EXPONENT);
    let r = match b.class(x) {
        Class::F32 => power_f32(b, a, bounded),
        Class::F64 | Class::I32 | Class::I64 | Class::Mask => power_f64(b, a, bounded),
    };
    let special = not_plain(b, x, Format::of(b, x).infinity);
    let [r] = b.patch(special, [r], |b| [special_bases(b, x, y, r)]);
    let one = b.float_like(x, 1.0);
    let unit = b.eq(x, one);
    b.select(unit, one, r)
}

/// The power for bases that are negative, zero, infinite or NaN, given that of their magnitude if it
/// is finite and not zero.
fn special_bases(b: &mut Builder, x: Reg, y: Reg, r: Reg) -> Reg {
    let zero = b.float_like(x, 0.0);
    let one = b.float_like(x, 1.0);
    let half = b.float_like(x, 0.5);
    let infinity = b.float_like(x, f64::INFINITY);
    let nan = b.float_like(x, f64::NAN);
    let a = b.abs(x);
    // Zero and infinity become one or the other; NaN in either operand stays.
    let negative_power = b.lt(y, zero);
    let of_zero = b.select(negative_power, infinity, zero);
    let of_infinity = b.select(negative_power, zero, infinity);
    let is_zero = b.eq(a, zero);
    let r = b.select(is_zero, of_zero, r);
    let finite = b.lt(a, infinity);
    let r = b.select(finite, r, of_infinity);
    let x_ordered = b.eq(x, x);
    let y_ordered = b.eq(y, y);
    let ordered = b.and(x_ordered, y_ordered);
    let r = b.select(ordered, r, nan);
    // The sign of an odd power, and no real result of a broken one.
    let whole = b.trunc(y);
    let integral = b.eq(whole, y);
    let halved = b.mul(y, half);
    let whole = b.trunc(halved);
    let fraction = b.ne(whole, halved);
    let odd = b.and(integral, fraction);
    let format = Format::of(b, x);
    let bits = b.bits(x);
    let no_bits = b.int_like(bits, 0);
    let negative = b.lt(bits, no_bits);
    let flip = b.and(negative, odd);
    let sign = b.int_like(bits, format.sign as i64);
    let flip = b.select(flip, sign, no_bits);
    let r = b.bits(r);
    let r = b.xor(r, flip);
    let r = b.bits(r);
    let below = b.lt(x, zero);
    let broken = b.not(integral);
    let undefined = b.and(below, broken);
    let undefined = b.and(undefined, finite);
    let r = b.select(undefined, nan, r);
    let no_power = b.eq(y, zero);
    b.select(no_power, one, r)
}

/// `a^y` for positive finite `a`, in F64.
fn power_f32(b: &mut Builder, a: Reg, y: Reg) -> Reg {
    let a = b.convert(Conv::Float, Class::F64, a);
    let y = b.convert(Conv::Float, Class::F64, y);
    let Parts {
        exponent,
        significand,
        ..
    } = split(b, a);
    let one = b.float_like(a, 1.0);
    let f = b.sub(significand, one);
    let divisor = b.add(significand, one);
    let s = b.div(f, divisor);
    let z = b.mul(s, s);
    let series = poly(b, z, LOG2_SHORT);
    let log = b.fma(s, series, exponent);
    let p = b.mul(y, log);
    let p = clamp(b, p, -160.0, 130.0);
    let (n, r) = exp2_parts(b, p);
    let series = poly(b, r, EXP2_SHORT);
    let one = b.float_like(a, 1.0);
    let power = b.fma(r, series, one);
    let power = b.scale(power, n);
    b.convert(Conv::Float, Class::F32, power)
}

/// The nearest integer of `p`, and the rest.
fn exp2_parts(b: &mut Builder, p: Reg) -> (Reg, Reg) {
    let magic = b.float_like(p, Format::of(b, p).magic());
    let shifted = b.add(p, magic);
    let n = b.sub(shifted, magic);
    (n, b.sub(p, n))
}

/// An unevaluated sum of two F64 registers, the second small.
#[derive(Clone, Copy)]
struct Double {
    high: Reg,
    low: Reg,
}

impl Double {
    fn constant(b: &mut Builder, like: Reg, [high, low]: [f64; 2]) -> Double {
        Double {
            high: b.float_like(like, high),
            low: b.float_like(like, low),
        }
    }

    fn mul(self, b: &mut Builder, other: Double) -> Double {
        let high = b.mul(self.high, other.high);
        let negated = b.neg(high);
        let error = b.fma(self.high, other.high, negated);
        let cross = b.fma(self.high, other.low, error);
        let low = b.fma(self.low, other.high, cross);
        Double { high, low }
    }

    /// The sum of `large` and a smaller number.
    fn sum(b: &mut Builder, large: Double, small: Double) -> Double {
        let high = b.add(large.high, small.high);
        let left = b.sub(large.high, high);
        let error = b.add(left, small.high);
        let error = b.add(error, small.low);
        Double {
            high,
            low: b.add(error, large.low),
        }
    }
}

/// log2 of a positive number, to about 64 bits.
fn log2_long(b: &mut Builder, a: Reg) -> Double {
    let format = Format::of(b, a);
    // Denormals are scaled up first.
    let least = b.bits_like(a, format.min_normal);
    let small = b.lt(a, least);
    let shift = b.float_like(a, f64::from(format.mantissa));
    let factor = b.float_like(a, format.low_bit());
    let scaled = b.mul(a, factor);
    let a = b.select(small, scaled, a);
    let zero = b.float_like(a, 0.0);
    let shift = b.select(small, shift, zero);
    let Parts {
        exponent,
        significand,
        ..
    } = split(b, a);
    let exponent = b.sub(exponent, shift);
    let one = b.float_like(a, 1.0);
    let f = b.sub(significand, one);
    let s = quotient(b, f, significand);
    let z = s.mul(b, s);
    let series = poly(b, z.high, LOG2_LONG);
    let tail = Double {
        high: b.mul(z.high, series),
        low: zero,
    };
    let term = Double::constant(b, a, TERM_1);
    let tail = Double::sum(b, term, tail);
    let tail = z.mul(b, tail);
    let term = Double::constant(b, a, TERM_0);
    let series = Double::sum(b, term, tail);
    let log = s.mul(b, series);
    let exponent = Double {
        high: exponent,
        low: zero,
    };
    Double::sum(b, exponent, log)
}

/// `f / (significand + 1)`.
fn quotient(b: &mut Builder, f: Reg, significand: Reg) -> Double {
    let one = b.float_like(f, 1.0);
    let divisor = b.add(significand, one);
    let back = b.sub(divisor, one);
    let lost = b.sub(significand, back);
    let inverse = b.div(one, divisor);
    let high = b.mul(f, inverse);
    let minus = b.neg(high);
    let rest = b.fma(minus, divisor, f);
    let rest = b.fma(minus, lost, rest);
    Double {
        high,
        low: b.mul(rest, inverse),
    }
}

/// `a^y` for positive finite `a`.
fn power_f64(b: &mut Builder, a: Reg, y: Reg) -> Reg {
    let log = log2_long(b, a);
    let product = b.mul(y, log.high);
    let negated = b.neg(product);
    let error = b.fma(y, log.high, negated);
    let error = b.fma(y, log.low, error);
    let bounded = clamp(b, product, -1080.0, 1024.5);
    let unbounded = b.eq(product, bounded);
    let zero = b.float_like(a, 0.0);
    let error = b.select(unbounded, error, zero);
    let (n, rest) = exp2_parts(b, bounded);
    let r = b.add(rest, error);
    let series = poly(b, r, EXP2_LONG);
    let one = b.float_like(a, 1.0);
    let power = b.fma(r, series, one);
    b.scale(power, n)
}

/// `x` to the power `y` for integers: wraps; with `signed`, a negative power of 1 and -1 is 1 or -1,
/// of all others 0. Results of narrow types have to be wrapped by the caller.
pub fn powi(b: &mut Builder, x: Reg, y: Reg, signed: bool) -> Reg {
    let (class, lanes) = b.shape(x);
    let one = b.int_like(x, 1);
    let zero = b.int_like(x, 0);
    let [power, base, left] = [one, x, y].map(|start| {
        let var = b.var(class, lanes);
        b.set(var, start);
        var
    });
    let (from, to) = (b.s_const(0), b.s_const(i64::from(class.bits())));
    b.for_loop(from, to, 1, |b, _| {
        let bits = b.get(left);
        let unfinished = b.ne(bits, zero);
        b.if_any(unfinished, |b| {
            let low = b.and(bits, one);
            let odd = b.ne(low, zero);
            let factor = b.get(base);
            let old = b.get(power);
            let product = b.mul(old, factor);
            let new = b.select(odd, product, old);
            b.set(power, new);
            let square = b.mul(factor, factor);
            b.set(base, square);
            let rest = b.shr_u(bits, one);
            b.set(left, rest);
        });
    });
    let power = b.get(power);
    if !signed {
        return power;
    }
    // The loop took a negative power for a huge one of equal parity: right for 1 and -1.
    let negative = b.lt(y, zero);
    let size = b.abs(x);
    let other = b.ne(size, one);
    let vanishes = b.and(negative, other);
    b.select(vanishes, zero, power)
}
