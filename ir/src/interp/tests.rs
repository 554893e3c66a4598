//! Values that the interpreter gives, operation by operation.

use super::*;
use crate::{Binary, Combine, Custom, DType, Dims, HostFn, Predicate, Scalar, Unary};

/// A graph under construction, with its inputs' values.
#[derive(Default)]
struct Builder {
    graph: Graph,
    inputs: Vec<Array>,
}

impl Builder {
    fn input(&mut self, array: Array) -> NodeId {
        let dims = array.dims.iter().map(|&d| Dim::constant(d as i64));
        let id = self.graph.input(TensorType::new(array.dtype, dims));
        self.inputs.push(array);
        id
    }

    fn add(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.graph.add(op, inputs.iter().copied()).unwrap()
    }

    fn get(&mut self, index: u32, tuple: NodeId) -> NodeId {
        self.add(Op::Get { index }, &[tuple])
    }

    fn run(mut self, outputs: &[NodeId]) -> std::result::Result<Vec<Array>, InterpError> {
        self.graph.set_outputs(outputs.iter().copied());
        interpret(&self.graph, &self.inputs, &|_| None)
    }
}

/// One operation on constants.
fn apply(op: Op, inputs: &[Array]) -> std::result::Result<Array, InterpError> {
    let mut b = Builder::default();
    let ids: Vec<NodeId> = inputs.iter().map(|a| b.input(a.clone())).collect();
    let out = b.add(op, &ids);
    b.run(&[out]).map(|mut r| r.remove(0))
}

fn i64s(dims: &[usize], values: &[i64]) -> Array {
    Array::from_i64(dims, values).unwrap()
}

fn f32s(dims: &[usize], values: &[f32]) -> Array {
    Array::from_f32(dims, values).unwrap()
}

fn counted(dims: &[usize]) -> Array {
    let values: Vec<i64> = (0..dims.iter().product::<usize>() as i64).collect();
    i64s(dims, &values)
}

fn dims(sizes: &[i64]) -> Dims {
    sizes.iter().map(|&s| Dim::constant(s)).collect()
}

fn reduce(kind: Combine, axes: &[u32]) -> Op {
    let axes = axes.to_vec();
    Op::Reduce { kind, axes }
}

#[test]
fn empty_reductions_give_the_identity() {
    let empty = f32s(&[2, 0], &[]);
    let of = |kind| {
        apply(reduce(kind, &[1]), std::slice::from_ref(&empty))
            .unwrap()
            .to_f64_vec()
    };
    assert_eq!(of(Combine::Sum), [0.0, 0.0]);
    assert_eq!(of(Combine::Prod), [1.0, 1.0]);
    assert_eq!(of(Combine::Max), [f64::NEG_INFINITY; 2]);
    assert_eq!(of(Combine::Min), [f64::INFINITY; 2]);
    let bools = Array::from_bool(&[0], &[]).unwrap();
    let max = apply(reduce(Combine::Max, &[0]), &[bools]).unwrap();
    assert_eq!(max, Array::scalar(Scalar::from_i64(DType::Bool, 0)));
}

#[test]
fn sums_round_once_and_integers_wrap() {
    let x = f32s(&[3], &[16_777_216.0, 1.0, 1.0]);
    let sum = apply(reduce(Combine::Sum, &[0]), &[x]).unwrap();
    assert_eq!(sum.to_f64_vec(), [16_777_218.0]);
    let halves = Array::from_scalars(
        DType::F16,
        &[3000],
        &[Scalar::from_f64(DType::F16, 1.0); 3000],
    );
    let sum = apply(reduce(Combine::Sum, &[0]), &[halves.unwrap()]).unwrap();
    assert_eq!(sum.to_f64_vec(), [3000.0]);
    let bytes = Array::from_u8(&[2], &[200, 100]).unwrap();
    let sum = apply(reduce(Combine::Sum, &[0]), &[bytes]).unwrap();
    assert_eq!(sum.to_i64_vec(), [44]);
}

#[test]
fn scans_run_both_ways() {
    let scan = |kind, axis, reverse| {
        let op = Op::Scan {
            kind,
            axis,
            reverse,
        };
        apply(op, &[counted(&[2, 3])]).unwrap().to_i64_vec()
    };
    assert_eq!(scan(Combine::Sum, 1, false), [0, 1, 3, 3, 7, 12]);
    assert_eq!(scan(Combine::Sum, 1, true), [3, 3, 2, 12, 9, 5]);
    assert_eq!(scan(Combine::Max, 0, true), [3, 4, 5, 3, 4, 5]);
}

#[test]
fn contractions_order_batch_left_right() {
    let op = |acc| Op::Contract {
        lhs_batch: vec![1],
        rhs_batch: vec![0],
        lhs_sum: vec![2],
        rhs_sum: vec![1],
        acc,
    };
    let lhs = counted(&[2, 3, 4]);
    let rhs = counted(&[3, 4, 5]);
    let out = apply(op(DType::I64), &[lhs.clone(), rhs.clone()]).unwrap();
    assert_eq!(out.dims, [3, 2, 5]);
    for (number, &got) in out.to_i64_vec().iter().enumerate() {
        let (b, m, n) = (number / 10, number / 5 % 2, number % 5);
        let term = |k: usize| ((m * 3 + b) * 4 + k) * ((b * 4 + k) * 5 + n);
        assert_eq!(got, (0..4).map(term).sum::<usize>() as i64);
    }
    let bytes = Array::from_u8(&[1, 1, 2], &[255, 255]).unwrap();
    let column = Array::from_u8(&[1, 2, 1], &[255, 255]).unwrap();
    let wide = apply(op(DType::I32), &[bytes, column]).unwrap();
    assert_eq!(wide.to_i64_vec(), [2 * 255 * 255]);
}

#[test]
fn sorts_are_stable_with_nan_last() {
    let keys = f32s(&[6], &[0.0, f32::NAN, -1.0, -0.0, f32::INFINITY, -1.0]);
    let sorted = |descending| {
        let mut b = Builder::default();
        let k = b.input(keys.clone());
        let p = b.input(counted(&[6]));
        let s = b.add(
            Op::Sort {
                axis: 0,
                descending,
            },
            &[k, p],
        );
        let p = b.get(1, s);
        b.run(&[p]).unwrap().remove(0).to_i64_vec()
    };
    assert_eq!(sorted(false), [2, 5, 0, 3, 4, 1]);
    assert_eq!(sorted(true), [1, 4, 0, 3, 2, 5]);
}

#[test]
fn gathers_report_the_index_and_the_bound() {
    let gather = |index: &[i64]| {
        let op = Op::Gather { axes: vec![1] };
        apply(op, &[counted(&[2, 3]), i64s(&[index.len()], index)])
    };
    assert_eq!(gather(&[2, 0]).unwrap().to_i64_vec(), [2, 5, 0, 3]);
    let error = gather(&[0, -1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "gather: index -1 is out of range for axis 1 of size 3"
    );
    assert!(gather(&[3]).is_err());
    let nothing = Op::Gather { axes: vec![1] };
    let none = apply(nothing, &[counted(&[0, 3]), i64s(&[1], &[7])]);
    assert_eq!(
        none.unwrap().dims,
        [1, 0],
        "an index that addresses nothing is not looked at"
    );
}

#[test]
fn scatters_go_in_row_major_order() {
    let scatter = |combine| {
        let op = Op::Scatter {
            axes: vec![0],
            combine,
        };
        let updates = i64s(&[2, 2], &[10, 20, 30, 40]);
        let index = Array::from_i32(&[2, 2], &[1, 1, 0, 1]).unwrap();
        apply(op, &[counted(&[3]), updates, index])
            .unwrap()
            .to_i64_vec()
    };
    assert_eq!(scatter(None), [30, 40, 2]);
    assert_eq!(scatter(Some(Combine::Sum)), [30, 71, 2]);
    assert_eq!(scatter(Some(Combine::Prod)), [0, 8000, 2]);
    assert_eq!(scatter(Some(Combine::Min)), [0, 1, 2]);
}

#[test]
fn division_by_zero_is_a_fault() {
    let div = Op::Binary { f: Binary::Div };
    let error = apply(div.clone(), &[i64s(&[2], &[1, 2]), i64s(&[2], &[1, 0])]).unwrap_err();
    assert_eq!(error.to_string(), "div: integer division by zero");
    let zero = f32s(&[], &[0.0]);
    assert!(apply(div, &[zero.clone(), zero]).unwrap().to_f64_vec()[0].is_nan());
}

#[test]
fn unused_nodes_are_not_computed() {
    let mut b = Builder::default();
    let zero = b.input(i64s(&[], &[0]));
    b.add(Op::Binary { f: Binary::Div }, &[zero, zero]);
    let neg = b.add(Op::Unary { f: Unary::Neg }, &[zero]);
    assert!(b.run(&[neg]).is_ok());
}

#[test]
fn random_bits_depend_on_the_element_alone() {
    let random = |sizes: &[i64], dtype| {
        let op = Op::Random {
            dims: dims(sizes),
            dtype,
        };
        let words = |x: u64| Array::from_u64(&[], &[x]).unwrap();
        apply(op, &[words(7), words(9)]).unwrap()
    };
    let wide = random(&[5], DType::U64);
    let narrow = random(&[3], DType::U32);
    let low: Vec<i64> = wide.to_i64_vec().iter().map(|x| x & 0xffff_ffff).collect();
    assert_eq!(narrow.to_i64_vec(), low[..3]);
    assert_eq!(
        wide.get(4).unwrap().bits() as u64,
        crate::random_bits(7, 9, 4)
    );
}

/// `while i < 10 { i += step }`, and then a counted loop that sums rows and stacks the sums.
#[test]
fn loops_carry_and_stack() {
    let scalar = TensorType::scalar(DType::I64);
    let mut cond = Graph::new();
    let i = cond.input(scalar.clone());
    cond.input(scalar.clone());
    let ten = Scalar::from_i64(DType::I64, 10);
    let ten = cond.add(Op::Const { value: ten }, []).unwrap();
    let predicate = Predicate::Lt;
    let less = cond.add(Op::Compare { predicate }, [i, ten]).unwrap();
    cond.set_outputs([less]);
    let mut body = Graph::new();
    let (i, step) = (body.input(scalar.clone()), body.input(scalar.clone()));
    let next = body.add(Op::Binary { f: Binary::Add }, [i, step]).unwrap();
    body.set_outputs([next]);

    let mut row = Graph::new();
    let i = row.input(scalar.clone());
    let sum = row.input(scalar);
    let slice = row.input(TensorType::new(DType::I64, [Dim::constant(2)]));
    let total = row.add(reduce(Combine::Sum, &[0]), [slice]).unwrap();
    let sum = row
        .add(Op::Binary { f: Binary::Add }, [sum, total])
        .unwrap();
    row.set_outputs([sum, i, slice]);

    let mut b = Builder::default();
    let zero = b.input(i64s(&[], &[0]));
    let step = b.input(i64s(&[], &[3]));
    let rows = b.input(counted(&[3, 2]));
    let counted = b.add(
        Op::While {
            carries: 1,
            cond: cond.into(),
            body: body.into(),
        },
        &[zero, step],
    );
    let stacked = b.add(
        Op::Loop {
            trip: Dim::constant(3),
            carries: 1,
            scanned: 1,
            body: row.into(),
        },
        &[zero, rows],
    );
    let mut outputs = vec![b.get(0, counted)];
    outputs.extend((0..3).map(|i| b.get(i, stacked)));
    let results = b.run(&outputs).unwrap();
    let values: Vec<Vec<i64>> = results.iter().map(Array::to_i64_vec).collect();
    assert_eq!(
        values,
        [vec![12], vec![15], vec![0, 1, 2], vec![0, 1, 2, 3, 4, 5]]
    );
}

#[test]
fn only_the_chosen_branch_runs() {
    let ty = TensorType::scalar(DType::I64);
    let mut divide = Graph::new();
    let (x, y) = (divide.input(ty.clone()), divide.input(ty.clone()));
    let q = divide.add(Op::Binary { f: Binary::Div }, [x, y]).unwrap();
    divide.set_outputs([q]);
    let mut first = Graph::new();
    let x = first.input(ty.clone());
    first.input(ty);
    first.set_outputs([x]);
    let choose = |condition: bool| {
        let mut b = Builder::default();
        let c = b.input(Array::from_bool(&[], &[condition]).unwrap());
        let x = b.input(i64s(&[], &[7]));
        let y = b.input(i64s(&[], &[0]));
        let (then, other) = (divide.clone().into(), first.clone().into());
        let chosen = b.add(Op::If { then, other }, &[c, x, y]);
        let out = b.get(0, chosen);
        b.run(&[out])
    };
    assert_eq!(choose(false).unwrap()[0].to_i64_vec(), [7]);
    assert!(matches!(choose(true), Err(InterpError::Fault { .. })));
}

#[test]
fn foreign_functions_are_called_by_name_or_directly() {
    let function: Arc<HostFn> = Arc::new(|inputs, dims, outputs| {
        if dims[0].is_empty() {
            return Err("needs an axis".into());
        }
        outputs[0].copy_from_slice(inputs[0]);
        outputs[0].reverse();
        Ok(())
    });
    let library: Arc<ForeignFn> = Arc::new(|operands, results| {
        results[0].bytes.copy_from_slice(&operands[0].bytes);
        results[0].bytes.reverse();
        Ok(())
    });
    let run = |target, array: Array| {
        let mut b = Builder::default();
        let sizes = array.dims.iter().map(|&d| Dim::constant(d as i64));
        let results = vec![TensorType::new(DType::U8, sizes)];
        let x = b.input(array);
        let tuple = b.add(Op::Custom { target, results }, &[x]);
        let out = b.get(0, tuple);
        b.graph.set_outputs([out]);
        let environment = Environment {
            sizes: &|_| None,
            foreign: &|name| (name == "reverse").then(|| library.clone()),
        };
        interpret_in(&b.graph, &b.inputs, environment)
    };
    let x = Array::from_u8(&[3], &[1, 2, 3]).unwrap();
    let expected = [Array::from_u8(&[3], &[3, 2, 1]).unwrap()];
    let named = |name: &str| Custom::Library(name.into());
    assert_eq!(run(named("reverse"), x.clone()).unwrap(), expected);
    let host = Custom::Host("mine".into(), function.clone());
    assert_eq!(run(host.clone(), x.clone()).unwrap(), expected);
    let error = run(named("nothing"), x).unwrap_err();
    assert_eq!(error.to_string(), "there is no foreign function nothing");
    let error = run(host, Array::from_u8(&[], &[1]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "mine: needs an axis");
}

#[test]
fn symbolic_sizes_are_bound_and_guarded() {
    let mut graph = Graph::new();
    let sized = |name: &str| TensorType::new(DType::F32, [Dim::symbol(name)]);
    let (x, y) = (graph.input(sized("n")), graph.input(sized("m")));
    let sum = graph.add(Op::Binary { f: Binary::Add }, [x, y]).unwrap();
    let value = Dim::symbol("n").mul(&Dim::constant(2)).unwrap();
    let dtype = DType::BF16;
    let size = graph.add(Op::Size { value, dtype }, []).unwrap();
    graph.set_outputs([sum, size]);
    let run = |a: Array, b: Array| {
        let inputs = [a, b];
        let sizes = bind_sizes(&graph, &inputs);
        interpret(&graph, &inputs, &|s| sizes.get(s).copied())
    };
    let two = || f32s(&[2], &[1.0, 2.0]);
    let results = run(two(), two()).unwrap();
    assert_eq!(results[0].to_f64_vec(), [2.0, 4.0]);
    assert_eq!(results[1].to_f64_vec(), [4.0]);
    let error = run(two(), f32s(&[1], &[0.0])).unwrap_err();
    assert!(error.to_string().ends_with("2 == 1 does not hold"));
    let unbound = interpret(&graph, &[two(), two()], &|_| None).unwrap_err();
    assert_eq!(unbound.to_string(), "the size n has no value");
    let wrong = run(i64s(&[2], &[1, 2]), two()).unwrap_err();
    assert!(matches!(wrong, InterpError::Input { index: 0, .. }));
}

#[test]
fn memory_that_cannot_be_had_is_an_error() {
    let mut b = Builder::default();
    let one = b.input(f32s(&[1, 1], &[1.0]));
    let huge = Op::Expand {
        dims: dims(&[1 << 30, 1 << 30]),
    };
    let huge = b.add(huge, &[one]);
    assert!(matches!(b.run(&[huge]), Err(InterpError::Array(_))));
}

#[test]
fn long_chains_do_not_recurse() {
    let mut b = Builder::default();
    let mut x = b.input(i64s(&[], &[0]));
    let one = b.input(i64s(&[], &[1]));
    for _ in 0..100_000 {
        x = b.add(Op::Binary { f: Binary::Add }, &[x, one]);
    }
    assert_eq!(b.run(&[x]).unwrap()[0].to_i64_vec(), [100_000]);
}

#[test]
fn complex_numbers_are_put_together_and_taken_apart() {
    let (re, im) = (f32s(&[2], &[1.0, 2.0]), f32s(&[2], &[-0.0, 3.0]));
    let z = apply(Op::Complex {}, &[re.clone(), im.clone()]).unwrap();
    assert_eq!(z.dtype, DType::C64);
    assert_eq!(apply(Op::Real {}, std::slice::from_ref(&z)).unwrap(), re);
    assert_eq!(apply(Op::Imag {}, &[z]).unwrap(), im);
}

#[test]
fn tolerances_know_nan_zero_and_steps() {
    let close = |a: f64, b: f64, t: Tolerance| {
        let s = |x| Scalar::from_f64(DType::F32, x);
        t.admits(s(a), s(b))
    };
    assert!(close(f64::NAN, f64::NAN, Tolerance::EXACT));
    assert!(close(0.0, -0.0, Tolerance::EXACT));
    assert!(!close(1.0, 1.0 + 1e-7, Tolerance::EXACT));
    assert!(close(1.0, 1.0 + 1e-7, Tolerance::ulps(1)));
    assert!(close(1e-45, -1e-45, Tolerance::ulps(2)));
    assert!(!close(f64::NAN, 1.0, Tolerance::ulps(u64::MAX - 1)));
    assert!(close(
        f64::INFINITY,
        f64::from(f32::MAX),
        Tolerance::ulps(1)
    ));
    let a = f32s(&[2, 2], &[0.0, 1.0, 2.0, 3.0]);
    let b = f32s(&[2, 2], &[0.0, 1.0, 2.5, 3.0]);
    let difference = a.difference(&b, Tolerance::EXACT).unwrap();
    assert_eq!(
        difference.to_string(),
        "element [1, 0] is 2.0, expected 2.5"
    );
}

#[test]
fn arrays_check_their_sizes() {
    assert!(Array::from_f32(&[3], &[1.0]).is_err());
    assert!(Array::zeros(DType::F64, &[usize::MAX, 2]).is_err());
    assert!(Array::zeros(DType::F64, &[1 << 62, 1 << 62, 0]).is_err());
    let mut x = Array::zeros(DType::I8, &[2]).unwrap();
    assert!(x.set(1, Scalar::from_f64(DType::F32, -3.7)));
    assert!(!x.set(2, Scalar::from_f64(DType::F32, 0.0)));
    assert_eq!(x.to_i64_vec(), [0, -3]);
    assert_eq!(x.get(2), None);
}
