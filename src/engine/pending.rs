//! Cell writes that wait for the next realisation on this thread.
//!
//! A cell that is given a lazy value (batch-norm statistics, generator state) would keep the
//! recorded chain alive and growing if only its readers computed it. So the write is remembered
//! here, and every realisation on the thread computes what is pending along with what it was asked for.

use crate::cell::PendingWrite;
use crate::error::Error;
use crate::tensor::Node;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::sync::Arc;

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
}

/// Writes in the order in which their cells were first written.
#[derive(Default)]
struct Pending {
    writes: Vec<PendingWrite>,
    /// Where the write to the cell at an address stands.
    positions: FxHashMap<usize, usize>,
}

impl Pending {
    /// Adds a write, in the place of the one to the same cell if it is `newer`.
    fn enter(&mut self, write: PendingWrite, newer: bool) {
        match self.positions.entry(write.address()) {
            Entry::Occupied(known) if newer => self.writes[*known.get()] = write,
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(self.writes.len());
                self.writes.push(write);
            }
        }
    }
}

/// Remembers that a cell was given a lazy value, instead of what it was given before. Cells that nobody holds any
/// more by the next realisation are forgotten.
pub(crate) fn add_pending(write: PendingWrite) {
    PENDING.with_borrow_mut(|pending| pending.enter(write, true));
}

/// The writes that were pending when a realisation began.
pub(super) struct Writes(Vec<PendingWrite>);

/// Takes over the pending writes.
pub(super) fn take() -> Writes {
    Writes(PENDING.take().writes)
}

impl Writes {
    /// The nodes that were written.
    pub fn nodes(&self) -> impl Iterator<Item = Arc<Node>> + '_ {
        self.0.iter().filter_map(PendingWrite::node)
    }

    /// What the cells would go back to.
    pub fn replaced(&self) -> SmallVec<[Arc<Node>; 4]> {
        self.0.iter().filter_map(PendingWrite::replaced).collect()
    }

    /// The values are known: the cells need not go back behind them.
    pub fn settle(self) {
        self.0.iter().for_each(PendingWrite::settle);
    }

    /// The cells hold their old values again.
    pub fn take_back(self) {
        self.0.iter().for_each(PendingWrite::take_back);
    }

    /// The writes stay pending, because `error` came before they could be computed.
    pub fn wait(self, error: Error) -> Error {
        // What was written meanwhile is newer.
        PENDING.with_borrow_mut(|pending| {
            self.0
                .into_iter()
                .for_each(|write| pending.enter(write, false));
        });
        error
    }
}
