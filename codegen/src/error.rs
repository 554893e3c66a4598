//! What can go wrong while code is generated.

use lazulite_ir::DimOverflow;
use std::fmt;

/// Why no code could be generated.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CodegenError {
    /// The plan or kernel breaks a rule that its verifier checks.
    Malformed(String),
    /// The plan asks for something that this code generator does not do.
    Unsupported(String),
    /// The processor lacks what the code generator, or a forced option, needs.
    Processor(String),
    /// The machine code backend failed, or refused what it was given.
    Backend(String),
    /// Memory for code could not be had.
    Memory(String),
    /// Size arithmetic overflows.
    Overflow(DimOverflow),
    /// A GPU, its driver or its compiler failed.
    #[cfg(feature = "cuda")]
    Device(lazulite_runtime::cuda::DeviceError),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Malformed(what) => write!(f, "malformed kernel: {what}"),
            CodegenError::Unsupported(what) => write!(f, "cannot be compiled: {what}"),
            CodegenError::Processor(what) => write!(f, "the processor does not suit: {what}"),
            CodegenError::Backend(what) => write!(f, "machine code generation failed: {what}"),
            CodegenError::Memory(what) => write!(f, "no memory for machine code: {what}"),
            CodegenError::Overflow(what) => what.fmt(f),
            #[cfg(feature = "cuda")]
            CodegenError::Device(what) => what.fmt(f),
        }
    }
}

impl std::error::Error for CodegenError {}

#[cfg(feature = "cuda")]
impl From<lazulite_runtime::cuda::DeviceError> for CodegenError {
    fn from(error: lazulite_runtime::cuda::DeviceError) -> CodegenError {
        CodegenError::Device(error)
    }
}

impl From<DimOverflow> for CodegenError {
    fn from(error: DimOverflow) -> CodegenError {
        CodegenError::Overflow(error)
    }
}
