//! Adam, and with decoupled weight decay AdamW.

use super::engine::{Descent, Group, Rule, Slots};
use crate::nn::Param;
use crate::tensor::Tensor;

/// How [`Adam`] and [`AdamW`] step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdamSettings {
    /// How much is kept of the running means of gradients and of their squares.
    pub betas: (f64, f64),
    /// Added to the divisor.
    pub eps: f64,
    /// The share of the parameter that is decayed.
    pub weight_decay: f64,
    /// The decay is taken off the parameter itself, not added to the gradient.
    pub decoupled: bool,
    /// Divides by the largest mean of squares so far.
    pub amsgrad: bool,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for AdamSettings {
    fn default() -> AdamSettings {
        AdamSettings {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
            amsgrad: false,
            maximize: false,
        }
    }
}

/// Adam.
pub struct Adam;

/// Adam with decoupled weight decay.
pub struct AdamW;

impl Adam {
    /// With PyTorch's settings.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the name chooses settings of one optimiser"
    )]
    pub fn new(params: Vec<Param>, rate: f64) -> Descent<AdamSettings> {
        Adam::with(params, rate, AdamSettings::default())
    }

    /// With other settings.
    pub fn with(params: Vec<Param>, rate: f64, settings: AdamSettings) -> Descent<AdamSettings> {
        Descent::groups(vec![Group::new(params, settings, rate)])
    }
}

impl AdamW {
    /// With PyTorch's settings: a weight decay of 0.01.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the name chooses settings of one optimiser"
    )]
    pub fn new(params: Vec<Param>, rate: f64) -> Descent<AdamSettings> {
        let settings = AdamSettings {
            weight_decay: 1e-2,
            ..AdamSettings::default()
        };
        AdamW::with(params, rate, settings)
    }

    /// With other settings; the decay is decoupled whatever they say.
    pub fn with(params: Vec<Param>, rate: f64, settings: AdamSettings) -> Descent<AdamSettings> {
        let settings = AdamSettings {
            decoupled: true,
            ..settings
        };
        Descent::groups(vec![Group::new(params, settings, rate)])
    }
}

impl Rule for AdamSettings {
    const SLOTS: &'static [&'static str] = &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];

    fn update(
        &self,
        param: &Tensor,
        gradient: &Tensor,
        slots: &mut Slots<'_>,
        rate: &Tensor,
        step: &Tensor,
    ) -> Tensor {
        let (beta1, beta2) = self.betas;
        let mut param = param.clone();
        let mut gradient = if self.maximize {
            -gradient
        } else {
            gradient.clone()
        };
        if self.weight_decay != 0.0 {
            if self.decoupled {
                let kept = 1.0 - rate * self.weight_decay;
                param = &param * kept.type_as(&param);
            } else {
                gradient = gradient + &param * self.weight_decay;
            }
        }
        let mean = slots.get(0) * beta1 + &gradient * (1.0 - beta1);
        let square = slots.get(1) * beta2 + gradient.square() * (1.0 - beta2);
        slots.set(0, &mean);
        slots.set(1, &square);
        // Both means start at zero; this takes the bias of that away.
        let unbias = |beta: f64| 1.0 - Tensor::full_like(step, beta).pow(step);
        let largest = if self.amsgrad {
            let largest = slots.get(2).maximum(&square);
            slots.set(2, &largest);
            largest
        } else {
            square
        };
        let scale = unbias(beta2).sqrt().type_as(&param);
        let divisor = largest.sqrt() / scale + self.eps;
        let size = (rate / unbias(beta1)).type_as(&param);
        param - mean * size / divisor
    }
}
