//! Making tensors, reading and writing parts of them.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal, to_int, to_ints, to_tensor};
use crate::value::Value;
use lazulite::{DType, Index, Number, ScatterReduce, Tensor, strided};

pub(super) const TABLE: &[Entry] = &[
    with("arange", "start, end=None, step=1, *, dtype=None", arange),
    op("eye", |a| {
        let rows = a.count("n")?;
        let columns = a.opt_count("m")?.unwrap_or(rows);
        Tensor::eye_of(rows, columns, dtype(a)?).done()
    }),
    op("fill", |a| {
        let x = a.input()?;
        let dtype = x.dtype()?;
        a.scalar_or_tensor("value")?
            .cast(dtype)
            .expand_as(&x)
            .done()
    }),
    op("full", |a| {
        let value = a.number("fill_value")?;
        match a.opt_dtype("dtype")? {
            Some(dtype) => Tensor::full_of(shape(a)?, value, dtype).done(),
            None => Tensor::full(shape(a)?, value).done(),
        }
    }),
    op("full_like", |a| like(a, a.number("fill_value")?)),
    with("ones_like", "input, *, dtype=None", |a| like(a, 1.into())),
    with("zeros_like", "input, *, dtype=None", |a| like(a, 0.into())),
    with("new_full", "self, size, fill_value, *, dtype=None", |a| {
        new(a, a.number("fill_value")?)
    }),
    with("new_ones", "self, size, *, dtype=None", |a| {
        new(a, 1.into())
    }),
    with("new_zeros", "self, size, *, dtype=None", |a| {
        new(a, 0.into())
    }),
    with("ones", "size, *, dtype=None", |a| {
        Tensor::full_of(shape(a)?, 1, dtype(a)?).done()
    }),
    with("zeros", "size, *, dtype=None", |a| {
        Tensor::full_of(shape(a)?, 0, dtype(a)?).done()
    }),
    with("zero_", "self", |a| {
        let mut x = a.input()?;
        x.fill_(0);
        x.done()
    }),
    with("scalar_tensor", "s, *, dtype=None", |a| {
        Tensor::full_of((), a.number("s")?, dtype(a)?).done()
    }),
    op("linspace", |a| {
        let (start, end) = (number(a, "start")?, number(a, "end")?);
        Tensor::linspace_of(start, end, a.count("steps")?, dtype(a)?).done()
    }),
    op("logspace", |a| {
        let (start, end, base) = (number(a, "start")?, number(a, "end")?, a.float("base")?);
        Tensor::logspace(start, end, a.count("steps")?, base, dtype(a)?).done()
    }),
    op("tril_indices", |a| {
        Tensor::tril_indices(a.count("row")?, a.count("col")?, a.int("offset")?).done()
    }),
    op("triu_indices", |a| {
        Tensor::triu_indices(a.count("row")?, a.count("col")?, a.int("offset")?).done()
    }),
    with("to", "self, *targets, memory_format=None", to),
    op("item", item),
    op("broadcast_shapes", broadcast_shapes),
    op("__getitem__", |a| {
        a.input()?.i(indices(a.value("key")?)?).done()
    }),
    op("argwhere", |a| a.input()?.nonzero().done()),
    op("nonzero", |a| match a.flag("as_tuple")? {
        true => a.input()?.atleast_1d().nonzero().unbind(1).done(),
        false => a.input()?.nonzero().done(),
    }),
    op("nonzero_static", |a| {
        a.input()?
            .nonzero_static(a.count("size")?, a.int("fill_value")?)
            .done()
    }),
    op("bucketize", |a| {
        let places = a
            .scalar_or_tensor("input")?
            .bucketize(&a.tensor("boundaries")?, a.flag("right")?);
        width(a, places)
    }),
    op("searchsorted", searchsorted),
    op("gather", |a| {
        a.input()?.gather(a.int("dim")?, &a.tensor("index")?).done()
    }),
    op("index_add", |a| {
        let (index, source) = (a.tensor("index")?, a.tensor("source")?);
        a.input()?
            .index_add(a.int("dim")?, &index, &source, a.number("alpha")?)
            .done()
    }),
    op("index_copy", |a| {
        a.input()?
            .index_copy(a.int("dim")?, &a.tensor("index")?, &a.tensor("source")?)
            .done()
    }),
    with("index_fill", "input, dim, index, value", |a| {
        a.input()?
            .index_fill(a.int("dim")?, &a.tensor("index")?, a.argument("value")?)
            .done()
    }),
    with(
        "index_put",
        "input, indices, values, accumulate=False",
        |a| {
            let indices = indices(&as_tuple(a.value("indices")?))?;
            a.input()?
                .index_put(indices, a.tensor("values")?, a.flag("accumulate")?)
                .done()
        },
    ),
    op("index_reduce", |a| {
        let (index, source, reduce) = (a.tensor("index")?, a.tensor("source")?, reduction(a)?);
        let include_self = a.flag("include_self")?;
        a.input()?
            .index_reduce(a.int("dim")?, &index, &source, reduce, include_self)
            .done()
    }),
    op("index_select", |a| {
        a.input()?
            .index_select(a.int("dim")?, &a.tensor("index")?)
            .done()
    }),
    with("masked_fill", "input, mask, value", |a| {
        let (x, value) = (a.input()?, a.argument("value")?);
        x.masked_fill(&a.tensor("mask")?, value).done()
    }),
    with("masked_scatter", "input, mask, source", |a| {
        a.input()?
            .masked_scatter(&a.tensor("mask")?, &a.tensor("source")?)
            .done()
    }),
    op("masked_select", |a| {
        a.input()?.masked_select(&a.tensor("mask")?).done()
    }),
    op("put", |a| {
        a.input()?
            .put(
                &a.tensor("index")?,
                &a.tensor("source")?,
                a.flag("accumulate")?,
            )
            .done()
    }),
    with("scatter", "input, dim, index, src, *, reduce=None", scatter),
    op("scatter_add", |a| {
        a.input()?
            .scatter_add(a.int("dim")?, &a.tensor("index")?, &a.tensor("src")?)
            .done()
    }),
    op("scatter_reduce", |a| {
        let (index, source, reduce) = (a.tensor("index")?, a.tensor("src")?, reduction(a)?);
        let include_self = a.flag("include_self")?;
        a.input()?
            .scatter_reduce(a.int("dim")?, &index, &source, reduce, include_self)
            .done()
    }),
    op("select", |a| {
        a.input()?.select(a.int("dim")?, a.int("index")?).done()
    }),
    op("select_scatter", |a| {
        a.input()?
            .select_scatter(&a.tensor("src")?, a.int("dim")?, a.int("index")?)
            .done()
    }),
    with("slice", "input, dim=0, start=None, end=None, step=1", |a| {
        let mut entries = vec![Index::Slice(None, None, 1); a.count("dim")?];
        entries.push(Index::Slice(
            a.opt_int("start")?,
            a.opt_int("end")?,
            a.int("step")?,
        ));
        a.input()?.i(entries).done()
    }),
    op("slice_scatter", |a| {
        let (from, to, by) = (a.opt_int("start")?, a.opt_int("end")?, a.int("step")?);
        a.input()?
            .slice_scatter(&a.tensor("src")?, a.int("dim")?, from, to, by)
            .done()
    }),
    op("take", |a| a.input()?.take(&a.tensor("index")?).done()),
    op("take_along_dim", |a| match a.opt_int("dim")? {
        Some(axis) => a
            .input()?
            .take_along_dim(&a.tensor("indices")?, axis)
            .done(),
        None => a
            .input()?
            .ravel()
            .take_along_dim(&a.tensor("indices")?.ravel(), 0)
            .done(),
    }),
    op("unravel_index", |a| {
        let dims: Vec<usize> = a
            .ints("shape")?
            .into_iter()
            .filter_map(|d| usize::try_from(d).ok())
            .collect();
        a.input()?.unravel_index(&dims).done()
    }),
];

fn dtype(a: &Bound) -> Result<DType, Refusal> {
    Ok(a.opt_dtype("dtype")?.unwrap_or(DType::F32))
}

fn shape(a: &Bound) -> Result<Vec<i64>, Refusal> {
    a.ints("size")
}

fn arange(a: &Bound) -> Outcome {
    let (start, end) = match a.opt_number("end")? {
        Some(end) => (a.number("start")?, end),
        None => (Number::Int(0), a.number("start")?),
    };
    match a.opt_dtype("dtype")? {
        Some(dtype) => Tensor::arange_of(start, end, a.number("step")?, dtype).done(),
        None => Tensor::arange(start, end, a.number("step")?).done(),
    }
}

fn like(a: &Bound, value: Number) -> Outcome {
    let x = a.input()?;
    let dtype = a.opt_dtype("dtype")?.map_or_else(|| x.dtype(), Ok)?;
    Tensor::full_of(x.dims()?, value, dtype).done()
}

fn new(a: &Bound, value: Number) -> Outcome {
    let x = a.input()?;
    let dtype = a.opt_dtype("dtype")?.map_or_else(|| x.dtype(), Ok)?;
    Tensor::full_of(shape(a)?, value, dtype).done()
}

/// A number, or a 0-d tensor read now.
fn number(a: &Bound, name: &str) -> Result<f64, Refusal> {
    match to_tensor(a.value(name)?)? {
        Some(tensor) => Ok(tensor.cast(DType::F64).item::<f64>()?),
        None => a.float(name),
    }
}

fn to(a: &Bound) -> Outcome {
    let Value::List(targets) = a.value("targets")? else {
        return Err(Refusal::Mistake("targets are a list".into()));
    };
    // Device, type and tensor come in any order.
    let target = targets.iter().find_map(|v| match v {
        Value::DType(dtype) => Some(Ok(*dtype)),
        Value::Tensor(other) => Some(other.dtype()),
        _ => None,
    });
    match target {
        Some(dtype) => a.input()?.cast(dtype?).done(),
        None => a.input()?.done(),
    }
}

fn item(a: &Bound) -> Outcome {
    let x = a.input()?;
    Ok(match x.dtype()? {
        DType::Bool => Value::Bool(x.item::<bool>()?),
        dtype if dtype.is_int() => Value::Int(x.cast(DType::I64).item::<i64>()?),
        dtype if dtype.is_complex() => {
            let value = x.cast(DType::C128).item::<lazulite::Complex<f64>>()?;
            Value::Complex(value.re, value.im)
        }
        _ => Value::Float(x.cast(DType::F64).item::<f64>()?),
    })
}

fn broadcast_shapes(a: &Bound) -> Outcome {
    let Value::List(shapes) = a.value("shapes")? else {
        return Err(Refusal::Rejected("there are no shapes".into()));
    };
    let mut common = Tensor::full((), 0);
    for shape in shapes {
        let shape = to_ints(shape)?.ok_or_else(|| Refusal::Rejected("no shape".into()))?;
        common = common.broadcast_with(&Tensor::full((), 0).expand(shape));
    }
    common.dims()?.done()
}

fn as_tuple(value: &Value) -> Value {
    match value {
        Value::List(items) => Value::Tuple(items.clone()),
        other => other.clone(),
    }
}

/// What stands between brackets.
fn indices(key: &Value) -> Result<Vec<Index>, Refusal> {
    match key {
        Value::Tuple(items) => items.iter().map(index).collect(),
        other => Ok(vec![index(other)?]),
    }
}

fn index(value: &Value) -> Result<Index, Refusal> {
    if let Some(tensor) = to_tensor(value)? {
        return Ok(Index::Tensor(tensor));
    }
    Ok(match value {
        Value::Int(at) => Index::At(*at),
        Value::Ellipsis => Index::Ellipsis,
        Value::None => Index::NewAxis,
        Value::Slice([from, to, by]) => strided(Index::Slice(*from, *to, 1), by.unwrap_or(1)),
        Value::List(items) => {
            let numbers: Option<Vec<i64>> = items.iter().map(to_int).collect::<Result<_, _>>()?;
            let numbers =
                numbers.ok_or_else(|| Refusal::Unsupported("nested index lists".into()))?;
            let count = numbers.len();
            Index::Tensor(Tensor::from_vec(numbers, [count]))
        }
        other => return Err(Refusal::Rejected(format!("{} is no index", other.kind()))),
    })
}

fn width(a: &Bound, places: Tensor) -> Outcome {
    match a.flag("out_int32")? {
        true => places.cast(DType::I32).done(),
        false => places.done(),
    }
}

fn searchsorted(a: &Bound) -> Outcome {
    let mut sorted = a.tensor("sorted_sequence")?;
    if let Some(sorter) = a.opt_tensor("sorter")? {
        sorted = sorted.gather(-1, &sorter);
    }
    let right = match a.opt_text("side")?.as_deref() {
        Some(side) => side == "right",
        None => a.flag("right")?,
    };
    let places = sorted.searchsorted(&a.scalar_or_tensor("values")?, right);
    width(a, places)
}

fn reduction(a: &Bound) -> Result<ScatterReduce, Refusal> {
    Ok(match a.text("reduce")?.as_str() {
        "sum" | "add" => ScatterReduce::Sum,
        "prod" | "multiply" => ScatterReduce::Prod,
        "mean" => ScatterReduce::Mean,
        "amax" => ScatterReduce::Amax,
        "amin" => ScatterReduce::Amin,
        other => return Err(Refusal::Rejected(format!("there is no reduction {other}"))),
    })
}

fn scatter(a: &Bound) -> Outcome {
    let (x, axis, index) = (a.input()?, a.int("dim")?, a.tensor("index")?);
    let reduce = a.has("reduce").then(|| reduction(a)).transpose()?;
    match (to_tensor(a.value("src")?)?, reduce) {
        (Some(source), None) => x.scatter(axis, &index, &source).done(),
        (Some(source), Some(reduce)) => {
            x.scatter_reduce(axis, &index, &source, reduce, true).done()
        }
        (None, None) => x.scatter_value(axis, &index, a.number("src")?).done(),
        (None, Some(reduce)) => {
            let source = Tensor::full_of(index.dims()?, a.number("src")?, x.dtype()?);
            x.scatter_reduce(axis, &index, &source, reduce, true).done()
        }
    }
}
