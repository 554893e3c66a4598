//! Bessel functions, plain and modified, and Airy's.

use super::coefficients as table;
use super::{in_double, series};
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_2_PI, FRAC_PI_4, PI};

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($x:ident) $body:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self) -> Tensor {
                in_double(stringify!($name), self, |$x| $body)
            }
        )*}
    };
}

functions! {
    /// The Bessel function of the first kind and order 0.
    bessel_j0(x) {
        let a = x.abs();
        let near = series(&near(&a), &table::J0_NEAR);
        a.lt(8).where_(near, wave(&a, 0, Kind::First))
    };
    /// The Bessel function of the first kind and order 1.
    bessel_j1(x) {
        let a = x.abs();
        let near = series(&near(&a), &table::J1_NEAR).mul(&a);
        let value = a.lt(8).where_(near, wave(&a, 1, Kind::First));
        x.lt(0).where_(value.neg(), value)
    };
    /// The Bessel function of the second kind and order 0: minus infinity at 0, NaN below.
    bessel_y0(x) {
        let near = series(&near(x), &table::Y0_NEAR)
            .add(x.log().mul(series(&near(x), &table::J0_NEAR)).mul(FRAC_2_PI));
        from_zero(x, x.lt(8).where_(near, wave(x, 0, Kind::Second)), f64::NEG_INFINITY)
    };
    /// The Bessel function of the second kind and order 1: minus infinity at 0, NaN below.
    bessel_y1(x) {
        let first = series(&near(x), &table::J1_NEAR).mul(x);
        let logarithmic = x.log().mul(first).sub(x.reciprocal()).mul(FRAC_2_PI);
        let near = series(&near(x), &table::Y1_NEAR).mul(x).add(logarithmic);
        from_zero(x, x.lt(8).where_(near, wave(x, 1, Kind::Second)), f64::NEG_INFINITY)
    };
    /// The spherical Bessel function of the first kind and order 0, `sin(x) / x`.
    spherical_bessel_j0(x) {
        let square = x.square();
        let near = super::horner(&square, &[1.0, -1.0 / 6.0, 1.0 / 120.0, -1.0 / 5040.0, 1.0 / 362880.0]);
        let value = x.abs().lt(0.1).where_(near, x.sin().div(x));
        x.isinf().where_(0, value)
    };
    /// The modified Bessel function of the first kind and order 0.
    i0(x) i0e(&x.abs()).mul(x.abs().exp());
    /// [`Tensor::i0`] times `exp(-|x|)`.
    i0e(x) i0e(&x.abs());
    /// The modified Bessel function of the first kind and order 1.
    i1(x) i1e(x).mul(x.abs().exp());
    /// [`Tensor::i1`] times `exp(-|x|)`.
    i1e(x) i1e(x);
    /// The modified Bessel function of the second kind and order 0: infinite at 0, NaN below.
    modified_bessel_k0(x) from_zero(x, k0e(x).mul(x.neg().exp()), f64::INFINITY);
    /// The modified Bessel function of the second kind and order 1: infinite at 0, NaN below.
    modified_bessel_k1(x) from_zero(x, k1e(x).mul(x.neg().exp()), f64::INFINITY);
    /// [`Tensor::modified_bessel_k0`] times `exp(x)`.
    scaled_modified_bessel_k0(x) from_zero(x, k0e(x), f64::INFINITY);
    /// [`Tensor::modified_bessel_k1`] times `exp(x)`.
    scaled_modified_bessel_k1(x) from_zero(x, k1e(x), f64::INFINITY);
    /// Airy's function Ai.
    airy_ai(x) airy(x);
}

/// Which of two independent solutions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Second,
}

/// A value at 0, and NaN below.
#[track_caller]
fn from_zero(x: &Tensor, value: Tensor, at_zero: f64) -> Tensor {
    x.lt(0).where_(f64::NAN, x.eq(0).where_(at_zero, value))
}

/// The variable of series from 0 to 8.
#[track_caller]
fn near(x: &Tensor) -> Tensor {
    x.minimum(8).square().mul(1.0 / 32.0).sub(1)
}

/// The Bessel functions from 8 on: a wave with slowly varying amplitude and phase.
#[track_caller]
fn wave(x: &Tensor, order: u32, kind: Kind) -> Tensor {
    let x = x.maximum(8);
    let inverse = x.reciprocal().mul(8);
    let t = inverse.square().mul(2).sub(1);
    let (p, q) = match order {
        0 => (series(&t, &table::P0), series(&t, &table::Q0)),
        _ => (series(&t, &table::P1), series(&t, &table::Q1)),
    };
    let q = q.mul(inverse);
    let phase = x.sub(FRAC_PI_4 * f64::from(2 * order + 1));
    let amplitude = x.mul(PI / 2.0).sqrt().reciprocal();
    let (sin, cos) = (phase.sin(), phase.cos());
    let value = match kind {
        Kind::First => p.mul(cos).sub(q.mul(sin)),
        Kind::Second => p.mul(sin).add(q.mul(cos)),
    };
    x.isinf().where_(0, value.mul(amplitude))
}

/// Of x from 0.
#[track_caller]
fn i0e(x: &Tensor) -> Tensor {
    let near = series(&x.minimum(8).mul(0.25).sub(1), &table::I0E_NEAR);
    let far = series(&x.maximum(8).reciprocal().mul(16).sub(1), &table::I0E_FAR);
    x.lt(8).where_(near, far.div(x.sqrt()))
}

#[track_caller]
fn i1e(x: &Tensor) -> Tensor {
    let a = x.abs();
    let near = series(&a.minimum(8).mul(0.25).sub(1), &table::I1E_NEAR).mul(&a);
    let far = series(&a.maximum(8).reciprocal().mul(16).sub(1), &table::I1E_FAR);
    let value = a.lt(8).where_(near, far.div(a.sqrt()));
    x.lt(0).where_(value.neg(), value)
}

/// Of positive x, times `exp(x)`.
#[track_caller]
fn k0e(x: &Tensor) -> Tensor {
    let low = x.minimum(2);
    let logarithm = low.mul(0.5).log().mul(i0e(&low)).mul(low.exp());
    let near = series(&low.square().mul(0.5).sub(1), &table::K0_NEAR).sub(logarithm);
    let far = series(&x.maximum(2).reciprocal().mul(4).sub(1), &table::K0E_FAR);
    x.le(2).where_(near.mul(low.exp()), far.div(x.sqrt()))
}

/// Of positive x, times `exp(x)`.
#[track_caller]
fn k1e(x: &Tensor) -> Tensor {
    let low = x.minimum(2);
    let logarithm = low.mul(0.5).log().mul(i1e(&low)).mul(low.exp());
    let near = series(&low.square().mul(0.5).sub(1), &table::K1_NEAR)
        .div(&low)
        .add(logarithm);
    let far = series(&x.maximum(2).reciprocal().mul(4).sub(1), &table::K1E_FAR);
    x.le(2).where_(near.mul(low.exp()), far.div(x.sqrt()))
}

#[track_caller]
fn airy(x: &Tensor) -> Tensor {
    let near = series(&x.clamp(-8, 2).add(3).mul(0.2), &table::AIRY_NEAR);
    // To the right the function dies out, to the left it is a wave.
    let right = x.maximum(2);
    let z = right.pow(1.5).mul(2.0 / 3.0);
    let z2 = 2.0 / 3.0 * 2f64.powf(1.5);
    let decay = series(&z.reciprocal().mul(2.0 * z2).sub(1), &table::AIRY_FAR)
        .mul(z.neg().exp())
        .div(right.sqrt().sqrt().mul(2.0 * PI.sqrt()));
    let left = x.neg().maximum(8);
    let z = left.pow(1.5).mul(2.0 / 3.0);
    let z8 = 2.0 / 3.0 * 8f64.powf(1.5);
    let inverse = z.reciprocal().mul(z8);
    let t = inverse.square().mul(2).sub(1);
    let (p, q) = (
        series(&t, &table::AIRY_P),
        series(&t, &table::AIRY_Q).mul(inverse),
    );
    let phase = z.sub(FRAC_PI_4);
    let swing = p.mul(phase.cos()).add(q.mul(phase.sin()));
    let wave = swing.div(left.sqrt().sqrt().mul(PI.sqrt()));
    let value = x.lt(-8).where_(wave, x.gt(2).where_(decay, near));
    x.isinf().where_(f64::NAN, value)
}
