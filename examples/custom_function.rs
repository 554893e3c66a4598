//! A function with a backward of its own: rounding has no useful gradient, so weights of four bits are trained as if
//! they had not been rounded.
//!
//! `cargo run --release --example custom_function`

use lazulite::nn::Param;
use lazulite::optim::{Adam, Optimizer};
use lazulite::prelude::*;
use lazulite::{Context, CustomFunction, custom_function};

/// Rounds to multiples of `step`; gradients pass where the input is within `limit`.
struct Quantise {
    step: f64,
    limit: f64,
}

impl CustomFunction for Quantise {
    fn forward(&self, context: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        context.save_for_backward(&[&inputs[0]]);
        let steps = (inputs[0].clamp(-self.limit, self.limit) / self.step).round();
        Ok(vec![steps * self.step])
    }

    fn backward(&self, context: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        let inside = context.saved_tensors()[0].abs().le(self.limit);
        Ok(vec![Some(&cotangents[0] * inside)])
    }
}

/// The loss of the rounded weights before and after training.
pub fn run(steps: usize) -> Result<(f32, f32)> {
    manual_seed(0);
    let truth = Tensor::rand([8, 1]) * 2.0 - 1.0;
    let x = Tensor::randn([256, 8]).realize()?;
    let y = x.matmul(&truth).realize()?;
    let weight = Param::new(Tensor::zeros([8, 1]));
    let mut optimizer = Adam::new(vec![weight.clone()], 0.02);
    let mut losses = Vec::new();
    for _ in 0..steps {
        let quantise = Quantise {
            step: 0.125,
            limit: 1.0,
        };
        let rounded = custom_function(quantise, &[&weight.get()]);
        let loss = (x.matmul(&rounded[0]) - &y).square().mean(..);
        optimizer.step(&loss)?;
        losses.push(loss.item::<f32>()?);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    println!("loss {first:.4} at first, {last:.4} after {steps} steps");
    println!(
        "the weights of full precision: {}",
        weight.get().squeeze(-1)
    );
    Ok((first, last))
}

fn main() -> Result<()> {
    run(300).map(drop)
}
