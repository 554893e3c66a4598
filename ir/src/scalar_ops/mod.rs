//! The primitive scalar functions on [`Scalar`]s: the definition that the interpreters share and
//! that constant folding uses.
//!
//! f32 functions are computed in f64 and rounded once; f16 and bf16 are converted to f32, and the
//! result is rounded back; integers wrap. Functions give `None` where they are not defined on the
//! operands' types, which type inference rejects.

use crate::element::{Element, Number, with_element};
use crate::{Binary, Combine, DType, Predicate, Scalar, Unary};

fn number(x: Scalar) -> Number {
    with_element!(x.dtype(), T => T::from_scalar(x).number())
}

/// A function of one value.
pub fn unary(f: Unary, x: Scalar) -> Option<Scalar> {
    with_element!(x.dtype(), T => T::unary(f).map(|f| f(T::from_scalar(x)).to_scalar()))
}

/// A function of two values of the same type. Where [`is_fault`] holds the result is 0.
pub fn binary(f: Binary, a: Scalar, b: Scalar) -> Option<Scalar> {
    if a.dtype() != b.dtype() {
        return None;
    }
    with_element!(a.dtype(), T => {
        T::binary(f).map(|f| f(T::from_scalar(a), T::from_scalar(b)).to_scalar())
    })
}

/// True where dividing by `divisor` is a run-time fault.
pub fn is_fault(f: Binary, divisor: Scalar) -> bool {
    matches!(f, Binary::Div | Binary::Rem) && divisor.dtype().is_int() && divisor.bits() == 0
}

/// A comparison of two values of the same type.
pub fn compare(predicate: Predicate, a: Scalar, b: Scalar) -> Option<bool> {
    if a.dtype() != b.dtype() {
        return None;
    }
    with_element!(a.dtype(), T => {
        T::compare(predicate).map(|f| f(T::from_scalar(a), T::from_scalar(b)))
    })
}

/// `x` converted to another type, as Cast defines it.
pub fn cast(x: Scalar, dtype: DType) -> Scalar {
    let value = number(x);
    with_element!(dtype, T => T::from_number(value).to_scalar())
}

/// The same bits as another type of the same size; neither may be bool or complex.
pub fn bitcast(x: Scalar, dtype: DType) -> Option<Scalar> {
    let allowed = |d: DType| d != DType::Bool && !d.is_complex();
    (allowed(x.dtype()) && allowed(dtype) && x.dtype().size() == dtype.size())
        .then(|| Scalar::from_bits(dtype, x.bits()))
}

/// One step of a combination, in the values' own type. Combinations of many values are formed in
/// the [`accumulator`] type and rounded once.
pub fn combine(kind: Combine, acc: Scalar, x: Scalar) -> Option<Scalar> {
    if acc.dtype() != x.dtype() {
        return None;
    }
    with_element!(acc.dtype(), T => {
        T::combine(kind).map(|f| f(T::from_scalar(acc), T::from_scalar(x)).to_scalar())
    })
}

/// What a combination starts from.
pub fn identity(kind: Combine, dtype: DType) -> Option<Scalar> {
    with_element!(dtype, T => T::identity(kind).map(T::to_scalar))
}

/// The type in which the interpreter combines many values of `dtype`: f64 for floats, c128 for
/// complex numbers, the type itself for others.
pub fn accumulator(dtype: DType) -> DType {
    with_element!(dtype, T => <T as Element>::Acc::DTYPE)
}

/// Random bits of an element; `dtype` is u32 or u64.
pub fn random(dtype: DType, seed: u64, stream: u64, element: u64) -> Option<Scalar> {
    let bits = u128::from(crate::philox::random_bits(seed, stream, element));
    matches!(dtype, DType::U32 | DType::U64).then(|| Scalar::from_bits(dtype, bits))
}

#[cfg(test)]
mod tests;
