//! Rates that go up and down, and anneal.

use super::{Schedule, not_zero};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use std::f64::consts::PI;

/// The way from one value to another.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Anneal {
    /// Along half a cosine.
    #[default]
    Cosine,
    /// Along a line.
    Linear,
}

impl Anneal {
    /// Where it is after `part` of the way.
    fn between(self, from: f64, to: f64, part: f64) -> f64 {
        match self {
            Anneal::Cosine => to + (from - to) / 2.0 * (1.0 + (PI * part).cos()),
            Anneal::Linear => (to - from) * part + from,
        }
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
    fn next(&self, base: f64, now: f64, time: u64) -> f64 {
        let period = self.period.max(1);
        let Some(before) = time.checked_sub(1) else {
            return now;
        };
        // At the bottom there is nothing to be multiplied.
        if before % (2 * period) == period {
            let rise = (1.0 - (PI / period as f64).cos()) / 2.0;
            return now + (base - self.low) * rise;
        }
        let height = |time: u64| 1.0 + (PI * time as f64 / period as f64).cos();
        height(time) / height(before) * (now - self.low) + self.low
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        let phase = PI * time as f64 / self.period.max(1) as f64;
        self.low + (base - self.low) * (1.0 + phase.cos()) / 2.0
    }

    fn check(&self) -> Result<(), String> {
        not_zero("the period of CosineAnnealingLr", self.period)
    }
}

/// Along half a cosine from the initial rate to `low`, again and again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CosineAnnealingWarmRestarts {
    /// Steps of the first way down.
    pub period: u64,
    /// How many times as long each way is as the one before.
    pub growth: u64,
    /// The lowest rate.
    pub low: f64,
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn next(&self, base: f64, _: f64, time: u64) -> f64 {
        self.rate(base, time)
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        let (mut left, mut period) = (time, self.period.max(1));
        match self.growth {
            0 | 1 => left %= period,
            growth => {
                while left >= period {
                    left -= period;
                    period = period.saturating_mul(growth);
                }
            }
        }
        let phase = PI * left as f64 / period as f64;
        self.low + (base - self.low) * (1.0 + phase.cos()) / 2.0
    }

    fn check(&self) -> Result<(), String> {
        not_zero("the period of CosineAnnealingWarmRestarts", self.period)?;
        match self.growth {
            0 => {
                Err("the growth of CosineAnnealingWarmRestarts is 0, and must be 1 at least".into())
            }
            _ => Ok(()),
        }
    }
}

/// How the height of cycles changes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum CycleMode {
    /// Not at all.
    Triangular,
    /// By half each time.
    Halved,
    /// By this factor each step.
    Exponential(f64),
}

/// Up from a base and down to it, again and again, while the momentum goes down and up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CyclicLr {
    /// The lowest rate; the initial one does not count.
    pub low: f64,
    /// The highest rate.
    pub high: f64,
    /// Steps up.
    pub up: u64,
    /// Steps down.
    pub down: u64,
    /// How the height changes.
    pub mode: CycleMode,
    /// The lowest and the highest momentum, if it is moved.
    pub momentum: Option<(f64, f64)>,
}

impl CyclicLr {
    /// PyTorch's: as many steps down as up, cycles of one height, momentum between 0.8 and 0.9.
    pub fn new(low: f64, high: f64, up: u64) -> CyclicLr {
        CyclicLr {
            low,
            high,
            up,
            down: up,
            mode: CycleMode::Triangular,
            momentum: Some((0.8, 0.9)),
        }
    }

    /// How high it is after `time` steps, from 0 to 1.
    fn height(&self, time: u64) -> f64 {
        let total = (self.up + self.down).max(1) as f64;
        let time = time as f64;
        let cycle = (1.0 + time / total).floor();
        let (within, top) = (1.0 + time / total - cycle, self.up as f64 / total);
        let height = match within <= top {
            true if top == 0.0 => 1.0,
            true => within / top,
            false => (within - 1.0) / (top - 1.0),
        };
        height
            * match self.mode {
                CycleMode::Triangular => 1.0,
                CycleMode::Halved => 0.5f64.powf(cycle - 1.0),
                CycleMode::Exponential(gamma) => gamma.powf(time),
            }
    }
}

impl Schedule for CyclicLr {
    fn next(&self, base: f64, _: f64, time: u64) -> f64 {
        self.rate(base, time)
    }

    fn rate(&self, _: f64, time: u64) -> f64 {
        self.low + (self.high - self.low) * self.height(time)
    }

    fn momentum(&self, time: u64) -> Option<f64> {
        let (low, high) = self.momentum?;
        Some(high - (high - low) * self.height(time))
    }

    fn check(&self) -> Result<(), String> {
        not_zero(
            "the length of CyclicLr's cycles",
            self.up.saturating_add(self.down),
        )
    }
}

/// Up to a maximum and down to almost nothing, once, while the momentum goes down and up.
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
    /// The way between rates.
    pub anneal: Anneal,
    /// Goes down as long as up, and only then to the last rate.
    pub three_phases: bool,
    /// The lowest and the highest momentum, if it is moved.
    pub momentum: Option<(f64, f64)>,
}

/// A way between two rates and two momenta that ends at a time.
struct Phase {
    end: f64,
    rates: (f64, f64),
    momenta: (f64, f64),
}

impl OneCycleLr {
    /// PyTorch's: 30% of the steps go up, from a 25th of the maximum, and then down to a 10,000th of that, with
    /// momentum between 0.85 and 0.95.
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
            anneal: Anneal::Cosine,
            three_phases: false,
            momentum: Some((0.85, 0.95)),
        })
    }

    fn phases(&self) -> Vec<Phase> {
        let first = self.max / self.first_divisor;
        let last = first / self.last_divisor;
        let (low, high) = self.momentum.unwrap_or_default();
        let total = self.total as f64;
        let phase = |end, rates, momenta| Phase {
            end,
            rates,
            momenta,
        };
        let up = phase(self.rise * total - 1.0, (first, self.max), (high, low));
        let down = |end, to| phase(end, (self.max, to), (low, high));
        match self.three_phases {
            false => vec![up, down(total - 1.0, last)],
            true => vec![
                up,
                down(2.0 * self.rise * total - 2.0, first),
                phase(total - 1.0, (first, last), (high, high)),
            ],
        }
    }

    /// Rate and momentum.
    fn at(&self, time: u64) -> (f64, f64) {
        let (time, mut start) = (time as f64, 0.0);
        let phases = self.phases();
        for (i, phase) in phases.iter().enumerate() {
            if time <= phase.end || i + 1 == phases.len() {
                let length = phase.end - start;
                let part = if length > 0.0 {
                    (time - start) / length
                } else {
                    1.0
                };
                let between = |(from, to)| self.anneal.between(from, to, part.min(1.0));
                return (between(phase.rates), between(phase.momenta));
            }
            start = phase.end;
        }
        (self.max, 0.0)
    }
}

impl Schedule for OneCycleLr {
    fn next(&self, base: f64, _: f64, time: u64) -> f64 {
        self.rate(base, time)
    }

    fn rate(&self, _: f64, time: u64) -> f64 {
        self.at(time).0
    }

    fn momentum(&self, time: u64) -> Option<f64> {
        self.momentum.map(|_| self.at(time).1)
    }
}

/// To a rate that then stays, for averaging weights.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SwaLr {
    /// The rate.
    pub to: f64,
    /// Steps until then.
    pub steps: u64,
    /// The way.
    pub anneal: Anneal,
}

impl SwaLr {
    /// PyTorch's: in ten steps along half a cosine.
    pub fn new(to: f64) -> SwaLr {
        SwaLr {
            to,
            steps: 10,
            anneal: Anneal::Cosine,
        }
    }
}

impl Schedule for SwaLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        // With no steps to go, it is there at once.
        let time = if self.steps == 0 { time.max(1) } else { time } as f64;
        let steps = self.steps.max(1) as f64;
        let share = |time: f64| {
            self.anneal
                .between(0.0, 1.0, (time / steps).clamp(0.0, 1.0))
        };
        let (before, after) = (share(time - 1.0), share(time));
        // Where it would have come from, had nothing been added yet.
        let from = match before == 1.0 {
            true => self.to,
            false => (now - before * self.to) / (1.0 - before),
        };
        self.to * after + from * (1.0 - after)
    }
}
