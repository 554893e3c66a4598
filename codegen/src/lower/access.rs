//! Loads and stores of buffers and locals.

use super::analyse::Form;
use super::{LaneLoop, LocalMemory, Lowerer, Result, Slot};
use crate::CodegenError;
use crate::vector::{Class, MemAccess, Reg, Scalar};
use lazulite_ir::{BufferRef, Combine, DType, Dim, IndexExpr, LocalRef, ValueId};
use smallvec::SmallVec;

/// Locals start at multiples of this.
const LOCAL_ALIGN: i64 = 64;

/// A store instruction of the kernel.
pub(super) struct Store<'a> {
    pub buffer: BufferRef,
    pub index: &'a IndexExpr,
    pub value: ValueId,
    pub combine: Option<Combine>,
    pub guard: Option<ValueId>,
}

impl Lowerer<'_> {
    /// Lays out the locals behind the pointer that follows the buffers, and returns their size. With the
    /// last outer range along the lanes, all points of a pack lie side by side.
    pub(super) fn place_locals(&mut self) -> Result<Dim> {
        let mut end = Dim::ZERO;
        if self.kernel.locals.is_empty() {
            return Ok(end);
        }
        let base = self.b.buffer(self.kernel.buffers.len() as u32);
        let points = match self.lane_loop {
            LaneLoop::Outer(_) => self.outer_points(),
            LaneLoop::None | LaneLoop::Inner => 1,
        };
        for local in &self.kernel.locals {
            let offset = self.dim(&end);
            let address = self.b.s_add(base, offset);
            self.locals.push(LocalMemory { address, points });
            let bytes = i64::from(points) * local.dtype.size() as i64;
            let blocks = local
                .len
                .mul(&Dim::constant(bytes))?
                .add(&Dim::constant(LOCAL_ALIGN - 1))?
                .floor_div(&Dim::constant(LOCAL_ALIGN))?;
            end = end.add(&blocks.mul(&Dim::constant(LOCAL_ALIGN))?)?;
        }
        Ok(end)
    }

    /// The element type under which memory of `dtype` is accessed for a value in `form`.
    fn mem(dtype: DType, form: Form) -> DType {
        match form {
            Form::Natural => dtype,
            Form::Bits => DType::U16,
        }
    }

    pub(super) fn load(
        &mut self,
        result: ValueId,
        varies: bool,
        buffer: BufferRef,
        index: &IndexExpr,
        guard: Option<ValueId>,
    ) -> Result<Slot> {
        let dtype = self
            .kernel
            .buffers
            .get(buffer.0 as usize)
            .ok_or_else(|| CodegenError::Malformed(format!("there is no buffer {}", buffer.0)))?
            .dtype;
        let base = self.b.buffer(buffer.0);
        let mem = Self::mem(dtype, self.analysis.form(result));
        self.each_copy(varies, |l, copy, lanes| {
            let (address, access) = l.address(base, index, dtype.size() as i64, copy)?;
            let Some(guard) = guard else {
                return Ok(l.load_lanes(mem, lanes, address, access, None));
            };
            if lanes == 1 || l.varies(guard) {
                let mask = l.get(guard, copy, lanes)?;
                return Ok(l.load_lanes(mem, lanes, address, access, Some(mask)));
            }
            // All lanes or none: the guard is a branch.
            let condition = l.get(guard, copy, 1)?;
            let zero = l.b.const_bits(Class::of(mem), lanes, 0);
            let mask = l.within(lanes, None);
            let [loaded] = l.b.patch(condition, [zero], |b| {
                [b.load(mem, lanes, address, placed(access, lanes), mask)]
            });
            Ok(loaded)
        })
    }

    pub(super) fn load_lanes(
        &mut self,
        mem: DType,
        lanes: u32,
        address: Scalar,
        access: MemAccess,
        mask: Option<Reg>,
    ) -> Reg {
        let mask = self.within(lanes, mask);
        self.b
            .load(mem, lanes, address, placed(access, lanes), mask)
    }

    /// One register per copy if the instruction varies between lanes, else one.
    pub(super) fn each_copy(
        &mut self,
        varies: bool,
        mut f: impl FnMut(&mut Self, usize, u32) -> Result<Reg>,
    ) -> Result<Slot> {
        if !varies {
            return Ok(Slot::Uniform(f(self, 0, 1)?));
        }
        let (copies, lanes) = (self.pack.copies as usize, self.pack.lanes);
        let regs: SmallVec<[Reg; 4]> = (0..copies)
            .map(|copy| f(self, copy, lanes))
            .collect::<Result<_>>()?;
        Ok(Slot::Lanes(regs))
    }

    pub(super) fn store(&mut self, varies: bool, s: &Store<'_>) -> Result<()> {
        let dtype = self
            .kernel
            .buffers
            .get(s.buffer.0 as usize)
            .ok_or_else(|| CodegenError::Malformed(format!("there is no buffer {}", s.buffer.0)))?
            .dtype;
        let base = self.b.buffer(s.buffer.0);
        let mem = Self::mem(dtype, self.analysis.form(s.value));
        let (copies, lanes) = match varies {
            true => (self.pack.copies as usize, self.pack.lanes),
            false => (1, 1),
        };
        for copy in 0..copies {
            let (address, access) = self.address(base, s.index, dtype.size() as i64, copy)?;
            let access = match (access, lanes) {
                (MemAccess::Broadcast, 1) => MemAccess::Contiguous,
                // All lanes at one place: the last one stays.
                (MemAccess::Broadcast, _) => MemAccess::Strided(self.b.s_const(0)),
                (access, _) => access,
            };
            let value = self.get(s.value, copy, lanes)?;
            let (condition, mask) = match s.guard {
                Some(guard) if lanes > 1 && self.varies(guard) => {
                    (None, Some(self.get(guard, copy, lanes)?))
                }
                Some(guard) => (Some(self.get(guard, copy, 1)?), None),
                None => (None, None),
            };
            let mask = self.within(lanes, mask);
            let value = match s.combine {
                Some(combine) => {
                    let all = match condition {
                        Some(c) if lanes > 1 => Some(self.b.splat_lane(c)),
                        condition => condition,
                    };
                    let read = match (mask, all) {
                        (Some(mask), Some(all)) => Some(self.b.and(mask, all)),
                        (mask, all) => mask.or(all),
                    };
                    let old = self.b.load(mem, lanes, address, access, read);
                    self.combine(combine, dtype, old, value)?
                }
                None => value,
            };
            match condition {
                Some(condition) => self.b.if_any(condition, |b| {
                    b.store(mem, address, access, value, mask, false);
                }),
                None => {
                    let streamed =
                        access == MemAccess::Contiguous && self.is_streamed(s.buffer, lanes);
                    self.b.store(mem, address, access, value, mask, streamed);
                }
            }
        }
        Ok(())
    }

    /// Address and placement of a local's elements for one copy.
    fn local_address(
        &mut self,
        local: LocalRef,
        index: &IndexExpr,
        copy: usize,
    ) -> Result<(Scalar, MemAccess, DType)> {
        let (Some(memory), Some(decl)) = (
            self.locals.get(local.0 as usize),
            self.kernel.locals.get(local.0 as usize),
        ) else {
            return Err(CodegenError::Malformed(format!(
                "there is no local {}",
                local.0
            )));
        };
        let (base, points) = (memory.address, memory.points);
        let size = decl.dtype.size() as i64;
        if points == 1 {
            let (address, access) = self.address(base, index, size, copy)?;
            return Ok((address, access, decl.dtype));
        }
        let lanes = self.pack.lanes;
        let skip = self.b.s_const(copy as i64 * i64::from(lanes) * size);
        let base = self.b.s_add(base, skip);
        let scaled = index.scale(&Dim::constant(i64::from(points)))?;
        let (address, access) = self.address(base, &scaled, size, copy)?;
        let access = match access {
            MemAccess::Broadcast => MemAccess::Contiguous,
            MemAccess::Contiguous | MemAccess::Strided(_) => {
                let class = self.lane_class(&scaled);
                let element = self.index_lanes(&scaled, copy, class)?;
                return self.local_gather(base, element, decl.dtype);
            }
            MemAccess::Indexed(element) => {
                return self.local_gather(address, element, decl.dtype);
            }
        };
        Ok((address, access, decl.dtype))
    }

    /// Lane `i` at its own element's place number `i`.
    fn local_gather(
        &mut self,
        base: Scalar,
        element: Reg,
        dtype: DType,
    ) -> Result<(Scalar, MemAccess, DType)> {
        let element = match self.b.class(element) {
            Class::I64 => element,
            _ => self
                .b
                .convert(crate::vector::Conv::Int, Class::I64, element),
        };
        let zero = self.b.s_const(0);
        let places = self.b.ramp(Class::I64, self.pack.lanes, zero, 1);
        let element = self.b.add(element, places);
        Ok((base, MemAccess::Indexed(element), dtype))
    }

    pub(super) fn load_local(
        &mut self,
        result: ValueId,
        varies: bool,
        local: LocalRef,
        index: &IndexExpr,
    ) -> Result<Slot> {
        let form = self.analysis.form(result);
        self.each_copy(varies, |l, copy, lanes| {
            let (address, access, dtype) = l.local_address(local, index, copy)?;
            Ok(l.load_lanes(Self::mem(dtype, form), lanes, address, access, None))
        })
    }

    pub(super) fn store_local(
        &mut self,
        varies: bool,
        local: LocalRef,
        index: &IndexExpr,
        value: ValueId,
    ) -> Result<()> {
        let form = self.analysis.form(value);
        let (copies, lanes) = match varies {
            true => (self.pack.copies as usize, self.pack.lanes),
            false => (1, 1),
        };
        for copy in 0..copies {
            let (address, access, dtype) = self.local_address(local, index, copy)?;
            let access = match (access, lanes) {
                (MemAccess::Broadcast, 1) => MemAccess::Contiguous,
                (MemAccess::Broadcast, _) => MemAccess::Strided(self.b.s_const(0)),
                (access, _) => access,
            };
            let value = self.get(value, copy, lanes)?;
            let (mem, mask) = (Self::mem(dtype, form), self.within(lanes, None));
            self.b.store(mem, address, access, value, mask, false);
        }
        Ok(())
    }
}

/// For one lane every placement is the same.
fn placed(access: MemAccess, lanes: u32) -> MemAccess {
    match access {
        MemAccess::Broadcast if lanes == 1 => MemAccess::Contiguous,
        access => access,
    }
}
