//! Execution of bound steps over raw memory.
//!
//! All sizes were checked when the program was bound, so nothing here checks again. After every step the
//! status word is looked at: once a fault is recorded no further step runs, so steps behind
//! the last one that can fail write only results that stand.

use crate::bind::Binding;
use crate::custom::{Foreign, guarded};
use crate::foreign::{Operand, ResultMut};
use crate::kernels::Level;
use crate::kernels::contract::{Contraction, Placed, Right, Tiling, compute_tile};
use crate::kernels::micro::Number;
#[cfg(feature = "narrow")]
use crate::kernels::narrow::{Bf16, Byte};
use crate::kernels::sort::{self, Lane};
use crate::partition::{Bounds, Partition, is_inline};
use crate::{Element, Fault, KernelFn, Pool, Program, RunError, Status};
use smallvec::SmallVec;
use std::ops::ControlFlow;
use std::time::Instant;

/// A buffer as steps name it: a slot and the slices on the way from its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arg {
    pub slot: u32,
    /// First of its entries in [`Binding::slices`], and how many.
    pub first: u32,
    pub count: u32,
}

/// A kernel for given sizes.
pub(crate) struct BoundKernel {
    pub code: KernelFn,
    pub sizes: Box<[i64]>,
    pub partition: Partition,
    pub scratch: usize,
}

/// A step for given sizes.
pub(crate) struct BoundStep {
    /// Pre-order position.
    pub position: u32,
    pub kind: BoundStepKind,
}

/// What a bound step does; see [`crate::Step`].
pub(crate) enum BoundStepKind {
    Kernel {
        kernel: u32,
        args: Box<[Arg]>,
    },
    Contract(Box<BoundContract>),
    Sort(BoundSort),
    Custom(BoundCustom),
    Copy {
        from: Arg,
        to: Arg,
        partition: Partition,
    },
    If {
        condition: Arg,
        then: Box<[BoundStep]>,
        other: Box<[BoundStep]>,
    },
    Loop(BoundLoop),
    While(BoundWhile),
}

pub(crate) struct BoundLoop {
    pub slot: u32,
    pub trip: usize,
    pub iteration: Arg,
    pub carries: Box<[Carry]>,
    pub body: Box<[BoundStep]>,
}

pub(crate) struct BoundWhile {
    pub test: Box<[BoundStep]>,
    pub condition: Arg,
    pub carries: Box<[Carry]>,
    pub body: Box<[BoundStep]>,
}

pub(crate) struct BoundContract {
    pub factors: [Element; 2],
    pub dims: [usize; 4],
    pub tiling: Tiling,
    pub lhs: Arg,
    pub offset: isize,
    pub lhs_strides: [isize; 3],
    pub rhs: Arg,
    pub rhs_layout: BoundRight,
    pub product: Arg,
    pub epilogue: Option<(u32, Box<[Arg]>)>,
}

/// How the right operand of a product lies in memory; see [`crate::RightLayout`].
#[derive(Clone, Copy)]
pub(crate) enum BoundRight {
    /// Elements between batch entries.
    Panels(usize),
    /// Offset, and where the elements are from there.
    Placed(isize, Placed),
}

pub(crate) struct BoundSort {
    /// From, to, element type; the keys first.
    pub columns: Box<[(Arg, Arg, Element)]>,
    pub axis: usize,
    pub inner: usize,
    /// Over the lanes, `outer * inner` of them.
    pub partition: Partition,
    pub descending: bool,
}

pub(crate) struct BoundCustom {
    /// Number among the program's foreign functions.
    pub function: u32,
    pub inputs: Box<[CustomArg]>,
    pub outputs: Box<[CustomArg]>,
    pub fault: u32,
}

pub(crate) struct CustomArg {
    pub arg: Arg,
    pub element: Element,
    pub dims: SmallVec<[usize; 6]>,
    pub bytes: usize,
}

/// How a loop makes the next value the current one.
pub(crate) enum Carry {
    /// By exchanging the memory of two slots.
    Exchange {
        current: u32,
        next: u32,
        /// Whether the result must end up in the memory that `current` had at first. Arena memory may
        /// stay exchanged, because both slots live equally long.
        go_home: bool,
        bytes: usize,
    },
    /// By copying, where a buffer is only a part of its memory.
    Copy {
        current: Arg,
        next: Arg,
        bytes: usize,
    },
}

/// A step that has run, for profiles.
#[derive(Clone, Copy, Debug)]
pub struct StepTime<'a> {
    /// Pre-order position of the step.
    pub position: u32,
    /// Name of the kernel, or what kind of step it is.
    pub name: &'a str,
    /// Time it took.
    pub nanoseconds: u64,
}

/// Told of every step that has run, but for the control steps around others.
pub(crate) type Hook<'a> = &'a mut dyn FnMut(StepTime<'_>);

/// A run in progress.
pub(crate) struct Run<'a, 'h> {
    pub program: &'a Program,
    pub binding: &'a Binding,
    pub pool: &'a Pool,
    /// Memory of each slot. Loops exchange entries.
    pub base: SmallVec<[*mut u8; 16]>,
    /// Current iteration of each loop.
    pub iterations: SmallVec<[usize; 4]>,
    /// Scratch of participant 0; the others' follow at the binding's scratch size.
    pub scratch: *mut u8,
    pub status: Status,
    /// Kernels and products that have run.
    pub kernels_run: u64,
    pub hook: Option<Hook<'h>>,
}

/// A run ends early for a fault (in the status word) or an error.
type Flow = ControlFlow<Option<RunError>>;

impl Run<'_, '_> {
    /// Runs the program's steps.
    ///
    /// # Safety
    /// `base` and `scratch` are memory as the binding wants it, and nobody else writes to it or reads
    /// what is written.
    pub(crate) unsafe fn run(&mut self) -> Result<(), RunError> {
        // Free of the borrow of `self`.
        let binding = self.binding;
        // SAFETY: the caller's promise.
        match unsafe { self.steps(&binding.steps) } {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(Some(error)) => Err(error),
            ControlFlow::Break(None) => Err(self.fault()),
        }
    }

    /// The recorded fault as an error.
    fn fault(&self) -> RunError {
        fault_error(&self.program.image.faults, &self.status)
    }

    /// # Safety (of this and all below)
    /// As for [`Run::run`].
    unsafe fn steps(&mut self, steps: &[BoundStep]) -> Flow {
        for step in steps {
            let begin = self.hook.is_some().then(Instant::now);
            // SAFETY: the caller's promise.
            unsafe { self.step(&step.kind)? };
            if let Some(begin) = begin {
                self.report(step, begin);
            }
            if self.status.fault().is_some() {
                return ControlFlow::Break(None);
            }
        }
        ControlFlow::Continue(())
    }

    fn report(&mut self, step: &BoundStep, begin: Instant) {
        let nanoseconds = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let name = match &step.kind {
            BoundStepKind::Kernel { kernel, .. } => {
                &self.program.image.kernels[*kernel as usize].name
            }
            BoundStepKind::Contract(_) => "contract",
            BoundStepKind::Sort(_) => "sort",
            BoundStepKind::Custom(_) => "custom",
            BoundStepKind::Copy { .. } => "copy",
            BoundStepKind::If { .. } | BoundStepKind::Loop { .. } | BoundStepKind::While { .. } => {
                return;
            }
        };
        if let Some(hook) = &mut self.hook {
            hook(StepTime {
                position: step.position,
                name,
                nanoseconds,
            });
        }
    }

    unsafe fn step(&mut self, kind: &BoundStepKind) -> Flow {
        // SAFETY: the caller's promise.
        unsafe {
            match kind {
                BoundStepKind::Kernel { kernel, args } => {
                    self.kernels_run += 1;
                    self.kernel_task(*kernel, args).run(self.pool);
                }
                BoundStepKind::Contract(contract) => {
                    self.kernels_run += 1;
                    self.contract(contract);
                }
                BoundStepKind::Sort(sort) => self.sort(sort),
                BoundStepKind::Custom(custom) => return self.custom(custom),
                BoundStepKind::Copy {
                    from,
                    to,
                    partition,
                } => self.copy(*from, *to, partition),
                BoundStepKind::If {
                    condition,
                    then,
                    other,
                } => {
                    let steps = if self.is_true(*condition) {
                        then
                    } else {
                        other
                    };
                    return self.steps(steps);
                }
                BoundStepKind::Loop(l) => return self.counted(l),
                BoundStepKind::While(w) => return self.conditional(w),
            }
        }
        ControlFlow::Continue(())
    }

    unsafe fn counted(&mut self, l: &BoundLoop) -> Flow {
        for i in 0..l.trip {
            self.iterations[l.slot as usize] = i;
            // SAFETY: the caller's promise; binding has checked that there are eight bytes.
            unsafe {
                let at = self.pointer(l.iteration).cast::<i64>();
                at.write_unaligned(i as i64);
                self.steps(&l.body)?;
                self.carry(&l.carries);
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.settle(&l.carries, l.trip % 2 == 1) };
        ControlFlow::Continue(())
    }

    unsafe fn conditional(&mut self, w: &BoundWhile) -> Flow {
        let mut odd = false;
        // SAFETY: the caller's promise.
        unsafe {
            loop {
                self.steps(&w.test)?;
                if !self.is_true(w.condition) {
                    break;
                }
                self.steps(&w.body)?;
                self.carry(&w.carries);
                odd = !odd;
            }
            self.settle(&w.carries, odd);
        }
        ControlFlow::Continue(())
    }

    /// Where a buffer is now.
    unsafe fn pointer(&self, arg: Arg) -> *mut u8 {
        let base = self.base[arg.slot as usize];
        let slices = arg.first as usize..(arg.first + arg.count) as usize;
        let slices = self.binding.slices[slices].iter();
        let offset: usize = slices
            .map(|(l, stride)| self.iterations[*l as usize] * stride)
            .sum();
        // SAFETY: binding has checked that the slices of all iterations lie in the whole.
        unsafe { base.add(offset) }
    }

    unsafe fn is_true(&self, condition: Arg) -> bool {
        // SAFETY: binding has checked that there is a byte.
        unsafe { self.pointer(condition).read() != 0 }
    }

    /// Ends an iteration.
    unsafe fn carry(&mut self, carries: &[Carry]) {
        for carry in carries {
            match *carry {
                Carry::Exchange { current, next, .. } => {
                    self.base.swap(current as usize, next as usize);
                }
                Carry::Copy {
                    current,
                    next,
                    bytes,
                } => {
                    // SAFETY: both have this size.
                    unsafe { self.pointer(current).copy_from(self.pointer(next), bytes) };
                }
            }
        }
    }

    /// Ends a loop whose number of iterations was odd, or even.
    unsafe fn settle(&mut self, carries: &[Carry], odd: bool) {
        for carry in carries.iter().filter(|_| odd) {
            if let Carry::Exchange {
                current,
                next,
                go_home: true,
                bytes,
            } = *carry
            {
                let (current, next) = (current as usize, next as usize);
                // SAFETY: both have this size, and they are different memory.
                unsafe { self.base[next].copy_from_nonoverlapping(self.base[current], bytes) };
                self.base.swap(current, next);
            }
        }
    }

    unsafe fn kernel_task(&self, kernel: u32, args: &[Arg]) -> KernelTask<'_> {
        // SAFETY: the caller's promise.
        let mut buffers: Buffers = args.iter().map(|a| unsafe { self.pointer(*a) }).collect();
        buffers.push(self.scratch);
        KernelTask {
            kernel: &self.binding.kernels[kernel as usize],
            buffers,
            scratch_bytes: self.binding.scratch_bytes,
            status: &self.status,
        }
    }

    unsafe fn contract(&self, c: &BoundContract) {
        // SAFETY: binding allows these element types only.
        unsafe {
            match c.factors {
                [Element::F32, _] => self.contract_of::<f32>(c),
                [Element::F64, _] => self.contract_of::<f64>(c),
                [Element::I32, _] => self.contract_of::<i32>(c),
                #[cfg(feature = "narrow")]
                [Element::BF16, _] => self.contract_of::<Bf16>(c),
                #[cfg(feature = "narrow")]
                [Element::I8, Element::I8] => self.contract_of::<Byte<true, true>>(c),
                #[cfg(feature = "narrow")]
                [Element::I8, _] => self.contract_of::<Byte<true, false>>(c),
                #[cfg(feature = "narrow")]
                [Element::U8, Element::I8] => self.contract_of::<Byte<false, true>>(c),
                #[cfg(feature = "narrow")]
                [Element::U8, _] => self.contract_of::<Byte<false, false>>(c),
                _ => self.contract_of::<i64>(c),
            }
        }
    }

    unsafe fn contract_of<T: Number>(&self, c: &BoundContract) {
        // SAFETY: the caller's promise. The offset is not used where there is nothing to read, so
        // the pointer is only computed.
        let task = unsafe {
            let lhs = self.pointer(c.lhs).cast::<T>();
            let rhs = self.pointer(c.rhs).cast::<T>().cast_const();
            TileTask {
                contraction: Contraction {
                    dims: c.dims,
                    lhs: lhs.wrapping_offset(c.offset),
                    lhs_strides: c.lhs_strides,
                    rhs: match c.rhs_layout {
                        BoundRight::Panels(batch) => Right::Panels(rhs, batch),
                        BoundRight::Placed(offset, placed) => {
                            Right::Placed(rhs.wrapping_offset(offset), placed)
                        }
                    },
                    product: self.pointer(c.product).cast::<T::Sum>(),
                },
                tiling: c.tiling,
                level: self.program.level,
                epilogue: c
                    .epilogue
                    .as_ref()
                    .map(|(k, args)| self.kernel_task(*k, args)),
            }
        };
        let tiles = c.tiling.tiles();
        if is_inline(c.tiling.nanoseconds()) {
            (0..tiles).for_each(|tile| task.run_tile(tile, 0));
        } else {
            self.pool.for_each(tiles, &|tile, p| task.run_tile(tile, p));
        }
    }

    unsafe fn sort(&self, s: &BoundSort) {
        // SAFETY: the caller's promise.
        let pointers = |(from, to, element): &(Arg, Arg, Element)| unsafe {
            (self.pointer(*from), self.pointer(*to), *element)
        };
        let columns = s.columns.iter().map(pointers).collect();
        let scratch = (self.scratch, self.binding.scratch_bytes);
        // SAFETY: the caller's promise.
        unsafe { sort_columns(s, columns, scratch, self.pool) };
    }

    unsafe fn copy(&self, from: Arg, to: Arg, partition: &Partition) {
        // SAFETY: the caller's promise.
        let task = unsafe { CopyTask(self.pointer(from), self.pointer(to)) };
        let bytes = partition.extent();
        if overlap(&[(task.0, bytes)], &[(task.1, bytes)]) {
            // SAFETY: binding has checked that both buffers have so many bytes.
            return unsafe { std::ptr::copy(task.0, task.1, bytes) };
        }
        let boxes = partition.boxes();
        self.pool
            .for_each(boxes, &|b, _| task.run_box(partition.bounds(b)));
    }

    unsafe fn custom(&self, c: &BoundCustom) -> Flow {
        // SAFETY: the caller's promise.
        let range = |a: &CustomArg| unsafe { (self.pointer(a.arg), a.bytes) };
        let inputs: Ranges = c.inputs.iter().map(range).collect();
        let outputs: Ranges = c.outputs.iter().map(range).collect();
        if overlap(&inputs, &outputs) {
            let problem = "a foreign function's results overlap its operands or each other";
            let error = RunError::Inconsistent(problem.into());
            return ControlFlow::Break(Some(error));
        }
        // SAFETY: binding has checked that the buffers have these bytes, all memory is initialised, and
        // results are disjoint from everything else; nothing else runs.
        let result = unsafe {
            let view = |&(at, n): &(*mut u8, usize)| std::slice::from_raw_parts(at.cast_const(), n);
            let view_mut = |&(at, n): &(*mut u8, usize)| std::slice::from_raw_parts_mut(at, n);
            let inputs: SmallVec<[&[u8]; 8]> = inputs.iter().map(view).collect();
            let outputs: SmallVec<[&mut [u8]; 4]> = outputs.iter().map(view_mut).collect();
            call_foreign((self.program, self.pool), c, &inputs, outputs)
        };
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(message) => {
                let fault = &self.program.image.faults[c.fault as usize];
                ControlFlow::Break(Some(RunError::Custom {
                    what: fault.what.clone(),
                    location: fault.location.clone(),
                    message,
                }))
            }
        }
    }
}

/// Calls a foreign function.
pub(crate) fn call_foreign(
    (program, pool): (&Program, &Pool),
    c: &BoundCustom,
    inputs: &[&[u8]],
    mut outputs: SmallVec<[&mut [u8]; 4]>,
) -> Result<(), String> {
    match &program.foreign[c.function as usize] {
        Foreign::Host(function) => {
            let dims: SmallVec<[&[usize]; 8]> = c.inputs.iter().map(|a| &a.dims[..]).collect();
            let result = guarded(|| function(inputs, &dims, &mut outputs));
            for (bytes, arg) in outputs.iter_mut().zip(&c.outputs) {
                if arg.element == Element::Bool {
                    bytes.iter_mut().for_each(|b| *b = u8::from(*b != 0));
                }
            }
            result
        }
        Foreign::Library(function) => {
            let operands: SmallVec<[Operand<'_>; 8]> = std::iter::zip(&c.inputs, inputs)
                .map(|(arg, bytes)| Operand {
                    element: arg.element,
                    dims: &arg.dims,
                    bytes,
                })
                .collect();
            let mut results: SmallVec<[ResultMut<'_>; 4]> = std::iter::zip(&c.outputs, outputs)
                .map(|(arg, bytes)| ResultMut {
                    element: arg.element,
                    dims: &arg.dims,
                    bytes,
                })
                .collect();
            guarded(|| function.call(&operands, &mut results, pool))
        }
    }
}

/// The fault recorded in a status as an error.
pub(crate) fn fault_error(faults: &[Fault], status: &Status) -> RunError {
    let (number, value, bound) = status.fault().unwrap_or_default();
    let known = usize::try_from(number).ok();
    let known = known.and_then(|n| faults.get(n));
    let (what, location) = match known {
        Some(fault) => (fault.what.clone(), fault.location.clone()),
        None => (format!("unknown fault {number}"), String::new()),
    };
    RunError::Fault {
        what,
        location,
        value,
        bound,
    }
}

type Buffers = SmallVec<[*mut u8; 16]>;
type Ranges = SmallVec<[(*mut u8, usize); 8]>;

/// Whether an output shares a byte with an input or another output.
fn overlap(inputs: &[(*mut u8, usize)], outputs: &[(*mut u8, usize)]) -> bool {
    let meet = |a: &(*mut u8, usize), b: &(*mut u8, usize)| {
        let (a, b) = ((a.0.addr(), a.1), (b.0.addr(), b.1));
        a.0 < b.0 + b.1 && b.0 < a.0 + a.1
    };
    outputs.iter().enumerate().any(|(i, output)| {
        let others = inputs.iter().chain(&outputs[..i]);
        others.into_iter().any(|other| meet(output, other))
    })
}

/// A kernel's call, box by box.
struct KernelTask<'a> {
    kernel: &'a BoundKernel,
    /// Arguments, then the scratch of participant 0.
    buffers: Buffers,
    scratch_bytes: usize,
    status: &'a Status,
}

// SAFETY: boxes of a kernel may run at the same time, by the contract of `KernelFn`.
unsafe impl Sync for KernelTask<'_> {}

impl KernelTask<'_> {
    fn run(&self, pool: &Pool) {
        let partition = &self.kernel.partition;
        match partition.boxes() {
            1 => self.call(&partition.bounds(0), 0),
            boxes => pool.for_each(boxes, &|b, p| self.call(&partition.bounds(b), p)),
        }
    }

    fn call(&self, bounds: &Bounds, participant: usize) {
        let kernel = self.kernel;
        let (sizes, status) = (kernel.sizes.as_ptr(), std::ptr::from_ref(self.status));
        if participant == 0 || kernel.scratch == 0 {
            // SAFETY: the task was made from buffers as the kernel wants them, the box lies in its
            // ranges, and whoever made the program vouched for the code.
            return unsafe { (kernel.code)(self.buffers.as_ptr(), sizes, bounds.as_ptr(), status) };
        }
        let mut buffers = self.buffers.clone();
        if let Some(scratch) = buffers.last_mut() {
            // The run has scratch for every participant.
            *scratch = scratch.wrapping_add(participant * self.scratch_bytes);
        }
        // SAFETY: as above, with scratch of its own.
        unsafe { (kernel.code)(buffers.as_ptr(), sizes, bounds.as_ptr(), status) }
    }
}

/// A product's tiles.
struct TileTask<'a, T: Number> {
    contraction: Contraction<T>,
    tiling: Tiling,
    level: Level,
    epilogue: Option<KernelTask<'a>>,
}

// SAFETY: tiles are disjoint, and epilogues are kernels over disjoint boxes.
unsafe impl<T: Number> Sync for TileTask<'_, T> {}

impl<T: Number> TileTask<'_, T> {
    fn run_tile(&self, index: usize, participant: usize) {
        let tile = self.tiling.tile(index);
        // SAFETY: binding has held dims and strides against the buffers; the program's level is one
        // that the machine has; each tile is computed once.
        unsafe { compute_tile(&self.contraction, tile, self.level) };
        if let Some(epilogue) = &self.epilogue {
            let mut bounds: Bounds = Default::default();
            let edges = [(tile.batch, tile.batch + 1), tile.rows, tile.columns];
            for (bound, edge) in bounds.chunks_exact_mut(2).zip(edges) {
                bound.copy_from_slice(&[edge.0 as i64, edge.1 as i64]);
            }
            epilogue.call(&bounds, participant);
        }
    }
}

/// Where a sort's columns are read and written; the keys come first.
pub(crate) type Columns = SmallVec<[(*mut u8, *mut u8, Element); 4]>;

/// Sorts, with scratch for every participant and its size for one.
///
/// # Safety
/// The columns have as many elements as binding has checked, and the scratch is as binding wants it.
pub(crate) unsafe fn sort_columns(
    sort: &BoundSort,
    columns: Columns,
    (scratch, scratch_bytes): (*mut u8, usize),
    pool: &Pool,
) {
    let task = SortTask {
        columns,
        sort,
        scratch,
        scratch_bytes,
    };
    pool.for_each(sort.partition.boxes(), &|b, p| task.run_box(b, p));
}

/// A sort's lanes.
struct SortTask<'a> {
    columns: Columns,
    sort: &'a BoundSort,
    scratch: *mut u8,
    scratch_bytes: usize,
}

// SAFETY: boxes are disjoint lanes, and scratch is per participant.
unsafe impl Sync for SortTask<'_> {}

impl SortTask<'_> {
    fn run_box(&self, index: usize, participant: usize) {
        let BoundSort {
            axis,
            inner,
            descending,
            ..
        } = *self.sort;
        let scratch = self.scratch.wrapping_add(participant * self.scratch_bytes);
        // SAFETY: the run has aligned, initialised scratch of `axis` places per participant; any
        // bits are a place.
        let places = unsafe { std::slice::from_raw_parts_mut(scratch.cast::<sort::Place>(), axis) };
        let bounds = self.sort.partition.bounds(index);
        for lane in bounds[0] as usize..bounds[1] as usize {
            let first = lane / inner * axis * inner + lane % inner;
            let lane = |at: *mut u8, element: Element| Lane {
                element,
                first: at.wrapping_add(first * element.bytes()),
                stride: inner,
                len: axis,
            };
            // SAFETY: binding has checked that all columns have `outer * axis * inner` elements, aligned;
            // no other box has this lane.
            unsafe {
                let (keys, _, element) = self.columns[0];
                sort::order(lane(keys, element), descending, places);
                for &(from, to, element) in &self.columns {
                    sort::permute(lane(from, element), lane(to, element), places);
                }
            }
        }
    }
}

/// A copy's pieces.
struct CopyTask(*mut u8, *mut u8);

// SAFETY: pieces are disjoint, and the operands do not overlap.
unsafe impl Sync for CopyTask {}

impl CopyTask {
    fn run_box(&self, bounds: Bounds) {
        let (from, to) = (bounds[0] as usize, bounds[1] as usize);
        // SAFETY: binding has checked that both buffers have so many bytes; they do not overlap.
        unsafe {
            self.1
                .add(from)
                .copy_from_nonoverlapping(self.0.add(from), to - from)
        };
    }
}
