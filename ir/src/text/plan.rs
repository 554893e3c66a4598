//! Plans as text, for people: parameters, results, buffers, kernels, then the steps with their
//! positions in a pre-order walk, which the buffers' live intervals refer to.

use super::graph::write_source;
use super::kernel::write_kernel;
use super::quote::write_quoted;
use crate::{
    BufferId, ContractStep, KernelCall, Place, Plan, PlanBuffer, RightLayout, Step, TensorType,
};
use std::fmt::{self, Write};

/// The text of a plan.
pub fn print_plan(plan: &Plan) -> String {
    print_plan_with_marks(plan, &mut |_, _| {})
}

/// What stands on one or more lines of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Item {
    /// The first line, with the symbols.
    Head,
    Output(usize),
    Donation(usize),
    Buffer(usize),
    Kernel(usize),
    /// By position in a pre-order walk.
    Step(u32),
}

/// The text of a plan; `on_item` is told where in it each item begins.
pub(crate) fn print_plan_with_marks(plan: &Plan, on_item: &mut dyn FnMut(Item, usize)) -> String {
    let mut writer = PlanWriter {
        out: String::new(),
        on_item,
        steps: 0,
    };
    // Writing to a string cannot fail.
    let _ = writer.plan(plan);
    writer.out
}

/// As [`print_plan`].
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_plan(self))
    }
}

impl fmt::Display for BufferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// `k0(b1, b2)`
impl fmt::Display for KernelCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k{}({})", self.kernel, Commas(&self.args))
    }
}

/// `f32[4*n] arena`
impl fmt::Display for PlanBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] ", self.dtype, self.len)?;
        match &self.place {
            Place::Input(n) => write!(f, "input {n}"),
            Place::Output => f.write_str("output"),
            Place::Arena => f.write_str("arena"),
            Place::Alias(of) => write!(f, "alias of {of}"),
            Place::LoopSlice {
                of,
                stride,
                loop_id,
            } => write!(f, "slice of {of}, {stride} per iteration of loop {loop_id}"),
        }
    }
}

struct Commas<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Commas<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{item}")?;
        }
        Ok(())
    }
}

struct PlanWriter<'a> {
    out: String,
    on_item: &'a mut dyn FnMut(Item, usize),
    /// Steps written so far.
    steps: u32,
}

impl PlanWriter<'_> {
    fn plan(&mut self, plan: &Plan) -> fmt::Result {
        self.begin(Item::Head, 0);
        writeln!(self.out, "plan({}) {{", Commas(&plan.symbols))?;
        for (i, ty) in plan.inputs.iter().enumerate() {
            writeln!(self.out, "  input {i}: {ty}")?;
        }
        for (i, (buffer, ty)) in plan.outputs.iter().enumerate() {
            self.begin(Item::Output(i), 1);
            writeln!(self.out, "output {i}: {ty} in {buffer}")?;
        }
        for (i, (input, buffer)) in plan.donations.iter().enumerate() {
            self.begin(Item::Donation(i), 1);
            writeln!(self.out, "donate input {input} to {buffer}")?;
        }
        self.conditions(plan)?;
        let lifetimes_are_known = plan.buffers.iter().any(|b| b.live != (0, 0));
        for (i, buffer) in plan.buffers.iter().enumerate() {
            self.begin(Item::Buffer(i), 1);
            write!(self.out, "b{i}: {buffer}")?;
            if lifetimes_are_known {
                write!(self.out, ", live {}..{}", buffer.live.0, buffer.live.1)?;
            }
            self.out.push('\n');
        }
        for (i, kernel) in plan.kernels.iter().enumerate() {
            self.begin(Item::Kernel(i), 1);
            write!(self.out, "k{i} = ")?;
            write_kernel(&mut self.out, kernel, "  ")?;
            self.out.push('\n');
        }
        self.out.push_str("  steps {\n");
        self.steps(&plan.steps, 2)?;
        self.out.push_str("  }\n}\n");
        Ok(())
    }

    fn conditions(&mut self, plan: &Plan) -> fmt::Result {
        for guard in &plan.guards {
            write!(self.out, "  {guard}, ")?;
            write_quoted(&mut self.out, &guard.message)?;
            self.out.push('\n');
        }
        for (i, fault) in plan.faults.iter().enumerate() {
            write!(self.out, "  fault {i}: ")?;
            write_quoted(&mut self.out, &fault.what)?;
            if let Some(source) = &fault.source {
                write_source(&mut self.out, source)?;
            }
            self.out.push('\n');
        }
        Ok(())
    }

    fn indent(&mut self, depth: usize) {
        for _ in 0..depth {
            self.out.push_str("  ");
        }
    }

    fn begin(&mut self, item: Item, depth: usize) {
        self.indent(depth);
        (self.on_item)(item, self.out.len());
    }

    fn steps(&mut self, steps: &[Step], depth: usize) -> fmt::Result {
        for step in steps {
            let number = self.steps;
            self.steps += 1;
            self.begin(Item::Step(number), depth);
            write!(self.out, "{number}: ")?;
            self.step(step, depth)?;
            self.out.push('\n');
        }
        Ok(())
    }

    fn block(&mut self, before: &str, steps: &[Step], depth: usize) -> fmt::Result {
        self.out.push_str(before);
        self.out.push_str("{\n");
        self.steps(steps, depth + 1)?;
        self.indent(depth);
        self.out.push('}');
        Ok(())
    }

    fn step(&mut self, step: &Step, depth: usize) -> fmt::Result {
        match step {
            Step::Kernel(call) => write!(self.out, "{call}"),
            Step::Contract(step) => self.contract(step),
            Step::Sort {
                inputs,
                outputs,
                dims,
                descending,
            } => {
                let how = if *descending { " descending" } else { "" };
                let (dims, inputs, outputs) = (Commas(dims), Commas(inputs), Commas(outputs));
                write!(self.out, "sort{how} [{dims}] {inputs} -> {outputs}")
            }
            Step::Custom {
                target,
                inputs,
                outputs,
                fault,
            } => {
                self.out.push_str("custom ");
                write_quoted(&mut self.out, target.name())?;
                self.typed(" (", inputs)?;
                self.typed(") -> (", outputs)?;
                write!(self.out, ") fault {fault}")
            }
            Step::Copy { from, to, len } => write!(self.out, "copy {from} -> {to}, {len} elements"),
            Step::If {
                condition,
                then,
                other,
            } => {
                write!(self.out, "if {condition}")?;
                self.block(" ", then, depth)?;
                self.block(" else ", other, depth)
            }
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => {
                write!(self.out, "loop {loop_id}, {iteration} < {trip}")?;
                self.carries(carries)?;
                self.block(" ", body, depth)
            }
            Step::While {
                test,
                condition,
                carries,
                body,
            } => {
                self.block("while ", test, depth)?;
                write!(self.out, " {condition}")?;
                self.carries(carries)?;
                self.block(" ", body, depth)
            }
        }
    }

    fn carries(&mut self, carries: &[(BufferId, BufferId)]) -> fmt::Result {
        for (current, next) in carries {
            write!(self.out, ", {current} <-> {next}")?;
        }
        Ok(())
    }

    fn typed(&mut self, before: &str, buffers: &[(BufferId, TensorType)]) -> fmt::Result {
        self.out.push_str(before);
        for (i, (buffer, ty)) in buffers.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(self.out, "{comma}{buffer}: {ty}")?;
        }
        Ok(())
    }

    fn contract(&mut self, step: &ContractStep) -> fmt::Result {
        let [b, m, n, k] = &step.dims;
        let [offset, strides @ ..] = &step.lhs_strides;
        let (lhs, rhs, strides) = (step.lhs, step.rhs, Commas(strides));
        write!(self.out, "contract {} ", step.dtype)?;
        if step.factors != [step.dtype; 2] {
            write!(self.out, "of {} and {} ", step.factors[0], step.factors[1])?;
        }
        write!(self.out, "b={b} m={m} n={n} k={k}: ")?;
        write!(self.out, "{lhs} from {offset} by [{strides}] * ")?;
        match &step.rhs_layout {
            RightLayout::Panels { batch, group, .. } => {
                write!(self.out, "{rhs} by {batch}")?;
                if *group != 1 {
                    write!(self.out, " in groups of {group}")?;
                }
            }
            RightLayout::Placed(p) => {
                write!(self.out, "{rhs} from {} by {}", p.offset, p.batch)?;
                for digits in [&p.rows, &p.columns] {
                    self.out.push_str(", [");
                    for (i, [extent, stride]) in digits.iter().enumerate() {
                        let comma = if i == 0 { "" } else { ", " };
                        write!(self.out, "{comma}{extent} by {stride}")?;
                    }
                    self.out.push(']');
                }
            }
        }
        write!(self.out, " -> {}", step.product)?;
        if let Some(call) = &step.epilogue {
            write!(self.out, ", then {call}")?;
        }
        Ok(())
    }
}
