//! Plans against the graph interpreter.

mod blocks;
mod compose;
mod fusion;
mod models;
mod ops;
mod random;

use super::{Machine, NarrowProducts, ScheduleOptions, schedule};
use crate::build::{Builder, Emit};
use lazulite_ir::{
    Array, DType, Dim, Environment, EvalMode, Graph, Kernel, NodeId, Op, Plan, Scalar, Step,
    Symbol, TensorType, Tolerance, bind_sizes, eval_plan, interpret_in, print_plan, verify_plan,
};

/// Options without fusion.
fn reference() -> ScheduleOptions {
    ScheduleOptions {
        fuse: false,
        ..ScheduleOptions::default()
    }
}

/// Options for a machine that multiplies matrices of half floats.
fn halves() -> ScheduleOptions {
    ScheduleOptions {
        machine: Machine {
            narrow: NarrowProducts::HalfFloats,
            ..Machine::default()
        },
        ..ScheduleOptions::default()
    }
}

fn dims(sizes: &[i64]) -> impl Iterator<Item = Dim> + '_ {
    sizes.iter().map(|&s| Dim::constant(s))
}

fn ty(dtype: DType, sizes: &[i64]) -> TensorType {
    TensorType::new(dtype, dims(sizes))
}

fn f32s(sizes: &[i64]) -> TensorType {
    ty(DType::F32, sizes)
}

/// An array of small numbers that sum exactly.
fn sample(ty: &TensorType, sizes: &dyn Fn(&Symbol) -> Option<i64>, seed: u64) -> Array {
    let shape: Vec<usize> = ty
        .dims
        .iter()
        .map(|d| d.eval(sizes).unwrap() as usize)
        .collect();
    let mut array = Array::zeros(ty.dtype, &shape).unwrap();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for i in 0..array.len() {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let number = ((state >> 40) % 17) as i64 - 8;
        array.set(i, Scalar::from_f64(DType::F64, number as f64 / 4.0));
    }
    array
}

fn plan_of(graph: &Graph, options: &ScheduleOptions) -> Plan {
    let plan = schedule(graph, options).unwrap_or_else(|e| panic!("{e}\n{graph}"));
    if let Err(findings) = verify_plan(&plan) {
        panic!("{findings}\n{graph}\n{}", print_plan(&plan));
    }
    plan
}

fn run(graph: &Graph, plan: &Plan, inputs: &[Array], environment: Environment<'_>) {
    let expected = interpret_in(graph, inputs, environment);
    for scrambled in [false, true] {
        let mode = EvalMode {
            scrambled,
            ..EvalMode::default()
        };
        let got = eval_plan(plan, inputs, environment, mode);
        let text = || format!("{graph}\n{}", print_plan(plan));
        match (&expected, got) {
            (Ok(expected), Ok(got)) => {
                for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
                    let tolerance = Tolerance {
                        absolute: 1e-5,
                        relative: 1e-5,
                        ulps: 2,
                    };
                    if let Some(d) = got.difference(expected, tolerance) {
                        panic!("result {i}: {d}\n{}", text());
                    }
                }
            }
            (Err(_), Err(lazulite_ir::EvalError::Fault { .. })) => {}
            (expected, got) => panic!("expected {expected:?}, got {got:?}\n{}", text()),
        }
    }
}

/// Checks both kinds of plans for a graph on sample inputs, with `n` for every symbol.
fn check_at(graph: &Graph, n: i64) {
    let any = |_: &Symbol| Some(n);
    let inputs = graph.inputs().iter().enumerate();
    let inputs: Vec<Array> = inputs
        .map(|(i, &id)| sample(graph.tensor_type(id), &any, i as u64 + 1))
        .collect();
    check_on(graph, &inputs);
}

fn check_on(graph: &Graph, inputs: &[Array]) {
    let sizes = bind_sizes(graph, inputs);
    let sizes = |s: &Symbol| sizes.get(s).copied();
    let foreign = |_: &str| None;
    let environment = Environment {
        sizes: &sizes,
        foreign: &foreign,
    };
    for options in [reference(), ScheduleOptions::default(), halves()] {
        run(graph, &plan_of(graph, &options), inputs, environment);
    }
}

/// Checks a graph and returns its fused plan.
fn check(graph: &Graph) -> Plan {
    check_at(graph, 5);
    plan_of(graph, &ScheduleOptions::default())
}

/// A graph under construction whose operations are right.
struct Make {
    builder: Builder,
}

impl Make {
    fn new() -> Make {
        Make {
            builder: Builder::new("test"),
        }
    }

    fn input(&mut self, ty: TensorType) -> NodeId {
        self.builder.input(ty)
    }

    fn op(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.builder.emit(op, inputs).unwrap()
    }

    fn unary(&mut self, f: lazulite_ir::Unary, x: NodeId) -> NodeId {
        self.builder.unary(f, x).unwrap()
    }

    fn binary(&mut self, f: lazulite_ir::Binary, a: NodeId, b: NodeId) -> NodeId {
        self.builder.binary(f, a, b).unwrap()
    }

    fn reduce(&mut self, kind: lazulite_ir::Combine, x: NodeId, axes: &[u32]) -> NodeId {
        let axes = axes.to_vec();
        self.op(Op::Reduce { kind, axes }, &[x])
    }

    /// `x` with the axes that a reduction took, repeated over them.
    fn spread(&mut self, x: NodeId, like: NodeId, axes: &[u32]) -> NodeId {
        let whole = self.builder.dims(like);
        let mut ones = whole.clone();
        axes.iter().for_each(|&a| ones[a as usize] = Dim::ONE);
        let x = self.builder.reshape(x, ones).unwrap();
        self.builder.expand(x, whole).unwrap()
    }

    fn splat(&mut self, value: f64, like: NodeId) -> NodeId {
        let value = Scalar::from_f64(self.builder.dtype(like), value);
        let dims = self.builder.dims(like);
        self.builder.splat(value, &dims).unwrap()
    }

    fn matmul(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let acc = self.builder.dtype(a);
        let rank = self.builder.dims(a).len() as u32;
        let op = Op::Contract {
            lhs_batch: (0..rank - 2).collect(),
            rhs_batch: (0..rank - 2).collect(),
            lhs_sum: vec![rank - 1],
            rhs_sum: vec![rank - 2],
            acc,
        };
        self.op(op, &[a, b])
    }

    fn finish(self, outputs: &[NodeId]) -> Graph {
        let empty = Graph::new();
        self.builder.finish(outputs.iter().copied(), &empty)
    }
}

fn kernels(plan: &Plan) -> Vec<&Kernel> {
    let call = |s: &Step| match s {
        Step::Kernel(call) => Some(call.kernel as usize),
        _ => None,
    };
    plan.steps
        .iter()
        .filter_map(call)
        .map(|k| &plan.kernels[k])
        .collect()
}
