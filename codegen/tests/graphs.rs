//! Random graphs of every operation and element type, through all passes to machine code, against
//! the graph interpreter.

use lazulite_codegen::lower::LowerOptions;
use lazulite_codegen::{CodegenOptions, Level, compile};
use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{Array, Environment, EvalError, EvalMode, Graph, Plan, Symbol, eval_plan};
use lazulite_passes::{Options, PassError, ScheduleOptions, compile_to_plan};
use lazulite_runtime::{Buffer, Input, Pool, RunError};
use proptest::prelude::*;

/// The plan of a graph, with or without fusion.
fn plan(graph: &Graph, fuse: bool) -> Result<Plan, PassError> {
    let options = Options {
        schedule: ScheduleOptions {
            fuse,
            ..ScheduleOptions::default()
        },
        ..Options::default()
    };
    compile_to_plan(graph, &options)
}

/// Runs a plan in place of the case's graph, its inputs given up or not.
fn execute(
    case: &Case,
    plan: &Plan,
    options: &CodegenOptions,
    (threads, donate): (usize, bool),
) -> Result<Vec<Array>, RunError> {
    let program = compile(plan, options, 2).unwrap_or_else(|e| panic!("{e}\n{case:?}"));
    let mut inputs: Vec<Input> = case
        .inputs
        .iter()
        .map(|a| Input {
            buffer: Buffer::from_bytes(&a.bytes).unwrap(),
            donate,
        })
        .collect();
    let sizes = case.sizes();
    let size = |s: &Symbol| sizes.get(s).copied();
    let bound: Vec<i64> = plan.symbols.iter().map(|s| size(s).unwrap()).collect();
    let pool = Pool::new(threads).unwrap();
    let outputs = program.run(&mut inputs, &bound, &pool)?;
    let types = case.graph.output_types();
    Ok(types
        .iter()
        .zip(&outputs.buffers)
        .map(|(ty, buffer)| Array {
            dtype: ty.dtype,
            dims: ty
                .dims
                .iter()
                .map(|d| d.eval(&size).unwrap() as usize)
                .collect(),
            bytes: buffer.as_bytes().to_vec(),
        })
        .collect())
}

/// Ways to generate code that must agree with the interpreter.
const WAYS: [CodegenOptions; 4] = [
    CodegenOptions {
        level: Level::Native,
        lower: LowerOptions {
            scalar: false,
            copies: None,
            exact: false,
        },
    },
    CodegenOptions {
        level: Level::Avx2,
        lower: LowerOptions {
            scalar: false,
            copies: None,
            exact: false,
        },
    },
    CodegenOptions {
        level: Level::Baseline,
        lower: LowerOptions {
            scalar: false,
            copies: Some(1),
            exact: true,
        },
    },
    CodegenOptions {
        level: Level::Native,
        lower: LowerOptions {
            scalar: true,
            copies: None,
            exact: false,
        },
    },
];

/// What the plan means.
fn evaluate(case: &Case, plan: &Plan) -> Result<Vec<Array>, EvalError> {
    let sizes = case.sizes();
    let environment = Environment {
        sizes: &|s| sizes.get(s).copied(),
        foreign: &|_| None,
    };
    eval_plan(plan, &case.inputs, environment, EvalMode::default())
}

fn check(case: &Case) {
    for fuse in [true, false] {
        let plan = match plan(&case.graph, fuse) {
            Ok(plan) => plan,
            // A few operations on complex numbers are not compiled.
            Err(PassError::Unsupported { .. }) => return,
            Err(e) => panic!("{e}\n{case:?}"),
        };
        // Simplification may have removed a fault, or what was only checked because of one.
        let faults = match evaluate(case, &plan) {
            Ok(_) => false,
            Err(EvalError::Fault { .. }) => true,
            Err(e) => panic!("{e}\n{case:?}"),
        };
        for options in WAYS.into_iter().filter(|w| w.level.is_available()) {
            let what = || {
                format!(
                    "fuse {fuse}, {options:?}\n{case:?}\n{}",
                    lazulite_ir::print_plan(&plan)
                )
            };
            let found = execute(case, &plan, &options, (1, false));
            match (faults, found) {
                (false, Ok(found)) => {
                    if case.expected().is_ok() {
                        case.check(&found)
                            .unwrap_or_else(|e| panic!("{e}\n{}", what()));
                    }
                    let again = execute(case, &plan, &options, (2, true)).unwrap();
                    assert!(
                        found == again,
                        "two threads and donated inputs differ\n{}",
                        what()
                    );
                }
                (true, Err(RunError::Fault { .. } | RunError::Custom { .. })) => {}
                (faults, found) => panic!("faults {faults}, found {found:?}\n{}", what()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn graphs_of_known_sizes(case in cases(Config { foreign: true, ..Config::default() })) {
        check(&case);
    }

    #[test]
    fn graphs_of_symbolic_sizes(case in cases(Config { symbolic: true, ..Config::default() })) {
        check(&case);
    }

    #[test]
    fn graphs_with_faults(case in cases(Config { faults: true, steps: 8, ..Config::default() })) {
        check(&case);
    }
}
