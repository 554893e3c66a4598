//! What can be said of random numbers, within five standard deviations.

use super::{Checked, text};
use lazulite::{DType, Tensor};

/// How many numbers are drawn for moments.
pub const COUNT: usize = 20_000;

/// All elements.
pub fn numbers(x: &Tensor) -> Result<Vec<f64>, String> {
    x.cast(DType::F64).to_vec::<f64>().map_err(text)
}

pub fn holds(condition: bool, otherwise: &str) -> Checked {
    condition.then_some(()).ok_or_else(|| otherwise.to_string())
}

/// All elements are as they should be.
pub fn all(x: &Tensor, what: &str, allowed: impl Fn(f64) -> bool) -> Checked {
    match numbers(x)?.into_iter().find(|v| !allowed(*v)) {
        Some(v) => Err(format!("{v} is not {what}")),
        None => Ok(()),
    }
}

/// The share of elements for which something holds.
pub fn share(x: &Tensor, of: impl Fn(f64) -> bool, expected: f64) -> Checked {
    let values = numbers(x)?;
    let count = values.len() as f64;
    let got = values.into_iter().filter(|v| of(*v)).count() as f64 / count;
    let off = 5.0 * (expected * (1.0 - expected) / count).sqrt();
    holds(
        (got - expected).abs() <= off + 1e-12,
        &format!("a share of {got}, not {expected}"),
    )
}

/// Mean and variance of numbers that have a fourth moment of `kurtosis` squared variances.
pub fn moments(x: &Tensor, mean: f64, variance: f64, kurtosis: f64) -> Checked {
    let values = numbers(x)?;
    let count = values.len() as f64;
    let m = values.iter().sum::<f64>() / count;
    let v = values.iter().map(|x| (x - m).powi(2)).sum::<f64>() / count;
    let off = 5.0 * (variance / count).sqrt() + 1e-12;
    holds((m - mean).abs() <= off, &format!("mean {m}, not {mean}"))?;
    let off = 5.0 * variance * ((kurtosis - 1.0) / count).sqrt() + 1e-12;
    holds(
        (v - variance).abs() <= off,
        &format!("variance {v}, not {variance}"),
    )
}

/// The use of these tensors is an error.
pub fn rejected(list: &[Tensor]) -> Checked {
    for (i, x) in list.iter().enumerate() {
        holds(
            x.realize().is_err(),
            &format!("wrong argument number {i} is accepted"),
        )?;
    }
    Ok(())
}
