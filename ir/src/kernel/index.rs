//! Quasi-affine index expressions: sums of products of sizes and loop variables, with floor
//! division and remainder by loop-invariant sizes, and data-dependent values as leaves.
//!
//! Expressions stay canonical under every operation. Sums recombine quotients with their remainders,
//! so that splitting an index and putting it together again gives back what was there. Quotients
//! and remainders are simplified with what the loop extents say (see [`Ranges`]); the value
//! is the floor division's at every point of the ranges, negative numbers included.
//!
//! Operations recurse into nested divisions; who builds chains without end watches
//! [`IndexExpr::divisions`].

use super::ValueId;
use crate::{Dim, DimOverflow, Symbol, floor_div};
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
    /// `floor(a / b)`, `b` a size; one that turns out to be 0 counts as 1 (there is nothing to address
    /// then, but the expression may be evaluated under a guard).
    FloorDiv(Box<IndexExpr>, Dim),
    /// `a mod b`, `b` as for `FloorDiv`.
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

    pub(super) fn atom(atom: IndexAtom) -> IndexExpr {
        IndexExpr {
            terms: SmallVec::from_iter([IndexTerm {
                atom,
                coefficient: Dim::ONE,
            }]),
            constant: Dim::ZERO,
        }
    }

    /// The value, when it does not depend on loops or data.
    pub fn as_constant(&self) -> Option<&Dim> {
        self.terms.is_empty().then_some(&self.constant)
    }

    /// The variable, when the expression is just one.
    pub fn as_var(&self) -> Option<Var> {
        match self.as_atom() {
            Some(&IndexAtom::Var(v)) => Some(v),
            _ => None,
        }
    }

    /// The atom, when the expression is just one.
    pub(super) fn as_atom(&self) -> Option<&IndexAtom> {
        match &*self.terms {
            [t] if t.coefficient.is(1) && self.constant.is(0) => Some(&t.atom),
            _ => None,
        }
    }

    /// Brings any list of terms into canonical form.
    pub(super) fn from_terms(
        terms: SmallVec<[IndexTerm; 3]>,
        constant: Dim,
    ) -> Result<IndexExpr, DimOverflow> {
        let mut sum = IndexExpr {
            terms: merge_terms(terms)?,
            constant,
        };
        while let Some((quotient, remainder, joined)) = sum.find_recombination()? {
            let coefficient = sum.terms[remainder].coefficient.clone();
            sum.terms.remove(quotient.max(remainder));
            sum.terms.remove(quotient.min(remainder));
            let joined = joined.scale(&coefficient)?;
            sum.terms.extend(joined.terms);
            sum.terms = merge_terms(sum.terms)?;
            sum.constant = sum.constant.add(&joined.constant)?;
        }
        Ok(sum)
    }

    /// Two terms that are one: positions of the high and the low part, and what they make up
    /// together (to be multiplied by the low part's coefficient).
    fn find_recombination(&self) -> Result<Option<(usize, usize, IndexExpr)>, DimOverflow> {
        for (low, term) in self.terms.iter().enumerate() {
            let IndexAtom::Mod(x, d) = &term.atom else {
                continue;
            };
            let carry = term.coefficient.mul(d)?;
            for (high, other) in self.terms.iter().enumerate() {
                if high == low || other.coefficient != carry {
                    continue;
                }
                if let Some(joined) = join(&other.atom, x, d)? {
                    return Ok(Some((high, low, joined)));
                }
            }
        }
        Ok(None)
    }

    /// Sum.
    pub fn add(&self, other: &IndexExpr) -> Result<IndexExpr, DimOverflow> {
        let constant = self.constant.add(&other.constant)?;
        let terms = self.terms.iter().chain(&other.terms).cloned().collect();
        IndexExpr::from_terms(terms, constant)
    }

    /// Difference.
    pub fn sub(&self, other: &IndexExpr) -> Result<IndexExpr, DimOverflow> {
        self.add(&other.scale(&Dim::constant(-1))?)
    }

    /// Sum with a loop-invariant number.
    pub fn offset(&self, by: &Dim) -> Result<IndexExpr, DimOverflow> {
        Ok(IndexExpr {
            terms: self.terms.clone(),
            constant: self.constant.add(by)?,
        })
    }

    /// Product with a loop-invariant factor.
    pub fn scale(&self, factor: &Dim) -> Result<IndexExpr, DimOverflow> {
        if factor.is(1) {
            return Ok(self.clone());
        }
        if factor.is(0) {
            return Ok(IndexExpr::constant(Dim::ZERO));
        }
        let scaled = |t: &IndexTerm| {
            Ok(IndexTerm {
                atom: t.atom.clone(),
                coefficient: t.coefficient.mul(factor)?,
            })
        };
        // Order and distinctness of the atoms stay, and no product of polynomials vanishes.
        Ok(IndexExpr {
            terms: self.terms.iter().map(scaled).collect::<Result<_, _>>()?,
            constant: self.constant.mul(factor)?,
        })
    }

    /// The expression with variables replaced where `replacement` has something, simplified with the
    /// extents of the loops it then stands in.
    pub fn substitute(
        &self,
        replacement: &dyn Fn(Var) -> Option<IndexExpr>,
        ranges: Ranges<'_>,
    ) -> Result<IndexExpr, DimOverflow> {
        let mut sum = IndexExpr::constant(self.constant.clone());
        for t in &self.terms {
            let atom = match &t.atom {
                IndexAtom::Var(v) => match replacement(*v) {
                    Some(e) => e,
                    None if ranges.extent(*v).is_some_and(|e| e.is(1)) => continue,
                    None => IndexExpr::var(*v),
                },
                IndexAtom::Value(v) => IndexExpr::value(*v),
                IndexAtom::FloorDiv(x, d) => {
                    x.substitute(replacement, ranges)?.floor_div(d, ranges)?
                }
                IndexAtom::Mod(x, d) => x.substitute(replacement, ranges)?.modulo(d, ranges)?,
            };
            sum = sum.add(&atom.scale(&t.coefficient)?)?;
        }
        Ok(sum)
    }

    /// The expression simplified again, with all that the loop extents say.
    pub fn simplify(&self, ranges: Ranges<'_>) -> Result<IndexExpr, DimOverflow> {
        self.substitute(&|_| None, ranges)
    }

    /// The expression over other names of the values it reads.
    pub fn rename_values(
        &self,
        rename: &dyn Fn(ValueId) -> ValueId,
    ) -> Result<IndexExpr, DimOverflow> {
        let mut terms = self.terms.clone();
        for t in &mut terms {
            match &mut t.atom {
                IndexAtom::Var(_) => {}
                IndexAtom::Value(v) => *v = rename(*v),
                IndexAtom::FloorDiv(x, _) | IndexAtom::Mod(x, _) => {
                    **x = x.rename_values(rename)?;
                }
            }
        }
        IndexExpr::from_terms(terms, self.constant.clone())
    }

    /// The coefficient of `var` when the expression is linear in it: zero when it does not
    /// depend on it, `None` when the variable stands inside a division.
    pub fn stride_of(&self, var: Var) -> Option<Dim> {
        let mut stride = Dim::ZERO;
        for t in &self.terms {
            match &t.atom {
                IndexAtom::Var(v) if *v == var => stride = t.coefficient.clone(),
                atom if atom.depends_on(var) => return None,
                _ => {}
            }
        }
        Some(stride)
    }

    /// `(stride, rest)` with `self = stride * var + rest`, when the expression is linear in `var`.
    pub fn split_linear(&self, var: Var) -> Option<(Dim, IndexExpr)> {
        let stride = self.stride_of(var)?;
        let mut rest = self.clone();
        rest.terms.retain(|t| t.atom != IndexAtom::Var(var));
        Some((stride, rest))
    }

    /// True when `var` occurs.
    pub fn depends_on(&self, var: Var) -> bool {
        self.terms.iter().any(|t| t.atom.depends_on(var))
    }

    /// Calls `visit` for every occurrence of a value.
    pub fn visit_values(&self, visit: &mut dyn FnMut(ValueId)) {
        self.visit_atoms(&mut |a| {
            if let IndexAtom::Value(v) = a {
                visit(*v);
            }
        });
    }

    /// Calls `visit` for every occurrence of a variable.
    pub fn visit_vars(&self, visit: &mut dyn FnMut(Var)) {
        self.visit_atoms(&mut |a| {
            if let IndexAtom::Var(v) = a {
                visit(*v);
            }
        });
    }

    /// Calls `visit` for every loop-invariant size: coefficients, divisors, constants.
    pub fn visit_dims(&self, visit: &mut dyn FnMut(&Dim)) {
        visit(&self.constant);
        for t in &self.terms {
            visit(&t.coefficient);
            if let IndexAtom::FloorDiv(x, d) | IndexAtom::Mod(x, d) = &t.atom {
                visit(d);
                x.visit_dims(visit);
            }
        }
    }

    /// Number of divisions and remainders: what an evaluation costs, and a bound on the nesting.
    pub fn divisions(&self) -> usize {
        let mut count = 0;
        self.visit_atoms(&mut |a| {
            count += usize::from(matches!(a, IndexAtom::FloorDiv(..) | IndexAtom::Mod(..)));
        });
        count
    }

    /// Calls `visit` for every atom, those inside of divisions too.
    pub fn visit_atoms(&self, visit: &mut dyn FnMut(&IndexAtom)) {
        for t in &self.terms {
            visit(&t.atom);
            if let IndexAtom::FloorDiv(x, _) | IndexAtom::Mod(x, _) = &t.atom {
                x.visit_atoms(visit);
            }
        }
    }

    /// The value at one point; `None` on overflow, division by zero, or an unknown size.
    pub fn eval(
        &self,
        vars: &dyn Fn(Var) -> i64,
        values: &dyn Fn(ValueId) -> i64,
        sizes: &dyn Fn(&Symbol) -> Option<i64>,
    ) -> Option<i64> {
        let mut sum = self.constant.eval(sizes)?;
        for t in &self.terms {
            let atom = match &t.atom {
                IndexAtom::Var(v) => vars(*v),
                IndexAtom::Value(v) => values(*v),
                IndexAtom::FloorDiv(x, d) => {
                    floor_div(x.eval(vars, values, sizes)?, d.eval(sizes)?)?
                }
                IndexAtom::Mod(x, d) => {
                    let (x, d) = (x.eval(vars, values, sizes)?, d.eval(sizes)?);
                    x.checked_sub(floor_div(x, d)?.checked_mul(d)?)?
                }
            };
            sum = sum.checked_add(t.coefficient.eval(sizes)?.checked_mul(atom)?)?;
        }
        Some(sum)
    }
}

impl IndexAtom {
    fn depends_on(&self, var: Var) -> bool {
        match self {
            IndexAtom::Var(v) => *v == var,
            IndexAtom::Value(_) => false,
            IndexAtom::FloorDiv(x, _) | IndexAtom::Mod(x, _) => x.depends_on(var),
        }
    }
}

impl Ranges<'_> {
    /// The extent of a variable; `None` when there is no such loop.
    pub fn extent(&self, var: Var) -> Option<&Dim> {
        match var {
            Var::Outer(i) => self.outer.get(i as usize),
            Var::Inner(i) => self.inner.get(i as usize),
        }
    }
}

/// Terms sorted by atom, none twice, no zero coefficients.
pub(crate) fn merge_terms(
    mut terms: SmallVec<[IndexTerm; 3]>,
) -> Result<SmallVec<[IndexTerm; 3]>, DimOverflow> {
    terms.sort_by(|a, b| a.atom.cmp(&b.atom));
    let mut out: SmallVec<[IndexTerm; 3]> = SmallVec::with_capacity(terms.len());
    for t in terms {
        match out.last_mut() {
            Some(last) if last.atom == t.atom => {
                last.coefficient = last.coefficient.add(&t.coefficient)?;
            }
            _ => out.push(t),
        }
    }
    out.retain(|t| !t.coefficient.is(0));
    Ok(out)
}

/// `d * high + (x mod d)` as one expression, where `high` is a quotient belonging to `x`:
/// - `floor(x / d)` gives `x`;
/// - `(y mod a)`, where `y = q + floor(x / d)`, gives `(d*q + x) mod (a*d)`.
fn join(high: &IndexAtom, x: &IndexExpr, d: &Dim) -> Result<Option<IndexExpr>, DimOverflow> {
    match high {
        IndexAtom::FloorDiv(z, e) if is_quotient(z, e, x, d)? => Ok(Some(x.clone())),
        IndexAtom::Mod(y, a) => {
            for (i, t) in y.terms.iter().enumerate() {
                let IndexAtom::FloorDiv(z, e) = &t.atom else {
                    continue;
                };
                if t.coefficient.is(1) && is_quotient(z, e, x, d)? {
                    let mut q = (**y).clone();
                    q.terms.remove(i);
                    let whole = Box::new(q.scale(d)?.add(x)?);
                    return Ok(Some(IndexExpr::atom(IndexAtom::Mod(whole, a.mul(d)?))));
                }
            }
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// True when `floor(z / e)` is the canonical form of `floor(x / d)`: the same, or what became of it
/// when `x` is itself a quotient (plus a constant).
fn is_quotient(z: &IndexExpr, e: &Dim, x: &IndexExpr, d: &Dim) -> Result<bool, DimOverflow> {
    if z == x && e == d {
        return Ok(true);
    }
    let [t] = &*x.terms else {
        return Ok(false);
    };
    match &t.atom {
        IndexAtom::FloorDiv(inner, c) if t.coefficient.is(1) => {
            Ok(*e == c.mul(d)? && *z == inner.offset(&x.constant.mul(c)?)?)
        }
        _ => Ok(false),
    }
}
