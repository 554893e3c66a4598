//! Decomposition of symmetric and Hermitian matrices that need not be definite.

use super::super::composite::{attempt, attempt_all, attempt_pair};
use super::{called_for, matrices, same_dtype, squares, with_common_batch};
use crate::error::Result;
use crate::tensor::Tensor;
use lazulite_ir::DType;

impl Tensor {
    /// The factors of `A = L D L^T` (`L D L^H` if `hermitian`) in one matrix, and exchanges of rows, in
    /// LAPACK's layout, for [`Tensor::ldl_solve`]. Only the lower triangle of `A` counts.
    #[track_caller]
    pub fn ldl_factor(&self, hermitian: bool) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let [ld, pivots, _] = factor("ldl_factor", self, hermitian)?;
            Ok((ld, pivots))
        })
    }

    /// As [`Tensor::ldl_factor`], with the number of the first pivot that is zero, or 0 (i32).
    #[track_caller]
    pub fn ldl_factor_ex(&self, hermitian: bool) -> (Tensor, Tensor, Tensor) {
        let [ld, pivots, info] = attempt_all(|| factor("ldl_factor_ex", self, hermitian));
        (ld, pivots, info)
    }

    /// Solves `A X = B` by what [`Tensor::ldl_factor`] gives for `A`, this tensor.
    #[track_caller]
    pub fn ldl_solve(&self, pivots: &Tensor, b: &Tensor, hermitian: bool) -> Tensor {
        attempt(|| {
            let op = "ldl_solve";
            squares(op, self)?;
            matrices(op, b)?;
            same_dtype(op, self, b)?;
            let pivots = pivots.cast(DType::I32);
            let (ld, b) = with_common_batch(op, (self, 2), (b, 2))?;
            let column = pivots.unsqueeze(-1);
            let (column, _) = with_common_batch(op, (&column, 2), (&b, 2))?;
            let name = match hermitian {
                true => "linalg.ldl_solve_hermitian",
                false => "linalg.ldl_solve",
            };
            let result = (*b.node()?.ty).clone();
            let [x] = called_for(op, name, [result], &[&ld, &column.squeeze(-1), &b])?;
            Ok(x)
        })
    }
}

fn factor(op: &'static str, a: &Tensor, hermitian: bool) -> Result<[Tensor; 3]> {
    let sizes = squares(op, a)?;
    let n = &sizes.rows;
    let results = [
        sizes.of(a.dtype()?, &[n, n]),
        sizes.of(DType::I32, &[n]),
        sizes.of(DType::I32, &[]),
    ];
    let name = match hermitian && a.is_complex() {
        true => "linalg.ldl_factor_hermitian",
        false => "linalg.ldl_factor",
    };
    called_for(op, name, results, &[a])
}
