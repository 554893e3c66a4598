//! Capturing a function once and replaying it without recording anything.
//!
//! The first call records the function with parameters in place of its inputs and compiles the
//! result for those sizes; calls with other sizes record it again with unknown sizes, at most
//! [`MAX_VERSIONS`] versions being kept. Random streams and cells used inside are inputs of the
//! program, and cells written inside are results of it.

mod state;

pub(crate) use state::{captured_cell, captured_stream, next_capture, write_captured_cell};

use crate::cell::TensorCell;
use crate::engine::{
    self, Binding, MAX_VERSIONS, Pattern, Sighting, Trace, generalise, literal_buffer, trace,
};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::ops::Generator;
use crate::tensor::{Literal, Node, Recorded, Tensor, internal};
use lazulite_ir::{DType, Dim, Guard, Relation, Symbol, TensorType};
use lazulite_runtime::{Buffer, Input, Program};
use smallvec::SmallVec;
use state::CaptureState;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

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

/// A function that is recorded and compiled at its first call and replayed afterwards.
pub struct Compiled<F, const N: usize> {
    function: F,
    versions: RwLock<SmallVec<[Arc<Version>; MAX_VERSIONS]>>,
    /// Sizes seen per input types; held while compiling, so that nothing is compiled twice.
    history: Mutex<Vec<(InputTypes, Sighting)>>,
}

/// How often a call tries to find a version for what the cells hold.
const MAX_ATTEMPTS: usize = 16;

/// Calls of captured functions inside of captured functions, at most.
const MAX_NESTING: usize = 100;

/// What makes inputs take the same versions.
type InputTypes = SmallVec<[InputType; 4]>;

/// Sizes 0 and 1 count as structure: 1 broadcasts, and there is no extremum of nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
struct InputType {
    dtype: DType,
    rank: usize,
    /// Bits of the axes of size 0, then of those of size 1.
    special: [u64; 2],
}

impl InputType {
    fn of(ty: &TensorType) -> InputType {
        let bits = |size: i64| {
            let axes = ty.dims.iter().enumerate().filter(|(_, d)| d.is(size));
            axes.fold(0, |bits, (axis, _)| bits | 1 << (axis % 64))
        };
        InputType {
            dtype: ty.dtype,
            rank: ty.rank(),
            special: [bits(0), bits(1)],
        }
    }
}

/// A version that fits, with the values of its symbols and of the cells it reads.
struct Fitting {
    version: Arc<Version>,
    sizes: SmallVec<[i64; 4]>,
    cells: SmallVec<[Tensor; 2]>,
}

/// Captures `function`, which must compute its result from its inputs by tensor operations alone.
/// Values it uses otherwise are constants from the first call on; to change them between calls, pass
/// them in or keep them in a [`TensorCell`].
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
        versions: RwLock::default(),
        history: Mutex::default(),
    }
}

/// A compiled version of a function.
struct Version {
    inputs: InputTypes,
    /// All sizes of all inputs, in order: constants, or expressions over the symbols.
    dims: Vec<Dim>,
    bindings: Vec<Binding>,
    guards: Vec<Guard>,
    program: Program,
    /// Where the program's parameters come from.
    sources: Vec<Source>,
    generators: Vec<(Generator, u64)>,
    /// Cells read, with the type they had, and cells written.
    cells: Vec<(TensorCell, TensorType)>,
    written: Vec<TensorCell>,
    /// Types of the results, then of the values written to cells.
    outputs: Vec<TensorType>,
}

/// Where a parameter of the program comes from.
enum Source {
    Argument(usize),
    Constant(Buffer),
    Seed(usize),
    Stream(usize),
    Cell(usize),
}

impl<F, O, const N: usize> Compiled<F, N>
where
    F: Fn([Tensor; N]) -> O,
    O: Outputs,
{
    /// Runs the function. The result's values are computed.
    #[track_caller]
    pub fn call(&self, inputs: [&Tensor; N]) -> Result<O> {
        if engine::capturing() {
            // Part of a larger program: recorded into it.
            return self.record(inputs);
        }
        crate::tensor::realize_all(&inputs)?;
        if engine::interpreting() {
            let results = self.record(inputs)?.into_tensors();
            crate::tensor::realize_all(&results.iter().collect::<Vec<_>>())?;
            return rebuilt(results);
        }
        let mut types = InputTypes::new();
        let mut dims: SmallVec<[i64; 16]> = SmallVec::new();
        for input in inputs {
            let ty = &input.node()?.ty;
            types.push(InputType::of(ty));
            dims.extend(ty.dims.iter().filter_map(Dim::as_const));
        }
        // Between compiling and running, another thread may give a cell another type.
        for _ in 0..MAX_ATTEMPTS {
            if let Some(fitting) = self.find(&types, &dims) {
                return rebuilt(fitting.run(&inputs)?);
            }
            self.compile(&types, &dims)?;
        }
        let message = "the cells that the function reads change their types all the time";
        Err(Error::new(ErrorKind::Capture, "compile", message).at(Place::here()))
    }

    /// How many versions are compiled.
    pub fn versions(&self) -> usize {
        self.versions
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
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

    fn find(&self, types: &InputTypes, dims: &[i64]) -> Option<Fitting> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions
            .iter()
            .find_map(|version| Version::fit(version, types, dims))
    }

    /// Adds a version for inputs of these types and sizes, and for what the cells hold now.
    #[track_caller]
    fn compile(&self, types: &InputTypes, dims: &[i64]) -> Result<()> {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if self.find(types, dims).is_some() {
            return Ok(());
        }
        let sighting = Sighting {
            dims: dims.to_vec(),
            literals: Vec::new(),
        };
        let same_types = history.iter().filter(|(t, _)| t == types);
        let mut seen: Vec<Sighting> = same_types.map(|(_, s)| s.clone()).collect();
        seen.push(sighting.clone());
        let mut version = self.capture(types, &seen);
        let fits = |v: &Result<Version>| v.as_ref().is_ok_and(|v| v.bind(types, dims).is_some());
        if seen.len() > 1 && !fits(&version) {
            // The function asks for known sizes, or for relations between them that do not hold. What
            // was seen before does not help then.
            history.retain(|(t, _)| t != types);
            version = self.capture(types, &seen[seen.len() - 1..]);
        }
        let version = Arc::new(version?);
        if version.bind(types, dims).is_none() {
            return Err(internal("compile", "a program does not fit its own sizes"));
        }
        if seen.len() > MAX_VERSIONS
            && let Some(oldest) = history.iter().position(|(t, _)| t == types)
        {
            history.remove(oldest);
        }
        history.push((types.clone(), sighting));
        let mut versions = self
            .versions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let same = |v: &Arc<Version>| v.inputs == *types;
        if versions.iter().filter(|v| same(v)).count() == MAX_VERSIONS
            && let Some(oldest) = versions.iter().position(same)
        {
            versions.remove(oldest);
        }
        versions.push(version);
        Ok(())
    }

    #[track_caller]
    fn capture(&self, types: &InputTypes, seen: &[Sighting]) -> Result<Version> {
        let (pattern, bindings) = generalise(seen, &[]);
        let recording = state::begin(N as u32);
        let mut rest = pattern.dims.iter().cloned();
        let mut parameters = Vec::new();
        for input in types {
            let ty = TensorType::new(input.dtype, rest.by_ref().take(input.rank));
            let index = parameters.len() as u32;
            parameters.push(Tensor(Ok(state::parameter(recording.id, index, ty))));
        }
        let Ok(parameters) = <[Tensor; N]>::try_from(parameters) else {
            return Err(internal(
                "compile",
                "another number of parameters was expected",
            ));
        };
        let results = (self.function)(parameters).into_tensors();
        let captured = recording.finish();
        let mut roots = results
            .iter()
            .chain(captured.written.iter().map(|(_, t)| t))
            .map(|t| t.node().cloned())
            .collect::<Result<Vec<_>>>()?;
        drop(results);
        let listed = list_with_constants(&mut roots)?;
        Version::build(
            types.clone(),
            pattern.dims,
            bindings,
            &listed,
            &roots,
            captured,
        )
    }
}

/// Results in the form that the function returns.
fn rebuilt<O: Outputs>(results: Vec<Tensor>) -> Result<O> {
    O::from_tensors(&mut results.into_iter())
        .ok_or_else(|| internal("compile", "there are too few results"))
}

/// Lists the program after computing everything expensive that does not depend on parameters.
#[track_caller]
fn list_with_constants(roots: &mut [Arc<Node>]) -> Result<Trace> {
    let listed = trace(roots, false);
    let mut depends = vec![false; listed.nodes.len()];
    let mut constants: Vec<Arc<Node>> = Vec::new();
    for (i, n) in listed.nodes.iter().enumerate() {
        let parents = n.links.iter().filter_map(|l| l.node());
        depends[i] = matches!(n.node.op, Recorded::Parameter(_))
            || parents.into_iter().any(|p| depends[p as usize]);
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
    Ok(trace(roots, false))
}

impl Version {
    fn build(
        inputs: InputTypes,
        dims: Vec<Dim>,
        bindings: Vec<Binding>,
        listed: &Trace,
        roots: &[Arc<Node>],
        captured: CaptureState,
    ) -> Result<Version> {
        let mut pattern = Pattern::exact(listed);
        // Nothing is passed at run time but the parameters.
        pattern.literals = listed.literals.iter().copied().map(Some).collect();
        let graph = engine::build(listed, &pattern, "compile")?;
        let mut sources = Vec::new();
        for &leaf in &listed.leaves {
            let n = &listed.nodes[leaf as usize];
            sources.push(match (&n.value, &n.node.op) {
                (Some(value), _) => Source::Constant(value.clone()),
                (None, Recorded::Parameter(parameter)) => {
                    captured.source(*parameter, inputs.len())?
                }
                (None, _) => return Err(internal("compile", "a leaf has no value")),
            });
        }
        // A tensor returned twice is computed once and handed out twice.
        let by_root: Vec<TensorType> = roots.iter().map(|r| (*r.ty).clone()).collect();
        let symbols: Vec<Symbol> = bindings.iter().map(|b| b.symbol.clone()).collect();
        let program = engine::compile_graph(&graph, &symbols)?;
        Ok(Version {
            inputs,
            dims,
            bindings,
            guards: graph.guards().to_vec(),
            program,
            sources,
            generators: captured.generators(),
            cells: captured.cells_read(),
            written: captured
                .written
                .iter()
                .map(|(cell, _)| cell.clone())
                .collect(),
            outputs: by_root,
        })
    }

    /// A version with all it needs to run on inputs with these types and sizes, if it fits them and what the
    /// cells hold now. The cells are read here and not again: another thread may write them.
    fn fit(version: &Arc<Version>, types: &InputTypes, dims: &[i64]) -> Option<Fitting> {
        let sizes = version.bind(types, dims)?;
        let mut cells = SmallVec::new();
        for (cell, ty) in &version.cells {
            let content = cell.content();
            if *content.node().ok()?.ty != *ty {
                return None;
            }
            cells.push(content);
        }
        Some(Fitting {
            version: version.clone(),
            sizes,
            cells,
        })
    }

    /// The values of the symbols, if inputs with these types and sizes fit.
    fn bind(&self, types: &InputTypes, dims: &[i64]) -> Option<SmallVec<[i64; 4]>> {
        if self.inputs != *types {
            return None;
        }
        let values: SmallVec<[i64; 4]> = self.bindings.iter().map(|b| dims[b.position]).collect();
        let value_of = |s: &Symbol| self.value_of(s, &values);
        let fits = |(pattern, actual): (&Dim, &i64)| pattern.eval(&value_of) == Some(*actual);
        if self.dims.len() != dims.len() || !self.dims.iter().zip(dims).all(fits) {
            return None;
        }
        let holds = |g: &Guard| {
            let sides = g.lhs.eval(&value_of).zip(g.rhs.eval(&value_of));
            sides.is_some_and(|(l, r)| match g.relation {
                Relation::Eq => l == r,
                Relation::Le => l <= r,
            })
        };
        self.guards.iter().all(holds).then_some(values)
    }

    fn value_of(&self, symbol: &Symbol, values: &[i64]) -> Option<i64> {
        let i = self.bindings.iter().position(|b| b.symbol == *symbol)?;
        values.get(i).copied()
    }
}

impl Fitting {
    #[track_caller]
    fn run(&self, arguments: &[&Tensor]) -> Result<Vec<Tensor>> {
        let Fitting {
            version,
            sizes,
            cells,
        } = self;
        let streams: SmallVec<[(u64, u64); 2]> = version
            .generators
            .iter()
            .map(|(generator, draws)| generator.take_streams(*draws))
            .collect();
        let mut inputs: SmallVec<[Input; 8]> = SmallVec::new();
        for source in &version.sources {
            inputs.push(Input::keep(match source {
                Source::Argument(i) => value_of(arguments[*i])?,
                Source::Constant(value) => value.clone(),
                Source::Seed(i) => literal_buffer(word(streams[*i].0))?,
                Source::Stream(i) => literal_buffer(word(streams[*i].1))?,
                Source::Cell(i) => value_of(&cells[*i].realize()?)?,
            }));
        }
        let buffers = engine::execute(&version.program, &mut inputs, sizes)?;
        let known = |d: &Dim| d.eval(&|s| version.value_of(s, sizes));
        let mut tensors = Vec::with_capacity(buffers.len());
        for (ty, buffer) in version.outputs.iter().zip(buffers) {
            let dims: Option<SmallVec<[Dim; 4]>> = ty
                .dims
                .iter()
                .map(|d| known(d).map(Dim::constant))
                .collect();
            let Some(dims) = dims else {
                return Err(internal("compile", "a result has an unknown size"));
            };
            tensors.push(Tensor::leaf(
                TensorType {
                    dtype: ty.dtype,
                    dims,
                },
                buffer,
            ));
        }
        let results = tensors.len() - version.written.len();
        for (cell, tensor) in version.written.iter().zip(tensors.drain(results..)) {
            cell.set(tensor)?;
        }
        Ok(tensors)
    }
}

fn value_of(tensor: &Tensor) -> Result<Buffer> {
    tensor
        .node()?
        .value()
        .ok_or_else(|| internal("compile", "an input has no value"))
}

fn word(value: u64) -> Literal {
    Literal {
        dtype: DType::U64,
        bits: value,
        runtime: true,
    }
}
