//! Runs compiled programs. Depends on no other Lazulite crate: a standalone binary is this crate
//! plus generated code.

mod encode;
mod program;
mod status;

pub use encode::DecodeError;
pub use program::*;
pub use status::Status;
