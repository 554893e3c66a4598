//! Functions of tensors that become graphs of their own: bodies of control flow, functions that are
//! transformed as a whole, and derivatives of composites.

use super::trace::{Trace, trace_body};
use super::{Pattern, Refusals, build};
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, trail};
use crate::scoped::Scoped;
use crate::tensor::{Node, Operands, Parameter, Recorded, State, Tensor, Traits, internal};
use lazulite_ir::{Graph, TensorType};
use std::cell::Cell;
use std::sync::Arc;
use std::thread::LocalKey;

/// A recorded function.
pub(crate) struct Body {
    /// The leaves are the parameters, then tensors from outside that the function uses.
    pub trace: Trace,
    pub parameters: usize,
}

thread_local! {
    static LEVEL: Cell<u8> = const { Cell::new(0) };
}

thread_local! {
    /// The level that random draws belong to, whatever they depend on.
    static DRAWS: Cell<u8> = const { Cell::new(0) };
}

/// While it lives, random draws are part of the function being recorded, and not taken along from
/// outside.
pub(crate) fn draws_inside() -> Scoped<LocalKey<Cell<u8>>> {
    Scoped::set(&DRAWS, LEVEL.get())
}

/// True while a function is being recorded.
pub(crate) fn recording_body() -> bool {
    LEVEL.get() > 0
}

/// The level of a random draw recorded now.
pub(crate) fn draw_level() -> u8 {
    DRAWS.get()
}

/// While it lives, one more function is being recorded; this is its level.
fn deeper() -> Result<(Scoped<LocalKey<Cell<u8>>>, u8)> {
    let level = LEVEL.get().checked_add(1).ok_or_else(|| {
        let message = "functions of tensors are recorded inside of each other without end";
        Error::new(ErrorKind::Capture, "record", message).at(Place::here())
    })?;
    Ok((Scoped::set(&LEVEL, level), level))
}

impl Body {
    /// Records what `function` computes from parameters of these types.
    #[track_caller]
    pub fn record(
        types: &[Arc<TensorType>],
        function: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<Body> {
        let (_deeper, level) = deeper()?;
        let id = crate::compile::next_capture();
        let parameters: Vec<Arc<Node>> = (0..)
            .zip(types)
            .map(|(index, ty)| {
                // The function may be differentiated whoever its arguments are.
                let traits = Traits {
                    level,
                    grad: ty.dtype.is_inexact(),
                    ..Traits::default()
                };
                let recorded = Recorded::Parameter(Parameter { capture: id, index });
                let state = State::Lazy(Operands::new());
                let node = Node::new(recorded, ty.clone(), Place::here(), trail(), traits, state);
                Arc::new(node)
            })
            .collect();
        let inputs: Vec<Tensor> = parameters.iter().map(|p| Tensor(Ok(p.clone()))).collect();
        let refusals = Refusals::begin();
        let results = function(&inputs)?;
        refusals.check()?;
        drop(refusals);
        let roots = results
            .iter()
            .map(|t| t.node().cloned())
            .collect::<Result<Vec<_>>>()?;
        Ok(Body {
            trace: trace_body(&parameters, &roots, level),
            parameters: parameters.len(),
        })
    }

    /// The types of the results.
    pub fn result_types(&self) -> Vec<Arc<TensorType>> {
        let roots = self.trace.roots.iter();
        roots
            .map(|&r| self.trace.nodes[r as usize].node.ty.clone())
            .collect()
    }

    /// The tensors from outside that the function uses.
    pub fn captured(&self) -> impl Iterator<Item = &Arc<Node>> {
        let leaves = self.trace.leaves[self.parameters..].iter();
        leaves.map(|&l| &self.trace.nodes[l as usize].node)
    }

    /// The function as a graph, of its parameters alone, with all sizes and numbers as they are.
    pub fn closed_graph(&self, op: &'static str) -> Result<Graph> {
        if self.captured().next().is_some() {
            return Err(internal(op, "a function uses tensors from outside"));
        }
        build(&self.trace, &Pattern::constant(&self.trace), op)
    }
}
