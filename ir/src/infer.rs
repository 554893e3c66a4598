//! The type of each operation's result.

use crate::{Guard, Op, Type, TypeError};

/// The type of `op` applied to operands of types `inputs`. Conditions on sizes that hold for some
/// values of the symbols only are added to `guards`.
pub fn infer(op: &Op, inputs: &[&Type], guards: &mut Vec<Guard>) -> Result<Type, TypeError> {
    let _ = (op, inputs, guards);
    todo!()
}
