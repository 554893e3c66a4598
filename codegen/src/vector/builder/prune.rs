//! Removal of definitions that nothing uses.

use crate::vector::{Function, Op, Stmt, statements};

/// Removes registers, scalars and variables without use, loops and conditions left empty. One pass
/// from the end: uses come after definitions, but for variables, whose reads all count as used.
pub(super) fn prune(function: &mut Function) {
    let mut uses = Uses {
        regs: vec![false; function.regs.len()],
        scalars: vec![false; function.scalars as usize],
        vars: vec![false; function.vars.len()],
    };
    for stmt in statements(&function.body) {
        if let Stmt::Let(_, Op::Get(var)) = stmt {
            uses.vars[var.0 as usize] = true;
        }
    }
    uses.block(&mut function.body);
}

struct Uses {
    regs: Vec<bool>,
    scalars: Vec<bool>,
    vars: Vec<bool>,
}

impl Uses {
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
        if let Some(body) = stmt.body_mut() {
            self.block(body);
        }
        let needed = match stmt {
            Stmt::Let(reg, _) => self.regs[reg.0 as usize],
            Stmt::Scalar(scalar, _) => self.scalars[scalar.0 as usize],
            Stmt::Set(var, _) => self.vars[var.0 as usize],
            Stmt::For { after, body, .. } => self.scalars[after.0 as usize] || !body.is_empty(),
            Stmt::IfNonZero(_, body) | Stmt::IfAny(_, body) => !body.is_empty(),
            Stmt::Store { .. } | Stmt::Fault { .. } => true,
        };
        if needed {
            { stmt.registers() }.for_each(|reg| self.regs[reg.0 as usize] = true);
            { stmt.scalars() }.for_each(|scalar| self.scalars[scalar.0 as usize] = true);
        }
        needed
    }
}
