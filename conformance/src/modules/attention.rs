//! Attention and transformers.

use super::{Entry, Made, bind, module};
use crate::call::{Bound, Done, Refusal};
use crate::value::Value;
use lazulite::Tensor;
use lazulite::nn::{
    HeadMasks, HeadOptions, MultiheadAttention, Transformer, TransformerDecoderLayer,
    TransformerEncoder, TransformerEncoderLayer, TransformerMasks, TransformerOptions,
};

pub(super) const TABLE: &[Entry] = &[
    module(
        "nn.MultiheadAttention",
        "embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, \
         kdim=None, vdim=None, batch_first=False, device=None, dtype=None",
        multihead,
    ),
    module("nn.TransformerEncoderLayer", LAYER, |a| {
        let (features, heads) = (a.count("d_model")?, a.count("nhead")?);
        let layer = TransformerEncoderLayer::new(features, heads, &options(a)?);
        let parameters = "src, src_mask=None, src_key_padding_mask=None, is_causal=False";
        Ok(Made::new(layer, parameters, |layer, a| {
            let masks = masks(a, "src_mask", "src_key_padding_mask")?;
            layer.forward(&a.input()?, &masks).done()
        }))
    }),
    module("nn.TransformerDecoderLayer", LAYER, |a| {
        let (features, heads) = (a.count("d_model")?, a.count("nhead")?);
        let layer = TransformerDecoderLayer::new(features, heads, &options(a)?);
        let parameters = "tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, \
                          memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False";
        Ok(Made::new(layer, parameters, |layer, a| {
            let own = masks(a, "tgt_mask", "tgt_key_padding_mask")?;
            let memory = masks(a, "memory_mask", "memory_key_padding_mask")?;
            layer
                .forward(&a.input()?, &a.tensor("memory")?, &own, &memory)
                .done()
        }))
    }),
    module(
        "nn.TransformerEncoder",
        "encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True",
        encoder,
    ),
    module(
        "nn.Transformer",
        "d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048, \
         dropout=0.1, activation='relu', custom_encoder=None, custom_decoder=None, \
         layer_norm_eps=1e-05, batch_first=False, norm_first=False, bias=True, device=None, \
         dtype=None",
        transformer,
    ),
];

const LAYER: &str = "d_model, nhead, dim_feedforward=2048, dropout=0.1, activation='relu', \
                     layer_norm_eps=1e-05, batch_first=False, norm_first=False, bias=True, \
                     device=None, dtype=None";

fn multihead(a: &Bound) -> Result<Made, Refusal> {
    let options = HeadOptions {
        dropout: a.float("dropout")?,
        bias: a.flag("bias")?,
        add_bias_kv: a.flag("add_bias_kv")?,
        add_zero_attn: a.flag("add_zero_attn")?,
        kdim: a.opt_count("kdim")?,
        vdim: a.opt_count("vdim")?,
        batch_first: a.flag("batch_first")?,
    };
    let layer = MultiheadAttention::with(a.count("embed_dim")?, a.count("num_heads")?, &options);
    let parameters = "query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, \
                      average_attn_weights=True, is_causal=False";
    Ok(Made::new(layer, parameters, |layer, a| {
        if !a.flag("average_attn_weights")? {
            let message = "weights are means over the heads".into();
            return Err(Refusal::Unsupported(message));
        }
        let masks = masks(a, "attn_mask", "key_padding_mask")?;
        let (key, value) = (a.tensor("key")?, a.tensor("value")?);
        let (result, weights) = layer.forward(&a.input()?, &key, &value, &masks);
        let weights = match a.flag("need_weights")? {
            true => weights.into(),
            false => Value::None,
        };
        Ok(Value::List(vec![result.into(), weights]))
    }))
}

fn masks(a: &Bound, mask: &str, key_padding: &str) -> Result<HeadMasks, Refusal> {
    Ok(HeadMasks {
        mask: a.opt_tensor(mask)?,
        key_padding: a.opt_tensor(key_padding)?,
    })
}

fn options(a: &Bound) -> Result<TransformerOptions, Refusal> {
    let name = a.text("activation")?;
    let activation: fn(&Tensor) -> Tensor = match name.rsplit('.').next().unwrap_or(&name) {
        "relu" => Tensor::relu,
        "gelu" => Tensor::gelu,
        other => {
            let message = format!("the activation {other} is not in the table");
            return Err(Refusal::Unsupported(message));
        }
    };
    Ok(TransformerOptions {
        feedforward: a.count("dim_feedforward")?,
        dropout: a.float("dropout")?,
        activation,
        layer_norm_eps: a.float("layer_norm_eps")?,
        batch_first: a.flag("batch_first")?,
        norm_first: a.flag("norm_first")?,
        bias: a.flag("bias")?,
    })
}

fn encoder(a: &Bound) -> Result<Made, Refusal> {
    let Value::Module(name, args, kwargs) = a.value("encoder_layer")? else {
        return Err(Refusal::Rejected("a layer is a module".into()));
    };
    if name != "nn.TransformerEncoderLayer" || a.has("norm") {
        let message = "other layers or norms are not in the table".into();
        return Err(Refusal::Unsupported(message));
    }
    let layer = bind(LAYER, args, kwargs)?;
    let (features, heads) = (layer.count("d_model")?, layer.count("nhead")?);
    let count = a.count("num_layers")?;
    let encoder = TransformerEncoder::new(count, features, heads, &options(&layer)?);
    let parameters = "src, mask=None, src_key_padding_mask=None, is_causal=None";
    Ok(Made::new(encoder, parameters, |encoder, a| {
        let masks = masks(a, "mask", "src_key_padding_mask")?;
        encoder.forward(&a.input()?, &masks).done()
    }))
}

fn transformer(a: &Bound) -> Result<Made, Refusal> {
    let (features, heads) = (a.count("d_model")?, a.count("nhead")?);
    let layers = [
        a.count("num_encoder_layers")?,
        a.count("num_decoder_layers")?,
    ];
    let transformer = Transformer::new(features, heads, layers, &options(a)?);
    let parameters = "src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, \
                      src_key_padding_mask=None, tgt_key_padding_mask=None, \
                      memory_key_padding_mask=None, src_is_causal=None, tgt_is_causal=None, \
                      memory_is_causal=False";
    Ok(Made::new(transformer, parameters, |transformer, a| {
        let masks = TransformerMasks {
            source: masks(a, "src_mask", "src_key_padding_mask")?,
            target: masks(a, "tgt_mask", "tgt_key_padding_mask")?,
            memory: masks(a, "memory_mask", "memory_key_padding_mask")?,
        };
        transformer
            .forward(&a.input()?, &a.tensor("tgt")?, &masks)
            .done()
    }))
}
