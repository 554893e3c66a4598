//! More rearrangements, made of the primitive views: axes that come and go, repetition, rotation,
//! diagonals and triangles.

use super::composite::{attempt, bad_argument, bad_shape, sane};
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::location::Scope;
use crate::tensor::{Dim, IntoDims, IntoList, Tensor, primitive};
use lazulite_ir::{Dims, Op};

impl Tensor {
    /// Removes every axis of size 1.
    #[doc(alias("squeeze"))]
    #[track_caller]
    pub fn squeeze_all(&self) -> Tensor {
        attempt(|| {
            let dims: Dims = self
                .node()?
                .ty
                .dims
                .iter()
                .filter(|d| !d.is(1))
                .cloned()
                .collect();
            Ok(primitive("squeeze", Op::Reshape { dims }, &[self]))
        })
    }

    /// Removes those of the given axes that have size 1.
    #[track_caller]
    pub fn squeeze_axes(&self, axes: impl IntoList<i64>) -> Tensor {
        attempt(|| {
            let mut resolved = self.distinct_axes("squeeze", &axes.into_list())?;
            resolved.sort_unstable();
            let removed = resolved.into_iter().rev();
            Ok(removed.fold(self.clone(), |x, axis| x.squeeze(axis as i64)))
        })
    }

    /// Resolves axes, all different.
    #[track_caller]
    pub(crate) fn distinct_axes(&self, op: &'static str, axes: &[i64]) -> Result<Vec<usize>> {
        let mut resolved = Vec::with_capacity(axes.len());
        for &axis in axes {
            let at = self.axis(op, axis)?;
            if resolved.contains(&at) {
                let error = bad_argument(op, format!("axis {axis} is named twice"));
                return Err(error.operand(self.note("self")));
            }
            resolved.push(at);
        }
        Ok(resolved)
    }

    /// Splits an axis into axes of the given sizes, one of which may be -1.
    #[track_caller]
    pub fn unflatten(&self, axis: i64, sizes: impl IntoDims) -> Tensor {
        attempt(|| {
            let (at, own) = (self.axis("unflatten", axis)?, self.sizes()?);
            let sizes: Vec<Dim> = sizes.into_dims()?.into_iter().map(|d| Dim(Ok(d))).collect();
            let Some(size) = own.get(at) else {
                return Err(bad_shape("unflatten", "a 0-d tensor has no axis to split"));
            };
            // A missing size follows from this axis alone.
            let part = Tensor::iota(size.clone()).reshape(sizes);
            let part = part.sizes().map_err(|e| {
                let reworded = e.named("unflatten").with_operands(vec![self.note("self")]);
                reworded.hint(format!("the sizes multiply to that of axis {axis}"))
            })?;
            let mut dims = own.clone();
            dims.splice(at..=at, part);
            Ok(self.reshape(dims))
        })
    }

    /// The elements in one axis.
    #[doc(alias("flatten"))]
    #[track_caller]
    pub fn ravel(&self) -> Tensor {
        self.reshape([-1i64])
    }

    /// Reshaped to the sizes of `other`.
    #[track_caller]
    pub fn reshape_as(&self, other: &Tensor) -> Tensor {
        attempt(|| Ok(self.reshape(other.sizes()?)))
    }

    /// Expanded to the sizes of `other`.
    #[track_caller]
    pub fn expand_as(&self, other: &Tensor) -> Tensor {
        attempt(|| Ok(self.expand(other.sizes()?)))
    }

    /// All tensors expanded to their common sizes.
    #[track_caller]
    pub fn broadcast_tensors(tensors: &[&Tensor]) -> Vec<Tensor> {
        let _pinned = Scope::pin();
        let Some((first, rest)) = tensors.split_first() else {
            return Vec::new();
        };
        let common = rest
            .iter()
            .fold((*first).clone(), |common, t| common.broadcast_with(t));
        tensors.iter().map(|t| t.broadcast_with(&common)).collect()
    }

    /// Summed over axes that were expanded, so that this can be expanded from `dims`.
    #[track_caller]
    pub fn sum_to_size(&self, dims: impl IntoDims) -> Tensor {
        attempt(|| {
            let (target, own) = (dims.into_dims()?, self.node()?.ty.dims.clone());
            let misfit = || {
                let target = lazulite_ir::Shape::from(&*target);
                let error = bad_shape("sum_to_size", format!("{target} does not expand to this"));
                error.operand(self.note("self"))
            };
            let missing = own.len().checked_sub(target.len()).ok_or_else(misfit)?;
            let mut over: Vec<i64> = (0..missing as i64).collect();
            for (axis, (size, wanted)) in own
                .iter()
                .enumerate()
                .skip(missing)
                .zip(&target)
                .map(|((i, s), w)| (i, (s, w)))
            {
                match wanted.is(1) && !size.is(1) {
                    true => over.push(axis as i64),
                    false if size.compare_eq(wanted) == Some(false) => return Err(misfit()),
                    false => {}
                }
            }
            if over.is_empty() {
                return Ok(self.clone());
            }
            let summed = self.sum(over);
            Ok(primitive(
                "sum_to_size",
                Op::Reshape { dims: target },
                &[&summed],
            ))
        })
    }

    /// Moves axes to other places; the rest keep their order.
    #[doc(alias("moveaxis"))]
    #[track_caller]
    pub fn movedim(&self, source: impl IntoList<i64>, destination: impl IntoList<i64>) -> Tensor {
        attempt(|| {
            let (source, destination) = (source.into_list(), destination.into_list());
            if source.len() != destination.len() {
                let (from, to) = (source.len(), destination.len());
                let message = format!("{from} axes cannot move to {to} places");
                return Err(bad_argument("movedim", message).operand(self.note("self")));
            }
            if self.rank()? == 0 {
                self.distinct_axes("movedim", &source)?;
                return Ok(self.clone());
            }
            let from = self.distinct_axes("movedim", &source)?;
            let to = self.distinct_axes("movedim", &destination)?;
            let mut perm: Vec<Option<usize>> = vec![None; self.rank()?];
            for (from, to) in from.iter().zip(&to) {
                perm[*to] = Some(*from);
            }
            let mut rest = (0..perm.len()).filter(|a| !from.contains(a));
            let perm: Vec<i64> = perm
                .into_iter()
                .filter_map(|a| a.or_else(|| rest.next()))
                .map(|a| a as i64)
                .collect();
            Ok(self.permute(perm))
        })
    }

    /// The last two axes exchanged.
    #[track_caller]
    pub fn mt(&self) -> Tensor {
        attempt(|| match self.rank()? {
            0 | 1 => {
                let error = bad_shape("mt", "a matrix has at least two axes");
                Err(error.operand(self.note("self")))
            }
            _ => Ok(self.transpose(-2, -1)),
        })
    }

    /// The last two axes exchanged and complex numbers conjugated.
    #[track_caller]
    pub fn mh(&self) -> Tensor {
        self.mt().conj()
    }

    /// Reverses the order along axis 0.
    #[track_caller]
    pub fn flipud(&self) -> Tensor {
        self.flip_of("flipud", 0)
    }

    /// Reverses the order along axis 1.
    #[track_caller]
    pub fn fliplr(&self) -> Tensor {
        self.flip_of("fliplr", 1)
    }

    #[track_caller]
    fn flip_of(&self, op: &'static str, axis: i64) -> Tensor {
        attempt(|| match self.rank()? as i64 > axis {
            true => Ok(self.flip([axis])),
            false => {
                let error = bad_shape(op, format!("there is no axis {axis}"));
                Err(error.operand(self.note("self")))
            }
        })
    }

    /// Shifts elements along axes, those that leave coming in at the other end.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::arange(0, 4, 1).roll([1], [0]).to_vec::<i64>()?, [3, 0, 1, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, shifts: impl IntoList<i64>, axes: impl IntoList<i64>) -> Tensor {
        attempt(|| {
            let (shifts, axes) = (shifts.into_list(), axes.into_list());
            if shifts.len() != axes.len() || shifts.is_empty() {
                let (shifts, axes) = (shifts.len(), axes.len());
                let message = format!("{shifts} shifts for {axes} axes");
                return Err(bad_argument("roll", message).operand(self.note("self")));
            }
            let dims = self.known_dims()?;
            let mut out = self.clone();
            for (shift, axis) in shifts.into_iter().zip(axes) {
                let size = match dims.get(self.axis("roll", axis)?) {
                    Some(&size) if size > 0 => size as i64,
                    _ => continue,
                };
                let cut = (size - shift.rem_euclid(size)) % size;
                let (head, tail) = (out.narrow(axis, 0, cut), out.narrow(axis, cut, size - cut));
                out = Tensor::cat(&[&tail, &head], axis);
            }
            Ok(out)
        })
    }

    /// Rotates by `k` quarter turns in the plane of two axes, from the first towards the second.
    #[track_caller]
    pub fn rot90(&self, k: i64, axes: [i64; 2]) -> Tensor {
        attempt(|| {
            if self.rank()? < 2 {
                let error = bad_shape("rot90", "a rotation needs two axes");
                return Err(error.operand(self.note("self")));
            }
            self.distinct_axes("rot90", &axes)?;
            let [a, b] = axes;
            Ok(match k.rem_euclid(4) {
                0 => self.clone(),
                1 => self.flip([b]).transpose(a, b),
                2 => self.flip([a, b]),
                _ => self.flip([a]).transpose(a, b),
            })
        })
    }

    /// Repeats the whole tensor so often along each axis; axes in front are added as needed.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([1, 2]).repeat(2).to_vec::<i32>()?, [1, 2, 1, 2]);
    /// assert_eq!(Tensor::from([1, 2]).repeat((3, 1)).dims()?, [3, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn repeat(&self, repeats: impl IntoList<i64>) -> Tensor {
        attempt(|| {
            let repeats = repeats.into_list();
            let Some(missing) = repeats.len().checked_sub(self.rank()?) else {
                let error = bad_argument("repeat", "there are fewer repeats than axes");
                return Err(error.operand(self.note("self")));
            };
            if let Some(negative) = repeats.iter().find(|r| **r < 0) {
                return Err(bad_argument(
                    "repeat",
                    format!("{negative} repeats are negative"),
                ));
            }
            let mut sizes = vec![Dim::from(1i64); missing];
            sizes.extend(self.sizes()?);
            let (mut split, mut expanded, mut joined) = (Vec::new(), Vec::new(), Vec::new());
            for (size, count) in sizes.into_iter().zip(repeats) {
                split.extend([Dim::from(1i64), size.clone()]);
                expanded.extend([Dim::from(count), size.clone()]);
                joined.push(size * count);
            }
            let repeated = self.reshape(split).expand(expanded).reshape(joined);
            Ok(repeated.named("repeat", &[self]))
        })
    }

    /// As [`Tensor::repeat`]; missing repeats in front are 1.
    #[track_caller]
    pub fn tile(&self, repeats: impl IntoList<i64>) -> Tensor {
        attempt(|| {
            let repeats = repeats.into_list();
            let mut all = vec![1; self.rank()?.saturating_sub(repeats.len())];
            all.extend(repeats);
            Ok(self.repeat(all))
        })
    }

    /// Repeats each element `count` times along an axis, next to itself.
    #[track_caller]
    pub fn repeat_interleave(&self, count: usize, axis: i64) -> Tensor {
        attempt(|| {
            let at = self.axis("repeat_interleave", axis)?;
            let x = if self.rank()? == 0 {
                self.unsqueeze(0)
            } else {
                self.clone()
            };
            let (mut expanded, mut joined) = (x.sizes()?, x.sizes()?);
            expanded.insert(at + 1, Dim::from(count));
            joined[at] = x.dim(at as i64) * count;
            Ok(x.unsqueeze(at as i64 + 1).expand(expanded).reshape(joined))
        })
    }

    /// Repeats element `i` along an axis `counts[i]` times. Computes the counts now, because the
    /// result's size depends on them.
    #[track_caller]
    pub fn repeat_interleave_by(&self, counts: &Tensor, axis: i64) -> Tensor {
        attempt(|| {
            let size = self.dim(axis).value()?;
            let counts = counts
                .expand([size])
                .cast(lazulite_ir::DType::I64)
                .to_vec::<i64>()?;
            if let Some(negative) = counts.iter().find(|c| **c < 0) {
                let message = format!("{negative} repeats are negative");
                return Err(bad_argument("repeat_interleave", message));
            }
            let total = counts
                .iter()
                .fold(0, |sum: i64, count| sum.saturating_add(*count));
            sane(
                "repeat_interleave",
                usize::try_from(total).unwrap_or(usize::MAX),
            )?;
            let places = counts.iter().enumerate();
            let index: Vec<i64> = places
                .flat_map(|(i, &count)| std::iter::repeat_n(i as i64, count as usize))
                .collect();
            let count = index.len();
            Ok(self.index_select(axis, &Tensor::table(index, [count])))
        })
    }

    /// At least one axis.
    #[track_caller]
    pub fn atleast_1d(&self) -> Tensor {
        attempt(|| {
            Ok(if self.rank()? == 0 {
                self.unsqueeze(0)
            } else {
                self.clone()
            })
        })
    }

    /// At least two axes, added in front.
    #[track_caller]
    pub fn atleast_2d(&self) -> Tensor {
        attempt(|| {
            let x = self.atleast_1d();
            Ok(if x.rank()? == 1 { x.unsqueeze(0) } else { x })
        })
    }

    /// At least three axes: of a matrix the third is added behind.
    #[track_caller]
    pub fn atleast_3d(&self) -> Tensor {
        attempt(|| {
            let x = self.atleast_2d();
            Ok(if x.rank()? == 2 { x.unsqueeze(-1) } else { x })
        })
    }

    /// Reads elements of the flattened tensor: element (i, j, ...) of the result is the one at
    /// `offset + i * strides[0] + j * strides[1] + ...`.
    #[track_caller]
    pub fn as_strided(&self, dims: &[usize], strides: &[i64], offset: i64) -> Tensor {
        let _indexed = Indexed::of("as_strided", Noun::Place, &[self]);
        attempt(|| {
            let index = strided_index(dims, strides, offset)?;
            Ok(self.ravel().index_select(0, &index.ravel()).reshape(dims))
        })
    }

    /// This tensor with `source` written to the elements that [`Tensor::as_strided`] reads.
    #[track_caller]
    pub fn as_strided_scatter(
        &self,
        source: &Tensor,
        dims: &[usize],
        strides: &[i64],
        offset: i64,
    ) -> Tensor {
        let _indexed = Indexed::of("as_strided_scatter", Noun::Place, &[self]);
        attempt(|| {
            let index = strided_index(dims, strides, offset)?;
            let source = source.expand(dims).ravel();
            let written = self.ravel().scatter(0, &index.ravel(), &source);
            Ok(written.reshape(self.sizes()?))
        })
    }
}

/// The flat positions that sizes, strides and an offset describe.
#[track_caller]
fn strided_index(dims: &[usize], strides: &[i64], offset: i64) -> Result<Tensor> {
    if dims.len() != strides.len() {
        let (sizes, strides) = (dims.len(), strides.len());
        let message = format!("{sizes} sizes and {strides} strides");
        return Err(bad_argument("as_strided", message));
    }
    if let Some(negative) = strides.iter().chain([&offset]).find(|s| **s < 0) {
        let message = format!("strides and offset must not be negative, as {negative} is");
        return Err(bad_argument("as_strided", message));
    }
    let mut index = Tensor::full((), offset);
    for (axis, (&size, &stride)) in dims.iter().zip(strides).enumerate() {
        index = index.add(Tensor::iota(size).mul(stride).along(axis, dims.len()));
    }
    Ok(index.expand(dims))
}
