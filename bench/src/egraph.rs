//! What equality saturation gains, and what it costs to compile.
//!
//! Programs are written as one would write them down, compiled once without and once with the e-graph at
//! the class of freedom stated, and timed in turns, so that both meet the same machine.

use crate::core::{line, median};
use crate::training::transformer_loss;
use lazulite::prelude::*;
use lazulite::{Numerics, Stage, compile, dump, grad, options, set_options};
use lazulite_ir::parse_graph;
use lazulite_passes::egraph::egraph_with_report;
use lazulite_passes::{Artifact, Options, Stage as Pass};
use std::error::Error;
use std::hint::black_box;
use std::process::Command;
use std::time::Instant;

/// Turns in which a program is timed without and with the e-graph.
const TURNS: usize = 15;

/// Prints every figure.
pub fn run() -> Result<(), Box<dyn Error>> {
    line("program, class", "without".into(), "with         gain");
    products()?;
    attention()?;
    losses()?;
    expressions()?;
    println!();
    let head = "saturation  of compiling  regions, new ones";
    line("train step of a transformer, nodes", String::new(), head);
    for layers in [1, 6, 24, 96] {
        let program = std::env::current_exe()?;
        let layers = layers.to_string();
        let output = Command::new(&program)
            .args(["egraph-layers", &layers])
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        print!("{}", String::from_utf8(output.stdout)?);
    }
    Ok(())
}

/// Times a program without and with the e-graph.
fn compare<const N: usize>(
    name: &str,
    class: Numerics,
    program: fn([Tensor; N]) -> Tensor,
    inputs: [Tensor; N],
) -> Result<(), Box<dyn Error>> {
    let inputs: Vec<Tensor> = inputs
        .iter()
        .map(Tensor::realize)
        .collect::<lazulite::Result<_>>()?;
    let inputs: [&Tensor; N] = std::array::from_fn(|i| &inputs[i]);
    let before = options();
    // Captured functions follow the options in force, so these are set whenever one is called.
    let ways = [false, true].map(|egraph| {
        let mut options = before.clone();
        (options.egraph, options.numerics) = (egraph, class);
        options
    });
    let function = compile(program);
    let mut results = Vec::new();
    for options in &ways {
        set_options(options.clone())?;
        results.push(function.call(inputs)?.to_vec::<f32>()?);
        function.call(inputs)?;
    }
    let scale = results[0].iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    let apart = results[0]
        .iter()
        .zip(&results[1])
        .map(|(a, b)| (a - b).abs());
    let apart = apart.fold(0f32, f32::max) / scale;
    if apart.is_nan() || apart > 1e-3 {
        return Err(format!("{name}: results differ by {apart} of the largest").into());
    }
    let mut seconds = [Vec::new(), Vec::new()];
    let once = median(3, 1, || drop(black_box(function.call(inputs))));
    let batch = ((2e-2 / once) as usize).clamp(1, 2000);
    for _ in 0..TURNS {
        for (options, seconds) in ways.iter().zip(&mut seconds) {
            set_options(options.clone())?;
            let start = Instant::now();
            for _ in 0..batch {
                black_box(function.call(inputs)?);
            }
            seconds.push(start.elapsed().as_secs_f64() / batch as f64);
        }
    }
    set_options(before)?;
    let [without, with] = seconds.map(|mut s| {
        s.sort_by(f64::total_cmp);
        s[s.len() / 2]
    });
    line(
        &format!("{name}, {}", class.name()),
        format!("{:.1} us", without * 1e6),
        &format!("{:>8.1} us {:>6.2} x", with * 1e6, without / with),
    );
    Ok(())
}

fn products() -> Result<(), Box<dyn Error>> {
    let square = || Tensor::randn([256, 256]) * 0.06;
    compare(
        "matrix chain ((ab)c)d, 256 x 256, d 256 x 16",
        Numerics::Algebra,
        |[a, b, c, d]| a.matmul(&b).matmul(&c).matmul(&d),
        [square(), square(), square(), Tensor::randn([256, 16])],
    )?;
    compare(
        "common operand xa + xb, 256 x 256",
        Numerics::Algebra,
        |[x, a, b]| x.matmul(&a) + x.matmul(&b),
        [square(), square(), square()],
    )?;
    compare(
        "sum of repeated products, 128 x 128 x 128",
        Numerics::Order,
        |[a, b]| (a.unsqueeze(2) * b.unsqueeze(0)).sum(1),
        [Tensor::randn([128, 128]), Tensor::randn([128, 128])],
    )
}

/// Queries, keys and values of one head each.
fn heads([x, q, k, v]: [Tensor; 4]) -> Tensor {
    let (q, k, v) = (x.matmul(&q), x.matmul(&k), x.matmul(&v));
    Tensor::cat(&[&q.tanh(), &k.tanh(), &v], 1)
}

/// Attention as in the textbook.
fn naive_attention([q, k, v]: [Tensor; 3]) -> Tensor {
    let scores = q.matmul(&k.transpose(-1, -2)) / 32f64.sqrt();
    let weights = (&scores - scores.amax_keepdim(-1)).exp();
    let weights = &weights / weights.sum(-1).unsqueeze(-1);
    weights.matmul(&v)
}

fn attention() -> Result<(), Box<dyn Error>> {
    let weights = || Tensor::randn([256, 16]) * 0.06;
    compare(
        "queries, keys, values, 64 x 256, heads of 16",
        Numerics::Order,
        heads,
        [Tensor::randn([64, 256]), weights(), weights(), weights()],
    )?;
    let heads = || Tensor::randn([4, 256, 32]);
    compare(
        "attention as written, 4 x 256 x 32",
        Numerics::Algebra,
        naive_attention,
        [heads(), heads(), heads()],
    )
}

fn losses() -> Result<(), Box<dyn Error>> {
    compare(
        "softmax and cross entropy as written, 256 x 1000",
        Numerics::Algebra,
        |[x, y]| {
            let e = x.exp();
            let p = &e / e.sum(-1).unsqueeze(-1);
            let classes = Tensor::arange(0, 1000, 1);
            let hot = y.unsqueeze(-1).eq(&classes).cast(DType::F32);
            -(hot * p.log()).sum(-1).mean(..)
        },
        [Tensor::randn([256, 1000]), Tensor::arange(0, 256, 1)],
    )?;
    compare(
        "embedding as a product with one-hot vectors, 1000 x 64",
        Numerics::Algebra,
        |[tokens, table]| {
            let rows = Tensor::arange(0, 1000, 1);
            let hot = tokens.unsqueeze(-1).eq(&rows).cast(DType::F32);
            hot.matmul(&table)
        },
        [Tensor::arange(0, 256, 1), Tensor::randn([1000, 64])],
    )
}

fn expressions() -> Result<(), Box<dyn Error>> {
    compare(
        "repeated and factorable parts, 65536",
        Numerics::Algebra,
        |[x, y, z]| {
            let (a, b) = (x.exp() * y.exp(), x.exp() * z.exp());
            let sum = &a * &z + &b * &z + (x.exp() + 1.0).log();
            (&sum / 3.0 + &sum / 5.0) * (&y / (&x.exp() + 1.0)) * 0.5
        },
        [
            Tensor::randn([65536]),
            Tensor::randn([65536]),
            Tensor::randn([65536]),
        ],
    )
}

/// Prints what saturation takes for the train step of a transformer of so many layers, and how much of
/// compiling that is. Kernels that occurred before are not compiled again, so this is a process of its own.
pub fn layers(layers: &str) -> Result<(), Box<dyn Error>> {
    let layers: usize = layers.parse()?;
    let (loss, params) = transformer_loss(layers)?;
    let params: Vec<&Tensor> = params.iter().collect();
    let mut roots = vec![&loss];
    let gradients = grad(&[&loss], &params)?;
    roots.extend(&gradients);
    let graph = parse_graph(&dump(&roots, Stage::Inline)?)?;
    let options = Options::default();
    let step = |artifact, after, until| {
        lazulite_passes::run(artifact, after, until, &options, &mut |_, _| {})
    };
    let start = Instant::now();
    let canon = step(Artifact::Graph(graph), Pass::Inline, Pass::Canon)?;
    let Artifact::Graph(canon) = canon else {
        return Err("simplification gives a graph".into());
    };
    let before = Instant::now();
    let (new, report) = egraph_with_report(&canon, &options)?;
    let saturation = before.elapsed().as_secs_f64();
    let plan = step(Artifact::Graph(new), Pass::Egraph, Pass::Memory)?;
    let Artifact::Plan(plan) = plan else {
        return Err("scheduling gives a plan".into());
    };
    lazulite_codegen::compile(&plan, &lazulite_codegen::CodegenOptions::default(), 1)?;
    let all = start.elapsed().as_secs_f64();
    let new = report.regions - report.skipped - report.repeated;
    line(
        &format!("  {layers} layers, {} nodes", canon.nodes().len()),
        format!("{:.2} ms", saturation * 1e3),
        &format!(
            "{:>9.1} %  {:>7}, {new}",
            100.0 * saturation / all,
            report.regions
        ),
    );
    Ok(())
}
