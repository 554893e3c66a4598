//! The plan cache: structure to compiled versions.
//!
//! An entry holds the [`Versions`] of one structure.

use super::build::{self, Pattern};
use super::specialise::{Call, Found, Versions};
use super::trace::Trace;
use crate::error::Result;
use crate::tensor::internal;
use hashbrown::HashMap;
use lazulite_ir::Symbol;
use lazulite_runtime::Program;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

/// Structures kept; the least recently used quarter is dropped beyond it.
const MAX_ENTRIES: usize = 2048;

/// Everything known about one structure.
#[derive(Default)]
pub(crate) struct Entry {
    versions: Versions<Program>,
    last_used: AtomicU64,
}

/// The process-wide cache.
#[derive(Default)]
pub(crate) struct Cache {
    entries: RwLock<HashMap<Box<[u64]>, Arc<Entry>, rustc_hash::FxBuildHasher>>,
    clock: AtomicU64,
    compilations: AtomicU64,
    hits: AtomicU64,
}

/// A program that serves a trace.
pub(crate) type Served = Found<Program, ()>;

impl Cache {
    /// How many programs have been compiled, and how many calls found one.
    pub fn counts(&self) -> (u64, u64) {
        (self.compilations.load(Relaxed), self.hits.load(Relaxed))
    }

    /// A program for this trace, compiled if need be.
    pub fn serve(&self, trace: &Trace, dims: &[i64]) -> Result<Served> {
        let entry = self.entry(&trace.key);
        entry
            .last_used
            .store(self.clock.fetch_add(1, Relaxed), Relaxed);
        let call = Call {
            dims,
            literals: &trace.literals,
        };
        let find = || entry.versions.find(call, |_| Some(()));
        if let Some(found) = find() {
            self.hits.fetch_add(1, Relaxed);
            return Ok(found);
        }
        let make = |pattern: &Pattern, symbols: &[Symbol]| {
            self.compilations.fetch_add(1, Relaxed);
            let graph = build::build(trace, pattern, "realize")?;
            let program = super::compile_graph(&graph, symbols)?;
            Ok((program, graph.guards().to_vec()))
        };
        let inputs = trace.input_dims();
        entry.versions.compile(call, &inputs, |_| true, make)?;
        find().ok_or_else(|| internal("realize", "a program does not fit its own sizes"))
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
        if entries.len() >= MAX_ENTRIES {
            let mut ages: Vec<u64> = entries
                .values()
                .map(|e| e.last_used.load(Relaxed))
                .collect();
            let quarter = ages.len() / 4;
            let (_, limit, _) = ages.select_nth_unstable(quarter);
            let limit = *limit;
            entries.retain(|_, e| e.last_used.load(Relaxed) > limit);
        }
        entries.entry(key.into()).or_default().clone()
    }
}
