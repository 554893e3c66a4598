//! Scatter: a copy of the operand, then one kernel that combines the updates in.
//!
//! The update kernel runs in parallel over the axes that are not indexed; along the indexed places it is
//! ordered, so that updates of one element are combined in their order.

use super::ScheduleError;
use super::contract::Pack;
use super::faults::Faults;
use super::lower::{Fragment, Lowerer, Stored};
use super::member::Space;
use super::policy::Policy;
use lazulite_ir::{Combine, Dim, Graph, IndexExpr, NodeId, Op, Ranges, ValueId, linearize};

/// The two parts of a scatter.
#[derive(Debug)]
pub(super) struct Scattering {
    /// The scatter.
    pub node: NodeId,
    /// The copy.
    pub copy: Pack,
    /// Extents of the update kernel's space.
    pub space: Vec<Dim>,
    /// How many of them, from the first, are parallel.
    pub parallel: usize,
    /// The update at each point.
    pub update: Fragment,
    /// The element it goes to.
    pub index: IndexExpr,
    /// Condition under which there is one.
    pub guard: Option<ValueId>,
    /// How it is combined.
    pub combine: Option<Combine>,
}

impl Scattering {
    /// The tensors that both parts read.
    pub fn reads(&self) -> impl Iterator<Item = Stored> {
        let reads = self.copy.fragment.reads().chain(self.update.reads());
        reads.map(|r| r.from)
    }
}

/// Builds both parts.
pub(super) fn build(
    graph: &Graph,
    policy: &Policy,
    faults: &mut Faults,
    id: NodeId,
) -> Result<Scattering, ScheduleError> {
    let node = graph.node(id);
    let dims = &graph.tensor_type(id).dims;
    let copy = copy(graph, policy, faults, node.inputs[0])?;
    let (axes, combine) = match &node.op {
        Op::Scatter { axes, combine } => (axes.as_slice(), *combine),
        _ => (&[][..], None),
    };
    let (update, indices) = (node.inputs[1], &node.inputs[2..]);
    let is_indexed = |axis: usize| axes.contains(&(axis as u32));
    let mut space = Space::default();
    let mut at: Vec<Option<IndexExpr>> = Vec::with_capacity(dims.len());
    for (axis, d) in dims.iter().enumerate() {
        at.push((!is_indexed(axis)).then(|| space.axis(d)));
    }
    let parallel = space.dims.len();
    let place_dims = indices.first().map(|&i| &graph.tensor_type(i).dims);
    let place = space.axes(place_dims.map_or(&[][..], |d| d));
    let mut lowerer = Lowerer::new(graph, policy, faults, None, &space.dims);
    let mut guard = None;
    for (axis, slot) in at.iter_mut().enumerate() {
        if slot.is_some() {
            continue;
        }
        let k = axes.iter().position(|&a| a as usize == axis);
        let index = lowerer.value(indices[k.unwrap_or(0)], place.clone(), None)?;
        let (index, exists) = lowerer.checked_index(id, index, axis, &dims[axis], None);
        guard = lowerer.and(guard, exists);
        *slot = Some(index);
    }
    let at: Vec<IndexExpr> = at.into_iter().flatten().collect();
    let rest = at.iter().enumerate().filter(|(a, _)| !is_indexed(*a));
    let from = place.iter().chain(rest.map(|(_, c)| c)).cloned().collect();
    let value = lowerer.value(update, from, None)?;
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    Ok(Scattering {
        node: id,
        copy,
        parallel,
        update: lowerer.finish(value),
        index: linearize(&at, dims, ranges)?,
        guard,
        combine,
        space: space.dims,
    })
}

/// A dense copy of a node.
fn copy(
    graph: &Graph,
    policy: &Policy,
    faults: &mut Faults,
    node: NodeId,
) -> Result<Pack, ScheduleError> {
    let dims = &graph.tensor_type(node).dims;
    let mut space = Space::default();
    let coords = space.axes(dims);
    let mut lowerer = Lowerer::new(graph, policy, faults, None, &space.dims);
    let value = lowerer.value(node, coords.clone(), None)?;
    let fragment = lowerer.finish(value);
    let ranges = Ranges {
        outer: &[],
        inner: &space.dims,
    };
    Ok(Pack {
        index: linearize(&coords, dims, ranges)?,
        len: Dim::product(&space.dims)?,
        fragment,
        space: space.dims,
    })
}
