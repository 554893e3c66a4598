//! Computing on devices: what is asked for is computed where it belongs, one program for each device, after the
//! transfers that it needs from others.

use super::trace::trace;
use super::{Current, Held, History, Roots, Stopped, Trace, compute, keyed_trace};
use crate::device::{Device, Places, Value};
use crate::error::Result;
use crate::tensor::{Node, Recorded, State, internal};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// The device on which nodes are computed together; the thread's own where none of them asks for one, `None` where they
/// ask for several.
pub(crate) fn device_of(nodes: &[Arc<Node>]) -> Option<Device> {
    let places = nodes.iter().map(|n| n.traits.places);
    let places = places.fold(Places::NONE, Places::join);
    match places.is_none() {
        true => Some(Device::here()),
        false => places.device(),
    }
}

/// Nodes by the device on which they are computed. Those that can be computed anywhere go along with others.
fn by_device(nodes: Roots) -> SmallVec<[(Device, Roots); 1]> {
    if let Some(device) = device_of(&nodes) {
        return smallvec![(device, nodes)];
    }
    let (loose, tied): (Roots, Roots) =
        { nodes.into_iter() }.partition(|n| n.traits.places.is_none());
    let mut groups: SmallVec<[(Device, Roots); 1]> = SmallVec::new();
    for node in tied {
        let device = node.traits.places.device().unwrap_or_default();
        match groups.iter_mut().find(|(d, _)| *d == device) {
            Some((_, group)) => group.push(node),
            None => groups.push((device, smallvec![node])),
        }
    }
    // A number that is used everywhere is computed with what was asked for first.
    if let Some((_, group)) = groups.first_mut() {
        group.extend(loose);
    }
    groups
}

/// What is still to be done for nodes.
enum Next {
    /// These must be known before.
    Compute(Roots),
    /// They may be known by now.
    Again,
    Nothing,
}

/// Computes `wanted` and enters the values.
#[track_caller]
pub(super) fn compute_all(
    wanted: Roots,
    held: Held,
    current: &Current,
) -> std::result::Result<(), Stopped> {
    let mut levels: SmallVec<[(Roots, Held); 1]> = smallvec![(wanted, held)];
    while let Some((wanted, held)) = levels.last() {
        match advance(wanted, held, current)? {
            Next::Compute(first) => levels.push((first, Held::plainly())),
            Next::Again => {}
            Next::Nothing => drop(levels.pop()),
        }
    }
    Ok(())
}

/// Computes what can be computed now.
#[track_caller]
fn advance(wanted: &Roots, held: &Held, current: &Current) -> std::result::Result<Next, Stopped> {
    let (mut moves, mut rest) = (Roots::new(), Roots::new());
    for node in wanted.iter().filter(|n| !n.is_known()) {
        match node.op {
            Recorded::Move(_) => moves.push(node.clone()),
            _ => rest.push(node.clone()),
        }
    }
    if !moves.is_empty() {
        return make(&moves).map_err(Stopped::Running);
    }
    if rest.is_empty() {
        return Ok(Next::Nothing);
    }
    for (device, roots) in by_device(rest) {
        let mut trace = keyed_trace(&roots, held, &current.options, device);
        drop(roots);
        if !trace.moves.is_empty() {
            return Ok(Next::Compute(trace.moves.into()));
        }
        let (values, _overwritten) = compute(&mut trace, current, device)?;
        let roots = trace.roots.iter().map(|&r| &trace.nodes[r as usize].node);
        for (root, value) in roots.zip(values) {
            root.finish(value, held.history);
        }
    }
    Ok(Next::Nothing)
}

/// Makes transfers whose sources are known.
fn make(moves: &[Arc<Node>]) -> Result<Next> {
    let mut unknown = Roots::new();
    for node in moves {
        let Recorded::Move(device) = node.op else {
            continue;
        };
        let source = match &*node.state() {
            State::Lazy(operands) => operands.first().and_then(|o| o.node()).cloned(),
            // Another thread was faster.
            State::Value(..) | State::Lent | State::Spent => continue,
        };
        let source = source.ok_or_else(|| internal("to", "a transfer has no operand"))?;
        match source.value() {
            Some(value) => node.finish(value.at(device)?, History::Forgotten),
            None => unknown.push(source),
        }
    }
    Ok(match unknown.is_empty() {
        true => Next::Again,
        false => Next::Compute(unknown),
    })
}

/// As [`trace`], once all transfers are made.
#[track_caller]
pub(crate) fn settled_trace(roots: &[Arc<Node>], held: Option<&Held>) -> Result<Trace> {
    loop {
        let trace = trace(roots, held);
        if trace.moves.is_empty() {
            return Ok(trace);
        }
        super::realize(&trace.moves)?;
    }
}

/// Brings the values of leaves to the device of the program. What belongs to no device stays where it was needed last.
pub(super) fn bring_leaves(trace: &mut Trace, device: Device) -> Result<()> {
    let Trace { leaves, nodes, .. } = trace;
    for &leaf in leaves.iter() {
        let listed = &mut nodes[leaf as usize];
        let elsewhere = |v: &&mut Value| v.device() != device;
        if let Some(value) = listed.value.as_mut().filter(elsewhere) {
            *value = value.at(device)?;
            let traits = listed.node.traits;
            if traits.places.is_none() || traits.constant {
                listed.node.relocate(value.clone());
            }
        }
    }
    Ok(())
}
