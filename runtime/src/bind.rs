//! Binding: a program for given sizes. Every size is evaluated, checked against the buffers it reaches
//! into, and the arena is arranged; what comes out can be run any number of times.
//!
//! Bindings are cached in the program, so that a size vector is bound once. The first one stays for
//! good and is found without a lock: a program without symbols never has another.

use crate::arena::{Request, arrange};
use crate::bind_steps::StepBinder;
use crate::bound::{Arg, BoundKernel, BoundStep};
use crate::memory::ALIGN;
use crate::partition::Partition;
use crate::{Place, Program, RunError, Signature, Size};
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Bindings kept per program, besides the first.
const KEPT: usize = 16;

/// A program for given sizes.
pub(crate) struct Binding {
    sizes: Box<[i64]>,
    /// Bytes of each input.
    pub inputs: Box<[usize]>,
    pub outputs: Box<[BoundOutput]>,
    /// Where each root's memory comes from, by slot.
    pub homes: Box<[Home]>,
    /// Inputs that an output may take over: parameter and slot, of equal size.
    pub donations: Box<[(u32, u32)]>,
    pub arena_bytes: usize,
    /// The same as a multiple of the alignment.
    pub arena_room: usize,
    /// Bytes of all outputs together.
    pub output_bytes: usize,
    /// Scratch of one participant, a multiple of the alignment.
    pub scratch_bytes: usize,
    pub kernels: Box<[BoundKernel]>,
    pub steps: Box<[BoundStep]>,
    /// Loop slot and bytes per iteration of every slice, as [`Arg`] names them.
    pub slices: Box<[(u32, usize)]>,
    /// Number of loops.
    pub loops: usize,
}

impl Binding {
    /// Whether it was made for `sizes`. Number by number: comparing empty slices as memory costs a
    /// hundred nanoseconds where the library reads, masked, at their dangling addresses.
    fn is_for(&self, sizes: &[i64]) -> bool {
        self.sizes.iter().eq(sizes)
    }
}

/// A result.
pub(crate) struct BoundOutput {
    pub slot: u32,
    pub bytes: usize,
    /// Whether no later result lies in the same slot.
    pub last: bool,
}

/// Where memory comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Home {
    /// Parameter number n.
    Input(u32),
    /// A new buffer.
    Output {
        /// Counts them in the order of slots.
        number: u32,
        bytes: usize,
    },
    /// At this offset of the arena.
    Arena(usize),
}

/// The bindings of a program.
#[derive(Default)]
pub(crate) struct Bindings {
    first: OnceLock<Arc<Binding>>,
    others: RwLock<Vec<Arc<Binding>>>,
}

/// A binding found or made.
pub(crate) enum Bound<'a> {
    First(&'a Binding),
    Other(Arc<Binding>),
}

impl Deref for Bound<'_> {
    type Target = Binding;

    fn deref(&self) -> &Binding {
        match self {
            Bound::First(binding) => binding,
            Bound::Other(binding) => binding,
        }
    }
}

impl Program {
    /// The binding for `sizes`.
    #[inline]
    pub(crate) fn binding(&self, sizes: &[i64]) -> Result<Bound<'_>, RunError> {
        match self.bindings.first.get() {
            Some(first) if first.is_for(sizes) => Ok(Bound::First(first)),
            Some(_) | None => Ok(Bound::Other(self.other_binding(sizes)?)),
        }
    }

    /// As [`Program::binding`], where the first one is none or not for these sizes.
    #[inline(never)]
    fn other_binding(&self, sizes: &[i64]) -> Result<Arc<Binding>, RunError> {
        let others = &self.bindings.others;
        let found = {
            let others = others.read().unwrap_or_else(PoisonError::into_inner);
            others.iter().find(|b| b.is_for(sizes)).cloned()
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let made = Arc::new(bind(self, sizes)?);
        if self.bindings.first.set(made.clone()).is_err() {
            let mut others = others.write().unwrap_or_else(PoisonError::into_inner);
            if others.len() == KEPT {
                others.remove(0);
            }
            others.push(made.clone());
        }
        Ok(made)
    }
}

/// Evaluates a size of `of`.
pub(crate) fn eval(size: &Size, sizes: &[i64], of: impl Fn() -> String) -> Result<i64, RunError> {
    let value = size.eval(sizes);
    value.map_err(|error| RunError::Size { of: of(), error })
}

/// Evaluates a size that counts something.
pub(crate) fn eval_count(
    size: &Size,
    sizes: &[i64],
    of: impl Fn() -> String,
) -> Result<usize, RunError> {
    let value = eval(size, sizes, &of)?;
    usize::try_from(value).map_err(|_| inconsistent(format!("{} is {value}", of())))
}

/// Dims of a signature and its bytes.
pub(crate) fn eval_signature(
    signature: &Signature,
    sizes: &[i64],
    of: impl Fn() -> String,
) -> Result<(SmallVec<[usize; 6]>, usize), RunError> {
    let mut dims = SmallVec::new();
    for dim in &signature.dims {
        dims.push(eval_count(dim, sizes, &of)?);
    }
    let element = signature.element.bytes();
    let bytes = match dims.contains(&0) {
        true => Some(0),
        false => dims.iter().try_fold(element, |n, d| n.checked_mul(*d)),
    };
    let fitting = bytes.filter(|b| *b <= isize::MAX as usize);
    let too_large = || inconsistent(format!("{} of dims {dims:?} is too large", of()));
    let bytes = fitting.ok_or_else(too_large)?;
    Ok((dims, bytes))
}

pub(crate) fn inconsistent(problem: impl Into<String>) -> RunError {
    RunError::Inconsistent(problem.into())
}

fn bind(program: &Program, sizes: &[i64]) -> Result<Binding, RunError> {
    let image = &program.image;
    check_symbols(program, sizes)?;
    let bytes = buffer_bytes(program, sizes)?;
    let inputs: Vec<usize> = signature_bytes(&image.inputs, sizes, "input")?;
    let (homes, arena_bytes) = homes(program, &bytes, &inputs)?;
    let outputs = outputs(program, sizes, &bytes)?;
    let kernels = kernels(program, sizes)?;
    let (args, slices) = args(program, sizes)?;
    let mut binder = StepBinder::new(program, sizes, &bytes, &args, &homes);
    let steps = binder.steps(&image.steps)?;
    check_slices(program, &bytes, &args, &slices, &binder.trips)?;
    let kernel_scratch = kernels.iter().map(|k| k.scratch).max().unwrap_or(0);
    let scratch_bytes = kernel_scratch.max(binder.scratch);
    let scratch_bytes = scratch_bytes
        .checked_next_multiple_of(ALIGN)
        .ok_or_else(|| inconsistent("scratch is too large"))?;
    let arena_room = arena_bytes
        .checked_next_multiple_of(ALIGN)
        .ok_or_else(|| inconsistent("arena is too large"))?;
    let fits = |&(input, slot): &(u32, u32)| match homes[slot as usize] {
        Home::Output { bytes, .. } => bytes == inputs[input as usize],
        Home::Input(_) | Home::Arena(_) => false,
    };
    let donations = program.linked.donations.iter().copied().filter(fits);
    let output_bytes = homes.iter().map(|h| match h {
        Home::Output { bytes, .. } => *bytes,
        Home::Input(_) | Home::Arena(_) => 0,
    });
    Ok(Binding {
        sizes: sizes.into(),
        donations: donations.collect(),
        // Saturation is far beyond what can be allocated.
        output_bytes: output_bytes.fold(0, usize::saturating_add),
        inputs: inputs.into(),
        outputs: outputs.into(),
        homes: homes.clone().into(),
        arena_bytes,
        arena_room,
        scratch_bytes,
        kernels: kernels.into(),
        steps,
        loops: binder.trips.len(),
        slices: slices.into(),
    })
}

/// Counts and signs of the symbols, then the guards.
fn check_symbols(program: &Program, sizes: &[i64]) -> Result<(), RunError> {
    let image = &program.image;
    let (expected, found) = (image.symbols.len(), sizes.len());
    if expected != found {
        return Err(RunError::SizeCount { expected, found });
    }
    for (symbol, &value) in image.symbols.iter().zip(sizes) {
        if value < 0 {
            let symbol = symbol.clone();
            return Err(RunError::NegativeSize { symbol, value });
        }
    }
    for guard in &image.guards {
        let of = || guard.message.clone();
        let lhs = eval(&guard.lhs, sizes, of)?;
        let rhs = eval(&guard.rhs, sizes, of)?;
        let holds = if guard.equal { lhs == rhs } else { lhs <= rhs };
        if !holds {
            let message = guard.message.clone();
            return Err(RunError::Guard { message, lhs, rhs });
        }
    }
    Ok(())
}

/// Bytes of every buffer; one in the memory of another fits into it. (Slices are checked when trip
/// counts are known.)
fn buffer_bytes(program: &Program, sizes: &[i64]) -> Result<Vec<usize>, RunError> {
    let buffers = &program.image.buffers;
    let mut bytes = Vec::with_capacity(buffers.len());
    for (i, buffer) in buffers.iter().enumerate() {
        bytes.push(eval_count(&buffer.bytes, sizes, || {
            format!("bytes of buffer {i}")
        })?);
    }
    for (i, buffer) in buffers.iter().enumerate() {
        if let Place::Alias(of) = buffer.place
            && bytes[i] > bytes[of as usize]
        {
            let (inner, outer) = (bytes[i], bytes[of as usize]);
            return Err(inconsistent(format!(
                "buffer {i} of {inner} bytes in buffer {of} of {outer}"
            )));
        }
    }
    Ok(bytes)
}

fn signature_bytes(all: &[Signature], sizes: &[i64], what: &str) -> Result<Vec<usize>, RunError> {
    let bytes = |(i, signature)| Ok(eval_signature(signature, sizes, || format!("{what} {i}"))?.1);
    all.iter().enumerate().map(bytes).collect()
}

/// Where the roots' memory comes from, and the size of the arena.
fn homes(
    program: &Program,
    bytes: &[usize],
    inputs: &[usize],
) -> Result<(Vec<Home>, usize), RunError> {
    let linked = &program.linked;
    let mut homes = Vec::with_capacity(linked.roots.len());
    let mut made = 0;
    let mut requests = Vec::new();
    for (&root, &live) in linked.roots.iter().zip(&linked.live) {
        let bytes = bytes[root as usize];
        homes.push(match program.image.buffers[root as usize].place {
            Place::Input(input) => {
                let given = inputs[input as usize];
                if bytes > given {
                    return Err(inconsistent(format!(
                        "buffer {root} of {bytes} bytes in input {input} of {given}"
                    )));
                }
                Home::Input(input)
            }
            Place::Output => {
                made += 1;
                let number = made - 1;
                Home::Output { number, bytes }
            }
            Place::Arena => {
                requests.push(Request { bytes, live });
                Home::Arena(requests.len() - 1)
            }
            Place::Alias(_) | Place::LoopSlice { .. } => {
                return Err(inconsistent(format!("buffer {root} owns no memory")));
            }
        });
    }
    let arrangement = arrange(&requests).ok_or_else(|| inconsistent("arena is too large"))?;
    for home in &mut homes {
        if let Home::Arena(request) = home {
            *home = Home::Arena(arrangement.offsets[*request]);
        }
    }
    Ok((homes, arrangement.total))
}

fn outputs(
    program: &Program,
    sizes: &[i64],
    bytes: &[usize],
) -> Result<Vec<BoundOutput>, RunError> {
    let mut outputs: Vec<BoundOutput> = Vec::new();
    for (i, (buffer, signature)) in program.image.outputs.iter().enumerate() {
        let (_, wanted) = eval_signature(signature, sizes, || format!("output {i}"))?;
        let held = bytes[*buffer as usize];
        if wanted > held {
            return Err(inconsistent(format!(
                "output {i} of {wanted} bytes in buffer {buffer} of {held}"
            )));
        }
        outputs.push(BoundOutput {
            slot: program.linked.located[*buffer as usize].slot,
            bytes: wanted,
            last: true,
        });
    }
    let mut later = FxHashSet::default();
    for output in outputs.iter_mut().rev() {
        output.last = later.insert(output.slot);
    }
    Ok(outputs)
}

fn kernels(program: &Program, sizes: &[i64]) -> Result<Vec<BoundKernel>, RunError> {
    let kernel = |(spec, code): (&crate::KernelSpec, &crate::KernelFn)| {
        let of = || format!("kernel {}", spec.name);
        let mut outer: SmallVec<[i64; 4]> = SmallVec::new();
        for size in &spec.outer {
            // Checked to be a count, used as a number.
            outer.push(eval_count(size, sizes, of)? as i64);
        }
        // The sizes of what never runs need not make sense.
        let idle = outer.contains(&0);
        let value = |s: &crate::Size| if idle { Ok(0) } else { eval(s, sizes, of) };
        let values: Result<_, RunError> = spec.sizes.iter().map(value).collect();
        let cost = value(&spec.cost)?.max(0);
        Ok(BoundKernel {
            code: *code,
            sizes: values?,
            partition: Partition::new(&outer, cost, spec.lane_multiple),
            scratch: if idle {
                0
            } else {
                eval_count(&spec.scratch, sizes, of)?
            },
        })
    };
    let both = program.image.kernels.iter().zip(&program.code);
    both.map(kernel).collect()
}

/// Loop slot and bytes per iteration of slices.
type Slices = Vec<(u32, usize)>;

/// One [`Arg`] per buffer, and the slices that they name.
fn args(program: &Program, sizes: &[i64]) -> Result<(Vec<Arg>, Slices), RunError> {
    let linked = &program.linked;
    let mut slices = Slices::new();
    let mut args = Vec::with_capacity(linked.located.len());
    for located in &linked.located {
        args.push(Arg {
            slot: located.slot,
            first: slices.len() as u32,
            count: located.slices.len() as u32,
        });
        for &slice in &located.slices {
            let Place::LoopSlice {
                stride, loop_id, ..
            } = &program.image.buffers[slice as usize].place
            else {
                return Err(inconsistent(format!("buffer {slice} is no slice")));
            };
            let stride = eval_count(stride, sizes, || format!("stride of buffer {slice}"))?;
            let slot = linked.loops.get(loop_id).copied();
            let slot = slot.ok_or_else(|| inconsistent(format!("no loop {loop_id}")))?;
            slices.push((slot, stride));
        }
    }
    Ok((args, slices))
}

/// The last iteration's slice lies in the whole, as then do all.
fn check_slices(
    program: &Program,
    bytes: &[usize],
    args: &[Arg],
    slices: &[(u32, usize)],
    trips: &[usize],
) -> Result<(), RunError> {
    for (i, buffer) in program.image.buffers.iter().enumerate() {
        let Place::LoopSlice { of, .. } = buffer.place else {
            continue;
        };
        // The slice itself stands behind those that it lies in.
        let own = (args[i].first + args[i].count - 1) as usize;
        let (slot, stride) = slices[own];
        let Some(before_last) = trips[slot as usize].checked_sub(1) else {
            continue;
        };
        let end = before_last.checked_mul(stride);
        let end = end.and_then(|begin| begin.checked_add(bytes[i]));
        if end.is_none_or(|end| end > bytes[of as usize]) {
            let (inner, outer, trip) = (bytes[i], bytes[of as usize], before_last + 1);
            return Err(inconsistent(format!(
                "{trip} slices {i} of {inner} bytes, {stride} apart, in buffer {of} of {outer}"
            )));
        }
    }
    Ok(())
}
