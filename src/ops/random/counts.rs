//! Random choices and counts: Bernoulli, binomial, Poisson and geometric numbers, categories. No
//! gradients flow through them.

use super::base::{check_floating, open_unit_numbers, unit_numbers, wide};
use super::rejection::{first_accepted, with_candidates};
use crate::error::Result;
use crate::ops::composite::{attempt, bad_shape, common_floating};
use crate::tensor::{Argument, Dim, Tensor};
use lazulite_ir::DType;

impl Tensor {
    /// 1 with the probability that this tensor holds, else 0.
    #[track_caller]
    pub fn bernoulli(&self) -> Tensor {
        attempt(|| {
            let dtype = check_floating("bernoulli", self)?;
            let p = self.detach().cast(wide(dtype)).probabilities();
            let drawn = unit_numbers(&p.sizes()?, wide(dtype)).lt(p);
            Ok(drawn.cast(dtype))
        })
    }

    /// This tensor, whose use is a fault where it is no probability.
    #[track_caller]
    pub(crate) fn probabilities(&self) -> Tensor {
        let inside = self.ge(0).bitwise_and(self.le(1));
        self.require(&inside, "probabilities are between 0 and 1")
    }

    /// How often each category along the last axis is drawn: `count` numbers of categories per row, i64,
    /// with the weights of this tensor (one row, or several). Without `replacement` no category is
    /// drawn twice, and there must be enough of positive weight.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let weights = Tensor::from_vec(vec![0.0f32, 3.0, 1.0], [3]);
    /// let mut drawn = weights.multinomial(2, false).to_vec::<i64>()?;
    /// drawn.sort();
    /// assert_eq!(drawn, [1, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn multinomial(&self, count: usize, replacement: bool) -> Tensor {
        attempt(|| {
            check_floating("multinomial", self)?;
            let rank = self.rank()?;
            let categories = self.dim(-1);
            let known = categories
                .0
                .as_ref()
                .ok()
                .and_then(lazulite_ir::Dim::as_const);
            let too_many = known.is_some_and(|n| !replacement && n < count as i64);
            if !matches!(rank, 1 | 2) || count == 0 || known == Some(0) || too_many {
                let message = format!("{count} draws from the last of {rank} axes of {categories}");
                let error = bad_shape("multinomial", message).operand(self.note("weights"));
                return Err(error.hint("weights are one row or a matrix of rows"));
            }
            let weights = self.detach().cast(DType::F64);
            let valid = weights.ge(0).bitwise_and(weights.isfinite());
            let rule = "weights are finite and not negative";
            let weights = weights.require_for("multinomial", self, &valid, rule);
            Ok(match replacement {
                true => with_replacement(self, &weights, count)?,
                false => without_replacement(self, &weights, count)?,
            })
        })
    }

    /// Poisson numbers with this tensor's rates, in its type.
    #[track_caller]
    pub fn poisson(&self) -> Tensor {
        attempt(|| {
            let dtype = check_floating("poisson", self)?;
            let rate = self.detach().cast(DType::F64);
            let rate = rate.require(&rate.ge(0), "Poisson rates are not negative");
            let few = few(&poisson_weights(&rate)?, &rate.sizes()?)?;
            let many = many_events(&rate.maximum(FEW))?;
            Ok(rate.lt(FEW).where_(few, many).cast(dtype))
        })
    }

    /// How many of as many trials as this tensor says succeed, each with probability `probability`.
    #[track_caller]
    pub fn binomial(&self, probability: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (count, p) = common_floating(self.into(), probability.into())?;
            let dtype = check_floating("binomial", &count)?;
            let p = p.detach().cast(DType::F64).probabilities();
            let count = count.detach().cast(DType::F64);
            let valid = count.ge(0).bitwise_and(count.eq(count.floor()));
            let count = count.require(&valid, "numbers of trials are whole and not negative");
            // Successes are counted with the rarer outcome.
            let flip = p.gt(0.5);
            let p = flip.where_(p.neg().add(1), &p);
            let count = count.broadcast_with(&p);
            let mean = count.mul(&p);
            let few = few(&binomial_weights(&count, &p)?, &mean.sizes()?)?;
            let likely = mean.ge(FEW);
            let many = many_successes(
                &likely.where_(&count, 2.0 * FEW),
                &likely.where_(p.broadcast_with(&count), 0.5),
            )?;
            let drawn = likely.where_(many, few.minimum(&count));
            Ok(flip.where_(count.sub(&drawn), drawn).cast(dtype))
        })
    }

    /// Numbers of trials up to and including the first success, for these probabilities of success.
    #[track_caller]
    pub(crate) fn geometric_numbers(&self) -> Result<Tensor> {
        let inside = self.gt(0).bitwise_and(self.lt(1));
        let p = self.require(&inside, "probabilities are above 0 and below 1");
        let u = open_unit_numbers(&p.sizes()?, self.dtype()?);
        Ok(u.log().div(p.neg().log1p()).ceil().maximum(1))
    }
}

/// Means below which counts are drawn by running through the distribution.
const FEW: f64 = 10.0;
/// The counts that are run through: above them is less than 1e-17 of any distribution of mean [`FEW`].
const COUNTS: i64 = 64;

/// The counts up to [`COUNTS`] along a first axis, before tensors of this rank.
#[track_caller]
fn counts(rank: usize) -> Tensor {
    Tensor::arange_of(0, COUNTS, 1, DType::F64).along(0, rank + 1)
}

/// Counts drawn by inversion from their probabilities along a first axis.
#[track_caller]
fn few(weights: &Tensor, sizes: &[Dim]) -> Result<Tensor> {
    let below = weights.cumsum(0).le(unit_numbers(sizes, DType::F64));
    Ok(below.sum(0).cast(DType::F64))
}

#[track_caller]
fn poisson_weights(rate: &Tensor) -> Result<Tensor> {
    let k = counts(rate.rank()?);
    Ok(k.xlogy(rate).sub(rate).sub(k.add(1).lgamma()).exp())
}

#[track_caller]
fn binomial_weights(count: &Tensor, p: &Tensor) -> Result<Tensor> {
    let k = counts(count.rank()?);
    let rest = count.sub(&k);
    let possible = rest.ge(0);
    let rest = rest.maximum(0);
    let ways = count
        .add(1)
        .lgamma()
        .sub(k.add(1).lgamma())
        .sub(rest.add(1).lgamma());
    let log = ways.add(k.xlogy(p)).add(rest.xlog1py(p.neg()));
    Ok(possible.where_(log.exp(), 0))
}

/// Candidates of transformed rejection, of which at least 78 of 100 are accepted.
const CANDIDATES: usize = 16;

/// Uniform pairs for transformed rejection: one around 0, its distance from the ends, and another one.
#[track_caller]
fn pairs(sizes: &[Dim]) -> [Tensor; 3] {
    let all = with_candidates(CANDIDATES, sizes);
    let u = open_unit_numbers(&all, DType::F64).sub(0.5);
    let us = u.abs().neg().add(0.5);
    [u, us, open_unit_numbers(&all, DType::F64)]
}

/// Poisson numbers for rates from 10: Hörmann, "The transformed rejection method for generating
/// Poisson random variables" (1993), algorithm PTRS.
#[track_caller]
fn many_events(rate: &Tensor) -> Result<Tensor> {
    let [u, us, v] = pairs(&rate.sizes()?);
    let b = rate.sqrt().mul(2.53).add(0.931);
    let a = b.mul(0.02483).sub(0.059);
    let inverse = b.sub(3.4).reciprocal().mul(1.1328).add(1.1239);
    let inner = b.sub(2).reciprocal().mul(-3.6224).add(0.9277);
    let k = a
        .mul(2)
        .div(&us)
        .add(&b)
        .mul(&u)
        .add(rate)
        .add(0.43)
        .floor();
    let quick = us.ge(0.07).bitwise_and(v.le(inner));
    let outside = k.lt(0).bitwise_or(us.lt(0.013).bitwise_and(v.gt(&us)));
    let height = v.mul(inverse).div(a.div(us.square()).add(&b)).log();
    let k0 = k.maximum(0);
    let density = k0.mul(rate.log()).sub(rate).sub(k0.add(1).lgamma());
    let exact = height.le(density).bitwise_and(outside.logical_not());
    Ok(first_accepted(&k0, &quick.bitwise_or(exact)))
}

/// Binomial numbers for means from 10 and probabilities up to 1/2: Hörmann, "The generation of binomial
/// random variates" (1993), algorithm BTRS.
#[track_caller]
fn many_successes(count: &Tensor, p: &Tensor) -> Result<Tensor> {
    let [u, us, v] = pairs(&count.sizes()?);
    let odds = p.div(p.neg().add(1)).log();
    let deviation = count.mul(p).mul(p.neg().add(1)).sqrt();
    let b = deviation.mul(2.53).add(1.15);
    let a = b.mul(0.0248).add(p.mul(0.01)).sub(0.0873);
    let inner = b.reciprocal().mul(-4.2).add(0.92);
    let alpha = b.reciprocal().mul(5.1).add(2.83).mul(deviation);
    let mode = count.add(1).mul(p).floor();
    let centre = count.mul(p).add(0.5);
    let k = a.mul(2).div(&us).add(&b).mul(&u).add(centre).floor();
    let inside = k.ge(0).bitwise_and(k.le(count));
    let quick = us.ge(0.07).bitwise_and(v.le(inner));
    let k = k.maximum(0).minimum(count);
    let height = v.mul(alpha).div(a.div(us.square()).add(&b)).log();
    let ways = |k: &Tensor| k.add(1).lgamma().add(count.sub(k).add(1).lgamma());
    let density = ways(&mode).sub(ways(&k)).add(k.sub(&mode).mul(odds));
    let accepted = quick.bitwise_or(height.le(density)).bitwise_and(inside);
    Ok(first_accepted(&k, &accepted))
}

/// Categories by inversion of the running sums. Errors are about the weights as they were given.
#[track_caller]
fn with_replacement(given: &Tensor, weights: &Tensor, count: usize) -> Result<Tensor> {
    let sums = weights.cumsum(-1);
    let total = sums.narrow(-1, weights.dim(-1) - 1, 1);
    let rule = "a row of weights has a positive sum";
    let total = total.require_for("multinomial", given, &total.gt(0), rule);
    let mut sizes = weights.sizes()?;
    let last = sizes.len() - 1;
    sizes[last] = count.into();
    // Kept from rounding up to the sum itself; sums that a category of weight zero does not change are
    // passed over together.
    let u = unit_numbers(&sizes, DType::F64)
        .mul(1.0 - f64::EPSILON)
        .mul(total);
    Ok(sums.searchsorted(&u, true))
}

/// The largest of weights over exponential numbers, which are as many draws one after the other. Errors are about the
/// weights as they were given.
#[track_caller]
fn without_replacement(given: &Tensor, weights: &Tensor, count: usize) -> Result<Tensor> {
    let numbers = open_unit_numbers(&weights.sizes()?, DType::F64).log().neg();
    let (best, drawn) = weights.div(numbers).topk(count, -1);
    let enough = best.gt(0);
    let rule = "there are as many positive weights as draws";
    Ok(drawn.require_for("multinomial", given, &enough, rule))
}
