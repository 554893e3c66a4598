//! The walk through bound steps: branches, loops, and the values that loops carry mean the same on every machine.
//!
//! What a machine must do itself is a small trait: steps without steps inside, and the little that control flow reads
//! and writes.

use crate::bound::{Arg, BoundLoop, BoundStep, BoundStepKind, BoundWhile, Carry, Task};
use smallvec::{SmallVec, smallvec};

/// Where the buffers of a run are now.
pub(crate) struct Places<'a, P> {
    /// Memory of each slot. Loops exchange entries.
    bases: SmallVec<[P; 16]>,
    /// Current iteration of each loop.
    iterations: SmallVec<[usize; 4]>,
    /// Loop slot and bytes per iteration of every slice.
    slices: &'a [(u32, usize)],
}

impl<'a, P: Copy> Places<'a, P> {
    /// With the memory of each slot, for so many loops and with a binding's slices.
    pub fn new(bases: SmallVec<[P; 16]>, loops: usize, slices: &'a [(u32, usize)]) -> Self {
        Places {
            bases,
            iterations: smallvec![0; loops],
            slices,
        }
    }

    /// The memory that a buffer is in, and how many bytes from its start.
    pub fn of(&self, arg: Arg) -> (P, usize) {
        let slices = arg.first as usize..(arg.first + arg.count) as usize;
        let offsets =
            { self.slices[slices].iter() }.map(|(l, stride)| self.iterations[*l as usize] * stride);
        (self.bases[arg.slot as usize], offsets.sum())
    }
}

/// What runs steps.
///
/// # Safety of its functions
/// Arguments come from the binding of the run, and the places are memory as the binding wants it, which nobody else
/// writes to or reads meanwhile.
pub(crate) trait Machine<'a> {
    /// The name of memory.
    type Place: Copy;
    /// Why a run ends early.
    type Stop;

    /// Where buffers are.
    fn places(&mut self) -> &mut Places<'a, Self::Place>;

    /// Does the step with this pre-order position.
    unsafe fn task(&mut self, task: &Task, position: u32) -> Result<(), Self::Stop>;

    /// Reads a truth value.
    unsafe fn is_true(&mut self, condition: Arg) -> Result<bool, Self::Stop>;

    /// Writes the number of an iteration.
    unsafe fn set_number(&mut self, at: Arg, number: i64) -> Result<(), Self::Stop>;

    /// Copies bytes, which may overlap, from one place and offset to another.
    unsafe fn carry(
        &mut self,
        from: (Self::Place, usize),
        to: (Self::Place, usize),
        bytes: usize,
    ) -> Result<(), Self::Stop>;
}

/// Runs steps one after the other, until one ends the run.
///
/// # Safety
/// As for the functions of [`Machine`].
pub(crate) unsafe fn run<'a, M: Machine<'a>>(
    machine: &mut M,
    steps: &[BoundStep],
) -> Result<(), M::Stop> {
    for step in steps {
        // SAFETY: the caller's promise.
        unsafe {
            match &step.kind {
                BoundStepKind::Task(task) => machine.task(task, step.position)?,
                BoundStepKind::If {
                    condition,
                    then,
                    other,
                } => match machine.is_true(*condition)? {
                    true => run(machine, then)?,
                    false => run(machine, other)?,
                },
                BoundStepKind::Loop(l) => counted(machine, l)?,
                BoundStepKind::While(w) => conditional(machine, w)?,
            }
        }
    }
    Ok(())
}

/// # Safety (of this and all below)
/// As for [`run`].
unsafe fn counted<'a, M: Machine<'a>>(machine: &mut M, l: &BoundLoop) -> Result<(), M::Stop> {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..l.trip {
            machine.places().iterations[l.slot as usize] = i;
            machine.set_number(l.iteration, i as i64)?;
            run(machine, &l.body)?;
            carry(machine, &l.carries)?;
        }
        settle(machine, &l.carries, l.trip % 2 == 1)
    }
}

unsafe fn conditional<'a, M: Machine<'a>>(machine: &mut M, w: &BoundWhile) -> Result<(), M::Stop> {
    let mut odd = false;
    // SAFETY: the caller's promise.
    unsafe {
        loop {
            run(machine, &w.test)?;
            if !machine.is_true(w.condition)? {
                return settle(machine, &w.carries, odd);
            }
            run(machine, &w.body)?;
            carry(machine, &w.carries)?;
            odd = !odd;
        }
    }
}

/// Ends an iteration.
unsafe fn carry<'a, M: Machine<'a>>(machine: &mut M, carries: &[Carry]) -> Result<(), M::Stop> {
    for carry in carries {
        match *carry {
            Carry::Exchange { current, next, .. } => {
                let bases = &mut machine.places().bases;
                bases.swap(current as usize, next as usize);
            }
            Carry::Copy {
                current,
                next,
                bytes,
            } => {
                let (from, to) = (machine.places().of(next), machine.places().of(current));
                // SAFETY: the caller's promise.
                unsafe { machine.carry(from, to, bytes)? };
            }
        }
    }
    Ok(())
}

/// Ends a loop whose number of iterations was odd, or even.
unsafe fn settle<'a, M: Machine<'a>>(
    machine: &mut M,
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
            let bases = &mut machine.places().bases;
            let (from, to) = (bases[current], bases[next]);
            bases.swap(current, next);
            // SAFETY: the caller's promise.
            unsafe { machine.carry((from, 0), (to, 0), bytes)? };
        }
    }
    Ok(())
}
