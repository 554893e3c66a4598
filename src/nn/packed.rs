//! Sequences of different lengths in one tensor, without padding between them.

use super::check::bad_setting;
use crate::ops::attempt;
use crate::tensor::{Argument, Dim, Tensor};
use lazulite_ir::DType;

/// Sequences of different lengths: the first steps of all of them, then the second steps, and so on, the
/// longest sequence first. Lengths are known to the program, so it is compiled for each set of lengths.
///
/// ```
/// use lazulite::nn::{Lstm, PackedSequence};
/// use lazulite::prelude::*;
/// let padded = Tensor::randn([4, 2, 3]);
/// let packed = PackedSequence::new(&padded, &[2, 4], false);
/// let (out, state) = Lstm::new(3, 5, 1).forward_packed(&packed, None);
/// assert_eq!(out.data().dims()?, [6, 5]);
/// assert_eq!(out.pad(false, 0.0).0.dims()?, [4, 2, 5]);
/// assert_eq!(state.hidden.dims()?, [1, 2, 5]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PackedSequence {
    data: Tensor,
    lengths: Vec<usize>,
    /// The numbers of the sequences, the longest first.
    order: Vec<usize>,
}

impl PackedSequence {
    /// The beginnings of `[length, batch, ...]`, or if `batch_first` of `[batch, length, ...]`, that have these
    /// lengths.
    #[track_caller]
    pub fn new(padded: &Tensor, lengths: &[usize], batch_first: bool) -> PackedSequence {
        let order = longest_first(lengths);
        let data = attempt(|| {
            let padded = match batch_first {
                true => padded.transpose(0, 1),
                false => padded.clone(),
            };
            let longest = lengths.iter().copied().max().unwrap_or(0);
            let (steps, batch) = (padded.dim(0).value()?, padded.dim(1).value()?);
            let fits = batch == lengths.len() as i64 && longest as i64 <= steps;
            if !fits || lengths.contains(&0) {
                let message =
                    format!("{lengths:?} are not lengths of {batch} sequences up to {steps}");
                return Err(bad_setting("PackedSequence", message).operand(padded.note("padded")));
            }
            let places: Vec<i64> = packed_places(lengths, &order)
                .map(|(step, sequence)| step as i64 * batch + sequence as i64)
                .collect();
            let count = places.len();
            Ok(padded
                .flatten(0, 1)
                .index_select(0, &Tensor::table(places, [count])))
        });
        let lengths = lengths.to_vec();
        PackedSequence {
            data,
            lengths,
            order,
        }
    }

    /// These sequences, each `[length, ...]`.
    #[track_caller]
    pub fn of(sequences: &[&Tensor]) -> PackedSequence {
        let lengths: crate::Result<Vec<usize>> = sequences
            .iter()
            .map(|s| Ok(usize::try_from(s.dim(0).value()?).unwrap_or(0)))
            .collect();
        let lengths = match lengths {
            Ok(lengths) => lengths,
            Err(e) => {
                return PackedSequence {
                    data: Tensor::error(e),
                    lengths: Vec::new(),
                    order: Vec::new(),
                };
            }
        };
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded: Vec<Tensor> = { sequences.iter().zip(&lengths) }
            .map(|(sequence, length)| {
                let mut widths = vec![(0, 0); sequence.rank().unwrap_or(1)];
                if let Some(first) = widths.first_mut() {
                    first.1 = (longest - length) as i64;
                }
                sequence.pad(widths, 0)
            })
            .collect();
        let padded = Tensor::stack(&padded.iter().collect::<Vec<_>>(), 1);
        PackedSequence::new(&padded, &lengths, false)
    }

    /// All steps of all sequences, one after the other.
    pub fn data(&self) -> &Tensor {
        &self.data
    }

    /// The lengths of the sequences.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// How many sequences have a first step, a second one, and so on.
    pub fn batch_sizes(&self) -> Vec<usize> {
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let live = |step: usize| self.lengths.iter().filter(|l| **l > step).count();
        (0..longest).map(live).collect()
    }

    /// `[length, batch, ...]`, or if `batch_first` `[batch, length, ...]`, with `value` behind the ends; and
    /// the lengths.
    #[track_caller]
    pub fn pad(&self, batch_first: bool, value: impl Into<Argument>) -> (Tensor, Vec<usize>) {
        let padded = attempt(|| {
            let (steps, batch) = (self.batch_sizes().len(), self.lengths.len());
            // Behind the ends stands what is there first, until it is overwritten.
            let mut places = vec![0i64; steps * batch];
            let packed = packed_places(&self.lengths, &self.order);
            for (place, (step, sequence)) in packed.enumerate() {
                places[step * batch + sequence] = place as i64;
            }
            let places = Tensor::table(places, [steps * batch]);
            let rows = self.data.index_select(0, &places);
            let padded = rows.unflatten(0, [steps as i64, batch as i64]);
            let rank = padded.rank()?;
            let mut sizes = vec![Dim::from(1i64); rank];
            sizes[0] = steps.into();
            sizes[1] = batch.into();
            let padded = self.live().reshape(sizes).where_(&padded, value);
            Ok(match batch_first {
                true => padded.transpose(0, 1),
                false => padded,
            })
        });
        (padded, self.lengths.clone())
    }

    /// The sequences, each `[length, ...]`.
    #[track_caller]
    pub fn unpack(&self) -> Vec<Tensor> {
        let (padded, lengths) = self.pad(true, 0);
        let each = lengths.iter().enumerate();
        each.map(|(i, length)| padded.select(0, i as i64).narrow(0, 0, *length))
            .collect()
    }

    /// Whether a step is one of a sequence: `[length, batch, 1]`.
    #[track_caller]
    pub(super) fn live(&self) -> Tensor {
        let (steps, batch) = (self.batch_sizes().len(), self.lengths.len());
        let lengths: Vec<i64> = self.lengths.iter().map(|l| *l as i64).collect();
        let lengths = Tensor::table(lengths, [1, batch, 1]);
        let steps = Tensor::arange(0, steps as i64, 1).cast(DType::I64);
        steps.reshape([-1, 1, 1]).lt(lengths)
    }
}

/// The numbers of sequences, the longest first; equally long ones in order.
fn longest_first(lengths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(lengths[*i]));
    order
}

/// Step and sequence of every row of the packed data.
fn packed_places(lengths: &[usize], order: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    (0..longest).flat_map(move |step| {
        let live = order.iter().filter(move |i| lengths[**i] > step);
        live.map(move |i| (step, *i))
    })
}
