//! Functions of elements at the same place: arithmetic, comparison, logic, choice.
//!
//! Names, promotion and edge cases are PyTorch's. Functions that need floating point convert
//! integer and bool tensors to f32 first.

use super::arithmetic;
use super::composite::{attempt, bad_dtype, bad_shape, tensor_of};
use crate::location::Scope;
use crate::tensor::{Argument, Tensor, binary_as, compare, select};
use lazulite_ir::{Binary, DType, Predicate, Unary};

macro_rules! float_functions {
    ($($(#[$doc:meta])* $name:ident $f:ident)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                self.to_floating().record_unary(stringify!($name), Unary::$f)
            }
        )*}
    };
}

float_functions! {
    /// Square root.
    sqrt Sqrt
    /// e to the power of each element.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::zeros([2]).exp().to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    exp Exp
    /// `exp(x) - 1`, accurate near 0.
    expm1 Expm1
    /// Natural logarithm.
    #[doc(alias("ln"))]
    log Log
    /// `log(1 + x)`, accurate near 0.
    log1p Log1p
    /// Sine.
    sin Sin
    /// Cosine.
    cos Cos
    /// Hyperbolic tangent.
    tanh Tanh
    /// Error function.
    erf Erf
}

macro_rules! integral_functions {
    ($($(#[$doc:meta])* $name:ident($x:ident) $body:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                let $x = self;
                match self.dtype() {
                    Ok(dtype) if dtype.is_inexact() => $body,
                    _ => self.clone(),
                }
            }
        )*}
    };
}

integral_functions! {
    /// The largest integral value not above each element; integers stay as they are.
    floor(x) x.record_unary("floor", Unary::Floor);
    /// The nearest integral value, ties to even; integers stay as they are.
    round(x) x.record_unary("round", Unary::Round);
    /// The smallest integral value not below each element; integers stay as they are.
    ceil(x) x.neg().floor().neg();
    /// The integral part; integers stay as they are.
    trunc(x) x.lt(0).where_(x.ceil(), x.floor());
}

macro_rules! binary_functions {
    ($($(#[$doc:meta])* $name:ident)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl Into<Argument>) -> Tensor {
                arithmetic::$name(self.into(), other.into())
            }
        )*}
    };
}

binary_functions! {
    /// Sum.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1, 2]);
    /// assert_eq!(x.add(10).to_vec::<i32>()?, (&x + 10).to_vec::<i32>()?);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    add
    /// Difference.
    #[doc(alias("subtract"))]
    sub
    /// Product.
    #[doc(alias("multiply"))]
    mul
    /// True quotient; integers are divided as f32.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([1, 3]).div(2).to_vec::<f32>()?, [0.5, 1.5]);
    /// assert_eq!(Tensor::from([1, 3]).floor_divide(2).to_vec::<i32>()?, [0, 1]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("divide", "true_divide"))]
    div
    /// Quotient rounded towards zero. An integer division by zero is an error when computed.
    div_trunc
    /// Quotient rounded down. An integer division by zero is an error when computed.
    floor_divide
    /// Remainder with the sign of the dividend, as C's `fmod`.
    fmod
    /// Remainder with the sign of the divisor, as Python's `%`.
    remainder
    /// The larger element; NaN if either is NaN.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1, 5]);
    /// assert_eq!(x.maximum(3).to_vec::<i32>()?, [3, 5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("max"))]
    maximum
    /// The smaller element; NaN if either is NaN.
    #[doc(alias("min"))]
    minimum
    /// Power.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([2.0f32, 3.0]).pow(2).to_vec::<f32>()?, [4.0, 9.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("power"))]
    pow
    /// Bitwise and of integers or bools.
    bitwise_and
    /// Bitwise or of integers or bools.
    bitwise_or
    /// Bitwise exclusive or of integers or bools.
    bitwise_xor
    /// Integers shifted left.
    bitwise_left_shift
    /// Integers shifted right, keeping the sign.
    bitwise_right_shift
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident $predicate:ident $order:ident)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl Into<Argument>) -> Tensor {
                comparisons!(@$order stringify!($name), $predicate, self, other)
            }
        )*}
    };
    (@straight $op:expr, $predicate:ident, $a:expr, $b:expr) => {
        compare($op, Predicate::$predicate, $a.into(), $b.into())
    };
    (@exchanged $op:expr, $predicate:ident, $a:expr, $b:expr) => {
        compare($op, Predicate::$predicate, $b.into(), $a.into())
    };
}

comparisons! {
    /// True where equal.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1, 2]);
    /// assert_eq!(x.eq(2).to_vec::<bool>()?, [false, true]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("equal"))]
    eq Eq straight
    /// True where not equal (NaN differs from everything).
    #[doc(alias("not_equal"))]
    ne Ne straight
    /// True where less.
    #[doc(alias("less"))]
    lt Lt straight
    /// True where less or equal.
    #[doc(alias("less_equal"))]
    le Le straight
    /// True where greater.
    #[doc(alias("greater"))]
    gt Lt exchanged
    /// True where greater or equal.
    #[doc(alias("greater_equal"))]
    ge Le exchanged
}

impl Tensor {
    /// The negative; of unsigned integers modulo their range.
    #[doc(alias("negative"))]
    #[track_caller]
    pub fn neg(&self) -> Tensor {
        self.record_unary("neg", Unary::Neg)
    }

    /// The absolute value; of complex numbers the magnitude, which is real.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([-1, 2]).abs().to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("absolute"))]
    #[track_caller]
    pub fn abs(&self) -> Tensor {
        match self.dtype() {
            Ok(DType::Bool) => self.clone(),
            Ok(dtype) if dtype.is_complex() => self.record_unary("abs", Unary::Abs).real(),
            _ => self.record_unary("abs", Unary::Abs),
        }
    }

    /// `1 / x`.
    #[track_caller]
    pub fn reciprocal(&self) -> Tensor {
        let x = self.to_floating();
        match x.dtype() {
            Ok(dtype) => binary_as("reciprocal", Binary::Div, 1.into(), (&x).into(), dtype),
            Err(e) => Tensor::error(e),
        }
    }

    /// `1 / sqrt(x)`.
    #[track_caller]
    pub fn rsqrt(&self) -> Tensor {
        self.sqrt().reciprocal()
    }

    /// `x * x`; of bools as i64.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        match self.dtype() {
            Ok(DType::Bool) => self.cast(DType::I64),
            _ => self.mul(self),
        }
    }

    /// -1, 0 or 1; 0 for NaN.
    #[track_caller]
    pub fn sign(&self) -> Tensor {
        match self.dtype() {
            Ok(DType::Bool) => self.clone(),
            Ok(dtype) => self.gt(0).cast(dtype).sub(self.lt(0).cast(dtype)),
            Err(e) => Tensor::error(e),
        }
    }

    /// Keeps elements within the bounds; NaN stays NaN.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([-2, 0, 5]);
    /// assert_eq!(x.clamp(-1, 1).to_vec::<i32>()?, [-1, 0, 1]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("clip"))]
    #[track_caller]
    pub fn clamp(&self, low: impl Into<Argument>, high: impl Into<Argument>) -> Tensor {
        self.clamp_min(low).clamp_max(high)
    }

    /// Where this (a bool tensor) is true the element of `a`, else of `b`; all three broadcast.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from_vec(vec![-1.0f32, 2.0], [2]);
    /// assert_eq!(x.gt(0).where_(&x, 0.0).to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([-2, 0, 5]);
    /// assert_eq!(x.gt(0).where_(&x, 1).to_vec::<i32>()?, [1, 1, 5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("where", "select"))]
    #[track_caller]
    pub fn where_(&self, a: impl Into<Argument>, b: impl Into<Argument>) -> Tensor {
        select("where", self.into(), a.into(), b.into())
    }

    /// This tensor with `value` (a number or 0-d tensor) where `mask` (bool) is true.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([-2, 0, 5]);
    /// assert_eq!(x.masked_fill(&x.lt(0), 7).to_vec::<i32>()?, [7, 0, 5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: impl Into<Argument>) -> Tensor {
        attempt(|| {
            // The value does not take part in promotion.
            let (value, dtype) = (value.into(), self.dtype()?);
            if let Argument::Tensor(t) = &value
                && t.is_complex()
                && !dtype.is_complex()
            {
                return Err(bad_dtype("masked_fill", t).operand(self.note("self")));
            }
            let value = tensor_of(value, dtype).named("masked_fill", &[]);
            if value.rank()? != 0 {
                let error = bad_shape("masked_fill", "the value is one number");
                return Err(error.operand(value.note("value")));
            }
            Ok(select(
                "masked_fill",
                mask.into(),
                value.into(),
                self.into(),
            ))
        })
    }

    /// True where both are not zero.
    #[track_caller]
    pub fn logical_and(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).bitwise_and(other.cast(DType::Bool))
    }

    /// True where at least one is not zero.
    #[track_caller]
    pub fn logical_or(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).bitwise_or(other.cast(DType::Bool))
    }

    /// True where exactly one is not zero.
    #[track_caller]
    pub fn logical_xor(&self, other: &Tensor) -> Tensor {
        self.cast(DType::Bool).bitwise_xor(other.cast(DType::Bool))
    }

    /// True where zero.
    #[track_caller]
    pub fn logical_not(&self) -> Tensor {
        self.cast(DType::Bool).bitwise_xor(true)
    }

    /// All bits of integers, or bools, inverted.
    #[track_caller]
    pub fn bitwise_not(&self) -> Tensor {
        match self.dtype() {
            Ok(DType::Bool) => self.bitwise_xor(true),
            _ => self.bitwise_xor(-1),
        }
    }

    /// True where NaN.
    #[track_caller]
    pub fn isnan(&self) -> Tensor {
        self.ne(self)
    }

    /// True where infinite.
    #[track_caller]
    pub fn isinf(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_float() => self.abs().eq(f64::INFINITY),
            Ok(dtype) if dtype.is_complex() => self.abs().eq(f64::INFINITY),
            _ => self.ne(self),
        }
    }

    /// True where neither infinite nor NaN.
    #[track_caller]
    pub fn isfinite(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_inexact() => self.abs().lt(f64::INFINITY),
            _ => self.eq(self),
        }
    }

    /// Converted to another element type, as PyTorch's `to`: floats to integers truncate, anything
    /// to bool is `!= 0`. Floats beyond the range are defined as well: they saturate as i64 (NaN is 0),
    /// which then wraps to the width.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1.9f32, -1.9]);
    /// assert_eq!(x.cast(DType::I64).to_vec::<i64>()?, [1, -1]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias(
        "to", "to_dtype", "astype", "type", "float", "double", "half", "bfloat16", "long", "int",
        "bool", "byte"
    ))]
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Tensor {
        self.record_cast(dtype)
    }

    /// Converts the elements to the type of another tensor's.
    #[track_caller]
    pub fn type_as(&self, other: &Tensor) -> Tensor {
        match other.dtype() {
            Ok(dtype) => self.cast(dtype),
            Err(e) => Tensor::error(e),
        }
    }

    /// Applies `f`, for half floats in f32 with one rounding at the end: sums of squares and
    /// exponentials leave their range long before the result does.
    #[track_caller]
    pub(crate) fn in_single(&self, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let _pinned = Scope::pin();
        match self.dtype() {
            Ok(dtype @ (DType::F16 | DType::BF16)) => f(&self.cast(DType::F32)).cast(dtype),
            _ => f(self),
        }
    }

    /// Integers and bools as f32, everything else as it is.
    #[track_caller]
    pub(crate) fn to_floating(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_inexact() => self.clone(),
            _ => self.cast(DType::F32),
        }
    }
}
