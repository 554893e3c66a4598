//! Diagonals and triangles of matrices.

use super::composite::{attempt, bad_shape, sane};
use crate::error::Result;
use crate::tensor::{Dim, Tensor, primitive};
use lazulite_ir::{Dims, Op};
use std::ops::Range;

impl Tensor {
    /// The elements along the diagonal of the first two axes, which become one last axis.
    #[track_caller]
    pub fn diagonal(&self) -> Tensor {
        self.diagonal_with(0, 0, 1)
    }

    /// As [`Tensor::diagonal`], of two axes and so far above the main diagonal (negative: below).
    #[track_caller]
    pub fn diagonal_with(&self, offset: i64, first: i64, second: i64) -> Tensor {
        attempt(|| {
            let moved = self.plane_last("diagonal", first, second)?;
            let (rows, columns) = plane(&moved)?;
            let line = Diagonal::of(rows, columns, offset);
            let flat = moved.flatten(-2, -1);
            // Walking a diagonal is walking the flattened matrix in steps of a row and one.
            let step = columns as i64 + 1;
            let start = if line.len == 0 { 0 } else { line.start };
            Ok(flat.slice_axis("diagonal", -1, start.into(), line.len.into(), step))
        })
    }

    /// The diagonal of a matrix, or the matrix with this vector on its diagonal.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[1, 2], [3, 4]]);
    /// assert_eq!(x.diag().to_vec::<i32>()?, [1, 4]);
    /// assert_eq!(x.diag_with(1).to_vec::<i32>()?, [2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn diag(&self) -> Tensor {
        self.diag_with(0)
    }

    /// As [`Tensor::diag`], of or on the diagonal so far above the main one (negative: below).
    #[track_caller]
    pub fn diag_with(&self, offset: i64) -> Tensor {
        attempt(|| match self.rank()? {
            1 => Ok(self.diag_embed(offset, 0, 1).named("diag", &[self])),
            2 => Ok(self.diagonal_with(offset, 0, 1).named("diag", &[self])),
            rank => {
                let message = format!("a tensor with {rank} axes is no vector or matrix");
                Err(bad_shape("diag", message).operand(self.note("self")))
            }
        })
    }

    /// A matrix with the flattened tensor on its diagonal.
    #[track_caller]
    pub fn diagflat(&self, offset: i64) -> Tensor {
        self.ravel().diag_with(offset).named("diagflat", &[self])
    }

    /// Matrices (in the axes `first` and `second` of the result) with the last axis on a diagonal
    /// and zero elsewhere.
    #[track_caller]
    pub fn diag_embed(&self, offset: i64, first: i64, second: i64) -> Tensor {
        attempt(|| {
            sane(
                "diag_embed",
                usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX),
            )?;
            let x = self.atleast_1d();
            let dims = x.known_dims()?;
            let len = dims.last().copied().unwrap_or(0) as i64;
            let n = len + offset.abs();
            // The elements stand a row and one apart in the flattened matrix.
            let used = if len == 0 { 0 } else { (len - 1) * (n + 1) + 1 };
            let start = if offset >= 0 { offset } else { -offset * n };
            let rank = dims.len();
            let on_last = |value: i64| -> Dims {
                let mut dims: Dims = std::iter::repeat_n(lazulite_ir::Dim::ZERO, rank).collect();
                dims[rank - 1] = lazulite_ir::Dim::constant(value);
                dims
            };
            let pad = Op::Pad {
                low: on_last(start),
                high: on_last(n * n - start - used),
                interior: on_last(n),
            };
            let zero = Tensor::full_of((), 0, x.dtype()?);
            let mut sizes: Vec<Dim> = dims[..rank - 1].iter().map(|&d| d.into()).collect();
            sizes.extend([n.into(), n.into()]);
            let matrices = primitive("diag_embed", pad, &[&x, &zero]).reshape(sizes);
            // Axes are checked against the result.
            let places = matrices.distinct_axes("diag_embed", &[first, second])?;
            let places: Vec<i64> = places.into_iter().map(|p| p as i64).collect();
            Ok(matrices.movedim([-2, -1], places))
        })
    }

    /// This tensor with `source` on a diagonal.
    #[track_caller]
    pub fn diagonal_scatter(
        &self,
        source: &Tensor,
        offset: i64,
        first: i64,
        second: i64,
    ) -> Tensor {
        attempt(|| {
            let own = self.diagonal_with(offset, first, second).known_dims()?;
            if source.known_dims()? != own {
                let message = format!("the diagonal has sizes {own:?}");
                let error = bad_shape("diagonal_scatter", message);
                return Err(error
                    .operand(self.note("self"))
                    .operand(source.note("source")));
            }
            let moved = self.plane_last("diagonal_scatter", first, second)?;
            let (rows, columns) = plane(&moved)?;
            let line = Diagonal::of(rows, columns, offset);
            let index = Tensor::iota(line.len)
                .mul(columns as i64 + 1)
                .add(line.start);
            let flat = moved.flatten(-2, -1);
            let written = flat.scatter(-1, &index.expand(own), source);
            let sizes = moved.sizes()?;
            let rank = sizes.len() as i64;
            let (a, b) = (
                self.axis("diagonal_scatter", first)?,
                self.axis("diagonal_scatter", second)?,
            );
            let written = written.reshape(sizes);
            Ok(written.movedim([rank - 2, rank - 1], [a as i64, b as i64]))
        })
    }

    /// The sum of the diagonal of a matrix.
    #[track_caller]
    pub fn trace(&self) -> Tensor {
        attempt(|| match self.rank()? {
            2 => Ok(self.diagonal().sum(..)),
            rank => {
                let message = format!("a tensor with {rank} axes is no matrix");
                Err(bad_shape("trace", message).operand(self.note("self")))
            }
        })
    }

    /// The matrix with zeros above its diagonal.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::ones((2, 2)).tril().to_vec::<f32>()?, [1.0, 0.0, 1.0, 1.0]);
    /// assert_eq!(Tensor::ones((2, 2)).tril_with(-1).to_vec::<f32>()?, [0.0, 0.0, 1.0, 0.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self) -> Tensor {
        self.tril_with(0)
    }

    /// As [`Tensor::tril`], up to the diagonal so far above the main one (negative: below).
    #[track_caller]
    pub fn tril_with(&self, diagonal: i64) -> Tensor {
        self.triangle("tril", |distance| distance.le(diagonal))
    }

    /// The matrix with zeros below its diagonal.
    #[track_caller]
    pub fn triu(&self) -> Tensor {
        self.triu_with(0)
    }

    /// As [`Tensor::triu`], from the diagonal so far above the main one (negative: below).
    #[track_caller]
    pub fn triu_with(&self, diagonal: i64) -> Tensor {
        self.triangle("triu", |distance| distance.ge(diagonal))
    }

    #[track_caller]
    fn triangle(&self, op: &'static str, keep: impl FnOnce(Tensor) -> Tensor) -> Tensor {
        attempt(|| {
            let rank = self.rank()?;
            if rank < 2 {
                let error = bad_shape(op, "a matrix has at least two axes");
                return Err(error.operand(self.note("self")));
            }
            let (rows, columns) = (self.positions(rank - 2)?, self.positions(rank - 1)?);
            let zero = Tensor::full_of((), 0, self.dtype()?);
            Ok(keep(columns.sub(rows)).where_(self, zero))
        })
    }

    /// Row and column numbers of a matrix's lower triangle, row by row: two rows, i64.
    #[track_caller]
    pub fn tril_indices(rows: usize, columns: usize, offset: i64) -> Tensor {
        // Columns up to the diagonal's, which is `row + offset`.
        let upper = move |row: i64| 0..row.saturating_add(offset).saturating_add(1);
        triangle_indices("tril_indices", rows, columns, upper)
    }

    /// Row and column numbers of a matrix's upper triangle, row by row: two rows, i64.
    #[track_caller]
    pub fn triu_indices(rows: usize, columns: usize, offset: i64) -> Tensor {
        let lower = move |row: i64| row.saturating_add(offset)..i64::MAX;
        triangle_indices("triu_indices", rows, columns, lower)
    }

    /// The two axes of a plane moved to the end.
    #[track_caller]
    fn plane_last(&self, op: &'static str, first: i64, second: i64) -> Result<Tensor> {
        if self.rank()? < 2 {
            let error = bad_shape(op, "a diagonal needs two axes");
            return Err(error.operand(self.note("self")));
        }
        let axes = self.distinct_axes(op, &[first, second])?;
        Ok(self.movedim([axes[0] as i64, axes[1] as i64], [-2, -1]))
    }

    /// A matrix of powers of a vector: column `i` holds power `i`, or the powers fall from left to
    /// right if not `increasing`.
    #[track_caller]
    pub fn vander(&self, columns: Option<usize>, increasing: bool) -> Tensor {
        attempt(|| {
            let x = self.atleast_1d();
            let columns = match columns {
                Some(columns) => columns,
                None => x.known_size(x.rank()? - 1)?,
            };
            let exponents = Tensor::iota(columns).cast(self.dtype()?);
            let exponents = if increasing {
                exponents
            } else {
                exponents.flip([0])
            };
            Ok(x.unsqueeze(-1).pow(exponents))
        })
    }
}

/// Where a diagonal runs in a flattened matrix.
struct Diagonal {
    start: i64,
    len: usize,
}

impl Diagonal {
    fn of(rows: usize, columns: usize, offset: i64) -> Diagonal {
        let below = match offset < 0 {
            true => usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX),
            false => 0,
        };
        let right = usize::try_from(offset).unwrap_or(0);
        Diagonal {
            start: below.saturating_mul(columns).saturating_add(right) as i64,
            len: rows
                .saturating_sub(below)
                .min(columns.saturating_sub(right)),
        }
    }
}

/// The sizes of the last two axes.
#[track_caller]
fn plane(x: &Tensor) -> Result<(usize, usize)> {
    let dims = x.known_dims()?;
    Ok((dims[dims.len() - 2], dims[dims.len() - 1]))
}

/// Row and column numbers of the columns in `keep` of each row.
#[track_caller]
fn triangle_indices(
    op: &'static str,
    rows: usize,
    columns: usize,
    keep: impl Fn(i64) -> Range<i64>,
) -> Tensor {
    attempt(|| {
        let (rows, columns) = (sane(op, rows)? as i64, sane(op, columns)? as i64);
        let kept = |row: i64| {
            let Range { start, end } = keep(row);
            start.clamp(0, columns)..end.clamp(0, columns)
        };
        let count = (0..rows).map(|row| kept(row).count()).sum();
        sane(op, count)?;
        let mut places = Vec::with_capacity(2 * count);
        places.extend((0..rows).flat_map(|row| kept(row).map(move |_| row)));
        places.extend((0..rows).flat_map(kept));
        Ok(Tensor::from_vec(places, [2, count]))
    })
}
