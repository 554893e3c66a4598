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
                return Ok(log.nll_loss_with(target, options));
            }
            let plain = ClassOptions {
                label_smoothing: 0.0,
                ..options.clone()
            };
            let hard = log.nll_loss_with(target, &plain);
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

    /// The mean negative log likelihood: this tensor holds logarithms of probabilities, classes in axis 1 (or the only
    /// axis); `target` holds classes.
    #[track_caller]
    pub fn nll_loss(&self, target: &Tensor) -> Tensor {
        self.nll_loss_with(target, &ClassOptions::default())
    }

    /// As [`Tensor::nll_loss`], with options, of which `label_smoothing` is not used.
    #[track_caller]
    pub fn nll_loss_with(&self, target: &Tensor, options: &ClassOptions) -> Tensor {
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
    pub(super) fn check_target(&self, op: &'static str, target: &Tensor) -> Result<()> {
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

    /// The mean absolute difference. As for the other losses that compare elements, the target has the same sizes or
    /// is one number: a column against a row would silently compare all with all.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (x, y) = (Tensor::from([1.0f32, 2.0]), Tensor::from([0.0f32, 5.0]));
    /// assert_eq!(x.l1_loss(&y).item::<f32>()?, 2.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("mean_absolute_error"))]
    #[track_caller]
    pub fn l1_loss(&self, target: &Tensor) -> Tensor {
        self.l1_loss_with(target, Reduction::Mean)
    }

    /// As [`Tensor::l1_loss`], with a reduction.
    #[track_caller]
    pub fn l1_loss_with(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("l1_loss", target)?;
            Ok(reduction.apply(&self.sub(target).abs()))
        })
    }

    /// The mean squared difference.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// use lazulite::Reduction;
    /// let (x, y) = (Tensor::from([1.0f32, 2.0]), Tensor::from([0.0f32, 5.0]));
    /// assert_eq!(x.mse_loss(&y).item::<f32>()?, 5.0);
    /// assert_eq!(x.mse_loss_with(&y, Reduction::Sum).item::<f32>()?, 10.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn mse_loss(&self, target: &Tensor) -> Tensor {
        self.mse_loss_with(target, Reduction::Mean)
    }

    /// As [`Tensor::mse_loss`], with a reduction.
    #[track_caller]
    pub fn mse_loss_with(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("mse_loss", target)?;
            Ok(reduction.apply(&self.sub(target).square()))
        })
    }

    /// The mean of half the squared differences below 1, and of absolute ones less a half above.
    #[track_caller]
    pub fn smooth_l1_loss(&self, target: &Tensor) -> Tensor {
        self.smooth_l1_loss_with(target, 1.0, Reduction::Mean)
    }

    /// As [`Tensor::smooth_l1_loss`], with a reduction; squared differences are divided by twice `beta`, up to which they
    /// are taken.
    #[track_caller]
    pub fn smooth_l1_loss_with(&self, target: &Tensor, beta: f64, reduction: Reduction) -> Tensor {
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

    /// The mean of half the squared differences up to 1, and of absolute ones less a half beyond.
    #[track_caller]
    pub fn huber_loss(&self, target: &Tensor) -> Tensor {
        self.huber_loss_with(target, 1.0, Reduction::Mean)
    }

    /// As [`Tensor::huber_loss`], with a reduction and another limit `delta`, by which absolute differences are multiplied.
    #[track_caller]
    pub fn huber_loss_with(&self, target: &Tensor, delta: f64, reduction: Reduction) -> Tensor {
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

    /// The mean cross entropy of probabilities against probabilities of one class.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (x, y) = (Tensor::from([0.5f32, 0.25]), Tensor::from([1.0f32, 0.0]));
    /// let loss = x.binary_cross_entropy(&y).item::<f32>()?;
    /// assert!((loss - (2f32.ln() - 0.75f32.ln()) / 2.0).abs() < 1e-6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("bce_loss"))]
    #[track_caller]
    pub fn binary_cross_entropy(&self, target: &Tensor) -> Tensor {
        self.binary_cross_entropy_with(target, None, Reduction::Mean)
    }

    /// As [`Tensor::binary_cross_entropy`], with factors of the elements' losses, and a reduction.
    #[track_caller]
    pub fn binary_cross_entropy_with(
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

    /// The mean binary cross entropy of logits against probabilities.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let logits = Tensor::zeros([3]);
    /// let loss = logits.binary_cross_entropy_with_logits(&Tensor::from([1.0f32, 0.0, 1.0]));
    /// assert!((loss.item::<f32>()? - 2f32.ln()).abs() < 1e-6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("bce_with_logits_loss"))]
    #[track_caller]
    pub fn binary_cross_entropy_with_logits(&self, target: &Tensor) -> Tensor {
        self.binary_cross_entropy_with_logits_with(target, None, None, Reduction::Mean)
    }

    /// As [`Tensor::binary_cross_entropy_with_logits`], with factors of the elements' losses and of their positive part, and a reduction.
    #[track_caller]
    pub fn binary_cross_entropy_with_logits_with(
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

    /// The mean of `target (log(target) - x)`, where this tensor holds logarithms. `Reduction::BatchMean` (see
    /// [`Tensor::kl_div_with`]) gives the divergence of a batch of distributions.
    #[track_caller]
    pub fn kl_div(&self, target: &Tensor) -> Tensor {
        self.kl_div_with(target, false, Reduction::Mean)
    }

    /// As [`Tensor::kl_div`], with a reduction; with `log_target` the target holds logarithms, too.
    #[track_caller]
    pub fn kl_div_with(&self, target: &Tensor, log_target: bool, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("kl_div", target)?;
            let losses = match log_target {
                true => target.exp().mul(target.sub(self)),
                false => target.xlogy(target).sub(target.mul(self)),
            };
            Ok(reduction.apply(&losses))
        })
    }

    /// The mean negative log likelihood of Poisson distributions; this tensor holds the logarithms of their means.
    #[track_caller]
    pub fn poisson_nll_loss(&self, target: &Tensor) -> Tensor {
        self.poisson_nll_loss_with(target, true, false, 1e-8, Reduction::Mean)
    }

    /// As [`Tensor::poisson_nll_loss`], where this tensor may hold means (to which `eps` is added before their logarithm is taken) instead of
    /// their logarithms. `full` adds Stirling's approximation of the term without the mean.
    #[track_caller]
    pub fn poisson_nll_loss_with(
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

    /// The mean negative log likelihood of normal distributions with these means and the variances `var`, without its
    /// constant.
    #[track_caller]
    pub fn gaussian_nll_loss(&self, target: &Tensor, var: &Tensor) -> Tensor {
        self.gaussian_nll_loss_with(target, var, false, 1e-6, Reduction::Mean)
    }

    /// As [`Tensor::gaussian_nll_loss`], with variances of at least `eps`, and a reduction; `full` adds the constant.
    #[track_caller]
    pub fn gaussian_nll_loss_with(
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
}

/// Finite where a probability is 0 or 1, as PyTorch's.
#[track_caller]
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

pub(super) fn weighted(losses: Tensor, weight: Option<&Tensor>) -> Tensor {
    match weight {
        Some(weight) => losses.mul(weight),
        None => losses,
    }
}
