//! Orthogonal polynomials of given degrees, by their three-term recurrences.

use super::both_in_double;
use crate::error::Result;
use crate::ops::composite::bad_argument;
use crate::tensor::Tensor;

/// Higher degrees are refused: the recurrence is written out.
const HIGHEST: f64 = 512.0;

/// Polynomial number k + 1 from numbers k and k - 1, at x.
type Step = fn(k: f64, x: &Tensor, last: &Tensor, before: &Tensor) -> Tensor;

macro_rules! polynomials {
    ($($(#[$doc:meta])* $name:ident $shifted:ident ($x:ident) $first:expr, $step:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[doc = ""]
            #[doc = "The degrees are computed now: the recurrence runs up to the largest. They are"]
            #[doc = "rounded towards 0; below 0 the polynomials are 0."]
            #[track_caller]
            pub fn $name(&self, n: &Tensor) -> Tensor {
                both_in_double(stringify!($name), self, n, |x, n| {
                    let $x = x;
                    let first = $first;
                    recurrence(stringify!($name), x, n, first, $step)
                })
            }
            polynomials!(@$shifted $name);
        )*}
    };
    (@plain $name:ident) => {};
    (@shifted_chebyshev_polynomial_t $name:ident) => {
        polynomials!(@define shifted_chebyshev_polynomial_t $name);
    };
    (@shifted_chebyshev_polynomial_u $name:ident) => {
        polynomials!(@define shifted_chebyshev_polynomial_u $name);
    };
    (@shifted_chebyshev_polynomial_v $name:ident) => {
        polynomials!(@define shifted_chebyshev_polynomial_v $name);
    };
    (@shifted_chebyshev_polynomial_w $name:ident) => {
        polynomials!(@define shifted_chebyshev_polynomial_w $name);
    };
    (@define $shifted:ident $name:ident) => {
        #[doc = concat!("[`Tensor::", stringify!($name), "`] of `2x - 1`.")]
        #[track_caller]
        pub fn $shifted(&self, n: &Tensor) -> Tensor {
            self.to_floating().mul(2).sub(1).$name(n)
        }
    };
}

polynomials! {
    /// Chebyshev polynomials of the first kind.
    chebyshev_polynomial_t shifted_chebyshev_polynomial_t (x) x.clone(), doubled;
    /// Chebyshev polynomials of the second kind.
    chebyshev_polynomial_u shifted_chebyshev_polynomial_u (x) x.mul(2), doubled;
    /// Chebyshev polynomials of the third kind.
    chebyshev_polynomial_v shifted_chebyshev_polynomial_v (x) x.mul(2).sub(1), doubled;
    /// Chebyshev polynomials of the fourth kind.
    chebyshev_polynomial_w shifted_chebyshev_polynomial_w (x) x.mul(2).add(1), doubled;
    /// Hermite polynomials of physics.
    hermite_polynomial_h plain (x) x.mul(2), |k, x, last, before| {
        x.mul(2).mul(last).sub(before.mul(2.0 * k))
    };
    /// Hermite polynomials of probability.
    hermite_polynomial_he plain (x) x.clone(), |k, x, last, before| x.mul(last).sub(before.mul(k));
    /// Laguerre polynomials.
    laguerre_polynomial_l plain (x) x.neg().add(1), |k, x, last, before| {
        x.neg().add(2.0 * k + 1.0).mul(last).sub(before.mul(k)).div(k + 1.0)
    };
    /// Legendre polynomials.
    legendre_polynomial_p plain (x) x.clone(), |k, x, last, before| {
        x.mul(last).mul(2.0 * k + 1.0).sub(before.mul(k)).div(k + 1.0)
    };
}

#[track_caller]
fn doubled(_k: f64, x: &Tensor, last: &Tensor, before: &Tensor) -> Tensor {
    x.mul(2).mul(last).sub(before)
}

#[track_caller]
fn recurrence(
    op: &'static str,
    x: &Tensor,
    n: &Tensor,
    first: Tensor,
    step: Step,
) -> Result<Tensor> {
    let degree = n.trunc();
    let highest = match n.numel()? {
        0 => 0.0,
        _ => degree.amax(..).item::<f64>()?,
    };
    if highest > HIGHEST {
        return Err(bad_argument(
            op,
            format!("the degree {highest} is above {HIGHEST}"),
        ));
    }
    let one = x.ones_like();
    let mut result = degree.eq(0).where_(1.0, degree.mul(x).zeros_like());
    let (mut before, mut last) = (one, first);
    let mut k = 1.0;
    while k <= highest {
        result = degree.eq(k).where_(&last, result);
        (before, last) = (last.clone(), step(k, x, &last, &before));
        k += 1.0;
    }
    // NaN of x stays NaN in every degree.
    Ok(x.isnan().where_(x, result))
}
