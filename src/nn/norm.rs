//! Normalising layers.

use super::module::{Layer, Module, Visitor};
use super::param::{Buffer, Mode, Param};
use crate::location::Scope;
use crate::ops::RunningStats;
use crate::tensor::Tensor;

/// Normalises over the last axes.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// One factor per normalised element.
    pub weight: Option<Param>,
    /// One summand per normalised element.
    pub bias: Option<Param>,
    /// How many axes are normalised over.
    pub axes: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl LayerNorm {
    /// Over the last axis, of this size.
    #[track_caller]
    pub fn new(features: usize) -> LayerNorm {
        LayerNorm::over(&[features], 1e-5)
    }

    /// Over the last axes, of these sizes.
    #[track_caller]
    pub fn over(dims: &[usize], eps: f64) -> LayerNorm {
        LayerNorm {
            weight: Some(Param::new(Tensor::ones(dims.to_vec()))),
            bias: Some(Param::new(Tensor::zeros(dims.to_vec()))),
            axes: dims.len(),
            eps,
        }
    }
}

impl Module for LayerNorm {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
    }
}

impl Layer for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let owner = self
            .weight
            .as_ref()
            .map_or("LayerNorm", |w| w.owner("LayerNorm"));
        let _scope = Scope::open(owner);
        let weight = self.weight.as_ref().map(Param::get);
        let bias = self.bias.as_ref().map(Param::get);
        x.layer_norm(self.axes, weight.as_ref(), bias.as_ref(), self.eps)
    }
}

/// Normalises each channel (axis 1) of `AXES` further axes: in training with the statistics of the
/// batch, else with those that have been collected.
#[derive(Clone, Debug)]
pub struct BatchNormNd<const AXES: usize> {
    /// One factor per channel.
    pub weight: Option<Param>,
    /// One summand per channel.
    pub bias: Option<Param>,
    /// What has been collected.
    pub running: RunningStats,
    /// How many batches that were.
    pub batches: Buffer,
    /// Added to the variance.
    pub eps: f64,
    mode: Mode,
}

/// Of vectors, or along one axis.
pub type BatchNorm1d = BatchNormNd<1>;
/// Along two axes.
pub type BatchNorm2d = BatchNormNd<2>;

impl<const AXES: usize> BatchNormNd<AXES> {
    /// Of so many channels.
    #[track_caller]
    pub fn new(channels: usize) -> Self {
        BatchNormNd {
            weight: Some(Param::new(Tensor::ones([channels]))),
            bias: Some(Param::new(Tensor::zeros([channels]))),
            running: RunningStats::new(channels),
            batches: Buffer::new(Tensor::full((), 0i64)),
            eps: 1e-5,
            mode: Mode::default(),
        }
    }
}

impl<const AXES: usize> Module for BatchNormNd<AXES> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
        visitor.part("running_mean", &Buffer::of(self.running.mean.clone()));
        visitor.part("running_var", &Buffer::of(self.running.var.clone()));
        visitor.part("num_batches_tracked", &self.batches);
        visitor.part("mode", &self.mode);
    }
}

impl<const AXES: usize> Layer for BatchNormNd<AXES> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let owner = self
            .weight
            .as_ref()
            .map_or("BatchNorm", |w| w.owner("BatchNorm"));
        let _scope = Scope::open(owner);
        let weight = self.weight.as_ref().map(Param::get);
        let bias = self.bias.as_ref().map(Param::get);
        let (weight, bias) = (weight.as_ref(), bias.as_ref());
        let training = self.mode.is_training();
        if training && let Err(e) = self.batches.set(self.batches.get() + 1) {
            return Tensor::error(e);
        }
        x.batch_norm(Some(&self.running), weight, bias, training, self.eps)
    }
}
