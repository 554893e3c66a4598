//! Kernels written by hand: matrix products, sorting, random bits. They work on memory and
//! scratch given by the caller, allocate nothing and, but for CPU detection, need no more than `core`.

pub(crate) mod contract;
mod level;
pub(crate) mod micro;
pub(crate) mod pack;
pub mod philox;
pub(crate) mod sort;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use contract::nanoseconds as product_nanoseconds;
pub use level::Level;
