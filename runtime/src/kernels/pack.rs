//! Packing of a part of a right operand: some of its rows become a panel's, see [`crate::Contract`]. The panel is
//! small enough to stay in cache and is read by the micro-kernels at once.

use super::micro::{Micro, Number};
use crate::PANEL;
use core::ops::Range;

/// Digits that an index may have at most.
pub(crate) const MAX_DIGITS: usize = 4;

/// A number whose digits have extents and strides, the last one changing fastest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Digits {
    digits: [(usize, isize); MAX_DIGITS],
    count: usize,
}

impl Digits {
    /// Of extents (at least 1) and strides; `None` if there are too many.
    pub(crate) fn new(digits: &[(usize, isize)]) -> Option<Digits> {
        let mut all = Digits {
            count: digits.len(),
            ..Digits::default()
        };
        all.digits.get_mut(..digits.len())?.copy_from_slice(digits);
        Some(all)
    }

    /// The one stride, if there is one.
    pub(crate) fn stride(&self) -> Option<isize> {
        match self.digits[..self.count] {
            [] => Some(0),
            [(_, stride)] => Some(stride),
            _ => None,
        }
    }

    /// Writes the offsets of the numbers in a range to as many places.
    fn offsets(&self, numbers: Range<usize>, places: &mut [isize]) {
        let mut at = [0; MAX_DIGITS];
        let (mut rest, mut offset) = (numbers.start, 0);
        for i in (0..self.count).rev() {
            let (extent, stride) = self.digits[i];
            at[i] = rest % extent;
            rest /= extent;
            offset += at[i] as isize * stride;
        }
        for place in &mut places[..numbers.len()] {
            *place = offset;
            for i in (0..self.count).rev() {
                let (extent, stride) = self.digits[i];
                at[i] += 1;
                offset += stride;
                if at[i] < extent {
                    break;
                }
                offset -= extent as isize * stride;
                at[i] = 0;
            }
        }
    }
}

/// A part of a right operand that becomes a panel.
pub(super) struct Part<'a, T> {
    /// The operand's first element in the batch entry.
    pub first: *const T,
    /// Offsets of the panel's rows.
    pub rows: &'a [isize],
    /// Where the operand's columns are, and which of them are the panel's.
    pub columns: (&'a Digits, Range<usize>),
}

/// Elements beside each other, in the operand and in the panel.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    /// Offset in a row of the operand.
    pub from: isize,
    /// First column in the panel.
    pub column: usize,
    /// How many.
    pub len: usize,
}

/// Rows of the operand, each made of the same runs.
pub(crate) struct Pieces<'a, T> {
    /// What offsets count from.
    pub first: *const T,
    /// Offsets of the rows.
    pub rows: &'a [isize],
    /// What is taken of each row.
    pub runs: &'a [Run],
}

/// Transposes a square: a row of the source, whose elements lie beside each other, becomes a column of the panel.
///
/// # Safety
/// `from` is good for reading `size` rows of `size` elements, `stride` elements apart, `to` for writing as many
/// [`PANEL`] apart.
pub(crate) type Square<T> = unsafe fn(from: *const T, stride: isize, to: *mut T);

/// Lanes of the widest vectors: so many columns of a panel are read together.
const LANES: usize = 16;

/// Elements of a run, about, below which elements are better moved one by one.
const SHORT: usize = 3;

/// Offsets of an operand's rows.
pub(super) fn row_offsets(rows: &Digits, numbers: Range<usize>, places: &mut [isize]) {
    rows.offsets(numbers, places);
}

/// Packs `part` into a panel at `to`. Columns behind its last one are zero up to a multiple of [`LANES`], and not
/// written further on.
///
/// # Safety
/// All elements that the part speaks of exist, `to` is good for writing as many rows of a panel, and the machine has
/// the micro-kernel's level.
pub(super) unsafe fn pack<T: Number>(part: &Part<'_, T>, micro: &Micro<T>, to: *mut T) {
    let (digits, range) = &part.columns;
    let columns = range.len();
    let mut offsets = [0; PANEL];
    digits.offsets(range.clone(), &mut offsets);
    // SAFETY: rows below `depth` and columns below `PANEL` lie in the panel, those below `columns` exist.
    unsafe {
        for n in columns..columns.next_multiple_of(LANES) {
            (0..part.rows.len()).for_each(|k| to.add(k * PANEL + n).write(T::ZERO));
        }
        if let (Some((size, square)), Some(step), true) =
            (micro.square, digits.stride(), is_even(part.rows))
            && step != 1
        {
            return transpose(part, &offsets[..columns], step, (size, square), to);
        }
        let mut runs = [Run::default(); PANEL];
        let count = find_runs(&offsets[..columns], &mut runs);
        if count * SHORT > columns {
            return one_by_one(part, &offsets[..columns], to);
        }
        let pieces = Pieces {
            first: part.first,
            rows: part.rows,
            runs: &runs[..count],
        };
        (micro.pack)(&pieces, to);
    }
}

/// As [`pack`], element by element, with these offsets of the columns.
///
/// # Safety
/// As for [`pack`].
unsafe fn one_by_one<T: Number>(part: &Part<'_, T>, offsets: &[isize], to: *mut T) {
    for (k, row) in part.rows.iter().enumerate() {
        for (n, offset) in offsets.iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let element = part.first.offset(row + offset).read();
                to.add(k * PANEL + n).write(element);
            }
        }
    }
}

/// Whether rows lie beside each other.
fn is_even(rows: &[isize]) -> bool {
    rows.windows(2).all(|pair| pair[1] - pair[0] == 1)
}

/// The runs among offsets; gives how many.
fn find_runs(offsets: &[isize], runs: &mut [Run; PANEL]) -> usize {
    let mut count = 0;
    for (column, &from) in offsets.iter().enumerate() {
        if column > 0 && from == offsets[column - 1] + 1 {
            runs[count - 1].len += 1;
            continue;
        }
        runs[count] = Run {
            from,
            column,
            len: 1,
        };
        count += 1;
    }
    count
}

/// As [`pack`], for rows beside each other and columns `step` elements apart.
///
/// # Safety
/// As for [`pack`], with these offsets of the columns.
unsafe fn transpose<T: Number>(
    part: &Part<'_, T>,
    offsets: &[isize],
    step: isize,
    (size, square): (usize, Square<T>),
    to: *mut T,
) {
    let (depth, columns) = (part.rows.len(), offsets.len());
    let (done, wide) = (depth / size * size, columns / size * size);
    // SAFETY: the caller's promise.
    unsafe {
        let element = |k: usize, n: usize| part.first.offset(part.rows[k] + offsets[n]);
        for n in (0..wide).step_by(size) {
            for k in (0..done).step_by(size) {
                square(element(k, n), step, to.add(k * PANEL + n));
            }
        }
        for n in 0..columns {
            let begin = if n < wide { done } else { 0 };
            (begin..depth).for_each(|k| to.add(k * PANEL + n).write(element(k, n).read()));
        }
    }
}
