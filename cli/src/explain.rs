//! `lazulite explain`: why operations of a program share kernels, and why others do not.

use crate::failure::Failure;
use crate::files::report;
use lazulite::inspect::{ReportOptions, Stage};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// An exported model (.lzl) or a graph as text (.lzt).
    file: PathBuf,
}

/// Prints the explanation.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let options = ReportOptions {
        until: Stage::Schedule,
        ..ReportOptions::default()
    };
    let report = report(&arguments.file, &options)?;
    write!(out, "{}", report.explain())?;
    Ok(())
}
