//! QR decomposition.

use super::super::composite::{attempt_pair, bad_argument};
use super::triangular::divide_right;
use super::{adjoint, called_for, diagonal, embedded, matrices};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Applied, Dim, Tensor};

/// Which parts of a QR decomposition are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum QrMode {
    /// As many columns of `Q` as `R` has rows that are not zero.
    #[default]
    Reduced,
    /// A square `Q`.
    Complete,
    /// `R` alone; `Q` is empty.
    R,
}

impl Tensor {
    /// `Q` with orthonormal columns and an upper triangular `R` with `A = Q R`. The diagonal of `R` is
    /// real.
    ///
    /// ```
    /// use lazulite::{QrMode, prelude::*};
    /// let a = Tensor::from_vec(vec![3.0f64, 1.0, 4.0, 2.0], [2, 2]);
    /// let (q, r) = a.qr(QrMode::Reduced);
    /// assert!(q.matmul(&r).sub(&a).abs().amax(..).item::<f64>()? < 1e-12);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn qr(&self, mode: QrMode) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let op = "qr";
            let sizes = matrices(op, self)?;
            let tall = sizes.is_tall(op)?;
            if !tall {
                // Columns beyond the square follow from its decomposition.
                let rows = Dim(Ok(sizes.rows.clone()));
                let (q, r) = decompose(&self.narrow(-1, 0, rows.clone()), false)?;
                let rest = self.narrow(-1, rows.clone(), self.dim(-1) - rows);
                let r = Tensor::cat(&[&r, &adjoint(&q).matmul(&rest)], -1);
                return Ok((kept(q, mode)?, r));
            }
            let (q, r) = decompose(self, mode == QrMode::Complete)?;
            Ok((kept(q, mode)?, r))
        })
    }
}

fn kept(q: Tensor, mode: QrMode) -> Result<Tensor> {
    Ok(match mode {
        QrMode::Reduced | QrMode::Complete => q,
        QrMode::R => Tensor::full_of([0], 0, q.dtype()?),
    })
}

fn decompose(a: &Tensor, complete: bool) -> Result<(Tensor, Tensor)> {
    let (sizes, dtype) = (matrices("qr", a)?, a.dtype()?);
    let (m, n) = (&sizes.rows, &sizes.columns);
    let (name, k) = match complete && m.compare_eq(n) != Some(true) {
        true => ("linalg.qr_complete", m.clone()),
        false => ("linalg.qr", sizes.smaller()),
    };
    let results = [sizes.of(dtype, &[m, &k]), sizes.of(dtype, &[&k, n])];
    let [q, r] = called_for("qr", name, results, &[a])?;
    Ok((q, r))
}

/// Of matrices that are not wide; there are no others here.
pub(super) const DERIVATIVES: &[(&str, ForeignRules)] = &[
    (
        "linalg.qr",
        ForeignRules {
            pullback,
            pushforward,
        },
    ),
    (
        "linalg.qr_complete",
        ForeignRules {
            pullback: incomplete,
            pushforward: incomplete,
        },
    ),
];

fn incomplete(_: &Applied<'_>) -> Result<Vec<Tensor>> {
    let message = "columns of Q that are not those of the matrix are free to turn: \
                   they have no derivative";
    Err(bad_argument("qr", message).hint("use the reduced mode"))
}

fn pullback(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (q, r) = (&a.results[0], &a.results[1]);
    let (of_q, of_r) = (&a.flow[0], &a.flow[1]);
    let upper = of_r.matmul(&adjoint(r)).sub(adjoint(q).matmul(of_q)).triu();
    // Symmetric, with the diagonal counted once; the imaginary part there goes.
    let even = upper.add(adjoint(&upper));
    let even = even.sub(embedded(&diagonal(&even).mul(0.5)));
    let inner = of_q.add(q.matmul(&even));
    Ok(vec![divide_right("qr", &adjoint(r), &inner, false, false)?])
}

fn pushforward(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let (q, r) = (&a.results[0], &a.results[1]);
    let ratio = divide_right("qr", r, &a.flow[0], true, false)?;
    let inner = adjoint(q).matmul(&ratio);
    let even = inner.add(adjoint(&inner));
    let upper = even.triu().sub(embedded(&diagonal(&even).mul(0.5)));
    Ok(vec![ratio.sub(q.matmul(&upper)), upper.matmul(r)])
}
