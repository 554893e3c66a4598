//! Conversions between element types.

use super::analyse::Form;
use super::ops::narrow;
use super::{Lowerer, Result, half};
use crate::CodegenError;
use crate::vector::{Builder, Class, Conv, Reg};
use lazulite_ir::{DType, ValueId};

/// 2^63 and 2^64.
const TWO_63: f64 = 9_223_372_036_854_775_808.0;
const TWO_64: f64 = 18_446_744_073_709_551_616.0;

impl Lowerer<'_> {
    /// `x`, of type `from`, as the type of `result`.
    pub(super) fn cast(&mut self, result: ValueId, from: DType, x: Reg) -> Result<Reg> {
        let to = self.dtype(result);
        let b = &mut self.b;
        if from == to {
            return Ok(x);
        }
        let r = match (Class::of(from), Class::of(to)) {
            (_, Class::Mask) => to_bool(b, x),
            (Class::Mask, class) => b.convert(Conv::FromMask, class, x),
            (Class::F32 | Class::F64, Class::I32 | Class::I64) => {
                return Ok(float_to_int(b, to, x));
            }
            (Class::F32 | Class::F64, class) if class == b.class(x) => x,
            (Class::F32 | Class::F64, class) => b.convert(Conv::Float, class, x),
            (Class::I32 | Class::I64, class @ (Class::F32 | Class::F64)) => {
                let conv = match from {
                    DType::U32 | DType::U64 => Conv::FromUint,
                    _ => Conv::FromInt,
                };
                b.convert(conv, class, x)
            }
            (Class::I32 | Class::I64, Class::I32 | Class::I64) => {
                return Ok(int_to_int(b, from, to, x));
            }
        };
        // What is only stored is rounded by the store.
        Ok(match to {
            DType::F16 if !self.analysis.only_stored(result) => self.b.round_f16(r),
            DType::BF16 if !self.analysis.only_stored(result) => self.b.round_bf16(r),
            _ => r,
        })
    }

    /// The bits of `x`, a value of type `from`, as the type of `result`.
    pub(super) fn bitcast(&mut self, result: ValueId, value: ValueId, x: Reg) -> Result<Reg> {
        let (from, to) = (self.dtype(value), self.dtype(result));
        if from.size() != to.size() || from.is_complex() || to.is_complex() {
            return Err(CodegenError::Malformed(format!("bits of {from} as {to}")));
        }
        let (held, wanted) = (self.analysis.form(value), self.analysis.form(result));
        let b = &mut self.b;
        // By way of an integer of the same size.
        let bits = match from {
            DType::F32 | DType::F64 => b.bits(x),
            DType::F16 if held == Form::Natural => half::f16_bits(b, x),
            DType::BF16 if held == Form::Natural => half::bf16_bits(b, x),
            DType::Bool => b.convert(Conv::FromMask, Class::I32, x),
            DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::F16
            | DType::BF16
            | DType::C64
            | DType::C128 => x,
        };
        Ok(match to {
            DType::F32 | DType::F64 => b.bits(bits),
            DType::F16 if wanted == Form::Natural => half::f16_from_bits(b, bits),
            DType::BF16 if wanted == Form::Natural => half::bf16_from_bits(b, bits),
            DType::F16 | DType::BF16 => b.wrap(crate::vector::Narrow::U16, bits),
            DType::Bool => to_bool(b, bits),
            DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::C64
            | DType::C128 => match narrow(to) {
                Some(narrow) => b.wrap(narrow, bits),
                None => bits,
            },
        })
    }
}

/// True for all but zero, NaN included.
fn to_bool(b: &mut Builder, x: Reg) -> Reg {
    let zero = b.bits_like(x, 0);
    match b.class(x) {
        Class::Mask => x,
        Class::F32 | Class::F64 | Class::I32 | Class::I64 => b.ne(x, zero),
    }
}

fn int_to_int(b: &mut Builder, from: DType, to: DType, x: Reg) -> Reg {
    let r = match (b.class(x), Class::of(to)) {
        (Class::I32, Class::I64) if from == DType::U32 => b.convert(Conv::Uint, Class::I64, x),
        (Class::I32, Class::I64) => b.convert(Conv::Int, Class::I64, x),
        (Class::I64, Class::I32) => b.convert(Conv::Int, Class::I32, x),
        _ => x,
    };
    match narrow(to) {
        Some(narrow) => b.wrap(narrow, r),
        None => r,
    }
}

/// By way of i64, saturating; then the low bits. u64 takes all that it can hold.
fn float_to_int(b: &mut Builder, to: DType, x: Reg) -> Reg {
    match to {
        DType::I64 => b.convert(Conv::ToInt, Class::I64, x),
        DType::U64 => {
            let (two_63, two_64) = (b.float_like(x, TWO_63), b.float_like(x, TWO_64));
            let low = b.convert(Conv::ToInt, Class::I64, x);
            let upper = b.sub(x, two_63);
            let upper = b.convert(Conv::ToInt, Class::I64, upper);
            let sign = b.int_like(upper, i64::MIN);
            let upper = b.xor(upper, sign);
            let (above, below) = (b.le(two_63, x), b.lt(x, two_64));
            let large = b.and(above, below);
            b.select(large, upper, low)
        }
        _ => {
            // Nearly always in range of i32, and then much cheaper.
            let quick = b.convert(Conv::ToInt, Class::I32, x);
            let limit = b.float_like(x, 2_147_483_648.0);
            let magnitude = b.abs(x);
            let inside = b.lt(magnitude, limit);
            let outside = b.not(inside);
            let [r] = b.patch(outside, [quick], |b| {
                let wide = b.convert(Conv::ToInt, Class::I64, x);
                [b.convert(Conv::Int, Class::I32, wide)]
            });
            match narrow(to) {
                Some(narrow) => b.wrap(narrow, r),
                None => r,
            }
        }
    }
}
