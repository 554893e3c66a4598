//! The hash-consed, typed graph. Nodes are only ever added behind their operands, so node order is
//! a topological order and cycles cannot be built.

use crate::{Dim, Op, Origin, Source, TensorType, Type, TypeError, infer};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// A node of one graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Position in [`Graph::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Operand lists.
pub type Inputs = SmallVec<[NodeId; 3]>;

/// An operation applied to operands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// From what.
    pub inputs: Inputs,
    /// The result's type, as inferred.
    pub ty: Type,
}

/// A condition on sizes that could not be decided when the graph was built; it is checked when
/// sizes are bound.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Guard {
    /// Left side.
    pub lhs: Dim,
    /// Relation.
    pub relation: Relation,
    /// Right side.
    pub rhs: Dim,
    /// What to tell the user when it does not hold.
    pub message: Arc<str>,
}

/// Relations of guards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Relation {
    /// Equal.
    Eq,
    /// Less or equal.
    Le,
}

/// A program without side effects.
#[derive(Clone, Default, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    origins: Vec<Origin>,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    guards: Vec<Guard>,
    /// The conditions of `guards`: the first message for each is kept.
    stated: FxHashSet<(Dim, Relation, Dim)>,
    known: FxHashMap<u64, SmallVec<[NodeId; 1]>>,
    content: Content,
}

/// What has been found out about a graph's content; forgotten when that changes. Regions are hashed and
/// told apart with every operation that holds them, and may hold each other.
#[derive(Clone, Default, Debug)]
pub(crate) struct Content {
    hash: OnceLock<u64>,
    /// See [`crate::structure`].
    pub identity: OnceLock<u64>,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Adds the next parameter, with the conditions that its sizes need.
    pub fn input(&mut self, ty: TensorType) -> NodeId {
        let index = self.inputs.len() as u32;
        let op = Op::Input {
            index,
            ty: ty.clone(),
        };
        let mut guards = Vec::new();
        // Types that cannot be are for the verifier to report.
        if infer::infer(&op, &[], &mut guards).is_ok() {
            guards.into_iter().for_each(|g| self.add_guard(g));
        }
        let id = self.push(op, Inputs::new(), Type::Tensor(ty));
        self.inputs.push(id);
        id
    }

    /// Adds an operation, or finds the equal node that exists already. Parameters are made with
    /// [`Graph::input`].
    pub fn add(
        &mut self,
        op: Op,
        inputs: impl IntoIterator<Item = NodeId>,
    ) -> Result<NodeId, TypeError> {
        let inputs: Inputs = inputs.into_iter().collect();
        let hash = hash_of(&op, &inputs);
        if let Some(found) = self.known.get(&hash).and_then(|candidates| {
            candidates
                .iter()
                .find(|id| {
                    let n = &self.nodes[id.index()];
                    n.op == op && n.inputs == inputs
                })
                .copied()
        }) {
            return Ok(found);
        }
        let mut guards = Vec::new();
        let ty = {
            let types: SmallVec<[&Type; 3]> = inputs
                .iter()
                .map(|i| self.nodes.get(i.index()).map(|n| &n.ty))
                .collect::<Option<_>>()
                .ok_or(TypeError::NoSuchNode)?;
            infer::infer(&op, &types, &mut guards)?
        };
        for guard in guards {
            self.add_guard(guard);
        }
        let id = self.push(op, inputs, ty);
        self.known.entry(hash).or_default().push(id);
        Ok(id)
    }

    fn push(&mut self, op: Op, inputs: Inputs, ty: Type) -> NodeId {
        self.content = Content::default();
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { op, inputs, ty });
        self.origins.push(Origin::default());
        id
    }

    /// All nodes, operands before users.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All node names, operands before users.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The type of a node that is one tensor. Panics for tuples, which only `Get` may consume.
    pub fn tensor_type(&self, id: NodeId) -> &TensorType {
        self.node(id)
            .ty
            .as_tensor()
            .expect("a tuple is used as a tensor: the verifier rejects such graphs")
    }

    /// The parameters in order.
    pub fn inputs(&self) -> &[NodeId] {
        &self.inputs
    }

    /// The results in order; a node may occur several times.
    pub fn outputs(&self) -> &[NodeId] {
        &self.outputs
    }

    /// Sets the results.
    pub fn set_outputs(&mut self, outputs: impl IntoIterator<Item = NodeId>) {
        self.content = Content::default();
        self.outputs = outputs.into_iter().collect();
    }

    /// Conditions on sizes under which the graph is well typed.
    pub fn guards(&self) -> &[Guard] {
        &self.guards
    }

    /// Adds a condition, unless it is there already.
    pub fn add_guard(&mut self, guard: Guard) {
        let condition = (guard.lhs.clone(), guard.relation, guard.rhs.clone());
        if self.stated.insert(condition) {
            self.content = Content::default();
            self.guards.push(guard);
        }
    }

    /// Puts other conditions in place of all there are; for readers of text, which know the order.
    pub(crate) fn set_guards(&mut self, guards: Vec<Guard>) {
        self.content = Content::default();
        self.guards.clear();
        self.stated.clear();
        guards.into_iter().for_each(|g| self.add_guard(g));
    }

    /// Where in the user's program a node comes from, if that is known.
    pub fn source(&self, id: NodeId) -> Option<&Arc<Source>> {
        self.origin(id).source()
    }

    /// Says where a node comes from. The first word wins; others are kept as places of equal operations.
    pub fn set_source(&mut self, id: NodeId, source: Arc<Source>) {
        self.add_origin(id, &Origin::of(Some(source)));
    }

    /// Where a node comes from, and what happened to it since.
    pub fn origin(&self, id: NodeId) -> &Origin {
        &self.origins[id.index()]
    }

    /// Joins what is known of where a node comes from.
    pub fn add_origin(&mut self, id: NodeId, origin: &Origin) {
        self.origins[id.index()].join(origin);
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// The types of the results.
    pub fn output_types(&self) -> Vec<TensorType> {
        self.outputs
            .iter()
            .map(|&o| self.tensor_type(o).clone())
            .collect()
    }
}

fn hash_of(op: &Op, inputs: &[NodeId]) -> u64 {
    let mut h = rustc_hash::FxHasher::default();
    op.hash(&mut h);
    inputs.hash(&mut h);
    h.finish()
}

/// Graphs are equal when they have the same nodes, results and guards; origins do not count.
impl PartialEq for Graph {
    fn eq(&self, other: &Graph) -> bool {
        let hashes = self.content.hash.get().zip(other.content.hash.get());
        hashes.is_none_or(|(a, b)| a == b)
            && self.nodes == other.nodes
            && self.outputs == other.outputs
            && self.guards == other.guards
    }
}

impl Eq for Graph {}

impl Hash for Graph {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let content = self.content.hash.get_or_init(|| {
            let mut hasher = rustc_hash::FxHasher::default();
            self.nodes.hash(&mut hasher);
            self.outputs.hash(&mut hasher);
            hasher.finish()
        });
        state.write_u64(*content);
    }
}
