//! Packing of a strided right operand: some of its rows become a panel's, see [`crate::Contract`]. The panel is
//! small enough to stay in cache and is read by the micro-kernels at once.

use super::micro::{Micro, Number};
use crate::PANEL;

/// Elements of an operand to be packed.
pub(crate) struct Source<T> {
    /// The first one.
    pub first: *const T,
    /// Elements from row to row of the panel.
    pub row: isize,
    /// Elements from column to column.
    pub column: isize,
    /// Rows of the panel.
    pub depth: usize,
    /// Columns that there are, at most [`PANEL`]. Up to the next multiple of [`LANES`] the panel's others are set to
    /// zero; behind that nothing is written.
    pub columns: usize,
}

/// Lanes of the widest vectors.
const LANES: usize = 16;

/// Transposes a square: a row of the source, whose elements lie beside each other, becomes a column of the panel.
///
/// # Safety
/// `from` is good for reading `size` rows of `size` elements, `stride` elements apart, `to` for writing as many
/// [`PANEL`] apart.
pub(crate) type Square<T> = unsafe fn(from: *const T, stride: isize, to: *mut T);

/// Packs `source` into a panel at `to`.
///
/// # Safety
/// All elements that the source speaks of exist, `to` is good for writing `depth * PANEL` elements, and the
/// machine has the micro-kernel's level.
pub(super) unsafe fn pack<T: Number>(source: &Source<T>, micro: &Micro<T>, to: *mut T) {
    let Source {
        first,
        row,
        column,
        depth,
        columns,
    } = *source;
    // SAFETY: rows below `depth` and columns below `PANEL` lie in the panel, those below `columns` exist.
    unsafe {
        if column == 1 {
            return (micro.pack)(source, to);
        }
        for n in columns..columns.next_multiple_of(LANES) {
            (0..depth).for_each(|k| to.add(k * PANEL + n).write(T::ZERO));
        }
        let (mut done, mut wide) = (0, 0);
        if let Some((size, square)) = micro.square.filter(|_| row == 1) {
            (done, wide) = (depth / size * size, columns / size * size);
            for n in (0..wide).step_by(size) {
                let from = first.offset(n as isize * column);
                for k in (0..done).step_by(size) {
                    square(from.add(k), column, to.add(k * PANEL + n));
                }
            }
        }
        let one = |k: usize, n: usize| {
            let from = first.offset(k as isize * row + n as isize * column);
            to.add(k * PANEL + n).write(from.read());
        };
        for n in 0..columns {
            let begin = if n < wide { done } else { 0 };
            (begin..depth).for_each(|k| one(k, n));
        }
    }
}
