//! Changes of class, and the half floats by integer arithmetic on their bits.

use super::emit::Emitter;
use super::float::no_such;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Class, Conv};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I32};
use cranelift_codegen::ir::{InstBuilder, Type, Value};

impl Emitter<'_> {
    /// A register of class `from.class` as `kind`.
    pub fn convert(
        &mut self,
        kind: Kind,
        from: Kind,
        f: Conv,
        a: Val,
    ) -> Result<Val, CodegenError> {
        use Class::{F32, F64, I32, I64, Mask};
        let to = kind.part();
        Ok(match (f, from.class, kind.class) {
            (Conv::Float, F32, F64) => self.promote(kind, a),
            (Conv::Float, F64, F32) => self.demote(a),
            (Conv::FromInt, I32 | I64, F32 | F64) => self.int_to_float(kind, from, a, true),
            (Conv::FromUint, I32 | I64, F32 | F64) => self.int_to_float(kind, from, a, false),
            (Conv::ToInt, F32, I32) => self.map1(a, |e, x| e.b.ins().fcvt_to_sint_sat(to, x)),
            (Conv::ToInt, F32 | F64, I32 | I64) => {
                let lane = to.lane_type();
                self.lane_by_lane(kind, a, |e, x| e.b.ins().fcvt_to_sint_sat(lane, x))
            }
            (Conv::Int, I32, I64) if kind.full => Val::Two(self.widen_signed(a.first())),
            (Conv::Int, I32, I64) => self.map1(a, |e, x| e.b.ins().sextend(to, x)),
            (Conv::Uint, I32, I64) if kind.full => Val::Two(self.widen_unsigned(a.first())),
            (Conv::Uint, I32, I64) => self.map1(a, |e, x| e.b.ins().uextend(to, x)),
            (Conv::Int, I64, I32) => match a {
                Val::Two(both) => Val::One(self.low_halves(both)),
                one => self.map1(one, |e, x| e.b.ins().ireduce(to, x)),
            },
            (Conv::Bits, F32, I32) | (Conv::Bits, I32, F32) => {
                self.map1(a, |e, x| e.bits_as(to, x))
            }
            (Conv::Bits, F64, I64) | (Conv::Bits, I64, F64) => {
                self.map1(a, |e, x| e.bits_as(to, x))
            }
            (Conv::FromMask, Mask, F32 | F64 | I32 | I64) => self.mask_to_numbers(kind, a),
            (Conv::SpreadMask, Mask, I32 | I64) => self.spread_mask(kind, a),
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
            ) => return Err(no_such((f, from.class), kind.class)),
        })
    }

    /// Scalar code for each lane.
    fn lane_by_lane(
        &mut self,
        kind: Kind,
        a: Val,
        mut f: impl FnMut(&mut Self, Value) -> Value,
    ) -> Val {
        let lanes: Vec<Value> = self
            .all_lanes(a)
            .into_iter()
            .map(|lane| f(self, lane))
            .collect();
        self.join_all_lanes(kind, &lanes)
    }

    fn promote(&mut self, kind: Kind, a: Val) -> Val {
        let v = a.first();
        if kind.full {
            return Val::Two([self.promote_half(v, false), self.promote_half(v, true)]);
        }
        Val::One(self.b.ins().fpromote(F64, v))
    }

    fn demote(&mut self, a: Val) -> Val {
        match a {
            Val::Two(both) => Val::One(self.demote_both(both)),
            one => self.map1(one, |e, x| e.b.ins().fdemote(F32, x)),
        }
    }

    fn int_to_float(&mut self, kind: Kind, from: Kind, a: Val, signed: bool) -> Val {
        let to = kind.part();
        let convert = |e: &mut Self, ty: Type, x: Value| match signed {
            true => e.b.ins().fcvt_from_sint(ty, x),
            false => e.b.ins().fcvt_from_uint(ty, x),
        };
        match (from.class, kind.class) {
            _ if !kind.full => Val::One(convert(self, to, a.first())),
            (Class::I32, Class::F64) => {
                let v = a.first();
                let high = self.shuffle32(v, v, [2, 3, 2, 3]);
                Val::Two([v, high].map(|v| {
                    let wide = match signed {
                        true => self.b.ins().swiden_low(v),
                        false => self.b.ins().uwiden_low(v),
                    };
                    convert(self, to, wide)
                }))
            }
            (Class::I64, Class::F32) => self.lane_by_lane(kind, a, |e, x| convert(e, F32, x)),
            _ => self.map1(a, |e, x| convert(e, to, x)),
        }
    }

    fn mask_to_numbers(&mut self, kind: Kind, mask: Val) -> Val {
        let one = match kind.class {
            Class::F32 => u64::from(1f32.to_bits()),
            Class::F64 => 1f64.to_bits(),
            Class::I32 | Class::I64 | Class::Mask => 1,
        };
        let masks = self.mask_parts(mask, kind);
        self.map1(masks, |e, m| {
            let one = e.literal(kind.part(), one);
            if kind.full {
                let m = e.bits_as(kind.part(), m);
                return e.b.ins().band(m, one);
            }
            let zero = e.literal(kind.part(), 0);
            e.b.ins().select(m, one, zero)
        })
    }

    fn spread_mask(&mut self, kind: Kind, mask: Val) -> Val {
        let masks = self.mask_parts(mask, kind);
        self.map1(masks, |e, m| {
            if kind.full {
                return m;
            }
            let wide = e.b.ins().uextend(kind.part(), m);
            e.b.ins().ineg(wide)
        })
    }

    /// The f32 (or vector of them) whose f16 bits are the low bits of each 32-bit lane.
    pub fn f16_to_f32(&mut self, half: Value) -> Value {
        let int = self.ty(half);
        let float = float_like(int);
        let [sign_bit, rest, exponent, infinity, inf_exponent, quiet] =
            [0x8000, 0x7fff, 112 << 23, 0x7c00, 0x7f80_0000, 0x40_0000]
                .map(|bits| self.literal(int, bits));
        let magnitude = self.b.ins().band(half, rest);
        let shifted = self.shift_left(magnitude, 13);
        let normal = self.b.ins().iadd(shifted, exponent);
        // Denormals are their magnitude in units of 2^-24.
        let count = self.b.ins().fcvt_from_sint(float, magnitude);
        let unit = self.literal(float, u64::from(2f32.powi(-24).to_bits()));
        let tiny = self.b.ins().fmul(count, unit);
        let tiny = self.bits_as(int, tiny);
        let special = self.b.ins().bor(shifted, inf_exponent);
        let nan = self.b.ins().bor(special, quiet);
        let smallest = self.literal(int, 0x400);
        let is_tiny = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, magnitude, smallest);
        let is_finite = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, magnitude, infinity);
        let is_nan = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, infinity, magnitude);
        let special = self.choose(is_nan, nan, special);
        let finite = self.choose(is_tiny, tiny, normal);
        let magnitude = self.choose(is_finite, finite, special);
        let sign = self.b.ins().band(half, sign_bit);
        let sign = self.shift_left(sign, 16);
        let bits = self.b.ins().bor(magnitude, sign);
        self.bits_as(float, bits)
    }

    /// f16 bits, rounded to nearest even, in the low bits of each 32-bit lane.
    pub fn f32_to_f16(&mut self, v: Value) -> Value {
        let float = self.ty(v);
        let int = float.as_int();
        let bits = self.bits_as(int, v);
        let rest = self.literal(int, 0x7fff_ffff);
        let magnitude = self.b.ins().band(bits, rest);
        // Denormals and zero: adding 0.5 leaves the count of 2^-24 in the low bits, rounded.
        let half_one = self.literal(int, 0x3f00_0000);
        let (positive, half) = (
            self.bits_as(float, magnitude),
            self.literal(float, 0x3f00_0000),
        );
        let sum = self.b.ins().fadd(positive, half);
        let sum = self.bits_as(int, sum);
        let tiny = self.b.ins().isub(sum, half_one);
        let last = self.shift_right(magnitude, 13);
        let one = self.literal(int, 1);
        let odd = self.b.ins().band(last, one);
        // Rebiases the exponent and adds just under half of the last place.
        let bias = self.literal(int, u64::from(0xfffu32.wrapping_sub(112 << 23)));
        let biased = self.b.ins().iadd(magnitude, bias);
        let rounded = self.b.ins().iadd(biased, odd);
        let normal = self.shift_right(rounded, 13);
        let payload = self.literal(int, 0x3ff);
        let payload = self.b.ins().band(last, payload);
        let nan = self.literal(int, 0x7e00);
        let nan = self.b.ins().bor(payload, nan);
        let [infinity, nan_above, normal_from, overflow_from] =
            [0x7c00, 0x7f80_0000, 0x3880_0000, 0x4780_0000].map(|bits| self.literal(int, bits));
        let is_nan = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, nan_above, magnitude);
        let is_tiny = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, magnitude, normal_from);
        let fits = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, magnitude, overflow_from);
        let finite = self.choose(is_tiny, tiny, normal);
        let number = self.choose(fits, finite, infinity);
        let result = self.choose(is_nan, nan, number);
        let sign = self.shift_right(bits, 16);
        let sign_bit = self.literal(int, 0x8000);
        let sign = self.b.ins().band(sign, sign_bit);
        self.b.ins().bor(result, sign)
    }

    /// The f32 whose upper half each 32-bit lane holds in its low bits.
    pub fn bf16_to_f32(&mut self, half: Value) -> Value {
        let float = float_like(self.ty(half));
        let bits = self.shift_left(half, 16);
        self.bits_as(float, bits)
    }

    /// bf16 bits, rounded to nearest even, in the low bits of each 32-bit lane.
    pub fn f32_to_bf16(&mut self, v: Value) -> Value {
        let int = self.ty(v).as_int();
        let bits = self.bits_as(int, v);
        let upper = self.shift_right(bits, 16);
        let [one, half, rest, nan_above, quiet] =
            [1, 0x7fff, 0x7fff_ffff, 0x7f80_0000, 0x40].map(|bits| self.literal(int, bits));
        let odd = self.b.ins().band(upper, one);
        let biased = self.b.ins().iadd(bits, half);
        let rounded = self.b.ins().iadd(biased, odd);
        let rounded = self.shift_right(rounded, 16);
        let magnitude = self.b.ins().band(bits, rest);
        let is_nan = self
            .b
            .ins()
            .icmp(IntCC::SignedLessThan, nan_above, magnitude);
        let nan = self.b.ins().bor(upper, quiet);
        self.choose(is_nan, nan, rounded)
    }

    fn shift_left(&mut self, v: Value, count: i64) -> Value {
        let count = self.b.ins().iconst(I32, count);
        self.b.ins().ishl(v, count)
    }

    fn shift_right(&mut self, v: Value, count: i64) -> Value {
        let count = self.b.ins().iconst(I32, count);
        self.b.ins().ushr(v, count)
    }
}

/// The float type with the lanes of a 32-bit integer type.
fn float_like(int: Type) -> Type {
    match int.is_vector() {
        true => cranelift_codegen::ir::types::F32X4,
        false => F32,
    }
}
