//! Symbolic sizes: canonical polynomials over symbols, floor divisions, remainders, minima and
//! maxima. Constants are the fast path and need no allocation.
//!
//! Two dims that are equal as polynomials are equal as values (`==`); the converse does not hold,
//! and [`Dim::compare_eq`] says "undecided" where it cannot know. Symbols stand for sizes, so they
//! are at least zero.

use crate::text;
use smallvec::{SmallVec, smallvec};
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// A named unknown size.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Symbol(pub Arc<str>);

impl Symbol {
    /// The symbol called `name`.
    pub fn new(name: &str) -> Symbol {
        Symbol(name.into())
    }
}

/// The name, in quotes where it would not read back bare.
impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::quote::write_symbol(f, &self.0)
    }
}

/// A factor of a monomial that is not a number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Atom {
    /// An unknown.
    Symbol(Symbol),
    /// `floor(a / b)`.
    FloorDiv(Dim, Dim),
    /// `a - b * floor(a / b)`.
    Mod(Dim, Dim),
    /// The smaller one.
    Min(Dim, Dim),
    /// The larger one.
    Max(Dim, Dim),
}

/// A product of atoms (sorted, repeated for powers) and a coefficient that is not zero.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Term {
    /// Factors, sorted.
    pub atoms: SmallVec<[Atom; 2]>,
    /// Coefficient.
    pub coefficient: i64,
}

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
enum Repr {
    Const(i64),
    /// Sorted by atoms; never just a constant.
    Poly(Arc<[Term]>),
}

/// A size, or an offset or stride made of sizes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Dim(Repr);

/// Arithmetic on dims left the range of i64, or divided by zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DimOverflow;

impl fmt::Display for DimOverflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("size arithmetic overflows 64 bits or divides by zero")
    }
}

impl std::error::Error for DimOverflow {}

type DimResult = Result<Dim, DimOverflow>;

impl Dim {
    /// Zero.
    pub const ZERO: Dim = Dim(Repr::Const(0));
    /// One.
    pub const ONE: Dim = Dim(Repr::Const(1));

    /// A known size.
    pub const fn constant(value: i64) -> Dim {
        Dim(Repr::Const(value))
    }

    /// An unknown size.
    pub fn symbol(name: &str) -> Dim {
        Dim::atom(Atom::Symbol(Symbol::new(name)))
    }

    /// The value, when it is known.
    pub fn as_const(&self) -> Option<i64> {
        match self.0 {
            Repr::Const(c) => Some(c),
            Repr::Poly(_) => None,
        }
    }

    /// True for the constant `value`.
    pub fn is(&self, value: i64) -> bool {
        self.as_const() == Some(value)
    }

    /// The symbol, when the dim is just one.
    pub fn as_symbol(&self) -> Option<&Symbol> {
        let Repr::Poly(terms) = &self.0 else {
            return None;
        };
        match &**terms {
            [t] if t.coefficient == 1 => match &*t.atoms {
                [Atom::Symbol(s)] => Some(s),
                _ => None,
            },
            _ => None,
        }
    }

    /// The terms of the polynomial, in canonical order; the constant term has no atoms.
    pub fn terms(&self) -> SmallVec<[Term; 2]> {
        match &self.0 {
            Repr::Const(0) => smallvec![],
            Repr::Const(c) => smallvec![Term {
                atoms: smallvec![],
                coefficient: *c
            }],
            Repr::Poly(p) => p.iter().cloned().collect(),
        }
    }

    fn atom(atom: Atom) -> Dim {
        Dim(Repr::Poly(Arc::new([Term {
            atoms: smallvec![atom],
            coefficient: 1,
        }])))
    }

    fn from_terms(mut terms: Vec<Term>) -> DimResult {
        terms.sort_by(|a, b| a.atoms.cmp(&b.atoms));
        let mut out: Vec<Term> = Vec::with_capacity(terms.len());
        for t in terms {
            match out.last_mut() {
                Some(last) if last.atoms == t.atoms => {
                    last.coefficient = last
                        .coefficient
                        .checked_add(t.coefficient)
                        .ok_or(DimOverflow)?;
                }
                _ => out.push(t),
            }
        }
        out.retain(|t| t.coefficient != 0);
        Ok(match &*out {
            [] => Dim::ZERO,
            [t] if t.atoms.is_empty() => Dim::constant(t.coefficient),
            _ => Dim(Repr::Poly(out.into())),
        })
    }

    /// Sum.
    pub fn add(&self, other: &Dim) -> DimResult {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            return a.checked_add(b).map(Dim::constant).ok_or(DimOverflow);
        }
        let mut terms = self.terms().into_vec();
        terms.extend(other.terms());
        Dim::from_terms(terms)
    }

    /// Difference.
    pub fn sub(&self, other: &Dim) -> DimResult {
        self.add(&other.mul(&Dim::constant(-1))?)
    }

    /// Product.
    pub fn mul(&self, other: &Dim) -> DimResult {
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            return a.checked_mul(b).map(Dim::constant).ok_or(DimOverflow);
        }
        let right = other.terms();
        let mut terms = Vec::new();
        for a in self.terms() {
            for b in &right {
                let mut atoms = a.atoms.clone();
                atoms.extend(b.atoms.iter().cloned());
                atoms.sort();
                terms.push(Term {
                    atoms,
                    coefficient: a
                        .coefficient
                        .checked_mul(b.coefficient)
                        .ok_or(DimOverflow)?,
                });
            }
        }
        Dim::from_terms(terms)
    }

    /// `floor(self / other)`. Exact divisions of polynomials by constants or single terms are
    /// carried out.
    pub fn floor_div(&self, other: &Dim) -> DimResult {
        if other.is(0) {
            return Err(DimOverflow);
        }
        if other.is(1) || self.is(0) {
            return Ok(self.clone());
        }
        if let (Some(a), Some(b)) = (self.as_const(), other.as_const()) {
            return floor_div(a, b).map(Dim::constant).ok_or(DimOverflow);
        }
        if self == other {
            return Ok(Dim::ONE);
        }
        let (quotient, rest) = self.split_multiple(other)?;
        if rest.is(0) {
            return Ok(quotient);
        }
        if let (Some(r), Some(d)) = (rest.as_const(), other.as_const()) {
            return quotient.add(&Dim::constant(floor_div(r, d).ok_or(DimOverflow)?));
        }
        quotient.add(&Dim::atom(Atom::FloorDiv(rest, other.clone())))
    }

    /// `self - other * floor(self / other)`.
    pub fn modulo(&self, other: &Dim) -> DimResult {
        if other.is(0) {
            return Err(DimOverflow);
        }
        if other.is(1) || self.is(0) || self == other {
            return Ok(Dim::ZERO);
        }
        let (_, rest) = self.split_multiple(other)?;
        if let (Some(a), Some(b)) = (rest.as_const(), other.as_const()) {
            let q = floor_div(a, b).ok_or(DimOverflow)?;
            return a
                .checked_sub(q.checked_mul(b).ok_or(DimOverflow)?)
                .map(Dim::constant)
                .ok_or(DimOverflow);
        }
        if rest.is(0) {
            return Ok(Dim::ZERO);
        }
        Ok(Dim::atom(Atom::Mod(rest, other.clone())))
    }

    /// Splits `self = divisor * quotient + rest` for a divisor that is not zero, taking over what
    /// divides exactly: single terms when the divisor is one term, else all or nothing. Exact for
    /// every value of the symbols.
    pub fn split_multiple(&self, divisor: &Dim) -> Result<(Dim, Dim), DimOverflow> {
        let divisor_terms = divisor.terms();
        let [d] = &*divisor_terms else {
            return Ok(match self.divide_exactly(divisor) {
                Some(quotient) => (quotient, Dim::ZERO),
                None => (Dim::ZERO, self.clone()),
            });
        };
        let (mut quotient, mut rest) = (Vec::new(), Vec::new());
        for t in self.terms() {
            match t.divide(d) {
                Some(q) => quotient.push(q),
                None => rest.push(t),
            }
        }
        Ok((Dim::from_terms(quotient)?, Dim::from_terms(rest)?))
    }

    /// Polynomial division that leaves no rest, from the leading terms downwards; `None` when there
    /// is one, or when the way there is too long or leaves 64 bits.
    fn divide_exactly(&self, divisor: &Dim) -> Option<Dim> {
        // Terms may multiply with every step before the division fails, exponentially in the
        // degree. Quotients of sizes are short.
        const LONGEST_QUOTIENT: usize = 32;
        let leading = |d: &Dim| d.terms().into_iter().max_by(Term::monomial_order);
        let lead = leading(divisor)?;
        let (mut quotient, mut rest) = (Dim::ZERO, self.clone());
        for _ in 0..=LONGEST_QUOTIENT {
            let Some(top) = leading(&rest) else {
                return Some(quotient);
            };
            let q = Dim::from_terms(vec![top.divide(&lead)?]).ok()?;
            rest = rest.sub(&q.mul(divisor).ok()?).ok()?;
            quotient = quotient.add(&q).ok()?;
        }
        None
    }

    /// The largest product of a number and atoms that divides every term of both (1 when there is
    /// none, 0 when both are zero).
    pub fn common_factor(&self, other: &Dim) -> Dim {
        let mut terms = self.terms().into_iter().chain(other.terms());
        let Some(mut common) = terms.next() else {
            return Dim::ZERO;
        };
        // i64::MIN has no positive counterpart; such coefficients share only 1.
        common.coefficient = common.coefficient.checked_abs().unwrap_or(1);
        for t in terms {
            let c = t.coefficient.checked_abs().unwrap_or(1);
            common.coefficient = gcd(common.coefficient, c);
            let mut available = t.atoms;
            common.atoms.retain(|a| {
                let found = available.iter().position(|x| x == a);
                found.map(|i| available.remove(i)).is_some()
            });
        }
        if common.atoms.is_empty() {
            return Dim::constant(common.coefficient);
        }
        Dim(Repr::Poly(Arc::new([common])))
    }

    /// The smaller of both.
    pub fn minimum(&self, other: &Dim) -> Dim {
        self.min_or_max(other, Ordering::Less, Atom::Min)
    }

    /// The larger of both.
    pub fn maximum(&self, other: &Dim) -> Dim {
        self.min_or_max(other, Ordering::Greater, Atom::Max)
    }

    fn min_or_max(&self, other: &Dim, keep_self: Ordering, atom: fn(Dim, Dim) -> Atom) -> Dim {
        if let Ok(Some(difference)) = self.sub(other).map(|d| d.as_const()) {
            let order = difference.cmp(&0);
            return if order == keep_self { self } else { other }.clone();
        }
        let (a, b) = if self <= other {
            (self, other)
        } else {
            (other, self)
        };
        Dim::atom(atom(a.clone(), b.clone()))
    }

    /// `Some(true)` when equal for all values of the symbols, `Some(false)` when different for
    /// all, `None` when that depends or cannot be known.
    pub fn compare_eq(&self, other: &Dim) -> Option<bool> {
        if self == other {
            return Some(true);
        }
        match self.sub(other).ok()?.bounds() {
            (Some(lo), _) if lo > 0 => Some(false),
            (_, Some(hi)) if hi < 0 => Some(false),
            _ => None,
        }
    }

    /// Like [`Dim::compare_eq`], for `self <= other`.
    pub fn compare_le(&self, other: &Dim) -> Option<bool> {
        match other.sub(self).ok()?.bounds() {
            (Some(lo), _) if lo >= 0 => Some(true),
            (_, Some(hi)) if hi < 0 => Some(false),
            _ => None,
        }
    }

    /// Lower and upper bound over all values of the symbols, where known.
    pub fn bounds(&self) -> (Option<i64>, Option<i64>) {
        let (mut lo, mut hi) = (Some(0i64), Some(0i64));
        for t in self.terms() {
            let (mut tl, mut th) = (Some(1i64), Some(1i64));
            for a in &t.atoms {
                let (al, ah) = a.bounds();
                // Only products of non-negative factors are bounded; anything else is unknown.
                (tl, th) = match (tl, al) {
                    (Some(x), Some(y)) if x >= 0 && y >= 0 => (
                        x.checked_mul(y),
                        th.zip(ah).and_then(|(x, y)| x.checked_mul(y)),
                    ),
                    _ => (None, None),
                };
            }
            let c = t.coefficient;
            let scaled = |b: Option<i64>| b.and_then(|b| b.checked_mul(c));
            let (tl, th) = if c >= 0 {
                (scaled(tl), scaled(th))
            } else {
                (scaled(th), scaled(tl))
            };
            lo = lo.zip(tl).and_then(|(a, b)| a.checked_add(b));
            hi = hi.zip(th).and_then(|(a, b)| a.checked_add(b));
        }
        (lo, hi)
    }

    /// The value with `value_of` standing for the symbols; `None` on overflow, division by zero
    /// or a symbol without value.
    pub fn eval(&self, value_of: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        let terms = match &self.0 {
            Repr::Const(c) => return Some(*c),
            Repr::Poly(p) => p,
        };
        let mut sum = 0i64;
        for t in terms.iter() {
            let mut product = t.coefficient;
            for a in &t.atoms {
                product = product.checked_mul(a.eval(value_of)?)?;
            }
            sum = sum.checked_add(product)?;
        }
        Some(sum)
    }

    /// The dim with symbols replaced where `replacement` has one.
    pub fn substitute(&self, replacement: &dyn Fn(&Symbol) -> Option<Dim>) -> DimResult {
        if self.as_const().is_some() {
            return Ok(self.clone());
        }
        let mut sum = Dim::ZERO;
        for t in self.terms() {
            let mut product = Dim::constant(t.coefficient);
            for a in &t.atoms {
                let factor = match a {
                    Atom::Symbol(s) => replacement(s).unwrap_or_else(|| Dim::atom(a.clone())),
                    Atom::FloorDiv(x, y) => x
                        .substitute(replacement)?
                        .floor_div(&y.substitute(replacement)?)?,
                    Atom::Mod(x, y) => x
                        .substitute(replacement)?
                        .modulo(&y.substitute(replacement)?)?,
                    Atom::Min(x, y) => x
                        .substitute(replacement)?
                        .minimum(&y.substitute(replacement)?),
                    Atom::Max(x, y) => x
                        .substitute(replacement)?
                        .maximum(&y.substitute(replacement)?),
                };
                product = product.mul(&factor)?;
            }
            sum = sum.add(&product)?;
        }
        Ok(sum)
    }

    /// Calls `visit` for every symbol occurrence.
    pub fn visit_symbols(&self, visit: &mut dyn FnMut(&Symbol)) {
        if let Repr::Poly(terms) = &self.0 {
            for a in terms.iter().flat_map(|t| &t.atoms) {
                match a {
                    Atom::Symbol(s) => visit(s),
                    Atom::FloorDiv(x, y) | Atom::Mod(x, y) | Atom::Min(x, y) | Atom::Max(x, y) => {
                        x.visit_symbols(visit);
                        y.visit_symbols(visit);
                    }
                }
            }
        }
    }

    /// The product of `dims`.
    pub fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> DimResult {
        dims.into_iter()
            .try_fold(Dim::ONE, |product, d| product.mul(d))
    }
}

impl Term {
    /// `self / divisor` where that is a term.
    fn divide(&self, divisor: &Term) -> Option<Term> {
        if self.coefficient.checked_rem(divisor.coefficient) != Some(0) {
            return None;
        }
        let mut atoms = self.atoms.clone();
        for a in &divisor.atoms {
            atoms.remove(atoms.iter().position(|x| x == a)?);
        }
        Some(Term {
            atoms,
            coefficient: self.coefficient / divisor.coefficient,
        })
    }

    /// Lexicographic order of exponents, which products respect (as polynomial division needs).
    fn monomial_order(&self, other: &Term) -> Ordering {
        let (a, b) = (&self.atoms, &other.atoms);
        let differ = a.iter().zip(b).find(|(x, y)| x != y);
        differ.map_or(a.len().cmp(&b.len()), |(x, y)| y.cmp(x))
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Atom {
    fn bounds(&self) -> (Option<i64>, Option<i64>) {
        match self {
            Atom::Symbol(_) => (Some(0), None),
            Atom::FloorDiv(a, b) => match (a.bounds(), b.bounds()) {
                ((Some(al), ah), (Some(bl), _)) if al >= 0 && bl >= 1 => (Some(0), ah),
                _ => (None, None),
            },
            Atom::Mod(_, b) => match b.bounds() {
                (Some(bl), bh) if bl >= 1 => (Some(0), bh.map(|h| h - 1)),
                _ => (None, None),
            },
            Atom::Min(a, b) => {
                let ((al, ah), (bl, bh)) = (a.bounds(), b.bounds());
                (al.zip(bl).map(|(x, y)| x.min(y)), or_both(ah, bh, i64::min))
            }
            Atom::Max(a, b) => {
                let ((al, ah), (bl, bh)) = (a.bounds(), b.bounds());
                (or_both(al, bl, i64::max), ah.zip(bh).map(|(x, y)| x.max(y)))
            }
        }
    }

    fn eval(&self, value_of: &dyn Fn(&Symbol) -> Option<i64>) -> Option<i64> {
        match self {
            Atom::Symbol(s) => value_of(s),
            Atom::FloorDiv(a, b) => floor_div(a.eval(value_of)?, b.eval(value_of)?),
            Atom::Mod(a, b) => {
                let (a, b) = (a.eval(value_of)?, b.eval(value_of)?);
                a.checked_sub(floor_div(a, b)?.checked_mul(b)?)
            }
            Atom::Min(a, b) => Some(a.eval(value_of)?.min(b.eval(value_of)?)),
            Atom::Max(a, b) => Some(a.eval(value_of)?.max(b.eval(value_of)?)),
        }
    }
}

fn or_both(a: Option<i64>, b: Option<i64>, both: fn(i64, i64) -> i64) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(a, b)),
        (a, b) => a.or(b),
    }
}

/// Division rounding towards minus infinity; `None` for a zero divisor or overflow.
pub fn floor_div(a: i64, b: i64) -> Option<i64> {
    let q = a.checked_div(b)?;
    Some(if a % b != 0 && (a < 0) != (b < 0) {
        q - 1
    } else {
        q
    })
}

impl From<i64> for Dim {
    fn from(value: i64) -> Dim {
        Dim::constant(value)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repr::Poly(terms) = &self.0 else {
            return write!(f, "{}", self.as_const().unwrap_or(0));
        };
        for (i, t) in terms.iter().enumerate() {
            let c = t.coefficient;
            match (i, c < 0) {
                (0, true) => f.write_str("-")?,
                (0, false) => {}
                (_, true) => f.write_str(" - ")?,
                (_, false) => f.write_str(" + ")?,
            }
            if c.unsigned_abs() != 1 || t.atoms.is_empty() {
                write!(f, "{}", c.unsigned_abs())?;
                if !t.atoms.is_empty() {
                    f.write_str("*")?;
                }
            }
            for (k, a) in t.atoms.iter().enumerate() {
                if k > 0 {
                    f.write_str("*")?;
                }
                match a {
                    Atom::Symbol(s) => write!(f, "{s}")?,
                    Atom::FloorDiv(a, b) => write!(f, "floordiv({a}, {b})")?,
                    Atom::Mod(a, b) => write!(f, "mod({a}, {b})")?,
                    Atom::Min(a, b) => write!(f, "min({a}, {b})")?,
                    Atom::Max(a, b) => write!(f, "max({a}, {b})")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n() -> Dim {
        Dim::symbol("n")
    }

    #[test]
    fn polynomials_are_canonical() {
        let a = n().add(&Dim::ONE).unwrap().mul(&n()).unwrap();
        let b = n().mul(&n()).unwrap().add(&n()).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.to_string(), "n + n*n");
        assert_eq!(a.sub(&b).unwrap(), Dim::ZERO);
    }

    #[test]
    fn exact_divisions_are_carried_out() {
        let twelve_n = n().mul(&Dim::constant(12)).unwrap();
        assert_eq!(twelve_n.floor_div(&n()).unwrap(), Dim::constant(12));
        assert_eq!(
            twelve_n.floor_div(&Dim::constant(4)).unwrap(),
            n().mul(&Dim::constant(3)).unwrap()
        );
        assert_eq!(twelve_n.modulo(&Dim::constant(4)).unwrap(), Dim::ZERO);
        let odd = twelve_n.add(&Dim::constant(7)).unwrap();
        assert_eq!(odd.modulo(&Dim::constant(4)).unwrap(), Dim::constant(3));
        assert_eq!(
            odd.floor_div(&Dim::constant(4)).unwrap().to_string(),
            "1 + 3*n"
        );
    }

    #[test]
    fn polynomials_divide_by_polynomials() {
        let (m, n1) = (Dim::symbol("m"), n().add(&Dim::ONE).unwrap());
        let product = m.mul(&n1).unwrap().mul(&n1).unwrap();
        assert_eq!(product.floor_div(&n1).unwrap(), m.mul(&n1).unwrap());
        assert_eq!(product.modulo(&n1).unwrap(), Dim::ZERO);
        assert_eq!(n().split_multiple(&n1), Ok((Dim::ZERO, n())));
        let twelve_mn = n().mul(&m).unwrap().mul(&Dim::constant(12)).unwrap();
        let eight_n = n().mul(&Dim::constant(-8)).unwrap();
        assert_eq!(twelve_mn.common_factor(&eight_n).to_string(), "4*n");
    }

    #[test]
    fn equality_is_three_valued() {
        let m = Dim::symbol("m");
        assert_eq!(n().compare_eq(&n()), Some(true));
        assert_eq!(n().compare_eq(&m), None);
        assert_eq!(n().add(&Dim::ONE).unwrap().compare_eq(&n()), Some(false));
        assert_eq!(n().compare_eq(&Dim::constant(-1)), Some(false));
    }

    #[test]
    fn overflow_is_an_error() {
        let big = Dim::constant(i64::MAX);
        assert_eq!(big.add(&Dim::ONE), Err(DimOverflow));
        assert_eq!(big.mul(&big), Err(DimOverflow));
        assert_eq!(Dim::ONE.floor_div(&Dim::ZERO), Err(DimOverflow));
        assert_eq!(
            Dim::constant(i64::MIN).floor_div(&Dim::constant(-1)),
            Err(DimOverflow)
        );
    }
}
