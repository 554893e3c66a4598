//! The axes of contractions, by what they are for.

use lazulite_ir::{DType, Op};

/// The axes of a contraction, per operand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Product {
    pub batch: [Vec<u32>; 2],
    pub sum: [Vec<u32>; 2],
    pub acc: DType,
}

impl Product {
    /// The axes of an operation, if it is a contraction.
    pub fn of(op: &Op) -> Option<Product> {
        match op {
            Op::Contract {
                lhs_batch,
                rhs_batch,
                lhs_sum,
                rhs_sum,
                acc,
            } => Some(Product {
                batch: [lhs_batch.clone(), rhs_batch.clone()],
                sum: [lhs_sum.clone(), rhs_sum.clone()],
                acc: *acc,
            }),
            _ => None,
        }
    }

    /// The operation.
    pub fn op(self) -> Op {
        let ([lhs_batch, rhs_batch], [lhs_sum, rhs_sum]) = (self.batch, self.sum);
        Op::Contract {
            lhs_batch,
            rhs_batch,
            lhs_sum,
            rhs_sum,
            acc: self.acc,
        }
    }

    /// The axes of an operand of this rank that are neither batch nor summed.
    pub fn rest(&self, side: usize, rank: usize) -> Vec<u32> {
        let taken = |a: &u32| self.batch[side].contains(a) || self.sum[side].contains(a);
        (0..rank as u32).filter(|a| !taken(a)).collect()
    }
}
