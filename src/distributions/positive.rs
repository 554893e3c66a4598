//! Distributions of numbers that have a lowest value.

use super::Distribution;
use super::draw;
use super::line::{Cauchy, EULER, Normal};
use super::parameters::{batch_of, parameters};
use super::support::Support;
use crate::ops::attempt;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_2_PI, LN_2};

parameters! {
    /// The exponential distribution.
    Exponential {
        /// The rate; the mean is its reciprocal.
        rate: Support::Positive,
    }
}

impl Distribution for Exponential {
    batch_of!(rate);

    fn support(&self) -> Support {
        Support::NonNegative
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| Ok(draw::exponentials(shape, &self.rate)?.div(&self.rate)))
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        self.rate.log().sub(self.rate.mul(value))
    }

    fn entropy(&self) -> Tensor {
        self.rate.log().neg().add(1)
    }

    fn mean(&self) -> Tensor {
        self.rate.reciprocal()
    }

    fn variance(&self) -> Tensor {
        self.rate.square().reciprocal()
    }

    fn mode(&self) -> Tensor {
        self.rate.zeros_like()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        self.rate.mul(value).neg().expm1().neg()
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        value.neg().log1p().neg().div(&self.rate)
    }
}

parameters! {
    /// The distribution of e to the power of normal numbers.
    LogNormal {
        /// The mean of the logarithm.
        loc: Support::Real,
        /// The standard deviation of the logarithm.
        scale: Support::Positive,
    }
}

impl LogNormal {
    /// The distribution of the logarithm.
    fn base(&self) -> Normal {
        Normal::of(&self.loc, &self.scale)
    }
}

impl Distribution for LogNormal {
    batch_of!(loc, scale);

    fn support(&self) -> Support {
        Support::Positive
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        self.base().rsample(shape).exp()
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let log = self.support().checked(value).log();
        self.base().log_prob(&log).sub(log)
    }

    fn entropy(&self) -> Tensor {
        self.base().entropy().add(&self.loc)
    }

    fn mean(&self) -> Tensor {
        self.loc.add(self.scale.square().mul(0.5)).exp()
    }

    fn variance(&self) -> Tensor {
        let squared = self.scale.square();
        squared.expm1().mul(self.loc.mul(2).add(&squared).exp())
    }

    fn mode(&self) -> Tensor {
        self.loc.sub(self.scale.square()).exp()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        self.base().cdf(&value.log())
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        self.base().icdf(value).exp()
    }
}

/// A distribution of magnitudes of numbers that are symmetric around 0.
macro_rules! folded {
    ($(#[$doc:meta])* $name:ident of $base:ident, $mean:expr, $variance:expr) => {
        parameters! {
            $(#[$doc])*
            $name {
                /// The scale of the unfolded distribution.
                scale: Support::Positive,
            }
        }

        impl $name {
            /// The distribution with both signs.
            fn base(&self) -> $base {
                $base::of(&self.scale.zeros_like(), &self.scale)
            }
        }

        impl Distribution for $name {
            batch_of!(scale);

            fn support(&self) -> Support {
                Support::NonNegative
            }

            fn rsample(&self, shape: &[usize]) -> Tensor {
                self.base().rsample(shape).abs()
            }

            fn log_prob(&self, value: &Tensor) -> Tensor {
                let value = self.support().checked(value);
                self.base().log_prob(&value).add(LN_2)
            }

            fn entropy(&self) -> Tensor {
                self.base().entropy().sub(LN_2)
            }

            fn mean(&self) -> Tensor {
                self.scale.mul($mean)
            }

            fn variance(&self) -> Tensor {
                self.scale.square().mul($variance)
            }

            fn mode(&self) -> Tensor {
                self.scale.zeros_like()
            }

            fn cdf(&self, value: &Tensor) -> Tensor {
                self.base().cdf(value).mul(2).sub(1)
            }

            fn icdf(&self, value: &Tensor) -> Tensor {
                self.base().icdf(&value.add(1).mul(0.5))
            }
        }
    };
}

folded! {
    /// The distribution of magnitudes of normal numbers around 0.
    HalfNormal of Normal, FRAC_2_PI.sqrt(), 1.0 - FRAC_2_PI
}

folded! {
    /// The distribution of magnitudes of Cauchy numbers around 0.
    HalfCauchy of Cauchy, f64::INFINITY, f64::INFINITY
}

parameters! {
    /// The Weibull distribution.
    Weibull {
        /// The scale.
        scale: Support::Positive,
        /// The shape: above 1, large values are rarer than exponential ones.
        concentration: Support::Positive,
    }
}

impl Weibull {
    /// The mean of the `power`-th power, in units of the scale.
    #[track_caller]
    fn moment(&self, power: f64) -> Tensor {
        self.concentration
            .reciprocal()
            .mul(power)
            .add(1)
            .lgamma()
            .exp()
    }
}

impl Distribution for Weibull {
    batch_of!(scale, concentration);

    fn support(&self) -> Support {
        Support::Positive
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let e = draw::exponentials(shape, &self.scale)?;
            Ok(e.pow(self.concentration.reciprocal()).mul(&self.scale))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let log = self.support().checked(value).log().sub(self.scale.log());
        let k = &self.concentration;
        let slope = k.log().sub(self.scale.log()).add(k.sub(1).mul(&log));
        slope.sub(k.mul(log).exp())
    }

    fn entropy(&self) -> Tensor {
        let k = &self.concentration;
        let spread = self.scale.log().sub(k.log());
        k.reciprocal().neg().add(1).mul(EULER).add(spread).add(1)
    }

    fn mean(&self) -> Tensor {
        self.scale.mul(self.moment(1.0))
    }

    fn variance(&self) -> Tensor {
        let spread = self.moment(2.0).sub(self.moment(1.0).square());
        self.scale.square().mul(spread)
    }

    fn mode(&self) -> Tensor {
        let k = &self.concentration;
        let inner = k.sub(1).div(k).clamp_min(0);
        self.scale.mul(inner.pow(k.reciprocal()))
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        value
            .div(&self.scale)
            .pow(&self.concentration)
            .neg()
            .expm1()
            .neg()
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        let e = value.neg().log1p().neg();
        e.pow(self.concentration.reciprocal()).mul(&self.scale)
    }
}

parameters! {
    /// The Pareto distribution.
    Pareto {
        /// The least value.
        scale: Support::Positive,
        /// The shape: the larger, the rarer large values are.
        alpha: Support::Positive,
    }
}

impl Distribution for Pareto {
    batch_of!(scale, alpha);

    fn support(&self) -> Support {
        Support::AtLeast(self.scale.clone())
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let e = draw::exponentials(shape, &self.scale)?;
            Ok(e.div(&self.alpha).exp().mul(&self.scale))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let start = self.alpha.log().add(self.alpha.mul(self.scale.log()));
        start.sub(self.alpha.add(1).mul(value.log()))
    }

    fn entropy(&self) -> Tensor {
        let log = self.scale.div(&self.alpha).log();
        log.add(1).add(self.alpha.reciprocal())
    }

    fn mean(&self) -> Tensor {
        let a = self.alpha.clamp_min(1);
        a.mul(&self.scale).div(a.sub(1))
    }

    fn variance(&self) -> Tensor {
        let a = self.alpha.clamp_min(2);
        let below = a.sub(1).square().mul(a.sub(2));
        self.scale.square().mul(&a).div(below)
    }

    fn mode(&self) -> Tensor {
        self.scale.clone()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let power = self.scale.div(value).log().mul(&self.alpha);
        power.expm1().neg()
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        value
            .neg()
            .log1p()
            .neg()
            .div(&self.alpha)
            .exp()
            .mul(&self.scale)
    }
}

parameters! {
    /// Kumaraswamy's distribution of numbers between 0 and 1, much like [`Beta`](super::Beta).
    Kumaraswamy {
        /// The first shape parameter.
        concentration1: Support::Positive,
        /// The second shape parameter.
        concentration0: Support::Positive,
    }
}

impl Kumaraswamy {
    /// The mean of the `power`-th power.
    #[track_caller]
    fn moment(&self, power: f64) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        let shifted = a.reciprocal().mul(power).add(1);
        let log = shifted
            .lgamma()
            .add(b.lgamma())
            .sub(shifted.add(b).lgamma());
        log.add(b.log()).exp()
    }
}

impl Distribution for Kumaraswamy {
    batch_of!(concentration1, concentration0);

    fn support(&self) -> Support {
        Support::UnitInterval
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| Ok(self.icdf(&draw::uniforms(shape, &self.concentration1)?)))
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let (a, b) = (&self.concentration1, &self.concentration0);
        let constant = a.log().add(b.log());
        let first = a.sub(1).xlogy(&value);
        constant
            .add(first)
            .add(b.sub(1).xlog1py(value.pow(a).neg()))
    }

    fn entropy(&self) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        let harmonic = b.add(1).digamma().add(EULER);
        let first = b.reciprocal().neg().add(1);
        let second = a.reciprocal().neg().add(1).mul(harmonic);
        first.add(second).sub(a.log()).sub(b.log())
    }

    fn mean(&self) -> Tensor {
        self.moment(1.0)
    }

    fn variance(&self) -> Tensor {
        self.moment(2.0).sub(self.moment(1.0).square())
    }

    fn mode(&self) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        let single = a.ge(1).bitwise_and(b.ge(1)).bitwise_and(a.add(b).gt(2));
        let place = a.sub(1).div(a.mul(b).sub(1)).pow(a.reciprocal());
        single.where_(place, f64::NAN)
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let above = value.pow(&self.concentration1).neg().log1p();
        above.mul(&self.concentration0).expm1().neg()
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        let above = value.neg().log1p().div(&self.concentration0);
        above.expm1().neg().pow(self.concentration1.reciprocal())
    }
}
