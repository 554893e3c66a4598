//! Order.

use crate::location::Scope;
use crate::tensor::{Dim, Tensor, primitive_many};
use lazulite_ir::Op;

impl Tensor {
    /// The elements in order along an axis, and where each came from (i64). Equal elements keep their
    /// order, NaN counts as the largest.
    #[track_caller]
    pub fn sort(&self, axis: i64, descending: bool) -> (Tensor, Tensor) {
        let _pinned = Scope::pin();
        let (at, rank) = match (self.axis("sort", axis), self.rank()) {
            (Ok(_), Ok(0)) => return (self.clone(), Tensor::full((), 0)),
            (Ok(at), Ok(rank)) => (at, rank),
            (Err(e), _) | (_, Err(e)) => return (Tensor::error(e.clone()), Tensor::error(e)),
        };
        let mut shape = vec![Dim::from(1i64); rank];
        shape[at] = self.dim(axis);
        let dims: Vec<Dim> = (0..rank).map(|i| self.dim(i as i64)).collect();
        let index = Tensor::iota(self.dim(axis)).reshape(shape).expand(dims);
        let op = Op::Sort {
            axis: at as u32,
            descending,
        };
        let mut results = primitive_many("sort", op, &[self, &index], 2).into_iter();
        match (results.next(), results.next()) {
            (Some(values), Some(indices)) => (values, indices),
            _ => {
                let error = crate::tensor::internal("sort", "two results were expected");
                (Tensor::error(error.clone()), Tensor::error(error))
            }
        }
    }

    /// Where each element of the sorted order comes from.
    #[track_caller]
    pub fn argsort(&self, axis: i64, descending: bool) -> Tensor {
        self.sort(axis, descending).1.named("argsort", &[self])
    }

    /// The `k` largest (or smallest) elements along an axis, in order, and where they came from.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: i64, largest: bool) -> (Tensor, Tensor) {
        if self.rank().is_ok_and(|r| r == 0) {
            let (values, indices) = self.unsqueeze(0).topk(k, axis, largest);
            return (values.squeeze(0), indices.squeeze(0));
        }
        let (values, indices) = self.sort(axis, largest);
        let (values, indices) = (values.narrow(axis, 0, k), indices.narrow(axis, 0, k));
        (
            values.named("topk", &[self]),
            indices.named("topk", &[self]),
        )
    }
}
