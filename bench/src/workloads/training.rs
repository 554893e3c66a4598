//! Steps of an optimiser: forward, gradients and update, recorded anew every time as training loops do.

use super::models::Gpt;
use super::{Entry, Workload, state};
use lazulite::nn::{
    Conv2d, Flatten, Layer, Linear, Lstm, MaxPool2d, Module, RecurrentOptions, Relu, Sequential,
};
use lazulite::optim::{AdamW, Optimizer, Sgd};
use lazulite::prelude::*;
use lazulite::realize_all;

/// These workloads.
pub fn entries() -> Vec<Entry> {
    vec![
        Entry::training("train_mlp_small_b32_sgd", small_mlp),
        Entry::training("train_mlp_b256_adamw", mlp),
        Entry::training("train_mnist_cnn_b64_adamw", cnn),
        Entry::training("train_gpt_6x384_t256_b8", gpt),
        Entry::training("train_lstm_t100_b32", lstm),
    ]
}

/// The smallest model there is.
pub fn trivial() -> Result<Workload> {
    let model = Linear::new(4, 2);
    let sgd = Sgd::new(model.parameters(), 0.01);
    classify(model, sgd, Tensor::randn([2, 4]), labels([2], 2))
}

fn small_mlp() -> Result<Workload> {
    let model = Sequential::new()
        .with(Linear::new(784, 128))
        .with(Relu)
        .with(Linear::new(128, 10));
    let sgd = Sgd::new(model.parameters(), 0.01);
    classify(model, sgd, Tensor::randn([32, 784]), labels([32], 10))
}

fn mlp() -> Result<Workload> {
    let model = Sequential::new()
        .with(Linear::new(784, 512))
        .with(Relu)
        .with(Linear::new(512, 512))
        .with(Relu)
        .with(Linear::new(512, 10));
    let adamw = AdamW::new(model.parameters(), 1e-3);
    classify(model, adamw, Tensor::randn([256, 784]), labels([256], 10))
}

fn cnn() -> Result<Workload> {
    let model = Sequential::new()
        .with(Conv2d::new(1, 32, 3))
        .with(Relu)
        .with(Conv2d::new(32, 64, 3))
        .with(Relu)
        .with(MaxPool2d::new(2))
        .with(Flatten::default())
        .with(Linear::new(9216, 128))
        .with(Relu)
        .with(Linear::new(128, 10));
    let adamw = AdamW::new(model.parameters(), 1e-3);
    let images = Tensor::randn([64, 1, 28, 28]);
    classify(model, adamw, images, labels([64], 10))
}

fn gpt() -> Result<Workload> {
    let model = Gpt::new(65, 256, 384, 6, 6);
    let adamw = AdamW::new(model.parameters(), 1e-3);
    classify(model, adamw, labels([8, 256], 65), labels([8, 256], 65))
}

/// The last state of an LSTM over a sequence tells the class.
#[derive(Module)]
struct Reader {
    lstm: Lstm,
    head: Linear,
}

impl Layer for Reader {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (states, _) = self.lstm.forward(x, None);
        self.head.forward(&states.select(1, -1))
    }
}

fn lstm() -> Result<Workload> {
    let options = RecurrentOptions {
        batch_first: true,
        ..RecurrentOptions::default()
    };
    let model = Reader {
        lstm: Lstm::with(64, 128, &options),
        head: Linear::new(128, 10),
    };
    let adamw = AdamW::new(model.parameters(), 1e-3);
    classify(model, adamw, Tensor::randn([32, 100, 64]), labels([32], 10))
}

fn labels(dims: impl lazulite::IntoDims, classes: i64) -> Tensor {
    Tensor::randint(0, classes, dims)
}

/// Steps of a model that tells classes (along the last axis) of what it is given; each gives the loss.
fn classify(
    model: impl Layer + 'static,
    mut optimizer: impl Optimizer + 'static,
    x: Tensor,
    y: Tensor,
) -> Result<Workload> {
    let mut given = state(&model);
    given.extend([("x".to_string(), x.clone()), ("y".to_string(), y.clone())]);
    realize_all(&given.iter().map(|(_, tensor)| tensor).collect::<Vec<_>>())?;
    let classes = y.flatten(0, -1).realize()?;
    let step = move || {
        let logits = model.forward(&x);
        let logits = logits.flatten(0, -2);
        let loss = logits.cross_entropy(&classes);
        optimizer.step(&loss)?;
        Ok(vec![loss])
    };
    Ok(Workload {
        given,
        step: Box::new(step),
    })
}
