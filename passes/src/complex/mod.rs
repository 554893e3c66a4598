//! Complex values become pairs of real ones, so that nothing behind this pass knows complex
//! numbers.
//!
//! Where the program meets its caller, the same bytes are seen as real numbers: a parameter or
//! result `c64[n]` becomes `f32[n, 2]`. Foreign functions see complex operands and results that way too.
//! Everywhere else, bodies of control flow included, real and imaginary part are separate values
//! that follow each other.
//!
//! Sums, products and comparisons are computed in the parts' own type; quotients, powers and
//! elementary functions in f64, by the formulas of the interpreter.

mod aggregate;
mod formula;
mod functions;
mod pair;
mod region;

use crate::build::{Bodies, Builder, Emit, live_nodes};
use crate::canon::canon;
use crate::{Options, PassError};
use lazulite_ir::{
    Binary, Combine, DType, Dim, Graph, Node, NodeId, Op, Predicate, Scalar, TensorType, Type,
    Unary,
};
use pair::Pair;
use rustc_hash::FxHashSet;
use std::sync::Arc;

const PASS: &str = "complex";

/// The graph without complex values. If there were any the result is canonical, because the split
/// opens new simplifications (a real number taken for a complex one has an imaginary part of 0).
pub fn split_complex(graph: &Graph, options: &Options) -> Result<Graph, PassError> {
    if !has_complex(graph, &mut FxHashSet::default()) {
        return Ok(graph.clone());
    }
    let split = Split::new(graph, Interface::Interleaved, &mut Bodies::default()).run()?;
    canon(&split, options)
}

/// True when the graph or a body in it mentions complex numbers.
fn has_complex(graph: &Graph, seen: &mut FxHashSet<*const Graph>) -> bool {
    let complex = |ty: &Type| match ty {
        Type::Tensor(t) => t.dtype.is_complex(),
        Type::Tuple(ts) => ts.iter().any(|t| t.dtype.is_complex()),
    };
    seen.insert(graph)
        && graph.nodes().iter().any(|n| {
            complex(&n.ty)
                || region::bodies(&n.op)
                    .iter()
                    .any(|body| has_complex(body, seen))
        })
}

/// How complex parameters and results of a graph are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interface {
    /// As one real tensor with a last axis of 2.
    Interleaved,
    /// As two real tensors.
    Pairs,
}

/// What a node has become.
#[derive(Clone)]
enum Value {
    Real(NodeId),
    Complex(Pair),
    /// The results of an operation with several.
    Tuple(Arc<[Value]>),
}

/// A graph being split.
struct Split<'g, 'b> {
    old: &'g Graph,
    interface: Interface,
    builder: Builder,
    values: Vec<Option<Value>>,
    bodies: &'b mut Bodies,
}

/// The type as which others see a complex tensor: a last axis holds the parts. Real types are
/// unchanged.
fn interleaved(ty: &TensorType) -> TensorType {
    let mut real = real_type(ty);
    if ty.dtype.is_complex() {
        real.dims.push(Dim::constant(2));
    }
    real
}

/// The type of each part.
fn real_type(ty: &TensorType) -> TensorType {
    TensorType {
        dtype: ty.dtype.real(),
        dims: ty.dims.clone(),
    }
}

impl<'g, 'b> Split<'g, 'b> {
    fn new(old: &'g Graph, interface: Interface, bodies: &'b mut Bodies) -> Split<'g, 'b> {
        Split {
            old,
            interface,
            builder: Builder::new(PASS),
            values: vec![None; old.nodes().len()],
            bodies,
        }
    }

    fn run(mut self) -> Result<Graph, PassError> {
        for &input in self.old.inputs() {
            self.builder.at_origin(self.old.origin(input));
            let ty = self.old.tensor_type(input);
            self.values[input.index()] = Some(self.parameter(ty)?);
        }
        for id in live_nodes(self.old) {
            let node = self.old.node(id);
            if matches!(node.op, Op::Input { .. }) {
                continue;
            }
            self.builder.at_origin(self.old.origin(id));
            self.values[id.index()] = Some(self.split(node)?);
        }
        self.builder.at(None);
        let mut results = Vec::new();
        for &output in self.old.outputs() {
            match (self.value(output)?.clone(), self.interface) {
                (Value::Real(x), _) => results.push(x),
                (Value::Complex(z), Interface::Interleaved) => {
                    results.push(pair::interleave(&mut self.builder, z)?);
                }
                (Value::Complex(z), Interface::Pairs) => results.extend([z.re, z.im]),
                (Value::Tuple(_), _) => return Err(misused()),
            }
        }
        Ok(self.builder.finish(results, self.old))
    }

    fn parameter(&mut self, ty: &TensorType) -> Result<Value, PassError> {
        if !ty.dtype.is_complex() {
            return Ok(Value::Real(self.builder.input(ty.clone())));
        }
        Ok(Value::Complex(match self.interface {
            Interface::Interleaved => {
                let whole = self.builder.input(interleaved(ty));
                pair::deinterleave(&mut self.builder, whole)?
            }
            Interface::Pairs => Pair {
                re: self.builder.input(real_type(ty)),
                im: self.builder.input(real_type(ty)),
            },
        }))
    }

    fn value(&self, id: NodeId) -> Result<&Value, PassError> {
        self.values[id.index()].as_ref().ok_or_else(misused)
    }

    fn real(&self, id: NodeId) -> Result<NodeId, PassError> {
        match self.value(id)? {
            Value::Real(x) => Ok(*x),
            Value::Complex(_) | Value::Tuple(_) => Err(misused()),
        }
    }

    fn complex(&self, id: NodeId) -> Result<Pair, PassError> {
        match self.value(id)? {
            Value::Complex(z) => Ok(*z),
            Value::Real(_) | Value::Tuple(_) => Err(misused()),
        }
    }

    fn split(&mut self, node: &Node) -> Result<Value, PassError> {
        let complex = |ty: &Type| ty.as_tensor().is_some_and(|t| t.dtype.is_complex());
        let touched =
            complex(&node.ty) || node.inputs.iter().any(|&i| complex(&self.old.node(i).ty));
        match &node.op {
            Op::Call { .. } | Op::If { .. } | Op::While { .. } | Op::Loop { .. } => {
                self.region(node)
            }
            Op::Sort { .. } => self.sort(node),
            Op::Custom { .. } => self.custom(node),
            Op::Get { index } => match self.value(node.inputs[0])? {
                Value::Tuple(results) => Ok(results[*index as usize].clone()),
                Value::Real(_) | Value::Complex(_) => Err(misused()),
            },
            op if !touched => {
                let operands = node.inputs.iter().map(|&i| self.real(i));
                let operands: Vec<NodeId> = operands.collect::<Result<_, _>>()?;
                self.builder.emit(op.clone(), &operands).map(Value::Real)
            }
            _ => self.split_complex(node),
        }
    }

    /// Operations with complex operands or results.
    fn split_complex(&mut self, node: &Node) -> Result<Value, PassError> {
        let x = node.inputs.first().copied();
        let complex = |cx: &Self| x.map_or_else(|| Err(misused()), |x| cx.complex(x));
        match &node.op {
            Op::Const { value } => self.constant(*value),
            Op::Cast { dtype } => self.cast(x.ok_or_else(misused)?, *dtype),
            Op::Complex {} => Ok(Value::Complex(Pair {
                re: self.real(node.inputs[0])?,
                im: self.real(node.inputs[1])?,
            })),
            Op::Real {} => Ok(Value::Real(complex(self)?.re)),
            Op::Imag {} => Ok(Value::Real(complex(self)?.im)),
            Op::Unary { f: Unary::Neg } => self.each(node),
            Op::Unary { f } => {
                let z = complex(self)?;
                functions::unary(&mut self.builder, *f, z).map(Value::Complex)
            }
            Op::Binary { f } => self.binary(node, *f),
            Op::Compare { predicate } => self.compare(node, *predicate),
            Op::Select {}
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Barrier {}
            | Op::Expand { .. }
            | Op::Pad { .. }
            | Op::Slice { .. }
            | Op::Window { .. }
            | Op::Fold { .. }
            | Op::Gather { .. } => self.each(node),
            Op::Reduce { kind, axes } => self.reduce(node, *kind, axes),
            Op::Scan {
                kind,
                axis,
                reverse,
            } => self.scan(node, *kind, *axis as usize, *reverse),
            Op::Contract { acc, .. } => {
                let (a, b) = (self.complex(node.inputs[0])?, self.complex(node.inputs[1])?);
                let op = real_contract(&node.op, *acc);
                aggregate::contract(&mut self.builder, &op, a, b).map(Value::Complex)
            }
            Op::Scatter { combine, .. } => self.scatter(node, *combine),
            Op::Input { .. }
            | Op::Size { .. }
            | Op::Iota { .. }
            | Op::Random { .. }
            | Op::Bitcast { .. }
            | Op::Sort { .. }
            | Op::Call { .. }
            | Op::If { .. }
            | Op::While { .. }
            | Op::Loop { .. }
            | Op::Custom { .. }
            | Op::Get { .. } => Err(self.undefined(&node.op)),
        }
    }

    fn reduce(&mut self, node: &Node, kind: Combine, axes: &[u32]) -> Result<Value, PassError> {
        match kind {
            Combine::Sum => self.each(node),
            Combine::Prod => {
                let z = self.complex(node.inputs[0])?;
                aggregate::product(&mut self.builder, z, axes).map(Value::Complex)
            }
            Combine::Max | Combine::Min => Err(self.undefined(&node.op)),
        }
    }

    fn scan(
        &mut self,
        node: &Node,
        kind: Combine,
        axis: usize,
        reverse: bool,
    ) -> Result<Value, PassError> {
        match kind {
            Combine::Sum => self.each(node),
            Combine::Prod => {
                let z = self.complex(node.inputs[0])?;
                aggregate::scan_product(&mut self.builder, z, axis, reverse).map(Value::Complex)
            }
            Combine::Max | Combine::Min => Err(self.undefined(&node.op)),
        }
    }

    fn scatter(&mut self, node: &Node, combine: Option<Combine>) -> Result<Value, PassError> {
        match combine {
            None | Some(Combine::Sum) => self.each(node),
            Some(Combine::Prod) => Err(self.builder.unsupported(
                "scatter with combine=prod of complex numbers cannot be compiled: the parts of a \
                 product depend on each other",
            )),
            Some(Combine::Max | Combine::Min) => Err(self.undefined(&node.op)),
        }
    }

    /// Type inference rejects these.
    fn undefined(&self, op: &Op) -> PassError {
        let what = format!("{} is not defined on complex numbers", op.mnemonic());
        self.builder.unsupported(what)
    }

    fn constant(&mut self, value: Scalar) -> Result<Value, PassError> {
        let real = value.dtype().real();
        let (re, im) = value.as_complex();
        let mut part = |v| {
            let value = Scalar::from_f64(real, v);
            self.builder.emit(Op::Const { value }, &[])
        };
        Ok(Value::Complex(Pair {
            re: part(re)?,
            im: part(im)?,
        }))
    }

    /// The operation on the real parts and on the imaginary parts; real operands serve both.
    fn each(&mut self, node: &Node) -> Result<Value, PassError> {
        let (mut re, mut im) = (Vec::new(), Vec::new());
        for &input in &node.inputs {
            let z = match self.value(input)? {
                Value::Real(x) => Pair { re: *x, im: *x },
                Value::Complex(z) => *z,
                Value::Tuple(_) => return Err(misused()),
            };
            re.push(z.re);
            im.push(z.im);
        }
        Ok(Value::Complex(Pair {
            re: self.builder.emit(node.op.clone(), &re)?,
            im: self.builder.emit(node.op.clone(), &im)?,
        }))
    }

    fn cast(&mut self, x: NodeId, to: DType) -> Result<Value, PassError> {
        let b = &mut self.builder;
        let value = self.values[x.index()].clone().ok_or_else(misused)?;
        Ok(match (value, to.is_complex()) {
            (Value::Real(x), true) => {
                let re = b.cast(x, to.real())?;
                let dims = b.dims(re);
                let im = b.splat(Scalar::from_f64(to.real(), 0.0), &dims)?;
                Value::Complex(Pair { re, im })
            }
            (Value::Complex(z), true) => Value::Complex(Pair {
                re: b.cast(z.re, to.real())?,
                im: b.cast(z.im, to.real())?,
            }),
            (Value::Complex(z), false) if to == DType::Bool => {
                let (re, im) = (b.cast(z.re, to)?, b.cast(z.im, to)?);
                Value::Real(b.binary(Binary::Or, re, im)?)
            }
            (Value::Complex(z), false) => Value::Real(b.cast(z.re, to)?),
            (Value::Real(_), false) | (Value::Tuple(_), _) => return Err(misused()),
        })
    }

    fn binary(&mut self, node: &Node, f: Binary) -> Result<Value, PassError> {
        let (x, y) = (self.complex(node.inputs[0])?, self.complex(node.inputs[1])?);
        let b = &mut self.builder;
        match f {
            Binary::Add => self.each(node),
            Binary::Mul => pair::mul(b, x, y).map(Value::Complex),
            Binary::Div | Binary::Pow => functions::binary(b, f, x, y).map(Value::Complex),
            Binary::Rem
            | Binary::Max
            | Binary::Min
            | Binary::And
            | Binary::Or
            | Binary::Xor
            | Binary::Shl
            | Binary::Shr => Err(self.undefined(&node.op)),
        }
    }

    fn compare(&mut self, node: &Node, predicate: Predicate) -> Result<Value, PassError> {
        let (x, y) = (self.complex(node.inputs[0])?, self.complex(node.inputs[1])?);
        let both = match predicate {
            Predicate::Eq => Binary::And,
            Predicate::Ne => Binary::Or,
            Predicate::Lt | Predicate::Le => return Err(self.undefined(&node.op)),
        };
        let re = self.builder.compare(predicate, x.re, y.re)?;
        let im = self.builder.compare(predicate, x.im, y.im)?;
        self.builder.binary(both, re, im).map(Value::Real)
    }
}

/// The contraction of parts.
fn real_contract(op: &Op, acc: DType) -> Op {
    let mut op = op.clone();
    if let Op::Contract { acc: to, .. } = &mut op {
        *to = acc.real();
    }
    op
}

/// The error for a graph that the verifier rejects too.
fn misused() -> PassError {
    PassError::Invalid {
        after: "canon",
        report: "a tuple, a real and a complex tensor are mistaken for one another".into(),
    }
}
