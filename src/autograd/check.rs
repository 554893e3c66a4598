//! Gradients held against finite differences.

use super::functional::pullback;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::Tensor;

/// How gradients are compared with finite differences.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct GradCheck {
    /// The step of the differences.
    pub step: f64,
    /// Absolute difference allowed.
    pub absolute: f64,
    /// Relative difference allowed.
    pub relative: f64,
}

impl Default for GradCheck {
    fn default() -> GradCheck {
        GradCheck {
            step: 1e-6,
            absolute: 1e-5,
            relative: 1e-3,
        }
    }
}

/// Compares the gradients of `function` at `arguments` (f64 or complex128, else differences are too
/// rough) with central differences, for one random cotangent of the results and every element of
/// every argument; an error tells where they differ.
///
/// ```
/// use lazulite::{GradCheck, gradcheck, prelude::*};
/// let x = Tensor::from_vec(vec![0.5f64, -1.5], [2]);
/// gradcheck(|x| vec![x[0].sin() * &x[0]], &[&x], &GradCheck::default())?;
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn gradcheck(
    function: impl Fn(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
    options: &GradCheck,
) -> Result<()> {
    let _scope = Scope::pin();
    check("gradcheck", &function, arguments, options)
}

/// As [`gradcheck`] for the gradients themselves: compares second derivatives with differences of
/// first ones.
#[track_caller]
pub fn gradgradcheck(
    function: impl Fn(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
    options: &GradCheck,
) -> Result<()> {
    let _scope = Scope::pin();
    let count = arguments.len();
    let results = function(&arguments.iter().map(|t| (*t).clone()).collect::<Vec<_>>());
    let generator = crate::ops::Generator::new(SEED);
    let mut all: Vec<Tensor> = arguments.iter().map(|t| (*t).clone()).collect();
    let smooth: Vec<bool> = results.iter().map(Tensor::is_differentiable).collect();
    for result in results.iter().filter(|r| r.is_differentiable()) {
        all.push(random_like(&generator, result)?.realize()?);
    }
    let gradients = |all: &[Tensor]| -> Vec<Tensor> {
        let (arguments, cotangents) = all.split_at(count);
        let smooth_results = |x: &[Tensor]| -> Vec<Tensor> {
            let each = function(x).into_iter().zip(&smooth);
            each.filter(|(_, smooth)| **smooth)
                .map(|(r, _)| r)
                .collect()
        };
        let arguments: Vec<&Tensor> = arguments.iter().collect();
        let cotangents: Vec<&Tensor> = cotangents.iter().collect();
        let found =
            pullback(smooth_results, &arguments).and_then(|(_, pull)| pull.call(&cotangents));
        found.unwrap_or_else(|e| vec![Tensor::error(e)])
    };
    let all: Vec<&Tensor> = all.iter().collect();
    check("gradgradcheck", &gradients, &all, options)
}

/// Of the cotangents: any will do, but always the same.
const SEED: u64 = 0x6772_6164;

fn random_like(generator: &crate::ops::Generator, like: &Tensor) -> Result<Tensor> {
    let dims = like.dims()?;
    let real = generator.randn(dims.clone());
    Ok(if like.is_complex() {
        let imaginary = generator.randn(dims);
        Tensor::complex(&real, &imaginary)
            .type_as(like)
            .to(like.device()?)
    } else {
        real.type_as(like).to(like.device()?)
    })
}

#[track_caller]
fn check(
    op: &'static str,
    function: &dyn Fn(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
    options: &GradCheck,
) -> Result<()> {
    let generator = crate::ops::Generator::new(SEED + 1);
    let owned: Vec<Tensor> = arguments.iter().map(|t| (*t).clone()).collect();
    let results = function(&owned);
    let mut cotangents = Vec::with_capacity(results.len());
    for result in &results {
        result.check()?;
        cotangents.push(random_like(&generator, result)?.realize()?);
    }
    let (_, pull) = pullback(|x| function(x), arguments)?;
    let gradients = pull.call(&cotangents.iter().collect::<Vec<_>>())?;
    // Re(conj(cotangent) * result), summed: its gradient is what the pullback gives.
    let weighted = |x: &[Tensor]| -> Result<f64> {
        let mut total = 0.0;
        for (result, cotangent) in function(x).iter().zip(&cotangents) {
            if result.is_differentiable() {
                let product = result.mul(cotangent.conj());
                let product = if product.is_complex() {
                    product.real()
                } else {
                    product
                };
                total += product.sum(..).cast(crate::DType::F64).item::<f64>()?;
            }
        }
        Ok(total)
    };
    for (number, (argument, gradient)) in arguments.iter().zip(&gradients).enumerate() {
        if !argument.is_differentiable() {
            continue;
        }
        let numeric = differences(&owned, number, options.step, &weighted)?;
        let found = parts(gradient)?;
        for (element, (numeric, found)) in numeric.iter().zip(&found).enumerate() {
            let allowed = options.absolute + options.relative * numeric.abs();
            if (numeric - found).abs() > allowed || numeric.is_nan() != found.is_nan() {
                let message = format!(
                    "argument {number}, part {element}: the gradient is {found}, differences give {numeric}"
                );
                return Err(Error::new(ErrorKind::Gradient, op, message)
                    .at(Place::here())
                    .operand(argument.note("argument")));
            }
        }
    }
    Ok(())
}

/// Central differences in every real part of argument `number`.
fn differences(
    arguments: &[Tensor],
    number: usize,
    step: f64,
    value: &dyn Fn(&[Tensor]) -> Result<f64>,
) -> Result<Vec<f64>> {
    let at = &arguments[number];
    let base = parts(at)?;
    let mut found = Vec::with_capacity(base.len());
    for element in 0..base.len() {
        let moved = |by: f64| -> Result<f64> {
            let mut moved = base.clone();
            moved[element] += by;
            let mut arguments = arguments.to_vec();
            arguments[number] = from_parts(moved, at)?;
            value(&arguments)
        };
        found.push((moved(step)? - moved(-step)?) / (2.0 * step));
    }
    Ok(found)
}

/// All elements as real numbers; complex ones as two.
fn parts(x: &Tensor) -> Result<Vec<f64>> {
    let real = if x.is_complex() {
        x.view_as_real()
    } else {
        x.clone()
    };
    real.cast(crate::DType::F64).to_vec::<f64>()
}

fn from_parts(parts: Vec<f64>, like: &Tensor) -> Result<Tensor> {
    let mut dims = like.dims()?;
    if like.is_complex() {
        dims.push(2);
        return Ok(Tensor::from_vec(parts, dims)
            .view_as_complex()
            .type_as(like)
            .to(like.device()?));
    }
    Ok(Tensor::from_vec(parts, dims)
        .type_as(like)
        .to(like.device()?))
}
