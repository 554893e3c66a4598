//! From one lane to all of them, and back.

use super::emit::Emitter;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::{Bin, Class, Reg};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I32};
use cranelift_codegen::ir::{InstBuilder, Value};
use smallvec::SmallVec;

impl Emitter<'_> {
    /// A one-lane value in all lanes.
    pub fn splat(&mut self, kind: Kind, lane: Value) -> Val {
        if !kind.full {
            return Val::One(lane);
        }
        if kind.class == Class::Mask {
            let wide = self.b.ins().uextend(I32, lane);
            let spread = self.b.ins().ineg(wide);
            return Val::Mask(self.b.ins().splat(kind.part(), spread), None);
        }
        let v = self.b.ins().splat(kind.part(), lane);
        match kind.parts() {
            1 => Val::One(v),
            _ => Val::Two([v, v]),
        }
    }

    /// `start + lane * step` in 32- or 64-bit lanes.
    pub fn ramp(&mut self, kind: Kind, start: Value, step: i64) -> Val {
        let start = match kind.class {
            Class::I64 | Class::F64 => start,
            Class::I32 | Class::F32 | Class::Mask => self.b.ins().ireduce(I32, start),
        };
        let all = self.splat(kind, start);
        if step == 0 || !kind.full {
            return all;
        }
        let size = kind.part().lane_type().bytes() as usize;
        let per_part = 16 / size;
        let parts: SmallVec<[Value; 2]> = all
            .parts()
            .iter()
            .enumerate()
            .map(|(part, &v)| {
                let bytes = std::array::from_fn(|i| {
                    let lane = (part * per_part + i / size) as i64;
                    lane.wrapping_mul(step).to_le_bytes()[i % size]
                });
                let steps = self.vector_literal(kind.part(), bytes);
                self.b.ins().iadd(v, steps)
            })
            .collect();
        Val::from_parts(&parts)
    }

    /// Combination of lane `i` with lane `i + n/2` until one is left.
    pub fn horizontal(&mut self, f: Bin, a: Reg) -> Result<Val, CodegenError> {
        let kind = self.kind(a)?;
        let v = self.reg(a)?;
        if !kind.full {
            return Ok(v);
        }
        if kind.class == Class::Mask {
            return Ok(Val::One(self.horizontal_mask(f, v)));
        }
        let one = Kind {
            full: false,
            ..kind
        };
        let two_lanes = match v {
            Val::Two([low, high]) => self.part_binary(kind, f, low, high)?,
            Val::One(v) | Val::Mask(v, _) => {
                let high = self.shuffle32(v, v, [2, 3, 2, 3]);
                self.part_binary(kind, f, v, high)?
            }
        };
        let low = self.b.ins().extractlane(two_lanes, 0);
        let high = self.b.ins().extractlane(two_lanes, 1);
        Ok(Val::One(self.part_binary(one, f, low, high)?))
    }

    fn horizontal_mask(&mut self, f: Bin, v: Val) -> Value {
        let bits = self.b.ins().vhigh_bits(I32, v.first());
        let compare = |e: &mut Self, cc, n| e.b.ins().icmp_imm_u(cc, bits, n);
        match f {
            Bin::And => compare(self, IntCC::Equal, 0b1111),
            Bin::Xor => {
                let ones = self.b.ins().popcnt(bits);
                let odd = self.b.ins().band_imm_u(ones, 1);
                self.b.ins().ireduce(I8, odd)
            }
            _ => compare(self, IntCC::NotEqual, 0),
        }
    }
}
