//! Decompositions of matrices and what is solved by them.

use super::{Entry, op, with};
use crate::call::{Bound, Done, Outcome, Refusal, to_tensor};
use crate::value::Value;
use lazulite::{DType, LstsqDriver, MatrixNorm, QrMode, Tensor, Tolerance};

pub(super) const TABLE: &[Entry] = &[
    op("cholesky_inverse", |a| {
        a.input()?.cholesky_inverse(a.flag("upper")?).done()
    }),
    op("cholesky_solve", |a| {
        a.input()?
            .cholesky_solve(&a.tensor("L")?, a.flag("upper")?)
            .done()
    }),
    op("geqrf", |a| a.input()?.geqrf().done()),
    op("linalg.cholesky", |a| {
        a.input()?.cholesky(a.flag("upper")?).done()
    }),
    op("linalg.cholesky_ex", |a| {
        a.input()?.cholesky_ex(a.flag("upper")?).done()
    }),
    op("linalg.cond", |a| {
        a.input()?.cond(condition_norm(a)?).done()
    }),
    op("linalg.det", |a| a.input()?.det().done()),
    op("linalg.eig", |a| a.input()?.eig().done()),
    op("linalg.eigh", |a| a.input()?.eigh(is_upper(a)?).done()),
    op("linalg.eigvals", |a| a.input()?.eigvals().done()),
    op("linalg.eigvalsh", |a| {
        a.input()?.eigvalsh(is_upper(a)?).done()
    }),
    op("linalg.householder_product", |a| {
        a.input()?.householder_product(&a.tensor("tau")?).done()
    }),
    op("linalg.inv", |a| a.input()?.inv().done()),
    op("linalg.inv_ex", |a| a.input()?.inv_ex().done()),
    op("linalg.ldl_factor", |a| {
        a.input()?.ldl_factor(a.flag("hermitian")?).done()
    }),
    op("linalg.ldl_factor_ex", |a| {
        let (ld, pivots, info) = a.input()?.ldl_factor_ex(a.flag("hermitian")?);
        vec![ld, pivots, info].done()
    }),
    op("linalg.ldl_solve", |a| {
        a.input()?
            .ldl_solve(&a.tensor("pivots")?, &a.tensor("B")?, a.flag("hermitian")?)
            .done()
    }),
    op("linalg.lstsq", lstsq),
    op("linalg.lu", |a| {
        pivoted(a)?;
        a.input()?.lu().done()
    }),
    with("linalg.lu_factor", "A, *, pivot=True", |a| {
        pivoted(a)?;
        a.input()?.lu_factor().done()
    }),
    op("linalg.lu_factor_ex", |a| {
        pivoted(a)?;
        a.input()?.lu_factor_ex().done()
    }),
    op("linalg.lu_solve", |a| {
        let (left, turned) = (a.flag("left")?, a.flag("adjoint")?);
        a.input()?
            .lu_solve(&a.tensor("pivots")?, &a.tensor("B")?, left, turned)
            .done()
    }),
    op("linalg.matrix_rank", |a| {
        a.input()?
            .matrix_rank(&tolerance(a)?, a.flag("hermitian")?)
            .done()
    }),
    op("linalg.matrix_sqrth", |a| a.input()?.matrix_sqrth().done()),
    // A second matrix is one to multiply the first with, transposed: products are of any rank.
    with(
        "linalg.pinv",
        "A, factor=None, *, atol=None, rtol=None, hermitian=False",
        |a| {
            let x = match a.opt_tensor("factor")? {
                Some(factor) => a.input()?.matmul(&factor.mt()),
                None => a.input()?,
            };
            x.pinv(&tolerance(a)?, a.flag("hermitian")?).done()
        },
    ),
    op("linalg.polar", |a| a.input()?.polar_decomposition().done()),
    op("linalg.qr", |a| {
        let mode = match a.text("mode")?.as_str() {
            "reduced" => QrMode::Reduced,
            "complete" => QrMode::Complete,
            "r" => QrMode::R,
            other => return Err(Refusal::Rejected(format!("there is no mode {other}"))),
        };
        a.input()?.qr(mode).done()
    }),
    op("linalg.slogdet", |a| a.input()?.slogdet().done()),
    op("linalg.solve", |a| {
        a.input()?.solve(&a.tensor("B")?, a.flag("left")?).done()
    }),
    op("linalg.solve_ex", |a| {
        a.input()?.solve_ex(&a.tensor("B")?, a.flag("left")?).done()
    }),
    op("linalg.solve_triangular", |a| {
        let (upper, left) = (a.flag("upper")?, a.flag("left")?);
        a.input()?
            .solve_triangular(&a.tensor("B")?, upper, left, a.flag("unitriangular")?)
            .done()
    }),
    op("linalg.svd", |a| {
        a.input()?.svd(a.flag("full_matrices")?).done()
    }),
    op("linalg.svdvals", |a| a.input()?.svdvals().done()),
    op("linalg.tensorinv", |a| {
        a.input()?.tensorinv(a.count("ind")?).done()
    }),
    op("linalg.tensorsolve", |a| {
        a.input()?
            .tensorsolve(&a.tensor("B")?, a.opt_ints("dims")?.as_deref())
            .done()
    }),
    op("logdet", |a| a.input()?.logdet().done()),
    op("lu", |a| {
        pivoted(a)?;
        let (lu, pivots, info) = a.input()?.lu_factor_ex();
        match a.flag("get_infos")? {
            true => vec![lu, pivots, info].done(),
            false => vec![lu, pivots].done(),
        }
    }),
    op("lu_solve", |a| {
        a.tensor("LU_data")?
            .lu_solve(&a.tensor("LU_pivots")?, &a.input()?, true, false)
            .done()
    }),
    op("lu_unpack", |a| {
        a.input()?.lu_unpack(&a.tensor("LU_pivots")?).done()
    }),
    op("matrix_exp", |a| a.input()?.matrix_exp().done()),
    op("ormqr", |a| {
        let (left, turned) = (a.flag("left")?, a.flag("transpose")?);
        a.input()?
            .ormqr(&a.tensor("tau")?, &a.tensor("other")?, left, turned)
            .done()
    }),
    op("pinverse", |a| {
        let rcond = Tensor::full_of((), a.float("rcond")?, DType::F64);
        let tolerance = Tolerance {
            atol: None,
            rtol: Some(rcond),
        };
        a.input()?.pinv(&tolerance, false).done()
    }),
    op("svd", |a| {
        let (u, s, vh) = a.input()?.svd(!a.flag("some")?);
        match a.flag("compute_uv")? {
            true => vec![u, s, vh.mt().conj()].done(),
            false => vec![u.zeros_like(), s, vh.mt().zeros_like()].done(),
        }
    }),
    op("triangular_solve", |a| {
        let (upper, turned) = (a.flag("upper")?, a.flag("transpose")?);
        a.input()?
            .triangular_solve(&a.tensor("A")?, upper, turned, a.flag("unitriangular")?)
            .done()
    }),
];

fn is_upper(a: &Bound) -> Result<bool, Refusal> {
    match a.text("UPLO")?.as_str() {
        "U" | "u" => Ok(true),
        "L" | "l" => Ok(false),
        other => Err(Refusal::Rejected(format!("{other} is no triangle"))),
    }
}

/// PyTorch decomposes without exchanges on GPUs only.
fn pivoted(a: &Bound) -> Result<(), Refusal> {
    match a.flag("pivot")? {
        true => Ok(()),
        false => Err(Refusal::Rejected("there is always pivoting".into())),
    }
}

fn tolerance(a: &Bound) -> Result<Tolerance, Refusal> {
    let limit = |name| -> Result<Option<Tensor>, Refusal> {
        match a.value(name)? {
            Value::None | Value::Ignored => Ok(None),
            value => match to_tensor(value)? {
                Some(limit) => Ok(Some(limit)),
                None => Ok(Some(Tensor::full_of((), a.float(name)?, DType::F64))),
            },
        }
    };
    Ok(Tolerance {
        atol: limit("atol")?,
        rtol: limit("rtol")?,
    })
}

fn condition_norm(a: &Bound) -> Result<Option<MatrixNorm>, Refusal> {
    Ok(Some(match a.value("p")? {
        Value::None => return Ok(None),
        Value::Text(name) if name == "nuc" => MatrixNorm::Nuclear,
        Value::Text(name) if name == "fro" => MatrixNorm::Frobenius,
        Value::Int(1) => MatrixNorm::MaxColumnSum,
        Value::Int(-1) => MatrixNorm::MinColumnSum,
        Value::Int(2) => MatrixNorm::MaxSingular,
        Value::Int(-2) => MatrixNorm::MinSingular,
        Value::Float(f64::INFINITY) => MatrixNorm::MaxRowSum,
        Value::Float(f64::NEG_INFINITY) => MatrixNorm::MinRowSum,
        other => return Err(Refusal::Rejected(format!("{other:?} is no matrix norm"))),
    }))
}

fn lstsq(a: &Bound) -> Outcome {
    let driver = match a.opt_text("driver")?.as_deref() {
        None | Some("gelsy") => LstsqDriver::Gelsy,
        Some("gels") => LstsqDriver::Gels,
        Some("gelsd") => LstsqDriver::Gelsd,
        Some("gelss") => LstsqDriver::Gelss,
        Some(other) => return Err(Refusal::Rejected(format!("there is no driver {other}"))),
    };
    let found = a
        .input()?
        .lstsq(&a.tensor("B")?, a.opt_float("rcond")?, driver);
    let all = [
        found.solution,
        found.residuals,
        found.rank,
        found.singular_values,
    ];
    all.to_vec().done()
}
