//! Operations that give several results: sorts, graphs inside operations, foreign functions.

use super::{Array, Environment, ForeignTable, InterpError, error::Stop, index};
use crate::{Custom, DType, Graph, HostFn, Op, Scalar, TensorType};
use std::rc::Rc;
use std::sync::Arc;

type Result<T> = std::result::Result<T, Stop>;
type Arrays = Vec<Rc<Array>>;

impl Environment<'_> {
    /// The results, of the given types, of an operation that gives a tuple.
    pub(super) fn tuple(self, op: &Op, x: &[&Rc<Array>], types: &[TensorType]) -> Result<Arrays> {
        let operands = || -> Arrays { x.iter().map(|&t| t.clone()).collect() };
        match op {
            Op::Sort { axis, descending } => index::sort(x, *axis as usize, *descending),
            Op::Call { body, .. } => Ok(self.run(body, &operands())?),
            Op::If { then, other } => {
                let operands = operands();
                let chosen = if is_true(&operands[0])? { then } else { other };
                Ok(self.run(chosen, &operands[1..])?)
            }
            Op::While {
                carries,
                cond,
                body,
            } => self.while_loop(operands(), *carries as usize, cond, body),
            Op::Loop {
                trip,
                carries,
                scanned,
                body,
            } => {
                let trip = self.count(trip)?;
                let counts = [*carries as usize, *scanned as usize];
                self.counted_loop(operands(), trip, counts, body, types)
            }
            Op::Custom { target, .. } => self.custom(target, x, types),
            Op::Input { .. }
            | Op::Const { .. }
            | Op::Size { .. }
            | Op::Iota { .. }
            | Op::Random { .. }
            | Op::Cast { .. }
            | Op::Bitcast { .. }
            | Op::Complex {}
            | Op::Real {}
            | Op::Imag {}
            | Op::Unary { .. }
            | Op::Binary { .. }
            | Op::Compare { .. }
            | Op::Select {}
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Barrier {}
            | Op::Expand { .. }
            | Op::Pad { .. }
            | Op::Slice { .. }
            | Op::Window { .. }
            | Op::Reduce { .. }
            | Op::Contract { .. }
            | Op::Scan { .. }
            | Op::Fold { .. }
            | Op::Gather { .. }
            | Op::Scatter { .. }
            | Op::Get { .. } => Err(Stop::IllTyped),
        }
    }

    fn while_loop(
        self,
        mut operands: Arrays,
        carries: usize,
        cond: &Graph,
        body: &Graph,
    ) -> Result<Arrays> {
        loop {
            let verdict = self.run(cond, &operands)?;
            if !is_true(verdict.first().ok_or(Stop::IllTyped)?)? {
                operands.truncate(carries);
                return Ok(operands);
            }
            let next = self.run(body, &operands)?;
            operands.splice(..carries, next);
        }
    }

    fn counted_loop(
        self,
        operands: Arrays,
        trip: usize,
        [carries, scanned]: [usize; 2],
        body: &Graph,
        types: &[TensorType],
    ) -> Result<Arrays> {
        let (varying, constants) = operands.split_at(carries + scanned);
        let (first, scanned) = varying.split_at(carries);
        let mut carried = first.to_vec();
        let mut stacks = Vec::with_capacity(types.len() - carries);
        for ty in &types[carries..] {
            stacks.push(Array::zeros(ty.dtype, &self.dims(ty)?)?);
        }
        for i in 0..trip {
            let iteration = Scalar::from_i64(DType::I64, i as i64);
            let mut inputs = vec![Rc::new(Array::scalar(iteration))];
            inputs.append(&mut carried);
            inputs.extend(scanned.iter().map(|s| Rc::new(row(s, i, trip))));
            inputs.extend_from_slice(constants);
            let mut results = self.run(body, &inputs)?;
            for (stack, slice) in stacks.iter_mut().zip(results.split_off(carries)) {
                let len = slice.bytes.len();
                stack.bytes[i * len..][..len].copy_from_slice(&slice.bytes);
            }
            carried = results;
        }
        carried.extend(stacks.into_iter().map(Rc::new));
        Ok(carried)
    }

    fn custom(self, target: &Custom, x: &[&Rc<Array>], types: &[TensorType]) -> Result<Arrays> {
        let mut results = Vec::with_capacity(types.len());
        for ty in types {
            results.push(Array::zeros(ty.dtype, &self.dims(ty)?)?);
        }
        let operands: Vec<&Array> = x.iter().map(|a| &***a).collect();
        let outcome = call_foreign(target, self.foreign, &operands, &mut results);
        let name = || -> Arc<str> { target.name().into() };
        outcome
            .ok_or_else(|| InterpError::NoForeignFunction { name: name() })?
            .map_err(|message| InterpError::Foreign {
                name: name(),
                message,
            })?;
        Ok(results.into_iter().map(Rc::new).collect())
    }
}

/// Calls a foreign function; `None` if the table lacks it.
pub(crate) fn call_foreign(
    target: &Custom,
    foreign: ForeignTable<'_>,
    operands: &[&Array],
    results: &mut [Array],
) -> Option<std::result::Result<(), String>> {
    let outcome = match target {
        Custom::Host(_, function) => call_host(&**function, operands, results),
        Custom::Library(name) => foreign(name)?(operands, results),
    };
    results.iter_mut().for_each(normalise);
    Some(outcome)
}

fn call_host(
    function: &HostFn,
    operands: &[&Array],
    results: &mut [Array],
) -> std::result::Result<(), String> {
    let bytes: Vec<&[u8]> = operands.iter().map(|a| &*a.bytes).collect();
    let dims: Vec<Vec<usize>> = operands.iter().map(|a| dims_seen(a)).collect();
    let dims: Vec<&[usize]> = dims.iter().map(|d| &**d).collect();
    let mut out: Vec<&mut [u8]> = results.iter_mut().map(|a| &mut *a.bytes).collect();
    function(&bytes, &dims, &mut out)
}

/// The dims under which closures see an operand: complex numbers are pairs.
fn dims_seen(x: &Array) -> Vec<usize> {
    let pair = x.dtype.is_complex().then_some(2);
    x.dims.iter().copied().chain(pair).collect()
}

/// A foreign function may write any byte as a truth value.
fn normalise(x: &mut Array) {
    if x.dtype == DType::Bool {
        x.bytes.iter_mut().for_each(|b| *b = u8::from(*b != 0));
    }
}

fn is_true(x: &Array) -> Result<bool> {
    x.get(0).map(|s| s.bits() != 0).ok_or(Stop::IllTyped)
}

/// Slice `i` of `trip` along the first axis.
fn row(x: &Array, i: usize, trip: usize) -> Array {
    let len = x.bytes.len() / trip;
    Array {
        dtype: x.dtype,
        dims: x.dims[1..].to_vec(),
        bytes: x.bytes[i * len..][..len].to_vec(),
    }
}
