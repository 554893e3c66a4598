//! Regions: the stretches of a graph that are optimised by themselves.
//!
//! Operations without effects, in graph order, form regions of bounded size; what else there is (loops,
//! random numbers, library functions, what may record a fault) stays between them, and a region ends
//! where such an operation needs one of its values: so nothing computed later can come to be needed
//! earlier. Long stretches are cut where the fewest values cross. Equal stretches are cut alike, and
//! regions are described without reference to where they stand, so that equal ones are solved once.

use super::EgraphOptions;
use super::language::{Kinds, OpKind};
use crate::build::live_nodes;
use crate::faults::{Faulting, may_fault};
use lazulite_ir::{Class, Graph, NodeId, Op, TensorType};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Leaves that may record faults, of which facts keep account one by one.
const MOST_FAULTS: u32 = 64;

/// Views that stand between a region and a value from outside, and become part of the region.
const MOST_VIEWS: usize = 6;

/// A part of a graph.
#[derive(Debug)]
pub(super) enum Part {
    /// An operation that stays as it is.
    Single(NodeId),
    /// A region.
    Region(Region),
}

/// One entry of a region: a leaf or an operation over earlier entries.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Entry {
    /// A value from outside, and whether computing it may record a fault.
    Leaf(TensorType, bool),
    /// An operation.
    Op(Op, SmallVec<[u32; 3]>),
}

/// What a region computes, wherever it stands.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Shape {
    /// Operands first.
    pub entries: Vec<Entry>,
    /// The entries that others need.
    pub roots: Vec<u32>,
}

/// A region of a graph.
#[derive(Default, Debug)]
pub(super) struct Region {
    /// What it computes.
    pub shape: Shape,
    /// The node of every entry.
    pub nodes: Vec<NodeId>,
    /// Its own operations, in graph order.
    pub own: Vec<NodeId>,
    /// The kinds of its operations.
    pub kinds: Kinds,
}

/// True if regions are made of such operations. Single integers are not worth it; they say where random
/// numbers come from and would cut regions short.
fn is_soft(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    let pure = match node.op.class() {
        Class::Pointwise | Class::Aggregate => true,
        Class::View => !matches!(node.op, Op::Barrier {}),
        Class::Leaf | Class::Index | Class::Region | Class::Other => false,
    };
    let Some(ty) = node.ty.as_tensor() else {
        return false;
    };
    let counts = ty.dims.is_empty() && ty.dtype.is_int();
    pure && !counts && !may_fault(graph, node)
}

/// True for what is added to every region that uses it, because it costs nothing.
fn is_free(op: &Op) -> bool {
    matches!(
        op,
        Op::Const { .. }
            | Op::Size { .. }
            | Op::Iota { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Expand { .. }
    )
}

/// The parts of a graph, operands before users.
pub(super) fn parts(graph: &Graph, options: &EgraphOptions) -> Vec<Part> {
    let live = live_nodes(graph);
    let last = last_uses(graph, &live);
    let soft: Vec<bool> = live.iter().map(|&id| is_soft(graph, id)).collect();
    let crossing = crossings(&live, &soft, &last);
    let mut faulting = Faulting::default();
    faulting.update(graph);
    let mut cut = Cut {
        graph,
        faulting: &faulting,
        position: FxHashMap::default(),
        visible: vec![false; graph.nodes().len()],
        parts: Vec::new(),
        last: &last,
        faults: 0,
    };
    let mut pending: Vec<usize> = Vec::new();
    for (at, &id) in live.iter().enumerate() {
        if soft[at] {
            pending.push(at);
            if pending.len() >= options.region as usize {
                let end = narrowest(&pending, &crossing);
                let rest = pending.split_off(end);
                cut.region(&live, &pending);
                pending = rest;
            }
            continue;
        }
        let needs = |i: &NodeId| pending.binary_search_by_key(i, |&p| live[p]).is_ok();
        if graph.node(id).inputs.iter().any(needs) {
            cut.region(&live, &pending);
            pending.clear();
        }
        cut.visible[id.index()] = true;
        if !matches!(graph.node(id).op, Op::Input { .. }) {
            cut.parts.push(Part::Single(id));
        }
    }
    cut.region(&live, &pending);
    cut.parts
}

/// Of every node, the position in `live` of its last use; results are used at the end.
fn last_uses(graph: &Graph, live: &[NodeId]) -> Vec<usize> {
    let mut last = vec![0; graph.nodes().len()];
    for (at, &id) in live.iter().enumerate() {
        for input in &graph.node(id).inputs {
            last[input.index()] = at;
        }
    }
    for output in graph.outputs() {
        last[output.index()] = live.len();
    }
    last
}

/// Behind every position, how many values made before are used after.
fn crossings(live: &[NodeId], soft: &[bool], last: &[usize]) -> Vec<u32> {
    let mut ends = vec![0u32; live.len() + 1];
    let mut open = 0;
    let mut crossing = Vec::with_capacity(live.len());
    for (at, id) in live.iter().enumerate() {
        open -= ends[at];
        if soft[at] && last[id.index()] > at {
            open += 1;
            ends[last[id.index()]] += 1;
        }
        crossing.push(open);
    }
    crossing
}

/// How many of the pending operations make a region: up to the last of the places in the second half behind
/// which the fewest values cross.
fn narrowest(pending: &[usize], crossing: &[u32]) -> usize {
    let half = pending.len() / 2;
    let best = (half..pending.len()).min_by_key(|&i| (crossing[pending[i]], usize::MAX - i));
    best.map_or(pending.len(), |i| i + 1)
}

struct Cut<'a> {
    graph: &'a Graph,
    faulting: &'a Faulting,
    /// Entries of the nodes in the region being described.
    position: FxHashMap<NodeId, u32>,
    /// Nodes that regions hand on, or that are in none.
    visible: Vec<bool>,
    parts: Vec<Part>,
    last: &'a [usize],
    /// Leaves of it that may record faults.
    faults: u32,
}

impl Cut<'_> {
    /// Describes the region of the operations at these positions.
    fn region(&mut self, live: &[NodeId], at: &[usize]) {
        let Some(&end) = at.last() else { return };
        self.position.clear();
        self.faults = 0;
        let mut region = Region::default();
        for &p in at {
            let id = live[p];
            for &input in &self.graph.node(id).inputs {
                self.outside(&mut region, input);
            }
            self.inside(&mut region, id);
            region.own.push(id);
        }
        for &p in at {
            if self.last[live[p].index()] > end {
                region.shape.roots.push(self.position[&live[p]]);
                self.visible[live[p].index()] = true;
            }
        }
        if self.faults <= MOST_FAULTS && !region.shape.roots.is_empty() {
            self.parts.push(Part::Region(region));
        } else {
            at.iter()
                .for_each(|&p| self.visible[live[p].index()] = true);
            self.parts.extend(at.iter().map(|&p| Part::Single(live[p])));
        }
    }

    /// Adds an operand from outside the region as a leaf, or with what costs nothing above it.
    fn outside(&mut self, region: &mut Region, id: NodeId) {
        let mut chain = vec![id];
        loop {
            let at = chain[chain.len() - 1];
            let node = self.graph.node(at);
            let [below] = *node.inputs else { break };
            if self.position.contains_key(&at) || !is_free(&node.op) || chain.len() > MOST_VIEWS {
                break;
            }
            chain.push(below);
        }
        // What another region keeps to itself is no leaf.
        let hidden = |id: &NodeId| !self.visible[id.index()] && !self.position.contains_key(id);
        while chain.len() > 1 && chain.last().is_some_and(hidden) {
            chain.pop();
        }
        for at in chain.into_iter().rev() {
            if self.position.contains_key(&at) {
                continue;
            }
            let node = self.graph.node(at);
            let known = node.inputs.iter().all(|i| self.position.contains_key(i));
            if is_free(&node.op) && known {
                self.inside(region, at);
            } else {
                let faults = self.faulting.of(at);
                self.faults += u32::from(faults);
                let entry = Entry::Leaf(self.graph.tensor_type(at).clone(), faults);
                self.entry(region, at, entry);
            }
        }
    }

    fn inside(&mut self, region: &mut Region, id: NodeId) {
        let node = self.graph.node(id);
        let operands = node.inputs.iter().map(|i| self.position[i]).collect();
        region.kinds.insert(OpKind::of(&node.op));
        self.entry(region, id, Entry::Op(node.op.clone(), operands));
    }

    fn entry(&mut self, region: &mut Region, id: NodeId, entry: Entry) {
        self.position.insert(id, region.nodes.len() as u32);
        region.nodes.push(id);
        region.shape.entries.push(entry);
    }
}
