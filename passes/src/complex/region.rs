//! Operations with several results: bodies take and give pairs, and results are regrouped.

use super::{Interface, Pair, Split, Value, interleaved, misused, pair};
use crate::PassError;
use crate::build::Emit;
use lazulite_ir::{Graph, Node, NodeId, Op, TensorType, Type};
use std::sync::Arc;

/// The graphs inside an operation.
pub(super) fn bodies(op: &Op) -> Vec<&Arc<Graph>> {
    match op {
        Op::Call { body, .. } | Op::Loop { body, .. } => vec![body],
        Op::If { then, other } => vec![then, other],
        Op::While { cond, body, .. } => vec![cond, body],
        _ => vec![],
    }
}

/// The types of a tuple.
fn results(node: &Node) -> Result<&[TensorType], PassError> {
    match &node.ty {
        Type::Tuple(types) => Ok(types),
        Type::Tensor(_) => Err(misused()),
    }
}

impl Split<'_, '_> {
    /// Control flow and calls.
    pub(super) fn region(&mut self, node: &Node) -> Result<Value, PassError> {
        let mut op = self.bodies.map(&node.op, &mut |body, bodies| {
            Split::new(body, Interface::Pairs, bodies).run()
        })?;
        match &mut op {
            Op::While { carries, .. } => *carries = self.flat_count(node, 0..*carries)?,
            Op::Loop {
                carries, scanned, ..
            } => {
                let end = carries.saturating_add(*scanned);
                *scanned = self.flat_count(node, *carries..end)?;
                *carries = self.flat_count(node, 0..*carries)?;
            }
            _ => {}
        }
        let operands = self.flat(&node.inputs)?;
        let tuple = self.builder.emit(op, &operands)?;
        self.regroup(tuple, results(node)?)
    }

    /// Sorting: complex payloads are two payloads.
    pub(super) fn sort(&mut self, node: &Node) -> Result<Value, PassError> {
        let operands = self.flat(&node.inputs)?;
        let tuple = self.builder.emit(node.op.clone(), &operands)?;
        self.regroup(tuple, results(node)?)
    }

    /// Foreign functions see real tensors with a last axis for the parts.
    pub(super) fn custom(&mut self, node: &Node) -> Result<Value, PassError> {
        let Op::Custom { target, results } = &node.op else {
            return Err(misused());
        };
        let mut operands = Vec::new();
        for &input in &node.inputs {
            operands.push(match self.value(input)?.clone() {
                Value::Real(x) => x,
                Value::Complex(z) => pair::interleave(&mut self.builder, z)?,
                Value::Tuple(_) => return Err(misused()),
            });
        }
        let op = Op::Custom {
            target: target.clone(),
            results: results.iter().map(interleaved).collect(),
        };
        let tuple = self.builder.emit(op, &operands)?;
        let mut values = Vec::new();
        for (i, ty) in results.iter().enumerate() {
            let result = self.builder.get(tuple, i)?;
            values.push(if ty.dtype.is_complex() {
                Value::Complex(pair::deinterleave(&mut self.builder, result)?)
            } else {
                Value::Real(result)
            });
        }
        Ok(Value::Tuple(values.into()))
    }

    /// The operands, pairs one part after the other.
    fn flat(&self, ids: &[NodeId]) -> Result<Vec<NodeId>, PassError> {
        let mut flat = Vec::new();
        for &id in ids {
            match self.value(id)? {
                Value::Real(x) => flat.push(*x),
                Value::Complex(z) => flat.extend([z.re, z.im]),
                Value::Tuple(_) => return Err(misused()),
            }
        }
        Ok(flat)
    }

    /// How many real operands these operands are.
    fn flat_count(&self, node: &Node, range: std::ops::Range<u32>) -> Result<u32, PassError> {
        let operands = node.inputs.get(range.start as usize..range.end as usize);
        let flat = self.flat(operands.ok_or_else(misused)?)?;
        Ok(flat.len() as u32)
    }

    /// The results of a flattened tuple as values of the original types.
    fn regroup(&mut self, tuple: NodeId, types: &[TensorType]) -> Result<Value, PassError> {
        let mut index = 0;
        let mut next = || {
            index += 1;
            self.builder.get(tuple, index - 1)
        };
        let mut values = Vec::new();
        for ty in types {
            values.push(if ty.dtype.is_complex() {
                Value::Complex(Pair {
                    re: next()?,
                    im: next()?,
                })
            } else {
                Value::Real(next()?)
            });
        }
        Ok(Value::Tuple(values.into()))
    }
}
