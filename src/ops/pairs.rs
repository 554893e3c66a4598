//! More functions of two and three elements, made of the primitive ones.

use super::composite::{attempt, bad_dtype, common, common_floating, tensor_of};
use super::histogram::COUNTED;
use crate::error::Result;
use crate::tensor::{Applied, Argument, Derivative, Number, Tensor, composite, primitive, promote};
use lazulite_ir::{DType, Op};
use std::f64::consts::{FRAC_PI_2, LN_2, PI};

impl Tensor {
    /// The angle of the point (`other`, self): the arc tangent of the quotient in the right quadrant.
    #[track_caller]
    pub fn atan2(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (y, x) = common_floating(self.into(), other.into())?;
            let (y, x) = (y.broadcast_with(&x), x.broadcast_with(&y));
            let slope = Derivative::Both(pull_atan2, push_atan2);
            Ok(composite("atan2", &[], slope, &[&y, &x], || {
                let (a, b) = (y.abs(), x.abs());
                let (low, high) = (a.minimum(&b), a.maximum(&b));
                let quotient = low.div(&high);
                // Both zero, or both infinite.
                let quotient = high.eq(0).where_(0, quotient);
                let quotient = low.eq(f64::INFINITY).where_(1, quotient);
                let angle = quotient.atan();
                let angle = a.gt(&b).where_(angle.neg().add(FRAC_PI_2), angle);
                let angle = x.signbit().where_(angle.neg().add(PI), angle);
                angle.copysign(&y)
            }))
        })
    }

    /// `sqrt(x^2 + y^2)` without overflow.
    #[track_caller]
    pub fn hypot(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common_floating(self.into(), other.into())?;
            let (x, y) = (x.broadcast_with(&y), y.broadcast_with(&x));
            let slope = Derivative::Both(pull_hypot, push_hypot);
            Ok(composite("hypot", &[], slope, &[&x, &y], || {
                let (a, b) = (x.abs(), y.abs());
                let (low, high) = (a.minimum(&b), a.maximum(&b));
                let length = high.mul(low.div(&high).square().add(1).sqrt());
                // An infinite side makes the length infinite, whatever the other is.
                let infinite = a.eq(f64::INFINITY).bitwise_or(b.eq(f64::INFINITY));
                let length = high.eq(0).where_(high, length);
                infinite.where_(f64::INFINITY, length)
            }))
        })
    }

    /// The magnitude of this with the sign of `other`.
    #[track_caller]
    pub fn copysign(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common_floating(self.into(), other.into())?;
            let a = x.abs();
            Ok(y.signbit().where_(a.neg(), a))
        })
    }

    /// The next floating-point number in the direction of `other`.
    #[track_caller]
    pub fn nextafter(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common(self.into(), other.into())?;
            let (x, y) = (x.broadcast_with(&y), y.broadcast_with(&x));
            let (dtype, bits) = (x.dtype()?, x.bits("nextafter")?);
            let moves = Derivative::Both(pull_nextafter, push_nextafter);
            Ok(composite("nextafter", &[], moves, &[&x, &y], || {
                // Away from zero the bits count upwards.
                let outwards = y.gt(&x).bitwise_xor(x.lt(0));
                let next = outwards.where_(bits.add(1), bits.sub(1)).bitcast(dtype);
                let smallest = bits.ones_like().bitcast(dtype).copysign(&y);
                let next = x.eq(0).where_(smallest, next);
                let next = x.eq(&y).where_(&y, next);
                x.isnan().bitwise_or(y.isnan()).where_(f64::NAN, next)
            }))
        })
    }

    /// This times 2 to the power of `other`.
    #[track_caller]
    pub fn ldexp(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let power = super::arithmetic::pow(2.0.into(), other.into());
            Ok(self.mul(power))
        })
    }

    /// The logarithm of the sum of the exponentials, without overflow.
    #[track_caller]
    pub fn logaddexp(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common_floating(self.into(), other.into())?;
            let x_first = x.real().ge(y.real());
            let (high, low) = (x_first.where_(&x, &y), x_first.where_(&y, &x));
            // Equal infinities have no difference.
            let same = x.eq(&y).bitwise_and(x.isinf());
            let gap = same.where_(0, low.sub(&high));
            let sum = gap.exp().log1p().add(&high);
            let sum = same.where_(&x, sum);
            match x.is_complex() {
                true => Ok(sum),
                false => Ok(x.isnan().bitwise_or(y.isnan()).where_(x.add(y), sum)),
            }
        })
    }

    /// As [`Tensor::logaddexp`] with base 2.
    #[track_caller]
    pub fn logaddexp2(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common_floating(self.into(), other.into())?;
            let same = x.eq(&y).bitwise_and(x.isinf());
            let x_first = x.ge(&y);
            let (high, low) = (x_first.where_(&x, &y), x_first.where_(&y, &x));
            let gap = same.where_(0, low.sub(&high));
            let sum = gap.exp2().log1p().mul(1.0 / LN_2).add(high);
            let sum = same.where_(&x, sum);
            Ok(x.isnan().bitwise_or(y.isnan()).where_(x.add(y), sum))
        })
    }

    /// `x log(y)`, which is 0 where x is 0 (unless y is NaN).
    #[track_caller]
    pub fn xlogy(&self, other: impl Into<Argument>) -> Tensor {
        x_times(self.into(), other.into(), Tensor::log)
    }

    /// `x log(1 + y)`, which is 0 where x is 0 (unless y is NaN).
    #[track_caller]
    pub fn xlog1py(&self, other: impl Into<Argument>) -> Tensor {
        x_times(self.into(), other.into(), Tensor::log1p)
    }

    /// 0 where negative, 1 where positive, `values` where zero.
    #[track_caller]
    pub fn heaviside(&self, values: &Tensor) -> Tensor {
        attempt(|| {
            let dtype = self.dtype()?;
            if dtype != values.dtype()? {
                return Err(bad_dtype("heaviside", values).operand(self.note("self")));
            }
            Ok(self.eq(0).where_(values, self.gt(0).cast(dtype)))
        })
    }

    /// The greatest common divisor of integers, not negative.
    #[track_caller]
    pub fn gcd(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common(self.into(), other.into())?;
            let dtype = x.dtype()?;
            if !dtype.is_int() {
                return Err(bad_dtype("gcd", &x));
            }
            let (mut a, mut b) = (
                x.abs_int().broadcast_with(&y),
                y.abs_int().broadcast_with(&x),
            );
            // Euclid's algorithm takes most steps for Fibonacci numbers: 1.45 per bit.
            for _ in 0..(dtype.size() * 8 * 3).div_ceil(2) {
                let done = b.eq(0);
                let rest = a.fmod(done.where_(b.ones_like(), &b));
                (a, b) = (done.where_(&a, &b), done.where_(&b, rest));
            }
            Ok(a)
        })
    }

    /// The least common multiple of integers, not negative; 0 if either is 0.
    #[track_caller]
    pub fn lcm(&self, other: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let (x, y) = common(self.into(), other.into())?;
            let divisor = x.gcd(&y);
            let divisor = divisor.eq(0).where_(divisor.ones_like(), divisor);
            Ok(x.floor_divide(divisor).mul(y).abs_int())
        })
    }

    /// The absolute value of integers; unsigned ones stay as they are.
    #[track_caller]
    fn abs_int(&self) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_unsigned_int() => self.clone(),
            _ => self.abs(),
        }
    }

    /// The larger element; a NaN loses.
    #[track_caller]
    pub fn fmax(&self, other: impl Into<Argument>) -> Tensor {
        ignoring_nan(self.into(), other.into(), |x, y| x.maximum(y))
    }

    /// The smaller element; a NaN loses.
    #[track_caller]
    pub fn fmin(&self, other: impl Into<Argument>) -> Tensor {
        ignoring_nan(self.into(), other.into(), |x, y| x.minimum(y))
    }

    /// From this to `end`, `weight` of the way.
    #[track_caller]
    pub fn lerp(&self, end: &Tensor, weight: impl Into<Argument>) -> Tensor {
        attempt(|| {
            let dtype = self.dtype()?;
            if dtype != end.dtype()? || self.is_integral() {
                return Err(bad_dtype("lerp", end).operand(self.note("self")));
            }
            let weight = tensor_of(weight.into(), dtype);
            let way = end.sub(self);
            // From the nearer end, so that both ends come out exactly.
            let near_start = weight.abs().lt(0.5);
            let from_end = end.sub(way.mul(weight.neg().add(1)));
            Ok(near_start.where_(self.add(way.mul(weight)), from_end))
        })
    }

    /// This plus `a * b`.
    #[track_caller]
    pub fn addcmul(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.addcmul_with(a, b, 1)
    }

    /// This plus `value * a * b`.
    #[track_caller]
    pub fn addcmul_with(&self, a: &Tensor, b: &Tensor, value: impl Into<Number>) -> Tensor {
        self.add(a.mul(b).mul(value.into()))
    }

    /// This plus `a / b`.
    #[track_caller]
    pub fn addcdiv(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.addcdiv_with(a, b, 1)
    }

    /// This plus `value * a / b`.
    #[track_caller]
    pub fn addcdiv_with(&self, a: &Tensor, b: &Tensor, value: impl Into<Number>) -> Tensor {
        attempt(|| {
            if a.is_integral() && b.is_integral() {
                return Err(bad_dtype("addcdiv", a));
            }
            Ok(self.add(a.mul(value.into()).div(b)))
        })
    }

    /// Power, computed in f64 (complex128 for complex numbers).
    #[track_caller]
    pub fn float_power(&self, exponent: impl Into<Argument>) -> Tensor {
        float_power(self.into(), exponent.into())
    }

    /// True where `|a - b| <= 1e-8 + 1e-5 |b|`; infinities of one sign are close.
    #[track_caller]
    pub fn isclose(&self, other: &Tensor) -> Tensor {
        self.isclose_with(other, 1e-5, 1e-8, false)
    }

    /// True where `|a - b| <= atol + rtol * |b|`; infinities of one sign are close, NaNs only with `equal_nan`.
    #[track_caller]
    pub fn isclose_with(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Tensor {
        attempt(|| {
            if rtol < 0.0 || atol < 0.0 {
                let message = format!("tolerances {rtol} and {atol} must not be negative");
                return Err(super::composite::bad_argument("isclose", message));
            }
            if self.dtype()? != other.dtype()? {
                return Err(bad_dtype("isclose", other).operand(self.note("self")));
            }
            let mut close = self.eq(other);
            if equal_nan {
                close = close.bitwise_or(self.isnan().bitwise_and(other.isnan()));
            }
            if rtol == 0.0 && atol == 0.0 {
                return Ok(close);
            }
            let (x, y) = (self.to_floating(), other.to_floating());
            let allowed = y.abs().mul(rtol).add(atol);
            let distance = x.sub(y).abs();
            let near = distance.le(allowed).bitwise_and(distance.isfinite());
            Ok(close.bitwise_or(near))
        })
    }

    /// True if all elements are close, as [`Tensor::isclose`] says. Computes both now.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([1.0f32, 2.0]);
    /// assert!(x.allclose(&(&x + 1e-6))?);
    /// assert!(!x.allclose(&(&x + 1e-2))?);
    /// assert!(x.allclose_with(&(&x + 1e-2), 0.0, 0.1, false)?);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn allclose(&self, other: &Tensor) -> Result<bool> {
        self.allclose_with(other, 1e-5, 1e-8, false)
    }

    /// As [`Tensor::allclose`], with tolerances, and where NaNs may be close to each other.
    #[track_caller]
    pub fn allclose_with(
        &self,
        other: &Tensor,
        rtol: f64,
        atol: f64,
        equal_nan: bool,
    ) -> Result<bool> {
        self.isclose_with(other, rtol, atol, equal_nan)
            .all(..)
            .item::<bool>()
    }

    /// True if sizes and all elements are equal. Computes both now.
    #[track_caller]
    pub fn equal(&self, other: &Tensor) -> Result<bool> {
        if self.known_dims()? != other.known_dims()? {
            return Ok(false);
        }
        self.eq(other).all(..).item::<bool>()
    }

    /// True for the elements that occur in `others` (with `invert`: that do not).
    #[track_caller]
    pub fn isin(&self, others: &Tensor, invert: bool) -> Tensor {
        attempt(|| {
            let (x, others) = common(self.into(), others.into())?;
            let others = others.ravel();
            let count = others.known_size(0).unwrap_or(0);
            let found = match count > COUNTED && !x.is_complex() && x.dtype()? != DType::Bool {
                true => {
                    let sorted = others.sort(0).0;
                    let place = sorted.bisect(&x, false)?.minimum(count as i64 - 1);
                    let gather = Op::Gather { axes: vec![0] };
                    primitive("isin", gather, &[&sorted, &place]).eq(x)
                }
                false => x.unsqueeze(-1).eq(others).any(-1),
            };
            Ok(match invert {
                true => found.logical_not(),
                false => found,
            })
        })
    }
}

#[track_caller]
fn x_times(x: Argument, y: Argument, log: fn(&Tensor) -> Tensor) -> Tensor {
    attempt(|| {
        let (x, y) = common_floating(x, y)?;
        let logarithm = log(&y);
        // Where the logarithm is finite, the product is 0 by itself and has a slope.
        let zero = x.eq(0).bitwise_and(y.isnan().logical_not());
        let zero = zero.bitwise_and(logarithm.isfinite().logical_not());
        Ok(zero.where_(0, x.mul(log(&zero.where_(1, y)))))
    })
}

#[track_caller]
fn ignoring_nan(x: Argument, y: Argument, choose: fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    attempt(|| {
        let (x, y) = common(x, y)?;
        let chosen = choose(&x, &y);
        if !x.is_float() {
            return Ok(chosen);
        }
        Ok(x.isnan().where_(&y, y.isnan().where_(&x, chosen)))
    })
}

/// Power of any two arguments in double precision.
#[track_caller]
pub(crate) fn float_power(base: Argument, exponent: Argument) -> Tensor {
    attempt(|| {
        let dtype = match promote(&[&base, &exponent])? {
            dtype if dtype.is_complex() => DType::C128,
            _ => DType::F64,
        };
        Ok(tensor_of(base, dtype).pow(tensor_of(exponent, dtype)))
    })
}

fn pull_hypot(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let slope = |x: &Tensor| at.flow[0].mul(x.div(&at.results[0]));
    Ok(at.operands.iter().map(slope).collect())
}

fn push_hypot(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let moved = |i: usize| at.flow[i].mul(at.operands[i].div(&at.results[0]));
    Ok(vec![moved(0).add(moved(1))])
}

/// How the angle of (x, y) moves with y and x.
fn slopes_of_atan2(y: &Tensor, x: &Tensor) -> (Tensor, Tensor) {
    let recip = y.square().add(x.square()).reciprocal();
    (x.mul(&recip), y.neg().mul(recip))
}

fn pull_atan2(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (with_y, with_x) = slopes_of_atan2(&at.operands[0], &at.operands[1]);
    Ok(vec![at.flow[0].mul(with_y), at.flow[0].mul(with_x)])
}

fn push_atan2(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (with_y, with_x) = slopes_of_atan2(&at.operands[0], &at.operands[1]);
    Ok(vec![at.flow[0].mul(with_y).add(at.flow[1].mul(with_x))])
}

/// The distance to the neighbour is a constant: where there is one to go to, the result moves with the
/// start, else with the goal.
fn pull_nextafter(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (arrived, g) = (at.operands[0].eq(&at.operands[1]), &at.flow[0]);
    Ok(vec![arrived.where_(0, g), arrived.where_(g, 0)])
}

fn push_nextafter(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let arrived = at.operands[0].eq(&at.operands[1]);
    Ok(vec![arrived.where_(&at.flow[1], &at.flow[0])])
}
