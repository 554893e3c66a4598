//! NVIDIA GPUs: each is opened once in a process, by its number, with the compiler for it.

use super::{Device, MemoryStats, Value};
use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use lazulite_codegen::CodegenError;
use lazulite_codegen::cuda::{self, CudaCompiler, Nvrtc};
use lazulite_ir::Plan;
use lazulite_passes::NarrowProducts;
pub(crate) use lazulite_runtime::cuda::DeviceInput;
use lazulite_runtime::cuda::{
    CudaDevice, CudaError, DeviceError, DeviceProgram, DeviceValue, Driver,
};
use lazulite_runtime::{Buffer, Pool};
use smallvec::SmallVec;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A value on a GPU.
pub(crate) type Memory = DeviceValue;
/// A program for a GPU.
pub(crate) type Code = DeviceProgram;

/// A GPU in use.
pub(crate) struct Opened {
    pub device: Arc<CudaDevice>,
    pub compiler: CudaCompiler,
}

/// As many as [`Places`](super::Places) has bits beside the processor's.
const MOST_DEVICES: u32 = u32::BITS - 1;

/// By number. What was opened stays: values and programs refer to it by its number.
static OPENED: [OnceLock<Opened>; MOST_DEVICES as usize] =
    [const { OnceLock::new() }; MOST_DEVICES as usize];

/// What fails is described by the runtime; here it becomes an error like any other.
pub(crate) fn error(e: impl Into<DeviceError>) -> Error {
    let (kind, message) = match e.into() {
        DeviceError::Run(e) => return engine::run_error(e),
        DeviceError::Cuda(e @ CudaError::OutOfMemory { .. }) => (ErrorKind::Memory, e.to_string()),
        e @ (DeviceError::Cuda(_) | DeviceError::Load(_)) => (ErrorKind::Device, e.to_string()),
    };
    Error::new(kind, "device", message)
}

/// The driver, from where the options say or the system finds it.
fn driver() -> Result<Arc<Driver>> {
    let path = engine::options().cuda_driver;
    Driver::open(path.as_deref().map(Path::new)).map_err(error)
}

pub(super) fn device_count() -> Result<u32> {
    Ok(driver()?.devices())
}

/// The GPU of this number, opened now if it has not been. A failure is forgotten: what was missing may be there the
/// next time.
pub(crate) fn opened(number: u32) -> Result<&'static Opened> {
    static OPENING: Mutex<()> = Mutex::new(());
    let Some(slot) = OPENED.get(number as usize) else {
        let message =
            format!("there are {MOST_DEVICES} CUDA devices at most, and none is {number}");
        return Err(Error::new(ErrorKind::Device, "device", message));
    };
    if let Some(opened) = slot.get() {
        return Ok(opened);
    }
    let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = slot.get() {
        return Ok(opened);
    }
    let options = engine::options();
    let device = CudaDevice::new(&driver()?, number).map_err(error)?;
    let nvrtc = Nvrtc::open(options.cuda_compiler.as_deref().map(Path::new)).map_err(error)?;
    let compiler = CudaCompiler::new(nvrtc, options.cuda_cache.map(PathBuf::from))
        .with_texts(options.cuda_texts.map(PathBuf::from));
    Ok(slot.get_or_init(|| Opened { device, compiler }))
}

pub(super) fn open(number: u32) -> Result<()> {
    opened(number).map(|_| ())
}

pub(super) fn name(number: u32) -> Result<String> {
    Ok(opened(number)?.device.name().to_owned())
}

pub(super) fn synchronize(number: u32) -> Result<()> {
    opened(number)?.device.synchronize().map_err(error)
}

pub(super) fn memory(number: u32) -> Result<MemoryStats> {
    let memory = opened(number)?.device.memory().map_err(error)?;
    Ok(MemoryStats {
        used: memory.used,
        peak: memory.peak,
        free: memory.free,
        total: memory.total,
    })
}

pub(super) fn device_of(memory: &Memory) -> Device {
    Device::at(memory.device().number() as u8 + 1)
}

pub(super) fn upload(device: Device, bytes: &[u8]) -> Result<Memory> {
    let opened = opened(u32::from(device.slot()) - 1)?;
    DeviceValue::upload(&opened.device, bytes).map_err(error)
}

pub(super) fn download(memory: &Memory) -> Result<Buffer> {
    memory.read().map_err(error)
}

/// Which products of narrow factors it has: tensor cores come with an architecture.
pub(super) fn narrow_products(number: u32) -> Result<NarrowProducts> {
    let has_tensor_cores = opened(number)?.device.architecture() >= cuda::TENSOR_ARCHITECTURE;
    Ok(match has_tensor_cores {
        true => NarrowProducts::HalfFloats,
        false => NarrowProducts::None,
    })
}

pub(super) fn compile(number: u32, plan: &Plan) -> Result<Code> {
    let opened = opened(number)?;
    { opened.compiler.program(plan, &opened.device) }.map_err(|e| match e {
        CodegenError::Device(e) => error(e),
        other => Error::new(ErrorKind::Unsupported, "compile", other.to_string()),
    })
}

/// Adds a parameter of a run.
pub(super) fn give(list: &mut SmallVec<[DeviceInput; 8]>, value: Memory, donate: bool) {
    list.push(DeviceInput { value, donate });
}

pub(super) fn given_value(input: &DeviceInput) -> Value {
    Value::Device(input.value.clone())
}

/// Where a program runs.
pub(super) fn place_of(code: &Code) -> Device {
    Device::at(code.device().number() as u8 + 1)
}

/// Queues a program.
pub(super) fn run(
    code: &Code,
    inputs: &mut [DeviceInput],
    sizes: &[i64],
    pool: &Pool,
) -> Result<SmallVec<[Memory; 4]>> {
    code.run(inputs, sizes, pool).map_err(error)
}
