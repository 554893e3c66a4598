//! Matrix products by tiles: `product[b, m, n] = sum over k of lhs[b, m, k] * rhs[b, k, n]` with a
//! strided left operand and a right operand packed in panels, see [`crate::Contract`].
//!
//! The tiles of a shape, and the order of the sums in each, depend on nothing but the shape and the level: any
//! number of threads may work on them and the results are the same bits.

use super::Level;
use super::micro::{Block, Number};
use crate::PANEL;

/// Products summed in registers before they go to memory: a panel of so many rows stays in the second
/// level cache.
const DEPTH: usize = 256;
/// Largest tile: rows (a multiple of all micro-kernels' rows) and panels.
const ROWS: usize = 96;
const PANELS: usize = 4;
/// Tiles wanted for even distribution, and nanoseconds below which a tile is not cut for it.
const TILES: usize = 32;
const TILE_NS: f64 = 40_000.0;

/// Operands of a product.
#[derive(Clone, Copy)]
pub(crate) struct Contraction<T> {
    /// b, m, n, k.
    pub dims: [usize; 4],
    /// First element of the left operand.
    pub lhs: *const T,
    /// Its strides along b, m, k.
    pub lhs_strides: [isize; 3],
    /// Packed right operand.
    pub rhs: *const T,
    /// Elements between its batch entries.
    pub rhs_batch: usize,
    /// Dense result.
    pub product: *mut T,
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
    /// The tiling of a shape.
    pub(crate) fn new(dims: [usize; 4]) -> Tiling {
        let [b, m, n, k] = dims;
        let mut tiling = Tiling {
            dims,
            rows: ROWS.min(m.next_multiple_of(12).max(12)),
            panels: PANELS,
            counts: [0; 2],
        };
        loop {
            tiling.counts = [m.div_ceil(tiling.rows), n.div_ceil(PANEL * tiling.panels)];
            let columns = tiling.panels * PANEL;
            let time = nanoseconds([1, tiling.rows.min(m), columns, k]);
            let enough = b.saturating_mul(tiling.counts[0] * tiling.counts[1]) >= TILES;
            if enough || time < TILE_NS {
                return tiling;
            }
            // Narrower before lower: a tile's rows are what a panel in cache is used for.
            if tiling.panels > 1 {
                tiling.panels /= 2;
            } else if tiling.rows >= 24 {
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
    let micro = T::micro(level);
    // SAFETY: the tile lies in the product, and `k`-blocks in 0..k; the strided products of indices in
    // their ranges are elements of the operands.
    unsafe {
        let lhs = c.lhs.offset(tile.batch as isize * c.lhs_strides[0]);
        let rhs = c.rhs.add(tile.batch * c.rhs_batch);
        let product = c.product.add(tile.batch * m * n);
        if k == 0 {
            return clear(product, n, tile);
        }
        for depth in (0..k).step_by(DEPTH) {
            for column in (tile.columns.0..tile.columns.1).step_by(PANEL) {
                let mut row = tile.rows.0;
                while row < tile.rows.1 {
                    // Even shares: 7 rows are 4 and 3, not 6 and 1.
                    let left = tile.rows.1 - row;
                    let rows = left.div_ceil(left.div_ceil(micro.rows));
                    let at = row as isize * c.lhs_strides[1] + depth as isize * c.lhs_strides[2];
                    (micro.run)(&Block {
                        depth: DEPTH.min(k - depth),
                        rows,
                        columns: PANEL.min(tile.columns.1 - column),
                        lhs: lhs.offset(at),
                        lhs_row: c.lhs_strides[1],
                        lhs_depth: c.lhs_strides[2],
                        rhs: rhs.add(column * k + depth * PANEL),
                        product: product.add(row * n + column),
                        product_row: n,
                        accumulate: depth > 0,
                    });
                    row += rows;
                }
            }
        }
    }
}

/// Sets a tile to zero.
///
/// # Safety
/// As for [`compute_tile`]; `product` is the tile's batch entry with `n` columns.
unsafe fn clear<T: Number>(product: *mut T, n: usize, tile: Tile) {
    for row in tile.rows.0..tile.rows.1 {
        for column in tile.columns.0..tile.columns.1 {
            // SAFETY: within the tile.
            unsafe { product.add(row * n + column).write(T::ZERO) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Debug;

    /// A problem with small integer elements, so that all types compute it exactly.
    #[derive(Clone, Debug)]
    struct Problem {
        dims: [usize; 4],
        /// Order of the left operand's axes in memory, and which are reversed or spread.
        order: [usize; 3],
        steps: [isize; 3],
        share_lhs: bool,
        share_rhs: bool,
    }

    fn value(i: usize) -> i64 {
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

        /// The right operand in panels.
        fn packed<T: Clone>(&self, of: impl Fn(i64) -> T) -> Vec<T> {
            let [b, _, n, k] = self.dims;
            let batch = n.div_ceil(PANEL) * PANEL * k;
            let mut packed = vec![of(9); batch * b];
            for (ib, batch) in packed.chunks_mut(batch.max(1)).enumerate() {
                for ik in 0..k {
                    for i in 0..n {
                        let at = i / PANEL * PANEL * k + ik * PANEL + i % PANEL;
                        batch[at] = of(self.right(ib, ik, i));
                    }
                }
            }
            packed
        }
    }

    fn check<T: Number + PartialEq + Debug>(p: &Problem, level: Level, of: impl Fn(i64) -> T) {
        let [b, m, n, k] = p.dims;
        let (strides, offset, len) = p.layout();
        let lhs: Vec<T> = (0..len).map(|i| of(value(i))).collect();
        let rhs = p.packed(&of);
        let mut product = vec![of(77); b * m * n];
        let c = Contraction {
            dims: p.dims,
            lhs: lhs.as_ptr().wrapping_offset(offset),
            lhs_strides: strides,
            rhs: rhs.as_ptr(),
            rhs_batch: if p.share_rhs { 0 } else { rhs.len() / b.max(1) },
            product: product.as_mut_ptr(),
        };
        let tiling = Tiling::new(p.dims);
        for t in 0..tiling.tiles() {
            // SAFETY: the operands are as the problem says; levels are available.
            unsafe { compute_tile(&c, tiling.tile(t), level) };
        }
        for (i, found) in product.into_iter().enumerate() {
            let at = [i / (m * n), i / n % m, i % n];
            let left = |ik: usize| {
                let place = [at[0], at[1], ik].into_iter().zip(strides);
                let index = place.fold(offset, |sum, (i, s)| sum + i as isize * s);
                value(index as usize)
            };
            let sum = (0..k).map(|ik| left(ik) * p.right(at[0], ik, at[2])).sum();
            assert_eq!(found, of(sum), "{p:?} at {at:?}, {level:?}");
        }
    }

    fn check_all(p: &Problem) {
        for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
            check(p, level, |v| v as f32);
            check(p, level, |v| v as f64);
            check(p, level, |v| v as i32);
            check(p, level, |v| v);
        }
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
        for k in [DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH + 3] {
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
            let tiling = Tiling::new(dims);
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
