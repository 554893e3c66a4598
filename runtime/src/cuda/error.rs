//! What can go wrong with a GPU.

use std::fmt;

/// Why a GPU cannot be used, or did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CudaError {
    /// A library cannot be loaded.
    Missing {
        /// Which one.
        library: &'static str,
        /// Names that were tried.
        tried: Vec<String>,
        /// What the system said last.
        reason: String,
        /// What to install.
        hint: &'static str,
    },
    /// A library lacks a function.
    Symbol {
        /// The library's name as it was loaded.
        library: String,
        /// The function.
        symbol: &'static str,
        /// What to install.
        hint: &'static str,
    },
    /// The driver works, and there is no device.
    NoDevice,
    /// There are fewer devices.
    DeviceNumber {
        /// The device asked for.
        device: u32,
        /// How many there are.
        count: u32,
    },
    /// The device has no memory left.
    OutOfMemory {
        /// Bytes asked for; 0 where something else ran out.
        bytes: usize,
    },
    /// A kernel could not be started.
    Launch {
        /// Its name.
        kernel: String,
        /// The driver's word for it.
        reason: String,
    },
    /// A kernel touched memory that is not there. The device is of no use to this process any more.
    IllegalAddress,
    /// A call of the driver failed in another way.
    Driver {
        /// The function.
        call: &'static str,
        /// Its result.
        code: i32,
        /// The driver's word for it.
        reason: String,
    },
    /// The compiler refused a program.
    Compile {
        /// What it said.
        log: String,
    },
    /// The compiler failed in another way.
    Compiler {
        /// The function.
        call: &'static str,
        /// Its word for it.
        reason: String,
    },
}

impl fmt::Display for CudaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CudaError::Missing {
                library,
                tried,
                reason,
                hint,
            } => write!(
                f,
                "{library} is not there: looked for {}; {reason}; {hint}",
                tried.join(", ")
            ),
            CudaError::Symbol {
                library,
                symbol,
                hint,
            } => write!(f, "{library} has no function {symbol}: {hint}"),
            CudaError::NoDevice => {
                f.write_str("the CUDA driver is there, but no CUDA device: see what nvidia-smi says")
            }
            CudaError::DeviceNumber { device, count } => {
                write!(f, "there is no CUDA device {device}, only {count}")
            }
            CudaError::OutOfMemory { bytes: 0 } => f.write_str("the CUDA device is out of memory"),
            CudaError::OutOfMemory { bytes } => {
                write!(f, "the CUDA device has no {bytes} bytes of memory left")
            }
            CudaError::Launch { kernel, reason } => {
                write!(f, "the kernel {kernel} could not be started: {reason}")
            }
            CudaError::IllegalAddress => f.write_str(
                "a kernel touched memory that is not there; the CUDA device cannot be used by this process any more",
            ),
            CudaError::Driver { call, code, reason } => {
                write!(f, "the CUDA driver's {call} failed with {code}: {reason}")
            }
            CudaError::Compile { log } => write!(f, "NVRTC refused a program: {log}"),
            CudaError::Compiler { call, reason } => write!(f, "{call} failed: {reason}"),
        }
    }
}

impl std::error::Error for CudaError {}
