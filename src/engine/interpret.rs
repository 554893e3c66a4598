//! The other way to a value: the reference interpreter, for comparison.

use super::Values;
use super::build::{Pattern, build};
use super::trace::Trace;
use crate::device::Value;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::internal;
use lazulite_codegen::foreign_function;
use lazulite_ir::{Array, Environment, Fault, InterpError, interpret_in};
use lazulite_runtime::Buffer;

/// Computes a trace's roots without compiling anything.
#[track_caller]
pub(super) fn run(trace: &Trace) -> Result<Values> {
    let graph = build(trace, &Pattern::constant(trace), "realize")?;
    let inputs = inputs_of(trace)?;
    let results = interpret_in(&graph, &inputs, environment()).map_err(interpreter_error)?;
    results
        .iter()
        .map(|array| {
            let buffer = Buffer::from_bytes(&array.bytes);
            let buffer = buffer.map_err(|e| super::run::memory_error(&e.to_string()))?;
            Ok(Value::Host(buffer))
        })
        .collect()
}

/// What programs without unknown sizes are interpreted with.
pub(super) fn environment() -> Environment<'static> {
    Environment {
        sizes: &|_| None,
        foreign: &foreign_function,
    }
}

/// The values of a trace's leaves.
#[track_caller]
pub(super) fn inputs_of(trace: &Trace) -> Result<Vec<Array>> {
    let mut inputs = Vec::with_capacity(trace.leaves.len());
    for &leaf in &trace.leaves {
        let listed = &trace.nodes[leaf as usize];
        let known = listed.value.as_ref().zip(listed.node.ty.const_dims());
        let Some((value, dims)) = known else {
            return Err(internal("realize", "a parameter has no value"));
        };
        inputs.push(Array {
            dtype: listed.node.ty.dtype,
            dims: dims.to_vec(),
            bytes: value.to_host()?.as_bytes().to_vec(),
        });
    }
    Ok(inputs)
}

pub(super) fn interpreter_error(error: InterpError) -> Error {
    let kind = match &error {
        InterpError::Fault { .. } => ErrorKind::Fault,
        InterpError::Array(_) => ErrorKind::Memory,
        InterpError::Foreign { .. } | InterpError::NoForeignFunction { .. } => ErrorKind::Host,
        _ => ErrorKind::Internal,
    };
    let message = error.to_string();
    let InterpError::Fault {
        source: Some(source),
        fault,
        ..
    } = error
    else {
        return Error::new(kind, "realize", message);
    };
    let place = source.place();
    let at = match &*source.trail {
        "" => place,
        trail => format!("{place}\n{trail}"),
    };
    let error = Error::new(kind, "realize", message).located(at);
    match fault {
        Fault::Index { axis, value, bound } => error.of_check().of_index(value, bound, Some(axis)),
        Fault::DivisionByZero => error,
    }
}
