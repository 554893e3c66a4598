//! Where derivatives are a matter of choice, the choice is PyTorch's; and what is not taken does not
//! poison what is.

use crate::check::{Writer, gradients};
use lazulite_ir::{Array, Binary, Combine, DType, Graph, NodeId, Op, Predicate, Scalar, Unary};

fn array(values: &[f64]) -> Array {
    Array::from_f64(&[values.len()], values).unwrap()
}

fn binary(f: Binary, len: i64) -> Graph {
    let mut w = Writer::default();
    let [a, b] = [w.x(&[len]), w.x(&[len])];
    let y = w.op(Op::Binary { f }, &[a, b]);
    w.done(&[y])
}

#[test]
fn ties_share() {
    for f in [Binary::Max, Binary::Min] {
        let [a, b] = [array(&[1.0, 2.0, 3.0]), array(&[1.0, 3.0, 2.0])];
        let g = gradients(&binary(f, 3), &[a, b]);
        let wins = if f == Binary::Max {
            [0.0, 1.0]
        } else {
            [1.0, 0.0]
        };
        assert_eq!(g[0], [0.5, wins[0], wins[1]]);
        assert_eq!(g[1], [0.5, wins[1], wins[0]]);
    }
    let mut w = Writer::default();
    let x = w.x(&[4]);
    let kind = Combine::Max;
    let y = w.op(
        Op::Reduce {
            kind,
            axes: vec![0],
        },
        &[x],
    );
    let g = gradients(&w.done(&[y]), &[array(&[2.0, 1.0, 2.0, 2.0])]);
    let third = 1.0 / 3.0;
    assert_eq!(g[0], [third, 0.0, third, third]);
    let mut w = Writer::default();
    let x = w.x(&[4]);
    let scan = Op::Scan {
        kind,
        axis: 0,
        reverse: false,
    };
    let y = w.op(scan, &[x]);
    let g = gradients(&w.done(&[y]), &[array(&[2.0, 1.0, 2.0, 0.0])]);
    assert_eq!(g[0], [2.0, 0.0, 2.0, 0.0]);
}

#[test]
fn powers_at_zero() {
    let bases = array(&[0.0, 0.0, 0.0, 0.0, 2.0]);
    let exponents = array(&[0.0, 1.0, 2.0, 0.5, 0.0]);
    let g = gradients(&binary(Binary::Pow, 5), &[bases, exponents]);
    assert_eq!(g[0], [0.0, 1.0, 0.0, f64::INFINITY, 0.0]);
    assert_eq!(g[1], [0.0, 0.0, 0.0, 0.0, 2f64.ln()]);
}

fn unary(f: Unary, len: i64) -> Graph {
    let mut w = Writer::default();
    let x = w.x(&[len]);
    let y = w.op(Op::Unary { f }, &[x]);
    w.done(&[y])
}

#[test]
fn functions_at_zero() {
    let g = gradients(&unary(Unary::Sqrt, 2), &[array(&[0.0, 4.0])]);
    assert_eq!(g[0], [f64::INFINITY, 0.25]);
    let g = gradients(&unary(Unary::Abs, 3), &[array(&[0.0, -2.0, 3.0])]);
    assert_eq!(g[0], [0.0, -1.0, 1.0]);
    let g = gradients(&unary(Unary::Floor, 2), &[array(&[1.5, -0.5])]);
    assert_eq!(g[0], [0.0, 0.0]);
    let mut w = Writer::default();
    let z = w.input(DType::C128, &[2]);
    let y = w.op(Op::Unary { f: Unary::Abs }, &[z]);
    let y = w.op(Op::Real {}, &[y]);
    let values = [(0.0, 0.0), (3.0, -4.0)].map(|(a, b)| Scalar::from_complex(DType::C128, a, b));
    let z = Array::from_scalars(DType::C128, &[2], &values).unwrap();
    assert_eq!(gradients(&w.done(&[y]), &[z])[0], [0.0, 0.0, 0.6, -0.8]);
}

#[test]
fn the_branch_not_taken_does_not_poison() {
    // where(x > 0, sqrt(x), x) at 0 and below; the inner mask keeps what reaches sqrt finite.
    let mut w = Writer::default();
    let x = w.x(&[3]);
    let zero = splat(&mut w, 0.0, 3);
    let one = splat(&mut w, 1.0, 3);
    let predicate = Predicate::Lt;
    let positive = w.op(Op::Compare { predicate }, &[zero, x]);
    let safe = w.op(Op::Select {}, &[positive, x, one]);
    let log = w.op(Op::Unary { f: Unary::Log }, &[safe]);
    let y = w.op(Op::Select {}, &[positive, log, x]);
    let g = gradients(&w.done(&[y]), &[array(&[0.0, -1.0, 2.0])]);
    assert_eq!(g[0], [1.0, 1.0, 0.5]);
    // A NaN in the branch itself.
    let mut w = Writer::default();
    let x = w.x(&[2]);
    let nan = splat(&mut w, f64::NAN, 2);
    let zero = splat(&mut w, 0.0, 2);
    let below = w.op(Op::Compare { predicate }, &[x, zero]);
    let product = w.op(Op::Binary { f: Binary::Add }, &[x, nan]);
    let y = w.op(Op::Select {}, &[below, product, x]);
    let g = gradients(&w.done(&[y]), &[array(&[1.0, 2.0])]);
    assert_eq!(g[0], [1.0, 1.0]);
}

fn splat(w: &mut Writer, value: f64, len: i64) -> NodeId {
    let value = Scalar::from_f64(DType::F64, value);
    let value = w.op(Op::Const { value }, &[]);
    let unit = w.op(
        Op::Reshape {
            dims: crate::check::dims(&[1]),
        },
        &[value],
    );
    w.op(
        Op::Expand {
            dims: crate::check::dims(&[len]),
        },
        &[unit],
    )
}

/// softmax as it is recorded: exp(x - max(x)) / sum.
fn softmax(len: i64) -> Graph {
    let mut w = Writer::default();
    let x = w.x(&[len]);
    let widen = |w: &mut Writer, x: NodeId| {
        let unit = w.op(
            Op::Reshape {
                dims: crate::check::dims(&[1]),
            },
            &[x],
        );
        w.op(
            Op::Expand {
                dims: crate::check::dims(&[len]),
            },
            &[unit],
        )
    };
    let reduce = |kind| Op::Reduce {
        kind,
        axes: vec![0],
    };
    let max = w.op(reduce(Combine::Max), &[x]);
    let max = widen(&mut w, max);
    let minus = w.op(Op::Unary { f: Unary::Neg }, &[max]);
    let shifted = w.op(Op::Binary { f: Binary::Add }, &[x, minus]);
    let exp = w.op(Op::Unary { f: Unary::Exp }, &[shifted]);
    let sum = w.op(reduce(Combine::Sum), &[exp]);
    let sum = widen(&mut w, sum);
    let y = w.op(Op::Binary { f: Binary::Div }, &[exp, sum]);
    let start = crate::check::dims(&[0]);
    let slice = Op::Slice {
        start,
        len: crate::check::dims(&[1]),
        step: vec![1],
    };
    let first = w.op(slice, &[y]);
    w.done(&[first])
}

#[test]
fn softmax_of_large_numbers_has_finite_gradients() {
    let graph = softmax(3);
    crate::check::check(&graph, 2);
    let g = gradients(&graph, &[array(&[1000.0, 1000.0, -1e6])]);
    assert_eq!(g[0], [0.25, -0.25, 0.0]);
}
