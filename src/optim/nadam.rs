//! NAdam.

use super::engine::{Descent, Rule, Slots, Update, betas, not_negative, scalar};
use crate::tensor::Tensor;

/// How [`NAdam`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NAdamSettings {
    /// How much is kept of the running means of gradients and of their squares.
    pub betas: (f64, f64),
    /// Added to the divisor.
    pub eps: f64,
    /// The share of the parameter that is decayed.
    pub weight_decay: f64,
    /// How fast the momentum grows to its full size.
    pub momentum_decay: f64,
    /// The decay is taken off the parameter itself, not added to the gradient.
    pub decoupled: bool,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for NAdamSettings {
    fn default() -> NAdamSettings {
        NAdamSettings {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            momentum_decay: 4e-3,
            decoupled: false,
            maximize: false,
        }
    }
}

/// Adam that looks ahead along the momentum, as Nesterov's method does.
pub type NAdam = Descent<NAdamSettings>;

impl Rule for NAdamSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq", "mu_product"]
    }

    fn initial(&self, slot: usize, param: &Tensor) -> Tensor {
        match slot {
            2 => scalar(1.0),
            _ => param.zeros_like(),
        }
    }

    fn check(&self) -> Result<(), String> {
        betas(self.betas)?;
        not_negative("eps", self.eps)?;
        not_negative("weight_decay", self.weight_decay)?;
        not_negative("momentum_decay", self.momentum_decay)
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let (param, gradient) = update.decay(self.maximize, self.weight_decay, self.decoupled);
        let beta2 = self.betas.1;
        // The momentum at a step.
        let mu = |step: &Tensor| {
            let grown = Tensor::full_like(step, 0.96).pow(step * self.momentum_decay);
            &update.momentum * (1.0 - grown * 0.5)
        };
        let (now, next) = (mu(&update.step), mu(&(&update.step + 1.0)));
        let product = slots.get(2) * &now;
        let mean = update.mean(&slots.get(0), &gradient);
        let square = slots.get(1) * beta2 + gradient.square() * (1.0 - beta2);
        slots.set(0, &mean);
        slots.set(1, &square);
        slots.set(2, &product);
        let own = |number: Tensor| number.type_as(&param);
        let divisor = (square / own(update.unbias(beta2))).sqrt() + self.eps;
        let of_gradient = &update.rate * (1.0 - now) / (1.0 - &product);
        let of_mean = &update.rate * &next / (1.0 - product * &next);
        let moved = gradient * own(of_gradient) + mean * own(of_mean);
        &param - moved / divisor
    }
}
