//! What can go wrong when a graph is interpreted.

use super::{ArrayError, NodeId};
use crate::{DType, Dim, Relation, Source};
use std::fmt;
use std::sync::Arc;

/// Why a graph has no results for some inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InterpError {
    /// Not one array per parameter.
    InputCount {
        /// Parameters.
        expected: usize,
        /// Arrays given.
        got: usize,
    },
    /// An array is not of its parameter's type, or its memory not of its size.
    Input {
        /// Which parameter.
        index: usize,
        /// What the parameter is, sizes bound.
        expected: (DType, Vec<usize>),
        /// What the array is.
        got: (DType, Vec<usize>),
    },
    /// A size cannot be computed: a symbol has no value, or arithmetic leaves 64 bits.
    Size {
        /// The size.
        size: Dim,
    },
    /// A size turns out to be negative.
    NegativeSize {
        /// The size.
        size: Dim,
        /// Its value.
        value: i64,
    },
    /// A condition on sizes does not hold.
    Guard {
        /// The condition's message.
        message: Arc<str>,
        /// The relation that does not hold.
        relation: Relation,
        /// Values of its sides.
        sides: [i64; 2],
    },
    /// An operation was given data for which it is not defined.
    Fault {
        /// Mnemonic.
        op: &'static str,
        /// The node, of the innermost graph.
        node: NodeId,
        /// What was wrong.
        fault: Fault,
        /// Where the node comes from.
        source: Option<Arc<Source>>,
    },
    /// There is no memory for an intermediate or a result.
    Array(ArrayError),
    /// The table of foreign functions lacks a name.
    NoForeignFunction {
        /// The name.
        name: Arc<str>,
    },
    /// A foreign function failed.
    Foreign {
        /// Its name.
        name: Arc<str>,
        /// What it said.
        message: String,
    },
    /// A graph that the verifier would reject.
    IllTyped {
        /// Mnemonic.
        op: &'static str,
        /// The node, of the innermost graph.
        node: NodeId,
    },
}

/// Data for which an operation is not defined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An index outside its axis.
    Index {
        /// The axis.
        axis: u32,
        /// The index.
        value: i64,
        /// The axis' size.
        bound: i64,
    },
    /// An integer divided by zero.
    DivisionByZero,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Index { axis, value, bound } => write!(
                f,
                "index {value} is out of range for axis {axis} of size {bound}"
            ),
            Fault::DivisionByZero => f.write_str("integer division by zero"),
        }
    }
}

impl fmt::Display for InterpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InterpError::InputCount { expected, got } => {
                write!(f, "the graph has {expected} parameters, {got} arrays given")
            }
            InterpError::Input {
                index,
                expected,
                got,
            } => write!(
                f,
                "parameter {index} is {}{:?}, the array given is {}{:?}",
                expected.0, expected.1, got.0, got.1
            ),
            InterpError::Size { size } => write!(f, "the size {size} has no value"),
            InterpError::NegativeSize { size, value } => {
                write!(f, "the size {size} is {value}, below 0")
            }
            InterpError::Guard {
                message,
                relation,
                sides: [a, b],
            } => {
                let sign = match relation {
                    Relation::Eq => "==",
                    Relation::Le => "<=",
                };
                write!(f, "{message}: {a} {sign} {b} does not hold")
            }
            InterpError::Fault {
                op, fault, source, ..
            } => {
                write!(f, "{op}: {fault}")?;
                source.as_ref().map_or(Ok(()), |s| {
                    write!(f, " ({}:{}:{})", s.file, s.line, s.column)
                })
            }
            InterpError::Array(e) => e.fmt(f),
            InterpError::NoForeignFunction { name } => {
                write!(f, "there is no foreign function {name}")
            }
            InterpError::Foreign { name, message } => write!(f, "{name}: {message}"),
            InterpError::IllTyped { op, node } => {
                write!(f, "{op}: node {} is ill-typed", node.0)
            }
        }
    }
}

impl std::error::Error for InterpError {}

impl From<ArrayError> for InterpError {
    fn from(error: ArrayError) -> InterpError {
        InterpError::Array(error)
    }
}

/// Why one operation has no result; the interpreter adds where.
pub(super) enum Stop {
    /// Data for which it is not defined.
    Fault(Fault),
    /// Operands for which it is not defined.
    IllTyped,
    /// Everything that needs no place.
    Error(Box<InterpError>),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<ArrayError> for Stop {
    fn from(error: ArrayError) -> Stop {
        Stop::Error(Box::new(error.into()))
    }
}

impl From<InterpError> for Stop {
    fn from(error: InterpError) -> Stop {
        Stop::Error(Box::new(error))
    }
}
