//! Initial values of parameters, as in torch.nn.init: each function gives a parameter another value.

use super::param::Param;
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::tensor::Tensor;

/// Uniform between `low` and `high`.
#[track_caller]
pub fn uniform_(param: &Param, low: f64, high: f64) -> Result<()> {
    let x = param.get();
    param.set(uniform(x.dims()?, low, high).type_as(&x).to(x.device()?))
}

/// Normal.
#[track_caller]
pub fn normal_(param: &Param, mean: f64, std: f64) -> Result<()> {
    let x = param.get();
    let drawn = Tensor::randn(x.dims()?) * std + mean;
    param.set(drawn.type_as(&x).to(x.device()?))
}

/// All `value`.
#[track_caller]
pub fn constant_(param: &Param, value: f64) -> Result<()> {
    let x = param.get();
    param.set(x.full_like(value))
}

/// All ones.
#[track_caller]
pub fn ones_(param: &Param) -> Result<()> {
    constant_(param, 1.0)
}

/// All zeros.
#[track_caller]
pub fn zeros_(param: &Param) -> Result<()> {
    constant_(param, 0.0)
}

/// Uniform with the variance by which signals keep their size both ways, times `gain`.
#[track_caller]
pub fn xavier_uniform_(param: &Param, gain: f64) -> Result<()> {
    let (inputs, outputs) = fans(&param.get())?;
    let bound = gain * (6.0 / (inputs + outputs)).sqrt();
    uniform_(param, -bound, bound)
}

/// Normal with the variance by which signals keep their size both ways, times `gain`.
#[track_caller]
pub fn xavier_normal_(param: &Param, gain: f64) -> Result<()> {
    let (inputs, outputs) = fans(&param.get())?;
    normal_(param, 0.0, gain * (2.0 / (inputs + outputs)).sqrt())
}

/// Uniform with the variance by which signals keep their size forward, behind a leaky rectifier of slope
/// `a`.
#[track_caller]
pub fn kaiming_uniform_(param: &Param, a: f64) -> Result<()> {
    let (inputs, _) = fans(&param.get())?;
    let bound = rectified(a) * (3.0 / inputs).sqrt();
    uniform_(param, -bound, bound)
}

/// Normal with the variance by which signals keep their size forward, behind a leaky rectifier of slope
/// `a`.
#[track_caller]
pub fn kaiming_normal_(param: &Param, a: f64) -> Result<()> {
    let (inputs, _) = fans(&param.get())?;
    normal_(param, 0.0, rectified(a) / inputs.sqrt())
}

/// The gain of a leaky rectifier.
fn rectified(slope: f64) -> f64 {
    (2.0 / (1.0 + slope * slope)).sqrt()
}

/// How many inputs and outputs an element of a weight `[out, in, places...]` connects.
#[track_caller]
fn fans(x: &Tensor) -> Result<(f64, f64)> {
    let dims = x.dims()?;
    let [outputs, inputs, places @ ..] = dims.as_slice() else {
        let message = "a weight has at least two axes";
        return Err(Error::new(ErrorKind::Shape, "init", message)
            .at(Place::here())
            .operand(x.note("parameter")));
    };
    let places: usize = places.iter().product();
    Ok(((inputs * places) as f64, (outputs * places) as f64))
}

/// Uniform numbers.
#[track_caller]
pub(super) fn uniform(dims: Vec<usize>, low: f64, high: f64) -> Tensor {
    Tensor::rand(dims) * (high - low) + low
}

/// Uniform within `1 / sqrt(fan)`, PyTorch's default for most layers.
#[track_caller]
pub(super) fn within_fan(dims: &[usize], fan: usize) -> Tensor {
    let bound = if fan > 0 {
        1.0 / (fan as f64).sqrt()
    } else {
        0.0
    };
    uniform(dims.to_vec(), -bound, bound)
}

/// A parameter that starts as [`within_fan`].
#[track_caller]
pub(super) fn by_fan(dims: &[usize], fan: usize) -> Param {
    Param::new(within_fan(dims, fan))
}
