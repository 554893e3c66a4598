//! Composites and foreign functions: the registered derivative, or that of the definition, as a
//! call of its own, `name.vjp` or `name.jvp`.

use super::{Derived, Dual, chosen, duals_of, flattened, marked_results, types};
use crate::autodiff::activity::differentiable;
use crate::autodiff::context::Cx;
use crate::autodiff::linearise::Applied;
use crate::autodiff::{AutodiffError, Result, Rule};
use crate::build::Emit;
use lazulite_ir::{Graph, NodeId, Op, TensorType, Type};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Derivatives of the bodies of calls, made once for all calls of the same body with the same
/// operands differentiated. The body is kept: its address is part of the key.
#[derive(Default)]
pub(in crate::autodiff) struct Calls {
    pullbacks: FxHashMap<Key, (Arc<Graph>, Derived)>,
    pushforwards: FxHashMap<Key, (Arc<Graph>, Derived)>,
}

type Key = (*const Graph, Vec<bool>, Vec<bool>);

/// Cotangents of the operands.
pub(in crate::autodiff) fn pull(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    results: &[Option<NodeId>],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let (operand_types, result_types) = (types(cx, at.operands), tuple(cx, at.value));
    let rule = cx.shared.rules;
    match rule.pullback(at.op, &operand_types, &result_types) {
        Rule::Definition => pull_definition(cx, at, results, wanted),
        Rule::Stop => Ok(vec![None; wanted.len()]),
        Rule::Refused(why) => Err(refused(cx, at.op, "reverse", &why)),
        Rule::Graph(graph) => {
            let mut operands = at.operands.to_vec();
            for i in 0..result_types.len() {
                operands.push(cx.get(at.value, i)?);
            }
            for (ty, g) in result_types.iter().zip(results) {
                if differentiable(ty) {
                    operands.push(match g {
                        Some(g) => *g,
                        None => cx.zeros(ty)?,
                    });
                }
            }
            let marks: Vec<bool> = operand_types.iter().map(differentiable).collect();
            check(cx, at.op, &graph, &chosen(&operand_types, &marks))?;
            let tuple = call(cx, at.op, ".vjp", graph, &operands)?;
            marked_results(cx, tuple, 0, &marks)
        }
    }
}

fn pull_definition(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    results: &[Option<NodeId>],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let body = definition(cx, at.op, "reverse")?;
    let seeded: Vec<bool> = results.iter().map(Option::is_some).collect();
    let key = (Arc::as_ptr(body), seeded, wanted.to_vec());
    let derived = match cx.shared.calls.pullbacks.get(&key) {
        Some((_, derived)) => derived.clone(),
        None => {
            let never = vec![false; wanted.len()];
            let derived = super::pullback(cx, body, &key.1, wanted, &never)?;
            let entry = (body.clone(), derived.clone());
            cx.shared.calls.pullbacks.insert(key, entry);
            derived
        }
    };
    let cotangents = results.iter().flatten().copied();
    let operands: Vec<NodeId> = at.operands.iter().copied().chain(cotangents).collect();
    let tuple = call(cx, at.op, ".vjp", derived.graph, &operands)?;
    marked_results(cx, tuple, 0, &derived.reached)
}

/// Results with tangents.
pub(in crate::autodiff) fn push(
    cx: &mut Cx<'_, '_>,
    op: &Op,
    operands: &[Dual],
) -> Result<Vec<Dual>> {
    let values: Vec<NodeId> = operands.iter().map(|d| d.value).collect();
    let operand_types = types(cx, &values);
    let result_types = match op {
        Op::Call { body, .. } => body.output_types(),
        Op::Custom { results, .. } => results.clone(),
        _ => Vec::new(),
    };
    let rule = cx.shared.rules;
    match rule.pushforward(op, &operand_types, &result_types) {
        Rule::Definition => {
            let body = definition(cx, op, "forward")?;
            let moving: Vec<bool> = operands.iter().map(|d| d.tangent.is_some()).collect();
            let key = (Arc::as_ptr(body), moving, Vec::new());
            let derived = match cx.shared.calls.pushforwards.get(&key) {
                Some((_, derived)) => derived.clone(),
                None => {
                    let never = vec![false; result_types.len()];
                    let derived = super::pushforward(cx, body, &key.1, &never)?;
                    let entry = (body.clone(), derived.clone());
                    cx.shared.calls.pushforwards.insert(key, entry);
                    derived
                }
            };
            let tuple = call(cx, op, ".jvp", derived.graph, &flattened(operands))?;
            duals_of(cx, tuple, 0, &derived.reached)
        }
        Rule::Stop => {
            let tuple = cx.emit(op.clone(), &values)?;
            duals_of(cx, tuple, 0, &vec![false; result_types.len()])
        }
        Rule::Refused(why) => Err(refused(cx, op, "forward", &why)),
        Rule::Graph(graph) => push_rule(cx, op, operands, graph, &result_types),
    }
}

fn push_rule(
    cx: &mut Cx<'_, '_>,
    op: &Op,
    operands: &[Dual],
    graph: Arc<Graph>,
    result_types: &[TensorType],
) -> Result<Vec<Dual>> {
    let values: Vec<NodeId> = operands.iter().map(|d| d.value).collect();
    let tuple = cx.emit(op.clone(), &values)?;
    let mut duals = duals_of(cx, tuple, 0, &vec![false; result_types.len()])?;
    let mut inputs = values;
    inputs.extend(duals.iter().map(|d| d.value));
    for d in operands {
        let ty = cx.ty(d.value).clone();
        if differentiable(&ty) {
            inputs.push(match d.tangent {
                Some(t) => t,
                None => cx.zeros(&ty)?,
            });
        }
    }
    let marks: Vec<bool> = result_types.iter().map(differentiable).collect();
    check(cx, op, &graph, &chosen(result_types, &marks))?;
    let tangents = call(cx, op, ".jvp", graph, &inputs)?;
    let tangents = marked_results(cx, tangents, 0, &marks)?;
    for (dual, tangent) in duals.iter_mut().zip(tangents) {
        dual.tangent = tangent;
    }
    Ok(duals)
}

fn call(
    cx: &mut Cx<'_, '_>,
    op: &Op,
    suffix: &str,
    body: Arc<Graph>,
    operands: &[NodeId],
) -> Result<NodeId> {
    let name = format!("{}{suffix}", name(op)).into();
    Ok(cx.emit(Op::Call { name, body }, operands)?)
}

fn name(op: &Op) -> &str {
    match op {
        Op::Call { name, .. } => name,
        Op::Custom { target, .. } => target.name(),
        other => other.mnemonic(),
    }
}

fn definition<'o>(cx: &Cx<'_, '_>, op: &'o Op, mode: &str) -> Result<&'o Arc<Graph>> {
    match op {
        Op::Call { body, .. } => Ok(body),
        other => Err(cx.none(format!(
            "the foreign function `{}` has no derivative in {mode} mode: none is registered",
            name(other)
        ))),
    }
}

fn refused(cx: &Cx<'_, '_>, op: &Op, mode: &str, why: &str) -> AutodiffError {
    cx.none(format!(
        "`{}` has no derivative in {mode} mode: {why}",
        name(op)
    ))
}

fn tuple(cx: &Cx<'_, '_>, id: NodeId) -> Vec<TensorType> {
    match &cx.graph().node(id).ty {
        Type::Tensor(ty) => vec![ty.clone()],
        Type::Tuple(types) => types.to_vec(),
    }
}

/// The results of a registered derivative must be what they stand for.
fn check(cx: &Cx<'_, '_>, op: &Op, graph: &Graph, expected: &[TensorType]) -> Result<()> {
    let bad = |problem: String| AutodiffError::BadRule {
        name: name(op).to_string(),
        problem,
        source: cx.builder.source().cloned(),
    };
    let got = graph.output_types();
    if got.len() != expected.len() {
        let (got, expected) = (got.len(), expected.len());
        return Err(bad(format!("gives {got} results instead of {expected}")));
    }
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        if (got.dtype, got.rank()) != (expected.dtype, expected.rank()) {
            return Err(bad(format!(
                "gives {got} as result {i} instead of {expected}"
            )));
        }
    }
    Ok(())
}
