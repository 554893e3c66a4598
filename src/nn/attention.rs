//! Multi-head attention.

use super::check::{bad_setting, failed};
use super::init;
use super::param::{Mode, Param};
use super::{Layer, Linear, Module, Visitor};
use crate::location::Scope;
use crate::ops::{AttentionOptions, HeadWeights, attempt_pair};
use crate::tensor::{Dim, Tensor};

/// Options of [`MultiheadAttention`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HeadOptions {
    /// Probability of dropping a weight, in training.
    pub dropout: f64,
    /// Projections have a bias.
    pub bias: bool,
    /// Adds a trained key and value to every sequence.
    pub add_bias_kv: bool,
    /// Adds a key and value of zeros to every sequence.
    pub add_zero_attn: bool,
    /// Features of keys, if they are not those of queries.
    pub kdim: Option<usize>,
    /// Features of values, if they are not those of queries.
    pub vdim: Option<usize>,
    /// Sequences are `[batch, length, features]`, not `[length, batch, features]`.
    pub batch_first: bool,
}

impl Default for HeadOptions {
    fn default() -> HeadOptions {
        HeadOptions {
            dropout: 0.0,
            bias: true,
            add_bias_kv: false,
            add_zero_attn: false,
            kdim: None,
            vdim: None,
            batch_first: false,
        }
    }
}

/// Where attention does not look.
#[derive(Clone, Debug, Default)]
pub struct HeadMasks {
    /// `[queries, keys]` or `[batch * heads, queries, keys]`: where looking is forbidden (bool), or what is
    /// added to the scores.
    pub mask: Option<Tensor>,
    /// `[batch, keys]`: which keys do not exist (bool), or what is added to their scores.
    pub key_padding: Option<Tensor>,
}

/// The maps from features to queries, keys and values.
#[derive(Clone, Debug)]
pub enum Projections {
    /// One above the other: `[3 * features, features]`.
    Joined(Param),
    /// One for each, `[features, inputs]`: keys and values have features of their own.
    Separate([Param; 3]),
}

/// Attention in several heads at once.
#[derive(Clone, Debug)]
pub struct MultiheadAttention {
    /// The maps to queries, keys and values.
    pub projections: Projections,
    /// Their biases.
    pub in_proj_bias: Option<Param>,
    /// The key and value added to every sequence, `[1, 1, features]` each.
    pub extra: Option<[Param; 2]>,
    /// The projection of the result.
    pub out_proj: Linear,
    /// Number of heads.
    pub heads: usize,
    features: usize,
    options: HeadOptions,
    mode: Mode,
}

impl MultiheadAttention {
    /// `heads` must divide `features`. PyTorch's initial values.
    #[track_caller]
    pub fn new(features: usize, heads: usize) -> MultiheadAttention {
        MultiheadAttention::with(features, heads, &HeadOptions::default())
    }

    /// With options.
    #[track_caller]
    pub fn with(features: usize, heads: usize, options: &HeadOptions) -> MultiheadAttention {
        let _scope = Scope::pin();
        let divides = heads > 0 && features > 0 && features.is_multiple_of(heads);
        let mistake = (!divides).then(|| {
            let message = format!("{features} features do not divide among {heads} heads");
            bad_setting("MultiheadAttention", message)
        });
        let start = |tensor: Tensor| match &mistake {
            Some(e) => failed(e),
            None => Param::new(tensor),
        };
        // Within sqrt(6 / (inputs + outputs)).
        let projection = |outputs: usize, inputs: usize| {
            let bound = (6.0 / (inputs + outputs).max(1) as f64).sqrt();
            start(init::uniform(vec![outputs, inputs], -bound, bound))
        };
        let (kdim, vdim) = (
            options.kdim.unwrap_or(features),
            options.vdim.unwrap_or(features),
        );
        let projections = match kdim == features && vdim == features {
            // The three are taken together, with all outputs.
            true => Projections::Joined(projection(3 * features, features)),
            false => Projections::Separate([features, kdim, vdim].map(|d| projection(features, d))),
        };
        let zeros = |count: usize| Param::new(Tensor::zeros([count]));
        let extra = || {
            let drawn = Tensor::randn([1, 1, features]);
            start(drawn * (features.max(1) as f64).sqrt().recip())
        };
        MultiheadAttention {
            projections,
            in_proj_bias: options.bias.then(|| zeros(3 * features)),
            extra: options.add_bias_kv.then(|| [extra(), extra()]),
            out_proj: Linear {
                bias: options.bias.then(|| zeros(features)),
                ..Linear::new(features, features).without_bias()
            },
            heads,
            features,
            options: *options,
            mode: Mode::default(),
        }
    }

    /// What queries find at keys: the values' weighted mean, and the weights `[batch, queries, keys]`, which are
    /// means over the heads. Nothing has a batch axis, or everything.
    #[track_caller]
    pub fn forward(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: &HeadMasks,
    ) -> (Tensor, Tensor) {
        let _scope = self.scope();
        attempt_pair(|| {
            let swapped = self.options.batch_first && query.rank()? == 3;
            let turned = |t: &Tensor| match swapped {
                true => t.transpose(0, 1),
                false => t.clone(),
            };
            let dropped = self.mode.is_training();
            let weights = HeadWeights {
                heads: self.heads,
                projections: self.matrices(),
                projection_bias: self.in_proj_bias.as_ref().map(Param::get),
                extra: self.extra.as_ref().map(|[k, v]| (k.get(), v.get())),
                add_zero: self.options.add_zero_attn,
                output: (
                    self.out_proj.weight.get(),
                    self.out_proj.bias.as_ref().map(Param::get),
                ),
                mask: masks.mask.clone(),
                key_padding: masks.key_padding.clone(),
                dropout: if dropped { self.options.dropout } else { 0.0 },
            };
            let (query, key, value) = (turned(query), turned(key), turned(value));
            let (result, attended) = query.multi_head_attention(&key, &value, &weights);
            Ok((turned(&result), attended))
        })
    }

    /// Self-attention of `[batch, length, features]`; with `causal`, nobody looks ahead.
    #[track_caller]
    pub fn attend(&self, x: &Tensor, causal: bool) -> Tensor {
        let _scope = self.scope();
        let bias = self.in_proj_bias.as_ref().map(Param::get);
        let [query, key, value] = self.projected(x, bias.as_ref());
        let (batch, length, features) = (x.dim(0), x.dim(1), Dim::from(self.features));
        let heads = Dim::from(self.heads);
        let split = |t: &Tensor| {
            let width = features.floor_div(heads.clone());
            t.reshape([batch.clone(), length.clone(), heads.clone(), width])
                .transpose(1, 2)
        };
        let options = AttentionOptions {
            causal,
            dropout: if self.mode.is_training() {
                self.options.dropout
            } else {
                0.0
            },
            ..AttentionOptions::default()
        };
        let (query, key, value) = (split(&query), split(&key), split(&value));
        let mixed = query.scaled_dot_product_attention_with(&key, &value, &options);
        let joined =
            mixed
                .transpose(1, 2)
                .reshape([batch.clone(), length.clone(), features.clone()]);
        self.out_proj.forward(&joined)
    }

    /// Queries, keys and values of one tensor.
    #[track_caller]
    fn projected(&self, x: &Tensor, bias: Option<&Tensor>) -> [Tensor; 3] {
        let size = Dim::from(self.features);
        let part = |t: &Tensor, axis: i64, i: usize| t.narrow(axis, &size * i, size.clone());
        match &self.projections {
            // One product is faster than three.
            Projections::Joined(weight) => {
                let joined = x.linear(&weight.get(), bias);
                std::array::from_fn(|i| part(&joined, -1, i))
            }
            Projections::Separate(weights) => std::array::from_fn(|i| {
                let bias = bias.map(|b| part(b, 0, i));
                x.linear(&weights[i].get(), bias.as_ref())
            }),
        }
    }

    #[track_caller]
    fn matrices(&self) -> [Tensor; 3] {
        match &self.projections {
            Projections::Joined(joined) => {
                let (joined, size) = (joined.get(), Dim::from(self.features));
                std::array::from_fn(|i| joined.narrow(0, &size * i, size.clone()))
            }
            Projections::Separate(weights) => std::array::from_fn(|i| weights[i].get()),
        }
    }

    #[track_caller]
    fn scope(&self) -> Scope {
        let (Projections::Joined(first) | Projections::Separate([first, ..])) = &self.projections;
        first.scope("MultiheadAttention")
    }
}

impl Module for MultiheadAttention {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        match &self.projections {
            Projections::Joined(weight) => visitor.part("in_proj_weight", weight),
            Projections::Separate([query, key, value]) => {
                visitor.part("q_proj_weight", query);
                visitor.part("k_proj_weight", key);
                visitor.part("v_proj_weight", value);
            }
        }
        visitor.part("in_proj_bias", &self.in_proj_bias);
        if let Some([key, value]) = &self.extra {
            visitor.part("bias_k", key);
            visitor.part("bias_v", value);
        }
        visitor.part("out_proj", &self.out_proj);
        visitor.part("mode", &self.mode);
    }
}
