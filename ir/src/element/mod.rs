//! Element types as Rust types: what every scalar function means on every type it is defined for.
//!
//! The functions are handed out as plain function pointers, chosen once per operation by function
//! and type, so that the interpreter's loops stay simple and its inner calls cheap. A function
//! that is not defined on a type is `None`; type inference rejects such operations.

mod complex;
mod float;
mod int;
mod number;

pub(crate) use complex::Complex;
pub(crate) use number::Number;

use crate::{Binary, Combine, DType, Predicate, Scalar, Unary};
use std::cmp::Ordering;

/// A Rust type that holds one element.
pub(crate) trait Element: Copy + 'static {
    /// The element type that it represents.
    const DTYPE: DType;

    /// The type in which sums and products of many elements are formed.
    type Acc: Element;

    /// Element number `index` of little-endian memory.
    fn load(bytes: &[u8], index: usize) -> Self;

    /// Writes element number `index` of little-endian memory.
    fn store(self, bytes: &mut [u8], index: usize);

    /// The value, exactly.
    fn number(self) -> Number;

    /// The value converted as Cast does.
    fn from_number(number: Number) -> Self;

    /// A function of one element.
    fn unary(f: Unary) -> Option<fn(Self) -> Self>;

    /// A function of two elements. Integer division by zero gives 0.
    fn binary(f: Binary) -> Option<fn(Self, Self) -> Self>;

    /// A comparison.
    fn compare(predicate: Predicate) -> Option<fn(Self, Self) -> bool>;

    /// The order in which Sort puts elements: NaN behind everything, equal to itself; the two
    /// zeros equal.
    fn order(self, other: Self) -> Ordering;

    /// The smallest and the largest value, infinities included; `None` for complex numbers.
    fn limits() -> Option<[Self; 2]>;

    /// A combination of two elements.
    fn combine(kind: Combine) -> Option<fn(Self, Self) -> Self> {
        Self::binary(match kind {
            Combine::Sum => Binary::Add,
            Combine::Prod => Binary::Mul,
            Combine::Max => Binary::Max,
            Combine::Min => Binary::Min,
        })
    }

    /// What a combination starts from.
    fn identity(kind: Combine) -> Option<Self> {
        match kind {
            Combine::Sum => Some(Self::from_number(Number::Int(0))),
            Combine::Prod => Some(Self::from_number(Number::Int(1))),
            Combine::Max => Self::limits().map(|[lowest, _]| lowest),
            Combine::Min => Self::limits().map(|[_, highest]| highest),
        }
    }

    /// The element in the accumulator's type.
    fn widen(self) -> Self::Acc {
        Self::Acc::from_number(self.number())
    }

    /// The accumulator rounded once.
    fn narrow(acc: Self::Acc) -> Self {
        Self::from_number(acc.number())
    }

    /// From a scalar of the same type.
    fn from_scalar(scalar: Scalar) -> Self {
        Self::load(&scalar.bits().to_le_bytes(), 0)
    }

    /// To a scalar of the same type.
    fn to_scalar(self) -> Scalar {
        let mut bytes = [0; 16];
        self.store(&mut bytes, 0);
        Scalar::from_bits(Self::DTYPE, u128::from_le_bytes(bytes))
    }
}

/// Evaluates an expression with `$T` standing for the Rust type of a [`DType`].
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::element::with_element!(@match $dtype, $T, $body,
            Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64,
            F16 half::f16, BF16 half::bf16, F32 f32, F64 f64,
            C64 $crate::element::Complex<f32>, C128 $crate::element::Complex<f64>)
    };
    (@match $dtype:expr, $T:ident, $body:expr, $($variant:ident $ty:ty),*) => {
        match $dtype {
            $($crate::DType::$variant => {
                type $T = $ty;
                $body
            })*
        }
    };
}
pub(crate) use with_element;

/// Memory access through the type's own little-endian conversions.
macro_rules! impl_memory {
    () => {
        fn load(bytes: &[u8], index: usize) -> Self {
            Self::from_le_bytes(bytes.as_chunks().0[index])
        }

        fn store(self, bytes: &mut [u8], index: usize) {
            bytes.as_chunks_mut().0[index] = self.to_le_bytes();
        }
    };
}
pub(crate) use impl_memory;
