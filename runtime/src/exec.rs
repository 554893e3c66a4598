//! The processor as a machine that runs bound steps, over raw memory.
//!
//! All sizes were checked when the program was bound, so nothing here checks again. After every step the
//! status word is looked at: once a fault is recorded no further step runs, so steps behind
//! the last one that can fail write only results that stand.

use crate::bind::Binding;
use crate::bound::{
    Arg, BoundContract, BoundCustom, BoundKernel, BoundRight, BoundSort, BoundStep, CustomArg, Task,
};
use crate::custom::{Foreign, guarded};
use crate::foreign::{Operand, ResultMut};
use crate::kernels::Level;
use crate::kernels::contract::{Contraction, Right, Tiling, compute_tile};
use crate::kernels::micro::Number;
#[cfg(feature = "products")]
use crate::kernels::narrow::{Bf16, Byte};
use crate::kernels::sort::{self, Lane};
use crate::partition::{Bounds, Partition, is_inline};
use crate::walk::{self, Runner, Slots};
use crate::{Element, Fault, Pool, Program, RunError, Status};
use smallvec::SmallVec;
use std::time::Instant;

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
    pub slots: Slots<'a, *mut u8>,
    /// Scratch of participant 0; the others' follow at the binding's scratch size.
    pub scratch: *mut u8,
    pub status: Status,
    /// Kernels and products that have run.
    pub kernels_run: u64,
    pub hook: Option<Hook<'h>>,
}

impl Run<'_, '_> {
    /// Runs the program's steps.
    ///
    /// # Safety
    /// `slots` and `scratch` are memory as the binding wants it, and nobody else writes to it or reads
    /// what is written.
    pub(crate) unsafe fn run(&mut self) -> Result<(), RunError> {
        // Free of the borrow of `self`.
        let steps: &[BoundStep] = &self.binding.steps;
        // SAFETY: the caller's promise.
        unsafe { walk::run(self, steps) }
    }

    fn report(&mut self, task: &Task, position: u32, begin: Instant) {
        let nanoseconds = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let name = match task {
            Task::Kernel { kernel, .. } => &self.program.image.kernels[*kernel as usize].name,
            Task::Contract(_) => "contract",
            Task::Sort(_) => "sort",
            Task::Custom(_) => "custom",
            Task::Copy { .. } => "copy",
        };
        if let Some(hook) = &mut self.hook {
            hook(StepTime {
                position,
                name,
                nanoseconds,
            });
        }
    }

    /// # Safety (of this and all below)
    /// As for [`Run::run`].
    unsafe fn perform(&mut self, task: &Task) -> Result<(), RunError> {
        // SAFETY: the caller's promise.
        unsafe {
            match task {
                Task::Kernel { kernel, args } => {
                    self.kernels_run += 1;
                    let mut buffers = Buffers::new();
                    self.list(args, &mut buffers);
                    self.kernel_task(*kernel, &buffers).run(self.pool);
                }
                Task::Contract(contract) => {
                    self.kernels_run += 1;
                    self.contract(contract);
                }
                Task::Sort(sort) => self.sort(sort),
                Task::Custom(custom) => return self.custom(custom),
                Task::Copy {
                    from,
                    to,
                    partition,
                } => self.copy(*from, *to, partition),
            }
        }
        Ok(())
    }

    /// Where a buffer is now.
    #[inline]
    unsafe fn pointer(&self, arg: Arg) -> *mut u8 {
        let (base, offset) = self.slots.of(arg);
        // SAFETY: binding has checked that the slices of all iterations lie in the whole.
        unsafe { base.add(offset) }
    }

    /// Lists where arguments of a kernel are now, then the scratch.
    #[inline(always)]
    unsafe fn list(&self, args: &[Arg], buffers: &mut Buffers) {
        let each = self.slots.of_each(args);
        // SAFETY: binding has checked that the slices of all iterations lie in the whole.
        buffers.extend(each.map(|(base, offset)| unsafe { base.add(offset) }));
        buffers.push(self.scratch);
    }

    /// A kernel on its arguments and the scratch.
    #[inline]
    unsafe fn kernel_task<'t>(&'t self, kernel: u32, buffers: &'t [*mut u8]) -> KernelTask<'t> {
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
                #[cfg(feature = "products")]
                [left, right] if left != Element::F32 => self.contract_of_others(c, left, right),
                _ => self.contract_of::<f32>(c),
            }
        }
    }

    #[cfg(feature = "products")]
    unsafe fn contract_of_others(&self, c: &BoundContract, left: Element, right: Element) {
        // SAFETY: the caller's promise.
        unsafe {
            match (left, right) {
                (Element::F64, _) => self.contract_of::<f64>(c),
                (Element::I32, _) => self.contract_of::<i32>(c),
                (Element::BF16, _) => self.contract_of::<Bf16>(c),
                (Element::I8, Element::I8) => self.contract_of::<Byte<true, true>>(c),
                (Element::I8, _) => self.contract_of::<Byte<true, false>>(c),
                (Element::U8, Element::I8) => self.contract_of::<Byte<false, true>>(c),
                (Element::U8, _) => self.contract_of::<Byte<false, false>>(c),
                _ => self.contract_of::<i64>(c),
            }
        }
    }

    unsafe fn contract_of<T: Number>(&self, c: &BoundContract) {
        let epilogue = c.epilogue.as_ref().map(|(kernel, args)| {
            let mut buffers = Buffers::new();
            // SAFETY: the caller's promise.
            unsafe { self.list(args, &mut buffers) };
            (*kernel, buffers)
        });
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
                epilogue: { epilogue.as_ref() }
                    .map(|(kernel, buffers)| self.kernel_task(*kernel, buffers)),
            }
        };
        let tiles = c.tiling.tiles();
        if is_inline(c.tiling.nanoseconds()) {
            (0..tiles).for_each(|tile| task.run_tile(tile, 0));
        } else {
            self.pool
                .for_each_in_turn(tiles, &|tile, p| task.run_tile(tile, p));
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

    unsafe fn custom(&self, c: &BoundCustom) -> Result<(), RunError> {
        // SAFETY: the caller's promise.
        let range = |a: &CustomArg| unsafe { (self.pointer(a.arg), a.bytes) };
        let inputs: Ranges = c.inputs.iter().map(range).collect();
        let outputs: Ranges = c.outputs.iter().map(range).collect();
        if overlap(&inputs, &outputs) {
            let problem = "a foreign function's results overlap its operands or each other";
            return Err(RunError::Inconsistent(problem.into()));
        }
        // SAFETY: binding has checked that the buffers have these bytes, all memory is initialised, and
        // results are disjoint from everything else; nothing else runs.
        unsafe {
            let view = |&(at, n): &(*mut u8, usize)| std::slice::from_raw_parts(at.cast_const(), n);
            let view_mut = |&(at, n): &(*mut u8, usize)| std::slice::from_raw_parts_mut(at, n);
            let inputs: SmallVec<[&[u8]; 8]> = inputs.iter().map(view).collect();
            let outputs: SmallVec<[&mut [u8]; 4]> = outputs.iter().map(view_mut).collect();
            call_foreign((self.program, self.pool), c, &inputs, outputs)
        }
    }
}

impl<'a> Runner<'a> for Run<'a, '_> {
    type Memory = *mut u8;
    type Stop = RunError;

    fn slots(&mut self) -> &mut Slots<'a, *mut u8> {
        &mut self.slots
    }

    #[inline]
    unsafe fn task(&mut self, task: &Task, position: u32) -> Result<(), RunError> {
        let begin = self.hook.is_some().then(Instant::now);
        // SAFETY: the caller's promise.
        unsafe { self.perform(task)? };
        if let Some(begin) = begin {
            self.report(task, position, begin);
        }
        match self.status.fault() {
            Some(_) => Err(fault_error(&self.program.image.faults, &self.status)),
            None => Ok(()),
        }
    }

    unsafe fn is_true(&mut self, condition: Arg) -> Result<bool, RunError> {
        // SAFETY: binding has checked that there is a byte.
        Ok(unsafe { self.pointer(condition).read() != 0 })
    }

    unsafe fn set_number(&mut self, at: Arg, number: i64) -> Result<(), RunError> {
        // SAFETY: binding has checked that there are eight bytes.
        unsafe { self.pointer(at).cast::<i64>().write_unaligned(number) };
        Ok(())
    }

    unsafe fn carry(
        &mut self,
        from: (*mut u8, usize),
        to: (*mut u8, usize),
        bytes: usize,
    ) -> Result<(), RunError> {
        // SAFETY: binding has checked that both have so many bytes behind these offsets.
        unsafe { to.0.add(to.1).copy_from(from.0.add(from.1), bytes) };
        Ok(())
    }
}

/// Calls a foreign function.
pub(crate) fn call_foreign(
    (program, pool): (&Program, &Pool),
    c: &BoundCustom,
    inputs: &[&[u8]],
    mut outputs: SmallVec<[&mut [u8]; 4]>,
) -> Result<(), RunError> {
    let result = match &program.foreign[c.function as usize] {
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
    };
    result.map_err(|message| {
        let fault = &program.image.faults[c.fault as usize];
        RunError::Custom {
            what: fault.what.clone(),
            location: fault.location.clone(),
            message,
        }
    })
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
    buffers: &'a [*mut u8],
    scratch_bytes: usize,
    status: &'a Status,
}

// SAFETY: boxes of a kernel may run at the same time, by the contract of `KernelFn`.
unsafe impl Sync for KernelTask<'_> {}

impl KernelTask<'_> {
    fn run(&self, pool: &Pool) {
        let partition = &self.kernel.partition;
        match partition.boxes() {
            0 => {}
            boxes if boxes > 1 && pool.threads() > 1 => {
                pool.for_each(boxes, &|b, p| self.call(&partition.bounds(b), p));
            }
            // Where boxes begin changes no result, so one thread needs no cut.
            _ => self.call(partition.whole(), 0),
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
        let mut buffers = Buffers::from_slice(self.buffers);
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
