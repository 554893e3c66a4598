//! CUDA kernels without a GPU: their text runs on this processor and equals the interpreter.

#[cfg(feature = "cuda")]
mod compiled;
mod corpus;
#[cfg(feature = "cuda")]
mod device;
mod emulated;
mod emulator;
mod shapes;
