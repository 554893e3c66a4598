//! Library functions: what programs call by name because no generated kernel does it well, such as
//! Fourier transforms and matrix decompositions.
//!
//! A function works on numbers of one scalar type, and the name in a program says which:
//! `fft.forward.c64` is function `fft.forward` for complex numbers of two f32. So a name means the same
//! before and after complex values are split into reals: a complex operand or result may be given as
//! real numbers with a last axis of 2, which are the same bytes.
//!
//! Every function has a [`Signature`] over the trailing ("core") axes of its operands and results. The
//! axes before them are a batch, the same for all; entries of a batch are independent, and may run on
//! several threads.
//! Types are held against the signature wherever they are known, and always before a kernel runs.
//!
//! Without feature `foreign` the table is empty.
#![cfg_attr(not(feature = "foreign"), allow(dead_code))] // Nothing calls what functions are made with.

mod call;
#[cfg(feature = "foreign")]
mod fft;
#[cfg(feature = "foreign")]
mod linalg;
mod signature;

use crate::{Element, Pool};
use call::Call;
pub use signature::{ElementKind, Extent, Pattern, Signature};
use std::fmt;

/// A function of the table.
struct Function {
    /// The name without the scalar type.
    name: &'static str,
    /// Scalar types that there are kernels for.
    scalars: &'static [Element],
    signature: Signature,
    /// Computes the results of types that fit the signature.
    kernel: fn(&mut Call<'_>) -> Result<(), String>,
}

/// All functions, by subject.
#[cfg(feature = "foreign")]
const TABLE: &[&[Function]] = &[
    fft::FUNCTIONS,
    linalg::cholesky::FUNCTIONS,
    linalg::eigen::FUNCTIONS,
    linalg::exponential::FUNCTIONS,
    linalg::indefinite::FUNCTIONS,
    linalg::lu::FUNCTIONS,
    linalg::qr::FUNCTIONS,
    linalg::singular::FUNCTIONS,
    linalg::triangular::FUNCTIONS,
];
#[cfg(not(feature = "foreign"))]
const TABLE: &[&[Function]] = &[];

/// A library function for one scalar type.
#[derive(Clone, Copy)]
pub struct Library {
    function: &'static Function,
    scalar: Element,
}

/// Memory and type of an operand: dense, row-major, aligned to its elements.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Element type.
    pub element: Element,
    /// Sizes.
    pub dims: &'a [usize],
    /// The elements.
    pub bytes: &'a [u8],
}

/// Memory and type of a result, like [`Operand`]. What it holds before does not matter.
#[derive(Debug)]
pub struct ResultMut<'a> {
    /// Element type.
    pub element: Element,
    /// Sizes.
    pub dims: &'a [usize],
    /// The elements.
    pub bytes: &'a mut [u8],
}

/// An element type and sizes, as far as they are known.
pub type PartialType = (Element, Vec<Option<usize>>);

/// The library function that programs call `name`.
///
/// ```
/// # #[cfg(feature = "foreign")] {
/// let function = lazulite_runtime::library("fft.forward.c64").unwrap();
/// assert_eq!(function.to_string(), "fft.forward.c64");
/// # }
/// assert!(lazulite_runtime::library("fft.forward").is_none());
/// ```
pub fn library(name: &str) -> Option<Library> {
    let (base, suffix) = name.rsplit_once('.')?;
    let mut functions = TABLE.iter().copied().flatten();
    let function = functions.find(|f| f.name == base)?;
    let mut scalars = function.scalars.iter();
    let scalar = *scalars.find(|s| s.name() == suffix)?;
    Some(Library { function, scalar })
}

/// The names of all library functions, without scalar types.
pub fn library_names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().copied().flatten().map(|f| f.name)
}

impl Library {
    /// What the function takes and gives.
    pub fn signature(&self) -> &'static Signature {
        &self.function.signature
    }

    /// Holds types against the signature. Sizes that are not known fit.
    ///
    /// # Errors
    /// Says which operand or result is of a wrong type.
    pub fn check(&self, operands: &[PartialType], results: &[PartialType]) -> Result<(), String> {
        let signature = &self.function.signature;
        signature.fit(self.scalar, operands, results).map(|_| ())
    }

    /// Computes the results. They are the same for any number of threads.
    ///
    /// # Errors
    /// When types do not fit, or the numbers are such that there is no result.
    pub fn call(
        &self,
        operands: &[Operand<'_>],
        results: &mut [ResultMut<'_>],
        pool: &Pool,
    ) -> Result<(), String> {
        let known = |element, dims: &[usize]| (element, dims.iter().map(|d| Some(*d)).collect());
        let operand_types: Vec<PartialType> =
            operands.iter().map(|o| known(o.element, o.dims)).collect();
        let result_types: Vec<PartialType> =
            results.iter().map(|r| known(r.element, r.dims)).collect();
        let signature = &self.function.signature;
        let fit = signature.fit(self.scalar, &operand_types, &result_types)?;
        let mut call = Call::new(self.scalar, operands, results, &fit, pool)?;
        (self.function.kernel)(&mut call)
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.function.name, self.scalar.name())
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Library({self})")
    }
}
