//! Loads and stores: what lies in memory as registers, and back, in every placement and under masks.
//!
//! Lanes that a mask excludes are never accessed: instructions pass over them, and accesses of one element go
//! elsewhere. Elements that do not lie one behind the other are the subject of [`scattered`](super::scattered).

use super::machine::{Inst, Place, View};
use super::masks::SINGLE;
use super::select::{Selector, malformed};
use super::target::{Masks, by};
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Class, Coding, Conv, MemAccess, Reg, Scalar};
use iced_x86::Code::{self, *};
use lazulite_ir::DType;
use regalloc2::VReg;
use smallvec::SmallVec;

/// Where excluded elements are read and written in the working memory.
const ELSEWHERE: i32 = 320;

pub(super) type Result<T> = std::result::Result<T, CodegenError>;

/// The class in which elements pass between memory and registers before they are converted.
pub(super) fn raw_class(mem: DType) -> Result<Class> {
    let class = Class::in_memory(mem).map(Class::int);
    class.ok_or_else(|| malformed(format_args!("memory of {mem}")))
}

/// The instruction that reads an element into a general register, those of at most 16 bits into 32.
fn load_code(mem: DType) -> (Code, View) {
    match (mem.size(), mem) {
        (1, DType::I8) => (Movsx_r32_rm8, View::R32),
        (1, _) => (Movzx_r32_rm8, View::R32),
        (2, DType::I16) => (Movsx_r32_rm16, View::R32),
        (2, _) => (Movzx_r32_rm16, View::R32),
        (4, _) => (Mov_r32_rm32, View::R32),
        _ => (Mov_r64_rm64, View::R64),
    }
}

impl Selector<'_> {
    /// What `Op::Load` yields.
    pub fn load(
        &mut self,
        kind: Kind,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        mask: Option<Reg>,
    ) -> Result<Val> {
        let raw = kind.with(raw_class(mem)?);
        if Class::of(mem) != kind.class {
            return Err(malformed(format_args!("{mem} loaded as {:?}", kind.class)));
        }
        let mask = match mask {
            Some(mask) => Some(self.reg(mask)?),
            None => None,
        };
        let place = self.place(address)?;
        let value = match access {
            _ if !kind.full => {
                let place = self.first_place(place, access, mem)?;
                Val::One(self.load_one(mem, place, mask))
            }
            MemAccess::Contiguous => return self.load_contiguous(raw, mem, place, mask),
            MemAccess::Broadcast => self.load_broadcast(raw, mem, place, mask)?,
            MemAccess::Strided(_) | MemAccess::Indexed(_) => {
                let spread = self.spread(mem, place, access, mask)?;
                match mem.size() {
                    4 | 8 => self.gather(raw, &spread)?,
                    _ => {
                        let narrow = self.load_lanes(raw, &spread);
                        return self.widened(mem, narrow);
                    }
                }
            }
        };
        self.decoded(mem, value)
    }

    /// Where the first lane is.
    fn first_place(&mut self, place: Place, access: MemAccess, mem: DType) -> Result<Place> {
        let Some(index) = access.register() else {
            return Ok(place);
        };
        let lanes = self.reg(index)?.first();
        let index = self.lane_to(Class::I64, lanes);
        Ok(Place {
            index: Some((index, mem.size() as u32)),
            ..self.plain(place)
        })
    }

    /// The first lane.
    fn load_one(&mut self, mem: DType, place: Place, mask: Option<Val>) -> VReg {
        if mem.size() < 4 {
            let place = self.if_first(mask, place);
            let bits = self.load_general(mem, place);
            return self.lane_from(Class::I32, bits);
        }
        let code = self.target.codes.load_lane[usize::from(mem.size() == 8)];
        let result = self.vector();
        let load = Inst::new(code).def(result, View::X);
        let load = match (mask, self.target.masks) {
            (Some(mask), Masks::Registers) => load.memory(place).zeroing(mask.first()),
            (mask, _) => load.memory(self.if_first(mask, place)),
        };
        self.push(load);
        result
    }

    /// An element in a general register.
    pub fn load_general(&mut self, mem: DType, place: Place) -> VReg {
        let result = self.general();
        let (code, view) = load_code(mem);
        self.push(Inst::new(code).def(result, view).memory(place));
        result
    }

    /// The place, or one elsewhere if the mask of one lane is not set.
    fn if_first(&mut self, mask: Option<Val>, place: Place) -> Place {
        match mask {
            Some(mask) => {
                let condition = self.mask_bits(mask, SINGLE);
                self.if_bits(condition, 1, place)
            }
            None => place,
        }
    }

    /// The place, or one elsewhere if none of the bits is set. There is zero elsewhere.
    pub fn if_bits(&mut self, condition: VReg, bits: i32, place: Place) -> Place {
        let zero = self.number(0);
        let clear = Inst::new(Mov_rm64_r64).memory(Place::frame(ELSEWHERE));
        self.push(clear.read(zero, View::R64));
        let [there, elsewhere] = [place, Place::frame(ELSEWHERE)].map(|place| {
            let v = self.general();
            self.push(Inst::new(Lea_r64_m).def(v, View::R64).memory(place));
            v
        });
        let test = Inst::new(Test_rm64_imm32).read(condition, View::R64);
        self.push(test.imm32(bits));
        Place::at(self.general2(Cmove_r64_rm64, there, elsewhere))
    }

    /// Consecutive elements.
    fn load_contiguous(
        &mut self,
        raw: Kind,
        mem: DType,
        place: Place,
        mask: Option<Val>,
    ) -> Result<Val> {
        if mem.size() >= 4 {
            // Masks are per element.
            let parts: SmallVec<[VReg; 2]> = (0..raw.parts())
                .map(|i| {
                    let mask = mask.map(|mask| self.mask_part(mask, raw.class, i));
                    let place = place.plus(self.target.bytes() * i as i32);
                    self.load_part(raw.class, place, mask)
                })
                .collect();
            return Ok(Val::from_parts(&parts));
        }
        let narrow = match (mask, self.target.codes.load_narrow) {
            (None, _) => {
                let value = self.load_vector(self.widening(mem), place);
                return self.decoded_narrow(mem, value);
            }
            (Some(mask), Some(load)) => {
                let (narrow, view) = (self.vector(), self.narrow_view(mem));
                let inst = Inst::new(load[usize::from(mem.size() == 2)]);
                let inst = inst.def(narrow, view).memory(place);
                self.push(inst.zeroing(mask.first()));
                narrow
            }
            (Some(_), None) => {
                let spread = self.spread(mem, place, MemAccess::Contiguous, mask)?;
                self.load_lanes(raw, &spread)
            }
        };
        self.widened(mem, narrow)
    }

    /// The instruction that makes lanes of 32 bits of elements of 8 and 16.
    fn widening(&self, mem: DType) -> Code {
        let (codes, size) = (&self.target.codes, usize::from(mem.size() == 2));
        match mem {
            DType::F16 => codes.half_to_float,
            DType::I8 | DType::I16 => codes.extend_sign[size],
            _ => codes.extend_zero[size],
        }
    }

    /// Where elements of 8 or 16 bits are that become the lanes of a vector.
    fn narrow_view(&self, mem: DType) -> View {
        match mem.size() {
            1 => View::X,
            _ => self.target.half,
        }
    }

    /// Elements of 8 and 16 bits, as they lie in memory, as a register.
    fn widened(&mut self, mem: DType, narrow: VReg) -> Result<Val> {
        let wide = self.vector();
        let inst = Inst::new(self.widening(mem)).def(wide, self.target.full);
        self.push(inst.read(narrow, self.narrow_view(mem)));
        self.decoded_narrow(mem, wide)
    }

    /// What is left to do with widened elements.
    fn decoded_narrow(&mut self, mem: DType, wide: VReg) -> Result<Val> {
        match mem {
            DType::F16 => Ok(Val::One(wide)),
            _ => self.decoded(mem, Val::One(wide)),
        }
    }

    /// One element for all lanes.
    fn load_broadcast(
        &mut self,
        raw: Kind,
        mem: DType,
        place: Place,
        mask: Option<Val>,
    ) -> Result<Val> {
        let broadcast = self.target.codes.broadcast[by(raw.class)];
        if let (Some(mask), Masks::Registers, 4 | 8) = (mask, self.target.masks, mem.size()) {
            let parts: SmallVec<[VReg; 2]> = (0..raw.parts())
                .map(|i| {
                    let mask = self.mask_part(mask, raw.class, i);
                    let (result, full) = (self.vector(), self.target.full);
                    let load = Inst::new(broadcast).def(result, full).memory(place);
                    self.push(load.zeroing(mask));
                    result
                })
                .collect();
            return Ok(Val::from_parts(&parts));
        }
        let place = match mask {
            Some(mask) => {
                let condition = self.mask_bits(mask, raw.with(Class::Mask));
                let all = (1 << self.lanes(raw)) - 1;
                self.if_bits(condition, all, place)
            }
            None => place,
        };
        let v = match mem.size() {
            4 | 8 => self.load_vector(broadcast, place),
            _ => {
                let bits = self.load_general(mem, place);
                self.splat_from(raw, bits)
            }
        };
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for i in 0..raw.parts() {
            parts.push(match mask {
                Some(mask) => {
                    let mask = self.mask_part(mask, raw.class, i);
                    self.keep_lanes(raw.class, mask, v)?
                }
                None => v,
            });
        }
        Ok(Val::from_parts(&parts))
    }

    /// Raw elements as the register class that holds them.
    fn decoded(&mut self, mem: DType, raw: Val) -> Result<Val> {
        Ok(match Coding::of(mem) {
            Coding::Truth => Val::One(self.test_positive(raw.first())),
            Coding::F16 => {
                let half = self.shortened(raw.first(), 2)?;
                Val::One(self.widen_f16(half))
            }
            Coding::BF16 => raw.map(|v| self.widen_bf16(v)),
            Coding::Plain => raw,
        })
    }

    /// A register as raw elements; what lies above an element's size is arbitrary.
    fn encoded(&mut self, kind: Kind, mem: DType, value: Val) -> Result<Val> {
        match Coding::of(mem) {
            Coding::Truth => {
                let ints = kind.with(Class::I32);
                self.convert(ints, kind, Conv::FromMask, value)
            }
            Coding::F16 => Ok(value.map(|v| {
                let half = self.narrow_f16(v);
                self.widen(self.target.codes.extend_zero[1], half)
            })),
            Coding::BF16 => self.each_part(value, |s, v| s.narrow_bf16(v)),
            Coding::Plain => Ok(value),
        }
    }

    /// Writes a register.
    pub fn store(
        &mut self,
        mem: DType,
        address: Scalar,
        access: MemAccess,
        value: Reg,
        mask: Option<Reg>,
    ) -> Result<()> {
        let kind = self.kind(value)?;
        if Class::of(mem) != kind.class || access == MemAccess::Broadcast {
            return Err(malformed(format_args!(
                "{:?} stored as {mem}, {access:?}",
                kind.class
            )));
        }
        let raw_kind = kind.with(raw_class(mem)?);
        let value = self.reg(value)?;
        if (mem, access, mask) == (DType::F16, MemAccess::Contiguous, None) && kind.full {
            let (place, full) = (self.place(address)?, self.target.full);
            let store = Inst::new(self.target.codes.float_to_half).memory(place);
            self.push(store.read(value.first(), full).imm8(0));
            return Ok(());
        }
        let raw = self.encoded(kind, mem, value)?;
        let mask = match mask {
            Some(mask) => Some(self.reg(mask)?),
            None => None,
        };
        let place = self.place(address)?;
        match access {
            _ if !kind.full => {
                let place = self.first_place(place, access, mem)?;
                self.store_one(mem, place, raw.first(), mask);
                Ok(())
            }
            MemAccess::Contiguous => self.store_contiguous(raw_kind, mem, place, raw, mask),
            MemAccess::Strided(_) | MemAccess::Indexed(_) | MemAccess::Broadcast => {
                let spread = self.spread(mem, place, access, mask)?;
                match (mem.size(), self.target.codes.scatter) {
                    (4 | 8, Some(codes)) => self.scatter(codes, raw_kind, &spread, raw)?,
                    _ => self.store_lanes(raw_kind, &spread, raw),
                }
                Ok(())
            }
        }
    }

    /// The first lane.
    fn store_one(&mut self, mem: DType, place: Place, value: VReg, mask: Option<Val>) {
        if mem.size() < 4 {
            let bits = self.lane_to(Class::I32, value);
            let place = self.if_first(mask, place);
            return self.store_general(mem, place, bits);
        }
        let store = Inst::new(self.target.codes.store_lane[usize::from(mem.size() == 8)]);
        let store = match (mask, self.target.masks) {
            (Some(mask), Masks::Registers) => {
                let store = store.memory(place).read(value, View::X);
                store.merging(mask.first())
            }
            (mask, _) => {
                let place = self.if_first(mask, place);
                store.memory(place).read(value, View::X)
            }
        };
        self.push(store);
    }

    /// The low bits of a general register as an element.
    pub fn store_general(&mut self, mem: DType, place: Place, bits: VReg) {
        let (code, view) = match mem.size() {
            1 => (Mov_rm8_r8, View::R8),
            2 => (Mov_rm16_r16, View::R16),
            4 => (Mov_rm32_r32, View::R32),
            _ => (Mov_rm64_r64, View::R64),
        };
        let store = Inst::new(code).memory(place);
        self.push(store.read(bits, view));
    }

    /// Whole vectors of consecutive elements, past the caches.
    pub fn stream(&mut self, mem: DType, address: Scalar, value: Reg) -> Result<()> {
        let kind = self.kind(value)?;
        if !kind.full || !matches!(mem.size(), 4 | 8) {
            return Err(malformed(format_args!(
                "a part of a vector of {mem} goes past the caches"
            )));
        }
        let value = self.reg(value)?;
        let raw = self.encoded(kind, mem, value)?;
        let place = self.place(address)?;
        for (i, &part) in raw.parts().iter().enumerate() {
            let store = Inst::new(self.target.codes.stream);
            let place = place.plus(self.target.bytes() * i as i32);
            self.push(store.memory(place).read(part, self.target.full));
        }
        self.streams = true;
        Ok(())
    }

    /// Consecutive elements.
    fn store_contiguous(
        &mut self,
        kind: Kind,
        mem: DType,
        place: Place,
        raw: Val,
        mask: Option<Val>,
    ) -> Result<()> {
        if mem.size() >= 4 {
            for (i, &part) in raw.parts().iter().enumerate() {
                let mask = mask.map(|mask| self.mask_part(mask, kind.class, i));
                let place = place.plus(self.target.bytes() * i as i32);
                self.store_part(kind.class, place, part, mask);
            }
            return Ok(());
        }
        let (v, full) = (raw.first(), self.target.full);
        match (mask, self.target.codes.shorten) {
            (mask, Some(codes)) => {
                let code = codes[usize::from(mem.size() == 2)];
                let store = Inst::new(code).memory(place).read(v, full);
                self.push(match mask {
                    Some(mask) => store.merging(mask.first()),
                    None => store,
                });
            }
            (None, None) => {
                let short = self.shortened(v, mem.size() as u32)?;
                let store = match mem.size() {
                    1 => VEX_Vmovq_xmmm64_xmm,
                    _ => VEX_Vmovups_xmmm128_xmm,
                };
                self.push(Inst::new(store).memory(place).read(short, View::X));
            }
            (Some(_), None) => {
                let spread = self.spread(mem, place, MemAccess::Contiguous, mask)?;
                self.store_lanes(kind, &spread, raw);
            }
        }
        Ok(())
    }

    /// The low bytes, one or two, of lanes of 32 bits, one lane behind the other.
    fn shortened(&mut self, v: VReg, size: u32) -> Result<VReg> {
        let full = self.target.full;
        if let Some(codes) = self.target.codes.shorten {
            let (result, wide) = (self.vector(), size == 2);
            let view = if wide { self.target.half } else { View::X };
            let inst = Inst::new(codes[usize::from(wide)]).def(result, view);
            self.push(inst.read(v, full));
            return Ok(result);
        }
        // Within 128 bits to the lower end; the rest is zero. Then the second 128 follow the first.
        let size = size as usize;
        let order = self.vector_const(|i| match i % 16 {
            i if i < 4 * size => (i / size * 4 + i % size) as u8,
            _ => 0x80,
        });
        let close = self.vector();
        let inst = Inst::new(VEX_Vpshufb_ymm_ymm_ymmm256).def(close, full);
        self.push(inst.read(v, full).memory(order));
        if size == 2 {
            return Ok(self.unary_imm(VEX_Vpermq_ymm_ymmm256_imm8, close, 0b00_00_10_00));
        }
        let upper = self.upper_half(close);
        Ok(self.binary_v(VEX_Vpunpckldq_ymm_ymm_ymmm256, close, upper))
    }
}
