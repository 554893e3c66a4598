//! Error function.

use super::exp::exp_normal;
use super::{poly, table, with_sign};
use crate::vector::{Builder, Reg};

/// Below this magnitude erf itself is a polynomial, above it the logarithm of its complement.
const BORDER: f64 = 0.92;

/// `erf(a) / a - 1` in z = a^2 on 0 <= a <= 0.92, relative to `erf(a) / a`; error 2^-25.9.
const SMALL_F32: &[f64] = &[
    0.12837915122509003,
    -0.3761250078678131,
    0.11281877011060715,
    -0.026768580079078674,
    0.004995855037122965,
    -0.000600381928961724,
];

/// The same; error 2^-56.1.
const SMALL_F64: &[f64] = &[
    0.1283791670955126,
    -0.37612638903183715,
    0.11283791670952951,
    -0.02686617064465593,
    0.005223977620061894,
    -0.0008548326663238785,
    0.00012055317651755816,
    -1.4925219415603647e-05,
    1.6453994182126965e-06,
    -1.6263997723584534e-07,
    1.3985115533609317e-08,
    -8.342404237136909e-10,
];

/// `log(1 - erf(a))` on 0.92 <= a <= 4, its error taken times `(1 - erf(a)) / erf(a)`; error 2^-29.2.
const LARGE_F32: &[f64] = &[
    -0.0001956932683242485,
    -1.1276755332946777,
    -0.6371824741363525,
    -0.10393130034208298,
    0.022226713597774506,
    -0.003043146338313818,
    0.00019592793250922114,
];

/// The same on 0.92 <= a <= 5.95; error 2^-56.1.
const LARGE_F64: &[f64] = &[
    -8.420187240226481e-08,
    -1.1283782780542952,
    -0.6366240928798673,
    -0.10275985999609612,
    0.019103231894173987,
    0.0002437639166498746,
    -0.0017279654265978913,
    0.0006054082897092186,
    -2.0178251272288877e-05,
    -8.389168659106672e-05,
    5.096279052124816e-05,
    -1.8581223532539382e-05,
    4.89711974102624e-06,
    -9.73144680862209e-07,
    1.4580050736236687e-07,
    -1.6050961110152817e-08,
    1.228349929612503e-09,
    -5.843574758857909e-11,
    1.3016506808219251e-12,
];

/// Error function.
pub(super) fn erf(b: &mut Builder, x: Reg) -> Reg {
    let a = b.abs(x);
    let z = b.mul(a, a);
    let coefficients = table(b, x, SMALL_F32, SMALL_F64);
    let tail = poly(b, z, coefficients);
    let small = b.fma(a, tail, a);
    // Beyond this bound the result rounds to 1.
    let most = b.float_like(x, table(b, x, 4.0, 5.95));
    let bounded = b.min(most, a);
    let coefficients = table(b, x, LARGE_F32, LARGE_F64);
    let exponent = poly(b, bounded, coefficients);
    let complement = exp_normal(b, exponent);
    let one = b.float_like(x, 1.0);
    let large = b.sub(one, complement);
    let border = b.float_like(x, BORDER);
    let is_small = b.lt(a, border);
    let y = b.select(is_small, small, large);
    with_sign(b, y, x)
}
