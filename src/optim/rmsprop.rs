//! RMSprop.

use super::engine::{Descent, Rule, Slots, Update, fraction, not_negative};
use crate::tensor::Tensor;

/// How [`RmsProp`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RmsPropSettings {
    /// How much is kept of the running mean of squares.
    pub alpha: f64,
    /// Added to the divisor.
    pub eps: f64,
    /// The parameter's share that is added to the gradient.
    pub weight_decay: f64,
    /// How much of the last step is kept.
    pub momentum: f64,
    /// Divides by the deviation from the running mean.
    pub centered: bool,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for RmsPropSettings {
    fn default() -> RmsPropSettings {
        RmsPropSettings {
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
            momentum: 0.0,
            centered: false,
            maximize: false,
        }
    }
}

/// RMSprop: steps divided by the root of the running mean of squares.
pub type RmsProp = Descent<RmsPropSettings>;

impl Rule for RmsPropSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        match (self.momentum != 0.0, self.centered) {
            (false, false) => &["square_avg"],
            (true, false) => &["square_avg", "momentum_buffer"],
            (false, true) => &["square_avg", "grad_avg"],
            (true, true) => &["square_avg", "grad_avg", "momentum_buffer"],
        }
    }

    fn check(&self) -> Result<(), String> {
        fraction("alpha", self.alpha, true)?;
        not_negative("eps", self.eps)?;
        not_negative("weight_decay", self.weight_decay)?;
        not_negative("momentum", self.momentum)
    }

    fn momentum(&self) -> Option<f64> {
        (self.momentum != 0.0).then_some(self.momentum)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let gradient = update.gradient(self.maximize, self.weight_decay);
        let (alpha, rest) = (self.alpha, 1.0 - self.alpha);
        let square = slots.get(0) * alpha + gradient.square() * rest;
        slots.set(0, &square);
        let spread = if self.centered {
            let mean = slots.get(1) * alpha + &gradient * rest;
            slots.set(1, &mean);
            square - mean.square()
        } else {
            square
        };
        let mut direction = gradient / (spread.sqrt() + self.eps);
        if self.momentum != 0.0 {
            let buffer = 1 + usize::from(self.centered);
            direction = slots.get(buffer) * update.momentum() + direction;
            slots.set(buffer, &direction);
        }
        &update.param - direction * update.rate()
    }
}
