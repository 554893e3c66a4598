//! Transformers: layers of attention and of two linear maps, each with a residual and a norm.

use super::attention::{HeadMasks, HeadOptions, MultiheadAttention};
use super::{Dropout, Layer, LayerNorm, Linear, Module, init};
use crate::error::Result;
use crate::location::Scope;
use crate::tensor::Tensor;

/// Options of transformers and their layers.
#[derive(Clone, Copy, Debug)]
pub struct TransformerOptions {
    /// Features between the two linear maps.
    pub feedforward: usize,
    /// Probability of dropping an element, in training.
    pub dropout: f64,
    /// What is done between the two linear maps.
    pub activation: fn(&Tensor) -> Tensor,
    /// Added to the variance in norms.
    pub layer_norm_eps: f64,
    /// Sequences are `[batch, length, features]`, not `[length, batch, features]`.
    pub batch_first: bool,
    /// Norms come before attention and linear maps, not behind.
    pub norm_first: bool,
    /// Linear maps and norms have a bias.
    pub bias: bool,
}

impl Default for TransformerOptions {
    fn default() -> TransformerOptions {
        TransformerOptions {
            feedforward: 2048,
            dropout: 0.1,
            activation: Tensor::relu,
            layer_norm_eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
        }
    }
}

impl TransformerOptions {
    #[track_caller]
    fn attention(&self, features: usize, heads: usize) -> MultiheadAttention {
        let options = HeadOptions {
            dropout: self.dropout,
            bias: self.bias,
            batch_first: self.batch_first,
            ..HeadOptions::default()
        };
        MultiheadAttention::with(features, heads, &options)
    }

    #[track_caller]
    fn norm(&self, features: usize) -> LayerNorm {
        let norm = LayerNorm::over(&[features], self.layer_norm_eps);
        match self.bias {
            true => norm,
            false => norm.without_bias(),
        }
    }
}

/// What both kinds of layers share: how a part is added to what comes in, and the two linear maps.
#[derive(Clone, Debug)]
struct Residual {
    activation: fn(&Tensor) -> Tensor,
    norm_first: bool,
    dropout: Dropout,
}

impl Residual {
    fn new(options: &TransformerOptions) -> Residual {
        Residual {
            activation: options.activation,
            norm_first: options.norm_first,
            dropout: Dropout::new(options.dropout),
        }
    }

    /// x and what `part` makes of it, with the norm on either side.
    #[track_caller]
    fn add(&self, x: &Tensor, norm: &LayerNorm, part: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let dropped = |t: &Tensor| self.dropout.forward(t);
        match self.norm_first {
            true => x + dropped(&part(&norm.forward(x))),
            false => norm.forward(&(x + dropped(&part(x)))),
        }
    }

    #[track_caller]
    fn maps(&self, x: &Tensor, wide: &Linear, narrow: &Linear) -> Tensor {
        let hidden = (self.activation)(&wide.forward(x));
        narrow.forward(&self.dropout.forward(&hidden))
    }
}

impl Module for Residual {
    fn visit(&self, visitor: &mut super::Visitor<'_>) {
        self.dropout.visit(visitor);
    }
}

/// Attention of a sequence to itself, then two linear maps.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoderLayer {
    /// Attention to itself.
    pub self_attn: MultiheadAttention,
    /// To the features between.
    pub linear1: Linear,
    /// Back.
    pub linear2: Linear,
    /// Of the attention.
    pub norm1: LayerNorm,
    /// Of the linear maps.
    pub norm2: LayerNorm,
    residual: Residual,
}

impl TransformerEncoderLayer {
    /// PyTorch's initial values.
    #[track_caller]
    pub fn new(features: usize, heads: usize, options: &TransformerOptions) -> Self {
        let _scope = Scope::pin();
        TransformerEncoderLayer {
            self_attn: options.attention(features, heads),
            linear1: Linear::with(features, options.feedforward, options.bias),
            linear2: Linear::with(options.feedforward, features, options.bias),
            norm1: options.norm(features),
            norm2: options.norm(features),
            residual: Residual::new(options),
        }
    }

    /// The sequence, with masks for its attention to itself.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &HeadMasks) -> Tensor {
        let _scope = Scope::open("TransformerEncoderLayer");
        let attend = |t: &Tensor| self.self_attn.forward(t, t, t, masks).0;
        let x = self.residual.add(x, &self.norm1, attend);
        self.residual.add(&x, &self.norm2, |t| {
            self.residual.maps(t, &self.linear1, &self.linear2)
        })
    }
}

/// Attention of a sequence to itself, then to another one, then two linear maps.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoderLayer {
    /// Attention to itself.
    pub self_attn: MultiheadAttention,
    /// Attention to the other sequence.
    pub multihead_attn: MultiheadAttention,
    /// To the features between.
    pub linear1: Linear,
    /// Back.
    pub linear2: Linear,
    /// Of the attention to itself.
    pub norm1: LayerNorm,
    /// Of the attention to the other sequence.
    pub norm2: LayerNorm,
    /// Of the linear maps.
    pub norm3: LayerNorm,
    residual: Residual,
}

impl TransformerDecoderLayer {
    /// PyTorch's initial values.
    #[track_caller]
    pub fn new(features: usize, heads: usize, options: &TransformerOptions) -> Self {
        let _scope = Scope::pin();
        TransformerDecoderLayer {
            self_attn: options.attention(features, heads),
            multihead_attn: options.attention(features, heads),
            linear1: Linear::with(features, options.feedforward, options.bias),
            linear2: Linear::with(options.feedforward, features, options.bias),
            norm1: options.norm(features),
            norm2: options.norm(features),
            norm3: options.norm(features),
            residual: Residual::new(options),
        }
    }

    /// The sequence and another one it looks at (`memory`), with masks for both attentions.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        masks: &HeadMasks,
        memory_masks: &HeadMasks,
    ) -> Tensor {
        let _scope = Scope::open("TransformerDecoderLayer");
        let attend = |t: &Tensor| self.self_attn.forward(t, t, t, masks).0;
        let x = self.residual.add(x, &self.norm1, attend);
        let look = |t: &Tensor| {
            let found = self.multihead_attn.forward(t, memory, memory, memory_masks);
            found.0
        };
        let x = self.residual.add(&x, &self.norm2, look);
        self.residual.add(&x, &self.norm3, |t| {
            self.residual.maps(t, &self.linear1, &self.linear2)
        })
    }
}

/// Encoder layers one after the other.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoder {
    /// The layers.
    pub layers: Vec<TransformerEncoderLayer>,
    /// What is done last.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// So many layers, without a norm behind.
    #[track_caller]
    pub fn new(count: usize, features: usize, heads: usize, options: &TransformerOptions) -> Self {
        let _scope = Scope::pin();
        let layer = |_| TransformerEncoderLayer::new(features, heads, options);
        TransformerEncoder {
            layers: (0..count).map(layer).collect(),
            norm: None,
        }
    }

    /// The sequence, with masks for its attention to itself.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: &HeadMasks) -> Tensor {
        let _scope = Scope::open("TransformerEncoder");
        let layers = self.layers.iter();
        let out = layers.fold(x.clone(), |x, layer| layer.forward(&x, masks));
        self.norm.as_ref().map_or(out.clone(), |n| n.forward(&out))
    }
}

/// Decoder layers one after the other.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoder {
    /// The layers.
    pub layers: Vec<TransformerDecoderLayer>,
    /// What is done last.
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// So many layers, without a norm behind.
    #[track_caller]
    pub fn new(count: usize, features: usize, heads: usize, options: &TransformerOptions) -> Self {
        let _scope = Scope::pin();
        let layer = |_| TransformerDecoderLayer::new(features, heads, options);
        TransformerDecoder {
            layers: (0..count).map(layer).collect(),
            norm: None,
        }
    }

    /// The sequence and another one it looks at (`memory`), with masks for both attentions.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        masks: &HeadMasks,
        memory_masks: &HeadMasks,
    ) -> Tensor {
        let _scope = Scope::open("TransformerDecoder");
        let layers = self.layers.iter();
        let out = layers.fold(x.clone(), |x, layer| {
            layer.forward(&x, memory, masks, memory_masks)
        });
        self.norm.as_ref().map_or(out.clone(), |n| n.forward(&out))
    }
}

/// Where the attentions of a [`Transformer`] do not look.
#[derive(Clone, Debug, Default)]
pub struct TransformerMasks {
    /// The source at itself.
    pub source: HeadMasks,
    /// The target at itself.
    pub target: HeadMasks,
    /// The target at what became of the source.
    pub memory: HeadMasks,
}

/// An encoder for one sequence and a decoder for another one that looks at it.
#[derive(Clone, Debug, Module)]
pub struct Transformer {
    /// Of the source.
    pub encoder: TransformerEncoder,
    /// Of the target.
    pub decoder: TransformerDecoder,
}

impl Transformer {
    /// So many encoder and decoder layers, each followed by a norm; all matrices start with signals keeping
    /// their size both ways.
    #[track_caller]
    pub fn new(
        features: usize,
        heads: usize,
        [encoders, decoders]: [usize; 2],
        options: &TransformerOptions,
    ) -> Transformer {
        let _scope = Scope::pin();
        let transformer = Transformer {
            encoder: TransformerEncoder {
                norm: Some(options.norm(features)),
                ..TransformerEncoder::new(encoders, features, heads, options)
            },
            decoder: TransformerDecoder {
                norm: Some(options.norm(features)),
                ..TransformerDecoder::new(decoders, features, heads, options)
            },
        };
        for param in transformer.parameters() {
            if param.get().rank().is_ok_and(|rank| rank > 1) {
                // Sizes are known and fit, or the parameter carries its own error.
                let _: Result<()> = init::xavier_uniform_(&param, 1.0);
            }
        }
        transformer
    }

    /// The target after looking at itself and at the source.
    #[track_caller]
    pub fn forward(&self, source: &Tensor, target: &Tensor, masks: &TransformerMasks) -> Tensor {
        let _scope = Scope::open("Transformer");
        let memory = self.encoder.forward(source, &masks.source);
        self.decoder
            .forward(target, &memory, &masks.target, &masks.memory)
    }
}
