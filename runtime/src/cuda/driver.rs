//! The driver's functions: a table filled from `libcuda` at run time.

use super::{CudaError, CudaLibrary, Wanted};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::Arc;

const DRIVER: Wanted = Wanted {
    name: "the CUDA driver library",
    files: &["libcuda.so.1", "libcuda.so"],
    hint: "install an NVIDIA driver of version 525 or newer (in containers: run with the NVIDIA runtime)",
};

/// The driver interface that is needed: CUDA 12.0.
const OLDEST: c_int = 12_000;

pub(super) type Code = c_int;
pub(super) type Pointer = u64;
pub(super) type Handle = *mut c_void;

/// Results that mean something of their own.
const OUT_OF_MEMORY: Code = 2;
const NO_DEVICE: Code = 100;
const ILLEGAL_ADDRESS: Code = 700;

/// A table of functions, and how to fill it.
macro_rules! functions {
    ($($field:ident = $symbol:literal ($($arg:ty),*);)*) => {
        /// The functions.
        pub(super) struct Functions {
            $(pub $field: unsafe extern "C" fn($($arg),*) -> Code,)*
        }

        impl Functions {
            fn load(library: &CudaLibrary) -> Result<Functions, CudaError> {
                Ok(Functions {
                    // SAFETY: the types are those of the driver's header, which never change for a symbol.
                    $($field: unsafe { library.function($symbol)? },)*
                })
            }
        }
    };
}

functions! {
    init = "cuInit" (c_uint);
    version = "cuDriverGetVersion" (*mut c_int);
    device_count = "cuDeviceGetCount" (*mut c_int);
    device = "cuDeviceGet" (*mut c_int, c_int);
    device_name = "cuDeviceGetName" (*mut c_char, c_int, c_int);
    device_attribute = "cuDeviceGetAttribute" (*mut c_int, c_int, c_int);
    retain_context = "cuDevicePrimaryCtxRetain" (*mut Handle, c_int);
    release_context = "cuDevicePrimaryCtxRelease_v2" (c_int);
    set_context = "cuCtxSetCurrent" (Handle);
    default_pool = "cuDeviceGetDefaultMemPool" (*mut Handle, c_int);
    set_pool = "cuMemPoolSetAttribute" (Handle, c_int, *mut c_void);
    memory_info = "cuMemGetInfo_v2" (*mut usize, *mut usize);
    create_stream = "cuStreamCreate" (*mut Handle, c_uint);
    destroy_stream = "cuStreamDestroy_v2" (Handle);
    synchronize = "cuStreamSynchronize" (Handle);
    allocate = "cuMemAllocAsync" (*mut Pointer, usize, Handle);
    free = "cuMemFreeAsync" (Pointer, Handle);
    upload = "cuMemcpyHtoDAsync_v2" (Pointer, *const c_void, usize, Handle);
    download = "cuMemcpyDtoHAsync_v2" (*mut c_void, Pointer, usize, Handle);
    copy = "cuMemcpyDtoDAsync_v2" (Pointer, Pointer, usize, Handle);
    load_module = "cuModuleLoadData" (*mut Handle, *const c_void);
    unload_module = "cuModuleUnload" (Handle);
    function = "cuModuleGetFunction" (*mut Handle, Handle, *const c_char);
    launch = "cuLaunchKernel" (
        Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void,
        *mut *mut c_void
    );
    error_string = "cuGetErrorString" (Code, *mut *const c_char);
}

/// The driver, initialised.
pub struct Driver {
    pub(super) functions: Functions,
    version: (u32, u32),
    devices: u32,
    file: String,
    /// Holds the functions.
    _library: CudaLibrary,
}

impl Driver {
    /// Loads the driver from `path` or, without one, from where the system finds it, and initialises it.
    ///
    /// # Errors
    /// When it is missing, too old, or has no device.
    pub fn open(path: Option<&Path>) -> Result<Arc<Driver>, CudaError> {
        let library = CudaLibrary::open(DRIVER, path)?;
        let functions = Functions::load(&library)?;
        let mut driver = Driver {
            functions,
            version: (0, 0),
            devices: 0,
            file: library.file().to_owned(),
            _library: library,
        };
        let f = &driver.functions;
        let (mut version, mut count) = (0, 0);
        // SAFETY: the pointers are to live numbers.
        unsafe {
            driver.check((f.init)(0), "cuInit")?;
            driver.check((f.version)(&raw mut version), "cuDriverGetVersion")?;
            driver.check((f.device_count)(&raw mut count), "cuDeviceGetCount")?;
        }
        if version < OLDEST {
            let reason = format!(
                "the driver is for CUDA {}.{}, needed is {}.{}; {}",
                version / 1000,
                version % 1000 / 10,
                OLDEST / 1000,
                OLDEST % 1000 / 10,
                DRIVER.hint
            );
            let (call, code) = ("cuDriverGetVersion", version);
            return Err(CudaError::Driver { call, code, reason });
        }
        if count < 1 {
            return Err(CudaError::NoDevice);
        }
        driver.version = (version as u32 / 1000, version as u32 % 1000 / 10);
        driver.devices = count as u32;
        Ok(Arc::new(driver))
    }

    /// The newest CUDA that the driver serves: major and minor version.
    pub fn version(&self) -> (u32, u32) {
        self.version
    }

    /// How many devices there are; at least one.
    pub fn devices(&self) -> u32 {
        self.devices
    }

    /// The name under which the library was found.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// A result code as an error.
    pub(super) fn check(&self, code: Code, call: &'static str) -> Result<(), CudaError> {
        match code {
            0 => Ok(()),
            OUT_OF_MEMORY => Err(CudaError::OutOfMemory { bytes: 0 }),
            NO_DEVICE => Err(CudaError::NoDevice),
            ILLEGAL_ADDRESS => Err(CudaError::IllegalAddress),
            code => Err(CudaError::Driver {
                call,
                code,
                reason: self.reason(code),
            }),
        }
    }

    /// The driver's word for a result code.
    pub(super) fn reason(&self, code: Code) -> String {
        let mut text = std::ptr::null();
        // SAFETY: the pointer is live; the driver gives a constant string or leaves it alone.
        unsafe {
            let known = (self.functions.error_string)(code, &raw mut text);
            if known != 0 || text.is_null() {
                return format!("unknown error {code}");
            }
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("file", &self.file)
            .field("version", &self.version)
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}
