//! Register classes, and how they hold the elements of memory.

use half::{bf16, f16};
use lazulite_ir::DType;

/// Register classes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// f32 lanes (also holding f16 and bf16 values).
    F32,
    /// f64 lanes.
    F64,
    /// 32-bit integer lanes (also holding narrower integers, extended by their signedness).
    I32,
    /// 64-bit integer lanes.
    I64,
    /// One truth value per lane.
    Mask,
}

impl Class {
    /// The class that holds values of `dtype` (not complex).
    pub fn of(dtype: DType) -> Class {
        match dtype {
            DType::Bool => Class::Mask,
            DType::F16 | DType::BF16 | DType::F32 => Class::F32,
            DType::F64 => Class::F64,
            DType::I64 | DType::U64 => Class::I64,
            _ => Class::I32,
        }
    }

    /// Bits of one lane; a mask lane counts as one bit.
    pub const fn bits(self) -> u32 {
        match self {
            Class::F32 | Class::I32 => 32,
            Class::F64 | Class::I64 => 64,
            Class::Mask => 1,
        }
    }

    /// F32 or F64.
    pub const fn is_float(self) -> bool {
        matches!(self, Class::F32 | Class::F64)
    }

    /// I32 or I64.
    pub const fn is_int(self) -> bool {
        matches!(self, Class::I32 | Class::I64)
    }

    /// The integer class of the same width; masks stay masks.
    pub const fn int(self) -> Class {
        match self {
            Class::F32 | Class::I32 => Class::I32,
            Class::F64 | Class::I64 => Class::I64,
            Class::Mask => Class::Mask,
        }
    }

    /// The class in which elements pass between memory and registers before they are decoded, or once they are
    /// encoded; none for complex numbers.
    pub(crate) fn in_memory(dtype: DType) -> Option<Class> {
        match Coding::of(dtype) {
            _ if dtype.is_complex() => None,
            Coding::Plain => Some(Class::of(dtype)),
            Coding::Truth | Coding::F16 | Coding::BF16 => Some(Class::I32),
        }
    }
}

/// Class and width of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    pub class: Class,
    /// As many lanes as the function's full registers have, else one.
    pub full: bool,
}

impl Kind {
    /// Of a register of so many lanes.
    pub fn of((class, lanes): (Class, u32)) -> Kind {
        Kind {
            class,
            full: lanes > 1,
        }
    }

    /// Same width, other class.
    pub fn with(self, class: Class) -> Kind {
        Kind { class, ..self }
    }

    /// Lanes of 64 bits.
    pub fn is_wide(self) -> bool {
        self.class.bits() == 64
    }

    /// How many machine registers hold the register: two where lanes are wide.
    pub fn parts(self) -> usize {
        if self.full && self.is_wide() { 2 } else { 1 }
    }
}

/// What a lane is of the element in memory that it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    /// The element, extended if it is narrower.
    Plain,
    /// Whether the byte is not 0.
    Truth,
    /// The value of a half float, as f32.
    F16,
    /// The same.
    BF16,
}

impl Coding {
    /// Of elements of a type.
    pub fn of(dtype: DType) -> Coding {
        match dtype {
            DType::Bool => Coding::Truth,
            DType::F16 => Coding::F16,
            DType::BF16 => Coding::BF16,
            DType::U8
            | DType::U16
            | DType::U32
            | DType::U64
            | DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::F32
            | DType::F64
            | DType::C64
            | DType::C128 => Coding::Plain,
        }
    }
}

/// The lane for an element's bits.
pub(crate) fn decode(dtype: DType, bits: u64) -> u64 {
    match Coding::of(dtype) {
        Coding::Plain if dtype == DType::I8 => u64::from(i32::from(bits as i8) as u32),
        Coding::Plain if dtype == DType::I16 => u64::from(i32::from(bits as i16) as u32),
        Coding::Plain => bits,
        Coding::Truth => u64::from(bits != 0),
        Coding::F16 => u64::from(f16::from_bits(bits as u16).to_f32().to_bits()),
        Coding::BF16 => u64::from(bf16::from_bits(bits as u16).to_f32().to_bits()),
    }
}

/// The element's bits for a lane; what lies above its size is arbitrary.
pub(crate) fn encode(dtype: DType, lane: u64) -> u64 {
    match Coding::of(dtype) {
        Coding::Plain | Coding::Truth => lane,
        Coding::F16 => u64::from(f16::from_f32(f32::from_bits(lane as u32)).to_bits()),
        Coding::BF16 => u64::from(bf16::from_f32(f32::from_bits(lane as u32)).to_bits()),
    }
}
