//! Floor division and remainder of index expressions, and the bounds that decide them.
//!
//! What may be assumed: a kernel's body runs only where every extent and every divisor is at least
//! one, and a loop variable lies between zero and its extent, exclusive.

use super::{IndexAtom, IndexExpr, IndexTerm, Ranges};
use crate::{Atom, Dim, DimOverflow, Symbol, floor_div};
use smallvec::SmallVec;

/// What is known while a division is simplified.
#[derive(Clone, Copy)]
struct Facts<'a> {
    ranges: Ranges<'a>,
    /// Divisors are positive.
    divisor: &'a Dim,
}

impl Facts<'_> {
    /// Everything that is at least one.
    fn positive(&self) -> impl Iterator<Item = &Dim> {
        let Ranges { outer, inner } = self.ranges;
        outer.iter().chain(inner).chain([self.divisor])
    }

    /// True when `dim >= 0` is certain.
    fn is_nonnegative(&self, dim: &Dim) -> bool {
        if let Some(c) = dim.as_const() {
            return c >= 0;
        }
        let is_certain = |d: Dim| d.bounds().0.is_some_and(|lo| lo >= 0);
        is_certain(dim.clone())
            || self.raise(dim).is_some_and(is_certain)
            || self.positive().any(|p| {
                let above = dim.sub(p).and_then(|d| d.add(&Dim::ONE));
                above.is_ok_and(is_certain)
            })
    }

    /// The dim with every symbol known to be positive written as `1 + symbol`: this decides
    /// differences such as `n*m - n`, whose terms have no common bound.
    fn raise(&self, dim: &Dim) -> Option<Dim> {
        let plus_one = |s: &Symbol| {
            let known = self.is_positive(s);
            known.then(|| Dim::symbol(&s.0).add(&Dim::ONE).ok())?
        };
        dim.substitute(&plus_one).ok()
    }

    /// True when something positive has this symbol as a factor.
    fn is_positive(&self, symbol: &Symbol) -> bool {
        let is_symbol = |a: &Atom| matches!(a, Atom::Symbol(_));
        self.positive().any(|d| {
            let factors = d.common_factor(d).terms();
            let [t] = &*factors else {
                return false;
            };
            t.atoms.contains(&Atom::Symbol(symbol.clone())) && t.atoms.iter().all(is_symbol)
        })
    }

    /// `a <= b`, when that is certain.
    fn is_le(&self, a: &Dim, b: &Dim) -> bool {
        b.sub(a).is_ok_and(|d| self.is_nonnegative(&d))
    }
}

impl IndexExpr {
    /// Smallest and largest value (inclusive) over all points of the ranges, where known. The largest
    /// value only means something where the loops run at all.
    pub fn bounds(&self, ranges: Ranges<'_>) -> (Option<Dim>, Option<Dim>) {
        self.bounds_with(Facts {
            ranges,
            divisor: &Dim::ONE,
        })
    }

    fn bounds_with(&self, facts: Facts<'_>) -> (Option<Dim>, Option<Dim>) {
        let mut sum = (Some(self.constant.clone()), Some(self.constant.clone()));
        for t in &self.terms {
            let (mut lo, mut hi) = t.atom.bounds(facts);
            let c = &t.coefficient;
            let negated = c.mul(&Dim::constant(-1));
            if !facts.is_nonnegative(c) {
                if !negated.is_ok_and(|n| facts.is_nonnegative(&n)) {
                    return (None, None);
                }
                (lo, hi) = (hi, lo);
            }
            let add = |sum: Option<Dim>, bound: Option<Dim>| sum?.add(&bound?.mul(c).ok()?).ok();
            sum = (add(sum.0, lo), add(sum.1, hi));
        }
        sum
    }

    /// `floor(self / divisor)` for a positive divisor, simplified with the loop extents.
    pub fn floor_div(&self, divisor: &Dim, ranges: Ranges<'_>) -> Result<IndexExpr, DimOverflow> {
        if divisor.is(1) {
            return Ok(self.clone());
        }
        let (quotient, rest) = self.split(divisor, ranges)?;
        rest.divide_rest(divisor, ranges)?.add(&quotient)
    }

    /// `floor(self / divisor)` where no term is a multiple of the divisor.
    fn divide_rest(&self, divisor: &Dim, ranges: Ranges<'_>) -> Result<IndexExpr, DimOverflow> {
        if let Some(exact) = self.certain_quotient(divisor, ranges) {
            return Ok(IndexExpr::constant(exact));
        }
        if self.terms.is_empty() {
            return Ok(IndexExpr::constant(self.constant.floor_div(divisor)?));
        }
        if let Some(f) = self.factor(divisor, ranges)? {
            return f.high.floor_div(&f.divisor, ranges);
        }
        if let [t] = &*self.terms
            && t.coefficient.is(1)
        {
            match &t.atom {
                IndexAtom::FloorDiv(x, a) => {
                    let whole = x.offset(&self.constant.mul(a)?)?;
                    return whole.floor_div(&a.mul(divisor)?, ranges);
                }
                IndexAtom::Mod(x, a) if self.constant.is(0) => {
                    let (count, rest) = a.split_multiple(divisor)?;
                    if rest.is(0) {
                        return x.floor_div(divisor, ranges)?.modulo(&count, ranges);
                    }
                }
                IndexAtom::Mod(..) | IndexAtom::Var(_) | IndexAtom::Value(_) => {}
            }
        }
        let atom = IndexAtom::FloorDiv(Box::new(self.clone()), divisor.clone());
        Ok(IndexExpr::atom(atom))
    }

    /// `self mod divisor` for a positive divisor, simplified with the loop extents.
    pub fn modulo(&self, divisor: &Dim, ranges: Ranges<'_>) -> Result<IndexExpr, DimOverflow> {
        if divisor.is(1) {
            return Ok(IndexExpr::constant(Dim::ZERO));
        }
        let (_, rest) = self.split(divisor, ranges)?;
        if let Some(exact) = rest.certain_quotient(divisor, ranges) {
            return rest.offset(&exact.mul(divisor)?.mul(&Dim::constant(-1))?);
        }
        if rest.terms.is_empty() {
            return Ok(IndexExpr::constant(rest.constant.modulo(divisor)?));
        }
        if let Some(f) = rest.factor(divisor, ranges)? {
            let high = f.high.modulo(&f.divisor, ranges)?;
            return high.scale(&f.factor)?.add(&f.low);
        }
        if let Some(plain) = rest.without_inner_modulo(divisor)? {
            return plain.modulo(divisor, ranges);
        }
        let atom = IndexAtom::Mod(Box::new(rest), divisor.clone());
        Ok(IndexExpr::atom(atom))
    }

    /// Replaces `c * (x mod a)` by `c * x` where `c * a` is a multiple of the divisor, which changes
    /// nothing modulo the divisor. `None` when there is nothing to replace.
    fn without_inner_modulo(&self, divisor: &Dim) -> Result<Option<IndexExpr>, DimOverflow> {
        let mut found = false;
        let mut sum = IndexExpr::constant(self.constant.clone());
        for t in &self.terms {
            let mut atom = IndexExpr::atom(t.atom.clone());
            if let IndexAtom::Mod(x, a) = &t.atom {
                let period = t.coefficient.mul(a)?;
                if period.split_multiple(divisor)?.1.is(0) {
                    found = true;
                    atom = (**x).clone();
                }
            }
            sum = sum.add(&atom.scale(&t.coefficient)?)?;
        }
        Ok(found.then_some(sum))
    }

    /// `(q, r)` with `self = q * divisor + r`, taking over everything that is a multiple of the
    /// divisor. Variables with one value vanish.
    fn split(
        &self,
        divisor: &Dim,
        ranges: Ranges<'_>,
    ) -> Result<(IndexExpr, IndexExpr), DimOverflow> {
        let (mut quotient, mut rest) = (SmallVec::new(), SmallVec::new());
        for IndexTerm { atom, coefficient } in &self.terms {
            if let IndexAtom::Var(v) = atom
                && ranges.extent(*v).is_some_and(|e| e.is(1))
            {
                continue;
            }
            let (q, r) = match (coefficient.as_const(), divisor.as_const()) {
                // Rounding towards zero, so that the rest does not grow.
                (Some(c), Some(d)) => (
                    Dim::constant(c.checked_div(d).ok_or(DimOverflow)?),
                    Dim::constant(c.checked_rem(d).ok_or(DimOverflow)?),
                ),
                _ => coefficient.split_multiple(divisor)?,
            };
            for (part, coefficient) in [(&mut quotient, q), (&mut rest, r)] {
                if !coefficient.is(0) {
                    let atom = atom.clone();
                    part.push(IndexTerm { atom, coefficient });
                }
            }
        }
        let (q, r) = split_constant(&self.constant, divisor)?;
        Ok((
            IndexExpr::from_terms(quotient, q)?,
            IndexExpr::from_terms(rest, r)?,
        ))
    }

    /// The quotient by `divisor` when it is the same at every point.
    fn certain_quotient(&self, divisor: &Dim, ranges: Ranges<'_>) -> Option<Dim> {
        let facts = Facts { ranges, divisor };
        let (lo, hi) = self.bounds_with(facts);
        let (lo, hi) = (lo?, hi?);
        let mut candidates: SmallVec<[i64; 3]> = SmallVec::from_slice(&[0, -1]);
        if let (Some(l), Some(d)) = (lo.as_const(), divisor.as_const()) {
            candidates = SmallVec::from_iter(floor_div(l, d));
        }
        candidates.into_iter().map(Dim::constant).find(|q| {
            let fits = || {
                let start = q.mul(divisor).ok()?;
                let end = start.add(divisor).ok()?.sub(&Dim::ONE).ok()?;
                Some(facts.is_le(&start, &lo) && facts.is_le(&hi, &end))
            };
            fits().unwrap_or(false)
        })
    }

    /// Finds a factor of the divisor that splits the expression, see [`Factored`].
    fn factor(&self, divisor: &Dim, ranges: Ranges<'_>) -> Result<Option<Factored>, DimOverflow> {
        let mut factors: SmallVec<[Dim; 4]> = SmallVec::new();
        for t in &self.terms {
            let factor = shared_factor(&t.coefficient, divisor)?;
            // The divisor is positive, so a factor that is not negative is positive.
            if !factor.is(1) && factor != *divisor && factor.bounds().0.is_some_and(|lo| lo >= 0) {
                factors.push(factor);
            }
        }
        factors.sort();
        factors.dedup();
        for factor in factors.into_iter().rev() {
            let (rest_divisor, remainder) = divisor.split_multiple(&factor)?;
            if !remainder.is(0) {
                continue;
            }
            let (high, low) = self.split(&factor, ranges)?;
            if let Some(q) = low.certain_quotient(&factor, ranges) {
                return Ok(Some(Factored {
                    high: high.offset(&q)?,
                    low: low.offset(&q.mul(&factor)?.mul(&Dim::constant(-1))?)?,
                    factor,
                    divisor: rest_divisor,
                }));
            }
        }
        Ok(None)
    }
}

/// `factor * high + low` with `0 <= low < factor`, to be divided by `factor * divisor`: the low part
/// never carries, so only `high` and `divisor` matter for the quotient.
struct Factored {
    factor: Dim,
    high: IndexExpr,
    low: IndexExpr,
    divisor: Dim,
}

/// A factor of both: the common product of atoms, times what else of the coefficient divides the
/// divisor.
fn shared_factor(coefficient: &Dim, divisor: &Dim) -> Result<Dim, DimOverflow> {
    let common = coefficient.common_factor(divisor);
    let content = coefficient.common_factor(coefficient);
    let (mut primitive, _) = coefficient.split_multiple(&content)?;
    if primitive.bounds().1.is_some_and(|hi| hi < 0) {
        primitive = primitive.mul(&Dim::constant(-1))?;
    }
    let (_, rest) = divisor.split_multiple(&primitive)?;
    if rest.is(0) {
        return common.mul(&primitive);
    }
    Ok(common)
}

/// `(q, r)` with `constant = q * divisor + r`, as much in `q` as is certain.
fn split_constant(constant: &Dim, divisor: &Dim) -> Result<(Dim, Dim), DimOverflow> {
    let (mut q, mut r) = constant.split_multiple(divisor)?;
    if r == *constant {
        // Last elements, one before a multiple, also of sums such as `n + 1`.
        let (count, over) = constant.add(&Dim::ONE)?.split_multiple(divisor)?;
        if over.is(0) {
            (q, r) = (count, Dim::constant(-1));
        }
    }
    let (Some(rest), Some(d)) = (r.as_const(), divisor.as_const()) else {
        return Ok((q, r));
    };
    let more = floor_div(rest, d).ok_or(DimOverflow)?;
    let r = more.checked_mul(d).and_then(|m| rest.checked_sub(m));
    Ok((
        q.add(&Dim::constant(more))?,
        Dim::constant(r.ok_or(DimOverflow)?),
    ))
}

impl IndexAtom {
    fn bounds(&self, facts: Facts<'_>) -> (Option<Dim>, Option<Dim>) {
        match self {
            IndexAtom::Var(v) => {
                let last = facts.ranges.extent(*v).map(|e| e.sub(&Dim::ONE));
                (Some(Dim::ZERO), last.and_then(Result::ok))
            }
            IndexAtom::Value(_) => (None, None),
            IndexAtom::FloorDiv(x, d) => {
                let (lo, hi) = x.bounds_with(facts);
                let quotient = |bound: Option<Dim>| {
                    let q = IndexExpr::constant(bound?).floor_div(d, facts.ranges);
                    Some(q.ok()?.constant)
                };
                (quotient(lo), quotient(hi))
            }
            IndexAtom::Mod(_, d) => (Some(Dim::ZERO), d.sub(&Dim::ONE).ok()),
        }
    }
}
