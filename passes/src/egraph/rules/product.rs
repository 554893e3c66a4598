//! Contractions taken apart: which axes of the operands the axes of the result are.

use crate::egraph::space::{Space, Tree};
pub(super) use crate::product::Product;
use egg::Id;
use lazulite_ir::Op;

/// An axis of a result: of which operand, and which axis. Batch axes are the left operand's.
pub(super) type Label = (usize, u32);

impl Product {
    /// The contraction of two operands.
    pub(super) fn tree(self, a: impl Into<Tree>, b: impl Into<Tree>) -> Tree {
        Tree::Op(self.op(), vec![a.into(), b.into()])
    }

    /// The axes of the result.
    pub(super) fn labels(&self, ranks: [usize; 2]) -> Vec<Label> {
        let batch = self.batch[0].iter().map(|&a| (0, a));
        let rest = (0..2).flat_map(|side| {
            let axes = self.rest(side, ranks[side]);
            axes.into_iter().map(move |a| (side, a))
        });
        batch.chain(rest).collect()
    }
}

/// The contraction that a term is, and the ranks of its operands.
pub(super) fn product(space: &Space, op: &Op, x: &[Id]) -> Option<(Product, [usize; 2])> {
    let product = Product::of(op)?;
    Some((product, [space.dims(x[0]).len(), space.dims(x[1]).len()]))
}

/// `op` with one operand replaced.
pub(super) fn with_operand(x: &[Id], side: usize, new: Tree) -> Vec<Tree> {
    let mut operands: Vec<Tree> = x.iter().map(|&x| x.into()).collect();
    operands[side] = new;
    operands
}

/// What has axes `from` with its axes in the order of `to`; `None` unless these are the same axes.
pub(super) fn reordered(tree: Tree, from: &[Label], to: &[Label]) -> Option<Tree> {
    let place = |l: &Label| from.iter().position(|f| f == l).map(|p| p as u32);
    let perm: Vec<u32> = to.iter().map(place).collect::<Option<_>>()?;
    (from.len() == to.len()).then(|| Tree::permute(tree, perm))
}
