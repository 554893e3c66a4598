//! Special functions and signal windows.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal};
use lazulite::{DType, Tensor, Window};

pub(super) const TABLE: &[Entry] = &[
    op("digamma", |a| a.input()?.digamma().done()),
    op("erfc", |a| a.input()?.erfc().done()),
    op("erfinv", |a| a.input()?.erfinv().done()),
    op("i0", |a| a.input()?.i0().done()),
    op("igamma", |a| a.input()?.igamma(&a.tensor("other")?).done()),
    op("igammac", |a| {
        a.input()?.igammac(&a.tensor("other")?).done()
    }),
    op("lgamma", |a| a.input()?.lgamma().done()),
    op("mvlgamma", |a| {
        a.input()?.multigammaln(a.count("p")?).done()
    }),
    op("polygamma", |a| {
        a.tensor("input")?.polygamma(a.count("n")?).done()
    }),
    op("special.polygamma", |a| {
        a.tensor("input")?.polygamma(a.count("n")?).done()
    }),
    op("special.airy_ai", |a| a.input()?.airy_ai().done()),
    op("special.bessel_j0", |a| a.input()?.bessel_j0().done()),
    op("special.bessel_j1", |a| a.input()?.bessel_j1().done()),
    op("special.bessel_y0", |a| a.input()?.bessel_y0().done()),
    op("special.bessel_y1", |a| a.input()?.bessel_y1().done()),
    op("special.entr", |a| a.input()?.entr().done()),
    op("special.erfcx", |a| a.input()?.erfcx().done()),
    op("special.i0e", |a| a.input()?.i0e().done()),
    op("special.i1", |a| a.input()?.i1().done()),
    op("special.i1e", |a| a.input()?.i1e().done()),
    op("special.log_ndtr", |a| a.input()?.log_ndtr().done()),
    op("special.modified_bessel_i0", |a| a.input()?.i0().done()),
    op("special.modified_bessel_i1", |a| a.input()?.i1().done()),
    op("special.modified_bessel_k0", |a| {
        a.input()?.modified_bessel_k0().done()
    }),
    op("special.modified_bessel_k1", |a| {
        a.input()?.modified_bessel_k1().done()
    }),
    op("special.scaled_modified_bessel_k0", |a| {
        a.input()?.scaled_modified_bessel_k0().done()
    }),
    op("special.scaled_modified_bessel_k1", |a| {
        a.input()?.scaled_modified_bessel_k1().done()
    }),
    op("special.ndtr", |a| a.input()?.ndtr().done()),
    op("special.ndtri", |a| a.input()?.ndtri().done()),
    op("special.spherical_bessel_j0", |a| {
        a.input()?.spherical_bessel_j0().done()
    }),
    op("special.zeta", |a| {
        a.base()?.zeta(&a.scalar_or_tensor("other")?).done()
    }),
    op("special.chebyshev_polynomial_t", |a| {
        degree(a, Tensor::chebyshev_polynomial_t)
    }),
    op("special.chebyshev_polynomial_u", |a| {
        degree(a, Tensor::chebyshev_polynomial_u)
    }),
    op("special.chebyshev_polynomial_v", |a| {
        degree(a, Tensor::chebyshev_polynomial_v)
    }),
    op("special.chebyshev_polynomial_w", |a| {
        degree(a, Tensor::chebyshev_polynomial_w)
    }),
    op("special.hermite_polynomial_h", |a| {
        degree(a, Tensor::hermite_polynomial_h)
    }),
    op("special.hermite_polynomial_he", |a| {
        degree(a, Tensor::hermite_polynomial_he)
    }),
    op("special.laguerre_polynomial_l", |a| {
        degree(a, Tensor::laguerre_polynomial_l)
    }),
    op("special.legendre_polynomial_p", |a| {
        degree(a, Tensor::legendre_polynomial_p)
    }),
    op("special.shifted_chebyshev_polynomial_t", |a| {
        degree(a, Tensor::shifted_chebyshev_polynomial_t)
    }),
    op("special.shifted_chebyshev_polynomial_u", |a| {
        degree(a, Tensor::shifted_chebyshev_polynomial_u)
    }),
    op("special.shifted_chebyshev_polynomial_v", |a| {
        degree(a, Tensor::shifted_chebyshev_polynomial_v)
    }),
    op("special.shifted_chebyshev_polynomial_w", |a| {
        degree(a, Tensor::shifted_chebyshev_polynomial_w)
    }),
    // Windows.
    op("signal.windows.bartlett", |a| window(a)?.bartlett().done()),
    op("signal.windows.blackman", |a| window(a)?.blackman().done()),
    op("signal.windows.cosine", |a| window(a)?.cosine().done()),
    with(
        "signal.windows.exponential",
        "M, *, center=None, tau=1.0, sym=True, dtype=None, layout=None",
        |a| {
            window(a)?
                .exponential(a.opt_float("center")?, a.float("tau")?)
                .done()
        },
    ),
    with(
        "signal.windows.gaussian",
        "M, *, std=1.0, sym=True, dtype=None, layout=None",
        |a| window(a)?.gaussian(a.float("std")?).done(),
    ),
    op("signal.windows.general_cosine", |a| {
        window(a)?.general_cosine(&a.floats("a")?).done()
    }),
    op("signal.windows.general_hamming", |a| {
        window(a)?.general_hamming(a.float("alpha")?).done()
    }),
    op("signal.windows.hamming", |a| window(a)?.hamming().done()),
    op("signal.windows.hann", |a| window(a)?.hann().done()),
    op("signal.windows.kaiser", |a| {
        window(a)?.kaiser(a.float("beta")?).done()
    }),
    op("signal.windows.nuttall", |a| window(a)?.nuttall().done()),
];

/// A polynomial whose degrees are a tensor or number.
fn degree(a: &Bound, polynomial: fn(&Tensor, &Tensor) -> Tensor) -> Outcome {
    polynomial(&a.base()?, &a.scalar_or_tensor("n")?).done()
}

fn window(a: &Bound) -> Result<Window, Refusal> {
    Ok(Window {
        len: a.count("M")?,
        periodic: !a.flag("sym")?,
        dtype: a.opt_dtype("dtype")?.unwrap_or(DType::F32),
    })
}
