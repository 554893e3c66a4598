//! The examples, at small size: they run, and they do what they say.

#![allow(dead_code, reason = "each example has a main function of its own")]

#[path = "../examples/cnn.rs"]
mod cnn;
#[path = "../examples/custom_function.rs"]
mod custom_function;
#[path = "../examples/export.rs"]
mod export;
#[path = "../examples/gpt.rs"]
mod gpt;
#[path = "../examples/lstm.rs"]
mod lstm;
#[path = "../examples/mlp.rs"]
mod mlp;

use lazulite::Result;

#[test]
fn an_mlp_tells_spirals_apart() -> Result<()> {
    let share = mlp::run(200)?;
    assert!(share > 0.8, "{share}");
    Ok(())
}

#[test]
fn a_cnn_reads_digits() -> Result<()> {
    let share = cnn::run(600, 3)?;
    assert!(share > 0.6, "{share}");
    Ok(())
}

#[test]
fn an_lstm_counts() -> Result<()> {
    let share = lstm::run(150)?;
    assert!(share > 0.75, "{share}");
    Ok(())
}

#[test]
fn a_gpt_learns_letters() -> Result<()> {
    let (first, last) = gpt::run(40, 32, 1)?;
    assert!(last < 0.8 * first, "{first} {last}");
    Ok(())
}

#[test]
fn four_bits_are_trained() -> Result<()> {
    let (first, last) = custom_function::run(100)?;
    assert!(last < 0.2 * first, "{first} {last}");
    Ok(())
}

#[test]
fn a_model_leaves() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("lazulite-export-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    export::run(&folder)?;
    assert!(folder.join("model").exists());
    std::fs::remove_dir_all(folder).unwrap();
    Ok(())
}
