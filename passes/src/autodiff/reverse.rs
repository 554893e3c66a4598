//! The reverse sweep: cotangents from the results to what they are computed from.

use super::Result;
use super::context::Cx;
use super::linearise::{Applied, linearise};
use super::region;
use super::tape::Tape;
use crate::build::Emit;
use lazulite_ir::{Binary, NodeId, Op, Type};
use rustc_hash::FxHashMap;

/// A node with a cotangent from outside.
pub(super) struct Seeded {
    pub node: NodeId,
    pub cotangent: NodeId,
    /// The cotangent stands for all that flows into the node.
    pub replaces: bool,
}

/// Cotangents of all nodes of the tape's graph, by node; `None` where nothing came.
pub(super) fn sweep(
    cx: &mut Cx<'_, '_>,
    tape: &Tape<'_>,
    seeds: &[Seeded],
) -> Result<Vec<Option<NodeId>>> {
    let mut found: Vec<Option<NodeId>> = vec![None; tape.active.len()];
    // Per tuple, by result.
    let mut tuples: FxHashMap<NodeId, Vec<Option<NodeId>>> = FxHashMap::default();
    let mut replaced: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    for seed in seeds.iter().filter(|s| tape.active[s.node.index()]) {
        if seed.replaces {
            replaced.insert(seed.node, seed.cotangent);
        } else {
            add(cx, &mut found[seed.node.index()], seed.cotangent)?;
        }
    }
    for id in (0..found.len() as u32).rev().map(NodeId) {
        if let Some(&cotangent) = replaced.get(&id) {
            found[id.index()] = Some(cotangent);
        }
        if !tape.active[id.index()] {
            continue;
        }
        // The graph may be the one that grows below.
        let node = tape.graph(cx).node(id).clone();
        let wanted: Vec<bool> = node.inputs.iter().map(|x| tape.active[x.index()]).collect();
        if !wanted.contains(&true) {
            continue;
        }
        let source = tape.graph(cx).source(id).cloned();
        cx.at_derivative_of(source.as_ref());
        if let Op::Get { index } = node.op {
            let tuple = node.inputs[0];
            if let Some(g) = found[id.index()] {
                let Type::Tuple(results) = &tape.graph(cx).node(tuple).ty else {
                    continue;
                };
                let count = results.len();
                let slots = tuples.entry(tuple).or_insert_with(|| vec![None; count]);
                add(cx, &mut slots[index as usize], g)?;
            }
            continue;
        }
        let results = match &node.ty {
            Type::Tensor(_) => vec![found[id.index()]],
            Type::Tuple(_) => tuples.remove(&id).unwrap_or_default(),
        };
        if results.iter().all(Option::is_none) {
            continue;
        }
        let operands = tape.values(&node.inputs)?;
        let at = Applied {
            op: &node.op,
            operands: &operands,
            value: tape.value(id)?,
        };
        let cotangents = pull(cx, at, &results, &wanted)?;
        for (&input, cotangent) in node.inputs.iter().zip(cotangents) {
            let Some(g) = cotangent.filter(|_| tape.active[input.index()]) else {
                continue;
            };
            let dims = cx.dims(tape.value(input)?);
            let g = cx.conform(g, &dims)?;
            add(cx, &mut found[input.index()], g)?;
        }
    }
    Ok(found)
}

/// Cotangents of the wanted operands from those of the results.
fn pull(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    results: &[Option<NodeId>],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    match at.op {
        Op::Call { .. } | Op::Custom { .. } => region::call::pull(cx, at, results, wanted),
        Op::If { .. } => region::branch::pull(cx, at, results, wanted),
        Op::Loop { .. } => region::loops::pull(cx, at, results, wanted),
        Op::While { .. } => Err(cx.none(
            "a while loop has no reverse mode, since its number of turns is unknown: use `scan`",
        )),
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Random { .. }
        | Op::Cast { .. }
        | Op::Bitcast { .. }
        | Op::Complex {}
        | Op::Real {}
        | Op::Imag {}
        | Op::Unary { .. }
        | Op::Binary { .. }
        | Op::Compare { .. }
        | Op::Select {}
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Barrier {}
        | Op::Expand { .. }
        | Op::Pad { .. }
        | Op::Slice { .. }
        | Op::Window { .. }
        | Op::Reduce { .. }
        | Op::Contract { .. }
        | Op::Scan { .. }
        | Op::Fold { .. }
        | Op::Gather { .. }
        | Op::Scatter { .. }
        | Op::Sort { .. }
        | Op::Get { .. } => primitive(cx, at, results, wanted),
    }
}

fn primitive(
    cx: &mut Cx<'_, '_>,
    at: Applied<'_>,
    results: &[Option<NodeId>],
    wanted: &[bool],
) -> Result<Vec<Option<NodeId>>> {
    let mut cotangents = vec![None; wanted.len()];
    for (operand, cotangent) in cotangents.iter_mut().enumerate() {
        if !wanted[operand] {
            continue;
        }
        for (result, g) in results.iter().enumerate() {
            let Some(g) = g else { continue };
            let Some(maps) = linearise(cx, at, operand, result)? else {
                continue;
            };
            let mut g = *g;
            for map in maps.iter().rev() {
                g = map.transpose(cx, g)?;
            }
            add(cx, cotangent, g)?;
        }
    }
    Ok(cotangents)
}

/// Adds a contribution to what is there.
pub(super) fn add(cx: &mut Cx<'_, '_>, to: &mut Option<NodeId>, more: NodeId) -> Result<()> {
    *to = Some(match *to {
        None => more,
        Some(sum) => cx.binary(Binary::Add, sum, more)?,
    });
    Ok(())
}
