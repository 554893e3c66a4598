//! Inputs from files.

use crate::arguments::NamedFile;
use lazulite_runtime::files::{self, Format};
use lazulite_runtime::{Array, Interface, Port};
use std::io::Read;
use std::path::Path;

/// One array per input of the interface, where a file gives it. A `.safetensors` file gives every input whose
/// name it holds; any other file gives the input that it is named for, or the next one in order.
pub fn read(
    interface: &Interface,
    files: &[NamedFile],
    dims: &[(String, i64)],
) -> Result<Vec<Option<Array>>, String> {
    let mut found: Vec<Option<Array>> = vec![None; interface.inputs.len()];
    // Names first, so that the others fill what is left.
    for file in files.iter().filter(|f| f.name.is_some()) {
        let name = file.name.as_deref().unwrap_or_default();
        let at = interface.inputs.iter().position(|p| p.name == name);
        let at = at.ok_or_else(|| no_input(interface, name))?;
        if found[at].is_some() {
            return Err(format!("input {name} is given twice"));
        }
        found[at] = Some(one(interface, &interface.inputs[at], file, dims)?);
    }
    for file in files.iter().filter(|f| f.name.is_none()) {
        let path = Path::new(&file.path);
        if !file.is_stream() && Format::of(path)? == Format::Safetensors {
            several(interface, path, &mut found)?;
            continue;
        }
        let free = found.iter().position(Option::is_none);
        let count = interface.inputs.len();
        let too_many = || {
            format!(
                "{}: there are only {count} inputs",
                Path::new(&file.path).display()
            )
        };
        let at = free.ok_or_else(too_many)?;
        found[at] = Some(one(interface, &interface.inputs[at], file, dims)?);
    }
    Ok(found)
}

fn no_input(interface: &Interface, name: &str) -> String {
    let names: Vec<&str> = interface.inputs.iter().map(|p| p.name.as_str()).collect();
    format!("there is no input {name}, only {}", names.join(", "))
}

/// The array for one input.
fn one(
    interface: &Interface,
    port: &Port,
    file: &NamedFile,
    dims: &[(String, i64)],
) -> Result<Array, String> {
    let path = Path::new(&file.path);
    let at = |e: String| format!("{}: {e}", path.display());
    if file.is_stream() {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|e| format!("standard input: {e}"))?;
        return files::read_npy(&bytes).map_err(|e| format!("standard input: {e}"));
    }
    let format = Format::of(path)?;
    let bytes = files::read_bytes(path)?;
    match format {
        Format::Npy => files::read_npy(&bytes).map_err(at),
        Format::Safetensors => {
            let arrays = files::read_safetensors(&bytes).map_err(at)?;
            let array = arrays.into_iter().find(|(name, _)| *name == port.name);
            array
                .map(|(_, array)| array)
                .ok_or_else(|| at(format!("holds no {}", port.name)))
        }
        Format::Raw => {
            let shape = raw_shape(interface, port, bytes.len(), dims).map_err(at)?;
            files::read_raw(&bytes, port.ty.element, shape).map_err(at)
        }
    }
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

/// Every input that the file holds by name.
fn several(interface: &Interface, path: &Path, found: &mut [Option<Array>]) -> Result<(), String> {
    let bytes = files::read_bytes(path)?;
    let arrays = files::read_safetensors(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut used = false;
    for (name, array) in arrays {
        let at = interface.inputs.iter().position(|p| p.name == name);
        if let Some(slot) = at.map(|at| &mut found[at]) {
            if slot.is_some() {
                return Err(format!("input {name} is given twice"));
            }
            *slot = Some(array);
            used = true;
        }
    }
    match used {
        true => Ok(()),
        false => {
            let names: Vec<&str> = interface.inputs.iter().map(|p| p.name.as_str()).collect();
            let (path, names) = (path.display(), names.join(", "));
            Err(format!("{path}: holds none of the inputs {names}"))
        }
    }
}

/// The arrays, if none is missing.
pub fn complete(interface: &Interface, found: Vec<Option<Array>>) -> Result<Vec<Array>, String> {
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
    use lazulite_runtime::{Element, Signature, Size};

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
