//! `lazulite build`: exported models as executables.

use crate::failure::Failure;
use lazulite::Exported;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Arguments {
    /// The model.
    file: PathBuf,
    /// The executable.
    #[arg(short, long, value_name = "PROGRAM")]
    output: PathBuf,
}

/// Writes the model as an executable.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let program = &arguments.output;
    let exported = Exported::load(&arguments.file)?;
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
