//! Loads and stores: what lies in memory as registers, and back, in every placement and under masks.
//!
//! Lanes that a mask excludes are never accessed: their address is exchanged for one of zeros
//! (loads) or of a dummy (stores).

use super::emit::{Emitter, malformed, plain};
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Class, Coding, MemAccess, Reg, Scalar};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use lazulite_ir::DType;
use smallvec::SmallVec;

/// An address: base and constant offset.
type Place = (Value, i32);

/// The class in which elements pass between memory and registers before they are converted.
fn raw_class(mem: DType) -> Result<Class, CodegenError> {
    Class::in_memory(mem).ok_or_else(|| malformed(format_args!("memory of {mem}")))
}

impl Emitter<'_> {
    /// What `Op::Load` yields.
    pub fn load(
        &mut self,
        kind: Kind,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        mask: Option<Reg>,
    ) -> Result<Val, CodegenError> {
        let raw = kind.with(raw_class(mem)?);
        if Class::of(mem) != kind.class {
            return Err(malformed(format_args!("{mem} loaded as {:?}", kind.class)));
        }
        let base = self.scalar(address)?;
        let mask = mask.map(|m| self.reg(m)).transpose()?;
        let value = match (access, mask) {
            (MemAccess::Broadcast, mask) if kind.full => self.load_broadcast(raw, mem, base, mask),
            (MemAccess::Contiguous, None) if kind.full => self.load_vector(raw, mem, base),
            (MemAccess::Contiguous, Some(mask)) if kind.full => {
                self.load_vector_masked(raw, mem, base, mask)?
            }
            (access, mask) => {
                let places = self.places(kind, mem, base, access)?;
                self.load_lanes(raw, mem, &places, mask)
            }
        };
        Ok(self.decoded(kind, mem, value))
    }

    /// The addresses of all lanes.
    fn places(
        &mut self,
        kind: Kind,
        mem: DType,
        base: Value,
        access: MemAccess,
    ) -> Result<SmallVec<[Place; 4]>, CodegenError> {
        let count = if kind.full { 4 } else { 1 };
        let size = mem.size() as i32;
        Ok(match access {
            MemAccess::Contiguous => (0..count).map(|i| (base, i * size)).collect(),
            MemAccess::Broadcast => (0..count).map(|_| (base, 0)).collect(),
            MemAccess::Strided(stride) => match self.known_scalar(stride) {
                Some(stride) if i32::try_from(stride).is_ok_and(|s| s.checked_mul(4).is_some()) => {
                    (0..count).map(|i| (base, i * stride as i32)).collect()
                }
                _ => {
                    let stride = self.scalar(stride)?;
                    let mut at = base;
                    (0..count)
                        .map(|i| {
                            if i > 0 {
                                at = self.b.ins().iadd(at, stride);
                            }
                            (at, 0)
                        })
                        .collect()
                }
            },
            MemAccess::Indexed(index) => {
                let index = self.reg(index)?;
                let shift = i64::from(mem.size().trailing_zeros());
                self.all_lanes(index)
                    .into_iter()
                    .map(|index| {
                        let offset = self.b.ins().ishl_imm_u(index, shift);
                        (self.b.ins().iadd(base, offset), 0)
                    })
                    .collect()
            }
        })
    }

    /// One element, extended to its raw class.
    fn load_scalar(&mut self, mem: DType, (base, offset): Place) -> Value {
        let flags = plain();
        match mem {
            DType::Bool | DType::U8 => self.b.ins().uload8(I32, flags, base, offset),
            DType::I8 => self.b.ins().sload8(I32, flags, base, offset),
            DType::U16 | DType::F16 | DType::BF16 => self.b.ins().uload16(I32, flags, base, offset),
            DType::I16 => self.b.ins().sload16(I32, flags, base, offset),
            DType::U32 | DType::I32 => self.b.ins().load(I32, flags, base, offset),
            DType::U64 | DType::I64 => self.b.ins().load(I64, flags, base, offset),
            DType::F32 => self
                .b
                .ins()
                .load(cranelift_codegen::ir::types::F32, flags, base, offset),
            DType::F64 | DType::C64 | DType::C128 => {
                self.b
                    .ins()
                    .load(cranelift_codegen::ir::types::F64, flags, base, offset)
            }
        }
    }

    /// Consecutive elements.
    fn load_vector(&mut self, raw: Kind, mem: DType, base: Value) -> Val {
        let flags = plain();
        let part = raw.part();
        match mem.size() {
            1 => {
                let bytes = self.b.ins().load(I32, flags, base, 0);
                let v = self.b.ins().scalar_to_vector(I32X4, bytes);
                let v = self.bits_as(I8X16, v);
                let signed = mem == DType::I8;
                Val::One(self.widen_bytes(v, signed))
            }
            2 if mem == DType::I16 => Val::One(self.b.ins().sload16x4(flags, base, 0)),
            2 => Val::One(self.b.ins().uload16x4(flags, base, 0)),
            4 => Val::One(self.b.ins().load(part, flags, base, 0)),
            _ => Val::Two([0, 16].map(|at| self.b.ins().load(part, flags, base, at))),
        }
    }

    fn widen_bytes(&mut self, v: Value, signed: bool) -> Value {
        if signed {
            let v = self.b.ins().swiden_low(v);
            self.b.ins().swiden_low(v)
        } else {
            let v = self.b.ins().uwiden_low(v);
            self.b.ins().uwiden_low(v)
        }
    }

    fn load_broadcast(&mut self, raw: Kind, mem: DType, base: Value, mask: Option<Val>) -> Val {
        let Some(mask) = mask else {
            let lane = self.load_scalar(mem, (base, 0));
            return self.splat(raw, lane);
        };
        let any = self.any(mask);
        let zeros = self.zeros();
        let base = self.b.ins().select(any, base, zeros);
        let lane = self.load_scalar(mem, (base, 0));
        let all = self.splat(raw, lane);
        let masks = self.mask_parts(mask, raw);
        self.map2(all, masks, |e, v, m| {
            let m = e.bits_as(raw.part(), m);
            e.b.ins().band(v, m)
        })
    }

    fn load_lanes(&mut self, raw: Kind, mem: DType, places: &[Place], mask: Option<Val>) -> Val {
        let places = match mask {
            Some(mask) => {
                let zeros = self.zeros();
                self.guarded(places, mask, zeros)
            }
            None => places.iter().copied().collect(),
        };
        let lanes: SmallVec<[Value; 4]> = places
            .into_iter()
            .map(|place| self.load_scalar(mem, place))
            .collect();
        self.join_all_lanes(raw, &lanes)
    }

    /// The places where the mask is set, `instead` elsewhere.
    fn guarded(&mut self, places: &[Place], mask: Val, instead: Value) -> SmallVec<[Place; 4]> {
        let set = self.lanes_set(mask);
        places
            .iter()
            .zip(set)
            .map(|(&(base, offset), set)| {
                let base = match offset {
                    0 => base,
                    _ => self.b.ins().iadd_imm_s(base, i64::from(offset)),
                };
                (self.b.ins().select(set, base, instead), 0)
            })
            .collect()
    }

    /// One truth value per lane.
    fn lanes_set(&mut self, mask: Val) -> SmallVec<[Value; 4]> {
        let v = mask.first();
        if !self.ty(v).is_vector() {
            return SmallVec::from_slice(&[v]);
        }
        let bits = self.b.ins().vhigh_bits(I32, v);
        (0..4)
            .map(|i| self.b.ins().band_imm_u(bits, 1 << i))
            .collect()
    }

    /// Runs one of two ways, by whether all lanes of the mask are set.
    fn load_vector_masked(
        &mut self,
        raw: Kind,
        mem: DType,
        base: Value,
        mask: Val,
    ) -> Result<Val, CodegenError> {
        let places = self.places(raw, mem, base, MemAccess::Contiguous)?;
        let [whole, lanes, done] = self.by_all(mask);
        let results: SmallVec<[Value; 2]> = (0..raw.parts())
            .map(|_| self.b.append_block_param(done, raw.part()))
            .collect();
        for block in [whole, lanes] {
            self.b.switch_to_block(block);
            let value = if block == whole {
                self.load_vector(raw, mem, base)
            } else {
                self.load_lanes(raw, mem, &places, Some(mask))
            };
            let arguments: SmallVec<[_; 2]> = value.parts().iter().map(|&v| v.into()).collect();
            self.b.ins().jump(done, &arguments);
        }
        self.b.seal_block(done);
        self.b.switch_to_block(done);
        Ok(Val::from_parts(&results))
    }

    /// Blocks for: all lanes set, not all set, afterwards. The first two are sealed.
    fn by_all(&mut self, mask: Val) -> [cranelift_codegen::ir::Block; 3] {
        let blocks = [(); 3].map(|()| self.b.create_block());
        let all = self.b.ins().vall_true(mask.first());
        self.b.ins().brif(all, blocks[0], &[], blocks[1], &[]);
        self.b.seal_block(blocks[0]);
        self.b.seal_block(blocks[1]);
        blocks
    }

    /// Raw elements as the register class that holds them.
    fn decoded(&mut self, kind: Kind, mem: DType, raw: Val) -> Val {
        match Coding::of(mem) {
            Coding::Truth => {
                let v = raw.first();
                let zero = self.literal(self.ty(v), 0);
                let set = self.b.ins().icmp(IntCC::NotEqual, v, zero);
                match kind.full {
                    true => Val::Mask(set, None),
                    false => Val::One(set),
                }
            }
            Coding::F16 => self.map1(raw, |e, v| e.f16_to_f32(v)),
            Coding::BF16 => self.map1(raw, |e, v| e.bf16_to_f32(v)),
            Coding::Plain => raw,
        }
    }

    /// A register as raw elements; what lies above an element's size is arbitrary.
    fn encoded(&mut self, kind: Kind, mem: DType, value: Val) -> Result<Val, CodegenError> {
        Ok(match Coding::of(mem) {
            Coding::Truth => {
                let ints = kind.with(Class::I32);
                self.convert(ints, kind, crate::vector::Conv::FromMask, value)?
            }
            Coding::F16 => self.map1(value, |e, v| e.f32_to_f16(v)),
            Coding::BF16 => self.map1(value, |e, v| e.f32_to_bf16(v)),
            Coding::Plain => value,
        })
    }

    /// Writes a register.
    pub fn store(
        &mut self,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        value: Reg,
        mask: Option<Reg>,
    ) -> Result<(), CodegenError> {
        let kind = self.kind(value)?;
        if Class::of(mem) != kind.class || access == MemAccess::Broadcast {
            return Err(malformed(format_args!(
                "{:?} stored as {mem}, {access:?}",
                kind.class
            )));
        }
        raw_class(mem)?;
        let base = self.scalar(address)?;
        let value = self.reg(value)?;
        let raw = self.encoded(kind, mem, value)?;
        let mask = mask.map(|m| self.reg(m)).transpose()?;
        match (access, mask) {
            (MemAccess::Contiguous, None) if kind.full => self.store_vector(mem, base, raw),
            (MemAccess::Contiguous, Some(mask)) if kind.full => {
                let places = self.places(kind, mem, base, access)?;
                let [whole, lanes, done] = self.by_all(mask);
                self.b.switch_to_block(whole);
                self.store_vector(mem, base, raw);
                self.b.ins().jump(done, &[]);
                self.b.switch_to_block(lanes);
                self.store_lanes(mem, &places, raw, Some(mask));
                self.b.ins().jump(done, &[]);
                self.b.seal_block(done);
                self.b.switch_to_block(done);
            }
            (access, mask) => {
                let places = self.places(kind, mem, base, access)?;
                self.store_lanes(mem, &places, raw, mask);
            }
        }
        Ok(())
    }

    fn store_lanes(&mut self, mem: DType, places: &[Place], raw: Val, mask: Option<Val>) {
        let places = match mask {
            Some(mask) => {
                let dummy = self.dummy();
                self.guarded(places, mask, dummy)
            }
            None => places.iter().copied().collect(),
        };
        let lanes = self.all_lanes(raw);
        for (lane, (base, offset)) in lanes.into_iter().zip(places) {
            match mem.size() {
                1 => self.b.ins().istore8(plain(), lane, base, offset),
                2 => self.b.ins().istore16(plain(), lane, base, offset),
                _ => self.b.ins().store(plain(), lane, base, offset),
            };
        }
    }

    fn store_vector(&mut self, mem: DType, base: Value, raw: Val) {
        match mem.size() {
            1 => {
                let bytes = std::array::from_fn(|i| (i as u8 % 4) * 4);
                let packed = self.packed(raw, bytes, I32X4);
                self.b.ins().store(plain(), packed, base, 0);
            }
            2 => {
                let bytes = std::array::from_fn(|i| (i as u8 % 8) / 2 * 4 + i as u8 % 2);
                let packed = self.packed(raw, bytes, I64X2);
                self.b.ins().store(plain(), packed, base, 0);
            }
            _ => {
                for (i, &v) in raw.parts().iter().enumerate() {
                    self.b.ins().store(plain(), v, base, 16 * i as i32);
                }
            }
        }
    }

    /// The first lane of `ty` after choosing bytes.
    fn packed(&mut self, raw: Val, bytes: [u8; 16], ty: Type) -> Value {
        let v = self.bits_as(I8X16, raw.first());
        let v = self.shuffle(v, v, bytes);
        let v = self.bits_as(ty, v);
        self.b.ins().extractlane(v, 0)
    }
}
