//! Functions written out: recorded once with unknown sizes, with the tensors they use as weights, kept in a
//! file, run, or made into an executable.

mod demo;
mod file;
mod object;
mod program;
mod spec;

pub use demo::Demo;
pub use spec::{Spec, SpecSize};

use crate::compile::{self, Captured, Halves, Outputs};
use crate::device::Places;
use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::inspect::{self, Format, Report, ReportOptions, Stage, Subject};
use crate::location::Place;
use crate::tensor::{Tensor, internal};
use lazulite_codegen::signature;
use lazulite_ir::{Custom, Graph, Op, Source, Symbol, TensorType, check_readable};
use lazulite_runtime::{self as runtime, Buffer, Interface, Metadata, Model, Port};
use program::{Deployed, called_at};
use rustc_hash::FxHashSet;
use std::sync::{Arc, Mutex, OnceLock};

/// A function with its weights, independent of the program that made it.
///
/// It can be saved and loaded, run with any sizes that its [`Spec`]s leave open, and made into an executable
/// that needs nothing where it runs.
pub struct Exported {
    graph: Graph,
    symbols: Vec<Symbol>,
    /// Its sources are those of the graph's parameters.
    interface: Interface,
    weights: Vec<Buffer>,
    metadata: Metadata,
    /// Compiled for this process when it is first run.
    model: OnceLock<Result<Model>>,
    /// The same on other devices.
    deployed: Mutex<Vec<Arc<Deployed>>>,
}

/// Records `function` for inputs as `specs` describe them. It must compute its results from its inputs, and from
/// tensors that it captures, by tensor operations alone; the captured tensors become weights.
///
/// ```
/// use lazulite::prelude::*;
/// use lazulite::spec;
/// let w = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2]);
/// let exported = lazulite::export(|[x]| x.matmul(&w).relu(), &[spec!(f32["batch", 2])])?;
/// let x = Tensor::from_vec(vec![1.0f32, -1.0], [1, 2]);
/// assert_eq!(exported.run(&[&x])?[0].to_vec::<f32>()?, [0.0, 0.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// # Errors
/// The first error among the results, and what no file can hold: closures of this process, writes to cells,
/// draws from random generators, functions nested too deeply, and sizes that are too long.
#[track_caller]
pub fn export<F, O, const N: usize>(function: F, specs: &[Spec; N]) -> Result<Exported>
where
    F: FnOnce([&Tensor; N]) -> O,
    O: Outputs,
{
    let place = Place::here();
    if engine::capturing() {
        let message = "a function that is being captured cannot export another one";
        return Err(Error::new(ErrorKind::Capture, "export", message).at(place));
    }
    let types = specs.iter().map(Spec::tensor_type);
    let types: Vec<TensorType> = types.collect::<Result<_>>().map_err(|e| e.at(place))?;
    let halves = Halves::Joined;
    // It leaves this process, so its parameters are tied to no device of it.
    let anywhere = types.iter().map(|ty| (ty.clone(), Places::NONE)).collect();
    let captured = compile::capture("export", anywhere, place, halves, |parameters| {
        let all: Vec<&Tensor> = parameters.iter().collect();
        let Ok(parameters) = <[&Tensor; N]>::try_from(all) else {
            let message = "another number of parameters was expected";
            return Err(internal("export", message));
        };
        Ok(function(parameters).into_tensors())
    })?;
    exported(captured, specs, &types).map_err(|e| called_at(e, place))
}

/// The function as it can leave this process.
fn exported(captured: Captured, specs: &[Spec], types: &[TensorType]) -> Result<Exported> {
    refuse_state(&captured)?;
    refuse_closures(&captured.graph)?;
    refuse_unreadable(&captured.graph)?;
    let Captured {
        graph,
        forward: _,
        sources,
        outputs,
        device: _,
        state,
    } = captured;
    let symbols = spec::symbols(types);
    let port = |name: String, ty: &TensorType| {
        let ty = signature(ty, &symbols).map_err(|e| internal("export", &e.to_string()))?;
        Ok(Port { name, ty })
    };
    let mut interface = Interface {
        symbols: symbols.iter().map(|s| s.0.to_string()).collect(),
        ..Interface::default()
    };
    for (i, (spec, ty)) in specs.iter().zip(types).enumerate() {
        interface
            .inputs
            .push(port(spec.name_or(i, specs.len()), ty)?);
    }
    for (i, ty) in outputs.iter().enumerate() {
        let name = spec::numbered("output", i, outputs.len());
        interface.outputs.push(port(name, ty)?);
    }
    let cells: Vec<_> = state.cells_read().collect();
    let mut weights = Vec::new();
    let mut taken = FxHashSet::default();
    for (source, id) in sources.into_iter().zip(graph.inputs()) {
        let mut given = None;
        let value = match source {
            compile::Source::Argument(n) => {
                interface.sources.push(runtime::Source::Argument(n as u32));
                continue;
            }
            compile::Source::Constant(value) => value.to_host()?,
            compile::Source::Cell(n) => {
                given = cells[n].0.name();
                compile::host_value_of(&cells[n].0.content().realize()?)?
            }
            // Refused above.
            compile::Source::Seed(_) | compile::Source::Stream(_) => {
                return Err(internal("export", "a random generator was not refused"));
            }
            // What is recorded has not been cut in two.
            compile::Source::Prepared(_) => {
                return Err(internal("export", "a parameter was computed before"));
            }
        };
        let number = weights.len() as u32;
        interface.sources.push(runtime::Source::Weight(number));
        let name = weight_name(given, number, &mut taken);
        interface.weights.push(port(name, graph.tensor_type(*id))?);
        weights.push(value);
    }
    distinct_names(&interface)?;
    Ok(Exported {
        graph,
        symbols,
        interface,
        weights,
        metadata: Metadata::default(),
        model: OnceLock::new(),
        deployed: Mutex::default(),
    })
}

/// The path of a parameter in its model; what has none, or shares its path with another model's, is numbered.
fn weight_name(given: Option<&str>, number: u32, taken: &mut FxHashSet<String>) -> String {
    let given = given.filter(|name| !name.is_empty());
    let name = match given.map(str::to_owned) {
        Some(name) if !taken.contains(&name) => name,
        Some(name) => format!("{name}#{number}"),
        None => format!("weight{number}"),
    };
    taken.insert(name.clone());
    name
}

/// Programs that leave the process compute from their inputs alone.
fn refuse_state(captured: &Captured) -> Result<()> {
    let error = |message: &str| Error::new(ErrorKind::Unsupported, "export", message);
    if let Some((_, value)) = captured.state.written.first() {
        let error = error("the function writes to a cell; an exported program has no state")
            .hint("call `model.eval()` before: then statistics are only read");
        return Err(match value.node() {
            Ok(node) => error.at(node.place),
            Err(_) => error,
        });
    }
    if !captured.state.generators().is_empty() {
        return Err(
            error("the function draws random numbers; an exported program has no state")
                .hint("call `model.eval()` before, where dropout draws nothing, or pass random tensors in"),
        );
    }
    Ok(())
}

/// Closures live in this process only. The first one in the graph is named, with its line.
fn refuse_closures(graph: &Graph) -> Result<()> {
    let Some((name, source)) = first_closure(graph) else {
        return Ok(());
    };
    let message = format!("{name} is a closure of this process, which no file can hold");
    Err(Error::new(ErrorKind::Unsupported, "export", message)
        .located(place(source))
        .hint("express it in tensor operations"))
}

/// What is saved must be loaded again, and files hold graphs as text, which has limits.
fn refuse_unreadable(graph: &Graph) -> Result<()> {
    check_readable(graph).map_err(|unreadable| {
        let message = format!("no file can hold the function: {}", unreadable.message);
        Error::new(ErrorKind::Unsupported, "export", message)
            .located(place(unreadable.source.as_ref()))
    })
}

/// Where something was recorded; empty if nobody knows.
fn place(source: Option<&Arc<Source>>) -> String {
    source.map_or_else(String::new, |s| s.place())
}

/// The name of the first closure that a graph calls, and where that was recorded.
fn first_closure(graph: &Graph) -> Option<(&str, Option<&Arc<Source>>)> {
    let mut graphs: Vec<(&Graph, Option<&Arc<Source>>)> = vec![(graph, None)];
    let mut seen: FxHashSet<*const Graph> = FxHashSet::default();
    while let Some((graph, outer)) = graphs.pop() {
        for (id, node) in graph.ids().zip(graph.nodes()) {
            let source = graph.source(id).or(outer);
            let regions = node.op.regions().into_iter();
            for (_, region) in regions.filter(|(_, r)| seen.insert(Arc::as_ptr(r))) {
                graphs.push((region, source));
            }
            if let Op::Custom { target, .. } = &node.op
                && let Custom::Host(name, _) = target
            {
                return Some((name, source));
            }
        }
    }
    None
}

/// Files and command lines find inputs and results by name.
fn distinct_names(interface: &Interface) -> Result<()> {
    for ports in [&interface.inputs, &interface.outputs] {
        let mut names = FxHashSet::default();
        if let Some(port) = ports.iter().find(|port| !names.insert(port.name.as_str())) {
            let message = format!("the name {:?} is given twice", port.name);
            return Err(Error::new(ErrorKind::Argument, "export", message));
        }
    }
    Ok(())
}

impl Exported {
    /// The same with names for the results, which files and command lines show.
    ///
    /// # Errors
    /// When there are more or fewer results than names, or a name occurs twice.
    pub fn with_output_names<const M: usize>(mut self, names: [&str; M]) -> Result<Exported> {
        let found = self.interface.outputs.len();
        if found != M {
            let message = format!("{M} names for {found} results");
            return Err(Error::new(ErrorKind::Argument, "export", message));
        }
        for (port, name) in self.interface.outputs.iter_mut().zip(names) {
            port.name = name.to_owned();
        }
        distinct_names(&self.interface)?;
        self.model = OnceLock::new();
        self.deployed = Mutex::default();
        Ok(self)
    }

    /// Names and types of the inputs, such as `("x", "f32[batch, 784]")`.
    pub fn inputs(&self) -> Vec<(String, String)> {
        self.described(&self.interface.inputs)
    }

    /// Names and types of the results.
    pub fn outputs(&self) -> Vec<(String, String)> {
        self.described(&self.interface.outputs)
    }

    fn described(&self, ports: &[Port]) -> Vec<(String, String)> {
        let describe = |port: &Port| (port.name.clone(), self.interface.describe(&port.ty));
        ports.iter().map(describe).collect()
    }

    /// Names and types of the weights. Parameters and buffers of modules are called by their paths, as in a
    /// state dictionary.
    ///
    /// ```
    /// use lazulite::nn::{Layer, Linear, Module};
    /// let model = Linear::new(3, 2);
    /// model.eval();
    /// let exported = lazulite::export(|[x]| model.forward(x), &[lazulite::spec!(f32["n", 3])])?;
    /// let mut names: Vec<String> = exported.weights().into_iter().map(|(name, _)| name).collect();
    /// names.sort();
    /// assert_eq!(names, ["bias", "weight"]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    pub fn weights(&self) -> Vec<(String, String)> {
        self.described(&self.interface.weights)
    }

    /// A weight as a tensor.
    pub fn weight(&self, name: &str) -> Option<Tensor> {
        let mut ports = self.interface.weights.iter().zip(&self.weights);
        let (port, value) = ports.find(|(port, _)| port.name == name)?;
        weight_of(port, value)
    }

    /// Names of the sizes that are left open.
    pub fn size_names(&self) -> &[String] {
        &self.interface.symbols
    }

    /// Bytes of all weights together.
    pub fn weight_bytes(&self) -> usize {
        self.weights.iter().map(Buffer::len).sum()
    }

    /// The function followed to machine code.
    ///
    /// # Errors
    /// When it cannot be compiled so far, or a size that is given is not its own.
    pub fn report(&self, options: &ReportOptions) -> Result<Report> {
        let weight = |source: &runtime::Source| match source {
            runtime::Source::Argument(_) => None,
            runtime::Source::Weight(n) => self.weights.get(*n as usize).cloned(),
        };
        let name = |source: &runtime::Source| match source {
            runtime::Source::Argument(n) => self.interface.inputs[*n as usize].name.clone(),
            runtime::Source::Weight(n) => self.interface.weights[*n as usize].name.clone(),
        };
        let sources = &self.interface.sources;
        let values: Vec<Option<Buffer>> = sources.iter().map(weight).collect();
        let subject = Subject {
            title: "exported function".into(),
            graph: self.graph.clone(),
            forward: None,
            symbols: self.symbols.clone(),
            names: sources.iter().map(name).collect(),
            constant: values.iter().map(Option::is_some).collect(),
            values,
            versions: Vec::new(),
        };
        Report::of(subject, options)
    }

    /// The program as text after a stage.
    ///
    /// # Errors
    /// When the graph cannot be compiled so far.
    pub fn dump(&self, stage: Stage) -> Result<String> {
        self.report(&inspect::until(stage))?
            .render(stage, Format::Text)
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }
}

impl std::fmt::Debug for Exported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exported")
            .field("inputs", &self.inputs())
            .field("outputs", &self.outputs())
            .finish_non_exhaustive()
    }
}

/// A weight in a file as a tensor.
#[track_caller]
pub(crate) fn weight_of(port: &Port, value: &Buffer) -> Option<Tensor> {
    let dims = port.ty.dims.iter().map(|d| d.as_constant());
    let dims = dims.map(|d| Some(lazulite_ir::Dim::constant(d?)));
    let dims = dims.collect::<Option<Vec<_>>>()?;
    let dtype = crate::files::dtype(port.ty.element).ok()?;
    Some(Tensor::leaf(TensorType::new(dtype, dims), value.clone()))
}
