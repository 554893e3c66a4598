//! Removal of definitions that nothing uses.

use crate::vector::{Function, MemAccess, Op, Reg, Scalar, ScalarOp, Stmt};

/// Removes registers, scalars and variables without use, loops and conditions left empty. One pass
/// from the end: uses come after definitions, but for variables, whose reads all count as used.
pub(super) fn prune(function: &mut Function) {
    let mut uses = Uses {
        regs: vec![false; function.regs.len()],
        scalars: vec![false; function.scalars as usize],
        vars: vec![false; function.vars.len()],
    };
    uses.reads(&function.body);
    uses.block(&mut function.body);
}

struct Uses {
    regs: Vec<bool>,
    scalars: Vec<bool>,
    vars: Vec<bool>,
}

impl Uses {
    /// Marks the variables read anywhere.
    fn reads(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Let(_, Op::Get(var)) => self.vars[var.0 as usize] = true,
                Stmt::For { body, .. } | Stmt::IfNonZero(_, body) | Stmt::IfAny(_, body) => {
                    self.reads(body);
                }
                Stmt::Let(..)
                | Stmt::Scalar(..)
                | Stmt::Set(..)
                | Stmt::Store { .. }
                | Stmt::Fault { .. } => {}
            }
        }
    }

    fn reg(&mut self, reg: Reg) {
        self.regs[reg.0 as usize] = true;
    }

    fn scalar(&mut self, scalar: Scalar) {
        self.scalars[scalar.0 as usize] = true;
    }

    /// Prunes a block behind which everything used is marked, and marks what it uses itself.
    fn block(&mut self, body: &mut Vec<Stmt>) {
        let mut kept = Vec::with_capacity(body.len());
        while let Some(mut stmt) = body.pop() {
            if self.keep(&mut stmt) {
                kept.push(stmt);
            }
        }
        kept.reverse();
        *body = kept;
    }

    /// Whether a statement is needed; if so, its operands are marked.
    fn keep(&mut self, stmt: &mut Stmt) -> bool {
        match stmt {
            Stmt::Let(reg, op) => {
                if self.regs[reg.0 as usize] {
                    self.op(*op);
                }
                self.regs[reg.0 as usize]
            }
            Stmt::Scalar(scalar, op) => {
                if self.scalars[scalar.0 as usize] {
                    self.scalar_op(*op);
                }
                self.scalars[scalar.0 as usize]
            }
            Stmt::Set(var, value) => {
                if self.vars[var.0 as usize] {
                    self.reg(*value);
                }
                self.vars[var.0 as usize]
            }
            Stmt::Store {
                address,
                access,
                value,
                mask,
                ..
            } => {
                let place = access.register().into_iter().chain(*mask);
                place.chain([*value]).for_each(|reg| self.reg(reg));
                self.place(*address, *access);
                true
            }
            Stmt::For {
                after,
                from,
                to,
                body,
                ..
            } => {
                let wanted = self.scalars[after.0 as usize];
                self.inner(body, wanted, |uses| {
                    uses.scalar(*from);
                    uses.scalar(*to);
                })
            }
            Stmt::IfNonZero(scalar, body) => self.inner(body, false, |uses| uses.scalar(*scalar)),
            Stmt::IfAny(mask, body) => self.inner(body, false, |uses| uses.reg(*mask)),
            Stmt::Fault {
                mask, value, bound, ..
            } => {
                self.reg(*mask);
                self.reg(*value);
                self.scalar(*bound);
                true
            }
        }
    }

    /// Prunes a body; whether its statement is needed, whose operands `mark` then marks.
    fn inner(&mut self, body: &mut Vec<Stmt>, wanted: bool, mark: impl FnOnce(&mut Uses)) -> bool {
        self.block(body);
        let used = wanted || !body.is_empty();
        if used {
            mark(self);
        }
        used
    }

    fn place(&mut self, address: Scalar, access: MemAccess) {
        self.scalar(address);
        match access {
            MemAccess::Strided(stride) => self.scalar(stride),
            MemAccess::Contiguous | MemAccess::Broadcast | MemAccess::Indexed(_) => {}
        }
    }

    fn op(&mut self, op: Op) {
        op.registers().for_each(|reg| self.reg(reg));
        match op {
            Op::Splat(scalar) | Op::Ramp(scalar, _) => self.scalar(scalar),
            Op::Load {
                address, access, ..
            } => self.place(address, access),
            Op::Const(_)
            | Op::Get(_)
            | Op::Unary(..)
            | Op::Convert(..)
            | Op::Horizontal(..)
            | Op::SplatLane(_)
            | Op::Binary(..)
            | Op::Compare(..)
            | Op::Fma(..)
            | Op::Select(..) => {}
        }
    }

    fn scalar_op(&mut self, op: ScalarOp) {
        for scalar in op.operands().into_iter().flatten() {
            self.scalar(scalar);
        }
        if let Some(reg) = op.register() {
            self.reg(reg);
        }
    }
}
