//! Exported models (.lzl): shown after a stage, run on files or random inputs, made into executables.

use crate::Failure;
use lazulite::{Exported, NamedFile, Stage};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Whether a file is named like an exported model.
pub fn is_model(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "lzl")
}

/// Parses `FILE` or `NAME=FILE`.
pub fn named_file(text: &str) -> Result<NamedFile, String> {
    Ok(NamedFile::parse(text.into()))
}

/// Prints the model's graph after `stage`.
pub fn dump(out: &mut impl Write, file: &Path, stage: Stage) -> Result<(), Failure> {
    write!(out, "{}", Exported::load(file)?.dump(stage)?)?;
    Ok(())
}

/// Writes the model as an executable.
pub fn build(out: &mut impl Write, file: &Path, program: &Path) -> Result<(), Failure> {
    let exported = Exported::load(file)?;
    let start = Instant::now();
    exported.build_executable(program)?;
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    let bytes = std::fs::metadata(program)?.len();
    writeln!(
        out,
        "{}: {bytes} bytes, {} of them weights, in {milliseconds:.1} ms",
        program.display(),
        exported.weight_bytes()
    )?;
    writeln!(out, "Next: `{} --help`", shown(program))?;
    Ok(())
}

/// The program as a shell finds it.
fn shown(program: &Path) -> String {
    match program.components().count() {
        1 => format!("./{}", program.display()),
        _ => program.display().to_string(),
    }
}

/// Where a model's inputs come from, and where its results go.
pub struct Files<'a> {
    pub inputs: &'a [NamedFile],
    pub outputs: &'a [NamedFile],
}

/// Runs the model on files, or on random inputs where none are given.
pub fn run(
    out: &mut impl Write,
    file: &Path,
    files: &Files<'_>,
    dims: &[(String, i64)],
    seed: u64,
) -> Result<(), Failure> {
    let exported = Exported::load(file)?;
    if files.inputs.is_empty() && !files.outputs.is_empty() {
        let message = "results go to files when inputs come from files: give --input";
        return Err(Failure::Message(message.into()));
    }
    let results = match files.inputs {
        [] => exported.run_random(dims, seed)?,
        inputs => exported.run_files(inputs, files.outputs, dims)?,
    };
    if files.outputs.is_empty() {
        for ((name, _), result) in exported.outputs().iter().zip(&results) {
            writeln!(out, "{name}: {result:?}\n{result}")?;
        }
    }
    Ok(())
}
