//! Derivatives that come from outside: of foreign functions, and of composites that have a better
//! one than their definition gives.

use lazulite_ir::{Graph, Op, TensorType};
use std::sync::Arc;

/// The derivative of a `Call` or `Custom`.
#[derive(Clone, Debug)]
pub enum Rule {
    /// That of the definition; a foreign function has none.
    Definition,
    /// None: paths end here, as for `detach`.
    Stop,
    /// This graph, see [`Rules`].
    Graph(Arc<Graph>),
    /// There is none in this mode, for this reason.
    Refused(String),
}

/// Where registered derivatives are looked up. "Differentiable" below means of floats or complex
/// numbers.
pub trait Rules {
    /// Reverse mode. The graph takes the operands, the results, and a cotangent per differentiable
    /// result; it gives a cotangent per differentiable operand.
    fn pullback(&self, op: &Op, operands: &[TensorType], results: &[TensorType]) -> Rule;

    /// Forward mode. The graph takes the operands, the results, and a tangent per differentiable
    /// operand; it gives a tangent per differentiable result.
    fn pushforward(&self, op: &Op, operands: &[TensorType], results: &[TensorType]) -> Rule;
}

/// Nothing is registered.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoRules;

impl Rules for NoRules {
    fn pullback(&self, _: &Op, _: &[TensorType], _: &[TensorType]) -> Rule {
        Rule::Definition
    }

    fn pushforward(&self, _: &Op, _: &[TensorType], _: &[TensorType]) -> Rule {
        Rule::Definition
    }
}
