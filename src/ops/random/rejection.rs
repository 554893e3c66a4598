//! Numbers drawn by rejection: many candidates for every element along a new first axis, of which the
//! first accepted one is taken.
//!
//! A loop until all are accepted would need a data-dependent number of turns, each over all
//! elements; the candidates of one kernel cost no more, and keep draws free of control flow. How
//! many there are is chosen by the lowest rate of acceptance, so that elements without an accepted
//! one (which take their first candidate) do not occur: their probability is below 1e-10.

use super::base::{normal_numbers, open_unit_numbers, unit_numbers};
use crate::error::Result;
use crate::tensor::{Dim, Tensor};
use lazulite_ir::DType;
use std::f64::consts::PI;

/// Sizes with room for `count` candidates in front.
pub(super) fn with_candidates(count: usize, sizes: &[Dim]) -> Vec<Dim> {
    [Dim::from(count)]
        .into_iter()
        .chain(sizes.iter().cloned())
        .collect()
}

/// The first accepted candidate along the first axis.
#[track_caller]
pub(super) fn first_accepted(candidates: &Tensor, accepted: &Tensor) -> Tensor {
    let chosen = accepted.cast(DType::U8).argmax(0).unsqueeze(0);
    candidates.gather(0, &chosen).squeeze(0)
}

/// Logarithms of gamma numbers with these shape parameters (f64, not negative) and scale 1.
///
/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000), for parameters from 1;
/// below, a number for the parameter plus 1 is multiplied by a power of a uniform one. The logarithm
/// is what stays exact for small parameters, whose numbers are below all floats.
#[track_caller]
pub(crate) fn log_gamma_numbers(shape: &Tensor) -> Result<Tensor> {
    /// At least 95 of 100 are accepted.
    const CANDIDATES: usize = 8;
    let sizes = shape.sizes()?;
    let all = with_candidates(CANDIDATES, &sizes);
    let small = shape.lt(1);
    let d = small.where_(shape.add(1), shape).sub(1.0 / 3.0);
    let x = normal_numbers(&all, DType::F64);
    let root = x.div(d.mul(9).sqrt()).add(1);
    let positive = root.gt(0);
    let log_v = positive.where_(&root, 1).log().mul(3);
    let v = log_v.exp();
    let bound = x.square().mul(0.5).add(d.mul(v.neg().add(1).add(&log_v)));
    let log_u = open_unit_numbers(&all, DType::F64).log();
    let accepted = positive.bitwise_and(log_u.lt(bound));
    let number = first_accepted(&log_v.add(d.log()), &accepted);
    let power = open_unit_numbers(&sizes, DType::F64).log().div(shape);
    Ok(number.add(small.where_(power, 0)))
}

/// Angles from -pi to pi around 0 with these concentrations (f64, positive).
///
/// Best and Fisher, "Efficient simulation of the von Mises distribution" (1979).
#[track_caller]
pub(crate) fn von_mises_numbers(concentration: &Tensor) -> Result<Tensor> {
    /// At least 65 of 100 are accepted.
    const CANDIDATES: usize = 24;
    let sizes = concentration.sizes()?;
    let all = with_candidates(CANDIDATES, &sizes);
    let tau = concentration.square().mul(4).add(1).sqrt().add(1);
    let rho = tau.sub(tau.mul(2).sqrt()).div(concentration.mul(2));
    let proper = rho.square().add(1).div(rho.mul(2));
    // For small concentrations the formula cancels; the first terms of its series are what is left.
    let series = concentration.reciprocal().add(concentration);
    let r = concentration.lt(1e-5).where_(series, proper);
    let z = unit_numbers(&all, DType::F64).mul(PI).cos();
    let f = z.mul(&r).add(1).div(z.add(&r));
    let c = r.sub(&f).mul(concentration);
    let u = open_unit_numbers(&all, DType::F64);
    let quick = c.mul(c.neg().add(2)).gt(&u);
    let exact = c.div(&u).log().add(1).ge(&c);
    let cosine = first_accepted(&f, &quick.bitwise_or(exact)).clamp(-1, 1);
    let side = unit_numbers(&sizes, DType::F64).lt(0.5).where_(-1.0, 1.0);
    Ok(cosine.acos().mul(side))
}
