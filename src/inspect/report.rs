//! The one model of a program that is looked at: what it was after each stage, what scheduling decided,
//! its kernels and their times. Text, dot, JSON, HTML and explanations are all made from it.

use super::kernel::{KernelReport, LaunchReport};
use super::measure::Timer;
use super::stage::Stage;
use super::view::{BufferReport, GraphReport, Known};
use super::{dot, html, json, text, view};
use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use lazulite_codegen::{CodegenOptions, KernelText};
use lazulite_ir::{Graph, Symbol};
use lazulite_passes::memory::{Split, hoist};
use lazulite_passes::report::ScheduleReport;
use lazulite_passes::{Artifact, schedule_with_report};
use lazulite_runtime::Buffer;

/// How far a program is followed, and with which sizes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportOptions {
    /// The last stage; later ones are not carried out. [`Stage::Native`] unless said otherwise.
    pub until: Stage,
    /// Values of unknown sizes, for bytes, predictions and measurements.
    pub sizes: Vec<(String, i64)>,
    /// Run the program on random inputs and measure its kernels. All sizes must be known.
    pub measure: bool,
}

impl Default for ReportOptions {
    fn default() -> ReportOptions {
        ReportOptions {
            until: Stage::Native,
            sizes: Vec::new(),
            measure: false,
        }
    }
}

/// Forms in which a report can be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// For reading and, up to the stage before scheduling, for reading back.
    Text,
    /// For graphviz.
    Dot,
    /// For programs; see `docs/inspection.md`.
    Json,
    /// One file for a browser, with all stages; it needs no network.
    Html,
}

/// A program and what becomes of it.
///
/// ```
/// use lazulite::inspect::{Format, ReportOptions, Stage};
/// use lazulite::prelude::*;
/// let x = Tensor::ones([4, 8]);
/// let report = (x * 2.0).exp().sum(-1).report(&ReportOptions::default())?;
/// assert_eq!(report.kernels().len(), 1);
/// let scheduled = &report.graphs(Stage::Schedule)[0];
/// assert_eq!(scheduled.groups.len(), 1);
/// assert!(report.render(Stage::Canon, Format::Dot)?.starts_with("digraph"));
/// # Ok::<(), lazulite::Error>(())
/// ```
pub struct Report {
    pub(super) title: String,
    pub(super) notes: Vec<String>,
    pub(super) versions: Vec<String>,
    pub(super) known: Known,
    names: Vec<String>,
    graphs: Vec<(Stage, Graph)>,
    schedule: Option<(Split, ScheduleReport)>,
    /// The same with memory planned.
    memory: Option<Split>,
    /// By kernel: those of every run, then those of what is done once.
    texts: Vec<KernelText>,
    times: Option<Timer>,
}

/// A program before it is followed.
pub(crate) struct Subject {
    /// What it is called.
    pub title: String,
    /// All of it.
    pub graph: Graph,
    /// The part before gradients are taken, if they are.
    pub forward: Option<Graph>,
    /// Names of its parameters, where they have any.
    pub names: Vec<String>,
    /// Its unknown sizes.
    pub symbols: Vec<Symbol>,
    /// By parameter: its value, where that is known.
    pub values: Vec<Option<Buffer>>,
    /// By parameter: it has always this value, as weights have.
    pub constant: Vec<bool>,
    /// Why it was compiled, and compiled again.
    pub versions: Vec<String>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, "inspect", error.to_string())
}

impl Report {
    /// Follows a program.
    pub(crate) fn of(subject: Subject, options: &ReportOptions) -> Result<Report> {
        let known = Known::new(&subject.symbols, &options.sizes)?;
        let mut report = Report {
            title: subject.title,
            notes: Vec::new(),
            versions: subject.versions,
            known,
            names: subject.names,
            graphs: Vec::new(),
            schedule: None,
            memory: None,
            texts: Vec::new(),
            times: None,
        };
        match subject.forward {
            Some(forward) => {
                report.graphs.push((Stage::Trace, forward));
                report.graphs.push((Stage::Grad, subject.graph.clone()));
            }
            None => {
                report.graphs.push((Stage::Trace, subject.graph.clone()));
                let note = "The program takes no gradients: there is no stage grad.";
                report.notes.push(note.into());
            }
        }
        let until = match options.measure {
            true => Stage::Native,
            false => options.until,
        };
        report.rewrite(&subject.graph, until)?;
        if until >= Stage::Schedule {
            report.schedule(&subject.symbols, &subject.constant, until)?;
        }
        if until >= Stage::Native {
            report.compile()?;
        }
        if options.measure {
            let Report { memory, known, .. } = &report;
            let split = memory.as_ref();
            let times = split.map(|split| Timer::run(split, &subject.values, known));
            report.times = times.transpose()?;
        }
        Ok(report)
    }

    /// The stages from graph to graph.
    fn rewrite(&mut self, graph: &Graph, until: Stage) -> Result<()> {
        let last = { lazulite_passes::Stage::ALL.into_iter() }
            .take_while(|s| *s < lazulite_passes::Stage::Schedule)
            .take_while(|s| s.name().parse::<Stage>().is_ok_and(|s| s <= until))
            .last()
            .unwrap_or(lazulite_passes::Stage::Trace);
        let start = Artifact::Graph(graph.clone());
        let passes = engine::options().passes();
        let graphs = &mut self.graphs;
        let mut see = |stage: lazulite_passes::Stage, artifact: &Artifact| {
            if let (Ok(stage), Artifact::Graph(graph)) = (stage.name().parse(), artifact)
                && stage != Stage::Trace
            {
                graphs.push((stage, graph.clone()));
            }
        };
        lazulite_passes::run(
            start,
            lazulite_passes::Stage::Trace,
            last,
            &passes,
            &mut see,
        )
        .map_err(failed)?;
        Ok(())
    }

    /// The stages from graph to steps, for the program that runs: what depends on constant parameters alone apart.
    fn schedule(&mut self, symbols: &[Symbol], constant: &[bool], until: Stage) -> Result<()> {
        let passes = engine::options().passes();
        let Some((_, graph)) = self.graphs.last() else {
            return Ok(());
        };
        let scheduled = schedule_with_report(graph, &passes.schedule).map_err(failed)?;
        let (mut plan, report) = scheduled;
        plan.symbols = symbols.to_vec();
        let split = hoist(&plan, constant).map_err(failed)?;
        if until >= Stage::Memory {
            use lazulite_passes::Stage::{Memory, Schedule};
            let mut laid_out = split.clone();
            for plan in [&mut laid_out.prepare, &mut laid_out.main] {
                let start = Artifact::Plan(std::mem::take(plan));
                let done = lazulite_passes::run(start, Schedule, Memory, &passes, &mut |_, _| {});
                if let Artifact::Plan(done) = done.map_err(failed)? {
                    *plan = done;
                }
            }
            self.memory = Some(laid_out);
        }
        self.schedule = Some((split, report));
        Ok(())
    }

    /// The kernels' vector code and machine code.
    fn compile(&mut self) -> Result<()> {
        let codegen: CodegenOptions = engine::options().codegen();
        let Some(split) = &self.memory else {
            return Ok(());
        };
        let texts = split.main.kernels.iter().chain(&split.prepare.kernels);
        let texts = texts.map(|k| lazulite_codegen::inspect(k, &codegen));
        self.texts = texts
            .collect::<std::result::Result<_, _>>()
            .map_err(failed)?;
        Ok(())
    }

    /// The report under another title, such as the name of a file.
    pub fn with_title(mut self, title: &str) -> Report {
        self.title = title.to_string();
        self
    }

    /// What the program is called.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// What is to be said about the program, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Why each version of the program was compiled, in sentences; empty if none was.
    pub fn versions(&self) -> &[String] {
        &self.versions
    }

    /// The stages that the program went through.
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages: Vec<Stage> = self.graphs.iter().map(|(stage, _)| *stage).collect();
        stages.extend(self.schedule.as_ref().map(|_| Stage::Schedule));
        stages.extend(self.memory.as_ref().map(|_| Stage::Memory));
        stages.extend(self.memory.as_ref().map(|_| Stage::Kernel));
        let compiled = self.memory.as_ref().is_some_and(|split| {
            split.main.kernels.len() + split.prepare.kernels.len() == self.texts.len()
        });
        stages.extend(compiled.then_some(Stage::Native));
        stages
    }

    /// The program's graph after a stage, then the bodies of its operations. From [`Stage::Schedule`] on, nodes
    /// know the tasks that compute them. Empty for stages the program did not go through.
    pub fn graphs(&self, stage: Stage) -> Vec<GraphReport> {
        match &self.schedule {
            Some((split, report)) if !stage.is_graph() => {
                let numbers = super::kernel::numbers(split);
                view::scheduled(report, &numbers, &self.known, &self.names)
            }
            _ => match self.graph(stage) {
                Some(graph) => view::graphs(graph, &self.known, &self.names),
                None => Vec::new(),
            },
        }
    }

    /// The graph after a stage.
    pub(super) fn graph(&self, stage: Stage) -> Option<&Graph> {
        let found = self.graphs.iter().find(|(s, _)| *s == stage);
        found.map(|(_, graph)| graph)
    }

    /// An earlier stage after which the program was exactly the same.
    pub(super) fn same_as(&self, stage: Stage) -> Option<Stage> {
        let at = self.graphs.iter().position(|(s, _)| *s == stage)?;
        let before = self.graphs[..at].last()?;
        (before.1 == self.graphs[at].1).then_some(before.0)
    }

    /// The steps after a stage: those of every run, and those that are done once.
    pub(super) fn steps(&self, stage: Stage) -> Option<&Split> {
        match stage {
            Stage::Schedule => self.schedule.as_ref().map(|(split, _)| split),
            Stage::Memory | Stage::Kernel | Stage::Native => self.memory.as_ref(),
            Stage::Trace
            | Stage::Grad
            | Stage::Inline
            | Stage::Canon
            | Stage::Egraph
            | Stage::Complex => None,
        }
    }

    /// What scheduling decided.
    pub(super) fn scheduling(&self) -> Option<&ScheduleReport> {
        self.schedule.as_ref().map(|(_, report)| report)
    }

    /// The steps as far as they were followed.
    pub(super) fn last_steps(&self) -> Option<&Split> {
        self.memory.as_ref().or(self.steps(Stage::Schedule))
    }

    pub(super) fn kernel_texts(&self) -> &[KernelText] {
        &self.texts
    }

    pub(super) fn times(&self) -> Option<&Timer> {
        self.times.as_ref()
    }

    /// The distinct kernels.
    pub fn kernels(&self) -> Vec<KernelReport> {
        super::kernel::kernels(self)
    }

    /// The steps that do work, in order, those that are done once among the others.
    pub fn launches(&self) -> Vec<LaunchReport> {
        super::kernel::launches(self)
    }

    /// The buffers of the memory planned for a run.
    pub fn buffers(&self) -> Vec<BufferReport> {
        let split = self.memory.as_ref();
        split.map_or_else(Vec::new, |split| view::buffers(&split.main, &self.known))
    }

    /// The report in a form for reading. HTML shows all stages, beginning with this one.
    ///
    /// # Errors
    /// When the program has no such stage; the message says why.
    pub fn render(&self, stage: Stage, format: Format) -> Result<String> {
        if !self.stages().contains(&stage) {
            return Err(self.missing(stage));
        }
        Ok(match format {
            Format::Text => text::render(self, stage),
            Format::Dot => dot::render(self, stage),
            Format::Json => json::render(self, &[stage]),
            Format::Html => html::render(self, stage),
        })
    }

    fn missing(&self, stage: Stage) -> Error {
        let error = |message| Error::new(ErrorKind::Argument, "dump", message);
        if stage == Stage::Grad {
            // Reports may have been stopped right here, so their stages are no advice.
            let error = error("the program takes no gradients, so it has no stage grad");
            return error.hint(
                "exported models only infer; a report of `grad`'s results has it, every program has \
                 `trace` and `canon`",
            );
        }
        let error = error("the program was not followed to this stage");
        let names: Vec<&str> = self.stages().iter().map(|s| s.name()).collect();
        error.hint(format!("its stages are {}", names.join(", ")))
    }
}

/// The title, and how many operations and kernels there are.
impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("title", &self.title)
            .field("stages", &self.stages())
            .finish_non_exhaustive()
    }
}
