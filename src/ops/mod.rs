//! The operations, as methods of [`crate::Tensor`], by kind.

mod activation;
mod arithmetic;
mod attention;
mod complex;
mod composite;
mod create;
mod custom;
mod diagonal;
mod einsum;
mod extremes;
mod fft;
mod in_place;
mod index;
mod library;
mod linear;
mod loss;
mod math;
mod movement;
mod normalise;
mod operators;
mod pairs;
mod pointwise;
mod pool;
mod products;
pub(crate) mod random;
mod reduce;
mod resample;
mod scatter;
mod shape;
mod signal;
mod sort;
mod special;
mod split;
mod stats;
mod window;

pub(crate) use composite::{
    attempt, attempt_all, attempt_pair, bad_shape, floating, tensor_of,
};
pub use attention::{AttentionOptions, BagMode, BagOptions, HeadWeights};
pub use custom::ElementFn;
pub use extremes::{Interpolation, Unique};
pub use fft::{FftNOptions, FftNorm, FftOptions};
pub use index::{Index, IntoIndices, strided};
pub use loss::{ClassOptions, Reduction, TripletOptions};
pub use normalise::RunningStats;
pub use pool::PoolOptions;
pub use random::{Generator, GeneratorState, fork_rng, manual_seed};
pub use reduce::IntoAxes;
pub use resample::{Outside, ResampleMode};
pub use scatter::ScatterReduce;
pub use signal::Window;
pub use stats::{MatrixNorm, Spacing};
pub use window::{ConvOptions, PadMode, Padding};
