//! What the caller may choose about code generation.

use crate::backend::VectorBackend;
use crate::lower::LowerOptions;
use crate::{CodegenError, CraneliftBackend};
use lazulite_runtime::kernels;
use std::sync::OnceLock;

/// Which instructions code may use. Forced in tests, so that every level runs on one machine, and in
/// files that are to run on several.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Level {
    /// All that this processor has.
    #[default]
    Native,
    /// Those of x86-64-v2.
    Baseline,
    /// Those of x86-64-v3.
    Avx2,
    /// Those of x86-64-v4.
    Avx512,
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
    /// Every level.
    pub const ALL: [Level; 4] = [Level::Native, Level::Baseline, Level::Avx2, Level::Avx512];

    /// The level that runs wherever the runtime's `level` is available.
    pub fn for_files(level: kernels::Level) -> Level {
        match level {
            kernels::Level::Portable => Level::Baseline,
            kernels::Level::Avx2 => Level::Avx2,
            kernels::Level::Avx512 => Level::Avx512,
        }
    }

    /// Whether this processor can run such code.
    pub fn is_available(self) -> bool {
        match self {
            Level::Native | Level::Baseline => true,
            Level::Avx2 => kernels::Level::Avx2.is_available(),
            Level::Avx512 => kernels::Level::Avx512.is_available(),
        }
    }

    /// The backend of a level, made once.
    pub(crate) fn backend(self) -> Result<&'static dyn VectorBackend, CodegenError> {
        static BACKENDS: [OnceLock<CraneliftBackend>; 4] = [const { OnceLock::new() }; 4];
        let slot = &BACKENDS[self as usize];
        if let Some(backend) = slot.get() {
            return Ok(backend);
        }
        let backend = CraneliftBackend::new(self)?;
        Ok(slot.get_or_init(|| backend))
    }
}
