//! `lazulite explain`: why operations of a program share kernels, and why others do not.

use crate::failure::Failure;
use crate::files::{dim, report};
use lazulite::inspect::{ReportOptions, Stage};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// An exported model (.lzl) or a graph as text (.lzt).
    file: PathBuf,
    /// Values for unknown sizes: predicted times need them.
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dim)]
    dims: Vec<(String, i64)>,
}

/// Prints the explanation.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let options = ReportOptions {
        until: Stage::Schedule,
        sizes: arguments.dims.clone(),
        ..ReportOptions::default()
    };
    let report = report(&arguments.file, &options)?;
    write!(out, "{}", report.explain())?;
    Ok(())
}
