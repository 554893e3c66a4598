//! Machine code: position-independent artifacts, and the executable memory they are copied into.
//!
//! Code that was compiled a moment ago and code that was read from a file take this same way, so what
//! is inspected is what runs. An artifact refers to its own constants by distance, and to the world only
//! through a small table of [`Helper`]s whose addresses are written among its constants. Memory is
//! writable first and executable afterwards, never both.

use crate::KernelFn;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ptr::NonNull;

/// Artifacts and their constants begin at multiples of this.
pub const CODE_ALIGN: usize = 64;

/// Functions that code may call: those a machine without the instruction needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Helper {
    /// `extern "C" fn(f64, f64, f64) -> f64`: the product of the first two plus the third,
    /// rounded once.
    FmaF64,
}

/// Correctly rounded multiply-add in software, for machines without the instruction.
extern "C" fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

impl Helper {
    fn address(self) -> usize {
        match self {
            Helper::FmaF64 => fma_f64 as *const () as usize,
        }
    }
}

/// A place that must hold an address, 8 bytes long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct HelperAddress {
    /// Byte offset in [`Artifact::bytes`].
    pub offset: u32,
    /// Whose address.
    pub helper: Helper,
}

/// One function of machine code, signature [`KernelFn`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Artifact {
    /// Instructions, then constants at a multiple of [`CODE_ALIGN`].
    pub bytes: Vec<u8>,
    /// Where the constants begin.
    pub constants: u32,
    /// Addresses among the constants.
    pub helpers: Vec<HelperAddress>,
}

impl Artifact {
    /// What is to be loaded.
    pub fn as_code(&self) -> CodeBytes<'_> {
        CodeBytes {
            bytes: &self.bytes,
            helpers: &self.helpers,
        }
    }
}

/// Why code cannot be loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodeError {
    /// The system gives no executable memory.
    Memory(String),
    /// The processor lacks instructions that code needs.
    Processor(String),
    /// An address lies outside of its artifact.
    Address,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodeError::Memory(why) => write!(f, "no executable memory: {why}"),
            CodeError::Processor(what) => write!(f, "the processor does not suit: {what}"),
            CodeError::Address => f.write_str("an address lies outside of its code"),
        }
    }
}

impl std::error::Error for CodeError {}

/// Generated code of every level relies on x86-64-v2.
///
/// # Errors
/// When this processor is older.
pub fn require_baseline() -> Result<(), CodeError> {
    #[cfg(target_arch = "x86_64")]
    if !is_x86_feature_detected!("sse4.2") || !is_x86_feature_detected!("popcnt") {
        return Err(CodeError::Processor(
            "x86-64-v2 (SSE 4.2) is the least that generated code runs on".into(),
        ));
    }
    Ok(())
}

/// Executable memory, given back when dropped.
pub struct CodeMemory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: nobody writes to the memory after it was made.
unsafe impl Send for CodeMemory {}
// SAFETY: as above.
unsafe impl Sync for CodeMemory {}

/// Code to be copied: bytes, and the addresses to be written into the copy.
#[derive(Clone, Copy, Debug)]
pub struct CodeBytes<'a> {
    /// As [`Artifact::bytes`].
    pub bytes: &'a [u8],
    /// As [`Artifact::helpers`].
    pub helpers: &'a [HelperAddress],
}

impl CodeMemory {
    /// Copies all `code` into new executable memory, one piece behind the other; gives where each begins.
    ///
    /// # Errors
    /// When there is no memory, or an address lies outside of its piece.
    pub fn load(code: &[CodeBytes<'_>]) -> Result<(CodeMemory, Vec<usize>), CodeError> {
        let mut bytes = Vec::new();
        let mut offsets = Vec::with_capacity(code.len());
        for piece in code {
            // What lies between functions stops whoever strays there.
            bytes.resize(bytes.len().next_multiple_of(CODE_ALIGN), 0xcc);
            let start = bytes.len();
            offsets.push(start);
            bytes.extend_from_slice(piece.bytes);
            for place in piece.helpers {
                let at = start + place.offset as usize;
                let slot = bytes.get_mut(at..at + 8).ok_or(CodeError::Address)?;
                slot.copy_from_slice(&(place.helper.address() as u64).to_le_bytes());
            }
        }
        let memory = system::executable(&bytes)?;
        Ok((memory, offsets))
    }

    /// Bytes of code.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no code.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The function at an offset that [`CodeMemory::load`] gave.
    ///
    /// # Safety
    /// A function with the signature [`KernelFn`] begins there, and is called only while this memory
    /// lives.
    pub unsafe fn entry(&self, offset: usize) -> KernelFn {
        debug_assert!(offset < self.len);
        // SAFETY: the caller's promise.
        unsafe { std::mem::transmute::<*const u8, KernelFn>(self.base.as_ptr().add(offset)) }
    }
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: made by `executable` with this length, and dropped once.
            unsafe { system::release(self.base, self.len) };
        }
    }
}

#[cfg(all(unix, target_arch = "x86_64", not(miri)))]
mod system {
    use super::{CodeError, CodeMemory};
    use std::io::Error;
    use std::ptr::{NonNull, null_mut};

    /// Memory that holds `bytes` and can be executed.
    pub fn executable(bytes: &[u8]) -> Result<CodeMemory, CodeError> {
        let (base, len) = (NonNull::dangling(), bytes.len());
        if len == 0 {
            return Ok(CodeMemory { base, len });
        }
        let failed = || CodeError::Memory(Error::last_os_error().to_string());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping touches nothing that exists.
        let base = unsafe { libc::mmap(null_mut(), len, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(failed());
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(failed)?;
        // From here on the mapping is given back by `drop`.
        let memory = CodeMemory { base, len };
        // SAFETY: the mapping is new, writable and as long as `bytes`; what it protects lies in it alone.
        let protected = unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), base.as_ptr(), len);
            libc::mprotect(base.as_ptr().cast(), len, libc::PROT_READ | libc::PROT_EXEC)
        };
        match protected {
            0 => Ok(memory),
            _ => Err(failed()),
        }
    }

    /// # Safety
    /// The memory was made by [`executable`] with this length and is not used any more.
    pub unsafe fn release(base: NonNull<u8>, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(base.as_ptr().cast(), len) };
    }
}

/// Where there is no code generator, there is no code to be loaded.
#[cfg(not(all(unix, target_arch = "x86_64", not(miri))))]
mod system {
    use super::{CodeError, CodeMemory};
    use std::ptr::NonNull;

    pub fn executable(bytes: &[u8]) -> Result<CodeMemory, CodeError> {
        match bytes.len() {
            0 => Ok(CodeMemory {
                base: NonNull::dangling(),
                len: 0,
            }),
            _ => Err(CodeError::Memory("unknown on this system".into())),
        }
    }

    /// # Safety
    /// None: there is nothing to give back.
    pub unsafe fn release(_base: NonNull<u8>, _len: usize) {}
}

#[cfg(test)]
#[cfg(all(unix, target_arch = "x86_64", not(miri)))]
mod tests {
    use super::*;
    use crate::Status;

    /// `mov dword [rdx], imm32; ret`, writing to the bounds.
    fn writes(value: u8) -> Artifact {
        let bytes = vec![0xc7, 0x02, value, 0, 0, 0, 0xc3];
        Artifact {
            bytes,
            ..Artifact::default()
        }
    }

    #[test]
    fn several_functions_share_memory() {
        let artifacts = [writes(3), writes(5)];
        let code: Vec<CodeBytes<'_>> = artifacts.iter().map(Artifact::as_code).collect();
        let (memory, offsets) = CodeMemory::load(&code).unwrap();
        assert_eq!(offsets, [0, CODE_ALIGN]);
        for (offset, expected) in offsets.into_iter().zip([3, 5]) {
            let mut bounds = [0i64];
            let status = Status::default();
            // SAFETY: the function writes one number to the bounds.
            unsafe {
                let entry = memory.entry(offset);
                let bounds = bounds.as_mut_ptr();
                entry(std::ptr::null(), std::ptr::null(), bounds, &status);
            }
            assert_eq!(bounds, [expected]);
        }
    }

    #[test]
    fn addresses_of_helpers_are_written_into_the_code_or_refused() {
        let at = |offset| Artifact {
            bytes: vec![0; 24],
            constants: 0,
            helpers: vec![HelperAddress {
                offset,
                helper: Helper::FmaF64,
            }],
        };
        let artifact = at(16);
        let (memory, _) = CodeMemory::load(&[artifact.as_code()]).unwrap();
        // SAFETY: the memory has 24 readable bytes; at 16 the helper's address was written.
        let fma = unsafe {
            let address = memory.base.as_ptr().add(16).cast::<usize>().read();
            std::mem::transmute::<usize, extern "C" fn(f64, f64, f64) -> f64>(address)
        };
        assert_eq!(fma(3.0, 5.0, 1.0), 16.0);
        for offset in [17, u32::MAX] {
            let error = CodeMemory::load(&[at(offset).as_code()]).err();
            assert_eq!(error, Some(CodeError::Address));
        }
    }

    #[test]
    fn no_code_needs_no_memory() {
        let (memory, offsets) = CodeMemory::load(&[]).unwrap();
        assert!(memory.is_empty() && offsets.is_empty());
    }
}
