//! From tasks to steps.

use super::ScheduleError;
use super::assemble::{Assembler, Memory};
use super::context::Context;
use super::contract::{Contraction, Lhs, Pack, Rhs};
use super::group::Group;
use super::lower::{Read, Stored};
use super::member::Member;
use super::places::Places;
use super::policy::{Policy, Residence, storage_of, stored_type};
use super::prepare;
use super::report;
use super::scatter::Scattering;
use super::tasks::{self, Task};
use lazulite_ir::{
    Access, BufferId, ContractStep, DType, Dim, Graph, IndexExpr, InstOp, KernelCall, Lanes,
    NodeId, Place, Ranges, RightLayout, Step, Var, linearize,
};
use rustc_hash::FxHashMap;

/// How deep regions may be nested.
const MAX_DEPTH: usize = 64;

/// Where a graph's results go.
#[derive(Clone, Copy)]
pub(super) enum Results<'a> {
    /// Into memory of the caller, made for the purpose; results that are parameters stay where they
    /// are.
    Outputs,
    /// Into these buffers.
    Into(&'a [BufferId]),
}

/// The steps of a graph.
pub(super) struct Scheduled {
    /// In order.
    pub steps: Vec<Step>,
    /// Steps that come before, and once even if the graph is run repeatedly.
    pub hoisted: Vec<Step>,
    /// The buffers of its results.
    pub outputs: Vec<BufferId>,
}

/// A graph and where its parameters are.
#[derive(Clone, Copy)]
pub(super) struct Instance<'a> {
    pub graph: &'a Graph,
    pub inputs: &'a [BufferId],
    /// The inputs that are the same in every turn of a loop around the graph; empty without one.
    pub invariant: &'a [BufferId],
    /// How many graphs are around.
    pub depth: usize,
}

/// Makes the steps of a graph.
pub(super) fn schedule_graph(
    cx: &mut Context<'_>,
    instance: Instance<'_>,
    results: Results<'_>,
) -> Result<Scheduled, ScheduleError> {
    let Instance {
        graph,
        inputs,
        invariant,
        depth,
    } = instance;
    if depth > MAX_DEPTH {
        return Err(ScheduleError::TooDeep { limit: MAX_DEPTH });
    }
    cx.bind_symbols(graph);
    let prepared = prepare::prepare(graph, cx.options)?;
    let graph = prepared.as_ref().unwrap_or(graph);
    let policy = Policy::decide(graph, cx.options)?;
    let arranged = tasks::arrange(graph, &policy, &mut cx.faults, cx.options)?;
    let tasks = arranged.tasks;
    let places = Places::decide(graph, &policy, &tasks, cx.options);
    let noted = cx.notes.as_mut().map(|notes| notes.begin(graph, depth));
    if let Some(at) = noted {
        report::describe(cx, at, &policy, &tasks, &arranged.placements, &places);
    }
    let mut emitter = Emitter {
        graph,
        buffers: FxHashMap::default(),
        places,
        steps: Vec::new(),
        hoisted: Vec::new(),
        packed: FxHashMap::default(),
        invariant,
        depth,
        cx,
    };
    for (&node, &buffer) in graph.inputs().iter().zip(inputs) {
        emitter.buffers.insert(Stored::of(node), buffer);
    }
    let copies = emitter.assign_results(results)?;
    emitter.assign_others(&policy)?;
    for (number, task) in tasks.iter().enumerate() {
        let before = (emitter.steps.len(), emitter.hoisted.len());
        emitter.task(task)?;
        if let (Some(at), Some(notes)) = (noted, &mut emitter.cx.notes) {
            // What a region has hoisted from its body into these steps is the body's.
            notes.steps(at, number, &emitter.steps[before.0..]);
            notes.steps(at, number, &emitter.hoisted[before.1..]);
        }
    }
    for (from, to) in copies {
        emitter.copy(from, to)?;
    }
    let outputs = graph.outputs().iter();
    let outputs = outputs.map(|&o| emitter.buffer_of(storage_of(graph, o)));
    Ok(Scheduled {
        outputs: outputs.collect::<Result<_, _>>()?,
        steps: emitter.steps,
        hoisted: emitter.hoisted,
    })
}

/// The tensors of a graph, as kernels see them.
struct Tensors<'a> {
    graph: &'a Graph,
    buffers: &'a FxHashMap<Stored, BufferId>,
    repeated: &'a FxHashMap<Stored, &'a Member>,
}

impl Memory for Tensors<'_> {
    fn buffer(&self, tensor: Stored) -> Result<BufferId, ScheduleError> {
        find_buffer(self.graph, self.buffers, tensor)
    }

    fn shape(&self, tensor: Stored) -> (DType, &[Dim]) {
        stored_type(self.graph, tensor)
    }

    fn repeated(&self, tensor: Stored) -> Option<&Member> {
        self.repeated.get(&tensor).copied()
    }
}

fn find_buffer(
    graph: &Graph,
    buffers: &FxHashMap<Stored, BufferId>,
    tensor: Stored,
) -> Result<BufferId, ScheduleError> {
    // Every tensor that a task reads has been given a buffer.
    let found = buffers.get(&tensor).copied();
    found.ok_or_else(|| ScheduleError::Unsupported {
        what: format!("no memory for {}", graph.node(tensor.node).op.mnemonic()),
        source: graph.source(tensor.node).cloned(),
    })
}

/// Turns the tasks of one graph into steps.
pub(super) struct Emitter<'a, 'cx> {
    pub cx: &'a mut Context<'cx>,
    pub graph: &'a Graph,
    buffers: FxHashMap<Stored, BufferId>,
    places: Places<'a>,
    pub steps: Vec<Step>,
    hoisted: Vec<Step>,
    /// Operands that have been packed.
    packed: FxHashMap<Pack, BufferId>,
    invariant: &'a [BufferId],
    pub depth: usize,
}

impl Emitter<'_, '_> {
    fn tensors(&self) -> Tensors<'_> {
        Tensors {
            graph: self.graph,
            buffers: &self.buffers,
            repeated: &self.places.repeated,
        }
    }

    /// Gives results their buffers; what remains to be copied at the end is returned.
    fn assign_results(
        &mut self,
        results: Results<'_>,
    ) -> Result<Vec<(Stored, BufferId)>, ScheduleError> {
        let mut copies = Vec::new();
        for (i, &output) in self.graph.outputs().iter().enumerate() {
            let tensor = storage_of(self.graph, output);
            let is_known = self.buffers.contains_key(&tensor);
            match results {
                Results::Outputs if is_known => {}
                Results::Outputs => {
                    let (dtype, dims) = stored_type(self.graph, tensor);
                    let buffer = self.cx.buffer(dtype, Dim::product(dims)?, Place::Output);
                    self.buffers.insert(tensor, buffer);
                }
                Results::Into(buffers) if is_known => copies.push((tensor, buffers[i])),
                Results::Into(buffers) => {
                    self.buffers.insert(tensor, buffers[i]);
                }
            }
        }
        Ok(copies)
    }

    /// Gives all other tensors that have to be in memory a place in the arena.
    fn assign_others(&mut self, policy: &Policy) -> Result<(), ScheduleError> {
        for &id in policy.live() {
            if policy.residence(id) == Residence::Inline {
                continue;
            }
            let results = match &self.graph.node(id).ty {
                lazulite_ir::Type::Tensor(_) => 1,
                lazulite_ir::Type::Tuple(types) => types.len() as u32,
            };
            for result in 0..results {
                let tensor = Stored { node: id, result };
                let needed = results > 1 || self.places.in_memory.contains(&tensor);
                if needed && !self.buffers.contains_key(&tensor) {
                    let (dtype, dims) = stored_type(self.graph, tensor);
                    let buffer = self.cx.scratch(dtype, dims)?;
                    self.buffers.insert(tensor, buffer);
                }
            }
        }
        Ok(())
    }

    /// The buffer of a tensor.
    pub fn buffer_of(&self, tensor: Stored) -> Result<BufferId, ScheduleError> {
        find_buffer(self.graph, &self.buffers, tensor)
    }

    /// The buffer that holds a node's elements.
    pub fn operand(&self, node: NodeId) -> Result<BufferId, ScheduleError> {
        self.buffer_of(storage_of(self.graph, node))
    }

    /// The buffers of a node's results.
    pub fn results(&self, node: NodeId) -> Result<Vec<BufferId>, ScheduleError> {
        let count = match &self.graph.node(node).ty {
            lazulite_ir::Type::Tensor(_) => 1,
            lazulite_ir::Type::Tuple(types) => types.len() as u32,
        };
        (0..count)
            .map(|result| self.buffer_of(Stored { node, result }))
            .collect()
    }

    /// Copies a whole tensor.
    pub fn copy(&mut self, from: Stored, to: BufferId) -> Result<(), ScheduleError> {
        let len = Dim::product(stored_type(self.graph, from).1)?;
        let from = self.buffer_of(from)?;
        if !len.is(0) {
            self.steps.push(Step::Copy { from, to, len });
        }
        Ok(())
    }

    fn task(&mut self, task: &Task) -> Result<(), ScheduleError> {
        match task {
            Task::Kernel(group) => self.kernel(group),
            Task::Product(contraction) => self.product(contraction),
            Task::Scatter(scattering) => self.scatter(scattering),
            Task::Step(node) => self.step(*node),
        }
    }

    fn kernel(&mut self, group: &Group) -> Result<(), ScheduleError> {
        let memory = self.tensors();
        let outer = group.outer.clone();
        let keep_cost = self.cx.options.machine.keep_cost;
        let mut assembler = Assembler::new(outer, &group.members, &memory, keep_cost);
        assembler.add_members(&|tensor| {
            let needed = self.places.in_memory.contains(&tensor);
            needed.then(|| self.buffers.get(&tensor).copied()).flatten()
        })?;
        if assembler.draft.is_idle() {
            return Ok(());
        }
        let (kernel, args) = assembler.draft.finish()?;
        let step = self.cx.kernel_step(kernel, args)?;
        self.steps.push(step);
        Ok(())
    }

    /// The buffer of a packed operand, which is packed unless it has been. What is the same in every
    /// turn of a loop is packed before it.
    fn packed(&mut self, pack: &Pack, dtype: DType) -> Result<BufferId, ScheduleError> {
        if let Some(&known) = self.packed.get(pack) {
            return Ok(known);
        }
        let buffer = self.cx.buffer(dtype, pack.len.clone(), Place::Arena);
        self.packed.insert(pack.clone(), buffer);
        let step = self.pack(pack, dtype, buffer)?;
        let is_invariant = |read: &Read| {
            let buffer = self.buffers.get(&read.from);
            buffer.is_some_and(|b| self.invariant.contains(b))
        };
        if pack.fragment.reads().all(is_invariant)
            && !self.invariant.is_empty()
            && !pack.fragment.may_fault()
        {
            self.hoisted.push(step);
        } else {
            self.steps.push(step);
        }
        Ok(buffer)
    }

    /// A kernel that computes one operand into a layout of its own.
    fn pack(&mut self, pack: &Pack, dtype: DType, buffer: BufferId) -> Result<Step, ScheduleError> {
        let memory = self.tensors();
        let mut assembler = Assembler::new(pack.space.clone(), &[], &memory, u32::MAX);
        let stage = assembler.draft.stage(0, &[], false);
        let at = outer_vars(pack.space.len());
        let values = assembler.splice(&pack.fragment, stage, &at, None)?;
        let index = assembler.moved(stage, &pack.index, &at, &|v| v)?;
        let buffer = assembler.draft.buffer(buffer, dtype, Access::Write);
        assembler.draft.act(
            stage,
            InstOp::Store {
                buffer,
                index,
                value: values[pack.fragment.root.0 as usize],
                combine: None,
                guard: None,
            },
        );
        let (kernel, args) = assembler.draft.finish()?;
        self.cx.kernel_step(kernel, args)
    }

    fn product(&mut self, c: &Contraction) -> Result<(), ScheduleError> {
        let [b, m, n, k] = &c.dims;
        let (lhs, lhs_strides) = match &c.lhs {
            Lhs::Direct(tensor, strides) => (self.buffer_of(*tensor)?, strides.clone()),
            Lhs::Packed(pack) => {
                let buffer = self.packed(pack, c.factors[0])?;
                let strides = [Dim::ZERO, m.mul(k)?, k.clone(), Dim::ONE];
                (buffer, strides)
            }
        };
        let (rhs, copy_of) = match &c.rhs {
            Rhs::Direct(tensor) => (self.buffer_of(*tensor)?, None),
            Rhs::Packed(pack, None) => (self.packed(pack, c.factors[1])?, None),
            Rhs::Packed(pack, Some((tensor, placement))) => {
                let place = (self.buffer_of(*tensor)?, placement.clone());
                (self.packed(pack, c.factors[1])?, Some(Box::new(place)))
            }
        };
        let own = Stored::of(c.node);
        let is_own_type = stored_type(self.graph, own).0 == c.sums;
        let product = if is_own_type && self.places.in_memory.contains(&own) {
            self.buffer_of(own)?
        } else {
            self.cx.scratch(c.sums, &c.dims[..3])?
        };
        let skip = is_own_type.then_some(own);
        let epilogue = self.epilogue(&c.epilogue, c.sums, product, skip)?;
        self.steps.push(Step::Contract(ContractStep {
            dtype: c.sums,
            factors: c.factors,
            dims: [b.clone(), m.clone(), n.clone(), k.clone()],
            lhs,
            lhs_strides,
            rhs,
            rhs_layout: RightLayout::Panels {
                batch: c.rhs_batch.clone(),
                group: c.rhs_group,
                copy_of,
            },
            product,
            epilogue,
        }));
        Ok(())
    }

    /// The kernel over a product's tiles; `skip` is not written because the product's sums are it.
    fn epilogue(
        &mut self,
        group: &Group,
        element: DType,
        product: BufferId,
        skip: Option<Stored>,
    ) -> Result<Option<KernelCall>, ScheduleError> {
        let memory = self.tensors();
        let outer = group.outer.clone();
        let mut assembler = Assembler::new(outer, &group.members, &memory, u32::MAX);
        let ranges = Ranges {
            outer: &group.outer,
            inner: &[],
        };
        let index = linearize(&outer_vars(3), &group.outer, ranges)?;
        assembler.set_product(product, element, index);
        assembler.add_members(&|tensor| {
            let needed = self.places.in_memory.contains(&tensor) && skip != Some(tensor);
            needed.then(|| self.buffers.get(&tensor).copied()).flatten()
        })?;
        if assembler.draft.is_idle() {
            return Ok(None);
        }
        let (mut kernel, args) = assembler.draft.finish()?;
        kernel.lanes = Lanes::Outer;
        Ok(Some(self.cx.call(kernel, args)?))
    }

    fn scatter(&mut self, s: &Scattering) -> Result<(), ScheduleError> {
        let own = Stored::of(s.node);
        let (dtype, dims) = stored_type(self.graph, own);
        let target = self.buffer_of(own)?;
        if !dims.iter().any(|d| d.is(0)) {
            match s.copy.copied(self.graph)? {
                Some(from) => self.copy(from, target)?,
                None => {
                    let step = self.pack(&s.copy, dtype, target)?;
                    self.steps.push(step);
                }
            }
        }
        let memory = self.tensors();
        let (outer, places) = s.space.split_at(s.parallel);
        let mut assembler = Assembler::new(outer.to_vec(), &[], &memory, u32::MAX);
        let stage = assembler.draft.stage(0, places, !places.is_empty());
        let inner = (0..places.len() as u32).map(|i| IndexExpr::var(Var::Inner(i)));
        let at: Vec<IndexExpr> = outer_vars(outer.len()).into_iter().chain(inner).collect();
        let values = assembler.splice(&s.update, stage, &at, None)?;
        let name = |v: lazulite_ir::ValueId| values[v.0 as usize];
        let index = assembler.moved(stage, &s.index, &at, &name)?;
        let buffer = assembler.draft.buffer(target, dtype, Access::ReadWrite);
        assembler.draft.act(
            stage,
            InstOp::Store {
                buffer,
                index,
                value: name(s.update.root),
                combine: s.combine,
                guard: s.guard.map(name),
            },
        );
        let (mut kernel, args) = assembler.draft.finish()?;
        kernel.lanes = if outer.is_empty() {
            Lanes::None
        } else {
            Lanes::Outer
        };
        let call = self.cx.call(kernel, args)?;
        self.steps.push(Step::Kernel(call));
        Ok(())
    }
}

fn outer_vars(count: usize) -> Vec<IndexExpr> {
    (0..count as u32)
        .map(|o| IndexExpr::var(Var::Outer(o)))
        .collect()
}
