//! Real floats. Every function is computed in f64 and rounded once to f32; the half types are
//! rounded from that f32, as if they had been converted to it before.
//!
//! For sums, products, quotients and square roots of f32 this is the same as computing in f32:
//! f64 has more than twice the bits.

use super::{Element, Number, impl_memory};
use crate::{Binary, DType, Predicate, Unary};
use half::{bf16, f16};
use std::cmp::Ordering;

macro_rules! impl_float {
    ($($T:ident $dtype:ident: widen $widen:expr, narrow $narrow:expr, cast $cast:expr;)*) => { $(
        impl Element for $T {
            const DTYPE: DType = DType::$dtype;
            type Acc = f64;

            impl_memory!();

            fn number(self) -> Number {
                Number::Real(($widen)(self))
            }

            fn from_number(number: Number) -> Self {
                ($cast)(number)
            }

            fn unary(f: Unary) -> Option<fn(Self) -> Self> {
                Some(match f {
                    Unary::Neg => |x| -x,
                    Unary::Abs => |x| ($narrow)(($widen)(x).abs()),
                    Unary::Floor => |x| ($narrow)(($widen)(x).floor()),
                    Unary::Round => |x| ($narrow)(($widen)(x).round_ties_even()),
                    Unary::Sqrt => |x| ($narrow)(($widen)(x).sqrt()),
                    Unary::Exp => |x| ($narrow)(($widen)(x).exp()),
                    Unary::Expm1 => |x| ($narrow)(($widen)(x).exp_m1()),
                    Unary::Log => |x| ($narrow)(($widen)(x).ln()),
                    Unary::Log1p => |x| ($narrow)(($widen)(x).ln_1p()),
                    Unary::Sin => |x| ($narrow)(($widen)(x).sin()),
                    Unary::Cos => |x| ($narrow)(($widen)(x).cos()),
                    Unary::Tanh => |x| ($narrow)(($widen)(x).tanh()),
                    Unary::Atan => |x| ($narrow)(($widen)(x).atan()),
                    Unary::Erf => |x| ($narrow)(libm::erf(($widen)(x))),
                })
            }

            fn binary(f: Binary) -> Option<fn(Self, Self) -> Self> {
                match f {
                    Binary::Add => Some(|a, b| ($narrow)(($widen)(a) + ($widen)(b))),
                    Binary::Mul => Some(|a, b| ($narrow)(($widen)(a) * ($widen)(b))),
                    Binary::Div => Some(|a, b| ($narrow)(($widen)(a) / ($widen)(b))),
                    Binary::Rem => Some(|a, b| ($narrow)(($widen)(a) % ($widen)(b))),
                    Binary::Max => Some(|a, b| if a.is_nan() || a > b { a } else { b }),
                    Binary::Min => Some(|a, b| if a.is_nan() || a < b { a } else { b }),
                    Binary::Pow => Some(|a, b| ($narrow)(($widen)(a).powf(($widen)(b)))),
                    Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr => None,
                }
            }

            fn compare(predicate: Predicate) -> Option<fn(Self, Self) -> bool> {
                Some(match predicate {
                    Predicate::Lt => |a, b| a < b,
                    Predicate::Le => |a, b| a <= b,
                    Predicate::Eq => |a, b| a == b,
                    Predicate::Ne => |a, b| a != b,
                })
            }

            fn order(self, other: Self) -> Ordering {
                // A comparison without answer has a NaN on one side at least.
                self.partial_cmp(&other)
                    .unwrap_or_else(|| self.is_nan().cmp(&other.is_nan()))
            }

            fn limits() -> Option<[Self; 2]> {
                Some([$T::NEG_INFINITY, $T::INFINITY])
            }
        }
    )* };
}

impl_float! {
    f16 F16: widen f16::to_f64, narrow |r: f64| f16::from_f32(r as f32),
        cast |n: Number| f16::from_f32(n.real_f32());
    bf16 BF16: widen bf16::to_f64, narrow |r: f64| bf16::from_f32(r as f32),
        cast |n: Number| bf16::from_f32(n.real_f32());
    f32 F32: widen f64::from, narrow |r: f64| r as f32, cast |n: Number| n.real_f32();
    f64 F64: widen f64::from, narrow |r: f64| r, cast |n: Number| n.real();
}
