//! Why a program cannot be loaded or run.

use crate::told::fault_text;
use crate::{AllocError, Element, MAX_NESTING, SizeError, VERSION};
use std::fmt;

/// Why an image is not a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadError {
    /// Written for another version of the format.
    Version(u32),
    /// The code table does not have one entry per kernel.
    Code {
        /// Kernels in the image.
        kernels: usize,
        /// Entries of the table.
        code: usize,
    },
    /// A number outside of its table.
    Number {
        /// The kind of table.
        what: &'static str,
        /// The number.
        number: u32,
        /// Entries of the table.
        count: usize,
    },
    /// A size that is no expression over the image's symbols.
    Size {
        /// Where it stands.
        of: String,
        /// What is wrong with it.
        error: SizeError,
    },
    /// A buffer that cannot be.
    Buffer {
        /// Its number.
        buffer: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A kernel that cannot be called.
    Kernel {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A step that cannot run.
    Step {
        /// Its position.
        position: u32,
        /// What is wrong with it.
        problem: String,
    },
    /// No library function has this name.
    Library(String),
    /// The program's interface does not fit it.
    Interface(String),
    /// Step lists are nested deeper than [`MAX_NESTING`].
    Nesting,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Version(found) => {
                write!(f, "program of version {found}, expected {VERSION}")
            }
            LoadError::Code { kernels, code } => {
                write!(f, "program of {kernels} kernels with code for {code}")
            }
            LoadError::Number {
                what,
                number,
                count,
            } => write!(f, "there is no {what} number {number}, only {count}"),
            LoadError::Size { of, error } => write!(f, "{of}: {error}"),
            LoadError::Buffer { buffer, problem } => write!(f, "buffer {buffer} {problem}"),
            LoadError::Kernel { name, problem } => write!(f, "kernel {name} {problem}"),
            LoadError::Step { position, problem } => write!(f, "step {position} {problem}"),
            LoadError::Library(name) => write!(f, "there is no library function {name:?}"),
            LoadError::Interface(problem) => write!(f, "interface: {problem}"),
            LoadError::Nesting => write!(f, "steps are nested deeper than {MAX_NESTING}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Why a run has no result. Inputs are what they were before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RunError {
    /// Wrong number of inputs.
    InputCount {
        /// What the program takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Wrong number of sizes.
    SizeCount {
        /// What the program takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A size below zero.
    NegativeSize {
        /// The symbol.
        symbol: String,
        /// Its value.
        value: i64,
    },
    /// An input of another size than its type has.
    InputBytes {
        /// Its number.
        input: usize,
        /// Element type of the parameter.
        element: Element,
        /// What its type takes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// The program was compiled under a condition that the sizes do not meet.
    Guard {
        /// The condition's message.
        message: String,
        /// Value of its left side.
        lhs: i64,
        /// Value of its right side.
        rhs: i64,
    },
    /// Something in the program has no valid size for these sizes.
    Size {
        /// What.
        of: String,
        /// Why.
        error: SizeError,
    },
    /// The program is inconsistent for these sizes.
    Inconsistent(String),
    /// There is no memory.
    Alloc(AllocError),
    /// Code found a fault.
    Fault {
        /// What went wrong.
        what: String,
        /// `file:line:column` of the operation, or empty.
        location: String,
        /// The offending value.
        value: i64,
        /// The bound that it broke.
        bound: i64,
    },
    /// A foreign function failed.
    Custom {
        /// What the program says about it.
        what: String,
        /// `file:line:column` of the operation, or empty.
        location: String,
        /// What the function says.
        message: String,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |location: &str| match location {
            "" => String::new(),
            location => format!("{location}: "),
        };
        match self {
            RunError::InputCount { expected, found } => {
                write!(f, "program takes {expected} inputs, got {found}")
            }
            RunError::SizeCount { expected, found } => {
                write!(f, "program takes {expected} sizes, got {found}")
            }
            RunError::NegativeSize { symbol, value } => {
                write!(f, "size {symbol} is negative: {value}")
            }
            RunError::InputBytes {
                input,
                element,
                expected,
                found,
            } => write!(
                f,
                "input {input} of type {element:?} takes {expected} bytes, got {found}"
            ),
            RunError::Guard { message, lhs, rhs } => write!(f, "{message} ({lhs} and {rhs})"),
            RunError::Size { of, error } => write!(f, "{of}: {error}"),
            RunError::Inconsistent(problem) => write!(f, "inconsistent program: {problem}"),
            RunError::Alloc(error) => error.fmt(f),
            RunError::Fault {
                what,
                location,
                value,
                bound,
            } => match fault_text(what, location, *value, *bound) {
                Some(text) => f.write_str(&text),
                None => write!(f, "{}{what}: {value} (bound {bound})", at(location)),
            },
            RunError::Custom {
                what,
                location,
                message,
            } => write!(f, "{}{what}: {message}", at(location)),
        }
    }
}

impl std::error::Error for RunError {}

impl From<AllocError> for RunError {
    fn from(error: AllocError) -> RunError {
        RunError::Alloc(error)
    }
}
