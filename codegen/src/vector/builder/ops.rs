//! One method per operation.

use super::Builder;
use crate::vector::{Bin, Class, Cmp, Conv, Narrow, Op, Reg, Scalar, ScalarOp, Un, eval};

/// Methods for binary operations.
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident = $op:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Reg, b: Reg) -> Reg {
            self.binary(Bin::$op, a, b)
        })*
    };
}

/// Methods for unary operations.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = $op:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&mut self, x: Reg) -> Reg { self.unary(Un::$op, x) })*
    };
}

/// Methods for comparisons.
macro_rules! compare {
    ($($(#[$doc:meta])* $name:ident = $op:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Reg, b: Reg) -> Reg {
            self.compare(Cmp::$op, a, b)
        })*
    };
}

/// Methods for scalar arithmetic.
macro_rules! scalar {
    ($($(#[$doc:meta])* $name:ident = $op:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&mut self, a: Scalar, b: Scalar) -> Scalar {
            self.scalar(ScalarOp::$op(a, b))
        })*
    };
}

/// Constants and values from scalars.
impl Builder {
    /// The same bits in every lane.
    pub fn const_bits(&mut self, class: Class, lanes: u32, bits: u64) -> Reg {
        self.pure(class, lanes, Op::Const(bits))
    }

    /// A constant of the class and lanes of `x`, from bits.
    pub fn bits_like(&mut self, x: Reg, bits: u64) -> Reg {
        let (class, lanes) = self.shape(x);
        self.const_bits(class, lanes, bits)
    }

    /// A float constant of the class and lanes of `x`, rounded to the class.
    pub fn float_like(&mut self, x: Reg, value: f64) -> Reg {
        match self.class(x) {
            Class::F64 => self.bits_like(x, value.to_bits()),
            Class::F32 | Class::I32 | Class::I64 | Class::Mask => {
                self.check(self.class(x) == Class::F32, "float_like", &[x]);
                self.bits_like(x, u64::from((value as f32).to_bits()))
            }
        }
    }

    /// An integer constant with the lanes of `x`, in the integer class of the same width as `x`.
    pub fn int_like(&mut self, x: Reg, value: i64) -> Reg {
        let (class, lanes) = self.shape(x);
        self.const_bits(class.int(), lanes, value as u64)
    }

    /// An f32 in all lanes of a full register.
    pub fn splat_f32(&mut self, value: f32) -> Reg {
        self.const_bits(Class::F32, self.lanes(), u64::from(value.to_bits()))
    }

    /// An f64 in all lanes of a full register.
    pub fn splat_f64(&mut self, value: f64) -> Reg {
        self.const_bits(Class::F64, self.lanes(), value.to_bits())
    }

    /// A scalar in all lanes of an integer register.
    pub fn splat(&mut self, class: Class, lanes: u32, scalar: Scalar) -> Reg {
        self.check(class.is_int(), "splat to a float or mask", &[]);
        self.pure(class, lanes, Op::Splat(scalar))
    }

    /// `scalar + lane number * step` as an integer register.
    pub fn ramp(&mut self, class: Class, lanes: u32, scalar: Scalar, step: i64) -> Reg {
        self.check(class.is_int(), "ramp of floats or masks", &[]);
        self.pure(class, lanes, Op::Ramp(scalar, step))
    }

    /// A one-lane register's value in all lanes of a full one.
    pub fn splat_lane(&mut self, x: Reg) -> Reg {
        let (class, lanes) = self.shape(x);
        self.check(lanes == 1, "splat_lane", &[x]);
        self.pure(class, self.lanes(), Op::SplatLane(x))
    }
}

/// Lane-wise operations.
impl Builder {
    /// A unary operation.
    pub fn unary(&mut self, op: Un, x: Reg) -> Reg {
        let (class, lanes) = self.shape(x);
        self.check(eval::unary(op, class).is_some(), "unary operation", &[x]);
        self.pure(class, lanes, Op::Unary(op, x))
    }

    unary! {
        /// Negation.
        neg = Neg,
        /// Absolute value.
        abs = Abs,
        /// Towards minus infinity.
        floor = Floor,
        /// To nearest even.
        round = Round,
        /// Towards zero.
        trunc = Trunc,
        /// Square root.
        sqrt = Sqrt,
        /// `2^(k/16)` for the low four bits k.
        sixteenth_power = SixteenthPower,
        /// Bitwise complement.
        not = Not,
        /// Rounding to f16's precision.
        round_f16 = RoundF16,
        /// Rounding to bf16's precision.
        round_bf16 = RoundBF16,
    }

    /// Truncation to a narrow integer type and extension back.
    pub fn wrap(&mut self, narrow: Narrow, x: Reg) -> Reg {
        self.unary(Un::Wrap(narrow), x)
    }

    /// A binary operation.
    pub fn binary(&mut self, op: Bin, a: Reg, b: Reg) -> Reg {
        let (class, lanes) = self.shape(a);
        let valid = self.shape(b) == (class, lanes) && eval::binary(op, class).is_some();
        self.check(valid, "binary operation", &[a, b]);
        self.pure(class, lanes, Op::Binary(op, a, b))
    }

    binary! {
        /// Sum.
        add = Add,
        /// Difference.
        sub = Sub,
        /// Product.
        mul = Mul,
        /// High half of the unsigned product.
        mul_high_u = MulHighU,
        /// Quotient.
        div = Div,
        /// Unsigned quotient.
        div_u = DivU,
        /// Signed remainder.
        rem = Rem,
        /// Unsigned remainder.
        rem_u = RemU,
        /// Larger one; of floats, `b` where either is NaN.
        max = Max,
        /// Smaller one; of floats, `b` where either is NaN.
        min = Min,
        /// Larger one, NaN where either is.
        max_nan = MaxNan,
        /// Smaller one, NaN where either is.
        min_nan = MinNan,
        /// Unsigned larger one.
        max_u = MaxU,
        /// Unsigned smaller one.
        min_u = MinU,
        /// Bitwise and.
        and = And,
        /// Bitwise or.
        or = Or,
        /// Bitwise exclusive or.
        xor = Xor,
        /// Left shift.
        shl = Shl,
        /// Logical right shift.
        shr_u = ShrU,
        /// Arithmetic right shift.
        shr_s = ShrS,
        /// `a` times 2 to the power `b`, for moderate `a` and integers `b`.
        scale = Scale,
        /// The same with `b` rounded down.
        scale_floor = ScaleFloor,
    }

    /// `a * b + c`, rounded once.
    pub fn fma(&mut self, a: Reg, b: Reg, c: Reg) -> Reg {
        let (class, lanes) = self.shape(a);
        let valid = class.is_float() && self.shape(b) == self.shape(a);
        self.check(valid && self.shape(c) == self.shape(a), "fma", &[a, b, c]);
        self.pure(class, lanes, Op::Fma(a, b, c))
    }

    /// A comparison; the result is a mask.
    pub fn compare(&mut self, op: Cmp, a: Reg, b: Reg) -> Reg {
        let (class, lanes) = self.shape(a);
        let valid = self.shape(b) == (class, lanes) && eval::compare(op, class).is_some();
        self.check(valid, "comparison", &[a, b]);
        self.pure(Class::Mask, lanes, Op::Compare(op, a, b))
    }

    compare! {
        /// Equal.
        eq = Eq,
        /// Not equal.
        ne = Ne,
        /// Less.
        lt = Lt,
        /// Less or equal.
        le = Le,
        /// Unsigned less.
        lt_u = LtU,
        /// Unsigned less or equal.
        le_u = LeU,
    }

    /// `a` where the mask is set, else `b`.
    pub fn select(&mut self, mask: Reg, a: Reg, b: Reg) -> Reg {
        let (class, lanes) = self.shape(a);
        let valid = self.shape(mask) == (Class::Mask, lanes) && self.shape(b) == (class, lanes);
        self.check(valid, "select", &[mask, a, b]);
        self.pure(class, lanes, Op::Select(mask, a, b))
    }

    /// A change of class.
    pub fn convert(&mut self, conv: Conv, to: Class, x: Reg) -> Reg {
        let (class, lanes) = self.shape(x);
        self.check(eval::convert(conv, class, to).is_some(), "conversion", &[x]);
        self.pure(to, lanes, Op::Convert(conv, x))
    }

    /// The bits of a float as an integer, or the float that an integer's bits are.
    pub fn bits(&mut self, x: Reg) -> Reg {
        let to = match self.class(x) {
            Class::F32 => Class::I32,
            Class::I32 => Class::F32,
            Class::F64 => Class::I64,
            Class::I64 => Class::F64,
            Class::Mask => return x,
        };
        self.convert(Conv::Bits, to, x)
    }

    /// Combination of all lanes into a one-lane register.
    pub fn horizontal(&mut self, op: Bin, x: Reg) -> Reg {
        let class = self.class(x);
        self.check(eval::horizontal(op, class).is_some(), "horizontal", &[x]);
        self.pure(class, 1, Op::Horizontal(op, x))
    }

    /// Debug check of what the verifier would report later.
    fn check(&self, valid: bool, what: &str, operands: &[Reg]) {
        debug_assert!(
            valid,
            "{what} on {:?}",
            operands.iter().map(|&r| self.shape(r)).collect::<Vec<_>>()
        );
    }
}

/// Scalars.
impl Builder {
    /// A number.
    pub fn s_const(&mut self, value: i64) -> Scalar {
        self.scalar(ScalarOp::Const(value))
    }

    /// Pointer number `n` of the buffers argument.
    pub fn buffer(&mut self, n: u32) -> Scalar {
        self.scalar(ScalarOp::Buffer(n))
    }

    /// Value number `n` of the sizes argument.
    pub fn size(&mut self, n: u32) -> Scalar {
        self.scalar(ScalarOp::Size(n))
    }

    /// Start of outer range `n`'s box.
    pub fn box_from(&mut self, n: u32) -> Scalar {
        self.scalar(ScalarOp::From(n))
    }

    /// End of outer range `n`'s box.
    pub fn box_to(&mut self, n: u32) -> Scalar {
        self.scalar(ScalarOp::To(n))
    }

    /// Lane 0 of a one-lane I64 register.
    pub fn lane(&mut self, x: Reg) -> Scalar {
        self.check(self.shape(x) == (Class::I64, 1), "lane", &[x]);
        self.scalar(ScalarOp::Lane(x))
    }

    scalar! {
        /// Wrapping sum.
        s_add = Add,
        /// Wrapping difference.
        s_sub = Sub,
        /// Wrapping product.
        s_mul = Mul,
        /// Floor division by a positive number.
        s_floor_div = FloorDiv,
        /// Remainder of it, never negative.
        s_mod = Mod,
        /// Signed minimum.
        s_min = Min,
        /// Signed maximum.
        s_max = Max,
        /// 1 if less, else 0.
        s_less = Less,
    }
}
