//! The graph under construction, with what derivative rules need besides it.

use super::{AutodiffError, Result, Rules};
use crate::PassError;
use crate::build::{Builder, Emit};
use lazulite_ir::{
    DType, Dim, Dims, Graph, NodeId, Op, Predicate, Scalar, Source, TensorType, Unary,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

const PASS: &str = "autodiff";
/// Graphs inside graphs are differentiated by recursion; no program written by hand comes near.
const DEEPEST: u32 = 64;

/// What is shared by a graph and the graphs inside it.
pub(super) struct Shared<'r> {
    pub rules: &'r dyn Rules,
    /// What is appended to trails.
    mark: &'static str,
    /// Marked sources, by the address of the original, which is kept alive.
    sources: FxHashMap<*const Source, (Arc<Source>, Arc<Source>)>,
    /// Derivatives of the bodies of calls.
    pub calls: super::region::Calls,
}

impl<'r> Shared<'r> {
    pub fn new(rules: &'r dyn Rules, mark: &'static str) -> Shared<'r> {
        Shared {
            rules,
            mark,
            sources: FxHashMap::default(),
            calls: Default::default(),
        }
    }
}

/// One graph under construction.
pub(super) struct Cx<'s, 'r> {
    pub builder: Builder,
    pub shared: &'s mut Shared<'r>,
    depth: u32,
}

impl<'s, 'r> Cx<'s, 'r> {
    pub fn new(shared: &'s mut Shared<'r>) -> Cx<'s, 'r> {
        Cx {
            builder: Builder::new(PASS),
            shared,
            depth: 0,
        }
    }

    /// To continue a graph.
    pub fn upon(shared: &'s mut Shared<'r>, graph: Graph) -> Cx<'s, 'r> {
        Cx {
            builder: Builder::upon(PASS, graph),
            shared,
            depth: 0,
        }
    }

    /// For a graph inside this one.
    pub fn inner(&mut self) -> Result<Cx<'_, 'r>> {
        if self.depth == DEEPEST {
            return Err(self.none(format!("graphs inside graphs, {DEEPEST} deep")));
        }
        Ok(Cx {
            builder: Builder::new(PASS),
            depth: self.depth + 1,
            shared: self.shared,
        })
    }

    /// Adds the parameters of `graph`.
    pub fn inputs_of(&mut self, graph: &Graph) -> Vec<NodeId> {
        let mut inputs = Vec::with_capacity(graph.inputs().len());
        for &input in graph.inputs() {
            self.builder.at(graph.source(input));
            inputs.push(self.builder.input(graph.tensor_type(input).clone()));
        }
        self.builder.at(None);
        inputs
    }

    /// From here on, operations belong to the derivative of what comes from `source`.
    pub fn at_derivative_of(&mut self, source: Option<&Arc<Source>>) {
        let Some(source) = source else {
            return self.builder.at(None);
        };
        let mark = self.shared.mark;
        let entry = self.shared.sources.entry(Arc::as_ptr(source));
        let (_, marked) = entry.or_insert_with(|| {
            let trail = match &*source.trail {
                "" => mark.to_string(),
                trail => format!("{trail} > {mark}"),
            };
            let marked = Source {
                trail: trail.into(),
                ..(**source).clone()
            };
            (source.clone(), Arc::new(marked))
        });
        self.builder.at(Some(&*marked));
    }

    /// The error that there is no derivative, at the current place.
    pub fn none(&self, what: impl Into<String>) -> AutodiffError {
        AutodiffError::NoDerivative {
            what: what.into(),
            source: self.builder.source().cloned(),
        }
    }

    /// The number `value` everywhere, in the type of `like`.
    pub fn number_like(&mut self, value: f64, like: NodeId) -> Result<NodeId> {
        let ty = self.ty(like).clone();
        self.number(value, &ty)
    }

    /// The number `value` everywhere.
    pub fn number(&mut self, value: f64, ty: &TensorType) -> Result<NodeId> {
        Ok(self.splat(Scalar::from_f64(ty.dtype, value), &ty.dims)?)
    }

    /// Zeros.
    pub fn zeros(&mut self, ty: &TensorType) -> Result<NodeId> {
        self.number(0.0, ty)
    }

    /// The complex conjugate; real tensors as they are.
    pub fn conj(&mut self, x: NodeId) -> Result<NodeId> {
        if !self.dtype(x).is_complex() {
            return Ok(x);
        }
        let re = self.emit(Op::Real {}, &[x])?;
        let im = self.emit(Op::Imag {}, &[x])?;
        let im = self.unary(Unary::Neg, im)?;
        Ok(self.emit(Op::Complex {}, &[re, im])?)
    }

    /// `x` where the mask is `when`, else 0.
    pub fn keep(&mut self, x: NodeId, mask: NodeId, when: bool) -> Result<NodeId> {
        let zero = self.number_like(0.0, x)?;
        let (a, b) = if when { (x, zero) } else { (zero, x) };
        Ok(self.select(mask, a, b)?)
    }

    /// `x == value` everywhere.
    pub fn equals(&mut self, x: NodeId, value: f64) -> Result<NodeId> {
        let value = self.number_like(value, x)?;
        Ok(self.compare(Predicate::Eq, x, value)?)
    }

    /// `x` backwards along `axis`.
    pub fn flip(&mut self, x: NodeId, axis: usize) -> Result<NodeId> {
        let len = self.dims(x);
        let mut start: Dims = len.iter().map(|_| Dim::ZERO).collect();
        let mut step = vec![1; len.len()];
        if len[axis].is(0) {
            return Ok(x);
        }
        start[axis] = len[axis].sub(&Dim::ONE)?;
        step[axis] = -1;
        Ok(self.emit(Op::Slice { start, len, step }, &[x])?)
    }

    /// The integers of `axis` at every place of a tensor of `dims`.
    pub fn coordinates(&mut self, dims: &Dims, axis: usize) -> Result<NodeId> {
        let len = dims[axis].clone();
        let dtype = DType::I64;
        let iota = self.emit(
            Op::Iota {
                len: len.clone(),
                dtype,
            },
            &[],
        )?;
        let mut unit: Dims = dims.iter().map(|_| Dim::ONE).collect();
        unit[axis] = len;
        let row = self.reshape(iota, unit)?;
        Ok(self.expand(row, dims.clone())?)
    }

    /// `x`, whose dims are equal to `dims` for all sizes that the guards admit, with these dims.
    pub fn conform(&mut self, x: NodeId, dims: &Dims) -> Result<NodeId> {
        Ok(self.expand(x, dims.clone())?)
    }
}

impl Emit for Cx<'_, '_> {
    fn graph(&self) -> &Graph {
        self.builder.graph()
    }

    fn emit(&mut self, op: Op, inputs: &[NodeId]) -> std::result::Result<NodeId, PassError> {
        self.builder.emit(op, inputs)
    }
}
