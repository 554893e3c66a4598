//! Counting elements: in bins, by number, and where they belong among sorted ones.

use super::composite::{attempt, attempt_pair, bad_argument, bad_shape, common, sane};
use crate::error::Result;
use crate::tensor::{Dim, Tensor, primitive};
use lazulite_ir::{DType, Op};

impl Tensor {
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

/// Sums weights by place; what is not inside counts nowhere.
#[track_caller]
fn count_places(place: &Tensor, inside: &Tensor, weights: &Tensor, count: usize) -> Result<Tensor> {
    let place = inside.where_(place, 0);
    let weights = inside.where_(weights, 0);
    let sums = Tensor::full_of([count], 0, weights.dtype()?);
    Ok(sums.scatter_add(0, &place, &weights))
}
