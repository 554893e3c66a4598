//! Random graphs of every operation and element type, through all passes to machine code, against
//! the graph interpreter.

use lazulite_codegen::lower::LowerOptions;
use lazulite_codegen::{CodegenOptions, Level, compile};
use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{
    Array, Environment, EvalError, EvalMode, Graph, Plan, Symbol, Tolerance, eval_plan, parse_graph,
};
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
            large_from: None,
        },
    },
    CodegenOptions {
        level: Level::Avx2,
        lower: LowerOptions {
            scalar: false,
            copies: None,
            exact: false,
            large_from: None,
        },
    },
    CodegenOptions {
        level: Level::Baseline,
        lower: LowerOptions {
            scalar: false,
            copies: Some(1),
            exact: true,
            large_from: None,
        },
    },
    CodegenOptions {
        level: Level::Native,
        lower: LowerOptions {
            scalar: true,
            copies: None,
            exact: false,
            large_from: None,
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

    #[test]
    fn convolutions_of_all_kinds(convolution in convolutions()) {
        check(&convolution.case());
    }
}

/// A convolution, and a maximum with 0 behind it.
#[derive(Clone, Debug)]
struct Convolution {
    batch: usize,
    groups: usize,
    /// Channels and results of a group.
    channels: usize,
    results: usize,
    axes: Vec<Axis>,
}

/// Size, elements of a window, stride, dilation, zeros before and behind, zeros between elements (as transposed
/// convolutions have them).
#[derive(Clone, Debug)]
struct Axis {
    size: usize,
    window: usize,
    stride: usize,
    dilation: usize,
    around: (i64, i64),
    between: usize,
}

impl Axis {
    fn padded(&self) -> usize {
        let inside = (self.size - 1) * (self.between + 1) + 1;
        (inside as i64 + self.around.0 + self.around.1) as usize
    }

    fn count(&self) -> usize {
        (self.padded() - (self.window - 1) * self.dilation - 1) / self.stride + 1
    }
}

fn convolutions() -> impl Strategy<Value = Convolution> {
    let axis = (
        1..12usize,
        1..4usize,
        1..3usize,
        1..3usize,
        -1..3i64,
        0..3i64,
        0..2usize,
    );
    let axis = axis.prop_map(
        |(size, window, stride, dilation, before, behind, between)| Axis {
            size: size + (window - 1) * dilation + 1,
            window,
            stride,
            dilation,
            around: (before, behind),
            between,
        },
    );
    let axes = prop::collection::vec(axis, 1..4);
    (1..4usize, 1..3usize, 1..4usize, 1..9usize, axes).prop_map(
        |(batch, groups, channels, results, axes)| Convolution {
            batch,
            groups,
            channels,
            results,
            axes,
        },
    )
}

impl Convolution {
    fn text(&self) -> String {
        let all = |of: &dyn Fn(&Axis) -> i64| self.axes.iter().map(of).collect::<Vec<_>>();
        let list = |parts: &[&[i64]]| {
            let numbers: Vec<String> = parts.concat().iter().map(i64::to_string).collect();
            numbers.join(", ")
        };
        let [n, g, c, o] =
            [self.batch, self.groups, self.channels, self.results].map(|size| size as i64);
        let sizes = all(&|a| a.size as i64);
        let windows = all(&|a| a.window as i64);
        let counts = all(&|a| a.count() as i64);
        let mut at = all(&|a| a.padded() as i64);
        let mut lines = format!(
            "graph(%0: f32[{}], %1: f32[{}]) {{
  %2 = const {{value=f32(0.0)}} : f32[]
  %3 = pad %0, %2 {{low=[{}], high=[{}], interior=[{}]}} : f32[{}]\n",
            list(&[&[n, g * c], &sizes]),
            list(&[&[g, o, c], &windows]),
            list(&[&[0, 0], &all(&|a| a.around.0)]),
            list(&[&[0, 0], &all(&|a| a.around.1)]),
            list(&[&[0, 0], &all(&|a| a.between as i64)]),
            list(&[&[n, g * c], &at]),
        );
        let mut value = 3;
        for (i, axis) in self.axes.iter().enumerate() {
            at[i] = counts[i];
            value += 1;
            lines += &format!(
                "  %{value} = window %{} {{axis={}, size={}, stride={}, dilation={}}} : f32[{}]\n",
                value - 1,
                i + 2,
                axis.window,
                axis.stride,
                axis.dilation,
                list(&[&[n, g * c], &at, &windows[..=i]]),
            );
        }
        let rank = self.axes.len() as i64;
        let summed = |first: i64| list(&[&[2], &(first..first + rank).collect::<Vec<_>>()]);
        let order: Vec<i64> = [1, 0, 2 + rank].into_iter().chain(2..2 + rank).collect();
        lines += &format!(
            "  %{} = reshape %{value} {{dims=[{whole}]}} : f32[{whole}]
  %{} = contract %{}, %1 {{lhs_batch=[1], rhs_batch=[0], lhs_sum=[{}], rhs_sum=[{}], acc=f32}} : f32[{}]
  %{} = permute %{} {{perm=[{}]}} : f32[{turned}]
  %{} = reshape %2 {{dims=[{ones}]}} : f32[{ones}]
  %{} = expand %{} {{dims=[{turned}]}} : f32[{turned}]
  %{} = max %{}, %{} : f32[{turned}]
  return %{}
}}",
            value + 1,
            value + 2,
            value + 1,
            summed(3 + rank),
            summed(3),
            list(&[&[g, n], &counts, &[o]]),
            value + 3,
            value + 2,
            list(&[&order]),
            value + 4,
            value + 5,
            value + 4,
            value + 6,
            value + 3,
            value + 5,
            value + 6,
            whole = list(&[&[n, g, c], &counts, &windows]),
            turned = list(&[&[n, g, o], &counts]),
            ones = list(&[&vec![1; 3 + counts.len()]]),
        );
        lines
    }

    /// With small whole numbers, so that sums are exact in any order.
    fn case(&self) -> Case {
        let text = self.text();
        let graph = parse_graph(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let inputs = graph.inputs().iter().map(|&input| {
            let dims = &graph.tensor_type(input).dims;
            let dims: Vec<usize> = dims
                .iter()
                .map(|d| d.as_const().unwrap() as usize)
                .collect();
            let count: usize = dims.iter().product();
            let values: Vec<f32> = (0..count).map(|i| (i * 37 % 11) as f32 - 5.0).collect();
            Array::from_f32(&dims, &values).unwrap()
        });
        Case {
            inputs: inputs.collect(),
            tolerances: vec![Tolerance::EXACT],
            graph,
        }
    }
}
