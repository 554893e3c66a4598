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
    pub(super) fn offsets(&self, numbers: Range<usize>, places: &mut [isize]) {
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
    /// And of its columns.
    pub columns: &'a [isize],
    /// Elements from column to column, if there are as many between all of the operand's.
    pub step: Option<isize>,
}

/// Elements beside each other in the panel, and in the operand all of them or every second.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    /// Offset in a row of the operand.
    pub from: isize,
    /// Elements from one to the next in the operand, 1 or 2.
    pub step: usize,
    /// First column in the panel.
    pub column: usize,
    /// How many.
    pub len: usize,
}

/// A vector of elements from two places: the lanes of either lie beside each other.
#[derive(Clone, Copy, Default)]
pub(crate) struct Split {
    /// Offsets in a row of the operand at which lane 0 would be.
    pub from: [isize; 2],
    /// Ends of the lanes from either place; those behind are 0.
    pub ends: [usize; 2],
}

/// Vectors of a panel on the machine with the narrowest ones that reads [`Strewn`] operands.
const SPLITS: usize = PANEL / 8;

/// Rows of an operand that lie elsewhere in few pieces.
pub(crate) struct Strewn<'a, T> {
    /// What offsets count from.
    pub first: *const T,
    /// Offsets of the rows.
    pub rows: &'a [isize],
    /// The vectors of each row.
    pub vectors: [Split; SPLITS],
}

/// Vectors of so many lanes for columns with these offsets, if two places each are enough.
pub(super) fn splits(offsets: &[isize], lanes: usize) -> Option<[Split; SPLITS]> {
    let mut splits = [Split::default(); SPLITS];
    for (split, lanes) in splits.iter_mut().zip(offsets.chunks(lanes)) {
        let run = |begin: usize| {
            let from = lanes[begin] - begin as isize;
            let is_beside = |&n: &usize| lanes[n] == from + n as isize;
            (
                from,
                begin + (begin..lanes.len()).take_while(is_beside).count(),
            )
        };
        let first = run(0);
        let second = if first.1 < lanes.len() {
            run(first.1)
        } else {
            first
        };
        if second.1 < lanes.len() {
            return None;
        }
        *split = Split {
            from: [first.0, second.0],
            ends: [first.1, second.1],
        };
    }
    Some(splits)
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

/// Transposes a square of groups of 4 bytes: a row of the source, whose groups lie beside each other, becomes a column of
/// the panel.
///
/// # Safety
/// `from` is good for reading `size` rows of `size` groups, `stride` bytes apart, `to` for writing as many, rows of a
/// panel apart.
pub(crate) type Square = unsafe fn(from: *const u8, stride: isize, to: *mut u8);

/// Lanes of the widest vectors: so many columns of a panel are read together.
const LANES: usize = 16;

/// Elements of a run, about, below which elements are better moved one by one.
const SHORT: usize = 3;

/// Where an element of a panel lies.
fn place<T: Number>(k: usize, n: usize) -> usize {
    (k / T::GROUP * PANEL + n) * T::GROUP + k % T::GROUP
}

/// Packs `part` into a panel at `to`. Columns behind its last one are zero up to a multiple of [`LANES`], and not
/// written further on. The last group of rows is filled up with zeros.
///
/// # Safety
/// All elements that the part speaks of exist, `to` is good for writing as many rows of a panel, and the machine has
/// the micro-kernel's level.
pub(super) unsafe fn pack<T: Number>(part: &Part<'_, T>, micro: &Micro<T>, to: *mut T) {
    let columns = part.columns.len();
    // SAFETY: rows below `depth` and columns below `PANEL` lie in the panel, those below `columns` exist.
    unsafe {
        for n in columns..columns.next_multiple_of(LANES) {
            let rows = 0..part.rows.len().next_multiple_of(T::GROUP);
            rows.for_each(|k| to.add(place::<T>(k, n)).write(T::ZERO));
        }
        if let (Some((size, square)), Some(step), true) =
            (micro.square, part.step, is_even(part.rows))
            && step != 1
        {
            return transpose(part, step, (size, square), to);
        }
        let mut runs = [Run::default(); PANEL];
        // Groups are put together from elements beside each other.
        let step = if T::GROUP == 1 { 2 } else { 1 };
        let count = find_runs(part.columns, step, &mut runs);
        if count * SHORT > columns {
            return one_by_one(part, to);
        }
        let pieces = Pieces {
            first: part.first,
            rows: part.rows,
            runs: &runs[..count],
        };
        (micro.pack)(&pieces, to);
    }
}

/// Packs pieces of rows, for every machine.
///
/// # Safety
/// All elements that the pieces speak of exist, and `to` is good for writing as many rows of a panel.
#[inline(always)]
pub(super) unsafe fn interleave<T: Number>(pieces: &Pieces<'_, T>, to: *mut T) {
    for (group, rows) in pieces.rows.chunks(T::GROUP).enumerate() {
        for run in pieces.runs {
            // SAFETY: the run's elements exist, and its columns lie in the panel.
            unsafe {
                let from = |j: usize| pieces.first.offset(rows[j] + run.from);
                let to = to.add((group * PANEL + run.column) * T::GROUP);
                match rows.len() == T::GROUP {
                    true if T::GROUP == 1 && run.step == 1 => {
                        from(0).copy_to_nonoverlapping(to, run.len);
                    }
                    true => (0..run.len).for_each(|i| {
                        for j in 0..T::GROUP {
                            to.add(i * T::GROUP + j)
                                .write(from(j).add(i * run.step).read());
                        }
                    }),
                    false => (0..run.len * T::GROUP).for_each(|i| {
                        let (i, j) = (i / T::GROUP, i % T::GROUP);
                        let element = match j < rows.len() {
                            true => from(j).add(i).read(),
                            false => T::ZERO,
                        };
                        to.add(i * T::GROUP + j).write(element);
                    }),
                }
            }
        }
    }
}

/// As [`pack`], element by element.
///
/// # Safety
/// As for [`pack`].
unsafe fn one_by_one<T: Number>(part: &Part<'_, T>, to: *mut T) {
    for (n, offset) in part.columns.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { column(part, n, *offset, 0, to) };
    }
}

/// Column `n` of a panel, which has this offset in the operand, from row `begin` on.
///
/// # Safety
/// As for [`pack`].
unsafe fn column<T: Number>(part: &Part<'_, T>, n: usize, offset: isize, begin: usize, to: *mut T) {
    for k in begin..part.rows.len().next_multiple_of(T::GROUP) {
        let row = part.rows.get(k);
        // SAFETY: the caller's promise.
        unsafe {
            let element = row.map_or(T::ZERO, |row| part.first.offset(row + offset).read());
            to.add(place::<T>(k, n)).write(element);
        }
    }
}

/// Whether rows lie beside each other.
fn is_even(rows: &[isize]) -> bool {
    rows.windows(2).all(|pair| pair[1] - pair[0] == 1)
}

/// The runs among offsets, with steps of 1 or as many as `most`; gives how many runs.
fn find_runs(offsets: &[isize], most: isize, runs: &mut [Run; PANEL]) -> usize {
    let mut count = 0;
    for (column, &from) in offsets.iter().enumerate() {
        if let Some(run) = runs[..count].last_mut() {
            let step = from - offsets[column - 1];
            if run.len == 1 && step == most {
                run.step = step as usize;
            }
            if step == run.step as isize {
                run.len += 1;
                continue;
            }
        }
        runs[count] = Run {
            from,
            step: 1,
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
/// As for [`pack`].
unsafe fn transpose<T: Number>(
    part: &Part<'_, T>,
    step: isize,
    (size, square): (usize, Square),
    to: *mut T,
) {
    let (groups, columns) = (part.rows.len() / T::GROUP, part.columns.len());
    let (done, wide) = (groups / size * size, columns / size * size);
    let step = step * size_of::<T>() as isize;
    // SAFETY: the caller's promise.
    unsafe {
        for n in (0..wide).step_by(size) {
            for k in (0..done).step_by(size) {
                let k = k * T::GROUP;
                let from = part.first.offset(part.rows[k] + part.columns[n]);
                square(from.cast(), step, to.add(place::<T>(k, n)).cast());
            }
        }
        for (n, offset) in part.columns.iter().enumerate() {
            let begin = if n < wide { done * T::GROUP } else { 0 };
            column(part, n, *offset, begin, to);
        }
    }
}
