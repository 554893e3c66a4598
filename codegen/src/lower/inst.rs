//! Single instructions.

use super::access::Store;
use super::analyse::Form;
use super::ops::register_bits;
use super::{Lowerer, Result, Slot, random};
use crate::CodegenError;
use crate::vector::{Class, Conv, Reg};
use lazulite_ir::{Binary, DType, Dim, IndexExpr, InstOp, Scalar, ValueId};

impl<'k> Lowerer<'k> {
    /// Writes one instruction for the present pack.
    pub(super) fn inst(&mut self, stage: usize, number: usize) -> Result<()> {
        let kernel = self.kernel;
        let inst = &kernel.stages[stage].insts[number];
        let varies = self.analysis.varies(stage, number);
        match (&inst.op, inst.result) {
            (
                InstOp::Store {
                    buffer,
                    index,
                    value,
                    combine,
                    guard,
                },
                _,
            ) => self.store(
                varies,
                &Store {
                    buffer: *buffer,
                    index,
                    value: *value,
                    combine: *combine,
                    guard: *guard,
                },
            ),
            (
                InstOp::StoreLocal {
                    local,
                    index,
                    value,
                },
                _,
            ) => self.store_local(varies, *local, index, *value),
            (op, Some(result)) => {
                let slot = self.value(op, result, varies)?;
                self.values[result.0 as usize] = slot;
                Ok(())
            }
            (_, None) => Err(CodegenError::Malformed(
                "an instruction other than a store without result".into(),
            )),
        }
    }

    /// The value of an instruction that is not a store.
    fn value(&mut self, op: &'k InstOp, result: ValueId, varies: bool) -> Result<Slot> {
        let dtype = self.dtype(result);
        match op {
            InstOp::Const(c) => Ok(Slot::Const(self.const_bits(result, *c))),
            InstOp::Index(e) => self.each_copy(varies, |l, copy, lanes| l.index(e, copy, lanes)),
            InstOp::InRange { index, lo, hi } => self.each_copy(varies, |l, copy, lanes| {
                l.in_range(index, lo, hi, copy, lanes)
            }),
            InstOp::Load {
                buffer,
                index,
                guard,
            } => self.load(result, varies, *buffer, index, *guard),
            InstOp::LoadLocal { local, index } => self.load_local(result, varies, *local, index),
            InstOp::Unary(..)
            | InstOp::Binary(..)
            | InstOp::Compare(..)
            | InstOp::Select(..)
            | InstOp::Cast(_)
            | InstOp::Bitcast(_) => self.function(op, result, varies),
            InstOp::Random {
                seed,
                stream,
                element,
            } => self.each_copy(varies, |l, copy, lanes| {
                let seed = l.get(*seed, copy, lanes)?;
                let stream = l.get(*stream, copy, lanes)?;
                let element = l.get(*element, copy, lanes)?;
                Ok(random::random(&mut l.b, dtype, seed, stream, element))
            }),
            InstOp::CheckIndex {
                value,
                bound,
                fault,
                guard,
            } => self.each_copy(varies, |l, copy, lanes| {
                let value = l.get(*value, copy, lanes)?;
                let guard = guard.map(|g| l.get(g, copy, lanes)).transpose()?;
                Ok(l.check_index(value, bound, *fault, guard))
            }),
            InstOp::CheckDivisor { value, fault } => self.each_copy(varies, |l, copy, lanes| {
                let value = l.get(*value, copy, lanes)?;
                Ok(l.check_divisor(value, *fault))
            }),
            InstOp::Accumulate(_, x) => self.accumulate(result, varies, *x),
            InstOp::Store { .. } | InstOp::StoreLocal { .. } => {
                Err(CodegenError::Malformed("a store with a result".into()))
            }
        }
    }

    /// The value of a function of one element or several.
    fn function(&mut self, op: &InstOp, result: ValueId, varies: bool) -> Result<Slot> {
        let dtype = self.dtype(result);
        match op {
            InstOp::Unary(f, x) => self.each_copy(varies, |l, copy, lanes| {
                let x = l.get(*x, copy, lanes)?;
                l.unary(*f, dtype, x)
            }),
            InstOp::Binary(Binary::Add, x, y)
                if self.contract && matches!(dtype, DType::F32 | DType::F64) =>
            {
                let sum = self.analysis.product_sum(self.kernel, [*x, *y]);
                self.each_copy(varies, |l, copy, lanes| match sum {
                    Some(([a, b], rest)) => {
                        let (a, b) = (l.get(a, copy, lanes)?, l.get(b, copy, lanes)?);
                        let rest = l.get(rest, copy, lanes)?;
                        Ok(l.b.fma(a, b, rest))
                    }
                    None => {
                        let (x, y) = (l.get(*x, copy, lanes)?, l.get(*y, copy, lanes)?);
                        l.binary(Binary::Add, dtype, x, y)
                    }
                })
            }
            InstOp::Binary(Binary::Div, x, y) => self.each_copy(varies, |l, copy, lanes| {
                if l.takes_reciprocal(dtype, *y, lanes) {
                    let (x, by) = (l.get(*x, copy, lanes)?, l.get(*y, copy, 1)?);
                    return Ok(l.quotient(x, by));
                }
                let (x, y) = (l.get(*x, copy, lanes)?, l.get(*y, copy, lanes)?);
                l.binary(Binary::Div, dtype, x, y)
            }),
            InstOp::Binary(f, x, y) => self.each_copy(varies, |l, copy, lanes| {
                let (x, y) = (l.get(*x, copy, lanes)?, l.get(*y, copy, lanes)?);
                l.binary(*f, dtype, x, y)
            }),
            InstOp::Compare(f, x, y) => {
                let operand = self.dtype(*x);
                self.each_copy(varies, |l, copy, lanes| {
                    let (x, y) = (l.get(*x, copy, lanes)?, l.get(*y, copy, lanes)?);
                    Ok(l.compare(*f, operand, x, y))
                })
            }
            InstOp::Select(c, x, y) => self.each_copy(varies, |l, copy, lanes| {
                let c = l.get(*c, copy, lanes)?;
                let (x, y) = (l.get(*x, copy, lanes)?, l.get(*y, copy, lanes)?);
                Ok(l.b.select(c, x, y))
            }),
            InstOp::Cast(x) => self.cast_value(result, *x, varies),
            InstOp::Bitcast(x) => self.each_copy(varies, |l, copy, lanes| {
                let r = l.get(*x, copy, lanes)?;
                l.bitcast(result, *x, r)
            }),
            InstOp::Const(_)
            | InstOp::Index(_)
            | InstOp::InRange { .. }
            | InstOp::Load { .. }
            | InstOp::LoadLocal { .. }
            | InstOp::Store { .. }
            | InstOp::StoreLocal { .. }
            | InstOp::Random { .. }
            | InstOp::CheckIndex { .. }
            | InstOp::CheckDivisor { .. }
            | InstOp::Accumulate(..) => {
                Err(CodegenError::Malformed("not a function of elements".into()))
            }
        }
    }

    /// A conversion; of a small index by way of i32, which vectors convert quickly.
    fn cast_value(&mut self, result: ValueId, x: ValueId, varies: bool) -> Result<Slot> {
        let from = self.dtype(x);
        let index = self.analysis.index_of(self.kernel, x);
        self.each_copy(varies, |l, copy, lanes| match index {
            Some(e) if lanes > 1 && l.lane_class(e) == Class::I32 => {
                let x = l.index_lanes(e, copy, Class::I32)?;
                l.cast(result, DType::I32, x)
            }
            _ => {
                let x = l.get(x, copy, lanes)?;
                l.cast(result, from, x)
            }
        })
    }

    fn const_bits(&self, result: ValueId, c: Scalar) -> u64 {
        match self.analysis.form(result) {
            Form::Natural => register_bits(c),
            Form::Bits => c.bits() as u64,
        }
    }

    /// An index expression as an i64 value.
    fn index(&mut self, e: &IndexExpr, copy: usize, lanes: u32) -> Result<Reg> {
        if lanes == 1 {
            let s = self.index_scalar(e)?;
            return Ok(self.b.splat(Class::I64, 1, s));
        }
        // Narrow arithmetic where it suffices; what is done with the widened value may undo the widening.
        let class = self.lane_class(e);
        let r = self.index_lanes(e, copy, class)?;
        Ok(match class {
            Class::I32 => self.b.convert(Conv::Int, Class::I64, r),
            _ => r,
        })
    }

    /// `lo <= e < hi` as one unsigned comparison of the distance from `lo`.
    fn in_range(
        &mut self,
        e: &IndexExpr,
        lo: &Dim,
        hi: &Dim,
        copy: usize,
        lanes: u32,
    ) -> Result<Reg> {
        let zero = Dim::ZERO;
        let distance = e.offset(&zero.sub(lo)?)?;
        // An empty range may be one that ends before it starts.
        let span = hi.sub(lo)?.maximum(&zero);
        let span_fits = span.bounds().1.is_some_and(|s| s < i64::from(i32::MAX));
        let class = match self.lane_class(&distance) {
            Class::I32 if span_fits => Class::I32,
            _ => Class::I64,
        };
        let span = self.dim(&span);
        let span = self.b.splat(class, lanes, span);
        let at = match lanes {
            1 => {
                let at = self.index_scalar(&distance)?;
                self.b.splat(class, 1, at)
            }
            _ => self.index_lanes(&distance, copy, class)?,
        };
        Ok(self.b.lt_u(at, span))
    }

    fn check_index(&mut self, value: Reg, bound: &Dim, fault: u32, guard: Option<Reg>) -> Reg {
        let (class, lanes) = self.b.shape(value);
        let limit = self.dim(bound);
        let guard = self.within(lanes, guard);
        let b = &mut self.b;
        let above = b.splat(class, lanes, limit);
        let inside = b.lt_u(value, above);
        let outside = b.not(inside);
        let faulty = match guard {
            Some(guard) => b.and(outside, guard),
            None => outside,
        };
        b.fault(faulty, fault, value, limit);
        let (zero, one) = (b.int_like(value, 0), b.int_like(value, 1));
        let last = b.sub(above, one);
        let clamped = b.min(value, last);
        b.max(clamped, zero)
    }

    fn check_divisor(&mut self, value: Reg, fault: u32) -> Reg {
        let (_, lanes) = self.b.shape(value);
        let mask = self.within(lanes, None);
        let b = &mut self.b;
        let (zero, one) = (b.bits_like(value, 0), b.bits_like(value, 1));
        let bad = b.eq(value, zero);
        let (nothing, no_bound) = (b.const_bits(Class::I64, lanes, 0), b.s_const(0));
        let faulty = match mask {
            Some(mask) => b.and(bad, mask),
            None => bad,
        };
        b.fault(faulty, fault, nothing, no_bound);
        b.select(bad, one, value)
    }
}
