//! Every operation, alone and with neighbours.

use super::*;
use lazulite_ir::{Binary, Combine, Dims, Predicate, Unary};

fn consts(values: &[i64]) -> Dims {
    values.iter().map(|&v| Dim::constant(v)).collect()
}

#[test]
fn pointwise_chains_are_one_loop() {
    let mut m = Make::new();
    let (x, y) = (m.input(f32s(&[3, 4])), m.input(f32s(&[3, 4])));
    let e = m.unary(Unary::Exp, x);
    let s = m.binary(Binary::Mul, e, y);
    let c = m.op(
        Op::Compare {
            predicate: Predicate::Lt,
        },
        &[s, x],
    );
    let z = m.op(Op::Select {}, &[c, s, x]);
    let plan = check(&m.finish(&[z, s]));
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
    assert_eq!(kernels(&plan)[0].outer, [Dim::constant(12)]);
}

#[test]
fn views_are_index_maps() {
    let mut m = Make::new();
    let x = m.input(f32s(&[4, 6]));
    let p = m.op(Op::Permute { perm: vec![1, 0] }, &[x]);
    let r = m.op(
        Op::Reshape {
            dims: consts(&[2, 3, 4]),
        },
        &[p],
    );
    let s = m.op(
        Op::Slice {
            start: consts(&[1, 0, 3]),
            len: consts(&[1, 2, 4]),
            step: vec![1, 2, -1],
        },
        &[r],
    );
    let e = m.op(
        Op::Expand {
            dims: consts(&[3, 2, 4]),
        },
        &[s],
    );
    let w = m.op(
        Op::Window {
            axis: 2,
            size: Dim::constant(2),
            stride: Dim::ONE,
            dilation: Dim::constant(2),
        },
        &[e],
    );
    let fill = m.op(
        Op::Const {
            value: Scalar::from_f64(DType::F32, 7.0),
        },
        &[],
    );
    let pad = m.op(
        Op::Pad {
            low: consts(&[1, 0, -1, 2]),
            high: consts(&[0, 2, 1, 0]),
            interior: consts(&[1, 0, 0, 2]),
        },
        &[w, fill],
    );
    let plan = check(&m.finish(&[w, pad]));
    assert!(plan.steps.len() <= 2, "{}", print_plan(&plan));
}

#[test]
fn leaves_are_made_in_place() {
    let mut m = Make::new();
    let x = m.input(TensorType::new(
        DType::F32,
        [Dim::symbol("n"), Dim::constant(3)],
    ));
    let n = Dim::symbol("n");
    let i = m.op(
        Op::Iota {
            len: n.clone(),
            dtype: DType::F32,
        },
        &[],
    );
    let i = m.spread(i, x, &[1]);
    let size = m.op(
        Op::Size {
            value: n,
            dtype: DType::F32,
        },
        &[],
    );
    let like = m.builder.dims(x);
    let size = m.builder.broadcast(size, &like).unwrap();
    let a = m.binary(Binary::Add, x, i);
    let b = m.binary(Binary::Mul, a, size);
    let seed = m.input(ty(DType::U64, &[]));
    let r = m.op(
        Op::Random {
            dims: like,
            dtype: DType::U32,
        },
        &[seed, seed],
    );
    let r = m.op(Op::Cast { dtype: DType::F32 }, &[r]);
    let c = m.binary(Binary::Add, b, r);
    let graph = m.finish(&[c, size]);
    check_at(&graph, 1);
    check_at(&graph, 0);
    assert_eq!(check(&graph).steps.len(), 1);
}

#[test]
fn reductions_of_all_axes_and_sizes() {
    for (shape, axes) in [
        (&[3i64, 4, 5][..], &[0u32][..]),
        (&[3, 4, 5], &[1]),
        (&[3, 4, 5], &[2]),
        (&[3, 4, 5], &[0, 2]),
        (&[3, 4, 5], &[0, 1, 2]),
        (&[3, 1, 5], &[1]),
        (&[3, 0, 5], &[1]),
        (&[0, 4], &[1]),
        (&[], &[]),
    ] {
        for &kind in Combine::ALL {
            let mut m = Make::new();
            let x = m.input(f32s(shape));
            let r = m.reduce(kind, x, axes);
            let y = m.unary(Unary::Neg, r);
            check(&m.finish(&[r, y]));
        }
    }
}

#[test]
fn scans_run_both_ways() {
    for axis in 0..3 {
        for reverse in [false, true] {
            let mut m = Make::new();
            let x = m.input(ty(DType::I32, &[3, 4, 2]));
            let y = m.unary(Unary::Neg, x);
            let kind = Combine::Sum;
            let s = m.op(
                Op::Scan {
                    kind,
                    axis,
                    reverse,
                },
                &[y],
            );
            let z = m.binary(Binary::Add, s, x);
            check(&m.finish(&[z]));
        }
    }
}

#[test]
fn folds_undo_windows() {
    for (stride, dilation, len) in [(1, 1, 8), (2, 1, 9), (1, 2, 12), (3, 2, 15)] {
        let mut m = Make::new();
        let x = m.input(f32s(&[2, 4, 3]));
        let op = Op::Fold {
            axis: 1,
            len: Dim::constant(len),
            stride: Dim::constant(stride),
            dilation: Dim::constant(dilation),
        };
        let y = m.unary(Unary::Exp, x);
        let f = m.op(op, &[y]);
        check(&m.finish(&[f]));
    }
}

#[test]
fn gathers_check_and_inline() {
    let mut m = Make::new();
    let x = m.input(f32s(&[6, 4]));
    let i = m.input(ty(DType::I64, &[3]));
    let i = m.binary(Binary::Mul, i, i);
    let g = m.op(Op::Gather { axes: vec![0] }, &[x, i]);
    let y = m.unary(Unary::Exp, g);
    let plan = check(&m.finish(&[y]));
    assert_eq!(plan.steps.len(), 1);
    let mut m = Make::new();
    let x = m.input(f32s(&[6, 4]));
    let i = m.input(ty(DType::I32, &[3, 2]));
    let i = m.binary(Binary::Mul, i, i);
    let g = m.op(Op::Gather { axes: vec![1, 0] }, &[x, i, i]);
    check(&m.finish(&[g]));
}

#[test]
fn gathers_by_known_indices_need_no_check() {
    let mut m = Make::new();
    let x = m.input(f32s(&[6, 4]));
    let len = Dim::constant(5);
    let i = m.op(
        Op::Iota {
            len,
            dtype: DType::I32,
        },
        &[],
    );
    let g = m.op(Op::Gather { axes: vec![0] }, &[x, i]);
    let plan = check(&m.finish(&[g]));
    assert!(plan.faults.is_empty());
}

#[test]
fn scatters_combine_in_order() {
    for combine in [None, Some(Combine::Sum), Some(Combine::Max)] {
        let mut m = Make::new();
        let x = m.input(f32s(&[5, 4]));
        let i = m.input(ty(DType::I64, &[3, 2]));
        let u = m.input(f32s(&[3, 2, 4]));
        let i = m.binary(Binary::Mul, i, i);
        let axes = vec![0];
        let s = m.op(Op::Scatter { axes, combine }, &[x, u, i]);
        let y = m.unary(Unary::Neg, s);
        check(&m.finish(&[y]));
    }
    let mut m = Make::new();
    let x = m.input(f32s(&[5]));
    let i = m.input(ty(DType::I32, &[7]));
    let u = m.input(f32s(&[7]));
    let i = m.binary(Binary::Mul, i, i);
    let x = m.unary(Unary::Exp, x);
    let combine = Some(Combine::Sum);
    let axes = vec![0];
    let s = m.op(Op::Scatter { axes, combine }, &[x, u, i]);
    check(&m.finish(&[s]));
}

#[test]
fn sorts_and_gets() {
    let mut m = Make::new();
    let x = m.input(f32s(&[3, 4, 2]));
    let y = m.unary(Unary::Neg, x);
    let s = m.op(
        Op::Sort {
            axis: 1,
            descending: true,
        },
        &[y, x],
    );
    let a = m.op(Op::Get { index: 0 }, &[s]);
    let b = m.op(Op::Get { index: 1 }, &[s]);
    let c = m.binary(Binary::Add, a, b);
    check(&m.finish(&[b, c]));
}

#[test]
fn integer_division_faults() {
    let mut m = Make::new();
    let x = m.input(ty(DType::I32, &[4]));
    let y = m.input(ty(DType::I32, &[4]));
    let d = m.binary(Binary::Div, x, y);
    let graph = m.finish(&[d]);
    let a = Array::from_i32(&[4], &[7, -7, 5, 1]).unwrap();
    check_on(
        &graph,
        &[a.clone(), Array::from_i32(&[4], &[2, 3, 1, 4]).unwrap()],
    );
    check_on(&graph, &[a, Array::from_i32(&[4], &[2, 0, 1, 4]).unwrap()]);
}

#[test]
fn products_of_all_layouts_and_types() {
    for dtype in [
        DType::F32,
        DType::F64,
        DType::F16,
        DType::BF16,
        DType::I8,
        DType::U8,
        DType::U32,
        DType::I64,
    ] {
        let mut m = Make::new();
        let a = m.input(ty(dtype, &[2, 3, 5]));
        let b = m.input(ty(dtype, &[2, 5, 70]));
        let c = m.matmul(a, b);
        let d = m.binary(Binary::Add, c, c);
        check(&m.finish(&[c, d]));
    }
    let mut m = Make::new();
    let a = m.input(f32s(&[5, 2, 3, 4]));
    let b = m.input(f32s(&[4, 3, 6, 2, 7]));
    let op = Op::Contract {
        lhs_batch: vec![1],
        rhs_batch: vec![3],
        lhs_sum: vec![3, 2],
        rhs_sum: vec![0, 1],
        acc: DType::F64,
    };
    let c = m.op(op, &[a, b]);
    check(&m.finish(&[c]));
    for sizes in [[0, 3, 4], [2, 0, 4], [2, 3, 0], [1, 1, 1]] {
        let mut m = Make::new();
        let a = m.input(f32s(&[sizes[0], sizes[1]]));
        let b = m.input(f32s(&[sizes[1], sizes[2]]));
        let c = m.matmul(a, b);
        check(&m.finish(&[c]));
    }
}

#[test]
fn operands_of_products_may_be_results_of_operations_with_several() {
    let mut m = Make::new();
    let a = m.input(f32s(&[20, 30]));
    let sort = Op::Sort {
        axis: 1,
        descending: false,
    };
    let sorted = m.op(sort, &[a]);
    let sorted = m.op(Op::Get { index: 0 }, &[sorted]);
    let b = m.input(f32s(&[30, 20]));
    let product = m.matmul(sorted, b);
    check(&m.finish(&[product]));
}

#[test]
fn products_of_narrow_factors_read_them_as_they_are() {
    let sum = |axes: [u32; 2], acc| Op::Contract {
        lhs_batch: vec![],
        rhs_batch: vec![],
        lhs_sum: vec![axes[0]],
        rhs_sum: vec![axes[1]],
        acc,
    };
    let (bf16, byte) = ([DType::BF16; 2], [DType::I8; 2]);
    let mixed = [DType::U8, DType::I8];
    for (factors, acc) in [
        (bf16, DType::F32),
        (bf16, DType::BF16),
        (byte, DType::I32),
        (byte, DType::I8),
        (mixed, DType::I32),
    ] {
        // In order, transposed and computed, with sums of 7 and 8.
        for (k, axes) in [(7, [1, 0]), (8, [1, 0]), (7, [0, 1]), (7, [1, 1])] {
            let mut m = Make::new();
            let shape = |axis: u32, other: i64| match axis {
                0 => [k, other],
                _ => [other, k],
            };
            let a = m.input(ty(factors[0], &shape(axes[0], 13)));
            let b = m.input(ty(factors[1], &shape(axes[1], 70)));
            let product = |m: &mut Make, a, b| match factors[0] == factors[1] {
                true => {
                    let wide = acc.compute();
                    m.op(sum(axes, wide), &[a, b])
                }
                false => {
                    let wide = [a, b].map(|x| m.op(Op::Cast { dtype: acc }, &[x]));
                    m.op(sum(axes, acc), &wide)
                }
            };
            let plain = product(&mut m, a, b);
            let twice = m.binary(Binary::Add, b, b);
            let computed = product(&mut m, a, twice);
            let graph = m.finish(&[plain, computed]);
            let plan = check(&graph);
            let narrow = |step: &Step| match step {
                Step::Contract(c) => Some(c.factors),
                _ => None,
            };
            let found: Vec<_> = plan.steps.iter().filter_map(narrow).collect();
            assert!(found.contains(&factors), "{found:?} in {graph}");
        }
    }
}
