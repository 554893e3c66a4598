//! Compiled kernels, shared by all programs of the process: each distinct kernel is compiled once, also
//! when several threads want it at the same time.
//!
//! The cache holds a bounded amount of code. What it lets go of stays in memory as long as a program
//! uses it.

use crate::canonical::{Canonical, canonical};
use crate::jit;
use crate::lower::lower;
use crate::{CodegenError, CodegenOptions};
use hashbrown::{Equivalent, HashMap};
use lazulite_ir::{Dim, DimOverflow, Kernel, Lanes, Symbol, price, verify_kernel};
use lazulite_runtime::Artifact;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Bytes of code that are kept for programs to come.
const CAPACITY: usize = 64 << 20;

/// Executable memory comes in pages.
const PAGE: usize = 4096;

/// About what an instruction of a kernel takes as text, with its index expression.
const INST_BYTES: usize = 256;

/// Kernels that one thread compiles before another one is worth starting.
const KERNELS_PER_THREAD: usize = 4;

/// A kernel's code, and what its callers must know. Sizes are in canonical names.
pub(crate) struct CompiledKernel {
    pub artifact: Artifact,
    /// In this process, once it is to run here.
    function: OnceLock<jit::Function>,
    /// See [`crate::lower::Lowered`].
    pub sizes: Vec<Dim>,
    pub scratch: Dim,
    pub lane_multiple: u32,
    /// Cost of one outer point in nanoseconds times 1024.
    pub cost: Dim,
    pub can_fault: bool,
}

/// A compiled kernel as one plan uses it.
#[derive(Clone)]
pub(crate) struct PlanKernel {
    pub code: Shared,
    /// The plan's names of the code's sizes.
    pub symbols: Vec<Symbol>,
}

impl CompiledKernel {
    /// The code in executable memory.
    pub fn function(&self) -> Result<&jit::Function, CodegenError> {
        link(&[self])?;
        let missing = || CodegenError::Backend("a function was not loaded".into());
        self.function.get().ok_or_else(missing)
    }

    /// Memory held, executable code included.
    pub fn bytes(&self) -> usize {
        let linked = usize::from(self.function.get().is_some());
        (1 + linked) * self.artifact.bytes.len()
    }
}

/// Puts the code of those kernels into executable memory that has not been there yet.
fn link(kernels: &[&CompiledKernel]) -> Result<(), CodegenError> {
    let absent = |kernel: &&&CompiledKernel| kernel.function.get().is_none();
    let absent: Vec<&CompiledKernel> = kernels.iter().filter(absent).copied().collect();
    if absent.is_empty() {
        return Ok(());
    }
    let artifacts: Vec<&Artifact> = absent.iter().map(|kernel| &kernel.artifact).collect();
    for (kernel, function) in absent.iter().zip(jit::link(&artifacts)?) {
        // Another thread may have been first, or the kernel may stand in the list twice.
        let _ = kernel.function.set(function);
    }
    Ok(())
}

type Shared = Arc<CompiledKernel>;
type Cell = Arc<OnceLock<Result<Shared, CodegenError>>>;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    kernel: Kernel,
    options: CodegenOptions,
}

/// A key that borrows the kernel.
#[derive(Clone, Copy)]
struct KeyRef<'a> {
    kernel: &'a Kernel,
    options: CodegenOptions,
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As derived for `Key`.
        self.kernel.hash(state);
        self.options.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self.kernel == key.kernel && self.options == key.options
    }
}

struct Entry {
    cell: Cell,
    used: u64,
}

impl Entry {
    /// Bytes that the cache holds for an entry.
    fn bytes(&self, key: &Key) -> usize {
        let code = match self.cell.get() {
            Some(Ok(kernel)) => kernel.bytes(),
            // What holds no code is bounded too.
            Some(Err(_)) | None => PAGE,
        };
        let insts = key.kernel.stages.iter().map(|s| s.insts.len());
        code + insts.sum::<usize>() * INST_BYTES
    }
}

/// Which entries of a cache to keep when it holds more bytes than `capacity`: those used at this time
/// or later, which come to three quarters of it. `uses` tells of each entry when it was used and
/// how many bytes it takes; no two are used at the same time.
pub fn oldest_kept(mut uses: Vec<(u64, usize)>, capacity: usize) -> Option<u64> {
    let mut total = uses.iter().fold(0, |sum: usize, u| sum.saturating_add(u.1));
    if total <= capacity {
        return None;
    }
    uses.sort_unstable();
    let mut oldest_kept = 0;
    for (used, bytes) in uses {
        if total <= capacity / 4 * 3 {
            break;
        }
        total -= bytes.min(total);
        oldest_kept = used + 1;
    }
    Some(oldest_kept)
}

/// What is known of the compiled kernels of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelStats {
    /// Kernels compiled.
    pub compiled: u64,
    /// Kernels kept for programs to come.
    pub kept: usize,
    /// Bytes that these take.
    pub bytes: usize,
}

/// What has been compiled so far in this process.
pub fn kernel_stats() -> KernelStats {
    with_cache(|cache| KernelStats {
        compiled: COMPILED.load(Ordering::Relaxed),
        kept: cache.entries.len(),
        bytes: cache.entries.iter().map(|(k, e)| e.bytes(k)).sum(),
    })
}

#[derive(Default)]
struct Cache {
    entries: HashMap<Key, Entry, rustc_hash::FxBuildHasher>,
    clock: u64,
}

static CACHE: Mutex<Option<Cache>> = Mutex::new(None);

static COMPILED: AtomicU64 = AtomicU64::new(0);

fn with_cache<R>(f: impl FnOnce(&mut Cache) -> R) -> R {
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    f(cache.get_or_insert_default())
}

impl Cache {
    fn cell(&mut self, key: KeyRef<'_>) -> Cell {
        self.clock += 1;
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.used = self.clock;
            return entry.cell.clone();
        }
        let cell = Cell::default();
        let key = Key {
            kernel: key.kernel.clone(),
            options: key.options,
        };
        let entry = Entry {
            cell: cell.clone(),
            used: self.clock,
        };
        self.entries.insert(key, entry);
        cell
    }

    /// Lets go of what was used least recently until three quarters of the capacity are held.
    fn trim(&mut self, capacity: usize) {
        let uses = self.entries.iter().map(|(k, e)| (e.used, e.bytes(k)));
        if let Some(oldest_kept) = oldest_kept(uses.collect(), capacity) {
            self.entries.retain(|_, e| e.used >= oldest_kept);
        }
    }
}

/// What code is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To run in this process.
    Run,
    /// To be written out.
    Write,
}

/// The code of all `kernels`, in order, compiled by at most so many threads.
pub(crate) fn compile_kernels(
    kernels: &[Kernel],
    options: CodegenOptions,
    threads: usize,
    purpose: Purpose,
) -> Result<Vec<PlanKernel>, CodegenError> {
    let canonical: Vec<Canonical<'_>> = kernels
        .iter()
        .map(canonical)
        .collect::<Result<_, DimOverflow>>()?;
    let kernels = canonical
        .iter()
        .map(|c| (&*c.kernel, for_kernel(options, &c.kernel)));
    let codes = compile_canonical(&kernels.collect::<Vec<_>>(), threads, purpose)?;
    Ok(codes
        .into_iter()
        .zip(canonical)
        .map(|(code, canonical)| PlanKernel {
            code,
            symbols: canonical.symbols,
        })
        .collect())
}

/// The options that a kernel is compiled with where these are asked for.
fn for_kernel(options: CodegenOptions, kernel: &Kernel) -> CodegenOptions {
    CodegenOptions {
        level: options.level.for_kernel(kernel),
        ..options
    }
}

fn compile_canonical(
    kernels: &[(&Kernel, CodegenOptions)],
    threads: usize,
    purpose: Purpose,
) -> Result<Vec<Shared>, CodegenError> {
    let cells: Vec<Cell> = with_cache(|cache| {
        kernels
            .iter()
            .map(|&(kernel, options)| cache.cell(KeyRef { kernel, options }))
            .collect()
    });
    let missing: Vec<usize> = (0..kernels.len())
        .filter(|&i| cells[i].get().is_none())
        .collect();
    let fill = |i: usize| {
        let (kernel, options) = kernels[i];
        cells[i].get_or_init(|| compile(kernel, options).map(Arc::new));
    };
    let threads = threads.min(missing.len().div_ceil(KERNELS_PER_THREAD));
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&i) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            fill(i);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // If no thread can be had, this one does the work.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    if !missing.is_empty() {
        with_cache(|cache| cache.trim(CAPACITY));
    }
    // All threads are done, so every cell is filled; failures are told to everyone who asks.
    let compiled = cells.iter().zip(kernels).map(|(cell, (kernel, options))| {
        cell.get_or_init(|| compile(kernel, *options).map(Arc::new))
            .clone()
    });
    let compiled: Vec<Shared> = compiled.collect::<Result<_, _>>()?;
    if purpose == Purpose::Run {
        link(&compiled.iter().map(|kernel| &**kernel).collect::<Vec<_>>())?;
    }
    Ok(compiled)
}

fn compile(kernel: &Kernel, options: CodegenOptions) -> Result<CompiledKernel, CodegenError> {
    COMPILED.fetch_add(1, Ordering::Relaxed);
    verify_kernel(kernel).map_err(|e| CodegenError::Malformed(e.to_string()))?;
    let backend = options.level.backend()?;
    let lowered = lower(kernel, backend.caps(), options.lower)?;
    let code = backend.emit(&lowered.function)?;
    Ok(CompiledKernel {
        artifact: code.link()?,
        function: OnceLock::new(),
        sizes: lowered.sizes,
        scratch: lowered.scratch,
        lane_multiple: lowered.lane_multiple,
        // The estimate may overflow where the code does not.
        cost: cost(kernel, backend.caps().lanes()).unwrap_or(Dim::constant(price::POINT_TIME)),
        can_fault: kernel.can_fault(),
    })
}

/// The vector code that a kernel becomes, and the machine code that programs run for it.
pub(crate) fn inspect(
    kernel: &Kernel,
    options: CodegenOptions,
) -> Result<(String, Artifact), CodegenError> {
    let compiled = compile_kernels(std::slice::from_ref(kernel), options, 1, Purpose::Write)?;
    let [compiled] = &compiled[..] else {
        return Err(CodegenError::Malformed("one kernel was expected".into()));
    };
    let canonical = canonical(kernel)?;
    let level = options.level.for_kernel(&canonical.kernel);
    let lowered = lower(&canonical.kernel, level.backend()?.caps(), options.lower)?;
    Ok((lowered.function.to_string(), compiled.code.artifact.clone()))
}

/// What one outer point costs, in nanoseconds times 1024.
fn cost(kernel: &Kernel, lanes: u32) -> Result<Dim, DimOverflow> {
    let vector = |time: i64| time * price::UNIT_LANES / i64::from(lanes.max(1));
    let (unit, outside) = match kernel.lanes {
        Lanes::None => (price::UNIT_TIME, price::POINT_TIME),
        Lanes::Inner => (vector(price::UNIT_TIME), price::POINT_TIME),
        Lanes::Outer => (vector(price::UNIT_TIME), vector(price::POINT_TIME)),
    };
    let point = Kernel {
        outer: vec![Dim::ONE; kernel.outer.len()],
        ..kernel.clone()
    };
    let ops = point.work()?.ops;
    ops.mul(&Dim::constant(unit))?.add(&Dim::constant(outside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_ir::parse_kernel;

    fn kernel(factor: i64) -> Kernel {
        parse_kernel(&format!(
            "kernel(b0: i64 read, b1: i64 write) {{ outer o0 < n lanes outer stage {{
               v0 = load b0[o0] : i64 v1 = const i64({factor}) : i64
               v2 = mul v0, v1 : i64 store b1[o0] = v2 }} }}"
        ))
        .unwrap()
    }

    #[test]
    fn equal_kernels_are_compiled_once() {
        let options = CodegenOptions::default();
        let kernels: Vec<Kernel> = (0..20).map(|i| kernel(1000 + i)).collect();
        let first = compile_kernels(&kernels, options, 2, Purpose::Run).unwrap();
        let second = std::thread::spawn(move || {
            compile_kernels(&kernels, options, 2, Purpose::Run).unwrap()
        })
        .join()
        .unwrap();
        for (a, b) in first.iter().zip(&second) {
            assert!(Arc::ptr_eq(&a.code, &b.code));
        }
        assert!(!Arc::ptr_eq(&first[0].code, &first[1].code));
    }

    #[test]
    fn trimming_forgets_what_is_oldest_and_frees_nothing_in_use() {
        let mut cache = Cache::default();
        let options = CodegenOptions::default();
        let kernels: Vec<Kernel> = (0..8).map(kernel).collect();
        for kernel in &kernels {
            let cell = cache.cell(KeyRef { kernel, options });
            let compiled = cell.get_or_init(|| compile(kernel, options).map(Arc::new));
            compiled.as_ref().unwrap().function().unwrap();
        }
        let [oldest, newest] = [&kernels[0], &kernels[7]].map(|kernel| {
            let cell = cache.cell(KeyRef { kernel, options });
            cell.get().unwrap().clone().unwrap()
        });
        // Numbers 0 and 7 were used last.
        // They differ by a few bytes of code; three of the largest are what is kept.
        let each = cache.entries.iter().map(|(k, e)| e.bytes(k)).max();
        cache.trim(4 * each.unwrap());
        assert_eq!(cache.entries.len(), 3);
        let held = |kernel| cache.entries.contains_key(&KeyRef { kernel, options });
        assert!(held(&kernels[0]) && held(&kernels[7]) && !held(&kernels[1]));
        drop(cache);
        for used in [oldest, newest] {
            assert_eq!(Arc::strong_count(&used), 1);
        }
    }

    #[test]
    fn malformed_kernels_are_refused_again_and_again() {
        let mut broken = kernel(3);
        broken.stages[0].insts.remove(0);
        let options = CodegenOptions::default();
        for _ in 0..2 {
            let error =
                compile_kernels(std::slice::from_ref(&broken), options, 1, Purpose::Run).err();
            assert!(
                matches!(error, Some(CodegenError::Malformed(_))),
                "{error:?}"
            );
        }
    }
}
