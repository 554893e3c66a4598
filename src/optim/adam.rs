//! Adam, and with decoupled weight decay AdamW.

use super::engine::{Descent, Group, Rule, Slots};
use crate::nn::Param;
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

impl<const DECOUPLED: bool> Descent<AdamRule<DECOUPLED>> {
    /// With PyTorch's settings.
    pub fn new(params: Vec<Param>, rate: f64) -> Self {
        Self::with(params, rate, AdamRule::default())
    }

    /// With other settings.
    pub fn with(params: Vec<Param>, rate: f64, settings: AdamRule<DECOUPLED>) -> Self {
        Descent::groups(vec![Group::new(params, settings, rate)])
    }
}

impl<const DECOUPLED: bool> Rule for AdamRule<DECOUPLED> {
    fn slots(&self) -> &'static [&'static str] {
        if self.amsgrad {
            &["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
        } else {
            &["exp_avg", "exp_avg_sq"]
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
        let (beta1, beta2) = self.betas;
        let mut param = param.clone();
        let mut gradient = if self.maximize {
            -gradient
        } else {
            gradient.clone()
        };
        if self.weight_decay != 0.0 {
            if DECOUPLED {
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
