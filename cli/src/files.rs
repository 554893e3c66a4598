//! What commands take on their command lines: files by kind, named files, sizes.

use crate::failure::{Failure, told};
use lazulite::inspect::{Report, ReportOptions, report_text};
use lazulite::{Exported, NamedFile};
use std::path::Path;

/// Whether a file is named like an exported model.
pub fn is_model(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "lzl")
}

/// Parses `FILE` or `NAME=FILE`.
pub fn named_file(text: &str) -> Result<NamedFile, String> {
    Ok(NamedFile::parse(text.into()))
}

/// Parses `name=size`.
pub fn dim(text: &str) -> Result<(String, i64), String> {
    let (name, size) = text.split_once('=').ok_or("expected NAME=SIZE")?;
    let size = size.parse().map_err(|e| format!("{size}: {e}"))?;
    Ok((name.to_string(), size))
}

/// A program in a file, followed.
pub fn report(file: &Path, options: &ReportOptions) -> Result<Report, Failure> {
    let report = match is_model(file) {
        true => Exported::load(file)?.report(options),
        false => report_text(&read(file)?, options),
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(report.map_err(|e| at(file, &e))?.with_title(&name))
}

/// A program as a shell finds it.
pub fn shown(program: &Path) -> String {
    match program.components().count() {
        1 => format!("./{}", program.display()),
        _ => program.display().to_string(),
    }
}

/// The text of a file.
pub fn read(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|e| {
        let message = match e.kind() {
            std::io::ErrorKind::InvalidData => {
                "not a graph as text (.lzt) or an exported model (.lzl); `lazulite inspect` looks at files of tensors"
                    .to_string()
            }
            _ => e.to_string(),
        };
        Failure::Message(format!("{}: {message}", file.display()))
    })
}

/// An error about what a file holds.
pub fn at(file: &Path, error: &lazulite::Error) -> Failure {
    Failure::Message(format!("{}: {}", file.display(), told(error)))
}
