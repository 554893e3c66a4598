//! f64 functions: against exact values at points chosen to be hard, and densely against the platform's
//! functions, whose own errors widen the bounds.

use crate::support::{Worst, apply, mapping, place_f64, ulp_f64};
use lazulite_codegen::vector::math;
use lazulite_ir::{DType, Unary};

/// Lines of name, arguments, result, and what the result lacks to the exact value (bits in hexadecimal),
/// computed in 2500-bit arithmetic. The angles include the f64 nearest to multiples of pi/2.
const EXACT: &str = include_str!("exact.txt");

fn rows(name: &str) -> Vec<Vec<f64>> {
    let lines = EXACT
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let number = |text: &&str| f64::from_bits(u64::from_str_radix(text, 16).expect("bits"));
    lines
        .filter(|words| words[0] == name)
        .map(|words| words[1..].iter().map(number).collect())
        .collect()
}

fn check_exact(f: Unary, bound: f64) {
    let function = mapping(DType::F64, 1, |b, x| math::unary(b, f, x[0]));
    let rows = rows(f.name());
    assert!(rows.len() > 100, "{} rows for {f}", rows.len());
    let x: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    let mut worst = Worst::new(&format!("{f} f64"));
    for (row, y) in rows.iter().zip(apply(&function, &[&x])) {
        worst.see(ulp_f64(y, row[1], row[2]), || {
            format!("{:e}: {y:e}", row[0])
        });
    }
    worst.check(bound);
}

fn check_dense(f: Unary, nearly: fn(f64) -> f64, bound: f64) {
    let function = mapping(DType::F64, 1, |b, x| math::unary(b, f, x[0]));
    let all = (0..1u64 << 19).map(|i| f64::from_bits(i.wrapping_mul(0x2000_4000_1357)));
    let moderate = (0..1u32 << 18).map(|i| f64::from(i) / 4096.0 - 32.0);
    let x: Vec<f64> = all.chain(moderate).collect();
    let mut worst = Worst::new(&format!("{f} dense"));
    for x in x.chunks(1 << 16) {
        for (&x, y) in x.iter().zip(apply(&function, &[x])) {
            worst.see(ulp_f64(y, nearly(x), 0.0), || format!("{x:e}: {y:e}"));
        }
    }
    worst.check(bound);
}

#[test]
fn exp() {
    check_exact(Unary::Exp, 2.0);
    check_dense(Unary::Exp, f64::exp, 3.0);
}

#[test]
fn expm1() {
    check_exact(Unary::Expm1, 4.0);
    check_dense(Unary::Expm1, f64::exp_m1, 5.0);
}

#[test]
fn log() {
    check_exact(Unary::Log, 2.0);
    check_dense(Unary::Log, f64::ln, 3.0);
}

#[test]
fn log1p() {
    check_exact(Unary::Log1p, 4.0);
    check_dense(Unary::Log1p, f64::ln_1p, 5.0);
}

#[test]
fn sin() {
    check_exact(Unary::Sin, 2.0);
    check_dense(Unary::Sin, f64::sin, 3.0);
}

#[test]
fn cos() {
    check_exact(Unary::Cos, 2.0);
    check_dense(Unary::Cos, f64::cos, 3.0);
}

#[test]
fn tanh() {
    check_exact(Unary::Tanh, 2.0);
    check_dense(Unary::Tanh, f64::tanh, 4.0);
}

#[test]
fn erf() {
    check_exact(Unary::Erf, 2.0);
    check_dense(Unary::Erf, libm::erf, 3.0);
}

#[test]
fn atan() {
    check_exact(Unary::Atan, 4.0);
    check_dense(Unary::Atan, f64::atan, 5.0);
}

#[test]
fn pow() {
    let function = mapping(DType::F64, 2, |b, x| math::pow(b, x[0], x[1]));
    let rows = rows("pow");
    let x: Vec<f64> = rows.iter().map(|row| row[0]).collect();
    let y: Vec<f64> = rows.iter().map(|row| row[1]).collect();
    let mut worst = Worst::new("pow f64");
    for (row, got) in rows.iter().zip(apply(&function, &[&x, &y])) {
        worst.see(ulp_f64(got, row[2], row[3]), || {
            format!("({:e}, {:e}): {got:e}", row[0], row[1])
        });
    }
    worst.check(2.0);
}

/// Pairs over the whole range, and pairs of similar size.
fn pairs() -> (Vec<f64>, Vec<f64>) {
    let bits = |i: u64| {
        i.wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xd134_2543_de82_ef95)
    };
    let wild = (0..20_000).map(|i| (f64::from_bits(bits(2 * i)), f64::from_bits(bits(2 * i + 1))));
    let tame = (0..20_000).map(|i| {
        let number = |bits: u64| (bits as i64 >> 11) as f64;
        let (x, y) = (number(bits(2 * i + 7)), number(bits(2 * i + 8)));
        (x, y * 2f64.powi(-((i % 60) as i32)))
    });
    let whole = (-20..20).flat_map(|x| (-20..20).map(move |y| (f64::from(x), f64::from(y) * 0.5)));
    wild.chain(tame).chain(whole).unzip()
}

#[test]
fn rem() {
    let function = mapping(DType::F64, 2, |b, x| math::rem(b, x[0], x[1]));
    let (x, y) = pairs();
    let got = apply(&function, &[&x, &y]);
    for ((x, y), got) in x.into_iter().zip(y).zip(got) {
        let want = x % y;
        assert_eq!(
            ulp_f64(got, want, 0.0),
            0.0,
            "{x:e} % {y:e}: {got:e}, not {want:e}"
        );
    }
}

#[test]
fn places_of_f64() {
    assert_eq!(place_f64(1.0), f64::EPSILON);
    assert_eq!(place_f64(f64::MIN_POSITIVE), 5e-324);
    assert_eq!(place_f64(0.0), 5e-324);
}
