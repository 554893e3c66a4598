//! Connectionist temporal classification: the likelihood of label sequences without knowing when each label
//! was emitted.

use super::composite::{attempt, bad_argument, bad_dtype, bad_shape};
use super::loss::Reduction;
use crate::control::scan;
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::tensor::Tensor;
use lazulite_ir::DType;

impl Tensor {
    /// The negative log likelihood of label sequences under connectionist temporal classification. This
    /// tensor holds logarithms of probabilities: time, batch, classes (or without the batch); `targets` are
    /// rows of classes, or all classes one after the other.
    #[track_caller]
    pub fn ctc_loss(
        &self,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
    ) -> Tensor {
        self.ctc_loss_with(
            targets,
            input_lengths,
            target_lengths,
            0,
            Reduction::Mean,
            false,
        )
    }

    /// As [`Tensor::ctc_loss`], with the class of the blank and a reduction; with `zero_infinity` infinite losses become 0.
    #[track_caller]
    pub fn ctc_loss_with(
        &self,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
        blank: i64,
        reduction: Reduction,
        zero_infinity: bool,
    ) -> Tensor {
        let _indexed = Indexed::of("ctc_loss", Noun::Label, &[self, targets]);
        attempt(|| {
            if self.rank()? == 2 {
                let x = self.unsqueeze(1);
                let losses = x.ctc_loss_with(
                    targets,
                    input_lengths,
                    target_lengths,
                    blank,
                    reduction,
                    zero_infinity,
                );
                return Ok(match reduction {
                    Reduction::None => losses.squeeze(0),
                    _ => losses,
                });
            }
            let batch = self.check_ctc(targets, input_lengths, target_lengths, blank)?;
            let targets = target_rows(targets, target_lengths, blank)?;
            let losses = ctc_losses(self, &targets, input_lengths, target_lengths, blank)?;
            let losses = match zero_infinity {
                true => losses.isinf().where_(0, losses),
                false => losses,
            };
            Ok(match reduction {
                Reduction::Mean => {
                    let counts: Vec<f32> =
                        target_lengths.iter().map(|l| (*l).max(1) as f32).collect();
                    losses
                        .div(Tensor::table(counts, [batch]).cast(self.dtype()?))
                        .mean(..)
                }
                other => other.apply(&losses),
            })
        })
    }

    /// The number of sequences, if everything fits.
    #[track_caller]
    fn check_ctc(
        &self,
        targets: &Tensor,
        input_lengths: &[usize],
        target_lengths: &[usize],
        blank: i64,
    ) -> Result<usize> {
        let [time, batch, classes] = self.known_dims()?[..] else {
            let error = bad_shape("ctc_loss", "probabilities have axes time, batch, classes");
            return Err(error.operand(self.note("self")));
        };
        if !(0..classes as i64).contains(&blank) {
            let message = format!("the blank {blank} is not among {classes} classes");
            return Err(bad_argument("ctc_loss", message));
        }
        let lengths = input_lengths.len() == batch && target_lengths.len() == batch;
        let all: usize = target_lengths.iter().sum();
        let fits = lengths
            && match targets.known_dims()?[..] {
                [rows, count] => rows == batch && target_lengths.iter().all(|l| *l <= count),
                [count] => count == all,
                _ => false,
            };
        if !fits || time == 0 || input_lengths.iter().any(|l| *l > time) {
            let error = bad_shape(
                "ctc_loss",
                "lengths and targets are given for each sequence",
            );
            return Err(error
                .operand(self.note("self"))
                .operand(targets.note("targets")));
        }
        if !self.is_float() {
            return Err(bad_dtype("ctc_loss", self));
        }
        Ok(batch)
    }
}

/// The classes of each sequence in a row of their own, followed by blanks.
#[track_caller]
fn target_rows(targets: &Tensor, lengths: &[usize], blank: i64) -> Result<Tensor> {
    let targets = targets.cast(DType::I64);
    let batch = lengths.len();
    let rows = match targets.known_dims()?[..] {
        [count] => {
            let longest = lengths.iter().copied().max().unwrap_or(0);
            let mut places = Vec::with_capacity(batch * longest);
            let mut start = 0;
            for length in lengths {
                // Behind a row's end stands whatever is there.
                let last = count.saturating_sub(1);
                places.extend((start..start + longest).map(|i| i.min(last) as i64));
                start += length;
            }
            targets.take(&Tensor::table(places, [batch, longest]))
        }
        _ => targets,
    };
    let lengths: Vec<i64> = lengths.iter().map(|l| *l as i64).collect();
    let inside = rows.positions(1)?.lt(Tensor::table(lengths, [batch, 1]));
    Ok(inside.where_(&rows, blank))
}

/// The forward variables of all sequences, step by step, over labels with blanks between.
#[track_caller]
fn ctc_losses(
    log: &Tensor,
    targets: &Tensor,
    input_lengths: &[usize],
    target_lengths: &[usize],
    blank: i64,
) -> Result<Tensor> {
    let (batch, count) = (targets.known_size(0)?, targets.known_size(1)?);
    let blanks = targets.full_like(blank);
    let with_blanks = Tensor::stack(&[&blanks, targets], 2).reshape([batch, 2 * count]);
    let labels = Tensor::cat(&[&with_blanks, &Tensor::full([batch, 1], blank)], 1);
    let states = 2 * count + 1;
    let never = f64::NEG_INFINITY;
    // A label may be reached over the blank from another label, not from itself.
    let skipped = labels.pad([(0, 0), (2, -2)], blank);
    let may_skip = labels.ne(blank).bitwise_and(labels.ne(skipped));
    let time = log.known_size(0)?;
    let emitted = log.gather(2, &labels.unsqueeze(0).expand([time, batch, states]));
    let start = Tensor::iota(states)
        .lt(2)
        .where_(0.0, never)
        .cast(log.dtype()?);
    let lengths = |values: &[usize]| {
        let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
        Tensor::table(values, [batch, 1])
    };
    let (inputs, ends) = (lengths(input_lengths), lengths(target_lengths).mul(2));
    let times = Tensor::iota(time);
    let first = emitted.select(0, 0).add(start);
    let behind = [&emitted, &times].map(|t| t.narrow(0, 1, time - 1));
    let step = |alpha: &[Tensor], at: &[Tensor]| {
        let (alpha, emitted, t) = (&alpha[0], &at[0], &at[1]);
        let one = alpha.pad([(0, 0), (1, -1)], never);
        let two = may_skip.where_(alpha.pad([(0, 0), (2, -2)], never), never);
        let next = alpha.logaddexp(one).logaddexp(two).add(emitted);
        (vec![inputs.gt(t).where_(next, alpha)], vec![])
    };
    let alpha = match time {
        1 => first,
        _ => scan(&[&first], &[&behind[0], &behind[1]], step).remove(0),
    };
    let last = alpha.gather(1, &ends);
    let label = ends
        .gt(0)
        .where_(alpha.gather(1, &ends.sub(1).maximum(0)), never);
    // Probabilities sum up to 1: with this, which is 0, so do those that the gradient leads to.
    let sums = times.unsqueeze(1).lt(inputs.squeeze(1));
    let sums = sums.where_(log.exp().sum(-1), 0).sum(0);
    let constraint = sums.sub(sums.detach());
    Ok(constraint.sub(last.logaddexp(label).squeeze(1)))
}
