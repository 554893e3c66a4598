//! Runs a workload by its name and tells how long it takes.
//!
//! The first call is timed by itself, compilation included. Then come warm-up and repetitions for the given time;
//! what takes less than [`SAMPLE`] is repeated within a sample. Memory is what the process holds at most from the
//! first call on, inputs and parameters included, above what a process holds that has run the smallest
//! program of the same kind: that is another process, so that the first call finds nothing done.

use crate::memory;
use crate::workloads::{self, Entry, Workload};
use lazulite::prelude::*;
use lazulite::save_tensors;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

/// Seconds that a sample takes at least.
const SAMPLE: f64 = 20e-6;
/// Samples at least, however long they take.
const SAMPLES: usize = 3;
/// Results that `given` writes of a workload whose repetitions differ.
const STEPS: usize = 3;

/// What the command line asks for.
struct Asked {
    threads: usize,
    seconds: f64,
    json: bool,
    out: Option<String>,
}

fn asked(args: &[&str]) -> Result<Asked, Box<dyn Error>> {
    let mut asked = Asked {
        threads: lazulite::options().threads,
        seconds: 3.0,
        json: false,
        out: None,
    };
    let mut args = args.iter();
    while let Some(option) = args.next() {
        let mut value = || args.next().ok_or(format!("{option} needs a value"));
        match *option {
            "--threads" => asked.threads = value()?.parse()?,
            "--seconds" => asked.seconds = value()?.parse()?,
            "--out" => asked.out = Some(value()?.to_string()),
            "--json" => asked.json = true,
            _ => return Err(format!("there is no option {option}").into()),
        }
    }
    Ok(asked)
}

fn entry(name: &str) -> Result<Entry, Box<dyn Error>> {
    let found = workloads::all().into_iter().find(|e| e.name == name);
    found.ok_or_else(|| format!("no workload is called {name}; `list` names them").into())
}

fn use_threads(threads: usize) -> lazulite::Result<()> {
    let mut options = lazulite::options();
    options.threads = threads;
    lazulite::set_options(options)
}

/// The number of threads that a command line asks for.
pub fn asked_threads(args: &[&str]) -> Result<usize, Box<dyn Error>> {
    Ok(asked(args)?.threads)
}

/// Seconds of a repetition of the workload called `name`, the median.
pub fn median_of(name: &str, threads: usize) -> Result<f64, Box<dyn Error>> {
    use_threads(threads)?;
    let Workload { given, mut step } = entry(name)?.make()?;
    drop(given);
    Ok(measure(&mut *step, 0.5)?.median())
}

/// Prints the names of all workloads.
pub fn list() {
    for entry in workloads::all() {
        println!("{}", entry.name);
    }
}

/// What was measured.
struct Measured {
    first: f64,
    /// Seconds of a repetition, by sample, in order of size.
    samples: Vec<f64>,
    repetitions: usize,
    /// Bytes above the baseline, where the system tells.
    peak: Option<u64>,
}

impl Measured {
    fn median(&self) -> f64 {
        self.samples[self.samples.len() / 2]
    }
}

/// Runs the workload called `name` and prints what was measured.
pub fn run(name: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let (entry, asked) = (entry(name)?, asked(args)?);
    let baseline = baseline(entry.trains, asked.threads)?;
    use_threads(asked.threads)?;
    let Workload { given, mut step } = entry.make()?;
    // Who holds a parameter beside its model keeps it from being updated in place.
    drop(given);
    memory::restart_peak();
    let mut measured = measure(&mut *step, asked.seconds)?;
    measured.peak = memory::peak()
        .zip(baseline)
        .map(|(p, b)| p.saturating_sub(b));
    print(&entry.name, &asked, &measured);
    Ok(())
}

fn measure(
    step: &mut dyn FnMut() -> Result<Vec<Tensor>>,
    seconds: f64,
) -> Result<Measured, Box<dyn Error>> {
    let mut timed = |count: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..count {
            step()?;
        }
        Ok(start.elapsed().as_secs_f64() / count as f64)
    };
    let first = timed(1)?;
    // Programs may be compiled again at the second call, and memory is still being found.
    let warming = Instant::now();
    let mut quickest = timed(2)?;
    while warming.elapsed().as_secs_f64() < seconds / 10.0 {
        quickest = timed(1)?.min(quickest);
    }
    let batch = (SAMPLE / quickest).ceil().max(1.0) as usize;
    let begin = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < SAMPLES || begin.elapsed().as_secs_f64() < seconds {
        samples.push(timed(batch)?);
    }
    samples.sort_by(f64::total_cmp);
    Ok(Measured {
        first,
        repetitions: samples.len() * batch,
        samples,
        peak: None,
    })
}

fn print(name: &str, asked: &Asked, measured: &Measured) {
    let Measured {
        first,
        samples,
        repetitions,
        peak,
    } = measured;
    let (median, min) = (measured.median(), samples[0]);
    let threads = asked.threads;
    let peak = peak.map(|bytes| bytes as f64 / 1e6);
    if asked.json {
        let peak = peak.map_or("null".to_string(), |mb| format!("{mb:.1}"));
        println!(
            "{{\"framework\":\"lazulite\",\"workload\":\"{name}\",\"threads\":{threads},\"first_s\":{first:e},\
             \"median_s\":{median:e},\"min_s\":{min:e},\"reps\":{repetitions},\"peak_mb\":{peak}}}"
        );
        return;
    }
    let peak = peak.map_or("unknown".to_string(), |mb| format!("{mb:.1} MB"));
    println!(
        "{name}: {:.3} us (least {:.3} us) over {repetitions} repetitions on {threads} threads; first call {:.2} ms; \
         memory {peak}",
        median * 1e6,
        min * 1e6,
        first * 1e3,
    );
}

/// What a process holds that has run the smallest program of the kind.
fn baseline(trains: bool, threads: usize) -> Result<Option<u64>, Box<dyn Error>> {
    let kind = if trains { "training" } else { "inference" };
    let mut command = Command::new(std::env::current_exe()?);
    let threads = threads.to_string();
    let output = command
        .args(["baseline", kind, "--threads", &threads])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse().ok())
}

/// Runs the smallest program of a kind and prints the bytes that the process holds then.
pub fn print_baseline(kind: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    use_threads(asked(args)?.threads)?;
    let mut workload = workloads::trivial(kind == "training")?;
    (workload.step)()?;
    match memory::resident() {
        Some(bytes) => println!("{bytes}"),
        None => println!("unknown"),
    }
    Ok(())
}

/// Writes what the workload called `name` is given, and what its first repetitions give, to a file: for other
/// frameworks to do the same and to be held against it.
pub fn write_given(name: &str, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let (entry, asked) = (entry(name)?, asked(args)?);
    let out = asked.out.ok_or("--out FILE.safetensors is needed")?;
    use_threads(asked.threads)?;
    let Workload { given, mut step } = entry.make()?;
    let steps = if entry.trains { STEPS } else { 1 };
    let mut results = Vec::new();
    for _ in 0..steps {
        results.extend(step()?);
    }
    let given = given
        .into_iter()
        .map(|(name, t)| (format!("given.{name}"), t));
    let results = results.into_iter().enumerate();
    let results = results.map(|(i, t)| (format!("result.{i}"), t));
    let named: Vec<(String, Tensor)> = given.chain(results).collect();
    let named: Vec<(&str, &Tensor)> = named.iter().map(|(n, t)| (n.as_str(), t)).collect();
    save_tensors(out, &named)?;
    Ok(())
}
