//! Tensors in files: one in `.npy`, several by name in `.safetensors`. Files are written whole or not at all.

use crate::compile::value_of;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{Tensor, internal};
use lazulite_codegen::element;
use lazulite_ir::{DType, Dim, TensorType};
use lazulite_runtime::{Array, Element, files};
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
        let array = to_array(&self.realize()?)?;
        let written = files::replace(path.as_ref(), |out| files::write_npy(out, &array));
        written.map_err(|e| error("save", e))
    }
}

/// Reads all tensors of a `.safetensors` file, in its order.
///
/// # Errors
/// When the file cannot be read or holds something else.
#[track_caller]
pub fn load_tensors(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>> {
    let path = path.as_ref();
    let bytes = files::read_bytes(path).map_err(|e| error("load", e))?;
    let arrays = files::read_safetensors(&bytes).map_err(|e| at("load", path, &e))?;
    let mut tensors = Vec::with_capacity(arrays.len());
    for (name, array) in arrays {
        tensors.push((name, from_array(array)?));
    }
    Ok(tensors)
}

/// Computes tensors and writes them under their names to a `.safetensors` file.
///
/// # Errors
/// When they cannot be computed or the file not be written; `complex128` has no name in it.
#[track_caller]
pub fn save_tensors(path: impl AsRef<Path>, tensors: &[(&str, &Tensor)]) -> Result<()> {
    let path = path.as_ref();
    write_tensors(tensors, |write| files::replace(path, write))
}

/// As [`save_tensors`]; the file is safe on disk before it takes the place of an old one.
#[track_caller]
pub(crate) fn save_tensors_durably(path: &Path, tensors: &[(&str, &Tensor)]) -> Result<()> {
    write_tensors(tensors, |write| files::replace_durably(path, write))
}

#[track_caller]
fn write_tensors(
    tensors: &[(&str, &Tensor)],
    replace: impl FnOnce(&mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> Result<(), String>,
) -> Result<()> {
    let all: Vec<&Tensor> = tensors.iter().map(|(_, t)| *t).collect();
    crate::tensor::realize_all(&all)?;
    let arrays: Vec<Array> = all.into_iter().map(to_array).collect::<Result<_>>()?;
    let names = tensors.iter().map(|(name, _)| *name);
    let named: Vec<(&str, &Array)> = names.zip(&arrays).collect();
    let written = replace(&mut |out| files::write_safetensors(out, &named));
    written.map_err(|e| error("save", e))
}

fn error(op: &'static str, message: String) -> Error {
    Error::new(ErrorKind::File, op, message)
}

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
        data: value_of(tensor)?,
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
