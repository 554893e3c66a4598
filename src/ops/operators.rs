//! Rust's operators on tensors, references and numbers, in every combination.

use super::arithmetic;
use crate::tensor::{Argument, Tensor};
use std::ops;

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident),*) => {$(
        impl<T: Into<Argument>> ops::$trait<T> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                arithmetic::$op(self.into(), other.into())
            }
        }

        impl<T: Into<Argument>> ops::$trait<T> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                arithmetic::$op(self.into(), other.into())
            }
        }

        // One type per kind of number: with several, `1.0 - &x` could not be followed by a method.
        operators!(@number $trait $method $op f64 i32 bool);
    )*};
    (@number $trait:ident $method:ident $op:ident $($ty:ty)*) => {$(
        impl ops::$trait<Tensor> for $ty {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                arithmetic::$op(self.into(), other.into())
            }
        }

        impl ops::$trait<&Tensor> for $ty {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                arithmetic::$op(self.into(), other.into())
            }
        }
    )*};
}

operators!(
    Add add add,
    Sub sub sub,
    Mul mul mul,
    Div div div,
    Rem rem remainder,
    BitAnd bitand bitwise_and,
    BitOr bitor bitwise_or,
    BitXor bitxor bitwise_xor,
    Shl shl bitwise_left_shift,
    Shr shr bitwise_right_shift
);

impl ops::Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(&self)
    }
}

impl ops::Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self)
    }
}

impl ops::Not for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        self.bitwise_not()
    }
}

impl ops::Not for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn not(self) -> Tensor {
        self.bitwise_not()
    }
}
