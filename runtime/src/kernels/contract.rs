//! Matrix products by tiles: `product[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n]` with a
//! strided left operand and a right operand that is packed in panels, or strided and packed part by part on the
//! way, see [`crate::Contract`].
//!
//! The tiles of a shape, and the order of the sums in each, depend on nothing but the shape and the level: any
//! number of threads may work on them and the results are the same bits.

use super::Level;
use super::micro::{Block, Micro, Number, Run, Sum};
use super::pack::Digits;
use super::placed::placed_tile;
use crate::PANEL;
use core::mem::MaybeUninit;

/// Products summed in registers before they go to memory, or groups of them: a panel of so many rows stays in the
/// second level cache.
pub(super) const DEPTH: usize = 256;
/// Elements in a group at most, and rows of a micro-kernel for groups.
pub(super) const GROUP: usize = 4;
const GROUPED_ROWS: usize = 6;
/// Largest tile: rows (a multiple of all micro-kernels' rows) and panels.
const ROWS: usize = 96;
const PANELS: usize = 4;
/// Rows of a tile for which a panel is packed, where there are so many, the larger number where that leaves so many tiles
/// for threads; tiles from which on those of few rows have several panels; rows that it is not cut below, and tiles wanted
/// then. Packing takes as long as a dozen or two of rows.
const PACKED_ROWS: [usize; 2] = [516, 1032];
const PACKED_MANY: usize = 32;
const PACKED_WIDE: usize = 64;
const PACKED_LEAST: usize = 96;
const PACKED_TILES: usize = 8;
/// Rows up to which a right operand whose columns lie beside each other is read along memory, of any operand and of one
/// that no cache holds, of so many elements. Then the sums of a tile, which stay in the first level cache, and how many
/// tiles are wanted: the longer the parts of its rows, the faster they come.
const THIN_ROWS: usize = 3;
const STREAMED_ROWS: usize = 8;
const STREAMED: usize = 1 << 22;
const THIN_SUMS: usize = 1 << 13;
const THIN_TILES: usize = 2;
/// Products that are added one by one to a sum in memory at most: rounding grows with the number of terms.
const TERMS: usize = 4096;
/// Tiles wanted for even distribution, and nanoseconds below which a tile is not cut for it.
const TILES: usize = 32;
const TILE_NS: f64 = 40_000.0;

/// Operands of a product.
#[derive(Clone, Copy)]
pub(crate) struct Contraction<T: Number> {
    /// b, m, n, k.
    pub dims: [usize; 4],
    /// First element of the left operand.
    pub lhs: *const T,
    /// Its strides along b, m, k.
    pub lhs_strides: [isize; 3],
    /// Right operand.
    pub rhs: Right<T>,
    /// Dense result.
    pub product: *mut T::Sum,
}

/// The right operand of a product.
#[derive(Clone, Copy)]
pub(crate) enum Right<T> {
    /// Packed in panels, of groups as [`Number::GROUP`] says: the first element, and elements between batch entries.
    Panels(*const T, usize),
    /// Somewhere: the first element, and where the others are from there.
    Placed(*const T, Placed),
}

/// Where the elements of a right operand are; see [`crate::Placement`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Stride along b.
    pub batch: isize,
    /// Along k.
    pub rows: Digits,
    /// Along n.
    pub columns: Digits,
}

impl Placed {
    /// Strides along k and n, if there is one of each.
    pub(super) fn strides(&self) -> Option<[isize; 2]> {
        Some([self.rows.stride()?, self.columns.stride()?])
    }
}

/// A part of the product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tile {
    /// Batch entry.
    pub batch: usize,
    /// First row, and the one behind the last.
    pub rows: (usize, usize),
    /// First column (a multiple of [`PANEL`]), and the one behind the last.
    pub columns: (usize, usize),
}

/// How a product is cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    dims: [usize; 4],
    rows: usize,
    panels: usize,
    /// Tiles along m and n.
    counts: [usize; 2],
}

impl Tiling {
    /// The tiling of a shape, for a right operand in panels or placed like this.
    pub(crate) fn new(dims: [usize; 4], placed: Option<&Placed>) -> Tiling {
        let [b, m, n, k] = dims;
        let thin_panels = THIN_SUMS / PANEL / m.clamp(1, ROWS);
        let (rows, panels, tiles, least) = match placed.map(Placed::strides) {
            None => (ROWS, PANELS, TILES, 24),
            Some(Some([_, 1])) if is_thin(dims) => (ROWS, thin_panels, THIN_TILES, 24),
            Some(_) => {
                let [few, many] = PACKED_ROWS;
                let tiles = b.saturating_mul(m.div_ceil(many) * n.div_ceil(PANEL));
                let rows = if tiles >= PACKED_MANY { many } else { few };
                // What comes next is fetched meanwhile, which is best where a tile has several panels of few rows.
                let panels = if m <= ROWS && tiles >= PANELS * PACKED_WIDE {
                    PANELS
                } else {
                    1
                };
                (rows, panels, PACKED_TILES, PACKED_LEAST)
            }
        };
        let even = m.div_ceil(m.div_ceil(rows).max(1));
        let mut tiling = Tiling {
            dims,
            rows: even.next_multiple_of(12).clamp(12, rows),
            panels,
            counts: [0; 2],
        };
        loop {
            tiling.counts = [m.div_ceil(tiling.rows), n.div_ceil(PANEL * tiling.panels)];
            let columns = tiling.panels * PANEL;
            let time = nanoseconds([1, tiling.rows.min(m), columns, k]);
            let enough = b.saturating_mul(tiling.counts[0] * tiling.counts[1]) >= tiles;
            if enough || time < TILE_NS {
                return tiling;
            }
            // Narrower before lower: a tile's rows are what a panel in cache is used for.
            if tiling.panels > 1 {
                tiling.panels /= 2;
            } else if tiling.rows >= least {
                tiling.rows = (tiling.rows / 2).next_multiple_of(12);
            } else {
                return tiling;
            }
        }
    }

    /// Number of tiles.
    pub(crate) fn tiles(&self) -> usize {
        // No overflow: the product has more elements than tiles.
        self.dims[0] * self.counts[0] * self.counts[1]
    }

    /// Tile number `index`.
    pub(crate) fn tile(&self, index: usize) -> Tile {
        let [_, m, n, _] = self.dims;
        let [down, across] = self.counts;
        // Tiles with the same panels are neighbours.
        let (row, rest) = (index % down, index / down);
        let (column, batch) = (rest % across, rest / across);
        let span = |at: usize, size: usize, end: usize| (at * size, ((at + 1) * size).min(end));
        Tile {
            batch,
            rows: span(row, self.rows, m),
            columns: span(column, PANEL * self.panels, n),
        }
    }

    /// A guess at the nanoseconds that the product takes one thread.
    pub(crate) fn nanoseconds(&self) -> f64 {
        nanoseconds(self.dims)
    }
}

/// Whether a right operand whose columns lie beside each other is read along memory.
fn is_thin([_, m, n, k]: [usize; 4]) -> bool {
    m <= THIN_ROWS || m <= STREAMED_ROWS && n.saturating_mul(k) >= STREAMED
}

/// A guess at the nanoseconds that a product of extents b, m, n, k takes one thread: the larger one of the
/// times for the operations and for the memory, with elements of 4 bytes.
pub fn nanoseconds(dims: [usize; 4]) -> f64 {
    let [b, m, n, k] = dims.map(|d| d as f64);
    let operations = 2.0 * b * m * n * k;
    let bytes = 4.0 * b * (m * k + k * n + m * n);
    (operations / 60.0).max(bytes / 10.0)
}

/// Computes one tile.
///
/// # Safety
/// The machine has `level`. Every element that dims and strides speak of exists and is aligned. The tile
/// lies in the product, and is read and written by nobody else meanwhile.
pub(crate) unsafe fn compute_tile<T: Number>(c: &Contraction<T>, tile: Tile, level: Level) {
    let [_, m, n, k] = c.dims;
    // SAFETY: the tile lies in the product.
    unsafe {
        let product = c.product.add(tile.batch * m * n);
        if k == 0 {
            return clear::<T>(product, n, tile);
        }
        if let Right::Placed(first, placed) = c.rhs
            && let Some([row, 1]) = placed.strides()
            && is_thin(c.dims)
            && let Some((most, thin)) = T::micro(level).thin
        {
            let first = first.offset(tile.batch as isize * placed.batch);
            return thin_tile(c, tile, (first.add(tile.columns.0), row), most, thin);
        }
        let micro = T::micro(level);
        match &c.rhs {
            Right::Panels(first, batch) => packed_tile(c, tile, (*first, *batch), &micro),
            Right::Placed(first, placed) => {
                let first = first.offset(tile.batch as isize * placed.batch);
                placed_tile(c, tile, (first, placed), &micro);
            }
        }
    }
}

/// A tile of few rows, whose right operand, given by its first element and the elements between its rows, is read along
/// memory. Long sums are taken [`TERMS`] products at a time.
///
/// # Safety
/// As for [`compute_tile`]; `thin` is a kernel for so many rows at `most`.
unsafe fn thin_tile<T: Number>(
    c: &Contraction<T>,
    tile: Tile,
    (first, row): (*const T, isize),
    most: usize,
    thin: Run<T>,
) {
    let k = c.dims[3];
    let columns = tile.columns.1 - tile.columns.0;
    let mut sums = [const { MaybeUninit::<T::Sum>::uninit() }; THIN_SUMS];
    for depth in (0..k).step_by(TERMS) {
        let extent = (TERMS.min(k - depth), columns);
        // SAFETY: the tile and its products lie in the operands, and a thin tile has no more sums than there is room for.
        unsafe {
            let rhs = first.offset(depth as isize * row);
            let block = c.block(tile, tile.columns.0, depth, extent, (rhs, row));
            if depth == 0 {
                in_even_rows(&block, most, thin);
                continue;
            }
            let apart = Block {
                product: sums.as_mut_ptr().cast(),
                product_row: columns,
                accumulate: false,
                ..block
            };
            in_even_rows(&apart, most, thin);
            for r in 0..block.rows {
                let to = block.product.add(r * block.product_row);
                let from = apart.product.add(r * columns);
                (0..columns).for_each(|i| *to.add(i) = (*to.add(i)).plus(*from.add(i)));
            }
        }
    }
}

/// A tile panel by panel, of a right operand that is packed: its first element, and elements between batch entries.
///
/// # Safety
/// As for [`compute_tile`].
unsafe fn packed_tile<T: Number>(
    c: &Contraction<T>,
    tile: Tile,
    (first, batch): (*const T, usize),
    micro: &Micro<T>,
) {
    let k = c.dims[3];
    let (long, step) = (k.next_multiple_of(T::GROUP), DEPTH * T::GROUP);
    for depth in (0..k).step_by(step) {
        for column in (tile.columns.0..tile.columns.1).step_by(PANEL) {
            let extent = (step.min(k - depth), PANEL.min(tile.columns.1 - column));
            // SAFETY: columns and products lie in the operands.
            unsafe {
                let at = tile.batch * batch + column * long + depth * PANEL;
                let rhs = (first.add(at), (PANEL * T::GROUP) as isize);
                in_groups(&c.block(tile, column, depth, extent, rhs), micro);
            }
        }
    }
}

impl<T: Number> Contraction<T> {
    /// All rows of a tile from a column and a product on: `extent` products and columns, with the right
    /// operand and the elements between its rows.
    ///
    /// # Safety
    /// Tile, column and product lie in the product and the operands.
    pub(super) unsafe fn block(
        &self,
        tile: Tile,
        column: usize,
        depth: usize,
        extent: (usize, usize),
        rhs: (*const T, isize),
    ) -> Block<T> {
        let [_, m, n, _] = self.dims;
        let [batch, row, step] = self.lhs_strides;
        let at = tile.batch as isize * batch + tile.rows.0 as isize * row + depth as isize * step;
        // SAFETY: the caller's promise.
        let (lhs, product) = unsafe {
            let first = (tile.batch * m + tile.rows.0) * n + column;
            (self.lhs.offset(at), self.product.add(first))
        };
        Block {
            depth: extent.0,
            rows: tile.rows.1 - tile.rows.0,
            columns: extent.1,
            lhs,
            lhs_row: row,
            lhs_depth: step,
            rhs: rhs.0,
            rhs_depth: rhs.1,
            product,
            product_row: n,
            accumulate: depth > 0,
        }
    }
}

/// Runs a block of any number of rows and products by the micro-kernel for groups of them. Left factors that are no
/// whole groups beside each other are copied, and filled up with zeros as those of the panel are.
///
/// # Safety
/// As for [`super::micro::Micro::run`], but that the block's depth counts products.
pub(super) unsafe fn in_groups<T: Number>(block: &Block<T>, micro: &Micro<T>) {
    if T::GROUP == 1 {
        // SAFETY: the caller's promise.
        return unsafe { in_whole_rows(block, micro.rows, micro.run) };
    }
    let depth = block.depth.div_ceil(T::GROUP);
    let mut copy = [const { MaybeUninit::<u32>::uninit() }; GROUPED_ROWS * DEPTH];
    let copy = copy.as_mut_ptr().cast::<T>();
    let is_whole = block.lhs_depth == 1 && block.depth.is_multiple_of(T::GROUP);
    for (row, rows) in whole_shares(block.rows, micro.rows) {
        let part = Block {
            depth,
            lhs_depth: T::GROUP as isize,
            ..block.part(row, rows)
        };
        // SAFETY: the rows are some of the block's, and the copy has room for as many as the kernel takes.
        unsafe {
            if is_whole {
                (micro.run)(&part);
                continue;
            }
            let wide = depth * T::GROUP;
            for r in 0..rows {
                let (from, to) = (
                    part.lhs.offset(r as isize * part.lhs_row),
                    copy.add(r * wide),
                );
                if block.lhs_depth == 1 {
                    from.copy_to_nonoverlapping(to, block.depth);
                } else {
                    let at = |k: usize| k as isize * block.lhs_depth;
                    (0..block.depth).for_each(|k| to.add(k).write(from.offset(at(k)).read()));
                }
                (block.depth..wide).for_each(|k| to.add(k).write(T::ZERO));
            }
            (micro.run)(&Block {
                lhs: copy.cast_const(),
                lhs_row: wide as isize,
                ..part
            });
        }
    }
}

/// Runs a block of any number of rows by a kernel for `most` at a time, which is best at that many.
///
/// # Safety
/// As for [`super::micro::Micro::run`].
unsafe fn in_whole_rows<T: Number>(block: &Block<T>, most: usize, run: unsafe fn(&Block<T>)) {
    for (row, rows) in whole_shares(block.rows, most) {
        // SAFETY: the rows are some of the block's.
        unsafe { run(&block.part(row, rows)) };
    }
}

/// Runs a block of any number of rows by a kernel for `most` at a time, which is as good at fewer.
///
/// # Safety
/// As for [`super::micro::Micro::run`].
unsafe fn in_even_rows<T: Number>(block: &Block<T>, most: usize, run: unsafe fn(&Block<T>)) {
    for (row, rows) in even_shares(block.rows, most) {
        // SAFETY: the rows are some of the block's.
        unsafe { run(&block.part(row, rows)) };
    }
}

/// First rows and numbers of rows of shares of `most` rows, and of what is left.
pub(super) fn whole_shares(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows)
        .step_by(most)
        .map(move |row| (row, most.min(rows - row)))
}

/// First rows and numbers of rows of shares of at most `most` rows: 7 rows are 4 and 3, not 6 and 1.
fn even_shares(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut row = 0;
    core::iter::from_fn(move || {
        let left = rows - row;
        let share = left.div_ceil(left.div_ceil(most).max(1));
        row += share;
        (share > 0).then_some((row - share, share))
    })
}

/// Sets a tile to zero.
///
/// # Safety
/// As for [`compute_tile`]; `product` is the tile's batch entry with `n` columns.
unsafe fn clear<T: Number>(product: *mut T::Sum, n: usize, tile: Tile) {
    for row in tile.rows.0..tile.rows.1 {
        for column in tile.columns.0..tile.columns.1 {
            // SAFETY: within the tile.
            unsafe { product.add(row * n + column).write(T::Sum::ZERO) };
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    #[cfg(feature = "products")]
    use crate::kernels::narrow::{Bf16, Byte};
    use proptest::prelude::*;
    use std::fmt::Debug;

    /// Element types, of small integers so that all compute exactly, and their values in either operand.
    pub(in crate::kernels) trait Tested: Number<Sum: PartialEq + Debug> {
        fn of(v: i64) -> Self;
        fn sum(v: i64) -> Self::Sum;
        fn left(v: i64) -> i64 {
            v
        }
        fn right(v: i64) -> i64 {
            v
        }
    }

    macro_rules! tested {
        ($($type:ty),*) => {$(
            impl Tested for $type {
                fn of(v: i64) -> Self {
                    v as $type
                }
                fn sum(v: i64) -> Self {
                    v as $type
                }
            }
        )*};
    }
    tested!(f32, f64, i32, i64);

    #[cfg(feature = "products")]
    impl Tested for Bf16 {
        fn of(v: i64) -> Self {
            Bf16(((v as f32).to_bits() >> 16) as u16)
        }
        fn sum(v: i64) -> f32 {
            v as f32
        }
    }

    /// Bytes of all sizes.
    #[cfg(feature = "products")]
    impl<const LEFT: bool, const RIGHT: bool> Tested for Byte<LEFT, RIGHT> {
        fn of(v: i64) -> Self {
            Byte((v * 64) as u8)
        }
        fn sum(v: i64) -> i32 {
            v as i32
        }
        fn left(v: i64) -> i64 {
            i64::from(Self::of(v).left())
        }
        fn right(v: i64) -> i64 {
            i64::from(Self::of(v).right())
        }
    }

    /// A problem with small integer elements.
    #[derive(Clone, Debug)]
    struct Problem {
        dims: [usize; 4],
        /// Order of the left operand's axes in memory, and which are reversed or spread.
        order: [usize; 3],
        steps: [isize; 3],
        share_lhs: bool,
        share_rhs: bool,
    }

    pub(in crate::kernels) fn value(i: usize) -> i64 {
        ((i as i64 * 2_654_435_761) >> 7) % 5 - 2
    }

    impl Problem {
        /// Strides of the left operand, index of its element (0, 0, 0), and how many there are.
        fn layout(&self) -> ([isize; 3], isize, usize) {
            let [b, m, _, k] = self.dims;
            let extents = [b, m, k];
            let mut strides = [0isize; 3];
            let mut len = 1;
            for axis in self.order {
                strides[axis] = len as isize * self.steps[axis];
                len *= extents[axis].max(1) * self.steps[axis].unsigned_abs();
            }
            if self.share_lhs {
                strides[0] = 0;
            }
            let ends = strides.iter().zip(extents);
            let lowest = ends.map(|(s, e)| (s * (e as isize - 1).max(0)).min(0));
            (strides, -lowest.sum::<isize>(), len)
        }

        fn right(&self, b: usize, k: usize, n: usize) -> i64 {
            value(if self.share_rhs { 0 } else { b * 77 } + k * 31 + n * 7 + 5)
        }

        /// The right operand by rows, or by columns.
        fn plain_right<T: Tested>(&self, by_columns: bool) -> Vec<T> {
            let [b, _, n, k] = self.dims;
            let element = |i: usize| {
                let (batch, rest) = (i / (n * k), i % (n * k));
                match by_columns {
                    true => T::of(self.right(batch, rest % k, rest / k)),
                    false => T::of(self.right(batch, rest / n, rest % n)),
                }
            };
            (0..b * n * k).map(element).collect()
        }

        /// The right operand in panels.
        fn packed<T: Tested>(&self) -> Vec<T> {
            let [b, _, n, k] = self.dims;
            let long = k.next_multiple_of(T::GROUP);
            let batch = n.div_ceil(PANEL) * PANEL * long;
            let mut packed = vec![T::of(9); batch * b];
            for (ib, batch) in packed.chunks_mut(batch.max(1)).enumerate() {
                for (ik, i) in (0..long).flat_map(|ik| (0..n).map(move |i| (ik, i))) {
                    let row = i / PANEL * PANEL * long + ik / T::GROUP * T::GROUP * PANEL;
                    let at = row + i % PANEL * T::GROUP + ik % T::GROUP;
                    batch[at] = match ik < k {
                        true => T::of(self.right(ib, ik, i)),
                        false => T::ZERO,
                    };
                }
            }
            packed
        }
    }

    fn check<T: Tested>(p: &Problem, level: Level) {
        let [b, m, n, k] = p.dims;
        let (strides, offset, len) = p.layout();
        let lhs: Vec<T> = (0..len).map(|i| T::of(value(i))).collect();
        let packed: Vec<T> = p.packed();
        let batch = if p.share_rhs {
            0
        } else {
            packed.len() / b.max(1)
        };
        let (rows, columns) = (p.plain_right(false), p.plain_right(true));
        let batches = if p.share_rhs { 0 } else { (n * k) as isize };
        let placed = |rows: &[(usize, isize)], columns: &[(usize, isize)]| Placed {
            batch: batches,
            rows: Digits::new(rows).unwrap(),
            columns: Digits::new(columns).unwrap(),
        };
        let (row, column) = (n as isize, k as isize);
        let mut rights = vec![
            Right::Panels(packed.as_ptr(), batch),
            Right::Placed(rows.as_ptr(), placed(&[(k, row)], &[(n, 1)])),
            Right::Placed(columns.as_ptr(), placed(&[(k, 1)], &[(n, column)])),
        ];
        // The same in digits that could be one.
        if n % 3 == 0 && k % 2 == 0 {
            let digits = placed(
                &[(2, row * (column / 2)), (k / 2, row)],
                &[(n / 3, 3), (3, 1)],
            );
            rights.push(Right::Placed(rows.as_ptr(), digits));
            let digits = placed(
                &[(2, column / 2), (k / 2, 1)],
                &[(n / 3, 3 * column), (3, column)],
            );
            rights.push(Right::Placed(columns.as_ptr(), digits));
        }
        for right in rights {
            let mut product = vec![T::sum(77); b * m * n];
            let c = Contraction::<T> {
                dims: p.dims,
                lhs: lhs.as_ptr().wrapping_offset(offset),
                lhs_strides: strides,
                rhs: right,
                product: product.as_mut_ptr(),
            };
            let tiling = match &right {
                Right::Panels(..) => Tiling::new(p.dims, None),
                Right::Placed(_, placed) => Tiling::new(p.dims, Some(placed)),
            };
            for t in 0..tiling.tiles() {
                // SAFETY: the operands are as the problem says; levels are available.
                unsafe { compute_tile(&c, tiling.tile(t), level) };
            }
            check_product::<T>(p, &product, level);
        }
    }

    fn check_product<T: Tested>(p: &Problem, product: &[T::Sum], level: Level) {
        let [_, m, n, k] = p.dims;
        let (strides, offset, _) = p.layout();
        for (i, found) in product.iter().enumerate() {
            let at = [i / (m * n), i / n % m, i % n];
            let left = |ik: usize| {
                let place = [at[0], at[1], ik].into_iter().zip(strides);
                let index = place.fold(offset, |sum, (i, s)| sum + i as isize * s);
                T::left(value(index as usize))
            };
            let right = |ik: usize| T::right(p.right(at[0], ik, at[2]));
            let sum = T::sum((0..k).map(|ik| left(ik) * right(ik)).sum());
            let name = std::any::type_name::<T>();
            assert_eq!(*found, sum, "{name}: {p:?} at {at:?}, {level:?}");
        }
    }

    fn check_all(p: &Problem) {
        for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
            check::<f32>(p, level);
            check::<f64>(p, level);
            check::<i32>(p, level);
            check::<i64>(p, level);
            #[cfg(feature = "products")]
            check_narrow(p, level);
        }
    }

    #[cfg(feature = "products")]
    fn check_narrow(p: &Problem, level: Level) {
        check::<Bf16>(p, level);
        check::<Byte<true, true>>(p, level);
        check::<Byte<true, false>>(p, level);
        check::<Byte<false, true>>(p, level);
        check::<Byte<false, false>>(p, level);
    }

    fn plain(dims: [usize; 4]) -> Problem {
        Problem {
            dims,
            order: [2, 1, 0],
            steps: [1; 3],
            share_lhs: false,
            share_rhs: false,
        }
    }

    #[test]
    fn every_row_and_column_remainder() {
        for m in 1..14 {
            check_all(&plain([1, m, 65, 3]));
        }
        for n in 1..68 {
            check_all(&plain([1, 2, n, 3]));
        }
    }

    #[test]
    fn sums_longer_than_a_block_and_several_tiles() {
        for k in [DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 3, 4 * DEPTH + 5] {
            check_all(&plain([1, 7, 70, k]));
        }
        check_all(&plain([2, 100, 300, 5]));
    }

    #[test]
    fn empty_extents() {
        for dims in [
            [0, 2, 3, 4],
            [2, 0, 3, 4],
            [2, 3, 0, 4],
            [2, 3, 4, 0],
            [0; 4],
        ] {
            check_all(&plain(dims));
        }
    }

    #[test]
    fn tiles_cover_the_product_once_and_large_products_have_enough_tiles() {
        for dims in [
            [1, 512, 512, 512],
            [3, 97, 1000, 4000],
            [1, 1, 4096, 4096],
            [40, 5, 5, 5],
        ] {
            let tiling = Tiling::new(dims, None);
            let [b, m, n, _] = dims;
            let mut seen = vec![0; b * m * n];
            for t in 0..tiling.tiles() {
                let tile = tiling.tile(t);
                assert_eq!(tile.columns.0 % PANEL, 0);
                for row in tile.rows.0..tile.rows.1 {
                    for column in tile.columns.0..tile.columns.1 {
                        seen[(tile.batch * m + row) * n + column] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|s| *s == 1));
            assert!(tiling.tiles() >= TILES);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn like_the_definition(
            dims in (0usize..4, 0usize..40, 0usize..200, 0usize..40),
            order in Just([0usize, 1, 2]).prop_shuffle(),
            steps in prop::array::uniform3(prop::sample::select(vec![1isize, -1, 2, -3])),
            share_lhs: bool,
            share_rhs: bool,
        ) {
            let dims = [dims.0, dims.1, dims.2, dims.3];
            check_all(&Problem { dims, order, steps, share_lhs, share_rhs });
        }
    }
}
