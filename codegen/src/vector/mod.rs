//! The vector IR: a kernel after loop placement, with registers of a chosen number of lanes and
//! explicit memory access. Machine backends consume it, its interpreter is their oracle.
//!
//! Values live in few register classes: narrow integers are held in 32-bit lanes in canonical form
//! (sign or zero extended to 32 bits), f16 and bf16 as f32 values that they can represent, bool as masks.
//! Loads extend, stores truncate. A register has either the function's `lanes` or one lane (tails
//! and uniform code). Control flow is structured; mutable variables carry values around loops.

#[cfg(test)]
pub(crate) mod arbitrary;
mod builder;
mod class;
pub(crate) mod eval;
pub mod interp;
pub mod math;
mod print;
mod verify;

pub use builder::Builder;
pub use class::Class;
pub(crate) use class::{Coding, Kind, decode};
pub use verify::{Invalid, verify};

use lazulite_ir::DType;

/// A vector (or one-lane) value, defined once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reg(pub u32);

/// A scalar 64-bit integer: address, counter, size; defined once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scalar(pub u32);

/// A mutable vector variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VarId(pub u32);

/// A function in vector IR. Its machine signature is [`lazulite_runtime::KernelFn`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Function {
    /// Lanes of full registers.
    pub lanes: u32,
    /// Class and lane count (1 or `lanes`) of each register.
    pub regs: Vec<(Class, u32)>,
    /// Number of scalars.
    pub scalars: u32,
    /// Class and lane count of each variable.
    pub vars: Vec<(Class, u32)>,
    /// Read-only data addressed by [`ScalarOp::Pool`], 64-byte aligned.
    pub pool: Vec<u8>,
    /// Body.
    pub body: Vec<Stmt>,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// Defines a register.
    Let(Reg, Op),
    /// Defines a scalar.
    Scalar(Scalar, ScalarOp),
    /// Writes a variable.
    Set(VarId, Reg),
    /// Writes memory.
    Store {
        /// Element type in memory.
        mem: DType,
        /// Byte address of lane 0 (the common base, for indexed access).
        address: Scalar,
        /// Placement of the lanes.
        access: MemAccess,
        /// What to write.
        value: Reg,
        /// Only lanes whose bit is set.
        mask: Option<Reg>,
        /// Bypass the caches: a hint, for whole vectors at multiples of a register's size.
        non_temporal: bool,
    },
    /// Runs the body with `counter` = from, from+step, ... while `counter + step <= to`; `after` is defined
    /// behind the loop as the first counter value not run.
    For {
        /// Loop counter, defined in the body.
        counter: Scalar,
        /// Defined after the loop.
        after: Scalar,
        /// First value.
        from: Scalar,
        /// Limit.
        to: Scalar,
        /// Positive increment.
        step: i64,
        /// Body.
        body: Vec<Stmt>,
    },
    /// Runs the body if the scalar is not zero.
    IfNonZero(Scalar, Vec<Stmt>),
    /// Runs the body if any lane of the mask is set.
    IfAny(Reg, Vec<Stmt>),
    /// Records a fault for the first lane set in the mask unless one is recorded already: fault number, value and
    /// bound (I64 registers).
    Fault {
        /// Lanes at fault.
        mask: Reg,
        /// Number in the program's table.
        fault: u32,
        /// Offending value.
        value: Reg,
        /// Bound it broke.
        bound: Scalar,
    },
}

impl Stmt {
    /// The statements inside, of those that have a body.
    pub fn body(&self) -> Option<&[Stmt]> {
        match self {
            Stmt::For { body, .. } | Stmt::IfNonZero(_, body) | Stmt::IfAny(_, body) => Some(body),
            Stmt::Let(..)
            | Stmt::Scalar(..)
            | Stmt::Set(..)
            | Stmt::Store { .. }
            | Stmt::Fault { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn body_mut(&mut self) -> Option<&mut Vec<Stmt>> {
        match self {
            Stmt::For { body, .. } | Stmt::IfNonZero(_, body) | Stmt::IfAny(_, body) => Some(body),
            Stmt::Let(..)
            | Stmt::Scalar(..)
            | Stmt::Set(..)
            | Stmt::Store { .. }
            | Stmt::Fault { .. } => None,
        }
    }

    /// The registers that it reads itself, in the order in which machine code asks for them.
    pub fn registers(&self) -> impl Iterator<Item = Reg> + use<> {
        let registers = match *self {
            Stmt::Let(_, op) => op.operands(),
            Stmt::Scalar(_, op) => [op.register(), None, None],
            Stmt::Set(_, value) => [Some(value), None, None],
            Stmt::Store {
                access,
                mask,
                value,
                ..
            } => [access.register(), mask, Some(value)],
            Stmt::For { .. } | Stmt::IfNonZero(..) => [None; 3],
            Stmt::IfAny(mask, _) => [Some(mask), None, None],
            Stmt::Fault { mask, value, .. } => [Some(mask), Some(value), None],
        };
        registers.into_iter().flatten()
    }

    /// The scalars that it reads itself.
    pub fn scalars(&self) -> impl Iterator<Item = Scalar> + use<> {
        let (first, second) = match *self {
            Stmt::Let(_, Op::Splat(scalar) | Op::Ramp(scalar, _)) => (Some(scalar), None),
            Stmt::Let(
                _,
                Op::Load {
                    address, access, ..
                },
            )
            | Stmt::Store {
                address, access, ..
            } => (Some(address), access.stride()),
            Stmt::Scalar(_, op) => op
                .operands()
                .map_or((None, None), |[a, b]| (Some(a), Some(b))),
            Stmt::For { from, to, .. } => (Some(from), Some(to)),
            Stmt::IfNonZero(scalar, _) => (Some(scalar), None),
            Stmt::Fault { bound, .. } => (Some(bound), None),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::IfAny(..) => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// All statements of a body in the order in which they are written, those of bodies inside included.
pub fn statements(body: &[Stmt]) -> impl Iterator<Item = &Stmt> {
    let mut open = vec![body.iter()];
    std::iter::from_fn(move || {
        while let Some(innermost) = open.last_mut() {
            if let Some(stmt) = innermost.next() {
                open.extend(stmt.body().map(<[Stmt]>::iter));
                return Some(stmt);
            }
            open.pop();
        }
        None
    })
}

/// Placement of a register's lanes in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemAccess {
    /// One element after the other.
    Contiguous,
    /// The same element for all lanes (loads only).
    Broadcast,
    /// Lane i at `address + i * stride` bytes.
    Strided(Scalar),
    /// Lane i at `address + index[i] * size` with an I64 register of element indices.
    Indexed(Reg),
}

impl MemAccess {
    /// The register that says where the lanes are, if one does.
    pub fn register(self) -> Option<Reg> {
        match self {
            MemAccess::Indexed(index) => Some(index),
            MemAccess::Contiguous | MemAccess::Broadcast | MemAccess::Strided(_) => None,
        }
    }

    /// The scalar that says how far apart the lanes are, if one does.
    pub fn stride(self) -> Option<Scalar> {
        match self {
            MemAccess::Strided(stride) => Some(stride),
            MemAccess::Contiguous | MemAccess::Broadcast | MemAccess::Indexed(_) => None,
        }
    }
}

/// What defines a register. Operands have the result's class and lanes unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// All lanes equal; bits of the class's element.
    Const(u64),
    /// A scalar in all lanes (I64; truncated for I32).
    Splat(Scalar),
    /// `scalar + lane number * step` (I64 or I32).
    Ramp(Scalar, i64),
    /// Value of a variable.
    Get(VarId),
    /// Reads memory, converted to the class: narrow integers extended by signedness, f16 and
    /// bf16 widened to f32, bool to mask. Lanes not in the mask are zero and not accessed.
    Load {
        /// Element type in memory.
        mem: DType,
        /// Byte address of lane 0 (the common base, for indexed access).
        address: Scalar,
        /// Placement of the lanes.
        access: MemAccess,
        /// Lanes to read.
        mask: Option<Reg>,
    },
    /// One operand.
    Unary(Un, Reg),
    /// Two operands.
    Binary(Bin, Reg, Reg),
    /// `a * b + c`, rounded once (floats).
    Fma(Reg, Reg, Reg),
    /// Comparison of two registers of equal class (not masks); the result is a mask.
    Compare(Cmp, Reg, Reg),
    /// First operand (a mask) chooses.
    Select(Reg, Reg, Reg),
    /// Change of class.
    Convert(Conv, Reg),
    /// Combination of all lanes, one lane wide, by halves: lane `i` is combined with lane `i + n/2`
    /// until one is left. For operations that are associative (rounding aside).
    Horizontal(Bin, Reg),
    /// The value of a one-lane register in all lanes.
    SplatLane(Reg),
}

impl Op {
    /// The registers that it reads.
    pub fn registers(self) -> impl Iterator<Item = Reg> {
        self.operands().into_iter().flatten()
    }

    fn operands(self) -> [Option<Reg>; 3] {
        match self {
            Op::Const(_) | Op::Splat(_) | Op::Ramp(..) | Op::Get(_) => [None; 3],
            Op::Load { access, mask, .. } => [access.register(), mask, None],
            Op::Unary(_, a) | Op::Convert(_, a) | Op::Horizontal(_, a) | Op::SplatLane(a) => {
                [Some(a), None, None]
            }
            Op::Binary(_, a, b) | Op::Compare(_, a, b) => [Some(a), Some(b), None],
            Op::Fma(a, b, c) | Op::Select(a, b, c) => [Some(a), Some(b), Some(c)],
        }
    }
}

/// Operations on one register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Un {
    /// Negation (floats flip the sign, integers wrap).
    Neg,
    /// Absolute value (floats clear the sign, integers wrap).
    Abs,
    /// Towards minus infinity (floats).
    Floor,
    /// To nearest even (floats).
    Round,
    /// Towards zero (floats).
    Trunc,
    /// Square root (floats).
    Sqrt,
    /// Bitwise complement (integers, masks).
    Not,
    /// Truncation to the width of a narrow type and extension back (I32).
    Wrap(Narrow),
    /// Rounding to the precision of f16, kept as f32.
    RoundF16,
    /// Rounding to the precision of bf16, kept as f32.
    RoundBF16,
    /// `2^(k/16)`, rounded, for the number `k` that the low four bits make (F32).
    SixteenthPower,
}

/// Narrow integer types.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Narrow {
    U8,
    U16,
    I8,
    I16,
}

/// Operations on two registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bin {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product (low half for integers).
    Mul,
    /// High half of the unsigned product (I32, I64).
    MulHighU,
    /// Quotient: floats; integers signed, truncating (divisor never 0; MIN / -1 wraps).
    Div,
    /// Unsigned quotient.
    DivU,
    /// Signed remainder (divisor never 0; MIN % -1 is 0).
    Rem,
    /// Unsigned remainder.
    RemU,
    /// `a > b ? a : b` on floats (NaN in either gives b); signed on integers.
    Max,
    /// `a < b ? a : b` on floats (NaN in either gives b); signed on integers.
    Min,
    /// NaN-propagating maximum (floats); `b` if they are equal.
    MaxNan,
    /// NaN-propagating minimum (floats); `b` if they are equal.
    MinNan,
    /// Unsigned maximum.
    MaxU,
    /// Unsigned minimum.
    MinU,
    /// Bitwise and (also floats as bits, and masks).
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    Xor,
    /// Left shift; counts at or over the lane width give 0.
    Shl,
    /// Logical right shift; counts at or over the lane width give 0.
    ShrU,
    /// Arithmetic right shift; counts at or over the lane width act as width - 1.
    ShrS,
    /// `a` times 2 to the power `b`, rounded once (floats). `a` is NaN or of a size between 1/4 and 4, `b` is an
    /// integer between -240 and 240 for F32, -2000 and 2000 for F64.
    Scale,
    /// The same with `b` rounded down.
    ScaleFloor,
}

/// Comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cmp {
    /// Equal (ordered for floats).
    Eq,
    /// Not equal (true for NaN).
    Ne,
    /// Signed or ordered less.
    Lt,
    /// Signed or ordered less or equal.
    Le,
    /// Unsigned less (integers).
    LtU,
    /// Unsigned less or equal (integers).
    LeU,
}

/// Changes of class; the result's class decides the target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Conv {
    /// F32 to F64, or F64 to F32 (rounding to nearest even).
    Float,
    /// Signed integer (I32, I64) to float (F32, F64), rounded once.
    FromInt,
    /// Unsigned integer to float, rounded once.
    FromUint,
    /// Float to I64 or I32, truncating, saturating, NaN to 0.
    ToInt,
    /// I32 to I64 with sign, or I64 to I32 by truncation.
    Int,
    /// I32 to I64 with zeros.
    Uint,
    /// Same bits: F32 and I32, F64 and I64.
    Bits,
    /// Mask to 0 or 1 (I32, I64, F32, F64).
    FromMask,
    /// Mask to all zeros or all ones (I32, I64).
    SpreadMask,
}

/// What defines a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ScalarOp {
    /// A number.
    Const(i64),
    /// Pointer number n of the buffers argument.
    Buffer(u32),
    /// Value number n of the sizes argument.
    Size(u32),
    /// Start of outer range n's box.
    From(u32),
    /// End of outer range n's box.
    To(u32),
    /// Address of byte n of the pool.
    Pool(u32),
    /// Wrapping sum.
    Add(Scalar, Scalar),
    /// Wrapping difference.
    Sub(Scalar, Scalar),
    /// Wrapping product.
    Mul(Scalar, Scalar),
    /// Floor division by a positive number.
    FloorDiv(Scalar, Scalar),
    /// Remainder of it, never negative.
    Mod(Scalar, Scalar),
    /// Signed minimum.
    Min(Scalar, Scalar),
    /// Signed maximum.
    Max(Scalar, Scalar),
    /// 1 if less (signed), else 0.
    Less(Scalar, Scalar),
    /// Lane 0 of a one-lane I64 register.
    Lane(Reg),
}

impl ScalarOp {
    /// The two scalars that arithmetic takes; `None` for what takes none.
    pub fn operands(self) -> Option<[Scalar; 2]> {
        match self {
            ScalarOp::Add(a, b)
            | ScalarOp::Sub(a, b)
            | ScalarOp::Mul(a, b)
            | ScalarOp::FloorDiv(a, b)
            | ScalarOp::Mod(a, b)
            | ScalarOp::Min(a, b)
            | ScalarOp::Max(a, b)
            | ScalarOp::Less(a, b) => Some([a, b]),
            ScalarOp::Const(_)
            | ScalarOp::Buffer(_)
            | ScalarOp::Size(_)
            | ScalarOp::From(_)
            | ScalarOp::To(_)
            | ScalarOp::Pool(_)
            | ScalarOp::Lane(_) => None,
        }
    }

    /// The register that it looks into, if it does.
    pub fn register(self) -> Option<Reg> {
        match self {
            ScalarOp::Lane(reg) => Some(reg),
            _ => None,
        }
    }
}
