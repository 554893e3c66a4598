//! Instruction set levels of hand-written kernels and of generated code in files.

use core::sync::atomic::{AtomicU8, Ordering};
use serde::{Deserialize, Serialize};

/// What a kernel may use. Levels are ordered; a machine that has one has those below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Level {
    /// Nothing beyond the target's baseline (generated code: x86-64-v2).
    Portable,
    /// x86-64-v3: AVX2, FMA, BMI1 and 2, LZCNT, F16C.
    Avx2,
    /// x86-64-v4: AVX-512 F, BW, CD, DQ and VL besides.
    Avx512,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// The highest level of this machine; detected once.
    pub fn best() -> Level {
        /// 0 is "not yet known", else 1 + the position in `ALL`.
        static BEST: AtomicU8 = AtomicU8::new(0);
        if let Some(at) = usize::from(BEST.load(Ordering::Relaxed)).checked_sub(1) {
            return Level::ALL[at];
        }
        let best = detect();
        BEST.store(1 + best as u8, Ordering::Relaxed);
        best
    }

    /// The name in options and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// The level called `name`.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|l| l.name() == name)
    }

    /// Whether this machine has the level.
    pub fn is_available(self) -> bool {
        self <= Level::best()
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn detect() -> Level {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        (false, _) => Level::Portable,
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn detect() -> Level {
    Level::Portable
}
