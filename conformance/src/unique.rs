//! What is unique of results that are not: decompositions whose vectors are free to turn, values whose order
//! is not defined. Where the corpus says so, that is compared in place of the results.

use crate::compare::{self, Tolerance};
use crate::value::{Array, Value};
use lazulite::{Result, Tensor};

/// Compares what is unique of both; `None` where results of the operator are compared as they are.
pub fn values(
    op: &str,
    hermitian: bool,
    got: &Value,
    expected: &Value,
    tolerance: Tolerance,
) -> Option<std::result::Result<(), String>> {
    let (got, expected) = (tensors(got)?, tensors(expected)?);
    if got.len() < expected.len() {
        return None;
    }
    let sizes = |all: &[Tensor]| -> Vec<_> {
        let each = all.iter().map(|t| (t.dims().ok(), t.dtype().ok()));
        each.take(expected.len()).collect()
    };
    if sizes(&got) != sizes(&expected) {
        return None;
    }
    let ours = of(op, hermitian, &got)?;
    let theirs = of(op, hermitian, &expected)?;
    Some(both(ours, theirs, tolerance))
}

fn both(
    ours: Result<Vec<Tensor>>,
    theirs: Result<Vec<Tensor>>,
    tolerance: Tolerance,
) -> std::result::Result<(), String> {
    let arrays =
        |all: Result<Vec<Tensor>>| -> Result<Vec<Array>> { all?.iter().map(Array::of).collect() };
    let ours = arrays(ours).map_err(|e| e.to_string())?;
    let theirs = arrays(theirs).map_err(|e| e.to_string())?;
    for (i, (got, expected)) in ours.iter().zip(&theirs).enumerate() {
        compare::arrays(got, expected, tolerance)
            .map_err(|e| format!("what is unique, part {i}: {e}"))?;
    }
    Ok(())
}

fn tensors(value: &Value) -> Option<Vec<Tensor>> {
    match value {
        Value::Tensor(tensor) => Some(vec![tensor.clone()]),
        Value::Array(array) => Some(vec![array.tensor()]),
        Value::List(items) => {
            let each = items.iter().map(tensors);
            Some(
                each.collect::<Option<Vec<_>>>()?
                    .into_iter()
                    .flatten()
                    .collect(),
            )
        }
        _ => None,
    }
}

/// What is unique of an operator's results.
fn of(op: &str, hermitian: bool, results: &[Tensor]) -> Option<Result<Vec<Tensor>>> {
    let adjoint = |x: &Tensor| x.mt().conj();
    Some(match (op, results) {
        ("linalg.qr", [q, r]) => Ok(vec![q.matmul(r), adjoint(q).matmul(q)]),
        ("linalg.svd", [u, s, vh]) => product(u, s, vh),
        ("svd", [u, s, v]) => product(u, s, &adjoint(v)),
        ("linalg.eigh", [values, vectors]) => {
            let whole = vectors.mul(values.unsqueeze(-2)).matmul(&adjoint(vectors));
            Ok(vec![values.clone(), whole])
        }
        ("linalg.eig", [values, vectors]) => {
            let scaled = vectors.mul(values.unsqueeze(-2));
            sums(values).map(|mut all| {
                all.push(vectors.solve(&scaled, false));
                all
            })
        }
        ("linalg.eigvals", [values]) => sums(values),
        ("linalg.ldl_factor", [ld, pivots]) => inverse(ld, pivots, hermitian, &[]),
        ("linalg.ldl_factor_ex", [ld, pivots, info]) => {
            inverse(ld, pivots, hermitian, std::slice::from_ref(info))
        }
        ("geqrf", [compact, tau]) => reflected(compact, tau),
        ("linalg.lstsq", [solution, residuals, ..]) => {
            Ok(vec![solution.clone(), residuals.clone()])
        }
        _ => return None,
    })
}

fn product(u: &Tensor, s: &Tensor, vh: &Tensor) -> Result<Vec<Tensor>> {
    let count = s.dims()?.last().copied().unwrap_or(0);
    let (u, vh) = (u.narrow(-1, 0, count), vh.narrow(-2, 0, count));
    Ok(vec![s.clone(), u.mul(s.unsqueeze(-2)).matmul(&vh)])
}

/// The sums of powers of numbers, which say everything but the order.
fn sums(values: &Tensor) -> Result<Vec<Tensor>> {
    let count = values.dims()?.last().copied().unwrap_or(0);
    let mut powers = vec![values.clone()];
    for i in 1..count {
        powers.push(powers[i - 1].mul(values));
    }
    Ok(powers.into_iter().map(|p| p.sum(-1)).collect())
}

/// What both solve systems to.
fn inverse(ld: &Tensor, pivots: &Tensor, hermitian: bool, rest: &[Tensor]) -> Result<Vec<Tensor>> {
    let (n, dtype) = (ld.dim(-1), ld.dtype()?);
    let eye = Tensor::eye_of(n.clone(), n, dtype).expand_as(ld);
    let hermitian = hermitian && dtype.is_complex();
    let mut all = vec![ld.ldl_solve(pivots, &eye, hermitian)];
    all.extend_from_slice(rest);
    Ok(all)
}

fn reflected(compact: &Tensor, tau: &Tensor) -> Result<Vec<Tensor>> {
    let columns = compact.dims()?.last().copied().unwrap_or(0);
    let count = tau.dims()?.last().copied().unwrap_or(0).min(columns);
    let upper = compact.triu();
    let vectors = compact.narrow(-1, 0, count);
    Ok(vec![vectors.ormqr(tau, &upper, true, false)])
}
