//! Learning rates over time, and momenta with them.
//!
//! A [`Schedule`] is a rule: the next rate from the one before. A [`Scheduler`] keeps time and applies a rule
//! to an optimiser. Rates are inputs of the step's program, which does not change with them.
//!
//! ```
//! use lazulite::nn::{Linear, Module};
//! use lazulite::optim::{LinearLr, Optimizer, Scheduler, Sgd, StepLr};
//! let mut optimizer = Sgd::new(Linear::new(3, 1).parameters(), 0.1);
//! let mut scheduler = Scheduler::new(&mut optimizer, StepLr { size: 2, gamma: 0.5 })?;
//! scheduler.step(&mut optimizer)?;
//! assert_eq!(optimizer.rates(), [0.1]);
//! scheduler.step(&mut optimizer)?;
//! assert_eq!(optimizer.rates(), [0.05]);
//! # Ok::<(), lazulite::Error>(())
//! ```

mod compose;
mod cycle;
mod decay;
mod plateau;

pub use compose::{ChainedLr, SequentialLr};
pub use cycle::{
    Anneal, CosineAnnealingLr, CosineAnnealingWarmRestarts, CycleMode, CyclicLr, OneCycleLr, SwaLr,
};
pub use decay::{
    ConstantLr, ExponentialLr, LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, PolynomialLr,
    StepLr,
};
pub use plateau::{Goal, ReduceLrOnPlateau, Threshold};

use super::engine::Optimizer;
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::nn::StateDict;
use crate::tensor::Tensor;

/// A rule for learning rates.
pub trait Schedule {
    /// The rate after `time` steps, from the one that there is, `now`. `base` is the group's initial rate.
    /// At time 0, `now` is that one, or what schedules before this one have made of it.
    fn next(&self, base: f64, now: f64, time: u64) -> f64;

    /// The rate after `time` steps if nothing else turns it.
    fn rate(&self, base: f64, time: u64) -> f64 {
        let first = self.next(base, base, 0);
        (1..=time).fold(first, |now, time| self.next(base, now, time))
    }

    /// The momentum after `time` steps, if the schedule turns that as well.
    fn momentum(&self, time: u64) -> Option<f64> {
        let _ = time;
        None
    }

    /// What is wrong with the settings; told when rates are set.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Sets what rates (and momenta) are after `time` steps; `bases` are the initial rates of the groups.
    #[track_caller]
    fn step(&self, optimizer: &mut dyn Optimizer, bases: &[f64], time: u64) -> Result<()> {
        check_settings(self)?;
        let rates: Vec<f64> = bases.iter().map(|&base| self.rate(base, time)).collect();
        optimizer.set_rates(&rates)?;
        turn_momenta(optimizer, self.momentum(time))
    }
}

impl<S: Schedule + ?Sized> Schedule for Box<S> {
    fn next(&self, base: f64, now: f64, time: u64) -> f64 {
        (**self).next(base, now, time)
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        (**self).rate(base, time)
    }

    fn momentum(&self, time: u64) -> Option<f64> {
        (**self).momentum(time)
    }

    fn check(&self) -> Result<(), String> {
        (**self).check()
    }
}

#[track_caller]
fn check_settings(schedule: &(impl Schedule + ?Sized)) -> Result<()> {
    match schedule.check() {
        Ok(()) => Ok(()),
        Err(e) => Err(Error::new(ErrorKind::Argument, "scheduler", e).at(Place::here())),
    }
}

/// A number of steps between changes.
fn not_zero(name: &str, steps: u64) -> Result<(), String> {
    match steps {
        0 => Err(format!("{name} is 0, and must be 1 step at least")),
        _ => Ok(()),
    }
}

#[track_caller]
fn turn_momenta(optimizer: &mut dyn Optimizer, momentum: Option<f64>) -> Result<()> {
    match momentum {
        Some(momentum) => {
            let groups = optimizer.rates().len();
            optimizer.set_momenta(&vec![momentum; groups])
        }
        None => Ok(()),
    }
}

/// What schedules at work keep between steps, for checkpoints.
pub trait ScheduleState {
    /// All of it, by name.
    fn state_dict(&self) -> StateDict;

    /// Takes over what was saved by [`state_dict`](ScheduleState::state_dict).
    ///
    /// # Errors
    /// When it is that of another kind of schedule; then nothing changes.
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()>;
}

/// The entry of a schedule's state with this name.
#[track_caller]
fn entry<'a>(state: &'a StateDict, name: &str) -> Result<&'a Tensor> {
    state.get(name).ok_or_else(|| {
        let message = format!("the state has no {name}: it is that of another kind of schedule");
        Error::new(ErrorKind::Argument, "scheduler", message).at(Place::here())
    })
}

/// A schedule at work on an optimiser: after every epoch (or step), [`Scheduler::step`] sets its rates.
pub struct Scheduler<S> {
    schedule: S,
    bases: Vec<f64>,
    time: u64,
}

impl<S: Schedule> Scheduler<S> {
    /// Sets the first rates; those that the optimiser has are the initial ones.
    ///
    /// # Errors
    /// When a schedule moves momenta and the optimiser has none.
    #[track_caller]
    pub fn new(optimizer: &mut dyn Optimizer, schedule: S) -> Result<Scheduler<S>> {
        let bases = optimizer.rates();
        let scheduler = Scheduler {
            schedule,
            bases,
            time: 0,
        };
        scheduler.apply(optimizer)?;
        Ok(scheduler)
    }

    /// As [`Scheduler::new`] where `time` steps were taken before, when rates were initially `bases`: for training
    /// that goes on from a saved state. The optimiser keeps the rates that it has until the next step.
    pub fn resume(schedule: S, bases: Vec<f64>, time: u64) -> Scheduler<S> {
        Scheduler {
            schedule,
            bases,
            time,
        }
    }

    /// Sets the next rates.
    ///
    /// # Errors
    /// When the optimiser has another number of groups than at first.
    #[track_caller]
    pub fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.time += 1;
        self.apply(optimizer)
    }

    /// How many steps were taken.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The initial rates of the groups.
    pub fn bases(&self) -> &[f64] {
        &self.bases
    }

    #[track_caller]
    fn apply(&self, optimizer: &mut dyn Optimizer) -> Result<()> {
        check_settings(&self.schedule)?;
        let now = optimizer.rates();
        if now.len() != self.bases.len() {
            let (found, expected) = (now.len(), self.bases.len());
            let message = format!("{found} groups, there were {expected}");
            return Err(Error::new(ErrorKind::Argument, "scheduler", message).at(Place::here()));
        }
        let both = self.bases.iter().zip(now);
        let next = both.map(|(&base, now)| self.schedule.next(base, now, self.time));
        optimizer.set_rates(&next.collect::<Vec<_>>())?;
        turn_momenta(optimizer, self.schedule.momentum(self.time))
    }
}

impl<S: Schedule> ScheduleState for Scheduler<S> {
    fn state_dict(&self) -> StateDict {
        let bases = Tensor::from_slice(&self.bases, [self.bases.len()]);
        [("bases", bases), ("time", Tensor::scalar(self.time))]
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    }

    #[track_caller]
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let bases = entry(state, "bases")?.to_vec::<f64>()?;
        if bases.len() != self.bases.len() {
            let (found, expected) = (bases.len(), self.bases.len());
            let message = format!("the state is of {found} groups, there are {expected}");
            return Err(Error::new(ErrorKind::Argument, "scheduler", message).at(Place::here()));
        }
        self.time = entry(state, "time")?.item::<u64>()?;
        self.bases = bases;
        Ok(())
    }
}
