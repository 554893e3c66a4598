//! How often programs are compiled, and of how many kernels they are made. The counts are those of the
//! whole process, so these tests take turns.

use lazulite::data::{DataLoader, TensorDataset};
use lazulite::nn::{Layer, Linear, Module};
use lazulite::optim::{Adam, AdamW, CosineAnnealingLr, Optimizer, Schedule, Sgd};
use lazulite::prelude::*;
use lazulite::{
    Stage, cache_stats, checkpoint, grad, hessian, last_compilation, no_grad, realize_all, scan,
    vjp,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Module)]
struct Mlp {
    hidden: Linear,
    output: Linear,
}

impl Layer for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.output.forward(&self.hidden.forward(x).relu())
    }
}

#[test]
fn a_train_step_compiles_once() {
    let _alone = alone();
    let x = Tensor::randn([8, 4]).realize().unwrap();
    let mut w = Tensor::randn([3, 4]).realize().unwrap().with_grad();
    for step in 0..6 {
        let before = lazulite::cache_stats().compilations;
        let loss = x.linear(&w, None).relu().sum(..);
        let g = grad(&[&loss], &[&w]).unwrap();
        w = no_grad(|| &w - &g[0] * 0.1).realize().unwrap().with_grad();
        loss.item::<f32>().unwrap();
        let compiled = lazulite::cache_stats().compilations - before;
        assert!(
            step < 2 || compiled == 0,
            "step {step} compiled {compiled} programs"
        );
    }
}

#[test]
fn loops_of_other_lengths_and_numbers_compile_a_bounded_number_of_times() {
    let _alone = alone();
    let mut compiled = Vec::new();
    for n in 3..9 {
        let x = Tensor::ones([n, 2]).realize().unwrap();
        let before = lazulite::cache_stats().compilations;
        let out = scan(&[&Tensor::zeros([2])], &[&x], |c, x| {
            (vec![&c[0] * (f64::from(n as u32) * 0.5) + &x[0]], vec![])
        });
        out[0].realize().unwrap();
        compiled.push(lazulite::cache_stats().compilations - before);
    }
    assert_eq!(compiled[2..], [0, 0, 0, 0], "{compiled:?}");
}

#[test]
fn a_step_is_one_program_compiled_once() {
    let _alone = alone();
    let x = Tensor::randn([24, 4]).realize().unwrap();
    let y = x.sum(-1).gt(0).cast(DType::I64).realize().unwrap();
    let model = Mlp {
        hidden: Linear::new(4, 16),
        output: Linear::new(16, 3),
    };
    let mut optimizer = AdamW::new(model.parameters(), 0.01);
    let schedule = CosineAnnealingLr {
        period: 10,
        low: 0.0,
    };
    for step in 0..6 {
        schedule.step(&mut optimizer, &[0.01], step).unwrap();
        let before = lazulite::cache_stats();
        let loss = model.forward(&x).cross_entropy(&y);
        optimizer.step(&loss).unwrap();
        loss.item::<f32>().unwrap();
        let now = lazulite::cache_stats();
        assert!(
            step == 0 || now.compilations == before.compilations,
            "step {step}"
        );
        let programs = now.compilations + now.hits - before.compilations - before.hits;
        // The first step computes the initial values before.
        assert_eq!(programs, if step == 0 { 2 } else { 1 }, "step {step}");
    }
}

#[test]
fn epochs_with_a_smaller_last_batch_compile_a_step_twice() {
    let _alone = alone();
    let data = (Tensor::randn([22, 4]), Tensor::randint(0, 3, [22]));
    let loader = DataLoader::new(TensorDataset::new(data).unwrap());
    let loader = loader.batch_size(4).shuffle(1).workers(2);
    let model = Mlp {
        hidden: Linear::new(4, 16),
        output: Linear::new(16, 3),
    };
    let mut optimizer = AdamW::new(model.parameters(), 0.01);
    let mut counts = Vec::new();
    for epoch in 0..4 {
        optimizer.set_rates(&[0.01 / f64::from(1 + epoch)]).unwrap();
        let before = lazulite::cache_stats();
        for (x, y) in &loader {
            let loss = model.forward(&x).cross_entropy(&y);
            optimizer.step(&loss).unwrap();
        }
        let now = lazulite::cache_stats();
        counts.push((
            now.compilations - before.compilations,
            now.hits - before.hits,
        ));
    }
    // Initial values (which other tests have, too), and the step for the first size and then for all; passes and
    // derivatives run when compiling only.
    let (compiled, hits) = counts.remove(0);
    assert!(compiled <= 3 && compiled + hits == 7, "{compiled} {hits}");
    assert_eq!(counts, [(0, 6), (0, 6), (0, 6)]);
    let compiled = lazulite::last_compilation().unwrap();
    assert!(
        compiled.kernels > 3 && compiled.steps >= compiled.kernels,
        "{compiled:?}"
    );
    assert!(compiled.nodes > compiled.recorded, "{compiled:?}");
}

#[test]
fn an_mlp_train_step_is_a_handful_of_kernels() {
    let _alone = alone();
    let (x, y) = (Tensor::randn([32, 784]), Tensor::randn([32, 10]));
    let (x, y) = (x.realize().unwrap(), y.realize().unwrap());
    let model = Mlp {
        hidden: Linear::new(784, 128),
        output: Linear::new(128, 10),
    };
    let loss = (model.forward(&x) - &y).square().mean(..);
    let params: Vec<Tensor> = model.parameters().iter().map(|p| p.get()).collect();
    let params: Vec<&Tensor> = params.iter().collect();
    lazulite::realize_all(&params).unwrap();
    let gradients = grad(&[&loss], &params).unwrap();
    let new: Vec<Tensor> = params
        .iter()
        .zip(&gradients)
        .map(|(p, g)| no_grad(|| *p - g * 0.1))
        .collect();
    drop(gradients);
    let mut roots = vec![&loss];
    roots.extend(&new);
    let plan = lazulite::dump(&roots, Stage::Memory).unwrap();
    let steps = plan.split("  steps {").nth(1).unwrap_or("").lines();
    let steps: Vec<&str> = steps.filter(|l| l.contains(": ")).collect();
    let products = steps.iter().filter(|l| l.contains(": contract ")).count();
    // Two products forward and three backward, with bias, activation and update in their epilogues; the loss; and
    // the updates of both biases.
    assert_eq!((products, steps.len()), (5, 8), "{plan}");
}

/// The largest difference between the parameters of two models.
fn distance(a: &Mlp, b: &Mlp) -> f32 {
    let pairs = a.parameters().into_iter().zip(b.parameters());
    let each = pairs.map(|(a, b)| (a.get() - b.get()).abs().amax(..).item::<f32>().unwrap());
    each.fold(0.0, f32::max)
}

#[test]
fn captured_steps_train_as_recorded_ones_do() {
    let _alone = alone();
    let x = Tensor::randn([16, 70]).realize().unwrap();
    let y = Tensor::randint(0, 3, [16]).realize().unwrap();
    let mlp = || Mlp {
        hidden: Linear::new(70, 80),
        output: Linear::new(80, 3),
    };
    let (recorded, captured) = (mlp(), mlp());
    captured.load_state_dict(&recorded.state_dict()).unwrap();
    // The other tests' steps are of another structure, so that they find nothing compiled.
    let mut optimizer = Adam::new(recorded.parameters(), 0.01);
    let other = Mutex::new(Adam::new(captured.parameters(), 0.01));
    let parameters = captured.parameters();
    let step = compile(|[x, y]: [Tensor; 2]| {
        let loss = captured.forward(&x).cross_entropy(&y);
        other.lock().unwrap().step(&loss).unwrap();
        loss.detach()
    });
    let mut held = None;
    for i in 0..6 {
        let loss = recorded.forward(&x).cross_entropy(&y);
        optimizer.step(&loss).unwrap();
        let same = step.call([&x, &y]).unwrap().item::<f32>().unwrap();
        let difference = (loss.item::<f32>().unwrap() - same).abs();
        assert!(difference < 1e-5, "step {i} is off by {difference}");
        assert!(distance(&recorded, &captured) < 1e-5, "after step {i}");
        // What someone holds stays as it is.
        if i == 2 {
            let before = parameters[0].get();
            held = Some((before.to_vec::<f32>().unwrap(), before));
        }
    }
    let (values, tensor) = held.unwrap();
    assert_eq!(tensor.to_vec::<f32>().unwrap(), values);
    assert!(parameters.iter().all(|p| p.requires_grad()));
}

#[test]
fn captured_functions_notice_new_weights() {
    let _alone = alone();
    let model = Mlp {
        hidden: Linear::new(70, 80),
        output: Linear::new(80, 3),
    };
    let forward = compile(|[x]: [Tensor; 1]| model.forward(&x));
    let x = Tensor::randn([16, 70]).realize().unwrap();
    for _ in 0..3 {
        for _ in 0..2 {
            let expected = model.forward(&x);
            let got = no_grad(|| forward.call([&x])).unwrap();
            let difference = (got - expected).abs().amax(..).item::<f32>().unwrap();
            assert!(difference < 1e-5, "{difference}");
        }
        model.hidden.weight.set(Tensor::randn([80, 70])).unwrap();
    }
    assert_eq!(forward.versions(), 1);
}

#[test]
fn a_captured_call_draws_once_even_if_its_input_is_yet_to_be_computed() {
    let _alone = alone();
    let noisy = compile(|[x]: [Tensor; 1]| x + Tensor::rand([4]));
    let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [4]);
    let draws = |make: &dyn Fn() -> Tensor| {
        lazulite::manual_seed(7);
        let drawn = (0..3).map(|_| noisy.call([&make()]).unwrap().to_vec::<f32>().unwrap());
        drawn.collect::<Vec<_>>()
    };
    // The very first call has an input that is yet to be computed.
    let lazy = draws(&|| &x * 1.0);
    let known = draws(&|| x.clone());
    assert_eq!(known, lazy);
    assert_ne!(known[0], known[1]);
}

#[test]
fn captured_calls_change_cells_once_whatever_their_inputs_are() {
    let _alone = alone();
    let total = lazulite::TensorCell::new(Tensor::zeros([2]));
    let add = compile(|[x]: [Tensor; 1]| {
        total.set(&total.get() + &x).unwrap();
        total.get() * 2.0
    });
    let x = Tensor::from([1.0f32, 2.0]);
    for turn in 1..5 {
        let doubled = match turn % 2 {
            0 => add.call([&x]),
            _ => add.call([&(&x * 1.0)]),
        };
        let turn = turn as f32;
        assert_eq!(
            doubled.unwrap().to_vec::<f32>().unwrap(),
            [2.0 * turn, 4.0 * turn]
        );
        assert_eq!(total.get().to_vec::<f32>().unwrap(), [turn, 2.0 * turn]);
    }
}

#[test]
fn captured_calls_compute_their_inputs_even_if_nothing_reads_them() {
    let _alone = alone();
    let x = Tensor::from([1.0f32, 2.0]);
    let w = Tensor::from([3.0f32, 4.0]).with_grad();
    let first = compile(|[x, _]: [Tensor; 2]| x * 2.0);
    let recorded = compile(|[x, y]: [Tensor; 2]| (x + y) * &w);
    for _ in 0..3 {
        let (a, b) = (&x + 1.0, &x * 3.0);
        first.call([&a, &b]).unwrap();
        assert!(a.is_realized() && b.is_realized());
        let (a, b) = (&x + 1.0, &x * 3.0);
        recorded.call([&a, &b]).unwrap();
        assert!(a.is_realized() && b.is_realized());
        let beyond = x.gather(0, &Tensor::from([7i64]));
        assert_eq!(
            first.call([&x, &beyond]).unwrap_err().kind(),
            lazulite::ErrorKind::Fault
        );
    }
}

#[test]
fn functions_that_panic_can_be_called_again() {
    let _alone = alone();
    let picky = compile(|[x]: [Tensor; 1]| {
        assert!(x.rank().unwrap() == 1, "one axis is wanted");
        x * 2.0
    });
    let call = |x: &Tensor| catch_unwind(AssertUnwindSafe(|| picky.call([x]).unwrap()));
    assert!(call(&Tensor::ones([2, 2])).is_err());
    assert_eq!(
        call(&Tensor::ones([2])).unwrap().to_vec::<f32>().unwrap(),
        [2.0, 2.0]
    );
    assert!(call(&Tensor::ones([2, 2])).is_err());
}

#[test]
fn threads_that_have_run_before_notice_changed_options() {
    let _alone = alone();
    let before = lazulite::options();
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let (answer, answered) = std::sync::mpsc::channel();
    let other = std::thread::spawn(move || {
        for () in asked {
            answer.send(lazulite::options().egraph).unwrap();
        }
    });
    let mut seen = Vec::new();
    for egraph in [before.egraph, !before.egraph, before.egraph] {
        let mut options = before.clone();
        options.egraph = egraph;
        lazulite::set_options(options).unwrap();
        ask.send(()).unwrap();
        seen.push(answered.recv().unwrap());
    }
    drop(ask);
    other.join().unwrap();
    assert_eq!(seen, [before.egraph, !before.egraph, before.egraph]);
}

/// A captured function is differentiable as if it was not captured: inputs, parameters used inside, and both again.
#[test]
fn gradients_flow_through_captured_functions() {
    let _alone = alone();
    let w = Tensor::full([3], 2.0).with_grad();
    let square = compile(|[x]: [Tensor; 1]| x.square().mul(&w).sum(..));
    for size in [1.0, 3.0] {
        let x = Tensor::full([3], size).with_grad();
        let y = square.call([&x]).unwrap();
        assert!(y.requires_grad() && y.is_realized());
        let slopes = grad(&[&y], &[&x, &w]).unwrap();
        assert_eq!(slopes[0].to_vec::<f32>().unwrap(), [4.0 * size; 3]);
        assert_eq!(slopes[1].to_vec::<f32>().unwrap(), [size * size; 3]);
    }
    assert_eq!(square.versions(), 0);
    assert!(square.explain()[0].contains("gradients flow"));
    // A plain input still reaches the parameter; without gradients it is replayed.
    let plain = Tensor::full([3], 1.0);
    assert!(square.call([&plain]).unwrap().requires_grad());
    let quiet = lazulite::no_grad(|| square.call([&plain])).unwrap();
    assert!(!quiet.requires_grad());
    assert_eq!(square.versions(), 1);
}

#[test]
fn captured_functions_are_replayed_where_no_gradient_can_flow() {
    let _alone = alone();
    let model = Linear::new(4, 2);
    let best = compile(|[x]: [Tensor; 1]| model.forward(&x).argmax(-1));
    let x = Tensor::ones([3, 4]).with_grad();
    assert!(!best.call([&x]).unwrap().requires_grad());
    assert_eq!(best.versions(), 1);
    let before = cache_stats().compilations;
    best.call([&x]).unwrap();
    assert_eq!((cache_stats().compilations, best.versions()), (before, 1));
}

/// What a captured function depends on besides values: whether gradients flow to the parameters that it reads.
#[test]
fn captured_functions_notice_that_parameters_are_frozen_or_trained() {
    let _alone = alone();
    let model = Linear::new(4, 1);
    let parameters = model.parameters();
    let freeze = |frozen: bool| parameters.iter().for_each(|p| p.requires_grad_(!frozen));
    let forward = compile(|[x]: [Tensor; 1]| model.forward(&x));
    let x = Tensor::ones([2, 4]);
    for _ in 0..2 {
        freeze(true);
        assert!(!forward.call([&x]).unwrap().requires_grad());
        freeze(false);
        let y = forward.call([&x]).unwrap().sum(..);
        let slope = grad(&[&y], &[&model.weight.get()]).unwrap();
        assert_eq!(slope[0].to_vec::<f32>().unwrap(), [2.0; 4]);
    }
    assert_eq!(forward.versions(), 1);
    // A value with a history, written to a cell.
    let cell = TensorCell::new(Tensor::zeros([1]));
    let write = compile(|[x]: [Tensor; 1]| {
        cell.set(model.forward(&x).sum(..).reshape([1])).unwrap();
        x.detach()
    });
    write.call([&x]).unwrap();
    let slope = grad(&[&cell.get().sum(..)], &[&model.weight.get()]).unwrap();
    assert_eq!(slope[0].to_vec::<f32>().unwrap(), [2.0; 4]);
}

#[test]
fn a_captured_step_that_returns_its_loss_is_replayed() {
    let _alone = alone();
    let model = Linear::new(4, 1);
    let optimizer = Mutex::new(Sgd::new(model.parameters(), 0.01));
    let step = compile(|[x]: [Tensor; 1]| {
        let loss = model.forward(&x).square().mean(..);
        optimizer.lock().unwrap().step(&loss).unwrap();
        loss
    });
    let x = Tensor::ones([8, 4]);
    let losses = [(); 3].map(|()| step.call([&x]).unwrap().item::<f32>().unwrap());
    assert!(losses[2] < losses[1] && losses[1] < losses[0], "{losses:?}");
    assert_eq!(step.versions(), 1);
}

#[test]
fn a_step_through_a_captured_forward_moves_the_parameters() {
    let _alone = alone();
    let model = Linear::new(4, 1);
    let forward = compile(|[x]: [Tensor; 1]| model.forward(&x).dropout(0.5, true));
    let mut optimizer = Sgd::new(model.parameters(), 0.1);
    let before = model.parameters()[0].get().to_vec::<f32>().unwrap();
    for _ in 0..3 {
        let loss = forward
            .call([&Tensor::ones([8, 4])])
            .unwrap()
            .square()
            .mean(..);
        assert!(optimizer.step(&loss).unwrap().unreached.is_empty());
    }
    assert_ne!(model.parameters()[0].get().to_vec::<f32>().unwrap(), before);
}

/// Bytes planned for the gradients of a stack of layers, each a checkpoint or not.
fn planned(
    layers: &[Tensor],
    x: &Tensor,
    checked: bool,
    layer: fn(&Tensor, &Tensor) -> Tensor,
) -> usize {
    let y = layers.iter().fold(x.clone(), |x, w| match checked {
        true => checkpoint(|x| vec![layer(&x[0], w)], &[&x]).remove(0),
        false => layer(&x, w),
    });
    let wrt: Vec<&Tensor> = layers.iter().collect();
    let gradients = grad(&[&y.square().mean(..)], &wrt).unwrap();
    realize_all(&gradients.iter().collect::<Vec<_>>()).unwrap();
    last_compilation().unwrap().peak_bytes
}

/// Attention over tokens and a perceptron, both with the same weights, and residual connections.
fn block(x: &Tensor, w: &Tensor) -> Tensor {
    let normal = x.layer_norm(1, None, None, 1e-5);
    let keys = normal.matmul(w);
    let scores = keys.matmul(&keys.mt()).mul(0.125).softmax(-1);
    let x = x + scores.matmul(&keys);
    let hidden = x.layer_norm(1, None, None, 1e-5).matmul(w).gelu();
    x + hidden.matmul(&w.mt())
}

#[test]
fn checkpoints_plan_for_less_memory() {
    let _alone = alone();
    let weights = |width: i64| -> Vec<Tensor> {
        let each = (0..16).map(|_| Tensor::randn([width, width]).mul(0.05).with_grad());
        each.collect()
    };
    let perceptron: fn(&Tensor, &Tensor) -> Tensor =
        |x, w| x.matmul(w).gelu().matmul(&w.mt()).tanh();
    for (name, width, x, layer) in [
        ("perceptron", 256, Tensor::ones([512, 256]), perceptron),
        ("transformer", 64, Tensor::ones([8, 64, 64]), block),
    ] {
        let layers = weights(width);
        let plain = planned(&layers, &x, false, layer);
        let checked = planned(&layers, &x, true, layer);
        println!("{name}: {plain} bytes, with checkpoints {checked}");
        assert!(3 * checked < 2 * plain, "{name}: {checked} of {plain}");
    }
}

#[test]
fn a_loop_of_newton_steps_compiles_a_bounded_number_of_programs() {
    let _alone = alone();
    let loss = |x: &Tensor| (x.square().square() + x.square() * 3.0 - x).sum(..);
    let mut x = Tensor::from([2.0f64, -1.0]);
    let mut compiled = Vec::new();
    for _ in 0..30 {
        let before = cache_stats().compilations;
        let (_, pullback) = vjp(|x| vec![loss(&x[0])], &[&x]).unwrap();
        let one = Tensor::ones(()).cast(DType::F64);
        let g = pullback.call(&[&one]).unwrap().remove(0);
        let h = hessian(loss, &x).unwrap();
        assert!(!g.requires_grad() && !h.requires_grad());
        x = (&x - h.solve(&g.unsqueeze(-1), true).squeeze(-1) * 0.5)
            .realize()
            .unwrap();
        assert!(!x.requires_grad());
        compiled.push(cache_stats().compilations - before);
    }
    assert_eq!(compiled[3..], [0; 27], "{compiled:?}");
    // 4 x^3 + 6 x = 1.
    for x in x.to_vec::<f64>().unwrap() {
        assert!((4.0 * x.powi(3) + 6.0 * x - 1.0).abs() < 1e-5, "{x}");
    }
}
