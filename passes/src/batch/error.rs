//! Why a graph could not be batched.

use crate::PassError;
use crate::error::write_place;
use lazulite_ir::{DimOverflow, Source};
use std::fmt;
use std::sync::Arc;

/// Why a graph could not be batched.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum VmapError {
    /// There must be one axis (or none) per parameter.
    AxisCount {
        /// Given.
        axes: usize,
        /// Parameters of the graph.
        parameters: usize,
    },
    /// A parameter has no place for a batch axis there.
    AxisOutOfRange {
        /// Which parameter.
        parameter: usize,
        /// The place asked for.
        axis: usize,
        /// The parameter's number of axes, without the batch's.
        rank: usize,
    },
    /// Random numbers are drawn, and nothing says whether once for all elements or for each.
    Random {
        /// Where the draw comes from.
        source: Option<Arc<Source>>,
    },
    /// An operation has no form for batches.
    NoRule {
        /// Which, and why.
        what: String,
        /// Where it comes from.
        source: Option<Arc<Source>>,
    },
    /// The batched graph could not be built.
    Pass(PassError),
}

impl fmt::Display for VmapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VmapError::AxisCount { axes, parameters } => {
                write!(
                    f,
                    "{axes} batch axes for a graph with {parameters} parameters"
                )
            }
            VmapError::AxisOutOfRange {
                parameter,
                axis,
                rank,
            } => write!(
                f,
                "parameter {parameter} has {rank} axes besides the batch's, which cannot be number {axis}"
            ),
            VmapError::Random { source } => {
                f.write_str(
                    "`random` in a vectorised function: say whether every element has a draw of its \
                     own (randomness \"different\") or all share one (\"same\")",
                )?;
                write_place(f, source)
            }
            VmapError::NoRule { what, source } => {
                f.write_str(what)?;
                write_place(f, source)
            }
            VmapError::Pass(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VmapError {}

impl From<PassError> for VmapError {
    fn from(error: PassError) -> VmapError {
        VmapError::Pass(error)
    }
}

impl From<DimOverflow> for VmapError {
    fn from(error: DimOverflow) -> VmapError {
        VmapError::Pass(error.into())
    }
}
