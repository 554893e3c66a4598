//! Comparing what a call returned with what the corpus holds.

use crate::value::{Array, Number, Value};
use lazulite::Tensor;

/// Tolerances of floating-point results: `|got - expected| <= atol + rtol * |expected|`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
}

/// Compares results; the message names the first difference.
pub fn values(got: &Value, expected: &Value, tolerance: Tolerance) -> Result<(), String> {
    match (got, expected) {
        (Value::List(got), Value::List(expected)) => lists(got, expected, tolerance),
        // A single result and a list of one are told apart by nobody.
        (Value::List(got), expected) if got.len() == 1 => values(&got[0], expected, tolerance),
        (Value::Tensor(got), Value::Array(expected)) => tensor(got, expected, tolerance),
        (got, Value::Unknown(what)) => Err(format!("expected {what}, got {}", got.kind())),
        (got, expected) => match (scalar(got), scalar(expected)) {
            (Some(got), Some(expected)) if close(got, expected, tolerance) => Ok(()),
            (Some(got), Some(expected)) => Err(format!("got {got}, expected {expected}")),
            _ => Err(format!("got {}, expected {}", got.kind(), expected.kind())),
        },
    }
}

fn lists(got: &[Value], expected: &[Value], tolerance: Tolerance) -> Result<(), String> {
    if got.len() != expected.len() {
        let (got, expected) = (got.len(), expected.len());
        return Err(format!("got {got} results, expected {expected}"));
    }
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        values(got, expected, tolerance).map_err(|e| format!("result {i}: {e}"))?;
    }
    Ok(())
}

/// Where a corpus says that the positions of equal elements may differ: positions are right if the
/// elements of `input` there are the expected ones, and no position is named twice where `distinct`.
#[derive(Clone, Copy, Debug)]
pub struct Ties<'a> {
    /// What positions point into.
    pub input: &'a Tensor,
    /// Along which axis.
    pub axis: i64,
    /// Positions belong to different elements.
    pub distinct: bool,
}

impl Ties<'_> {
    /// Compares positions, or a list of results of which the last one is positions.
    pub fn values(
        &self,
        got: &Value,
        expected: &Value,
        tolerance: Tolerance,
    ) -> Result<(), String> {
        match (got, expected) {
            (Value::List(got), Value::List(expected)) if got.len() == expected.len() => {
                let (Some((got, rest)), Some((expected, wanted))) =
                    (got.split_last(), expected.split_last())
                else {
                    return Ok(());
                };
                lists(rest, wanted, tolerance)?;
                self.values(got, expected, tolerance)
            }
            (Value::Tensor(got), Value::Array(expected))
                if expected.dtype == lazulite::DType::I64 =>
            {
                self.positions(got, expected).map_err(|e| e.to_string())?
            }
            (got, expected) => values(got, expected, tolerance),
        }
    }

    fn positions(&self, got: &Tensor, expected: &Array) -> lazulite::Result<Result<(), String>> {
        let sizes = (got.dims()?, got.dtype()?);
        if sizes != (expected.dims.clone(), expected.dtype) {
            return Ok(Err(format!("got {sizes:?}, expected {:?}", expected.dims)));
        }
        // A reduced axis comes back with size 1.
        let reduced = got.rank()? < self.input.rank()?;
        let along = |t: &Tensor| {
            if reduced {
                t.unsqueeze(self.axis)
            } else {
                t.clone()
            }
        };
        let read = |t: &Tensor| self.input.gather(self.axis, &along(t));
        let (ours, theirs) = (
            Array::of(&read(got))?,
            Array::of(&read(&expected.tensor()))?,
        );
        let exact = Tolerance {
            rtol: 0.0,
            atol: 0.0,
        };
        if let Err(difference) = arrays(&ours, &theirs, exact) {
            return Ok(Err(format!("at the positions: {difference}")));
        }
        if self.distinct && got.rank()? > 0 {
            let sorted = got.sort(self.axis).0;
            let repeated = sorted.diff(self.axis).eq(0).any(..).item::<bool>()?;
            if repeated {
                return Ok(Err("a position is named twice".into()));
            }
        }
        Ok(Ok(()))
    }
}

fn scalar(value: &Value) -> Option<Number> {
    Some(match value {
        Value::Bool(v) => Number::Exact((*v).into()),
        Value::Int(v) => Number::Exact((*v).into()),
        Value::Float(v) => Number::Rounded(*v, 0.0),
        Value::Complex(re, im) => Number::Rounded(*re, *im),
        _ => return None,
    })
}

fn tensor(got: &Tensor, expected: &Array, tolerance: Tolerance) -> Result<(), String> {
    let got = Array::of(got).map_err(|e| e.to_string())?;
    arrays(&got, expected, tolerance)
}

/// Compares arrays: element type, sizes, elements.
pub fn arrays(got: &Array, expected: &Array, tolerance: Tolerance) -> Result<(), String> {
    if (got.dtype, &got.dims) != (expected.dtype, &expected.dims) {
        return Err(format!(
            "got {}{:?}, expected {}{:?}",
            got.dtype, got.dims, expected.dtype, expected.dims
        ));
    }
    elements(got, expected, tolerance)
}

/// Compares the elements of arrays that may differ in precision.
pub fn elements(got: &Array, expected: &Array, tolerance: Tolerance) -> Result<(), String> {
    if got.dims != expected.dims {
        return Err(format!("got {:?}, expected {:?}", got.dims, expected.dims));
    }
    let pairs: Vec<(Number, Number)> = got.numbers().into_iter().zip(expected.numbers()).collect();
    let differs = |(got, expected): &(Number, Number)| !close(*got, *expected, tolerance);
    let Some(first) = pairs.iter().position(differs) else {
        return Ok(());
    };
    let wrong = pairs.iter().filter(|p| differs(p)).count();
    let (value, wanted) = pairs[first];
    let at = coordinates(first, &got.dims);
    let all = pairs.len();
    Err(format!(
        "{wrong} of {all} elements differ, first at {at:?}: got {value}, expected {wanted}"
    ))
}

fn coordinates(flat: usize, dims: &[usize]) -> Vec<usize> {
    let (mut rest, mut at) = (flat, vec![0; dims.len()]);
    for (coordinate, size) in at.iter_mut().zip(dims).rev() {
        *coordinate = rest % size;
        rest /= size;
    }
    at
}

/// NaN equals NaN, infinities are equal by sign, everything exact is equal or not.
fn close(got: Number, expected: Number, tolerance: Tolerance) -> bool {
    let (got, expected) = match (got, expected) {
        (Number::Rounded(a, b), Number::Rounded(c, d)) => ((a, b), (c, d)),
        (got, expected) => return got == expected,
    };
    if [got.0, got.1, expected.0, expected.1]
        .iter()
        .all(|v| v.is_finite())
    {
        let distance = (got.0 - expected.0).hypot(got.1 - expected.1);
        return distance <= tolerance.atol + tolerance.rtol * expected.0.hypot(expected.1);
    }
    let part = |got: f64, expected: f64| {
        (got.is_nan() && expected.is_nan())
            || got == expected
            || (got.is_finite()
                && expected.is_finite()
                && (got - expected).abs() <= tolerance.atol + tolerance.rtol * expected.abs())
    };
    part(got.0, expected.0) && part(got.1, expected.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_for_finite_numbers_only() {
        let tolerance = Tolerance {
            rtol: 1e-3,
            atol: 1e-3,
        };
        let real = |v: f64| Number::Rounded(v, 0.0);
        assert!(close(real(1.0015), real(1.0), tolerance));
        assert!(!close(real(1.003), real(1.0), tolerance));
        assert!(close(real(f64::NAN), real(f64::NAN), tolerance));
        assert!(!close(real(f64::NAN), real(1.0), tolerance));
        assert!(!close(
            real(f64::INFINITY),
            real(f64::NEG_INFINITY),
            tolerance
        ));
        assert!(!close(real(1e300), real(f64::INFINITY), tolerance));
        assert!(!close(Number::Exact(1), Number::Exact(2), tolerance));
        assert!(!close(Number::Exact(1), real(1.0), tolerance));
    }
}
