//! Folding: operations on constants and a few exact identities.

use super::Builder;
use crate::vector::{Bin, Class, Op, Reg, Scalar, ScalarOp, eval};

/// What is left of an operation.
pub(super) enum Folded {
    /// Nothing: its value exists.
    Reg(Reg),
    /// An equivalent operation in canonical form.
    Op(Op),
}

/// What is left of a scalar operation.
pub(super) enum FoldedScalar {
    /// Nothing: its value exists.
    Scalar(Scalar),
    /// An equivalent operation in canonical form.
    Op(ScalarOp),
}

impl Builder {
    /// Folds a pure operation whose result has the given class and lanes.
    pub(super) fn fold(&mut self, class: Class, lanes: u32, op: Op) -> Folded {
        if let Some(bits) = self.evaluate(class, op) {
            return Folded::Op(Op::Const(bits));
        }
        let one_lane = self.lanes() == 1;
        match op {
            Op::Binary(bin, a, b) => self.fold_binary(class, bin, a, b),
            Op::Select(mask, a, b) => match self.known(mask) {
                _ if a == b => Folded::Reg(a),
                Some(0) => Folded::Reg(b),
                Some(_) => Folded::Reg(a),
                None => Folded::Op(op),
            },
            Op::Splat(s) => match self.known_scalar(s) {
                Some(value) => Folded::Op(Op::Const(truncate(class, value as u64))),
                None => Folded::Op(op),
            },
            Op::Ramp(s, step) if lanes == 1 || step == 0 => self.fold(class, lanes, Op::Splat(s)),
            Op::Horizontal(_, a) | Op::SplatLane(a) if one_lane => Folded::Reg(a),
            Op::SplatLane(a) => match self.known(a) {
                Some(bits) => Folded::Op(Op::Const(bits)),
                None => Folded::Op(op),
            },
            Op::Const(_)
            | Op::Ramp(..)
            | Op::Get(_)
            | Op::Load { .. }
            | Op::Unary(..)
            | Op::Fma(..)
            | Op::Compare(..)
            | Op::Convert(..)
            | Op::Horizontal(..) => Folded::Op(op),
        }
    }

    /// The value of a lane-wise operation on constants.
    fn evaluate(&self, class: Class, op: Op) -> Option<u64> {
        match op {
            Op::Const(bits) => Some(truncate(class, bits)),
            Op::Unary(un, a) => Some(eval::unary(un, class)?(self.known(a)?)),
            Op::Binary(bin, a, b) => {
                let (a, b) = (self.known(a)?, self.known(b)?);
                let traps = matches!(bin, Bin::Div | Bin::DivU | Bin::Rem | Bin::RemU)
                    && class.is_int()
                    && b == 0;
                (!traps).then_some(eval::binary(bin, class)?(a, b))
            }
            Op::Fma(a, b, c) => {
                let (a, b, c) = (self.known(a)?, self.known(b)?, self.known(c)?);
                Some(eval::fma(class)?(a, b, c))
            }
            Op::Compare(cmp, a, b) => {
                let of = self.class(a);
                Some(eval::compare(cmp, of)?(self.known(a)?, self.known(b)?))
            }
            Op::Convert(conv, a) => {
                let from = self.class(a);
                Some(eval::convert(conv, from, class)?(self.known(a)?))
            }
            Op::Splat(_)
            | Op::Ramp(..)
            | Op::Get(_)
            | Op::Load { .. }
            | Op::Select(..)
            | Op::Horizontal(..)
            | Op::SplatLane(_) => None,
        }
    }

    /// Identities of binary operations; float ones only where they hold for every value.
    fn fold_binary(&self, class: Class, bin: Bin, a: Reg, b: Reg) -> Folded {
        let commutes = matches!(
            bin,
            Bin::Add
                | Bin::Mul
                | Bin::MulHighU
                | Bin::MaxU
                | Bin::MinU
                | Bin::And
                | Bin::Or
                | Bin::Xor
        ) || class.is_int() && matches!(bin, Bin::Max | Bin::Min);
        // Constants go right, otherwise the older register left.
        let swap = match (self.known(a), self.known(b)) {
            (Some(_), None) => true,
            (None, Some(_)) => false,
            _ => a.0 > b.0,
        };
        let (a, b) = if commutes && swap { (b, a) } else { (a, b) };
        let ones = truncate(class, u64::MAX);
        let keeps = match (bin, self.known(b)) {
            (Bin::And | Bin::Or, _) if a == b => true,
            (Bin::Add | Bin::Sub | Bin::Shl | Bin::ShrU | Bin::ShrS, Some(0)) => class.is_int(),
            (Bin::Or | Bin::Xor, Some(0)) => true,
            (Bin::And, Some(bits)) => bits == ones,
            (Bin::Mul | Bin::Div | Bin::DivU, Some(bits)) => bits == one(class),
            _ => false,
        };
        if keeps {
            return Folded::Reg(a);
        }
        match (bin, self.known(b)) {
            (Bin::And, Some(0)) => Folded::Reg(b),
            (Bin::Or, Some(bits)) if bits == ones => Folded::Reg(b),
            (Bin::Mul, Some(0)) if class.is_int() => Folded::Reg(b),
            _ => Folded::Op(Op::Binary(bin, a, b)),
        }
    }

    /// Folds a scalar operation.
    pub(super) fn fold_scalar(&mut self, op: ScalarOp) -> FoldedScalar {
        use ScalarOp::*;
        let constant = |value: i64| FoldedScalar::Op(Const(value));
        let (a, b) = match op {
            Const(_) | Buffer(_) | Size(_) | From(_) | To(_) | Pool(_) => {
                return FoldedScalar::Op(op);
            }
            Lane(r) => {
                return match self.known(r) {
                    Some(bits) => constant(bits as i64),
                    None => FoldedScalar::Op(op),
                };
            }
            Add(a, b) | Mul(a, b) | Min(a, b) | Max(a, b) => {
                let constant_left = self.known_scalar(a).is_some();
                let ordered = self.known_scalar(b).is_some() || a.0 <= b.0;
                if constant_left || !ordered {
                    (b, a)
                } else {
                    (a, b)
                }
            }
            Sub(a, b) | FloorDiv(a, b) | Mod(a, b) | Less(a, b) => (a, b),
        };
        let (x, y) = (self.known_scalar(a), self.known_scalar(b));
        if let (Some(x), Some(y)) = (x, y)
            && let Some(value) = eval::scalar(op_with(op, a, b), x, y)
        {
            return constant(value);
        }
        match (op, y) {
            (Add(..) | Sub(..), Some(0)) | (Mul(..) | FloorDiv(..), Some(1)) => {
                FoldedScalar::Scalar(a)
            }
            (Mul(..), Some(0)) | (Mod(..), Some(1)) => constant(0),
            (Min(..) | Max(..), _) if a == b => FoldedScalar::Scalar(a),
            (Sub(..) | Less(..), _) if a == b => constant(0),
            (Add(..), Some(c)) => self.fold_sum(a, c, op_with(op, a, b)),
            (Sub(..), Some(c)) => {
                let negated = self.scalar(Const(c.wrapping_neg()));
                self.fold_scalar(Add(a, negated))
            }
            _ => FoldedScalar::Op(op_with(op, a, b)),
        }
    }

    /// `(x + c1) + c2` becomes `x + (c1 + c2)`.
    fn fold_sum(&mut self, a: Scalar, c: i64, otherwise: ScalarOp) -> FoldedScalar {
        let Some(&(x, first)) = self.sums.get(&a) else {
            return FoldedScalar::Op(otherwise);
        };
        let sum = self.scalar(ScalarOp::Const(first.wrapping_add(c)));
        self.fold_scalar(ScalarOp::Add(x, sum))
    }
}

/// The same operation on other operands.
fn op_with(op: ScalarOp, a: Scalar, b: Scalar) -> ScalarOp {
    use ScalarOp::*;
    match op {
        Const(_) | Buffer(_) | Size(_) | From(_) | To(_) | Pool(_) | Lane(_) => op,
        Add(..) => Add(a, b),
        Sub(..) => Sub(a, b),
        Mul(..) => Mul(a, b),
        FloorDiv(..) => FloorDiv(a, b),
        Mod(..) => Mod(a, b),
        Min(..) => Min(a, b),
        Max(..) => Max(a, b),
        Less(..) => Less(a, b),
    }
}

/// `bits` cut to the width of a lane.
fn truncate(class: Class, bits: u64) -> u64 {
    bits & (u64::MAX >> (64 - class.bits()))
}

/// The bits of 1.
fn one(class: Class) -> u64 {
    match class {
        Class::F32 => u64::from(1f32.to_bits()),
        Class::F64 => 1f64.to_bits(),
        Class::I32 | Class::I64 | Class::Mask => 1,
    }
}
