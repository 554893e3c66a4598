//! Losses as modules: what a function of results and targets does, with its settings as fields.

use super::check::{bad_setting, failed};
use super::param::Buffer;
use super::{Layer, Linear, Module};
use crate::location::Scope;
use crate::ops::{ClassOptions, Reduction, TripletOptions};
use crate::tensor::Tensor;

macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident
        { $($(#[$about:meta])* $field:ident: $ty:ty = $default:expr,)+ }
        => |$loss:ident, $x:ident $(, $operand:ident)+| $forward:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            $($(#[$about])* pub $field: $ty,)+
            /// What becomes of the losses of the elements.
            pub reduction: Reduction,
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)+ reduction: Reduction::Mean }
            }
        }

        losses!(@ $name => |$loss, $x $(, $operand)+| $forward);
    )*};
    ($($(#[$doc:meta])* $name:ident => |$loss:ident, $x:ident $(, $operand:ident)+| $forward:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Default, Debug, Module)]
        pub struct $name {
            /// What becomes of the losses of the elements.
            pub reduction: Reduction,
        }

        losses!(@ $name => |$loss, $x $(, $operand)+| $forward);
    )*};
    (@ $name:ident => |$loss:ident, $x:ident $(, $operand:ident)+| $forward:expr) => {
        impl $name {
            /// The loss.
            #[track_caller]
            pub fn forward(&self, $x: &Tensor $(, $operand: &Tensor)+) -> Tensor {
                let _scope = Scope::open(stringify!($name));
                let $loss = self;
                $forward
            }
        }
    };
}

losses! {
    /// Absolute differences.
    L1Loss => |loss, x, target| x.l1_loss_with(target, loss.reduction);
    /// Squared differences.
    MseLoss => |loss, x, target| x.mse_loss_with(target, loss.reduction);
    /// `log(1 + exp(-target x))`, targets 1 and -1.
    SoftMarginLoss => |loss, x, target| x.soft_margin_loss_with(target, loss.reduction);
    /// How much larger target classes should be than others, by at least 1. Targets are classes, up to the
    /// first -1.
    MultiLabelMarginLoss => |loss, x, target| x.multilabel_margin_loss_with(target, loss.reduction);
}

losses! {
    /// Squared differences when small, absolute ones when large.
    SmoothL1Loss {
        /// Where they become absolute.
        beta: f64 = 1.0,
    } => |loss, x, target| x.smooth_l1_loss_with(target, loss.beta, loss.reduction);
    /// Squared differences when small, absolute ones times `delta` when large.
    HuberLoss {
        /// Where they become absolute.
        delta: f64 = 1.0,
    } => |loss, x, target| x.huber_loss_with(target, loss.delta, loss.reduction);
    /// The cross entropy of probabilities against probabilities of one class.
    BceLoss {
        /// Factors of the elements' losses.
        weight: Option<Buffer> = None,
    } => |loss, x, target| x.binary_cross_entropy_with(target, held(&loss.weight).as_ref(), loss.reduction);
    /// The cross entropy of logits against probabilities of one class.
    BceWithLogitsLoss {
        /// Factors of the elements' losses.
        weight: Option<Buffer> = None,
        /// Factors of the positive part.
        pos_weight: Option<Buffer> = None,
    } => |loss, x, target| {
        let (weight, positive) = (held(&loss.weight), held(&loss.pos_weight));
        let (weight, positive) = (weight.as_ref(), positive.as_ref());
        x.binary_cross_entropy_with_logits_with(target, weight, positive, loss.reduction)
    };
    /// The cross entropy of logits against classes or probabilities.
    CrossEntropyLoss {
        /// One factor per class.
        weight: Option<Buffer> = None,
        /// Targets of this class count nothing.
        ignore_index: i64 = -100,
        /// How much of the target's probability is spread over all classes.
        label_smoothing: f64 = 0.0,
    } => |loss, x, target| x.cross_entropy_with(target, &ClassOptions {
        weight: held(&loss.weight),
        ignore_index: loss.ignore_index,
        reduction: loss.reduction,
        label_smoothing: loss.label_smoothing,
    });
    /// The negative log likelihood: x holds logarithms of probabilities, the target classes.
    NllLoss {
        /// One factor per class.
        weight: Option<Buffer> = None,
        /// Targets of this class count nothing.
        ignore_index: i64 = -100,
    } => |loss, x, target| x.nll_loss_with(target, &ClassOptions {
        weight: held(&loss.weight),
        ignore_index: loss.ignore_index,
        reduction: loss.reduction,
        label_smoothing: 0.0,
    });
    /// How far distributions, given by logarithms, are from target distributions.
    KlDivLoss {
        /// Targets are logarithms as well.
        log_target: bool = false,
    } => |loss, x, target| x.kl_div_with(target, loss.log_target, loss.reduction);
    /// The negative log likelihood of Poisson distributions.
    PoissonNllLoss {
        /// x holds logarithms of means, not means.
        log_input: bool = true,
        /// Adds an approximation of the term without the mean.
        full: bool = false,
        /// Added to means before their logarithm is taken.
        eps: f64 = 1e-8,
    } => |loss, x, target| {
        x.poisson_nll_loss_with(target, loss.log_input, loss.full, loss.eps, loss.reduction)
    };
    /// The negative log likelihood of normal distributions with means x and variances.
    GaussianNllLoss {
        /// Adds the constant.
        full: bool = false,
        /// The least variance.
        eps: f64 = 1e-6,
    } => |loss, x, target, variance| {
        x.gaussian_nll_loss_with(target, variance, loss.full, loss.eps, loss.reduction)
    };
    /// x where the target is 1, what it lacks to the margin where it is -1.
    HingeEmbeddingLoss {
        /// The margin.
        margin: f64 = 1.0,
    } => |loss, x, target| x.hinge_embedding_loss_with(target, loss.margin, loss.reduction);
    /// Which of two should be larger, by targets 1 and -1.
    MarginRankingLoss {
        /// By how much.
        margin: f64 = 0.0,
    } => |loss, x, other, target| x.margin_ranking_loss_with(other, target, loss.margin, loss.reduction);
    /// Vectors that should point the same way or not, by targets 1 and -1.
    CosineEmbeddingLoss {
        /// The cosine up to which vectors count as different.
        margin: f64 = 0.0,
    } => |loss, x, other, target| {
        x.cosine_embedding_loss_with(other, target, loss.margin, loss.reduction)
    };
    /// By how much the target class should be larger than the others.
    MultiMarginLoss {
        /// The power of what is lacking, 1 or 2.
        p: i64 = 1,
        /// The margin.
        margin: f64 = 1.0,
        /// One factor per class.
        weight: Option<Buffer> = None,
    } => |loss, x, target| {
        let weight = held(&loss.weight);
        x.multi_margin_loss_with(target, loss.p, loss.margin, weight.as_ref(), loss.reduction)
    };
    /// The binary cross entropy of logits against targets 0 and 1, averaged over classes.
    MultiLabelSoftMarginLoss {
        /// Factors of the classes' losses.
        weight: Option<Buffer> = None,
    } => |loss, x, target| {
        x.multilabel_soft_margin_loss_with(target, held(&loss.weight).as_ref(), loss.reduction)
    };
    /// How much nearer the positive example should be than the negative one.
    TripletMarginLoss {
        /// By how much.
        margin: f64 = 1.0,
        /// The norm of distances.
        p: f64 = 2.0,
        /// Added to differences.
        eps: f64 = 1e-6,
        /// The nearer of anchor and positive example counts as the anchor.
        swap: bool = false,
    } => |loss, anchor, positive, negative| anchor.triplet_margin_loss_with(positive, negative, &TripletOptions {
        margin: loss.margin,
        p: loss.p,
        eps: loss.eps,
        swap: loss.swap,
        reduction: loss.reduction,
    });
}

/// The negative log likelihood of label sequences under connectionist temporal classification.
#[derive(Clone, Default, Debug, Module)]
pub struct CtcLoss {
    /// The class of the blank.
    pub blank: i64,
    /// Infinite losses, of sequences that are too short, become 0.
    pub zero_infinity: bool,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl CtcLoss {
    /// The loss of logarithms of probabilities (time, batch, classes) against rows of classes, or all classes
    /// one after the other; with the lengths of both.
    #[track_caller]
    pub fn forward(
        &self,
        x: &Tensor,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
    ) -> Tensor {
        let _scope = Scope::open("CtcLoss");
        let (blank, zero) = (self.blank, self.zero_infinity);
        x.ctc_loss_with(
            targets,
            input_lengths,
            target_lengths,
            blank,
            self.reduction,
            zero,
        )
    }
}

/// A linear map to logits, and the cross entropy of these.
#[derive(Clone, Debug, Module)]
pub struct LinearCrossEntropyLoss {
    /// The map; its outputs are the classes, each with all further axes of the logits.
    pub linear: Linear,
    /// One factor per class.
    pub weight: Option<Buffer>,
    /// The sizes of the logits' axes: classes, and what is behind them.
    logits: Vec<usize>,
    #[module(skip)]
    options: ClassOptions,
}

impl LinearCrossEntropyLoss {
    /// From so many features to so many classes, without a bias.
    #[track_caller]
    pub fn new(features: usize, classes: usize) -> LinearCrossEntropyLoss {
        let linear = Linear::new(features, classes).without_bias();
        LinearCrossEntropyLoss::with(linear, &[classes], &ClassOptions::default())
    }

    /// With this map; its outputs are the logits, with axes of these sizes: classes, and what is behind them.
    #[track_caller]
    pub fn with(
        linear: Linear,
        logits: &[usize],
        options: &ClassOptions,
    ) -> LinearCrossEntropyLoss {
        let smoothing = options.label_smoothing;
        let linear = match (0.0..=1.0).contains(&smoothing) {
            true => linear,
            false => {
                let message = format!("label smoothing {smoothing} is not from 0 to 1");
                let weight = failed(&bad_setting("LinearCrossEntropyLoss", message));
                Linear { weight, ..linear }
            }
        };
        LinearCrossEntropyLoss {
            linear,
            weight: options.weight.clone().map(Buffer::new),
            logits: logits.to_vec(),
            options: options.clone(),
        }
    }

    /// The loss.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::open("LinearCrossEntropyLoss");
        let logits = self.linear.forward(x);
        let logits = match self.logits.len() {
            0 | 1 => logits,
            _ => logits.unflatten(-1, &self.logits),
        };
        let options = ClassOptions {
            weight: held(&self.weight),
            ..self.options.clone()
        };
        logits.cross_entropy_with(target, &options)
    }
}

#[track_caller]
fn held(buffer: &Option<Buffer>) -> Option<Tensor> {
    buffer.as_ref().map(Buffer::get)
}
