//! Rearranging, splitting and joining.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal, to_ints, to_tensor};
use crate::value::Value;
use lazulite::Tensor;

pub(super) const TABLE: &[Entry] = &[
    op("H", |a| a.input()?.t().conj().done()),
    op("T", |a| a.input()?.t().done()),
    op("mT", |a| a.input()?.mt().done()),
    op("mH", |a| a.input()?.mh().done()),
    op("alias_copy", |a| a.input()?.done()),
    op("as_strided", |a| {
        a.input()?
            .as_strided(&sizes(a, "size")?, &a.ints("stride")?, offset(a)?)
            .done()
    }),
    op("as_strided_copy", |a| {
        a.input()?
            .as_strided(&sizes(a, "size")?, &a.ints("stride")?, offset(a)?)
            .done()
    }),
    op("as_strided_scatter", |a| {
        let (dims, strides) = (sizes(a, "size")?, a.ints("stride")?);
        a.input()?
            .as_strided_scatter(&a.tensor("src")?, &dims, &strides, offset(a)?)
            .done()
    })
    .but_gradients(
        "elements that are overwritten get none, and all others theirs; PyTorch has it the other way round",
    ),
    op("atleast_1d", |a| each(a, Tensor::atleast_1d)),
    op("atleast_2d", |a| each(a, Tensor::atleast_2d)),
    op("atleast_3d", |a| each(a, Tensor::atleast_3d)),
    op("block_diag", |a| joined(a, "tensors", Tensor::block_diag)),
    op("broadcast_tensors", |a| {
        let tensors = a.tensors("tensors")?;
        Tensor::broadcast_tensors(&tensors.iter().collect::<Vec<_>>()).done()
    }),
    op("broadcast_to", |a| {
        a.input()?.expand(a.ints("shape")?).done()
    }),
    op("cartesian_prod", |a| {
        joined(a, "tensors", Tensor::cartesian_prod)
    }),
    op("cat", |a| {
        let axis = a.int("dim")?;
        joined(a, "tensors", |t| Tensor::cat(t, axis))
    }),
    op("chunk", |a| {
        a.input()?.chunk(a.count("chunks")?, a.int("dim")?).done()
    }),
    op("unsafe_chunk", |a| {
        a.input()?.chunk(a.count("chunks")?, a.int("dim")?).done()
    }),
    op("clone", |a| a.input()?.done()),
    op("column_stack", |a| {
        joined(a, "tensors", Tensor::column_stack)
    }),
    op("combinations", |a| {
        a.input()?
            .combinations(a.count("r")?, a.flag("with_replacement")?)
            .done()
    }),
    op("contiguous", |a| a.input()?.done()),
    op("diag", |a| a.input()?.diag_with(a.int("diagonal")?).done()),
    op("diag_embed", |a| {
        a.input()?
            .diag_embed(a.int("offset")?, a.int("dim1")?, a.int("dim2")?)
            .done()
    }),
    op("diagflat", |a| a.input()?.diagflat(a.int("offset")?).done()),
    op("diagonal", diagonal),
    op("diagonal_copy", diagonal),
    op("linalg.diagonal", diagonal),
    op("diagonal_scatter", |a| {
        let (offset, first, second) = (a.int("offset")?, a.int("dim1")?, a.int("dim2")?);
        a.input()?
            .diagonal_scatter(&a.tensor("src")?, offset, first, second)
            .done()
    }),
    op("dsplit", |a| split_at(a, 3, |_| 2)),
    op("dstack", |a| joined(a, "tensors", Tensor::dstack)),
    op("expand", |a| a.input()?.expand(shape(a, "size")?).done()),
    op("expand_as", |a| {
        a.input()?.expand_as(&a.tensor("other")?).done()
    }),
    op("expand_copy", |a| a.input()?.expand(a.ints("size")?).done()),
    op("flatten", |a| {
        a.input()?
            .flatten(a.int("start_dim")?, a.int("end_dim")?)
            .done()
    }),
    op("flip", |a| a.input()?.flip(a.ints("dims")?).done()),
    op("fliplr", |a| a.input()?.fliplr().done()),
    op("flipud", |a| a.input()?.flipud().done()),
    op("hsplit", |a| split_at(a, 1, |rank| i64::from(rank > 1))),
    op("hstack", |a| joined(a, "tensors", Tensor::hstack)),
    op("meshgrid", meshgrid),
    op("movedim", |a| {
        a.input()?
            .movedim(a.ints("source")?, a.ints("destination")?)
            .done()
    }),
    op("narrow", narrow),
    op("narrow_copy", narrow),
    op("permute", |a| a.input()?.permute(a.ints("dims")?).done()),
    op("permute_copy", |a| {
        a.input()?.permute(a.ints("dims")?).done()
    }),
    op("ravel", |a| a.input()?.ravel().done()),
    op("repeat", |a| a.input()?.repeat(shape(a, "repeats")?).done()),
    op("repeat_interleave", repeat_interleave),
    op("reshape", |a| a.input()?.reshape(a.ints("shape")?).done()),
    op("reshape_as", |a| {
        a.input()?.reshape_as(&a.tensor("other")?).done()
    }),
    op("view", |a| a.input()?.reshape(shape(a, "shape")?).done()),
    op("view_as", |a| {
        a.input()?.reshape_as(&a.tensor("other")?).done()
    }),
    op("view_copy", |a| a.input()?.reshape(a.ints("size")?).done()),
    op("roll", |a| match a.opt_ints("dims")? {
        Some(axes) if !axes.is_empty() => a.input()?.roll(a.ints("shifts")?, axes).done(),
        _ => {
            let x = a.input()?;
            x.ravel().roll(a.ints("shifts")?, [0]).reshape_as(&x).done()
        }
    }),
    op("rot90", |a| {
        let axes = <[i64; 2]>::try_from(a.ints("dims")?);
        let axes = axes.map_err(|_| Refusal::Rejected("a plane has two axes".into()))?;
        a.input()?.rot90(a.int("k")?, axes).done()
    }),
    op("split", split),
    op("unsafe_split", split),
    with(
        "split_with_sizes",
        "self, split_sizes, dim=0",
        split_with_sizes,
    ),
    with(
        "split_with_sizes_copy",
        "self, split_sizes, dim=0",
        split_with_sizes,
    ),
    with("squeeze", "input, dim=None", |a| {
        match a.opt_ints("dim")? {
            Some(axes) => a.input()?.squeeze_axes(axes).done(),
            None => a.input()?.squeeze_all().done(),
        }
    }),
    with("squeeze_copy", "input, dim=None", |a| {
        match a.opt_ints("dim")? {
            Some(axes) => a.input()?.squeeze_axes(axes).done(),
            None => a.input()?.squeeze_all().done(),
        }
    }),
    op("stack", |a| {
        let axis = a.int("dim")?;
        joined(a, "tensors", |t| Tensor::stack(t, axis))
    }),
    op("sum_to_size", |a| {
        a.input()?.sum_to_size(shape(a, "size")?).done()
    }),
    op("t", |a| a.input()?.t().done()),
    op("t_copy", |a| a.input()?.t().done()),
    op("tensor_split", |a| {
        let axis = a.int("dim")?;
        parts(a, axis)
    }),
    op("tile", |a| a.input()?.tile(a.ints("dims")?).done()),
    op("trace", |a| a.input()?.trace().done()),
    op("transpose", |a| {
        a.input()?.transpose(a.int("dim0")?, a.int("dim1")?).done()
    }),
    op("transpose_copy", |a| {
        a.input()?.transpose(a.int("dim0")?, a.int("dim1")?).done()
    }),
    op("tril", |a| a.input()?.tril_with(a.int("diagonal")?).done()),
    op("triu", |a| a.input()?.triu_with(a.int("diagonal")?).done()),
    op("unbind", |a| a.input()?.unbind(a.int("dim")?).done()),
    op("unbind_copy", |a| a.input()?.unbind(a.int("dim")?).done()),
    op("unflatten", |a| {
        a.input()?.unflatten(a.int("dim")?, a.ints("sizes")?).done()
    }),
    op("unfold", |a| {
        a.input()?
            .unfold(a.int("dimension")?, a.int("size")?, a.int("step")?)
            .done()
    }),
    op("unfold_copy", |a| {
        a.input()?
            .unfold(a.int("dimension")?, a.int("size")?, a.int("step")?)
            .done()
    }),
    op("unsqueeze", |a| a.input()?.unsqueeze(a.int("dim")?).done()),
    op("unsqueeze_copy", |a| {
        a.input()?.unsqueeze(a.int("dim")?).done()
    }),
    op("vsplit", |a| split_at(a, 2, |_| 0)),
    op("vstack", |a| joined(a, "tensors", Tensor::vstack)),
    op("linalg.vander", |a| {
        a.input()?.vander(a.opt_count("N")?, true).done()
    }),
];

fn sizes(a: &Bound, name: &str) -> Result<Vec<usize>, Refusal> {
    let sizes = a.ints(name)?;
    let sizes = sizes
        .into_iter()
        .map(|s| usize::try_from(s).ok())
        .collect::<Option<_>>();
    sizes.ok_or_else(|| Refusal::Rejected(format!("{name} holds a negative size")))
}

/// Sizes given one by one, or as one list.
fn shape(a: &Bound, name: &str) -> Result<Vec<i64>, Refusal> {
    match a.value(name)? {
        Value::List(items) if matches!(items[..], [Value::List(_)]) => {
            to_ints(&items[0])?.ok_or_else(|| Refusal::Rejected(format!("{name} is no shape")))
        }
        _ => a.ints(name),
    }
}

fn offset(a: &Bound) -> Result<i64, Refusal> {
    Ok(a.opt_int("storage_offset")?.unwrap_or(0))
}

/// Tensors given one by one, or as one list.
fn tensor_list(a: &Bound, name: &str) -> Result<Vec<Tensor>, Refusal> {
    let value = match a.value(name)? {
        Value::List(items) if matches!(items[..], [Value::List(_)]) => &items[0],
        value => value,
    };
    let items = match value {
        Value::List(items) => items
            .iter()
            .map(to_tensor)
            .collect::<Result<Option<_>, _>>()?,
        _ => None,
    };
    items.ok_or_else(|| Refusal::Rejected(format!("{name} are not tensors")))
}

fn joined(a: &Bound, name: &str, join: impl FnOnce(&[&Tensor]) -> Tensor) -> Outcome {
    let tensors = tensor_list(a, name)?;
    join(&tensors.iter().collect::<Vec<_>>()).done()
}

/// The function applied to one tensor, or to each of several.
fn each(a: &Bound, f: fn(&Tensor) -> Tensor) -> Outcome {
    let results: Vec<Tensor> = tensor_list(a, "tensors")?.iter().map(f).collect();
    results.done()
}

fn diagonal(a: &Bound) -> Outcome {
    a.input()?
        .diagonal_with(a.int("offset")?, a.int("dim1")?, a.int("dim2")?)
        .done()
}

fn meshgrid(a: &Bound) -> Outcome {
    let tensors = tensor_list(a, "tensors")?;
    let tensors: Vec<&Tensor> = tensors.iter().collect();
    match a.opt_text("indexing")?.as_deref() {
        Some("xy") => Tensor::meshgrid_xy(&tensors).done(),
        _ => Tensor::meshgrid(&tensors).done(),
    }
}

fn narrow(a: &Bound) -> Outcome {
    let start = match to_tensor(a.value("start")?)? {
        Some(tensor) => tensor.item::<i64>()?,
        None => a.int("start")?,
    };
    a.input()?
        .narrow(a.int("dim")?, start, a.int("length")?)
        .done()
}

fn repeat_interleave(a: &Bound) -> Outcome {
    let (x, axis) = match a.opt_int("dim")? {
        Some(axis) => (a.input()?, axis),
        None => (a.input()?.ravel(), 0),
    };
    match to_tensor(a.value("repeats")?)? {
        Some(counts) => x.repeat_interleave_by(&counts, axis).done(),
        None => x.repeat_interleave(a.count("repeats")?, axis).done(),
    }
}

fn split(a: &Bound) -> Outcome {
    let (name, axis) = ("split_size_or_sections", a.int("dim")?);
    match a.value(name)? {
        Value::List(_) => a.input()?.split_with_sizes(&sizes(a, name)?, axis).done(),
        _ => a.input()?.split(a.count(name)?, axis).done(),
    }
}

fn split_with_sizes(a: &Bound) -> Outcome {
    a.input()?
        .split_with_sizes(&sizes(a, "split_sizes")?, a.int("dim")?)
        .done()
}

/// Parts by number or by positions.
fn parts(a: &Bound, axis: i64) -> Outcome {
    let (name, x) = ("indices_or_sections", a.input()?);
    if let Some(tensor) = to_tensor(a.value(name)?)? {
        return match tensor.rank()? {
            0 => x
                .tensor_split(usize::try_from(tensor.item::<i64>()?).unwrap_or(0), axis)
                .done(),
            _ => x.tensor_split_at(&tensor.to_vec::<i64>()?, axis).done(),
        };
    }
    match a.value(name)? {
        Value::List(_) => x.tensor_split_at(&a.ints(name)?, axis).done(),
        _ => x.tensor_split(a.count(name)?, axis).done(),
    }
}

/// The splits by direction want enough axes, and numbers that divide the size.
fn split_at(a: &Bound, rank: usize, axis: fn(usize) -> i64) -> Outcome {
    let x = a.input()?;
    let own = x.rank()?;
    if own < rank {
        return Err(Refusal::Rejected(format!(
            "a tensor with {own} axes has too few"
        )));
    }
    let axis = axis(own);
    if let Value::Int(count) = a.value("indices_or_sections")?
        && x.dim(axis).value()? % (*count).max(1) != 0
    {
        return Err(Refusal::Rejected(format!(
            "{count} does not divide the size"
        )));
    }
    parts(a, axis)
}
