//! Random compositions of what models are made of: sums put back over rows, products, rearranged
//! axes. Small on purpose in what they compute, so that results stay comparable, and large in how
//! parts read each other.

use super::random::{on_a_large_machine, on_a_small_machine};
use super::*;
use lazulite_ir::{Binary, Combine, Unary};
use proptest::prelude::*;

/// A graph that grows by steps; each chooses an operand, and maybe another, by number.
struct Growing {
    m: Make,
    made: Vec<NodeId>,
}

impl Growing {
    fn pick(&self, number: u8) -> NodeId {
        self.made[self.made.len() - 1 - number as usize % self.made.len().min(6)]
    }

    /// A tensor like `x`, if there is another one.
    fn pick_like(&self, x: NodeId, number: u8) -> NodeId {
        let dims = self.m.builder.dims(x);
        let mates = self.made.iter().copied();
        let mates: Vec<_> = mates.filter(|&y| self.m.builder.dims(y) == dims).collect();
        mates[number as usize % mates.len()]
    }

    /// A half of the values, so that nothing grows without bound.
    fn halve(&mut self, x: NodeId) -> NodeId {
        let half = self.m.splat(0.5, x);
        self.m.binary(Binary::Mul, x, half)
    }

    fn step(&mut self, (what, a, b): (u8, u8, u8)) {
        let x = self.pick(a);
        let dims = self.m.builder.dims(x);
        let rank = dims.len() as u32;
        let axis = if rank == 0 { 0 } else { u32::from(b) % rank };
        let new = match what % 12 {
            0 => self.m.unary(Unary::Tanh, x),
            1 | 2 => {
                let y = self.pick_like(x, b);
                let sum = self.m.binary(Binary::Add, x, y);
                self.halve(sum)
            }
            3 if rank > 0 => {
                let sum = self.m.reduce(Combine::Max, x, &[axis]);
                let spread = self.m.spread(sum, x, &[axis]);
                self.m.builder.sub(x, spread).unwrap()
            }
            4 if rank > 0 => {
                let e = self.m.unary(Unary::Tanh, x);
                let sum = self.m.reduce(Combine::Sum, e, &[axis]);
                let bounded = self.m.unary(Unary::Tanh, sum);
                let spread = self.m.spread(bounded, x, &[axis]);
                self.m.binary(Binary::Mul, e, spread)
            }
            5 if rank > 0 => self.m.reduce(Combine::Max, x, &[axis]),
            6 if rank > 1 => {
                let mut perm: Vec<u32> = (0..rank).collect();
                perm.rotate_left(1 + b as usize % (rank as usize - 1));
                self.m.op(Op::Permute { perm }, &[x])
            }
            7 if rank > 1 => {
                let mut merged = dims.clone();
                let last = merged.remove(axis.max(1) as usize);
                let first = &mut merged[axis.max(1) as usize - 1];
                *first = first.mul(&last).unwrap();
                self.m.builder.reshape(x, merged).unwrap()
            }
            8 | 9 if rank > 1 => self.product(x, b),
            10 if rank > 0 && rank < 4 => {
                let mut wide = dims.clone();
                wide.insert(axis as usize, Dim::ONE);
                let x = self.m.builder.reshape(x, wide.clone()).unwrap();
                wide[axis as usize] = Dim::constant(2);
                self.m.builder.expand(x, wide).unwrap()
            }
            11 if rank > 0 => {
                let (start, len) = (Dim::ZERO, dims[axis as usize].clone());
                self.m
                    .builder
                    .slice_axis(x, axis as usize, start, len)
                    .unwrap()
            }
            _ => self.m.unary(Unary::Neg, x),
        };
        let size = Dim::product(&self.m.builder.dims(new)).unwrap();
        if size.as_const().is_none_or(|n| n <= 2000) {
            self.made.push(new);
        }
    }

    /// The product of `x` with itself, over the last axis or the one before, in a random layout.
    fn product(&mut self, x: NodeId, how: u8) -> NodeId {
        let rank = self.m.builder.dims(x).len() as u32;
        let sum = rank - 1 - u32::from(how & 1);
        let batch: Vec<u32> = (0..rank - 2).collect();
        let y = self.m.unary(Unary::Tanh, x);
        let (a, b) = if how & 2 == 0 { (x, y) } else { (y, x) };
        let op = Op::Contract {
            lhs_batch: batch.clone(),
            rhs_batch: batch,
            lhs_sum: vec![sum],
            rhs_sum: vec![sum],
            acc: DType::F32,
        };
        let product = self.m.op(op, &[a, b]);
        self.m.unary(Unary::Tanh, product)
    }
}

fn grow(steps: &[(u8, u8, u8)], outputs: &[u8], symbolic: bool) -> Graph {
    let mut m = Make::new();
    let first = if symbolic {
        Dim::symbol("n")
    } else {
        Dim::constant(3)
    };
    let shape = [first, Dim::constant(4), Dim::constant(5)];
    let x = m.input(TensorType::new(DType::F32, shape.clone()));
    let y = m.input(TensorType::new(DType::F32, shape[1..].to_vec()));
    let mut growing = Growing {
        m,
        made: vec![y, x],
    };
    for &step in steps {
        growing.step(step);
    }
    let mut results = vec![*growing.made.last().unwrap()];
    results.extend(outputs.iter().map(|&o| growing.pick(o)));
    growing.m.finish(&results)
}

fn compare(graph: &Graph, n: i64) {
    let any = |_: &Symbol| Some(n);
    let inputs = graph.inputs().iter().enumerate();
    let inputs: Vec<Array> = inputs
        .map(|(i, &id)| sample(graph.tensor_type(id), &any, i as u64 + 1))
        .collect();
    let foreign = |_: &str| None;
    let environment = Environment {
        sizes: &any,
        foreign: &foreign,
    };
    for options in [
        reference(),
        ScheduleOptions::default(),
        on_a_small_machine(),
        on_a_large_machine(),
    ] {
        run(graph, &plan_of(graph, &options), &inputs, environment);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn compositions_compute_what_graphs_mean(
        steps in prop::collection::vec(any::<(u8, u8, u8)>(), 1..20),
        outputs in prop::collection::vec(any::<u8>(), 0..4),
        n in prop::option::of(0..5i64),
    ) {
        compare(&grow(&steps, &outputs, n.is_some()), n.unwrap_or(3));
    }
}
