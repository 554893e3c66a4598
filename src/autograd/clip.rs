//! Keeping gradients within bounds.

use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::tensor::{Tensor, realize_all};

/// Scales the collected gradients of `tensors` so that the `norm_type`-norm of all of them together
/// is at most `max_norm`, and returns the norm they had. Tensors without a gradient are passed over.
///
/// ```
/// use lazulite::{clip_grad_norm, prelude::*};
/// let x = Tensor::ones([4]).with_grad();
/// (&x * 3.0).sum(..).backward()?;
/// let norm = clip_grad_norm(&[&x], 1.0, 2.0)?;
/// assert!((norm.item::<f32>()? - 6.0).abs() < 1e-5);
/// let clipped = x.grad().expect("x was reached").vector_norm(2.0, ..).item::<f32>()?;
/// assert!((clipped - 1.0).abs() < 1e-5);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn clip_grad_norm(tensors: &[&Tensor], max_norm: f64, norm_type: f64) -> Result<Tensor> {
    let gradients: Vec<(&Tensor, Tensor)> = { tensors.iter() }
        .filter_map(|t| Some((*t, t.grad()?)))
        .collect();
    if gradients.is_empty() {
        return Ok(Tensor::zeros(()));
    }
    let norms: Vec<Tensor> = { gradients.iter() }
        .map(|(_, g)| g.abs().vector_norm(norm_type, ..))
        .collect();
    let norms: Vec<&Tensor> = norms.iter().collect();
    let total = Tensor::stack(&norms, 0).vector_norm(norm_type, ..);
    let scale = (Tensor::full((), max_norm) / (&total + 1e-6)).minimum(1.0);
    replace(&gradients, |g| g * &scale)?;
    total.realize()
}

/// Limits every element of the collected gradients of `tensors` to `-limit..=limit`.
#[track_caller]
pub fn clip_grad_value(tensors: &[&Tensor], limit: f64) -> Result<()> {
    if limit.is_nan() || limit < 0.0 {
        let message = format!("the limit {limit} is not a magnitude");
        return Err(Error::new(ErrorKind::Argument, "clip_grad_value", message).at(Place::here()));
    }
    let gradients: Vec<(&Tensor, Tensor)> = { tensors.iter() }
        .filter_map(|t| Some((*t, t.grad()?)))
        .collect();
    replace(&gradients, |g| g.clamp(-limit, limit))
}

/// Computes all new gradients in one program, and then puts them in place.
fn replace(gradients: &[(&Tensor, Tensor)], change: impl Fn(&Tensor) -> Tensor) -> Result<()> {
    let new: Vec<Tensor> = { gradients.iter() }
        .map(|(_, g)| change(g).type_as(g))
        .collect();
    realize_all(&new.iter().collect::<Vec<_>>())?;
    for ((tensor, _), new) in gradients.iter().zip(new) {
        tensor.set_grad(Some(new))?;
    }
    Ok(())
}
