//! A model leaves the program that made it: as a file, and as an executable that needs nothing where it runs.
//!
//! `cargo run --release --example export -- FOLDER`

use lazulite::nn::{Gelu, Layer, Linear, Sequential, Softmax};
use lazulite::prelude::*;
use lazulite::{Exported, spec};
use std::path::Path;

/// Writes a model into a folder, and reads it back.
pub fn run(folder: &Path) -> Result<()> {
    manual_seed(0);
    let model = Sequential::new()
        .with(Linear::new(4, 32))
        .with(Gelu)
        .with(Linear::new(32, 3))
        .with(Softmax { axis: -1 });

    // Recorded once, for any number of rows.
    let rows = spec!(f32["batch", 4]).named("features");
    let exported = lazulite::export(|[x]| model.forward(x), &[rows])?
        .with_output_names(["probabilities"])?
        .with_classes(["setosa", "versicolor", "virginica"])?;
    println!(
        "{:?}, {} bytes of weights",
        exported,
        exported.weight_bytes()
    );

    let file = folder.join("model.lzl");
    exported.save(&file)?;
    let loaded = Exported::load(&file)?;
    for batch in [1, 5] {
        let x = Tensor::randn([batch, 4]);
        let (here, there) = (model.forward(&x), loaded.run(&[&x])?.remove(0));
        println!("{there}");
        let difference = (here - there).abs().amax([0, 1]).item::<f32>()?;
        assert!(difference < 1e-6, "the file computes what the model does");
    }

    let program = folder.join("model");
    loaded.build_executable(&program)?;
    println!("Next: `{} --help`", program.display());
    Ok(())
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    run(Path::new(folder.as_deref().unwrap_or(".")))
}
