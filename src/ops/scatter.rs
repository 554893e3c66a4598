//! Writing by index: along an axis, to flat positions, under masks, to slices.

use super::composite::{attempt, attempt_list, bad_argument, bad_shape, tensor_of};
use super::index::{Index, strided};
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::tensor::{Argument, Dim, Number, Tensor};
use lazulite_ir::{Combine, DType};

/// How several writes to one place, and what is there, are combined.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScatterReduce {
    /// Sum.
    Sum,
    /// Product.
    Prod,
    /// Mean; of integers rounded down.
    Mean,
    /// Largest.
    Amax,
    /// Smallest.
    Amin,
}

impl Tensor {
    /// As [`Tensor::scatter`], writing one number.
    #[track_caller]
    pub fn scatter_value(&self, axis: i64, indices: &Tensor, value: impl Into<Number>) -> Tensor {
        let _indexed = Indexed::of("scatter_value", Noun::Index, &[self, indices]);
        attempt(|| {
            let value = tensor_of(value.into().into(), self.dtype()?).named("scatter", &[]);
            Ok(self.scatter(axis, indices, &value.expand(indices.sizes()?)))
        })
    }

    /// As [`Tensor::scatter`], combining all that is written to one place; what is there takes part
    /// if `include_self`.
    #[track_caller]
    pub fn scatter_reduce(
        &self,
        axis: i64,
        indices: &Tensor,
        source: &Tensor,
        reduce: ScatterReduce,
        include_self: bool,
    ) -> Tensor {
        let _indexed = Indexed::of("scatter_reduce", Noun::Index, &[self, indices, source]);
        attempt(|| {
            let combine = match reduce {
                ScatterReduce::Sum | ScatterReduce::Mean => Combine::Sum,
                ScatterReduce::Prod => Combine::Prod,
                ScatterReduce::Amax => Combine::Max,
                ScatterReduce::Amin => Combine::Min,
            };
            let base = match include_self {
                true => self.clone(),
                false => self.scatter_value(axis, indices, identity(self.dtype()?, combine)),
            };
            let combined =
                base.scatter_with("scatter_reduce", axis, indices, source, Some(combine));
            if reduce != ScatterReduce::Mean {
                return Ok(combined);
            }
            let ones = self.ones_like();
            let counts = match include_self {
                true => ones.clone(),
                false => ones.scatter_value(axis, indices, 0),
            };
            let covered = ones
                .dtype()
                .map(|d| Tensor::full_of((), 1, d))?
                .expand(indices.sizes()?);
            let counts = counts.scatter_add(axis, indices, &covered);
            Ok(match self.is_integral() {
                true => combined.floor_divide(counts),
                false => combined.div(counts),
            })
        })
    }

    /// Adds `alpha` times the slices of `source` to the slices at `indices` (1-d) along an axis.
    #[track_caller]
    pub fn index_add(
        &self,
        axis: i64,
        indices: &Tensor,
        source: &Tensor,
        alpha: impl Into<Number>,
    ) -> Tensor {
        let _indexed = Indexed::of("index_add", Noun::Index, &[self, indices, source]);
        attempt(|| {
            let source = source.mul(tensor_of(alpha.into().into(), source.dtype()?));
            self.slices(
                "index_add",
                axis,
                indices,
                &source,
                |x, axis, indices, source| x.scatter_add(axis, indices, source),
            )
        })
    }

    /// Writes the slices of `source` to the slices at `indices` (1-d) along an axis.
    #[track_caller]
    pub fn index_copy(&self, axis: i64, indices: &Tensor, source: &Tensor) -> Tensor {
        let _indexed = Indexed::of("index_copy", Noun::Index, &[self, indices, source]);
        attempt(|| {
            self.slices(
                "index_copy",
                axis,
                indices,
                source,
                |x, axis, indices, source| x.scatter(axis, indices, source),
            )
        })
    }

    /// Combines the slices of `source` into the slices at `indices` (1-d) along an axis, as
    /// [`Tensor::scatter_reduce`].
    #[track_caller]
    pub fn index_reduce(
        &self,
        axis: i64,
        indices: &Tensor,
        source: &Tensor,
        reduce: ScatterReduce,
        include_self: bool,
    ) -> Tensor {
        let _indexed = Indexed::of("index_reduce", Noun::Index, &[self, indices, source]);
        attempt(|| {
            self.slices(
                "index_reduce",
                axis,
                indices,
                source,
                |x, axis, indices, source| {
                    x.scatter_reduce(axis, indices, source, reduce, include_self)
                },
            )
        })
    }

    /// Writes one value (a number or 0-d tensor) to the slices at `indices` (1-d) along an axis.
    #[track_caller]
    pub fn index_fill(&self, axis: i64, indices: &Tensor, value: impl Into<Argument>) -> Tensor {
        let _indexed = Indexed::of("index_fill", Noun::Index, &[self, indices]);
        attempt(|| {
            let value = tensor_of(value.into(), self.dtype()?).named("index_fill", &[]);
            if value.rank()? != 0 {
                let error = bad_shape("index_fill", "the value is one number");
                return Err(error.operand(value.note("value")));
            }
            let mut dims = self.atleast_1d().sizes()?;
            dims[self.axis("index_fill", axis)?] = indices.atleast_1d().dim(0);
            Ok(self.index_copy(axis, indices, &value.expand(dims)))
        })
    }

    /// Runs a scatter whose indices are the same for whole slices. 0-d tensors pass for vectors.
    #[track_caller]
    fn slices(
        &self,
        op: &'static str,
        axis: i64,
        indices: &Tensor,
        source: &Tensor,
        write: impl FnOnce(&Tensor, i64, &Tensor, &Tensor) -> Tensor,
    ) -> Result<Tensor> {
        let at = self.axis(op, axis)?;
        let (x, indices, source) = (self.atleast_1d(), indices.atleast_1d(), source.atleast_1d());
        let (own, given) = (x.node()?.ty.dims.clone(), source.node()?.ty.dims.clone());
        let count = indices.node()?.ty.dims.clone();
        let fits = own.len() == given.len()
            && count.len() == 1
            && own.iter().zip(&given).enumerate().all(|(i, (own, given))| {
                let wanted = if i == at { &count[0] } else { own };
                wanted.compare_eq(given) != Some(false)
            });
        if !fits {
            let message = "the source has one slice for each index, of this tensor's sizes";
            let error = bad_shape(op, message).operand(self.note("self"));
            return Err(error
                .operand(indices.note("indices"))
                .operand(source.note("source")));
        }
        let indices = indices.along(at, own.len()).expand(source.sizes()?);
        Ok(write(&x, at as i64, &indices, &source).reshape(self.sizes()?))
    }

    /// The elements at flat positions; the result has the indices' sizes.
    #[track_caller]
    pub fn take(&self, indices: &Tensor) -> Tensor {
        let _indexed = Indexed::of("take", Noun::Place, &[self, indices]);
        self.ravel().slices_at(indices)
    }

    /// As [`Tensor::gather`], but tensor and indices broadcast along the other axes.
    #[track_caller]
    pub fn take_along_dim(&self, indices: &Tensor, axis: i64) -> Tensor {
        let _indexed = Indexed::of("take_along_dim", Noun::Index, &[self, indices]);
        attempt(|| {
            let at = self.axis("take_along_dim", axis)?;
            let (own, given) = (self.sizes()?, indices.sizes()?);
            if own.len() != given.len() {
                let error = bad_shape("take_along_dim", "tensor and indices have different ranks");
                return Err(error
                    .operand(self.note("self"))
                    .operand(indices.note("indices")));
            }
            // Broadcasting leaves the axis itself out.
            let without = |dims: &[Dim]| -> Result<Tensor> {
                let mut dims = dims.to_vec();
                dims[at] = Dim::from(1i64);
                Ok(Tensor::full((), 0).expand(dims))
            };
            let common = without(&own)?.broadcast_with(&without(&given)?).sizes()?;
            let expanded = |t: &Tensor| {
                let mut dims = common.clone();
                dims[at] = t.dim(axis);
                t.expand(dims)
            };
            Ok(expanded(self).gather(axis, &expanded(indices)))
        })
    }

    /// This tensor with `source` written to, or added to, flat positions.
    #[track_caller]
    pub fn put(&self, indices: &Tensor, source: &Tensor, accumulate: bool) -> Tensor {
        let _indexed = Indexed::of("put", Noun::Place, &[self, indices, source]);
        attempt(|| {
            let (flat, at, source) = (self.ravel(), indices.ravel(), source.ravel());
            let written = match accumulate {
                true => flat.scatter_add(0, &at, &source),
                false => flat.scatter(0, &at, &source),
            };
            Ok(written.reshape(self.sizes()?))
        })
    }

    /// Where `mask` (bool, broadcast) is true, the elements of `source` in order.
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Tensor {
        let _indexed = Indexed::of("masked_scatter", Noun::Place, &[source, mask]);
        attempt(|| {
            if source.dtype()? != self.dtype()? || mask.dtype()? != DType::Bool {
                let message = "the source has the tensor's element type, the mask is bool";
                let error = bad_argument("masked_scatter", message).operand(self.note("self"));
                return Err(error
                    .operand(mask.note("mask"))
                    .operand(source.note("source")));
            }
            let (x, mask) = (self.broadcast_with(mask), mask.broadcast_with(self));
            // The n-th true place takes element n.
            let order = mask.ravel().cumsum(0).sub(1);
            let order = mask.ravel().where_(order, 0);
            let taken = source.ravel().slices_at(&order).reshape(x.sizes()?);
            Ok(mask.where_(taken, x))
        })
    }

    /// This tensor with `source` in the place of the sub-tensor at `at` of an axis.
    #[track_caller]
    pub fn select_scatter(&self, source: &Tensor, axis: i64, at: i64) -> Tensor {
        self.part_scatter("select_scatter", source, axis, Index::At(at))
    }

    /// This tensor with `source` in the place of a slice of an axis.
    #[track_caller]
    pub fn slice_scatter(
        &self,
        source: &Tensor,
        axis: i64,
        from: Option<i64>,
        to: Option<i64>,
        by: i64,
    ) -> Tensor {
        let slice = strided(Index::Slice(from, to, 1), by);
        self.part_scatter("slice_scatter", source, axis, slice)
    }

    #[track_caller]
    fn part_scatter(&self, op: &'static str, source: &Tensor, axis: i64, part: Index) -> Tensor {
        attempt(|| {
            let at = self.axis(op, axis)?;
            let mut indices = vec![Index::Slice(None, None, 1); at];
            indices.push(part);
            let wanted = self.i(indices.clone()).known_dims()?;
            if source.known_dims()? != wanted {
                let error = bad_shape(op, format!("the part has sizes {wanted:?}"));
                return Err(error
                    .operand(self.note("self"))
                    .operand(source.note("source")));
            }
            Ok(self.index_put(indices, source, false))
        })
    }

    /// As [`Tensor::nonzero`], cut off or filled up to `size` rows.
    #[track_caller]
    pub fn nonzero_static(&self, size: usize, fill: i64) -> Tensor {
        attempt(|| {
            let found = self.nonzero();
            let missing = size as i64 - found.known_size(0)? as i64;
            Ok(found.pad([(0, missing), (0, 0)], fill))
        })
    }

    /// Flat positions as coordinates in a tensor of the given sizes, one tensor per axis.
    #[track_caller]
    pub fn unravel_index(&self, dims: &[usize]) -> Vec<Tensor> {
        attempt_list(|| {
            let mut rest = self.clone();
            let mut coordinates = Vec::with_capacity(dims.len());
            for &size in dims.iter().rev() {
                coordinates.push(rest.remainder(size));
                rest = rest.floor_divide(size);
            }
            coordinates.reverse();
            Ok(coordinates)
        })
    }
}

/// The number that changes nothing when combined.
fn identity(dtype: DType, combine: Combine) -> Number {
    match combine {
        Combine::Sum => Number::Int(0),
        Combine::Prod => Number::Int(1),
        Combine::Max => lowest(dtype),
        Combine::Min => highest(dtype),
    }
}

fn lowest(dtype: DType) -> Number {
    match dtype {
        DType::Bool => Number::Bool(false),
        d if d.is_unsigned_int() => Number::Int(0),
        d if d.is_int() => Number::Int(i64::MIN >> (64 - 8 * d.size())),
        _ => Number::Float(f64::NEG_INFINITY),
    }
}

fn highest(dtype: DType) -> Number {
    match dtype {
        DType::Bool => Number::Bool(true),
        // All bits set, in whatever width.
        d if d.is_unsigned_int() => Number::Int(-1),
        d if d.is_int() => Number::Int(i64::MAX >> (64 - 8 * d.size())),
        _ => Number::Float(f64::INFINITY),
    }
}
