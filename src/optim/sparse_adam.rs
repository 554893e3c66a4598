//! Adam for parameters of which a step reaches few rows.

use super::engine::{Descent, Rule, Slots, Update, betas, not_negative, real};
use crate::tensor::Tensor;
use lazulite_ir::DType;

/// How [`SparseAdam`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SparseAdamSettings {
    /// How much is kept of the running means of gradients and of their squares.
    pub betas: (f64, f64),
    /// Added to the divisor.
    pub eps: f64,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for SparseAdamSettings {
    fn default() -> SparseAdamSettings {
        SparseAdamSettings {
            betas: (0.9, 0.999),
            eps: 1e-8,
            maximize: false,
        }
    }
}

/// Adam that leaves rows alone, means included, whose gradient is zero throughout: those of an embedding that
/// a batch does not look up.
pub type SparseAdam = Descent<SparseAdamSettings>;

impl Rule for SparseAdamSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn check(&self) -> Result<(), String> {
        betas(self.betas)?;
        not_negative("eps", self.eps)
    }

    fn check_param(&self, dtype: DType, _: usize) -> Result<(), String> {
        real(dtype)
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.betas.0)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let param = &update.param;
        let gradient = update.gradient(self.maximize, 0.0);
        let reached = match param.rank() {
            Ok(rank @ 2..) => {
                let rest: Vec<i64> = (1..rank as i64).collect();
                gradient.abs().amax_keepdim(rest.as_slice()).ne(0.0)
            }
            _ => gradient.ne(0.0),
        };
        let beta2 = self.betas.1;
        let (mean, square) = (slots.get(0), slots.get(1));
        let new_mean = update.mean(&mean, &gradient);
        let new_square = &square * beta2 + gradient.square() * (1.0 - beta2);
        slots.set(0, &reached.where_(&new_mean, mean));
        slots.set(1, &reached.where_(&new_square, square));
        let size = &update.rate * update.unbias(beta2).sqrt() / update.unbias_mean();
        let moved = new_mean / (new_square.sqrt() + self.eps) * size.type_as(param);
        reached.where_(param - moved, param)
    }
}
