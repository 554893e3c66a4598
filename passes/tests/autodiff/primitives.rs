//! Every differentiable primitive, with several shapes, to second order.

use crate::check::{Writer, check, check_at, dims, filled, inputs};
use lazulite_ir::{Array, Binary, Combine, DType, Dim, Graph, NodeId, Op, Predicate, Unary};

const SHAPES: [&[i64]; 4] = [&[], &[3], &[2, 0], &[2, 3]];

/// One operation on one tensor.
fn one(dims: &[i64], op: Op) -> Graph {
    let mut w = Writer::default();
    let x = w.x(dims);
    let y = w.op(op, &[x]);
    w.done(&[y])
}

#[test]
fn unary() {
    for &f in Unary::ALL {
        for shape in SHAPES {
            check(&one(shape, Op::Unary { f }), 2);
        }
        let graph = one(&[3], Op::Unary { f });
        let negative = matches!(f, Unary::Sqrt | Unary::Log | Unary::Log1p);
        if !negative {
            let ty = graph.tensor_type(graph.inputs()[0]).clone();
            check_at(&graph, &[filled(&ty, 5, -1.8, -0.4)], 2);
        }
    }
}

#[test]
fn complex_unary() {
    for &f in Unary::ALL {
        let real = [Unary::Floor, Unary::Round, Unary::Atan, Unary::Erf];
        if real.contains(&f) {
            continue;
        }
        let mut w = Writer::default();
        let x = w.input(DType::C128, &[3]);
        let y = w.op(Op::Unary { f }, &[x]);
        check(&w.done(&[y]), 2);
    }
}

fn two(dtype: DType, shape: &[i64], f: Binary) -> Graph {
    let mut w = Writer::default();
    let [a, b] = [w.input(dtype, shape), w.input(dtype, shape)];
    let y = w.op(Op::Binary { f }, &[a, b]);
    w.done(&[y])
}

#[test]
fn binary() {
    use Binary::*;
    for f in [Add, Mul, Div, Rem, Max, Min, Pow] {
        for shape in SHAPES {
            check(&two(DType::F64, shape, f), 2);
        }
    }
    for f in [Add, Mul, Div, Pow] {
        check(&two(DType::C128, &[2], f), 2);
    }
    // The same tensor twice.
    for f in [Add, Mul, Div, Pow] {
        let mut w = Writer::default();
        let x = w.x(&[3]);
        let y = w.op(Op::Binary { f }, &[x, x]);
        check(&w.done(&[y]), 2);
    }
}

#[test]
fn conversions() {
    for (from, to) in [(DType::F64, DType::C128), (DType::C128, DType::F64)] {
        let mut w = Writer::default();
        let x = w.input(from, &[3]);
        let y = w.op(Op::Cast { dtype: to }, &[x]);
        check(&w.done(&[y]), 2);
    }
    let mut w = Writer::default();
    let [re, im] = [w.x(&[3]), w.x(&[3])];
    let z = w.op(Op::Complex {}, &[re, im]);
    let square = w.op(Op::Binary { f: Binary::Mul }, &[z, z]);
    let a = w.op(Op::Real {}, &[square]);
    let b = w.op(Op::Imag {}, &[square]);
    check(&w.done(&[square, a, b]), 2);
}

#[test]
fn selection() {
    let mut w = Writer::default();
    let [a, b] = [w.x(&[2, 3]), w.x(&[2, 3])];
    let predicate = Predicate::Lt;
    let condition = w.op(Op::Compare { predicate }, &[a, b]);
    let product = w.op(Op::Binary { f: Binary::Mul }, &[a, b]);
    let y = w.op(Op::Select {}, &[condition, product, b]);
    check(&w.done(&[y, condition]), 2);
}

#[test]
fn views() {
    check(
        &one(
            &[2, 3],
            Op::Reshape {
                dims: dims(&[3, 2]),
            },
        ),
        2,
    );
    check(
        &one(
            &[2, 0],
            Op::Reshape {
                dims: dims(&[0, 5]),
            },
        ),
        2,
    );
    check(
        &one(
            &[],
            Op::Reshape {
                dims: dims(&[1, 1]),
            },
        ),
        2,
    );
    check(
        &one(
            &[2, 3, 4],
            Op::Permute {
                perm: vec![2, 0, 1],
            },
        ),
        2,
    );
    check(
        &one(
            &[1, 3, 1],
            Op::Expand {
                dims: dims(&[4, 3, 0]),
            },
        ),
        2,
    );
    check(
        &one(
            &[1, 3],
            Op::Expand {
                dims: dims(&[2, 3]),
            },
        ),
        2,
    );
}

#[test]
fn slices() {
    let slice = |start: &[i64], len: &[i64], step: &[i64]| Op::Slice {
        start: dims(start),
        len: dims(len),
        step: step.to_vec(),
    };
    check(&one(&[5, 4], slice(&[1, 0], &[3, 4], &[1, 1])), 2);
    check(&one(&[5, 7], slice(&[4, 6], &[3, 3], &[-2, -3])), 2);
    check(&one(&[5, 7], slice(&[4, 1], &[5, 2], &[-1, 3])), 2);
    check(&one(&[5], slice(&[9], &[0], &[2])), 2);
    check(&one(&[0], slice(&[0], &[0], &[-1])), 2);
}

#[test]
fn pads() {
    let pad = |x: &[i64], low: &[i64], high: &[i64], interior: &[i64]| {
        let mut w = Writer::default();
        let [x, fill] = [w.x(x), w.x(&[])];
        let [low, high, interior] = [low, high, interior].map(dims);
        let op = Op::Pad {
            low,
            high,
            interior,
        };
        let y = w.op(op, &[x, fill]);
        check(&w.done(&[y]), 2);
    };
    pad(&[2, 3], &[1, 0], &[0, 2], &[0, 0]);
    pad(&[3], &[-1], &[2], &[2]);
    pad(&[4], &[-2], &[-3], &[1]);
    pad(&[0], &[2], &[1], &[3]);
    pad(&[], &[], &[], &[]);
    pad(&[1, 2], &[1, -1], &[1, 3], &[4, 0]);
}

#[test]
fn windows_and_folds() {
    let [one_, two, three] = [1, 2, 3].map(Dim::constant);
    let window = |axis, size: &Dim, stride: &Dim, dilation: &Dim| Op::Window {
        axis,
        size: size.clone(),
        stride: stride.clone(),
        dilation: dilation.clone(),
    };
    check(&one(&[7], window(0, &three, &one_, &one_)), 2);
    check(&one(&[2, 8], window(1, &two, &three, &two)), 2);
    check(&one(&[6, 2], window(0, &two, &two, &three)), 2);
    check(&one(&[2], window(0, &three, &one_, &one_)), 2);
    let fold = |axis, len, stride: &Dim, dilation: &Dim| Op::Fold {
        axis,
        len: Dim::constant(len),
        stride: stride.clone(),
        dilation: dilation.clone(),
    };
    check(&one(&[5, 3], fold(0, 7, &one_, &one_)), 2);
    check(&one(&[2, 2, 2], fold(1, 9, &three, &two)), 2);
    check(&one(&[0, 2], fold(0, 3, &one_, &one_)), 2);
    check(&one(&[2, 0], fold(0, 3, &one_, &one_)), 2);
}

const COMBINES: [Combine; 4] = [Combine::Sum, Combine::Prod, Combine::Max, Combine::Min];

#[test]
fn reductions() {
    let shapes: [(&[i64], &[u32]); 7] = [
        (&[4], &[0]),
        (&[2, 3], &[0]),
        (&[2, 3], &[0, 1]),
        (&[2, 3, 2], &[0, 2]),
        (&[0, 2], &[0]),
        (&[2, 3], &[]),
        (&[0, 2], &[1]),
    ];
    for kind in COMBINES {
        for (x, axes) in shapes {
            let axes = axes.to_vec();
            check(&one(x, Op::Reduce { kind, axes }), 2);
        }
    }
}

#[test]
fn scans() {
    for kind in COMBINES {
        for reverse in [false, true] {
            for (shape, axis) in [
                (&[4][..], 0),
                (&[2, 3], 1),
                (&[3, 2], 0),
                (&[0], 0),
                (&[1], 0),
            ] {
                let op = Op::Scan {
                    kind,
                    axis,
                    reverse,
                };
                check(&one(shape, op), 2);
            }
        }
    }
}

#[test]
fn products_with_zeros() {
    let zeros: [[f64; 3]; 3] = [[0.0, 1.5, 2.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]];
    for values in zeros {
        let x = Array::from_f64(&[3], &values).unwrap();
        let kind = Combine::Prod;
        let reduce = one(
            &[3],
            Op::Reduce {
                kind,
                axes: vec![0],
            },
        );
        check_at(&reduce, std::slice::from_ref(&x), 3);
        for reverse in [false, true] {
            let axis = 0;
            let op = Op::Scan {
                kind,
                axis,
                reverse,
            };
            check_at(&one(&[3], op), std::slice::from_ref(&x), 2);
        }
    }
}

#[test]
fn contractions() {
    let contract = |dtype, x: &[i64], y: &[i64], batch: [&[u32]; 2], sum: [&[u32]; 2], order| {
        let mut w = Writer::default();
        let [a, b] = [w.input(dtype, x), w.input(dtype, y)];
        let op = Op::Contract {
            lhs_batch: batch[0].to_vec(),
            rhs_batch: batch[1].to_vec(),
            lhs_sum: sum[0].to_vec(),
            rhs_sum: sum[1].to_vec(),
            acc: dtype,
        };
        let y = w.op(op, &[a, b]);
        check(&w.done(&[y]), order);
    };
    let f = DType::F64;
    contract(f, &[2, 3], &[3, 4], [&[], &[]], [&[1], &[0]], 2);
    contract(f, &[3, 2], &[4, 3], [&[], &[]], [&[0], &[1]], 2);
    contract(f, &[5, 2, 3], &[3, 5, 4], [&[0], &[1]], [&[2], &[0]], 2);
    contract(
        f,
        &[2, 3, 4, 2],
        &[4, 2, 3, 2],
        [&[3], &[1]],
        [&[1, 2], &[2, 0]],
        2,
    );
    contract(f, &[3], &[2], [&[], &[]], [&[], &[]], 2);
    contract(f, &[0, 2], &[2, 3], [&[], &[]], [&[1], &[0]], 2);
    contract(f, &[2, 0], &[0, 3], [&[], &[]], [&[1], &[0]], 2);
    contract(f, &[3], &[3], [&[0], &[0]], [&[], &[]], 2);
    contract(DType::C128, &[2, 3], &[3, 2], [&[], &[]], [&[1], &[0]], 2);
}

fn index(values: &[i64], dims: &[usize]) -> Array {
    Array::from_i64(dims, values).unwrap()
}

fn with_indices(graph: &Graph, indices: &[Array]) -> Vec<Array> {
    let mut arrays = inputs(graph);
    let at = arrays.len() - indices.len();
    arrays.truncate(at);
    arrays.extend_from_slice(indices);
    arrays
}

#[test]
fn gathers() {
    let gather = |x: &[i64], axes: &[u32], indices: &[Array]| {
        let mut w = Writer::default();
        let mut operands = vec![w.x(x)];
        for i in indices {
            let dims: Vec<i64> = i.dims.iter().map(|&d| d as i64).collect();
            operands.push(w.input(DType::I64, &dims));
        }
        let axes = axes.to_vec();
        let y = w.op(Op::Gather { axes }, &operands);
        let graph = w.done(&[y]);
        check_at(&graph, &with_indices(&graph, indices), 2);
    };
    gather(&[4, 2], &[0], &[index(&[3, 1, 1], &[3])]);
    gather(&[2, 3], &[1], &[index(&[2], &[])]);
    gather(
        &[2, 3],
        &[1, 0],
        &[index(&[2, 0, 2], &[3]), index(&[1, 1, 1], &[3])],
    );
    gather(&[3, 2], &[0], &[index(&[], &[0])]);
}

fn scatter(combine: Option<Combine>, x: &[i64], updates: &[i64], at: Array) -> Graph {
    let mut w = Writer::default();
    let at_dims: Vec<i64> = at.dims.iter().map(|&d| d as i64).collect();
    let operands = [w.x(x), w.x(updates), w.input(DType::I64, &at_dims)];
    let axes = vec![0];
    let y = w.op(Op::Scatter { axes, combine }, &operands);
    w.done(&[y])
}

#[test]
fn scatters() {
    let modes = [None].into_iter().chain(COMBINES.map(Some));
    for combine in modes {
        let cases: [(&[i64], &[i64], Array); 5] = [
            (&[4], &[3], index(&[2, 0, 2], &[3])),
            (&[4, 2], &[3, 2], index(&[1, 1, 1], &[3])),
            (&[3, 2], &[2], index(&[1], &[])),
            (&[3, 2], &[0, 2], index(&[], &[0])),
            (&[3], &[2, 2], index(&[0, 2, 2, 0], &[2, 2])),
        ];
        for (x, updates, at) in cases {
            let graph = scatter(combine, x, updates, at.clone());
            check_at(&graph, &with_indices(&graph, &[at]), 2);
        }
    }
}

#[test]
fn scattered_products_with_zeros() {
    let at = index(&[0, 0, 1, 1], &[4]);
    let graph = scatter(Some(Combine::Prod), &[3], &[4], at.clone());
    for x in [[1.5, 0.0, 2.0], [0.0, 0.0, 0.0]] {
        for updates in [[0.0, 2.0, 3.0, 0.5], [0.0, 0.0, 0.0, 2.0]] {
            let x = Array::from_f64(&[3], &x).unwrap();
            let updates = Array::from_f64(&[4], &updates).unwrap();
            check_at(&graph, &[x, updates, at.clone()], 2);
        }
    }
}

#[test]
fn sorts() {
    for (shape, axis) in [(&[5][..], 0), (&[3, 4], 0), (&[2, 3], 1), (&[0, 2], 0)] {
        for descending in [false, true] {
            let mut w = Writer::default();
            let [keys, payload] = [w.x(shape), w.x(shape)];
            let sorted = w.op(Op::Sort { axis, descending }, &[keys, payload]);
            let results: Vec<NodeId> = (0..2).map(|i| w.get(sorted, i)).collect();
            let product = w.op(Op::Binary { f: Binary::Mul }, &results);
            check(&w.done(&[product, results[1]]), 2);
        }
    }
}
