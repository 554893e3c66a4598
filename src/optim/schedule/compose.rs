//! Schedules made of schedules.

use super::Schedule;

/// One schedule after another: each begins anew, from the initial rate, at its milestone.
pub struct SequentialLr {
    schedules: Vec<Box<dyn Schedule>>,
    milestones: Vec<u64>,
}

impl SequentialLr {
    /// The first schedule works from the beginning; further ones follow by [`SequentialLr::then`].
    pub fn new(first: impl Schedule + 'static) -> SequentialLr {
        SequentialLr {
            schedules: vec![Box::new(first)],
            milestones: Vec::new(),
        }
    }

    /// The same with a further schedule, which takes over after `milestone` steps, or when the one before does
    /// if that is later.
    pub fn then(mut self, milestone: u64, schedule: impl Schedule + 'static) -> SequentialLr {
        let before = self.milestones.last().copied().unwrap_or(0);
        self.milestones.push(milestone.max(before));
        self.schedules.push(Box::new(schedule));
        self
    }

    /// The schedule at a time, and for how long it has been at work.
    fn active(&self, time: u64) -> (&dyn Schedule, u64) {
        let passed = self.milestones.partition_point(|m| *m <= time);
        let start = passed.checked_sub(1).map_or(0, |i| self.milestones[i]);
        (&*self.schedules[passed], time - start)
    }
}

impl Schedule for SequentialLr {
    fn next(&self, base: f64, now: f64, time: u64) -> f64 {
        let (schedule, time_of_its_own) = self.active(time);
        match time > 0 && time_of_its_own == 0 {
            true => schedule.rate(base, 0),
            false => schedule.next(base, now, time_of_its_own),
        }
    }

    fn rate(&self, base: f64, time: u64) -> f64 {
        let (schedule, time) = self.active(time);
        schedule.rate(base, time)
    }

    fn momentum(&self, time: u64) -> Option<f64> {
        let (schedule, time) = self.active(time);
        schedule.momentum(time)
    }

    fn check(&self) -> Result<(), String> {
        self.schedules.iter().try_for_each(|s| s.check())
    }
}

/// Several schedules at once: each goes on from what the one before has made of the rate.
pub struct ChainedLr {
    schedules: Vec<Box<dyn Schedule>>,
}

impl ChainedLr {
    /// Of one schedule; further ones follow by [`ChainedLr::and`].
    pub fn new(first: impl Schedule + 'static) -> ChainedLr {
        ChainedLr {
            schedules: vec![Box::new(first)],
        }
    }

    /// The same with a further schedule.
    pub fn and(mut self, schedule: impl Schedule + 'static) -> ChainedLr {
        self.schedules.push(Box::new(schedule));
        self
    }
}

impl Schedule for ChainedLr {
    fn next(&self, base: f64, now: f64, time: u64) -> f64 {
        let mut each = self.schedules.iter();
        each.by_ref().fold(now, |now, s| s.next(base, now, time))
    }

    fn momentum(&self, time: u64) -> Option<f64> {
        let mut each = self.schedules.iter().rev();
        each.find_map(|s| s.momentum(time))
    }

    fn check(&self) -> Result<(), String> {
        self.schedules.iter().try_for_each(|s| s.check())
    }
}
