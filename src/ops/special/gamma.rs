//! The gamma function's family.

use super::{both_in_double, horner, in_double};
use crate::error::Result;
use crate::ops::composite::{attempt, bad_argument};
use crate::tensor::{Derivative, Pull, Tensor, composite};
use std::f64::consts::PI;

/// Bernoulli numbers of index 2, 4, ... .
const BERNOULLI: [f64; 10] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43867.0 / 798.0,
    -174611.0 / 330.0,
];

/// By so much arguments are moved up to where asymptotic series hold.
const SHIFT: i64 = 8;

impl Tensor {
    /// The logarithm of the gamma function's magnitude; infinite at 0, -1, -2, ... .
    #[track_caller]
    pub fn lgamma(&self) -> Tensor {
        let slope: Pull = |at| Ok(vec![at.flow[0].mul(at.operands[0].digamma())]);
        with_slope("lgamma", 0, slope, self, |x| {
            let right = lgamma_from_half(&x.maximum(0.5));
            let other = lgamma_from_half(&x.neg().add(1).maximum(0.5));
            let left = sin_pi(x).abs().log().neg().add(PI.ln()).sub(other);
            let value = x.lt(0.5).where_(left, right);
            x.isinf().where_(f64::INFINITY, value)
        })
    }

    /// The derivative of [`Tensor::lgamma`].
    #[track_caller]
    pub fn digamma(&self) -> Tensor {
        let slope: Pull = |at| Ok(vec![at.flow[0].mul(at.operands[0].polygamma(1))]);
        with_slope("digamma", 0, slope, self, |x| {
            let right = digamma_from_half(&x.maximum(0.5));
            let other = digamma_from_half(&x.neg().add(1).maximum(0.5));
            let frac = x.sub(x.round()).mul(PI);
            let left = other.sub(frac.cos().div(frac.sin()).mul(PI));
            let value = x.lt(0.5).where_(left, right);
            let pole = x.lt(0).bitwise_and(x.eq(x.round()));
            let value = pole.where_(f64::NAN, value);
            x.eq(0)
                .where_(x.neg().copysign(x.neg()).reciprocal(), value)
        })
    }

    /// Derivative number `n` of [`Tensor::digamma`].
    #[track_caller]
    pub fn polygamma(&self, n: usize) -> Tensor {
        if n == 0 {
            return self.digamma();
        }
        attempt(|| {
            // The factorial leaves the range of f64 there.
            if n > 170 {
                return Err(bad_argument("polygamma", format!("n = {n} is above 170")));
            }
            let factorial: f64 = (1..=n).map(|k| k as f64).product();
            let sign = if n % 2 == 1 { 1.0 } else { -1.0 };
            let slope: Pull = |at| {
                let n = at.attributes[0] as usize;
                Ok(vec![at.flow[0].mul(at.operands[0].polygamma(n + 1))])
            };
            Ok(with_slope("polygamma", n as i64, slope, self, |x| {
                let s = Tensor::full_of((), n as f64 + 1.0, lazulite_ir::DType::F64);
                hurwitz(&s, x).mul(sign * factorial)
            }))
        })
    }

    /// The Hurwitz zeta function: the sum of `(q + k)^-x` over k from 0, where this tensor is x.
    #[track_caller]
    pub fn zeta(&self, q: &Tensor) -> Tensor {
        both_in_double("zeta", self, q, |x, q| Ok(hurwitz(x, q)))
    }

    /// The logarithm of the multivariate gamma function of dimension `p`.
    #[track_caller]
    pub fn multigammaln(&self, p: usize) -> Tensor {
        attempt(|| {
            if p == 0 {
                return Err(bad_argument("multigammaln", "the dimension is at least 1"));
            }
            let (x, n) = (self.to_floating(), p as f64);
            if p > 1000 {
                let message = format!("the dimension {p} is over 1000");
                return Err(bad_argument("multigammaln", message));
            }
            let mut sum = x.full_like(n * (n - 1.0) / 4.0 * PI.ln());
            for j in 0..p {
                sum = sum.add(x.sub(j as f64 / 2.0).lgamma());
            }
            Ok(sum)
        })
    }

    /// The regularised lower incomplete gamma function, where this tensor is the parameter a.
    #[track_caller]
    pub fn igamma(&self, x: &Tensor) -> Tensor {
        both_in_double("igamma", self, x, |a, x| incomplete(a, x, Side::Lower))
    }

    /// The regularised upper incomplete gamma function, where this tensor is the parameter a.
    #[track_caller]
    pub fn igammac(&self, x: &Tensor) -> Tensor {
        both_in_double("igammac", self, x, |a, x| incomplete(a, x, Side::Upper))
    }
}

/// As [`in_double`], with a derivative of its own: the definitions choose between formulas of which
/// the one that is not taken may have an infinite slope.
#[track_caller]
fn with_slope(
    name: &'static str,
    attribute: i64,
    slope: Pull,
    x: &Tensor,
    f: impl FnOnce(&Tensor) -> Tensor,
) -> Tensor {
    if !x.is_float() {
        return in_double(name, x, f);
    }
    let derivative = Derivative::Pullback(slope);
    composite(name, &[attribute], derivative, &[x], || {
        in_double(name, x, f)
    })
}

/// `sin(pi x)`, exactly 0 at integers.
#[track_caller]
fn sin_pi(x: &Tensor) -> Tensor {
    x.sub(x.round()).mul(PI).sin()
}

/// By Stirling's series after moving up.
#[track_caller]
fn lgamma_from_half(x: &Tensor) -> Tensor {
    let product = (1..SHIFT).fold(x.clone(), |product, k| product.mul(x.add(k)));
    let y = x.add(SHIFT);
    let coefficients: Vec<f64> = (0..8)
        .map(|k| BERNOULLI[k] / ((2 * k + 1) * (2 * k + 2)) as f64)
        .collect();
    let tail = horner(&y.square().reciprocal(), &coefficients).div(&y);
    let high = y
        .sub(0.5)
        .mul(y.log())
        .sub(&y)
        .add(0.5 * (2.0 * PI).ln())
        .add(tail);
    // Beyond, the product overflows, and nothing has to be moved.
    let plain_tail = horner(&x.square().reciprocal(), &coefficients).div(x);
    let plain = x
        .sub(0.5)
        .mul(x.log())
        .sub(x)
        .add(0.5 * (2.0 * PI).ln())
        .add(plain_tail);
    x.gt(1e6).where_(plain, high.sub(product.log()))
}

#[track_caller]
fn digamma_from_half(x: &Tensor) -> Tensor {
    let zero = x.zeros_like();
    let moved = (0..SHIFT).fold(zero, |sum, k| sum.add(x.add(k).reciprocal()));
    let y = x.add(SHIFT);
    let coefficients: Vec<f64> = (0..8).map(|k| BERNOULLI[k] / (2 * k + 2) as f64).collect();
    let inverse = y.square().reciprocal();
    let tail = horner(&inverse, &coefficients).mul(inverse);
    y.log().sub(y.reciprocal().mul(0.5)).sub(tail).sub(moved)
}

#[track_caller]
fn hurwitz(s: &Tensor, q: &Tensor) -> Tensor {
    // Below 0 the sum up to there mirrors into sums from positive places.
    let right = q.gt(0);
    let frac = q.sub(q.floor());
    let start = right.where_(q, frac.eq(0).where_(1.0, &frac));
    let one_less = frac.neg().add(1);
    let mirrored = hurwitz_from_zero(s, &one_less)
        .sub(hurwitz_from_zero(s, &right.where_(1.0, q.neg().add(1))));
    let odd = s.sub(s.mul(0.5).floor().mul(2)).eq(1);
    let mirrored = odd.where_(mirrored.neg(), mirrored);
    let sum = hurwitz_from_zero(s, &start);
    let value = right.where_(&sum, sum.add(mirrored));
    let whole = q.eq(q.floor());
    let value = right
        .logical_not()
        .bitwise_and(&whole)
        .where_(f64::INFINITY, value);
    let undefined = right
        .logical_not()
        .bitwise_and(whole.logical_not())
        .bitwise_and(s.ne(s.floor()));
    let value = undefined.where_(f64::NAN, value);
    let value = s.lt(1).where_(f64::NAN, value);
    s.eq(1).where_(f64::INFINITY, value)
}

/// For positive q, by the sum of the first terms and the Euler-Maclaurin formula for the rest.
#[track_caller]
fn hurwitz_from_zero(s: &Tensor, q: &Tensor) -> Tensor {
    const TERMS: i64 = 10;
    let power = |base: &Tensor| base.pow(s.neg());
    let sum = (1..TERMS).fold(power(q), |sum, k| sum.add(power(&q.add(k))));
    let y = q.add(TERMS);
    let last = power(&y);
    let mut sum = sum.add(last.mul(&y).div(s.sub(1))).add(last.mul(0.5));
    // Rising factorials of s over powers of y.
    let mut factor = last.mul(s).div(&y);
    let mut denominator = 2.0;
    for (k, bernoulli) in BERNOULLI.iter().enumerate() {
        sum = sum.add(factor.mul(bernoulli / denominator));
        let step = 2 * k as i64 + 1;
        factor = factor.mul(s.add(step)).mul(s.add(step + 1)).div(y.square());
        denominator *= ((step + 2) * (step + 3)) as f64;
    }
    sum
}

/// Which incomplete gamma function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Lower,
    Upper,
}

/// Steps of the series and the continued fraction: enough for parameters up to [`LARGEST`], where
/// convergence near x = a is slowest.
const STEPS: i64 = 160;

/// The largest parameter for which [`STEPS`] give full precision.
const LARGEST: f64 = 200.0;

#[track_caller]
fn incomplete(a: &Tensor, x: &Tensor, side: Side) -> Result<Tensor> {
    let scale = x.log().mul(a).sub(x).sub(a.lgamma()).exp();
    let below = x.lt(a.add(1));
    // The series for the lower function.
    let safe = below.where_(x, 0);
    let mut term = a.reciprocal();
    let mut sum = term.clone();
    for n in 1..STEPS {
        term = term.mul(&safe).div(a.add(n));
        sum = sum.add(&term);
    }
    let lower = sum.mul(&scale);
    // The continued fraction for the upper one, from the end.
    let safe = below.where_(a.add(2), x);
    let mut tail = safe.zeros_like();
    for n in (1..STEPS).rev() {
        let b = safe.add(2 * n + 1).sub(a);
        tail = a.sub(n).mul(n).div(b.add(&tail));
    }
    let upper = scale.div(safe.add(1).sub(a).add(tail));
    let value = match side {
        Side::Lower => below.where_(lower, upper.neg().add(1)),
        Side::Upper => below.where_(lower.neg().add(1), upper),
    };
    let (at_zero, at_infinity) = match side {
        Side::Lower => (0.0, 1.0),
        Side::Upper => (1.0, 0.0),
    };
    let value = x.eq(0).where_(at_zero, value);
    let value = x.eq(f64::INFINITY).where_(at_infinity, value);
    let value = a.eq(0).bitwise_and(x.gt(0)).where_(at_infinity, value);
    let outside = a
        .lt(0)
        .bitwise_or(x.lt(0))
        .bitwise_or(a.eq(0).bitwise_and(x.eq(0)));
    // An endless parameter takes all of the function's weight beyond any x that is not endless itself.
    let endless = a.eq(f64::INFINITY);
    let value = endless.where_(at_zero, value);
    let outside = outside.bitwise_or(endless.bitwise_and(x.eq(f64::INFINITY)));
    let uncertain = a.gt(LARGEST).bitwise_and(endless.logical_not());
    Ok(outside.bitwise_or(uncertain).where_(f64::NAN, value))
}
