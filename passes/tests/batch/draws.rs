//! Random numbers in batches.

use crate::support::{Sizes, run};
use lazulite_ir::{Array, DType, Dim, Graph, Scalar, TensorType, parse_graph};
use lazulite_passes::batch::{Randomness, VmapError, vmap};

/// Draws four numbers and adds the parameter.
fn noisy() -> Graph {
    let text = "graph(%0: u64[4], %1: u64[]) {
        %2 = random %1, %1 {dims=[4], dtype=u64} : u64[4]
        %3 = add %0, %2 : u64[4]
        return %3, %2
    }";
    parse_graph(text).unwrap()
}

fn word(value: i64) -> Array {
    Array::scalar(Scalar::from_i64(DType::U64, value))
}

#[test]
fn drawing_must_be_asked_for() {
    let size = Dim::constant(3);
    let error = vmap(&noisy(), &[Some(0), None], &size, Randomness::Error).unwrap_err();
    assert!(matches!(error, VmapError::Random { .. }), "{error}");
    assert!(error.to_string().contains("`random`"), "{error}");
}

#[test]
fn draws_are_one_or_one_per_element() {
    let size = Dim::constant(3);
    let zeros = Array::zeros(DType::U64, &[3, 4]).unwrap();
    let draw = |randomness| {
        let new = vmap(&noisy(), &[Some(0), None], &size, randomness).unwrap();
        let inputs = [zeros.clone(), word(7)];
        (
            new.batched,
            run(&new.graph, &inputs, &Sizes::default()).unwrap(),
        )
    };
    let (batched, same) = draw(Randomness::Same);
    assert_eq!(batched, [true, false]);
    let rows: Vec<&[u8]> = same[0].bytes.chunks(32).collect();
    assert_eq!(rows, [&same[1].bytes[..]; 3]);
    let (batched, different) = draw(Randomness::Different);
    assert_eq!(batched, [true, true]);
    assert_eq!(different[0], different[1]);
    let rows: Vec<&[u8]> = different[0].bytes.chunks(32).collect();
    assert!(rows[0] != rows[1] && rows[1] != rows[2]);
}

#[test]
fn batched_seeds_give_the_draws_of_these_seeds() {
    let size = Dim::constant(2);
    let new = vmap(&noisy(), &[None, Some(0)], &size, Randomness::Error).unwrap();
    let zeros = Array::zeros(DType::U64, &[4]).unwrap();
    let one = |seed| {
        let inputs = [zeros.clone(), word(seed)];
        run(&noisy(), &inputs, &Sizes::default()).unwrap().remove(0)
    };
    let seeds = [5, 6].map(|s| Scalar::from_i64(DType::U64, s));
    let seeds = Array::from_scalars(DType::U64, &[2], &seeds).unwrap();
    let got = run(&new.graph, &[zeros.clone(), seeds], &Sizes::default()).unwrap();
    assert_eq!(got[0].bytes, [one(5).bytes, one(6).bytes].concat());
}

/// Elements that do not take a branch must not feel its faults.
#[test]
fn branches_not_taken_cannot_fail() {
    let text = "graph(%0: bool[], %1: i64[]) {
        %2 = if %0, %1 {then=graph(%0: i64[]) {
            %1 = div %0, %0 : i64[]
            return %1
        }, other=graph(%0: i64[]) {
            return %0
        }} : (i64[])
        %3 = get %2 {index=0} : i64[]
        return %3
    }";
    let graph = parse_graph(text).unwrap();
    let size = Dim::constant(3);
    let new = vmap(&graph, &[Some(0), Some(0)], &size, Randomness::Error).unwrap();
    let array = |dtype, values: [i64; 3]| {
        let values = values.map(|v| Scalar::from_i64(dtype, v));
        Array::from_scalars(dtype, &[3], &values).unwrap()
    };
    let inputs = [array(DType::Bool, [0, 1, 0]), array(DType::I64, [0, 9, 4])];
    let got = run(&new.graph, &inputs, &Sizes::default()).unwrap();
    assert_eq!(got, [array(DType::I64, [0, 1, 4])]);
}

#[test]
fn axes_are_checked() {
    let size = Dim::constant(3);
    let axes = |axes: &[Option<usize>]| vmap(&noisy(), axes, &size, Randomness::Same).unwrap_err();
    assert_eq!(
        axes(&[None]),
        VmapError::AxisCount {
            axes: 1,
            parameters: 2
        }
    );
    let expected = VmapError::AxisOutOfRange {
        parameter: 0,
        axis: 2,
        rank: 1,
    };
    assert_eq!(axes(&[Some(2), None]), expected);
}

/// As deep as programs are, and no deeper.
#[test]
fn endless_nesting_is_an_error() {
    let mut graph = Graph::new();
    let x = graph.input(TensorType::scalar(DType::F32));
    graph.set_outputs([x]);
    for _ in 0..100 {
        let mut outer = Graph::new();
        let x = outer.input(TensorType::scalar(DType::F32));
        let op = lazulite_ir::Op::Call {
            name: "deeper".into(),
            body: graph.into(),
        };
        let tuple = outer.add(op, [x]).unwrap();
        let y = outer
            .add(lazulite_ir::Op::Get { index: 0 }, [tuple])
            .unwrap();
        outer.set_outputs([y]);
        graph = outer;
    }
    let error = vmap(&graph, &[Some(0)], &Dim::ONE, Randomness::Same).unwrap_err();
    assert!(matches!(error, VmapError::NoRule { .. }), "{error}");
}
