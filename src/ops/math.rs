//! More functions of one element, made of the primitive ones: trigonometry, logarithms, signs and
//! bits.

use super::composite::{attempt, attempt_pair, bad_argument, bad_dtype};
use crate::error::{Error, Result};
use crate::location::{Place, Scope};
use crate::tensor::{
    Applied, Argument, Derivative, Number, Tensor, composite, int_range, primitive,
};
use lazulite_ir::{DType, Op};
use std::cmp::Ordering;
use std::f64::consts::{FRAC_PI_2, LN_2, LN_10, PI};

macro_rules! float_composites {
    ($($(#[$doc:meta])* $name:ident($x:ident) $body:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                let $x = &self.to_floating();
                $body
            }
        )*}
    };
}

float_composites! {
    /// Tangent.
    tan(x) x.sin().div(x.cos());
    /// Hyperbolic cosine.
    cosh(x) x.exp().add(x.neg().exp()).mul(0.5);
    /// 2 to the power of each element.
    exp2(x) super::arithmetic::pow(2.into(), x.into());
    /// Logarithm to base 2.
    log2(x) x.log().mul(1.0 / LN_2);
    /// Logarithm to base 10.
    log10(x) x.log().mul(1.0 / LN_10);
    /// Degrees as radians.
    deg2rad(x) x.mul(PI / 180.0);
    /// Radians as degrees.
    rad2deg(x) x.mul(180.0 / PI);
    /// `sin(pi x) / (pi x)`, 1 at 0.
    sinc(x) {
        let zero = x.eq(0);
        let angle = zero.where_(1, x).mul(PI);
        zero.where_(1, angle.sin().div(angle))
    };
}

impl Tensor {
    /// Hyperbolic sine.
    #[track_caller]
    pub fn sinh(&self) -> Tensor {
        let x = self.to_floating();
        let far = x.exp().sub(x.neg().exp()).mul(0.5);
        if x.is_complex() {
            return far;
        }
        let slope = Derivative::Both(slope_of_sinh, slope_of_sinh);
        composite("sinh", &[], slope, &[&x], || {
            // The difference of exponentials cancels near 0.
            let t = x.expm1();
            let near = t.add(t.div(t.add(1))).mul(0.5);
            x.abs().lt(1).where_(near, far)
        })
    }

    /// Arc sine.
    #[track_caller]
    pub fn asin(&self) -> Tensor {
        let x = self.to_floating();
        if x.is_complex() {
            return x.times_i().asinh().times_i().neg();
        }
        let slope = Derivative::Both(slope_of_asin, slope_of_asin);
        composite("asin", &[], slope, &[&x], || {
            x.atan2(x.neg().add(1).mul(x.add(1)).sqrt())
        })
    }

    /// Arc cosine.
    #[track_caller]
    pub fn acos(&self) -> Tensor {
        let x = self.to_floating();
        if x.is_complex() {
            return x.asin().neg().add(FRAC_PI_2);
        }
        let slope = Derivative::Both(slope_of_acos, slope_of_acos);
        composite("acos", &[], slope, &[&x], || {
            x.neg().add(1).mul(x.add(1)).sqrt().atan2(&x)
        })
    }

    /// Inverse hyperbolic sine.
    #[track_caller]
    pub fn asinh(&self) -> Tensor {
        let x = self.to_floating();
        if x.is_complex() {
            // The sum cancels in the left half plane, and the function is odd.
            let left = x
                .real()
                .lt(0)
                .bitwise_or(x.real().eq(0).bitwise_and(x.imag().lt(0)));
            let z = left.where_(x.neg(), &x);
            let value = z.square().add(1).sqrt().add(&z).log();
            return left.where_(value.neg(), value);
        }
        let slope = Derivative::Both(slope_of_asinh, slope_of_asinh);
        composite("asinh", &[], slope, &[&x], || {
            let a = x.abs();
            let square = a.square();
            let near = square.div(square.add(1).sqrt().add(1)).add(&a).log1p();
            let far = a.log().add(LN_2);
            a.lt(1e9).where_(near, far).copysign(&x)
        })
    }

    /// Inverse hyperbolic cosine.
    #[track_caller]
    pub fn acosh(&self) -> Tensor {
        let x = self.to_floating();
        if x.is_complex() {
            let root = x.add(1).sqrt().mul(x.sub(1).sqrt());
            return x.add(root).log();
        }
        let t = x.sub(1);
        let near = t.mul(x.add(1)).sqrt().add(&t).log1p();
        let far = x.log().add(LN_2);
        // Below 1 the formula for what is near is a root of something negative, unless it is cancelled or overflows.
        let near = x.lt(1).where_(f64::NAN, near);
        x.lt(1e9).where_(near, far)
    }

    /// Inverse hyperbolic tangent.
    #[track_caller]
    pub fn atanh(&self) -> Tensor {
        let x = self.to_floating();
        x.log1p().sub(x.neg().log1p()).mul(0.5)
    }

    /// A complex tensor times the imaginary unit.
    #[track_caller]
    fn times_i(&self) -> Tensor {
        Tensor::complex(&self.imag().neg(), &self.real())
    }

    /// Arc tangent.
    #[track_caller]
    pub fn atan(&self) -> Tensor {
        let x = self.to_floating();
        if x.is_complex() {
            return x.times_i().atanh().times_i().neg();
        }
        x.record_unary("atan", lazulite_ir::Unary::Atan)
    }

    /// The angle in the complex plane: of real numbers 0, or pi for negative ones.
    #[track_caller]
    pub fn angle(&self) -> Tensor {
        if self.is_complex() {
            let (re, im) = (self.real(), self.imag());
            // Zero has an angle, which moves with nothing.
            let zero = re.eq(0).bitwise_and(im.eq(0));
            let fixed = im.detach().atan2(re.detach());
            return zero.where_(fixed, im.atan2(zero.where_(1, re)));
        }
        let x = self.to_floating();
        let angle = x.lt(0).where_(x.full_like(PI), x.zeros_like());
        x.isnan().where_(&x, angle)
    }

    /// -1, 0 or 1; of complex numbers the number divided by its magnitude, 0 at 0.
    #[track_caller]
    pub fn sgn(&self) -> Tensor {
        if !self.is_complex() {
            return self.sign();
        }
        let magnitude = self.abs();
        let unit = self.div(&magnitude);
        magnitude.eq(0).where_(self.zeros_like(), unit)
    }

    /// The fractional part, with the sign of the number.
    #[track_caller]
    pub fn frac(&self) -> Tensor {
        self.sub(self.trunc())
    }

    /// The tensor itself; bools have no sign and are an error.
    #[track_caller]
    pub fn positive(&self) -> Tensor {
        match self.dtype() {
            Ok(DType::Bool) => attempt(|| Err(bad_dtype("positive", self))),
            _ => self.clone(),
        }
    }

    /// Rounded to so many places after the point (before it, if negative), ties to even.
    #[track_caller]
    pub fn round_decimals(&self, decimals: i32) -> Tensor {
        if !self.is_float() {
            return self.round();
        }
        let scale = 10f64.powi(decimals.saturating_abs());
        match decimals {
            0 => self.round(),
            1.. => self.mul(scale).round().div(scale),
            _ => self.div(scale).round().mul(scale),
        }
    }

    /// The logarithm of the odds, `log(x / (1 - x))`.
    #[track_caller]
    pub fn logit(&self) -> Tensor {
        self.logit_with(None)
    }

    /// As [`Tensor::logit`], with x kept between `eps` and `1 - eps` first.
    #[track_caller]
    pub fn logit_with(&self, eps: Option<f64>) -> Tensor {
        let x = self.to_floating();
        let x = match eps {
            // The lower bound wins where the bounds cross.
            Some(eps) => x.lt(eps).where_(eps, x.minimum(1.0 - eps)),
            None => x,
        };
        x.div(x.neg().add(1)).log()
    }

    /// Replaces NaN by 0, and infinities by the largest and smallest finite numbers.
    #[track_caller]
    pub fn nan_to_num(&self) -> Tensor {
        self.nan_to_num_with(0.0, None, None)
    }

    /// As [`Tensor::nan_to_num`], with other numbers in the place of NaN and of infinities.
    #[track_caller]
    pub fn nan_to_num_with(&self, nan: f64, posinf: Option<f64>, neginf: Option<f64>) -> Tensor {
        if self.is_complex() {
            let _pinned = Scope::pin();
            let part = |x: Tensor| x.nan_to_num_with(nan, posinf, neginf);
            return Tensor::complex(&part(self.real()), &part(self.imag()));
        }
        let Some(largest) = self.dtype().ok().and_then(largest_finite) else {
            return self.clone();
        };
        let high = self.full_like(posinf.unwrap_or(largest));
        let low = self.full_like(neginf.unwrap_or(-largest));
        let finite = self.eq(f64::INFINITY).where_(high, self);
        let finite = self.eq(f64::NEG_INFINITY).where_(low, finite);
        self.isnan().where_(self.full_like(nan), finite)
    }

    /// True where plus infinity.
    #[track_caller]
    pub fn isposinf(&self) -> Tensor {
        self.is_infinity("isposinf", f64::INFINITY)
    }

    /// True where minus infinity.
    #[track_caller]
    pub fn isneginf(&self) -> Tensor {
        self.is_infinity("isneginf", f64::NEG_INFINITY)
    }

    #[track_caller]
    fn is_infinity(&self, op: &'static str, infinity: f64) -> Tensor {
        match self.dtype() {
            Ok(dtype) if dtype.is_float() => self.eq(infinity),
            Ok(dtype) if dtype.is_complex() => attempt(|| Err(bad_dtype(op, self))),
            _ => self.ne(self),
        }
    }

    /// True where the imaginary part is zero.
    #[track_caller]
    pub fn isreal(&self) -> Tensor {
        match self.is_complex() {
            true => self.imag().eq(0),
            false => Tensor::full_of((), true, DType::Bool).broadcast_with(self),
        }
    }

    /// The same bits as another element type of the same size (neither of them bool or complex).
    #[track_caller]
    pub fn bitcast(&self, dtype: DType) -> Tensor {
        primitive("bitcast", Op::Bitcast { dtype }, &[self])
    }

    /// The bits of a floating-point tensor as signed integers.
    #[track_caller]
    pub(crate) fn bits(&self, op: &'static str) -> Result<Tensor> {
        let dtype = match self.dtype()? {
            DType::F16 | DType::BF16 => DType::I16,
            DType::F32 => DType::I32,
            DType::F64 => DType::I64,
            _ => return Err(bad_dtype(op, self)),
        };
        Ok(self.bitcast(dtype))
    }

    /// True where the sign bit is set, as it is of -0.
    #[track_caller]
    pub fn signbit(&self) -> Tensor {
        attempt(|| match self.dtype()? {
            DType::Bool => Ok(self.ne(self)),
            dtype if dtype.is_int() => Ok(self.lt(0)),
            _ => Ok(self.bits("signbit")?.lt(0)),
        })
    }

    /// Mantissa in [0.5, 1) with the number's sign, and exponent (i32): `x = mantissa * 2^exponent`.
    #[track_caller]
    pub fn frexp(&self) -> (Tensor, Tensor) {
        attempt_pair(|| {
            // Bits of the mantissa, and the exponent field of numbers in [0.5, 1).
            let (mantissa_bits, bias) = match self.dtype()? {
                DType::F16 => (10, 14),
                DType::BF16 => (7, 126),
                DType::F32 => (23, 126),
                DType::F64 => (52, 1022),
                _ => return Err(bad_dtype("frexp", self)),
            };
            // Subnormal numbers are scaled into the normal range first.
            let shift = mantissa_bits + 1;
            let normal_limit = 2f64.powi(2 - bias);
            let small = self.abs().lt(normal_limit);
            let scaled = small.where_(self.mul(2f64.powi(shift)), self);
            let bits = scaled.bits("frexp")?;
            let field = bits
                .bitwise_right_shift(mantissa_bits)
                .bitwise_and(2 * bias + 3);
            let exponent = field.sub(bias).cast(DType::I32);
            let exponent = small.where_(exponent.sub(shift), exponent);
            // Zero, infinity and NaN are their own mantissa.
            let special = self.eq(0).bitwise_or(self.isfinite().logical_not());
            let exponent = special.where_(exponent.zeros_like(), exponent);
            // Exact, and gradients flow; in two steps, since the powers of some exponents overflow.
            let half = exponent.bitwise_right_shift(1);
            let (dtype, bits_type) = (self.dtype()?, bits.dtype()?);
            let divide_by = |x: &Tensor, exponent: &Tensor| {
                let field = exponent.neg().add(bias + 1).cast(bits_type);
                x.mul(field.bitwise_left_shift(mantissa_bits).bitcast(dtype))
            };
            let mantissa = divide_by(&divide_by(self, &half), &exponent.sub(&half));
            Ok((mantissa, exponent))
        })
    }

    /// A complex tensor from magnitude and angle.
    #[track_caller]
    pub fn polar(abs: &Tensor, angle: &Tensor) -> Tensor {
        attempt(|| {
            if abs.dtype()? != angle.dtype()? || !abs.is_float() {
                let message = "magnitude and angle are floats of one type";
                return Err(bad_argument("polar", message)
                    .operand(abs.note("abs"))
                    .operand(angle.note("angle")));
            }
            let (abs, angle) = (abs.broadcast_with(angle), angle.broadcast_with(abs));
            Ok(Tensor::complex(
                &abs.mul(angle.cos()),
                &abs.mul(angle.sin()),
            ))
        })
    }

    /// A complex tensor as a real one with a last axis of size 2: real and imaginary part.
    #[track_caller]
    pub fn view_as_real(&self) -> Tensor {
        match self.is_complex() {
            true => Tensor::stack(&[&self.real(), &self.imag()], -1),
            false => attempt(|| Err(bad_dtype("view_as_real", self))),
        }
    }

    /// A real tensor with a last axis of size 2 as a complex one.
    #[track_caller]
    pub fn view_as_complex(&self) -> Tensor {
        attempt(|| {
            if self.rank()? == 0 || !self.dim(-1).0?.is(2) {
                let error = bad_argument("view_as_complex", "the last axis must have size 2");
                return Err(error.operand(self.note("self")));
            }
            Ok(Tensor::complex(&self.select(-1, 0), &self.select(-1, 1)))
        })
    }

    /// At least `low`; NaN stays NaN. A number that no element could reach is an error.
    #[track_caller]
    pub fn clamp_min(&self, low: impl Into<Argument>) -> Tensor {
        let low = low.into();
        match self.beyond_range(&low) {
            Some(Ordering::Less) => self.clone(),
            Some(_) => Tensor::error(self.unreachable_bound("clamp_min")),
            // At the bound the gradient is still this tensor's alone.
            None => self.ge(low.clone()).where_(self, self.maximum(low)),
        }
    }

    /// At most `high`; NaN stays NaN. A number that no element could reach is an error.
    #[track_caller]
    pub fn clamp_max(&self, high: impl Into<Argument>) -> Tensor {
        let high = high.into();
        match self.beyond_range(&high) {
            Some(Ordering::Greater) => self.clone(),
            Some(_) => Tensor::error(self.unreachable_bound("clamp_max")),
            None => self.le(high.clone()).where_(self, self.minimum(high)),
        }
    }

    /// On which side of the range of this tensor's integers a whole number lies, if it lies outside.
    fn beyond_range(&self, bound: &Argument) -> Option<Ordering> {
        let (Argument::Number(Number::Int(value)), Ok(dtype)) = (bound, self.dtype()) else {
            return None;
        };
        let (low, high) = int_range(dtype);
        let side = match value {
            v if *v < low => Ordering::Less,
            v if *v > high => Ordering::Greater,
            _ => Ordering::Equal,
        };
        (dtype.is_int() && side != Ordering::Equal).then_some(side)
    }

    #[track_caller]
    fn unreachable_bound(&self, op: &'static str) -> Error {
        let error = bad_argument(op, "the bound lies outside of the element type's range");
        error.at(Place::here()).operand(self.note("self"))
    }

    /// The sum of this and `alpha` times `other`.
    #[track_caller]
    pub fn add_scaled(&self, other: impl Into<Argument>, alpha: impl Into<Number>) -> Tensor {
        super::arithmetic::add(self.into(), scaled(other.into(), alpha.into()))
    }

    /// The difference of this and `alpha` times `other`.
    #[track_caller]
    pub fn sub_scaled(&self, other: impl Into<Argument>, alpha: impl Into<Number>) -> Tensor {
        super::arithmetic::sub(self.into(), scaled(other.into(), alpha.into()))
    }
}

#[track_caller]
fn scaled(other: Argument, alpha: Number) -> Argument {
    match alpha {
        Number::Int(1) | Number::Bool(true) => other,
        alpha => super::arithmetic::mul(other, alpha.into()).into(),
    }
}

/// The largest finite number of a floating-point type.
fn largest_finite(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F16 => Some(half::f16::MAX.to_f64()),
        DType::BF16 => Some(half::bf16::MAX.to_f64()),
        DType::F32 => Some(f32::MAX.into()),
        DType::F64 => Some(f64::MAX),
        _ => None,
    }
}

fn slope_of_sinh(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    Ok(vec![at.flow[0].mul(at.operands[0].cosh())])
}

fn slope_of_asin(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let x = &at.operands[0];
    let slope = x.square().neg().add(1).rsqrt();
    Ok(vec![at.flow[0].mul(slope)])
}

fn slope_of_acos(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let moved = slope_of_asin(at)?;
    Ok(moved.iter().map(Tensor::neg).collect())
}

fn slope_of_asinh(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let slope = at.operands[0].square().add(1).rsqrt();
    Ok(vec![at.flow[0].mul(slope)])
}
