//! Continuous relatives of distributions of outcomes, through which gradients flow.

use super::Distribution;
use super::draw;
use super::parameters::{Chance, normalised, together};
use super::support::{Support, leading};
use super::trials::{batch_of_chance, of_chance};
use crate::ops::attempt;
use crate::tensor::{Argument, Dim, Tensor};
use std::f64::consts::LN_2;

/// Bernoulli numbers softened by a temperature: near 0 or 1 if it is small.
#[derive(Clone, Debug)]
pub struct RelaxedBernoulli {
    temperature: Tensor,
    chance: Chance,
}

impl RelaxedBernoulli {
    /// With these temperatures and probabilities.
    #[track_caller]
    pub fn new(temperature: impl Into<Argument>, probs: impl Into<Argument>) -> RelaxedBernoulli {
        let [temperature, probs] = together([
            (temperature.into(), Support::Positive),
            (probs.into(), Support::UnitInterval),
        ]);
        RelaxedBernoulli {
            temperature,
            chance: Chance::from_probs(&probs),
        }
    }

    /// With these temperatures and logits.
    #[track_caller]
    pub fn from_logits(
        temperature: impl Into<Argument>,
        logits: impl Into<Argument>,
    ) -> RelaxedBernoulli {
        let [temperature, logits] = together([
            (temperature.into(), Support::Positive),
            (logits.into(), Support::Real),
        ]);
        RelaxedBernoulli {
            temperature,
            chance: Chance::from_logits(&logits),
        }
    }

    /// The temperatures.
    pub fn temperature(&self) -> &Tensor {
        &self.temperature
    }

    /// The probabilities of 1 without softening.
    pub fn probs(&self) -> &Tensor {
        &self.chance.probs
    }

    /// Their logits.
    pub fn logits(&self) -> &Tensor {
        &self.chance.logits
    }
}

impl Distribution for RelaxedBernoulli {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.temperature, 0)
    }

    fn expand(&self, batch_shape: &[Dim]) -> RelaxedBernoulli {
        RelaxedBernoulli {
            temperature: self.temperature.expand(batch_shape),
            chance: self.chance.expand(batch_shape),
        }
    }

    fn support(&self) -> Support {
        Support::UnitInterval
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let u = draw::uniforms(shape, &self.temperature)?;
            let noise = u.log().sub(u.neg().log1p());
            Ok(self.logits().add(noise).div(&self.temperature).sigmoid())
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let (log, log_rest) = (value.log(), value.neg().log1p());
        let t = &self.temperature;
        let difference = self.logits().sub(log.sub(&log_rest).mul(t));
        let logistic = difference.sub(softplus(&difference).mul(2));
        t.log().add(logistic).sub(log).sub(log_rest)
    }
}

#[track_caller]
fn softplus(x: &Tensor) -> Tensor {
    x.maximum(0).add(x.abs().neg().exp().log1p())
}

/// One-hot vectors softened by a temperature.
#[derive(Clone, Debug)]
pub struct RelaxedOneHotCategorical {
    temperature: Tensor,
    probs: Tensor,
    logits: Tensor,
}

impl RelaxedOneHotCategorical {
    /// With a temperature and these probabilities along the last axis.
    #[track_caller]
    pub fn new(temperature: f64, probs: &Tensor) -> RelaxedOneHotCategorical {
        let (probs, logits) = normalised(Some(&probs.to_floating()), None);
        Self::with(temperature, probs, logits)
    }

    /// With a temperature and these logarithms of probabilities along the last axis.
    #[track_caller]
    pub fn from_logits(temperature: f64, logits: &Tensor) -> RelaxedOneHotCategorical {
        let (probs, logits) = normalised(None, Some(&logits.to_floating()));
        Self::with(temperature, probs, logits)
    }

    #[track_caller]
    fn with(temperature: f64, probs: Tensor, logits: Tensor) -> RelaxedOneHotCategorical {
        let temperature = logits.full_like(temperature);
        RelaxedOneHotCategorical {
            temperature: Support::Positive.checked(&temperature),
            probs,
            logits,
        }
    }

    /// The probabilities of the outcomes without softening.
    pub fn probs(&self) -> &Tensor {
        &self.probs
    }

    /// Their logarithms.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }
}

impl Distribution for RelaxedOneHotCategorical {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.probs, 1)
    }

    fn event_shape(&self) -> Vec<Dim> {
        vec![self.probs.dim(-1)]
    }

    fn expand(&self, batch_shape: &[Dim]) -> RelaxedOneHotCategorical {
        let mut sizes = batch_shape.to_vec();
        sizes.push(self.probs.dim(-1));
        RelaxedOneHotCategorical {
            temperature: self.temperature.expand(sizes.clone()),
            probs: self.probs.expand(sizes.clone()),
            logits: self.logits.expand(sizes),
        }
    }

    fn support(&self) -> Support {
        Support::Simplex
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let noisy = self.logits.add(draw::gumbels(shape, &self.logits)?);
            Ok(noisy.div(&self.temperature).softmax(-1))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let log = self.support().checked(value).log();
        let t = self.temperature.select(-1, 0);
        let count = Tensor::from_dim(self.probs.dim(-1)).type_as(&t);
        let scale = count.lgamma().add(count.sub(1).mul(t.log()));
        let score = self.logits.sub(log.mul(&self.temperature));
        let score = score.log_softmax(-1).sum(-1);
        score.add(scale).sub(log.sum(-1))
    }
}

/// The distribution of numbers between 0 and 1 with density proportional to `p^x (1 - p)^(1 - x)`.
#[derive(Clone, Debug)]
pub struct ContinuousBernoulli {
    pub(super) chance: Chance,
}

of_chance!(ContinuousBernoulli, Support::UnitInterval);

/// Parameters this near to 1/2 take the first terms of series there, where formulas are 0 / 0.
const NEAR: f64 = 1e-3;

impl ContinuousBernoulli {
    /// The distance of the parameter from 1/2 where that is small, and a parameter that is not near.
    #[track_caller]
    fn parts(&self) -> (Tensor, Tensor, Tensor) {
        let p = super::parameters::away_from_ends(self.probs());
        let off = p.sub(0.5);
        let near = off.abs().lt(NEAR);
        let far = near.where_(0.25, &p);
        (near, off, far)
    }

    /// The logarithm of the density's constant.
    #[track_caller]
    pub(super) fn log_norm(&self) -> Tensor {
        let (near, off, p) = self.parts();
        let ratio = p.neg().log1p().sub(p.log()).div(p.mul(2).neg().add(1));
        let square = off.square();
        let series = square
            .mul(104.0 / 45.0)
            .add(4.0 / 3.0)
            .mul(&square)
            .add(LN_2);
        near.where_(series, ratio.log())
    }
}

impl Distribution for ContinuousBernoulli {
    batch_of_chance!();

    fn support(&self) -> Support {
        Support::UnitInterval
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| Ok(self.icdf(&draw::uniforms(shape, self.probs())?)))
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        self.chance.log_prob(&value).add(self.log_norm())
    }

    fn entropy(&self) -> Tensor {
        let p = super::parameters::away_from_ends(self.probs());
        let rest = p.neg().log1p();
        let spread = self.mean().mul(rest.sub(p.log()));
        spread.sub(self.log_norm()).sub(rest)
    }

    fn mean(&self) -> Tensor {
        let (near, off, p) = self.parts();
        let first = p.div(p.mul(2).sub(1));
        let second = p.neg().log1p().sub(p.log()).reciprocal();
        let series = off
            .square()
            .mul(16.0 / 45.0)
            .add(1.0 / 3.0)
            .mul(&off)
            .add(0.5);
        near.where_(series, first.add(second))
    }

    fn variance(&self) -> Tensor {
        let (near, off, p) = self.parts();
        let first = p.mul(p.sub(1)).div(p.mul(2).neg().add(1).square());
        let second = p.neg().log1p().sub(p.log()).square().reciprocal();
        let square = off.square();
        let series = square
            .mul(128.0 / 945.0)
            .sub(1.0 / 15.0)
            .mul(&square)
            .add(1.0 / 12.0);
        near.where_(series, first.add(second))
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let (near, _, p) = self.parts();
        let log = value
            .mul(p.log())
            .add(value.neg().add(1).mul(p.neg().log1p()));
        let proper = log.exp().add(&p).sub(1).div(p.mul(2).sub(1));
        let inside = near.where_(value, proper);
        value.le(0).where_(0.0, value.ge(1).where_(1.0, inside))
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        let (near, _, p) = self.parts();
        let rest = p.neg().log1p();
        let moved = p.neg().add(value.mul(p.mul(2).sub(1))).log1p();
        near.where_(value, moved.sub(&rest).div(p.log().sub(rest)))
    }
}
