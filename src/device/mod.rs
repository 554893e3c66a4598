//! Devices: where tensors live and are computed.
//!
//! What is computed from tensors of a GPU is computed there: recording joins the [`Places`] of operands, and realising
//! runs a program where its results belong. Numbers, and tensors made of them alone, go anywhere. Between
//! devices tensors move by [`Tensor::to`] only, which is where tracing stops ([`transfer`]). A device is opened once in
//! a process and stays.

#[cfg(not(feature = "cuda"))]
mod absent;
#[cfg(feature = "cuda")]
mod cuda;
mod places;
mod transfer;
mod value;

#[cfg(not(feature = "cuda"))]
use absent as gpu;
#[cfg(feature = "cuda")]
use cuda as gpu;
#[cfg(feature = "cuda")]
pub(crate) use cuda::{error, opened};
pub(crate) use gpu::{Code, DeviceInput, Memory};
use gpu::{device_of, download, give, given_value, place_of, run, upload};
pub(crate) use places::Places;
pub(crate) use transfer::reconcile;
pub(crate) use value::{Executable, Given, Value};

use crate::engine::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::scoped::Scoped;
use lazulite_ir::Plan;
use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::thread::LocalKey;

/// A machine that tensors live on: the processor or a GPU.
///
/// ```
/// use lazulite::{Device, prelude::*};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// assert_eq!(x.device()?, Device::cpu());
/// // Where there is no GPU, this is an error that says what is missing.
/// if let Ok(gpu) = Device::cuda(0) {
///     let y = (x.to(gpu) * 2.0).exp();             // computed there
///     assert_eq!(y.device()?, gpu);
///     println!("{:?}", y.to_vec::<f32>()?);        // computed now, and copied back
/// }
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// Names are `cpu` and `cuda:0`:
///
/// ```
/// use lazulite::Device;
/// assert_eq!("cpu".parse::<Device>()?, Device::cpu());
/// assert!("gpu".parse::<Device>().is_err());
/// # Ok::<(), lazulite::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Device {
    /// 0 for the processor, else one more than the GPU's number.
    slot: u8,
}

/// What memory of a device is in use, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Held by this process's tensors and programs.
    pub used: usize,
    /// The most that they have held at a time.
    pub peak: usize,
    /// Left on the device.
    pub free: usize,
    /// All that the device has.
    pub total: usize,
}

thread_local! {
    /// Where this thread makes tensors, if somebody has said so.
    static HERE: Cell<Option<Device>> = const { Cell::new(None) };
}

/// While it lives, its thread makes tensors on a device ([`Device::use_here`]).
#[must_use = "the device is used only while this lives"]
#[derive(Debug)]
pub struct DeviceGuard {
    _here: Scoped<LocalKey<Cell<Option<Device>>>>,
}

impl Device {
    /// The processor that this program runs on.
    pub const fn cpu() -> Device {
        Device { slot: 0 }
    }

    /// The NVIDIA GPU of this number, counted from 0. It is opened now, once in a process.
    ///
    /// # Errors
    /// When the driver, the compiler NVRTC or the device is missing or does not work. The message says what
    /// was looked for and what to install; the program goes on without.
    pub fn cuda(number: u32) -> Result<Device> {
        gpu::open(number)?;
        // Numbers that can be opened are small.
        Ok(Device::at(number as u8 + 1))
    }

    pub(crate) const fn at(slot: u8) -> Device {
        Device { slot }
    }

    pub(crate) const fn slot(self) -> u8 {
        self.slot
    }

    /// Whether it is the processor.
    pub const fn is_cpu(self) -> bool {
        self.slot == 0
    }

    /// The number of the GPU, unless it is the processor.
    pub const fn cuda_number(self) -> Option<u32> {
        match self.slot {
            0 => None,
            slot => Some(slot as u32 - 1),
        }
    }

    /// What the device calls itself.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn name(self) -> Result<String> {
        match self.cuda_number() {
            None => Ok("processor".to_string()),
            Some(number) => gpu::name(number),
        }
    }

    /// Runs `f`; the tensors that this thread makes meanwhile, from data, numbers or random draws, are made on
    /// this device.
    ///
    /// ```no_run
    /// use lazulite::{Device, prelude::*};
    /// let gpu = Device::cuda(0)?;
    /// let w = gpu.scope(|| Tensor::randn([128, 784]));
    /// assert_eq!(w.device()?, gpu);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    pub fn scope<R>(self, f: impl FnOnce() -> R) -> R {
        let _guard = self.use_here();
        f()
    }

    /// As [`Device::scope`], until the guard is dropped.
    ///
    /// ```no_run
    /// use lazulite::{Device, prelude::*};
    /// let _gpu = Device::cuda(0)?.use_here();
    /// assert!(!Tensor::zeros([2]).device()?.is_cpu());
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    pub fn use_here(self) -> DeviceGuard {
        DeviceGuard {
            _here: Scoped::set(&HERE, Some(self)),
        }
    }

    /// Where this thread makes tensors: the processor, if nobody has said anything else.
    #[inline]
    pub fn here() -> Device {
        HERE.get().unwrap_or_default()
    }

    /// Waits until all that was queued on the device is done. On the processor nothing is ever queued.
    ///
    /// # Errors
    /// When something of it has failed.
    pub fn synchronize(self) -> Result<()> {
        match self.cuda_number() {
            None => Ok(()),
            Some(number) => gpu::synchronize(number),
        }
    }

    /// What memory of a GPU is in use.
    ///
    /// # Errors
    /// For the processor, whose memory is not counted, and when the driver fails.
    pub fn memory(self) -> Result<MemoryStats> {
        match self.cuda_number() {
            None => {
                let message = "the processor's memory is not counted";
                Err(Error::new(ErrorKind::Unsupported, "memory", message))
            }
            Some(number) => gpu::memory(number),
        }
    }

    /// What passes may do, and assume of this device.
    ///
    /// # Errors
    /// When the device cannot be opened.
    pub(crate) fn passes(self, options: &Options) -> Result<lazulite_passes::Options> {
        let mut passes = options.passes();
        if let Some(number) = self.cuda_number() {
            passes.schedule.machine.narrow = gpu::narrow_products(number)?;
            // Most GPUs have little arithmetic in f64.
            passes.schedule.machine.wide_scans = false;
        }
        Ok(passes)
    }

    /// A plan as a program on a GPU; `None` for the processor.
    pub(crate) fn compile(self, plan: &Plan) -> Option<Result<Code>> {
        let number = self.cuda_number()?;
        Some(gpu::compile(number, plan))
    }
}

/// How many NVIDIA GPUs there are.
///
/// # Errors
/// When there is none, or no driver that works: the message says what is missing.
pub fn device_count() -> Result<u32> {
    gpu::device_count()
}

/// Where tensors of this thread are pinned to that are made of numbers alone, if anywhere.
pub(crate) fn pinned_here() -> Places {
    HERE.get().map_or(Places::NONE, Places::of)
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cuda_number() {
            None => f.write_str("cpu"),
            Some(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// `cpu`, `cuda` (the first one) or `cuda:N`, which is opened.
    fn from_str(name: &str) -> Result<Device> {
        let number = match name.split_once(':') {
            None if name == "cpu" => return Ok(Device::cpu()),
            None if name == "cuda" => Some(0),
            Some(("cuda", number)) => number.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => Device::cuda(number),
            None => {
                let message = format!("there is no device called `{name}`");
                Err(Error::new(ErrorKind::Argument, "device", message)
                    .hint("devices are called `cpu`, `cuda:0`, `cuda:1` ..."))
            }
        }
    }
}
