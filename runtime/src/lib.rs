//! Runs compiled programs. Depends on no other Lazulite crate: a standalone binary is this crate
//! plus generated code.

mod arena;
mod buffer;
mod custom;
mod encode;
pub mod kernels;
mod memory;
mod partition;
mod pool;
mod program;
mod size;
mod status;

pub use buffer::{Buffer, Plain};
pub use custom::{HostFn, library, register_library};
pub use encode::DecodeError;
pub use memory::{AllocError, cached_bytes, set_cache_limit};
pub use pool::{Pool, PoolError, set_threads};
pub use program::*;
pub use size::{MAX_DEPTH, SizeError};
pub use status::Status;
