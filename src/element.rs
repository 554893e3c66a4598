//! Rust types that are tensor elements.

use half::{bf16, f16};
use lazulite_ir::DType;
use num_complex::Complex;

mod sealed {
    /// Only plain memory types are elements.
    pub trait Sealed {}
}

/// A Rust type that tensor elements can be read as and written from.
pub trait Element: Copy + Send + Sync + sealed::Sealed + 'static {
    /// The element type it stands for.
    const DTYPE: DType;

    /// The memory of a slice.
    fn as_bytes(values: &[Self]) -> &[u8] {
        // SAFETY: the trait is sealed; all implementors are plain numbers (or bool) without
        // padding, so every byte of the slice is initialised, and u8 has no alignment.
        unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
    }

    /// The elements stored in `bytes`, whose length is a multiple of the element size.
    fn from_bytes(bytes: &[u8]) -> Vec<Self> {
        let count = bytes.len() / size_of::<Self>();
        let mut out = Vec::<Self>::with_capacity(count);
        // SAFETY: the trait is sealed, and for all implementors but bool (which overrides this) any
        // bit pattern is a value; the copy fills exactly `count` elements of the new allocation.
        unsafe {
            std::ptr::copy_nonoverlapping(
                bytes.as_ptr(),
                out.as_mut_ptr().cast::<u8>(),
                count * size_of::<Self>(),
            );
            out.set_len(count);
        }
        out
    }
}

impl sealed::Sealed for bool {}

impl Element for bool {
    const DTYPE: DType = DType::Bool;

    fn from_bytes(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().map(|b| *b != 0).collect()
    }
}

macro_rules! elements {
    ($($ty:ty => $dtype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $ty {}

        impl Element for $ty {
            const DTYPE: DType = DType::$dtype;
        }
    )*};
}

elements! {
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64,
    Complex<f32> => C64, Complex<f64> => C128,
}
