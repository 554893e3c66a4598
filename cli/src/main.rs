//! The `lazulite` command: look at programs on their way to machine code, and run them.
//!
//! Each command has a file of its own, with its arguments and what it does.

mod build;
mod demo;
mod doctor;
mod dump;
mod failure;
mod files;
mod run;

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
    /// Record, compile and run a small network, and show every step of the way.
    Demo,
    /// Print a graph (.lzt) or an exported model (.lzl) as it stands after a stage.
    Dump(dump::Arguments),
    /// Compile a graph (.lzt) or an exported model (.lzl), run it, and print its results.
    ///
    /// Without `--input` the inputs are random.
    Run(run::Arguments),
    /// Write an exported model (.lzl) as an executable that needs nothing else to run.
    Build(build::Arguments),
    /// Say what this machine offers and how Lazulite uses it.
    Doctor,
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
        Command::Demo => demo::run(screen),
        Command::Dump(arguments) => dump::run(screen, &arguments),
        Command::Run(arguments) => run::run(screen, &arguments),
        Command::Build(arguments) => build::run(screen, &arguments),
        Command::Doctor => doctor::run(screen),
    }
}
