//! The meaning of every lane-wise operation, on lanes held as bits in a `u64` (upper bits zero).
//!
//! Each function answers with the lane function of an operation on a class, or `None` where the
//! operation does not exist for that class: these tables are also the definition of which
//! combinations are valid.

use super::{Bin, Class, Cmp, Conv, Narrow, ScalarOp, Un};
use half::{bf16, f16};

type Fn1 = fn(u64) -> u64;
type Fn2 = fn(u64, u64) -> u64;
type Fn3 = fn(u64, u64, u64) -> u64;

fn f32_of(bits: u64) -> f32 {
    f32::from_bits(bits as u32)
}

fn f32_bits(value: f32) -> u64 {
    u64::from(value.to_bits())
}

fn i32_of(bits: u64) -> i32 {
    bits as i32
}

fn i32_bits(value: i32) -> u64 {
    u64::from(value as u32)
}

/// A lane function from a function on one float or integer type.
macro_rules! lane {
    (f32, |$($x:ident),+| $e:expr) => { Some(|$($x),+| { $(let $x = f32_of($x);)+ f32_bits($e) }) };
    (f64, |$($x:ident),+| $e:expr) => {
        Some(|$($x),+| { $(let $x = f64::from_bits($x);)+ f64::to_bits($e) })
    };
    (i32, |$($x:ident),+| $e:expr) => { Some(|$($x),+| { $(let $x = i32_of($x);)+ i32_bits($e) }) };
    (i64, |$($x:ident),+| $e:expr) => { Some(|$($x),+| { $(let $x = $x as i64;)+ ($e) as u64 }) };
    (u32, |$($x:ident),+| $e:expr) => {
        Some(|$($x),+| { $(let $x = $x as u32;)+ u64::from($e) })
    };
}

/// The same expression on both float classes; none on others.
macro_rules! floats {
    ($class:expr, |$($x:ident),+| $e:expr) => {
        match $class {
            Class::F32 => lane!(f32, |$($x),+| $e),
            Class::F64 => lane!(f64, |$($x),+| $e),
            Class::I32 | Class::I64 | Class::Mask => None,
        }
    };
}

/// The same expression on both integer classes as signed numbers; none on others.
macro_rules! ints {
    ($class:expr, |$($x:ident),+| $e:expr) => {
        match $class {
            Class::I32 => lane!(i32, |$($x),+| $e),
            Class::I64 => lane!(i64, |$($x),+| $e),
            Class::F32 | Class::F64 | Class::Mask => None,
        }
    };
}

/// The same expression on both integer classes as unsigned numbers; none on others.
macro_rules! uints {
    ($class:expr, |$($x:ident),+| $e:expr) => {
        match $class {
            Class::I32 => lane!(u32, |$($x),+| $e),
            Class::I64 => Some(|$($x),+| $e),
            Class::F32 | Class::F64 | Class::Mask => None,
        }
    };
}

/// `2^(k/16)` for k from 0 on.
pub(crate) const SIXTEENTH_POWERS: [f32; 16] = [
    1.0,
    1.0442737,
    1.0905077,
    1.1387886,
    1.1892071,
    1.2418578,
    1.2968396,
    1.3542556,
    std::f32::consts::SQRT_2,
    1.4768262,
    1.5422108,
    1.6104903,
    1.6817929,
    1.7562522,
    1.8340081,
    1.9152066,
];

/// The lane function of a unary operation.
pub(crate) fn unary(op: Un, class: Class) -> Option<Fn1> {
    match op {
        Un::Neg => match class {
            Class::F32 => Some(|x| x ^ 0x8000_0000),
            Class::F64 => Some(|x| x ^ (1 << 63)),
            Class::I32 | Class::I64 | Class::Mask => ints!(class, |x| x.wrapping_neg()),
        },
        Un::Abs => match class {
            Class::F32 => Some(|x| x & 0x7fff_ffff),
            Class::F64 => Some(|x| x & !(1 << 63)),
            Class::I32 | Class::I64 | Class::Mask => ints!(class, |x| x.wrapping_abs()),
        },
        Un::Floor => floats!(class, |x| x.floor()),
        Un::Round => floats!(class, |x| x.round_ties_even()),
        Un::Trunc => floats!(class, |x| x.trunc()),
        Un::Sqrt => floats!(class, |x| x.sqrt()),
        Un::Not => match class {
            Class::Mask => Some(|x| x ^ 1),
            Class::I32 | Class::I64 | Class::F32 | Class::F64 => uints!(class, |x| !x),
        },
        Un::Wrap(narrow) => match class {
            Class::I32 => match narrow {
                Narrow::U8 => lane!(i32, |x| i32::from(x as u8)),
                Narrow::U16 => lane!(i32, |x| i32::from(x as u16)),
                Narrow::I8 => lane!(i32, |x| i32::from(x as i8)),
                Narrow::I16 => lane!(i32, |x| i32::from(x as i16)),
            },
            Class::I64 | Class::F32 | Class::F64 | Class::Mask => None,
        },
        Un::RoundF16 => match class {
            Class::F32 => lane!(f32, |x| f16::from_f32(x).to_f32()),
            Class::F64 | Class::I32 | Class::I64 | Class::Mask => None,
        },
        Un::RoundBF16 => match class {
            Class::F32 => lane!(f32, |x| bf16::from_f32(x).to_f32()),
            Class::F64 | Class::I32 | Class::I64 | Class::Mask => None,
        },
        Un::SixteenthPower => match class {
            Class::F32 => Some(|x| u64::from(SIXTEENTH_POWERS[(x & 15) as usize].to_bits())),
            Class::F64 | Class::I32 | Class::I64 | Class::Mask => None,
        },
    }
}

/// The lane function of a binary operation. Integer divisions by zero, which programs must not
/// contain, give zero here.
pub(crate) fn binary(op: Bin, class: Class) -> Option<Fn2> {
    match op {
        Bin::Add if class.is_int() => uints!(class, |a, b| a.wrapping_add(b)),
        Bin::Add => floats!(class, |a, b| a + b),
        Bin::Sub if class.is_int() => uints!(class, |a, b| a.wrapping_sub(b)),
        Bin::Sub => floats!(class, |a, b| a - b),
        Bin::Mul if class.is_int() => uints!(class, |a, b| a.wrapping_mul(b)),
        Bin::Mul => floats!(class, |a, b| a * b),
        Bin::MulHighU => match class {
            Class::I32 => Some(|a, b| (a * b) >> 32),
            Class::I64 => Some(|a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64),
            Class::F32 | Class::F64 | Class::Mask => None,
        },
        Bin::Div if class.is_int() => {
            ints!(class, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) })
        }
        Bin::Div => floats!(class, |a, b| a / b),
        Bin::DivU => uints!(class, |a, b| a.checked_div(b).unwrap_or(0)),
        Bin::Rem => ints!(class, |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) }),
        Bin::RemU => uints!(class, |a, b| a.checked_rem(b).unwrap_or(0)),
        Bin::Max if class.is_int() => ints!(class, |a, b| a.max(b)),
        Bin::Max => floats!(class, |a, b| if a > b { a } else { b }),
        Bin::Min if class.is_int() => ints!(class, |a, b| a.min(b)),
        Bin::Min => floats!(class, |a, b| if a < b { a } else { b }),
        Bin::MaxNan => floats!(class, |a, b| if a.is_nan() || a > b { a } else { b }),
        Bin::MinNan => floats!(class, |a, b| if a.is_nan() || a < b { a } else { b }),
        Bin::MaxU => uints!(class, |a, b| a.max(b)),
        Bin::MinU => uints!(class, |a, b| a.min(b)),
        Bin::And => Some(|a, b| a & b),
        Bin::Or => Some(|a, b| a | b),
        Bin::Xor => Some(|a, b| a ^ b),
        Bin::Shl => match class {
            Class::I32 => Some(|a, b| if b < 32 { (a << b) & 0xffff_ffff } else { 0 }),
            Class::I64 => Some(|a, b| if b < 64 { a << b } else { 0 }),
            Class::F32 | Class::F64 | Class::Mask => None,
        },
        Bin::ShrU => match class {
            Class::I32 => Some(|a, b| if b < 32 { a >> b } else { 0 }),
            Class::I64 => Some(|a, b| if b < 64 { a >> b } else { 0 }),
            Class::F32 | Class::F64 | Class::Mask => None,
        },
        Bin::Scale => floats!(class, |a, b| a.scaled(b)),
        Bin::ScaleFloor => floats!(class, |a, b| a.scaled(b.floor())),
        Bin::ShrS => match class {
            Class::I32 => Some(|a, b| i32_bits(i32_of(a) >> b.min(31))),
            Class::I64 => Some(|a, b| ((a as i64) >> b.min(63)) as u64),
            Class::F32 | Class::F64 | Class::Mask => None,
        },
    }
}

/// [`Bin::Scale`].
trait Scaled {
    fn scaled(self, power: Self) -> Self;
}

impl Scaled for f32 {
    fn scaled(self, power: f32) -> f32 {
        // Exact but for the last step.
        (f64::from(self) * f64::from(power).exp2()) as f32
    }
}

impl Scaled for f64 {
    fn scaled(self, power: f64) -> f64 {
        // A factor that leaves a normal number, then the one that may round.
        let first = power.clamp(-1020.0, 1020.0);
        let rest = (power - first).clamp(-1020.0, 1020.0);
        self * first.exp2() * rest.exp2()
    }
}

/// The lane function of the fused multiply-add.
pub(crate) fn fma(class: Class) -> Option<Fn3> {
    floats!(class, |a, b, c| a.mul_add(b, c))
}

/// The lane function of a comparison of two lanes of `class`; the result is a mask lane.
pub(crate) fn compare(op: Cmp, class: Class) -> Option<Fn2> {
    /// One comparison operator on the number types of all four classes.
    macro_rules! ordered {
        ($op:tt) => {
            match class {
                Class::F32 => Some(|a, b| u64::from(f32_of(a) $op f32_of(b))),
                Class::F64 => Some(|a, b| u64::from(f64::from_bits(a) $op f64::from_bits(b))),
                Class::I32 => Some(|a, b| u64::from(i32_of(a) $op i32_of(b))),
                Class::I64 => Some(|a, b| u64::from((a as i64) $op (b as i64))),
                Class::Mask => None,
            }
        };
    }
    match op {
        Cmp::Eq => ordered!(==),
        Cmp::Ne => ordered!(!=),
        Cmp::Lt => ordered!(<),
        Cmp::Le => ordered!(<=),
        Cmp::LtU => class.is_int().then_some(|a, b| u64::from(a < b)),
        Cmp::LeU => class.is_int().then_some(|a, b| u64::from(a <= b)),
    }
}

/// The lane function of a conversion between two classes.
pub(crate) fn convert(op: Conv, from: Class, to: Class) -> Option<Fn1> {
    use Class::{F32, F64, I32, I64, Mask};
    match (op, from, to) {
        (Conv::Float, F32, F64) => Some(|x| f64::from(f32_of(x)).to_bits()),
        (Conv::Float, F64, F32) => Some(|x| f32_bits(f64::from_bits(x) as f32)),
        (Conv::FromInt, I32, F32) => Some(|x| f32_bits(i32_of(x) as f32)),
        (Conv::FromInt, I32, F64) => Some(|x| f64::from(i32_of(x)).to_bits()),
        (Conv::FromInt, I64, F32) => Some(|x| f32_bits(x as i64 as f32)),
        (Conv::FromInt, I64, F64) => Some(|x| (x as i64 as f64).to_bits()),
        (Conv::FromUint, I32 | I64, F32) => Some(|x| f32_bits(x as f32)),
        (Conv::FromUint, I32 | I64, F64) => Some(|x| (x as f64).to_bits()),
        (Conv::ToInt, F32, I32) => Some(|x| i32_bits(f32_of(x) as i32)),
        (Conv::ToInt, F32, I64) => Some(|x| f32_of(x) as i64 as u64),
        (Conv::ToInt, F64, I32) => Some(|x| i32_bits(f64::from_bits(x) as i32)),
        (Conv::ToInt, F64, I64) => Some(|x| f64::from_bits(x) as i64 as u64),
        (Conv::Int, I32, I64) => Some(|x| i64::from(i32_of(x)) as u64),
        (Conv::Int, I64, I32) => Some(|x| x & 0xffff_ffff),
        (Conv::Uint, I32, I64) => Some(|x| x),
        (Conv::Bits, F32, I32) | (Conv::Bits, I32, F32) => Some(|x| x),
        (Conv::Bits, F64, I64) | (Conv::Bits, I64, F64) => Some(|x| x),
        (Conv::FromMask, Mask, I32 | I64) => Some(|x| x),
        (Conv::FromMask, Mask, F32) => Some(|x| f32_bits(x as f32)),
        (Conv::FromMask, Mask, F64) => Some(|x| (x as f64).to_bits()),
        (Conv::SpreadMask, Mask, I32) => Some(|x| x * 0xffff_ffff),
        (Conv::SpreadMask, Mask, I64) => Some(|x| x.wrapping_neg()),
        (
            Conv::Float
            | Conv::FromInt
            | Conv::FromUint
            | Conv::ToInt
            | Conv::Int
            | Conv::Uint
            | Conv::Bits
            | Conv::FromMask
            | Conv::SpreadMask,
            _,
            _,
        ) => None,
    }
}

/// Whether all lanes of a register may be combined with this operation.
pub(crate) fn horizontal(op: Bin, class: Class) -> Option<Fn2> {
    match op {
        Bin::Add
        | Bin::Mul
        | Bin::Max
        | Bin::Min
        | Bin::MaxNan
        | Bin::MinNan
        | Bin::MaxU
        | Bin::MinU
        | Bin::And
        | Bin::Or
        | Bin::Xor => binary(op, class),
        Bin::Sub
        | Bin::MulHighU
        | Bin::Div
        | Bin::DivU
        | Bin::Rem
        | Bin::RemU
        | Bin::Shl
        | Bin::ShrU
        | Bin::ShrS
        | Bin::Scale
        | Bin::ScaleFloor => None,
    }
}

/// The value of a scalar operation on two numbers; `None` for operations without two operands and
/// for divisors that are not positive.
pub(crate) fn scalar(op: ScalarOp, a: i64, b: i64) -> Option<i64> {
    match op {
        ScalarOp::Add(..) => Some(a.wrapping_add(b)),
        ScalarOp::Sub(..) => Some(a.wrapping_sub(b)),
        ScalarOp::Mul(..) => Some(a.wrapping_mul(b)),
        ScalarOp::FloorDiv(..) => (b > 0).then(|| a.div_euclid(b)),
        ScalarOp::Mod(..) => (b > 0).then(|| a.rem_euclid(b)),
        ScalarOp::Min(..) => Some(a.min(b)),
        ScalarOp::Max(..) => Some(a.max(b)),
        ScalarOp::Less(..) => Some(i64::from(a < b)),
        ScalarOp::Const(_)
        | ScalarOp::Buffer(_)
        | ScalarOp::Size(_)
        | ScalarOp::From(_)
        | ScalarOp::To(_)
        | ScalarOp::Pool(_)
        | ScalarOp::Lane(_) => None,
    }
}
