//! The checks of an image that need no sizes: numbers, places, expressions, steps.

use crate::custom::Foreign;
use crate::foreign::{Library, PartialType};
use crate::kernels::sort::has_order;
use crate::link::{Linked, link_library, locate, number};
use crate::program::MAX_RANK;
use crate::{
    Access, Contract, CustomTarget, Element, Image, KernelCall, LoadError, MAX_NESTING, PANEL,
    Place, Signature, Size, Step, VERSION,
};
use rustc_hash::FxHashMap;

/// Checks an image and finds out what linking needs. Library functions are added to `foreign`, which holds
/// the host functions.
pub(crate) fn check(image: &Image, foreign: &mut Vec<Foreign>) -> Result<Linked, LoadError> {
    if image.version != VERSION {
        return Err(LoadError::Version(image.version));
    }
    check_sizes(image)?;
    check_tables(image)?;
    let (located, roots) = locate(image)?;
    let mut walk = Walk {
        image,
        hosts: foreign.len(),
        foreign,
        first_write: vec![u32::MAX; roots.len()],
        last_failure: None,
        read_while_written: Vec::new(),
        exchange: (0..roots.len() as u32).collect(),
        linked: Linked {
            located,
            roots,
            live: Vec::new(),
            loops: FxHashMap::default(),
            library: FxHashMap::default(),
            donations: Vec::new(),
        },
        active: Vec::new(),
        uses: Vec::new(),
        position: 0,
        top: 0,
    };
    walk.steps(&image.steps, 0)?;
    walk.slices()?;
    walk.outputs()?;
    walk.lifetimes()?;
    walk.donations()?;
    Ok(walk.linked)
}

fn check_size(image: &Image, size: &Size, of: impl Fn() -> String) -> Result<(), LoadError> {
    let checked = size.check(image.symbols.len());
    checked.map_err(|error| LoadError::Size { of: of(), error })
}

fn check_signature(image: &Image, s: &Signature, of: impl Fn() -> String) -> Result<(), LoadError> {
    let mut dims = s.dims.iter();
    dims.try_for_each(|d| check_size(image, d, &of))
}

/// Sizes outside of steps.
fn check_sizes(image: &Image) -> Result<(), LoadError> {
    for (i, signature) in image.inputs.iter().enumerate() {
        check_signature(image, signature, || format!("input {i}"))?;
    }
    for (i, (_, signature)) in image.outputs.iter().enumerate() {
        check_signature(image, signature, || format!("output {i}"))?;
    }
    for (i, buffer) in image.buffers.iter().enumerate() {
        check_size(image, &buffer.bytes, || format!("bytes of buffer {i}"))?;
        if let Place::LoopSlice { stride, .. } = &buffer.place {
            check_size(image, stride, || format!("stride of buffer {i}"))?;
        }
    }
    for kernel in &image.kernels {
        let all = kernel.outer.iter().chain(&kernel.sizes);
        for size in all.chain([&kernel.cost, &kernel.scratch]) {
            check_size(image, size, || format!("kernel {}", kernel.name))?;
        }
    }
    for guard in &image.guards {
        for size in [&guard.lhs, &guard.rhs] {
            check_size(image, size, || format!("condition {:?}", guard.message))?;
        }
    }
    Ok(())
}

/// Entries of tables that stand for themselves.
fn check_tables(image: &Image) -> Result<(), LoadError> {
    for (i, buffer) in image.buffers.iter().enumerate() {
        if let Place::Input(input) = buffer.place
            && input as usize >= image.inputs.len()
        {
            return Err(number("input", input, image.inputs.len()));
        }
        if buffer.live.0 > buffer.live.1 {
            return Err(LoadError::Buffer {
                buffer: i as u32,
                problem: "dies before it is born",
            });
        }
    }
    for kernel in &image.kernels {
        let problem = match (kernel.lane_multiple, kernel.outer.len()) {
            (0, _) => "has boxes of no lanes",
            (_, rank) if rank > MAX_RANK => "has too many outer ranges",
            _ => continue,
        };
        let name = kernel.name.clone();
        return Err(LoadError::Kernel { name, problem });
    }
    Ok(())
}

/// A walk over all steps.
struct Walk<'a> {
    image: &'a Image,
    hosts: usize,
    foreign: &'a mut Vec<Foreign>,
    linked: Linked,
    /// Per slot the first top-level step that writes it.
    first_write: Vec<u32>,
    /// The last top-level step that can fail.
    last_failure: Option<u32>,
    /// Slots that a step reads while it writes the other one.
    read_while_written: Vec<(u32, u32)>,
    /// Slots whose memory is exchanged point to each other's representative.
    exchange: Vec<u32>,
    /// Ids of the loops around the current step.
    active: Vec<u32>,
    /// Slot and position of every use.
    uses: Vec<(u32, u32)>,
    position: u32,
    /// Number of the current top-level step.
    top: u32,
}

impl Walk<'_> {
    fn steps(&mut self, steps: &[Step], depth: u32) -> Result<(), LoadError> {
        if depth > MAX_NESTING {
            return Err(LoadError::Nesting);
        }
        for (i, step) in steps.iter().enumerate() {
            if depth == 0 {
                self.top = i as u32;
            }
            self.step(step, depth)?;
            self.position += 1;
        }
        Ok(())
    }

    /// Checks one step; afterwards `position` is that of the last step inside of it, or its own.
    fn step(&mut self, step: &Step, depth: u32) -> Result<(), LoadError> {
        match step {
            Step::Kernel(call) => self.kernel(call),
            Step::Contract(contract) => self.contract(contract),
            Step::Sort { columns, dims, .. } => self.sort(columns, dims),
            Step::Custom {
                target,
                inputs,
                outputs,
                fault,
            } => {
                if let Some(function) = self.custom(target, *fault)? {
                    self.library_types(function, inputs, outputs)?;
                }
                self.custom_buffers(inputs, outputs)
            }
            Step::Copy { from, to, bytes } => {
                self.size(bytes)?;
                self.used(*from, Access::Read)?;
                self.used(*to, Access::Write)
            }
            Step::If {
                condition,
                then,
                other,
            } => {
                self.used(*condition, Access::Read)?;
                self.nested(&[then, other], depth)
            }
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => {
                self.size(trip)?;
                self.used(*iteration, Access::Write)?;
                self.begin_loop(*loop_id)?;
                self.carries(carries)?;
                self.nested(&[body], depth)?;
                self.active.pop();
                self.carries(carries)
            }
            Step::While {
                test,
                condition,
                carries,
                body,
            } => {
                self.carries(carries)?;
                self.nested(&[test], depth)?;
                self.used(*condition, Access::Read)?;
                self.nested(&[body], depth)?;
                self.carries(carries)
            }
        }
    }

    /// From now on, slices of this loop may be used.
    fn begin_loop(&mut self, id: u32) -> Result<(), LoadError> {
        let slot = self.linked.loops.len() as u32;
        if self.linked.loops.insert(id, slot).is_some() {
            return self.fail(format!("has the loop id {id} of another loop"));
        }
        self.active.push(id);
        Ok(())
    }

    fn custom_buffers(
        &mut self,
        inputs: &[(u32, Signature)],
        outputs: &[(u32, Signature)],
    ) -> Result<(), LoadError> {
        for (buffer, signature) in inputs {
            self.typed(*buffer, signature, Access::Read)?;
        }
        for (buffer, signature) in outputs {
            self.typed(*buffer, signature, Access::Write)?;
        }
        let numbers = |list: &[(u32, Signature)]| -> Vec<u32> {
            list.iter().map(|(buffer, _)| *buffer).collect()
        };
        self.apart(&numbers(inputs), &numbers(outputs))
    }

    /// Lists of steps inside of the current one, one behind the other.
    fn nested(&mut self, lists: &[&Vec<Step>], depth: u32) -> Result<(), LoadError> {
        self.position += 1;
        for list in lists {
            self.steps(list, depth + 1)?;
        }
        self.position -= 1;
        Ok(())
    }

    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, LoadError> {
        Err(LoadError::Step {
            position: self.position,
            problem: problem.into(),
        })
    }

    fn size(&self, size: &Size) -> Result<(), LoadError> {
        check_size(self.image, size, || format!("step {}", self.position))
    }

    fn typed(&mut self, buffer: u32, s: &Signature, access: Access) -> Result<(), LoadError> {
        check_signature(self.image, s, || format!("step {}", self.position))?;
        self.used(buffer, access)
    }

    /// Notes the use of a buffer.
    fn used(&mut self, buffer: u32, access: Access) -> Result<(), LoadError> {
        let buffers = &self.image.buffers;
        let Some(located) = self.linked.located.get(buffer as usize) else {
            return Err(number("buffer", buffer, buffers.len()));
        };
        let slot = located.slot as usize;
        let outside = located
            .slices
            .iter()
            .any(|slice| match &buffers[*slice as usize].place {
                Place::LoopSlice { loop_id, .. } => !self.active.contains(loop_id),
                Place::Input(_) | Place::Output | Place::Arena | Place::Alias(_) => true,
            });
        if outside {
            return self.fail(format!("uses slice {buffer} outside of its loop"));
        }
        if access.writes() {
            let root = &buffers[self.linked.roots[slot] as usize];
            if let Place::Input(input) = root.place {
                return self.fail(format!(
                    "writes to buffer {buffer}, memory of input {input}"
                ));
            }
            self.first_write[slot] = self.first_write[slot].min(self.top);
        }
        self.uses.push((slot as u32, self.position));
        Ok(())
    }

    fn kernel(&mut self, call: &KernelCall) -> Result<(), LoadError> {
        let kernels = &self.image.kernels;
        let Some(spec) = kernels.get(call.kernel as usize) else {
            return Err(number("kernel", call.kernel, kernels.len()));
        };
        let (expected, found) = (spec.params.len(), call.args.len());
        if expected != found {
            let name = &spec.name;
            return self.fail(format!("calls {name} of {expected} buffers with {found}"));
        }
        if spec.can_fault {
            self.last_failure = Some(self.top);
        }
        for (buffer, access) in call.args.iter().zip(&spec.params) {
            self.used(*buffer, *access)?;
        }
        Ok(())
    }

    fn contract(&mut self, c: &Contract) -> Result<(), LoadError> {
        let sizes = c.dims.iter().chain(&c.lhs_strides);
        let sizes = sizes.chain(c.rhs_layout.sizes());
        for size in sizes {
            self.size(size)?;
        }
        let [left, right] = c.factors;
        let others = matches!(
            (c.element, left, right),
            (Element::F64, Element::F64, Element::F64)
                | (Element::I32, Element::I32, Element::I32)
                | (Element::I64, Element::I64, Element::I64)
                | (Element::F32, Element::BF16, Element::BF16)
                | (
                    Element::I32,
                    Element::I8 | Element::U8,
                    Element::I8 | Element::U8
                )
        );
        let is_f32 = [c.element, left, right] == [Element::F32; 3];
        let fits = is_f32 || others && cfg!(feature = "products");
        if !fits {
            let sum = c.element;
            return self.fail(format!(
                "multiplies matrices of {left:?} and {right:?} with sums of {sum:?}"
            ));
        }
        self.used(c.lhs, Access::Read)?;
        self.used(c.rhs, Access::Read)?;
        self.used(c.product, Access::Write)?;
        self.apart(&[c.lhs, c.rhs], &[c.product])?;
        let Some(call) = &c.epilogue else {
            return Ok(());
        };
        self.kernel(call)?;
        let spec = &self.image.kernels[call.kernel as usize];
        if spec.outer != c.dims[..3] || !(PANEL as u32).is_multiple_of(spec.lane_multiple) {
            let name = &spec.name;
            return self.fail(format!(
                "has the epilogue {name} over other ranges or lanes"
            ));
        }
        // It writes while other tiles are still to be computed.
        let args = call.args.iter().zip(&spec.params);
        let written = args.filter(|(_, access)| access.writes());
        let written: Vec<u32> = written.map(|(buffer, _)| *buffer).collect();
        self.apart(&[c.lhs, c.rhs], &written)
    }

    fn sort(&mut self, columns: &[(u32, u32, Element)], dims: &[Size; 3]) -> Result<(), LoadError> {
        dims.iter().try_for_each(|d| self.size(d))?;
        match columns.first() {
            Some((_, _, keys)) if has_order(*keys) => {}
            Some((_, _, keys)) => return self.fail(format!("sorts by keys of type {keys:?}")),
            None => return self.fail("sorts nothing"),
        }
        for (from, to, _) in columns {
            self.used(*from, Access::Read)?;
            self.used(*to, Access::Write)?;
        }
        let (from, to): (Vec<u32>, Vec<u32>) = columns.iter().map(|c| (c.0, c.1)).unzip();
        self.apart(&from, &to)
    }

    /// The step reads and writes in an order of its own, so no result may lie in an operand's memory.
    fn apart(&mut self, read: &[u32], written: &[u32]) -> Result<(), LoadError> {
        for w in written {
            let written = self.linked.located[*w as usize].slot;
            for r in read {
                let read = self.linked.located[*r as usize].slot;
                if read == written {
                    return self.fail(format!("writes buffer {w} in the memory of operand {r}"));
                }
                self.read_while_written.push((read, written));
            }
        }
        Ok(())
    }

    /// Checks the target; the function if it is one of the library.
    fn custom(&mut self, target: &CustomTarget, fault: u32) -> Result<Option<Library>, LoadError> {
        self.last_failure = Some(self.top);
        let faults = self.image.faults.len();
        if fault as usize >= faults {
            return Err(number("fault", fault, faults));
        }
        match target {
            CustomTarget::Host(n) if (*n as usize) < self.hosts => Ok(None),
            CustomTarget::Host(n) => Err(number("host function", *n, self.hosts)),
            CustomTarget::Library(name) => {
                link_library(name, &mut self.linked.library, self.foreign).map(Some)
            }
        }
    }

    /// Operands and results of a library function must be of its types, as far as sizes are constants.
    fn library_types(
        &self,
        function: Library,
        inputs: &[(u32, Signature)],
        outputs: &[(u32, Signature)],
    ) -> Result<(), LoadError> {
        let partial = |(_, signature): &(u32, Signature)| {
            let known = |d: &Size| d.as_constant().and_then(|d| usize::try_from(d).ok());
            (
                signature.element,
                signature.dims.iter().map(known).collect(),
            )
        };
        let [operands, results]: [Vec<PartialType>; 2] =
            [inputs, outputs].map(|list| list.iter().map(partial).collect());
        let checked = function.check(&operands, &results);
        checked.or_else(|problem| self.fail(format!("{function}: {problem}")))
    }

    /// Carried buffers are written; memory that may be exchanged is so in one way only.
    fn carries(&mut self, carries: &[(u32, u32)]) -> Result<(), LoadError> {
        let mut seen = Vec::with_capacity(2 * carries.len());
        for &(current, next) in carries {
            self.used(current, Access::ReadWrite)?;
            self.used(next, Access::ReadWrite)?;
            let [a, b] = [current, next].map(|b| &self.linked.located[b as usize]);
            if a.slices.is_empty() && b.slices.is_empty() {
                let (a, b) = (a.slot, b.slot);
                seen.extend([a, b]);
                let (a, b) = (self.representative(a), self.representative(b));
                self.exchange[a as usize] = b;
            }
        }
        seen.sort_unstable();
        match seen.windows(2).any(|w| w[0] == w[1]) {
            true => self.fail("carries the same memory twice"),
            false => Ok(()),
        }
    }

    fn representative(&mut self, mut slot: u32) -> u32 {
        while self.exchange[slot as usize] != slot {
            let next = self.exchange[slot as usize];
            self.exchange[slot as usize] = self.exchange[next as usize];
            slot = next;
        }
        slot
    }

    /// Slices belong to loops that exist.
    fn slices(&self) -> Result<(), LoadError> {
        for buffer in &self.image.buffers {
            if let Place::LoopSlice { loop_id, .. } = buffer.place
                && !self.linked.loops.contains_key(&loop_id)
            {
                return Err(number("loop", loop_id, self.linked.loops.len()));
            }
        }
        Ok(())
    }

    /// Results are memory of outputs or inputs.
    fn outputs(&self) -> Result<(), LoadError> {
        for (buffer, _) in &self.image.outputs {
            let Some(located) = self.linked.located.get(*buffer as usize) else {
                return Err(number("buffer", *buffer, self.image.buffers.len()));
            };
            let root = self.linked.roots[located.slot as usize];
            let place = &self.image.buffers[root as usize].place;
            if !located.slices.is_empty() || *place == Place::Arena {
                return Err(LoadError::Buffer {
                    buffer: *buffer,
                    problem: "is a result and does not own memory for one",
                });
            }
        }
        Ok(())
    }

    /// Joins lifetimes of shared and exchanged memory, and holds all uses of scratch against them.
    fn lifetimes(&mut self) -> Result<(), LoadError> {
        let slots = self.linked.roots.len();
        let mut joined = vec![(u32::MAX, 0); slots];
        let homes: Vec<u32> = self.linked.located.iter().map(|l| l.slot).collect();
        for (buffer, slot) in self.image.buffers.iter().zip(homes) {
            let group = self.representative(slot) as usize;
            joined[group].0 = buffer.live.0.min(joined[group].0);
            joined[group].1 = buffer.live.1.max(joined[group].1);
        }
        for slot in 0..slots as u32 {
            let group = self.representative(slot) as usize;
            self.linked.live.push(joined[group]);
        }
        for &(slot, position) in &self.uses {
            let (first, last) = self.linked.live[slot as usize];
            let root = self.linked.roots[slot as usize];
            let scratch = self.image.buffers[root as usize].place == Place::Arena;
            if scratch && !(first..=last).contains(&position) {
                return Err(LoadError::Step {
                    position,
                    problem: format!("uses buffer {root}, which lives from {first} to {last}"),
                });
            }
        }
        Ok(())
    }

    /// Keeps the donations that are safe when a run fails: nothing fails once the output is written.
    fn donations(&mut self) -> Result<(), LoadError> {
        for &(input, buffer) in &self.image.donations {
            if input as usize >= self.image.inputs.len() {
                return Err(number("input", input, self.image.inputs.len()));
            }
            let place = self.image.buffers.get(buffer as usize).map(|b| &b.place);
            let slot = self
                .linked
                .located
                .get(buffer as usize)
                .map_or(0, |l| l.slot);
            let problem = match place {
                None => return Err(number("buffer", buffer, self.image.buffers.len())),
                Some(Place::Output) if self.is_result(input) => {
                    "takes over an input that is a result itself"
                }
                Some(Place::Output) if self.is_read_while_written(input, slot) => {
                    "takes over an input while a step still reads it"
                }
                Some(Place::Output) => {
                    if self
                        .last_failure
                        .is_none_or(|f| f < self.first_write[slot as usize])
                    {
                        self.linked.donations.push((input, slot));
                    }
                    continue;
                }
                Some(_) => "takes over an input and is not an output",
            };
            return Err(LoadError::Buffer { buffer, problem });
        }
        Ok(())
    }

    /// Whether an input's memory is handed out as a result.
    fn is_result(&self, input: u32) -> bool {
        self.image.outputs.iter().any(|(buffer, _)| {
            let slot = self.linked.located[*buffer as usize].slot;
            let root = self.linked.roots[slot as usize];
            self.image.buffers[root as usize].place == Place::Input(input)
        })
    }

    /// Whether a step other than a kernel writes the slot while it reads the input.
    fn is_read_while_written(&self, input: u32, slot: u32) -> bool {
        self.read_while_written.iter().any(|&(read, written)| {
            let root = self.linked.roots[read as usize];
            written == slot && self.image.buffers[root as usize].place == Place::Input(input)
        })
    }
}
