//! Distributions of counts without an upper end.

use super::Distribution;
use super::draw;
use super::gamma::Gamma;
use super::parameters::{Chance, batch_of, parameters, together};
use super::support::{Support, leading};
use crate::autograd::no_grad;
use crate::ops::attempt;
use crate::tensor::{Argument, Dim, Tensor};

parameters! {
    /// Poisson's distribution of numbers of events.
    Poisson {
        /// The mean.
        rate: Support::NonNegative,
    }
}

impl Distribution for Poisson {
    batch_of!(rate);

    fn support(&self) -> Support {
        Support::NonNegativeInteger
    }

    fn has_rsample(&self) -> bool {
        false
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let rate = self.rate.detach();
            Ok(rate.expand(draw::sizes(shape, &rate)?).poisson())
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let log_factorial = value.add(1).lgamma();
        value.xlogy(&self.rate).sub(&self.rate).sub(log_factorial)
    }

    fn mean(&self) -> Tensor {
        self.rate.clone()
    }

    fn variance(&self) -> Tensor {
        self.rate.clone()
    }

    fn mode(&self) -> Tensor {
        self.rate.floor()
    }
}

/// The distribution of numbers of successes before so many failures.
#[derive(Clone, Debug)]
pub struct NegativeBinomial {
    total_count: Tensor,
    chance: Chance,
}

impl NegativeBinomial {
    /// With these numbers of failures, which need not be whole, and probabilities of success.
    #[track_caller]
    pub fn new(total_count: impl Into<Argument>, probs: impl Into<Argument>) -> NegativeBinomial {
        let [total_count, probs] = together([
            (total_count.into(), Support::NonNegative),
            (probs.into(), Support::UnitInterval),
        ]);
        let probs = probs.require(&probs.lt(1), "probabilities are below 1");
        NegativeBinomial {
            total_count,
            chance: Chance::from_probs(&probs),
        }
    }

    /// With these numbers of failures and logits of success.
    #[track_caller]
    pub fn from_logits(
        total_count: impl Into<Argument>,
        logits: impl Into<Argument>,
    ) -> NegativeBinomial {
        let [total_count, logits] = together([
            (total_count.into(), Support::NonNegative),
            (logits.into(), Support::Real),
        ]);
        NegativeBinomial {
            total_count,
            chance: Chance::from_logits(&logits),
        }
    }

    /// The numbers of failures.
    pub fn total_count(&self) -> &Tensor {
        &self.total_count
    }

    /// The probabilities of success.
    pub fn probs(&self) -> &Tensor {
        &self.chance.probs
    }

    /// The logits of success.
    pub fn logits(&self) -> &Tensor {
        &self.chance.logits
    }
}

impl Distribution for NegativeBinomial {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.total_count, 0)
    }

    fn expand(&self, batch_shape: &[Dim]) -> NegativeBinomial {
        NegativeBinomial {
            total_count: self.total_count.expand(batch_shape),
            chance: self.chance.expand(batch_shape),
        }
    }

    fn support(&self) -> Support {
        Support::NonNegativeInteger
    }

    fn has_rsample(&self) -> bool {
        false
    }

    /// Poisson numbers with gamma rates.
    fn sample(&self, shape: &[usize]) -> Tensor {
        no_grad(|| {
            let rates = Gamma::of(&self.total_count, &self.logits().neg().exp());
            rates.sample(shape).poisson()
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let (r, l) = (&self.total_count, self.logits());
        let powers = r.mul(l.neg().logsigmoid()).add(value.mul(l.logsigmoid()));
        let ways = r
            .add(&value)
            .lgamma()
            .sub(value.add(1).lgamma())
            .sub(r.lgamma());
        let ways = r.add(&value).eq(0).where_(0.0, ways);
        powers.add(ways)
    }

    fn mean(&self) -> Tensor {
        self.total_count.mul(self.logits().exp())
    }

    fn variance(&self) -> Tensor {
        self.mean().div(self.logits().neg().sigmoid())
    }

    fn mode(&self) -> Tensor {
        let place = self.total_count.sub(1).mul(self.logits().exp());
        place.floor().clamp_min(0)
    }
}
