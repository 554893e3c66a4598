//! Random programs, with all floats made f64 so that roundings stay small.

use crate::check::{differentiable, filled, parts};
use lazulite_ir::arbitrary::{Case, Config, cases};
use lazulite_ir::{
    Array, DType, Dim, Environment, EvalMode, Graph, NodeId, Op, Scalar, Symbol, TensorType,
    Tolerance, eval_plan, interpret, print_graph, verify_graph,
};
use lazulite_passes::autodiff::{AutodiffError, NoRules, Seed, jvp, vjp};
use lazulite_passes::batch::{Randomness, vmap};
use lazulite_passes::{Options, PassError, compile_to_plan};
use proptest::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::Arc;

fn wide(dtype: DType) -> DType {
    match dtype {
        d if d.is_complex() => DType::C128,
        d if d.is_float() => DType::F64,
        d => d,
    }
}

/// Constants of moderate size.
fn moderate(value: Scalar) -> Scalar {
    let part = |x: f64| if x.abs() <= 100.0 { x } else { 0.5 };
    let (re, im) = value.as_complex();
    match wide(value.dtype()) {
        d if differentiable(&TensorType::scalar(d)) => Scalar::from_complex(d, part(re), part(im)),
        _ => value,
    }
}

/// The graph with wide floats; `None` where they do not fit.
fn widened(graph: &Graph) -> Option<Graph> {
    let mut new = Graph::new();
    let mut nodes: Vec<NodeId> = Vec::new();
    for node in graph.nodes() {
        let mut op = node.op.clone();
        match &mut op {
            Op::Input { ty, .. } => {
                ty.dtype = wide(ty.dtype);
                nodes.push(new.input(ty.clone()));
                continue;
            }
            Op::Const { value } => *value = moderate(*value),
            Op::Size { dtype, .. } | Op::Iota { dtype, .. } | Op::Cast { dtype } => {
                *dtype = wide(*dtype);
            }
            // Bits of another width; a conversion does as well.
            Op::Bitcast { dtype } => {
                let dtype = wide(*dtype);
                op = Op::Cast { dtype };
            }
            Op::Contract { acc, .. } => *acc = wide(*acc),
            Op::Call { body, .. } | Op::Loop { body, .. } => *body = Arc::new(widened(body)?),
            Op::If { then, other } => {
                *then = Arc::new(widened(then)?);
                *other = Arc::new(widened(other)?);
            }
            Op::While { cond, body, .. } => {
                *cond = Arc::new(widened(cond)?);
                *body = Arc::new(widened(body)?);
            }
            _ => {}
        }
        let inputs = node.inputs.iter().map(|i| nodes[i.index()]);
        nodes.push(new.add(op, inputs).ok()?);
    }
    new.set_outputs(graph.outputs().iter().map(|o| nodes[o.index()]));
    Some(new)
}

fn like(arrays: &[&Array], seed: u64) -> Vec<Array> {
    let types = arrays.iter().zip(seed..).map(|(x, seed)| {
        let dims = x.dims.iter().map(|&d| Dim::constant(d as i64));
        filled(&TensorType::new(wide(x.dtype), dims), seed, -1.5, 1.5)
    });
    types.collect()
}

/// The inner product, and what its terms are worth together.
fn dot(a: &Array, b: &Array) -> (f64, f64) {
    assert_eq!((a.dtype, &a.dims), (b.dtype, &b.dims));
    let products = parts(a).into_iter().zip(parts(b)).map(|(a, b)| a * b);
    let products: Vec<f64> = products.collect();
    (
        products.iter().sum(),
        products.iter().map(|p| p.abs()).sum(),
    )
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let Some(graph) = widened(&case.graph) else {
        return Err(TestCaseError::reject("floats of a certain width"));
    };
    let mut inputs = case.inputs.clone();
    for (k, x) in inputs.iter_mut().enumerate() {
        if is_float(x) {
            *x = like(&[x], k as u64 + 1).remove(0);
        }
    }
    check_modes(&graph, &inputs, &case.sizes(), 2)
}

fn is_float(x: &Array) -> bool {
    x.dtype.is_inexact()
}

/// Both modes agree, results stay what they were, and gradients have the types of their tensors; and
/// so for the graphs of gradients, up to `order`.
fn check_modes(
    graph: &Graph,
    inputs: &[Array],
    sizes: &FxHashMap<Symbol, i64>,
    order: u32,
) -> Result<(), TestCaseError> {
    let run =
        |graph: &Graph, inputs: &[Array]| interpret(graph, inputs, &|s| sizes.get(s).copied());
    let Ok(results) = run(graph, inputs) else {
        return Err(TestCaseError::reject("faults with other numbers"));
    };
    let wrt = graph.inputs().iter().copied();
    let wrt: Vec<NodeId> = wrt
        .filter(|&i| differentiable(graph.tensor_type(i)))
        .collect();
    let along: Vec<_> = wrt.iter().map(|&i| (i, Seed::Parameter)).collect();
    let seeds: Vec<Seed> = graph.output_types().iter().map(seed).collect();
    let forward = jvp(graph, &along, &NoRules).unwrap();
    let reverse = match vjp(graph, &seeds, &wrt, &NoRules) {
        Err(AutodiffError::NoDerivative { what, .. }) if what.contains("while") => return Ok(()),
        other => other.unwrap(),
    };
    verify_graph(&forward.graph).unwrap();
    verify_graph(&reverse.graph).unwrap();
    let moving: Vec<&Array> = inputs.iter().filter(|x| is_float(x)).collect();
    let ends: Vec<&Array> = results.iter().filter(|x| is_float(x)).collect();
    let (tangents, cotangents) = (like(&moving, 500), like(&ends, 900));
    let pushed = run(&forward.graph, &[inputs, &tangents].concat()).unwrap();
    let pulled = run(&reverse.graph, &[inputs, &cotangents].concat()).unwrap();
    prop_assert_eq!(&pushed[..results.len()], &results[..]);
    prop_assert_eq!(&pulled[..results.len()], &results[..]);
    let of_results = (0..results.len()).filter(|&k| is_float(&results[k]));
    let of_results: Vec<Option<usize>> = of_results.map(|k| forward.tangents[k]).collect();
    let (a, size) = total(&cotangents, &of_results, &pushed);
    let (b, more) = total(&tangents, &reverse.gradients, &pulled);
    let size = size + more;
    // Sums of numbers as large as these, or of infinities, say nothing.
    let tame = size.is_finite() && size < 1e12;
    prop_assert!(
        !tame || (a - b).abs() <= 1e-9 * (1.0 + size),
        "forward {a}, reverse {b}\n{}\n{}",
        print_graph(graph),
        print_graph(&reverse.graph)
    );
    let inputs = [inputs, &cotangents].concat();
    if tame {
        compiles(&reverse.graph, &inputs, &pulled, sizes, 1e-9 * (1.0 + size))?;
    }
    if order > 1 {
        return check_modes(&reverse.graph, &inputs, sizes, order - 1);
    }
    Ok(())
}

/// The compiled program gives the same, up to a difference of `absolute`.
fn compiles(
    graph: &Graph,
    inputs: &[Array],
    expected: &[Array],
    sizes: &FxHashMap<Symbol, i64>,
    absolute: f64,
) -> Result<(), TestCaseError> {
    let plan = match compile_to_plan(graph, &Options::default()) {
        // Products scattered into complex numbers, the one form that cannot be split.
        Err(PassError::Unsupported { what, .. }) if what.contains("combine=prod") => return Ok(()),
        other => other.unwrap(),
    };
    let environment = Environment {
        sizes: &|s| sizes.get(s).copied(),
        foreign: &|_| None,
    };
    let results = eval_plan(&plan, inputs, environment, EvalMode::default()).unwrap();
    let tolerance = Tolerance {
        absolute,
        ..Tolerance::EXACT
    };
    for (k, (got, expected)) in results.iter().zip(expected).enumerate() {
        let mut got = got.clone();
        if expected.dtype.is_complex() {
            got.dtype = expected.dtype;
            got.dims.pop();
        }
        let difference = got.difference(expected, tolerance);
        prop_assert!(
            difference.is_none(),
            "result {k}: {difference:?}\n{}",
            print_graph(graph)
        );
    }
    Ok(())
}

/// The gradients of a batch are a batch of gradients.
fn check_batch(case: &Case, count: usize) -> Result<(), TestCaseError> {
    let Some(graph) = widened(&case.graph) else {
        return Err(TestCaseError::reject("floats of a certain width"));
    };
    let sizes = case.sizes();
    let run =
        |graph: &Graph, inputs: &[Array]| interpret(graph, inputs, &|s| sizes.get(s).copied()).ok();
    let gradients = |graph: &Graph| {
        let inputs = graph.inputs().iter().copied();
        let wrt: Vec<NodeId> = inputs
            .filter(|&i| differentiable(graph.tensor_type(i)))
            .collect();
        let seeds: Vec<Seed> = graph.output_types().iter().map(seed).collect();
        match vjp(graph, &seeds, &wrt, &NoRules) {
            Err(AutodiffError::NoDerivative { what, .. }) if what.contains("while") => None,
            derivative => Some(derivative.unwrap().graph),
        }
    };
    let batched = |graph: &Graph| {
        let axes = vec![Some(0); graph.inputs().len()];
        let new = vmap(graph, &axes, &Dim::constant(count as i64), Randomness::Same).unwrap();
        // Results that are equal for all elements have one cotangent there, and many here.
        (!new.batched.contains(&false)).then_some(new.graph)
    };
    let inside = gradients(&graph).and_then(|g| batched(&g));
    let outside = batched(&graph).and_then(|g| gradients(&g));
    let (Some(inside), Some(outside)) = (inside, outside) else {
        return Ok(());
    };
    prop_assert_eq!(verify_graph(&inside), Ok(()));
    prop_assert_eq!(verify_graph(&outside), Ok(()));
    let types = inside.inputs().iter().map(|&i| inside.tensor_type(i));
    let mut inputs = Vec::new();
    for (k, ty) in types.enumerate() {
        let dims: Vec<usize> = ty.const_dims().unwrap().to_vec();
        inputs.push(match case.inputs.get(k) {
            Some(x) if !is_float(x) => Array {
                dims,
                dtype: x.dtype,
                bytes: x.bytes.repeat(count),
            },
            _ => filled(ty, k as u64 + 1, -1.5, 1.5),
        });
    }
    let Some(a) = run(&inside, &inputs) else {
        return Err(TestCaseError::reject("faults with other numbers"));
    };
    let b = run(&outside, &inputs).unwrap();
    prop_assert_eq!(a.len(), b.len());
    let near = Tolerance {
        relative: 1e-9,
        absolute: 1e-9,
        ulps: 0,
    };
    for (k, (a, b)) in a.iter().zip(&b).enumerate() {
        let difference = b.difference(a, near);
        prop_assert!(
            difference.is_none() || parts(a).iter().any(|x| !x.is_finite() || x.abs() > 1e6),
            "result {k}: {difference:?}\n{}\n{}",
            print_graph(&inside),
            print_graph(&outside)
        );
    }
    Ok(())
}

fn seed(ty: &TensorType) -> Seed {
    if differentiable(ty) {
        Seed::Parameter
    } else {
        Seed::None
    }
}

/// The sum of inner products with those results that exist, and what all terms are worth.
fn total(with: &[Array], places: &[Option<usize>], results: &[Array]) -> (f64, f64) {
    let pairs = with.iter().zip(places);
    let products = pairs.filter_map(|(x, at)| at.map(|at| dot(x, &results[at])));
    products.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_global_rejects: 100_000,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn modes_agree(case in cases(Config { elements: 60, ..Config::default() })) {
        check(&case)?;
    }

    #[test]
    fn modes_agree_with_symbolic_sizes(
        case in cases(Config { elements: 60, symbolic: true, ..Config::default() }),
    ) {
        check(&case)?;
    }

    #[test]
    fn batches_and_gradients_commute(
        case in cases(Config { elements: 60, ..Config::default() }),
        count in 0..4usize,
    ) {
        check_batch(&case, count)?;
    }
}
