//! RAdam.

use super::engine::{Descent, Rule, Slots, Update, betas, not_negative};
use crate::tensor::Tensor;

/// How [`RAdam`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RAdamSettings {
    /// How much is kept of the running means of gradients and of their squares.
    pub betas: (f64, f64),
    /// Added to the divisor.
    pub eps: f64,
    /// The share of the parameter that is decayed.
    pub weight_decay: f64,
    /// The decay is taken off the parameter itself, not added to the gradient.
    pub decoupled: bool,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for RAdamSettings {
    fn default() -> RAdamSettings {
        RAdamSettings {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            maximize: false,
        }
    }
}

/// Adam that does not divide by squares while too few were seen.
pub type RAdam = Descent<RAdamSettings>;

impl Rule for RAdamSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
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
        let (param, gradient) = update.decay(self.maximize, self.weight_decay, self.decoupled);
        let (beta2, step) = (self.betas.1, &update.step);
        let mean = update.mean(&slots.get(0), &gradient);
        let square = slots.get(1) * beta2 + gradient.square() * (1.0 - beta2);
        slots.set(0, &mean);
        slots.set(1, &square);
        let unbias = update.unbias(beta2);
        // How many squares the mean is worth, at most and now.
        let most = 2.0 / (1.0 - beta2) - 1.0;
        let worth = most - step * 2.0 * (1.0 - &unbias) / &unbias;
        let enough = worth.gt(5.0);
        // Where there are not enough, the root is not used; it stays real.
        let safe = worth.maximum(5.0);
        let rectified =
            (&safe - 4.0) * (&safe - 2.0) * most / (safe * ((most - 4.0) * (most - 2.0)));
        let own = |number: Tensor| number.type_as(&param);
        let adaptive = own((rectified * unbias).sqrt()) / (square.sqrt() + self.eps);
        let factor = enough.where_(adaptive, 1.0);
        let size = own(&update.rate / update.unbias_mean());
        &param - mean * size * factor
    }
}
