//! Quasi-affine index expressions: sums of products of sizes and loop variables, with floor
//! division and remainder by loop-invariant sizes, and data-dependent values as leaves.

use super::ValueId;
use crate::{Dim, DimOverflow};
use smallvec::SmallVec;

/// A loop variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Var {
    /// Outer range number.
    Outer(u32),
    /// Range number of the current stage.
    Inner(u32),
}

/// `constant + sum of coefficient * atom`, canonical: terms sorted by atom, none twice, no zero
/// coefficients.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IndexExpr {
    /// The loop-dependent part.
    pub terms: SmallVec<[IndexTerm; 3]>,
    /// The rest.
    pub constant: Dim,
}

/// `coefficient * atom`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct IndexTerm {
    /// What varies.
    pub atom: IndexAtom,
    /// Its factor, loop-invariant.
    pub coefficient: Dim,
}

/// The varying part of a term.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum IndexAtom {
    /// A loop variable.
    Var(Var),
    /// A computed i64 value (gathers).
    Value(ValueId),
    /// `floor(a / b)`, `b` positive.
    FloorDiv(Box<IndexExpr>, Dim),
    /// `a mod b`, `b` positive.
    Mod(Box<IndexExpr>, Dim),
}

/// Extents of the loop variables, for simplification.
#[derive(Clone, Copy, Debug)]
pub struct Ranges<'a> {
    /// Extents of the outer ranges.
    pub outer: &'a [Dim],
    /// Extents of the stage's ranges.
    pub inner: &'a [Dim],
}

impl IndexExpr {
    /// A loop-invariant index.
    pub fn constant(value: Dim) -> IndexExpr {
        IndexExpr {
            terms: SmallVec::new(),
            constant: value,
        }
    }

    /// A loop variable.
    pub fn var(var: Var) -> IndexExpr {
        IndexExpr::atom(IndexAtom::Var(var))
    }

    /// A data-dependent index.
    pub fn value(value: ValueId) -> IndexExpr {
        IndexExpr::atom(IndexAtom::Value(value))
    }

    fn atom(atom: IndexAtom) -> IndexExpr {
        IndexExpr {
            terms: SmallVec::from_iter([IndexTerm {
                atom,
                coefficient: Dim::ONE,
            }]),
            constant: Dim::ZERO,
        }
    }

    /// Sum.
    pub fn add(&self, other: &IndexExpr) -> Result<IndexExpr, DimOverflow> {
        let _ = other;
        todo!()
    }

    /// Product with a loop-invariant factor.
    pub fn scale(&self, factor: &Dim) -> Result<IndexExpr, DimOverflow> {
        let _ = factor;
        todo!()
    }

    /// `floor(self / divisor)` for a positive divisor, simplified with the loop extents.
    pub fn floor_div(&self, divisor: &Dim, ranges: Ranges<'_>) -> Result<IndexExpr, DimOverflow> {
        let _ = (divisor, ranges);
        todo!()
    }

    /// `self mod divisor` for a positive divisor, simplified with the loop extents.
    pub fn modulo(&self, divisor: &Dim, ranges: Ranges<'_>) -> Result<IndexExpr, DimOverflow> {
        let _ = (divisor, ranges);
        todo!()
    }
}
