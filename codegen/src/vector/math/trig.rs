//! Sine and cosine.
//!
//! The argument is reduced to `x - n pi/2` as the sum of two registers, and both polynomials are
//! evaluated; n chooses. Up to [`LIMIT_F32`] and [`LIMIT_F64`] the reduction subtracts pi/2 in three
//! parts, beyond it multiplies by the bits of 2/pi that matter at the argument's scale, in integers.

use super::{Format, nearest_multiple, poly, sign_bits, table};
use crate::vector::{Builder, Class, Conv, MemAccess, Reg, Scalar};
use lazulite_ir::DType;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// `(sin(r) / r - 1) / z`, with z = r^2, on |r| <= 0.8, relative to `sin(r)`; error 2^-27.6.
const SIN_F32: &[f64] = &[
    -0.16666653752326965,
    0.008332095108926296,
    -0.0001950552104972303,
];

/// The same; error 2^-57.5.
const SIN_F64: &[f64] = &[
    -0.1666666666666662,
    0.008333333333319724,
    -0.00019841269827645708,
    2.7557312939904043e-06,
    -2.505064014980499e-08,
    1.588994882446543e-10,
];

/// `(cos(r) - 1 + z/2) / z^2` on |r| <= 0.8, relative to `cos(r)`; error 2^-32.5.
const COS_F32: &[f64] = &[
    0.04166664183139801,
    -0.0013887130189687014,
    2.4412089260295033e-05,
];

/// The same; error 2^-63.5.
const COS_F64: &[f64] = &[
    0.041666666666666574,
    -0.0013888888888869768,
    2.4801587286781294e-05,
    -2.755731357739263e-07,
    2.0875618629245014e-09,
    -1.1354264343088366e-11,
];

/// pi/2 in three parts.
const PARTS_F32: [f64; 3] = [
    1.5707963705062866,
    -4.371138828673793e-08,
    -1.7151245100058819e-15,
];
const PARTS_F64: [f64; 3] = [FRAC_PI_2, 6.123233995736766e-17, -1.4973849048591698e-33];

/// Up to here n is exact, n times the first part cancels exactly, and three parts are enough for the
/// smallest difference.
const LIMIT_F32: f64 = 65536.0;
const LIMIT_F64: f64 = 134217728.0;

/// The first 1280 bits of 2/pi after the point.
const TWO_OVER_PI: [u64; 20] = [
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
    0xf0cf_bc20_9af4_361d,
];

/// Zero bits before them in the table of windows, for arguments so small that bits before the point would be
/// looked up.
const LEADING: usize = 32;

/// Entries of the table for each class: its largest exponent's window and what follows.
const WINDOWS_F32: usize = 26;
const WINDOWS_F64: usize = 142;

/// `|x|` less a multiple of pi/2: the multiple (its two low bits count), high and low part of the rest.
struct Reduced {
    quadrant: Reg,
    high: Reg,
    low: Reg,
}

fn reduce(b: &mut Builder, a: Reg) -> Reduced {
    let (shifted, n) = nearest_multiple(b, a, FRAC_2_PI);
    let [first, second, third] =
        table(b, a, PARTS_F32, PARTS_F64).map(|part| b.float_like(a, -part));
    // The first difference is exact, the second rounded once, however much it cancels.
    let exact = b.fma(n, first, a);
    let high = b.fma(n, second, exact);
    let low = b.mul(n, third);
    let quadrant = b.bits(shifted);
    let limit = b.float_like(a, table(b, a, LIMIT_F32, LIMIT_F64));
    let infinity = b.float_like(a, f64::INFINITY);
    let huge = b.lt(limit, a);
    let finite = b.lt(a, infinity);
    let slow = b.and(huge, finite);
    let [quadrant, high, low] = b.patch(slow, [quadrant, high, low], |b| {
        let huge = match b.class(a) {
            Class::F32 => reduce_huge_f32(b, a, slow),
            Class::F64 | Class::I32 | Class::I64 | Class::Mask => reduce_huge_f64(b, a, slow),
        };
        [
            b.select(slow, huge.quadrant, quadrant),
            b.select(slow, huge.high, high),
            b.select(slow, huge.low, low),
        ]
    });
    Reduced {
        quadrant,
        high,
        low,
    }
}

/// The address of a table whose entry k holds 64 bits of 2/pi from bit 8k - LEADING on.
fn windows(b: &mut Builder, entries: usize) -> Scalar {
    let mut bytes = vec![0; LEADING / 8];
    bytes.extend(TWO_OVER_PI.iter().flat_map(|word| word.to_be_bytes()));
    let entry = |k: usize| bytes[k..k + 8].iter().rev().copied();
    let data: Vec<u8> = (0..entries).flat_map(entry).collect();
    b.pool(&data)
}

/// The significand of `a` (bits in I64) as an integer, shifted so that the product with the windows found from
/// the returned entry on has weight 2^-64 of four quadrants.
fn aligned(b: &mut Builder, bits: Reg, format: Format) -> (Reg, Reg) {
    let places = b.int_like(bits, i64::from(format.mantissa));
    let biased = b.shr_u(bits, places);
    let mask = b.int_like(bits, (format.min_normal - 1) as i64);
    let hidden = b.int_like(bits, format.min_normal as i64);
    let significand = b.and(bits, mask);
    let significand = b.or(significand, hidden);
    // a = significand * 2^(biased - bias - mantissa); bits of 2/pi that make multiples of 4 are skipped.
    let skip = LEADING as i64 - format.bias - i64::from(format.mantissa) - 2;
    let skip = b.int_like(bits, skip);
    let position = b.add(biased, skip);
    let three = b.int_like(bits, 3);
    let entry = b.shr_u(position, three);
    let seven = b.int_like(bits, 7);
    let rest = b.and(position, seven);
    (b.shl(significand, rest), entry)
}

/// Entry `entry + offset` of the table, in the lanes of the mask.
fn window(b: &mut Builder, table: Scalar, entry: Reg, offset: i64, mask: Reg) -> Reg {
    let lanes = b.shape(entry).1;
    let offset = b.int_like(entry, offset);
    let entry = b.add(entry, offset);
    let access = MemAccess::Indexed(entry);
    b.load(DType::U64, lanes, table, access, Some(mask))
}

/// Splits the fixed-point product of weight 2^-64 of four quadrants into the nearest quadrant and a
/// signed rest.
fn quadrant(b: &mut Builder, product: Reg) -> (Reg, Reg) {
    let half = b.int_like(product, 1 << 61);
    let places = b.int_like(product, 62);
    let rounded = b.add(product, half);
    let quadrant = b.shr_u(rounded, places);
    let whole = b.shl(quadrant, places);
    (quadrant, b.sub(product, whole))
}

fn reduce_huge_f32(b: &mut Builder, a: Reg, mask: Reg) -> Reduced {
    let format = Format::of(b, a);
    let bits = b.bits(a);
    let bits = b.convert(Conv::Uint, Class::I64, bits);
    let table = windows(b, WINDOWS_F32);
    let (factor, entry) = aligned(b, bits, format);
    let first = window(b, table, entry, 0, mask);
    let second = window(b, table, entry, 8, mask);
    let product = b.mul(factor, first);
    let carried = b.mul_high_u(factor, second);
    let product = b.add(product, carried);
    let (quadrant, rest) = quadrant(b, product);
    let rest = b.convert(Conv::FromInt, Class::F64, rest);
    let unit = b.float_like(rest, FRAC_PI_2 * f64::powi(2.0, -62));
    let r = b.mul(rest, unit);
    let high = b.convert(Conv::Float, Class::F32, r);
    let back = b.convert(Conv::Float, Class::F64, high);
    let low = b.sub(r, back);
    Reduced {
        quadrant: b.convert(Conv::Int, Class::I32, quadrant),
        high,
        low: b.convert(Conv::Float, Class::F32, low),
    }
}

fn reduce_huge_f64(b: &mut Builder, a: Reg, mask: Reg) -> Reduced {
    let format = Format::of(b, a);
    let bits = b.bits(a);
    let table = windows(b, WINDOWS_F64);
    let (factor, entry) = aligned(b, bits, format);
    let first = window(b, table, entry, 0, mask);
    let second = window(b, table, entry, 8, mask);
    let third = window(b, table, entry, 16, mask);
    // 128 bits of the product.
    let upper = b.mul(factor, first);
    let carried = b.mul_high_u(factor, second);
    let upper = b.add(upper, carried);
    let lower = b.mul(factor, second);
    let carried = b.mul_high_u(factor, third);
    let lower = b.add(lower, carried);
    let overflow = b.lt_u(lower, carried);
    let carry = b.convert(Conv::FromMask, Class::I64, overflow);
    let upper = b.add(upper, carry);
    let (quadrant, rest) = quadrant(b, upper);
    // The rest as a sum of two floats: its upper word loses bits when it becomes one.
    let rounded = b.convert(Conv::FromInt, Class::F64, rest);
    let back = b.convert(Conv::ToInt, Class::I64, rounded);
    let lost = b.sub(rest, back);
    let lost = b.convert(Conv::FromInt, Class::F64, lost);
    let word = b.float_like(rounded, f64::powi(2.0, 64));
    let lower = b.convert(Conv::FromUint, Class::F64, lower);
    let lower = b.fma(lost, word, lower);
    let upper = b.mul(rounded, word);
    let high = b.add(upper, lower);
    let left = b.sub(high, upper);
    let low = b.sub(lower, left);
    // Times the quadrant's size.
    let unit = f64::powi(2.0, -126);
    let [first, second, _] = PARTS_F64.map(|part| b.float_like(a, part * unit));
    let product = b.mul(high, first);
    let negated = b.neg(product);
    let error = b.fma(high, first, negated);
    let error = b.fma(high, second, error);
    Reduced {
        quadrant,
        high: product,
        low: b.fma(low, first, error),
    }
}

/// Sine and cosine of the rest of a reduction.
fn polynomials(b: &mut Builder, r: &Reduced) -> (Reg, Reg) {
    let z = b.mul(r.high, r.high);
    let (sin, cos) = table(b, z, (SIN_F32, COS_F32), (SIN_F64, COS_F64));
    let tail = poly(b, z, sin);
    let cube = b.mul(r.high, z);
    let tail = b.fma(cube, tail, r.low);
    let sine = b.add(r.high, tail);
    let tail = poly(b, z, cos);
    let one = b.float_like(z, 1.0);
    let minus_half = b.float_like(z, -0.5);
    let head = b.fma(z, minus_half, one);
    let square = b.mul(z, z);
    (sine, b.fma(square, tail, head))
}

/// The sine of the rest plus `quadrant` right angles, with `sign` (bits) flipped in.
fn choose(b: &mut Builder, quadrant: Reg, r: &Reduced, sign: Option<Reg>) -> Reg {
    let (sine, cosine) = polynomials(b, r);
    let one = b.int_like(quadrant, 1);
    let odd = b.and(quadrant, one);
    let zero = b.int_like(quadrant, 0);
    let odd = b.ne(odd, zero);
    let value = b.select(odd, cosine, sine);
    // Bit 1 of the quadrant becomes the sign.
    let two = b.int_like(quadrant, 2);
    let places = b.int_like(quadrant, i64::from(b.class(quadrant).bits()) - 2);
    let flip = b.and(quadrant, two);
    let flip = b.shl(flip, places);
    let bits = b.bits(value);
    let bits = b.xor(bits, flip);
    let bits = match sign {
        Some(sign) => b.xor(bits, sign),
        None => bits,
    };
    b.bits(bits)
}

/// Sine.
pub(super) fn sin(b: &mut Builder, x: Reg) -> Reg {
    let a = b.abs(x);
    let sign = sign_bits(b, x);
    let r = reduce(b, a);
    choose(b, r.quadrant, &r, Some(sign))
}

/// Cosine.
pub(super) fn cos(b: &mut Builder, x: Reg) -> Reg {
    let a = b.abs(x);
    let r = reduce(b, a);
    let one = b.int_like(r.quadrant, 1);
    let quadrant = b.add(r.quadrant, one);
    choose(b, quadrant, &r, None)
}
