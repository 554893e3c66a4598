//! What the e-graph did, for whoever wants to look.

use lazulite_ir::{Graph, NodeId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The rules behind the nodes of a graph, in the order in which they were applied; nodes that are what the
/// program said are not listed.
pub type Provenance = BTreeMap<NodeId, Vec<&'static str>>;

/// What a run did, bodies of loops and branches included.
#[derive(Clone, Default, Debug)]
pub struct EgraphReport {
    /// The rules behind the nodes of the resulting graph.
    pub rules: Provenance,
    /// The same for the nodes of every body that changed, by the new body.
    pub bodies: Vec<(Arc<Graph>, Provenance)>,
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
