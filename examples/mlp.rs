//! A small network learns which of three spirals a point lies on.
//!
//! `cargo run --release --example mlp`

use lazulite::nn::{Layer, Linear, Module};
use lazulite::optim::{AdamW, Optimizer};
use lazulite::prelude::*;

#[derive(Module)]
struct Mlp {
    first: Linear,
    second: Linear,
    output: Linear,
}

impl Layer for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.first.forward(x).tanh();
        self.output.forward(&self.second.forward(&x).tanh())
    }
}

/// Points, and the spiral that each lies on.
fn spirals(count: usize) -> (Tensor, Tensor) {
    let spiral = Tensor::randint(0, 3, [count]);
    let radius = Tensor::rand([count]);
    let angle = &radius * 5.0 + &spiral * 2.09 + Tensor::randn([count]) * 0.15;
    let (x, y) = (&radius * angle.cos(), &radius * angle.sin());
    (Tensor::stack(&[&x, &y], 1), spiral)
}

/// The share of points that the trained network puts on the right spiral.
pub fn run(steps: usize) -> Result<f32> {
    manual_seed(0);
    let model = Mlp {
        first: Linear::new(2, 32),
        second: Linear::new(32, 32),
        output: Linear::new(32, 3),
    };
    let mut optimizer = AdamW::new(model.parameters(), 0.01);
    let (points, spiral) = spirals(400);
    for step in 1..=steps {
        let loss = model.forward(&points).cross_entropy(&spiral);
        optimizer.step(&loss)?;
        if step % (steps / 5) == 0 {
            println!("step {step:>4}: loss {:.4}", loss.item::<f32>()?);
        }
    }
    let (points, spiral) = spirals(1000);
    let right = model.forward(&points).argmax(-1).eq(&spiral);
    let share = right.cast(DType::F32).mean(..).item::<f32>()?;
    println!("{:.1}% of new points are told right", share * 100.0);
    Ok(share)
}

fn main() -> Result<()> {
    run(1000).map(drop)
}
