//! What is known of operations before they are batched: whether they are defined for operands that the
//! program itself would not have given them, and whether they draw random numbers.

use crate::faults::itself_may_fault;
use lazulite_ir::{Graph, Node, Op};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Facts of the graphs inside operations, by address; each graph is kept with its entry.
#[derive(Default)]
pub(super) struct Known(FxHashMap<*const Graph, (Arc<Graph>, Facts)>);

#[derive(Clone, Copy)]
struct Facts {
    /// Gives results for all operands of the right types: no faults, no endless loops, no foreign
    /// functions.
    total: bool,
    draws: bool,
}

impl Facts {
    const HARMLESS: Facts = Facts {
        total: true,
        draws: false,
    };

    fn and(self, other: Facts) -> Facts {
        Facts {
            total: self.total && other.total,
            draws: self.draws || other.draws,
        }
    }
}

impl Known {
    /// Whether the graph gives results for all operands.
    pub fn is_total(&mut self, graph: &Arc<Graph>) -> bool {
        self.of_graph(graph).total
    }

    /// Whether graphs inside the operation draw random numbers.
    pub fn draws(&mut self, op: &Op) -> bool {
        op.regions()
            .into_iter()
            .any(|(_, graph)| self.of_graph(graph).draws)
    }

    /// By recursion into graphs inside, which are not deeper than batching goes.
    fn of_graph(&mut self, graph: &Arc<Graph>) -> Facts {
        if let Some((_, facts)) = self.0.get(&Arc::as_ptr(graph)) {
            return *facts;
        }
        let mut facts = Facts::HARMLESS;
        for node in graph.nodes() {
            facts = facts.and(own(graph, node));
            for (_, graph) in node.op.regions() {
                facts = facts.and(self.of_graph(graph));
            }
        }
        self.0.insert(Arc::as_ptr(graph), (graph.clone(), facts));
        facts
    }
}

/// The facts of an operation apart from the graphs inside.
fn own(graph: &Graph, node: &Node) -> Facts {
    Facts {
        total: !itself_may_fault(graph, node) && !matches!(node.op, Op::While { .. }),
        draws: matches!(node.op, Op::Random { .. }),
    }
}
