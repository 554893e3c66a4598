//! What an instruction refers to: the values it takes and the index expressions it evaluates. Values
//! that occur inside an index expression are not listed among the operands; who needs them visits
//! the expression too.

use super::{IndexExpr, InstOp, ValueId};

/// One body for shared and mutable access.
macro_rules! visit_operands {
    ($op:expr, $visit:expr) => {{
        let visit = $visit;
        match $op {
            InstOp::Const(_)
            | InstOp::Index(_)
            | InstOp::InRange { .. }
            | InstOp::LoadLocal { .. } => {}
            InstOp::Load { guard, .. } => guard.into_iter().for_each(visit),
            InstOp::Store { value, guard, .. } => {
                visit(value);
                guard.into_iter().for_each(visit);
            }
            InstOp::CheckIndex { value, guard, .. } => {
                visit(value);
                guard.into_iter().for_each(visit);
            }
            InstOp::StoreLocal { value, .. }
            | InstOp::CheckDivisor { value, .. }
            | InstOp::Unary(_, value)
            | InstOp::Cast(value)
            | InstOp::Bitcast(value)
            | InstOp::Accumulate(_, value) => visit(value),
            InstOp::Binary(_, a, b) | InstOp::Compare(_, a, b) => {
                visit(a);
                visit(b);
            }
            InstOp::Select(c, a, b) => {
                visit(c);
                visit(a);
                visit(b);
            }
            InstOp::Random {
                seed,
                stream,
                element,
            } => {
                visit(seed);
                visit(stream);
                visit(element);
            }
        }
    }};
}

macro_rules! index {
    ($op:expr) => {
        match $op {
            InstOp::Index(index)
            | InstOp::InRange { index, .. }
            | InstOp::Load { index, .. }
            | InstOp::LoadLocal { index, .. }
            | InstOp::Store { index, .. }
            | InstOp::StoreLocal { index, .. } => Some(index),
            InstOp::Const(_)
            | InstOp::Unary(..)
            | InstOp::Binary(..)
            | InstOp::Compare(..)
            | InstOp::Select(..)
            | InstOp::Cast(_)
            | InstOp::Bitcast(_)
            | InstOp::Random { .. }
            | InstOp::CheckIndex { .. }
            | InstOp::CheckDivisor { .. }
            | InstOp::Accumulate(..) => None,
        }
    };
}

impl InstOp {
    /// Calls `visit` for every operand, guards included.
    pub fn visit_operands(&self, visit: &mut dyn FnMut(ValueId)) {
        let visit = &mut |v: &ValueId| visit(*v);
        visit_operands!(self, visit);
    }

    /// Calls `visit` for every operand, for replacement.
    pub fn visit_operands_mut(&mut self, visit: &mut dyn FnMut(&mut ValueId)) {
        visit_operands!(self, visit);
    }

    /// The index expression, for instructions that have one.
    pub fn index(&self) -> Option<&IndexExpr> {
        index!(self)
    }

    /// The index expression, for replacement.
    pub fn index_mut(&mut self) -> Option<&mut IndexExpr> {
        index!(self)
    }
}
