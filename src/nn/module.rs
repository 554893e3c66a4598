//! Modules: named trees of parameters and buffers.

use super::param::{Buffer, Mode, Param};
use super::state::StateDict;
use crate::device::Device;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::Tensor;
use crate::train::CHECKPOINT_MARK;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// What a module consists of.
#[derive(Clone, Copy)]
enum Part<'a> {
    Param(&'a Param),
    Buffer(&'a Buffer),
    Mode(&'a Mode),
}

/// What sees the parts of a module, with their paths.
pub struct Visitor<'a> {
    path: String,
    see: &'a mut dyn FnMut(&str, Part<'_>),
}

impl Visitor<'_> {
    /// Shows the part called `name`.
    pub fn part<M: Module + ?Sized>(&mut self, name: &str, part: &M) {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        part.visit(self);
        self.path.truncate(before);
    }
}

/// A tree of parameters, buffers and other modules. Derive it: `#[derive(Module)]`. What a module trains it holds as
/// [`Param`]s, other tensors as [`Buffer`]s; numbers, strings and other settings have no state.
///
/// ```
/// use lazulite::nn::{Buffer, Param};
/// use lazulite::prelude::*;
///
/// #[derive(Module)]
/// struct Scaled {
///     factor: Param,
///     offset: Buffer,
///     name: String,
/// }
///
/// impl Layer for Scaled {
///     fn forward(&self, x: &Tensor) -> Tensor {
///         x * self.factor.get() + self.offset.get()
///     }
/// }
///
/// let (factor, offset) = (Param::new(Tensor::ones([2])), Buffer::new(Tensor::zeros([2])));
/// let layer = Scaled { factor, offset, name: "scaled".into() };
/// assert_eq!(layer.parameters().len(), 1);
/// assert!(layer.state_dict().keys().eq(["factor", "offset"]));
/// assert_eq!(layer.forward(&Tensor::ones([2])).dims()?, [2]);
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// A tensor by itself is neither, so the compiler asks which it is:
///
/// ```compile_fail
/// # use lazulite::prelude::*;
/// #[derive(Module)]
/// struct Scaled {
///     factor: Tensor,     // `Tensor` cannot be part of a module
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a module",
    label = "neither a module, nor a parameter, buffer or plain setting",
    note = "a tensor is held as `nn::Param` if it is trained, and as `nn::Buffer` if not",
    note = "structs of modules derive it: `#[derive(Module)]`; fields without state are marked `#[module(skip)]`"
)]
pub trait Module {
    /// Shows every part to the visitor, in order.
    fn visit(&self, visitor: &mut Visitor<'_>);

    /// The parameters with their paths, in order. One that occurs twice is named once.
    fn named_parameters(&self) -> Vec<(String, Param)> {
        let mut found: Vec<(String, Param)> = Vec::new();
        see(self, &mut |path, part| {
            if let Part::Param(param) = part
                && !found.iter().any(|(_, known)| known.is(param))
            {
                found.push((path.to_string(), param.clone()));
            }
        });
        found
    }

    /// The parameters, in order.
    fn parameters(&self) -> Vec<Param> {
        let named = self.named_parameters().into_iter();
        named.map(|(_, param)| param).collect()
    }

    /// The buffers with their paths, in order.
    fn named_buffers(&self) -> Vec<(String, Buffer)> {
        let mut found = Vec::new();
        see(self, &mut |path, part| {
            if let Part::Buffer(buffer) = part {
                found.push((path.to_string(), buffer.clone()));
            }
        });
        found
    }

    /// The number of trainable numbers.
    fn parameter_count(&self) -> Result<usize> {
        self.parameters().iter().map(|p| p.get().numel()).sum()
    }

    /// All parameters and buffers by path.
    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        see(self, &mut |path, part| {
            let tensor = match part {
                Part::Param(param) => param.get().detach(),
                Part::Buffer(buffer) => buffer.get(),
                Part::Mode(_) => return,
            };
            state.insert(path.to_string(), tensor);
        });
        state
    }

    /// The first error that a parameter or buffer carries: that of a layer which cannot be built as asked,
    /// or of a lazy one that has not been called.
    fn check(&self) -> Result<()> {
        let state = self.state_dict();
        state.values().try_for_each(Tensor::check)
    }

    /// Takes over parameters and buffers. Names and shapes must be those of the module; otherwise
    /// nothing changes. Lazy layers that have not been called take over any sizes.
    #[track_caller]
    fn load_state_dict(&self, state: &StateDict) -> Result<()> {
        let mut own = self.state_dict();
        see(self, &mut |path, part| {
            let pending = match part {
                Part::Param(param) => param.is_pending(),
                Part::Buffer(buffer) => buffer.is_pending(),
                Part::Mode(_) => false,
            };
            if let Some(tensor) = state.get(path).filter(|_| pending) {
                own.insert(path.to_string(), tensor.clone());
            }
        });
        let hint = "the module must be built as the one that was saved";
        check_state(&own, state, "module", hint)?;
        let mut outcome = Ok(());
        see(self, &mut |path, part| {
            let Some(tensor) = state.get(path) else {
                return;
            };
            let set = match part {
                Part::Param(param) => param.set(tensor.detach().type_as(&own[path])),
                Part::Buffer(buffer) => buffer.set(tensor.type_as(&own[path])),
                Part::Mode(_) => Ok(()),
            };
            if let (Ok(()), Err(e)) = (&outcome, set) {
                outcome = Err(e);
            }
        });
        outcome
    }

    /// Writes all parameters and buffers to a file, whole or not at all. Its name tells the format: `.safetensors`,
    /// which other tools read, `.npz` or `.json`. Of `dyn Module`s the [`state_dict`](Module::state_dict) can be
    /// saved.
    ///
    /// ```
    /// use lazulite::nn::Linear;
    /// use lazulite::prelude::*;
    ///
    /// let path = std::env::temp_dir().join("lazulite-doc-module.safetensors");
    /// let (trained, other) = (Linear::new(3, 2), Linear::new(3, 2));
    /// trained.save(&path)?;
    /// other.load(&path)?;
    ///
    /// let x = Tensor::randn([1, 3]);
    /// assert!(trained.forward(&x).equal(&other.forward(&x))?);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`save_tensors`](crate::save_tensors).
    #[track_caller]
    fn save(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        let _scope = Scope::pin();
        self.state_dict().save(path)
    }

    /// Takes over all parameters and buffers from a file, as [`load_state_dict`](Module::load_state_dict) does.
    ///
    /// # Errors
    /// When the file cannot be read, or what it holds does not fit; nothing has changed then.
    #[track_caller]
    fn load(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        let _scope = Scope::pin();
        let path = path.as_ref();
        let state = StateDict::load(path)?;
        if state.contains_key(CHECKPOINT_MARK) {
            let message = "this is a checkpoint, and not the state of a module";
            let error = Error::new(ErrorKind::File, "load", message).at(Place::here());
            return Err(error
                .about(path.display())
                .hint("use `Checkpoint::load`, which gives the model's state with the others"));
        }
        let loaded = self.load_state_dict(&state);
        loaded.map_err(|e| e.about(path.display()))
    }

    /// Moves all parameters and buffers to a device. Optimisers are made afterwards: what they keep lies where the
    /// parameters do. Lazy layers must have been called.
    ///
    /// ```no_run
    /// use lazulite::{Device, nn::*, prelude::*};
    /// let gpu = Device::cuda(0)?;
    /// let layer = Linear::new(4, 2);
    /// layer.to(gpu)?;
    /// assert_eq!(layer.forward(&Tensor::ones([3, 4]).to(gpu)).device()?, gpu);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a parameter or buffer carries an error, cannot be computed, or there is no memory for it. Those before it
    /// have been moved then.
    #[track_caller]
    fn to(&self, device: Device) -> Result<()> {
        let _scope = Scope::pin();
        let mut outcome = Ok(());
        see(self, &mut |_, part| {
            let moved = match part {
                Part::Param(param) => param.move_to(device),
                Part::Buffer(buffer) => buffer.move_to(device),
                Part::Mode(_) => return,
            };
            if let (Ok(()), Err(e)) = (&outcome, moved) {
                outcome = Err(e);
            }
        });
        outcome
    }

    /// Trains from now on: dropout drops, statistics move. Modules start that way.
    ///
    /// ```
    /// use lazulite::nn::Dropout;
    /// use lazulite::prelude::*;
    /// let (layer, x) = (Dropout::new(0.5), Tensor::ones([2]));
    /// layer.eval();
    /// assert_eq!(layer.forward(&x).to_vec::<f32>()?, [1.0, 1.0]);
    /// layer.train();
    /// assert!(layer.forward(&x).to_vec::<f32>()?.iter().all(|v| [0.0, 2.0].contains(v)));
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    fn train(&self) {
        self.set_training(true);
    }

    /// Does not train from now on.
    fn eval(&self) {
        self.set_training(false);
    }

    /// Trains from now on, or not.
    fn set_training(&self, training: bool) {
        see(self, &mut |_, part| {
            if let Part::Mode(mode) = part {
                mode.set_training(training);
            }
        });
    }

    /// Forgets collected gradients.
    fn zero_grad(&self) {
        self.parameters().iter().for_each(Param::zero_grad);
    }

    /// Trains all parameters, or freezes them.
    fn requires_grad_(&self, needed: bool) {
        for param in self.parameters() {
            param.requires_grad_(needed);
        }
    }
}

/// Names in a message.
fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    some_of(&names, ", ")
}

/// As many of these as a message should have.
fn some_of(all: &[String], between: &str) -> String {
    const MOST: usize = 8;
    let shown = all[..all.len().min(MOST)].join(between);
    match all.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Shows every part to `see`. Whoever visits a model tells its parameters and buffers their paths.
fn see<M: Module + ?Sized>(module: &M, see: &mut dyn FnMut(&str, Part<'_>)) {
    module.visit(&mut Visitor {
        path: String::new(),
        see: &mut |path, part| {
            match part {
                Part::Param(param) => param.set_path(path),
                Part::Buffer(buffer) => buffer.set_path(path),
                Part::Mode(_) => {}
            }
            see(path, part);
        },
    });
}

/// A module from one tensor to one.
pub trait Layer: Module {
    /// The result.
    fn forward(&self, x: &Tensor) -> Tensor;
}

impl Module for Param {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (visitor.see)(&visitor.path, Part::Param(self));
    }
}

impl Module for Buffer {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (visitor.see)(&visitor.path, Part::Buffer(self));
    }
}

impl Module for Mode {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (visitor.see)(&visitor.path, Part::Mode(self));
    }
}

impl<M: Module> Module for Option<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        if let Some(module) = self {
            module.visit(visitor);
        }
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (**self).visit(visitor);
    }
}

impl<M: Module + ?Sized> Module for Arc<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        (**self).visit(visitor);
    }
}

impl<M: Module> Module for Vec<M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.as_slice().visit(visitor);
    }
}

impl<M: Module, const N: usize> Module for [M; N] {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.as_slice().visit(visitor);
    }
}

impl<M: Module> Module for [M] {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (i, module) in self.iter().enumerate() {
            visitor.part(&i.to_string(), module);
        }
    }
}

impl<M: Module> Module for BTreeMap<String, M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for (name, module) in self {
            visitor.part(name, module);
        }
    }
}

impl<M: Module> Module for HashMap<String, M> {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let mut sorted: Vec<_> = self.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, module) in sorted {
            visitor.part(name, module);
        }
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        (**self).forward(x)
    }
}

impl<L: Layer + ?Sized> Layer for Arc<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        (**self).forward(x)
    }
}

/// Settings of modules have no state.
macro_rules! stateless {
    ($($type:ty),* $(,)?) => {$(
        impl Module for $type {
            fn visit(&self, _: &mut Visitor<'_>) {}
        }
    )*};
}

stateless!(
    (),
    bool,
    char,
    String,
    &str,
    f32,
    f64,
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    crate::ConvOptions,
    crate::Number,
    crate::PadMode,
    crate::PoolOptions,
    crate::Reduction,
    crate::ResampleMode,
    fn(&Tensor) -> Tensor,
);

/// Whether a state has the names and sizes of the own one of a module, or of another `owner`.
#[track_caller]
pub(crate) fn check_state(
    own: &StateDict,
    state: &StateDict,
    owner: &str,
    hint: &str,
) -> Result<()> {
    let missing: Vec<&str> = { own.keys() }
        .filter(|k| !state.contains_key(*k))
        .map(String::as_str)
        .collect();
    let unknown: Vec<&str> = { state.keys() }
        .filter(|k| !own.contains_key(*k))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() || !unknown.is_empty() {
        let parts = [
            ("the state lacks".to_string(), missing),
            (format!("the {owner} does not have"), unknown),
        ];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let parts = parts.map(|(what, names)| format!("{what} {}", listed(&names)));
        let message = parts.collect::<Vec<_>>().join("; ");
        return Err(Error::new(ErrorKind::Argument, "load_state_dict", message)
            .at(Place::here())
            .hint(hint));
    }
    let mut misfits = Vec::new();
    for (path, tensor) in state {
        let (have, given) = (own[path].dims()?, tensor.dims()?);
        if have != given {
            misfits.push(format!(
                "`{path}` has sizes {have:?}, the state has {given:?}"
            ));
        }
    }
    if !misfits.is_empty() {
        let message = some_of(&misfits, "; ");
        return Err(Error::new(ErrorKind::Shape, "load_state_dict", message)
            .at(Place::here())
            .hint(hint));
    }
    Ok(())
}
