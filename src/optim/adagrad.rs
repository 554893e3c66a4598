//! Adagrad.

use super::engine::{Descent, Rule, Slots, Update, not_negative};
use crate::tensor::Tensor;

/// How [`Adagrad`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdagradSettings {
    /// How much the rate falls with every step.
    pub rate_decay: f64,
    /// What the sums of squares start as.
    pub initial_sum: f64,
    /// Added to the divisor.
    pub eps: f64,
    /// The parameter's share that is added to the gradient.
    pub weight_decay: f64,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for AdagradSettings {
    fn default() -> AdagradSettings {
        AdagradSettings {
            rate_decay: 0.0,
            initial_sum: 0.0,
            eps: 1e-10,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// Adagrad: steps divided by the root of all squares so far.
pub type Adagrad = Descent<AdagradSettings>;

impl Rule for AdagradSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["sum"]
    }

    fn initial(&self, _: usize, param: &Tensor) -> Tensor {
        Tensor::full_like(param, self.initial_sum)
    }

    fn check(&self) -> Result<(), String> {
        not_negative("rate_decay", self.rate_decay)?;
        not_negative("initial_sum", self.initial_sum)?;
        not_negative("eps", self.eps)?;
        not_negative("weight_decay", self.weight_decay)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let gradient = update.gradient(self.maximize, self.weight_decay);
        let sum = slots.get(0) + gradient.square();
        slots.set(0, &sum);
        let fallen = (&update.step - 1.0) * self.rate_decay + 1.0;
        let rate = (&update.rate / fallen).type_as(&update.param);
        &update.param - gradient / (sum.sqrt() + self.eps) * rate
    }
}
