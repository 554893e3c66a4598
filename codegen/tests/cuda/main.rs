//! CUDA kernels without a GPU: their text runs on this processor and equals the interpreter. (The emulator
//! switches stacks by hand, for this processor only.)
#![cfg(target_arch = "x86_64")]

#[cfg(feature = "cuda")]
mod compiled;
mod corpus;
#[cfg(feature = "cuda")]
mod device;
mod emulated;
mod emulator;
mod shapes;
