//! The plan cache: structure to compiled versions.
//!
//! An entry holds the [`Versions`] of one structure. The cache is bounded in entries and in bytes; what it
//! lets go of lives on as long as someone runs it.

use super::CacheStats;
use super::build::{self, Pattern};
use super::options::Options;
use super::report::{self, Compilation};
use super::specialise::{Call, Found, Version, Versions};
use super::trace::Trace;
use crate::device::{Device, Executable};
use crate::error::Result;
use crate::location::Place;
use crate::tensor::internal;
use hashbrown::HashMap;
use lazulite_ir::Symbol;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Everything known about one structure.
#[derive(Default)]
struct Entry {
    versions: Versions<Executable>,
    last_used: AtomicU64,
    /// About how many bytes key and versions take.
    bytes: AtomicUsize,
    /// Where the nodes of the traces that versions were compiled for were recorded: faults of a version name these
    /// places.
    places: Mutex<Vec<Box<[Place]>>>,
}

type Entries = HashMap<Box<[u64]>, Arc<Entry>, rustc_hash::FxBuildHasher>;

/// The process-wide cache.
pub(crate) struct Cache {
    entries: RwLock<Entries>,
    /// How many structures to keep, and how many bytes; beyond that what was used least recently is
    /// dropped.
    max_entries: usize,
    max_bytes: usize,
    clock: AtomicU64,
    compilations: AtomicU64,
    /// Spent on compiling.
    nanoseconds: AtomicU64,
    hits: AtomicU64,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache::bounded(2048, 256 << 20)
    }
}

/// A program that serves a trace.
pub(crate) type Served = Found<Arc<Version<Executable>>, ()>;

impl Cache {
    fn bounded(max_entries: usize, max_bytes: usize) -> Cache {
        Cache {
            entries: RwLock::default(),
            max_entries,
            max_bytes,
            clock: AtomicU64::new(0),
            compilations: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    /// What has happened so far, and what is held.
    pub fn stats(&self) -> CacheStats {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        CacheStats {
            compilations: self.compilations.load(Relaxed),
            compile_time: Duration::from_nanos(self.nanoseconds.load(Relaxed)),
            hits: self.hits.load(Relaxed),
            programs: entries.values().map(|e| e.versions.len()).sum(),
            bytes: entries.values().map(|e| e.bytes.load(Relaxed)).sum(),
            kernels: lazulite_codegen::kernel_stats().compiled,
        }
    }

    /// A program for this trace on a device, compiled if need be.
    pub fn serve(
        &self,
        trace: &Trace,
        dims: &[i64],
        options: &Options,
        device: Device,
    ) -> Result<Served> {
        let entry = self.entry(&trace.key);
        entry
            .last_used
            .store(self.clock.fetch_add(1, Relaxed), Relaxed);
        let call = Call {
            dims,
            literals: &trace.literals,
        };
        let any = |_: &Executable| Some(());
        if let Some(found) = entry.versions.find(call, any) {
            self.hits.fetch_add(1, Relaxed);
            return Ok(found);
        }
        let (start, mut nodes) = (Instant::now(), 0);
        let make = |pattern: &Pattern, symbols: &[Symbol]| {
            self.compilations.fetch_add(1, Relaxed);
            let graph = build::build(trace, pattern, "realize")?;
            nodes = graph.nodes().len();
            let program = super::compile_graph(&graph, symbols, options, device)?;
            let places = trace.nodes.iter().map(|n| n.node.place).collect();
            lock(&entry.places).push(places);
            Ok((program, graph.guards().to_vec()))
        };
        let inputs = trace.input_dims();
        let found = entry.versions.compile(call, &inputs, any, make)?;
        let time = start.elapsed();
        self.nanoseconds
            .fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        if let Some(Found { version, values, .. }) = &found
            // Else another thread compiled it meanwhile.
            && nodes > 0
        {
            let program = &version.program;
            report::remember(Compilation {
                recorded: trace.nodes.len() - trace.leaves.len(),
                nodes,
                kernels: program.image().kernels.len(),
                steps: program.image().steps.len(),
                time,
                // A run for which there can be none would fail and say why.
                peak_bytes: program.peak_bytes(values),
            });
        }
        let programs = entry.versions.sum(Executable::footprint);
        let words = trace.key.len() + lock(&entry.places).len() * trace.nodes.len();
        let rest = words * size_of::<u64>();
        entry.bytes.store(rest.saturating_add(programs), Relaxed);
        self.trim();
        found.ok_or_else(|| internal("realize", "a program does not fit its own sizes"))
    }

    /// Positions in this trace of what a program for it, which may have been compiled for another one, says was
    /// recorded at `place`.
    pub fn positions(&self, trace: &Trace, place: &str) -> Vec<usize> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(&*trace.key).cloned() else {
            return Vec::new();
        };
        drop(entries);
        let all = lock(&entry.places);
        let found = all.iter().map(|places| {
            let here = |i: &usize| places[*i].to_string() == place;
            (0..places.len()).filter(here).collect::<Vec<_>>()
        });
        found.max_by_key(Vec::len).unwrap_or_default()
    }

    /// Why the versions for this trace were compiled, with names for its sizes and numbers.
    pub fn explain(
        &self,
        trace: &Trace,
        size: impl Fn(usize) -> String,
        number: impl Fn(usize) -> String,
    ) -> Vec<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&*trace.key).cloned();
        drop(entries);
        entry.map_or_else(Vec::new, |entry| entry.versions.explain(size, number))
    }

    fn entry(&self, key: &[u64]) -> Arc<Entry> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(key) {
            return entry.clone();
        }
        drop(entries);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.entry(key.into()).or_default().clone()
    }

    /// Lets go of what was used least recently, if there is too much.
    fn trim(&self) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let entries = &mut *entries;
        keep_recent(entries, self.max_entries, |_| 1);
        keep_recent(entries, self.max_bytes, |e| e.bytes.load(Relaxed));
    }
}

/// Nothing panics while holding it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps what was used last if all entries together weigh more than `capacity`.
fn keep_recent(entries: &mut Entries, capacity: usize, weight: impl Fn(&Entry) -> usize) {
    let uses = entries.values();
    let uses = uses.map(|e| (e.last_used.load(Relaxed), weight(e)));
    if let Some(oldest) = lazulite_codegen::oldest_kept(uses.collect(), capacity) {
        entries.retain(|_, e| e.last_used.load(Relaxed) >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::trace;
    use super::*;
    use crate::Tensor;
    use crate::device::Given;
    use lazulite_ir::Dim;

    fn serve(cache: &Cache, tensor: &Tensor) -> Served {
        let trace = trace(&[tensor.node().unwrap().clone()], None);
        let dims: Vec<i64> = trace.dims.iter().filter_map(Dim::as_const).collect();
        cache
            .serve(&trace, &dims, &super::super::options(), Device::cpu())
            .unwrap()
    }

    /// Programs of different structure.
    fn chain(length: usize) -> Tensor {
        (0..length).fold(Tensor::iota(5), |x, _| x.exp())
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_programs_in_use_live_on() {
        let by_entries = Cache::bounded(4, usize::MAX);
        for length in 1..10 {
            serve(&by_entries, &chain(length));
            assert!(by_entries.stats().programs <= 4);
        }
        // What was used last is found again.
        serve(&by_entries, &chain(9));
        assert_eq!(by_entries.stats().hits, 1);

        let one = Cache::bounded(100, usize::MAX);
        let used = serve(&one, &chain(9));
        let bytes = one.stats().bytes;
        assert!(bytes > used.version.program.footprint());
        let by_bytes = Cache::bounded(100, 3 * bytes);
        let first = serve(&by_bytes, &chain(1));
        for length in 2..10 {
            serve(&by_bytes, &chain(length));
            assert!(by_bytes.stats().bytes <= 3 * bytes);
        }
        assert!((1..9).contains(&by_bytes.stats().programs));
        // Dropped from the cache, it still runs.
        assert_eq!(Arc::strong_count(&first.version), 1);
        let pool = lazulite_runtime::Pool::single();
        let program = &first.version.program;
        let outputs = program.run(&mut Given::to(program), &[], &pool).unwrap();
        assert_eq!(outputs[0].to_host().unwrap().len(), 20);
    }
}
