//! Micro-kernels of matrix products: a few rows of the left operand times one packed panel, sums kept in
//! registers. One generic body, instantiated for vectors of every level.

use super::Level;
use super::pack::{Pieces, Square};
#[cfg(target_arch = "x86_64")]
use super::x86;
use crate::PANEL;

/// A block of rows times one panel.
pub(crate) struct Block<T> {
    /// Products per sum; at least 1.
    pub depth: usize,
    /// Rows; at least 1 and at most [`Micro::rows`].
    pub rows: usize,
    /// Columns of the panel that count; at least 1 and at most [`PANEL`](crate::PANEL).
    pub columns: usize,
    /// First element of the first row.
    pub lhs: *const T,
    /// Elements from row to row.
    pub lhs_row: isize,
    /// Elements from factor to factor.
    pub lhs_depth: isize,
    /// The panel: `depth` times [`PANEL`](crate::PANEL) elements.
    pub rhs: *const T,
    /// Elements from one of its rows to the next.
    pub rhs_depth: isize,
    /// First sum of the first row.
    pub product: *mut T,
    /// Elements from row to row.
    pub product_row: usize,
    /// Whether to add to what is there.
    pub accumulate: bool,
}

impl<T> Block<T> {
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

/// A micro-kernel.
pub(crate) struct Micro<T> {
    /// Rows at most.
    pub rows: usize,
    /// # Safety
    /// The machine has the kernel's level; all elements that the block speaks of exist and are
    /// aligned; those of the product may be written and are read by nobody else.
    pub run: unsafe fn(&Block<T>),
    /// For right operands that lie elsewhere. Only types of which large products are common have them: what they save
    /// is some packing, and they are as large as all other kernels together.
    pub direct: Option<Direct<T>>,
    /// Rows of `thin` at most.
    pub thin_rows: usize,
    /// As `run`, for any number of columns of a right operand whose columns lie beside each other.
    ///
    /// # Safety
    /// As for `run`.
    pub thin: unsafe fn(&Block<T>),
    /// Packs pieces of rows.
    ///
    /// # Safety
    /// As for packing in general.
    pub pack: unsafe fn(&Pieces<'_, T>, *mut T),
    /// How squares of so many elements are transposed, where that is better than one by one.
    pub square: Option<(usize, Square<T>)>,
}

/// Micro-kernels that read a right operand of [`PANEL`](crate::PANEL) columns where it lies.
pub(crate) struct Direct<T> {
    /// As [`Micro::run`]; the operand is written down packed on the way.
    ///
    /// # Safety
    /// As for `run`; besides, the memory is good for writing as many rows of a panel, and is not the right operand's.
    pub keep: unsafe fn(&Block<T>, *mut T),
    /// Rows of `once` at most, no fewer than of `run`.
    pub once_rows: usize,
    /// As `run`, reading the right operand once.
    ///
    /// # Safety
    /// As for `run`.
    pub once: unsafe fn(&Block<T>),
}

/// Element types of products.
pub(crate) trait Number: Copy + 'static {
    /// 0.
    const ZERO: Self;

    /// Whether large products of them are common, so that kernels have forms of their own for more numbers of rows.
    const COMMON: bool;

    /// `self * b + c`, rounding after each of the two or wrapping.
    fn multiply_add(self, b: Self, c: Self) -> Self;

    /// The sum, rounding or wrapping as the type does.
    fn plus(self, b: Self) -> Self;

    /// The micro-kernel for a level.
    fn micro(level: Level) -> Micro<Self>;
}

/// A register of elements.
pub(super) trait Vector: Copy {
    type Element: Number;
    const LANES: usize;

    /// # Safety (all methods)
    /// The machine has the vector's level, and `n` is at most `LANES`; pointers are good for the lanes
    /// accessed.
    unsafe fn zero() -> Self;
    unsafe fn splat(x: Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    /// The first `n` lanes; the others are 0 and not accessed.
    unsafe fn load_first(from: *const Self::Element, n: usize) -> Self;
    /// Only the first `n` lanes.
    unsafe fn store_first(self, to: *mut Self::Element, n: usize);
    unsafe fn multiply_add(self, b: Self, c: Self) -> Self;
    unsafe fn plus(self, b: Self) -> Self;
    /// Asks for memory that will be loaded soon; any address will do.
    #[inline(always)]
    unsafe fn prefetch(_from: *const Self::Element) {}
}

/// How many rows of a panel ahead of use it is prefetched, and rows of an operand that lies elsewhere.
const AHEAD: usize = 8;
const FAR: usize = 16;

/// `ROWS` rows times `VECTORS` vectors of columns from `column` on, the last one cut at the block's columns. With
/// `KEEP`, the vectors of the right operand are written to a panel at `keep`.
///
/// # Safety
/// As for [`Micro::run`] or [`Micro::keep`], with at least `ROWS` rows from `row` on and a column that counts in every
/// vector.
#[inline(always)]
unsafe fn strip<V: Vector, const ROWS: usize, const VECTORS: usize, const KEEP: bool>(
    block: &Block<V::Element>,
    row: usize,
    column: usize,
    keep: *mut V::Element,
) {
    // SAFETY: rows, columns and depth stay within the block.
    unsafe {
        let mut sums = [[V::zero(); VECTORS]; ROWS];
        let mut lhs = block.lhs.offset(row as isize * block.lhs_row);
        let mut rhs = block.rhs.add(column);
        for k in 0..block.depth {
            let mut panel = [V::zero(); VECTORS];
            for (v, p) in panel.iter_mut().enumerate() {
                *p = V::load(rhs.add(v * V::LANES));
                let ahead = if KEEP { FAR } else { AHEAD } as isize * block.rhs_depth;
                V::prefetch(rhs.wrapping_add(v * V::LANES).wrapping_offset(ahead));
                if KEEP {
                    p.store_first(keep.add(k * PANEL + column + v * V::LANES), V::LANES);
                }
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = V::splat(*lhs.offset(r as isize * block.lhs_row));
                for (sum, p) in sums.iter_mut().zip(panel) {
                    *sum = factor.multiply_add(p, *sum);
                }
            }
            // Wrapping: the pointers behind the last element are not used.
            lhs = lhs.wrapping_offset(block.lhs_depth);
            rhs = rhs.wrapping_offset(block.rhs_depth);
        }
        for (r, sums) in sums.iter().enumerate() {
            let product = block.product.add((row + r) * block.product_row + column);
            for (v, sum) in sums.iter().enumerate() {
                let to = product.add(v * V::LANES);
                let n = (block.columns - column - v * V::LANES).min(V::LANES);
                let sum = match block.accumulate {
                    true => sum.plus(V::load_first(to, n)),
                    false => *sum,
                };
                sum.store_first(to, n);
            }
        }
    }
}

/// `ROWS` rows times all columns, `WIDE` (at most 4) vectors at a time.
///
/// # Safety
/// As for [`Micro::run`], or with `KEEP` for [`Micro::keep`], with at least `ROWS` rows from `row` on.
#[inline(always)]
pub(super) unsafe fn rows<V: Vector, const ROWS: usize, const WIDE: usize, const KEEP: bool>(
    block: &Block<V::Element>,
    row: usize,
    keep: *mut V::Element,
) {
    let mut column = 0;
    while column < block.columns {
        let vectors = (block.columns - column).div_ceil(V::LANES).min(WIDE);
        // SAFETY: every vector begins before the last column.
        unsafe {
            match vectors {
                1 => strip::<V, ROWS, 1, KEEP>(block, row, column, keep),
                2 => strip::<V, ROWS, 2, KEEP>(block, row, column, keep),
                3 => strip::<V, ROWS, 3, KEEP>(block, row, column, keep),
                _ => strip::<V, ROWS, 4, KEEP>(block, row, column, keep),
            }
        }
        column += vectors * V::LANES;
    }
}

/// Packs pieces of rows.
///
/// # Safety
/// All elements that the pieces speak of exist, and `to` is good for writing as many rows of a panel.
#[inline(always)]
pub(super) unsafe fn copy_pieces<V: Vector>(pieces: &Pieces<'_, V::Element>, to: *mut V::Element) {
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
                    let vector = match n == V::LANES {
                        true => V::load(from.add(at)),
                        false => V::load_first(from.add(at), n),
                    };
                    vector.store_first(to.add(at), n);
                }
            }
        }
    }
}

/// Elements of a row ahead of use that a right operand is prefetched where it lies.
const AHEAD_IN_ROW: usize = 512;

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
            done += match block.depth - done >= STEP {
                true => thin_step::<V, ROWS, STEP>(block, done),
                false => thin_step::<V, ROWS, 1>(block, done),
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
                *factor = V::splat(*block.lhs.offset(at));
            }
        }
        let rhs = block.rhs.offset(from as isize * block.rhs_depth);
        let fresh = from == 0 && !block.accumulate;
        // At the end of rows what comes next is the beginning of the next ones.
        let rest = block.columns.saturating_sub(AHEAD_IN_ROW);
        let next = STEP as isize * block.rhs_depth - rest as isize;
        for column in (0..block.columns).step_by(V::LANES) {
            let n = (block.columns - column).min(V::LANES);
            let ahead = if column < rest {
                AHEAD_IN_ROW as isize
            } else {
                next
            };
            let mut panel = [V::zero(); STEP];
            for (k, p) in panel.iter_mut().enumerate() {
                let at = rhs.offset(k as isize * block.rhs_depth).add(column);
                *p = V::load_first(at, n);
                V::prefetch(at.wrapping_offset(ahead));
            }
            for (r, factors) in factors.iter().enumerate() {
                let to = block.product.add(r * block.product_row + column);
                let mut sum = match fresh {
                    true => V::zero(),
                    false => V::load_first(to, n),
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

/// An array as a vector, for every machine.
#[derive(Clone, Copy)]
struct Lanes<T, const N: usize>([T; N]);

impl<T: Number, const N: usize> Vector for Lanes<T, N> {
    type Element = T;
    const LANES: usize = N;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Lanes([T::ZERO; N])
    }

    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Lanes([x; N])
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Lanes(from.cast::<[T; N]>().read()) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const T, n: usize) -> Self {
        let mut lanes = [T::ZERO; N];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's promise.
            *lane = unsafe { from.add(i).read() };
        }
        Lanes(lanes)
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut T, n: usize) {
        for (i, lane) in self.0.into_iter().enumerate().take(n) {
            // SAFETY: the caller's promise.
            unsafe { to.add(i).write(lane) };
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(mut self, b: Self, c: Self) -> Self {
        for i in 0..N {
            self.0[i] = self.0[i].multiply_add(b.0[i], c.0[i]);
        }
        self
    }

    #[inline(always)]
    unsafe fn plus(mut self, b: Self) -> Self {
        for i in 0..N {
            self.0[i] = self.0[i].plus(b.0[i]);
        }
        self
    }
}

/// # Safety
/// As for [`Micro::run`], for any machine.
unsafe fn portable<T: Number, const N: usize>(block: &Block<T>) {
    let keep = core::ptr::null_mut();
    let mut row = 0;
    // SAFETY: the caller's promise, and `row` stays below the block's rows; nothing is kept.
    unsafe {
        while block.rows - row >= 4 {
            rows::<Lanes<T, N>, 4, 2, false>(block, row, keep);
            row += 4;
        }
        for row in row..block.rows {
            rows::<Lanes<T, N>, 1, 2, false>(block, row, keep);
        }
    }
}

/// # Safety
/// As for [`Micro::thin`], for any machine.
unsafe fn portable_thin<T: Number, const N: usize>(block: &Block<T>) {
    for r in 0..block.rows {
        // SAFETY: row `r` is one of the block's.
        unsafe { thin::<Lanes<T, N>, 1, 4>(&block.part(r, 1)) };
    }
}

/// # Safety
/// As for [`Micro::pack`], for any machine.
unsafe fn portable_pack<T: Number, const N: usize>(pieces: &Pieces<'_, T>, to: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { copy_pieces::<Lanes<T, N>>(pieces, to) }
}

macro_rules! number {
    (
        $type:ty, $lanes:literal, common: $common:literal,
        avx2: [$avx2:expr, $avx2_thin:expr, $avx2_pack:expr, $avx2_direct:expr],
        avx512: [$avx512:expr, $avx512_thin:expr, $avx512_pack:expr, $avx512_direct:expr],
        $multiply_add:expr, $plus:expr
    ) => {
        impl Number for $type {
            const ZERO: Self = 0 as $type;
            const COMMON: bool = $common;

            #[inline(always)]
            fn multiply_add(self, b: Self, c: Self) -> Self {
                $multiply_add(self, b, c)
            }

            #[inline(always)]
            fn plus(self, b: Self) -> Self {
                $plus(self, b)
            }

            fn micro(level: Level) -> Micro<Self> {
                let portable = Micro {
                    rows: 4,
                    run: portable::<$type, $lanes>,
                    direct: None,
                    thin_rows: 1,
                    thin: portable_thin::<$type, $lanes>,
                    pack: portable_pack::<$type, $lanes>,
                    square: None,
                };
                match level {
                    Level::Portable => portable,
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => Micro {
                        rows: 6,
                        run: $avx2,
                        direct: $avx2_direct,
                        thin_rows: 6,
                        thin: $avx2_thin,
                        pack: $avx2_pack,
                        square: None,
                    },
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => Micro {
                        rows: 6,
                        run: $avx512,
                        direct: $avx512_direct,
                        thin_rows: 6,
                        thin: $avx512_thin,
                        pack: $avx512_pack,
                        square: x86::square::<$type>(),
                    },
                    #[cfg(not(target_arch = "x86_64"))]
                    Level::Avx2 | Level::Avx512 => portable,
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
            keep: x86::avx2_keep::<x86::F32x8>,
            once_rows: 6,
            once: x86::avx2::<x86::F32x8>,
        })
    ],
    avx512: [
        x86::avx512::<x86::F32x16>,
        x86::avx512_thin::<x86::F32x16>,
        x86::avx512_pack::<x86::F32x16>,
        Some(Direct {
            keep: x86::avx512_keep::<x86::F32x16>,
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
        portable::<i64, 2>,
        portable_thin::<i64, 2>,
        portable_pack::<i64, 2>,
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
