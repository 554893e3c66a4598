//! Edge cases of functions of elements.

use super::*;
use crate::{Op, TensorType, Type, infer};
use DType::*;
use half::{bf16, f16};
use proptest::prelude::*;

fn int(dtype: DType, value: i64) -> Scalar {
    Scalar::from_i64(dtype, value)
}

fn real(dtype: DType, value: f64) -> Scalar {
    Scalar::from_f64(dtype, value)
}

fn complex(re: f64, im: f64) -> Scalar {
    Scalar::from_complex(C128, re, im)
}

fn int_op(f: Binary, dtype: DType, a: i64, b: i64) -> i64 {
    binary(f, int(dtype, a), int(dtype, b)).unwrap().as_i64()
}

fn real_op(f: Binary, dtype: DType, a: f64, b: f64) -> f64 {
    binary(f, real(dtype, a), real(dtype, b)).unwrap().as_f64()
}

/// The functions exist exactly where inference says so.
#[test]
fn defined_where_well_typed() {
    for dtype in DType::ALL {
        let ty = Type::Tensor(TensorType::scalar(dtype));
        let fits = |op, inputs: &[&Type]| infer(&op, inputs, &mut vec![]).is_ok();
        let x = int(dtype, 1);
        for &f in Unary::ALL {
            assert_eq!(
                fits(Op::Unary { f }, &[&ty]),
                unary(f, x).is_some(),
                "{f} {dtype}"
            );
        }
        for &f in Binary::ALL {
            let defined = binary(f, x, x).is_some();
            assert_eq!(fits(Op::Binary { f }, &[&ty, &ty]), defined, "{f} {dtype}");
        }
        for &predicate in Predicate::ALL {
            let defined = compare(predicate, x, x).is_some();
            let op = Op::Compare { predicate };
            assert_eq!(fits(op, &[&ty, &ty]), defined, "{predicate} {dtype}");
        }
        for &kind in Combine::ALL {
            let op = Op::Reduce { kind, axes: vec![] };
            assert_eq!(fits(op, &[&ty]), combine(kind, x, x).is_some());
            assert_eq!(
                identity(kind, dtype).is_some(),
                combine(kind, x, x).is_some()
            );
        }
    }
}

#[test]
fn integers_wrap_and_truncate() {
    assert_eq!(int_op(Binary::Add, U8, 200, 100), 44);
    assert_eq!(int_op(Binary::Mul, I8, 100, 3), 44);
    assert_eq!(int_op(Binary::Div, I32, -7, 2), -3);
    assert_eq!(int_op(Binary::Rem, I32, -7, 2), -1);
    assert_eq!(int_op(Binary::Div, I8, -128, -1), -128);
    assert_eq!(int_op(Binary::Rem, I64, i64::MIN, -1), 0);
    assert_eq!(int_op(Binary::Div, I16, 5, 0), 0);
    assert!(is_fault(Binary::Div, int(I16, 0)));
    assert!(!is_fault(Binary::Div, real(F32, 0.0)));
    assert_eq!(unary(Unary::Abs, int(I8, -128)), Some(int(I8, -128)));
    assert_eq!(unary(Unary::Neg, int(U8, 1)), Some(int(U8, 255)));
}

#[test]
fn integer_powers() {
    assert_eq!(int_op(Binary::Pow, I32, 3, 4), 81);
    assert_eq!(int_op(Binary::Pow, U8, 3, 6), 729 % 256);
    assert_eq!(int_op(Binary::Pow, I64, -1, -3), -1);
    assert_eq!(int_op(Binary::Pow, I64, -1, -4), 1);
    assert_eq!(int_op(Binary::Pow, I64, 2, -1), 0);
    assert_eq!(int_op(Binary::Pow, I64, 0, 0), 1);
    assert_eq!(int_op(Binary::Pow, I64, 3, i64::MAX), {
        let mut expected = 1i64;
        let mut square = 3i64;
        for bit in 0..63 {
            if i64::MAX >> bit & 1 == 1 {
                expected = expected.wrapping_mul(square);
            }
            square = square.wrapping_mul(square);
        }
        expected
    });
}

#[test]
fn shifts_out_of_range() {
    assert_eq!(int_op(Binary::Shl, U8, 255, 1), 254);
    assert_eq!(int_op(Binary::Shl, I32, 1, 31), i64::from(i32::MIN));
    assert_eq!(int_op(Binary::Shl, I32, 1, 32), 0);
    assert_eq!(int_op(Binary::Shl, I32, 1, -1), 0);
    assert_eq!(int_op(Binary::Shr, I32, -8, 1), -4);
    assert_eq!(int_op(Binary::Shr, I32, -8, 32), -1);
    assert_eq!(int_op(Binary::Shr, I32, -8, -5), -1);
    assert_eq!(int_op(Binary::Shr, U8, 200, 8), 0);
}

#[test]
fn maxima_propagate_nan() {
    for dtype in [F16, BF16, F32, F64] {
        for f in [Binary::Max, Binary::Min] {
            assert!(real_op(f, dtype, f64::NAN, 1.0).is_nan());
            assert!(real_op(f, dtype, 1.0, f64::NAN).is_nan());
        }
        assert_eq!(real_op(Binary::Max, dtype, -1.0, 2.0), 2.0);
        assert_eq!(real_op(Binary::Min, dtype, -1.0, 2.0), -1.0);
        let second = binary(Binary::Max, real(dtype, 0.0), real(dtype, -0.0));
        assert_eq!(second, Some(real(dtype, -0.0)));
    }
}

#[test]
fn floats_round_once() {
    assert_eq!(real_op(Binary::Add, F16, 2048.0, 1.0), 2048.0);
    assert_eq!(real_op(Binary::Add, F16, 2048.0, 3.0), 2052.0);
    assert_eq!(real_op(Binary::Mul, F16, 300.0, 300.0), f64::INFINITY);
    assert_eq!(real_op(Binary::Add, BF16, 256.0, 1.0), 256.0);
    assert_eq!(real_op(Binary::Div, F32, 1.0, 3.0), f64::from(1f32 / 3f32));
    assert_eq!(real_op(Binary::Rem, F32, -5.5, 2.0), -1.5);
    assert_eq!(unary(Unary::Round, real(F32, 2.5)), Some(real(F32, 2.0)));
    assert_eq!(unary(Unary::Round, real(F32, -0.4)), Some(real(F32, -0.0)));
    assert_eq!(unary(Unary::Neg, real(F32, 0.0)), Some(real(F32, -0.0)));
}

#[test]
fn casts_saturate_then_wrap() {
    let to = |x, dtype| cast(real(F64, x), dtype).as_i64();
    assert_eq!(to(-1.9, I8), -1);
    assert_eq!(to(300.0, U8), 44);
    assert_eq!(to(-1.0, U8), 255);
    assert_eq!(to(1e30, I64), i64::MAX);
    assert_eq!(to(1e30, I32), -1);
    assert_eq!(to(-1e30, I32), 0);
    assert_eq!(to(f64::NAN, I64), 0);
    assert_eq!(to(f64::NAN, Bool), 1);
    assert_eq!(to(0.5, Bool), 1);
    assert_eq!(to(-0.0, Bool), 0);
    assert_eq!(
        cast(real(F64, 1e19), U64).bits(),
        10_000_000_000_000_000_000
    );
    assert_eq!(cast(real(F64, 1e20), U64).bits(), i64::MAX as u128);
    assert_eq!(cast(int(I64, (1 << 24) + 1), F32), real(F32, 16_777_216.0));
    assert_eq!(cast(int(I8, -1), U64).bits(), u128::from(u64::MAX));
    assert_eq!(cast(complex(1.5, 2.0), F32), real(F32, 1.5));
    assert_eq!(cast(complex(0.0, 2.0), Bool), int(Bool, 1));
    assert_eq!(
        cast(real(F32, 2.0), C64),
        Scalar::from_complex(C64, 2.0, 0.0)
    );
    assert_eq!(cast(real(F64, 70000.0), F16), real(F16, f64::INFINITY));
}

#[test]
fn halves_are_reached_by_way_of_f32() {
    // Just above a tie of f16; f32 rounds it to the tie, which then goes to even.
    let above_tie = 1.0 + 2f64.powi(-11) + 2f64.powi(-40);
    assert_eq!(cast(real(F64, above_tie), F16), real(F16, 1.0));
}

#[test]
fn comparisons_with_nan_are_false_except_ne() {
    let (nan, one) = (real(F32, f64::NAN), real(F32, 1.0));
    for &p in Predicate::ALL {
        assert_eq!(compare(p, nan, one), Some(p == Predicate::Ne));
        assert_eq!(compare(p, nan, nan), Some(p == Predicate::Ne));
    }
    let zeros = (real(F16, 0.0), real(F16, -0.0));
    assert_eq!(compare(Predicate::Eq, zeros.0, zeros.1), Some(true));
}

#[test]
fn identities_leave_values_alone() {
    for dtype in DType::ALL {
        for &kind in Combine::ALL {
            for value in [-2.0, 0.0, 1.0, 3.5] {
                let x = cast(real(F64, value), dtype);
                if let Some(start) = identity(kind, dtype) {
                    let result = combine(kind, start, x).unwrap();
                    assert_eq!(result, x, "{kind} {dtype}");
                }
            }
        }
    }
}

fn assert_close(x: Option<Scalar>, re: f64, im: f64) {
    let (a, b) = x.unwrap().as_complex();
    let close =
        |x: f64, y: f64| x == y || (x - y).abs() <= 4e-16 * y.abs() || (x.is_nan() && y.is_nan());
    assert!(close(a, re) && close(b, im), "{a} {b} but {re} {im}");
}

#[test]
fn complex_functions_are_sound() {
    let (inf, nan, pi) = (f64::INFINITY, f64::NAN, std::f64::consts::PI);
    let f = |f, re, im| unary(f, complex(re, im));
    assert_close(f(Unary::Abs, 3e200, 4e200), 5e200, 0.0);
    assert_close(f(Unary::Sqrt, -4.0, 0.0), 0.0, 2.0);
    assert_close(f(Unary::Sqrt, -4.0, -0.0), 0.0, -2.0);
    let tiny = 2f64.powi(-1070);
    let root = 2f64.powi(-535);
    assert_close(f(Unary::Sqrt, 3.0 * tiny, 4.0 * tiny), 2.0 * root, root);
    assert_close(
        f(Unary::Sqrt, 3e307, 4e307),
        40f64.sqrt() * 1e153,
        10f64.sqrt() * 1e153,
    );
    assert_close(f(Unary::Sqrt, nan, inf), inf, inf);
    assert_close(f(Unary::Log, -1.0, 0.0), 0.0, pi);
    assert_close(f(Unary::Log, 1.0, 1e-10), 5e-21, 1e-10);
    assert_close(f(Unary::Log1p, 1e-20, 1e-20), 1e-20, 1e-20);
    assert_close(f(Unary::Exp, -inf, nan), 0.0, 0.0);
    assert_close(f(Unary::Exp, inf, 0.0), inf, 0.0);
    let half = 355f64.exp();
    let (sin, cos) = 1.57f64.sin_cos();
    assert_close(
        f(Unary::Exp, 710.0, 1.57),
        half * cos * half,
        half * sin * half,
    );
    assert_close(f(Unary::Expm1, 1e-20, 1e-20), 1e-20, 1e-20);
    assert_close(f(Unary::Sin, 0.0, inf), 0.0, inf);
    assert_close(f(Unary::Cos, 0.0, 1.0), 1f64.cosh(), 0.0);
    assert_close(f(Unary::Tanh, 1e6, 1.0), 1.0, 0.0);
    assert_close(f(Unary::Tanh, 0.0, 1.0), 0.0, 1f64.tan());
    let div =
        |a: (f64, f64), b: (f64, f64)| binary(Binary::Div, complex(a.0, a.1), complex(b.0, b.1));
    assert_close(div((1e300, 1e300), (1e300, 1e300)), 1.0, 0.0);
    assert_close(div((1.0, 2.0), (0.0, 1.0)), 2.0, -1.0);
    assert_close(div((1.0, 0.0), (inf, 0.0)), 0.0, 0.0);
    assert_close(div((1.0, -1.0), (0.0, 0.0)), inf, -inf);
    let pow =
        |a: (f64, f64), b: (f64, f64)| binary(Binary::Pow, complex(a.0, a.1), complex(b.0, b.1));
    assert_close(pow((0.0, 0.0), (0.0, 0.0)), 1.0, 0.0);
    assert_close(pow((0.0, 0.0), (2.0, 1.0)), 0.0, 0.0);
}

proptest! {
    /// Computing in f64 and rounding is the same as computing in f32, and so is computing in f32
    /// and rounding for the half types.
    #[test]
    fn basic_arithmetic_is_that_of_the_type(a in any::<u32>(), b in any::<u32>()) {
        let (x, y) = (f32::from_bits(a), f32::from_bits(b));
        let native = [x + y, x * y, x / y, x % y];
        let functions = [Binary::Add, Binary::Mul, Binary::Div, Binary::Rem];
        let scalar = |dtype, bits: u32| Scalar::from_bits(dtype, u128::from(bits));
        let value = |x: Option<Scalar>| x.unwrap().as_f64();
        let same = |x: f64, y: f64| x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan());
        for (f, expected) in functions.into_iter().zip(native) {
            let got = value(binary(f, scalar(F32, a), scalar(F32, b)));
            prop_assert!(same(got, f64::from(expected)), "{f} {x} {y}");
        }
        prop_assert!(same(value(unary(Unary::Sqrt, scalar(F32, a))), f64::from(x.sqrt())));
        let (h, k) = (f16::from_bits(a as u16), f16::from_bits(b as u16));
        let sum = f16::from_f32(h.to_f32() + k.to_f32());
        prop_assert!(same(value(binary(Binary::Add, scalar(F16, a), scalar(F16, b))), sum.to_f64()));
        let (h, k) = (bf16::from_bits(a as u16), bf16::from_bits(b as u16));
        let quotient = bf16::from_f32(h.to_f32() / k.to_f32());
        let got = value(binary(Binary::Div, scalar(BF16, a), scalar(BF16, b)));
        prop_assert!(same(got, quotient.to_f64()));
    }

    /// Conversions between integers keep the low bits, and those from floats agree with Rust's
    /// inside the range.
    #[test]
    fn integer_casts_keep_the_low_bits(x in any::<i64>()) {
        for dtype in DType::ALL.into_iter().filter(|d| d.is_int()) {
            let got = cast(int(I64, x), dtype);
            prop_assert_eq!(got, Scalar::from_bits(dtype, x as u128));
        }
        let float = real(F64, x as f64);
        prop_assert_eq!(cast(float, I64).as_i64(), x as f64 as i64);
        let unsigned = x as u64;
        let float = real(F64, unsigned as f64);
        if (unsigned as f64) < 18_446_744_073_709_551_616.0 {
            prop_assert_eq!(cast(float, U64).bits(), u128::from(unsigned as f64 as u64));
        }
        prop_assert_eq!(cast(int(I64, x), F32), Scalar::from_bits(F32, u128::from((x as f32).to_bits())));
    }
}
