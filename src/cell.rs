//! A shared place that holds a tensor and can be given another: parameters and running statistics.

use crate::compile::{captured_cell, write_captured_cell};
use crate::device::Device;
use crate::engine::add_pending;
use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::tensor::{Node, Tensor};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// A shared, mutable place for a tensor. Clones are the same place. Tensors taken out keep their value
/// when the cell is given another one.
#[derive(Clone)]
pub struct TensorCell {
    shared: Arc<Shared>,
}

struct Shared {
    content: Mutex<Content>,
    /// What the cell is called in exported programs; its path in a model, once that has been visited.
    name: OnceLock<Arc<str>>,
}

struct Content {
    current: Tensor,
    /// The last content whose value was known (or the first one), to go back to when computing the current
    /// one fails.
    settled: Tensor,
}

impl TensorCell {
    /// A cell holding `tensor`.
    pub fn new(tensor: Tensor) -> TensorCell {
        TensorCell {
            shared: Arc::new(Shared {
                content: Mutex::new(Content {
                    current: tensor.clone(),
                    settled: tensor,
                }),
                name: OnceLock::new(),
            }),
        }
    }

    /// The cell's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.shared.name.get().map(AsRef::as_ref)
    }

    /// Names the cell, which is what weights of exported functions are called; the first name stays.
    pub fn set_name(&self, name: &str) {
        // Whoever was first has named it.
        let _ = self.shared.name.set(name.into());
    }

    /// What the cell holds. Inside a captured function this stands for what the cell holds when the
    /// function is called.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        let content = self.content();
        captured_cell(self, &content).unwrap_or(content)
    }

    /// What the cell holds now.
    pub(crate) fn content(&self) -> Tensor {
        lock(&self.shared).current.clone()
    }

    /// Gives the cell another tensor as it is, at once: for changes that are none to the value.
    pub(crate) fn replace(&self, tensor: Tensor) {
        let mut content = lock(&self.shared);
        content.settled = tensor.clone();
        content.current = tensor;
    }

    /// If nobody holds `node` but the cell, which holds it as its content, and `others` more handles: a node for the
    /// cell's next value in its place. Whoever reads the cell meanwhile waits until that is entered, which must
    /// happen soon and in any case.
    pub(crate) fn vacate(&self, node: &Arc<Node>, others: usize) -> Option<Arc<Node>> {
        let mut content = lock(&self.shared);
        let settled = usize::from(is_node(&content.settled, node));
        let private = Arc::strong_count(node) == 1 + settled + others;
        if !is_node(&content.current, node) || !private || !node.operands().is_empty() {
            return None;
        }
        let next = Arc::new(node.vacant());
        let tensor = Tensor(Ok(next.clone()));
        content.settled = tensor.clone();
        content.current = tensor;
        Some(next)
    }

    /// Gives the cell what `change` makes of its content, at once, with no other thread writing in between: for
    /// changes that are none to the value.
    pub(crate) fn change(&self, change: impl FnOnce(Tensor) -> Tensor) {
        let mut content = lock(&self.shared);
        let tensor = change(content.current.clone());
        adopt_leaf(&tensor, &content.current);
        content.settled = tensor.clone();
        content.current = tensor;
    }

    /// Gives the cell a known value that was computed for it, which needs a gradient if the one before did.
    pub(crate) fn settle(&self, tensor: Tensor) {
        self.change(|before| match before.requires_grad() {
            true => tensor.with_grad(),
            false => tensor,
        });
    }

    /// Moves what it holds to a device, at once. A gradient that was collected for it is forgotten.
    #[track_caller]
    pub(crate) fn move_to(&self, device: Device) -> crate::Result<()> {
        let content = self.content();
        if content.device()? != device || content.places()?.is_none() {
            let moved = content.detach().to(device).realize()?;
            self.settle(moved);
        }
        Ok(())
    }

    /// Where the cell lies: the same for its handles, and for no other cell's.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.shared).addr()
    }

    /// True for handles of the same cell.
    pub(crate) fn is(&self, other: &TensorCell) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Gives the cell another tensor, which needs a gradient if the one before did. If its value is not known yet, the next realisation on this
    /// thread computes it, so that cells never collect unbounded unfinished work; if that fails, the
    /// cell holds its old value again. An erroneous tensor leaves the cell as it was, and the error
    /// is returned.
    #[track_caller]
    pub fn set(&self, tensor: Tensor) -> crate::Result<()> {
        let level = tensor.node()?.traits.level;
        if level > 0 {
            let message = "a cell outlives the function that is being recorded, and what it would hold does not";
            let error = Error::new(ErrorKind::Capture, "set", message).at(Place::here());
            return Err(
                error.hint("return the value from the function and set the cell outside of it")
            );
        }
        let mut content = lock(&self.shared);
        let tensor = match content.current.requires_grad() {
            true => tensor.detach().with_grad(),
            false => tensor,
        };
        let node = Arc::downgrade(tensor.node()?);
        if write_captured_cell(self, &tensor) {
            return Ok(());
        }
        if content.current.requires_grad() {
            adopt_leaf(&tensor, &content.current);
        }
        let lazy = !tensor.is_realized();
        let before = std::mem::replace(&mut content.current, tensor);
        if before.is_realized() {
            content.settled = before;
        }
        drop(content);
        if lazy {
            let cell = Arc::downgrade(&self.shared);
            add_pending(PendingWrite { cell, node });
        }
        Ok(())
    }
}

/// A value that was written to a cell before it was known. Keeps neither of them alive.
pub(crate) struct PendingWrite {
    cell: Weak<Shared>,
    node: Weak<Node>,
}

impl PendingWrite {
    /// Where the cell lies: the same for writes to the same cell.
    pub fn address(&self) -> usize {
        self.cell.as_ptr().addr()
    }

    /// The cell, if it still exists, and what was written, if the cell still holds that: another thread may have
    /// written something else since.
    fn current(&self) -> Option<(Arc<Shared>, Arc<Node>)> {
        let (cell, node) = (self.cell.upgrade()?, self.node.upgrade()?);
        let holds = is_node(&lock(&cell).current, &node);
        holds.then_some((cell, node))
    }

    /// What was written, as long as the cell holds it.
    pub fn node(&self) -> Option<Arc<Node>> {
        Some(self.current()?.1)
    }

    /// The node that the cell would go back to, unless that is what it holds.
    pub fn replaced(&self) -> Option<Arc<Node>> {
        let (cell, node) = self.current()?;
        let content = lock(&cell);
        let settled = content.settled.node().ok()?;
        (!Arc::ptr_eq(settled, &node)).then(|| settled.clone())
    }

    /// What was written is known, and what it may have been computed from in place is gone: the cell goes back to
    /// nothing before it, even if another thread has given it something else meanwhile that turns out to fail.
    pub fn settle(&self) {
        if let (Some(cell), Some(node)) = (self.cell.upgrade(), self.node.upgrade()) {
            let mut content = lock(&cell);
            let gone = content.settled.node().is_ok_and(|n| n.is_spent());
            if gone || is_node(&content.current, &node) {
                content.settled = Tensor(Ok(node));
            }
        }
    }

    /// The cell goes back to its last settled content, unless it holds something else by now.
    pub fn take_back(&self) {
        if let Some((cell, _)) = self.current() {
            let mut content = lock(&cell);
            let settled = content.settled.clone();
            let failed = std::mem::replace(&mut content.current, settled);
            // Dropped without the lock: it may be the last handle of a long history.
            drop(content);
            drop(failed);
        }
    }
}

/// Hooks and the collected gradient belong to the cell's tensor, whichever that is.
fn adopt_leaf(tensor: &Tensor, before: &Tensor) {
    if let (Ok(node), Ok(before)) = (tensor.node(), before.node()) {
        node.adopt_leaf(before);
    }
}

fn is_node(tensor: &Tensor, node: &Arc<Node>) -> bool {
    tensor.node().is_ok_and(|n| Arc::ptr_eq(n, node))
}

fn lock(shared: &Shared) -> MutexGuard<'_, Content> {
    let content = shared.content.lock();
    content.unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for TensorCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TensorCell({})", self.content().describe())
    }
}
