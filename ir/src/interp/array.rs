//! Dense arrays of host memory: what interpreters take and give, with the comparisons that tests
//! need.

use crate::element::{Element, Number, with_element};
use crate::{DType, Scalar};
use std::fmt;

/// A dense row-major tensor in little-endian memory. Equality is of types and bits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Array {
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub dims: Vec<usize>,
    /// The elements.
    pub bytes: Vec<u8>,
}

/// Why there is no such array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArrayError {
    /// Its bytes cannot be had.
    Memory {
        /// Element type.
        dtype: DType,
        /// Sizes.
        dims: Vec<usize>,
    },
    /// The number of values does not fit the sizes.
    Length {
        /// Sizes.
        dims: Vec<usize>,
        /// Number of values.
        values: usize,
    },
}

impl fmt::Display for ArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArrayError::Memory { dtype, dims } => {
                write!(f, "no memory for an array {dtype}{dims:?}")
            }
            ArrayError::Length { dims, values } => {
                write!(f, "{values} values do not fill an array of dims {dims:?}")
            }
        }
    }
}

impl std::error::Error for ArrayError {}

/// The number of bytes of an array, if they can be addressed; sizes of 0 count as 1, so that
/// strides can be formed as well.
fn addressable(dtype: DType, dims: &[usize]) -> Option<usize> {
    let bytes = dims
        .iter()
        .try_fold(dtype.size(), |bytes, &d| bytes.checked_mul(d.max(1)))?;
    (bytes <= isize::MAX as usize).then_some(bytes)
}

macro_rules! typed_constructors {
    ($($name:ident $T:ident),*) => { $(
        #[doc = concat!("An array of ", stringify!($T), " values.")]
        pub fn $name(dims: &[usize], values: &[$T]) -> Result<Array, ArrayError> {
            Array::from_elements(dims, values)
        }
    )* };
}

impl Array {
    typed_constructors!(
        from_bool bool, from_u8 u8, from_u16 u16, from_u32 u32, from_u64 u64, from_i8 i8,
        from_i16 i16, from_i32 i32, from_i64 i64, from_f32 f32, from_f64 f64
    );

    /// An array of zeros.
    pub fn zeros(dtype: DType, dims: &[usize]) -> Result<Array, ArrayError> {
        let failed = || ArrayError::Memory {
            dtype,
            dims: dims.to_vec(),
        };
        let all = addressable(dtype, dims).ok_or_else(failed)?;
        let len = if dims.contains(&0) { 0 } else { all };
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).map_err(|_| failed())?;
        bytes.resize(len, 0);
        Ok(Array {
            dtype,
            dims: dims.to_vec(),
            bytes,
        })
    }

    /// An array with the same value everywhere.
    pub fn filled(dims: &[usize], value: Scalar) -> Result<Array, ArrayError> {
        let mut array = Array::zeros(value.dtype(), dims)?;
        let size = value.dtype().size();
        for element in array.bytes.chunks_exact_mut(size) {
            element.copy_from_slice(&value.bits().to_le_bytes()[..size]);
        }
        Ok(array)
    }

    /// A 0-d array.
    pub fn scalar(value: Scalar) -> Array {
        let size = value.dtype().size();
        Array {
            dtype: value.dtype(),
            dims: Vec::new(),
            bytes: value.bits().to_le_bytes()[..size].to_vec(),
        }
    }

    /// An array of these values, each cast to `dtype` if it has another type.
    pub fn from_scalars(
        dtype: DType,
        dims: &[usize],
        values: &[Scalar],
    ) -> Result<Array, ArrayError> {
        let mut array = Array::zeros(dtype, dims)?;
        array.check_len(values.len())?;
        for (i, &value) in values.iter().enumerate() {
            array.set(i, value);
        }
        Ok(array)
    }

    pub(crate) fn from_elements<T: Element>(
        dims: &[usize],
        values: &[T],
    ) -> Result<Array, ArrayError> {
        let mut array = Array::zeros(T::DTYPE, dims)?;
        array.check_len(values.len())?;
        for (i, value) in values.iter().enumerate() {
            value.store(&mut array.bytes, i);
        }
        Ok(array)
    }

    fn check_len(&self, values: usize) -> Result<(), ArrayError> {
        let dims = || self.dims.clone();
        (values == self.len())
            .then_some(())
            .ok_or_else(|| ArrayError::Length {
                dims: dims(),
                values,
            })
    }

    /// True when the bytes are as many as type and sizes say.
    pub fn is_valid(&self) -> bool {
        let all = addressable(self.dtype, &self.dims);
        let empty = self.dims.contains(&0);
        all.is_some_and(|all| self.bytes.len() == if empty { 0 } else { all })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// True without elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Element number `index` in row-major order.
    pub fn get(&self, index: usize) -> Option<Scalar> {
        (index < self.len())
            .then(|| with_element!(self.dtype, T => T::load(&self.bytes, index).to_scalar()))
    }

    /// Overwrites element number `index`, with a cast if the types differ; false if there is no
    /// such element.
    pub fn set(&mut self, index: usize, value: Scalar) -> bool {
        let exists = index < self.len();
        if exists {
            let value = crate::scalar_ops::cast(value, self.dtype);
            with_element!(self.dtype, T => T::from_scalar(value).store(&mut self.bytes, index));
        }
        exists
    }

    /// All elements in row-major order.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    fn numbers<U>(&self, f: impl Fn(Number) -> U) -> Vec<U> {
        with_element!(self.dtype, T => {
            (0..self.len()).map(|i| f(T::load(&self.bytes, i).number())).collect()
        })
    }

    /// All elements' real parts as f64.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        self.numbers(Number::real)
    }

    /// All elements as i64, as Cast does.
    pub fn to_i64_vec(&self) -> Vec<i64> {
        self.numbers(i64::from_number)
    }

    /// The first element that differs by more than `tolerance`, or the difference in type. NaN
    /// equals NaN, the two zeros are equal.
    pub fn difference(&self, expected: &Array, tolerance: Tolerance) -> Option<Difference> {
        if (self.dtype, &self.dims) != (expected.dtype, &expected.dims) {
            return Some(Difference::Type {
                got: (self.dtype, self.dims.clone()),
                expected: (expected.dtype, expected.dims.clone()),
            });
        }
        self.scalars()
            .zip(expected.scalars())
            .enumerate()
            .find(|(_, (got, expected))| !tolerance.admits(*got, *expected))
            .map(|(index, (got, expected))| Difference::Element {
                index: unravel(index, &self.dims),
                got,
                expected,
            })
    }
}

/// The multi-dimensional index of element number `index`.
fn unravel(mut index: usize, dims: &[usize]) -> Vec<usize> {
    let mut out = vec![0; dims.len()];
    for (place, &size) in out.iter_mut().zip(dims).rev() {
        *place = index % size.max(1);
        index /= size.max(1);
    }
    out
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        write!(f, "{}{:?} [", self.dtype, self.dims)?;
        for (i, x) in self.scalars().take(SHOWN).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{}", Shown(x))?;
        }
        f.write_str(if self.len() > SHOWN { ", ...]" } else { "]" })
    }
}

/// A scalar as its value.
struct Shown(Scalar);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match with_element!(self.0.dtype(), T => T::from_scalar(self.0).number()) {
            Number::Int(i) => write!(f, "{i}"),
            Number::Real(x) => write!(f, "{x:?}"),
            Number::Complex(re, im) => write!(f, "({re:?}, {im:?})"),
        }
    }
}

/// How far two floats may be apart: any one of the three bounds suffices.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance {
    /// Difference relative to the expected value (for complex numbers, to its larger part).
    pub relative: f64,
    /// Absolute difference.
    pub absolute: f64,
    /// Number of steps on the type's grid of values.
    pub ulps: u64,
}

impl Tolerance {
    /// Equal values.
    pub const EXACT: Tolerance = Tolerance {
        relative: 0.0,
        absolute: 0.0,
        ulps: 0,
    };

    /// At most `ulps` steps apart.
    pub const fn ulps(ulps: u64) -> Tolerance {
        Tolerance {
            ulps,
            ..Tolerance::EXACT
        }
    }

    /// True if `got` is near enough to `expected`, which has the same type.
    pub fn admits(self, got: Scalar, expected: Scalar) -> bool {
        if !expected.dtype().is_inexact() {
            return got == expected;
        }
        let (a, b) = (got.as_complex(), expected.as_complex());
        let part = expected.dtype().real();
        let scale = b.0.abs().max(b.1.abs());
        self.admits_part(part, a.0, b.0, scale) && self.admits_part(part, a.1, b.1, scale)
    }

    fn admits_part(self, dtype: DType, got: f64, expected: f64, scale: f64) -> bool {
        if got == expected || (got.is_nan() && expected.is_nan()) {
            return true;
        }
        if !got.is_finite() || !expected.is_finite() {
            // Overflow where the other is the largest finite value is one step as well.
            return grid_distance(dtype, got, expected) <= self.ulps;
        }
        let apart = (got - expected).abs();
        apart <= self.absolute
            || apart <= self.relative * scale
            || grid_distance(dtype, got, expected) <= self.ulps
    }
}

/// The number of steps between two values of a float type.
fn grid_distance(dtype: DType, a: f64, b: f64) -> u64 {
    if a.is_nan() || b.is_nan() {
        return u64::MAX;
    }
    let place = |x: f64| {
        let bits = Scalar::from_f64(dtype, x).bits();
        let sign = 1u128 << (8 * dtype.size() - 1);
        let magnitude = (bits & (sign - 1)) as i128;
        if bits & sign == 0 {
            magnitude
        } else {
            -magnitude
        }
    };
    (place(a) - place(b)).unsigned_abs() as u64
}

/// How two arrays differ.
#[derive(Clone, PartialEq, Debug)]
pub enum Difference {
    /// In element type or sizes.
    Type {
        /// What is.
        got: (DType, Vec<usize>),
        /// What should be.
        expected: (DType, Vec<usize>),
    },
    /// In an element.
    Element {
        /// Where.
        index: Vec<usize>,
        /// What is.
        got: Scalar,
        /// What should be.
        expected: Scalar,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Type { got, expected } => write!(
                f,
                "type {}{:?}, expected {}{:?}",
                got.0, got.1, expected.0, expected.1
            ),
            Difference::Element {
                index,
                got,
                expected,
            } => write!(
                f,
                "element {index:?} is {}, expected {}",
                Shown(*got),
                Shown(*expected)
            ),
        }
    }
}
