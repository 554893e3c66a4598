//! The `lazulite` command: look at programs on their way to machine code, and run them.

mod demo;
mod doctor;
mod model;
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
    /// Print a graph (.lzt) or an exported model (.lzl) as it stands after a stage.
    Dump {
        /// The graph's text, or the model.
        file: PathBuf,
        /// After which stage.
        #[arg(long, value_enum, default_value = "memory")]
        stage: StageName,
    },
    /// Compile a graph (.lzt) or an exported model (.lzl), run it, and print its results.
    ///
    /// Without `--input` the inputs are random.
    Run {
        /// The graph's text, or the model.
        file: PathBuf,
        /// A model's inputs: .npy files, in order or by name, or one .safetensors with all of them.
        #[arg(long = "input", value_name = "[NAME=]FILE", value_parser = model::named_file)]
        inputs: Vec<model::NamedFile>,
        /// Where a model's results go: .npy in order or by name, or .safetensors with all of them.
        #[arg(short, long = "output", value_name = "[NAME=]FILE", value_parser = model::named_file)]
        outputs: Vec<model::NamedFile>,
        /// Values for unknown sizes.
        #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = text::dim)]
        dims: Vec<(String, i64)>,
        /// Seed of the inputs.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Write an exported model (.lzl) as an executable that needs nothing else to run.
    Build {
        /// The model.
        file: PathBuf,
        /// The executable.
        #[arg(short, long, value_name = "PROGRAM")]
        output: PathBuf,
    },
    /// Say what this machine offers and how Lazulite uses it.
    Doctor,
}

/// Why a command fails.
enum Failure {
    Io(std::io::Error),
    Message(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Io(error)
    }
}

impl From<lazulite::Error> for Failure {
    fn from(error: lazulite::Error) -> Failure {
        Failure::Message(error.to_string())
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Io(error) => error.fmt(f),
            Failure::Message(message) => f.write_str(message),
        }
    }
}

/// The stages, as the command line names them.
#[derive(Clone, Copy, ValueEnum)]
enum StageName {
    Trace,
    Inline,
    Canon,
    Egraph,
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
            StageName::Egraph => Stage::Egraph,
            StageName::Complex => Stage::Complex,
            StageName::Schedule => Stage::Schedule,
            StageName::Memory => Stage::Memory,
        }
    }
}

fn main() -> ExitCode {
    let mut screen = std::io::stdout().lock();
    let outcome = run(Arguments::parse().command, &mut screen);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(Failure::Io(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command, screen: &mut impl std::io::Write) -> Result<(), Failure> {
    match command {
        Command::Demo => demo::run(screen),
        Command::Dump { file, stage } if model::is_model(&file) => {
            model::dump(screen, &file, stage.into())
        }
        Command::Dump { file, stage } => text::dump(screen, &file, stage.into()),
        Command::Run {
            file,
            inputs,
            outputs,
            dims,
            seed,
        } if model::is_model(&file) => {
            let files = model::Files {
                inputs: &inputs,
                outputs: &outputs,
            };
            model::run(screen, &file, &files, &dims, seed)
        }
        Command::Run {
            file, dims, seed, ..
        } => text::run(screen, &file, &dims, seed),
        Command::Build { file, output } => model::build(screen, &file, &output),
        Command::Doctor => doctor::run(screen),
    }
}
