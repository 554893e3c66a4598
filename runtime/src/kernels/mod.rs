//! Kernels written by hand: matrix products, sorting, random bits. They work on memory and
//! scratch given by the caller, allocate nothing and, but for CPU detection, need no more than `core`.

pub(crate) mod contract;
mod level;
pub(crate) mod micro;
#[cfg(feature = "products")]
pub(crate) mod narrow;
pub(crate) mod pack;
pub mod philox;
mod placed;
pub(crate) mod sort;
mod source;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(all(target_arch = "x86_64", feature = "products"))]
mod x86_narrow;

pub use contract::nanoseconds as product_nanoseconds;
pub use level::Level;
