//! What modules hold: parameters, buffers, and whether they are being trained.

use crate::cell::TensorCell;
use crate::error::Result;
use crate::tensor::Tensor;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A trainable tensor. Clones are the same parameter.
#[derive(Clone, Debug)]
pub struct Param {
    cell: TensorCell,
}

impl Param {
    /// A parameter that starts as `tensor`, and needs a gradient.
    #[track_caller]
    pub fn new(tensor: Tensor) -> Param {
        Param {
            cell: TensorCell::new(tensor.detach().with_grad()),
        }
    }

    /// What it holds.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        self.cell.get()
    }

    /// Gives it another value, without history. It needs a gradient afterwards if it did before.
    #[track_caller]
    pub fn set(&self, tensor: Tensor) -> Result<()> {
        self.cell.set(tensor)
    }

    /// The gradient collected by [`Tensor::backward`].
    pub fn grad(&self) -> Option<Tensor> {
        self.cell.content().grad()
    }

    /// Forgets the collected gradient.
    pub fn zero_grad(&self) {
        self.cell.content().zero_grad();
    }

    /// True if it is trained.
    pub fn requires_grad(&self) -> bool {
        self.cell.content().requires_grad()
    }

    /// Makes it trained, or frozen.
    #[track_caller]
    pub fn requires_grad_(&self, needed: bool) {
        let mut content = self.cell.content();
        content.requires_grad_(needed);
        self.cell.replace(content);
    }

    /// True for handles of the same parameter.
    pub fn is(&self, other: &Param) -> bool {
        self.cell.is(&other.cell)
    }

    /// Where it lies: the same for handles of the same parameter, and for no other.
    pub(crate) fn address(&self) -> usize {
        self.cell.address()
    }

    /// Its path in the model, for example `encoder.0.weight`; empty before anyone asked the model for
    /// its parameters or state.
    pub fn path(&self) -> &str {
        self.cell.name().unwrap_or("")
    }

    pub(super) fn set_path(&self, path: &str) {
        self.cell.set_name(path);
    }

    /// The path of the module that holds it, or else `kind`.
    pub(super) fn owner(&self, kind: &'static str) -> &str {
        self.path()
            .rsplit_once('.')
            .map_or(kind, |(owner, _)| owner)
    }
}

/// A tensor that belongs to the state of a module and is not trained.
#[derive(Clone, Debug)]
pub struct Buffer {
    cell: TensorCell,
}

impl Buffer {
    /// A buffer that starts as `tensor`.
    #[track_caller]
    pub fn new(tensor: Tensor) -> Buffer {
        Buffer::of(TensorCell::new(tensor.detach()))
    }

    /// A cell as a buffer.
    pub(crate) fn of(cell: TensorCell) -> Buffer {
        Buffer { cell }
    }

    pub(super) fn set_path(&self, path: &str) {
        self.cell.set_name(path);
    }

    /// What it holds.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        self.cell.get()
    }

    /// Gives it another value.
    #[track_caller]
    pub fn set(&self, tensor: Tensor) -> Result<()> {
        self.cell.set(tensor.detach())
    }
}

/// Whether a module is being trained; modules start that way. Clones share it.
#[derive(Clone, Debug)]
pub struct Mode(Arc<AtomicBool>);

impl Default for Mode {
    fn default() -> Mode {
        Mode(Arc::new(AtomicBool::new(true)))
    }
}

impl Mode {
    /// True while being trained.
    pub fn is_training(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Trains, or not.
    pub fn train(&self, training: bool) {
        self.0.store(training, Relaxed);
    }
}
