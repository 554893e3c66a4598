//! Operations that hold graphs.

use crate::check::{Writer, check, check_at, inputs, run};
use lazulite_ir::{
    Array, Binary, DType, Dim, Graph, NodeId, Op, Predicate, Scalar, Unary, print_graph,
};
use lazulite_passes::autodiff::{AutodiffError, NoRules, Seed, jvp, vjp};
use std::sync::Arc;

fn binary(w: &mut Writer, f: Binary, a: NodeId, b: NodeId) -> NodeId {
    w.op(Op::Binary { f }, &[a, b])
}

fn unary(w: &mut Writer, f: Unary, x: NodeId) -> NodeId {
    w.op(Op::Unary { f }, &[x])
}

/// Two results, one of which does not depend on the second parameter.
fn body() -> Arc<Graph> {
    let mut w = Writer::default();
    let [a, b] = [w.x(&[3]), w.x(&[3])];
    let y = binary(&mut w, Binary::Mul, a, b);
    let z = unary(&mut w, Unary::Sin, a);
    Arc::new(w.done(&[y, z]))
}

#[test]
fn calls() {
    let mut w = Writer::default();
    let [a, b] = [w.x(&[3]), w.x(&[3])];
    let (name, body) = (Arc::from("f"), body());
    let first = w.op(
        Op::Call {
            name: Arc::clone(&name),
            body: body.clone(),
        },
        &[a, b],
    );
    let [y, z] = [w.get(first, 0), w.get(first, 1)];
    let second = w.op(Op::Call { name, body }, &[z, y]);
    let outputs = [w.get(second, 0), w.get(second, 1)];
    check(&w.done(&outputs), 2);
}

#[test]
fn branches() {
    let mut w = Writer::default();
    let [a, b] = [w.x(&[3]), w.x(&[3])];
    let y = unary(&mut w, Unary::Exp, b);
    let other = Arc::new(w.done(&[y, a]));
    for x in [0.5, 1.5] {
        let mut w = Writer::default();
        let [x_, a, b] = [w.x(&[]), w.x(&[3]), w.x(&[3])];
        let one = w.op(
            Op::Const {
                value: Scalar::from_f64(DType::F64, 1.0),
            },
            &[],
        );
        let predicate = Predicate::Lt;
        let condition = w.op(Op::Compare { predicate }, &[x_, one]);
        let (then, other) = (body(), other.clone());
        let branch = w.op(Op::If { then, other }, &[condition, a, b]);
        let outputs = [w.get(branch, 0), w.get(branch, 1)];
        let graph = w.done(&outputs);
        let mut arrays = inputs(&graph);
        arrays[0] = Array::from_f64(&[], &[x]).unwrap();
        check_at(&graph, &arrays, 2);
    }
}

/// A recurrent net: h = tanh(h * w + x[i]) * c, with a counter, stacking h * h.
fn recurrent(trip: i64) -> Graph {
    let mut w = Writer::default();
    let i = w.input(DType::I64, &[]);
    let [h, c, x, weight] = [w.x(&[2]), w.x(&[]), w.x(&[2]), w.x(&[2])];
    let product = binary(&mut w, Binary::Mul, h, weight);
    let sum = binary(&mut w, Binary::Add, product, x);
    let sum = unary(&mut w, Unary::Tanh, sum);
    let i = w.op(Op::Cast { dtype: DType::F64 }, &[i]);
    let scaled = binary(&mut w, Binary::Add, c, i);
    let unit = w.op(
        Op::Reshape {
            dims: crate::check::dims(&[1]),
        },
        &[scaled],
    );
    let wide = w.op(
        Op::Expand {
            dims: crate::check::dims(&[2]),
        },
        &[unit],
    );
    let next = binary(&mut w, Binary::Mul, sum, wide);
    let square = binary(&mut w, Binary::Mul, h, h);
    let body = Arc::new(w.done(&[next, c, square]));
    let mut w = Writer::default();
    let [h, c, x, weight] = [w.x(&[2]), w.x(&[]), w.x(&[trip, 2]), w.x(&[2])];
    let op = Op::Loop {
        trip: Dim::constant(trip),
        carries: 2,
        scanned: 1,
        body,
    };
    let run = w.op(op, &[h, c, x, weight]);
    let outputs = [w.get(run, 0), w.get(run, 2)];
    w.done(&outputs)
}

#[test]
fn loops() {
    for trip in [0, 1, 3] {
        check(&recurrent(trip), 2);
    }
}

#[test]
fn gradients_of_loops_do_not_grow_with_the_trip_count() {
    let len = |trip| {
        let graph = recurrent(trip);
        let seeds = [Seed::Parameter, Seed::None];
        let vjp = vjp(&graph, &seeds, graph.inputs(), &NoRules).unwrap();
        print_graph(&vjp.graph).lines().count()
    };
    assert_eq!(len(3), len(5000));
}

#[test]
fn a_cotangent_reaches_through_several_carries() {
    // a <- b, b <- c, c <- c * k: only a is used.
    let mut w = Writer::default();
    w.input(DType::I64, &[]);
    let [_, b, c, k] = [(); 4].map(|()| w.x(&[]));
    let next = binary(&mut w, Binary::Mul, c, k);
    let body = Arc::new(w.done(&[b, c, next]));
    let mut w = Writer::default();
    let operands = [(); 4].map(|()| w.x(&[]));
    let trip = Dim::constant(4);
    let op = Op::Loop {
        trip,
        carries: 3,
        scanned: 0,
        body,
    };
    let run = w.op(op, &operands);
    let a = w.get(run, 0);
    check(&w.done(&[a]), 2);
}

/// Doubles x until it is 10 or more.
fn doubling() -> Graph {
    let mut w = Writer::default();
    let [x, limit] = [w.x(&[]), w.x(&[])];
    let predicate = Predicate::Lt;
    let low = w.op(Op::Compare { predicate }, &[x, limit]);
    let cond = Arc::new(w.done(&[low]));
    let mut w = Writer::default();
    let [x, _] = [w.x(&[]), w.x(&[])];
    let y = binary(&mut w, Binary::Mul, x, x);
    let y = binary(&mut w, Binary::Add, x, y);
    let body = Arc::new(w.done(&[y]));
    let mut w = Writer::default();
    let [x, limit] = [w.x(&[]), w.x(&[])];
    let carries = 1;
    let op = Op::While {
        carries,
        cond,
        body,
    };
    let run = w.op(op, &[x, limit]);
    let y = w.get(run, 0);
    w.done(&[y])
}

#[test]
fn while_has_forward_mode_only() {
    let graph = doubling();
    let along: Vec<_> = graph.inputs().iter().map(|&i| (i, Seed::One)).collect();
    let forward = jvp(&graph, &along, &NoRules).unwrap();
    let at = |x: f64| [x, 10.0].map(|v| Array::from_f64(&[], &[v]).unwrap());
    let tangent = run(&forward.graph, &at(0.5))[forward.tangents[0].unwrap()].to_f64_vec()[0];
    let value = |x: f64| run(&graph, &at(x))[0].to_f64_vec()[0];
    let slope = (value(0.5 + 1e-6) - value(0.5 - 1e-6)) / 2e-6;
    assert!((tangent - slope).abs() < 1e-4 * slope, "{tangent} {slope}");
    let error = vjp(&graph, &[Seed::One], graph.inputs(), &NoRules).unwrap_err();
    assert!(matches!(error, AutodiffError::NoDerivative { .. }));
    assert!(
        error.to_string().contains("while loop has no reverse mode"),
        "{error}"
    );
}
