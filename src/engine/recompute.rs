//! The derivative of a checkpoint: its function is computed again, apart from the first time.

use super::build::zeros;
use super::rules::FacadeRules;
use lazulite_ir::{Graph, NodeId, Op, TensorType, TypeError};
use lazulite_passes::autodiff::{self, End, Rule};
use std::sync::Arc;

/// The name of calls whose derivative computes them again.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// The function, if the call is a checkpoint, vectorised or not.
pub(super) fn checkpointed(op: &Op) -> Option<&Arc<Graph>> {
    match op {
        Op::Call { name, body } if name.split('.').next() == Some(CHECKPOINT) => {
            // Derivatives of checkpoints are no checkpoints.
            let rest = name.strip_prefix(CHECKPOINT)?;
            (rest.is_empty() || rest.starts_with(".vmap.")).then_some(body)
        }
        _ => None,
    }
}

/// Cotangents of the operands. Nothing of the forward computation is used but the operands.
pub(super) fn pullback(body: &Arc<Graph>, operands: &[TensorType], results: &[TensorType]) -> Rule {
    let mut graph = Graph::new();
    let given: Vec<NodeId> = operands.iter().map(|ty| graph.input(ty.clone())).collect();
    for ty in results {
        graph.input(ty.clone());
    }
    let smooth = |ty: &&TensorType| ty.dtype.is_inexact();
    let cotangents = results.iter().filter(smooth);
    let cotangents: Vec<NodeId> = cotangents.map(|ty| graph.input(ty.clone())).collect();
    let mut sweep = || -> Result<autodiff::Extended, String> {
        let told = |e: TypeError| e.to_string();
        let mut apart = Vec::with_capacity(given.len());
        for &operand in &given {
            apart.push(graph.add(Op::Barrier {}, [operand]).map_err(told)?);
        }
        let call = Op::Call {
            name: "recomputed".into(),
            body: body.clone(),
        };
        let call = graph.add(call, apart.iter().copied()).map_err(told)?;
        let mut ends = Vec::with_capacity(cotangents.len());
        let mut next = cotangents.iter().copied();
        for (index, ty) in (0..).zip(results) {
            let node = graph.add(Op::Get { index }, [call]).map_err(told)?;
            if smooth(&ty) {
                ends.push(End {
                    node,
                    cotangent: next.next(),
                    replaces: false,
                });
            }
        }
        let wrt = apart.iter().zip(operands).filter(|(_, ty)| smooth(ty));
        let wrt: Vec<NodeId> = wrt.map(|(&id, _)| id).collect();
        autodiff::extend(&graph, &ends, &wrt, &FacadeRules).map_err(|e| e.to_string())
    };
    let autodiff::Extended {
        mut graph,
        gradients,
        ..
    } = match sweep() {
        Ok(extended) => extended,
        Err(e) => return Rule::Refused(e),
    };
    let mut outputs = Vec::with_capacity(gradients.len());
    for (gradient, ty) in gradients.into_iter().zip(operands.iter().filter(smooth)) {
        match gradient.map_or_else(|| zeros(&mut graph, ty), Ok) {
            Ok(id) => outputs.push(id),
            Err(e) => return Rule::Refused(e.to_string()),
        }
    }
    graph.set_outputs(outputs);
    Rule::Graph(Arc::new(graph))
}
