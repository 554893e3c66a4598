//! Normalising layers.

use super::check::{bad_setting, expect_last, expect_rank, failed, shown};
use super::param::{Buffer, Mode, Param};
use super::{Layer, Module, Visitor};
use crate::error::{OperandNote, Result};
use crate::location::Scope;
use crate::ops::{RunningStats, attempt, bad_shape};
use crate::tensor::{Argument, Dim, Tensor};

/// Normalises over the last axes.
#[derive(Clone, Debug, Module)]
pub struct LayerNorm {
    /// One factor per normalised element.
    pub weight: Option<Param>,
    /// One summand per normalised element.
    pub bias: Option<Param>,
    /// The sizes of the axes that are normalised over.
    pub dims: Vec<usize>,
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
            dims: dims.to_vec(),
            eps,
        }
    }

    /// The same without summands.
    pub fn without_bias(self) -> LayerNorm {
        LayerNorm { bias: None, ..self }
    }

    /// The same without factors and summands.
    pub fn without_weights(self) -> LayerNorm {
        LayerNorm {
            weight: None,
            bias: None,
            ..self
        }
    }
}

impl Layer for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = scope(&self.weight, "LayerNorm");
        let result = attempt(|| {
            expect_last("LayerNorm", "input", x, &dims(&self.dims))?;
            let (weight, bias) = (held(&self.weight), held(&self.bias));
            Ok(x.layer_norm(self.dims.len(), weight.as_ref(), bias.as_ref(), self.eps))
        });
        let text = || format!("LayerNorm{:?}", self.dims);
        shown(result, &[x], || layer(&self.weight, text()))
    }
}

/// Divides by the root of the mean square over the last axes.
#[derive(Clone, Debug, Module)]
pub struct RmsNorm {
    /// One factor per normalised element.
    pub weight: Option<Param>,
    /// The sizes of the axes that are normalised over.
    pub dims: Vec<usize>,
    /// Added to the mean square; the element type's epsilon if `None`.
    pub eps: Option<f64>,
}

impl RmsNorm {
    /// Over the last axis, of this size.
    #[track_caller]
    pub fn new(features: usize) -> RmsNorm {
        RmsNorm::over(&[features], None)
    }

    /// Over the last axes, of these sizes.
    #[track_caller]
    pub fn over(dims: &[usize], eps: Option<f64>) -> RmsNorm {
        RmsNorm {
            weight: Some(Param::new(Tensor::ones(dims.to_vec()))),
            dims: dims.to_vec(),
            eps,
        }
    }

    /// The same without factors.
    pub fn without_weights(self) -> RmsNorm {
        RmsNorm {
            weight: None,
            ..self
        }
    }
}

impl Layer for RmsNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = scope(&self.weight, "RmsNorm");
        let result = attempt(|| {
            expect_last("RmsNorm", "input", x, &dims(&self.dims))?;
            Ok(x.rms_norm(self.dims.len(), held(&self.weight).as_ref(), self.eps))
        });
        let text = || format!("RmsNorm{:?}", self.dims);
        shown(result, &[x], || layer(&self.weight, text()))
    }
}

/// Normalises groups of channels (axis 1) of each sample.
#[derive(Clone, Debug, Module)]
pub struct GroupNorm {
    /// One factor per channel.
    pub weight: Option<Param>,
    /// One summand per channel.
    pub bias: Option<Param>,
    /// How many groups.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl GroupNorm {
    /// So many groups, which must divide the channels evenly.
    #[track_caller]
    pub fn new(groups: usize, channels: usize, eps: f64) -> GroupNorm {
        let _scope = Scope::pin();
        let even = groups > 0 && channels.is_multiple_of(groups);
        let start = |tensor: Tensor| match even {
            true => Param::new(tensor),
            false => {
                let message = format!("{channels} channels do not form {groups} groups");
                failed(&bad_setting("GroupNorm", message))
            }
        };
        GroupNorm {
            weight: Some(start(Tensor::ones([channels]))),
            bias: Some(start(Tensor::zeros([channels]))),
            groups,
            eps,
        }
    }

    /// The same without summands.
    pub fn without_bias(self) -> GroupNorm {
        GroupNorm { bias: None, ..self }
    }

    /// The same without factors and summands.
    pub fn without_weights(self) -> GroupNorm {
        GroupNorm {
            weight: None,
            bias: None,
            ..self
        }
    }
}

impl Layer for GroupNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = scope(&self.weight, "GroupNorm");
        let (weight, bias) = (held(&self.weight), held(&self.bias));
        let result = x.group_norm(self.groups, weight.as_ref(), bias.as_ref(), self.eps);
        let text = || format!("GroupNorm with {} groups", self.groups);
        shown(result, &[x], || layer(&self.weight, text()))
    }
}

/// What a [`ChannelNorm`] consists of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct NormOptions {
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in what is collected; `None` weighs all batches alike.
    pub momentum: Option<f64>,
    /// With a trained factor per channel.
    pub affine: bool,
    /// With a trained summand per channel, beside the factor.
    pub bias: bool,
    /// Collects statistics while training, for use afterwards.
    pub tracked: bool,
}

/// Normalises each channel (axis 1) of `AXES` further axes: over the batch, or every sample for itself
/// (`INSTANCE`). What is collected in training takes the place of a batch's statistics afterwards.
#[derive(Clone, Debug)]
pub struct ChannelNorm<const AXES: usize, const INSTANCE: bool> {
    /// One factor per channel.
    pub weight: Option<Param>,
    /// One summand per channel.
    pub bias: Option<Param>,
    /// What has been collected: means, variances, and of how many batches.
    pub running: Option<[Buffer; 3]>,
    /// Added to the variance.
    pub eps: f64,
    /// Weight of the newest batch in what is collected; `None` weighs all batches alike.
    pub momentum: Option<f64>,
    mode: Mode,
}

/// Over batches of vectors, or along one axis.
pub type BatchNorm1d = ChannelNorm<1, false>;
/// Over batches, along two axes.
pub type BatchNorm2d = ChannelNorm<2, false>;
/// Over batches, along three axes.
pub type BatchNorm3d = ChannelNorm<3, false>;
/// Of each sample, along one axis.
pub type InstanceNorm1d = ChannelNorm<1, true>;
/// Of each sample, along two axes.
pub type InstanceNorm2d = ChannelNorm<2, true>;
/// Of each sample, along three axes.
pub type InstanceNorm3d = ChannelNorm<3, true>;

impl<const AXES: usize, const INSTANCE: bool> ChannelNorm<AXES, INSTANCE> {
    /// PyTorch's defaults: over batches with factors, summands and collected statistics, of each sample with
    /// none of these.
    pub const DEFAULTS: NormOptions = NormOptions {
        eps: 1e-5,
        momentum: Some(0.1),
        affine: !INSTANCE,
        bias: true,
        tracked: !INSTANCE,
    };

    const NAME: &str = if INSTANCE {
        "InstanceNorm"
    } else {
        "BatchNorm"
    };

    /// Of so many channels.
    #[track_caller]
    pub fn new(channels: usize) -> Self {
        Self::with(channels, &Self::DEFAULTS)
    }

    /// Of so many channels, with options.
    #[track_caller]
    pub fn with(channels: usize, options: &NormOptions) -> Self {
        let layer = Self::lazy(options);
        layer.settle(channels);
        layer
    }

    /// Of as many channels as the first call has.
    #[track_caller]
    pub fn lazy(options: &NormOptions) -> Self {
        let _scope = Scope::pin();
        let ones = |channels| Tensor::ones([channels]);
        let zeros = |channels| Tensor::zeros([channels]);
        ChannelNorm {
            weight: options.affine.then(|| Param::lazy(ones)),
            bias: (options.affine && options.bias).then(|| Param::lazy(zeros)),
            running: options.tracked.then(|| {
                let batches = Buffer::new(Tensor::full((), 0i64));
                [Buffer::lazy(zeros), Buffer::lazy(ones), batches]
            }),
            eps: options.eps,
            momentum: options.momentum,
            mode: Mode::default(),
        }
    }

    #[track_caller]
    fn settle(&self, channels: usize) {
        // Closures are handed on, through which callers are not tracked.
        let _scope = Scope::pin();
        let params = [&self.weight, &self.bias].into_iter().flatten();
        params.for_each(|param| param.settle(channels));
        let buffers = self.running.iter().flatten();
        buffers.for_each(|buffer| buffer.settle(channels));
    }

    /// The collected statistics, and how the newest batch counts in them. In training there is one more of
    /// these from now on.
    #[track_caller]
    fn collected(&self, training: bool) -> Result<Option<RunningStats>> {
        let Some([mean, var, batches]) = &self.running else {
            return Ok(None);
        };
        let count = batches.get() + i64::from(training);
        if training {
            batches.set(count.clone())?;
        }
        let momentum = match self.momentum {
            Some(share) => Argument::from(share),
            None => count.type_as(&mean.get()).reciprocal().into(),
        };
        let (mean, var) = (mean.cell().clone(), var.cell().clone());
        Ok(Some(RunningStats {
            mean,
            var,
            momentum,
        }))
    }

    /// How many channels it was made for, if it keeps anything for them.
    fn channels(&self) -> Option<Tensor> {
        let collected = self.running.as_ref().map(|[mean, ..]| mean.get());
        collected.or_else(|| held(&self.weight))
    }

    fn check_channels(&self, x: &Tensor) -> Result<()> {
        let Some(own) = self.channels() else {
            return Ok(());
        };
        let (own, given) = (own.dim(0).0?, x.dim(1).0?);
        if own.compare_eq(&given) != Some(false) {
            return Ok(());
        }
        let message = format!("the input has {given} channels, not {own}");
        let error = bad_shape(Self::NAME, message).operand(x.note("input"));
        Err(error.hint("axis 1 of the input has the channels: [batch, channels, places...]"))
    }

    #[track_caller]
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let lowest = match (INSTANCE, AXES) {
            (true, _) | (false, 1) => AXES + 1,
            (false, _) => AXES + 2,
        };
        expect_rank(Self::NAME, x, lowest..=AXES + 2)?;
        // One sample alone is a batch of one; vectors are channels already.
        let single = INSTANCE && x.rank()? == AXES + 1;
        let x = if single { x.unsqueeze(0) } else { x.clone() };
        let pending = |b: &[Buffer; 3]| b[0].is_pending();
        if self.weight.as_ref().is_some_and(Param::is_pending)
            || self.running.as_ref().is_some_and(pending)
        {
            self.settle(usize::try_from(x.dim(1).value()?).unwrap_or(0));
        }
        self.check_channels(&x)?;
        let training = self.mode.is_training();
        let running = self.collected(training)?;
        let (weight, bias) = (held(&self.weight), held(&self.bias));
        let (running, weight, bias) = (running.as_ref(), weight.as_ref(), bias.as_ref());
        if !INSTANCE {
            return Ok(x.batch_norm(
                running,
                weight,
                bias,
                training || running.is_none(),
                self.eps,
            ));
        }
        let own = training || running.is_none();
        let result = x.instance_norm(running, weight, bias, own, self.eps);
        Ok(if single { result.squeeze(0) } else { result })
    }
}

impl<const AXES: usize, const INSTANCE: bool> Module for ChannelNorm<AXES, INSTANCE> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        visitor.part("weight", &self.weight);
        visitor.part("bias", &self.bias);
        if let Some([mean, var, batches]) = &self.running {
            visitor.part("running_mean", mean);
            visitor.part("running_var", var);
            visitor.part("num_batches_tracked", batches);
        }
        visitor.part("mode", &self.mode);
    }
}

impl<const AXES: usize, const INSTANCE: bool> Layer for ChannelNorm<AXES, INSTANCE> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let kind = format!("{}{AXES}d", Self::NAME);
        let _scope = scope(&self.weight, &kind);
        shown(attempt(|| self.apply(x)), &[x], || {
            let channels = self.channels().and_then(|own| own.dim(0).value().ok());
            layer(
                &self.weight,
                channels.map_or(kind.clone(), |own| format!("{kind}({own})")),
            )
        })
    }
}

/// Opens the scope of the layer.
#[track_caller]
fn scope(weight: &Option<Param>, kind: &str) -> Scope {
    match weight {
        Some(weight) => weight.scope(kind),
        None => Scope::open(kind),
    }
}

/// The layer, to be shown with an error.
fn layer(weight: &Option<Param>, layer: String) -> OperandNote {
    match weight {
        Some(weight) => weight.layer(layer),
        None => OperandNote {
            role: "layer",
            ty: layer,
            place: None,
        },
    }
}

#[track_caller]
fn held(param: &Option<Param>) -> Option<Tensor> {
    param.as_ref().map(Param::get)
}

fn dims(sizes: &[usize]) -> Vec<Dim> {
    sizes.iter().map(|s| Dim::from(*s)).collect()
}
