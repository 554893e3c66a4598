//! Artifacts in executable memory of this process.

use crate::CodegenError;
use lazulite_runtime::{Artifact, CodeBytes, CodeError, CodeMemory, KernelFn};
use std::sync::Arc;

/// A function in executable memory.
#[derive(Clone)]
pub(crate) struct Function {
    pub entry: KernelFn,
    /// Keeps what `entry` points to.
    _memory: Arc<CodeMemory>,
}

/// Puts functions into executable memory, one behind the other: what runs together lies together.
pub(crate) fn link(artifacts: &[&Artifact]) -> Result<Vec<Function>, CodegenError> {
    let code: Vec<CodeBytes<'_>> = artifacts.iter().map(|a| a.as_code()).collect();
    let (memory, offsets) = CodeMemory::load(&code).map_err(|e| match e {
        CodeError::Memory(why) => CodegenError::Memory(why),
        CodeError::Processor(_) | CodeError::Address => CodegenError::Backend(e.to_string()),
    })?;
    let memory = Arc::new(memory);
    let functions = offsets.into_iter().map(|start| Function {
        // SAFETY: an artifact of this crate's backends begins with a function of this signature; the
        // memory is kept along with it.
        entry: unsafe { memory.entry(start) },
        _memory: memory.clone(),
    });
    Ok(functions.collect())
}
