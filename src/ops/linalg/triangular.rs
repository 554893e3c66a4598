//! Triangular systems.

use super::super::composite::attempt;
use super::{adjoint, called_for, matrices, same_dtype, squares, with_common_batch};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Applied, Tensor};

impl Tensor {
    /// Solves `A X = B` for a triangular `A`, this tensor, of which only that triangle counts: the
    /// upper one or the lower one; without its diagonal, which is taken to be ones, if `unitriangular`.
    /// Solves `X A = B` if not `left`. Batches broadcast.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![2.0f64, 0.0, 1.0, 4.0], [2, 2]);
    /// let b = Tensor::from_vec(vec![2.0f64, 9.0], [2, 1]);
    /// let x = a.solve_triangular(&b, false, true, false);
    /// assert_eq!(x.to_vec::<f64>()?, [1.0, 2.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn solve_triangular(
        &self,
        b: &Tensor,
        upper: bool,
        left: bool,
        unitriangular: bool,
    ) -> Tensor {
        attempt(|| {
            let op = "solve_triangular";
            squares(op, self)?;
            matrices(op, b)?;
            same_dtype(op, self, b)?;
            let (a, b) = with_common_batch(op, (self, 2), (b, 2))?;
            match left {
                true => divide(op, &a, &b, upper, unitriangular),
                false => divide_right(op, &a, &b, upper, unitriangular),
            }
        })
    }

    /// As [`Tensor::solve_triangular`] by its older name, for this tensor as `B`: the solution, and
    /// `A` for the same batch.
    #[track_caller]
    pub fn triangular_solve(
        &self,
        a: &Tensor,
        upper: bool,
        transpose: bool,
        unitriangular: bool,
    ) -> (Tensor, Tensor) {
        super::super::composite::attempt_pair(|| {
            let op = "triangular_solve";
            squares(op, a)?;
            matrices(op, self)?;
            let (matrix, b) = with_common_batch(op, (a, 2), (self, 2))?;
            let x = match transpose {
                true => divide(op, &matrix.mt(), &b, !upper, unitriangular)?,
                false => divide(op, &matrix, &b, upper, unitriangular)?,
            };
            Ok((x, matrix))
        })
    }
}

/// Solves `A X = B`, for the same batch.
pub(super) fn divide(
    op: &'static str,
    a: &Tensor,
    b: &Tensor,
    upper: bool,
    unit: bool,
) -> Result<Tensor> {
    let name = match (upper, unit) {
        (false, false) => "linalg.solve_lower",
        (true, false) => "linalg.solve_upper",
        (false, true) => "linalg.solve_unit_lower",
        (true, true) => "linalg.solve_unit_upper",
    };
    let result = (*b.node()?.ty).clone();
    let [x] = called_for(op, name, [result], &[a, b])?;
    Ok(x)
}

/// Solves `X A = B`, for the same batch.
pub(super) fn divide_right(
    op: &'static str,
    a: &Tensor,
    b: &Tensor,
    upper: bool,
    unit: bool,
) -> Result<Tensor> {
    Ok(divide(op, &a.mt(), &b.mt(), !upper, unit)?.mt())
}

macro_rules! rules {
    ($name:literal, $upper:literal, $unit:literal) => {
        (
            $name,
            ForeignRules {
                pullback: |a| pullback(a, $upper, $unit),
                pushforward: |a| pushforward(a, $upper, $unit),
            },
        )
    };
}

pub(super) const DERIVATIVES: &[(&str, ForeignRules)] = &[
    rules!("linalg.solve_lower", false, false),
    rules!("linalg.solve_upper", true, false),
    rules!("linalg.solve_unit_lower", false, true),
    rules!("linalg.solve_unit_upper", true, true),
];

/// What of a matrix counts.
fn triangle(x: &Tensor, upper: bool, unit: bool) -> Tensor {
    let without = i64::from(unit);
    match upper {
        true => x.triu_with(without),
        false => x.tril_with(-without),
    }
}

fn pullback(a: &Applied<'_>, upper: bool, unit: bool) -> Result<Vec<Tensor>> {
    let (matrix, x) = (&a.operands[0], &a.results[0]);
    let right = divide(
        "solve_triangular",
        &adjoint(matrix),
        &a.flow[0],
        !upper,
        unit,
    )?;
    let left = right.matmul(&adjoint(x)).neg();
    Ok(vec![triangle(&left, upper, unit), right])
}

fn pushforward(a: &Applied<'_>, upper: bool, unit: bool) -> Result<Vec<Tensor>> {
    let (matrix, x) = (&a.operands[0], &a.results[0]);
    let moved = triangle(&a.flow[0], upper, unit).matmul(x);
    let right = a.flow[1].sub(moved);
    Ok(vec![divide(
        "solve_triangular",
        matrix,
        &right,
        upper,
        unit,
    )?])
}
