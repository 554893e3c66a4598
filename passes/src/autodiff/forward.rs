//! The forward sweep: values and tangents together, operation by operation.

use super::Result;
use super::context::Cx;
use super::linearise::{Applied, is_differentiable, linearise};
use super::region;
use super::reverse::add;
use crate::build::Emit;
use lazulite_ir::{Graph, Inputs, NodeId, Op};
use std::collections::BTreeMap;

/// Where the given tangent of a node comes from.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// A node of the graph under construction.
    Value(NodeId),
    /// A node of the graph that is differentiated.
    Node(NodeId),
}

/// A value with its tangent.
#[derive(Clone, Copy)]
pub(super) struct Dual {
    pub value: NodeId,
    pub tangent: Option<NodeId>,
}

/// What a node has become.
enum Slot {
    Tensor(Dual),
    Tuple(Vec<Dual>),
}

/// Copies the graph into the one under construction, with tangents; the results' values, and their
/// tangents where there are any.
pub(super) fn sweep(
    cx: &mut Cx<'_, '_>,
    graph: &Graph,
    inputs: &[NodeId],
    starts: &BTreeMap<NodeId, Start>,
) -> Result<(Vec<NodeId>, Vec<Option<NodeId>>)> {
    let mut slots: Vec<Option<Slot>> = graph.ids().map(|_| None).collect();
    for (&input, &value) in graph.inputs().iter().zip(inputs) {
        slots[input.index()] = Some(Slot::Tensor(Dual {
            value,
            tangent: None,
        }));
    }
    let nodes = starts.values().filter_map(|s| match s {
        Start::Node(node) => Some(*node),
        Start::Value(_) => None,
    });
    let live = super::activity::ancestors(graph, graph.outputs().iter().copied().chain(nodes));
    for id in graph.ids().filter(|id| live[id.index()]) {
        let node = graph.node(id);
        if !matches!(node.op, Op::Input { .. }) {
            let slot = match node.op {
                Op::Get { index } => get(cx, &slots, node.inputs[0], index as usize)?,
                _ => {
                    let operands = duals(cx, &slots, &node.inputs)?;
                    push(cx, graph, id, &operands)?
                }
            };
            slots[id.index()] = Some(slot);
        }
        let given = match starts.get(&id) {
            Some(Start::Value(tangent)) => *tangent,
            Some(Start::Node(node)) => dual(cx, &slots, *node)?.value,
            None => continue,
        };
        if let Some(Slot::Tensor(dual)) = &mut slots[id.index()] {
            add(cx, &mut dual.tangent, given)?;
        }
    }
    let results = duals(cx, &slots, graph.outputs())?;
    Ok(results.iter().map(|d| (d.value, d.tangent)).unzip())
}

fn dual(cx: &Cx<'_, '_>, slots: &[Option<Slot>], id: NodeId) -> Result<Dual> {
    match &slots[id.index()] {
        Some(Slot::Tensor(dual)) => Ok(*dual),
        Some(Slot::Tuple(_)) | None => Err(cx.none(format!("%{} is no tensor", id.0))),
    }
}

fn duals(cx: &Cx<'_, '_>, slots: &[Option<Slot>], ids: &[NodeId]) -> Result<Vec<Dual>> {
    ids.iter().map(|&id| dual(cx, slots, id)).collect()
}

fn get(cx: &Cx<'_, '_>, slots: &[Option<Slot>], tuple: NodeId, index: usize) -> Result<Slot> {
    match &slots[tuple.index()] {
        Some(Slot::Tuple(results)) => Ok(Slot::Tensor(results[index])),
        Some(Slot::Tensor(_)) | None => Err(cx.none(format!("%{} is no tuple", tuple.0))),
    }
}

/// Copies an operation and finds the tangents of what it gives.
fn push(cx: &mut Cx<'_, '_>, graph: &Graph, id: NodeId, operands: &[Dual]) -> Result<Slot> {
    let node = graph.node(id);
    let moves = operands.iter().any(|d| d.tangent.is_some());
    if moves {
        cx.at_derivative_of(graph.source(id));
        let results = match &node.op {
            Op::Call { .. } | Op::Custom { .. } => {
                Some(region::call::push(cx, &node.op, operands)?)
            }
            Op::If { then, other } => Some(region::branch::push(cx, [then, other], operands)?),
            Op::Loop { .. } => Some(region::loops::push(cx, &node.op, operands)?),
            Op::While { .. } => Some(region::whiles::push(cx, &node.op, operands)?),
            _ => None,
        };
        if let Some(results) = results {
            return Ok(Slot::Tuple(results));
        }
    }
    cx.builder.at_origin(graph.origin(id));
    let mut inputs: Inputs = operands.iter().map(|d| d.value).collect();
    if let Op::Sort { axis, .. } = &node.op
        && moves
    {
        let dims = cx.dims(inputs[0]);
        inputs.push(cx.coordinates(&dims, *axis as usize)?);
    }
    let value = cx.emit(node.op.clone(), &inputs)?;
    let at = Applied {
        op: &node.op,
        operands: &inputs[..operands.len()],
        value,
    };
    if moves {
        cx.at_derivative_of(graph.source(id));
    }
    let Some(types) = tuple_len(graph, id) else {
        let tangent = tangent(cx, at, operands, 0, value)?;
        return Ok(Slot::Tensor(Dual { value, tangent }));
    };
    let mut results = Vec::with_capacity(types);
    for i in 0..types {
        let value = cx.get(value, i)?;
        let tangent = tangent(cx, at, operands, i, value)?;
        results.push(Dual { value, tangent });
    }
    Ok(Slot::Tuple(results))
}

fn tuple_len(graph: &Graph, id: NodeId) -> Option<usize> {
    match &graph.node(id).ty {
        lazulite_ir::Type::Tensor(_) => None,
        lazulite_ir::Type::Tuple(types) => Some(types.len()),
    }
}

/// The tangent of one result of a primitive, which is `value`.
fn tangent(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    operands: &[Dual],
    result: usize,
    value: NodeId,
) -> Result<Option<NodeId>> {
    let mut sum = None;
    if !is_differentiable(cx, value) {
        return Ok(None);
    }
    for (operand, dual) in operands.iter().enumerate() {
        let Some(mut t) = dual.tangent else { continue };
        let Some(maps) = linearise(cx, at, operand, result)? else {
            continue;
        };
        for map in &maps {
            t = map.apply(cx, t)?;
        }
        let dims = cx.dims(value);
        let t = cx.conform(t, &dims)?;
        add(cx, &mut sum, t)?;
    }
    Ok(sum)
}
