//! What is known about the values of a class: guards of rules ask here, and what is not known does not hold.

use lazulite_ir::{Binary, Combine, DType, Op, Scalar, TensorType, Unary};
use std::ops::{BitAnd, BitOr};
use std::rc::Rc;

/// Properties that every element has. All of them hold for no element.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Known(u8);

impl Known {
    /// Nothing.
    pub const NOTHING: Known = Known(0);
    /// No NaN.
    pub const NUMBER: Known = Known(1);
    /// Neither NaN nor an infinity.
    pub const FINITE: Known = Known(2 | 1);
    /// Not below zero, and not -0; perhaps NaN.
    pub const NOT_NEGATIVE: Known = Known(4);
    /// Not 0 or -0; perhaps NaN.
    pub const NOT_ZERO: Known = Known(8);
    /// Above zero; perhaps NaN.
    pub const POSITIVE: Known = Known(8 | 4);

    /// True if all of `what` is known.
    pub fn has(self, what: Known) -> bool {
        self.0 & what.0 == what.0
    }

    fn when(self, condition: bool) -> Known {
        if condition { self } else { Known::NOTHING }
    }
}

/// What is known for one reason or another.
impl BitOr for Known {
    type Output = Known;
    fn bitor(self, other: Known) -> Known {
        Known(self.0 | other.0)
    }
}

/// What is known of both.
impl BitAnd for Known {
    type Output = Known;
    fn bitand(self, other: Known) -> Known {
        Known(self.0 & other.0)
    }
}

/// What is known about a class.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    /// The type of its terms.
    pub ty: Rc<TensorType>,
    /// The constant that stands at every place.
    pub splat: Option<Scalar>,
    /// Properties of all elements.
    pub known: Known,
    /// Which of the region's leaves that may record faults it depends on.
    pub faults: u64,
}

/// What is known of every value of a type.
pub(super) fn of_type(dtype: DType) -> Known {
    let exact = dtype.is_int() || dtype == DType::Bool;
    let positive = dtype.is_unsigned_int() || dtype == DType::Bool;
    Known::FINITE.when(exact) | Known::NOT_NEGATIVE.when(positive)
}

/// What is known of a constant.
pub(super) fn of_scalar(s: Scalar) -> Known {
    if s.dtype().is_complex() {
        return Known::NOTHING;
    }
    let (v, whole) = (s.as_f64(), s.dtype().is_int());
    let negative = if whole {
        s.as_i64() < 0 && s.dtype().is_signed_int()
    } else {
        v.is_sign_negative()
    };
    Known::NUMBER.when(!v.is_nan())
        | Known::FINITE.when(v.is_finite())
        | Known::NOT_NEGATIVE.when(!negative)
        | Known::NOT_ZERO.when(v != 0.0)
}

/// What is known of an operation's results. `x` are facts of the operands, `same` says that the first two
/// are one class.
pub(super) fn of_op(op: &Op, ty: &TensorType, x: &[Known], same: bool) -> Known {
    let own = of_type(ty.dtype);
    if ty.dtype.is_complex() {
        return own;
    }
    own | match op {
        Op::Iota { .. } => Known::FINITE | Known::NOT_NEGATIVE,
        Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Expand { .. }
        | Op::Slice { .. }
        | Op::Window { .. } => x[0],
        Op::Pad { .. } => x[0] & x[1],
        Op::Select {} => x[1] & x[2],
        Op::Unary { f } => of_unary(*f, ty.dtype, x[0]),
        Op::Binary { f } if ty.dtype.is_float() => of_binary(*f, x[0], x[1], same),
        Op::Reduce { kind, .. } if ty.dtype.is_float() => match kind {
            Combine::Sum => sum_of_positive(x[0]),
            Combine::Prod => Known::NOT_NEGATIVE & x[0],
            // Without elements these are infinite.
            Combine::Max | Combine::Min => Known::NUMBER & x[0],
        },
        Op::Contract { .. } if ty.dtype.is_float() => {
            let positive = x[0] & x[1] & Known::NOT_NEGATIVE;
            positive
                | Known::NUMBER.when((x[0] & x[1]).has(Known::FINITE) && positive != Known::NOTHING)
        }
        Op::Cast { .. } => of_cast(ty.dtype, x[0]),
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Random { .. }
        | Op::Bitcast { .. }
        | Op::Complex {}
        | Op::Real {}
        | Op::Imag {}
        | Op::Binary { .. }
        | Op::Compare { .. }
        | Op::Barrier {}
        | Op::Reduce { .. }
        | Op::Contract { .. }
        | Op::Scan { .. }
        | Op::Fold { .. }
        | Op::Gather { .. }
        | Op::Scatter { .. }
        | Op::Sort { .. }
        | Op::Call { .. }
        | Op::If { .. }
        | Op::While { .. }
        | Op::Loop { .. }
        | Op::Custom { .. }
        | Op::Get { .. } => Known::NOTHING,
    }
}

/// Sums of numbers that are not negative start from 0 and stay so; they may overflow.
fn sum_of_positive(x: Known) -> Known {
    if x.has(Known::NOT_NEGATIVE) {
        Known::NOT_NEGATIVE | (x & Known::NUMBER)
    } else {
        Known::NOTHING
    }
}

fn of_cast(to: DType, x: Known) -> Known {
    match to {
        // Every integer is far below the largest of these.
        DType::F32 | DType::F64 => x & (Known::NUMBER | Known::NOT_NEGATIVE),
        _ => Known::NOTHING,
    }
}

fn of_unary(f: Unary, dtype: DType, x: Known) -> Known {
    if !dtype.is_float() {
        return Known::NOTHING;
    }
    let positive = x & Known::NOT_NEGATIVE;
    match f {
        Unary::Neg => x & (Known::FINITE | Known::NOT_ZERO),
        Unary::Abs => (x & (Known::FINITE | Known::NOT_ZERO)) | Known::NOT_NEGATIVE,
        Unary::Floor | Unary::Round => x & (Known::FINITE | Known::NOT_NEGATIVE),
        Unary::Sqrt if positive != Known::NOTHING => x,
        Unary::Exp => (x & Known::NUMBER) | Known::NOT_NEGATIVE,
        Unary::Expm1 | Unary::Log1p => {
            positive | (x & Known::NUMBER).when(positive != Known::NOTHING)
        }
        Unary::Tanh | Unary::Atan | Unary::Erf => {
            positive | Known::FINITE.when(x.has(Known::NUMBER))
        }
        Unary::Sin | Unary::Cos => Known::FINITE.when(x.has(Known::FINITE)),
        Unary::Sqrt | Unary::Log => Known::NOTHING,
    }
}

fn of_binary(f: Binary, a: Known, b: Known, same: bool) -> Known {
    let both = a & b;
    let positive = both & Known::NOT_NEGATIVE;
    let number = both & Known::NUMBER;
    match f {
        Binary::Add => {
            let apart = (a | b) & Known::NOT_ZERO;
            (positive | number | apart).when(positive != Known::NOTHING)
        }
        Binary::Mul if same => Known::NOT_NEGATIVE | number,
        Binary::Mul => positive | number.when(both.has(Known::FINITE)),
        Binary::Div => positive,
        // The second one is the result when both are zero.
        Binary::Max => {
            let above = b & Known::POSITIVE;
            above.when(b.has(Known::NOT_NEGATIVE)) | both
        }
        Binary::Min => both,
        Binary::Rem
        | Binary::Pow
        | Binary::And
        | Binary::Or
        | Binary::Xor
        | Binary::Shl
        | Binary::Shr => Known::NOTHING,
    }
}
