//! Normalisations.

use super::composite::{attempt, attempt_all, attempt_pair, bad_argument, bad_shape, tensor_of};
use crate::cell::TensorCell;
use crate::error::{Error, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Argument, Derivative, Dim, Tensor, composite};
use lazulite_ir::DType;

/// Running statistics of a batch norm, updated by every call in training mode.
#[derive(Clone, Debug)]
pub struct RunningStats {
    /// Mean per channel.
    pub mean: TensorCell,
    /// Unbiased variance per channel.
    pub var: TensorCell,
    /// Weight of the newest batch.
    pub momentum: Argument,
}

impl RunningStats {
    /// Mean 0 and variance 1 for so many channels, momentum 0.1.
    #[track_caller]
    pub fn new(channels: usize) -> RunningStats {
        RunningStats {
            mean: TensorCell::new(Tensor::zeros([channels])),
            var: TensorCell::new(Tensor::ones([channels])),
            momentum: 0.1.into(),
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
        if axes == 0 {
            return Tensor::error(no_axes("layer_norm", self));
        }
        let over: Vec<i64> = (1..=axes as i64).map(|a| -a).collect();
        let define = || {
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
        };
        let operands: Vec<&Tensor> = [Some(self), weight, bias].into_iter().flatten().collect();
        composite("layer_norm", &[], Derivative::Definition, &operands, define)
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
        let (mean, variance) = self.channel_statistics()?;
        running.moved(&mean, &self.var_with(over.as_slice(), 1))?;
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
        let _pinned = Scope::pin();
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

    /// As [`Tensor::layer_norm`], with the means and the inverse deviations that it divided by.
    #[track_caller]
    pub fn layer_norm_stats(
        &self,
        axes: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let over: Vec<i64> = (1..=axes as i64).map(|a| -a).collect();
        let mean = self.mean_keepdim(over.as_slice());
        let inverse = self.var_keepdim_with(over.as_slice(), 0).add(eps).rsqrt();
        (self.layer_norm(axes, weight, bias, eps), mean, inverse)
    }

    /// Normalises each channel (axis 1): with the statistics of this batch if `training` or without running
    /// ones, else with those. In training the running ones move.
    #[track_caller]
    pub fn batch_norm(
        &self,
        running: Option<&RunningStats>,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        training: bool,
        eps: f64,
    ) -> Tensor {
        attempt(|| {
            // PyTorch passes a vector without elements through.
            if self.rank()? == 1 && self.dim(0).value().is_ok_and(|len| len == 0) {
                return Ok(self.clone());
            }
            self.check_channels("batch_norm", weight, bias)?;
            let own = training || running.is_none();
            if eps < 0.0 || (eps == 0.0 && own) {
                let message = format!("eps {eps} may make the divisor 0");
                return Err(bad_argument("batch_norm", message));
            }
            if training {
                self.check_spread("batch_norm", (0..self.rank()?).filter(|a| *a != 1))?;
            }
            match running {
                Some(running) if training => Ok(self.batch_norm_train(running, weight, bias, eps)),
                Some(running) => Ok(self.batch_norm_eval(running, weight, bias, eps)),
                None => {
                    let (mean, variance) = self.channel_statistics()?;
                    Ok(self.normalise_channels(&mean, &variance, weight, bias, eps))
                }
            }
        })
    }

    /// Mean and variance of each channel.
    #[track_caller]
    pub fn channel_stats(&self) -> (Tensor, Tensor) {
        attempt_pair(|| self.channel_statistics())
    }

    #[track_caller]
    fn channel_statistics(&self) -> Result<(Tensor, Tensor)> {
        let over: Vec<i64> = (0..self.rank()? as i64).filter(|a| *a != 1).collect();
        Ok((
            self.mean(over.as_slice()),
            self.var_with(over.as_slice(), 0),
        ))
    }

    #[track_caller]
    fn check_channels(
        &self,
        op: &'static str,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Result<()> {
        if self.rank()? < 2 {
            let error = bad_shape(op, "there is no axis of channels");
            return Err(error.operand(self.note("self")));
        }
        let channels = self.dim(1).0?;
        for vector in [weight, bias].into_iter().flatten() {
            let dims = &vector.node()?.ty.dims;
            if dims.len() != 1 || dims[0].compare_eq(&channels) == Some(false) {
                let error = bad_shape(
                    op,
                    format!("there is one number for each of {channels} channels"),
                );
                return Err(error
                    .operand(self.note("self"))
                    .operand(vector.note("weight")));
            }
        }
        Ok(())
    }

    /// There is more than one element along these axes together, as far as sizes are known: one alone has no
    /// spread.
    fn check_spread(&self, op: &'static str, axes: impl Iterator<Item = usize>) -> Result<()> {
        let sizes = self.sizes()?;
        let known: Option<Vec<i64>> = axes.map(|a| sizes[a].value().ok()).collect();
        if known.is_some_and(|sizes| sizes.iter().product::<i64>() == 1) {
            let message = "a channel of one element has no spread to divide by";
            return Err(bad_shape(op, message).operand(self.note("self")));
        }
        Ok(())
    }

    /// Normalises each channel of each sample; with running statistics those of the batch's mean move, or
    /// stand in if `use_input_stats` is false.
    #[track_caller]
    pub fn instance_norm(
        &self,
        running: Option<&RunningStats>,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        use_input_stats: bool,
        eps: f64,
    ) -> Tensor {
        attempt(|| {
            self.check_channels("instance_norm", weight, bias)?;
            let (n, channels) = (self.dim(0), self.dim(1));
            if !use_input_stats {
                return Ok(self.batch_norm(running, weight, bias, false, eps));
            }
            self.check_spread("instance_norm", 2..self.rank()?)?;
            // Every channel of every sample becomes a channel of one sample.
            let mut joined = self.sizes()?;
            joined.splice(0..2, [1i64.into(), &n * &channels]);
            let (x, over) = (self.reshape(joined), n.value()?);
            let (mean, variance) = x.channel_statistics()?;
            let normal = x.normalise_channels(&mean, &variance, None, None, eps);
            if let Some(running) = running {
                let size = self.sizes()?[2..]
                    .iter()
                    .try_fold(1, |size, d| Ok(size * d.value()?))?;
                let rows = |t: &Tensor| t.reshape([n.clone(), channels.clone()]).mean(0);
                let unbiased = rows(&variance).mul(size as f64 / (size - 1).max(1) as f64);
                if over > 0 {
                    running.moved(&rows(&mean), &unbiased)?;
                }
            }
            let normal = normal.reshape(self.sizes()?);
            Ok(scaled(normal, weight, bias))
        })
    }

    /// Normalises groups of channels of each sample.
    #[track_caller]
    pub fn group_norm(
        &self,
        groups: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        self.group_norm_stats(groups, weight, bias, eps).0
    }

    /// As [`Tensor::group_norm`], with the means and the inverse deviations that it divided by.
    #[track_caller]
    pub fn group_norm_stats(
        &self,
        groups: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let [normal, mean, inverse] = attempt_all(|| {
            self.check_channels("group_norm", weight, bias)?;
            let channels = self.dim(1).value()?;
            let size = self.sizes()?[1..]
                .iter()
                .try_fold(1, |size, d| Ok(size * d.value()?))?;
            if groups == 0 || channels % groups as i64 != 0 || size == 0 {
                let message =
                    format!("{channels} channels do not form {groups} groups, or are empty");
                return Err(bad_argument("group_norm", message).operand(self.note("self")));
            }
            let x = self.reshape([self.dim(0), groups.into(), (size / groups as i64).into()]);
            let mean = x.mean_keepdim(-1);
            let inverse = x.var_keepdim_with(-1, 0).add(eps).rsqrt();
            let normal = x.sub(&mean).mul(&inverse).reshape(self.sizes()?);
            Ok([
                scaled(normal, weight, bias),
                mean.squeeze(-1),
                inverse.squeeze(-1),
            ])
        });
        (normal, mean, inverse)
    }

    /// Divided by the root of the mean square over the last `axes` axes; `eps` is the element type's
    /// epsilon if `None`.
    #[track_caller]
    pub fn rms_norm(&self, axes: usize, weight: Option<&Tensor>, eps: Option<f64>) -> Tensor {
        attempt(|| {
            if axes == 0 {
                return Err(no_axes("rms_norm", self));
            }
            let over: Vec<i64> = (1..=axes as i64).map(|a| -a).collect();
            let eps = match (eps, self.dtype()?.real()) {
                (Some(eps), _) => eps,
                (None, DType::F64) => f64::EPSILON,
                (None, _) => f32::EPSILON.into(),
            };
            let mean = self.square().mean_keepdim(over.as_slice());
            let normal = self.mul(mean.add(eps).rsqrt());
            Ok(weight.map_or(normal.clone(), |w| normal.mul(w)))
        })
    }

    /// Divided by a power of the mean square of `size` neighbouring channels: `(k + alpha mean)^beta`.
    #[track_caller]
    pub fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Tensor {
        attempt(|| {
            if self.rank()? < 3 || size == 0 {
                let error = bad_shape("local_response_norm", "channels are followed by other axes");
                return Err(error.operand(self.note("self")));
            }
            let mut widths = vec![(0, 0); self.rank()?];
            widths[1] = ((size / 2) as i64, ((size - 1) / 2) as i64);
            let windows = self.square().pad(widths, 0).windows(1, size, 1, 1);
            let mean = windows.sum(-1).div(size as f64);
            Ok(self.div(mean.mul(alpha).add(k).pow(beta)))
        })
    }

    /// Divided by the Euclidean norm along an axis.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[3.0f32, 4.0]]);
    /// assert!(x.normalize(1).allclose(&Tensor::from([[0.6f32, 0.8]]))?);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn normalize(&self, axis: i64) -> Tensor {
        self.normalize_with(2.0, axis, 1e-12)
    }

    /// Divided by the `p`-norm along an axis, which counts as at least `eps`.
    #[track_caller]
    pub fn normalize_with(&self, p: f64, axis: i64, eps: f64) -> Tensor {
        attempt(|| {
            let norm = self.keep_axes(&self.vector_norm(p, axis), axis);
            Ok(self.div(norm.maximum(eps)))
        })
    }
}

/// The error of a normalisation over nothing.
#[track_caller]
fn no_axes(op: &'static str, x: &Tensor) -> Error {
    let error = bad_argument(op, "there must be at least one axis to normalise over");
    error.at(Place::here()).operand(x.note("self"))
}

impl RunningStats {
    /// Moves towards the statistics of a batch.
    #[track_caller]
    fn moved(&self, mean: &Tensor, variance: &Tensor) -> Result<()> {
        let _pinned = Scope::pin();
        // No gradient flows into statistics: else each would hold on to all batches before.
        let towards = |old: Tensor, new: &Tensor| -> Result<Tensor> {
            let share = tensor_of(self.momentum.clone(), old.dtype()?);
            let kept = old.detach().mul(share.neg().add(1));
            Ok(kept.add(new.detach().mul(share)))
        };
        self.mean.set(towards(self.mean.get(), mean)?)?;
        self.var.set(towards(self.var.get(), variance)?)
    }
}

/// Times weight plus bias, one of each per channel.
#[track_caller]
fn scaled(x: Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Tensor {
    let rank = x.rank().unwrap_or(2);
    let x = weight.map_or(x.clone(), |w| x.mul(w.along(1, rank)));
    bias.map_or(x.clone(), |b| x.add(b.along(1, rank)))
}
