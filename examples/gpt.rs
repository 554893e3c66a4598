//! A small GPT learns the letters of this project's own documentation, and then writes some.
//!
//! `cargo run --release --example gpt`

use lazulite::data::{DataLoader, Dataset};
use lazulite::nn::{Embedding, Layer, LayerNorm, Linear, Module, MultiheadAttention};
use lazulite::optim::{AdamW, Optimizer};
use lazulite::prelude::*;

const TEXT: &str = concat!(
    include_str!("../README.md"),
    include_str!("../ARCHITECTURE.md")
);

/// Letters that the model sees at once.
const CONTEXT: usize = 48;

#[derive(Module)]
struct Block {
    attention_norm: LayerNorm,
    attention: MultiheadAttention,
    norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
}

impl Block {
    fn new(features: usize, heads: usize) -> Block {
        Block {
            attention_norm: LayerNorm::new(features),
            attention: MultiheadAttention::new(features, heads),
            norm: LayerNorm::new(features),
            wide: Linear::new(features, 4 * features),
            narrow: Linear::new(4 * features, features),
        }
    }
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
    letters: Embedding,
    places: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Layer for Gpt {
    /// Logits `[batch, length, letters]` of what follows each letter of `[batch, length]`.
    fn forward(&self, letters: &Tensor) -> Tensor {
        let places = self.places.forward(&Tensor::iota(letters.dim(1)));
        let x = self.letters.forward(letters) + places;
        let x = self.blocks.iter().fold(x, |x, block| block.forward(&x));
        self.head.forward(&self.norm.forward(&x))
    }
}

/// A text as numbers of letters, in pieces.
struct Text(Vec<i64>);

impl Dataset for Text {
    type Item = (Tensor, Tensor);

    fn len(&self) -> usize {
        self.0.len() - CONTEXT
    }

    /// A piece, and the letters that follow each of its letters.
    fn get(&self, from: usize) -> Result<(Tensor, Tensor)> {
        let piece = |from| Tensor::from_slice(&self.0[from..from + CONTEXT], [CONTEXT]);
        Ok((piece(from), piece(from + 1)))
    }
}

/// Writes `count` letters after `start`, one at a time.
fn write(model: &Gpt, start: Vec<i64>, count: usize) -> Result<Vec<i64>> {
    let mut text = start;
    for _ in 0..count {
        let seen = &text[text.len().saturating_sub(CONTEXT)..];
        let logits = model
            .forward(&Tensor::from_slice(seen, [1, seen.len()]))
            .i((0, -1));
        let next = (logits / 0.7).softmax(-1).multinomial(1, true);
        text.push(next.item::<i64>()?);
    }
    Ok(text)
}

/// The first and the last loss.
pub fn run(steps: usize, features: usize, layers: usize) -> Result<(f32, f32)> {
    manual_seed(0);
    let mut alphabet: Vec<char> = TEXT.chars().collect();
    alphabet.sort_unstable();
    alphabet.dedup();
    let number = |letter| alphabet.binary_search(&letter).unwrap_or(0) as i64;
    let model = Gpt {
        letters: Embedding::new(alphabet.len(), features),
        places: Embedding::new(CONTEXT, features),
        blocks: (0..layers).map(|_| Block::new(features, 4)).collect(),
        norm: LayerNorm::new(features),
        head: Linear::new(features, alphabet.len()),
    };
    let mut optimizer = AdamW::new(model.parameters(), 2e-3);
    let text = Text(TEXT.chars().map(number).collect());
    let loader = DataLoader::new(text).batch_size(16).shuffle(1).workers(1);
    println!(
        "{} parameters, {} letters",
        model.parameter_count()?,
        alphabet.len()
    );

    let mut losses = Vec::new();
    for (letters, following) in loader.iter().take(steps) {
        let logits = model.forward(&letters);
        let loss = logits.flatten(0, 1).cross_entropy(&following.flatten(0, 1));
        optimizer.step(&loss)?;
        losses.push(loss.item::<f32>()?);
        if losses.len().is_multiple_of(steps.div_ceil(5)) {
            println!(
                "step {:>4}: loss {:.3}",
                losses.len(),
                losses[losses.len() - 1]
            );
        }
    }
    let start = "Programs ".chars().map(number).collect();
    let letters = write(&model, start, 2 * CONTEXT)?;
    let letters = letters.into_iter().map(|n| alphabet[n as usize]);
    println!("\n{}", letters.collect::<String>());
    Ok((losses[0], losses[losses.len() - 1]))
}

fn main() -> Result<()> {
    run(600, 64, 3).map(drop)
}
