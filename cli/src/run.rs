//! `lazulite run`: programs run on files or random inputs.

use crate::failure::Failure;
use crate::files::{NamedFile, at, dim, is_model, named_file, read};
use lazulite::prelude::Tensor;
use lazulite::{Exported, Program};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The graph's text, or the model.
    file: PathBuf,
    /// A model's inputs: .npy files, in order or by name, or one .safetensors with all of them.
    #[arg(long = "input", value_name = "[NAME=]FILE", value_parser = named_file)]
    inputs: Vec<NamedFile>,
    /// Where a model's results go: .npy in order or by name, or .safetensors with all of them.
    #[arg(short, long = "output", value_name = "[NAME=]FILE", value_parser = named_file)]
    outputs: Vec<NamedFile>,
    /// Values for unknown sizes.
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dim)]
    dims: Vec<(String, i64)>,
    /// Seed of the inputs.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Runs a model or a graph given as text.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    match is_model(&arguments.file) {
        true => run_model(out, arguments),
        false => run_text(out, arguments),
    }
}

/// Runs a graph given as text on random inputs and prints the results.
fn run_text(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let program = Program::from_text(&read(file)?).map_err(|e| at(file, &e))?;
    let results = program.run_random(&arguments.dims, arguments.seed);
    for (i, result) in results.map_err(|e| at(file, &e))?.iter().enumerate() {
        writeln!(out, "result {i}: {result:?}\n{result}")?;
    }
    Ok(())
}

/// Runs the model on files, or on random inputs where none are given.
fn run_model(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let exported = Exported::load(&arguments.file)?;
    let results = match &arguments.inputs[..] {
        [] => exported.run_random(&arguments.dims, arguments.seed)?,
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
    if arguments.outputs.is_empty() {
        for (name, result) in names.iter().zip(&results) {
            writeln!(out, "{name}: {result:?}\n{result}")?;
        }
        return Ok(());
    }
    let mut next = 0;
    for target in &arguments.outputs {
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
        Some(((name, ty), _)) => Err(Failure::Message(format!("input {name} is missing: {ty}"))),
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
        Failure::Message(format!(
            "there is no such {what}, only {}",
            names.join(", ")
        ))
    })
}
