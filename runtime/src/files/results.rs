//! A program's results to files.

use super::{Format, NamedFile, replace, write_arrays};
use crate::{Array, Interface};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where results go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The number of the result; all of them by name if there is none.
    result: Option<usize>,
    /// The file; standard output if there is none.
    path: Option<PathBuf>,
    format: Format,
}

/// Where results go, found out before anything is computed. `stream` is the format of standard output.
///
/// # Errors
/// When a file's name tells no format, or there is no such result.
pub fn plan_results(
    interface: &Interface,
    files: &[NamedFile],
    stream: Format,
) -> Result<Vec<Target>, String> {
    let mut next = 0;
    let mut targets = Vec::with_capacity(files.len());
    for file in files {
        let path = Path::new(&file.path);
        let format = match file.is_stream() {
            true => stream,
            false => Format::of(path)?,
        };
        let path = (!file.is_stream()).then(|| path.to_owned());
        let result = match (&file.name, format.is_named()) {
            (None, true) => None,
            (Some(name), _) => Some(interface.outputs.iter().position(|p| p.name == *name)),
            (None, false) => {
                next += 1;
                Some(Some(next - 1).filter(|at| *at < interface.outputs.len()))
            }
        };
        if result == Some(None) {
            let names: Vec<&str> = interface.outputs.iter().map(|p| p.name.as_str()).collect();
            let (shown, names) = (Path::new(&file.path).display(), names.join(", "));
            return Err(format!("-o {shown}: there is no such result, only {names}"));
        }
        targets.push(Target {
            result: result.flatten(),
            path,
            format,
        });
    }
    Ok(targets)
}

/// Writes the results, each file whole or not at all.
///
/// # Errors
/// When one cannot be written.
pub fn deliver(
    stream: &mut dyn Write,
    interface: &Interface,
    arrays: &[Array],
    targets: &[Target],
) -> io::Result<()> {
    let names = interface.outputs.iter().map(|p| p.name.as_str());
    let all: Vec<(&str, &Array)> = names.zip(arrays).collect();
    for target in targets {
        let chosen = match target.result {
            Some(at) => &all[at..=at],
            None => &all[..],
        };
        match &target.path {
            // Whole or not at all, too.
            None => {
                let mut bytes = Vec::new();
                write_arrays(&mut bytes, chosen, target.format)?;
                stream.write_all(&bytes)?;
            }
            Some(path) => replace(path, |out| write_arrays(out, chosen, target.format))
                .map_err(io::Error::other)?,
        }
    }
    Ok(())
}
