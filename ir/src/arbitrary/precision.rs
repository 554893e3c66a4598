//! How far an implementation may be from the interpreter, and what may be done with such values.

use crate::{Binary, Combine, DType, Op, Tolerance, Unary};

/// What is known about a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Precision {
    /// Every implementation gives the same value (the sign of NaN aside), and so do operations on it.
    pub(super) exact: bool,
    /// How near the value must be.
    pub(super) tolerance: Tolerance,
}

impl Precision {
    pub(super) const EXACT: Precision = Precision {
        exact: true,
        tolerance: Tolerance::EXACT,
    };

    fn within(tolerance: Tolerance) -> Precision {
        Precision {
            exact: false,
            tolerance,
        }
    }

    /// The weaker of both.
    pub(super) fn or(self, other: Precision) -> Precision {
        let (a, b) = (self.tolerance, other.tolerance);
        Precision {
            exact: self.exact && other.exact,
            tolerance: Tolerance {
                relative: a.relative.max(b.relative),
                absolute: a.absolute.max(b.absolute),
                ulps: a.ulps.max(b.ulps),
            },
        }
    }
}

/// Sums, products and compositions of moderate values.
fn composed(dtype: DType) -> Precision {
    let bound = match dtype.real() {
        DType::F16 => 4e-3,
        DType::BF16 => 3e-2,
        DType::F32 => 2e-4,
        _ => 1e-11,
    };
    Precision::within(Tolerance {
        relative: bound,
        absolute: bound,
        ulps: 0,
    })
}

/// Equal, but for the sign of zero or for a rounding to a half type that may be left out before
/// the next operation.
const EQUAL: Precision = Precision {
    exact: false,
    tolerance: Tolerance::EXACT,
};

/// What the operation itself adds to the imprecision of its operands, the first of which has type
/// `dtype`. For operations with graphs the grower knows better.
pub(super) fn of(op: &Op, dtype: DType) -> Precision {
    let half = matches!(dtype, DType::F16 | DType::BF16);
    match op {
        Op::Cast { dtype: to } => {
            let narrow = matches!(to, DType::F16 | DType::BF16) && !dtype.is_int();
            if narrow && dtype != *to {
                EQUAL
            } else {
                Precision::EXACT
            }
        }
        Op::Unary { f } => match f {
            Unary::Abs if dtype.is_complex() => composed(dtype),
            Unary::Neg | Unary::Abs | Unary::Floor | Unary::Round => Precision::EXACT,
            Unary::Sqrt if dtype.is_float() && !half => Precision::EXACT,
            _ if dtype.is_complex() => composed(dtype),
            _ => Precision::within(Tolerance::ulps(4)),
        },
        Op::Binary { f } => match f {
            Binary::Max | Binary::Min => Precision::EXACT,
            Binary::Pow if dtype.is_float() => Precision::within(Tolerance::ulps(8)),
            Binary::Mul | Binary::Div | Binary::Pow if dtype.is_complex() => composed(dtype),
            _ if half => Precision::within(Tolerance::ulps(1)),
            _ => Precision::EXACT,
        },
        Op::Reduce { kind, .. } | Op::Scan { kind, .. } => combined(*kind, dtype),
        Op::Scatter { combine, .. } => combine.map_or(Precision::EXACT, |k| combined(k, dtype)),
        Op::Fold { .. } => combined(Combine::Sum, dtype),
        Op::Contract { acc, .. } => combined(Combine::Sum, *acc),
        _ => Precision::EXACT,
    }
}

fn combined(kind: Combine, dtype: DType) -> Precision {
    match kind {
        _ if !dtype.is_inexact() => Precision::EXACT,
        Combine::Sum | Combine::Prod => composed(dtype),
        Combine::Max | Combine::Min => EQUAL,
    }
}

/// Whether the operation may take an imprecise value as operand number `operand`: it only moves
/// values, or changes their sign.
pub(super) fn tolerates(op: &Op, operand: usize) -> bool {
    match op {
        Op::Complex {} | Op::Real {} | Op::Imag {} => true,
        Op::Unary { f } => matches!(f, Unary::Neg),
        Op::Select {} => operand > 0,
        Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Barrier {}
        | Op::Expand { .. }
        | Op::Pad { .. }
        | Op::Slice { .. }
        | Op::Window { .. } => true,
        Op::Gather { .. } => operand == 0,
        Op::Scatter { combine, .. } => combine.is_none() && operand < 2,
        Op::Sort { .. } => operand > 0,
        _ => false,
    }
}
