//! Gradients for those who like to say what is watched.

use super::gradient::{GradOptions, grad_with};
use crate::error::Result;
use crate::location::Scope;
use crate::tensor::Tensor;

/// Makes tensors need gradients, and asks for these. Everything is recorded anyway, so a tape holds
/// nothing and may be asked as often as one likes.
///
/// ```
/// use lazulite::{GradientTape, prelude::*};
/// let tape = GradientTape::new();
/// let x = tape.watch(&Tensor::from_vec(vec![1.0f32, 3.0], [2]));
/// let y = (&x * &x).sum(..);
/// let gradients = tape.gradient(&y, &[&x])?;
/// let dx = gradients[0].as_ref().expect("y depends on x");
/// assert_eq!(dx.to_vec::<f32>()?, [2.0, 6.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Copy, Default, Debug)]
pub struct GradientTape(());

impl GradientTape {
    /// A tape.
    pub fn new() -> GradientTape {
        GradientTape::default()
    }

    /// The tensor, needing a gradient: use the result from here on.
    #[track_caller]
    pub fn watch(&self, tensor: &Tensor) -> Tensor {
        tensor.clone().with_grad()
    }

    /// The gradients of the sum of `target` with respect to watched tensors; `None` for those that
    /// `target` does not depend on. They can be differentiated in turn.
    #[track_caller]
    pub fn gradient(&self, target: &Tensor, sources: &[&Tensor]) -> Result<Vec<Option<Tensor>>> {
        let _scope = Scope::pin();
        let options = GradOptions::new()
            .cotangents(&[&target.ones_like()])
            .allow_unused(true)
            .create_graph(true);
        grad_with(&[target], sources, &options)
    }
}
