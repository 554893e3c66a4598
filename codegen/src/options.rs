//! What the caller may choose about code generation.

#[cfg(target_arch = "x86_64")]
use crate::WideBackend;
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

    /// The name in options.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Native => "native",
            Level::Baseline => "baseline",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// The level called `name`.
    ///
    /// ```
    /// use lazulite_codegen::Level;
    /// assert_eq!(Level::from_name("avx2"), Some(Level::Avx2));
    /// ```
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|l| l.name() == name)
    }

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

    /// What the runtime's hand-written kernels may use beside code of this level.
    pub(crate) fn of_kernels(self) -> kernels::Level {
        match self {
            Level::Native => kernels::Level::best(),
            Level::Baseline => kernels::Level::Portable,
            Level::Avx2 => kernels::Level::Avx2,
            Level::Avx512 => kernels::Level::Avx512,
        }
    }

    /// The level that decides: what there is, on a processor with a level that our own backend makes code for.
    pub(crate) fn resolved(self) -> Level {
        match self {
            Level::Native if Level::Avx512.is_available() => Level::Avx512,
            Level::Native if Level::Avx2.is_available() => Level::Avx2,
            Level::Native | Level::Baseline | Level::Avx2 | Level::Avx512 => self,
        }
    }

    /// The backend of a level, made once.
    ///
    /// # Errors
    /// When there is none for this kind of processor.
    pub fn backend(self) -> Result<&'static dyn VectorBackend, CodegenError> {
        let level = self.resolved();
        #[cfg(target_arch = "x86_64")]
        match level {
            Level::Avx512 => return Ok(WideBackend::avx512()),
            Level::Avx2 => return Ok(WideBackend::avx2()),
            Level::Native | Level::Baseline => {}
        }
        static BACKENDS: [OnceLock<CraneliftBackend>; 4] = [const { OnceLock::new() }; 4];
        let slot = &BACKENDS[level as usize];
        if let Some(backend) = slot.get() {
            return Ok(backend);
        }
        let backend = CraneliftBackend::new(level)?;
        Ok(slot.get_or_init(|| backend))
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    fn bytes(level: Level) -> u32 {
        level.backend().unwrap().caps().vector_bytes
    }

    #[test]
    fn levels_have_their_width_and_the_best_is_taken() {
        let levels = [Level::Avx512, Level::Avx2, Level::Baseline];
        assert_eq!(levels.map(bytes), [64, 32, 16]);
        let best = levels.into_iter().find(|l| l.is_available()).unwrap();
        assert_eq!(bytes(Level::Native), bytes(best));
    }
}
