//! Arrays in files: `.npy`, `.safetensors`, and raw bytes.
//!
//! Readers take any bytes and give arrays or a message that says what was expected; they hold no more memory
//! than the file is long. Writers put a whole file in place of the old one or leave that as it was.

mod json;
mod npy;
mod safetensors;

pub use npy::{read_npy, write_npy};
pub use safetensors::{read_safetensors, write_safetensors};

use crate::{Array, Buffer, Element};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

/// File formats, told by extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One array.
    Npy,
    /// Several arrays by name.
    Safetensors,
    /// The elements of one array, without type and dims.
    Raw,
}

impl Format {
    /// The format of a file of this name.
    ///
    /// # Errors
    /// When the name has another extension or none.
    pub fn of(path: &Path) -> Result<Format, String> {
        let extension = path.extension().and_then(OsStr::to_str);
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("npy") => Ok(Format::Npy),
            Some("safetensors") => Ok(Format::Safetensors),
            Some("raw" | "bin") => Ok(Format::Raw),
            Some(_) | None => Err(format!(
                "{}: the name must end in .npy, .safetensors or .raw",
                path.display()
            )),
        }
    }
}

/// All bytes of a file.
///
/// # Errors
/// When it cannot be read; with its name.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// All bytes of a file as a buffer.
///
/// # Errors
/// As for [`read_bytes`].
pub fn read_buffer(path: &Path) -> Result<Buffer, String> {
    let read = || {
        let mut file = File::open(path)?;
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let buffer = Buffer::read(&mut file, len)?;
        match file.read(&mut [0])? {
            0 => Ok(buffer),
            _ => Err(io::Error::other("the file grew while it was read")),
        }
    };
    read().map_err(|e| format!("{}: {e}", path.display()))
}

/// Writes a file through `write`: whole and in place of the old one, or not at all.
///
/// # Errors
/// When it cannot be written; with its name.
pub fn replace(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    replace_with(path, Kind::Plain, write)
}

/// As [`replace`]; the new file is safe on disk before it takes the old one's place, and in its place when this
/// returns.
///
/// # Errors
/// As for [`replace`].
pub fn replace_durably(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    replace_with(path, Kind::Durable, write)
}

/// As [`replace`]; the file can be executed by who may read it.
///
/// # Errors
/// As for [`replace`].
pub fn replace_executable(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    replace_with(path, Kind::Executable, write)
}

/// What is special about a file that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Durable,
    Executable,
}

fn replace_with(
    path: &Path,
    kind: Kind,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let made = || {
        let mut file = io::BufWriter::with_capacity(1 << 16, create(&part, kind)?);
        write(&mut file)?;
        let file = file.into_inner().map_err(|e| e.into_error())?;
        if kind == Kind::Durable {
            file.sync_all()?;
        }
        drop(file);
        std::fs::rename(&part, path)?;
        match kind {
            Kind::Durable => sync_folder(path),
            Kind::Plain | Kind::Executable => Ok(()),
        }
    };
    made().map_err(|e: io::Error| {
        // It may not exist; then there is nothing to remove.
        let _ = std::fs::remove_file(&part);
        format!("{}: {e}", path.display())
    })
}

/// Makes a new name in a folder last. Where folders cannot be opened as files, the system sees to it.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

fn create(path: &Path, kind: Kind) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(if kind == Kind::Executable {
            0o777
        } else {
            0o666
        });
    }
    #[cfg(not(unix))]
    let _ = kind;
    options.open(path)
}

/// The bytes of an array, counted with care.
fn byte_count(element: Element, dims: &[usize]) -> Result<usize, String> {
    let too_large = || format!("dims {dims:?} are too large");
    let count = match dims.contains(&0) {
        true => Some(0),
        false => dims
            .iter()
            .try_fold(element.bytes(), |n, d| n.checked_mul(*d)),
    };
    count.ok_or_else(too_large)
}

/// An array of elements that lie in `data`, which must have exactly their number.
fn array(element: Element, dims: Vec<usize>, data: &[u8]) -> Result<Array, String> {
    let expected = byte_count(element, &dims)?;
    if data.len() != expected {
        return Err(format!(
            "{expected} bytes of elements were expected, {} are there",
            data.len()
        ));
    }
    Ok(Array {
        element,
        dims,
        data: Buffer::from_bytes(data).map_err(|e| e.to_string())?,
    })
}

/// The elements alone, as the caller says they are.
///
/// # Errors
/// When there are more or fewer bytes.
pub fn read_raw(bytes: &[u8], element: Element, dims: Vec<usize>) -> Result<Array, String> {
    array(element, dims, bytes)
}
