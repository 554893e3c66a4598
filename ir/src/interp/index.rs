//! Operations that address elements by data.

use super::aggregate::try_vec;
use super::walk::{others, pick, row_major, walk};
use super::{Array, Fault, error::Stop};
use crate::Combine;
use crate::element::{Element, with_element};
use std::rc::Rc;

type Result<T> = std::result::Result<T, Stop>;

/// The part of `x` that each index tuple addresses.
struct Addressed<'a> {
    x: &'a Array,
    axes: &'a [u32],
    /// One list per axis.
    indices: Vec<Vec<i64>>,
    strides: Vec<isize>,
}

impl<'a> Addressed<'a> {
    fn new(x: &'a Array, indices: &[&Rc<Array>], axes: &'a [u32]) -> Addressed<'a> {
        Addressed {
            x,
            axes,
            indices: indices.iter().map(|i| i.to_i64_vec()).collect(),
            strides: row_major(&x.dims),
        }
    }

    /// The position of index tuple number `i`.
    fn position(&self, i: usize) -> Result<isize> {
        let mut position = 0;
        for (&axis, indices) in self.axes.iter().zip(&self.indices) {
            let (value, bound) = (indices[i], self.x.dims[axis as usize] as i64);
            if !(0..bound).contains(&value) {
                return Err(Fault::Index { axis, value, bound }.into());
            }
            position += value as isize * self.strides[axis as usize];
        }
        Ok(position)
    }

    /// Calls `visit` with the number of every element of Gather's result and its position in `x`,
    /// in row-major order. Indices that address no elements are not looked at.
    fn each(&self, mut visit: impl FnMut(usize, usize)) -> Result<()> {
        let rest = others(self.x.dims.len(), self.axes);
        let strides = pick(&self.strides, rest.iter().copied());
        let dims = pick(&self.x.dims, rest);
        let tuples = self.indices.first().map_or(0, Vec::len);
        if dims.contains(&0) {
            return Ok(());
        }
        let mut number = 0;
        for i in 0..tuples {
            let base = self.position(i)?;
            walk(&dims, [&strides], |[offset]| {
                visit(number, (base + offset) as usize);
                number += 1;
            });
        }
        Ok(())
    }
}

pub(super) fn gather(
    x: &Array,
    indices: &[&Rc<Array>],
    axes: &[u32],
    dims: &[usize],
) -> Result<Array> {
    let mut out = Array::zeros(x.dtype, dims)?;
    let size = x.dtype.size();
    Addressed::new(x, indices, axes).each(|target, source| {
        out.bytes[target * size..][..size].copy_from_slice(&x.bytes[source * size..][..size]);
    })?;
    Ok(out)
}

pub(super) fn scatter(
    x: &Array,
    updates: &Array,
    indices: &[&Rc<Array>],
    axes: &[u32],
    combine: Option<Combine>,
) -> Result<Array> {
    let places = Addressed::new(x, indices, axes);
    if let Some(kind) = combine {
        return with_element!(x.dtype, T => combine_into::<T>(&places, updates, kind));
    }
    let mut out = x.clone();
    let size = x.dtype.size();
    places.each(|source, target| {
        out.bytes[target * size..][..size].copy_from_slice(&updates.bytes[source * size..][..size]);
    })?;
    Ok(out)
}

/// Elements without updates stay as they are, bit for bit.
fn combine_into<T: Element>(
    places: &Addressed<'_>,
    updates: &Array,
    kind: Combine,
) -> Result<Array> {
    let combine = T::Acc::combine(kind).ok_or(Stop::IllTyped)?;
    let x = places.x;
    let mut results: Vec<Option<T::Acc>> = try_vec(x.len(), None, x)?;
    places.each(|source, target| {
        let old = results[target].unwrap_or_else(|| T::load(&x.bytes, target).widen());
        let update = T::load(&updates.bytes, source).widen();
        results[target] = Some(combine(old, update));
    })?;
    let mut out = x.clone();
    for (i, result) in results.into_iter().enumerate() {
        if let Some(acc) = result {
            T::narrow(acc).store(&mut out.bytes, i);
        }
    }
    Ok(out)
}

/// Sorts all operands along `axis` by the first.
pub(super) fn sort(x: &[&Rc<Array>], axis: usize, descending: bool) -> Result<Vec<Rc<Array>>> {
    let [keys, ..] = x else {
        return Err(Stop::IllTyped);
    };
    let order = with_element!(keys.dtype, T => sorted_positions::<T>(keys, axis, descending))?;
    x.iter().map(|x| reorder(x, &order).map(Rc::new)).collect()
}

/// For every element of the sorted keys, where it comes from.
fn sorted_positions<T: Element>(keys: &Array, axis: usize, descending: bool) -> Result<Vec<usize>> {
    let strides = row_major(&keys.dims);
    let mut lines = keys.dims.clone();
    let len = std::mem::replace(&mut lines[axis], 1);
    let mut sources = try_vec(keys.len(), 0, keys)?;
    if len == 0 {
        return Ok(sources);
    }
    let mut line: Vec<usize> = Vec::with_capacity(len);
    walk(&lines, [&strides], |[base]| {
        let place = |i: usize| (base + strides[axis] * i as isize) as usize;
        line.clear();
        line.extend((0..len).map(place));
        line.sort_by(|&a, &b| {
            let order = T::load(&keys.bytes, a).order(T::load(&keys.bytes, b));
            if descending { order.reverse() } else { order }
        });
        for (i, &source) in line.iter().enumerate() {
            sources[place(i)] = source;
        }
    });
    Ok(sources)
}

fn reorder(x: &Array, sources: &[usize]) -> Result<Array> {
    let mut out = Array::zeros(x.dtype, &x.dims)?;
    let size = x.dtype.size();
    for (target, &source) in out.bytes.chunks_exact_mut(size).zip(sources) {
        target.copy_from_slice(&x.bytes[source * size..][..size]);
    }
    Ok(out)
}
