//! A graph copied into another one, with what its derivatives need recorded on the way.

use super::activity::{ancestors, dependants};
use super::context::Cx;
use super::region::loops;
use super::{AutodiffError, Result};
use crate::PassError;
use crate::build::Emit;
use lazulite_ir::{Graph, NodeId, Op};

/// The copy.
pub(super) struct Tape<'g> {
    pub graph: &'g Graph,
    /// What each copied node has become.
    values: Vec<Option<NodeId>>,
    /// Which nodes lie between the wanted ones and the seeded ones.
    pub active: Vec<bool>,
}

impl<'g> Tape<'g> {
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
        let mut tape = Tape {
            graph,
            values: vec![None; graph.nodes().len()],
            active,
        };
        for (&input, &new) in graph.inputs().iter().zip(inputs) {
            tape.values[input.index()] = Some(new);
        }
        let live = ancestors(graph, kept);
        for id in graph.ids().filter(|id| live[id.index()]) {
            if tape.values[id.index()].is_none() {
                cx.builder.at_origin(graph.origin(id));
                let new = tape.copy(cx, id)?;
                tape.values[id.index()] = Some(new);
            }
        }
        Ok(tape)
    }

    fn copy(&self, cx: &mut Cx<'_, '_>, id: NodeId) -> Result<NodeId> {
        let node = self.graph.node(id);
        let mut inputs = self.values(&node.inputs)?;
        let passes_derivative = node.inputs.iter().any(|x| self.active[x.index()]);
        let mut op = node.op.clone();
        if self.active[id.index()] && passes_derivative {
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

    /// What every node has become; `None` for those that were not copied.
    pub fn into_values(self) -> Vec<Option<NodeId>> {
        self.values
    }

    /// What a copied node has become.
    pub fn value(&self, id: NodeId) -> Result<NodeId> {
        self.values[id.index()].ok_or_else(|| {
            AutodiffError::Pass(PassError::Invalid {
                after: "trace",
                report: format!("%{} is used before it is computed", id.0),
            })
        })
    }

    /// What copied nodes have become.
    pub fn values(&self, ids: &[NodeId]) -> Result<Vec<NodeId>> {
        ids.iter().map(|&id| self.value(id)).collect()
    }
}
