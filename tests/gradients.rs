//! Gradients through the public interface.

use lazulite::prelude::*;
use lazulite::{
    BackwardOptions, Context, CustomFunction, ErrorKind, GradCheck, GradOptions, custom_function,
    grad, grad_with, gradcheck, gradgradcheck, hessian, hvp, jacobian, jvp, no_grad, vhp, vjp,
};

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec::<f32>().unwrap()
}

fn vector(values: &[f32]) -> Tensor {
    Tensor::from_vec(values.to_vec(), [values.len()])
}

#[test]
fn backward_collects_and_accumulates() {
    let x = vector(&[1.0, 2.0]).with_grad();
    let loss = (&x * &x).sum(..);
    loss.backward().unwrap();
    assert_eq!(values(&x.grad().unwrap()), [2.0, 4.0]);
    loss.backward().unwrap();
    assert_eq!(values(&x.grad().unwrap()), [4.0, 8.0]);
    x.zero_grad();
    assert!(x.grad().is_none());
}

#[test]
fn what_is_realised_keeps_its_history() {
    let x = vector(&[1.0, 2.0]).with_grad();
    let y = x.exp();
    y.realize().unwrap();
    let loss = (&y * &y).sum(..);
    assert!(loss.item::<f32>().is_ok());
    let g = grad(&[&loss], &[&x]).unwrap();
    let expected: Vec<f32> = values(&y).iter().map(|y| 2.0 * y * y).collect();
    for (a, b) in values(&g[0]).iter().zip(expected) {
        assert!((a - b).abs() < 1e-5 * b.abs());
    }
}

#[test]
fn gradients_know_equal_tensors_apart() {
    let x = vector(&[3.0]).with_grad();
    let (a, b) = (&x * 2.0, &x * 2.0);
    let loss = (&a * 5.0).sum(..);
    let g = grad_with(
        &[&loss],
        &[&a, &b, &x],
        &GradOptions::new().allow_unused(true),
    )
    .unwrap();
    assert_eq!(values(g[0].as_ref().unwrap()), [5.0]);
    assert!(g[1].is_none());
    assert_eq!(values(g[2].as_ref().unwrap()), [10.0]);
    // Both used, with different cotangents.
    let loss = (&a * 5.0 + &b * 7.0).sum(..);
    let g = grad(&[&loss], &[&a, &b, &x]).unwrap();
    assert_eq!(values(&g[0]), [5.0]);
    assert_eq!(values(&g[1]), [7.0]);
    assert_eq!(values(&g[2]), [24.0]);
}

#[test]
fn nothing_flows_through_no_grad_and_detach() {
    let x = vector(&[3.0]).with_grad();
    let y = no_grad(|| &x * 2.0);
    let loss = (&y * &x + x.detach() * &x).sum(..);
    let g = grad(&[&loss], &[&x]).unwrap();
    assert_eq!(values(&g[0]), [9.0]);
    let error = grad(&[&y.sum(..)], &[&x]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gradient);
}

#[test]
fn a_gradient_without_create_graph_is_a_constant() {
    let x = vector(&[3.0]).with_grad();
    let cube = (&x * &x * &x).sum(..);
    let g = &grad(&[&cube], &[&x]).unwrap()[0];
    assert!(!g.requires_grad());
    // d(27 x)/dx, not d(3 x^3)/dx.
    let second = grad(&[&(g * &x).sum(..)], &[&x]).unwrap();
    assert_eq!(values(&second[0]), [27.0]);
    let options = GradOptions::new().create_graph(true);
    let g = grad_with(&[&cube], &[&x], &options).unwrap()[0]
        .clone()
        .unwrap();
    let second = grad(&[&(&g * &x).sum(..)], &[&x]).unwrap();
    assert_eq!(values(&second[0]), [81.0]);
}

#[test]
fn second_derivatives_do_not_depend_on_where_programs_are_made() {
    // The pullbacks of composites are recorded while the program is made: here within a realise of
    // `grad`, there within `backward`, which records without gradients itself.
    let penalty = |x: &Tensor| {
        let y = (x.softmax(-1) * x.sigmoid()).sum(..);
        let slopes = grad_with(&[&y], &[x], &GradOptions::new().create_graph(true)).unwrap();
        slopes[0].as_ref().unwrap().square().sum(..)
    };
    let at = |point: [f64; 3]| Tensor::from_vec(point.to_vec(), [3]).with_grad();
    let doubles = |x: &Tensor| x.to_vec::<f64>().unwrap();
    let point = [0.3, -0.7, 1.1];
    let x = at(point);
    let expected = doubles(&grad(&[&penalty(&x)], &[&x]).unwrap()[0]);
    penalty(&x).backward().unwrap();
    assert_eq!(doubles(&x.grad().unwrap()), expected);
    for i in 0..3 {
        let moved = |step: f64| {
            let mut point = point;
            point[i] += step;
            penalty(&at(point)).item::<f64>().unwrap()
        };
        let numeric = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!(
            (expected[i] - numeric).abs() < 1e-6,
            "{numeric} {expected:?}"
        );
    }
}

#[test]
fn hooks_change_what_flows_on() {
    let x = vector(&[1.0, 1.0]).with_grad();
    let y = &x * 3.0;
    let handle = y.register_hook(|g| Some(g * 10.0)).unwrap();
    y.retain_grad();
    (&y * 2.0).sum(..).backward().unwrap();
    assert_eq!(values(&y.grad().unwrap()), [20.0, 20.0]);
    assert_eq!(values(&x.grad().unwrap()), [60.0, 60.0]);
    handle.remove();
    x.zero_grad();
    (&y * 2.0).sum(..).backward().unwrap();
    assert_eq!(values(&x.grad().unwrap()), [6.0, 6.0]);
}

struct Cube;

impl CustomFunction for Cube {
    fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        context.save_for_backward(&[&inputs[0]]);
        Ok(vec![inputs[0].pow(3.0), &inputs[0] * 100.0])
    }

    fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let x = &context.saved_tensors()[0];
        Ok(vec![Some(x * x * 3.0 * &cotangents[0])])
    }
}

#[test]
fn functions_bring_their_own_backward() {
    let x = Tensor::from_vec(vec![1.0f64, 2.0], [2]);
    let cube = |x: &[Tensor]| vec![custom_function(Cube, &[&(&x[0] * 2.0)])[0].sin()];
    gradcheck(cube, &[&x], &GradCheck::default()).unwrap();
    gradgradcheck(cube, &[&x], &GradCheck::default()).unwrap();
    let x = vector(&[2.0]).with_grad();
    let y = custom_function(Cube, &[&x]);
    // The second result has no part in the backward, as written.
    (&y[0] + &y[1]).sum(..).backward().unwrap();
    assert_eq!(values(&x.grad().unwrap()), [12.0]);
}

#[test]
fn mistakes_are_errors() {
    let x = vector(&[1.0, 2.0]).with_grad();
    let error = (&x * 2.0).backward().unwrap_err();
    assert!(error.to_string().contains("one real element"), "{error}");
    let unused = vector(&[1.0]).with_grad();
    let error = grad(&[&x.sum(..)], &[&unused]).unwrap_err();
    assert!(error.to_string().contains("do not depend"), "{error}");
    let wrong = BackwardOptions::default();
    assert!(vector(&[1.0]).backward_with(&wrong).is_err());
    let integers = Tensor::arange(0, 3, 1).with_grad();
    assert_eq!(integers.check().unwrap_err().kind(), ErrorKind::DType);
}

#[test]
fn derivatives_of_functions_nest() {
    let x = vector(&[0.5, -1.0]);
    let h = hessian(|x| (x.sin() * x).sum(..), &x).unwrap();
    let expect = |x: f32| 2.0 * x.cos() - x * x.sin();
    let h = values(&h);
    assert!((h[0] - expect(0.5)).abs() < 1e-5 && (h[3] - expect(-1.0)).abs() < 1e-5);
    assert_eq!((h[1], h[2]), (0.0, 0.0));
    let (_, pullback) = vjp(
        |x| vec![x[0].matmul(&x[1])],
        &[&Tensor::ones([2, 3]), &Tensor::ones([3, 4])],
    )
    .unwrap();
    let g = pullback.call(&[&Tensor::ones([2, 4])]).unwrap();
    assert_eq!(g[0].dims().unwrap(), [2, 3]);
    assert_eq!(values(&g[1]), [2.0; 12]);
}

#[test]
fn values_that_a_history_needs_are_not_overwritten() {
    let loss = {
        let w = vector(&[1.0, 2.0]).with_grad();
        (&w * &w).sum(..)
    };
    // Nobody but the history of the loss holds w.
    loss.realize().unwrap();
    loss.backward().unwrap();
    assert_eq!(loss.item::<f32>().unwrap(), 5.0);
}

#[test]
fn anomalies_are_found_where_they_arise() {
    let x = vector(&[1.0, -1.0]);
    let line = line!() + 1;
    let y = x.sqrt();
    let error = lazulite::detect_anomaly(|| (&y + 1.0).realize()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("sqrt") && text.contains("NaN"), "{text}");
    assert!(text.contains(&format!("gradients.rs:{line}")), "{text}");
    assert!((&y + 1.0).realize().is_ok());
}

#[test]
fn long_chains_with_gradients_do_not_overflow() {
    let x = vector(&[1.0]).with_grad();
    let mut y = x.clone();
    for _ in 0..20_000 {
        y = &y + 1.0;
    }
    let g = grad(&[&y.sum(..)], &[&x]).unwrap();
    assert_eq!(values(&g[0]), [1.0]);
}

/// Such a result becomes known along with the gradient that was asked for.
#[test]
fn held_results_that_gradients_flow_through_keep_their_leaves() {
    let p = Tensor::ones([2]).with_grad();
    let held = p.mul(Tensor::from_vec(vec![2.0f32, 3.0], [2])).cumsum(0);
    for _ in 0..2 {
        let gradient = grad(&[&held.sum(..)], &[&p]).unwrap();
        assert_eq!(gradient[0].to_vec::<f32>().unwrap(), [4.0, 3.0]);
    }
}

/// Returns its input; the gradient is reversed.
struct Reversed;

impl CustomFunction for Reversed {
    fn forward(&self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(inputs.to_vec())
    }

    fn backward(&self, _: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        Ok(cotangents.iter().map(|g| Some(g.neg())).collect())
    }
}

#[test]
fn functions_that_return_their_inputs_pass_gradients_once() {
    let x = vector(&[1.0, 2.0]).with_grad();
    let y = custom_function(Reversed, &[&x]).remove(0);
    let gradients = grad(&[&y.sum(..)], &[&x]).unwrap();
    assert_eq!(values(&gradients[0]), [-1.0, -1.0]);
    // Twice in one body, with different numbers of inputs.
    let z = vector(&[3.0, 4.0]).with_grad();
    let f = |x: &[Tensor]| {
        let one = custom_function(Reversed, &[&x[0]]).remove(0);
        let two = custom_function(Reversed, &[&x[0], &x[1]]);
        vec![one + &two[0] * 2.0 + &two[1] * 3.0]
    };
    let y = lazulite::checkpoint(f, &[&x, &z]).remove(0);
    let gradients = grad(&[&y.sum(..)], &[&x, &z]).unwrap();
    assert_eq!(values(&gradients[0]), [-3.0, -3.0]);
    assert_eq!(values(&gradients[1]), [-3.0, -3.0]);
}

/// Returns its input; the gradient passes through another custom function.
struct Twice;

impl CustomFunction for Twice {
    fn forward(&self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].square()])
    }

    fn backward(&self, _: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let slope = custom_function(Cube, &[&cotangents[0]]).remove(0);
        Ok(vec![Some(slope)])
    }
}

#[test]
fn custom_functions_in_a_backward_keep_their_own_in_second_derivatives() {
    let x = vector(&[2.0, 3.0]).with_grad();
    let inside = |x: &[Tensor]| vec![custom_function(Twice, &[&(&x[0] * 1.0)]).remove(0)];
    // Its backward is Cube of what flows in, here of `scale`.
    let slope = |through: &dyn Fn(&Tensor) -> Tensor| {
        let scale = vector(&[2.0, 3.0]).with_grad();
        let y = (through(&x) * &scale).sum(..);
        let again = GradOptions::new().create_graph(true);
        let first = grad_with(&[&y], &[&x], &again).unwrap();
        let first = first[0].clone().unwrap();
        values(&grad(&[&first.sum(..)], &[&scale]).unwrap()[0])
    };
    let plain = slope(&|x| inside(std::slice::from_ref(x)).remove(0));
    assert_eq!(
        plain,
        slope(&|x| lazulite::checkpoint(inside, &[x]).remove(0))
    );
    assert!(plain.iter().all(|s| *s != 0.0), "{plain:?}");
}

#[test]
fn slopes_are_right_where_formulas_break() {
    let slope = |f: &dyn Fn(&Tensor) -> Tensor, x: f32| {
        let x = vector(&[x]).with_grad();
        values(&grad(&[&f(&x)], &[&x]).unwrap()[0])[0]
    };
    let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * b.abs();
    assert!(close(slope(&Tensor::asin, 0.0), 1.0));
    assert!(close(slope(&Tensor::acos, 0.0), -1.0));
    assert!(close(slope(&Tensor::asinh, 0.0), 1.0));
    assert!(close(slope(&Tensor::sinh, -20.0), 20f32.cosh()));
    assert!(close(slope(&|y: &Tensor| y.atan2(2.0), 0.0), 0.5));
    for p in [0.0, 1.0] {
        let target = vector(&[p]);
        let loss =
            |x: &Tensor| x.binary_cross_entropy_with(&target, None, lazulite::Reduction::Sum);
        assert_eq!(slope(&loss, p), 0.0);
    }
}

#[test]
fn long_chains_of_gradients_drop_without_recursion() {
    let mut x = vector(&[1.0]).with_grad();
    for _ in 0..200_000 {
        let y = vector(&[1.0]).with_grad();
        y.set_grad(Some(x)).unwrap();
        x = y;
    }
}

#[test]
fn gradients_pass_through_hundreds_of_hooks() {
    let w = Tensor::full([2], 1.25).with_grad();
    let mut x = w.clone();
    for _ in 0..400 {
        x = x.mul(&w).mul(0.8);
        x.register_hook(|g| Some(g.mul(1.0))).unwrap();
    }
    x.sum(..).backward().unwrap();
    let slope = w.grad().unwrap().to_vec::<f32>().unwrap();
    assert!((slope[0] / 401.0 - 1.0).abs() < 1e-3, "{slope:?}");
}

#[test]
fn derivatives_of_functions_require_gradients_only_where_what_was_given_does() {
    let cube = |x: &Tensor| x.pow(3.0).sum(..);
    let w = vector(&[2.0, 3.0]);
    let derived = |x: &Tensor, w: &Tensor| -> Vec<Tensor> {
        let weighted = |x: &Tensor| cube(&(x * w));
        let (y, pullback) = vjp(|x| vec![weighted(&x[0])], &[x]).unwrap();
        let pulled = pullback.call(&[&Tensor::ones(())]).unwrap();
        let v = Tensor::ones([2]);
        let (a, b) = hvp(weighted, x, &v).unwrap();
        let (c, d) = vhp(weighted, x, &v).unwrap();
        let j = jacobian(|x| (x * w).square(), x).unwrap();
        let h = hessian(weighted, x).unwrap();
        [y, pulled, vec![a, b, c, d, j, h]].concat()
    };
    let x = vector(&[0.5, -1.0]);
    let plain = derived(&x, &w);
    assert!(!plain.iter().any(Tensor::requires_grad));
    let (given, closed) = (x.clone().with_grad(), w.clone().with_grad());
    for (x, w) in [(&given, &w), (&x, &closed), (&given, &closed)] {
        for (got, plain) in derived(x, w).iter().zip(&plain) {
            assert!(got.requires_grad());
            assert_eq!(values(got), values(plain));
        }
        assert!(!no_grad(|| derived(x, w)).iter().any(Tensor::requires_grad));
    }
    // Through what came out, on to what was given: 6 w^3 x, whose derivative is 6 w^3.
    let h = hessian(|x| cube(&(x * &w)), &given).unwrap();
    let third = grad(&[&h.sum(..)], &[&given]).unwrap();
    assert_eq!(values(&third[0]), [48.0, 162.0]);
    let (_, pullback) = vjp(|x| vec![&x[0] * 2.0], &[&x]).unwrap();
    let seed = Tensor::ones([2]).with_grad();
    let pulled = pullback.call(&[&seed]).unwrap();
    let back = grad(&[&pulled[0].sum(..)], &[&seed]).unwrap();
    assert_eq!(values(&back[0]), [2.0, 2.0]);
}

#[test]
fn integers_are_refused_by_all_derivatives_of_functions() {
    let x = Tensor::from([1i64, 2]);
    let v = Tensor::ones([2]);
    let first = line!() + 2;
    let refused = [
        ("jacobian", jacobian(|x| x * x, &x).err()),
        ("hessian", hessian(|x| (x * x).sum(..), &x).err()),
        ("vjp", vjp(|x| vec![&x[0] * &x[0]], &[&x]).err()),
        (
            "jvp",
            jvp(|x| vec![&x[0] * &x[0]], &[&x], &[&v]).1[0]
                .check()
                .err(),
        ),
        ("hvp", hvp(|x| (x * x).sum(..), &x, &v).err()),
        ("vhp", vhp(|x| (x * x).sum(..), &x, &v).err()),
        ("grad", grad(&[&v.clone().with_grad().sum(..)], &[&x]).err()),
    ];
    for (op, error) in refused {
        let error = error.unwrap_or_else(|| panic!("{op} takes integers"));
        assert_eq!(
            (error.op(), error.kind()),
            (op, ErrorKind::DType),
            "{error}"
        );
        assert!(
            error.message().contains("only tensors of floats"),
            "{error}"
        );
        let place = error.place().unwrap();
        assert!(place.file() == file!() && place.line() >= first, "{error}");
    }
}
