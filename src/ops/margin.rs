//! Losses of what should lie apart by a margin, and the distances they are made of.

use super::composite::{attempt, bad_argument, bad_shape};
use super::loss::{Reduction, weighted};
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::tensor::Tensor;
use lazulite_ir::DType;

impl Tensor {
    /// The mean of `log(1 + exp(-target x))`, targets 1 and -1.
    #[track_caller]
    pub fn soft_margin_loss(&self, target: &Tensor) -> Tensor {
        self.soft_margin_loss_with(target, Reduction::Mean)
    }

    /// As [`Tensor::soft_margin_loss`], with a reduction.
    #[track_caller]
    pub fn soft_margin_loss_with(&self, target: &Tensor, reduction: Reduction) -> Tensor {
        attempt(|| {
            self.check_target("soft_margin_loss", target)?;
            Ok(reduction.apply(&self.mul(target).neg().exp().log1p()))
        })
    }

    /// The mean of x where the target is 1, and of `max(0, 1 - x)` where it is -1.
    #[track_caller]
    pub fn hinge_embedding_loss(&self, target: &Tensor) -> Tensor {
        self.hinge_embedding_loss_with(target, 1.0, Reduction::Mean)
    }

    /// As [`Tensor::hinge_embedding_loss`], with another margin than 1, and a reduction.
    #[track_caller]
    pub fn hinge_embedding_loss_with(
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

    /// The mean of `max(0, -target (x - other))`: which of two should be larger, by targets 1 and -1.
    #[track_caller]
    pub fn margin_ranking_loss(&self, other: &Tensor, target: &Tensor) -> Tensor {
        self.margin_ranking_loss_with(other, target, 0.0, Reduction::Mean)
    }

    /// As [`Tensor::margin_ranking_loss`], with a margin by which it should be larger, and a reduction.
    #[track_caller]
    pub fn margin_ranking_loss_with(
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

    /// The cosine of the angle between vectors along an axis.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (x, y) = (Tensor::from([[1.0f32, 0.0]]), Tensor::from([[1.0f32, 1.0]]));
    /// assert!((x.cosine_similarity(&y, 1).item::<f32>()? - 0.5f32.sqrt()).abs() < 1e-6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, axis: i64) -> Tensor {
        self.cosine_similarity_with(other, axis, 1e-8)
    }

    /// As [`Tensor::cosine_similarity`], where lengths are at least `eps`.
    #[track_caller]
    pub fn cosine_similarity_with(&self, other: &Tensor, axis: i64, eps: f64) -> Tensor {
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

    /// The mean of `1 - cos` where the target is 1, and of `max(0, cos)` where it is -1.
    #[track_caller]
    pub fn cosine_embedding_loss(&self, other: &Tensor, target: &Tensor) -> Tensor {
        self.cosine_embedding_loss_with(other, target, 0.0, Reduction::Mean)
    }

    /// As [`Tensor::cosine_embedding_loss`], with a cosine up to which vectors count as different, and a reduction.
    #[track_caller]
    pub fn cosine_embedding_loss_with(
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

    /// The Euclidean length of the differences, along the last axis.
    #[track_caller]
    pub fn pairwise_distance(&self, other: &Tensor) -> Tensor {
        self.pairwise_distance_with(other, 2.0, 1e-6)
    }

    /// As [`Tensor::pairwise_distance`], in the `p`-norm of the difference plus `eps`.
    #[track_caller]
    pub fn pairwise_distance_with(&self, other: &Tensor, p: f64, eps: f64) -> Tensor {
        attempt(|| Ok(self.sub(other).add(eps).vector_norm(p, -1)))
    }

    /// The mean of how much nearer the positive example should be than the negative one: by 1, in the Euclidean norm.
    #[track_caller]
    pub fn triplet_margin_loss(&self, positive: &Tensor, negative: &Tensor) -> Tensor {
        self.triplet_margin_loss_with(positive, negative, &TripletOptions::default())
    }

    /// As [`Tensor::triplet_margin_loss`], with options: the margin, the norm, whether the distance between both examples
    /// counts, too.
    #[track_caller]
    pub fn triplet_margin_loss_with(
        &self,
        positive: &Tensor,
        negative: &Tensor,
        options: &TripletOptions,
    ) -> Tensor {
        let distance = |x: &Tensor, y: &Tensor| x.pairwise_distance_with(y, options.p, options.eps);
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

    /// The mean of `max(0, 1 - x[target] + x[i])` summed over the other classes, divided by the number of classes.
    #[track_caller]
    pub fn multi_margin_loss(&self, target: &Tensor) -> Tensor {
        self.multi_margin_loss_with(target, 1, 1.0, None, Reduction::Mean)
    }

    /// As [`Tensor::multi_margin_loss`], with the power `p` (1 or 2) of what is lacking to another margin, one factor per
    /// class and a reduction.
    #[track_caller]
    pub fn multi_margin_loss_with(
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

    /// The mean of `sum(max(0, 1 - (x[j] - x[i])))` over target classes j and other classes i, divided by the number of
    /// classes. Targets are classes, up to the first -1.
    #[track_caller]
    pub fn multilabel_margin_loss(&self, target: &Tensor) -> Tensor {
        self.multilabel_margin_loss_with(target, Reduction::Mean)
    }

    /// As [`Tensor::multilabel_margin_loss`], with a reduction.
    #[track_caller]
    pub fn multilabel_margin_loss_with(&self, target: &Tensor, reduction: Reduction) -> Tensor {
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

    /// The mean binary cross entropy of logits against targets 0 and 1, averaged over classes.
    #[track_caller]
    pub fn multilabel_soft_margin_loss(&self, target: &Tensor) -> Tensor {
        self.multilabel_soft_margin_loss_with(target, None, Reduction::Mean)
    }

    /// As [`Tensor::multilabel_soft_margin_loss`], with factors of the classes, and a reduction.
    #[track_caller]
    pub fn multilabel_soft_margin_loss_with(
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
