//! Normal distributions of vectors, whose numbers depend on each other.

use super::Distribution;
use super::draw;
use super::kl::KlDivergence;
use super::support::{Support, leading};
use crate::error::Result;
use crate::ops::{attempt, attempt_all, bad_shape, floating};
use crate::tensor::{Argument, Dim, Tensor, promote};
use std::f64::consts::PI;

/// What densities and divergences of normal distributions are made of.
trait Gaussian {
    /// The means.
    fn center(&self) -> &Tensor;

    /// Matrices whose squares `R R^T` sum up to the covariance.
    fn roots(&self) -> Vec<Tensor>;

    /// For the covariance S, `trace(X^T S^-1 X)`.
    fn weigh(&self, x: &Tensor) -> Tensor;

    /// Half the logarithm of the covariance's determinant.
    fn half_log_det(&self) -> Tensor;
}

/// The logarithm of the density at `value`.
#[track_caller]
fn log_density(d: &impl Gaussian, value: &Tensor) -> Tensor {
    attempt(|| {
        let value = Support::RealVector.checked(value);
        let center = d.center();
        let off = value.sub(center).unsqueeze(-1);
        let constant = 0.5 * center.dim(-1).value()? as f64 * (2.0 * PI).ln();
        let exponent = d.weigh(&off).mul(-0.5);
        Ok(exponent.sub(d.half_log_det()).sub(constant))
    })
}

#[track_caller]
fn entropy(d: &impl Gaussian) -> Tensor {
    attempt(|| {
        let size = d.center().dim(-1).value()? as f64;
        Ok(d.half_log_det().add(0.5 * size * ((2.0 * PI).ln() + 1.0)))
    })
}

#[track_caller]
fn divergence(p: &impl Gaussian, q: &impl Gaussian) -> Tensor {
    attempt(|| {
        let size = p.center().dim(-1);
        if size.value()? != q.center().dim(-1).value()? {
            let error = bad_shape("kl_divergence", "the vectors differ in size");
            let error = error.operand(p.center().note("loc"));
            return Err(error.operand(q.center().note("loc")));
        }
        let off = q.center().sub(p.center()).unsqueeze(-1);
        let spread = p
            .roots()
            .iter()
            .fold(q.weigh(&off), |sum, root| sum.add(q.weigh(root)));
        let logs = q.half_log_det().sub(p.half_log_det());
        Ok(spread.sub(size.value()?).mul(0.5).add(logs))
    })
}

impl KlDivergence<MultivariateNormal> for MultivariateNormal {
    fn kl_divergence(&self, q: &MultivariateNormal) -> Tensor {
        divergence(self, q)
    }
}

impl KlDivergence<LowRankMultivariateNormal> for MultivariateNormal {
    fn kl_divergence(&self, q: &LowRankMultivariateNormal) -> Tensor {
        divergence(self, q)
    }
}

impl KlDivergence<MultivariateNormal> for LowRankMultivariateNormal {
    fn kl_divergence(&self, q: &MultivariateNormal) -> Tensor {
        divergence(self, q)
    }
}

impl KlDivergence<LowRankMultivariateNormal> for LowRankMultivariateNormal {
    fn kl_divergence(&self, q: &LowRankMultivariateNormal) -> Tensor {
        divergence(self, q)
    }
}

/// Normal vectors.
///
/// ```
/// use lazulite::distributions::{Distribution, MultivariateNormal};
/// use lazulite::prelude::*;
/// let covariance = Tensor::from_vec(vec![4.0f64, 2.0, 2.0, 5.0], [2, 2]);
/// let normal = MultivariateNormal::new(&Tensor::zeros([2]), &covariance);
/// assert_eq!(normal.sample(&[100]).dims()?, [100, 2]);
/// assert_eq!(normal.variance().to_vec::<f64>()?, [4.0, 5.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultivariateNormal {
    loc: Tensor,
    scale_tril: Tensor,
}

impl MultivariateNormal {
    /// With these means and this positive definite covariance.
    #[track_caller]
    pub fn new(loc: &Tensor, covariance: &Tensor) -> MultivariateNormal {
        MultivariateNormal::of(loc, covariance, |c| Ok(c.cholesky(false)))
    }

    /// With the inverse of the covariance.
    #[track_caller]
    pub fn from_precision(loc: &Tensor, precision: &Tensor) -> MultivariateNormal {
        MultivariateNormal::of(loc, precision, |p| {
            // The factor of the mirrored matrix is the mirrored inverse of what is wanted.
            let mirrored = p.flip([-2, -1]).cholesky(false);
            let inverse = mirrored.flip([-2, -1]).mt();
            let eye = Tensor::eye_of(p.dim(-1), p.dim(-1), p.dtype()?);
            Ok(inverse.solve_triangular(&eye, false, true, false))
        })
    }

    /// With a lower triangular `L`, whose diagonal is positive, for the covariance `L L^T`.
    #[track_caller]
    pub fn from_scale_tril(loc: &Tensor, scale_tril: &Tensor) -> MultivariateNormal {
        MultivariateNormal::of(loc, scale_tril, |l| {
            let positive = l.diagonal_with(0, -2, -1).gt(0).all(-1);
            let positive = positive.unsqueeze(-1).unsqueeze(-1);
            Ok(l.tril()
                .require(&positive, "factors have a positive diagonal"))
        })
    }

    #[track_caller]
    fn of(
        loc: &Tensor,
        matrix: &Tensor,
        factor: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> MultivariateNormal {
        let [loc, scale_tril] = attempt_all(|| {
            let [loc, matrix] = alike([loc, matrix])?;
            expect_axes(&matrix, 2)?;
            let factor = factor(&matrix)?;
            let (loc, [factor]) = for_one_batch(&loc, [&factor])?;
            Ok([loc, factor])
        });
        MultivariateNormal { loc, scale_tril }
    }

    /// The means.
    pub fn loc(&self) -> &Tensor {
        &self.loc
    }

    /// The lower triangular factor of the covariance.
    pub fn scale_tril(&self) -> &Tensor {
        &self.scale_tril
    }

    /// The covariance.
    #[track_caller]
    pub fn covariance(&self) -> Tensor {
        self.scale_tril.matmul(&self.scale_tril.mt())
    }

    /// The inverse of the covariance.
    #[track_caller]
    pub fn precision(&self) -> Tensor {
        self.scale_tril.cholesky_inverse(false)
    }
}

impl Gaussian for MultivariateNormal {
    fn center(&self) -> &Tensor {
        &self.loc
    }

    fn roots(&self) -> Vec<Tensor> {
        vec![self.scale_tril.clone()]
    }

    fn weigh(&self, x: &Tensor) -> Tensor {
        squares(&self.scale_tril.solve_triangular(x, false, true, false))
    }

    fn half_log_det(&self) -> Tensor {
        log_diagonal(&self.scale_tril)
    }
}

impl Distribution for MultivariateNormal {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.loc, 1)
    }

    fn event_shape(&self) -> Vec<Dim> {
        vec![self.loc.dim(-1)]
    }

    fn support(&self) -> Support {
        Support::RealVector
    }

    fn expand(&self, batch_shape: &[Dim]) -> MultivariateNormal {
        MultivariateNormal {
            loc: larger(&self.loc, batch_shape, 1),
            scale_tril: larger(&self.scale_tril, batch_shape, 2),
        }
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            let noise = draw::normals(shape, &self.loc)?.unsqueeze(-1);
            Ok(self.scale_tril.matmul(&noise).squeeze(-1).add(&self.loc))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        log_density(self, value)
    }

    fn entropy(&self) -> Tensor {
        entropy(self)
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    fn variance(&self) -> Tensor {
        self.scale_tril.square().sum(-1)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }
}

/// Normal vectors with the covariance `W W^T + diag(D)`, for a W of few columns.
///
/// ```
/// use lazulite::distributions::{Distribution, LowRankMultivariateNormal};
/// use lazulite::prelude::*;
/// let (factor, diagonal) = (Tensor::ones([3, 1]), Tensor::ones([3]));
/// let normal = LowRankMultivariateNormal::new(&Tensor::zeros([3]), &factor, &diagonal);
/// assert_eq!(normal.variance().to_vec::<f32>()?, [2.0; 3]);
/// assert_eq!(normal.log_prob(&Tensor::zeros([5, 3])).dims()?, [5]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LowRankMultivariateNormal {
    loc: Tensor,
    factor: Tensor,
    diagonal: Tensor,
    /// The Cholesky factor of `1 + W^T D^-1 W`.
    capacitance: Tensor,
}

impl LowRankMultivariateNormal {
    /// With these means, `W` (`[.., size, rank]`), and `D`, which is positive.
    #[track_caller]
    pub fn new(loc: &Tensor, factor: &Tensor, diagonal: &Tensor) -> LowRankMultivariateNormal {
        let [loc, factor, diagonal, capacitance] = attempt_all(|| {
            let [loc, factor, diagonal] = alike([loc, factor, diagonal])?;
            expect_axes(&factor, 2)?;
            expect_axes(&diagonal, 1)?;
            let diagonal = Support::PositiveVector.checked(&diagonal);
            let column = diagonal.unsqueeze(-1);
            let (loc, [factor, column]) = for_one_batch(&loc, [&factor, &column])?;
            let product = factor.mt().matmul(&factor.div(&column));
            let rank = product.dim(-1);
            let eye = Tensor::eye_of(rank.clone(), rank, product.dtype()?);
            let capacitance = product.add(eye).cholesky(false);
            Ok([loc, factor, column.squeeze(-1), capacitance])
        });
        LowRankMultivariateNormal {
            loc,
            factor,
            diagonal,
            capacitance,
        }
    }

    /// The means.
    pub fn loc(&self) -> &Tensor {
        &self.loc
    }

    /// W.
    pub fn cov_factor(&self) -> &Tensor {
        &self.factor
    }

    /// D.
    pub fn cov_diag(&self) -> &Tensor {
        &self.diagonal
    }

    /// The covariance.
    #[track_caller]
    pub fn covariance(&self) -> Tensor {
        let product = self.factor.matmul(&self.factor.mt());
        product.add(self.diagonal.diag_embed(0, -2, -1))
    }
}

impl Gaussian for LowRankMultivariateNormal {
    fn center(&self) -> &Tensor {
        &self.loc
    }

    fn roots(&self) -> Vec<Tensor> {
        let diagonal = self.diagonal.sqrt().diag_embed(0, -2, -1);
        vec![self.factor.clone(), diagonal]
    }

    /// By Woodbury's identity for the inverse.
    fn weigh(&self, x: &Tensor) -> Tensor {
        let scaled = x.div(self.diagonal.unsqueeze(-1));
        let seen = self.factor.mt().matmul(&scaled);
        let seen = self.capacitance.solve_triangular(&seen, false, true, false);
        scaled.mul(x).sum([-2, -1]).sub(squares(&seen))
    }

    fn half_log_det(&self) -> Tensor {
        let diagonal = self.diagonal.log().sum(-1).mul(0.5);
        log_diagonal(&self.capacitance).add(diagonal)
    }
}

impl Distribution for LowRankMultivariateNormal {
    fn batch_shape(&self) -> Vec<Dim> {
        leading(&self.loc, 1)
    }

    fn event_shape(&self) -> Vec<Dim> {
        vec![self.loc.dim(-1)]
    }

    fn support(&self) -> Support {
        Support::RealVector
    }

    fn expand(&self, batch_shape: &[Dim]) -> LowRankMultivariateNormal {
        LowRankMultivariateNormal {
            loc: larger(&self.loc, batch_shape, 1),
            factor: larger(&self.factor, batch_shape, 2),
            diagonal: larger(&self.diagonal, batch_shape, 1),
            capacitance: larger(&self.capacitance, batch_shape, 2),
        }
    }

    fn rsample(&self, shape: &[usize]) -> Tensor {
        attempt(|| {
            // One number for each column of W, and one for each of the vector.
            let like = self.capacitance.select(-1, 0);
            let shared = draw::normals(shape, &like)?.unsqueeze(-1);
            let own = draw::normals(shape, &self.loc)?.mul(self.diagonal.sqrt());
            Ok(self
                .factor
                .matmul(&shared)
                .squeeze(-1)
                .add(own)
                .add(&self.loc))
        })
    }

    fn log_prob(&self, value: &Tensor) -> Tensor {
        log_density(self, value)
    }

    fn entropy(&self) -> Tensor {
        entropy(self)
    }

    fn mean(&self) -> Tensor {
        self.loc.clone()
    }

    fn variance(&self) -> Tensor {
        self.factor.square().sum(-1).add(&self.diagonal)
    }

    fn mode(&self) -> Tensor {
        self.loc.clone()
    }
}

/// The sum of the squares of matrices' elements.
fn squares(x: &Tensor) -> Tensor {
    x.square().sum([-2, -1])
}

/// The sum of the logarithms of a diagonal.
fn log_diagonal(x: &Tensor) -> Tensor {
    x.diagonal_with(0, -2, -1).log().sum(-1)
}

/// Tensors of a common floating-point type.
fn alike<const N: usize>(tensors: [&Tensor; N]) -> Result<[Tensor; N]> {
    let arguments = tensors.map(Argument::from);
    let dtype = floating(promote(&arguments.iter().collect::<Vec<_>>())?);
    Ok(tensors.map(|t| t.cast(dtype)))
}

fn expect_axes(x: &Tensor, least: usize) -> Result<()> {
    if x.rank()? >= least {
        return Ok(());
    }
    let message = format!("this parameter has at least {least} axes");
    Err(bad_shape("multivariate_normal", message).operand(x.note("parameter")))
}

/// A vector and matrices with as many rows, for the same batch; a number stands for a whole vector.
fn for_one_batch<const N: usize>(
    loc: &Tensor,
    matrices: [&Tensor; N],
) -> Result<(Tensor, [Tensor; N])> {
    let column = loc.atleast_1d().unsqueeze(-1);
    // One column of each is enough to find the common sizes.
    let mut columns = vec![column];
    columns.extend(matrices.iter().map(|m| m.narrow(-1, 0, 1)));
    let common = Tensor::broadcast_tensors(&columns.iter().collect::<Vec<_>>());
    let Some(first) = common.first() else {
        return Err(crate::tensor::internal(
            "multivariate_normal",
            "no parameters",
        ));
    };
    first.check()?;
    let batch = leading(first, 2);
    Ok((first.squeeze(-1), matrices.map(|m| larger(m, &batch, 2))))
}

/// The same for a larger batch.
#[track_caller]
fn larger(x: &Tensor, batch: &[Dim], event: usize) -> Tensor {
    attempt(|| {
        let own = x.sizes()?;
        let event = own[own.len().saturating_sub(event)..].iter().cloned();
        let sizes: Vec<Dim> = batch.iter().cloned().chain(event).collect();
        Ok(x.expand(sizes))
    })
}
