//! f32 functions against f64 ones, over bit patterns spread evenly over all f32.

use crate::support::{Worst, apply, mapping, ulp_f32};
use lazulite_codegen::vector::{Builder, Reg, math};
use lazulite_ir::{DType, Unary};

/// Every `STRIDE`-th bit pattern (odd, so that all low bits occur).
const STRIDE: usize = 1601;

/// All signs, exponents and kinds of numbers, and the neighbourhood of `near`.
fn arguments(near: &[f32]) -> Vec<f32> {
    let spread = (0..=u32::MAX).step_by(STRIDE).map(f32::from_bits);
    let dense = near.iter().flat_map(|&x| {
        (-500i32..500).flat_map(move |d| {
            let bits = x.to_bits().wrapping_add_signed(d);
            [f32::from_bits(bits), -f32::from_bits(bits)]
        })
    });
    let special = [
        0.0,
        1.0,
        f32::MIN_POSITIVE,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
        1e-45,
    ];
    let special = special.into_iter().flat_map(|x| [x, -x]);
    spread.chain(dense).chain(special).collect()
}

fn check(f: Unary, exact: fn(f64) -> f64, near: &[f32], bound: f64) {
    let function = mapping(DType::F32, 1, |b, x| math::unary(b, f, x[0]));
    let mut worst = Worst::new(&format!("{f} f32"));
    for x in arguments(near).chunks(1 << 16) {
        for (&x, y) in x.iter().zip(apply(&function, &[x])) {
            let want = exact(f64::from(x));
            worst.see(ulp_f32(y, want), || format!("{x:e}: {y:e}, not {want:e}"));
        }
    }
    worst.check(bound);
}

#[test]
fn exp() {
    check(
        Unary::Exp,
        f64::exp,
        &[88.72284, 87.33655, 103.97208, 0.34657, 1.0],
        2.0,
    );
}

#[test]
fn expm1() {
    check(
        Unary::Expm1,
        f64::exp_m1,
        &[88.72284, 17.3, 0.34657, 1.03972, 3e-8],
        4.0,
    );
}

#[test]
fn log() {
    check(
        Unary::Log,
        f64::ln,
        &[1.0, 0.70710677, std::f32::consts::SQRT_2, 2.0],
        2.0,
    );
}

#[test]
fn log1p() {
    check(
        Unary::Log1p,
        f64::ln_1p,
        &[1.0, 0.41421357, 0.29289323, 3e-8, 1.7e7],
        4.0,
    );
}

#[test]
fn sin() {
    check(Unary::Sin, f64::sin, &hard_angles(), 2.0);
}

#[test]
fn cos() {
    check(Unary::Cos, f64::cos, &hard_angles(), 2.0);
}

/// Near multiples of pi/4, small and huge, and the limit of the fast reduction.
fn hard_angles() -> Vec<f32> {
    let multiples = [
        1.0,
        2.0,
        3.0,
        4.0,
        5.0,
        83443.0,
        1e5,
        1e6 + 1.0,
        123456789.0,
        1e20,
        1e38,
    ];
    let angle = |k: f64| (k * std::f64::consts::FRAC_PI_4) as f32;
    multiples
        .into_iter()
        .map(angle)
        .chain([65536.0, 16367173.0 * 2f32.powi(72)])
        .collect()
}

#[test]
fn tanh() {
    check(Unary::Tanh, f64::tanh, &[0.625, 9.0, 10.0, 1.0, 0.01], 2.0);
}

#[test]
fn erf() {
    check(
        Unary::Erf,
        libm::erf,
        &[0.92, 3.9, 4.0, 1.0, 2.0, 0.01],
        2.0,
    );
}

#[test]
fn atan() {
    check(
        Unary::Atan,
        f64::atan,
        &[0.41421357, 2.4142135, 1.0, 1e8],
        4.0,
    );
}

/// Pairs of arguments, magnitudes mostly moderate.
pub fn pairs(count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut value = move || {
        let bits = next();
        match bits % 8 {
            0 => f32::from_bits((bits >> 32) as u32),
            1 => ((bits >> 32) % 41) as f32 - 20.0,
            2 => 1.0 + ((bits >> 40) as f32 - 8388608.0) * 1e-9,
            _ => {
                let exponent = (bits >> 3 & 15) as i32 - 8;
                let fraction = 1.0 + (bits >> 40) as f32 / 16777216.0;
                let sign = if bits >> 7 & 3 == 0 { -1.0 } else { 1.0 };
                sign * fraction * 2f32.powi(exponent)
            }
        }
    };
    (0..count).map(|_| (value(), value())).unzip()
}

type Pairwise = fn(&mut Builder, Reg, Reg) -> Reg;

fn check_pairs(name: &str, f: Pairwise, exact: fn(f64, f64) -> f64, bound: f64) {
    let function = mapping(DType::F32, 2, |b, x| f(b, x[0], x[1]));
    let (x, y) = pairs(1 << 20);
    let mut worst = Worst::new(name);
    for (x, y) in x.chunks(1 << 16).zip(y.chunks(1 << 16)) {
        let results = apply(&function, &[x, y]);
        for ((&x, &y), got) in x.iter().zip(y).zip(results) {
            let want = exact(f64::from(x), f64::from(y));
            worst.see(ulp_f32(got, want), || {
                format!("({x:e}, {y:e}): {got:e}, not {want:e}")
            });
        }
    }
    worst.check(bound);
}

#[test]
fn pow() {
    check_pairs("pow f32", math::pow, f64::powf, 1.0);
}

#[test]
fn rem() {
    check_pairs("rem f32", math::rem, |x, y| x % y, 0.0);
}
