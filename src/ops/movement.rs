//! Rearranging elements: nothing here copies until a kernel reads through it.

use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Broadcast, Dim, IntoDims, IntoList, Number, Tensor, primitive, size_overflow};
use lazulite_ir::{Dims, Op};

/// Constant 1 or 0 in every axis.
fn filled(rank: usize, value: i64) -> Dims {
    std::iter::repeat_n(lazulite_ir::Dim::constant(value), rank).collect()
}

/// More elements no axis can be wider or narrower, lest arithmetic with positions overflows.
const WIDEST: i64 = 1 << 60;

impl Tensor {
    /// The same elements in row-major order under other sizes; one size may be -1 and follows
    /// from the rest.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::iota(12).reshape([3, -1]);
    /// assert_eq!(x.dims()?, [3, 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("view"))]
    #[track_caller]
    pub fn reshape(&self, dims: impl IntoDims) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let dims = dims.into_dims().and_then(|dims| self.infer_missing(dims));
        match dims {
            Ok(dims) => primitive("reshape", Op::Reshape { dims }, &[self]),
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    /// Replaces a size of -1.
    fn infer_missing(&self, mut dims: Dims) -> Result<Dims> {
        let node = self.node()?;
        let mut missing = dims
            .iter()
            .enumerate()
            .filter(|(_, d)| d.is(-1))
            .map(|(i, _)| i);
        let axis = match (missing.next(), missing.next()) {
            (None, _) => return Ok(dims),
            (Some(axis), None) => axis,
            (Some(_), Some(_)) => {
                let error = Error::new(ErrorKind::Argument, "reshape", "only one size may be -1");
                return Err(error.operand(self.note("self")));
            }
        };
        let overflow = |e| size_overflow("reshape", e);
        let total = lazulite_ir::Dim::product(&node.ty.dims).map_err(overflow)?;
        let known = dims
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != axis)
            .map(|(_, d)| d);
        let known = lazulite_ir::Dim::product(known).map_err(overflow)?;
        if known.is(0) {
            return Err(Error::new(
                ErrorKind::Shape,
                "reshape",
                "a size of -1 is ambiguous when the other sizes hold no elements",
            )
            .operand(self.note("self")));
        }
        dims[axis] = total.floor_div(&known).map_err(overflow)?;
        Ok(dims)
    }

    /// Reorders the axes: axis `i` of the result is axis `axes[i]`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::zeros((2, 3, 4));
    /// assert_eq!(x.permute((2, 0, 1)).dims()?, [4, 2, 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn permute(&self, axes: impl IntoList<i64>) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let perm = axes
            .into_list()
            .into_iter()
            .map(|a| self.axis("permute", a).map(|a| a as u32))
            .collect::<Result<Vec<_>>>();
        match perm {
            Ok(perm) => primitive("permute", Op::Permute { perm }, &[self]),
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    /// Exchanges two axes.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::zeros((2, 3, 4)).transpose(0, -1).dims()?, [4, 3, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("swapaxes", "swapdims"))]
    #[track_caller]
    pub fn transpose(&self, a: i64, b: i64) -> Tensor {
        match (
            self.axis("transpose", a),
            self.axis("transpose", b),
            self.rank(),
        ) {
            (Ok(a), Ok(b), Ok(rank)) if rank > 0 => {
                let mut perm: Vec<u32> = (0..rank as u32).collect();
                perm.swap(a, b);
                primitive("transpose", Op::Permute { perm }, &[self])
            }
            (Ok(_), Ok(_), Ok(_)) => self.clone(),
            (Err(e), ..) | (_, Err(e), _) | (.., Err(e)) => Tensor::error(e),
        }
    }

    /// The transpose of a matrix; vectors and 0-d tensors stay as they are.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        match self.rank() {
            Ok(0 | 1) => self.clone(),
            Ok(2) => self.transpose(0, 1),
            Ok(rank) => {
                let message = format!("a tensor with {rank} axes is no matrix");
                let error = Error::new(ErrorKind::Shape, "t", message).at(Place::here());
                let hint = "mt() transposes the matrices in the last two axes";
                Tensor::error(error.operand(self.note("self")).hint(hint))
            }
            Err(e) => Tensor::error(e),
        }
    }

    /// Repeats axes of size 1, and adds axes in front, up to the given sizes; -1 keeps a size.
    #[doc(alias("broadcast_to"))]
    #[track_caller]
    pub fn expand(&self, dims: impl IntoDims) -> Tensor {
        match dims.into_dims() {
            Ok(dims) => self.expand_to("expand", dims),
            Err(e) => Tensor::error(e.at(Place::here())),
        }
    }

    /// As [`Tensor::expand`], reported as `op`.
    #[track_caller]
    pub(crate) fn expand_to(&self, op: &'static str, mut dims: Dims) -> Tensor {
        let own = match self.node() {
            Ok(node) => node.ty.dims.clone(),
            Err(e) => return Tensor::error(e),
        };
        let Some(missing) = dims.len().checked_sub(own.len()) else {
            let message = format!(
                "{} sizes are fewer than the tensor's {}",
                dims.len(),
                own.len()
            );
            let error = Error::new(ErrorKind::Shape, op, message);
            return Tensor::error(error.at(Place::here()).operand(self.note("self")));
        };
        for (target, size) in dims[missing..].iter_mut().zip(&own) {
            if target.is(-1) {
                target.clone_from(size);
            }
        }
        let mut out = self.clone();
        if missing > 0 {
            let mut padded = filled(missing, 1);
            padded.extend(own);
            out = primitive(op, Op::Reshape { dims: padded }, &[&out]);
        }
        primitive(op, Op::Expand { dims }, &[&out])
    }

    /// Expands to the common sizes of this and `other`.
    #[track_caller]
    pub fn broadcast_with(&self, other: &Tensor) -> Tensor {
        let common = self.node().and_then(|a| {
            let mut broadcast = Broadcast::default();
            let conflict = |(axis, a, b): (usize, String, String)| {
                let message = format!("sizes {a} and {b} do not broadcast along axis {axis}");
                Error::new(ErrorKind::Shape, "broadcast_with", message)
                    .operand(self.note("self"))
                    .operand(other.note("other"))
            };
            broadcast.add(&a.ty.dims).map_err(conflict)?;
            broadcast.add(&other.node()?.ty.dims).map_err(conflict)?;
            Ok(broadcast.dims())
        });
        match common {
            Ok(dims) => self.expand_to("broadcast_with", dims),
            Err(e) => Tensor::error(e.at(Place::here())),
        }
    }

    /// Adds an axis of size 1 before position `axis`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::zeros((2, 3));
    /// assert_eq!(x.unsqueeze(1).dims()?, [2, 1, 3]);
    /// assert_eq!(x.unsqueeze(-1).squeeze(-1).dims()?, [2, 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("expand_dims"))]
    #[track_caller]
    pub fn unsqueeze(&self, axis: i64) -> Tensor {
        let mut dims = match self.node() {
            Ok(node) => node.ty.dims.clone(),
            Err(e) => return Tensor::error(e),
        };
        let places = dims.len() as i64 + 1;
        let at = if axis < 0 {
            axis.saturating_add(places)
        } else {
            axis
        };
        if !(0..places).contains(&at) {
            let message = format!("position {axis} does not exist: there are {places}");
            let error = Error::new(ErrorKind::Shape, "unsqueeze", message);
            return Tensor::error(error.at(Place::here()).operand(self.note("self")));
        }
        dims.insert(at as usize, lazulite_ir::Dim::ONE);
        primitive("unsqueeze", Op::Reshape { dims }, &[self])
    }

    /// Removes an axis if its size is 1.
    #[track_caller]
    pub fn squeeze(&self, axis: i64) -> Tensor {
        match (self.node(), self.axis("squeeze", axis)) {
            (Ok(node), Ok(axis)) => {
                let mut dims = node.ty.dims.clone();
                if !dims.get(axis).is_some_and(|d| d.is(1)) {
                    return self.clone();
                }
                dims.remove(axis);
                primitive("squeeze", Op::Reshape { dims }, &[self])
            }
            (Err(e), _) | (_, Err(e)) => Tensor::error(e),
        }
    }

    /// Joins the axes from `first` to `last` into one.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::zeros((2, 3, 4));
    /// assert_eq!(x.flatten(1, -1).dims()?, [2, 12]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn flatten(&self, first: i64, last: i64) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let dims = self.node().and_then(|node| {
            let (first, last) = (self.axis("flatten", first)?, self.axis("flatten", last)?);
            let mut dims = node.ty.dims.clone();
            if dims.is_empty() {
                return Ok(filled(1, 1));
            }
            if first > last {
                let message = format!("axis {first} comes after axis {last}");
                return Err(Error::new(ErrorKind::Argument, "flatten", message));
            }
            let joined = lazulite_ir::Dim::product(&dims[first..=last])
                .map_err(|e| size_overflow("flatten", e))?;
            dims.drain(first..=last);
            dims.insert(first, joined);
            Ok(dims)
        });
        match dims {
            Ok(dims) => primitive("flatten", Op::Reshape { dims }, &[self]),
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    /// Reverses the order along the given axes.
    #[doc(alias("reverse"))]
    #[track_caller]
    pub fn flip(&self, axes: impl IntoList<i64>) -> Tensor {
        let mut out = self.clone();
        let axes = axes.into_list();
        let resolved = axes.iter().map(|a| self.axis("flip", *a));
        if let Ok(mut all) = resolved.collect::<Result<Vec<_>>>() {
            all.sort_unstable();
            if all.windows(2).any(|pair| pair[0] == pair[1]) {
                let message = format!("an axis is named twice in {axes:?}");
                let error = Error::new(ErrorKind::Argument, "flip", message);
                return Tensor::error(error.at(Place::here()).operand(self.note("self")));
            }
        }
        for axis in axes {
            let last = out.dim(axis) - 1;
            out = out.slice_axis("flip", axis, last, out.dim(axis), -1);
        }
        out
    }

    /// `len` elements from `start` (counted from the end if negative) along one axis.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::iota(6).narrow(0, 2, 3).to_vec::<i64>()?, [2, 3, 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn narrow(&self, axis: i64, start: impl Into<Dim>, len: impl Into<Dim>) -> Tensor {
        let (mut start, size) = (start.into(), self.dim(axis));
        let known = |dim: &Dim| dim.0.as_ref().ok().and_then(lazulite_ir::Dim::as_const);
        if let (Some(from), Some(size)) = (known(&start), known(&size)) {
            if !(-size..=size).contains(&from) {
                let message = format!("start {from} is not from {} to {size}", -size);
                let error = Error::new(ErrorKind::Index, "narrow", message).at(Place::here());
                return Tensor::error(error.operand(self.note("self")));
            }
            if from < 0 {
                start = Dim::from(from + size);
            }
        }
        self.slice_axis("narrow", axis, start, len.into(), 1)
    }

    /// `len` elements from `start` in steps of `step` along one axis.
    #[track_caller]
    pub(crate) fn slice_axis(
        &self,
        op: &'static str,
        axis: i64,
        start: Dim,
        len: Dim,
        step: i64,
    ) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        let attributes = self.node().and_then(|node| {
            let axis = self.axis(op, axis)?;
            let rank = node.ty.rank();
            if rank == 0 {
                let error = Error::new(ErrorKind::Shape, op, "a 0-d tensor has no axis to slice");
                return Err(error.operand(self.note("self")));
            }
            let (mut starts, mut lens) = (filled(rank, 0), node.ty.dims.clone());
            let mut steps = vec![1; rank];
            starts[axis] = start.0?;
            lens[axis] = len.0?;
            steps[axis] = step;
            Ok(Op::Slice {
                start: starts,
                len: lens,
                step: steps,
            })
        });
        match attributes {
            Ok(slice) => primitive(op, slice, &[self]),
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    /// Adds `value` around: per axis, from the first, how many before and after. Negative
    /// numbers cut off.
    #[track_caller]
    pub fn pad(&self, widths: impl IntoList<(i64, i64)>, value: impl Into<Number>) -> Tensor {
        let node = match self.node() {
            Ok(node) => node,
            Err(e) => return Tensor::error(e),
        };
        let widths = widths.into_list();
        let absurd = |w: &&(i64, i64)| w.0.max(w.1) > WIDEST || w.0.min(w.1) < -WIDEST;
        if let Some((before, after)) = widths.iter().find(absurd) {
            let message = format!("no tensor is {before} and {after} elements wider");
            let error = Error::new(ErrorKind::Argument, "pad", message).at(Place::here());
            return Tensor::error(
                error
                    .operand(self.note("self"))
                    .hint("widths are given per axis as (before, after); negative ones cut off"),
            );
        }
        let side = |pick: fn(&(i64, i64)) -> i64| -> Dims {
            widths
                .iter()
                .map(|w| lazulite_ir::Dim::constant(pick(w)))
                .collect()
        };
        let pad = Op::Pad {
            low: side(|w| w.0),
            high: side(|w| w.1),
            interior: filled(widths.len(), 0),
        };
        let fill = Tensor::full_of((), value, node.ty.dtype).named("pad", &[]);
        primitive("pad", pad, &[self, &fill])
    }

    /// Sliding windows of `size` along `axis`, `step` apart, as a new last axis.
    #[track_caller]
    pub fn unfold(&self, axis: i64, size: impl Into<Dim>, step: impl Into<Dim>) -> Tensor {
        let place = Place::here();
        // PyTorch lets a 0-d tensor pass for one with a single element.
        if self.rank().is_ok_and(|r| r == 0) {
            return self.unsqueeze(0).unfold(axis, size, step).squeeze(0);
        }
        let _pinned = Scope::pin();
        let attributes = self.axis("unfold", axis).and_then(|axis| {
            let (size, extent) = (size.into().0?, self.dim(axis as i64).0?);
            if size.compare_le(&extent) == Some(false) {
                let message = format!("windows of size {size} do not fit an axis of size {extent}");
                let error = Error::new(ErrorKind::Shape, "unfold", message);
                return Err(error.operand(self.note("self")));
            }
            Ok(Op::Window {
                axis: axis as u32,
                size,
                stride: step.into().0?,
                dilation: lazulite_ir::Dim::ONE,
            })
        });
        match attributes {
            Ok(window) => primitive("unfold", window, &[self]),
            Err(e) => Tensor::error(e.at(place)),
        }
    }

    /// Joins tensors along an axis.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (a, b) = (Tensor::zeros([1, 2]), Tensor::ones([2, 2]));
    /// assert_eq!(Tensor::cat(&[&a, &b], 0).dims()?, [3, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (a, b) = (Tensor::from([1, 2]), Tensor::from([3]));
    /// assert_eq!(Tensor::cat(&[&a, &b], 0).to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("concat", "concatenate"))]
    #[track_caller]
    pub fn cat(tensors: &[&Tensor], axis: i64) -> Tensor {
        let place = Place::here();
        let _pinned = Scope::pin();
        concatenate(tensors, axis).unwrap_or_else(|e| Tensor::error(e.at(place)))
    }

    /// Joins tensors of equal sizes along a new axis.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (a, b) = (Tensor::from([1, 2]), Tensor::from([3, 4]));
    /// assert_eq!(Tensor::stack(&[&a, &b], 0).dims()?, [2, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn stack(tensors: &[&Tensor], axis: i64) -> Tensor {
        let _pinned = Scope::pin();
        let raised: Vec<Tensor> = tensors.iter().map(|t| t.unsqueeze(axis)).collect();
        Tensor::cat(&raised.iter().collect::<Vec<_>>(), axis).named("stack", tensors)
    }
}

/// Each tensor is padded to the full size, and chosen where it belongs: padding and adding would
/// turn -0 into 0 and NaN padding into NaN.
#[track_caller]
fn concatenate(tensors: &[&Tensor], axis: i64) -> Result<Tensor> {
    // As in PyTorch, vectors without elements may stand anywhere and count for their type only.
    let is_placeholder = |t: &&&Tensor| {
        t.0.as_ref()
            .is_ok_and(|n| matches!(&*n.ty.dims, [d] if d.is(0)))
    };
    let mut joined: Vec<&Tensor> = tensors
        .iter()
        .filter(|t| !is_placeholder(t))
        .copied()
        .collect();
    if joined.is_empty() {
        joined = tensors.to_vec();
    }
    let Some((first, rest)) = joined.split_first() else {
        return Err(Error::new(
            ErrorKind::Argument,
            "cat",
            "there are no tensors to join",
        )
        .hint("of which element type and sizes the result of joining nothing would be is not known"));
    };
    let axis = first.axis("cat", axis)?;
    let mut dtype = first.node()?.ty.dtype;
    for t in tensors {
        dtype = dtype.promote(t.node()?.ty.dtype);
    }
    for t in rest {
        let node = t.node()?;
        let (ours, theirs) = (&first.node()?.ty.dims, &node.ty.dims);
        let differ = |(i, (a, b)): (usize, (&lazulite_ir::Dim, &lazulite_ir::Dim))| {
            i != axis && a.compare_eq(b) == Some(false)
        };
        if ours.len() != theirs.len() || ours.iter().zip(theirs).enumerate().any(differ) {
            let message = format!("sizes other than those of axis {axis} must be equal");
            let hint = match ours.len() == theirs.len() {
                true => "join along the axis whose sizes differ, or cut or pad the others",
                false => {
                    "the tensors have different numbers of axes: add one with `unsqueeze`, or use `stack`"
                }
            };
            return Err(Error::new(ErrorKind::Shape, "cat", message)
                .operand(first.note("first"))
                .operand(t.note("other"))
                .hint(hint));
        }
    }
    // Neighbours are joined in rounds: an element then goes through few choices.
    let mut parts: Vec<Tensor> = joined.iter().map(|t| t.cast(dtype)).collect();
    while parts.len() > 1 {
        let pairs = parts.chunks(2).map(|pair| match pair {
            [a, b] => join(a, b, axis),
            rest => Ok(rest[0].clone()),
        });
        parts = pairs.collect::<Result<_>>()?;
    }
    Ok(parts.swap_remove(0))
}

#[track_caller]
fn join(a: &Tensor, b: &Tensor, axis: usize) -> Result<Tensor> {
    let (x, y) = (a.node()?, b.node()?);
    if x.ty.dims.is_empty() {
        return Err(Error::new(
            ErrorKind::Shape,
            "cat",
            "0-d tensors have no axis to join along",
        )
        .hint("use stack"));
    }
    let (before, after) = (x.ty.dims[axis].clone(), y.ty.dims[axis].clone());
    let rank = x.ty.rank();
    let widen = |t: &Tensor, low_by: &lazulite_ir::Dim, high_by: &lazulite_ir::Dim| {
        let (mut lows, mut highs) = (filled(rank, 0), filled(rank, 0));
        lows[axis].clone_from(low_by);
        highs[axis].clone_from(high_by);
        let pad = Op::Pad {
            low: lows,
            high: highs,
            interior: filled(rank, 0),
        };
        let fill = Tensor::full_of((), 0, x.ty.dtype);
        primitive("cat", pad, &[t, &fill])
    };
    let zero = lazulite_ir::Dim::ZERO;
    let total = Dim(Ok(before.clone())) + Dim(Ok(after.clone()));
    let mut shape = filled(rank, 1);
    shape[axis] = total.0.clone()?;
    let index = Tensor::iota(total);
    let index = primitive("cat", Op::Reshape { dims: shape }, &[&index]);
    let in_first = index.lt(Tensor::from_dim(Dim(Ok(before.clone()))));
    Ok(in_first.where_(widen(a, &zero, &after), widen(b, &before, &zero)))
}
