//! Special functions, made of the primitive ones.
//!
//! Everything here is computed in f64 and rounded once: intermediate values of such functions are much
//! larger than their results, or much closer to each other. Between regions with different formulas
//! both are computed and one is chosen.

mod bessel;
mod coefficients;
mod error;
mod gamma;
mod polynomial;

use super::composite::{attempt, bad_dtype};
use crate::error::Result;
use crate::tensor::Tensor;
use lazulite_ir::DType;

/// Applies a function of real numbers in f64. Integers and bools give f32.
#[track_caller]
fn in_double(op: &'static str, x: &Tensor, f: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    attempt(|| {
        let dtype = real_type(op, x)?;
        Ok(f(&x.cast(DType::F64)).cast(dtype))
    })
}

/// As [`in_double`], of two operands, which broadcast.
#[track_caller]
fn both_in_double(
    op: &'static str,
    x: &Tensor,
    y: &Tensor,
    f: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
) -> Tensor {
    attempt(|| {
        let dtype = real_type(op, x)?.promote(real_type(op, y)?);
        Ok(f(&x.cast(DType::F64), &y.cast(DType::F64))?.cast(dtype))
    })
}

/// The type of results for this operand.
fn real_type(op: &'static str, x: &Tensor) -> Result<DType> {
    match super::composite::floating(x.dtype()?) {
        dtype if dtype.is_complex() => Err(bad_dtype(op, x)),
        dtype => Ok(dtype),
    }
}

/// The sum of Chebyshev polynomials of `t`, from -1 to 1, by Clenshaw's recurrence.
#[track_caller]
fn series(t: &Tensor, coefficients: &[f64]) -> Tensor {
    let Some((first, rest)) = coefficients.split_first() else {
        return t.zeros_like();
    };
    let twice = t.mul(2);
    let (mut last, mut before) = (t.zeros_like(), t.zeros_like());
    for &c in rest.iter().rev() {
        (last, before) = (twice.mul(&last).sub(before).add(c), last);
    }
    t.mul(last).sub(before).add(*first)
}

/// A polynomial, constant term first, by Horner's rule.
#[track_caller]
fn horner(x: &Tensor, coefficients: &[f64]) -> Tensor {
    let terms = coefficients.iter().rev();
    terms.fold(x.zeros_like(), |sum, &c| sum.mul(x).add(c))
}
