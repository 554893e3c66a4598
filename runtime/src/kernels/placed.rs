//! Tiles of products whose right operand lies somewhere in memory: panel by panel it is packed for the tile's rows, or read
//! where it lies.

use super::contract::{Contraction, DEPTH, GROUP, Placed, Tile, in_groups, whole_shares};
use super::micro::{Ahead, Block, Direct, Micro, Number};
use super::pack::{Part, Strewn, pack, splits};
use crate::PANEL;
use core::mem::MaybeUninit;
use core::ops::Range;

/// A tile panel by panel, of a right operand that lies elsewhere and is packed for it.
///
/// # Safety
/// As for [`compute_tile`]; `first` is the operand's first element in the tile's batch entry.
pub(super) unsafe fn placed_tile<T: Number>(
    c: &Contraction<T>,
    tile: Tile,
    (first, placed): (*const T, &Placed),
    micro: &Micro<T>,
) {
    let mut buffer = Panel::new();
    let panel = buffer.0.as_mut_ptr().cast::<T>();
    let (k, step) = (c.dims[3], DEPTH * T::GROUP);
    let across = (tile.columns.1 - tile.columns.0).div_ceil(PANEL);
    let count = k.div_ceil(step) * across;
    let find = |spot: &mut Spot, number: usize| {
        let (depth, column) = (
            number / across * step,
            tile.columns.0 + number % across * PANEL,
        );
        let ends = (k.min(depth + step), tile.columns.1.min(column + PANEL));
        spot.find(placed, depth..ends.0, column..ends.1);
    };
    let mut spots = [const { Spot::new() }; 2];
    find(&mut spots[0], 0);
    for number in 0..count {
        let [even, odd] = &mut spots;
        let (this, next) = match number.is_multiple_of(2) {
            true => (&*even, odd),
            false => (&*odd, even),
        };
        let coming = (number + 1 < count).then(|| {
            find(next, number + 1);
            &*next
        });
        let (depth, column) = (this.products.start, this.columns.start);
        let extent = (this.products.len(), this.columns.len());
        // SAFETY: columns and products lie in the operands; the buffer is as large as any panel.
        unsafe {
            if let (Some(direct), Some([row, 1]), PANEL) =
                (&micro.direct, placed.strides(), extent.1)
                && tile.rows.1 - tile.rows.0 <= direct.once_rows
            {
                let rhs = (first.offset(depth as isize * row).add(column), row);
                (direct.once)(&c.block(tile, column, depth, extent, rhs));
                continue;
            }
            let rhs = (panel.cast_const(), (PANEL * T::GROUP) as isize);
            let block = c.block(tile, column, depth, extent, rhs);
            if let Some(direct) = &micro.direct
                && let Some(vectors) = splits(this.column_offsets(), direct.lanes)
            {
                let rows = this.row_offsets();
                let strewn = Strewn {
                    first,
                    rows,
                    vectors,
                };
                keeping(&block, micro, (direct, &strewn), coming);
                continue;
            }
            let part = Part {
                first,
                rows: this.row_offsets(),
                columns: this.column_offsets(),
                step: placed.columns.stride(),
            };
            pack(&part, micro, panel);
            in_groups(&block, micro);
        }
    }
}

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// What becomes a panel: products and columns of a right operand, and where they lie.
struct Spot {
    products: Range<usize>,
    columns: Range<usize>,
    rows_at: [isize; DEPTH * GROUP],
    columns_at: [isize; PANEL],
}

impl Spot {
    const fn new() -> Spot {
        Spot {
            products: 0..0,
            columns: 0..0,
            rows_at: [0; DEPTH * GROUP],
            columns_at: [0; PANEL],
        }
    }

    /// Moves to these products and columns.
    fn find(&mut self, placed: &Placed, products: Range<usize>, columns: Range<usize>) {
        if self.products != products {
            placed.rows.offsets(products.clone(), &mut self.rows_at);
        }
        placed
            .columns
            .offsets(columns.clone(), &mut self.columns_at);
        (self.products, self.columns) = (products, columns);
    }

    fn row_offsets(&self) -> &[isize] {
        &self.rows_at[..self.products.len()]
    }

    fn column_offsets(&self) -> &[isize] {
        &self.columns_at[..self.columns.len()]
    }
}

/// Runs a block of any number of rows whose panel is yet to be packed: the first rows read the right operand where it
/// lies and pack it for the others. Meanwhile what is `coming` next is brought into cache, and then, for each group of rows,
/// the next one: a tile's rows are more than the nearer caches hold.
///
/// # Safety
/// As for [`super::micro::Micro::run`]; the block's panel is good for being written.
unsafe fn keeping<T: Number>(
    block: &Block<T>,
    micro: &Micro<T>,
    (direct, strewn): (&Direct<T>, &Strewn<'_, T>),
    coming: Option<&Spot>,
) {
    let lines = PANEL * size_of::<T>() / LINE;
    let first = if block.rows < micro.rows {
        1
    } else {
        micro.rows
    };
    // SAFETY: the rows are some of the block's.
    unsafe {
        (direct.keep)(&block.part(0, first), strewn);
        let rest = block.part(first, block.rows - first);
        // Few groups ask for nothing but what is coming.
        let groups = rest.rows.div_ceil(micro.rows);
        let mut left_at = [0; DEPTH];
        let left_lines = match groups > lines + 1 {
            true => find_left_lines(block, micro.rows, &mut left_at),
            false => &[],
        };
        for (number, (row, rows)) in whole_shares(rest.rows, micro.rows).enumerate() {
            let part = rest.part(row, rows);
            let is_whole = rows == micro.rows && block.columns == PANEL;
            match coming {
                // A line of each row at a time.
                Some(next) if is_whole && number <= lines => {
                    let columns = next.column_offsets();
                    let column = columns[(number * PANEL / lines).min(columns.len() - 1)];
                    let ahead = Ahead {
                        first: strewn.first.wrapping_offset(column),
                        rows: next.row_offsets(),
                    };
                    (direct.run_ahead)(&part, &ahead);
                }
                // Behind the last group are another tile's rows.
                _ if is_whole && number + 1 < groups && !left_lines.is_empty() => {
                    let ahead = Ahead {
                        first: part.lhs.wrapping_offset(rows as isize * part.lhs_row),
                        rows: left_lines,
                    };
                    (direct.run_ahead)(&part, &ahead);
                }
                _ => (micro.run)(&part),
            }
        }
    }
}

/// Where the lines of a group of `rows` of the left operand lie, from its first element on: the first line of each row and
/// then the next ones, or those of each column. Element by element, there are no more of them than products.
fn find_left_lines<'a, T: Number>(
    block: &Block<T>,
    rows: usize,
    at: &'a mut [isize; DEPTH],
) -> &'a [isize] {
    debug_assert_eq!(T::GROUP, 1, "groups of products are copied");
    let elements = LINE / size_of::<T>();
    let columns = (0..block.depth).step_by(elements);
    let along = columns.flat_map(|column| {
        (0..rows as isize).map(move |row| row * block.lhs_row + column as isize)
    });
    let mut count = 0;
    match block.lhs_depth {
        1 => { at.iter_mut().zip(along) }.for_each(|(to, line)| {
            *to = line;
            count += 1;
        }),
        step => { at.iter_mut().zip(0..block.depth as isize) }.for_each(|(to, k)| {
            *to = k * step;
            count += 1;
        }),
    }
    &at[..count]
}

/// Memory for a panel of any element type.
#[repr(align(64))]
struct Panel([MaybeUninit<u64>; DEPTH * PANEL]);

impl Panel {
    fn new() -> Panel {
        Panel([MaybeUninit::uninit(); DEPTH * PANEL])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Level;
    use crate::kernels::contract::tests::{Tested, value};
    use crate::kernels::contract::{Right, Tiling, compute_tile};
    #[cfg(feature = "products")]
    use crate::kernels::narrow::Bf16;
    use crate::kernels::pack::Digits;
    use proptest::prelude::*;

    /// Images under windows, as right operand of a product whose sums go over channels and places in a window.
    #[derive(Clone, Debug)]
    struct Windows {
        rows: usize,
        channels: usize,
        window: usize,
        stride: usize,
        /// Windows down and across.
        counts: [usize; 2],
        /// Columns of the images beyond the last window.
        beyond: usize,
    }

    fn check_windows<T: Tested>(w: &Windows, level: Level) {
        let [down, across] = w.counts;
        let side = |count: usize| (count - 1) * w.stride + w.window;
        let (height, width) = (side(down), side(across) + w.beyond);
        // As long as what is read, so that reading on shows where memory is checked.
        let len = w.channels * height * width - w.beyond;
        let image: Vec<T> = (0..len).map(|i| T::of(value(i))).collect();
        let (k, n) = (w.channels * w.window * w.window, down * across);
        let lhs: Vec<T> = (0..w.rows * k).map(|i| T::of(value(i + 3))).collect();
        let digits = |digits: &[(usize, usize)]| {
            let digits: Vec<_> = digits.iter().map(|d| (d.0, d.1 as isize)).collect();
            Digits::new(&digits).unwrap()
        };
        let placed = Placed {
            batch: 0,
            rows: digits(&[
                (w.channels, height * width),
                (w.window, width),
                (w.window, 1),
            ]),
            columns: digits(&[(down, width * w.stride), (across, w.stride)]),
        };
        let mut product = vec![T::sum(77); w.rows * n];
        let c = Contraction::<T> {
            dims: [1, w.rows, n, k],
            lhs: lhs.as_ptr(),
            lhs_strides: [0, k as isize, 1],
            rhs: Right::Placed(image.as_ptr(), placed),
            product: product.as_mut_ptr(),
        };
        let tiling = Tiling::new(c.dims, Some(&placed));
        for t in 0..tiling.tiles() {
            // SAFETY: the operands are as described; levels are available.
            unsafe { compute_tile(&c, tiling.tile(t), level) };
        }
        for (i, found) in product.iter().enumerate() {
            let (row, y, x) = (i / n, i % n / across, i % across);
            let term = |ik: usize| {
                let (channel, place) = (ik / (w.window * w.window), ik % (w.window * w.window));
                let (dy, dx) = (place / w.window, place % w.window);
                let at = [channel * height + y * w.stride + dy, x * w.stride + dx];
                let right = T::right(value(at[0] * width + at[1]));
                T::left(value(row * k + ik + 3)) * right
            };
            let sum = T::sum((0..k).map(term).sum());
            let name = std::any::type_name::<T>();
            assert_eq!(*found, sum, "{name}: {w:?} at {row}, {y}, {x}, {level:?}");
        }
    }

    #[test]
    fn windows_of_many_channels_and_of_large_images() {
        let of = |rows, channels, window, counts| Windows {
            rows,
            channels,
            window,
            stride: 1,
            counts,
            beyond: 0,
        };
        // Several parts of a sum, and tiles of several panels: what comes next is asked for.
        let cases = [
            of(13, 32, 3, [3, 70]),
            of(40, 32, 3, [2, 64]),
            of(13, 1, 2, [130, 130]),
        ];
        for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
            cases.iter().for_each(|w| check_windows::<f32>(w, level));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn windows_of_images(
            (rows, channels) in (1usize..15, 1usize..4),
            (window, stride) in (1usize..5, 1usize..4),
            counts in (1usize..9, 1usize..70),
            beyond in 0usize..3,
        ) {
            let counts = [counts.0, counts.1];
            let w = Windows { rows, channels, window, stride, counts, beyond };
            for level in Level::ALL.into_iter().filter(|l| l.is_available()) {
                check_windows::<f32>(&w, level);
                check_windows::<f64>(&w, level);
                #[cfg(feature = "products")]
                check_windows::<Bf16>(&w, level);
            }
        }
    }
}
