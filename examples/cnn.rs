//! A convolution network with batch norm and dropout learns to read digits that are drawn by chance.
//!
//! `cargo run --release --example cnn`

use lazulite::data::DataLoader;
use lazulite::data::digits::Digits;
use lazulite::nn::{
    BatchNorm2d, Conv2d, Dropout, Flatten, Layer, Linear, MaxPool2d, Module, Relu, Sequential,
};
use lazulite::optim::{Optimizer, Sgd, SgdSettings};
use lazulite::prelude::*;

/// The share of new digits that the trained network reads right.
pub fn run(images: usize, epochs: usize) -> Result<f32> {
    manual_seed(0);
    let model = Sequential::new()
        .with(Conv2d::new(1, 8, 5))
        .with(BatchNorm2d::new(8))
        .with(Relu)
        .with(MaxPool2d::new(2))
        .with(Conv2d::new(8, 16, 3))
        .with(Relu)
        .with(MaxPool2d::new(2))
        .with(Flatten::default())
        .with(Dropout::new(0.2))
        .with(Linear::new(16 * 5 * 5, 10));
    let settings = SgdSettings {
        momentum: 0.9,
        weight_decay: 1e-4,
        ..SgdSettings::default()
    };
    let mut optimizer = Sgd::with(model.parameters(), 0.05, settings);
    let train = DataLoader::new(Digits::train(images, 1))
        .batch_size(50)
        .shuffle(2)
        .workers(1);
    for epoch in 0..epochs {
        let mut loss = Tensor::zeros(());
        for (images, labels) in &train {
            loss = model.forward(&images).cross_entropy(&labels);
            optimizer.step(&loss)?;
        }
        println!("epoch {epoch}: loss {:.3}", loss.item::<f32>()?);
    }

    model.eval();
    let read = compile(|[images]: [Tensor; 1]| model.forward(&images).argmax(-1));
    let test = DataLoader::new(Digits::test(images / 5, 1))
        .batch_size(100)
        .drop_last(true);
    let mut right = 0.0;
    for (images, labels) in &test {
        let hits = read.call([&images])?.eq(&labels).cast(DType::F32);
        right += hits.mean(..).item::<f32>()? / test.len() as f32;
    }
    println!("{:.1}% of new digits are read right", right * 100.0);
    Ok(right)
}

fn main() -> Result<()> {
    run(8000, 3).map(drop)
}
