//! What is particular to NVIDIA GPUs: what a device is, and whether it computes what this processor does. Everything
//! else of a GPU is a [`Device`] like any other.
//!
//! Nothing of CUDA is needed to build this, and nothing to start: the driver (`libcuda`) and the compiler (`NVRTC`) are
//! looked for when a device is opened. Where one is missing the error says what was looked for and what to
//! install, and everything else goes on.

mod check;

pub use check::{GpuCase, GpuReport, check};

use crate::device::{Device, opened};
use crate::error::{Error, ErrorKind, Result};

/// What a GPU is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct GpuInfo {
    /// What it calls itself.
    pub name: String,
    /// Its compute capability: 90 for 9.0.
    pub architecture: u32,
    /// The newest CUDA that the driver serves.
    pub driver: (u32, u32),
    /// The version of the compiler, NVRTC.
    pub compiler: (u32, u32),
}

/// What a device is.
///
/// # Errors
/// When it is no GPU.
pub fn info(device: Device) -> Result<GpuInfo> {
    let opened = opened(number_of(device)?)?;
    Ok(GpuInfo {
        name: opened.device.name().to_owned(),
        architecture: opened.device.architecture(),
        driver: opened.device.driver().version(),
        compiler: opened.compiler.nvrtc().version(),
    })
}

fn number_of(device: Device) -> Result<u32> {
    device.cuda_number().ok_or_else(|| {
        let message = format!("{device} is no GPU");
        Error::new(ErrorKind::Argument, "gpu", message)
    })
}
