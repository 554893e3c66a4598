//! Normalisations.

use crate::cell::TensorCell;
use crate::error::Result;
use crate::tensor::{Dim, Tensor};

/// Running statistics of a batch norm, updated by every call in training mode.
#[derive(Clone, Debug)]
pub struct RunningStats {
    /// Mean per channel.
    pub mean: TensorCell,
    /// Unbiased variance per channel.
    pub var: TensorCell,
    /// Weight of the newest batch.
    pub momentum: f64,
}

impl RunningStats {
    /// Mean 0 and variance 1 for so many channels, momentum 0.1.
    pub fn new(channels: usize) -> RunningStats {
        RunningStats {
            mean: TensorCell::new(Tensor::zeros([channels])),
            var: TensorCell::new(Tensor::ones([channels])),
            momentum: 0.1,
        }
    }
}

impl Tensor {
    /// Mean 0 and variance 1 over the last `axes` axes, then times `weight` plus `bias`.
    #[track_caller]
    pub fn layer_norm(
        &self,
        axes: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let over: Vec<i64> = (1..=axes as i64).map(|a| -a).collect();
        self.in_single(|x| {
            let centred = x.sub(x.mean_keepdim(over.as_slice()));
            let variance = centred.square().mean_keepdim(over.as_slice());
            let mut out = centred.mul(variance.add(eps).rsqrt());
            if let Some(weight) = weight {
                out = out.mul(weight);
            }
            match bias {
                Some(bias) => out.add(bias),
                None => out,
            }
        })
    }

    /// Normalises each channel (axis 1) with the statistics of this batch, and moves the running
    /// ones towards them.
    #[track_caller]
    pub fn batch_norm_train(
        &self,
        running: &RunningStats,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let result = self.batch_norm_update(running, weight, bias, eps);
        result.unwrap_or_else(Tensor::error)
    }

    #[track_caller]
    fn batch_norm_update(
        &self,
        running: &RunningStats,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<Tensor> {
        let rank = self.rank()? as i64;
        let over: Vec<i64> = (0..rank).filter(|a| *a != 1).collect();
        let mean = self.mean(over.as_slice());
        let variance = self.var(over.as_slice(), 0);
        let kept = 1.0 - running.momentum;
        let moved = |old: Tensor, new: &Tensor| old.mul(kept).add(new.mul(running.momentum));
        running.mean.set(moved(running.mean.get(), &mean))?;
        let unbiased = self.var(over.as_slice(), 1);
        running.var.set(moved(running.var.get(), &unbiased))?;
        Ok(self.normalise_channels(&mean, &variance, weight, bias, eps))
    }

    /// Normalises each channel (axis 1) with the running statistics.
    #[track_caller]
    pub fn batch_norm_eval(
        &self,
        running: &RunningStats,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        self.normalise_channels(&running.mean.get(), &running.var.get(), weight, bias, eps)
    }

    #[track_caller]
    fn normalise_channels(
        &self,
        mean: &Tensor,
        variance: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let rank = match self.rank() {
            Ok(rank) => rank,
            Err(e) => return Tensor::error(e),
        };
        let mut shape = vec![Dim::from(1i64); rank.max(2)];
        shape[1] = self.dim(1);
        let per_channel = |t: &Tensor| t.reshape(shape.clone());
        let scale = variance.add(eps).rsqrt();
        let scale = weight.map_or(scale.clone(), |w| scale.mul(w));
        let out = self.sub(per_channel(mean)).mul(per_channel(&scale));
        match bias {
            Some(bias) => out.add(per_channel(bias)),
            None => out,
        }
    }
}
