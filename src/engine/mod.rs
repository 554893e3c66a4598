//! From recorded nodes to values: trace, find or compile a program, run it, enter the results.

mod anomaly;
mod batched_rules;
mod body;
mod build;
mod cache;
mod devices;
mod flow;
mod interpret;
mod options;
mod pending;
mod program;
mod recompute;
mod refused;
mod region;
mod report;
mod rules;
mod run;
mod specialise;
mod trace;

pub use anomaly::detect_anomaly;
pub(crate) use anomaly::searching;
pub(crate) use body::{Body, draw_level, draws_inside, recording_body};
pub(crate) use build::{Pattern, build, build_in_two};
pub(crate) use devices::{device_of, settled_trace};
pub(crate) use options::{Current, current};
pub use options::{Options, options, set_options};
pub(crate) use pending::add_pending;
pub(crate) use program::{compile_graph, compile_in_parts, compile_plan};
pub(crate) use refused::{Refusals, refused};
pub(crate) use region::{Region, RegionKind};
pub use report::{Compilation, last_compilation};
pub(crate) use run::{Inputs, Values, literal_buffer, run_error, sized};
pub(crate) use specialise::{Assignment, Call, Found, Version, Versions};
use trace::trace;
pub(crate) use trace::{Trace, address};

use crate::device::{Device, Value};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::scoped::Counted;
use crate::tensor::{Node, internal};
use cache::Cache;
use lazulite_ir::Graph;
use lazulite_runtime::Buffer;
use run::{Overwritten, placed, run};
use smallvec::SmallVec;
use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static CACHE: LazyLock<Cache> = LazyLock::new(Cache::default);

thread_local! {
    /// How many functions are being captured on this thread.
    static CAPTURES: Cell<u32> = const { Cell::new(0) };
}

/// True while a function is being captured on this thread.
pub(crate) fn capturing() -> bool {
    CAPTURES.get() > 0
}

/// While it lives, this thread captures a function.
pub(crate) fn capture() -> Counted {
    Counted::one_more(&CAPTURES)
}

/// What the plan cache has done so far in this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CacheStats {
    /// Programs compiled.
    pub compilations: u64,
    /// How long that took, all threads together.
    pub compile_time: Duration,
    /// Calls that found a program.
    pub hits: u64,
    /// Programs kept.
    pub programs: usize,
    /// About how many bytes they take, with their code.
    pub bytes: usize,
    /// Kernels compiled, for whatever programs: equal ones are compiled once.
    pub kernels: u64,
}

/// What the plan cache has done so far in this process.
pub fn cache_stats() -> CacheStats {
    CACHE.stats()
}

/// Computes the values of `roots`, of the cell writes pending on this thread, and of what is held
/// nearby and expensive.
///
/// After an error every node is as it was. If it was met while running, or in what is written to cells, these
/// hold their old values again.
#[track_caller]
pub(crate) fn realize(roots: &[Arc<Node>]) -> Result<()> {
    if roots.iter().all(|r| r.is_known()) {
        return Ok(());
    }
    realize_with(roots, History::Kept)
}

/// Computes a loss and all pending cell writes, and forgets what the loss was computed from: parameters
/// that are replaced may then be overwritten.
#[track_caller]
pub(crate) fn realize_and_forget(loss: &Arc<Node>) -> Result<()> {
    realize_with(std::slice::from_ref(loss), History::Forgotten)?;
    loss.forget();
    Ok(())
}

/// Whether results through which gradients flow keep what they were computed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum History {
    Kept,
    Forgotten,
}

/// What is known of who holds what, when values are to be computed.
pub(crate) struct Held {
    pub history: History,
    /// Nodes held by cells as what to go back to should computing their new content fail, once per
    /// cell.
    pub replaced: SmallVec<[Arc<Node>; 4]>,
}

impl Held {
    /// Nothing is about to be replaced.
    fn plainly() -> Held {
        Held {
            history: History::Kept,
            replaced: SmallVec::new(),
        }
    }
}

/// Computations that were begun by closures inside of computations, and how deep they go at most.
const MAX_NESTED: u32 = 32;

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, values are being computed on this thread.
#[track_caller]
fn computing() -> Result<Counted> {
    if NESTED.get() >= MAX_NESTED {
        let message = "values are computed inside of computing values without end";
        let error = Error::new(ErrorKind::Host, "realize", message).at(Place::here());
        return Err(error.hint("a closure reads the tensor that it is to compute"));
    }
    Ok(Counted::one_more(&NESTED))
}

#[track_caller]
fn realize_with(roots: &[Arc<Node>], history: History) -> Result<()> {
    let _deeper = computing()?;
    let writes = pending::take();
    match enter_values(roots, &writes, history) {
        Ok(()) => {
            writes.settle();
            Ok(())
        }
        Err(Stopped::Reading(e)) => Err(writes.wait(e)),
        Err(Stopped::Running(e)) => {
            writes.take_back();
            Err(e)
        }
        Err(Stopped::Compiling(e)) => Err(settle_alone(writes, history).unwrap_or(e)),
    }
}

/// Computes pending writes whose program with other values cannot be compiled, so that they have no part in the
/// error. If they have, theirs is the error, and they are taken back: no later computation fails for them again.
#[track_caller]
fn settle_alone(writes: pending::Writes, history: History) -> Option<Error> {
    match enter_values(&[], &writes, history) {
        Ok(()) => {
            writes.settle();
            None
        }
        Err(stopped) => {
            writes.take_back();
            Some(stopped.error())
        }
    }
}

/// At what a computation stopped.
enum Stopped {
    /// Values cannot be read here.
    Reading(Error),
    /// Making its program.
    Compiling(Error),
    /// Running it.
    Running(Error),
}

impl Stopped {
    fn error(self) -> Error {
        match self {
            Stopped::Reading(e) | Stopped::Compiling(e) | Stopped::Running(e) => e,
        }
    }
}

/// Computes the values of `roots` and of what is written to cells, and enters them.
#[track_caller]
fn enter_values(
    roots: &[Arc<Node>],
    writes: &pending::Writes,
    history: History,
) -> std::result::Result<(), Stopped> {
    let lazy = |node: &Arc<Node>| !node.is_known();
    let mut wanted: Roots = roots.iter().filter(|r| lazy(r)).cloned().collect();
    wanted.extend(writes.nodes().filter(lazy));
    if wanted.is_empty() {
        return Ok(());
    }
    let held = Held {
        history,
        replaced: writes.replaced(),
    };
    devices::compute_all(wanted, held, &current())
}

/// Nodes to be computed.
type Roots = SmallVec<[Arc<Node>; 4]>;

/// Lists what computing `roots` on a device takes; the key says how it is compiled, too.
#[inline]
fn keyed_trace(roots: &[Arc<Node>], held: &Held, options: &Options, device: Device) -> Trace {
    let mut trace = trace(roots, Some(held));
    trace
        .key
        .push(options.optimisation() | u64::from(device.slot()) << 16);
    trace
}

/// Why the versions of the program that computes `roots` were compiled.
pub(crate) fn explain(roots: &[Arc<Node>]) -> Vec<String> {
    let device = devices::device_of(roots).unwrap_or_default();
    let trace = keyed_trace(roots, &Held::plainly(), &current().options, device);
    let size = |position| {
        let next = trace
            .nodes
            .partition_point(|n| n.first_dim as usize <= position);
        let node = &trace.nodes[next.saturating_sub(1)].node;
        format!("a size of the tensor from {}", node.place)
    };
    CACHE.explain(&trace, size, |_| "a number".to_string())
}

/// The values of a trace's roots.
#[track_caller]
fn compute(
    trace: &mut Trace,
    current: &Current,
    device: Device,
) -> std::result::Result<(Values, Overwritten), Stopped> {
    let dims = constant_dims(trace).map_err(Stopped::Reading)?;
    if anomaly::searching() {
        anomaly::search(trace).map_err(|e| Stopped::Running(placed(e, trace)))?;
    }
    if current.options.interpret {
        let values = interpret::run(trace).and_then(|v| v.iter().map(|v| v.at(device)).collect());
        let values = values.map_err(|e| Stopped::Running(placed(e, trace)))?;
        return Ok((values, Overwritten::none()));
    }
    let served = CACHE.serve(trace, &dims, &current.options, device);
    let served = served.map_err(|e| Stopped::Compiling(placed(e, trace)))?;
    run(trace, &served, &current.pool, device).map_err(|e| Stopped::Running(placed(e, trace)))
}

/// The sizes as numbers. Unknown ones belong to parameters of functions being captured, whose
/// values cannot be read.
#[track_caller]
fn constant_dims(trace: &Trace) -> Result<SmallVec<[i64; 16]>> {
    let mut leaves = trace.leaves.iter().map(|&l| &trace.nodes[l as usize]);
    let parameter = leaves.clone().any(|leaf| leaf.value.is_none());
    if parameter && leaves.any(|leaf| leaf.node.is_spent()) {
        let message = "a value that is needed was overwritten by its next one";
        return Err(internal("realize", message));
    }
    let dims = trace.dims.iter().map(lazulite_ir::Dim::as_const).collect();
    match dims {
        Some(dims) if !parameter => Ok(dims),
        _ => {
            let message =
                "inside a captured function there are no values: it is recorded once and replayed";
            let error = Error::new(ErrorKind::Capture, "realize", message).at(Place::here());
            Err(refused(error.hint(
                "return the tensor from the function and read it outside",
            )))
        }
    }
}

/// A program that has not been compiled.
pub(crate) struct Traced {
    pub graph: Graph,
    /// The part before gradients are taken, if they are.
    pub forward: Option<Graph>,
    /// Values of its parameters.
    pub values: Vec<Option<Buffer>>,
}

/// What computing `roots` would compile.
#[track_caller]
pub(crate) fn traced(roots: &[Arc<Node>]) -> Result<Traced> {
    let trace = devices::settled_trace(roots, Some(&Held::plainly()))?;
    let pattern = Pattern::exact(&trace);
    let (graph, forward) = build::build_in_two(&trace, &pattern, "dump")?;
    let leaves = trace.leaves.iter();
    let value = |&leaf: &u32| {
        let value = trace.nodes[leaf as usize].value.as_ref();
        value.map(Value::to_host).transpose()
    };
    let mut values = leaves.map(value).collect::<Result<Vec<_>>>()?;
    let numbers = trace.literals.iter().zip(&pattern.literals);
    for (literal, _) in numbers.filter(|(_, constant)| constant.is_none()) {
        values.push(Some(literal_buffer(*literal)?));
    }
    Ok(Traced {
        graph,
        forward,
        values,
    })
}
