//! What can be wrong with an operation's operands and attributes.

use std::fmt;

/// Why an operation cannot be applied.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TypeError {
    /// An operand does not exist.
    NoSuchNode,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an operand does not exist")
    }
}

impl std::error::Error for TypeError {}
