//! The numbers of executables: how large they are, how long writing and starting one takes, what they need.

use crate::core::line;
use lazulite::nn::{Layer, Linear, Module, Relu, Sequential};
use lazulite::prelude::*;
use lazulite::{Exported, export, spec};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A folder of its own, gone afterwards.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing to be done about it if it stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Prints every figure with its limit.
pub fn run() -> Result<(), Box<dyn Error>> {
    let folder = format!("lazulite-bench-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(folder));
    fs::create_dir_all(&folder.0)?;
    let program = folder.0.join("program");
    let exported = model()?;
    let builds = times(21, || Ok(exported.build_executable(&program)?))?;
    line("build, the first time", ms(builds[0]), "<= 200 ms");
    line("build, median", ms(median(&builds)), "<= 200 ms");
    let bytes = fs::metadata(&program)?.len() as usize;
    let above = bytes.saturating_sub(exported.weight_bytes());
    line("executable", format!("{bytes} B"), "");
    line(
        "executable above its weights",
        format!("{above} B"),
        "<= 1048576 B",
    );

    let input = folder.0.join("x.npy");
    Tensor::randn([1, 784]).save(&input)?;
    let output = folder.0.join("y.npy");
    let start = |threads: &str| -> Result<Vec<f64>, Box<dyn Error>> {
        times(101, || {
            let mut command = Command::new(&program);
            command.arg(&input).arg("-o").arg(&output);
            let status = command.args(["--threads", threads]).status()?;
            match status.success() {
                true => Ok(()),
                false => Err(format!("the program ended with {status}").into()),
            }
        })
    };
    for threads in ["1", "2"] {
        let what = format!("process start to output, {threads} threads, median");
        line(&what, ms(median(&start(threads)?)), "<= 5 ms");
    }
    let needed = needed(&program).unwrap_or_else(|| "ldd is not here".into());
    line("shared libraries", needed, "libc, libm, libgcc_s");
    products(&folder.0)?;
    objects(&exported, &folder.0)
}

/// How long a matrix product takes in an executable, beside one in this process.
fn products(folder: &Path) -> Result<(), Box<dyn Error>> {
    let types = [
        (DType::F32, spec!(f32[256, 256])),
        (DType::I8, spec!(i8[256, 256])),
    ];
    for (dtype, spec) in types {
        let input = Tensor::randn([256, 256]).cast(dtype).realize()?;
        let program = folder.join(dtype.to_string());
        let exported = export(|[x]| x.matmul(x), &[spec])?;
        exported.build_executable(&program)?;
        let here = median(&times(201, || Ok(exported.run(&[&input]).map(|_| ())?))?) * 1e6;
        let mut command = Command::new(&program);
        let output = command.args(["--bench", "201"]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let there = { text.split_whitespace().skip_while(|word| *word != "median") }.nth(1);
        let there: f64 = there.ok_or("the executable tells no median")?.parse()?;
        line(
            &format!("256x256x256 of {dtype}, in an executable over in process"),
            format!("{there:.0} us / {here:.0} us = {:.2}", there / here),
            "<= 1.2",
        );
    }
    Ok(())
}

/// What embedders get.
fn objects(exported: &Exported, folder: &Path) -> Result<(), Box<dyn Error>> {
    let object = folder.join("net.o");
    let seconds = times(5, || Ok(exported.build_object(&object).map(|_| ())?))?;
    line(
        "build of an object and its runtime, median",
        ms(median(&seconds)),
        "",
    );
    let bytes = fs::metadata(&object)?.len();
    line("object", format!("{bytes} B"), "");
    let runtime = fs::metadata(folder.join("liblazulite.a"))?.len();
    line("runtime as a static library", format!("{runtime} B"), "");
    Ok(())
}

/// A network of three layers, 784 to 10.
fn model() -> lazulite::Result<Exported> {
    let model = Sequential::new()
        .with(Linear::new(784, 128))
        .with(Relu)
        .with(Linear::new(128, 64))
        .with(Relu)
        .with(Linear::new(64, 10));
    model.eval();
    let specs = [spec!(f32["batch", 784]).named("pixels")];
    export(|[x]| model.forward(x).softmax(-1), &specs)
}

/// Seconds of each call.
fn times(
    count: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let mut seconds = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn ms(seconds: f64) -> String {
    format!("{:.2} ms", seconds * 1e3)
}

/// The libraries that the system finds for an executable.
fn needed(program: &Path) -> Option<String> {
    let output = Command::new("ldd").arg(program).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let names: Vec<String> = text.lines().filter_map(first).collect();
    Some(names.join(" "))
}
