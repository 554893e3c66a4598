//! Truth values per lane, in both forms that machines have.
//!
//! In mask registers a mask is one register, whose bit `i` is lane `i`. As lanes of vectors it is either one vector
//! with lanes of 32 bits, or, as it comes from comparisons of 64-bit lanes and goes into choices between them, two
//! with lanes of 64 bits ([`Val::Two`]). Of one lane only the first counts, and of that the lower 32 bits.

use super::machine::{Inst, Place, View};
use super::ops::float_compare;
use super::select::Selector;
use super::target::{Masks, by};
use super::value::{Kind, Source, Val};
use crate::CodegenError;
use crate::vector::{Bin, Class, Cmp};
use iced_x86::Code::{self, *};
use regalloc2::VReg;
use smallvec::SmallVec;
// There is an instruction of this name as well.
use std::convert::Into;

/// A full mask, one of one lane.
const FULL: Kind = Kind {
    class: Class::Mask,
    full: true,
};
pub(super) const SINGLE: Kind = Kind {
    class: Class::Mask,
    full: false,
};

impl Selector<'_> {
    fn unary_k(&mut self, code: Code, x: VReg) -> VReg {
        let result = self.mask();
        self.push(Inst::new(code).def(result, View::K).read(x, View::K));
        result
    }

    fn binary_k(&mut self, code: Code, x: VReg, y: VReg) -> VReg {
        let result = self.mask();
        let inst = Inst::new(code).def(result, View::K).read(x, View::K);
        self.push(inst.read(y, View::K));
        result
    }

    /// All lanes or none.
    pub fn constant_mask(&mut self, all: bool) -> VReg {
        match self.target.masks {
            Masks::Registers => {
                let bits = self.number(-i64::from(all));
                self.mask_from(bits)
            }
            Masks::Lanes => {
                let lane = if all { u64::from(u32::MAX) } else { 0 };
                self.splat_const(Class::I32, lane)
            }
        }
    }

    /// A mask register from the lowest bits of a general register.
    fn mask_from(&mut self, bits: VReg) -> VReg {
        let result = self.mask();
        let inst = Inst::new(VEX_Kmovw_kr_r32).def(result, View::K);
        self.push(inst.read(bits, View::R32));
        result
    }

    /// The bits of a mask that count, in a general register.
    pub fn mask_bits(&mut self, mask: Val, kind: Kind) -> VReg {
        let bits = self.general();
        let (code, view) = match self.target.masks {
            Masks::Registers => (VEX_Kmovw_r32_kr, View::K),
            Masks::Lanes => (VEX_Vmovmskps_r32_ymm, self.target.full),
        };
        let mask = self.narrow_mask(mask);
        self.push(Inst::new(code).def(bits, View::R32).read(mask, view));
        if kind.full {
            return bits;
        }
        let result = self.general();
        let and = Inst::new(And_rm64_imm32).update(result, bits, View::R64);
        self.push(and.imm32(1));
        result
    }

    /// A mask in its form for lanes of 32 bits, which is the one that variables have.
    pub fn narrow_mask(&mut self, mask: Val) -> VReg {
        self.low_halves(mask)
    }

    /// The lower halves of 64-bit lanes, on machines that hold truth values in lanes; those of 32 bits as they are.
    pub fn low_halves(&mut self, v: Val) -> VReg {
        match v {
            Val::One(v) => v,
            Val::Two([low, high]) => {
                // Within 128 bits, then across.
                let both = self.binary_imm(VEX_Vshufps_ymm_ymm_ymmm256_imm8, low, high, 0x88);
                self.unary_imm(VEX_Vpermq_ymm_ymmm256_imm8, both, 0xd8)
            }
        }
    }

    /// A mask for the instructions that work on part number `part` of a register of a class.
    pub fn mask_part(&mut self, mask: Val, class: Class, part: usize) -> VReg {
        match (self.target.masks, mask) {
            (Masks::Registers, mask) if part == 0 => mask.first(),
            (Masks::Registers, mask) => {
                let (result, mask) = (self.mask(), mask.first());
                let shift = Inst::new(VEX_Kshiftrw_kr_kr_imm8).def(result, View::K);
                self.push(shift.read(mask, View::K).imm8(8));
                result
            }
            (Masks::Lanes, mask) if class.bits() != 64 => self.narrow_mask(mask),
            (Masks::Lanes, Val::Two(parts)) => parts[part],
            (Masks::Lanes, Val::One(mask)) => {
                let half = match part {
                    0 => mask,
                    _ => self.upper_half(mask),
                };
                self.widen(VEX_Vpmovsxdq_ymm_xmmm128, half)
            }
        }
    }

    /// What comparisons of the parts of a register yield, as one mask.
    pub fn join_masks(&mut self, parts: &[VReg]) -> Val {
        match (self.target.masks, parts) {
            (Masks::Registers, &[low, high]) => {
                Val::One(self.binary_k(VEX_Kunpckbw_kr_kr_kr, high, low))
            }
            (Masks::Registers | Masks::Lanes, parts) => Val::from_parts(parts),
        }
    }

    /// `yes` where the mask is set, else `no`; both of a class.
    pub fn blend(&mut self, class: Class, mask: VReg, yes: impl Into<Source>, no: VReg) -> VReg {
        let (result, full) = (self.vector(), self.target.full);
        let code = match (self.target.masks, by(class)) {
            (Masks::Registers, 0) => EVEX_Vpblendmd_zmm_k1z_zmm_zmmm512b32,
            (Masks::Registers, _) => EVEX_Vpblendmq_zmm_k1z_zmm_zmmm512b64,
            (Masks::Lanes, 0) => VEX_Vblendvps_ymm_ymm_ymmm256_ymm,
            (Masks::Lanes, _) => VEX_Vblendvpd_ymm_ymm_ymmm256_ymm,
        };
        let inst = Inst::new(code).def(result, full).read(no, full);
        let inst = self.read_source(inst, yes.into());
        self.push(match self.target.masks {
            Masks::Registers => inst.merging(mask),
            Masks::Lanes => inst.read(mask, full),
        });
        result
    }

    /// The lanes of `v` where the mask is set, zero elsewhere.
    pub fn keep_lanes(&mut self, class: Class, mask: VReg, v: VReg) -> Result<VReg, CodegenError> {
        match self.target.masks {
            Masks::Registers => {
                let code = match by(class) {
                    0 => EVEX_Vmovaps_zmm_k1z_zmmm512,
                    _ => EVEX_Vmovapd_zmm_k1z_zmmm512,
                };
                let (result, full) = (self.vector(), self.target.full);
                let inst = Inst::new(code).def(result, full).read(v, full);
                self.push(inst.zeroing(mask));
                Ok(result)
            }
            Masks::Lanes => {
                let and = self.code(Bin::And, class)?;
                Ok(self.binary_v(and, v, mask))
            }
        }
    }

    /// A constant where the mask is set, else zero.
    pub fn choose_const(&mut self, kind: Kind, mask: Val, bits: u64) -> Result<Val, CodegenError> {
        let class = kind.class;
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for i in 0..kind.parts() {
            let mask = self.mask_part(mask, class, i);
            parts.push(match self.target.masks {
                Masks::Registers => {
                    let place = Place {
                        broadcast: false,
                        ..self.everywhere(class, bits)
                    };
                    let (result, full) = (self.vector(), self.target.full);
                    let load = Inst::new(self.target.codes.broadcast[by(class)]);
                    self.push(load.def(result, full).memory(place).zeroing(mask));
                    result
                }
                Masks::Lanes => {
                    let and = self.code(Bin::And, class)?;
                    self.binary_v(and, mask, (class, bits))
                }
            });
        }
        Ok(Val::from_parts(&parts))
    }

    /// All bits where the mask is set, else none, in lanes of integers.
    pub fn spread_mask(&mut self, kind: Kind, mask: Val) -> Result<Val, CodegenError> {
        match self.target.masks {
            Masks::Registers => self.choose_const(kind, mask, u64::MAX),
            Masks::Lanes => {
                let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
                    .map(|i| self.mask_part(mask, kind.class, i))
                    .collect();
                Ok(Val::from_parts(&parts))
            }
        }
    }

    /// Which lanes of a part compare so, as floats.
    pub fn test_float(&mut self, class: Class, x: VReg, y: impl Into<Source>, imm: u8) -> VReg {
        let target = self.target;
        let result = self.mask();
        let inst = Inst::new(target.codes.compare_float[by(class)]);
        let inst = inst.def(result, target.mask_view()).read(x, target.full);
        let inst = self.read_source(inst, y.into()).imm8(imm);
        self.push(inst);
        result
    }

    /// Which lanes of a part compare so, as integers.
    pub fn test_int(
        &mut self,
        class: Class,
        f: Cmp,
        x: VReg,
        y: impl Into<Source>,
    ) -> Result<VReg, CodegenError> {
        let y = y.into();
        match self.target.masks {
            Masks::Registers => Ok(self.test_int_k(class, f, x, y)),
            Masks::Lanes => self.test_int_lanes(class, f, x, y),
        }
    }

    fn test_int_k(&mut self, class: Class, f: Cmp, x: VReg, y: Source) -> VReg {
        let (codes, imm) = match f {
            Cmp::Eq => (SIGNED, 0),
            Cmp::Lt => (SIGNED, 1),
            Cmp::Le => (SIGNED, 2),
            Cmp::Ne => (SIGNED, 4),
            Cmp::LtU => (UNSIGNED, 1),
            Cmp::LeU => (UNSIGNED, 2),
        };
        let result = self.mask();
        let inst = Inst::new(codes[by(class)]).def(result, View::K);
        let inst = inst.read(x, self.target.full);
        let inst = self.read_source(inst, y).imm8(imm);
        self.push(inst);
        result
    }

    /// There are "equal" and "greater" of signed numbers.
    fn test_int_lanes(
        &mut self,
        class: Class,
        f: Cmp,
        x: VReg,
        y: Source,
    ) -> Result<VReg, CodegenError> {
        let equal = [VEX_Vpcmpeqd_ymm_ymm_ymmm256, VEX_Vpcmpeqq_ymm_ymm_ymmm256][by(class)];
        let greater = [VEX_Vpcmpgtd_ymm_ymm_ymmm256, VEX_Vpcmpgtq_ymm_ymm_ymmm256][by(class)];
        Ok(match f {
            Cmp::Eq => self.binary_v(equal, x, y),
            Cmp::Ne => {
                let equal = self.binary_v(equal, x, y);
                self.not_lanes(equal)?
            }
            Cmp::Lt => {
                let y = self.source(y);
                self.binary_v(greater, y, x)
            }
            Cmp::Le => {
                let greater = self.binary_v(greater, x, y);
                self.not_lanes(greater)?
            }
            Cmp::LtU | Cmp::LeU => {
                // With the other sign, unsigned numbers are in the order of signed ones.
                let sign = 1u64 << (class.bits() - 1);
                let flip = self.code(Bin::Xor, class)?;
                let x = self.binary_v(flip, x, (class, sign));
                let y = match y {
                    Source::Vector(y) => Source::Vector(self.binary_v(flip, y, (class, sign))),
                    Source::Const(class, bits) => Source::Const(class, bits ^ sign),
                };
                let signed = if f == Cmp::LtU { Cmp::Lt } else { Cmp::Le };
                self.test_int_lanes(class, signed, x, y)?
            }
        })
    }

    /// The lanes of 32 bits that are not zero; numbers are not negative.
    pub fn test_positive(&mut self, v: VReg) -> VReg {
        match self.target.masks {
            Masks::Registers => {
                let (result, full) = (self.mask(), self.target.full);
                let test = Inst::new(EVEX_Vptestmd_kr_k1_zmm_zmmm512b32).def(result, View::K);
                self.push(test.read(v, full).read(v, full));
                result
            }
            Masks::Lanes => self.binary_v(VEX_Vpcmpgtd_ymm_ymm_ymmm256, v, (Class::I32, 0)),
        }
    }

    fn not_lanes(&mut self, v: VReg) -> Result<VReg, CodegenError> {
        let flip = self.code(Bin::Xor, Class::I32)?;
        Ok(self.binary_v(flip, v, (Class::I32, u64::from(u32::MAX))))
    }

    /// The other lanes.
    pub fn not_mask(&mut self, mask: Val) -> Result<Val, CodegenError> {
        match self.target.masks {
            Masks::Registers => Ok(mask.map(|v| self.unary_k(VEX_Knotw_kr_kr, v))),
            Masks::Lanes => {
                let mut parts = SmallVec::<[VReg; 2]>::new();
                for &part in mask.parts() {
                    parts.push(self.not_lanes(part)?);
                }
                Ok(Val::from_parts(&parts))
            }
        }
    }

    /// Two masks in the same form: that for 64-bit lanes if both have it.
    fn alike(&mut self, a: Val, b: Val) -> [Val; 2] {
        match (a, b) {
            (Val::Two(_), Val::Two(_)) => [a, b],
            (Val::One(_) | Val::Two(_), _) => [a, b].map(|m| Val::One(self.narrow_mask(m))),
        }
    }

    /// Logic of masks.
    pub fn binary_mask(&mut self, f: Bin, a: Val, b: Val) -> Result<Val, CodegenError> {
        match self.target.masks {
            Masks::Registers => {
                let code = match f {
                    Bin::And => VEX_Kandw_kr_kr_kr,
                    Bin::Or => VEX_Korw_kr_kr_kr,
                    Bin::Xor => VEX_Kxorw_kr_kr_kr,
                    _ => return Err(super::ops::no_such(f, Class::Mask)),
                };
                Ok(Val::One(self.binary_k(code, a.first(), b.first())))
            }
            Masks::Lanes => {
                if !matches!(f, Bin::And | Bin::Or | Bin::Xor) {
                    return Err(super::ops::no_such(f, Class::Mask));
                }
                let code = self.code(f, Class::I32)?;
                let [a, b] = self.alike(a, b);
                let both = a.parts().iter().zip(b.parts());
                let parts: SmallVec<[VReg; 2]> =
                    both.map(|(&x, &y)| self.binary_v(code, x, y)).collect();
                Ok(Val::from_parts(&parts))
            }
        }
    }

    /// The first mask's lanes where `mask` is set, else the second's.
    pub fn select_mask(&mut self, mask: Val, a: Val, b: Val) -> Val {
        match self.target.masks {
            Masks::Registers => {
                let yes = self.binary_k(VEX_Kandw_kr_kr_kr, mask.first(), a.first());
                let no = self.binary_k(VEX_Kandnw_kr_kr_kr, mask.first(), b.first());
                Val::One(self.binary_k(VEX_Korw_kr_kr_kr, yes, no))
            }
            Masks::Lanes => {
                let [mask, a, b] = [mask, a, b].map(|m| self.narrow_mask(m));
                Val::One(self.blend(Class::I32, mask, a, b))
            }
        }
    }

    /// The first lane everywhere.
    pub fn splat_mask(&mut self, lane: Val) -> Val {
        match self.target.masks {
            Masks::Registers => {
                let bits = self.mask_bits(lane, SINGLE);
                let zero = self.number(0);
                let all = self.general2(Sub_r64_rm64, zero, bits);
                Val::One(self.mask_from(all))
            }
            Masks::Lanes => Val::One(self.splat_lane(Class::I32, lane.first())),
        }
    }

    /// The combination of all lanes of a mask.
    pub fn horizontal_mask(&mut self, f: Bin, mask: Val) -> VReg {
        let bits = self.mask_bits(mask, FULL);
        let (one, zero) = (self.number(1), self.number(0));
        let result = match f {
            Bin::And => {
                let all = self.number((1 << self.lanes(FULL)) - 1);
                let missing = self.general2(Xor_r64_rm64, bits, all);
                self.test(missing);
                self.general2(Cmove_r64_rm64, zero, one)
            }
            Bin::Xor => {
                let count = self.general();
                let inst = Inst::new(Popcnt_r64_rm64).def(count, View::R64);
                self.push(inst.read(bits, View::R64));
                self.general2(And_r64_rm64, count, one)
            }
            _ => {
                self.test(bits);
                self.general2(Cmovne_r64_rm64, zero, one)
            }
        };
        match self.target.masks {
            Masks::Registers => self.mask_from(result),
            Masks::Lanes => {
                let all = self.general2(Sub_r64_rm64, zero, result);
                self.lane_from(Class::I32, all)
            }
        }
    }

    /// The odd lanes of 32 bits of one vector and the even ones of another.
    pub fn interleave_odd(&mut self, odd: VReg, even: VReg) -> VReg {
        match self.target.masks {
            Masks::Registers => {
                let bits = self.number(0xaaaa);
                let mask = self.mask_from(bits);
                self.blend(Class::I32, mask, odd, even)
            }
            Masks::Lanes => self.binary_imm(VEX_Vpblendd_ymm_ymm_ymmm256_imm8, even, odd, 0xaa),
        }
    }

    /// `other`, which `code` makes of both operands, but `x` where that is NaN.
    pub fn unless_nan(&mut self, class: Class, code: Code, x: VReg, y: VReg) -> VReg {
        match self.target.masks {
            Masks::Registers => {
                let number = self.test_float(class, x, x, float_compare::ORDERED);
                let (result, full) = (self.vector(), self.target.full);
                let inst = Inst::new(code).update(result, x, full).again(0, full);
                self.push(inst.read(y, full).merging(number));
                result
            }
            Masks::Lanes => {
                let other = self.binary_v(code, x, y);
                let nan = self.test_float(class, x, x, float_compare::UNORDERED);
                self.blend(class, nan, x, other)
            }
        }
    }

    /// A vector of elements of a class from memory; of those that the mask leaves out none is read.
    pub fn load_part(&mut self, class: Class, place: Place, mask: Option<VReg>) -> VReg {
        let codes = &self.target.codes;
        let Some(mask) = mask else {
            return self.load_vector(codes.load[by(class)], place);
        };
        let (result, full) = (self.vector(), self.target.full);
        self.push(match self.target.masks {
            Masks::Registers => {
                let inst = Inst::new(codes.load[by(class)]).def(result, full);
                inst.memory(place).zeroing(mask)
            }
            Masks::Lanes => {
                let code = match by(class) {
                    0 => VEX_Vmaskmovps_ymm_ymm_m256,
                    _ => VEX_Vmaskmovpd_ymm_ymm_m256,
                };
                let inst = Inst::new(code).def(result, full).read(mask, full);
                inst.memory(place)
            }
        });
        result
    }

    /// Writes a vector of elements of a class; those that the mask leaves out stay.
    pub fn store_part(&mut self, class: Class, place: Place, v: VReg, mask: Option<VReg>) {
        let (full, plain) = (self.target.full, self.target.codes.store[by(class)]);
        self.push(match (mask, self.target.masks) {
            (None, _) => Inst::new(plain).memory(place).read(v, full),
            (Some(mask), Masks::Registers) => {
                let inst = Inst::new(plain).memory(place).read(v, full);
                inst.merging(mask)
            }
            (Some(mask), Masks::Lanes) => {
                let code = match by(class) {
                    0 => VEX_Vmaskmovps_m256_ymm_ymm,
                    _ => VEX_Vmaskmovpd_m256_ymm_ymm,
                };
                let inst = Inst::new(code).memory(place).read(mask, full);
                inst.read(v, full)
            }
        });
    }
}

/// Comparisons of integers into mask registers.
const SIGNED: [Code; 2] = [
    EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8,
    EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8,
];
const UNSIGNED: [Code; 2] = [
    EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8,
    EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8,
];
