//! Every operation against values computed by hand, or by a plain loop.

use lazulite::prelude::*;
use lazulite::{Element, ErrorKind, RunningStats};
use std::fmt::Debug;

#[track_caller]
fn is<T: Element + PartialEq + Debug>(t: &Tensor, dims: &[usize], expected: &[T]) {
    assert_eq!(t.dims().unwrap(), dims);
    assert_eq!(t.to_vec::<T>().unwrap(), expected);
}

#[track_caller]
fn near(t: &Tensor, expected: &[f64]) {
    let found = t.cast(DType::F64).to_vec::<f64>().unwrap();
    let close = |(a, b): (&f64, &f64)| {
        (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-5 * b.abs().max(1.0)
    };
    let fine = found.len() == expected.len() && found.iter().zip(expected).all(close);
    assert!(fine, "{found:?} is not {expected:?}");
}

fn v<T: Element, const N: usize>(values: [T; N]) -> Tensor {
    Tensor::from_slice(&values, [N])
}

/// 0 to 5 in two rows.
fn rows() -> Tensor {
    Tensor::iota(6).reshape([2, 3])
}

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

#[test]
fn functions_of_one_element() {
    type Case = (&'static str, fn(&Tensor) -> Tensor, fn(f64) -> f64);
    let gelu_tanh =
        |x: f64| 0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044715 * x.powi(3))).tanh());
    let cases: [Case; 21] = [
        ("sqrt", Tensor::sqrt, f64::sqrt),
        ("exp", Tensor::exp, f64::exp),
        ("expm1", Tensor::expm1, f64::exp_m1),
        ("log", Tensor::log, f64::ln),
        ("log1p", Tensor::log1p, f64::ln_1p),
        ("sin", Tensor::sin, f64::sin),
        ("cos", Tensor::cos, f64::cos),
        ("tanh", Tensor::tanh, f64::tanh),
        ("atan", Tensor::atan, f64::atan),
        ("floor", Tensor::floor, f64::floor),
        ("round", Tensor::round, f64::round_ties_even),
        ("ceil", Tensor::ceil, f64::ceil),
        ("trunc", Tensor::trunc, f64::trunc),
        ("neg", Tensor::neg, |x| -x),
        ("abs", Tensor::abs, f64::abs),
        ("reciprocal", Tensor::reciprocal, f64::recip),
        ("rsqrt", Tensor::rsqrt, |x| x.sqrt().recip()),
        ("square", Tensor::square, |x| x * x),
        ("sigmoid", Tensor::sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        ("silu", Tensor::silu, |x| x / (1.0 + (-x).exp())),
        ("gelu_tanh", Tensor::gelu_tanh, gelu_tanh),
    ];
    let xs = [
        -3.5f32, -2.5, -1.0, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5, 2.5, 10.0, NAN,
    ];
    for (name, ours, reference) in cases {
        let expected = xs.map(|x| reference(f64::from(x)));
        println!("{name}");
        near(&ours(&v(xs)), &expected);
    }
    near(
        &v([-1.0f32, 0.0, 0.5, INF]).erf(),
        &[-0.842_700_79, 0.0, 0.520_499_88, 1.0],
    );
    near(
        &v([-1.0f32, 0.0, 1.0]).gelu(),
        &[-0.158_655_25, 0.0, 0.841_344_75],
    );
    is(
        &v([-2.0f32, 0.0, NAN, 3.0]).sign(),
        &[4],
        &[-1.0f32, 0.0, 0.0, 1.0],
    );
    near(&v([-2.0f32, 3.0, NAN]).relu(), &[0.0, 3.0, f64::NAN]);
    near(&v([4i32, 9]).sqrt(), &[2.0, 3.0]);
    is(&v([-7i64, 7]).floor(), &[2], &[-7i64, 7]);
    is(&v([i8::MIN, 5]).abs(), &[2], &[i8::MIN, 5]);
}

#[test]
fn division_has_pytorchs_signs() {
    let (a, b) = (v([7i32, -7, 7, -7, 6]), v([3i32, 3, -3, -3, -3]));
    is(&a.remainder(&b), &[5], &[1i32, 2, -2, -1, 0]);
    is(&a.fmod(&b), &[5], &[1i32, -1, 1, -1, 0]);
    is(&a.floor_divide(&b), &[5], &[2i32, -3, -3, 2, -2]);
    is(&a.div_trunc(&b), &[5], &[2i32, -2, -2, 2, -2]);
    near(
        &a.div(&b),
        &[7.0 / 3.0, -7.0 / 3.0, -7.0 / 3.0, 7.0 / 3.0, -2.0],
    );
    let (a, b) = (v([5.5f32, -5.5, 5.5, -5.5]), v([2.0f32, 2.0, -2.0, -2.0]));
    is(&a.remainder(&b), &[4], &[1.5f32, 0.5, -0.5, -1.5]);
    is(&a.fmod(&b), &[4], &[1.5f32, -1.5, 1.5, -1.5]);
    is(&a.floor_divide(&b), &[4], &[2.0f32, -3.0, -3.0, 2.0]);
    near(
        &v([1.0f32, -1.0, 0.0]).div(0),
        &[f64::INFINITY, f64::NEG_INFINITY, f64::NAN],
    );
    assert!(v([1i32]).floor_divide(0).to_vec::<i32>().is_err());
    assert!((v([1i32]) % 0).to_vec::<i32>().is_err());
}

#[test]
fn arithmetic_wraps_and_broadcasts() {
    is(&(v([250u8, 5]) + v([10u8, 1])), &[2], &[4u8, 6]);
    is(&(v([1u8]) - v([2u8])), &[1], &[255u8]);
    is(
        &(rows() + v([10i64, 20, 30])),
        &[2, 3],
        &[10i64, 21, 32, 13, 24, 35],
    );
    is(
        &(v([1i64, 2]).unsqueeze(1) * v([3i64, 4])),
        &[2, 2],
        &[3i64, 4, 6, 8],
    );
    is(&v([2i32, -2, 3]).pow(3), &[3], &[8i32, -8, 27]);
    near(&v([2.0f32, 4.0]).pow(0.5), &[2f64.sqrt(), 2.0]);
    near(&v([1.0f32, NAN]).maximum(v([NAN, 2.0f32])), &[f64::NAN; 2]);
    near(&v([1.0f32, 5.0]).minimum(2), &[1.0, 2.0]);
    near(
        &v([-2.0f32, 0.5, 9.0, NAN]).clamp(-1, 1),
        &[-1.0, 0.5, 1.0, f64::NAN],
    );
    is(&(2 - v([1i64, 5])), &[2], &[1i64, -3]);
    assert!((v([1i64, 2]) + v([1i64, 2, 3])).check().is_err());
}

#[test]
fn bits_and_logic() {
    let (a, b) = (v([0b1100u8, 0xff]), v([0b1010u8, 0x0f]));
    is(&(&a & &b), &[2], &[0b1000u8, 0x0f]);
    is(&(&a | &b), &[2], &[0b1110u8, 0xff]);
    is(&(&a ^ &b), &[2], &[0b0110u8, 0xf0]);
    is(&!&a, &[2], &[0xf3u8, 0]);
    is(&!v([true, false]), &[2], &[false, true]);
    is(&(v([1i32, -8]) << 2), &[2], &[4i32, -32]);
    is(&(v([9i32, -8]) >> 2), &[2], &[2i32, -2]);
    let (p, q) = (v([0i32, 0, 2, 2]), v([0.0f32, 1.0, 0.0, NAN]));
    is(&p.logical_and(&q), &[4], &[false, false, false, true]);
    is(&p.logical_or(&q), &[4], &[false, true, true, true]);
    is(&p.logical_xor(&q), &[4], &[false, true, true, false]);
    is(&p.logical_not(), &[4], &[true, true, false, false]);
}

#[test]
fn comparisons_and_choice() {
    let (a, b) = (v([1.0f32, 2.0, NAN]), v([2.0f32, 2.0, NAN]));
    is(&a.lt(&b), &[3], &[true, false, false]);
    is(&a.le(&b), &[3], &[true, true, false]);
    is(&a.gt(&b), &[3], &[false, false, false]);
    is(&a.ge(&b), &[3], &[false, true, false]);
    is(&a.eq(&b), &[3], &[false, true, false]);
    is(&a.ne(&b), &[3], &[true, false, true]);
    is(&v([u64::MAX, 1]).gt(v([2u64, 2])), &[2], &[true, false]);
    let x = v([1.0f32, NAN, INF, -INF]);
    is(&x.isnan(), &[4], &[false, true, false, false]);
    is(&x.isinf(), &[4], &[false, false, true, true]);
    is(&x.isfinite(), &[4], &[true, false, false, false]);
    is(
        &v([true, false]).where_(v([1i32, 2]), -1),
        &[2],
        &[1i32, -1],
    );
    is(
        &v([1i32, 2]).masked_fill(&v([false, true]), 7),
        &[2],
        &[1i32, 7],
    );
}

#[test]
fn promotion_is_pytorchs() {
    use DType::*;
    let of = |d: DType| Tensor::ones([1]).cast(d);
    let pairs = [
        (U8, I8, I16),
        (I32, I64, I64),
        (I64, F16, F16),
        (F16, BF16, F32),
        (F32, F64, F64),
        (Bool, U8, U8),
        (F64, C64, C128),
        (I64, C64, C64),
    ];
    for (a, b, expected) in pairs {
        assert_eq!((of(a) + of(b)).dtype().unwrap(), expected, "{a} and {b}");
    }
    assert_eq!((of(I32) + 1.5).dtype().unwrap(), F32);
    assert_eq!((of(I32) / of(I32)).dtype().unwrap(), F32);
    assert_eq!((of(F16) + Tensor::scalar(1.0f64)).dtype().unwrap(), F16);
    assert_eq!((of(Bool) + true).dtype().unwrap(), Bool);
    assert_eq!(of(U8).sum(..).dtype().unwrap(), I64);
    is(&v([1.9f32, -1.9, 0.0]).cast(I32), &[3], &[1i32, -1, 0]);
    is(
        &v([0.5f32, 0.0, NAN]).cast(Bool),
        &[3],
        &[true, false, true],
    );
    is(&v([300i32, -1]).cast(U8), &[2], &[44u8, 255]);
    is(
        &v([1.0f32, 0.1]).cast(F16),
        &[2],
        &[f16::from_f32(1.0), f16::from_f32(0.1)],
    );
}

#[test]
fn creation() {
    is(&Tensor::zeros([2]), &[2], &[0.0f32; 2]);
    is(&Tensor::ones(()), &[], &[1.0f32]);
    is(&Tensor::full([2], 7), &[2], &[7i64; 2]);
    is(&Tensor::full_of([2], 7, DType::U8), &[2], &[7u8; 2]);
    is(&rows().zeros_like(), &[2, 3], &[0i64; 6]);
    is(&rows().ones_like(), &[2, 3], &[1i64; 6]);
    is(&rows().full_like(3), &[2, 3], &[3i64; 6]);
    is(&Tensor::arange(5, 0, -2), &[3], &[5i64, 3, 1]);
    is(
        &Tensor::arange(0.0, 1.0, 0.25),
        &[4],
        &[0.0f32, 0.25, 0.5, 0.75],
    );
    is(&Tensor::arange(3, 3, 1), &[0], &[0i64; 0]);
    is(&Tensor::eye(2), &[2, 2], &[1.0f32, 0.0, 0.0, 1.0]);
    is(
        &Tensor::linspace(0.0, 1.0, 5),
        &[5],
        &[0.0f32, 0.25, 0.5, 0.75, 1.0],
    );
    is(&Tensor::linspace(3.0, 9.0, 1), &[1], &[3.0f32]);
    is(&Tensor::from_dim(rows().dim(-1)), &[], &[3i64]);
}

#[test]
fn movement() {
    let x = rows();
    is(&x.reshape([-1i64, 2]), &[3, 2], &[0i64, 1, 2, 3, 4, 5]);
    assert!(x.reshape([4i64, -1]).check().is_err());
    assert!(Tensor::zeros([0]).reshape([0i64, -1]).check().is_err());
    is(&x.permute([1, 0]), &[3, 2], &[0i64, 3, 1, 4, 2, 5]);
    is(&x.transpose(0, -1), &[3, 2], &[0i64, 3, 1, 4, 2, 5]);
    is(&x.t(), &[3, 2], &[0i64, 3, 1, 4, 2, 5]);
    is(
        &v([1i64, 2]).unsqueeze(-1).expand([-1i64, 2]),
        &[2, 2],
        &[1i64, 1, 2, 2],
    );
    is(&v([1i64]).broadcast_with(&x), &[2, 3], &[1i64; 6]);
    is(&x.unsqueeze(1).squeeze(-2), &[2, 3], &[0i64, 1, 2, 3, 4, 5]);
    is(&x.squeeze(0), &[2, 3], &[0i64, 1, 2, 3, 4, 5]);
    is(&x.flatten(0, -1), &[6], &[0i64, 1, 2, 3, 4, 5]);
    is(&x.flip([0, 1]), &[2, 3], &[5i64, 4, 3, 2, 1, 0]);
    is(&x.narrow(1, 1, 2), &[2, 2], &[1i64, 2, 4, 5]);
    is(
        &x.pad([(0, 1), (1, -1)], 9),
        &[3, 3],
        &[9i64, 0, 1, 9, 3, 4, 9, 9, 9],
    );
    is(
        &Tensor::iota(5).unfold(0, 3, 2),
        &[2, 3],
        &[0i64, 1, 2, 2, 3, 4],
    );
    is(
        &Tensor::cat(&[&x, &x.i(..1)], 0),
        &[3, 3],
        &[0i64, 1, 2, 3, 4, 5, 0, 1, 2],
    );
    is(
        &Tensor::stack(&[&v([1i64, 2]), &v([3i64, 4])], -1),
        &[2, 2],
        &[1i64, 3, 2, 4],
    );
}

#[test]
fn index_syntax() {
    use lazulite::Index::{Ellipsis, NewAxis, Slice};
    let x = Tensor::iota(24).reshape([2, 3, 4]);
    is(&x.i((1, -1)), &[4], &[20i64, 21, 22, 23]);
    is(&x.i((Ellipsis, 0)), &[2, 3], &[0i64, 4, 8, 12, 16, 20]);
    is(&x.i((0, NewAxis, ..2, 3)), &[1, 2], &[3i64, 7]);
    is(&x.i((0, 0, strided(.., -2))), &[2], &[3i64, 1]);
    is(&x.i((0, 0, Slice(Some(2), Some(0), -1))), &[2], &[2i64, 1]);
    is(&x.i((0, 0, -3..100)), &[3], &[1i64, 2, 3]);
    is(&x.i((0, 0, Slice(Some(3), Some(1), 1))), &[0], &[0i64; 0]);
    is(&x.i((0, 0, 1..=2)), &[2], &[1i64, 2]);
    is(
        &x.i((0, .., v([2i64, -4]))),
        &[3, 2],
        &[2i64, 0, 6, 4, 10, 8],
    );
    is(
        &x.i((v([0i64, 1]), .., v([1i64, 2]))),
        &[2, 3],
        &[1i64, 5, 9, 14, 18, 22],
    );
    is(&v([5i64, 6, 7]).i(v([true, false, true])), &[2], &[5i64, 7]);
    is(&x.select(1, -1).select(0, 0), &[4], &[8i64, 9, 10, 11]);
    assert!(x.i(2).check().is_err());
    let mut y = rows();
    y.set_item((1, strided(.., 2)), v([-1i64, -2]));
    is(&y, &[2, 3], &[0i64, 1, 2, -1, 4, -2]);
}

#[test]
fn gathering_and_scattering() {
    let x = rows();
    is(&x.index_select(1, &v([2i64, 0])), &[2, 2], &[2i64, 0, 5, 3]);
    is(
        &x.gather(1, &v([2i64, -3]).unsqueeze(1)),
        &[2, 1],
        &[2i64, 3],
    );
    is(&x.embedding(&v([1i32, 1])), &[2, 3], &[3i64, 4, 5, 3, 4, 5]);
    assert!(x.embedding(&v([2i64])).to_vec::<i64>().is_err());
    let zeros = Tensor::zeros([4]);
    let (at, what) = (v([1i64, 3, 1]), v([1.0f32, 2.0, 3.0]));
    is(
        &zeros.scatter(0, &at, &what),
        &[4],
        &[0.0f32, 3.0, 0.0, 2.0],
    );
    is(
        &zeros.scatter_add(0, &at, &what),
        &[4],
        &[0.0f32, 4.0, 0.0, 2.0],
    );
    is(&v([0i32, 3, 0, 1]).nonzero(), &[2, 1], &[1i64, 3]);
    is(&x.masked_select(&x.gt(3)), &[2], &[4i64, 5]);
}

#[test]
fn reductions() {
    let x = rows();
    is(&x.sum(0), &[3], &[3i64, 5, 7]);
    is(&x.sum_keepdim([0, -1]), &[1, 1], &[15i64]);
    is(&x.prod(1), &[2], &[0i64, 60]);
    is(&x.amax(0), &[3], &[3i64, 4, 5]);
    is(&x.amin_keepdim(1), &[2, 1], &[0i64, 3]);
    is(&x.amax_keepdim(..), &[1, 1], &[5i64]);
    is(&x.amin(..), &[], &[0i64]);
    is(&x.any(1), &[2], &[true, true]);
    is(&x.all(1), &[2], &[false, true]);
    near(&v([1.0f32, 2.0, 6.0]).mean(0), &[3.0]);
    near(&v([1.0f32, 2.0, 6.0]).mean_keepdim(0), &[3.0]);
    near(&v([1.0f32, 2.0, 6.0]).var(0), &[7.0]);
    near(&v([1.0f32, 2.0, 6.0]).var_keepdim_with(0, 0), &[14.0 / 3.0]);
    near(&v([1.0f32, 2.0, 6.0]).std(0), &[7f64.sqrt()]);
    near(&v([1.0f32]).var(0), &[f64::NAN]);
    near(&v([1.0f32, NAN]).amax(0), &[f64::NAN]);
    is(&v([1i64, 3, 3, 0, 0]).argmax(0), &[], &[1i64]);
    is(&v([1i64, 3, 3, 0, 0]).argmin(-1), &[], &[3i64]);
    is(&v([1.0f32, NAN, 5.0, NAN]).argmax(0), &[], &[1i64]);
}

#[test]
fn reductions_of_nothing() {
    let empty = Tensor::zeros([0, 2]);
    is(&empty.sum(0), &[2], &[0.0f32; 2]);
    is(&empty.prod(0), &[2], &[1.0f32; 2]);
    near(&empty.mean(0), &[f64::NAN; 2]);
    is(&empty.any(0), &[2], &[false; 2]);
    is(&empty.all(0), &[2], &[true; 2]);
    is(&empty.amax(1), &[0], &[0.0f32; 0]);
    assert!(empty.amax(0).check().is_err());
    assert!(empty.argmax(0).check().is_err());
}

#[test]
fn running_combinations_and_softmax() {
    is(&rows().cumsum(1), &[2, 3], &[0i64, 1, 3, 3, 7, 12]);
    is(&v([1i32, 2, 3]).cumprod(0), &[3], &[1i64, 2, 6]);
    let e = [1f64.exp(), 2f64.exp(), 3f64.exp()];
    let total: f64 = e.iter().sum();
    let x = v([1.0f32, 2.0, 3.0]);
    near(&x.softmax(0), &e.map(|v| v / total));
    near(&x.log_softmax(-1), &e.map(|v| (v / total).ln()));
    near(&x.logsumexp(0), &[total.ln()]);
    near(&v([-INF, -INF]).logsumexp(0), &[f64::NEG_INFINITY]);
    near(&v([1000.0f32, 1000.0]).softmax(0), &[0.5, 0.5]);
}

#[test]
fn order() {
    let x = v([3.0f32, NAN, 1.0, 3.0]);
    near(&x.sort(0).0, &[1.0, 3.0, 3.0, f64::NAN]);
    is(&x.argsort(0), &[4], &[2i64, 0, 3, 1]);
    is(&x.argsort_with(0, true), &[4], &[1i64, 0, 3, 2]);
    let (values, places) = v([5i32, 1, 9, 7]).topk(2, 0);
    is(&values, &[2], &[9i32, 7]);
    is(&places, &[2], &[2i64, 3]);
    is(&v([5i32, 1, 9]).topk_with(1, -1, false).0, &[1], &[1i32]);
}

#[test]
fn products() {
    let (a, b) = (rows().cast(DType::F32), rows().t().cast(DType::F32));
    is(&a.matmul(&b), &[2, 2], &[5.0f32, 14.0, 14.0, 50.0]);
    is(
        &a.linear(&a, Some(&v([1.0f32, -1.0]))),
        &[2, 2],
        &[6.0f32, 13.0, 15.0, 49.0],
    );
    is(&v([1i64, 2]).matmul(&v([3i64, 4])), &[], &[11i64]);
    is(&v([1i64, 2]).matmul(&rows()), &[3], &[6i64, 9, 12]);
    is(
        &Tensor::ones([3, 0]).matmul(&Tensor::ones([0, 2])),
        &[3, 2],
        &[0.0f32; 6],
    );
    let (p, q) = (Tensor::randn([2, 1, 17, 33]), Tensor::randn([3, 33, 19]));
    let got = p.matmul(&q).to_vec::<f32>().unwrap();
    let (p, q) = (p.to_vec::<f32>().unwrap(), q.to_vec::<f32>().unwrap());
    for (n, value) in got.iter().enumerate() {
        let (j, i, h, g) = (n % 19, n / 19 % 17, n / 19 / 17 % 3, n / 19 / 17 / 3);
        let term = |k: usize| p[(g * 17 + i) * 33 + k] * q[(h * 33 + k) * 19 + j];
        let wanted: f32 = (0..33).map(term).sum();
        assert!(
            (value - wanted).abs() < 1e-4,
            "{n}: {value} is not {wanted}"
        );
    }
}

#[test]
fn normalisations() {
    let x = v([1.0f32, 3.0, 2.0, 6.0]).reshape([2, 2]);
    near(&x.layer_norm(1, None, None, 0.0), &[-1.0, 1.0, -1.0, 1.0]);
    let (w, b) = (v([2.0f32, 3.0]), v([0.5f32, -0.5]));
    near(
        &x.layer_norm(1, Some(&w), Some(&b), 0.0),
        &[-1.5, 2.5, -1.5, 2.5],
    );
    let running = RunningStats::new(2);
    let y = x.batch_norm_train(&running, None, None, 0.0);
    near(&y, &[-1.0, -1.0, 1.0, 1.0]);
    near(&running.mean.get(), &[0.15, 0.45]);
    near(&running.var.get(), &[0.95, 1.35]);
    let z = Tensor::zeros([1, 2]).batch_norm_eval(&running, None, None, 0.0);
    near(&z, &[-0.15 / 0.95f64.sqrt(), -0.45 / 1.35f64.sqrt()]);
}

#[test]
fn complex_numbers() {
    let z = Tensor::complex(&v([3.0f32, 0.0]), &v([4.0f32, 1.0]));
    is(&z.abs(), &[2], &[5.0f32, 1.0]);
    is(&z.real(), &[2], &[3.0f32, 0.0]);
    is(&z.imag(), &[2], &[4.0f32, 1.0]);
    is(&(&z * &z).real(), &[2], &[-7.0f32, -1.0]);
    is(&z.conj().imag(), &[2], &[-4.0f32, -1.0]);
}

#[test]
fn user_functions_and_in_place_names() {
    is(
        &v([1i32, 2]).map_elements(|x: i32| f64::from(x) / 2.0),
        &[2],
        &[0.5f64, 1.0],
    );
    let add = ElementFn::new("add", |[a, b]: [i64; 2]| a + b);
    is(
        &add.apply([&rows(), &v([1i64])]),
        &[2, 3],
        &[1i64, 2, 3, 4, 5, 6],
    );
    let mut x = v([1.0f32, 2.0]);
    x.add_(1).mul_(4).sub_(2).div_(2);
    is(&x, &[2], &[3.0f32, 5.0]);
    x.fill_(7);
    is(&x, &[2], &[7.0f32; 2]);
}

/// How many standard errors a sample's mean is from what it should be.
fn deviation(values: &[f64], mean: f64, variance: f64) -> f64 {
    let n = values.len() as f64;
    (values.iter().sum::<f64>() / n - mean) / (variance / n).sqrt()
}

#[test]
fn random_numbers_have_the_right_moments() {
    manual_seed(11);
    let f64s = |t: Tensor| t.cast(DType::F64).to_vec::<f64>().unwrap();
    let u = f64s(Tensor::rand([200_000]));
    assert!(u.iter().all(|x| (0.0..1.0).contains(x)));
    assert!(deviation(&u, 0.5, 1.0 / 12.0).abs() < 4.0);
    let squares: Vec<f64> = u.iter().map(|x| (x - 0.5).powi(2)).collect();
    assert!(deviation(&squares, 1.0 / 12.0, 1.0 / 180.0).abs() < 4.0);
    let z = f64s(Tensor::randn([200_000]));
    for (power, mean, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let powers: Vec<f64> = z.iter().map(|x| x.powi(power)).collect();
        let off = deviation(&powers, mean, variance);
        assert!(
            off.abs() < 4.0,
            "moment {power} is off by {off} standard errors"
        );
    }
    let neighbours: Vec<f64> = z.windows(2).map(|w| w[0] * w[1]).collect();
    assert!(deviation(&neighbours, 0.0, 1.0).abs() < 4.0);
    let dice = Tensor::randint(1, 7, [6000]).to_vec::<i64>().unwrap();
    for face in 1..=6 {
        let count = dice.iter().filter(|d| **d == face).count();
        assert!((880..1120).contains(&count), "{face} came {count} times");
    }
    let mut order = Tensor::randperm(1000).to_vec::<i64>().unwrap();
    assert!(!order.is_sorted());
    order.sort_unstable();
    assert!(order.iter().enumerate().all(|(i, v)| i as i64 == *v));
    let (a, b) = (Generator::new(5), Generator::new(5));
    assert_eq!(f64s(a.randn([9])), f64s(b.randn([9])));
    assert_ne!(f64s(a.randn([9])), f64s(Generator::new(6).randn([9])));
}

#[test]
fn floats_are_divided_to_the_floor_of_the_exact_quotient() {
    let divide = |a: f64, b: f64| {
        Tensor::full([1], a)
            .cast(DType::F64)
            .floor_divide(b)
            .item::<f64>()
            .unwrap()
    };
    assert_eq!(divide(1.0, 0.1), 9.0);
    assert_eq!(divide(-1.0, 0.1), -10.0);
    assert_eq!(divide(6.0, 2.0), 3.0);
    assert_eq!(divide(1.0, 0.0), f64::INFINITY);
    assert!(divide(-0.0, 3.0).is_sign_negative());
}

#[test]
fn numbers_filled_into_integers_are_exact() {
    let mask = Tensor::full([1], true);
    let filled = Tensor::full_of([1], 0, DType::I64).masked_fill(&mask, 16_777_217);
    assert_eq!(filled.item::<i64>().unwrap(), 16_777_217);
    let same = [
        Tensor::full_of([1], 2f64.powi(63), DType::U64),
        Tensor::full([1], 2f64.powi(62)).cast(DType::U64).mul(2),
    ];
    assert_eq!(
        same[0].item::<u64>().unwrap(),
        same[1].item::<u64>().unwrap()
    );
}

#[test]
fn single_truth_values_select_all_or_nothing() {
    let x = Tensor::arange(0, 6, 1);
    assert_eq!(x.i(Tensor::full((), false)).dims().unwrap(), [0, 6]);
    assert_eq!(x.i(Tensor::full((), true)).dims().unwrap(), [1, 6]);
}

#[test]
fn literals_are_tensors_of_any_depth() {
    is(&Tensor::from(2.5f32), &[], &[2.5f32]);
    is(&Tensor::from([1u8, 2]), &[2], &[1u8, 2]);
    is(
        &Tensor::from([[[1, 2, 3]], [[4, 5, 6]]]),
        &[2, 1, 3],
        &[1, 2, 3, 4, 5, 6],
    );
    let vectors = vec![vec![1i64, 2], vec![3, 4]];
    is(&Tensor::from(&vectors), &[2, 2], &[1i64, 2, 3, 4]);
    is(&Tensor::from(vectors.as_slice()), &[2, 2], &[1i64, 2, 3, 4]);
    is(&Tensor::from(vec![[true, false]]), &[1, 2], &[true, false]);
    is::<f32>(&Tensor::from([[0f32; 3]; 0]), &[0, 3], &[]);
    is::<f32>(&Tensor::from(Vec::<Vec<f32>>::new()), &[0, 0], &[]);
    let ragged = Tensor::from([vec![1, 2], vec![3]]);
    let error = ragged.check().unwrap_err();
    assert_eq!((error.op(), error.kind()), ("from", ErrorKind::Shape));
    assert!(error.to_string().contains("tests/ops.rs"), "{error}");
}

#[test]
fn assigning_operators_rebind() {
    let one = Tensor::from([1.0f32, 2.0]);
    let mut x = one.clone();
    x += 3.0;
    x -= &one;
    x *= Tensor::from([1.0f32, 2.0]);
    x /= 2;
    is(&x, &[2], &[1.5f32, 3.0]);
    is(&one, &[2], &[1.0f32, 2.0]);
    let mut bits = Tensor::from([6, 9]);
    bits &= 5;
    bits <<= 1;
    bits %= 5;
    is(&bits, &[2], &[3i32, 2]);
    // As with the names: neither sizes nor the kind of number change, and gradients flow.
    let mut wide = one.clone();
    wide += Tensor::ones([3, 2]);
    assert_eq!(wide.check().unwrap_err().op(), "add_");
    bits += 0.5;
    assert_eq!(bits.check().unwrap_err().kind(), ErrorKind::DType);
    let leaf = one.with_grad();
    let mut y = leaf.clone();
    y *= &leaf;
    y.sum(..).backward().unwrap();
    is(&leaf.grad().unwrap(), &[2], &[2.0f32, 4.0]);
}

#[test]
fn tuples_and_other_lists_are_sizes_and_axes() {
    let x = Tensor::iota(24).reshape((2, 3, -1));
    assert_eq!(x.dims().unwrap(), [2, 3, 4]);
    assert_eq!(x.reshape(-1).dims().unwrap(), [24]);
    assert_eq!(Tensor::zeros(x.dim(1)).dims().unwrap(), [3]);
    assert_eq!(x.permute((2, 0, 1)).dims().unwrap(), [4, 2, 3]);
    assert_eq!(x.permute(vec![2, 0, 1]).dims().unwrap(), [4, 2, 3]);
    for sums in [x.sum((0, 2)), x.sum([0, -1]), x.sum(vec![2, 0])] {
        is(&sums, &[3], &[60i64, 92, 124]);
    }
    assert_eq!(x.sum(Some((0, 1, 2))).item::<i64>().unwrap(), 276);
    let flat = Tensor::iota(3);
    is(&flat.flip(0), &[3], &[2i64, 1, 0]);
    is(&flat.roll(1, 0), &[3], &[2i64, 0, 1]);
    is(&flat.pad((1, 0), 9), &[4], &[9i64, 0, 1, 2]);
    is(&flat.repeat([2]), &[6], &[0i64, 1, 2, 0, 1, 2]);
    assert_eq!(x.movedim((0, 1), (2, 0)).dims().unwrap(), [3, 4, 2]);
}

#[test]
fn largest_and_smallest_by_their_first_names() {
    let x = Tensor::from([[1.0f32, 5.0], [f32::NAN, 3.0]]);
    near(&x.max(1), &[5.0, f64::NAN]);
    near(&x.min(0), &[f64::NAN, 3.0]);
    assert_eq!(
        Tensor::from([[3, 4]]).max(..).item::<i32>().unwrap(),
        Tensor::from([[4, 9]]).min(..).item::<i32>().unwrap()
    );
    assert_eq!(x.max(5).check().unwrap_err().op(), "max");
}

#[test]
fn short_names_have_pytorchs_defaults() {
    let (x, y) = (v([0.5f32, 3.0]), v([0.0f32, 1.0]));
    near(&x.mse_loss(&y), &[2.125]);
    near(&x.l1_loss(&y), &[1.25]);
    near(&x.smooth_l1_loss(&y), &[0.8125]);
    near(&x.huber_loss(&y), &[0.8125]);
    let unit = v([0.5f32, 0.25]);
    near(&unit.binary_cross_entropy(&y), &[1.039_720_8]);
    near(&x.binary_cross_entropy_with_logits(&y), &[0.511_332_1]);
    near(&unit.log().kl_div(&v([0.5f32, 0.5])), &[0.173_286_8]);
    near(&x.poisson_nll_loss(&y), &[9.367_129]);
    near(&x.gaussian_nll_loss(&y, &v([1.0f32, 4.0])), &[0.659_073_6]);
    near(&x.soft_margin_loss(&v([1.0f32, -1.0])), &[1.761_332]);
    near(&x.hinge_embedding_loss(&v([1.0f32, -1.0])), &[0.25]);
    near(&x.softplus(), &[0.974_077, 3.048_587]);
    near(&v([-1.0f32]).leaky_relu(), &[-0.01]);
    near(&v([-1.0f32]).elu(), &[-0.632_120_6]);
    near(&v([0.4f32, 0.6]).hardshrink(), &[0.0, 0.6]);
    near(&v([0.4f32, 0.6]).softshrink(), &[0.0, 0.1]);
    near(&v([-3.0f32, 0.6]).hardtanh(), &[-1.0, 0.6]);
    near(&x.std(0), &[1.767_767]);
    near(&x.var_mean(0).0, &[3.125]);
    near(&x.dist(&y), &[2.061_553]);
    near(&x.diff(0), &[2.5]);
    near(&v([NAN, INF]).nan_to_num(), &[0.0, f32::MAX.into()]);
    near(&x.addcmul(&x, &y), &[0.5, 6.0]);
    assert!(x.allclose(&(&x + 1e-6)).unwrap());
    assert!(!x.allclose(&(&x + 1e-4)).unwrap());
}
