//! Orders by chance, and a small generator for work on the host.

use crate::error::{Error, ErrorKind, Result};
use std::ops::Range;

/// SplitMix64: one multiplication-and-shift hash per draw. Fast, and good enough for orders and pictures; tensors
/// draw from Philox.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// Determined by all three numbers.
    pub fn new(seed: u64, stream: u64, index: u64) -> Chance {
        let start = [stream, index].iter().fold(seed, |state, word| {
            let mut mixed = Chance(state);
            mixed.next() ^ word.wrapping_mul(0xd6e8_feb8_6659_fd93)
        });
        Chance(start)
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = self.0;
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0. Off by less than limit / 2^64 from equally likely.
    pub fn below(&mut self, limit: usize) -> usize {
        let wide = u128::from(self.next()) * limit as u128;
        (wide >> 64) as usize
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A number between two others.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }
}

/// The numbers of a range, if memory holds them.
pub(super) fn numbers(range: Range<usize>) -> Result<Vec<usize>> {
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(range.len()).map_err(|_| {
        let message = format!(
            "there is no memory for the numbers of {} examples",
            range.len()
        );
        Error::new(ErrorKind::Memory, "dataset", message)
    })?;
    numbers.extend(range);
    Ok(numbers)
}

/// The numbers below `len` in an order that seed and epoch determine.
pub(super) fn permutation(len: usize, seed: u64, epoch: u64) -> Result<Vec<usize>> {
    let mut order = numbers(0..len)?;
    let mut chance = Chance::new(seed, 0, epoch);
    for last in (1..len).rev() {
        order.swap(last, chance.below(last + 1));
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_about_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..6000 {
            *counts.entry(permutation(3, 1, epoch).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(
            counts.values().all(|c| (850..1150).contains(c)),
            "{counts:?}"
        );
    }
}
