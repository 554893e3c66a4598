//! Averaged stochastic gradient descent.

use super::engine::{Descent, Rule, Slots, Update, not_negative};
use crate::tensor::Tensor;

/// How [`Asgd`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AsgdSettings {
    /// How much parameters and rate decay.
    pub lambda: f64,
    /// The power by which the rate falls.
    pub alpha: f64,
    /// The step after which averaging begins.
    pub start: f64,
    /// The parameter's share that is added to the gradient.
    pub weight_decay: f64,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for AsgdSettings {
    fn default() -> AsgdSettings {
        AsgdSettings {
            lambda: 1e-4,
            alpha: 0.75,
            start: 1e6,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// Averaged stochastic gradient descent; the averages are the state `ax`.
pub type Asgd = Descent<AsgdSettings>;

impl Rule for AsgdSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["ax", "eta"]
    }

    fn initial(&self, slot: usize, param: &Tensor) -> Tensor {
        match slot {
            0 => param.zeros_like(),
            _ => super::engine::scalar(0.0),
        }
    }

    fn check(&self) -> Result<(), String> {
        not_negative("lambda", self.lambda)?;
        not_negative("alpha", self.alpha)?;
        not_negative("weight_decay", self.weight_decay)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let Update {
            param, rate, step, ..
        } = update;
        let gradient = update.gradient(self.maximize, self.weight_decay);
        // The rate of this step was decided at the last one.
        let eta = step.le(1.0).where_(rate, slots.get(1));
        let own = |number: &Tensor| number.type_as(param);
        let kept = 1.0 - &eta * self.lambda;
        let new = param * own(&kept) - gradient * own(&eta);
        // One divided by the number of values averaged.
        let share = 1.0 / (step - 1.0 - self.start).maximum(1.0);
        let average = slots.get(0);
        slots.set(0, &(&average + (&new - &average) * own(&share)));
        let fallen = (step * rate * self.lambda + 1.0).pow(self.alpha);
        slots.set(1, &(rate / fallen));
        new
    }
}
