//! Running programs on the values of nodes, and their errors as the facade's.

use super::cache::Served;
use super::specialise::Assignment;
use super::trace::Trace;
use super::{CACHE, History, devices};
use crate::device::{Device, Executable, Given, Value};
use crate::error::{Checked, Error, ErrorKind, OperandNote, Result};
use crate::indexed::{Told, operands};
use crate::tensor::{Literal, Node, Recorded, Tensor, internal};
use lazulite_ir::{Graph, TensorType};
use lazulite_runtime::{Buffer, Pool, RunError, SizeError};
use smallvec::SmallVec;
use std::sync::Arc;

/// What a program runs on. Values that are lent to it may be overwritten; unless the program has run they come back
/// when this is dropped.
pub(crate) struct Inputs<'a> {
    program: &'a Executable,
    given: Given,
    loans: Vec<Loan>,
    /// The program has run.
    ran: bool,
}

/// A value lent to a program.
struct Loan {
    /// Which input it is.
    input: usize,
    /// Who gets it back.
    node: Arc<Node>,
    /// After the program has run, nobody needs a value from that node; otherwise the caller enters another one.
    ends: bool,
}

impl<'a> Inputs<'a> {
    /// None yet.
    #[inline]
    pub fn of(program: &'a Executable) -> Inputs<'a> {
        Inputs {
            program,
            given: Given::to(program),
            loans: Vec::new(),
            ran: false,
        }
    }

    /// A value that stays as it is.
    #[inline]
    pub fn keep(&mut self, value: impl Into<Value>) -> Result<()> {
        self.given.keep(value.into())
    }

    /// The value of a node, which stays as it is; `false` if there is none.
    #[inline]
    pub fn keep_value_of(&mut self, node: &Node) -> Result<bool> {
        if node.with_value(|value| self.given.share(value)) == Some(true) {
            return Ok(true);
        }
        match node.value() {
            Some(value) => self.keep(value).map(|()| true),
            None => Ok(false),
        }
    }

    /// Lends the value of a node to which nobody has a way but who computes from it, if `value` is all that holds it.
    fn lend(&mut self, value: Value, node: &Arc<Node>) -> Result<()> {
        if node.lend() {
            self.give_up(value, node.clone(), true)
        } else {
            self.keep(value)
        }
    }

    /// Lends a value that no node holds any more; it goes to `next`, which has none, unless the program runs. If it
    /// does, the caller enters another one there.
    pub fn lend_for(&mut self, value: Value, next: Arc<Node>) -> Result<()> {
        self.give_up(value, next, false)
    }

    fn give_up(&mut self, value: Value, node: Arc<Node>, ends: bool) -> Result<()> {
        let input = self.given.len();
        if let Err((value, error)) = self.given.push(value, true) {
            node.finish(value, History::Kept);
            return Err(error);
        }
        self.loans.push(Loan { input, node, ends });
        Ok(())
    }

    /// Runs the program.
    pub fn run(mut self, sizes: &[i64], pool: &Pool) -> Result<(Values, Overwritten)> {
        let mut values = Values::new();
        self.run_each(sizes, pool, |value| values.push(value))?;
        let ended = self.loans.drain(..).filter(|loan| loan.ends);
        Ok((values, Overwritten(ended.map(|loan| loan.node).collect())))
    }

    /// As [`Inputs::run`], but hands the results out one after the other, once the run has succeeded. Values that were
    /// overwritten are spent when this is dropped.
    #[inline]
    pub fn run_each(&mut self, sizes: &[i64], pool: &Pool, each: impl FnMut(Value)) -> Result<()> {
        self.program.run_each(&mut self.given, sizes, pool, each)?;
        self.ran = true;
        Ok(())
    }
}

/// Nodes whose values a program has overwritten. To be dropped when the program's results are entered: who waits for
/// them meanwhile finds the results then.
pub(crate) struct Overwritten(Vec<Arc<Node>>);

impl Drop for Overwritten {
    fn drop(&mut self) {
        self.0.iter().for_each(|node| node.spend());
    }
}

impl Overwritten {
    /// None at all.
    pub fn none() -> Overwritten {
        Overwritten(Vec::new())
    }
}

impl Drop for Inputs<'_> {
    #[inline]
    fn drop(&mut self) {
        while let Some(loan) = self.loans.pop() {
            if !self.ran {
                // Its inputs are as they were.
                let value = self.given.take(loan.input);
                loan.node.finish(value, History::Kept);
            } else if loan.ends {
                loan.node.spend();
            }
        }
    }
}

/// Runs the program that serves a trace.
pub(super) fn run(
    trace: &mut Trace,
    served: &Served,
    pool: &Pool,
    device: Device,
) -> Result<(Values, Overwritten)> {
    devices::bring_leaves(trace, device)?;
    let version = &served.version;
    let mut inputs = Inputs::of(&version.program);
    let may_overwrite = !version.program.calls_host();
    for (i, &leaf) in trace.leaves.iter().enumerate() {
        let listed = &mut trace.nodes[leaf as usize];
        let Some(value) = listed.value.take() else {
            return Err(internal("realize", "a parameter has no value"));
        };
        if may_overwrite && trace.expendable.get(i) == Some(&true) {
            inputs.lend(value, &listed.node)?;
        } else {
            inputs.keep(value)?;
        }
    }
    let constants = trace.literals.iter().zip(&version.domain.pattern.literals);
    for (literal, _) in constants.filter(|(_, constant)| constant.is_none()) {
        inputs.keep(literal_buffer(*literal)?)?;
    }
    inputs.run(&served.values, pool)
}

/// Results of a program.
pub(crate) type Values = SmallVec<[Value; 4]>;

/// The number as the value of a 0-d parameter.
pub(crate) fn literal_buffer(literal: Literal) -> Result<Buffer> {
    let bytes = u128::from(literal.bits).to_le_bytes();
    Buffer::from_bytes(&bytes[..literal.dtype.size()]).map_err(|e| memory_error(&e.to_string()))
}

/// The error of a run as the facade's.
pub(crate) fn run_error(error: RunError) -> Error {
    let new = |kind, message: String| Error::new(kind, "realize", message);
    match error {
        RunError::Fault {
            what,
            location,
            value,
            bound,
        } => match what.rsplit_once(" along axis ") {
            Some((_, axis)) => new(
                ErrorKind::Fault,
                format!("{what}: found {value}, the bound is {bound}"),
            )
            .located(location)
            .of_check()
            .of_index(value, bound, axis.parse().ok()),
            // Divisions by zero have no bound.
            None => new(ErrorKind::Fault, what)
                .named("divide")
                .located(location),
        },
        RunError::Custom {
            what,
            location,
            message,
        } => new(ErrorKind::Host, format!("{what}: {message}"))
            .located(location)
            .of_function(&message),
        RunError::Alloc(e) => memory_error(&e.to_string()),
        RunError::Size {
            of: _,
            error: SizeError::Overflow,
        } => memory_error("it takes more bytes than can be addressed"),
        // Checked before the program was chosen.
        RunError::InputCount { .. }
        | RunError::SizeCount { .. }
        | RunError::NegativeSize { .. }
        | RunError::InputBytes { .. }
        | RunError::Guard { .. }
        | RunError::Size { .. }
        | RunError::Inconsistent(_) => new(ErrorKind::Internal, error.to_string()),
    }
}

pub(super) fn memory_error(message: &str) -> Error {
    Error::new(ErrorKind::Memory, "realize", message)
}

/// Gives an error of a running program, which knows its place as text, the place itself and the name of
/// the operation; and one about memory the tensor that takes most of it.
pub(super) fn placed(error: Error, trace: &Trace) -> Error {
    if error.kind() == ErrorKind::Memory && error.place().is_none() {
        let largest = { trace.nodes.iter() }.max_by_key(|n| bytes(&n.node.ty));
        return match largest {
            Some(largest) => largest_in(error, &largest.node),
            None => error,
        };
    }
    let Some(text) = error.location() else {
        return error;
    };
    let mut here: Vec<&Arc<Node>> = { CACHE.positions(trace, text).into_iter() }
        .filter_map(|i| Some(&trace.nodes.get(i)?.node))
        .collect();
    if here.is_empty() {
        let nodes = trace.nodes.iter().map(|n| &n.node);
        here = nodes.filter(|n| n.place.to_string() == text).collect();
    }
    let Some(first) = here.first() else {
        return error;
    };
    let error = error.at(first.place);
    // The program may have been compiled for operands of other sizes.
    if error.is_of_check() {
        let checked = here.iter().find_map(|n| Checked::by(n.trail.as_deref()?));
        return match checked {
            Some(checked) => error.with_operands(vec![checked.operand()]),
            None => error,
        };
    }
    let told = here.iter().find_map(|n| {
        let told = Told::by(n.trail.as_deref()?)?;
        (told.op_and_trail().0 == error.op()).then(|| operands(&told))
    });
    let failing = here.iter().find_map(|n| Some((n, n.op.failing()?)));
    match (told, failing) {
        (Some(operands), _) => error.with_operands(operands),
        (None, Some((node, op))) => error.named(op).with_operands(divided(node)),
        (None, None) => error,
    }
}

/// The operands of a division, for the error of one by zero.
fn divided(node: &Node) -> Vec<OperandNote> {
    if !matches!(node.op, Recorded::Binary(_)) {
        return Vec::new();
    }
    let operands = node.operands();
    let each = operands.iter().zip(["self", "other"]);
    let noted = each.filter_map(|(operand, role)| {
        let tensor = Tensor(Ok(operand.node()?.clone()));
        Some(tensor.note(role))
    });
    noted.collect()
}

/// The bytes of a tensor whose sizes are known.
fn bytes(ty: &TensorType) -> Option<u128> {
    let element = ty.dtype.size() as u128;
    let sizes = ty.const_dims()?;
    let sizes = sizes.iter().map(|size| *size as u128);
    Some(sizes.fold(element, u128::saturating_mul))
}

/// An error of a program whose caller chose the sizes: one about memory gets the largest tensor of its graph.
pub(crate) fn sized(error: Error, graph: &Graph, sizes: &Assignment<'_>) -> Error {
    if error.kind() != ErrorKind::Memory {
        return error;
    }
    let tensors = graph.ids().zip(graph.nodes()).filter_map(|(id, node)| {
        let ty = sizes.tensor_type(node.ty.as_tensor()?)?;
        Some((id, ty))
    });
    let Some((id, ty)) = tensors.max_by_key(|(_, ty)| bytes(ty)) else {
        return error;
    };
    let error = error.operand(OperandNote {
        role: "largest",
        ty: ty.to_string(),
        place: None,
    });
    match graph.source(id) {
        Some(source) => error.hint(format!("the largest tensor is that of {}", source.place())),
        None => error,
    }
}

/// An error about memory, with the largest tensor of the program that lacks it.
fn largest_in(error: Error, node: &Node) -> Error {
    error.at(node.place).operand(OperandNote {
        role: "largest",
        ty: node.ty.to_string(),
        place: Some(node.place),
    })
}
