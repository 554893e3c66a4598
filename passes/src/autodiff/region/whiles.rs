//! `While`, forward only: tangents are carried along, and the condition does not see them.

use super::loops::{closed, tangents_of};
use super::{Dual, chosen, duals_of};
use crate::autodiff::Result;
use crate::autodiff::context::Cx;
use crate::autodiff::forward::{self, Start};
use crate::build::Emit;
use lazulite_ir::{Graph, NodeId, Op};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Results with tangents.
pub(in crate::autodiff) fn push(
    cx: &mut Cx<'_, '_>,
    op: &Op,
    operands: &[Dual],
) -> Result<Vec<Dual>> {
    let Op::While {
        carries,
        cond,
        body,
    } = op
    else {
        return Err(cx.none("only `while` is differentiated as `while`"));
    };
    let carries = *carries as usize;
    let moving = operands.iter().map(|d| d.tangent.is_some()).collect();
    let active = closed(body, body.inputs(), carries, moving);
    let count = active[..carries].iter().filter(|a| **a).count();
    let op = Op::While {
        carries: (carries + count) as u32,
        cond: Arc::new(with_tangents(cx, cond, carries, &active, false)?),
        body: Arc::new(with_tangents(cx, body, carries, &active, true)?),
    };
    let mut inputs = Vec::new();
    let (before, after) = operands.split_at(carries);
    for (part, marks) in [(before, &active[..carries]), (after, &active[carries..])] {
        inputs.extend(part.iter().map(|d| d.value));
        inputs.extend(tangents_of(cx, part, marks)?);
    }
    let tuple = cx.emit(op, &inputs)?;
    duals_of(cx, tuple, 0, &active[..carries])
}

/// The graph with a tangent parameter for each one in `active`, behind the carries and behind the
/// constants; with tangents of the carries among the results if it `moves` them.
fn with_tangents(
    cx: &mut Cx<'_, '_>,
    graph: &Graph,
    carries: usize,
    active: &[bool],
    moves: bool,
) -> Result<Graph> {
    let mut inner = cx.inner()?;
    let (mut values, mut starts) = (Vec::new(), BTreeMap::new());
    let (before, after) = graph.inputs().split_at(carries);
    for (part, marks) in [(before, &active[..carries]), (after, &active[carries..])] {
        let mut input = |id: &NodeId| inner.builder.input(graph.tensor_type(*id).clone());
        values.extend(part.iter().map(&mut input));
        for id in chosen(part, marks) {
            starts.insert(id, Start::Value(input(&id)));
        }
    }
    if !moves {
        starts.clear();
    }
    let (mut results, tangents) = forward::sweep(&mut inner, graph, &values, &starts)?;
    if moves {
        for k in (0..carries).filter(|&k| active[k]) {
            results.push(match tangents[k] {
                Some(t) => t,
                None => inner.zeros(graph.tensor_type(graph.inputs()[k]))?,
            });
        }
    }
    Ok(inner.builder.finish(results, graph))
}
