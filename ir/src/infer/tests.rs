//! Types that are inferred, and operands that are refused.

use super::*;
use crate::{Binary, Combine, Graph, NodeId, Scalar, Unary};

fn node(g: &mut Graph, op: Op, inputs: &[NodeId]) -> Result<NodeId> {
    g.add(op, inputs.iter().copied())
}

fn dims(sizes: &[i64]) -> Dims {
    sizes.iter().map(|&s| Dim::constant(s)).collect()
}

fn tensor(dtype: DType, sizes: &[i64]) -> TensorType {
    TensorType {
        dtype,
        dims: dims(sizes),
    }
}

/// The inferred type of `op` on operands of these types, with the guards.
fn check(op: Op, inputs: &[TensorType]) -> Result<(Type, Vec<Guard>)> {
    let types: Vec<Type> = inputs.iter().cloned().map(Type::Tensor).collect();
    let mut guards = Vec::new();
    let ty = infer(&op, &types.iter().collect::<Vec<_>>(), &mut guards)?;
    Ok((ty, guards))
}

fn shape_of(op: Op, inputs: &[TensorType]) -> String {
    match check(op, inputs) {
        Ok((Type::Tensor(t), _)) => format!("{}{}", t.dtype, Shape::from(&*t.dims)),
        Ok((Type::Tuple(ts), _)) => format!("{} results", ts.len()),
        Err(e) => e.to_string(),
    }
}

#[test]
fn mismatches_name_operands_shapes_and_axes() {
    let add = Op::Binary { f: Binary::Add };
    let error = check(
        add.clone(),
        &[tensor(DType::F32, &[2, 3]), tensor(DType::F32, &[2, 4])],
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "add: operand 0 has shape [2, 3], operand 1 has shape [2, 4]: size 3 of axis 1 does not \
         match size 4 of axis 1"
    );
    assert!(error.hint().is_some());
    let error = check(add, &[tensor(DType::F32, &[]), tensor(DType::I8, &[])]).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "cast both to one type, for example f32"
    );
    let exp = Op::Unary { f: Unary::Exp };
    let error = check(exp, &[tensor(DType::I32, &[2])]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "exp: operand 0 is i32, needed is a float or complex type"
    );
    assert_eq!(
        error.hint().unwrap(),
        "cast the operand first, for example to f32"
    );
}

#[test]
fn undecided_sizes_become_guards_and_the_first_operand_wins() {
    let sized = |s: &str| TensorType::new(DType::F32, [Dim::symbol(s)]);
    let add = Op::Binary { f: Binary::Add };
    let (ty, guards) = check(add, &[sized("n"), sized("m")]).unwrap();
    assert_eq!(ty, Type::Tensor(sized("n")));
    assert_eq!(guards.len(), 1);
    assert_eq!(guards[0].relation, Relation::Eq);
}

#[test]
fn windows_that_do_not_fit_are_none() {
    let window = |size: i64, stride: i64, dilation: i64| Op::Window {
        axis: 0,
        size: size.into(),
        stride: stride.into(),
        dilation: dilation.into(),
    };
    let x = || [tensor(DType::F32, &[7, 2])];
    assert_eq!(shape_of(window(3, 2, 1), &x()), "f32[3, 2, 3]");
    assert_eq!(shape_of(window(3, 2, 3), &x()), "f32[1, 2, 3]");
    assert_eq!(shape_of(window(9, 2, 1), &x()), "f32[0, 2, 9]");
    assert_eq!(
        shape_of(window(3, 0, 1), &x()),
        "window: stride for axis 0 is 0, must be at least 1"
    );
}

#[test]
fn slices_stay_inside_unless_empty() {
    let slice = |start: i64, len: i64, step: i64| Op::Slice {
        start: dims(&[start]),
        len: dims(&[len]),
        step: vec![step],
    };
    let x = || [tensor(DType::I8, &[5])];
    assert_eq!(shape_of(slice(4, 5, -1), &x()), "i8[5]");
    assert_eq!(shape_of(slice(1, 2, 3), &x()), "i8[2]");
    assert_eq!(shape_of(slice(99, 0, 1), &x()), "i8[0]");
    assert_eq!(
        shape_of(slice(3, 5, -1), &x()),
        "slice: elements 3 to -1 of axis 0, which has size 5"
    );
    let n = Dim::symbol("n");
    let flip = Op::Slice {
        start: [n.sub(&Dim::ONE).unwrap()].into_iter().collect(),
        len: [n.clone()].into_iter().collect(),
        step: vec![-1],
    };
    let (_, guards) = check(flip, &[TensorType::new(DType::F32, [n])]).unwrap();
    assert_eq!(guards, [], "a flip is always inside");
}

#[test]
fn pads_may_cut_but_not_below_zero() {
    let pad = |low: i64, high: i64, interior: i64| Op::Pad {
        low: dims(&[low]),
        high: dims(&[high]),
        interior: dims(&[interior]),
    };
    let x = || [tensor(DType::F32, &[4]), tensor(DType::F32, &[])];
    assert_eq!(shape_of(pad(1, 2, 2), &x()), "f32[13]");
    assert_eq!(shape_of(pad(-3, 0, 0), &x()), "f32[1]");
    assert_eq!(
        shape_of(pad(-3, -2, 0), &x()),
        "pad: axis 0 would have the negative size -1"
    );
    let empty = [tensor(DType::F32, &[0]), tensor(DType::F32, &[])];
    assert_eq!(shape_of(pad(1, 0, 5), &empty), "f32[1]");
}

#[test]
fn sizes_beyond_the_address_space_are_errors() {
    let big = 1i64 << 62;
    let expand = |to: &[i64]| Op::Expand { dims: dims(to) };
    let one = [tensor(DType::F32, &[1, 1])];
    let error = check(expand(&[big, 2]), &one).unwrap_err();
    assert!(matches!(error, TypeError::TooLarge { op: "expand", .. }));
    assert!(check(expand(&[big, 0]), &one).is_err());
    assert!(check(expand(&[1 << 60, 0]), &one).is_ok());
    let reshape = Op::Reshape {
        dims: dims(&[i64::MAX, 2, 0]),
    };
    let error = check(reshape, &[tensor(DType::U8, &[0])]).unwrap_err();
    assert!(matches!(error, TypeError::TooLarge { .. }));
}

#[test]
fn contractions_pair_axes() {
    let contract = |acc| Op::Contract {
        lhs_batch: vec![0],
        rhs_batch: vec![2],
        lhs_sum: vec![2],
        rhs_sum: vec![0],
        acc,
    };
    let operands = |dtype| [tensor(dtype, &[5, 2, 3]), tensor(dtype, &[3, 4, 5])];
    assert_eq!(
        shape_of(contract(DType::F32), &operands(DType::F16)),
        "f32[5, 2, 4]"
    );
    assert!(check(contract(DType::F16), &operands(DType::BF16)).is_err());
    assert!(check(contract(DType::I32), &operands(DType::U8)).is_ok());
    assert!(check(contract(DType::U32), &operands(DType::I8)).is_err());
}

#[test]
fn gathers_need_an_index_per_axis() {
    let gather = |axes: &[u32]| Op::Gather {
        axes: axes.to_vec(),
    };
    let x = tensor(DType::F32, &[4, 5, 6]);
    let index = tensor(DType::I64, &[2, 3]);
    assert_eq!(
        shape_of(gather(&[1]), &[x.clone(), index.clone()]),
        "f32[2, 3, 4, 6]"
    );
    assert_eq!(
        shape_of(gather(&[1, 0]), &[x.clone(), index]),
        "gather: 1 index operands for 2 axes, needed is one per axis"
    );
    let error = check(gather(&[1]), &[x, tensor(DType::U8, &[2])]).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "cast the operand first, for example to i64"
    );
}

#[test]
fn loops_check_their_bodies() {
    let f32s = |sizes: &[i64]| tensor(DType::F32, sizes);
    let mut body = Graph::new();
    let _i = body.input(tensor(DType::I64, &[]));
    let carry = body.input(f32s(&[2]));
    let slice = body.input(f32s(&[2]));
    let sum = node(&mut body, Op::Binary { f: Binary::Add }, &[carry, slice]).unwrap();
    body.set_outputs([sum, slice]);
    let looped = |trip: i64, body: &Graph| Op::Loop {
        trip: trip.into(),
        carries: 1,
        scanned: 1,
        body: body.clone().into(),
    };
    let operands = [f32s(&[2]), f32s(&[3, 2])];
    let (ty, _) = check(looped(3, &body), &operands).unwrap();
    assert_eq!(ty, Type::Tuple([f32s(&[2]), f32s(&[3, 2])].into()));
    assert_eq!(
        shape_of(looped(4, &body), &operands),
        "loop: axis 0 of operand 1 has size 3, but trip is 4"
    );
    body.set_outputs([]);
    assert_eq!(
        shape_of(looped(3, &body), &operands),
        "loop: body gives 0 results, needed are 1"
    );
    let total = node(
        &mut body,
        Op::Reduce {
            kind: Combine::Sum,
            axes: vec![0],
        },
        &[sum],
    )
    .unwrap();
    body.set_outputs([total]);
    assert_eq!(
        shape_of(looped(3, &body), &operands),
        "loop: body gives f32[] as result 0, needed is f32[2]"
    );
}

#[test]
fn tuples_are_only_taken_apart() {
    let mut g = Graph::new();
    let x = g.input(tensor(DType::F32, &[3]));
    let sort = Op::Sort {
        axis: 0,
        descending: false,
    };
    let sorted = node(&mut g, sort, &[x]).unwrap();
    let neg = Op::Unary { f: Unary::Neg };
    assert_eq!(
        node(&mut g, neg.clone(), &[sorted]).unwrap_err(),
        TypeError::TupleOperand {
            op: "neg",
            operand: 0
        }
    );
    let keys = node(&mut g, Op::Get { index: 0 }, &[sorted]).unwrap();
    assert!(node(&mut g, neg, &[keys]).is_ok());
    assert!(node(&mut g, Op::Get { index: 1 }, &[sorted]).is_err());
    let value = Scalar::from_i64(DType::I8, 3);
    assert!(node(&mut g, Op::Const { value }, &[x]).is_err());
}
