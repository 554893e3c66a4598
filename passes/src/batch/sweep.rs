//! From front to back: every operation of a graph, in its form for batches.

use super::context::{Cx, Lane};
use super::{Result, rules};
use crate::build::live_nodes;
use lazulite_ir::{Graph, NodeId, Op};

/// What a node has become.
pub(super) enum Slot {
    Tensor(Lane),
    Tuple(Vec<Lane>),
}

/// Adds the batched form of the graph, applied to `inputs`; its results.
pub(super) fn sweep(cx: &mut Cx<'_>, graph: &Graph, inputs: &[Lane]) -> Result<Vec<Lane>> {
    let mut slots: Vec<Option<Slot>> = graph.ids().map(|_| None).collect();
    for (&input, &lane) in graph.inputs().iter().zip(inputs) {
        slots[input.index()] = Some(Slot::Tensor(lane));
    }
    for id in live_nodes(graph) {
        if slots[id.index()].is_some() {
            continue;
        }
        cx.builder.at(graph.source(id));
        let node = graph.node(id);
        let slot = match node.op {
            Op::Get { index } => Slot::Tensor(get(cx, &slots, node.inputs[0], index as usize)?),
            _ => {
                let operands = lanes(cx, &slots, &node.inputs)?;
                rules::batch(cx, &node.op, &operands)?
            }
        };
        slots[id.index()] = Some(slot);
    }
    lanes(cx, &slots, graph.outputs())
}

fn get(cx: &Cx<'_>, slots: &[Option<Slot>], tuple: NodeId, index: usize) -> Result<Lane> {
    match &slots[tuple.index()] {
        Some(Slot::Tuple(results)) => Ok(results[index]),
        Some(Slot::Tensor(_)) | None => Err(cx.none(format!("%{} is no tuple", tuple.0))),
    }
}

fn lanes(cx: &Cx<'_>, slots: &[Option<Slot>], ids: &[NodeId]) -> Result<Vec<Lane>> {
    let lane = |id: &NodeId| match &slots[id.index()] {
        Some(Slot::Tensor(lane)) => Ok(*lane),
        Some(Slot::Tuple(_)) | None => Err(cx.none(format!("%{} is no tensor", id.0))),
    };
    ids.iter().map(lane).collect()
}
