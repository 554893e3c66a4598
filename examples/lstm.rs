//! An LSTM learns to say, after every bit that it reads, whether there have been more ones than zeros so far.
//!
//! `cargo run --release --example lstm`

use lazulite::nn::{Layer, Linear, Lstm, Module};
use lazulite::optim::{Adam, Optimizer};
use lazulite::prelude::*;

#[derive(Module)]
struct Counter {
    lstm: Lstm,
    head: Linear,
}

impl Layer for Counter {
    /// Logits `[length, batch]` for bits `[length, batch]`.
    fn forward(&self, bits: &Tensor) -> Tensor {
        let (states, _) = self.lstm.forward(&bits.unsqueeze(-1), None);
        self.head.forward(&states).squeeze(-1)
    }
}

/// Bits, and whether there are more ones than zeros up to each.
fn sequences(length: usize, count: usize) -> (Tensor, Tensor) {
    let bits = Tensor::randint(0, 2, [length, count]).cast(DType::F32);
    let lead = (&bits * 2.0 - 1.0).cumsum(0);
    (bits, lead.gt(0).cast(DType::F32))
}

/// The share of right answers on sequences twice as long as those in training.
pub fn run(steps: usize) -> Result<f32> {
    manual_seed(0);
    let model = Counter {
        lstm: Lstm::new(1, 16, 1),
        head: Linear::new(16, 1),
    };
    let mut optimizer = Adam::new(model.parameters(), 0.01);
    for step in 1..=steps {
        let (bits, more) = sequences(12, 64);
        let logits = model.forward(&bits);
        let loss = (logits.softplus() - &logits * &more).mean(..);
        optimizer.step(&loss)?;
        if step % (steps / 5) == 0 {
            println!("step {step:>4}: loss {:.4}", loss.item::<f32>()?);
        }
    }
    // The program of the loop serves any length.
    let (bits, more) = sequences(24, 200);
    let right = model.forward(&bits).gt(0).eq(more.gt(0));
    let share = right.cast(DType::F32).mean(..).item::<f32>()?;
    println!("{:.1}% right on sequences twice as long", share * 100.0);
    Ok(share)
}

fn main() -> Result<()> {
    run(600).map(drop)
}
