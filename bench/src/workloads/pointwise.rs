//! Element by element, reductions, and normalisation.

use super::{Entry, Workload, compiled};
use lazulite::prelude::*;

/// These workloads.
pub fn entries() -> Vec<Entry> {
    vec![
        Entry::new("dispatch_add8", add8),
        Entry::new("record_add8", recorded_add8),
        Entry::new("gelu_16k", || gelu(1 << 14)),
        Entry::new("gelu_1m", || gelu(1 << 20)),
        Entry::new("gelu_16m", || gelu(1 << 24)),
        Entry::new("chain20_64", || chain(64)),
        Entry::new("chain20_4m", || chain(1 << 22)),
        Entry::new("sumsq_rows", || sum_of_squares(|x| x.sum(1))),
        Entry::new("sumsq_cols", || sum_of_squares(|x| x.sum(0))),
        Entry::new("sumsq_all", || sum_of_squares(|x| x.sum(..))),
        Entry::new("softmax_4096x1024", softmax),
        Entry::new("layernorm_gelu_4096x1024", layernorm_gelu),
        Entry::new("linear_ln_gelu", linear_ln_gelu),
    ]
}

/// The smallest program there is.
pub fn add8() -> Result<Workload> {
    let inputs = [("x", Tensor::randn([8])), ("y", Tensor::randn([8]))];
    compiled(inputs, vec![], |[x, y]| x + y)
}

/// The same recorded every time.
fn recorded_add8() -> Result<Workload> {
    let (x, y) = (Tensor::randn([8]).realize()?, Tensor::randn([8]).realize()?);
    Ok(Workload {
        given: vec![("x".into(), x.clone()), ("y".into(), y.clone())],
        step: Box::new(move || Ok(vec![(&x + &y).realize()?])),
    })
}

fn gelu(len: usize) -> Result<Workload> {
    let inputs = [("x", Tensor::randn([len])), ("z", Tensor::randn([len]))];
    compiled(inputs, vec![], |[x, z]| (x * 1.5 + z).gelu_tanh())
}

/// Twenty operations.
fn chain(len: usize) -> Result<Workload> {
    compiled([("x", Tensor::randn([len]))], vec![], |[x]| {
        (0..5).fold(x, |x, _| (x * 1.01 + 0.5).relu() - 0.25)
    })
}

fn sum_of_squares(sum: impl Fn(Tensor) -> Tensor + 'static) -> Result<Workload> {
    let x = Tensor::randn([4096, 4096]);
    compiled([("x", x)], vec![], move |[x]| sum(&x * &x))
}

fn softmax() -> Result<Workload> {
    let x = Tensor::randn([4096, 1024]);
    compiled([("x", x)], vec![], |[x]| x.softmax(-1))
}

fn layernorm_gelu() -> Result<Workload> {
    let inputs = [
        ("x", Tensor::randn([4096, 1024])),
        ("weight", Tensor::randn([1024])),
        ("bias", Tensor::randn([1024])),
    ];
    compiled(inputs, vec![], |[x, weight, bias]| {
        x.layer_norm(1, Some(&weight), Some(&bias), 1e-5).gelu()
    })
}

fn linear_ln_gelu() -> Result<Workload> {
    let inputs = [
        ("x", Tensor::randn([1024, 512])),
        ("weight", Tensor::randn([2048, 512])),
        ("bias", Tensor::randn([2048])),
        ("norm_weight", Tensor::randn([2048])),
        ("norm_bias", Tensor::randn([2048])),
    ];
    compiled(inputs, vec![], |[x, weight, bias, scale, shift]| {
        let y = x.linear(&weight, Some(&bias));
        y.layer_norm(1, Some(&scale), Some(&shift), 1e-5).gelu()
    })
}
