//! From a trace to a graph: broadcasting and literals become explicit, sizes and numbers are taken
//! from a pattern that says which of them are constants, and gradients become operations.

use super::body::Body;
use super::flow::Flow;
use super::region::Outside;
use super::rules::Building;
use super::trace::{Link, Trace, TraceNode};
use crate::error::{Error, Result};
use crate::location::Place;
use crate::tensor::{Broadcast, Literal, Recorded, type_error_at};
use lazulite_ir::{Dim, Dims, Graph, NodeId, Op, Scalar, Source, TensorType, TypeError};
use rustc_hash::FxHashMap;
use std::panic::Location;
use std::sync::Arc;

/// Which sizes and numbers of a trace are constants, and what the others are.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Pattern {
    /// Per size of the trace: a constant, or an expression over symbols.
    pub dims: Vec<Dim>,
    /// Per number: the constant, or `None` for one that is passed at run time.
    pub literals: Vec<Option<Literal>>,
}

impl Pattern {
    /// Takes all sizes and numbers as constants.
    pub fn constant(trace: &Trace) -> Pattern {
        Pattern {
            dims: trace.dims.clone(),
            literals: trace.literals.iter().copied().map(Some).collect(),
        }
    }

    /// Takes everything as it is.
    pub fn exact(trace: &Trace) -> Pattern {
        Pattern {
            dims: trace.dims.clone(),
            literals: trace
                .literals
                .iter()
                .map(|l| (!l.runtime).then_some(*l))
                .collect(),
        }
    }
}

/// Why there is no graph.
pub(super) enum BuildError {
    /// The node cannot be; where it was recorded.
    Type(TypeError, Option<Place>),
    /// Already told in the user's terms.
    Told(Error),
}

impl BuildError {
    /// In the user's terms, for the operation `op`.
    #[track_caller]
    fn told(self, op: &'static str) -> Error {
        match self {
            BuildError::Type(e, Some(place)) => type_error_at(op, e, &[], place),
            BuildError::Type(e, None) => type_error_at(op, e, &[], Place::here()),
            BuildError::Told(e) => e,
        }
    }

    /// The same with the user's line, which recorded what cannot be, unless it is known.
    fn at(self, place: Place) -> BuildError {
        match self {
            BuildError::Type(e, None) => BuildError::Type(e, Some(place)),
            BuildError::Type(..) | BuildError::Told(_) => self,
        }
    }
}

impl From<TypeError> for BuildError {
    fn from(error: TypeError) -> BuildError {
        BuildError::Type(error, None)
    }
}

/// Builds the graph, for the user's operation `op`. Its parameters are the trace's leaves, then the
/// numbers passed at run time; its results are the trace's roots.
#[track_caller]
pub(crate) fn build(trace: &Trace, pattern: &Pattern, op: &'static str) -> Result<Graph> {
    graph(trace, pattern, Forward::Dropped)
        .map(|(graph, _)| graph)
        .map_err(|e| e.told(op))
}

/// As [`build`], and the part of the graph before gradients are taken, if they are.
#[track_caller]
pub(crate) fn build_in_two(
    trace: &Trace,
    pattern: &Pattern,
    op: &'static str,
) -> Result<(Graph, Option<Graph>)> {
    graph(trace, pattern, Forward::Wanted).map_err(|e| e.told(op))
}

/// What is done with the part of a graph before gradients are taken.
pub(super) enum Forward {
    Dropped,
    /// Kept once it is there.
    Wanted,
    Kept(Box<Graph>),
}

fn graph(
    trace: &Trace,
    pattern: &Pattern,
    forward: Forward,
) -> Result<(Graph, Option<Graph>), BuildError> {
    let _building = Building::begin();
    let mut builder = Builder::new(trace, pattern);
    builder.forward = forward;
    for &leaf in &trace.leaves {
        builder.leaf(leaf);
    }
    for (literal, constant) in trace.literals.iter().zip(&pattern.literals) {
        let parameter = constant.is_none().then(|| builder.number(*literal));
        builder.literals.push(parameter);
    }
    builder.build()
}

/// The graph of a function with these sizes. Its parameters are its own, then all that its region
/// captures, then all of the region's numbers that are passed in.
pub(super) fn build_body(
    body: &Body,
    dims: &[Dim],
    outside: &Outside<'_>,
) -> Result<Graph, BuildError> {
    let trace = &body.trace;
    let own = outside.first_literal..outside.first_literal + trace.literals.len();
    let constant = |(literal, passed): &(Literal, bool)| (!passed).then_some(*literal);
    let pattern = Pattern {
        dims: dims.to_vec(),
        literals: outside.literals[own.clone()].iter().map(constant).collect(),
    };
    let mut builder = Builder::new(trace, &pattern);
    let (parameters, captured) = trace.leaves.split_at(body.parameters);
    for &leaf in parameters {
        builder.leaf(leaf);
    }
    let types = outside.captured.iter();
    let inputs: Vec<NodeId> = types.map(|ty| builder.graph.input(ty.clone())).collect();
    for (&leaf, &number) in captured.iter().zip(outside.numbers) {
        builder.leaves.insert(leaf, inputs[number as usize]);
    }
    for (i, (literal, passed)) in outside.literals.iter().enumerate() {
        let parameter = passed.then(|| builder.number(*literal));
        if own.contains(&i) {
            builder.literals.push(parameter);
        }
    }
    Ok(builder.build()?.0)
}

pub(super) struct Builder<'a> {
    pub graph: Graph,
    pub trace: &'a Trace,
    pub pattern: &'a Pattern,
    /// What the listed nodes have become.
    pub ids: Vec<NodeId>,
    /// Parameters of leaves.
    pub leaves: FxHashMap<u32, NodeId>,
    /// Parameters of numbers passed at run time.
    pub literals: Vec<Option<NodeId>>,
    pub flow: Flow,
    forward: Forward,
    sources: FxHashMap<(*const Location<'static>, Option<*const u8>), Arc<Source>>,
}

impl<'a> Builder<'a> {
    fn new(trace: &'a Trace, pattern: &'a Pattern) -> Builder<'a> {
        Builder {
            graph: Graph::new(),
            trace,
            pattern,
            ids: vec![NodeId(u32::MAX); trace.nodes.len()],
            leaves: FxHashMap::default(),
            literals: Vec::with_capacity(trace.literals.len()),
            flow: Flow::new(trace),
            forward: Forward::Dropped,
            sources: FxHashMap::default(),
        }
    }

    /// Adds a parameter for a leaf.
    fn leaf(&mut self, leaf: u32) {
        let listed = &self.trace.nodes[leaf as usize];
        let first = listed.first_dim as usize;
        let rank = listed.node.ty.rank();
        let dims = self.pattern.dims[first..first + rank].iter().cloned();
        let ty = TensorType::new(listed.node.ty.dtype, dims);
        let id = self.graph.input(ty);
        self.leaves.insert(leaf, id);
    }

    /// Adds a parameter for a number.
    fn number(&mut self, literal: Literal) -> NodeId {
        self.graph.input(TensorType::scalar(literal.dtype))
    }

    /// Builds what is listed, once the parameters are there.
    fn build(mut self) -> Result<(Graph, Option<Graph>), BuildError> {
        let trace = self.trace;
        for (position, node) in trace.nodes.iter().enumerate() {
            self.node(position as u32, node)
                .map_err(|e| e.at(node.node.place))?;
        }
        let roots = trace.roots.iter();
        let outputs: Vec<NodeId> = roots.map(|&r| self.ids[r as usize]).collect();
        self.graph.set_outputs(outputs);
        let forward = match std::mem::replace(&mut self.forward, Forward::Dropped) {
            Forward::Kept(graph) => Some(*graph),
            Forward::Dropped | Forward::Wanted => None,
        };
        Ok((self.finish()?, forward))
    }

    /// Keeps the graph as it is before gradients are taken of `ends`, if somebody asked for it.
    pub(super) fn keep_forward(&mut self, ends: impl Iterator<Item = NodeId>) {
        if !matches!(self.forward, Forward::Wanted) {
            return;
        }
        let mut graph = self.graph.clone();
        let mut outputs: Vec<NodeId> = ends.collect();
        for &root in &self.trace.roots {
            let id = self.ids[root as usize];
            if id.index() < graph.nodes().len() && !outputs.contains(&id) {
                outputs.push(id);
            }
        }
        graph.set_outputs(outputs);
        self.forward = Forward::Kept(Box::new(graph));
    }

    fn node(&mut self, position: u32, listed: &TraceNode) -> Result<(), BuildError> {
        let source = self.source(listed);
        let leaf = self.leaves.get(&position).copied();
        let id = match leaf {
            Some(id) if !listed.has_history() => id,
            Some(value) => {
                let computed = self.operation(position, listed)?;
                self.graph.set_source(computed, source.clone());
                self.known(computed, value)?
            }
            None => self.operation(position, listed)?,
        };
        let id = self.apart(position, listed, id)?;
        let exists = id.index() < self.graph.nodes().len();
        if leaf != Some(id) && exists {
            self.graph.set_source(id, source);
        }
        self.ids[position as usize] = id;
        Ok(())
    }

    /// The node for an operation whose operands are there.
    fn operation(&mut self, position: u32, listed: &TraceNode) -> Result<NodeId, BuildError> {
        Ok(match &listed.node.op {
            Recorded::Leaf | Recorded::Parameter(_) | Recorded::Move(_) => {
                return Err(TypeError::NoSuchNode.into());
            }
            Recorded::Constant | Recorded::Same => match self.operands(listed)?.first() {
                Some(operand) => *operand,
                None => return Err(TypeError::NoSuchNode.into()),
            },
            Recorded::Function(function, index) => {
                let operands = self.operands(listed)?;
                self.function(function, *index, &operands)?
            }
            Recorded::Unary(f) => self.pointwise(listed, Op::Unary { f: *f })?,
            Recorded::Binary(f) => self.pointwise(listed, Op::Binary { f: *f })?,
            Recorded::Compare(predicate) => {
                let predicate = *predicate;
                self.pointwise(listed, Op::Compare { predicate })?
            }
            Recorded::Select => self.pointwise(listed, Op::Select {})?,
            Recorded::Cast => {
                let dtype = listed.node.ty.dtype;
                self.pointwise(listed, Op::Cast { dtype })?
            }
            Recorded::Item(index) => match self.result(listed, *index)? {
                Some(result) => result,
                None => {
                    let operands = self.operands(listed)?;
                    self.graph.add(Op::Get { index: *index }, operands)?
                }
            },
            Recorded::Primitive(op) => {
                let mut op = (**op).clone();
                let mut next = listed.first_op_dim();
                op.visit_dims_mut(&mut |d| {
                    d.clone_from(&self.pattern.dims[next]);
                    next += 1;
                });
                let operands = self.operands(listed)?;
                self.graph.add(op, operands)?
            }
            Recorded::Composite(composite) => {
                // Inside of the definition it was seen to that nothing flows where it must not.
                let links = listed.links.iter();
                let operands: Vec<NodeId> =
                    links.map(|l| self.operand(*l)).collect::<Result<_, _>>()?;
                self.composite(composite, &operands)?
            }
            Recorded::Gradient(spec) => {
                let gradients = self.gradient(listed, spec)?;
                self.enter_results(position, gradients)
            }
            Recorded::Region(region) => {
                let results = self.region(listed, region)?;
                self.enter_results(position, results)
            }
        })
    }

    pub fn operands(&mut self, listed: &TraceNode) -> Result<Vec<NodeId>, TypeError> {
        let links = listed.links.iter();
        links.map(|l| self.flowing_operand(listed, *l)).collect()
    }

    /// The operand; behind a barrier where gradients reach it but must not pass this node.
    fn flowing_operand(&mut self, listed: &TraceNode, link: Link) -> Result<NodeId, TypeError> {
        let id = self.operand(link)?;
        match link {
            Link::Node(operand) if self.stops_at(listed, operand) => self.detached(id),
            Link::Node(_) | Link::Literal(_) => Ok(id),
        }
    }

    pub fn operand(&mut self, link: Link) -> Result<NodeId, TypeError> {
        match link {
            Link::Node(position) => Ok(self.ids[position as usize]),
            Link::Literal(position) => match self.literals[position as usize] {
                Some(parameter) => Ok(parameter),
                None => {
                    let value = self.trace.literals[position as usize].scalar();
                    self.graph.add(Op::Const { value }, [])
                }
            },
        }
    }

    fn pointwise(&mut self, listed: &TraceNode, op: Op) -> Result<NodeId, TypeError> {
        let mut operands = self.operands(listed)?;
        let mut broadcast = Broadcast::default();
        for &id in &operands {
            // A conflict shows when the operation itself is added.
            let _ = broadcast.add(&self.graph.tensor_type(id).dims);
        }
        let dims = broadcast.dims();
        for id in &mut operands {
            *id = expand(&mut self.graph, *id, &dims)?;
        }
        self.graph.add(op, operands)
    }

    pub fn source(&mut self, listed: &TraceNode) -> Arc<Source> {
        let node = &listed.node;
        let key = (node.place.id(), node.trail.as_ref().map(|t| t.as_ptr()));
        let make = || {
            Arc::new(Source {
                file: node.place.file().into(),
                line: node.place.line(),
                column: node.place.column(),
                trail: node.trail.clone().unwrap_or_else(|| "".into()),
            })
        };
        self.sources.entry(key).or_insert_with(make).clone()
    }
}

/// Repeats axes of size 1 and adds leading ones, where needed.
pub(super) fn expand(graph: &mut Graph, id: NodeId, target: &Dims) -> Result<NodeId, TypeError> {
    let dims = graph.tensor_type(id).dims.clone();
    if dims == *target {
        return Ok(id);
    }
    let missing = target.len() - dims.len();
    let padded: Dims = std::iter::repeat_n(Dim::ONE, missing)
        .chain(dims.iter().cloned())
        .collect();
    let id = if missing > 0 {
        graph.add(
            Op::Reshape {
                dims: padded.clone(),
            },
            [id],
        )?
    } else {
        id
    };
    let repeats = |(have, want): (&Dim, &Dim)| have.is(1) && !want.is(1);
    if !padded.iter().zip(target).any(repeats) {
        return Ok(id);
    }
    // Axes that are not repeated keep their own size: whether it equals the target's may be
    // known only at run time, and the operation itself asks for that.
    let dims = padded
        .iter()
        .zip(target)
        .map(|pair| if repeats(pair) { pair.1 } else { pair.0 }.clone())
        .collect();
    graph.add(Op::Expand { dims }, [id])
}

/// Zeros.
pub(super) fn zeros(graph: &mut Graph, ty: &TensorType) -> Result<NodeId, TypeError> {
    let value = Scalar::from_i64(ty.dtype, 0);
    let zero = graph.add(Op::Const { value }, [])?;
    expand(graph, zero, &ty.dims)
}
