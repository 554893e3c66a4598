//! The plan under construction, shared by a graph and the graphs inside of it.

use super::ScheduleError;
use super::ScheduleOptions;
use super::faults::Faults;
use super::loops;
use super::ranges::with_few_ranges;
use super::report::Notes;
use lazulite_ir::{
    BufferId, DType, Dim, Graph, Kernel, KernelCall, Place, Plan, PlanBuffer, Step, Symbol,
};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

/// A plan under construction.
pub(super) struct Context<'a> {
    pub options: &'a ScheduleOptions,
    pub faults: Faults,
    /// What is decided, if somebody asked.
    pub notes: Option<Notes>,
    plan: Plan,
    bound: FxHashSet<Symbol>,
    kernels: FxHashMap<u64, SmallVec<[u32; 1]>>,
    loops: u32,
}

impl<'a> Context<'a> {
    /// A plan with the parameters of `graph`, and their buffers.
    pub fn new(graph: &Graph, options: &'a ScheduleOptions) -> Result<Self, ScheduleError> {
        let mut plan = Plan {
            guards: graph.guards().to_vec(),
            ..Plan::default()
        };
        let mut bound = FxHashSet::default();
        for (number, &input) in graph.inputs().iter().enumerate() {
            let ty = graph.tensor_type(input);
            for dim in &ty.dims {
                dim.visit_symbols(&mut |s| {
                    if bound.insert(s.clone()) {
                        plan.symbols.push(s.clone());
                    }
                });
            }
            plan.buffers.push(PlanBuffer {
                dtype: ty.dtype,
                len: Dim::product(&ty.dims)?,
                place: Place::Input(number as u32),
                live: (0, 0),
            });
            plan.inputs.push(ty.clone());
        }
        Ok(Context {
            options,
            faults: Faults::default(),
            notes: None,
            plan,
            bound,
            kernels: FxHashMap::default(),
            loops: 0,
        })
    }

    /// A new buffer.
    pub fn buffer(&mut self, dtype: DType, len: Dim, place: Place) -> BufferId {
        self.plan.buffers.push(PlanBuffer {
            dtype,
            len,
            place,
            live: (0, 0),
        });
        BufferId(self.plan.buffers.len() as u32 - 1)
    }

    /// A new buffer in the arena for a tensor.
    pub fn scratch(&mut self, dtype: DType, dims: &[Dim]) -> Result<BufferId, ScheduleError> {
        Ok(self.buffer(dtype, Dim::product(dims)?, Place::Arena))
    }

    /// A new name for a loop.
    pub fn loop_id(&mut self) -> u32 {
        self.loops += 1;
        self.loops - 1
    }

    /// A step that runs `kernel`.
    pub fn kernel_step(
        &mut self,
        mut kernel: Kernel,
        args: Vec<BufferId>,
    ) -> Result<Step, ScheduleError> {
        loops::collapse(&mut kernel)?;
        loops::choose_lanes(&mut kernel, &self.options.sizes);
        Ok(Step::Kernel(self.call(kernel, args)?))
    }

    /// A call of `kernel`; equal kernels are one.
    pub fn call(
        &mut self,
        kernel: Kernel,
        args: Vec<BufferId>,
    ) -> Result<KernelCall, ScheduleError> {
        let kernel = with_few_ranges(kernel)?;
        let mut hasher = FxHasher::default();
        kernel.hash(&mut hasher);
        let candidates = self.kernels.entry(hasher.finish()).or_default();
        let kernels = &mut self.plan.kernels;
        let found = candidates
            .iter()
            .copied()
            .find(|&k| kernels[k as usize] == kernel);
        let number = found.unwrap_or_else(|| {
            let number = kernels.len() as u32;
            candidates.push(number);
            kernels.push(kernel);
            number
        });
        Ok(KernelCall {
            kernel: number,
            args,
        })
    }

    /// Takes the symbols that occur in a graph, but in no parameter's type, into the plan: whoever runs
    /// it binds them like all others.
    pub fn bind_symbols(&mut self, graph: &Graph) {
        let Context { plan, bound, .. } = self;
        let mut bind = |dim: &Dim| {
            dim.visit_symbols(&mut |s| {
                if bound.insert(s.clone()) {
                    plan.symbols.push(s.clone());
                }
            });
        };
        for node in graph.nodes() {
            node.op.visit_dims(&mut bind);
        }
    }

    /// The finished plan.
    pub fn finish(mut self, steps: Vec<Step>, outputs: Vec<BufferId>, graph: &Graph) -> Plan {
        self.plan.outputs = outputs.into_iter().zip(graph.output_types()).collect();
        self.plan.steps = steps;
        self.plan.faults = self.faults.finish();
        self.plan
    }
}
