//! The graph under construction, with what batching rules need besides it.

use super::facts::Known;
use super::region::Bodies;
use super::{Randomness, Result, VmapError};
use crate::PassError;
use crate::build::{Builder, Emit};
use lazulite_ir::{Dim, Dims, Graph, NodeId, Op};

const PASS: &str = "vmap";
/// Graphs inside graphs are batched by recursion; no program written by hand comes near.
const DEEPEST: u32 = 64;

/// What a tensor has become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane {
    pub node: NodeId,
    /// Whether the batch axis is in front of its own axes.
    pub batched: bool,
}

/// What is shared by a graph and the graphs inside it.
pub(super) struct Shared {
    /// Number of elements.
    pub size: Dim,
    pub randomness: Randomness,
    pub bodies: Bodies,
    pub known: Known,
}

impl Shared {
    pub fn new(size: &Dim, randomness: Randomness) -> Shared {
        Shared {
            size: size.clone(),
            randomness,
            bodies: Bodies::default(),
            known: Known::default(),
        }
    }
}

/// One graph under construction.
pub(super) struct Cx<'s> {
    pub builder: Builder,
    pub shared: &'s mut Shared,
    depth: u32,
}

impl<'s> Cx<'s> {
    pub fn new(shared: &'s mut Shared) -> Cx<'s> {
        Cx {
            builder: Builder::new(PASS),
            shared,
            depth: 0,
        }
    }

    /// For a graph inside this one.
    pub fn inner(&mut self) -> Result<Cx<'_>> {
        if self.depth == DEEPEST {
            return Err(self.none(format!("graphs inside graphs, {DEEPEST} deep")));
        }
        Ok(Cx {
            builder: Builder::new(PASS),
            depth: self.depth + 1,
            shared: self.shared,
        })
    }

    /// The error that there is no form for batches, at the current place.
    pub fn none(&self, what: impl Into<String>) -> VmapError {
        VmapError::NoRule {
            what: what.into(),
            source: self.builder.source().cloned(),
        }
    }

    /// Adds parameters for the parameters of `graph`, batched where that is marked.
    pub fn inputs_of(&mut self, graph: &Graph, marks: &[bool]) -> Vec<Lane> {
        let mut lanes = Vec::with_capacity(marks.len());
        for (&input, &batched) in graph.inputs().iter().zip(marks) {
            let mut ty = graph.tensor_type(input).clone();
            if batched {
                ty.dims = self.lead(&ty.dims);
            }
            let node = self.builder.input(ty);
            lanes.push(Lane { node, batched });
        }
        lanes
    }

    /// The dims with the batch axis in front.
    pub fn lead(&self, dims: &[Dim]) -> Dims {
        let size = [self.shared.size.clone()];
        size.into_iter().chain(dims.iter().cloned()).collect()
    }

    /// The tensor with a batch axis, whether or not its elements differ.
    pub fn lift(&mut self, x: Lane) -> Result<NodeId> {
        if x.batched {
            return Ok(x.node);
        }
        let dims = self.dims(x.node);
        let unit = [Dim::ONE].into_iter().chain(dims.iter().cloned());
        let unit = self.reshape(x.node, unit.collect())?;
        let dims = self.lead(&dims);
        Ok(self.expand(unit, dims)?)
    }

    /// One value per element of the batch, at every place of a tensor of `dims`, which has a batch
    /// axis.
    pub fn along(&mut self, values: NodeId, dims: &Dims) -> Result<NodeId> {
        let mut unit: Dims = dims.iter().map(|_| Dim::ONE).collect();
        unit[0] = dims[0].clone();
        let column = self.reshape(values, unit)?;
        Ok(self.expand(column, dims.clone())?)
    }

    /// The tensor with axis `axis` in front of the others.
    pub fn axis_first(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        let mut perm: Vec<u32> = (0..self.ty(x).rank() as u32).collect();
        if axis > 0 {
            perm[..=axis].rotate_right(1);
        }
        Ok(self.permute(x, perm)?)
    }

    /// The tensor with its first axis moved to place `axis`.
    pub fn first_axis_to(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        let mut perm: Vec<u32> = (0..self.ty(x).rank() as u32).collect();
        if axis > 0 {
            perm[..=axis].rotate_left(1);
        }
        Ok(self.permute(x, perm)?)
    }
}

impl Emit for Cx<'_> {
    fn graph(&self) -> &Graph {
        self.builder.graph()
    }

    fn emit(&mut self, op: Op, inputs: &[NodeId]) -> std::result::Result<NodeId, PassError> {
        self.builder.emit(op, inputs)
    }
}
