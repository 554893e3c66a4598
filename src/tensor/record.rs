//! Recording: from an operation on tensors to a node, checked as it is written.

use super::{
    Argument, IntoDims, Literal, Node, Number, Operand, Operands, Promotion, Recorded, State,
    Tensor, Traits,
};
use crate::autograd::grad_enabled;
use crate::device::{pinned_here, reconcile};
use crate::engine::draw_level;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, trail};
use crate::ops::Generator;
use lazulite_ir::{
    Binary, Class, DType, Dims, Op, Predicate, Scalar, TensorType, Type, TypeError, Unary, infer,
};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// The common dims of several operands under broadcasting, found one operand at a time.
#[derive(Default)]
pub(crate) struct Broadcast {
    dims: Dims,
}

impl Broadcast {
    /// Takes in an operand's dims; the axis (counted in the result) and both sizes on conflict.
    pub fn add(&mut self, dims: &Dims) -> Result<(), (usize, String, String)> {
        if dims.len() > self.dims.len() {
            let missing = dims.len() - self.dims.len();
            self.dims.insert_many(0, dims[..missing].iter().cloned());
        }
        let offset = self.dims.len() - dims.len();
        for (i, theirs) in dims.iter().enumerate() {
            let ours = &mut self.dims[offset + i];
            if ours == theirs || theirs.is(1) {
                continue;
            }
            // Two unknown sizes, or an unknown and a known one, must turn out equal at run time.
            if ours.is(1) || (ours.compare_eq(theirs).is_none() && theirs.as_const().is_some()) {
                *ours = theirs.clone();
            } else if ours.compare_eq(theirs) == Some(false) {
                return Err((offset + i, ours.to_string(), theirs.to_string()));
            }
        }
        Ok(())
    }

    /// The common dims.
    pub fn dims(self) -> Dims {
        self.dims
    }
}

/// Roles of operands in messages.
const ROLES: [&str; 4] = ["self", "other", "third", "fourth"];

impl Tensor {
    /// Records a function of one element, whose result has the operand's type.
    #[track_caller]
    pub(crate) fn record_unary(&self, op: &'static str, f: Unary) -> Tensor {
        let Ok(node) = &self.0 else {
            return self.clone();
        };
        if f.accepts(node.ty.dtype) {
            let operands = smallvec![Operand::Node(node.clone())];
            return record(op, Recorded::Unary(f), node.ty.clone(), operands, false);
        }
        let ty = Type::Tensor((*node.ty).clone());
        match infer(&Op::Unary { f }, &[&ty], &mut Vec::new()) {
            Ok(_) => Tensor::error(internal(op, "a type is refused and accepted")),
            Err(e) => Tensor::error(type_error(op, e, &[self])),
        }
    }

    /// Records a conversion; none if the type is the same.
    #[track_caller]
    pub(crate) fn record_cast(&self, dtype: DType) -> Tensor {
        match &self.0 {
            Ok(node) if node.ty.dtype != dtype => {
                let ty = TensorType::new(dtype, node.ty.dims.iter().cloned());
                if dtype.size() > node.ty.dtype.size() {
                    // It may be too large now.
                    let own = Type::Tensor((*node.ty).clone());
                    if let Err(e) = infer(&Op::Cast { dtype }, &[&own], &mut Vec::new()) {
                        return Tensor::error(type_error("cast", e, &[self]));
                    }
                }
                let operands = smallvec![Operand::Node(node.clone())];
                record("cast", Recorded::Cast, ty, operands, false)
            }
            _ => self.clone(),
        }
    }
}

/// Records a function of two elements with promotion and broadcasting.
#[track_caller]
pub(crate) fn binary(op: &'static str, f: Binary, a: Argument, b: Argument) -> Tensor {
    let dtype = match promote(&[&a, &b]) {
        Ok(dtype) => dtype,
        Err(e) => return Tensor::error(e),
    };
    binary_as(op, f, a, b, dtype)
}

/// Records a function of two elements with both converted to `dtype`.
#[track_caller]
pub(crate) fn binary_as(
    op: &'static str,
    f: Binary,
    a: Argument,
    b: Argument,
    dtype: DType,
) -> Tensor {
    broadcasting(
        op,
        Recorded::Binary(f),
        &[a, b],
        [dtype; 2],
        Op::Binary { f },
    )
}

/// Records a comparison with promotion and broadcasting.
#[track_caller]
pub(crate) fn compare(op: &'static str, predicate: Predicate, a: Argument, b: Argument) -> Tensor {
    let dtype = match promote(&[&a, &b]) {
        Ok(dtype) => dtype,
        Err(e) => return Tensor::error(e),
    };
    let recorded = Recorded::Compare(predicate);
    broadcasting(op, recorded, &[a, b], [dtype; 2], Op::Compare { predicate })
}

/// Records a choice by a condition, with promotion between the alternatives and broadcasting.
#[track_caller]
pub(crate) fn select(op: &'static str, condition: Argument, a: Argument, b: Argument) -> Tensor {
    let dtype = match promote(&[&a, &b]) {
        Ok(dtype) => dtype,
        Err(e) => return Tensor::error(e),
    };
    let args = [condition, a, b];
    broadcasting(
        op,
        Recorded::Select,
        &args,
        [DType::Bool, dtype, dtype],
        Op::Select {},
    )
}

/// The type PyTorch would compute in.
pub(crate) fn promote(arguments: &[&Argument]) -> Result<DType> {
    let mut promotion = Promotion::default();
    for argument in arguments {
        promotion = match argument {
            Argument::Tensor(t) => {
                let ty = &t.node()?.ty;
                promotion.tensor(ty.dtype, ty.rank())
            }
            Argument::Number(n) => promotion.number(*n),
        };
    }
    Ok(promotion.result())
}

#[track_caller]
fn broadcasting<const N: usize>(
    op: &'static str,
    recorded: Recorded,
    arguments: &[Argument; N],
    dtypes: [DType; N],
    primitive: Op,
) -> Tensor {
    let mut operands = Operands::new();
    for (argument, dtype) in arguments.iter().zip(dtypes) {
        // Arithmetic and comparisons take numbers modulo the type's range; what is chosen must be held.
        if let (Recorded::Select, Argument::Number(n)) = (&recorded, argument)
            && let Err(message) = n.fitting(dtype)
        {
            return Tensor::error(unfit(op, message));
        }
        operands.push(match operand(argument, dtype) {
            Ok(operand) => operand,
            Err(e) => return Tensor::error(e),
        });
    }
    let accepted = match recorded {
        Recorded::Binary(f) => f.accepts(dtypes[0]),
        Recorded::Compare(p) => p.accepts(dtypes[0]),
        _ => true,
    };
    let result = match recorded {
        Recorded::Compare(_) => DType::Bool,
        _ => dtypes[N - 1],
    };
    // The common case needs neither broadcasting nor inference.
    match common_type(&operands, result) {
        Some(ty) if accepted => record(op, recorded, ty, operands, false),
        _ => match broadcast_type(op, &operands, arguments, &dtypes, &primitive) {
            Ok(ty) => record(op, recorded, ty, operands, false),
            Err(e) => Tensor::error(e),
        },
    }
}

#[track_caller]
fn operand(argument: &Argument, dtype: DType) -> Result<Operand> {
    let tensor = match argument {
        Argument::Tensor(t) => t.record_cast(dtype),
        Argument::Number(n) => match literal(*n, dtype) {
            Ok(literal) => return Ok(Operand::Literal(literal)),
            Err(constant) => constant,
        },
    };
    tensor.0.map(Operand::Node)
}

/// The type of a pointwise result when all operands (but for literals) have the same dims: shared with an
/// operand where possible.
fn common_type(operands: &Operands, dtype: DType) -> Option<Arc<TensorType>> {
    let mut nodes = operands.iter().filter_map(Operand::node);
    let first = &nodes.next()?.ty;
    let mut shared = (first.dtype == dtype).then_some(first);
    for node in nodes {
        if !Arc::ptr_eq(&node.ty, first) && node.ty.dims != first.dims {
            return None;
        }
        shared = shared.or((node.ty.dtype == dtype).then_some(&node.ty));
    }
    Some(match shared {
        Some(ty) => ty.clone(),
        None => Arc::new(TensorType {
            dtype,
            dims: first.dims.clone(),
        }),
    })
}

/// The type of a pointwise result by broadcasting and inference.
#[track_caller]
fn broadcast_type(
    op: &'static str,
    operands: &Operands,
    arguments: &[Argument],
    dtypes: &[DType],
    primitive: &Op,
) -> Result<Arc<TensorType>> {
    let mut broadcast = Broadcast::default();
    for node in operands.iter().filter_map(Operand::node) {
        if let Err((axis, ours, theirs)) = broadcast.add(&node.ty.dims) {
            return Err(broadcast_error(op, axis, &ours, &theirs, arguments));
        }
    }
    let dims = broadcast.dims();
    let types: SmallVec<[Type; 3]> = dtypes
        .iter()
        .map(|&dtype| {
            Type::Tensor(TensorType {
                dtype,
                dims: dims.clone(),
            })
        })
        .collect();
    let refs: SmallVec<[&Type; 3]> = types.iter().collect();
    match infer(primitive, &refs, &mut Vec::new()) {
        Ok(Type::Tensor(ty)) => Ok(Arc::new(ty)),
        Ok(Type::Tuple(_)) => Err(internal(op, "a pointwise operation has several results")),
        Err(e) => {
            let tensors: Vec<&Tensor> = arguments.iter().filter_map(as_tensor).collect();
            Err(type_error(op, e, &tensors))
        }
    }
}

fn as_tensor(argument: &Argument) -> Option<&Tensor> {
    match argument {
        Argument::Tensor(t) => Some(t),
        Argument::Number(_) => None,
    }
}

/// The number as a literal operand; complex128 numbers, which do not fit, as a constant tensor.
#[track_caller]
fn literal(number: Number, dtype: DType) -> Result<Literal, Tensor> {
    let value = number.scalar(dtype);
    Literal::new(value).ok_or_else(|| constant(value))
}

/// The error of a number that a type cannot hold.
#[track_caller]
pub(crate) fn unfit(op: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Argument, op, message).at(Place::here())
}

/// Records a 0-d number. Like every number it may change from call to call without recompilation;
/// only complex128 ones, which are too large for a literal, are part of the program's structure.
#[track_caller]
pub(crate) fn constant(value: Scalar) -> Tensor {
    match Literal::new(value) {
        Some(literal) => {
            let ty = TensorType::scalar(value.dtype());
            let operands = smallvec![Operand::Literal(literal)];
            record("constant", Recorded::Constant, ty, operands, false)
        }
        None => primitive("constant", Op::Const { value }, &[]),
    }
}

/// Records a primitive with one result, operands taken as they are.
#[track_caller]
pub(crate) fn primitive(op: &'static str, primitive: Op, inputs: &[&Tensor]) -> Tensor {
    match record_primitive(op, primitive, inputs) {
        Ok((node, Type::Tensor(_))) => Tensor(Ok(node)),
        Ok((_, Type::Tuple(_))) => Tensor::error(internal(op, "a single result was expected")),
        Err(e) => Tensor::error(e),
    }
}

/// Records a primitive with several results; `count` tensors that carry the error if there is one.
#[track_caller]
pub(crate) fn primitive_many(
    op: &'static str,
    primitive: Op,
    inputs: &[&Tensor],
    count: usize,
) -> Vec<Tensor> {
    match record_primitive(op, primitive, inputs) {
        Ok((node, Type::Tuple(types))) if types.len() == count => items(&node, types.to_vec()),
        Ok(_) => vec![Tensor::error(internal(op, "another number of results was expected")); count],
        Err(e) => vec![Tensor::error(e); count],
    }
}

/// The results of a node with several, of these types.
#[track_caller]
pub(crate) fn items<T: Into<Arc<TensorType>>>(
    tuple: &Arc<Node>,
    types: impl IntoIterator<Item = T>,
) -> Vec<Tensor> {
    let mut items = Vec::new();
    // Not a closure: through those the caller is not tracked.
    for (index, ty) in (0..).zip(types) {
        let operands = smallvec![Operand::Node(tuple.clone())];
        items.push(record("item", Recorded::Item(index), ty, operands, true));
    }
    items
}

#[track_caller]
fn record_primitive(
    op: &'static str,
    primitive: Op,
    inputs: &[&Tensor],
) -> Result<(Arc<Node>, Type)> {
    let mut types: SmallVec<[Type; 3]> = SmallVec::new();
    let mut operands = Operands::new();
    for input in inputs {
        let node = input.node()?;
        types.push(Type::Tensor((*node.ty).clone()));
        operands.push(Operand::Node(node.clone()));
    }
    let refs: SmallVec<[&Type; 3]> = types.iter().collect();
    let ty = match infer(&primitive, &refs, &mut Vec::new()) {
        Ok(ty) => ty,
        Err(e) => return Err(type_error(op, e, inputs)),
    };
    let first = match &ty {
        Type::Tensor(t) => t.clone(),
        Type::Tuple(types) => types
            .first()
            .cloned()
            .unwrap_or_else(|| TensorType::scalar(DType::Bool)),
    };
    let heavy = is_heavy(&primitive);
    let recorded = Recorded::Primitive(Box::new(primitive));
    Ok((record_node(op, recorded, first, operands, heavy)?, ty))
}

/// Work that is not repeated for a value the user holds.
fn is_heavy(op: &Op) -> bool {
    match op.class() {
        Class::Leaf => matches!(op, Op::Random { .. }),
        Class::Pointwise | Class::View => false,
        Class::Aggregate | Class::Index | Class::Region | Class::Other => true,
    }
}

#[track_caller]
fn record(
    op: &'static str,
    recorded: Recorded,
    ty: impl Into<Arc<TensorType>>,
    operands: Operands,
    heavy: bool,
) -> Tensor {
    Tensor(record_node(op, recorded, ty, operands, heavy))
}

/// Records the user's operation `op` on operands that fit it; an error if they lie on different devices.
#[track_caller]
pub(crate) fn record_node(
    op: &'static str,
    recorded: Recorded,
    ty: impl Into<Arc<TensorType>>,
    mut operands: Operands,
    heavy: bool,
) -> Result<Arc<Node>> {
    let ty = ty.into();
    let mut made_of_numbers = true;
    let mut traits = Traits {
        heavy,
        constant: !heavy,
        ..Traits::default()
    };
    for node in operands.iter().filter_map(Operand::node) {
        traits.grad |= node.traits.grad;
        traits.from_gradient |= node.traits.from_gradient;
        traits.constant &= node.traits.constant;
        traits.level = traits.level.max(node.traits.level);
        traits.places = traits.places.join(node.traits.places);
        made_of_numbers = false;
    }
    if made_of_numbers {
        traits.places = pinned_here();
    } else if traits.places.disagree() {
        traits.places = reconcile(op, &mut operands)?;
    }
    traits.from_gradient |= matches!(recorded, Recorded::Gradient(_));
    let smooth = recorded.has_several_results() || ty.dtype.is_inexact();
    traits.grad = traits.grad && smooth && grad_enabled();
    Ok(with_traits(recorded, ty, operands, traits))
}

/// Records an operation whose traits are not those that its operands suggest.
#[track_caller]
pub(crate) fn with_traits(
    recorded: Recorded,
    ty: impl Into<Arc<TensorType>>,
    operands: Operands,
    traits: Traits,
) -> Arc<Node> {
    let state = State::Lazy(operands);
    Arc::new(Node::new(
        recorded,
        ty,
        Place::here(),
        trail(),
        traits,
        state,
    ))
}

/// Turns a type error into one for the user.
#[track_caller]
pub(crate) fn type_error(op: &'static str, error: TypeError, operands: &[&Tensor]) -> Error {
    type_error_at(op, error, operands, Place::here())
}

/// The same for what was recorded at `place`.
pub(crate) fn type_error_at(
    op: &'static str,
    error: TypeError,
    operands: &[&Tensor],
    place: Place,
) -> Error {
    let kind = match &error {
        TypeError::DType { .. }
        | TypeError::AttributeDType { .. }
        | TypeError::DTypesDiffer { .. } => ErrorKind::DType,
        TypeError::TooLarge { .. } | TypeError::SizeOverflow { .. } => ErrorKind::Memory,
        _ => ErrorKind::Shape,
    };
    let text = error.to_string();
    // The primitive's name says nothing to the user, who wrote `op`.
    let message = text
        .split_once(": ")
        .map_or(text.as_str(), |(_, rest)| rest);
    let mut out = Error::new(kind, op, message).at(place);
    for (tensor, role) in operands.iter().zip(ROLES) {
        out = out.operand(tensor.note(role));
    }
    match error.hint() {
        Some(hint) => out.hint(hint),
        None => out,
    }
}

#[track_caller]
fn broadcast_error(
    op: &'static str,
    axis: usize,
    a: &str,
    b: &str,
    arguments: &[Argument],
) -> Error {
    let message = format!("sizes {a} and {b} do not broadcast along axis {axis}");
    let mut out = Error::new(ErrorKind::Shape, op, message).at(Place::here());
    for (tensor, role) in arguments.iter().filter_map(as_tensor).zip(ROLES) {
        out = out.operand(tensor.note(role));
    }
    out.hint("broadcasting aligns axes from the last; sizes must be equal, or one of them 1")
}

#[track_caller]
pub(crate) fn internal(op: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Internal, op, message)
        .at(Place::here())
        .hint("this is a defect of Lazulite itself; please report it")
}

/// Records random bits (u32 or u64) with a fresh stream of `generator`. The stream number is never
/// compiled in; inside a captured function it is counted from the call's own base.
#[track_caller]
pub(crate) fn random_bits(generator: &Generator, dims: impl IntoDims, dtype: DType) -> Tensor {
    let dims = match dims.into_dims() {
        Ok(dims) => dims,
        Err(e) => return Tensor::error(e.at(Place::here())),
    };
    let (seed, stream) = match crate::compile::captured_stream(generator) {
        Some(captured) => captured,
        None => {
            let (seed, stream) = generator.take_streams(1);
            (runtime_literal(seed), runtime_literal(stream))
        }
    };
    let mut stream = stream;
    for turn in crate::control::turns() {
        stream = match stream_of_turn(stream, &turn) {
            Ok(stream) => stream,
            Err(e) => return Tensor::error(e),
        };
    }
    let op = Op::Random { dims, dtype };
    let scalar = Type::Tensor(TensorType::scalar(DType::U64));
    match infer(&op, &[&scalar, &scalar], &mut Vec::new()) {
        Ok(Type::Tensor(ty)) => {
            let node = stream.node().into_iter().chain(seed.node());
            let level = node.map(|n| n.traits.level).fold(draw_level(), u8::max);
            let traits = Traits {
                heavy: true,
                level,
                ..Traits::default()
            };
            let recorded = Recorded::Primitive(Box::new(op));
            let operands = smallvec![seed, stream];
            Tensor(Ok(with_traits(recorded, ty, operands, traits)))
        }
        Ok(Type::Tuple(_)) => Tensor::error(internal("random", "a single result was expected")),
        Err(e) => Tensor::error(type_error("random", e, &[])),
    }
}

/// The stream for one turn of a loop: another number for each pair, and so well mixed that it is none of those
/// that are taken one by one.
#[track_caller]
fn stream_of_turn(stream: Operand, turn: &Tensor) -> Result<Operand> {
    let stream = match stream {
        Operand::Node(node) => Tensor(Ok(node)),
        Operand::Literal(_) => record(
            "random",
            Recorded::Constant,
            TensorType::scalar(DType::U64),
            smallvec![stream],
            false,
        ),
    };
    let turn = turn.cast(DType::U64).add(1).mul(Number::Int(ODD[0]));
    let mut mixed = stream.add(turn);
    for odd in ODD {
        let upper = mixed.bitwise_right_shift(31);
        mixed = mixed.bitwise_xor(upper).mul(Number::Int(odd));
    }
    let upper = mixed.bitwise_right_shift(29);
    Ok(Operand::Node(mixed.bitwise_xor(upper).node()?.clone()))
}

/// Factors that spread each bit over those above it.
const ODD: [i64; 2] = [0x1e37_79b9_7f4a_7c15, 0x3f58_476d_1ce4_e5b9];

fn runtime_literal(value: u64) -> Operand {
    Operand::Literal(Literal {
        dtype: DType::U64,
        bits: value,
        runtime: true,
    })
}
