//! Distributions made of gamma numbers.
//!
//! Draws are made of logarithms of gamma numbers, which do not underflow for small parameters. Their
//! gradients are implicit: a number moves with its parameter so that the distribution function at it
//! stays. That takes the integral of the density's derivative, by Gauss and Legendre's rule.

use super::Distribution;
use super::draw;
use super::parameters::{batch_of, parameters};
use super::support::{Support, leading};
use crate::autograd::{Context, CustomFunction, custom_function};
use crate::error::Result;
use crate::ops::attempt;
use crate::ops::random::log_gamma_numbers;
use crate::tensor::{Dim, Tensor};
use lazulite_ir::DType;
use std::f64::consts::PI;

/// Logarithms of gamma numbers, from shape parameters in f64.
struct LogGamma;

impl CustomFunction for LogGamma {
    fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let drawn = log_gamma_numbers(&inputs[0])?;
        context.save_for_backward(&[&inputs[0], &drawn]);
        Ok(vec![drawn])
    }

    fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let [shape, drawn] = context.saved_tensors() else {
            return Err(crate::tensor::internal(
                "log_gamma",
                "two tensors were kept",
            ));
        };
        Ok(vec![Some(cotangents[0].mul(slope(shape, drawn)?))])
    }
}

/// Nodes of the rule: the integrand falls to e^-40 between them at most.
const NODES: usize = 40;

/// How the logarithm of a gamma number moves with its shape parameter a.
///
/// With x the number, psi the derivative of lgamma and P the distribution function,
/// `dP/da = integral of (log t - psi(a)) p(t) dt` from 0 to x, or minus that from x on; `t = x e^-u`
/// (or `x e^u`) makes of it, divided by `x p(x)`, an integral over u with a monotone exponential.
#[track_caller]
fn slope(shape: &Tensor, log_x: &Tensor) -> Result<Tensor> {
    let x = log_x.exp();
    let lower = x.le(shape);
    let sign = lower.where_(-1.0, 1.0);
    // Where the exponential is below e^-40: by its slope at 0, by its curvature, by its growth.
    let by_slope = x.sub(shape).abs().reciprocal().mul(40);
    let curved = x.gt(120).where_(
        x.reciprocal().mul(120).sqrt(),
        x.reciprocal().mul(40).add(1),
    );
    let grown = x.reciprocal().mul(80).log1p().add(1);
    let end = by_slope
        .minimum(lower.where_(&curved, curved.minimum(grown)))
        .detach();
    let (nodes, weights) = gauss_legendre(NODES);
    let rank = shape.rank()?;
    let column = |list: Vec<f64>| Tensor::table(list, [NODES]).along(0, rank + 1);
    let u = end.mul(column(nodes));
    let along = u.mul(&sign);
    let exponent = shape.mul(&along).sub(x.mul(along.expm1()));
    let distance = log_x.add(&along).sub(shape.digamma());
    let integral = distance
        .mul(exponent.exp())
        .mul(column(weights))
        .sum(0)
        .mul(end);
    Ok(integral.mul(sign))
}

/// Nodes and weights for integrals from 0 to 1, exact for polynomials of degree below `2 count`: the
/// roots of Legendre's polynomial by Newton's method.
fn gauss_legendre(count: usize) -> (Vec<f64>, Vec<f64>) {
    let n = count as f64;
    let mut rule = (Vec::with_capacity(count), Vec::with_capacity(count));
    for i in 0..count {
        let mut x = (PI * (i as f64 + 0.75) / (n + 0.5)).cos();
        let mut derivative = 1.0;
        for _ in 0..100 {
            let (mut p, mut before) = (1.0, 0.0);
            for k in 0..count {
                let k = k as f64;
                (p, before) = (((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0), p);
            }
            derivative = n * (x * p - before) / (x * x - 1.0);
            let step = p / derivative;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        rule.0.push(0.5 * (1.0 - x));
        rule.1.push(1.0 / ((1.0 - x * x) * derivative * derivative));
    }
    rule
}

/// Logarithms of gamma numbers for draws of `shape`, in f64, with gradients to the parameter.
#[track_caller]
fn log_gammas(shape: &[usize], concentration: &Tensor) -> Result<Tensor> {
    let sizes = draw::sizes(shape, concentration)?;
    let full = concentration.cast(DType::F64).expand(sizes);
    let drawn = custom_function(LogGamma, &[&full]);
    let none = || crate::tensor::internal("log_gamma", "no result");
    drawn.into_iter().next().ok_or_else(none)
}

/// The logarithm of the beta function.
#[track_caller]
pub(super) fn log_beta(a: &Tensor, b: &Tensor) -> Tensor {
    a.lgamma().add(b.lgamma()).sub(a.add(b).lgamma())
}

parameters! {
    /// The gamma distribution.
    Gamma {
        /// The shape.
        concentration: Support::Positive,
        /// The rate, the reciprocal of the scale.
        rate: Support::Positive,
    }
}

impl Distribution for Gamma {
    batch_of!(concentration, rate);

    fn support(&self) -> Support {
        Support::NonNegative
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let log = log_gammas(shape, &self.concentration)?;
            let dtype = self.rate.dtype()?;
            let least = match dtype {
                DType::F64 => f64::MIN_POSITIVE,
                _ => f64::from(f32::MIN_POSITIVE),
            };
            Ok(log.exp().div(&self.rate).clamp_min(least).cast(dtype))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let (a, b) = (&self.concentration, &self.rate);
        let powers = a.mul(b.log()).add(a.sub(1).xlogy(&value));
        powers.sub(b.mul(value)).sub(a.lgamma())
    }

    fn entropy(&self) -> Tensor {
        let a = &self.concentration;
        let bent = a.neg().add(1).mul(a.digamma());
        a.sub(self.rate.log()).add(a.lgamma()).add(bent)
    }

    fn mean(&self) -> Tensor {
        self.concentration.div(&self.rate)
    }

    fn variance(&self) -> Tensor {
        self.concentration.div(self.rate.square())
    }

    fn mode(&self) -> Tensor {
        self.concentration.sub(1).div(&self.rate).clamp_min(0)
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        self.concentration.igamma(&self.rate.mul(value))
    }
}

parameters! {
    /// The chi-squared distribution: of sums of squares of standard normal numbers.
    Chi2 {
        /// The degrees of freedom.
        df: Support::Positive,
    }
}

impl Chi2 {
    /// The same as a gamma distribution.
    #[track_caller]
    pub(super) fn gamma(&self) -> Gamma {
        Gamma {
            concentration: self.df.mul(0.5),
            rate: self.df.full_like(0.5),
        }
    }
}

impl Distribution for Chi2 {
    batch_of!(df);

    fn support(&self) -> Support {
        Support::NonNegative
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        self.gamma().rsample(shape)
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        self.gamma().log_prob(value)
    }

    fn entropy(&self) -> Tensor {
        self.gamma().entropy()
    }

    fn mean(&self) -> Tensor {
        self.df.clone()
    }

    fn variance(&self) -> Tensor {
        self.df.mul(2)
    }

    fn mode(&self) -> Tensor {
        self.gamma().mode()
    }

    fn cdf(&self, value: &Tensor) -> Tensor {
        self.gamma().cdf(value)
    }
}

parameters! {
    /// The beta distribution of numbers between 0 and 1.
    Beta {
        /// The shape at 1.
        concentration1: Support::Positive,
        /// The shape at 0.
        concentration0: Support::Positive,
    }
}

impl Distribution for Beta {
    batch_of!(concentration1, concentration0);

    fn support(&self) -> Support {
        Support::UnitInterval
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let one = log_gammas(shape, &self.concentration1)?;
            let other = log_gammas(shape, &self.concentration0)?;
            Ok(one.sub(other).sigmoid().cast(self.concentration1.dtype()?))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let (a, b) = (&self.concentration1, &self.concentration0);
        let powers = a.sub(1).xlogy(&value).add(b.sub(1).xlog1py(value.neg()));
        powers.sub(log_beta(a, b))
    }

    fn entropy(&self) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        let total = a.add(b);
        let ends = a.sub(1).mul(a.digamma()).add(b.sub(1).mul(b.digamma()));
        let middle = total.sub(2).mul(total.digamma());
        log_beta(a, b).sub(ends).add(middle)
    }

    fn mean(&self) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        a.div(a.add(b))
    }

    fn variance(&self) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        let total = a.add(b);
        a.mul(b).div(total.square().mul(total.add(1)))
    }

    fn mode(&self) -> Tensor {
        let (a, b) = (&self.concentration1, &self.concentration0);
        let single = a.ge(1).bitwise_and(b.ge(1)).bitwise_and(a.add(b).gt(2));
        single.where_(a.sub(1).div(a.add(b).sub(2)), f64::NAN)
    }
}

/// Dirichlet's distribution of vectors of shares.
#[derive(Clone, Debug)]
pub struct Dirichlet {
    concentration: Tensor,
}

impl Dirichlet {
    /// With these shapes, one per share along the last axis.
    #[track_caller]
    pub fn new(concentration: &Tensor) -> Dirichlet {
        let floating = concentration.to_floating();
        Dirichlet {
            concentration: Support::PositiveVector.checked(&floating),
        }
    }

    /// The shapes.
    pub fn concentration(&self) -> &Tensor {
        &self.concentration
    }

    #[track_caller]
    fn total(&self) -> Tensor {
        self.concentration.sum_keepdim(-1)
    }

    /// The logarithm of the density's denominator.
    #[track_caller]
    pub(super) fn log_norm(&self) -> Tensor {
        let each = self.concentration.lgamma().sum(-1);
        each.sub(self.concentration.sum(-1).lgamma())
    }
}

impl Distribution for Dirichlet {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.concentration, 1)
    }

    fn event_shape(&self) -> Vec<Dim> {
        vec![self.concentration.dim(-1)]
    }

    fn expand(&self, batch_shape: &[Dim]) -> Dirichlet {
        let mut sizes = batch_shape.to_vec();
        sizes.push(self.concentration.dim(-1));
        Dirichlet {
            concentration: self.concentration.expand(sizes),
        }
    }

    fn support(&self) -> Support {
        Support::Simplex
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let logs = log_gammas(shape, &self.concentration)?;
            Ok(logs.softmax(-1).cast(self.concentration.dtype()?))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let powers = self.concentration.sub(1).xlogy(value).sum(-1);
        powers.sub(self.log_norm())
    }

    fn entropy(&self) -> Tensor {
        let a = &self.concentration;
        let total = self.total();
        let each = a.sub(1).mul(a.digamma().sub(total.digamma())).sum(-1);
        self.log_norm().sub(each)
    }

    fn mean(&self) -> Tensor {
        self.concentration.div(self.total())
    }

    fn variance(&self) -> Tensor {
        let (a, total) = (&self.concentration, self.total());
        let spread = a.mul(total.sub(a));
        spread.div(total.square().mul(total.add(1)))
    }

    fn mode(&self) -> Tensor {
        let inner = self.concentration.sub(1).clamp_min(0);
        inner.div(inner.sum_keepdim(-1))
    }
}

parameters! {
    /// Student's t-distribution.
    StudentT {
        /// The degrees of freedom.
        df: Support::Positive,
        /// The location.
        loc: Support::Real,
        /// The scale.
        scale: Support::Positive,
    }
}

impl Distribution for StudentT {
    batch_of!(df, loc, scale);

    fn support(&self) -> Support {
        Support::Real
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let normal = draw::normals(shape, &self.loc)?;
            let squares = Chi2 {
                df: self.df.clone(),
            }
            .rsample(shape);
            let t = normal.mul(squares.div(&self.df).rsqrt());
            Ok(t.mul(&self.scale).add(&self.loc))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let z = self
            .support()
            .checked(value)
            .sub(&self.loc)
            .div(&self.scale);
        let df = &self.df;
        let half = df.add(1).mul(0.5);
        let constant = df.mul(PI).log().mul(0.5).add(self.scale.log());
        let norm = constant.add(df.mul(0.5).lgamma()).sub(half.lgamma());
        half.neg().mul(z.square().div(df).log1p()).sub(norm)
    }

    fn entropy(&self) -> Tensor {
        let half = self.df.mul(0.5);
        let next = half.add(0.5);
        let bent = next.mul(next.digamma().sub(half.digamma()));
        let beta = log_beta(&half, &half.full_like(0.5));
        self.scale
            .log()
            .add(bent)
            .add(self.df.log().mul(0.5))
            .add(beta)
    }

    fn mean(&self) -> Tensor {
        self.df.gt(1).where_(&self.loc, f64::NAN)
    }

    fn variance(&self) -> Tensor {
        let df = &self.df;
        let finite = self.scale.square().mul(df).div(df.sub(2));
        let heavy = df.gt(1).where_(self.df.full_like(f64::INFINITY), f64::NAN);
        df.gt(2).where_(finite, heavy)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }
}

parameters! {
    /// The Fisher-Snedecor distribution of ratios of mean squares.
    FisherSnedecor {
        /// The degrees of freedom of the numerator.
        df1: Support::Positive,
        /// The degrees of freedom of the denominator.
        df2: Support::Positive,
    }
}

impl Distribution for FisherSnedecor {
    batch_of!(df1, df2);

    fn support(&self) -> Support {
        Support::NonNegative
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let over = log_gammas(shape, &self.df1.mul(0.5))?;
            let under = log_gammas(shape, &self.df2.mul(0.5))?;
            let ratio = over.sub(under).exp().mul(self.df2.div(&self.df1));
            Ok(ratio.cast(self.df1.dtype()?))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        let value = self.support().checked(value);
        let (a, b) = (self.df1.mul(0.5), self.df2.mul(0.5));
        let ratio = self.df1.div(&self.df2);
        let powers = a.mul(ratio.log()).add(a.sub(1).xlogy(&value));
        let tail = a.add(&b).mul(ratio.mul(value).log1p());
        powers.sub(tail).sub(log_beta(&a, &b))
    }

    fn mean(&self) -> Tensor {
        let d = &self.df2;
        d.gt(2).where_(d.div(d.sub(2)), f64::NAN)
    }

    fn variance(&self) -> Tensor {
        let (n, d) = (&self.df1, &self.df2);
        let over = d.square().mul(n.add(d).sub(2)).mul(2);
        let under = n.mul(d.sub(2).square()).mul(d.sub(4));
        d.gt(4).where_(over.div(under), f64::NAN)
    }

    fn mode(&self) -> Tensor {
        let (n, d) = (&self.df1, &self.df2);
        let place = n.sub(2).div(n).mul(d).div(d.add(2));
        n.gt(2).where_(place, f64::NAN)
    }
}

/// Parameters that were checked before.
impl Gamma {
    /// As [`Gamma::new`], without checks.
    pub(super) fn of(concentration: &Tensor, rate: &Tensor) -> Gamma {
        Gamma {
            concentration: concentration.clone(),
            rate: rate.clone(),
        }
    }
}
