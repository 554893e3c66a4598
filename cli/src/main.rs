//! The `lazulite` command: look at programs on their way to machine code, and run them.
//!
//! Each command has a file of its own, with its arguments and what it does.

mod build;
mod demo;
mod doctor;
mod dump;
mod explain;
mod failure;
mod files;
#[cfg(feature = "cuda")]
mod gpu_check;
mod inspect;
mod run;
mod train;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// A tensor framework whose programs are compiled.
#[derive(Parser)]
#[command(name = "lazulite", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network, and save it as a model (.lzl).
    Train(train::Arguments),
    /// Record, compile and run a small network, and show every step of the way.
    Demo,
    /// Show a program (.lzt, .lzl) as it stands after a stage: as text, dot, JSON, or a page for a browser.
    Dump(dump::Arguments),
    /// Say why operations of a program (.lzt, .lzl) share kernels, and why others do not.
    Explain(explain::Arguments),
    /// Say what a file (.lzl, executable, .safetensors, .npz, .npy) holds.
    Inspect(inspect::Arguments),
    /// Compile a graph (.lzt) or an exported model (.lzl), run it, and print its results.
    ///
    /// Without `--input` the inputs are random.
    Run(run::Arguments),
    /// Write an exported model (.lzl) as an executable that needs nothing else to run.
    Build(build::Arguments),
    /// Say what this machine offers and how Lazulite uses it.
    Doctor,
    /// Hold what a GPU gives against what this processor gives, and time it.
    #[cfg(feature = "cuda")]
    GpuCheck(gpu_check::Arguments),
}

fn main() -> ExitCode {
    let mut screen = std::io::stdout().lock();
    match run(Arguments::parse().command, &mut screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command, screen: &mut impl std::io::Write) -> Result<(), Failure> {
    match command {
        Command::Train(arguments) => train::run(screen, &arguments),
        Command::Demo => demo::run(screen),
        Command::Dump(arguments) => dump::run(screen, &arguments),
        Command::Explain(arguments) => explain::run(screen, &arguments),
        Command::Inspect(arguments) => inspect::run(screen, &arguments),
        Command::Run(arguments) => run::run(screen, &arguments),
        Command::Build(arguments) => build::run(screen, &arguments),
        Command::Doctor => doctor::run(screen),
        #[cfg(feature = "cuda")]
        Command::GpuCheck(arguments) => gpu_check::run(screen, &arguments),
    }
}
