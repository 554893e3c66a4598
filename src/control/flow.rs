//! Branches and loops.

use super::{body, region, types};
use crate::engine::RegionKind;
use crate::error::Result;
use crate::ops::{attempt_list, bad_shape};
use crate::tensor::{Tensor, internal};
use lazulite_ir::{DType, Dim, TensorType};
use std::cell::RefCell;
use std::sync::Arc;

/// What `then` computes from the operands if `condition` (one bool) holds, else what `other` does; only
/// that one runs. Both must give results of the same types. A single tensor carries the error if there is
/// one.
///
/// ```
/// use lazulite::{cond, prelude::*};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// let y = cond(&x.sum(..).gt(0), &[&x], |x| vec![&x[0] * 10.0], |x| vec![-&x[0]]);
/// assert_eq!(y[0].to_vec::<f32>()?, [10.0, 20.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn cond(
    condition: &Tensor,
    operands: &[&Tensor],
    then: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    other: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Vec<Tensor> {
    attempt_list(|| {
        let condition = decision("cond", condition)?;
        let types = types(operands)?;
        let (then, other) = (body(&types, then)?, body(&types, other)?);
        let results = then.result_types();
        if results != other.result_types() {
            let message = format!(
                "the branches give results of different types: {} and {}",
                listed(&results),
                listed(&other.result_types())
            );
            return Err(bad_shape("cond", message));
        }
        let all: Vec<&Tensor> = [&condition]
            .into_iter()
            .chain(operands.iter().copied())
            .collect();
        region(RegionKind::Branch, vec![then, other], &all, results)
    })
}

/// As long as `condition` of the carried tensors holds, these become what `step` makes of them, which
/// must have the same types. There are forward-mode derivatives only, since nobody knows how often it
/// runs; see [`scan`].
///
/// ```
/// use lazulite::{prelude::*, while_loop};
/// let start = Tensor::full((), 1.0);
/// let end = while_loop(&[&start], |x| x[0].lt(100.0), |x| vec![&x[0] * 3.0]);
/// assert_eq!(end[0].item::<f32>()?, 243.0);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn while_loop(
    carried: &[&Tensor],
    condition: impl FnOnce(&[Tensor]) -> Tensor,
    step: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Vec<Tensor> {
    attempt_list(|| {
        // The number of the turn is carried along, for random draws.
        let mut types = types(carried)?;
        types.insert(0, Arc::new(TensorType::scalar(DType::I64)));
        let condition = body(&types, |x| {
            let _turn = Turn::begin(&x[0]);
            vec![decision("while_loop", &condition(&x[1..])).unwrap_or_else(Tensor::error)]
        })?;
        let step = body(&types, |x| {
            let _turn = Turn::begin(&x[0]);
            let mut next = vec![x[0].add(1)];
            next.extend(step(&x[1..]));
            next
        })?;
        same_types("while_loop", &types[1..], &step.result_types()[1..])?;
        let first = Tensor::full_of((), 0, DType::I64);
        let operands: Vec<&Tensor> = [&first]
            .into_iter()
            .chain(carried.iter().copied())
            .collect();
        let mut results = region(RegionKind::Repeat, vec![condition, step], &operands, types)?;
        results.remove(0);
        Ok(results)
    })
}

/// Runs `step` for every slice of `scanned` along their first axis, of which there must be the same
/// number. It is given the carried tensors and the slices, and returns the carried ones for the next
/// turn (of the same types) and tensors to be stacked. The result holds the last carried tensors, then the
/// stacks.
///
/// Gradients flow through it; program size and compile time do not depend on the number of turns.
///
/// ```
/// use lazulite::{prelude::*, scan};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3]);
/// let out = scan(&[&Tensor::zeros(())], &[&x], |carried, x| {
///     let sum = &carried[0] + &x[0];
///     (vec![sum.clone()], vec![sum * 10.0])
/// });
/// assert_eq!(out[0].item::<f32>()?, 6.0);
/// assert_eq!(out[1].to_vec::<f32>()?, [10.0, 30.0, 60.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn scan(
    carried: &[&Tensor],
    scanned: &[&Tensor],
    step: impl FnOnce(&[Tensor], &[Tensor]) -> (Vec<Tensor>, Vec<Tensor>),
) -> Vec<Tensor> {
    attempt_list(|| {
        let (carries, slices) = (types(carried)?, types(scanned)?);
        let trip = trip(&slices)?;
        let iteration = Arc::new(TensorType::scalar(DType::I64));
        let mut parameters = vec![iteration];
        parameters.extend(carries.iter().cloned());
        for ty in &slices {
            let dims = ty.dims[1..].iter().cloned();
            parameters.push(Arc::new(TensorType::new(ty.dtype, dims)));
        }
        let count = RefCell::new(0);
        let step = body(&parameters, |x| {
            let _turn = Turn::begin(&x[0]);
            let (carried, slices) = x[1..].split_at(carries.len());
            let (mut next, stacked) = step(carried, slices);
            *count.borrow_mut() = next.len();
            next.extend(stacked);
            next
        })?;
        let mut results = step.result_types();
        if *count.borrow() > results.len() {
            return Err(internal("scan", "results are missing"));
        }
        same_types("scan", &carries, &results[..*count.borrow()])?;
        for ty in &mut results[carries.len()..] {
            let dims = [trip.clone()].into_iter().chain(ty.dims.iter().cloned());
            *ty = Arc::new(TensorType::new(ty.dtype, dims));
        }
        let kind = RegionKind::Scan {
            trip,
            carries: carries.len(),
            scanned: slices.len(),
        };
        let operands: Vec<&Tensor> = carried.iter().chain(scanned).copied().collect();
        region(kind, vec![step], &operands, results)
    })
}

/// The common length of scanned tensors.
#[track_caller]
fn trip(scanned: &[Arc<TensorType>]) -> Result<Dim> {
    let mut trip: Option<&Dim> = None;
    for ty in scanned {
        let Some(length) = ty.dims.first() else {
            return Err(bad_shape("scan", "a 0-d tensor has no axis to go along"));
        };
        if trip.is_some_and(|t| t.compare_eq(length) == Some(false)) {
            let message = "the scanned tensors differ in the size of their first axis";
            return Err(bad_shape("scan", message));
        }
        trip = Some(length);
    }
    let hint = "to run a number of times, scan over `Tensor::arange(0, count, 1)`";
    trip.cloned()
        .ok_or_else(|| bad_shape("scan", "there is no tensor to go along").hint(hint))
}

/// A condition as one bool.
#[track_caller]
fn decision(op: &'static str, condition: &Tensor) -> Result<Tensor> {
    let ty = &condition.node()?.ty;
    if ty.dtype != DType::Bool || !ty.dims.iter().all(|d| d.is(1)) {
        let error = bad_shape(op, "a condition is one bool");
        return Err(error.operand(condition.note("condition")));
    }
    Ok(condition.reshape(Vec::<i64>::new()))
}

#[track_caller]
fn same_types(
    op: &'static str,
    before: &[Arc<TensorType>],
    after: &[Arc<TensorType>],
) -> Result<()> {
    if before == after {
        return Ok(());
    }
    let message = format!(
        "what is carried changes its types: {} becomes {}",
        listed(before),
        listed(after)
    );
    Err(bad_shape(op, message)
        .hint("cast or reshape it so that every turn takes and gives the same"))
}

fn listed(types: &[Arc<TensorType>]) -> String {
    let types: Vec<String> = types.iter().map(|ty| ty.to_string()).collect();
    format!("({})", types.join(", "))
}

thread_local! {
    /// The numbers of the turns of the loops being recorded, outermost first.
    static TURNS: RefCell<Vec<Tensor>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, the body of a loop is being recorded.
struct Turn;

impl Turn {
    fn begin(iteration: &Tensor) -> Turn {
        TURNS.with_borrow_mut(|turns| turns.push(iteration.clone()));
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TURNS.with_borrow_mut(Vec::pop);
    }
}

/// The numbers of the turns, while bodies of loops are being recorded: random draws depend on them.
pub(crate) fn turns() -> Vec<Tensor> {
    TURNS.with_borrow(Clone::clone)
}
