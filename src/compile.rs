//! Capturing a function once and replaying it without recording anything.
//!
//! The first call records the function with parameters in place of its inputs and compiles the
//! result for those sizes; calls with other sizes record it again with unknown sizes, as the
//! [`Versions`] of a structure always come about. Random streams and cells used inside are inputs of the
//! program, and cells written inside are results of it. Work on what stays the same from call to call is
//! done apart ([`prepared`]).
//!
//! A replayed result knows nothing of how it came about. So a function through whose results gradients flow
//! is recorded at each call instead, unless gradients are off.

mod kind;
mod prepared;
mod state;

pub(crate) use state::{captured_cell, captured_stream, next_capture, write_captured_cell};

use crate::autograd::grad_enabled;
use crate::cell::TensorCell;
use crate::device::{Device, Executable, Input, Places, Value};
use crate::engine::{
    self, Call, Found, History, Options, Pattern, Trace, Values, Versions, literal_buffer,
};
use crate::error::{Error, ErrorKind, Result};
use crate::inspect::{Report, ReportOptions, Subject};
use crate::location::Place;
use crate::ops::Generator;
use crate::tensor::{Literal, Node, Recorded, Tensor, internal};
use kind::{InputType, Kind};
use lazulite_ir::{DType, Graph, Guard, Symbol, TensorType};
use lazulite_passes::memory::Hoisted;
use lazulite_runtime::{Buffer, Pool};
use prepared::Preparation;
use smallvec::SmallVec;
use state::CaptureState;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What a captured function may return.
pub trait Outputs: Sized {
    /// The results in order.
    fn into_tensors(self) -> Vec<Tensor>;
    /// Puts replayed results, as many as there were, into the same form.
    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self>;
}

impl Outputs for Tensor {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self]
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        tensors.next()
    }
}

impl Outputs for Vec<Tensor> {
    fn into_tensors(self) -> Vec<Tensor> {
        self
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Some(tensors.collect())
    }
}

impl<const M: usize> Outputs for [Tensor; M] {
    fn into_tensors(self) -> Vec<Tensor> {
        self.into()
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        tensors.take(M).collect::<Vec<_>>().try_into().ok()
    }
}

impl Outputs for (Tensor, Tensor) {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Some((tensors.next()?, tensors.next()?))
    }
}

impl Outputs for (Tensor, Tensor, Tensor) {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1, self.2]
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Some((tensors.next()?, tensors.next()?, tensors.next()?))
    }
}

/// A function that is recorded and compiled at its first call and replayed afterwards.
pub struct Compiled<F, const N: usize> {
    function: F,
    /// What is compiled for inputs of these types.
    tables: RwLock<Tables>,
}

/// How often a call tries to find a version for what the cells hold.
const MAX_ATTEMPTS: usize = 16;

/// Calls of captured functions inside of captured functions, at most.
const MAX_NESTING: usize = 100;

/// The versions for each kind of calls.
type Tables = SmallVec<[(Kind, Arc<Versions<Way>>); 1]>;

/// How calls are served.
enum Way {
    /// By a program.
    Replayed(Box<Replay>),
    /// By recording the function each time: gradients flow through its results.
    Recorded,
}

impl Way {
    /// What the cells hold now, if it has the types that the program reads.
    fn read_cells(&self) -> Option<CellValues> {
        match self {
            Way::Replayed(replay) => replay.read_cells(),
            Way::Recorded => Some(CellValues::new()),
        }
    }

    fn programs(&self) -> usize {
        match self {
            Way::Replayed(_) => 1,
            Way::Recorded => 0,
        }
    }
}

/// Values of the cells that a program reads.
type CellValues = SmallVec<[Tensor; 2]>;

/// A program that serves a call. The cells were read when it was found and are not read again: another
/// thread may write them.
type Fitting = Found<Way, CellValues>;

/// Captures `function`, which must compute its result from its inputs by tensor operations alone.
/// Values it uses otherwise are constants from the first call on; to change them between calls, pass
/// them in or keep them in a [`TensorCell`].
///
/// Gradients flow through the results as they would without capturing. Where they do (an input or a parameter
/// used inside needs one, and the result is not of integers), the function is recorded at each call, since a
/// replayed result has no history; under [`no_grad`](crate::no_grad) it is replayed.
///
/// ```
/// use lazulite::prelude::*;
/// let hypot = compile(|[x, y]: [Tensor; 2]| (&x * &x + &y * &y).sqrt());
/// let (a, b) = (Tensor::full([2], 3.0), Tensor::full([2], 4.0));
/// assert_eq!(hypot.call([&a, &b])?.to_vec::<f32>()?, [5.0, 5.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
pub fn compile<F, O, const N: usize>(function: F) -> Compiled<F, N>
where
    F: Fn([Tensor; N]) -> O,
    O: Outputs,
{
    Compiled {
        function,
        tables: RwLock::default(),
    }
}

/// A compiled function, for inputs of certain types. The sizes that specialise it are all sizes of all
/// inputs, in order.
struct Replay {
    program: Executable,
    device: Device,
    /// Work on constants and on cells that the function only reads.
    preparation: Option<Preparation>,
    /// Where the program's parameters come from.
    sources: Vec<Source>,
    generators: Vec<(Generator, u64)>,
    /// Cells read, with the type they had, and cells written.
    cells: Vec<(TensorCell, TensorType)>,
    written: Vec<TensorCell>,
    /// For each cell read, which of those written it is, if its value may be overwritten in place.
    rewritten: Vec<Option<usize>>,
    /// Types of the results, then of the values written to cells.
    outputs: Vec<TensorType>,
}

/// Where a parameter of the program comes from.
#[derive(Clone)]
pub(crate) enum Source {
    Argument(usize),
    Constant(Value),
    Seed(usize),
    Stream(usize),
    Cell(usize),
    /// Result of the preparation.
    Prepared(usize),
}

impl<F, O, const N: usize> Compiled<F, N>
where
    F: Fn([Tensor; N]) -> O,
    O: Outputs,
{
    /// Runs the function. The result's values are computed.
    #[track_caller]
    pub fn call(&self, inputs: [&Tensor; N]) -> Result<O> {
        if engine::capturing() || engine::recording_body() {
            // Part of a larger program: recorded into it.
            return self.record(inputs);
        }
        crate::tensor::realize_all(&inputs)?;
        let current = engine::current();
        if current.options.interpret || engine::searching() {
            return self.record_and_realize(inputs);
        }
        let gradients = grad_enabled();
        let mut kind = Kind {
            gradients,
            here: Device::here(),
            inputs: SmallVec::new(),
        };
        let mut dims: SmallVec<[i64; 16]> = SmallVec::new();
        for input in inputs {
            let ty = InputType::of(input.node()?, gradients, &mut dims);
            kind.inputs.push(ty);
        }
        kind.place();
        let (call, place) = (
            Call {
                dims: &dims,
                literals: &[],
            },
            Place::here(),
        );
        // Between compiling and running, another thread may give a cell another type.
        for _ in 0..MAX_ATTEMPTS {
            if let Some(fitting) = self.find(&kind, call) {
                return match &fitting.version.program {
                    Way::Replayed(replay) => {
                        rebuilt(run(replay, &fitting, &inputs, &current.pool)?)
                    }
                    Way::Recorded => self.record_and_realize(inputs),
                };
            }
            let make = |pattern: &Pattern, symbols: &[Symbol]| {
                self.capture(&kind, pattern, symbols, place, &current.options)
            };
            let usable = |way: &Way| way.read_cells().is_some();
            self.table(&kind).compile(call, &[], usable, make)?;
        }
        let message = "the cells that the function reads change their types all the time";
        Err(Error::new(ErrorKind::Capture, "compile", message).at(place))
    }

    /// How many versions are compiled.
    pub fn versions(&self) -> usize {
        let tables = self.read();
        tables.iter().map(|(_, t)| t.sum(Way::programs)).sum()
    }

    /// Why each version was compiled, in sentences; for calls that are recorded each time, that they are.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let double = compile(|[x]: [Tensor; 1]| x * 2.0);
    /// double.call([&Tensor::ones([4, 3])])?;
    /// double.call([&Tensor::ones([5, 3])])?;
    /// assert!(double.explain()[1].starts_with("axis 0 of argument 0 was 4 and is 5"));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    pub fn explain(&self) -> Vec<String> {
        let size = |kind: &Kind, position: usize| {
            let mut axis = position;
            for (argument, ty) in kind.inputs.iter().enumerate() {
                if axis < ty.rank {
                    return format!("axis {axis} of argument {argument}");
                }
                axis -= ty.rank;
            }
            format!("size {position}")
        };
        let number = |position| format!("number {position}");
        let tables = self.read();
        let each = tables
            .iter()
            .map(|(kind, table)| match table.sum(Way::programs) {
                0 => vec![
                    "gradients flow through its results, so it is recorded at each call".into(),
                ],
                _ => table.explain(|position| size(kind, position), number),
            });
        each.flatten().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the function itself.
    #[track_caller]
    fn record(&self, inputs: [&Tensor; N]) -> Result<O> {
        if state::depth() > MAX_NESTING {
            let message = "captured functions call each other without end";
            return Err(Error::new(ErrorKind::Capture, "compile", message).at(Place::here()));
        }
        let _nested = state::Nested::enter();
        rebuilt((self.function)(inputs.map(Clone::clone)).into_tensors())
    }

    /// Calls the function itself and computes its results.
    #[track_caller]
    fn record_and_realize(&self, inputs: [&Tensor; N]) -> Result<O> {
        let results = self.record(inputs)?.into_tensors();
        crate::tensor::realize_all(&results.iter().collect::<Vec<_>>())?;
        rebuilt(results)
    }

    fn find(&self, kind: &Kind, call: Call<'_>) -> Option<Fitting> {
        let tables = self.read();
        let (_, table) = tables.iter().find(|(k, _)| k == kind)?;
        table.find(call, Way::read_cells)
    }

    /// The versions for calls of this kind.
    fn table(&self, kind: &Kind) -> Arc<Versions<Way>> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, table)) = tables.iter().find(|(k, _)| k == kind) {
            return table.clone();
        }
        let table = Arc::new(Versions::default());
        tables.push((kind.clone(), table.clone()));
        table
    }

    /// Records and compiles the function for parameters of these types and sizes, for a call at `place`.
    fn capture(
        &self,
        kind: &Kind,
        pattern: &Pattern,
        symbols: &[Symbol],
        place: Place,
        options: &Options,
    ) -> Result<(Way, Vec<Guard>)> {
        let mut rest = pattern.dims.iter().cloned();
        let inputs = kind.inputs.iter();
        let types = inputs.map(|ty| {
            let dims = rest.by_ref().take(ty.rank);
            (TensorType::new(ty.dtype, dims), ty.places)
        });
        let recording = Recording::begin("compile", types.collect(), place, |mut parameters| {
            let flows = parameters.iter_mut().zip(&kind.inputs);
            flows.for_each(|(p, ty)| _ = p.requires_grad_(ty.grad));
            self.applied(parameters)
        })?;
        if kind.gradients && recording.results.iter().any(Tensor::requires_grad) {
            return Ok((Way::Recorded, Vec::new()));
        }
        let (replay, guards) = Replay::build(symbols, recording.finish(Halves::Joined)?, options)?;
        Ok((Way::Replayed(Box::new(replay)), guards))
    }

    /// What the function makes of so many parameters.
    fn applied(&self, parameters: Vec<Tensor>) -> Result<Vec<Tensor>> {
        match <[Tensor; N]>::try_from(parameters) {
            Ok(parameters) => Ok((self.function)(parameters).into_tensors()),
            Err(_) => Err(internal(
                "compile",
                "another number of parameters was expected",
            )),
        }
    }

    /// The function for inputs like these, followed to machine code. It is recorded once more for that.
    ///
    /// ```
    /// use lazulite::inspect::{Format, ReportOptions, Stage};
    /// use lazulite::prelude::*;
    /// let double = compile(|[x]: [Tensor; 1]| (x * 2.0).relu());
    /// let report = double.report([&Tensor::ones([4])], &ReportOptions::default())?;
    /// assert!(report.render(Stage::Native, Format::Text)?.contains("ret"));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Compiled::call`].
    #[track_caller]
    pub fn report(&self, inputs: [&Tensor; N], options: &ReportOptions) -> Result<Report> {
        crate::tensor::realize_all(&inputs)?;
        let types = inputs.iter().map(|input| {
            let node = input.node()?;
            Ok(((*node.ty).clone(), node.traits.places))
        });
        let types = types.collect::<Result<Vec<_>>>()?;
        let apply = |parameters| self.applied(parameters);
        let captured = capture("compile", types, Place::here(), Halves::Apart, apply)?;
        let value = |source: &Source| {
            Ok(match source {
                Source::Argument(n) => Some(value_of(inputs[*n])?.to_host()?),
                Source::Constant(value) => Some(value.to_host()?),
                Source::Seed(_) | Source::Stream(_) | Source::Cell(_) | Source::Prepared(_) => None,
            })
        };
        let constant = |source: &Source| matches!(source, Source::Constant(_));
        let subject = Subject {
            title: "compiled function".into(),
            values: captured.sources.iter().map(value).collect::<Result<_>>()?,
            constant: captured.sources.iter().map(constant).collect(),
            graph: captured.graph,
            forward: captured.forward,
            names: Vec::new(),
            symbols: Vec::new(),
            versions: self.explain(),
        };
        Report::of(subject, options)
    }
}

/// A function recorded once, with parameters in place of its inputs.
pub(crate) struct Captured {
    pub graph: Graph,
    /// The part of the graph before gradients are taken, if they are and that was asked for.
    pub forward: Option<Graph>,
    /// Where the graph's parameters come from.
    pub sources: Vec<Source>,
    /// Types of the results, then of the values written to cells. (A tensor returned twice is computed once
    /// and handed out twice.)
    pub outputs: Vec<TensorType>,
    /// Where it runs; `None` if its results belong to several devices.
    pub device: Option<Device>,
    pub state: CaptureState,
}

/// Whether the part of a program before gradients are taken is wanted by itself, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halves {
    Joined,
    Apart,
}

/// Records `function` for parameters of these types at these places, on behalf of the operation `op` at `place`.
pub(crate) fn capture(
    op: &'static str,
    types: Vec<(TensorType, Places)>,
    place: Place,
    halves: Halves,
    function: impl FnOnce(Vec<Tensor>) -> Result<Vec<Tensor>>,
) -> Result<Captured> {
    Recording::begin(op, types, place, function)?.finish(halves)
}

/// A function recorded with parameters in place of its inputs, of which no graph has been made.
struct Recording {
    op: &'static str,
    arguments: usize,
    results: Vec<Tensor>,
    state: CaptureState,
}

impl Recording {
    fn begin(
        op: &'static str,
        types: Vec<(TensorType, Places)>,
        place: Place,
        function: impl FnOnce(Vec<Tensor>) -> Result<Vec<Tensor>>,
    ) -> Result<Recording> {
        let arguments = types.len();
        let recording = state::begin(arguments as u32);
        let parameters = types.into_iter().zip(0..);
        let parameters = parameters.map(|((ty, places), i)| {
            let node = state::parameter(recording.id, i, ty, places, place);
            Tensor(Ok(node))
        });
        let results = function(parameters.collect())?;
        Ok(Recording {
            op,
            arguments,
            results,
            state: recording.finish(),
        })
    }

    fn finish(self, halves: Halves) -> Result<Captured> {
        let Recording {
            op,
            arguments,
            results,
            state,
        } = self;
        let mut roots = results
            .iter()
            .chain(state.written.iter().map(|(_, t)| t))
            .map(|t| t.node().cloned())
            .collect::<Result<Vec<_>>>()?;
        drop(results);
        let listed = list_with_constants(&mut roots)?;
        // Nothing is passed at run time but the parameters.
        let pattern = Pattern::constant(&listed);
        let (graph, forward) = match halves {
            Halves::Joined => (engine::build(&listed, &pattern, op)?, None),
            Halves::Apart => engine::build_in_two(&listed, &pattern, op)?,
        };
        let mut sources = Vec::new();
        for &leaf in &listed.leaves {
            let n = &listed.nodes[leaf as usize];
            sources.push(match (&n.value, &n.node.op) {
                (Some(value), _) => Source::Constant(value.clone()),
                (None, Recorded::Parameter(parameter)) => state.source(*parameter, arguments)?,
                (None, _) => return Err(internal(op, "a leaf has no value")),
            });
        }
        Ok(Captured {
            graph,
            forward,
            sources,
            outputs: roots.iter().map(|r| (*r.ty).clone()).collect(),
            device: engine::device_of(&roots),
            state,
        })
    }
}

/// Results in the form that the function returns.
fn rebuilt<O: Outputs>(results: Vec<Tensor>) -> Result<O> {
    O::from_tensors(&mut results.into_iter())
        .ok_or_else(|| internal("compile", "there are too few results"))
}

/// Lists the program after computing everything expensive that does not depend on parameters.
fn list_with_constants(roots: &mut [Arc<Node>]) -> Result<Trace> {
    let listed = engine::settled_trace(roots, None)?;
    let mut depends = vec![false; listed.nodes.len()];
    let mut constants: Vec<Arc<Node>> = Vec::new();
    for (i, n) in listed.nodes.iter().enumerate() {
        let mut parents = n.links.iter().filter_map(|l| l.node());
        let next = listed.nodes.get(i + 1).map(|next| next.first_dim as usize);
        let end = next.unwrap_or(listed.dims.len());
        let mut sizes = listed.dims[n.first_dim as usize..end].iter();
        // Sizes of parameters are not known yet either.
        depends[i] = matches!(n.node.op, Recorded::Parameter(_))
            || sizes.any(|d| d.as_const().is_none())
            || parents.any(|p| depends[p as usize]);
        let single = !n.node.is_tuple();
        let lazy = n.value.is_none();
        if !depends[i] && lazy && single && n.node.traits.heavy {
            constants.push(n.node.clone());
        }
    }
    if constants.is_empty() {
        return Ok(listed);
    }
    drop(listed);
    engine::realize(&constants)?;
    engine::settled_trace(roots, None)
}

impl Replay {
    /// The program and the conditions on its symbols.
    fn build(
        symbols: &[Symbol],
        captured: Captured,
        options: &Options,
    ) -> Result<(Replay, Vec<Guard>)> {
        let Captured {
            graph,
            forward: _,
            sources,
            outputs,
            device,
            state,
        } = captured;
        let device = device.ok_or_else(|| {
            let message = "the results of a captured function lie on several devices";
            Error::new(ErrorKind::Device, "compile", message)
                .hint("capture a function for each device, and move tensors outside of them")
        })?;
        let written: Vec<TensorCell> = state.written.iter().map(|(cell, _)| cell.clone()).collect();
        let cells = state.cells_read();
        let rewritten = cells
            .iter()
            .map(|(cell, _)| written.iter().position(|w| w.is(cell)));
        let mut rewritten: Vec<Option<usize>> = rewritten.collect();
        let steady = |source: &Source| match source {
            Source::Constant(_) => true,
            Source::Cell(i) => rewritten[*i].is_none(),
            Source::Argument(_) | Source::Seed(_) | Source::Stream(_) | Source::Prepared(_) => {
                false
            }
        };
        let constant: Vec<bool> = sources.iter().map(steady).collect();
        let parts = engine::compile_in_parts(&graph, symbols, &constant, options, device)?;
        if parts.main.calls_host() {
            // Users' functions may read any cell while the program runs.
            rewritten.fill(None);
        }
        let own = |n: &u32| sources[*n as usize].clone();
        let preparation = { parts.prepare }
            .map(|(program, inputs)| Preparation::new(program, inputs.iter().map(own).collect()));
        let sources = parts.sources.iter().map(|source| match source {
            Hoisted::Parameter(n) => own(n),
            Hoisted::Prepared(n) => Source::Prepared(*n as usize),
        });
        let replay = Replay {
            program: parts.main,
            device,
            preparation,
            sources: sources.collect(),
            generators: state.generators(),
            cells,
            written,
            rewritten,
            outputs,
        };
        Ok((replay, graph.guards().to_vec()))
    }

    /// Types of the results, then of the values written to cells, for the sizes of a call.
    fn types(&self, fitting: &Fitting) -> Result<Vec<TensorType>> {
        let known = fitting.version.domain.assignment(&fitting.values);
        let each = self.outputs.iter().map(|ty| known.tensor_type(ty));
        let all: Option<Vec<TensorType>> = each.collect();
        all.ok_or_else(|| internal("compile", "a result has an unknown size"))
    }

    /// What the cells hold now, if it has the types that the program reads.
    fn read_cells(&self) -> Option<CellValues> {
        let mut values = CellValues::new();
        let here = Places::of(self.device);
        for (cell, ty) in &self.cells {
            let content = cell.content();
            let node = content.node().ok()?;
            if *node.ty != *ty || !here.admits(node.traits.places) {
                return None;
            }
            values.push(content);
        }
        Some(values)
    }
}

#[track_caller]
fn run(
    replay: &Replay,
    fitting: &Fitting,
    arguments: &[&Tensor],
    pool: &Pool,
) -> Result<Vec<Tensor>> {
    let streams: SmallVec<[(u64, u64); 2]> = replay
        .generators
        .iter()
        .map(|(generator, draws)| generator.take_streams(*draws))
        .collect();
    let prepared = match &replay.preparation {
        Some(preparation) => preparation.results(&fitting.accepted, pool)?,
        None => Values::new(),
    };
    let mut inputs: SmallVec<[Input; 8]> = SmallVec::new();
    for source in &replay.sources {
        inputs.push(Input::keep(match source {
            Source::Argument(i) => value_of(arguments[*i])?,
            Source::Constant(value) => value.clone(),
            Source::Seed(i) => literal_buffer(word(streams[*i].0))?.into(),
            Source::Stream(i) => literal_buffer(word(streams[*i].1))?.into(),
            Source::Cell(i) => value_of(&fitting.accepted[*i].realize()?)?,
            Source::Prepared(i) => prepared[*i].clone(),
        }));
    }
    let types = replay.types(fitting)?;
    let mut vacated = lend_cells(replay, fitting, &types, &mut inputs);
    let outcome = replay.program.run(&mut inputs, &fitting.values, pool);
    let mut values = match outcome {
        Ok(values) => values.into_iter(),
        Err(e) => {
            // A failed run leaves its inputs as they were.
            for Vacated { next, input, .. } in vacated {
                next.finish(inputs[input].take(), History::Kept);
            }
            // What knows no place inside the function belongs to the call.
            return Err(match e.location() {
                None => e.at(Place::here()),
                Some(_) => e,
            });
        }
    };
    let results = types.len() - replay.written.len();
    let mut types = types.into_iter();
    let own = types.by_ref().take(results).zip(values.by_ref());
    let tensors = own.map(|(ty, value)| Tensor::leaf(ty, value)).collect();
    for (number, (cell, (ty, value))) in replay.written.iter().zip(types.zip(values)).enumerate() {
        match vacated.iter().position(|v| v.output == number) {
            Some(at) => vacated.swap_remove(at).next.finish(value, History::Kept),
            None => cell.settle(Tensor::leaf(ty, value)),
        }
    }
    Ok(tensors)
}

/// A cell whose value may be overwritten by its next one.
struct Vacated {
    /// What the cell holds meanwhile.
    next: Arc<Node>,
    /// Which input its value is.
    input: usize,
    /// Which of the values written its next one is.
    output: usize,
}

/// Lends the values of cells that are about to be replaced and that nobody else holds.
fn lend_cells(
    replay: &Replay,
    fitting: &Fitting,
    types: &[TensorType],
    inputs: &mut [Input],
) -> SmallVec<[Vacated; 8]> {
    let mut vacated = SmallVec::new();
    let written = types.len() - replay.written.len();
    for (input, source) in replay.sources.iter().enumerate() {
        let &Source::Cell(i) = source else { continue };
        let Some(output) = replay.rewritten[i] else {
            continue;
        };
        let (cell, ty) = &replay.cells[i];
        let Ok(node) = fitting.accepted[i].node() else {
            continue;
        };
        if types[written + output] != *ty {
            continue;
        }
        // The list of accepted values has one handle.
        if let Some(next) = cell.vacate(node, 1) {
            node.lend();
            inputs[input].donate = true;
            vacated.push(Vacated {
                next,
                input,
                output,
            });
        }
    }
    vacated
}

/// The value of a realised tensor.
pub(crate) fn value_of(tensor: &Tensor) -> Result<Value> {
    tensor
        .node()?
        .value()
        .ok_or_else(|| internal("compile", "an input has no value"))
}

/// The same on the processor.
pub(crate) fn host_value_of(tensor: &Tensor) -> Result<Buffer> {
    value_of(tensor)?.to_host()
}

fn word(value: u64) -> Literal {
    Literal {
        dtype: DType::U64,
        bits: value,
        runtime: true,
    }
}
