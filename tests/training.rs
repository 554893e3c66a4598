//! Modules and optimisers through the public interface.

use lazulite::nn::{
    BatchNorm1d, Layer, LayerNorm, Linear, Lstm, Module, Relu, Sequential, StateDict,
};
use lazulite::optim::{Adam, AdamSettings, AdamW, Optimizer, Sgd, SgdSettings};
use lazulite::prelude::*;
use lazulite::{ErrorKind, grad};

#[derive(Module)]
struct Mlp {
    hidden: Linear,
    norm: Option<LayerNorm>,
    output: Linear,
    #[module(skip)]
    _note: &'static str,
}

impl Layer for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        let hidden = self.hidden.forward(x).relu();
        let hidden = match &self.norm {
            Some(norm) => norm.forward(&hidden),
            None => hidden,
        };
        self.output.forward(&hidden)
    }
}

fn mlp(norm: bool) -> Mlp {
    Mlp {
        hidden: Linear::new(4, 16),
        norm: norm.then(|| LayerNorm::new(16)),
        output: Linear::new(16, 3),
        _note: "no module",
    }
}

fn data() -> (Tensor, Tensor) {
    let x = Tensor::randn([24, 4]).realize().unwrap();
    let y = x.sum(-1).gt(0).cast(DType::I64).realize().unwrap();
    (x, y)
}

#[test]
fn names_are_paths() {
    let names: Vec<String> = mlp(true).state_dict().keys().cloned().collect();
    let expected = [
        "hidden.bias",
        "hidden.weight",
        "norm.bias",
        "norm.weight",
        "output.bias",
        "output.weight",
    ];
    assert_eq!(names, expected);
    let layers = Sequential::new()
        .with(Linear::new(2, 3))
        .with(Relu)
        .with(Linear::new(3, 1));
    let names: Vec<String> = layers
        .named_parameters()
        .into_iter()
        .map(|(n, _)| n)
        .collect();
    assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
}

#[test]
fn every_optimiser_learns() {
    let learn = |make: &dyn Fn(&Mlp) -> Box<dyn Optimizer>| {
        let (x, y) = data();
        let model = mlp(true);
        let mut optimizer = make(&model);
        let mut losses = Vec::new();
        for _ in 0..40 {
            let loss = model.forward(&x).cross_entropy(&y);
            let report = optimizer.step(&loss).unwrap();
            assert!(report.unreached.is_empty(), "{report:?}");
            losses.push(loss.item::<f32>().unwrap());
        }
        assert!(losses[39] < 0.5 * losses[0], "{losses:?}");
    };
    let momentum = SgdSettings {
        momentum: 0.9,
        nesterov: true,
        ..SgdSettings::default()
    };
    learn(&|m| Box::new(Sgd::new(m.parameters(), 0.5)));
    learn(&|m| Box::new(Sgd::with(m.parameters(), 0.1, momentum)));
    learn(&|m| Box::new(Adam::new(m.parameters(), 0.02)));
    learn(&|m| Box::new(AdamW::new(m.parameters(), 0.02)));
    let amsgrad = AdamSettings {
        amsgrad: true,
        ..AdamSettings::default()
    };
    learn(&|m| Box::new(Adam::with(m.parameters(), 0.02, amsgrad)));
}

#[test]
fn a_loss_read_before_the_step_changes_nothing() {
    let (x, y) = data();
    let run = |read: bool| {
        lazulite::manual_seed(7);
        let model = mlp(false);
        let mut optimizer = Sgd::new(model.parameters(), 0.1);
        for _ in 0..3 {
            let loss = model.forward(&x).cross_entropy(&y);
            if read {
                loss.item::<f32>().unwrap();
            }
            optimizer.step(&loss).unwrap();
        }
        model.hidden.weight.get().to_vec::<f32>().unwrap()
    };
    for (a, b) in run(true).iter().zip(run(false)) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn backward_and_step_agree() {
    let (x, y) = data();
    let run = |collected: bool| {
        lazulite::manual_seed(7);
        let model = mlp(true);
        let mut optimizer = Adam::new(model.parameters(), 0.1);
        for _ in 0..3 {
            let loss = model.forward(&x).cross_entropy(&y);
            if collected {
                optimizer.zero_grad();
                loss.backward().unwrap();
                optimizer.step_collected().unwrap();
            } else {
                optimizer.step(&loss).unwrap();
            }
        }
        model.output.weight.get().to_vec::<f32>().unwrap()
    };
    for (a, b) in run(true).iter().zip(run(false)) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn unreached_parameters_are_reported() {
    let model = mlp(false);
    let mut optimizer = Sgd::new(model.parameters(), 0.1);
    let loss = model.hidden.forward(&Tensor::ones([2, 4])).sum(..);
    let report = optimizer.step(&loss).unwrap();
    assert_eq!(report.unreached, ["output.weight", "output.bias"]);
    optimizer.strict = true;
    let before = model.hidden.weight.get().to_vec::<f32>().unwrap();
    let loss = model.hidden.forward(&Tensor::ones([2, 4])).sum(..);
    let error = optimizer.step(&loss).unwrap_err().to_string();
    assert!(error.contains("output.weight"), "{error}");
    // A step that was refused has moved nothing.
    assert_eq!(model.hidden.weight.get().to_vec::<f32>().unwrap(), before);
}

#[test]
fn steps_that_would_do_nothing_or_forget_something_are_refused() {
    let (model, other) = (Linear::new(4, 1), Linear::new(4, 1));
    let mut optimizer = Sgd::new(model.parameters(), 0.5);
    let loss = |model: &Linear| model.forward(&Tensor::ones([1, 4])).sum(..);
    let error = optimizer.step(&loss(&other)).unwrap_err().to_string();
    assert!(error.contains("does not depend on"), "{error}");
    // Recorded before another step.
    let (first, second) = (loss(&model), loss(&model));
    optimizer.step(&first).unwrap();
    assert!(optimizer.step(&second).is_err());
    loss(&model).backward().unwrap();
    let error = optimizer.step(&loss(&model)).unwrap_err().to_string();
    assert!(error.contains("step_collected"), "{error}");
    optimizer.step_collected().unwrap();
    assert!(Sgd::new(Vec::new(), 0.1).step(&loss(&model)).is_err());
    for rate in [-1.0, f64::NAN, f64::INFINITY] {
        assert!(optimizer.set_rates(&[rate]).is_err(), "{rate}");
        assert!(optimizer.set_momenta(&[rate]).is_err(), "{rate}");
    }
}

/// What cannot be computed for lack of memory.
fn too_large() -> Tensor {
    Tensor::randn([1usize << 44]).sort(-1).0.sum(..)
}

#[test]
fn a_step_that_lacks_memory_is_taken_back_and_a_smaller_one_works() {
    let model = Linear::new(4, 1);
    let mut optimizer = Sgd::new(model.parameters(), 0.5);
    let before = model.weight.get().to_vec::<f32>().unwrap();
    let loss = model.forward(&Tensor::ones([2, 4])).sum(..) * too_large();
    let error = optimizer.step(&loss).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
    assert_eq!(model.weight.get().to_vec::<f32>().unwrap(), before);
    let loss = model.forward(&Tensor::ones([2, 4])).sum(..);
    optimizer.step(&loss).unwrap();
    let after = model.weight.get().to_vec::<f32>().unwrap();
    assert_eq!(after[0], before[0] - 1.0);
}

#[test]
fn a_write_that_cannot_be_compiled_fails_once_and_alone() {
    let x = Tensor::ones([3]).with_grad();
    let opaque = x.map_elements(|v: f32| v);
    let cell = TensorCell::new(Tensor::zeros([3]));
    let slopes = grad(&[&opaque.sum(..)], &[&x]).unwrap();
    cell.set(slopes[0].clone()).unwrap();
    let other = Tensor::ones([2]) * 2.0;
    assert!(other.to_vec::<f32>().is_err());
    assert_eq!(other.to_vec::<f32>().unwrap(), [2.0, 2.0]);
    assert_eq!(cell.get().to_vec::<f32>().unwrap(), [0.0; 3]);
}

#[test]
fn hooks_and_collected_gradients_stay_with_a_parameter() {
    let model = Linear::new(4, 1);
    let mut optimizer = Sgd::new(model.parameters(), 0.5);
    let hook = model
        .weight
        .get()
        .register_hook(|g| Some(g * 10.0))
        .unwrap();
    let moved = |step: &mut dyn FnMut()| {
        let before = model.weight.get().to_vec::<f32>().unwrap()[0];
        step();
        before - model.weight.get().to_vec::<f32>().unwrap()[0]
    };
    let loss = || model.forward(&Tensor::ones([1, 4])).sum(..);
    for _ in 0..3 {
        let by = moved(&mut || _ = optimizer.step(&loss()).unwrap());
        assert!((by - 5.0).abs() < 1e-5, "{by}");
    }
    loss().backward().unwrap();
    optimizer.step_collected().unwrap();
    // As in PyTorch it stays until it is forgotten.
    let collected = || model.weight.grad().map(|g| g.to_vec::<f32>().unwrap()[0]);
    assert_eq!(collected(), Some(10.0));
    loss().backward().unwrap();
    assert_eq!(collected(), Some(20.0));
    optimizer.zero_grad();
    assert_eq!(collected(), None);
    hook.remove();
    let by = moved(&mut || _ = optimizer.step(&loss()).unwrap());
    assert!((by - 0.5).abs() < 1e-5, "{by}");
}

#[test]
fn state_goes_out_and_in() {
    let (x, y) = data();
    let (model, other) = (mlp(true), mlp(true));
    let mut optimizer = Adam::new(model.parameters(), 0.05);
    let mut second = Adam::new(other.parameters(), 0.5);
    let step = |m: &Mlp, o: &mut dyn Optimizer| {
        let loss = m.forward(&x).cross_entropy(&y);
        o.step(&loss).unwrap();
        loss.item::<f32>().unwrap()
    };
    step(&model, &mut optimizer);
    other.load_state_dict(&model.state_dict()).unwrap();
    second.load_state_dict(&optimizer.state_dict()).unwrap();
    for _ in 0..3 {
        assert_eq!(step(&model, &mut optimizer), step(&other, &mut second));
    }
    let error = other.load_state_dict(&StateDict::new()).unwrap_err();
    assert!(
        error.to_string().contains("the state lacks `hidden.bias`"),
        "{error}"
    );
}

#[test]
fn an_lstm_learns_to_remember() {
    let length = 6;
    let x = Tensor::randn([length, 32, 1]).realize().unwrap();
    let y = x.select(0, 0).realize().unwrap();
    let (lstm, head) = (Lstm::new(1, 16, 1), Linear::new(16, 1));
    let mut params = lstm.parameters();
    params.extend(head.parameters());
    let mut optimizer = Adam::new(params, 0.02);
    let mut losses = Vec::new();
    for _ in 0..60 {
        let (out, _) = lstm.forward(&x, None);
        let loss = (head.forward(&out.select(0, -1)) - &y).square().mean(..);
        optimizer.step(&loss).unwrap();
        losses.push(loss.item::<f32>().unwrap());
    }
    assert!(losses[59] < 0.5 * losses[0], "{} {}", losses[0], losses[59]);
}

#[test]
fn a_step_leaves_what_others_can_still_differentiate() {
    let model = mlp(false);
    let (x, y) = data();
    let mut optimizer = Sgd::new(model.parameters(), 0.1);
    let hidden = model.hidden.forward(&x).realize().unwrap();
    let loss = model.output.forward(&hidden).cross_entropy(&y);
    optimizer.step(&loss).unwrap();
    // The old weights are reached through what was computed from them.
    hidden.sum(..).backward().unwrap();
}

#[test]
fn running_statistics_remember_numbers_only() {
    let norm = BatchNorm1d::new(4);
    let (x, _) = data();
    norm.forward(&x).realize().unwrap();
    let running = norm.running.as_ref().unwrap();
    assert!(!running[0].get().requires_grad());
    let mut optimizer = Sgd::new(norm.parameters(), 0.1);
    for _ in 0..4 {
        optimizer.step(&norm.forward(&x).square().mean(..)).unwrap();
    }
    assert_eq!(running[2].get().item::<i64>().unwrap(), 5);
}

/// A step overwrites parameters in place. Who reads them meanwhile waits for the new ones.
#[test]
fn parameters_can_be_read_while_they_are_trained() {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    let model = Linear::new(64, 64);
    let mut optimizer = AdamW::new(model.parameters(), 0.01);
    let x = Tensor::randn([8, 64]).realize().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Relaxed) || reads == 0 {
                let weight = model.parameters()[0].get();
                let total = (weight * 2.0).sum(..).item::<f32>().unwrap();
                assert!(total.is_finite());
                reads += 1;
            }
        });
        for _ in 0..300 {
            let loss = model.forward(&x).square().mean(..);
            optimizer.step(&loss).unwrap();
        }
        done.store(true, Relaxed);
        reader.join().unwrap();
    });
}
