//! The plan cache: structure to compiled versions.
//!
//! An entry holds at most [`MAX_VERSIONS`] versions of one structure. Whoever compiles holds the
//! entry's lock, so two threads never compile the same thing; lookups only read.

use super::build::{self, Pattern};
use super::generalise::{Binding, Sighting, generalise};
use super::trace::Trace;
use crate::error::Result;
use hashbrown::HashMap;
use lazulite_ir::{Guard, Relation, Symbol};
use lazulite_runtime::Program;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Compiled versions kept per structure.
pub(crate) const MAX_VERSIONS: usize = 3;

/// Structures kept; the least recently used quarter is dropped beyond it.
const MAX_ENTRIES: usize = 2048;

/// A compiled program for one pattern of sizes and numbers.
pub(crate) struct Version {
    pub pattern: Pattern,
    pub bindings: Vec<Binding>,
    pub program: Arc<Program>,
    guards: Vec<Guard>,
}

impl Version {
    /// The values of the symbols, if sizes and numbers fit the pattern and all guards hold.
    pub fn bind(
        &self,
        dims: &[i64],
        literals: &[crate::tensor::Literal],
    ) -> Option<SmallVec<[i64; 4]>> {
        let constants = self.pattern.literals.iter().zip(literals);
        if !constants
            .into_iter()
            .all(|(c, l)| c.is_none_or(|c| c == *l))
        {
            return None;
        }
        let values: SmallVec<[i64; 4]> = self.bindings.iter().map(|b| dims[b.position]).collect();
        if values.iter().any(|v| *v < 0) {
            return None;
        }
        let value_of = |s: &Symbol| {
            let i = self.bindings.iter().position(|b| b.symbol == *s)?;
            Some(values[i])
        };
        let fits = |(pattern, actual): (&lazulite_ir::Dim, &i64)| match pattern.as_const() {
            Some(constant) => constant == *actual,
            None => pattern.eval(&value_of) == Some(*actual),
        };
        if !self.pattern.dims.iter().zip(dims).all(fits) {
            return None;
        }
        let holds = |g: &Guard| {
            let (lhs, rhs) = (g.lhs.eval(&value_of), g.rhs.eval(&value_of));
            lhs.zip(rhs).is_some_and(|(l, r)| match g.relation {
                Relation::Eq => l == r,
                Relation::Le => l <= r,
            })
        };
        self.guards.iter().all(holds).then_some(values)
    }
}

/// Everything known about one structure.
#[derive(Default)]
pub(crate) struct Entry {
    versions: RwLock<SmallVec<[Arc<Version>; MAX_VERSIONS]>>,
    history: Mutex<Vec<Sighting>>,
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

/// A version with the values of its symbols.
pub(crate) type Bound = (Arc<Version>, SmallVec<[i64; 4]>);

impl Cache {
    /// How many programs have been compiled, and how many calls found one.
    pub fn counts(&self) -> (u64, u64) {
        (self.compilations.load(Relaxed), self.hits.load(Relaxed))
    }

    /// A version for this trace, compiled if need be.
    pub fn version(&self, trace: &Trace, dims: &[i64]) -> Result<Bound> {
        let entry = self.entry(&trace.key);
        entry
            .last_used
            .store(self.clock.fetch_add(1, Relaxed), Relaxed);
        if let Some(found) = entry.find(dims, &trace.literals) {
            self.hits.fetch_add(1, Relaxed);
            return Ok(found);
        }
        let mut history = lock(&entry.history);
        // Another thread may have compiled it meanwhile.
        if let Some(found) = entry.find(dims, &trace.literals) {
            self.hits.fetch_add(1, Relaxed);
            return Ok(found);
        }
        let sighting = Sighting {
            dims: dims.to_vec(),
            literals: trace.literals.clone(),
        };
        self.compilations.fetch_add(1, Relaxed);
        let version = Arc::new(compile(trace, &mut history, &sighting)?);
        let Some(values) = version.bind(dims, &trace.literals) else {
            return Err(crate::tensor::internal(
                "realize",
                "a program does not fit its own sizes",
            ));
        };
        remember(&mut history, sighting);
        entry.insert(version.clone());
        Ok((version, values))
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

impl Entry {
    fn find(&self, dims: &[i64], literals: &[crate::tensor::Literal]) -> Option<Bound> {
        let versions = self.versions.read().unwrap_or_else(PoisonError::into_inner);
        versions
            .iter()
            .find_map(|v| Some((v.clone(), v.bind(dims, literals)?)))
    }

    /// Adds a version; the oldest gives way when there are too many, since later ones are more
    /// general.
    fn insert(&self, version: Arc<Version>) {
        let mut versions = self
            .versions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if versions.len() == MAX_VERSIONS {
            versions.remove(0);
        }
        versions.push(version);
    }
}

/// Compiles the most specific program that fits this call and all earlier ones; if sizes cannot be
/// unknown there, one that fits this call.
fn compile(trace: &Trace, history: &mut Vec<Sighting>, sighting: &Sighting) -> Result<Version> {
    let mut seen = history.clone();
    seen.push(sighting.clone());
    let inputs = trace.input_dims();
    let (pattern, bindings) = generalise(&seen, &inputs);
    let general = compile_pattern(trace, pattern, bindings);
    if history.is_empty() {
        return general;
    }
    match general {
        Ok(version) if version.bind(&sighting.dims, &sighting.literals).is_some() => Ok(version),
        _ => {
            // What was seen before only misleads.
            history.clear();
            let (mut pattern, _) = generalise(std::slice::from_ref(sighting), &inputs);
            // Numbers that were seen to change stay run-time values.
            pattern.literals = generalise(&seen, &inputs).0.literals;
            compile_pattern(trace, pattern, Vec::new())
        }
    }
}

fn compile_pattern(trace: &Trace, pattern: Pattern, bindings: Vec<Binding>) -> Result<Version> {
    let graph = build::build(trace, &pattern, "realize")?;
    let symbols: Vec<Symbol> = bindings.iter().map(|b| b.symbol.clone()).collect();
    let program = super::compile_graph(&graph, &symbols)?;
    Ok(Version {
        pattern,
        bindings,
        program: Arc::new(program),
        guards: graph.guards().to_vec(),
    })
}

/// Keeps the first sighting and the latest ones: enough to tell what varies.
fn remember(history: &mut Vec<Sighting>, sighting: Sighting) {
    if history.len() > MAX_VERSIONS {
        history.remove(1);
    }
    history.push(sighting);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
