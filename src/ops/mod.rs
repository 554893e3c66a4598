//! The operations, as methods of [`crate::Tensor`], by kind.

mod arithmetic;
mod complex;
mod composite;
mod create;
mod custom;
mod diagonal;
mod einsum;
mod extremes;
mod in_place;
mod index;
mod linear;
mod math;
mod movement;
mod normalise;
mod operators;
mod pairs;
mod pointwise;
mod products;
mod random;
mod reduce;
mod scatter;
mod shape;
mod sort;
mod split;
mod stats;

pub use custom::ElementFn;
pub use extremes::{Interpolation, Unique};
pub use index::{Index, IntoIndices, step};
pub use normalise::RunningStats;
pub use random::{Generator, manual_seed};
pub use reduce::IntoAxes;
pub use scatter::ScatterReduce;
pub use stats::{MatrixNorm, Spacing};
