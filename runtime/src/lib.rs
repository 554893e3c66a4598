//! Runs compiled programs. Depends on no other Lazulite crate: a standalone binary is this crate
//! plus generated code.
//!
//! An [`Image`] describes a program; with the code of its kernels it is linked into a [`Program`],
//! which runs over [`Buffer`]s on the threads of a [`Pool`]. Linking checks all that can be checked
//! without sizes; a vector of sizes is bound (checked and laid out) once and then found again.

mod arena;
mod bind;
mod bind_steps;
mod bound;
mod buffer;
mod check;
mod checksum;
mod code;
mod container;
#[cfg(feature = "cuda")]
pub mod cuda;
mod custom;
mod encode;
mod error;
mod exec;
pub mod files;
mod foreign;
pub mod kernels;
mod link;
mod memory;
mod metadata;
mod model;
mod partition;
mod payload;
mod pool;
mod program;
mod run;
mod size;
mod status;
mod text;
mod told;
mod walk;

pub use buffer::{Buffer, Plain};
pub use checksum::checksum;
pub use code::{
    Artifact, CODE_ALIGN, CodeBytes, CodeError, CodeMemory, Helper, HelperAddress, require_baseline,
};
pub use container::{
    Container, FILE_PAGE, FILE_VERSION, FileError, FileKind, Section, TRAILER, appended,
};
pub use custom::HostFn;
pub use encode::DecodeError;
pub use error::{LoadError, RunError};
pub use exec::StepTime;
pub use foreign::{
    ElementKind, Extent, Library, Operand, PartialType, Pattern, ResultMut,
    Signature as ForeignSignature, library, library_names,
};
pub use link::Program;
pub use memory::{AllocError, cached_bytes, set_cache_limit};
pub use metadata::Metadata;
pub use model::{ArgumentError, Array, Arrays, Interface, Model, ModelError, Port, Source};
pub use payload::{
    Assembly, Contents, ExportedFile, LevelCode, Payload, PayloadFile, read_exported, read_payload,
    write_executable, write_exported, write_payload,
};
pub use pool::{Pool, PoolError};
pub use program::*;
pub use run::{Input, Outputs, RunReport};
pub use size::{MAX_DEPTH, SizeError};
pub use status::Status;
pub use told::{Noun, Told, trail_entry};
