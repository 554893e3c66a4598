//! Cell writes that wait for the next realisation on this thread.
//!
//! A cell that is given a lazy value (batch-norm statistics, generator state) would keep the
//! recorded chain alive and growing if only its readers computed it. So the write is remembered
//! here, and every realisation on the thread computes what is pending along with what it was asked for.

use crate::tensor::Node;
use std::cell::RefCell;
use std::sync::{Arc, Weak};

thread_local! {
    static PENDING: RefCell<Vec<Weak<Node>>> = const { RefCell::new(Vec::new()) };
}

/// Remembers a lazy value that a cell was given. Values that nobody holds any more by the next
/// realisation are forgotten.
pub(crate) fn add_pending(node: &Arc<Node>) {
    PENDING.with_borrow_mut(|pending| pending.push(Arc::downgrade(node)));
}

/// The remembered values that still matter.
pub(super) fn take() -> Vec<Arc<Node>> {
    PENDING.with_borrow_mut(|pending| {
        let taken = pending.iter().filter_map(Weak::upgrade).collect();
        pending.clear();
        taken
    })
}
