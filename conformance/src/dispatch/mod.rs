//! The table from PyTorch's operators to the methods of the facade.
//!
//! An entry is the operator's name, its parameters where PyTorch does not document all of them, and
//! the call. Entries stand in files by subject; an operator without an entry is reported as
//! unsupported.

mod arithmetic;
mod index;
mod linalg;
mod linear;
mod masked;
mod movement;
mod nn;
mod random;
mod reduction;
mod signal;
mod spatial;
mod special;

use crate::call::{Bound, Outcome, Signature};
use crate::corpus::Suite;
use std::collections::HashMap;
use std::sync::LazyLock;

/// One operator.
pub struct Entry {
    /// PyTorch's name.
    pub name: &'static str,
    /// The parameters, if the documented signature lacks some.
    parameters: Option<&'static str>,
    /// Why gradients differ from PyTorch's on purpose, if they do: then they are not checked.
    pub gradients_differ: Option<&'static str>,
    /// Makes the call.
    pub call: fn(&Bound) -> Outcome,
}

impl Entry {
    /// The parameters to bind arguments to.
    pub fn signature(&self, suite: &Suite) -> Signature {
        match self.parameters {
            Some(parameters) => Signature::parse(&format!("({parameters})"), false),
            None => Signature::parse(&suite.signature, suite.call.starts_with("args[0].")),
        }
    }

    /// The entry of an operator whose gradients differ from PyTorch's for this reason.
    const fn but_gradients(self, reason: &'static str) -> Entry {
        Entry {
            gradients_differ: Some(reason),
            ..self
        }
    }
}

/// An operator with the parameters that PyTorch documents.
const fn op(name: &'static str, call: fn(&Bound) -> Outcome) -> Entry {
    Entry {
        name,
        parameters: None,
        gradients_differ: None,
        call,
    }
}

/// An operator with parameters beyond the documented ones.
const fn with(name: &'static str, parameters: &'static str, call: fn(&Bound) -> Outcome) -> Entry {
    Entry {
        name,
        parameters: Some(parameters),
        gradients_differ: None,
        call,
    }
}

/// All files' entries.
const TABLES: &[&[Entry]] = &[
    arithmetic::TABLE,
    index::TABLE,
    linalg::TABLE,
    linear::TABLE,
    masked::TABLE,
    movement::TABLE,
    nn::TABLE,
    random::TABLE,
    reduction::TABLE,
    signal::TABLE,
    spatial::TABLE,
    special::TABLE,
];

/// The entry of an operator.
pub fn find(name: &str) -> Option<&'static Entry> {
    static BY_NAME: LazyLock<HashMap<&str, &Entry>> = LazyLock::new(|| {
        let entries = TABLES.iter().copied().flatten();
        entries.map(|e| (e.name, e)).collect()
    });
    BY_NAME.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_stands_twice() {
        let entries = TABLES.iter().copied().flatten();
        let names: std::collections::HashSet<&str> = entries.clone().map(|e| e.name).collect();
        assert_eq!(names.len(), entries.count());
    }
}
