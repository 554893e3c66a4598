//! Single instructions.

use super::ctype;
use super::emit::{Emitter, Result};
use super::nest;
use super::shape::{self, Team};
use crate::CodegenError;
use crate::lower::register_bits;
use crate::vector::Class;
use lazulite_ir::{Binary, Combine, DType, Dim, IndexExpr, Inst, InstOp, Scalar, ValueId};

impl Emitter<'_> {
    /// Writes one instruction.
    pub(super) fn inst(&mut self, inst: &Inst) -> Result<()> {
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
            ) => {
                let dtype = self.buffer_dtype(buffer.0)?;
                if let Some(var) = self.packed
                    && shape::writes_behind(self.kernel, &inst.op, var)
                {
                    let value = ctype::to_memory(dtype, &format!("v{}", value.0));
                    self.line(format!("behind{}[lane] = {value};", buffer.0));
                    return Ok(());
                }
                let place = format!("b{}[{}]", buffer.0, self.index(index)?);
                self.store(dtype, &place, *value, *combine, *guard)
            }
            (
                InstOp::StoreLocal {
                    local,
                    index,
                    value,
                },
                _,
            ) => {
                let dtype = self.local_dtype(local.0)?;
                let place = format!("l{}[{}]", local.0, self.index(index)?);
                self.store(dtype, &place, *value, None, None)
            }
            (InstOp::Accumulate(kind, x), Some(result)) => self.accumulate(*kind, *x, result),
            (op, Some(result)) => {
                let value = self.value(op, result)?;
                let ty = ctype::held(self.dtype(result)?);
                self.line(format!("const {ty} v{} = {value};", result.0));
                Ok(())
            }
            (_, None) => Err(CodegenError::Malformed(
                "an instruction other than a store without result".into(),
            )),
        }
    }

    fn buffer_dtype(&self, number: u32) -> Result<DType> {
        let known = self.kernel.buffers.get(number as usize);
        let known =
            known.ok_or_else(|| CodegenError::Malformed(format!("there is no buffer {number}")))?;
        Ok(known.dtype)
    }

    fn local_dtype(&self, number: u32) -> Result<DType> {
        let known = self.kernel.locals.get(number as usize);
        let known =
            known.ok_or_else(|| CodegenError::Malformed(format!("there is no local {number}")))?;
        Ok(known.dtype)
    }

    fn store(
        &mut self,
        dtype: DType,
        place: &str,
        value: ValueId,
        combine: Option<Combine>,
        guard: Option<ValueId>,
    ) -> Result<()> {
        let value = format!("v{}", value.0);
        let value = match combine {
            Some(kind) => {
                let function = self.combine(kind, dtype.compute())?;
                let old = ctype::to_held(dtype, place);
                let (old, new) = (ctype::widened(dtype, &old), ctype::widened(dtype, &value));
                ctype::narrowed(dtype, &format!("{function}({old}, {new})"))
            }
            None => value,
        };
        let value = ctype::to_memory(dtype, &value);
        let guard = guard.map(|g| format!("v{}", g.0));
        let some_idle = self.shape.team == Team::Column || self.shared_scan;
        let live = some_idle.then(|| "live".to_owned());
        let conditions: Vec<String> = live.into_iter().chain(guard).collect();
        let condition = match conditions.is_empty() {
            true => String::new(),
            false => format!("if ({}) ", conditions.join(" && ")),
        };
        self.line(format!("{condition}{place} = {value};"));
        Ok(())
    }

    /// One more value into an accumulator.
    fn accumulate(&mut self, kind: Combine, x: ValueId, result: ValueId) -> Result<()> {
        let dtype = self.dtype(result)?;
        let sum = format!("acc{}", result.0);
        if self.shared_scan {
            let (class, start) = (
                self.combining_class(kind, dtype.compute())?,
                nest::identity(kind, dtype)?,
            );
            let x = ctype::widened(dtype, &format!("v{}", x.0));
            let scan = format!("Team::template scan<{class}>(live ? {x} : {start}, {sum})");
            let (ty, value) = (ctype::held(dtype), ctype::narrowed(dtype, &scan));
            self.line(format!("const {ty} v{} = {value};", result.0));
            return Ok(());
        }
        let next = match self.factors(x) {
            Some((a, b)) if kind == Combine::Sum && matches!(dtype, DType::F32 | DType::F64) => {
                format!("lz_fma(v{}, v{}, {sum})", a.0, b.0)
            }
            _ => {
                let function = self.combine(kind, dtype.compute())?;
                let x = ctype::widened(dtype, &format!("v{}", x.0));
                format!("{function}({sum}, {x})")
            }
        };
        self.line(format!("{sum} = {next};"));
        if self.running {
            let (ty, value) = (ctype::held(dtype), ctype::narrowed(dtype, &sum));
            self.line(format!("const {ty} v{} = {value};", result.0));
        }
        Ok(())
    }

    /// The factors of a product of this stage.
    fn factors(&self, v: ValueId) -> Option<(ValueId, ValueId)> {
        let insts = &self.kernel.stages.get(self.stage)?.insts;
        let definition = insts.iter().find(|i| i.result == Some(v))?;
        match definition.op {
            InstOp::Binary(Binary::Mul, a, b) => Some((a, b)),
            _ => None,
        }
    }

    /// The value of an instruction, as an expression.
    fn value(&mut self, op: &InstOp, result: ValueId) -> Result<String> {
        let dtype = self.dtype(result)?;
        let one = |function: String, x: &ValueId| format!("{function}(v{})", x.0);
        let two =
            |function: String, a: &ValueId, b: &ValueId| format!("{function}(v{}, v{})", a.0, b.0);
        Ok(match op {
            InstOp::Const(c) => constant(dtype, *c),
            InstOp::Index(e) => format!("(u64)(i64)({})", self.index(e)?),
            InstOp::InRange { index, lo, hi } => self.in_range(index, lo, hi)?,
            InstOp::Load { .. } if self.is_ahead(op) => {
                ctype::to_held(dtype, &format!("ahead{}[lane]", result.0))
            }
            InstOp::Load {
                buffer,
                index,
                guard,
            } => {
                let element = match self.given.get(buffer.0 as usize) {
                    Some(true) => "given".to_owned(),
                    _ => {
                        let element = format!("b{}[{}]", buffer.0, self.index(index)?);
                        ctype::to_held(dtype, &element)
                    }
                };
                match guard {
                    Some(guard) => format!("v{} ? {element} : 0", guard.0),
                    None => element,
                }
            }
            InstOp::LoadLocal { local, index } => {
                let element = format!("l{}[{}]", local.0, self.index(index)?);
                ctype::to_held(dtype, &element)
            }
            InstOp::Unary(f, x) => one(self.unary(*f, dtype)?, x),
            InstOp::Binary(f, a, b) => two(self.binary(*f, dtype)?, a, b),
            InstOp::Compare(f, a, b) => {
                let operand = self.dtype(*a)?;
                two(self.compare(*f, operand)?, a, b)
            }
            InstOp::Select(c, a, b) => format!("v{} ? v{} : v{}", c.0, a.0, b.0),
            InstOp::Cast(x) => match self.dtype(*x)? {
                from if from == dtype => format!("v{}", x.0),
                from => one(self.cast(from, dtype)?, x),
            },
            InstOp::Bitcast(x) => match self.dtype(*x)? {
                from if from == dtype => format!("v{}", x.0),
                from => one(self.bitcast(from, dtype)?, x),
            },
            InstOp::Random {
                seed,
                stream,
                element,
            } => {
                let function = self.random(dtype)?;
                format!("{function}(v{}, v{}, v{})", seed.0, stream.0, element.0)
            }
            InstOp::CheckIndex {
                value,
                bound,
                fault,
                guard,
            } => self.check_index(*value, bound, *fault, *guard),
            InstOp::CheckDivisor { value, fault } => self.check_divisor(*value, *fault, dtype),
            InstOp::Store { .. } | InstOp::StoreLocal { .. } | InstOp::Accumulate(..) => {
                return Err(CodegenError::Malformed("a store with a result".into()));
            }
        })
    }

    fn is_ahead(&self, op: &InstOp) -> bool {
        self.packed
            .is_some_and(|var| shape::reads_ahead(self.kernel, op, var))
    }

    /// `lo <= index < hi` as one unsigned comparison of the distance from `lo`.
    fn in_range(&mut self, index: &IndexExpr, lo: &Dim, hi: &Dim) -> Result<String> {
        let distance = index.offset(&Dim::ZERO.sub(lo)?)?;
        // An empty range may be one that ends before it starts.
        let span = hi.sub(lo)?.maximum(&Dim::ZERO);
        let (distance, span) = (self.index(&distance)?, self.dim(&span));
        Ok(format!("lz_within((u64)(i64)({distance}), (u64){span})"))
    }

    fn check_index(
        &mut self,
        value: ValueId,
        bound: &Dim,
        fault: u32,
        guard: Option<ValueId>,
    ) -> String {
        let (value, bound) = (format!("v{}", value.0), self.dim(bound));
        let guard = guard.map(|g| format!("v{} && ", g.0)).unwrap_or_default();
        let code = u64::from(fault) + 1;
        self.line(format!(
            "lz_fault(status, {guard}!lz_within({value}, (u64){bound}), {code}ull, (i64){value}, {bound});"
        ));
        format!("(u64)lz_max(lz_min((i64){value}, (i64)({bound} - 1)), (i64)0)")
    }

    fn check_divisor(&mut self, value: ValueId, fault: u32, dtype: DType) -> String {
        let (value, ty) = (format!("v{}", value.0), ctype::held(dtype));
        let code = u64::from(fault) + 1;
        self.line(format!("lz_fault(status, {value} == 0, {code}ull, 0, 0);"));
        format!("{value} == 0 ? ({ty})1 : {value}")
    }
}

/// A constant as a held value.
fn constant(dtype: DType, c: Scalar) -> String {
    match dtype {
        DType::F16 | DType::BF16 => ctype::constant(Class::I32, c.bits() as u64),
        _ => ctype::constant(Class::of(dtype), register_bits(c)),
    }
}
