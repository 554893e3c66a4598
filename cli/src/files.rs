//! What commands take on their command lines: files by kind, named files, sizes.

use crate::failure::{Failure, told, with_hint};
use lazulite::inspect::{Report, ReportOptions, report_text};
use lazulite::{Exported, NamedFile};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Whether a file is named like an exported model.
pub fn is_model(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "lzl")
}

/// What files with models begin with.
const MAGIC: [u8; 8] = *b"LAZULITE";

/// Whether a file begins as exported models do.
pub fn begins_as_model(file: &Path) -> bool {
    let mut start = [0; MAGIC.len()];
    let read = File::open(file).and_then(|mut f| f.read_exact(&mut start));
    read.is_ok() && start == MAGIC
}

/// The exported model in a file.
pub fn model(file: &Path) -> Result<Exported, Failure> {
    Exported::load(file).map_err(|e| match file.is_file() && !begins_as_model(file) {
        true => Failure::Message(with_hint(
            &e,
            Some(
                "models (.lzl) are written by `Exported::save` (docs/aot.md) and by \
                 `lazulite train digits --save FILE.lzl`; graphs as text (.lzt) can be dumped, explained and run",
            ),
        )),
        false => e.into(),
    })
}

/// Makes sure that a file can be written later: whole, by way of another one beside it.
pub fn check_writable(file: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Message(format!("{}: {e}", file.display()));
    let target = file.canonicalize();
    let target = target.as_deref().unwrap_or(file);
    match fs::metadata(target) {
        Ok(known) if known.is_dir() => return Err(failed(ErrorKind::IsADirectory.into())),
        // A device or a pipe is written as it is.
        Ok(known) if !known.is_file() => return Ok(()),
        _ => {}
    }
    let Some(name) = target.file_name() else {
        return Err(failed(ErrorKind::InvalidFilename.into()));
    };
    let mut name = name.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = target.with_file_name(name);
    File::create(&part).map_err(failed)?;
    fs::remove_file(&part).map_err(failed)
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
        true => model(file)?.report(options),
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
    fs::read_to_string(file).map_err(|e| {
        let message = match e.kind() {
            ErrorKind::InvalidData => {
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
