//! Operations on registers: everything lane-wise that changes no class.

use super::machine::{Inst, Place, View};
use super::select::Selector;
use super::target::by;
use super::value::{Kind, Source, Val};
use crate::CodegenError;
use crate::vector::eval::SIXTEENTH_POWERS;
use crate::vector::{Bin, Class, Cmp, Narrow, Reg, Un};
use iced_x86::Code::{self, *};
use regalloc2::VReg;
use smallvec::SmallVec;

/// An operation that does not exist for a class.
pub(super) fn no_such(what: impl std::fmt::Debug, class: Class) -> CodegenError {
    CodegenError::Malformed(format!("{what:?} on {class:?}"))
}

/// Operations whose operands can be exchanged without changing any bit of the result, NaNs aside.
pub(super) fn commutes(f: Bin) -> bool {
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
        | Bin::Scale
        | Bin::ScaleFloor => false,
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
    /// The instruction for an operation on two vectors, which the machine must have.
    pub fn code(&self, f: Bin, class: Class) -> Result<Code, CodegenError> {
        { self.target.codes.binary(f, class) }.ok_or_else(|| no_such(f, class))
    }

    /// `f` of all parts.
    pub fn each_part(
        &mut self,
        a: Val,
        mut f: impl FnMut(&mut Self, VReg) -> Result<VReg, CodegenError>,
    ) -> Result<Val, CodegenError> {
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for &x in a.parts() {
            parts.push(f(self, x)?);
        }
        Ok(Val::from_parts(&parts))
    }

    /// An operation on one register.
    pub fn unary(&mut self, kind: Kind, f: Un, a: Val) -> Result<Val, CodegenError> {
        let class = kind.class;
        let sign = 1u64 << (class.bits() - 1);
        let with = |s: &mut Self, f, bits| {
            let code = s.code(f, class)?;
            s.each_part(a, |s, x| Ok(s.binary_v(code, x, (class, bits))))
        };
        match (f, class) {
            (Un::Not, Class::Mask) => self.not_mask(a),
            (Un::Neg, Class::F32 | Class::F64) => with(self, Bin::Xor, sign),
            (Un::Neg, Class::I32 | Class::I64) => {
                let subtract = self.code(Bin::Sub, class)?;
                Ok(a.map(|x| {
                    let zero = self.splat_const(class, 0);
                    self.binary_v(subtract, zero, x)
                }))
            }
            (Un::Abs, Class::F32 | Class::F64) => with(self, Bin::And, sign - 1),
            (Un::Abs, Class::I32 | Class::I64) => match self.target.codes.abs[by(class)] {
                Some(abs) => Ok(a.map(|x| self.unary_v(abs, x))),
                None => self.each_part(a, |s, x| s.compose_abs(class, x)),
            },
            (Un::Not, Class::I32 | Class::I64) => {
                with(self, Bin::Xor, u64::MAX >> (64 - class.bits()))
            }
            (Un::Wrap(narrow), Class::I32) => Ok(a.map(|x| self.wrap(narrow, x))),
            (_, Class::F32 | Class::F64) => self.unary_float(kind, f, a),
            (_, Class::I32 | Class::I64 | Class::Mask) => Err(no_such(f, class)),
        }
    }

    /// The rest of them, on floats.
    fn unary_float(&mut self, kind: Kind, f: Un, a: Val) -> Result<Val, CodegenError> {
        let class = kind.class;
        let round = self.target.codes.round[by(class)];
        let sqrt = self.target.codes.sqrt[by(class)];
        match (f, class) {
            (Un::Floor, _) => Ok(a.map(|x| self.unary_imm(round, x, 9))),
            (Un::Round, _) => Ok(a.map(|x| self.unary_imm(round, x, 8))),
            (Un::Trunc, _) => Ok(a.map(|x| self.unary_imm(round, x, 11))),
            (Un::Sqrt, _) => Ok(a.map(|x| self.unary_v(sqrt, x))),
            (Un::RoundF16, Class::F32) => Ok(a.map(|x| {
                let half = self.narrow_f16(x);
                self.widen_f16(half)
            })),
            (Un::RoundBF16, Class::F32) => self.each_part(a, |s, x| {
                let half = s.narrow_bf16(x)?;
                Ok(s.widen_bf16(half))
            }),
            (Un::SixteenthPower, Class::F32) => self.each_part(a, Self::sixteenth_power),
            _ => Err(no_such(f, class)),
        }
    }

    /// A table read by lanes: where a register holds half of it, both halves, of which the index's highest bit chooses.
    fn sixteenth_power(&mut self, x: VReg) -> Result<VReg, CodegenError> {
        let (code, per_register) = (self.target.codes.permute, self.target.bytes() as usize / 4);
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for part in SIXTEENTH_POWERS.chunks_exact(per_register) {
            let place = self.vector_const(|i| part[i / 4].to_bits().to_le_bytes()[i % 4]);
            let result = self.vector();
            let inst = Inst::new(code).def(result, self.target.full);
            self.push(inst.read(x, self.target.full).memory(place));
            parts.push(result);
        }
        match parts[..] {
            [all] => Ok(all),
            [low, high] => {
                let sign = self.unary_imm(self.target.codes.shift_left[0], x, 28);
                Ok(self.blend(Class::F32, sign, high, low))
            }
            _ => Err(no_such(Un::SixteenthPower, Class::F32)),
        }
    }

    fn wrap(&mut self, narrow: Narrow, x: VReg) -> VReg {
        let (bits, signed) = match narrow {
            Narrow::U8 => (24, false),
            Narrow::U16 => (16, false),
            Narrow::I8 => (24, true),
            Narrow::I16 => (16, true),
        };
        let codes = &self.target.codes;
        let up = self.unary_imm(codes.shift_left[0], x, bits);
        let down = match signed {
            true => codes.shift_right_signed,
            false => codes.shift_right[0],
        };
        self.unary_imm(down, up, bits)
    }

    /// An operation on two registers.
    pub fn binary(&mut self, kind: Kind, f: Bin, a: Reg, b: Reg) -> Result<Val, CodegenError> {
        if kind.class == Class::Mask {
            let (a, b) = (self.reg(a)?, self.reg(b)?);
            return self.binary_mask(f, a, b);
        }
        let swap = commutes(f) && self.known(a).is_some();
        let (a, b) = if swap { (b, a) } else { (a, b) };
        let code = self.target.codes.binary(f, kind.class);
        if let (Some(code), Some(bits)) = (code, self.known(b)) {
            let a = self.reg(a)?;
            return Ok(a.map(|x| self.binary_v(code, x, (kind.class, bits))));
        }
        let (a, b) = (self.reg(a)?, self.reg(b)?);
        if kind.class == Class::I64
            && matches!(
                f,
                Bin::MulHighU | Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU
            )
        {
            return self.lane_by_lane(kind, f, a, b);
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
        if let Some(code) = self.target.codes.binary(f, class) {
            return Ok(self.binary_v(code, x, y));
        }
        match (f, class) {
            (Bin::MaxNan | Bin::MinNan, Class::F32 | Class::F64) => {
                // The plain instruction gives the second operand if one is NaN; where it is the first, that stays.
                let plain = if f == Bin::MaxNan { Bin::Max } else { Bin::Min };
                let code = self.code(plain, class)?;
                Ok(self.unless_nan(class, code, x, y))
            }
            (Bin::MulHighU, Class::I32) => Ok(self.multiply_high(x, y)),
            (Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU, Class::I32) => self.divide_lanes(f, x, y),
            (Bin::Scale, Class::F32 | Class::F64) => self.compose_scale(class, x, y),
            (Bin::ScaleFloor, Class::F32 | Class::F64) => {
                let whole = self.unary_imm(self.target.codes.round[by(class)], y, 9);
                self.compose_scale(class, x, whole)
            }
            (Bin::Mul, Class::I64) => self.compose_product(x, y),
            (Bin::ShrS, Class::I64) => self.compose_signed_shift(x, y),
            (Bin::Max | Bin::Min | Bin::MaxU | Bin::MinU, Class::I64) => {
                self.compose_extremum(f, x, y)
            }
            _ => Err(no_such(f, class)),
        }
    }

    /// Upper halves of products of 32 bits: of the even lanes, and of the odd ones moved down.
    fn multiply_high(&mut self, x: VReg, y: VReg) -> VReg {
        let multiply = self.target.codes.multiply_even;
        let down = self.target.codes.shift_right[1];
        let even = self.binary_v(multiply, x, y);
        let even = self.unary_imm(down, even, 32);
        let (x, y) = (self.unary_imm(down, x, 32), self.unary_imm(down, y, 32));
        let odd = self.binary_v(multiply, x, y);
        self.interleave_odd(odd, even)
    }

    /// Quotients or remainders of 32-bit integers by way of f64, where quotients are exact once truncated.
    fn divide_lanes(&mut self, f: Bin, x: VReg, y: VReg) -> Result<VReg, CodegenError> {
        let unsigned = matches!(f, Bin::DivU | Bin::RemU);
        let divide = self.code(Bin::Div, Class::F64)?;
        let mut quotients = SmallVec::<[VReg; 2]>::new();
        for upper in [false, true] {
            let mut wide = [x, y];
            for v in &mut wide {
                let half = if upper { self.upper_half(*v) } else { *v };
                *v = self.double_from(unsigned, half)?;
            }
            quotients.push(self.binary_v(divide, wide[0], wide[1]));
        }
        let quotient = self.truncated_doubles(unsigned, [quotients[0], quotients[1]])?;
        let result = match f {
            Bin::Div | Bin::DivU => quotient,
            _ => {
                let multiply = self.code(Bin::Mul, Class::I32)?;
                let subtract = self.code(Bin::Sub, Class::I32)?;
                let product = self.binary_v(multiply, quotient, y);
                self.binary_v(subtract, x, product)
            }
        };
        self.unless_zero(Class::I32, y, result)
    }

    /// Division by zero gives zero: `result` where the divisor is another number.
    fn unless_zero(
        &mut self,
        class: Class,
        divisor: VReg,
        result: VReg,
    ) -> Result<VReg, CodegenError> {
        let other = self.test_int(class, Cmp::Ne, divisor, (class, 0))?;
        self.keep_lanes(class, other, result)
    }

    /// Operations on 64-bit integers for which there are scalar instructions only.
    fn lane_by_lane(&mut self, kind: Kind, f: Bin, a: Val, b: Val) -> Result<Val, CodegenError> {
        let signed = matches!(f, Bin::Div | Bin::Rem);
        let divides = f != Bin::MulHighU;
        self.spill(a, kind, 0);
        self.spill(b, kind, 128);
        for lane in 0..self.lanes(kind) as i32 {
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
                let mut parts = SmallVec::<[VReg; 2]>::new();
                for (&y, &q) in b.parts().iter().zip(result.parts()) {
                    parts.push(self.unless_zero(Class::I64, y, q)?);
                }
                Val::from_parts(&parts)
            }
            _ => result,
        };
        match signed {
            true => self.by_minus_one(f, [a, b], result),
            false => Ok(result),
        }
    }

    /// `y`, but 1 where `next` (`y + 1`) is 0 or 1.
    fn unless_above(&mut self, next: VReg, one: VReg, y: VReg) -> VReg {
        let compare = Inst::new(Cmp_r64_rm64).read(next, View::R64);
        self.push(compare.read(one, View::R64));
        self.general2(Cmovbe_r64_rm64, y, one)
    }

    /// Division by -1 is negation, which wraps, and leaves no rest.
    fn by_minus_one(&mut self, f: Bin, [a, b]: [Val; 2], result: Val) -> Result<Val, CodegenError> {
        let class = Class::I64;
        let subtract = self.code(Bin::Sub, class)?;
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for (i, &old) in result.parts().iter().enumerate() {
            let is = self.test_int(class, Cmp::Eq, b.parts()[i], (class, u64::MAX))?;
            let other = match f {
                Bin::Div => {
                    let zero = self.splat_const(class, 0);
                    Source::Vector(self.binary_v(subtract, zero, a.parts()[i]))
                }
                _ => Source::Const(class, 0),
            };
            parts.push(self.blend(class, is, other, old));
        }
        Ok(Val::from_parts(&parts))
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
        let codes = &self.target.codes;
        let (forms, [first, second, third]) = match (self.known(b), self.known(c)) {
            // What is read for this instruction alone is not needed any more either.
            (Some(_), Some(_)) => (codes.product_plus, [b, a, c]),
            (None, Some(_)) => (codes.product_plus, [a, b, c]),
            (_, None) if onto_sum => (codes.sum_plus, [c, a, b]),
            (Some(_), None) => (codes.factor_times, [a, c, b]),
            (None, None) => (codes.product_plus, [a, b, c]),
        };
        let class = kind.class;
        let known = self.known(third);
        let (x, y) = (self.reg(first)?, self.reg(second)?);
        let z = match known {
            Some(_) => None,
            None => Some(self.reg(third)?),
        };
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|i| {
                let (result, full) = (self.vector(), self.target.full);
                let inst = Inst::new(forms[by(class)]).update(result, x.parts()[i], full);
                let inst = inst.read(y.parts()[i], full);
                let last = match (z, known) {
                    (Some(z), _) => Source::Vector(z.parts()[i]),
                    (None, bits) => Source::Const(class, bits.unwrap_or_default()),
                };
                let inst = self.read_source(inst, last);
                self.push(inst);
                result
            })
            .collect();
        Ok(Val::from_parts(&parts))
    }

    /// A comparison.
    pub fn compare_lanes(&mut self, f: Cmp, a: Reg, b: Reg) -> Result<Val, CodegenError> {
        let class = self.kind(a)?.class;
        let known = self.known(b);
        let x = self.reg(a)?;
        let y = match known {
            Some(_) => None,
            None => Some(self.reg(b)?),
        };
        let mut parts = SmallVec::<[VReg; 2]>::new();
        for (i, &x) in x.parts().iter().enumerate() {
            let y = match (y, known) {
                (Some(y), _) => Source::Vector(y.parts()[i]),
                (None, bits) => Source::Const(class, bits.unwrap_or_default()),
            };
            let imm = match f {
                Cmp::Eq => Some(float_compare::EQ),
                Cmp::Ne => Some(float_compare::NE),
                Cmp::Lt => Some(float_compare::LT),
                Cmp::Le => Some(float_compare::LE),
                Cmp::LtU | Cmp::LeU => None,
            };
            parts.push(match (class, imm) {
                (Class::F32 | Class::F64, Some(imm)) => self.test_float(class, x, y, imm),
                (Class::I32 | Class::I64, _) => self.test_int(class, f, x, y)?,
                (Class::F32 | Class::F64 | Class::Mask, _) => return Err(no_such(f, class)),
            });
        }
        Ok(self.join_masks(&parts))
    }

    /// First where the mask is set, else second.
    pub fn select(&mut self, kind: Kind, [mask, a, b]: [Reg; 3]) -> Result<Val, CodegenError> {
        let known = self.known(a);
        let mask = self.reg(mask)?;
        let class = kind.class;
        if class == Class::Mask {
            let (a, b) = (self.reg(a)?, self.reg(b)?);
            return Ok(self.select_mask(mask, a, b));
        }
        let a = match known {
            Some(_) => None,
            None => Some(self.reg(a)?),
        };
        let b = self.reg(b)?;
        let parts: SmallVec<[VReg; 2]> = (0..kind.parts())
            .map(|i| {
                let mask = self.mask_part(mask, class, i);
                let yes = match (a, known) {
                    (Some(a), _) => Source::Vector(a.parts()[i]),
                    (None, bits) => Source::Const(class, bits.unwrap_or_default()),
                };
                self.blend(class, mask, yes, b.parts()[i])
            })
            .collect();
        Ok(Val::from_parts(&parts))
    }
}
