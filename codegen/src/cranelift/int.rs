//! Integer operations that need several instructions: shifts by any count, high products,
//! division that never traps, extremes.

use super::emit::Emitter;
use super::float::no_such;
use super::value::{Kind, Val};
use crate::CodegenError;
use crate::vector::Bin;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use smallvec::SmallVec;

impl Emitter<'_> {
    /// Shl, ShrU or ShrS; `known` is the count when all lanes have the same constant.
    pub fn shift(
        &mut self,
        kind: Kind,
        f: Bin,
        a: Val,
        counts: Val,
        known: Option<u64>,
    ) -> Result<Val, CodegenError> {
        if !kind.class.is_int() {
            return Err(no_such(f, kind.class));
        }
        let width = kind.class.bits();
        let parts: SmallVec<[Value; 2]> = (0..kind.parts())
            .map(|i| {
                let x = a.parts()[i];
                match known {
                    Some(n) => self.shift_by_constant(f, width, x, n),
                    None => self.by_lanes(kind.part(), [x, counts.parts()[i]], |e, [x, n]| {
                        e.shift_lane(f, width, x, n)
                    }),
                }
            })
            .collect();
        Ok(Val::from_parts(&parts))
    }

    fn shift_by_constant(&mut self, f: Bin, width: u32, x: Value, count: u64) -> Value {
        let count = match width {
            32 => count & 0xffff_ffff,
            _ => count,
        };
        let over = count >= u64::from(width);
        let count = count.min(u64::from(width) - 1) as i64;
        match f {
            Bin::ShrS => {
                let count = self.b.ins().iconst(I32, count);
                self.b.ins().sshr(x, count)
            }
            _ if over => self.literal(self.ty(x), 0),
            Bin::Shl => {
                let count = self.b.ins().iconst(I32, count);
                self.b.ins().ishl(x, count)
            }
            _ => {
                let count = self.b.ins().iconst(I32, count);
                self.b.ins().ushr(x, count)
            }
        }
    }

    fn shift_lane(&mut self, f: Bin, width: u32, x: Value, count: Value) -> Value {
        let last = self.literal(self.ty(count), u64::from(width) - 1);
        let over = self.b.ins().icmp(IntCC::UnsignedGreaterThan, count, last);
        if f == Bin::ShrS {
            let count = self.b.ins().select(over, last, count);
            return self.b.ins().sshr(x, count);
        }
        let shifted = match f {
            Bin::Shl => self.b.ins().ishl(x, count),
            _ => self.b.ins().ushr(x, count),
        };
        let zero = self.literal(self.ty(x), 0);
        self.b.ins().select(over, zero, shifted)
    }

    /// `x` where the comparison of `x` with `y` holds, else `y`.
    pub fn int_extreme(&mut self, cc: IntCC, x: Value, y: Value) -> Value {
        let ty = self.ty(x);
        if ty.is_vector() && ty.lane_type() == I32 {
            return match cc {
                IntCC::SignedGreaterThan => self.b.ins().smax(x, y),
                IntCC::SignedLessThan => self.b.ins().smin(x, y),
                IntCC::UnsignedGreaterThan => self.b.ins().umax(x, y),
                _ => self.b.ins().umin(x, y),
            };
        }
        let mask = self.b.ins().icmp(cc, x, y);
        self.choose(mask, x, y)
    }

    /// High half of the unsigned product.
    pub fn multiply_high(&mut self, x: Value, y: Value) -> Value {
        let ty = self.ty(x);
        if ty.lane_type() == I64 {
            return self.by_lanes(ty, [x, y], |e, [x, y]| e.b.ins().umulhi(x, y));
        }
        if ty.is_vector() {
            let (x, y) = (self.widen_unsigned(x), self.widen_unsigned(y));
            let products = [0, 1].map(|i| self.b.ins().imul(x[i], y[i]));
            let v = self.shuffle32(products[0], products[1], [1, 3, 5, 7]);
            return self.bits_as(ty, v);
        }
        let x = self.b.ins().uextend(I64, x);
        let y = self.b.ins().uextend(I64, y);
        let product = self.b.ins().imul(x, y);
        let high = self.b.ins().ushr_imm_u(product, 32);
        self.b.ins().ireduce(I32, high)
    }

    /// Div, DivU, Rem or RemU. No vector instruction does this; a zero divisor gives 0 instead of a
    /// trap.
    pub fn divide(&mut self, f: Bin, x: Value, y: Value) -> Value {
        let ty = self.ty(x);
        self.by_lanes(ty, [x, y], |e, [x, y]| e.divide_lane(f, x, y))
    }

    fn divide_lane(&mut self, f: Bin, x: Value, y: Value) -> Value {
        let ty = self.ty(x);
        let zero = self.literal(ty, 0);
        let one = self.literal(ty, 1);
        if matches!(f, Bin::DivU | Bin::RemU) {
            let bad = self.b.ins().icmp(IntCC::Equal, y, zero);
            let divisor = self.b.ins().select(bad, one, y);
            let result = match f {
                Bin::DivU => self.b.ins().udiv(x, divisor),
                _ => self.b.ins().urem(x, divisor),
            };
            return self.b.ins().select(bad, zero, result);
        }
        // Divisors 0 and -1 are the ones that trap: y + 1 is 0 or 1, unsigned.
        let above = self.b.ins().iadd(y, one);
        let bad = self
            .b
            .ins()
            .icmp(IntCC::UnsignedLessThanOrEqual, above, one);
        let divisor = self.b.ins().select(bad, one, y);
        if f == Bin::Rem {
            let rest = self.b.ins().srem(x, divisor);
            return self.b.ins().select(bad, zero, rest);
        }
        let quotient = self.b.ins().sdiv(x, divisor);
        // All ones or all zeros: -x or 0.
        let negated = self.b.ins().ineg(x);
        let instead = self.b.ins().band(negated, y);
        self.b.ins().select(bad, instead, quotient)
    }
}
