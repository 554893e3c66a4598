//! Training runs that are interrupted, and what files of theirs are refused.

use lazulite::data::{DataLoader, TensorDataset};
use lazulite::nn::{BatchNorm1d, Dropout, Layer, Linear, Module, Relu, Sequential};
use lazulite::optim::{
    AdamW, CosineAnnealingLr, Optimizer, ReduceLrOnPlateau, Schedule, ScheduleState, Scheduler,
    Sgd, StepLr,
};
use lazulite::prelude::*;
use lazulite::train::Checkpoint;
use std::path::{Path, PathBuf};
use std::process::Command;

const STEPS: u64 = 15;

/// Set for the process that takes a run up again: the step at which it was interrupted.
const RESUME: &str = "LAZULITE_TEST_RESUME";

/// A training run with everything that could go on differently: dropout, running statistics, moments, a schedule,
/// shuffled batches of which the last is smaller.
struct Run {
    model: Sequential,
    optimizer: Box<dyn Optimizer>,
    loader: DataLoader<(Tensor, Tensor)>,
}

impl Run {
    fn new(seed: u64) -> Result<Run> {
        manual_seed(seed);
        let model = Sequential::new()
            .with(Linear::new(4, 16))
            .with(BatchNorm1d::new(16))
            .with(Relu)
            .with(Dropout::new(0.3))
            .with(Linear::new(16, 3));
        // The data are the same whatever the seed.
        let generator = Generator::new(1);
        let x = generator.randn([22, 4]);
        let data = TensorDataset::new((x, generator.randint(0, 3, [22])))?;
        let loader = DataLoader::new(data).batch_size(4).shuffle(9).workers(1);
        let optimizer = AdamW::new(model.parameters(), 0.05);
        Ok(Run {
            model,
            optimizer: Box::new(optimizer),
            loader,
        })
    }

    /// Goes on from `step` to `until`, with a checkpoint after each step.
    fn train(&mut self, mut step: u64, until: u64, file: impl Fn(u64) -> PathBuf) -> Result<()> {
        let schedule = CosineAnnealingLr {
            period: STEPS,
            low: 0.0,
        };
        while step < until {
            for (x, y) in &self.loader {
                schedule.step(&mut *self.optimizer, &[0.05], step)?;
                let loss = self.model.forward(&x).cross_entropy(&y);
                self.optimizer.step(&loss)?;
                step += 1;
                Checkpoint::new()
                    .model(&self.model)
                    .optimizer(&*self.optimizer)
                    .loader(&self.loader)
                    .value("step", step)
                    .save(file(step))?;
                if step == until {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lazulite-checkpoints-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The part of the other process: nothing to do when run with the other tests.
#[test]
fn take_up_again() -> Result<()> {
    let Ok(file) = std::env::var(RESUME) else {
        return Ok(());
    };
    let saved = Checkpoint::load(&file)?;
    let mut run = Run::new(77)?;
    saved.model(&run.model)?;
    saved.optimizer(&mut *run.optimizer)?;
    saved.loader(&run.loader)?;
    saved.generator()?;
    let resumed = format!("{file}.resumed");
    run.train(saved.value("step")?, STEPS, |_| PathBuf::from(&resumed))
}

#[test]
fn a_run_taken_up_in_another_process_ends_with_the_same_bits() -> Result<()> {
    let folder = folder().join("resume");
    std::fs::create_dir_all(&folder).unwrap();
    let file = |step: u64| folder.join(format!("{step}.safetensors"));
    Run::new(3)?.train(0, STEPS, file)?;
    let end = std::fs::read(file(STEPS)).unwrap();
    // Early and late in an epoch, and at its end.
    for step in [2, 4, 6] {
        let this = std::env::current_exe().unwrap();
        let mut other = Command::new(this);
        other
            .args(["--exact", "take_up_again"])
            .env(RESUME, file(step));
        let output = other.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let resumed = format!("{}.resumed", file(step).display());
        assert!(
            end == std::fs::read(resumed).unwrap(),
            "resumed after step {step}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
    Ok(())
}

fn text<T>(outcome: Result<T>) -> String {
    outcome.err().expect("this is refused").to_string()
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() -> Result<()> {
    let folder = folder().join("refused");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("saved.safetensors");
    let mut run = Run::new(3)?;
    let checkpoint = Checkpoint::new().model(&run.model).loader(&run.loader);
    checkpoint
        .optimizer(&*run.optimizer)
        .value("best", 0.5f64)
        .save(&file)?;
    let saved = Checkpoint::load(&file)?;
    assert_eq!(saved.value::<f64>("best")?, 0.5);
    assert!(text(saved.value::<f32>("best")).contains("f64"));
    assert!(text(saved.value::<f64>("worst")).contains("no value/worst in this checkpoint"));
    assert!(text(saved.state("ema")).contains("saved.safetensors: there is no ema"));

    let other = Sequential::new().with(Linear::new(4, 8));
    let before = other.state_dict()["0.weight"].to_vec::<f32>()?;
    assert!(text(saved.model(&other)).contains("4.weight"));
    assert_eq!(other.state_dict()["0.weight"].to_vec::<f32>()?, before);
    let mut plain = Sgd::new(run.model.parameters(), 0.1);
    let error = text(saved.optimizer(&mut plain));
    assert!(
        error.contains("saved.safetensors") && error.contains("another kind of optimiser"),
        "{error}"
    );
    assert!(error.contains("the optimiser does not have"), "{error}");
    let error = text(run.model.load(&file));
    assert!(
        error.contains("saved.safetensors: this is a checkpoint")
            && error.contains("use `Checkpoint::load`"),
        "{error}"
    );
    let data = TensorDataset::new((Tensor::zeros([22, 4]), Tensor::zeros([22])))?;
    let loader = DataLoader::new(data).batch_size(5).shuffle(9);
    let error = text(saved.loader(&loader));
    assert!(
        error.contains("has a batch size of 4, this one has 5"),
        "{error}"
    );
    saved.optimizer(&mut *run.optimizer)?;

    not_checkpoints(&folder)?;
    std::fs::remove_dir_all(folder).unwrap();
    Ok(())
}

fn not_checkpoints(folder: &Path) -> Result<()> {
    let file = folder.join("other.safetensors");
    lazulite::save_tensors(&file, &[("weight", &Tensor::zeros([2]))])?;
    assert!(text(Checkpoint::load(&file)).contains("is no checkpoint"));
    lazulite::save_tensors(&file, &[("checkpoint.version", &Tensor::scalar(99u64))])?;
    assert!(text(Checkpoint::load(&file)).contains("version 99"));
    std::fs::write(&file, b"something else").unwrap();
    assert!(text(Checkpoint::load(&file)).contains("other.safetensors"));
    assert!(text(Checkpoint::load(folder.join("none"))).contains("none"));
    Ok(())
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_old_one() -> Result<()> {
    let folder = folder().join("whole");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("saved.safetensors");
    Checkpoint::new().value("step", 1u64).save(&file)?;
    let twice = Checkpoint::new().value("step", 2u64).value("step", 3u64);
    assert!(text(twice.save(&file)).contains("\"value/step\" was given twice"));
    let broken = Tensor::zeros([2]) + Tensor::zeros([3]);
    let broken = Checkpoint::new().state("ema", &[(String::from("w"), broken)].into());
    assert!(broken.save(&file).is_err());
    assert_eq!(Checkpoint::load(&file)?.value::<u64>("step")?, 1);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing is left behind"
    );
    assert!(
        Checkpoint::new()
            .save(folder.join("no").join("folder"))
            .is_err()
    );
    std::fs::remove_dir_all(folder).unwrap();
    Ok(())
}

#[test]
fn schedules_go_on_where_they_stood() {
    let file = folder().join("schedules.safetensors");
    let fresh = || {
        let mut optimizer = Sgd::new(Linear::new(2, 1).parameters(), 1.0);
        let scheduler = Scheduler::new(
            &mut optimizer,
            StepLr {
                size: 2,
                gamma: 0.5,
            },
        )
        .unwrap();
        let mut plateau = ReduceLrOnPlateau::new();
        plateau.patience = 1;
        (optimizer, scheduler, plateau)
    };
    let (mut optimizer, mut scheduler, mut plateau) = fresh();
    for measure in [3.0, 4.0] {
        scheduler.step(&mut optimizer).unwrap();
        plateau.step(&mut optimizer, measure).unwrap();
    }
    let saved = Checkpoint::new()
        .optimizer(&optimizer)
        .scheduler(&scheduler);
    saved
        .state("plateau", &plateau.state_dict())
        .save(&file)
        .unwrap();
    let (mut again, mut time, mut measured) = fresh();
    let saved = Checkpoint::load(&file).unwrap();
    saved.optimizer(&mut again).unwrap();
    saved.scheduler(&mut time).unwrap();
    measured
        .load_state_dict(&saved.state("plateau").unwrap())
        .unwrap();
    assert_eq!((time.time(), measured.best()), (2, Some(3.0)));
    for (optimizer, scheduler, plateau) in [
        (&mut optimizer, &mut scheduler, &mut plateau),
        (&mut again, &mut time, &mut measured),
    ] {
        scheduler.step(optimizer).unwrap();
        plateau.step(optimizer, 4.0).unwrap();
        scheduler.step(optimizer).unwrap();
    }
    assert_eq!(optimizer.rates(), again.rates());
    assert_eq!(plateau, measured);
    // Another kind's state is refused, and nothing changes.
    assert!(time.load_state_dict(&plateau.state_dict()).is_err());
    assert!(measured.load_state_dict(&scheduler.state_dict()).is_err());
    assert_eq!((time.time(), &measured), (4, &plateau));
}
