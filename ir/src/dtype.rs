//! Element types and PyTorch's promotion between them.

use std::fmt;

/// The type of one tensor element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum DType {
    /// One byte holding 0 or 1.
    Bool,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// Signed 8-bit integer.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// IEEE half precision.
    F16,
    /// Upper half of an `f32`.
    BF16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// Pair of `f32`: real, imaginary.
    C64,
    /// Pair of `f64`: real, imaginary.
    C128,
}

use DType::*;

impl DType {
    /// Every element type, in declaration order.
    pub const ALL: [DType; 15] = [
        Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64, C64, C128,
    ];

    /// The name used in text and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            U8 => "u8",
            U16 => "u16",
            U32 => "u32",
            U64 => "u64",
            I8 => "i8",
            I16 => "i16",
            I32 => "i32",
            I64 => "i64",
            F16 => "f16",
            BF16 => "bf16",
            F32 => "f32",
            F64 => "f64",
            C64 => "c64",
            C128 => "c128",
        }
    }

    /// The type called `name`, if there is one.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|d| d.name() == name)
    }

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Bool | U8 | I8 => 1,
            U16 | I16 | F16 | BF16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 | C64 => 8,
            C128 => 16,
        }
    }

    /// f16, bf16, f32 or f64.
    pub const fn is_float(self) -> bool {
        matches!(self, F16 | BF16 | F32 | F64)
    }

    /// c64 or c128.
    pub const fn is_complex(self) -> bool {
        matches!(self, C64 | C128)
    }

    /// A float or complex: arithmetic rounds, and values have derivatives.
    pub const fn is_inexact(self) -> bool {
        self.is_float() || self.is_complex()
    }

    /// A signed or unsigned integer (not bool).
    pub const fn is_int(self) -> bool {
        self.is_signed_int() || self.is_unsigned_int()
    }

    /// i8, i16, i32 or i64.
    pub const fn is_signed_int(self) -> bool {
        matches!(self, I8 | I16 | I32 | I64)
    }

    /// u8, u16, u32 or u64 (not bool).
    pub const fn is_unsigned_int(self) -> bool {
        matches!(self, U8 | U16 | U32 | U64)
    }

    /// The type of the real part: f32 for c64, f64 for c128, itself otherwise.
    pub const fn real(self) -> DType {
        match self {
            C64 => F32,
            C128 => F64,
            other => other,
        }
    }

    /// The type in which arithmetic on this type is carried out: f32 for the half floats, itself
    /// otherwise.
    pub const fn compute(self) -> DType {
        match self {
            F16 | BF16 => F32,
            other => other,
        }
    }

    /// The result type of an operation over two tensors with dimensions of these types, as
    /// PyTorch's `promote_types`. The wide unsigned types promote with signed ones to the next
    /// signed type that holds both, i64 at most.
    pub fn promote(self, other: DType) -> DType {
        if self == other {
            return self;
        }
        let (a, b) = if self <= other {
            (self, other)
        } else {
            (other, self)
        };
        match (a, b) {
            (Bool, b) => b,
            (F64, C64) => C128,
            (_, C64 | C128) => b,
            (F16, BF16) => F32,
            (_, F16 | BF16 | F32 | F64) => b,
            (a, b) if a.is_unsigned_int() && b.is_signed_int() => {
                let need = (a.size() * 2).max(b.size()).min(8);
                match need {
                    2 => I16,
                    4 => I32,
                    _ => I64,
                }
            }
            (_, b) => b,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
