//! Where the micro-kernels take the vectors of a right operand from.

use super::micro::{Ahead, SplitVector, Vector};
use super::pack::Strewn;
use crate::PANEL;

/// How many rows of a panel ahead of use it is prefetched, and rows of an operand that lies elsewhere.
pub(super) const AHEAD: usize = 8;
const FAR: usize = 16;

/// Where the vectors of a right operand come from, row by row.
pub(super) trait Source<V: Vector, const VECTORS: usize> {
    /// Those of row `k`.
    ///
    /// # Safety
    /// There are so many rows, which are asked for in order from 0. As for [`Vector`].
    unsafe fn vectors(&mut self, k: usize) -> [V; VECTORS];
}

/// Rows at even distances, whose columns lie beside each other.
pub(super) struct Even<T> {
    /// First column of the next row.
    pub next: *const T,
    /// Elements from row to row.
    pub row: isize,
}

impl<V: Vector, const VECTORS: usize> Source<V, VECTORS> for Even<V::Element> {
    #[inline(always)]
    unsafe fn vectors(&mut self, _k: usize) -> [V; VECTORS] {
        // SAFETY: the caller's promise. Wrapping: the pointer behind the last row is not used.
        unsafe {
            let mut vectors = [V::zero(); VECTORS];
            for (v, vector) in vectors.iter_mut().enumerate() {
                let at = self.next.add(v * V::LANES * V::GROUP);
                *vector = V::load(at);
                V::prefetch(at.wrapping_offset(AHEAD as isize * self.row));
            }
            self.next = self.next.wrapping_offset(self.row);
            vectors
        }
    }
}

/// As [`Even`]; a row's vectors are loaded together with asking for what comes later.
pub(super) struct EvenAhead<'a, T> {
    pub even: Even<T>,
    pub ahead: &'a Ahead<'a, T>,
}

impl<V: Vector, const VECTORS: usize> Source<V, VECTORS> for EvenAhead<'_, V::Element> {
    #[inline(always)]
    unsafe fn vectors(&mut self, k: usize) -> [V; VECTORS] {
        let Ahead { first, rows } = *self.ahead;
        // SAFETY: the caller's promise; there is at least one row, and prefetching never faults.
        unsafe {
            let row = *rows.get_unchecked(k.min(rows.len() - 1));
            V::prefetch_far(first.wrapping_offset(row));
            self.even.vectors(k)
        }
    }
}

/// A right operand that is read where it lies and written down packed.
pub(super) struct Kept<'a, T> {
    pub strewn: &'a Strewn<'a, T>,
    /// The panel's first column in this strip.
    pub panel: *mut T,
    /// Number of the first vector.
    pub first: usize,
}

impl<V: SplitVector, const VECTORS: usize> Source<V, VECTORS> for Kept<'_, V::Element> {
    #[inline(always)]
    unsafe fn vectors(&mut self, k: usize) -> [V; VECTORS] {
        let (first, rows) = (self.strewn.first, self.strewn.rows);
        // SAFETY: the caller's promise, and that of the operand. Wrapping: prefetching never faults.
        unsafe {
            let row = first.offset(*rows.get_unchecked(k));
            let far = *rows.get_unchecked((k + FAR).min(rows.len() - 1));
            let mut vectors = [V::zero(); VECTORS];
            for (v, vector) in vectors.iter_mut().enumerate() {
                let split = self.strewn.vectors.get_unchecked(self.first + v);
                *vector = V::load_split(row, split);
                V::prefetch(first.wrapping_offset(far + split.from[0]));
                let to = self.panel.add(k * PANEL + v * V::LANES);
                to.cast::<V>().write_unaligned(*vector);
            }
            vectors
        }
    }
}
