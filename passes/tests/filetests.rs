//! Text in, stages, text out: every file under `tests/filetests`.
//!
//! A file begins with comment lines that say what to do, then comes a graph or kernel, then `----` on a
//! line of its own, then the expected output:
//!
//! ```text
//! ; passes: canon, interp
//! ; input: f32[2] [1.0, -0.0]
//! graph(%0: f32[2]) {
//!   return %0
//! }
//! ----
//! f32[2] [1.0, -0.0]
//! ```
//!
//! `passes` names the stages, first to last: those of the pipeline, and those in [`STAGES`]. `input` lines give the parameters and `size: n = 3` lines the sizes
//! that parameters do not tell, both for `interp`. `axes: 0, none, 1` says along which axis `vmap`
//! finds the batch in each parameter, of size `B`; without it that is the first one of all. Where a stage fails its error is the output; lines
//! and columns in it are those of the file. With `BLESS=1` the expected output is rewritten; with
//! `FILETEST=name` only files whose path contains the name are run.
//!
//! What comes out of any stage must print, parse and print to the same text.

use lazulite_ir::{
    Array, Binary, Dim, Environment, EvalMode, Graph, Kernel, NodeId, Op, Plan, Scalar, Symbol,
    TensorType, Unary, eval_plan, interpret, parse_graph, parse_kernel, print_graph_with_sources,
    verify_graph, verify_kernel, verify_plan,
};
use lazulite_passes::autodiff::{AutodiffError, NoRules, Seed, jvp, vjp};
use lazulite_passes::batch::{Randomness, vmap};
use lazulite_passes::{Numerics, Options, pipeline};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What stages work on.
enum Artifact {
    Graph(Graph),
    Kernel(Kernel),
    Plan(Plan),
    /// The end: only to be printed.
    Text(String),
}

type Stage = fn(&Artifact, &Case) -> Result<Artifact, String>;

/// The stages that are not in the pipeline.
const STAGES: &[(&str, Stage)] = &[
    ("parse", |artifact, _| Ok(artifact.copy())),
    ("verify", |artifact, _| verified(artifact.copy())),
    ("sources", sources),
    ("interp", interp),
    ("vjp", |artifact, _| differentiated(artifact, reverse)),
    ("jvp", |artifact, _| differentiated(artifact, forward)),
    ("vmap", batched),
    ("egraph-algebra", |artifact, _| {
        let options = Options {
            numerics: Numerics::Algebra,
            ..Options::default()
        };
        in_pipeline(pipeline::Stage::Egraph, artifact, &options)
    }),
    ("schedule-unfused", |artifact, _| {
        let mut options = Options::default();
        options.schedule.fuse = false;
        in_pipeline(pipeline::Stage::Schedule, artifact, &options)
    }),
];

fn run_stage(name: &str, artifact: &Artifact, case: &Case) -> Result<Artifact, String> {
    if let Some((_, stage)) = STAGES.iter().find(|(known, _)| *known == name) {
        return stage(artifact, case);
    }
    let stage = pipeline::Stage::from_name(name);
    let stage = stage.unwrap_or_else(|| panic!("no stage `{name}`"));
    in_pipeline(stage, artifact, &Options::default())
}

/// Runs one stage of the pipeline.
fn in_pipeline(
    stage: pipeline::Stage,
    artifact: &Artifact,
    options: &Options,
) -> Result<Artifact, String> {
    let start = match artifact {
        Artifact::Graph(graph) => pipeline::Artifact::Graph(graph.clone()),
        Artifact::Plan(plan) => pipeline::Artifact::Plan(plan.clone()),
        Artifact::Kernel(_) | Artifact::Text(_) => panic!("a pass needs a graph or plan"),
    };
    let before = pipeline::Stage::ALL.into_iter().rfind(|s| *s < stage);
    let before = before.unwrap_or(stage);
    let result = pipeline::run(start, before, stage, options, &mut |_, _| {});
    verified(match result.map_err(|e| e.to_string())? {
        pipeline::Artifact::Graph(graph) => Artifact::Graph(graph),
        pipeline::Artifact::Plan(plan) => Artifact::Plan(plan),
    })
}

fn verified(artifact: Artifact) -> Result<Artifact, String> {
    let found = match &artifact {
        Artifact::Graph(graph) => verify_graph(graph),
        Artifact::Kernel(kernel) => verify_kernel(kernel),
        Artifact::Plan(plan) => verify_plan(plan),
        Artifact::Text(_) => Ok(()),
    };
    found.map_err(|e| e.to_string())?;
    Ok(artifact)
}

fn differentiated(
    artifact: &Artifact,
    mode: fn(&Graph) -> Result<Graph, AutodiffError>,
) -> Result<Artifact, String> {
    let Artifact::Graph(graph) = artifact else {
        panic!("derivatives are taken of graphs");
    };
    let derivative = mode(graph).map_err(|e| e.to_string())?;
    verified(Artifact::Graph(derivative))
}

fn has_derivative(graph: &Graph, id: NodeId) -> bool {
    let dtype = graph.tensor_type(id).dtype;
    dtype.is_inexact()
}

/// The graph with the gradients of the sum of all results, for all parameters.
fn reverse(graph: &Graph) -> Result<Graph, AutodiffError> {
    let seed = |&id: &NodeId| match has_derivative(graph, id) {
        true => Seed::One,
        false => Seed::None,
    };
    let seeds: Vec<Seed> = graph.outputs().iter().map(seed).collect();
    let inputs = graph.inputs().iter().copied();
    let wrt: Vec<NodeId> = inputs.filter(|&i| has_derivative(graph, i)).collect();
    Ok(vjp(graph, &seeds, &wrt, &NoRules)?.graph)
}

/// The graph with the tangents of all results, along ones for all parameters.
fn forward(graph: &Graph) -> Result<Graph, AutodiffError> {
    let inputs = graph.inputs().iter().copied();
    let moving = inputs.filter(|&i| has_derivative(graph, i));
    let along: Vec<(NodeId, Seed)> = moving.map(|i| (i, Seed::One)).collect();
    Ok(jvp(graph, &along, &NoRules)?.graph)
}

/// The graph for a batch of `B` elements, which have random draws of their own.
fn batched(artifact: &Artifact, case: &Case) -> Result<Artifact, String> {
    let Artifact::Graph(graph) = artifact else {
        panic!("`vmap` needs a graph");
    };
    let axes = match &case.axes {
        Some(axes) => axes.clone(),
        None => vec![Some(0); graph.inputs().len()],
    };
    let new = vmap(graph, &axes, &Dim::symbol("B"), Randomness::Different);
    verified(Artifact::Graph(new.map_err(|e| e.to_string())?.graph))
}

fn sources(artifact: &Artifact, _: &Case) -> Result<Artifact, String> {
    match artifact {
        Artifact::Graph(graph) => Ok(Artifact::Text(print_graph_with_sources(graph))),
        _ => panic!("`sources` needs a graph"),
    }
}

/// Runs graphs and plans; plans in every mode, which must all give the same.
fn interp(artifact: &Artifact, case: &Case) -> Result<Artifact, String> {
    let results = match artifact {
        Artifact::Graph(graph) => {
            let types = graph.inputs().iter().map(|i| graph.tensor_type(*i));
            let sizes = case.sizes(types);
            let sizes = |s: &Symbol| sizes.get(s).copied();
            interpret(graph, &case.inputs, &sizes).map_err(|e| e.to_string())?
        }
        Artifact::Plan(plan) => run_plan(plan, case)?,
        _ => panic!("`interp` needs a graph or plan"),
    };
    let lines = results
        .iter()
        .map(|array| format!("{}\n", without_payloads(array)));
    Ok(Artifact::Text(lines.collect()))
}

/// The results of a plan, the same in every mode.
fn run_plan(plan: &Plan, case: &Case) -> Result<Vec<Array>, String> {
    let sizes = case.sizes(&plan.inputs);
    let environment = Environment {
        sizes: &|s| sizes.get(s).copied(),
        foreign: &|_| None,
    };
    let lifetimes_are_known = plan.buffers.iter().any(|b| b.live != (0, 0));
    let run = |mode| eval_plan(plan, &case.inputs, environment, mode);
    let results = run(EvalMode::default()).map_err(|e| e.to_string())?;
    for mode in EvalMode::all().filter(|mode| lifetimes_are_known || !mode.packed) {
        assert_eq!(run(mode).as_ref(), Ok(&results), "{mode:?}");
    }
    Ok(results)
}

/// The array with one NaN for all: which one an operation makes differs between machines.
fn without_payloads(array: &Array) -> Array {
    let canonical = |x: f64| if x.is_nan() { f64::NAN } else { x };
    let values = array.scalars().map(|value| match value.as_complex() {
        (re, im) if re.is_nan() || im.is_nan() => {
            Scalar::from_complex(value.dtype(), canonical(re), canonical(im))
        }
        _ => value,
    });
    let values: Vec<Scalar> = values.collect();
    Array::from_scalars(array.dtype, &array.dims, &values).unwrap()
}

impl Artifact {
    fn parse(text: &str) -> Result<Artifact, String> {
        let code = text.lines().map(str::trim_start);
        let first = code
            .into_iter()
            .find(|l| !l.is_empty() && !l.starts_with(';'));
        if first.is_some_and(|l| l.starts_with("kernel")) {
            let kernel = parse_kernel(text).map_err(|e| e.to_string())?;
            Ok(Artifact::Kernel(kernel))
        } else {
            let graph = parse_graph(text).map_err(|e| e.to_string())?;
            Ok(Artifact::Graph(graph))
        }
    }

    fn copy(&self) -> Artifact {
        match self {
            Artifact::Graph(graph) => Artifact::Graph(graph.clone()),
            Artifact::Kernel(kernel) => Artifact::Kernel(kernel.clone()),
            Artifact::Plan(plan) => Artifact::Plan(plan.clone()),
            Artifact::Text(text) => Artifact::Text(text.clone()),
        }
    }

    /// The text, after checking that it stands for the artifact.
    fn print(&self) -> String {
        match self {
            Artifact::Graph(graph) => {
                let text = graph.to_string();
                assert_eq!(parse_graph(&text).as_ref(), Ok(graph), "{text}");
                text
            }
            Artifact::Kernel(kernel) => {
                let text = kernel.to_string();
                assert_eq!(parse_kernel(&text).as_ref(), Ok(kernel), "{text}");
                text
            }
            Artifact::Plan(plan) => plan.to_string(),
            Artifact::Text(text) => text.clone(),
        }
    }
}

/// A file.
struct Case {
    passes: Vec<String>,
    inputs: Vec<Array>,
    sizes: HashMap<Symbol, i64>,
    axes: Option<Vec<Option<usize>>>,
    /// All before the separator.
    given: String,
    expected: Option<String>,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = std::fs::read_to_string(path).unwrap();
        let (given, expected) = match text.split_once("\n----\n") {
            Some((given, expected)) => (format!("{given}\n"), Some(expected.to_string())),
            None => (text, None),
        };
        let mut case = Case {
            passes: Vec::new(),
            inputs: Vec::new(),
            sizes: HashMap::new(),
            axes: None,
            given: String::new(),
            expected,
        };
        for line in given.lines().filter_map(|l| l.strip_prefix("; ")) {
            case.header(line);
        }
        assert!(!case.passes.is_empty(), "no `; passes:` line");
        case.given = given;
        case
    }

    fn header(&mut self, line: &str) {
        if let Some(names) = line.strip_prefix("passes: ") {
            self.passes = names.split(", ").map(str::to_string).collect();
        } else if let Some(array) = line.strip_prefix("input: ") {
            self.inputs
                .push(array.parse().unwrap_or_else(|e| panic!("{line}: {e}")));
        } else if let Some(size) = line.strip_prefix("size: ") {
            let (name, value) = size.split_once(" = ").expect("`size: name = value`");
            self.sizes.insert(Symbol::new(name), value.parse().unwrap());
        } else if let Some(axes) = line.strip_prefix("axes: ") {
            let axis = |axis: &str| (axis != "none").then(|| axis.parse().unwrap());
            self.axes = Some(axes.split(", ").map(axis).collect());
        }
    }

    /// The sizes that are stated, and those that the inputs tell.
    fn sizes<'a>(&self, types: impl IntoIterator<Item = &'a TensorType>) -> HashMap<Symbol, i64> {
        let mut sizes = self.sizes.clone();
        for (ty, array) in types.into_iter().zip(&self.inputs) {
            for (dim, size) in ty.dims.iter().zip(&array.dims) {
                if let Some(symbol) = dim.as_symbol() {
                    sizes.entry(symbol.clone()).or_insert(*size as i64);
                }
            }
        }
        sizes
    }

    fn output(&self) -> String {
        let run = || {
            let mut artifact = Artifact::parse(&self.given)?;
            artifact.print();
            for name in &self.passes {
                artifact = run_stage(name, &artifact, self)?;
            }
            Ok::<_, String>(artifact.print())
        };
        run().unwrap_or_else(|error| format!("error: {}\n", error.trim_end()))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/filetests")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "lzt") {
            found.push(path);
        }
    }
}

fn all_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    found.sort();
    found
}

/// Expected and actual lines, where they differ.
fn difference(expected: &str, got: &str) -> String {
    let (mut old, mut new) = (expected.lines(), got.lines());
    let mut out = String::new();
    loop {
        match (old.next(), new.next()) {
            (None, None) => return out,
            (a, b) if a == b => writeln!(out, "    {}", a.unwrap_or_default()).unwrap(),
            (a, b) => {
                for (mark, line) in [('-', a), ('+', b)] {
                    if let Some(line) = line {
                        writeln!(out, "  {mark} {line}").unwrap();
                    }
                }
            }
        }
    }
}

#[test]
fn files_give_what_they_expect() {
    let bless = std::env::var_os("BLESS").is_some_and(|v| v == "1");
    let only = std::env::var("FILETEST").unwrap_or_default();
    let (mut run, mut failed) = (0, String::new());
    for path in all_files() {
        if !path.to_string_lossy().contains(&only) {
            continue;
        }
        run += 1;
        let result = std::panic::catch_unwind(|| {
            let case = Case::read(&path);
            let output = case.output();
            (case, output)
        });
        let Ok((case, output)) = result else {
            writeln!(failed, "{}: panicked, see above", path.display()).unwrap();
            continue;
        };
        if case.expected.as_ref() == Some(&output) {
            continue;
        }
        if bless {
            std::fs::write(&path, format!("{}----\n{output}", case.given)).unwrap();
        } else {
            let expected = case.expected.unwrap_or_default();
            let difference = difference(&expected, &output);
            writeln!(failed, "{}:\n{difference}", path.display()).unwrap();
        }
    }
    assert!(run > 0, "no file matches FILETEST={only}");
    assert!(failed.is_empty(), "{failed}(BLESS=1 accepts what is now)");
}

#[test]
fn every_operation_is_printed_and_parsed_by_a_file() {
    let texts = all_files()
        .into_iter()
        .map(|p| std::fs::read_to_string(p).unwrap());
    let all: String = texts.collect();
    let special = ["input", "unary", "binary"];
    let rows = Op::TABLE.iter().map(|row| row.mnemonic);
    let functions = Unary::ALL.iter().map(|f| f.name());
    let functions = functions.chain(Binary::ALL.iter().map(|f| f.name()));
    for name in rows.filter(|m| !special.contains(m)).chain(functions) {
        assert!(all.contains(&format!("= {name} ")), "no file has `{name}`");
    }
}
