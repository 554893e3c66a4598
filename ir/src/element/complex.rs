//! Complex numbers. All functions are computed with parts in f64 and rounded once to c64.

use super::{Element, Number};
use crate::{Binary, DType, Predicate, Unary};
use std::cmp::Ordering;

/// Real and imaginary part.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Complex<T> {
    pub(crate) re: T,
    pub(crate) im: T,
}

type Wide = Complex<f64>;

/// Shorthand for the formulas.
const fn c(re: f64, im: f64) -> Wide {
    Complex { re, im }
}

macro_rules! impl_complex {
    ($($T:ident $dtype:ident;)*) => { $(
        impl Complex<$T> {
            #[allow(clippy::unnecessary_cast)]
            fn wide(self) -> Wide {
                c(f64::from(self.re), f64::from(self.im))
            }

            #[allow(clippy::unnecessary_cast)]
            fn rounded(x: Wide) -> Self {
                Complex { re: x.re as $T, im: x.im as $T }
            }
        }

        impl Element for Complex<$T> {
            const DTYPE: DType = DType::$dtype;
            type Acc = Wide;

            fn load(bytes: &[u8], index: usize) -> Self {
                Complex {
                    re: $T::load(bytes, 2 * index),
                    im: $T::load(bytes, 2 * index + 1),
                }
            }

            fn store(self, bytes: &mut [u8], index: usize) {
                self.re.store(bytes, 2 * index);
                self.im.store(bytes, 2 * index + 1);
            }

            fn number(self) -> Number {
                Number::Complex(self.re.into(), self.im.into())
            }

            fn from_number(number: Number) -> Self {
                Complex {
                    re: $T::from_number(number),
                    im: $T::from_number(Number::Real(number.imaginary())),
                }
            }

            fn unary(f: Unary) -> Option<fn(Self) -> Self> {
                match f {
                    Unary::Neg => Some(|x| Complex { re: -x.re, im: -x.im }),
                    Unary::Abs => Some(|x| Self::rounded(c(x.wide().abs(), 0.0))),
                    Unary::Sqrt => Some(|x| Self::rounded(x.wide().sqrt())),
                    Unary::Exp => Some(|x| Self::rounded(x.wide().exp())),
                    Unary::Expm1 => Some(|x| Self::rounded(x.wide().expm1())),
                    Unary::Log => Some(|x| Self::rounded(x.wide().log())),
                    Unary::Log1p => Some(|x| Self::rounded(x.wide().log1p())),
                    Unary::Sin => Some(|x| Self::rounded(x.wide().sin())),
                    Unary::Cos => Some(|x| Self::rounded(x.wide().cos())),
                    Unary::Tanh => Some(|x| Self::rounded(x.wide().tanh())),
                    Unary::Floor | Unary::Round | Unary::Atan | Unary::Erf => None,
                }
            }

            fn binary(f: Binary) -> Option<fn(Self, Self) -> Self> {
                match f {
                    Binary::Add => Some(|a, b| Self::rounded(a.wide().add(b.wide()))),
                    Binary::Mul => Some(|a, b| Self::rounded(a.wide().mul(b.wide()))),
                    Binary::Div => Some(|a, b| Self::rounded(a.wide().div(b.wide()))),
                    Binary::Pow => Some(|a, b| Self::rounded(a.wide().pow(b.wide()))),
                    Binary::Rem
                    | Binary::Max
                    | Binary::Min
                    | Binary::And
                    | Binary::Or
                    | Binary::Xor
                    | Binary::Shl
                    | Binary::Shr => None,
                }
            }

            fn compare(predicate: Predicate) -> Option<fn(Self, Self) -> bool> {
                match predicate {
                    Predicate::Eq => Some(|a, b| a == b),
                    Predicate::Ne => Some(|a, b| a != b),
                    Predicate::Lt | Predicate::Le => None,
                }
            }

            /// By real, then imaginary part; no operation asks.
            fn order(self, other: Self) -> Ordering {
                self.re.order(other.re).then(self.im.order(other.im))
            }

            fn limits() -> Option<[Self; 2]> {
                None
            }
        }
    )* };
}

impl_complex! {
    f32 C64;
    f64 C128;
}

/// `a * b`, where a zero `a` wins over an infinite `b`: the limit that the formulas below want.
fn damped(a: f64, b: f64) -> f64 {
    if a == 0.0 && b.is_infinite() {
        a
    } else {
        a * b
    }
}

impl Wide {
    fn add(self, b: Wide) -> Wide {
        c(self.re + b.re, self.im + b.im)
    }

    fn mul(self, b: Wide) -> Wide {
        c(
            self.re * b.re - self.im * b.im,
            self.re * b.im + self.im * b.re,
        )
    }

    /// Scaled by the larger part of the divisor, so that nothing overflows on the way.
    fn div(self, b: Wide) -> Wide {
        if b.re == 0.0 && b.im == 0.0 {
            return c(self.re / b.re.abs(), self.im / b.re.abs());
        }
        if b.re.abs() >= b.im.abs() {
            let ratio = b.im / b.re;
            let scale = b.re + b.im * ratio;
            c(
                (self.re + self.im * ratio) / scale,
                (self.im - self.re * ratio) / scale,
            )
        } else {
            let ratio = b.re / b.im;
            let scale = b.re * ratio + b.im;
            c(
                (self.re * ratio + self.im) / scale,
                (self.im * ratio - self.re) / scale,
            )
        }
    }

    fn abs(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn exp(self) -> Wide {
        if self.im == 0.0 {
            return c(self.re.exp(), self.im);
        }
        if self.re.is_infinite() && !self.im.is_finite() {
            let re = self.re.max(0.0);
            return c(re, if re > 0.0 { f64::NAN } else { 0.0 });
        }
        let (sin, cos) = self.im.sin_cos();
        if self.re < 700.0 {
            let e = self.re.exp();
            return c(e * cos, e * sin);
        }
        // In two halves: exp may overflow where its product with a small sine does not.
        let half = (self.re / 2.0).exp();
        c(half * cos * half, half * sin * half)
    }

    fn expm1(self) -> Wide {
        if self.im == 0.0 {
            return c(self.re.exp_m1(), self.im);
        }
        if self.re.abs() > 1.0 {
            let e = self.exp();
            return c(e.re - 1.0, e.im);
        }
        let half = (self.im / 2.0).sin();
        c(
            self.re.exp_m1() * self.im.cos() - 2.0 * half * half,
            self.re.exp() * self.im.sin(),
        )
    }

    fn log(self) -> Wide {
        c(self.log_abs(), self.im.atan2(self.re))
    }

    /// The logarithm of the absolute value, accurate where that is near 1.
    fn log_abs(self) -> f64 {
        let (a, b) = (self.re.abs(), self.im.abs());
        let (large, small) = if a >= b { (a, b) } else { (b, a) };
        if (0.5..=2.0).contains(&large) {
            0.5 * small.mul_add(small, (large - 1.0) * (large + 1.0)).ln_1p()
        } else {
            self.abs().ln()
        }
    }

    fn log1p(self) -> Wide {
        let shifted = c(1.0 + self.re, self.im);
        let re = if self.re.abs() < 0.5 && self.im.abs() < 0.5 {
            0.5 * (self.re * (2.0 + self.re) + self.im * self.im).ln_1p()
        } else {
            shifted.log_abs()
        };
        c(re, shifted.im.atan2(shifted.re))
    }

    fn sqrt(self) -> Wide {
        let Complex { re, im } = self;
        if re == 0.0 && im == 0.0 {
            return c(0.0, im);
        }
        if im.is_infinite() {
            return c(f64::INFINITY, im);
        }
        if re.is_infinite() {
            let small = if im.is_nan() { im } else { 0.0 };
            return if re > 0.0 {
                c(re, small.copysign(im))
            } else {
                c(small, f64::INFINITY.copysign(im))
            };
        }
        // A power of four brings both parts where their squares neither overflow nor vanish.
        let size = re.abs().max(im.abs());
        let (down, up) = if size > 1e300 {
            (0.25, 2.0)
        } else if size < 1e-300 {
            (2f64.powi(108), 2f64.powi(-54))
        } else {
            (1.0, 1.0)
        };
        let (x, y) = (re * down, im * down);
        let t = ((x.abs() + x.hypot(y)) / 2.0).sqrt();
        if re >= 0.0 {
            c(t * up, y / (2.0 * t) * up)
        } else {
            c(y.abs() / (2.0 * t) * up, t.copysign(im) * up)
        }
    }

    fn sin(self) -> Wide {
        let (sin, cos) = self.re.sin_cos();
        if self.im == 0.0 {
            return c(sin, cos * self.im);
        }
        c(damped(sin, self.im.cosh()), damped(cos, self.im.sinh()))
    }

    fn cos(self) -> Wide {
        let (sin, cos) = self.re.sin_cos();
        if self.im == 0.0 {
            return c(cos, -sin * self.im);
        }
        c(damped(cos, self.im.cosh()), -damped(sin, self.im.sinh()))
    }

    /// After Kahan: no cancellation, and no overflow for large real parts.
    fn tanh(self) -> Wide {
        let Complex { re, im } = self;
        if re.abs() > 22.0 {
            let one = 1f64.copysign(re);
            if !im.is_finite() {
                return c(one, 0f64.copysign(im));
            }
            let (sin, cos) = im.sin_cos();
            return c(one, 4.0 * sin * cos * (-2.0 * re.abs()).exp());
        }
        let t = im.tan();
        let beta = 1.0 + t * t;
        let s = re.sinh();
        let rho = (1.0 + s * s).sqrt();
        if t.is_infinite() {
            return c(rho / s, 1.0 / t);
        }
        let scale = 1.0 + beta * s * s;
        c(beta * rho * s / scale, t / scale)
    }

    fn pow(self, exponent: Wide) -> Wide {
        let zero = |z: Wide| z.re == 0.0 && z.im == 0.0;
        if zero(exponent) {
            return c(1.0, 0.0);
        }
        if zero(self) {
            return if exponent.re > 0.0 {
                c(0.0, 0.0)
            } else {
                c(f64::NAN, f64::NAN)
            };
        }
        exponent.mul(self.log()).exp()
    }
}
