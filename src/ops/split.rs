//! Taking tensors apart along an axis, and putting several together.

use super::composite::{attempt, attempt_list, bad_argument, bad_shape, sane};
use crate::error::Result;
use crate::location::Scope;
use crate::tensor::Tensor;

impl Tensor {
    /// Parts of `size` along an axis; the last may be smaller.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let parts = Tensor::iota(5).split(2, 0);
    /// assert_eq!(parts[2].to_vec::<i64>()?, [4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn split(&self, size: usize, axis: i64) -> Vec<Tensor> {
        attempt_list(|| {
            let whole = self.extent("split", axis)?;
            if size == 0 && whole > 0 {
                return Err(bad_argument("split", "parts of size 0 never end"));
            }
            let count = if whole == 0 { 1 } else { whole.div_ceil(size) };
            let sizes = (0..count)
                .map(|i| size.min(whole - i * size))
                .collect::<Vec<_>>();
            Ok(self.parts(axis, &sizes))
        })
    }

    /// Parts of the given sizes along an axis, which they fill.
    #[track_caller]
    pub fn split_with_sizes(&self, sizes: &[usize], axis: i64) -> Vec<Tensor> {
        attempt_list(|| {
            let whole = self.extent("split_with_sizes", axis)?;
            let sum = sizes
                .iter()
                .fold(0, |sum: usize, size| sum.saturating_add(*size));
            if sum != whole {
                let message = format!("parts of {sizes:?} sum to {sum}, the axis has size {whole}");
                let error = bad_shape("split_with_sizes", message);
                return Err(error.operand(self.note("self")));
            }
            Ok(self.parts(axis, sizes))
        })
    }

    /// At most `count` parts of equal size along an axis; the last may be smaller.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::zeros((6, 2)).chunk(3, 0).len(), 3);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn chunk(&self, count: usize, axis: i64) -> Vec<Tensor> {
        attempt_list(|| {
            let whole = self.extent("chunk", axis)?;
            if count == 0 {
                return Err(bad_argument("chunk", "a tensor has at least one part"));
            }
            match whole {
                0 => Ok(vec![self.clone(); count]),
                _ => Ok(self.split(whole.div_ceil(count), axis)),
            }
        })
    }

    /// `count` parts along an axis; the first ones are larger by one if they cannot be equal.
    #[track_caller]
    pub fn tensor_split(&self, count: usize, axis: i64) -> Vec<Tensor> {
        attempt_list(|| {
            let whole = self.extent("tensor_split", axis)?;
            if count == 0 {
                return Err(bad_argument(
                    "tensor_split",
                    "a tensor has at least one part",
                ));
            }
            let (size, larger) = (whole / count, whole % count);
            let sizes = (0..count).map(|i| size + usize::from(i < larger));
            Ok(self.parts(axis, &sizes.collect::<Vec<_>>()))
        })
    }

    /// The parts between the given positions along an axis, as Python slices.
    #[track_caller]
    pub fn tensor_split_at(&self, positions: &[i64], axis: i64) -> Vec<Tensor> {
        attempt_list(|| {
            let whole = self.extent("tensor_split", axis)? as i64;
            let resolve = |at: i64| {
                if at < 0 {
                    (at + whole).max(0)
                } else {
                    at.min(whole)
                }
            };
            let mut ends: Vec<i64> = positions.iter().map(|&at| resolve(at)).collect();
            ends.push(whole);
            let starts = std::iter::once(0).chain(ends.iter().copied());
            let part =
                |(from, to): (i64, &i64)| self.narrow(axis, from.min(*to), (to - from).max(0));
            Ok(starts.zip(&ends).map(part).collect())
        })
    }

    /// The sub-tensors at all positions of an axis.
    #[track_caller]
    pub fn unbind(&self, axis: i64) -> Vec<Tensor> {
        attempt_list(|| {
            let count = self.extent("unbind", axis)?;
            Ok((0..count as i64).map(|i| self.select(axis, i)).collect())
        })
    }

    /// The known size of an axis.
    #[track_caller]
    fn extent(&self, op: &'static str, axis: i64) -> Result<usize> {
        if self.rank()? == 0 {
            let error = bad_shape(op, "a 0-d tensor has no axis to take apart");
            return Err(error.operand(self.note("self")));
        }
        let at = self.axis(op, axis)?;
        self.known_size(at)
    }

    #[track_caller]
    fn parts(&self, axis: i64, sizes: &[usize]) -> Vec<Tensor> {
        let mut start = 0;
        sizes
            .iter()
            .map(|&size| {
                let part = self.narrow(axis, start, size);
                start += size;
                part
            })
            .collect()
    }

    /// Joins along axis 0 for vectors, along axis 1 for others.
    #[track_caller]
    pub fn hstack(tensors: &[&Tensor]) -> Tensor {
        attempt(|| {
            let raised: Vec<Tensor> = tensors.iter().map(|t| t.atleast_1d()).collect();
            let axis = match raised.first() {
                Some(first) if first.rank()? == 1 => 0,
                _ => 1,
            };
            Ok(Tensor::cat(&raised.iter().collect::<Vec<_>>(), axis))
        })
    }

    /// Joins along axis 0, vectors as rows.
    #[track_caller]
    pub fn vstack(tensors: &[&Tensor]) -> Tensor {
        let _pinned = Scope::pin();
        let raised: Vec<Tensor> = tensors.iter().map(|t| t.atleast_2d()).collect();
        Tensor::cat(&raised.iter().collect::<Vec<_>>(), 0)
    }

    /// Joins along axis 2, after [`Tensor::atleast_3d`].
    #[track_caller]
    pub fn dstack(tensors: &[&Tensor]) -> Tensor {
        let _pinned = Scope::pin();
        let raised: Vec<Tensor> = tensors.iter().map(|t| t.atleast_3d()).collect();
        Tensor::cat(&raised.iter().collect::<Vec<_>>(), 2)
    }

    /// Joins along axis 1, vectors as columns.
    #[track_caller]
    pub fn column_stack(tensors: &[&Tensor]) -> Tensor {
        attempt(|| {
            let column = |t: &&Tensor| match t.rank()? {
                0 | 1 => Ok(t.reshape([-1i64, 1])),
                _ => Ok((*t).clone()),
            };
            let columns = tensors.iter().map(column).collect::<Result<Vec<_>>>()?;
            Ok(Tensor::cat(&columns.iter().collect::<Vec<_>>(), 1))
        })
    }

    /// A matrix with the given matrices along its diagonal, zero elsewhere.
    #[track_caller]
    pub fn block_diag(tensors: &[&Tensor]) -> Tensor {
        attempt(|| {
            let blocks: Vec<Tensor> = tensors.iter().map(|t| t.atleast_2d()).collect();
            let sizes = blocks
                .iter()
                .map(Tensor::dims)
                .collect::<Result<Vec<_>>>()?;
            if let Some((block, _)) = blocks.iter().zip(&sizes).find(|(_, s)| s.len() != 2) {
                let error = bad_shape("block_diag", "blocks have at most two axes");
                return Err(error.operand(block.note("block")));
            }
            let width: usize = sizes.iter().map(|s| s[1]).sum();
            let mut before = 0;
            let mut rows = Vec::with_capacity(blocks.len());
            for (block, size) in blocks.iter().zip(&sizes) {
                let after = width - before - size[1];
                rows.push(block.pad([(0, 0), (before as i64, after as i64)], 0));
                before += size[1];
            }
            match rows.is_empty() {
                true => Ok(Tensor::zeros([1, 0])),
                false => Ok(Tensor::cat(&rows.iter().collect::<Vec<_>>(), 0)),
            }
        })
    }

    /// Vectors as the coordinates of a grid: result `i` varies along axis `i` as vector `i` does.
    #[track_caller]
    pub fn meshgrid(tensors: &[&Tensor]) -> Vec<Tensor> {
        attempt_list(|| {
            let vectors: Vec<Tensor> = tensors.iter().map(|t| t.atleast_1d()).collect();
            for vector in &vectors {
                if vector.rank()? != 1 {
                    let error = bad_shape("meshgrid", "coordinates are vectors");
                    return Err(error.operand(vector.note("coordinates")));
                }
            }
            let dims: Vec<_> = vectors.iter().map(|v| v.dim(0)).collect();
            let places = vectors.iter().enumerate();
            let grids = places.map(|(i, v)| v.along(i, dims.len()).expand(dims.clone()));
            Ok(grids.collect())
        })
    }

    /// As [`Tensor::meshgrid`], but result 0 varies along axis 1 and result 1 along axis 0, as x and
    /// y do in images.
    #[track_caller]
    pub fn meshgrid_xy(tensors: &[&Tensor]) -> Vec<Tensor> {
        let [x, y, rest @ ..] = tensors else {
            return Tensor::meshgrid(tensors);
        };
        let mut grids = Tensor::meshgrid(&[&[*y, *x], rest].concat());
        if grids.len() > 1 {
            grids.swap(0, 1);
        }
        grids
    }

    /// All combinations of one element from each vector, one per row.
    #[track_caller]
    pub fn cartesian_prod(tensors: &[&Tensor]) -> Tensor {
        attempt(|| {
            if let [only] = tensors {
                return Ok((*only).clone());
            }
            let columns: Vec<Tensor> = Tensor::meshgrid(tensors)
                .iter()
                .map(Tensor::ravel)
                .collect();
            Ok(Tensor::stack(&columns.iter().collect::<Vec<_>>(), 1))
        })
    }

    /// All choices of `r` elements of a vector in order, one per row.
    #[track_caller]
    pub fn combinations(&self, r: usize, with_replacement: bool) -> Tensor {
        attempt(|| {
            let [count] = self.known_dims()?[..] else {
                let error = bad_shape("combinations", "only vectors have combinations");
                return Err(error.operand(self.note("self")));
            };
            let choices = match with_replacement {
                true => match count.checked_add(r) {
                    Some(both) => binomial(both.saturating_sub(1), r),
                    None => usize::MAX,
                },
                false => binomial(count, r),
            };
            sane("combinations", choices)?;
            sane("combinations", choices.saturating_mul(r))?;
            if choices == 0 {
                return Ok(self.narrow(0, 0, 0).reshape([0, r]));
            }
            let mut rows: Vec<Vec<i64>> = vec![Vec::new()];
            for _ in 0..r {
                let extended = rows.iter().flat_map(|row| {
                    let first = match row.last() {
                        Some(last) => last + i64::from(!with_replacement),
                        None => 0,
                    };
                    (first..count as i64).map(move |next| {
                        let mut row = row.clone();
                        row.push(next);
                        row
                    })
                });
                rows = extended.collect();
            }
            let chosen = rows.len();
            let index = Tensor::table(rows.concat(), [chosen * r]);
            Ok(self.index_select(0, &index).reshape([chosen, r]))
        })
    }
}

/// In how many ways `r` of `n` things can be chosen, at most `usize::MAX`.
fn binomial(n: usize, r: usize) -> usize {
    if r > n {
        return 0;
    }
    let mut ways = 1u128;
    for i in 0..r.min(n - r) as u128 {
        // Each product is a number of ways itself, so the division leaves no rest.
        ways = match ways.checked_mul(n as u128 - i) {
            Some(product) => product / (i + 1),
            None => return usize::MAX,
        };
        if ways > usize::MAX as u128 {
            return usize::MAX;
        }
    }
    ways as usize
}
