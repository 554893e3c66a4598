//! Cuts the outer ranges of a kernel into boxes. The cut depends on extents and cost only, never on the
//! number of threads; one thread alone may take all boxes as one.
//!
//! The outermost range is cut first, so that boxes are far apart in memory; where it is too short, the next
//! ones are cut as well. Boxes along the last range start at multiples of the kernel's lanes.

use crate::program::MAX_RANK;
use smallvec::SmallVec;

/// (from, to) per range; the first `2 * rank` numbers count.
pub(crate) type Bounds = [i64; 2 * MAX_RANK];

/// Work below this many nanoseconds is not worth waking a thread.
const INLINE_NS: f64 = 20_000.0;
/// Nanoseconds that a box should take: long against claiming it, short enough to even out the end.
const GRAIN_NS: f64 = 10_000.0;
/// Boxes of a kernel at most.
const MAX_BOXES: f64 = 1024.0;

/// Whether work of `nanoseconds` is done by the caller alone.
pub(crate) fn is_inline(nanoseconds: f64) -> bool {
    nanoseconds < INLINE_NS
}

/// How many boxes work of `nanoseconds` is cut into.
pub(crate) fn box_count(nanoseconds: f64) -> usize {
    if is_inline(nanoseconds) {
        return 1;
    }
    (nanoseconds / GRAIN_NS).min(MAX_BOXES) as usize
}

/// A cut of ranges into boxes.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The box that is everything.
    whole: Box<Bounds>,
    rank: usize,
    /// Number of parts along each range.
    parts: SmallVec<[i64; 4]>,
    lanes: i64,
    boxes: usize,
}

impl Partition {
    /// Cuts `extents` (not negative, at most [`MAX_RANK`]), one point costing `cost / 1024` ns.
    pub(crate) fn new(extents: &[i64], cost: i64, lane_multiple: u32) -> Partition {
        let lanes = i64::from(lane_multiple.max(1));
        let points: f64 = extents.iter().map(|e| *e as f64).product();
        let mut wanted = box_count(points * cost as f64 / 1024.0) as i64;
        let (mut parts, mut whole) = (SmallVec::new(), Box::new([0; 2 * MAX_RANK]));
        let mut boxes = 1;
        for (i, &extent) in extents.iter().enumerate() {
            let last = i + 1 == extents.len();
            let pieces = if last { units(extent, lanes) } else { extent };
            let n = pieces.min(wanted).max(1);
            wanted = (wanted + n - 1) / n;
            boxes *= n as usize;
            parts.push(n);
            whole[2 * i + 1] = extent;
        }
        Partition {
            whole,
            rank: extents.len(),
            parts,
            lanes,
            boxes: if points == 0.0 { 0 } else { boxes },
        }
    }

    /// Extent of the last range; 1 without ranges.
    pub(crate) fn extent(&self) -> usize {
        match self.rank {
            0 => 1,
            rank => self.whole[2 * rank - 1] as usize,
        }
    }

    /// The box that is everything.
    pub(crate) fn whole(&self) -> &Bounds {
        &self.whole
    }

    /// Number of boxes; 0 if there is no point.
    pub(crate) fn boxes(&self) -> usize {
        self.boxes
    }

    /// Box number `index`.
    pub(crate) fn bounds(&self, index: usize) -> Bounds {
        let mut bounds = *self.whole;
        let mut rest = index as i64;
        for i in (0..self.rank).rev() {
            let (extent, parts) = (self.whole[2 * i + 1], self.parts[i]);
            let part = rest % parts;
            rest /= parts;
            let scale = if i + 1 == self.rank { self.lanes } else { 1 };
            let pieces = units(extent, scale);
            let edge = |p: i64| {
                // The first `pieces % parts` parts get one more.
                let begin = pieces / parts * p + p.min(pieces % parts);
                begin.saturating_mul(scale).min(extent)
            };
            bounds[2 * i] = edge(part);
            bounds[2 * i + 1] = edge(part + 1);
        }
        bounds
    }
}

/// `extent` in units of `lanes`, rounded up.
fn units(extent: i64, lanes: i64) -> i64 {
    extent / lanes + i64::from(extent % lanes != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_work_is_one_box() {
        let p = Partition::new(&[8], 1024, 4);
        assert_eq!((p.boxes(), &p.bounds(0)[..2]), (1, &[0, 8][..]));
        let p = Partition::new(&[], 1 << 40, 1);
        assert_eq!(p.boxes(), box_count((1u64 << 30) as f64).min(1));
        assert_eq!(Partition::new(&[4, 0], 1 << 40, 1).boxes(), 0);
    }

    #[test]
    fn the_outermost_range_is_cut_first() {
        let p = Partition::new(&[100, 1000], 1024 * 10, 8);
        assert_eq!(p.boxes(), 100);
        assert_eq!(p.bounds(99)[..4], [99, 100, 0, 1000]);
        // Too short alone: the last range is cut too, at lanes.
        let p = Partition::new(&[2, 1000], 1024 * 20, 8);
        assert_eq!(p.boxes(), 4);
        assert_eq!(p.bounds(1)[..4], [0, 1, 504, 1000]);
    }

    #[test]
    fn huge_extents_do_not_overflow() {
        let p = Partition::new(&[i64::MAX, i64::MAX], i64::MAX, 64);
        assert_eq!(p.bounds(p.boxes() - 1)[1], i64::MAX);
        let p = Partition::new(&[1, i64::MAX], 1, 64);
        assert_eq!(p.bounds(p.boxes() - 1)[3], i64::MAX);
    }

    proptest! {
        #[test]
        fn boxes_cover_every_point_once(
            extents in prop::collection::vec(0i64..40, 1..4),
            cost in 1i64..40_000_000,
            lanes in prop::sample::select(vec![1u32, 4, 16]),
        ) {
            let p = Partition::new(&extents, cost, lanes);
            let mut seen = vec![0u8; extents.iter().product::<i64>() as usize];
            let mut whole = [1; 3];
            whole[3 - extents.len()..].copy_from_slice(&extents);
            for index in 0..p.boxes() {
                let edges = &p.bounds(index)[..2 * extents.len()];
                prop_assert_eq!(edges[edges.len() - 2] % i64::from(lanes), 0);
                let mut all = [0, 1, 0, 1, 0, 1];
                all[6 - edges.len()..].copy_from_slice(edges);
                for i in all[0]..all[1] {
                    for j in all[2]..all[3] {
                        for k in all[4]..all[5] {
                            seen[((i * whole[1] + j) * whole[2] + k) as usize] += 1;
                        }
                    }
                }
            }
            prop_assert!(seen.iter().all(|n| *n == 1));
        }
    }
}
