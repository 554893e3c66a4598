//! Loads and stores: what lies in memory as registers, and back, in every placement and under masks.
//!
//! Elements of 32 and 64 bits are gathered and scattered by instructions, narrower ones lane by lane through
//! working memory. Lanes that a mask excludes are never accessed: instructions pass over them, and
//! scalar accesses go elsewhere.

use super::machine::{Inst, Place, View};
use super::select::{Selector, malformed};
use super::value::{Kind, LANES, Val};
use crate::CodegenError;
use crate::vector::{Class, MemAccess, Reg, Scalar};
use iced_x86::Code::{self, *};
use lazulite_ir::DType;
use regalloc2::VReg;
use smallvec::SmallVec;

/// Places in the working memory: indices, elements, and where excluded lanes are read and written.
const INDICES: i32 = 0;
const ELEMENTS: i32 = 128;
const ELSEWHERE: i32 = 320;

type Result<T> = std::result::Result<T, CodegenError>;

/// The class in which elements pass between memory and registers before they are converted.
fn raw_class(mem: DType) -> Result<Class> {
    match mem {
        DType::C64 | DType::C128 => Err(malformed(format_args!("memory of {mem}"))),
        DType::U64 | DType::I64 | DType::F64 => Ok(Class::I64),
        DType::Bool
        | DType::U8
        | DType::I8
        | DType::U16
        | DType::I16
        | DType::F16
        | DType::BF16
        | DType::U32
        | DType::I32
        | DType::F32 => Ok(Class::I32),
    }
}

/// The instruction that reads an element of at most 16 bits into 32.
fn load_code(mem: DType) -> Code {
    match (mem.size(), mem) {
        (1, DType::I8) => Movsx_r32_rm8,
        (1, _) => Movzx_r32_rm8,
        (_, DType::I16) => Movsx_r32_rm16,
        _ => Movzx_r32_rm16,
    }
}

/// Where the lanes of an access are.
enum Lanes {
    /// Bytes from lane to lane.
    Step(i64),
    /// The same, known when the code runs.
    Stride(VReg),
    /// Elements from the base, per lane.
    Index(Val),
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
            Some(mask) => Some(self.reg(mask)?.first()),
            None => None,
        };
        let place = self.place(address)?;
        let value = match access {
            _ if !kind.full => {
                let place = self.first_place(place, access, mem)?;
                Val::One(self.load_one(mem, place, mask))
            }
            MemAccess::Contiguous => return Ok(self.load_contiguous(kind, mem, place, mask)),
            MemAccess::Broadcast => self.load_broadcast(raw, mem, place, mask),
            MemAccess::Strided(_) | MemAccess::Indexed(_) => {
                let lanes = self.lanes_of(access, mem)?;
                match mem.size() {
                    4 | 8 => self.gather(raw, mem, place, &lanes, mask),
                    _ => self.load_lanes(mem, place, &lanes, mask),
                }
            }
        };
        Ok(self.decoded(mem, value))
    }

    fn lanes_of(&mut self, access: MemAccess, mem: DType) -> Result<Lanes> {
        Ok(match access {
            MemAccess::Strided(stride) => match self.known_scalar(stride) {
                Some(step) => Lanes::Step(step),
                None => Lanes::Stride(self.scalar(stride)?),
            },
            MemAccess::Indexed(index) => Lanes::Index(self.reg(index)?),
            MemAccess::Contiguous | MemAccess::Broadcast => Lanes::Step(mem.size() as i64),
        })
    }

    /// Where the first lane is.
    fn first_place(&mut self, place: Place, access: MemAccess, mem: DType) -> Result<Place> {
        let Some(index) = access.register() else {
            return Ok(place);
        };
        let (lanes, index) = (self.reg(index)?.first(), self.general());
        let move_ = Inst::new(EVEX_Vmovq_rm64_xmm).def(index, View::R64);
        self.push(move_.read(lanes, View::X));
        Ok(Place {
            index: Some((index, mem.size() as u32)),
            ..self.plain(place)
        })
    }

    /// The first lane.
    fn load_one(&mut self, mem: DType, place: Place, mask: Option<VReg>) -> VReg {
        let result = self.vector();
        let code = match mem.size() {
            8 => EVEX_Vmovsd_xmm_k1z_m64,
            4 => EVEX_Vmovss_xmm_k1z_m32,
            _ => {
                let condition = mask.map(|mask| {
                    self.mask_bits(
                        mask,
                        Kind {
                            class: Class::Mask,
                            full: false,
                        },
                    )
                });
                let bits = self.load_general(mem, place, condition, 1);
                let move_ = Inst::new(EVEX_Vmovd_xmm_rm32).def(result, View::X);
                self.push(move_.read(bits, View::R32));
                return result;
            }
        };
        let mut inst = Inst::new(code).def(result, View::X).memory(place);
        if let Some(mask) = mask {
            inst = inst.zeroing(mask);
        }
        self.push(inst);
        result
    }

    /// A narrow element in a general register; with a condition only if one of `bits` is set in it, else zero.
    fn load_general(
        &mut self,
        mem: DType,
        place: Place,
        condition: Option<VReg>,
        bits: i32,
    ) -> VReg {
        let place = match condition {
            Some(condition) => self.if_bits(condition, bits, place),
            None => place,
        };
        let result = self.general();
        let load = Inst::new(load_code(mem)).def(result, View::R32);
        self.push(load.memory(place));
        result
    }

    /// The place, or one elsewhere if none of the bits is set. There is zero elsewhere.
    fn if_bits(&mut self, condition: VReg, bits: i32, place: Place) -> Place {
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
    fn load_contiguous(&mut self, kind: Kind, mem: DType, place: Place, mask: Option<VReg>) -> Val {
        if mem.size() >= 4 {
            // Masks are per element.
            let code = match mem.size() {
                8 => EVEX_Vmovupd_zmm_k1z_zmmm512,
                _ => EVEX_Vmovups_zmm_k1z_zmmm512,
            };
            let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
                .map(|i| {
                    let mask = mask.map(|mask| self.mask_part(mask, i));
                    let place = place.plus(64 * i as i32);
                    self.load_masked(code, View::Z, place, mask)
                })
                .collect();
            return Val::from_parts(&parts);
        }
        let (load, view) = match mem.size() {
            1 => (EVEX_Vmovdqu8_xmm_k1z_xmmm128, View::X),
            _ => (EVEX_Vmovdqu16_ymm_k1z_ymmm256, View::Y),
        };
        let v = self.load_masked(load, view, place, mask);
        if mem == DType::F16 {
            return Val::One(self.widen_f16(v));
        }
        let widen = match (mem.size(), mem) {
            (1, DType::I8) => EVEX_Vpmovsxbd_zmm_k1z_xmmm128,
            (1, _) => EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
            (_, DType::I16) => EVEX_Vpmovsxwd_zmm_k1z_ymmm256,
            _ => EVEX_Vpmovzxwd_zmm_k1z_ymmm256,
        };
        let wide = self.vector();
        self.push(Inst::new(widen).def(wide, View::Z).read(v, view));
        self.decoded(mem, Val::One(wide))
    }

    fn load_masked(&mut self, code: Code, view: View, place: Place, mask: Option<VReg>) -> VReg {
        let result = self.vector();
        let mut inst = Inst::new(code).def(result, view).memory(place);
        if let Some(mask) = mask {
            inst = inst.zeroing(mask);
        }
        self.push(inst);
        result
    }

    /// One element for all lanes.
    fn load_broadcast(&mut self, raw: Kind, mem: DType, place: Place, mask: Option<VReg>) -> Val {
        let code = match mem.size() {
            8 => EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            4 => EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            _ => {
                let all = Kind {
                    class: Class::Mask,
                    full: true,
                };
                let condition = mask.map(|mask| self.mask_bits(mask, all));
                let bits = self.load_general(mem, place, condition, 0xffff);
                let result = self.vector();
                let mut inst = Inst::new(EVEX_Vpbroadcastd_zmm_k1z_r32).def(result, View::Z);
                inst = inst.read(bits, View::R32);
                if let Some(mask) = mask {
                    inst = inst.zeroing(mask);
                }
                self.push(inst);
                return Val::One(result);
            }
        };
        let Some(mask) = mask else {
            let v = self.load_masked(code, View::Z, place, None);
            return match raw.parts() {
                2 => Val::Two([v, v]),
                _ => Val::One(v),
            };
        };
        let parts: SmallVec<[VReg; 2]> = (0..raw.parts())
            .map(|i| {
                let mask = self.mask_part(mask, i);
                self.load_masked(code, View::Z, place, Some(mask))
            })
            .collect();
        Val::from_parts(&parts)
    }

    /// The distances of lanes from the base in 64 bits, and the scale that goes with them.
    fn distances(&mut self, lanes: &Lanes, mem: DType) -> (Val, u32) {
        let kind = Kind {
            class: Class::I64,
            full: true,
        };
        match *lanes {
            Lanes::Index(index) => (index, mem.size() as u32),
            Lanes::Step(step) => {
                let zero = self.number(0);
                (self.ramp(kind, zero, step), 1)
            }
            Lanes::Stride(stride) => {
                let zero = self.number(0);
                let numbers = self.ramp(kind, zero, 1);
                let all = self.vector();
                let inst = Inst::new(EVEX_Vpbroadcastq_zmm_k1z_r64).def(all, View::Z);
                self.push(inst.read(stride, View::R64));
                let multiply = EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64;
                (numbers.map(|n| self.binary_z(multiply, n, all)), 1)
            }
        }
    }

    /// The distances in 32 bits where they are known to fit.
    fn short_distances(&mut self, lanes: &Lanes) -> Option<VReg> {
        let Lanes::Step(step) = *lanes else {
            return None;
        };
        let last = step.checked_mul(i64::from(LANES))?;
        i32::try_from(last).ok()?;
        let bytes =
            std::array::from_fn(|i| (step as i32).wrapping_mul(i as i32 / 4).to_le_bytes()[i % 4]);
        let place = self.vector_const(bytes);
        Some(self.load_masked(EVEX_Vmovups_zmm_k1z_zmmm512, View::Z, place, None))
    }

    /// The mask of a part, or all lanes; it may be consumed.
    fn consumable(&mut self, mask: Option<VReg>, part: usize) -> VReg {
        match mask {
            Some(mask) => self.mask_part(mask, part),
            None => {
                let all = self.number(-1);
                self.mask_from(all)
            }
        }
    }

    fn gather(
        &mut self,
        raw: Kind,
        mem: DType,
        place: Place,
        lanes: &Lanes,
        mask: Option<VReg>,
    ) -> Val {
        let place = self.plain(place);
        let one = |s: &mut Self, code, view, distances, scale, part| {
            let (zero, result) = (s.splat_const(raw.class, 0), s.vector());
            let (mask, rest) = (s.consumable(mask, part), s.mask());
            let inst = Inst::new(code).update(result, zero, view);
            let inst = inst.lanes_memory(place, distances, scale);
            s.push(inst.consuming(mask, rest));
            result
        };
        if mem.size() == 4
            && let Some(distances) = self.short_distances(lanes)
        {
            let v = one(self, EVEX_Vgatherdps_zmm_k1_vm32z, View::Z, distances, 1, 0);
            return Val::One(v);
        }
        let (code, view) = match mem.size() {
            4 => (EVEX_Vgatherqps_ymm_k1_vm64z, View::Y),
            _ => (EVEX_Vgatherqpd_zmm_k1_vm64z, View::Z),
        };
        let (distances, scale) = self.distances(lanes, mem);
        let parts: SmallVec<[VReg; 2]> = (0..2)
            .map(|i| one(self, code, view, distances.parts()[i], scale, i))
            .collect();
        match mem.size() {
            4 => Val::One(self.join_halves(parts[0], parts[1])),
            _ => Val::from_parts(&parts),
        }
    }

    /// The places of all lanes, one after the other as they are asked for.
    fn lane_places(&mut self, place: Place, lanes: &Lanes) -> Place {
        if let Lanes::Index(index) = lanes {
            let kind = Kind {
                class: Class::I64,
                full: true,
            };
            self.spill(*index, kind, INDICES);
        }
        self.plain(place)
    }

    /// The place of lane `lane`, where `before` is that of the lane before it.
    fn lane_place(
        &mut self,
        base: Place,
        before: Place,
        lanes: &Lanes,
        lane: i32,
        mem: DType,
    ) -> Place {
        match *lanes {
            Lanes::Index(_) => {
                let index = self.general();
                let load = Inst::new(Mov_r64_rm64).def(index, View::R64);
                self.push(load.memory(Place::frame(INDICES + 8 * lane)));
                Place {
                    index: Some((index, mem.size() as u32)),
                    ..base
                }
            }
            _ if lane == 0 => base,
            Lanes::Step(step) => match i32::try_from(step).ok().and_then(|s| s.checked_mul(lane)) {
                Some(offset) if offset.abs() < 1 << 30 => base.plus(offset),
                _ => {
                    let step = self.number(step);
                    self.further(before, step)
                }
            },
            Lanes::Stride(stride) => self.further(before, stride),
        }
    }

    fn further(&mut self, place: Place, by: VReg) -> Place {
        self.plain(Place {
            index: Some((by, 1)),
            ..place
        })
    }

    /// Narrow elements one by one.
    fn load_lanes(&mut self, mem: DType, place: Place, lanes: &Lanes, mask: Option<VReg>) -> Val {
        let base = self.lane_places(place, lanes);
        let all = Kind {
            class: Class::Mask,
            full: true,
        };
        let condition = mask.map(|mask| self.mask_bits(mask, all));
        let mut at = base;
        for lane in 0..LANES as i32 {
            at = self.lane_place(base, at, lanes, lane, mem);
            let bits = self.load_general(mem, at, condition, 1 << lane);
            let store = Inst::new(Mov_rm32_r32).memory(Place::frame(ELEMENTS + 4 * lane));
            self.push(store.read(bits, View::R32));
        }
        let kind = Kind {
            class: Class::I32,
            full: true,
        };
        self.unspill(kind, ELEMENTS)
    }

    /// Raw elements as the register class that holds them.
    fn decoded(&mut self, mem: DType, raw: Val) -> Val {
        match mem {
            DType::Bool => {
                let (v, result) = (raw.first(), self.mask());
                let test = Inst::new(EVEX_Vptestmd_kr_k1_zmm_zmmm512b32).def(result, View::K);
                self.push(test.read(v, View::Z).read(v, View::Z));
                Val::One(result)
            }
            DType::F16 => raw.map(|v| {
                let half = self.narrow(EVEX_Vpmovdw_ymmm256_k1z_zmm, v);
                self.widen_f16(half)
            }),
            DType::BF16 => raw.map(|v| self.widen_bf16(v)),
            DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::F32
            | DType::F64
            | DType::C64
            | DType::C128 => raw,
        }
    }

    /// A register as raw elements; what lies above an element's size is arbitrary.
    fn encoded(&mut self, kind: Kind, mem: DType, value: Val) -> Result<Val> {
        Ok(match mem {
            DType::Bool => {
                let ints = kind.with(Class::I32);
                self.convert(ints, kind, crate::vector::Conv::FromMask, value)?
            }
            DType::F16 => value.map(|v| {
                let half = self.narrow_f16(v);
                self.widen(EVEX_Vpmovzxwd_zmm_k1z_ymmm256, half)
            }),
            DType::BF16 => value.map(|v| self.narrow_bf16(v)),
            DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::F32
            | DType::F64
            | DType::C64
            | DType::C128 => value,
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
    ) -> Result<()> {
        let kind = self.kind(value)?;
        if Class::of(mem) != kind.class || access == MemAccess::Broadcast {
            return Err(malformed(format_args!(
                "{:?} stored as {mem}, {access:?}",
                kind.class
            )));
        }
        raw_class(mem)?;
        let value = self.reg(value)?;
        let raw = self.encoded(kind, mem, value)?;
        let mask = match mask {
            Some(mask) => Some(self.reg(mask)?.first()),
            None => None,
        };
        let place = self.place(address)?;
        match access {
            _ if !kind.full => {
                let place = self.first_place(place, access, mem)?;
                self.store_one(mem, place, raw.first(), mask);
            }
            MemAccess::Contiguous => self.store_contiguous(mem, place, raw, mask),
            MemAccess::Strided(_) | MemAccess::Indexed(_) | MemAccess::Broadcast => {
                let lanes = self.lanes_of(access, mem)?;
                match mem.size() {
                    4 | 8 => self.scatter(mem, place, &lanes, raw, mask),
                    _ => self.store_lanes(mem, place, &lanes, raw.first(), mask),
                }
            }
        }
        Ok(())
    }

    /// The first lane.
    fn store_one(&mut self, mem: DType, place: Place, value: VReg, mask: Option<VReg>) {
        let code = match mem.size() {
            8 => EVEX_Vmovsd_m64_k1_xmm,
            4 => EVEX_Vmovss_m32_k1_xmm,
            _ => {
                let bits = self.general();
                let move_ = Inst::new(EVEX_Vmovd_rm32_xmm).def(bits, View::R32);
                self.push(move_.read(value, View::X));
                let one = Kind {
                    class: Class::Mask,
                    full: false,
                };
                let condition = mask.map(|mask| self.mask_bits(mask, one));
                return self.store_general(mem, place, bits, condition, 1);
            }
        };
        self.store_masked(code, View::X, place, value, mask);
    }

    fn store_masked(
        &mut self,
        code: Code,
        view: View,
        place: Place,
        value: VReg,
        mask: Option<VReg>,
    ) {
        let mut inst = Inst::new(code).memory(place).read(value, view);
        if let Some(mask) = mask {
            inst = inst.merging(mask);
        }
        self.push(inst);
    }

    /// The low bits of a general register as a narrow element; see [`load_general`](Self::load_general).
    fn store_general(
        &mut self,
        mem: DType,
        place: Place,
        bits: VReg,
        condition: Option<VReg>,
        set: i32,
    ) {
        let place = match condition {
            Some(condition) => self.if_bits(condition, set, place),
            None => place,
        };
        let (code, view) = match mem.size() {
            1 => (Mov_rm8_r8, View::R8),
            _ => (Mov_rm16_r16, View::R16),
        };
        let store = Inst::new(code).memory(place);
        self.push(store.read(bits, view));
    }

    fn store_contiguous(&mut self, mem: DType, place: Place, raw: Val, mask: Option<VReg>) {
        let code = match mem.size() {
            1 => EVEX_Vpmovdb_xmmm128_k1z_zmm,
            2 => EVEX_Vpmovdw_ymmm256_k1z_zmm,
            _ => EVEX_Vmovups_zmmm512_k1z_zmm,
        };
        for (i, &part) in raw.parts().iter().enumerate() {
            let wide = raw.parts().len() == 2;
            let mask = mask.map(|mask| self.mask_part(mask, i));
            let code = match wide {
                true => EVEX_Vmovupd_zmmm512_k1z_zmm,
                false => code,
            };
            self.store_masked(code, View::Z, place.plus(64 * i as i32), part, mask);
        }
    }

    /// Lanes in order: of several at one place the last one stays.
    fn scatter(&mut self, mem: DType, place: Place, lanes: &Lanes, raw: Val, mask: Option<VReg>) {
        let place = self.plain(place);
        let one = |s: &mut Self, code, view, distances, scale, value, part| {
            let (mask, rest) = (s.consumable(mask, part), s.mask());
            let inst = Inst::new(code).lanes_memory(place, distances, scale);
            s.push(inst.read(value, view).consuming(mask, rest));
        };
        if mem.size() == 4
            && let Some(distances) = self.short_distances(lanes)
        {
            return one(
                self,
                EVEX_Vscatterdps_vm32z_k1_zmm,
                View::Z,
                distances,
                1,
                raw.first(),
                0,
            );
        }
        let (distances, scale) = self.distances(lanes, mem);
        for i in 0..2 {
            let at = distances.parts()[i];
            match (mem.size(), i) {
                (8, _) => one(
                    self,
                    EVEX_Vscatterqpd_vm64z_k1_zmm,
                    View::Z,
                    at,
                    scale,
                    raw.parts()[i],
                    i,
                ),
                (_, 0) => one(
                    self,
                    EVEX_Vscatterqps_vm64z_k1_ymm,
                    View::Y,
                    at,
                    scale,
                    raw.first(),
                    i,
                ),
                (_, _) => {
                    let upper = self.upper_half(raw.first());
                    one(
                        self,
                        EVEX_Vscatterqps_vm64z_k1_ymm,
                        View::Y,
                        at,
                        scale,
                        upper,
                        i,
                    );
                }
            }
        }
    }

    /// Narrow elements one by one.
    fn store_lanes(
        &mut self,
        mem: DType,
        place: Place,
        lanes: &Lanes,
        value: VReg,
        mask: Option<VReg>,
    ) {
        let base = self.lane_places(place, lanes);
        let kind = Kind {
            class: Class::I32,
            full: true,
        };
        self.spill(Val::One(value), kind, ELEMENTS);
        let all = Kind {
            class: Class::Mask,
            full: true,
        };
        let condition = mask.map(|mask| self.mask_bits(mask, all));
        let mut at = base;
        for lane in 0..LANES as i32 {
            at = self.lane_place(base, at, lanes, lane, mem);
            let bits = self.general();
            let load = Inst::new(Mov_r32_rm32).def(bits, View::R32);
            self.push(load.memory(Place::frame(ELEMENTS + 4 * lane)));
            self.store_general(mem, at, bits, condition, 1 << lane);
        }
    }
}
