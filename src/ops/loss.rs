//! Loss functions, as in torch.nn.functional.

use super::composite::{attempt, bad_argument, bad_dtype, bad_shape};
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::tensor::{Applied, Derivative, Tensor, composite};
use lazulite_ir::DType;
use std::f64::consts::PI;

/// What becomes of the losses of the elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reduction {
    /// They stay as they are.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum divided by the size of the first axis.
    BatchMean,
}

impl Reduction {
    #[track_caller]
    pub(super) fn apply(self, losses: &Tensor) -> Tensor {
        match self {
            Reduction::None => losses.clone(),
            Reduction::Mean => losses.mean(..),
            Reduction::Sum => losses.sum(..),
            Reduction::BatchMean => match losses.rank() {
                Ok(0) | Err(_) => losses.clone(),
                Ok(_) => losses.sum(..).div(Tensor::from_dim(losses.dim(0))),
            },
        }
    }
}

/// Options of [`Tensor::cross_entropy_with`] and [`Tensor::nll_loss`].
#[derive(Clone, Debug)]
pub struct ClassOptions {
    /// One factor per class.
    pub weight: Option<Tensor>,
    /// Targets of this class count nothing.
    pub ignore_index: i64,
    /// What becomes of the losses.
    pub reduction: Reduction,
    /// How much of the target's probability is spread over all classes.
    pub label_smoothing: f64,
}

impl Default for ClassOptions {
    fn default() -> ClassOptions {
        ClassOptions {
            weight: None,
            ignore_index: -100,
            reduction: Reduction::Mean,
            label_smoothing: 0.0,
        }
    }
}

impl Tensor {
    /// The cross entropy of logits (classes in axis 1, or the only axis) against classes (i64) or
    /// probabilities, with PyTorch's defaults.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let logits = Tensor::zeros([2, 4]);
    /// let loss = logits.cross_entropy(&Tensor::from_vec(vec![1i64, 3], [2]));
    /// assert!((loss.item::<f32>()? - 4f32.ln()).abs() < 1e-6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn cross_entropy(&self, target: &Tensor) -> Tensor {
        self.cross_entropy_with(target, &ClassOptions::default())
    }

    /// As [`Tensor::cross_entropy`], with options.
    #[track_caller]
    pub fn cross_entropy_with(&self, target: &Tensor, options: &ClassOptions) -> Tensor {
        let _indexed = Indexed::of("cross_entropy", Noun::Label, &[self, target]);
        let define = || {
            let classes = self.class_axis("cross_entropy")?;
            if !(0.0..=1.0).contains(&options.label_smoothing) {
                let message = format!("{} is not from 0 to 1", options.label_smoothing);
                return Err(bad_argument(
                    "cross_entropy",
                    format!("label smoothing {message}"),
                ));
            }
            if target.is_float() && options.ignore_index >= 0 {
                let message = "probabilities have no class to ignore";
                return Err(bad_argument("cross_entropy", message));
            }
            let log = self.log_softmax(classes);
            if target.is_float() {
                return log.cross_entropy_of_probabilities(target, classes, options);
            }
            if options.label_smoothing == 0.0 {
                return Ok(log.nll_loss(target, options));
            }
            let plain = ClassOptions {
                label_smoothing: 0.0,
                ..options.clone()
            };
            let hard = log.nll_loss(target, &plain);
            let (kept, counts) = log.class_weights("cross_entropy", target, options)?;
            let weighted = match &options.weight {
                Some(weight) => log.mul(log.per_class(weight, classes)?),
                None => log.clone(),
            };
            let spread = kept.where_(weighted.sum(classes).neg(), 0);
            let spread = match options.reduction {
                Reduction::Mean => spread.sum(..).div(counts.sum(..)),
                other => other.apply(&spread),
            };
            let count = self.dim(classes).value()? as f64;
            let eps = options.label_smoothing;
            Ok(hard.mul(1.0 - eps).add(spread.mul(eps / count)))
        };
        let mut operands = vec![self, target];
        operands.extend(&options.weight);
        let plain = Derivative::Definition;
        composite("cross_entropy", &[], plain, &operands, || attempt(define))
    }

    #[track_caller]
    fn cross_entropy_of_probabilities(
        &self,
        target: &Tensor,
        classes: i64,
        options: &ClassOptions,
    ) -> Result<Tensor> {
        if differ(&self.node()?.ty.dims, &target.node()?.ty.dims) {
            let error = bad_shape("cross_entropy", "there is one probability per logit");
            return Err(error
                .operand(self.note("self"))
                .operand(target.note("target"))
                .hint("targets of floats are probabilities; cast classes to i64"));
        }
        let count = self.dim(classes).value()? as f64;
        let eps = options.label_smoothing;
        let target = match eps == 0.0 {
            true => target.clone(),
            false => target.mul(1.0 - eps).add(eps / count),
        };
        let log = match &options.weight {
            Some(weight) => self.mul(self.per_class(weight, classes)?),
            None => self.clone(),
        };
        let losses = log.mul(target).sum(classes).neg();
        Ok(match options.reduction {
            // Per sample, whatever the weights.
            Reduction::Mean => losses.mean(..),
            other => other.apply(&losses),
        })
    }

    /// The axis of classes: 1, or the only one.
    fn class_axis(&self, op: &'static str) -> Result<i64> {
        match self.rank()? {
            0 => {
                let error = bad_shape(op, "a 0-d tensor has no classes");
                Err(error.operand(self.note("self")))
            }
            1 => Ok(0),
            _ => Ok(1),
        }
    }

    /// A vector of one number per class, to broadcast with this.
    #[track_caller]
    fn per_class(&self, weight: &Tensor, classes: i64) -> Result<Tensor> {
        if weight.dtype()? != self.dtype()? {
            return Err(bad_dtype("cross_entropy", weight).operand(self.note("self")));
        }
        if weight.rank()? != 1 || weight.known_size(0)? != self.known_size(classes as usize)? {
            let error = bad_shape("cross_entropy", "there is one weight per class");
            return Err(error
                .operand(self.note("self"))
                .operand(weight.note("weight")));
        }
        Ok(weight.along(classes as usize, self.rank()?))
    }

    /// Where targets count, and how much.
    #[track_caller]
    fn class_weights(
        &self,
        op: &'static str,
        target: &Tensor,
        options: &ClassOptions,
    ) -> Result<(Tensor, Tensor)> {
        let classes = self.class_axis(op)?;
        let mut wanted = self.node()?.ty.dims.clone();
        wanted.remove(classes as usize);
        if differ(&wanted, &target.node()?.ty.dims) || !target.dtype()?.is_int() {
            let sizes: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            let sizes = sizes.join(", ");
            let error = bad_shape(op, format!("targets are integers with sizes [{sizes}]"));
            return Err(error
                .operand(self.note("self"))
                .operand(target.note("target"))
                .hint(format!("axis {classes} of the scores has the classes; targets have one class for each of the others")));
        }
        let kept = target.ne(options.ignore_index);
        let ones = kept.cast(self.dtype()?);
        let counts = match &options.weight {
            Some(weight) => {
                self.per_class(weight, classes)?;
                kept.where_(weight.take(&kept.where_(target, 0)), ones)
            }
            None => ones,
        };
        let counts = kept.where_(counts, 0);
        Ok((kept, counts))
    }

    /// The negative log likelihood: this tensor holds logarithms of probabilities, classes in axis 1
    /// (or the only axis); `target` holds classes. `label_smoothing` is not used.
    #[track_caller]
    pub fn nll_loss(&self, target: &Tensor, options: &ClassOptions) -> Tensor {
        let _indexed = Indexed::of("nll_loss", Noun::Label, &[self, target]);
        attempt(|| {
            let classes = self.class_axis("nll_loss")?;
            let (kept, counts) = self.class_weights("nll_loss", target, options)?;
            let place = kept.where_(target, 0).cast(DType::I64).unsqueeze(classes);
            let picked = self.gather(classes, &place).squeeze(classes);
            let losses = kept.where_(picked.mul(&counts).neg(), 0);
            Ok(match options.reduction {
                Reduction::Mean => losses.sum(..).div(counts.sum(..)),
                other => other.apply(&losses),
            })
        })
    }

    /// Targets have the sizes of what they are compared with, or are one number: broadcasting a column against a row
    /// would compare every element with every target.
    fn check_target(&self, op: &'static str, target: &Tensor) -> Result<()> {
        let (own, given) = (&self.node()?.ty.dims, &target.node()?.ty.dims);
        if own.is_empty() || given.is_empty() || !differ(own, given) {
            return Ok(());
        }
        let error = bad_shape(op, "input and target have different sizes");
        Err(error
            .operand(self.note("self"))
            .operand(target.note("target"))
            .hint("reshape one of them, or broadcast it on purpose with `expand_as`"))
    }

    /// Absolute differences. As for the other losses that compare elements, the target has the same sizes or is one
    /// number: a column against a row would silently compare all with all.
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("l1_loss", target)?;
            Ok(reduction.apply(&self.sub(target).abs()))
        })
    }

    /// Squared differences.
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("mse_loss", target)?;
            Ok(reduction.apply(&self.sub(target).square()))
        })
    }

    /// Squared differences below `beta`, absolute ones above.
    #[track_caller]
    pub fn smooth_l1_loss(&self, target: &Tensor, beta: f64, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("smooth_l1_loss", target)?;
            if beta < 0.0 {
                return Err(bad_argument(
                    "smooth_l1_loss",
                    format!("beta {beta} is negative"),
                ));
            }
            let distance = self.sub(target).abs();
            if beta == 0.0 {
                return Ok(reduction.apply(&distance));
            }
            let near = distance.square().mul(0.5 / beta);
            let far = distance.sub(0.5 * beta);
            Ok(reduction.apply(&distance.lt(beta).where_(near, far)))
        })
    }

    /// Squared differences up to `delta`, absolute ones times `delta` beyond.
    #[track_caller]
    pub fn huber_loss(&self, target: &Tensor, delta: f64, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("huber_loss", target)?;
            if delta <= 0.0 {
                return Err(bad_argument(
                    "huber_loss",
                    format!("delta {delta} is not positive"),
                ));
            }
            let distance = self.sub(target).abs();
            let near = distance.square().mul(0.5);
            let far = distance.sub(0.5 * delta).mul(delta);
            Ok(reduction.apply(&distance.le(delta).where_(near, far)))
        })
    }

    /// The cross entropy of probabilities against probabilities of one class.
    #[track_caller]
    pub fn binary_cross_entropy(
        &self,
        target: &Tensor,
        weight: Option<&Tensor>,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            self.check_target("binary_cross_entropy", target)?;
            let pull = Derivative::Pullback(pull_binary_cross_entropy);
            let define = || {
                // Logarithms are kept finite, as PyTorch does.
                let log = |x: &Tensor| x.log().maximum(-100);
                let other = target.neg().add(1);
                let missed = other.mul(log(&self.neg().add(1)));
                target.mul(log(self)).add(missed).neg()
            };
            let losses = composite("binary_cross_entropy", &[], pull, &[self, target], define);
            Ok(reduction.apply(&weighted(losses, weight)))
        })
    }

    /// The binary cross entropy of logits; `pos_weight` multiplies the positive part.
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(
        &self,
        target: &Tensor,
        weight: Option<&Tensor>,
        pos_weight: Option<&Tensor>,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            self.check_target("binary_cross_entropy_with_logits", target)?;
            let positive = self.logsigmoid();
            let positive = match pos_weight {
                Some(factor) => positive.mul(factor),
                None => positive,
            };
            let negative = self.neg().logsigmoid();
            let hit = target.mul(positive).add(target.neg().add(1).mul(negative));
            Ok(reduction.apply(&weighted(hit.neg(), weight)))
        })
    }

    /// `target (log(target) - x)`, where this tensor holds logarithms; with `log_target` so does the target.
    #[track_caller]
    pub fn kl_div(&self, target: &Tensor, log_target: bool, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("kl_div", target)?;
            let losses = match log_target {
                true => target.exp().mul(target.sub(self)),
                false => target.xlogy(target).sub(target.mul(self)),
            };
            Ok(reduction.apply(&losses))
        })
    }

    /// The negative log likelihood of Poisson distributions; this tensor holds their means, or the logarithms
    /// of those. `full` adds Stirling's approximation of the term without the mean.
    #[track_caller]
    pub fn poisson_nll_loss(
        &self,
        target: &Tensor,
        log_input: bool,
        full: bool,
        eps: f64,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            self.check_target("poisson_nll_loss", target)?;
            let mut losses = match log_input {
                true => self.exp().sub(target.mul(self)),
                false => self.sub(target.mul(self.add(eps).log())),
            };
            if full {
                let root = target.mul(2.0 * PI).log().mul(0.5);
                let stirling = target.mul(target.log()).sub(target).add(root);
                losses = target.gt(1).where_(losses.add(stirling), losses);
            }
            Ok(reduction.apply(&losses))
        })
    }

    /// The negative log likelihood of normal distributions with these means and the variances `var`
    /// (at least `eps`); `full` adds the constant.
    #[track_caller]
    pub fn gaussian_nll_loss(
        &self,
        target: &Tensor,
        var: &Tensor,
        full: bool,
        eps: f64,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            let own = self.known_dims()?;
            let given = var.known_dims()?;
            // One variance per row stands for all its elements.
            let per_row = own.split_last().is_some_and(|(_, rows)| rows == given);
            let per_axis = given.len() == own.len() && given.last() == Some(&1);
            let var = if per_row && own != given {
                var.unsqueeze(-1)
            } else if own.ends_with(&given) || per_axis {
                var.clone()
            } else {
                let message = "there is one variance per element or row";
                let error = bad_shape("gaussian_nll_loss", message).operand(self.note("self"));
                return Err(error.operand(var.note("var")));
            };
            let var = var.maximum(eps);
            let distance = self.sub(target).square().div(&var);
            let losses = var.log().add(distance).mul(0.5);
            let losses = if full {
                losses.add(0.5 * (2.0 * PI).ln())
            } else {
                losses
            };
            Ok(reduction.apply(&losses))
        })
    }

    /// `log(1 + exp(-target x))`, targets 1 and -1.
    #[track_caller]
    pub fn soft_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("soft_margin_loss", target)?;
            Ok(reduction.apply(&self.mul(target).neg().exp().log1p()))
        })
    }

    /// x where the target is 1, `max(0, margin - x)` where it is -1.
    #[track_caller]
    pub fn hinge_embedding_loss(
        &self,
        target: &Tensor,
        margin: f64,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            self.check_target("hinge_embedding_loss", target)?;
            let far = self.neg().add(margin).maximum(0);
            let (zero, same, other) = (self.zeros_like(), target.eq(1), target.eq(-1));
            // A target that is neither counts on both sides, as in PyTorch.
            let losses = other.where_(&zero, self).add(same.where_(&zero, far));
            Ok(reduction.apply(&losses))
        })
    }

    /// `max(0, margin - target (x - other))`: which of two should be larger, by targets 1 and -1.
    #[track_caller]
    pub fn margin_ranking_loss(
        &self,
        other: &Tensor,
        target: &Tensor,
        margin: f64,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            if self.rank()? != other.rank()? || self.rank()? != target.rank()? {
                let error = bad_shape("margin_ranking_loss", "all three have the same rank");
                let error = error
                    .operand(self.note("self"))
                    .operand(other.note("other"));
                return Err(error.operand(target.note("target")));
            }
            let losses = self.sub(other).mul(target).neg().add(margin).maximum(0);
            Ok(reduction.apply(&losses))
        })
    }

    /// The cosine of the angle between vectors along an axis; lengths are at least `eps`.
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, axis: i64, eps: f64) -> Tensor {
        attempt(|| {
            let (x, y) = (self.broadcast_with(other), other.broadcast_with(self));
            let (x, y) = (x.to_floating(), y.to_floating());
            let length = |t: &Tensor| {
                let norm = t.vector_norm(2.0, axis);
                t.keep_axes(&norm, axis).maximum(eps)
            };
            Ok(x.div(length(&x)).mul(y.div(length(&y))).sum(axis))
        })
    }

    /// `1 - cos` where the target is 1, `max(0, cos - margin)` where it is -1.
    #[track_caller]
    pub fn cosine_embedding_loss(
        &self,
        other: &Tensor,
        target: &Tensor,
        margin: f64,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            let (x, y) = (self.to_floating(), other.to_floating());
            // Not the clamped cosine: both squared lengths get a small addend.
            let dot = x.mul(&y).sum(-1);
            let lengths = x
                .square()
                .sum(-1)
                .add(1e-12)
                .mul(y.square().sum(-1).add(1e-12));
            let cosine = dot.div(lengths.sqrt());
            let (zero, apart) = (cosine.zeros_like(), cosine.sub(margin).maximum(0));
            let same = target.eq(1).where_(cosine.neg().add(1), &zero);
            let different = target.eq(-1).where_(apart, zero);
            Ok(reduction.apply(&same.add(different)))
        })
    }

    /// The `p`-norm of the difference plus `eps`, along the last axis.
    #[track_caller]
    pub fn pairwise_distance(&self, other: &Tensor, p: f64, eps: f64) -> Tensor {
        attempt(|| Ok(self.sub(other).add(eps).vector_norm(p, -1)))
    }

    /// How much nearer the positive example should be than the negative one, in the `p`-norm; with
    /// `swap` the distance between both examples counts, too.
    #[track_caller]
    pub fn triplet_margin_loss(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        options: &TripletOptions,
    ) -> Tensor {
        let distance = |x: &Tensor, y: &Tensor| x.pairwise_distance(y, options.p, options.eps);
        self.triplet_margin_with_distance_loss(positive, negative, distance, options)
    }

    /// As [`Tensor::triplet_margin_loss`], with any distance.
    #[track_caller]
    pub fn triplet_margin_with_distance_loss(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        distance: impl Fn(&Tensor, &Tensor) -> Tensor,
        options: &TripletOptions,
    ) -> Tensor {
        attempt(|| {
            let ranks = (self.rank()?, positive.rank()?, negative.rank()?);
            if ranks.0 != ranks.1 || ranks.0 != ranks.2 || options.margin <= 0.0 {
                let message = "the three have the same rank, and the margin is positive";
                let error = bad_argument("triplet_margin_loss", message);
                let error = error.operand(self.note("anchor"));
                return Err(error
                    .operand(positive.note("positive"))
                    .operand(negative.note("negative")));
            }
            let near = distance(self, positive);
            let far = distance(self, negative);
            let far = match options.swap {
                true => far.minimum(distance(positive, negative)),
                false => far,
            };
            let losses = near.sub(far).add(options.margin).maximum(0);
            Ok(options.reduction.apply(&losses))
        })
    }

    /// `max(0, margin - x[target] + x[i])^p` summed over the other classes, divided by the number of
    /// classes.
    #[track_caller]
    pub fn multi_margin_loss(
        &self,
        target: &Tensor,
        p: i64,
        margin: f64,
        weight: Option<&Tensor>,
        reduction: Reduction,
    ) -> Tensor {
        let _indexed = Indexed::of("multi_margin_loss", Noun::Label, &[self, target]);
        attempt(|| {
            if p != 1 && p != 2 {
                return Err(bad_argument(
                    "multi_margin_loss",
                    format!("p is {p}, not 1 or 2"),
                ));
            }
            let (x, target, single) = self.samples("multi_margin_loss", target)?;
            let place = target.unsqueeze(-1);
            let own = x.gather(-1, &place);
            let mut losses = x.sub(own).add(margin).maximum(0);
            if p == 2 {
                losses = losses.square();
            }
            if let Some(weight) = weight {
                if weight.known_dims()? != [x.known_size(1)?] {
                    let error = bad_shape("multi_margin_loss", "there is one weight per class");
                    return Err(error.operand(weight.note("weight")));
                }
                losses = losses.mul(weight.take(&target).unsqueeze(-1));
            }
            let others = x.positions(1)?.ne(place);
            let losses = others.where_(losses, 0).mean(-1);
            Ok(reduction.apply(&if single { losses.squeeze(0) } else { losses }))
        })
    }

    /// Rows of classes and their targets; a vector is one row.
    #[track_caller]
    fn samples(&self, op: &'static str, target: &Tensor) -> Result<(Tensor, Tensor, bool)> {
        let (own, given) = (self.known_dims()?, target.known_dims()?);
        let rows = match own.len() {
            0 | 1 => 1,
            _ => own[0],
        };
        let fits = own.len() <= 2
            && own.last() != Some(&0)
            && (given == [rows] || (given.is_empty() && own.len() <= 1));
        if !fits || !target.dtype()?.is_int() {
            let error = bad_shape(op, "there is one target class for each row of classes");
            return Err(error
                .operand(self.note("self"))
                .operand(target.note("target")));
        }
        let single = given.is_empty();
        Ok((self.atleast_2d(), target.atleast_1d(), single))
    }

    /// `sum(max(0, 1 - (x[j] - x[i])))` over target classes j and other classes i, divided by the number of
    /// classes. Targets are classes, up to the first -1.
    #[track_caller]
    pub fn multilabel_margin_loss(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        let _indexed = Indexed::of("multilabel_margin_loss", Noun::Label, &[self, target]);
        attempt(|| {
            let (own, given) = (self.known_dims()?, target.known_dims()?);
            if own != given || own.len() > 2 || own.last() == Some(&0) || !target.dtype()?.is_int()
            {
                let error = bad_shape("multilabel_margin_loss", "there is one target per class");
                return Err(error
                    .operand(self.note("self"))
                    .operand(target.note("target")));
            }
            let (x, target) = (self.atleast_2d(), target.atleast_2d().cast(DType::I64));
            let listed = target.lt(0).cast(DType::I64).cumsum(1).eq(0);
            let place = listed.where_(&target, 0);
            // Whether class i is among the listed targets.
            let classes = x.positions(1)?.unsqueeze(1);
            let hits = place
                .unsqueeze(-1)
                .eq(classes)
                .bitwise_and(listed.unsqueeze(-1));
            let is_target = hits.any(1);
            let own = x.gather(1, &place);
            let losses = x.unsqueeze(1).sub(own.unsqueeze(-1)).add(1).maximum(0);
            let counts = listed
                .unsqueeze(-1)
                .bitwise_and(is_target.unsqueeze(1).logical_not());
            let size = x.dim(-1).value()? as f64;
            let losses = counts.where_(losses, 0).sum([1, 2]).div(size);
            let single = self.rank()? < 2;
            Ok(reduction.apply(&if single { losses.squeeze(0) } else { losses }))
        })
    }

    /// The binary cross entropy of logits against targets 0 and 1, averaged over classes.
    #[track_caller]
    pub fn multilabel_soft_margin_loss(
        &self,
        target: &Tensor,
        weight: Option<&Tensor>,
        reduction: Reduction,
    ) -> Tensor {
        attempt(|| {
            let other = target.neg().add(1);
            let hit = target
                .mul(self.logsigmoid())
                .add(other.mul(self.neg().logsigmoid()));
            Ok(reduction.apply(&weighted(hit.neg(), weight).mean(-1)))
        })
    }
}

/// Options of the triplet losses.
#[derive(Clone, Copy, Debug)]
pub struct TripletOptions {
    /// By how much the negative example should be farther.
    pub margin: f64,
    /// The norm.
    pub p: f64,
    /// Added to differences.
    pub eps: f64,
    /// The nearer of anchor and positive example counts as the anchor.
    pub swap: bool,
    /// What becomes of the losses.
    pub reduction: Reduction,
}

impl Default for TripletOptions {
    fn default() -> TripletOptions {
        TripletOptions {
            margin: 1.0,
            p: 2.0,
            eps: 1e-6,
            swap: false,
            reduction: Reduction::Mean,
        }
    }
}

#[track_caller]
/// Finite where a probability is 0 or 1, as PyTorch's.
fn pull_binary_cross_entropy(at: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (x, target, g) = (&at.operands[0], &at.operands[1], &at.flow[0]);
    let other = x.neg().add(1);
    let slope = x.sub(target).div(other.mul(x).maximum(1e-12));
    let with_target = other.log().sub(x.log());
    Ok(vec![
        g.mul(slope).cast(x.dtype()?),
        g.mul(with_target).cast(target.dtype()?),
    ])
}

/// True when sizes are known not to be the same; unknown ones are compared where they meet.
fn differ(a: &[lazulite_ir::Dim], b: &[lazulite_ir::Dim]) -> bool {
    a.len() != b.len() || { a.iter().zip(b) }.any(|(a, b)| a.compare_eq(b) == Some(false))
}

fn weighted(losses: Tensor, weight: Option<&Tensor>) -> Tensor {
    match weight {
        Some(weight) => losses.mul(weight),
        None => losses,
    }
}
