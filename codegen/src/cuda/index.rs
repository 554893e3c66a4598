//! Sizes and index expressions in C.
//!
//! Loop variables are 32 bits wide where their extents are known to be small. An expression that stays within 32
//! bits, with dividends that are not negative, is computed in 32 bits: GPUs divide 64 bits slowly.

use super::emit::{Emitter, Result};
use lazulite_ir::{Dim, IndexAtom, IndexExpr, Ranges, Var};

/// Numbers below this are held in 32 bits; a step beyond them must not overflow.
const LIMIT: i64 = 1 << 30;

/// True for an extent whose loop variable is 32 bits wide.
pub(super) fn is_small(extent: &Dim) -> bool {
    extent.bounds().1.is_some_and(|e| e < LIMIT)
}

/// The type of the variable of a loop of this extent.
pub(super) fn variable_type(extent: &Dim) -> &'static str {
    if is_small(extent) { "i32" } else { "i64" }
}

/// The name of a loop variable.
pub(super) fn variable(v: Var) -> String {
    match v {
        Var::Outer(i) => format!("o{i}"),
        Var::Inner(i) => format!("i{i}"),
    }
}

/// True when the expression and all it is made of stay within 32 bits, and dividends are not negative.
fn fits_i32(e: &IndexExpr, ranges: Ranges<'_>) -> bool {
    let within = |e: &IndexExpr, lowest: i64| {
        let (lo, hi) = e.bounds(ranges);
        let (lo, hi) = (lo.and_then(|d| d.bounds().0), hi.and_then(|d| d.bounds().1));
        lo.is_some_and(|lo| lo >= lowest) && hi.is_some_and(|hi| hi < LIMIT)
    };
    within(e, -LIMIT)
        && e.constant.as_const().is_some()
        && e.terms.iter().all(|t| {
            // Single products may be larger than the sum.
            let single = IndexExpr {
                terms: [t.clone()].into_iter().collect(),
                constant: Dim::ZERO,
            };
            let narrow = match &t.atom {
                IndexAtom::Var(_) => true,
                IndexAtom::Value(_) => false,
                IndexAtom::FloorDiv(x, d) | IndexAtom::Mod(x, d) => {
                    d.as_const().is_some_and(|d| 0 < d && d < LIMIT)
                        && within(x, 0)
                        && fits_i32(x, ranges)
                }
            };
            narrow && t.coefficient.as_const().is_some() && within(&single, -LIMIT)
        })
}

impl Emitter<'_> {
    /// A size as an i64: a literal, or a parameter of the kernel.
    pub(super) fn dim(&mut self, dim: &Dim) -> String {
        match dim.as_const() {
            Some(c) => format!("{c}ll"),
            None => format!("s{}", self.size_number(dim)),
        }
    }

    /// A size by which an index is divided; 0 counts as 1, since nothing is addressed then.
    fn divisor(&mut self, dim: &Dim) -> String {
        match dim.bounds() {
            (Some(least), _) if least > 0 => self.dim(dim),
            _ => self.dim(&dim.maximum(&Dim::ONE)),
        }
    }

    /// An index expression in i64, or in i32 where that suffices.
    pub(super) fn index(&mut self, e: &IndexExpr) -> Result<String> {
        let small = fits_i32(e, self.ranges());
        self.sum(e, small)
    }

    fn sum(&mut self, e: &IndexExpr, small: bool) -> Result<String> {
        let mut parts = Vec::with_capacity(e.terms.len() + 1);
        for t in &e.terms {
            let atom = self.atom(&t.atom, small)?;
            parts.push(match t.coefficient.as_const() {
                Some(1) => atom,
                Some(c) if small => format!("{atom} * {c}"),
                _ => format!("{atom} * {}", self.dim(&t.coefficient)),
            });
        }
        if !e.constant.is(0) || parts.is_empty() {
            parts.push(match e.constant.as_const() {
                Some(c) if small => format!("{c}"),
                _ => self.dim(&e.constant),
            });
        }
        Ok(parts.join(" + "))
    }

    fn atom(&mut self, atom: &IndexAtom, small: bool) -> Result<String> {
        Ok(match atom {
            IndexAtom::Var(v) if small => variable(*v),
            IndexAtom::Var(v) => format!("(i64){}", variable(*v)),
            IndexAtom::Value(v) => format!("(i64)v{}", v.0),
            IndexAtom::FloorDiv(x, d) => self.quotient(x, d, small, ("/", "lz_floor_div"))?,
            IndexAtom::Mod(x, d) => self.quotient(x, d, small, ("%", "lz_modulo"))?,
        })
    }

    fn quotient(
        &mut self,
        x: &IndexExpr,
        d: &Dim,
        small: bool,
        (operator, function): (&str, &str),
    ) -> Result<String> {
        let dividend = self.sum(x, small)?;
        Ok(match (small, d.as_const()) {
            (true, Some(d)) => format!("(i32)((u32)({dividend}) {operator} {d}u)"),
            _ => format!("{function}({dividend}, {})", self.divisor(d)),
        })
    }
}
