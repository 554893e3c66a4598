//! The numbers of the core: recording, dispatch, compile latency, recompilation, memory.

use crate::{cold, memory};
use lazulite::prelude::*;
use lazulite::{RunningStats, cache_stats};
use lazulite_ir::{Symbol, parse_graph};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

/// Prints every figure with its limit.
pub fn run() -> Result<(), Box<dyn Error>> {
    let options = lazulite::options();
    println!("threads {}, optimise {}", options.threads, options.optimise);
    recording();
    dispatch()?;
    first_calls()?;
    traffic()?;
    recompilation()?;
    endurance()?;
    threads()?;
    Ok(())
}

pub fn line(what: &str, figure: String, limit: &str) {
    println!("{what:<58} {figure:>16}   {limit}");
}

/// Seconds of one call, the median over batches.
pub fn median(batches: usize, batch: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..batches)
        .map(|_| {
            let start = Instant::now();
            (0..batch).for_each(|_| work());
            start.elapsed().as_secs_f64() / batch as f64
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[batches / 2]
}

fn recording() {
    let x = Tensor::ones([8]).realize().expect("ones can be computed");
    let y = x.clone();
    // The drop of the recorded node is part of the price.
    let add = median(31, 10_000, || drop(black_box(&x + &y)));
    let scale = median(31, 10_000, || drop(black_box(&x * 2.0)));
    line("record x + y", format!("{:.0} ns", add * 1e9), "<= 200 ns");
    line(
        "record x * 2.0",
        format!("{:.0} ns", scale * 1e9),
        "<= 200 ns",
    );
}

fn dispatch() -> Result<(), Box<dyn Error>> {
    let x = Tensor::from_vec(vec![1.0f32; 8], [8]);
    let y = Tensor::from_vec(vec![2.0f32; 8], [8]);
    let recorded = median(31, 2000, || {
        black_box((&x + &y).realize()).expect("adding works");
    });
    line(
        "record, look up and run x + y, 8 elements",
        format!("{:.2} us", recorded * 1e6),
        "<= 3 us",
    );
    let add = compile(|[x, y]: [Tensor; 2]| x + y);
    let compiled = median(31, 2000, || {
        black_box(add.call([&x, &y])).expect("adding works");
    });
    line(
        "compiled x + y, 8 elements",
        format!("{:.2} us", compiled * 1e6),
        "<= 1 us",
    );
    Ok(())
}

fn first_calls() -> Result<(), Box<dyn Error>> {
    let pointwise = cold::measure("pointwise", 9)?;
    line(
        "first call, 3 pointwise operations",
        format!("{:.2} ms", pointwise * 1e3),
        "<= 2 ms",
    );
    let thousand = cold::measure("chain1000", 9)?;
    line(
        "first call, chain of 1,000",
        format!("{:.2} ms", thousand * 1e3),
        "<= 15 ms",
    );
    for (name, length, repeats) in [
        ("chain1000", 1e3, 5),
        ("chain10000", 1e4, 3),
        ("chain100000", 1e5, 1),
    ] {
        let seconds = cold::measure(name, repeats)?;
        let what = format!("first call, chain of {length}, per operation");
        line(&what, format!("{:.2} us", seconds / length * 1e6), "flat");
    }
    Ok(())
}

/// What fused softmax moves, as its schedule says.
fn traffic() -> Result<(), Box<dyn Error>> {
    let graph = parse_graph(include_str!("../../examples/softmax.lzt"))?;
    let plan = lazulite_passes::compile_to_plan(&graph, &lazulite_passes::Options::default())?;
    let rows = |_: &Symbol| Some(4096);
    let (mut read, mut written) = (0, 0);
    for kernel in &plan.kernels {
        let work = kernel.work()?;
        read += work.bytes_read()?.eval(&rows).ok_or("unknown size")?;
        written += work.bytes_written()?.eval(&rows).ok_or("unknown size")?;
    }
    let mib = |bytes: i64| format!("{} MiB", bytes >> 20);
    let kernels = plan.kernels.len();
    line("softmax [4096,1024]: kernels", kernels.to_string(), "1");
    line("softmax [4096,1024]: read", mib(read), "16 MiB, once");
    line("softmax [4096,1024]: written", mib(written), "16 MiB, once");
    Ok(())
}

fn recompilation() -> Result<(), Box<dyn Error>> {
    let before = cache_stats().compilations;
    let mut rows = Tensor::from_vec(vec![0.0f32; 8], [1, 8]);
    for i in 1..1000 {
        let row = Tensor::from_vec(vec![i as f32; 8], [1, 8]);
        rows = Tensor::cat(&[&rows, &row], 0).realize()?;
    }
    let grown = cache_stats().compilations - before;
    line(
        "compilations, cat of one more row, 1,000 steps",
        grown.to_string(),
        "<= 3",
    );
    let before = cache_stats().compilations;
    let x = Tensor::from_vec(vec![1.0f32; 64], [64]);
    for step in 0..100 {
        (&x * (1e-3 * f64::from(step + 2))).realize()?;
    }
    let literal = cache_stats().compilations - before;
    line(
        "compilations, x * lr with another lr, 100 steps",
        literal.to_string(),
        "<= 2",
    );
    Ok(())
}

fn endurance() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut x = Tensor::from_vec(vec![0.0f32; 4], [4]);
    for _ in 0..500_000 {
        x = (x * 0.5) + 1.0;
    }
    let built = start.elapsed().as_secs_f64();
    let value = x.to_vec::<f32>()?[0];
    let total = start.elapsed().as_secs_f64();
    assert!((value - 2.0).abs() < 1e-5);
    drop(x);
    let what = "chain of 1,000,000 operations: built, run and dropped";
    line(
        what,
        format!("{built:.2} + {:.2} s", total - built),
        "no overflow",
    );

    let mut x = Tensor::from_vec(vec![0.5f32; 1024], [1024]);
    let (a, b) = (Tensor::full([1024], 0.9), Tensor::full([1024], 0.1));
    grows("memory over 10,000 steps of realize(x * a + b)", || {
        x = (&x * &a + &b).realize()?;
        Ok(())
    })?;
    let running = RunningStats::new(16);
    let input = Tensor::randn([32, 16]).realize()?;
    grows("memory over 10,000 batch-norm forwards", || {
        input
            .batch_norm_train(&running, None, None, 1e-5)
            .realize()?;
        Ok(())
    })
}

/// Prints by how much resident memory grows over 10,000 calls after the first thousand.
pub fn grows(
    what: &str,
    mut step: impl FnMut() -> lazulite::Result<()>,
) -> Result<(), Box<dyn Error>> {
    for _ in 0..1000 {
        step()?;
    }
    let before = memory::resident();
    for _ in 0..9000 {
        step()?;
    }
    let figure = match (before, memory::resident()) {
        (Some(before), Some(after)) => format!("{:+.2} MB", (after as f64 - before as f64) / 1e6),
        _ => "unknown".into(),
    };
    line(what, figure, "constant");
    Ok(())
}

fn threads() -> Result<(), Box<dyn Error>> {
    let before = lazulite::options();
    let mut results = Vec::new();
    for threads in [1, 2] {
        let mut options = before.clone();
        options.threads = threads;
        lazulite::set_options(options)?;
        manual_seed(1);
        let (x, w) = (Tensor::randn([1000, 513]), Tensor::randn([513, 300]));
        let y = x.matmul(&w).softmax(-1);
        results.push((y.sum(0).to_vec::<f32>()?, y.to_vec::<f32>()?));
    }
    lazulite::set_options(before)?;
    let same = if results[0] == results[1] {
        "identical"
    } else {
        "DIFFERENT"
    };
    line("bits at 1 and 2 threads", same.into(), "identical");
    Ok(())
}
