//! Layers one after the other.

use super::module::{Layer, Module, Visitor};
use crate::location::Scope;
use crate::tensor::Tensor;

/// Layers one after the other; their paths are their numbers.
///
/// ```
/// use lazulite::nn::{Layer, Linear, Relu, Sequential};
/// use lazulite::prelude::*;
/// let model = Sequential::new().with(Linear::new(4, 8)).with(Relu).with(Linear::new(8, 2));
/// assert_eq!(model.forward(&Tensor::ones([3, 4])).dims()?, [3, 2]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer + Send + Sync>>,
}

impl Sequential {
    /// No layers.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// With a further layer.
    pub fn with(mut self, layer: impl Layer + Send + Sync + 'static) -> Sequential {
        self.layers.push(Box::new(layer));
        self
    }
}

impl Module for Sequential {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.layers.visit(visitor);
    }
}

impl Layer for Sequential {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        // Callers are not tracked through closures and trait objects.
        let _scope = Scope::pin();
        let each = self.layers.iter();
        each.fold(x.clone(), |x, layer| layer.forward(&x))
    }
}
