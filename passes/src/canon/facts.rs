//! What rules may ask about nodes.

use crate::faults::Faulting;
use lazulite_ir::{DType, Dim, Dims, Graph, Node, NodeId, Op, Scalar, Unary};
use rustc_hash::FxHashSet;

/// The finished part of the graph, seen by a rule.
pub struct Facts<'a> {
    graph: &'a Graph,
    rounded: &'a FxHashSet<NodeId>,
    faulting: &'a Faulting,
    half_products: bool,
}

impl<'a> Facts<'a> {
    pub(super) fn new(
        graph: &'a Graph,
        rounded: &'a FxHashSet<NodeId>,
        faulting: &'a Faulting,
        half_products: bool,
    ) -> Facts<'a> {
        Facts {
            graph,
            rounded,
            faulting,
            half_products,
        }
    }

    /// Whether the machine multiplies matrices of half floats as they are.
    pub fn half_products(&self) -> bool {
        self.half_products
    }

    /// The node.
    pub fn node(&self, id: NodeId) -> &'a Node {
        self.graph.node(id)
    }

    /// Its operation.
    pub fn op(&self, id: NodeId) -> &'a Op {
        &self.node(id).op
    }

    /// Its first operand.
    pub fn operand(&self, id: NodeId) -> NodeId {
        self.node(id).inputs[0]
    }

    /// The dims of a tensor.
    pub fn dims(&self, id: NodeId) -> &'a Dims {
        &self.graph.tensor_type(id).dims
    }

    /// The element type of a tensor.
    pub fn dtype(&self, id: NodeId) -> DType {
        self.graph.tensor_type(id).dtype
    }

    /// The 0-d node whose value stands at every place of the node, in the one canonical form of
    /// such tensors (see `Emit::broadcast`).
    pub fn scalar(&self, id: NodeId) -> Option<NodeId> {
        let mut at = id;
        if matches!(self.op(at), Op::Expand { .. }) {
            at = self.operand(at);
        }
        if matches!(self.op(at), Op::Reshape { .. }) {
            at = self.operand(at);
        }
        let ty = self.node(at).ty.as_tensor()?;
        ty.dims.is_empty().then_some(at)
    }

    /// Whether a fault may be recorded while the node is computed, operands included: then it must
    /// not be dropped where the program names it.
    pub fn may_fault(&self, id: NodeId) -> bool {
        self.faulting.of(id)
    }

    /// The value that stands at every place of the node, when that is a constant.
    pub fn splat(&self, id: NodeId) -> Option<Scalar> {
        match self.op(self.scalar(id)?) {
            Op::Const { value } => Some(*value),
            _ => None,
        }
    }

    /// The operand of the node, when that is `f` of something.
    pub fn of_unary(&self, f: Unary, id: NodeId) -> Option<NodeId> {
        (*self.op(id) == Op::Unary { f }).then(|| self.operand(id))
    }

    /// What was rounded to a half float, when the node is the end of an arithmetic operation.
    pub fn before_rounding(&self, id: NodeId) -> Option<NodeId> {
        self.rounded.contains(&id).then(|| self.operand(id))
    }
}

/// The dims and element type of a node that is one tensor.
pub fn tensor(node: &Node) -> Option<(&Dims, DType)> {
    node.ty.as_tensor().map(|t| (&t.dims, t.dtype))
}

/// True when at least one axis certainly has no elements.
pub fn is_empty(dims: &[Dim]) -> bool {
    dims.iter().any(|d| d.is(0))
}

/// True when `small <= large` for all values of the symbols.
pub fn certainly_le(small: &Dim, large: &Dim) -> bool {
    small.compare_le(large) == Some(true)
}
