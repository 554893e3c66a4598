//! Decomposition `A = L D L^T` of symmetric matrices that need not be definite (by Bunch and Kaufman's
//! choice of pivots), and of Hermitian ones as `L D L^H`. The lower triangle is looked at.
//!
//! `linalg.ldl_factor` and `linalg.ldl_factor_hermitian` give the factors in one matrix, exchanges, and as
//! `info` the number of the first pivot that is zero, or 0. `D` has blocks of 1 or 2 rows. A block of
//! one row was exchanged with the row that its entry says, counted from 1; the second of two rows with the
//! row that both their entries say, negated. Rows of `L` before a block are left as they were when
//! they were made, which is LAPACK's layout. `linalg.ldl_solve` and `linalg.ldl_solve_hermitian` solve
//! systems by what these give.

use super::{
    Extent, INFO, N, Pattern, SQUARE, Scalar, Wide, function, integers, load, nanoseconds,
    of_scalar, part, part_mut, scalars, store,
};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::Mat;

const RIGHT: Pattern = scalars(&[N, Extent::Var('r')]);
const EXCHANGES: Pattern = integers(&[N]);

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.ldl_factor": (SQUARE) -> (SQUARE, EXCHANGES, INFO), |call| of_scalar!(factors, call, false)),
    function!("linalg.ldl_factor_hermitian": (SQUARE) -> (SQUARE, EXCHANGES, INFO), |call| of_scalar!(factors, call, true)),
    function!("linalg.ldl_solve": (SQUARE, EXCHANGES, RIGHT) -> (RIGHT), |call| of_scalar!(solutions, call, false)),
    function!("linalg.ldl_solve_hermitian": (SQUARE, EXCHANGES, RIGHT) -> (RIGHT), |call| of_scalar!(solutions, call, true)),
];

fn factors<T: Scalar>(call: &mut Call<'_>, hermitian: bool) -> Result<(), String> {
    let n = call.operand_core(0)[0];
    call.for_chunks(nanoseconds([n, n, n]), |chunk| {
        let factors = chunk.take_result::<T>(0)?;
        let (exchanges, infos) = (chunk.take_result::<i32>(1)?, chunk.take_result::<i32>(2)?);
        for (entry, info) in infos.iter_mut().enumerate() {
            let mut work = Factoring {
                a: load::<T>(chunk, 0, entry, (n, n))?,
                exchanges: part_mut(exchanges, entry, n),
                hermitian,
                info: 0,
            };
            work.run();
            *info = work.info;
            for j in 0..n {
                (0..j).for_each(|i| work.a[(i, j)] = T::Wide::real_of(0.0));
            }
            store(part_mut(factors, entry, n * n), n, &work.a, T::narrow);
        }
        Ok(())
    })
}

/// The number, conjugated where matrices are Hermitian.
fn mirrored<W: Wide>(value: W, hermitian: bool) -> W {
    match hermitian {
        true => value.conjugate(),
        false => value,
    }
}

/// A decomposition in progress.
struct Factoring<'a, W: Wide> {
    a: Mat<W>,
    exchanges: &'a mut [i32],
    hermitian: bool,
    info: i32,
}

/// What becomes the next block of `D`.
struct Pivot {
    row: usize,
    size: usize,
}

impl<W: Wide> Factoring<'_, W> {
    fn run(&mut self) {
        let n = self.a.nrows();
        let mut k = 0;
        while k < n {
            if self.hermitian {
                self.a[(k, k)] = W::real_of(self.a[(k, k)].parts().re);
            }
            let Some(pivot) = self.choose(k) else {
                if self.info == 0 {
                    self.info = k as i32 + 1;
                }
                self.exchanges[k] = k as i32 + 1;
                k += 1;
                continue;
            };
            self.exchange(k, &pivot);
            let entry = pivot.row as i32 + 1;
            if pivot.size == 1 {
                self.exchanges[k] = entry;
                self.eliminate_one(k);
            } else {
                self.exchanges[k..k + 2].fill(-entry);
                self.eliminate_two(k);
            }
            k += pivot.size;
        }
    }

    /// The next pivot; none if the column is zero.
    fn choose(&self, k: usize) -> Option<Pivot> {
        // Growth is least with this bound between both sizes of blocks.
        let alpha = (1.0 + 17f64.sqrt()) / 8.0;
        let (n, a) = (self.a.nrows(), &self.a);
        let diagonal = a[(k, k)].magnitude();
        let (mut largest, mut below) = (k, 0.0);
        for i in k + 1..n {
            if a[(i, k)].magnitude() > below {
                (largest, below) = (i, a[(i, k)].magnitude());
            }
        }
        if diagonal.max(below) == 0.0 {
            return None;
        }
        let one = |row| Some(Pivot { row, size: 1 });
        if diagonal >= alpha * below || below.is_nan() || largest == k {
            return one(k);
        }
        let left = (k..largest).map(|j| a[(largest, j)].magnitude());
        let under = (largest + 1..n).map(|i| a[(i, largest)].magnitude());
        let beside = left.chain(under).fold(0.0, f64::max);
        if diagonal >= alpha * below * (below / beside) {
            return one(k);
        }
        if a[(largest, largest)].magnitude() >= alpha * beside {
            return one(largest);
        }
        Some(Pivot {
            row: largest,
            size: 2,
        })
    }

    /// Brings the pivot to its place by exchanging rows and columns of what is left.
    fn exchange(&mut self, k: usize, pivot: &Pivot) {
        let (n, hermitian, a) = (self.a.nrows(), self.hermitian, &mut self.a);
        let (to, from) = (k + pivot.size - 1, pivot.row);
        if from == to {
            return;
        }
        for i in from + 1..n {
            swap(a, (i, to), (i, from));
        }
        for j in to + 1..from {
            swap(a, (j, to), (from, j));
            a[(j, to)] = mirrored(a[(j, to)], hermitian);
            a[(from, j)] = mirrored(a[(from, j)], hermitian);
        }
        a[(from, to)] = mirrored(a[(from, to)], hermitian);
        swap(a, (to, to), (from, from));
        if pivot.size == 2 {
            swap(a, (to, k), (from, k));
        }
    }

    fn eliminate_one(&mut self, k: usize) {
        let (n, hermitian, a) = (self.a.nrows(), self.hermitian, &mut self.a);
        let inverse = W::real_of(1.0) / a[(k, k)];
        for j in k + 1..n {
            let other = mirrored(a[(j, k)], hermitian) * inverse;
            for i in j..n {
                a[(i, j)] = a[(i, j)] - a[(i, k)] * other;
            }
            if hermitian {
                a[(j, j)] = W::real_of(a[(j, j)].parts().re);
            }
        }
        for i in k + 1..n {
            a[(i, k)] *= inverse;
        }
    }

    fn eliminate_two(&mut self, k: usize) {
        let (n, hermitian, a) = (self.a.nrows(), self.hermitian, &mut self.a);
        let block = Block::of(a, k, hermitian);
        for j in k + 2..n {
            let (first, second) = block.divide_row(a[(j, k)], a[(j, k + 1)]);
            let (m1, m2) = (mirrored(first, hermitian), mirrored(second, hermitian));
            for i in j..n {
                a[(i, j)] = a[(i, j)] - a[(i, k)] * m1 - a[(i, k + 1)] * m2;
            }
            (a[(j, k)], a[(j, k + 1)]) = (first, second);
            if hermitian {
                a[(j, j)] = W::real_of(a[(j, j)].parts().re);
            }
        }
    }
}

fn swap<W: Wide>(a: &mut Mat<W>, x: (usize, usize), y: (usize, usize)) {
    (a[x], a[y]) = (a[y], a[x]);
}

/// A block of two rows of `D`, in terms of its element below the diagonal: divided by it, numbers
/// neither overflow nor vanish.
struct Block<W> {
    below: W,
    above: W,
    /// The diagonal, divided by the element in the same column or row.
    first: W,
    second: W,
    denominator: W,
}

impl<W: Wide> Block<W> {
    fn of(a: &Mat<W>, k: usize, hermitian: bool) -> Block<W> {
        let below = a[(k + 1, k)];
        let above = mirrored(below, hermitian);
        let (first, second) = (a[(k, k)] / above, a[(k + 1, k + 1)] / below);
        Block {
            below,
            above,
            first,
            second,
            denominator: first * second - W::real_of(1.0),
        }
    }

    /// The row divided by the block from the right.
    fn divide_row(&self, x: W, y: W) -> (W, W) {
        (
            (self.second * x - y) / self.above / self.denominator,
            (self.first * y - x) / self.below / self.denominator,
        )
    }

    /// The column divided by the block from the left.
    fn divide_column(&self, x: W, y: W) -> (W, W) {
        let (x, y) = (x / self.above, y / self.below);
        (
            (self.second * x - y) / self.denominator,
            (self.first * y - x) / self.denominator,
        )
    }
}

fn solutions<T: Scalar>(call: &mut Call<'_>, hermitian: bool) -> Result<(), String> {
    let core = call.operand_core(2);
    let (n, columns) = (core[0], core[1]);
    call.for_chunks(nanoseconds([n, n, columns]), |chunk| {
        let (results, exchanges) = (chunk.take_result::<T>(0)?, chunk.operand::<i32>(1)?);
        for (entry, place) in chunk.entries().enumerate() {
            let blocks = blocks(part(exchanges, entry, n))
                .map_err(|e| format!("exchanges of matrix {place} of the batch: {e}"))?;
            let a = load::<T>(chunk, 0, entry, (n, n))?;
            let mut x = load::<T>(chunk, 2, entry, (n, columns))?;
            forward(&a, &blocks, &mut x, hermitian);
            backward(&a, &blocks, &mut x, hermitian);
            store(
                part_mut(results, entry, n * columns),
                columns,
                &x,
                T::narrow,
            );
        }
        Ok(())
    })
}

/// A block's first row, its size, and the row that its last one was exchanged with.
type Place = (usize, usize, usize);

fn blocks(exchanges: &[i32]) -> Result<Vec<Place>, String> {
    let n = exchanges.len();
    let mut blocks = Vec::with_capacity(n);
    let mut k = 0;
    while k < n {
        let entry = exchanges[k];
        let size = if entry > 0 { 1 } else { 2 };
        let row = entry.unsigned_abs() as usize;
        let paired = size == 1 || exchanges.get(k + 1) == Some(&entry);
        if row < 1 || row > n || !paired {
            return Err(format!("entry {k} is {entry}, for {n} rows"));
        }
        blocks.push((k, size, row - 1));
        k += size;
    }
    Ok(blocks)
}

fn swap_rows<W: Wide>(x: &mut Mat<W>, a: usize, b: usize) {
    if a != b {
        (0..x.ncols()).for_each(|j| swap(x, (a, j), (b, j)));
    }
}

/// Divides by `L` and `D`.
fn forward<W: Wide>(a: &Mat<W>, blocks: &[Place], x: &mut Mat<W>, hermitian: bool) {
    let n = a.nrows();
    for &(k, size, row) in blocks {
        let next = k + size;
        swap_rows(x, next - 1, row);
        for j in 0..x.ncols() {
            for column in k..next {
                for i in next..n {
                    x[(i, j)] = x[(i, j)] - a[(i, column)] * x[(column, j)];
                }
            }
            if size == 1 {
                x[(k, j)] /= a[(k, k)];
            } else {
                let block = Block::of(a, k, hermitian);
                (x[(k, j)], x[(k + 1, j)]) = block.divide_column(x[(k, j)], x[(k + 1, j)]);
            }
        }
    }
}

/// Divides by the transpose of `L`, conjugated if matrices are Hermitian.
fn backward<W: Wide>(a: &Mat<W>, blocks: &[Place], x: &mut Mat<W>, hermitian: bool) {
    let n = a.nrows();
    for &(k, size, row) in blocks.iter().rev() {
        let next = k + size;
        for j in 0..x.ncols() {
            for column in k..next {
                for i in next..n {
                    let factor = mirrored(a[(i, column)], hermitian);
                    x[(column, j)] = x[(column, j)] - factor * x[(i, j)];
                }
            }
        }
        swap_rows(x, next - 1, row);
    }
}
