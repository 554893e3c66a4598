//! How long kernels take to compile, and how much code they become:
//! `cargo run --release -p lazulite-codegen --example latency`.

use lazulite_codegen::lower::{LowerOptions, lower};
use lazulite_codegen::{CodegenError, CodegenOptions, Level, inspect};
use lazulite_ir::{Kernel, TextError, parse_kernel};
use std::time::{Duration, Instant};

/// Repetitions; the fastest counts.
const RUNS: usize = 50;

const THREE_OPS: &str = "\
kernel(b0: f32 read, b1: f32 read, b2: f32 write) { outer o0 < n lanes outer stage {
  v0 = load b0[o0] : f32
  v1 = load b1[o0] : f32
  v2 = mul v0, v1 : f32
  v3 = add v2, v1 : f32
  v4 = max v3, v0 : f32
  store b2[o0] = v4
} }";

const GELU: &str = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < n lanes outer stage {
  v0 = load b0[o0] : f32
  v1 = const f32(0.70710677) : f32
  v2 = mul v0, v1 : f32
  v3 = erf v2 : f32
  v4 = const f32(1.0) : f32
  v5 = add v3, v4 : f32
  v6 = const f32(0.5) : f32
  v7 = mul v0, v6 : f32
  v8 = mul v7, v5 : f32
  store b1[o0] = v8
} }";

const ROW_SUM: &str = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < m lanes inner
  stage i0 < n {
    v0 = load b0[o0*n + i0] : f32
    v1 = accumulate sum v0 : f32
  }
  stage { store b1[o0] = v1 } }";

const SOFTMAX: &str = "\
kernel(b0: f32 read, b1: f32 write) { outer o0 < m lanes inner
  local l0: f32[n]
  stage i0 < n {
    v0 = load b0[o0*n + i0] : f32
    v1 = accumulate max v0 : f32
  }
  stage { v2 = neg v1 : f32 }
  stage i0 < n {
    v3 = load b0[o0*n + i0] : f32
    v4 = add v3, v2 : f32
    v5 = exp v4 : f32
    store l0[i0] = v5
    v6 = accumulate sum v5 : f32
  }
  stage i0 < n {
    v7 = load l0[i0] : f32
    v8 = div v7, v6 : f32
    store b1[o0*n + i0] = v8
  } }";

/// A chain of `count` additions and products.
fn chain(count: usize) -> String {
    let mut text = String::from(
        "kernel(b0: f32 read, b1: f32 write) { outer o0 < n lanes outer stage {
           v0 = load b0[o0] : f32\n",
    );
    for i in 1..=count {
        let op = if i % 2 == 0 { "add" } else { "mul" };
        text += &format!("v{i} = {op} v{}, v0 : f32\n", i - 1);
    }
    text + &format!("store b1[o0] = v{count} }} }}")
}

/// The fastest of many.
fn fastest<T>(mut f: impl FnMut() -> T) -> (Duration, T) {
    let mut best = Duration::MAX;
    let mut last = None;
    for _ in 0..RUNS {
        let start = Instant::now();
        last = Some(f());
        best = best.min(start.elapsed());
    }
    (best, last.expect("RUNS is not 0"))
}

fn measure(name: &str, kernel: &Kernel, level: Level) -> Result<(), CodegenError> {
    let backend = level.backend()?;
    let options = LowerOptions::default();
    let (lowering, lowered) = fastest(|| lower(kernel, backend.caps(), options));
    let lowered = lowered?;
    let (emission, code) = fastest(|| backend.emit(&lowered.function));
    println!(
        "{name:12} {:9} lowered in {:6.1} us, emitted in {:7.1} us: {:6} bytes",
        backend.name(),
        lowering.as_secs_f64() * 1e6,
        emission.as_secs_f64() * 1e6,
        code?.code.len()
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernels: Vec<(&str, Kernel)> = [
        ("three ops", THREE_OPS.to_owned()),
        ("gelu", GELU.to_owned()),
        ("row sum", ROW_SUM.to_owned()),
        ("softmax", SOFTMAX.to_owned()),
        ("100 ops", chain(100)),
    ]
    .into_iter()
    .map(|(name, text)| Ok((name, parse_kernel(&text)?)))
    .collect::<Result<_, TextError>>()?;
    let wanted = std::env::args().nth(1);
    for (name, kernel) in &kernels {
        match &wanted {
            None => {
                let levels = [Level::Baseline, Level::Avx2, Level::Avx512].into_iter();
                for level in levels.filter(|l| l.is_available()) {
                    measure(name, kernel, level)?;
                }
            }
            Some(wanted) if wanted == name => {
                let text = inspect(kernel, &CodegenOptions::default())?;
                println!("{kernel}\n{}\n{}", text.vector, text.native);
            }
            Some(_) => {}
        }
    }
    Ok(())
}
