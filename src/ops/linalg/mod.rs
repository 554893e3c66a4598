//! Linear algebra: PyTorch's `torch.linalg` and its older names, over library functions that decompose
//! and solve. Operations take matrices in the last two axes, of f32, f64 or complex numbers; the axes before
//! them are a batch.

mod approximate;
mod cholesky;
mod eigen;
mod exponential;
mod indefinite;
mod lu;
mod orthogonal;
mod pseudo;
mod reflect;
mod singular;
mod solve;
mod triangular;

use super::composite::{bad_argument, bad_dtype, bad_shape};
use super::library::library;
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Broadcast, Tensor};
use lazulite_ir::{DType, Dim, Dims, TensorType};
pub use orthogonal::QrMode;
pub use pseudo::{Lstsq, LstsqDriver, Tolerance};

/// Derivatives of the library functions.
pub(crate) const DERIVATIVES: &[&[(&str, ForeignRules)]] = &[
    cholesky::DERIVATIVES,
    eigen::DERIVATIVES,
    exponential::DERIVATIVES,
    lu::DERIVATIVES,
    orthogonal::DERIVATIVES,
    singular::DERIVATIVES,
    triangular::DERIVATIVES,
];

/// The sizes of matrices: those of the batch, rows, columns.
#[derive(Clone)]
struct Sizes {
    batch: Vec<Dim>,
    rows: Dim,
    columns: Dim,
}

impl Sizes {
    /// Whether there are at least as many rows as columns.
    fn is_tall(&self, op: &'static str) -> Result<bool> {
        self.columns.compare_le(&self.rows).ok_or_else(|| {
            let (m, n) = (&self.rows, &self.columns);
            bad_shape(op, format!("which of {m} and {n} is larger is not known"))
        })
    }

    fn smaller(&self) -> Dim {
        self.rows.minimum(&self.columns)
    }

    /// A type of this batch.
    fn of(&self, dtype: DType, core: &[&Dim]) -> TensorType {
        let core = core.iter().map(|d| (*d).clone());
        TensorType {
            dtype,
            dims: self.batch.iter().cloned().chain(core).collect(),
        }
    }
}

/// The sizes, if the tensor is of matrices that can be computed with.
fn matrices(op: &'static str, x: &Tensor) -> Result<Sizes> {
    let ty = &x.node()?.ty;
    match ty.dtype {
        DType::F32 | DType::F64 | DType::C64 | DType::C128 => {}
        _ => return Err(bad_dtype(op, x).hint("cast it to f32, f64 or a complex type")),
    }
    match &ty.dims[..] {
        [batch @ .., rows, columns] => Ok(Sizes {
            batch: batch.to_vec(),
            rows: rows.clone(),
            columns: columns.clone(),
        }),
        _ => {
            let error = bad_shape(op, "a matrix has at least two axes");
            Err(error.operand(x.note("self")))
        }
    }
}

/// As [`matrices`], if they are square.
fn squares(op: &'static str, x: &Tensor) -> Result<Sizes> {
    let sizes = matrices(op, x)?;
    if sizes.rows.compare_eq(&sizes.columns) == Some(false) {
        let (m, n) = (&sizes.rows, &sizes.columns);
        let error = bad_shape(op, format!("matrices of {m} x {n} are not square"));
        return Err(error.operand(x.note("self")));
    }
    Ok(sizes)
}

/// Calls a library function on matrices whose type names it.
fn called(
    op: &'static str,
    name: &str,
    results: Vec<TensorType>,
    inputs: &[&Tensor],
) -> Result<Vec<Tensor>> {
    Ok(library(op, name, inputs[0].dtype()?, results, inputs))
}

/// As [`called`], for a function with `N` results.
fn called_for<const N: usize>(
    op: &'static str,
    name: &str,
    results: [TensorType; N],
    inputs: &[&Tensor],
) -> Result<[Tensor; N]> {
    let results = called(op, name, results.into(), inputs)?;
    results
        .try_into()
        .map_err(|_| crate::tensor::internal(op, "the number of results is wrong"))
}

/// Both tensors with a common batch, and their core axes (so many) as they are.
fn with_common_batch(
    op: &'static str,
    (a, core_a): (&Tensor, usize),
    (b, core_b): (&Tensor, usize),
) -> Result<(Tensor, Tensor)> {
    let (left, right) = (&a.node()?.ty.dims, &b.node()?.ty.dims);
    let (batch_a, core_a) = left.split_at(left.len() - core_a);
    let (batch_b, core_b) = right.split_at(right.len() - core_b);
    let mut common = Broadcast::default();
    let fits = common
        .add(&batch_a.into())
        .and_then(|()| common.add(&batch_b.into()));
    if let Err((axis, ours, theirs)) = fits {
        let message = format!("batch sizes {ours} and {theirs} do not broadcast, axis {axis}");
        let error = bad_shape(op, message);
        return Err(error.operand(a.note("self")).operand(b.note("other")));
    }
    let batch = common.dims();
    let whole = |core: &[Dim]| -> Dims { batch.iter().chain(core).cloned().collect() };
    Ok((
        a.expand_to(op, whole(core_a)),
        b.expand_to(op, whole(core_b)),
    ))
}

/// Fails unless both tensors have one element type.
fn same_dtype(op: &'static str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype()? == b.dtype()? {
        return Ok(());
    }
    let error = bad_argument(op, "the operands have different element types");
    Err(error.operand(a.note("self")).operand(b.note("other")))
}

/// The matrix transposed and conjugated.
fn adjoint(x: &Tensor) -> Tensor {
    x.mt().conj()
}

/// The identity with as many rows as the matrix has columns, as bools.
fn on_diagonal(x: &Tensor) -> Tensor {
    Tensor::eye_of(x.dim(-2), x.dim(-1), DType::Bool)
}

/// Square matrices with the last axis on their diagonals.
fn embedded(x: &Tensor) -> Tensor {
    let eye = Tensor::eye_of(x.dim(-1), x.dim(-1), DType::Bool);
    eye.where_(x.unsqueeze(-1), x.unsqueeze(-1).zeros_like())
}

/// The diagonals of square matrices.
fn diagonal(x: &Tensor) -> Tensor {
    on_diagonal(x).where_(x, x.zeros_like()).sum(-1)
}

/// The lower triangle, half of its diagonal.
fn half_lower(x: &Tensor) -> Tensor {
    x.tril_with(-1).add(x.tril()).mul(0.5)
}

/// A quotient, 0 where both numbers are: what is nothing in the first place stays so where values
/// coincide.
fn quotient(x: &Tensor, y: &Tensor) -> Tensor {
    let nothing = x.eq(0).bitwise_and(y.eq(0));
    x.div(nothing.where_(y.ones_like(), y))
}

/// The differences of all pairs of numbers of the last axis, column's minus row's; 1 on the diagonal.
fn differences(x: &Tensor) -> Tensor {
    let all = x.unsqueeze(-2).sub(x.unsqueeze(-1));
    on_diagonal(&all).where_(all.ones_like(), &all)
}

/// Real numbers as numbers of this type.
fn as_type(x: &Tensor, dtype: DType) -> Tensor {
    x.cast(dtype)
}

/// The distance from 1 to the next number.
fn epsilon(dtype: DType) -> f64 {
    match dtype.real() {
        DType::F64 => f64::EPSILON,
        _ => f32::EPSILON.into(),
    }
}
