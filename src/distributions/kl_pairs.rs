//! The Kullback-Leibler divergence between distributions of different kinds.

use super::kl::{divergences, unless_outside};
use super::line::EULER;
use super::*;
use std::f64::consts::{FRAC_2_PI, PI};

/// `0.5 log(2 pi)`.
fn half_log_tau() -> f64 {
    0.5 * (2.0 * PI).ln()
}

/// The divergence from a normal distribution, by entropy, mean and variance.
#[track_caller]
fn from_normal(p: &impl Distribution, q: &Normal) -> Tensor {
    let off = p.mean().sub(q.loc()).square().add(p.variance());
    let exponent = off.div(q.scale().square()).mul(0.5);
    q.scale()
        .log()
        .add(half_log_tau())
        .add(exponent)
        .sub(p.entropy())
}

/// The divergence from an exponential distribution, of a distribution of positive numbers.
#[track_caller]
fn from_exponential(p: &impl Distribution, q: &Exponential) -> Tensor {
    q.rate().mul(p.mean()).sub(q.rate().log()).sub(p.entropy())
}

/// The divergence from a continuous Bernoulli distribution, of numbers between 0 and 1.
#[track_caller]
fn from_continuous_bernoulli(p: &impl Distribution, q: &ContinuousBernoulli) -> Tensor {
    let linear = p.mean().mul(q.logits()).add(q.logits().neg().logsigmoid());
    p.entropy().neg().sub(linear).sub(q.log_norm())
}

/// The divergence from a gamma distribution, by the mean of the logarithm.
#[track_caller]
fn from_gamma(p: &impl Distribution, mean_log: &Tensor, q: &Gamma) -> Tensor {
    let (a, b) = (q.concentration(), q.rate());
    let norm = a.lgamma().sub(a.mul(b.log()));
    let powers = a.sub(1).mul(mean_log);
    norm.sub(powers).add(b.mul(p.mean())).sub(p.entropy())
}

/// The divergence from a uniform distribution, of numbers between 0 and 1.
#[track_caller]
fn from_uniform(p: &impl Distribution, q: &Uniform) -> Tensor {
    let outside = q.low().gt(0).bitwise_or(q.high().lt(1));
    let value = q.high().sub(q.low()).log().sub(p.entropy());
    unless_outside(&outside, &value)
}

/// The mean of `log x` over numbers between `low` and `high`.
#[track_caller]
fn mean_log(low: &Tensor, high: &Tensor) -> Tensor {
    let area = |x: &Tensor| x.xlogy(x).sub(x);
    area(high).sub(area(low)).div(high.sub(low))
}

/// `loc / scale` of a Gumbel distribution.
#[track_caller]
fn place(q: &Gumbel) -> Tensor {
    q.loc().div(q.scale())
}

divergences! {
    Bernoulli | Poisson (p, q) {
        let logs = p.probs().xlogy(q.rate()).sub(q.rate());
        p.entropy().neg().sub(logs)
    };
    Beta | ContinuousBernoulli (p, q) from_continuous_bernoulli(p, q);
    Beta | Exponential (p, q) from_exponential(p, q);
    Beta | Gamma (p, q) {
        let (a, b) = (p.concentration1(), p.concentration0());
        from_gamma(p, &a.digamma().sub(a.add(b).digamma()), q)
    };
    Beta | Normal (p, q) from_normal(p, q);
    Beta | Uniform (p, q) from_uniform(p, q);
    ContinuousBernoulli | Exponential (p, q) from_exponential(p, q);
    ContinuousBernoulli | Normal (p, q) from_normal(p, q);
    ContinuousBernoulli | Uniform (p, q) from_uniform(p, q);
    Exponential | Gamma (p, q) {
        from_gamma(p, &p.rate().log().neg().sub(EULER), q)
    };
    Exponential | Gumbel (p, q) {
        let product = p.rate().mul(q.scale());
        let tail = place(q).exp().mul(&product).div(product.add(1));
        let logs = product.log().sub(1).sub(place(q));
        logs.add(tail).add(product.reciprocal())
    };
    Exponential | Normal (p, q) from_normal(p, q);
    Gamma | Exponential (p, q) from_exponential(p, q);
    Gamma | Gumbel (p, q) {
        let (a, product) = (p.concentration(), p.rate().mul(q.scale()));
        let tail = product.reciprocal().log1p().mul(a.neg()).add(place(q)).exp();
        let linear = p.mean().sub(q.loc()).div(q.scale());
        q.scale().log().add(linear).add(tail).sub(p.entropy())
    };
    Gamma | Normal (p, q) from_normal(p, q);
    Gumbel | Normal (p, q) from_normal(p, q);
    Laplace | Normal (p, q) from_normal(p, q);
    Normal | Gumbel (p, q) {
        let ratio = p.scale().div(q.scale()).square();
        let off = p.loc().sub(q.loc()).div(q.scale());
        let tail = ratio.mul(0.5).sub(&off).exp();
        off.sub(ratio.log().mul(0.5)).add(tail).sub(0.5 + half_log_tau())
    };
    Normal | Laplace (p, q) {
        let off = p.loc().sub(q.loc());
        let z = off.div(p.scale());
        let spread = p.scale().mul(z.square().mul(-0.5).exp()).mul(FRAC_2_PI.sqrt());
        let moved = off.mul(z.mul(0.5f64.sqrt()).erf());
        let logs = p.scale().div(q.scale()).log().neg();
        logs.add(spread.add(moved).div(q.scale())).sub(0.5 + 0.5 * (0.5 * PI).ln())
    };
    Pareto | Exponential (p, q) from_exponential(p, q);
    Pareto | Gamma (p, q) {
        from_gamma(p, &p.scale().log().add(p.alpha().reciprocal()), q)
    };
    Pareto | Normal (p, q) {
        // Without a variance there is no finite divergence, whatever the mean is.
        unless_outside(&p.alpha().le(2), &from_normal(p, q))
    };
    Uniform | Beta (p, q) {
        let (a, b) = (q.concentration1(), q.concentration0());
        let rest = |x: &Tensor| x.neg().add(1);
        let ends = a.sub(1).mul(mean_log(p.low(), p.high()));
        let others = b.sub(1).mul(mean_log(&rest(p.high()), &rest(p.low())));
        let value = gamma::log_beta(a, b).sub(ends).sub(others).sub(p.entropy());
        unless_outside(&p.high().gt(1).bitwise_or(p.low().lt(0)), &value)
    };
    Uniform | ContinuousBernoulli (p, q) {
        let outside = p.high().gt(1).bitwise_or(p.low().lt(0));
        unless_outside(&outside, &from_continuous_bernoulli(p, q))
    };
    Uniform | Exponential (p, q) {
        unless_outside(&p.low().lt(0), &from_exponential(p, q))
    };
    Uniform | Gamma (p, q) {
        let value = from_gamma(p, &mean_log(p.low(), p.high()), q);
        unless_outside(&p.low().lt(0), &value)
    };
    Uniform | Gumbel (p, q) {
        let z = |x: &Tensor| x.sub(q.loc()).div(q.scale());
        let (low, high) = (z(p.low()), z(p.high()));
        let ratio = q.scale().div(p.high().sub(p.low()));
        let tails = low.neg().exp().sub(high.neg().exp());
        ratio.log().add(low.add(high).mul(0.5)).add(ratio.mul(tails))
    };
    Uniform | Normal (p, q) from_normal(p, q);
    Uniform | Pareto (p, q) {
        let start = q.alpha().log().add(q.alpha().mul(q.scale().log()));
        let powers = q.alpha().add(1).mul(mean_log(p.low(), p.high()));
        let value = powers.sub(start).sub(p.entropy());
        unless_outside(&p.low().lt(q.scale()), &value)
    };
}

/// Pairs of which the first draws values that the second cannot.
macro_rules! infinite {
    ($($p:ident | $($q:ident($field:ident)),+;)*) => {$($(
        impl KlDivergence<$q> for $p {
            fn kl_divergence(&self, q: &$q) -> Tensor {
                self.mean().zeros_like().add(q.$field().zeros_like()).add(f64::INFINITY)
            }
        }
    )+)*};
}

infinite! {
    Beta | Pareto(scale);
    ContinuousBernoulli | Pareto(scale);
    Exponential | Beta(concentration1), ContinuousBernoulli(probs), Pareto(scale), Uniform(low);
    Gamma | Beta(concentration1), ContinuousBernoulli(probs), Pareto(scale), Uniform(low);
    Gumbel | Beta(concentration1), ContinuousBernoulli(probs), Exponential(rate), Gamma(rate),
        Pareto(scale), Uniform(low);
    Laplace | Beta(concentration1), ContinuousBernoulli(probs), Exponential(rate), Gamma(rate),
        Pareto(scale), Uniform(low);
    Normal | Beta(concentration1), ContinuousBernoulli(probs), Exponential(rate), Gamma(rate),
        Pareto(scale), Uniform(low);
    Pareto | Beta(concentration1), ContinuousBernoulli(probs), Uniform(low);
    Poisson | Bernoulli(probs), Binomial(probs);
}
