//! Random tensors.
//!
//! Every draw takes a fresh stream number from its generator, and each element depends only on the
//! seed, the stream and its own index: results do not depend on threads, on other draws' sizes, or
//! on how programs are fused.
//!
//! What cannot be had by transforming a fixed number of random words per element (gamma, Poisson,
//! binomial, von Mises numbers) is drawn by rejection with a fixed number of candidates per element
//! along an axis of their own, of which the first accepted one is taken (`rejection`). So nothing
//! waits for data: such draws stay lazy, fuse, and are captured and batched like any operation. The
//! counts of candidates are such that none is accepted with a probability below 1e-10.

mod base;
mod counts;
mod fill;
mod generator;
mod rejection;

pub use generator::{Generator, GeneratorState, fork_rng, manual_seed};

pub(crate) use base::{normal_numbers, open_unit_numbers, wide};
pub(crate) use fill::{cauchy_numbers, exponential_numbers};
pub(crate) use generator::default_generator;
pub(crate) use rejection::{log_gamma_numbers, von_mises_numbers};
