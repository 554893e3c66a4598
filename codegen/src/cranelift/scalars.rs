//! Scalars: addresses, counters and sizes. Constants are written down where they are used.

use super::emit::{Emitter, constant_memory, malformed};
use crate::CodegenError;
use crate::vector::{Scalar, ScalarOp};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};

/// A scalar's value.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Undefined,
    Const(i64),
    Value(Value),
}

impl Emitter<'_> {
    /// A scalar's value.
    pub fn scalar(&mut self, s: Scalar) -> Result<Value, CodegenError> {
        match self.scalars.get(s.0 as usize) {
            Some(&Number::Value(v)) => Ok(v),
            Some(&Number::Const(c)) => Ok(self.b.ins().iconst(I64, c)),
            Some(Number::Undefined) | None => {
                Err(malformed(format_args!("scalar {} is not defined", s.0)))
            }
        }
    }

    /// The value of a scalar that is a constant.
    pub fn known_scalar(&self, s: Scalar) -> Option<i64> {
        match self.scalars.get(s.0 as usize) {
            Some(&Number::Const(c)) => Some(c),
            Some(Number::Value(_) | Number::Undefined) | None => None,
        }
    }

    /// What an operation yields.
    pub fn number(&mut self, op: &ScalarOp) -> Result<Number, CodegenError> {
        let argument = |n: u32, scale: i32| {
            i32::try_from(n)
                .ok()
                .and_then(|n| n.checked_mul(scale))
                .ok_or_else(|| malformed(format_args!("argument number {n}")))
        };
        let [buffers, sizes, bounds, _] = self.args;
        let load = |e: &mut Self, base, offset| {
            Ok(Number::Value(e.b.ins().load(
                I64,
                constant_memory(),
                base,
                offset,
            )))
        };
        match *op {
            ScalarOp::Const(c) => Ok(Number::Const(c)),
            ScalarOp::Buffer(n) => load(self, buffers, argument(n, 8)?),
            ScalarOp::Size(n) => load(self, sizes, argument(n, 8)?),
            ScalarOp::From(n) => load(self, bounds, argument(n, 16)?),
            ScalarOp::To(n) => load(self, bounds, argument(n, 16)? + 8),
            ScalarOp::Pool(n) => Ok(Number::Value(
                self.b.ins().iadd_imm_s(self.pool_base, i64::from(n)),
            )),
            ScalarOp::Lane(r) => Ok(Number::Value(self.reg(r)?.first())),
            ScalarOp::Add(a, b)
            | ScalarOp::Sub(a, b)
            | ScalarOp::Mul(a, b)
            | ScalarOp::FloorDiv(a, b)
            | ScalarOp::Mod(a, b)
            | ScalarOp::Min(a, b)
            | ScalarOp::Max(a, b)
            | ScalarOp::Less(a, b) => self.arithmetic(op, a, b),
        }
    }

    /// Powers of two become shifts, which fold into addresses.
    fn arithmetic(&mut self, op: &ScalarOp, a: Scalar, b: Scalar) -> Result<Number, CodegenError> {
        let power = |n: Option<i64>| {
            n.filter(|n| *n > 0 && n.count_ones() == 1)
                .map(|n| i64::from(n.trailing_zeros()))
        };
        let (power_a, power_b) = (power(self.known_scalar(a)), power(self.known_scalar(b)));
        let (x, y) = (self.scalar(a)?, self.scalar(b)?);
        Ok(Number::Value(match (op, power_a, power_b) {
            (ScalarOp::Add(..), _, _) => self.b.ins().iadd(x, y),
            (ScalarOp::Sub(..), _, _) => self.b.ins().isub(x, y),
            (ScalarOp::Mul(..), _, Some(n)) => self.b.ins().ishl_imm_u(x, n),
            (ScalarOp::Mul(..), Some(n), _) => self.b.ins().ishl_imm_u(y, n),
            (ScalarOp::Mul(..), None, None) => self.b.ins().imul(x, y),
            (ScalarOp::FloorDiv(..), _, Some(n)) => self.b.ins().sshr_imm_u(x, n),
            (ScalarOp::Mod(..), _, Some(n)) => self.b.ins().band_imm_s(x, (1i64 << n) - 1),
            (ScalarOp::FloorDiv(..), _, None) => self.floor_div(x, y).0,
            (ScalarOp::Mod(..), _, None) => self.floor_div(x, y).1,
            (ScalarOp::Min(..), _, _) => {
                let less = self.b.ins().icmp(IntCC::SignedLessThan, x, y);
                self.b.ins().select(less, x, y)
            }
            (ScalarOp::Max(..), _, _) => {
                let less = self.b.ins().icmp(IntCC::SignedLessThan, x, y);
                self.b.ins().select(less, y, x)
            }
            (ScalarOp::Less(..), _, _) => {
                let less = self.b.ins().icmp(IntCC::SignedLessThan, x, y);
                self.b.ins().uextend(I64, less)
            }
            (
                ScalarOp::Const(_)
                | ScalarOp::Buffer(_)
                | ScalarOp::Size(_)
                | ScalarOp::From(_)
                | ScalarOp::To(_)
                | ScalarOp::Pool(_)
                | ScalarOp::Lane(_),
                _,
                _,
            ) => unreachable!("no operation on two scalars"),
        }))
    }

    /// Quotient towards minus infinity and remainder; divisors below 1 count as 1, so that no
    /// program traps.
    fn floor_div(&mut self, x: Value, y: Value) -> (Value, Value) {
        let one = self.b.ins().iconst(I64, 1);
        let bad = self.b.ins().icmp(IntCC::SignedLessThan, y, one);
        let y = self.b.ins().select(bad, one, y);
        let quotient = self.b.ins().sdiv(x, y);
        let product = self.b.ins().imul(quotient, y);
        let rest = self.b.ins().isub(x, product);
        let sign = self.b.ins().sshr_imm_u(rest, 63);
        let correction = self.b.ins().band(sign, y);
        (
            self.b.ins().iadd(quotient, sign),
            self.b.ins().iadd(rest, correction),
        )
    }
}
