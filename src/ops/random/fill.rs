//! Normal numbers with given moments, the in-place names that fill a tensor with random numbers, and
//! random relaxations.

use super::base::{check_floating, normal_numbers, open_unit_numbers, unit_numbers, wide};
use crate::error::Result;
use crate::location::Scope;
use crate::ops::composite::{attempt, bad_argument, common_floating};
use crate::tensor::{Argument, Dim, Tensor};
use lazulite_ir::DType;

impl Tensor {
    /// Normal numbers with these means and standard deviations, which broadcast; where a deviation is 0
    /// the mean itself. No gradients flow through draws; `distributions` has those that they flow through.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let mean = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
    /// assert_eq!(Tensor::normal(&mean, 0.0).to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn normal(mean: impl Into<Argument>, std: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (mean, std) = common_floating(mean.into(), std.into())?;
            let dtype = mean.dtype()?;
            let (mean, std) = (mean.detach(), std.detach());
            let std = std.require(&std.ge(0), "standard deviations are not negative");
            let sizes = mean.broadcast_with(&std).sizes()?;
            Ok(normal_numbers(&sizes, dtype).mul(std).add(mean))
        })
    }

    /// Fills with 1 where a draw succeeds that has the given probability (a number or a tensor that
    /// broadcasts), else with 0.
    #[track_caller]
    pub fn bernoulli_(&mut self, probability: impl Into<Argument>) -> &mut Tensor {
        let probability = probability.into();
        self.fill_with("bernoulli_", |own, dtype| {
            let p = match probability {
                Argument::Tensor(p) => p.cast(wide(dtype)),
                Argument::Number(n) => own.zeros_like().cast(wide(dtype)).add(n),
            };
            Ok(own.zeros_like().cast(wide(dtype)).add(p).bernoulli())
        })
    }

    /// Fills with uniform numbers from `low` up to but not including `high`.
    #[track_caller]
    pub fn uniform_(&mut self, low: f64, high: f64) -> &mut Tensor {
        self.fill_with("uniform_", |own, dtype| {
            if low.is_nan() || high.is_nan() || low > high {
                let message = format!("there are no numbers from {low} up to {high}");
                return Err(bad_argument("uniform_", message));
            }
            let number = unit_numbers(&own.sizes()?, dtype).mul(high - low).add(low);
            // The last place may round up to the upper end.
            let reached = number.ge(own.full_like(high));
            Ok(reached.where_(own.full_like(low), number))
        })
    }

    /// Fills with normal numbers.
    #[track_caller]
    pub fn normal_(&mut self, mean: f64, std: f64) -> &mut Tensor {
        self.fill_with("normal_", |own, dtype| {
            check("normal_", "standard deviation", std, std >= 0.0)?;
            Ok(normal_numbers(&own.sizes()?, dtype).mul(std).add(mean))
        })
    }

    /// Fills with numbers whose logarithms are normal with these moments.
    #[track_caller]
    pub fn log_normal_(&mut self, mean: f64, std: f64) -> &mut Tensor {
        self.fill_with("log_normal_", |own, dtype| {
            check("log_normal_", "standard deviation", std, std > 0.0)?;
            let wide = wide(dtype);
            Ok(normal_numbers(&own.sizes()?, wide).mul(std).add(mean).exp())
        })
    }

    /// Fills with exponential numbers of this rate; none is 0.
    #[track_caller]
    pub fn exponential_(&mut self, rate: f64) -> &mut Tensor {
        self.fill_with("exponential_", |own, dtype| {
            check("exponential_", "rate", rate, rate > 0.0)?;
            Ok(exponential_numbers(&own.sizes()?, wide(dtype)).div(rate))
        })
    }

    /// Fills with Cauchy numbers around `median`, half of them within `sigma` of it.
    #[track_caller]
    pub fn cauchy_(&mut self, median: f64, sigma: f64) -> &mut Tensor {
        self.fill_with("cauchy_", |own, dtype| {
            check("cauchy_", "width", sigma, sigma > 0.0)?;
            Ok(cauchy_numbers(&own.sizes()?, wide(dtype))
                .mul(sigma)
                .add(median))
        })
    }

    /// Fills with numbers of trials up to and including the first success, each succeeding with
    /// probability `p`.
    #[track_caller]
    pub fn geometric_(&mut self, p: f64) -> &mut Tensor {
        let drawn = attempt(|| {
            check("geometric_", "probability", p, p > 0.0 && p < 1.0)?;
            let wide = wide(self.dtype()?);
            let p = self.zeros_like().cast(wide).add(p);
            Ok(p.geometric_numbers()?.cast(self.dtype()?))
        });
        self.rebind("geometric_", drawn)
    }

    /// Fills with integers from `low` up to but not including `high`.
    #[track_caller]
    pub fn random_(&mut self, low: i64, high: i64) -> &mut Tensor {
        let drawn = self.randint_like(low, high);
        self.rebind("random_", drawn)
    }

    /// Fills with normal numbers that are between `low` and `high`.
    #[track_caller]
    pub fn trunc_normal_(&mut self, mean: f64, std: f64, low: f64, high: f64) -> &mut Tensor {
        self.fill_with("trunc_normal_", |own, _| {
            check("trunc_normal_", "standard deviation", std, std > 0.0)?;
            if low.is_nan() || high.is_nan() || low >= high {
                let message = format!("there are no numbers from {low} to {high}");
                return Err(bad_argument("trunc_normal_", message));
            }
            // By the inverse of the distribution function, on the side of the mean where that is exact.
            let (a, b) = ((low - mean) / std, (high - mean) / std);
            let mirrored = a > 0.0;
            let (a, b) = if mirrored { (-b, -a) } else { (a, b) };
            let share = |x: f64| Tensor::full_of((), x, DType::F64).ndtr();
            let (from, to) = (share(a), share(b));
            let u = open_unit_numbers(&own.sizes()?, DType::F64);
            let z = u.mul(to.sub(&from)).add(from).ndtri().clamp(a, b);
            let z = if mirrored { z.neg() } else { z };
            Ok(z.mul(std).add(mean).clamp(low, high))
        })
    }

    /// A sample of categories along `axis` with these logarithms of probabilities, softened so that
    /// gradients exist: near one-hot for small `temperature`. With `hard` it is one-hot, with the
    /// gradient of the soft one.
    #[track_caller]
    pub fn gumbel_softmax(&self, temperature: f64, hard: bool, axis: i64) -> Tensor {
        attempt(|| {
            let dtype = check_floating("gumbel_softmax", self)?;
            check(
                "gumbel_softmax",
                "temperature",
                temperature,
                temperature > 0.0,
            )?;
            let noise = exponential_numbers(&self.sizes()?, wide(dtype)).log().neg();
            let soft = self.add(noise.cast(dtype)).div(temperature).softmax(axis);
            if !hard {
                return Ok(soft);
            }
            let chosen = soft.argmax(axis).unsqueeze(axis);
            let one = Tensor::full_of((), 1, dtype);
            let hard = soft
                .zeros_like()
                .scatter(axis, &chosen, &one.broadcast_with(&chosen));
            Ok(hard.sub(soft.detach()).add(soft))
        })
    }

    /// Rebinds to random numbers made for this tensor, which must be of floats.
    #[track_caller]
    fn fill_with(
        &mut self,
        op: &'static str,
        draw: impl FnOnce(&Tensor, DType) -> Result<Tensor>,
    ) -> &mut Tensor {
        let _pinned = Scope::pin();
        let drawn = attempt(|| {
            let dtype = check_floating(op, self)?;
            let drawn = draw(self, dtype)?.cast(dtype);
            let (own, place) = (self.places()?, drawn.places()?);
            Ok(match own.is_none() || own == place {
                true => drawn,
                false if place.is_none() => drawn.pinned_to(own),
                false => drawn.to(self.device()?),
            })
        });
        self.rebind(op, drawn)
    }
}

/// Exponential numbers of rate 1, f32 or f64.
#[track_caller]
pub(crate) fn exponential_numbers(sizes: &[Dim], dtype: DType) -> Tensor {
    open_unit_numbers(sizes, dtype).log().neg()
}

/// Standard Cauchy numbers, f32 or f64.
#[track_caller]
pub(crate) fn cauchy_numbers(sizes: &[Dim], dtype: DType) -> Tensor {
    let u = open_unit_numbers(sizes, dtype).sub(0.5);
    u.mul(std::f64::consts::PI).tan()
}

fn check(op: &'static str, name: &str, value: f64, holds: bool) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(bad_argument(
            op,
            format!("{value} is no {name} that can be"),
        )),
    }
}
