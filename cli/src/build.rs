//! `lazulite build`: exported models as executables, object files and static libraries.

use crate::failure::{Failure, refuse_same};
use crate::files::{model, shown};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Arguments {
    /// The model.
    file: PathBuf,
    /// What is written. Headers, and the runtime of objects, are written beside it.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What to make of the model; `sharedlib` makes nothing and says how `cc` makes one.
    #[arg(long, value_enum, default_value = "exe")]
    emit: Emit,
}

/// What a model can be made into.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Emit {
    /// An executable that needs nothing else to run.
    Exe,
    /// An object file, its C header, and the runtime as a static library.
    Obj,
    /// A static library with the runtime in it, and its C header.
    Staticlib,
    /// The C header alone.
    Header,
    /// Nothing: shared libraries are made by a system's linker alone. Says the `cc` command that makes one of a
    /// static library.
    Sharedlib,
}

/// Writes what was asked for and says how to go on.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let target = &arguments.output;
    if arguments.emit == Emit::Sharedlib {
        let message = "shared libraries need a system's linker: write a static library with \
                       --emit staticlib, then `cc -shared -o NAME.so -Wl,--whole-archive NAME.a \
                       -Wl,--no-whole-archive -lm -lpthread -ldl`";
        return Err(Failure::Message(message.into()));
    }
    refuse_same(&arguments.file, target)?;
    let exported = model(&arguments.file)?;
    let start = Instant::now();
    let (files, next) = match arguments.emit {
        Emit::Exe => {
            exported.build_executable(target)?;
            (vec![target.clone()], format!("`{} --help`", shown(target)))
        }
        Emit::Obj => {
            let next = linked(&format!("{} liblazulite.a", name(target)));
            (exported.build_object(target)?, next)
        }
        Emit::Staticlib => (
            exported.build_static_library(target)?,
            linked(&name(target)),
        ),
        Emit::Header | Emit::Sharedlib => {
            exported.build_header(target)?;
            let next = "include it where the object or library is used".into();
            (vec![target.clone()], next)
        }
    };
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    for file in &files {
        writeln!(
            out,
            "{}: {} bytes",
            file.display(),
            std::fs::metadata(file)?.len()
        )?;
    }
    let weights = exported.weight_bytes();
    writeln!(
        out,
        "{weights} bytes of weights, written in {milliseconds:.1} ms"
    )?;
    writeln!(out, "Next: {next}")?;
    Ok(())
}

fn linked(files: &str) -> String {
    format!("`cc main.c {files} -lm -lpthread -ldl`")
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
