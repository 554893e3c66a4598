//! The table of faults that a plan's steps may record.

use lazulite_ir::{FaultInfo, Graph, NodeId, Source};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Numbers faults; the same fault at the same place has one number.
#[derive(Default)]
pub(super) struct Faults {
    table: Vec<FaultInfo>,
    numbers: FxHashMap<(String, Option<Arc<Source>>), u32>,
}

impl Faults {
    /// The number of the fault `what` of a node.
    pub fn number(&mut self, graph: &Graph, node: NodeId, what: &str) -> u32 {
        let source = graph.source(node).cloned();
        let next = self.table.len() as u32;
        let number = *self
            .numbers
            .entry((what.to_owned(), source.clone()))
            .or_insert(next);
        if number == next {
            self.table.push(FaultInfo {
                what: what.to_owned(),
                source,
            });
        }
        number
    }

    /// The table.
    pub fn finish(self) -> Vec<FaultInfo> {
        self.table
    }
}
