//! Types of operations that rearrange elements.

use super::{Context, Result};
use crate::{Dim, Dims, Relation, TensorType, TypeError};

pub(super) fn reshape(cx: &mut Context<'_>, x: &TensorType, dims: &Dims) -> Result<TensorType> {
    let (before, after) = (cx.count(&x.dims)?, cx.count(dims)?);
    let same = cx.equal(&before, &after, || {
        "reshape: the number of elements must not change".into()
    });
    same.then(|| TensorType::new(x.dtype, dims.iter().cloned()))
        .ok_or_else(|| TypeError::ElementCountsDiffer {
            from: (&*x.dims).into(),
            to: (&**dims).into(),
        })
}

pub(super) fn permute(cx: &Context<'_>, x: &TensorType, perm: &[u32]) -> Result<TensorType> {
    cx.length("perm", perm.len(), x.rank())?;
    cx.distinct_axes("perm", perm, x.rank())?;
    let dims = perm.iter().map(|&p| x.dims[p as usize].clone());
    Ok(TensorType::new(x.dtype, dims))
}

/// A symbolic size is never taken for 1, since the repetition decides how memory is read.
pub(super) fn expand(cx: &mut Context<'_>, x: &TensorType, dims: &Dims) -> Result<TensorType> {
    cx.length("dims", dims.len(), x.rank())?;
    for (axis, (from, to)) in x.dims.iter().zip(dims).enumerate() {
        let fits = from.is(1)
            || cx.equal(from, to, || {
                format!("expand: axis {axis} of size {from} must keep its size")
            });
        if !fits {
            return Err(TypeError::CannotExpand {
                axis,
                from: (&*x.dims).into(),
                to: (&**dims).into(),
            });
        }
    }
    Ok(TensorType::new(x.dtype, dims.iter().cloned()))
}

pub(super) fn pad(
    cx: &mut Context<'_>,
    x: &[&TensorType],
    [low, high, interior]: [&Dims; 3],
) -> Result<TensorType> {
    cx.equal_dtypes(x, 0, 1)?;
    cx.scalar(x, 1)?;
    let mut dims = Dims::new();
    for (name, list) in [("low", low), ("high", high), ("interior", interior)] {
        cx.length(name, list.len(), x[0].rank())?;
    }
    for (axis, size) in x[0].dims.iter().enumerate() {
        let between = &interior[axis];
        cx.at_least("interior", axis, between, (0, "at least 0"))?;
        let gaps = if between.is(0) {
            Dim::ZERO
        } else {
            cx.size(size.sub(&Dim::ONE))?.maximum(&Dim::ZERO)
        };
        let sum = gaps
            .mul(between)
            .and_then(|filled| filled.add(size)?.add(&low[axis])?.add(&high[axis]));
        dims.push(cx.size(sum)?);
    }
    Ok(TensorType {
        dtype: x[0].dtype,
        dims,
    })
}

pub(super) fn slice(
    cx: &mut Context<'_>,
    x: &TensorType,
    start: &Dims,
    len: &Dims,
    step: &[i64],
) -> Result<TensorType> {
    cx.length("start", start.len(), x.rank())?;
    cx.length("len", len.len(), x.rank())?;
    cx.length("step", step.len(), x.rank())?;
    for (axis, size) in x.dims.iter().enumerate() {
        if step[axis] == 0 {
            return Err(TypeError::AttributeValue {
                op: cx.op,
                attribute: "step",
                axis,
                expected: "different from 0",
                got: Dim::ZERO,
            });
        }
        cx.at_least("len", axis, &len[axis], (0, "at least 0"))?;
        if !len[axis].is(0) {
            check_slice(cx, axis, size, [&start[axis], &len[axis]], step[axis])?;
        }
    }
    Ok(TensorType::new(x.dtype, len.iter().cloned()))
}

/// The first and the last element must be inside the axis, unless there are none.
fn check_slice(
    cx: &mut Context<'_>,
    axis: usize,
    size: &Dim,
    [start, len]: [&Dim; 2],
    step: i64,
) -> Result<()> {
    let end = len
        .sub(&Dim::ONE)
        .and_then(|n| n.mul(&Dim::constant(step))?.add(start));
    let end = cx.size(end)?;
    let (lowest, highest) = if step > 0 {
        (start, &end)
    } else {
        (&end, start)
    };
    let above = cx.size(highest.add(&Dim::ONE))?;
    for (small, large) in [(&Dim::ZERO, lowest), (&above, size)] {
        match small.compare_le(large) {
            Some(true) => {}
            Some(false) if Dim::ONE.compare_le(len) == Some(true) => {
                return Err(TypeError::SliceOutOfRange {
                    axis,
                    size: size.clone(),
                    first: start.clone(),
                    last: end.clone(),
                });
            }
            // With `occupied` 0 for empty slices, which are fine anywhere, and 1 for others.
            _ => {
                let occupied = len.minimum(&Dim::ONE);
                let (small, large) = (small.mul(&occupied), large.mul(&occupied));
                let (small, large) = (cx.size(small)?, cx.size(large)?);
                cx.guard(small, Relation::Le, large, || {
                    format!(
                        "slice: elements {start} to {end} must be inside axis {axis} of size {size}"
                    )
                });
            }
        }
    }
    Ok(())
}

pub(super) fn window(
    cx: &mut Context<'_>,
    x: &TensorType,
    axis: u32,
    [size, stride, dilation]: [&Dim; 3],
) -> Result<TensorType> {
    let axis = cx.axis("axis", axis, x.rank())?;
    for (name, value) in [("size", size), ("stride", stride), ("dilation", dilation)] {
        cx.at_least(name, axis, value, (1, "at least 1"))?;
    }
    let count = size
        .sub(&Dim::ONE)
        .and_then(|n| n.mul(dilation))
        .and_then(|reach| x.dims[axis].sub(&reach)?.sub(&Dim::ONE))
        .and_then(|room| room.floor_div(stride)?.add(&Dim::ONE));
    let count = cx.size(count)?;
    let mut dims = x.dims.clone();
    dims[axis] = if Dim::ZERO.compare_le(&count) == Some(true) {
        count
    } else {
        count.maximum(&Dim::ZERO)
    };
    dims.push(size.clone());
    Ok(TensorType {
        dtype: x.dtype,
        dims,
    })
}
