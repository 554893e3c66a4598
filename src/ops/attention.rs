//! Attention, embeddings, and rearrangements of channels, as in torch.nn.functional.

use super::composite::{attempt, attempt_pair, bad_argument, bad_shape};
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::tensor::{Derivative, Dim, Tensor, composite};
use lazulite_ir::DType;

/// Options of [`Tensor::scaled_dot_product_attention`].
#[derive(Clone, Debug, Default)]
pub struct AttentionOptions {
    /// Where queries may look (bool), or what is added to the scores.
    pub mask: Option<Tensor>,
    /// Probability of dropping a weight.
    pub dropout: f64,
    /// Queries look at keys up to their own position.
    pub causal: bool,
    /// Factor of the scores; one over the root of the size by default.
    pub scale: Option<f64>,
    /// Heads of queries share heads of keys and values, in groups.
    pub grouped: bool,
}

/// Options of [`Tensor::embedding_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddingOptions {
    /// No gradient flows to this row; negative numbers count from the end.
    pub padding: Option<i64>,
    /// The gradient of a row is divided by how often it was asked for.
    pub scale_grad_by_freq: bool,
}

/// How [`Tensor::embedding_bag`] combines a bag.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BagMode {
    /// Sum.
    Sum,
    /// Mean.
    #[default]
    Mean,
    /// Largest element.
    Max,
}

/// Options of [`Tensor::embedding_bag`].
#[derive(Clone, Debug, Default)]
pub struct BagOptions {
    /// Where bags start in a vector of indices.
    pub offsets: Option<Tensor>,
    /// The last offset is the end.
    pub include_last_offset: bool,
    /// How bags are combined.
    pub mode: BagMode,
    /// A factor for each index, for sums.
    pub weights: Option<Tensor>,
    /// This row counts nothing.
    pub padding: Option<i64>,
}

impl Tensor {
    /// `softmax(self @ key.mt() / sqrt(d)) @ value`: queries look at keys and take the values' mean.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let [query, key, value] = [(); 3].map(|()| Tensor::randn((2, 4, 5, 8)));
    /// let found = query.scaled_dot_product_attention(&key, &value);
    /// assert_eq!(found.dims()?, [2, 4, 5, 8]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("sdpa", "attention"))]
    #[track_caller]
    pub fn scaled_dot_product_attention(&self, key: &Tensor, value: &Tensor) -> Tensor {
        self.scaled_dot_product_attention_with(key, value, &AttentionOptions::default())
    }

    /// As [`Tensor::scaled_dot_product_attention`], with a mask, a scale, dropout and the like.
    #[track_caller]
    pub fn scaled_dot_product_attention_with(
        &self,
        key: &Tensor,
        value: &Tensor,
        options: &AttentionOptions,
    ) -> Tensor {
        let define = || {
            let scale = match options.scale {
                Some(scale) => scale,
                None => 1.0 / (self.dim(-1).value()? as f64).sqrt(),
            };
            let (key, value) = match options.grouped {
                true => (self.grouped(key)?, self.grouped(value)?),
                false => (key.clone(), value.clone()),
            };
            let mut scores = self.matmul(&key.mt()).mul(scale);
            if options.causal {
                let rank = scores.rank()?;
                let later = scores.positions(rank - 1)?.gt(scores.positions(rank - 2)?);
                scores = scores.masked_fill(&later, f64::NEG_INFINITY);
            }
            match &options.mask {
                Some(mask) if mask.dtype()? == DType::Bool => {
                    scores = scores.masked_fill(&mask.logical_not(), f64::NEG_INFINITY);
                }
                Some(mask) => scores = scores.add(mask),
                None => {}
            }
            let weights = scores.softmax(-1).dropout(options.dropout, true);
            Ok(weights.matmul(&value))
        };
        let mut operands = vec![self, key, value];
        operands.extend(&options.mask);
        let plain = Derivative::Definition;
        composite("attention", &[], plain, &operands, || attempt(define))
    }

    /// Keys or values repeated for groups of heads.
    #[track_caller]
    fn grouped(&self, shared: &Tensor) -> Result<Tensor> {
        if self.rank()? < 3 || shared.rank()? < 3 {
            return Ok(shared.clone());
        }
        let (heads, groups) = (self.dim(-3).value()?, shared.dim(-3).value()?);
        match groups {
            0 => Ok(shared.clone()),
            _ if heads % groups == 0 => Ok(shared.repeat_interleave((heads / groups) as usize, -3)),
            _ => {
                let message = format!("{heads} heads do not share {groups} heads of keys");
                let error = bad_shape("scaled_dot_product_attention", message);
                Err(error
                    .operand(self.note("query"))
                    .operand(shared.note("key")))
            }
        }
    }

    /// As [`Tensor::embedding`], with options for its gradient.
    #[track_caller]
    pub fn embedding_with(&self, indices: &Tensor, options: &EmbeddingOptions) -> Tensor {
        let _indexed = Indexed::of("embedding", Noun::Index, &[self, indices]);
        attempt(|| {
            let mut rows = self.embedding(indices);
            if let Some(padding) = options.padding {
                let count = self.dim(0).value()?;
                if !(-count..count).contains(&padding) {
                    let message = format!("row {padding} is not among the {count} of the table");
                    return Err(bad_argument("embedding", message).operand(self.note("self")));
                }
                let fixed = indices.eq(padding.rem_euclid(count.max(1))).unsqueeze(-1);
                rows = fixed.where_(rows.detach(), rows);
            }
            if options.scale_grad_by_freq {
                let ones = indices.ravel().ones_like().cast(self.dtype()?);
                let zeros = Tensor::full_of([self.dim(0)], 0, self.dtype()?);
                let often = zeros.index_add(0, &indices.ravel(), &ones, 1);
                let part = often.take(indices).reciprocal().unsqueeze(-1);
                // The value of the product is zero, its gradient is not.
                let still = rows.detach();
                rows = still.add(rows.sub(&still).mul(part));
            }
            Ok(rows)
        })
    }

    /// Bags of rows of this table, each combined to one: the rows of `indices` if that is a matrix,
    /// else the parts of a vector that start at the offsets.
    #[track_caller]
    pub fn embedding_bag(&self, indices: &Tensor, options: &BagOptions) -> Tensor {
        let _indexed = Indexed::of("embedding_bag", Noun::Index, &[self, indices]);
        attempt(|| {
            let (flat, bag, count) = bags(indices, options)?;
            let rows = self.embedding(&flat);
            let counts = match options.padding {
                Some(padding) => {
                    let size = self.dim(0).value()?;
                    flat.remainder(size.max(1))
                        .ne(padding.rem_euclid(size.max(1)))
                }
                None => Tensor::full_of([flat.dim(0)], true, DType::Bool),
            };
            let rows = match &options.weights {
                Some(weights) if options.mode == BagMode::Sum => {
                    rows.mul(weights.ravel().unsqueeze(1))
                }
                Some(weights) => {
                    let error = bad_argument("embedding_bag", "only sums take weights");
                    return Err(error.operand(weights.note("weights")));
                }
                None => rows,
            };
            let width = self.dim(1);
            let sums = Tensor::full_of([Dim::from(count), width], 0, self.dtype()?);
            let kept = counts.unsqueeze(1);
            if options.mode == BagMode::Max {
                return bag_maxima(&sums, &bag, &rows, &kept);
            }
            let total = sums.index_add(0, &bag, &kept.where_(rows, 0), 1);
            if options.mode == BagMode::Sum {
                return Ok(total);
            }
            let sizes = Tensor::full_of([count], 0, self.dtype()?);
            let sizes = sizes.index_add(0, &bag, &counts.cast(self.dtype()?), 1);
            Ok(total.div(sizes.maximum(1).unsqueeze(1)))
        })
    }

    /// Integers as vectors with a 1 in their place; the number of classes is one more than the largest if
    /// `None`, which computes it now.
    #[track_caller]
    pub fn one_hot(&self, classes: Option<usize>) -> Tensor {
        attempt(|| {
            if !self.dtype()?.is_int() {
                return Err(super::composite::bad_dtype("one_hot", self));
            }
            let largest = match self.numel()? {
                0 => -1,
                _ => {
                    let (low, high) = self.cast(DType::I64).aminmax(..);
                    let low = low.item::<i64>()?;
                    if low < 0 {
                        return Err(bad_argument(
                            "one_hot",
                            format!("the class {low} is negative"),
                        ));
                    }
                    high.item::<i64>()?
                }
            };
            let classes = match classes {
                Some(classes) if largest >= classes as i64 => {
                    let message = format!("the class {largest} is not among {classes}");
                    return Err(bad_argument("one_hot", message));
                }
                Some(classes) => classes,
                None if largest < 0 => {
                    return Err(bad_argument(
                        "one_hot",
                        "no elements tell the number of classes",
                    ));
                }
                None => largest as usize + 1,
            };
            Ok(self
                .unsqueeze(-1)
                .eq(Tensor::iota(classes))
                .cast(DType::I64))
        })
    }

    /// Channels (axis 1) split into groups whose members come to stand side by side.
    #[track_caller]
    pub fn channel_shuffle(&self, groups: usize) -> Tensor {
        attempt(|| {
            let sizes = self.sizes()?;
            let channels = match sizes.get(1) {
                Some(channels) => channels.value()?,
                None => return Err(bad_shape("channel_shuffle", "there is no axis of channels")),
            };
            if groups == 0 || channels % groups as i64 != 0 {
                let message = format!("{channels} channels do not form {groups} groups");
                return Err(bad_argument("channel_shuffle", message));
            }
            let split = [groups as i64, channels / groups as i64];
            Ok(self.unflatten(1, split).transpose(1, 2).reshape(sizes))
        })
    }

    /// Channels become space: `[.., c r^2, h, w]` gives `[.., c, h r, w r]`.
    #[track_caller]
    pub fn pixel_shuffle(&self, factor: usize) -> Tensor {
        attempt(|| {
            let (batch, [channels, height, width]) = self.image("pixel_shuffle")?;
            let r = factor as i64;
            if r == 0 || channels % (r * r) != 0 {
                let message = format!("{channels} channels are no multiple of {r} squared");
                return Err(bad_shape("pixel_shuffle", message).operand(self.note("self")));
            }
            let c = channels / (r * r);
            let split = self.reshape([&batch[..], &[c, r, r, height, width]].concat());
            let b = batch.len() as i64;
            let order = [b, b + 3, b + 1, b + 4, b + 2];
            let axes: Vec<i64> = (0..b).chain(order).collect();
            let shape = [&batch[..], &[c, height * r, width * r]].concat();
            Ok(split.permute(axes).reshape(shape))
        })
    }

    /// Space becomes channels: `[.., c, h r, w r]` gives `[.., c r^2, h, w]`.
    #[track_caller]
    pub fn pixel_unshuffle(&self, factor: usize) -> Tensor {
        attempt(|| {
            let (batch, [channels, height, width]) = self.image("pixel_unshuffle")?;
            let r = factor as i64;
            if r == 0 || height % r != 0 || width % r != 0 {
                let message = format!("{height} x {width} is no multiple of {r}");
                return Err(bad_shape("pixel_unshuffle", message).operand(self.note("self")));
            }
            let (h, w) = (height / r, width / r);
            let split = self.reshape([&batch[..], &[channels, h, r, w, r]].concat());
            let b = batch.len() as i64;
            let order = [b, b + 2, b + 4, b + 1, b + 3];
            let axes: Vec<i64> = (0..b).chain(order).collect();
            let shape = [&batch[..], &[channels * r * r, h, w]].concat();
            Ok(split.permute(axes).reshape(shape))
        })
    }

    /// Leading sizes, and channels, height, width.
    #[track_caller]
    fn image(&self, op: &'static str) -> Result<(Vec<i64>, [i64; 3])> {
        let dims: Vec<i64> = self.known_dims()?.into_iter().map(|d| d as i64).collect();
        match dims.split_last_chunk::<3>() {
            Some((batch, image)) => Ok((batch.to_vec(), *image)),
            None => {
                let error = bad_shape(op, "an image has axes channels, height, width");
                Err(error.operand(self.note("self")))
            }
        }
    }

    /// Products of all pairs of features of two tensors, weighted: `x @ weight[k] @ other` for each k,
    /// plus bias.
    #[track_caller]
    pub fn bilinear(&self, other: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let product = Tensor::einsum("...i,kij,...j->...k", &[self, weight, other]);
        match bias {
            Some(bias) => product.add(bias),
            None => product,
        }
    }

    /// Attention with several heads over sequences `[length, batch, features]` (or without the batch
    /// axis), as PyTorch's `multi_head_attention_forward`; with the weights of keys, averaged over the heads.
    #[track_caller]
    pub fn multi_head_attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        weights: &HeadWeights,
    ) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let single = self.rank()? == 2;
            let batched = |t: &Tensor| if single { t.unsqueeze(1) } else { t.clone() };
            let (query, key, value) = (batched(self), batched(key), batched(value));
            let weights = &HeadWeights {
                // Without batches a padding is one vector.
                key_padding: weights.key_padding.as_ref().map(Tensor::atleast_2d),
                ..weights.clone()
            };
            let (result, attended) = heads(&query, &key, &value, weights)?;
            Ok(match single {
                true => (result.squeeze(1), attended.squeeze(0)),
                false => (result, attended),
            })
        })
    }
}

/// Weights and options of [`Tensor::multi_head_attention`].
#[derive(Clone, Debug)]
pub struct HeadWeights {
    /// Number of heads.
    pub heads: usize,
    /// Projections of queries, keys and values, each `[features, inputs]`.
    pub projections: [Tensor; 3],
    /// Their biases in one vector.
    pub projection_bias: Option<Tensor>,
    /// A key and a value added to every sequence, one number per feature.
    pub extra: Option<(Tensor, Tensor)>,
    /// Adds a key and value of zeros.
    pub add_zero: bool,
    /// The last projection and its bias.
    pub output: (Tensor, Option<Tensor>),
    /// What is added to the scores, or where looking is forbidden (bool).
    pub mask: Option<Tensor>,
    /// Which keys do not exist: `[batch, keys]`, bool or added.
    pub key_padding: Option<Tensor>,
    /// Probability of dropping a weight.
    pub dropout: f64,
}

#[track_caller]
fn heads(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    w: &HeadWeights,
) -> Result<(Tensor, Tensor)> {
    let features = w.projections[0].known_size(0)? as i64;
    let count = w.heads.max(1) as i64;
    if features % count != 0 {
        let message = format!("{features} features do not divide among {count} heads");
        return Err(bad_shape("multi_head_attention", message));
    }
    let bias = |i: i64| {
        Some(
            w.projection_bias
                .as_ref()?
                .narrow(0, i * features, features),
        )
    };
    let project = |t: &Tensor, i: usize| t.linear(&w.projections[i], bias(i as i64).as_ref());
    let (query, mut key, mut value) = (project(query, 0), project(key, 1), project(value, 2));
    let batch = query.known_size(1)? as i64;
    let mut added = 0;
    let mut extend = |k: Tensor, v: Tensor| {
        key = Tensor::cat(&[&key, &k.expand([1, batch, features])], 0);
        value = Tensor::cat(&[&value, &v.expand([1, batch, features])], 0);
        added += 1;
    };
    if let Some((k, v)) = &w.extra {
        extend(k.reshape([1, 1, features]), v.reshape([1, 1, features]));
    }
    if w.add_zero {
        let zero = Tensor::full_of([1, 1, features], 0, query.dtype()?);
        extend(zero.clone(), zero);
    }
    let size = features / count;
    let by_head = |t: &Tensor| {
        let length = t.dim(0);
        let split = t.reshape([length, batch.into(), count.into(), size.into()]);
        split.permute([1, 2, 0, 3])
    };
    let (query, key, value) = (by_head(&query), by_head(&key), by_head(&value));
    let mut scores = query.mul(1.0 / (size as f64).sqrt()).matmul(&key.mt());
    for (mask, is_padding) in [(&w.mask, false), (&w.key_padding, true)] {
        if let Some(mask) = mask {
            scores = scores.add(head_mask(mask, is_padding, added, batch, count, &scores)?);
        }
    }
    let attended = scores.softmax(-1);
    let mixed = attended.dropout(w.dropout, true).matmul(&value);
    let joined = mixed.permute([2, 0, 1, 3]).flatten(2, 3);
    let (weight, bias) = &w.output;
    Ok((joined.linear(weight, bias.as_ref()), attended.mean(1)))
}

/// A mask as what is added to scores `[batch, heads, queries, keys]`; added keys are open to all.
#[track_caller]
fn head_mask(
    mask: &Tensor,
    is_padding: bool,
    added: i64,
    batch: i64,
    heads: i64,
    scores: &Tensor,
) -> Result<Tensor> {
    let mask = match mask.dtype()? {
        DType::Bool => mask.where_(f64::NEG_INFINITY, 0.0).cast(scores.dtype()?),
        _ => mask.clone(),
    };
    let rank = mask.rank()?;
    let mut widths = vec![(0, 0); rank];
    if let Some(last) = widths.last_mut() {
        last.1 = added;
    }
    let mask = mask.pad(widths, 0);
    Ok(match (is_padding, rank) {
        (true, _) => mask.unsqueeze(1).unsqueeze(1),
        (false, 3) if mask.known_size(0)? as i64 == batch * heads => {
            mask.unflatten(0, [batch, heads])
        }
        _ => mask,
    })
}

/// The indices in one vector, the bag of each, and the number of bags.
#[track_caller]
fn bags(indices: &Tensor, options: &BagOptions) -> Result<(Tensor, Tensor, usize)> {
    match (indices.rank()?, &options.offsets) {
        (2, None) => {
            let (rows, columns) = (indices.dim(0), indices.dim(1));
            let bag = Tensor::iota(rows.clone())
                .unsqueeze(1)
                .expand([rows.clone(), columns]);
            Ok((indices.ravel(), bag.ravel(), rows.value()? as usize))
        }
        (1, Some(offsets)) => {
            let starts = match options.include_last_offset {
                true => offsets.narrow(0, 0, offsets.dim(0) - 1),
                false => offsets.clone(),
            };
            // Index i belongs to the last bag that starts at or before it.
            let places = Tensor::iota(indices.dim(0));
            let bag = starts.cast(DType::I64).searchsorted(&places, true).sub(1);
            Ok((indices.clone(), bag, starts.known_size(0)?))
        }
        _ => {
            let message = "bags are rows of a matrix, or parts of a vector given by offsets";
            Err(bad_argument("embedding_bag", message).operand(indices.note("indices")))
        }
    }
}

/// The largest elements of bags; empty bags are zero.
#[track_caller]
fn bag_maxima(zeros: &Tensor, bag: &Tensor, rows: &Tensor, kept: &Tensor) -> Result<Tensor> {
    let lowest = zeros.full_like(f64::NEG_INFINITY);
    let rows = kept.where_(rows, f64::NEG_INFINITY);
    let largest = lowest.index_reduce(0, bag, &rows, super::ScatterReduce::Amax, true);
    Ok(largest.eq(f64::NEG_INFINITY).where_(zeros, largest))
}
