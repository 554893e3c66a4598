//! Results to files or to the screen.

use crate::Failure;
use crate::arguments::NamedFile;
use crate::show::show;
use lazulite_runtime::files::{self, Format};
use lazulite_runtime::{Array, Interface};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where results go.
#[derive(Debug)]
pub enum Target {
    /// All of them as text on the screen.
    Screen,
    /// One as `.npy` on standard output.
    Stream(usize),
    /// One into a file.
    File(usize, PathBuf, Format),
    /// All of them by name into a file.
    All(PathBuf),
}

/// Where results go, found out before anything is computed.
pub fn plan(interface: &Interface, files: &[NamedFile]) -> Result<Vec<Target>, String> {
    if files.is_empty() {
        return Ok(vec![Target::Screen]);
    }
    let mut next = 0;
    let mut targets = Vec::with_capacity(files.len());
    for file in files {
        let path = Path::new(&file.path);
        let format = match file.is_stream() {
            true => None,
            false => Some(Format::of(path)?),
        };
        if format == Some(Format::Safetensors) && file.name.is_none() {
            targets.push(Target::All(path.to_owned()));
            continue;
        }
        let at = match &file.name {
            Some(name) => interface.outputs.iter().position(|p| p.name == *name),
            None => {
                next += 1;
                Some(next - 1).filter(|at| *at < interface.outputs.len())
            }
        };
        let names: Vec<&str> = interface.outputs.iter().map(|p| p.name.as_str()).collect();
        let (shown, names) = (path.display(), names.join(", "));
        let at = at.ok_or_else(|| format!("-o {shown}: there is no such result, only {names}"))?;
        targets.push(match format {
            None => Target::Stream(at),
            Some(format) => Target::File(at, path.to_owned(), format),
        });
    }
    Ok(targets)
}

/// Writes the results, each file whole or not at all.
pub fn deliver(
    screen: &mut impl Write,
    interface: &Interface,
    arrays: &[Array],
    targets: &[Target],
) -> Result<(), Failure> {
    for target in targets {
        match target {
            Target::Screen => {
                for (port, array) in interface.outputs.iter().zip(arrays) {
                    writeln!(screen, "{} {}", port.name, array.describe())?;
                    show(screen, array)?;
                }
            }
            Target::Stream(at) => files::write_npy(screen, &arrays[*at])?,
            Target::File(at, path, format) => {
                let array = &arrays[*at];
                let name = interface.outputs[*at].name.as_str();
                files::replace(path, |out| write_one(out, name, array, *format))?;
            }
            Target::All(path) => {
                let names = interface.outputs.iter().map(|p| p.name.as_str());
                let all: Vec<(&str, &Array)> = names.zip(arrays).collect();
                files::replace(path, |out| files::write_safetensors(out, &all))?;
            }
        }
    }
    Ok(screen.flush()?)
}

fn write_one(out: &mut dyn Write, name: &str, array: &Array, format: Format) -> io::Result<()> {
    match format {
        Format::Npy => files::write_npy(out, array),
        Format::Safetensors => files::write_safetensors(out, &[(name, array)]),
        Format::Raw => out.write_all(array.data.as_bytes()),
    }
}
