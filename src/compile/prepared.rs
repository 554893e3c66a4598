//! The part of a captured function that depends on constants and on cells which it only reads: its results are
//! kept, and computed again when one of the cells holds another tensor.

use super::record::Source;
use super::replay::value_of;
use crate::device::Executable;
use crate::engine::{Inputs, Values};
use crate::error::Result;
use crate::tensor::{Node, Tensor, internal};
use lazulite_runtime::Pool;
use smallvec::SmallVec;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The part, and what it gave last.
pub(super) struct Preparation {
    program: Executable,
    /// Where its parameters come from: constants and cells.
    sources: Vec<Source>,
    last: Mutex<Option<Last>>,
}

/// Results, and what they were computed from.
struct Last {
    /// What the cells among the sources held. The handles keep no value from being overwritten in place:
    /// another tensor stands for it then.
    cells: SmallVec<[Weak<Node>; 4]>,
    results: Values,
}

impl Preparation {
    pub fn new(program: Executable, sources: Vec<Source>) -> Preparation {
        let last = Mutex::new(None);
        Preparation {
            program,
            sources,
            last,
        }
    }

    /// The results for what the function's cells hold. Threads that need new ones at the same time may both compute
    /// them: computing may call users' functions, so nothing is locked meanwhile.
    pub fn results(&self, cells: &[Tensor], pool: &Pool) -> Result<Values> {
        let read = self.cells(cells)?;
        if let Some(results) = self.known(&read) {
            return Ok(results);
        }
        let mut inputs = Inputs::of(&self.program);
        for source in &self.sources {
            inputs.keep(match source {
                Source::Constant(value) => value.clone(),
                Source::Cell(i) => value_of(&cells[*i].realize()?)?,
                Source::Argument(_) | Source::Seed(_) | Source::Stream(_) | Source::Prepared(_) => {
                    return Err(internal("compile", "a constant depends on an input"));
                }
            })?;
        }
        let (results, _overwritten) = inputs.run(&[], pool)?;
        *self.lock() = Some(Last {
            cells: read.iter().map(|node| Arc::downgrade(node)).collect(),
            results: results.clone(),
        });
        Ok(results)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was computed last, if that was from these nodes.
    fn known(&self, read: &[&Arc<Node>]) -> Option<Values> {
        let mut last = self.lock();
        let known = last.as_ref()?;
        let mut pairs = known.cells.iter().zip(read);
        if pairs.all(|(a, b)| a.as_ptr() == Arc::as_ptr(b)) {
            return Some(known.results.clone());
        }
        // What was made of other values is of no use, and may be large.
        *last = None;
        None
    }

    /// What its own cells hold.
    fn cells<'a>(&self, cells: &'a [Tensor]) -> Result<SmallVec<[&'a Arc<Node>; 4]>> {
        let own = self.sources.iter().filter_map(|source| match source {
            Source::Cell(i) => Some(cells[*i].node()),
            Source::Argument(_)
            | Source::Constant(_)
            | Source::Seed(_)
            | Source::Stream(_)
            | Source::Prepared(_) => None,
        });
        own.collect()
    }
}
