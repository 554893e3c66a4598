//! Types of operations that combine elements or address them by data.

use super::{Context, Result, without};
use crate::{Combine, DType, Dim, Dims, Relation, TensorType, Type, TypeError};

/// Complex numbers have no order.
fn check_combine(cx: &Context<'_>, x: &TensorType, kind: Combine) -> Result<()> {
    match kind {
        Combine::Sum | Combine::Prod => Ok(()),
        Combine::Max | Combine::Min => ordered(cx, x),
    }
}

fn ordered(cx: &Context<'_>, x: &TensorType) -> Result<()> {
    let expected = "bool or a real number";
    cx.dtype(&[x], 0, |d| !d.is_complex(), expected)
}

pub(super) fn reduce(
    cx: &Context<'_>,
    x: &TensorType,
    kind: Combine,
    axes: &[u32],
) -> Result<TensorType> {
    check_combine(cx, x, kind)?;
    cx.distinct_axes("axes", axes, x.rank())?;
    if !axes.is_sorted() {
        return Err(TypeError::UnsortedAxes {
            op: cx.op,
            axes: axes.to_vec(),
        });
    }
    let kept = without(&x.dims, |i| axes.contains(&(i as u32)));
    Ok(TensorType::new(x.dtype, kept))
}

pub(super) fn scan(
    cx: &Context<'_>,
    x: &TensorType,
    kind: Combine,
    axis: u32,
) -> Result<TensorType> {
    check_combine(cx, x, kind)?;
    cx.axis("axis", axis, x.rank())?;
    Ok(x.clone())
}

pub(super) fn contract(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    [batch, sum]: [[&[u32]; 2]; 2],
    acc: DType,
) -> Result<TensorType> {
    cx.dtype(x, 0, |d| d != DType::Bool, "a number (not bool)")?;
    cx.equal_dtypes(x, 0, 1)?;
    check_accumulator(cx, x[0].dtype, acc)?;
    cx.length("rhs_batch", batch[1].len(), batch[0].len())?;
    cx.length("rhs_sum", sum[1].len(), sum[0].len())?;
    let mut paired: [Vec<u32>; 2] = [vec![], vec![]];
    for (side, names) in [("lhs_batch", "lhs_sum"), ("rhs_batch", "rhs_sum")]
        .into_iter()
        .enumerate()
    {
        cx.distinct_axes(names.0, batch[side], x[side].rank())?;
        paired[side] = [batch[side], sum[side]].concat();
        cx.distinct_axes(names.1, &paired[side], x[side].rank())?;
    }
    for (&a, &b) in paired[0].iter().zip(&paired[1]) {
        cx.equal_axes(x, [0, 1], [a as usize, b as usize])?;
    }
    let mut dims: Dims = batch[0]
        .iter()
        .map(|&a| x[0].dims[a as usize].clone())
        .collect();
    for (side, paired) in paired.iter().enumerate() {
        dims.extend(without(&x[side].dims, |i| paired.contains(&(i as u32))));
    }
    Ok(TensorType { dtype: acc, dims })
}

/// Products are summed in the operands' own type or a wider one of the same kind; unsigned
/// products also in wider signed types.
fn check_accumulator(cx: &Context<'_>, dtype: DType, acc: DType) -> Result<()> {
    let same_kind = (dtype.is_float() && acc.is_float())
        || (dtype.is_complex() && acc.is_complex())
        || (dtype.is_unsigned_int() && acc.is_int())
        || (dtype.is_signed_int() && acc.is_signed_int());
    (acc == dtype || (same_kind && acc.size() > dtype.size()))
        .then_some(())
        .ok_or(TypeError::AttributeDType {
            op: cx.op,
            attribute: "acc",
            got: acc,
            expected: "the operands' type or a wider one of the same kind",
        })
}

pub(super) fn fold(
    cx: &mut Context<'_>,
    x: &TensorType,
    axis: u32,
    len: &Dim,
    [stride, dilation]: [&Dim; 2],
) -> Result<TensorType> {
    let Some((places, rest)) = x.dims.split_last() else {
        return Err(TypeError::Rank {
            op: cx.op,
            operand: 0,
            expected: "at least two axes (windows and places)",
            shape: (&*x.dims).into(),
        });
    };
    let axis = cx.axis("axis", axis, rest.len())?;
    cx.at_least("len", axis, len, (0, "at least 0"))?;
    cx.at_least("stride", axis, stride, (1, "at least 1"))?;
    cx.at_least("dilation", axis, dilation, (1, "at least 1"))?;
    check_fold(cx, axis, [&rest[axis], places], len, [stride, dilation])?;
    let mut dims: Dims = rest.iter().cloned().collect();
    dims[axis] = len.clone();
    Ok(TensorType {
        dtype: x.dtype,
        dims,
    })
}

/// The last place of the last window must be inside the result, unless there is none.
fn check_fold(
    cx: &mut Context<'_>,
    axis: usize,
    [windows, places]: [&Dim; 2],
    len: &Dim,
    [stride, dilation]: [&Dim; 2],
) -> Result<()> {
    if windows.is(0) || places.is(0) {
        return Ok(());
    }
    let before = |n: &Dim, by: &Dim| n.sub(&Dim::ONE).and_then(|n| n.mul(by));
    let needed = before(windows, stride)
        .and_then(|w| w.add(&before(places, dilation)?))
        .and_then(|n| n.add(&Dim::ONE));
    let needed = cx.size(needed)?;
    let certain = [windows, places]
        .iter()
        .all(|n| Dim::ONE.compare_le(n) == Some(true));
    match needed.compare_le(len) {
        Some(true) => Ok(()),
        Some(false) if certain => Err(TypeError::WindowsDoNotFit {
            op: cx.op,
            axis,
            needed,
            size: len.clone(),
        }),
        _ => {
            // `occupied` is 0 when there is nothing to add, which fits anywhere.
            let occupied = windows
                .minimum(&Dim::ONE)
                .mul(&places.minimum(&Dim::ONE))
                .and_then(|some| some.mul(&needed));
            cx.guard(cx.size(occupied)?, Relation::Le, len.clone(), || {
                format!("fold: axis {axis} of size {len} must hold windows reaching {needed}")
            });
            Ok(())
        }
    }
}

/// Checks the index operands `x[first..]` and returns Gather's result dims.
fn indexed(cx: &mut Context<'_>, x: &[&TensorType], first: usize, axes: &[u32]) -> Result<Dims> {
    cx.distinct_axes("axes", axes, x[0].rank())?;
    if axes.len() != x.len() - first {
        return Err(TypeError::IndexCount {
            op: cx.op,
            axes: axes.len(),
            indices: x.len() - first,
        });
    }
    for operand in first..x.len() {
        let index = |d| matches!(d, DType::I32 | DType::I64);
        cx.dtype(x, operand, index, "i64 or i32")?;
        cx.equal_dims(x, first, operand)?;
    }
    let mut dims = x[first].dims.clone();
    dims.extend(without(&x[0].dims, |i| axes.contains(&(i as u32))));
    Ok(dims)
}

pub(super) fn gather(cx: &mut Context<'_>, x: &[&TensorType], axes: &[u32]) -> Result<TensorType> {
    let dims = indexed(cx, x, 1, axes)?;
    Ok(TensorType {
        dtype: x[0].dtype,
        dims,
    })
}

pub(super) fn scatter(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    axes: &[u32],
    combine: Option<Combine>,
) -> Result<TensorType> {
    combine.map_or(Ok(()), |kind| check_combine(cx, x[0], kind))?;
    cx.equal_dtypes(x, 0, 1)?;
    let updates = TensorType {
        dtype: x[0].dtype,
        dims: indexed(cx, x, 2, axes)?,
    };
    // Operand 0 of the comparison stands for what the indices ask for.
    cx.equal_dims(&[&updates, x[1]], 0, 1)?;
    Ok(x[0].clone())
}

pub(super) fn sort(cx: &mut Context<'_>, x: &[&TensorType], axis: u32) -> Result<Type> {
    ordered(cx, x[0])?;
    cx.axis("axis", axis, x[0].rank())?;
    (1..x.len()).try_for_each(|payload| cx.equal_dims(x, 0, payload))?;
    Ok(Type::Tuple(x.iter().map(|&t| t.clone()).collect()))
}
