//! The `lazulite` command: look at programs on their way to machine code, and run them.

mod demo;
mod doctor;
mod text;

use clap::{Parser, Subcommand, ValueEnum};
use lazulite::Stage;
use std::path::PathBuf;
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
    /// Print a graph (.lzt) as it stands after a stage.
    Dump {
        /// The graph's text.
        file: PathBuf,
        /// After which stage.
        #[arg(long, value_enum, default_value = "memory")]
        stage: StageName,
    },
    /// Compile a graph (.lzt), run it on random inputs, and print its results.
    Run {
        /// The graph's text.
        file: PathBuf,
        /// Values for unknown sizes.
        #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = text::dim)]
        dims: Vec<(String, i64)>,
        /// Seed of the inputs.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Say what this machine offers and how Lazulite uses it.
    Doctor,
}

/// The stages, as the command line names them.
#[derive(Clone, Copy, ValueEnum)]
enum StageName {
    Trace,
    Inline,
    Canon,
    Complex,
    Schedule,
    Memory,
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Stage {
        match name {
            StageName::Trace => Stage::Trace,
            StageName::Inline => Stage::Inline,
            StageName::Canon => Stage::Canon,
            StageName::Complex => Stage::Complex,
            StageName::Schedule => Stage::Schedule,
            StageName::Memory => Stage::Memory,
        }
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo => demo::run().map_err(|e| e.to_string()),
        Command::Dump { file, stage } => text::dump(&file, stage.into()),
        Command::Run { file, dims, seed } => text::run(&file, &dims, seed),
        Command::Doctor => {
            doctor::run();
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
