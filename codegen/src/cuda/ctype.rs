//! How element types and register classes look in C.
//!
//! A value is *held* as its register class: bool, 32 or 64 unsigned bits, float or double. Narrow integers are
//! held extended to 32 bits by their signedness, f16 and bf16 as their bits: they are only moved and converted.

use crate::vector::Class;
use lazulite_ir::DType;

/// The type of an element in memory.
pub(super) fn memory(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool | DType::U8 => "u8",
        DType::U16 => "u16",
        DType::U32 => "u32",
        DType::U64 => "u64",
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::F16 => "f16",
        DType::BF16 => "bf16",
        DType::F32 => "float",
        DType::F64 => "double",
        // Kernels hold no complex numbers; their verifier says so.
        DType::C64 | DType::C128 => "void",
    }
}

/// The type of a held value.
pub(super) fn held(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 | DType::BF16 => "u32",
        _ => class(Class::of(dtype)),
    }
}

/// The type of a register of one lane.
pub(super) fn class(class: Class) -> &'static str {
    match class {
        Class::F32 => "float",
        Class::F64 => "double",
        Class::I32 => "u32",
        Class::I64 => "u64",
        Class::Mask => "bool",
    }
}

/// An element read from memory, as a held value.
pub(super) fn to_held(dtype: DType, element: &str) -> String {
    match dtype {
        DType::Bool => format!("{element} != 0"),
        DType::I8 | DType::I16 => format!("(u32)(i32){element}"),
        DType::U8 | DType::U16 | DType::F16 | DType::BF16 | DType::I32 => format!("(u32){element}"),
        DType::I64 => format!("(u64){element}"),
        DType::U32 | DType::U64 | DType::F32 | DType::F64 | DType::C64 | DType::C128 => {
            element.to_owned()
        }
    }
}

/// A held value as an element of memory.
pub(super) fn to_memory(dtype: DType, value: &str) -> String {
    match dtype {
        DType::U32 | DType::U64 | DType::F32 | DType::F64 | DType::C64 | DType::C128 => {
            value.to_owned()
        }
        DType::Bool
        | DType::U8
        | DType::U16
        | DType::I8
        | DType::I16
        | DType::I32
        | DType::I64
        | DType::F16
        | DType::BF16 => format!("({}){value}", memory(dtype)),
    }
}

/// A held value of `dtype` as one of the type that arithmetic takes.
pub(super) fn widened(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F16 => format!("lz_from_f16({value})"),
        DType::BF16 => format!("lz_from_bf16({value})"),
        _ => value.to_owned(),
    }
}

/// The same back.
pub(super) fn narrowed(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F16 => format!("lz_to_f16({value})"),
        DType::BF16 => format!("lz_to_bf16({value})"),
        _ => value.to_owned(),
    }
}

/// A constant of a class by its bits.
pub(super) fn constant(class: Class, bits: u64) -> String {
    match class {
        Class::F32 => format!("lz_float(0x{:x}u)", bits as u32),
        Class::F64 => format!("lz_float(0x{bits:x}ull)"),
        Class::I32 => format!("{}u", bits as u32),
        Class::I64 => format!("{bits}ull"),
        Class::Mask => format!("{}", bits & 1 == 1),
    }
}
