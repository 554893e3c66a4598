//! Looks inside a small convolution network: what is fused and why, what its kernels take, and a page for a
//! browser with every stage.
//!
//! `cargo run --release --example inspect_graph -- [PAGE.html]`

use lazulite::inspect::{Format, ReportOptions, Stage};
use lazulite::nn::{Conv2d, Layer, Linear, Module};
use lazulite::prelude::*;
use lazulite::spec;

#[derive(Module)]
struct Digits {
    conv1: Conv2d,
    conv2: Conv2d,
    hidden: Linear,
    output: Linear,
}

impl Layer for Digits {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().max_pool2d(2);
        let x = self.hidden.forward(&x.flatten(1..)).gelu();
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

    // A tensor knows the program that computes it, before anything is computed.
    let x = Tensor::randn([4, 1, 28, 28]).realize()?;
    println!("{}", lazulite::explain(&[&model.forward(&x)])?);

    // So does a function that is exported; its open sizes are given for bytes and times.
    let exported = lazulite::export(|[x]| model.forward(x), &[spec!(f32["batch", 1, 28, 28])])?;
    let report = exported
        .report(&ReportOptions {
            sizes: vec![("batch".into(), 32)],
            measure: true,
            ..ReportOptions::default()
        })?
        .with_title("digits");
    for launch in report.launches().iter().filter(|l| !l.once) {
        let time = launch.measured.unwrap_or_default() / 1e3;
        println!("{:>9.1} us  {}", time, launch.text);
    }
    if let Some(page) = page {
        std::fs::write(&page, report.render(Stage::Schedule, Format::Html)?).expect("the page");
        exported.save(std::path::Path::new(&page).with_extension("lzl"))?;
        println!("{page} shows every stage");
    }
    Ok(())
}
