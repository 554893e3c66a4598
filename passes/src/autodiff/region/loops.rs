//! `Loop`: forward, tangents are carried along; backward, a loop over the iterations from last to
//! first carries the cotangents. It computes each iteration again, from its carries, which the
//! forward loop has saved. Program size does not depend on the number of iterations.

use super::{Dual, chosen, duals_of, gradients};
use crate::autodiff::activity::{dependants, differentiable};
use crate::autodiff::context::Cx;
use crate::autodiff::forward::{self, Start};
use crate::autodiff::linearise::Applied;
use crate::autodiff::{Result, reverse};
use crate::build::Emit;
use lazulite_ir::{Binary, DType, Dim, Graph, NodeId, Op, TensorType, Unary};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The body with the carries that change as further results, to be stacked.
pub(in crate::autodiff) fn saving(body: &Arc<Graph>, carries: usize) -> Arc<Graph> {
    let changing = changing(body, carries);
    let mut saving = (**body).clone();
    let saved = chosen(&body.inputs()[1..], &changing);
    saving.set_outputs(body.outputs().iter().copied().chain(saved));
    Arc::new(saving)
}

/// Which carries are not handed on as they are.
fn changing(body: &Graph, carries: usize) -> Vec<bool> {
    let pairs = body.inputs()[1..].iter().zip(body.outputs()).take(carries);
    pairs.map(|(before, after)| before != after).collect()
}

/// A loop and which of its body's parameters a derivative goes through.
struct Shape<'a> {
    trip: &'a Dim,
    carries: usize,
    scanned: usize,
    body: &'a Graph,
    /// Per parameter of the body behind the iteration, which are the operands.
    active: Vec<bool>,
}

impl<'a> Shape<'a> {
    fn new(cx: &Cx<'_, '_>, op: &'a Op, moving: Vec<bool>) -> Result<Shape<'a>> {
        let Op::Loop {
            trip,
            carries,
            scanned,
            body,
        } = op
        else {
            return Err(cx.none("only `loop` is differentiated as `loop`"));
        };
        let carries = *carries as usize;
        Ok(Shape {
            trip,
            carries,
            scanned: *scanned as usize,
            body,
            active: closed(body, &body.inputs()[1..], carries, moving),
        })
    }

    /// The parts of a list with an entry per operand.
    fn parts<'l, T>(&self, list: &'l [T]) -> [&'l [T]; 3] {
        let (carries, rest) = list.split_at(self.carries);
        let (scanned, constants) = rest.split_at(self.scanned);
        [carries, scanned, constants]
    }

    fn types(&self) -> Vec<TensorType> {
        let inputs = self.body.inputs()[1..].iter();
        inputs.map(|&i| self.body.tensor_type(i).clone()).collect()
    }
}

/// The marks of the parameters with those of the carries that come to depend on them in some
/// iteration.
pub(super) fn closed(
    body: &Graph,
    inputs: &[NodeId],
    carries: usize,
    mut marks: Vec<bool>,
) -> Vec<bool> {
    loop {
        let depends = dependants(body, chosen(inputs, &marks));
        let mut grown = false;
        for (k, output) in body.outputs().iter().enumerate().take(carries) {
            let reached = depends[output.index()] && differentiable(body.tensor_type(*output));
            grown |= reached && !marks[k];
            marks[k] |= reached;
        }
        if !grown {
            return marks;
        }
    }
}

/// The backward loop, for a choice of what it carries.
struct Backward {
    graph: Graph,
    /// Which carries, scanned operands and constants get a cotangent.
    reached: [Vec<bool>; 3],
}

/// Cotangents of the operands.
pub(in crate::autodiff) fn pull(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    results: &[Option<NodeId>],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let shape = Shape::new(cx, at.op, wanted.to_vec())?;
    let [active_carries, _, active_constants] = shape.parts(&shape.active);
    let given: Vec<bool> = results.iter().map(Option::is_some).collect();
    let (last, stacked) = given.split_at(shape.carries);
    let both = |(a, b): (&bool, &bool)| *a && *b;
    let mut carried: Vec<bool> = last.iter().zip(active_carries).map(both).collect();
    let mut summed = active_constants.to_vec();
    // A cotangent may reach a carry only after it went through others.
    let backward = loop {
        let backward = backward(cx, &shape, [&carried, stacked, &summed])?;
        let [carries, _, constants] = &backward.reached;
        let either = |(a, b): (&bool, &bool)| *a || *b;
        let grown: Vec<bool> = carried.iter().zip(carries).map(either).collect();
        if grown != carried {
            carried = grown;
        } else if *constants != summed {
            summed.clone_from(constants);
        } else {
            break backward;
        }
    };
    run(cx, at, &shape, results, [&carried, &summed], backward)
}

/// Builds the body of the backward loop: parameters are the iteration, the cotangents `carried` and
/// the sums `summed`; the saved carries, scanned operands and cotangents `stacked`; the constants
/// and the carries that do not change.
fn backward(
    cx: &mut Cx<'_, '_>,
    shape: &Shape<'_>,
    [carried, stacked, summed]: [&[bool]; 3],
) -> Result<Backward> {
    let (body, types) = (shape.body, shape.types());
    let [carry_types, scanned_types, constant_types] = shape.parts(&types);
    let mut inner = cx.inner()?;
    let iteration = inner.builder.input(TensorType::scalar(DType::I64));
    let mut inputs = |types: Vec<TensorType>| -> Vec<NodeId> {
        let types = types.into_iter();
        types.map(|ty| inner.builder.input(ty)).collect()
    };
    let cotangents = inputs(chosen(carry_types, carried));
    let sums = inputs(chosen(constant_types, summed));
    let changing = changing(body, shape.carries);
    let saved = inputs(chosen(carry_types, &changing));
    let scanned = inputs(scanned_types.to_vec());
    let stack_types = body.output_types().split_off(shape.carries);
    let stacks = inputs(chosen(&stack_types, stacked));
    let constants = inputs(constant_types.to_vec());
    let fixed: Vec<bool> = changing.iter().map(|c| !c).collect();
    let unchanged = inputs(chosen(carry_types, &fixed));

    let mut values = vec![mirrored(&mut inner, shape.trip, iteration)?];
    values.extend(merged(&changing, saved, unchanged));
    values.extend(scanned.iter().chain(&constants));
    let (last, slices) = body.outputs().split_at(shape.carries);
    let ends = chosen(last, carried).into_iter().zip(cotangents);
    let ends = ends.chain(chosen(slices, stacked).into_iter().zip(stacks));
    let ends: Vec<(NodeId, NodeId)> = ends.collect();
    let wanted: Vec<bool> = [false].iter().chain(&shape.active).copied().collect();
    let found = gradients(&mut inner, body, &values, &ends, &wanted)?;

    let reached: Vec<bool> = found[1..].iter().map(Option::is_some).collect();
    let [found_carries, found_scanned, found_constants] = shape.parts(&found[1..]);
    let mut results = Vec::new();
    for (k, &g) in found_carries.iter().enumerate() {
        if carried[k] {
            results.push(match g {
                Some(g) => g,
                None => inner.zeros(&carry_types[k])?,
            });
        }
    }
    for (&sum, g) in sums.iter().zip(chosen(found_constants, summed)) {
        let mut total = Some(sum);
        if let Some(g) = g {
            reverse::add(&mut inner, &mut total, g)?;
        }
        results.extend(total);
    }
    results.extend(found_scanned.iter().flatten());
    Ok(Backward {
        graph: inner.builder.finish(results, body),
        reached: shape.parts(&reached).map(<[bool]>::to_vec),
    })
}

/// One entry per mark, from the first list where it is set, from the second where it is not.
fn merged(marks: &[bool], set: Vec<NodeId>, unset: Vec<NodeId>) -> Vec<NodeId> {
    let (mut set, mut unset) = (set.into_iter(), unset.into_iter());
    let next = |&mark: &bool| if mark { set.next() } else { unset.next() };
    marks.iter().filter_map(next).collect()
}

/// `trip - 1 - i`.
fn mirrored(cx: &mut Cx<'_, '_>, trip: &Dim, i: NodeId) -> Result<NodeId> {
    let (value, dtype) = (trip.sub(&Dim::ONE)?, DType::I64);
    let last = cx.emit(Op::Size { value, dtype }, &[])?;
    let minus = cx.unary(Unary::Neg, i)?;
    Ok(cx.binary(Binary::Add, last, minus)?)
}

/// Emits the backward loop, and takes its results apart.
fn run(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    shape: &Shape<'_>,
    results: &[Option<NodeId>],
    [carried, summed]: [&[bool]; 2],
    backward: Backward,
) -> Result<Vec<Option<NodeId>>> {
    let [initial, scanned, constants] = shape.parts(at.operands);
    let changing = changing(shape.body, shape.carries);
    let mut operands = Vec::new();
    for (k, &start) in initial.iter().enumerate() {
        if carried[k] {
            let ty = cx.ty(start).clone();
            operands.push(match results[k] {
                Some(g) => g,
                None => cx.zeros(&ty)?,
            });
        }
    }
    for constant in chosen(constants, summed) {
        let ty = cx.ty(constant).clone();
        operands.push(cx.zeros(&ty)?);
    }
    let carries = operands.len();
    for i in 0..changing.iter().filter(|c| **c).count() {
        let saved = cx.get(at.value, results.len() + i)?;
        operands.push(cx.flip(saved, 0)?);
    }
    for &x in scanned {
        operands.push(cx.flip(x, 0)?);
    }
    for &g in results[shape.carries..].iter().flatten() {
        operands.push(cx.flip(g, 0)?);
    }
    let all = operands.len();
    operands.extend_from_slice(constants);
    let fixed: Vec<bool> = changing.iter().map(|c| !c).collect();
    operands.extend(chosen(initial, &fixed));
    let op = Op::Loop {
        trip: shape.trip.clone(),
        carries: carries as u32,
        scanned: (all - carries) as u32,
        body: Arc::new(backward.graph),
    };
    let tuple = cx.emit(op, &operands)?;
    let [_, reached_scanned, _] = &backward.reached;
    let of_carries = super::marked_results(cx, tuple, 0, carried)?;
    let behind = of_carries.iter().flatten().count();
    let of_constants = super::marked_results(cx, tuple, behind, summed)?;
    let mut found = of_carries;
    for g in super::marked_results(cx, tuple, carries, reached_scanned)? {
        found.push(match g {
            Some(g) => Some(cx.flip(g, 0)?),
            None => None,
        });
    }
    found.extend(of_constants);
    Ok(found)
}

/// Results with tangents.
pub(in crate::autodiff) fn push(
    cx: &mut Cx<'_, '_>,
    op: &Op,
    operands: &[Dual],
) -> Result<Vec<Dual>> {
    let moving = operands.iter().map(|d| d.tangent.is_some()).collect();
    let shape = Shape::new(cx, op, moving)?;
    let (body, carries, stacked) = moving_body(cx, &shape)?;
    let mut inputs = Vec::new();
    for (part, active) in shape
        .parts(operands)
        .into_iter()
        .zip(shape.parts(&shape.active))
    {
        inputs.extend(part.iter().map(|d| d.value));
        inputs.extend(tangents_of(cx, part, active)?);
    }
    let scanned = shape.parts(&shape.active)[1].iter().filter(|a| **a).count();
    let op = Op::Loop {
        trip: shape.trip.clone(),
        carries: carries as u32,
        scanned: (shape.scanned + scanned) as u32,
        body: Arc::new(body),
    };
    let tuple = cx.emit(op, &inputs)?;
    let mut duals = duals_of(cx, tuple, 0, &shape.active[..shape.carries])?;
    duals.extend(duals_of(cx, tuple, carries, &stacked)?);
    Ok(duals)
}

/// The body with tangents, the number of its carries, and which of the stacked results have one.
fn moving_body(cx: &mut Cx<'_, '_>, shape: &Shape<'_>) -> Result<(Graph, usize, Vec<bool>)> {
    let types = shape.types();
    let mut inner = cx.inner()?;
    let mut values = vec![inner.builder.input(TensorType::scalar(DType::I64))];
    let mut starts = BTreeMap::new();
    let parameters: Vec<usize> = (0..types.len()).collect();
    for part in shape.parts(&parameters) {
        let mut input = |&k: &usize| inner.builder.input(types[k].clone());
        values.extend(part.iter().map(&mut input));
        for k in part.iter().filter(|k| shape.active[**k]) {
            starts.insert(shape.body.inputs()[1 + k], Start::Value(input(k)));
        }
    }
    let (results, tangents) = forward::sweep(&mut inner, shape.body, &values, &starts)?;
    let (last, stacks) = results.split_at(shape.carries);
    let mut outputs = last.to_vec();
    for k in (0..shape.carries).filter(|&k| shape.active[k]) {
        outputs.push(match tangents[k] {
            Some(t) => t,
            None => inner.zeros(&types[k])?,
        });
    }
    let carries = outputs.len();
    let of_stacks = &tangents[shape.carries..];
    outputs.extend(stacks.iter().chain(of_stacks.iter().flatten()));
    let body = inner.builder.finish(outputs, shape.body);
    let stacked = of_stacks.iter().map(Option::is_some).collect();
    Ok((body, carries, stacked))
}

/// The tangents of the operands marked, zeros where there are none.
pub(super) fn tangents_of(
    cx: &mut Cx<'_, '_>,
    operands: &[Dual],
    marks: &[bool],
) -> Result<Vec<NodeId>> {
    let mut tangents = Vec::new();
    for dual in chosen(operands, marks) {
        let ty = cx.ty(dual.value).clone();
        tangents.push(match dual.tangent {
            Some(t) => t,
            None => cx.zeros(&ty)?,
        });
    }
    Ok(tangents)
}
