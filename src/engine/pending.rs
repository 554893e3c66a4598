//! Cell writes that wait for the next realisation on this thread.
//!
//! A cell that is given a lazy value (batch-norm statistics, generator state) would keep the
//! recorded chain alive and growing if only its readers computed it. So the write is remembered
//! here, and every realisation on the thread computes what is pending along with what it was asked for.

use crate::cell::WeakCell;
use crate::error::Error;
use crate::tensor::Node;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static PENDING: RefCell<Vec<WeakCell>> = const { RefCell::new(Vec::new()) };
}

/// Remembers that a cell was given a lazy value. Cells that nobody holds any more by the next
/// realisation are forgotten.
pub(crate) fn add_pending(cell: WeakCell) {
    PENDING.with_borrow_mut(|pending| {
        if !pending.iter().any(|p| p.is(&cell)) {
            pending.push(cell);
        }
    });
}

/// The writes that were pending when a realisation began.
pub(super) struct Writes(Vec<WeakCell>);

/// Takes over the pending writes.
pub(super) fn take() -> Writes {
    Writes(PENDING.with_borrow_mut(std::mem::take))
}

impl Writes {
    /// The nodes that the cells hold.
    pub fn nodes(&self) -> impl Iterator<Item = Arc<Node>> + '_ {
        self.0.iter().filter_map(WeakCell::node)
    }

    /// What the cells would go back to.
    pub fn replaced(&self) -> SmallVec<[Arc<Node>; 4]> {
        self.0.iter().filter_map(WeakCell::replaced).collect()
    }

    /// The cells hold their old values again.
    pub fn take_back(self) {
        self.0.iter().for_each(WeakCell::take_back);
    }

    /// The writes stay pending, because `error` came before they could be computed.
    pub fn wait(self, error: Error) -> Error {
        self.0.into_iter().for_each(add_pending);
        error
    }
}
