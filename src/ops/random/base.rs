//! Uniform and normal numbers, integers, permutations.

use super::generator::{Generator, default_generator};
use crate::error::Result;
use crate::location::Scope;
use crate::ops::composite::{attempt, bad_argument, bad_dtype};
use crate::tensor::{Dim, IntoDims, Tensor, random_bits};
use lazulite_ir::DType;
use std::f64::consts::TAU;

/// The type in which random numbers of type `dtype` are computed.
pub(crate) fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F64 | DType::C128 => DType::F64,
        _ => DType::F32,
    }
}

/// Multiples of 2^-digits in [0, 1), every one equally likely, with as many digits as the type has:
/// fewer values would round up to 1.
#[track_caller]
pub(super) fn unit_numbers(dims: &[Dim], dtype: DType) -> Tensor {
    let (word, digits) = match dtype {
        DType::F64 => (DType::U64, 53),
        DType::F16 => (DType::U32, 11),
        DType::BF16 => (DType::U32, 8),
        _ => (DType::U32, 24),
    };
    fraction(&bits(dims, word), digits, wide(dtype)).cast(dtype)
}

/// Random bits, u32 or u64.
#[track_caller]
fn bits(dims: &[Dim], dtype: DType) -> Tensor {
    random_bits(&default_generator(), dims, dtype)
}

/// The highest `digits` of the bits, behind the binary point.
#[track_caller]
fn fraction(bits: &Tensor, digits: i32, dtype: DType) -> Tensor {
    let width = if dtype == DType::F64 { 64 } else { 32 };
    bits.bitwise_right_shift(width - digits)
        .cast(dtype)
        .mul((-f64::from(digits)).exp2())
}

/// Numbers in (0, 1), never either end: odd multiples of a power of two. f32 or f64.
#[track_caller]
pub(crate) fn open_unit_numbers(dims: &[Dim], dtype: DType) -> Tensor {
    let (word, digits) = match dtype {
        DType::F64 => (DType::U64, 52),
        _ => (DType::U32, 23),
    };
    fraction(&bits(dims, word), digits, dtype).add((-f64::from(digits + 1)).exp2())
}

/// Standard normal numbers of a float or complex type; complex ones have variance 1, half of it in
/// each part.
#[track_caller]
pub(crate) fn normal_numbers(dims: &[Dim], dtype: DType) -> Tensor {
    if dtype.is_complex() {
        let part = || normal_numbers(dims, dtype.real()).mul(0.5f64.sqrt());
        return Tensor::complex(&part(), &part());
    }
    // Box and Muller; the radius needs a number that is not zero.
    let (radius, angle) = if dtype == DType::F64 {
        let unit = || fraction(&bits(dims, DType::U64), 53, dtype);
        (unit(), unit())
    } else {
        let both = bits(dims, DType::U64);
        let high = both.bitwise_right_shift(32).cast(DType::U32);
        let unit = |bits: &Tensor| fraction(bits, 24, DType::F32);
        (unit(&both.cast(DType::U32)), unit(&high))
    };
    let radius = radius.neg().add(1).log().mul(-2).sqrt();
    radius.mul(angle.mul(TAU).cos()).cast(dtype)
}

/// The type must be one that random numbers come in.
pub(super) fn check_floating(op: &'static str, x: &Tensor) -> Result<DType> {
    match x.dtype()? {
        dtype if dtype.is_float() => Ok(dtype),
        _ => Err(bad_dtype(op, x)),
    }
}

impl Generator {
    /// [`Tensor::rand`] from this generator.
    #[track_caller]
    pub fn rand(&self, dims: impl IntoDims) -> Tensor {
        let _pinned = Scope::pin();
        self.scope(|| Tensor::rand(dims))
    }

    /// [`Tensor::randn`] from this generator.
    #[track_caller]
    pub fn randn(&self, dims: impl IntoDims) -> Tensor {
        let _pinned = Scope::pin();
        self.scope(|| Tensor::randn(dims))
    }

    /// [`Tensor::randint`] from this generator.
    #[track_caller]
    pub fn randint(&self, low: i64, high: i64, dims: impl IntoDims) -> Tensor {
        let _pinned = Scope::pin();
        self.scope(|| Tensor::randint(low, high, dims))
    }
}

impl Tensor {
    /// Uniform numbers in [0, 1), f32.
    #[track_caller]
    pub fn rand(dims: impl IntoDims) -> Tensor {
        Tensor::rand_of(dims, DType::F32).named("rand", &[])
    }

    /// Uniform numbers in [0, 1) of a float or complex type (both parts in [0, 1)).
    #[track_caller]
    pub fn rand_of(dims: impl IntoDims, dtype: DType) -> Tensor {
        attempt(|| {
            let dims = listed(dims)?;
            match dtype {
                d if d.is_float() => Ok(unit_numbers(&dims, d)),
                d if d.is_complex() => {
                    let part = || unit_numbers(&dims, d.real());
                    Ok(Tensor::complex(&part(), &part()))
                }
                d => Err(no_such_numbers("rand", d)),
            }
        })
        .pinned_here()
    }

    /// Standard normal numbers, f32.
    #[track_caller]
    pub fn randn(dims: impl IntoDims) -> Tensor {
        Tensor::randn_of(dims, DType::F32).named("randn", &[])
    }

    /// Standard normal numbers of a float or complex type.
    #[track_caller]
    pub fn randn_of(dims: impl IntoDims, dtype: DType) -> Tensor {
        attempt(|| {
            let dims = listed(dims)?;
            match dtype.is_inexact() {
                true => Ok(normal_numbers(&dims, dtype)),
                false => Err(no_such_numbers("randn", dtype)),
            }
        })
        .pinned_here()
    }

    /// Integers from `low` up to but not including `high`, i64.
    #[track_caller]
    pub fn randint(low: i64, high: i64, dims: impl IntoDims) -> Tensor {
        Tensor::randint_of(low, high, dims, DType::I64)
    }

    /// As [`Tensor::randint`], of any type.
    #[track_caller]
    pub fn randint_of(low: i64, high: i64, dims: impl IntoDims, dtype: DType) -> Tensor {
        attempt(|| {
            let Some(range) = high.checked_sub(low).filter(|r| *r > 0) else {
                let message = format!("there are no integers from {low} up to {high}");
                return Err(bad_argument("randint", message));
            };
            // 63 bits, so that the signed remainder is not negative.
            let word = bits(&listed(dims)?, DType::U64).bitwise_right_shift(1);
            Ok(word.cast(DType::I64).fmod(range).add(low).cast(dtype))
        })
        .pinned_here()
    }

    /// A random permutation of the integers from 0 up to `n`, i64: the order of as many random numbers, so that it is the
    /// same at any number of threads and can be captured. (A million take a sort, some 100 ms.)
    #[track_caller]
    pub fn randperm(n: impl Into<Dim>) -> Tensor {
        bits(&[n.into()], DType::U64)
            .argsort(0)
            .pinned_here()
            .named("randperm", &[])
    }

    /// Draws that belong where this tensor is.
    #[track_caller]
    pub(crate) fn beside(&self, draw: impl FnOnce() -> Result<Tensor>) -> Tensor {
        attempt(|| Ok(draw()?.pinned_to(self.places()?)))
    }

    /// [`Tensor::rand_of`] with this tensor's type and sizes.
    #[track_caller]
    pub fn rand_like(&self) -> Tensor {
        self.beside(|| Ok(Tensor::rand_of(self.sizes()?, self.dtype()?)))
    }

    /// [`Tensor::randn_of`] with this tensor's type and sizes.
    #[track_caller]
    pub fn randn_like(&self) -> Tensor {
        self.beside(|| Ok(Tensor::randn_of(self.sizes()?, self.dtype()?)))
    }

    /// [`Tensor::randint_of`] with this tensor's type and sizes.
    #[track_caller]
    pub fn randint_like(&self, low: i64, high: i64) -> Tensor {
        self.beside(|| Ok(Tensor::randint_of(low, high, self.sizes()?, self.dtype()?)))
    }
}

fn listed(dims: impl IntoDims) -> Result<Vec<Dim>> {
    Ok(dims.into_dims()?.into_iter().map(|d| Dim(Ok(d))).collect())
}

fn no_such_numbers(op: &'static str, dtype: DType) -> crate::Error {
    let message = format!("there are no random fractions of type {dtype}");
    crate::Error::new(crate::ErrorKind::DType, op, message).hint("`randint` draws integers")
}
