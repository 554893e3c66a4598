//! Calls that are served by a program.

use super::prepared::Preparation;
use super::record::{Captured, Source};
use super::{Fitting, Results};
use crate::cell::TensorCell;
use crate::device::{Device, Executable, Value};
use crate::engine::{self, History, Inputs, Options, compile_in_parts, literal_buffer};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::ops::Generator;
use crate::tensor::{Literal, Node, Tensor, internal};
use lazulite_ir::{DType, Graph, Guard, Symbol, TensorType};
use lazulite_passes::memory::Hoisted;
use lazulite_runtime::{Buffer, Pool};
use std::borrow::Cow;
use std::sync::Arc;

/// A compiled function, for inputs of certain types. The sizes that specialise it are all sizes of all
/// inputs, in order.
pub(super) struct Replay {
    program: Executable,
    device: Device,
    /// What it was compiled from, for errors about its memory.
    graph: Graph,
    /// Work on constants and on cells that the function only reads.
    preparation: Option<Preparation>,
    /// Where the program's parameters come from.
    sources: Vec<Source>,
    /// Arguments that are none of its parameters.
    unread: Vec<usize>,
    generators: Vec<(Generator, u64)>,
    /// Cells written.
    written: Vec<TensorCell>,
    /// For each cell read, which of those written it is, if its value may be overwritten in place.
    rewritten: Vec<Option<usize>>,
    /// Types of the results, then of the values written to cells.
    outputs: Vec<Arc<TensorType>>,
}

impl Replay {
    /// The program of a function of so many arguments and the conditions on its symbols.
    pub fn build(
        symbols: &[Symbol],
        captured: Captured,
        arguments: usize,
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
        let rewritten = state
            .cells_read()
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
        let parts = compile_in_parts(&graph, symbols, &constant, options, device)?;
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
        let sources: Vec<Source> = sources.collect();
        let is_read = |n: &usize| {
            let reads = |s: &Source| matches!(s, Source::Argument(i) if i == n);
            sources.iter().any(reads)
        };
        let replay = Replay {
            program: parts.main,
            device,
            graph,
            preparation,
            unread: (0..arguments).filter(|n| !is_read(n)).collect(),
            sources,
            generators: state.generators(),
            written,
            rewritten,
            outputs: outputs.into_iter().map(Arc::new).collect(),
        };
        if replay.program.image().outputs.len() != replay.outputs.len() {
            return Err(internal(
                "compile",
                "a program has other results than its graph",
            ));
        }
        let guards = replay.graph.guards().to_vec();
        Ok((replay, guards))
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Types of the results, then of the values written to cells, for the sizes of a call.
    fn types(&self, fitting: &Fitting<'_>) -> Result<Cow<'_, [Arc<TensorType>]>> {
        if fitting.values.is_empty() {
            return Ok(Cow::Borrowed(&self.outputs));
        }
        let known = fitting.version.domain.assignment(&fitting.values);
        let each = { self.outputs.iter() }.map(|ty| known.tensor_type(ty).map(Arc::new));
        let all: Option<Vec<_>> = each.collect();
        all.map(Cow::Owned)
            .ok_or_else(|| internal("compile", "a result has an unknown size"))
    }

    /// Serves a call whose arguments' values are known, and adds its results; `false` if they are not.
    #[track_caller]
    pub fn call(
        &self,
        fitting: &Fitting<'_>,
        arguments: &[&Tensor],
        pool: &Pool,
        results: &mut Results,
    ) -> Result<bool> {
        let types = self.types(fitting)?;
        let mut inputs = Inputs::of(&self.program);
        let mut vacated = AllVacated::new();
        if !self.fill(&mut inputs, &mut vacated, fitting, &types, arguments, pool)? {
            return Ok(false);
        }
        let place = Place::here();
        let returned = self.outputs.len() - self.written.len();
        let mut number = 0;
        let ran = inputs.run_each(&fitting.values, pool, |value| {
            let ty = types[number].clone();
            match number.checked_sub(returned) {
                None => results.push(Tensor::leaf_at(place, ty, value)),
                Some(written) => self.enter(written, value, ty, place, &vacated),
            }
            number += 1;
        });
        ran.map_err(|e| self.called(e, fitting, place))?;
        Ok(true)
    }

    /// Gives a cell its next value.
    #[inline(never)]
    fn enter(
        &self,
        written: usize,
        value: Value,
        ty: Arc<TensorType>,
        place: Place,
        vacated: &AllVacated,
    ) {
        match vacated.iter().find(|v| v.written == written) {
            Some(vacated) => vacated.next.finish(value, History::Kept),
            None => self.written[written].settle(Tensor::leaf_at(place, ty, value)),
        }
    }

    /// An error of a run that was called at `place`. What knows no place inside the function belongs to the call.
    #[cold]
    fn called(&self, error: Error, fitting: &Fitting<'_>, place: Place) -> Error {
        let sizes = fitting.version.domain.assignment(&fitting.values);
        let error = engine::sized(error, &self.graph, &sizes);
        match error.location() {
            None => error.at(place),
            Some(_) => error,
        }
    }

    /// Gives the program what it runs on. Values of cells that are about to be replaced and that nobody else holds are
    /// lent to it. `false` if the value of an argument is not known.
    #[track_caller]
    fn fill(
        &self,
        inputs: &mut Inputs<'_>,
        vacated: &mut AllVacated,
        fitting: &Fitting<'_>,
        types: &[Arc<TensorType>],
        arguments: &[&Tensor],
        pool: &Pool,
    ) -> Result<bool> {
        // What a call changes it changes once, though it may have to be made again; of what the program does not read
        // nothing would be heard.
        let changes = !self.generators.is_empty() || !self.written.is_empty();
        let unheard = self.unread.iter().map(|n| arguments[*n]);
        let early = arguments.iter().copied().filter(|_| changes);
        if !early.chain(unheard).all(|a| a.is_realized()) {
            return Ok(false);
        }
        let each = self.generators.iter();
        let streams: Vec<(u64, u64)> = each
            .map(|(generator, draws)| generator.take_streams(*draws))
            .collect();
        let kept;
        let prepared: &[Value] = match &self.preparation {
            Some(preparation) => {
                kept = preparation.results(&fitting.accepted, pool)?;
                &kept
            }
            None => &[],
        };
        for source in &self.sources {
            inputs.keep(match source {
                Source::Argument(i) => {
                    if !inputs.keep_value_of(arguments[*i].node()?)? {
                        return Ok(false);
                    }
                    continue;
                }
                Source::Constant(value) => value.clone(),
                Source::Seed(i) => literal_buffer(word(streams[*i].0))?.into(),
                Source::Stream(i) => literal_buffer(word(streams[*i].1))?.into(),
                Source::Prepared(i) => prepared[*i].clone(),
                Source::Cell(i) => {
                    let value = value_of(&fitting.accepted[*i].realize()?)?;
                    match self.vacate(*i, fitting, types)? {
                        None => value,
                        Some(cell) => {
                            inputs.lend_for(value, cell.next.clone())?;
                            vacated.push(cell);
                            continue;
                        }
                    }
                }
            })?;
        }
        Ok(true)
    }

    /// Takes the value out of a cell, if that is about to be replaced by one of the same type and nobody else holds it.
    fn vacate(
        &self,
        cell: usize,
        fitting: &Fitting<'_>,
        types: &[Arc<TensorType>],
    ) -> Result<Option<Vacated>> {
        let Some(written) = self.rewritten[cell] else {
            return Ok(None);
        };
        let results = types.len() - self.written.len();
        let node = fitting.accepted[cell].node()?;
        if types[results + written] != node.ty {
            return Ok(None);
        }
        // The list of accepted values has one handle.
        let Some(next) = self.written[written].vacate(node, 1) else {
            return Ok(None);
        };
        node.spend();
        Ok(Some(Vacated { next, written }))
    }
}

/// Cells whose values were taken out.
type AllVacated = Vec<Vacated>;

/// A cell whose value may be overwritten by its next one.
struct Vacated {
    /// What the cell holds meanwhile.
    next: Arc<Node>,
    /// Which of the cells written it is.
    written: usize,
}

/// The value of a realised tensor.
pub(crate) fn value_of(tensor: &Tensor) -> Result<Value> {
    tensor.node()?.value().ok_or_else(without_value)
}

#[cold]
fn without_value() -> Error {
    internal("compile", "an input has no value")
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
