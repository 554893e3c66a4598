//! Singular values and vectors.

use super::super::composite::{attempt, attempt_all, attempt_pair};
use super::{adjoint, as_type, called_for, diagonal, differences, embedded, matrices, quotient};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Applied, Tensor};

impl Tensor {
    /// `U`, `S` and `Vh` with `A = U diag(S) Vh`: singular values from the largest, left vectors as
    /// columns, right vectors conjugated as rows; as many vectors as values, or as make `U` and `Vh` square
    /// if `full_matrices`.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::from_vec(vec![3.0f64, 0.0, 0.0, -4.0, 0.0, 0.0], [3, 2]);
    /// let (u, s, vh) = a.svd(false);
    /// assert_eq!((u.dims()?, vh.dims()?), (vec![3, 2], vec![2, 2]));
    /// assert!(s.sub(Tensor::from_vec(vec![4.0, 3.0], [2])).abs().amax(..).item::<f64>()? < 1e-12);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn svd(&self, full_matrices: bool) -> (Tensor, Tensor, Tensor) {
        let [u, s, vh] = attempt_all(|| decompose("svd", self, full_matrices));
        (u, s, vh)
    }

    /// The singular values from the largest.
    #[track_caller]
    pub fn svdvals(&self) -> Tensor {
        attempt(|| {
            let sizes = matrices("svdvals", self)?;
            let result = sizes.of(self.dtype()?.real(), &[&sizes.smaller()]);
            let [s] = called_for("svdvals", "linalg.svdvals", [result], &[self])?;
            Ok(s)
        })
    }

    /// `U` with orthonormal columns and a positive `P` with `A = U P`.
    #[track_caller]
    pub fn polar_decomposition(&self) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let [u, s, vh] = decompose("polar", self, false)?;
            let scaled = vh.mul(as_type(&s, self.dtype()?).unsqueeze(-1));
            Ok((u.matmul(&vh), adjoint(&vh).matmul(&scaled)))
        })
    }
}

pub(super) fn decompose(op: &'static str, a: &Tensor, full: bool) -> Result<[Tensor; 3]> {
    let (sizes, dtype) = (matrices(op, a)?, a.dtype()?);
    let (m, n, k) = (&sizes.rows, &sizes.columns, &sizes.smaller());
    let (name, left, right) = match full {
        true => ("linalg.svd_full", m, n),
        false => ("linalg.svd", k, k),
    };
    let results = [
        sizes.of(dtype, &[m, left]),
        sizes.of(dtype.real(), &[k]),
        sizes.of(dtype, &[right, n]),
    ];
    called_for(op, name, results, &[a])
}

const RULES: ForeignRules = ForeignRules {
    pullback,
    pushforward,
};
pub(super) const DERIVATIVES: &[(&str, ForeignRules)] = &[
    ("linalg.svd", RULES),
    (
        "linalg.svd_full",
        ForeignRules {
            pullback,
            pushforward: |_| {
                let message = "vectors beyond the singular values are free to turn: \
                               they have no derivative";
                Err(super::bad_argument("svd", message).hint("set full_matrices to false"))
            },
        },
    ),
    (
        "linalg.svdvals",
        ForeignRules {
            pullback: |a| {
                let [u, _, vh] = decompose("svdvals", &a.operands[0], false)?;
                let flow = as_type(&a.flow[0], u.dtype()?);
                Ok(vec![u.mul(flow.unsqueeze(-2)).matmul(&vh)])
            },
            pushforward: |a| {
                let [u, _, vh] = decompose("svdvals", &a.operands[0], false)?;
                let inner = adjoint(&u).matmul(&a.flow[0]).matmul(&adjoint(&vh));
                Ok(vec![diagonal(&inner).real()])
            },
        },
    ),
];

/// What is left of the matrix minus its adjoint.
fn skew(x: &Tensor) -> Tensor {
    x.sub(adjoint(x))
}

fn even(x: &Tensor) -> Tensor {
    x.add(adjoint(x))
}

fn pullback(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let s = &a.results[1];
    let (k, dtype) = (s.dim(-1), a.operands[0].dtype()?);
    // Only the vectors that belong to values have a derivative.
    let left = |x: &Tensor| x.narrow(-1, 0, k.clone());
    let right = |x: &Tensor| x.narrow(-2, 0, k.clone());
    let (u, vh) = (left(&a.results[0]), right(&a.results[2]));
    let (of_u, of_s, of_vh) = (left(&a.flow[0]), &a.flow[1], right(&a.flow[2]));
    let s = as_type(s, dtype);
    let turned_left = skew(&adjoint(&u).matmul(&of_u));
    let turned_right = skew(&vh.matmul(&adjoint(&of_vh)));
    let both = turned_left
        .mul(s.unsqueeze(-2))
        .add(turned_right.mul(s.unsqueeze(-1)));
    let mut inner = quotient(&both, &differences(&s.square()));
    inner = inner.add(embedded(&as_type(of_s, dtype)));
    if dtype.is_complex() {
        let phases = quotient(&diagonal(&turned_left), &s.mul(2));
        // What was divided by 1 above is only the same of the right vectors and of the left ones.
        inner = inner.sub(embedded(&diagonal(&both))).add(embedded(&phases));
    }
    let sizes = matrices("svd", &a.operands[0])?;
    if sizes.rows.compare_eq(&sizes.columns) == Some(true) {
        return Ok(vec![u.matmul(&inner).matmul(&vh)]);
    }
    if sizes.is_tall("svd")? {
        let outside = quotient(&of_u, &s.unsqueeze(-2).expand_as(&of_u));
        let outside = outside.sub(u.matmul(&adjoint(&u).matmul(&outside)));
        return Ok(vec![u.matmul(&inner).add(outside).matmul(&vh)]);
    }
    let outside = quotient(&of_vh, &s.unsqueeze(-1).expand_as(&of_vh));
    let outside = outside.sub(outside.matmul(&adjoint(&vh)).matmul(&vh));
    Ok(vec![u.matmul(&inner.matmul(&vh).add(outside))])
}

fn pushforward(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (u, s, vh) = (&a.results[0], &a.results[1], &a.results[2]);
    let (moved, dtype) = (&a.flow[0], a.operands[0].dtype()?);
    let wide = as_type(s, dtype);
    let inner = adjoint(u).matmul(moved).matmul(&adjoint(vh));
    let of_s = diagonal(&inner).real();
    let rest = inner.sub(embedded(&as_type(&of_s, dtype)));
    let gaps = differences(&wide.square());
    let mut left = quotient(&even(&rest.mul(wide.unsqueeze(-2))), &gaps);
    let right = quotient(&even(&rest.mul(wide.unsqueeze(-1))), &gaps);
    if dtype.is_complex() {
        left = left.add(embedded(&quotient(&diagonal(&rest), &wide)));
    }
    let (mut of_u, mut of_vh) = (u.matmul(&left), right.matmul(vh).neg());
    let sizes = matrices("svd", &a.operands[0])?;
    if sizes.rows.compare_eq(&sizes.columns) != Some(true) {
        if sizes.is_tall("svd")? {
            let outside = moved.matmul(&adjoint(vh));
            let outside = outside.sub(u.matmul(&adjoint(u).matmul(&outside)));
            of_u = of_u.add(quotient(&outside, &wide.unsqueeze(-2).expand_as(&outside)));
        } else {
            let outside = adjoint(u).matmul(moved);
            let outside = outside.sub(outside.matmul(&adjoint(vh)).matmul(vh));
            of_vh = of_vh.add(quotient(&outside, &wide.unsqueeze(-1).expand_as(&outside)));
        }
    }
    Ok(vec![of_u, of_s, of_vh])
}
