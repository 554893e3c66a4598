//! `lazulite inspect`: what a file holds.

use crate::failure::Failure;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// An exported model (.lzl), an executable made of one, tensors by name (.safetensors, .npz) or one array (.npy).
    file: PathBuf,
    /// Look at every element: range, mean, deviation, zeros, NaN.
    #[arg(long)]
    statistics: bool,
}

/// Prints what the file holds.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let report = lazulite::inspect::file(&arguments.file, arguments.statistics)?;
    writeln!(out, "{}: {report}", arguments.file.display())?;
    Ok(())
}
