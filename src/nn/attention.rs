//! Multi-head attention.

use super::init;
use super::module::{Module, Visitor};
use super::param::Param;
use crate::location::Scope;
use crate::ops::AttentionOptions;
use crate::tensor::{Dim, Tensor};

/// Attention in several heads at once, batch first.
#[derive(Clone, Debug)]
pub struct MultiheadAttention {
    /// Projections to queries, keys and values, one above the other: `[3 * features, features]`.
    pub in_proj_weight: Param,
    /// Their biases.
    pub in_proj_bias: Option<Param>,
    /// The projection of the result.
    pub out_proj: super::Linear,
    /// Number of heads.
    pub heads: usize,
}

impl MultiheadAttention {
    /// `heads` must divide `features`. PyTorch's initial values.
    #[track_caller]
    pub fn new(features: usize, heads: usize) -> MultiheadAttention {
        // Within sqrt(6 / (inputs + outputs)), each of the three projections taken with all outputs.
        let bound = (6.0 / (4 * features) as f64).sqrt();
        let weight = init::uniform(vec![3 * features, features], -bound, bound);
        let out_proj = super::Linear::new(features, features);
        MultiheadAttention {
            in_proj_weight: Param::new(weight),
            in_proj_bias: Some(Param::new(Tensor::zeros([3 * features]))),
            out_proj: super::Linear {
                bias: Some(Param::new(Tensor::zeros([features]))),
                ..out_proj
            },
            heads,
        }
    }

    /// Self-attention of `[batch, length, features]`; with `causal`, nobody looks ahead.
    #[track_caller]
    pub fn attend(&self, x: &Tensor, causal: bool) -> Tensor {
        let _scope = Scope::open(self.in_proj_weight.owner("MultiheadAttention"));
        let bias = self.in_proj_bias.as_ref().map(Param::get);
        let joined = x.linear(&self.in_proj_weight.get(), bias.as_ref());
        let parts = joined.chunk(3, -1);
        let [query, key, value] = parts.as_slice() else {
            return joined;
        };
        let (batch, length, features) = (x.dim(0), x.dim(1), x.dim(2));
        let heads = Dim::from(self.heads as i64);
        let split = |t: &Tensor| {
            let width = features.floor_div(heads.clone());
            t.reshape([batch.clone(), length.clone(), heads.clone(), width])
                .transpose(1, 2)
        };
        let options = AttentionOptions {
            causal,
            ..AttentionOptions::default()
        };
        let mixed = split(query).scaled_dot_product_attention(&split(key), &split(value), &options);
        let joined = mixed.transpose(1, 2).reshape([batch, length, features]);
        super::Layer::forward(&self.out_proj, &joined)
    }
}

impl Module for MultiheadAttention {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("in_proj_weight", &self.in_proj_weight);
        visitor.part("in_proj_bias", &self.in_proj_bias);
        visitor.part("out_proj", &self.out_proj);
    }
}
