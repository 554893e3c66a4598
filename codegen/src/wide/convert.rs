//! Changes of class, and half floats.

use super::machine::{Inst, Place, View};
use super::ops::{float_compare, no_such};
use super::select::Selector;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Bin, Class, Cmp, Conv};
use iced_x86::Code::{self, *};
use regalloc2::VReg;
use smallvec::SmallVec;

/// 2 to the power 52 and 84: doubles in whose low 32 bits one stands for 1 and for 2 to the power 32.
const COUNTS_ONES: u64 = 0x4330_0000_0000_0000;
const COUNTS_UPPER: u64 = 0x4530_0000_0000_0000;

impl Selector<'_> {
    /// An instruction for a change of class, on all parts.
    fn converted(&mut self, to: Kind, from: Kind, code: Code, a: Val) -> Val {
        match (from.is_wide(), to.is_wide()) {
            (false, true) => self.widen_all(to, code, a.first()),
            (true, false) => self.narrow_all(code, a),
            (false, false) | (true, true) => a.map(|x| self.unary_v(code, x)),
        }
    }

    /// Lanes of 32 bits to lanes of 64.
    fn widen_all(&mut self, to: Kind, code: Code, v: VReg) -> Val {
        let low = self.widen(code, v);
        if !to.full {
            return Val::One(low);
        }
        let upper = self.upper_half(v);
        Val::Two([low, self.widen(code, upper)])
    }

    /// Lanes of 64 bits to lanes of 32.
    fn narrow_all(&mut self, code: Code, v: Val) -> Val {
        let narrow = v.map(|part| self.narrow(code, part));
        match narrow {
            Val::One(v) => Val::One(v),
            Val::Two([low, high]) => Val::One(self.join_halves(low, high)),
        }
    }

    /// `f` of a register.
    pub fn convert(&mut self, to: Kind, from: Kind, f: Conv, a: Val) -> Result<Val, CodegenError> {
        use Class::{F32, F64, I32, I64, Mask};
        let code = self.target.codes.conversion(f, from.class, to.class);
        if f == Conv::ToInt {
            return self.truncate(to, from, code, a);
        }
        if let Some(code) = code {
            return Ok(self.converted(to, from, code, a));
        }
        match (f, from.class, to.class) {
            (Conv::FromUint, I32, F32) => self.each_part(a, |s, x| s.compose_from_u32(x)),
            (Conv::FromUint, I32, F64) => {
                let wide = to.with(I64);
                let extended = self.convert(wide, from, Conv::Uint, a)?;
                self.each_part(extended, |s, x| s.compose_double(x))
            }
            (Conv::FromInt, I64, F64) => self.each_part(a, |s, x| s.compose_from_wide(true, x)),
            (Conv::FromUint, I64, F64) => self.each_part(a, |s, x| s.compose_from_wide(false, x)),
            (Conv::FromInt, I64, F32) => Ok(self.float_lane_by_lane(to, a)),
            (Conv::FromUint, I64, F32) => self.compose_from_u64(to, from, a),
            (Conv::Int, I64, I32) => Ok(Val::One(self.low_halves(a))),
            (Conv::Bits, F32 | I32, F32 | I32) | (Conv::Bits, F64 | I64, F64 | I64) => Ok(a),
            (Conv::FromMask, Mask, F32 | F64 | I32 | I64) => {
                let one = match to.class {
                    F32 => 1f32.to_bits().into(),
                    F64 => 1f64.to_bits(),
                    I32 | I64 | Mask => 1,
                };
                self.choose_const(to, a, one)
            }
            (Conv::SpreadMask, Mask, I32 | I64) => self.spread_mask(to, a),
            (
                Conv::Float
                | Conv::FromInt
                | Conv::FromUint
                | Conv::ToInt
                | Conv::Int
                | Conv::Uint
                | Conv::Bits
                | Conv::FromMask
                | Conv::SpreadMask,
                _,
                _,
            ) => Err(no_such(f, from.class)),
        }
    }

    /// Unsigned integers of 32 bits as floats: both halves, which are exact, and one sum.
    fn compose_from_u32(&mut self, x: VReg) -> Result<VReg, CodegenError> {
        let codes = &self.target.codes;
        let (down, sum) = (codes.shift_right[0], codes.factor_times[0]);
        let convert = { codes.conversion(Conv::FromInt, Class::I32, Class::F32) }
            .ok_or_else(|| no_such(Conv::FromInt, Class::I32))?;
        let and = self.code(Bin::And, Class::I32)?;
        let upper = self.unary_imm(down, x, 16);
        let upper = self.unary_v(convert, upper);
        let lower = self.binary_v(and, x, (Class::I32, 0xffff));
        let lower = self.unary_v(convert, lower);
        let (result, full) = (self.vector(), self.target.full);
        let inst = Inst::new(sum).update(result, upper, full).read(lower, full);
        let factor = (Class::F32, u64::from(65536f32.to_bits()));
        let inst = self.read_source(inst, factor.into());
        self.push(inst);
        Ok(result)
    }

    /// Numbers below 2 to the power 32, in lanes of 64 bits, as doubles.
    fn compose_double(&mut self, x: VReg) -> Result<VReg, CodegenError> {
        let or = self.code(Bin::Or, Class::I64)?;
        let subtract = self.code(Bin::Sub, Class::F64)?;
        let counted = self.binary_v(or, x, (Class::I64, COUNTS_ONES));
        Ok(self.binary_v(subtract, counted, (Class::F64, COUNTS_ONES)))
    }

    /// 64-bit integers as doubles: the lower half counted in ones, the upper in 2 to the power 32, and a sum, which is the
    /// only step that rounds. The sign is taken for a part of an unsigned number that is 2 to the power 63 too large.
    fn compose_from_wide(&mut self, signed: bool, x: VReg) -> Result<VReg, CodegenError> {
        let class = Class::I64;
        let down = self.target.codes.shift_right[1];
        let [and, or, flip] = [Bin::And, Bin::Or, Bin::Xor].map(|f| self.code(f, class));
        let [add, subtract] = [Bin::Add, Bin::Sub].map(|f| self.code(f, Class::F64));
        let excess = if signed { 1u64 << 31 } else { 0 };
        let lower = self.binary_v(and?, x, (class, u64::from(u32::MAX)));
        let lower = self.binary_v(or?, lower, (class, COUNTS_ONES));
        let upper = self.unary_imm(down, x, 32);
        let upper = self.binary_v(flip?, upper, (class, COUNTS_UPPER + excess));
        // 2^84, 2^63 if the number is signed, and 2^52, which is a million times 2^32.
        let all = COUNTS_UPPER + excess + (1 << 20);
        let upper = self.binary_v(subtract?, upper, (Class::F64, all));
        Ok(self.binary_v(add?, upper, lower))
    }

    /// 64-bit integers as f32, which must round once: there is an instruction for one of them only.
    fn float_lane_by_lane(&mut self, to: Kind, a: Val) -> Val {
        self.spill(a, to.with(Class::I64), 0);
        let zero = self.splat_const(Class::F32, 0);
        let mut quarters = SmallVec::<[VReg; 4]>::new();
        for lane in 0..self.lanes(to) as i32 {
            let float = self.vector();
            let inst = Inst::new(VEX_Vcvtsi2ss_xmm_xmm_rm64).def(float, View::X);
            let inst = inst.read(zero, View::X);
            self.push(inst.memory(Place::frame(8 * lane)));
            match quarters.last_mut() {
                Some(last) if lane % 4 > 0 => {
                    let joined = self.vector();
                    let inst = Inst::new(self.target.codes.insert[0]).def(joined, View::X);
                    let inst = inst.read(*last, View::X).read(float, View::X);
                    self.push(inst.imm8(((lane % 4) << 4) as u8));
                    *last = joined;
                }
                Some(_) | None => quarters.push(float),
            }
        }
        self.join_quarters(quarters)
    }

    /// Numbers above the signed ones are halved, and the last bit is kept for rounding.
    fn compose_from_u64(&mut self, to: Kind, from: Kind, a: Val) -> Result<Val, CodegenError> {
        let class = Class::I64;
        let down = self.target.codes.shift_right[1];
        let [and, or] = [self.code(Bin::And, class)?, self.code(Bin::Or, class)?];
        let add = self.code(Bin::Add, Class::F32)?;
        let (mut halved, mut large) = (SmallVec::<[VReg; 2]>::new(), SmallVec::<[VReg; 2]>::new());
        for &x in a.parts() {
            let half = self.unary_imm(down, x, 1);
            let last = self.binary_v(and, x, (class, 1));
            let half = self.binary_v(or, half, last);
            let negative = self.test_int(class, Cmp::Lt, x, (class, 0))?;
            halved.push(self.blend(class, negative, half, x));
            large.push(negative);
        }
        let large = self.join_masks(&large);
        let float = self.convert(to, from, Conv::FromInt, Val::from_parts(&halved))?;
        let float = float.first();
        let double = self.binary_v(add, float, float);
        let large = self.mask_part(large, Class::F32, 0);
        Ok(Val::One(self.blend(Class::F32, large, double, float)))
    }

    /// Half a vector of 32-bit integers as doubles.
    pub fn double_from(&mut self, unsigned: bool, half: VReg) -> Result<VReg, CodegenError> {
        let codes = &self.target.codes;
        let f = if unsigned {
            Conv::FromUint
        } else {
            Conv::FromInt
        };
        if let Some(code) = codes.conversion(f, Class::I32, Class::F64) {
            return Ok(self.widen(code, half));
        }
        let extend = codes.conversion(Conv::Uint, Class::I32, Class::I64);
        let extend = extend.ok_or_else(|| no_such(f, Class::I32))?;
        let wide = self.widen(extend, half);
        self.compose_double(wide)
    }

    /// Doubles that are no larger than 32-bit integers, truncated, as these.
    pub fn truncated_doubles(
        &mut self,
        unsigned: bool,
        both: [VReg; 2],
    ) -> Result<VReg, CodegenError> {
        let codes = &self.target.codes;
        let code = match unsigned {
            true => codes.truncate_unsigned,
            false => codes.conversion(Conv::ToInt, Class::F64, Class::I32),
        };
        if let Some(code) = code {
            return Ok(self.narrow_all(code, Val::Two(both)).first());
        }
        let round = codes.round[1];
        let add = self.code(Bin::Add, Class::F64)?;
        let counted = both.map(|x| {
            let whole = self.unary_imm(round, x, 11);
            self.binary_v(add, whole, (Class::F64, COUNTS_ONES))
        });
        Ok(self.low_halves(Val::Two(counted)))
    }

    /// Truncation that saturates. The instructions give the least integer for what does not fit and for
    /// NaN.
    fn truncate(
        &mut self,
        to: Kind,
        from: Kind,
        code: Option<Code>,
        a: Val,
    ) -> Result<Val, CodegenError> {
        if !from.class.is_float() || !to.class.is_int() {
            return Err(no_such(Conv::ToInt, from.class));
        }
        let least = match code {
            Some(code) => self.converted(to, from, code, a),
            None => {
                let doubles = match from.is_wide() {
                    true => a,
                    false => self.convert(to.with(Class::F64), from, Conv::Float, a)?,
                };
                self.each_part(doubles, |s, x| s.compose_truncation(x))?
            }
        };
        let limit = 2f64.powi(to.class.bits() as i32 - 1);
        let limit = match from.is_wide() {
            true => limit.to_bits(),
            false => u64::from((limit as f32).to_bits()),
        };
        let greatest = match to.class {
            Class::I32 => i32::MAX as u64,
            _ => i64::MAX as u64,
        };
        let masks = [false, true].map(|nan| {
            let parts: SmallVec<[VReg; 2]> = { a.parts().iter() }
                .map(|&x| match nan {
                    true => self.test_float(from.class, x, x, float_compare::UNORDERED),
                    false => {
                        let limit = (from.class, limit);
                        self.test_float(from.class, x, limit, float_compare::GE)
                    }
                })
                .collect();
            self.join_masks(&parts)
        });
        let mut result = least;
        for (mask, bits) in masks.into_iter().zip([greatest, 0]) {
            let parts: SmallVec<[VReg; 2]> = (0..to.parts())
                .map(|i| {
                    let mask = self.mask_part(mask, to.class, i);
                    self.blend(to.class, mask, (to.class, bits), result.parts()[i])
                })
                .collect();
            result = Val::from_parts(&parts);
        }
        Ok(result)
    }

    /// Doubles truncated to 64-bit integers, the least one for those below; what is above, or NaN, gives anything. The
    /// number is taken apart into multiples of 2 to the power 32 and the rest, which are counted each in a double of which
    /// the last bit counts ones.
    fn compose_truncation(&mut self, x: VReg) -> Result<VReg, CodegenError> {
        let class = Class::F64;
        let codes = &self.target.codes;
        let (round, up, sum) = (codes.round[1], codes.shift_left[1], codes.sum_plus[1]);
        let [max, multiply, add] = [Bin::Max, Bin::Mul, Bin::Add].map(|f| self.code(f, class));
        let [flip, or] = [Bin::Xor, Bin::Or].map(|f| self.code(f, Class::I64));
        let add = add?;
        let number = |x: f64| (class, x.to_bits());
        let x = self.binary_v(max?, x, number(-2f64.powi(63)));
        let whole = self.unary_imm(round, x, 11);
        let upper = self.binary_v(multiply?, whole, number(2f64.powi(-32)));
        let upper = self.unary_imm(round, upper, 9);
        let (lower, full) = (self.vector(), self.target.full);
        let inst = Inst::new(sum).update(lower, whole, full).read(upper, full);
        let inst = self.read_source(inst, number(-2f64.powi(32)).into());
        self.push(inst);
        let lower = self.binary_v(add, lower, (class, COUNTS_ONES));
        let lower = self.binary_v(flip?, lower, (Class::I64, COUNTS_ONES));
        // Half as much again, so that negative numbers count too.
        let upper = self.binary_v(add, upper, (class, COUNTS_ONES + (1 << 51)));
        let upper = self.unary_imm(up, upper, 32);
        Ok(self.binary_v(or?, upper, lower))
    }

    /// f32 as f16 in the lower half.
    pub fn narrow_f16(&mut self, v: VReg) -> VReg {
        let (result, target) = (self.vector(), self.target);
        let inst = Inst::new(target.codes.float_to_half).def(result, target.half);
        self.push(inst.read(v, target.full).imm8(0));
        result
    }

    /// f16 in the lower half as f32.
    pub fn widen_f16(&mut self, half: VReg) -> VReg {
        self.widen(self.target.codes.half_to_float, half)
    }

    /// f32 rounded to bf16, in the lower halves of 32-bit lanes. (AVX-512's instruction for this takes small numbers for
    /// zero.)
    pub fn narrow_bf16(&mut self, v: VReg) -> Result<VReg, CodegenError> {
        let class = Class::I32;
        let down = self.target.codes.shift_right[0];
        let [and, or] = [self.code(Bin::And, class)?, self.code(Bin::Or, class)?];
        let add = self.code(Bin::Add, class)?;
        let upper = self.unary_imm(down, v, 16);
        let odd = self.binary_v(and, upper, (class, 1));
        let biased = self.binary_v(add, v, (class, 0x7fff));
        let rounded = self.binary_v(add, biased, odd);
        let rounded = self.unary_imm(down, rounded, 16);
        let nan = self.binary_v(or, upper, (class, 0x40));
        let is_nan = self.test_float(Class::F32, v, v, float_compare::UNORDERED);
        Ok(self.blend(class, is_nan, nan, rounded))
    }

    /// bf16 in the lower halves of 32-bit lanes as f32.
    pub fn widen_bf16(&mut self, half: VReg) -> VReg {
        self.unary_imm(self.target.codes.shift_left[0], half, 16)
    }
}
