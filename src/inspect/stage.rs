//! The stages of a program, as users see them: those of the passes, and what comes before and after.

use std::fmt;
use std::str::FromStr;

/// How far a program has come on its way to machine code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// As it was recorded.
    Trace,
    /// With the operations that compute gradients.
    Grad,
    /// Named composites have become the operations that define them.
    Inline,
    /// Simplified.
    Canon,
    /// Rewritten by equality saturation.
    Egraph,
    /// Complex numbers have become pairs of real ones.
    Complex,
    /// Fused into kernels, and put into the order of steps.
    Schedule,
    /// The steps with their memory planned.
    Memory,
    /// The kernels, each by itself.
    Kernel,
    /// Machine code.
    Native,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 10] = [
        Stage::Trace,
        Stage::Grad,
        Stage::Inline,
        Stage::Canon,
        Stage::Egraph,
        Stage::Complex,
        Stage::Schedule,
        Stage::Memory,
        Stage::Kernel,
        Stage::Native,
    ];

    /// The name in options and dumps.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Trace => "trace",
            Stage::Grad => "grad",
            Stage::Inline => "inline",
            Stage::Canon => "canon",
            Stage::Egraph => "egraph",
            Stage::Complex => "complex",
            Stage::Schedule => "schedule",
            Stage::Memory => "memory",
            Stage::Kernel => "kernel",
            Stage::Native => "native",
        }
    }

    /// What the program is like after it, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Stage::Trace => "as it was recorded",
            Stage::Grad => "with the operations that compute gradients",
            Stage::Inline => "named composites replaced by their definitions",
            Stage::Canon => "simplified: constants folded, equal operations merged, views composed",
            Stage::Egraph => "rewritten by equality saturation",
            Stage::Complex => "complex numbers split into pairs of real ones",
            Stage::Schedule => "fused into kernels, in the order of steps",
            Stage::Memory => "steps with planned memory",
            Stage::Kernel => "kernels, each one fused loop nest",
            Stage::Native => "machine code of the kernels",
        }
    }

    /// Whether the program is a graph after it; otherwise it is a list of steps that run kernels.
    pub const fn is_graph(self) -> bool {
        match self {
            Stage::Trace
            | Stage::Grad
            | Stage::Inline
            | Stage::Canon
            | Stage::Egraph
            | Stage::Complex => true,
            Stage::Schedule | Stage::Memory | Stage::Kernel | Stage::Native => false,
        }
    }
}

/// The name.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From the name; the error lists all names.
impl FromStr for Stage {
    type Err = String;

    fn from_str(name: &str) -> Result<Stage, String> {
        let found = Stage::ALL.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Stage::ALL.iter().map(|s| s.name()).collect();
            format!("no stage {name:?}; the stages are {}", names.join(", "))
        })
    }
}
