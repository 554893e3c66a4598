//! Derivatives of operations that hold graphs, made of derivatives of those graphs.

pub(super) mod branch;
pub(super) mod call;
pub(super) mod loops;
pub(super) mod whiles;

use super::Result;
use super::context::Cx;
use super::forward::{self, Dual, Start};
use super::reverse::{self, Seeded};
use super::tape::Tape;
use crate::build::Emit;
use lazulite_ir::{Graph, NodeId, TensorType};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use call::Calls;

/// The derivative of a graph inside an operation.
#[derive(Clone)]
pub(super) struct Derived {
    pub graph: Arc<Graph>,
    /// Reverse mode: which parameters have a cotangent among the results. Forward mode: which
    /// results have a tangent.
    pub reached: Vec<bool>,
}

/// Reverse mode. The graph takes the parameters of `body` and a cotangent for every result in
/// `seeded`; it gives a cotangent for every parameter of `wanted` that is reached, or that is in
/// `always`.
fn pullback(
    cx: &mut Cx<'_, '_>,
    body: &Graph,
    seeded: &[bool],
    wanted: &[bool],
    always: &[bool],
) -> Result<Derived> {
    let mut inner = cx.inner()?;
    let inputs = inner.inputs_of(body);
    let seeds: Vec<NodeId> = chosen(body.outputs(), seeded);
    let mut cotangents = Vec::with_capacity(seeds.len());
    for &output in &seeds {
        let ty = body.tensor_type(output).clone();
        cotangents.push((output, inner.builder.input(ty)));
    }
    let found = gradients(&mut inner, body, &inputs, &cotangents, wanted)?;
    let (mut results, mut reached) = (Vec::new(), Vec::with_capacity(found.len()));
    for ((gradient, &always), &input) in found.into_iter().zip(always).zip(body.inputs()) {
        reached.push(gradient.is_some());
        match gradient {
            Some(g) => results.push(g),
            None if always => results.push(inner.zeros(body.tensor_type(input))?),
            None => {}
        }
    }
    let graph = Arc::new(inner.builder.finish(results, body));
    Ok(Derived { graph, reached })
}

/// Appends the body, applied to `inputs`, and its reverse sweep; the cotangents of the parameters in
/// `wanted`.
fn gradients(
    cx: &mut Cx<'_, '_>,
    body: &Graph,
    inputs: &[NodeId],
    cotangents: &[(NodeId, NodeId)],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let wrt = chosen(body.inputs(), wanted);
    let targets: Vec<NodeId> = cotangents.iter().map(|c| c.0).collect();
    let tape = Tape::record(cx, body, inputs, &wrt, &targets, targets.clone())?;
    let seeds = cotangents.iter().map(|&(node, cotangent)| Seeded {
        node,
        cotangent,
        replaces: false,
    });
    let found = reverse::sweep(cx, &tape, &seeds.collect::<Vec<_>>())?;
    let wanted = body.inputs().iter().zip(wanted);
    let of = |(input, wanted): (&NodeId, &bool)| found[input.index()].filter(|_| *wanted);
    Ok(wanted.map(of).collect())
}

/// Forward mode. The graph takes the parameters of `body` and a tangent for every one in `moving`;
/// it gives the results and the tangents of those that have one, or that are in `always`.
fn pushforward(
    cx: &mut Cx<'_, '_>,
    body: &Graph,
    moving: &[bool],
    always: &[bool],
) -> Result<Derived> {
    let mut inner = cx.inner()?;
    let inputs = inner.inputs_of(body);
    let mut starts = BTreeMap::new();
    for input in chosen(body.inputs(), moving) {
        let tangent = inner.builder.input(body.tensor_type(input).clone());
        starts.insert(input, Start::Value(tangent));
    }
    let (mut results, tangents) = forward::sweep(&mut inner, body, &inputs, &starts)?;
    let mut reached = Vec::with_capacity(tangents.len());
    for ((tangent, &always), &output) in tangents.into_iter().zip(always).zip(body.outputs()) {
        reached.push(tangent.is_some());
        match tangent {
            Some(t) => results.push(t),
            None if always => results.push(inner.zeros(body.tensor_type(output))?),
            None => {}
        }
    }
    let graph = Arc::new(inner.builder.finish(results, body));
    Ok(Derived { graph, reached })
}

/// The entries of `list` that are marked.
fn chosen<T: Clone>(list: &[T], marks: &[bool]) -> Vec<T> {
    let marked = list.iter().zip(marks).filter(|(_, marked)| **marked);
    marked.map(|(entry, _)| entry.clone()).collect()
}

/// The results of a tuple from number `first` on, one for every mark; `None` without.
fn marked_results(
    cx: &mut Cx<'_, '_>,
    tuple: NodeId,
    first: usize,
    marks: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let mut at = first;
    let mut results = Vec::with_capacity(marks.len());
    for &marked in marks {
        results.push(if marked {
            Some(cx.get(tuple, at)?)
        } else {
            None
        });
        at += usize::from(marked);
    }
    Ok(results)
}

/// Values and behind them tangents, from result `first` on.
fn duals_of(
    cx: &mut Cx<'_, '_>,
    tuple: NodeId,
    first: usize,
    moving: &[bool],
) -> Result<Vec<Dual>> {
    let tangents = marked_results(cx, tuple, first + moving.len(), moving)?;
    let mut duals = Vec::with_capacity(moving.len());
    for (i, tangent) in tangents.into_iter().enumerate() {
        let value = cx.get(tuple, first + i)?;
        duals.push(Dual { value, tangent });
    }
    Ok(duals)
}

/// The values, then the tangents that are there.
fn flattened(duals: &[Dual]) -> Vec<NodeId> {
    let values = duals.iter().map(|d| d.value);
    values
        .chain(duals.iter().filter_map(|d| d.tangent))
        .collect()
}

fn types(cx: &Cx<'_, '_>, ids: &[NodeId]) -> Vec<TensorType> {
    ids.iter().map(|&id| cx.ty(id).clone()).collect()
}
