//! The buffer: shared, 64-byte aligned bytes.
//!
//! A clone is another handle to the same memory. Memory is written only through the one handle there
//! is ([`Buffer::get_mut`]), or by a running program to buffers that it has just made or was given
//! up to it, so whoever holds a handle sees bytes that never change. All bytes are initialised at all times;
//! `memory` says how. Parts of a buffer and mapped files are buffers that are never written.

use crate::Element;
use crate::memory::{ALIGN, AllocError, Region};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ptr::NonNull;
use std::sync::Arc;

/// Shared bytes. Clones are handles to the same memory.
#[derive(Clone, Default)]
pub struct Buffer {
    /// `None` for buffers made without memory, which are empty.
    region: Option<Arc<Region>>,
    len: usize,
}

impl Buffer {
    /// A buffer without bytes; needs no memory.
    pub const fn empty() -> Buffer {
        Buffer {
            region: None,
            len: 0,
        }
    }

    /// `len` zero bytes.
    ///
    /// # Errors
    /// When there is no memory of that size.
    pub fn zeroed(len: usize) -> Result<Buffer, AllocError> {
        let (region, fresh) = Region::take(len)?;
        if !fresh {
            // SAFETY: the region has at least `len` bytes and nobody else has it yet.
            unsafe { region.data().write_bytes(0, len) };
        }
        Ok(Buffer::of(region, len))
    }

    /// `len` bytes of unspecified, possibly old, content: for results about to be written. Not public, so
    /// that old data is only ever seen where a program fails to write its results.
    pub(crate) fn stale(len: usize) -> Result<Buffer, AllocError> {
        Ok(Buffer::of(Region::take(len)?.0, len))
    }

    fn of(region: Arc<Region>, len: usize) -> Buffer {
        Buffer {
            region: Some(region),
            len,
        }
    }

    /// A copy of `bytes`.
    ///
    /// # Errors
    /// When there is no memory of that size.
    pub fn from_bytes(bytes: &[u8]) -> Result<Buffer, AllocError> {
        let buffer = Buffer::stale(bytes.len())?;
        // SAFETY: the buffer is new, as long as `bytes`, and nobody else has it yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.pointer(), bytes.len()) };
        Ok(buffer)
    }

    /// The next `len` bytes of a file.
    ///
    /// # Errors
    /// When they cannot be read or held.
    pub fn read(file: &mut impl Read, len: usize) -> io::Result<Buffer> {
        let mut buffer = Buffer::stale(len).map_err(io::Error::other)?;
        // The buffer is new, so this is its one handle.
        if let Some(bytes) = buffer.get_mut() {
            file.read_exact(bytes)?;
        }
        Ok(buffer)
    }

    /// All bytes of a file, read when they are needed.
    ///
    /// # Safety
    /// While the buffer or a part of it lives, nobody changes the file's content or makes it shorter.
    ///
    /// # Errors
    /// When the file cannot be mapped.
    pub unsafe fn map(file: &File) -> io::Result<Buffer> {
        let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if len == 0 {
            return Ok(Buffer::empty());
        }
        let mapping = Mapping::new(file, len)?;
        let data = mapping.data;
        // SAFETY: the mapping has `len` bytes from a page's start on; they do not change by the
        // caller's promise.
        let region = unsafe { Region::shared(data, len, Arc::new(mapping)) };
        Ok(Buffer::of(Arc::new(region), len))
    }

    /// Bytes of the program itself: shared if they are aligned as buffers are, else copied.
    ///
    /// # Errors
    /// When a copy is needed and there is no memory.
    pub fn from_static(bytes: &'static [u8]) -> Result<Buffer, AllocError> {
        let data = NonNull::from(bytes).cast::<u8>();
        if bytes.is_empty() || !data.addr().get().is_multiple_of(ALIGN) {
            return Buffer::from_bytes(bytes);
        }
        // SAFETY: nobody ever writes to what a static reference points to; it is aligned.
        let region = unsafe { Region::shared(data, bytes.len(), Arc::new(())) };
        Ok(Buffer::of(Arc::new(region), bytes.len()))
    }

    /// `len` bytes from byte `from` on, as a buffer that keeps this one. `None` if they do not all exist
    /// or do not begin at a multiple of the alignment, 64.
    pub fn part(&self, from: usize, len: usize) -> Option<Buffer> {
        if from.checked_add(len)? > self.len || !from.is_multiple_of(ALIGN) {
            return None;
        }
        let Some(region) = self.region.as_ref().filter(|_| len > 0) else {
            return Some(Buffer::empty());
        };
        // SAFETY: the part lies in the region, which is not written while it has two handles: the caller's
        // and the one that the part keeps, or after the caller's is gone, the one that nobody can reach.
        let region = unsafe { Region::shared(region.data().add(from), len, region.clone()) };
        Some(Buffer::of(Arc::new(region), len))
    }

    /// A copy of `elements`.
    ///
    /// # Errors
    /// When there is no memory of that size.
    pub fn from_slice<T: Plain>(elements: &[T]) -> Result<Buffer, AllocError> {
        // SAFETY: plain types have no padding, so every byte of the slice is initialised.
        let bytes = unsafe {
            std::slice::from_raw_parts(elements.as_ptr().cast::<u8>(), size_of_val(elements))
        };
        Buffer::from_bytes(bytes)
    }

    /// The elements; bytes behind the last whole one are left out.
    pub fn to_vec<T: Plain>(&self) -> Vec<T> {
        let chunks = self.as_bytes().chunks_exact(size_of::<T>());
        chunks.map(T::from_chunk).collect()
    }

    /// Size in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the region holds at least `len` bytes, always initialised, and is not written while
        // there is a handle that is not borrowed mutably.
        unsafe { std::slice::from_raw_parts(self.pointer(), self.len) }
    }

    /// The bytes, if this is the only handle.
    pub fn get_mut(&mut self) -> Option<&mut [u8]> {
        let len = self.len;
        let Some(region) = &mut self.region else {
            return Some(&mut []);
        };
        let data = Arc::get_mut(region).filter(|r| r.is_writable())?.data();
        // SAFETY: as for `as_bytes`; there is no other handle, and this one is borrowed mutably.
        Some(unsafe { std::slice::from_raw_parts_mut(data.as_ptr(), len) })
    }

    /// Whether this is the only handle to its memory, and the memory may be written.
    pub fn is_unique(&mut self) -> bool {
        match &mut self.region {
            Some(region) => Arc::get_mut(region).is_some_and(|r| r.is_writable()),
            None => true,
        }
    }

    /// Whether two handles have the same memory.
    pub fn same_memory(&self, other: &Buffer) -> bool {
        match (&self.region, &other.region) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, _) | (_, None) => false,
        }
    }

    /// The first byte; dangling but aligned when there is no memory.
    #[inline]
    pub(crate) fn pointer(&self) -> *mut u8 {
        match &self.region {
            Some(region) => region.data().as_ptr(),
            None => NonNull::<Aligned>::dangling().as_ptr().cast(),
        }
    }

    /// The same memory, shown up to byte `len`.
    pub(crate) fn shortened(mut self, len: usize) -> Buffer {
        self.len = self.len.min(len);
        self
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if let Some(region) = self.region.take() {
            Region::release(region);
        }
    }
}

/// Makes dangling pointers as aligned as real ones.
#[repr(align(64))]
struct Aligned;

const _: () = assert!(align_of::<Aligned>() == ALIGN);

/// A file in memory.
struct Mapping {
    data: NonNull<u8>,
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no mappings"))]
    len: usize,
}

// SAFETY: a mapping is only read.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

#[cfg(unix)]
impl Mapping {
    fn new(file: &File, len: usize) -> io::Result<Mapping> {
        use std::os::fd::AsRawFd;
        let (protection, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping touches nothing that exists.
        let base = unsafe { libc::mmap(null, len, protection, flags, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let data = NonNull::new(base.cast::<u8>()).ok_or_else(io::Error::last_os_error)?;
        Ok(Mapping { data, len })
    }
}

#[cfg(unix)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and dropped once.
        unsafe { libc::munmap(self.data.as_ptr().cast(), self.len) };
    }
}

#[cfg(not(unix))]
impl Mapping {
    fn new(_file: &File, _len: usize) -> io::Result<Mapping> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

/// Rust types that are elements.
///
/// # Safety
/// The type has no padding bytes.
pub unsafe trait Plain: Copy {
    /// The element type.
    const ELEMENT: Element;

    /// The element held by `size_of::<Self>()` bytes.
    fn from_chunk(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($type:ty => $element:ident),* $(,)?) => {$(
        // SAFETY: numbers have no padding.
        unsafe impl Plain for $type {
            const ELEMENT: Element = Element::$element;

            fn from_chunk(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$type>()];
                array.copy_from_slice(bytes);
                <$type>::from_ne_bytes(array)
            }
        }
    )*};
}

plain! {
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    half::f16 => F16, half::bf16 => BF16, f32 => F32, f64 => F64,
}

// SAFETY: a bool is one byte.
unsafe impl Plain for bool {
    const ELEMENT: Element = Element::Bool;

    fn from_chunk(bytes: &[u8]) -> Self {
        bytes.iter().any(|b| *b != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_share_memory_and_only_a_single_one_writes() {
        let mut a = Buffer::from_slice(&[1.5f32, -2.0]).unwrap();
        assert_eq!(a.pointer().addr() % 64, 0);
        assert!(a.is_unique());
        let b = a.clone();
        assert!(a.same_memory(&b) && !a.is_unique() && a.get_mut().is_none());
        drop(b);
        a.get_mut().unwrap()[..4].copy_from_slice(&7f32.to_ne_bytes());
        assert_eq!(a.to_vec::<f32>(), [7.0, -2.0]);
    }

    #[test]
    fn zeroed_is_zero_even_when_recycled() {
        for len in [0, 1, 64, 1000, 3 << 20] {
            let mut a = Buffer::zeroed(len).unwrap();
            a.get_mut().unwrap().fill(0xAB);
            drop(a);
            let b = Buffer::zeroed(len).unwrap();
            assert!(b.as_bytes().iter().all(|b| *b == 0));
            assert_eq!((b.len(), b.pointer().addr() % 64), (len, 0));
        }
    }

    #[test]
    fn empty_buffers_need_no_memory() {
        let mut e = Buffer::empty();
        assert!(e.is_empty() && e.is_unique() && e.as_bytes().is_empty());
        assert_eq!(e.get_mut(), Some(&mut [][..]));
        assert_eq!(e.to_vec::<u16>(), []);
        assert_eq!(e.pointer().addr() % 64, 0);
    }

    #[test]
    fn sizes_that_cannot_fit_are_errors() {
        let bytes = isize::MAX as usize + 1;
        assert_eq!(Buffer::zeroed(bytes).err(), Some(AllocError { bytes }));
        // Far more than any machine maps.
        assert!(Buffer::zeroed(1 << 50).is_err());
    }

    #[test]
    fn parts_share_memory_and_are_never_written() {
        let bytes: Vec<u8> = (0..200).collect();
        let mut whole = Buffer::from_bytes(&bytes).unwrap();
        let mut part = whole.part(64, 100).unwrap();
        assert_eq!(part.as_bytes(), &bytes[64..164]);
        assert!(whole.get_mut().is_none(), "the part reads it");
        drop(whole);
        assert!(!part.is_unique() && part.get_mut().is_none());
        let inner = part.part(64, 36).unwrap();
        drop(part);
        assert_eq!(inner.as_bytes(), &bytes[128..164]);
        for (from, len) in [(1, 2), (0, 37), (64, 1), (usize::MAX - 63, 64)] {
            assert!(inner.part(from, len).is_none(), "{from} {len}");
        }
        assert!(Buffer::empty().part(0, 0).unwrap().is_empty());
    }

    #[test]
    #[cfg(all(unix, not(miri)))]
    fn mapped_files_are_read_only_buffers() {
        let path = std::env::temp_dir().join(format!("lazulite-map-{}", std::process::id()));
        std::fs::write(&path, [7u8; 100]).unwrap();
        let file = File::open(&path).unwrap();
        // SAFETY: nobody else knows the file.
        let mut mapped = unsafe { Buffer::map(&file) }.unwrap();
        assert!(mapped.as_bytes() == [7; 100] && mapped.get_mut().is_none());
        assert_eq!(mapped.part(64, 36).unwrap().as_bytes(), [7; 36]);
        std::fs::remove_file(&path).unwrap();
        let read = Buffer::read(&mut &[1u8, 2, 3][..], 2).unwrap();
        assert_eq!(read.as_bytes(), [1, 2]);
        assert!(Buffer::read(&mut &[1u8][..], 2).is_err());
    }

    #[test]
    fn any_byte_reads_as_bool() {
        let b = Buffer::from_bytes(&[0, 1, 7]).unwrap();
        assert_eq!(b.to_vec::<bool>(), [false, true, true]);
    }
}
