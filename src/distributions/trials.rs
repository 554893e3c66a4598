//! Distributions of trials with two outcomes.

use super::Distribution;
use super::draw;
use super::parameters::Chance;
use super::support::{Support, leading};
use crate::autograd::no_grad;
use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::ops::attempt;
use crate::tensor::{Argument, Dim, Tensor};

/// Constructors and parameters of a distribution with a [`Chance`] and nothing else.
macro_rules! of_chance {
    ($name:ident, $support:expr) => {
        impl $name {
            /// With these probabilities.
            #[track_caller]
            pub fn new(probs: impl Into<Argument>) -> $name {
                let [probs] = super::parameters::together([(probs.into(), $support)]);
                $name {
                    chance: Chance::from_probs(&probs),
                }
            }

            /// With these logits, the logarithms of `p / (1 - p)`.
            #[track_caller]
            pub fn from_logits(logits: impl Into<Argument>) -> $name {
                let [logits] = super::parameters::together([(logits.into(), Support::Real)]);
                $name {
                    chance: Chance::from_logits(&logits),
                }
            }

            /// The probabilities.
            pub fn probs(&self) -> &Tensor {
                &self.chance.probs
            }

            /// The logits.
            pub fn logits(&self) -> &Tensor {
                &self.chance.logits
            }
        }
    };
}

/// The batch of such a distribution: methods of `Distribution`.
macro_rules! batch_of_chance {
    () => {
        fn batch_shape(&self) -> Vec<Dim> {
            leading(&self.chance.probs, 0)
        }

        fn expand(&self, batch_shape: &[Dim]) -> Self {
            Self {
                chance: self.chance.expand(batch_shape),
            }
        }
    };
}

pub(super) use {batch_of_chance, of_chance};

/// The distribution of one trial: 1 with a probability, else 0.
#[derive(Clone, Debug)]
pub struct Bernoulli {
    pub(super) chance: Chance,
}

of_chance!(Bernoulli, Support::UnitInterval);

impl Distribution for Bernoulli {
    batch_of_chance!();

    fn support(&self) -> Support {
        Support::Boolean
    }

    fn has_rsample(&self) -> bool {
        false
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        let p = self.probs();
        attempt(|| {
            let p = p.detach().expand(draw::sizes(shape, p)?);
            Ok(p.bernoulli())
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        self.chance.log_prob(&self.support().checked(value))
    }

    fn entropy(&self) -> Tensor {
        self.chance.entropy()
    }

    fn mean(&self) -> Tensor {
        self.probs().clone()
    }

    fn variance(&self) -> Tensor {
        self.probs().mul(self.probs().neg().add(1))
    }

    fn mode(&self) -> Tensor {
        let p = self.probs();
        let likely = p.ge(0.5).type_as(p);
        p.eq(0.5).where_(f64::NAN, likely)
    }

    fn enumerate_support(&self, expand: bool) -> Tensor {
        enumerated(2, self.probs(), expand)
    }
}

/// The integers from 0 along a first axis, before the sizes of `like` (1 each, unless to expand).
#[track_caller]
pub(super) fn enumerated(count: i64, like: &Tensor, expand: bool) -> Tensor {
    attempt(|| {
        let sizes = like.sizes()?;
        let values = Tensor::iota(count).cast(like.dtype()?);
        let values = values.along(0, sizes.len() + 1);
        if !expand {
            return Ok(values);
        }
        let mut all = vec![Dim::from(count)];
        all.extend(sizes);
        Ok(values.expand(all))
    })
}

/// The distribution of numbers of failures before the first success.
#[derive(Clone, Debug)]
pub struct Geometric {
    pub(super) chance: Chance,
}

of_chance!(Geometric, Support::UnitInterval);

impl Distribution for Geometric {
    batch_of_chance!();

    fn support(&self) -> Support {
        Support::NonNegativeInteger
    }

    fn has_rsample(&self) -> bool {
        false
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let p = self.probs().detach();
            let p = p.require(&p.gt(0), "probabilities are above 0");
            let e = draw::exponentials(shape, &p)?;
            Ok(e.div(p.neg().log1p().neg()).floor())
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let p = self.probs();
        value.xlog1py(p.neg()).add(p.log())
    }

    fn entropy(&self) -> Tensor {
        self.chance.entropy().div(self.probs())
    }

    fn mean(&self) -> Tensor {
        self.probs().reciprocal().sub(1)
    }

    fn variance(&self) -> Tensor {
        self.probs().reciprocal().sub(1).div(self.probs())
    }

    fn mode(&self) -> Tensor {
        self.probs().zeros_like()
    }
}

/// The distribution of numbers of successes among so many trials.
#[derive(Clone, Debug)]
pub struct Binomial {
    total_count: Tensor,
    pub(super) chance: Chance,
}

impl Binomial {
    /// With these numbers of trials and probabilities of success.
    #[track_caller]
    pub fn new(total_count: impl Into<Argument>, probs: impl Into<Argument>) -> Binomial {
        let [total_count, probs] = super::parameters::together([
            (total_count.into(), Support::NonNegativeInteger),
            (probs.into(), Support::UnitInterval),
        ]);
        Binomial {
            total_count,
            chance: Chance::from_probs(&probs),
        }
    }

    /// With these numbers of trials and logits of success.
    #[track_caller]
    pub fn from_logits(total_count: impl Into<Argument>, logits: impl Into<Argument>) -> Binomial {
        let [total_count, logits] = super::parameters::together([
            (total_count.into(), Support::NonNegativeInteger),
            (logits.into(), Support::Real),
        ]);
        Binomial {
            total_count,
            chance: Chance::from_logits(&logits),
        }
    }

    /// The numbers of trials.
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

    /// The number of trials, which must be one for the whole batch; it is read off.
    #[track_caller]
    fn common_count(&self, op: &'static str) -> crate::Result<i64> {
        let counts = self.total_count.detach().to_floating();
        let counts = counts.cast(crate::DType::F64).to_vec::<f64>()?;
        let first = counts.first().copied().unwrap_or(0.0);
        if counts.iter().any(|c| *c != first) {
            let message = "the numbers of trials differ within the batch";
            return Err(Error::new(ErrorKind::Unsupported, op, message).at(Place::here()));
        }
        Ok(first as i64)
    }
}

impl Distribution for Binomial {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.total_count, 0)
    }

    fn expand(&self, batch_shape: &[Dim]) -> Binomial {
        Binomial {
            total_count: self.total_count.expand(batch_shape),
            chance: self.chance.expand(batch_shape),
        }
    }

    fn support(&self) -> Support {
        Support::UpTo(self.total_count.clone())
    }

    fn has_rsample(&self) -> bool {
        false
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let sizes = draw::sizes(shape, &self.total_count)?;
            let count = self.total_count.detach().expand(sizes.clone());
            Ok(no_grad(|| count.binomial(self.probs().expand(sizes))))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let n = &self.total_count;
        let log_factorial = |x: &Tensor| x.add(1).lgamma();
        let ways = log_factorial(n)
            .sub(log_factorial(&value))
            .sub(log_factorial(&n.sub(&value)));
        let l = self.logits();
        let softplus = l.maximum(0).add(l.abs().neg().exp().log1p());
        value.mul(l).add(ways).sub(n.mul(softplus))
    }

    /// Sums over all values; all the batch must have the same number of trials.
    fn entropy(&self) -> Tensor {
        let logs = self.log_prob(&self.enumerate_support(true));
        logs.exp().mul(&logs).sum(0).neg()
    }

    fn mean(&self) -> Tensor {
        self.total_count.mul(self.probs())
    }

    fn variance(&self) -> Tensor {
        self.mean().mul(self.probs().neg().add(1))
    }

    fn mode(&self) -> Tensor {
        let place = self.total_count.add(1).mul(self.probs()).floor();
        place.minimum(&self.total_count)
    }

    fn enumerate_support(&self, expand: bool) -> Tensor {
        attempt(|| {
            let count = self.common_count("enumerate_support")?;
            Ok(enumerated(count + 1, &self.total_count, expand))
        })
    }
}
