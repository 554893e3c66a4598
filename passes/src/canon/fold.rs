//! Arithmetic on constants, with the meaning the interpreter gives it.

use lazulite_ir::{Binary, Combine, DType, Scalar, scalar_ops};

/// `f(a, b)`; `None` where the operation must stay to report a fault.
pub fn binary(f: Binary, a: Scalar, b: Scalar) -> Option<Scalar> {
    if scalar_ops::is_fault(f, b) {
        return None;
    }
    scalar_ops::binary(f, a, b)
}

/// The number `value` of this type.
pub fn number(dtype: DType, value: i64) -> Scalar {
    Scalar::from_i64(dtype, value)
}

/// A bool.
pub fn boolean(value: bool) -> Scalar {
    number(DType::Bool, i64::from(value))
}

/// True for the bool that is true.
pub fn is_true(s: Scalar) -> bool {
    s == boolean(true)
}

/// True for the number `value` (for floats, +0 when `value` is 0).
pub fn is_number(s: Scalar, value: i64) -> bool {
    s == number(s.dtype(), value)
}

/// The neutral element of addition: adding it changes no number, not even -0.
pub fn neutral_of_add(dtype: DType) -> Scalar {
    match dtype {
        d if d.is_inexact() => Scalar::from_complex(d, -0.0, -0.0),
        d => number(d, 0),
    }
}

/// The scalar function that combines two elements.
pub fn combining(kind: Combine) -> Binary {
    match kind {
        Combine::Sum => Binary::Add,
        Combine::Prod => Binary::Mul,
        Combine::Max => Binary::Max,
        Combine::Min => Binary::Min,
    }
}

/// The combination of `count` copies of `value`, when it is the same in every order and rounding.
pub fn combine_copies(kind: Combine, value: Scalar, count: i64) -> Option<Scalar> {
    let dtype = value.dtype();
    if count == 0 {
        return scalar_ops::identity(kind, dtype);
    }
    match kind {
        Combine::Max | Combine::Min => Some(value),
        Combine::Sum | Combine::Prod if dtype == DType::Bool => Some(value),
        Combine::Sum if dtype.is_int() => {
            scalar_ops::binary(Binary::Mul, value, number(dtype, count))
        }
        Combine::Prod if dtype.is_int() => int_power(value, count),
        Combine::Sum if dtype.is_float() => exact_multiple(value, count),
        Combine::Prod => is_number(value, 1).then_some(value),
        Combine::Sum => None,
    }
}

/// `base` to the power `exponent` by squaring; integers wrap, so the order is free.
fn int_power(mut base: Scalar, mut exponent: i64) -> Option<Scalar> {
    let mut power = number(base.dtype(), 1);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = scalar_ops::binary(Binary::Mul, power, base)?;
        }
        base = scalar_ops::binary(Binary::Mul, base, base)?;
        exponent >>= 1;
    }
    Some(power)
}

/// `count * value` when value is a small whole number: all partial sums are then exact.
fn exact_multiple(value: Scalar, count: i64) -> Option<Scalar> {
    let bits = match value.dtype() {
        DType::BF16 => 8,
        DType::F16 => 11,
        DType::F32 => 24,
        _ => 53,
    };
    let (v, limit) = (value.as_f64(), (1u64 << bits) as f64);
    let product = v * count as f64;
    // A sum starts from 0, so that copies of -0 make 0.
    let exact = v.fract() == 0.0 && v.abs() <= limit && product.abs() <= limit && count < 1 << 53;
    exact.then(|| Scalar::from_f64(value.dtype(), product + 0.0))
}

/// True when every value of type `from` is also one of type `to`, so that converting there and on to
/// a third type is the same as converting at once.
pub fn embeds(from: DType, to: DType) -> bool {
    use DType::*;
    let significant = |d| match d {
        BF16 => 8,
        F16 => 11,
        F32 | C64 => 24,
        _ => 53,
    };
    match (from, to) {
        (a, b) if a == b => true,
        (_, Bool) => false,
        (Bool, _) => true,
        (a, b) if a.is_unsigned_int() && b.is_unsigned_int() => a.size() <= b.size(),
        (a, b) if a.is_signed_int() && b.is_signed_int() => a.size() <= b.size(),
        (a, b) if a.is_unsigned_int() && b.is_signed_int() => a.size() < b.size(),
        (a, b) if a.is_int() && b.is_int() => false,
        (a, b) if a.is_int() => 8 * a.size() - usize::from(a.is_signed_int()) <= significant(b),
        (_, b) if b.is_int() => false,
        (a, b) if a.is_complex() && !b.is_complex() => false,
        (BF16, F16) | (F16, BF16) => false,
        (a, b) => a.real().size() <= b.real().size(),
    }
}
