//! torch.masked: reductions and normalisations of the elements where a mask is true. They are what the
//! plain operators make of the input with neutral elements elsewhere.

use super::{Entry, op, with};
use crate::call::{Axes, Bound, Done, Outcome, Refusal};
use lazulite::{DType, Number, Tensor};

pub(super) const TABLE: &[Entry] = &[
    with("masked.amax", REDUCTION, |a| {
        reduced(a, lowest(a)?, |x, d| x.amax(d))
    }),
    with("masked.amin", REDUCTION, |a| {
        reduced(a, highest(a)?, |x, d| x.amin(d))
    }),
    with("masked.argmax", REDUCTION, |a| {
        position(a, lowest(a)?, Tensor::argmax)
    }),
    with("masked.argmin", REDUCTION, |a| {
        position(a, highest(a)?, Tensor::argmin)
    }),
    op("masked.cumprod", |a| {
        filled(a, 1.into())?.cumprod(a.int("dim")?).done()
    }),
    op("masked.cumsum", |a| {
        filled(a, 0.into())?.cumsum(a.int("dim")?).done()
    }),
    op("masked.log_softmax", |a| {
        filled(a, LEAST)?.log_softmax(a.int("dim")?).done()
    }),
    op("masked.softmax", |a| {
        filled(a, LEAST)?.softmax(a.int("dim")?).done()
    }),
    op("masked.softmin", |a| {
        filled(a, MOST)?.softmin(a.int("dim")?).done()
    }),
    op("masked.logaddexp", |a| {
        let x = fill(&a.input()?, a.opt_tensor("input_mask")?, LEAST);
        x.logaddexp(fill(
            &a.tensor("other")?,
            a.opt_tensor("other_mask")?,
            LEAST,
        ))
        .done()
    }),
    with("masked.logsumexp", REDUCTION, |a| {
        let x = a.input()?;
        if !x.dtype()?.is_int() {
            return reduced(a, LEAST, |x, d| x.logsumexp(d));
        }
        // Integers come back as integers.
        let wide = fill(&x.cast(DType::F32), a.opt_tensor("mask")?, LEAST);
        kept(a, &wide.logsumexp(a.axes("dim")?).cast(x.dtype()?))
    }),
    with("masked.mean", REDUCTION, |a| {
        let (sum, count) = (sum(a, &a.input()?)?, count(a)?);
        kept(a, &sum.div(count))
    }),
    op("masked.median", |a| {
        filled(a, Number::Float(f64::NAN))?
            .nanmedian(a.int("dim")?)
            .0
            .done()
    }),
    with("masked.norm", NORM, |a| {
        let ord = a.float("ord")?;
        let neutral = if ord < 0.0 { MOST } else { 0.into() };
        reduced(a, neutral, |x, d| x.vector_norm(ord, d))
    }),
    op("masked.normalize", |a| {
        let x = filled(a, 0.into())?;
        x.normalize_with(a.float("ord")?, a.int("dim")?, a.float("eps")?)
            .done()
    }),
    with("masked.prod", REDUCTION, |a| {
        reduced(a, 1.into(), |x, d| x.prod(d))
    }),
    with("masked.sum", REDUCTION, |a| {
        reduced(a, 0.into(), |x, d| x.sum(d))
    }),
    with("masked.std", VARIANCE, |a| kept(a, &variance(a)?.sqrt())),
    with("masked.var", VARIANCE, |a| kept(a, &variance(a)?)),
];

const REDUCTION: &str = "input, dim=None, *, keepdim=False, dtype=None, mask=None";
const NORM: &str = "input, ord=2, dim=None, *, keepdim=False, dtype=None, mask=None";
const VARIANCE: &str =
    "input, dim=None, unbiased=None, *, correction=1, keepdim=False, dtype=None, mask=None";

const LEAST: Number = Number::Float(f64::NEG_INFINITY);
const MOST: Number = Number::Float(f64::INFINITY);

/// The lowest value of the input's element type.
fn lowest(a: &Bound) -> Result<Number, Refusal> {
    Ok(match a.input()?.dtype()?.is_int() {
        true => Number::Int(i64::MIN),
        false => LEAST,
    })
}

fn highest(a: &Bound) -> Result<Number, Refusal> {
    Ok(match a.input()?.dtype()?.is_int() {
        true => Number::Int(i64::MAX),
        false => MOST,
    })
}

fn fill(x: &Tensor, mask: Option<Tensor>, neutral: Number) -> Tensor {
    match mask {
        Some(mask) => x.masked_fill(&mask.logical_not(), neutral),
        None => x.clone(),
    }
}

fn filled(a: &Bound, neutral: Number) -> Result<Tensor, Refusal> {
    Ok(fill(&a.input()?, a.opt_tensor("mask")?, neutral))
}

fn reduced(a: &Bound, neutral: Number, reduce: impl FnOnce(&Tensor, Axes) -> Tensor) -> Outcome {
    kept(a, &reduce(&filled(a, neutral)?, a.axes("dim")?))
}

/// The result with the reduced axes, if they are to be kept.
fn kept(a: &Bound, result: &Tensor) -> Outcome {
    match a.flag("keepdim")? {
        true => a.input()?.keep_axes(result, a.axes("dim")?).done(),
        false => result.done(),
    }
}

/// Positions in the input's element type, as PyTorch returns them here.
fn position(a: &Bound, neutral: Number, find: fn(&Tensor, i64) -> Tensor) -> Outcome {
    let x = filled(a, neutral)?;
    let result = match a.opt_int("dim")? {
        Some(axis) => find(&x, axis),
        None => find(&x.ravel(), 0),
    };
    kept(a, &result.cast(x.dtype()?))
}

fn sum(a: &Bound, x: &Tensor) -> Result<Tensor, Refusal> {
    Ok(fill(x, a.opt_tensor("mask")?, 0.into()).sum(a.axes("dim")?))
}

/// How many elements count, as a float.
fn count(a: &Bound) -> Result<Tensor, Refusal> {
    let ones = Tensor::full_of((), 1, DType::F32).expand_as(&a.input()?);
    sum(a, &ones)
}

fn variance(a: &Bound) -> Result<Tensor, Refusal> {
    let correction = match a.opt_flag("unbiased")? {
        Some(unbiased) => Number::Int(unbiased.into()),
        None => a.opt_number("correction")?.unwrap_or(Number::Int(1)),
    };
    let x = a.input()?;
    let count = count(a)?;
    let mean = x.keep_axes(&sum(a, &x)?.div(&count), a.axes("dim")?);
    let centred = x.sub(mean);
    let squares = sum(a, &centred.mul(centred.conj()))?;
    Ok(squares.div(count.sub(correction).maximum(0)))
}
