//! Why a graph could not be scheduled.

use crate::PassError;
use lazulite_ir::{DimOverflow, Source, TypeError};
use std::fmt;
use std::sync::Arc;

/// Why a graph could not be scheduled.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Arithmetic on sizes left the range of i64 or divided by zero.
    Size,
    /// An operation that scheduling put in place of another one is ill typed.
    Type {
        /// Its mnemonic.
        op: &'static str,
        /// What is wrong with it.
        error: Box<TypeError>,
    },
    /// The operation has no form as a kernel or a step; an earlier pass removes it.
    Unsupported {
        /// What, and why.
        what: String,
        /// Where it comes from.
        source: Option<Arc<Source>>,
    },
    /// Regions are nested deeper than plans allow.
    TooDeep {
        /// The allowed depth.
        limit: usize,
    },
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleError::Size => DimOverflow.fmt(f),
            ScheduleError::Type { op, error } => write!(f, "{op}: {error}"),
            ScheduleError::Unsupported { what, source } => {
                f.write_str(what)?;
                match source {
                    Some(s) => write!(f, " at {}:{}:{}", s.file, s.line, s.column),
                    None => Ok(()),
                }
            }
            ScheduleError::TooDeep { limit } => {
                write!(
                    f,
                    "loops and conditionals are nested more than {limit} deep"
                )
            }
        }
    }
}

impl std::error::Error for ScheduleError {}

impl From<PassError> for ScheduleError {
    fn from(error: PassError) -> ScheduleError {
        match error {
            PassError::Size => ScheduleError::Size,
            PassError::Type { op, error, .. } => ScheduleError::Type { op, error },
            PassError::Unsupported { what, source } => ScheduleError::Unsupported { what, source },
            other => ScheduleError::Unsupported {
                what: other.to_string(),
                source: None,
            },
        }
    }
}

impl From<DimOverflow> for ScheduleError {
    fn from(_: DimOverflow) -> ScheduleError {
        ScheduleError::Size
    }
}
