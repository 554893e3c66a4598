//! Which nodes depend on which, as far as derivatives go.

use lazulite_ir::{Graph, NodeId, TensorType, Type};

/// True for types whose elements have derivatives.
pub(super) fn differentiable(ty: &TensorType) -> bool {
    ty.dtype.is_inexact()
}

/// Marks `from` and every node computed from a marked one that may carry a derivative. Tuples are
/// marked as a whole, and operations that hold graphs are not looked into: more may be marked than
/// has a derivative, never less.
pub(super) fn dependants(graph: &Graph, from: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
    let mut marked = vec![false; graph.nodes().len()];
    for id in from {
        marked[id.index()] = true;
    }
    for (i, node) in graph.nodes().iter().enumerate() {
        let carries = match &node.ty {
            Type::Tensor(ty) => differentiable(ty),
            Type::Tuple(types) => types.iter().any(differentiable),
        };
        marked[i] |= carries && node.inputs.iter().any(|x| marked[x.index()]);
    }
    marked
}

/// Marks `of` and every node that they are computed from.
pub(super) fn ancestors(graph: &Graph, of: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
    let mut marked = vec![false; graph.nodes().len()];
    for id in of {
        marked[id.index()] = true;
    }
    for id in graph.ids().rev() {
        if marked[id.index()] {
            for input in &graph.node(id).inputs {
                marked[input.index()] = true;
            }
        }
    }
    marked
}
