//! Tensors from numbers and arrays as they are written down.

use crate::element::Element;
use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::tensor::Tensor;

/// What [`Tensor::from`] takes: a number, or arrays, vectors or slices of numbers or of more such, to any depth.
#[diagnostic::on_unimplemented(
    message = "a tensor cannot be made from `{Self}`",
    label = "expected a number, or arrays, vectors or slices of numbers"
)]
pub trait Nested {
    /// The type of the numbers.
    type Element: Element;

    /// The sizes of something of this type without elements.
    fn least() -> Vec<usize>;

    /// The sizes, as far as the first element of each level tells them.
    fn sizes(&self) -> Vec<usize>;

    /// Appends all numbers to `to`, or tells two sizes that should be the same.
    fn append(&self, sizes: &[usize], to: &mut Vec<Self::Element>) -> Result<(), (usize, usize)>;
}

impl<T: Element> Nested for T {
    type Element = T;

    fn least() -> Vec<usize> {
        Vec::new()
    }

    fn sizes(&self) -> Vec<usize> {
        Vec::new()
    }

    fn append(&self, _: &[usize], to: &mut Vec<T>) -> Result<(), (usize, usize)> {
        to.push(*self);
        Ok(())
    }
}

fn sizes_of<L: Nested>(parts: &[L]) -> Vec<usize> {
    let mut sizes = vec![parts.len()];
    sizes.extend(parts.first().map_or_else(L::least, L::sizes));
    sizes
}

fn append_all<L: Nested>(
    parts: &[L],
    sizes: &[usize],
    to: &mut Vec<L::Element>,
) -> Result<(), (usize, usize)> {
    match sizes {
        [own, within @ ..] if *own == parts.len() => {
            parts.iter().try_for_each(|part| part.append(within, to))
        }
        _ => Err((sizes.first().copied().unwrap_or(0), parts.len())),
    }
}

/// What can be seen as a slice, and has so many elements at least.
macro_rules! holders {
    ($(($($generics:tt)*) $holder:ty = $least:expr;)*) => {$(
        impl<$($generics)*> Nested for $holder {
            type Element = L::Element;

            fn least() -> Vec<usize> {
                let mut sizes = vec![$least];
                sizes.extend(L::least());
                sizes
            }

            fn sizes(&self) -> Vec<usize> {
                sizes_of(&self[..])
            }

            fn append(&self, sizes: &[usize], to: &mut Vec<L::Element>) -> Result<(), (usize, usize)> {
                append_all(&self[..], sizes, to)
            }
        }
    )*};
}

holders! {
    (L: Nested, const N: usize) [L; N] = N;
    (L: Nested, const N: usize) &[L; N] = N;
    (L: Nested) &[L] = 0;
    (L: Nested) Vec<L> = 0;
    (L: Nested) &Vec<L> = 0;
}

/// Numbers and nested arrays as tensors of Rust's own types: a float literal without a suffix is an `f64` in Rust, an
/// integer an `i32`. Write one suffix, `[1.0f32, 2.0]`, to get PyTorch's default. Rows of different lengths make
/// a tensor that carries an error.
///
/// ```
/// use lazulite::prelude::*;
/// let x = Tensor::from([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!((x.dims()?, x.dtype()?), (vec![2, 3], DType::F32));
/// assert_eq!(Tensor::from([1.0, 2.0]).dtype()?, DType::F64);
/// assert_eq!(Tensor::from(vec![3u8, 4]).dims()?, [2]);
/// assert_eq!(Tensor::from(true).dims()?, []);
/// assert!(Tensor::from(vec![vec![1], vec![2, 3]]).check().is_err());
/// # Ok::<(), lazulite::Error>(())
/// ```
impl<L: Nested> From<L> for Tensor {
    #[track_caller]
    fn from(nested: L) -> Tensor {
        let sizes = nested.sizes();
        let mut elements = Vec::new();
        match nested.append(&sizes, &mut elements) {
            Ok(()) => Tensor::from_slice(&elements, sizes),
            Err((expected, found)) => {
                let message = format!("a row has {found} elements, the first one has {expected}");
                let error = Error::new(ErrorKind::Shape, "from", message).at(Place::here());
                Tensor::error(error.hint("all rows of an axis have the same length"))
            }
        }
    }
}
