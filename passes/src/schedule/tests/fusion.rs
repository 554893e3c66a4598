//! What becomes one kernel.

use super::*;
use lazulite_ir::{Binary, Combine, Lanes, Step, Unary};

fn softmax(m: &mut Make, x: NodeId, axis: u32) -> NodeId {
    let max = m.reduce(Combine::Max, x, &[axis]);
    let max = m.spread(max, x, &[axis]);
    let centred = m.builder.sub(x, max).unwrap();
    let e = m.unary(Unary::Exp, centred);
    let sum = m.reduce(Combine::Sum, e, &[axis]);
    let sum = m.spread(sum, x, &[axis]);
    m.binary(Binary::Div, e, sum)
}

fn mean(m: &mut Make, x: NodeId, axis: u32) -> NodeId {
    let count = m.builder.dims(x)[axis as usize].clone();
    let sum = m.reduce(Combine::Sum, x, &[axis]);
    let dtype = DType::F32;
    let count = m.op(
        Op::Size {
            value: count,
            dtype,
        },
        &[],
    );
    let dims = m.builder.dims(sum);
    let count = m.builder.broadcast(count, &dims).unwrap();
    m.binary(Binary::Div, sum, count)
}

fn layer_norm(m: &mut Make, x: NodeId) -> NodeId {
    let mu = mean(m, x, 1);
    let mu = m.spread(mu, x, &[1]);
    let centred = m.builder.sub(x, mu).unwrap();
    let square = m.binary(Binary::Mul, centred, centred);
    let variance = mean(m, square, 1);
    let eps = m.splat(1e-5, variance);
    let shifted = m.binary(Binary::Add, variance, eps);
    let deviation = m.unary(Unary::Sqrt, shifted);
    let deviation = m.spread(deviation, x, &[1]);
    m.binary(Binary::Div, centred, deviation)
}

/// Bytes read and written by a plan of kernels.
fn traffic(plan: &Plan) -> (Dim, Dim) {
    let mut sum = (Dim::ZERO, Dim::ZERO);
    for kernel in kernels(plan) {
        let work = kernel.work().unwrap();
        sum.0 = sum.0.add(&work.bytes_read().unwrap()).unwrap();
        sum.1 = sum.1.add(&work.bytes_written().unwrap()).unwrap();
    }
    sum
}

#[test]
fn softmax_reads_once_and_writes_once() {
    let mut m = Make::new();
    let x = m.input(f32s(&[6, 8]));
    let y = softmax(&mut m, x, 1);
    check(&m.finish(&[y]));
    let mut m = Make::new();
    let x = m.input(f32s(&[4096, 1024]));
    let y = softmax(&mut m, x, 1);
    let graph = m.finish(&[y]);
    let plan = plan_of(&graph, &ScheduleOptions::default());
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
    let bytes = Dim::constant(4096 * 1024 * 4);
    assert_eq!(
        traffic(&plan),
        (bytes.clone(), bytes),
        "{}",
        print_plan(&plan)
    );
    assert_eq!(kernels(&plan)[0].lanes, Lanes::Inner);
}

#[test]
fn softmax_of_columns_keeps_lanes_outside() {
    let mut m = Make::new();
    let x = m.input(f32s(&[6, 80]));
    let y = softmax(&mut m, x, 0);
    let plan = check(&m.finish(&[y]));
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
    assert_eq!(kernels(&plan)[0].lanes, Lanes::Outer);
}

#[test]
fn layer_norm_is_one_kernel() {
    let mut m = Make::new();
    let n = Dim::symbol("n");
    let x = m.input(TensorType::new(DType::F32, [n, Dim::constant(16)]));
    let y = layer_norm(&mut m, x);
    let plan = check(&m.finish(&[y]));
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
}

#[test]
fn perceptron_is_two_products_with_epilogues() {
    let mut m = Make::new();
    let x = m.input(f32s(&[5, 70]));
    let w1 = m.input(f32s(&[70, 90]));
    let b1 = m.input(f32s(&[90]));
    let w2 = m.input(f32s(&[90, 30]));
    let b2 = m.input(f32s(&[30]));
    let h = m.matmul(x, w1);
    let b1 = m.spread(b1, h, &[0]);
    let h = m.binary(Binary::Add, h, b1);
    let zero = m.splat(0.0, h);
    let h = m.binary(Binary::Max, h, zero);
    let y = m.matmul(h, w2);
    let b2 = m.spread(b2, y, &[0]);
    let y = m.binary(Binary::Add, y, b2);
    let plan = check(&m.finish(&[y]));
    assert_eq!(plan.steps.len(), 4, "{}", print_plan(&plan));
}

#[test]
fn outputs_and_sums_share_a_pass() {
    let mut m = Make::new();
    let x = m.input(f32s(&[64, 32]));
    let y = m.unary(Unary::Tanh, x);
    let a = m.reduce(Combine::Sum, y, &[1]);
    let b = m.reduce(Combine::Max, x, &[1]);
    let plan = check(&m.finish(&[y, a, b]));
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
}

#[test]
fn long_chains_are_cut_into_equal_kernels() {
    let mut m = Make::new();
    let x = m.input(f32s(&[10]));
    let mut y = x;
    for _ in 0..2000 {
        y = m.binary(Binary::Mul, y, x);
        y = m.binary(Binary::Add, y, x);
    }
    let graph = m.finish(&[y]);
    let plan = plan_of(&graph, &ScheduleOptions::default());
    assert!(plan.steps.len() < 40, "{}", plan.steps.len());
    assert!(plan.kernels.len() <= 3, "{}", plan.kernels.len());
    let insts = |k: &Kernel| k.stages.iter().map(|s| s.insts.len()).sum::<usize>();
    assert!(plan.kernels.iter().all(|k| insts(k) <= 256));
}

#[test]
fn large_sums_are_taken_in_blocks() {
    for (shape, axes) in [
        (vec![100_000i64], vec![0u32]),
        (vec![1 << 17], vec![0]),
        (vec![300, 200], vec![0, 1]),
        (vec![70_000, 3], vec![0]),
        (vec![3, 70_000], vec![1]),
    ] {
        let mut m = Make::new();
        let x = m.input(f32s(&shape));
        let y = m.unary(Unary::Neg, x);
        let s = m.reduce(Combine::Sum, y, &axes);
        let t = m.reduce(Combine::Max, x, &axes);
        let plan = check(&m.finish(&[s, t]));
        assert_eq!(plan.steps.len(), 2, "{}", print_plan(&plan));
        let points = Dim::product(&kernels(&plan)[0].outer).unwrap();
        assert!(points.as_const().unwrap() >= 8, "{}", print_plan(&plan));
    }
    let mut options = ScheduleOptions::default();
    options.sizes.other = 1 << 20;
    for n in [0, 5, 8192, 20_000] {
        let mut m = Make::new();
        let x = m.input(TensorType::new(DType::F16, [Dim::symbol("n")]));
        let s = m.reduce(Combine::Sum, x, &[0]);
        let graph = m.finish(&[s]);
        let any = |_: &Symbol| Some(n);
        let x = sample(graph.tensor_type(graph.inputs()[0]), &any, 3);
        let foreign = |_: &str| None;
        let environment = Environment {
            sizes: &any,
            foreign: &foreign,
        };
        let plan = plan_of(&graph, &options);
        assert_eq!(plan.steps.len(), 2, "{}", print_plan(&plan));
        run(&graph, &plan, &[x], environment);
    }
}

#[test]
fn small_products_are_sums() {
    for sizes in [[1, 300, 20], [20, 300, 1], [30, 1, 200], [3, 4, 5]] {
        let mut m = Make::new();
        let a = m.input(f32s(&[2, sizes[0], sizes[1]]));
        let b = m.input(f32s(&[2, sizes[1], sizes[2]]));
        let c = m.matmul(a, b);
        let c = m.unary(Unary::Tanh, c);
        let plan = check(&m.finish(&[c]));
        assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
    }
}

#[test]
fn products_with_long_sums_and_few_results_are_taken_in_parts() {
    let parts = |m: i64, n: i64, k: [i64; 2]| {
        let mut make = Make::new();
        let a = make.input(f32s(&[k[0], k[1], m]));
        let b = make.input(f32s(&[k[0], k[1], n]));
        let op = Op::Contract {
            lhs_batch: vec![],
            rhs_batch: vec![],
            lhs_sum: vec![0, 1],
            rhs_sum: vec![0, 1],
            acc: DType::F32,
        };
        let c = make.op(op, &[a, b]);
        let plan = plan_of(&make.finish(&[c]), &ScheduleOptions::default());
        let found = plan.steps.iter().find_map(|step| match step {
            Step::Contract(product) => Some(product.dims[0].clone()),
            _ => None,
        });
        found.unwrap().as_const()
    };
    // The gradient of a convolution's weights: 48 images, sums over their places.
    assert_eq!(parts(8, 25, [48, 576]), Some(16));
    // No number of parts divides the sizes; the results are many; the sums are short.
    assert_eq!(parts(8, 25, [47, 577]), Some(1));
    assert_eq!(parts(400, 400, [48, 576]), Some(1));
    assert_eq!(parts(8, 25, [48, 16]), Some(1));
}

#[test]
fn softmax_backward_stays_in_the_row() {
    let mut m = Make::new();
    let x = m.input(f32s(&[40, 12]));
    let dy = m.input(f32s(&[40, 12]));
    let y = softmax(&mut m, x, 1);
    let p = m.binary(Binary::Mul, y, dy);
    let s = m.reduce(Combine::Sum, p, &[1]);
    let s = m.spread(s, x, &[1]);
    let d = m.builder.sub(dy, s).unwrap();
    let dx = m.binary(Binary::Mul, y, d);
    let plan = check(&m.finish(&[dx]));
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
}

#[test]
fn attention_packs_what_is_not_laid_out_and_permutes_in_epilogues() {
    let mut m = Make::new();
    let q = m.input(f32s(&[2, 3, 20, 64]));
    let k = m.input(f32s(&[2, 3, 20, 64]));
    let v = m.input(f32s(&[2, 3, 20, 64]));
    let w = m.input(f32s(&[192, 40]));
    let perm = vec![0, 1, 3, 2];
    let kt = m.op(Op::Permute { perm }, &[k]);
    let s = m.matmul(q, kt);
    let scale = m.splat(0.125, s);
    let s = m.binary(Binary::Mul, s, scale);
    let p = softmax(&mut m, s, 3);
    let o = m.matmul(p, v);
    let perm = vec![0, 2, 1, 3];
    let o = m.op(Op::Permute { perm }, &[o]);
    let rows: lazulite_ir::Dims = dims(&[40, 192]).collect();
    let o = m.builder.reshape(o, rows).unwrap();
    let y = m.matmul(o, w);
    let plan = check(&m.finish(&[y]));
    // Pack k, scores, softmax, mix (v is laid out in panels), pack w, projection.
    assert_eq!(plan.steps.len(), 6, "{}", print_plan(&plan));
}

#[test]
fn batch_norm_keeps_channels_apart() {
    let mut m = Make::new();
    let x = m.input(f32s(&[4, 40, 3, 5]));
    let axes = [0, 2, 3];
    let sum = m.reduce(Combine::Sum, x, &axes);
    let count = m.splat(1.0 / 60.0, sum);
    let mean = m.binary(Binary::Mul, sum, count);
    let spread = m.spread(mean, x, &axes);
    let centred = m.builder.sub(x, spread).unwrap();
    let square = m.binary(Binary::Mul, centred, centred);
    let variance = m.reduce(Combine::Sum, square, &axes);
    let variance = m.binary(Binary::Mul, variance, count);
    let eps = m.splat(1e-3, variance);
    let shifted = m.binary(Binary::Add, variance, eps);
    let spread = m.spread(shifted, x, &axes);
    let y = m.binary(Binary::Div, centred, spread);
    let plan = check(&m.finish(&[y, mean, variance]));
    assert_eq!(plan.steps.len(), 1, "{}", print_plan(&plan));
}

#[test]
fn cross_entropy_is_a_row_kernel_and_a_sum() {
    let mut m = Make::new();
    let x = m.input(f32s(&[48, 1000]));
    let t = m.input(ty(DType::I64, &[48]));
    let t = m.binary(Binary::Mul, t, t);
    let max = m.reduce(Combine::Max, x, &[1]);
    let max = m.spread(max, x, &[1]);
    let centred = m.builder.sub(x, max).unwrap();
    let e = m.unary(Unary::Exp, centred);
    let sum = m.reduce(Combine::Sum, e, &[1]);
    let log = m.unary(Unary::Log, sum);
    let log = m.spread(log, x, &[1]);
    let log_softmax = m.builder.sub(centred, log).unwrap();
    let (len, dtype) = (Dim::constant(48), DType::I64);
    let rows = m.op(Op::Iota { len, dtype }, &[]);
    let axes = vec![0, 1];
    let picked = m.op(Op::Gather { axes }, &[log_softmax, rows, t]);
    let loss = m.reduce(Combine::Sum, picked, &[0]);
    let plan = check(&m.finish(&[loss]));
    assert_eq!(plan.steps.len(), 2, "{}", print_plan(&plan));
    assert_eq!(plan.faults.len(), 1);
}

#[test]
fn values_are_computed_again_rather_than_passed_through_memory() {
    let mut m = Make::new();
    let x = m.input(f32s(&[1 << 16]));
    let e = m.unary(Unary::Exp, x);
    let sum = m.reduce(Combine::Sum, e, &[0]);
    let sum = m.spread(sum, x, &[0]);
    let y = m.binary(Binary::Div, e, sum);
    let plan = check(&m.finish(&[y]));
    assert_eq!(plan.steps.len(), 3, "{}", print_plan(&plan));
    let large = plan.buffers.iter().filter(|b| b.len.is(1 << 16)).count();
    assert_eq!(large, 2, "{}", print_plan(&plan));
}

#[test]
fn repeated_expensive_values_are_computed_once() {
    let mut m = Make::new();
    let x = m.input(f32s(&[3000]));
    let s = m.input(f32s(&[]));
    let t = m.unary(Unary::Tanh, s);
    let t = m.builder.broadcast(t, &dims(&[3000]).collect()).unwrap();
    let y = m.binary(Binary::Mul, x, t);
    let plan = check(&m.finish(&[y]));
    let tanh = |k: &&&Kernel| {
        let is_tanh =
            |i: &lazulite_ir::Inst| matches!(i.op, lazulite_ir::InstOp::Unary(Unary::Tanh, _));
        k.stages
            .iter()
            .any(|s| s.ranges.is_empty() && s.insts.iter().any(is_tanh))
    };
    let kernels = kernels(&plan);
    let made: Vec<_> = kernels.iter().filter(tanh).collect();
    assert_eq!(made.len(), 1, "{}", print_plan(&plan));
    assert!(made[0].outer.is_empty(), "{}", print_plan(&plan));
}

#[test]
fn operands_are_packed_once_and_before_loops() {
    let mut m = Make::new();
    let x = m.input(f32s(&[20, 30]));
    let y = m.input(f32s(&[20, 30]));
    let w = m.input(f32s(&[30, 90]));
    let (a, b) = (m.matmul(x, w), m.matmul(y, w));
    let plan = check(&m.finish(&[a, b]));
    assert_eq!(plan.steps.len(), 3, "{}", print_plan(&plan));
    let mut body = Make::new();
    body.input(TensorType::scalar(DType::I64));
    let h = body.input(f32s(&[20, 30]));
    let w = body.input(f32s(&[30, 30]));
    let next = body.matmul(h, w);
    let next = body.unary(Unary::Tanh, next);
    let body = std::sync::Arc::new(body.finish(&[next]));
    let mut m = Make::new();
    let h = m.input(f32s(&[20, 30]));
    let w = m.input(f32s(&[30, 30]));
    let op = Op::Loop {
        trip: Dim::constant(4),
        carries: 1,
        scanned: 0,
        body,
    };
    let turns = m.op(op, &[h, w]);
    let last = m.op(Op::Get { index: 0 }, &[turns]);
    let plan = check(&m.finish(&[last]));
    let in_loop = plan.steps.iter().find_map(|s| match s {
        Step::Loop { body, .. } => Some(body.len()),
        _ => None,
    });
    assert_eq!(in_loop, Some(1), "{}", print_plan(&plan));
}
