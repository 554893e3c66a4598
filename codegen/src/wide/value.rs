//! How vector IR registers are held, and the rearrangements between them.
//!
//! | class | one lane | full register |
//! |---|---|---|
//! | F32, I32 | lane 0 of a zmm register | a zmm register |
//! | F64, I64 | lane 0 of a zmm register | two: lanes 0 to 7, lanes 8 to 15 |
//! | Mask | bit 0 of a mask register | bits 0 to 15 of a mask register |
//!
//! What lies in other lanes and bits is arbitrary.

use super::machine::{Inst, Place, PlaceBase, View};
use super::select::Selector;
use crate::CodegenError;
use crate::vector::{Bin, Class, Reg};
use iced_x86::Code;
use regalloc2::VReg;
use smallvec::SmallVec;

/// Lanes of a full register.
pub(super) const LANES: u32 = 16;

/// Class and width of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Kind {
    pub class: Class,
    pub full: bool,
}

impl Kind {
    /// Same width, other class.
    pub fn with(self, class: Class) -> Kind {
        Kind { class, ..self }
    }

    /// Lanes of 64 bits.
    pub fn is_wide(self) -> bool {
        self.class.bits() == 64
    }

    /// How many machine registers hold the register.
    pub fn parts(self) -> usize {
        if self.full && self.is_wide() { 2 } else { 1 }
    }

    /// Lanes that count.
    pub fn lanes(self) -> u32 {
        if self.full { LANES } else { 1 }
    }
}

/// The machine registers that hold a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val {
    One(VReg),
    /// Lanes 0 to 7, lanes 8 to 15.
    Two([VReg; 2]),
}

impl Val {
    /// From as many parts as the register has.
    pub fn from_parts(parts: &[VReg]) -> Val {
        match *parts {
            [a, b] => Val::Two([a, b]),
            [a] => Val::One(a),
            _ => unreachable!("a register has one part or two"),
        }
    }

    /// The parts.
    pub fn parts(&self) -> &[VReg] {
        match self {
            Val::One(v) => std::slice::from_ref(v),
            Val::Two(both) => both,
        }
    }

    /// The only part, or the first.
    pub fn first(&self) -> VReg {
        self.parts()[0]
    }

    /// With each part replaced.
    pub fn map(&self, mut f: impl FnMut(VReg) -> VReg) -> Val {
        match *self {
            Val::One(v) => Val::One(f(v)),
            Val::Two([a, b]) => Val::Two([f(a), f(b)]),
        }
    }
}

impl Selector<'_> {
    /// `code` with a vector result and a vector operand.
    pub fn unary_z(&mut self, code: Code, x: VReg) -> VReg {
        let result = self.vector();
        self.push(Inst::new(code).def(result, View::Z).read(x, View::Z));
        result
    }

    /// The same with a number.
    pub fn unary_imm(&mut self, code: Code, x: VReg, imm: u8) -> VReg {
        let result = self.vector();
        let inst = Inst::new(code).def(result, View::Z).read(x, View::Z);
        self.push(inst.imm8(imm));
        result
    }

    /// `code` with a vector result and two vector operands.
    pub fn binary_z(&mut self, code: Code, x: VReg, y: VReg) -> VReg {
        let result = self.vector();
        let inst = Inst::new(code).def(result, View::Z).read(x, View::Z);
        self.push(inst.read(y, View::Z));
        result
    }

    /// The same with a constant in all lanes as second operand.
    pub fn binary_const(&mut self, code: Code, x: VReg, class: Class, bits: u64) -> VReg {
        let result = self.vector();
        let inst = Inst::new(code).def(result, View::Z).read(x, View::Z);
        let inst = self.read_const(inst, class, bits);
        self.push(inst);
        result
    }

    /// An instruction that reads a constant from a register, if it is in one, or from the pool.
    fn read_const(&mut self, inst: Inst, class: Class, bits: u64) -> Inst {
        match self.kept(class, bits) {
            Some(v) => inst.read(v, View::Z),
            None => inst.memory(self.everywhere(class, bits)),
        }
    }

    /// A constant of the pool for all lanes.
    pub fn everywhere(&mut self, class: Class, bits: u64) -> Place {
        let size = class.bits() as usize / 8;
        let offset = self.pool.constant(&bits.to_le_bytes()[..size]);
        Place {
            broadcast: true,
            ..Place::new(PlaceBase::Pool, offset)
        }
    }

    /// `code` on masks.
    pub fn binary_k(&mut self, code: Code, x: VReg, y: VReg) -> VReg {
        let result = self.mask();
        let inst = Inst::new(code).def(result, View::K).read(x, View::K);
        self.push(inst.read(y, View::K));
        result
    }

    /// The comparison of two vectors that `code` and `imm` say, as a mask.
    pub fn compare_z(&mut self, code: Code, x: VReg, y: VReg, imm: u8) -> VReg {
        let result = self.mask();
        let inst = Inst::new(code).def(result, View::K).read(x, View::Z);
        self.push(inst.read(y, View::Z).imm8(imm));
        result
    }

    /// The same with a constant in all lanes as second operand.
    pub fn compare_const(&mut self, code: Code, x: VReg, class: Class, bits: u64, imm: u8) -> VReg {
        let result = self.mask();
        let inst = Inst::new(code).def(result, View::K).read(x, View::Z);
        let inst = self.read_const(inst, class, bits);
        self.push(inst.imm8(imm));
        result
    }

    /// `yes` where the mask is set, else `no`.
    pub fn blend(&mut self, wide: bool, mask: VReg, yes: VReg, no: VReg) -> VReg {
        let code = match wide {
            true => Code::EVEX_Vpblendmq_zmm_k1z_zmm_zmmm512b64,
            false => Code::EVEX_Vpblendmd_zmm_k1z_zmm_zmmm512b32,
        };
        let result = self.vector();
        let inst = Inst::new(code).def(result, View::Z).read(no, View::Z);
        self.push(inst.read(yes, View::Z).merging(mask));
        result
    }

    /// A register of equal lanes.
    pub fn constant(&mut self, kind: Kind, bits: u64) -> Val {
        if kind.class == Class::Mask {
            let bits = self.number(-((bits & 1) as i64));
            return Val::One(self.mask_from(bits));
        }
        let v = self.splat_const(kind.class, bits);
        match kind.parts() {
            2 => Val::Two([v, v]),
            _ => Val::One(v),
        }
    }

    /// A vector of equal lanes.
    pub fn splat_const(&mut self, class: Class, bits: u64) -> VReg {
        if let Some(v) = self.kept(class, bits) {
            return v;
        }
        let result = self.vector();
        let code = match class.bits() {
            64 => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            _ => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        };
        let place = Place {
            broadcast: false,
            ..self.everywhere(class, bits)
        };
        self.push(Inst::new(code).def(result, View::Z).memory(place));
        result
    }

    /// A vector constant of 64 bytes.
    pub fn vector_const(&mut self, bytes: [u8; 64]) -> Place {
        let offset = self.pool.constant(&bytes);
        Place::new(PlaceBase::Pool, offset)
    }

    /// Lane 0 of a vector, or bit 0 of a mask, everywhere.
    pub fn splat(&mut self, kind: Kind, lane: VReg) -> Val {
        if !kind.full {
            return Val::One(lane);
        }
        if kind.class == Class::Mask {
            let bits = self.mask_bits(
                lane,
                Kind {
                    full: false,
                    ..kind
                },
            );
            let zero = self.number(0);
            let all = self.general2(Code::Sub_r64_rm64, zero, bits);
            return Val::One(self.mask_from(all));
        }
        let code = match kind.is_wide() {
            true => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
            false => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
        };
        let result = self.vector();
        self.push(Inst::new(code).def(result, View::Z).read(lane, View::X));
        match kind.parts() {
            2 => Val::Two([result, result]),
            _ => Val::One(result),
        }
    }

    /// The bits of a mask that count, in a general register.
    pub fn mask_bits(&mut self, mask: VReg, kind: Kind) -> VReg {
        let bits = self.general();
        let inst = Inst::new(Code::VEX_Kmovw_r32_kr).def(bits, View::R32);
        self.push(inst.read(mask, View::K));
        if kind.full {
            return bits;
        }
        let result = self.general();
        let and = Inst::new(Code::And_rm64_imm32).update(result, bits, View::R64);
        self.push(and.imm32(1));
        result
    }

    /// A mask from the lowest bits of a general register.
    pub fn mask_from(&mut self, bits: VReg) -> VReg {
        let result = self.mask();
        let inst = Inst::new(Code::VEX_Kmovw_kr_r32).def(result, View::K);
        self.push(inst.read(bits, View::R32));
        result
    }

    /// A mask for the instructions that work on part number `part` of a register with `parts`.
    pub fn mask_part(&mut self, mask: VReg, part: usize) -> VReg {
        if part == 0 {
            return mask;
        }
        let result = self.mask();
        let shift = Inst::new(Code::VEX_Kshiftrw_kr_kr_imm8).def(result, View::K);
        self.push(shift.read(mask, View::K).imm8(8));
        result
    }

    /// The masks of the parts of a register, one behind the other.
    pub fn join_masks(&mut self, parts: &[VReg]) -> VReg {
        match *parts {
            [low, high] => self.binary_k(Code::VEX_Kunpckbw_kr_kr_kr, high, low),
            _ => parts[0],
        }
    }

    /// Half of a vector as the lower half: lanes 8 to 15 of 32 bits.
    pub fn upper_half(&mut self, v: VReg) -> VReg {
        let result = self.vector();
        let inst = Inst::new(Code::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8).def(result, View::Y);
        self.push(inst.read(v, View::Z).imm8(1));
        result
    }

    /// Two lower halves as one vector.
    pub fn join_halves(&mut self, low: VReg, high: VReg) -> VReg {
        let result = self.vector();
        let inst = Inst::new(Code::EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8);
        let inst = inst.def(result, View::Z).read(low, View::Z);
        self.push(inst.read(high, View::Y).imm8(1));
        result
    }

    /// `start + lane * step` in 32- or 64-bit lanes.
    pub fn ramp(&mut self, kind: Kind, start: VReg, step: i64) -> Val {
        let (code, view, add) = match kind.is_wide() {
            true => (
                Code::EVEX_Vpbroadcastq_zmm_k1z_r64,
                View::R64,
                Code::EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
            ),
            false => (
                Code::EVEX_Vpbroadcastd_zmm_k1z_r32,
                View::R32,
                Code::EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
            ),
        };
        let all = self.vector();
        self.push(Inst::new(code).def(all, View::Z).read(start, view));
        let size = kind.class.bits() as usize / 8;
        let per_part = 64 / size;
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|part| {
                if step == 0 || !kind.full {
                    return all;
                }
                let bytes = std::array::from_fn(|i| {
                    let lane = (part * per_part + i / size) as i64;
                    lane.wrapping_mul(step).to_le_bytes()[i % size]
                });
                let steps = self.vector_const(bytes);
                let result = self.vector();
                let inst = Inst::new(add).def(result, View::Z).read(all, View::Z);
                self.push(inst.memory(steps));
                result
            })
            .collect();
        Val::from_parts(&parts)
    }

    /// Writes a register's lanes into the working memory, one behind the other.
    pub fn spill(&mut self, value: Val, kind: Kind, offset: i32) {
        debug_assert_ne!(kind.class, Class::Mask);
        for (i, &part) in (0i32..).zip(value.parts()) {
            let store = Inst::new(Code::EVEX_Vmovups_zmmm512_k1z_zmm);
            let store = store.memory(Place::frame(offset + 64 * i));
            self.push(store.read(part, View::Z));
        }
    }

    /// Reads a register's lanes from the working memory.
    pub fn unspill(&mut self, kind: Kind, offset: i32) -> Val {
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts() as i32)
            .map(|i| {
                let v = self.vector();
                let load = Inst::new(Code::EVEX_Vmovups_zmm_k1z_zmmm512).def(v, View::Z);
                self.push(load.memory(Place::frame(offset + 64 * i)));
                v
            })
            .collect();
        Val::from_parts(&parts)
    }

    /// Combination of lane `i` with lane `i + n/2` until one is left.
    pub fn horizontal(&mut self, f: Bin, a: Reg) -> Result<Val, CodegenError> {
        let kind = self.kind(a)?;
        let value = self.reg(a)?;
        if !kind.full {
            return Ok(value);
        }
        if kind.class == Class::Mask {
            return Ok(Val::One(self.horizontal_mask(f, value.first())));
        }
        let mut v = match value {
            Val::Two([low, high]) => self.part_binary(kind, f, low, high)?,
            Val::One(v) => v,
        };
        let half = self.upper_half(v);
        v = self.part_binary(kind, f, v, half)?;
        // Within 256 bits: the upper 128, then the upper 64, then, for 32 bits, the second lane.
        let upper = Inst::new(Code::EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8);
        let high = self.vector();
        self.push(upper.def(high, View::X).read(v, View::Z).imm8(1));
        v = self.part_binary(kind, f, v, high)?;
        let shuffle = Code::EVEX_Vpshufd_zmm_k1z_zmmm512b32_imm8;
        let high = self.unary_imm(shuffle, v, 0b11_10_11_10);
        v = self.part_binary(kind, f, v, high)?;
        if !kind.is_wide() {
            let high = self.unary_imm(shuffle, v, 0b01_01_01_01);
            v = self.part_binary(kind, f, v, high)?;
        }
        Ok(Val::One(v))
    }

    fn horizontal_mask(&mut self, f: Bin, v: VReg) -> VReg {
        let kind = Kind {
            class: Class::Mask,
            full: true,
        };
        let bits = self.mask_bits(v, kind);
        let (one, zero) = (self.number(1), self.number(0));
        let result = match f {
            Bin::And => {
                let all = self.number(0xffff);
                let missing = self.general2(Code::Xor_r64_rm64, bits, all);
                self.test(missing);
                self.general2(Code::Cmove_r64_rm64, zero, one)
            }
            Bin::Xor => {
                let count = self.general();
                let inst = Inst::new(Code::Popcnt_r64_rm64).def(count, View::R64);
                self.push(inst.read(bits, View::R64));
                count
            }
            _ => {
                self.test(bits);
                self.general2(Code::Cmovne_r64_rm64, zero, one)
            }
        };
        self.mask_from(result)
    }
}
