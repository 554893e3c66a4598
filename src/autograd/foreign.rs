//! Derivatives of foreign functions, by their names.

use crate::ops::{FFT_DERIVATIVES, LINALG_DERIVATIVES};
use crate::tensor::{Pull, Push};
use lazulite_ir::Custom;

/// Both derivatives of a foreign function.
#[derive(Clone, Copy)]
pub(crate) struct ForeignRules {
    pub pullback: Pull,
    pub pushforward: Push,
}

/// Derivatives of library functions, by names without scalar types, by subject.
const TABLES: &[&[&[(&str, ForeignRules)]]] = &[&[FFT_DERIVATIVES], LINALG_DERIVATIVES];

/// The derivatives of a foreign function, if it has any.
pub(crate) fn foreign_rules(target: &Custom) -> Option<ForeignRules> {
    let Custom::Library(name) = target else {
        return None;
    };
    let (function, _) = name.rsplit_once('.')?;
    let mut rules = TABLES.iter().copied().flatten().copied().flatten();
    rules.find(|(name, _)| *name == function).map(|(_, r)| *r)
}
