//! Places scratch buffers in one arena: best fit over their lifetimes.
//!
//! A pure function of the requests. Buffers whose lifetimes meet never overlap; the total is known
//! before anything runs.

use crate::memory::ALIGN;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// A buffer to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Size.
    pub bytes: usize,
    /// First and last step using it, both included.
    pub live: (u32, u32),
}

/// Where the buffers lie.
#[derive(Debug)]
pub(crate) struct Arrangement {
    /// One per request, a multiple of [`ALIGN`].
    pub offsets: Vec<usize>,
    /// Bytes of the arena.
    pub total: usize,
}

/// Arranges the requests; `None` if the total would overflow.
pub(crate) fn arrange(requests: &[Request]) -> Option<Arrangement> {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    // Of those that begin together the large ones choose first.
    order.sort_by_key(|&i| (requests[i].live.0, Reverse(requests[i].bytes), i));
    let mut offsets = vec![0; requests.len()];
    let mut gaps = Gaps::default();
    let mut active: BinaryHeap<Reverse<(u32, usize, usize)>> = BinaryHeap::new();
    for i in order {
        let Request { bytes, live } = requests[i];
        if bytes == 0 {
            continue;
        }
        while let Some(Reverse((last, offset, size))) = active.peek().copied() {
            if last >= live.0 {
                break;
            }
            active.pop();
            gaps.give(offset, size);
        }
        let size = bytes.checked_next_multiple_of(ALIGN)?;
        offsets[i] = gaps.take(size)?;
        active.push(Reverse((live.1, offsets[i], size)));
    }
    Some(Arrangement {
        offsets,
        total: gaps.end,
    })
}

/// The free parts of the arena so far, neighbours joined.
#[derive(Default)]
struct Gaps {
    by_offset: BTreeMap<usize, usize>,
    by_size: BTreeSet<(usize, usize)>,
    end: usize,
}

impl Gaps {
    /// Takes `size` bytes from the smallest gap that has them, else from the growing end.
    fn take(&mut self, size: usize) -> Option<usize> {
        let best = self.by_size.range((size, 0)..).next().copied();
        if let Some((gap, offset)) = best {
            self.remove(offset, gap);
            if gap > size {
                self.insert(offset + size, gap - size);
            }
            return Some(offset);
        }
        let last = self.by_offset.last_key_value().map(|(o, s)| (*o, *s));
        let offset = match last {
            Some((offset, gap)) if offset + gap == self.end => {
                self.remove(offset, gap);
                offset
            }
            _ => self.end,
        };
        let end = offset.checked_add(size)?;
        self.end = (end <= isize::MAX as usize).then_some(end)?;
        Some(offset)
    }

    fn give(&mut self, mut offset: usize, mut size: usize) {
        if let Some(&behind) = self.by_offset.get(&(offset + size)) {
            self.remove(offset + size, behind);
            size += behind;
        }
        let before = self.by_offset.range(..offset).next_back();
        if let Some((&start, &gap)) = before
            && start + gap == offset
        {
            self.remove(start, gap);
            offset = start;
            size += gap;
        }
        self.insert(offset, size);
    }

    fn insert(&mut self, offset: usize, size: usize) {
        self.by_offset.insert(offset, size);
        self.by_size.insert((size, offset));
    }

    fn remove(&mut self, offset: usize, size: usize) {
        self.by_offset.remove(&offset);
        self.by_size.remove(&(size, offset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(bytes: usize, first: u32, last: u32) -> Request {
        Request {
            bytes,
            live: (first, last),
        }
    }

    #[test]
    fn memory_is_reused_after_death() {
        let a = arrange(&[
            request(100, 0, 1),
            request(60, 1, 2),
            request(128, 2, 3),
            request(1, 4, 4),
        ]);
        let a = a.unwrap();
        assert_eq!(a.offsets, [0, 128, 0, 0]);
        assert_eq!(a.total, 192);
    }

    #[test]
    fn the_last_gap_grows() {
        let a = arrange(&[request(64, 0, 0), request(640, 1, 1)]).unwrap();
        assert_eq!((a.offsets[1], a.total), (0, 640));
    }

    #[test]
    fn overflow_is_noticed() {
        let half = isize::MAX as usize / 2;
        assert!(
            arrange(&[
                request(half, 0, 1),
                request(half, 1, 1),
                request(half, 1, 2)
            ])
            .is_none()
        );
        assert!(arrange(&[request(usize::MAX, 0, 0)]).is_none());
    }

    proptest! {
        #[test]
        fn living_buffers_never_overlap(
            raw in prop::collection::vec((0usize..5000, 0u32..40, 0u32..12), 0..60)
        ) {
            let requests: Vec<Request> =
                raw.iter().map(|&(b, first, n)| request(b, first, first + n)).collect();
            let a = arrange(&requests).unwrap();
            let mut at_once = [0; 64];
            for (i, r) in requests.iter().enumerate() {
                prop_assert_eq!(a.offsets[i] % ALIGN, 0);
                prop_assert!(a.offsets[i] + r.bytes <= a.total.max(a.offsets[i]));
                for (j, q) in requests.iter().enumerate().skip(i + 1) {
                    let meet = r.live.0 <= q.live.1 && q.live.0 <= r.live.1;
                    let apart = a.offsets[i] + r.bytes <= a.offsets[j]
                        || a.offsets[j] + q.bytes <= a.offsets[i];
                    prop_assert!(!meet || apart || r.bytes == 0 || q.bytes == 0);
                }
                for step in r.live.0..=r.live.1 {
                    at_once[step as usize] += r.bytes.next_multiple_of(ALIGN);
                }
            }
            let least = at_once.into_iter().max().unwrap_or(0);
            prop_assert!(a.total >= least);
            prop_assert!(a.total <= requests.iter().map(|r| r.bytes.next_multiple_of(ALIGN)).sum());
        }
    }
}
