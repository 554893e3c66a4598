//! Numbers as operands, and PyTorch's promotion between tensors and numbers.

use crate::tensor::Tensor;
use lazulite_ir::{DType, Scalar};
use std::fmt;

/// A number written in the program. Its own type is only a category: combined with a tensor, the
/// tensor's type wins within the category, as in PyTorch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A complex number: real and imaginary part.
    Complex(f64, f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Bool(value) => write!(f, "{value}"),
            Number::Int(value) => write!(f, "{value}"),
            Number::Float(value) => write!(f, "{value:?}"),
            Number::Complex(re, im) => write!(f, "{re:?}{im:+?}i"),
        }
    }
}

impl Number {
    /// The number as an element of type `dtype`.
    pub(crate) fn scalar(self, dtype: DType) -> Scalar {
        match self {
            Number::Bool(v) => Scalar::from_i64(dtype, i64::from(v)),
            Number::Int(v) => Scalar::from_i64(dtype, v),
            Number::Float(v) => Scalar::from_f64(dtype, v),
            Number::Complex(re, im) => Scalar::from_complex(dtype, re, im),
        }
    }

    /// As [`Number::scalar`]; the number where the type cannot hold it, in words. As in PyTorch, floats take
    /// infinities and NaN, and unsigned integers take negative ones of their range's size, which wrap.
    pub(crate) fn fitting(self, dtype: DType) -> Result<Scalar, String> {
        let (text, fits) = match self {
            Number::Bool(v) => (v.to_string(), true),
            Number::Int(v) => (v.to_string(), holds_int(dtype, v)),
            Number::Float(v) => (v.to_string(), holds_float(dtype, v)),
            Number::Complex(re, im) => {
                let parts = holds_float(dtype.real(), re) && holds_float(dtype.real(), im);
                let fits = parts && (im == 0.0 || dtype.is_complex() || dtype == DType::Bool);
                (format!("{re} + {im}i"), fits)
            }
        };
        match fits {
            true => Ok(self.scalar(dtype)),
            false => Err(format!("{text} cannot be held by {dtype}")),
        }
    }

    /// The type a tensor made of just this number has.
    pub(crate) fn default_dtype(self) -> DType {
        match self {
            Number::Bool(_) => DType::Bool,
            Number::Int(_) => DType::I64,
            Number::Float(_) => DType::F32,
            Number::Complex(..) => DType::C64,
        }
    }
}

/// The smallest and the largest integer of a type, as far as they are i64s.
pub(crate) fn int_range(dtype: DType) -> (i64, i64) {
    let bits = 8 * dtype.size() as u32;
    match dtype.is_signed_int() {
        true => (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)),
        false if bits == 64 => (0, i64::MAX),
        false => (0, (1 << bits) - 1),
    }
}

fn holds_int(dtype: DType, value: i64) -> bool {
    if !dtype.is_int() {
        return holds_float(dtype, value as f64);
    }
    let (low, high) = int_range(dtype);
    let low = if low == 0 { -high } else { low };
    (low..=high).contains(&value)
}

fn holds_float(dtype: DType, value: f64) -> bool {
    if dtype == DType::Bool {
        return true;
    }
    if dtype.is_int() {
        // The type's own largest number may be none of f64.
        let limit = match dtype {
            DType::U64 => 2f64.powi(64),
            _ => int_range(dtype).1 as f64 + 1.0,
        };
        let low = if dtype.is_signed_int() { -limit } else { 0.0 };
        return value >= low && value.trunc() < limit;
    }
    let largest = match dtype.real() {
        DType::F16 => half::f16::MAX.to_f64(),
        DType::BF16 => half::bf16::MAX.to_f64(),
        DType::F32 => f32::MAX.into(),
        _ => f64::MAX,
    };
    !value.is_finite() || value.abs() <= largest
}

macro_rules! numbers {
    ($($variant:ident($($ty:ty),*) as $via:ty;)*) => {$($(
        impl From<$ty> for Number {
            fn from(value: $ty) -> Number {
                Number::$variant(value as $via)
            }
        }

        impl From<$ty> for Argument {
            fn from(value: $ty) -> Argument {
                Argument::Number(value.into())
            }
        }
    )*)*};
}

numbers! {
    Bool(bool) as bool;
    Int(i8, i16, i32, i64, u8, u16, u32, usize) as i64;
    Float(f32, f64) as f64;
}

macro_rules! converted_numbers {
    ($($ty:ty: $value:ident => $number:expr;)*) => {$(
        impl From<$ty> for Number {
            fn from($value: $ty) -> Number {
                $number
            }
        }

        impl From<$ty> for Argument {
            fn from($value: $ty) -> Argument {
                Argument::Number($value.into())
            }
        }
    )*};
}

converted_numbers! {
    half::f16: v => Number::Float(v.to_f64());
    half::bf16: v => Number::Float(v.to_f64());
    num_complex::Complex<f32>: v => Number::Complex(v.re.into(), v.im.into());
    num_complex::Complex<f64>: v => Number::Complex(v.re, v.im);
}

/// What may stand beside a tensor: another tensor, or a number.
#[derive(Clone, Debug)]
pub enum Argument {
    /// A tensor.
    Tensor(Tensor),
    /// A number.
    Number(Number),
}

impl From<Tensor> for Argument {
    fn from(tensor: Tensor) -> Argument {
        Argument::Tensor(tensor)
    }
}

impl From<&Tensor> for Argument {
    fn from(tensor: &Tensor) -> Argument {
        Argument::Tensor(tensor.clone())
    }
}

impl From<Number> for Argument {
    fn from(number: Number) -> Argument {
        Argument::Number(number)
    }
}

/// The order of PyTorch's type categories.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Category {
    Bool,
    Int,
    Float,
    Complex,
}

fn category(dtype: DType) -> Category {
    if dtype == DType::Bool {
        Category::Bool
    } else if dtype.is_int() {
        Category::Int
    } else if dtype.is_float() {
        Category::Float
    } else {
        Category::Complex
    }
}

/// What takes part in promotion: types of tensors with dimensions, of 0-d tensors, and numbers,
/// each kind only able to raise the category of the kinds before it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Promotion {
    dimensioned: Option<DType>,
    zero_dim: Option<DType>,
    number: Option<DType>,
}

impl Promotion {
    /// Lets a tensor take part.
    pub fn tensor(mut self, dtype: DType, rank: usize) -> Promotion {
        let slot = if rank > 0 {
            &mut self.dimensioned
        } else {
            &mut self.zero_dim
        };
        *slot = Some(slot.map_or(dtype, |d| d.promote(dtype)));
        self
    }

    /// Lets a number take part.
    pub fn number(mut self, number: Number) -> Promotion {
        let dtype = number.default_dtype();
        self.number = Some(self.number.map_or(dtype, |d| d.promote(dtype)));
        self
    }

    /// The common type.
    pub fn result(self) -> DType {
        let raised = |low: Option<DType>, high: Option<DType>| match (low, high) {
            (Some(low), Some(high)) if category(low) > category(high) => Some(join(high, low)),
            (low, high) => high.or(low),
        };
        raised(self.number, raised(self.zero_dim, self.dimensioned)).unwrap_or(DType::F32)
    }
}

/// `winner` has the higher category; a complex winner keeps the precision of real operands.
fn join(tensor: DType, winner: DType) -> DType {
    if winner.is_complex() && tensor.is_float() {
        tensor.promote(DType::C64)
    } else {
        winner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_0d_tensors_raise_the_category_only() {
        let p = Promotion::default();
        assert_eq!(
            p.tensor(DType::I32, 1).number(Number::Int(3)).result(),
            DType::I32
        );
        assert_eq!(
            p.tensor(DType::I32, 1).number(Number::Float(0.5)).result(),
            DType::F32
        );
        assert_eq!(
            p.tensor(DType::F16, 2).number(Number::Float(0.5)).result(),
            DType::F16
        );
        assert_eq!(
            p.tensor(DType::F32, 1).tensor(DType::F64, 0).result(),
            DType::F32
        );
        assert_eq!(
            p.tensor(DType::I8, 1).tensor(DType::F64, 0).result(),
            DType::F64
        );
        assert_eq!(
            p.tensor(DType::F64, 1)
                .number(Number::Complex(0.0, 1.0))
                .result(),
            DType::C128
        );
        assert_eq!(
            p.tensor(DType::Bool, 1).number(Number::Int(1)).result(),
            DType::I64
        );
        assert_eq!(
            p.tensor(DType::U8, 1).tensor(DType::I8, 1).result(),
            DType::I16
        );
    }
}
