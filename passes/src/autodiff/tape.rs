//! A graph with what its derivatives need: copied into another one and recorded on the way, or, if it is all there,
//! the graph itself, which is continued.

use super::activity::{ancestors, dependants, dependants_up_to};
use super::context::Cx;
use super::region::loops;
use super::{AutodiffError, Result};
use crate::PassError;
use crate::build::Emit;
use lazulite_ir::{Graph, NodeId, Op};
use rustc_hash::FxHashSet;

/// The graph and what has become of it.
pub(super) struct Tape<'g> {
    /// None if it is the one under construction.
    graph: Option<&'g Graph>,
    /// What each copied node has become; none if all are what they were.
    values: Option<Vec<Option<NodeId>>>,
    /// Which nodes lie between the wanted ones and the seeded ones.
    pub active: Vec<bool>,
}

impl<'g> Tape<'g> {
    /// The graph as it is, if derivatives between the nodes `wrt` and `targets` need nothing more of it. What
    /// flows into a node of `border` counts for nothing.
    pub fn of(
        graph: &Graph,
        wrt: &[NodeId],
        targets: &[NodeId],
        border: &FxHashSet<NodeId>,
    ) -> Option<Tape<'static>> {
        let mut active = dependants_up_to(graph, wrt.iter().copied(), border);
        let towards = ancestors(graph, targets.iter().copied());
        for (a, t) in active.iter_mut().zip(&towards) {
            *a &= t;
        }
        let extended = |id: NodeId| {
            let extended = matches!(graph.node(id).op, Op::Sort { .. } | Op::Loop { .. });
            extended && active[id.index()]
        };
        if graph.ids().any(extended) {
            return None;
        }
        Some(Tape {
            graph: None,
            values: None,
            active,
        })
    }

    /// Copies what `kept` depends on. Between the nodes `wrt` and `targets`, sorts give their
    /// permutation as well and loops the carries of every iteration, as further results.
    pub fn record(
        cx: &mut Cx<'_, '_>,
        graph: &'g Graph,
        inputs: &[NodeId],
        wrt: &[NodeId],
        targets: &[NodeId],
        kept: Vec<NodeId>,
    ) -> Result<Tape<'g>> {
        let mut active = dependants(graph, wrt.iter().copied());
        let towards = ancestors(graph, targets.iter().copied());
        for (a, t) in active.iter_mut().zip(&towards) {
            *a &= t;
        }
        let mut values = vec![None; graph.nodes().len()];
        for (&input, &new) in graph.inputs().iter().zip(inputs) {
            values[input.index()] = Some(new);
        }
        let live = ancestors(graph, kept);
        for id in graph.ids().filter(|id| live[id.index()]) {
            if values[id.index()].is_none() {
                cx.builder.at_origin(graph.origin(id));
                let operands = { graph.node(id).inputs.iter() }
                    .map(|x| values[x.index()].ok_or_else(|| early(*x)))
                    .collect::<Result<Vec<_>>>()?;
                values[id.index()] = Some(Tape::copy(cx, graph, id, operands, &active)?);
            }
        }
        Ok(Tape {
            graph: Some(graph),
            values: Some(values),
            active,
        })
    }

    fn copy(
        cx: &mut Cx<'_, '_>,
        graph: &Graph,
        id: NodeId,
        mut inputs: Vec<NodeId>,
        active: &[bool],
    ) -> Result<NodeId> {
        let node = graph.node(id);
        let passes_derivative = node.inputs.iter().any(|x| active[x.index()]);
        let mut op = node.op.clone();
        if active[id.index()] && passes_derivative {
            match &mut op {
                Op::Sort { axis, .. } => {
                    let dims = cx.dims(inputs[0]);
                    inputs.push(cx.coordinates(&dims, *axis as usize)?);
                }
                Op::Loop { body, carries, .. } => *body = loops::saving(body, *carries as usize),
                _ => {}
            }
        }
        Ok(cx.emit(op, &inputs)?)
    }

    /// The graph that is differentiated.
    pub fn graph<'a>(&'a self, cx: &'a Cx<'_, '_>) -> &'a Graph {
        self.graph.unwrap_or(cx.builder.graph())
    }

    /// What every node has become, `None` for those that were not copied; none if all are what they were.
    pub fn into_values(self) -> Option<Vec<Option<NodeId>>> {
        self.values
    }

    /// What a copied node has become.
    pub fn value(&self, id: NodeId) -> Result<NodeId> {
        match &self.values {
            Some(values) => values[id.index()].ok_or_else(|| early(id)),
            None => Ok(id),
        }
    }

    /// What copied nodes have become.
    pub fn values(&self, ids: &[NodeId]) -> Result<Vec<NodeId>> {
        ids.iter().map(|&id| self.value(id)).collect()
    }
}

fn early(id: NodeId) -> AutodiffError {
    AutodiffError::Pass(PassError::Invalid {
        after: "trace",
        report: format!("%{} is used before it is computed", id.0),
    })
}
