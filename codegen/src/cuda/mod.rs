//! CUDA C from kernels: the sibling of [`crate::lower`] for GPUs.
//!
//! Every [`Kernel`] becomes one `__global__` function over a prelude that includes nothing. What a function of single
//! elements means is not said here a second time: each is taken from the vector IR that processors
//! run, for one lane. What is this module's own is how a kernel is spread over threads
//! and how index expressions and memory accesses look in C.
//!
//! Text is all that is made here: no CUDA needs to be present. A compiler for the text may be NVRTC, or any C++
//! compiler for which `LZ_MACHINE` and the first section of [`PRELUDE`] are given otherwise.

#[cfg(feature = "cuda")]
mod compiler;
mod contract;
mod ctype;
mod emit;
mod index;
mod inst;
mod nest;
#[cfg(feature = "cuda")]
mod nvrtc;
mod program;
#[cfg(feature = "cuda")]
mod registers;
mod scalar;
mod shape;
mod tensor;

#[cfg(feature = "cuda")]
pub use compiler::CudaCompiler;
pub use contract::{Epilogue, emit_contract};
#[cfg(feature = "cuda")]
pub use nvrtc::{Compiled, Nvrtc};
pub use program::{CudaProgram, program};
#[cfg(feature = "cuda")]
pub use registers::Usage;

use crate::CodegenError;
use lazulite_ir::{Dim, Kernel, verify_kernel};
use std::collections::BTreeMap;
use std::ops::Range;

/// The text that every module begins with.
pub const PRELUDE: &str = include_str!("prelude.cu");

/// Options for NVRTC besides the architecture. Sums of products are contracted where kernels say so and nowhere
/// else: polynomials and compensated arithmetic are written for the operations that they name. The assembler is to
/// tell the registers of functions.
pub const COMPILER_OPTIONS: [&str; 3] = ["--fmad=false", "--std=c++17", "--ptxas-options=-v"];

/// The first architecture with the tensor cores that products of half floats are written for: plans for others must not
/// hold any.
pub const TENSOR_ARCHITECTURE: u32 = 80;

/// A kernel as CUDA functions.
#[derive(Clone, Debug)]
pub struct CudaKernel {
    /// Their text.
    pub text: String,
    /// The functions of elements that they call, by name.
    pub functions: BTreeMap<String, String>,
    /// What to launch, in order.
    pub launches: Vec<Launch>,
    /// Bytes of scratch in the device's memory.
    pub scratch: Dim,
}

/// A function to launch.
///
/// Its parameters, all of eight bytes: a pointer to each buffer, the values of [`Launch::sizes`], a pointer to the
/// scratch, a pointer to the status (see `Status` in [`PRELUDE`]).
#[derive(Clone, Debug)]
pub struct Launch {
    /// The function's name.
    pub name: String,
    /// Which of the kernel's buffers it takes.
    pub buffers: Range<usize>,
    /// What it takes as sizes.
    pub sizes: Vec<Dim>,
    /// Threads of a block.
    pub threads: u32,
    /// Blocks; nothing is to be launched where this is 0.
    pub blocks: Dim,
}

/// Writes a kernel as the function `name`.
///
/// # Errors
/// When size arithmetic overflows, or the kernel breaks a rule that its verifier checks.
pub fn emit(kernel: &Kernel, name: &str) -> Result<CudaKernel, CodegenError> {
    verified(kernel)?;
    emit::Emitter::new(kernel, shape::Shape::new(kernel)?).kernel(name)
}

/// What is written down relies on the rules that the verifier checks.
fn verified(kernel: &Kernel) -> Result<(), CodegenError> {
    verify_kernel(kernel).map_err(|e| CodegenError::Malformed(e.to_string()))
}

/// One text of several kernels, ready to be compiled.
pub fn module<'a>(kernels: impl IntoIterator<Item = &'a CudaKernel>) -> String {
    let mut functions = BTreeMap::new();
    let mut texts = String::new();
    for kernel in kernels {
        functions.extend(kernel.functions.iter());
        texts += &kernel.text;
    }
    let functions: String = functions.into_values().map(String::as_str).collect();
    format!("{PRELUDE}\n{functions}\n{texts}")
}
