//! Products that read their right operand where it lies.
//!
//! Scheduling packs right operands by kernels, so that packing can be done once where the operand is a constant. What
//! is left to be packed at every run is read by the product itself, if it is a tensor in memory: the product packs a
//! part at a time, which stays in cache.

use super::hoist::forget_kernels;
use super::lifetimes::{accesses, visit};
use lazulite_ir::{Access, BufferId, Place, Plan, RightLayout, Step};

/// Decides for every product which of the two it reads, and drops the packing that is needless then. Gives what the
/// dropped steps would have written, which nothing names any more.
pub(super) fn read_in_place(plan: &mut Plan) -> Vec<BufferId> {
    let single = written_and_read_once(plan);
    let mut steps = std::mem::take(&mut plan.steps);
    let mut dropped = Vec::new();
    let packs = |step: &Step| match step {
        Step::Kernel(_) => only_write(plan, step).filter(|id| single[id.0 as usize]),
        _ => None,
    };
    in_list(&mut steps, &packs, &mut dropped);
    plan.steps = steps;
    if !dropped.is_empty() {
        forget_kernels(plan);
    }
    dropped
}

/// The one buffer that a step writes, if it is scratch.
pub(super) fn only_write(plan: &Plan, step: &Step) -> Option<BufferId> {
    let mut writes =
        { accesses(plan, step).into_iter() }.filter(|(_, access)| *access != Access::Read);
    let (id, access) = writes.next()?;
    let own = plan.buffers[id.0 as usize].place == Place::Arena && access == Access::Write;
    (own && writes.next().is_none()).then_some(id)
}

/// For every buffer: whether one step writes it and one step reads it, and nothing else names it.
fn written_and_read_once(plan: &Plan) -> Vec<bool> {
    let mut counts = vec![[0u32; 2]; plan.buffers.len()];
    visit(&plan.steps, &mut |_, step| {
        for (id, access) in accesses(plan, step) {
            let [read, written] = &mut counts[id.0 as usize];
            *read += u32::from(access != Access::Write);
            *written += u32::from(access != Access::Read);
        }
    });
    for (id, _) in &plan.outputs {
        counts[id.0 as usize][0] += 1;
    }
    for buffer in &plan.buffers {
        if let Some(of) = super::viewed(&buffer.place) {
            counts[of.0 as usize][0] += 1;
        }
    }
    counts.into_iter().map(|counts| counts == [1, 1]).collect()
}

/// Decides for a list of steps and those inside. `packs` tells what a step packs; what is not packed any more is
/// added to `dropped`.
fn in_list(
    steps: &mut Vec<Step>,
    packs: &dyn Fn(&Step) -> Option<BufferId>,
    dropped: &mut Vec<BufferId>,
) {
    let mut idle = Vec::new();
    let mut packed: Vec<(BufferId, usize)> = Vec::new();
    for (at, step) in steps.iter_mut().enumerate() {
        match step {
            Step::Contract(c) => {
                let RightLayout::Panels { copy_of, .. } = &mut c.rhs_layout else {
                    continue;
                };
                let by = packed.iter().find(|(id, _)| *id == c.rhs);
                if let (Some((buffer, placement)), Some((id, by))) =
                    (copy_of.take().map(|c| *c), by)
                {
                    idle.push(*by);
                    dropped.push(*id);
                    c.rhs = buffer;
                    c.rhs_layout = RightLayout::Placed(placement);
                }
            }
            Step::If { then, other, .. } => {
                in_list(then, packs, dropped);
                in_list(other, packs, dropped);
            }
            Step::Loop { body, .. } => in_list(body, packs, dropped),
            Step::While { test, body, .. } => {
                in_list(test, packs, dropped);
                in_list(body, packs, dropped);
            }
            Step::Kernel(_) | Step::Sort { .. } | Step::Custom { .. } | Step::Copy { .. } => {}
        }
        // Between its packing and its product nothing writes to an operand but the packing of the other one.
        match packs(step) {
            Some(id) => packed.push((id, at)),
            None => packed.clear(),
        }
    }
    let mut number = 0..;
    steps.retain(|_| number.next().is_none_or(|at| !idle.contains(&at)));
}
