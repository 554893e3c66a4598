//! Runs compiled programs. Depends on no other Lazulite crate: a standalone binary is this crate
//! plus generated code.
//!
//! An [`Image`] describes a program; with the code of its kernels it is linked into a [`Program`],
//! which runs over [`Buffer`]s on the threads of a [`Pool`]. Linking checks all that can be checked
//! without sizes; a vector of sizes is bound (checked and laid out) once and then found again.

mod arena;
mod bind;
mod bind_steps;
mod buffer;
mod check;
mod custom;
mod encode;
mod error;
mod exec;
mod foreign;
pub mod kernels;
mod link;
mod memory;
mod partition;
mod pool;
mod program;
mod run;
mod size;
mod status;

pub use buffer::{Buffer, Plain};
pub use custom::HostFn;
pub use encode::DecodeError;
pub use error::{LoadError, RunError};
pub use exec::StepTime;
pub use foreign::{
    Extent, Kind, Library, Operand, PartialType, Pattern, ResultMut, Signature as ForeignSignature,
    library, library_names,
};
pub use link::Program;
pub use memory::{AllocError, cached_bytes, set_cache_limit};
pub use pool::{Pool, PoolError};
pub use program::*;
pub use run::{Input, Outputs, RunReport};
pub use size::{MAX_DEPTH, SizeError};
pub use status::Status;
