//! Learning rates over time.

use super::engine::Optimizer;
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use std::f64::consts::PI;

/// A schedule of learning rates: after every epoch (or step), [`Schedule::step`] sets the optimiser's
/// rates. The program of the step does not change with them.
pub trait Schedule {
    /// The rate in place of `base`, the group's initial one, after `time` steps.
    fn rate(&self, base: f64, time: u64) -> f64;

    /// Sets the rates after `time` steps; `bases` are the initial rates of the groups.
    fn step(&self, optimizer: &mut dyn Optimizer, bases: &[f64], time: u64) -> Result<()> {
        let rates: Vec<f64> = bases.iter().map(|&base| self.rate(base, time)).collect();
        optimizer.set_rates(&rates)
    }
}

/// Times `gamma` every `size` steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepLr {
    /// Steps between changes.
    pub size: u64,
    /// The factor.
    pub gamma: f64,
}

impl Schedule for StepLr {
    fn rate(&self, base: f64, time: u64) -> f64 {
        base * self.gamma.powf((time / self.size.max(1)) as f64)
    }
}

/// Along half a cosine from the initial rate to `low` in `period` steps, and back.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CosineAnnealingLr {
    /// Steps from top to bottom.
    pub period: u64,
    /// The lowest rate.
    pub low: f64,
}

impl Schedule for CosineAnnealingLr {
    fn rate(&self, base: f64, time: u64) -> f64 {
        let phase = PI * time as f64 / self.period.max(1) as f64;
        self.low + (base - self.low) * (1.0 + phase.cos()) / 2.0
    }
}

/// Up to a maximum and down to almost nothing, once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OneCycleLr {
    /// The highest rate; the initial one does not count.
    pub max: f64,
    /// Steps in all.
    pub total: u64,
    /// The part of the steps that goes up.
    pub rise: f64,
    /// The maximum divided by the first rate.
    pub first_divisor: f64,
    /// The first rate divided by the last.
    pub last_divisor: f64,
}

impl OneCycleLr {
    /// PyTorch's: 30% of the steps go up, from a 25th of the maximum, and then down to a 10,000th of that.
    #[track_caller]
    pub fn new(max: f64, total: u64) -> Result<OneCycleLr> {
        if total == 0 {
            let message = "a cycle has at least one step";
            return Err(Error::new(ErrorKind::Argument, "OneCycleLr", message).at(Place::here()));
        }
        Ok(OneCycleLr {
            max,
            total,
            rise: 0.3,
            first_divisor: 25.0,
            last_divisor: 1e4,
        })
    }
}

impl Schedule for OneCycleLr {
    fn rate(&self, _: f64, time: u64) -> f64 {
        let first = self.max / self.first_divisor;
        let last = first / self.last_divisor;
        let top = self.rise * self.total as f64 - 1.0;
        let end = self.total as f64 - 1.0;
        let time = time as f64;
        let anneal =
            |from: f64, to: f64, part: f64| to + (from - to) / 2.0 * (1.0 + (PI * part).cos());
        if time <= top {
            anneal(first, self.max, if top > 0.0 { time / top } else { 1.0 })
        } else {
            let part = (time - top) / (end - top);
            anneal(self.max, last, part.min(1.0))
        }
    }
}
