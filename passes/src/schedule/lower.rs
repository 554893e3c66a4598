//! Lowering: the value of a node at given coordinates, as instructions over an iteration space.
//!
//! A [`Fragment`] computes one value at every point of a space whose loop variables are
//! `Var::Inner(0..)`. Nodes that live in memory become [`Code::Read`] at coordinates (not yet at a
//! linear index: where the value comes from is decided when kernels are put together); all others are
//! computed in place, views by transforming coordinates. A node wanted several times at the same
//! coordinates is computed once, and equal instructions are one.
//!
//! A *guard* is a bool value that is false where the coordinates may lie outside of the node. Reads
//! are guarded then and faults are not recorded; arithmetic goes on with zeros.
//!
//! The walk keeps its own stack: chains of any length do not overflow the machine's.

use super::ScheduleError;
use super::faults::Faults;
use super::policy::{Policy, Residence};
use super::views::operand_coords;
use lazulite_ir::{
    Binary, DType, Dim, Dims, Graph, IndexExpr, InstOp, NodeId, Op, Predicate, Ranges, Scalar,
    Unary, ValueId, linearize,
};
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// A tensor in memory (or between the stages of one kernel): result `result` of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Stored {
    /// The node.
    pub node: NodeId,
    /// Which of its results; 0 for nodes with one.
    pub result: u32,
}

impl Stored {
    /// The result of a node with one.
    pub fn of(node: NodeId) -> Stored {
        Stored { node, result: 0 }
    }
}

/// An element of a stored tensor.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Read {
    /// Of what.
    pub from: Stored,
    /// Where: one index per axis.
    pub coords: Rc<[IndexExpr]>,
    /// Condition under which the coordinates are valid.
    pub guard: Option<ValueId>,
}

/// How a value of a fragment is made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Code {
    /// By an instruction other than buffer access.
    Inst(InstOp),
    /// By reading.
    Read(Read),
}

/// A computation; values refer to earlier ones by position.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Fragment {
    /// Type and code of each value.
    pub values: Vec<(DType, Code)>,
    /// The value computed.
    pub root: ValueId,
}

impl Fragment {
    /// True when it may record a fault.
    pub fn may_fault(&self) -> bool {
        let records =
            |op: &InstOp| matches!(op, InstOp::CheckIndex { .. } | InstOp::CheckDivisor { .. });
        let mut codes = self.values.iter().map(|(_, code)| code);
        codes.any(|code| matches!(code, Code::Inst(op) if records(op)))
    }

    /// All reads, in order.
    pub fn reads(&self) -> impl Iterator<Item = &Read> {
        self.values.iter().filter_map(|(_, code)| match code {
            Code::Read(read) => Some(read),
            Code::Inst(_) => None,
        })
    }
}

/// A node at a point; points are numbered by [`Lowerer::point`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Wanted {
    node: NodeId,
    point: u32,
    guard: Option<ValueId>,
}

/// Builds one fragment.
pub(super) struct Lowerer<'a> {
    pub(super) graph: &'a Graph,
    policy: &'a Policy,
    pub(super) faults: &'a mut Faults,
    /// The node that is being defined, which is computed even though it is kept.
    defined: Option<NodeId>,
    space: &'a [Dim],
    values: Vec<(DType, Code)>,
    /// Values by the hash of type and code.
    numbers: FxHashMap<u64, SmallVec<[ValueId; 1]>>,
    points: Vec<Rc<[IndexExpr]>>,
    point_numbers: FxHashMap<Rc<[IndexExpr]>, u32>,
    done: FxHashMap<Wanted, ValueId>,
    missing: Vec<Wanted>,
}

impl<'a> Lowerer<'a> {
    /// A lowerer over `space` for the definition of `defined`.
    pub fn new(
        graph: &'a Graph,
        policy: &'a Policy,
        faults: &'a mut Faults,
        defined: Option<NodeId>,
        space: &'a [Dim],
    ) -> Lowerer<'a> {
        Lowerer {
            graph,
            policy,
            faults,
            defined,
            space,
            values: Vec::new(),
            numbers: FxHashMap::default(),
            points: Vec::new(),
            point_numbers: FxHashMap::default(),
            done: FxHashMap::default(),
            missing: Vec::new(),
        }
    }

    /// The extents of the loops, for index arithmetic.
    pub fn ranges(&self) -> Ranges<'a> {
        Ranges {
            outer: &[],
            inner: self.space,
        }
    }

    /// The finished computation of `root`.
    pub fn finish(self, root: ValueId) -> Fragment {
        Fragment {
            values: self.values,
            root,
        }
    }

    /// The value of an instruction, which may be there already.
    pub fn emit(&mut self, dtype: DType, op: InstOp) -> ValueId {
        self.number(dtype, Code::Inst(op))
    }

    fn number(&mut self, dtype: DType, code: Code) -> ValueId {
        let mut hasher = FxHasher::default();
        (dtype, &code).hash(&mut hasher);
        let candidates = self.numbers.entry(hasher.finish()).or_default();
        let same = |v: &ValueId| {
            let (known_dtype, known) = &self.values[v.0 as usize];
            *known_dtype == dtype && *known == code
        };
        if let Some(&known) = candidates.iter().find(|v| same(v)) {
            return known;
        }
        let value = ValueId(self.values.len() as u32);
        candidates.push(value);
        self.values.push((dtype, code));
        value
    }

    /// Type of a value.
    pub fn dtype(&self, value: ValueId) -> DType {
        self.values[value.0 as usize].0
    }

    /// How a value is made.
    pub fn code(&self, value: ValueId) -> &Code {
        &self.values[value.0 as usize].1
    }

    /// A constant.
    pub fn constant(&mut self, value: Scalar) -> ValueId {
        self.emit(value.dtype(), InstOp::Const(value))
    }

    /// `value` converted to `dtype`.
    pub fn cast(&mut self, value: ValueId, dtype: DType) -> ValueId {
        if self.dtype(value) == dtype {
            return value;
        }
        self.emit(dtype, InstOp::Cast(value))
    }

    /// `value` as `dtype`: what was widened to it, if that is of this type, else converted.
    pub fn unwidened(&mut self, value: ValueId, dtype: DType) -> ValueId {
        match self.values[value.0 as usize].1 {
            Code::Inst(InstOp::Cast(from))
                if self.dtype(from) == dtype && dtype.size() < self.dtype(value).size() =>
            {
                from
            }
            Code::Inst(_) | Code::Read(_) => self.cast(value, dtype),
        }
    }

    /// Both conditions; `None` is always true.
    pub fn and(&mut self, a: Option<ValueId>, b: Option<ValueId>) -> Option<ValueId> {
        match (a, b) {
            (Some(a), Some(b)) if a == b => Some(a),
            (Some(a), Some(b)) => Some(self.emit(DType::Bool, InstOp::Binary(Binary::And, a, b))),
            (a, b) => a.or(b),
        }
    }

    /// The condition `lo <= index < hi`; `None` when it always holds.
    pub fn in_range(&mut self, index: &IndexExpr, lo: Dim, hi: Dim) -> Option<ValueId> {
        if is_within(index, &lo, &hi, self.ranges()) {
            return None;
        }
        let index = index.clone();
        Some(self.emit(DType::Bool, InstOp::InRange { index, lo, hi }))
    }

    /// The dims of a node.
    pub fn dims(&self, node: NodeId) -> &'a Dims {
        &self.graph.tensor_type(node).dims
    }

    fn point(&mut self, coords: Vec<IndexExpr>) -> u32 {
        let coords: Rc<[IndexExpr]> = coords.into();
        let next = self.points.len() as u32;
        let number = *self.point_numbers.entry(coords.clone()).or_insert(next);
        if number == next {
            self.points.push(coords);
        }
        number
    }

    /// The value of `node` at `coords`, valid where `guard` is true.
    pub fn value(
        &mut self,
        node: NodeId,
        coords: Vec<IndexExpr>,
        guard: Option<ValueId>,
    ) -> Result<ValueId, ScheduleError> {
        let point = self.point_of(node, coords);
        let root = self.wanted(node, point, guard);
        let mut stack = vec![root];
        while let Some(&top) = stack.last() {
            if self.done.contains_key(&top) {
                stack.pop();
                continue;
            }
            match self.attempt(top)? {
                Some(value) => {
                    self.done.insert(top, value);
                    stack.pop();
                    self.missing.clear();
                }
                None => stack.extend(self.missing.drain(..).rev()),
            }
        }
        Ok(self.done[&root])
    }

    /// A single element is always valid, whatever the guard says about other tensors.
    fn wanted(&self, node: NodeId, point: u32, guard: Option<ValueId>) -> Wanted {
        let single = self.dims(node).iter().all(|d| d.is(1));
        Wanted {
            node,
            point,
            guard: guard.filter(|_| !single),
        }
    }

    /// The value of an operand at coordinates; `None`, and noted as missing, when it has not been
    /// computed yet.
    pub fn need(
        &mut self,
        node: NodeId,
        coords: Vec<IndexExpr>,
        guard: Option<ValueId>,
    ) -> Option<ValueId> {
        let point = self.point_of(node, coords);
        self.need_at(node, point, guard)
    }

    /// The number of a point of `node`. The coordinate along an axis of size 1 is 0, whatever it was
    /// computed to be.
    fn point_of(&mut self, node: NodeId, mut coords: Vec<IndexExpr>) -> u32 {
        for (coord, dim) in coords.iter_mut().zip(self.dims(node)) {
            if dim.is(1) {
                *coord = IndexExpr::constant(Dim::ZERO);
            }
        }
        self.point(coords)
    }

    fn need_at(&mut self, node: NodeId, point: u32, guard: Option<ValueId>) -> Option<ValueId> {
        let wanted = self.wanted(node, point, guard);
        let found = self.done.get(&wanted).copied();
        if found.is_none() {
            self.missing.push(wanted);
        }
        found
    }

    /// Computes a node from its operands if these are computed; repeated attempts find what earlier
    /// ones made.
    fn attempt(&mut self, w: Wanted) -> Result<Option<ValueId>, ScheduleError> {
        let node = self.graph.node(w.node);
        let ty = self.graph.tensor_type(w.node);
        if ty.dims.iter().any(|d| d.is(0)) {
            // No loop runs here.
            return Ok(Some(self.constant(Scalar::from_bits(ty.dtype, 0))));
        }
        let kept = self.policy.residence(w.node) != Residence::Inline;
        if let Op::Get { index } = node.op {
            let from = Stored {
                node: node.inputs[0],
                result: index,
            };
            return Ok(Some(self.read(w, from)));
        }
        if kept && self.defined != Some(w.node) {
            return Ok(Some(self.read(w, Stored::of(w.node))));
        }
        self.attempt_inline(w)
    }

    /// The same for a node that is computed in place.
    fn attempt_inline(&mut self, w: Wanted) -> Result<Option<ValueId>, ScheduleError> {
        let node = self.graph.node(w.node);
        let coords = self.points[w.point as usize].clone();
        match &node.op {
            Op::Const { value } => Ok(Some(self.constant(*value))),
            Op::Size { value, dtype } => {
                Ok(Some(self.index(IndexExpr::constant(value.clone()), *dtype)))
            }
            Op::Iota { dtype, .. } => Ok(Some(self.index(coords[0].clone(), *dtype))),
            Op::Random { dims, dtype } => self.random(w.node, &coords, dims, *dtype),
            Op::Cast { .. }
            | Op::Bitcast { .. }
            | Op::Unary { .. }
            | Op::Binary { .. }
            | Op::Compare { .. }
            | Op::Select {} => Ok(self.pointwise(w)),
            Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Barrier {}
            | Op::Expand { .. }
            | Op::Slice { .. }
            | Op::Window { .. } => {
                let operand = node.inputs[0];
                let dims = [self.dims(w.node), self.dims(operand)];
                let inside = operand_coords(&node.op, &coords, dims, self.ranges())?;
                Ok(self.need(operand, inside, w.guard))
            }
            Op::Pad {
                low,
                high,
                interior,
            } => self.pad(w.node, &coords, w.guard, [low, high, interior]),
            Op::Gather { axes } => self.gather(w.node, &coords, w.guard, axes),
            Op::Complex {} | Op::Real {} | Op::Imag {} | Op::Call { .. } => {
                Err(ScheduleError::Unsupported {
                    what: format!("{} has no kernel form", node.op.mnemonic()),
                    source: self.graph.source(w.node).cloned(),
                })
            }
            // These always live in memory (or are defined by their own kind of member).
            Op::Input { .. }
            | Op::Reduce { .. }
            | Op::Contract { .. }
            | Op::Scan { .. }
            | Op::Fold { .. }
            | Op::Scatter { .. }
            | Op::Sort { .. }
            | Op::If { .. }
            | Op::While { .. }
            | Op::Loop { .. }
            | Op::Custom { .. }
            | Op::Get { .. } => Ok(Some(self.read(w, Stored::of(w.node)))),
        }
    }

    /// An index as a value of a type.
    fn index(&mut self, index: IndexExpr, dtype: DType) -> ValueId {
        let index = self.emit(DType::I64, InstOp::Index(index));
        self.cast(index, dtype)
    }

    fn read(&mut self, w: Wanted, from: Stored) -> ValueId {
        let read = Read {
            from,
            coords: self.points[w.point as usize].clone(),
            guard: w.guard,
        };
        let dtype = self.graph.tensor_type(w.node).dtype;
        self.number(dtype, Code::Read(read))
    }

    fn random(
        &mut self,
        node: NodeId,
        coords: &[IndexExpr],
        dims: &[Dim],
        dtype: DType,
    ) -> Result<Option<ValueId>, ScheduleError> {
        let inputs = &self.graph.node(node).inputs;
        let seed = self.need(inputs[0], Vec::new(), None);
        let stream = self.need(inputs[1], Vec::new(), None);
        let (Some(seed), Some(stream)) = (seed, stream) else {
            return Ok(None);
        };
        let element = linearize(coords, dims, self.ranges())?;
        let element = self.emit(DType::I64, InstOp::Index(element));
        let random = InstOp::Random {
            seed,
            stream,
            element,
        };
        Ok(Some(self.emit(dtype, random)))
    }

    /// Operations on the operands' elements at the same coordinates.
    fn pointwise(&mut self, w: Wanted) -> Option<ValueId> {
        let node = self.graph.node(w.node);
        let mut operands = [None; 3];
        for (operand, &input) in operands.iter_mut().zip(&node.inputs) {
            *operand = self.need_at(input, w.point, w.guard);
        }
        let dtype = self.graph.tensor_type(w.node).dtype;
        let [a, b, c] = operands;
        match &node.op {
            Op::Cast { dtype } => Some(self.cast(a?, *dtype)),
            Op::Bitcast { dtype } => Some(self.emit(*dtype, InstOp::Bitcast(a?))),
            Op::Unary { f } => Some(self.unary(*f, a?)),
            Op::Binary { f } => Some(self.binary(w, *f, a?, b?)),
            Op::Compare { predicate } => Some(self.compare(*predicate, a?, b?)),
            Op::Select {} => Some(self.emit(dtype, InstOp::Select(a?, b?, c?))),
            _ => None,
        }
    }

    /// `f(x)`; half floats compute as f32.
    pub fn unary(&mut self, f: Unary, x: ValueId) -> ValueId {
        let dtype = self.dtype(x);
        let wide = self.cast(x, dtype.compute());
        let result = self.emit(dtype.compute(), InstOp::Unary(f, wide));
        self.cast(result, dtype)
    }

    fn compare(&mut self, p: Predicate, a: ValueId, b: ValueId) -> ValueId {
        let wide = self.dtype(a).compute();
        let (a, b) = (self.cast(a, wide), self.cast(b, wide));
        self.emit(DType::Bool, InstOp::Compare(p, a, b))
    }

    /// `f(a, b)` without checks; half floats compute as f32.
    pub fn plain_binary(&mut self, f: Binary, a: ValueId, b: ValueId) -> ValueId {
        let dtype = self.dtype(a);
        let wide = dtype.compute();
        let (a, b) = (self.cast(a, wide), self.cast(b, wide));
        let result = self.emit(wide, InstOp::Binary(f, a, b));
        self.cast(result, dtype)
    }

    fn binary(&mut self, w: Wanted, f: Binary, a: ValueId, b: ValueId) -> ValueId {
        let dtype = self.dtype(a);
        let divides = matches!(f, Binary::Div | Binary::Rem) && dtype.is_int();
        let known = matches!(self.code(b), Code::Inst(InstOp::Const(c)) if c.bits() != 0);
        if !divides || known {
            return self.plain_binary(f, a, b);
        }
        let mut divisor = b;
        if let Some(guard) = w.guard {
            // What stands outside was not computed and must not count as a fault.
            let one = self.constant(Scalar::from_i64(dtype, 1));
            divisor = self.emit(dtype, InstOp::Select(guard, b, one));
        }
        let what = "integer division by zero";
        let fault = self.faults.number(self.graph, w.node, what);
        let check = InstOp::CheckDivisor {
            value: divisor,
            fault,
        };
        let checked = self.emit(dtype, check);
        self.plain_binary(f, a, checked)
    }
}

/// True when `lo <= index < hi` at every point.
pub(super) fn is_within(index: &IndexExpr, lo: &Dim, hi: &Dim, ranges: Ranges<'_>) -> bool {
    let (least, most) = index.bounds(ranges);
    let above = least.is_some_and(|l| lo.compare_le(&l) == Some(true));
    above
        && most
            .and_then(|m| m.add(&Dim::ONE).ok())
            .is_some_and(|end| end.compare_le(hi) == Some(true))
}
