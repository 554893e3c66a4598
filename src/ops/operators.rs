//! Rust's operators on tensors, references and numbers, in every combination. Assigning ones rebind the handle, as
//! the names with an underscore do.
//!
//! ```
//! use lazulite::prelude::*;
//! let mut x = Tensor::from([1.0f32, 2.0]);
//! let before = x.clone();
//! x += 1.0;
//! x *= &before;
//! assert_eq!(x.to_vec::<f32>()?, [2.0, 6.0]);
//! assert_eq!(before.to_vec::<f32>()?, [1.0, 2.0]);
//! # Ok::<(), lazulite::Error>(())
//! ```

use super::arithmetic;
use crate::tensor::{Argument, Tensor};
use std::ops;

macro_rules! operators {
    ($($trait:ident $method:ident $op:ident, $assign:ident $by:ident $name:literal;)*) => {$(
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

        /// Rebinds the handle: its element type and sizes stay, and other handles keep their value.
        impl<T: Into<Argument>> ops::$assign<T> for Tensor {
            #[track_caller]
            fn $by(&mut self, other: T) {
                let result = arithmetic::$op((&*self).into(), other.into());
                self.rebind($name, result);
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

operators! {
    Add add add, AddAssign add_assign "add_";
    Sub sub sub, SubAssign sub_assign "sub_";
    Mul mul mul, MulAssign mul_assign "mul_";
    Div div div, DivAssign div_assign "div_";
    Rem rem remainder, RemAssign rem_assign "remainder_";
    BitAnd bitand bitwise_and, BitAndAssign bitand_assign "bitwise_and_";
    BitOr bitor bitwise_or, BitOrAssign bitor_assign "bitwise_or_";
    BitXor bitxor bitwise_xor, BitXorAssign bitxor_assign "bitwise_xor_";
    Shl shl bitwise_left_shift, ShlAssign shl_assign "bitwise_left_shift_";
    Shr shr bitwise_right_shift, ShrAssign shr_assign "bitwise_right_shift_";
}

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
