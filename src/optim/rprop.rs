//! Rprop.

use super::engine::{Descent, Rule, Slots, Update};
use crate::tensor::Tensor;

/// How [`Rprop`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RpropSettings {
    /// The factors of a step when the gradient's sign turned, and when it stayed.
    pub etas: (f64, f64),
    /// The smallest and the largest step.
    pub sizes: (f64, f64),
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for RpropSettings {
    fn default() -> RpropSettings {
        RpropSettings {
            etas: (0.5, 1.2),
            sizes: (1e-6, 50.0),
            maximize: false,
        }
    }
}

/// Resilient propagation: only the signs of gradients count. The rate is the size of the first step.
pub type Rprop = Descent<RpropSettings>;

impl Rule for RpropSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["prev", "step_size"]
    }

    fn check(&self) -> Result<(), String> {
        let (less, more) = self.etas;
        match 0.0 < less && less < 1.0 && 1.0 < more {
            true => Ok(()),
            false => Err(format!(
                "etas are {less} and {more}: expected 0 < less < 1 < more"
            )),
        }
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let gradient = update.gradient(self.maximize, 0.0);
        let (less, more) = self.etas;
        let first = update.step.le(1.0);
        let size = first.where_(update.rate(), slots.get(1));
        let agreement = &gradient * slots.get(0);
        let (turned, stayed) = (agreement.lt(0.0), agreement.gt(0.0));
        let shorter = turned.where_(&size * less, &size);
        let size = stayed.where_(&size * more, shorter);
        let size = size.clamp(self.sizes.0, self.sizes.1);
        // After a turn the next sign counts anew.
        let gradient = turned.where_(gradient.zeros_like(), &gradient);
        slots.set(0, &gradient);
        slots.set(1, &size);
        &update.param - gradient.sign() * size
    }
}
