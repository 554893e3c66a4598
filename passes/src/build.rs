//! Tools for passes that rebuild a graph: walk the old graph's live nodes in order, say what each
//! becomes, and finish. Sources and guards are kept; nothing here recurses over the graph.

use crate::PassError;
use lazulite_ir::{
    Binary, DType, Dim, Dims, Graph, Guard, NodeId, Op, Origin, Predicate, Scalar, Source,
    TensorType, Unary,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// Anything that adds operations to a graph, with short forms for the common ones.
pub(crate) trait Emit {
    /// The graph being built.
    fn graph(&self) -> &Graph;

    /// Adds an operation (or finds, or simplifies it).
    fn emit(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, PassError>;

    /// The type of a tensor node.
    fn ty(&self, id: NodeId) -> &TensorType {
        self.graph().tensor_type(id)
    }

    /// The element type of a tensor node.
    fn dtype(&self, id: NodeId) -> DType {
        self.ty(id).dtype
    }

    /// The dims of a tensor node.
    fn dims(&self, id: NodeId) -> Dims {
        self.ty(id).dims.clone()
    }

    /// `f(x)`.
    fn unary(&mut self, f: Unary, x: NodeId) -> Result<NodeId, PassError> {
        self.emit(Op::Unary { f }, &[x])
    }

    /// `f(a, b)`.
    fn binary(&mut self, f: Binary, a: NodeId, b: NodeId) -> Result<NodeId, PassError> {
        self.emit(Op::Binary { f }, &[a, b])
    }

    /// `a - b`.
    fn sub(&mut self, a: NodeId, b: NodeId) -> Result<NodeId, PassError> {
        let minus = self.unary(Unary::Neg, b)?;
        self.binary(Binary::Add, a, minus)
    }

    /// Comparison.
    fn compare(&mut self, p: Predicate, a: NodeId, b: NodeId) -> Result<NodeId, PassError> {
        self.emit(Op::Compare { predicate: p }, &[a, b])
    }

    /// `a` where `condition`, else `b`.
    fn select(&mut self, condition: NodeId, a: NodeId, b: NodeId) -> Result<NodeId, PassError> {
        self.emit(Op::Select {}, &[condition, a, b])
    }

    /// `x` as `dtype`; `x` itself when it has that type.
    fn cast(&mut self, x: NodeId, dtype: DType) -> Result<NodeId, PassError> {
        if self.dtype(x) == dtype {
            return Ok(x);
        }
        self.emit(Op::Cast { dtype }, &[x])
    }

    /// `x` under other dims; `x` itself when it has them.
    fn reshape(&mut self, x: NodeId, dims: Dims) -> Result<NodeId, PassError> {
        if self.ty(x).dims == dims {
            return Ok(x);
        }
        self.emit(Op::Reshape { dims }, &[x])
    }

    /// `x` with its unit axes repeated; `x` itself when it has these dims.
    fn expand(&mut self, x: NodeId, dims: Dims) -> Result<NodeId, PassError> {
        if self.ty(x).dims == dims {
            return Ok(x);
        }
        self.emit(Op::Expand { dims }, &[x])
    }

    /// A 0-d value at every place of a tensor of `dims`.
    fn broadcast(&mut self, scalar: NodeId, dims: &Dims) -> Result<NodeId, PassError> {
        let ones = dims.iter().map(|_| Dim::ONE).collect();
        let unit = self.reshape(scalar, ones)?;
        self.expand(unit, dims.clone())
    }

    /// A constant at every place of a tensor of `dims`.
    fn splat(&mut self, value: Scalar, dims: &Dims) -> Result<NodeId, PassError> {
        let scalar = self.emit(Op::Const { value }, &[])?;
        self.broadcast(scalar, dims)
    }

    /// `len` elements of one axis, from `start` in steps of 1.
    fn slice_axis(
        &mut self,
        x: NodeId,
        axis: usize,
        start: Dim,
        len: Dim,
    ) -> Result<NodeId, PassError> {
        let mut lens = self.dims(x);
        let mut starts: Dims = lens.iter().map(|_| Dim::ZERO).collect();
        let step = vec![1; lens.len()];
        starts[axis] = start;
        lens[axis] = len;
        let op = Op::Slice {
            start: starts,
            len: lens,
            step,
        };
        self.emit(op, &[x])
    }

    /// Axes of `x` in another order.
    fn permute(&mut self, x: NodeId, perm: Vec<u32>) -> Result<NodeId, PassError> {
        if is_identity(&perm) {
            return Ok(x);
        }
        self.emit(Op::Permute { perm }, &[x])
    }

    /// Result `index` of a tuple.
    fn get(&mut self, tuple: NodeId, index: usize) -> Result<NodeId, PassError> {
        let index = index as u32;
        self.emit(Op::Get { index }, &[tuple])
    }
}

/// True for the permutation that changes nothing.
pub(crate) fn is_identity(perm: &[u32]) -> bool {
    perm.iter().enumerate().all(|(i, &p)| i == p as usize)
}

/// A graph under construction by a pass. Operations added carry the source of the node that is
/// being rewritten.
pub(crate) struct Builder {
    pass: &'static str,
    graph: Graph,
    origin: Origin,
}

impl Builder {
    /// An empty graph, for the pass called `pass`.
    pub fn new(pass: &'static str) -> Builder {
        Builder {
            pass,
            graph: Graph::new(),
            origin: Origin::default(),
        }
    }

    /// A graph to be continued.
    pub fn upon(pass: &'static str, graph: Graph) -> Builder {
        Builder {
            pass,
            graph,
            origin: Origin::default(),
        }
    }

    /// An empty graph with the parameters of `old`.
    pub fn with_inputs_of(pass: &'static str, old: &Graph) -> Builder {
        let mut builder = Builder::new(pass);
        for &input in old.inputs() {
            builder.at_origin(old.origin(input));
            builder.input(old.tensor_type(input).clone());
        }
        builder
    }

    /// Adds a parameter.
    pub fn input(&mut self, ty: TensorType) -> NodeId {
        let id = self.graph.input(ty);
        self.stamp(id)
    }

    /// From here on, operations come from `source`.
    pub fn at(&mut self, source: Option<&Arc<Source>>) {
        self.origin = Origin::of(source.cloned());
    }

    /// From here on, operations come from where a node of the old graph comes from.
    pub fn at_origin(&mut self, origin: &Origin) {
        self.origin = origin.clone();
    }

    /// Where operations added now come from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Says that a node comes from there, too.
    pub fn credit(&mut self, id: NodeId, origin: &Origin) {
        self.graph.add_origin(id, origin);
    }

    /// The place where operations added now come from.
    pub fn source(&self) -> Option<&Arc<Source>> {
        self.origin.source()
    }

    /// The error that this form cannot be compiled, at the current place.
    pub fn unsupported(&self, what: impl Into<String>) -> PassError {
        PassError::unsupported(what, self.source())
    }

    /// Takes over a condition on sizes.
    pub fn guard(&mut self, guard: &Guard) {
        self.graph.add_guard(guard.clone());
    }

    /// The graph with these results and, besides its own, the guards of `old`: a condition that the
    /// program stated holds even when the operation that needed it is gone.
    pub fn finish(mut self, outputs: impl IntoIterator<Item = NodeId>, old: &Graph) -> Graph {
        for guard in old.guards() {
            self.guard(guard);
        }
        self.graph.set_outputs(outputs);
        self.graph
    }

    fn stamp(&mut self, id: NodeId) -> NodeId {
        self.graph.add_origin(id, &self.origin);
        id
    }
}

impl Emit for Builder {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn emit(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, PassError> {
        let mnemonic = op.mnemonic();
        match self.graph.add(op, inputs.iter().copied()) {
            Ok(id) => Ok(self.stamp(id)),
            Err(error) => Err(PassError::Type {
                pass: self.pass,
                op: mnemonic,
                error: Box::new(error),
                source: self.source().cloned(),
            }),
        }
    }
}

/// The nodes that results depend on, operands before users. Parameters are not among them unless
/// they are used.
pub(crate) fn live_nodes(graph: &Graph) -> Vec<NodeId> {
    let mut live = vec![false; graph.nodes().len()];
    for output in graph.outputs() {
        live[output.index()] = true;
    }
    for id in graph.ids().rev() {
        if live[id.index()] {
            for input in &graph.node(id).inputs {
                live[input.index()] = true;
            }
        }
    }
    graph.ids().filter(|id| live[id.index()]).collect()
}

/// A graph that is being rebuilt, and what nodes of the old one have become.
pub(crate) struct Rebuilt<'a> {
    pub old: &'a Graph,
    pub builder: Builder,
    /// By node of the old graph; parameters are there from the start, others once they are made.
    pub new_of: Vec<NodeId>,
}

impl<'a> Rebuilt<'a> {
    /// With nothing but the parameters of `old`.
    pub fn of(pass: &'static str, old: &'a Graph) -> Rebuilt<'a> {
        let builder = Builder::with_inputs_of(pass, old);
        let mut new_of = vec![NodeId(u32::MAX); old.nodes().len()];
        for (&input, &new) in old.inputs().iter().zip(builder.graph.inputs()) {
            new_of[input.index()] = new;
        }
        Rebuilt {
            old,
            builder,
            new_of,
        }
    }

    /// Copies a node, with this operation.
    pub fn copy(&mut self, id: NodeId, op: Op) -> Result<(), PassError> {
        self.builder.at_origin(self.old.origin(id));
        let operands = operands(self.old, id, &self.new_of);
        self.new_of[id.index()] = self.builder.emit(op, &operands)?;
        Ok(())
    }

    /// The new graph, with what the old results have become.
    pub fn finish(self) -> Graph {
        let outputs = { self.old.outputs().iter() }.map(|o| self.new_of[o.index()]);
        self.builder.finish(outputs, self.old)
    }
}

/// What the operands of a node have become.
pub(crate) fn operands(graph: &Graph, id: NodeId, new_of: &[NodeId]) -> SmallVec<[NodeId; 3]> {
    let old = graph.node(id).inputs.iter();
    old.map(|input| new_of[input.index()]).collect()
}

/// The graph with its live nodes replaced by what `change` makes of them, operands before users; it is given what nodes
/// have become so far. A node of which it makes nothing is copied.
pub(crate) fn rewrite<E: From<PassError>>(
    pass: &'static str,
    old: &Graph,
    mut change: impl FnMut(&mut Builder, NodeId, &[NodeId]) -> Result<Option<NodeId>, E>,
) -> Result<Graph, E> {
    let mut rebuilt = Rebuilt::of(pass, old);
    for id in live_nodes(old) {
        let op = &old.node(id).op;
        if matches!(op, Op::Input { .. }) {
            continue;
        }
        rebuilt.builder.at_origin(old.origin(id));
        let new = match change(&mut rebuilt.builder, id, &rebuilt.new_of)? {
            Some(new) => new,
            None => {
                let operands = operands(old, id, &rebuilt.new_of);
                rebuilt.builder.emit(op.clone(), &operands)?
            }
        };
        rebuilt.new_of[id.index()] = new;
    }
    Ok(rebuilt.finish())
}

/// The graph without its dead nodes, the parameters first.
pub(crate) fn compact(pass: &'static str, old: &Graph) -> Result<Graph, PassError> {
    rewrite(pass, old, |_, _, _| Ok(None))
}

/// Transformed bodies of region operations. Bodies are shared by many nodes (a layer called a
/// hundred times), so each is transformed once.
#[derive(Default)]
pub(crate) struct Bodies {
    done: FxHashMap<*const Graph, (Arc<Graph>, Arc<Graph>)>,
}

/// What a pass does with a body; it is given the table for the bodies inside.
pub(crate) type Transform<'a> = dyn FnMut(&Graph, &mut Bodies) -> Result<Graph, PassError> + 'a;

impl Bodies {
    /// The transformed form of `body`.
    pub fn get(
        &mut self,
        body: &Arc<Graph>,
        transform: &mut Transform<'_>,
    ) -> Result<Arc<Graph>, PassError> {
        if let Some((_, new)) = self.done.get(&Arc::as_ptr(body)) {
            return Ok(new.clone());
        }
        let new = Arc::new(transform(body, self)?);
        // The old body is kept alive with its entry: its address is the key.
        self.done
            .insert(Arc::as_ptr(body), (body.clone(), new.clone()));
        Ok(new)
    }

    /// The operation with its bodies transformed; operations without bodies are returned as they
    /// are.
    pub fn map(&mut self, op: &Op, transform: &mut Transform<'_>) -> Result<Op, PassError> {
        Ok(match op {
            Op::Call { name, body } => Op::Call {
                name: name.clone(),
                body: self.get(body, transform)?,
            },
            Op::If { then, other } => Op::If {
                then: self.get(then, transform)?,
                other: self.get(other, transform)?,
            },
            Op::While {
                carries,
                cond,
                body,
            } => Op::While {
                carries: *carries,
                cond: self.get(cond, transform)?,
                body: self.get(body, transform)?,
            },
            Op::Loop {
                trip,
                carries,
                scanned,
                body,
            } => Op::Loop {
                trip: trip.clone(),
                carries: *carries,
                scanned: *scanned,
                body: self.get(body, transform)?,
            },
            other => other.clone(),
        })
    }
}
