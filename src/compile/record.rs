//! Recording a function with parameters in place of its inputs.

use super::state::{self, CaptureState};
use crate::device::{Device, Places, Value};
use crate::engine::{self, Pattern, Trace};
use crate::error::Result;
use crate::location::Place;
use crate::tensor::{Node, Recorded, Tensor, internal};
use lazulite_ir::{Graph, TensorType};
use std::sync::Arc;

/// Where a parameter of the program comes from.
#[derive(Clone)]
pub(crate) enum Source {
    Argument(usize),
    Constant(Value),
    Seed(usize),
    Stream(usize),
    Cell(usize),
    /// Result of the preparation.
    Prepared(usize),
}

/// A function recorded once, with parameters in place of its inputs.
pub(crate) struct Captured {
    pub graph: Graph,
    /// The part of the graph before gradients are taken, if they are and that was asked for.
    pub forward: Option<Graph>,
    /// Where the graph's parameters come from.
    pub sources: Vec<Source>,
    /// Types of the results, then of the values written to cells. (A tensor returned twice is computed once
    /// and handed out twice.)
    pub outputs: Vec<TensorType>,
    /// Where it runs; `None` if its results belong to several devices.
    pub device: Option<Device>,
    pub state: CaptureState,
}

/// Whether the part of a program before gradients are taken is wanted by itself, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halves {
    Joined,
    Apart,
}

/// Records `function` for parameters of these types at these places, on behalf of the operation `op` at `place`.
pub(crate) fn capture(
    op: &'static str,
    types: Vec<(TensorType, Places)>,
    place: Place,
    halves: Halves,
    function: impl FnOnce(Vec<Tensor>) -> Result<Vec<Tensor>>,
) -> Result<Captured> {
    Recording::begin(op, types, place, function)?.finish(halves)
}

/// A function recorded with parameters in place of its inputs, of which no graph has been made.
pub(super) struct Recording {
    op: &'static str,
    arguments: usize,
    pub results: Vec<Tensor>,
    pub state: CaptureState,
}

impl Recording {
    pub fn begin(
        op: &'static str,
        types: Vec<(TensorType, Places)>,
        place: Place,
        function: impl FnOnce(Vec<Tensor>) -> Result<Vec<Tensor>>,
    ) -> Result<Recording> {
        let arguments = types.len();
        let recording = state::begin(arguments as u32);
        let parameters = types.into_iter().zip(0..);
        let parameters = parameters.map(|((ty, places), i)| {
            let node = state::parameter(recording.id, i, ty, places, place);
            Tensor(Ok(node))
        });
        let refusals = engine::Refusals::begin();
        let results = function(parameters.collect())?;
        refusals.check()?;
        Ok(Recording {
            op,
            arguments,
            results,
            state: recording.finish(),
        })
    }

    /// True if gradients flow through results, or through values of cells that were computed from others.
    pub fn keeps_history(&self) -> bool {
        let flows = |t: &Tensor| t.requires_grad() && !self.state.is_forgotten(t);
        let mut written = self.state.written.iter().map(|(_, tensor)| tensor);
        self.results.iter().any(flows) || written.any(|t| flows(t) && !t.is_leaf())
    }

    pub fn finish(self, halves: Halves) -> Result<Captured> {
        let Recording {
            op,
            arguments,
            results,
            state,
        } = self;
        let mut roots = results
            .iter()
            .chain(state.written.iter().map(|(_, t)| t))
            .map(|t| t.node().cloned())
            .collect::<Result<Vec<_>>>()?;
        drop(results);
        let listed = list_with_constants(&mut roots)?;
        // Nothing is passed at run time but the parameters.
        let pattern = Pattern::constant(&listed);
        let (graph, forward) = match halves {
            Halves::Joined => (engine::build(&listed, &pattern, op)?, None),
            Halves::Apart => engine::build_in_two(&listed, &pattern, op)?,
        };
        let mut sources = Vec::new();
        for &leaf in &listed.leaves {
            let n = &listed.nodes[leaf as usize];
            sources.push(match (&n.value, &n.node.op) {
                (Some(value), _) => Source::Constant(value.clone()),
                (None, Recorded::Parameter(parameter)) => state.source(*parameter, arguments)?,
                (None, _) => return Err(internal(op, "a leaf has no value")),
            });
        }
        Ok(Captured {
            graph,
            forward,
            sources,
            outputs: roots.iter().map(|r| (*r.ty).clone()).collect(),
            device: engine::device_of(&roots),
            state,
        })
    }
}

/// Lists the program after computing everything expensive that does not depend on parameters.
fn list_with_constants(roots: &mut [Arc<Node>]) -> Result<Trace> {
    let listed = engine::settled_trace(roots, None)?;
    let mut depends = vec![false; listed.nodes.len()];
    let mut constants: Vec<Arc<Node>> = Vec::new();
    for (i, n) in listed.nodes.iter().enumerate() {
        let mut parents = n.links.iter().filter_map(|l| l.node());
        let next = listed.nodes.get(i + 1).map(|next| next.first_dim as usize);
        let end = next.unwrap_or(listed.dims.len());
        let mut sizes = listed.dims[n.first_dim as usize..end].iter();
        // Sizes of parameters are not known yet either.
        depends[i] = matches!(n.node.op, Recorded::Parameter(_))
            || sizes.any(|d| d.as_const().is_none())
            || parents.any(|p| depends[p as usize]);
        let single = !n.node.is_tuple();
        let lazy = n.value.is_none();
        if !depends[i] && lazy && single && n.node.traits.heavy {
            constants.push(n.node.clone());
        }
    }
    if constants.is_empty() {
        return Ok(listed);
    }
    drop(listed);
    engine::realize(&constants)?;
    engine::settled_trace(roots, None)
}
