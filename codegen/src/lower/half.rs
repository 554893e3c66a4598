//! The bits of half floats that are held as f32, and back. Memory access converts by itself; this
//! is for the rare bitcast of a value that is computed with.

use crate::vector::{Builder, Class, Conv, Narrow, Reg};

fn as_int(b: &mut Builder, x: Reg) -> Reg {
    b.convert(Conv::Bits, Class::I32, x)
}

/// The bits of a bf16: the upper half.
pub(super) fn bf16_bits(b: &mut Builder, x: Reg) -> Reg {
    let bits = as_int(b, x);
    let count = b.int_like(bits, 16);
    b.shr_u(bits, count)
}

/// The bf16 whose bits are the low 16.
pub(super) fn bf16_from_bits(b: &mut Builder, bits: Reg) -> Reg {
    let count = b.int_like(bits, 16);
    let bits = b.shl(bits, count);
    b.convert(Conv::Bits, Class::F32, bits)
}

/// The bits of an f16 held as f32.
pub(super) fn f16_bits(b: &mut Builder, x: Reg) -> Reg {
    let bits = as_int(b, x);
    let (sign_bit, sixteen) = (b.int_like(bits, 0x8000), b.int_like(bits, 16));
    let upper = b.shr_u(bits, sixteen);
    let sign = b.and(upper, sign_bit);
    let rest = b.int_like(bits, 0x7fff_ffff);
    let magnitude = b.and(bits, rest);
    let thirteen = b.int_like(bits, 13);
    let shifted = b.shr_u(magnitude, thirteen);
    let bias = b.int_like(bits, 112 << 10);
    let normal = b.sub(shifted, bias);
    // Infinities and NaNs keep an exponent of all ones.
    let special = b.int_like(bits, 0x7f80_0000);
    let low_bits = b.int_like(bits, 0x7fff);
    let infinite = b.and(shifted, low_bits);
    let all_ones = b.int_like(bits, 0x7c00);
    let infinite = b.or(infinite, all_ones);
    // Denormals are multiples of 2^-24.
    let scale = b.float_like(x, f64::from(1 << 24));
    let positive = b.abs(x);
    let count = b.mul(positive, scale);
    let tiny = b.convert(Conv::ToInt, Class::I32, count);
    let smallest = b.int_like(bits, 0x3880_0000);
    let is_tiny = b.lt(magnitude, smallest);
    let is_finite = b.lt(magnitude, special);
    let r = b.select(is_finite, normal, infinite);
    let r = b.select(is_tiny, tiny, r);
    b.or(r, sign)
}

/// The f16, held as f32, whose bits are the low 16.
pub(super) fn f16_from_bits(b: &mut Builder, bits: Reg) -> Reg {
    let bits = b.wrap(Narrow::U16, bits);
    let (sign_bit, sixteen) = (b.int_like(bits, 0x8000), b.int_like(bits, 16));
    let sign = b.and(bits, sign_bit);
    let sign = b.shl(sign, sixteen);
    let rest = b.int_like(bits, 0x7fff);
    let magnitude = b.and(bits, rest);
    let thirteen = b.int_like(bits, 13);
    let shifted = b.shl(magnitude, thirteen);
    let bias = b.int_like(bits, 112 << 23);
    let normal = b.add(shifted, bias);
    let all_ones = b.int_like(bits, 0x7f80_0000);
    let infinite = b.or(shifted, all_ones);
    let count = b.convert(Conv::FromInt, Class::F32, magnitude);
    let unit = b.float_like(count, 1.0 / f64::from(1 << 24));
    let tiny = b.mul(count, unit);
    let tiny = as_int(b, tiny);
    let (smallest, infinity) = (b.int_like(bits, 0x400), b.int_like(bits, 0x7c00));
    let is_tiny = b.lt(magnitude, smallest);
    let is_finite = b.lt(magnitude, infinity);
    let r = b.select(is_finite, normal, infinite);
    let r = b.select(is_tiny, tiny, r);
    let r = b.or(r, sign);
    b.convert(Conv::Bits, Class::F32, r)
}
