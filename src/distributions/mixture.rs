//! Mixtures of distributions of one kind.

use super::Distribution;
use super::categorical::Categorical;
use super::support::Support;
use crate::autograd::no_grad;
use crate::ops::attempt;
use crate::tensor::{Dim, Tensor};

/// A distribution that draws from one of several, which are the last axis of a batch.
///
/// ```
/// use lazulite::distributions::{Categorical, Distribution, MixtureSameFamily, Normal};
/// use lazulite::prelude::*;
/// let weights = Categorical::new(&Tensor::from_vec(vec![0.25f32, 0.75], [2]));
/// let centres = Tensor::from_vec(vec![-4.0f32, 4.0], [2]);
/// let mixture = MixtureSameFamily::new(weights, Normal::new(&centres, 1.0));
/// assert_eq!(mixture.mean().item::<f32>()?, 2.0);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MixtureSameFamily<D> {
    mixture: Categorical,
    components: D,
}

impl<D: Distribution> MixtureSameFamily<D> {
    /// Of the last axis of the batch of `components`, with the probabilities of `mixture`.
    pub fn new(mixture: Categorical, components: D) -> MixtureSameFamily<D> {
        MixtureSameFamily {
            mixture,
            components,
        }
    }

    /// Which component is drawn from.
    pub fn mixture(&self) -> &Categorical {
        &self.mixture
    }

    /// The components.
    pub fn components(&self) -> &D {
        &self.components
    }

    fn event_axes(&self) -> usize {
        self.components.event_shape().len()
    }

    /// The axis of the components, from the end.
    fn axis(&self) -> i64 {
        -1 - self.event_axes() as i64
    }

    /// Numbers per component, with room for the event.
    #[track_caller]
    fn beside_events(&self, x: &Tensor) -> Tensor {
        (0..self.event_axes()).fold(x.clone(), |x, _| x.unsqueeze(-1))
    }

    /// The mean over components.
    #[track_caller]
    fn mixed(&self, x: &Tensor) -> Tensor {
        self.beside_events(self.mixture.probs())
            .mul(x)
            .sum(self.axis())
    }
}

impl<D: Distribution> Distribution for MixtureSameFamily<D> {
    fn batch_shape(&self) -> Vec<Dim> {
        let mut batch = self.components.batch_shape();
        batch.pop();
        batch
    }

    fn event_shape(&self) -> Vec<Dim> {
        self.components.event_shape()
    }

    fn expand(&self, batch_shape: &[Dim]) -> MixtureSameFamily<D> {
        let mut all = batch_shape.to_vec();
        all.push(self.mixture.categories());
        MixtureSameFamily {
            mixture: self.mixture.expand(batch_shape),
            components: self.components.expand(&all),
        }
    }

    /// That of the components, as far as it is one for all.
    fn support(&self) -> Support {
        match self.components.support() {
            // Ends that differ between components do not fit the mixture's sizes.
            Support::UpTo(_) => Support::NonNegativeInteger,
            Support::Interval(..) | Support::AtLeast(_) => Support::Real,
            other => other,
        }
    }

    fn has_rsample(&self) -> bool {
        false
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        no_grad(|| {
            attempt(|| {
                let drawn = self.components.sample(shape);
                let which = self.mixture.expand(&self.batch_shape()).sample(shape);
                let hit = Tensor::iota(self.mixture.categories()).eq(which.unsqueeze(-1));
                let zeros = drawn.zeros_like();
                let chosen = self.beside_events(&hit).where_(&drawn, &zeros);
                Ok(chosen.sum(self.axis()).type_as(&drawn))
            })
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let each = self.components.log_prob(&value.unsqueeze(self.axis()));
        each.add(self.mixture.logits()).logsumexp(-1)
    }

    fn mean(&self) -> Tensor {
        self.mixed(&self.components.mean())
    }

    fn variance(&self) -> Tensor {
        let off = self
            .components
            .mean()
            .sub(self.mean().unsqueeze(self.axis()));
        self.mixed(&self.components.variance().add(off.square()))
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        self.mixed(&self.components.cdf(&value.unsqueeze(-1)))
    }
}
