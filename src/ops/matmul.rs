//! Matrix products and what is built on them.

use super::composite::bad_shape;
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::tensor::{Broadcast, Tensor, primitive};
use lazulite_ir::Op;

impl Tensor {
    /// Matrix product with PyTorch's rules: vectors count as rows or columns, leading axes are
    /// batch axes that broadcast, and both have elements of one type.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let a = Tensor::ones([5, 2, 3]);
    /// let b = Tensor::ones([3, 4]);
    /// assert_eq!(a.matmul(&b).dims()?, [5, 2, 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("mm", "bmm", "dot"))]
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let (a, b) = match (self.node(), other.node()) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return Tensor::error(e),
        };
        let (left, right) = (a.ty.rank(), b.ty.rank());
        if left == 0 || right == 0 {
            return self.matmul_error(
                other,
                "a 0-d tensor is no matrix",
                "multiply with * instead",
            );
        }
        let (inner_left, inner_right) = (&a.ty.dims[left - 1], &b.ty.dims[right.max(2) - 2]);
        let inner_right = if right == 1 {
            &b.ty.dims[0]
        } else {
            inner_right
        };
        if inner_left.compare_eq(inner_right) == Some(false) {
            let message = format!("inner sizes {inner_left} and {inner_right} differ");
            let hint = "the last axis of the left must match the second to last of the right; \
                        transpose one with .t() if it is laid out the other way";
            return self.matmul_error(other, &message, hint);
        }
        if a.ty.dtype != b.ty.dtype {
            let message = format!("elements of {} and {}", a.ty.dtype, b.ty.dtype);
            let hint =
                "cast one of them; numbers without a suffix in Rust's own arrays are f64 and i32";
            return self.matmul_error(other, &message, hint);
        }
        match (left, right) {
            (1, 1) => contract(self, other, 0, [0, 0]),
            (_, 1) => contract(self, other, 0, [left - 1, 0]),
            (1, 2) => contract(self, other, 0, [0, 0]),
            // A vector times a batch of matrices is a batch of one-row products.
            (1, _) => self.unsqueeze(0).matmul(other).squeeze(-2),
            // Leading axes of the left alone are rows of one large product.
            (_, 2) => contract(self, other, 0, [left - 1, 0]),
            _ => self.batched(other),
        }
    }

    #[track_caller]
    fn batched(&self, other: &Tensor) -> Tensor {
        let (a, b) = match (self.node(), other.node()) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return Tensor::error(e),
        };
        let split = |rank: usize| rank - 2;
        let (batch_a, matrix_a) = a.ty.dims.split_at(split(a.ty.rank()));
        let (batch_b, matrix_b) = b.ty.dims.split_at(split(b.ty.rank()));
        let mut broadcast = Broadcast::default();
        let fits = broadcast
            .add(&batch_a.into())
            .and_then(|()| broadcast.add(&batch_b.into()));
        if let Err((axis, ours, theirs)) = fits {
            let message = format!("batch sizes {ours} and {theirs} do not broadcast, axis {axis}");
            return self.matmul_error(other, &message, "batch axes are aligned from the last");
        }
        let batch = broadcast.dims();
        let whole = |matrix: &[lazulite_ir::Dim]| batch.iter().chain(matrix).cloned().collect();
        let x = self.expand_to("matmul", whole(matrix_a));
        let y = other.expand_to("matmul", whole(matrix_b));
        contract(&x, &y, batch.len(), [batch.len() + 1, batch.len()])
    }

    #[track_caller]
    fn matmul_error(&self, other: &Tensor, message: &str, hint: &str) -> Tensor {
        let kind = match self.dtype().ok() == other.dtype().ok() {
            true => ErrorKind::Shape,
            false => ErrorKind::DType,
        };
        let error = Error::new(kind, "matmul", message).at(Place::here());
        let error = error
            .operand(self.note("self"))
            .operand(other.note("other"));
        Tensor::error(error.hint(hint))
    }

    /// `self @ weight.t() + bias`, the layout of PyTorch's linear layers.
    #[track_caller]
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        if let Err(e) = self.check_features(weight) {
            return Tensor::error(e);
        }
        let product = self.matmul(&weight.t());
        let sum = match bias {
            Some(bias) => product.add(bias),
            None => product,
        };
        sum.named("linear", &[self, weight, bias.unwrap_or(weight)])
    }

    /// The last axis has the size that a linear map with this weight takes.
    #[track_caller]
    fn check_features(&self, weight: &Tensor) -> Result<()> {
        let (given, taken) = (&self.node()?.ty.dims, &weight.node()?.ty.dims);
        let (Some(own), [_, inputs]) = (given.last(), &taken[..]) else {
            return Ok(());
        };
        if own.compare_eq(inputs) != Some(false) {
            return Ok(());
        }
        let message = format!("the last axis of the input has size {own}, not {inputs}");
        let error = bad_shape("linear", message).at(Place::here());
        Err(error
            .operand(self.note("input"))
            .operand(weight.note("weight"))
            .hint("a weight has axes [outputs, inputs]; the last axis of what it is applied to has its inputs"))
    }
}

/// Sums products over one axis of each, after `batch` leading axes in common.
#[track_caller]
fn contract(x: &Tensor, y: &Tensor, batch: usize, summed: [usize; 2]) -> Tensor {
    let batch: Vec<(u32, u32)> = (0..batch as u32).map(|a| (a, a)).collect();
    let summed = [(summed[0] as u32, summed[1] as u32)];
    contract_axes("matmul", x, y, &batch, &summed).unwrap_or_else(Tensor::error)
}

/// Sums products over pairs of axes, for each place of other pairs. The axes of the result: the batch
/// pairs, the rest of `x`, the rest of `y`.
#[track_caller]
pub(crate) fn contract_axes(
    op: &'static str,
    x: &Tensor,
    y: &Tensor,
    batch: &[(u32, u32)],
    summed: &[(u32, u32)],
) -> Result<Tensor> {
    let dtype = x.dtype()?.promote(y.dtype()?);
    let (x, y) = (x.cast(dtype), y.cast(dtype));
    let contract = Op::Contract {
        lhs_batch: batch.iter().map(|p| p.0).collect(),
        rhs_batch: batch.iter().map(|p| p.1).collect(),
        lhs_sum: summed.iter().map(|p| p.0).collect(),
        rhs_sum: summed.iter().map(|p| p.1).collect(),
        acc: dtype.compute(),
    };
    // Half floats accumulate in f32 and are rounded once.
    Ok(primitive(op, contract, &[&x, &y]).cast(dtype))
}
