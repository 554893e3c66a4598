//! Distributions of one outcome of several, and of their numbers.

use super::Distribution;
use super::draw;
use super::parameters::normalised;
use super::support::{Support, leading};
use super::trials::{Binomial, enumerated};
use crate::autograd::no_grad;
use crate::ops::attempt;
use crate::tensor::{Dim, Tensor};
use lazulite_ir::DType;

/// The distribution of the numbers of outcomes, i64.
#[derive(Clone, Debug)]
pub struct Categorical {
    probs: Tensor,
    logits: Tensor,
}

impl Categorical {
    /// With these probabilities along the last axis, which are divided by their sum.
    #[track_caller]
    pub fn new(probs: &Tensor) -> Categorical {
        let (probs, logits) = normalised(Some(&probs.to_floating()), None);
        Categorical { probs, logits }
    }

    /// With these logarithms of probabilities along the last axis, up to a common number.
    #[track_caller]
    pub fn from_logits(logits: &Tensor) -> Categorical {
        let (probs, logits) = normalised(None, Some(&logits.to_floating()));
        Categorical { probs, logits }
    }

    /// The probabilities.
    pub fn probs(&self) -> &Tensor {
        &self.probs
    }

    /// The logarithms of the probabilities.
    pub fn logits(&self) -> &Tensor {
        &self.logits
    }

    /// The number of outcomes.
    pub fn categories(&self) -> Dim {
        self.probs.dim(-1)
    }

    #[track_caller]
    fn last(&self) -> Tensor {
        Tensor::from_dim(self.categories() - 1)
    }
}

impl Distribution for Categorical {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.probs, 1)
    }

    fn expand(&self, batch_shape: &[Dim]) -> Categorical {
        let mut sizes = batch_shape.to_vec();
        sizes.push(self.categories());
        Categorical {
            probs: self.probs.expand(sizes.clone()),
            logits: self.logits.expand(sizes),
        }
    }

    fn support(&self) -> Support {
        Support::UpTo(self.last())
    }

    fn has_rsample(&self) -> bool {
        false
    }

    /// The largest of the logarithms with Gumbel noise.
    fn sample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            // Logarithms of probabilities kept from 0 are finite; what cannot be must not be drawn.
            let possible = self.probs.gt(0);
            let logits = possible.where_(self.logits.detach(), f64::NEG_INFINITY);
            Ok(logits.add(draw::gumbels(shape, &logits)?).argmax(-1))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value).cast(DType::I64);
        let hits = Tensor::iota(self.categories()).eq(value.unsqueeze(-1));
        hits.where_(&self.logits, 0).sum(-1)
    }

    fn entropy(&self) -> Tensor {
        self.logits.mul(&self.probs).sum(-1).neg()
    }

    fn mean(&self) -> Tensor {
        self.probs.sum(-1).full_like(f64::NAN)
    }

    fn variance(&self) -> Tensor {
        self.mean()
    }

    fn mode(&self) -> Tensor {
        self.probs.argmax(-1)
    }

    fn enumerate_support(&self, expand: bool) -> Tensor {
        attempt(|| {
            let count = self.categories().value()?;
            Ok(enumerated(count, &self.probs.sum(-1), expand).cast(DType::I64))
        })
    }
}

/// The distribution of outcomes as vectors of one 1 among zeros.
#[derive(Clone, Debug)]
pub struct OneHotCategorical {
    base: Categorical,
}

impl OneHotCategorical {
    /// With these probabilities along the last axis, which are divided by their sum.
    #[track_caller]
    pub fn new(probs: &Tensor) -> OneHotCategorical {
        OneHotCategorical {
            base: Categorical::new(probs),
        }
    }

    /// With these logarithms of probabilities along the last axis, up to a common number.
    #[track_caller]
    pub fn from_logits(logits: &Tensor) -> OneHotCategorical {
        OneHotCategorical {
            base: Categorical::from_logits(logits),
        }
    }

    /// The distribution of the outcomes' numbers.
    pub fn categorical(&self) -> &Categorical {
        &self.base
    }
}

/// Vectors of one 1, at these places.
#[track_caller]
fn one_hot(places: &Tensor, like: &Tensor) -> Tensor {
    Tensor::iota(like.dim(-1))
        .eq(places.unsqueeze(-1))
        .type_as(like)
}

impl Distribution for OneHotCategorical {
    fn batch_shape(&self) -> Vec<Dim> {
        self.base.batch_shape()
    }

    fn event_shape(&self) -> Vec<Dim> {
        vec![self.base.categories()]
    }

    fn expand(&self, batch_shape: &[Dim]) -> OneHotCategorical {
        OneHotCategorical {
            base: self.base.expand(batch_shape),
        }
    }

    fn support(&self) -> Support {
        Support::OneHot
    }

    fn has_rsample(&self) -> bool {
        false
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        one_hot(&self.base.sample(shape), &self.base.probs)
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        value.ne(0).where_(&self.base.logits, 0).sum(-1)
    }

    fn entropy(&self) -> Tensor {
        self.base.entropy()
    }

    fn mean(&self) -> Tensor {
        self.base.probs.clone()
    }

    fn variance(&self) -> Tensor {
        self.base.probs.mul(self.base.probs.neg().add(1))
    }

    fn mode(&self) -> Tensor {
        one_hot(&self.base.mode(), &self.base.probs)
    }

    fn enumerate_support(&self, expand: bool) -> Tensor {
        one_hot(&self.base.enumerate_support(expand), &self.base.probs)
    }
}

/// The distribution of the numbers of times that each outcome comes up in so many trials.
#[derive(Clone, Debug)]
pub struct Multinomial {
    total_count: usize,
    base: Categorical,
}

impl Multinomial {
    /// With so many trials and these probabilities along the last axis, which are divided by their sum.
    #[track_caller]
    pub fn new(total_count: usize, probs: &Tensor) -> Multinomial {
        Multinomial {
            total_count,
            base: Categorical::new(probs),
        }
    }

    /// With so many trials and these logarithms of probabilities along the last axis.
    #[track_caller]
    pub fn from_logits(total_count: usize, logits: &Tensor) -> Multinomial {
        Multinomial {
            total_count,
            base: Categorical::from_logits(logits),
        }
    }

    /// The number of trials.
    pub fn total_count(&self) -> usize {
        self.total_count
    }

    /// The distribution of one trial.
    pub fn categorical(&self) -> &Categorical {
        &self.base
    }

    fn trials(&self) -> i64 {
        i64::try_from(self.total_count).unwrap_or(i64::MAX)
    }
}

impl Distribution for Multinomial {
    fn batch_shape(&self) -> Vec<Dim> {
        self.base.batch_shape()
    }

    fn event_shape(&self) -> Vec<Dim> {
        vec![self.base.categories()]
    }

    fn expand(&self, batch_shape: &[Dim]) -> Multinomial {
        Multinomial {
            total_count: self.total_count,
            base: self.base.expand(batch_shape),
        }
    }

    fn support(&self) -> Support {
        Support::Counts(self.trials())
    }

    fn has_rsample(&self) -> bool {
        false
    }

    /// Binomial numbers, outcome after outcome, of the trials that are left.
    fn sample(&self, shape: &[usize]) -> Tensor {
        no_grad(|| {
            attempt(|| {
                let probs = &self.base.probs;
                let count = self.base.categories().value()?;
                let mut left = probs.select(-1, 0).full_like(self.trials());
                left = left.expand(draw::sizes(shape, &left)?);
                let mut rest = left.ones_like();
                let mut numbers = Vec::new();
                for k in 0..count - 1 {
                    let p = probs.select(-1, k);
                    let share = p.div(&rest).clamp(0, 1);
                    let share = rest.gt(0).where_(share, 0);
                    let drawn = left.binomial(&share);
                    left = left.sub(&drawn);
                    rest = rest.sub(p);
                    numbers.push(drawn);
                }
                numbers.push(left);
                Ok(Tensor::stack(&numbers.iter().collect::<Vec<_>>(), -1))
            })
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let ways = value
            .sum(-1)
            .add(1)
            .lgamma()
            .sub(value.add(1).lgamma().sum(-1));
        let each = value.eq(0).where_(0.0, self.base.logits.mul(&value));
        ways.add(each.sum(-1))
    }

    fn entropy(&self) -> Tensor {
        let n = self.trials() as f64;
        let first = self.base.entropy().mul(n);
        let first = first.sub(Tensor::full((), n + 1.0).lgamma());
        let counts = Binomial::new(n, &self.base.probs);
        let values = counts.enumerate_support(true);
        let weighted = counts.log_prob(&values).exp().mul(values.add(1).lgamma());
        first.add(weighted.sum(0).sum(-1))
    }

    fn mean(&self) -> Tensor {
        self.base.probs.mul(self.trials())
    }

    fn variance(&self) -> Tensor {
        self.mean().mul(self.base.probs.neg().add(1))
    }
}
