//! Cold measurements: each runs once in a process of its own and prints seconds.

use lazulite::prelude::*;
use std::error::Error;
use std::process::Command;
use std::time::Instant;

/// Runs the measurement called `name` here and prints its seconds.
pub fn run(name: &str) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    match name {
        "pointwise" => pointwise()?,
        _ => match name.strip_prefix("chain") {
            Some(length) => chain(length.parse()?)?,
            None => return Err(format!("no cold measurement is called {name}").into()),
        },
    }
    println!("{}", start.elapsed().as_secs_f64());
    Ok(())
}

/// Seconds of measurement `name`, the median of several fresh processes.
pub fn measure(name: &str, repeats: usize) -> Result<f64, Box<dyn Error>> {
    let program = std::env::current_exe()?;
    let mut seconds = Vec::new();
    for _ in 0..repeats {
        let output = Command::new(&program).args(["cold", name]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        seconds.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()?);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// Three operations on a thousand elements, from nothing to the result.
fn pointwise() -> lazulite::Result<()> {
    let x = Tensor::from_vec((0..1000).map(|i| i as f32 * 1e-3).collect(), [1000]);
    let y = ((&x * 1.5) + 0.25).tanh().to_vec::<f32>()?;
    assert!((y[0] - 0.25f32.tanh()).abs() < 1e-6);
    Ok(())
}

/// A chain of operations that do not fold into one another.
fn chain(length: usize) -> lazulite::Result<()> {
    let x = Tensor::from_vec(vec![0.5f32; 256], [256]);
    let mut y = x.clone();
    for i in 0..length / 2 {
        y = (y * (0.9 + (i % 7) as f64 * 0.01)).maximum(&x * 0.5 + (i % 5) as f64);
    }
    y.realize()?;
    Ok(())
}
