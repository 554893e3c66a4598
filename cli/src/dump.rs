//! `lazulite dump`: programs as they stand after a stage.

use crate::failure::{Failure, refuse_same};
use crate::files::{dim, report};
use clap::ValueEnum;
use lazulite::inspect::{Format, ReportOptions, Stage};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  lazulite dump digits.lzl --stage canon
  lazulite dump digits.lzl --format html --dim batch=32 --measure -o digits.html
  lazulite dump graph.lzt --stage schedule --format dot | dot -Tsvg > graph.svg")]
pub struct Arguments {
    /// An exported model (.lzl) or a graph as text (.lzt).
    file: PathBuf,
    /// After which stage; a page (html) begins with it and shows all others too. By default `schedule` for pages,
    /// else `memory`.
    #[arg(long, value_enum)]
    stage: Option<StageName>,
    /// In which form.
    #[arg(long, value_enum, default_value = "text")]
    format: FormatName,
    /// Values for unknown sizes: bytes and predicted times need them.
    #[arg(long = "dim", value_name = "NAME=SIZE", value_parser = dim)]
    dims: Vec<(String, i64)>,
    /// Run the program on random inputs and show what each kernel takes; all sizes must be known.
    #[arg(long)]
    measure: bool,
    /// Where to write; the screen by default.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The stages, as the command line names them.
#[derive(Clone, Copy, ValueEnum)]
enum StageName {
    /// As it was recorded.
    Trace,
    /// With the operations that compute gradients.
    Grad,
    /// Named composites replaced by their definitions.
    Inline,
    /// Simplified.
    Canon,
    /// Rewritten by equality saturation.
    Egraph,
    /// Complex numbers split into pairs of real ones.
    Complex,
    /// Fused into kernels, in the order of steps.
    Schedule,
    /// Steps with planned memory.
    Memory,
    /// The kernels, each one fused loop nest.
    Kernel,
    /// Machine code of the kernels.
    Native,
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Stage {
        match name {
            StageName::Trace => Stage::Trace,
            StageName::Grad => Stage::Grad,
            StageName::Inline => Stage::Inline,
            StageName::Canon => Stage::Canon,
            StageName::Egraph => Stage::Egraph,
            StageName::Complex => Stage::Complex,
            StageName::Schedule => Stage::Schedule,
            StageName::Memory => Stage::Memory,
            StageName::Kernel => Stage::Kernel,
            StageName::Native => Stage::Native,
        }
    }
}

/// The forms, as the command line names them.
#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// For reading; graphs read back.
    Text,
    /// For graphviz.
    Dot,
    /// For programs; docs/inspection.md describes it.
    Json,
    /// One page for a browser, with all stages; it needs no network.
    Html,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::Text => Format::Text,
            FormatName::Dot => Format::Dot,
            FormatName::Json => Format::Json,
            FormatName::Html => Format::Html,
        }
    }
}

/// Prints or writes the program after the stage.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let format: Format = arguments.format.into();
    let stage: Stage = match (arguments.stage, format) {
        (Some(stage), _) => stage.into(),
        (None, Format::Html) => Stage::Schedule,
        (None, Format::Text | Format::Dot | Format::Json) => Stage::Memory,
    };
    let options = ReportOptions {
        until: match format {
            Format::Html => Stage::Native,
            Format::Text | Format::Dot | Format::Json => stage,
        },
        sizes: arguments.dims.clone(),
        measure: arguments.measure,
    };
    if let Some(output) = &arguments.output {
        refuse_same(&arguments.file, output)?;
    }
    let shown = report(&arguments.file, &options)?.render(stage, format)?;
    match &arguments.output {
        None => write!(out, "{shown}")?,
        Some(path) => {
            let failed = |e| Failure::Message(format!("{}: {e}", path.display()));
            std::fs::write(path, &shown).map_err(failed)?;
            writeln!(out, "{}: {} bytes", path.display(), shown.len())?;
        }
    }
    Ok(())
}
