//! The runtime's library functions seen from `lazulite-ir`: for its interpreters, and over its types.

use crate::image::element;
use lazulite_ir::{Array, ForeignFn, TensorType};
use lazulite_runtime::{Buffer, Element, Library, Operand, PartialType, Pool, ResultMut, library};
use std::sync::Arc;

/// Holds types against the signature of a library function, as far as sizes are known.
///
/// # Errors
/// When there is no such function, or it does not take or give these types.
pub fn check_foreign(
    name: &str,
    operands: &[&TensorType],
    results: &[&TensorType],
) -> Result<(), String> {
    let function = library(name).ok_or_else(|| format!("there is no library function {name}"))?;
    let partial = |ty: &&TensorType| -> PartialType {
        let known = |d: &lazulite_ir::Dim| d.as_const().and_then(|d| usize::try_from(d).ok());
        (element(ty.dtype), ty.dims.iter().map(known).collect())
    };
    let [operands, results]: [Vec<PartialType>; 2] =
        [operands, results].map(|types| types.iter().map(partial).collect());
    function.check(&operands, &results)
}

/// The library function of this name, over arrays.
pub fn foreign_function(name: &str) -> Option<Arc<ForeignFn>> {
    let function = library(name)?;
    Some(Arc::new(move |operands, results| {
        call(function, operands, results)
    }))
}

fn call(function: Library, operands: &[&Array], results: &mut [Array]) -> Result<(), String> {
    // Functions want memory aligned to its elements, which arrays are not.
    let aligned = |array: &Array| Buffer::from_bytes(&array.bytes).map_err(|e| e.to_string());
    let memory: Vec<Buffer> = operands
        .iter()
        .map(|a| aligned(a))
        .collect::<Result<_, _>>()?;
    let mut written: Vec<Buffer> = results.iter().map(aligned).collect::<Result<_, _>>()?;
    let operands: Vec<Operand<'_>> = operands
        .iter()
        .zip(&memory)
        .map(|(array, buffer)| Operand {
            element: element(array.dtype),
            dims: &array.dims,
            bytes: buffer.as_bytes(),
        })
        .collect();
    let types: Vec<(Element, &[usize])> = results
        .iter()
        .map(|array| (element(array.dtype), &*array.dims))
        .collect();
    let mut places: Vec<ResultMut<'_>> = written
        .iter_mut()
        .zip(types)
        .map(|(buffer, (element, dims))| ResultMut {
            element,
            dims,
            bytes: buffer.get_mut().unwrap_or_default(),
        })
        .collect();
    function.call(&operands, &mut places, &Pool::single())?;
    for (array, buffer) in results.iter_mut().zip(&written) {
        array.bytes.copy_from_slice(buffer.as_bytes());
    }
    Ok(())
}
