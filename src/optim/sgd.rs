//! Stochastic gradient descent.

use super::engine::{Descent, Group, Rule, Slots};
use crate::nn::Param;
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

impl Sgd {
    /// Without momentum.
    pub fn new(params: Vec<Param>, rate: f64) -> Sgd {
        Sgd::with(params, rate, SgdSettings::default())
    }

    /// With settings.
    pub fn with(params: Vec<Param>, rate: f64, settings: SgdSettings) -> Sgd {
        Descent::groups(vec![Group::new(params, settings, rate)])
    }
}

impl Rule for SgdSettings {
    fn slots(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 {
            &[]
        } else {
            &["momentum_buffer"]
        }
    }

    fn update(
        &self,
        param: &Tensor,
        gradient: &Tensor,
        slots: &mut Slots<'_>,
        rate: &Tensor,
        step: &Tensor,
    ) -> Tensor {
        let mut direction = if self.maximize {
            -gradient
        } else {
            gradient.clone()
        };
        if self.weight_decay != 0.0 {
            direction = direction + param * self.weight_decay;
        }
        if self.momentum != 0.0 {
            // The first step fills the buffer undampened.
            let first = step.le(1.0);
            let moved = slots.get(0) * self.momentum + &direction * (1.0 - self.dampening);
            let buffer = first.where_(&direction, moved);
            slots.set(0, &buffer);
            direction = if self.nesterov {
                direction + &buffer * self.momentum
            } else {
                buffer
            };
        }
        param - direction * rate.type_as(param)
    }
}
