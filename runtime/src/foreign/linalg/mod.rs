//! Linear algebra: decompositions of matrices and solutions of systems, by faer.
//!
//! Matrices are row-major in memory. They are computed with in double precision whatever their
//! scalar type, in an order that does not depend on the number of threads. What a matrix cannot have (the
//! Cholesky factor of one that is not positive definite, say) is an error that names its place in the
//! batch, or shows in a result `info` where a function has one and is not the kind that fails.

pub(super) mod cholesky;
pub(super) mod eigen;
pub(super) mod exponential;
pub(super) mod indefinite;
pub(super) mod lu;
pub(super) mod qr;
pub(super) mod singular;
pub(super) mod triangular;

use super::call::{Chunk, Number};
use super::signature::{ElementKind, Extent, Pattern};
use crate::Element;
use faer::Mat;
use faer::traits::ComplexField;
use num_complex::Complex;
use std::ops::{Add, Div, DivAssign, Mul, MulAssign, Neg, Sub};

/// Scalar types of all functions here.
const SCALARS: &[Element] = &[Element::F32, Element::F64, Element::C64, Element::C128];
const M: Extent = Extent::Var('m');
const N: Extent = Extent::Var('n');
const K: Extent = Extent::Min('m', 'n');
const SQUARE: Pattern = scalars(&[N, N]);
/// Which matrix is wrong, see the functions.
const INFO: Pattern = integers(&[]);

const fn scalars(core: &'static [Extent]) -> Pattern {
    let kind = ElementKind::Scalar;
    Pattern { kind, core }
}

const fn reals(core: &'static [Extent]) -> Pattern {
    let kind = ElementKind::Real;
    Pattern { kind, core }
}

const fn complexes(core: &'static [Extent]) -> Pattern {
    let kind = ElementKind::Complex;
    Pattern { kind, core }
}

const fn integers(core: &'static [Extent]) -> Pattern {
    let kind = ElementKind::Fixed(Element::I32);
    Pattern { kind, core }
}

/// A type of matrix elements in memory.
trait Scalar: Number {
    /// Its parts, or itself.
    type Real: Number;
    /// Pairs of its parts.
    type Complex: Number;
    /// What is computed with.
    type Wide: Wide;
    fn widen(self) -> Self::Wide;
    fn narrow(wide: Self::Wide) -> Self;
    fn real(wide: f64) -> Self::Real;
    fn complex(wide: Complex<f64>) -> Self::Complex;
}

/// A type to compute with.
trait Wide:
    ComplexField<Real = f64>
    + Copy
    + PartialEq
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + MulAssign
    + DivAssign
{
    /// The number with these parts; a real number has none that is imaginary.
    fn of(re: f64, im: f64) -> Self;
    fn parts(self) -> Complex<f64>;

    fn real_of(re: f64) -> Self {
        Self::of(re, 0.0)
    }

    fn conjugate(self) -> Self {
        let z = self.parts();
        Self::of(z.re, -z.im)
    }

    fn magnitude(self) -> f64 {
        let z = self.parts();
        z.re.hypot(z.im)
    }

    fn is_zero(self) -> bool {
        self == Self::real_of(0.0)
    }
}

impl Wide for f64 {
    fn of(re: f64, _: f64) -> f64 {
        re
    }

    fn parts(self) -> Complex<f64> {
        Complex::new(self, 0.0)
    }
}

impl Wide for Complex<f64> {
    fn of(re: f64, im: f64) -> Complex<f64> {
        Complex::new(re, im)
    }

    fn parts(self) -> Complex<f64> {
        self
    }
}

macro_rules! scalars {
    ($($real:ty),*) => {$(
        impl Scalar for $real {
            type Real = $real;
            type Complex = Complex<$real>;
            type Wide = f64;

            fn widen(self) -> f64 {
                self.into()
            }

            fn narrow(wide: f64) -> $real {
                wide as $real
            }

            fn real(wide: f64) -> $real {
                wide as $real
            }

            fn complex(wide: Complex<f64>) -> Complex<$real> {
                Complex::new(wide.re as $real, wide.im as $real)
            }
        }

        impl Scalar for Complex<$real> {
            type Real = $real;
            type Complex = Complex<$real>;
            type Wide = Complex<f64>;

            fn widen(self) -> Complex<f64> {
                Complex::new(self.re.into(), self.im.into())
            }

            fn narrow(wide: Complex<f64>) -> Complex<$real> {
                Complex::new(wide.re as $real, wide.im as $real)
            }

            fn real(wide: f64) -> $real {
                wide as $real
            }

            fn complex(wide: Complex<f64>) -> Complex<$real> {
                Self::narrow(wide)
            }
        }
    )*};
}

scalars!(f32, f64);

/// Calls a kernel for the call's scalar type.
macro_rules! of_scalar {
    ($kernel:ident, $call:expr $(, $setting:expr)*) => {
        match $call.scalar() {
            $crate::Element::C128 => $kernel::<num_complex::Complex<f64>>($call $(, $setting)*),
            $crate::Element::C64 => $kernel::<num_complex::Complex<f32>>($call $(, $setting)*),
            $crate::Element::F64 => $kernel::<f64>($call $(, $setting)*),
            _ => $kernel::<f32>($call $(, $setting)*),
        }
    };
}
use of_scalar;

/// A function of the table.
macro_rules! function {
    ($name:literal: ($($operand:expr),*) -> ($($result:expr),*), $kernel:expr) => {
        $crate::foreign::Function {
            name: $name,
            scalars: $crate::foreign::linalg::SCALARS,
            signature: $crate::foreign::Signature {
                operands: &[$($operand),*],
                results: &[$($result),*],
            },
            kernel: $kernel,
        }
    };
}
use function;

/// Part `entry` of equal parts of `size` elements.
fn part<T>(all: &[T], entry: usize, size: usize) -> &[T] {
    &all[entry * size..(entry + 1) * size]
}

fn part_mut<T>(all: &mut [T], entry: usize, size: usize) -> &mut [T] {
    &mut all[entry * size..(entry + 1) * size]
}

/// Matrix number `entry` of operand `operand`.
fn load<T: Scalar>(
    chunk: &Chunk<'_>,
    operand: usize,
    entry: usize,
    (rows, columns): (usize, usize),
) -> Result<Mat<T::Wide>, String> {
    let all = chunk.operand::<T>(operand)?;
    let from = part(all, entry, rows * columns);
    Ok(Mat::from_fn(rows, columns, |i, j| {
        from[i * columns + j].widen()
    }))
}

/// Writes a matrix to memory, element by element.
fn store<W: Wide, U>(to: &mut [U], columns: usize, matrix: &Mat<W>, narrow: impl Fn(W) -> U) {
    for (at, to) in to.iter_mut().enumerate() {
        *to = narrow(matrix[(at / columns, at % columns)]);
    }
}

/// Whether there is neither NaN nor an infinity.
fn is_finite<W: Wide>(matrix: &Mat<W>) -> bool {
    let columns = 0..matrix.ncols();
    columns
        .flat_map(|j| (0..matrix.nrows()).map(move |i| (i, j)))
        .all(|at| {
            let z = matrix[at].parts();
            z.re.is_finite() && z.im.is_finite()
        })
}

/// About how long it takes to do `count` multiplications.
fn nanoseconds(count: [usize; 3]) -> f64 {
    200.0 + count.iter().map(|c| *c as f64).product::<f64>() / 2.0
}
