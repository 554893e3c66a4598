//! Which step touches which buffer.

use lazulite_ir::{Access, BufferId, Plan, Step};

/// Positions of touches, by buffer, views not yet counted for what they view.
pub(super) struct Lifetimes {
    /// First and last step that touches the buffer.
    pub touched: Vec<Option<(u32, u32)>>,
    /// First and last position of every loop, itself included, outer loops before inner ones.
    pub loops: Vec<(u32, u32)>,
}

/// Calls `see` for every step with its position.
pub(super) fn visit<'p>(steps: &'p [Step], see: &mut dyn FnMut(u32, &'p Step)) {
    let mut position = 0;
    visit_from(steps, &mut position, see, &mut |_, _| {});
}

/// `leave` is called with a loop's first and last position when all of it was seen.
fn visit_from<'p>(
    steps: &'p [Step],
    position: &mut u32,
    see: &mut dyn FnMut(u32, &'p Step),
    leave: &mut dyn FnMut((u32, u32), &'p Step),
) {
    for step in steps {
        let at = *position;
        see(at, step);
        *position += 1;
        let lists: [&[Step]; 2] = match step {
            Step::If { then, other, .. } => [then, other],
            Step::Loop { body, .. } => [body, &[]],
            Step::While { test, body, .. } => [test, body],
            Step::Kernel(_)
            | Step::Contract(_)
            | Step::Sort { .. }
            | Step::Custom { .. }
            | Step::Copy { .. } => [&[], &[]],
        };
        for list in lists {
            visit_from(list, position, see, leave);
        }
        if matches!(step, Step::Loop { .. } | Step::While { .. }) {
            leave((at, *position - 1), step);
        }
    }
}

/// The buffers that a step names itself, not those of steps inside it.
pub(super) fn buffers_of(plan: &Plan, step: &Step) -> Vec<BufferId> {
    accesses(plan, step).into_iter().map(|(id, _)| id).collect()
}

/// The buffers that a step names itself and what it does with them. The plan's kernels may be
/// missing; their buffers then count as written and read.
pub(super) fn accesses(plan: &Plan, step: &Step) -> Vec<(BufferId, Access)> {
    let call = |call: &lazulite_ir::KernelCall| {
        let kernel = plan.kernels.get(call.kernel as usize);
        let access = |i: usize| {
            let decl = kernel.and_then(|k| k.buffers.get(i));
            decl.map_or(Access::ReadWrite, |d| d.access)
        };
        let args = call.args.iter().enumerate();
        args.map(|(i, &id)| (id, access(i))).collect::<Vec<_>>()
    };
    let both = |carries: &[(BufferId, BufferId)]| {
        let pairs = carries.iter().flat_map(|&(a, b)| [a, b]);
        pairs.map(|id| (id, Access::ReadWrite)).collect::<Vec<_>>()
    };
    match step {
        Step::Kernel(k) => call(k),
        Step::Contract(c) => {
            let mut list = vec![
                (c.lhs, Access::Read),
                (c.rhs, Access::Read),
                (c.product, Access::Write),
            ];
            list.extend(c.epilogue.iter().flat_map(call));
            list
        }
        Step::Sort {
            inputs, outputs, ..
        } => {
            let read = inputs.iter().map(|&id| (id, Access::Read));
            read.chain(outputs.iter().map(|&id| (id, Access::Write)))
                .collect()
        }
        Step::Custom {
            inputs, outputs, ..
        } => {
            let read = inputs.iter().map(|&(id, _)| (id, Access::Read));
            read.chain(outputs.iter().map(|&(id, _)| (id, Access::Write)))
                .collect()
        }
        Step::Copy { from, to, .. } => vec![(*from, Access::Read), (*to, Access::Write)],
        Step::If { condition, .. } => vec![(*condition, Access::Read)],
        Step::Loop {
            iteration, carries, ..
        } => {
            let mut list = both(carries);
            list.push((*iteration, Access::Write));
            list
        }
        Step::While {
            condition, carries, ..
        } => {
            let mut list = both(carries);
            list.push((*condition, Access::Read));
            list
        }
    }
}

impl Lifetimes {
    /// The touches of a plan.
    pub fn of(plan: &Plan) -> Lifetimes {
        let mut touched: Vec<Option<(u32, u32)>> = vec![None; plan.buffers.len()];
        let mut touch = |id: BufferId, position: u32| {
            let range = touched[id.0 as usize].get_or_insert((position, position));
            *range = (range.0.min(position), range.1.max(position));
        };
        let (mut touches, mut loops) = (Vec::new(), Vec::new());
        let mut end = 0;
        let mut see = |position, step| {
            touches.extend(buffers_of(plan, step).into_iter().map(|id| (id, position)));
        };
        let mut held = Vec::new();
        // What a loop itself names is used until its last iteration ends.
        let mut leave = |range: (u32, u32), step| {
            held.extend(buffers_of(plan, step).into_iter().map(|id| (id, range.1)));
            loops.push(range);
        };
        visit_from(&plan.steps, &mut end, &mut see, &mut leave);
        for (id, position) in touches.into_iter().chain(held) {
            touch(id, position);
        }
        for (id, _) in &plan.outputs {
            touch(*id, end);
        }
        loops.sort_unstable_by_key(|&(start, last)| (start, std::cmp::Reverse(last)));
        Lifetimes { touched, loops }
    }

    /// The innermost loop around a position.
    pub fn loop_around(&self, position: u32) -> Option<(u32, u32)> {
        self.enclosing(position).next()
    }

    /// The loops around a position, inner ones first.
    fn enclosing(&self, position: u32) -> impl Iterator<Item = (u32, u32)> {
        let started = self.loops.partition_point(|l| l.0 <= position);
        let before = self.loops[..started].iter().rev().copied();
        before.filter(move |l| position <= l.1)
    }

    /// A lifetime with every loop that it enters or leaves: values from before the loop are needed
    /// in every iteration, and those for after it are collected in all of them.
    pub fn with_loops(&self, (first, last): (u32, u32)) -> (u32, u32) {
        let (mut start, mut end) = (first, last);
        for at in [first, last] {
            for (s, e) in self.enclosing(at) {
                let contains = s <= first && last <= e;
                if !contains {
                    (start, end) = (start.min(s), end.max(e));
                }
            }
        }
        (start, end)
    }
}
