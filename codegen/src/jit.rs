//! Artifacts in executable memory of this process.

use crate::CodegenError;
use lazulite_runtime::{Artifact, CodeError, CodeMemory, KernelFn};
use std::sync::Arc;

/// A function in executable memory.
#[derive(Clone)]
pub(crate) struct Function {
    pub entry: KernelFn,
    /// Keeps what `entry` points to.
    pub memory: Arc<CodeMemory>,
}

/// Puts a function into executable memory.
pub(crate) fn link(artifact: &Artifact) -> Result<Function, CodegenError> {
    let (memory, offsets) = CodeMemory::load(&[artifact.as_code()]).map_err(|e| match e {
        CodeError::Memory(why) => CodegenError::Memory(why),
        CodeError::Processor(_) | CodeError::Address => CodegenError::Backend(e.to_string()),
    })?;
    let [start] = offsets[..] else {
        return Err(CodegenError::Backend("one function was expected".into()));
    };
    Ok(Function {
        // SAFETY: an artifact of this crate's backends begins with a function of this signature; the
        // memory is kept along with it.
        entry: unsafe { memory.entry(start) },
        memory: Arc::new(memory),
    })
}
