//! Adadelta.

use super::engine::{Descent, Rule, Slots, Update, fraction, not_negative};
use crate::tensor::Tensor;

/// How [`Adadelta`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdadeltaSettings {
    /// How much is kept of the running means of squares.
    pub rho: f64,
    /// Added under roots.
    pub eps: f64,
    /// The parameter's share that is added to the gradient.
    pub weight_decay: f64,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for AdadeltaSettings {
    fn default() -> AdadeltaSettings {
        AdadeltaSettings {
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// Adadelta: steps as large as the last ones were.
pub type Adadelta = Descent<AdadeltaSettings>;

impl Rule for AdadeltaSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["square_avg", "acc_delta"]
    }

    fn check(&self) -> Result<(), String> {
        fraction("rho", self.rho, true)?;
        not_negative("eps", self.eps)?;
        not_negative("weight_decay", self.weight_decay)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let gradient = update.gradient(self.maximize, self.weight_decay);
        let (rho, rest) = (self.rho, 1.0 - self.rho);
        let square = slots.get(0) * rho + gradient.square() * rest;
        let before = slots.get(1);
        let delta = (&before + self.eps).sqrt() / (&square + self.eps).sqrt() * gradient;
        slots.set(0, &square);
        slots.set(1, &(before * rho + delta.square() * rest));
        &update.param - delta * update.rate()
    }
}
