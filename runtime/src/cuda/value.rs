//! Values on a device: shared memory of which the first so many bytes count.

use super::{CudaDevice, CudaError, DeviceBuffer, DeviceError};
use crate::{Buffer, RunError};
use std::sync::Arc;

/// A value on a device. Clones are handles to the same memory, which is written only by a program that was given the
/// last handle.
#[derive(Clone, Debug)]
pub struct DeviceValue {
    pub(super) memory: Arc<DeviceBuffer>,
    pub(super) bytes: usize,
}

impl DeviceValue {
    /// Queues a copy of `bytes` to the device.
    ///
    /// # Errors
    /// When there is no memory left, or the copy fails.
    pub fn upload(device: &Arc<CudaDevice>, bytes: &[u8]) -> Result<DeviceValue, CudaError> {
        Ok(DeviceValue {
            memory: Arc::new(device.upload(bytes)?),
            bytes: bytes.len(),
        })
    }

    /// Bytes that it has.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whose memory it lies in.
    pub fn device(&self) -> &Arc<CudaDevice> {
        self.memory.device()
    }

    /// Waits for what was queued and copies it to the host.
    ///
    /// # Errors
    /// When memory is short, or something that was queued has failed.
    pub fn read(&self) -> Result<Buffer, DeviceError> {
        let mut host = Buffer::zeroed(self.bytes).map_err(RunError::from)?;
        // The buffer is new, so this is its one handle.
        if let Some(bytes) = host.get_mut() {
            self.memory.read(bytes)?;
        }
        Ok(host)
    }
}

/// A parameter of a run on a device.
#[derive(Clone, Debug)]
pub struct DeviceInput {
    /// The value.
    pub value: DeviceValue,
    /// Whether a result may take over the memory.
    pub donate: bool,
}

impl DeviceInput {
    /// A value that stays the caller's.
    pub fn keep(value: DeviceValue) -> DeviceInput {
        DeviceInput {
            value,
            donate: false,
        }
    }
}
