//! A program's inputs from files.

use super::{Format, NamedFile, read_arrays, read_bytes, read_raw};
use crate::{Array, Element, Interface, Port};
use std::io::Read;
use std::path::Path;

/// One array per input of the interface, where a file gives it. A file that holds arrays by name
/// gives every input whose name it holds; any other file gives the input that it is named for, or the next
/// one in order.
///
/// # Errors
/// When a file cannot be read, holds something else, or belongs to no input.
pub fn read_inputs(
    interface: &Interface,
    files: &[NamedFile],
    dims: &[(String, i64)],
) -> Result<Vec<Option<Array>>, String> {
    let mut reader = Reader {
        interface,
        dims,
        found: vec![None; interface.inputs.len()],
    };
    // Names first, so that the others fill what is left.
    for file in files.iter().filter(|f| f.name.is_some()) {
        let name = file.name.as_deref().unwrap_or_default();
        let at = interface.inputs.iter().position(|p| p.name == name);
        let at = at.ok_or_else(|| no_input(interface, name))?;
        let array = reader.one(&interface.inputs[at], file)?;
        reader.give(at, array)?;
    }
    for file in files.iter().filter(|f| f.name.is_none()) {
        reader.next(file)?;
    }
    Ok(reader.found)
}

fn no_input(interface: &Interface, name: &str) -> String {
    format!("there is no input {name}, only {}", names(interface))
}

fn names(interface: &Interface) -> String {
    let names: Vec<&str> = interface.inputs.iter().map(|p| p.name.as_str()).collect();
    names.join(", ")
}

struct Reader<'a> {
    interface: &'a Interface,
    dims: &'a [(String, i64)],
    found: Vec<Option<Array>>,
}

impl Reader<'_> {
    fn give(&mut self, at: usize, array: Array) -> Result<(), String> {
        match self.found[at].replace(array) {
            None => Ok(()),
            Some(_) => {
                let name = &self.interface.inputs[at].name;
                Err(format!("input {name} is given twice"))
            }
        }
    }

    /// What a file without a name gives.
    fn next(&mut self, file: &NamedFile) -> Result<(), String> {
        let inputs = &self.interface.inputs;
        let free = self.found.iter().position(Option::is_none);
        let (bytes, format) = content(file)?;
        if format == Format::Raw {
            let at = free.ok_or_else(|| self.too_many(file))?;
            let array = self.raw(&inputs[at], &bytes);
            let array = array.map_err(|e| at_file(file, &e))?;
            return self.give(at, array);
        }
        // What has no name is for the next input.
        let wanted = |name: Option<&str>| -> Option<Element> {
            let port = match name {
                Some(name) => inputs.iter().find(|p| p.name == name),
                None => inputs.get(free?),
            };
            Some(port?.ty.element)
        };
        let arrays = read_arrays(format, &bytes, &wanted).map_err(|e| at_file(file, &e))?;
        let mut used = false;
        for (name, array) in arrays {
            let at = match name {
                Some(name) => inputs.iter().position(|p| p.name == name),
                None => Some(free.ok_or_else(|| self.too_many(file))?),
            };
            if let Some(at) = at {
                self.give(at, array)?;
                used = true;
            }
        }
        match used {
            true => Ok(()),
            false => {
                let names = names(self.interface);
                Err(at_file(file, &format!("holds none of the inputs {names}")))
            }
        }
    }

    fn too_many(&self, file: &NamedFile) -> String {
        let count = self.interface.inputs.len();
        let inputs = if count == 1 {
            "is only 1 input"
        } else {
            &format!("are only {count} inputs")
        };
        at_file(file, &format!("there {inputs}"))
    }

    /// The array for one input, by its name or alone in the file.
    fn one(&self, port: &Port, file: &NamedFile) -> Result<Array, String> {
        let (bytes, format) = content(file)?;
        if format == Format::Raw {
            return self.raw(port, &bytes).map_err(|e| at_file(file, &e));
        }
        let arrays = read_arrays(format, &bytes, &|_| Some(port.ty.element));
        let arrays = arrays.map_err(|e| at_file(file, &e))?;
        let mut own = arrays.into_iter();
        let own = own.find(|(name, _)| name.as_ref().is_none_or(|n| *n == port.name));
        let missing = || at_file(file, &format!("holds no {}", port.name));
        own.map(|(_, array)| array).ok_or_else(missing)
    }

    fn raw(&self, port: &Port, bytes: &[u8]) -> Result<Array, String> {
        let shape = raw_shape(self.interface, port, bytes.len(), self.dims)?;
        read_raw(bytes, port.ty.element, shape)
    }
}

fn at_file(file: &NamedFile, message: &str) -> String {
    match file.is_stream() {
        true => format!("standard input: {message}"),
        false => format!("{}: {message}", Path::new(&file.path).display()),
    }
}

/// A file's bytes and format; what comes from standard input tells its format by its first bytes.
fn content(file: &NamedFile) -> Result<(Vec<u8>, Format), String> {
    if file.is_stream() {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|e| at_file(file, &e.to_string()))?;
        let format = Format::of_bytes(&bytes).ok_or_else(|| {
            let message = "neither .npy, .npz, .safetensors nor JSON";
            at_file(file, message)
        })?;
        return Ok((bytes, format));
    }
    let path = Path::new(&file.path);
    let format = Format::of(path)?;
    Ok((read_bytes(path)?, format))
}

/// Dims of an input of `len` bytes that only says its elements: at most one size may be unknown.
fn raw_shape(
    interface: &Interface,
    port: &Port,
    len: usize,
    dims: &[(String, i64)],
) -> Result<Vec<usize>, String> {
    let mut shape = Vec::with_capacity(port.ty.dims.len());
    let mut unknown = None;
    for (axis, dim) in port.ty.dims.iter().enumerate() {
        let text = dim.text(&interface.symbols);
        let given = dims.iter().find(|(name, _)| *name == text).map(|(_, n)| *n);
        match dim.as_constant().or(given).map(usize::try_from) {
            Some(Ok(size)) => shape.push(size),
            Some(Err(_)) | None if unknown.is_none() => {
                unknown = Some(axis);
                shape.push(1);
            }
            Some(Err(_)) | None => {
                return Err(format!("give --dim {text}=N: raw files do not tell sizes"));
            }
        }
    }
    if let Some(axis) = unknown {
        let element = port.ty.element.bytes();
        let row = shape.iter().try_fold(element, |n, d| n.checked_mul(*d));
        let row = row.filter(|row| *row > 0 && len.is_multiple_of(*row));
        let misfit = || format!("{len} bytes are no whole number of rows");
        shape[axis] = len / row.ok_or_else(misfit)?;
    }
    Ok(shape)
}

/// The arrays, if none is missing.
///
/// # Errors
/// Names and types of those that are.
pub fn complete_inputs(
    interface: &Interface,
    found: Vec<Option<Array>>,
) -> Result<Vec<Array>, String> {
    let missing = interface.inputs.iter().zip(&found);
    let missing: Vec<String> = missing
        .filter(|(_, array)| array.is_none())
        .map(|(port, _)| format!("{} {}", port.name, interface.describe(&port.ty)))
        .collect();
    match missing.is_empty() {
        true => Ok(found.into_iter().flatten().collect()),
        false => Err(format!(
            "missing inputs: {}; see --help",
            missing.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Signature, Size};

    #[test]
    fn one_size_of_raw_files_may_be_unknown() {
        let dims = vec![Size::symbol(0), Size::symbol(1), Size::constant(3)];
        let interface = Interface {
            symbols: vec!["n".into(), "m".into()],
            inputs: vec![Port {
                name: "x".into(),
                ty: Signature {
                    element: Element::F32,
                    dims,
                },
            }],
            ..Interface::default()
        };
        let shape =
            |len, dims: &[(String, i64)]| raw_shape(&interface, &interface.inputs[0], len, dims);
        let m = [("m".to_string(), 2)];
        assert_eq!(shape(48, &m), Ok(vec![2, 2, 3]));
        assert_eq!(shape(0, &m), Ok(vec![0, 2, 3]));
        assert!(shape(47, &m).unwrap_err().contains("whole number"));
        assert!(shape(48, &[]).unwrap_err().contains("--dim m=N"));
    }
}
