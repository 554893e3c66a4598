//! Operations on registers: everything lane-wise that is not integer division or shifting, and
//! fused multiply-add on machines without it.

use super::emit::{Emitter, constant_memory};
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::backend::Helper;
use crate::vector::{Bin, Class, Cmp, Narrow, Reg, Un};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I32, I64};
use cranelift_codegen::ir::{AbiParam, InstBuilder, Signature, Value};
use cranelift_codegen::isa::CallConv;

/// An operation that does not exist for a class.
pub(super) fn no_such(what: impl std::fmt::Debug, class: Class) -> CodegenError {
    CodegenError::Malformed(format!("{what:?} on {class:?}"))
}

impl Emitter<'_> {
    /// An operation on one register.
    pub fn unary(&mut self, kind: Kind, f: Un, a: Val) -> Result<Val, CodegenError> {
        let float = kind.class.is_float();
        Ok(match f {
            Un::Neg if float => self.map1(a, Self::negate),
            Un::Neg => self.map1(a, |e, x| e.b.ins().ineg(x)),
            Un::Abs if float => self.map1(a, Self::magnitude),
            Un::Abs => self.map1(a, |e, x| e.b.ins().iabs(x)),
            Un::Not => self.not(kind, a),
            Un::Floor if float => self.map1(a, |e, x| e.b.ins().floor(x)),
            Un::Round if float => self.map1(a, |e, x| e.b.ins().nearest(x)),
            Un::Trunc if float => self.map1(a, |e, x| e.b.ins().trunc(x)),
            Un::Sqrt if float => self.map1(a, |e, x| e.b.ins().sqrt(x)),
            Un::Wrap(narrow) if kind.class == Class::I32 => self.map1(a, |e, x| e.wrap(narrow, x)),
            Un::RoundF16 if kind.class == Class::F32 => self.map1(a, |e, x| {
                let half = e.f32_to_f16(x);
                e.f16_to_f32(half)
            }),
            Un::RoundBF16 if kind.class == Class::F32 => self.map1(a, |e, x| {
                let half = e.f32_to_bf16(x);
                e.bf16_to_f32(half)
            }),
            Un::SixteenthPower if kind.class == Class::F32 => self.map1(a, Self::sixteenth_power),
            Un::Floor
            | Un::Round
            | Un::Trunc
            | Un::Sqrt
            | Un::Wrap(_)
            | Un::RoundF16
            | Un::RoundBF16
            | Un::SixteenthPower => return Err(no_such(f, kind.class)),
        })
    }

    /// A table read lane by lane.
    fn sixteenth_power(&mut self, x: Value) -> Value {
        let table = self.pool.sixteenth_powers() as i32;
        let ty = self.ty(x);
        let power = |e: &mut Self, x: Value| {
            let bits = e.bits_as(I32, x);
            let number = e.b.ins().band_imm_u(bits, 15);
            let number = e.b.ins().uextend(I64, number);
            let offset = e.b.ins().ishl_imm_u(number, 2);
            let address = e.b.ins().iadd(e.pool_base, offset);
            e.b.ins().load(F32, constant_memory(), address, table)
        };
        if !ty.is_vector() {
            return power(self, x);
        }
        (0..ty.lane_count() as u8).fold(x, |all, lane| {
            let own = self.b.ins().extractlane(x, lane);
            let power = power(self, own);
            self.b.ins().insertlane(all, power, lane)
        })
    }

    /// `-x`; of vectors by a constant in memory, which is one instruction.
    fn negate(&mut self, x: Value) -> Value {
        let ty = self.ty(x);
        if !ty.is_vector() {
            return self.b.ins().fneg(x);
        }
        let sign = self.literal(ty, 1 << (ty.lane_bits() - 1));
        self.b.ins().bxor(x, sign)
    }

    /// `|x|`, likewise.
    fn magnitude(&mut self, x: Value) -> Value {
        let ty = self.ty(x);
        if !ty.is_vector() {
            return self.b.ins().fabs(x);
        }
        let rest = self.literal(ty, (1 << (ty.lane_bits() - 1)) - 1);
        self.b.ins().band(x, rest)
    }

    fn not(&mut self, kind: Kind, a: Val) -> Val {
        match a {
            Val::Mask(narrow, wide) => Val::Mask(
                self.b.ins().bnot(narrow),
                wide.map(|w| w.map(|w| self.b.ins().bnot(w))),
            ),
            Val::One(a) if kind.class == Class::Mask => Val::One(self.b.ins().bxor_imm_u(a, 1)),
            a => self.map1(a, |e, x| e.b.ins().bnot(x)),
        }
    }

    fn wrap(&mut self, narrow: Narrow, x: Value) -> Value {
        let (bits, signed) = match narrow {
            Narrow::U8 => (24, false),
            Narrow::U16 => (16, false),
            Narrow::I8 => (24, true),
            Narrow::I16 => (16, true),
        };
        let count = self.b.ins().iconst(I32, bits);
        if signed {
            let up = self.b.ins().ishl(x, count);
            self.b.ins().sshr(up, count)
        } else {
            let kept = self.literal(self.ty(x), 0xffff_ffff >> bits);
            self.b.ins().band(x, kept)
        }
    }

    /// An operation on two registers.
    pub fn binary(&mut self, kind: Kind, f: Bin, a: Reg, b: Reg) -> Result<Val, CodegenError> {
        let known = self.known(b);
        let (a, b) = (self.reg(a)?, self.reg(b)?);
        match f {
            Bin::Shl | Bin::ShrU | Bin::ShrS => return self.shift(kind, f, a, b, known),
            _ => {}
        }
        if let (Class::Mask, true) = (kind.class, kind.full) {
            return self.mask_binary(kind, f, a, b);
        }
        let mut parts = smallvec::SmallVec::<[Value; 2]>::new();
        for (&a, &b) in a.parts().iter().zip(b.parts()) {
            parts.push(self.part_binary(kind, f, a, b)?);
        }
        Ok(Val::from_parts(&parts))
    }

    /// Both forms of a mask, where both operands have both.
    fn mask_binary(&mut self, kind: Kind, f: Bin, a: Val, b: Val) -> Result<Val, CodegenError> {
        let narrow = self.part_binary(kind, f, a.first(), b.first())?;
        let wide = match (a, b) {
            (Val::Mask(_, Some([a0, a1])), Val::Mask(_, Some([b0, b1]))) => Some([
                self.part_binary(kind, f, a0, b0)?,
                self.part_binary(kind, f, a1, b1)?,
            ]),
            _ => None,
        };
        Ok(Val::Mask(narrow, wide))
    }

    /// An operation on two CLIF values that hold corresponding parts (shifts excepted).
    pub fn part_binary(
        &mut self,
        kind: Kind,
        f: Bin,
        x: Value,
        y: Value,
    ) -> Result<Value, CodegenError> {
        let (float, int) = (kind.class.is_float(), kind.class.is_int());
        Ok(match f {
            Bin::And => self.b.ins().band(x, y),
            Bin::Or => self.b.ins().bor(x, y),
            Bin::Xor => self.b.ins().bxor(x, y),
            Bin::Add if float => self.b.ins().fadd(x, y),
            Bin::Sub if float => self.b.ins().fsub(x, y),
            Bin::Mul if float => self.b.ins().fmul(x, y),
            Bin::Div if float => self.b.ins().fdiv(x, y),
            Bin::Max if float => self.larger(x, y),
            Bin::Min if float => self.smaller(x, y),
            Bin::MaxNan if float => {
                let max = self.larger(x, y);
                self.unless_nan(x, max)
            }
            Bin::MinNan if float => {
                let min = self.smaller(x, y);
                self.unless_nan(x, min)
            }
            Bin::Scale if float => self.scale(kind.class, x, y),
            Bin::ScaleFloor if float => {
                let whole = self.b.ins().floor(y);
                self.scale(kind.class, x, whole)
            }
            Bin::Add if int => self.b.ins().iadd(x, y),
            Bin::Sub if int => self.b.ins().isub(x, y),
            Bin::Mul if int => self.b.ins().imul(x, y),
            Bin::Max if int => self.int_extreme(IntCC::SignedGreaterThan, x, y),
            Bin::Min if int => self.int_extreme(IntCC::SignedLessThan, x, y),
            Bin::MaxU if int => self.int_extreme(IntCC::UnsignedGreaterThan, x, y),
            Bin::MinU if int => self.int_extreme(IntCC::UnsignedLessThan, x, y),
            Bin::MulHighU if int => self.multiply_high(x, y),
            Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU if int => self.divide(f, x, y),
            _ => return Err(no_such(f, kind.class)),
        })
    }

    /// `x > y ? x : y`, one instruction.
    fn larger(&mut self, x: Value, y: Value) -> Value {
        let [x, y] = [self.in_register(x), self.in_register(y)];
        let less = self.b.ins().fcmp(FloatCC::LessThan, y, x);
        self.float_choose(less, x, y)
    }

    /// `x < y ? x : y`, one instruction.
    fn smaller(&mut self, x: Value, y: Value) -> Value {
        let [x, y] = [self.in_register(x), self.in_register(y)];
        let less = self.b.ins().fcmp(FloatCC::LessThan, x, y);
        self.float_choose(less, x, y)
    }

    /// In the form that instruction selection knows as minimum and maximum.
    fn float_choose(&mut self, mask: Value, x: Value, y: Value) -> Value {
        let ty = self.ty(x);
        if !ty.is_vector() {
            return self.b.ins().select(mask, x, y);
        }
        let mask = self.bits_as(ty, mask);
        self.b.ins().bitselect(mask, x, y)
    }

    /// `x` times 2 to the power `y` by way of two factors, of which the second one alone may round.
    fn scale(&mut self, class: Class, x: Value, y: Value) -> Value {
        let ty = self.ty(x);
        let number = |e: &mut Self, n: f64| match class {
            Class::F32 => e.literal(ty, u64::from((n as f32).to_bits())),
            _ => e.literal(ty, n.to_bits()),
        };
        let (least, most) = match class {
            Class::F32 => (-120.0, 127.0),
            _ => (-1020.0, 1023.0),
        };
        let (least, most) = (number(self, least), number(self, most));
        let first = self.larger(y, least);
        let first = self.smaller(first, most);
        let rest = self.b.ins().fsub(y, first);
        [first, rest].into_iter().fold(x, |product, n| {
            let power = self.power_of_two(class, n);
            self.b.ins().fmul(product, power)
        })
    }

    /// 2 to the power `n`, an integer for which that is a normal number.
    fn power_of_two(&mut self, class: Class, n: Value) -> Value {
        let ty = self.ty(n);
        let int = ty.as_int();
        // In a number this large the last bit counts ones.
        let (magic, mantissa, one) = match class {
            Class::F32 => (
                u64::from(12_582_912f32.to_bits()),
                23,
                u64::from(1f32.to_bits()),
            ),
            _ => (6_755_399_441_055_744f64.to_bits(), 52, 1f64.to_bits()),
        };
        let (magic, one) = (self.literal(ty, magic), self.literal(int, one));
        let shifted = self.b.ins().fadd(n, magic);
        let bits = self.bits_as(int, shifted);
        let count = self.b.ins().iconst(I32, mantissa);
        let exponent = self.b.ins().ishl(bits, count);
        let power = self.b.ins().iadd(exponent, one);
        self.bits_as(ty, power)
    }

    /// `other`, but `x` where that is NaN.
    fn unless_nan(&mut self, x: Value, other: Value) -> Value {
        let own = self.in_register(x);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, own, own);
        self.choose(nan, x, other)
    }

    /// The value, taken from a register. Without AVX, Cranelift lets comparisons of vectors read memory that is not
    /// aligned, which the processor refuses; through another type it does not look.
    fn in_register(&mut self, x: Value) -> Value {
        let ty = self.ty(x);
        if !ty.is_vector() || self.caps.fma {
            return x;
        }
        let bits = self.bits_as(ty.as_int(), x);
        self.bits_as(ty, bits)
    }

    /// A comparison; `kind` is the operands'.
    pub fn compare(&mut self, kind: Kind, f: Cmp, a: Val, b: Val) -> Result<Val, CodegenError> {
        let float = match f {
            Cmp::Eq => Some(FloatCC::Equal),
            Cmp::Ne => Some(FloatCC::NotEqual),
            Cmp::Lt => Some(FloatCC::LessThan),
            Cmp::Le => Some(FloatCC::LessThanOrEqual),
            Cmp::LtU | Cmp::LeU => None,
        };
        let int = match f {
            Cmp::Eq => IntCC::Equal,
            Cmp::Ne => IntCC::NotEqual,
            Cmp::Lt => IntCC::SignedLessThan,
            Cmp::Le => IntCC::SignedLessThanOrEqual,
            Cmp::LtU => IntCC::UnsignedLessThan,
            Cmp::LeU => IntCC::UnsignedLessThanOrEqual,
        };
        let result = match (kind.class, float) {
            (Class::F32 | Class::F64, Some(cc)) => self.map2(a, b, |e, x, y| {
                let [x, y] = [e.in_register(x), e.in_register(y)];
                e.b.ins().fcmp(cc, x, y)
            }),
            (Class::I32 | Class::I64, _) => self.map2(a, b, |e, x, y| e.b.ins().icmp(int, x, y)),
            (Class::F32 | Class::F64 | Class::Mask, _) => return Err(no_such(f, kind.class)),
        };
        Ok(match (kind.full, result) {
            (true, Val::Two(both)) => self.mask_of_wide(both),
            (true, one) => Val::Mask(one.first(), None),
            (false, one) => one,
        })
    }

    /// First where the mask is set, else second.
    pub fn select(&mut self, kind: Kind, mask: Val, a: Val, b: Val) -> Val {
        if kind.class == Class::Mask {
            let chosen = self.choose(mask.first(), a.first(), b.first());
            return match kind.full {
                true => Val::Mask(chosen, None),
                false => Val::One(chosen),
            };
        }
        let masks = self.mask_parts(mask, kind);
        let parts: smallvec::SmallVec<[Value; 2]> = (0..kind.parts())
            .map(|i| self.choose(masks.parts()[i], a.parts()[i], b.parts()[i]))
            .collect();
        Val::from_parts(&parts)
    }

    /// `a * b + c`, rounded once.
    pub fn multiply_add(&mut self, kind: Kind, a: Val, b: Val, c: Val) -> Val {
        let parts: smallvec::SmallVec<[Value; 2]> = (0..kind.parts())
            .map(|i| {
                let operands = [a.parts()[i], b.parts()[i], c.parts()[i]];
                match (self.caps.fma, kind.class) {
                    (true, _) => {
                        let [a, b, c] = operands;
                        self.b.ins().fma(a, b, c)
                    }
                    (false, Class::F64) => self.by_lanes(kind.part(), operands, Self::call_fma),
                    (false, _) => self.emulate_fma(operands),
                }
            })
            .collect();
        Val::from_parts(&parts)
    }

    /// Calls [`Helper::FmaF64`].
    fn call_fma(&mut self, operands: [Value; 3]) -> Value {
        let mut signature = Signature::new(CallConv::SystemV);
        signature.params.extend([AbiParam::new(F64); 3]);
        signature.returns.push(AbiParam::new(F64));
        let signature = self.b.import_signature(signature);
        let offset = self.pool.helper(Helper::FmaF64) as i32;
        let target = self
            .b
            .ins()
            .load(I64, constant_memory(), self.pool_base, offset);
        let call = self.b.ins().call_indirect(signature, target, &operands);
        self.b.inst_results(call)[0]
    }

    /// Multiply-add of f32 by way of f64, where the product is exact and the sum is rounded to odd,
    /// so that rounding it again is harmless.
    fn emulate_fma(&mut self, operands: [Value; 3]) -> Value {
        if !self.ty(operands[0]).is_vector() {
            let wide = operands.map(|v| self.b.ins().fpromote(F64, v));
            let sum = self.product_sum_to_odd(wide);
            return self.b.ins().fdemote(cranelift_codegen::ir::types::F32, sum);
        }
        let [low, high] = [false, true].map(|high| {
            let wide = operands.map(|v| self.promote_half(v, high));
            let sum = self.product_sum_to_odd(wide);
            self.b.ins().fvdemote(sum)
        });
        self.shuffle32(low, high, [0, 1, 4, 5])
    }

    /// Lanes 0 and 1, or 2 and 3, of an `f32x4` as `f64x2`.
    pub fn promote_half(&mut self, v: Value, high: bool) -> Value {
        let v = match high {
            true => self.shuffle32(v, v, [2, 3, 2, 3]),
            false => v,
        };
        self.b.ins().fvpromote_low(v)
    }

    /// `x * y + z` in f64, the product being exact, with the last bit set if anything was lost.
    fn product_sum_to_odd(&mut self, [x, y, z]: [Value; 3]) -> Value {
        let ty = self.ty(x);
        let int = ty.as_int();
        let product = self.b.ins().fmul(x, y);
        let sum = self.b.ins().fadd(product, z);
        let z_part = self.b.ins().fsub(sum, product);
        let product_part = self.b.ins().fsub(sum, z_part);
        let product_loss = self.b.ins().fsub(product, product_part);
        let z_loss = self.b.ins().fsub(z, z_part);
        let loss = self.b.ins().fadd(product_loss, z_loss);
        let zero = self.literal(ty, 0);
        let below = self.b.ins().fcmp(FloatCC::LessThan, loss, zero);
        let above = self.b.ins().fcmp(FloatCC::LessThan, zero, loss);
        let inexact = self.b.ins().bor(below, above);
        let (bits, loss_bits) = (self.bits_as(int, sum), self.bits_as(int, loss));
        let one = self.literal(int, 1);
        let last = self.b.ins().band(bits, one);
        let even = {
            let zero = self.literal(int, 0);
            self.b.ins().icmp(IntCC::Equal, last, zero)
        };
        let fix = self.b.ins().band(inexact, even);
        // Away from zero if the loss has the sum's sign, towards it otherwise.
        let signs = self.b.ins().bxor(bits, loss_bits);
        let count = self.b.ins().iconst(I32, 63);
        let opposite = self.b.ins().sshr(signs, count);
        let step = self.b.ins().bor(opposite, one);
        let nudged = self.b.ins().iadd(bits, step);
        let odd = self.choose(fix, nudged, bits);
        self.bits_as(ty, odd)
    }

    /// Two `f64x2` as one `f32x4`.
    pub fn demote_both(&mut self, both: [Value; 2]) -> Value {
        let [low, high] = both.map(|v| {
            debug_assert_eq!(self.ty(v), F64X2);
            self.b.ins().fvdemote(v)
        });
        let v = self.shuffle32(low, high, [0, 1, 4, 5]);
        self.bits_as(F32X4, v)
    }
}
