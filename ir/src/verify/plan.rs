//! Plans: every buffer and kernel that is named exists, arguments fit parameters, aliases lead
//! somewhere, memory is written before it is read, parameters' memory is not written, slices are
//! used in their loop, uses lie within live intervals, and sizes depend on known symbols only. Kernels
//! are checked as well.
//!
//! A step counts as writing all of what it writes. What only one branch of an `if` or the body of a
//! loop writes counts as unwritten behind it, except for carried values and the slices of a loop,
//! which together make up the whole.

use super::{Finding, Findings, Report, lines_at, result};
use crate::text::plan::{Item, print_plan_with_marks};
use crate::{
    Access, BufferId, ContractStep, DIGITS, DType, Dim, InstOp, Kernel, KernelCall, Place, Plan,
    RightLayout, Step, Symbol, TensorType,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// Checks a plan.
pub fn verify_plan(plan: &Plan) -> Result<(), Findings> {
    let mut checker = Checker::new(plan);
    checker.buffers();
    checker.kernels();
    let mut written = Written::default();
    for (i, buffer) in plan.buffers.iter().enumerate() {
        if let Place::Input(_) = buffer.place {
            written.insert(i as u32);
        }
    }
    checker.steps(&plan.steps, &mut written);
    checker.results(&written);
    let Checker { report, inside, .. } = checker;
    let mut findings = report.finish(|items| {
        let mut starts = FxHashMap::default();
        let text = print_plan_with_marks(plan, &mut |item, start| {
            starts.insert(item, start);
        });
        let lines = lines_at(&text, items.iter().map(|item| starts[item]));
        (text, lines)
    });
    findings.extend(inside);
    result(findings)
}

/// Buffers, by the number of the one whose memory they are, that hold something.
type Written = FxHashSet<u32>;

struct Checker<'a> {
    plan: &'a Plan,
    report: Report<Item>,
    /// What was found in kernels.
    inside: Vec<Finding>,
    symbols: FxHashSet<&'a Symbol>,
    /// For each buffer the one that is neither alias nor slice and whose memory it lies in;
    /// `None` when there is none.
    roots: Vec<Option<u32>>,
    /// For each buffer the slice that it is or is an alias of, if there is one.
    slices: Vec<Option<u32>>,
    /// Whether live intervals are known.
    lives: bool,
    /// Loops around the current step.
    loops: Vec<u32>,
    /// The current step.
    step: u32,
    /// Steps begun so far.
    begun: u32,
}

impl<'a> Checker<'a> {
    fn new(plan: &'a Plan) -> Checker<'a> {
        Checker {
            plan,
            report: Report::new(),
            inside: Vec::new(),
            symbols: plan.symbols.iter().collect(),
            roots: follow(plan, true, |p| {
                !matches!(p, Place::Alias(_) | Place::LoopSlice { .. })
            }),
            slices: follow(plan, false, |p| matches!(p, Place::LoopSlice { .. })),
            lives: plan.buffers.iter().any(|b| b.live != (0, 0)),
            loops: Vec::new(),
            step: 0,
            begun: 0,
        }
    }

    fn find(&mut self, item: Item, message: impl Into<String>) {
        self.report.add(item, message);
    }

    fn find_here(&mut self, message: impl Into<String>) {
        self.report.add(Item::Step(self.step), message);
    }

    fn size(&mut self, item: Item, size: &Dim) {
        let mut unknown = Vec::new();
        size.visit_symbols(&mut |s| {
            if !self.symbols.contains(s) {
                unknown.push(s.clone());
            }
        });
        for symbol in unknown {
            let message = format!("the size {size} depends on {symbol}, which is not bound");
            self.find(item, message);
        }
    }

    fn buffers(&mut self) {
        let plan = self.plan;
        for (i, buffer) in plan.buffers.iter().enumerate() {
            let item = Item::Buffer(i);
            if buffer.dtype.is_complex() {
                let message = format!("b{i} is {}: plans know no complex numbers", buffer.dtype);
                self.find(item, message);
            }
            self.size(item, &buffer.len);
            if buffer.len.bounds().1.is_some_and(|most| most < 0) {
                self.find(item, format!("b{i} has a negative length"));
            }
            match &buffer.place {
                Place::Input(n) => match plan.inputs.get(*n as usize) {
                    None => self.find(item, format!("there is no input {n}")),
                    Some(ty) => self.holds(item, BufferId(i as u32), ty),
                },
                Place::Output | Place::Arena => {}
                Place::LoopSlice { stride, .. } => self.size(item, stride),
                Place::Alias(_) => {}
            }
            if self.roots[i].is_none() {
                let message = format!("b{i} lies in the memory of no buffer, or in its own");
                self.find(item, message);
            }
        }
    }

    /// Checks that an existing buffer's elements are those of a tensor; complex numbers are pairs
    /// of real ones.
    fn holds(&mut self, item: Item, buffer: BufferId, ty: &TensorType) {
        let dtype = self.plan.buffers[buffer.0 as usize].dtype;
        if dtype != ty.dtype.real() {
            self.find(item, format!("{buffer} holds {dtype}, needed is {ty}"));
        }
    }

    fn kernels(&mut self) {
        for (i, kernel) in self.plan.kernels.iter().enumerate() {
            let found = super::kernel::findings(kernel).into_iter();
            self.inside.extend(found.map(|f| Finding {
                message: format!("in k{i}: {}", f.message),
                ..f
            }));
            let item = Item::Kernel(i);
            visit_kernel_sizes(kernel, &mut |size| self.size(item, size));
            let faults = kernel.stages.iter().flat_map(|s| &s.insts);
            for fault in faults.filter_map(|inst| fault_of(&inst.op)) {
                self.fault(item, fault);
            }
        }
    }

    fn fault(&mut self, item: Item, fault: u32) {
        if fault as usize >= self.plan.faults.len() {
            self.find(item, format!("there is no fault {fault}"));
        }
    }

    fn results(&mut self, written: &Written) {
        let plan = self.plan;
        for (i, (buffer, ty)) in plan.outputs.iter().enumerate() {
            let item = Item::Output(i);
            let Some(root) = self.root(item, *buffer) else {
                continue;
            };
            self.holds(item, *buffer, ty);
            let empty = plan.buffers[buffer.0 as usize].len.is(0);
            if !empty && !written.contains(&root) {
                self.find(item, format!("{buffer} is a result and never written"));
            }
        }
        for (i, (input, buffer)) in plan.donations.iter().enumerate() {
            let item = Item::Donation(i);
            if *input as usize >= plan.inputs.len() {
                self.find(item, format!("there is no input {input}"));
            }
            if let Some(root) = self.root(item, *buffer)
                && plan.buffers[root as usize].place != Place::Output
            {
                self.find(item, format!("{buffer} is not memory of a result"));
            }
        }
    }

    /// The buffer in whose memory `buffer` lies. Findings about buffers without one are made
    /// where they are declared.
    fn root(&mut self, item: Item, buffer: BufferId) -> Option<u32> {
        let Some(root) = self.roots.get(buffer.0 as usize) else {
            self.find(item, format!("there is no buffer {buffer}"));
            return None;
        };
        *root
    }

    /// The checks of every use of a buffer; gives its root when it has one.
    fn used(&mut self, buffer: BufferId) -> Option<u32> {
        let item = Item::Step(self.step);
        let root = self.root(item, buffer)?;
        let (first, last) = self.plan.buffers[buffer.0 as usize].live;
        if self.lives && !(first..=last).contains(&self.step) {
            let message = format!("{buffer} lives from step {first} to {last} only");
            self.find(item, message);
        }
        let mut slice = self.slices[buffer.0 as usize];
        while let Some(number) = slice {
            let Place::LoopSlice { of, loop_id, .. } = &self.plan.buffers[number as usize].place
            else {
                break;
            };
            if !self.loops.contains(loop_id) {
                let message = format!("{buffer} is a slice of loop {loop_id}, used outside of it");
                self.find(item, message);
            }
            // The buffer has a root, so this comes to an end.
            slice = self.slices[of.0 as usize];
        }
        Some(root)
    }

    fn read(&mut self, buffer: BufferId, written: &Written) {
        let Some(root) = self.used(buffer) else {
            return;
        };
        let empty = self.plan.buffers[buffer.0 as usize].len.is(0);
        if !empty && !written.contains(&root) {
            self.find_here(format!("{buffer} is read before it is written"));
        }
    }

    fn write(&mut self, buffer: BufferId, written: &mut Written) {
        let Some(root) = self.used(buffer) else {
            return;
        };
        if let Place::Input(n) = self.plan.buffers[root as usize].place {
            self.find_here(format!(
                "{buffer} is the memory of input {n} and is written"
            ));
        }
        written.insert(root);
    }

    fn element(&mut self, buffer: BufferId, needed: DType, role: &str) {
        let Some(decl) = self.plan.buffers.get(buffer.0 as usize) else {
            return;
        };
        if decl.dtype != needed {
            let dtype = decl.dtype;
            self.find_here(format!("{buffer} {role} and must be {needed}, not {dtype}"));
        }
    }

    fn size_here(&mut self, size: &Dim) {
        self.size(Item::Step(self.step), size);
    }

    fn steps(&mut self, steps: &[Step], written: &mut Written) {
        let around = self.step;
        for step in steps {
            self.step = self.begun;
            self.begun += 1;
            self.one_step(step, written);
        }
        self.step = around;
    }

    fn one_step(&mut self, step: &Step, written: &mut Written) {
        match step {
            Step::Kernel(call) => self.call(call, written),
            Step::Contract(contract) => self.contract(contract, written),
            Step::Sort {
                inputs,
                outputs,
                dims,
                ..
            } => self.sort(inputs, outputs, dims, written),
            Step::Custom {
                inputs,
                outputs,
                fault,
                ..
            } => {
                self.fault(Item::Step(self.step), *fault);
                self.custom(inputs, outputs, written);
            }
            Step::Copy { from, to, len } => self.copy(*from, *to, len, written),
            Step::If {
                condition,
                then,
                other,
            } => {
                self.condition(*condition, written);
                self.branches(then, other, written);
            }
            Step::Loop {
                loop_id,
                trip,
                iteration,
                carries,
                body,
            } => {
                self.size_here(trip);
                self.element(*iteration, DType::I64, "counts iterations");
                let mut within = written.clone();
                self.write(*iteration, &mut within);
                self.loops.push(*loop_id);
                self.carried(carries, body, &mut within, written);
                self.loops.pop();
                self.whole_slices(*loop_id, &within, written);
            }
            Step::While {
                test,
                condition,
                carries,
                body,
            } => {
                // Runs at least once.
                self.steps(test, written);
                self.condition(*condition, written);
                let mut within = written.clone();
                self.carried(carries, body, &mut within, written);
            }
        }
    }

    fn copy(&mut self, from: BufferId, to: BufferId, len: &Dim, written: &mut Written) {
        self.size_here(len);
        self.read(from, written);
        self.write(to, written);
        self.same_element(from, to);
    }

    fn branches(&mut self, then: &[Step], other: &[Step], written: &mut Written) {
        let mut alternative = written.clone();
        self.steps(then, written);
        self.steps(other, &mut alternative);
        written.retain(|b| alternative.contains(b));
    }

    fn condition(&mut self, buffer: BufferId, written: &Written) {
        self.read(buffer, written);
        self.element(buffer, DType::Bool, "is a condition");
    }

    fn custom(
        &mut self,
        inputs: &[(BufferId, TensorType)],
        outputs: &[(BufferId, TensorType)],
        written: &mut Written,
    ) {
        for (buffer, ty) in inputs {
            self.read(*buffer, written);
            self.typed(*buffer, ty);
        }
        for (buffer, ty) in outputs {
            self.write(*buffer, written);
            self.typed(*buffer, ty);
        }
    }

    /// Checks the body of a loop and what it carries. `within` is what is written when the body
    /// begins, `before` what is when the loop does.
    fn carried(
        &mut self,
        carries: &[(BufferId, BufferId)],
        body: &[Step],
        within: &mut Written,
        before: &Written,
    ) {
        for (current, next) in carries {
            self.read(*current, before);
            self.used(*next);
            self.same_element(*current, *next);
        }
        self.steps(body, within);
        for (_, next) in carries {
            let root = self.roots.get(next.0 as usize).copied().flatten();
            let empty = |b: &BufferId| self.plan.buffers[b.0 as usize].len.is(0);
            if root.is_some_and(|root| !within.contains(&root)) && !empty(next) {
                self.find_here(format!("{next} is carried and not written by the body"));
            }
        }
    }

    /// All slices that a loop writes make up the whole.
    fn whole_slices(&mut self, id: u32, within: &Written, written: &mut Written) {
        for (buffer, root) in self.plan.buffers.iter().zip(&self.roots) {
            let Some(root) = root.filter(|root| within.contains(root)) else {
                continue;
            };
            if matches!(buffer.place, Place::LoopSlice { loop_id, .. } if loop_id == id) {
                written.insert(root);
            }
        }
    }

    fn typed(&mut self, buffer: BufferId, ty: &TensorType) {
        if self.plan.buffers.len() > buffer.0 as usize {
            self.holds(Item::Step(self.step), buffer, ty);
        }
    }

    fn same_element(&mut self, a: BufferId, b: BufferId) {
        if let Some(decl) = self.plan.buffers.get(a.0 as usize) {
            self.element(b, decl.dtype, &format!("goes with {a}"));
        }
    }

    fn call(&mut self, call: &KernelCall, written: &mut Written) {
        let Some(kernel) = self.plan.kernels.get(call.kernel as usize) else {
            return self.find_here(format!("there is no kernel k{}", call.kernel));
        };
        if kernel.buffers.len() != call.args.len() {
            let (takes, given) = (kernel.buffers.len(), call.args.len());
            let message = format!("k{} takes {takes} buffers, {given} are given", call.kernel);
            return self.find_here(message);
        }
        let arguments = || call.args.iter().zip(&kernel.buffers);
        for (number, (argument, decl)) in arguments().enumerate() {
            let role = format!("is b{number} of k{}", call.kernel);
            self.element(*argument, decl.dtype, &role);
            if decl.access != Access::Write {
                self.read(*argument, written);
            }
        }
        for (argument, decl) in arguments() {
            if decl.access != Access::Read {
                self.write(*argument, written);
            }
        }
    }

    fn contract(&mut self, step: &ContractStep, written: &mut Written) {
        let ([left, right], sum) = (step.factors, step.dtype);
        if !ContractStep::multiplies(step.factors, sum) {
            self.find_here(format!(
                "there are no contractions of {left} and {right} in {sum}"
            ));
        }
        let sizes = step.dims.iter().chain(&step.lhs_strides);
        sizes.for_each(|d| self.size_here(d));
        let layout = step.rhs_layout.dims();
        layout.into_iter().for_each(|d| self.size_here(d));
        match &step.rhs_layout {
            RightLayout::Panels { group, .. } => {
                if *group < 1 {
                    self.find_here(format!("panels in groups of {group}"));
                }
            }
            RightLayout::Placed(placement) => {
                self.digits("k", &placement.rows, &step.dims[3]);
                self.digits("n", &placement.columns, &step.dims[2]);
            }
        }
        for (buffer, dtype) in [(step.lhs, left), (step.rhs, right), (step.product, sum)] {
            self.element(buffer, dtype, "takes part in a contraction");
        }
        self.read(step.lhs, written);
        self.read(step.rhs, written);
        self.write(step.product, written);
        if let Some(call) = &step.epilogue {
            self.call(call, written);
        }
    }

    /// The digits of an index of a right operand are few, and have as many values as the index.
    fn digits(&mut self, index: &str, digits: &[[Dim; 2]], extent: &Dim) {
        if digits.len() > DIGITS {
            let count = digits.len();
            self.find_here(format!("{count} digits of {index}, more than {DIGITS}"));
        }
        if let Ok(values) = Dim::product(digits.iter().map(|[extent, _]| extent))
            && let (Some(values), Some(extent)) = (values.as_const(), extent.as_const())
            && values != extent
        {
            self.find_here(format!("digits of {values} values for {extent} of {index}"));
        }
    }

    fn sort(
        &mut self,
        inputs: &[BufferId],
        outputs: &[BufferId],
        dims: &[Dim],
        written: &mut Written,
    ) {
        dims.iter().for_each(|d| self.size_here(d));
        if inputs.is_empty() || inputs.len() != outputs.len() {
            let (taken, given) = (inputs.len(), outputs.len());
            self.find_here(format!("{taken} columns are sorted into {given}"));
        }
        inputs.iter().for_each(|b| self.read(*b, written));
        for (from, to) in inputs.iter().zip(outputs) {
            self.write(*to, written);
            self.same_element(*from, *to);
        }
    }
}

/// For each buffer the first one for which `stop` holds on the way along aliases and, where
/// `through_slices`, slices, beginning with itself; `None` where the way has no end or another.
fn follow(plan: &Plan, through_slices: bool, stop: fn(&Place) -> bool) -> Vec<Option<u32>> {
    let count = plan.buffers.len();
    let mut ends: Vec<Option<u32>> = vec![None; count];
    let mut visited = vec![false; count];
    let mut way = Vec::new();
    for start in 0..count {
        let mut at = start;
        let end = loop {
            let Some(buffer) = plan.buffers.get(at) else {
                break None;
            };
            // Either decided, or on this very way: then it leads round in a circle.
            if visited[at] {
                break ends[at];
            }
            visited[at] = true;
            way.push(at);
            match &buffer.place {
                place if stop(place) => break Some(at as u32),
                Place::Alias(of) => at = of.0 as usize,
                Place::LoopSlice { of, .. } if through_slices => at = of.0 as usize,
                _ => break None,
            }
        };
        way.drain(..).for_each(|b| ends[b] = end);
    }
    ends
}

fn fault_of(op: &InstOp) -> Option<u32> {
    match op {
        InstOp::CheckIndex { fault, .. } | InstOp::CheckDivisor { fault, .. } => Some(*fault),
        _ => None,
    }
}

fn visit_kernel_sizes(kernel: &Kernel, visit: &mut dyn FnMut(&Dim)) {
    kernel.outer.iter().for_each(&mut *visit);
    kernel.locals.iter().for_each(|l| visit(&l.len));
    for stage in &kernel.stages {
        stage.ranges.iter().for_each(&mut *visit);
        for inst in &stage.insts {
            if let Some(index) = inst.op.index() {
                index.visit_dims(visit);
            }
            match &inst.op {
                InstOp::InRange { lo, hi, .. } => [lo, hi].into_iter().for_each(&mut *visit),
                InstOp::CheckIndex { bound, .. } => visit(bound),
                _ => {}
            }
        }
    }
}
