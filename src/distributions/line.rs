//! Distributions of numbers with a location and a scale.

use super::Distribution;
use super::draw;
use super::parameters::{batch_of, parameters};
use super::support::Support;
use crate::ops::attempt;
use crate::tensor::Tensor;
use std::f64::consts::{LN_2, PI};

/// Euler's constant.
pub(super) const EULER: f64 = 0.577_215_664_901_532_9;

parameters! {
    /// The normal (Gaussian) distribution.
    Normal {
        /// The mean.
        loc: Support::Real,
        /// The standard deviation.
        scale: Support::Positive,
    }
}

impl Normal {
    /// With parameters that were checked before.
    pub(super) fn of(loc: &Tensor, scale: &Tensor) -> Normal {
        Normal {
            loc: loc.clone(),
            scale: scale.clone(),
        }
    }
}

impl Distribution for Normal {
    batch_of!(loc, scale);

    fn support(&self) -> Support {
        Support::Real
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            Ok(draw::normals(shape, &self.loc)?
                .mul(&self.scale)
                .add(&self.loc))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let z = self
            .support()
            .checked(value)
            .sub(&self.loc)
            .div(&self.scale);
        let constant = 0.5 * (2.0 * PI).ln();
        z.square().mul(-0.5).sub(self.scale.log()).sub(constant)
    }

    fn entropy(&self) -> Tensor {
        self.scale.log().add(0.5 + 0.5 * (2.0 * PI).ln())
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    fn variance(&self) -> Tensor {
        self.scale.square()
    }

    fn stddev(&self) -> Tensor {
        self.scale.clone()
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        value.sub(&self.loc).div(&self.scale).ndtr()
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        value.ndtri().mul(&self.scale).add(&self.loc)
    }
}

parameters! {
    /// The uniform distribution between two numbers.
    Uniform {
        /// The lower end, which can be drawn.
        low: Support::Real,
        /// The upper end, which cannot.
        high: Support::Real,
    }
}

impl Uniform {
    #[track_caller]
    fn width(&self) -> Tensor {
        let width = self.high.sub(&self.low);
        width.require(&width.gt(0), "the lower end is below the upper end")
    }
}

impl Distribution for Uniform {
    batch_of!(low, high);

    fn support(&self) -> Support {
        Support::Interval(self.low.clone(), self.high.clone())
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            Ok(draw::uniforms(shape, &self.low)?
                .mul(self.width())
                .add(&self.low))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let inside = value.lt(&self.high);
        inside.where_(self.width().log().neg(), f64::NEG_INFINITY)
    }

    fn entropy(&self) -> Tensor {
        self.width().log()
    }

    fn mean(&self) -> Tensor {
        self.low.add(&self.high).mul(0.5)
    }

    fn variance(&self) -> Tensor {
        self.width().square().div(12.0)
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        value.sub(&self.low).div(self.width()).clamp(0, 1)
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        value.mul(self.width()).add(&self.low)
    }
}

parameters! {
    /// The Laplace (double exponential) distribution.
    Laplace {
        /// The mean.
        loc: Support::Real,
        /// The mean distance from the mean.
        scale: Support::Positive,
    }
}

impl Distribution for Laplace {
    batch_of!(loc, scale);

    fn support(&self) -> Support {
        Support::Real
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let u = draw::uniforms(shape, &self.loc)?;
            Ok(self.icdf(&u))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let distance = value.sub(&self.loc).abs().div(&self.scale);
        distance.neg().sub(self.scale.log()).sub(LN_2)
    }

    fn entropy(&self) -> Tensor {
        self.scale.log().add(1.0 + LN_2)
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    fn variance(&self) -> Tensor {
        self.scale.square().mul(2)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let z = value.sub(&self.loc).div(&self.scale);
        let tail = z.abs().neg().exp().mul(0.5);
        z.lt(0).where_(&tail, tail.neg().add(1))
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        // By the nearer end, where the numbers are exact.
        let below = value.lt(0.5);
        let tail = below.where_(value, value.neg().add(1)).mul(2).log();
        let z = below.where_(&tail, tail.neg());
        z.mul(&self.scale).add(&self.loc)
    }
}

parameters! {
    /// The Cauchy (Lorentz) distribution, which has no mean.
    Cauchy {
        /// The median.
        loc: Support::Real,
        /// Half of the draws are within this distance of the median.
        scale: Support::Positive,
    }
}

impl Cauchy {
    /// With parameters that were checked before.
    pub(super) fn of(loc: &Tensor, scale: &Tensor) -> Cauchy {
        Cauchy {
            loc: loc.clone(),
            scale: scale.clone(),
        }
    }
}

impl Distribution for Cauchy {
    batch_of!(loc, scale);

    fn support(&self) -> Support {
        Support::Real
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            Ok(draw::cauchys(shape, &self.loc)?
                .mul(&self.scale)
                .add(&self.loc))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let z = self
            .support()
            .checked(value)
            .sub(&self.loc)
            .div(&self.scale);
        z.square().log1p().neg().sub(self.scale.log()).sub(PI.ln())
    }

    fn entropy(&self) -> Tensor {
        self.scale.log().add((4.0 * PI).ln())
    }

    fn mean(&self) -> Tensor {
        self.loc.full_like(f64::NAN)
    }

    fn variance(&self) -> Tensor {
        self.loc.full_like(f64::INFINITY)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let z = value.sub(&self.loc).div(&self.scale);
        z.atan().div(PI).add(0.5)
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        let z = value.sub(0.5).mul(PI).tan();
        z.mul(&self.scale).add(&self.loc)
    }
}

parameters! {
    /// The Gumbel distribution of maxima.
    Gumbel {
        /// The value of the largest density.
        loc: Support::Real,
        /// The scale.
        scale: Support::Positive,
    }
}

impl Distribution for Gumbel {
    batch_of!(loc, scale);

    fn support(&self) -> Support {
        Support::Real
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            Ok(draw::gumbels(shape, &self.loc)?
                .mul(&self.scale)
                .add(&self.loc))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let y = self.loc.sub(self.support().checked(value)).div(&self.scale);
        y.sub(y.exp()).sub(self.scale.log())
    }

    fn entropy(&self) -> Tensor {
        self.scale.log().add(1.0 + EULER)
    }

    fn mean(&self) -> Tensor {
        self.loc.add(self.scale.mul(EULER))
    }

    fn variance(&self) -> Tensor {
        self.scale.square().mul(PI * PI / 6.0)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let y = self.loc.sub(value).div(&self.scale);
        y.exp().neg().exp()
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        let y = value.log().neg().log();
        self.loc.sub(y.mul(&self.scale))
    }
}
