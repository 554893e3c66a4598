//! The Kullback-Leibler divergence between distributions of one kind.

use super::compose::{Independent, TransformedDistribution};
use super::line::EULER;
use super::transforms::sum_last;
use super::*;
use crate::error::{Error, ErrorKind};

/// Distributions that have a divergence from distributions `Q` in closed form.
pub trait KlDivergence<Q> {
    /// The mean of `log p(x) - log q(x)` over draws x of this distribution p.
    #[track_caller]
    fn kl_divergence(&self, q: &Q) -> Tensor;
}

/// The mean of `log p(x) - log q(x)` over draws x of `p`. Which pairs have it in closed form is known
/// at compile time.
#[track_caller]
pub fn kl_divergence<P: KlDivergence<Q>, Q>(p: &P, q: &Q) -> Tensor {
    let _pinned = Scope::pin();
    p.kl_divergence(q)
}

/// `value` where `p` and `q` meet; infinite where values of `p` are outside of what `q` can draw.
#[track_caller]
pub(super) fn unless_outside(outside: &Tensor, value: &Tensor) -> Tensor {
    outside.where_(f64::INFINITY, value)
}

/// The divergence of pairs of distributions.
macro_rules! divergences {
    ($($p:ident | $q:ident ($a:ident, $b:ident) $value:expr;)*) => {$(
        impl KlDivergence<$q> for $p {
            fn kl_divergence(&self, other: &$q) -> Tensor {
                let ($a, $b) = (self, other);
                $value
            }
        }
    )*};
}

pub(super) use divergences;

divergences! {
    Bernoulli | Bernoulli (p, q) {
        let (probs, other) = (p.probs(), q.probs());
        let one = probs.mul(p.logits().logsigmoid().sub(q.logits().logsigmoid()));
        let one = other.eq(0).where_(f64::INFINITY, one);
        let one = probs.eq(0).where_(0.0, one);
        let (over, under) = (p.logits().neg().logsigmoid(), q.logits().neg().logsigmoid());
        let zero = probs.neg().add(1).mul(over.sub(under));
        let zero = other.eq(1).where_(f64::INFINITY, zero);
        one.add(probs.eq(1).where_(0.0, zero))
    };
    Binomial | Binomial (p, q) {
        let (n, m) = (p.total_count(), q.total_count());
        let n = n.require(&n.ge(m), "a binomial distribution has as many trials as the other");
        let odds = p.probs().mul(p.logits().sub(q.logits()));
        let rest = p.logits().neg().logsigmoid().sub(q.logits().neg().logsigmoid());
        unless_outside(&n.gt(m), &n.mul(odds.add(rest)))
    };
    Beta | Beta (p, q) {
        let (a, b) = (p.concentration1(), p.concentration0());
        let (c, d) = (q.concentration1(), q.concentration0());
        let total = a.add(b);
        let ends = a.sub(c).mul(a.digamma()).add(b.sub(d).mul(b.digamma()));
        let middle = c.add(d).sub(&total).mul(total.digamma());
        let norms = gamma::log_beta(c, d).sub(gamma::log_beta(a, b));
        norms.add(ends).add(middle)
    };
    Categorical | Categorical (p, q) {
        let each = p.probs().mul(p.logits().sub(q.logits()));
        let each = q.probs().eq(0).where_(f64::INFINITY, each);
        p.probs().eq(0).where_(0.0, each).sum(-1)
    };
    OneHotCategorical | OneHotCategorical (p, q) {
        p.categorical().kl_divergence(q.categorical())
    };
    Cauchy | Cauchy (p, q) {
        let spread = p.scale().add(q.scale()).square().add(p.loc().sub(q.loc()).square());
        spread.log().sub(p.scale().mul(q.scale()).mul(4).log())
    };
    ContinuousBernoulli | ContinuousBernoulli (p, q) {
        let norm = |d: &ContinuousBernoulli| d.log_norm().add(d.logits().neg().logsigmoid());
        p.mean().mul(p.logits().sub(q.logits())).add(norm(p)).sub(norm(q))
    };
    Dirichlet | Dirichlet (p, q) {
        let (a, b) = (p.concentration(), q.concentration());
        let slopes = a.digamma().sub(a.sum_keepdim(-1).digamma());
        q.log_norm().sub(p.log_norm()).add(a.sub(b).mul(slopes).sum(-1))
    };
    Exponential | Exponential (p, q) {
        let ratio = q.rate().div(p.rate());
        ratio.sub(1).sub(ratio.log())
    };
    Gamma | Gamma (p, q) {
        let (a, b) = (p.concentration(), q.concentration());
        let rates = b.mul(p.rate().div(q.rate()).log());
        let shapes = a.sub(b).mul(a.digamma()).add(b.lgamma()).sub(a.lgamma());
        let means = q.rate().sub(p.rate()).mul(a.div(p.rate()));
        rates.add(shapes).add(means)
    };
    Chi2 | Chi2 (p, q) p.gamma().kl_divergence(&q.gamma());
    Geometric | Geometric (p, q) {
        let rest = q.probs().neg().log1p().div(p.probs());
        p.entropy().neg().sub(rest).sub(q.logits())
    };
    Gumbel | Gumbel (p, q) {
        let ratio = p.scale().div(q.scale());
        let off = p.loc().sub(q.loc()).div(q.scale());
        let tail = ratio.add(1).lgamma().sub(&off).exp();
        off.sub(ratio.log()).add(ratio.mul(EULER)).add(tail).sub(1.0 + EULER)
    };
    HalfNormal | HalfNormal (p, q) {
        let ratio = p.scale().div(q.scale()).square();
        ratio.sub(1).sub(ratio.log()).mul(0.5)
    };
    Laplace | Laplace (p, q) {
        let ratio = p.scale().div(q.scale());
        let off = p.loc().sub(q.loc()).abs();
        let near = ratio.mul(off.div(p.scale()).neg().exp());
        near.sub(ratio.log()).add(off.div(q.scale())).sub(1)
    };
    Normal | Normal (p, q) {
        let ratio = p.scale().div(q.scale()).square();
        let off = p.loc().sub(q.loc()).div(q.scale()).square();
        ratio.add(off).sub(1).sub(ratio.log()).mul(0.5)
    };
    LogNormal | LogNormal (p, q) {
        let base = |d: &LogNormal| Normal::of(d.loc(), d.scale());
        base(p).kl_divergence(&base(q))
    };
    LogisticNormal | LogisticNormal (p, q) p.base().kl_divergence(q.base()).sum(-1);
    Pareto | Pareto (p, q) {
        let ratio = q.alpha().div(p.alpha());
        let scales = q.alpha().mul(p.scale().div(q.scale()).log());
        let value = scales.sub(ratio.log()).add(ratio).sub(1);
        unless_outside(&p.scale().lt(q.scale()), &value)
    };
    Poisson | Poisson (p, q) {
        let logs = p.rate().xlogy(p.rate()).sub(p.rate().xlogy(q.rate()));
        logs.sub(p.rate().sub(q.rate()))
    };
    Uniform | Uniform (p, q) {
        let widths = q.high().sub(q.low()).div(p.high().sub(p.low())).log();
        let outside = q.low().gt(p.low()).bitwise_or(q.high().lt(p.high()));
        unless_outside(&outside, &widths)
    };
}

impl<P: KlDivergence<Q> + Distribution, Q: Distribution> KlDivergence<Independent<Q>>
    for Independent<P>
{
    fn kl_divergence(&self, q: &Independent<Q>) -> Tensor {
        if self.axes() != q.axes() {
            let message = "the events have different numbers of axes";
            return Tensor::error(
                Error::new(ErrorKind::Shape, "kl_divergence", message).at(Place::here()),
            );
        }
        sum_last(&self.base().kl_divergence(q.base()), self.axes())
    }
}

/// Invertible functions do not change a divergence.
impl<P: KlDivergence<Q> + Distribution, Q: Distribution> KlDivergence<TransformedDistribution<Q>>
    for TransformedDistribution<P>
{
    fn kl_divergence(&self, q: &TransformedDistribution<Q>) -> Tensor {
        let (own, others) = (self.transforms(), q.transforms());
        if own.len() != others.len() || !own.iter().zip(others).all(|(a, b)| a.is(b)) {
            let message = "only distributions with the same transforms are compared";
            return Tensor::error(
                Error::new(ErrorKind::Unsupported, "kl_divergence", message).at(Place::here()),
            );
        }
        let moved = self.event_shape().len() - self.base().event_shape().len();
        sum_last(&self.base().kl_divergence(q.base()), moved)
    }
}
