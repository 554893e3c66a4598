//! Named composites: operations defined by others that keep their name, and may carry a derivative
//! of their own.
//!
//! A composite is recorded as its definition, with a node on top that knows the composite's name and
//! operands. When a graph is built, definition and name become an `Op::Call`.

use super::record::record_node;
use super::{Node, Operand, Operands, Recorded, State, Tensor, Traits};
use crate::error::Result;
use crate::location::{Place, Scope, trail};
use smallvec::smallvec;
use std::sync::Arc;

/// What makes a composite the one it is.
#[derive(Debug)]
pub(crate) struct Composite {
    pub name: &'static str,
    /// Settings, beyond the operands, that its derivative depends on.
    pub attributes: Vec<i64>,
    /// How many operands it has; its definition's result follows them.
    pub operands: u32,
    pub derivative: Derivative,
}

/// The derivative of a composite.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Derivative {
    /// That of the definition.
    Definition,
    /// In reverse mode this; in forward mode that of the definition.
    Pullback(Pull),
    /// These, in reverse and in forward mode: the definition is not differentiated at all.
    Both(Pull, Push),
}

/// Cotangents of the differentiable operands, in order.
pub(crate) type Pull = fn(&Applied<'_>) -> Result<Vec<Tensor>>;

/// Tangents of the differentiable results, in order.
pub(crate) type Push = fn(&Applied<'_>) -> Result<Vec<Tensor>>;

/// A composite or foreign function where its derivative is asked for.
pub(crate) struct Applied<'a> {
    pub attributes: &'a [i64],
    pub operands: &'a [Tensor],
    pub results: &'a [Tensor],
    /// Reverse mode: cotangents of the differentiable results. Forward mode: tangents of the
    /// differentiable operands.
    pub flow: &'a [Tensor],
}

/// Records a composite. `define` computes its result from the operands, which must be all it depends
/// on (but for constants).
#[track_caller]
pub(crate) fn composite(
    name: &'static str,
    attributes: &[i64],
    derivative: Derivative,
    operands: &[&Tensor],
    define: impl FnOnce() -> Tensor,
) -> Tensor {
    let _scope = Scope::pin();
    let definition = define();
    let Ok(node) = &definition.0 else {
        return definition.named(name, operands);
    };
    let all = operands.iter().copied().chain([&definition]);
    let nodes: Operands = all
        .filter_map(|t| Some(Operand::Node(t.0.as_ref().ok()?.clone())))
        .collect();
    if nodes.len() <= operands.len() {
        // The definition made do without an operand that is wrong: it knows better.
        return definition;
    }
    let recorded = Recorded::Composite(Arc::new(Composite {
        name,
        attributes: attributes.to_vec(),
        operands: operands.len() as u32,
        derivative,
    }));
    let ty = node.ty.clone();
    Tensor(record_node(name, recorded, ty, nodes, false))
}

impl Tensor {
    /// The same value under another identity, through which gradients flow or do not.
    #[track_caller]
    pub(crate) fn same(&self, grad: bool) -> Tensor {
        let Ok(node) = &self.0 else {
            return self.clone();
        };
        let mut traits = Traits {
            heavy: false,
            constant: false,
            grad,
            ..node.traits
        };
        let linked = grad && node.traits.grad;
        let (recorded, state) = match node.value().filter(|_| !linked) {
            Some(value) => {
                traits.from_gradient = false;
                (Recorded::Leaf, State::Value(value, Operands::new()))
            }
            None => {
                let operands = smallvec![Operand::Node(node.clone())];
                (Recorded::Same, State::Lazy(operands))
            }
        };
        let node = Node::new(
            recorded,
            node.ty.clone(),
            Place::here(),
            trail(),
            traits,
            state,
        );
        Tensor(Ok(Arc::new(node)))
    }
}
