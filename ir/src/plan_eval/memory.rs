//! The memory of one run of a plan: which bytes each buffer stands for, step by step.
//!
//! Buffers that share memory in the plan share it here, so that a wrong alias gives wrong results.
//! With packing, arena buffers also share memory with those that are dead while they live, and what is
//! dead is overwritten, so that a wrong lifetime gives wrong results.

use super::EvalMode;
use crate::kernel::eval::{GARBAGE, byte_len, eval_dim, malformed, unwritten};
use crate::{BufferId, Bytes, EvalError, Place, Plan, SizeOf};
use std::cell::Cell;

/// Where arena buffers may start.
const ALIGNMENT: usize = 64;

/// A running loop.
struct ActiveLoop {
    /// Its number in the plan; `None` for conditional loops, which nothing refers to.
    id: Option<u32>,
    iteration: i64,
    /// Positions of its first and last inner step.
    positions: (u32, u32),
}

/// A buffer that owns memory, or a part of the arena.
struct Root {
    segment: usize,
    start: usize,
    /// First and last position at which it or something placed in it is touched.
    live: (u32, u32),
}

pub(super) struct Memory<'a> {
    plan: &'a Plan,
    segments: Vec<Vec<Cell<u8>>>,
    /// Per buffer; `None` for those that lie in another one.
    roots: Vec<Option<Root>>,
    /// Bytes per buffer.
    lens: Vec<usize>,
    /// Bytes per iteration of loop slices.
    strides: Vec<i64>,
    loops: Vec<ActiveLoop>,
    packed: bool,
}

impl<'a> Memory<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        inputs: &[&[u8]],
        sizes: SizeOf<'_>,
        mode: EvalMode,
    ) -> Result<Memory<'a>, EvalError> {
        let mut memory = Memory {
            plan,
            segments: Vec::new(),
            roots: Vec::with_capacity(plan.buffers.len()),
            lens: Vec::with_capacity(plan.buffers.len()),
            strides: Vec::with_capacity(plan.buffers.len()),
            loops: Vec::new(),
            packed: mode.packed,
        };
        for input in inputs {
            let bytes = input.iter().map(|&b| Cell::new(b));
            memory.segments.push(bytes.collect());
        }
        for b in &plan.buffers {
            memory.lens.push(byte_len(b.dtype, &b.len, sizes)?);
            let stride = match &b.place {
                Place::LoopSlice { stride, .. } => {
                    let bytes = eval_dim(stride, sizes)?.checked_mul(b.dtype.size() as i64);
                    bytes.ok_or_else(|| EvalError::Size(stride.clone()))?
                }
                Place::Input(_) | Place::Output | Place::Arena | Place::Alias(_) => 0,
            };
            memory.strides.push(stride);
        }
        memory.allocate(inputs.len())?;
        if mode.donate {
            memory.donate()?;
        }
        Ok(memory)
    }

    /// Gives every buffer that is not inside another one its bytes.
    fn allocate(&mut self, inputs: usize) -> Result<(), EvalError> {
        for (i, b) in self.plan.buffers.iter().enumerate() {
            let root = match b.place {
                Place::Input(n) if (n as usize) < inputs => Some((n as usize, b.live)),
                Place::Input(n) => return malformed(format!("there is no parameter {n}")),
                Place::Output | Place::Arena => {
                    self.segments.push(unwritten(self.lens[i])?);
                    Some((self.segments.len() - 1, b.live))
                }
                Place::Alias(_) | Place::LoopSlice { .. } => None,
            };
            self.roots.push(root.map(|(segment, live)| Root {
                segment,
                start: 0,
                live,
            }));
        }
        for (i, b) in self.plan.buffers.iter().enumerate() {
            let root = self.root_of(BufferId(i as u32))?;
            if let Some(root) = &mut self.roots[root] {
                root.live = (root.live.0.min(b.live.0), root.live.1.max(b.live.1));
            }
        }
        if self.packed {
            self.pack()?;
        }
        Ok(())
    }

    /// Puts all arena buffers into one segment, over one another where their lifetimes allow:
    /// each at the lowest place that is free while it lives.
    fn pack(&mut self) -> Result<(), EvalError> {
        let mut arena: Vec<usize> = self.arena_roots().collect();
        // Largest first packs well, and mixes buffers of different steps.
        arena.sort_by_key(|&i| std::cmp::Reverse(self.lens[i]));
        let mut placed: Vec<(usize, usize, (u32, u32))> = Vec::new();
        let segment = self.segments.len();
        for i in arena {
            let (len, Some(root)) = (self.lens[i], &mut self.roots[i]) else {
                continue;
            };
            let lives = root.live;
            let overlaps = |other: (u32, u32)| other.0 <= lives.1 && lives.0 <= other.1;
            let mut start = 0;
            placed.sort();
            for &(from, to, other) in &placed {
                if overlaps(other) && from < start + len && start < to {
                    start = to.next_multiple_of(ALIGNMENT);
                }
            }
            (root.segment, root.start) = (segment, start);
            placed.push((start, start + len, lives));
        }
        let size = placed.iter().map(|p| p.1).max().unwrap_or(0);
        self.segments.push(unwritten(size)?);
        Ok(())
    }

    /// Lets results take the memory of the parameters they may overwrite.
    fn donate(&mut self) -> Result<(), EvalError> {
        for &(parameter, buffer) in &self.plan.donations {
            let root = self.root_of(buffer)?;
            let Some(given) = self.segments.get(parameter as usize) else {
                return malformed(format!("there is no parameter {parameter} to give up"));
            };
            if given.len() == self.lens[root]
                && let Some(root) = &mut self.roots[root]
            {
                (root.segment, root.start) = (parameter as usize, 0);
            }
        }
        Ok(())
    }

    fn arena_roots(&self) -> impl Iterator<Item = usize> {
        let plan = self.plan;
        (0..plan.buffers.len()).filter(|&i| plan.buffers[i].place == Place::Arena)
    }

    /// The buffer that owns the memory of `buffer`.
    fn root_of(&self, buffer: BufferId) -> Result<usize, EvalError> {
        self.follow(buffer, &mut |_, _| Ok(()))
    }

    /// Walks from a buffer to the one that owns its memory, calling `slice` for the loop slices on
    /// the way.
    fn follow(
        &self,
        buffer: BufferId,
        slice: &mut dyn FnMut(usize, u32) -> Result<(), EvalError>,
    ) -> Result<usize, EvalError> {
        let mut at = buffer;
        for _ in 0..=self.plan.buffers.len() {
            let i = at.0 as usize;
            let Some(b) = self.plan.buffers.get(i) else {
                return malformed(format!("there is no buffer {i}"));
            };
            match &b.place {
                Place::Input(_) | Place::Output | Place::Arena => return Ok(i),
                Place::Alias(of) => at = *of,
                Place::LoopSlice { of, loop_id, .. } => {
                    slice(i, *loop_id)?;
                    at = *of;
                }
            }
        }
        malformed(format!("buffer {} lies within itself", buffer.0))
    }

    /// The bytes that a buffer stands for now.
    pub(super) fn bytes(&self, buffer: BufferId) -> Result<Bytes<'_>, EvalError> {
        let mut offset = 0i64;
        let root = self.follow(buffer, &mut |i, loop_id| {
            let running = self.loops.iter().find(|l| l.id == Some(loop_id));
            let Some(l) = running else {
                return malformed(format!("buffer {i} is used outside of loop {loop_id}"));
            };
            let slice = l.iteration.checked_mul(self.strides[i]);
            let sum = slice.and_then(|s| offset.checked_add(s));
            offset = sum.ok_or(EvalError::Index)?;
            Ok(())
        })?;
        let (len, whole) = (self.lens[buffer.0 as usize], self.lens[root]);
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|o| Some(o..o.checked_add(len)?));
        let (Some(range), Some(r)) = (range, &self.roots[root]) else {
            return malformed(format!("buffer {} starts at {offset}", buffer.0));
        };
        // An input's segment is what the caller gave.
        let memory = self.segments[r.segment].get(r.start..);
        let memory = memory.and_then(|m| m.get(..whole));
        let found = memory.and_then(|m| m.get(range.clone()));
        found.map_or_else(
            || {
                malformed(format!(
                    "buffer {} needs bytes {range:?} of the {whole} of buffer {root}",
                    buffer.0
                ))
            },
            Ok,
        )
    }

    /// Exchanges the memory of two buffers that own theirs.
    pub(super) fn swap(&mut self, a: BufferId, b: BufferId) -> Result<(), EvalError> {
        let (i, j) = (a.0 as usize, b.0 as usize);
        let owns = |i: usize| {
            let place = self.plan.buffers.get(i).map(|b| &b.place);
            matches!(place, Some(Place::Output | Place::Arena))
        };
        if !owns(i) || !owns(j) || self.lens[i] != self.lens[j] {
            return malformed(format!(
                "buffers {i} and {j} are exchanged, but do not both own memory of one size"
            ));
        }
        let first = self.roots[i].as_ref().map(|r| (r.segment, r.start));
        let second = self.roots[j].as_ref().map(|r| (r.segment, r.start));
        for (root, place) in [(i, second), (j, first)] {
            if let (Some(root), Some(place)) = (&mut self.roots[root], place) {
                (root.segment, root.start) = place;
            }
        }
        Ok(())
    }

    pub(super) fn enter_loop(&mut self, id: Option<u32>, positions: (u32, u32)) {
        let iteration = 0;
        self.loops.push(ActiveLoop {
            id,
            iteration,
            positions,
        });
    }

    pub(super) fn set_iteration(&mut self, iteration: i64) {
        if let Some(l) = self.loops.last_mut() {
            l.iteration = iteration;
        }
    }

    pub(super) fn leave_loop(&mut self) {
        self.loops.pop();
    }

    /// Before the step at `position`: what begins to live there holds nothing yet.
    pub(super) fn begin(&self, position: u32) {
        self.forget(&|live| live.0 == position);
    }

    /// After the step whose last inner position is `position`: what was touched there for the last
    /// time is dead, unless a loop around the step will come back to it.
    pub(super) fn end(&self, position: u32) {
        let comes_back = |live: (u32, u32)| {
            let mut loops = self.loops.iter();
            loops.any(|l| position == l.positions.1 && live.0 < l.positions.0)
        };
        self.forget(&|live| live.1 == position && !comes_back(live));
    }

    fn forget(&self, dead: &dyn Fn((u32, u32)) -> bool) {
        if !self.packed {
            return;
        }
        for i in self.arena_roots() {
            if let Some(r) = self.roots[i].as_ref().filter(|r| dead(r.live)) {
                let bytes = &self.segments[r.segment][r.start..r.start + self.lens[i]];
                bytes.iter().for_each(|b| b.set(GARBAGE));
            }
        }
    }

    /// The bytes of a parameter's memory now.
    pub(super) fn parameter(&self, number: usize) -> impl Iterator<Item = u8> {
        self.segments[number].iter().map(Cell::get)
    }
}
