//! What the scheduler assumes about machines and sizes. Both steer choices only: a plan is right for
//! all sizes and on all machines.

use lazulite_ir::{ContractStep, DType, Dim, Symbol};
use rustc_hash::FxHashMap;

/// Constants of a machine, as far as scheduling depends on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Instructions a kernel may have (about).
    pub kernel_insts: usize,
    /// Buffers a kernel may use.
    pub kernel_buffers: usize,
    /// Elements of a row that kernels with several passes over it keep in cache.
    pub row_elements: i64,
    /// The same for kernels whose vector lanes are columns, which keep a cache line per row.
    pub column_elements: i64,
    /// Independent points that keep all threads busy.
    pub parallel_points: i64,
    /// Elements that one thread handles before a second one helps.
    pub serial_elements: i64,
    /// Cost of an element (see [`lazulite_ir::price`]) from which on it is kept rather than computed twice.
    pub keep_cost: u32,
    /// Cost of an element, over all its readers, up to which kernels compute it again rather than
    /// pass it through memory.
    pub repeat_cost: u32,
    /// Which matrix products of factors narrower than their sums it has.
    pub narrow: NarrowProducts,
    /// Multiplications of a matrix product up to which it is not worth packing.
    pub small_product: i64,
    /// Rows or columns of a matrix product up to which it is not worth packing.
    pub thin_product: i64,
    /// Elements of a right operand from which on a product with few rows is one nevertheless, if it can read the
    /// operand along memory.
    pub streamed_product: i64,
    /// Elements of a right operand that caches do not hold.
    pub uncached_product: i64,
    /// Elements along a summed axis that one block of a split reduction takes.
    pub reduce_block: i64,
    /// Whether running sums and products of f32 are taken in f64: they go through as many roundings as there are
    /// elements, one after the other.
    pub wide_scans: bool,
    /// Elements of a product of two matrices from which on it is made a block of rows at a time, if another product
    /// follows.
    pub blocked_product: i64,
    /// Elements of such a block, which stay in cache.
    pub block_elements: i64,
    /// Rows and columns of a tile of a matrix product.
    pub product_tile: [i64; 2],
    /// Tiles that are enough for all threads.
    pub product_tiles: i64,
    /// Summed elements from which on a product with fewer tiles is taken in parts.
    pub long_sum: i64,
    /// Columns of a matrix product that are computed at once.
    pub product_lanes: i64,
    /// Time that these take per row and summed element; the unit of the next two.
    pub product_vector_cost: i64,
    /// Time to move an element beside its neighbour.
    pub aligned_cost: i64,
    /// Time to read an element whose neighbour lies elsewhere, for an operand of a product.
    pub crossed_cost: i64,
    /// Time to write an element of a product's result whose neighbour lies elsewhere.
    pub scattered_cost: i64,
}

/// Blocks of columns of a matrix product that are computed together.
const STRIP: i64 = 4;

impl Machine {
    /// Time that a matrix product of extents b, m, n, k multiplies and adds.
    pub(super) fn multiplying(&self, [b, m, n, k]: [i64; 4]) -> i64 {
        let blocks = n.saturating_add(self.product_lanes - 1) / self.product_lanes;
        // Sums in few registers wait for each other.
        let blocks = blocks.saturating_add(i64::from(blocks % STRIP != 0));
        let all = [b, m, k, blocks].into_iter().fold(1, i64::saturating_mul);
        all.saturating_mul(self.product_vector_cost)
    }
}

/// Matrix products that take factors as they are, which are narrower than their sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NarrowProducts {
    /// There are none: factors are converted.
    None,
    /// Of bf16 in f32 and of bytes in i32. As many factors as a sum is wide lie side by side, and a lane multiplies and
    /// sums them all at once. So processors have it.
    Groups,
    /// Of f16 and bf16 in f32, on tensor cores of GPUs.
    HalfFloats,
}

impl NarrowProducts {
    /// Whether there is one of these factors with such sums.
    pub fn takes(self, factors: [DType; 2], sum: DType) -> bool {
        let takes = |factor: DType| match self {
            NarrowProducts::None => false,
            NarrowProducts::Groups => matches!(factor, DType::BF16 | DType::I8 | DType::U8),
            NarrowProducts::HalfFloats => matches!(factor, DType::F16 | DType::BF16),
        };
        factors.into_iter().all(takes) && ContractStep::multiplies(factors, sum)
    }

    /// How many factors along the sum lie side by side in panels of them.
    pub fn group(self, factor: DType, sum: DType) -> i64 {
        match self {
            NarrowProducts::Groups => (sum.size() / factor.size()).max(1) as i64,
            NarrowProducts::None | NarrowProducts::HalfFloats => 1,
        }
    }
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            kernel_insts: 256,
            kernel_buffers: 24,
            row_elements: 1 << 16,
            column_elements: 1 << 12,
            parallel_points: 32,
            serial_elements: 1 << 14,
            keep_cost: 24,
            repeat_cost: 80,
            narrow: NarrowProducts::Groups,
            small_product: 1 << 12,
            thin_product: 3,
            streamed_product: 1 << 16,
            uncached_product: 1 << 22,
            reduce_block: 1 << 13,
            wide_scans: true,
            blocked_product: 1 << 21,
            block_elements: 1 << 17,
            product_tile: [516, 64],
            product_tiles: 4,
            long_sum: 1 << 13,
            product_lanes: 16,
            product_vector_cost: 2,
            aligned_cost: 1,
            crossed_cost: 2,
            scattered_cost: 16,
        }
    }
}

/// Likely values of symbols.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SizeHints {
    /// Known ones.
    pub known: FxHashMap<Symbol, i64>,
    /// For all others.
    pub other: i64,
}

impl Default for SizeHints {
    fn default() -> SizeHints {
        SizeHints {
            known: FxHashMap::default(),
            other: 128,
        }
    }
}

impl SizeHints {
    /// A likely value of `dim`, at least 0.
    pub fn estimate(&self, dim: &Dim) -> i64 {
        let value_of = |s: &Symbol| Some(self.known.get(s).copied().unwrap_or(self.other));
        dim.eval(&value_of).unwrap_or(i64::MAX).max(0)
    }

    /// A likely value of the product of `dims`.
    pub fn count<'a>(&self, dims: impl IntoIterator<Item = &'a Dim>) -> i64 {
        dims.into_iter()
            .fold(1i64, |n, d| n.saturating_mul(self.estimate(d)))
    }
}
