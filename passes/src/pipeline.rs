//! The stages from a recorded graph to a plan, in their order and with the reasons for it.
//!
//! `trace -> inline -> canon -> egraph -> complex -> schedule -> memory`: every stage has a name, and one can
//! start after any stage, stop after any later one, and look at what lies between. In debug builds
//! the verifier runs on every result.

use crate::egraph::{EgraphOptions, egraph};
use crate::schedule::{ScheduleOptions, schedule};
use crate::{PassError, canon, complex, inline, memory};
use lazulite_ir::{Graph, Plan, Symbol, verify_graph, verify_plan};
use std::fmt;

/// What passes may do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// Freedom in rounding.
    pub numerics: Numerics,
    /// Whether and how far graphs are optimised by equality saturation.
    pub egraph: EgraphOptions,
    /// What scheduling may do and assume.
    pub schedule: ScheduleOptions,
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
    /// Algebra of real numbers: distribution, the order of products, cancellation. Where nothing
    /// overflows and nothing is NaN results differ by rounding.
    Algebra,
    /// Functions may be computed by others that are near.
    Approx,
}

impl Numerics {
    /// All classes, the strictest first.
    pub const ALL: [Numerics; 4] = [
        Numerics::Exact,
        Numerics::Order,
        Numerics::Algebra,
        Numerics::Approx,
    ];

    /// The name in options.
    pub const fn name(self) -> &'static str {
        match self {
            Numerics::Exact => "exact",
            Numerics::Order => "order",
            Numerics::Algebra => "algebra",
            Numerics::Approx => "approx",
        }
    }

    /// The class called `name`.
    pub fn from_name(name: &str) -> Option<Numerics> {
        Numerics::ALL.into_iter().find(|n| n.name() == name)
    }
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
    /// Algebra, by equality saturation. Behind simplification, so that rules see one form of everything, and
    /// before complex values are split, while an operation on them is still one. What it changed is
    /// simplified again before it hands on.
    Egraph,
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
    pub const ALL: [Stage; 7] = [
        Stage::Trace,
        Stage::Inline,
        Stage::Canon,
        Stage::Egraph,
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
            Stage::Egraph => "egraph",
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
        Stage::Egraph => Some(|graph| egraph(graph, &Options::default())),
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

impl Artifact {
    /// What the verifier says, as text.
    fn verify(&self) -> Result<(), String> {
        match self {
            Artifact::Graph(graph) => verify_graph(graph).map_err(|e| e.to_string()),
            Artifact::Plan(plan) => verify_plan(plan).map_err(|e| e.to_string()),
        }
    }
}

/// The textual form.
impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Artifact::Graph(graph) => graph.fmt(f),
            Artifact::Plan(plan) => plan.fmt(f),
        }
    }
}

/// Compiles a recorded graph.
pub fn compile_to_plan(graph: &Graph, options: &Options) -> Result<Plan, PassError> {
    let start = Artifact::Graph(graph.clone());
    planned(run(
        start,
        Stage::Trace,
        Stage::Memory,
        options,
        &mut |_, _| {},
    )?)
}

/// Compiles a recorded graph into two plans: what depends on `constant` parameters alone (said of each parameter),
/// and what is left, which binds `symbols` in this order, used or not.
pub fn compile_apart(
    graph: &Graph,
    symbols: &[Symbol],
    constant: &[bool],
    options: &Options,
) -> Result<memory::Split, PassError> {
    let start = Artifact::Graph(graph.clone());
    let scheduled = run(
        start,
        Stage::Trace,
        Stage::Schedule,
        options,
        &mut |_, _| {},
    )?;
    let mut plan = planned(scheduled)?;
    plan.symbols = symbols.to_vec();
    let mut split = memory::hoist(&plan, constant)?;
    for plan in [&mut split.prepare, &mut split.main] {
        let whole = std::mem::take(plan);
        let start = Artifact::Plan(whole);
        let laid_out = run(
            start,
            Stage::Schedule,
            Stage::Memory,
            options,
            &mut |_, _| {},
        )?;
        *plan = planned(laid_out)?;
    }
    Ok(split)
}

/// What stages from `schedule` on give.
fn planned(artifact: Artifact) -> Result<Plan, PassError> {
    match artifact {
        Artifact::Plan(plan) => Ok(plan),
        Artifact::Graph(_) => Err(PassError::Order {
            after: Stage::Trace.name(),
            until: Stage::Memory.name(),
        }),
    }
}

/// Takes `start`, the result of the stage `after`, through all stages up to and including `until`; `see`
/// is shown the result of each (and of `after`).
pub fn run(
    start: Artifact,
    after: Stage,
    until: Stage,
    options: &Options,
    see: &mut dyn FnMut(Stage, &Artifact),
) -> Result<Artifact, PassError> {
    if until < after {
        return Err(PassError::Order {
            after: after.name(),
            until: until.name(),
        });
    }
    check(after, &start)?;
    see(after, &start);
    let mut artifact = start;
    for stage in Stage::ALL.into_iter().filter(|s| *s > after && *s <= until) {
        artifact = advance(artifact, stage, options)?;
        check(stage, &artifact)?;
        see(stage, &artifact);
    }
    Ok(artifact)
}

/// Runs one stage on the result of the one before.
fn advance(artifact: Artifact, stage: Stage, options: &Options) -> Result<Artifact, PassError> {
    Ok(match (stage, artifact) {
        (Stage::Inline, Artifact::Graph(g)) => Artifact::Graph(inline::inline(&g)?),
        (Stage::Canon, Artifact::Graph(g)) => Artifact::Graph(canon::canon(&g, options)?),
        (Stage::Egraph, Artifact::Graph(g)) => Artifact::Graph(egraph(&g, options)?),
        (Stage::Complex, Artifact::Graph(g)) => {
            Artifact::Graph(complex::split_complex(&g, options)?)
        }
        (Stage::Schedule, Artifact::Graph(g)) => Artifact::Plan(schedule(&g, &options.schedule)?),
        (Stage::Memory, Artifact::Plan(p)) => Artifact::Plan(memory::memory(&p)?),
        (stage, artifact) => {
            return Err(PassError::Order {
                after: match artifact {
                    Artifact::Graph(_) => "a graph stage",
                    Artifact::Plan(_) => "a plan stage",
                },
                until: stage.name(),
            });
        }
    })
}

/// In debug builds, holds the result of a stage against the verifier.
fn check(stage: Stage, artifact: &Artifact) -> Result<(), PassError> {
    if !cfg!(debug_assertions) {
        return Ok(());
    }
    artifact.verify().map_err(|report| PassError::Invalid {
        after: stage.name(),
        report,
    })
}
