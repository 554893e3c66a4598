//! What can go wrong in a pass. Passes never panic on a graph that the verifier accepts; what they
//! cannot do they say here, with the place in the user's program where one is known.

use crate::ScheduleError;
use lazulite_ir::{DimOverflow, Source, TypeError};
use std::fmt;
use std::sync::Arc;

/// Why a graph could not be compiled.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PassError {
    /// An operation is ill typed.
    Type {
        /// The pass that built the operation.
        pass: &'static str,
        /// Its mnemonic.
        op: &'static str,
        /// What is wrong with it.
        error: Box<TypeError>,
        /// Where the operation comes from.
        source: Option<Arc<Source>>,
    },
    /// Arithmetic on sizes left the range of i64 or divided by zero.
    Size,
    /// The graph could not be scheduled.
    Schedule(Box<ScheduleError>),
    /// The program is well typed, but this form of it cannot be compiled.
    Unsupported {
        /// What, and why.
        what: String,
        /// Where.
        source: Option<Arc<Source>>,
    },
    /// The verifier rejects what a stage produced (or the graph that was handed in).
    Invalid {
        /// The stage.
        after: &'static str,
        /// The verifier's findings.
        report: String,
    },
    /// A stage was asked for that the pipeline cannot reach from where it starts.
    Order {
        /// The stage whose result is given.
        after: &'static str,
        /// The stage wanted.
        until: &'static str,
    },
}

impl PassError {
    /// The error for a form that cannot be compiled.
    pub fn unsupported(what: impl Into<String>, source: Option<&Arc<Source>>) -> PassError {
        PassError::Unsupported {
            what: what.into(),
            source: source.cloned(),
        }
    }
}

/// Writes ` at file:line:column (trail)`, when known.
pub(crate) fn write_place(f: &mut fmt::Formatter<'_>, source: &Option<Arc<Source>>) -> fmt::Result {
    let Some(s) = source else { return Ok(()) };
    write!(f, " at {}:{}:{}", s.file, s.line, s.column)?;
    if !s.trail.is_empty() {
        write!(f, " ({})", s.trail)?;
    }
    Ok(())
}

impl fmt::Display for PassError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PassError::Type {
                pass,
                op,
                error,
                source,
            } => {
                write!(f, "in {pass}: {op}: {error}")?;
                write_place(f, source)
            }
            PassError::Size => DimOverflow.fmt(f),
            PassError::Schedule(error) => error.fmt(f),
            PassError::Unsupported { what, source } => {
                f.write_str(what)?;
                write_place(f, source)
            }
            PassError::Invalid { after, report } => {
                write!(f, "the program is invalid after {after}:\n{report}")
            }
            PassError::Order { after, until } => {
                write!(f, "cannot go from the result of {after} to that of {until}")
            }
        }
    }
}

impl std::error::Error for PassError {}

impl From<ScheduleError> for PassError {
    fn from(error: ScheduleError) -> PassError {
        PassError::Schedule(Box::new(error))
    }
}

impl From<DimOverflow> for PassError {
    fn from(_: DimOverflow) -> PassError {
        PassError::Size
    }
}
