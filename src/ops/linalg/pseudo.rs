//! What singular values tell: rank, condition, pseudo-inverses, least squares.

use super::super::composite::{attempt, bad_argument, bad_shape};
use super::eigen::hermitian as eigen;
use super::singular::decompose;
use super::solve::inverse;
use super::{Sizes, adjoint, as_type, epsilon, matrices, same_dtype, squares};
use crate::error::Result;
use crate::ops::MatrixNorm;
use crate::tensor::{Applied, Derivative, Tensor, composite};
use lazulite_ir::DType;

/// Below what singular values count as zero: the larger of `atol` and `rtol` times the largest one. Each may
/// be 0-d or have the sizes of the batch.
#[derive(Clone, Default, Debug)]
pub struct Tolerance {
    /// 0 if not given.
    pub atol: Option<Tensor>,
    /// If not given, 0 where `atol` is positive, else the precision times the larger size.
    pub rtol: Option<Tensor>,
}

impl Tolerance {
    /// Both, as real numbers with a last axis of 1.
    fn resolved(&self, a: &Tensor, sizes: &Sizes) -> Result<(Tensor, Tensor)> {
        let real = a.dtype()?.real();
        let number = |value: f64| Tensor::full_of((), value, real);
        let cast = |x: &Tensor| x.cast(real);
        let atol = self.atol.as_ref().map_or_else(|| number(0.0), cast);
        let larger = sizes.rows.maximum(&sizes.columns);
        let larger = Tensor::from_dim(crate::tensor::Dim(Ok(larger))).cast(real);
        let precision = larger.mul(epsilon(real));
        let rtol = match &self.rtol {
            Some(rtol) => rtol.cast(real),
            None => atol.gt(0).where_(number(0.0), precision),
        };
        Ok((atol.unsqueeze(-1), rtol.unsqueeze(-1)))
    }
}

/// How least squares are found. Solutions are the same for matrices of full rank.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum LstsqDriver {
    /// QR decomposition, of matrices of full rank.
    Gels,
    /// QR decomposition with pivoting.
    #[default]
    Gelsy,
    /// Singular values, by divide and conquer.
    Gelsd,
    /// Singular values.
    Gelss,
}

/// Least squares.
#[derive(Clone, Debug)]
pub struct Lstsq {
    /// Of all solutions that are as good the smallest.
    pub solution: Tensor,
    /// The sums of squares that remain, if there are more equations than unknowns and the driver is not
    /// `Gelsy`; else empty.
    pub residuals: Tensor,
    /// The ranks of the matrices, but for driver `Gels`; else empty.
    pub rank: Tensor,
    /// The singular values of the matrices for drivers `Gelsd` and `Gelss`; else empty.
    pub singular_values: Tensor,
}

impl Tensor {
    /// The pseudo-inverse: small singular values count as zero. Matrices are taken to be `hermitian` if
    /// so told.
    ///
    /// ```
    /// use lazulite::{Tolerance, prelude::*};
    /// let a = Tensor::from_vec(vec![2.0f64, 0.0, 0.0, 0.0], [2, 2]);
    /// let inverse = a.pinv(&Tolerance::default(), false).to_vec::<f64>()?;
    /// assert!((inverse[0] - 0.5).abs() < 1e-12 && inverse[3] == 0.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn pinv(&self, tolerance: &Tolerance, hermitian: bool) -> Tensor {
        attempt(|| {
            let op = "pinv";
            let sizes = match hermitian {
                true => squares(op, self)?,
                false => matrices(op, self)?,
            };
            if sizes.smaller().is(0) {
                let ty = sizes.of(self.dtype()?, &[&sizes.columns, &sizes.rows]);
                return Ok(Tensor::zeros_of(&ty));
            }
            let (atol, rtol) = tolerance.resolved(self, &sizes)?;
            let pull = Derivative::Pullback(pull_pinv);
            let settings = [i64::from(hermitian)];
            let operands = [self, &atol, &rtol];
            Ok(composite("linalg.pinv", &settings, pull, &operands, || {
                attempt(|| pseudo_inverse(self, &atol, &rtol, hermitian))
            }))
        })
    }

    /// The number of singular values that do not count as zero, i64.
    #[track_caller]
    pub fn matrix_rank(&self, tolerance: &Tolerance, hermitian: bool) -> Tensor {
        attempt(|| {
            let op = "matrix_rank";
            let sizes = matrices(op, self)?;
            if sizes.smaller().is(0) {
                return Ok(Tensor::zeros_of(&sizes.of(DType::I64, &[])));
            }
            let (atol, rtol) = tolerance.resolved(self, &sizes)?;
            let values = match hermitian {
                true => self.eigvalsh(false).abs(),
                false => self.svdvals(),
            };
            let limit = atol.maximum(rtol.mul(values.amax(-1).unsqueeze(-1)));
            Ok(values.gt(limit).cast(DType::I64).sum(-1))
        })
    }

    /// The condition number in a norm: the ratio of the largest to the smallest singular value for the
    /// largest one's norm, and for none.
    #[track_caller]
    pub fn cond(&self, norm: Option<MatrixNorm>) -> Tensor {
        attempt(|| {
            let op = "cond";
            let sizes = matrices(op, self)?;
            if sizes.smaller().is(0) {
                return Ok(Tensor::zeros_of(&sizes.of(self.dtype()?.real(), &[])));
            }
            let norm = match norm {
                None | Some(MatrixNorm::MaxSingular) => {
                    let values = self.svdvals();
                    return Ok(values.select(-1, 0).div(values.select(-1, -1)));
                }
                Some(MatrixNorm::MinSingular) => {
                    let values = self.svdvals();
                    return Ok(values.select(-1, -1).div(values.select(-1, 0)));
                }
                Some(norm) => norm,
            };
            squares(op, self)?;
            let inverse = inverse(op, self, false)?;
            let [_, _, info] = super::lu::decompose(op, self, false)?;
            let size = |x: &Tensor| x.matrix_norm(norm, -2, -1);
            Ok(info
                .ne(0)
                .where_(f64::INFINITY, size(self).mul(size(&inverse))))
        })
    }

    /// `X` that makes the sums of squares of `A X - B` smallest, for this tensor `A`. `B` may be a vector,
    /// or a batch of vectors. Singular values up to `rcond` times the largest count as zero; up to the
    /// precision times the larger size if it is not given.
    #[track_caller]
    pub fn lstsq(&self, b: &Tensor, rcond: Option<f64>, driver: LstsqDriver) -> Lstsq {
        let parts = || -> Result<[Tensor; 4]> {
            let sizes = matrices("lstsq", self)?;
            same_dtype("lstsq", self, b)?;
            let vectors = b.rank()? + 1 == self.rank()?;
            let b = if vectors { b.unsqueeze(-1) } else { b.clone() };
            if b.rank()? < 2 || self.dim(-2).0?.compare_eq(&b.dim(-2).0?) == Some(false) {
                let error = bad_shape("lstsq", "both sides need as many rows");
                return Err(error.operand(self.note("self")).operand(b.note("b")));
            }
            let real = self.dtype()?.real();
            let tolerance = Tolerance {
                atol: None,
                rtol: rcond.map(|r| Tensor::full_of((), r, real)),
            };
            let x = self.pinv(&tolerance, false).matmul(&b);
            let none = |dtype| Tensor::full_of([0], 0, dtype);
            let over = sizes.rows.compare_le(&sizes.columns) == Some(false);
            let residuals = match over && driver != LstsqDriver::Gelsy {
                true => self.matmul(&x).sub(&b).abs().square().sum(-2),
                false => none(real),
            };
            let rank = match driver {
                LstsqDriver::Gels => none(DType::I64),
                _ => self.matrix_rank(&tolerance, false),
            };
            let values = match driver {
                LstsqDriver::Gelsd | LstsqDriver::Gelss => self.svdvals(),
                _ => none(real),
            };
            let x = if vectors { x.squeeze(-1) } else { x };
            Ok([x, residuals, rank, values])
        };
        let [solution, residuals, rank, singular_values] =
            super::super::composite::attempt_all(parts);
        Lstsq {
            solution,
            residuals,
            rank,
            singular_values,
        }
    }
}

fn pseudo_inverse(a: &Tensor, atol: &Tensor, rtol: &Tensor, hermitian: bool) -> Result<Tensor> {
    let dtype = a.dtype()?;
    let inverted = |values: &Tensor| {
        let sizes = values.abs();
        let limit = atol.maximum(rtol.mul(sizes.amax(-1).unsqueeze(-1)));
        let counts = sizes.gt(limit);
        let safe = counts.where_(values, values.ones_like());
        let inverse = counts.where_(safe.reciprocal(), values.zeros_like());
        as_type(&inverse, dtype).unsqueeze(-2)
    };
    if hermitian {
        let (values, vectors) = eigen("pinv", a, false)?;
        return Ok(vectors.mul(inverted(&values)).matmul(&adjoint(&vectors)));
    }
    let [u, s, vh] = decompose("pinv", a, false)?;
    Ok(adjoint(&vh).mul(inverted(&s)).matmul(&adjoint(&u)))
}

fn pull_pinv(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (x, inverse) = (&a.operands[0], &a.results[0]);
    let Some(zeros) = a.operands.get(1..) else {
        return Err(bad_argument("pinv", "operands are missing"));
    };
    let (turned, flow) = (adjoint(inverse), adjoint(&a.flow[0]));
    let product = |x: &Tensor, y: &Tensor| x.matmul(y);
    // The smaller matrices first.
    let gradient = if matrices("pinv", x)?.is_tall("pinv")? {
        let inner = product(inverse, &flow);
        let outer = product(&turned, &inner);
        let rest = flow.sub(product(x, &inner));
        adjoint(&product(&inner, inverse))
            .neg()
            .add(product(&product(&rest, inverse), &turned))
            .add(outer.sub(product(&product(&outer, inverse), x)))
    } else {
        let inner = product(&flow, inverse);
        let outer = product(&inner, &turned);
        let rest = flow.sub(product(&inner, x));
        adjoint(&product(inverse, &inner))
            .neg()
            .add(outer.sub(product(x, &product(inverse, &outer))))
            .add(product(&turned, &product(inverse, &rest)))
    };
    let mut cotangents = vec![gradient];
    cotangents.extend(zeros.iter().map(Tensor::zeros_like));
    Ok(cotangents)
}
