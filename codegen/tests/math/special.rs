//! Values at zeros, infinities, NaN and denormals; lanes do not influence each other.

use crate::support::{LANES, apply, mapping, ulp_f32, ulp_f64};
use lazulite_codegen::vector::interp::{Arguments, run};
use lazulite_codegen::vector::{Builder, MemAccess, math};
use lazulite_ir::{DType, Unary};

type Exact = fn(f64) -> f64;

const FUNCTIONS: [(Unary, Exact); 9] = [
    (Unary::Exp, f64::exp),
    (Unary::Expm1, f64::exp_m1),
    (Unary::Log, f64::ln),
    (Unary::Log1p, f64::ln_1p),
    (Unary::Sin, f64::sin),
    (Unary::Cos, f64::cos),
    (Unary::Tanh, f64::tanh),
    (Unary::Atan, f64::atan),
    (Unary::Erf, libm::erf),
];

const NUMBERS: [f64; 14] = [
    0.0,
    5e-324,
    1e-310,
    f64::MIN_POSITIVE,
    1e-20,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    1e10,
    f64::MAX,
    f64::INFINITY,
    f64::NAN,
];

fn signed() -> Vec<f64> {
    NUMBERS.iter().flat_map(|&x| [x, -x]).collect()
}

#[test]
fn limits_of_f64_functions() {
    for (f, exact) in FUNCTIONS {
        let function = mapping(DType::F64, 1, |b, x| math::unary(b, f, x[0]));
        for (x, y) in signed().into_iter().zip(apply(&function, &[&signed()])) {
            let error = ulp_f64(y, exact(x), 0.0);
            assert!(error <= 3.0, "{f} {x:e}: {y:e}, not {:e}", exact(x));
        }
    }
}

#[test]
fn powers_follow_ieee() {
    let operands = signed()
        .into_iter()
        .flat_map(|x| signed().into_iter().map(move |y| (x, y)));
    let (x, y): (Vec<f64>, Vec<f64>) = operands.unzip();
    let function = mapping(DType::F64, 2, |b, x| math::pow(b, x[0], x[1]));
    for ((&x, &y), got) in x.iter().zip(&y).zip(apply(&function, &[&x, &y])) {
        let error = ulp_f64(got, x.powf(y), 0.0);
        assert!(error <= 2.0, "{x:e} ^ {y:e}: {got:e}, not {:e}", x.powf(y));
    }
    let narrow = |values: &[f64]| -> Vec<f32> { values.iter().map(|&x| x as f32).collect() };
    let (x, y) = (narrow(&x), narrow(&y));
    let function = mapping(DType::F32, 2, |b, x| math::pow(b, x[0], x[1]));
    for ((&x, &y), got) in x.iter().zip(&y).zip(apply(&function, &[&x, &y])) {
        let want = f64::from(x).powf(f64::from(y));
        assert!(
            ulp_f32(got, want) <= 1.0,
            "{x:e} ^ {y:e}: {got:e}, not {want:e}"
        );
    }
}

#[test]
fn remainders_follow_ieee() {
    let operands = signed()
        .into_iter()
        .flat_map(|x| signed().into_iter().map(move |y| (x, y)));
    let (x, y): (Vec<f64>, Vec<f64>) = operands.unzip();
    let function = mapping(DType::F64, 2, |b, x| math::rem(b, x[0], x[1]));
    for ((&x, &y), got) in x.iter().zip(&y).zip(apply(&function, &[&x, &y])) {
        assert_eq!(
            ulp_f64(got, x % y, 0.0),
            0.0,
            "{x:e} % {y:e}: {got:e}, not {:e}",
            x % y
        );
    }
}

/// A slow path taken for one lane leaves the others as they are, bit for bit; so tails and vectors agree.
#[test]
fn lanes_are_independent() {
    let numbers: Vec<f64> = (0..LANES)
        .map(|i| signed()[i as usize % 28] * f64::from(i + 1))
        .collect();
    for (f, _) in FUNCTIONS {
        let function = mapping(DType::F64, 1, |b, x| math::unary(b, f, x[0]));
        let together = apply(&function, &[&numbers]);
        for (x, y) in numbers.iter().zip(together) {
            let alone = alone(f, *x);
            assert!(
                y.to_bits() == alone.to_bits() || y.is_nan() && alone.is_nan(),
                "{f} {x:e}"
            );
        }
    }
}

fn alone(f: Unary, x: f64) -> f64 {
    let mut b = Builder::new(1);
    let address = b.buffer(0);
    let x_lane = b.load(DType::F64, 1, address, MemAccess::Contiguous, None);
    let y = math::unary(&mut b, f, x_lane);
    b.store(DType::F64, address, MemAccess::Contiguous, y, None, false);
    let mut memory = x.to_le_bytes();
    let arguments = Arguments {
        buffers: vec![&mut memory],
        sizes: &[],
        bounds: &[],
    };
    run(&b.finish(), arguments).expect("the function runs");
    f64::from_le_bytes(memory)
}
