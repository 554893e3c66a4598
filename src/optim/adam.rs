//! Adam, and with decoupled weight decay AdamW.

use super::engine::{Descent, Rule, Slots, Update, betas, not_negative};
use crate::tensor::Tensor;

/// How Adam steps: its settings, with the weight decay either added to the gradient or, `DECOUPLED`,
/// taken off the parameter itself.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamRule<const DECOUPLED: bool> {
    /// How much is kept of the running means of gradients and of their squares.
    pub betas: (f64, f64),
    /// Added to the divisor.
    pub eps: f64,
    /// The share of the parameter that is decayed.
    pub weight_decay: f64,
    /// Divides by the largest mean of squares so far.
    pub amsgrad: bool,
    /// Climbs instead.
    pub maximize: bool,
}

/// How [`Adam`] steps.
pub type AdamSettings = AdamRule<false>;

/// How [`AdamW`] steps.
pub type AdamWSettings = AdamRule<true>;

impl<const DECOUPLED: bool> Default for AdamRule<DECOUPLED> {
    /// PyTorch's settings: only the decoupled decay is on by itself.
    fn default() -> AdamRule<DECOUPLED> {
        AdamRule {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: if DECOUPLED { 1e-2 } else { 0.0 },
            amsgrad: false,
            maximize: false,
        }
    }
}

/// Adam.
pub type Adam = Descent<AdamSettings>;

/// Adam with decoupled weight decay.
pub type AdamW = Descent<AdamWSettings>;

impl<const DECOUPLED: bool> Rule for AdamRule<DECOUPLED> {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        match self.amsgrad {
            true => &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"],
            false => &["exp_avg", "exp_avg_sq"],
        }
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
        let (param, gradient) = update.decay(self.maximize, self.weight_decay, DECOUPLED);
        let beta2 = self.betas.1;
        let mean = update.mean(&slots.get(0), &gradient);
        let square = slots.get(1) * beta2 + gradient.square() * (1.0 - beta2);
        slots.set(0, &mean);
        slots.set(1, &square);
        let largest = if self.amsgrad {
            let largest = slots.get(2).maximum(&square);
            slots.set(2, &largest);
            largest
        } else {
            square
        };
        let scale = update.unbias(beta2).sqrt().type_as(&param);
        let divisor = largest.sqrt() / scale + self.eps;
        let size = (&update.rate / update.unbias_mean()).type_as(&param);
        param - mean * size / divisor
    }
}
