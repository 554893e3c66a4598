//! Integrals over a line by the double exponential rule, and what tests share.

use lazulite::prelude::*;
use std::f64::consts::FRAC_PI_2;

/// Points of a line with weights: sums of values times weights are integrals.
pub struct Line {
    pub points: Vec<f64>,
    pub weights: Vec<f64>,
}

impl Line {
    /// From `low` to `high`, either of which may be infinite.
    pub fn new(low: f64, high: f64) -> Line {
        const STEP: f64 = 1.0 / 512.0;
        let mut line = Line {
            points: Vec::new(),
            weights: Vec::new(),
        };
        for i in -2200..=2200 {
            let t = f64::from(i) * STEP;
            let (s, slope) = (FRAC_PI_2 * t.sinh(), FRAC_PI_2 * t.cosh());
            let (x, w) = match (low.is_finite(), high.is_finite()) {
                (true, true) => {
                    let half = 0.5 * (high - low);
                    // From the nearer end, so that points stay apart from it.
                    let share = 1.0 / (1.0 + (2.0 * s.abs()).exp());
                    let near = (high - low) * share;
                    let x = if s < 0.0 { low + near } else { high - near };
                    (x, half * slope / s.cosh().powi(2))
                }
                (true, false) => (low + s.exp(), slope * s.exp()),
                (false, true) => (high - s.exp(), slope * s.exp()),
                (false, false) => (s.sinh(), slope * s.cosh()),
            };
            if x > low && x < high && w > 1e-280 && w < 1e200 && x.abs() < 1e150 {
                line.points.push(x);
                line.weights.push(w * STEP);
            }
        }
        line
    }

    pub fn tensor(&self) -> Tensor {
        Tensor::from_vec(self.points.clone(), [self.points.len()])
    }

    /// The integral of a function given at the points; places where nothing is are passed over.
    pub fn integral(&self, values: impl Iterator<Item = f64>) -> f64 {
        let terms = values.zip(&self.weights).map(|(v, w)| v * w);
        terms.filter(|t| !t.is_nan()).sum()
    }
}

pub fn f64s(x: &Tensor) -> Vec<f64> {
    x.cast(DType::F64).to_vec().unwrap()
}

pub fn one(x: &Tensor) -> f64 {
    f64s(x)[0]
}

/// A number as a parameter in f64.
pub fn n(x: f64) -> Tensor {
    Tensor::from_vec(vec![x], ())
}

pub fn vector(values: &[f64]) -> Tensor {
    Tensor::from_vec(values.to_vec(), [values.len()])
}

#[track_caller]
pub fn near(name: &str, got: f64, expected: f64, tolerance: f64) {
    let off = (got - expected).abs();
    let fine = off <= tolerance * (1.0 + expected.abs()) || got == expected;
    assert!(
        fine || (got.is_nan() && expected.is_nan()),
        "{name}: {got}, not {expected}"
    );
}
