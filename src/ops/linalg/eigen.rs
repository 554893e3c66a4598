//! Eigenvalues and eigenvectors.

use super::super::composite::{attempt, attempt_pair};
use super::solve::quotient as solved;
use super::{
    adjoint, as_type, called_for, diagonal, differences, embedded, on_diagonal, quotient, squares,
};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Applied, Derivative, Tensor, composite};
use lazulite_ir::DType;

impl Tensor {
    /// The eigenvalues of Hermitian matrices, ascending, and orthonormal eigenvectors as columns. Only the
    /// upper triangle counts if `upper`, else the lower.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![2.0f64, 1.0, 1.0, 2.0], [2, 2]);
    /// let (values, vectors) = a.eigh(false);
    /// let again = vectors.mul(&values).matmul(&vectors.mt());
    /// assert!(again.sub(&a).abs().amax(..).item::<f64>()? < 1e-12);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn eigh(&self, upper: bool) -> (Tensor, Tensor) {
        attempt_pair(|| hermitian("eigh", self, upper))
    }

    /// The eigenvalues of Hermitian matrices, see [`Tensor::eigh`].
    #[track_caller]
    pub fn eigvalsh(&self, upper: bool) -> Tensor {
        attempt(|| {
            let sizes = squares("eigvalsh", self)?;
            let result = sizes.of(self.dtype()?.real(), &[&sizes.rows]);
            let name = match upper {
                true => "linalg.eigvalsh_upper",
                false => "linalg.eigvalsh",
            };
            let [values] = called_for("eigvalsh", name, [result], &[self])?;
            Ok(values)
        })
    }

    /// The eigenvalues of square matrices, in no particular order, and eigenvectors of length 1 as
    /// columns; complex.
    #[track_caller]
    pub fn eig(&self) -> (Tensor, Tensor) {
        attempt_pair(|| general("eig", self))
    }

    /// The eigenvalues of square matrices, in no particular order; complex.
    #[track_caller]
    pub fn eigvals(&self) -> Tensor {
        attempt(|| {
            let sizes = squares("eigvals", self)?;
            let result = sizes.of(complex_of(self.dtype()?), &[&sizes.rows]);
            let [values] = called_for("eigvals", "linalg.eigvals", [result], &[self])?;
            Ok(values)
        })
    }

    /// The square root of positive Hermitian matrices. It moves with the Hermitian part of what moves them, and
    /// smoothly where eigenvalues are equal.
    #[track_caller]
    pub fn matrix_sqrth(&self) -> Tensor {
        let define = || {
            let (values, vectors) = hermitian("matrix_sqrth", self, false)?;
            let roots = as_type(&values.sqrt(), self.dtype()?);
            Ok(vectors.mul(roots.unsqueeze(-2)).matmul(&adjoint(&vectors)))
        };
        // The map from one movement to the other is its own adjoint.
        let moves = Derivative::Both(move_sqrth, move_sqrth);
        composite("matrix_sqrth", &[], moves, &[self], || attempt(define))
    }
}

/// The X with `R X + X R` the Hermitian part of what flows, for the root R.
fn move_sqrth(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (values, vectors) = hermitian("matrix_sqrth", &a.operands[0], false)?;
    let roots = as_type(&values.sqrt(), a.operands[0].dtype()?);
    let even = a.flow[0].add(adjoint(&a.flow[0])).mul(0.5);
    let inner = adjoint(&vectors).matmul(&even).matmul(&vectors);
    let inner = inner.div(roots.unsqueeze(-1).add(roots.unsqueeze(-2)));
    Ok(vec![vectors.matmul(&inner).matmul(&adjoint(&vectors))])
}

fn complex_of(dtype: DType) -> DType {
    match dtype {
        DType::F64 | DType::C128 => DType::C128,
        _ => DType::C64,
    }
}

pub(super) fn hermitian(op: &'static str, a: &Tensor, upper: bool) -> Result<(Tensor, Tensor)> {
    let (sizes, dtype) = (squares(op, a)?, a.dtype()?);
    let n = &sizes.rows;
    let results = [sizes.of(dtype.real(), &[n]), sizes.of(dtype, &[n, n])];
    let name = match upper {
        true => "linalg.eigh_upper",
        false => "linalg.eigh",
    };
    let [values, vectors] = called_for(op, name, results, &[a])?;
    Ok((values, vectors))
}

fn general(op: &'static str, a: &Tensor) -> Result<(Tensor, Tensor)> {
    let (sizes, dtype) = (squares(op, a)?, complex_of(a.dtype()?));
    let n = &sizes.rows;
    let results = [sizes.of(dtype, &[n]), sizes.of(dtype, &[n, n])];
    let [values, vectors] = called_for(op, "linalg.eig", results, &[a])?;
    Ok((values, vectors))
}

const VECTORS: ForeignRules = ForeignRules {
    pullback: pull_hermitian,
    pushforward: push_hermitian,
};

const fn values(pullback: crate::tensor::Pull, pushforward: crate::tensor::Pull) -> ForeignRules {
    ForeignRules {
        pullback,
        pushforward,
    }
}

pub(super) const DERIVATIVES: &[(&str, ForeignRules)] = &[
    ("linalg.eigh", VECTORS),
    ("linalg.eigh_upper", VECTORS),
    (
        "linalg.eigvalsh",
        values(|a| pull_values(a, false), |a| push_values(a, false)),
    ),
    (
        "linalg.eigvalsh_upper",
        values(|a| pull_values(a, true), |a| push_values(a, true)),
    ),
    ("linalg.eig", values(pull_general, push_general)),
    (
        "linalg.eigvals",
        values(
            |a| {
                let (_, vectors) = general("eigvals", &a.operands[0])?;
                let inner = embedded(&a.flow[0]);
                Ok(vec![back(&vectors, &inner, a.operands[0].dtype()?)])
            },
            |a| {
                let (_, vectors) = general("eigvals", &a.operands[0])?;
                Ok(vec![diagonal(&inside(&vectors, &a.flow[0]))])
            },
        ),
    ),
];

/// The matrix with another diagonal.
fn with_diagonal(x: &Tensor, values: &Tensor) -> Tensor {
    on_diagonal(x).where_(embedded(values), x)
}

fn pull_hermitian(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (values, vectors) = (&a.results[0], &a.results[1]);
    let dtype = vectors.dtype()?;
    let inner = adjoint(vectors).matmul(&a.flow[1]);
    let gaps = as_type(&differences(values), dtype);
    let inner = with_diagonal(&quotient(&inner, &gaps), &as_type(&a.flow[0], dtype));
    Ok(vec![vectors.matmul(&inner).matmul(&adjoint(vectors))])
}

fn push_hermitian(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (values, vectors) = (&a.results[0], &a.results[1]);
    let dtype = vectors.dtype()?;
    let inner = adjoint(vectors).matmul(&a.flow[0]).matmul(vectors);
    let of_values = diagonal(&inner).real();
    let still = as_type(&of_values.zeros_like(), dtype);
    let gaps = as_type(&differences(values), dtype);
    let turn = with_diagonal(&quotient(&inner, &gaps), &still);
    Ok(vec![of_values, vectors.matmul(&turn)])
}

fn pull_values(a: &Applied<'_>, upper: bool) -> Result<Vec<Tensor>> {
    let (_, vectors) = hermitian("eigvalsh", &a.operands[0], upper)?;
    let flow = as_type(&a.flow[0], vectors.dtype()?);
    Ok(vec![
        vectors.mul(flow.unsqueeze(-2)).matmul(&adjoint(&vectors)),
    ])
}

fn push_values(a: &Applied<'_>, upper: bool) -> Result<Vec<Tensor>> {
    let (_, vectors) = hermitian("eigvalsh", &a.operands[0], upper)?;
    let inner = adjoint(&vectors).matmul(&a.flow[0]).matmul(&vectors);
    Ok(vec![diagonal(&inner).real()])
}

/// Out of the basis of eigenvectors, on the side of cotangents.
fn back(vectors: &Tensor, inner: &Tensor, dtype: DType) -> Tensor {
    let right = inner.matmul(&adjoint(vectors));
    let whole = solved(vectors, &right, true, false);
    match dtype.is_complex() {
        true => whole,
        false => whole.real(),
    }
}

/// Into the basis of eigenvectors.
fn inside(vectors: &Tensor, moved: &Tensor) -> Tensor {
    let moved = match vectors.dtype() {
        Ok(dtype) => moved.cast(dtype),
        Err(_) => moved.clone(),
    };
    solved(vectors, &moved.matmul(vectors), false, false)
}

fn pull_general(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (values, vectors) = (&a.results[0], &a.results[1]);
    let inner = adjoint(vectors).matmul(&a.flow[1]);
    // Vectors keep their length.
    let along = as_type(&diagonal(&inner).real(), vectors.dtype()?);
    let kept = adjoint(vectors).matmul(vectors).mul(along.unsqueeze(-2));
    let inner = quotient(&inner.sub(kept), &differences(values).conj());
    let inner = with_diagonal(&inner, &a.flow[0]);
    Ok(vec![back(vectors, &inner, a.operands[0].dtype()?)])
}

fn push_general(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (values, vectors) = (&a.results[0], &a.results[1]);
    let inner = inside(vectors, &a.flow[0]);
    let of_values = diagonal(&inner);
    let turn = with_diagonal(
        &quotient(&inner, &differences(values)),
        &of_values.zeros_like(),
    );
    let moved = vectors.matmul(&turn);
    let along = diagonal(&adjoint(vectors).matmul(&moved)).real();
    let along = as_type(&along, vectors.dtype()?).unsqueeze(-2);
    Ok(vec![of_values, moved.sub(vectors.mul(along))])
}
