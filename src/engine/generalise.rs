//! Specialise once, then generalise: which sizes and numbers of a program become run-time values.
//!
//! The first time a structure is seen, all its sizes and numbers are constants. When it is seen
//! again with others, those that differ become symbols and run-time scalars, the rest stays
//! constant. Sizes that moved together over all sightings become one symbol, sizes that moved in
//! a fixed linear relation to a symbol become an expression over it; the guess is checked against the
//! actual sizes at every call, so a wrong one costs a compilation and never a wrong result.

use super::build::Pattern;
use crate::tensor::Literal;
use lazulite_ir::{Dim, Symbol};
use smallvec::SmallVec;

/// The sizes and numbers of one call.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sighting {
    pub dims: Vec<i64>,
    pub literals: Vec<Literal>,
}

/// A symbol and the first place where its value stands among the sizes.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Binding {
    pub symbol: Symbol,
    pub position: usize,
}

/// The most specific pattern that fits all sightings (there is at least one), with its symbols. Symbols
/// stand for sizes: what was negative once does not become one, and the pattern fits the last
/// sighting only.
/// Symbols are made for the sizes at `inputs` first, so that the others are expressed by them.
pub(crate) fn generalise(sightings: &[Sighting], inputs: &[u32]) -> (Pattern, Vec<Binding>) {
    let mut bindings: Vec<(Binding, SmallVec<[i64; 4]>)> = Vec::new();
    let first = &sightings[0];
    let mut dims: Vec<Dim> = first.dims.iter().copied().map(Dim::constant).collect();
    let inputs = inputs.iter().map(|p| *p as usize);
    for position in inputs.chain(0..first.dims.len()) {
        let values: SmallVec<[i64; 4]> = sightings.iter().map(|s| s.dims[position]).collect();
        if values.iter().all(|v| *v == values[0]) {
            continue;
        }
        if values.iter().any(|v| *v < 0) {
            dims[position] = Dim::constant(values[values.len() - 1]);
            continue;
        }
        let related = |(b, known): &(Binding, SmallVec<[i64; 4]>)| relate(b, known, &values);
        if let Some(dim) = bindings.iter().find_map(related) {
            dims[position] = dim;
            continue;
        }
        let name = format!("s{}", bindings.len());
        dims[position] = Dim::symbol(&name);
        let symbol = Symbol::new(&name);
        bindings.push((Binding { symbol, position }, values));
    }
    let literals = (0..first.literals.len())
        .map(|i| {
            let literal = first.literals[i];
            let same = sightings.iter().all(|s| s.literals[i] == literal);
            (same && !literal.runtime).then_some(literal)
        })
        .collect();
    let bindings = bindings.into_iter().map(|(b, _)| b).collect();
    (Pattern { dims, literals }, bindings)
}

/// `values` as a linear expression over a symbol that had the values `known`.
fn relate(binding: &Binding, known: &[i64], values: &[i64]) -> Option<Dim> {
    let (i, j) = differing(known)?;
    let rise = values[j].checked_sub(values[i])?;
    let run = known[j].checked_sub(known[i])?;
    if rise.checked_rem(run)? != 0 {
        return None;
    }
    let factor = rise.checked_div(run)?;
    let offset = values[i].checked_sub(factor.checked_mul(known[i])?)?;
    // A scaled and shifted symbol is more likely chance than a relation.
    if factor == 0 || (factor != 1 && offset != 0) {
        return None;
    }
    let fits = |(k, v): (&i64, &i64)| {
        factor.checked_mul(*k).and_then(|x| x.checked_add(offset)) == Some(*v)
    };
    if !known.iter().zip(values).all(fits) {
        return None;
    }
    Dim::symbol(&binding.symbol.0)
        .mul(&Dim::constant(factor))
        .and_then(|d| d.add(&Dim::constant(offset)))
        .ok()
}

fn differing(values: &[i64]) -> Option<(usize, usize)> {
    let j = values.iter().position(|v| *v != values[0])?;
    Some((0, j))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_ir::{DType, Scalar};

    fn sighting(dims: &[i64], literal: f32) -> Sighting {
        let literal = Literal::new(Scalar::from_f64(DType::F32, f64::from(literal)));
        Sighting {
            dims: dims.to_vec(),
            literals: literal.into_iter().collect(),
        }
    }

    fn dims_of(sightings: &[Sighting]) -> Vec<String> {
        generalise(sightings, &[])
            .0
            .dims
            .iter()
            .map(Dim::to_string)
            .collect()
    }

    #[test]
    fn first_sight_is_constant() {
        let (pattern, bindings) = generalise(&[sighting(&[2, 3], 1.0)], &[]);
        assert_eq!(pattern.dims, [Dim::constant(2), Dim::constant(3)]);
        assert!(pattern.literals[0].is_some() && bindings.is_empty());
    }

    #[test]
    fn sizes_that_move_together_share_a_symbol() {
        let seen = [
            sighting(&[5, 4, 20, 6, 5], 1.0),
            sighting(&[6, 4, 24, 7, 6], 2.0),
        ];
        assert_eq!(dims_of(&seen), ["s0", "4", "4*s0", "1 + s0", "s0"]);
        assert!(generalise(&seen, &[]).0.literals[0].is_none());
    }

    #[test]
    fn sizes_of_inputs_come_first() {
        let seen = [sighting(&[6, 5], 1.0), sighting(&[7, 6], 1.0)];
        let (pattern, bindings) = generalise(&seen, &[1]);
        assert_eq!(pattern.dims[0].to_string(), "1 + s0");
        assert_eq!(bindings[0].position, 1);
    }

    #[test]
    fn chance_relations_are_dropped_when_a_sighting_contradicts_them() {
        let seen = [
            sighting(&[5, 6], 1.0),
            sighting(&[6, 7], 1.0),
            sighting(&[7, 9], 1.0),
        ];
        assert_eq!(dims_of(&seen), ["s0", "s1"]);
    }
}
