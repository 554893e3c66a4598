//! Products of reflectors `I - tau v v^H`, as which QR decompositions are made: the vectors `v` stand
//! below the diagonal of a matrix, which is taken to be ones.

use super::super::composite::{attempt, attempt_pair, bad_shape};
use super::triangular::divide;
use super::{adjoint, called_for, matrices, same_dtype};
use crate::error::Result;
use crate::tensor::{Dim, Tensor};

impl Tensor {
    /// The upper factor of the QR decomposition with the vectors of reflectors below its diagonal, and
    /// their factors `tau`.
    #[track_caller]
    pub fn geqrf(&self) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let (sizes, dtype) = (matrices("geqrf", self)?, self.dtype()?);
            let matrix = sizes.of(dtype, &[&sizes.rows, &sizes.columns]);
            let factors = sizes.of(dtype, &[&sizes.smaller()]);
            let [a, tau] = called_for("geqrf", "linalg.geqrf", [matrix, factors], &[self])?;
            Ok((a, tau))
        })
    }

    /// The first columns, as many as there are in this tensor, of the product of its reflectors.
    #[track_caller]
    pub fn householder_product(&self, tau: &Tensor) -> Tensor {
        attempt(|| {
            let op = "householder_product";
            let sizes = matrices(op, self)?;
            if !sizes.is_tall(op)? {
                let error = bad_shape(op, "there are more columns than rows");
                return Err(error.operand(self.note("self")));
            }
            let columns = Dim(Ok(sizes.columns));
            let eye = Tensor::eye_of(self.dim(-2), columns, self.dtype()?);
            reflected(op, self, tau, &eye, false)
        })
    }

    /// The product `Q` of this tensor's reflectors, times `other`; `other` times `Q` if not `left`; with
    /// the adjoint of `Q` if `transpose`.
    #[track_caller]
    pub fn ormqr(&self, tau: &Tensor, other: &Tensor, left: bool, transpose: bool) -> Tensor {
        attempt(|| {
            let op = "ormqr";
            matrices(op, self)?;
            matrices(op, other)?;
            match left {
                true => reflected(op, self, tau, other, transpose),
                false => {
                    let turned = reflected(op, self, tau, &adjoint(other), !transpose)?;
                    Ok(adjoint(&turned))
                }
            }
        })
    }
}

/// The product of reflectors, or its adjoint, times a matrix.
fn reflected(
    op: &'static str,
    vectors: &Tensor,
    tau: &Tensor,
    x: &Tensor,
    turned: bool,
) -> Result<Tensor> {
    same_dtype(op, vectors, tau)?;
    same_dtype(op, vectors, x)?;
    let sizes = matrices(op, vectors)?;
    let count = tau.dim(-1);
    if count.0.clone()?.compare_le(&sizes.smaller()) == Some(false) {
        let error = bad_shape(op, format!("{count} reflectors do not fit the vectors"));
        return Err(error.operand(vectors.note("self")).operand(tau.note("tau")));
    }
    let dtype = vectors.dtype()?;
    let eye = |rows: Dim| Tensor::eye_of(rows, count.clone(), dtype);
    let v = vectors.narrow(-1, 0, count.clone()).tril_with(-1);
    let v = v.add(eye(vectors.dim(-2)));
    // The product is I - V T V^H with T = D inverse(I + triu(V^H V, 1) D), where D has tau on its diagonal:
    // no reflector need be invertible.
    let scale = tau.unsqueeze(-2);
    let inner = adjoint(&v).matmul(&v).triu_with(1).mul(&scale);
    let parts = adjoint(&v).matmul(x);
    let (inner, parts) = super::with_common_batch(op, (&inner, 2), (&parts, 2))?;
    let parts = match turned {
        false => divide(op, &inner, &parts, true, true)?.mul(tau.unsqueeze(-1)),
        true => divide(
            op,
            &adjoint(&inner),
            &parts.mul(tau.conj().unsqueeze(-1)),
            false,
            true,
        )?,
    };
    Ok(x.sub(v.matmul(&parts)))
}
