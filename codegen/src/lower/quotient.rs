//! Division of many numbers by one.
//!
//! Dividing a vector of 64 bytes keeps a processor busy for ten cycles and more. Where all lanes are divided by the same
//! number, as in a softmax, its reciprocal is computed once, and each quotient is a product with it that is corrected by
//! what is left over. That rounds like division where what is left over is a normal number: for f32, of 25 million
//! quotients of numbers near 1 all were the same. Of numbers below 2^-102, one or two in a hundred differ in the last place.

use super::{LaneLoop, Lowerer};
use crate::vector::{Class, Cmp, Reg};
use lazulite_ir::{DType, ValueId};

/// Bytes of the vectors for which that pays: shorter ones are divided in half the time.
const VECTOR_BYTES: u32 = 64;

impl Lowerer<'_> {
    /// Whether quotients by a value in all lanes of the present pack are taken by way of the reciprocal: it is computed
    /// outside the loop along the lanes.
    pub(super) fn takes_reciprocal(&self, dtype: DType, by: ValueId, lanes: u32) -> bool {
        let is_float = matches!(dtype, DType::F32 | DType::F64);
        let lane_depth = match self.lane_loop {
            LaneLoop::None => return false,
            LaneLoop::Outer(range) => range as usize + 1,
            LaneLoop::Inner => {
                self.kernel.outer.len() + self.kernel.stages[self.stage].ranges.len()
            }
        };
        is_float
            && self.contract
            && self.caps.vector_bytes >= VECTOR_BYTES
            && lanes > 1
            && !self.varies(by)
            && self.analysis.value_depth(by) < lane_depth
    }

    /// `x / by` in all lanes of `x`, where `by` has one.
    pub(super) fn quotient(&mut self, x: Reg, by: Reg) -> Reg {
        let b = &mut self.b;
        // Divisors whose reciprocals are no normal numbers, and those below zero, with which the correction would lose the
        // sign of a zero, get one that is no number. Quotients that are none are found by division.
        let limit = match b.class(by) {
            Class::F64 => 1022,
            _ => 126,
        };
        let least = b.float_like(by, 2f64.powi(-limit));
        let most = b.float_like(by, 2f64.powi(limit));
        let (one, nothing) = (b.float_like(by, 1.0), b.float_like(by, f64::NAN));
        let (above, below) = (b.compare(Cmp::Le, least, by), b.compare(Cmp::Le, by, most));
        let fits = b.and(above, below);
        if b.known(fits) == Some(0) {
            let by = b.splat_lane(by);
            return b.div(x, by);
        }
        let reciprocal = b.div(one, by);
        let reciprocal = b.select(fits, reciprocal, nothing);
        let less = b.neg(reciprocal);
        let [by, reciprocal, less] = [by, reciprocal, less].map(|r| b.splat_lane(r));
        let product = b.mul(x, reciprocal);
        let opposite = b.neg(x);
        let over = b.fma(product, by, opposite);
        let quotient = b.fma(over, less, product);
        // Infinite numbers and quotients make none, either.
        let lost = b.compare(Cmp::Ne, quotient, quotient);
        let [quotient] = b.patch(lost, [quotient], |b| [b.div(x, by)]);
        quotient
    }
}
