//! Operations that combine many elements into one.

use super::pointwise;
use super::walk::{others, pick, positions, row_major, walk};
use super::{Array, ArrayError, error::Stop};
use crate::element::{Element, with_element};
use crate::{Combine, Op};

type Result<T> = std::result::Result<T, Stop>;

/// A vector of `len` equal values, if there is memory for it.
pub(super) fn try_vec<T: Clone>(len: usize, value: T, of: &Array) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(len)
        .map_err(|_| ArrayError::Memory {
            dtype: of.dtype,
            dims: of.dims.clone(),
        })?;
    list.resize(len, value);
    Ok(list)
}

pub(super) fn reduce(x: &Array, kind: Combine, axes: &[u32], dims: &[usize]) -> Result<Array> {
    with_element!(x.dtype, T => reduce_as::<T>(x, kind, axes, dims))
}

fn reduce_as<T: Element>(x: &Array, kind: Combine, axes: &[u32], dims: &[usize]) -> Result<Array> {
    let combine = T::Acc::combine(kind).ok_or(Stop::IllTyped)?;
    let identity = T::Acc::identity(kind).ok_or(Stop::IllTyped)?;
    let strides = row_major(&x.dims);
    let kept = pick(&strides, others(x.dims.len(), axes));
    let reduced = pick(&strides, positions(axes));
    let extents = pick(&x.dims, positions(axes));
    let mut out = Array::zeros(x.dtype, dims)?;
    let out_strides = row_major(dims);
    walk(dims, [&kept, &out_strides], |[base, target]| {
        let mut acc = identity;
        walk(&extents, [&reduced], |[offset]| {
            acc = combine(acc, T::load(&x.bytes, (base + offset) as usize).widen());
        });
        T::narrow(acc).store(&mut out.bytes, target as usize);
    });
    Ok(out)
}

pub(super) fn scan(x: &Array, kind: Combine, axis: usize, reverse: bool) -> Result<Array> {
    with_element!(x.dtype, T => scan_as::<T>(x, kind, axis, reverse))
}

fn scan_as<T: Element>(x: &Array, kind: Combine, axis: usize, reverse: bool) -> Result<Array> {
    let combine = T::Acc::combine(kind).ok_or(Stop::IllTyped)?;
    let identity = T::Acc::identity(kind).ok_or(Stop::IllTyped)?;
    let strides = row_major(&x.dims);
    let mut lines = x.dims.clone();
    let len = std::mem::replace(&mut lines[axis], 1);
    let mut out = Array::zeros(x.dtype, &x.dims)?;
    if len == 0 {
        return Ok(out);
    }
    walk(&lines, [&strides], |[base]| {
        let mut acc = identity;
        for i in 0..len {
            let place = if reverse { len - 1 - i } else { i };
            let at = (base + strides[axis] * place as isize) as usize;
            acc = combine(acc, T::load(&x.bytes, at).widen());
            T::narrow(acc).store(&mut out.bytes, at);
        }
    });
    Ok(out)
}

pub(super) fn contract(op: &Op, operands: [&Array; 2], dims: &[usize]) -> Result<Array> {
    let Op::Contract {
        lhs_batch,
        rhs_batch,
        lhs_sum,
        rhs_sum,
        acc,
    } = op
    else {
        return Err(Stop::IllTyped);
    };
    let axes: [[&[u32]; 2]; 2] = [[lhs_batch, lhs_sum], [rhs_batch, rhs_sum]];
    let lhs = pointwise::cast(operands[0], *acc)?;
    let rhs = pointwise::cast(operands[1], *acc)?;
    with_element!(*acc, T => contract_as::<T>([&lhs, &rhs], axes, dims))
}

/// Strides of one operand along the result's axes (0 along those it does not have) and along the
/// summed axes.
struct Sides {
    result: Vec<isize>,
    summed: Vec<isize>,
}

/// `axes` holds, for each operand, batch and summed axes.
fn contract_as<T: Element>(
    operands: [&Array; 2],
    axes: [[&[u32]; 2]; 2],
    dims: &[usize],
) -> Result<Array> {
    let undefined = || Stop::IllTyped;
    let add = T::Acc::combine(Combine::Sum).ok_or_else(undefined)?;
    let mul = T::Acc::combine(Combine::Prod).ok_or_else(undefined)?;
    let zero = T::Acc::identity(Combine::Sum).ok_or_else(undefined)?;
    let batches = axes[0][0].len();
    let mut free_before = 0;
    let sides = [0, 1].map(|side| {
        let ([batch, sum], x) = (axes[side], operands[side]);
        let strides = row_major(&x.dims);
        let free = pick(&strides, others(x.dims.len(), &[batch, sum].concat()));
        let mut result = vec![0; dims.len()];
        result[..batches].copy_from_slice(&pick(&strides, positions(batch)));
        result[batches + free_before..][..free.len()].copy_from_slice(&free);
        free_before += free.len();
        let summed = pick(&strides, positions(sum));
        Sides { result, summed }
    });
    let [lhs, rhs] = operands;
    let summed = pick(&lhs.dims, positions(axes[0][1]));
    let mut out = Array::zeros(T::DTYPE, dims)?;
    let places = row_major(dims);
    let along = [&*sides[0].result, &sides[1].result, &places];
    walk(dims, along, |[left, right, target]| {
        let mut acc = zero;
        walk(&summed, [&sides[0].summed, &sides[1].summed], |[i, j]| {
            let a = T::load(&lhs.bytes, (left + i) as usize).widen();
            let b = T::load(&rhs.bytes, (right + j) as usize).widen();
            acc = add(acc, mul(a, b));
        });
        T::narrow(acc).store(&mut out.bytes, target as usize);
    });
    Ok(out)
}

pub(super) fn fold(x: &Array, axis: usize, steps: [i64; 2], dims: &[usize]) -> Result<Array> {
    with_element!(x.dtype, T => fold_as::<T>(x, axis, steps, dims))
}

fn fold_as<T: Element>(
    x: &Array,
    axis: usize,
    [step, dilation]: [i64; 2],
    dims: &[usize],
) -> Result<Array> {
    let add = T::Acc::combine(Combine::Sum).ok_or(Stop::IllTyped)?;
    let zero = T::Acc::identity(Combine::Sum).ok_or(Stop::IllTyped)?;
    let mut out = Array::zeros(x.dtype, dims)?;
    let mut sums = try_vec(out.len(), zero, &out)?;
    let mut places = row_major(dims);
    let unit = places[axis];
    let along = |count: usize, step: i64| if count > 1 { step as isize * unit } else { 0 };
    // Without elements nothing bounds the steps.
    if !x.is_empty() {
        places[axis] = along(x.dims[axis], step);
        places.push(along(x.dims[dims.len()], dilation));
        walk(
            &x.dims,
            [&row_major(&x.dims), &places],
            |[source, target]| {
                let sum = &mut sums[target as usize];
                *sum = add(*sum, T::load(&x.bytes, source as usize).widen());
            },
        );
    }
    for (i, &sum) in sums.iter().enumerate() {
        T::narrow(sum).store(&mut out.bytes, i);
    }
    Ok(out)
}
