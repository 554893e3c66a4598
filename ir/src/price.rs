//! What operations cost: the one table, for everything that has to weigh one way of computing
//! against another. The unit is what an addition takes per element in vector code.
//!
//! Prices say how many vector instructions an operation becomes, and a test of the code generator holds
//! them to that within a factor of two. Where they are wrong programs are slower, never wrong.

use crate::{Binary, InstOp, Op, Unary};

/// The unit, in nanoseconds times 1024 on one core.
pub const UNIT_TIME: i64 = 80;

/// Lanes of the vectors with which the unit takes that long; with more of them it takes less.
pub const UNIT_LANES: i64 = 4;

/// What a kernel spends on an outer point besides its instructions, in nanoseconds times 1024.
pub const POINT_TIME: i64 = 200;

/// A load or store that the caches serve.
pub const ACCESS: u32 = 2;

/// A byte that goes to memory or comes from there, in 1024ths of the unit.
pub const BYTE: u64 = 512;

/// What the caches of a processor hold, about: who moves more leaves nothing in them for later.
pub const CACHE_BYTES: i64 = 32 << 20;

/// A multiplication and addition in a packed matrix product, in 1024ths of the unit.
pub const PRODUCT: u64 = 160;

/// Bringing an element into the layout of a packed matrix product.
pub const PACK: u32 = 2 * ACCESS;

/// Starting a step of a program.
pub const STEP: u32 = 4000;

/// A quotient or remainder, also one inside an index expression.
pub const DIVISION: u32 = 6;

/// Checking an index or a divisor.
pub const CHECK: u32 = 4;

/// Comparing, selecting, converting, combining and whatever else is an instruction or two.
const SIMPLE: u32 = 1;

/// Random bits of one element.
const RANDOM: u32 = 100;

/// A function of one element.
pub const fn unary(f: Unary) -> u32 {
    match f {
        Unary::Neg | Unary::Abs | Unary::Floor | Unary::Round => SIMPLE,
        Unary::Sqrt => 4,
        Unary::Exp => 20,
        Unary::Expm1 => 25,
        Unary::Atan | Unary::Tanh => 30,
        Unary::Log | Unary::Log1p | Unary::Sin | Unary::Cos | Unary::Erf => 50,
    }
}

/// A function of two elements.
pub const fn binary(f: Binary) -> u32 {
    match f {
        Binary::Add
        | Binary::Mul
        | Binary::Max
        | Binary::Min
        | Binary::And
        | Binary::Or
        | Binary::Xor
        | Binary::Shl
        | Binary::Shr => SIMPLE,
        Binary::Div | Binary::Rem => DIVISION,
        Binary::Pow => 80,
    }
}

/// One element of an operation of a graph, by itself. What moves or joins many elements has no price
/// per element: its kernels have.
pub fn op(op: &Op) -> u32 {
    match op {
        Op::Unary { f } => unary(*f),
        Op::Binary { f } => binary(*f),
        Op::Random { .. } => RANDOM,
        Op::Compare { .. } | Op::Select {} | Op::Cast { .. } | Op::Pad { .. } => SIMPLE,
        Op::Gather { .. } => CHECK,
        Op::Input { .. }
        | Op::Const { .. }
        | Op::Size { .. }
        | Op::Iota { .. }
        | Op::Bitcast { .. }
        | Op::Complex {}
        | Op::Real {}
        | Op::Imag {}
        | Op::Reshape { .. }
        | Op::Permute { .. }
        | Op::Barrier {}
        | Op::Expand { .. }
        | Op::Slice { .. }
        | Op::Window { .. }
        | Op::Reduce { .. }
        | Op::Contract { .. }
        | Op::Scan { .. }
        | Op::Fold { .. }
        | Op::Scatter { .. }
        | Op::Sort { .. }
        | Op::Call { .. }
        | Op::If { .. }
        | Op::While { .. }
        | Op::Loop { .. }
        | Op::Custom { .. }
        | Op::Get { .. } => 0,
    }
}

/// An instruction of a kernel at one point, without divisions in its index expression.
pub fn inst(op: &InstOp) -> u32 {
    match op {
        // Made once, outside the loops.
        InstOp::Const(_) => 0,
        InstOp::Load { .. }
        | InstOp::LoadLocal { .. }
        | InstOp::StoreLocal { .. }
        | InstOp::Store { combine: None, .. } => ACCESS,
        InstOp::Store {
            combine: Some(_), ..
        } => 2 * ACCESS,
        InstOp::Unary(f, _) => unary(*f),
        InstOp::Binary(f, _, _) => binary(*f),
        InstOp::Index(_)
        | InstOp::InRange { .. }
        | InstOp::Compare(..)
        | InstOp::Select(..)
        | InstOp::Cast(_)
        | InstOp::Bitcast(_)
        | InstOp::Accumulate(..) => SIMPLE,
        InstOp::Random { .. } => RANDOM,
        InstOp::CheckIndex { .. } | InstOp::CheckDivisor { .. } => CHECK,
    }
}
