//! Statistics over axes, and of samples.

use super::IntoAxes;
use super::composite::{attempt, bad_argument, bad_shape};
use crate::tensor::{Number, Tensor};
use lazulite_ir::DType;

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
