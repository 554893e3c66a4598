//! What the caller may choose about code generation.

use crate::backend::VectorBackend;
use crate::lower::LowerOptions;
use crate::{CodegenError, CraneliftBackend};
use std::sync::OnceLock;

/// Which instructions code may use. Forced in tests, so that every level runs on one machine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Level {
    /// All that this processor has.
    #[default]
    Native,
    /// Those of x86-64-v2.
    Baseline,
}

/// Options of code generation; the default is what programs should run with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CodegenOptions {
    /// Instructions to use.
    pub level: Level,
    /// Lanes and unrolling.
    pub lower: LowerOptions,
}

impl Level {
    /// The backend of a level, made once.
    pub(crate) fn backend(self) -> Result<&'static dyn VectorBackend, CodegenError> {
        static BACKENDS: [OnceLock<CraneliftBackend>; 2] = [OnceLock::new(), OnceLock::new()];
        let (slot, make): (_, fn() -> Result<CraneliftBackend, CodegenError>) = match self {
            Level::Native => (&BACKENDS[0], CraneliftBackend::native),
            Level::Baseline => (&BACKENDS[1], CraneliftBackend::baseline),
        };
        if let Some(backend) = slot.get() {
            return Ok(backend);
        }
        let backend = make()?;
        Ok(slot.get_or_init(|| backend))
    }
}
