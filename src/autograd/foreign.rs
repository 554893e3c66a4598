//! Derivatives of foreign functions, by their names.

use crate::tensor::{Pull, Push};
use lazulite_ir::Custom;

/// Both derivatives of a foreign function.
pub(crate) struct ForeignRules {
    pub pullback: Pull,
    pub pushforward: Push,
}

/// The derivatives of a foreign function, if it has any.
pub(crate) fn foreign_rules(target: &Custom) -> Option<ForeignRules> {
    match target {
        Custom::Library(_) | Custom::Host(..) => None,
    }
}
