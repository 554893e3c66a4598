//! Extremes with their positions, running extremes, and what sorting an axis gives: medians,
//! quantiles, modes, sets.

use super::composite::{attempt, attempt_all, attempt_pair, bad_argument, bad_shape};
use crate::error::Result;
use crate::tensor::{Dim, Tensor, primitive};
use lazulite_ir::{Combine, DType, Op};

/// Between which neighbours a quantile falls, and what is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Interpolation {
    /// In proportion to the distances.
    #[default]
    Linear,
    /// The lower one.
    Lower,
    /// The higher one.
    Higher,
    /// Half way between.
    Midpoint,
    /// The nearer one; the even one if both are as near.
    Nearest,
}

/// The distinct elements of a tensor.
#[derive(Clone, Debug)]
pub struct Unique {
    /// The distinct elements (or slices).
    pub values: Tensor,
    /// For each element (or slice) of the tensor its place among the distinct ones, i64.
    pub inverse: Tensor,
    /// How often each occurs, i64.
    pub counts: Tensor,
}

impl Tensor {
    /// Puts axes of size 1 where a reduction over `axes` of this tensor removed them from `reduced`. (An empty list
    /// stands for all axes.)
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::zeros([2, 3, 4]);
    /// assert_eq!(x.keep_axes(&x.median(1).0, 1).dims()?, [2, 1, 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn keep_axes(&self, reduced: &Tensor, axes: impl super::IntoAxes) -> Tensor {
        attempt(|| {
            if self.rank()? == 0 {
                return Ok(reduced.clone());
            }
            let axes = self.some_axes("keep_axes", axes)?;
            let raised = axes
                .iter()
                .fold(reduced.clone(), |x, &a| x.unsqueeze(i64::from(a)));
            Ok(raised)
        })
    }

    /// The largest element along an axis and its position (the first of equals).
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (values, places) = Tensor::from([[1, 5], [7, 3]]).max_dim(1);
    /// assert_eq!((values.to_vec::<i32>()?, places.to_vec::<i64>()?), (vec![5, 7], vec![1, 0]));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("max"))]
    #[track_caller]
    pub fn max_dim(&self, axis: i64) -> (Tensor, Tensor) {
        self.extreme_at(self.argmax(axis), axis)
    }

    /// The smallest element along an axis and its position (the first of equals).
    #[doc(alias("min"))]
    #[track_caller]
    pub fn min_dim(&self, axis: i64) -> (Tensor, Tensor) {
        self.extreme_at(self.argmin(axis), axis)
    }

    /// The elements at these positions along an axis, and the positions. Gradients flow to these elements alone, not to
    /// their equals.
    #[track_caller]
    fn extreme_at(&self, positions: Tensor, axis: i64) -> (Tensor, Tensor) {
        let values = attempt(|| {
            if self.rank()? == 0 {
                return Ok(self.clone());
            }
            let values = self.gather(axis, &positions.unsqueeze(axis));
            Ok(values.squeeze(axis))
        });
        (values, positions)
    }

    /// Smallest and largest element over axes.
    #[track_caller]
    pub fn aminmax(&self, axes: impl super::IntoAxes + Clone) -> (Tensor, Tensor) {
        (self.amin(axes.clone()), self.amax(axes))
    }

    /// The running maximum along an axis and its position (the last of equals).
    #[track_caller]
    pub fn cummax(&self, axis: i64) -> (Tensor, Tensor) {
        self.running_extreme("cummax", Combine::Max, axis)
    }

    /// The running minimum along an axis and its position (the last of equals).
    #[track_caller]
    pub fn cummin(&self, axis: i64) -> (Tensor, Tensor) {
        self.running_extreme("cummin", Combine::Min, axis)
    }

    #[track_caller]
    fn running_extreme(&self, op: &'static str, kind: Combine, axis: i64) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let at = self.axis(op, axis)?;
            if self.rank()? == 0 {
                return Ok((self.clone(), Tensor::full((), 0)));
            }
            let scan = |x: &Tensor, kind| {
                let axis = at as u32;
                primitive(
                    op,
                    Op::Scan {
                        kind,
                        axis,
                        reverse: false,
                    },
                    &[x],
                )
            };
            let values = scan(self, kind);
            let hit = self.eq(&values).bitwise_or(self.isnan());
            let position = hit.where_(self.positions(at)?, 0);
            Ok((values, scan(&position, Combine::Max)))
        })
    }

    /// The logarithm of the running sum of exponentials along an axis.
    #[track_caller]
    pub fn logcumsumexp(&self, axis: i64) -> Tensor {
        attempt(|| {
            let at = self.axis("logcumsumexp", axis)?;
            if self.rank()? == 0 {
                return Ok(self.to_floating());
            }
            if self.is_complex() {
                // One after the other: which branch of the logarithm comes out depends on the order.
                let parts = self.unbind(at as i64);
                let mut sums: Vec<Tensor> = Vec::with_capacity(parts.len());
                for part in parts {
                    sums.push(sums.last().map_or(part.clone(), |sum| part.logaddexp(sum)));
                }
                return Ok(match sums.is_empty() {
                    true => self.clone(),
                    false => Tensor::stack(&sums.iter().collect::<Vec<_>>(), at as i64),
                });
            }
            // Doubling: after step k every place covers the 2^k elements up to it. A scan over
            // differences to one maximum would underflow where elements are far apart.
            let (mut x, size) = (self.to_floating(), self.known_size(at)? as i64);
            let mut reach = 1i64;
            while reach < size {
                let mut widths = vec![(0, 0); x.rank()?];
                widths[at] = (reach, -reach);
                let before = x.pad(widths, f64::NEG_INFINITY);
                x = x.logaddexp(before);
                reach *= 2;
            }
            Ok(x)
        })
    }

    /// The `k`-th smallest element along an axis, counting from 1, and its position.
    #[track_caller]
    pub fn kthvalue(&self, k: usize, axis: i64) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let at = self.axis("kthvalue", axis)?;
            let size = self.atleast_1d().known_size(at)?;
            if k == 0 || k > size {
                let error = bad_argument("kthvalue", format!("k = {k} is not from 1 to {size}"));
                return Err(error.operand(self.note("self")));
            }
            let (values, indices) = self.atleast_1d().sort(at as i64);
            let pick = |t: Tensor| t.select(at as i64, k as i64 - 1);
            Ok((pick(values), pick(indices)))
        })
    }

    /// The median along an axis (of an even count the lower of the two), and its position. NaN if
    /// there is one.
    #[track_caller]
    pub fn median(&self, axis: i64) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let (sorted, places, at) = self.sorted_axis("median", axis)?;
            let middle = (sorted.known_size(at)? as i64 - 1) / 2;
            let axis = at as i64;
            // NaNs are sorted to the end; the first of them wins.
            let nans = sorted.isnan().cast(DType::I64).sum(axis);
            let first = nans.neg().add(sorted.dim(axis).value()?);
            let place = nans.gt(0).where_(first, middle).unsqueeze(axis);
            let pick = |t: &Tensor| t.gather(axis, &place).squeeze(axis);
            Ok((pick(&sorted), pick(&places)))
        })
    }

    /// The median of the elements along an axis that are not NaN, and its position; NaN if there are
    /// none.
    #[track_caller]
    pub fn nanmedian(&self, axis: i64) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let (sorted, places, at) = self.sorted_axis("nanmedian", axis)?;
            let axis = at as i64;
            let numbers = sorted.isnan().logical_not().cast(DType::I64).sum(axis);
            let place = numbers
                .sub(1)
                .maximum(0)
                .bitwise_right_shift(1)
                .unsqueeze(axis);
            let pick = |t: &Tensor| t.gather(axis, &place).squeeze(axis);
            Ok((pick(&sorted), pick(&places)))
        })
    }

    /// The axis sorted, where its elements came from, and the axis; not empty, 0-d passes for 1-d.
    #[track_caller]
    fn sorted_axis(&self, op: &'static str, axis: i64) -> Result<(Tensor, Tensor, usize)> {
        let at = self.axis(op, axis)?;
        let x = self.atleast_1d();
        if x.known_size(at)? == 0 {
            let error = bad_shape(op, format!("axis {axis} has no elements"));
            return Err(error.operand(self.note("self")));
        }
        let (sorted, places) = x.sort(at as i64);
        Ok((sorted, places, at))
    }

    /// The most frequent element along an axis (of several the smallest), and one of its positions.
    #[track_caller]
    pub fn mode(&self, axis: i64) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let (sorted, places, at) = self.sorted_axis("mode", axis)?;
            let (sorted, places) = (
                sorted.movedim([at as i64], [-1]),
                places.movedim([at as i64], [-1]),
            );
            // Equal elements stand together: the place within its run of the first end of a longest run is the
            // largest there is.
            let (last, count) = (sorted.rank()? - 1, sorted.dim(-1) - 1);
            let (before, after) = (
                sorted.narrow(-1, 0, count.clone()),
                sorted.narrow(-1, 1, count),
            );
            let mut widths = vec![(0, 0); last + 1];
            widths[last] = (1, 0);
            let starts = after.ne(before).pad(widths, true);
            let positions = sorted.positions(last)?;
            let start = starts.where_(&positions, 0).cummax(-1).0;
            let place = positions.sub(start).argmax(-1).unsqueeze(-1);
            let pick = |t: &Tensor| t.gather(-1, &place).squeeze(-1);
            Ok((pick(&sorted), pick(&places)))
        })
    }

    /// Quantiles along an axis: `q` (0-d or 1-d, from 0 to 1) of the elements are below, between two elements in
    /// proportion. For a 1-d `q` its axis comes first. NaN where there is one.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1.0f32, 2.0, 4.0, 8.0]);
    /// assert_eq!(x.quantile(&Tensor::from(0.5f32), 0).item::<f32>()?, 3.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn quantile(&self, q: &Tensor, axis: i64) -> Tensor {
        self.quantile_with(q, axis, Interpolation::Linear)
    }

    /// As [`Tensor::quantile`], with another choice between two elements.
    #[track_caller]
    pub fn quantile_with(&self, q: &Tensor, axis: i64, interpolation: Interpolation) -> Tensor {
        attempt(|| {
            let any_nan = self.atleast_1d().isnan().any(axis);
            let result = self.quantiles("quantile", q, axis, interpolation)?;
            Ok(any_nan.where_(f64::NAN, result))
        })
    }

    /// As [`Tensor::quantile`], of the elements that are not NaN.
    #[track_caller]
    pub fn nanquantile(&self, q: &Tensor, axis: i64) -> Tensor {
        self.nanquantile_with(q, axis, Interpolation::Linear)
    }

    /// As [`Tensor::nanquantile`], with another choice between two elements.
    #[track_caller]
    pub fn nanquantile_with(&self, q: &Tensor, axis: i64, interpolation: Interpolation) -> Tensor {
        attempt(|| self.quantiles("nanquantile", q, axis, interpolation))
    }

    #[track_caller]
    fn quantiles(
        &self,
        op: &'static str,
        q: &Tensor,
        axis: i64,
        interpolation: Interpolation,
    ) -> Result<Tensor> {
        if !self.is_float() || self.dtype()? != q.dtype()? || q.rank()? > 1 {
            let error = bad_argument(op, "tensor and q are floats of one type, q at most 1-d");
            return Err(error.operand(self.note("self")).operand(q.note("q")));
        }
        let (sorted, _, at) = self.sorted_axis(op, axis)?;
        let sorted = sorted.movedim([at as i64], [-1]);
        let numbers = sorted
            .isnan()
            .logical_not()
            .cast(self.dtype()?)
            .sum_keepdim(-1);
        let rank = q.atleast_1d().mul(numbers.sub(1).maximum(0));
        let rank = match interpolation {
            Interpolation::Linear => rank,
            Interpolation::Lower => rank.floor(),
            Interpolation::Higher => rank.ceil(),
            Interpolation::Midpoint => rank.floor().add(rank.ceil()).mul(0.5),
            Interpolation::Nearest => rank.round(),
        };
        let low = rank.floor();
        let pick = |place: Tensor| sorted.gather(-1, &place.cast(DType::I64));
        let (below, above) = (pick(low.clone()), pick(rank.ceil()));
        let result = below.lerp(&above, rank.sub(low));
        Ok(match q.rank()? {
            0 => result.squeeze(-1),
            _ => result.movedim([-1], [0]),
        })
    }

    /// The distinct elements in ascending order. Computes the tensor now, because the result's size
    /// depends on it.
    #[track_caller]
    pub fn unique(&self) -> Unique {
        unique_of(self, |x| {
            let flat = x.ravel();
            let (sorted, places) = flat.sort(0);
            groups(&sorted.unsqueeze(1), &places, &flat.unsqueeze(1), x)
        })
    }

    /// The distinct slices along an axis in lexicographic order. Computes the tensor now.
    #[track_caller]
    pub fn unique_dim(&self, axis: i64) -> Unique {
        unique_of(self, |x| {
            let rows = rows_of("unique", x, axis)?;
            let count = rows.dim(0);
            let mut order = Tensor::iota(count);
            // Stable sorts by one column after the other, the last first.
            for column in (0..rows.known_size(1)? as i64).rev() {
                let keys = rows.select(1, column).index_select(0, &order);
                order = order.index_select(0, &keys.argsort(0));
            }
            let sorted = rows.index_select(0, &order);
            let mut unique = groups(&sorted, &order, &rows, &order)?;
            unique.values = slices_of(x, axis, &unique.values)?;
            Ok(unique)
        })
    }

    /// The elements without those equal to the one before. Computes the tensor now.
    #[track_caller]
    pub fn unique_consecutive(&self) -> Unique {
        unique_of(self, |x| {
            let rows = x.ravel().unsqueeze(1);
            let order = Tensor::iota(rows.dim(0));
            groups(&rows, &order, &rows, x)
        })
    }

    /// The slices along an axis without those equal to the one before. Computes the tensor now.
    #[track_caller]
    pub fn unique_consecutive_dim(&self, axis: i64) -> Unique {
        unique_of(self, |x| {
            let rows = rows_of("unique_consecutive", x, axis)?;
            let order = Tensor::iota(rows.dim(0));
            let mut unique = groups(&rows, &order, &rows, &order)?;
            unique.values = slices_of(x, axis, &unique.values)?;
            Ok(unique)
        })
    }
}

#[track_caller]
fn unique_of(x: &Tensor, find: impl FnOnce(&Tensor) -> Result<Unique>) -> Unique {
    let [values, inverse, counts] = attempt_all(|| {
        let unique = find(x)?;
        Ok([unique.values, unique.inverse, unique.counts])
    });
    Unique {
        values,
        inverse,
        counts,
    }
}

/// The slices along an axis as rows of a matrix.
#[track_caller]
fn rows_of(op: &'static str, x: &Tensor, axis: i64) -> Result<Tensor> {
    let at = x.axis(op, axis)?;
    let moved = x.atleast_1d().movedim([at as i64], [0]);
    let dims = moved.known_dims()?;
    Ok(moved.reshape([dims[0], dims[1..].iter().product()]))
}

/// Rows of a matrix as slices along an axis of `x`.
#[track_caller]
fn slices_of(x: &Tensor, axis: i64, rows: &Tensor) -> Result<Tensor> {
    let at = x.axis("unique", axis)? as i64;
    let mut dims: Vec<Dim> = x.atleast_1d().movedim([at], [0]).sizes()?;
    dims[0] = rows.dim(0);
    Ok(rows.reshape(dims).movedim([0], [at]))
}

/// Runs of equal rows in `sorted`, whose row `i` is row `order[i]` of `rows`.
#[track_caller]
fn groups(sorted: &Tensor, order: &Tensor, rows: &Tensor, like: &Tensor) -> Result<Unique> {
    let count = rows.known_size(0)? as i64;
    let differs = match count {
        0 => Tensor::full_of([0], true, DType::Bool),
        _ => {
            let (before, after) = (
                sorted.narrow(0, 0, count - 1),
                sorted.narrow(0, 1, count - 1),
            );
            before.ne(after).any(1).pad([(1, 0)], true)
        }
    };
    let starts = differs.nonzero().ravel();
    let group = differs.cast(DType::I64).cumsum(0).sub(1);
    let inverse = Tensor::iota(count).scatter(0, order, &group);
    let ends = match starts.known_size(0)? {
        0 => starts.clone(),
        _ => Tensor::cat(
            &[
                &starts.narrow(0, 1, starts.dim(0) - 1),
                &Tensor::full([1], count),
            ],
            0,
        ),
    };
    let values = sorted.index_select(0, &starts);
    let values = if values.known_size(1)? == 1 {
        values.squeeze(1)
    } else {
        values
    };
    Ok(Unique {
        values,
        inverse: inverse.reshape_as(like),
        counts: ends.sub(starts),
    })
}
