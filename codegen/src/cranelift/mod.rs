//! The portable backend: vector IR to machine code by Cranelift, with 128-bit vectors.
//!
//! Cranelift runs without its optimiser: values are already shared and placed, and its e-graph would
//! undo the interleaving of loop bodies.

mod convert;
mod emit;
mod float;
mod int;
mod lanes;
mod memory;
mod scalars;
mod value;

use crate::backend::{Caps, MachineCode, PoolReference, VectorBackend};
use crate::{CodegenError, Level, vector};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{AbiParam, Signature, UserFuncName, types};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, FinalizedRelocTarget};
use cranelift_frontend::FunctionBuilderContext;
use lazulite_runtime::require_baseline;
use std::cell::RefCell;

/// The Cranelift backend for one set of processor features.
pub struct CraneliftBackend {
    isa: OwnedTargetIsa,
    caps: Caps,
}

thread_local! {
    /// Cranelift's working memory, kept from function to function.
    static WORKSPACE: RefCell<(Context, FunctionBuilderContext)> =
        RefCell::new((Context::new(), FunctionBuilderContext::new()));
}

impl CraneliftBackend {
    /// A backend that uses the instructions of `level`, which this processor need not have.
    pub fn new(level: Level) -> Result<CraneliftBackend, CodegenError> {
        let isa = isa(level)?;
        let fma = match level {
            Level::Native => has_fma(),
            Level::Baseline => false,
            Level::Avx2 | Level::Avx512 => true,
        };
        Ok(CraneliftBackend {
            isa,
            caps: Caps {
                vector_bytes: 16,
                registers: 16,
                masks: false,
                non_temporal: false,
                fma,
                tables: false,
            },
        })
    }
}

/// Whether Cranelift will use the processor's multiply-add instructions.
fn has_fma() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("avx");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// What Cranelift may use beyond x86-64 at each level, by its own names.
const BASELINE: [&str; 5] = [
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
];
const AVX2: [&str; 6] = [
    "has_avx",
    "has_avx2",
    "has_fma",
    "has_bmi1",
    "has_bmi2",
    "has_lzcnt",
];
const AVX512: [&str; 3] = ["has_avx512f", "has_avx512dq", "has_avx512vl"];

/// Cranelift's description of a machine with all features of this one, or those of a level.
///
/// Without `is_pic` a reference to something near is relative to the instruction; that is position
/// independent as long as the pool moves with the code. With it, it would go through a table.
fn isa(level: Level) -> Result<OwnedTargetIsa, CodegenError> {
    let backend = |e: &dyn std::fmt::Display| CodegenError::Backend(e.to_string());
    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "none"),
        (
            "enable_verifier",
            if cfg!(debug_assertions) {
                "true"
            } else {
                "false"
            },
        ),
        ("is_pic", "false"),
        ("unwind_info", "false"),
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
        ("enable_alias_analysis", "false"),
        ("use_colocated_libcalls", "false"),
        ("machine_code_cfg_info", "false"),
    ] {
        flags.set(name, value).map_err(|e| backend(&e))?;
    }
    let mut builder = cranelift_native::builder_with_options(level == Level::Native)
        .map_err(|e| CodegenError::Processor(e.to_string()))?;
    if cfg!(target_arch = "x86_64") {
        require_baseline().map_err(|e| CodegenError::Processor(e.to_string()))?;
        let more: [&[&str]; 2] = match level {
            Level::Native | Level::Baseline => [&[], &[]],
            Level::Avx2 => [&AVX2, &[]],
            Level::Avx512 => [&AVX2, &AVX512],
        };
        for feature in BASELINE.iter().chain(more[0]).chain(more[1]) {
            builder.enable(feature).map_err(|e| backend(&e))?;
        }
    }
    builder
        .finish(settings::Flags::new(flags))
        .map_err(|e| backend(&e))
}

/// The CLIF signature of [`lazulite_runtime::KernelFn`].
fn kernel_signature(call_conv: CallConv) -> Signature {
    let mut signature = Signature::new(call_conv);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    signature
}

impl VectorBackend for CraneliftBackend {
    fn name(&self) -> &'static str {
        "cranelift"
    }

    fn caps(&self) -> &Caps {
        &self.caps
    }

    fn emit(&self, f: &vector::Function) -> Result<MachineCode, CodegenError> {
        if f.lanes != 1 && f.lanes != self.caps.lanes() {
            return Err(CodegenError::Malformed(format!(
                "a function of {} lanes for a machine of {}",
                f.lanes,
                self.caps.lanes()
            )));
        }
        vector::verify(f).map_err(|e| CodegenError::Malformed(e.to_string()))?;
        WORKSPACE.with_borrow_mut(|(context, builder)| {
            context.clear();
            context.func.name = UserFuncName::user(0, 0);
            context.func.signature = kernel_signature(self.isa.default_call_conv());
            let pool = emit::translate(f, &self.caps, &*self.isa, &mut context.func, builder)?;
            let compiled = context
                .compile(&*self.isa, &mut Default::default())
                .map_err(|e| CodegenError::Backend(format!("{:?}", e.inner)))?;
            let references = compiled
                .buffer
                .relocs()
                .iter()
                .map(|r| match (r.kind, &r.target) {
                    (Reloc::X86CallPCRel4, FinalizedRelocTarget::ExternalName(_)) => {
                        Ok(PoolReference {
                            offset: r.offset,
                            addend: r.addend,
                        })
                    }
                    other => Err(CodegenError::Backend(format!(
                        "unexpected relocation {other:?}"
                    ))),
                })
                .collect::<Result<_, _>>()?;
            Ok(MachineCode {
                code: compiled.code_buffer().to_vec(),
                pool: pool.bytes,
                references,
                addresses: pool.addresses,
            })
        })
    }
}
