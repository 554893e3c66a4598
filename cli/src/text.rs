//! Graphs as text files: shown after a stage, or compiled and run.

use crate::Failure;
use lazulite::{Program, Stage, dump_text};
use std::io::Write;
use std::path::Path;

/// Parses `name=size`.
pub fn dim(text: &str) -> Result<(String, i64), String> {
    let (name, size) = text.split_once('=').ok_or("expected NAME=SIZE")?;
    let size = size.parse().map_err(|e| format!("{size}: {e}"))?;
    Ok((name.to_string(), size))
}

/// Prints the graph in `file` after `stage`.
pub fn dump(out: &mut impl Write, file: &Path, stage: Stage) -> Result<(), Failure> {
    let shown = dump_text(&read(file)?, stage).map_err(|e| at(file, &e))?;
    write!(out, "{shown}")?;
    Ok(())
}

/// Runs the graph in `file` on random inputs and prints the results.
pub fn run(
    out: &mut impl Write,
    file: &Path,
    dims: &[(String, i64)],
    seed: u64,
) -> Result<(), Failure> {
    let program = Program::from_text(&read(file)?).map_err(|e| at(file, &e))?;
    let results = program.run_random(dims, seed).map_err(|e| at(file, &e))?;
    for (i, result) in results.iter().enumerate() {
        writeln!(out, "result {i}: {result:?}\n{result}")?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|e| Failure::Message(format!("{}: {e}", file.display())))
}

fn at(file: &Path, error: &lazulite::Error) -> Failure {
    Failure::Message(format!("{}: {error}", file.display()))
}
