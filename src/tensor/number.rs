//! Numbers as operands, and PyTorch's promotion between tensors and numbers.

use crate::tensor::Tensor;
use lazulite_ir::{DType, Scalar};

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
