//! Rates that fall, or rise, by factors.

use super::{Schedule, not_zero};

/// Times `gamma` every `size` steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StepLr {
    /// Steps between changes.
    pub size: u64,
    /// The factor.
    pub gamma: f64,
}

impl Schedule for StepLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        match time > 0 && time.is_multiple_of(self.size) {
            true => now * self.gamma,
            false => now,
        }
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        base * self.gamma.powf((time / self.size.max(1)) as f64)
    }

    fn check(&self) -> Result<(), String> {
        not_zero("the size of StepLr", self.size)
    }
}

/// Times `gamma` at certain steps; twice at one that is named twice.
#[derive(Clone, PartialEq, Debug)]
pub struct MultiStepLr {
    /// The steps, in any order.
    pub milestones: Vec<u64>,
    /// The factor.
    pub gamma: f64,
}

impl Schedule for MultiStepLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        let times = self.milestones.iter().filter(|m| **m == time).count();
        now * self.gamma.powf(times as f64)
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        let times = self.milestones.iter().filter(|m| **m <= time).count();
        base * self.gamma.powf(times as f64)
    }
}

/// Times `gamma` at every step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ExponentialLr {
    /// The factor.
    pub gamma: f64,
}

impl Schedule for ExponentialLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        match time {
            0 => now,
            _ => now * self.gamma,
        }
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        base * self.gamma.powf(time as f64)
    }
}

/// A share of the rate for a while, then all of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConstantLr {
    /// The share.
    pub factor: f64,
    /// For so many steps.
    pub total: u64,
}

impl Default for ConstantLr {
    fn default() -> ConstantLr {
        ConstantLr {
            factor: 1.0 / 3.0,
            total: 5,
        }
    }
}

impl Schedule for ConstantLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        match time {
            0 => now * self.factor,
            time if time == self.total => now / self.factor,
            _ => now,
        }
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        match time >= self.total {
            true => base,
            false => base * self.factor,
        }
    }
}

/// From one share of the rate to another, along a line.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LinearLr {
    /// The first share.
    pub start: f64,
    /// The last share.
    pub end: f64,
    /// In so many steps.
    pub total: u64,
}

impl Default for LinearLr {
    fn default() -> LinearLr {
        LinearLr {
            start: 1.0 / 3.0,
            end: 1.0,
            total: 5,
        }
    }
}

impl Schedule for LinearLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        let (total, rise) = (self.total as f64, self.end - self.start);
        match time {
            0 => now * self.start,
            time if time > self.total => now,
            time => now * (1.0 + rise / (total * self.start + (time - 1) as f64 * rise)),
        }
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        let part = time.min(self.total) as f64 / self.total.max(1) as f64;
        base * (self.start + (self.end - self.start) * part)
    }
}

/// Down to nothing, along a power of the time that is left.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PolynomialLr {
    /// In so many steps.
    pub total: u64,
    /// The power.
    pub power: f64,
}

impl Default for PolynomialLr {
    fn default() -> PolynomialLr {
        PolynomialLr {
            total: 5,
            power: 1.0,
        }
    }
}

impl Schedule for PolynomialLr {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        if time == 0 || time > self.total {
            return now;
        }
        let left = |time: u64| 1.0 - time as f64 / self.total as f64;
        now * (left(time) / left(time - 1)).powf(self.power)
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        let part = time.min(self.total) as f64 / self.total.max(1) as f64;
        base * (1.0 - part).powf(self.power)
    }
}

/// The initial rate times a function of the time.
#[derive(Clone, Copy, Debug)]
pub struct LambdaLr<F>(pub F);

impl<F: Fn(u64) -> f64> Schedule for LambdaLr<F> {
    fn next(&self, base: f64, _: f64, time: u64) -> f64 {
        base * (self.0)(time)
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        base * (self.0)(time)
    }
}

/// Times a function of the time at every step.
#[derive(Clone, Copy, Debug)]
pub struct MultiplicativeLr<F>(pub F);

impl<F: Fn(u64) -> f64> Schedule for MultiplicativeLr<F> {
    fn next(&self, _: f64, now: f64, time: u64) -> f64 {
        match time {
            0 => now,
            time => now * (self.0)(time),
        }
    }
}
