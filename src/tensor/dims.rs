//! Sizes as users write and read them.

use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use lazulite_ir::{DimOverflow, Dims};
use std::fmt;
use std::ops;

/// The size of one axis: a number, or an unknown inside a captured function. It carries arithmetic
/// and can be given wherever sizes are taken. A dim of an erroneous tensor carries its error.
#[derive(Clone)]
pub struct Dim(pub(crate) Result<lazulite_ir::Dim>);

impl Dim {
    /// The number, if it is known; an error for unknown sizes and erroneous tensors.
    #[track_caller]
    pub fn value(&self) -> Result<i64> {
        let dim = self.0.as_ref().map_err(Clone::clone)?;
        let place = Place::here();
        dim.as_const().ok_or_else(|| {
            Error::new(
                ErrorKind::Capture,
                "dim",
                format!("the size {dim} is not known inside a captured function"),
            )
            .at(place)
            .hint("compute with the Dim itself: it has arithmetic and is accepted as a size")
        })
    }

    /// Rounds the quotient down.
    pub fn floor_div(&self, divisor: impl Into<Dim>) -> Dim {
        self.combine(&divisor.into(), lazulite_ir::Dim::floor_div)
    }

    fn combine(
        &self,
        other: &Dim,
        f: impl FnOnce(&lazulite_ir::Dim, &lazulite_ir::Dim) -> Result<lazulite_ir::Dim, DimOverflow>,
    ) -> Dim {
        Dim(match (&self.0, &other.0) {
            (Ok(a), Ok(b)) => f(a, b).map_err(|e| size_overflow("dim", e)),
            (Err(e), _) | (_, Err(e)) => Err(e.clone()),
        })
    }
}

/// The error for size arithmetic that leaves 64 bits.
pub(crate) fn size_overflow(op: &'static str, overflow: DimOverflow) -> Error {
    Error::new(ErrorKind::Shape, op, overflow.to_string())
}

impl fmt::Debug for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(dim) => write!(f, "{dim}"),
            Err(_) => f.write_str("<error>"),
        }
    }
}

macro_rules! dim_from {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Dim {
            fn from(value: $ty) -> Dim {
                Dim(i64::try_from(value).map(lazulite_ir::Dim::constant).map_err(|_| {
                    Error::new(ErrorKind::Shape, "dim", format!("the size {value} exceeds 63 bits"))
                }))
            }
        }
    )*};
}

dim_from!(i32, i64, u32, u64, usize);

impl From<&Dim> for Dim {
    fn from(dim: &Dim) -> Dim {
        dim.clone()
    }
}

macro_rules! dim_operator {
    ($($trait:ident $method:ident),*) => {$(
        impl<D: Into<Dim>> ops::$trait<D> for Dim {
            type Output = Dim;
            fn $method(self, other: D) -> Dim {
                self.combine(&other.into(), lazulite_ir::Dim::$method)
            }
        }

        impl<D: Into<Dim>> ops::$trait<D> for &Dim {
            type Output = Dim;
            fn $method(self, other: D) -> Dim {
                self.combine(&other.into(), lazulite_ir::Dim::$method)
            }
        }
    )*};
}

dim_operator!(Add add, Sub sub, Mul mul);

/// Anything that lists sizes: tuples, arrays, slices and vectors of integers or [`Dim`]s, one of them alone, and `()`
/// for no axes.
///
/// ```
/// use lazulite::prelude::*;
/// let x = Tensor::zeros((2, 3));
/// assert_eq!(x.reshape([3, 2]).dims()?, [3, 2]);
/// assert_eq!(x.reshape((x.dim(0), 3, 1)).dims()?, [2, 3, 1]);
/// assert_eq!(x.reshape(-1).dims()?, [6]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` lists no sizes",
    label = "expected `(2, 3)`, `[2, 3]`, a slice or vector, one size, or `()`",
    note = "sizes are integers or `Dim`s"
)]
pub trait IntoDims {
    /// The sizes; the first error among them, if there is one.
    fn into_dims(self) -> Result<Dims>;
}

impl IntoDims for () {
    fn into_dims(self) -> Result<Dims> {
        Ok(Dims::new())
    }
}

macro_rules! dims_of_one {
    ($($ty:ty),*) => {$(
        impl IntoDims for $ty {
            fn into_dims(self) -> Result<Dims> {
                [self].into_dims()
            }
        }
    )*};
}

dims_of_one!(i32, i64, u32, u64, usize, Dim, &Dim);

macro_rules! dims_of_tuples {
    ($(($($part:ident)+))*) => {$(
        impl<$($part: Into<Dim>),+> IntoDims for ($($part,)+) {
            #[allow(non_snake_case)]
            fn into_dims(self) -> Result<Dims> {
                let ($($part,)+) = self;
                [$($part.into()),+].into_dims()
            }
        }
    )*};
}

dims_of_tuples! {
    (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H)
}

impl<D: Into<Dim>, const N: usize> IntoDims for [D; N] {
    fn into_dims(self) -> Result<Dims> {
        self.into_iter().map(|d| d.into().0).collect()
    }
}

impl<D: Into<Dim>> IntoDims for Vec<D> {
    fn into_dims(self) -> Result<Dims> {
        self.into_iter().map(|d| d.into().0).collect()
    }
}

impl<D: Into<Dim> + Clone> IntoDims for &[D] {
    fn into_dims(self) -> Result<Dims> {
        self.iter().map(|d| d.clone().into().0).collect()
    }
}

impl<D: Into<Dim> + Clone> IntoDims for &Vec<D> {
    fn into_dims(self) -> Result<Dims> {
        self.as_slice().into_dims()
    }
}

impl<D: Into<Dim> + Clone, const N: usize> IntoDims for &[D; N] {
    fn into_dims(self) -> Result<Dims> {
        self.as_slice().into_dims()
    }
}
