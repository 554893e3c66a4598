//! From a plan to a program that can run.

use crate::cache::{self, compile_kernels};
use crate::image::image;
use crate::{CodegenError, CodegenOptions};
use lazulite_ir::{Kernel, Plan};
use lazulite_runtime::{KernelFn, Program};
use std::sync::Arc;

/// Compiles a plan for this process. Kernels that were compiled before, for any program, are found
/// again. At most `threads` threads compile the others.
///
/// # Errors
/// When the plan is malformed, asks for what cannot be compiled, or memory for code is missing.
pub fn compile(
    plan: &Plan,
    options: &CodegenOptions,
    threads: usize,
) -> Result<Program, CodegenError> {
    let kernels = compile_kernels(&plan.kernels, *options, threads)?;
    let (image, hosts) = image(plan, &kernels)?;
    let code: Vec<KernelFn> = kernels.iter().map(|k| k.code.function.entry).collect();
    let bytes = kernels.iter().map(|k| k.code.bytes()).sum();
    // SAFETY: the code was lowered from the kernels that the image describes, and touches what they
    // do; the keep-alive holds every region that an entry lies in.
    let program = unsafe { Program::new(image, code, hosts, Arc::new(kernels)) }
        .map_err(|e| CodegenError::Malformed(e.to_string()))?;
    Ok(program.with_code_bytes(bytes))
}

/// What becomes of one kernel on its way to machine code, as text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelText {
    /// Vector code.
    pub vector: String,
    /// Machine code.
    pub assembly: String,
}

/// Compiles a kernel for reading; nothing is kept.
///
/// # Errors
/// As for [`compile`].
pub fn inspect(kernel: &Kernel, options: &CodegenOptions) -> Result<KernelText, CodegenError> {
    let (vector, assembly) = cache::inspect(kernel, *options)?;
    Ok(KernelText { vector, assembly })
}
