//! How vector IR registers are held in CLIF values, and the rearrangements between them.
//!
//! | class | one lane | full register |
//! |---|---|---|
//! | F32, I32 | `f32`, `i32` | one `f32x4`, `i32x4` |
//! | F64, I64 | `f64`, `i64` | two `f64x2`, `i64x2` |
//! | Mask | `i8`, 0 or 1 | one `i32x4`, lanes all zeros or all ones; the two `i64x2` as well where a comparison of 64-bit lanes made it |

use super::emit::Emitter;
use crate::vector::Class;
pub(super) use crate::vector::Kind;
use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I8, I8X16, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Type, Value};

impl Kind {
    /// The CLIF type of each value that holds a part of the register.
    pub(super) fn part(self) -> Type {
        match (self.class, self.full) {
            (Class::F32, false) => F32,
            (Class::F64, false) => F64,
            (Class::I32, false) => I32,
            (Class::I64, false) => I64,
            (Class::Mask, false) => I8,
            (Class::F32, true) => F32X4,
            (Class::F64, true) => F64X2,
            (Class::I32 | Class::Mask, true) => I32X4,
            (Class::I64, true) => I64X2,
        }
    }
}

/// The CLIF values that hold a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val {
    /// One value.
    One(Value),
    /// Lanes 0 and 1, lanes 2 and 3.
    Two([Value; 2]),
    /// A full mask in 32-bit lanes, and in 64-bit lanes if it was made so.
    Mask(Value, Option<[Value; 2]>),
}

impl Val {
    /// From as many parts as the register has.
    pub fn from_parts(parts: &[Value]) -> Val {
        match *parts {
            [a, b] => Val::Two([a, b]),
            [a] => Val::One(a),
            _ => unreachable!("a register has one part or two"),
        }
    }

    /// The parts, a mask in 32-bit lanes.
    pub fn parts(&self) -> &[Value] {
        match self {
            Val::One(v) | Val::Mask(v, _) => std::slice::from_ref(v),
            Val::Two(both) => both,
        }
    }

    /// The only part, or the first.
    pub fn first(&self) -> Value {
        self.parts()[0]
    }
}

/// Flags for casts between vector types: lane 0 is lowest.
pub(super) fn little() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl Emitter<'_> {
    /// The CLIF type of a value.
    pub fn ty(&self, v: Value) -> Type {
        self.b.func.dfg.value_type(v)
    }

    /// The same bits as another type of the same size.
    pub fn bits_as(&mut self, ty: Type, v: Value) -> Value {
        if self.ty(v) == ty {
            return v;
        }
        self.b.ins().bitcast(ty, little(), v)
    }

    /// Applies `f` to each part.
    pub fn map1(&mut self, a: Val, mut f: impl FnMut(&mut Self, Value) -> Value) -> Val {
        match a {
            Val::One(a) | Val::Mask(a, _) => Val::One(f(self, a)),
            Val::Two([a, b]) => Val::Two([f(self, a), f(self, b)]),
        }
    }

    /// Applies `f` to corresponding parts.
    pub fn map2(
        &mut self,
        a: Val,
        b: Val,
        mut f: impl FnMut(&mut Self, Value, Value) -> Value,
    ) -> Val {
        let parts: smallvec::SmallVec<[Value; 2]> = a
            .parts()
            .iter()
            .zip(b.parts())
            .map(|(&a, &b)| f(self, a, b))
            .collect();
        Val::from_parts(&parts)
    }

    /// The lanes of a CLIF value, lowest first; a scalar is its own only lane.
    pub fn lanes(&mut self, v: Value) -> smallvec::SmallVec<[Value; 4]> {
        let count = self.ty(v).lane_count();
        if count == 1 {
            return smallvec::smallvec![v];
        }
        (0..count)
            .map(|i| self.b.ins().extractlane(v, i as u8))
            .collect()
    }

    /// A CLIF value of type `ty` from its lanes.
    pub fn join_lanes(&mut self, ty: Type, lanes: &[Value]) -> Value {
        if !ty.is_vector() {
            return lanes[0];
        }
        let mut v = self.b.ins().scalar_to_vector(ty, lanes[0]);
        for (i, &lane) in lanes.iter().enumerate().skip(1) {
            v = self.b.ins().insertlane(v, lane, i as u8);
        }
        v
    }

    /// Applies a scalar function lane by lane; the result has type `ty`.
    pub fn by_lanes<const N: usize>(
        &mut self,
        ty: Type,
        operands: [Value; N],
        mut f: impl FnMut(&mut Self, [Value; N]) -> Value,
    ) -> Value {
        let columns = operands.map(|v| self.lanes(v));
        let lanes: smallvec::SmallVec<[Value; 4]> = (0..columns[0].len())
            .map(|i| f(self, std::array::from_fn(|k| columns[k][i])))
            .collect();
        self.join_lanes(ty, &lanes)
    }

    /// All lanes of a register as scalars.
    pub fn all_lanes(&mut self, v: Val) -> smallvec::SmallVec<[Value; 4]> {
        let parts = v.parts().to_vec();
        parts.into_iter().flat_map(|p| self.lanes(p)).collect()
    }

    /// A register of `kind` from all its lanes as scalars.
    pub fn join_all_lanes(&mut self, kind: Kind, lanes: &[Value]) -> Val {
        let per_part = kind.part().lane_count() as usize;
        let parts: smallvec::SmallVec<[Value; 2]> = lanes
            .chunks(per_part)
            .map(|lanes| self.join_lanes(kind.part(), lanes))
            .collect();
        Val::from_parts(&parts)
    }

    /// Bytes of `a` then `b`, chosen by number.
    pub fn shuffle(&mut self, a: Value, b: Value, bytes: [u8; 16]) -> Value {
        let mask = self.b.func.dfg.immediates.push(bytes.to_vec().into());
        self.b.ins().shuffle(a, b, mask)
    }

    /// 32-bit lanes of `a` (0..4) then `b` (4..8), chosen by number; any types of 16 bytes.
    pub fn shuffle32(&mut self, a: Value, b: Value, lanes: [u8; 4]) -> Value {
        let ty = self.ty(a);
        let (a, b) = (self.bits_as(I8X16, a), self.bits_as(I8X16, b));
        let bytes = std::array::from_fn(|i| lanes[i / 4] * 4 + (i % 4) as u8);
        let v = self.shuffle(a, b, bytes);
        self.bits_as(ty, v)
    }

    /// The even 32-bit lanes of two values: the low halves of 64-bit lanes.
    pub fn low_halves(&mut self, both: [Value; 2]) -> Value {
        let v = self.shuffle32(both[0], both[1], [0, 2, 4, 6]);
        self.bits_as(I32X4, v)
    }

    /// 32-bit lanes sign-extended to 64 bits.
    pub fn widen_signed(&mut self, v: Value) -> [Value; 2] {
        [self.b.ins().swiden_low(v), self.b.ins().swiden_high(v)]
    }

    /// 32-bit lanes zero-extended to 64 bits.
    pub fn widen_unsigned(&mut self, v: Value) -> [Value; 2] {
        [self.b.ins().uwiden_low(v), self.b.ins().uwiden_high(v)]
    }

    /// A mask from the two results of a comparison of 64-bit lanes.
    pub fn mask_of_wide(&mut self, both: [Value; 2]) -> Val {
        Val::Mask(self.low_halves(both), Some(both))
    }

    /// A mask as lanes as wide as `class`, part by part.
    pub fn mask_parts(&mut self, mask: Val, kind: Kind) -> Val {
        match (mask, kind.parts()) {
            (Val::Mask(_, Some(wide)), 2) => Val::Two(wide),
            (mask, 2) => Val::Two(self.widen_signed(mask.first())),
            (mask, _) => Val::One(mask.first()),
        }
    }

    /// `a` where the mask is set, else `b`. The mask is an `i8` for scalars, and all zeros or all
    /// ones in lanes of equal width for vectors.
    pub fn choose(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let ty = self.ty(a);
        if !ty.is_vector() {
            return self.b.ins().select(mask, a, b);
        }
        let int = ty.as_int();
        let (a, b) = (self.bits_as(int, a), self.bits_as(int, b));
        let mask = self.bits_as(int, mask);
        let v = self.b.ins().blendv(mask, a, b);
        self.bits_as(ty, v)
    }
}
