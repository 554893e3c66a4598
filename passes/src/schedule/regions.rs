//! Operations that are steps of their own: sorts, foreign functions, and the regions, whose graphs
//! are scheduled into the same plan.

use super::ScheduleError;
use super::emit::{Emitter, Instance, Results, schedule_graph};
use super::policy::{storage_of, stored_type};
use lazulite_ir::{BufferId, DType, Dim, Graph, NodeId, Op, Place, Step, TensorType};

impl Emitter<'_, '_> {
    /// The step of an operation that has one.
    pub(super) fn step(&mut self, id: NodeId) -> Result<(), ScheduleError> {
        let graph = self.graph;
        let node = graph.node(id);
        let inputs = node.inputs.iter().map(|&i| self.operand(i));
        let inputs: Vec<BufferId> = inputs.collect::<Result<_, _>>()?;
        let outputs = self.results(id)?;
        let step = match &node.op {
            Op::Sort { axis, descending } => {
                let dims = &graph.tensor_type(node.inputs[0]).dims;
                let axis = *axis as usize;
                Step::Sort {
                    inputs,
                    outputs,
                    dims: [
                        Dim::product(&dims[..axis])?,
                        dims[axis].clone(),
                        Dim::product(&dims[axis + 1..])?,
                    ],
                    descending: *descending,
                }
            }
            Op::Custom { target, results } => {
                let what = format!("{} failed", target.name());
                let types = node.inputs.iter().map(|&i| graph.tensor_type(i).clone());
                Step::Custom {
                    target: target.clone(),
                    inputs: inputs.into_iter().zip(types).collect(),
                    outputs: outputs.into_iter().zip(results.iter().cloned()).collect(),
                    fault: self.cx.faults.number(graph, id, &what),
                }
            }
            Op::If { then, other } => Step::If {
                condition: inputs[0],
                then: self.region(then, &inputs[1..], &[], &outputs)?,
                other: self.region(other, &inputs[1..], &[], &outputs)?,
            },
            Op::While { cond, body, .. } => self.while_step(id, inputs, outputs, cond, body)?,
            Op::Loop {
                trip,
                carries,
                scanned,
                body,
            } => {
                let counts = [*carries as usize, *scanned as usize];
                match self.loop_step(id, inputs, outputs, counts, trip, body)? {
                    Some(step) => step,
                    None => return Ok(()),
                }
            }
            _ => {
                return Err(ScheduleError::Unsupported {
                    what: format!("{} is no step", node.op.mnemonic()),
                    source: graph.source(id).cloned(),
                });
            }
        };
        self.steps.push(step);
        Ok(())
    }

    /// The steps of a graph inside of this one. What can be done before all of its turns stands among
    /// this graph's steps.
    fn region(
        &mut self,
        graph: &Graph,
        inputs: &[BufferId],
        invariant: &[BufferId],
        results: &[BufferId],
    ) -> Result<Vec<Step>, ScheduleError> {
        let instance = Instance {
            graph,
            inputs,
            invariant,
            depth: self.depth + 1,
        };
        let scheduled = schedule_graph(self.cx, instance, Results::Into(results))?;
        self.steps.extend(scheduled.hoisted);
        Ok(scheduled.steps)
    }

    /// Starts carries from the operands; gives the buffers for the next values.
    fn start_carries(
        &mut self,
        id: NodeId,
        current: &[BufferId],
    ) -> Result<Vec<BufferId>, ScheduleError> {
        let graph = self.graph;
        let mut next = Vec::with_capacity(current.len());
        for (&operand, &to) in graph.node(id).inputs.iter().zip(current) {
            let tensor = storage_of(graph, operand);
            let (dtype, dims) = stored_type(graph, tensor);
            next.push(self.cx.scratch(dtype, dims)?);
            self.copy(tensor, to)?;
        }
        Ok(next)
    }

    fn while_step(
        &mut self,
        id: NodeId,
        inputs: Vec<BufferId>,
        outputs: Vec<BufferId>,
        cond: &Graph,
        body: &Graph,
    ) -> Result<Step, ScheduleError> {
        let next = self.start_carries(id, &outputs)?;
        let condition = self.cx.scratch(DType::Bool, &[])?;
        let constants = &inputs[outputs.len()..];
        let parameters = [&*outputs, constants].concat();
        let test = self.region(cond, &parameters, constants, &[condition])?;
        let body = self.region(body, &parameters, constants, &next)?;
        Ok(Step::While {
            test,
            condition,
            carries: outputs.into_iter().zip(next).collect(),
            body,
        })
    }

    /// A loop that certainly does not run is only the copies of its carries.
    fn loop_step(
        &mut self,
        id: NodeId,
        inputs: Vec<BufferId>,
        outputs: Vec<BufferId>,
        [carries, scanned]: [usize; 2],
        trip: &Dim,
        body: &Graph,
    ) -> Result<Option<Step>, ScheduleError> {
        let (current, stacks) = outputs.split_at(carries);
        let next = self.start_carries(id, current)?;
        if trip.is(0) {
            return Ok(None);
        }
        let loop_id = self.cx.loop_id();
        let iteration = self.cx.scratch(DType::I64, &[])?;
        let mut parameters = vec![iteration];
        parameters.extend(current);
        let slices = body.inputs().iter().skip(1 + carries).take(scanned);
        for (&of, &slice) in inputs[carries..].iter().zip(slices) {
            let ty = body.tensor_type(slice);
            parameters.push(self.slice(of, ty, loop_id)?);
        }
        let constants = &inputs[carries + scanned..];
        parameters.extend(constants);
        let mut results = next.clone();
        for (&of, &result) in stacks.iter().zip(&body.outputs()[carries..]) {
            results.push(self.slice(of, body.tensor_type(result), loop_id)?);
        }
        let body = self.region(body, &parameters, constants, &results)?;
        Ok(Some(Step::Loop {
            loop_id,
            trip: trip.clone(),
            iteration,
            carries: current.iter().copied().zip(next).collect(),
            body,
        }))
    }

    /// One iteration's part of a buffer.
    fn slice(
        &mut self,
        of: BufferId,
        ty: &TensorType,
        loop_id: u32,
    ) -> Result<BufferId, ScheduleError> {
        let len = Dim::product(&ty.dims)?;
        let place = Place::LoopSlice {
            of,
            stride: len.clone(),
            loop_id,
        };
        Ok(self.cx.buffer(ty.dtype, len, place))
    }
}
