//! Training that can be interrupted: checkpoints.
//!
//! A [`Checkpoint`] collects what a training run consists of and writes it to one `.safetensors` file, whole or not at
//! all. A run that is set up the same way takes it up again and goes on as if nothing had happened, bit for bit, on the
//! same machine and with any number of threads:
//!
//! ```
//! use lazulite::data::{DataLoader, TensorDataset};
//! use lazulite::nn::{Layer, Linear, Module};
//! use lazulite::optim::{AdamW, Optimizer, Scheduler, StepLr};
//! use lazulite::prelude::*;
//! use lazulite::train::Checkpoint;
//!
//! let path = std::env::temp_dir().join("lazulite-doc-checkpoint.safetensors");
//! let data = TensorDataset::new((Tensor::randn([32, 4]), Tensor::randn([32, 1])))?;
//! let loader = DataLoader::new(data).batch_size(8).shuffle(7);
//! let model = Linear::new(4, 1);
//! let mut optimizer = AdamW::new(model.parameters(), 1e-2);
//! let mut scheduler = Scheduler::new(&mut optimizer, StepLr { size: 10, gamma: 0.5 })?;
//! for (x, y) in &loader {
//!     optimizer.step(&(model.forward(&x) - y).square().mean(..))?;
//! }
//! scheduler.step(&mut optimizer)?;
//! let checkpoint = Checkpoint::new().model(&model).optimizer(&optimizer).scheduler(&scheduler);
//! checkpoint.loader(&loader).save(&path)?;
//!
//! // Later, with a new model, optimiser, schedule and loader:
//! let saved = Checkpoint::load(&path)?;
//! saved.model(&model)?;
//! saved.optimizer(&mut optimizer)?;
//! saved.scheduler(&mut scheduler)?;
//! saved.loader(&loader)?;
//! saved.generator()?;
//! assert_eq!(loader.state().epoch, 1);
//! # std::fs::remove_file(&path).ok();
//! # Ok::<(), lazulite::Error>(())
//! ```

//!
//! One thing can make the last bits differ: programs are compiled for the sizes that a process sees first, and then for
//! all sizes. A run that is taken up just before a smaller last batch sees the sizes in another order than the
//! interrupted one did. Batches of one size ([`DataLoader::drop_last`]) or checkpoints between epochs avoid that.

use crate::data::{Batch, DataLoader, LoaderState};
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::files::{load_safetensors, save_tensors_durably};
use crate::location::Place;
use crate::nn::{Module, StateDict};
use crate::ops::{GeneratorState, default_generator};
use crate::optim::{Optimizer, ScheduleState};
use crate::tensor::Tensor;
use std::path::{Path, PathBuf};

/// The version of the format; others are refused.
const VERSION: u64 = 1;

/// What tells a checkpoint from other files.
pub(crate) const CHECKPOINT_MARK: &str = "checkpoint.version";

/// What a training run consists of, collected for writing: models, optimisers, the position in the data, numbers, and
/// the state of this thread's default generator. Each part has a name; those of [`Checkpoint::model`] and the like are
/// theirs.
#[must_use = "nothing is written before `save`"]
pub struct Checkpoint {
    parts: StateDict,
    /// A name that was given twice.
    twice: Option<String>,
}

impl Default for Checkpoint {
    #[track_caller]
    fn default() -> Checkpoint {
        Checkpoint::new()
    }
}

impl Checkpoint {
    /// With the state of this thread's default generator only.
    #[track_caller]
    pub fn new() -> Checkpoint {
        let checkpoint = Checkpoint {
            parts: StateDict::new(),
            twice: None,
        };
        let generator = default_generator().state().words();
        checkpoint
            .put(CHECKPOINT_MARK.into(), Tensor::scalar(VERSION))
            .put("generator".into(), Tensor::from_slice(&generator, [2]))
    }

    fn put(mut self, name: String, tensor: Tensor) -> Checkpoint {
        match self.parts.contains_key(&name) {
            true => self.twice = Some(name),
            false => drop(self.parts.insert(name, tensor)),
        }
        self
    }

    /// With a model's parameters and buffers.
    pub fn model(self, model: &(impl Module + ?Sized)) -> Checkpoint {
        self.state("model", &model.state_dict())
    }

    /// With all that an optimiser keeps, its learning rates included.
    pub fn optimizer(self, optimizer: &(impl Optimizer + ?Sized)) -> Checkpoint {
        self.state("optimizer", &optimizer.state_dict())
    }

    /// With how far a schedule has come.
    pub fn scheduler(self, scheduler: &(impl ScheduleState + ?Sized)) -> Checkpoint {
        self.state("scheduler", &scheduler.state_dict())
    }

    /// With the position in the data.
    #[track_caller]
    pub fn loader<B: Batch>(self, loader: &DataLoader<B>) -> Checkpoint {
        let LoaderState { epoch, batch } = loader.state();
        let settings = loader.settings().map(|(_, value)| value);
        let numbers = |values: &[u64]| Tensor::from_slice(values, [values.len()]);
        self.put("loader.position".into(), numbers(&[epoch, batch]))
            .put("loader.settings".into(), numbers(&settings))
    }

    /// With tensors under a name of their own: of a second model, for example.
    pub fn state(mut self, name: &str, state: &StateDict) -> Checkpoint {
        for (key, tensor) in state {
            self = self.put(format!("{name}/{key}"), tensor.detach());
        }
        self
    }

    /// With a number: the best loss so far, for example.
    #[track_caller]
    pub fn value<T: Element>(self, name: &str, value: T) -> Checkpoint {
        self.put(format!("value/{name}"), Tensor::scalar(value))
    }

    /// Writes everything to a file. The file appears whole, in place of one that was there, once it is safe on disk;
    /// after an error, a crash or a power failure the old one is there.
    ///
    /// # Errors
    /// When a value cannot be computed, two parts have the same name, or the file cannot be written.
    #[track_caller]
    pub fn save(self, path: impl AsRef<Path>) -> Result<()> {
        if let Some(name) = self.twice {
            let message = format!("{name:?} was given twice");
            return Err(error(message).at(Place::here()));
        }
        let parts = self.parts.iter().map(|(name, t)| (name.as_str(), t));
        save_tensors_durably(path.as_ref(), &parts.collect::<Vec<_>>())
    }

    /// Reads what [`Checkpoint::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or is no checkpoint of this version.
    #[track_caller]
    pub fn load(path: impl AsRef<Path>) -> Result<Saved> {
        let path = path.as_ref();
        let parts: StateDict = load_safetensors(path)?.into_iter().collect();
        let saved = Saved {
            path: path.into(),
            parts,
        };
        let Some(version) = saved.parts.get(CHECKPOINT_MARK) else {
            return Err(saved.error("this file holds tensors, but is no checkpoint"));
        };
        match version.item::<u64>() {
            Ok(VERSION) => Ok(saved),
            Ok(other) => {
                let message =
                    format!("version {other} of checkpoints; this program reads {VERSION}");
                Err(saved.error(&message))
            }
            Err(_) => Err(saved.error("the version is no number")),
        }
    }
}

fn error(message: String) -> Error {
    Error::new(ErrorKind::File, "checkpoint", message)
}

/// A checkpoint that was read; made by [`Checkpoint::load`]. Each part is restored whole or, after an error, not at
/// all.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    parts: StateDict,
}

impl Saved {
    #[track_caller]
    fn error(&self, message: &str) -> Error {
        error(format!("{}: {message}", self.path.display())).at(Place::here())
    }

    #[track_caller]
    fn part(&self, name: &str) -> Result<&Tensor> {
        let part = self.parts.get(name);
        part.ok_or_else(|| self.error(&format!("there is no {name} in this checkpoint")))
    }

    /// Puts the saved parameters and buffers into a model.
    ///
    /// # Errors
    /// When none were saved, or those of another model.
    #[track_caller]
    pub fn model(&self, model: &(impl Module + ?Sized)) -> Result<()> {
        let restored = model.load_state_dict(&self.state("model")?);
        restored.map_err(|e| e.about(self.path.display()))
    }

    /// Puts the saved state into an optimiser, its learning rates included.
    ///
    /// # Errors
    /// When none was saved, or that of an optimiser of other parameters or another kind.
    #[track_caller]
    pub fn optimizer(&self, optimizer: &mut (impl Optimizer + ?Sized)) -> Result<()> {
        let restored = optimizer.load_state_dict(&self.state("optimizer")?);
        restored.map_err(|e| e.about(self.path.display()))
    }

    /// The schedule goes on where the saved one stood. The optimiser's rates are its own state.
    ///
    /// # Errors
    /// When none was saved, or that of another kind of schedule or of other groups.
    #[track_caller]
    pub fn scheduler(&self, scheduler: &mut (impl ScheduleState + ?Sized)) -> Result<()> {
        let restored = scheduler.load_state_dict(&self.state("scheduler")?);
        restored.map_err(|e| e.about(self.path.display()))
    }

    /// The loader goes on where the saved one stood.
    ///
    /// # Errors
    /// When no position was saved, or that of a loader which gives other batches.
    #[track_caller]
    pub fn loader<B: Batch>(&self, loader: &DataLoader<B>) -> Result<()> {
        let position = self.part("loader.position")?.to_vec::<u64>()?;
        let saved = self.part("loader.settings")?.to_vec::<u64>()?;
        let settings = loader.settings();
        let (&[epoch, batch], true) = (position.as_slice(), saved.len() == settings.len()) else {
            return Err(self.error("the loader's position has another form than expected"));
        };
        for ((what, now), saved) in settings.into_iter().zip(saved) {
            if saved != now {
                let message = format!("the saved loader has {what} {saved}, this one has {now}");
                return Err(self.error(&message));
            }
        }
        loader.set_state(LoaderState { epoch, batch });
        Ok(())
    }

    /// This thread's default generator goes on where the saved one stood: dropout drops what it would have dropped.
    ///
    /// # Errors
    /// When the state has another form than expected.
    #[track_caller]
    pub fn generator(&self) -> Result<()> {
        let words = self.part("generator")?.to_vec::<u64>()?;
        let words = <[u64; 2]>::try_from(words);
        let words = words.map_err(|_| self.error("the generator's state is not two numbers"))?;
        default_generator().set_state(GeneratorState::from_words(words));
        Ok(())
    }

    /// What was saved by [`Checkpoint::state`] under this name.
    ///
    /// # Errors
    /// When nothing was.
    #[track_caller]
    pub fn state(&self, name: &str) -> Result<StateDict> {
        let prefix = format!("{name}/");
        let own = self.parts.iter().filter_map(|(key, tensor)| {
            let key = key.strip_prefix(&prefix)?;
            Some((key.to_owned(), tensor.clone()))
        });
        let state: StateDict = own.collect();
        match state.is_empty() {
            true => Err(self.error(&format!("there is no {name} in this checkpoint"))),
            false => Ok(state),
        }
    }

    /// What was saved by [`Checkpoint::value`] under this name.
    ///
    /// # Errors
    /// When nothing was, or a number of another type.
    #[track_caller]
    pub fn value<T: Element>(&self, name: &str) -> Result<T> {
        self.part(&format!("value/{name}"))?.item()
    }
}
