//! NVIDIA GPUs, without CUDA being there when this is built: the driver's library is looked for when the first device
//! is asked for, and where something is missing the error says what was looked for and what to install.
//!
//! The bindings are our own and thin: two dozen functions with fixed signatures. A binding crate for all of
//! CUDA takes longer to build than this crate, and the one that there is panics where a library is missing.

mod device;
mod driver;
mod error;
mod library;
mod program;
mod value;

pub use device::{CudaDevice, DeviceBuffer, MemoryUse, Module};
pub use driver::Driver;
pub use error::CudaError;
pub use library::{CudaLibrary, Wanted};
pub use program::{DeviceError, DeviceLaunch, DeviceProgram};
pub use value::{DeviceInput, DeviceValue};
