//! Typed constants as text, exactly: `f32(0.1)`, `i64(-3)`, `bool(true)`, `c64(1.0, -inf)`.
//!
//! Floats are written with the fewest digits that read back to the same bits. The quiet NaN
//! without payload is `nan`; any other NaN is its bits in hexadecimal.

use super::lex::{Cursor, TokenKind};
use crate::{DType, Scalar, TextError};
use half::{bf16, f16};
use std::fmt;

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.dtype())?;
        write_value(f, *self)?;
        f.write_str(")")
    }
}

/// Writes a value without its type; complex numbers as real and imaginary part.
pub(crate) fn write_value(out: &mut impl fmt::Write, value: Scalar) -> fmt::Result {
    let (dtype, bits) = (value.dtype(), value.bits());
    match dtype {
        DType::Bool => write!(out, "{}", bits != 0),
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => write!(out, "{bits}"),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => write!(out, "{}", value.as_i64()),
        DType::F16 | DType::BF16 | DType::F32 | DType::F64 => {
            out.write_str(&float_text(dtype, bits as u64))
        }
        DType::C64 | DType::C128 => {
            let real = dtype.real();
            let width = 8 * real.size();
            let (re, im) = (bits & ((1 << width) - 1), bits >> width);
            let (re, im) = (float_text(real, re as u64), float_text(real, im as u64));
            write!(out, "{re}, {im}")
        }
    }
}

/// The text of a real float given by its bits.
fn float_text(dtype: DType, bits: u64) -> String {
    let scalar = Scalar::from_bits(dtype, bits.into());
    let value = scalar.as_f64();
    if value.is_nan() && bits != canonical_nan(dtype) {
        return format!("{bits:#x}");
    }
    if value.is_nan() {
        return "nan".into();
    }
    match dtype {
        DType::F16 | DType::BF16 if value.is_finite() => (0..17)
            .filter_map(|digits| format!("{value:.digits$e}").parse::<f64>().ok())
            .find(|&v| Scalar::from_f64(dtype, v) == scalar)
            .map_or_else(|| format!("{value:?}"), |v| format!("{v:?}")),
        DType::F32 => format!("{:?}", f32::from_bits(bits as u32)),
        _ => format!("{value:?}"),
    }
}

fn canonical_nan(dtype: DType) -> u64 {
    match dtype {
        DType::F16 => f16::NAN.to_bits().into(),
        DType::BF16 => bf16::NAN.to_bits().into(),
        DType::F32 => f32::NAN.to_bits().into(),
        _ => f64::NAN.to_bits(),
    }
}

/// Reads a typed constant.
pub(crate) fn read_scalar(cursor: &mut Cursor<'_>) -> Result<Scalar, TextError> {
    let dtype = read_dtype(cursor)?;
    cursor.expect("(")?;
    let value = read_value(cursor, dtype)?;
    cursor.expect(")")?;
    Ok(value)
}

/// Reads what [`write_value`] writes.
pub(crate) fn read_value(cursor: &mut Cursor<'_>, dtype: DType) -> Result<Scalar, TextError> {
    let bits = match dtype {
        DType::Bool => u128::from(read_bool(cursor)?),
        DType::C64 | DType::C128 => {
            let real = dtype.real();
            let re = read_float(cursor, real)?;
            cursor.expect(",")?;
            re | read_float(cursor, real)? << (8 * real.size())
        }
        d if d.is_float() => read_float(cursor, d)?,
        d => read_int(cursor, d)?,
    };
    Ok(Scalar::from_bits(dtype, bits))
}

/// Reads the name of an element type.
pub(crate) fn read_dtype(cursor: &mut Cursor<'_>) -> Result<DType, TextError> {
    let token = cursor.peek();
    match DType::from_name(token.text).filter(|_| token.kind == TokenKind::Word) {
        Some(dtype) => {
            cursor.advance();
            Ok(dtype)
        }
        None => Err(cursor.expected("an element type")),
    }
}

/// Reads `true` or `false`.
pub(crate) fn read_bool(cursor: &mut Cursor<'_>) -> Result<bool, TextError> {
    if cursor.eat_word("true") {
        Ok(true)
    } else if cursor.eat_word("false") {
        Ok(false)
    } else {
        Err(cursor.expected("`true` or `false`"))
    }
}

fn read_int(cursor: &mut Cursor<'_>, dtype: DType) -> Result<u128, TextError> {
    let at = cursor.peek().at;
    let negative = cursor.eat("-");
    let magnitude = i128::from(cursor.natural::<u64>("a whole number")?);
    let value = if negative { -magnitude } else { magnitude };
    let bits = 8 * dtype.size();
    let (lo, hi) = if dtype.is_unsigned_int() {
        (0, (1i128 << bits) - 1)
    } else {
        (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
    };
    if value < lo || value > hi {
        return Err(at.error(format!("{value} does not fit {dtype}")));
    }
    Ok(value as u128)
}

/// Reads a real float to its bits.
fn read_float(cursor: &mut Cursor<'_>, dtype: DType) -> Result<u128, TextError> {
    let at = cursor.peek().at;
    let negative = cursor.eat("-");
    let token = cursor.peek();
    if let (Some(hex), false) = (token.text.strip_prefix("0x"), negative) {
        cursor.advance();
        let bits = u64::from_str_radix(hex, 16).ok();
        let fits = |b: &u64| dtype.size() == 8 || b >> (8 * dtype.size()) == 0;
        return bits
            .filter(fits)
            .map(u128::from)
            .ok_or_else(|| at.error(format!("{} does not fit the bits of {dtype}", token.text)));
    }
    let named = token.kind == TokenKind::Word && matches!(token.text, "inf" | "nan");
    if !(named && !(negative && token.text == "nan")) && token.kind != TokenKind::Number {
        return Err(cursor.expected("a number, `inf`, `nan` or bits in hexadecimal"));
    }
    cursor.advance();
    let sign = if negative { "-" } else { "" };
    let text = format!("{sign}{}", token.text);
    let unreadable = || at.error(format!("{text} is not a number for {dtype}"));
    let scalar = match dtype {
        // Straight to f32: over f64 it would be rounded twice.
        DType::F32 => {
            let value: f32 = text.parse().map_err(|_| unreadable())?;
            Scalar::from_bits(dtype, value.to_bits().into())
        }
        _ => Scalar::from_f64(dtype, text.parse().map_err(|_| unreadable())?),
    };
    if !named && !scalar.as_f64().is_finite() {
        return Err(at.error(format!("{text} is too large for {dtype}")));
    }
    Ok(if token.text == "nan" {
        canonical_nan(dtype).into()
    } else {
        scalar.bits()
    })
}
