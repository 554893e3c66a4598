//! Places buffers in one arena: best fit over their lifetimes. The runtime does the same when
//! sizes are bound; here it tells the need before anything runs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Offsets are multiples of this.
pub const ALIGN: u64 = 64;

/// A buffer to be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Size.
    pub bytes: u64,
    /// First and last step using it, both included.
    pub live: (u32, u32),
}

/// Where the buffers lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrangement {
    /// One per request; 0 for those without bytes.
    pub offsets: Vec<u64>,
    /// Bytes of the arena.
    pub total: u64,
}

/// Arranges the requests in order of birth, each in the smallest free gap that holds it, else at
/// the end; `None` if that overflows. In time n log n.
pub fn arrange(requests: &[Request]) -> Option<Arrangement> {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    // Of those born together the large ones choose first.
    order.sort_by_key(|&i| (requests[i].live.0, Reverse(requests[i].bytes), i));
    let mut offsets = vec![0; requests.len()];
    let mut gaps = Gaps::default();
    let mut living: BinaryHeap<Reverse<(u32, u64, u64)>> = BinaryHeap::new();
    for i in order.into_iter().filter(|&i| requests[i].bytes > 0) {
        let Request { bytes, live } = requests[i];
        while let Some(&Reverse((last, offset, size))) = living.peek() {
            if last >= live.0 {
                break;
            }
            living.pop();
            gaps.give(offset, size);
        }
        let size = bytes.checked_next_multiple_of(ALIGN)?;
        offsets[i] = gaps.take(size)?;
        living.push(Reverse((live.1, offsets[i], size)));
    }
    Some(Arrangement {
        offsets,
        total: gaps.end,
    })
}

/// The free parts of the arena below `end`, neighbours joined.
#[derive(Default)]
struct Gaps {
    by_offset: BTreeMap<u64, u64>,
    by_size: BTreeSet<(u64, u64)>,
    end: u64,
}

impl Gaps {
    fn take(&mut self, size: u64) -> Option<u64> {
        let best = self.by_size.range((size, 0)..).next().copied();
        if let Some((gap, offset)) = best {
            self.remove(offset, gap);
            if gap > size {
                self.insert(offset + size, gap - size);
            }
            return Some(offset);
        }
        // A gap at the end grows.
        let last = self.by_offset.last_key_value().map(|(&o, &s)| (o, s));
        let offset = match last {
            Some((offset, gap)) if offset + gap == self.end => {
                self.remove(offset, gap);
                offset
            }
            _ => self.end,
        };
        self.end = offset.checked_add(size).filter(|e| *e <= i64::MAX as u64)?;
        Some(offset)
    }

    fn give(&mut self, mut offset: u64, mut size: u64) {
        if let Some(&behind) = self.by_offset.get(&(offset + size)) {
            self.remove(offset + size, behind);
            size += behind;
        }
        let before = self.by_offset.range(..offset).next_back();
        if let Some((&start, &gap)) = before
            && start + gap == offset
        {
            self.remove(start, gap);
            (offset, size) = (start, size + gap);
        }
        self.insert(offset, size);
    }

    fn insert(&mut self, offset: u64, size: u64) {
        self.by_offset.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: u64, size: u64) {
        self.by_offset.remove(&offset);
        self.by_size.remove(&(size, offset));
    }
}
