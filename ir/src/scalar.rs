//! One value of any element type, comparable and hashable by its bits.

use crate::DType;
use half::{bf16, f16};

/// A typed constant. Two scalars are equal when type and bits are equal, so NaN equals itself and
/// the two zeros differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scalar {
    dtype: DType,
    bits: u128,
}

impl Scalar {
    /// The value whose memory image, little endian, is the low bytes of `bits`; what lies above the
    /// type's size is dropped, and bools become 0 or 1.
    pub fn from_bits(dtype: DType, bits: u128) -> Scalar {
        let bits = match dtype {
            DType::Bool => u128::from(bits & 0xff != 0),
            DType::C128 => bits,
            d => bits & ((1u128 << (8 * d.size())) - 1),
        };
        Scalar { dtype, bits }
    }

    /// `value` converted to `dtype` as a cast does: to half floats by way of f32, to integers by way of 64 bits,
    /// at whose limits they saturate, then wrapping to the width.
    pub fn from_f64(dtype: DType, value: f64) -> Scalar {
        let bits = match dtype {
            DType::Bool => u128::from(value != 0.0),
            DType::F16 => u128::from(f16::from_f32(value as f32).to_bits()),
            DType::BF16 => u128::from(bf16::from_f32(value as f32).to_bits()),
            DType::F32 | DType::C64 => u128::from((value as f32).to_bits()),
            DType::F64 | DType::C128 => u128::from(value.to_bits()),
            DType::U64 if value >= 0.0 => u128::from(value as u64),
            _ => (value as i64) as u128,
        };
        Scalar::from_bits(dtype, bits)
    }

    /// `value` converted to `dtype`; integers wrap.
    pub fn from_i64(dtype: DType, value: i64) -> Scalar {
        match dtype {
            DType::Bool => Scalar::from_bits(dtype, u128::from(value != 0)),
            d if d.is_int() => Scalar::from_bits(d, value as u128),
            DType::F32 | DType::C64 => {
                Scalar::from_bits(dtype, u128::from((value as f32).to_bits()))
            }
            d => Scalar::from_f64(d, value as f64),
        }
    }

    /// A complex value; for other types the real part alone.
    pub fn from_complex(dtype: DType, re: f64, im: f64) -> Scalar {
        match dtype {
            DType::C64 => Scalar::from_bits(
                dtype,
                u128::from((re as f32).to_bits()) | u128::from((im as f32).to_bits()) << 32,
            ),
            DType::C128 => Scalar::from_bits(
                dtype,
                u128::from(re.to_bits()) | u128::from(im.to_bits()) << 64,
            ),
            d => Scalar::from_f64(d, re),
        }
    }

    /// The element type.
    pub fn dtype(self) -> DType {
        self.dtype
    }

    /// The memory image, little endian, in the low bytes.
    pub fn bits(self) -> u128 {
        self.bits
    }

    /// The (real part of the) value as f64; exact for all types but large 64-bit integers.
    pub fn as_f64(self) -> f64 {
        self.as_complex().0
    }

    /// Real and imaginary part as f64.
    pub fn as_complex(self) -> (f64, f64) {
        let b = self.bits;
        match self.dtype {
            DType::F16 => (f16::from_bits(b as u16).to_f64(), 0.0),
            DType::BF16 => (bf16::from_bits(b as u16).to_f64(), 0.0),
            DType::F32 => (f64::from(f32::from_bits(b as u32)), 0.0),
            DType::F64 => (f64::from_bits(b as u64), 0.0),
            DType::C64 => (
                f64::from(f32::from_bits(b as u32)),
                f64::from(f32::from_bits((b >> 32) as u32)),
            ),
            DType::C128 => (f64::from_bits(b as u64), f64::from_bits((b >> 64) as u64)),
            DType::U64 => (b as u64 as f64, 0.0),
            _ => (self.as_i64() as f64, 0.0),
        }
    }

    /// The value as i64: sign or zero extended for integers and bool (u64 wraps), truncated and
    /// saturated for floats.
    pub fn as_i64(self) -> i64 {
        let b = self.bits;
        match self.dtype {
            DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64 => b as i64,
            DType::I8 => i64::from(b as i8),
            DType::I16 => i64::from(b as i16),
            DType::I32 => i64::from(b as i32),
            DType::I64 => b as i64,
            _ => self.as_complex().0 as i64,
        }
    }
}
