//! The status word of a run: where running code reports faults.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Where running code reports faults: 0 while all is well. Code that finds a fault writes only if
/// it changes `fault` from 0, so the first one stays. (Which one is first may depend on the number of
/// threads; that there is one does not.)
#[repr(C)]
#[derive(Debug, Default)]
pub struct Status {
    /// 0, or the number of the first fault plus 1.
    pub fault: AtomicU64,
    /// The offending value.
    pub value: AtomicI64,
    /// The bound that it broke.
    pub bound: AtomicI64,
}

impl Status {
    /// Records a fault unless there is one.
    pub fn record(&self, fault: u32, value: i64, bound: i64) {
        let code = u64::from(fault) + 1;
        let first = self
            .fault
            .compare_exchange(0, code, Ordering::Relaxed, Ordering::Relaxed);
        if first.is_ok() {
            self.value.store(value, Ordering::Relaxed);
            self.bound.store(bound, Ordering::Relaxed);
        }
    }

    /// The fault number, value and bound, if a fault was recorded. To be asked between steps, when
    /// no code is running.
    pub fn fault(&self) -> Option<(u64, i64, i64)> {
        let code = self.fault.load(Ordering::Relaxed).checked_sub(1)?;
        let value = self.value.load(Ordering::Relaxed);
        Some((code, value, self.bound.load(Ordering::Relaxed)))
    }
}
