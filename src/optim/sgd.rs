//! Stochastic gradient descent.

use super::engine::{Descent, Rule, Slots, Update, not_negative};
use crate::tensor::Tensor;

/// How [`Sgd`] steps.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct SgdSettings {
    /// How much of the last step is kept.
    pub momentum: f64,
    /// How much of the gradient is left out of the momentum.
    pub dampening: f64,
    /// The parameter's share that is added to the gradient.
    pub weight_decay: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// Climbs instead.
    pub maximize: bool,
}

/// Stochastic gradient descent.
pub type Sgd = Descent<SgdSettings>;

impl Rule for SgdSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        match self.momentum == 0.0 {
            true => &[],
            false => &["momentum_buffer"],
        }
    }

    fn check(&self) -> Result<(), String> {
        not_negative("momentum", self.momentum)?;
        not_negative("weight_decay", self.weight_decay)?;
        match self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            true => Err("nesterov needs a momentum and no dampening".into()),
            false => Ok(()),
        }
    }

    fn momentum(&self) -> Option<f64> {
        (self.momentum != 0.0).then_some(self.momentum)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let mut direction = update.gradient(self.maximize, self.weight_decay);
        if self.momentum != 0.0 {
            // The first step fills the buffer undampened.
            let first = update.step.le(1.0);
            let momentum = update.momentum();
            let moved = slots.get(0) * &momentum + &direction * (1.0 - self.dampening);
            let buffer = first.where_(&direction, moved);
            slots.set(0, &buffer);
            direction = match self.nesterov {
                true => direction + &buffer * momentum,
                false => buffer,
            };
        }
        &update.param - direction * update.rate()
    }
}
