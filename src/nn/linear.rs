//! Linear maps and tables.

use super::check::shown;
use super::init;
use super::param::Param;
use super::{Layer, Module};
use crate::error::Result;
use crate::location::Scope;
use crate::ops::{BagOptions, EmbeddingOptions, attempt};
use crate::tensor::Tensor;

/// `x @ weight.t() + bias`.
#[derive(Clone, Debug, Module)]
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

    /// The same without a bias.
    pub fn without_bias(self) -> Linear {
        Linear { bias: None, ..self }
    }

    /// With or without a bias.
    #[track_caller]
    pub(super) fn with(inputs: usize, outputs: usize, bias: bool) -> Linear {
        let linear = Linear::new(inputs, outputs);
        match bias {
            true => linear,
            false => linear.without_bias(),
        }
    }

    /// With as many inputs as the last axis of the first call has, and a bias.
    #[track_caller]
    pub fn lazy(outputs: usize) -> Linear {
        Linear {
            weight: Param::lazy(move |inputs| init::within_fan(&[outputs, inputs], inputs)),
            bias: Some(Param::lazy(move |inputs| {
                init::within_fan(&[outputs], inputs)
            })),
        }
    }

    #[track_caller]
    fn settle(&self, x: &Tensor) -> Result<()> {
        if self.weight.is_pending() {
            let inputs = usize::try_from(x.dim(-1).value()?).unwrap_or(0);
            self.weight.settle(inputs);
            if let Some(bias) = &self.bias {
                bias.settle(inputs);
            }
        }
        Ok(())
    }
}

impl Layer for Linear {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.weight.scope("Linear");
        if let Err(e) = self.settle(x) {
            return Tensor::error(e);
        }
        let (weight, bias) = (self.weight.get(), self.bias.as_ref().map(Param::get));
        shown(x.linear(&weight, bias.as_ref()), &[x], || {
            let sizes = weight.known_dims().unwrap_or_default();
            let [outputs, inputs] = sizes[..] else {
                return self.weight.layer("Linear".into());
            };
            self.weight.layer(format!("Linear({inputs}, {outputs})"))
        })
    }
}

/// Products of all pairs of features of two tensors, weighted, plus a bias.
#[derive(Clone, Debug, Module)]
pub struct Bilinear {
    /// `[outputs, inputs of the first, inputs of the second]`.
    pub weight: Param,
    /// `[outputs]`.
    pub bias: Option<Param>,
}

impl Bilinear {
    /// With a bias; PyTorch's initial values.
    #[track_caller]
    pub fn new(first: usize, second: usize, outputs: usize) -> Bilinear {
        Bilinear {
            weight: init::by_fan(&[outputs, first, second], first),
            bias: Some(init::by_fan(&[outputs], first)),
        }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Bilinear {
        Bilinear { bias: None, ..self }
    }

    /// The result, one number per output.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let _scope = self.weight.scope("Bilinear");
        let bias = self.bias.as_ref().map(Param::get);
        x.bilinear(y, &self.weight.get(), bias.as_ref())
    }
}

/// Rows of a table by their numbers.
#[derive(Clone, Debug, Module)]
pub struct Embedding {
    /// `[rows, features]`.
    pub weight: Param,
    /// Which row stays as it is, and how gradients are weighted.
    #[module(skip)]
    pub options: EmbeddingOptions,
    /// Rows that are longer are shortened before they are looked up, in the table itself: the length, and
    /// the norm it is measured by.
    #[module(skip)]
    pub max_norm: Option<(f64, f64)>,
}

impl Embedding {
    /// A table of normally distributed numbers.
    #[track_caller]
    pub fn new(rows: usize, features: usize) -> Embedding {
        Embedding::of(Tensor::randn([rows, features]))
    }

    /// This table.
    #[track_caller]
    pub fn of(table: Tensor) -> Embedding {
        Embedding {
            weight: Param::new(table),
            options: EmbeddingOptions::default(),
            max_norm: None,
        }
    }

    /// The same with a row that starts with zeros and gets no gradient; negative numbers count from the end.
    #[track_caller]
    pub fn with_padding(mut self, row: i64) -> Embedding {
        let _scope = Scope::pin();
        self.options.padding = Some(row);
        let table = self.weight.get();
        let start = attempt(|| {
            let count = table.dim(0).value()?;
            let own = Tensor::iota(table.dim(0)).unsqueeze(1);
            let row = if row < 0 { row + count } else { row };
            Ok(own.eq(row).where_(0, &table))
        });
        self.weight = Param::new(start);
        self
    }

    #[track_caller]
    fn shorten(&self, indices: &Tensor, longest: f64, norm: f64) -> Result<()> {
        let table = self.weight.get().detach();
        let asked = Tensor::full_of([table.dim(0)], false, lazulite_ir::DType::Bool);
        let asked = asked.index_fill(0, &indices.ravel(), true).unsqueeze(1);
        let length = table.vector_norm(norm, -1).unsqueeze(1);
        let long = length.gt(longest).bitwise_and(asked);
        // The small addend is PyTorch's.
        let shortened = table.mul(length.add(1e-7).reciprocal().mul(longest));
        self.weight.set(long.where_(shortened, table))
    }
}

impl Layer for Embedding {
    #[track_caller]
    fn forward(&self, indices: &Tensor) -> Tensor {
        let _scope = self.weight.scope("Embedding");
        if let Some((longest, norm)) = self.max_norm
            && let Err(e) = self.shorten(indices, longest, norm)
        {
            return Tensor::error(e);
        }
        self.weight.get().embedding_with(indices, &self.options)
    }
}

/// Rows of a table by their numbers, combined by bags.
#[derive(Clone, Debug, Module)]
pub struct EmbeddingBag {
    /// `[rows, features]`.
    pub weight: Param,
    /// How bags are combined, and which row counts nothing. Offsets and factors are given with each call.
    #[module(skip)]
    pub options: BagOptions,
}

impl EmbeddingBag {
    /// A table of normally distributed numbers.
    #[track_caller]
    pub fn new(rows: usize, features: usize, options: BagOptions) -> EmbeddingBag {
        EmbeddingBag {
            weight: Param::new(Tensor::randn([rows, features])),
            options,
        }
    }

    /// One row per bag: bags are rows of `indices`, or parts of a vector that start at the offsets. Sums
    /// take a factor for each index.
    #[track_caller]
    pub fn forward(
        &self,
        indices: &Tensor,
        offsets: Option<&Tensor>,
        factors: Option<&Tensor>,
    ) -> Tensor {
        let _scope = self.weight.scope("EmbeddingBag");
        let options = BagOptions {
            offsets: offsets.cloned(),
            weights: factors.cloned(),
            ..self.options.clone()
        };
        self.weight.get().embedding_bag(indices, &options)
    }
}
