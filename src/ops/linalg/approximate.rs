//! Decompositions of low rank, by random samples.

use super::super::composite::{attempt_all, bad_argument};
use super::{QrMode, adjoint, matrices};
use crate::error::Result;
use crate::tensor::Tensor;

impl Tensor {
    /// `U`, `S` and `V` with `A` near `U diag(S) V^H`, of rank `q`: the largest singular values, as far as
    /// `rounds` of sampling find them. `shift` is subtracted from the matrix if it is given.
    #[track_caller]
    pub fn svd_lowrank(
        &self,
        q: usize,
        rounds: usize,
        shift: Option<&Tensor>,
    ) -> (Tensor, Tensor, Tensor) {
        let [u, s, v] = attempt_all(|| {
            let a = shift.map_or_else(|| self.clone(), |shift| self.sub(shift));
            sampled("svd_lowrank", &a, q, rounds)
        });
        (u, s, v)
    }

    /// As [`Tensor::svd_lowrank`], for a matrix whose columns first lose their means if `center`.
    #[track_caller]
    pub fn pca_lowrank(&self, q: usize, center: bool, rounds: usize) -> (Tensor, Tensor, Tensor) {
        let [u, s, v] = attempt_all(|| {
            let a = match center {
                true => self.sub(self.mean(-2).unsqueeze(-2)),
                false => self.clone(),
            };
            sampled("pca_lowrank", &a, q, rounds)
        });
        (u, s, v)
    }
}

fn sampled(op: &'static str, a: &Tensor, q: usize, rounds: usize) -> Result<[Tensor; 3]> {
    let sizes = matrices(op, a)?;
    let smaller = sizes.smaller();
    if lazulite_ir::Dim::constant(q as i64).compare_le(&smaller) == Some(false) {
        let message = format!("rank {q} is more than matrices of this size have");
        return Err(bad_argument(op, message).operand(a.note("self")));
    }
    let orthonormal = |x: &Tensor| x.qr(QrMode::Reduced).0;
    let samples = a.beside(|| Ok(Tensor::randn([a.dim(-1), q.into()])));
    let samples = samples.cast(a.dtype()?);
    let mut range = orthonormal(&a.matmul(&samples));
    for _ in 0..rounds {
        range = orthonormal(&adjoint(a).matmul(&range));
        range = orthonormal(&a.matmul(&range));
    }
    let (u, s, vh) = adjoint(&range).matmul(a).svd(false);
    Ok([range.matmul(&u), s, adjoint(&vh)])
}
