//! Running a program: inputs in, outputs out.
//!
//! # Donation
//! An input marked `donate` is given up: an output that the program allows for it takes over its
//! memory, so that it is updated in place. That happens only if the input is the one handle to its
//! memory; who else holds one keeps the old value, and the output gets memory of its own. Refusals are counted
//! in the [`RunReport`].
//!
//! # Errors leave everything as it was
//! A run that fails has changed nothing: its outputs are dropped, and its inputs hold what
//! they held. For donated inputs three rules see to it. A donation is taken only if every step that
//! writes the output stands behind the last step that can fail (kernels that may record a fault, and
//! foreign functions); otherwise it is refused. No step runs once a fault is recorded. And all
//! memory of a run is allocated before its first step.

use crate::bind::{Binding, Home};
use crate::exec::{Run, StepTime};
use crate::walk::Slots;
use crate::{Buffer, Pool, Program, RunError, Status};
use smallvec::SmallVec;

/// A parameter of a run.
#[derive(Clone, Debug)]
pub struct Input {
    /// The value.
    pub buffer: Buffer,
    /// Whether an output may take over the memory.
    pub donate: bool,
}

impl Input {
    /// A value that stays the caller's.
    pub fn keep(buffer: Buffer) -> Input {
        Input {
            buffer,
            donate: false,
        }
    }

    /// A value that is given up.
    pub fn donate(buffer: Buffer) -> Input {
        Input {
            buffer,
            donate: true,
        }
    }
}

/// What a run produces.
#[derive(Debug)]
pub struct Outputs {
    /// One per output of the program.
    pub buffers: SmallVec<[Buffer; 4]>,
    /// What happened.
    pub report: RunReport,
}

/// What happened in a run.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RunReport {
    /// Kernels and matrix products that have run.
    pub kernels_run: u64,
    /// Bytes of scratch shared by the steps.
    pub arena_bytes: usize,
    /// Bytes of new memory for outputs.
    pub output_bytes: usize,
    /// Inputs that an output took over.
    pub taken_donations: u32,
    /// Inputs given up in vain: another handle exists, or taking over is not safe or not possible.
    pub refused_donations: u32,
}

impl Program {
    /// Runs the program on `inputs` with its symbols bound to `sizes`.
    ///
    /// Donated inputs that were taken over are empty buffers afterwards; all others, and all of them after an
    /// error, are what they were.
    ///
    /// # Errors
    /// When inputs or sizes are not what the program takes, memory is short, or something goes wrong
    /// while it runs.
    pub fn run(
        &self,
        inputs: &mut [Input],
        sizes: &[i64],
        pool: &Pool,
    ) -> Result<Outputs, RunError> {
        let mut buffers = SmallVec::new();
        let each = &mut |buffer| buffers.push(buffer);
        let report = self.run_each(inputs, sizes, pool, None, each)?;
        Ok(Outputs { buffers, report })
    }

    /// As [`Program::run`], and tells `profile` of every step and its time. Slower: the clock is read
    /// around every step.
    ///
    /// # Errors
    /// As for [`Program::run`].
    pub fn run_profiled(
        &self,
        inputs: &mut [Input],
        sizes: &[i64],
        pool: &Pool,
        profile: &mut dyn FnMut(StepTime<'_>),
    ) -> Result<Outputs, RunError> {
        let mut buffers = SmallVec::new();
        let each = &mut |buffer| buffers.push(buffer);
        let report = self.run_each(inputs, sizes, pool, Some(profile), each)?;
        Ok(Outputs { buffers, report })
    }

    /// Bytes that a run with these sizes will need, known before it: arena and outputs, as if nothing
    /// were donated. Inputs and the threads' scratch are not counted.
    ///
    /// # Errors
    /// When the sizes are not what the program takes.
    pub fn peak_bytes(&self, sizes: &[i64]) -> Result<usize, RunError> {
        let binding = self.binding(sizes)?;
        Ok(binding.arena_bytes.saturating_add(binding.output_bytes))
    }

    /// As [`Program::run`] or [`Program::run_profiled`], but hands the outputs out one after the other, once the run
    /// has succeeded.
    ///
    /// # Errors
    /// As for [`Program::run`].
    pub fn run_each(
        &self,
        inputs: &mut [Input],
        sizes: &[i64],
        pool: &Pool,
        profile: Option<&mut dyn FnMut(StepTime<'_>)>,
        each: &mut dyn FnMut(Buffer),
    ) -> Result<RunReport, RunError> {
        let bound = self.binding(sizes)?;
        let binding = &*bound;
        let given_up = self.check_inputs(inputs, binding)?;
        let scratch_bytes = binding.scratch_bytes.saturating_mul(pool.threads());
        // The arena, then scratch of all participants.
        let working = stale_or_empty(binding.arena_room.saturating_add(scratch_bytes))?;
        let taken = match given_up {
            0 => Vec::new(),
            _ => take_donations(binding, inputs),
        };
        let mut run = Run {
            program: self,
            binding,
            pool,
            slots: Slots::new(binding.loops, &binding.slices),
            scratch: working.pointer().wrapping_add(binding.arena_room),
            status: Status::default(),
            kernels_run: 0,
            hook: profile,
        };
        // New memory of outputs, by number; nothing where a donation is taken.
        let mut made: SmallVec<[Buffer; 4]> = SmallVec::new();
        let mut output_bytes = 0;
        for (slot, home) in (0..).zip(&binding.homes) {
            run.slots.push(match *home {
                Home::Input(input) => inputs[input as usize].buffer.pointer(),
                Home::Arena(offset) => working.pointer().wrapping_add(offset),
                Home::Output { bytes, .. } => {
                    let donation = taken.iter().find(|(_, s)| *s == slot);
                    let (buffer, base) = match donation {
                        Some(&(input, _)) => {
                            (Buffer::empty(), inputs[input as usize].buffer.pointer())
                        }
                        None => {
                            output_bytes += bytes;
                            let buffer = Buffer::stale(bytes)?;
                            let base = buffer.pointer();
                            (buffer, base)
                        }
                    };
                    made.push(buffer);
                    base
                }
            });
        }
        // SAFETY: the memory is as the binding wants it. Inputs are only read but for those taken
        // over, whose single handles are borrowed mutably here; everything else is new.
        unsafe { run.run()? };
        let report = RunReport {
            kernels_run: run.kernels_run,
            arena_bytes: binding.arena_bytes,
            output_bytes,
            taken_donations: taken.len() as u32,
            refused_donations: (given_up - taken.len()) as u32,
        };
        for &(input, slot) in &taken {
            if let Home::Output { number, .. } = binding.homes[slot as usize] {
                made[number as usize] = std::mem::take(&mut inputs[input as usize].buffer);
            }
        }
        hand_out(binding, inputs, &mut made, each);
        Ok(report)
    }

    /// Holds inputs against what is expected of them, and counts those that are given up.
    fn check_inputs(&self, inputs: &[Input], binding: &Binding) -> Result<usize, RunError> {
        let (expected, found) = (binding.inputs.len(), inputs.len());
        if expected != found {
            return Err(RunError::InputCount { expected, found });
        }
        let mut given_up = 0;
        for (i, (input, &expected)) in inputs.iter().zip(&binding.inputs).enumerate() {
            let found = input.buffer.len();
            if expected != found {
                return Err(RunError::InputBytes {
                    input: i,
                    element: self.image.inputs[i].element,
                    expected,
                    found,
                });
            }
            given_up += usize::from(input.donate);
        }
        Ok(given_up)
    }
}

/// Gives the results away, of which `made` holds those that are no inputs.
#[inline]
fn hand_out(
    binding: &Binding,
    inputs: &[Input],
    made: &mut [Buffer],
    each: &mut dyn FnMut(Buffer),
) {
    for output in &binding.outputs {
        let buffer = match binding.homes[output.slot as usize] {
            Home::Input(input) => inputs[input as usize].buffer.clone(),
            Home::Output { number, .. } => match output.last {
                true => std::mem::take(&mut made[number as usize]),
                false => made[number as usize].clone(),
            },
            // No result lies there.
            Home::Arena(_) => Buffer::empty(),
        };
        each(buffer.shortened(output.bytes));
    }
}

/// Chooses the inputs whose memory outputs take over, and their slots: each input and each output once.
fn take_donations(binding: &Binding, inputs: &mut [Input]) -> Vec<(u32, u32)> {
    let mut taken: Vec<(u32, u32)> = Vec::new();
    for &(input, slot) in &binding.donations {
        let given = &mut inputs[input as usize];
        // Without bytes there is nothing to take over.
        if given.donate && !given.buffer.is_empty() && given.buffer.is_unique() {
            let free = taken.iter().all(|(i, s)| *i != input && *s != slot);
            taken.extend(free.then_some((input, slot)));
        }
    }
    taken
}

/// No memory is asked for where none is needed.
fn stale_or_empty(bytes: usize) -> Result<Buffer, RunError> {
    match bytes {
        0 => Ok(Buffer::empty()),
        _ => Ok(Buffer::stale(bytes)?),
    }
}
