//! The exponential function of matrices.

use super::super::composite::attempt;
use super::{adjoint, called_for, squares};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::Tensor;

impl Tensor {
    /// The exponential function of square matrices: the sum of `A^n / n!`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![0.0f64, 1.0, 0.0, 0.0], [2, 2]);
    /// assert_eq!(a.matrix_exp().to_vec::<f64>()?, [1.0, 1.0, 0.0, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn matrix_exp(&self) -> Tensor {
        attempt(|| {
            squares("matrix_exp", self)?;
            exponential(self)
        })
    }
}

fn exponential(a: &Tensor) -> Result<Tensor> {
    let result = (*a.node()?.ty).clone();
    let [e] = called_for("matrix_exp", "linalg.matrix_exp", [result], &[a])?;
    Ok(e)
}

pub(super) const DERIVATIVES: &[(&str, ForeignRules)] = &[(
    "linalg.matrix_exp",
    ForeignRules {
        pullback: |a| Ok(vec![moved(&adjoint(&a.operands[0]), &a.flow[0])?]),
        pushforward: |a| Ok(vec![moved(&a.operands[0], &a.flow[0])?]),
    },
)];

/// How the exponential of `a` moves with it: it stands beside it in that of a matrix of twice the size.
fn moved(a: &Tensor, by: &Tensor) -> Result<Tensor> {
    let n = a.dim(-1);
    let upper = Tensor::cat(&[a, by], -1);
    let lower = Tensor::cat(&[&a.zeros_like(), a], -1);
    let e = exponential(&Tensor::cat(&[&upper, &lower], -2))?;
    Ok(e.narrow(-2, 0, n.clone()).narrow(-1, n.clone(), n))
}
