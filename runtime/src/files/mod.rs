//! Arrays in files: `.npy`, `.npz`, `.safetensors`, JSON, and raw bytes; and the files that a command line names for
//! inputs and results.
//!
//! Readers take any bytes and give arrays or a message that says what was expected; they hold no more memory
//! than the file is long, or what it holds when decompressed. Writers put a whole file in place of the old one
//! or leave that as it was.

mod inflate;
mod inputs;
mod json;
mod nested;
mod npy;
mod npz;
mod results;
mod safetensors;

pub use inputs::{complete_inputs, read_inputs};
pub use nested::{read_json, write_json};
pub use npy::{read_npy, write_npy};
pub use npz::{read_npz, write_npz};
pub use results::{Target, deliver, plan_results};
pub use safetensors::write_safetensors_texts;
pub use safetensors::{Texts, read_safetensors, read_safetensors_texts, write_safetensors};

use crate::{Array, Buffer, Element};
use rustc_hash::FxHashSet;
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
    Npz,
    /// Several arrays by name.
    Safetensors,
    /// Nested lists of numbers, by name or one alone.
    Json,
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
        extension.and_then(Format::from_name).ok_or_else(|| {
            let path = path.display();
            format!("{path}: the name must end in .npy, .npz, .safetensors, .json or .raw")
        })
    }

    /// The format that is called so.
    pub fn from_name(name: &str) -> Option<Format> {
        Some(match name.to_ascii_lowercase().as_str() {
            "npy" => Format::Npy,
            "npz" => Format::Npz,
            "safetensors" => Format::Safetensors,
            "json" => Format::Json,
            "raw" | "bin" => Format::Raw,
            _ => return None,
        })
    }

    /// The format of a file that begins like this; raw elements begin like nothing.
    pub fn of_bytes(bytes: &[u8]) -> Option<Format> {
        let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
        match bytes {
            _ if bytes.starts_with(b"\x93NUMPY") => Some(Format::Npy),
            _ if bytes.starts_with(b"PK") => Some(Format::Npz),
            // The length of the header, and the header's first byte.
            [_, _, _, _, _, _, _, 0, b'{', ..] => Some(Format::Safetensors),
            _ if first.is_some_and(|b| matches!(b, b'{' | b'[')) => Some(Format::Json),
            _ => None,
        }
    }

    /// Whether arrays have names in it.
    pub fn is_named(self) -> bool {
        match self {
            Format::Npz | Format::Safetensors | Format::Json => true,
            Format::Npy | Format::Raw => false,
        }
    }
}

/// A file, perhaps for an input or result of a certain name. `-` is a standard stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    /// The name.
    pub name: Option<String>,
    /// The file.
    pub path: OsString,
}

impl NamedFile {
    /// `NAME=FILE` or `FILE`. What stands before the first `=` is a name if it has no `/`.
    pub fn parse(text: OsString) -> NamedFile {
        let split = text.to_str().and_then(|t| t.split_once('='));
        match split.filter(|(name, _)| !name.is_empty() && !name.contains('/')) {
            Some((name, path)) => NamedFile {
                name: Some(name.into()),
                path: path.into(),
            },
            None => NamedFile {
                name: None,
                path: text,
            },
        }
    }

    /// Whether this is a standard stream.
    pub fn is_stream(&self) -> bool {
        self.path == "-"
    }
}

/// The arrays in a file of any format but raw, by name where they have one. `wanted` says which element type
/// they are to have where the format does not.
///
/// # Errors
/// When the bytes are anything else.
pub fn read_arrays(
    format: Format,
    bytes: &[u8],
    wanted: &dyn Fn(Option<&str>) -> Option<Element>,
) -> Result<Vec<(Option<String>, Array)>, String> {
    let named = |arrays: Vec<(String, Array)>| {
        let arrays = arrays.into_iter();
        arrays.map(|(name, array)| (Some(name), array)).collect()
    };
    match format {
        Format::Npy => read_npy(bytes).map(|array| vec![(None, array)]),
        Format::Npz => read_npz(bytes).map(named),
        Format::Safetensors => read_safetensors(bytes).map(named),
        Format::Json => read_json(bytes, wanted),
        Format::Raw => Err("raw elements do not tell their type and dims".into()),
    }
}

/// Writes arrays under their names, or one alone in formats without names.
///
/// # Errors
/// When `out` fails, the format has no name for a type, or holds one array and there are others.
pub fn write_arrays(
    out: &mut dyn Write,
    arrays: &[(&str, &Array)],
    format: Format,
) -> io::Result<()> {
    let one = || match arrays {
        [(_, array)] => Ok(*array),
        _ => Err(io::Error::other("this format holds one array")),
    };
    match format {
        Format::Npy => write_npy(out, one()?),
        Format::Npz => write_npz(out, arrays),
        Format::Safetensors => write_safetensors(out, arrays),
        Format::Json => write_json(out, arrays),
        Format::Raw => out.write_all(one()?.data.as_bytes()),
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
    // A link stays one: what it points to is replaced.
    let target = path.canonicalize();
    let path = target.as_deref().unwrap_or(path);
    if std::fs::metadata(path).is_ok_and(|known| !known.is_file()) {
        return fill(path, write).map_err(|e| format!("{}: {e}", path.display()));
    }
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

/// Writes to what is no regular file, such as a device or a pipe, and stays what it is.
fn fill(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = io::BufWriter::with_capacity(1 << 16, File::options().write(true).open(path)?);
    write(&mut file)?;
    file.flush()
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

/// The bytes of an array, counted as for every tensor: sizes stay numbers that programs can compute with.
fn byte_count(element: Element, dims: &[usize]) -> Result<usize, String> {
    let bytes = dims.iter().try_fold(element.bytes(), |n, d| {
        let more = n.checked_mul((*d).max(1))?;
        (more <= i64::MAX as usize).then_some(more)
    });
    match bytes {
        Some(_) if dims.contains(&0) => Ok(0),
        Some(bytes) => Ok(bytes),
        None => Err(format!(
            "dims {dims:?} are too large: a tensor may have at most 2^63 - 1 bytes, counting axes of size 0 as 1"
        )),
    }
}

/// Checks that `found` bytes are those of an array.
fn check_length(element: Element, dims: &[usize], found: usize) -> Result<(), String> {
    match byte_count(element, dims)? {
        expected if expected == found => Ok(()),
        expected => Err(format!(
            "{expected} bytes of elements were expected, {found} are there"
        )),
    }
}

/// Refuses names that occur more than once: nobody can tell which array is meant.
fn check_distinct<'a>(mut names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = FxHashSet::default();
    match names.find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(twice) => Err(format!("the name {twice:?} is given twice")),
    }
}

/// An array of elements that lie in `data`, which must have exactly their number.
fn array(element: Element, dims: Vec<usize>, data: &[u8]) -> Result<Array, String> {
    check_length(element, &dims, data.len())?;
    // Everything that is not 0 is true, and only 1 is true in here.
    let canonical: Option<Vec<u8>> = (element == Element::Bool && data.iter().any(|b| *b > 1))
        .then(|| data.iter().map(|b| u8::from(*b != 0)).collect());
    Ok(Array {
        element,
        dims,
        data: Buffer::from_bytes(canonical.as_deref().unwrap_or(data))
            .map_err(|e| e.to_string())?,
    })
}

/// The elements alone, as the caller says they are.
///
/// # Errors
/// When there are more or fewer bytes.
pub fn read_raw(bytes: &[u8], element: Element, dims: Vec<usize>) -> Result<Array, String> {
    array(element, dims, bytes)
}
