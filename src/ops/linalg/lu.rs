//! LU decomposition with partial pivoting, and systems by it.

use super::super::composite::{attempt, attempt_all, attempt_pair};
use super::super::library::library_one;
use super::triangular::{divide, divide_right};
use super::{
    Sizes, adjoint, called_for, diagonal, matrices, same_dtype, squares, with_common_batch,
};
use crate::autograd::ForeignRules;
use crate::error::Result;
use crate::tensor::{Applied, Dim, Tensor};
use lazulite_ir::{DType, TensorType};

impl Tensor {
    /// The LU decomposition in one matrix, and for each row the one it was exchanged with in its turn,
    /// counted from 1 (i32). Reading the results fails for matrices whose upper factor has a zero on its
    /// diagonal.
    #[track_caller]
    pub fn lu_factor(&self) -> (Tensor, Tensor) {
        attempt_pair(|| {
            let [lu, pivots, _] = decompose("lu_factor", self, true)?;
            Ok((lu, pivots))
        })
    }

    /// As [`Tensor::lu_factor`], with the number of the first such zero, or 0 (i32), in place of an
    /// error.
    #[track_caller]
    pub fn lu_factor_ex(&self) -> (Tensor, Tensor, Tensor) {
        let [lu, pivots, info] = attempt_all(|| decompose("lu_factor_ex", self, false));
        (lu, pivots, info)
    }

    /// `P`, `L` and `U` with `A = P L U`: a permutation, a lower triangular matrix with a diagonal of
    /// ones, an upper triangular one.
    #[track_caller]
    pub fn lu(&self) -> (Tensor, Tensor, Tensor) {
        let [p, l, u] = attempt_all(|| {
            let [lu, pivots, _] = decompose("lu", self, false)?;
            unpack("lu", &lu, &pivots)
        });
        (p, l, u)
    }

    /// `P`, `L` and `U`, see [`Tensor::lu`], of what [`Tensor::lu_factor`] gives.
    #[track_caller]
    pub fn lu_unpack(&self, pivots: &Tensor) -> (Tensor, Tensor, Tensor) {
        let [p, l, u] = attempt_all(|| unpack("lu_unpack", self, pivots));
        (p, l, u)
    }

    /// Solves `A X = B` (`X A = B` if not `left`; with the adjoint of `A` if `adjoint`) by what
    /// [`Tensor::lu_factor`] gives for `A`, this tensor.
    #[track_caller]
    pub fn lu_solve(&self, pivots: &Tensor, b: &Tensor, left: bool, adjoint: bool) -> Tensor {
        attempt(|| {
            let op = "lu_solve";
            squares(op, self)?;
            matrices(op, b)?;
            same_dtype(op, self, b)?;
            let rows = permutation(op, pivots, &self.dim(-1))?;
            let system = System {
                op,
                lu: self.clone(),
                rows,
            };
            match left {
                true => system.solve(b, adjoint),
                false => Ok(super::adjoint(&system.solve(&super::adjoint(b), !adjoint)?)),
            }
        })
    }
}

/// Both factors in one, exchanges, info.
pub(super) fn decompose(op: &'static str, a: &Tensor, fails: bool) -> Result<[Tensor; 3]> {
    let sizes = matrices(op, a)?;
    let results = [
        (*a.node()?.ty).clone(),
        sizes.of(DType::I32, &[&sizes.smaller()]),
        sizes.of(DType::I32, &[]),
    ];
    let name = match fails {
        true => "linalg.lu_factor",
        false => "linalg.lu_factor_ex",
    };
    called_for(op, name, results, &[a])
}

/// The rows of matrices in the order that exchanges bring them to.
pub(super) fn permutation(op: &'static str, pivots: &Tensor, rows: &Dim) -> Result<Tensor> {
    let pivots = pivots.cast(DType::I32);
    let mut ty = TensorType {
        dtype: DType::I64,
        dims: pivots.node()?.ty.dims.clone(),
    };
    match ty.dims.last_mut() {
        Some(last) => *last = rows.0.clone()?,
        None => {
            let error = super::bad_shape(op, "pivots are vectors");
            return Err(error.operand(pivots.note("pivots")));
        }
    }
    Ok(library_one(
        op,
        "linalg.permutation",
        DType::I32,
        ty,
        &[&pivots],
    ))
}

fn unpack(op: &'static str, lu: &Tensor, pivots: &Tensor) -> Result<[Tensor; 3]> {
    let sizes = matrices(op, lu)?;
    let k = Dim(Ok(sizes.smaller()));
    let (l, u) = split(lu, &k)?;
    let rows = permutation(op, pivots, &lu.dim(-2))?;
    // Row `i` of the factors' product is row `rows[i]` of the matrix.
    let places = Tensor::iota(lu.dim(-2)).unsqueeze(-1);
    let p = places.eq(rows.unsqueeze(-2)).cast(lu.dtype()?);
    Ok([p, l, u])
}

/// The lower factor with its ones, and the upper one.
fn split(lu: &Tensor, k: &Dim) -> Result<(Tensor, Tensor)> {
    let lower = lu.narrow(-1, 0, k.clone()).tril_with(-1);
    let ones = Tensor::eye_of(lu.dim(-2), k.clone(), lu.dtype()?);
    Ok((lower.add(ones), lu.narrow(-2, 0, k.clone()).triu()))
}

/// A decomposed matrix.
pub(super) struct System {
    pub op: &'static str,
    pub lu: Tensor,
    /// See [`permutation`].
    pub rows: Tensor,
}

impl System {
    /// Decomposes.
    pub fn new(op: &'static str, a: &Tensor, fails: bool) -> Result<System> {
        let [lu, pivots, _] = decompose(op, a, fails)?;
        let rows = permutation(op, &pivots, &a.dim(-1))?;
        Ok(System { op, lu, rows })
    }

    /// Solves with the matrix or its adjoint. Batches broadcast.
    pub fn solve(&self, b: &Tensor, adjoint: bool) -> Result<Tensor> {
        let (op, rows) = (self.op, self.rows.unsqueeze(-1));
        let (own, given) = (self.lu.dim(-1).0?, b.dim(-2).0?);
        if own.compare_eq(&given) == Some(false) {
            let message = format!("{given} rows on the right, {own} on the left");
            let error = super::bad_shape(op, message);
            return Err(error.operand(self.lu.note("self")).operand(b.note("b")));
        }
        let (lu, b) = with_common_batch(op, (&self.lu, 2), (b, 2))?;
        let (rows, _) = with_common_batch(op, (&rows, 2), (&b, 2))?;
        if adjoint {
            let turned = super::adjoint(&lu);
            let half = divide(op, &turned, &b, false, false)?;
            let permuted = divide(op, &turned, &half, true, true)?;
            return Ok(permuted.take_along_dim(&rows.argsort(-2), -2));
        }
        let permuted = b.take_along_dim(&rows, -2);
        let half = divide(op, &lu, &permuted, false, true)?;
        divide(op, &lu, &half, true, false)
    }

    /// The upper factor's diagonal.
    pub fn diagonal(&self) -> Tensor {
        diagonal(&self.lu)
    }
}

const RULES: ForeignRules = ForeignRules {
    pullback,
    pushforward,
};
pub(super) const DERIVATIVES: &[(&str, ForeignRules)] =
    &[("linalg.lu_factor", RULES), ("linalg.lu_factor_ex", RULES)];

/// The parts of a decomposition: the square block that both triangular factors share, and what is
/// beside it if the matrix is wide, or below it if it is tall.
struct Parts {
    block: Tensor,
    rest: Option<Tensor>,
    tall: bool,
}

impl Parts {
    fn of(op: &'static str, x: &Tensor) -> Result<Parts> {
        let sizes = matrices(op, x)?;
        let (tall, k) = (sizes.is_tall(op)?, Dim(Ok(sizes.smaller())));
        let Sizes { rows, columns, .. } = sizes;
        let axis = if tall { -2 } else { -1 };
        let square = rows.compare_eq(&columns) == Some(true);
        let rest = x.dim(axis) - k.clone();
        Ok(Parts {
            block: x.narrow(axis, 0, k.clone()),
            rest: (!square).then(|| x.narrow(axis, k, rest)),
            tall,
        })
    }

    fn joined(block: &Tensor, rest: Option<Tensor>, tall: bool) -> Tensor {
        match rest {
            Some(rest) => Tensor::cat(&[block, &rest], if tall { -2 } else { -1 }),
            None => block.clone(),
        }
    }
}

/// Rows reordered; back to where they were if `back`.
fn reorder(a: &Applied<'_>, x: &Tensor, back: bool) -> Result<Tensor> {
    let rows = permutation("lu", &a.results[1], &x.dim(-2))?.unsqueeze(-1);
    let rows = if back { rows.argsort(-2) } else { rows };
    Ok(x.take_along_dim(&rows, -2))
}

fn pullback(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let op = "lu";
    let (lu, flow) = (Parts::of(op, &a.results[0])?, Parts::of(op, &a.flow[0])?);
    let (block, tall) = (&lu.block, lu.tall);
    let turned = adjoint(block);
    let (mut lower, mut upper) = (flow.block.tril_with(-1), flow.block.triu());
    // What is beside or below the block is that of the matrix divided by one of the factors.
    let rest = match (&lu.rest, &flow.rest) {
        (Some(own), Some(flow)) if tall => {
            let rest = divide_right(op, &turned, flow, false, false)?;
            upper = upper.sub(adjoint(own).matmul(&rest));
            Some(rest)
        }
        (Some(own), Some(flow)) => {
            let rest = divide(op, &turned, flow, true, true)?;
            lower = lower.sub(rest.matmul(&adjoint(own)));
            Some(rest)
        }
        _ => None,
    };
    let ones = Tensor::eye_of(block.dim(-1), block.dim(-1), block.dtype()?);
    let (l, u) = (block.tril_with(-1).add(ones), block.triu());
    let inner = adjoint(&l).matmul(&lower).tril_with(-1);
    let inner = inner.add(upper.triu().matmul(&adjoint(&u)).triu());
    let left = divide(op, &turned, &inner, true, true)?;
    let both = divide_right(op, &turned, &left, false, false)?;
    let whole = Parts::joined(&both, rest, tall);
    Ok(vec![reorder(a, &whole, true)?])
}

fn pushforward(a: &Applied<'_>) -> Result<Vec<Tensor>> {
    let op = "lu";
    let moved = Parts::of(op, &reorder(a, &a.flow[0], false)?)?;
    let lu = Parts::of(op, &a.results[0])?;
    let block = &lu.block;
    let ones = Tensor::eye_of(block.dim(-1), block.dim(-1), block.dtype()?);
    let (l, u) = (block.tril_with(-1).add(ones), block.triu());
    let left = divide(op, block, &moved.block, false, true)?;
    let both = divide_right(op, block, &left, true, false)?;
    let (lower, upper) = (l.matmul(&both.tril_with(-1)), both.triu().matmul(&u));
    let rest = match (&lu.rest, &moved.rest) {
        (Some(own), Some(moved)) if lu.tall => {
            let right = moved.sub(own.matmul(&upper));
            Some(divide_right(op, block, &right, true, false)?)
        }
        (Some(own), Some(moved)) => {
            let right = moved.sub(lower.matmul(own));
            Some(divide(op, block, &right, false, true)?)
        }
        _ => None,
    };
    Ok(vec![Parts::joined(&lower.add(upper), rest, lu.tall)])
}
