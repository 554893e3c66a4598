//! Cholesky decomposition, and systems by it.

use super::super::composite::{attempt, attempt_pair};
use super::triangular::{divide, divide_right};
use super::{adjoint, called_for, half_lower, matrices, same_dtype, squares, with_common_batch};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Applied, Derivative, Tensor, composite};
use lazulite_ir::DType;

impl Tensor {
    /// The lower triangular `L` with `L L^H = A` for a Hermitian positive definite `A`; its adjoint if
    /// `upper`. Only that triangle of `A` counts. Reading the result fails if `A` is not positive
    /// definite.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![4.0f64, 2.0, 2.0, 5.0], [2, 2]);
    /// assert_eq!(a.cholesky(false).to_vec::<f64>()?, [2.0, 0.0, 1.0, 2.0]);
    /// assert!(a.neg().cholesky(false).to_vec::<f64>().is_err());
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn cholesky(&self, upper: bool) -> Tensor {
        attempt(|| Ok(factor("cholesky", "linalg.cholesky", self, upper)?.0))
    }

    /// As [`Tensor::cholesky`], with the order of the first leading minor that is not positive, or 0
    /// (i32), in place of an error.
    #[track_caller]
    pub fn cholesky_ex(&self, upper: bool) -> (Tensor, Tensor) {
        attempt_pair(|| factor("cholesky_ex", "linalg.cholesky_ex", self, upper))
    }

    /// Solves `A X = B`, this tensor, by the Cholesky factor of `A`. One triangle of the factor counts; its
    /// derivative is that of `A = L L^H` (or `U^H U`) for any `L`, so that the other triangle has one as well.
    #[track_caller]
    pub fn cholesky_solve(&self, factor: &Tensor, upper: bool) -> Tensor {
        attempt(|| {
            let op = "cholesky_solve";
            squares(op, factor)?;
            matrices(op, self)?;
            same_dtype(op, self, factor)?;
            let (factor, b) = with_common_batch(op, (factor, 2), (self, 2))?;
            let moves = Derivative::Both(pull_solve, push_solve);
            let define = || attempt(|| divided(&b, &factor, upper));
            Ok(composite(
                op,
                &[upper.into()],
                moves,
                &[&b, &factor],
                define,
            ))
        })
    }

    /// The inverse of `A` by its Cholesky factor, this tensor.
    #[track_caller]
    pub fn cholesky_inverse(&self, upper: bool) -> Tensor {
        attempt(|| {
            squares("cholesky_inverse", self)?;
            let eye = Tensor::eye_of(self.dim(-1), self.dim(-1), self.dtype()?);
            Ok(eye.cholesky_solve(self, upper))
        })
    }
}

/// `A^-1 B` by the factor of A.
fn divided(b: &Tensor, factor: &Tensor, upper: bool) -> Result<Tensor> {
    let op = "cholesky_solve";
    let (first, second) = match upper {
        true => (adjoint(factor), factor.clone()),
        false => (factor.clone(), adjoint(factor)),
    };
    let half = divide(op, &first, b, false, false)?;
    divide(op, &second, &half, true, false)
}

/// Whether a solution is by an upper factor, and the triangle of the factor that counts.
fn triangle(a: &Applied<'_>) -> (bool, Tensor) {
    let (upper, factor) = (a.attributes == [1], &a.operands[1]);
    let counts = if upper { factor.triu() } else { factor.tril() };
    (upper, counts)
}

fn pull_solve(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (upper, factor) = triangle(a);
    let moved = a.flow[0].cholesky_solve(&factor, upper);
    let product = moved.matmul(&adjoint(&a.results[0]));
    let even = product.add(adjoint(&product)).neg();
    let of_factor = match upper {
        true => factor.matmul(&even),
        false => even.matmul(&factor),
    };
    Ok(vec![moved, of_factor])
}

fn push_solve(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (upper, factor) = triangle(a);
    let half = match upper {
        true => adjoint(&a.flow[1]).matmul(&factor),
        false => a.flow[1].matmul(&adjoint(&factor)),
    };
    let whole = half.add(adjoint(&half));
    let right = a.flow[0].sub(whole.matmul(&a.results[0]));
    Ok(vec![right.cholesky_solve(&factor, upper)])
}

fn factor(op: &'static str, name: &str, a: &Tensor, upper: bool) -> Result<(Tensor, Tensor)> {
    let sizes = squares(op, a)?;
    let a = if upper { adjoint(a) } else { a.clone() };
    let n = &sizes.rows;
    let results = [sizes.of(a.dtype()?, &[n, n]), sizes.of(DType::I32, &[])];
    let [l, info] = called_for(op, name, results, &[&a])?;
    Ok((if upper { adjoint(&l) } else { l }, info))
}

const RULES: ForeignRules = ForeignRules {
    pullback,
    pushforward,
};
pub(super) const DERIVATIVES: &[(&str, ForeignRules)] =
    &[("linalg.cholesky", RULES), ("linalg.cholesky_ex", RULES)];

fn pullback(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (op, l) = ("cholesky", &a.results[0]);
    let inner = half_lower(&adjoint(l).matmul(&a.flow[0]));
    let left = divide(op, &adjoint(l), &inner, true, false)?;
    let whole = divide_right(op, l, &left, false, false)?;
    Ok(vec![whole.add(adjoint(&whole)).mul(0.5)])
}

fn pushforward(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (op, l, moved) = ("cholesky", &a.results[0], &a.flow[0]);
    let even = moved.add(adjoint(moved)).mul(0.5);
    let left = divide(op, l, &even, false, false)?;
    let both = divide_right(op, &adjoint(l), &left, true, false)?;
    Ok(vec![l.matmul(&half_lower(&both))])
}
