//! Probability distributions, as in torch.distributions.
//!
//! Parameters are tensors or numbers and broadcast. Their common sizes are the batch shape: as many
//! distributions of one kind, independent of each other. A draw has a further event shape, which is
//! empty for numbers and one axis for vectors.
//!
//! ```
//! use lazulite::distributions::{Distribution, Normal, kl_divergence};
//! use lazulite::prelude::*;
//!
//! let normal = Normal::new(&Tensor::zeros([3]), 2.0);
//! let draws = normal.sample(&[1000]);
//! assert_eq!(draws.dims()?, [1000, 3]);
//! assert_eq!(normal.log_prob(&draws).dims()?, [1000, 3]);
//! let distance = kl_divergence(&normal, &Normal::new(0.0, 2.0));
//! assert_eq!(distance.to_vec::<f32>()?, [0.0; 3]);
//! # Ok::<(), lazulite::Error>(())
//! ```
//!
//! Gradients flow through [`Distribution::rsample`] to the parameters, for distributions that have it,
//! and through everything that is computed from parameters. Parameters and values that cannot be are
//! faults when something is computed from them; the message says which rule they break.

mod categorical;
mod circular;
mod compose;
mod counts;
mod draw;
mod gamma;
mod gaussian;
mod kl;
mod kl_pairs;
mod line;
mod mixture;
mod parameters;
mod positive;
mod relaxed;
mod support;
mod transforms;
mod trials;

pub use categorical::{Categorical, Multinomial, OneHotCategorical};
pub use circular::VonMises;
pub use compose::{Independent, LogisticNormal, TransformedDistribution};
pub use counts::{NegativeBinomial, Poisson};
pub use gamma::{Beta, Chi2, Dirichlet, FisherSnedecor, Gamma, StudentT};
pub use gaussian::{LowRankMultivariateNormal, MultivariateNormal};
pub use kl::{KlDivergence, kl_divergence};
pub use line::{Cauchy, Gumbel, Laplace, Normal, Uniform};
pub use mixture::MixtureSameFamily;
pub use positive::{Exponential, HalfCauchy, HalfNormal, Kumaraswamy, LogNormal, Pareto, Weibull};
pub use relaxed::{ContinuousBernoulli, RelaxedBernoulli, RelaxedOneHotCategorical};
pub use support::Support;
pub use transforms::Transform;
pub use trials::{Bernoulli, Binomial, Geometric};

use crate::autograd::no_grad;
use crate::error::{Error, ErrorKind};
use crate::location::{Place, Scope};
use crate::tensor::{Dim, Tensor};

/// A batch of probability distributions.
///
/// What a distribution does not have (a distribution function of vectors, say) is an error-carrying
/// tensor.
pub trait Distribution {
    /// The sizes of the batch: the common sizes of the parameters, without the event's.
    fn batch_shape(&self) -> Vec<Dim>;

    /// The sizes of one draw of one distribution.
    fn event_shape(&self) -> Vec<Dim> {
        Vec::new()
    }

    /// The values that can be drawn.
    fn support(&self) -> Support;

    /// The same distribution in a larger batch.
    #[track_caller]
    fn expand(&self, batch_shape: &[Dim]) -> Self
    where
        Self: Sized;

    /// True if gradients flow through [`Distribution::rsample`].
    fn has_rsample(&self) -> bool {
        true
    }

    /// Draws of these sizes, in front of batch and event, with gradients to the parameters.
    #[track_caller]
    fn rsample(&self, shape: &[usize]) -> Tensor {
        let _ = shape;
        missing("rsample", "draws that gradients flow through")
    }

    /// Draws of these sizes, in front of batch and event.
    #[track_caller]
    fn sample(&self, shape: &[usize]) -> Tensor {
        let _pinned = Scope::pin();
        no_grad(|| self.rsample(shape))
    }

    /// The logarithm of the density, or of the probability, at `value`.
    #[track_caller]
    fn log_prob(&self, value: &Tensor) -> Tensor;

    /// The entropy in nats.
    #[track_caller]
    fn entropy(&self) -> Tensor {
        missing("entropy", "entropy in closed form")
    }

    /// The mean; NaN or infinite where there is none.
    #[track_caller]
    fn mean(&self) -> Tensor {
        missing("mean", "mean in closed form")
    }

    /// The variance; NaN or infinite where there is none.
    #[track_caller]
    fn variance(&self) -> Tensor {
        missing("variance", "variance in closed form")
    }

    /// The standard deviation.
    #[track_caller]
    fn stddev(&self) -> Tensor {
        self.variance().sqrt()
    }

    /// The value of the largest density.
    #[track_caller]
    fn mode(&self) -> Tensor {
        missing("mode", "mode in closed form")
    }

    /// The probability of values up to `value`.
    #[track_caller]
    fn cdf(&self, value: &Tensor) -> Tensor {
        let _ = value;
        missing("cdf", "distribution function in closed form")
    }

    /// The inverse of [`Distribution::cdf`].
    #[track_caller]
    fn icdf(&self, value: &Tensor) -> Tensor {
        let _ = value;
        missing("icdf", "inverse distribution function in closed form")
    }

    /// e to the power of the entropy.
    #[track_caller]
    fn perplexity(&self) -> Tensor {
        self.entropy().exp()
    }

    /// All values that can be drawn, along a first axis; for each of the batch if `expand`.
    #[track_caller]
    fn enumerate_support(&self, expand: bool) -> Tensor {
        let _ = expand;
        missing("enumerate_support", "finite list of values")
    }
}

/// What a distribution does not have.
#[track_caller]
fn missing(op: &'static str, what: &str) -> Tensor {
    let message = format!("the distribution has no {what}");
    Tensor::error(Error::new(ErrorKind::Unsupported, op, message).at(Place::here()))
}
