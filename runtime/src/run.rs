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
use crate::exec::{Hook, Run, StepTime};
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
        self.run_with(inputs, sizes, pool, None)
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
        self.run_with(inputs, sizes, pool, Some(profile))
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

    fn run_with(
        &self,
        inputs: &mut [Input],
        sizes: &[i64],
        pool: &Pool,
        hook: Option<Hook<'_>>,
    ) -> Result<Outputs, RunError> {
        let bound = self.binding(sizes)?;
        let binding = &*bound;
        self.check_inputs(inputs, binding)?;
        let memory = Memory::new(binding, inputs, pool)?;
        let bases = memory.bases(binding, inputs);
        let mut run = Run {
            program: self,
            binding,
            pool,
            slots: Slots::new(bases, binding.loops, &binding.slices),
            scratch: memory.scratch.pointer(),
            status: Status::default(),
            kernels_run: 0,
            hook,
        };
        // SAFETY: the memory is as the binding wants it. Inputs are only read but for those taken
        // over, whose single handles are borrowed mutably here; everything else is new.
        unsafe { run.run()? };
        let report = RunReport {
            kernels_run: run.kernels_run,
            arena_bytes: binding.arena_bytes,
            ..memory.report
        };
        Ok(Outputs {
            buffers: memory.results(binding, inputs),
            report,
        })
    }

    fn check_inputs(&self, inputs: &[Input], binding: &Binding) -> Result<(), RunError> {
        let (expected, found) = (binding.inputs.len(), inputs.len());
        if expected != found {
            return Err(RunError::InputCount { expected, found });
        }
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
        }
        Ok(())
    }
}

/// Memory of a run.
struct Memory {
    arena: Buffer,
    scratch: Buffer,
    /// By slot: new output memory, or empty.
    made: SmallVec<[Buffer; 8]>,
    /// Donations taken: parameter and slot.
    taken: SmallVec<[(u32, u32); 4]>,
    report: RunReport,
}

impl Memory {
    fn new(binding: &Binding, inputs: &mut [Input], pool: &Pool) -> Result<Memory, RunError> {
        let taken = take_donations(binding, inputs);
        let given = inputs.iter().filter(|input| input.donate).count();
        let mut report = RunReport {
            taken_donations: taken.len() as u32,
            refused_donations: (given - taken.len()) as u32,
            ..RunReport::default()
        };
        let mut made = SmallVec::with_capacity(binding.homes.len());
        for (slot, home) in binding.homes.iter().enumerate() {
            made.push(match home {
                Home::Output(bytes) if taken.iter().all(|(_, s)| *s as usize != slot) => {
                    report.output_bytes += bytes;
                    Buffer::stale(*bytes)?
                }
                Home::Output(_) | Home::Input(_) | Home::Arena(_) => Buffer::empty(),
            });
        }
        let scratch = binding.scratch_bytes.saturating_mul(pool.threads());
        Ok(Memory {
            arena: stale_or_empty(binding.arena_bytes)?,
            scratch: stale_or_empty(scratch)?,
            made,
            taken,
            report,
        })
    }

    /// Memory of each slot.
    fn bases(&self, binding: &Binding, inputs: &[Input]) -> SmallVec<[*mut u8; 16]> {
        let base = |(home, made): (&Home, &Buffer)| match home {
            Home::Input(input) => inputs[*input as usize].buffer.pointer(),
            Home::Output(_) => made.pointer(),
            Home::Arena(offset) => self.arena.pointer().wrapping_add(*offset),
        };
        let homes = binding.homes.iter().zip(&self.made);
        let mut bases: SmallVec<[*mut u8; 16]> = homes.map(base).collect();
        for &(input, slot) in &self.taken {
            bases[slot as usize] = inputs[input as usize].buffer.pointer();
        }
        bases
    }

    /// The results, once the run has succeeded: takes donated buffers out of the inputs.
    fn results(mut self, binding: &Binding, inputs: &mut [Input]) -> SmallVec<[Buffer; 4]> {
        for &(input, slot) in &self.taken {
            let buffer = std::mem::take(&mut inputs[input as usize].buffer);
            self.made[slot as usize] = buffer;
        }
        let result = |&(slot, bytes): &(u32, usize)| {
            let buffer = match binding.homes[slot as usize] {
                Home::Input(input) => &inputs[input as usize].buffer,
                Home::Output(_) | Home::Arena(_) => &self.made[slot as usize],
            };
            buffer.clone().shortened(bytes)
        };
        binding.outputs.iter().map(result).collect()
    }
}

/// Chooses the inputs whose memory outputs take over: each input and each output once.
fn take_donations(binding: &Binding, inputs: &mut [Input]) -> SmallVec<[(u32, u32); 4]> {
    let mut taken: SmallVec<[(u32, u32); 4]> = SmallVec::new();
    for &(input, slot) in &binding.donations {
        let given = &mut inputs[input as usize];
        let free = taken.iter().all(|(i, s)| *i != input && *s != slot);
        // Without bytes there is nothing to take over.
        if free && given.donate && !given.buffer.is_empty() && given.buffer.is_unique() {
            taken.push((input, slot));
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
