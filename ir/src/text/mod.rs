//! Textual forms.
//!
//! Graphs (`.lzt`), kernels and plans print for people; graphs and kernels also parse back, so that
//! print, parse, print is identity. Readers survive any input: they never panic, their recursion is
//! bounded, and every error has line and column and says what was expected and what was found.
//!
//! ```text
//! ; a comment
//! graph(%0: f32[4, n], %1: i64[]) {
//!   %2 = exp %0 : f32[4, n]
//!   %3 = reduce %2 {kind=sum, axes=[1]} : f32[4] @ "src/main.rs":12:5
//!   return %3
//! }
//! ```

mod array;
pub(crate) mod graph;
pub(crate) mod index;
pub(crate) mod inst;
pub(crate) mod kernel;
pub(crate) mod lex;
pub(crate) mod number;
pub(crate) mod plan;
pub(crate) mod quote;
pub(crate) mod readable;
pub(crate) mod size;

use crate::attr::parse_attr;
use crate::{Dim, Scalar, TensorType, TextError};
use std::str::FromStr;

macro_rules! from_str {
    ($($ty:ty),*) => {$(
        impl FromStr for $ty {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                parse_attr(text)
            }
        }
    )*};
}

from_str!(Dim, Scalar, TensorType);
