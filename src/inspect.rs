//! Looking inside: what a program is after every stage on its way to machine code, and why.
//!
//! A [`Report`] follows a program and is the one model that everything shown is made from: text, dot, JSON, a
//! page for a browser ([`Format`]), and [`Explanation`]s. Tensors ([`Tensor::report`]), compiled functions
//! ([`crate::Compiled::report`]), exported ones ([`crate::Exported::report`]) and graphs as text
//! ([`report_text`]) all have one. `docs/inspection.md` shows it.

mod dot;
mod explain;
mod file;
mod html;
pub(crate) mod json;
mod kernel;
mod layout;
mod measure;
mod order;
mod program;
mod report;
mod stage;
mod text;
mod view;

pub use explain::Explanation;
pub use file::{FileReport, Statistics, TensorReport, file};
pub use json::SCHEMA;
pub use kernel::{KernelReport, LaunchReport};
pub use lazulite_codegen::Instruction;
pub use program::Program;
pub(crate) use report::Subject;
pub use report::{Format, Report, ReportOptions};
pub use stage::Stage;
pub use view::{
    BufferReport, CutReport, GraphReport, GroupReport, NodeReport, Scheduled, SourceReport,
};

use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{Node, Tensor};
use lazulite_ir::{Dim, Graph, Symbol, parse_graph};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What computing `tensors` would run, as text, after a stage. Computes nothing.
///
/// ```
/// use lazulite::prelude::*;
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// let text = lazulite::dump(&[&(&x * 2.0).exp()], lazulite::Stage::Trace)?;
/// assert!(text.contains("exp"));
/// # Ok::<(), lazulite::Error>(())
/// ```
pub fn dump(tensors: &[&Tensor], stage: Stage) -> Result<String> {
    report(tensors, &until(stage))?.render(stage, Format::Text)
}

/// A graph given as text (the `.lzt` format), after a stage.
pub fn dump_text(text: &str, stage: Stage) -> Result<String> {
    report_text(text, &until(stage))?.render(stage, Format::Text)
}

/// Why the program that computes `tensors` looks as it does: what is fused and what is not, and why each of its
/// versions was compiled so far. Computes nothing.
///
/// ```
/// use lazulite::prelude::*;
/// let sum = |n: usize| Tensor::ones([n]).sum(..);
/// sum(4).item::<f32>()?;
/// sum(5).item::<f32>()?;
/// let why = lazulite::explain(&[&sum(6)])?;
/// assert!(why.versions[1].contains("was 4 and is 5"), "{why}");
/// # Ok::<(), lazulite::Error>(())
/// ```
pub fn explain(tensors: &[&Tensor]) -> Result<Explanation> {
    Ok(report(tensors, &until(Stage::Schedule))?.explain())
}

/// Follows the program that computes `tensors`. Computes nothing, unless it is to be measured.
pub fn report(tensors: &[&Tensor], options: &ReportOptions) -> Result<Report> {
    let nodes: Vec<Arc<Node>> = { tensors.iter() }
        .map(|t| t.node().cloned())
        .collect::<Result<_>>()?;
    let traced = engine::traced(&nodes)?;
    let results: Vec<String> = nodes.iter().map(|n| n.ty.to_string()).collect();
    let subject = Subject {
        title: format!("program for {}", results.join(", ")),
        versions: engine::explain(&nodes),
        constant: vec![false; traced.values.len()],
        forward: traced.forward,
        values: traced.values,
        graph: traced.graph,
        names: Vec::new(),
        symbols: Vec::new(),
    };
    Report::of(subject, options)
}

/// Follows a graph given as text (the `.lzt` format).
pub fn report_text(text: &str, options: &ReportOptions) -> Result<Report> {
    let graph = parse(text)?;
    let subject = Subject {
        title: "program".into(),
        versions: Vec::new(),
        constant: vec![false; graph.inputs().len()],
        values: vec![None; graph.inputs().len()],
        forward: None,
        names: Vec::new(),
        symbols: symbols_of(&graph),
        graph,
    };
    Report::of(subject, options)
}

/// Bytes of an executable besides its program and weights, by what programs need of it (nothing further, for the
/// first), the smallest first; or why this build cannot write such executables.
pub fn executable_bytes() -> [(&'static str, std::result::Result<usize, &'static str>); 3] {
    lazulite_stub::Variant::ALL.map(|variant| {
        let bytes = lazulite_stub::executable(variant).map(<[u8]>::len);
        (variant.extra(), bytes)
    })
}

/// Nothing beyond `stage`.
pub(crate) fn until(stage: Stage) -> ReportOptions {
    ReportOptions {
        until: stage,
        ..ReportOptions::default()
    }
}

impl Tensor {
    /// The program that computes this tensor, followed to machine code. Computes nothing, unless it is to be
    /// measured.
    ///
    /// # Errors
    /// When the tensor carries an error, or its program cannot be compiled.
    pub fn report(&self, options: &ReportOptions) -> Result<Report> {
        report(&[self], options)
    }
}

fn parse(text: &str) -> Result<Graph> {
    parse_graph(text).map_err(|e| Error::new(ErrorKind::Argument, "parse", e.to_string()))
}

/// The unknown sizes of a graph, in alphabetical order.
fn symbols_of(graph: &Graph) -> Vec<Symbol> {
    let mut names = BTreeSet::new();
    let mut graphs = vec![graph];
    while let Some(graph) = graphs.pop() {
        for node in graph.nodes() {
            let mut collect = |s: &Symbol| {
                names.insert(s.clone());
            };
            node.op
                .visit_dims(&mut |d: &Dim| d.visit_symbols(&mut collect));
            let bodies = node.op.regions().into_iter();
            graphs.extend(bodies.map(|(_, body)| &**body));
        }
    }
    names.into_iter().collect()
}
