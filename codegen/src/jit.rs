//! Machine code in executable memory of this process.

use crate::backend::{ALIGNMENT, Helper, MachineCode};
use crate::{CodegenError, cranelift};
use cranelift_codegen::ir::Signature;
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Linkage, Module, ModuleError, default_libcall_names};
use lazulite_runtime::KernelFn;
use std::sync::{Arc, Mutex, OnceLock};

/// Executable memory that holds one function, given back when dropped.
pub(crate) struct Region {
    /// Never used again but to free its memory; the mutex makes the region shareable.
    module: Mutex<Option<JITModule>>,
    bytes: usize,
}

impl Region {
    /// Size of code and constants.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let module = self.module.get_mut().unwrap_or_else(|e| e.into_inner());
        if let Some(module) = module.take() {
            // SAFETY: functions are only called through a `Function`, which keeps the region, so
            // none can be running or be called again.
            unsafe { module.free_memory() };
        }
    }
}

/// A function in executable memory.
#[derive(Clone)]
pub(crate) struct Function {
    pub entry: KernelFn,
    pub region: Arc<Region>,
}

/// What the module interface wants to know of the machine: its memory is all that is used of it.
fn module_isa() -> Result<OwnedTargetIsa, CodegenError> {
    static ISA: OnceLock<OwnedTargetIsa> = OnceLock::new();
    if let Some(isa) = ISA.get() {
        return Ok(isa.clone());
    }
    let isa = cranelift::isa(false)?;
    Ok(ISA.get_or_init(|| isa).clone())
}

/// Correctly rounded multiply-add in software, for machines without the instruction.
extern "C" fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
    a.mul_add(b, c)
}

fn helper_address(helper: Helper) -> usize {
    match helper {
        Helper::FmaF64 => fma_f64 as *const () as usize,
    }
}

/// Puts a function and its pool into executable memory.
pub(crate) fn link(code: &MachineCode) -> Result<Function, CodegenError> {
    let (mut bytes, pool_at) = code.link()?;
    for place in &code.addresses {
        let at = pool_at + place.offset as usize;
        let address = helper_address(place.helper) as u64;
        bytes
            .get_mut(at..at + 8)
            .ok_or_else(|| CodegenError::Backend("address outside the pool".into()))?
            .copy_from_slice(&address.to_le_bytes());
    }
    let builder = JITBuilder::with_isa(module_isa()?, default_libcall_names());
    let mut module = JITModule::new(builder);
    let start = match define(&mut module, &bytes) {
        Ok(start) => start,
        Err(error) => {
            // SAFETY: nothing of this module was ever called.
            unsafe { module.free_memory() };
            return Err(error);
        }
    };
    Ok(Function {
        // SAFETY: a function with this signature starts there, as `MachineCode` promises.
        entry: unsafe { std::mem::transmute::<*const u8, KernelFn>(start) },
        region: Arc::new(Region {
            module: Mutex::new(Some(module)),
            bytes: bytes.len(),
        }),
    })
}

/// Makes `bytes` the module's only function and returns where they lie.
fn define(module: &mut JITModule, bytes: &[u8]) -> Result<*const u8, CodegenError> {
    let memory = |e: ModuleError| CodegenError::Memory(e.to_string());
    // The module never calls it, so it need not know the parameters.
    let signature = Signature::new(CallConv::SystemV);
    let id = module
        .declare_function("kernel", Linkage::Local, &signature)
        .map_err(memory)?;
    module
        .define_function_bytes(id, ALIGNMENT as u64, bytes, &[])
        .map_err(memory)?;
    module.finalize_definitions().map_err(memory)?;
    Ok(module.get_finalized_function(id))
}
