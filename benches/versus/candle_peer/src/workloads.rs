//! The workloads as a user of candle would write them, with its own operations wherever it has one for several.
//!
//! Their meaning is that of `bench/src/workloads`: the first results are held against Lazulite's before anything is
//! timed. `conv_*` takes stride from the name, the rest of what it needs from shapes.

use crate::arrays::{Tensors, get};
use crate::{attention, training};
use candle_core::{D, Device, Error, Module, Result, Tensor};
use candle_nn::{LayerNorm, Linear, ops};

/// Runs a workload once and gives its results.
pub type Step = dyn FnMut() -> Result<Vec<Tensor>>;

const EPS: f64 = 1e-5;

/// Whether a repetition of the workload is a step of an optimiser.
pub fn trains(name: &str) -> bool {
    name.starts_with("train_")
}

/// Runs the smallest program of the kind.
pub fn trivial(trains: bool) -> Result<()> {
    if trains {
        return training::trivial();
    }
    let tensor = || Tensor::randn(0f32, 1.0, 8, &Device::Cpu);
    (tensor()? + tensor()?)?;
    Ok(())
}

/// The workload called `name` for the inputs and parameters `p`.
pub fn build(name: &str, p: Tensors) -> Result<Box<Step>> {
    match name {
        "dispatch_add8" | "record_add8" => forward(p, |p| get(p, "x")? + get(p, "y")?),
        "gelu_16k" | "gelu_1m" | "gelu_16m" => forward(p, gelu),
        "chain20_64" | "chain20_4m" => forward(p, |p| chain(get(p, "x")?)),
        "sumsq_rows" => forward(p, |p| get(p, "x")?.sqr()?.sum(1)),
        "sumsq_cols" => forward(p, |p| get(p, "x")?.sqr()?.sum(0)),
        "sumsq_all" => forward(p, |p| get(p, "x")?.sqr()?.sum_all()),
        "softmax_4096x1024" => forward(p, |p| ops::softmax_last_dim(get(p, "x")?)),
        "layernorm_gelu_4096x1024" => layernorm_gelu(p),
        "linear_ln_gelu" => linear_ln_gelu(p),
        "bmm_64x128x64x128" => forward(p, product),
        "attention_512" => attention::forward(p, false),
        "attention_512_fwdbwd" => attention::both(p, false),
        "attention_2048_causal" => attention::forward(p, true),
        "attention_2048_causal_fwdbwd" => attention::both(p, true),
        "train_mlp_small_b32_sgd" => training::small_mlp(p),
        "train_mlp_b256_adamw" => training::mlp(p),
        "train_mnist_cnn_b64_adamw" => training::cnn(p),
        _ if name.starts_with("matmul_") => forward(p, product),
        _ if name.starts_with("conv_7x7_") => conv(p, 2),
        _ if name.starts_with("conv_") => conv(p, 1),
        _ => Err(Error::Msg(format!("{name} is not written for candle"))),
    }
}

/// A function of all that is given.
pub fn forward(
    p: Tensors,
    function: impl Fn(&Tensors) -> Result<Tensor> + 'static,
) -> Result<Box<Step>> {
    Ok(Box::new(move || Ok(vec![function(&p)?])))
}

fn gelu(p: &Tensors) -> Result<Tensor> {
    // candle's `gelu` is the one with the hyperbolic tangent.
    ((get(p, "x")? * 1.5)? + get(p, "z")?)?.gelu()
}

fn chain(x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for _ in 0..5 {
        x = (x.affine(1.01, 0.5)?.relu()? - 0.25)?;
    }
    Ok(x)
}

fn product(p: &Tensors) -> Result<Tensor> {
    get(p, "x")?.matmul(get(p, "y")?)
}

fn norm(p: &Tensors, weight: &str, bias: &str) -> Result<LayerNorm> {
    Ok(LayerNorm::new(
        get(p, weight)?.clone(),
        get(p, bias)?.clone(),
        EPS,
    ))
}

fn layernorm_gelu(p: Tensors) -> Result<Box<Step>> {
    let norm = norm(&p, "weight", "bias")?;
    forward(p, move |p| norm.forward(get(p, "x")?)?.gelu_erf())
}

fn linear_ln_gelu(p: Tensors) -> Result<Box<Step>> {
    let norm = norm(&p, "norm_weight", "norm_bias")?;
    let linear = Linear::new(get(&p, "weight")?.clone(), Some(get(&p, "bias")?.clone()));
    forward(p, move |p| {
        norm.forward(&linear.forward(get(p, "x")?)?)?.gelu_erf()
    })
}

fn conv(p: Tensors, stride: usize) -> Result<Box<Step>> {
    let weight = get(&p, "weight")?;
    let (padding, groups) = (
        weight.dim(D::Minus1)? / 2,
        get(&p, "x")?.dim(1)? / weight.dim(1)?,
    );
    forward(p, move |p| {
        get(p, "x")?
            .conv2d(get(p, "weight")?, padding, stride, 1, groups)?
            .relu()
    })
}
