//! Looks inside a small convolution network: what is fused and why, what its kernels take, and a page for a
//! browser with every stage.
//!
//! `cargo run --release --example inspect_graph -- [PAGE.html]`

use lazulite::inspect::{Format, ReportOptions, Stage};
use lazulite::nn::{Conv2d, Layer, Linear, Module};
use lazulite::prelude::*;

#[derive(Module)]
struct Digits {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    output: Linear,
}

impl Layer for Digits {
    fn forward(&self, x: &Tensor) -> Tensor {
        let halved = |x: Tensor| x.max_pool((2, 2));
        let x = halved(self.conv1.forward(x).relu());
        let x = halved(self.conv2.forward(&x).relu());
        let x = self.hidden.forward(&x.flatten(1, -1)).gelu();
        self.output.forward(&x).softmax(-1)
    }
}

fn main() -> Result<()> {
    let page = std::env::args().nth(1);
    manual_seed(0);
    let model = Digits {
        conv1: Conv2d::new(1, 8, 3),
        conv2: Conv2d::new(8, 16, 3),
        hidden: Linear::new(16 * 5 * 5, 64),
        output: Linear::new(64, 10),
    };
    model.eval();

    let x = Tensor::randn([32, 1, 28, 28]).realize()?;
    // The first pass draws the weights.
    model.forward(&x).realize()?;

    // A tensor knows the program that computes it, before anything is computed.
    let y = model.forward(&x);
    println!("{}", lazulite::explain(&[&y])?);

    let options = ReportOptions {
        measure: true,
        ..ReportOptions::default()
    };
    let report = y.report(&options)?.with_title("digits");
    for launch in report.launches() {
        let time = launch.measured.unwrap_or_default() / 1e3;
        println!("{time:>9.1} us  {}", launch.text);
    }
    if let Some(page) = page {
        let html = report.render(Stage::Schedule, Format::Html)?;
        std::fs::write(&page, html).expect("the page can be written");
        println!("{page} shows every stage");
    }
    Ok(())
}
