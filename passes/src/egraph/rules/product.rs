//! Contractions taken apart: which axes of the operands the axes of the result are.

use crate::egraph::space::Tree;
use lazulite_ir::{DType, Op};

/// An axis of a result: of which operand, and which axis. Batch axes are the left operand's.
pub(super) type Label = (usize, u32);

/// The axes of a contraction, per operand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Product {
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

    /// The contraction of two operands.
    pub fn tree(self, a: impl Into<Tree>, b: impl Into<Tree>) -> Tree {
        Tree::Op(self.op(), vec![a.into(), b.into()])
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

    /// The axes of the result.
    pub fn labels(&self, ranks: [usize; 2]) -> Vec<Label> {
        let batch = self.batch[0].iter().map(|&a| (0, a));
        let rest = (0..2).flat_map(|side| {
            let axes = self.rest(side, ranks[side]);
            axes.into_iter().map(move |a| (side, a))
        });
        batch.chain(rest).collect()
    }
}

/// What has axes `from` with its axes in the order of `to`; `None` unless these are the same axes.
pub(super) fn reordered(tree: Tree, from: &[Label], to: &[Label]) -> Option<Tree> {
    let place = |l: &Label| from.iter().position(|f| f == l).map(|p| p as u32);
    let perm: Vec<u32> = to.iter().map(place).collect::<Option<_>>()?;
    (from.len() == to.len()).then(|| Tree::permute(tree, perm))
}
