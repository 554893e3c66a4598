//! The buffer: shared, 64-byte aligned bytes.
//!
//! A clone is another handle to the same memory. Memory is written only through the one handle there
//! is ([`Buffer::get_mut`]), or by a running program to buffers that it has just made or was given
//! up to it, so whoever holds a handle sees bytes that never change. All bytes are initialised at all times;
//! `memory` says how.

use crate::Element;
use crate::memory::{AllocError, Region};
use std::fmt;
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

    fn of(region: Region, len: usize) -> Buffer {
        Buffer {
            region: Some(Arc::new(region)),
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
        let data = Arc::get_mut(region)?.data();
        // SAFETY: as for `as_bytes`; there is no other handle, and this one is borrowed mutably.
        Some(unsafe { std::slice::from_raw_parts_mut(data.as_ptr(), len) })
    }

    /// Whether this is the only handle to its memory.
    pub fn is_unique(&mut self) -> bool {
        match &mut self.region {
            Some(region) => Arc::get_mut(region).is_some(),
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

/// Makes dangling pointers as aligned as real ones.
#[repr(align(64))]
struct Aligned;

const _: () = assert!(align_of::<Aligned>() == crate::memory::ALIGN);

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
    fn any_byte_reads_as_bool() {
        let b = Buffer::from_bytes(&[0, 1, 7]).unwrap();
        assert_eq!(b.to_vec::<bool>(), [false, true, true]);
    }
}
