//! The exponential function of square matrices, `linalg.matrix_exp`: a rational approximation of a
//! matrix halved until it is small, and squared as often.

use super::lu::factor;
use super::{
    SQUARE, Scalar, Wide, function, is_finite, load, nanoseconds, of_scalar, part_mut, store,
};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::linalg::triangular_solve::{
    solve_unit_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::{Mat, Par};

pub(in crate::foreign) const FUNCTIONS: &[Function] =
    &[function!("linalg.matrix_exp": (SQUARE) -> (SQUARE), |call| of_scalar!(kernel, call))];

/// Coefficients of the approximation of order 13.
const PADE: [f64; 14] = [
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
];
/// The norm up to which it is accurate to double precision.
const SMALL: f64 = 5.371920351148152;

fn kernel<T: Scalar>(call: &mut Call<'_>) -> Result<(), String> {
    let n = call.operand_core(0)[0];
    call.for_chunks(nanoseconds([12 * n, n, n]), |chunk| {
        let results = chunk.take_result::<T>(0)?;
        for entry in 0..chunk.entries().len() {
            let a = load::<T>(chunk, 0, entry, (n, n))?;
            let e = exponential(&a);
            store(part_mut(results, entry, n * n), n, &e, T::narrow);
        }
        Ok(())
    })
}

fn exponential<W: Wide>(a: &Mat<W>) -> Mat<W> {
    let n = a.nrows();
    if !is_finite(a) {
        return Mat::from_fn(n, n, |_, _| W::of(f64::NAN, f64::NAN));
    }
    let column = |j: usize| (0..n).map(|i| a[(i, j)].magnitude()).sum::<f64>();
    let norm = (0..n).map(column).fold(0.0, f64::max);
    let halvings = (norm / SMALL).log2().ceil().clamp(0.0, 1100.0) as i32;
    // In two steps: the factor itself may be too small for a number.
    let half = 2f64.powi(-(halvings / 2));
    let rest = 2f64.powi(-(halvings - halvings / 2));
    let scaled = |z: W| z * W::real_of(half) * W::real_of(rest);
    let mut e = rational(&Mat::from_fn(n, n, |i, j| scaled(a[(i, j)])));
    for _ in 0..halvings {
        e = &e * &e;
    }
    e
}

/// The approximation of order 13.
fn rational<W: Wide>(a: &Mat<W>) -> Mat<W> {
    let n = a.nrows();
    let square = a * a;
    let fourth = &square * &square;
    let sixth = &fourth * &square;
    // b6 a^6 + b4 a^4 + b2 a^2, and b0 if there is one.
    let sum = |b: [f64; 4]| {
        Mat::from_fn(n, n, |i, j| {
            let at = (i, j);
            let one = f64::from(u8::from(i == j));
            sixth[at] * W::real_of(b[3])
                + fourth[at] * W::real_of(b[2])
                + square[at] * W::real_of(b[1])
                + W::real_of(b[0] * one)
        })
    };
    let odd = &sixth * &sum([0.0, PADE[9], PADE[11], PADE[13]])
        + sum([PADE[1], PADE[3], PADE[5], PADE[7]]);
    let odd = a * &odd;
    let even = &sixth * &sum([0.0, PADE[8], PADE[10], PADE[12]])
        + sum([PADE[0], PADE[2], PADE[4], PADE[6]]);
    let (lu, swaps) = factor(&even - &odd);
    let mut x = &even + &odd;
    for (i, with) in swaps.into_iter().enumerate() {
        for j in 0..n {
            let (upper, lower) = (x[(i, j)], x[(with, j)]);
            (x[(i, j)], x[(with, j)]) = (lower, upper);
        }
    }
    solve_unit_lower_triangular_in_place(lu.as_ref(), x.as_mut(), Par::Seq);
    solve_upper_triangular_in_place(lu.as_ref(), x.as_mut(), Par::Seq);
    x
}
