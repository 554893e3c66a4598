//! Named composites: operations defined by others that keep their name, and may carry a derivative
//! of their own.
//!
//! A composite is recorded as its definition, with a node on top for each result that knows the
//! composite's name and operands. When a graph is built, definition and name become an `Op::Call`.

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
    /// How many operands it has; its definition's results follow them.
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
}

/// Cotangents of the differentiable operands, in order.
pub(crate) type Pull = fn(&Applied<'_>) -> Result<Vec<Tensor>>;

/// A composite or foreign function where its derivative is asked for.
pub(crate) struct Applied<'a> {
    pub attributes: &'a [i64],
    pub operands: &'a [Tensor],
    pub results: &'a [Tensor],
    /// Reverse mode: cotangents of the differentiable results. Forward mode: tangents of the
    /// differentiable operands.
    pub flow: &'a [Tensor],
}

/// Records a composite with one result.
#[track_caller]
pub(crate) fn composite<const N: usize>(
    name: &'static str,
    attributes: &[i64],
    derivative: Derivative,
    operands: [&Tensor; N],
    define: impl FnOnce([&Tensor; N]) -> Tensor,
) -> Tensor {
    let [result] = composite_all(name, attributes, derivative, operands, |operands| {
        [define(operands)]
    });
    result
}

/// Records a composite with several results. `define` computes them from the operands, which must
/// be all it depends on (but for constants).
#[track_caller]
pub(crate) fn composite_all<const N: usize, const M: usize>(
    name: &'static str,
    attributes: &[i64],
    derivative: Derivative,
    operands: [&Tensor; N],
    define: impl FnOnce([&Tensor; N]) -> [Tensor; M],
) -> [Tensor; M] {
    let _scope = Scope::pin();
    let results = define(operands);
    let mut nodes = Operands::new();
    nodes.extend(operands.into_iter().chain(&results).filter_map(|tensor| {
        let node = tensor.0.as_ref().ok()?;
        Some(Operand::Node(node.clone()))
    }));
    if nodes.len() < N + M {
        // A wrong definition speaks for itself.
        return results;
    }
    let shared = Arc::new(Composite {
        name,
        attributes: attributes.to_vec(),
        operands: N as u32,
        derivative,
    });
    let mut index = 0;
    results.map(|definition| match definition.0 {
        Ok(definition) => {
            let recorded = Recorded::Composite(shared.clone(), index);
            index += 1;
            let ty = definition.ty.clone();
            let node = record_node(recorded, ty, nodes.clone(), false);
            Tensor(Ok(node))
        }
        Err(e) => Tensor::error(e),
    })
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
