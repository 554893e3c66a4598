//! Keeping gradients within bounds.

use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::tensor::{Tensor, realize_all};

/// What collects gradients: tensors and parameters.
pub trait Graded {
    /// The tensor whose gradient is collected.
    fn graded(&self) -> Tensor;
}

impl Graded for Tensor {
    fn graded(&self) -> Tensor {
        self.clone()
    }
}

impl<G: Graded + ?Sized> Graded for &G {
    fn graded(&self) -> Tensor {
        (**self).graded()
    }
}

/// Scales the collected gradients of parameters or tensors so that the Euclidean norm of all of them together is at
/// most `max_norm`, and returns the norm they had. What has no gradient is passed over.
///
/// ```
/// use lazulite::nn::Linear;
/// use lazulite::optim::{Optimizer, Sgd};
/// use lazulite::{clip_grad_norm, prelude::*};
/// let model = Linear::new(4, 2);
/// let mut optimizer = Sgd::new(model.parameters(), 0.1);
/// (model.forward(&Tensor::ones([1, 4])) * 100.0).sum(..).backward()?;
/// assert!(clip_grad_norm(&model.parameters(), 1.0)?.item::<f32>()? > 100.0);
/// assert!(clip_grad_norm(&model.parameters(), 1.0)?.item::<f32>()? < 1.0001);
/// optimizer.step_collected()?;
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn clip_grad_norm<G: Graded>(of: &[G], max_norm: f64) -> Result<Tensor> {
    clip_grad_norm_with(of, max_norm, 2.0)
}

/// As [`clip_grad_norm`], by the `norm_type`-norm.
///
/// ```
/// use lazulite::{clip_grad_norm_with, prelude::*};
/// let x = Tensor::ones([4]).with_grad();
/// (&x * 3.0).sum(..).backward()?;
/// let norm = clip_grad_norm_with(&[&x], 1.0, 2.0)?;
/// assert!((norm.item::<f32>()? - 6.0).abs() < 1e-5);
/// let clipped = x.grad().expect("x was reached").vector_norm(2.0, ..).item::<f32>()?;
/// assert!((clipped - 1.0).abs() < 1e-5);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn clip_grad_norm_with<G: Graded>(of: &[G], max_norm: f64, norm_type: f64) -> Result<Tensor> {
    let gradients = gradients(of);
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

/// Limits every element of the collected gradients of parameters or tensors to `-limit..=limit`.
#[track_caller]
pub fn clip_grad_value<G: Graded>(of: &[G], limit: f64) -> Result<()> {
    if limit.is_nan() || limit < 0.0 {
        let message = format!("the limit {limit} is not a magnitude");
        return Err(Error::new(ErrorKind::Argument, "clip_grad_value", message).at(Place::here()));
    }
    replace(&gradients(of), |g| g.clamp(-limit, limit))
}

/// What has a gradient, with the gradient.
fn gradients<G: Graded>(of: &[G]) -> Vec<(Tensor, Tensor)> {
    let tensors = of.iter().map(Graded::graded);
    tensors.filter_map(|t| t.grad().map(|g| (t, g))).collect()
}

/// Computes all new gradients in one program, and then puts them in place.
fn replace(gradients: &[(Tensor, Tensor)], change: impl Fn(&Tensor) -> Tensor) -> Result<()> {
    let new: Vec<Tensor> = { gradients.iter() }
        .map(|(_, g)| change(g).type_as(g))
        .collect();
    realize_all(&new.iter().collect::<Vec<_>>())?;
    for ((tensor, _), new) in gradients.iter().zip(new) {
        tensor.set_grad(Some(new))?;
    }
    Ok(())
}
