//! The walk through bound steps: branches, loops, and the values that loops carry mean the same on every runner.
//!
//! What a machine must do itself is a small trait: steps without steps inside, and the little that control flow reads
//! and writes.

use crate::bound::{Arg, BoundLoop, BoundStep, BoundStepKind, BoundWhile, Carry, Task};
use smallvec::SmallVec;

/// Where the memory of a run's buffers is now.
pub(crate) struct Slots<'a, P> {
    /// Memory of each slot. Loops exchange entries.
    bases: SmallVec<[P; 16]>,
    /// Current iteration of each loop.
    iterations: Vec<usize>,
    /// Loop slot and bytes per iteration of every slice.
    slices: &'a [(u32, usize)],
}

impl<'a, P: Copy> Slots<'a, P> {
    /// None yet, for so many loops and with a binding's slices.
    #[inline]
    pub fn new(loops: usize, slices: &'a [(u32, usize)]) -> Self {
        Slots {
            bases: SmallVec::new(),
            iterations: vec![0; loops],
            slices,
        }
    }

    /// Adds the memory of the next slot.
    #[inline]
    pub fn push(&mut self, base: P) {
        self.bases.push(base);
    }

    /// The memory that a buffer is in, and how many bytes from its start.
    #[inline]
    pub fn of(&self, arg: Arg) -> (P, usize) {
        (self.bases[arg.slot as usize], self.offset(arg))
    }

    /// The same for several buffers.
    #[inline]
    pub fn of_each(&self, args: &[Arg]) -> impl Iterator<Item = (P, usize)> {
        // Where these lie is looked up once.
        let bases = &self.bases[..];
        args.iter()
            .map(move |arg| (bases[arg.slot as usize], self.offset(*arg)))
    }

    /// How many bytes from the start of its memory a buffer is.
    #[inline]
    fn offset(&self, arg: Arg) -> usize {
        match arg.count {
            0 => 0,
            _ => self.slice_offset(arg),
        }
    }

    fn slice_offset(&self, arg: Arg) -> usize {
        let slices = arg.first as usize..(arg.first + arg.count) as usize;
        let offsets =
            { self.slices[slices].iter() }.map(|(l, stride)| self.iterations[*l as usize] * stride);
        offsets.sum()
    }
}

/// What runs steps.
///
/// # Safety of its functions
/// Arguments come from the binding of the run, and the slots have memory as the binding wants it, which nobody else
/// writes to or reads meanwhile.
pub(crate) trait Runner<'a> {
    /// Where memory is.
    type Memory: Copy;
    /// Why a run ends early.
    type Stop;

    /// Where buffers are.
    fn slots(&mut self) -> &mut Slots<'a, Self::Memory>;

    /// Does the step with this pre-order position.
    unsafe fn task(&mut self, task: &Task, position: u32) -> Result<(), Self::Stop>;

    /// Reads a truth value.
    unsafe fn is_true(&mut self, condition: Arg) -> Result<bool, Self::Stop>;

    /// Writes the number of an iteration.
    unsafe fn set_number(&mut self, at: Arg, number: i64) -> Result<(), Self::Stop>;

    /// Copies bytes, which may overlap, from memory and an offset in it to others.
    unsafe fn carry(
        &mut self,
        from: (Self::Memory, usize),
        to: (Self::Memory, usize),
        bytes: usize,
    ) -> Result<(), Self::Stop>;
}

/// Runs steps one after the other, until one ends the run.
///
/// # Safety
/// As for the functions of [`Runner`].
pub(crate) unsafe fn run<'a, M: Runner<'a>>(
    runner: &mut M,
    steps: &[BoundStep],
) -> Result<(), M::Stop> {
    for step in steps {
        // SAFETY: the caller's promise.
        unsafe {
            match &step.kind {
                BoundStepKind::Task(task) => runner.task(task, step.position)?,
                BoundStepKind::If {
                    condition,
                    then,
                    other,
                } => match runner.is_true(*condition)? {
                    true => run(runner, then)?,
                    false => run(runner, other)?,
                },
                BoundStepKind::Loop(l) => counted(runner, l)?,
                BoundStepKind::While(w) => conditional(runner, w)?,
            }
        }
    }
    Ok(())
}

/// # Safety (of this and all below)
/// As for [`run`].
unsafe fn counted<'a, M: Runner<'a>>(runner: &mut M, l: &BoundLoop) -> Result<(), M::Stop> {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..l.trip {
            runner.slots().iterations[l.slot as usize] = i;
            runner.set_number(l.iteration, i as i64)?;
            run(runner, &l.body)?;
            carry(runner, &l.carries)?;
        }
        settle(runner, &l.carries, l.trip % 2 == 1)
    }
}

unsafe fn conditional<'a, M: Runner<'a>>(runner: &mut M, w: &BoundWhile) -> Result<(), M::Stop> {
    let mut odd = false;
    // SAFETY: the caller's promise.
    unsafe {
        loop {
            run(runner, &w.test)?;
            if !runner.is_true(w.condition)? {
                return settle(runner, &w.carries, odd);
            }
            run(runner, &w.body)?;
            carry(runner, &w.carries)?;
            odd = !odd;
        }
    }
}

/// Ends an iteration.
unsafe fn carry<'a, M: Runner<'a>>(runner: &mut M, carries: &[Carry]) -> Result<(), M::Stop> {
    for carry in carries {
        match *carry {
            Carry::Exchange { current, next, .. } => {
                let bases = &mut runner.slots().bases;
                bases.swap(current as usize, next as usize);
            }
            Carry::Copy {
                current,
                next,
                bytes,
            } => {
                let (from, to) = (runner.slots().of(next), runner.slots().of(current));
                // SAFETY: the caller's promise.
                unsafe { runner.carry(from, to, bytes)? };
            }
        }
    }
    Ok(())
}

/// Ends a loop whose number of iterations was odd, or even.
unsafe fn settle<'a, M: Runner<'a>>(
    runner: &mut M,
    carries: &[Carry],
    odd: bool,
) -> Result<(), M::Stop> {
    for carry in carries.iter().filter(|_| odd) {
        if let Carry::Exchange {
            current,
            next,
            go_home: true,
            bytes,
        } = *carry
        {
            let (current, next) = (current as usize, next as usize);
            let bases = &mut runner.slots().bases;
            let (from, to) = (bases[current], bases[next]);
            bases.swap(current, next);
            // SAFETY: the caller's promise.
            unsafe { runner.carry((from, 0), (to, 0), bytes)? };
        }
    }
    Ok(())
}
