//! Work on constants, done once: the steps of a plan that depend on constant parameters alone become
//! a plan of their own, whose results are constant parameters of what is left. So weights are packed for
//! products when a program is made and not whenever it runs.
//!
//! A step is moved if it runs whatever the inputs are, cannot fail, knows all its sizes, and makes scratch that no
//! other step writes. What grows much is left alone: it is cheaper to compute than to keep.

use super::lifetimes::{accesses, buffers_of, visit};
use super::{unpack, viewed};
use crate::PassError;
use crate::report::launches;
use lazulite_ir::{Access, BufferId, Dim, Place, Plan, Step, TensorType};
use std::slice;

/// Bytes that a step may make of nothing much, and how often as many as it reads.
const FREE_BYTES: i64 = 64 << 10;
const GROWTH: i64 = 4;

/// A parameter of the plan that is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hoisted {
    /// Parameter number n of the plan that there was.
    Parameter(u32),
    /// Result number n of the preparation.
    Prepared(u32),
}

/// What became of a launch ([`launches`]) of the plan that there was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Launched {
    /// It is launch number n of what is done once.
    Once(u32),
    /// It is launch number n of every run.
    Always(u32),
    /// It is gone: the product that it would have packed an operand for reads that where it lies.
    Dropped,
}

/// A plan in two parts.
#[derive(Clone, Debug)]
pub struct Split {
    /// What is done once.
    pub prepare: Plan,
    /// Which parameters of the plan that there was are its own.
    pub prepare_inputs: Vec<u32>,
    /// What is done at every run.
    pub main: Plan,
    /// Where its parameters come from.
    pub sources: Vec<Hoisted>,
    /// Which parameters of the plan that there was each result of the preparation is made of.
    pub made_of: Vec<Vec<u32>>,
    /// By launch of the plan that there was. Planning the parts' memory changes nothing about it.
    pub launches: Vec<Launched>,
}

/// Splits a plan as scheduling left it. `constant` says of each parameter whether it has always the same value;
/// those that only the preparation needs are no parameters of what is left.
///
/// # Errors
/// When the plan names what is not there.
pub fn hoist(plan: &Plan, constant: &[bool]) -> Result<Split, PassError> {
    super::check(plan)?;
    let moved = movable(plan, constant);
    let steps = plan.steps.iter().zip(&moved);
    let part = |moved: bool| -> Vec<Step> {
        let own = steps.clone().filter(|(_, m)| **m == moved);
        own.map(|(step, _)| step.clone()).collect()
    };
    let mut prepare = Plan {
        symbols: Vec::new(),
        outputs: Vec::new(),
        guards: Vec::new(),
        steps: part(true),
        ..plan.clone()
    };
    let mut main = Plan {
        steps: part(false),
        ..plan.clone()
    };
    let made = origins(plan, steps.filter(|(_, m)| **m).map(|(s, _)| s));
    let used = used_memory(plan, &main.steps);
    let prepare_inputs = keep_inputs(&mut prepare, |_, needed| needed);
    let varies = |n: u32| constant.get(n as usize) != Some(&true);
    let kept = keep_inputs(&mut main, |n, needed| needed || varies(n));
    let mut sources: Vec<Hoisted> = kept.into_iter().map(Hoisted::Parameter).collect();
    let mut made_of = Vec::new();
    for (i, origin) in made.into_iter().enumerate().filter(|(i, _)| used[*i]) {
        let Some(origin) = origin else { continue };
        let buffer = &plan.buffers[i];
        made_of.push(origin);
        let ty = TensorType::new(buffer.dtype, [buffer.len.clone()]);
        sources.push(Hoisted::Prepared(prepare.outputs.len() as u32));
        prepare.buffers[i].place = Place::Output;
        prepare.outputs.push((BufferId(i as u32), ty.clone()));
        main.buffers[i].place = Place::Input(main.inputs.len() as u32);
        main.inputs.push(ty);
    }
    // What is still packed at every run need not be; what was packed before is.
    let mut dropped = unpack::read_in_place(&mut prepare);
    dropped.extend(unpack::read_in_place(&mut main));
    let launches = launched(plan, &moved, &dropped);
    forget_kernels(&mut prepare);
    forget_kernels(&mut main);
    // Buffers of the other part may have sizes that only it knows, or parameters that it has not.
    super::remove_unused(&mut prepare);
    super::remove_unused(&mut main);
    Ok(Split {
        prepare,
        prepare_inputs,
        main,
        sources,
        made_of,
        launches,
    })
}

/// What becomes of the launches of a plan whose steps are moved or not, and of which those are dropped that would
/// write these buffers.
fn launched(plan: &Plan, moved: &[bool], dropped: &[BufferId]) -> Vec<Launched> {
    let (mut once, mut always) = (0, 0);
    let next = |count: &mut u32| {
        *count += 1;
        *count - 1
    };
    let mut all = Vec::new();
    for (step, moved) in plan.steps.iter().zip(moved) {
        for (_, launch) in launches(slice::from_ref(step)) {
            let gone = unpack::only_write(plan, launch).is_some_and(|id| dropped.contains(&id));
            all.push(match (gone, moved) {
                (true, _) => Launched::Dropped,
                (false, true) => Launched::Once(next(&mut once)),
                (false, false) => Launched::Always(next(&mut always)),
            });
        }
    }
    all
}

/// For the memory that these steps write: the parameters that it depends on.
fn origins<'a>(plan: &Plan, steps: impl Iterator<Item = &'a Step>) -> Vec<Option<Vec<u32>>> {
    let mut origins: Vec<Option<Vec<u32>>> = vec![None; plan.buffers.len()];
    for step in steps {
        let mut own = Vec::new();
        for (id, _) in accesses(plan, step) {
            let memory = root(plan, id).0 as usize;
            match &plan.buffers[memory].place {
                Place::Input(n) => own.push(*n),
                _ => own.extend(origins[memory].iter().flatten()),
            }
        }
        own.sort_unstable();
        own.dedup();
        written(plan, step).for_each(|id| origins[id.0 as usize] = Some(own.clone()));
    }
    origins
}

/// The buffer whose memory this one lies in.
fn root(plan: &Plan, mut id: BufferId) -> BufferId {
    while let Some(of) = viewed(&plan.buffers[id.0 as usize].place) {
        id = of;
    }
    id
}

/// Which memory these steps and the results name.
fn used_memory(plan: &Plan, steps: &[Step]) -> Vec<bool> {
    let mut used = vec![false; plan.buffers.len()];
    visit(steps, &mut |_, step| {
        let named = buffers_of(plan, step).into_iter();
        named.for_each(|id| used[root(plan, id).0 as usize] = true);
    });
    for (id, _) in &plan.outputs {
        used[root(plan, *id).0 as usize] = true;
    }
    used
}

/// Drops parameters unless `keep` says otherwise of their number and whether they are needed. Gives the numbers
/// of those that stay.
fn keep_inputs(plan: &mut Plan, keep: impl Fn(u32, bool) -> bool) -> Vec<u32> {
    let used = used_memory(plan, &plan.steps);
    let mut needed = vec![false; plan.inputs.len()];
    for (buffer, used) in plan.buffers.iter().zip(used) {
        if let (Place::Input(n), true) = (&buffer.place, used) {
            needed[*n as usize] = true;
        }
    }
    let numbers = needed
        .into_iter()
        .zip(0..)
        .filter(|(needed, n)| keep(*n, *needed));
    let kept: Vec<u32> = numbers.map(|(_, n)| n).collect();
    plan.inputs = kept
        .iter()
        .map(|n| plan.inputs[*n as usize].clone())
        .collect();
    for buffer in &mut plan.buffers {
        if let Place::Input(n) = &mut buffer.place
            && let Ok(at) = kept.binary_search(n)
        {
            *n = at as u32;
        }
    }
    kept
}

/// The memory that a step writes.
fn written(plan: &Plan, step: &Step) -> impl Iterator<Item = BufferId> {
    let writes = accesses(plan, step).into_iter().filter(|(_, a)| match a {
        Access::Read => false,
        Access::Write | Access::ReadWrite => true,
    });
    let ids: Vec<BufferId> = writes.map(|(id, _)| root(plan, id)).collect();
    ids.into_iter()
}

/// Which top-level steps are moved.
fn movable(plan: &Plan, constant: &[bool]) -> Vec<bool> {
    // How many steps write to each memory.
    let mut writers = vec![0u32; plan.buffers.len()];
    visit(&plan.steps, &mut |_, step| {
        written(plan, step).for_each(|id| writers[id.0 as usize] += 1);
    });
    let mut known: Vec<bool> = plan
        .buffers
        .iter()
        .map(|b| matches!(b.place, Place::Input(n) if constant.get(n as usize) == Some(&true)))
        .collect();
    let mut moved = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let moves = is_fixed(plan, step) && {
            let (mut read, mut made, mut fine) = (0i64, 0i64, true);
            for (id, access) in accesses(plan, step) {
                let memory = root(plan, id).0 as usize;
                let bytes = bytes(plan, id);
                match access {
                    Access::Read => {
                        fine &= known[memory];
                        read = read.saturating_add(bytes);
                    }
                    // What is made lies in scratch of its own.
                    Access::Write => {
                        fine &= plan.buffers[memory].place == Place::Arena && writers[memory] == 1;
                        made = made.saturating_add(bytes);
                    }
                    Access::ReadWrite => fine = false,
                }
            }
            fine && read > 0 && made <= read.saturating_mul(GROWTH).saturating_add(FREE_BYTES)
        };
        if moves {
            written(plan, step).for_each(|id| known[id.0 as usize] = true);
        }
        moved.push(moves);
    }
    moved
}

/// Bytes of a buffer of known size.
fn bytes(plan: &Plan, id: BufferId) -> i64 {
    let buffer = &plan.buffers[id.0 as usize];
    let len = buffer.len.as_const().unwrap_or(i64::MAX);
    len.saturating_mul(buffer.dtype.size() as i64)
}

/// Whether a step cannot fail and knows all its sizes.
fn is_fixed(plan: &Plan, step: &Step) -> bool {
    let known = |dims: &[Dim]| dims.iter().all(|d| d.as_const().is_some());
    let kernel = |call: &lazulite_ir::KernelCall| {
        let kernel = &plan.kernels[call.kernel as usize];
        let mut fixed = !kernel.can_fault();
        kernel.visit_dims(&mut |d| fixed &= d.as_const().is_some());
        fixed
    };
    let sizes = match step {
        Step::Kernel(call) => kernel(call),
        Step::Contract(c) => {
            let mut layout = c.rhs_layout.dims().into_iter();
            let dims = [&c.dims[..], &c.lhs_strides[..]];
            dims.into_iter().all(known)
                && layout.all(|d| d.as_const().is_some())
                && c.epilogue.as_ref().is_none_or(kernel)
        }
        Step::Sort { dims, .. } => known(dims),
        Step::Copy { len, .. } => len.as_const().is_some(),
        Step::Custom { .. } | Step::If { .. } | Step::Loop { .. } | Step::While { .. } => false,
    };
    let mut buffers = buffers_of(plan, step).into_iter();
    sizes && buffers.all(|id| plan.buffers[id.0 as usize].len.as_const().is_some())
}

/// Drops kernels that no step calls.
pub(super) fn forget_kernels(plan: &mut Plan) {
    let mut used = vec![false; plan.kernels.len()];
    visit(&plan.steps, &mut |_, step| {
        if let Some(call) = step.kernel_call() {
            used[call.kernel as usize] = true;
        }
    });
    let mut kept = 0;
    let number = |used: &bool| {
        kept += u32::from(*used);
        kept.wrapping_sub(1)
    };
    let new_of: Vec<u32> = used.iter().map(number).collect();
    let mut keep = used.iter();
    plan.kernels.retain(|_| keep.next() == Some(&true));
    renumber(&mut plan.steps, &new_of);
}

fn renumber(steps: &mut [Step], new_of: &[u32]) {
    for step in steps {
        if let Some(call) = step.kernel_call_mut() {
            call.kernel = new_of[call.kernel as usize];
        }
        match step {
            Step::If { then, other, .. } => {
                renumber(then, new_of);
                renumber(other, new_of);
            }
            Step::Loop { body, .. } => renumber(body, new_of),
            Step::While { test, body, .. } => {
                renumber(test, new_of);
                renumber(body, new_of);
            }
            Step::Kernel(_)
            | Step::Contract(_)
            | Step::Sort { .. }
            | Step::Custom { .. }
            | Step::Copy { .. } => {}
        }
    }
}
