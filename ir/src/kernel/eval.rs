//! The kernel interpreter: scalar code that does what the kernel's documentation says, one point
//! after the other, and refuses whatever it does not allow. It is the oracle of the scheduler (do
//! kernels compute what the graph says?) and of the code generators.
//!
//! Checked on the way: every access lies within its buffer or local, values are used only where they
//! are visible, types fit. Locals hold garbage until they are written.

use super::index::{IndexAtom, IndexExpr, Var};
use super::{Access, Inst, InstOp, Kernel, Stage, ValueId};
use crate::{Combine, DType, Dim, Scalar, SizeOf, floor_div, scalar_ops};
use std::cell::Cell;
use std::fmt;

/// Memory of a buffer. Cells, because several parameters may lie over one another.
pub type Bytes<'a> = &'a [Cell<u8>];

/// Memory as the interpreters take it.
pub fn as_cells(bytes: &mut [u8]) -> Bytes<'_> {
    Cell::from_mut(bytes).as_slice_of_cells()
}

/// What memory holds that nobody has written: NaN, true, -1.
pub(crate) const GARBAGE: u8 = 0xff;

/// A fault as the program's status would show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultRecord {
    /// Number in the plan's table.
    pub fault: u32,
    /// The index; 0 for divisors.
    pub value: i64,
    /// Its bound; 0 for divisors.
    pub bound: i64,
}

/// Why a kernel or plan cannot be run: it, or what it was given, is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EvalError {
    /// An access outside a buffer or local.
    OutOfBounds {
        /// Which one.
        memory: String,
        /// Element index.
        index: i64,
        /// Its length in elements.
        len: usize,
    },
    /// A size has no value, or overflows.
    Size(Dim),
    /// There is no memory of this many bytes.
    Memory(usize),
    /// An index overflows 64 bits or divides by zero.
    Index,
    /// A rule is broken.
    Malformed(String),
    /// The plan's condition on the sizes does not hold.
    Guard(String),
    /// A step recorded a fault.
    Fault {
        /// As the program's status would show it.
        record: FaultRecord,
        /// What the plan says about it, and what is known beyond that.
        message: String,
    },
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::OutOfBounds { memory, index, len } => {
                write!(
                    f,
                    "{memory} has {len} elements, element {index} is accessed"
                )
            }
            EvalError::Size(dim) => write!(f, "the size {dim} has no value"),
            EvalError::Memory(len) => write!(f, "there are no {len} bytes of memory"),
            EvalError::Index => f.write_str("an index overflows or divides by zero"),
            EvalError::Malformed(what) => f.write_str(what),
            EvalError::Guard(message) | EvalError::Fault { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for EvalError {}

/// The order in which points are visited whose order does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Row-major.
    RowMajor,
    /// Something else, always the same.
    Scrambled,
}

impl Order {
    /// The numbers below `count`, each once.
    pub(crate) fn visit(self, count: i64) -> impl Iterator<Item = i64> {
        let (start, step) = match self {
            Order::RowMajor => (0, 1),
            // Near the golden section neighbours land far apart.
            Order::Scrambled => {
                let near = count / 2 + count / 8 + 1;
                let step = (near..count).find(|&s| gcd(s, count) == 1);
                (count - 1, step.unwrap_or(1))
            }
        };
        let mut at = start;
        (0..count).map(move |_| {
            let here = at;
            at = if at < count - step {
                at + step
            } else {
                at - (count - step)
            };
            here
        })
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Runs a kernel over the box `bounds` of its outer ranges (from, to; all of them when `None`), with
/// one piece of memory per buffer parameter, and returns the faults in the order they came up.
pub fn eval_kernel(
    kernel: &Kernel,
    buffers: &[Bytes<'_>],
    sizes: SizeOf<'_>,
    bounds: Option<&[(i64, i64)]>,
    order: Order,
) -> Result<Vec<FaultRecord>, EvalError> {
    if buffers.len() != kernel.buffers.len() {
        return malformed(format!(
            "the kernel has {} buffers, {} were given",
            kernel.buffers.len(),
            buffers.len()
        ));
    }
    let outer = eval_dims(&kernel.outer, sizes)?;
    let full: Vec<(i64, i64)> = outer.iter().map(|&e| (0, e)).collect();
    let bounds = bounds.unwrap_or(&full);
    let within = |(b, e): (&(i64, i64), &i64)| 0 <= b.0 && b.0 <= b.1 && b.1 <= *e;
    if bounds.len() != outer.len() || !bounds.iter().zip(&outer).all(within) {
        return malformed(format!("the box {bounds:?} is not within {outer:?}"));
    }
    let extents: Vec<i64> = bounds.iter().map(|b| b.1 - b.0).collect();
    let mut machine = Machine {
        kernel,
        buffers,
        order,
        outer: vec![0; outer.len()],
        inner: Vec::new(),
        values: vec![None; kernel.values.len()],
        sums: vec![None; kernel.values.len()],
        locals: Vec::new(),
        faults: Vec::new(),
    };
    for local in &kernel.locals {
        let bytes = byte_len(local.dtype, &local.len, sizes)?;
        machine.locals.push(unwritten(bytes)?);
    }
    let mut stages = None;
    for point in order.visit(count_points(&extents)?) {
        let ready = match &mut stages {
            Some(ready) => ready,
            // Sizes inside loops that never run need not make sense, so they are only looked at here.
            None => stages.insert(prepare(kernel, sizes)?),
        };
        place(point, &extents, &mut machine.outer);
        let coordinates = machine.outer.iter_mut().zip(bounds);
        coordinates.for_each(|(c, b)| *c += b.0);
        machine.run_point(ready)?;
    }
    Ok(machine.faults)
}

/// The value of a size.
pub(crate) fn eval_dim(dim: &Dim, sizes: SizeOf<'_>) -> Result<i64, EvalError> {
    dim.eval(sizes).ok_or_else(|| EvalError::Size(dim.clone()))
}

/// The values of extents, which are not negative.
pub(crate) fn eval_dims(dims: &[Dim], sizes: SizeOf<'_>) -> Result<Vec<i64>, EvalError> {
    let extent = |d: &Dim| {
        let value = eval_dim(d, sizes)?;
        if value < 0 {
            return malformed(format!("the extent {d} is {value}"));
        }
        Ok(value)
    };
    dims.iter().map(extent).collect()
}

/// Bytes of `len` elements.
pub(crate) fn byte_len(dtype: DType, len: &Dim, sizes: SizeOf<'_>) -> Result<usize, EvalError> {
    let elements = usize::try_from(eval_dim(len, sizes)?).ok();
    let bytes = elements.and_then(|e| e.checked_mul(dtype.size()));
    bytes.ok_or_else(|| EvalError::Size(len.clone()))
}

/// Memory that nobody has written.
pub(crate) fn unwritten(len: usize) -> Result<Vec<Cell<u8>>, EvalError> {
    let mut memory = Vec::new();
    let reserved = memory.try_reserve_exact(len);
    reserved.map_err(|_| EvalError::Memory(len))?;
    memory.resize(len, Cell::new(GARBAGE));
    Ok(memory)
}

pub(crate) fn malformed<T>(what: String) -> Result<T, EvalError> {
    Err(EvalError::Malformed(what))
}

fn count_points(extents: &[i64]) -> Result<i64, EvalError> {
    let product = extents.iter().try_fold(1i64, |p, &e| p.checked_mul(e));
    product.ok_or(EvalError::Index)
}

/// Coordinates of a point from its row-major number.
fn place(mut point: i64, extents: &[i64], coordinates: &mut [i64]) {
    for (c, e) in coordinates.iter_mut().zip(extents).rev() {
        *c = point % e;
        point /= e;
    }
}

/// An index expression with numbers for sizes.
struct Index {
    constant: i64,
    terms: Vec<(Leaf, i64)>,
}

enum Leaf {
    Outer(usize),
    Inner(usize),
    Value(ValueId),
    Div(Index, i64),
    Mod(Index, i64),
}

impl Index {
    fn new(expr: &IndexExpr, sizes: SizeOf<'_>) -> Result<Index, EvalError> {
        let mut terms = Vec::with_capacity(expr.terms.len());
        for t in &expr.terms {
            let leaf = match &t.atom {
                IndexAtom::Var(Var::Outer(i)) => Leaf::Outer(*i as usize),
                IndexAtom::Var(Var::Inner(i)) => Leaf::Inner(*i as usize),
                IndexAtom::Value(v) => Leaf::Value(*v),
                IndexAtom::FloorDiv(x, d) => Leaf::Div(Index::new(x, sizes)?, divisor(d, sizes)?),
                IndexAtom::Mod(x, d) => Leaf::Mod(Index::new(x, sizes)?, divisor(d, sizes)?),
            };
            terms.push((leaf, eval_dim(&t.coefficient, sizes)?));
        }
        let constant = eval_dim(&expr.constant, sizes)?;
        Ok(Index { constant, terms })
    }

    fn eval(&self, machine: &Machine<'_>) -> Result<i64, EvalError> {
        let coordinate = |c: &[i64], i: usize| {
            let known = c.get(i).copied();
            known.map_or_else(|| malformed(format!("there is no loop {i}")), Ok)
        };
        let mut sum = self.constant;
        for (leaf, coefficient) in &self.terms {
            let leaf = match leaf {
                Leaf::Outer(i) => coordinate(&machine.outer, *i)?,
                Leaf::Inner(i) => coordinate(&machine.inner, *i)?,
                Leaf::Value(v) => machine.value(*v)?.as_i64(),
                Leaf::Div(x, d) => floor_div(x.eval(machine)?, *d).ok_or(EvalError::Index)?,
                Leaf::Mod(x, d) => x.eval(machine)?.rem_euclid(*d),
            };
            let product = leaf.checked_mul(*coefficient);
            let next = product.and_then(|p| sum.checked_add(p));
            sum = next.ok_or(EvalError::Index)?;
        }
        Ok(sum)
    }
}

fn divisor(dim: &Dim, sizes: SizeOf<'_>) -> Result<i64, EvalError> {
    let d = eval_dim(dim, sizes)?;
    if d < 0 {
        return malformed(format!("an index is divided by {dim} = {d}"));
    }
    Ok(d.max(1))
}

/// A stage with numbers for sizes.
struct ReadyStage<'a> {
    stage: &'a Stage,
    extents: Vec<i64>,
    insts: Vec<Ready<'a>>,
}

/// An instruction with numbers for sizes: its index expression, and the bounds it names.
struct Ready<'a> {
    inst: &'a Inst,
    index: Index,
    lo: i64,
    hi: i64,
}

fn prepare<'a>(kernel: &'a Kernel, sizes: SizeOf<'_>) -> Result<Vec<ReadyStage<'a>>, EvalError> {
    let prepare_inst = |inst: &'a Inst| {
        let nothing = IndexExpr::constant(Dim::ZERO);
        let (lo, hi) = match &inst.op {
            InstOp::InRange { lo, hi, .. } => (lo, hi),
            InstOp::CheckIndex { bound, .. } => (&Dim::ZERO, bound),
            _ => (&Dim::ZERO, &Dim::ZERO),
        };
        let index = inst.op.index().unwrap_or(&nothing);
        Ok(Ready {
            inst,
            index: Index::new(index, sizes)?,
            lo: eval_dim(lo, sizes)?,
            hi: eval_dim(hi, sizes)?,
        })
    };
    let prepare_stage = |stage: &'a Stage| {
        let extents = eval_dims(&stage.ranges, sizes)?;
        let insts = if extents.contains(&0) {
            Vec::new()
        } else {
            let insts = stage.insts.iter().map(prepare_inst);
            insts.collect::<Result<_, EvalError>>()?
        };
        Ok(ReadyStage {
            stage,
            extents,
            insts,
        })
    };
    kernel.stages.iter().map(prepare_stage).collect()
}

struct Machine<'a> {
    kernel: &'a Kernel,
    buffers: &'a [Bytes<'a>],
    order: Order,
    outer: Vec<i64>,
    inner: Vec<i64>,
    /// What is visible now.
    values: Vec<Option<Scalar>>,
    /// Accumulators, in the type that sums are formed in.
    sums: Vec<Option<Scalar>>,
    locals: Vec<Vec<Cell<u8>>>,
    faults: Vec<FaultRecord>,
}

impl Machine<'_> {
    fn run_point(&mut self, stages: &[ReadyStage<'_>]) -> Result<(), EvalError> {
        self.values.fill(None);
        for cell in self.locals.iter().flatten() {
            cell.set(GARBAGE);
        }
        stages.iter().try_for_each(|s| self.run_stage(s))
    }

    fn run_stage(&mut self, ready: &ReadyStage<'_>) -> Result<(), EvalError> {
        let accumulators = || {
            let insts = ready.stage.insts.iter();
            insts.filter_map(|i| match (&i.op, i.result) {
                (InstOp::Accumulate(kind, _), Some(v)) => Some((*kind, v)),
                _ => None,
            })
        };
        for (kind, v) in accumulators() {
            let start = scalar_ops::identity(kind, scalar_ops::accumulator(self.dtype(v)?));
            self.sums[v.0 as usize] = Some(defined(start, "an accumulation")?);
        }
        let order = if ready.stage.ordered {
            Order::RowMajor
        } else {
            self.order
        };
        self.inner = vec![0; ready.extents.len()];
        for point in order.visit(count_points(&ready.extents)?) {
            self.forget(ready.stage);
            place(point, &ready.extents, &mut self.inner);
            ready
                .insts
                .iter()
                .try_for_each(|r| self.run_inst(r, ready.stage.ordered))?;
        }
        if !ready.stage.ranges.is_empty() {
            self.forget(ready.stage);
        }
        for (_, v) in accumulators() {
            let dtype = self.dtype(v)?;
            let sum = self.sums[v.0 as usize].map(|s| scalar_ops::cast(s, dtype));
            self.values[v.0 as usize] = sum;
        }
        Ok(())
    }

    /// Makes the stage's values invisible: they belong to one point.
    fn forget(&mut self, stage: &Stage) {
        for v in stage.insts.iter().filter_map(|i| i.result) {
            if let Some(value) = self.values.get_mut(v.0 as usize) {
                *value = None;
            }
        }
    }

    fn dtype(&self, v: ValueId) -> Result<DType, EvalError> {
        let known = self.kernel.values.get(v.0 as usize).copied();
        known.map_or_else(|| malformed(format!("there is no value {}", v.0)), Ok)
    }

    fn value(&self, v: ValueId) -> Result<Scalar, EvalError> {
        let visible = self.values.get(v.0 as usize).copied().flatten();
        visible.map_or_else(
            || malformed(format!("value {} is not visible where it is used", v.0)),
            Ok,
        )
    }

    fn holds(&self, guard: Option<ValueId>) -> Result<bool, EvalError> {
        guard.map_or(Ok(true), |g| Ok(self.value(g)?.bits() != 0))
    }

    fn run_inst(&mut self, ready: &Ready<'_>, ordered: bool) -> Result<(), EvalError> {
        let Some(result) = ready.inst.result else {
            return self.store(ready);
        };
        let dtype = self.dtype(result)?;
        if let InstOp::Accumulate(kind, x) = ready.inst.op {
            return self.accumulate(kind, x, result, ordered);
        }
        let value = self.compute(ready, dtype)?;
        if value.dtype() != dtype {
            return malformed(format!(
                "value {} is declared {dtype} and computed as {}",
                result.0,
                value.dtype()
            ));
        }
        self.values[result.0 as usize] = Some(value);
        Ok(())
    }

    fn accumulate(
        &mut self,
        kind: Combine,
        x: ValueId,
        result: ValueId,
        ordered: bool,
    ) -> Result<(), EvalError> {
        let (dtype, x) = (self.dtype(result)?, self.value(x)?);
        if x.dtype() != dtype {
            return malformed(format!("{} is accumulated as {dtype}", x.dtype()));
        }
        let sum = &mut self.sums[result.0 as usize];
        let next = sum.and_then(|sum| {
            let wide = scalar_ops::cast(x, sum.dtype());
            scalar_ops::combine(kind, sum, wide)
        });
        let next = defined(next, "an accumulation")?;
        *sum = Some(next);
        if ordered {
            self.values[result.0 as usize] = Some(scalar_ops::cast(next, dtype));
        }
        Ok(())
    }

    fn compute(&mut self, ready: &Ready<'_>, dtype: DType) -> Result<Scalar, EvalError> {
        let int = |x: i64| Scalar::from_i64(DType::I64, x);
        let boolean = |x: bool| Scalar::from_i64(DType::Bool, i64::from(x));
        match &ready.inst.op {
            InstOp::Const(c) => Ok(*c),
            InstOp::Index(_) => Ok(int(ready.index.eval(self)?)),
            InstOp::InRange { .. } => {
                let index = ready.index.eval(self)?;
                Ok(boolean(ready.lo <= index && index < ready.hi))
            }
            InstOp::Load { guard, .. } if !self.holds(*guard)? => Ok(Scalar::from_bits(dtype, 0)),
            InstOp::Load { .. } | InstOp::LoadLocal { .. } => {
                let (memory, element, at) = self.locate(ready)?;
                Ok(read(memory, element, at))
            }
            InstOp::Unary(f, x) => defined(scalar_ops::unary(*f, self.value(*x)?), f.name()),
            InstOp::Binary(f, a, b) => {
                let (a, b) = (self.value(*a)?, self.value(*b)?);
                defined(scalar_ops::binary(*f, a, b), f.name())
            }
            InstOp::Compare(p, a, b) => {
                let (a, b) = (self.value(*a)?, self.value(*b)?);
                Ok(boolean(defined(scalar_ops::compare(*p, a, b), p.name())?))
            }
            InstOp::Select(c, a, b) => self.value(if self.holds(Some(*c))? { *a } else { *b }),
            InstOp::Cast(x) => Ok(scalar_ops::cast(self.value(*x)?, dtype)),
            InstOp::Bitcast(x) => defined(scalar_ops::bitcast(self.value(*x)?, dtype), "bitcast"),
            InstOp::Random {
                seed,
                stream,
                element,
            } => {
                let bits = |v: ValueId| Ok(self.value(v)?.bits() as u64);
                let random =
                    scalar_ops::random(dtype, bits(*seed)?, bits(*stream)?, bits(*element)?);
                defined(random, "random")
            }
            InstOp::CheckIndex {
                value,
                fault,
                guard,
                ..
            } => {
                let (value, bound) = (self.value(*value)?.as_i64(), ready.hi);
                if !(0..bound).contains(&value) && self.holds(*guard)? {
                    self.fault(*fault, value, bound);
                }
                Ok(int(value.min(bound.saturating_sub(1)).max(0)))
            }
            InstOp::CheckDivisor { value, fault } => self.divisor(*value, *fault),
            InstOp::Store { .. } | InstOp::StoreLocal { .. } | InstOp::Accumulate(..) => {
                malformed("a store has a result".into())
            }
        }
    }

    fn divisor(&mut self, value: ValueId, fault: u32) -> Result<Scalar, EvalError> {
        let value = self.value(value)?;
        if value.bits() != 0 {
            return Ok(value);
        }
        self.fault(fault, 0, 0);
        Ok(Scalar::from_i64(value.dtype(), 1))
    }

    fn fault(&mut self, fault: u32, value: i64, bound: i64) {
        self.faults.push(FaultRecord {
            fault,
            value,
            bound,
        });
    }

    fn store(&self, ready: &Ready<'_>) -> Result<(), EvalError> {
        let (value, combine) = match &ready.inst.op {
            InstOp::Store { guard, .. } if !self.holds(*guard)? => return Ok(()),
            InstOp::Store { value, combine, .. } => (*value, *combine),
            InstOp::StoreLocal { value, .. } => (*value, None),
            other => return malformed(format!("{other:?} has no result")),
        };
        let mut value = self.value(value)?;
        let (memory, element, at) = self.locate(ready)?;
        if let Some(kind) = combine {
            let wide = |x| scalar_ops::cast(x, element.compute());
            let old = wide(read(memory, element, at));
            let sum = defined(scalar_ops::combine(kind, old, wide(value)), kind.name())?;
            value = scalar_ops::cast(sum, element);
        }
        if value.dtype() != element {
            return malformed(format!("{} is stored as {element}", value.dtype()));
        }
        for (cell, byte) in memory[at..]
            .iter()
            .zip(value.bits().to_le_bytes())
            .take(element.size())
        {
            cell.set(byte);
        }
        Ok(())
    }

    /// Memory, element type and byte position that a load or store addresses.
    fn locate(&self, ready: &Ready<'_>) -> Result<(Bytes<'_>, DType, usize), EvalError> {
        let (number, found, forbidden) = match &ready.inst.op {
            InstOp::Load { buffer, .. } => (buffer.0, self.buffer(buffer.0), Some(Access::Write)),
            InstOp::Store { buffer, .. } => (buffer.0, self.buffer(buffer.0), Some(Access::Read)),
            InstOp::LoadLocal { local, .. } | InstOp::StoreLocal { local, .. } => {
                (local.0, self.local(local.0), None)
            }
            other => return malformed(format!("{other:?} has no memory")),
        };
        let name = || {
            let kind = if forbidden.is_some() {
                "buffer"
            } else {
                "local"
            };
            format!("{kind} {number}")
        };
        let Some((memory, dtype, access)) = found else {
            return malformed(format!("there is no {}", name()));
        };
        if forbidden == Some(access) {
            return malformed(format!("{} is declared {access:?}", name()));
        }
        let (index, len) = (ready.index.eval(self)?, memory.len() / dtype.size());
        match usize::try_from(index) {
            Ok(i) if i < len => Ok((memory, dtype, i * dtype.size())),
            _ => Err(EvalError::OutOfBounds {
                memory: name(),
                index,
                len,
            }),
        }
    }

    fn buffer(&self, number: u32) -> Option<(Bytes<'_>, DType, Access)> {
        let decl = self.kernel.buffers.get(number as usize)?;
        Some((self.buffers[number as usize], decl.dtype, decl.access))
    }

    fn local(&self, number: u32) -> Option<(Bytes<'_>, DType, Access)> {
        let decl = self.kernel.locals.get(number as usize)?;
        Some((&self.locals[number as usize], decl.dtype, Access::ReadWrite))
    }
}

fn defined<T>(value: Option<T>, what: &str) -> Result<T, EvalError> {
    value.map_or_else(
        || malformed(format!("{what} is not defined on its operands' types")),
        Ok,
    )
}

/// The element at byte `at`.
pub(crate) fn read(memory: Bytes<'_>, dtype: DType, at: usize) -> Scalar {
    let mut bytes = [0; 16];
    for (byte, cell) in bytes.iter_mut().zip(&memory[at..at + dtype.size()]) {
        *byte = cell.get();
    }
    Scalar::from_bits(dtype, u128::from_le_bytes(bytes))
}
