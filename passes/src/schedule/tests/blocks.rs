//! Products of products, a block of rows at a time.

use super::*;
use lazulite_ir::{Binary, Combine, Dims, Predicate, Unary};

/// Attention of queries `[2, 3, 48, 8]` to 40 keys, in one of its forms.
#[derive(Clone, Copy, Default, Debug)]
struct Attention {
    causal: bool,
    /// Whether something is added to the scores, and along which of their axes it is repeated.
    mask: Option<[bool; 4]>,
    /// Groups of heads share keys and values.
    grouped: bool,
    /// Queries come as `[2, 48, 3, 8]` from a product, and are scaled before the scores.
    projected: bool,
    /// No batch.
    single: bool,
    /// A causal mask of another kind, which hides nothing for good.
    other: Option<Other>,
}

/// What is not hidden, or not known to be: finite scores, earlier keys, the least score of a row, positions that may wrap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Other {
    Finite,
    Earlier,
    Least,
    Narrow,
}

impl Attention {
    fn batch(&self) -> &'static [i64] {
        if self.single { &[] } else { &[2, 3] }
    }

    fn query(&self, m: &mut Make) -> NodeId {
        if !self.projected || self.single {
            return m.input(f32s(&[self.batch(), &[48, 8]].concat()));
        }
        let (x, w) = (m.input(f32s(&[96, 5])), m.input(f32s(&[5, 24])));
        let q = m.matmul(x, w);
        let dims: Vec<Dim> = dims(&[2, 48, 3, 8]).collect();
        let q = m.builder.reshape(q, dims.into_iter().collect()).unwrap();
        let half = m.splat(0.5, q);
        let q = m.binary(Binary::Mul, q, half);
        m.builder.permute(q, vec![0, 2, 1, 3]).unwrap()
    }

    /// Keys or values of `[40, size]` per head.
    fn shared(&self, m: &mut Make, size: i64) -> NodeId {
        if !self.grouped || self.single {
            return m.input(f32s(&[self.batch(), &[40, size]].concat()));
        }
        let one = m.input(f32s(&[2, 1, 40, size]));
        let all = dims(&[2, 3, 40, size]).collect();
        m.builder.expand(one, all).unwrap()
    }

    /// What is added to the scores.
    fn added(&self, m: &mut Make, scores: NodeId) -> NodeId {
        let Some(repeated) = self.mask else {
            return scores;
        };
        let whole = m.builder.dims(scores);
        let repeated = &repeated[4 - whole.len()..];
        let own = { whole.iter().zip(repeated) }
            .map(|(d, once)| if *once { Dim::ONE } else { d.clone() });
        let mask = m.input(TensorType::new(DType::F32, own.collect::<Vec<_>>()));
        let mask = m.builder.expand(mask, whole).unwrap();
        m.binary(Binary::Add, scores, mask)
    }

    fn hidden(&self, m: &mut Make, scores: NodeId) -> NodeId {
        if !self.causal {
            return scores;
        }
        // The same for the whole batch.
        let whole = m.builder.dims(scores);
        let rank = whole.len();
        let mut once = whole.clone();
        once[..rank - 2].fill(Dim::ONE);
        let mut positions = |axis: usize, len: i64| {
            let dtype = match self.other {
                Some(Other::Narrow) => DType::I8,
                _ => DType::I64,
            };
            let len = Dim::constant(len);
            let iota = m.op(
                Op::Iota {
                    len: len.clone(),
                    dtype,
                },
                &[],
            );
            let mut own: Dims = once.iter().map(|_| Dim::ONE).collect();
            own[axis] = len;
            let own = m.builder.reshape(iota, own).unwrap();
            m.builder.expand(own, once.clone()).unwrap()
        };
        let (rows, columns) = (positions(rank - 2, 48), positions(rank - 1, 40));
        let predicate = Predicate::Lt;
        let order = match self.other {
            Some(Other::Earlier) => [columns, rows],
            _ => [rows, columns],
        };
        let later = m.op(Op::Compare { predicate }, &order);
        let later = m.builder.expand(later, whole).unwrap();
        let lowest = match self.other {
            Some(Other::Finite) => m.splat(-1e30, scores),
            _ => m.splat(f64::NEG_INFINITY, scores),
        };
        m.op(Op::Select {}, &[later, lowest, scores])
    }

    fn graph(&self) -> Graph {
        let mut m = Make::new();
        let (q, k) = (self.query(&mut m), self.shared(&mut m, 8));
        let v = self.shared(&mut m, 7);
        let rank = m.builder.dims(q).len() as u32;
        let turn: Vec<u32> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        let k = m.builder.permute(k, turn).unwrap();
        let scores = m.matmul(q, k);
        let scores = self.hidden(&mut m, scores);
        let scores = self.added(&mut m, scores);
        let last = [rank - 1];
        let kind = match self.other {
            Some(Other::Least) => Combine::Min,
            _ => Combine::Max,
        };
        let top = m.reduce(kind, scores, &last);
        let top = m.spread(top, scores, &last);
        let below = m.builder.sub(scores, top).unwrap();
        let e = m.unary(Unary::Exp, below);
        let sum = m.reduce(Combine::Sum, e, &last);
        let sum = m.spread(sum, e, &last);
        let weights = m.binary(Binary::Div, e, sum);
        let result = m.matmul(weights, v);
        m.finish(&[result])
    }
}

/// Blocks of 16 rows.
fn in_blocks() -> ScheduleOptions {
    ScheduleOptions {
        machine: Machine {
            blocked_product: 1 << 10,
            block_elements: 16 * 40,
            ..Machine::default()
        },
        ..ScheduleOptions::default()
    }
}

fn loops(steps: &[Step]) -> usize {
    let each = steps.iter().map(|step| match step {
        Step::Loop { body, .. } => 1 + loops(body),
        _ => 0,
    });
    each.sum()
}

/// Runs a graph in blocks, and gives how many loops its plan has.
fn check_blocks(graph: &Graph) -> usize {
    let inputs = graph.inputs().iter().enumerate();
    let inputs: Vec<Array> = inputs
        .map(|(i, &id)| sample(graph.tensor_type(id), &|_| None, i as u64 + 1))
        .collect();
    let environment = Environment {
        sizes: &|_| None,
        foreign: &|_| None,
    };
    let plan = plan_of(graph, &in_blocks());
    run(graph, &plan, &inputs, environment);
    let whole = 2 * 3 * 48 * 40;
    let largest = plan.buffers.iter().filter_map(|b| b.len.as_const()).max();
    assert!(
        loops(&plan.steps) == 0 || largest < Some(whole),
        "{}",
        print_plan(&plan)
    );
    loops(&plan.steps)
}

#[test]
fn attention_of_every_kind_is_computed_in_blocks() {
    let masks = [
        None,
        Some([false, true, false, false]),
        Some([true, true, false, false]),
        Some([false, true, true, false]),
    ];
    for mask in masks {
        for bits in 0..16 {
            let form = Attention {
                causal: bits & 1 > 0,
                grouped: bits & 2 > 0,
                projected: bits & 4 > 0,
                single: bits & 8 > 0,
                mask,
                other: None,
            };
            // Each of three blocks sees columns of its own where later ones are hidden.
            let blocks = if form.causal { 3 } else { 1 };
            let expected = blocks + if form.single { 0 } else { 2 };
            assert_eq!(check_blocks(&form.graph()), expected, "{form:?}");
        }
    }
}

#[test]
fn columns_that_count_are_not_left_out() {
    for other in [Other::Finite, Other::Earlier, Other::Least, Other::Narrow] {
        let form = Attention {
            causal: true,
            other: Some(other),
            ..Attention::default()
        };
        assert_eq!(check_blocks(&form.graph()), 3, "{form:?}");
    }
}

#[test]
fn what_does_not_stay_in_its_row_is_left_whole() {
    // Weights over the queries; scores that are a result as well; a product of the scores with themselves.
    let build = |finish: &dyn Fn(&mut Make, NodeId, NodeId) -> Vec<NodeId>| {
        let mut m = Make::new();
        let (q, k) = (m.input(f32s(&[48, 8])), m.input(f32s(&[8, 40])));
        let v = m.input(f32s(&[40, 7]));
        let scores = m.matmul(q, k);
        let outputs = finish(&mut m, scores, v);
        m.finish(&outputs)
    };
    let over_rows = build(&|m, scores, v| {
        let top = m.reduce(Combine::Max, scores, &[0]);
        let top = m.spread(top, scores, &[0]);
        let below = m.builder.sub(scores, top).unwrap();
        vec![m.matmul(below, v)]
    });
    let kept = build(&|m, scores, v| {
        let e = m.unary(Unary::Exp, scores);
        vec![m.matmul(e, v), e]
    });
    let square = build(&|m, scores, _| {
        let e = m.unary(Unary::Exp, scores);
        let turned = m.builder.permute(scores, vec![1, 0]).unwrap();
        vec![m.matmul(e, turned)]
    });
    for graph in [over_rows, kept, square] {
        assert_eq!(check_blocks(&graph), 0, "{graph}");
    }
}
