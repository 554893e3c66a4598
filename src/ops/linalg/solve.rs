//! Systems of equations, inverses and determinants.

use super::super::composite::{attempt, attempt_pair, bad_shape};
use super::lu::{System, decompose, permutation};
use super::{adjoint, embedded, epsilon, matrices, same_dtype, squares};
use crate::error::Result;
use crate::indexed::{Indexed, Noun};
use crate::tensor::{Applied, Derivative, Dim, Tensor, composite};

impl Tensor {
    /// Solves `A X = B` for this tensor `A`, or `X A = B` if not `left`. `B` may be a vector, or a
    /// batch of vectors with the batch of `A`; else batches broadcast. Reading the result fails if `A` is
    /// singular.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![2.0f64, 1.0, 1.0, 3.0], [2, 2]);
    /// let x = a.solve(&Tensor::from_vec(vec![3.0f64, 4.0], [2]), true);
    /// assert_eq!(x.to_vec::<f64>()?, [1.0, 1.0]);
    /// assert!(Tensor::zeros([2, 2]).solve(&Tensor::ones([2]), true).to_vec::<f32>().is_err());
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn solve(&self, b: &Tensor, left: bool) -> Tensor {
        attempt(|| solve("solve", self, b, left, true))
    }

    /// As [`Tensor::solve`], with the number of the first zero on the upper factor's diagonal, or 0 (i32),
    /// in place of an error.
    #[track_caller]
    pub fn solve_ex(&self, b: &Tensor, left: bool) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let x = solve("solve_ex", self, b, left, false)?;
            let [_, _, info] = decompose("solve_ex", self, false)?;
            Ok((x, info))
        })
    }

    /// The inverse. Reading it fails if there is none.
    #[track_caller]
    pub fn inv(&self) -> Tensor {
        attempt(|| inverse("inv", self, true))
    }

    /// As [`Tensor::inv`], with the number of the first zero on the upper factor's diagonal, or 0 (i32),
    /// in place of an error.
    #[track_caller]
    pub fn inv_ex(&self) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let inverse = inverse("inv_ex", self, false)?;
            let [_, _, info] = decompose("inv_ex", self, false)?;
            Ok((inverse, info))
        })
    }

    /// The determinant.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![1.0f64, 2.0, 3.0, 4.0], [2, 2]);
    /// assert!((a.det().item::<f64>()? + 2.0).abs() < 1e-12);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn det(&self) -> Tensor {
        attempt(|| {
            squares("det", self)?;
            let pull = Derivative::Pullback(pull_det);
            Ok(composite("linalg.det", &[], pull, &[self], || {
                attempt(|| {
                    let (system, sign) = determined("det", self)?;
                    Ok(system.diagonal().prod(-1).mul(sign))
                })
            }))
        })
    }

    /// The determinant's sign (of magnitude 1 for complex matrices; 0 if it is 0) and the logarithm of its
    /// magnitude.
    #[track_caller]
    pub fn slogdet(&self) -> (Tensor, Tensor) {
        attempt_pair(|| {
            squares("slogdet", self)?;
            let sign = || {
                let (system, sign) = determined("slogdet", self)?;
                Ok(system.diagonal().sgn().prod(-1).mul(sign))
            };
            let size = || {
                let (system, _) = determined("slogdet", self)?;
                Ok(system.diagonal().abs().log().sum(-1))
            };
            let pull_sign = Derivative::Pullback(pull_sign);
            let pull_size = Derivative::Pullback(pull_size);
            let sign = composite("linalg.slogdet.sign", &[], pull_sign, &[self], || {
                attempt(sign)
            });
            let size = composite("linalg.slogdet.logabsdet", &[], pull_size, &[self], || {
                attempt(size)
            });
            Ok((sign, size))
        })
    }

    /// The logarithm of the determinant; NaN where that is negative.
    #[track_caller]
    pub fn logdet(&self) -> Tensor {
        attempt(|| {
            let (sign, size) = self.slogdet();
            Ok(match sign.is_complex() {
                true => sign.log().add(size),
                false => sign.eq(-1).where_(f64::NAN, &size),
            })
        })
    }

    /// Solves `tensordot(A, X) = B` for this tensor `A`, whose axes `axes` are moved to the end first.
    #[track_caller]
    pub fn tensorsolve(&self, b: &Tensor, axes: Option<&[i64]>) -> Tensor {
        attempt(|| {
            let a = match axes {
                Some(axes) => {
                    let places: Vec<i64> = (0..axes.len() as i64)
                        .map(|i| i - axes.len() as i64)
                        .collect();
                    self.movedim(axes, places)
                }
                None => self.clone(),
            };
            let sizes = a.sizes()?;
            let Some(rest) = sizes.get(b.rank()?..) else {
                let error = bad_shape("tensorsolve", "the left side has fewer axes than the right");
                return Err(error.operand(self.note("self")).operand(b.note("b")));
            };
            let count = product(rest);
            let matrix = a.reshape([product(&b.sizes()?), count]);
            Ok(matrix.solve(&b.ravel(), true).reshape(rest.to_vec()))
        })
    }

    /// The tensor that undoes this one under `tensordot` over `ind` axes.
    #[track_caller]
    pub fn tensorinv(&self, ind: usize) -> Tensor {
        attempt(|| {
            let sizes = self.sizes()?;
            if ind == 0 || ind > sizes.len() {
                let message = format!("cannot split {} axes after {ind}", sizes.len());
                return Err(bad_shape("tensorinv", message).operand(self.note("self")));
            }
            let (first, last) = sizes.split_at(ind);
            let matrix = self.reshape([product(first), product(last)]);
            Ok(matrix.inv().reshape([last, first].concat()))
        })
    }
}

fn product(sizes: &[Dim]) -> Dim {
    sizes.iter().fold(Dim::from(1i64), |n, size| n * size)
}

pub(super) fn inverse(op: &'static str, a: &Tensor, fails: bool) -> Result<Tensor> {
    let _told = Indexed::of(op, Noun::Function, &[a]);
    let sizes = squares(op, a)?;
    let ty = sizes.of(a.dtype()?, &[&sizes.rows, &sizes.rows]);
    let eye = Tensor::eye_of(a.dim(-1), a.dim(-1), a.dtype()?).expand_to(op, ty.dims);
    Ok(quotient(a, &eye, false, fails))
}

fn solve(op: &'static str, a: &Tensor, b: &Tensor, left: bool, fails: bool) -> Result<Tensor> {
    squares(op, a)?;
    same_dtype(op, a, b)?;
    let (own, given) = (a.sizes()?, b.sizes()?);
    // A batch of vectors has the sizes of the matrices without their columns.
    let batch = &own[..own.len() - 1];
    let equal = |x: &Dim, y: &Dim| match (&x.0, &y.0) {
        (Ok(x), Ok(y)) => x.compare_eq(y) == Some(true),
        _ => false,
    };
    let vectors = given.len() == 1
        || given.len() == batch.len() && given.iter().zip(batch).all(|(x, y)| equal(x, y));
    let b = if vectors { b.unsqueeze(-1) } else { b.clone() };
    matrices(op, &b)?;
    if vectors && !left {
        let error = bad_shape(
            op,
            "a vector stands on the right only of a matrix on the left",
        );
        return Err(error.operand(b.note("b")));
    }
    if !left {
        let (a, b) = super::with_common_batch(op, (a, 2), (&b, 2))?;
        return Ok(adjoint(&quotient(&a, &adjoint(&b), true, fails)));
    }
    let (a, b) = super::with_common_batch(op, (a, 2), (&b, 2))?;
    let x = quotient(&a, &b, false, fails);
    Ok(if vectors { x.squeeze(-1) } else { x })
}

/// `X` with `A X = B`, or with the adjoint of `A`, for the same batch.
pub(super) fn quotient(a: &Tensor, b: &Tensor, adjoint: bool, fails: bool) -> Tensor {
    let settings = [i64::from(adjoint), i64::from(fails)];
    let pull = Derivative::Pullback(pull_quotient);
    composite("linalg.solve", &settings, pull, &[a, b], || {
        attempt(|| System::new("solve", a, fails)?.solve(b, adjoint))
    })
}

fn pull_quotient(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (turned, fails) = (a.attributes[0] != 0, a.attributes[1] != 0);
    let right = quotient(&a.operands[0], &a.flow[0], !turned, fails);
    let left = match turned {
        true => a.results[0].matmul(&adjoint(&right)),
        false => right.matmul(&adjoint(&a.results[0])),
    };
    Ok(vec![left.neg(), right])
}

/// The matrix decomposed, and the sign of its permutation.
fn determined(op: &'static str, a: &Tensor) -> Result<(System, Tensor)> {
    let [lu, pivots, _] = decompose(op, a, false)?;
    let stays = pivots.eq(Tensor::iota(a.dim(-1)).add(1));
    let one = Tensor::full_of((), 1, a.dtype()?);
    let sign = stays.where_(&one, one.neg()).prod(-1);
    let rows = permutation(op, &pivots, &a.dim(-1))?;
    Ok((System { op, lu, rows }, sign))
}

/// The determinant's derivative is the matrix of cofactors, which singular matrices have too: that of
/// the nearest matrix without a zero in its decomposition.
fn pull_det(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (mut system, sign) = determined("det", &a.operands[0])?;
    let pivots = system.diagonal();
    let dtype = pivots.dtype()?;
    let tiny = Tensor::full_of((), epsilon(dtype), dtype);
    let pivots = pivots.eq(0).where_(tiny, &pivots);
    let off = system.lu.sub(embedded(&system.diagonal()));
    system.lu = off.add(embedded(&pivots));
    let det = pivots.prod(-1).mul(sign);
    let scale = a.flow[0].mul(det.conj());
    let scale = scale.unsqueeze(-1).expand_as(&pivots);
    Ok(vec![system.solve(&embedded(&scale), true)?])
}

fn pull_size(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let flow = a.flow[0].cast(a.operands[0].dtype()?);
    Ok(vec![scaled_inverse(&a.operands[0], &flow)?])
}

/// The sign of a real determinant does not move, that of a complex one turns.
fn pull_sign(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (matrix, sign, flow) = (&a.operands[0], &a.results[0], &a.flow[0]);
    if !matrix.is_complex() {
        return Ok(vec![matrix.zeros_like()]);
    }
    let turned = flow.conj().mul(sign).imag();
    let scale = Tensor::complex(&turned.zeros_like(), &turned.neg());
    Ok(vec![scaled_inverse(matrix, &scale)?])
}

/// The adjoint's inverse times a number for each matrix.
fn scaled_inverse(a: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let scale = scale.unsqueeze(-1).expand_as(&super::diagonal(a));
    Ok(quotient(a, &embedded(&scale), true, false))
}
