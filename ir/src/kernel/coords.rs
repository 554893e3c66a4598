//! Linear indices and coordinates: row-major order in both directions, and reshapes that keep as
//! much structure as the sizes show.
//!
//! Coordinates are taken to lie within their dims wherever the result is used (a guard may see to
//! that); outside, the results are some index.

use super::{IndexExpr, Ranges};
use crate::{Dim, DimOverflow};

/// The row-major linear index of `coords` within `dims`.
pub fn linearize(
    coords: &[IndexExpr],
    dims: &[Dim],
    ranges: Ranges<'_>,
) -> Result<IndexExpr, DimOverflow> {
    let mut sum = IndexExpr::constant(Dim::ZERO);
    let mut stride = Dim::ONE;
    for (c, d) in coords.iter().zip(dims).rev() {
        if d.is(1) {
            continue;
        }
        sum = sum.add(&c.scale(&stride)?)?;
        stride = stride.mul(d)?;
    }
    sum.simplify(ranges)
}

/// The coordinates within `dims` of a row-major linear index.
pub fn delinearize(
    index: &IndexExpr,
    dims: &[Dim],
    ranges: Ranges<'_>,
) -> Result<Vec<IndexExpr>, DimOverflow> {
    let mut coords = vec![IndexExpr::constant(Dim::ZERO); dims.len()];
    if dims.iter().any(|d| d.is(0)) {
        return Ok(coords); // There is no element, and nothing to divide by.
    }
    // The outermost coordinate is what remains: the index lies within the dims.
    let outermost = dims.iter().position(|d| !d.is(1));
    let mut stride = Dim::ONE;
    for (i, d) in dims.iter().enumerate().rev() {
        if d.is(1) {
            continue;
        }
        let above = index.floor_div(&stride, ranges)?;
        coords[i] = if Some(i) == outermost {
            above
        } else {
            above.modulo(d, ranges)?
        };
        stride = stride.mul(d)?;
    }
    Ok(coords)
}

/// The coordinates within `to` of the element that has `coords` within `from` (dims with the same
/// number of elements). Runs of dims with the same product are treated apart, so that sizes that
/// merely pass through never meet a division.
pub fn reshape_coords(
    coords: &[IndexExpr],
    from: &[Dim],
    to: &[Dim],
    ranges: Ranges<'_>,
) -> Result<Vec<IndexExpr>, DimOverflow> {
    let mut out = Vec::with_capacity(to.len());
    let (mut i, mut j) = (0, 0);
    for (next_i, next_j) in common_borders(from, to)? {
        let (part, dims) = (&coords[i..next_i], &from[i..next_i]);
        let target = &to[j..next_j];
        if dims == target {
            out.extend(part.iter().cloned());
        } else {
            let index = linearize(part, dims, ranges)?;
            out.extend(delinearize(&index, target, ranges)?);
        }
        (i, j) = (next_i, next_j);
    }
    Ok(out)
}

/// Positions where both lists can be cut such that the pieces have equal products pairwise; the
/// last one is the end of both.
fn common_borders(from: &[Dim], to: &[Dim]) -> Result<Vec<(usize, usize)>, DimOverflow> {
    let mut borders = matching_products(from.iter(), to.iter())?;
    let (i, j) = borders.last().copied().unwrap_or((0, 0));
    // Totals that are equal only for the sizes in question (a guard says so) leave a rest,
    // which may still agree from its end.
    let ends = matching_products(from[i..].iter().rev(), to[j..].iter().rev())?;
    let mut from_end: Vec<_> = ends
        .into_iter()
        .map(|(a, b)| (from.len() - a, to.len() - b))
        .filter(|&(a, b)| a > i && b > j)
        .collect();
    from_end.reverse();
    borders.extend(from_end);
    if borders.last() != Some(&(from.len(), to.len())) {
        borders.push((from.len(), to.len()));
    }
    Ok(borders)
}

/// Lengths of prefixes with equal products, ascending in both.
fn matching_products<'a>(
    from: impl Iterator<Item = &'a Dim>,
    to: impl Iterator<Item = &'a Dim>,
) -> Result<Vec<(usize, usize)>, DimOverflow> {
    let products = |dims: &mut dyn Iterator<Item = &'a Dim>| {
        let mut product = Dim::ONE;
        dims.map(|d| {
            product = product.mul(d)?;
            Ok(product.clone())
        })
        .collect::<Result<Vec<Dim>, DimOverflow>>()
    };
    let (mut from, mut to) = (from, to);
    let (left, right) = (products(&mut from)?, products(&mut to)?);
    let (mut out, mut start) = (Vec::new(), 0);
    for (i, p) in left.iter().enumerate() {
        if let Some(j) = right[start..].iter().position(|q| q == p) {
            start += j + 1;
            out.push((i + 1, start));
        }
    }
    Ok(out)
}
