//! `lazulite train`: trains a small network, shows what happens on the way, and saves the result.

use crate::doctor::{instruction_sets, processor};
use crate::failure::Failure;
use crate::files::{begins_as_model, check_writable, shown};
use indicatif::{ProgressBar, ProgressStyle};
use lazulite::data::digits::{CLASSES, Digits, SIDE};
use lazulite::data::{DataLoader, Dataset};
use lazulite::nn::{Conv2d, Flatten, Layer, Linear, Module, Relu, Sequential};
use lazulite::optim::{AdamW, OneCycleLr, Optimizer, Schedule};
use lazulite::prelude::*;
use lazulite::train::Checkpoint;
use lazulite::{Demo, spec};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Arguments {
    /// What to learn.
    task: Task,
    /// Where the trained model goes (.lzl).
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Passes over the training images.
    #[arg(long, default_value_t = 3, allow_negative_numbers = true)]
    epochs: u64,
    /// Images per step.
    #[arg(long, default_value_t = 64, value_parser = positive, allow_negative_numbers = true)]
    batch: usize,
    /// The highest learning rate.
    #[arg(long, default_value_t = RATE, value_parser = rate, allow_negative_numbers = true)]
    lr: f64,
    /// Determines images, initial weights and order.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    seed: u64,
    /// Images to train with.
    #[arg(long, default_value_t = 12_800, allow_negative_numbers = true)]
    images: usize,
    /// Images to test with.
    #[arg(long, default_value_t = 2_000, allow_negative_numbers = true)]
    test_images: usize,
    /// Threads that compute; all cores by default.
    #[arg(long, value_parser = positive, allow_negative_numbers = true)]
    threads: Option<usize>,
    /// Where the state of the training goes after every epoch.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Goes on from such a state.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Task {
    /// To read digits, drawn by chance as they are needed.
    Digits,
}

fn positive(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| *n > 0);
    number.ok_or_else(|| "expected a whole number, at least 1".to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_string())
}

/// The learning rate that this network and these images are trained with.
const RATE: f64 = 4e-3;

/// Test images per batch.
const TEST_BATCH: usize = 250;

/// Test images that the saved model brings along.
const SAMPLES: usize = 20;

/// What is trained.
struct Training {
    model: Sequential,
    optimizer: Box<dyn Optimizer>,
    loader: DataLoader<(Tensor, Tensor)>,
    schedule: OneCycleLr,
    /// Steps taken, and in all.
    step: u64,
    steps: u64,
}

/// Trains, tests, saves.
pub fn run(out: &mut impl Write, arguments: &Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let Task::Digits = arguments.task;
    if let Some(threads) = arguments.threads {
        let mut options = lazulite::options();
        options.threads = threads;
        lazulite::set_options(options)?;
    }
    // Before the work, which would be lost.
    for file in arguments.save.iter().chain(&arguments.checkpoint) {
        check_writable(file)?;
    }
    manual_seed(arguments.seed);
    let mut training = Training::new(arguments)?;
    describe(out, arguments, &training.model)?;
    if let Some(file) = &arguments.resume {
        training.resume(file)?;
        writeln!(
            out,
            "resumed   {} after {} steps",
            file.display(),
            training.step
        )?;
    }
    training.train(out, arguments, start)?;

    let test = Digits::test(arguments.test_images, arguments.seed);
    let accuracy = accuracy(&training.model, test)?;
    let stats = lazulite::cache_stats();
    writeln!(
        out,
        "cache     {} programs compiled in {:.0} ms, {} calls found theirs; {:.1} s in all",
        stats.compilations,
        stats.compile_time.as_secs_f64() * 1e3,
        stats.hits,
        start.elapsed().as_secs_f64()
    )?;
    writeln!(out, "\ntest accuracy {:.2}%\n", 100.0 * accuracy)?;
    match &arguments.save {
        Some(file) => save(out, &training.model, test, file),
        None => Ok(writeln!(
            out,
            "Next: add `--save digits.lzl` to keep the model."
        )?),
    }
}

/// Two convolutions that halve the image, two linear layers.
fn network() -> Sequential {
    Sequential::new()
        .with(Conv2d::new(1, 8, 5).stride(2).padding(2))
        .with(Relu)
        .with(Conv2d::new(8, 16, 3).stride(2).padding(1))
        .with(Relu)
        .with(Flatten::default())
        .with(Linear::new(16 * (SIDE / 4) * (SIDE / 4), 64))
        .with(Relu)
        .with(Linear::new(64, CLASSES))
}

/// Says what is at hand before the work begins.
fn describe(
    out: &mut impl Write,
    arguments: &Arguments,
    model: &Sequential,
) -> Result<(), Failure> {
    let sets = instruction_sets();
    let best = ["avx512f", "avx2"]
        .into_iter()
        .find(|set| sets.contains(set));
    writeln!(
        out,
        "device    cpu: {}, {}, {} threads",
        processor(),
        best.unwrap_or("baseline"),
        lazulite::options().threads
    )?;
    writeln!(
        out,
        "data      digits drawn by chance, {SIDE}x{SIDE}: {} to train with, {} to test, seed {}",
        arguments.images, arguments.test_images, arguments.seed
    )?;
    writeln!(
        out,
        "model     conv 5x5 to 8, conv 3x3 to 16, linear 64, linear {CLASSES}: {} parameters",
        model.parameter_count()?
    )?;
    Ok(())
}

impl Training {
    fn new(arguments: &Arguments) -> Result<Training, Failure> {
        let model = network();
        let loader = DataLoader::new(Digits::train(arguments.images, arguments.seed))
            .batch_size(arguments.batch)
            .shuffle(arguments.seed)
            .drop_last(true)
            .workers(1)
            .prefetch(4);
        if loader.is_empty() {
            let (images, batch) = (arguments.images, arguments.batch);
            let message = format!("{images} images are less than one batch of {batch}");
            return Err(Failure::Message(message));
        }
        let steps = arguments.epochs.saturating_mul(loader.len() as u64);
        Ok(Training {
            optimizer: Box::new(AdamW::new(model.parameters(), arguments.lr)),
            model,
            loader,
            schedule: OneCycleLr::new(arguments.lr, steps.max(1))?,
            step: 0,
            steps,
        })
    }

    fn resume(&mut self, file: &Path) -> Result<(), Failure> {
        if begins_as_model(file) {
            let message = format!(
                "{}: this is an exported model, which holds no state of a training; --resume takes a checkpoint \
                 (.safetensors), as `--checkpoint FILE` writes it after every epoch",
                file.display()
            );
            return Err(Failure::Message(message));
        }
        let saved = Checkpoint::load(file)?;
        self.step = saved.value("step")?;
        saved.loader(&self.loader)?;
        saved.model(&self.model)?;
        saved.optimizer(&mut *self.optimizer)?;
        Ok(saved.generator()?)
    }

    fn save(&self, file: &Path) -> Result<(), Failure> {
        let checkpoint = Checkpoint::new()
            .model(&self.model)
            .optimizer(&*self.optimizer)
            .loader(&self.loader)
            .value("step", self.step);
        Ok(checkpoint.save(file)?)
    }

    fn train(
        &mut self,
        out: &mut impl Write,
        arguments: &Arguments,
        start: Instant,
    ) -> Result<(), Failure> {
        let first = self.step;
        let mut progress = Progress::new(self.steps, first, arguments.batch);
        while self.step < self.steps {
            for (images, labels) in &self.loader {
                self.schedule
                    .step(&mut *self.optimizer, &[arguments.lr], self.step)?;
                let loss = self.model.forward(&images).cross_entropy(&labels);
                self.optimizer.step(&loss)?;
                let loss = loss.item::<f32>()?;
                if !loss.is_finite() {
                    return Err(diverged(loss, self.step + 1, arguments.lr));
                }
                if self.step == first {
                    report(out, start)?;
                }
                self.step += 1;
                progress.show(out, self.step, loss)?;
                if self.step == self.steps {
                    break;
                }
            }
            if let Some(file) = &arguments.checkpoint {
                self.save(file)?;
            }
        }
        progress.bar.finish_and_clear();
        Ok(())
    }
}

/// The loss is no number any more, nor are the parameters then: going on, or saving them, is of no use.
fn diverged(loss: f32, step: u64, rate: f64) -> Failure {
    Failure::Message(format!(
        "the loss is {loss} in step {step}: training does not converge, and the model is not saved\n  \
         hint: the highest rate is {rate:?}; try a lower one (--lr {RATE})"
    ))
}

/// Says what the step was compiled to, once it has run.
fn report(out: &mut impl Write, start: Instant) -> Result<(), Failure> {
    let first = start.elapsed().as_secs_f64() * 1e3;
    if let Some(step) = lazulite::last_compilation() {
        writeln!(
            out,
            "step      {} operations recorded, {} nodes with gradients and updates, {} kernels, {} steps",
            step.recorded, step.nodes, step.kernels, step.steps
        )?;
        writeln!(
            out,
            "compiled  in {:.0} ms; {:.1} MB of memory planned; first step {first:.0} ms after the start",
            step.time.as_secs_f64() * 1e3,
            step.peak_bytes as f64 / 1e6
        )?;
    }
    Ok(out.flush()?)
}

/// A bar on terminals, a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    terminal: bool,
    steps: u64,
    first: u64,
    batch: usize,
    /// When the second step began: the first one compiles.
    start: Instant,
    /// The mean of the latest losses.
    loss: f32,
}

/// Lines that are printed where there is no terminal.
const LINES: u64 = 10;

impl Progress {
    fn new(steps: u64, first: u64, batch: usize) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let bar = match terminal {
            true => ProgressBar::new(steps).with_position(first),
            false => ProgressBar::hidden(),
        };
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {msg}");
        Progress {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            terminal,
            steps,
            first,
            batch,
            start: Instant::now(),
            loss: f32::NAN,
        }
    }

    fn show(&mut self, out: &mut impl Write, step: u64, loss: f32) -> Result<(), Failure> {
        let done = step - self.first;
        self.loss = match self.loss.is_nan() {
            true => loss,
            false => 0.95 * self.loss + 0.05 * loss,
        };
        if done == 1 {
            self.start = Instant::now();
            return Ok(());
        }
        let seconds = self.start.elapsed().as_secs_f64() / (done - 1) as f64;
        let message = format!(
            "loss {:.4}  {:.0} samples/s  eta {:.0} s",
            self.loss,
            self.batch as f64 / seconds,
            seconds * (self.steps - step) as f64
        );
        if self.terminal {
            self.bar.set_position(step);
            self.bar.set_message(message);
        } else if step.is_multiple_of((self.steps / LINES).max(1)) {
            writeln!(out, "{step:>6}/{}  {message}", self.steps)?;
            out.flush()?;
        }
        Ok(())
    }
}

/// The share of images that the model reads right.
fn accuracy(model: &Sequential, test: Digits) -> Result<f64, Failure> {
    model.eval();
    let read = compile(|[images]: [Tensor; 1]| model.forward(&images).argmax(-1));
    let mut right = 0;
    for (images, labels) in &DataLoader::new(test).batch_size(TEST_BATCH).workers(1) {
        let (read, labels) = (
            read.call([&images])?.to_vec::<i64>()?,
            labels.to_vec::<i64>()?,
        );
        right += read.iter().zip(&labels).filter(|(a, b)| a == b).count();
    }
    Ok(right as f64 / test.len().max(1) as f64)
}

/// Writes the model with names for its classes and a few images to show.
fn save(
    out: &mut impl Write,
    model: &Sequential,
    test: Digits,
    file: &Path,
) -> Result<(), Failure> {
    let image = spec!(f32["batch", 1, SIDE, SIDE]).named("image");
    let (samples, labels) = test.batch(&(0..SAMPLES.min(test.len())).collect::<Vec<_>>())?;
    let labels = labels.to_vec::<i64>()?;
    let demo = Demo::images([&samples]).with_labels(labels.iter().map(i64::to_string));
    let exported = lazulite::export(|[images]| model.forward(images), &[image])?
        .with_output_names(["logits"])?
        .with_classes((0..CLASSES).map(|class| class.to_string()))?
        .with_demo(demo)?;
    exported.save(file)?;
    let name = file.display();
    let program = file.with_extension("");
    let (started, program) = (shown(&program), program.display());
    writeln!(out, "{name}: {} bytes", std::fs::metadata(file)?.len())?;
    writeln!(
        out,
        "Next: `lazulite build {name} -o {program}`, then `{started} --demo`;"
    )?;
    writeln!(
        out,
        "      `lazulite dump {name} --stage schedule` shows its kernels."
    )?;
    Ok(())
}
