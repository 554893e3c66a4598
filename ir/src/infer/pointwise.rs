//! Types of operations that work element by element.

use super::{Context, Result};
use crate::{Binary, DType, Dims, Predicate, TensorType, TypeError, Unary};

const NOT_BOOL: &str = "a number (not bool)";
const REAL: &str = "bool or a real number";
const REAL_NUMBER: &str = "a real number (not bool)";
const FLOAT: &str = "a float or complex type";
const REAL_FLOAT: &str = "a real float type";
const INT: &str = "an integer type";
const BITS: &str = "an integer type or bool";

pub(super) fn random(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    dims: &Dims,
    dtype: DType,
) -> Result<TensorType> {
    for operand in 0..2 {
        cx.dtype(x, operand, |d| d == DType::U64, "u64")?;
        cx.scalar(x, operand)?;
    }
    if !matches!(dtype, DType::U32 | DType::U64) {
        return Err(TypeError::AttributeDType {
            op: cx.op,
            attribute: "dtype",
            got: dtype,
            expected: "u32 or u64",
        });
    }
    Ok(TensorType::new(dtype, dims.iter().cloned()))
}

/// `x` with another element type.
pub(super) fn with_dtype(x: &TensorType, dtype: DType) -> TensorType {
    TensorType {
        dtype,
        dims: x.dims.clone(),
    }
}

pub(super) fn bitcast(cx: &Context<'_>, x: &TensorType, to: DType) -> Result<TensorType> {
    let castable = |d: DType| d != DType::Bool && !d.is_complex();
    cx.dtype(&[x], 0, castable, REAL_NUMBER)?;
    let expected = if !castable(to) {
        REAL_NUMBER
    } else if to.size() != x.dtype.size() {
        "a type of the operand's size"
    } else {
        return Ok(with_dtype(x, to));
    };
    Err(TypeError::AttributeDType {
        op: cx.op,
        attribute: "dtype",
        got: to,
        expected,
    })
}

pub(super) fn complex(cx: &mut Context<'_>, x: &[&TensorType]) -> Result<TensorType> {
    cx.dtype(x, 0, |d| matches!(d, DType::F32 | DType::F64), "f32 or f64")?;
    cx.equal_dtypes(x, 0, 1)?;
    cx.equal_dims(x, 0, 1)?;
    let wide = x[0].dtype == DType::F64;
    Ok(with_dtype(
        x[0],
        if wide { DType::C128 } else { DType::C64 },
    ))
}

pub(super) fn part(cx: &Context<'_>, x: &TensorType) -> Result<TensorType> {
    cx.dtype(&[x], 0, DType::is_complex, "a complex type")?;
    Ok(with_dtype(x, x.dtype.real()))
}

/// Whether an operation takes a type, and how to say which types it takes.
type Domain = (fn(DType) -> bool, &'static str);

fn unary_domain(f: Unary) -> Domain {
    match f {
        Unary::Neg | Unary::Abs => (|d| d != DType::Bool, NOT_BOOL),
        Unary::Floor | Unary::Round | Unary::Atan | Unary::Erf => (DType::is_float, REAL_FLOAT),
        Unary::Sqrt
        | Unary::Exp
        | Unary::Expm1
        | Unary::Log
        | Unary::Log1p
        | Unary::Sin
        | Unary::Cos
        | Unary::Tanh => (DType::is_inexact, FLOAT),
    }
}

fn binary_domain(f: Binary) -> Domain {
    match f {
        Binary::Add | Binary::Mul => (|_| true, ""),
        Binary::Div | Binary::Pow => (|d| d != DType::Bool, NOT_BOOL),
        Binary::Rem => (|d| d != DType::Bool && !d.is_complex(), REAL_NUMBER),
        Binary::Max | Binary::Min => (|d| !d.is_complex(), REAL),
        Binary::And | Binary::Or | Binary::Xor => (|d| d.is_int() || d == DType::Bool, BITS),
        Binary::Shl | Binary::Shr => (DType::is_int, INT),
    }
}

fn predicate_domain(predicate: Predicate) -> Domain {
    match predicate {
        Predicate::Lt | Predicate::Le => (|d| !d.is_complex(), REAL),
        Predicate::Eq | Predicate::Ne => (|_| true, ""),
    }
}

impl Unary {
    /// True if the function is defined on elements of this type.
    pub fn accepts(self, dtype: DType) -> bool {
        unary_domain(self).0(dtype)
    }
}

impl Binary {
    /// True if the function is defined on elements of this type.
    pub fn accepts(self, dtype: DType) -> bool {
        binary_domain(self).0(dtype)
    }
}

impl Predicate {
    /// True if the comparison is defined on elements of this type.
    pub fn accepts(self, dtype: DType) -> bool {
        predicate_domain(self).0(dtype)
    }
}

pub(super) fn unary(cx: &Context<'_>, f: Unary, x: &TensorType) -> Result<TensorType> {
    let (allowed, expected) = unary_domain(f);
    cx.dtype(&[x], 0, allowed, expected)?;
    Ok(x.clone())
}

pub(super) fn binary(cx: &mut Context<'_>, f: Binary, x: &[&TensorType]) -> Result<TensorType> {
    let (allowed, expected) = binary_domain(f);
    cx.dtype(x, 0, allowed, expected)?;
    cx.equal_dtypes(x, 0, 1)?;
    cx.equal_dims(x, 0, 1)?;
    Ok(x[0].clone())
}

pub(super) fn compare(
    cx: &mut Context<'_>,
    predicate: Predicate,
    x: &[&TensorType],
) -> Result<TensorType> {
    let (allowed, expected) = predicate_domain(predicate);
    cx.dtype(x, 0, allowed, expected)?;
    cx.equal_dtypes(x, 0, 1)?;
    cx.equal_dims(x, 0, 1)?;
    Ok(with_dtype(x[0], DType::Bool))
}

pub(super) fn select(cx: &mut Context<'_>, x: &[&TensorType]) -> Result<TensorType> {
    cx.dtype(x, 0, |d| d == DType::Bool, "bool")?;
    cx.equal_dtypes(x, 1, 2)?;
    cx.equal_dims(x, 0, 1)?;
    cx.equal_dims(x, 0, 2)?;
    Ok(with_dtype(x[0], x[1].dtype))
}
