//! `lazulite dump`: programs as they stand after a stage.

use crate::failure::Failure;
use crate::files::{at, is_model, read};
use clap::ValueEnum;
use lazulite::{Exported, Stage, dump_text};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The graph's text, or the model.
    file: PathBuf,
    /// After which stage.
    #[arg(long, value_enum, default_value = "memory")]
    stage: StageName,
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

/// Prints the program after the stage.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let (file, stage) = (&arguments.file, arguments.stage.into());
    let shown = match is_model(file) {
        true => Exported::load(file)?.dump(stage)?,
        false => dump_text(&read(file)?, stage).map_err(|e| at(file, &e))?,
    };
    write!(out, "{shown}")?;
    Ok(())
}
