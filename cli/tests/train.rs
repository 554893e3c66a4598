//! `lazulite train` at small size: what it prints, and that it goes on where it was interrupted.

use std::path::{Path, PathBuf};
use std::process::Command;

fn lazulite(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazulite"));
    let output = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lazulite-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const SMALL: [&str; 8] = [
    "train",
    "digits",
    "--images",
    "320",
    "--test-images",
    "100",
    "--batch",
    "32",
];

#[test]
fn a_model_is_trained_and_saved() {
    let folder = folder("train");
    let arguments = [&SMALL[..], &["--epochs", "1", "--save", "digits.lzl"]].concat();
    let (success, text) = lazulite(&folder, &arguments);
    assert!(success, "{text}");
    let parts = [
        "device    cpu",
        "digits drawn by chance, 28x28: 320 to train with, 100 to test",
        "parameters",
        "kernels",
        "of memory planned; first step",
        "10/10  loss",
        "samples/s",
        "calls found theirs",
        "test accuracy ",
        "lazulite build digits.lzl -o digits",
    ];
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    let (success, text) = lazulite(&folder, &["run", "digits.lzl", "--dim", "batch=3"]);
    assert!(success && text.contains("logits: "), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn training_goes_on_where_it_was_interrupted() {
    let folder = folder("resume");
    let accuracy = |more: &[&str]| {
        let (success, text) = lazulite(&folder, &[&SMALL[..], more].concat());
        assert!(success, "{text}");
        let line = text.lines().find(|l| l.starts_with("test accuracy "));
        line.map(str::to_owned).unwrap()
    };
    let whole = accuracy(&["--epochs", "2", "--checkpoint", "whole.safetensors"]);
    let state = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let end = state("whole.safetensors");
    // Again, from a checkpoint that is its own end: nothing is left to do.
    let rest = ["--epochs", "2", "--resume", "whole.safetensors"];
    assert_eq!(accuracy(&rest), whole);
    assert!(end == state("whole.safetensors"));
    let (success, text) = lazulite(
        &folder,
        &["train", "digits", "--resume", "none.safetensors"],
    );
    assert!(!success && text.contains("none.safetensors"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_cannot_be_saved_is_not_trained() {
    let folder = folder("unwritable");
    for option in ["--save", "--checkpoint"] {
        for place in ["nowhere/x.lzl", "."] {
            let (success, text) = lazulite(&folder, &[&SMALL[..], &[option, place]].concat());
            assert!(!success && text.contains(place), "{text}");
            assert!(!text.contains("loss"), "{text}");
        }
    }
    // Looking leaves nothing behind.
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn models_are_no_checkpoints() {
    let folder = folder("model");
    std::fs::write(folder.join("digits.lzl"), b"LAZULITE and weights").unwrap();
    let (success, text) = lazulite(&folder, &["train", "digits", "--resume", "digits.lzl"]);
    assert!(!success, "{text}");
    assert!(
        text.contains("an exported model") && text.contains("--checkpoint FILE"),
        "{text}"
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn training_stops_where_the_loss_is_no_number() {
    let folder = folder("diverged");
    let arguments = [&SMALL[..], &["--lr", "1e30", "--save", "digits.lzl"]].concat();
    let (success, text) = lazulite(&folder, &arguments);
    assert!(!success, "{text}");
    assert!(text.contains("the loss is NaN in step ") || text.contains("the loss is inf in step "));
    assert!(
        text.contains("rate is 1e30; try a lower one (--lr 0.004)")
            && !text.contains("test accuracy"),
        "{text}"
    );
    assert!(!folder.join("digits.lzl").exists());
    std::fs::remove_dir_all(folder).unwrap();
}
