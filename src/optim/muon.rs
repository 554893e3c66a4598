//! Muon: momentum made orthogonal.

use super::engine::{Descent, Rule, Slots, Update, not_negative, real};
use crate::tensor::Tensor;
use lazulite_ir::DType;

/// How the rate follows from the sizes of a matrix.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum MuonRate {
    /// Times the root of rows divided by columns, if there are more rows.
    #[default]
    Original,
    /// Such that updates are as large as AdamW's.
    MatchRmsAdamW,
    /// Times the root of rows divided by columns.
    Spectral,
}

/// How [`Muon`] steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MuonSettings {
    /// The share of the parameter that is decayed.
    pub weight_decay: f64,
    /// How much is kept of the running mean of gradients.
    pub momentum: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// Coefficients of the polynomial that pushes singular values towards 1.
    pub coefficients: [f64; 3],
    /// The least norm that is divided by.
    pub eps: f64,
    /// How often the polynomial is applied.
    pub iterations: usize,
    /// How the rate follows from the sizes.
    pub rate: MuonRate,
}

impl Default for MuonSettings {
    fn default() -> MuonSettings {
        MuonSettings {
            weight_decay: 0.1,
            momentum: 0.95,
            nesterov: true,
            coefficients: [3.4445, -4.775, 2.0315],
            eps: 1e-7,
            iterations: 5,
            rate: MuonRate::Original,
        }
    }
}

/// Muon, for matrices.
pub type Muon = Descent<MuonSettings>;

/// Applications of the polynomial at most.
const MAX_ITERATIONS: usize = 100;

impl MuonSettings {
    /// The nearest matrix whose singular values are near 1, by an iteration that needs only products: of bf16 numbers,
    /// rounded to such once a product and what is added to it are summed.
    fn orthogonal(&self, matrix: &Tensor, wide: bool) -> Tensor {
        let [a, b, c] = self.coefficients;
        let rounded = |t: Tensor| t.cast(DType::BF16).cast(DType::F32);
        let narrow = rounded(matrix.cast(DType::F32));
        let mut x = if wide { narrow } else { narrow.t() };
        let norm = rounded(x.square().sum(..).sqrt());
        x = rounded(&x / norm.maximum(self.eps));
        for _ in 0..self.iterations {
            let gram = rounded(x.matmul(&x.t()));
            let inner = rounded(&gram * b + gram.matmul(&gram) * c);
            x = rounded(&x * a + inner.matmul(&x));
        }
        if wide { x } else { x.t() }
    }
}

impl Rule for MuonSettings {
    fn slots(&self, _: usize) -> &'static [&'static str] {
        &["momentum_buffer"]
    }

    fn check(&self) -> Result<(), String> {
        not_negative("weight_decay", self.weight_decay)?;
        not_negative("momentum", self.momentum)?;
        match self.iterations < MAX_ITERATIONS {
            true => Ok(()),
            false => Err(format!("{} iterations are too many", self.iterations)),
        }
    }

    fn check_param(&self, dtype: DType, rank: usize) -> Result<(), String> {
        match rank {
            2 => real(dtype),
            _ => Err(format!("Muon is for matrices, not for {rank} axes")),
        }
    }

    fn momentum(&self) -> Option<f64> {
        Some(self.momentum)
    }

    fn update(&self, update: &Update, slots: &mut Slots<'_>) -> Tensor {
        let param = &update.param;
        let gradient = update.gradient(false, 0.0);
        let mean = update.mean(&slots.get(0), &gradient);
        slots.set(0, &mean);
        let momentum = update.momentum();
        let direction = match self.nesterov {
            true => &gradient + (mean - &gradient) * momentum,
            false => mean,
        };
        let (rows, columns) = match param.dims().as_deref() {
            Ok([rows, columns]) => (*rows as f64, *columns as f64),
            // Refused when the optimiser was made.
            _ => (1.0, 1.0),
        };
        let factor = match self.rate {
            MuonRate::Original => (rows / columns).max(1.0).sqrt(),
            MuonRate::MatchRmsAdamW => 0.2 * rows.max(columns).sqrt(),
            MuonRate::Spectral => (rows / columns).sqrt(),
        };
        let orthogonal = self.orthogonal(&direction, rows <= columns).type_as(param);
        let rate = (&update.rate * factor).type_as(param);
        update.decayed(self.weight_decay) - orthogonal * rate
    }
}
