//! Reductions, scans, statistics, order.

use super::{Entry, op, with};
use crate::call::{Axes, Bound, Done, Outcome, Refusal, to_tensor};
use crate::value::Value;
use lazulite::{DType, Interpolation, MatrixNorm, Number, Spacing, Tensor, Unique};

pub(super) const TABLE: &[Entry] = &[
    with("all", "input, dim=None, keepdim=False", |a| {
        reduced(a, |x, d| x.all(d))
    }),
    op("amax", |a| reduced(a, |x, d| x.amax(d))),
    op("amin", |a| reduced(a, |x, d| x.amin(d))),
    op("aminmax", |a| {
        let (x, axes) = (a.input()?, a.axes("dim")?);
        let (low, high) = x.aminmax(axes);
        Ok(Value::List(vec![
            kept(a, low)?.into(),
            kept(a, high)?.into(),
        ]))
    }),
    with("any", "input, dim=None, keepdim=False", |a| {
        reduced(a, |x, d| x.any(d))
    }),
    with("argmax", "input, dim=None, keepdim=False", |a| {
        position(a, Tensor::argmax)
    }),
    op("argmin", |a| position(a, Tensor::argmin)),
    op("argsort", |a| {
        a.input()?
            .argsort_with(a.int("dim")?, a.flag("descending")?)
            .done()
    }),
    op("bincount", |a| {
        a.input()?
            .bincount(a.opt_tensor("weights")?.as_ref(), a.count("minlength")?)
            .done()
    }),
    op("cdist", |a| {
        a.input()?
            .cdist_with(&a.tensor("x2")?, a.float("p")?)
            .done()
    }),
    op("corrcoef", |a| a.input()?.corrcoef().done()),
    op("count_nonzero", |a| {
        a.input()?.count_nonzero(a.axes("dim")?).done()
    }),
    op("cov", |a| {
        let (counts, weights) = (a.opt_tensor("fweights")?, a.opt_tensor("aweights")?);
        a.input()?
            .cov(a.float("correction")?, counts.as_ref(), weights.as_ref())
            .done()
    }),
    op("cummax", |a| a.input()?.cummax(a.int("dim")?).done()),
    op("cummin", |a| a.input()?.cummin(a.int("dim")?).done()),
    op("cumprod", |a| typed(a)?.cumprod(a.int("dim")?).done()),
    op("cumsum", |a| typed(a)?.cumsum(a.int("dim")?).done()),
    op("cumulative_trapezoid", |a| match a.opt_tensor("x")? {
        Some(x) => a.input()?.cumulative_trapezoid_at(&x, a.int("dim")?).done(),
        None => a
            .input()?
            .cumulative_trapezoid(width(a)?, a.int("dim")?)
            .done(),
    }),
    op("diff", |a| {
        let (mut x, axis) = (a.input()?, a.int("dim")?);
        if let Some(before) = a.opt_tensor("prepend")? {
            x = Tensor::cat(&[&before, &x], axis);
        }
        if let Some(after) = a.opt_tensor("append")? {
            x = Tensor::cat(&[&x, &after], axis);
        }
        x.diff_with(a.count("n")?, axis).done()
    }),
    op("dist", |a| {
        a.input()?
            .dist_with(&a.tensor("other")?, a.float("p")?)
            .done()
    }),
    op("gradient", gradient),
    with(
        "hash_tensor",
        "input, dim=None, keepdim=False, *, mode=0",
        |a| reduced(a, |x, d| x.hash_tensor(d)),
    ),
    op("histc", |a| {
        a.input()?
            .histc(a.count("bins")?, a.float("min")?, a.float("max")?)
            .done()
    }),
    op("histogram", |a| {
        let (weights, density) = (a.opt_tensor("weight")?, a.flag("density")?);
        match to_tensor(a.value("bins")?)? {
            Some(edges) => a
                .input()?
                .histogram_at(&edges, weights.as_ref(), density)
                .done(),
            None => {
                let range = a
                    .opt_floats("range")?
                    .and_then(|r| Some((*r.first()?, *r.get(1)?)));
                a.input()?
                    .histogram(a.count("bins")?, range, weights.as_ref(), density)
                    .done()
            }
        }
    }),
    op("histogramdd", histogramdd),
    op("kthvalue", |a| {
        let axis = a.opt_int("dim")?.unwrap_or(-1);
        let (values, places) = a.input()?.kthvalue(a.count("k")?, axis);
        pair(a, values, places, axis)
    }),
    with(
        "linalg.matrix_norm",
        "A, ord='fro', dim=(-2, -1), keepdim=False, *, dtype=None",
        |a| matrix_norm(a, a.ints("dim")?),
    ),
    with(
        "linalg.norm",
        "input, ord=None, dim=None, keepdim=False, *, dtype=None",
        linalg_norm,
    ),
    op("linalg.vector_norm", |a| vector_norm(a, a.float("ord")?)),
    op("logcumsumexp", |a| {
        a.input()?.logcumsumexp(a.int("dim")?).done()
    }),
    with("logsumexp", "input, dim, keepdim=False", |a| {
        reduced(a, |x, d| x.logsumexp(d))
    }),
    with("max", "input, dim=None, keepdim=False", |a| {
        extreme(a, Tensor::max_dim, Tensor::maximum)
    }),
    with("min", "input, dim=None, keepdim=False", |a| {
        extreme(a, Tensor::min_dim, Tensor::minimum)
    }),
    with(
        "mean",
        "input, dim=None, keepdim=False, *, dtype=None",
        |a| reduced(a, |x, d| x.mean(d)),
    ),
    with("median", "input, dim=None, keepdim=False", |a| {
        middle(a, Tensor::median)
    }),
    with("nanmedian", "input, dim=None, keepdim=False", |a| {
        middle(a, Tensor::nanmedian)
    }),
    op("mode", |a| {
        let (values, places) = a.input()?.mode(a.int("dim")?);
        pair(a, values, places, a.int("dim")?)
    }),
    op("msort", |a| a.input()?.sort(0).0.done()),
    op("nanmean", |a| reduced(a, |x, d| x.nanmean(d))),
    op("nanquantile", |a| quantile(a, Tensor::nanquantile_with)),
    with(
        "nansum",
        "input, dim=None, keepdim=False, *, dtype=None",
        |a| reduced(a, |x, d| x.nansum(d)),
    ),
    op("norm", norm),
    with(
        "prod",
        "input, dim=None, keepdim=False, *, dtype=None",
        |a| {
            let result = reduced(a, |x, d| x.prod(d));
            match (a.opt_dtype("dtype")?, result?) {
                (Some(dtype), Value::Tensor(t)) => t.cast(dtype).done(),
                (_, result) => Ok(result),
            }
        },
    ),
    op("quantile", |a| quantile(a, Tensor::quantile_with)),
    op("renorm", |a| {
        a.input()?
            .renorm(a.float("p")?, a.int("dim")?, a.float("maxnorm")?)
            .done()
    }),
    op("sort", |a| {
        a.input()?
            .sort_with(a.int("dim")?, a.flag("descending")?)
            .done()
    }),
    with("std", VARIANCE, |a| {
        reduced_by(a, |x, d, c| x.std_with(d, c))
    }),
    with("std_mean", VARIANCE, |a| {
        with_mean(a, |x, d, c| x.std_mean_with(d, c))
    }),
    with(
        "sum",
        "input, dim=None, keepdim=False, *, dtype=None",
        |a| reduced(a, |x, d| x.sum(d)),
    ),
    op("topk", |a| {
        let axis = a.opt_int("dim")?.unwrap_or(-1);
        a.input()?
            .topk_with(a.count("k")?, axis, a.flag("largest")?)
            .done()
    }),
    op("trapezoid", trapezoid),
    with("trapz", "y, x=None, *, dx=None, dim=-1", trapezoid),
    op("unique", |a| match a.opt_int("dim")? {
        Some(axis) => unique(a, a.input()?.unique_dim(axis)),
        None => unique(a, a.input()?.unique()),
    }),
    op("unique_consecutive", |a| match a.opt_int("dim")? {
        Some(axis) => unique(a, a.input()?.unique_consecutive_dim(axis)),
        None => unique(a, a.input()?.unique_consecutive()),
    }),
    with("var", VARIANCE, |a| {
        reduced_by(a, |x, d, c| x.var_with(d, c))
    }),
    with("var_mean", VARIANCE, |a| {
        with_mean(a, |x, d, c| x.var_mean_with(d, c))
    }),
];

/// The second parameter is axes, or whether the estimate is unbiased.
const VARIANCE: &str = "input, dim=None, keepdim=False, *, correction=None, unbiased=None";

fn reduced(a: &Bound, reduce: impl FnOnce(&Tensor, Axes) -> Tensor) -> Outcome {
    let result = reduce(&typed(a)?, a.axes("dim")?);
    kept(a, result)?.done()
}

/// The input in the element type asked for.
fn typed(a: &Bound) -> Result<Tensor, Refusal> {
    let x = a.input()?;
    Ok(match a.opt_dtype("dtype") {
        Ok(Some(dtype)) => x.cast(dtype),
        _ => x,
    })
}

/// The result with the reduced axes, if they are to be kept.
fn kept(a: &Bound, result: Tensor) -> Result<Tensor, Refusal> {
    Ok(match a.flag("keepdim")? {
        true => a.input()?.keep_axes(&result, a.axes("dim")?),
        false => result,
    })
}

fn position(a: &Bound, find: fn(&Tensor, i64) -> Tensor) -> Outcome {
    let x = a.input()?;
    let result = match a.opt_int("dim")? {
        Some(axis) => find(&x, axis),
        None => find(&x.ravel(), 0),
    };
    kept(a, result)?.done()
}

/// Values and positions along an axis, kept if asked for.
fn pair(a: &Bound, values: Tensor, places: Tensor, axis: i64) -> Outcome {
    let x = a.input()?;
    match a.flag("keepdim")? {
        true => (x.keep_axes(&values, axis), x.keep_axes(&places, axis)).done(),
        false => (values, places).done(),
    }
}

/// Of all elements, along an axis, or of two tensors.
fn extreme(
    a: &Bound,
    along: fn(&Tensor, i64) -> (Tensor, Tensor),
    pairwise: fn(&Tensor, Tensor) -> Tensor,
) -> Outcome {
    let x = a.input()?;
    if let Some(other) = to_tensor(a.value("dim")?)? {
        return pairwise(&x, other).done();
    }
    match a.opt_int("dim")? {
        Some(axis) => {
            let (values, places) = along(&x, axis);
            pair(a, values, places, axis)
        }
        None => along(&x.ravel(), 0).0.done(),
    }
}

fn middle(a: &Bound, find: fn(&Tensor, i64) -> (Tensor, Tensor)) -> Outcome {
    let x = a.input()?;
    match a.opt_int("dim")? {
        Some(axis) => {
            let (values, places) = find(&x, axis);
            pair(a, values, places, axis)
        }
        None => find(&x.ravel(), 0).0.done(),
    }
}

fn correction(a: &Bound) -> Result<Number, Refusal> {
    let unbiased = match a.value("dim")? {
        Value::Bool(unbiased) => Some(*unbiased),
        _ => a.opt_flag("unbiased")?,
    };
    Ok(match unbiased {
        Some(unbiased) => Number::Int(unbiased.into()),
        None => a.opt_number("correction")?.unwrap_or(Number::Int(1)),
    })
}

fn variance_axes(a: &Bound) -> Result<Axes, Refusal> {
    match a.value("dim")? {
        Value::Bool(_) => Ok(Axes(None)),
        _ => a.axes("dim"),
    }
}

fn reduced_by(a: &Bound, reduce: fn(&Tensor, Axes, Number) -> Tensor) -> Outcome {
    let (x, axes) = (a.input()?, variance_axes(a)?);
    let result = reduce(&x, axes.clone(), correction(a)?);
    match a.flag("keepdim")? {
        true => x.keep_axes(&result, axes).done(),
        false => result.done(),
    }
}

fn with_mean(a: &Bound, reduce: fn(&Tensor, Axes, Number) -> (Tensor, Tensor)) -> Outcome {
    let (x, axes) = (a.input()?, variance_axes(a)?);
    let (spread, mean) = reduce(&x, axes.clone(), correction(a)?);
    match a.flag("keepdim")? {
        true => (x.keep_axes(&spread, axes.clone()), x.keep_axes(&mean, axes)).done(),
        false => (spread, mean).done(),
    }
}

fn width(a: &Bound) -> Result<f64, Refusal> {
    Ok(a.opt_float("dx")?.unwrap_or(1.0))
}

fn trapezoid(a: &Bound) -> Outcome {
    match a.opt_tensor("x")? {
        Some(x) => a.input()?.trapezoid_at(&x, a.int("dim")?).done(),
        None => a.input()?.trapezoid(width(a)?, a.int("dim")?).done(),
    }
}

fn gradient(a: &Bound) -> Outcome {
    let x = a.input()?;
    let rank = x.rank()? as i64;
    let axes = a.opt_ints("dim")?.unwrap_or_else(|| (0..rank).collect());
    let spacings = match a.value("spacing")? {
        Value::None => vec![Spacing::Step(1.0); axes.len()],
        Value::List(items) => {
            let spacing = |v: &Value| match to_tensor(v)? {
                Some(points) => Ok(Spacing::Points(points)),
                None => step(v),
            };
            items.iter().map(spacing).collect::<Result<_, Refusal>>()?
        }
        value => vec![step(value)?; axes.len()],
    };
    x.gradient(&spacings, &axes, a.count("edge_order")?).done()
}

fn step(value: &Value) -> Result<Spacing, Refusal> {
    match value {
        Value::Int(v) => Ok(Spacing::Step(*v as f64)),
        Value::Float(v) => Ok(Spacing::Step(*v)),
        other => Err(Refusal::Rejected(format!("{} is no spacing", other.kind()))),
    }
}

fn histogramdd(a: &Bound) -> Outcome {
    let (x, weights, density) = (a.input()?, a.opt_tensor("weight")?, a.flag("density")?);
    let edges: Vec<Tensor> = match a.value("bins")? {
        Value::List(items) if items.iter().all(|v| matches!(v, Value::Tensor(_))) => {
            a.tensors("bins")?
        }
        _ => {
            let columns = x.reshape([-1, x.dim(-1).value()?]);
            let bins = a.ints("bins")?;
            let edges = bins.iter().enumerate().map(|(i, &bins)| {
                let column = columns.select(1, i as i64);
                column
                    .histogram(usize::try_from(bins).unwrap_or(0), None, None, false)
                    .1
            });
            edges.collect()
        }
    };
    let counted = x.histogramdd_at(&edges.iter().collect::<Vec<_>>(), weights.as_ref(), density);
    Ok(Value::List(vec![counted.into(), edges.into()]))
}

fn vector_norm(a: &Bound, p: f64) -> Outcome {
    reduced(a, |x, d| x.vector_norm(p, d))
}

fn matrix_norm(a: &Bound, axes: Vec<i64>) -> Outcome {
    let ord = match a.value("ord").or_else(|_| a.value("p"))? {
        Value::Text(name) if name == "nuc" => MatrixNorm::Nuclear,
        Value::Text(_) | Value::None => MatrixNorm::Frobenius,
        Value::Int(1) => MatrixNorm::MaxColumnSum,
        Value::Int(-1) => MatrixNorm::MinColumnSum,
        Value::Int(2) => MatrixNorm::MaxSingular,
        Value::Int(-2) => MatrixNorm::MinSingular,
        Value::Float(f64::INFINITY) => MatrixNorm::MaxRowSum,
        Value::Float(f64::NEG_INFINITY) => MatrixNorm::MinRowSum,
        other => return Err(Refusal::Rejected(format!("{other:?} is no matrix norm"))),
    };
    let [rows, columns] = axes[..] else {
        return Err(Refusal::Rejected("a matrix has two axes".into()));
    };
    let x = a.input()?;
    let result = x.matrix_norm(ord, rows, columns);
    match a.flag("keepdim")? {
        true => x.keep_axes(&result, axes).done(),
        false => result.done(),
    }
}

/// Norms of vectors or matrices, by the number of axes.
fn linalg_norm(a: &Bound) -> Outcome {
    let x = a.input()?;
    let axes = a.opt_ints("dim")?;
    match (a.value("ord")?, axes) {
        (Value::None, _) => vector_norm(a, 2.0),
        (_, Some(axes)) if axes.len() == 2 => matrix_norm(a, axes),
        (_, None) if x.rank()? == 2 => matrix_norm(a, vec![0, 1]),
        _ => vector_norm(a, a.float("ord")?),
    }
}

/// PyTorch's older norm: over vectors, but for the names.
fn norm(a: &Bound) -> Outcome {
    match a.value("p")? {
        Value::Text(name) if name == "nuc" => {
            matrix_norm(a, a.opt_ints("dim")?.unwrap_or_else(|| vec![0, 1]))
        }
        Value::Text(_) | Value::None => vector_norm(a, 2.0),
        _ => vector_norm(a, a.float("p")?),
    }
}

fn quantile(a: &Bound, find: fn(&Tensor, &Tensor, i64, Interpolation) -> Tensor) -> Outcome {
    let x = a.input()?;
    let q = match to_tensor(a.value("q")?)? {
        Some(q) => q,
        None => Tensor::full_of((), a.float("q")?, DType::F32),
    };
    let interpolation = match a.text("interpolation")?.as_str() {
        "linear" => Interpolation::Linear,
        "lower" => Interpolation::Lower,
        "higher" => Interpolation::Higher,
        "midpoint" => Interpolation::Midpoint,
        "nearest" => Interpolation::Nearest,
        other => {
            return Err(Refusal::Rejected(format!(
                "there is no interpolation {other}"
            )));
        }
    };
    let result = match a.opt_int("dim")? {
        Some(axis) => find(&x, &q, axis, interpolation),
        None => find(&x.ravel(), &q, 0, interpolation),
    };
    kept(a, result)?.done()
}

fn unique(a: &Bound, unique: Unique) -> Outcome {
    let mut results = vec![unique.values];
    if a.flag("return_inverse")? {
        results.push(unique.inverse);
    }
    if a.flag("return_counts")? {
        results.push(unique.counts);
    }
    results.done()
}
