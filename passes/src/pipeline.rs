//! The stages from a recorded graph to a plan, in their order and with the reasons for it.
//!
//! `trace -> inline -> canon -> complex -> schedule -> memory`: every stage has a name, and one can
//! start after any stage, stop after any later one, and look at what lies between. In debug builds
//! the verifier runs on every result.

use crate::{PassError, canon, complex, inline};
use lazulite_ir::{Graph, Plan};

/// What passes may do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Freedom in rounding.
    pub numerics: Numerics,
}

/// How far results may differ from those of the interpreter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Numerics {
    /// Not at all, but for the payload of NaN.
    Exact,
    /// Sums may be taken in another order, and intermediate roundings of f16 and bf16 arithmetic
    /// may be left out.
    #[default]
    Order,
}

/// The stages, first to last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// The graph as it was recorded: what the other stages start from.
    Trace,
    /// Calls become their bodies. First, so that nothing after has to look into calls, and what
    /// is equal in caller and body is found to be.
    Inline,
    /// Simplification. Before complex values are split, because a complex operation that folds or
    /// disappears need not be split.
    Canon,
    /// Complex values become pairs of real ones. Directly before scheduling, because kernels know
    /// no complex numbers and everything before reads better with them.
    Complex,
    /// Kernels and steps. After everything that changes what is computed.
    Schedule,
    /// Lifetimes, aliases, donations. Last, because it speaks about steps.
    Memory,
}

impl Stage {
    /// All stages in order.
    pub const ALL: [Stage; 6] = [
        Stage::Trace,
        Stage::Inline,
        Stage::Canon,
        Stage::Complex,
        Stage::Schedule,
        Stage::Memory,
    ];

    /// The name in options and dumps.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Trace => "trace",
            Stage::Inline => "inline",
            Stage::Canon => "canon",
            Stage::Complex => "complex",
            Stage::Schedule => "schedule",
            Stage::Memory => "memory",
        }
    }

    /// The stage called `name`.
    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// A pass over graphs, with default options.
pub type GraphStage = fn(&Graph) -> Result<Graph, PassError>;

/// The graph pass called `name`, with default options; `None` when no stage has that name or it makes no
/// graph.
pub fn graph_stage(name: &str) -> Option<GraphStage> {
    match Stage::from_name(name)? {
        Stage::Trace => Some(|graph| Ok(graph.clone())),
        Stage::Inline => Some(inline::inline),
        Stage::Canon => Some(|graph| canon::canon(graph, &Options::default())),
        Stage::Complex => Some(|graph| complex::split_complex(graph, &Options::default())),
        Stage::Schedule | Stage::Memory => None,
    }
}

/// What a stage produces.
#[derive(Clone, Debug)]
pub enum Artifact {
    /// Up to `complex`.
    Graph(Graph),
    /// From `schedule` on.
    Plan(Plan),
}
