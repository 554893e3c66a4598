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

mod outputs;
mod prepared;
mod record;
mod replay;
mod shape;
mod state;

pub use outputs::Outputs;
pub(crate) use record::{Captured, Halves, Source, capture};
pub(crate) use state::{
    captured_cell, captured_stream, forget_captured, next_capture, write_captured_cell,
};

use crate::autograd::grad_enabled;
use crate::cell::TensorCell;
use crate::device::{Device, Places};
use crate::engine::{self, Call, Found, Options, Pattern, Version, Versions};
use crate::error::{Error, ErrorKind, Result};
use crate::inspect::{Report, ReportOptions, Subject};
use crate::location::Place;
use crate::tensor::{Tensor, internal};
use lazulite_ir::{Dim, Guard, Symbol, TensorType};
use lazulite_runtime::Pool;
use record::Recording;
use replay::Replay;
pub(crate) use replay::{host_value_of, value_of};
use shape::{CallShape, Setting};
use smallvec::SmallVec;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

/// A function that is recorded and compiled at its first call and replayed afterwards.
pub struct Compiled<F, const N: usize> {
    function: F,
    /// What was compiled first, found without a lock.
    first: OnceLock<First>,
    /// What is compiled for inputs of these types.
    tables: RwLock<Tables>,
}

/// What was compiled first, and for calls of which shape: many functions are called with the same sizes for ever. It stays
/// for good, even where its table has let it go for more general ones.
struct First {
    shape: CallShape,
    version: Arc<Version<Serving>>,
}

/// Calls of captured functions inside of captured functions, at most.
const MAX_NESTING: u32 = 100;

/// Stands for a size that is no number.
const UNKNOWN: i64 = -1;

/// The versions for each kind of calls.
type Tables = SmallVec<[(CallShape, Arc<Versions<Serving>>); 1]>;

/// How calls of one shape are served.
struct Serving {
    /// The cells that it reads, with what they were.
    cells: Vec<(TensorCell, CellType)>,
    way: Way,
}

/// What a captured function depends on in a cell besides the value.
struct CellType {
    ty: Arc<TensorType>,
    /// Gradients are on and flow to it.
    grad: bool,
}

/// By what calls are served.
enum Way {
    /// By a program.
    Replayed(Box<Replay>),
    /// By recording the function each time: gradients flow through its results.
    Recorded,
}

impl Serving {
    /// What the cells hold now, if they are what they were.
    #[inline]
    fn read_cells(&self, gradients: bool) -> Option<CellValues> {
        // Most functions read none.
        match self.cells.is_empty() {
            true => Some(CellValues::new()),
            false => self.read_each(gradients),
        }
    }

    /// As [`Serving::read_cells`], where there are some.
    fn read_each(&self, gradients: bool) -> Option<CellValues> {
        // What belongs to no device is brought to that of the program.
        let here = match &self.way {
            Way::Replayed(replay) => Places::of(replay.device()),
            Way::Recorded => Places::NONE,
        };
        let read = |(cell, known): &(TensorCell, CellType)| {
            let content = cell.content();
            let node = content.node().ok()?;
            let traits = &node.traits;
            let fits = node.ty == known.ty && here.admits(traits.places);
            (fits && (gradients && traits.grad) == known.grad).then_some(content)
        };
        self.cells.iter().map(read).collect()
    }

    fn programs(&self) -> usize {
        match self.way {
            Way::Replayed(_) => 1,
            Way::Recorded => 0,
        }
    }
}

/// Values of the cells that a program reads.
type CellValues = Vec<Tensor>;

/// What a call gives, in order.
type Results = SmallVec<[Tensor; 2]>;

/// A program that serves a call. The cells were read when it was found and are not read again: another
/// thread may write them.
type Fitting<'a> = Found<&'a Version<Serving>, CellValues>;

/// The same with a handle that keeps the version.
type Shared = Found<Arc<Version<Serving>>, CellValues>;

/// Captures `function`, which must compute its result from its inputs by tensor operations alone.
/// Values it uses otherwise are constants from the first call on; to change them between calls, pass
/// them in or keep them in a [`TensorCell`].
///
/// While it is captured, others wait who call it: it must not wait for a thread that does.
///
/// There are no values inside: if the function reads one, or the sizes of a tensor as numbers, the call returns that
/// error, whatever the function makes of it.
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
        first: OnceLock::new(),
        tables: RwLock::default(),
    }
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
        let mut results = Results::new();
        if !self.serve(inputs, &mut results)? {
            crate::tensor::realize_all(&inputs)?;
            if !self.serve(inputs, &mut results)? {
                return Err(internal("compile", "an input has no value"));
            }
        }
        // Taken from the end, one result is moved nowhere else.
        results.reverse();
        rebuilt(&mut std::iter::from_fn(|| results.pop()))
    }

    /// Serves a call whose inputs' values are known; `false` if they are not.
    #[track_caller]
    fn serve(&self, inputs: [&Tensor; N], results: &mut Results) -> Result<bool> {
        let current = engine::current();
        if current.options.interpret || engine::searching() {
            return self.record_and_realize(inputs, results);
        }
        let mut setting = Setting {
            optimisation: current.options.optimisation(),
            gradients: grad_enabled(),
            here: Device::here(),
            places: Places::NONE,
        };
        let mut dims: SmallVec<[i64; 16]> = SmallVec::new();
        for input in inputs {
            let node = input.node()?;
            setting.places = setting.places.join(node.traits.places);
            // Those of values are numbers.
            let size = |dim: &Dim| dim.as_const().unwrap_or(UNKNOWN);
            dims.extend(node.ty.dims.iter().map(size));
        }
        if dims.contains(&UNKNOWN) {
            return Ok(false);
        }
        let (call, place) = (
            Call {
                dims: &dims,
                literals: &[],
            },
            Place::here(),
        );
        let pool = &current.pool;
        // Served where it is found: moving it costs what the lock did.
        if let Some(fitting) = &self.first(&setting, inputs, call) {
            return self.serve_by(fitting, inputs, pool, results);
        }
        let found = match self.find(&setting, inputs, call) {
            Some(found) => found,
            // A bad input's error comes before those of compiling.
            None if !are_known(&inputs) => return Ok(false),
            None => {
                let shape = CallShape::of(setting, &inputs, &dims);
                self.compiled(&shape, call, place, &current.options)?
            }
        };
        let version = found.version;
        let fitting = Found {
            version: &*version,
            values: found.values,
            accepted: found.accepted,
        };
        self.serve_by(&fitting, inputs, pool, results)
    }

    /// As [`Compiled::serve`], by this version.
    #[track_caller]
    fn serve_by(
        &self,
        fitting: &Fitting<'_>,
        inputs: [&Tensor; N],
        pool: &Pool,
        results: &mut Results,
    ) -> Result<bool> {
        match &fitting.version.program.way {
            Way::Replayed(replay) => replay.call(fitting, &inputs, pool, results),
            Way::Recorded => self.record_and_realize(inputs, results),
        }
    }

    /// A version for this call, entered as the first one if there is none.
    fn compiled(
        &self,
        shape: &CallShape,
        call: Call<'_>,
        place: Place,
        options: &Options,
    ) -> Result<Shared> {
        let make = |pattern: &Pattern, symbols: &[Symbol]| {
            self.capture(shape, pattern, symbols, place, options)
        };
        let usable = |serving: &Serving| serving.read_cells(shape.setting.gradients);
        let found = self.table(shape).compile(call, &[], usable, make)?;
        let found = found.ok_or_else(|| {
            let message = "a cell that the function reads was given another type meanwhile";
            Error::new(ErrorKind::Capture, "compile", message).at(place)
        })?;
        self.first.get_or_init(|| First {
            shape: shape.clone(),
            version: found.version.clone(),
        });
        Ok(found)
    }

    /// How many versions are compiled.
    pub fn versions(&self) -> usize {
        let tables = self.read();
        tables.iter().map(|(_, t)| t.sum(Serving::programs)).sum()
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
        let size = |shape: &CallShape, position: usize| {
            let mut axis = position;
            for (argument, ty) in shape.inputs.iter().enumerate() {
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
            .map(|(shape, table)| match table.sum(Serving::programs) {
                0 => vec![
                    "gradients flow through its results, so it is recorded at each call".into(),
                ],
                _ => table.explain(|position| size(shape, position), number),
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
        let _deeper = state::deeper();
        let results = (self.function)(inputs.map(Clone::clone)).into_tensors();
        rebuilt(&mut results.into_iter())
    }

    /// As [`Compiled::serve`], by calling the function itself and computing its results.
    #[track_caller]
    fn record_and_realize(&self, inputs: [&Tensor; N], results: &mut Results) -> Result<bool> {
        if !are_known(&inputs) {
            return Ok(false);
        }
        results.extend(self.record(inputs)?.into_tensors());
        crate::tensor::realize_all(&results.iter().collect::<Vec<_>>())?;
        Ok(true)
    }

    /// What was compiled first, if it serves the call.
    #[inline]
    fn first(
        &self,
        setting: &Setting,
        inputs: [&Tensor; N],
        call: Call<'_>,
    ) -> Option<Fitting<'_>> {
        let First { shape, version } = self.first.get()?;
        if !shape.is_of(setting, &inputs, call.dims) {
            return None;
        }
        let cells = |serving: &Serving| serving.read_cells(setting.gradients);
        let (values, accepted) = version.serve(call, cells)?;
        Some(Found {
            version,
            values,
            accepted,
        })
    }

    /// Any version that serves the call.
    fn find(&self, setting: &Setting, inputs: [&Tensor; N], call: Call<'_>) -> Option<Shared> {
        let tables = self.read();
        let (_, table) =
            { tables.iter() }.find(|(shape, _)| shape.is_of(setting, &inputs, call.dims))?;
        table.find(call, |serving| serving.read_cells(setting.gradients))
    }

    /// The versions for calls of this shape.
    fn table(&self, shape: &CallShape) -> Arc<Versions<Serving>> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, table)) = tables.iter().find(|(s, _)| s == shape) {
            return table.clone();
        }
        let table = Arc::new(Versions::default());
        tables.push((shape.clone(), table.clone()));
        table
    }

    /// Records and compiles the function for parameters of these types and sizes, for a call at `place`.
    fn capture(
        &self,
        shape: &CallShape,
        pattern: &Pattern,
        symbols: &[Symbol],
        place: Place,
        options: &Options,
    ) -> Result<(Serving, Vec<Guard>)> {
        let mut rest = pattern.dims.iter().cloned();
        let inputs = shape.inputs.iter();
        let types = inputs.map(|ty| {
            let dims = rest.by_ref().take(ty.rank);
            (TensorType::new(ty.dtype, dims), ty.places)
        });
        let recording = Recording::begin("compile", types.collect(), place, |mut parameters| {
            let flows = parameters.iter_mut().zip(&shape.inputs);
            flows.for_each(|(p, ty)| _ = p.requires_grad_(ty.grad));
            self.applied(parameters)
        })?;
        let cells = recording.state.cells_read().map(|(cell, node)| {
            let (ty, grad) = (node.ty.clone(), shape.setting.gradients && node.traits.grad);
            (cell.clone(), CellType { ty, grad })
        });
        let cells = cells.collect();
        if shape.setting.gradients && recording.keeps_history() {
            let way = Way::Recorded;
            return Ok((Serving { cells, way }, Vec::new()));
        }
        let captured = recording.finish(Halves::Joined)?;
        let (replay, guards) = Replay::build(symbols, captured, N, options)?;
        let way = Way::Replayed(Box::new(replay));
        Ok((Serving { cells, way }, guards))
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
                Source::Argument(n) => Some(host_value_of(inputs[*n])?),
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

/// Whether all of these have values. Every call sees to that for its inputs: what is left to be computed grows otherwise.
fn are_known(inputs: &[&Tensor]) -> bool {
    inputs.iter().all(|input| input.is_realized())
}

/// Results in the form that the function returns.
fn rebuilt<O: Outputs>(results: &mut dyn Iterator<Item = Tensor>) -> Result<O> {
    O::from_tensors(results).ok_or_else(|| internal("compile", "there are too few results"))
}
