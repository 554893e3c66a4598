//! Types of library functions: patterns that operands and results must fit together.

use super::PartialType;
use crate::Element;
use std::fmt::{self, Write};

/// What a function takes and gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signature {
    /// Types of the operands.
    pub operands: &'static [Pattern],
    /// Types of the results.
    pub results: &'static [Pattern],
}

/// The type of an operand or result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// The element type.
    pub kind: ElementKind,
    /// The sizes of the core axes, which come last.
    pub core: &'static [Extent],
}

/// An element type, relative to the function's scalar type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ElementKind {
    /// The scalar type.
    Scalar,
    /// The real type of its precision.
    Real,
    /// The complex type of its precision.
    Complex,
    /// This type.
    Fixed(Element),
}

/// A size in terms of others. A letter stands for the same size wherever it occurs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Any size.
    Var(char),
    /// The smaller of two.
    Min(char, char),
    /// Half of it, rounded down, plus one: the places of a real sequence's spectrum.
    Half(char),
}

/// How types fit a signature.
pub(super) struct Fit {
    /// Entries in the batch; sizes are all known where this is used.
    pub batch: usize,
    /// Element types and sizes of core axes of the operands.
    pub operands: Vec<(Element, Vec<usize>)>,
    /// The same of the results.
    pub results: Vec<(Element, Vec<usize>)>,
}

/// Sizes of letters.
type Letters = Vec<(char, Option<usize>)>;

impl Signature {
    /// Holds types against the patterns. Unknown sizes fit, and count as 0 in the result.
    pub(super) fn fit(
        &self,
        scalar: Element,
        operands: &[PartialType],
        results: &[PartialType],
    ) -> Result<Fit, String> {
        count("operands", self.operands.len(), operands.len())?;
        count("results", self.results.len(), results.len())?;
        let given = operands.iter().chain(results);
        let patterns = self.operands.iter().chain(self.results);
        let mut sizes = Vec::new();
        for (at, (pattern, ty)) in patterns.clone().zip(given.clone()).enumerate() {
            let logical = logical(pattern.kind.element(scalar), ty);
            let fits = logical.filter(|dims| dims.len() >= pattern.core.len());
            sizes.push(fits.ok_or_else(|| self.misfit(at, scalar, ty))?);
        }
        let parts = patterns.clone().zip(&sizes).map(|(pattern, dims)| {
            let (batch, core) = dims.split_at(dims.len() - pattern.core.len());
            (pattern, batch, core)
        });
        let mut letters = Letters::new();
        let mut common: Option<Vec<Option<usize>>> = None;
        // Letters by themselves first: a compound size may mention one that only a result has.
        for compound in [false, true] {
            for (at, ((pattern, batch, core), ty)) in parts.clone().zip(given.clone()).enumerate() {
                let batch_fits = join(common.get_or_insert_with(|| batch.to_vec()), batch);
                let mut extents = pattern.core.iter().zip(core);
                let core_fits = extents.all(|(e, size)| e.fits(*size, compound, &mut letters));
                if !batch_fits || !core_fits {
                    return Err(self.misfit(at, scalar, ty));
                }
            }
        }
        let known = |sizes: &[Option<usize>]| sizes.iter().map(|s| s.unwrap_or(0)).collect();
        let mut cores: Vec<(Element, Vec<usize>)> = parts
            .map(|(pattern, _, core)| (pattern.kind.element(scalar), known(core)))
            .collect();
        let results = cores.split_off(self.operands.len());
        let batch: Vec<usize> = known(&common.unwrap_or_default());
        Ok(Fit {
            batch: product(&batch)?,
            operands: cores,
            results,
        })
    }

    /// The error for operand or result `at`, counted together.
    fn misfit(&self, at: usize, scalar: Element, (element, dims): &PartialType) -> String {
        let operands = self.operands.len();
        let (role, number, pattern) = match at.checked_sub(operands) {
            None => ("operand", at, &self.operands[at]),
            Some(result) => ("result", result, &self.results[result]),
        };
        let mut found = element.name().to_owned();
        let separators = std::iter::once("[").chain(std::iter::repeat(", "));
        for (separator, size) in separators.zip(dims) {
            let _ = match size {
                Some(size) => write!(found, "{separator}{size}"),
                None => write!(found, "{separator}?"),
            };
        }
        found.push_str(if dims.is_empty() { "[]" } else { "]" });
        format!(
            "{role} {number} is {found}, which does not fit {}{} in {}",
            pattern.kind.element(scalar).name(),
            Core(pattern.core),
            Typed(self, scalar),
        )
    }
}

/// The number of elements of these sizes.
pub(super) fn product(dims: &[usize]) -> Result<usize, String> {
    let mut sizes = dims.iter();
    let product = sizes.try_fold(1usize, |product, size| product.checked_mul(*size));
    product.ok_or_else(|| format!("sizes {dims:?} leave 64 bits"))
}

fn count(what: &str, needed: usize, given: usize) -> Result<(), String> {
    let message = || format!("takes or gives {needed} {what}, not {given}");
    (needed == given).then_some(()).ok_or_else(message)
}

/// The sizes when `ty` holds elements of type `wanted`; pairs of reals hold complex numbers.
fn logical(wanted: Element, (element, dims): &PartialType) -> Option<&[Option<usize>]> {
    if *element == wanted {
        return Some(dims);
    }
    match dims.split_last() {
        Some((Some(2), rest)) if wanted.is_complex() && *element == wanted.real() => Some(rest),
        _ => None,
    }
}

/// Whether two batches are equal as far as they are known; what `other` knows is taken over.
fn join(common: &mut [Option<usize>], other: &[Option<usize>]) -> bool {
    common.len() == other.len()
        && common.iter_mut().zip(other).all(|(ours, theirs)| {
            let fits = ours.is_none() || theirs.is_none() || *ours == *theirs;
            *ours = ours.or(*theirs);
            fits
        })
}

impl ElementKind {
    fn element(self, scalar: Element) -> Element {
        match self {
            ElementKind::Scalar => scalar,
            ElementKind::Real => scalar.real(),
            ElementKind::Complex => scalar.complex(),
            ElementKind::Fixed(element) => element,
        }
    }
}

impl Extent {
    /// Whether a size fits what is known of the letters, which learn from it. Looks at compound
    /// extents, or at the others.
    fn fits(self, size: Option<usize>, compound: bool, letters: &mut Letters) -> bool {
        let letter = |letters: &Letters, name| {
            let found = letters.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, size)| *size)
        };
        let expected = match self {
            Extent::Var(name) if !compound => match letters.iter_mut().find(|l| l.0 == name) {
                Some((_, known)) => {
                    let expected = *known;
                    *known = known.or(size);
                    expected
                }
                None => {
                    letters.push((name, size));
                    None
                }
            },
            Extent::Min(a, b) if compound => letter(letters, a)
                .zip(letter(letters, b))
                .map(|(a, b)| a.min(b)),
            Extent::Half(n) if compound => letter(letters, n).map(|n| n / 2 + 1),
            Extent::Var(_) | Extent::Min(..) | Extent::Half(_) => None,
        };
        expected.is_none() || size.is_none() || expected == size
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::Var(n) => write!(f, "{n}"),
            Extent::Min(a, b) => write!(f, "min({a}, {b})"),
            Extent::Half(n) => write!(f, "{n}/2+1"),
        }
    }
}

/// Core axes behind a batch.
struct Core(&'static [Extent]);

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[..")?;
        self.0.iter().try_for_each(|e| write!(f, ", {e}"))?;
        f.write_str("]")
    }
}

/// A signature for a scalar type.
struct Typed<'a>(&'a Signature, Element);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, patterns: &[Pattern]| {
            f.write_str("(")?;
            for (i, p) in patterns.iter().enumerate() {
                let comma = if i > 0 { ", " } else { "" };
                write!(
                    f,
                    "{comma}{}{}",
                    p.kind.element(self.1).name(),
                    Core(p.core)
                )?;
            }
            f.write_str(")")
        };
        list(f, self.0.operands)?;
        f.write_str(" -> ")?;
        list(f, self.0.results)
    }
}

#[cfg(test)]
mod tests {
    use super::Extent::{Half, Min, Var};
    use super::*;

    const QR: Signature = Signature {
        operands: &[Pattern {
            kind: ElementKind::Scalar,
            core: &[Var('m'), Var('n')],
        }],
        results: &[
            Pattern {
                kind: ElementKind::Scalar,
                core: &[Var('m'), Min('m', 'n')],
            },
            Pattern {
                kind: ElementKind::Real,
                core: &[Min('m', 'n')],
            },
        ],
    };

    fn ty(element: Element, dims: &[usize]) -> PartialType {
        (element, dims.iter().map(|d| Some(*d)).collect())
    }

    #[test]
    fn batches_letters_and_pairs_fit() {
        use Element::{C64, F32};
        let results = [ty(C64, &[7, 5, 3]), ty(F32, &[7, 3])];
        let fit = QR.fit(C64, &[ty(C64, &[7, 5, 3])], &results).unwrap();
        assert_eq!((fit.batch, fit.operands), (7, vec![(C64, vec![5, 3])]));
        assert_eq!(fit.results, [(C64, vec![5, 3]), (F32, vec![3])]);
        // As the program looks after complex values were split.
        let pairs = [ty(F32, &[5, 3, 2]), ty(F32, &[3])];
        let fit = QR.fit(C64, &[ty(F32, &[5, 3, 2])], &pairs).unwrap();
        assert_eq!((fit.batch, fit.operands), (1, vec![(C64, vec![5, 3])]));
    }

    #[test]
    fn misfits_are_named() {
        use Element::{C64, F32, F64};
        let says = |operands: &[PartialType], results: &[PartialType]| {
            QR.fit(C64, operands, results).err().unwrap_or_default()
        };
        let good = [ty(C64, &[7, 5, 3]), ty(F32, &[7, 3])];
        assert_eq!(
            says(&[ty(C64, &[7, 5, 4])], &good),
            "result 0 is c64[7, 5, 3], which does not fit c64[.., m, min(m, n)] in \
             (c64[.., m, n]) -> (c64[.., m, min(m, n)], f32[.., min(m, n)])"
        );
        assert!(says(&[ty(F32, &[7, 5, 3])], &good).starts_with("operand 0 is f32[7, 5, 3]"));
        assert!(says(&[ty(C64, &[6, 5, 3])], &good).starts_with("result 0 is c64[7, 5, 3]"));
        assert!(says(&[ty(C64, &[5])], &good).starts_with("operand 0 is c64[5]"));
        assert!(says(&[], &good).starts_with("takes or gives 1 operands, not 0"));
        let wide = [good[0].clone(), ty(F64, &[7, 3])];
        assert!(says(&[ty(C64, &[7, 5, 3])], &wide).starts_with("result 1 is f64[7, 3]"));
    }

    #[test]
    fn what_is_not_known_fits_and_what_a_result_knows_binds() {
        let c2r = Signature {
            operands: &[Pattern {
                kind: ElementKind::Complex,
                core: &[Half('n')],
            }],
            results: &[Pattern {
                kind: ElementKind::Scalar,
                core: &[Var('n')],
            }],
        };
        let fits = |from: Option<usize>, to: Option<usize>| {
            let (from, to) = ((Element::C64, vec![from]), (Element::F32, vec![to]));
            c2r.fit(Element::F32, &[from], &[to]).is_ok()
        };
        assert!(fits(Some(3), Some(4)) && fits(Some(3), Some(5)) && !fits(Some(3), Some(6)));
        assert!(fits(None, Some(4)) && fits(Some(3), None));
    }
}
