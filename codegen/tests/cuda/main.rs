//! CUDA kernels without a GPU: their text runs on this processor and equals the interpreter.

mod corpus;
mod emulated;
mod emulator;
mod shapes;
