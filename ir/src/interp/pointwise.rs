//! Leaves and element by element operations.

use super::{Array, Fault, error::Stop};
use crate::element::{Element, Number, with_element};
use crate::{Binary, DType, Predicate, Scalar, Unary, scalar_ops};

type Result<T> = std::result::Result<T, Stop>;

pub(super) fn size(value: i64, dtype: DType) -> Result<Array> {
    let value = Scalar::from_i64(DType::I64, value);
    Ok(Array::scalar(scalar_ops::cast(value, dtype)))
}

/// A new array with the elements that `value` gives, by their number.
fn generate<T: Element>(dims: &[usize], value: impl Fn(usize) -> T) -> Result<Array> {
    let mut out = Array::zeros(T::DTYPE, dims)?;
    for i in 0..out.len() {
        value(i).store(&mut out.bytes, i);
    }
    Ok(out)
}

pub(super) fn iota(dims: &[usize], dtype: DType) -> Result<Array> {
    with_element!(dtype, T => generate(dims, |i| T::from_number(Number::Int(i as i128))))
}

pub(super) fn random(seed: &Array, stream: &Array, dims: &[usize], dtype: DType) -> Result<Array> {
    let word = |a: &Array| a.get(0).map(|s| s.bits() as u64).ok_or(Stop::IllTyped);
    let (seed, stream) = (word(seed)?, word(stream)?);
    let bits = |i: usize| crate::random_bits(seed, stream, i as u64);
    match dtype {
        DType::U32 => generate(dims, |i| bits(i) as u32),
        DType::U64 => generate(dims, bits),
        _ => Err(Stop::IllTyped),
    }
}

fn map<T: Element, U: Element>(x: &Array, f: impl Fn(T) -> U) -> Result<Array> {
    generate(&x.dims, |i| f(T::load(&x.bytes, i)))
}

fn zip<T: Element, U: Element>(a: &Array, b: &Array, f: impl Fn(T, T) -> U) -> Result<Array> {
    if (a.dtype, &a.dims) != (b.dtype, &b.dims) {
        return Err(Stop::IllTyped);
    }
    generate(&a.dims, |i| f(T::load(&a.bytes, i), T::load(&b.bytes, i)))
}

pub(super) fn cast(x: &Array, dtype: DType) -> Result<Array> {
    type Write = fn(Number, &mut [u8], usize);
    let write: Write =
        with_element!(dtype, T => |number, bytes, i| T::from_number(number).store(bytes, i));
    let mut out = Array::zeros(dtype, &x.dims)?;
    with_element!(x.dtype, T => {
        for i in 0..x.len() {
            write(T::load(&x.bytes, i).number(), &mut out.bytes, i);
        }
    });
    Ok(out)
}

pub(super) fn bitcast(x: &Array, dtype: DType) -> Result<Array> {
    let mut out = x.clone();
    out.dtype = dtype;
    out.is_valid().then_some(out).ok_or(Stop::IllTyped)
}

pub(super) fn complex(re: &Array, im: &Array) -> Result<Array> {
    use crate::element::Complex;
    match re.dtype {
        DType::F32 => zip(re, im, |re: f32, im| Complex { re, im }),
        DType::F64 => zip(re, im, |re: f64, im| Complex { re, im }),
        _ => Err(Stop::IllTyped),
    }
}

/// Part 0 (real) or 1 (imaginary) of complex numbers.
pub(super) fn part(x: &Array, part: usize) -> Result<Array> {
    match x.dtype {
        DType::C64 => generate(&x.dims, |i| f32::load(&x.bytes, 2 * i + part)),
        DType::C128 => generate(&x.dims, |i| f64::load(&x.bytes, 2 * i + part)),
        _ => Err(Stop::IllTyped),
    }
}

pub(super) fn unary(f: Unary, x: &Array) -> Result<Array> {
    with_element!(x.dtype, T => map(x, T::unary(f).ok_or(Stop::IllTyped)?))
}

pub(super) fn binary(f: Binary, a: &Array, b: &Array) -> Result<Array> {
    if b.dtype.is_int()
        && matches!(f, Binary::Div | Binary::Rem)
        && b.bytes
            .chunks_exact(b.dtype.size())
            .any(|divisor| divisor.iter().all(|&byte| byte == 0))
    {
        return Err(Fault::DivisionByZero.into());
    }
    with_element!(a.dtype, T => zip(a, b, T::binary(f).ok_or(Stop::IllTyped)?))
}

pub(super) fn compare(predicate: Predicate, a: &Array, b: &Array) -> Result<Array> {
    with_element!(a.dtype, T => zip(a, b, T::compare(predicate).ok_or(Stop::IllTyped)?))
}

pub(super) fn select(condition: &Array, a: &Array, b: &Array) -> Result<Array> {
    if condition.dtype != DType::Bool || (condition.dims != a.dims) || a.dtype != b.dtype {
        return Err(Stop::IllTyped);
    }
    with_element!(a.dtype, T => {
        if a.dims != b.dims {
            return Err(Stop::IllTyped);
        }
        generate(&a.dims, |i| {
            let chosen = if bool::load(&condition.bytes, i) { a } else { b };
            T::load(&chosen.bytes, i)
        })
    })
}
