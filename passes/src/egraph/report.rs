//! What the e-graph did, for whoever wants to look.

use std::collections::BTreeMap;

/// What a run did, bodies of loops and branches included. Which rules are behind a node of the result its
/// [`lazulite_ir::Origin`] says.
#[derive(Clone, Default, Debug)]
pub struct EgraphReport {
    /// How often each rule found something new, by its name.
    pub fired: BTreeMap<&'static str, u64>,
    /// Regions looked at.
    pub regions: u64,
    /// Regions in which no rule could fire.
    pub skipped: u64,
    /// Regions that equal an earlier one, whose solution was taken.
    pub repeated: u64,
    /// Regions that were changed.
    pub changed: u64,
    /// Regions in which a budget was spent before nothing was new.
    pub exhausted: u64,
    /// Terms in all e-graphs together.
    pub terms: u64,
    /// What the regions cost before, by the cost model.
    pub cost_before: u64,
    /// What they cost after.
    pub cost_after: u64,
}
