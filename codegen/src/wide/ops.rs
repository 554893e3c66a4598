//! Operations on registers: everything lane-wise that changes no class.

use super::machine::{Inst, Place, View};
use super::select::Selector;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Bin, Class, Cmp, Narrow, Reg, Un};
use iced_x86::Code::{self, *};
use regalloc2::VReg;
use smallvec::SmallVec;

/// An operation that does not exist for a class.
pub(super) fn no_such(what: impl std::fmt::Debug, class: Class) -> CodegenError {
    CodegenError::Malformed(format!("{what:?} on {class:?}"))
}

/// The first code for lanes of 32 bits, the second for 64.
fn by_width(class: Class, narrow: Code, wide: Code) -> Code {
    if class.bits() == 64 { wide } else { narrow }
}

/// Operations on two vectors of floats for which there are instructions that mean exactly the same: for lanes of 32 bits, of
/// 64.
const FLOAT_BINARY: &[(Bin, Code, Code)] = &[
    (
        Bin::Add,
        EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vaddpd_zmm_k1z_zmm_zmmm512b64_er,
    ),
    (
        Bin::Sub,
        EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vsubpd_zmm_k1z_zmm_zmmm512b64_er,
    ),
    (
        Bin::Mul,
        EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vmulpd_zmm_k1z_zmm_zmmm512b64_er,
    ),
    (
        Bin::Div,
        EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er,
    ),
    (
        Bin::Max,
        EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae,
        EVEX_Vmaxpd_zmm_k1z_zmm_zmmm512b64_sae,
    ),
    (
        Bin::Min,
        EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae,
        EVEX_Vminpd_zmm_k1z_zmm_zmmm512b64_sae,
    ),
    (
        Bin::And,
        EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Or,
        EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vporq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Xor,
        EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Scale,
        EVEX_Vscalefps_zmm_k1z_zmm_zmmm512b32_er,
        EVEX_Vscalefpd_zmm_k1z_zmm_zmmm512b64_er,
    ),
];

/// The same for integers.
const INT_BINARY: &[(Bin, Code, Code)] = &[
    (
        Bin::And,
        EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Or,
        EVEX_Vpord_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vporq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Xor,
        EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Add,
        EVEX_Vpaddd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpaddq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Sub,
        EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Mul,
        EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpmullq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Max,
        EVEX_Vpmaxsd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpmaxsq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Min,
        EVEX_Vpminsd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpminsq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::MaxU,
        EVEX_Vpmaxud_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpmaxuq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::MinU,
        EVEX_Vpminud_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpminuq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::Shl,
        EVEX_Vpsllvd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpsllvq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::ShrU,
        EVEX_Vpsrlvd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpsrlvq_zmm_k1z_zmm_zmmm512b64,
    ),
    (
        Bin::ShrS,
        EVEX_Vpsravd_zmm_k1z_zmm_zmmm512b32,
        EVEX_Vpsravq_zmm_k1z_zmm_zmmm512b64,
    ),
];

/// The instruction for an operation on two vectors, if there is one that means exactly the same.
fn binary_code(f: Bin, class: Class) -> Option<Code> {
    let table = match class.is_float() {
        true => FLOAT_BINARY,
        false => INT_BINARY,
    };
    let &(_, narrow, wide) = table.iter().find(|entry| entry.0 == f)?;
    Some(by_width(class, narrow, wide))
}

/// Which operand of a multiply-add the result replaces. The last operand may be in memory.
#[derive(Clone, Copy, Debug)]
enum Fma {
    /// A factor: `first * second + third`.
    ProductPlus,
    /// The addend: `second * third + first`.
    SumPlus,
    /// A factor: `first * third + second`.
    FactorTimes,
}

impl Fma {
    fn code(self, class: Class) -> Code {
        let (narrow, wide) = match self {
            Fma::ProductPlus => (
                EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er,
                EVEX_Vfmadd213pd_zmm_k1z_zmm_zmmm512b64_er,
            ),
            Fma::SumPlus => (
                EVEX_Vfmadd231ps_zmm_k1z_zmm_zmmm512b32_er,
                EVEX_Vfmadd231pd_zmm_k1z_zmm_zmmm512b64_er,
            ),
            Fma::FactorTimes => (
                EVEX_Vfmadd132ps_zmm_k1z_zmm_zmmm512b32_er,
                EVEX_Vfmadd132pd_zmm_k1z_zmm_zmmm512b64_er,
            ),
        };
        by_width(class, narrow, wide)
    }
}

/// Operations whose operands can be exchanged without changing any bit of the result, NaNs aside.
fn commutes(f: Bin) -> bool {
    match f {
        Bin::Add | Bin::Mul | Bin::And | Bin::Or | Bin::Xor | Bin::MaxU | Bin::MinU => true,
        Bin::Sub
        | Bin::MulHighU
        | Bin::Div
        | Bin::DivU
        | Bin::Rem
        | Bin::RemU
        | Bin::Max
        | Bin::Min
        | Bin::MaxNan
        | Bin::MinNan
        | Bin::Shl
        | Bin::ShrU
        | Bin::ShrS
        | Bin::Scale => false,
    }
}

/// How numbers are compared as floats, by the number in instructions: unordered, not less nor equal...
pub(super) mod float_compare {
    pub const EQ: u8 = 0;
    pub const NE: u8 = 4;
    pub const LT: u8 = 17;
    pub const LE: u8 = 18;
    pub const GE: u8 = 29;
    pub const UNORDERED: u8 = 3;
    pub const ORDERED: u8 = 7;
}

impl Selector<'_> {
    /// An operation on one register.
    pub fn unary(&mut self, kind: Kind, f: Un, a: Val) -> Result<Val, CodegenError> {
        let class = kind.class;
        let sign = 1u64 << (class.bits() - 1);
        let code = |narrow, wide| by_width(class, narrow, wide);
        let xor = code(
            EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpxorq_zmm_k1z_zmm_zmmm512b64,
        );
        let and = code(
            EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpandq_zmm_k1z_zmm_zmmm512b64,
        );
        let subtract = code(
            EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32,
            EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64,
        );
        let abs = code(
            EVEX_Vpabsd_zmm_k1z_zmmm512b32,
            EVEX_Vpabsq_zmm_k1z_zmmm512b64,
        );
        match (f, class) {
            (Un::Not, Class::Mask) => Ok(Val::One(self.not_k(a.first()))),
            (Un::Neg, Class::F32 | Class::F64) => {
                Ok(a.map(|x| self.binary_const(xor, x, class, sign)))
            }
            (Un::Neg, Class::I32 | Class::I64) => Ok(a.map(|x| {
                let zero = self.splat_const(class, 0);
                self.binary_z(subtract, zero, x)
            })),
            (Un::Abs, Class::F32 | Class::F64) => {
                Ok(a.map(|x| self.binary_const(and, x, class, sign - 1)))
            }
            (Un::Abs, Class::I32 | Class::I64) => Ok(a.map(|x| self.unary_z(abs, x))),
            (Un::Not, Class::I32 | Class::I64) => {
                Ok(a.map(|x| self.binary_const(xor, x, class, u64::MAX)))
            }
            (Un::Wrap(narrow), Class::I32) => Ok(a.map(|x| self.wrap(narrow, x))),
            (_, Class::F32 | Class::F64) => self.unary_float(kind, f, a),
            (_, Class::I32 | Class::I64 | Class::Mask) => Err(no_such(f, class)),
        }
    }

    /// The rest of them, on floats.
    fn unary_float(&mut self, kind: Kind, f: Un, a: Val) -> Result<Val, CodegenError> {
        let class = kind.class;
        let round = by_width(
            class,
            EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae,
            EVEX_Vrndscalepd_zmm_k1z_zmmm512b64_imm8_sae,
        );
        let sqrt = by_width(
            class,
            EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er,
            EVEX_Vsqrtpd_zmm_k1z_zmmm512b64_er,
        );
        Ok(match (f, class) {
            (Un::Floor, _) => a.map(|x| self.unary_imm(round, x, 9)),
            (Un::Round, _) => a.map(|x| self.unary_imm(round, x, 8)),
            (Un::Trunc, _) => a.map(|x| self.unary_imm(round, x, 11)),
            (Un::Sqrt, _) => a.map(|x| self.unary_z(sqrt, x)),
            (Un::RoundF16, Class::F32) => a.map(|x| {
                let half = self.narrow_f16(x);
                self.widen_f16(half)
            }),
            (Un::RoundBF16, Class::F32) => a.map(|x| {
                let half = self.narrow_bf16(x);
                self.widen_bf16(half)
            }),
            _ => return Err(no_such(f, class)),
        })
    }

    fn not_k(&mut self, x: VReg) -> VReg {
        let result = self.mask();
        let inst = Inst::new(VEX_Knotw_kr_kr).def(result, View::K);
        self.push(inst.read(x, View::K));
        result
    }

    fn wrap(&mut self, narrow: Narrow, x: VReg) -> VReg {
        let (bits, signed) = match narrow {
            Narrow::U8 => (24, false),
            Narrow::U16 => (16, false),
            Narrow::I8 => (24, true),
            Narrow::I16 => (16, true),
        };
        let up = self.unary_imm(EVEX_Vpslld_zmm_k1z_zmmm512b32_imm8, x, bits);
        let down = match signed {
            true => EVEX_Vpsrad_zmm_k1z_zmmm512b32_imm8,
            false => EVEX_Vpsrld_zmm_k1z_zmmm512b32_imm8,
        };
        self.unary_imm(down, up, bits)
    }

    /// An operation on two registers.
    pub fn binary(&mut self, kind: Kind, f: Bin, a: Reg, b: Reg) -> Result<Val, CodegenError> {
        if kind.class == Class::Mask {
            let (a, b) = (self.reg(a)?.first(), self.reg(b)?.first());
            let code = match f {
                Bin::And => VEX_Kandw_kr_kr_kr,
                Bin::Or => VEX_Korw_kr_kr_kr,
                Bin::Xor => VEX_Kxorw_kr_kr_kr,
                _ => return Err(no_such(f, kind.class)),
            };
            return Ok(Val::One(self.binary_k(code, a, b)));
        }
        let swap = commutes(f) && self.known(a).is_some();
        let (a, b) = if swap { (b, a) } else { (a, b) };
        if let (Some(code), Some(bits)) = (binary_code(f, kind.class), self.known(b)) {
            let a = self.reg(a)?;
            return Ok(a.map(|x| self.binary_const(code, x, kind.class, bits)));
        }
        let (a, b) = (self.reg(a)?, self.reg(b)?);
        if kind.class == Class::I64
            && matches!(
                f,
                Bin::MulHighU | Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU
            )
        {
            return Ok(self.lane_by_lane(kind, f, a, b));
        }
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for (&a, &b) in a.parts().iter().zip(b.parts()) {
            parts.push(self.part_binary(kind, f, a, b)?);
        }
        Ok(Val::from_parts(&parts))
    }

    /// An operation on two vectors that hold corresponding parts.
    pub fn part_binary(
        &mut self,
        kind: Kind,
        f: Bin,
        x: VReg,
        y: VReg,
    ) -> Result<VReg, CodegenError> {
        let class = kind.class;
        if let Some(code) = binary_code(f, class) {
            return Ok(self.binary_z(code, x, y));
        }
        Ok(match (f, class) {
            (Bin::MaxNan | Bin::MinNan, Class::F32 | Class::F64) => {
                let plain = if f == Bin::MaxNan { Bin::Max } else { Bin::Min };
                let code = binary_code(plain, class).ok_or_else(|| no_such(f, class))?;
                let compare = by_width(
                    class,
                    EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
                    EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
                );
                // The plain instruction gives the second operand if one is NaN; where it is the first, that stays.
                let number = self.compare_z(compare, x, x, float_compare::ORDERED);
                let result = self.vector();
                let merge = self.merging_binary(code, result, x, y);
                self.push(merge.merging(number));
                result
            }
            (Bin::MulHighU, Class::I32) => self.multiply_high(x, y),
            (Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU, Class::I32) => self.divide_lanes(f, x, y),
            _ => return Err(no_such(f, class)),
        })
    }

    /// `code` with the register of its first operand for the result.
    fn merging_binary(&mut self, code: Code, result: VReg, x: VReg, y: VReg) -> Inst {
        Inst::new(code)
            .update(result, x, View::Z)
            .again(0, View::Z)
            .read(y, View::Z)
    }

    /// Upper halves of products of 32 bits: of the even lanes, and of the odd ones moved down.
    fn multiply_high(&mut self, x: VReg, y: VReg) -> VReg {
        let multiply = EVEX_Vpmuludq_zmm_k1z_zmm_zmmm512b64;
        let down = EVEX_Vpsrlq_zmm_k1z_zmmm512b64_imm8;
        let even = self.binary_z(multiply, x, y);
        let even = self.unary_imm(down, even, 32);
        let (x, y) = (self.unary_imm(down, x, 32), self.unary_imm(down, y, 32));
        let odd = self.binary_z(multiply, x, y);
        let odd_lanes = self.number(0xaaaa);
        let odd_lanes = self.mask_from(odd_lanes);
        self.blend(false, odd_lanes, odd, even)
    }

    /// Quotients or remainders of 32-bit integers by way of f64, where quotients are exact once truncated.
    fn divide_lanes(&mut self, f: Bin, x: VReg, y: VReg) -> VReg {
        let unsigned = matches!(f, Bin::DivU | Bin::RemU);
        let (widen, narrow) = match unsigned {
            true => (
                EVEX_Vcvtudq2pd_zmm_k1z_ymmm256b32_er,
                EVEX_Vcvttpd2udq_ymm_k1z_zmmm512b64_sae,
            ),
            false => (
                EVEX_Vcvtdq2pd_zmm_k1z_ymmm256b32_er,
                EVEX_Vcvttpd2dq_ymm_k1z_zmmm512b64_sae,
            ),
        };
        let halves = [false, true].map(|upper| {
            let [x, y] = [x, y].map(|v| {
                let half = if upper { self.upper_half(v) } else { v };
                self.widen(widen, half)
            });
            let quotient = self.binary_z(EVEX_Vdivpd_zmm_k1z_zmm_zmmm512b64_er, x, y);
            self.narrow(narrow, quotient)
        });
        let quotient = self.join_halves(halves[0], halves[1]);
        let result = match f {
            Bin::Div | Bin::DivU => quotient,
            _ => {
                let product = self.binary_z(EVEX_Vpmulld_zmm_k1z_zmm_zmmm512b32, quotient, y);
                self.binary_z(EVEX_Vpsubd_zmm_k1z_zmm_zmmm512b32, x, product)
            }
        };
        self.unless_zero(false, y, result)
    }

    /// Division by zero gives zero: `result` where the divisor is another number.
    fn unless_zero(&mut self, wide: bool, divisor: VReg, result: VReg) -> VReg {
        let (test, move_) = match wide {
            true => (
                EVEX_Vptestmq_kr_k1_zmm_zmmm512b64,
                EVEX_Vmovapd_zmm_k1z_zmmm512,
            ),
            false => (
                EVEX_Vptestmd_kr_k1_zmm_zmmm512b32,
                EVEX_Vmovaps_zmm_k1z_zmmm512,
            ),
        };
        let (mask, safe) = (self.mask(), self.vector());
        let inst = Inst::new(test).def(mask, View::K).read(divisor, View::Z);
        self.push(inst.read(divisor, View::Z));
        let inst = Inst::new(move_).def(safe, View::Z).read(result, View::Z);
        self.push(inst.zeroing(mask));
        safe
    }

    /// Operations on 64-bit integers for which there are scalar instructions only.
    fn lane_by_lane(&mut self, kind: Kind, f: Bin, a: Val, b: Val) -> Val {
        let signed = matches!(f, Bin::Div | Bin::Rem);
        let divides = f != Bin::MulHighU;
        self.spill(a, kind, 0);
        self.spill(b, kind, 128);
        for lane in 0..kind.lanes() as i32 {
            let [x, y] = [0, 128].map(|column| {
                let v = self.general();
                let load = Inst::new(Mov_r64_rm64).def(v, View::R64);
                self.push(load.memory(Place::frame(column + 8 * lane)));
                v
            });
            let result = match (divides, signed) {
                (false, _) => self.multiply_high_general(x, y),
                (true, true) => {
                    // Lanes that do not count must not trap either: by 0 or -1 is division by 1 here.
                    let one = self.number(1);
                    let next = self.add_number(y, 1);
                    let safe = self.unless_above(next, one, y);
                    let [quotient, rest] = self.divide(Idiv_rm64, x, safe);
                    if f == Bin::Div { quotient } else { rest }
                }
                (true, false) => {
                    let one = self.number(1);
                    self.test(y);
                    let safe = self.general2(Cmove_r64_rm64, y, one);
                    let [quotient, rest] = self.divide(Div_rm64, x, safe);
                    if f == Bin::DivU { quotient } else { rest }
                }
            };
            let store = Inst::new(Mov_rm64_r64).memory(Place::frame(8 * lane));
            self.push(store.read(result, View::R64));
        }
        let result = self.unspill(kind, 0);
        // What is left of a division by 1 is zero already.
        let result = match f {
            Bin::Div | Bin::DivU => {
                let both = b.parts().iter().zip(result.parts());
                let parts: SmallVec<[VReg; 2]> =
                    both.map(|(&y, &q)| self.unless_zero(true, y, q)).collect();
                Val::from_parts(&parts)
            }
            _ => result,
        };
        match signed {
            true => self.by_minus_one(kind, f, [a, b], result),
            false => result,
        }
    }

    /// `y`, but 1 where `next` (`y + 1`) is 0 or 1.
    fn unless_above(&mut self, next: VReg, one: VReg, y: VReg) -> VReg {
        let compare = Inst::new(Cmp_r64_rm64).read(next, View::R64);
        self.push(compare.read(one, View::R64));
        self.general2(Cmovbe_r64_rm64, y, one)
    }

    /// Division by -1 is negation, which wraps, and leaves no rest.
    fn by_minus_one(&mut self, kind: Kind, f: Bin, [a, b]: [Val; 2], result: Val) -> Val {
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|i| {
                let compare = EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8;
                let is = self.compare_const(compare, b.parts()[i], Class::I64, u64::MAX, 0);
                let zero = self.splat_const(Class::I64, 0);
                let other = match f {
                    Bin::Div => {
                        self.binary_z(EVEX_Vpsubq_zmm_k1z_zmm_zmmm512b64, zero, a.parts()[i])
                    }
                    _ => zero,
                };
                self.blend(true, is, other, result.parts()[i])
            })
            .collect();
        Val::from_parts(&parts)
    }

    fn multiply_high_general(&mut self, x: VReg, y: VReg) -> VReg {
        use super::machine::gpr;
        use regalloc2::Operand;
        let [low, high] = [(); 2].map(|()| self.general());
        let mut inst = Inst::new(Mul_rm64).read(y, View::R64);
        inst.operand(Operand::reg_fixed_use(x, gpr::RAX));
        inst.operand(Operand::reg_fixed_def(low, gpr::RAX));
        inst.operand(Operand::reg_fixed_def(high, gpr::RDX));
        self.push(inst);
        high
    }

    /// `a * b + c`, rounded once. The result takes the place of an operand, best of one that is not needed any more,
    /// and a constant can be the operand in memory.
    pub fn multiply_add(&mut self, kind: Kind, [a, b, c]: [Reg; 3]) -> Result<Val, CodegenError> {
        let swap = match (self.known(a), self.known(b)) {
            (Some(_), None) => true,
            (None, None) => self.dies(b) && !self.dies(a),
            (_, Some(_)) => false,
        };
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let onto_sum = self.dies(c) || !self.dies(a);
        let (form, [first, second, third]) = match (self.known(b), self.known(c)) {
            // What is read for this instruction alone is not needed any more either.
            (Some(_), Some(_)) => (Fma::ProductPlus, [b, a, c]),
            (None, Some(_)) => (Fma::ProductPlus, [a, b, c]),
            (_, None) if onto_sum => (Fma::SumPlus, [c, a, b]),
            (Some(_), None) => (Fma::FactorTimes, [a, c, b]),
            (None, None) => (Fma::ProductPlus, [a, b, c]),
        };
        let code = form.code(kind.class);
        let known = self.known(third);
        let (x, y) = (self.reg(first)?, self.reg(second)?);
        let z = match known {
            Some(_) => None,
            None => Some(self.reg(third)?),
        };
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|i| {
                let result = self.vector();
                let inst = Inst::new(code).update(result, x.parts()[i], View::Z);
                let inst = inst.read(y.parts()[i], View::Z);
                let inst = match (z, known) {
                    (Some(z), _) => inst.read(z.parts()[i], View::Z),
                    (None, bits) => {
                        inst.memory(self.everywhere(kind.class, bits.unwrap_or_default()))
                    }
                };
                self.push(inst);
                result
            })
            .collect();
        Ok(Val::from_parts(&parts))
    }

    /// A comparison.
    pub fn compare_lanes(&mut self, f: Cmp, a: Reg, b: Reg) -> Result<Val, CodegenError> {
        let kind = self.kind(a)?;
        let class = kind.class;
        let (code, imm) = match (class, f) {
            (Class::F32 | Class::F64, Cmp::Eq | Cmp::Ne | Cmp::Lt | Cmp::Le) => (
                by_width(
                    class,
                    EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae,
                    EVEX_Vcmppd_kr_k1_zmm_zmmm512b64_imm8_sae,
                ),
                match f {
                    Cmp::Eq => float_compare::EQ,
                    Cmp::Ne => float_compare::NE,
                    Cmp::Lt => float_compare::LT,
                    _ => float_compare::LE,
                },
            ),
            (Class::I32 | Class::I64, Cmp::LtU | Cmp::LeU) => (
                by_width(
                    class,
                    EVEX_Vpcmpud_kr_k1_zmm_zmmm512b32_imm8,
                    EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8,
                ),
                if f == Cmp::LtU { 1 } else { 2 },
            ),
            (Class::I32 | Class::I64, _) => (
                by_width(
                    class,
                    EVEX_Vpcmpd_kr_k1_zmm_zmmm512b32_imm8,
                    EVEX_Vpcmpq_kr_k1_zmm_zmmm512b64_imm8,
                ),
                match f {
                    Cmp::Eq => 0,
                    Cmp::Ne => 4,
                    Cmp::Lt => 1,
                    _ => 2,
                },
            ),
            (Class::F32 | Class::F64 | Class::Mask, _) => return Err(no_such(f, class)),
        };
        let known = self.known(b);
        let x = self.reg(a)?;
        let mut parts = SmallVec::<[VReg; 2]>::new();
        match known {
            Some(bits) => {
                for &x in x.parts() {
                    parts.push(self.compare_const(code, x, class, bits, imm));
                }
            }
            None => {
                let y = self.reg(b)?;
                for (&x, &y) in x.parts().iter().zip(y.parts()) {
                    parts.push(self.compare_z(code, x, y, imm));
                }
            }
        }
        Ok(Val::One(self.join_masks(&parts)))
    }

    /// First where the mask is set, else second.
    pub fn select(&mut self, kind: Kind, [mask, a, b]: [Reg; 3]) -> Result<Val, CodegenError> {
        let [mask, a, b] = [self.reg(mask)?, self.reg(a)?, self.reg(b)?];
        let mask = mask.first();
        if kind.class == Class::Mask {
            let yes = self.binary_k(VEX_Kandw_kr_kr_kr, mask, a.first());
            let no = self.binary_k(VEX_Kandnw_kr_kr_kr, mask, b.first());
            return Ok(Val::One(self.binary_k(VEX_Korw_kr_kr_kr, yes, no)));
        }
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|i| {
                let mask = self.mask_part(mask, i);
                self.blend(kind.is_wide(), mask, a.parts()[i], b.parts()[i])
            })
            .collect();
        Ok(Val::from_parts(&parts))
    }
}
