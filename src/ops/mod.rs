//! The operations, as methods of [`crate::Tensor`], by kind.

mod arithmetic;
mod complex;
mod create;
mod custom;
mod in_place;
mod index;
mod linear;
mod movement;
mod normalise;
mod operators;
mod pointwise;
mod random;
mod reduce;
mod sort;

pub use custom::ElementFn;
pub use index::{Index, IntoIndices, strided};
pub use normalise::RunningStats;
pub use random::{Generator, manual_seed};
pub use reduce::IntoAxes;
