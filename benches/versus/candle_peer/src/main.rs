//! candle running one workload, as `peer.py` runs those of Python's frameworks:
//!
//! ```text
//! candle-peer WORKLOAD THREADS FILE
//! ```
//!
//! FILE is what `lazulite-bench given` writes. The first line printed tells of the first call and how far the results
//! are from Lazulite's; each line read, a number of seconds, is answered by a line with what was measured. Memory is
//! what the process holds at most from the first call on, inputs and parameters included, above what it holds after
//! the smallest program of the same kind. What goes wrong is the last line of standard error, and ends the process.

mod arrays;
mod attention;
mod measure;
mod memory;
mod training;
mod workloads;

use arrays::Tensors;
use candle_core::Tensor;
use serde_json::json;
use std::env;
use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

/// Results of different libraries agree so far, relative to the largest element.
const TOLERANCE: f64 = 2e-3;
/// Results that the file has of a workload whose repetitions differ.
const STEPS: usize = 3;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // candle's errors may have a backtrace after the first line.
            let text = error.to_string();
            eprintln!("{}", text.lines().next().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [workload, threads, path] = args else {
        return Err("needed: WORKLOAD THREADS FILE".into());
    };
    limit(threads.parse()?);
    let trains = workloads::trains(workload);
    workloads::trivial(trains)?;
    let baseline = memory::resident()?;
    let given = arrays::read(path, "given")?;
    memory::restart_peak()?;
    let mut step = workloads::build(workload, given)?;
    let begin = Instant::now();
    let mut results = step()?;
    let first = begin.elapsed().as_secs_f64();
    for _ in 1..if trains { STEPS } else { 1 } {
        results.extend(step()?);
    }
    let mut peak = memory::peak()?;
    let error = distance(&results, &arrays::read(path, "result")?)?;
    if error.is_nan() || error > TOLERANCE {
        return Err(format!("the results are off by {error:.1e}").into());
    }
    drop(results);
    memory::restart_peak()?;
    println!("{}", json!({ "first_s": first, "error": error }));
    for line in io::stdin().lines() {
        let mut measured = measure::measure(&mut *step, line?.trim().parse()?)?;
        peak = peak.max(memory::peak()?);
        measured["peak_mb"] = json!((peak as f64 - baseline as f64) / 1e6);
        println!("{measured}");
    }
    Ok(())
}

/// Keeps candle to a number of threads: its own loops, and the matrix products of `gemm`.
fn limit(threads: usize) {
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        // SAFETY: the process has no other thread yet; candle starts them at its first operation.
        unsafe { env::set_var(name, threads.to_string()) };
    }
}

/// The largest difference relative to the largest expected element, over all results; not a number where one is not.
fn distance(results: &[Tensor], expected: &Tensors) -> Result<f64, Box<dyn Error>> {
    let mut worst = 0.0;
    for (i, found) in results.iter().enumerate() {
        let wanted = arrays::get(expected, &i.to_string())?;
        if found.dims() != wanted.dims() {
            let (found, wanted) = (found.dims(), wanted.dims());
            return Err(format!("result {i} has shape {found:?}, not {wanted:?}").into());
        }
        let found = found.flatten_all()?.to_vec1::<f32>()?;
        let wanted = wanted.flatten_all()?.to_vec1::<f32>()?;
        let off = largest(found.iter().zip(&wanted).map(|(f, w)| f - w));
        worst = largest([worst, off / largest(wanted.iter().copied()).max(1e-30)]);
    }
    Ok(worst as f64)
}

/// The largest magnitude; not a number where one is not.
fn largest(values: impl IntoIterator<Item = f32>) -> f32 {
    let magnitudes = values.into_iter().map(f32::abs);
    magnitudes.max_by(f32::total_cmp).unwrap_or(0.0)
}
