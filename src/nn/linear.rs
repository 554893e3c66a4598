//! Linear maps and tables.

use super::init;
use super::module::{Layer, Module, Visitor};
use super::param::Param;
use crate::location::Scope;
use crate::tensor::Tensor;

/// `x @ weight.t() + bias`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Param,
    /// `[outputs]`.
    pub bias: Option<Param>,
}

impl Linear {
    /// With a bias; PyTorch's initial values.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: init::by_fan(&[outputs, inputs], inputs),
            bias: Some(init::by_fan(&[outputs], inputs)),
        }
    }

    /// Without a bias.
    #[track_caller]
    pub fn without_bias(inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: init::by_fan(&[outputs, inputs], inputs),
            bias: None,
        }
    }
}

impl Module for Linear {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
    }
}

impl Layer for Linear {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::open(self.weight.owner("Linear"));
        let bias = self.bias.as_ref().map(Param::get);
        x.linear(&self.weight.get(), bias.as_ref())
    }
}

/// Rows of a table by their numbers.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `[rows, features]`.
    pub weight: Param,
}

impl Embedding {
    /// A table of normally distributed numbers.
    #[track_caller]
    pub fn new(rows: usize, features: usize) -> Embedding {
        Embedding {
            weight: Param::new(Tensor::randn([rows, features])),
        }
    }
}

impl Module for Embedding {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
    }
}

impl Layer for Embedding {
    #[track_caller]
    fn forward(&self, indices: &Tensor) -> Tensor {
        let _scope = Scope::open(self.weight.owner("Embedding"));
        self.weight.get().embedding(indices)
    }
}
