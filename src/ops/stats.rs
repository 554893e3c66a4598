//! Statistics, norms and distances, differences and integrals, histograms.

use super::IntoAxes;
use super::composite::{
    attempt, attempt_list, attempt_pair, bad_argument, bad_shape, common, sane,
};
use super::reduce::flat_at_zero;
use crate::error::Result;
use crate::tensor::{Dim, Number, Tensor, primitive};
use lazulite_ir::{DType, Op};

impl Tensor {
    /// Sum over axes, taking NaN as 0.
    #[track_caller]
    pub fn nansum(&self, axes: impl IntoAxes) -> Tensor {
        self.isnan().where_(self.zeros_like(), self).sum(axes)
    }

    /// Mean over axes of the elements that are not NaN.
    #[track_caller]
    pub fn nanmean(&self, axes: impl IntoAxes + Clone) -> Tensor {
        attempt(|| {
            let numbers = self.isnan().logical_not().cast(self.dtype()?);
            Ok(self.nansum(axes.clone()).div(numbers.sum(axes)))
        })
    }

    /// The number of elements over axes that are not zero, i64.
    #[track_caller]
    pub fn count_nonzero(&self, axes: impl IntoAxes) -> Tensor {
        self.cast(DType::Bool).sum(axes)
    }

    /// Variance and mean over axes.
    #[track_caller]
    pub fn var_mean(&self, axes: impl IntoAxes + Clone) -> (Tensor, Tensor) {
        self.var_mean_with(axes, 1)
    }

    /// As [`Tensor::var_mean`], where `correction` is subtracted from the count.
    #[track_caller]
    pub fn var_mean_with(
        &self,
        axes: impl IntoAxes + Clone,
        correction: impl Into<Number>,
    ) -> (Tensor, Tensor) {
        (self.var_with(axes.clone(), correction), self.mean(axes))
    }

    /// Standard deviation and mean over axes.
    #[track_caller]
    pub fn std_mean(&self, axes: impl IntoAxes + Clone) -> (Tensor, Tensor) {
        self.std_mean_with(axes, 1)
    }

    /// As [`Tensor::std_mean`], where `correction` is subtracted from the count.
    #[track_caller]
    pub fn std_mean_with(
        &self,
        axes: impl IntoAxes + Clone,
        correction: impl Into<Number>,
    ) -> (Tensor, Tensor) {
        (self.std_with(axes.clone(), correction), self.mean(axes))
    }

    /// The `p`-norm over axes: `sum(|x|^p)^(1/p)`, the largest magnitude for infinity, the smallest for
    /// minus infinity, the count of what is not zero for 0.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([3.0f32, 4.0]).vector_norm(2.0, ..).item::<f32>()?, 5.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("norm"))]
    #[track_caller]
    pub fn vector_norm(&self, p: f64, axes: impl IntoAxes) -> Tensor {
        attempt(|| {
            if self.is_integral() {
                return Err(super::composite::bad_dtype("vector_norm", self));
            }
            let a = self.abs();
            Ok(if p == f64::INFINITY {
                a.amax(axes)
            } else if p == f64::NEG_INFINITY {
                a.amin(axes)
            } else if p == 0.0 {
                a.ne(0).cast(a.dtype()?).sum(axes)
            } else if p == 1.0 {
                a.sum(axes)
            } else if p == 2.0 {
                flat_at_zero(&a.square().sum(axes), Tensor::sqrt)
            } else if p < 0.0 {
                a.pow(p).sum(axes).pow(1.0 / p)
            } else {
                let powers = flat_at_zero(&a, |a| a.pow(p));
                flat_at_zero(&powers.sum(axes), |sum| sum.pow(1.0 / p))
            })
        })
    }

    /// A norm of the matrices in two axes, which disappear.
    #[track_caller]
    pub fn matrix_norm(&self, ord: MatrixNorm, rows: i64, columns: i64) -> Tensor {
        attempt(|| {
            self.distinct_axes("matrix_norm", &[rows, columns])?;
            if self.is_integral() || self.rank()? < 2 {
                let error = bad_shape("matrix_norm", "norms are of floating-point matrices");
                return Err(error.operand(self.note("self")));
            }
            let x = self.movedim([rows, columns], [-2, -1]);
            let sums = |axis: i64| x.abs().sum(axis);
            Ok(match ord {
                MatrixNorm::Frobenius => x.vector_norm(2.0, [-2, -1]),
                MatrixNorm::MaxColumnSum => sums(-2).amax(-1),
                MatrixNorm::MinColumnSum => sums(-2).amin(-1),
                MatrixNorm::MaxRowSum => sums(-1).amax(-1),
                MatrixNorm::MinRowSum => sums(-1).amin(-1),
                MatrixNorm::Nuclear => x.svdvals().sum(-1),
                MatrixNorm::MaxSingular => x.svdvals().amax(-1),
                MatrixNorm::MinSingular => x.svdvals().amin(-1),
            })
        })
    }

    /// The Euclidean length of the difference.
    #[track_caller]
    pub fn dist(&self, other: &Tensor) -> Tensor {
        self.dist_with(other, 2.0)
    }

    /// As [`Tensor::dist`], in the `p`-norm.
    #[track_caller]
    pub fn dist_with(&self, other: &Tensor, p: f64) -> Tensor {
        self.sub(other).vector_norm(p, ..)
    }

    /// Slices along an axis scaled down to at most `maxnorm` in the `p`-norm.
    #[track_caller]
    pub fn renorm(&self, p: f64, axis: i64, maxnorm: f64) -> Tensor {
        attempt(|| {
            let at = self.axis("renorm", axis)?;
            if self.rank()? < 2 || p <= 0.0 || maxnorm < 0.0 {
                let message = format!("p = {p} and maxnorm = {maxnorm}, for at least two axes");
                return Err(bad_argument("renorm", message).operand(self.note("self")));
            }
            let over: Vec<i64> = (0..self.rank()? as i64)
                .filter(|a| *a != at as i64)
                .collect();
            let norm = self.keep_axes(&self.vector_norm(p, over.clone()), over);
            let scale = norm.add(1e-7).reciprocal().mul(maxnorm);
            Ok(self.mul(norm.gt(maxnorm).where_(scale, 1.0)))
        })
    }

    /// Euclidean distances between all pairs of rows: `[.., n, d]` and `[.., m, d]` give `[.., n, m]`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (x, y) = (Tensor::from([[0.0f32, 0.0]]), Tensor::from([[3.0f32, 4.0], [0.0, 1.0]]));
    /// assert_eq!(x.cdist(&y).to_vec::<f32>()?, [5.0, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn cdist(&self, other: &Tensor) -> Tensor {
        self.cdist_with(other, 2.0)
    }

    /// As [`Tensor::cdist`], in the `p`-norm.
    #[track_caller]
    pub fn cdist_with(&self, other: &Tensor, p: f64) -> Tensor {
        attempt(|| {
            if self.rank()? < 2 || other.rank()? < 2 {
                let error = bad_shape("cdist", "rows are in tensors with at least two axes");
                return Err(error
                    .operand(self.note("self"))
                    .operand(other.note("other")));
            }
            if p.is_nan() || p < 0.0 {
                return Err(bad_argument("cdist", format!("{p} is no norm")));
            }
            let difference = self.unsqueeze(-2).sub(other.unsqueeze(-3));
            match difference.known_dims()?.last() {
                // Rows without elements have no largest one; they are equal.
                Some(0) => Ok(difference.sum(-1)),
                _ => Ok(difference.vector_norm(p, -1)),
            }
        })
    }

    /// Distances between all pairs of different rows of a matrix, in the `p`-norm.
    #[track_caller]
    pub fn pdist(&self, p: f64) -> Tensor {
        attempt(|| {
            let [rows, _] = self.known_dims()?[..] else {
                let error = bad_shape("pdist", "rows are in a matrix");
                return Err(error.operand(self.note("self")));
            };
            let pairs = Tensor::triu_indices(rows, rows, 1);
            let row = |i: i64| self.index_select(0, &pairs.select(0, i));
            let difference = row(0).sub(row(1));
            match difference.known_dims()?.contains(&0) {
                true => Ok(difference.sum(-1)),
                false => Ok(difference.vector_norm(p, -1)),
            }
        })
    }

    /// Differences of neighbours along an axis.
    #[track_caller]
    pub fn diff(&self, axis: i64) -> Tensor {
        self.diff_with(1, axis)
    }

    /// As [`Tensor::diff`], `n` times.
    #[track_caller]
    pub fn diff_with(&self, n: usize, axis: i64) -> Tensor {
        attempt(|| {
            let at = self.axis("diff", axis)? as i64;
            if self.rank()? == 0 {
                let error = bad_shape("diff", "a 0-d tensor has no neighbours");
                return Err(error.operand(self.note("self")));
            }
            let mut x = self.clone();
            // After as many times as there are elements nothing is left.
            for _ in 0..n.min(self.known_size(at as usize)?) {
                let count = x.known_size(at as usize)?.saturating_sub(1);
                let (before, after) = (
                    x.narrow(at, 0, count),
                    x.narrow(at, 1.min(x.known_size(at as usize)?), count),
                );
                x = match x.dtype()? {
                    DType::Bool => after.bitwise_xor(before),
                    _ => after.sub(before),
                };
            }
            Ok(x)
        })
    }

    /// The integral along an axis by trapezoids of width `dx`.
    #[track_caller]
    pub fn trapezoid(&self, dx: f64, axis: i64) -> Tensor {
        attempt(|| {
            Ok(self
                .neighbour_sums("trapezoid", axis)?
                .mul(dx * 0.5)
                .sum(axis))
        })
    }

    /// The integral along an axis by trapezoids between the points `x` (1-d, or broadcasting with this).
    #[track_caller]
    pub fn trapezoid_at(&self, x: &Tensor, axis: i64) -> Tensor {
        attempt(|| Ok(self.trapezoids("trapezoid", x, axis)?.sum(axis)))
    }

    /// The running integral along an axis by trapezoids of width `dx`.
    #[track_caller]
    pub fn cumulative_trapezoid(&self, dx: f64, axis: i64) -> Tensor {
        attempt(|| {
            let sums = self.neighbour_sums("cumulative_trapezoid", axis)?;
            Ok(sums.mul(dx * 0.5).cumsum(axis))
        })
    }

    /// The running integral along an axis by trapezoids between the points `x`.
    #[track_caller]
    pub fn cumulative_trapezoid_at(&self, x: &Tensor, axis: i64) -> Tensor {
        attempt(|| {
            Ok(self
                .trapezoids("cumulative_trapezoid", x, axis)?
                .cumsum(axis))
        })
    }

    #[track_caller]
    fn neighbour_sums(&self, op: &'static str, axis: i64) -> Result<Tensor> {
        let at = self.axis(op, axis)?;
        let count = match self.known_dims()?.get(at) {
            Some(size) => size.saturating_sub(1),
            None => return Err(bad_shape(op, "a 0-d tensor has no neighbours")),
        };
        let later = self.known_size(at)? - count;
        Ok(self
            .narrow(axis, 0, count)
            .add(self.narrow(axis, later, count)))
    }

    #[track_caller]
    fn trapezoids(&self, op: &'static str, x: &Tensor, axis: i64) -> Result<Tensor> {
        let at = self.axis(op, axis)?;
        let points = match x.rank()? {
            1 => {
                let rank = self.rank()?;
                x.along(at, rank)
            }
            _ => x.clone(),
        };
        // The axis may have another position in points of another rank.
        let from_end = at as i64 - self.rank()? as i64;
        let axis_of_points = points.rank()? as i64 + from_end;
        let widths = points.diff(axis_of_points);
        Ok(self.neighbour_sums(op, axis)?.mul(widths).mul(0.5))
    }

    /// The covariance of the rows' variables, whose observations are in columns.
    #[track_caller]
    pub fn cov(
        &self,
        correction: f64,
        counts: Option<&Tensor>,
        weights: Option<&Tensor>,
    ) -> Tensor {
        attempt(|| {
            if self.rank()? > 2 {
                let error = bad_shape("cov", "variables are rows of a matrix");
                return Err(error.operand(self.note("self")));
            }
            let x = self.atleast_2d().to_floating();
            let observations = x.known_size(1)?;
            for (given, integral) in [(counts, true), (weights, false)] {
                let Some(given) = given else { continue };
                let fits = given.known_dims()? == [observations] && given.is_integral() == integral;
                if !fits || given.lt(0).any(..).item::<bool>()? {
                    let message = "weights are one number per observation, not negative; counts are \
                                   integers, weights floats";
                    return Err(bad_argument("cov", message).operand(given.note("weights")));
                }
            }
            let real = x.dtype()?.real();
            let (counts, weights) = (counts.map(|c| c.cast(real)), weights.map(|w| w.cast(real)));
            let w = match (&counts, &weights) {
                (Some(c), Some(w)) => c.mul(w),
                (Some(only), None) | (None, Some(only)) => only.clone(),
                (None, None) => Tensor::full_of([observations], 1, real),
            };
            let total = w.sum(..);
            let centred = x.sub(x.mul(&w).sum_keepdim(1).div(&total));
            let freedom = match &weights {
                None => total.sub(correction),
                Some(_) if correction == 0.0 => total,
                Some(weights) => total.sub(w.mul(weights).sum(..).div(&total).mul(correction)),
            };
            let product = centred.mul(&w).matmul(&centred.conj().t());
            Ok(product.div(freedom.maximum(0)).squeeze_all())
        })
    }

    /// The correlation coefficients of the rows' variables.
    #[track_caller]
    pub fn corrcoef(&self) -> Tensor {
        attempt(|| {
            let cov = self.cov(1.0, None, None);
            if cov.rank()? == 0 {
                return Ok(cov.div(&cov));
            }
            let deviation = cov.diagonal().real().sqrt();
            let scaled = cov.div(deviation.unsqueeze(1)).div(deviation.unsqueeze(0));
            Ok(match scaled.is_complex() {
                true => Tensor::complex(&scaled.real().clamp(-1, 1), &scaled.imag().clamp(-1, 1)),
                false => scaled.clamp(-1, 1),
            })
        })
    }

    /// How many elements fall into each of `bins` equal intervals from `low` to `high` (of the element
    /// type); from the smallest to the largest element if both are equal. Computes the range now.
    #[track_caller]
    pub fn histc(&self, bins: usize, low: f64, high: f64) -> Tensor {
        attempt(|| {
            let edges = self.bin_edges("histc", bins, low, high)?;
            let counted = self.ravel().histogram_of(&edges, None)?;
            Ok(counted.cast(self.dtype()?))
        })
    }

    /// A histogram over bins with the given edges (1-d, ascending), the last bin closed above. The
    /// second result is the edges.
    #[track_caller]
    pub fn histogram_at(
        &self,
        edges: &Tensor,
        weights: Option<&Tensor>,
        density: bool,
    ) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let weights = weights.map(Tensor::ravel);
            let counted = self
                .ravel()
                .histogram_of(edges, weights.as_ref())?
                .cast(self.dtype()?);
            let counted = match density {
                true => counted.div(counted.sum(..)).div(edges.diff(0)),
                false => counted,
            };
            Ok((counted, edges.clone()))
        })
    }

    /// As [`Tensor::histogram_at`], over `bins` equal bins from the smallest to the largest element, or
    /// over `range`. Computes the range now.
    #[track_caller]
    pub fn histogram(
        &self,
        bins: usize,
        range: Option<(f64, f64)>,
        weights: Option<&Tensor>,
        density: bool,
    ) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let (low, high) = range.unwrap_or((0.0, 0.0));
            let edges = self.bin_edges("histogram", bins, low, high)?;
            Ok(self.histogram_at(&edges, weights, density))
        })
    }

    /// Histograms over several dimensions: the columns of the last axis fall into bins with the given
    /// edges each.
    #[track_caller]
    pub fn histogramdd_at(
        &self,
        edges: &[&Tensor],
        weights: Option<&Tensor>,
        density: bool,
    ) -> Tensor {
        attempt(|| {
            if self.known_dims()?.last() != Some(&edges.len()) || self.rank()? < 2 {
                let message = format!(
                    "edges of {} dimensions do not fit the last axis",
                    edges.len()
                );
                return Err(bad_shape("histogramdd", message).operand(self.note("self")));
            }
            let points = self.reshape([-1, edges.len() as i64]);
            let mut dims = Vec::with_capacity(edges.len());
            let mut flat = Tensor::full((), 0);
            let mut inside = Tensor::full_of((), true, DType::Bool);
            for (i, edges) in edges.iter().enumerate() {
                let bins = edges.known_size(0)?.saturating_sub(1);
                let (place, fits) = points.select(1, i as i64).bin_of(edges);
                flat = flat.mul(bins).add(place);
                inside = inside.bitwise_and(fits);
                dims.push(bins);
            }
            let one = Tensor::full_of((), 1, self.dtype()?);
            let weights = weights.map_or(one, Tensor::ravel);
            let counted = count_places(&flat, &inside, &weights, dims.iter().product())?;
            let mut counted = counted.reshape(&dims);
            if density {
                counted = counted.div(counted.sum(..));
                for (i, edges) in edges.iter().enumerate() {
                    counted = counted.div(edges.diff(0).along(i, dims.len()));
                }
            }
            Ok(counted)
        })
    }

    /// The edges of `bins` equal bins over the elements' range, or from `low` to `high`.
    #[track_caller]
    pub(crate) fn bin_edges(
        &self,
        op: &'static str,
        bins: usize,
        low: f64,
        high: f64,
    ) -> Result<Tensor> {
        sane(op, bins)?;
        if bins == 0 || low > high || !low.is_finite() || !high.is_finite() {
            let message = format!("{bins} bins from {low} to {high}");
            return Err(bad_argument(op, message).operand(self.note("self")));
        }
        let (mut low, mut high) = (low, high);
        if low == high && self.numel()? > 0 {
            let (smallest, largest) = self.aminmax(..);
            low = smallest.cast(DType::F64).item::<f64>()?;
            high = largest.cast(DType::F64).item::<f64>()?;
            if !low.is_finite() || !high.is_finite() {
                let message = format!("the elements reach from {low} to {high}");
                return Err(bad_argument(op, message).operand(self.note("self")));
            }
        }
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        Ok(Tensor::linspace_of(low, high, bins + 1, self.dtype()?))
    }

    /// Which bin each element falls into, and whether it falls into one.
    #[track_caller]
    fn bin_of(&self, edges: &Tensor) -> (Tensor, Tensor) {
        let bins = edges.dim(0) - 1;
        let last = edges.select(0, -1);
        let place = self.bucketize(edges, true).sub(1);
        let place = self.eq(&last).where_(Tensor::from_dim(bins).sub(1), place);
        let inside = self.ge(edges.select(0, 0)).bitwise_and(self.le(last));
        (place, inside)
    }

    #[track_caller]
    fn histogram_of(&self, edges: &Tensor, weights: Option<&Tensor>) -> Result<Tensor> {
        if edges.rank()? != 1 || edges.known_size(0)? < 2 {
            let error = bad_shape("histogram", "edges are a vector of at least two");
            return Err(error.operand(edges.note("edges")));
        }
        let bins = edges.known_size(0)? - 1;
        let (place, inside) = self.bin_of(edges);
        let one = Tensor::full_of((), 1, self.dtype()?);
        count_places(&place, &inside, weights.unwrap_or(&one), bins)
    }

    /// How often each integer from 0 occurs, up to the largest (or `minlength - 1`); with weights the sums
    /// of those. Computes the largest now.
    #[track_caller]
    pub fn bincount(&self, weights: Option<&Tensor>, minlength: usize) -> Tensor {
        attempt(|| {
            let [count] = self.known_dims()?[..] else {
                let error = bad_shape("bincount", "the integers are in a vector");
                return Err(error.operand(self.note("self")));
            };
            let x = self.cast(DType::I64);
            let mut bins = minlength;
            if count > 0 {
                if x.amin(..).item::<i64>()? < 0 {
                    return Err(bad_argument("bincount", "there are negative integers"));
                }
                bins = bins.max(x.amax(..).item::<i64>()? as usize + 1);
            }
            let weights = match weights {
                None => Tensor::full([1], 1).expand([count]),
                Some(w) if w.dtype()? == DType::F32 => w.clone(),
                Some(w) => w.cast(DType::F64),
            };
            let zero = Tensor::full_of([bins], 0, weights.dtype()?);
            Ok(zero.scatter_add(0, &x, &weights))
        })
    }

    /// How many of the sorted `boundaries` (1-d) are below each element; with `right` also those equal
    /// to it.
    #[track_caller]
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Tensor {
        boundaries.searchsorted(self, right)
    }

    /// Where each of `values` belongs in this sorted tensor: along the last axis, all others equal, or
    /// in this vector. With `right` behind equal elements.
    #[track_caller]
    pub fn searchsorted(&self, values: &Tensor, right: bool) -> Tensor {
        attempt(|| {
            let (own, given) = (self.sizes()?, values.sizes()?);
            let equal = |(a, b): (&Dim, &Dim)| match (&a.0, &b.0) {
                (Ok(a), Ok(b)) => a.compare_eq(b) != Some(false),
                _ => false,
            };
            let leading = |dims: &[Dim]| dims.len().saturating_sub(1);
            let fits = own.len() == 1
                || (own.len() == given.len() && own[..leading(&own)].iter().zip(&given).all(equal));
            if own.is_empty() || !fits {
                let message = "the sorted elements are a vector, or have the values' leading sizes";
                let error = bad_shape("searchsorted", message).operand(self.note("self"));
                return Err(error.operand(values.note("values")));
            }
            let (sorted, values) = common(self.into(), values.into())?;
            // Short vectors are counted through faster than they are bisected.
            if own.len() == 1 && sorted.known_size(0).is_ok_and(|n| n > COUNTED) {
                return sorted.bisect(&values, right);
            }
            let value = values.unsqueeze(-1);
            // The elements of a vector stand along the last axis already.
            let sorted = if own.len() == 1 {
                sorted
            } else {
                sorted.unsqueeze(-2)
            };
            Ok(is_before(&sorted, &value, right).sum(-1))
        })
    }

    /// As [`Tensor::searchsorted`], in this vector of known size that is not 0 and of the values' type.
    #[track_caller]
    pub(crate) fn bisect(&self, values: &Tensor, right: bool) -> Result<Tensor> {
        let element =
            |at: &Tensor| primitive("searchsorted", Op::Gather { axes: vec![0] }, &[self, at]);
        let mut place = Tensor::full_of(values.sizes()?, 0, DType::I64);
        let mut left = self.known_size(0)? as i64;
        while left > 1 {
            let half = left / 2;
            let last = element(&place.add(half - 1));
            let step = is_before(&last, values, right).cast(DType::I64).mul(half);
            place = place.add(step);
            left -= half;
        }
        let behind = is_before(&element(&place), values, right);
        Ok(place.add(behind.cast(DType::I64)))
    }

    /// Derivatives along axes from the elements as samples, by differences of second order inside and
    /// of order `edge_order` (1 or 2) at the ends.
    #[track_caller]
    pub fn gradient(&self, spacings: &[Spacing], axes: &[i64], edge_order: usize) -> Vec<Tensor> {
        attempt_list(|| {
            if spacings.len() != axes.len() || !(1..=2).contains(&edge_order) {
                let (spacings, axes) = (spacings.len(), axes.len());
                let message = format!("{spacings} spacings, {axes} axes, edge order {edge_order}");
                return Err(bad_argument("gradient", message).operand(self.note("self")));
            }
            self.distinct_axes("gradient", axes)?;
            let x = self.to_floating();
            let pairs = spacings.iter().zip(axes);
            pairs
                .map(|(spacing, &axis)| gradient_along(&x, spacing, axis, edge_order))
                .collect()
        })
    }

    /// The exclusive or of all elements' bits over axes, as u64.
    #[track_caller]
    pub fn hash_tensor(&self, axes: impl IntoAxes) -> Tensor {
        attempt(|| {
            let wide = match self.dtype()? {
                d if d.is_float() => self.cast(DType::F64).bitcast(DType::U64),
                d if d.is_complex() => {
                    return Err(super::composite::bad_dtype("hash_tensor", self));
                }
                _ => self.cast(DType::I64).cast(DType::U64),
            };
            let rank = self.rank()?;
            let axes: Vec<i64> = self
                .some_axes("hash_tensor", axes)?
                .into_iter()
                .map(i64::from)
                .collect();
            // The parity of each bit.
            let shifts = Tensor::iota(64).cast(DType::U64);
            let bits = wide
                .unsqueeze(-1)
                .bitwise_right_shift(&shifts)
                .bitwise_and(1);
            let ones = match rank {
                0 => bits,
                _ => bits
                    .cast(DType::I64)
                    .sum(axes)
                    .cast(DType::U64)
                    .bitwise_and(1),
            };
            let placed = ones.bitwise_left_shift(shifts);
            Ok(placed.cast(DType::I64).sum(-1).cast(DType::U64))
        })
    }
}

/// Vectors of so many elements are counted through to find a place in them.
pub(super) const COUNTED: usize = 64;

/// Whether an element stands before the place of a value. NaN belongs behind everything.
#[track_caller]
fn is_before(element: &Tensor, value: &Tensor, right: bool) -> Tensor {
    let before = match right {
        true => element.le(value),
        false => element.lt(value),
    };
    match value.is_float() {
        true => before.bitwise_or(value.isnan()),
        false => before,
    }
}

/// Norms of matrices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatrixNorm {
    /// Root of the sum of squares (`'fro'`).
    Frobenius,
    /// Largest sum of magnitudes in a column (1).
    MaxColumnSum,
    /// Smallest sum of magnitudes in a column (-1).
    MinColumnSum,
    /// Largest sum of magnitudes in a row (infinity).
    MaxRowSum,
    /// Smallest sum of magnitudes in a row (minus infinity).
    MinRowSum,
    /// Sum of singular values (`'nuc'`).
    Nuclear,
    /// Largest singular value (2).
    MaxSingular,
    /// Smallest singular value (-2).
    MinSingular,
}

/// Where samples are: so far apart, or at these points (1-d).
#[derive(Clone, Debug)]
pub enum Spacing {
    /// Equal distances.
    Step(f64),
    /// The points themselves.
    Points(Tensor),
}

#[track_caller]
fn gradient_along(x: &Tensor, spacing: &Spacing, axis: i64, edge_order: usize) -> Result<Tensor> {
    let at = x.axis("gradient", axis)?;
    let size = match x.known_dims()?.get(at) {
        Some(&size) if size > edge_order => size as i64,
        _ => {
            let message = format!("axis {axis} needs at least {} elements", edge_order + 1);
            return Err(bad_shape("gradient", message).operand(x.note("self")));
        }
    };
    let widths = match spacing {
        Spacing::Step(step) => Tensor::full_of([size - 1], *step, x.dtype()?),
        Spacing::Points(points) => {
            if points.known_dims()? != [size as usize] {
                let message = format!("axis {axis} has {size} elements");
                return Err(bad_shape("gradient", message).operand(points.note("points")));
            }
            points.diff(0).cast(x.dtype()?)
        }
    };
    let rank = x.rank()?;
    let width = |from: i64, count: i64| widths.narrow(0, from, count).along(at, rank);
    let slopes = x.diff(axis).div(width(0, size - 1));
    let slope = |from: i64, count: i64| slopes.narrow(axis, from, count);
    let mut parts = Vec::new();
    // Inside, the slopes on both sides weigh inversely to their widths.
    if size > 2 {
        let (before, after) = (width(0, size - 2), width(1, size - 2));
        let weighted = slope(0, size - 2)
            .mul(&after)
            .add(slope(1, size - 2).mul(&before));
        parts.push(weighted.div(before.add(after)));
    }
    let (first, last) = match edge_order {
        1 => (slope(0, 1), slope(size - 2, 1)),
        _ => (
            edge_slope(&slope(0, 1), &slope(1, 1), &width(0, 1), &width(1, 1)),
            edge_slope(
                &slope(size - 2, 1),
                &slope(size - 3, 1),
                &width(size - 2, 1),
                &width(size - 3, 1),
            ),
        ),
    };
    parts.insert(0, first);
    parts.push(last);
    Ok(Tensor::cat(&parts.iter().collect::<Vec<_>>(), axis))
}

/// The slope at the end of a parabola through three points, from the slopes beside.
#[track_caller]
fn edge_slope(near: &Tensor, far: &Tensor, near_width: &Tensor, far_width: &Tensor) -> Tensor {
    let both = near_width.add(far_width);
    near.mul(both.add(near_width))
        .sub(far.mul(near_width))
        .div(both)
}

/// Sums weights by place; what is not inside counts nowhere.
#[track_caller]
fn count_places(place: &Tensor, inside: &Tensor, weights: &Tensor, count: usize) -> Result<Tensor> {
    let place = inside.where_(place, 0);
    let weights = inside.where_(weights, 0);
    let sums = Tensor::full_of([count], 0, weights.dtype()?);
    Ok(sums.scatter_add(0, &place, &weights))
}
