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
mod recompute;
mod region;
mod report;
mod rules;
mod specialise;
mod trace;

pub use anomaly::detect_anomaly;
pub(crate) use anomaly::searching;
pub(crate) use body::{Body, DrawsInside, draw_level, recording_body};
pub(crate) use build::{Pattern, build, build_in_two};
pub(crate) use devices::{device_of, settled_trace};
pub(crate) use options::{Current, current};
pub use options::{Options, options, set_options};
pub(crate) use pending::add_pending;
pub(crate) use region::{Region, RegionKind};
pub use report::{Compilation, last_compilation};
pub(crate) use specialise::{Assignment, Call, Found, Versions};
use trace::trace;
pub(crate) use trace::{Trace, address};

use crate::device::{Device, Executable, Input, Value};
use crate::error::{Error, ErrorKind, OperandNote, Result};
use crate::location::Place;
use crate::tensor::{Literal, Node, internal};
use cache::Cache;
use lazulite_ir::{Graph, Plan, Symbol};
use lazulite_passes::memory::{Hoisted, hoist};
use lazulite_passes::{Artifact, Stage, run as run_stages};
use lazulite_runtime::{Buffer, Pool, RunError, SizeError};
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
pub(crate) struct Capture;

impl Capture {
    pub fn begin() -> Capture {
        CAPTURES.set(CAPTURES.get() + 1);
        Capture
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        CAPTURES.set(CAPTURES.get() - 1);
    }
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
/// After an error every node is as it was. If it was met while running, the cells whose writes were
/// pending hold their old values again; otherwise the writes are still pending.
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

/// While it lives, values are being computed on this thread.
struct Nested;

thread_local! {
    static NESTED: Cell<u32> = const { Cell::new(0) };
}

impl Nested {
    #[track_caller]
    fn enter() -> Result<Nested> {
        if NESTED.get() >= MAX_NESTED {
            let message = "values are computed inside of computing values without end";
            let error = Error::new(ErrorKind::Host, "realize", message).at(Place::here());
            return Err(error.hint("a closure reads the tensor that it is to compute"));
        }
        NESTED.set(NESTED.get() + 1);
        Ok(Nested)
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTED.set(NESTED.get() - 1);
    }
}

#[track_caller]
fn realize_with(roots: &[Arc<Node>], history: History) -> Result<()> {
    let _deeper = Nested::enter()?;
    let lazy = |node: &Arc<Node>| !node.is_known();
    let mut wanted: Roots = roots.iter().filter(|r| lazy(r)).cloned().collect();
    let writes = pending::take();
    wanted.extend(writes.nodes().filter(lazy));
    if wanted.is_empty() {
        return Ok(());
    }
    let held = Held {
        history,
        replaced: writes.replaced(),
    };
    match devices::compute_all(wanted, held, &current()) {
        Ok(()) => Ok(()),
        Err(e) if matches!(e.kind(), ErrorKind::Fault | ErrorKind::Host) => {
            writes.take_back();
            Err(e)
        }
        Err(e) => Err(writes.wait(e)),
    }
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
fn compute(trace: &mut Trace, current: &Current, device: Device) -> Result<Values> {
    let dims = constant_dims(trace)?;
    if anomaly::searching() {
        anomaly::search(trace).map_err(|e| placed(e, trace))?;
    }
    let outcome = if current.options.interpret {
        interpret::run(trace).and_then(|values| values.iter().map(|v| v.at(device)).collect())
    } else {
        let served = CACHE.serve(trace, &dims, &current.options, device)?;
        run(trace, &served, &current.pool, device)
    };
    outcome.map_err(|e| placed(e, trace))
}

/// Gives an error of a running program, which knows its place as text, the place itself and the name of
/// the operation; and one about memory the tensor that takes most of it.
fn placed(error: Error, trace: &Trace) -> Error {
    if error.kind() == ErrorKind::Memory && error.place().is_none() {
        let bytes = |n: &&trace::TraceNode| {
            let element = n.node.ty.dtype.size() as u128;
            let sizes = n.node.ty.const_dims();
            sizes.map(|sizes| {
                sizes
                    .iter()
                    .fold(element, |b, s| b.saturating_mul(*s as u128))
            })
        };
        return match trace.nodes.iter().max_by_key(bytes) {
            Some(largest) => largest_in(error, &largest.node),
            None => error,
        };
    }
    let Some(text) = error.location() else {
        return error;
    };
    let mut here: Vec<&Arc<Node>> = { CACHE.positions(trace, text).into_iter() }
        .filter_map(|i| Some(&trace.nodes.get(i)?.node))
        .collect();
    if here.is_empty() {
        let nodes = trace.nodes.iter().map(|n| &n.node);
        here = nodes.filter(|n| n.place.to_string() == text).collect();
    }
    let failed = match error.op() {
        "check" => None,
        _ => here.iter().find_map(|n| n.op.failing()),
    };
    match (here.first(), failed) {
        (Some(node), Some(op)) => error.at(node.place).named(op),
        (Some(node), None) => error.at(node.place),
        (None, _) => error,
    }
}

/// An error about memory, with the largest tensor of the program that lacks it.
fn largest_in(error: Error, node: &Node) -> Error {
    error.at(node.place).operand(OperandNote {
        role: "largest",
        ty: node.ty.to_string(),
        place: Some(node.place),
    })
}

/// The sizes as numbers. Unknown ones belong to parameters of functions being captured, whose
/// values cannot be read.
#[track_caller]
fn constant_dims(trace: &Trace) -> Result<SmallVec<[i64; 16]>> {
    let parameter = trace
        .leaves
        .iter()
        .any(|&l| trace.nodes[l as usize].value.is_none());
    let dims = trace.dims.iter().map(lazulite_ir::Dim::as_const).collect();
    match dims {
        Some(dims) if !parameter => Ok(dims),
        _ => Err(Error::new(
            ErrorKind::Capture,
            "realize",
            "inside a captured function there are no values: it is recorded once and replayed",
        )
        .at(Place::here())
        .hint("return the tensor from the function and read it outside")),
    }
}

fn run(trace: &mut Trace, served: &cache::Served, pool: &Pool, device: Device) -> Result<Values> {
    let version = &served.version;
    let mut inputs: SmallVec<[Input; 8]> = SmallVec::new();
    let mut lent: SmallVec<[(usize, u32); 4]> = SmallVec::new();
    let may_overwrite = !version.program.calls_host();
    devices::bring_leaves(trace, device)?;
    for (i, &leaf) in trace.leaves.iter().enumerate() {
        let listed = &mut trace.nodes[leaf as usize];
        let Some(value) = listed.value.take() else {
            return Err(internal("realize", "a parameter has no value"));
        };
        if may_overwrite && trace.expendable.get(i) == Some(&true) && listed.node.lend() {
            lent.push((i, leaf));
            inputs.push(Input {
                value,
                donate: true,
            });
        } else {
            inputs.push(Input::keep(value));
        }
    }
    let constants = trace.literals.iter().zip(&version.domain.pattern.literals);
    for (literal, _) in constants.filter(|(_, constant)| constant.is_none()) {
        inputs.push(Input::keep(literal_buffer(*literal)?));
    }
    let outcome = version.program.run(&mut inputs, &served.values, pool);
    if outcome.is_err() {
        // A failed run leaves its inputs as they were.
        for (input, leaf) in lent {
            let value = inputs[input].take();
            trace.nodes[leaf as usize].node.finish(value, History::Kept);
        }
    }
    outcome
}

/// Results of a program.
pub(crate) type Values = SmallVec<[Value; 4]>;

/// The number as the value of a 0-d parameter.
pub(crate) fn literal_buffer(literal: Literal) -> Result<Buffer> {
    let bytes = u128::from(literal.bits).to_le_bytes();
    Buffer::from_bytes(&bytes[..literal.dtype.size()]).map_err(|e| memory_error(&e.to_string()))
}

/// The error of a run as the facade's.
pub(crate) fn run_error(error: RunError) -> Error {
    let new = |kind, message: String| Error::new(kind, "realize", message);
    match error {
        // A division by zero has no bound.
        RunError::Fault {
            what,
            location,
            value: 0,
            bound: 0,
        } => new(ErrorKind::Fault, what).located(location),
        RunError::Fault {
            what,
            location,
            value,
            bound,
        } => new(
            ErrorKind::Fault,
            format!("{what}: found {value}, the bound is {bound}"),
        )
        .located(location)
        .of_check(),
        RunError::Custom {
            what,
            location,
            message,
        } => new(ErrorKind::Host, format!("{what}: {message}")).located(location),
        RunError::Alloc(e) => memory_error(&e.to_string()),
        RunError::Size {
            of,
            error: SizeError::Overflow,
        } => memory_error(&format!("{of} are more than can be addressed")),
        // Checked before the program was chosen.
        RunError::InputCount { .. }
        | RunError::SizeCount { .. }
        | RunError::NegativeSize { .. }
        | RunError::InputBytes { .. }
        | RunError::Guard { .. }
        | RunError::Size { .. }
        | RunError::Inconsistent(_) => new(ErrorKind::Internal, error.to_string()),
    }
}

fn memory_error(message: &str) -> Error {
    Error::new(ErrorKind::Memory, "realize", message)
}

/// Compiles a graph, whose sizes are bound in the order of `symbols`, for a device.
pub(crate) fn compile_graph(
    graph: &Graph,
    symbols: &[Symbol],
    options: &Options,
    device: Device,
) -> Result<Executable> {
    let mut plan = lazulite_passes::compile_to_plan(graph, &options.passes()).map_err(refused)?;
    // The caller binds all its symbols, used or not, in its own order.
    plan.symbols = symbols.to_vec();
    compile_plan(&plan, options, device)
}

/// Compiles a plan for a device.
pub(crate) fn compile_plan(plan: &Plan, options: &Options, device: Device) -> Result<Executable> {
    if let Some(code) = device.compile(plan) {
        return Ok(Executable::Device(code?));
    }
    let program = lazulite_codegen::compile(plan, &options.codegen(), options.threads);
    Ok(Executable::Host(program.map_err(refused)?))
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, "compile", error.to_string())
}

/// A program in two parts.
pub(crate) struct Parts {
    /// What is done once, and which parameters it has. Nothing if there is nothing to do.
    pub prepare: Option<(Executable, Vec<u32>)>,
    /// What is done at every call.
    pub main: Executable,
    /// Where its parameters come from.
    pub sources: Vec<Hoisted>,
}

/// As [`compile_graph`], with the work that depends on `constant` parameters alone apart.
pub(crate) fn compile_in_parts(
    graph: &Graph,
    symbols: &[Symbol],
    constant: &[bool],
    options: &Options,
    device: Device,
) -> Result<Parts> {
    let passes = options.passes();
    let advance = |from, after, until| {
        let ran = run_stages(from, after, until, &passes, &mut |_, _| {});
        match ran.map_err(refused)? {
            Artifact::Plan(plan) => Ok(plan),
            Artifact::Graph(_) => Err(internal("compile", "scheduling gave no plan")),
        }
    };
    let graph = Artifact::Graph(graph.clone());
    let mut plan = advance(graph, Stage::Trace, Stage::Schedule)?;
    plan.symbols = symbols.to_vec();
    let split = hoist(&plan, constant).map_err(refused)?;
    let compiled = |plan| {
        let plan = advance(Artifact::Plan(plan), Stage::Schedule, Stage::Memory)?;
        compile_plan(&plan, options, device)
    };
    let prepare = match split.prepare.outputs.is_empty() {
        true => None,
        false => Some((compiled(split.prepare)?, split.prepare_inputs)),
    };
    Ok(Parts {
        prepare,
        main: compiled(split.main)?,
        sources: split.sources,
    })
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
