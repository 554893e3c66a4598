//! Gradients where functions have none, where they are infinite, and far out, where a careless
//! definition overflows on the way: as PyTorch has them.

use lazulite::prelude::*;
use lazulite::{ErrorKind, grad, jvp, realize_all};

type Function = fn(&Tensor) -> Tensor;

/// Compares derivatives at the points; NaN is expected nowhere.
fn hold(points: &[f32], table: &[(&str, Function, &[f32])]) {
    let x = Tensor::from_vec(points.to_vec(), [points.len()]).with_grad();
    let slopes: Vec<Tensor> = { table.iter() }
        .map(|(_, f, _)| grad(&[&f(&x).sum(..)], &[&x]).unwrap().remove(0))
        .collect();
    realize_all(&slopes.iter().collect::<Vec<_>>()).unwrap();
    let mut wrong = Vec::new();
    for ((name, _, expected), slope) in table.iter().zip(&slopes) {
        let found = slope.to_vec::<f32>().unwrap();
        let close = |a: &f32, b: &f32| a == b || (a - b).abs() <= 1e-5 * b.abs().max(1.0);
        if !found.iter().zip(*expected).all(|(a, b)| close(a, b)) {
            wrong.push(format!("{name}: {found:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn activations_far_out_and_at_zero() {
    let step: &[f32] = &[0.0, 0.0, 0.0, 1.0, 1.0];
    let rises: &[f32] = &[0.0, 0.0, 1.0, 1.0, 1.0];
    let half: &[f32] = &[0.0, 0.0, 0.5, 1.0, 1.0];
    let flat: &[f32] = &[0.0; 5];
    hold(
        &[-1e4, -200.0, 0.0, 200.0, 1e4],
        &[
            ("relu", |x| x.relu(), step),
            ("elu", |x| x.elu(), rises),
            ("celu", |x| x.celu(), rises),
            (
                "selu",
                |x| x.selu(),
                &[0.0, 0.0, 1.7580993, 1.050701, 1.050701],
            ),
            (
                "leaky_relu",
                |x| x.leaky_relu_with(0.1),
                &[0.1, 0.1, 0.1, 1.0, 1.0],
            ),
            ("softplus", |x| x.softplus(), half),
            ("silu", |x| x.silu(), half),
            ("gelu", |x| x.gelu(), half),
            ("gelu_tanh", |x| x.gelu_tanh(), half),
            ("mish", |x| x.mish(), &[0.0, 0.0, 0.6, 1.0, 1.0]),
            ("logsigmoid", |x| x.logsigmoid(), &[1.0, 1.0, 0.5, 0.0, 0.0]),
            ("sigmoid", |x| x.sigmoid(), &[0.0, 0.0, 0.25, 0.0, 0.0]),
            ("tanh", |x| x.tanh(), &[0.0, 0.0, 1.0, 0.0, 0.0]),
            ("tanhshrink", |x| x.tanhshrink(), &[1.0, 1.0, 0.0, 1.0, 1.0]),
            ("relu6", |x| x.relu6(), flat),
            ("hardtanh", |x| x.hardtanh_with(0.0, 200.0), flat),
            ("clamp", |x| x.clamp(0.0, 200.0), &[0.0, 0.0, 1.0, 1.0, 0.0]),
            ("abs", |x| x.abs(), &[-1.0, -1.0, 0.0, 1.0, 1.0]),
            (
                "hardshrink",
                |x| x.hardshrink_with(200.0),
                &[1.0, 0.0, 0.0, 0.0, 1.0],
            ),
            (
                "softshrink",
                |x| x.softshrink_with(200.0),
                &[1.0, 0.0, 0.0, 0.0, 1.0],
            ),
            ("logaddexp", |x| x.logaddexp(0.0), half),
            ("logaddexp2", |x| x.logaddexp2(0.0), half),
            (
                "erf",
                |x| x.erf(),
                &[0.0, 0.0, std::f32::consts::FRAC_2_SQRT_PI, 0.0, 0.0],
            ),
        ],
    );
}

#[test]
fn functions_at_zero() {
    let inf = f32::INFINITY;
    hold(
        &[0.0, 2.0],
        &[
            ("sqrt", |x| x.sqrt(), &[inf, 0.35355338]),
            ("pow 2", |x| x.pow(2.0), &[0.0, 4.0]),
            ("pow 1", |x| x.pow(1.0), &[1.0, 1.0]),
            ("pow 0", |x| x.pow(0.0), &[0.0, 0.0]),
            ("pow 0.5", |x| x.pow(0.5), &[inf, 0.35355338]),
            ("negative base", |x| (x - 3.0).pow(3.0), &[27.0, 3.0]),
            ("exponent", |x| Tensor::full((), 0.0).pow(x), &[0.0, 0.0]),
            ("sinc", |x| x.sinc(), &[0.0, 0.5]),
            ("xlogy", |x| x.xlogy(3.0), &[1.0986123, 1.0986123]),
            (
                "norm of zeros",
                |x| (x * 0.0).vector_norm(2.0, ..),
                &[0.0, 0.0],
            ),
            ("norm", |x| x.vector_norm(2.0, ..), &[0.0, 1.0]),
            (
                "norm 0.5 of zeros",
                |x| (x * 0.0).vector_norm(0.5, ..),
                &[0.0, 0.0],
            ),
            ("std of equals", |x| (x * 0.0 + 1.0).std(..), &[0.0, 0.0]),
            ("prod", |x| x.prod(..), &[2.0, 0.0]),
            ("cumprod", |x| x.cumprod(0), &[3.0, 0.0]),
            ("maximum of equals", |x| x.maximum(x * 1.0), &[1.0, 1.0]),
        ],
    );
}

#[test]
fn extrema_share_among_equals() {
    let three: &[f32] = &[0.0, 0.5, 0.5];
    hold(
        &[1.0, 2.0, 2.0],
        &[
            ("amax", |x| x.amax(..), three),
            ("amin", |x| (-x).amin(..), &[0.0, -0.5, -0.5]),
            ("maximum", |x| x.maximum(2.0), three),
            ("minimum", |x| x.minimum(2.0), &[1.0, 0.5, 0.5]),
            ("clamp_min", |x| x.clamp_min(2.0), &[0.0, 1.0, 1.0]),
        ],
    );
}

#[test]
fn infinities_among_logarithms() {
    hold(
        &[f32::NEG_INFINITY, 0.0, 0.0],
        &[
            ("logsumexp", |x| x.logsumexp(0), &[0.0, 0.5, 0.5]),
            ("softmax", |x| x.softmax(0).i(1), &[0.0, 0.25, -0.25]),
            ("log_softmax", |x| x.log_softmax(0).i(1), &[0.0, 0.5, -0.5]),
            (
                "logaddexp",
                |x| x.logaddexp(x.i(1).detach()),
                &[0.0, 0.5, 0.5],
            ),
        ],
    );
}

#[test]
fn derivatives_that_stand_beside_definitions_serve_both_modes() {
    let x = Tensor::from_vec(vec![0.013f64, 0.3, 0.9], [3]);
    let functions: [Function; 7] = [
        |x| x.relu().mul(x),
        |x| x.silu(),
        |x| x.gelu_tanh(),
        |x| x.erfinv(),
        |x| x.ndtri(),
        |x| x.nextafter(5.0).square(),
        |x| x.frexp().0,
    ];
    for f in functions {
        let tangent = x.cos();
        let (_, forward) = jvp(|x| vec![f(&x[0])], &[&x], &[&tangent]);
        let at = x.clone().with_grad();
        let slope = grad(&[&f(&at).sum(..)], &[&at]).unwrap().remove(0);
        let backward = slope.mul(tangent).to_vec::<f64>().unwrap();
        let forward = forward[0].to_vec::<f64>().unwrap();
        for (a, b) in forward.iter().zip(backward) {
            assert!((a - b).abs() <= 1e-12 * b.abs() && *a != 0.0, "{a} {b}");
        }
    }
}

#[test]
fn a_rectifier_keeps_nan_and_the_sign_of_zero() {
    let x = Tensor::from_vec(vec![-1.0f32, -0.0, 0.0, 2.0, f32::NAN], [5]).with_grad();
    let y = x.relu();
    let slope = grad(&[&y.sum(..)], &[&x]).unwrap().remove(0);
    let bits = |t: &Tensor| t.to_vec::<f32>().unwrap().into_iter().map(f32::to_bits);
    let is_nan = |bits| f32::from_bits(bits).is_nan();
    let (y, slope): (Vec<u32>, Vec<u32>) = (bits(&y).collect(), bits(&slope).collect());
    assert_eq!(y[..4], [0.0f32, -0.0, 0.0, 2.0].map(f32::to_bits));
    assert!(is_nan(y[4]));
    assert_eq!(slope, [0.0f32, 0.0, 0.0, 1.0, 1.0].map(f32::to_bits));
    let refused = Tensor::from([true]).relu().realize().unwrap_err();
    assert_eq!((refused.kind(), refused.op()), (ErrorKind::DType, "relu"));
}

#[test]
fn far_out_gates_are_flat_in_forward_mode_too() {
    let x = Tensor::from_vec(vec![-1e4f32, -300.0, 300.0, 1e4], [4]);
    let table: [(Function, [f32; 4]); 4] = [
        (|x| x.sigmoid(), [0.0; 4]),
        (|x| x.silu(), [0.0, 0.0, 1.0, 1.0]),
        (|x| x.gelu_tanh(), [0.0, 0.0, 1.0, 1.0]),
        (
            |x| grad(&[&x.silu().sum(..)], &[x]).unwrap().remove(0),
            [0.0; 4],
        ),
    ];
    for dtype in [DType::F32, DType::F16] {
        for (f, expected) in table {
            let (at, along) = (x.cast(dtype).with_grad(), Tensor::ones([4]).cast(dtype));
            let (_, slope) = jvp(|x| vec![f(&x[0])], &[&at], &[&along]);
            let slope = slope[0].cast(DType::F32).to_vec::<f32>().unwrap();
            assert_eq!(slope, expected, "{dtype:?}");
        }
    }
}

#[test]
fn forward_mode_of_holomorphic_gates_conjugates_nothing() {
    let x = Tensor::complex(
        &Tensor::from([0.3f64, -0.2, 1.1]),
        &Tensor::from([0.4f64, 0.7, -0.5]),
    );
    let functions: [Function; 3] = [|x| x.sigmoid(), |x| x.silu(), |x| x.gelu_tanh()];
    for f in functions {
        let (_, slope) = jvp(|x| vec![f(&x[0])], &[&x], &[&x.mul(0.0).add(1.0)]);
        let step = 1e-6;
        let difference = f(&x.add(step)).sub(f(&x.sub(step))).div(2.0 * step);
        let error = slope[0].sub(&difference).abs().amax(..);
        assert!(error.item::<f64>().unwrap() < 1e-8, "{error}");
    }
}

/// Gradients of a maximum go to all elements that are equal to it, those of an element at a position to that one.
#[test]
fn extremes_at_a_position_have_their_gradient_there() {
    let x = Tensor::ones([3]).with_grad();
    let slope = |y: &Tensor| grad(&[y], &[&x]).unwrap()[0].to_vec::<f32>().unwrap();
    assert_eq!(slope(&x.max_dim(0).0), [1.0, 0.0, 0.0]);
    assert_eq!(slope(&x.min_dim(0).0), [1.0, 0.0, 0.0]);
    assert_eq!(slope(&x.amax(0)), [1.0 / 3.0; 3]);
}
