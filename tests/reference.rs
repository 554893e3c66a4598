//! Training runs against PyTorch's: from the same weights and the same data, the losses of every step are the same.
//! `tests/reference/make.py` computed `losses.txt`.

use lazulite::nn::{
    BatchNorm2d, Conv2d, Embedding, Layer, LayerNorm, Linear, Lstm, Module, MultiheadAttention,
};
use lazulite::optim::{
    Adam, AdamW, CosineAnnealingLr, OneCycleLr, Optimizer, Schedule, Sgd, SgdSettings, StepLr,
};
use lazulite::prelude::*;

const STEPS: u64 = 50;
const BATCHES: u64 = 4;
/// How far a loss may be off: rounding differs, and grows from step to step.
const TOLERANCE: f32 = 1e-4;

/// 64 bits that depend on a name and a number.
fn word(name: &str, index: usize) -> u64 {
    let hash = |state: u64, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let state = name.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let step = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = state.wrapping_add(step);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Numbers within `bound` of `middle`.
fn numbers(name: &str, dims: &[usize], bound: f64, middle: f64) -> Tensor {
    let unit = |i| (word(name, i) >> 40) as f64 / f64::from(1 << 24);
    let count: usize = dims.iter().product();
    let values = (0..count).map(|i| (middle + (2.0 * unit(i) - 1.0) * bound) as f32);
    Tensor::from_vec(values.collect(), dims.to_vec())
}

fn labels(name: &str, dims: &[usize], classes: u64) -> Tensor {
    let count: usize = dims.iter().product();
    let values = (0..count).map(|i| (word(name, i) % classes) as i64);
    Tensor::from_vec(values.collect(), dims.to_vec())
}

fn initialise(model: &impl Module) -> Result<()> {
    for (name, param) in model.named_parameters() {
        let dims = param.get().dims()?;
        let inputs: usize = dims[1..].iter().product();
        param.set(match dims.len() {
            2.. => numbers(&name, &dims, 1.0 / (inputs as f64).sqrt(), 0.0),
            _ if name.ends_with("weight") => numbers(&name, &dims, 0.1, 1.0),
            _ => numbers(&name, &dims, 0.1, 0.0),
        })?;
    }
    Ok(())
}

/// Trains, and holds every loss against PyTorch's.
fn follows<M: Layer>(
    name: &str,
    model: &M,
    data: impl Fn(u64) -> (Tensor, Tensor),
    mut optimizer: impl Optimizer,
    schedule: &impl Schedule,
) -> Result<()> {
    let all = include_str!("reference/losses.txt");
    let mut line = all.lines().map(str::split_whitespace);
    let line = line.find_map(|mut words| (words.next() == Some(name)).then_some(words));
    let expected: Vec<f32> = line.unwrap().map(|word| word.parse().unwrap()).collect();
    assert_eq!(expected.len() as u64, STEPS);
    let bases = optimizer.rates();
    for (step, expected) in (0..).zip(expected) {
        schedule.step(&mut optimizer, &bases, step)?;
        let (x, y) = data(step % BATCHES);
        let loss = model.forward(&x).cross_entropy(&y);
        optimizer.step(&loss)?;
        let loss = loss.item::<f32>()?;
        let off = (loss - expected).abs();
        assert!(
            off <= TOLERANCE,
            "{name}, step {step}: {loss} instead of {expected}"
        );
    }
    Ok(())
}

fn classified(
    name: &str,
    dims: &[usize],
    count: usize,
    classes: u64,
    batch: u64,
) -> (Tensor, Tensor) {
    let x = numbers(&format!("{name} x {batch}"), dims, 1.7, 0.0);
    let y = labels(&format!("{name} y {batch}"), &[count], classes);
    (x, y)
}

#[derive(Module)]
struct Mlp {
    first: Linear,
    second: Linear,
    third: Linear,
}

impl Layer for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.first.forward(x).relu();
        self.third.forward(&self.second.forward(&x).gelu())
    }
}

#[test]
fn an_mlp_learns_as_pytorch_s_does() -> Result<()> {
    let model = Mlp {
        first: Linear::new(16, 32),
        second: Linear::new(32, 32),
        third: Linear::new(32, 5),
    };
    initialise(&model)?;
    let settings = SgdSettings {
        momentum: 0.9,
        weight_decay: 1e-3,
        ..SgdSettings::default()
    };
    let optimizer = Sgd::with(model.parameters(), 0.05, settings);
    let schedule = StepLr {
        size: 20,
        gamma: 0.5,
    };
    let data = |batch| classified("mlp", &[24, 16], 24, 5, batch);
    follows("mlp", &model, data, optimizer, &schedule)
}

#[derive(Module)]
struct Cnn {
    first: Conv2d,
    norm: BatchNorm2d,
    second: Conv2d,
    head: Linear,
}

impl Layer for Cnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.first.forward(x)).relu();
        let x = x.max_pool((2, 2));
        self.head
            .forward(&self.second.forward(&x).relu().flatten(1, -1))
    }
}

#[test]
fn a_cnn_learns_as_pytorch_s_does() -> Result<()> {
    let model = Cnn {
        first: Conv2d::new(1, 6, 3).padding(1),
        norm: BatchNorm2d::new(6),
        second: Conv2d::new(6, 8, 3),
        head: Linear::new(128, 10),
    };
    initialise(&model)?;
    let optimizer = AdamW::new(model.parameters(), 2e-3);
    let schedule = CosineAnnealingLr {
        period: STEPS,
        low: 0.0,
    };
    let data = |batch| classified("cnn", &[16, 1, 12, 12], 16, 10, batch);
    follows("cnn", &model, data, optimizer, &schedule)
}

#[derive(Module)]
struct Reader {
    lstm: Lstm,
    head: Linear,
}

impl Layer for Reader {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (out, _) = self.lstm.forward(x, None);
        self.head.forward(&out.select(0, -1))
    }
}

#[test]
fn an_lstm_learns_as_pytorch_s_does() -> Result<()> {
    let model = Reader {
        lstm: Lstm::new(6, 16, 2),
        head: Linear::new(16, 4),
    };
    initialise(&model)?;
    let optimizer = Adam::new(model.parameters(), 5e-3);
    let constant = StepLr {
        size: 1,
        gamma: 1.0,
    };
    let data = |batch| classified("lstm", &[9, 8, 6], 8, 4, batch);
    follows("lstm", &model, data, optimizer, &constant)
}

#[derive(Module)]
struct Block {
    attention_norm: LayerNorm,
    attention: MultiheadAttention,
    norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

impl Layer for Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attention.attend(&self.attention_norm.forward(x), true);
        let hidden = self.wide.forward(&self.norm.forward(&x)).gelu();
        x + self.narrow.forward(&hidden)
    }
}

#[derive(Module)]
struct Gpt {
    tokens: Embedding,
    places: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Layer for Gpt {
    fn forward(&self, tokens: &Tensor) -> Tensor {
        let places = self.places.forward(&Tensor::iota(tokens.dim(1)));
        let x = self.tokens.forward(tokens) + places;
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        self.head.forward(&self.norm.forward(&x)).flatten(0, 1)
    }
}

#[test]
fn a_gpt_learns_as_pytorch_s_does() -> Result<()> {
    let block = |_| Block {
        attention_norm: LayerNorm::new(24),
        attention: MultiheadAttention::new(24, 4),
        norm: LayerNorm::new(24),
        wide: Linear::new(24, 96),
        narrow: Linear::new(96, 24),
    };
    let model = Gpt {
        tokens: Embedding::new(20, 24),
        places: Embedding::new(12, 24),
        blocks: (0..2).map(block).collect(),
        norm: LayerNorm::new(24),
        head: Linear::new(24, 20).without_bias(),
    };
    initialise(&model)?;
    let optimizer = AdamW::new(model.parameters(), 1e-3);
    let data = |batch| {
        let text = labels(&format!("gpt {batch}"), &[6, 13], 20);
        (text.i((.., ..12)), text.i((.., 1..)).flatten(0, -1))
    };
    let schedule = OneCycleLr {
        momentum: None,
        ..OneCycleLr::new(5e-3, STEPS)?
    };
    follows("gpt", &model, data, optimizer, &schedule)
}
