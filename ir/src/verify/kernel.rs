//! Kernels: the rules that stand at [`Kernel`] and its parts. Values are defined once and used
//! where they are visible, types fit, memory is used as declared, loop variables exist, and index
//! expressions are canonical.

use super::{Finding, Findings, Report, result};
use crate::text::kernel::{lanes_line, print_kernel, stage_line};
use crate::{
    Access, BufferRef, Combine, DType, Dim, IndexAtom, IndexExpr, Inst, InstOp, Kernel, Lanes,
    LocalRef, Op, Stage, TensorType, Type, ValueId, Var, infer,
};

/// Checks a kernel.
pub fn verify_kernel(kernel: &Kernel) -> Result<(), Findings> {
    result(findings(kernel))
}

pub(super) fn findings(kernel: &Kernel) -> Vec<Finding> {
    let mut checker = Checker {
        kernel,
        report: Report::new(),
        line: 0,
        stage: 0,
        values: vec![None; kernel.values.len()],
        stored: vec![false; kernel.locals.len()],
    };
    checker.head();
    for (number, stage) in kernel.stages.iter().enumerate() {
        checker.stage = number;
        checker.line = stage_line(kernel, number);
        checker.extents("range", 'i', &stage.ranges);
        for inst in &stage.insts {
            checker.line += 1;
            checker.inst(stage, inst);
        }
    }
    let print = |lines: &[usize]| (print_kernel(kernel), lines.to_vec());
    checker.report.finish(print)
}

/// Where a value was defined.
#[derive(Clone, Copy)]
struct Definition {
    stage: usize,
    /// Whether later points and instructions of its stage see it.
    within: bool,
    /// Whether later stages see it.
    after: bool,
}

struct Checker<'a> {
    kernel: &'a Kernel,
    /// Findings by line.
    report: Report<usize>,
    /// The line being checked.
    line: usize,
    /// The stage being checked.
    stage: usize,
    values: Vec<Option<Definition>>,
    /// Locals into which something has been stored.
    stored: Vec<bool>,
}

const HALVES: &str = "f16 and bf16 are only loaded, stored, selected, cast and bitcast";

impl Checker<'_> {
    fn find(&mut self, message: impl Into<String>) {
        self.report.add(self.line, message);
    }

    fn head(&mut self) {
        let kernel = self.kernel;
        for (i, buffer) in kernel.buffers.iter().enumerate() {
            self.real(buffer.dtype, || format!("b{i}"));
        }
        self.line = 1;
        self.extents("range", 'o', &kernel.outer);
        self.line = lanes_line(kernel);
        if kernel.lanes == Lanes::Outer && kernel.outer.is_empty() {
            self.find("lanes run along the last outer range, but there is none");
        }
        for (i, local) in kernel.locals.iter().enumerate() {
            self.line += 1;
            self.real(local.dtype, || format!("l{i}"));
            self.extent(&local.len, || format!("the length of l{i}"));
        }
    }

    fn real(&mut self, dtype: DType, name: impl Fn() -> String) {
        if dtype.is_complex() {
            self.find(format!(
                "{} is {dtype}: kernels know no complex numbers",
                name()
            ));
        }
    }

    fn extents(&mut self, what: &str, prefix: char, extents: &[Dim]) {
        for (i, extent) in extents.iter().enumerate() {
            self.extent(extent, || format!("the {what} of {prefix}{i}"));
        }
    }

    fn extent(&mut self, extent: &Dim, name: impl Fn() -> String) {
        if extent.bounds().1.is_some_and(|most| most < 0) {
            self.find(format!("{} is negative: {extent}", name()));
        }
    }

    fn inst(&mut self, stage: &Stage, inst: &Inst) {
        let mut operands = Vec::new();
        inst.op.visit_operands(&mut |v| operands.push(v));
        if let Some(index) = inst.op.index() {
            self.index(stage, index);
            index.visit_values(&mut |v| operands.push(v));
        }
        // Without the types of all operands nothing more can be said.
        let mut known = true;
        for operand in operands {
            known &= self.visible(operand);
        }
        let is_store = matches!(inst.op, InstOp::Store { .. } | InstOp::StoreLocal { .. });
        match (inst.result, is_store) {
            (Some(result), true) => {
                self.find(format!("a store has no result, this one is {result}"))
            }
            (None, false) => self.find("an instruction that is no store has a result"),
            (None, true) if known => self.store(&inst.op),
            (Some(result), false) if known => self.result_type(result, &inst.op),
            _ => {}
        }
        if let Some(result) = inst.result {
            self.define(stage, result, &inst.op);
        }
    }

    /// The type of a value that exists.
    fn dtype(&self, value: ValueId) -> DType {
        self.kernel.values[value.0 as usize]
    }

    /// Checks that a value exists and may be used here; false when it does not exist.
    fn visible(&mut self, value: ValueId) -> bool {
        let Some(definition) = self.values.get(value.0 as usize) else {
            self.find(format!("there is no value {value}"));
            return false;
        };
        let problem = match definition {
            None => "is used before it is defined",
            Some(d) if d.stage == self.stage && !d.within => {
                "accumulates in a stage that is not ordered, so it has no value before the stage's end"
            }
            Some(d) if d.stage != self.stage && !d.after => {
                "belongs to the points of an earlier stage and is no accumulator"
            }
            Some(_) => return true,
        };
        self.find(format!("{value} {problem}"));
        true
    }

    fn define(&mut self, stage: &Stage, result: ValueId, op: &InstOp) {
        let Some(slot) = self.values.get_mut(result.0 as usize) else {
            return self.find(format!("there is no value {result}"));
        };
        let accumulates = matches!(op, InstOp::Accumulate(..));
        let definition = Definition {
            stage: self.stage,
            within: stage.ordered || !accumulates,
            after: stage.ranges.is_empty() || accumulates,
        };
        if slot.replace(definition).is_some() {
            self.find(format!("{result} is defined a second time"));
        }
        self.real(self.dtype(result), || result.to_string());
    }

    fn index(&mut self, stage: &Stage, index: &IndexExpr) {
        if !index.terms.windows(2).all(|t| t[0].atom < t[1].atom) {
            self.find("the terms of an index are out of order, or one occurs twice");
        }
        for term in &index.terms {
            if term.coefficient.is(0) {
                self.find(format!("{} has the coefficient 0", term.atom));
            }
            match &term.atom {
                IndexAtom::Var(variable) => self.variable(stage, *variable),
                IndexAtom::Value(value) => {
                    let dtype = self.kernel.values.get(value.0 as usize);
                    if dtype.is_some_and(|d| *d != DType::I64) {
                        self.find(format!("{value} stands in an index and is not i64"));
                    }
                }
                IndexAtom::FloorDiv(dividend, divisor) | IndexAtom::Mod(dividend, divisor) => {
                    if divisor.bounds().1.is_some_and(|most| most < 1) {
                        self.find(format!("an index is divided by {divisor}"));
                    }
                    if dividend.terms.is_empty() {
                        self.find(format!("{} divides only sizes", term.atom));
                    }
                    self.index(stage, dividend);
                }
            }
        }
    }

    fn variable(&mut self, stage: &Stage, variable: Var) {
        let (number, ranges) = match variable {
            Var::Outer(n) => (n, &self.kernel.outer),
            Var::Inner(n) => (n, &stage.ranges),
        };
        if number as usize >= ranges.len() {
            self.find(format!("there is no loop {variable} here"));
        }
    }

    fn buffer(&mut self, buffer: BufferRef, allowed: &[Access], use_: &str) -> Option<DType> {
        let Some(decl) = self.kernel.buffers.get(buffer.0 as usize) else {
            self.find(format!("there is no buffer {buffer}"));
            return None;
        };
        if !allowed.contains(&decl.access) {
            let access = decl.access.name();
            self.find(format!("{buffer} is declared {access} and is {use_}"));
        }
        Some(decl.dtype)
    }

    fn local(&mut self, local: LocalRef) -> Option<DType> {
        let decl = self.kernel.locals.get(local.0 as usize);
        if decl.is_none() {
            self.find(format!("there is no local {local}"));
        }
        decl.map(|d| d.dtype)
    }

    fn guard(&mut self, guard: Option<ValueId>) {
        if let Some(guard) = guard {
            self.expect(guard, DType::Bool, "is a condition");
        }
    }

    fn expect(&mut self, value: ValueId, needed: DType, role: &str) {
        let dtype = self.dtype(value);
        if dtype != needed {
            self.find(format!("{value} {role} and must be {needed}, not {dtype}"));
        }
    }

    fn store(&mut self, op: &InstOp) {
        match op {
            InstOp::Store {
                buffer,
                value,
                combine,
                guard,
                ..
            } => {
                self.guard(*guard);
                self.store_to_buffer(*buffer, *value, *combine);
            }
            InstOp::StoreLocal { local, value, .. } => {
                if let Some(dtype) = self.local(*local) {
                    self.stored[local.0 as usize] = true;
                    self.expect(*value, dtype, &format!("is stored in {local}"));
                }
            }
            _ => {}
        }
    }

    fn store_to_buffer(&mut self, buffer: BufferRef, value: ValueId, combine: Option<Combine>) {
        let (allowed, use_): (&[Access], _) = match combine {
            None => (&[Access::Write, Access::ReadWrite], "written"),
            Some(_) => (&[Access::ReadWrite], "read and written"),
        };
        let Some(dtype) = self.buffer(buffer, allowed, use_) else {
            return;
        };
        // Combinations are formed in the wider type, which the value may already have.
        if combine.is_none() || self.dtype(value) != dtype.compute() {
            self.expect(value, dtype, &format!("is stored in {buffer}"));
        }
    }

    /// Checks operands, and that the result's type is what the instruction gives.
    fn result_type(&mut self, result: ValueId, op: &InstOp) {
        let Some(&declared) = self.kernel.values.get(result.0 as usize) else {
            return;
        };
        match self.computed_type(op, declared) {
            Some(computed) if computed != declared => {
                self.find(format!(
                    "{result} is declared {declared} and computed as {computed}"
                ));
            }
            _ => {}
        }
    }

    /// The type an instruction gives, when nothing is wrong with its operands.
    fn computed_type(&mut self, op: &InstOp, declared: DType) -> Option<DType> {
        match *op {
            InstOp::Const(value) => Some(value.dtype()),
            InstOp::Index(_) => Some(DType::I64),
            InstOp::InRange { .. } => Some(DType::Bool),
            InstOp::Load { buffer, guard, .. } => {
                self.guard(guard);
                self.buffer(buffer, &[Access::Read, Access::ReadWrite], "read")
            }
            InstOp::LoadLocal { local, .. } => {
                let dtype = self.local(local)?;
                if !self.stored[local.0 as usize] {
                    self.find(format!("{local} is read before anything is stored in it"));
                }
                Some(dtype)
            }
            InstOp::Unary(f, a) => self.arithmetic(&Op::Unary { f }, &[a]),
            InstOp::Binary(f, a, b) => self.arithmetic(&Op::Binary { f }, &[a, b]),
            InstOp::Compare(predicate, a, b) => {
                self.arithmetic(&Op::Compare { predicate }, &[a, b])
            }
            InstOp::Select(c, a, b) => self.pointwise(&Op::Select {}, &[c, a, b]),
            InstOp::Cast(a) => self.pointwise(&Op::Cast { dtype: declared }, &[a]),
            InstOp::Bitcast(a) => self.pointwise(&Op::Bitcast { dtype: declared }, &[a]),
            InstOp::Random {
                seed,
                stream,
                element,
            } => {
                self.expect(element, DType::I64, "counts elements");
                let random = Op::Random {
                    dims: [].into_iter().collect(),
                    dtype: declared,
                };
                self.pointwise(&random, &[seed, stream])
            }
            InstOp::CheckIndex { value, guard, .. } => {
                self.guard(guard);
                self.expect(value, DType::I64, "is an index");
                Some(DType::I64)
            }
            InstOp::CheckDivisor { value, .. } => {
                let dtype = self.dtype(value);
                if !dtype.is_int() {
                    self.find(format!(
                        "{value} is {dtype}: only integers are checked as divisors"
                    ));
                }
                Some(dtype)
            }
            InstOp::Accumulate(kind, a) => self.accumulation(kind, a),
            // Has no result, which is found elsewhere.
            InstOp::Store { .. } | InstOp::StoreLocal { .. } => None,
        }
    }

    fn accumulation(&mut self, kind: Combine, value: ValueId) -> Option<DType> {
        let dtype = self.dtype(value);
        if dtype != dtype.compute() {
            self.find(format!("{value} is {dtype}: {HALVES}"));
        }
        let defined = crate::scalar_ops::identity(kind, dtype).is_some();
        if !defined {
            self.find(format!("{kind} is not defined on {dtype}"));
        }
        defined.then_some(dtype)
    }

    fn arithmetic(&mut self, op: &Op, operands: &[ValueId]) -> Option<DType> {
        for &operand in operands {
            let dtype = self.dtype(operand);
            if dtype != dtype.compute() {
                self.find(format!("{operand} is {dtype}: {HALVES}"));
            }
        }
        self.pointwise(op, operands)
    }

    /// The type that the graph operation of the same meaning gives.
    fn pointwise(&mut self, op: &Op, operands: &[ValueId]) -> Option<DType> {
        let types = operands.iter().map(|v| self.dtype(*v));
        let types: Vec<Type> = types.map(|d| Type::Tensor(TensorType::scalar(d))).collect();
        let types: Vec<&Type> = types.iter().collect();
        match infer(op, &types, &mut Vec::new()) {
            Ok(ty) => ty.as_tensor().map(|t| t.dtype),
            Err(error) => {
                self.find(error.to_string());
                None
            }
        }
    }
}
