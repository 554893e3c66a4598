//! Control flow and transformed functions through the public interface.

use lazulite::prelude::*;
use lazulite::{
    Context, CustomFunction, GradCheck, Randomness, Stage, VmapOptions, checkpoint, cond,
    custom_function, dump, grad, gradcheck, gradgradcheck, hessian, jacobian, jvp, no_grad, scan,
    vmap, vmap_with, while_loop,
};

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec::<f32>().unwrap()
}

fn vector(values: &[f64]) -> Tensor {
    Tensor::from_vec(values.to_vec(), [values.len()])
}

/// `h = tanh(w h + x)` over a sequence.
fn recurrent(x: &Tensor, w: &Tensor) -> Tensor {
    let start = Tensor::zeros([3]).type_as(x);
    let out = scan(&[&start], &[x], |h, x| {
        let next = (w.mv(&h[0]) + &x[0]).tanh();
        (vec![next.clone()], vec![next])
    });
    &out[1] * &out[0]
}

#[test]
fn scan_is_the_loop_written_out() {
    let x = Tensor::randn([5, 3]).realize().unwrap();
    let w = Tensor::randn([3, 3]).realize().unwrap();
    let mut h = Tensor::zeros([3]);
    let mut rows = Vec::new();
    for i in 0..5 {
        h = (w.mv(&h) + x.select(0, i)).tanh();
        rows.push(h.clone());
    }
    let written = Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0) * &h;
    for (a, b) in values(&recurrent(&x, &w)).iter().zip(values(&written)) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn scan_differentiates_to_second_order() {
    let x = Tensor::from_vec((0..9).map(|i| 0.1 * f64::from(i) - 0.4).collect(), [3, 3]);
    let w = Tensor::from_vec((0..9).map(|i| 0.3 - 0.07 * f64::from(i)).collect(), [3, 3]);
    let f = |x: &[Tensor]| vec![recurrent(&x[0], &x[1])];
    gradcheck(f, &[&x, &w], &GradCheck::default()).unwrap();
    gradgradcheck(f, &[&x, &w], &GradCheck::default()).unwrap();
}

#[test]
fn gradients_flow_through_what_stands_behind_an_integer_result() {
    let x = Tensor::from_vec((0..6).map(|i| 0.2 * f64::from(i)).collect(), [3, 2]);
    let f = |x: &[Tensor]| {
        let (count, start) = (Tensor::full((), 0i64), Tensor::zeros([2]).type_as(&x[0]));
        let out = scan(&[&count, &start], &[&x[0]], |carried, x| {
            (vec![&carried[0] + 1, (&carried[1] + &x[0]).sin()], vec![])
        });
        vec![out[1].clone()]
    };
    gradcheck(f, &[&x], &GradCheck::default()).unwrap();
    let g = |x: &[Tensor]| {
        let branch =
            |scale: f64| move |x: &[Tensor]| vec![Tensor::full((), 1i64), (&x[0] * scale).sin()];
        let taken = x[0].sum(..).gt(0);
        vec![cond(&taken, &[&x[0]], branch(2.0), branch(3.0)).swap_remove(1)]
    };
    gradcheck(g, &[&x], &GradCheck::default()).unwrap();
}

#[test]
fn draws_differ_between_turns() {
    let x = Tensor::zeros([4, 8]);
    let out = scan(&[], &[&x], |_, x| {
        (vec![], vec![x[0].add(Tensor::rand([8]))])
    });
    let rows = values(&out[0]);
    for i in 1..4 {
        assert_ne!(rows[..8], rows[8 * i..8 * i + 8]);
    }
}

#[test]
fn draws_differ_between_turns_of_nested_loops_and_of_while() {
    let count = Tensor::arange(0, 32, 1);
    let nested = scan(&[], &[&count], |_, _| {
        let inner = scan(&[], &[&Tensor::arange(0, 2, 1)], |_, _| {
            (vec![], vec![Tensor::rand([1])])
        });
        (vec![], vec![inner[0].clone()])
    });
    let mut drawn: Vec<u32> = values(&nested[0]).iter().map(|x| x.to_bits()).collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 60, "{} of 64 differ", drawn.len());
    let start = [
        Tensor::full_of((), 0, lazulite::DType::I64),
        Tensor::zeros([4]),
    ];
    let out = while_loop(
        &[&start[0], &start[1]],
        |x| x[0].lt(4),
        |x| {
            let place = Tensor::arange(0, 4, 1).eq(&x[0]);
            vec![&x[0] + 1, place.where_(Tensor::rand(()), &x[1])]
        },
    );
    let drawn = values(&out[1]);
    assert!((1..4).all(|i| drawn[i] != drawn[0]), "{drawn:?}");
}

#[test]
fn only_the_branch_taken_matters() {
    let f = |x: &[Tensor]| {
        let positive = x[0].sum(..).gt(0);
        cond(
            &positive,
            &[&x[0]],
            |x| vec![x[0].exp()],
            |x| vec![x[0].square()],
        )
    };
    gradcheck(f, &[&vector(&[0.5, 0.25])], &GradCheck::default()).unwrap();
    gradcheck(f, &[&vector(&[-0.5, 0.25])], &GradCheck::default()).unwrap();
    let x = Tensor::ones([2]);
    let wrong = cond(
        &x.sum(..).gt(0),
        &[&x],
        |x| vec![x[0].clone()],
        |x| vec![x[0].sum(..)],
    );
    assert!(
        wrong[0]
            .check()
            .unwrap_err()
            .to_string()
            .contains("different types")
    );
}

#[test]
fn while_runs_until_its_condition_fails() {
    let start = Tensor::full((), 1i64);
    let out = while_loop(&[&start], |x| x[0].lt(1000), |x| vec![&x[0] * 2]);
    assert_eq!(out[0].item::<i64>().unwrap(), 1024);
    let (y, t) = jvp(
        |x| while_loop(&[&x[0]], |x| x[0].lt(100.0), |x| vec![&x[0] * &x[0]]),
        &[&Tensor::full((), 2.0)],
        &[&Tensor::full((), 1.0)],
    );
    // 2 -> 4 -> 16 -> 256 = x^8.
    assert_eq!(y[0].item::<f32>().unwrap(), 256.0);
    assert_eq!(t[0].item::<f32>().unwrap(), 8.0 * 128.0);
    let x = Tensor::full((), 2.0).with_grad();
    let line = line!() + 1;
    let y = while_loop(&[&x], |x| x[0].lt(100.0), |x| vec![&x[0] * &x[0]]);
    let error = y[0].backward().unwrap_err().to_string();
    assert!(error.contains("use `scan`"), "{error}");
    let place = format!("--> {}:{line}:", file!());
    assert!(error.contains(&place), "{error}");
}

#[test]
fn vmap_is_a_loop_over_elements() {
    let a = Tensor::randn([4, 3, 5]).realize().unwrap();
    let b = Tensor::randn([5, 2]).realize().unwrap();
    let scale = Tensor::randn([2]).realize().unwrap();
    let f = |x: &Tensor, b: &Tensor| x.matmul(b).softmax(-1) * &scale;
    let options = VmapOptions::new().in_axes(&[Some(0), None]).out_axes(&[1]);
    let mapped = vmap_with(|x| vec![f(&x[0], &x[1])], &[&a, &b], &options);
    assert_eq!(mapped[0].dims().unwrap(), [3, 4, 2]);
    let single = f(&a.select(0, 2), &b);
    for (x, y) in values(&mapped[0].select(1, 2)).iter().zip(values(&single)) {
        assert!((x - y).abs() < 1e-6);
    }
}

#[test]
fn transformations_nest() {
    let x = vector(&[0.3, -0.7, 1.1]);
    // Per-element gradients through vmap of grad.
    let per_element = |x: &[Tensor]| {
        let x = x[0].clone().with_grad();
        let y = x.sin() * &x;
        grad(&[&y], &[&x]).unwrap_or_else(|e| vec![Tensor::error(e)])
    };
    let mapped = vmap(per_element, &[&x]);
    let expected = x.cos() * &x + x.sin();
    let gap = (&mapped[0] - &expected)
        .abs()
        .amax(..)
        .item::<f64>()
        .unwrap();
    assert!(gap < 1e-12);
    // Gradient through vmap, jvp of vjp, Hessian by both.
    let f = |x: &[Tensor]| vmap(|x| vec![x[0].exp() * &x[0]], &[&x[0]]);
    gradcheck(f, &[&x], &GradCheck::default()).unwrap();
    gradgradcheck(f, &[&x], &GradCheck::default()).unwrap();
    let h = hessian(|x| (x.exp() * x).sum(..), &x).unwrap();
    let (_, column) = jvp(
        |x| vec![jacobian(|x| (x.exp() * x).sum(..), &x[0]).unwrap()],
        &[&x],
        &[&vector(&[0.0, 1.0, 0.0])],
    );
    let gap = (h.select(1, 1) - &column[0])
        .abs()
        .amax(..)
        .item::<f64>()
        .unwrap();
    assert!(gap < 1e-12);
}

#[test]
fn vmap_wants_to_know_about_randomness() {
    let x = Tensor::zeros([3, 4]);
    let noisy = |x: &[Tensor]| vec![&x[0] + Tensor::rand([4])];
    assert!(vmap(noisy, &[&x])[0].realize().is_err());
    let same = vmap_with(
        noisy,
        &[&x],
        &VmapOptions::new().randomness(Randomness::Same),
    );
    let rows = values(&same[0]);
    assert_eq!(rows[..4], rows[4..8]);
    let different = VmapOptions::new().randomness(Randomness::Different);
    let rows = values(&vmap_with(noisy, &[&x], &different)[0]);
    assert_ne!(rows[..4], rows[4..8]);
}

struct Doubled;

impl CustomFunction for Doubled {
    fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        context.save_for_backward(&[&inputs[0]]);
        Ok(vec![inputs[0].sin()])
    }

    fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let x = &context.saved_tensors()[0];
        Ok(vec![Some(&cotangents[0] * x.cos() * 2.0)])
    }
}

#[test]
fn functions_with_a_backward_work_inside_of_others() {
    let x = Tensor::from_vec(vec![0.5f32, 1.0], [2]).with_grad();
    let inside = |x: &[Tensor]| custom_function(Doubled, &[&x[0]]);
    let y = vmap(inside, &[&x]);
    let g = grad(&[&y[0].sum(..)], &[&x]).unwrap();
    let expected: Vec<f32> = [0.5f32, 1.0].iter().map(|x| 2.0 * x.cos()).collect();
    for (a, b) in values(&g[0]).iter().zip(expected) {
        assert!((a - b).abs() < 1e-6);
    }
    let x = x.detach();
    let (_, t) = jvp(inside, &[&x], &[&Tensor::ones([2])]);
    let error = t[0].realize().unwrap_err();
    assert!(error.to_string().contains("custom function"), "{error}");
}

/// A product and a sum, of which the first operand may be an integer.
struct Mixed;

impl CustomFunction for Mixed {
    fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let product = &inputs[1] * &inputs[2];
        context.save_for_backward(&[&product, &inputs[1], &inputs[2]]);
        Ok(vec![&product + &inputs[0], product])
    }

    fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let [_, a, b] = context.saved_tensors() else {
            unreachable!("three tensors were saved");
        };
        let both = &cotangents[0] + &cotangents[1];
        Ok(vec![None, Some(&both * b), Some(&both * a)])
    }

    fn jvp(&self, context: &Context, tangents: &[Tensor]) -> Result<Vec<Tensor>> {
        let [_, a, b] = context.saved_tensors() else {
            unreachable!("three tensors were saved");
        };
        let moved = &tangents[1] * b + &tangents[2] * a;
        Ok(vec![moved.clone(), moved])
    }
}

#[test]
fn functions_with_a_jvp_move_forward() {
    let count = Tensor::from_vec(vec![3i64, 4], [2]);
    let f = |x: &[Tensor]| {
        let parts = custom_function(Mixed, &[&count, &x[0].sin(), &x[1]]);
        vec![&parts[0] * &parts[1]]
    };
    let plain = |x: &[Tensor]| {
        let product = x[0].sin() * &x[1];
        vec![(&product + &count) * &product]
    };
    let a = Tensor::from_vec(vec![0.5f64, 1.0], [2]);
    let b = Tensor::from_vec(vec![-1.5f64, 2.0], [2]);
    let (da, db) = (a.cos(), b.exp());
    let (y, t) = jvp(f, &[&a, &b], &[&da, &db]);
    let (z, u) = jvp(plain, &[&a, &b], &[&da, &db]);
    for (got, expected) in [(&y[0], &z[0]), (&t[0], &u[0])] {
        let off = (got - expected).abs().amax(..).item::<f64>().unwrap();
        assert!(off < 1e-12, "{off}");
    }
    assert!(gradcheck(f, &[&a, &b], &GradCheck::default()).is_ok());
}

#[test]
fn nothing_flows_through_detach_inside_of_functions() {
    let x = Tensor::from_vec(vec![0.5f32, 1.0], [2]).with_grad();
    let f = |x: &[Tensor]| vec![&x[0] * x[0].detach() + no_grad(|| &x[0] * 3.0)];
    let g = grad(&[&vmap(f, &[&x])[0].sum(..)], &[&x]).unwrap();
    assert_eq!(values(&g[0]), [0.5, 1.0]);
}

#[test]
fn checkpoints_compute_again_instead_of_keeping() {
    let x = Tensor::randn([64, 96]).realize().unwrap();
    let (a, b) = (Tensor::randn([96, 96]), Tensor::randn([96, 32]));
    let (a, b) = (
        a.realize().unwrap().with_grad(),
        b.realize().unwrap().with_grad(),
    );
    let layers = |x: &[Tensor]| vec![x[0].matmul(&a).tanh().matmul(&b)];
    let gradients = |y: &Tensor| grad(&[&y.square().sum(..)], &[&a, &b]).unwrap();
    let (plain, again) = (
        gradients(&layers(std::slice::from_ref(&x))[0]),
        gradients(&checkpoint(layers, &[&x])[0]),
    );
    let products = |g: &[Tensor]| {
        let plan = dump(&[&g[0], &g[1]], Stage::Memory).unwrap();
        plan.lines().filter(|l| l.contains(": contract ")).count()
    };
    // The first product is computed twice; the second one's result is asked for once.
    assert_eq!((products(&plain), products(&again)), (5, 6));
    for (p, q) in plain.iter().zip(&again) {
        assert!((p - q).abs().amax(..).item::<f32>().unwrap() < 1e-2);
    }
    let f = |x: &[Tensor]| checkpoint(|x| vec![x[0].sin() * &x[0]], &[&x[0]]);
    gradcheck(f, &[&vector(&[0.3, 0.9])], &GradCheck::default()).unwrap();
    gradgradcheck(f, &[&vector(&[0.3, 0.9])], &GradCheck::default()).unwrap();
    gradcheck(
        |x| vmap(f, &[&x[0]]),
        &[&vector(&[0.3, 0.9])],
        &GradCheck::default(),
    )
    .unwrap();
}
