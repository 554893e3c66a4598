//! Whole training steps, counted in steps.

use super::*;
use lazulite_ir::{Binary, Combine, Predicate, Unary};

/// Classification by a perceptron with one hidden layer: forward, backward, and updates by the
/// gradient.
struct Perceptron {
    m: Make,
    outputs: Vec<NodeId>,
}

/// A product that sums over one axis of each operand.
fn product(lhs: u32, rhs: u32) -> Op {
    Op::Contract {
        lhs_batch: vec![],
        rhs_batch: vec![],
        lhs_sum: vec![lhs],
        rhs_sum: vec![rhs],
        acc: DType::F32,
    }
}

fn iota(m: &mut Make, len: i64) -> NodeId {
    let (len, dtype) = (Dim::constant(len), DType::I64);
    m.op(Op::Iota { len, dtype }, &[])
}

fn perceptron([batch, width, hidden, classes]: [i64; 4]) -> Perceptron {
    let mut m = Make::new();
    let x = m.input(f32s(&[batch, width]));
    let target = m.input(ty(DType::I64, &[batch]));
    let rate = m.input(f32s(&[]));
    let w1 = m.input(f32s(&[hidden, width]));
    let b1 = m.input(f32s(&[hidden]));
    let w2 = m.input(f32s(&[classes, hidden]));
    let b2 = m.input(f32s(&[classes]));
    let sum = m.op(product(1, 1), &[x, w1]);
    let bias = m.spread(b1, sum, &[0]);
    let sum = m.binary(Binary::Add, sum, bias);
    let zero = m.splat(0.0, sum);
    let h = m.binary(Binary::Max, sum, zero);
    let z = m.op(product(1, 1), &[h, w2]);
    let bias = m.spread(b2, z, &[0]);
    let z = m.binary(Binary::Add, z, bias);
    let (loss, dz) = cross_entropy(&mut m, z, target);
    let dw2 = m.op(product(0, 0), &[dz, h]);
    let db2 = m.reduce(Combine::Sum, dz, &[0]);
    let dh = m.op(product(1, 0), &[dz, w2]);
    let predicate = Predicate::Lt;
    let active = m.op(Op::Compare { predicate }, &[zero, sum]);
    let dh = m.op(Op::Select {}, &[active, dh, zero]);
    let dw1 = m.op(product(0, 0), &[dh, x]);
    let db1 = m.reduce(Combine::Sum, dh, &[0]);
    let mut outputs = vec![loss];
    for (parameter, gradient) in [(w1, dw1), (b1, db1), (w2, dw2), (b2, db2)] {
        let dims = m.builder.dims(parameter);
        let rate = m.builder.broadcast(rate, &dims).unwrap();
        let step = m.binary(Binary::Mul, gradient, rate);
        outputs.push(m.builder.sub(parameter, step).unwrap());
    }
    Perceptron { m, outputs }
}

/// The loss, and its gradient by the scores `z`.
fn cross_entropy(m: &mut Make, z: NodeId, target: NodeId) -> (NodeId, NodeId) {
    let [rows, classes] = [0, 1].map(|a| m.builder.dims(z)[a].as_const().unwrap());
    let max = m.reduce(Combine::Max, z, &[1]);
    let max = m.spread(max, z, &[1]);
    let centred = m.builder.sub(z, max).unwrap();
    let e = m.unary(Unary::Exp, centred);
    let sum = m.reduce(Combine::Sum, e, &[1]);
    let log = m.unary(Unary::Log, sum);
    let log = m.spread(log, z, &[1]);
    let log_softmax = m.builder.sub(centred, log).unwrap();
    let rows = iota(m, rows);
    let axes = vec![0, 1];
    let picked = m.op(Op::Gather { axes }, &[log_softmax, rows, target]);
    let loss = m.reduce(Combine::Sum, picked, &[0]);
    let sum = m.spread(sum, z, &[1]);
    let p = m.binary(Binary::Div, e, sum);
    let classes = iota(m, classes);
    let classes = m.spread(classes, z, &[0]);
    let target = m.spread(target, z, &[1]);
    let predicate = Predicate::Eq;
    let hot = m.op(Op::Compare { predicate }, &[classes, target]);
    let hot = m.op(Op::Cast { dtype: DType::F32 }, &[hot]);
    (loss, m.builder.sub(p, hot).unwrap())
}

#[test]
fn a_training_step_of_a_perceptron_is_fourteen_steps() {
    let Perceptron { m, outputs } = perceptron([128, 784, 100, 10]);
    let plan = plan_of(&m.finish(&outputs), &ScheduleOptions::default());
    let products = plan.steps.iter();
    let products = products.filter(|s| matches!(s, Step::Contract(_))).count();
    // Every product packs one operand; scores to gradient, loss, and two sums of gradients.
    assert_eq!(
        (products, plan.steps.len()),
        (5, 14),
        "{}",
        print_plan(&plan)
    );
    let Perceptron { m, outputs } = perceptron([20, 70, 30, 17]);
    let graph = m.finish(&outputs);
    let inputs = graph.inputs().iter().enumerate();
    let mut inputs: Vec<Array> = inputs
        .map(|(i, &id)| sample(graph.tensor_type(id), &|_| None, i as u64))
        .collect();
    let target: Vec<i64> = (0..20).map(|i| i * i % 17).collect();
    inputs[1] = Array::from_i64(&[20], &target).unwrap();
    check_on(&graph, &inputs);
}
