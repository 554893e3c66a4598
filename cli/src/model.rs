//! Exported models (.lzl): shown after a stage, run on files or random inputs, made into executables.

use crate::Failure;
use lazulite::prelude::Tensor;
use lazulite::{Exported, Stage};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Whether a file is named like an exported model.
pub fn is_model(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "lzl")
}

/// A file for the input or result of this name, or for the next one.
#[derive(Clone, Debug)]
pub struct NamedFile {
    name: Option<String>,
    path: PathBuf,
}

/// Parses `FILE` or `NAME=FILE`.
pub fn named_file(text: &str) -> Result<NamedFile, String> {
    let named = text.split_once('=').filter(|(name, _)| !name.contains('/'));
    Ok(match named {
        Some((name, path)) => NamedFile {
            name: Some(name.into()),
            path: path.into(),
        },
        None => NamedFile {
            name: None,
            path: text.into(),
        },
    })
}

fn message(text: String) -> Failure {
    Failure::Message(text)
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
    let results = match files.inputs {
        [] => exported.run_random(dims, seed)?,
        given => {
            let inputs = inputs(&exported, given)?;
            exported.run(&inputs.iter().collect::<Vec<_>>())?
        }
    };
    let names: Vec<String> = exported
        .outputs()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    if files.outputs.is_empty() {
        for (name, result) in names.iter().zip(&results) {
            writeln!(out, "{name}: {result:?}\n{result}")?;
        }
        return Ok(());
    }
    let mut next = 0;
    for target in files.outputs {
        let all = target.path.extension().is_some_and(|e| e == "safetensors");
        if all && target.name.is_none() {
            let named: Vec<(&str, &Tensor)> =
                names.iter().map(String::as_str).zip(&results).collect();
            lazulite::save_tensors(&target.path, &named)?;
            continue;
        }
        let at = position(&names, target.name.as_deref(), &mut next, "result")?;
        match all {
            true => lazulite::save_tensors(&target.path, &[(&names[at], &results[at])])?,
            false => results[at].save(&target.path)?,
        }
    }
    Ok(())
}

/// Reads the inputs in the model's order.
fn inputs(exported: &Exported, given: &[NamedFile]) -> Result<Vec<Tensor>, Failure> {
    let ports = exported.inputs();
    let names: Vec<String> = ports.iter().map(|(name, _)| name.clone()).collect();
    let mut found: Vec<Option<Tensor>> = vec![None; ports.len()];
    let mut next = 0;
    for file in given {
        if file.path.extension().is_some_and(|e| e == "safetensors") {
            for (name, tensor) in lazulite::load_tensors(&file.path)? {
                if let Some(at) = names.iter().position(|n| *n == name) {
                    found[at] = Some(tensor);
                }
            }
            continue;
        }
        let at = position(&names, file.name.as_deref(), &mut next, "input")?;
        found[at] = Some(Tensor::load(&file.path)?);
    }
    let missing = ports
        .iter()
        .zip(&found)
        .find(|(_, tensor)| tensor.is_none());
    match missing {
        Some(((name, ty), _)) => Err(message(format!("input {name} is missing: {ty}"))),
        None => Ok(found.into_iter().flatten().collect()),
    }
}

/// The number of a name, or the next number.
fn position(
    names: &[String],
    name: Option<&str>,
    next: &mut usize,
    what: &str,
) -> Result<usize, Failure> {
    let at = match name {
        Some(name) => names.iter().position(|n| n == name),
        None => {
            *next += 1;
            Some(*next - 1).filter(|at| *at < names.len())
        }
    };
    at.ok_or_else(|| {
        message(format!(
            "there is no such {what}, only {}",
            names.join(", ")
        ))
    })
}
