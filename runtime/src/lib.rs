//! Runs compiled programs. Depends on no other Lazulite crate: a standalone binary is this crate
//! plus generated code.

mod program;

pub use program::*;

/// Where running code reports faults: 0 while all is well.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Status {
    /// 0, or the number of the first fault plus 1.
    pub fault: std::sync::atomic::AtomicU64,
    /// The offending value.
    pub value: std::sync::atomic::AtomicI64,
    /// The bound that it broke.
    pub bound: std::sync::atomic::AtomicI64,
}
