//! Plans on a device: their text compiled for its architecture, or found among what was compiled before.
//!
//! The files of the cache are keyed by all that machine code depends on: the text, the architecture, the options, and the
//! compiler's version. They hold their key and a checksum. One that is damaged, or is another key's, counts as
//! missing; whether one can be written does not matter to anybody.
//!
//! The texts themselves can be had, too: each kernel by itself in a file of a folder, whose name is the text's checksum.

use super::{COMPILER_OPTIONS, CudaKernel, Nvrtc, module, program};
use crate::CodegenError;
use lazulite_ir::Plan;
use lazulite_runtime::checksum;
use lazulite_runtime::cuda::{CudaDevice, CudaError, DeviceError, DeviceLaunch, DeviceProgram};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What files of the cache begin with; the number is that of their format.
const MAGIC: &[u8; 8] = b"LZCUBIN1";

/// Compiles for devices.
#[derive(Debug)]
pub struct CudaCompiler {
    nvrtc: Nvrtc,
    /// The folder of the cache.
    cache: Option<PathBuf>,
    /// The folder of texts.
    texts: Option<PathBuf>,
    compiled: AtomicU64,
}

impl CudaCompiler {
    /// A compiler that keeps what it makes in the folder `cache`, if there is one.
    pub fn new(nvrtc: Nvrtc, cache: Option<PathBuf>) -> CudaCompiler {
        CudaCompiler {
            nvrtc,
            cache,
            texts: None,
            compiled: AtomicU64::new(0),
        }
    }

    /// The same compiler, which also writes the text of every kernel into the folder `texts`, if there is one.
    #[must_use]
    pub fn with_texts(self, texts: Option<PathBuf>) -> CudaCompiler {
        CudaCompiler { texts, ..self }
    }

    /// The compiler behind it.
    pub fn nvrtc(&self) -> &Nvrtc {
        &self.nvrtc
    }

    /// How many texts were compiled, rather than found.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    /// Machine code of a text for an architecture.
    ///
    /// # Errors
    /// When the text is refused, or the compiler fails.
    pub fn code(&self, source: &str, architecture: u32) -> Result<Vec<u8>, CudaError> {
        let (major, minor) = self.nvrtc.version();
        let options = COMPILER_OPTIONS.join(" ");
        let key = format!("nvrtc {major}.{minor} sm_{architecture} {options}\n{source}");
        let file = self.cache.as_ref().map(|folder| {
            let name = checksum(key.as_bytes());
            folder.join(format!("{name:016x}-sm_{architecture}.cubin"))
        });
        if let Some(code) = file.as_deref().and_then(|f| find(f, key.as_bytes())) {
            return Ok(code);
        }
        let code = self.nvrtc.compile(source, architecture)?.code;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        if let Some(file) = &file {
            // Without the file it will be compiled again.
            let _ = keep(file, key.as_bytes(), &code);
        }
        Ok(code)
    }

    /// A plan as a program on a device.
    ///
    /// # Errors
    /// When the plan is malformed or asks for what cannot be compiled, when the compiler or the device fails, or texts
    /// are asked for and cannot be written.
    pub fn program(
        &self,
        plan: &Plan,
        device: &Arc<CudaDevice>,
    ) -> Result<DeviceProgram, CodegenError> {
        let made = program(plan, "")?;
        if let Some(folder) = &self.texts {
            { made.kernels.iter() }
                .try_for_each(|kernel| write_text(folder, kernel))
                .map_err(|e| CodegenError::Backend(format!("{}: {e}", folder.display())))?;
        }
        let code = self
            .code(&made.source(), device.architecture())
            .map_err(DeviceError::from)?;
        let module = device.load(&code).map_err(DeviceError::from)?;
        let launches = made.kernels.iter().map(launches).collect();
        // SAFETY: the module was compiled from the functions that the launches describe, and these from kernels
        // that touch what the image says.
        Ok(unsafe { DeviceProgram::new(made.image, module, launches, made.hosts)? })
    }
}

/// What the runtime launches for a kernel.
fn launches(kernel: &CudaKernel) -> Vec<DeviceLaunch> {
    let launch = |l: &super::Launch| DeviceLaunch {
        name: l.name.clone(),
        buffers: l.buffers.clone(),
        sizes: l.sizes.len(),
        threads: l.threads,
    };
    kernel.launches.iter().map(launch).collect()
}

/// The code in a file of the cache, if it is whole and of this key.
fn find(file: &Path, key: &[u8]) -> Option<Vec<u8>> {
    let bytes = std::fs::read(file).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    if checksum(rest) != u64::from_le_bytes(*sum) {
        return None;
    }
    let (len, rest) = rest.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let (found, code) = rest.split_at_checked(len)?;
    (found == key).then(|| code.to_vec())
}

/// Writes a file of the cache.
fn keep(file: &Path, key: &[u8], code: &[u8]) -> std::io::Result<()> {
    let mut rest = (key.len() as u64).to_le_bytes().to_vec();
    rest.extend_from_slice(key);
    rest.extend_from_slice(code);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&checksum(&rest).to_le_bytes());
    bytes.extend_from_slice(&rest);
    write_whole(file, &bytes)
}

/// Writes the text of a kernel, ready to be compiled, unless it is there: kernels that differ in their names alone are one.
fn write_text(folder: &Path, kernel: &CudaKernel) -> std::io::Result<()> {
    let mut kernel = kernel.clone();
    for (i, launch) in kernel.launches.iter().enumerate() {
        let (name, plain) = (format!(" {}(", launch.name), format!(" kernel{i}("));
        kernel.text = kernel.text.replace(&name, &plain);
    }
    let text = module([&kernel]);
    let file = folder.join(format!("{:016x}.cu", checksum(text.as_bytes())));
    match file.exists() {
        true => Ok(()),
        false => write_whole(&file, text.as_bytes()),
    }
}

/// Writes a file as a whole: whoever reads at the same time finds all of it or nothing.
fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let own = file.with_extension(format!("{}-{number}", std::process::id()));
    std::fs::write(&own, bytes)?;
    std::fs::rename(&own, file)
}
