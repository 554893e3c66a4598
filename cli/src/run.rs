//! `lazulite run`: programs run on files or random inputs.

use crate::failure::{Failure, told, with_hint};
use crate::files::{at, dim, is_model, model, named_file, read};
use lazulite::{ErrorKind, NamedFile, Program};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The graph's text, or the model.
    file: PathBuf,
    /// A model's inputs: .npy or .raw, in order or by name; .npz, .safetensors, .json with several; - for
    /// standard input.
    #[arg(long = "input", value_name = "[NAME=]FILE", value_parser = named_file)]
    inputs: Vec<NamedFile>,
    /// Where a model's results go: .npy or .raw, in order or by name; .npz, .safetensors, .json with all of
    /// them; - for .npy on standard output.
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
    let results = results.map_err(|e| with_sizes(&e, &program.size_names()))?;
    for (i, result) in results.iter().enumerate() {
        writeln!(out, "result {i}: {result:?}\n{result}")?;
    }
    Ok(())
}

/// The error with how open sizes are given, where it is about arguments and there are such sizes.
fn with_sizes(error: &lazulite::Error, names: &[String]) -> Failure {
    let options: Vec<String> = names.iter().map(|n| format!("--dim {n}=SIZE")).collect();
    let hint = format!("open sizes are given by {}", options.join(" "));
    Failure::Message(match error.kind() {
        ErrorKind::Argument if !names.is_empty() => with_hint(error, Some(&hint)),
        _ => told(error),
    })
}

/// Runs the model on files, or on random inputs where none are given.
fn run_model(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let exported = model(&arguments.file)?;
    let (inputs, outputs) = (&arguments.inputs[..], &arguments.outputs[..]);
    if inputs.is_empty() && !outputs.is_empty() {
        let message = "results go to files when inputs come from files: give --input";
        return Err(Failure::Message(message.into()));
    }
    let results = match inputs {
        [] => exported.run_random(&arguments.dims, arguments.seed),
        inputs => exported.run_files(inputs, outputs, &arguments.dims),
    };
    let results = results.map_err(|e| with_sizes(&e, exported.size_names()))?;
    if outputs.is_empty() {
        for ((name, _), result) in exported.outputs().iter().zip(&results) {
            writeln!(out, "{name}: {result:?}\n{result}")?;
        }
    }
    Ok(())
}
