//! What the tests compile: random graphs, always the same ones.

use lazulite_codegen::cuda::{self, CudaProgram};
use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{Graph, Plan};
use lazulite_passes::{Options, PassError, ScheduleOptions, compile_to_plan};
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

/// The plan of a graph, with or without fusion; `None` where it holds an operation on complex numbers that is not
/// compiled.
pub fn plan(graph: &Graph, fuse: bool) -> Option<Plan> {
    let options = Options {
        schedule: ScheduleOptions {
            fuse,
            ..ScheduleOptions::default()
        },
        ..Options::default()
    };
    match compile_to_plan(graph, &options) {
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
