//! A device: its memory, its modules, and the one stream on which everything happens in order.
//!
//! Nothing waits but reading: uploads, launches, copies, and giving memory back are queued. Since all use the same
//! stream, memory that is given back is taken again only by what is queued later.

use super::CudaError;
use super::driver::{Driver, Handle, Pointer};
use std::ffi::{CString, c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Attributes of a device, as the driver numbers them.
const COMPUTE_MAJOR: i32 = 75;
const COMPUTE_MINOR: i32 = 76;
const MEMORY_POOLS: i32 = 115;
/// The attribute of a pool that says how much of what is given back it keeps.
const RELEASE_THRESHOLD: i32 = 4;
/// A stream that does not wait for the default one.
const NON_BLOCKING: u32 = 1;

/// A GPU with a stream.
pub struct CudaDevice {
    driver: Arc<Driver>,
    number: u32,
    handle: i32,
    context: Handle,
    stream: Handle,
    name: String,
    architecture: u32,
    used: AtomicUsize,
    peak: AtomicUsize,
}

// SAFETY: contexts and streams may be used by any thread; every call makes the context current first.
unsafe impl Send for CudaDevice {}
// SAFETY: as above.
unsafe impl Sync for CudaDevice {}

/// What memory of a device is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryUse {
    /// Bytes that this process holds.
    pub used: usize,
    /// The most that it has held at a time.
    pub peak: usize,
    /// Bytes that the device has left.
    pub free: usize,
    /// Bytes that the device has.
    pub total: usize,
}

impl CudaDevice {
    /// Device number `number` of the driver.
    ///
    /// # Errors
    /// When there is no such device, or it cannot be used.
    pub fn new(driver: &Arc<Driver>, number: u32) -> Result<Arc<CudaDevice>, CudaError> {
        let count = driver.devices();
        if number >= count {
            return Err(CudaError::DeviceNumber {
                device: number,
                count,
            });
        }
        let f = &driver.functions;
        let (mut handle, mut context) = (0, null_mut());
        // SAFETY: the pointers are to live places.
        unsafe {
            driver.check((f.device)(&raw mut handle, number as i32), "cuDeviceGet")?;
            let retained = (f.retain_context)(&raw mut context, handle);
            driver.check(retained, "cuDevicePrimaryCtxRetain")?;
        }
        // From here on, dropping gives the context back.
        let mut device = CudaDevice {
            driver: driver.clone(),
            number,
            handle,
            context,
            stream: null_mut(),
            name: String::new(),
            architecture: 0,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        };
        device.prepare()?;
        Ok(Arc::new(device))
    }

    fn prepare(&mut self) -> Result<(), CudaError> {
        self.enter()?;
        let attribute = |number| {
            let mut value = 0;
            // SAFETY: the pointer is to a live number.
            let code = unsafe {
                (self.driver.functions.device_attribute)(&raw mut value, number, self.handle)
            };
            self.driver.check(code, "cuDeviceGetAttribute")?;
            Ok(value)
        };
        self.architecture = (attribute(COMPUTE_MAJOR)? * 10 + attribute(COMPUTE_MINOR)?) as u32;
        if attribute(MEMORY_POOLS)? == 0 {
            return Err(CudaError::Driver {
                call: "cuDeviceGetAttribute",
                code: 0,
                reason: "the device has no memory pools, which are needed".into(),
            });
        }
        let mut name = [0 as c_char; 128];
        let f = &self.driver.functions;
        // SAFETY: there are as many bytes as stated, and the last one stays 0; the other pointers are to live places.
        unsafe {
            let code = (f.device_name)(name.as_mut_ptr(), name.len() as i32 - 1, self.handle);
            self.driver.check(code, "cuDeviceGetName")?;
            let code = (f.create_stream)(&raw mut self.stream, NON_BLOCKING);
            self.driver.check(code, "cuStreamCreate")?;
            // Arenas come again with every run; by itself the pool would give them back whenever the host waits.
            let (mut pool, mut all) = (null_mut(), u64::MAX);
            let code = (f.default_pool)(&raw mut pool, self.handle);
            self.driver.check(code, "cuDeviceGetDefaultMemPool")?;
            let code = (f.set_pool)(pool, RELEASE_THRESHOLD, (&raw mut all).cast());
            self.driver.check(code, "cuMemPoolSetAttribute")?;
        }
        let name = name.iter().take_while(|c| **c != 0).map(|c| *c as u8);
        self.name = String::from_utf8_lossy(&name.collect::<Vec<u8>>()).into_owned();
        Ok(())
    }

    /// Makes the device that of this thread.
    fn enter(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained.
        let code = unsafe { (self.driver.functions.set_context)(self.context) };
        self.driver.check(code, "cuCtxSetCurrent")
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its compute capability: 90 for 9.0.
    pub fn architecture(&self) -> u32 {
        self.architecture
    }

    /// Its driver.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// What memory is in use.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn memory(&self) -> Result<MemoryUse, CudaError> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: the pointers are to live numbers.
        let code = unsafe { (self.driver.functions.memory_info)(&raw mut free, &raw mut total) };
        self.driver.check(code, "cuMemGetInfo")?;
        Ok(MemoryUse {
            used: self.used.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
            free,
            total,
        })
    }

    /// Waits until all that was queued is done.
    ///
    /// # Errors
    /// When something of it has failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.enter()?;
        // SAFETY: the stream exists.
        let code = unsafe { (self.driver.functions.synchronize)(self.stream) };
        self.driver.check(code, "cuStreamSynchronize")
    }

    /// Memory for `bytes` bytes, whose contents are whatever was there.
    ///
    /// # Errors
    /// When there is none left.
    pub fn allocate(self: &Arc<Self>, bytes: usize) -> Result<DeviceBuffer, CudaError> {
        let mut pointer = 0;
        if bytes > 0 {
            self.enter()?;
            // SAFETY: the pointer is to a live place, the stream exists.
            let code =
                unsafe { (self.driver.functions.allocate)(&raw mut pointer, bytes, self.stream) };
            self.driver
                .check(code, "cuMemAllocAsync")
                .map_err(|e| match e {
                    CudaError::OutOfMemory { .. } => CudaError::OutOfMemory { bytes },
                    other => other,
                })?;
        }
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(used, Ordering::Relaxed);
        Ok(DeviceBuffer {
            device: self.clone(),
            pointer,
            bytes,
        })
    }

    /// Memory that holds `bytes`.
    ///
    /// # Errors
    /// When there is no memory left, or the copy fails.
    pub fn upload(self: &Arc<Self>, bytes: &[u8]) -> Result<DeviceBuffer, CudaError> {
        let buffer = self.allocate(bytes.len())?;
        // SAFETY: the buffer is as long.
        unsafe { self.write(buffer.pointer, bytes)? };
        Ok(buffer)
    }

    /// Queues a copy to the device; `bytes` may change afterwards.
    ///
    /// # Safety
    /// There is memory for so many bytes.
    pub(super) unsafe fn write(&self, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller's promise. From memory that is not page-locked the driver takes the bytes before it
        // comes back.
        let code = unsafe {
            (self.driver.functions.upload)(to, bytes.as_ptr().cast(), bytes.len(), self.stream)
        };
        self.driver.check(code, "cuMemcpyHtoDAsync")
    }

    /// Waits for what was queued and reads.
    ///
    /// # Safety
    /// There are so many bytes.
    pub(super) unsafe fn read(&self, from: Pointer, bytes: &mut [u8]) -> Result<(), CudaError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enter()?;
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: the caller's promise, and nothing else happens before the copy is done.
        let code = unsafe { (self.driver.functions.download)(to, from, bytes.len(), self.stream) };
        self.driver.check(code, "cuMemcpyDtoHAsync")?;
        self.synchronize()
    }

    /// Queues a copy within the device.
    ///
    /// # Safety
    /// There are so many bytes at both places, and they do not overlap.
    pub(super) unsafe fn copy(
        &self,
        from: Pointer,
        to: Pointer,
        bytes: usize,
    ) -> Result<(), CudaError> {
        if bytes == 0 || from == to {
            return Ok(());
        }
        self.enter()?;
        // SAFETY: the caller's promise.
        let code = unsafe { (self.driver.functions.copy)(to, from, bytes, self.stream) };
        self.driver.check(code, "cuMemcpyDtoDAsync")
    }

    /// Loads machine code for this device.
    ///
    /// # Errors
    /// When the driver refuses it.
    pub fn load(self: &Arc<Self>, code: &[u8]) -> Result<Module, CudaError> {
        self.enter()?;
        let mut handle = null_mut();
        // SAFETY: the code is a whole file with its own length in it.
        let result =
            unsafe { (self.driver.functions.load_module)(&raw mut handle, code.as_ptr().cast()) };
        self.driver.check(result, "cuModuleLoadData")?;
        Ok(Module {
            device: self.clone(),
            handle,
        })
    }
}

impl Drop for CudaDevice {
    fn drop(&mut self) {
        let f = &self.driver.functions;
        // SAFETY: buffers and modules keep the device, so nothing uses it any more. Of failures nobody is left to hear.
        unsafe {
            if !self.stream.is_null() {
                let _ = self.enter();
                (f.destroy_stream)(self.stream);
            }
            (f.release_context)(self.handle);
        }
    }
}

impl std::fmt::Debug for CudaDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cuda:{} ({})", self.number, self.name)
    }
}

/// Memory of a device.
#[derive(Debug)]
pub struct DeviceBuffer {
    device: Arc<CudaDevice>,
    pointer: Pointer,
    bytes: usize,
}

impl DeviceBuffer {
    /// Bytes that it has.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whose memory it is.
    pub fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    pub(super) fn pointer(&self) -> Pointer {
        self.pointer
    }

    /// Queues a copy of the first `bytes` bytes into another buffer.
    ///
    /// # Errors
    /// When one of them is shorter, they are on different devices, or the driver fails.
    pub fn copy_to(&self, to: &DeviceBuffer, bytes: usize) -> Result<(), CudaError> {
        if bytes > self.bytes.min(to.bytes) || !Arc::ptr_eq(&self.device, &to.device) {
            return Err(CudaError::Driver {
                call: "copy",
                code: 0,
                reason: format!("{bytes} bytes of {} into {}", self.bytes, to.bytes),
            });
        }
        // SAFETY: both have as many bytes, and buffers do not overlap.
        unsafe { self.device.copy(self.pointer, to.pointer, bytes) }
    }

    /// Waits for what was queued and reads the first bytes.
    ///
    /// # Errors
    /// When `bytes` is longer than the buffer, or something that was queued has failed.
    pub fn read(&self, bytes: &mut [u8]) -> Result<(), CudaError> {
        if bytes.len() > self.bytes {
            return Err(CudaError::Driver {
                call: "read",
                code: 0,
                reason: format!("{} bytes of a buffer of {}", bytes.len(), self.bytes),
            });
        }
        // SAFETY: there are as many bytes.
        unsafe { self.device.read(self.pointer, bytes) }
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        self.device.used.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.bytes > 0 && self.device.enter().is_ok() {
            // SAFETY: the memory is this buffer's. What is queued still runs before it is given back.
            unsafe { (self.device.driver.functions.free)(self.pointer, self.device.stream) };
        }
    }
}

/// Machine code on a device.
#[derive(Debug)]
pub struct Module {
    device: Arc<CudaDevice>,
    handle: Handle,
}

// SAFETY: modules may be used by any thread, like the device that they keep.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// A kernel of a module; of use only while the module lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function(Handle);

// SAFETY: functions are names of what is in a module.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}

impl Module {
    /// Whose it is.
    pub fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    /// The kernel of this name.
    pub(super) fn function(&self, name: &str) -> Result<Function, CudaError> {
        let driver = &self.device.driver;
        self.device.enter()?;
        let unfit = |_| CudaError::Launch {
            kernel: name.to_owned(),
            reason: "its name holds a zero byte".into(),
        };
        let text = CString::new(name).map_err(unfit)?;
        let mut function = null_mut();
        // SAFETY: the module is loaded, the name ends with a zero byte.
        let code =
            unsafe { (driver.functions.function)(&raw mut function, self.handle, text.as_ptr()) };
        driver.check(code, "cuModuleGetFunction")?;
        Ok(Function(function))
    }

    /// Queues a kernel whose parameters take eight bytes each.
    ///
    /// # Safety
    /// The function is of this module, takes these parameters, and touches no memory but what they allow it.
    pub(super) unsafe fn launch(
        &self,
        function: Function,
        name: &str,
        (blocks, threads): (u32, u32),
        parameters: &mut [u64],
    ) -> Result<(), CudaError> {
        self.device.enter()?;
        let mut pointers: Vec<*mut c_void> = parameters
            .iter_mut()
            .map(|p| std::ptr::from_mut(p).cast())
            .collect();
        let (driver, stream) = (&self.device.driver, self.device.stream);
        // SAFETY: the caller's promise; the driver copies the parameters before it comes back.
        let code = unsafe {
            (driver.functions.launch)(
                function.0,
                blocks,
                1,
                1,
                threads,
                1,
                1,
                0,
                stream,
                pointers.as_mut_ptr(),
                null_mut(),
            )
        };
        driver.check(code, "cuLaunchKernel").map_err(|e| match e {
            CudaError::Driver { reason, .. } => CudaError::Launch {
                kernel: name.to_owned(),
                reason,
            },
            other => other,
        })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.device.enter().is_ok() {
            // SAFETY: nobody has a function of it any more. What is queued runs first: unloading waits.
            unsafe { (self.device.driver.functions.unload_module)(self.handle) };
        }
    }
}
