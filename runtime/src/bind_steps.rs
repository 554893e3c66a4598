//! Binding of steps: their sizes evaluated and held against the buffers that they reach into.

use crate::bind::{Home, eval, eval_count, eval_signature, inconsistent};
use crate::bound::{
    Arg, BoundContract, BoundCustom, BoundLoop, BoundRight, BoundSort, BoundStep, BoundStepKind,
    BoundWhile, Carry, CustomArg, Task,
};
use crate::kernels::contract::{Placed, Tiling};
use crate::kernels::pack::Digits;
use crate::kernels::sort::Place as SortPlace;
use crate::partition::Partition;
use crate::{
    Contract, CustomTarget, Element, KernelCall, PANEL, Place, Placement, Program, RightLayout,
    RunError, Signature, Size, Step,
};
use smallvec::SmallVec;

/// Cost of copying a byte and of a comparison while sorting, in nanoseconds times 1024.
const COPY_COST: i64 = 50;
const COMPARE_COST: f64 = 4.0 * 1024.0;
/// Copies are cut at multiples of this many bytes.
const COPY_LANES: u32 = 4096;

/// Binds the steps of a program.
pub(crate) struct StepBinder<'a> {
    program: &'a Program,
    sizes: &'a [i64],
    bytes: &'a [usize],
    args: &'a [Arg],
    homes: &'a [Home],
    /// Trip counts by loop slot, known for the steps bound so far.
    pub trips: Vec<usize>,
    /// Largest scratch of a step that is not a kernel.
    pub scratch: usize,
    position: u32,
}

impl<'a> StepBinder<'a> {
    pub(crate) fn new(
        program: &'a Program,
        sizes: &'a [i64],
        bytes: &'a [usize],
        args: &'a [Arg],
        homes: &'a [Home],
    ) -> Self {
        StepBinder {
            program,
            sizes,
            bytes,
            args,
            homes,
            trips: vec![0; program.linked.loops.len()],
            scratch: 0,
            position: 0,
        }
    }

    /// Binds a list. Recursion ends: linking has bounded the nesting.
    pub(crate) fn steps(&mut self, steps: &[Step]) -> Result<Box<[BoundStep]>, RunError> {
        let step = |step| {
            let position = self.position;
            self.position += 1;
            let kind = self.step(step)?;
            Ok(BoundStep { position, kind })
        };
        steps.iter().map(step).collect()
    }

    fn step(&mut self, step: &Step) -> Result<BoundStepKind, RunError> {
        Ok(match step {
            Step::Kernel(call) => {
                let (kernel, args) = self.call(call);
                BoundStepKind::Task(Task::Kernel { kernel, args })
            }
            Step::Contract(contract) => {
                let contract = self.contract(contract)?;
                BoundStepKind::Task(Task::Contract(Box::new(contract)))
            }
            Step::Sort {
                columns,
                dims,
                descending,
            } => BoundStepKind::Task(Task::Sort(self.sort(columns, dims, *descending)?)),
            Step::Custom {
                target,
                inputs,
                outputs,
                fault,
            } => BoundStepKind::Task(Task::Custom(BoundCustom {
                function: self.function(target)?,
                inputs: self.custom_args(inputs)?,
                outputs: self.custom_args(outputs)?,
                fault: *fault,
            })),
            Step::Copy { from, to, bytes } => BoundStepKind::Task(self.copy(*from, *to, bytes)?),
            Step::If {
                condition,
                then,
                other,
            } => {
                self.holds(*condition, 1, 1)?;
                BoundStepKind::If {
                    condition: self.arg(*condition),
                    then: self.steps(then)?,
                    other: self.steps(other)?,
                }
            }
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => {
                let slot = self.begin_loop(*loop_id, trip, *iteration)?;
                BoundStepKind::Loop(BoundLoop {
                    slot,
                    trip: self.trips[slot as usize],
                    iteration: self.arg(*iteration),
                    carries: self.carries(carries)?,
                    body: self.steps(body)?,
                })
            }
            Step::While {
                test,
                condition,
                carries,
                body,
            } => {
                self.holds(*condition, 1, 1)?;
                BoundStepKind::While(BoundWhile {
                    carries: self.carries(carries)?,
                    test: self.steps(test)?,
                    condition: self.arg(*condition),
                    body: self.steps(body)?,
                })
            }
        })
    }

    /// Notes a loop's trip count; gives its slot.
    fn begin_loop(&mut self, id: u32, trip: &Size, iteration: u32) -> Result<u32, RunError> {
        let slot = self.program.linked.loops.get(&id).copied();
        let slot = slot.ok_or_else(|| inconsistent(format!("no loop {id}")))?;
        self.trips[slot as usize] = self.count(trip)?;
        self.holds(iteration, size_of::<i64>(), 1)?;
        Ok(slot)
    }

    fn copy(&self, from: u32, to: u32, bytes: &Size) -> Result<Task, RunError> {
        let bytes = self.count(bytes)?;
        self.holds(from, bytes, 1)?;
        self.holds(to, bytes, 1)?;
        Ok(Task::Copy {
            from: self.arg(from),
            to: self.arg(to),
            partition: Partition::new(&[bytes as i64], COPY_COST, COPY_LANES),
        })
    }

    /// What sizes of the current step are called in errors.
    fn name(&self) -> String {
        // `steps` has counted it already.
        format!("step {}", self.position - 1)
    }

    fn count(&self, size: &Size) -> Result<usize, RunError> {
        eval_count(size, self.sizes, || self.name())
    }

    fn counts<const N: usize>(&self, sizes: &[Size; N]) -> Result<[usize; N], RunError> {
        let mut counts = [0; N];
        for (count, size) in counts.iter_mut().zip(sizes) {
            *count = self.count(size)?;
        }
        Ok(counts)
    }

    fn arg(&self, buffer: u32) -> Arg {
        self.args[buffer as usize]
    }

    fn call(&self, call: &KernelCall) -> (u32, Box<[Arg]>) {
        let args = call.args.iter().map(|b| self.arg(*b));
        (call.kernel, args.collect())
    }

    /// Checks that a buffer has `bytes` bytes at multiples of `align` bytes.
    fn holds(&self, buffer: u32, bytes: usize, align: usize) -> Result<(), RunError> {
        let held = self.bytes[buffer as usize];
        if bytes > held {
            let name = self.name();
            return Err(inconsistent(format!(
                "{name} takes {bytes} bytes of buffer {buffer} of {held}"
            )));
        }
        for &slice in &self.program.linked.located[buffer as usize].slices {
            let Place::LoopSlice { stride, .. } = &self.program.image.buffers[slice as usize].place
            else {
                continue;
            };
            let stride = self.count(stride)?;
            if stride % align != 0 {
                let name = self.name();
                return Err(inconsistent(format!(
                    "{name} takes elements of {align} bytes from slices {stride} bytes apart"
                )));
            }
        }
        Ok(())
    }

    /// `elements` elements are in a buffer.
    fn has_elements(&self, buffer: u32, elements: i128, element: Element) -> Result<(), RunError> {
        let size = element.bytes();
        // Saturation is more than any buffer holds.
        let bytes = usize::try_from(elements.saturating_mul(size as i128)).unwrap_or(usize::MAX);
        self.holds(buffer, bytes, size)
    }

    /// The values of an offset and strides.
    fn strides(&self, sizes: &[Size; 4]) -> Result<[i64; 4], RunError> {
        let mut strides = [0i64; 4];
        for (stride, size) in strides.iter_mut().zip(sizes) {
            *stride = eval(size, self.sizes, || self.name())?;
        }
        Ok(strides)
    }

    /// A right operand of so many batch entries, columns and rows, all of whose elements are in its buffer.
    fn placed(
        &self,
        c: &Contract,
        placement: &Placement,
        [b, n, k]: [i128; 3],
    ) -> Result<BoundRight, RunError> {
        let number = |size: &Size| eval(size, self.sizes, || self.name());
        let (offset, batch) = (number(&placement.offset)?, number(&placement.batch)?);
        let mut spans = vec![(b, batch)];
        let mut digits = |sizes: &[[Size; 2]], expected: i128| -> Result<Digits, RunError> {
            let mut digits: SmallVec<[(usize, isize); 8]> = SmallVec::new();
            let mut numbers = 1i128;
            for [extent, stride] in sizes {
                let (extent, stride) = (self.count(extent)?, number(stride)?);
                numbers = numbers.saturating_mul(extent as i128);
                spans.push((extent as i128, stride));
                digits.push((extent, stride as isize));
            }
            let fits = Digits::new(&digits).filter(|_| numbers == expected);
            fits.ok_or_else(|| {
                let name = self.name();
                inconsistent(format!("{name} places a right operand of other extents"))
            })
        };
        let (rows, columns) = (digits(&placement.rows, k)?, digits(&placement.columns, n)?);
        let (low, high) = strided_range(offset, spans);
        self.spans(("right", c.rhs), (low, high), c.factors[1])?;
        let placed = Placed {
            batch: batch as isize,
            rows,
            columns,
        };
        Ok(BoundRight::Placed(offset as isize, placed))
    }

    /// A range of elements is in a buffer.
    fn spans(
        &self,
        (which, buffer): (&str, u32),
        (low, high): (i128, i128),
        element: Element,
    ) -> Result<(), RunError> {
        if low < 0 {
            let name = self.name();
            return Err(inconsistent(format!(
                "{name} reads before the {which} operand"
            )));
        }
        self.has_elements(buffer, high.saturating_add(1), element)
    }

    fn contract(&mut self, c: &Contract) -> Result<BoundContract, RunError> {
        let dims = self.counts(&c.dims)?;
        let strides = self.strides(&c.lhs_strides)?;
        let [b, m, n, k] = dims.map(|d| d as i128);
        let empty = dims[..3].contains(&0);
        if !empty {
            self.has_elements(c.product, b.saturating_mul(m).saturating_mul(n), c.element)?;
        }
        if !empty && k > 0 {
            let [offset, steps @ ..] = strides;
            let spans = [b, m, k].into_iter().zip(steps);
            self.spans(("left", c.lhs), strided_range(offset, spans), c.factors[0])?;
        }
        let rhs_layout = match &c.rhs_layout {
            RightLayout::Panels(batch) => {
                let batch = self.count(batch)?;
                let panels = (n + PANEL as i128 - 1) / PANEL as i128;
                let group = c.group() as i128;
                let long = (k + group - 1) / group * group;
                let last = panels.saturating_mul(PANEL as i128).saturating_mul(long);
                let batches = (b - 1).saturating_mul(batch as i128);
                if !empty && k > 0 {
                    self.has_elements(c.rhs, batches.saturating_add(last), c.factors[1])?;
                }
                BoundRight::Panels(batch)
            }
            RightLayout::Placed(_) if empty || k == 0 => BoundRight::Panels(0),
            RightLayout::Placed(placement) => self.placed(c, placement, [b, n, k])?,
        };
        let placed = match &rhs_layout {
            BoundRight::Panels(_) => None,
            BoundRight::Placed(_, placed) => Some(placed),
        };
        // One form for all empty products, whose other extents may be absurd.
        let tiling = Tiling::new(if empty { [0; 4] } else { dims }, placed);
        let [offset, lhs_strides @ ..] = strides.map(|s| s as isize);
        Ok(BoundContract {
            factors: c.factors,
            tiling,
            dims: if empty { [0; 4] } else { dims },
            lhs: self.arg(c.lhs),
            offset,
            lhs_strides,
            rhs: self.arg(c.rhs),
            rhs_layout,
            product: self.arg(c.product),
            epilogue: c.epilogue.as_ref().map(|call| self.call(call)),
        })
    }

    fn sort(
        &mut self,
        columns: &[(u32, u32, Element)],
        dims: &[Size; 3],
        descending: bool,
    ) -> Result<BoundSort, RunError> {
        let dims @ [outer, axis, inner] = self.counts(dims)?;
        let empty = dims.contains(&0);
        if !empty {
            let [o, a, i] = dims.map(|d| d as i128);
            let elements = o.saturating_mul(a).saturating_mul(i);
            for (from, to, element) in columns {
                self.has_elements(*from, elements, *element)?;
                self.has_elements(*to, elements, *element)?;
            }
            // No overflow: the keys have as many elements, and places are a few times as large.
            self.scratch = self
                .scratch
                .max(axis.saturating_mul(size_of::<SortPlace>()));
        }
        let comparisons = axis as f64 * (axis as f64).max(2.0).log2();
        let lanes = if empty { 0 } else { (outer * inner) as i64 };
        let bound =
            |(from, to, element): &(u32, u32, Element)| (self.arg(*from), self.arg(*to), *element);
        Ok(BoundSort {
            columns: columns.iter().map(bound).collect(),
            axis,
            inner,
            partition: Partition::new(&[lanes], (comparisons * COMPARE_COST) as i64, 1),
            descending,
        })
    }

    fn function(&self, target: &CustomTarget) -> Result<u32, RunError> {
        match target {
            CustomTarget::Host(n) => Ok(*n),
            CustomTarget::Library(name) => {
                let found = self.program.linked.library.get(name).copied();
                found.ok_or_else(|| inconsistent(format!("no library function {name:?}")))
            }
        }
    }

    fn custom_args(&self, args: &[(u32, Signature)]) -> Result<Box<[CustomArg]>, RunError> {
        let bind = |(buffer, signature): &(u32, Signature)| {
            let (dims, bytes) = eval_signature(signature, self.sizes, || self.name())?;
            self.holds(*buffer, bytes, 1)?;
            Ok(CustomArg {
                arg: self.arg(*buffer),
                element: signature.element,
                dims,
                bytes,
            })
        };
        args.iter().map(bind).collect()
    }

    fn carries(&self, carries: &[(u32, u32)]) -> Result<Box<[Carry]>, RunError> {
        let bind = |&(current, next): &(u32, u32)| {
            let bytes = self.bytes[current as usize];
            if self.bytes[next as usize] != bytes {
                return Err(inconsistent(format!(
                    "{} carries buffers {current} and {next} of different sizes",
                    self.name()
                )));
            }
            let args = [current, next].map(|b| self.arg(b));
            let owns = |arg: Arg| {
                let root = self.program.linked.roots[arg.slot as usize];
                arg.count == 0 && self.bytes[root as usize] == bytes
            };
            let [current, next] = args;
            if !args.into_iter().all(owns) {
                return Ok(Carry::Copy {
                    current,
                    next,
                    bytes,
                });
            }
            let in_arena = |arg: Arg| matches!(self.homes[arg.slot as usize], Home::Arena(_));
            Ok(Carry::Exchange {
                current: current.slot,
                next: next.slot,
                go_home: !args.into_iter().all(in_arena),
                bytes,
            })
        };
        carries.iter().map(bind).collect()
    }
}

/// Lowest and highest element index of a strided operand: offset, then one stride per extent (none of them
/// zero).
fn strided_range(start: i64, spans: impl IntoIterator<Item = (i128, i64)>) -> (i128, i128) {
    let start = i128::from(start);
    let ends = spans.into_iter();
    ends.fold((start, start), |(low, high), (extent, stride)| {
        let last = i128::from(stride).saturating_mul(extent - 1);
        (
            low.saturating_add(last.min(0)),
            high.saturating_add(last.max(0)),
        )
    })
}
