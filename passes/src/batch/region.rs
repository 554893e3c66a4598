//! Operations that hold graphs: the same operations with batched graphs where the elements agree on
//! the way to go, else both ways with a choice per element.

use super::Result;
use super::context::{Cx, Lane};
use super::rules::{copy, results};
use super::sequence::in_turn;
use super::sweep::{Slot, sweep};
use crate::build::Emit;
use lazulite_ir::{Combine, DType, Graph, NodeId, Op, TensorType};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The batched form of a graph inside an operation.
#[derive(Clone)]
pub(super) struct Body {
    graph: Arc<Graph>,
    /// Which results have a batch axis.
    batched: Vec<bool>,
}

/// Batched bodies, made once for all operations that hold the same graph and have the same operands
/// batched. The body is kept: its address is part of the key.
#[derive(Default)]
pub(super) struct Bodies(FxHashMap<Key, (Arc<Graph>, Body)>);

/// A graph, which parameters are batched, and which results must be.
type Key = (*const Graph, Vec<bool>, Vec<bool>);

/// The graph for parameters that are batched where `marks` says; results have a batch axis where they
/// depend on those, or where `always` says.
fn batched(cx: &mut Cx<'_>, body: &Arc<Graph>, marks: &[bool], always: &[bool]) -> Result<Body> {
    let key = (Arc::as_ptr(body), marks.to_vec(), always.to_vec());
    if let Some((_, known)) = cx.shared.bodies.0.get(&key) {
        return Ok(known.clone());
    }
    let mut inner = cx.inner()?;
    let inputs = inner.inputs_of(body, marks);
    let lanes = sweep(&mut inner, body, &inputs)?;
    let (mut nodes, mut batched) = (Vec::new(), Vec::new());
    for (i, x) in lanes.into_iter().enumerate() {
        let always = always.get(i).is_some_and(|a| *a);
        nodes.push(if always { inner.lift(x)? } else { x.node });
        batched.push(always || x.batched);
    }
    let graph = Arc::new(inner.builder.finish(nodes, body));
    let new = Body { graph, batched };
    let entry = (body.clone(), new.clone());
    cx.shared.bodies.0.insert(key, entry);
    Ok(new)
}

fn marks(x: &[Lane]) -> Vec<bool> {
    x.iter().map(|x| x.batched).collect()
}

/// Operands, with a batch axis where that is marked.
fn marked(cx: &mut Cx<'_>, x: &[Lane], marks: &[bool]) -> Result<Vec<NodeId>> {
    let pairs = x.iter().zip(marks);
    pairs
        .map(|(&x, &mark)| if mark { cx.lift(x) } else { Ok(x.node) })
        .collect()
}

/// The composite `name.vmap.O.R`, where O and R have a 1 for each operand and result with a batch axis and
/// a 0 for the others; the composite itself when no result differs between elements.
pub(super) fn call(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    let Op::Call { name, body } = op else {
        return Err(cx.none("only `call` is batched as `call`"));
    };
    let marks = marks(x);
    let new = batched(cx, body, &marks, &[])?;
    if !marks.iter().chain(&new.batched).any(|b| *b) {
        return copy(cx, op, x);
    }
    let op = Op::Call {
        name: format!("{name}.vmap.{}.{}", bits(&marks), bits(&new.batched)).into(),
        body: new.graph,
    };
    let operands = marked(cx, x, &marks)?;
    let tuple = cx.emit(op, &operands)?;
    results(cx, tuple, &new.batched)
}

fn bits(marks: &[bool]) -> String {
    marks.iter().map(|m| if *m { '1' } else { '0' }).collect()
}

/// Where the elements agree, the side that is taken; else both and a choice, unless a side is not
/// defined for elements that do not take it.
pub(super) fn branch(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    let Op::If { then, other } = op else {
        return Err(cx.none("only `if` is batched as `if`"));
    };
    let (condition, operands) = (x[0], &x[1..]);
    if condition.batched {
        let known = &mut cx.shared.known;
        if known.is_total(then) && known.is_total(other) {
            return choice(cx, condition.node, [then, other], operands);
        }
        return in_turn(cx, op, x);
    }
    let marks = marks(operands);
    let mut always = vec![false; then.outputs().len()];
    for side in [then, other] {
        for (a, b) in always
            .iter_mut()
            .zip(batched(cx, side, &marks, &[])?.batched)
        {
            *a |= b;
        }
    }
    let op = Op::If {
        then: batched(cx, then, &marks, &always)?.graph,
        other: batched(cx, other, &marks, &always)?.graph,
    };
    let mut nodes = vec![condition.node];
    nodes.extend(marked(cx, operands, &marks)?);
    let tuple = cx.emit(op, &nodes)?;
    results(cx, tuple, &always)
}

/// Both sides, and for every element the results of the one it takes.
fn choice(
    cx: &mut Cx<'_>,
    condition: NodeId,
    sides: [&Arc<Graph>; 2],
    operands: &[Lane],
) -> Result<Slot> {
    let source = cx.builder.source().cloned();
    let then = sweep(cx, sides[0], operands)?;
    let other = sweep(cx, sides[1], operands)?;
    cx.builder.at(source.as_ref());
    let mut lanes = Vec::with_capacity(then.len());
    for (a, b) in then.into_iter().zip(other) {
        let node = chosen(cx, condition, a, b)?;
        let batched = true;
        lanes.push(Lane { node, batched });
    }
    Ok(Slot::Tuple(lanes))
}

/// For every element of the batch `a` where the condition holds, else `b`.
fn chosen(cx: &mut Cx<'_>, condition: NodeId, a: Lane, b: Lane) -> Result<NodeId> {
    let (a, b) = (cx.lift(a)?, cx.lift(b)?);
    let dims = cx.dims(a);
    let condition = cx.along(condition, &dims)?;
    Ok(cx.select(condition, a, b)?)
}

/// Marks the carries that come to differ between elements in some turn; the body then gives them with
/// a batch axis. `parameters` has marks for the parameters of the body, the carries from `first` on.
fn settled(
    cx: &mut Cx<'_>,
    body: &Arc<Graph>,
    parameters: &mut [bool],
    [first, carries]: [usize; 2],
) -> Result<Body> {
    loop {
        let always = parameters[first..first + carries].to_vec();
        let new = batched(cx, body, parameters, &always)?;
        if new.batched[..carries] == always {
            return Ok(new);
        }
        parameters[first..first + carries].copy_from_slice(&new.batched[..carries]);
    }
}

/// Where the elements agree on the number of turns, a loop over batched carries; else one that turns
/// until the last element is done, unless its body is not defined for elements that are.
pub(super) fn while_loop(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    let Op::While {
        carries,
        cond,
        body,
    } = op
    else {
        return Err(cx.none("only `while` is batched as `while`"));
    };
    let count = *carries as usize;
    let mut marks = marks(x);
    let turn = settled(cx, body, &mut marks, [0, count])?;
    let test = batched(cx, cond, &marks, &[])?;
    if test.batched[0] {
        return match cx.shared.known.is_total(body) {
            true => masked_while(cx, [cond, body], count, x),
            false => in_turn(cx, op, x),
        };
    }
    let op = Op::While {
        carries: *carries,
        cond: test.graph,
        body: turn.graph,
    };
    let operands = marked(cx, x, &marks)?;
    let tuple = cx.emit(op, &operands)?;
    results(cx, tuple, &marks[..count])
}

/// A loop that carries, behind the carries, which elements are not done; those that are keep their
/// carries.
fn masked_while(
    cx: &mut Cx<'_>,
    [cond, body]: [&Arc<Graph>; 2],
    count: usize,
    x: &[Lane],
) -> Result<Slot> {
    let source = cx.builder.source().cloned();
    let mut marks = marks(x);
    marks[..count].fill(true);
    let operands = marked(cx, x, &marks)?;
    let lane = |(&node, &batched): (&NodeId, &bool)| Lane { node, batched };
    let start: Vec<Lane> = operands.iter().zip(&marks).map(lane).collect();
    let running = sweep(cx, cond, &start)?[0];
    cx.builder.at(source.as_ref());
    let running = cx.lift(running)?;

    let mut inner = cx.inner()?;
    let (_, mask) = masked_inputs(&mut inner, body, count, &marks);
    let op = Op::Reduce {
        kind: Combine::Max,
        axes: vec![0],
    };
    let any = inner.emit(op, &[mask])?;
    let test = inner.builder.finish([any], &Graph::new());

    let mut inner = cx.inner()?;
    let (lanes, mask) = masked_inputs(&mut inner, body, count, &marks);
    let mut next = sweep(&mut inner, body, &lanes)?;
    inner.builder.at(source.as_ref());
    for (new, &old) in next.iter_mut().zip(&lanes) {
        let node = chosen(&mut inner, mask, *new, old)?;
        let batched = true;
        *new = Lane { node, batched };
    }
    let arguments: Vec<Lane> = next.iter().chain(&lanes[count..]).copied().collect();
    let more = sweep(&mut inner, cond, &arguments)?[0];
    let more = inner.lift(more)?;
    let outputs: Vec<NodeId> = next.iter().map(|x| x.node).chain([more]).collect();
    let mut turn = inner.builder.finish(outputs, body);
    cond.guards().iter().for_each(|g| turn.add_guard(g.clone()));

    let op = Op::While {
        carries: count as u32 + 1,
        cond: Arc::new(test),
        body: Arc::new(turn),
    };
    let (before, constants) = operands.split_at(count);
    let tuple = cx.emit(op, &[before, &[running], constants].concat())?;
    results(cx, tuple, &marks[..count])
}

/// The parameters of a masked loop's graphs: carries, the mask, constants. The first and the last are
/// returned together.
fn masked_inputs(
    cx: &mut Cx<'_>,
    body: &Graph,
    carries: usize,
    marks: &[bool],
) -> (Vec<Lane>, NodeId) {
    let mut lanes = Vec::with_capacity(marks.len());
    let mut mask = None;
    let elements = TensorType::new(DType::Bool, [cx.shared.size.clone()]);
    for (i, (&input, &batched)) in body.inputs().iter().zip(marks).enumerate() {
        if i == carries {
            mask = Some(cx.builder.input(elements.clone()));
        }
        let mut ty = body.tensor_type(input).clone();
        if batched {
            ty.dims = cx.lead(&ty.dims);
        }
        let node = cx.builder.input(ty);
        lanes.push(Lane { node, batched });
    }
    let mask = mask.unwrap_or_else(|| cx.builder.input(elements));
    (lanes, mask)
}

/// A loop over batched carries and slices. The axis that is looped over stays in front of the batch's.
pub(super) fn counted_loop(cx: &mut Cx<'_>, op: &Op, x: &[Lane]) -> Result<Slot> {
    let Op::Loop {
        trip,
        carries,
        scanned,
        body,
    } = op
    else {
        return Err(cx.none("only `loop` is batched as `loop`"));
    };
    let (count, constants) = (*carries as usize, (*carries + *scanned) as usize);
    let mut parameters = vec![false];
    parameters.extend(marks(x));
    let new = settled(cx, body, &mut parameters, [1, count])?;
    let mut operands = marked(cx, x, &parameters[1..])?;
    for i in (count..constants).filter(|&i| x[i].batched) {
        operands[i] = cx.axis_first(operands[i], 1)?;
    }
    let op = Op::Loop {
        trip: trip.clone(),
        carries: *carries,
        scanned: *scanned,
        body: new.graph,
    };
    let tuple = cx.emit(op, &operands)?;
    let mut lanes = Vec::with_capacity(new.batched.len());
    for (i, &batched) in new.batched.iter().enumerate() {
        let mut node = cx.get(tuple, i)?;
        if batched && i >= count {
            node = cx.axis_first(node, 1)?;
        }
        lanes.push(Lane { node, batched });
    }
    Ok(Slot::Tuple(lanes))
}
