//! NVIDIA GPUs: exported functions run there.
//!
//! Nothing of CUDA is needed to build this, and nothing to start: the driver (`libcuda`) and the compiler (`NVRTC`) are
//! looked for when the first [`Gpu`] is opened. Where one is missing the error says what was looked for and what to
//! install, and everything else goes on.
//!
//! ```no_run
//! use lazulite::prelude::*;
//! use lazulite::{gpu::Gpu, spec};
//! let w = Tensor::randn([128, 784]);
//! let exported = lazulite::export(|[x]| x.linear(&w, None).softmax(-1), &[spec!(f32["batch", 784])])?;
//! let gpu = Gpu::open(0)?;
//! let function = gpu.load(&exported)?;
//! let y = function.run(&[&Tensor::randn([32, 784])])?;
//! assert_eq!(y[0].dims()?, [32, 128]);
//! # Ok::<(), lazulite::Error>(())
//! ```

mod check;

pub use check::{GpuCase, GpuReport, check};

use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::export::Exported;
use crate::files::{from_array, to_array};
use crate::tensor::Tensor;
use lazulite_codegen::cuda::{CudaCompiler, Nvrtc};
use lazulite_runtime::Array;
pub use lazulite_runtime::cuda::MemoryUse;
use lazulite_runtime::cuda::{
    CudaDevice, CudaError, DeviceError, DeviceModel, DeviceModelError, Driver,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What fails is described by the runtime; here it becomes an error like any other.
fn error(e: impl Into<DeviceModelError>) -> Error {
    let (kind, message) = match e.into() {
        DeviceModelError::Device(DeviceError::Run(e)) => return engine::run_error(e),
        DeviceModelError::Argument(e) => (ErrorKind::Argument, e.to_string()),
        DeviceModelError::Device(DeviceError::Cuda(e @ CudaError::OutOfMemory { .. })) => {
            (ErrorKind::Memory, e.to_string())
        }
        DeviceModelError::Device(e) => (ErrorKind::Unsupported, e.to_string()),
    };
    Error::new(kind, "gpu", message)
}

/// The driver, from where the options say or the system finds it.
fn driver() -> Result<Arc<Driver>> {
    let path = engine::options().cuda_driver;
    Driver::open(path.as_deref().map(Path::new)).map_err(error)
}

/// How many GPUs there are.
///
/// # Errors
/// When there is none, or no driver that works: the message says what is missing.
pub fn device_count() -> Result<u32> {
    Ok(driver()?.devices())
}

/// A GPU.
#[derive(Clone, Debug)]
pub struct Gpu {
    device: Arc<CudaDevice>,
    compiler: Arc<CudaCompiler>,
}

impl Gpu {
    /// GPU number `number`, counted from 0.
    ///
    /// # Errors
    /// When the driver, the compiler or the device is missing or does not work.
    pub fn open(number: u32) -> Result<Gpu> {
        let options = engine::options();
        let device = CudaDevice::new(&driver()?, number).map_err(error)?;
        let nvrtc = Nvrtc::open(options.cuda_compiler.as_deref().map(Path::new)).map_err(error)?;
        let compiler = CudaCompiler::new(nvrtc, options.cuda_cache.map(PathBuf::from));
        Ok(Gpu {
            device,
            compiler: Arc::new(compiler),
        })
    }

    /// What the device calls itself.
    pub fn name(&self) -> &str {
        self.device.name()
    }

    /// Its compute capability: 90 for 9.0.
    pub fn architecture(&self) -> u32 {
        self.device.architecture()
    }

    /// The newest CUDA that the driver serves, and the version of the compiler.
    pub fn versions(&self) -> [(u32, u32); 2] {
        [
            self.device.driver().version(),
            self.compiler.nvrtc().version(),
        ]
    }

    /// What memory is in use.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn memory(&self) -> Result<MemoryUse> {
        self.device.memory().map_err(error)
    }

    /// Waits until everything that was queued is done.
    ///
    /// # Errors
    /// When something of it has failed.
    pub fn synchronize(&self) -> Result<()> {
        self.device.synchronize().map_err(error)
    }

    /// Compiles an exported function for this GPU, and brings its weights there.
    ///
    /// # Errors
    /// When it cannot be compiled, or there is no memory for the weights.
    pub fn load(&self, exported: &Exported) -> Result<GpuFunction> {
        let parts = exported.parts()?;
        let program = self.compiler.program(&parts.plan, &self.device);
        let program = program
            .map_err(|e| Error::new(ErrorKind::Unsupported, "gpu", format!("the function {e}")))?;
        let model = DeviceModel::new(parts.interface, program, &parts.weights);
        Ok(GpuFunction {
            model: model.map_err(error)?,
        })
    }
}

/// An exported function on a GPU.
#[derive(Debug)]
pub struct GpuFunction {
    model: DeviceModel,
}

impl GpuFunction {
    /// Runs the function and waits for its results.
    ///
    /// # Errors
    /// When the inputs do not fit, or something goes wrong while it runs.
    #[track_caller]
    pub fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let results = self.model.run(&arrays(inputs)?, &engine::current().pool);
        let results = results.map_err(error)?;
        results.into_iter().map(from_array).collect()
    }
}

/// Values for the runtime.
#[track_caller]
fn arrays(inputs: &[&Tensor]) -> Result<Vec<Array>> {
    crate::tensor::realize_all(inputs)?;
    inputs.iter().map(|t| to_array(t)).collect()
}
