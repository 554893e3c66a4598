//! What the tests compile: random graphs, always the same ones.

use lazulite_codegen::cuda::{self, CudaProgram};
use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{Graph, Plan};
use lazulite_passes::{
    Machine, NarrowProducts, Options, PassError, ScheduleOptions, compile_to_plan,
};
use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// A graph on its way.
pub struct Subject {
    pub case: Case,
    pub plan: Plan,
}

/// The kinds of graphs there are.
pub fn configs() -> [Config; 3] {
    let plain = Config {
        foreign: true,
        ..Config::default()
    };
    let symbolic = Config {
        symbolic: true,
        ..Config::default()
    };
    let faulty = Config {
        faults: true,
        steps: 8,
        ..Config::default()
    };
    [plain, symbolic, faulty]
}

/// How graphs are compiled for devices with tensor cores.
fn options(fuse: bool) -> Options {
    Options {
        schedule: ScheduleOptions {
            fuse,
            machine: Machine {
                narrow: NarrowProducts::HalfFloats,
                ..Machine::default()
            },
            ..ScheduleOptions::default()
        },
        ..Options::default()
    }
}

/// The plan of a graph, with or without fusion; `None` where it holds an operation on complex numbers that is not
/// compiled.
pub fn plan(graph: &Graph, fuse: bool) -> Option<Plan> {
    match compile_to_plan(graph, &options(fuse)) {
        Ok(plan) => Some(plan),
        Err(PassError::Unsupported { .. }) => None,
        Err(e) => panic!("{e}"),
    }
}

/// Random graphs, `count` of each kind, fused and not in turns.
pub fn subjects(count: usize) -> Vec<(Subject, CudaProgram)> {
    let mut runner = TestRunner::deterministic();
    let mut found = Vec::new();
    for config in configs() {
        let strategy = cases(config);
        for number in 0..count {
            let case = strategy.new_tree(&mut runner).unwrap().current();
            let Some(plan) = plan(&case.graph, number % 3 != 2) else {
                continue;
            };
            let prefix = format!("p{}_", found.len());
            let program = cuda::program(&plan, &prefix).unwrap_or_else(|e| panic!("{e}\n{case:?}"));
            found.push((Subject { case, plan }, program));
        }
    }
    found
}

/// The text of a filetest's graph.
#[cfg(feature = "cuda")]
pub fn filetest(name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/filetests");
    let text = std::fs::read_to_string(format!("{root}/{name}.lzt")).unwrap();
    text.split("----").next().unwrap().to_owned()
}

/// The graphs of all filetests that can be scheduled.
#[cfg(feature = "cuda")]
pub fn filetests() -> Vec<CudaProgram> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/filetests");
    let mut texts = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(folder).unwrap() {
            texts.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
        }
    }
    texts.sort();
    let mut found = Vec::new();
    for text in &texts {
        let text = text.split("----").next().unwrap_or_default();
        // Many are about what cannot be parsed or scheduled.
        let Ok(graph) = lazulite_ir::parse_graph(text) else {
            continue;
        };
        let Ok(plan) = compile_to_plan(&graph, &options(true)) else {
            continue;
        };
        found.push(cuda::program(&plan, &format!("f{}_", found.len())).unwrap());
    }
    found
}
