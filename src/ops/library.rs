//! Library functions as operations: transforms and decompositions that no generated kernel does well.

use super::composite::bad_argument;
use crate::error::{Error, ErrorKind, Result};
use crate::indexed::{Indexed, Noun};
use crate::tensor::{Tensor, internal, primitive_many};
use lazulite_codegen::check_foreign;
use lazulite_ir::{Custom, DType, Op, TensorType};

/// Records a call of library function `name` (without its scalar type, which is `scalar`) on operands
/// taken as they are. `op` is the operation that errors speak of; if there is an error, all results
/// carry it.
#[track_caller]
pub(crate) fn library(
    op: &'static str,
    name: &str,
    scalar: DType,
    results: Vec<TensorType>,
    inputs: &[&Tensor],
) -> Vec<Tensor> {
    let count = results.len();
    let name = format!("{name}.{scalar}");
    match check(op, &name, &results, inputs) {
        Ok(()) => {
            let target = Custom::Library(name.into());
            let _told = Indexed::of(op, Noun::Function, inputs).scope();
            primitive_many(op, Op::Custom { target, results }, inputs, count)
        }
        Err(e) => vec![Tensor::error(e); count],
    }
}

/// As [`library`], for functions of one result.
#[track_caller]
pub(crate) fn library_one(
    op: &'static str,
    name: &str,
    scalar: DType,
    result: TensorType,
    inputs: &[&Tensor],
) -> Tensor {
    let result = library(op, name, scalar, vec![result], inputs).pop();
    result.unwrap_or_else(|| Tensor::error(internal(op, "no result")))
}

fn check(op: &'static str, name: &str, results: &[TensorType], inputs: &[&Tensor]) -> Result<()> {
    let mut operands = Vec::with_capacity(inputs.len());
    for input in inputs {
        operands.push(&*input.node()?.ty);
    }
    if !cfg!(feature = "foreign") {
        let message = format!("this build has no library functions, {op} needs {name}");
        return Err(Error::new(ErrorKind::Unsupported, op, message)
            .hint("enable the crate's feature `foreign`"));
    }
    let results: Vec<&TensorType> = results.iter().collect();
    check_foreign(name, &operands, &results).map_err(|message| bad_argument(op, message))
}
