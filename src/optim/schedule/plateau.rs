//! Rates that fall when a measure stops getting better.

use super::{ScheduleState, entry};
use crate::error::Result;
use crate::nn::StateDict;
use crate::optim::Optimizer;
use crate::tensor::Tensor;

/// Which measures are better.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Goal {
    /// Smaller ones.
    #[default]
    Least,
    /// Larger ones.
    Most,
}

/// By how much a measure must be better to count.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Threshold {
    /// By this part of the best one.
    Relative(f64),
    /// By this much.
    Absolute(f64),
}

/// Times `factor` when a measure has not become better for more than `patience` steps.
#[derive(Clone, PartialEq, Debug)]
pub struct ReduceLrOnPlateau {
    /// Which measures are better.
    pub goal: Goal,
    /// The factor.
    pub factor: f64,
    /// Steps without success that are borne.
    pub patience: u64,
    /// What counts as success.
    pub threshold: Threshold,
    /// Steps after a change that do not count.
    pub cooldown: u64,
    /// The lowest rate.
    pub low: f64,
    /// Changes up to this are not made.
    pub eps: f64,
    best: Option<f64>,
    failures: u64,
    cooling: u64,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> ReduceLrOnPlateau {
        ReduceLrOnPlateau {
            goal: Goal::Least,
            factor: 0.1,
            patience: 10,
            threshold: Threshold::Relative(1e-4),
            cooldown: 0,
            low: 0.0,
            eps: 1e-8,
            best: None,
            failures: 0,
            cooling: 0,
        }
    }
}

impl ReduceLrOnPlateau {
    /// PyTorch's: a tenth after ten steps in which no smaller measure was seen.
    pub fn new() -> ReduceLrOnPlateau {
        ReduceLrOnPlateau::default()
    }

    /// The best measure so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    fn is_better(&self, measure: f64) -> bool {
        let Some(best) = self.best else {
            return !measure.is_nan();
        };
        match (self.goal, self.threshold) {
            (Goal::Least, Threshold::Relative(part)) => measure < best * (1.0 - part),
            (Goal::Least, Threshold::Absolute(much)) => measure < best - much,
            (Goal::Most, Threshold::Relative(part)) => measure > best * (1.0 + part),
            (Goal::Most, Threshold::Absolute(much)) => measure > best + much,
        }
    }

    /// Looks at a measure, such as a loss over data that is not trained on, and sets the rates.
    ///
    /// # Errors
    /// As for [`Optimizer::set_rates`].
    #[track_caller]
    pub fn step(&mut self, optimizer: &mut dyn Optimizer, measure: f64) -> Result<()> {
        if self.is_better(measure) {
            self.best = Some(measure);
            self.failures = 0;
        } else {
            self.failures += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.failures = 0;
        }
        if self.failures <= self.patience {
            return Ok(());
        }
        self.cooling = self.cooldown;
        self.failures = 0;
        let lower = |rate: f64| {
            let new = (rate * self.factor).max(self.low);
            if rate - new > self.eps { new } else { rate }
        };
        let rates: Vec<f64> = optimizer.rates().into_iter().map(lower).collect();
        optimizer.set_rates(&rates)
    }
}

impl ScheduleState for ReduceLrOnPlateau {
    fn state_dict(&self) -> StateDict {
        // Nothing seen yet is not a number.
        let best = self.best.unwrap_or(f64::NAN);
        [
            ("best", Tensor::scalar(best)),
            ("failures", Tensor::scalar(self.failures)),
            ("cooling", Tensor::scalar(self.cooling)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    #[track_caller]
    fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        let best = entry(state, "best")?.item::<f64>()?;
        let failures = entry(state, "failures")?.item::<u64>()?;
        self.cooling = entry(state, "cooling")?.item::<u64>()?;
        self.best = Some(best).filter(|best| !best.is_nan());
        self.failures = failures;
        Ok(())
    }
}
