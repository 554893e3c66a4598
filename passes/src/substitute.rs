//! Replaces nodes by parameters that are known to have the same value.

use crate::PassError;
use crate::build::rewrite;
use lazulite_ir::{Graph, NodeId};
use rustc_hash::FxHashMap;

const PASS: &str = "substitute";

/// The graph with every use of the first of a pair replaced by the second, which must be a parameter
/// of the same type.
pub fn substitute(graph: &Graph, pairs: &[(NodeId, NodeId)]) -> Result<Graph, PassError> {
    let pairs: FxHashMap<NodeId, NodeId> = pairs.iter().copied().collect();
    rewrite(PASS, graph, |builder, id, new_of| {
        let new = pairs.get(&id).map(|parameter| new_of[parameter.index()]);
        if new == Some(NodeId(u32::MAX)) {
            return Err(builder.unsupported("a value is replaced by what is no parameter"));
        }
        Ok(new)
    })
}
