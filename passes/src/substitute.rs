//! Replaces nodes by parameters that are known to have the same value.

use crate::PassError;
use crate::build::{Builder, Emit, live_nodes};
use lazulite_ir::{Graph, NodeId, Op};
use rustc_hash::FxHashMap;

const PASS: &str = "substitute";

/// The graph with every use of the first of a pair replaced by the second, which must be a parameter
/// of the same type.
pub fn substitute(graph: &Graph, pairs: &[(NodeId, NodeId)]) -> Result<Graph, PassError> {
    let mut builder = Builder::with_inputs_of(PASS, graph);
    let mut new_of = vec![NodeId(u32::MAX); graph.nodes().len()];
    for (&input, &new) in graph.inputs().iter().zip(builder.graph().inputs()) {
        new_of[input.index()] = new;
    }
    let pairs: FxHashMap<NodeId, NodeId> = pairs.iter().copied().collect();
    let mut operands = Vec::new();
    for id in live_nodes(graph) {
        let node = graph.node(id);
        if matches!(node.op, Op::Input { .. }) {
            continue;
        }
        if let Some(parameter) = pairs.get(&id) {
            let new = new_of[parameter.index()];
            if new == NodeId(u32::MAX) {
                return Err(builder.unsupported("a value is replaced by what is no parameter"));
            }
            new_of[id.index()] = new;
            continue;
        }
        builder.at_origin(graph.origin(id));
        operands.clear();
        operands.extend(node.inputs.iter().map(|i| new_of[i.index()]));
        new_of[id.index()] = builder.emit(node.op.clone(), &operands)?;
    }
    let outputs = graph.outputs().iter().map(|o| new_of[o.index()]);
    Ok(builder.finish(outputs, graph))
}
