//! Scalar functions on registers, for every element type.

use super::{Lowerer, Result};
use crate::CodegenError;
use crate::vector::{Bin, Class, Narrow, Reg, decode, math};
use lazulite_ir::{Binary, Combine, DType, Predicate, Unary, scalar_ops};

/// The type that values of a narrow integer type are wrapped to; none for others.
pub(super) fn narrow(dtype: DType) -> Option<Narrow> {
    match dtype {
        DType::U8 => Some(Narrow::U8),
        DType::U16 => Some(Narrow::U16),
        DType::I8 => Some(Narrow::I8),
        DType::I16 => Some(Narrow::I16),
        DType::Bool
        | DType::U32
        | DType::U64
        | DType::I32
        | DType::I64
        | DType::F16
        | DType::BF16
        | DType::F32
        | DType::F64
        | DType::C64
        | DType::C128 => None,
    }
}

fn undefined(f: impl std::fmt::Display, dtype: DType) -> CodegenError {
    CodegenError::Malformed(format!("{f} on {dtype}"))
}

/// The bits of a scalar in a register of its class.
pub(crate) fn register_bits(value: lazulite_ir::Scalar) -> u64 {
    decode(value.dtype(), value.bits() as u64)
}

/// What an accumulator starts from, as register bits.
pub(super) fn identity(kind: Combine, dtype: DType) -> Result<u64> {
    scalar_ops::identity(kind, dtype)
        .map(register_bits)
        .ok_or_else(|| undefined(kind, dtype))
}

/// The function of two values that a combination repeats.
fn binary_of(kind: Combine) -> Binary {
    match kind {
        Combine::Sum => Binary::Add,
        Combine::Prod => Binary::Mul,
        Combine::Max => Binary::Max,
        Combine::Min => Binary::Min,
    }
}

/// The register operation of a combination, without the wrapping of narrow integers.
pub(super) fn combining(kind: Combine, dtype: DType) -> Result<Bin> {
    direct(binary_of(kind), dtype).ok_or_else(|| undefined(kind, dtype))
}

/// The one register operation that a function is, but for the wrapping of narrow integers.
fn direct(f: Binary, dtype: DType) -> Option<Bin> {
    let class = Class::of(dtype);
    let unsigned = dtype.is_unsigned_int();
    match (f, class) {
        (Binary::Add | Binary::Max | Binary::Or, Class::Mask) => Some(Bin::Or),
        (Binary::Mul | Binary::Min | Binary::And, Class::Mask) => Some(Bin::And),
        (Binary::Xor, Class::Mask) => Some(Bin::Xor),
        (Binary::Add, _) => Some(Bin::Add),
        (Binary::Mul, _) => Some(Bin::Mul),
        (Binary::Div, Class::F32 | Class::F64) => Some(Bin::Div),
        (Binary::Max, Class::F32 | Class::F64) => Some(Bin::MaxNan),
        (Binary::Min, Class::F32 | Class::F64) => Some(Bin::MinNan),
        (Binary::Div, Class::I32 | Class::I64) if unsigned => Some(Bin::DivU),
        (Binary::Rem, Class::I32 | Class::I64) if unsigned => Some(Bin::RemU),
        (Binary::Max, Class::I32 | Class::I64) if unsigned => Some(Bin::MaxU),
        (Binary::Min, Class::I32 | Class::I64) if unsigned => Some(Bin::MinU),
        (Binary::Shr, Class::I32 | Class::I64) if unsigned => Some(Bin::ShrU),
        (Binary::Div, Class::I32 | Class::I64) => Some(Bin::Div),
        (Binary::Rem, Class::I32 | Class::I64) => Some(Bin::Rem),
        (Binary::Max, Class::I32 | Class::I64) => Some(Bin::Max),
        (Binary::Min, Class::I32 | Class::I64) => Some(Bin::Min),
        (Binary::Shr, Class::I32 | Class::I64) => Some(Bin::ShrS),
        (Binary::And, Class::I32 | Class::I64) => Some(Bin::And),
        (Binary::Or, Class::I32 | Class::I64) => Some(Bin::Or),
        (Binary::Xor, Class::I32 | Class::I64) => Some(Bin::Xor),
        (Binary::Shl, Class::I32 | Class::I64) => Some(Bin::Shl),
        (
            Binary::Div
            | Binary::Rem
            | Binary::Pow
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr,
            _,
        ) => None,
    }
}

impl Lowerer<'_> {
    /// Brings the result of integer arithmetic back to a narrow type.
    pub(super) fn wrap(&mut self, dtype: DType, r: Reg) -> Reg {
        match narrow(dtype) {
            Some(narrow) => self.b.wrap(narrow, r),
            None => r,
        }
    }

    pub(super) fn combine(&mut self, kind: Combine, dtype: DType, a: Reg, b: Reg) -> Result<Reg> {
        let f = combining(kind, dtype)?;
        let r = self.b.binary(f, a, b);
        Ok(self.wrap(dtype, r))
    }

    pub(super) fn unary(&mut self, f: Unary, dtype: DType, x: Reg) -> Result<Reg> {
        let float = self.b.class(x).is_float();
        match f {
            Unary::Abs if dtype.is_unsigned_int() => Ok(x),
            Unary::Neg | Unary::Abs if dtype.is_int() => {
                let r = math::unary(&mut self.b, f, x);
                Ok(self.wrap(dtype, r))
            }
            _ if float => Ok(math::unary(&mut self.b, f, x)),
            _ => Err(undefined(f, dtype)),
        }
    }

    pub(super) fn binary(&mut self, f: Binary, dtype: DType, x: Reg, y: Reg) -> Result<Reg> {
        let float = self.b.class(x).is_float();
        if let (Binary::Max | Binary::Min, true) = (f, float) {
            let plain = match f {
                Binary::Max => Bin::Max,
                _ => Bin::Min,
            };
            match (self.number(x), self.number(y)) {
                // The machine's result is the second, too, where that is NaN or equal.
                (Some(limit), _) if !limit.is_nan() => return Ok(self.b.binary(plain, x, y)),
                (_, Some(limit)) => return Ok(self.limited(plain, x, y, limit)),
                _ => {}
            }
        }
        if let Some(op) = direct(f, dtype) {
            let r = self.b.binary(op, x, y);
            return Ok(self.wrap(dtype, r));
        }
        match f {
            Binary::Rem if float => Ok(math::rem(&mut self.b, x, y)),
            Binary::Pow if float => Ok(math::pow(&mut self.b, x, y)),
            Binary::Pow if dtype.is_int() => {
                let r = math::powi(&mut self.b, x, y, dtype.is_signed_int());
                Ok(self.wrap(dtype, r))
            }
            Binary::Add
            | Binary::Mul
            | Binary::Div
            | Binary::Rem
            | Binary::Max
            | Binary::Min
            | Binary::Pow
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr => Err(undefined(f, dtype)),
        }
    }

    /// The number that a float register is known to hold.
    fn number(&self, x: Reg) -> Option<f64> {
        let bits = self.b.known(x)?;
        match self.b.class(x) {
            Class::F32 => Some(f32::from_bits(bits as u32).into()),
            Class::F64 => Some(f64::from_bits(bits)),
            Class::I32 | Class::I64 | Class::Mask => None,
        }
    }

    /// The larger or smaller one of floats of which the second is a known number: where numbers are compared with
    /// that, NaN stays by itself. Of zeros that are equal the second one is the result, which a sum with it is, too,
    /// if it is the positive one.
    fn limited(&mut self, f: Bin, x: Reg, y: Reg, limit: f64) -> Reg {
        let b = &mut self.b;
        let x = match limit == 0.0 {
            _ if limit.is_nan() => return y,
            true if limit.is_sign_positive() => b.add(x, y),
            true => {
                let reached = match f {
                    Bin::Max => b.le(x, y),
                    _ => b.le(y, x),
                };
                return b.select(reached, y, x);
            }
            false => x,
        };
        b.binary(f, y, x)
    }

    pub(super) fn compare(&mut self, f: Predicate, dtype: DType, x: Reg, y: Reg) -> Reg {
        let b = &mut self.b;
        let unsigned = dtype.is_unsigned_int();
        match (f, b.class(x)) {
            (Predicate::Eq, Class::Mask) => {
                let differ = b.xor(x, y);
                b.not(differ)
            }
            (Predicate::Ne, Class::Mask) => b.xor(x, y),
            (Predicate::Lt, Class::Mask) => {
                let low = b.not(x);
                b.and(low, y)
            }
            (Predicate::Le, Class::Mask) => {
                let low = b.not(x);
                b.or(low, y)
            }
            (Predicate::Eq, _) => b.eq(x, y),
            (Predicate::Ne, _) => b.ne(x, y),
            (Predicate::Lt, _) if unsigned => b.lt_u(x, y),
            (Predicate::Le, _) if unsigned => b.le_u(x, y),
            (Predicate::Lt, _) => b.lt(x, y),
            (Predicate::Le, _) => b.le(x, y),
        }
    }
}
