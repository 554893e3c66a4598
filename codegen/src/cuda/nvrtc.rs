//! NVRTC, NVIDIA's compiler as a library: from the text of kernels to machine code for one architecture.

use super::COMPILER_OPTIONS;
use super::registers::{Usage, usages, with_more_registers};
use lazulite_runtime::cuda::{CudaError, CudaLibrary, Wanted};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;

const NVRTC: Wanted = Wanted {
    name: "NVRTC, the CUDA compiler library,",
    files: &["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"],
    hint: "install the CUDA toolkit 12 or newer, or `pip install nvidia-cuda-nvrtc` and give the path of libnvrtc.so",
};

type Code = c_int;
type Program = *mut c_void;
type GetSize = unsafe extern "C" fn(Program, *mut usize) -> Code;
type GetBytes = unsafe extern "C" fn(Program, *mut c_char) -> Code;
type Create = unsafe extern "C" fn(
    *mut Program,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
    *const *const c_char,
) -> Code;

/// The compiler.
#[derive(Debug)]
pub struct Nvrtc {
    create: Create,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> Code,
    destroy: unsafe extern "C" fn(*mut Program) -> Code,
    log_size: GetSize,
    log: GetBytes,
    code_size: GetSize,
    code: GetBytes,
    ptx_size: GetSize,
    ptx: GetBytes,
    error: unsafe extern "C" fn(Code) -> *const c_char,
    version: (u32, u32),
    /// Hold the functions, and what the library looks for by itself.
    _libraries: (Option<CudaLibrary>, CudaLibrary),
}

/// A compiled program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compiled {
    /// Machine code: a CUBIN.
    pub code: Vec<u8>,
    /// The same as PTX, for reading.
    pub ptx: String,
    /// What each function takes of a multiprocessor.
    pub usages: BTreeMap<String, Usage>,
}

impl Nvrtc {
    /// Loads the library from `path` or, without one, from where the system finds it.
    ///
    /// # Errors
    /// When it is missing or too old.
    pub fn open(path: Option<&Path>) -> Result<Nvrtc, CudaError> {
        let builtins = path.and_then(builtins_beside);
        let library = CudaLibrary::open(NVRTC, path)?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the types are those of the library's header, the same since version 11.
        let nvrtc = unsafe {
            let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> Code =
                library.function("nvrtcVersion")?;
            version(&raw mut major, &raw mut minor);
            Nvrtc {
                create: library.function("nvrtcCreateProgram")?,
                compile: library.function("nvrtcCompileProgram")?,
                destroy: library.function("nvrtcDestroyProgram")?,
                log_size: library.function("nvrtcGetProgramLogSize")?,
                log: library.function("nvrtcGetProgramLog")?,
                code_size: library.function("nvrtcGetCUBINSize")?,
                code: library.function("nvrtcGetCUBIN")?,
                ptx_size: library.function("nvrtcGetPTXSize")?,
                ptx: library.function("nvrtcGetPTX")?,
                error: library.function("nvrtcGetErrorString")?,
                version: (major as u32, minor as u32),
                _libraries: (builtins, library),
            }
        };
        Ok(nvrtc)
    }

    /// Major and minor version.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// Compiles a text for an architecture (80 for compute capability 8.0). Functions that would spill get more
    /// registers than their heads leave them.
    ///
    /// # Errors
    /// When the text is refused, or the compiler fails.
    pub fn compile(&self, source: &str, architecture: u32) -> Result<Compiled, CudaError> {
        let mut compiled = self.compile_as_written(source, architecture)?;
        let mut text = source.to_owned();
        while let Some(roomier) = with_more_registers(&text, &compiled.usages) {
            compiled = self.compile_as_written(&roomier, architecture)?;
            text = roomier;
        }
        Ok(compiled)
    }

    fn compile_as_written(&self, source: &str, architecture: u32) -> Result<Compiled, CudaError> {
        let unfit = |_| CudaError::Compile {
            log: "the text holds a zero byte".into(),
        };
        let text = CString::new(source).map_err(unfit)?;
        let mut run = Run {
            nvrtc: self,
            program: null_mut(),
        };
        // SAFETY: all strings end with a zero byte and outlive the call.
        let code = unsafe {
            let name = c"kernels.cu".as_ptr();
            (self.create)(
                &raw mut run.program,
                text.as_ptr(),
                name,
                0,
                std::ptr::null(),
                std::ptr::null(),
            )
        };
        self.check(code, "nvrtcCreateProgram")?;
        let architecture = format!("--gpu-architecture=sm_{architecture}");
        let all = COMPILER_OPTIONS.into_iter().chain([architecture.as_str()]);
        let all = all.map(CString::new);
        let all: Vec<CString> = all.collect::<Result<_, _>>().map_err(unfit)?;
        let pointers: Vec<*const c_char> = all.iter().map(|o| o.as_ptr()).collect();
        // SAFETY: the program exists, and there are as many options as stated.
        let code =
            unsafe { (self.compile)(run.program, pointers.len() as c_int, pointers.as_ptr()) };
        let log = run.text((self.log_size, self.log), "nvrtcGetProgramLog")?;
        const COMPILATION_FAILED: Code = 6;
        if code == COMPILATION_FAILED {
            return Err(CudaError::Compile { log });
        }
        self.check(code, "nvrtcCompileProgram")?;
        Ok(Compiled {
            code: run.bytes((self.code_size, self.code), "nvrtcGetCUBIN")?,
            ptx: run.text((self.ptx_size, self.ptx), "nvrtcGetPTX")?,
            usages: usages(&log),
        })
    }

    fn check(&self, code: Code, call: &'static str) -> Result<(), CudaError> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library gives a constant string for every code.
        let reason = unsafe { CStr::from_ptr((self.error)(code)) };
        let reason = reason.to_string_lossy().into_owned();
        Err(CudaError::Compiler { call, reason })
    }
}

/// The second half of the library. It is looked for by name only, and so would not be found beside a library that
/// lies where the system does not look; one that is loaded already is.
fn builtins_beside(library: &Path) -> Option<CudaLibrary> {
    let files = std::fs::read_dir(library.parent()?).ok()?;
    let is_builtins = |name: &str| name.starts_with("libnvrtc-builtins.so");
    let mut files = files.flatten().map(|f| f.path());
    let file = files.find(|f| {
        f.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(is_builtins)
    })?;
    // Without it, the library says itself what it lacks.
    CudaLibrary::open(NVRTC, Some(&file)).ok()
}

/// A program under way.
struct Run<'a> {
    nvrtc: &'a Nvrtc,
    program: Program,
}

impl Run<'_> {
    /// A result of the program, by the functions for its size and its bytes.
    fn bytes(
        &self,
        (size, get): (GetSize, GetBytes),
        call: &'static str,
    ) -> Result<Vec<u8>, CudaError> {
        let mut len = 0;
        // SAFETY: the program exists; the second call writes as many bytes as the first has told.
        unsafe {
            self.nvrtc.check(size(self.program, &raw mut len), call)?;
            let mut bytes = vec![0u8; len];
            self.nvrtc
                .check(get(self.program, bytes.as_mut_ptr().cast()), call)?;
            Ok(bytes)
        }
    }
}

impl Run<'_> {
    /// A result that is text and ends with a zero byte.
    fn text(
        &self,
        functions: (GetSize, GetBytes),
        call: &'static str,
    ) -> Result<String, CudaError> {
        let bytes = self.bytes(functions, call)?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_end_matches(['\0', '\n']).to_owned())
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: the program exists and is not used again.
            unsafe { (self.nvrtc.destroy)(&raw mut self.program) };
        }
    }
}
