//! torch.nn.functional over images and sequences: convolution, pooling, padding, resampling.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal};
use lazulite::{ConvOptions, Outside, PadMode, Padding, PoolOptions, ResampleMode, Tensor};

pub(super) const TABLE: &[Entry] = &[
    op("nn.functional.conv1d", |a| conv(a, 1)),
    op("nn.functional.conv2d", |a| conv(a, 2)),
    op("nn.functional.conv3d", |a| conv(a, 3)),
    op("nn.functional.conv_transpose1d", |a| conv_transpose(a, 1)),
    op("nn.functional.conv_transpose2d", |a| conv_transpose(a, 2)),
    op("nn.functional.conv_transpose3d", |a| conv_transpose(a, 3)),
    op("nn.functional.unfold", |a| {
        let options = ConvOptions {
            stride: a.counts("stride")?,
            padding: Padding::Each(a.counts("padding")?),
            dilation: a.counts("dilation")?,
            ..ConvOptions::default()
        };
        a.input()?
            .patches(&a.counts("kernel_size")?, &options)
            .done()
    }),
    op("nn.functional.avg_pool1d", |a| avg_pool(a, 1)),
    op("nn.functional.avg_pool2d", |a| avg_pool(a, 2)),
    op("nn.functional.avg_pool3d", |a| avg_pool(a, 3)),
    op("nn.functional.max_pool1d", |a| max_pool(a, 1)),
    op("nn.functional.max_pool2d", |a| max_pool(a, 2)),
    op("nn.functional.max_pool3d", |a| max_pool(a, 3)),
    op("nn.functional.adaptive_avg_pool1d", |a| {
        a.input()?.adaptive_avg_pool(&a.outputs(1)?).done()
    }),
    op("nn.functional.adaptive_avg_pool2d", |a| {
        a.input()?.adaptive_avg_pool(&a.outputs(2)?).done()
    }),
    op("nn.functional.adaptive_avg_pool3d", |a| {
        a.input()?.adaptive_avg_pool(&a.outputs(3)?).done()
    }),
    op("nn.functional.adaptive_max_pool1d", |a| {
        adaptive_max_pool(a, 1)
    }),
    op("nn.functional.adaptive_max_pool2d", |a| {
        adaptive_max_pool(a, 2)
    }),
    op("nn.functional.adaptive_max_pool3d", |a| {
        adaptive_max_pool(a, 3)
    }),
    op("nn.functional.fractional_max_pool2d", |a| {
        fractional_max_pool(a, 2)
    }),
    op("nn.functional.fractional_max_pool3d", |a| {
        fractional_max_pool(a, 3)
    }),
    op("nn.functional.max_unpool1d", |a| max_unpool(a, 1)),
    op("nn.functional.max_unpool2d", |a| max_unpool(a, 2)),
    op("nn.functional.max_unpool3d", |a| max_unpool(a, 3)),
    op("nn.functional.pad", pad),
    op("constant_pad_nd", |a| {
        a.input()?
            .pad_last(&a.ints("pad")?, PadMode::Constant(a.number("value")?))
            .done()
    }),
    op("nn.functional.interpolate", |a| {
        interpolate(a, &a.text("mode")?, a.opt_flag("align_corners")?)
    }),
    with("nn.functional.upsample_nearest", UPSAMPLE, |a| {
        interpolate(a, "nearest", None)
    }),
    with("nn.functional.upsample_bilinear", UPSAMPLE, |a| {
        interpolate(a, "bilinear", Some(true))
    }),
    op("nn.functional.grid_sample", |a| {
        grid_sample(a, &a.text("mode")?, &a.text("padding_mode")?)
    }),
    op("grid_sampler_2d", grid_sampler),
    op("grid_sampler_3d", grid_sampler),
];

const UPSAMPLE: &str = "input, size=None, scale_factor=None, recompute_scale_factor=None";

/// The weight decides how many axes a convolution has; the operator's name must agree.
fn expect_axes(a: &Bound, axes: usize) -> Result<(), Refusal> {
    match a.tensor("weight")?.rank()? == axes + 2 {
        true => Ok(()),
        false => Err(Refusal::Rejected(format!(
            "the weight has not {} axes",
            axes + 2
        ))),
    }
}

fn conv(a: &Bound, axes: usize) -> Outcome {
    expect_axes(a, axes)?;
    let options = ConvOptions {
        stride: a.counts("stride")?,
        padding: a.conv_padding()?,
        dilation: a.counts("dilation")?,
        groups: a.count("groups")?,
        ..ConvOptions::default()
    };
    a.input()?
        .conv_with(
            &a.tensor("weight")?,
            a.opt_tensor("bias")?.as_ref(),
            &options,
        )
        .done()
}

fn conv_transpose(a: &Bound, axes: usize) -> Outcome {
    expect_axes(a, axes)?;
    let options = ConvOptions {
        stride: a.counts("stride")?,
        padding: Padding::Each(a.counts("padding")?),
        dilation: a.counts("dilation")?,
        groups: a.count("groups")?,
        output_padding: a.counts("output_padding")?,
    };
    let (weight, bias) = (a.tensor("weight")?, a.opt_tensor("bias")?);
    a.input()?
        .conv_transpose_with(&weight, bias.as_ref(), &options)
        .done()
}

fn avg_pool(a: &Bound, axes: usize) -> Outcome {
    let options = PoolOptions {
        stride: a.stride()?,
        padding: a.counts("padding")?,
        ceil_mode: a.flag("ceil_mode")?,
        count_include_pad: a.flag("count_include_pad")?,
        // In one dimension there is no such parameter.
        divisor: a.opt_int("divisor_override").unwrap_or(None),
        ..PoolOptions::default()
    };
    a.input()?
        .avg_pool_with(a.each("kernel_size", axes)?, &options)
        .done()
}

fn max_pool(a: &Bound, axes: usize) -> Outcome {
    let options = PoolOptions {
        stride: a.stride()?,
        padding: a.counts("padding")?,
        dilation: a.counts("dilation")?,
        ceil_mode: a.flag("ceil_mode")?,
        ..PoolOptions::default()
    };
    with_indices(
        a,
        a.input()?
            .max_pool_with(a.each("kernel_size", axes)?, &options),
    )
}

fn with_indices(a: &Bound, (values, indices): (Tensor, Tensor)) -> Outcome {
    match a.flag("return_indices")? {
        true => (values, indices).done(),
        false => values.done(),
    }
}

fn adaptive_max_pool(a: &Bound, axes: usize) -> Outcome {
    with_indices(a, a.input()?.adaptive_max_pool(&a.outputs(axes)?))
}

fn fractional_max_pool(a: &Bound, axes: usize) -> Outcome {
    let x = a.input()?;
    let sizes: Vec<usize> = match a.opt_floats("output_ratio")? {
        Some(ratios) => {
            let dims = x.dims()?;
            let spatial = &dims[dims.len().saturating_sub(axes)..];
            spatial
                .iter()
                .zip(ratios)
                .map(|(d, r)| (*d as f64 * r) as usize)
                .collect()
        }
        None => a.each("output_size", axes)?,
    };
    let samples = a.opt_tensor("_random_samples")?;
    let kernel = a.each("kernel_size", axes)?;
    let dims = x.dims()?;
    let spatial = &dims[dims.len().saturating_sub(axes)..];
    // Without samples only evenly spaced windows have an expected place.
    let even = |(i, count): (usize, &usize)| {
        let room = spatial.get(i).and_then(|d| d.checked_sub(kernel[i]));
        *count < 2 || room.is_none_or(|room| room.is_multiple_of(count - 1))
    };
    if samples.is_none() && !sizes.iter().enumerate().all(even) {
        return Err(Refusal::Unsupported(
            "random results have no expected value".into(),
        ));
    }
    with_indices(a, x.fractional_max_pool(&kernel, &sizes, samples.as_ref()))
}

fn max_unpool(a: &Bound, axes: usize) -> Outcome {
    let (x, indices) = (a.input()?, a.tensor("indices")?);
    let kernel = a.each("kernel_size", axes)?;
    let stride = match a.has("stride") {
        true => a.each("stride", axes)?,
        false => kernel.clone(),
    };
    let padding = a.each("padding", axes)?;
    if stride.contains(&0) {
        return Err(Refusal::Rejected("a stride is 0".into()));
    }
    let dims = x.dims()?;
    let spatial = &dims[dims.len().saturating_sub(axes)..];
    let natural =
        |i: usize| ((spatial[i].max(1) - 1) * stride[i] + kernel[i]).checked_sub(2 * padding[i]);
    let natural: Option<Vec<usize>> = (0..axes.min(spatial.len())).map(natural).collect();
    let natural =
        natural.ok_or_else(|| Refusal::Rejected("the padding is larger than the result".into()))?;
    let sizes = match a.has("output_size") {
        true => {
            let sizes = a.counts("output_size")?;
            sizes[sizes.len().saturating_sub(axes)..].to_vec()
        }
        false => natural.clone(),
    };
    // A size must be one that pooling could have come from.
    let near = |i: usize| sizes[i].abs_diff(natural[i]) < stride[i];
    if sizes.len() != natural.len() || !(0..natural.len()).all(near) {
        return Err(Refusal::Rejected(format!(
            "{sizes:?} is not near {natural:?}"
        )));
    }
    x.max_unpool(&indices, &sizes).done()
}

fn pad(a: &Bound) -> Outcome {
    let mode = match a.text("mode")?.as_str() {
        "constant" => PadMode::Constant(a.opt_number("value")?.unwrap_or(0.into())),
        "reflect" => PadMode::Reflect,
        "replicate" => PadMode::Replicate,
        "circular" => PadMode::Circular,
        other => return Err(Refusal::Rejected(format!("there is no mode {other}"))),
    };
    a.input()?.pad_last(&a.ints("pad")?, mode).done()
}

fn interpolate(a: &Bound, mode: &str, align_corners: Option<bool>) -> Outcome {
    let x = a.input()?;
    let mode = match mode {
        "nearest" => ResampleMode::Nearest,
        "nearest-exact" => ResampleMode::NearestExact,
        "linear" | "bilinear" | "trilinear" => ResampleMode::Linear,
        "bicubic" => ResampleMode::Cubic,
        "area" => ResampleMode::Area,
        other => return Err(Refusal::Rejected(format!("there is no mode {other}"))),
    };
    let dims = x.dims()?;
    let spatial = &dims[dims.len().min(2)..];
    let (sizes, scales) = match a.has("size") {
        true => (a.each("size", spatial.len())?, None),
        false => {
            let mut factors = a.floats("scale_factor")?;
            if factors.len() == 1 {
                factors = vec![factors[0]; spatial.len()];
            }
            let sizes = spatial
                .iter()
                .zip(&factors)
                .map(|(d, f)| (*d as f64 * f) as usize)
                .collect();
            let recomputed = a.opt_flag("recompute_scale_factor")?.unwrap_or(false);
            (sizes, (!recomputed).then_some(factors))
        }
    };
    x.interpolate(
        &sizes,
        scales.as_deref(),
        mode,
        align_corners.unwrap_or(false),
    )
    .done()
}

fn grid_sample(a: &Bound, mode: &str, outside: &str) -> Outcome {
    let mode = match mode {
        "bilinear" => ResampleMode::Linear,
        "nearest" => ResampleMode::Nearest,
        "bicubic" => ResampleMode::Cubic,
        other => return Err(Refusal::Rejected(format!("there is no mode {other}"))),
    };
    let outside = match outside {
        "zeros" => Outside::Zeros,
        "border" => Outside::Border,
        "reflection" => Outside::Reflection,
        other => return Err(Refusal::Rejected(format!("there is no padding {other}"))),
    };
    let align_corners = a.opt_flag("align_corners")?.unwrap_or(false);
    a.input()?
        .grid_sample(&a.tensor("grid")?, mode, outside, align_corners)
        .done()
}

/// The inner operator has numbers for names.
fn grid_sampler(a: &Bound) -> Outcome {
    let mode = ["bilinear", "nearest", "bicubic"].get(a.count("interpolation_mode")?);
    let outside = ["zeros", "border", "reflection"].get(a.count("padding_mode")?);
    match (mode, outside) {
        (Some(mode), Some(outside)) => grid_sample(a, mode, outside),
        _ => Err(Refusal::Rejected("there is no such mode".into())),
    }
}
