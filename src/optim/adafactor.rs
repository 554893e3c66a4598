//! Adafactor.

use super::engine::{Descent, Rule, Slots, Update, not_negative, real};
use crate::tensor::Tensor;
use lazulite_ir::DType;

/// How [`Adafactor`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdafactorSettings {
    /// The power by which the newest square counts less with time; not above 0.
    pub beta2_decay: f64,
    /// The least mean of squares; the precision of the parameter's type if there is none.
    pub eps_square: Option<f64>,
    /// The least size of a parameter, which steps are relative to.
    pub eps_size: f64,
    /// The largest update, as a root mean square.
    pub clip: f64,
    /// The share of the parameter that is decayed.
    pub weight_decay: f64,
    /// Climbs instead.
    pub maximize: bool,
}

impl Default for AdafactorSettings {
    fn default() -> AdafactorSettings {
        AdafactorSettings {
            beta2_decay: -0.8,
            eps_square: None,
            eps_size: 1e-3,
            clip: 1.0,
            weight_decay: 0.0,
            maximize: false,
        }
    }
}

/// Adafactor: the mean squares of a matrix as the product of its rows' and columns'.
pub type Adafactor = Descent<AdafactorSettings>;

/// The distance from 1 to the next number.
fn precision(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => 9.765_625e-4,
        DType::BF16 => 7.8125e-3,
        _ => f32::EPSILON.into(),
    }
}

/// The square root of the mean of squares.
fn size(tensor: &Tensor) -> Tensor {
    tensor.square().mean(..).sqrt()
}

impl Rule for AdafactorSettings {
    fn slots(&self, rank: usize) -> &'static [&'static str] {
        match rank {
            0 | 1 => &["variance"],
            _ => &["row_var", "col_var"],
        }
    }

    fn initial(&self, slot: usize, param: &Tensor) -> Tensor {
        let zeros = param.zeros_like();
        match (param.rank(), slot) {
            (Ok(2..), 0) => zeros.mean_keepdim(-1),
            (Ok(2..), _) => zeros.mean_keepdim(-2),
            _ => zeros,
        }
    }

    fn check(&self) -> Result<(), String> {
        not_negative("eps_square", self.eps_square.unwrap_or(0.0))?;
        not_negative("eps_size", self.eps_size)?;
        not_negative("weight_decay", self.weight_decay)?;
        let large = self.clip >= 1.0;
        if !large {
            return Err(format!("clip is {}, and must be at least 1", self.clip));
        }
        match self.beta2_decay <= 0.0 {
            true => Ok(()),
            false => Err(format!(
                "beta2_decay is {}, and must not be above 0",
                self.beta2_decay
            )),
        }
    }

    fn check_param(&self, dtype: DType, _: usize) -> Result<(), String> {
        real(dtype)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let Update {
            param, rate, step, ..
        } = update;
        let gradient = update.gradient(self.maximize, 0.0);
        let dtype = param.dtype().unwrap_or(DType::F32);
        let eps = self.eps_square.unwrap_or_else(|| precision(dtype));
        let own = |number: &Tensor| number.type_as(param);
        let newest = own(&step.pow(self.beta2_decay));
        let mut moved = |slot: usize, to: Tensor| {
            let from = slots.get(slot);
            let moved = &from + (to - &from) * &newest;
            slots.set(slot, &moved);
            moved
        };
        let square = gradient.square();
        let estimate = match param.rank() {
            Ok(2..) => {
                let row = moved(0, square.mean_keepdim(-1));
                let column = moved(1, square.mean_keepdim(-2));
                let mean = row.mean_keepdim(-2).maximum(eps);
                row * column / mean
            }
            _ => moved(0, square),
        };
        let change = estimate.maximum(eps * eps).rsqrt() * gradient;
        let relative = rate.minimum(step.rsqrt());
        let alpha = size(param).maximum(self.eps_size) * own(&relative);
        let clipped = (size(&change) / self.clip).maximum(1.0);
        update.decayed(self.weight_decay) - change * (alpha / clipped)
    }
}
