//! Order.

use super::composite::attempt;
use crate::location::Scope;
use crate::tensor::{Dim, Tensor, primitive_many};
use lazulite_ir::{DType, Op};

impl Tensor {
    /// The elements along an axis in ascending order, and where each came from (i64). Equal elements keep their order, NaN
    /// counts as the largest.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([3, 1, 2]);
    /// let (values, places) = x.sort(0);
    /// assert_eq!((values.to_vec::<i32>()?, places.to_vec::<i64>()?), (vec![1, 2, 3], vec![1, 2, 0]));
    /// assert_eq!(x.sort_with(0, true).0.to_vec::<i32>()?, [3, 2, 1]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn sort(&self, axis: i64) -> (Tensor, Tensor) {
        self.sort_with(axis, false)
    }

    /// As [`Tensor::sort`], in descending order or not.
    #[track_caller]
    pub fn sort_with(&self, axis: i64, descending: bool) -> (Tensor, Tensor) {
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
    pub fn argsort(&self, axis: i64) -> Tensor {
        self.argsort_with(axis, false)
    }

    /// As [`Tensor::argsort`], in descending order or not.
    #[track_caller]
    pub fn argsort_with(&self, axis: i64, descending: bool) -> Tensor {
        self.sort_with(axis, descending).1.named("argsort", &[self])
    }

    /// The `k` largest elements along an axis, in order, and where they came from.
    ///
    /// A few of many (up to 16 of at least 64 times as many, of types of up to 32 bits) are looked for one after
    /// the other, each in one pass over the elements. Otherwise the axis is sorted: for ten of a million numbers
    /// that takes some 25 times as long.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (values, places) = Tensor::from([5, 1, 9, 7]).topk(2, 0);
    /// assert_eq!((values.to_vec::<i32>()?, places.to_vec::<i64>()?), (vec![9, 7], vec![2, 3]));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn topk(&self, k: usize, axis: i64) -> (Tensor, Tensor) {
        self.topk_with(k, axis, true)
    }

    /// As [`Tensor::topk`], of the largest elements or the smallest.
    #[track_caller]
    pub fn topk_with(&self, k: usize, axis: i64, largest: bool) -> (Tensor, Tensor) {
        let _pinned = Scope::pin();
        if self.rank().is_ok_and(|r| r == 0) {
            let (values, indices) = self.unsqueeze(0).topk_with(k, axis, largest);
            return (values.squeeze(0), indices.squeeze(0));
        }
        if let Ok(at) = self.axis("topk", axis)
            && self.known_size(at).is_ok_and(|n| is_few(k, n))
            && let Some(ranks) = self.ranks(at, largest)
        {
            let indices = best_of(&ranks, k, at as i64);
            return (self.gather(at as i64, &indices), indices);
        }
        let (values, indices) = self.sort_with(axis, largest);
        let (values, indices) = (values.narrow(axis, 0, k), indices.narrow(axis, 0, k));
        (
            values.named("topk", &[self]),
            indices.named("topk", &[self]),
        )
    }

    /// Integers that order the elements along an axis as [`Tensor::sort`] does, the first ones highest, none twice;
    /// they end in what is left of the axis's positions from 2^32. `None` for types that leave no room for those.
    #[track_caller]
    fn ranks(&self, at: usize, largest: bool) -> Option<Tensor> {
        let key = match self.dtype().ok()? {
            DType::F16 | DType::BF16 | DType::F32 => {
                // Bits of floats are in order but for negative ones, which are turned, and two zeros.
                let x = self.cast(DType::F32);
                let bits = x.eq(0).where_(0, &x).cast(DType::F32).bitcast(DType::I32);
                let turned = bits.bitwise_right_shift(31).bitwise_and(i32::MAX);
                let ordered = bits.bitwise_xor(turned);
                x.isnan().where_(i32::MAX, ordered).cast(DType::I64)
            }
            DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::U8 | DType::U16 => {
                self.cast(DType::I64)
            }
            DType::U32 | DType::I64 | DType::U64 | DType::F64 | DType::C64 | DType::C128 => {
                return None;
            }
        };
        let key = if largest { key } else { key.bitwise_not() };
        let position = self.positions(at).ok()?;
        Some(key.mul(1i64 << 32).add(position.neg().add(LAST)))
    }
}

/// The largest position that ranks have room for.
const LAST: i64 = u32::MAX as i64;

/// Whether it pays to look for so many of `size` elements one by one.
fn is_few(k: usize, size: usize) -> bool {
    (1..=16).contains(&k) && 64 * k <= size && size as i64 <= LAST
}

/// The positions of the `k` highest ranks.
#[track_caller]
fn best_of(ranks: &Tensor, k: usize, axis: i64) -> Tensor {
    attempt(|| {
        let mut found: Vec<Tensor> = Vec::with_capacity(k);
        for _ in 0..k {
            let left = match found.last() {
                Some(last) => ranks.lt(last).where_(ranks, i64::MIN),
                None => ranks.clone(),
            };
            found.push(left.amax_keepdim(axis));
        }
        let found = Tensor::cat(&found.iter().collect::<Vec<_>>(), axis);
        Ok(found.bitwise_and(LAST).neg().add(LAST))
    })
}
