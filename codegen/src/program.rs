//! From a plan to a program that can run, here or elsewhere.

use crate::cache::{self, Purpose, compile_kernels};
use crate::image::image;
use crate::{CodegenError, CodegenOptions, Disassembly, Level, disassemble};
use hashbrown::HashMap;
use lazulite_ir::{Kernel, Plan};
use lazulite_runtime::{Artifact, Assembly, KernelFn, LevelCode, Program, kernels};
use std::sync::Arc;

/// Compiles a plan for this process. Kernels that were compiled before, for any program, are found
/// again. At most `threads` threads compile the others.
///
/// # Errors
/// When the plan is malformed, asks for what cannot be compiled, or memory for code is missing.
pub fn compile(
    plan: &Plan,
    options: &CodegenOptions,
    threads: usize,
) -> Result<Program, CodegenError> {
    if !options.level.is_available() {
        let message = format!("it cannot run code for {:?}", options.level);
        return Err(CodegenError::Processor(message));
    }
    let kernels = compile_kernels(&plan.kernels, *options, threads, Purpose::Run)?;
    let (image, hosts) = image(plan, &kernels)?;
    let code = kernels.iter().map(|k| Ok(k.code.function()?.entry));
    let code: Vec<KernelFn> = code.collect::<Result<_, CodegenError>>()?;
    let bytes = kernels.iter().map(|k| k.code.bytes()).sum();
    // SAFETY: the code was lowered from the kernels that the image describes, and touches what they
    // do; the keep-alive holds every region that an entry lies in.
    let program = unsafe { Program::new(image, code, hosts, Arc::new(kernels)) }
        .map_err(|e| CodegenError::Malformed(e.to_string()))?;
    let level = options.level.of_kernels();
    Ok(program.with_code_bytes(bytes).limited_to(level))
}

/// Compiles a plan for files: its kernels for each of `levels` (at least one), which this processor need not have.
///
/// # Errors
/// As for [`compile`], and when the plan calls functions of this process.
pub fn assemble(
    plan: &Plan,
    options: &CodegenOptions,
    levels: &[kernels::Level],
    threads: usize,
) -> Result<Assembly, CodegenError> {
    let mut artifacts: Vec<Artifact> = Vec::new();
    let mut numbers: HashMap<Artifact, u32, rustc_hash::FxBuildHasher> = HashMap::default();
    let mut described = None;
    let mut compiled_levels = Vec::new();
    for &level in levels {
        let options = CodegenOptions {
            level: Level::for_files(level),
            ..*options
        };
        let compiled = compile_kernels(&plan.kernels, options, threads, Purpose::Write)?;
        let (image, hosts) = image(plan, &compiled)?;
        if !hosts.is_empty() {
            let message = "it calls functions of this process, which no file can hold";
            return Err(CodegenError::Unsupported(message.into()));
        }
        let code = compiled.iter().map(|kernel| {
            let artifact = &kernel.code.artifact;
            *numbers.entry_ref(artifact).or_insert_with(|| {
                artifacts.push(artifact.clone());
                artifacts.len() as u32 - 1
            })
        });
        compiled_levels.push(LevelCode {
            level,
            code: code.collect(),
            kernels: image.kernels.clone(),
        });
        described.get_or_insert(image);
    }
    let no_level = || CodegenError::Unsupported("no level to compile for".into());
    Ok(Assembly {
        image: described.ok_or_else(no_level)?,
        artifacts,
        levels: compiled_levels,
    })
}

/// What becomes of one kernel on its way to machine code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelText {
    /// Vector code.
    pub vector: String,
    /// The machine code that programs run.
    pub native: Disassembly,
}

/// A kernel for reading; it is compiled if no program of this process has needed it so far.
///
/// # Errors
/// As for [`compile`].
pub fn inspect(kernel: &Kernel, options: &CodegenOptions) -> Result<KernelText, CodegenError> {
    let (vector, artifact) = cache::inspect(kernel, *options)?;
    Ok(KernelText {
        vector,
        native: disassemble(&artifact),
    })
}
