//! Adamax.

use super::engine::{Descent, Rule, Slots, Update, betas, not_negative};
use crate::tensor::Tensor;

/// How [`Adamax`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamaxSettings {
    /// How much is kept of the running mean of gradients, and of their largest absolute value.
    pub betas: (f64, f64),
    /// Added to absolute values.
    pub eps: f64,
    /// The parameter's share that is added to the gradient.
    pub weight_decay: f64,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for AdamaxSettings {
    fn default() -> AdamaxSettings {
        AdamaxSettings {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// Adam by the largest absolute value in place of the mean of squares.
pub type Adamax = Descent<AdamaxSettings>;

impl Rule for AdamaxSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["exp_avg", "exp_inf"]
    }

    fn check(&self) -> Result<(), String> {
        betas(self.betas)?;
        not_negative("eps", self.eps)?;
        not_negative("weight_decay", self.weight_decay)
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let gradient = update.gradient(self.maximize, self.weight_decay);
        let mean = update.mean(&slots.get(0), &gradient);
        let largest = (slots.get(1) * self.betas.1).maximum(gradient.abs() + self.eps);
        slots.set(0, &mean);
        slots.set(1, &largest);
        let size = (&update.rate / update.unbias_mean()).type_as(&update.param);
        &update.param - mean / largest * size
    }
}
