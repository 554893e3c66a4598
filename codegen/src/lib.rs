//! Code generation: plan to program.
//!
//! A plan's kernels are lowered to vector code ([`lower`](mod@lower)), which a [`backend`] turns into machine
//! code; the rest of the plan becomes a [`lazulite_runtime::Image`]. [`compile`] does it all.

pub mod archive;
pub mod backend;
mod cache;
mod canonical;
mod cranelift;
pub mod cuda;
#[cfg(all(test, target_arch = "x86_64"))]
mod differential;
mod disassemble;
mod error;
mod foreign;
mod image;
mod jit;
pub mod lower;
pub mod object;
mod options;
#[cfg(test)]
mod placed;
mod program;
pub mod vector;
#[cfg(target_arch = "x86_64")]
mod wide;
mod width;

pub use cache::{KernelStats, kernel_stats, oldest_kept};
pub use cranelift::CraneliftBackend;
pub use disassemble::{Disassembly, Instruction, disassemble};
pub use error::CodegenError;
pub use foreign::{check_foreign, foreign_function};
pub use image::{element, signature};
pub use options::{CodegenOptions, Level};
pub use program::{KernelText, assemble, compile, inspect};
#[cfg(target_arch = "x86_64")]
pub use wide::WideBackend;
