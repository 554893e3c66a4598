//! The oracle: reverse mode, forward mode and central differences must agree, and so must they for
//! the graphs of both modes, to any order.

use lazulite_ir::{
    Array, DType, Dim, Graph, NodeId, Op, Scalar, TensorType, interpret, print_graph, verify_graph,
};
use lazulite_passes::autodiff::{Jvp, NoRules, Seed, jvp, vjp};

/// A graph being written.
#[derive(Default)]
pub struct Writer(pub Graph);

impl Writer {
    pub fn input(&mut self, dtype: DType, dims: &[i64]) -> NodeId {
        let dims = dims.iter().map(|&d| Dim::constant(d));
        self.0.input(TensorType::new(dtype, dims))
    }

    pub fn x(&mut self, dims: &[i64]) -> NodeId {
        self.input(DType::F64, dims)
    }

    pub fn op(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.0.add(op, inputs.iter().copied()).unwrap()
    }

    pub fn get(&mut self, tuple: NodeId, index: u32) -> NodeId {
        self.op(Op::Get { index }, &[tuple])
    }

    pub fn done(mut self, outputs: &[NodeId]) -> Graph {
        self.0.set_outputs(outputs.iter().copied());
        self.0
    }
}

pub fn dims(list: &[i64]) -> lazulite_ir::Dims {
    list.iter().map(|&d| Dim::constant(d)).collect()
}

/// Numbers that look random, between `low` and `high`.
pub fn noise(seed: u64, low: f64, high: f64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        low + (high - low) * ((state >> 11) as f64 / (1u64 << 53) as f64)
    }
}

pub fn differentiable(ty: &TensorType) -> bool {
    ty.dtype.is_inexact()
}

/// An array of the type with random elements.
pub fn filled(ty: &TensorType, seed: u64, low: f64, high: f64) -> Array {
    let dims: Vec<usize> = ty.const_dims().unwrap().to_vec();
    let mut next = noise(seed, low, high);
    let count: usize = dims.iter().product();
    let values: Vec<Scalar> = (0..count)
        .map(|_| match ty.dtype.is_complex() {
            true => Scalar::from_complex(ty.dtype, next(), next()),
            false => Scalar::from_f64(ty.dtype, next()),
        })
        .collect();
    Array::from_scalars(ty.dtype, &dims, &values).unwrap()
}

/// Random inputs between 0.3 and 1.7, where most functions are smooth.
pub fn inputs(graph: &Graph) -> Vec<Array> {
    let types = graph.inputs().iter().map(|&i| graph.tensor_type(i));
    let seeds = 1..;
    types
        .zip(seeds)
        .map(|(ty, seed)| filled(ty, seed, 0.3, 1.7))
        .collect()
}

pub fn run(graph: &Graph, inputs: &[Array]) -> Vec<Array> {
    interpret(graph, inputs, &|_| None).unwrap_or_else(|e| panic!("{e}\n{}", print_graph(graph)))
}

/// Real and imaginary parts, one after the other.
pub fn parts(x: &Array) -> Vec<f64> {
    let complex = x.dtype.is_complex();
    let part = |s: Scalar| {
        let (re, im) = s.as_complex();
        [Some(re), complex.then_some(im)]
    };
    x.scalars().flat_map(part).flatten().collect()
}

/// `x + scale * t`.
fn moved(x: &Array, t: &Array, scale: f64) -> Array {
    let sum = |(a, b): (Scalar, Scalar)| {
        let ((a, b), (c, d)) = (a.as_complex(), b.as_complex());
        Scalar::from_complex(x.dtype, a + scale * c, b + scale * d)
    };
    let values: Vec<Scalar> = x.scalars().zip(t.scalars()).map(sum).collect();
    Array::from_scalars(x.dtype, &x.dims, &values).unwrap()
}

fn dot(a: &Array, b: &Array) -> f64 {
    assert_eq!((a.dtype, &a.dims), (b.dtype, &b.dims));
    parts(a).iter().zip(parts(b)).map(|(a, b)| a * b).sum()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

/// How far inputs are moved for differences.
const STEP: f64 = 1e-5;

/// The first element in which the tangent is not the difference: number, tangent, difference.
fn slopes_differ(tangent: &Array, above: &Array, below: &Array) -> Option<(usize, f64, f64)> {
    let ends = parts(above).into_iter().zip(parts(below));
    let slopes = ends.map(|(above, below)| match above == below {
        // The extremum of nothing is infinite, and constant.
        true => 0.0,
        false => (above - below) / (2.0 * STEP),
    });
    let pairs = parts(tangent).into_iter().zip(slopes).enumerate();
    let mut wrong = pairs.filter(|(_, (t, slope))| !near(*t, *slope, 1e-5));
    wrong.next().map(|(i, (t, slope))| (i, t, slope))
}

/// Checks derivatives up to `order` at random inputs.
pub fn check(graph: &Graph, order: u32) {
    check_at(graph, &inputs(graph), order);
}

/// Checks derivatives up to `order`.
pub fn check_at(graph: &Graph, inputs: &[Array], order: u32) {
    verify_graph(graph).unwrap_or_else(|e| panic!("{e}\n{}", print_graph(graph)));
    let wrt: Vec<usize> = (0..inputs.len())
        .filter(|&i| differentiable(graph.tensor_type(graph.inputs()[i])))
        .collect();
    let nodes: Vec<NodeId> = wrt.iter().map(|&i| graph.inputs()[i]).collect();
    let types = graph.output_types();
    let seed = |ty| match differentiable(ty) {
        true => Seed::Parameter,
        false => Seed::None,
    };
    let seeds: Vec<Seed> = types.iter().map(seed).collect();
    let along: Vec<_> = nodes.iter().map(|&n| (n, Seed::Parameter)).collect();
    let reverse = vjp(graph, &seeds, &nodes, &NoRules).unwrap();
    let forward = jvp(graph, &along, &NoRules).unwrap();
    let tangents: Vec<Array> = nodes
        .iter()
        .zip(100..)
        .map(|(&n, seed)| filled(graph.tensor_type(n), seed, -1.0, 1.0))
        .collect();
    let cotangents: Vec<Array> = types
        .iter()
        .zip(200..)
        .filter(|(ty, _)| differentiable(ty))
        .map(|(ty, seed)| filled(ty, seed, -1.0, 1.0))
        .collect();
    let with = |more: &[Array]| [inputs, more].concat();
    let (forward_inputs, reverse_inputs) = (with(&tangents), with(&cotangents));

    let slopes = slopes(graph, inputs, &wrt, &tangents);
    let forward_sum = check_forward(graph, &forward, &forward_inputs, &slopes, &cotangents);
    let pulled = run(&reverse.graph, &reverse_inputs);
    let mut reverse_sum = 0.0;
    for (gradient, t) in reverse.gradients.iter().zip(&tangents) {
        if let Some(at) = gradient {
            reverse_sum += dot(&pulled[*at], t);
        }
    }
    assert!(
        near(forward_sum, reverse_sum, 1e-9),
        "forward {forward_sum}, reverse {reverse_sum}\n{}\n{}",
        print_graph(graph),
        print_graph(&reverse.graph)
    );
    if order > 1 {
        check_at(&reverse.graph, &reverse_inputs, order - 1);
        check_at(&forward.graph, &forward_inputs, order - 1);
    }
}

/// The results a step along the tangents away, and a step against them.
fn slopes(graph: &Graph, inputs: &[Array], wrt: &[usize], tangents: &[Array]) -> [Vec<Array>; 2] {
    [STEP, -STEP].map(|scale| {
        let mut inputs = inputs.to_vec();
        for (&i, t) in wrt.iter().zip(tangents) {
            inputs[i] = moved(&inputs[i], t, scale);
        }
        run(graph, &inputs)
    })
}

/// Compares tangents with slopes, and gives the sum of their products with the cotangents.
fn check_forward(
    graph: &Graph,
    forward: &Jvp,
    inputs: &[Array],
    [above, below]: &[Vec<Array>; 2],
    cotangents: &[Array],
) -> f64 {
    let pushed = run(&forward.graph, inputs);
    let text = || print_graph(graph);
    let mut sum = 0.0;
    let types = graph.output_types();
    let results = types.iter().enumerate();
    let results = results.filter(|(_, ty)| differentiable(ty));
    for ((k, _), cotangent) in results.zip(cotangents) {
        match forward.tangents[k] {
            None => assert!(
                above[k] == below[k],
                "result {k} has no tangent\n{}",
                text()
            ),
            Some(at) => {
                let wrong = slopes_differ(&pushed[at], &above[k], &below[k]);
                let gradient = || print_graph(&forward.graph);
                assert_eq!(wrong, None, "result {k}\n{}\n{}", text(), gradient());
                sum += dot(cotangent, &pushed[at]);
            }
        }
    }
    sum
}

/// The gradients of the sum of the first result with respect to all differentiable inputs.
pub fn gradients(graph: &Graph, inputs: &[Array]) -> Vec<Vec<f64>> {
    let wrt: Vec<NodeId> = graph.inputs().to_vec();
    let mut seeds = vec![Seed::None; graph.outputs().len()];
    seeds[0] = Seed::One;
    let reverse = vjp(graph, &seeds, &wrt, &NoRules).unwrap();
    verify_graph(&reverse.graph).unwrap();
    let results = run(&reverse.graph, inputs);
    let of = |g: &Option<usize>| parts(&results[g.expect("reached")]);
    reverse.gradients.iter().map(of).collect()
}
