//! Memory of a plan: which buffers share it, how long each lives, which parameters results may
//! overwrite.
//!
//! Steps are numbered in a walk that visits a step before the steps inside it (of a While the test
//! before the body). A buffer lives from the first to the last step that touches it or a view of
//! it. A loop that touches memory which is also touched outside of it holds that memory during all
//! its iterations. Results live to the end, which is the number behind the last step.
//!
//! Products read operands where they lie rather than packed copies made for them alone. Kernels that read an element only where they write one may write over it;
//! then the two buffers become one when the first is dead by that. Offsets in the arena are not
//! decided here: they depend on sizes, so the runtime assigns them when sizes are bound, and knows what
//! a program needs before it runs.

mod alias;
mod donate;
mod hoist;
mod in_place;
mod lifetimes;
mod unpack;

use crate::PassError;
use alias::Storage;
pub use hoist::{Hoisted, Launched, Split, hoist};
use lazulite_ir::{BufferId, KernelCall, Place, Plan, Step};
use lifetimes::Lifetimes;

/// The plan with lifetimes, aliases and donations, without copies that became idle and without
/// buffers that nothing uses.
pub fn memory(plan: &Plan) -> Result<Plan, PassError> {
    let mut plan = plan.clone();
    check(&plan)?;
    unpack::read_in_place(&mut plan);
    remove_unused(&mut plan);
    let uses = Lifetimes::of(&plan);
    let mut storage = Storage::new(&plan, &uses);
    alias::share(&plan, &uses, &mut storage);
    storage.write_places(&mut plan);
    remove_idle_copies(&mut plan.steps, &mut storage);
    remove_unused(&mut plan);

    let uses = Lifetimes::of(&plan);
    let mut storage = Storage::new(&plan, &uses);
    plan.donations = donate::donations(&plan, &uses, &mut storage);
    storage.write_lifetimes(&mut plan);
    Ok(plan)
}

/// Every number in the plan must name something, and views must not go in circles: the rest of
/// the pass relies on it.
fn check(plan: &Plan) -> Result<(), PassError> {
    let invalid = |report: String| PassError::Invalid {
        after: "schedule",
        report,
    };
    let known = |id: BufferId| (id.0 as usize) < plan.buffers.len();
    let mut problem = None;
    lifetimes::visit(&plan.steps, &mut |position, step| {
        let fits = step.kernel_call().is_none_or(|call| {
            let kernel = plan.kernels.get(call.kernel as usize);
            kernel.is_some_and(|k| k.buffers.len() == call.args.len())
        });
        if !fits || !lifetimes::buffers_of(plan, step).into_iter().all(known) {
            problem.get_or_insert(format!(
                "step {position} names a buffer or kernel that is not"
            ));
        }
    });
    if let Some(report) = problem {
        return Err(invalid(report));
    }
    if !plan.outputs.iter().all(|(id, _)| known(*id)) {
        return Err(invalid("a result names a buffer that is not".into()));
    }
    for (i, buffer) in plan.buffers.iter().enumerate() {
        let mut at = viewed(&buffer.place);
        for _ in 0..=plan.buffers.len() {
            match at {
                Some(of) if known(of) => at = viewed(&plan.buffers[of.0 as usize].place),
                Some(_) => break,
                None => break,
            }
        }
        if at.is_some() {
            return Err(invalid(format!("buffer {i} is a view of nothing")));
        }
    }
    Ok(())
}

/// The buffer in whose memory a buffer lies.
fn viewed(place: &Place) -> Option<BufferId> {
    match place {
        Place::Alias(of) | Place::LoopSlice { of, .. } => Some(*of),
        Place::Input(_) | Place::Output | Place::Arena => None,
    }
}

/// Drops copies whose two ends have become the same memory.
fn remove_idle_copies(steps: &mut Vec<Step>, storage: &mut Storage) {
    steps.retain_mut(|step| match step {
        Step::Copy { from, to, .. } => !storage.is_merged_copy(*from, *to),
        Step::If { then, other, .. } => {
            remove_idle_copies(then, storage);
            remove_idle_copies(other, storage);
            true
        }
        Step::Loop { body, .. } => {
            remove_idle_copies(body, storage);
            true
        }
        Step::While { test, body, .. } => {
            remove_idle_copies(test, storage);
            remove_idle_copies(body, storage);
            true
        }
        Step::Kernel(_) | Step::Contract(_) | Step::Sort { .. } | Step::Custom { .. } => true,
    });
}

/// Drops buffers that neither a step nor a result names, nor a view that is kept.
fn remove_unused(plan: &mut Plan) {
    let mut used = vec![false; plan.buffers.len()];
    lifetimes::visit(&plan.steps, &mut |_, step| {
        for id in lifetimes::buffers_of(plan, step) {
            used[id.0 as usize] = true;
        }
    });
    for (id, _) in &plan.outputs {
        used[id.0 as usize] = true;
    }
    for i in 0..plan.buffers.len() {
        let mut at = used[i].then(|| viewed(&plan.buffers[i].place)).flatten();
        while let Some(of) = at {
            used[of.0 as usize] = true;
            at = viewed(&plan.buffers[of.0 as usize].place);
        }
    }
    let mut kept = 0;
    let number = |&used: &bool| {
        kept += u32::from(used);
        BufferId(kept.wrapping_sub(1))
    };
    let new_of: Vec<BufferId> = used.iter().map(number).collect();
    let mut keep = used.iter();
    plan.buffers.retain(|_| keep.next() == Some(&true));
    let rename = |id: &mut BufferId| *id = new_of[id.0 as usize];
    for buffer in &mut plan.buffers {
        if let Place::Alias(of) | Place::LoopSlice { of, .. } = &mut buffer.place {
            rename(of);
        }
    }
    plan.outputs.iter_mut().for_each(|(id, _)| rename(id));
    rename_in(&mut plan.steps, &rename);
}

fn rename_in(steps: &mut [Step], rename: &dyn Fn(&mut BufferId)) {
    let call = |call: &mut KernelCall| call.args.iter_mut().for_each(rename);
    let pairs = |carries: &mut Vec<(BufferId, BufferId)>| {
        for (a, b) in carries {
            rename(a);
            rename(b);
        }
    };
    for step in steps {
        match step {
            Step::Kernel(k) => call(k),
            Step::Contract(c) => {
                let ids = [&mut c.lhs, &mut c.rhs, &mut c.product];
                ids.into_iter().for_each(rename);
                c.epilogue.as_mut().map(call);
            }
            Step::Sort {
                inputs, outputs, ..
            } => inputs.iter_mut().chain(outputs).for_each(rename),
            Step::Custom {
                inputs, outputs, ..
            } => inputs
                .iter_mut()
                .chain(outputs)
                .for_each(|(id, _)| rename(id)),
            Step::Copy { from, to, .. } => [from, to].into_iter().for_each(rename),
            Step::If {
                condition,
                then,
                other,
            } => {
                rename(condition);
                rename_in(then, rename);
                rename_in(other, rename);
            }
            Step::Loop {
                iteration,
                carries,
                body,
                ..
            } => {
                rename(iteration);
                pairs(carries);
                rename_in(body, rename);
            }
            Step::While {
                test,
                condition,
                carries,
                body,
            } => {
                rename(condition);
                pairs(carries);
                rename_in(test, rename);
                rename_in(body, rename);
            }
        }
    }
}
