//! What is known of operations before they are batched: whether they are defined for operands that the
//! program itself would not have given them, and whether they draw random numbers.

use lazulite_ir::{Binary, Graph, NodeId, Op};
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
        inside(op).any(|graph| self.of_graph(graph).draws)
    }

    /// By recursion into graphs inside, which are not deeper than batching goes.
    fn of_graph(&mut self, graph: &Arc<Graph>) -> Facts {
        if let Some((_, facts)) = self.0.get(&Arc::as_ptr(graph)) {
            return *facts;
        }
        let mut facts = Facts::HARMLESS;
        for node in graph.nodes() {
            facts = facts.and(own(graph, &node.op, &node.inputs));
            for graph in inside(&node.op) {
                facts = facts.and(self.of_graph(graph));
            }
        }
        self.0.insert(Arc::as_ptr(graph), (graph.clone(), facts));
        facts
    }
}

/// The graphs that an operation holds.
fn inside(op: &Op) -> impl Iterator<Item = &Arc<Graph>> {
    let graphs = match op {
        Op::Call { body, .. } | Op::Loop { body, .. } => [Some(body), None],
        Op::If { then, other } => [Some(then), Some(other)],
        Op::While { cond, body, .. } => [Some(cond), Some(body)],
        _ => [None, None],
    };
    graphs.into_iter().flatten()
}

/// The facts of an operation apart from the graphs inside.
fn own(graph: &Graph, op: &Op, inputs: &[NodeId]) -> Facts {
    let partial = Facts {
        total: false,
        ..Facts::HARMLESS
    };
    match op {
        Op::Binary {
            f: Binary::Div | Binary::Rem,
        } => {
            let whole = graph.tensor_type(inputs[1]).dtype.is_int();
            if whole && !is_nonzero(graph, inputs[1]) {
                return partial;
            }
            Facts::HARMLESS
        }
        Op::Gather { .. } | Op::Scatter { .. } | Op::While { .. } | Op::Custom { .. } => partial,
        Op::Random { .. } => Facts {
            draws: true,
            ..Facts::HARMLESS
        },
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Cast { .. }
        | Op::Bitcast { .. }
        | Op::Complex {}
        | Op::Real {}
        | Op::Imag {}
        | Op::Unary { .. }
        | Op::Binary { .. }
        | Op::Compare { .. }
        | Op::Select {}
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Barrier {}
        | Op::Expand { .. }
        | Op::Pad { .. }
        | Op::Slice { .. }
        | Op::Window { .. }
        | Op::Reduce { .. }
        | Op::Contract { .. }
        | Op::Scan { .. }
        | Op::Fold { .. }
        | Op::Sort { .. }
        | Op::Call { .. }
        | Op::If { .. }
        | Op::Loop { .. }
        | Op::Get { .. } => Facts::HARMLESS,
    }
}

/// Whether the tensor is a repeated constant other than zero.
fn is_nonzero(graph: &Graph, mut id: NodeId) -> bool {
    loop {
        let node = graph.node(id);
        match &node.op {
            Op::Const { value } => return value.bits() != 0,
            Op::Reshape { .. } | Op::Expand { .. } => id = node.inputs[0],
            _ => return false,
        }
    }
}
