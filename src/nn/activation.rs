//! Layers without parameters.

use super::module::{Layer, Module, Visitor};
use super::param::Mode;
use crate::location::Scope;
use crate::tensor::Tensor;

macro_rules! pointwise {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, Debug)]
        pub struct $name;

        impl Module for $name {
            fn visit(&self, _: &mut Visitor<'_>) {}
        }

        impl Layer for $name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op()
            }
        }
    )*};
}

pointwise! {
    /// `max(x, 0)`.
    Relu = relu;
    /// The Gaussian error linear unit.
    Gelu = gelu;
    /// `x * sigmoid(x)`.
    Silu = silu;
    /// The hyperbolic tangent.
    Tanh = tanh;
    /// `1 / (1 + exp(-x))`.
    Sigmoid = sigmoid;
    /// x itself.
    Identity = clone;
}

/// Exponentials divided by their sum along an axis.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    /// The axis.
    pub axis: i64,
}

impl Module for Softmax {
    fn visit(&self, _: &mut Visitor<'_>) {}
}

impl Layer for Softmax {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.softmax(self.axis)
    }
}

/// Axes joined to one: all but the batch.
#[derive(Clone, Copy, Debug)]
pub struct Flatten {
    /// The first axis joined.
    pub first: i64,
    /// The last axis joined.
    pub last: i64,
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten { first: 1, last: -1 }
    }
}

impl Module for Flatten {
    fn visit(&self, _: &mut Visitor<'_>) {}
}

impl Layer for Flatten {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.flatten(self.first, self.last)
    }
}

/// In training, elements are dropped by chance and the others grow accordingly.
#[derive(Clone, Debug)]
pub struct Dropout {
    /// The probability of dropping an element.
    pub p: f64,
    mode: Mode,
}

impl Dropout {
    /// With this probability of dropping an element.
    pub fn new(p: f64) -> Dropout {
        Dropout {
            p,
            mode: Mode::default(),
        }
    }
}

impl Module for Dropout {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("mode", &self.mode);
    }
}

impl Layer for Dropout {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::open("Dropout");
        x.dropout(self.p, self.mode.is_training())
    }
}
