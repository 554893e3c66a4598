//! What a region costs: operations and bytes, by the one table of prices and with the scheduler's constants.
//!
//! Fusion is priced in. Pointwise operations and views are computed inside the kernels that read them and
//! move no bytes; what is needed by several kernels is computed in each of them or passed through memory,
//! whichever is cheaper. Each matrix product is a kernel with its packers; everything else counts as one
//! kernel. Products that the scheduler would not pack are priced as the sums that it makes of them.

use crate::schedule::{Axes, ScheduleOptions, is_small};
use lazulite_ir::{Class, Dim, Op, TensorType, price};
use smallvec::SmallVec;

/// Fractions of the unit of prices in which costs are counted.
const SCALE: u64 = 1024;

/// How an operation is carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// It is there already.
    Leaf,
    /// It costs nothing by itself.
    View,
    /// Inside the kernels that read it.
    Inline,
    /// It passes over its operand, inside a kernel.
    Pass,
    /// A product over packed operands.
    Product,
}

/// The cost of one operation, apart from what its operands make of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    place: Place,
    /// Elements of the result, and bytes.
    count: u64,
    bytes: u64,
    /// Cost of an element (of the operand, for passes).
    each: u64,
    /// Elements of the operand of a pass, multiplications of a product.
    steps: u64,
    /// Elements of the operands of a product.
    operands: [u64; 2],
}

impl Price {
    /// The price of an operation by its types.
    pub fn of(op: &Op, ty: &TensorType, x: &[&TensorType], options: &ScheduleOptions) -> Price {
        let elements = |ty: &TensorType| options.sizes.count(&ty.dims).unsigned_abs();
        let count = elements(ty);
        let mut price = Price {
            place: Place::Inline,
            count,
            bytes: count.saturating_mul(ty.dtype.size() as u64),
            each: u64::from(price::op(op)),
            steps: 0,
            operands: [0; 2],
        };
        match op {
            Op::Input { .. } => price.place = Place::Leaf,
            Op::Contract { .. } => price.product(op, x, options, [elements(x[0]), elements(x[1])]),
            _ => match op.class() {
                Class::Leaf => price.place = Place::View,
                Class::View if !matches!(op, Op::Pad { .. }) => price.place = Place::View,
                Class::Aggregate => {
                    price.place = Place::Pass;
                    price.each = 1;
                    price.steps = elements(x[0]);
                }
                _ => {}
            },
        }
        price
    }

    fn product(
        &mut self,
        op: &Op,
        x: &[&TensorType],
        options: &ScheduleOptions,
        operands: [u64; 2],
    ) {
        let axes = Axes::of_operands(op, &x[0].dims, &x[1].dims);
        let extents = axes.and_then(|axes| axes.extents().ok());
        let small = extents.as_ref().map(|e| is_small(e, &options.machine));
        let size = |d: &Dim| options.sizes.estimate(d).unsigned_abs();
        let [b, m, n, k] = extents.map_or([u64::MAX; 4], |e| e.each_ref().map(size));
        let times = |columns: u64| [b, m, columns, k].into_iter().fold(1, u64::saturating_mul);
        self.operands = operands;
        if small == Some(Ok(true)) {
            self.place = Place::Pass;
            self.steps = times(n);
            // A multiplication and an addition, with what they read.
            self.each = 2 + 2 * u64::from(price::ACCESS);
        } else {
            self.place = Place::Product;
            let lanes = options.machine.product_lanes.unsigned_abs().max(1);
            // Reading the row's own factors takes about as long as one vector of columns.
            let vectors = n.div_ceil(lanes).saturating_add(1);
            self.steps = times(vectors.saturating_mul(lanes));
        }
    }

    /// What the operation costs by itself if everything around it is in memory: good enough to choose where
    /// to start.
    pub fn alone(&self) -> u64 {
        match self.place {
            Place::Leaf | Place::View => 1,
            Place::Inline => scaled(self.each, self.count).saturating_add(1),
            Place::Pass => scaled(self.each, self.steps).saturating_add(1),
            Place::Product => self.multiplied(),
        }
    }

    fn multiplied(&self) -> u64 {
        let packed = scaled(u64::from(price::PACK), self.operands[1]);
        let moved = self.moved(2);
        let sums = self.steps.saturating_mul(price::PRODUCT);
        let started = u64::from(price::STEP) * SCALE;
        [packed, moved, sums, started]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    fn moved(&self, times: u64) -> u64 {
        self.bytes.saturating_mul(price::BYTE).saturating_mul(times)
    }
}

fn scaled(each: u64, count: u64) -> u64 {
    each.saturating_mul(count).saturating_mul(SCALE)
}

/// An operation among others: its price and its operands, which stand before it.
pub(super) struct Placed<'a> {
    pub price: &'a Price,
    pub x: SmallVec<[u32; 3]>,
}

/// What the operations cost together. `roots` are those whose values are needed.
pub(super) fn cost(nodes: &[Placed<'_>], roots: &[u32]) -> u64 {
    let readers = readers(nodes, roots);
    // Of every operation the cost of one element where it is read, and whether that is just reading it.
    let mut read: Vec<(u64, bool)> = Vec::with_capacity(nodes.len());
    let access = u64::from(price::ACCESS);
    let mut total = 0u64;
    for (i, node) in nodes.iter().enumerate() {
        let p = node.price;
        let kernels = u64::from(readers[i].count_ones());
        let loads = node.x.iter().filter(|&&x| read[x as usize].1).count() as u64 * access;
        let (cost, seen) = match p.place {
            Place::Leaf => (p.moved(kernels), (access, true)),
            Place::View => {
                let seen = node.x.first().map_or((0, false), |&x| read[x as usize]);
                (repeated(nodes, node, seen), seen)
            }
            Place::Inline => {
                let once = scaled(p.each + loads, p.count);
                let kept = once.saturating_add(p.moved(1 + kernels));
                let inside = node.x.iter().map(|&x| read[x as usize].0);
                let each = inside.fold(p.each, u64::saturating_add);
                (once.saturating_mul(kernels.max(1)).min(kept), (each, false))
            }
            Place::Pass => {
                let over = scaled(p.each + loads, p.steps);
                (over.saturating_add(p.moved(1)), (access, true))
            }
            Place::Product => {
                let elsewhere = u64::from((readers[i] & !1).count_ones());
                let direct = node.x.first().is_some_and(|&x| read[x as usize].1);
                let left = if direct { 0 } else { p.operands[0] };
                let left = scaled(u64::from(price::PACK), left);
                let passed = p.moved(elsewhere).saturating_add(left);
                (p.multiplied().saturating_add(passed), (access, true))
            }
        };
        read.push(seen);
        total = total.saturating_add(cost);
    }
    let written = roots.iter().map(|&r| match nodes[r as usize].price {
        p if p.place == Place::Leaf => 0,
        p => p.moved(1),
    });
    written.fold(total, u64::saturating_add)
}

/// What it takes that a view repeats elements which are computed where they are read: each time anew, or
/// through memory.
fn repeated(nodes: &[Placed<'_>], view: &Placed<'_>, (each, stored): (u64, bool)) -> u64 {
    let Some(&x) = view.x.first() else { return 0 };
    let from = nodes[x as usize].price;
    if stored || view.price.count <= from.count {
        return 0;
    }
    scaled(each, view.price.count - from.count).min(from.moved(2))
}

/// For every operation the set of kernels that read it: number 0 is the one that everything is in but the
/// products.
fn readers(nodes: &[Placed<'_>], roots: &[u32]) -> Vec<u128> {
    let mut readers = vec![0u128; nodes.len()];
    let mut products = 0u32;
    for &root in roots {
        readers[root as usize] |= 1;
    }
    for i in (0..nodes.len()).rev() {
        let by = match nodes[i].price.place {
            Place::Leaf | Place::View | Place::Inline => readers[i],
            Place::Pass => 1,
            Place::Product => {
                products = (products + 1).min(127);
                1 << products
            }
        };
        for &x in &nodes[i].x {
            readers[x as usize] |= by;
        }
    }
    readers
}
