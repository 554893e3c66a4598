//! What modules hold: parameters, buffers, and whether they are being trained.

use crate::autograd::Graded;
use crate::cell::TensorCell;
use crate::device::Device;
use crate::error::{Error, ErrorKind, OperandNote, Result};
use crate::location::{Place, Scope};
use crate::tensor::Tensor;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a lazy layer starts with, once it is known how many inputs it has.
type Start = Box<dyn FnOnce(usize) -> Tensor + Send>;

/// What is still to be done to a parameter or buffer whose sizes the first call decides; nothing for all
/// others. Clones share it.
#[derive(Clone, Default)]
struct Pending(Option<Arc<Mutex<Unstarted>>>);

struct Unstarted {
    /// Nothing once that has happened.
    start: Option<Start>,
    /// Somebody does not want it to be trained.
    frozen: bool,
}

impl Pending {
    fn new(start: impl FnOnce(usize) -> Tensor + Send + 'static) -> Pending {
        Pending(Some(Arc::new(Mutex::new(Unstarted {
            start: Some(Box::new(start)),
            frozen: false,
        }))))
    }

    fn lock(&self) -> Option<MutexGuard<'_, Unstarted>> {
        let pending = self.0.as_ref()?;
        Some(pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_open(&self) -> bool {
        self.lock().is_some_and(|pending| pending.start.is_some())
    }

    fn freeze(&self, frozen: bool) {
        if let Some(mut pending) = self.lock() {
            pending.frozen = frozen;
        }
    }

    /// What is to be done, which is nothing from now on.
    fn close(&self) -> Option<Start> {
        self.lock()?.start.take()
    }

    /// A parameter's first value.
    #[track_caller]
    fn trained(&self, tensor: Tensor) -> Tensor {
        let frozen = self.lock().is_some_and(|pending| pending.frozen);
        match frozen {
            true => tensor.detach(),
            false => tensor.detach().with_grad(),
        }
    }

    /// What stands in the place of a tensor without sizes.
    #[track_caller]
    fn stand_in() -> Tensor {
        let message = "the sizes of a lazy layer are not known before its first call";
        let error = Error::new(ErrorKind::Argument, "lazy layer", message).at(Place::here());
        Tensor::error(error.hint("call the layer once, or load a state"))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pending({})", self.is_open())
    }
}

/// A trainable tensor. Clones are the same parameter.
#[derive(Clone, Debug)]
pub struct Param {
    cell: TensorCell,
    pending: Pending,
    made: Place,
}

impl Param {
    /// A parameter that starts as `tensor`, and needs a gradient.
    #[track_caller]
    pub fn new(tensor: Tensor) -> Param {
        Param {
            cell: TensorCell::new(tensor.detach().with_grad()),
            pending: Pending::default(),
            made: Place::here(),
        }
    }

    /// A parameter that carries an error until the first call of its layer tells the number of inputs.
    #[track_caller]
    pub(super) fn lazy(start: impl FnOnce(usize) -> Tensor + Send + 'static) -> Param {
        Param {
            cell: TensorCell::new(Pending::stand_in()),
            pending: Pending::new(start),
            made: Place::here(),
        }
    }

    /// Starts a lazy parameter for so many inputs.
    #[track_caller]
    pub(super) fn settle(&self, inputs: usize) {
        // What starts it is a closure, through which callers are not tracked.
        let _scope = Scope::pin();
        if let Some(start) = self.pending.close() {
            self.cell.replace(self.pending.trained(start(inputs)));
        }
    }

    /// True for parameters of lazy layers before the first call.
    pub fn is_pending(&self) -> bool {
        self.pending.is_open()
    }

    /// What it holds.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        self.cell.get()
    }

    /// Gives it another value, without history. It needs a gradient afterwards if it did before.
    #[track_caller]
    pub fn set(&self, tensor: Tensor) -> Result<()> {
        if self.is_pending() {
            tensor.check()?;
            self.pending.close();
            self.cell.replace(self.pending.trained(tensor));
            return Ok(());
        }
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
        self.pending.freeze(!needed);
        self.cell.change(|mut content| {
            content.requires_grad_(needed);
            content
        });
    }

    /// Moves its value to a device.
    #[track_caller]
    pub(super) fn move_to(&self, device: Device) -> Result<()> {
        self.cell.move_to(device)
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

    /// Opens the scope of the layer that holds it: its path, where the model was asked for its parameters, and its
    /// kind.
    #[track_caller]
    pub(super) fn scope(&self, kind: &str) -> Scope {
        match self.path().rsplit_once('.') {
            Some((owner, _)) => Scope::open(&format!("{owner}: {kind}")),
            None => Scope::open(kind),
        }
    }

    /// The layer that holds it, to be shown with an error.
    pub(super) fn layer(&self, layer: String) -> OperandNote {
        OperandNote {
            role: "layer",
            ty: layer,
            place: Some(self.made),
        }
    }
}

impl Graded for Param {
    fn graded(&self) -> Tensor {
        self.cell.content()
    }
}

/// A tensor that belongs to the state of a module and is not trained.
#[derive(Clone, Debug)]
pub struct Buffer {
    cell: TensorCell,
    pending: Pending,
}

impl Buffer {
    /// A buffer that starts as `tensor`.
    #[track_caller]
    pub fn new(tensor: Tensor) -> Buffer {
        Buffer::of(TensorCell::new(tensor.detach()))
    }

    /// A cell as a buffer.
    fn of(cell: TensorCell) -> Buffer {
        let pending = Pending::default();
        Buffer { cell, pending }
    }

    /// A buffer that carries an error until the first call of its layer tells the number of inputs.
    #[track_caller]
    pub(super) fn lazy(start: impl FnOnce(usize) -> Tensor + Send + 'static) -> Buffer {
        Buffer {
            pending: Pending::new(start),
            ..Buffer::of(TensorCell::new(Pending::stand_in()))
        }
    }

    /// Starts a lazy buffer for so many inputs.
    #[track_caller]
    pub(super) fn settle(&self, inputs: usize) {
        let _scope = Scope::pin();
        if let Some(start) = self.pending.close() {
            self.cell.replace(start(inputs).detach());
        }
    }

    /// True for buffers of lazy layers before the first call.
    pub fn is_pending(&self) -> bool {
        self.pending.is_open()
    }

    /// Where it is kept.
    pub(super) fn cell(&self) -> &TensorCell {
        &self.cell
    }

    pub(super) fn set_path(&self, path: &str) {
        self.cell.set_name(path);
    }

    /// Moves its value to a device.
    #[track_caller]
    pub(super) fn move_to(&self, device: Device) -> Result<()> {
        self.cell.move_to(device)
    }

    /// What it holds.
    #[track_caller]
    pub fn get(&self) -> Tensor {
        self.cell.get()
    }

    /// Gives it another value.
    #[track_caller]
    pub fn set(&self, tensor: Tensor) -> Result<()> {
        if self.is_pending() {
            tensor.check()?;
            self.pending.close();
            self.cell.replace(tensor.detach());
            return Ok(());
        }
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
    pub fn set_training(&self, training: bool) {
        self.0.store(training, Relaxed);
    }
}
