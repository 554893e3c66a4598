//! Functions of the error function's family.

use super::coefficients::ERFCX;
use super::{in_double, series};
use crate::error::Result;
use crate::tensor::{Applied, Derivative, Tensor, composite};
use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI, SQRT_2};

impl Tensor {
    /// `1 - erf(x)`, accurate where that is small.
    #[track_caller]
    pub fn erfc(&self) -> Tensor {
        in_double("erfc", self, erfc)
    }

    /// `exp(x^2) erfc(x)`.
    #[track_caller]
    pub fn erfcx(&self) -> Tensor {
        in_double("erfcx", self, |x| {
            let right = erfcx(&x.abs());
            let left = x.square().exp().mul(2).sub(&right);
            x.lt(0).where_(left, right)
        })
    }

    /// The inverse of [`Tensor::erf`]: infinite at -1 and 1, NaN beyond.
    #[track_caller]
    pub fn erfinv(&self) -> Tensor {
        let slope = Derivative::Both(slope_of_erfinv, slope_of_erfinv);
        let y = self.to_floating();
        composite("erfinv", &[], slope, &[&y], || {
            in_double("erfinv", &y, |y| {
                let rest = y.abs().neg().add(1);
                let x = inverse(&y.abs(), &rest).copysign(y);
                let x = rest.eq(0).where_(y.mul(f64::INFINITY), x);
                rest.lt(0).bitwise_or(y.isnan()).where_(f64::NAN, x)
            })
        })
    }

    /// The distribution function of the standard normal distribution.
    #[track_caller]
    pub fn ndtr(&self) -> Tensor {
        in_double("ndtr", self, |x| erfc(&x.mul(-FRAC_1_SQRT_2)).mul(0.5))
    }

    /// The logarithm of [`Tensor::ndtr`], accurate far to the left.
    #[track_caller]
    pub fn log_ndtr(&self) -> Tensor {
        in_double("log_ndtr", self, |x| {
            let scaled = x.mul(FRAC_1_SQRT_2);
            let left = erfcx(&scaled.neg().maximum(0))
                .log()
                .sub(LN_2)
                .sub(scaled.square());
            let right = erfc(&scaled).mul(-0.5).log1p();
            x.lt(-1).where_(left, right)
        })
    }

    /// The inverse of [`Tensor::ndtr`]: infinite at 0 and 1, NaN beyond.
    #[track_caller]
    pub fn ndtri(&self) -> Tensor {
        let slope = Derivative::Both(slope_of_ndtri, slope_of_ndtri);
        let p = self.to_floating();
        composite("ndtri", &[], slope, &[&p], || {
            in_double("ndtri", &p, |p| {
                // The smaller of both sides decides, since it is exact.
                let other = p.neg().add(1);
                let small = p.minimum(&other);
                let y = small.mul(-2).add(1);
                let x = inverse(&y, &small.mul(2)).mul(SQRT_2).copysign(p.sub(0.5));
                let x = small.eq(0).where_(p.sub(0.5).mul(f64::INFINITY), x);
                small.lt(0).bitwise_or(p.isnan()).where_(f64::NAN, x)
            })
        })
    }

    /// `-x log(x)`: 0 at 0, minus infinity below.
    #[track_caller]
    pub fn entr(&self) -> Tensor {
        let x = self.to_floating();
        let inside = x.eq(0).where_(0, x.log().mul(&x).neg());
        x.lt(0).where_(f64::NEG_INFINITY, inside)
    }
}

/// The slope of an inverse function is the reciprocal of that of the function where it arrives; a
/// definition by iteration has none to give.
fn slope_of_erfinv(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (x, flow) = (&at.results[0], &at.flow[0]);
    Ok(vec![flow.mul(x.square().exp()).mul(PI.sqrt() / 2.0)])
}

fn slope_of_ndtri(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (x, flow) = (&at.results[0], &at.flow[0]);
    Ok(vec![
        flow.mul(x.square().mul(0.5).exp()).mul((2.0 * PI).sqrt()),
    ])
}

/// Of x from 0.
#[track_caller]
fn erfcx(x: &Tensor) -> Tensor {
    // At infinity the quotient is 1.
    let t = x.add(4).reciprocal().mul(-8).add(1);
    series(&t, &ERFCX).div(x.mul(2).add(1))
}

#[track_caller]
fn erfc(x: &Tensor) -> Tensor {
    let a = x.abs();
    let right = erfcx(&a).mul(a.square().neg().exp());
    let far = x.lt(0).where_(right.neg().add(2), right);
    a.lt(0.5).where_(x.erf().neg().add(1), far)
}

/// The x from 0 whose error function is `y`, given `rest = 1 - y` exactly.
#[track_caller]
fn inverse(y: &Tensor, rest: &Tensor) -> Tensor {
    // A first guess by Winitzki's formula, good to a few thousandths.
    let a = 0.147;
    let log = rest.mul(y.add(1)).log();
    let half = log.mul(0.5).add(2.0 / (PI * a));
    let mut x = half
        .square()
        .sub(log.div(a))
        .sqrt()
        .sub(half)
        .maximum(0)
        .sqrt();
    // Halley's method triples the digits in every round.
    for _ in 0..3 {
        let near = x.erf().sub(y);
        let far = rest.sub(erfc(&x));
        let error = y.lt(0.5).where_(near, far);
        let step = error.div(x.square().neg().exp().mul(2.0 / PI.sqrt()));
        x = x.sub(step.div(x.mul(&step).add(1)));
    }
    x
}
