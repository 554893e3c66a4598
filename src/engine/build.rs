//! From a trace to a graph: broadcasting and literals become explicit, sizes and numbers are taken
//! from a pattern that says which of them are constants.

use super::trace::{Link, Trace, TraceNode};
use crate::tensor::{Broadcast, Literal, Recorded};
use lazulite_ir::{Dim, Dims, Graph, NodeId, Op, Source, TensorType, TypeError};
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

/// Builds the graph. Its parameters are the trace's leaves, then the numbers passed at run time; its
/// results are the trace's roots.
pub(crate) fn build(trace: &Trace, pattern: &Pattern) -> Result<Graph, TypeError> {
    let mut builder = Builder {
        graph: Graph::new(),
        trace,
        pattern,
        ids: Vec::with_capacity(trace.nodes.len()),
        literals: Vec::new(),
        sources: FxHashMap::default(),
    };
    builder.parameters();
    for (position, node) in trace.nodes.iter().enumerate() {
        builder.node(position, node)?;
    }
    let outputs: Vec<NodeId> = trace
        .roots
        .iter()
        .map(|&r| builder.ids[r as usize])
        .collect();
    let mut graph = builder.graph;
    graph.set_outputs(outputs);
    Ok(graph)
}

struct Builder<'a> {
    graph: Graph,
    trace: &'a Trace,
    pattern: &'a Pattern,
    ids: Vec<NodeId>,
    /// Parameters of numbers passed at run time.
    literals: Vec<Option<NodeId>>,
    sources: FxHashMap<(*const Location<'static>, Option<*const u8>), Arc<Source>>,
}

impl Builder<'_> {
    fn parameters(&mut self) {
        let mut leaves = FxHashMap::default();
        for &leaf in &self.trace.leaves {
            let listed = &self.trace.nodes[leaf as usize];
            let first = listed.first_dim as usize;
            let rank = listed.node.ty.rank();
            let dims = self.pattern.dims[first..first + rank].iter().cloned();
            let id = self
                .graph
                .input(TensorType::new(listed.node.ty.dtype, dims));
            leaves.insert(leaf, id);
        }
        for (literal, constant) in self.trace.literals.iter().zip(&self.pattern.literals) {
            let parameter = constant
                .is_none()
                .then(|| self.graph.input(TensorType::scalar(literal.dtype)));
            self.literals.push(parameter);
        }
        // Positions are filled in order later; leaves only need to be found.
        self.ids = (0..self.trace.nodes.len() as u32)
            .map(|i| leaves.get(&i).copied().unwrap_or(NodeId(u32::MAX)))
            .collect();
    }

    fn node(&mut self, position: usize, listed: &TraceNode) -> Result<(), TypeError> {
        if self.ids[position] != NodeId(u32::MAX) {
            return Ok(());
        }
        let id = match &listed.node.op {
            Recorded::Leaf | Recorded::Parameter(_) => return Err(TypeError::NoSuchNode),
            Recorded::Constant => match listed.links.first() {
                Some(link) => self.operand(*link)?,
                None => return Err(TypeError::NoSuchNode),
            },
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
            Recorded::Item(index) => {
                let operands = self.operands(listed)?;
                self.graph.add(Op::Get { index: *index }, operands)?
            }
            Recorded::Primitive(op) => {
                let mut op = (**op).clone();
                let mut next = listed.first_dim as usize;
                op.visit_dims_mut(&mut |d| {
                    d.clone_from(&self.pattern.dims[next]);
                    next += 1;
                });
                let operands = self.operands(listed)?;
                self.graph.add(op, operands)?
            }
        };
        let source = self.source(listed);
        self.graph.set_source(id, source);
        self.ids[position] = id;
        Ok(())
    }

    fn operands(&mut self, listed: &TraceNode) -> Result<Vec<NodeId>, TypeError> {
        listed.links.iter().map(|l| self.operand(*l)).collect()
    }

    fn operand(&mut self, link: Link) -> Result<NodeId, TypeError> {
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
            *id = self.expand(*id, &dims)?;
        }
        self.graph.add(op, operands)
    }

    /// Repeats axes of size 1 and adds leading ones, where needed.
    fn expand(&mut self, id: NodeId, target: &Dims) -> Result<NodeId, TypeError> {
        let dims = self.graph.tensor_type(id).dims.clone();
        if dims == *target {
            return Ok(id);
        }
        let missing = target.len() - dims.len();
        let padded: Dims = std::iter::repeat_n(Dim::ONE, missing)
            .chain(dims.iter().cloned())
            .collect();
        let id = if missing > 0 {
            self.graph.add(
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
        self.graph.add(Op::Expand { dims }, [id])
    }

    fn source(&mut self, listed: &TraceNode) -> Arc<Source> {
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
