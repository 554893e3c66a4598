//! Reading and writing parts of tensors: slicing syntax, gather and scatter.
//!
//! Index tensors are checked while running: an index outside its axis is an error that names the
//! index and the bound. Negative indices count from the end, as in PyTorch.

use super::composite::attempt;
use crate::error::{Error, ErrorKind, OperandNote, Result};
use crate::indexed::{Indexed, Noun};
use crate::location::{Place, Scope};
use crate::tensor::{Argument, Broadcast, Dim, Tensor, primitive};
use lazulite_ir::{Combine, DType, Dims, Op};
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

/// One entry of an index expression.
#[derive(Clone, Debug)]
pub enum Index {
    /// One element; the axis disappears.
    At(i64),
    /// Elements from the first (default: the start) to before the second (default: the end), with a
    /// step; bounds beyond the axis are cut off, as in Python.
    Slice(Option<i64>, Option<i64>, i64),
    /// As many whole axes as are left.
    Ellipsis,
    /// A new axis of size 1.
    NewAxis,
    /// Elements chosen by integer or bool tensors.
    Tensor(Tensor),
}

/// A slice with a step, which may be negative: `strided(.., -1)` reverses.
pub fn strided(range: impl Into<Index>, step: i64) -> Index {
    match range.into() {
        Index::Slice(from, to, _) => Index::Slice(from, to, step),
        other => other,
    }
}

/// A position as a signed number. Positions beyond its range are beyond every axis too.
fn signed(at: impl TryInto<i64>) -> i64 {
    at.try_into().unwrap_or(i64::MAX)
}

macro_rules! index_from {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Index {
            fn from(at: $ty) -> Index {
                Index::At(signed(at))
            }
        }

        impl From<Range<$ty>> for Index {
            fn from(r: Range<$ty>) -> Index {
                Index::Slice(Some(signed(r.start)), Some(signed(r.end)), 1)
            }
        }

        impl From<RangeFrom<$ty>> for Index {
            fn from(r: RangeFrom<$ty>) -> Index {
                Index::Slice(Some(signed(r.start)), None, 1)
            }
        }

        impl From<RangeTo<$ty>> for Index {
            fn from(r: RangeTo<$ty>) -> Index {
                Index::Slice(None, Some(signed(r.end)), 1)
            }
        }

        impl From<RangeInclusive<$ty>> for Index {
            fn from(r: RangeInclusive<$ty>) -> Index {
                Index::Slice(Some(signed(*r.start())), after(signed(*r.end())), 1)
            }
        }

        impl From<RangeToInclusive<$ty>> for Index {
            fn from(r: RangeToInclusive<$ty>) -> Index {
                Index::Slice(None, after(signed(r.end)), 1)
            }
        }
    )*};
}

index_from!(i32, i64, usize);

impl From<RangeFull> for Index {
    fn from(_: RangeFull) -> Index {
        Index::Slice(None, None, 1)
    }
}

impl From<Tensor> for Index {
    fn from(tensor: Tensor) -> Index {
        Index::Tensor(tensor)
    }
}

impl From<&Tensor> for Index {
    fn from(tensor: &Tensor) -> Index {
        Index::Tensor(tensor.clone())
    }
}

/// The end of an inclusive range: behind -1 there is only the end of the axis.
fn after(last: i64) -> Option<i64> {
    (last != -1).then(|| last.saturating_add(1))
}

/// What stands between the parentheses of [`Tensor::i`]: one index or a tuple of them.
pub trait IntoIndices {
    /// The entries in order.
    fn into_indices(self) -> Vec<Index>;
}

impl<T: Into<Index>> IntoIndices for T {
    fn into_indices(self) -> Vec<Index> {
        vec![self.into()]
    }
}

impl IntoIndices for Vec<Index> {
    fn into_indices(self) -> Vec<Index> {
        self
    }
}

macro_rules! index_tuples {
    ($($($name:ident)+;)*) => {$(
        impl<$($name: Into<Index>),+> IntoIndices for ($($name,)+) {
            #[allow(non_snake_case)]
            fn into_indices(self) -> Vec<Index> {
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        }
    )*};
}

index_tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
}

impl Tensor {
    /// Part of a tensor: integers, ranges, [`strided`], [`Index::Ellipsis`], [`Index::NewAxis`] and index
    /// tensors, as in Python's brackets.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::iota(24).reshape([2, 3, 4]);
    /// assert_eq!(x.i((.., 1..3, -1)).to_vec::<i64>()?, [7, 11, 19, 23]);
    /// assert_eq!(x.i((0, 0, strided(.., -1))).to_vec::<i64>()?, [3, 2, 1, 0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn i(&self, indices: impl IntoIndices) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let indices = indices.into_indices();
        let _indexed = indexed_by("i", self, &indices);
        let part = index(self, indices);
        part.unwrap_or_else(|e| Tensor::error(e.at(place)))
            .named("i", &[self])
    }

    /// The sub-tensor at position `at` of an axis.
    #[track_caller]
    pub fn select(&self, axis: i64, at: i64) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        select_one(self, axis, at).unwrap_or_else(|e| Tensor::error(e.at(place)))
    }

    /// The slices at the positions `indices` (1-d or 0-d) of an axis.
    #[track_caller]
    pub fn index_select(&self, axis: i64, indices: &Tensor) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let _indexed = Indexed::of("index_select", Noun::Index, &[self, indices]);
        let gathered = (|| {
            let at = self.axis("index_select", axis)?;
            if self.rank()? == 0 {
                return Ok(self.unsqueeze(0).index_select(0, indices).squeeze(0));
            }
            let indices = if indices.rank()? == 0 {
                indices.unsqueeze(0)
            } else {
                indices.clone()
            };
            let picked = gather_axes("index_select", self, &[at], &[indices])?;
            // The indexed axis comes out first and belongs to where it was.
            let mut perm: Vec<i64> = (1..self.rank()? as i64).collect();
            perm.insert(at, 0);
            Ok(picked.permute(perm))
        })();
        gathered.unwrap_or_else(|e: Error| Tensor::error(e.at(place)))
    }

    /// `out[i][j] = self[indices[i][j]][j]` for axis 0, and likewise for others; `indices` may be smaller
    /// than this tensor along the other axes.
    #[track_caller]
    pub fn gather(&self, axis: i64, indices: &Tensor) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let _indexed = Indexed::of("gather", Noun::Index, &[self, indices]);
        let gathered = (|| {
            let at = self.axis("gather", axis)?;
            // No indices read nothing, however many axes they have.
            if indices.node()?.ty.dims.iter().any(|d| d.is(0)) {
                let nothing = Tensor::full_of((), 0, self.dtype()?);
                return Ok(nothing.expand_to("gather", indices.node()?.ty.dims.clone()));
            }
            if self.rank()? == 0 {
                return gather_zero_dim(self, indices);
            }
            let coordinates = self.coordinates("gather", at, indices)?;
            let axes: Vec<usize> = (0..self.rank()?).collect();
            Ok(gather_at("gather", self, &axes, &coordinates))
        })();
        gathered.unwrap_or_else(|e: Error| Tensor::error(e.at(place)))
    }

    /// This tensor with `source` written to the positions that [`Tensor::gather`] would read; of several
    /// writes to one place the last (in row-major order) wins.
    #[track_caller]
    pub fn scatter(&self, axis: i64, indices: &Tensor, source: &Tensor) -> Tensor {
        self.scatter_with("scatter", axis, indices, source, None)
    }

    /// As [`Tensor::scatter`], adding to what is there.
    #[track_caller]
    pub fn scatter_add(&self, axis: i64, indices: &Tensor, source: &Tensor) -> Tensor {
        self.scatter_with("scatter_add", axis, indices, source, Some(Combine::Sum))
    }

    /// Rows of a table: `out[.., :] = self[indices[..], :]`.
    #[track_caller]
    pub fn embedding(&self, indices: &Tensor) -> Tensor {
        match self.rank() {
            Ok(2) | Err(_) => self.slices_at(indices),
            Ok(rank) => {
                let message = format!("a table has two axes, not {rank}");
                let error = Error::new(ErrorKind::Shape, "embedding", message).at(Place::here());
                Tensor::error(error.operand(self.note("self")))
            }
        }
    }

    /// The slices of axis 0 at positions of any number of axes.
    #[track_caller]
    pub(crate) fn slices_at(&self, indices: &Tensor) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let _indexed = Indexed::of("embedding", Noun::Index, &[self, indices]);
        gather_axes("embedding", self, &[0], std::slice::from_ref(indices))
            .unwrap_or_else(|e| Tensor::error(e.at(place)))
    }

    #[track_caller]
    pub(crate) fn scatter_with(
        &self,
        op: &'static str,
        axis: i64,
        indices: &Tensor,
        source: &Tensor,
        combine: Option<Combine>,
    ) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let indexed = Indexed::of(op, Noun::Index, &[self, indices, source]);
        let scattered = (|| {
            let at = self.axis(op, axis)?;
            if source.dtype()? != self.dtype()? {
                let message = "tensor and source have different element types";
                let error = Error::new(ErrorKind::DType, op, message).operand(self.note("self"));
                return Err(error.operand(source.note("source")));
            }
            if indices.node()?.ty.dims.iter().any(|d| d.is(0)) {
                return Ok(self.clone());
            }
            if self.rank()? == 0 {
                let (x, i) = (self.unsqueeze(0), indices.reshape([-1i64]));
                let written = x.scatter_with(op, 0, &i, &source.reshape([-1i64]), combine);
                return Ok(written.squeeze(0));
            }
            let coordinates = self.coordinates(op, at, indices)?;
            // The source may be larger than the indices, of which only the covered part counts.
            let mut updates = source.clone();
            for i in 0..indices.rank()? as i64 {
                updates = updates.narrow(i, 0, indices.dim(i));
            }
            let axes = (0..self.rank()? as u32).collect();
            let mut inputs = vec![self, &updates];
            inputs.extend(&coordinates);
            let _told = indexed.scope();
            Ok(primitive(op, Op::Scatter { axes, combine }, &inputs))
        })();
        scattered.unwrap_or_else(|e: Error| Tensor::error(e.at(place)))
    }

    /// One index tensor per axis: `indices` along `axis` (none negative any more), the own position
    /// along the others.
    #[track_caller]
    fn coordinates(&self, op: &'static str, axis: usize, indices: &Tensor) -> Result<Vec<Tensor>> {
        let (own, given) = (self.rank()?, indices.rank()?);
        if own != given {
            let message = format!("the indices have {given} axes, the tensor {own}");
            return Err(Error::new(ErrorKind::Shape, op, message)
                .operand(self.note("self"))
                .operand(indices.note("indices")));
        }
        let dims: Vec<Dim> = (0..given).map(|i| indices.dim(i as i64)).collect();
        let along = |i: usize| {
            let mut shape = vec![Dim::from(1i64); own];
            shape[i] = dims[i].clone();
            Tensor::iota(dims[i].clone())
                .reshape(shape)
                .expand(dims.clone())
        };
        (0..own)
            .map(|i| match i == axis {
                true => normalised(op, self, i, indices),
                false => Ok(along(i)),
            })
            .collect()
    }
}

/// Negative indices count from the end.
#[track_caller]
fn normalised(op: &'static str, x: &Tensor, axis: usize, indices: &Tensor) -> Result<Tensor> {
    let dtype = indices.dtype()?;
    if !dtype.is_int() {
        return Err(Error::new(
            ErrorKind::DType,
            op,
            format!("indices are {dtype}, not integers"),
        )
        .operand(x.note("self"))
        .operand(indices.note("indices"))
        .hint("cast the indices to i64"));
    }
    let indices = match indices.dtype()? {
        // Beyond the end, not before the beginning.
        DType::U64 => indices.minimum(i64::MAX),
        _ => indices.clone(),
    };
    let indices = indices.cast(DType::I64);
    if !Indexed::counts_from_end() {
        return Ok(indices);
    }
    let size = Tensor::from_dim(x.dim(axis as i64));
    Ok(indices.lt(0).where_(indices.add(size), &indices))
}

/// Gathers along axes with indices that may be negative; their common sizes come first.
#[track_caller]
fn gather_axes(op: &'static str, x: &Tensor, axes: &[usize], indices: &[Tensor]) -> Result<Tensor> {
    let mut broadcast = Broadcast::default();
    for i in indices {
        let conflict = |(_, a, b): (usize, String, String)| {
            let message = format!("index tensors with sizes {a} and {b} do not broadcast");
            Error::new(ErrorKind::Shape, op, message).operand(x.note("self"))
        };
        broadcast.add(&i.node()?.ty.dims).map_err(conflict)?;
    }
    let dims: Dims = broadcast.dims();
    let ready = axes
        .iter()
        .zip(indices)
        .map(|(&axis, i)| Ok(normalised(op, x, axis, i)?.expand_to(op, dims.clone())))
        .collect::<Result<Vec<_>>>()?;
    Ok(gather_at(op, x, axes, &ready))
}

/// Gathers along axes with indices of equal sizes, none negative.
#[track_caller]
fn gather_at(op: &'static str, x: &Tensor, axes: &[usize], indices: &[Tensor]) -> Tensor {
    let mut inputs = vec![x];
    inputs.extend(indices);
    let axes = axes.iter().map(|&a| a as u32).collect();
    let _told = Indexed::of(op, Noun::Index, &inputs).scope();
    primitive(op, Op::Gather { axes }, &inputs)
}

/// PyTorch lets a 0-d tensor be gathered from as if it had one axis.
#[track_caller]
fn gather_zero_dim(x: &Tensor, indices: &Tensor) -> Result<Tensor> {
    let flat = indices.reshape([-1i64]);
    let picked = gather_axes("gather", &x.unsqueeze(0), &[0], &[flat])?;
    Ok(picked.reshape(
        indices
            .node()?
            .ty
            .dims
            .iter()
            .map(|d| Dim(Ok(d.clone())))
            .collect::<Vec<_>>(),
    ))
}

#[track_caller]
fn select_one(x: &Tensor, axis: i64, at: i64) -> Result<Tensor> {
    let resolved = x.axis("select", axis)?;
    let size = x.dim(axis);
    let place = if at < 0 {
        size.clone() + at
    } else {
        Dim::from(at)
    };
    if let (Ok(place), Ok(size)) = (&place.0, &size.0)
        && let (Some(p), Some(s)) = (place.as_const(), size.as_const())
        && !(0..s).contains(&p)
    {
        let message = format!("index {at} is outside axis {axis}, which has size {s}");
        let error = Error::new(ErrorKind::Index, "select", message).operand(x.note("self"));
        return Err(error.hint(match s {
            0 => "nothing can be chosen where there is nothing".into(),
            _ => format!(
                "indices go from 0 to {}, or from -{s} to -1 counted from the end",
                s - 1
            ),
        }));
    }
    let one = x.slice_axis("select", axis, place, Dim::from(1i64), 1);
    Ok(one.squeeze(resolved as i64))
}

/// Says that indices are of operation `op` with these entries.
fn indexed_by(op: &str, x: &Tensor, entries: &[Index]) -> Indexed {
    let mut operands = vec![x];
    operands.extend(entries.iter().filter_map(|e| match e {
        Index::Tensor(t) => Some(t),
        Index::At(_) | Index::Slice(..) | Index::Ellipsis | Index::NewAxis => None,
    }));
    Indexed::of(op, Noun::Bracket, &operands)
}

/// Applies the entries from the left; index tensors are gathered together at the end.
#[track_caller]
fn index(x: &Tensor, mut entries: Vec<Index>) -> Result<Tensor> {
    let consumed = entries
        .iter()
        .map(axes_consumed)
        .collect::<Result<Vec<_>>>()?;
    let (used, rank) = (consumed.iter().sum::<usize>(), x.rank()?);
    if used > rank {
        let message = format!("{used} indices for a tensor with {rank} axes");
        let error = Error::new(ErrorKind::Index, "index", message).operand(x.note("self"));
        return Err(
            error.hint("`Index::NewAxis` adds an axis; masks take as many as they have themselves")
        );
    }
    let rest = std::iter::repeat_n(Index::Slice(None, None, 1), rank - used);
    match entries.iter().position(|e| matches!(e, Index::Ellipsis)) {
        Some(at) => drop(entries.splice(at..=at, rest)),
        None => entries.extend(rest),
    }
    if entries.iter().any(|e| matches!(e, Index::Ellipsis)) {
        return Err(
            Error::new(ErrorKind::Index, "index", "an ellipsis may occur once")
                .operand(x.note("self"))
                .hint("`..` stands for one whole axis, `Index::Ellipsis` for all that are left"),
        );
    }
    let (mut out, mut axis) = (x.clone(), 0i64);
    let mut gathered = Vec::new();
    for entry in entries {
        match entry {
            Index::At(at) => out = select_one(&out, axis, at)?,
            Index::Slice(from, to, step) => {
                out = slice(&out, axis, from, to, step)?;
                axis += 1;
            }
            Index::NewAxis => {
                out = out.unsqueeze(axis);
                axis += 1;
            }
            Index::Tensor(t) => {
                let mut t = t;
                if t.dtype()? == DType::Bool && t.rank()? == 0 {
                    // One truth value selects all or nothing, along an axis of its own.
                    out = out.unsqueeze(axis);
                    t = t.reshape([1]);
                }
                for one in index_tensors(&out, axis as usize, &t)? {
                    gathered.push((axis as usize, one));
                    axis += 1;
                }
            }
            Index::Ellipsis => {}
        }
    }
    gather_indexed(&out, &gathered)
}

fn axes_consumed(entry: &Index) -> Result<usize> {
    Ok(match entry {
        Index::At(_) | Index::Slice(..) => 1,
        Index::Ellipsis | Index::NewAxis => 0,
        Index::Tensor(t) if t.dtype()? == DType::Bool => t.rank()?,
        Index::Tensor(_) => 1,
    })
}

/// A bool tensor, which has the sizes of the axes of `x` from `axis` on, stands for the positions where it
/// is true; these are computed now.
#[track_caller]
fn index_tensors(x: &Tensor, axis: usize, t: &Tensor) -> Result<Vec<Tensor>> {
    if t.dtype()? != DType::Bool {
        return Ok(vec![t.clone()]);
    }
    let (whole, mask) = (&x.node()?.ty.dims, &t.node()?.ty.dims);
    let covered = whole.iter().skip(axis);
    if covered
        .zip(mask)
        .any(|(a, b)| a.compare_eq(b) == Some(false))
    {
        let message = "the mask has not the sizes of the axes that it selects from";
        return Err(Error::new(ErrorKind::Index, "index", message)
            .operand(x.note("self"))
            .operand(t.note("mask"))
            .hint("broadcast the mask first: `mask.broadcast_with(&x)`"));
    }
    t.nonzero_coordinates()
}

/// Gathers with index tensors for some axes. When those axes are adjacent the result's axes stand in
/// their place, otherwise in front (as in NumPy).
#[track_caller]
fn gather_indexed(x: &Tensor, indexed: &[(usize, Tensor)]) -> Result<Tensor> {
    let Some((first, _)) = indexed.first() else {
        return Ok(x.clone());
    };
    let axes: Vec<usize> = indexed.iter().map(|(a, _)| *a).collect();
    let tensors: Vec<Tensor> = indexed.iter().map(|(_, t)| t.clone()).collect();
    let out = gather_axes("index", x, &axes, &tensors)?;
    let adjacent = axes.windows(2).all(|w| w[1] == w[0] + 1);
    if !adjacent || *first == 0 {
        return Ok(out);
    }
    let index_rank = (out.rank()? + axes.len() - x.rank()?) as i64;
    let before = *first as i64;
    let mut perm: Vec<i64> = (index_rank..index_rank + before).collect();
    perm.extend(0..index_rank);
    perm.extend(index_rank + before..out.rank()? as i64);
    Ok(out.permute(perm))
}

/// Python's slices: bounds are cut off at the ends of the axis.
#[track_caller]
fn slice(x: &Tensor, axis: i64, from: Option<i64>, to: Option<i64>, step: i64) -> Result<Tensor> {
    if from.is_none() && to.is_none() && step == 1 {
        return Ok(x.clone());
    }
    if step == 0 {
        return Err(
            Error::new(ErrorKind::Argument, "slice", "a step of 0 leads nowhere")
                .operand(x.note("self")),
        );
    }
    // Rounding up adds a step to a size, which must stay below 2^63.
    const LONGEST: u64 = 1 << 62;
    if step.unsigned_abs() > LONGEST {
        let message = format!("a step of {step} is too long: steps go up to {LONGEST} either way");
        return Err(Error::new(ErrorKind::Argument, "slice", message).operand(x.note("self")));
    }
    let size = x.dim(axis).0?;
    let overflow = |e| crate::tensor::size_overflow("slice", e);
    let zero = lazulite_ir::Dim::ZERO;
    let constant = lazulite_ir::Dim::constant;
    // Forwards positions run from 0 to size, backwards from -1 to size - 1.
    let (lowest, highest) = if step > 0 {
        (zero.clone(), size.clone())
    } else {
        (
            constant(-1),
            size.sub(&lazulite_ir::Dim::ONE).map_err(overflow)?,
        )
    };
    let bound = |given: Option<i64>, default: &lazulite_ir::Dim| -> Result<lazulite_ir::Dim> {
        let Some(given) = given else {
            return Ok(default.clone());
        };
        let place = if given < 0 {
            size.add(&constant(given)).map_err(overflow)?
        } else {
            constant(given)
        };
        Ok(place.maximum(&lowest).minimum(&highest))
    };
    let (start, end) = if step > 0 {
        (bound(from, &lowest)?, bound(to, &highest)?)
    } else {
        (bound(from, &highest)?, bound(to, &lowest)?)
    };
    let distance = if step > 0 {
        end.sub(&start)
    } else {
        start.sub(&end)
    };
    let count = distance
        .and_then(|d| d.add(&constant(step.saturating_abs() - 1)))
        .and_then(|d| d.floor_div(&constant(step.saturating_abs())))
        .map_err(overflow)?
        .maximum(&zero);
    // An empty slice may start anywhere; inside is always fine.
    let start = if count.is(0) { zero } else { start };
    Ok(x.slice_axis("slice", axis, Dim(Ok(start)), Dim(Ok(count)), step))
}

impl Tensor {
    /// Positions of the elements that are not zero, one row each. Computes this tensor now, because
    /// the result's size depends on it.
    #[track_caller]
    pub fn nonzero(&self) -> Tensor {
        match self.nonzero_coordinates() {
            Ok(columns) if columns.is_empty() => match self.cast(DType::Bool).item::<bool>() {
                Ok(hit) => Tensor::full_of([usize::from(hit), 0], 0, DType::I64),
                Err(e) => Tensor::error(e),
            },
            Ok(columns) => Tensor::stack(&columns.iter().collect::<Vec<_>>(), 1),
            Err(e) => Tensor::error(e),
        }
    }

    /// The elements where `mask` is true, in row-major order. Computes the mask now.
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Tensor {
        let (x, mask) = (self.broadcast_with(mask), mask.broadcast_with(self));
        // One flat axis, so that 0-d tensors give vectors, too.
        x.ravel().i(mask.ravel())
    }

    /// Per axis, the positions of the elements that are not zero.
    #[track_caller]
    pub(crate) fn nonzero_coordinates(&self) -> Result<Vec<Tensor>> {
        let _pinned = Scope::pin();
        let (dims, device) = (self.known_dims()?, self.device()?);
        let hits = self.cast(DType::Bool).to_vec::<bool>()?;
        let mut columns: Vec<Vec<i64>> = vec![Vec::new(); dims.len()];
        for (flat, _) in hits.iter().enumerate().filter(|(_, hit)| **hit) {
            let mut rest = flat;
            for (column, size) in columns.iter_mut().zip(&dims).rev() {
                column.push((rest % size) as i64);
                rest /= size;
            }
        }
        Ok(columns
            .into_iter()
            .map(|c| {
                let count = c.len();
                Tensor::table(c, [count]).to(device)
            })
            .collect())
    }

    /// Writes `value` (broadcast) to the part that `indices` choose; this tensor is rebound to the result,
    /// other handles keep the old value.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let mut x = Tensor::zeros([2, 3]);
    /// x.set_item((.., 1), 5.0);
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 5.0, 0.0, 0.0, 5.0, 0.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn set_item(&mut self, indices: impl IntoIndices, value: impl Into<Argument>) {
        let (indices, value) = (indices.into_indices(), value.into());
        let _indexed = indexed_by("set_item", self, &indices);
        let given: Vec<Tensor> = { indices.iter() }
            .filter_map(|entry| match entry {
                Index::Tensor(t) => Some(t),
                _ => None,
            })
            .chain(match &value {
                Argument::Tensor(t) => Some(t),
                Argument::Number(_) => None,
            })
            .cloned()
            .collect();
        let operands: Vec<&Tensor> = given.iter().chain([&*self]).collect();
        let written = self.index_put(indices, value, false);
        *self = written.named("set_item", &operands);
    }

    /// This tensor with `value` (broadcast) written to, or added to, the part that `indices` choose.
    #[track_caller]
    pub fn index_put(
        &self,
        indices: impl IntoIndices,
        value: impl Into<Argument>,
        accumulate: bool,
    ) -> Tensor {
        let indices = indices.into_indices();
        let _indexed = indexed_by("index_put", self, &indices);
        attempt(|| {
            let sizes = self.sizes()?;
            let count = sizes.iter().fold(Dim::from(1i64), |n, d| n * d);
            // The flat positions of the part, found by indexing a tensor of positions.
            let sound = |entry: &Index| !matches!(entry, Index::Tensor(t) if t.check().is_err());
            let sound = indices.iter().all(sound);
            let positions = index(&Tensor::iota(count).reshape(sizes.clone()), indices);
            let positions = positions.map_err(|e| match sound {
                true => self.instead_of_positions(e),
                false => e,
            })?;
            let value = match value.into() {
                Argument::Tensor(t) => t.cast(self.dtype()?),
                Argument::Number(n) => Tensor::full_of((), n, self.dtype()?),
            };
            let updates = value.expand(positions.sizes()?).reshape([-1i64]);
            let (flat, positions) = (self.reshape([-1i64]), positions.reshape([-1i64]));
            let written = match accumulate {
                true => flat.scatter_add(0, &positions, &updates),
                false => flat.scatter(0, &positions, &updates),
            };
            Ok(written.reshape(sizes))
        })
    }

    /// The error of indices of a tensor of positions, about this tensor, which the user wrote.
    fn instead_of_positions(&self, error: Error) -> Error {
        let own = |note: &OperandNote| match note.role {
            "self" => self.note("self"),
            _ => note.clone(),
        };
        let operands = error.operands().iter().map(own).collect();
        error.with_operands(operands)
    }
}
