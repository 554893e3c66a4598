//! Integers, which wrap, and bool.

use super::{Element, Number, impl_memory};
use crate::{Binary, DType, Predicate, Unary};
use std::cmp::Ordering;

/// All comparisons of a totally ordered type.
macro_rules! impl_ordered {
    () => {
        fn compare(predicate: Predicate) -> Option<fn(Self, Self) -> bool> {
            Some(match predicate {
                Predicate::Lt => |a, b| a < b,
                Predicate::Le => |a, b| a <= b,
                Predicate::Eq => |a, b| a == b,
                Predicate::Ne => |a, b| a != b,
            })
        }

        fn order(self, other: Self) -> Ordering {
            self.cmp(&other)
        }
    };
}

macro_rules! impl_int {
    ($($T:ident $dtype:ident $abs:expr;)*) => { $(
        impl Element for $T {
            const DTYPE: DType = DType::$dtype;
            type Acc = $T;

            impl_memory!();
            impl_ordered!();

            fn number(self) -> Number {
                Number::Int(i128::from(self))
            }

            fn from_number(number: Number) -> Self {
                number.integer(Self::DTYPE == DType::U64) as $T
            }

            fn unary(f: Unary) -> Option<fn(Self) -> Self> {
                match f {
                    Unary::Neg => Some($T::wrapping_neg),
                    Unary::Abs => Some($abs),
                    Unary::Floor
                    | Unary::Round
                    | Unary::Sqrt
                    | Unary::Exp
                    | Unary::Expm1
                    | Unary::Log
                    | Unary::Log1p
                    | Unary::Sin
                    | Unary::Cos
                    | Unary::Tanh
                    | Unary::Atan
                    | Unary::Erf => None,
                }
            }

            fn binary(f: Binary) -> Option<fn(Self, Self) -> Self> {
                Some(match f {
                    Binary::Add => $T::wrapping_add,
                    Binary::Mul => $T::wrapping_mul,
                    Binary::Div => |a, b| if b == 0 { 0 } else { a.wrapping_div(b) },
                    Binary::Rem => |a, b| if b == 0 { 0 } else { a.wrapping_rem(b) },
                    Binary::Max => |a, b| a.max(b),
                    Binary::Min => |a, b| a.min(b),
                    Binary::Pow => |a, b| power(i128::from(a), i128::from(b)) as $T,
                    Binary::And => |a, b| a & b,
                    Binary::Or => |a, b| a | b,
                    Binary::Xor => |a, b| a ^ b,
                    Binary::Shl => |a, b| match shift_count(i128::from(b), $T::BITS) {
                        Some(count) => a << count,
                        None => 0,
                    },
                    Binary::Shr => |a, b| match shift_count(i128::from(b), $T::BITS) {
                        Some(count) => a >> count,
                        None if i128::from(a) < 0 => !0,
                        None => 0,
                    },
                })
            }

            fn limits() -> Option<[Self; 2]> {
                Some([$T::MIN, $T::MAX])
            }
        }
    )* };
}

impl_int! {
    u8 U8 |x| x;
    u16 U16 |x| x;
    u32 U32 |x| x;
    u64 U64 |x| x;
    i8 I8 i8::wrapping_abs;
    i16 I16 i16::wrapping_abs;
    i32 I32 i32::wrapping_abs;
    i64 I64 i64::wrapping_abs;
}

/// `base` to the power `exponent`; the low 128 bits, of which any integer type's are a part.
fn power(base: i128, exponent: i128) -> i128 {
    if exponent < 0 {
        return match base {
            1 => 1,
            -1 if exponent % 2 == 0 => 1,
            -1 => -1,
            _ => 0,
        };
    }
    let (mut result, mut square, mut rest) = (1i128, base, exponent);
    while rest > 0 {
        if rest % 2 == 1 {
            result = result.wrapping_mul(square);
        }
        square = square.wrapping_mul(square);
        rest /= 2;
    }
    result
}

fn shift_count(count: i128, bits: u32) -> Option<u32> {
    u32::try_from(count).ok().filter(|&c| c < bits)
}

impl Element for bool {
    const DTYPE: DType = DType::Bool;
    type Acc = bool;

    impl_ordered!();

    fn load(bytes: &[u8], index: usize) -> Self {
        bytes[index] != 0
    }

    fn store(self, bytes: &mut [u8], index: usize) {
        bytes[index] = u8::from(self);
    }

    fn number(self) -> Number {
        Number::Int(i128::from(self))
    }

    fn from_number(number: Number) -> Self {
        number.is_nonzero()
    }

    fn unary(_: Unary) -> Option<fn(Self) -> Self> {
        None
    }

    fn binary(f: Binary) -> Option<fn(Self, Self) -> Self> {
        match f {
            Binary::Add | Binary::Max | Binary::Or => Some(|a, b| a | b),
            Binary::Mul | Binary::Min | Binary::And => Some(|a, b| a & b),
            Binary::Xor => Some(|a, b| a ^ b),
            Binary::Div | Binary::Rem | Binary::Pow | Binary::Shl | Binary::Shr => None,
        }
    }

    fn limits() -> Option<[Self; 2]> {
        Some([false, true])
    }
}
