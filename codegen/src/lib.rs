//! Code generation: plan to program.

pub mod backend;
mod cranelift;
mod error;
mod jit;
pub mod lower;
pub mod vector;

pub use cranelift::CraneliftBackend;
pub use error::CodegenError;
