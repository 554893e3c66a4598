//! Splitting complex numbers changes no results: on every function over a grid of ordinary and
//! extreme values, and on every operation.

use lazulite_ir::{
    Array, Binary, Custom, DType, Graph, Node, Op, Scalar, TensorType, Tolerance, Unary, interpret,
    parse_graph, print_graph,
};
use lazulite_passes::{Numerics, Options, split_complex};
use std::sync::Arc;

/// The parts of a complex array, as the split program sees it.
fn interleaved(x: &Array) -> Array {
    if !x.dtype.is_complex() {
        return x.clone();
    }
    let mut real = x.clone();
    real.dtype = x.dtype.real();
    real.dims.push(2);
    real
}

/// Runs a graph and its split form; complains about results that differ.
fn compare(graph: &Graph, inputs: &[Array], tolerance: Tolerance) {
    let options = Options {
        numerics: Numerics::Exact,
        ..Options::default()
    };
    let split = split_complex(graph, &options).unwrap();
    let complex = |n: &Node| n.ty.as_tensor().is_some_and(|t| t.dtype.is_complex());
    assert!(!split.nodes().iter().any(complex), "{split}");
    let expected = interpret(graph, inputs, &|_| None).unwrap();
    let inputs: Vec<Array> = inputs.iter().map(interleaved).collect();
    let results = interpret(&split, &inputs, &|_| None).unwrap();
    assert_eq!(results.len(), expected.len());
    for (mut got, expected) in results.into_iter().zip(expected) {
        assert_eq!(got.dims, interleaved(&expected).dims);
        (got.dtype, got.dims) = (expected.dtype, expected.dims.clone());
        if let Some(difference) = got.difference(&expected, tolerance) {
            panic!(
                "{difference}\n{}\n{}",
                print_graph(graph),
                print_graph(&split)
            );
        }
    }
}

const VALUES: [f64; 19] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.3,
    2.0,
    1e-8,
    -1e-30,
    0.999_999,
    7.0,
    -23.0,
    90.0,
    -710.0,
    1e30,
    -1e300,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// All pairs of values that `wanted` takes.
fn grid(dtype: DType, wanted: fn(f64) -> bool) -> Vec<Scalar> {
    let parts: Vec<f64> = VALUES.into_iter().filter(|v| wanted(*v)).collect();
    let pairs = parts
        .iter()
        .flat_map(|&re| parts.iter().map(move |&im| (re, im)));
    pairs
        .map(|(re, im)| Scalar::from_complex(dtype, re, im))
        .collect()
}

fn line(dtype: DType, scalars: &[Scalar]) -> Array {
    Array::from_scalars(dtype, &[scalars.len()], scalars).unwrap()
}

fn tolerance(dtype: DType) -> Tolerance {
    Tolerance {
        relative: if dtype == DType::C64 { 3e-7 } else { 2e-15 },
        absolute: if dtype == DType::C64 { 1e-37 } else { 1e-300 },
        ulps: 2,
    }
}

#[test]
fn functions_are_those_of_the_interpreter() {
    use Unary::*;
    for dtype in [DType::C64, DType::C128] {
        for f in [Neg, Abs, Sqrt, Exp, Expm1, Log, Log1p, Sin, Cos, Tanh] {
            let x = line(dtype, &grid(dtype, |_| true));
            let mut graph = Graph::new();
            let input = graph.input(TensorType::new(dtype, [(x.len() as i64).into()]));
            let result = graph.add(Op::Unary { f }, [input]).unwrap();
            graph.set_outputs([result]);
            compare(&graph, &[x], tolerance(dtype));
        }
    }
}

#[test]
fn functions_of_two_are_those_of_the_interpreter() {
    // Products in the parts' own type overflow before the interpreter's do.
    let moderate = |v: f64| v.abs() < 1e4;
    type Wanted = fn(f64) -> bool;
    let cases: [(Binary, Wanted); 4] = [
        (Binary::Add, |_| true),
        (Binary::Mul, moderate),
        (Binary::Div, |_| true),
        // An exponent multiplies the error of the logarithm.
        (Binary::Pow, |v| v.abs() < 30.0),
    ];
    for dtype in [DType::C64, DType::C128] {
        for (f, wanted) in cases {
            let all = grid(dtype, wanted);
            let n = all.len();
            let x: Vec<Scalar> = (0..n * n).map(|i| all[i / n]).collect();
            let y: Vec<Scalar> = (0..n * n).map(|i| all[i % n]).collect();
            let mut graph = Graph::new();
            let ty = TensorType::new(dtype, [((n * n) as i64).into()]);
            let inputs = [graph.input(ty.clone()), graph.input(ty)];
            let result = graph.add(Op::Binary { f }, inputs).unwrap();
            graph.set_outputs([result]);
            let mut near = tolerance(dtype);
            if f == Binary::Pow {
                near.relative = near.relative.max(1e-13);
            }
            compare(&graph, &[line(dtype, &x), line(dtype, &y)], near);
        }
    }
}

/// Deterministic ordinary numbers.
fn numbers(dtype: DType, dims: &[usize]) -> Array {
    let n: usize = dims.iter().product();
    let value = |i: usize| ((i * 7 + 3) % 11) as f64 / 8.0 - 0.6;
    let scalars: Vec<Scalar> = (0..n)
        .map(|i| Scalar::from_complex(dtype, value(i), value(i + 5)))
        .collect();
    Array::from_scalars(dtype, dims, &scalars).unwrap()
}

/// Parses a graph whose parameters have constant sizes and runs it on ordinary numbers.
fn check(text: &str) {
    let graph = parse_graph(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let inputs: Vec<Array> = graph
        .inputs()
        .iter()
        .map(|&i| {
            let ty = graph.tensor_type(i);
            numbers(ty.dtype, &ty.const_dims().unwrap())
        })
        .collect();
    compare(
        &graph,
        &inputs,
        Tolerance {
            relative: 1e-5,
            absolute: 1e-6,
            ulps: 0,
        },
    );
}

#[test]
fn products_of_many_are_those_of_the_interpreter() {
    for (dims, axes, rest) in [
        ("7, 3", "0", "3"),
        ("7, 3", "0, 1", ""),
        ("2, 5, 3", "0, 2", "5"),
        ("1, 3", "0", "3"),
        ("0, 3", "0", "3"),
        ("4, 2", "", "4, 2"),
    ] {
        check(&format!(
            "graph(%0: c64[{dims}]) {{
               %1 = reduce %0 {{kind=prod, axes=[{axes}]}} : c64[{rest}]
               return %1
             }}"
        ));
    }
    for (dims, axis) in [("7, 3", 0), ("2, 8", 1), ("1", 0), ("0, 2", 1)] {
        for reverse in [false, true] {
            check(&format!(
                "graph(%0: c64[{dims}]) {{
                   %1 = scan %0 {{kind=prod, axis={axis}, reverse={reverse}}} : c64[{dims}]
                   %2 = scan %0 {{kind=sum, axis={axis}, reverse={reverse}}} : c64[{dims}]
                   return %1, %2
                 }}"
            ));
        }
    }
}

#[test]
fn foreign_functions_see_pairs_in_both_forms() {
    let conjugate = |x: &[&[u8]], dims: &[&[usize]], out: &mut [&mut [u8]]| {
        assert_eq!(dims, [[3, 2]]);
        for (i, byte) in out[0].iter_mut().enumerate() {
            // The sign is in the last byte of each imaginary part.
            *byte = x[0][i] ^ if i % 8 == 7 { 0x80 } else { 0 };
        }
        Ok(())
    };
    let mut graph = Graph::new();
    let ty = TensorType::new(DType::C64, [3.into()]);
    let x = graph.input(ty.clone());
    let op = Op::Custom {
        target: Custom::Host("conjugate".into(), Arc::new(conjugate)),
        results: vec![ty],
    };
    let tuple = graph.add(op, [x]).unwrap();
    let result = graph.add(Op::Get { index: 0 }, [tuple]).unwrap();
    let product = graph
        .add(Op::Binary { f: Binary::Mul }, [result, x])
        .unwrap();
    graph.set_outputs([result, product]);
    compare(&graph, &[numbers(DType::C64, &[3])], tolerance(DType::C64));
}

#[test]
fn control_flow_carries_pairs() {
    check(
        "graph(%0: c64[3], %1: c64[4, 3], %2: f32[]) {
          %3 = loop %0, %1, %0 {trip=4, carries=1, scanned=1,
            body=graph(%0: i64[], %1: c64[3], %2: c64[3], %3: c64[3]) {
              %4 = mul %1, %2 : c64[3]
              %5 = add %4, %3 : c64[3]
              %6 = real %5 : f32[3]
              return %5, %6, %4
            }} : (c64[3], f32[4, 3], c64[4, 3])
          %4 = get %3 {index=0} : c64[3]
          %5 = get %3 {index=1} : f32[4, 3]
          %6 = get %3 {index=2} : c64[4, 3]
          %7 = compare %2, %2 {predicate=eq} : bool[]
          %8 = if %7, %4 {then=graph(%0: c64[3]) {
            return %0
          }, other=graph(%0: c64[3]) {
            %1 = neg %0 : c64[3]
            return %1
          }} : (c64[3])
          %9 = get %8 {index=0} : c64[3]
          return %4, %5, %6, %9
        }",
    );
}

#[test]
fn products_into_complex_elements_are_refused_with_their_place() {
    let graph = parse_graph(
        "graph(%0: c64[3], %1: c64[1], %2: i64[1]) {
           %3 = scatter %0, %1, %2 {axes=[0], combine=prod} : c64[3] @ \"user.rs\":7:9
           return %3
         }",
    );
    let error = split_complex(&graph.unwrap(), &Options::default()).unwrap_err();
    assert!(error.to_string().ends_with("at user.rs:7:9"), "{error}");
}
