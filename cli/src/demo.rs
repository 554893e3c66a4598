//! A tour: a small network from recording to result.

use crate::failure::Failure;
use lazulite::prelude::*;
use lazulite::{Stage, cache_stats, dump};
use std::io::Write;
use std::time::Instant;

const BATCH: usize = 64;
const INPUTS: usize = 784;
const HIDDEN: usize = 128;
const CLASSES: usize = 10;

struct Network {
    w1: Tensor,
    b1: Tensor,
    w2: Tensor,
    b2: Tensor,
}

impl Network {
    fn new() -> lazulite::Result<Network> {
        let layer = |rows: usize, columns: usize| {
            let scale = 1.0 / (columns as f64).sqrt();
            (Tensor::randn([rows, columns]) * scale).realize()
        };
        Ok(Network {
            w1: layer(HIDDEN, INPUTS)?,
            b1: Tensor::zeros([HIDDEN]).realize()?,
            w2: layer(CLASSES, HIDDEN)?,
            b2: Tensor::zeros([CLASSES]).realize()?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let hidden = x.linear(&self.w1, Some(&self.b1)).gelu();
        hidden.linear(&self.w2, Some(&self.b2)).softmax(-1)
    }
}

pub fn run(out: &mut impl Write) -> Result<(), Failure> {
    manual_seed(0);
    let network = Network::new()?;
    let x = Tensor::randn([BATCH, INPUTS]).realize()?;
    writeln!(
        out,
        "A network {INPUTS} -> {HIDDEN} -> {CLASSES} with GELU and softmax, batch {BATCH}.\n"
    )?;

    let start = Instant::now();
    let y = network.forward(&x);
    writeln!(
        out,
        "Recorded in {:.1} us. Nothing has been computed: {y:?}",
        micros(start)
    )?;
    writeln!(
        out,
        "\nThe recorded graph:\n\n{}",
        folded(&dump(&[&y], Stage::Trace)?)
    )?;
    writeln!(
        out,
        "The same, scheduled into fused kernels over planned memory:\n"
    )?;
    writeln!(out, "{}", dump(&[&y], Stage::Memory)?)?;

    let start = Instant::now();
    let first = y.to_vec::<f32>()?;
    writeln!(out, "Compiled and run in {:.2} ms.", micros(start) / 1e3)?;
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        network.forward(&x).realize()?;
        times.push(micros(start));
    }
    times.sort_by(f64::total_cmp);
    writeln!(
        out,
        "Recorded again, found compiled, and run: {:.1} us (median of 200).",
        times[100]
    )?;
    let stats = cache_stats();
    writeln!(
        out,
        "{} programs were compiled, {} calls found theirs.\n",
        stats.compilations, stats.hits
    )?;

    writeln!(out, "Probabilities of the first input:\n{}", y.i(0))?;
    let total: f32 = first[..CLASSES].iter().sum();
    writeln!(out, "They sum to {total:.6}.")?;
    writeln!(
        out,
        "\nNext: `lazulite dump FILE.lzt --stage schedule`, `lazulite doctor`, and the README."
    )?;
    Ok(())
}

/// A graph's text with the bodies of its operations left out: they are deeper than its own lines.
fn folded(text: &str) -> String {
    const OWN: usize = 2;
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines() {
        let deep = line.len() - line.trim_start().len() > OWN;
        if deep && !inside {
            out += "    ...\n";
        } else if !deep {
            out += line;
            out.push('\n');
        }
        inside = deep;
    }
    out
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}
