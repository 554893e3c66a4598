//! Norms of vectors and matrices, and distances.

use super::IntoAxes;
use super::composite::{attempt, bad_argument, bad_shape};
use super::reduce::flat_at_zero;
use crate::tensor::Tensor;

impl Tensor {
    /// The `p`-norm over axes: `sum(|x|^p)^(1/p)`, the largest magnitude for infinity, the smallest for
    /// minus infinity, the count of what is not zero for 0.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([3.0f32, 4.0]).vector_norm(2.0, ..).item::<f32>()?, 5.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("norm"))]
    #[track_caller]
    pub fn vector_norm(&self, p: f64, axes: impl IntoAxes) -> Tensor {
        attempt(|| {
            if self.is_integral() {
                return Err(super::composite::bad_dtype("vector_norm", self));
            }
            let a = self.abs();
            Ok(if p == f64::INFINITY {
                a.amax(axes)
            } else if p == f64::NEG_INFINITY {
                a.amin(axes)
            } else if p == 0.0 {
                a.ne(0).cast(a.dtype()?).sum(axes)
            } else if p == 1.0 {
                a.sum(axes)
            } else if p == 2.0 {
                flat_at_zero(&a.square().sum(axes), Tensor::sqrt)
            } else if p < 0.0 {
                a.pow(p).sum(axes).pow(1.0 / p)
            } else {
                let powers = flat_at_zero(&a, |a| a.pow(p));
                flat_at_zero(&powers.sum(axes), |sum| sum.pow(1.0 / p))
            })
        })
    }

    /// A norm of the matrices in two axes, which disappear.
    #[track_caller]
    pub fn matrix_norm(&self, ord: MatrixNorm, rows: i64, columns: i64) -> Tensor {
        attempt(|| {
            self.distinct_axes("matrix_norm", &[rows, columns])?;
            if self.is_integral() || self.rank()? < 2 {
                let error = bad_shape("matrix_norm", "norms are of floating-point matrices");
                return Err(error.operand(self.note("self")));
            }
            let x = self.movedim([rows, columns], [-2, -1]);
            let sums = |axis: i64| x.abs().sum(axis);
            Ok(match ord {
                MatrixNorm::Frobenius => x.vector_norm(2.0, [-2, -1]),
                MatrixNorm::MaxColumnSum => sums(-2).amax(-1),
                MatrixNorm::MinColumnSum => sums(-2).amin(-1),
                MatrixNorm::MaxRowSum => sums(-1).amax(-1),
                MatrixNorm::MinRowSum => sums(-1).amin(-1),
                MatrixNorm::Nuclear => x.svdvals().sum(-1),
                MatrixNorm::MaxSingular => x.svdvals().amax(-1),
                MatrixNorm::MinSingular => x.svdvals().amin(-1),
            })
        })
    }

    /// The Euclidean length of the difference.
    #[track_caller]
    pub fn dist(&self, other: &Tensor) -> Tensor {
        self.dist_with(other, 2.0)
    }

    /// As [`Tensor::dist`], in the `p`-norm.
    #[track_caller]
    pub fn dist_with(&self, other: &Tensor, p: f64) -> Tensor {
        self.sub(other).vector_norm(p, ..)
    }

    /// Slices along an axis scaled down to at most `maxnorm` in the `p`-norm.
    #[track_caller]
    pub fn renorm(&self, p: f64, axis: i64, maxnorm: f64) -> Tensor {
        attempt(|| {
            let at = self.axis("renorm", axis)?;
            if self.rank()? < 2 || p <= 0.0 || maxnorm < 0.0 {
                let message = format!("p = {p} and maxnorm = {maxnorm}, for at least two axes");
                return Err(bad_argument("renorm", message).operand(self.note("self")));
            }
            let over: Vec<i64> = (0..self.rank()? as i64)
                .filter(|a| *a != at as i64)
                .collect();
            let norm = self.keep_axes(&self.vector_norm(p, over.clone()), over);
            let scale = norm.add(1e-7).reciprocal().mul(maxnorm);
            Ok(self.mul(norm.gt(maxnorm).where_(scale, 1.0)))
        })
    }

    /// Euclidean distances between all pairs of rows: `[.., n, d]` and `[.., m, d]` give `[.., n, m]`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (x, y) = (Tensor::from([[0.0f32, 0.0]]), Tensor::from([[3.0f32, 4.0], [0.0, 1.0]]));
    /// assert_eq!(x.cdist(&y).to_vec::<f32>()?, [5.0, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn cdist(&self, other: &Tensor) -> Tensor {
        self.cdist_with(other, 2.0)
    }

    /// As [`Tensor::cdist`], in the `p`-norm.
    #[track_caller]
    pub fn cdist_with(&self, other: &Tensor, p: f64) -> Tensor {
        attempt(|| {
            if self.rank()? < 2 || other.rank()? < 2 {
                let error = bad_shape("cdist", "rows are in tensors with at least two axes");
                return Err(error
                    .operand(self.note("self"))
                    .operand(other.note("other")));
            }
            if p.is_nan() || p < 0.0 {
                return Err(bad_argument("cdist", format!("{p} is no norm")));
            }
            let difference = self.unsqueeze(-2).sub(other.unsqueeze(-3));
            match difference.known_dims()?.last() {
                // Rows without elements have no largest one; they are equal.
                Some(0) => Ok(difference.sum(-1)),
                _ => Ok(difference.vector_norm(p, -1)),
            }
        })
    }

    /// Distances between all pairs of different rows of a matrix, in the `p`-norm.
    #[track_caller]
    pub fn pdist(&self, p: f64) -> Tensor {
        attempt(|| {
            let [rows, _] = self.known_dims()?[..] else {
                let error = bad_shape("pdist", "rows are in a matrix");
                return Err(error.operand(self.note("self")));
            };
            let pairs = Tensor::triu_indices(rows, rows, 1);
            let row = |i: i64| self.index_select(0, &pairs.select(0, i));
            let difference = row(0).sub(row(1));
            match difference.known_dims()?.contains(&0) {
                true => Ok(difference.sum(-1)),
                false => Ok(difference.vector_norm(p, -1)),
            }
        })
    }
}

/// Norms of matrices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatrixNorm {
    /// Root of the sum of squares (`'fro'`).
    Frobenius,
    /// Largest sum of magnitudes in a column (1).
    MaxColumnSum,
    /// Smallest sum of magnitudes in a column (-1).
    MinColumnSum,
    /// Largest sum of magnitudes in a row (infinity).
    MaxRowSum,
    /// Smallest sum of magnitudes in a row (minus infinity).
    MinRowSum,
    /// Sum of singular values (`'nuc'`).
    Nuclear,
    /// Largest singular value (2).
    MaxSingular,
    /// Smallest singular value (-2).
    MinSingular,
}
