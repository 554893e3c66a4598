//! Functions of two arguments, either of which may be a number: what methods and operators share.

use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::tensor::{Argument, Number, Tensor, binary, binary_as, compare, promote, unfit};
use lazulite_ir::{Binary, DType, Predicate};

macro_rules! primitives {
    ($($name:ident $f:ident)*) => {$(
        #[track_caller]
        pub(crate) fn $name(a: Argument, b: Argument) -> Tensor {
            binary(stringify!($name), Binary::$f, a, b)
        }
    )*};
}

primitives! {
    add Add
    mul Mul
    maximum Max
    minimum Min
    fmod Rem
    bitwise_and And
    bitwise_or Or
    bitwise_xor Xor
    bitwise_left_shift Shl
    bitwise_right_shift Shr
}

#[track_caller]
pub(crate) fn pow(a: Argument, b: Argument) -> Tensor {
    match (promote(&[&a, &b]), &b) {
        (Ok(dtype), Argument::Number(exponent)) if dtype.is_int() => {
            if is_negative(*exponent) {
                let message = "integers have no negative powers";
                return Tensor::error(unfit("pow", message.into()).hint("use `float_power`"));
            }
            if let Err(message) = exponent.fitting(dtype) {
                return Tensor::error(unfit("pow", message));
            }
        }
        (Ok(_), _) => {}
        (Err(e), _) => return Tensor::error(e),
    }
    binary("pow", Binary::Pow, a, b)
}

#[track_caller]
pub(crate) fn sub(a: Argument, b: Argument) -> Tensor {
    match promote(&[&a, &b]) {
        Ok(DType::Bool) => {
            let message = "truth values are not subtracted";
            let error = Error::new(ErrorKind::DType, "sub", message).at(Place::here());
            let operands = [(&a, "self"), (&b, "other")];
            let notes = operands.iter().filter_map(|(a, role)| match a {
                Argument::Tensor(t) => Some(t.note(role)),
                Argument::Number(_) => None,
            });
            let error = notes.fold(error, Error::operand);
            Tensor::error(error.hint("use `^` or `logical_not`, or cast one of them to a number"))
        }
        Ok(dtype) => {
            let negative = match b {
                Argument::Tensor(t) => Argument::Tensor(t.cast(dtype).neg()),
                Argument::Number(n) => Argument::Number(negated(n)),
            };
            binary_as("sub", Binary::Add, a, negative, dtype)
        }
        Err(e) => Tensor::error(e),
    }
}

#[track_caller]
pub(crate) fn div(a: Argument, b: Argument) -> Tensor {
    match promote(&[&a, &b]) {
        Ok(dtype) if dtype.is_inexact() => binary_as("div", Binary::Div, a, b, dtype),
        Ok(_) => binary_as("div", Binary::Div, a, b, DType::F32),
        Err(e) => Tensor::error(e),
    }
}

#[track_caller]
pub(crate) fn div_trunc(a: Argument, b: Argument) -> Tensor {
    binary("div_trunc", Binary::Div, a, b).trunc()
}

#[track_caller]
pub(crate) fn floor_divide(a: Argument, b: Argument) -> Tensor {
    let quotient = binary("floor_divide", Binary::Div, a.clone(), b.clone());
    match quotient.dtype() {
        Ok(dtype) if dtype.is_int() => {
            // Truncation went upwards where the rest and the divisor differ in sign.
            let rest = binary("floor_divide", Binary::Rem, a, b.clone());
            quotient.sub(wrong_sign(&rest, b).cast(dtype))
        }
        Ok(dtype) if dtype.is_float() => {
            // The quotient of what the division leaves no rest of is whole but for its rounding.
            let rest = binary("floor_divide", Binary::Rem, a.clone(), b.clone());
            let whole = div(sub(a.clone(), (&rest).into()).into(), b.clone());
            let whole = whole.sub(wrong_sign(&rest, b.clone()).cast(dtype));
            let floor = whole.floor();
            let floor = whole.sub(&floor).gt(0.5).where_(floor.add(1), floor);
            // A zero has the sign of the quotient; by zero it is the quotient itself, and where that overflows. An
            // infinity has no whole part.
            let floor = whole
                .eq(0)
                .where_(quotient.zeros_like().copysign(&quotient), floor);
            let infinite = binary("floor_divide", Binary::Mul, a, 0.into()).isnan();
            let whole = quotient
                .isfinite()
                .bitwise_or(infinite.bitwise_and(is_nonzero(b)));
            whole.where_(floor, quotient)
        }
        _ => quotient.floor(),
    }
}

#[track_caller]
pub(crate) fn remainder(a: Argument, b: Argument) -> Tensor {
    let rest = binary("remainder", Binary::Rem, a, b.clone());
    let moved = add((&rest).into(), b.clone());
    wrong_sign(&rest, b).where_(moved, rest)
}

/// True where a truncated division's rest is not zero and has not the divisor's sign.
#[track_caller]
fn wrong_sign(rest: &Tensor, divisor: Argument) -> Tensor {
    let negative = match divisor {
        Argument::Tensor(t) => t.lt(0).into(),
        Argument::Number(n) => Argument::from(is_negative(n)),
    };
    rest.ne(0)
        .bitwise_and(compare("ne", Predicate::Ne, rest.lt(0).into(), negative))
}

#[track_caller]
fn is_nonzero(divisor: Argument) -> Tensor {
    compare("ne", Predicate::Ne, divisor, 0.into())
}

fn is_negative(number: Number) -> bool {
    match number {
        Number::Bool(_) => false,
        Number::Int(v) => v < 0,
        Number::Float(v) | Number::Complex(v, _) => v < 0.0,
    }
}

/// The number with the other sign. The smallest integer stays itself, as in wrapping arithmetic.
fn negated(number: Number) -> Number {
    match number {
        Number::Bool(v) => Number::Int(-i64::from(v)),
        Number::Int(v) => Number::Int(v.wrapping_neg()),
        Number::Float(v) => Number::Float(-v),
        Number::Complex(re, im) => Number::Complex(-re, -im),
    }
}
