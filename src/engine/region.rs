//! Operations that hold recorded functions: control flow, and functions transformed as a whole.
//!
//! The functions stay recorded, as listings, until a graph is built. So their sizes and numbers are
//! sizes and numbers of the program that holds them, and are generalised with its own.

use super::body::Body;
use super::build::{BuildError, Builder, build_body, expand, zeros};
use super::flow::gradient_error;
use super::recompute::CHECKPOINT;
use super::rules::FacadeRules;
use super::trace::{Trace, TraceNode};
use crate::error::{Error, ErrorKind};
use crate::tensor::{Literal, Node};
use lazulite_ir::{Dim, Graph, NodeId, Op, TensorType, Type, TypeError};
use lazulite_passes::autodiff::{self, Seed};
use lazulite_passes::batch::{self, Randomness};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What is done with the functions.
#[derive(Clone, Debug)]
pub(crate) enum RegionKind {
    /// The results at the operands, then their tangents; the tangents of all operands follow these.
    Forward,
    /// The function for every element along an axis of the marked operands; results have the axis
    /// in front.
    Batch {
        axes: Vec<Option<usize>>,
        size: Dim,
        randomness: Randomness,
    },
    /// The function; its derivative computes it again.
    Checkpoint,
    /// The first function if the first operand is true, else the second.
    Branch,
    /// As long as the first function says so, the second one's results take the place of its
    /// arguments.
    Repeat,
    /// The function over the first axis of the scanned operands, which follow the carries.
    Scan {
        trip: Dim,
        carries: usize,
        scanned: usize,
    },
}

impl RegionKind {
    /// What the user wrote.
    pub fn name(&self) -> &'static str {
        match self {
            RegionKind::Forward => "jvp",
            RegionKind::Batch { .. } => "vmap",
            RegionKind::Checkpoint => "checkpoint",
            RegionKind::Branch => "cond",
            RegionKind::Repeat => "while_loop",
            RegionKind::Scan { .. } => "scan",
        }
    }
}

/// An operation with functions. Its operands are those of the functions, then what they capture.
pub(crate) struct Region {
    pub kind: RegionKind,
    pub bodies: Vec<Body>,
    /// Which captured tensor each body's captured leaves are, in their order.
    captured: Vec<Vec<u32>>,
    captured_count: usize,
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Region({:?})", self.kind)
    }
}

impl Region {
    /// The region, and what its functions capture.
    pub fn new(kind: RegionKind, bodies: Vec<Body>) -> (Region, Vec<Arc<Node>>) {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        let mut number: FxHashMap<*const Node, u32> = FxHashMap::default();
        let mut captured = Vec::with_capacity(bodies.len());
        for body in &bodies {
            let each = body.captured().map(|node| {
                *number.entry(Arc::as_ptr(node)).or_insert_with(|| {
                    nodes.push(node.clone());
                    nodes.len() as u32 - 1
                })
            });
            captured.push(each.collect());
        }
        let region = Region {
            kind,
            bodies,
            captured,
            captured_count: nodes.len(),
        };
        (region, nodes)
    }

    /// Writes what makes the region's structure, its sizes and its numbers.
    pub fn write(&self, trace: &mut Trace) {
        let key = &mut trace.key;
        match &self.kind {
            RegionKind::Forward => key.push(0),
            RegionKind::Batch {
                axes,
                size,
                randomness,
            } => {
                key.extend([1, *randomness as u64]);
                key.extend(axes.iter().map(|a| a.map_or(u64::MAX, |a| a as u64)));
                trace.dims.push(size.clone());
            }
            RegionKind::Checkpoint => key.push(5),
            RegionKind::Branch => key.push(2),
            RegionKind::Repeat => key.push(3),
            RegionKind::Scan {
                trip,
                carries,
                scanned,
            } => {
                key.extend([4, *carries as u64, *scanned as u64]);
                trace.dims.push(trip.clone());
            }
        }
        for (body, captured) in self.bodies.iter().zip(&self.captured) {
            trace.key.push(body.trace.key.len() as u64);
            trace.key.extend(&body.trace.key);
            trace.key.extend(captured.iter().map(|c| u64::from(*c)));
            trace.dims.extend(body.trace.dims.iter().cloned());
            trace.literals.extend(&body.trace.literals);
        }
    }

    /// How many sizes and numbers come before those of the bodies.
    fn own_dims(&self) -> usize {
        match self.kind {
            RegionKind::Batch { .. } | RegionKind::Scan { .. } => 1,
            RegionKind::Forward
            | RegionKind::Checkpoint
            | RegionKind::Branch
            | RegionKind::Repeat => 0,
        }
    }
}

/// What the graphs of a region's functions take besides their own parameters.
pub(super) struct Outside<'a> {
    /// Types of the captured tensors.
    pub captured: &'a [TensorType],
    /// Which of them each captured leaf of the body is.
    pub numbers: &'a [u32],
    /// The region's numbers: constants, or none for those passed in.
    pub literals: &'a [(Literal, bool)],
    /// Where the body's own numbers begin among them.
    pub first_literal: usize,
}

impl Builder<'_> {
    /// The region's results.
    pub(super) fn region(
        &mut self,
        listed: &TraceNode,
        region: &Region,
    ) -> Result<Vec<Option<NodeId>>, BuildError> {
        let operands = self.operands(listed)?;
        let (own, captured) = operands.split_at(operands.len() - region.captured_count);
        let types: Vec<TensorType> = { captured.iter() }
            .map(|&id| self.graph.tensor_type(id).clone())
            .collect();
        let first = listed.first_literal as usize;
        let count: usize = region.bodies.iter().map(|b| b.trace.literals.len()).sum();
        let literals: Vec<(Literal, bool)> = (first..first + count)
            .map(|i| (self.trace.literals[i], self.literals[i].is_some()))
            .collect();
        let passed = self.literals[first..first + count].iter().flatten();
        let constants: Vec<NodeId> = captured.iter().chain(passed).copied().collect();
        let mut graphs = Vec::with_capacity(region.bodies.len());
        let mut dims = listed.first_op_dim() + region.own_dims();
        let mut first_literal = 0;
        for (body, numbers) in region.bodies.iter().zip(&region.captured) {
            let end = dims + body.trace.dims.len();
            let outside = Outside {
                captured: &types,
                numbers,
                literals: &literals,
                first_literal,
            };
            let sizes = &self.pattern.dims[dims..end];
            graphs.push(build_body(body, sizes, &outside)?);
            dims = end;
            first_literal += body.trace.literals.len();
        }
        let size = self.pattern.dims.get(listed.first_op_dim()).cloned();
        let results = self.emit_region(region, graphs, own, &constants, size)?;
        // What stands for all results has the place as well: errors of derivatives are its own.
        if let Some(first) = results.first().copied().flatten()
            && let Op::Get { .. } = self.graph.node(first).op
        {
            let tuple = self.graph.node(first).inputs[0];
            let source = self.source(listed);
            self.graph.set_source(tuple, source);
        }
        Ok(results)
    }

    fn emit_region(
        &mut self,
        region: &Region,
        graphs: Vec<Graph>,
        own: &[NodeId],
        constants: &[NodeId],
        size: Option<Dim>,
    ) -> Result<Vec<Option<NodeId>>, BuildError> {
        let mut graphs = graphs.into_iter().map(Arc::new);
        let mut next = || graphs.next().ok_or(TypeError::NoSuchNode);
        let size = size.unwrap_or(Dim::ONE);
        let mut operands: Vec<NodeId> = own.to_vec();
        let op = match &region.kind {
            RegionKind::Forward => return self.forward(&*next()?, own, constants),
            RegionKind::Batch {
                axes, randomness, ..
            } => {
                let shared = constants.iter().map(|_| None);
                let axes: Vec<Option<usize>> = axes.iter().copied().chain(shared).collect();
                return self.batch(
                    &*next()?,
                    &axes,
                    &size,
                    *randomness,
                    [own, constants].concat(),
                );
            }
            RegionKind::Checkpoint => Op::Call {
                name: CHECKPOINT.into(),
                body: next()?,
            },
            RegionKind::Branch => Op::If {
                then: next()?,
                other: next()?,
            },
            RegionKind::Repeat => Op::While {
                carries: own.len() as u32,
                cond: next()?,
                body: next()?,
            },
            RegionKind::Scan {
                carries, scanned, ..
            } => Op::Loop {
                trip: size,
                carries: *carries as u32,
                scanned: *scanned as u32,
                body: next()?,
            },
        };
        operands.extend(constants);
        let tuple = self.graph.add(op, operands)?;
        self.results(tuple)
    }

    /// The results of a tuple.
    fn results(&mut self, tuple: NodeId) -> Result<Vec<Option<NodeId>>, BuildError> {
        let count = match &self.graph.node(tuple).ty {
            Type::Tuple(types) => types.len() as u32,
            Type::Tensor(_) => 0,
        };
        let mut results = Vec::with_capacity(count as usize);
        for index in 0..count {
            results.push(Some(self.graph.add(Op::Get { index }, [tuple])?));
        }
        Ok(results)
    }

    fn call(
        &mut self,
        name: &str,
        body: Graph,
        operands: Vec<NodeId>,
    ) -> Result<Vec<Option<NodeId>>, BuildError> {
        let call = Op::Call {
            name: name.into(),
            body: Arc::new(body),
        };
        let tuple = self.graph.add(call, operands)?;
        self.results(tuple)
    }

    fn forward(
        &mut self,
        body: &Graph,
        own: &[NodeId],
        constants: &[NodeId],
    ) -> Result<Vec<Option<NodeId>>, BuildError> {
        let (arguments, tangents) = own.split_at(own.len() / 2);
        let moving = body.inputs()[..arguments.len()].iter();
        let along: Vec<(NodeId, Seed)> = moving.map(|&x| (x, Seed::Parameter)).collect();
        let derived = autodiff::jvp(body, &along, &FacadeRules)
            .map_err(|e| BuildError::Told(gradient_error(&e)))?;
        let operands = [arguments, constants, tangents].concat();
        let results = self.call("jvp", derived.graph, operands)?;
        let mut all = results[..derived.tangents.len()].to_vec();
        for (index, tangent) in derived.tangents.into_iter().enumerate() {
            all.push(match (tangent, all[index]) {
                (Some(result), _) => results[result],
                (None, Some(value)) => {
                    let ty = self.graph.tensor_type(value).clone();
                    Some(zeros(&mut self.graph, &ty)?)
                }
                (None, None) => None,
            });
        }
        Ok(all)
    }

    fn batch(
        &mut self,
        body: &Graph,
        axes: &[Option<usize>],
        size: &Dim,
        randomness: Randomness,
        operands: Vec<NodeId>,
    ) -> Result<Vec<Option<NodeId>>, BuildError> {
        let derived = batch::vmap(body, axes, size, randomness).map_err(|e| {
            BuildError::Told(Error::new(ErrorKind::Unsupported, "vmap", e.to_string()))
        })?;
        let mut results = self.call("vmap", derived.graph, operands)?;
        for (result, batched) in results.iter_mut().zip(derived.batched) {
            if let Some(id) = result.filter(|_| !batched) {
                let own = self.graph.tensor_type(id).dims.clone();
                let mut dims = own.clone();
                dims.insert(0, size.clone());
                *result = Some(expand(&mut self.graph, id, &dims)?);
            }
        }
        Ok(results)
    }
}
