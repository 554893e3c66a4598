//! What layers ask of their settings and inputs, with the errors that say so.

use super::param::Param;
use crate::error::{Error, ErrorKind, OperandNote, Result};
use crate::location::Place;
use crate::tensor::{Dim, Tensor};
use std::ops::RangeInclusive;

/// A setting that a layer cannot be built with.
#[track_caller]
pub(super) fn bad_setting(layer: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Argument, layer, message).at(Place::here())
}

/// A parameter of a layer that cannot be built: whoever uses it gets the error.
#[track_caller]
pub(super) fn failed(error: &Error) -> Param {
    Param::new(Tensor::error(error.clone()))
}

/// The input has as many axes as the layer takes.
pub(super) fn expect_rank(
    layer: &'static str,
    x: &Tensor,
    ranks: RangeInclusive<usize>,
) -> Result<()> {
    let rank = x.rank()?;
    if ranks.contains(&rank) {
        return Ok(());
    }
    let message = match ranks.start() == ranks.end() {
        true => format!("the input has {rank} axes, not {}", ranks.start()),
        false => {
            let (low, high) = (ranks.start(), ranks.end());
            format!("the input has {rank} axes, not {low} to {high}")
        }
    };
    Err(Error::new(ErrorKind::Shape, layer, message).operand(x.note("input")))
}

/// The last axes of a tensor have these sizes, as far as sizes are known.
pub(super) fn expect_last(
    layer: &'static str,
    role: &'static str,
    x: &Tensor,
    sizes: &[Dim],
) -> Result<()> {
    let own = x.sizes()?;
    let differs = |a: &Dim, b: &Dim| -> Result<bool> {
        let (a, b) = (a.0.as_ref(), b.0.as_ref());
        let (a, b) = (a.map_err(Clone::clone)?, b.map_err(Clone::clone)?);
        Ok(a.compare_eq(b) == Some(false))
    };
    let mut fits = own.len() >= sizes.len();
    for (a, b) in own.iter().rev().zip(sizes.iter().rev()) {
        fits &= !differs(a, b)?;
    }
    if fits {
        return Ok(());
    }
    let text = |dims: &[Dim]| -> Result<String> {
        let each = dims.iter().map(|d| Ok(d.0.clone()?.to_string()));
        Ok(each.collect::<Result<Vec<_>>>()?.join(", "))
    };
    let last = &own[own.len().saturating_sub(sizes.len())..];
    let message = match (last, sizes) {
        ([given], [wanted]) => format!(
            "the last axis of the {role} has size {}, not {}",
            text(std::slice::from_ref(given))?,
            text(std::slice::from_ref(wanted))?
        ),
        _ => format!(
            "the last axes of the {role} have sizes [{}], not [{}]",
            text(last)?,
            text(sizes)?
        ),
    };
    Err(Error::new(ErrorKind::Shape, layer, message).operand(x.note(role)))
}

/// The result of a layer; with an error that no input has brought, the layer is shown.
pub(super) fn shown(
    result: Tensor,
    inputs: &[&Tensor],
    layer: impl FnOnce() -> OperandNote,
) -> Tensor {
    match result.0 {
        Err(e) if inputs.iter().all(|x| x.0.is_ok()) => Tensor::error(e.operand(layer())),
        other => Tensor(other),
    }
}

/// The tensor has the element type of the layer's weights.
pub(super) fn expect_type(layer: &'static str, x: &Tensor, weight: &Tensor) -> Result<()> {
    let (given, own) = (x.dtype()?, weight.dtype()?);
    if given == own {
        return Ok(());
    }
    let message = format!("the input is {given}, the weights are {own}");
    let error = Error::new(ErrorKind::DType, layer, message).operand(x.note("input"));
    Err(error.hint("convert one of them with `cast`"))
}
