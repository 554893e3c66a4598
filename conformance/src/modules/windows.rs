//! Convolutions and pooling.

use super::{Entry, Made, module};
use crate::call::{Bound, Done, Refusal};
use lazulite::nn::{self, Buffer, ConvNd, WindowCounts};
use lazulite::{ConvOptions, PadMode, PoolOptions};

pub(super) const TABLE: &[Entry] = &[
    module("nn.Conv1d", CONV, conv::<1, false>),
    module("nn.Conv2d", CONV, conv::<2, false>),
    module("nn.Conv3d", CONV, conv::<3, false>),
    module("nn.ConvTranspose1d", TRANSPOSED, conv::<1, true>),
    module("nn.ConvTranspose2d", TRANSPOSED, conv::<2, true>),
    module("nn.ConvTranspose3d", TRANSPOSED, conv::<3, true>),
    module("nn.LazyConv1d", LAZY, lazy_conv::<1, false>),
    module("nn.LazyConv2d", LAZY, lazy_conv::<2, false>),
    module("nn.LazyConv3d", LAZY, lazy_conv::<3, false>),
    module(
        "nn.LazyConvTranspose1d",
        LAZY_TRANSPOSED,
        lazy_conv::<1, true>,
    ),
    module(
        "nn.LazyConvTranspose2d",
        LAZY_TRANSPOSED,
        lazy_conv::<2, true>,
    ),
    module(
        "nn.LazyConvTranspose3d",
        LAZY_TRANSPOSED,
        lazy_conv::<3, true>,
    ),
    module("nn.MaxPool1d", MAX_POOL, max_pool::<1>),
    module("nn.MaxPool2d", MAX_POOL, max_pool::<2>),
    module("nn.MaxPool3d", MAX_POOL, max_pool::<3>),
    module("nn.AvgPool1d", AVG_POOL, avg_pool::<1>),
    module("nn.AvgPool2d", AVG_POOL, avg_pool::<2>),
    module("nn.AvgPool3d", AVG_POOL, avg_pool::<3>),
    module("nn.LPPool1d", LP_POOL, lp_pool::<1>),
    module("nn.LPPool2d", LP_POOL, lp_pool::<2>),
    module("nn.LPPool3d", LP_POOL, lp_pool::<3>),
    module(
        "nn.AdaptiveAvgPool1d",
        "output_size",
        adaptive_avg_pool::<1>,
    ),
    module(
        "nn.AdaptiveAvgPool2d",
        "output_size",
        adaptive_avg_pool::<2>,
    ),
    module(
        "nn.AdaptiveAvgPool3d",
        "output_size",
        adaptive_avg_pool::<3>,
    ),
    module("nn.AdaptiveMaxPool1d", ADAPTIVE_MAX, adaptive_max_pool::<1>),
    module("nn.AdaptiveMaxPool2d", ADAPTIVE_MAX, adaptive_max_pool::<2>),
    module("nn.AdaptiveMaxPool3d", ADAPTIVE_MAX, adaptive_max_pool::<3>),
    module(
        "nn.FractionalMaxPool2d",
        FRACTIONAL,
        fractional_max_pool::<2>,
    ),
    module(
        "nn.FractionalMaxPool3d",
        FRACTIONAL,
        fractional_max_pool::<3>,
    ),
    module("nn.MaxUnpool1d", UNPOOL, max_unpool::<1>),
    module("nn.MaxUnpool2d", UNPOOL, max_unpool::<2>),
    module("nn.MaxUnpool3d", UNPOOL, max_unpool::<3>),
];

const CONV: &str = "in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, \
                    bias=True, padding_mode='zeros', device=None, dtype=None";
const TRANSPOSED: &str = "in_channels, out_channels, kernel_size, stride=1, padding=0, \
                          output_padding=0, groups=1, bias=True, dilation=1, padding_mode='zeros', \
                          device=None, dtype=None";
const LAZY: &str = "out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, \
                    padding_mode='zeros', device=None, dtype=None";
const LAZY_TRANSPOSED: &str = "out_channels, kernel_size, stride=1, padding=0, output_padding=0, \
                               groups=1, bias=True, dilation=1, padding_mode='zeros', device=None, \
                               dtype=None";
const MAX_POOL: &str = "kernel_size, stride=None, padding=0, dilation=1, return_indices=False, \
                        ceil_mode=False";
const AVG_POOL: &str = "kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, \
                        divisor_override=None";
const LP_POOL: &str = "norm_type, kernel_size, stride=None, ceil_mode=False";
const ADAPTIVE_MAX: &str = "output_size, return_indices=False";
const FRACTIONAL: &str = "kernel_size, output_size=None, output_ratio=None, return_indices=False, \
                          _random_samples=None";
const UNPOOL: &str = "kernel_size, stride=None, padding=0";

fn conv_options(a: &Bound, transposed: bool) -> Result<ConvOptions, Refusal> {
    let further = match transposed {
        true => a.counts("output_padding")?,
        false => vec![0],
    };
    Ok(ConvOptions {
        stride: a.counts("stride")?,
        padding: a.conv_padding()?,
        dilation: a.counts("dilation")?,
        groups: a.count("groups")?,
        output_padding: further,
    })
}

fn finished<const AXES: usize, const TRANSPOSED: bool>(
    a: &Bound,
    layer: ConvNd<AXES, TRANSPOSED>,
) -> Result<Made, Refusal> {
    let layer = match a.flag("bias")? {
        true => layer,
        false => layer.without_bias(),
    };
    let mode = match a.text("padding_mode")?.as_str() {
        "zeros" => PadMode::Constant(0.into()),
        "reflect" => PadMode::Reflect,
        "replicate" => PadMode::Replicate,
        "circular" => PadMode::Circular,
        other => return Err(Refusal::Rejected(format!("there is no mode {other}"))),
    };
    Ok(Made::layer(layer.padding_mode(mode)))
}

fn conv<const AXES: usize, const TRANSPOSED: bool>(a: &Bound) -> Result<Made, Refusal> {
    let (inputs, outputs) = (a.count("in_channels")?, a.count("out_channels")?);
    let window = a.axis_counts::<AXES>("kernel_size")?;
    let layer = ConvNd::<AXES, TRANSPOSED>::new(inputs, outputs, window);
    finished(a, layer.options(conv_options(a, TRANSPOSED)?))
}

fn lazy_conv<const AXES: usize, const TRANSPOSED: bool>(a: &Bound) -> Result<Made, Refusal> {
    let outputs = a.count("out_channels")?;
    let window = a.axis_counts::<AXES>("kernel_size")?;
    let layer = ConvNd::<AXES, TRANSPOSED>::lazy(outputs, window);
    finished(a, layer.options(conv_options(a, TRANSPOSED)?))
}

fn max_pool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let options = PoolOptions {
        stride: a.stride()?,
        padding: a.counts("padding")?,
        dilation: a.counts("dilation")?,
        ceil_mode: a.flag("ceil_mode")?,
        ..PoolOptions::default()
    };
    let layer = nn::MaxPoolNd::<AXES>::new(a.axis_counts::<AXES>("kernel_size")?).options(options);
    Ok(match a.flag("return_indices")? {
        true => Made::new(layer, "input", |layer, a| {
            layer.forward_with_indices(&a.input()?).done()
        }),
        false => Made::layer(layer),
    })
}

fn avg_pool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let options = PoolOptions {
        stride: a.stride()?,
        padding: a.counts("padding")?,
        ceil_mode: a.flag("ceil_mode")?,
        count_include_pad: a.flag("count_include_pad")?,
        divisor: a.opt_int("divisor_override")?,
        ..PoolOptions::default()
    };
    let window = a.axis_counts::<AXES>("kernel_size")?;
    Ok(Made::layer(
        nn::AvgPoolNd::<AXES>::new(window).options(options),
    ))
}

fn lp_pool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let options = PoolOptions {
        stride: a.stride()?,
        ceil_mode: a.flag("ceil_mode")?,
        ..PoolOptions::default()
    };
    let (p, window) = (a.float("norm_type")?, a.axis_counts::<AXES>("kernel_size")?);
    Ok(Made::layer(
        nn::LpPoolNd::<AXES>::new(p, window).options(options),
    ))
}

/// Numbers of windows; None keeps an axis.
fn counts<const AXES: usize>(a: &Bound) -> Result<[Option<usize>; AXES], Refusal> {
    <[Option<usize>; AXES]>::try_from(a.outputs(AXES)?)
        .map_err(|_| Refusal::Mistake(format!("there are not {AXES} sizes")))
}

fn adaptive_avg_pool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let counts = counts::<AXES>(a)?;
    Ok(Made::layer(nn::AdaptiveAvgPoolNd { counts }))
}

fn adaptive_max_pool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let counts = counts::<AXES>(a)?;
    let layer = nn::AdaptiveMaxPoolNd { counts };
    Ok(match a.flag("return_indices")? {
        true => Made::new(layer, "input", |layer, a| {
            layer.forward_with_indices(&a.input()?).done()
        }),
        false => Made::layer(layer),
    })
}

fn fractional_max_pool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let counts = match a.opt_floats("output_ratio")? {
        Some(ratios) => WindowCounts::Ratios(std::array::from_fn(|i| {
            let one = ratios.first().copied().unwrap_or(0.0);
            ratios.get(i).copied().unwrap_or(one)
        })),
        None => WindowCounts::Counts(a.axis_counts("output_size")?),
    };
    let layer = nn::FractionalMaxPoolNd::<AXES> {
        window: a.axis_counts("kernel_size")?,
        counts,
        _random_samples: a.opt_tensor("_random_samples")?.map(Buffer::new),
    };
    Ok(match a.flag("return_indices")? {
        true => Made::new(layer, "input", |layer, a| {
            layer.forward_with_indices(&a.input()?).done()
        }),
        false => Made::layer(layer),
    })
}

fn max_unpool<const AXES: usize>(a: &Bound) -> Result<Made, Refusal> {
    let window = a.axis_counts("kernel_size")?;
    let layer = nn::MaxUnpoolNd::<AXES> {
        window,
        stride: match a.has("stride") {
            true => a.axis_counts("stride")?,
            false => window,
        },
        padding: a.axis_counts("padding")?,
    };
    Ok(Made::new(
        layer,
        "input, indices, output_size=None",
        |layer, a| {
            let sizes = match a.has("output_size") {
                true => Some(a.axis_counts("output_size")?),
                false => None,
            };
            layer
                .forward(&a.input()?, &a.tensor("indices")?, sizes)
                .done()
        },
    ))
}
