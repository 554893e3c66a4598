//! The plan interpreter: runs the steps of a plan in order, kernels through the kernel interpreter. It is
//! the oracle for scheduling and memory planning, so it is as unforgiving as a [`EvalMode`] asks: what
//! a plan does not promise is made not to hold.

mod memory;
mod steps;

use crate::kernel::eval::{eval_dim, malformed, read};
use crate::{
    Array, BufferId, DType, Environment, EvalError, FaultRecord, ForeignTable, KernelCall, Order,
    Plan, Relation, SizeOf, Step, eval_kernel,
};
use memory::Memory;

/// How a plan is run. Results are the same in every mode, or the plan is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EvalMode {
    /// Arena buffers share memory when their lifetimes allow, and dead memory is overwritten.
    /// Needs the lifetimes that the memory pass fills in.
    pub packed: bool,
    /// What may be visited in any order is visited out of order.
    pub scrambled: bool,
    /// Parameters are given up, so that results are written over them where the plan says they may.
    pub donate: bool,
}

impl EvalMode {
    /// All eight.
    pub fn all() -> impl Iterator<Item = EvalMode> {
        (0..8).map(|bits| EvalMode {
            packed: bits & 1 != 0,
            scrambled: bits & 2 != 0,
            donate: bits & 4 != 0,
        })
    }

    fn order(self) -> Order {
        if self.scrambled {
            Order::Scrambled
        } else {
            Order::RowMajor
        }
    }
}

/// Runs a plan and returns its results, or the first fault that came up.
pub fn eval_plan(
    plan: &Plan,
    inputs: &[Array],
    environment: Environment<'_>,
    mode: EvalMode,
) -> Result<Vec<Array>, EvalError> {
    let sizes = environment.sizes;
    check_guards(plan, sizes)?;
    let bytes = check_inputs(plan, inputs, sizes)?;
    let mut run = Run {
        plan,
        memory: Memory::new(plan, &bytes, sizes, mode)?,
        sizes,
        foreign: environment.foreign,
        order: mode.order(),
        fault: None,
    };
    run.steps(&plan.steps, 0)?;
    if let Some((record, message)) = run.fault {
        return Err(EvalError::Fault { record, message });
    }
    for (i, original) in bytes.iter().enumerate() {
        let given_up = mode.donate && plan.donations.iter().any(|d| d.0 as usize == i);
        if !given_up && !run.memory.parameter(i).eq(original.iter().copied()) {
            return malformed(format!("parameter {i} is overwritten"));
        }
    }
    let mut outputs = Vec::with_capacity(plan.outputs.len());
    for (buffer, ty) in &plan.outputs {
        let (dims, len) = byte_len(ty.dtype, &ty.dims, sizes)?;
        let memory = run.memory.bytes(*buffer)?;
        let Some(memory) = memory.get(..len) else {
            return malformed(format!(
                "buffer {} is too small for a result of {len} bytes",
                buffer.0
            ));
        };
        outputs.push(Array {
            dtype: ty.dtype,
            dims,
            bytes: memory.iter().map(|b| b.get()).collect(),
        });
    }
    Ok(outputs)
}

/// Dims as numbers, and the bytes they make.
fn byte_len(
    dtype: DType,
    dims: &[crate::Dim],
    sizes: SizeOf<'_>,
) -> Result<(Vec<usize>, usize), EvalError> {
    let mut out = Vec::with_capacity(dims.len());
    let mut bytes = dtype.size();
    for d in dims {
        let size = usize::try_from(eval_dim(d, sizes)?);
        let size = size.map_err(|_| EvalError::Size(d.clone()))?;
        let product = bytes.checked_mul(size);
        bytes = product.ok_or_else(|| EvalError::Size(d.clone()))?;
        out.push(size);
    }
    Ok((out, bytes))
}

fn check_guards(plan: &Plan, sizes: SizeOf<'_>) -> Result<(), EvalError> {
    for g in &plan.guards {
        let (lhs, rhs) = (eval_dim(&g.lhs, sizes)?, eval_dim(&g.rhs, sizes)?);
        let holds = match g.relation {
            Relation::Eq => lhs == rhs,
            Relation::Le => lhs <= rhs,
        };
        if !holds {
            return Err(EvalError::Guard(g.message.to_string()));
        }
    }
    Ok(())
}

/// The parameters' bytes. Complex parameters are given as such or as pairs.
fn check_inputs<'a>(
    plan: &Plan,
    inputs: &'a [Array],
    sizes: SizeOf<'_>,
) -> Result<Vec<&'a [u8]>, EvalError> {
    if inputs.len() != plan.inputs.len() {
        return malformed(format!(
            "the plan has {} parameters, {} were given",
            plan.inputs.len(),
            inputs.len()
        ));
    }
    for (i, (array, ty)) in inputs.iter().zip(&plan.inputs).enumerate() {
        let (dims, len) = byte_len(ty.dtype, &ty.dims, sizes)?;
        if array.dtype.real() != ty.dtype.real() || array.bytes.len() != len {
            return malformed(format!(
                "parameter {i} is {} {:?}, the plan wants {} {dims:?}",
                array.dtype, array.dims, ty.dtype
            ));
        }
    }
    Ok(inputs.iter().map(|a| &*a.bytes).collect())
}

/// Steps in a list, nested ones included.
fn count_steps(steps: &[Step]) -> u32 {
    let inner = |s: &Step| match s {
        Step::If { then, other, .. } => count_steps(then) + count_steps(other),
        Step::Loop { body, .. } => count_steps(body),
        Step::While { test, body, .. } => count_steps(test) + count_steps(body),
        Step::Kernel(_)
        | Step::Contract(_)
        | Step::Sort { .. }
        | Step::Custom { .. }
        | Step::Copy { .. } => 0,
    };
    steps.iter().map(|s| 1 + inner(s)).sum()
}

struct Run<'a> {
    plan: &'a Plan,
    memory: Memory<'a>,
    sizes: SizeOf<'a>,
    foreign: ForeignTable<'a>,
    order: Order,
    /// The first one.
    fault: Option<(FaultRecord, String)>,
}

impl Run<'_> {
    /// Runs a list whose first step has the given position.
    fn steps(&mut self, steps: &[Step], mut position: u32) -> Result<(), EvalError> {
        for step in steps {
            let next = position + count_steps(std::slice::from_ref(step));
            self.memory.begin(position);
            self.step(step, position)?;
            self.memory.end(next - 1);
            position = next;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step, position: u32) -> Result<(), EvalError> {
        let inside = position + 1;
        match step {
            Step::Kernel(call) => self.kernel(call, None),
            Step::Contract(c) => self.contract(c),
            Step::Sort {
                inputs,
                outputs,
                dims,
                descending,
            } => self.sort(inputs, outputs, dims, *descending),
            Step::Custom {
                target,
                inputs,
                outputs,
                fault,
            } => self.custom(target, inputs, outputs, *fault),
            Step::Copy { from, to, len } => self.copy(*from, *to, len),
            Step::If {
                condition,
                then,
                other,
            } => {
                if self.condition(*condition)? {
                    self.steps(then, inside)
                } else {
                    self.steps(other, inside + count_steps(then))
                }
            }
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => {
                let last = inside + count_steps(body) - 1;
                self.memory.enter_loop(Some(*loop_id), (inside, last));
                for i in 0..eval_dim(trip, self.sizes)? {
                    self.memory.set_iteration(i);
                    self.set_iteration(*iteration, i)?;
                    self.steps(body, inside)?;
                    self.exchange(carries)?;
                }
                self.memory.leave_loop();
                Ok(())
            }
            Step::While {
                test,
                condition,
                carries,
                body,
            } => self.repeat([test, body], *condition, carries, inside),
        }
    }

    /// Runs a conditional loop.
    fn repeat(
        &mut self,
        [test, body]: [&[Step]; 2],
        condition: BufferId,
        carries: &[(BufferId, BufferId)],
        inside: u32,
    ) -> Result<(), EvalError> {
        let body_at = inside + count_steps(test);
        let last = body_at + count_steps(body) - 1;
        self.memory.enter_loop(None, (inside, last));
        loop {
            self.steps(test, inside)?;
            if !self.condition(condition)? {
                break;
            }
            self.steps(body, body_at)?;
            self.exchange(carries)?;
        }
        self.memory.leave_loop();
        Ok(())
    }

    fn condition(&self, buffer: BufferId) -> Result<bool, EvalError> {
        let bytes = self.memory.bytes(buffer)?;
        match bytes.first() {
            Some(_) => Ok(read(bytes, DType::Bool, 0).bits() != 0),
            None => malformed(format!("the condition in buffer {} is empty", buffer.0)),
        }
    }

    fn set_iteration(&self, buffer: BufferId, iteration: i64) -> Result<(), EvalError> {
        let bytes = self.memory.bytes(buffer)?;
        if bytes.len() != DType::I64.size() {
            return malformed(format!("buffer {} does not hold one i64", buffer.0));
        }
        steps::write(bytes, &iteration.to_le_bytes());
        Ok(())
    }

    fn exchange(&mut self, carries: &[(BufferId, BufferId)]) -> Result<(), EvalError> {
        carries
            .iter()
            .try_for_each(|&(a, b)| self.memory.swap(a, b))
    }

    /// Runs a kernel over a box of its outer ranges.
    fn kernel(
        &mut self,
        call: &KernelCall,
        bounds: Option<&[(i64, i64)]>,
    ) -> Result<(), EvalError> {
        let Some(kernel) = self.plan.kernels.get(call.kernel as usize) else {
            return malformed(format!("there is no kernel {}", call.kernel));
        };
        let args = call.args.iter().map(|&b| self.memory.bytes(b));
        let args = args.collect::<Result<Vec<_>, _>>()?;
        let records = eval_kernel(kernel, &args, self.sizes, bounds, self.order)?;
        if let Some(r) = records.first() {
            self.fault(*r, &format!("{} where the bound is {}", r.value, r.bound));
        }
        Ok(())
    }

    /// Keeps the first fault, with what the plan says about it and what is known beyond that.
    fn fault(&mut self, record: FaultRecord, more: &str) {
        let info = self.plan.faults.get(record.fault as usize);
        let what = info.map_or("unknown fault", |f| &f.what);
        let message = format!("{what}: {more}");
        self.fault.get_or_insert((record, message));
    }
}
