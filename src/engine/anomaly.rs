//! Looking for the operation that first gives NaN or infinity.
//!
//! While the search is on, every program is interpreted operation by operation before it is compiled
//! and run.

use super::build::{Pattern, build};
use super::interpret::{environment, inputs_of, interpreter_error};
use super::trace::Trace;
use crate::error::{Error, ErrorKind, Result};
use crate::scoped::Scoped;
use lazulite_ir::{Array, Graph, Node, NodeId, Op, Scalar, Type, interpret_in};
use std::cell::Cell;

thread_local! {
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
}

/// True while the search is on, on this thread.
pub(crate) fn searching() -> bool {
    SEARCHING.get()
}

/// Runs `f`; on this thread, whatever is computed meanwhile (values as well as gradients) fails with
/// an error that names the first operation, with its source line, which gives NaN or infinity although
/// its operands are finite. This is slow.
///
/// ```
/// use lazulite::{detect_anomaly, prelude::*};
/// let x = Tensor::from_vec(vec![4.0f32, 0.0], [2]).with_grad();
/// let loss = (x.sqrt() * 0.0).sum(..);
/// let error = detect_anomaly(|| loss.backward()).unwrap_err();
/// // The gradient of the root at 0.
/// assert!(error.to_string().contains("gradient"));
/// ```
pub fn detect_anomaly<R>(f: impl FnOnce() -> R) -> R {
    let _searching = Scoped::set(&SEARCHING, true);
    f()
}

/// The error, if an operation of the program gives what is not finite.
#[track_caller]
pub(super) fn search(trace: &Trace) -> Result<()> {
    let pattern = Pattern::constant(trace);
    let graph = build(trace, &pattern, "realize")?;
    let failed = |e: String| Error::new(ErrorKind::Internal, "detect_anomaly", e);
    let mut graph = lazulite_passes::inline(&graph).map_err(|e| failed(e.to_string()))?;
    let watched: Vec<NodeId> = graph
        .ids()
        .filter(|&id| has_fractions(graph.node(id)))
        .collect();
    graph.set_outputs(watched.iter().copied());
    let inputs = inputs_of(trace)?;
    let values = interpret_in(&graph, &inputs, environment()).map_err(interpreter_error)?;
    let mut finite = vec![true; graph.nodes().len()];
    for (&id, value) in watched.iter().zip(&values) {
        finite[id.index()] = is_finite(value);
        let node = graph.node(id);
        let given = matches!(node.op, Op::Input { .. } | Op::Const { .. });
        if !finite[id.index()] && !given && node.inputs.iter().all(|i| finite[i.index()]) {
            return Err(found(&graph, id, value));
        }
    }
    Ok(())
}

fn has_fractions(node: &Node) -> bool {
    match &node.ty {
        Type::Tensor(ty) => ty.dtype.is_inexact(),
        Type::Tuple(_) => false,
    }
}

fn is_finite(value: &Array) -> bool {
    value.scalars().all(finite)
}

fn finite(value: Scalar) -> bool {
    let (re, im) = value.as_complex();
    re.is_finite() && im.is_finite()
}

fn found(graph: &Graph, id: NodeId, value: &Array) -> Error {
    let node = graph.node(id);
    let mut each = value.scalars().enumerate();
    let (at, what) = match each.find(|(_, s)| !finite(*s)) {
        Some((at, s)) if s.as_f64().is_nan() => (at, "NaN"),
        Some((at, _)) => (at, "infinity"),
        None => (0, "what is not finite"),
    };
    let source = graph.source(id);
    let trail = source.map_or("", |s| &s.trail);
    let within = if trail.is_empty() {
        String::new()
    } else {
        format!(" (in {trail})")
    };
    let message = format!(
        "`{}`{within} gives {what} at element {at}, from finite operands",
        node.op.mnemonic()
    );
    let place = source.map(|s| s.place());
    Error::new(ErrorKind::Fault, "detect_anomaly", message).located(place.unwrap_or_default())
}
