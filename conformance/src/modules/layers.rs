//! Layers of one tensor: activations, dropout, padding, linear maps, tables.

use super::{Entry, Made, module};
use crate::call::{Bound, Done, Refusal};
use lazulite::PadMode;
use lazulite::nn::{self, Layer};

pub(super) const TABLE: &[Entry] = &[
    module("nn.ReLU", "inplace=False", |_| Ok(Made::layer(nn::Relu))),
    module("nn.ReLU6", "inplace=False", |_| Ok(Made::layer(nn::Relu6))),
    module("nn.SiLU", "inplace=False", |_| Ok(Made::layer(nn::Silu))),
    module("nn.Mish", "inplace=False", |_| Ok(Made::layer(nn::Mish))),
    module("nn.SELU", "inplace=False", |_| Ok(Made::layer(nn::Selu))),
    module("nn.Hardswish", "inplace=False", |_| {
        Ok(Made::layer(nn::Hardswish))
    }),
    module("nn.Hardsigmoid", "inplace=False", |_| {
        Ok(Made::layer(nn::Hardsigmoid))
    }),
    module("nn.Identity", "", |_| Ok(Made::layer(nn::Identity))),
    module("nn.Tanh", "", |_| Ok(Made::layer(nn::Tanh))),
    module("nn.Sigmoid", "", |_| Ok(Made::layer(nn::Sigmoid))),
    module("nn.LogSigmoid", "", |_| Ok(Made::layer(nn::LogSigmoid))),
    module("nn.Softsign", "", |_| Ok(Made::layer(nn::Softsign))),
    module("nn.Tanhshrink", "", |_| Ok(Made::layer(nn::Tanhshrink))),
    module("nn.Softmax2d", "", |_| Ok(Made::layer(nn::Softmax2d))),
    module("nn.GELU", "approximate='none'", |a| {
        match a.text("approximate")?.as_str() {
            "none" => Ok(Made::layer(nn::Gelu)),
            "tanh" => Ok(Made::layer(nn::GeluTanh)),
            other => Err(Refusal::Rejected(format!(
                "there is no approximation {other}"
            ))),
        }
    }),
    module("nn.ELU", "alpha=1.0, inplace=False", |a| {
        let alpha = a.float("alpha")?;
        Ok(Made::layer(nn::Elu { alpha }))
    }),
    module("nn.CELU", "alpha=1.0, inplace=False", |a| {
        let alpha = a.float("alpha")?;
        Ok(Made::layer(nn::Celu { alpha }))
    }),
    module("nn.LeakyReLU", "negative_slope=0.01, inplace=False", |a| {
        let slope = a.float("negative_slope")?;
        Ok(Made::layer(nn::LeakyRelu { slope }))
    }),
    module(
        "nn.Hardtanh",
        "min_val=-1.0, max_val=1.0, inplace=False",
        |a| {
            let (low, high) = (a.number("min_val")?, a.number("max_val")?);
            Ok(Made::layer(nn::Hardtanh { low, high }))
        },
    ),
    module("nn.Hardshrink", "lambd=0.5", |a| {
        let lambda = a.float("lambd")?;
        Ok(Made::layer(nn::Hardshrink { lambda }))
    }),
    module("nn.Softshrink", "lambd=0.5", |a| {
        let lambda = a.float("lambd")?;
        Ok(Made::layer(nn::Softshrink { lambda }))
    }),
    module("nn.Softplus", "beta=1.0, threshold=20.0", |a| {
        let (beta, threshold) = (a.float("beta")?, a.float("threshold")?);
        Ok(Made::layer(nn::Softplus { beta, threshold }))
    }),
    module("nn.Threshold", "threshold, value, inplace=False", |a| {
        let (threshold, value) = (a.float("threshold")?, a.float("value")?);
        Ok(Made::layer(nn::Threshold { threshold, value }))
    }),
    module("nn.GLU", "dim=-1", |a| {
        let axis = a.int("dim")?;
        Ok(Made::layer(nn::Glu { axis }))
    }),
    module("nn.Softmax", "dim=None", |a| {
        along(a, |axis| nn::Softmax { axis })
    }),
    module("nn.Softmin", "dim=None", |a| {
        along(a, |axis| nn::Softmin { axis })
    }),
    module("nn.LogSoftmax", "dim=None", |a| {
        along(a, |axis| nn::LogSoftmax { axis })
    }),
    module(
        "nn.PReLU",
        "num_parameters=1, init=0.25, device=None, dtype=None",
        |a| Ok(Made::layer(nn::Prelu::new(a.count("num_parameters")?))),
    ),
    module("nn.Dropout", "p=0.5, inplace=False", |a| {
        Ok(Made::layer(nn::Dropout::new(a.float("p")?)))
    }),
    module(
        "nn.LocalResponseNorm",
        "size, alpha=0.0001, beta=0.75, k=1.0",
        |a| {
            Ok(Made::layer(nn::LocalResponseNorm {
                size: a.count("size")?,
                alpha: a.float("alpha")?,
                beta: a.float("beta")?,
                k: a.float("k")?,
            }))
        },
    ),
    module("nn.ZeroPad1d", "padding", |a| {
        pad::<1>(a, PadMode::Constant(0.into()))
    }),
    module("nn.ZeroPad2d", "padding", |a| {
        pad::<2>(a, PadMode::Constant(0.into()))
    }),
    module("nn.ZeroPad3d", "padding", |a| {
        pad::<3>(a, PadMode::Constant(0.into()))
    }),
    module("nn.ConstantPad1d", "padding, value", constant_pad::<1>),
    module("nn.ConstantPad2d", "padding, value", constant_pad::<2>),
    module("nn.ConstantPad3d", "padding, value", constant_pad::<3>),
    module("nn.ReflectionPad1d", "padding", |a| {
        pad::<1>(a, PadMode::Reflect)
    }),
    module("nn.ReflectionPad2d", "padding", |a| {
        pad::<2>(a, PadMode::Reflect)
    }),
    module("nn.ReflectionPad3d", "padding", |a| {
        pad::<3>(a, PadMode::Reflect)
    }),
    module("nn.ReplicationPad1d", "padding", |a| {
        pad::<1>(a, PadMode::Replicate)
    }),
    module("nn.ReplicationPad2d", "padding", |a| {
        pad::<2>(a, PadMode::Replicate)
    }),
    module("nn.ReplicationPad3d", "padding", |a| {
        pad::<3>(a, PadMode::Replicate)
    }),
    module("nn.CircularPad1d", "padding", |a| {
        pad::<1>(a, PadMode::Circular)
    }),
    module("nn.CircularPad2d", "padding", |a| {
        pad::<2>(a, PadMode::Circular)
    }),
    module("nn.CircularPad3d", "padding", |a| {
        pad::<3>(a, PadMode::Circular)
    }),
    module(
        "nn.Linear",
        "in_features, out_features, bias=True, device=None, dtype=None",
        |a| {
            let (inputs, outputs) = (a.count("in_features")?, a.count("out_features")?);
            Ok(Made::layer(match a.flag("bias")? {
                true => nn::Linear::new(inputs, outputs),
                false => nn::Linear::new(inputs, outputs).without_bias(),
            }))
        },
    ),
    module(
        "nn.Bilinear",
        "in1_features, in2_features, out_features, bias=True, device=None, dtype=None",
        |a| {
            let (first, second) = (a.count("in1_features")?, a.count("in2_features")?);
            let layer = nn::Bilinear::new(first, second, a.count("out_features")?);
            let layer = match a.flag("bias")? {
                true => layer,
                false => layer.without_bias(),
            };
            Ok(Made::new(layer, "input1, input2", |layer, a| {
                layer
                    .forward(&a.tensor("input1")?, &a.tensor("input2")?)
                    .done()
            }))
        },
    ),
    module(
        "nn.Embedding",
        "num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0, \
         scale_grad_by_freq=False, sparse=False, _weight=None, _freeze=False, device=None, dtype=None",
        |a| {
            let (rows, features) = (a.count("num_embeddings")?, a.count("embedding_dim")?);
            let mut layer = match a.opt_tensor("_weight")? {
                Some(table) => nn::Embedding::of(table),
                None => nn::Embedding::new(rows, features),
            };
            if let Some(row) = a.opt_int("padding_idx")? {
                layer = layer.with_padding(row);
            }
            if let Some(longest) = a.opt_float("max_norm")? {
                layer.max_norm = Some((longest, a.float("norm_type")?));
            }
            layer.options.scale_grad_by_freq = a.flag("scale_grad_by_freq")?;
            Ok(Made::layer(layer))
        },
    ),
];

fn pad<const AXES: usize>(a: &Bound, mode: PadMode) -> Result<Made, Refusal> {
    Ok(Made::layer(nn::PadNd::<AXES>::new(
        a.ints("padding")?,
        mode,
    )))
}

fn constant_pad<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    pad::<AXES>(a, PadMode::Constant(a.number("value")?))
}

/// A layer along an axis.
fn along<L: Layer + Clone + 'static>(a: &Bound, layer: fn(i64) -> L) -> Result<Made, Refusal> {
    match a.opt_int("dim")? {
        Some(axis) => Ok(Made::layer(layer(axis))),
        None => Err(Refusal::Unsupported("an axis must be named".into())),
    }
}
