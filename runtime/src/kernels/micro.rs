//! Micro-kernels of matrix products: a few rows of the left operand times one packed panel, sums kept in
//! registers. One generic body, instantiated for vectors of every level.

use super::Level;
use super::pack::{Pieces, Split, Square, Strewn, interleave};
use super::source::{AHEAD, Even, EvenAhead, Kept, Source};
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::PANEL;

/// A block of rows times one panel.
pub(crate) struct Block<T: Number> {
    /// Products per sum, or for [`Micro::run`] and its like groups of [`Number::GROUP`] products; at least 1.
    pub depth: usize,
    /// Rows; at least 1 and at most [`Micro::rows`].
    pub rows: usize,
    /// Columns of the panel that count; at least 1 and at most [`PANEL`](crate::PANEL).
    pub columns: usize,
    /// First element of the first row.
    pub lhs: *const T,
    /// Elements from row to row.
    pub lhs_row: isize,
    /// Elements from factor to factor, or from group to group, whose elements lie beside each other.
    pub lhs_depth: isize,
    /// The panel: `depth` times [`PANEL`](crate::PANEL) elements or groups.
    pub rhs: *const T,
    /// Elements from one of its rows to the next.
    pub rhs_depth: isize,
    /// First sum of the first row.
    pub product: *mut T::Sum,
    /// Elements from row to row.
    pub product_row: usize,
    /// Whether to add to what is there.
    pub accumulate: bool,
}

impl<T: Number> Block<T> {
    /// So many of its rows, from number `from` on.
    pub fn part(&self, from: usize, rows: usize) -> Block<T> {
        Block {
            rows,
            lhs: self.lhs.wrapping_offset(from as isize * self.lhs_row),
            product: self.product.wrapping_add(from * self.product_row),
            ..*self
        }
    }
}

/// A function of a block.
///
/// # Safety
/// As for [`Micro::run`].
pub(crate) type Run<T> = unsafe fn(&Block<T>);

/// A micro-kernel.
pub(crate) struct Micro<T: Number> {
    /// Rows at most.
    pub rows: usize,
    /// # Safety
    /// The machine has the kernel's level; all elements that the block speaks of exist and are
    /// aligned; those of the product may be written and are read by nobody else.
    pub run: unsafe fn(&Block<T>),
    /// For right operands that lie elsewhere. Only types of which large products are common have them: what they save
    /// is some packing, and they are as large as all other kernels together.
    pub direct: Option<Direct<T>>,
    /// As `run`, for any number of columns of a right operand whose columns lie beside each other, and for so many rows at
    /// most.
    ///
    /// # Safety
    /// As for `run`.
    pub thin: Option<(usize, Run<T>)>,
    /// Packs pieces of rows.
    ///
    /// # Safety
    /// As for packing in general.
    pub pack: unsafe fn(&Pieces<'_, T>, *mut T),
    /// How squares of so many groups are transposed, where that is better than one by one.
    pub square: Option<(usize, Square)>,
}

/// Micro-kernels that read a right operand where it lies.
pub(crate) struct Direct<T: Number> {
    /// Lanes of its vectors.
    pub lanes: usize,
    /// As [`Micro::run`] for one row, or as many as that takes; the right operand is yet to be written to its place in the
    /// block, and lies like this until then.
    ///
    /// # Safety
    /// As for `run`, with exactly so many rows; besides, the right operand's place is good for being written and is not
    /// where it lies. That has as many rows as the block has products, and vectors for all its columns.
    pub keep: unsafe fn(&Block<T>, &Strewn<'_, T>),
    /// As [`Micro::run`]; on the way, memory is asked for.
    ///
    /// # Safety
    /// As for `run`, with exactly as many rows as that takes and a whole panel's columns.
    pub run_ahead: unsafe fn(&Block<T>, &Ahead<'_, T>),
    /// Rows of `once` at most, no fewer than of `run`.
    pub once_rows: usize,
    /// As `run`, reading once a right operand whose columns, a whole panel of them, lie beside each other.
    ///
    /// # Safety
    /// As for `run`.
    pub once: unsafe fn(&Block<T>),
}

/// Memory that will be needed after a block: a line of each row. It is only asked for, and need not exist.
pub(crate) struct Ahead<'a, T> {
    /// What offsets count from.
    pub first: *const T,
    /// Offsets of the rows, at least one.
    pub rows: &'a [isize],
}

/// What products are summed in.
pub(crate) trait Sum: Copy + 'static {
    /// 0.
    const ZERO: Self;

    /// The sum, rounding or wrapping as the type does.
    fn plus(self, b: Self) -> Self;
}

/// Element types of operands.
pub(crate) trait Number: Copy + 'static {
    /// What their products are summed in.
    type Sum: Sum;

    /// 0.
    const ZERO: Self;

    /// So many elements that follow each other along the sum share a lane of a vector, and lie beside each other in a
    /// panel: those that fit into a sum.
    const GROUP: usize;

    /// Whether large products of them are common, so that kernels have forms of their own for more numbers of rows.
    const COMMON: bool;

    /// `self * b + c` for a left factor and a right one, rounding after each of the two or wrapping.
    fn multiply_add(self, b: Self, c: Self::Sum) -> Self::Sum;

    /// The micro-kernel for a level.
    fn micro(level: Level) -> Micro<Self>;
}

/// A register of sums.
pub(super) trait Sums: Copy {
    type Sum: Sum;

    /// # Safety (all methods)
    /// The machine has the vector's level, and `n` is at most the number of lanes; pointers are good for the lanes
    /// accessed.
    unsafe fn zero() -> Self;
    /// The first `n` lanes; the others are 0 and not accessed.
    unsafe fn load_first(from: *const Self::Sum, n: usize) -> Self;
    /// Only the first `n` lanes.
    unsafe fn store_first(self, to: *mut Self::Sum, n: usize);
    unsafe fn plus(self, b: Self) -> Self;
}

/// A register of factors.
pub(super) trait Vector: Copy {
    type Element: Number;
    type Sums: Sums<Sum = <Self::Element as Number>::Sum>;
    const LANES: usize;
    /// Elements in a lane.
    const GROUP: usize = 1;
    /// Whether sums have to be corrected; of groups that lie beside each other only.
    const CORRECTED: bool = false;

    /// # Safety (all methods)
    /// As for [`Sums`].
    unsafe fn zero() -> Self;
    /// The element or group there, in every lane.
    unsafe fn splat(from: *const Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    /// The first `n` lanes; the others are 0 and not accessed.
    unsafe fn load_first(from: *const Self::Element, n: usize) -> Self;
    unsafe fn multiply_add(self, b: Self, c: Self::Sums) -> Self::Sums;
    /// What has to be added to all sums of a row of so many left factors or groups, which lie beside each other.
    #[inline(always)]
    unsafe fn correction(_lhs: *const Self::Element, _depth: usize) -> Self::Sums {
        // SAFETY: the caller's promise.
        unsafe { Self::Sums::zero() }
    }
    /// The first `n` of every second element, at least one. Those between them are there as well.
    #[inline(always)]
    unsafe fn load_second(from: *const Self::Element, n: usize) -> Self {
        let mut lanes = [Self::Element::ZERO; PANEL];
        // SAFETY: the caller's promise; no vector has more lanes than a panel.
        unsafe {
            (0..n).for_each(|i| lanes[i] = from.add(2 * i).read());
            Self::load(lanes.as_ptr())
        }
    }
    /// Asks for memory that will be loaded soon; any address will do.
    #[inline(always)]
    unsafe fn prefetch(_from: *const Self::Element) {}
    /// The same for what is needed later.
    #[inline(always)]
    unsafe fn prefetch_far(_from: *const Self::Element) {}
}

/// A register that is loaded from two places.
pub(super) trait SplitVector: Vector {
    /// # Safety
    /// As for [`Sums`], for the lanes of either place.
    unsafe fn load_split(row: *const Self::Element, split: &Split) -> Self;
}

/// `ROWS` rows times `VECTORS` vectors of columns from `column` on, cut at the block's columns.
///
/// # Safety
/// As for [`Micro::run`] or [`Direct::keep`], with at least `ROWS` rows from `row` on. The source is the right operand's
/// from `column` on.
#[inline(always)]
unsafe fn strip<V: Vector, const ROWS: usize, const VECTORS: usize>(
    block: &Block<V::Element>,
    row: usize,
    column: usize,
    mut source: impl Source<V, VECTORS>,
) {
    // SAFETY: rows, columns and depth stay within the block.
    unsafe {
        let mut sums = [[V::Sums::zero(); VECTORS]; ROWS];
        let mut lhs = block.lhs.offset(row as isize * block.lhs_row);
        for k in 0..block.depth {
            let panel = source.vectors(k);
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = V::splat(lhs.offset(r as isize * block.lhs_row));
                for (sum, p) in sums.iter_mut().zip(panel) {
                    *sum = factor.multiply_add(p, *sum);
                }
            }
            // Wrapping: the pointer behind the last element is not used.
            lhs = lhs.wrapping_offset(block.lhs_depth);
        }
        for (r, sums) in sums.iter().enumerate() {
            let product = block.product.add((row + r) * block.product_row);
            let first = (row + r) as isize * block.lhs_row;
            let correction = match V::CORRECTED {
                true => V::correction(block.lhs.offset(first), block.depth),
                false => V::Sums::zero(),
            };
            for (v, sum) in sums.iter().enumerate() {
                // What is read where it lies fills whole strips, of which the last vectors may lie behind the columns.
                let at = column + v * V::LANES;
                if at >= block.columns {
                    break;
                }
                let (to, n) = (product.add(at), (block.columns - at).min(V::LANES));
                let sum = match V::CORRECTED {
                    true => sum.plus(correction),
                    false => *sum,
                };
                let sum = match block.accumulate {
                    true => sum.plus(V::Sums::load_first(to, n)),
                    false => sum,
                };
                sum.store_first(to, n);
            }
        }
    }
}

/// `ROWS` rows times all columns, `WIDE` (at most 4) vectors at a time.
///
/// # Safety
/// As for [`Micro::run`], with at least `ROWS` rows from `row` on.
#[inline(always)]
pub(super) unsafe fn rows<V: Vector, const ROWS: usize, const WIDE: usize>(
    block: &Block<V::Element>,
    row: usize,
) {
    let mut column = 0;
    while column < block.columns {
        let vectors = (block.columns - column).div_ceil(V::LANES).min(WIDE);
        // SAFETY: every vector begins before the last column.
        unsafe {
            let source = Even {
                next: block.rhs.add(column * V::GROUP),
                row: block.rhs_depth,
            };
            match vectors {
                1 => strip::<V, ROWS, 1>(block, row, column, source),
                2 => strip::<V, ROWS, 2>(block, row, column, source),
                3 => strip::<V, ROWS, 3>(block, row, column, source),
                _ => strip::<V, ROWS, 4>(block, row, column, source),
            }
        }
        column += vectors * V::LANES;
    }
}

/// As [`rows`], of a whole panel, `WIDE` vectors at a time; memory is asked for on the way.
///
/// # Safety
/// As for [`Direct::run_ahead`], with exactly `ROWS` rows.
#[inline(always)]
pub(super) unsafe fn rows_ahead<V: Vector, const ROWS: usize, const WIDE: usize>(
    block: &Block<V::Element>,
    ahead: &Ahead<'_, V::Element>,
) {
    for column in (0..PANEL).step_by(WIDE * V::LANES) {
        // SAFETY: the caller's promise; a panel is a multiple of the vectors wide.
        unsafe {
            let even = Even {
                next: block.rhs.add(column * V::GROUP),
                row: block.rhs_depth,
            };
            match column {
                0 => strip::<V, ROWS, WIDE>(block, 0, column, EvenAhead { even, ahead }),
                _ => strip::<V, ROWS, WIDE>(block, 0, column, even),
            }
        }
    }
}

/// As [`rows`], of columns that lie elsewhere, `WIDE` vectors at a time; they are written to a panel.
///
/// # Safety
/// As for [`Direct::keep`], with exactly `ROWS` rows.
#[inline(always)]
pub(super) unsafe fn kept_rows<V: SplitVector, const ROWS: usize, const WIDE: usize>(
    block: &Block<V::Element>,
    strewn: &Strewn<'_, V::Element>,
) {
    for column in (0..block.columns).step_by(WIDE * V::LANES) {
        // SAFETY: the caller's promise; a panel is a multiple of the vectors wide.
        unsafe {
            let source = Kept {
                strewn,
                panel: block.rhs.cast_mut().add(column),
                first: column / V::LANES,
            };
            strip::<V, ROWS, WIDE>(block, 0, column, source);
        }
    }
}

/// Packs pieces of rows.
///
/// # Safety
/// All elements that the pieces speak of exist, and `to` is good for writing as many rows of a panel.
#[inline(always)]
pub(super) unsafe fn copy_pieces<V>(pieces: &Pieces<'_, V::Element>, to: *mut V::Element)
where
    V: Vector + Sums<Sum = <V as Vector>::Element>,
{
    for (k, row) in pieces.rows.iter().enumerate() {
        let ahead = pieces.rows.get(k + AHEAD).unwrap_or(row);
        for run in pieces.runs {
            // SAFETY: the run's elements exist, and its columns lie in the panel.
            unsafe {
                let from = pieces.first.offset(*row + run.from);
                let to = to.add(k * PANEL + run.column);
                V::prefetch(pieces.first.wrapping_offset(*ahead + run.from));
                for at in (0..run.len).step_by(V::LANES) {
                    let n = (run.len - at).min(V::LANES);
                    let vector = match (run.step, n == V::LANES) {
                        (1, true) => V::load(from.add(at)),
                        (1, false) => <V as Vector>::load_first(from.add(at), n),
                        _ => V::load_second(from.add(2 * at), n),
                    };
                    vector.store_first(to.add(at), n);
                }
            }
        }
    }
}

/// `ROWS` rows times all columns of a right operand whose columns lie beside each other: it is read once, along memory,
/// `STEP` rows at a time, and the sums are read and written instead. The block may have any number of columns.
///
/// # Safety
/// As for [`Micro::run`], with exactly `ROWS` rows.
#[inline(always)]
pub(super) unsafe fn thin<V: Vector, const ROWS: usize, const STEP: usize>(
    block: &Block<V::Element>,
) {
    let mut done = 0;
    while done < block.depth {
        // SAFETY: rows of both operands from `done` on stay within the block.
        unsafe {
            done += match block.depth - done {
                left if left >= STEP => thin_step::<V, ROWS, STEP>(block, done),
                2.. => thin_step::<V, ROWS, 2>(block, done),
                _ => thin_step::<V, ROWS, 1>(block, done),
            }
        }
    }
}

/// # Safety
/// As for [`thin`], with at least `STEP` products from `from` on.
#[inline(always)]
unsafe fn thin_step<V: Vector, const ROWS: usize, const STEP: usize>(
    block: &Block<V::Element>,
    from: usize,
) -> usize {
    // SAFETY: columns, rows and depth stay within the block.
    unsafe {
        let mut factors = [[V::zero(); STEP]; ROWS];
        for (r, factors) in factors.iter_mut().enumerate() {
            for (k, factor) in factors.iter_mut().enumerate() {
                let at = r as isize * block.lhs_row + (from + k) as isize * block.lhs_depth;
                *factor = V::splat(block.lhs.offset(at));
            }
        }
        let rhs = block.rhs.offset(from as isize * block.rhs_depth);
        let fresh = from == 0 && !block.accumulate;
        for column in (0..block.columns).step_by(V::LANES) {
            let n = (block.columns - column).min(V::LANES);
            let mut panel = [V::zero(); STEP];
            for (k, p) in panel.iter_mut().enumerate() {
                let at = rhs.offset(k as isize * block.rhs_depth).add(column);
                *p = V::load_first(at, n);
            }
            for (r, factors) in factors.iter().enumerate() {
                let to = block.product.add(r * block.product_row + column);
                let mut sum = match fresh {
                    true => V::Sums::zero(),
                    false => V::Sums::load_first(to, n),
                };
                for (factor, p) in factors.iter().zip(panel) {
                    sum = factor.multiply_add(p, sum);
                }
                sum.store_first(to, n);
            }
        }
    }
    STEP
}

/// Sums as an array, for every machine.
#[derive(Clone, Copy)]
struct SumLanes<S, const N: usize>([S; N]);

impl<S: Sum, const N: usize> Sums for SumLanes<S, N> {
    type Sum = S;

    #[inline(always)]
    unsafe fn zero() -> Self {
        SumLanes([S::ZERO; N])
    }

    #[inline(always)]
    unsafe fn load_first(from: *const S, n: usize) -> Self {
        let mut lanes = [S::ZERO; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's promise.
            *lane = unsafe { from.add(i).read() };
        }
        SumLanes(lanes)
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut S, n: usize) {
        for (i, lane) in self.0.into_iter().enumerate().take(n) {
            // SAFETY: the caller's promise.
            unsafe { to.add(i).write(lane) };
        }
    }

    #[inline(always)]
    unsafe fn plus(mut self, b: Self) -> Self {
        for i in 0..N {
            self.0[i] = self.0[i].plus(b.0[i]);
        }
        self
    }
}

/// Factors as an array of groups, for every machine.
#[derive(Clone, Copy)]
struct Lanes<T, const N: usize, const G: usize>([[T; G]; N]);

impl<T: Number, const N: usize, const G: usize> Vector for Lanes<T, N, G> {
    type Element = T;
    type Sums = SumLanes<T::Sum, N>;
    const LANES: usize = N;
    const GROUP: usize = G;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Lanes([[T::ZERO; G]; N])
    }

    #[inline(always)]
    unsafe fn splat(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Lanes([from.cast::<[T; G]>().read(); N]) }
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Lanes(from.cast::<[[T; G]; N]>().read()) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const T, n: usize) -> Self {
        let mut lanes = [[T::ZERO; G]; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's promise.
            *lane = unsafe { from.cast::<[T; G]>().add(i).read() };
        }
        Lanes(lanes)
    }

    #[inline(always)]
    unsafe fn multiply_add(self, b: Self, mut c: Self::Sums) -> Self::Sums {
        for i in 0..N {
            for j in 0..G {
                c.0[i] = self.0[i][j].multiply_add(b.0[i][j], c.0[i]);
            }
        }
        c
    }
}

/// What every machine has, `N` lanes wide for groups of `G`.
pub(super) fn portable<T: Number, const N: usize, const G: usize>() -> Micro<T> {
    Micro {
        rows: 4,
        run: portable_run::<T, N, G>,
        direct: None,
        thin: Some((1, portable_thin::<T, N>)),
        pack: interleave::<T>,
        square: None,
    }
}

/// # Safety
/// As for [`Micro::run`], for any machine.
pub(super) unsafe fn portable_run<T: Number, const N: usize, const G: usize>(block: &Block<T>) {
    let mut row = 0;
    // SAFETY: the caller's promise, and `row` stays below the block's rows.
    unsafe {
        while block.rows - row >= 4 {
            rows::<Lanes<T, N, G>, 4, 2>(block, row);
            row += 4;
        }
        for row in row..block.rows {
            rows::<Lanes<T, N, G>, 1, 2>(block, row);
        }
    }
}

/// # Safety
/// As for [`Micro::thin`], for any machine.
pub(super) unsafe fn portable_thin<T: Number, const N: usize>(block: &Block<T>) {
    for r in 0..block.rows {
        // SAFETY: row `r` is one of the block's.
        unsafe { thin::<Lanes<T, N, 1>, 1, 4>(&block.part(r, 1)) };
    }
}

macro_rules! number {
    (
        $type:ty, $lanes:literal, common: $common:literal,
        avx2: [$avx2:expr, $avx2_thin:expr, $avx2_pack:expr, $avx2_direct:expr],
        avx512: [$avx512:expr, $avx512_thin:expr, $avx512_pack:expr, $avx512_direct:expr],
        $multiply_add:expr, $plus:expr
    ) => {
        impl Sum for $type {
            const ZERO: Self = 0 as $type;

            #[inline(always)]
            fn plus(self, b: Self) -> Self {
                $plus(self, b)
            }
        }

        impl Number for $type {
            type Sum = $type;
            const ZERO: Self = 0 as $type;
            const GROUP: usize = 1;
            const COMMON: bool = $common;

            #[inline(always)]
            fn multiply_add(self, b: Self, c: Self) -> Self {
                $multiply_add(self, b, c)
            }

            fn micro(level: Level) -> Micro<Self> {
                match level {
                    Level::Portable => portable::<$type, $lanes, 1>(),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => Micro {
                        rows: 6,
                        run: $avx2,
                        direct: $avx2_direct,
                        thin: Some((6, $avx2_thin)),
                        pack: $avx2_pack,
                        square: None,
                    },
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => Micro {
                        rows: 6,
                        run: $avx512,
                        direct: $avx512_direct,
                        thin: Some((6, $avx512_thin)),
                        pack: $avx512_pack,
                        square: x86::square::<$type>(),
                    },
                    #[cfg(not(target_arch = "x86_64"))]
                    Level::Avx2 | Level::Avx512 => portable::<$type, $lanes, 1>(),
                }
            }
        }
    };
}

number!(
    f32,
    4,
    common: true,
    avx2: [
        x86::avx2::<x86::F32x8>,
        x86::avx2_thin::<x86::F32x8>,
        x86::avx2_pack::<x86::F32x8>,
        Some(Direct {
            lanes: x86::F32x8::LANES,
            keep: x86::avx2_keep::<x86::F32x8>,
            run_ahead: x86::avx2_ahead::<x86::F32x8>,
            once_rows: 6,
            once: x86::avx2::<x86::F32x8>,
        })
    ],
    avx512: [
        x86::avx512::<x86::F32x16>,
        x86::avx512_thin::<x86::F32x16>,
        x86::avx512_pack::<x86::F32x16>,
        Some(Direct {
            lanes: x86::F32x16::LANES,
            keep: x86::avx512_keep::<x86::F32x16>,
            run_ahead: x86::avx512_ahead::<x86::F32x16>,
            once_rows: 12,
            once: x86::avx512_once::<x86::F32x16>,
        })
    ],
    |a, b, c| a * b + c,
    |a, b| a + b
);
number!(
    f64,
    2,
    common: false,
    avx2: [
        x86::avx2::<x86::F64x4>,
        x86::avx2_thin::<x86::F64x4>,
        x86::avx2_pack::<x86::F64x4>,
        None
    ],
    avx512: [
        x86::avx512::<x86::F64x8>,
        x86::avx512_thin::<x86::F64x8>,
        x86::avx512_pack::<x86::F64x8>,
        None
    ],
    |a, b, c| a * b + c,
    |a, b| a + b
);
number!(
    i32,
    4,
    common: false,
    avx2: [
        x86::avx2::<x86::I32x8>,
        x86::avx2_thin::<x86::I32x8>,
        x86::avx2_pack::<x86::I32x8>,
        None
    ],
    avx512: [
        x86::avx512::<x86::I32x16>,
        x86::avx512_thin::<x86::I32x16>,
        x86::avx512_pack::<x86::I32x16>,
        None
    ],
    |a: i32, b, c| a.wrapping_mul(b).wrapping_add(c),
    i32::wrapping_add
);
// AVX2 has no product of 64-bit integers.
number!(
    i64,
    2,
    common: false,
    avx2: [
        portable_run::<i64, 2, 1>,
        portable_thin::<i64, 2>,
        interleave::<i64>,
        None
    ],
    avx512: [
        x86::avx512::<x86::I64x8>,
        x86::avx512_thin::<x86::I64x8>,
        x86::avx512_pack::<x86::I64x8>,
        None
    ],
    |a: i64, b, c| a.wrapping_mul(b).wrapping_add(c),
    i64::wrapping_add
);
