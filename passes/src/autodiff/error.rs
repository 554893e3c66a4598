//! Why there is no derivative.

use crate::PassError;
use crate::error::write_place;
use lazulite_ir::{DimOverflow, NodeId, Source, TensorType, Type};
use std::fmt;
use std::sync::Arc;

/// Why a graph could not be differentiated.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AutodiffError {
    /// There must be one seed per result.
    SeedCount {
        /// Given.
        seeds: usize,
        /// Results of the graph.
        results: usize,
    },
    /// A cotangent or tangent has another type than its tensor.
    SeedType {
        /// Its type.
        got: Box<TensorType>,
        /// The tensor's type.
        expected: Box<TensorType>,
    },
    /// The tangent of this node is a tensor that is computed later.
    LateTangent {
        /// The node.
        node: NodeId,
    },
    /// Only tensors of floats and complex numbers have derivatives.
    NotDifferentiable {
        /// The node.
        node: NodeId,
        /// Its type; `None` if the graph has no such node.
        ty: Option<Box<Type>>,
        /// Where it comes from.
        source: Option<Arc<Source>>,
    },
    /// An operation has no derivative in this mode.
    NoDerivative {
        /// Which, and why.
        what: String,
        /// Where it comes from.
        source: Option<Arc<Source>>,
    },
    /// A derivative that was registered does not fit its operation.
    BadRule {
        /// The operation's name.
        name: String,
        /// What does not fit.
        problem: String,
        /// Where the operation comes from.
        source: Option<Arc<Source>>,
    },
    /// The derivative could not be built.
    Pass(PassError),
}

impl AutodiffError {
    /// Where in the user's program the operation comes from that is in the way.
    pub fn source(&self) -> Option<&Arc<Source>> {
        match self {
            AutodiffError::NotDifferentiable { source, .. }
            | AutodiffError::NoDerivative { source, .. }
            | AutodiffError::BadRule { source, .. } => source.as_ref(),
            AutodiffError::SeedCount { .. }
            | AutodiffError::SeedType { .. }
            | AutodiffError::LateTangent { .. }
            | AutodiffError::Pass(_) => None,
        }
    }
}

impl fmt::Display for AutodiffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AutodiffError::SeedCount { seeds, results } => {
                write!(f, "{seeds} seeds for a graph with {results} results")
            }
            AutodiffError::SeedType { got, expected } => write!(
                f,
                "a cotangent or tangent of type {got} for a tensor of type {expected}"
            ),
            AutodiffError::LateTangent { node } => {
                write!(f, "the tangent of %{} is computed after it", node.0)
            }
            AutodiffError::NotDifferentiable { node, ty, source } => {
                match ty {
                    Some(ty) => write!(
                        f,
                        "only tensors of floats and complex numbers have derivatives: %{} is {ty}",
                        node.0
                    )?,
                    None => write!(f, "the graph has no node %{}", node.0)?,
                }
                write_place(f, source)
            }
            AutodiffError::NoDerivative { what, source } => {
                f.write_str(what)?;
                write_place(f, source)
            }
            AutodiffError::BadRule {
                name,
                problem,
                source,
            } => {
                write!(f, "the derivative registered for `{name}` {problem}")?;
                write_place(f, source)
            }
            AutodiffError::Pass(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AutodiffError {}

impl From<PassError> for AutodiffError {
    fn from(error: PassError) -> AutodiffError {
        AutodiffError::Pass(error)
    }
}

impl From<DimOverflow> for AutodiffError {
    fn from(error: DimOverflow) -> AutodiffError {
        AutodiffError::Pass(error.into())
    }
}
