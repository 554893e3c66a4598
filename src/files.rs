//! Tensors in files: one in `.npy`, several by name in `.safetensors`, `.npz` and JSON. Files are written whole or not
//! at all.

use crate::compile::host_value_of;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Tensor, internal};
use lazulite_codegen::element;
use lazulite_ir::{DType, Dim, TensorType};
use lazulite_runtime::files::{self, Format};
use lazulite_runtime::{Array, Element};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;

impl Tensor {
    /// Reads a tensor from an `.npy` file.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    #[track_caller]
    pub fn load(path: impl AsRef<Path>) -> Result<Tensor> {
        let path = path.as_ref();
        let _scope = Scope::pin();
        let bytes = files::read_bytes(path).map_err(|e| error("load", e))?;
        let array = files::read_npy(&bytes).map_err(|e| at("load", path, &e))?;
        from_array(array)
    }

    /// Computes the tensor and writes it to an `.npy` file.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let path = std::env::temp_dir().join("lazulite-doc.npy");
    /// Tensor::arange(0, 6, 1).reshape([2, 3]).save(&path)?;
    /// assert_eq!(Tensor::load(&path)?.dims()?, [2, 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// # Errors
    /// When it cannot be computed or the file not be written; `bf16` has no name in `.npy`.
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let _scope = Scope::pin();
        let array = to_array(&self.realize()?)?;
        let written = files::replace(path.as_ref(), |out| files::write_npy(out, &array));
        written.map_err(|e| error("save", e))
    }
}

/// The format that a file's name tells, if arrays have names in it.
fn named_format(op: &'static str, path: &Path) -> Result<Format> {
    let extension = path.extension().and_then(OsStr::to_str);
    let format = extension.and_then(Format::from_name);
    format.filter(|format| format.is_named()).ok_or_else(|| {
        let message = "the name must end in .safetensors, .npz or .json, where tensors have names";
        at(op, path, message)
    })
}

/// Reads all tensors of a `.safetensors`, `.npz` or `.json` file, in its order. Whole numbers in JSON are i64,
/// other numbers f32.
///
/// # Errors
/// When the file cannot be read or holds something else.
#[track_caller]
pub fn load_tensors(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    let _scope = Scope::pin();
    let path = path.as_ref();
    read_tensors(path, named_format("load", path)?)
}

/// Reads what [`save_tensors_durably`] wrote, whatever the file is called.
#[track_caller]
pub(crate) fn load_safetensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    read_tensors(path, Format::Safetensors)
}

#[track_caller]
fn read_tensors(path: &Path, format: Format) -> Result<Vec<(String, Tensor)>> {
    let _scope = Scope::pin();
    let bytes = files::read_bytes(path).map_err(|e| error("load", e))?;
    let arrays = files::read_arrays(format, &bytes, &|_| None);
    let mut tensors = Vec::new();
    for (name, array) in arrays.map_err(|e| at("load", path, &e))? {
        let unnamed = || at("load", path, "expected an object of arrays by name");
        tensors.push((name.ok_or_else(unnamed)?, from_array(array)?));
    }
    Ok(tensors)
}

/// Computes tensors and writes them under their names to a `.safetensors`, `.npz` or `.json` file.
///
/// ```
/// use lazulite::prelude::*;
/// let path = std::env::temp_dir().join("lazulite-doc.npz");
/// lazulite::save_tensors(&path, &[("x", &Tensor::ones([2]))])?;
/// assert_eq!(lazulite::load_tensors(&path)?[0].0, "x");
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// # Errors
/// When they cannot be computed or the file not be written. `complex128` has no name in `.safetensors`, `bf16` none in
/// `.npz`, and JSON has no complex numbers.
#[track_caller]
pub fn save_tensors(path: impl AsRef<Path>, tensors: &[(&str, &Tensor)]) -> Result<()> {
    let _scope = Scope::pin();
    let path = path.as_ref();
    let format = named_format("save", path)?;
    write_tensors(tensors, format, |write| files::replace(path, write))
}

/// As [`save_tensors`], always in the `.safetensors` format; the file is safe on disk before it takes the place of an
/// old one.
#[track_caller]
pub(crate) fn save_tensors_durably(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<()> {
    let replace = |write: &mut WriteTo<'_>| files::replace_durably(path, write);
    write_tensors(tensors, Format::Safetensors, replace)
}

/// What fills a file.
type WriteTo<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

#[track_caller]
fn write_tensors(
    tensors: &[(&str, &Tensor)],
    format: Format,
    replace: impl FnOnce(&mut WriteTo<'_>) -> Result<(), String>,
) -> Result<()> {
    let _scope = Scope::pin();
    let mut names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("two tensors are called `{}`", twice[0]);
        return Err(Error::new(ErrorKind::Argument, "save", message).at(Place::here()));
    }
    let all: Vec<&Tensor> = tensors.iter().map(|(_, t)| *t).collect();
    crate::tensor::realize_all(&all)?;
    let arrays: Vec<Array> = all.into_iter().map(to_array).collect::<Result<_>>()?;
    let names = tensors.iter().map(|(name, _)| *name);
    let named: Vec<(&str, &Array)> = names.zip(&arrays).collect();
    let written = replace(&mut |out| files::write_arrays(out, &named, format));
    written.map_err(|e| error("save", e))
}

#[track_caller]
fn error(op: &'static str, message: String) -> Error {
    Error::new(ErrorKind::File, op, message).at(Place::here())
}

#[track_caller]
fn at(op: &'static str, path: &Path, message: &str) -> Error {
    error(op, format!("{}: {message}", path.display()))
}

/// A realised tensor as the runtime's array.
pub(crate) fn to_array(tensor: &Tensor) -> Result<Array> {
    let node = tensor.node()?;
    let dims = node.ty.const_dims();
    let dims = dims.ok_or_else(|| internal("save", "a value has an unknown size"))?;
    Ok(Array {
        element: element(node.ty.dtype),
        dims: dims.to_vec(),
        data: host_value_of(tensor)?,
    })
}

/// The element type by its name, which is the same everywhere.
pub(crate) fn dtype(element: Element) -> Result<DType> {
    DType::from_name(element.name()).ok_or_else(|| internal("load", "an unknown element type"))
}

/// The runtime's array as a tensor.
#[track_caller]
pub(crate) fn from_array(array: Array) -> Result<Tensor> {
    let dtype = dtype(array.element)?;
    // Dims of real values are far below the limit.
    let dims = array.dims.iter().map(|d| Dim::constant(*d as i64));
    Ok(Tensor::leaf(TensorType::new(dtype, dims), array.data))
}
