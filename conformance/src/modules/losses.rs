//! Losses.

use super::{Entry, Made, module};
use crate::call::{Bound, Done, Refusal};
use lazulite::nn::{self, Buffer};

pub(super) const TABLE: &[Entry] = &[
    module("nn.L1Loss", PLAIN, |a| {
        let reduction = a.reduction()?;
        loss(nn::L1Loss { reduction }, nn::L1Loss::forward)
    }),
    module("nn.MSELoss", PLAIN, |a| {
        let reduction = a.reduction()?;
        loss(nn::MseLoss { reduction }, nn::MseLoss::forward)
    }),
    module("nn.SoftMarginLoss", PLAIN, |a| {
        let reduction = a.reduction()?;
        loss(
            nn::SoftMarginLoss { reduction },
            nn::SoftMarginLoss::forward,
        )
    }),
    module("nn.MultiLabelMarginLoss", PLAIN, |a| {
        let reduction = a.reduction()?;
        loss(
            nn::MultiLabelMarginLoss { reduction },
            nn::MultiLabelMarginLoss::forward,
        )
    }),
    module(
        "nn.SmoothL1Loss",
        "size_average=None, reduce=None, reduction='mean', beta=1.0",
        |a| {
            let (beta, reduction) = (a.float("beta")?, a.reduction()?);
            loss(
                nn::SmoothL1Loss { beta, reduction },
                nn::SmoothL1Loss::forward,
            )
        },
    ),
    module("nn.HuberLoss", "reduction='mean', delta=1.0", |a| {
        let (delta, reduction) = (a.float("delta")?, a.reduction()?);
        loss(nn::HuberLoss { delta, reduction }, nn::HuberLoss::forward)
    }),
    module("nn.BCELoss", WEIGHTED, |a| {
        let (weight, reduction) = (buffer(a, "weight")?, a.reduction()?);
        loss(nn::BceLoss { weight, reduction }, nn::BceLoss::forward)
    }),
    module(
        "nn.BCEWithLogitsLoss",
        "weight=None, size_average=None, reduce=None, reduction='mean', pos_weight=None",
        |a| {
            let made = nn::BceWithLogitsLoss {
                weight: buffer(a, "weight")?,
                pos_weight: buffer(a, "pos_weight")?,
                reduction: a.reduction()?,
            };
            loss(made, nn::BceWithLogitsLoss::forward)
        },
    ),
    module(
        "nn.CrossEntropyLoss",
        "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean', \
         label_smoothing=0.0",
        |a| {
            let made = nn::CrossEntropyLoss {
                weight: buffer(a, "weight")?,
                ignore_index: a.int("ignore_index")?,
                label_smoothing: a.float("label_smoothing")?,
                reduction: a.reduction()?,
            };
            loss(made, nn::CrossEntropyLoss::forward)
        },
    ),
    module(
        "nn.NLLLoss",
        "weight=None, size_average=None, ignore_index=-100, reduce=None, reduction='mean'",
        |a| {
            let made = nn::NllLoss {
                weight: buffer(a, "weight")?,
                ignore_index: a.int("ignore_index")?,
                reduction: a.reduction()?,
            };
            loss(made, nn::NllLoss::forward)
        },
    ),
    module(
        "nn.KLDivLoss",
        "size_average=None, reduce=None, reduction='mean', log_target=False",
        |a| {
            let (log_target, reduction) = (a.flag("log_target")?, a.reduction()?);
            let made = nn::KlDivLoss {
                log_target,
                reduction,
            };
            loss(made, nn::KlDivLoss::forward)
        },
    ),
    module(
        "nn.PoissonNLLLoss",
        "log_input=True, full=False, size_average=None, eps=1e-08, reduce=None, reduction='mean'",
        |a| {
            let made = nn::PoissonNllLoss {
                log_input: a.flag("log_input")?,
                full: a.flag("full")?,
                eps: a.float("eps")?,
                reduction: a.reduction()?,
            };
            loss(made, nn::PoissonNllLoss::forward)
        },
    ),
    module(
        "nn.GaussianNLLLoss",
        "*, full=False, eps=1e-06, reduction='mean'",
        |a| {
            let made = nn::GaussianNllLoss {
                full: a.flag("full")?,
                eps: a.float("eps")?,
                reduction: a.reduction()?,
            };
            Ok(Made::new(made, "input, target, var", |loss, a| {
                let (target, var) = (a.tensor("target")?, a.scalar_or_tensor("var")?);
                loss.forward(&a.input()?, &target, &var).done()
            }))
        },
    ),
    module(
        "nn.HingeEmbeddingLoss",
        "margin=1.0, size_average=None, reduce=None, reduction='mean'",
        |a| {
            let (margin, reduction) = (a.float("margin")?, a.reduction()?);
            let made = nn::HingeEmbeddingLoss { margin, reduction };
            loss(made, nn::HingeEmbeddingLoss::forward)
        },
    ),
    module("nn.MarginRankingLoss", MARGIN, |a| {
        let (margin, reduction) = (a.float("margin")?, a.reduction()?);
        let made = nn::MarginRankingLoss { margin, reduction };
        Ok(Made::new(made, "input1, input2, target", |loss, a| {
            let (other, target) = (a.tensor("input2")?, a.tensor("target")?);
            loss.forward(&a.input()?, &other, &target).done()
        }))
    }),
    module("nn.CosineEmbeddingLoss", MARGIN, |a| {
        let (margin, reduction) = (a.float("margin")?, a.reduction()?);
        let made = nn::CosineEmbeddingLoss { margin, reduction };
        Ok(Made::new(made, "input1, input2, target", |loss, a| {
            let (other, target) = (a.tensor("input2")?, a.tensor("target")?);
            loss.forward(&a.input()?, &other, &target).done()
        }))
    }),
    module(
        "nn.MultiMarginLoss",
        "p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction='mean'",
        |a| {
            let made = nn::MultiMarginLoss {
                p: a.int("p")?,
                margin: a.float("margin")?,
                weight: buffer(a, "weight")?,
                reduction: a.reduction()?,
            };
            loss(made, nn::MultiMarginLoss::forward)
        },
    ),
    module("nn.MultiLabelSoftMarginLoss", WEIGHTED, |a| {
        let (weight, reduction) = (buffer(a, "weight")?, a.reduction()?);
        let made = nn::MultiLabelSoftMarginLoss { weight, reduction };
        loss(made, nn::MultiLabelSoftMarginLoss::forward)
    }),
    module(
        "nn.TripletMarginLoss",
        "margin=1.0, p=2.0, eps=1e-06, swap=False, size_average=None, reduce=None, reduction='mean'",
        |a| {
            let made = nn::TripletMarginLoss {
                margin: a.float("margin")?,
                p: a.float("p")?,
                eps: a.float("eps")?,
                swap: a.flag("swap")?,
                reduction: a.reduction()?,
            };
            Ok(Made::new(made, "anchor, positive, negative", |loss, a| {
                let (positive, negative) = (a.tensor("positive")?, a.tensor("negative")?);
                loss.forward(&a.input()?, &positive, &negative).done()
            }))
        },
    ),
    module(
        "nn.CTCLoss",
        "blank=0, reduction='mean', zero_infinity=False",
        |a| {
            let made = nn::CtcLoss {
                blank: a.int("blank")?,
                zero_infinity: a.flag("zero_infinity")?,
                reduction: a.reduction()?,
            };
            let parameters = "log_probs, targets, input_lengths, target_lengths";
            Ok(Made::new(made, parameters, |loss, a| {
                let (inputs, ends) = (a.lengths("input_lengths")?, a.lengths("target_lengths")?);
                loss.forward(&a.input()?, &a.tensor("targets")?, &inputs, &ends)
                    .done()
            }))
        },
    ),
    module(
        "nn.LinearCrossEntropyLoss",
        "in_features, num_classes, *, out_features=(), bias=False, device=None, dtype=None, \
         reduction='mean', weight=None, ignore_index=None, label_smoothing=0.0, options=None",
        linear_cross_entropy,
    ),
];

const PLAIN: &str = "size_average=None, reduce=None, reduction='mean'";
const WEIGHTED: &str = "weight=None, size_average=None, reduce=None, reduction='mean'";
const MARGIN: &str = "margin=0.0, size_average=None, reduce=None, reduction='mean'";

fn buffer(a: &Bound, name: &str) -> Result<Option<Buffer>, Refusal> {
    Ok(a.opt_tensor(name)?.map(Buffer::new))
}

/// A loss of results and targets.
fn loss<M: nn::Module + Clone + 'static>(
    loss: M,
    forward: fn(&M, &lazulite::Tensor, &lazulite::Tensor) -> lazulite::Tensor,
) -> Result<Made, Refusal> {
    Ok(Made::new(loss, "input, target", move |loss, a| {
        forward(loss, &a.input()?, &a.tensor("target")?).done()
    }))
}

fn linear_cross_entropy(a: &Bound) -> Result<Made, Refusal> {
    let mut logits = vec![a.count("num_classes")?];
    logits.extend(a.counts("out_features")?);
    let (features, outputs) = (a.count("in_features")?, logits.iter().product());
    let linear = match a.flag("bias")? {
        true => nn::Linear::new(features, outputs),
        false => nn::Linear::new(features, outputs).without_bias(),
    };
    let made = nn::LinearCrossEntropyLoss::with(linear, &logits, &a.classes()?);
    loss(made, nn::LinearCrossEntropyLoss::forward)
}
