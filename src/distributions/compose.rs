//! Distributions made of others: axes of the batch as axes of the event, and transformed draws.

use super::line::Normal;
use super::support::Support;
use super::transforms::{Transform, sum_last};
use super::{Distribution, missing};
use crate::ops::attempt;
use crate::tensor::{Argument, Dim, Tensor};

/// A distribution whose last axes of the batch are axes of one event.
///
/// ```
/// use lazulite::distributions::{Distribution, Independent, Normal};
/// use lazulite::prelude::*;
/// let vectors = Independent::new(Normal::new(&Tensor::zeros([5, 3]), 1.0), 1);
/// assert_eq!(vectors.log_prob(&Tensor::zeros([5, 3])).dims()?, [5]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Independent<D> {
    base: D,
    axes: usize,
}

impl<D: Distribution> Independent<D> {
    /// With the last `axes` axes of the batch as axes of the event (all, if there are fewer).
    pub fn new(base: D, axes: usize) -> Independent<D> {
        let axes = axes.min(base.batch_shape().len());
        Independent { base, axes }
    }

    /// The distribution of the parts.
    pub fn base(&self) -> &D {
        &self.base
    }

    /// How many axes of the batch are axes of the event.
    pub fn axes(&self) -> usize {
        self.axes
    }

    /// The sizes of batch and event, where the event begins.
    fn split(&self) -> (Vec<Dim>, Vec<Dim>) {
        let mut batch = self.base.batch_shape();
        let mut event = batch.split_off(batch.len() - self.axes);
        event.extend(self.base.event_shape());
        (batch, event)
    }
}

impl<D: Distribution> Distribution for Independent<D> {
    fn batch_shape(&self) -> Vec<Dim> {
        self.split().0
    }

    fn event_shape(&self) -> Vec<Dim> {
        self.split().1
    }

    fn expand(&self, batch_shape: &[Dim]) -> Independent<D> {
        let (_, event) = self.split();
        let moved = event[..self.axes].iter();
        let batch: Vec<Dim> = batch_shape.iter().chain(moved).cloned().collect();
        Independent {
            base: self.base.expand(&batch),
            axes: self.axes,
        }
    }

    fn support(&self) -> Support {
        Support::Independent(Box::new(self.base.support()), self.axes)
    }

    fn has_rsample(&self) -> bool {
        self.base.has_rsample()
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        self.base.rsample(shape)
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        self.base.sample(shape)
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        sum_last(&self.base.log_prob(value), self.axes)
    }

    fn entropy(&self) -> Tensor {
        sum_last(&self.base.entropy(), self.axes)
    }

    fn mean(&self) -> Tensor {
        self.base.mean()
    }

    fn variance(&self) -> Tensor {
        self.base.variance()
    }

    fn mode(&self) -> Tensor {
        self.base.mode()
    }
}

/// The distribution of transformed draws of another one.
///
/// ```
/// use lazulite::distributions::{Distribution, Normal, Transform, TransformedDistribution};
/// use lazulite::prelude::*;
/// let normal = Normal::new(0.0, 1.0);
/// let positive = TransformedDistribution::new(normal, vec![Transform::Exp]);
/// let density = positive.log_prob(&Tensor::full((), 1.0)).item::<f32>()?;
/// assert!((density + 0.918_938_5).abs() < 1e-6);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransformedDistribution<D> {
    base: D,
    transforms: Vec<Transform>,
}

impl<D: Distribution> TransformedDistribution<D> {
    /// Of draws of `base`, through all transforms, the first one first. Transforms of vectors take the
    /// last axis of the batch as the event's, if there is no event.
    pub fn new(base: D, transforms: Vec<Transform>) -> TransformedDistribution<D> {
        TransformedDistribution { base, transforms }
    }

    /// The distribution that is transformed.
    pub fn base(&self) -> &D {
        &self.base
    }

    /// The transforms.
    pub fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// How many axes one draw has.
    fn event_axes(&self) -> usize {
        let own = self.base.event_shape().len();
        let of_transforms = self.transforms.iter().map(Transform::event_axes);
        of_transforms.fold(own, usize::max)
    }

    /// How many axes of the base's batch belong to the event.
    fn moved(&self) -> usize {
        let moved = self.event_axes() - self.base.event_shape().len();
        moved.min(self.base.batch_shape().len())
    }
}

impl<D: Distribution> Distribution for TransformedDistribution<D> {
    fn batch_shape(&self) -> Vec<Dim> {
        let mut batch = self.base.batch_shape();
        batch.truncate(batch.len() - self.moved());
        batch
    }

    fn event_shape(&self) -> Vec<Dim> {
        let batch = self.base.batch_shape();
        let mut event = batch[batch.len() - self.moved()..].to_vec();
        event.extend(self.base.event_shape());
        let transforms = self.transforms.iter();
        transforms.fold(event, |event, t| t.result_sizes(event))
    }

    fn expand(&self, batch_shape: &[Dim]) -> TransformedDistribution<D> {
        let batch = self.base.batch_shape();
        let moved = batch[batch.len() - self.moved()..].iter();
        let sizes: Vec<Dim> = batch_shape.iter().chain(moved).cloned().collect();
        TransformedDistribution {
            base: self.base.expand(&sizes),
            transforms: self.transforms.clone(),
        }
    }

    /// Whatever the transforms give of the base's support; only that it is of numbers is checked.
    fn support(&self) -> Support {
        match self.event_axes() {
            0 => Support::Real,
            axes => Support::Independent(Box::new(Support::Real), axes),
        }
    }

    fn has_rsample(&self) -> bool {
        self.base.has_rsample()
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        let drawn = self.base.rsample(shape);
        self.transforms.iter().fold(drawn, |x, t| t.forward(&x))
    }

    fn sample(&self, shape: &[usize]) -> Tensor {
        let drawn = self.base.sample(shape);
        self.transforms
            .iter()
            .fold(drawn, |x, t| t.forward(&x))
            .detach()
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let axes = self.event_axes();
        let mut y = self.support().checked(value);
        let mut slopes: Option<Tensor> = None;
        for transform in self.transforms.iter().rev() {
            let x = transform.backward(&y);
            let slope = sum_last(
                &transform.log_abs_det(&x, &y),
                axes - transform.event_axes(),
            );
            slopes = Some(match slopes {
                Some(sum) => sum.add(slope),
                None => slope,
            });
            y = x;
        }
        let base = sum_last(&self.base.log_prob(&y), self.moved());
        match slopes {
            Some(slopes) => base.sub(slopes),
            None => base,
        }
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        let mut value = value.clone();
        let mut sign: Argument = 1.into();
        for transform in self.transforms.iter().rev() {
            let Some(own) = transform.sign() else {
                return missing("cdf", "distribution function: a transform is not monotone");
            };
            sign = Tensor::full((), 1.0).mul(sign).mul(own).into();
            value = transform.backward(&value);
        }
        let share = self.base.cdf(&value);
        share.sub(0.5).mul(sign).add(0.5)
    }

    fn icdf(&self, value: &Tensor) -> Tensor {
        let mut sign: Argument = 1.into();
        for transform in &self.transforms {
            let Some(own) = transform.sign() else {
                return missing("icdf", "distribution function: a transform is not monotone");
            };
            sign = Tensor::full((), 1.0).mul(sign).mul(own).into();
        }
        let base = self.base.icdf(&value.sub(0.5).mul(sign).add(0.5));
        self.transforms.iter().fold(base, |x, t| t.forward(&x))
    }
}

/// Vectors of shares made of normal numbers by breaking a stick.
#[derive(Clone, Debug)]
pub struct LogisticNormal {
    inner: TransformedDistribution<Normal>,
}

impl LogisticNormal {
    /// With these means and standard deviations, whose last axis has one entry less than the shares.
    #[track_caller]
    pub fn new(loc: impl Into<Argument>, scale: impl Into<Argument>) -> LogisticNormal {
        let base = Normal::new(loc, scale);
        LogisticNormal {
            inner: TransformedDistribution::new(base, vec![Transform::StickBreaking]),
        }
    }

    /// The distribution of the numbers that are transformed.
    pub fn base(&self) -> &Normal {
        self.inner.base()
    }
}

impl Distribution for LogisticNormal {
    fn batch_shape(&self) -> Vec<Dim> {
        self.inner.batch_shape()
    }

    fn event_shape(&self) -> Vec<Dim> {
        self.inner.event_shape()
    }

    fn expand(&self, batch_shape: &[Dim]) -> LogisticNormal {
        LogisticNormal {
            inner: self.inner.expand(batch_shape),
        }
    }

    fn support(&self) -> Support {
        Support::Simplex
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        self.inner.rsample(shape)
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        attempt(|| Ok(self.inner.log_prob(&self.support().checked(value))))
    }
}
