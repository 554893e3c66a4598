//! The kernel: one fused loop nest. Scheduling produces it, code generators consume it.
//!
//! A kernel runs its `outer` ranges in any order and in parallel, in boxes chosen by the runtime.
//! For each outer point it runs the stages one after the other. A stage runs its own inner
//! `ranges` in row-major order (or in any order unless `ordered`), evaluating `insts` at each point. Values computed with
//! [`InstOp::Accumulate`] keep their last value after the stage and may be used by later stages,
//! as may values of a stage without ranges.

mod analysis;
mod coords;
mod divide;
pub(crate) mod eval;
#[cfg(test)]
mod eval_tests;
mod index;
#[cfg(test)]
mod index_tests;
mod inst;

pub use analysis::{Traffic, Work};
pub use coords::{delinearize, linearize, reshape_coords};
pub use eval::{Bytes, EvalError, FaultRecord, Order, as_cells, eval_kernel};
pub(crate) use index::merge_terms;
pub use index::{IndexAtom, IndexExpr, IndexTerm, Ranges, Var};

use crate::{Binary, Combine, DType, Dim, Predicate, Scalar, Unary};

/// A value of a kernel: an index into [`Kernel::values`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueId(pub u32);

/// A buffer parameter: an index into [`Kernel::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct BufferRef(pub u32);

/// A per-point temporary: an index into [`Kernel::locals`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LocalRef(pub u32);

/// One fused loop nest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Kernel {
    /// Buffer parameters, inputs and outputs.
    pub buffers: Vec<BufferDecl>,
    /// Extents of the parallel ranges, outermost first.
    pub outer: Vec<Dim>,
    /// Which loop runs along vector lanes.
    pub lanes: Lanes,
    /// Scratch memory private to one outer point (one lane, with [`Lanes::Outer`]).
    pub locals: Vec<LocalDecl>,
    /// Element type of every value.
    pub values: Vec<DType>,
    /// Executed in order for each outer point.
    pub stages: Vec<Stage>,
}

impl Kernel {
    /// Calls `visit` for every size in the kernel, always in the same order.
    pub fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        self.outer.iter().for_each(&mut *visit);
        self.locals.iter().for_each(|l| visit(&l.len));
        for stage in &self.stages {
            stage.ranges.iter().for_each(&mut *visit);
            for inst in &stage.insts {
                if let Some(index) = inst.op.index() {
                    index.visit_dims(visit);
                }
                match &inst.op {
                    InstOp::InRange { lo, hi, .. } => {
                        visit(lo);
                        visit(hi);
                    }
                    InstOp::CheckIndex { bound, .. } => visit(bound),
                    _ => {}
                }
            }
        }
    }

    /// Whether running it may record a fault.
    pub fn can_fault(&self) -> bool {
        let mut insts = self.stages.iter().flat_map(|s| &s.insts);
        insts.any(|i| {
            matches!(
                i.op,
                InstOp::CheckIndex { .. } | InstOp::CheckDivisor { .. }
            )
        })
    }
}

/// A buffer parameter. Elements are addressed by a linear index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BufferDecl {
    /// Element type (never complex: complex programs are split into real parts before).
    pub dtype: DType,
    /// How the kernel uses it.
    pub access: Access,
}

/// How a kernel uses a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Only loads.
    Read,
    /// Only stores.
    Write,
    /// Both (scatter).
    ReadWrite,
}

/// Scratch memory of `len` elements.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LocalDecl {
    /// Element type.
    pub dtype: DType,
    /// Number of elements.
    pub len: Dim,
}

/// Which loop runs along vector lanes. The choice never changes results of kernels whose stages
/// are not ordered, except for the order of summation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lanes {
    /// The last outer range.
    Outer,
    /// The last range of each stage.
    Inner,
    /// None: scalar code.
    None,
}

/// A loop nest inside a kernel.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stage {
    /// Extents, outermost first.
    pub ranges: Vec<Dim>,
    /// Points must be visited one after the other in row-major order (last range fastest): the body
    /// uses running accumulator values, or stores that may hit the same element twice.
    pub ordered: bool,
    /// Run at every point, in order. Operands are values of this stage defined above, values of
    /// earlier stages without ranges, or accumulators of earlier stages.
    pub insts: Vec<Inst>,
}

/// An instruction; `result` is `None` for stores.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Inst {
    /// The value defined here.
    pub result: Option<ValueId>,
    /// What it does.
    pub op: InstOp,
}

/// What an instruction does. Scalar functions have the meaning of the graph operations of the same
/// name on the value's type; f16 and bf16 appear only in loads, stores, casts, bitcasts and constants.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum InstOp {
    /// A constant.
    Const(Scalar),
    /// An index expression as an i64.
    Index(IndexExpr),
    /// True where `lo <= index < hi` (a bool).
    InRange {
        /// The index.
        index: IndexExpr,
        /// Lower bound.
        lo: Dim,
        /// Upper bound, exclusive.
        hi: Dim,
    },
    /// An element of a buffer; where `guard` is false nothing is read and the value is zero.
    Load {
        /// From where.
        buffer: BufferRef,
        /// Linear element index.
        index: IndexExpr,
        /// Condition (a bool value).
        guard: Option<ValueId>,
    },
    /// An element of a local.
    LoadLocal {
        /// From where.
        local: LocalRef,
        /// Linear element index.
        index: IndexExpr,
    },
    /// Writes an element; nothing happens where `guard` is false.
    Store {
        /// To where.
        buffer: BufferRef,
        /// Linear element index.
        index: IndexExpr,
        /// What.
        value: ValueId,
        /// Combined with the old element, when given (in the buffer's `compute` type).
        combine: Option<Combine>,
        /// Condition (a bool value).
        guard: Option<ValueId>,
    },
    /// Writes an element of a local.
    StoreLocal {
        /// To where.
        local: LocalRef,
        /// Linear element index.
        index: IndexExpr,
        /// What.
        value: ValueId,
    },
    /// Function of one value.
    Unary(Unary, ValueId),
    /// Function of two values of the same type.
    Binary(Binary, ValueId, ValueId),
    /// Comparison; the result is bool.
    Compare(Predicate, ValueId, ValueId),
    /// Second where the first (bool) is true, else third.
    Select(ValueId, ValueId, ValueId),
    /// Conversion to the result's type.
    Cast(ValueId),
    /// The same bits as the result's type.
    Bitcast(ValueId),
    /// Random bits (u32 or u64) for an element: seed and stream are u64, element is i64.
    Random {
        /// Key.
        seed: ValueId,
        /// High half of the counter.
        stream: ValueId,
        /// Low half of the counter.
        element: ValueId,
    },
    /// `value` (an i64) clamped to `0..bound`; if it was outside, the fault `fault` is recorded with the
    /// value and the bound. With a bound of 0 the result is 0 and must only be used under a guard
    /// that is false.
    CheckIndex {
        /// The index.
        value: ValueId,
        /// Its bound.
        bound: Dim,
        /// Number of the fault in the plan's table.
        fault: u32,
        /// Only checked where this bool is true.
        guard: Option<ValueId>,
    },
    /// Records the fault `fault` where the integer `value` is zero; the result is the value, 1 where it is
    /// zero.
    CheckDivisor {
        /// The divisor.
        value: ValueId,
        /// Number of the fault in the plan's table.
        fault: u32,
    },
    /// Combines `value` into an accumulator that starts, at the beginning of the stage, with the
    /// combination's identity. Inside an ordered stage the result is the running value after this
    /// point; after the stage it is the value over all points. In other stages it may only be
    /// used after the stage.
    Accumulate(Combine, ValueId),
}
