//! Noise for draws: random numbers of the sizes of a draw, in the parameters' type.

use crate::error::Result;
use crate::ops::random::{
    cauchy_numbers, exponential_numbers, normal_numbers, open_unit_numbers, wide,
};
use crate::tensor::{Dim, Tensor};

/// The sizes of draws of `shape` from distributions with parameters like this one.
pub(super) fn sizes(shape: &[usize], like: &Tensor) -> Result<Vec<Dim>> {
    let mut sizes: Vec<Dim> = shape.iter().map(|&n| n.into()).collect();
    sizes.extend(like.sizes()?);
    Ok(sizes)
}

/// Standard normal numbers.
#[track_caller]
pub(super) fn normals(shape: &[usize], like: &Tensor) -> Result<Tensor> {
    Ok(normal_numbers(&sizes(shape, like)?, like.dtype()?))
}

/// Numbers above 0 and below 1.
#[track_caller]
pub(super) fn uniforms(shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let numbers = open_unit_numbers(&sizes(shape, like)?, wide(like.dtype()?));
    Ok(numbers.cast(like.dtype()?))
}

/// Exponential numbers of rate 1.
#[track_caller]
pub(super) fn exponentials(shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let numbers = exponential_numbers(&sizes(shape, like)?, wide(like.dtype()?));
    Ok(numbers.cast(like.dtype()?))
}

/// Standard Gumbel numbers.
#[track_caller]
pub(super) fn gumbels(shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let numbers = exponential_numbers(&sizes(shape, like)?, wide(like.dtype()?));
    Ok(numbers.log().neg().cast(like.dtype()?))
}

/// Standard Cauchy numbers.
#[track_caller]
pub(super) fn cauchys(shape: &[usize], like: &Tensor) -> Result<Tensor> {
    let numbers = cauchy_numbers(&sizes(shape, like)?, wide(like.dtype()?));
    Ok(numbers.cast(like.dtype()?))
}
