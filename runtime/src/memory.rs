//! Where buffers get their memory: 64-byte aligned regions that are kept and reused.
//!
//! Fresh pages cost far more than the arithmetic done on them, so regions go back to a cache when
//! their last handle is let go. Small ones (below 1 MiB) come in powers of two and are kept per thread, a few of each
//! class. Large ones are mapped with huge pages advised and kept process-wide up to
//! [`set_cache_limit`] bytes.
//!
//! Every region is zeroed when it comes from the system and only ever written with whole bytes
//! afterwards. So its bytes are always initialised: a recycled region holds old data, never
//! undefined data, and reading it is sound.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Alignment of every region.
pub const ALIGN: usize = 64;

/// Requests of at least this many bytes are mapped.
const LARGE: usize = 1 << 20;
/// Size classes `64 << c`, the last of them `LARGE`.
const CLASSES: usize = (LARGE / ALIGN).ilog2() as usize + 1;
/// Bytes that a thread keeps per class, if that allows for at least `CLASS_MIN` regions.
const CLASS_BYTES: usize = 256 << 10;
const CLASS_MIN: usize = 4;
const CLASS_MAX: usize = 64;
/// Fraction of a request that a cached large region may be too large by.
const SLACK: usize = 4;

/// Memory of this size is not to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AllocError {
    /// Requested size.
    pub bytes: usize,
}

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot allocate {} bytes", self.bytes)
    }
}

impl std::error::Error for AllocError {}

/// A piece of memory. Handles are let go by [`Region::release`], so that it is kept for others.
pub(crate) struct Region {
    data: NonNull<u8>,
    capacity: usize,
    origin: Origin,
}

/// Where a region came from.
enum Origin {
    /// The system's allocator, for a class of sizes.
    Small(usize),
    Large,
    /// Memory that this keeps, shared with others and only to be read.
    Shared(#[expect(dead_code, reason = "held, not used")] Arc<dyn Any + Send + Sync>),
}

// SAFETY: a region owns its memory and has no interior mutability of its own; whoever writes through
// its pointer holds the only handle (see `Buffer`).
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// A region of at least `bytes` bytes, and whether it is fresh (all zero) or recycled.
    pub(crate) fn take(bytes: usize) -> Result<(Arc<Region>, bool), AllocError> {
        if bytes < LARGE {
            let class = class_of(bytes);
            let recycled = SMALL.try_with(|c| c.borrow_mut().free[class].pop());
            if let Ok(Some(region)) = recycled {
                return Ok((region, false));
            }
        }
        let made = Region::make(bytes).ok_or(AllocError { bytes })?;
        Ok((Arc::new(made.0), made.1))
    }

    /// As [`Region::take`], if this thread keeps none that is small.
    #[cold]
    fn make(bytes: usize) -> Option<(Region, bool)> {
        // Rounding up must not overflow; nothing near this size can exist anyway.
        if bytes > isize::MAX as usize / 2 {
            return None;
        }
        if bytes >= LARGE {
            return take_large(bytes);
        }
        let class = class_of(bytes);
        let capacity = ALIGN << class;
        let region = Region {
            data: system_alloc(capacity)?,
            capacity,
            origin: Origin::Small(class),
        };
        Some((region, true))
    }

    /// Lets go of a handle. A small region of which it is the last one is kept together with what counts its handles.
    /// Where two threads let go at once neither may be seen to be the last; it goes back to the system then.
    #[inline]
    pub(crate) fn release(region: Arc<Region>) {
        // Looking is cheaper than making sure, and most handles are not the last.
        match Arc::strong_count(&region) {
            1 => Region::keep(region),
            _ => drop(region),
        }
    }

    /// Keeps a region if it is small and this the last handle.
    fn keep(mut region: Arc<Region>) {
        let own = Arc::get_mut(&mut region).map(|own| &own.origin);
        if let Some(&Origin::Small(class)) = own {
            // A thread that ends keeps nothing: the region is dropped.
            let _ = SMALL.try_with(|c| c.borrow_mut().keep(class, region));
        }
    }

    /// A region over memory that `owner` keeps.
    ///
    /// # Safety
    /// While `owner` lives, `data` is good for reading `capacity` initialised bytes, and nobody
    /// writes to them. `data` is a multiple of [`ALIGN`].
    pub(crate) unsafe fn shared(
        data: NonNull<u8>,
        capacity: usize,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Region {
        let origin = Origin::Shared(owner);
        Region {
            data,
            capacity,
            origin,
        }
    }

    /// Whether the one holder of the region may write to it.
    pub(crate) fn is_writable(&self) -> bool {
        match self.origin {
            Origin::Small(_) | Origin::Large => true,
            Origin::Shared(_) => false,
        }
    }

    /// The first byte.
    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.data
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match self.origin {
            // SAFETY: allocated by `system_alloc` with this capacity; dropped once, without a user.
            Origin::Small(_) => unsafe { system_free(self.data, self.capacity) },
            Origin::Large => keep_large(self.data, self.capacity),
            Origin::Shared(_) => {}
        }
    }
}

fn class_of(bytes: usize) -> usize {
    bytes.div_ceil(ALIGN).max(1).next_power_of_two().ilog2() as usize
}

fn layout(capacity: usize) -> Option<Layout> {
    Layout::from_size_align(capacity, ALIGN).ok()
}

fn system_alloc(capacity: usize) -> Option<NonNull<u8>> {
    let layout = layout(capacity)?;
    // SAFETY: capacities are never zero.
    NonNull::new(unsafe { alloc_zeroed(layout) })
}

/// # Safety
/// `data` comes from [`system_alloc`] with the same capacity and is not used any more.
unsafe fn system_free(data: NonNull<u8>, capacity: usize) {
    if let Some(layout) = layout(capacity) {
        // SAFETY: the caller's promise.
        unsafe { dealloc(data.as_ptr(), layout) };
    }
}

thread_local! {
    static SMALL: RefCell<SmallCache> = const {
        RefCell::new(SmallCache { free: [const { Vec::new() }; CLASSES] })
    };
}

/// One thread's free small regions, by class. Each has this one handle.
struct SmallCache {
    free: [Vec<Arc<Region>>; CLASSES],
}

impl SmallCache {
    /// Keeps the region unless there are enough of its class.
    fn keep(&mut self, class: usize, region: Arc<Region>) {
        let limit = ((CLASS_BYTES / ALIGN) >> class).clamp(CLASS_MIN, CLASS_MAX);
        if self.free[class].len() < limit {
            self.free[class].push(region);
        }
    }
}

/// A free large region: address and capacity.
struct Free(NonNull<u8>, usize);

// SAFETY: a free region belongs to whoever holds this value.
unsafe impl Send for Free {}

/// Free large regions of the process, the oldest first.
struct LargeCache {
    free: Vec<Free>,
    bytes: usize,
    limit: usize,
}

fn large_cache() -> MutexGuard<'static, LargeCache> {
    static LARGE_CACHE: OnceLock<Mutex<LargeCache>> = OnceLock::new();
    let cache = LARGE_CACHE.get_or_init(|| {
        Mutex::new(LargeCache {
            free: Vec::new(),
            bytes: 0,
            limit: map::physical_memory() / 4,
        })
    });
    // The cache is consistent between any two statements that can panic.
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bounds the bytes of large free regions kept for reuse (a quarter of the machine's memory at
/// first). What is kept beyond the new bound goes back to the system at once.
pub fn set_cache_limit(bytes: usize) {
    let evicted = {
        let mut cache = large_cache();
        cache.limit = bytes;
        cache.evict(0)
    };
    release(evicted);
}

/// Bytes of large free regions kept for reuse at the moment.
pub fn cached_bytes() -> usize {
    large_cache().bytes
}

impl LargeCache {
    /// Removes the smallest region that fits `bytes` and is not far too large.
    fn find(&mut self, bytes: usize) -> Option<Free> {
        let fits = |c: usize| c >= bytes && c - bytes <= bytes / SLACK;
        let candidates = self.free.iter().enumerate().filter(|(_, f)| fits(f.1));
        let (at, _) = candidates.min_by_key(|(_, f)| f.1)?;
        let found = self.free.remove(at);
        self.bytes -= found.1;
        Some(found)
    }

    /// Removes the oldest regions until `extra` more bytes fit.
    fn evict(&mut self, extra: usize) -> Vec<Free> {
        let mut count = 0;
        while self.bytes.saturating_add(extra) > self.limit && count < self.free.len() {
            self.bytes -= self.free[count].1;
            count += 1;
        }
        self.free.drain(..count).collect()
    }
}

/// Unmaps regions; called without the lock, because unmapping takes long.
fn release(regions: Vec<Free>) {
    for Free(data, capacity) in regions {
        // SAFETY: free regions were mapped with this capacity and have no user.
        unsafe { map::unmap(data, capacity) };
    }
}

/// Eight sizes per doubling, so that slightly different requests can share regions.
fn large_capacity(bytes: usize) -> usize {
    bytes.next_multiple_of((1 << bytes.ilog2()) / 8)
}

fn take_large(bytes: usize) -> Option<(Region, bool)> {
    let origin = Origin::Large;
    let found = large_cache().find(bytes);
    if let Some(Free(data, capacity)) = found {
        let region = Region {
            data,
            capacity,
            origin,
        };
        return Some((region, false));
    }
    let capacity = large_capacity(bytes);
    let data = map::map(capacity).or_else(|| {
        let all = {
            let mut cache = large_cache();
            cache.bytes = 0;
            std::mem::take(&mut cache.free)
        };
        release(all);
        map::map(capacity)
    })?;
    let region = Region {
        data,
        capacity,
        origin,
    };
    Some((region, true))
}

fn keep_large(data: NonNull<u8>, capacity: usize) {
    let evicted = {
        let mut cache = large_cache();
        if capacity > cache.limit {
            vec![Free(data, capacity)]
        } else {
            let evicted = cache.evict(capacity);
            cache.free.push(Free(data, capacity));
            cache.bytes += capacity;
            evicted
        }
    };
    release(evicted);
}

/// Large memory from the kernel.
#[cfg(all(target_os = "linux", not(miri)))]
mod map {
    use std::ptr::{NonNull, null_mut};

    const HUGE_PAGE: usize = 2 << 20;

    /// Zeroed memory, at a multiple of the huge page size if it is that large.
    pub fn map(capacity: usize) -> Option<NonNull<u8>> {
        let huge = capacity >= HUGE_PAGE;
        let length = capacity.checked_add(if huge { HUGE_PAGE } else { 0 })?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let base = unsafe { libc::mmap(null_mut(), length, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return None;
        }
        let base = base.cast::<u8>();
        if !huge {
            return NonNull::new(base);
        }
        let before = base.addr().next_multiple_of(HUGE_PAGE) - base.addr();
        let behind = HUGE_PAGE - before;
        // SAFETY: both ends lie in the mapping just made, outside of what is handed out. Capacities
        // from `HUGE_PAGE` up are multiples of the page size, so are all three boundaries.
        unsafe {
            let data = base.add(before);
            if before > 0 {
                libc::munmap(base.cast(), before);
            }
            if behind > 0 {
                libc::munmap(data.add(capacity).cast(), behind);
            }
            // Advice only: without huge pages everything still works.
            libc::madvise(data.cast(), capacity, libc::MADV_HUGEPAGE);
            NonNull::new(data)
        }
    }

    /// # Safety
    /// `data` comes from [`map`] with the same capacity and is not used any more.
    pub unsafe fn unmap(data: NonNull<u8>, capacity: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(data.as_ptr().cast(), capacity) };
    }

    /// Bytes of memory in the machine.
    pub fn physical_memory() -> usize {
        // SAFETY: both calls only read system parameters.
        let (pages, size) = unsafe {
            (
                libc::sysconf(libc::_SC_PHYS_PAGES),
                libc::sysconf(libc::_SC_PAGESIZE),
            )
        };
        let bytes = |n: libc::c_long| usize::try_from(n).unwrap_or(0);
        bytes(pages).saturating_mul(bytes(size))
    }
}

/// Large memory from the allocator, where mapping is not available.
#[cfg(not(all(target_os = "linux", not(miri))))]
mod map {
    use std::ptr::NonNull;

    pub fn map(capacity: usize) -> Option<NonNull<u8>> {
        super::system_alloc(capacity)
    }

    /// # Safety
    /// `data` comes from [`map`] with the same capacity and is not used any more.
    pub unsafe fn unmap(data: NonNull<u8>, capacity: usize) {
        // SAFETY: the caller's promise.
        unsafe { super::system_free(data, capacity) };
    }

    /// An assumption, for the bound of the cache.
    pub fn physical_memory() -> usize {
        4 << 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_cover_their_sizes() {
        for bytes in [0, 1, 63, 64, 65, 128, 129, 4096, LARGE / 2 + 1, LARGE - 1] {
            assert!(ALIGN << class_of(bytes) >= bytes.max(1));
            assert!(class_of(bytes) < CLASSES);
        }
        for bytes in [LARGE, LARGE + 1, 3 * LARGE + 17, 100 * LARGE + 1] {
            let capacity = large_capacity(bytes);
            assert!(capacity >= bytes && capacity - bytes <= bytes / 8);
            assert_eq!(capacity % 4096, 0);
        }
    }

    #[test]
    fn small_regions_are_reused_by_their_thread() {
        let (a, _) = Region::take(1000).unwrap();
        let (address, other) = (a.data(), a.clone());
        Region::release(a);
        assert_ne!(Region::take(600).unwrap().0.data(), address);
        Region::release(other);
        let (b, fresh) = Region::take(600).unwrap();
        assert_eq!((b.data(), fresh), (address, false));
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for bytes in [usize::MAX, isize::MAX as usize, 1 << 60] {
            assert_eq!(Region::take(bytes).err(), Some(AllocError { bytes }));
        }
    }

    #[test]
    fn large_regions_are_kept_up_to_the_limit() {
        let mut cache = LargeCache {
            free: vec![],
            bytes: 0,
            limit: 10 << 20,
        };
        let region = |n: usize| Free(NonNull::without_provenance(n.try_into().unwrap()), n << 20);
        for n in [4, 3, 2] {
            assert!(cache.evict(n << 20).is_empty());
            cache.bytes += n << 20;
            cache.free.push(region(n));
        }
        assert_eq!(cache.find(5 << 19).map(|f| f.1), Some(3 << 20));
        assert_eq!(cache.find(1 << 20).map(|f| f.1), None, "far too large");
        assert_eq!(cache.bytes, 6 << 20);
        let evicted: Vec<usize> = cache.evict(7 << 20).iter().map(|f| f.1).collect();
        assert_eq!(evicted, [4 << 20], "the oldest goes first");
    }
}
