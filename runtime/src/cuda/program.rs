//! Programs on a device: the steps of an image, bound as for the processor, queued on the device's stream.
//!
//! The host waits only where it has to know something: the condition of a branch or loop, the operands of a
//! sort or a foreign function, which it runs itself, and whether a fault was recorded. The latter is asked behind the last
//! step that can record one, so that a run which fails is an error of this run and has overwritten no input;
//! conditions ask as well, so that a fault ends loops. Programs without such steps are queued as a whole.

use super::device::{DeviceBuffer, Function, Module};
use super::driver::Pointer;
use super::{CudaDevice, CudaError, DeviceInput, DeviceValue};
use crate::bind::{Binding, BoundOutput, Home};
use crate::bound::{Arg, BoundCustom, BoundSort, BoundStep, BoundStepKind, CustomArg, Task};
use crate::exec::{Columns, call_foreign, fault_error, sort_columns};
use crate::walk::{self, Runner, Slots};
use crate::{Buffer, Fault, HostFn, Image, LoadError, Pool, Program, RunError, Status};
use smallvec::SmallVec;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

/// A function to launch for a kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceLaunch {
    /// Its name in the module.
    pub name: String,
    /// Which of the kernel's buffers it takes.
    pub buffers: Range<usize>,
    /// How many of the kernel's sizes it takes, behind one that says how many blocks to launch.
    pub sizes: usize,
    /// Threads of a block.
    pub threads: u32,
}

/// Why a program on a device has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceError {
    /// As on the processor.
    Run(RunError),
    /// The program cannot be linked.
    Load(LoadError),
    /// The device, its driver or its compiler.
    Cuda(CudaError),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceError::Run(e) => e.fmt(f),
            DeviceError::Load(e) => e.fmt(f),
            DeviceError::Cuda(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for DeviceError {}

impl From<CudaError> for DeviceError {
    fn from(error: CudaError) -> DeviceError {
        DeviceError::Cuda(error)
    }
}

impl From<RunError> for DeviceError {
    fn from(error: RunError) -> DeviceError {
        DeviceError::Run(error)
    }
}

type Result<T> = std::result::Result<T, DeviceError>;

/// A program with its code on a device.
pub struct DeviceProgram {
    program: Program,
    module: Module,
    /// Per kernel.
    kernels: Vec<Vec<(Function, DeviceLaunch)>>,
}

impl DeviceProgram {
    /// Makes a program of an image, the module that its kernels are in, what to launch for each of them, and
    /// its host functions.
    ///
    /// # Safety
    /// The functions take what the launches say, and touch of their buffers what `image.kernels` says.
    ///
    /// # Errors
    /// When the image is not consistent in itself or with the launches, or the module lacks a function.
    pub unsafe fn new(
        image: Image,
        module: Module,
        launches: Vec<Vec<DeviceLaunch>>,
        hosts: Vec<Arc<HostFn>>,
    ) -> Result<DeviceProgram> {
        let (kernels, code) = (image.kernels.len(), launches.len());
        let fits = image
            .kernels
            .iter()
            .zip(&launches)
            .all(|(kernel, launches)| {
                let sizes: usize = launches.iter().map(|l| 1 + l.sizes).sum();
                let within = |l: &DeviceLaunch| {
                    l.buffers.start <= l.buffers.end && l.buffers.end <= kernel.params.len()
                };
                sizes == kernel.sizes.len() && launches.iter().all(within)
            });
        if kernels != code || !fits {
            return Err(DeviceError::Load(LoadError::Code { kernels, code }));
        }
        let program = Program::without_code(image, hosts).map_err(DeviceError::Load)?;
        let ready = |l: DeviceLaunch| Ok((module.function(&l.name)?, l));
        let kernels = launches
            .into_iter()
            .map(|all| all.into_iter().map(ready).collect());
        Ok(DeviceProgram {
            kernels: kernels.collect::<std::result::Result<_, CudaError>>()?,
            program,
            module,
        })
    }

    /// What the program was made of.
    pub fn image(&self) -> &Image {
        self.program.image()
    }

    /// Where it runs.
    pub fn device(&self) -> &Arc<CudaDevice> {
        self.module.device()
    }

    /// True if running it calls functions of the process around it, which may do anything.
    pub fn calls_host(&self) -> bool {
        self.program.calls_host()
    }

    /// About how many bytes of the host's memory the program holds while it does not run.
    pub fn footprint(&self) -> usize {
        self.program.footprint()
    }

    /// Bytes of the device that a run with these sizes will need besides its inputs.
    ///
    /// # Errors
    /// When the sizes are not what the program takes.
    pub fn peak_bytes(&self, sizes: &[i64]) -> Result<usize> {
        let bound = self.program.binding(sizes)?;
        let scratch = scratch_bytes(&bound);
        Ok(self.program.peak_bytes(sizes)?.saturating_add(scratch))
    }

    /// Queues the program on `inputs` with its symbols bound to `sizes`; `pool` is for what the host does.
    ///
    /// Inputs that are given up are taken over by results where the program allows for it and there is no other
    /// handle to their memory, as for [`Program::run`]. After an error all of them hold what they held.
    ///
    /// # Errors
    /// When inputs or sizes are not what the program takes, memory is short, a kernel records a fault, or the
    /// driver refuses something.
    pub fn run(
        &self,
        inputs: &mut [DeviceInput],
        sizes: &[i64],
        pool: &Pool,
    ) -> Result<SmallVec<[DeviceValue; 4]>> {
        let bound = self.program.binding(sizes)?;
        let binding = &*bound;
        self.check_inputs(inputs, binding)?;
        let device = self.module.device();
        let memory = Memory::new(device, binding, inputs)?;
        let status = device.upload(&[0; size_of::<Status>()])?;
        let mut slots = Slots::new(binding.loops, &binding.slices);
        memory.place(binding, inputs, &mut slots);
        let mut run = Run {
            owner: self,
            binding,
            device,
            pool,
            slots,
            scratch: memory.scratch.pointer(),
            status: &status,
        };
        run.all(&binding.steps)?;
        memory.results(binding, inputs)
    }

    fn check_inputs(&self, inputs: &[DeviceInput], binding: &Binding) -> Result<()> {
        let (expected, found) = (binding.inputs.len(), inputs.len());
        if expected != found {
            return Err(RunError::InputCount { expected, found }.into());
        }
        for (i, (input, &expected)) in inputs.iter().zip(&binding.inputs).enumerate() {
            if !Arc::ptr_eq(input.value.device(), self.module.device()) {
                let problem = format!("input {i} lies on another device");
                return Err(RunError::Inconsistent(problem).into());
            }
            let found = input.value.len();
            if expected != found {
                let element = self.image().inputs[i].element;
                return Err(RunError::InputBytes {
                    input: i,
                    element,
                    expected,
                    found,
                }
                .into());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DeviceProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceProgram")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// The scratch of the kernel that needs most; they run one after the other.
fn scratch_bytes(binding: &Binding) -> usize {
    let kernels = binding.kernels.iter();
    kernels.map(|k| k.scratch).max().unwrap_or(0)
}

/// Memory of a run.
struct Memory {
    arena: DeviceBuffer,
    scratch: DeviceBuffer,
    /// By number: memory of results that are no inputs; nothing where a donation is taken, until the results are.
    made: SmallVec<[Option<Arc<DeviceBuffer>>; 4]>,
    /// Inputs whose memory a result takes over: parameter and slot.
    taken: SmallVec<[(u32, u32); 4]>,
}

impl Memory {
    fn new(
        device: &Arc<CudaDevice>,
        binding: &Binding,
        inputs: &mut [DeviceInput],
    ) -> Result<Memory> {
        let mut taken: SmallVec<[(u32, u32); 4]> = SmallVec::new();
        for &(input, slot) in &binding.donations {
            let free = taken.iter().all(|(i, s)| *i != input && *s != slot);
            let given = &mut inputs[input as usize];
            if free && given.donate && Arc::get_mut(&mut given.value.memory).is_some() {
                taken.push((input, slot));
            }
        }
        let mut made = SmallVec::new();
        for (slot, home) in (0..).zip(&binding.homes) {
            if let Home::Output { bytes, .. } = *home {
                made.push(match taken.iter().any(|(_, s)| *s == slot) {
                    true => None,
                    false => Some(Arc::new(device.allocate(bytes)?)),
                });
            }
        }
        Ok(Memory {
            arena: device.allocate(binding.arena_bytes)?,
            scratch: device.allocate(scratch_bytes(binding))?,
            made,
            taken,
        })
    }

    /// Tells the slots their memory.
    fn place(&self, binding: &Binding, inputs: &[DeviceInput], slots: &mut Slots<'_, Pointer>) {
        let given = |input: u32| inputs[input as usize].value.memory.pointer();
        for (slot, home) in (0..).zip(&binding.homes) {
            slots.push(match *home {
                Home::Input(input) => given(input),
                Home::Arena(offset) => self.arena.pointer() + offset as u64,
                Home::Output { number, .. } => match &self.made[number as usize] {
                    Some(made) => made.pointer(),
                    None => { self.taken.iter().find(|(_, s)| *s == slot) }
                        .map_or(0, |(input, _)| given(*input)),
                },
            });
        }
    }

    /// The results, once everything is queued.
    fn results(
        mut self,
        binding: &Binding,
        inputs: &[DeviceInput],
    ) -> Result<SmallVec<[DeviceValue; 4]>> {
        for &(input, slot) in &self.taken {
            if let Home::Output { number, .. } = binding.homes[slot as usize] {
                self.made[number as usize] = Some(inputs[input as usize].value.memory.clone());
            }
        }
        let result = |output: &BoundOutput| {
            let memory = match binding.homes[output.slot as usize] {
                Home::Input(input) => Some(&inputs[input as usize].value.memory),
                Home::Output { number, .. } => self.made[number as usize].as_ref(),
                Home::Arena(_) => None,
            };
            let inside = || RunError::Inconsistent("a result lies in the arena".into());
            let memory = memory.ok_or_else(inside)?.clone();
            let bytes = output.bytes;
            Ok(DeviceValue { memory, bytes })
        };
        binding.outputs.iter().map(result).collect()
    }
}

/// Waits for what was queued; an error if a fault is recorded.
fn check_status(status: &DeviceBuffer, faults: &[Fault]) -> Result<()> {
    let mut bytes = [0; size_of::<Status>()];
    status.read(&mut bytes)?;
    let word = |i: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[8 * i..8 * i + 8]);
        u64::from_le_bytes(word)
    };
    let status = Status {
        fault: AtomicU64::new(word(0)),
        value: AtomicI64::new(word(1) as i64),
        bound: AtomicI64::new(word(2) as i64),
    };
    match status.fault() {
        Some(_) => Err(fault_error(faults, &status).into()),
        None => Ok(()),
    }
}

/// A run being queued.
struct Run<'a> {
    owner: &'a DeviceProgram,
    binding: &'a Binding,
    device: &'a Arc<CudaDevice>,
    pool: &'a Pool,
    slots: Slots<'a, Pointer>,
    scratch: Pointer,
    status: &'a DeviceBuffer,
}

impl Run<'_> {
    /// Queues everything, and waits behind the last step that can fail.
    fn all(&mut self, steps: &[BoundStep]) -> Result<()> {
        let last = steps.iter().rposition(|s| self.can_fault(&s.kind));
        let (failing, rest) = steps.split_at(last.map_or(0, |last| last + 1));
        if !failing.is_empty() {
            self.steps(failing)?;
            check_status(self.status, &self.owner.image().faults)?;
        }
        self.steps(rest)
    }

    /// Whether a step can record a fault on the device.
    fn can_fault(&self, kind: &BoundStepKind) -> bool {
        let any = |steps: &[BoundStep]| steps.iter().any(|s| self.can_fault(&s.kind));
        match kind {
            BoundStepKind::Task(Task::Kernel { kernel, .. }) => {
                self.owner.image().kernels[*kernel as usize].can_fault
            }
            // Those that run on the host fail at once.
            BoundStepKind::Task(
                Task::Contract(_) | Task::Sort(_) | Task::Custom(_) | Task::Copy { .. },
            ) => false,
            BoundStepKind::If { then, other, .. } => any(then) || any(other),
            BoundStepKind::Loop(l) => any(&l.body),
            BoundStepKind::While(w) => any(&w.test) || any(&w.body),
        }
    }

    fn steps(&mut self, steps: &[BoundStep]) -> Result<()> {
        // SAFETY: the steps are the binding's, and the memory was arranged for it and is this run's.
        unsafe { walk::run(self, steps) }
    }

    /// Where a buffer is now.
    fn pointer(&self, arg: Arg) -> Pointer {
        at(self.slots.of(arg))
    }

    fn kernel(&self, kernel: u32, args: &[Arg]) -> Result<()> {
        let bound = &self.binding.kernels[kernel as usize];
        let mut sizes = bound.sizes.iter().copied();
        for (function, launch) in &self.owner.kernels[kernel as usize] {
            let blocks = sizes.next().unwrap_or(0);
            let args = args[launch.buffers.clone()]
                .iter()
                .map(|a| self.pointer(*a));
            let own = sizes.by_ref().take(launch.sizes).map(|s| s as u64);
            let mut parameters: Vec<u64> = args.chain(own).collect();
            parameters.extend([self.scratch, self.status.pointer()]);
            let too_many = |_| CudaError::Launch {
                kernel: launch.name.clone(),
                reason: format!("{blocks} blocks"),
            };
            let blocks = u32::try_from(blocks).map_err(too_many)?;
            if blocks == 0 {
                continue;
            }
            let grid = (blocks, launch.threads);
            // SAFETY: whoever made the program vouched for the functions; binding has arranged the memory.
            unsafe {
                let module = &self.owner.module;
                module.launch(*function, &launch.name, grid, &mut parameters)?;
            }
        }
        Ok(())
    }

    fn copy(&self, from: Pointer, to: Pointer, bytes: usize) -> Result<()> {
        if from.abs_diff(to) >= bytes as u64 || from == to {
            // SAFETY: binding has checked that both buffers have so many bytes; they do not overlap.
            unsafe { self.device.copy(from, to, bytes)? };
            return Ok(());
        }
        let between = self.device.allocate(bytes)?;
        // SAFETY: as above, by way of memory of its own.
        unsafe {
            self.device.copy(from, between.pointer(), bytes)?;
            self.device.copy(between.pointer(), to, bytes)?;
        }
        Ok(())
    }

    /// A buffer's bytes on the host.
    fn read(&self, arg: Arg, bytes: usize) -> Result<Vec<u8>> {
        let mut host = vec![0; bytes];
        // SAFETY: binding has checked that the buffer has so many bytes.
        unsafe { self.device.read(self.pointer(arg), &mut host)? };
        Ok(host)
    }

    fn write(&self, arg: Arg, bytes: &[u8]) -> Result<()> {
        // SAFETY: binding has checked that the buffer has so many bytes.
        unsafe { self.device.write(self.pointer(arg), bytes)? };
        Ok(())
    }

    /// Sorts on the host.
    fn sort(&self, s: &BoundSort) -> Result<()> {
        let places = s.axis * s.partition.extent();
        let mut held = Vec::with_capacity(s.columns.len());
        for (from, _, element) in &s.columns {
            let bytes = self.read(*from, places * element.bytes())?;
            let from = Buffer::from_bytes(&bytes).map_err(RunError::from)?;
            let to = Buffer::from_bytes(&bytes).map_err(RunError::from)?;
            held.push((from, to));
        }
        let columns: Columns = held
            .iter()
            .zip(&s.columns)
            .map(|((from, to), (_, _, element))| (from.pointer(), to.pointer(), *element))
            .collect();
        let own = self.binding.scratch_bytes;
        let all = own.saturating_mul(self.pool.threads()).max(1);
        let scratch = Buffer::stale(all).map_err(RunError::from)?;
        // SAFETY: the columns have all elements that the device's have, and there is scratch for all threads.
        unsafe { sort_columns(s, columns, (scratch.pointer(), own), self.pool) };
        for ((_, to), (_, target, _)) in held.iter().zip(&s.columns) {
            self.write(*target, to.as_bytes())?;
        }
        Ok(())
    }

    /// Calls a foreign function on the host.
    fn custom(&self, c: &BoundCustom) -> Result<()> {
        check_status(self.status, &self.owner.image().faults)?;
        let read = |a: &CustomArg| self.read(a.arg, a.bytes);
        let inputs: Vec<Vec<u8>> = c.inputs.iter().map(read).collect::<Result<_>>()?;
        let mut outputs: Vec<Vec<u8>> = c.outputs.iter().map(|a| vec![0; a.bytes]).collect();
        let given: SmallVec<[&[u8]; 8]> = inputs.iter().map(|i| &i[..]).collect();
        let made: SmallVec<[&mut [u8]; 4]> = outputs.iter_mut().map(|o| &mut o[..]).collect();
        call_foreign((&self.owner.program, self.pool), c, &given, made)?;
        for (output, bytes) in c.outputs.iter().zip(&outputs) {
            self.write(output.arg, bytes)?;
        }
        Ok(())
    }
}

/// A place and an offset as an address.
fn at((base, offset): (Pointer, usize)) -> Pointer {
    base + offset as u64
}

impl<'a> Runner<'a> for Run<'a> {
    type Memory = Pointer;
    type Stop = DeviceError;

    fn slots(&mut self) -> &mut Slots<'a, Pointer> {
        &mut self.slots
    }

    unsafe fn task(&mut self, task: &Task, _position: u32) -> Result<()> {
        match task {
            Task::Kernel { kernel, args } => self.kernel(*kernel, args),
            Task::Contract(_) => {
                let problem = "a matrix product that is no kernel, on a device";
                Err(RunError::Inconsistent(problem.into()).into())
            }
            Task::Sort(sort) => self.sort(sort),
            Task::Custom(custom) => self.custom(custom),
            Task::Copy {
                from,
                to,
                partition,
            } => self.copy(self.pointer(*from), self.pointer(*to), partition.extent()),
        }
    }

    /// Waits for a condition. A fault before it is an error here: what it would decide may never end.
    unsafe fn is_true(&mut self, condition: Arg) -> Result<bool> {
        check_status(self.status, &self.owner.image().faults)?;
        Ok(self.read(condition, 1)?[0] != 0)
    }

    unsafe fn set_number(&mut self, at: Arg, number: i64) -> Result<()> {
        self.write(at, &number.to_le_bytes())
    }

    unsafe fn carry(
        &mut self,
        from: (Pointer, usize),
        to: (Pointer, usize),
        bytes: usize,
    ) -> Result<()> {
        self.copy(at(from), at(to), bytes)
    }
}
