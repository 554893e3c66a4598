//! Moving tensors between devices.
//!
//! A transfer is a node of its own at which tracing stops: its operand is computed on the device where it lies, and its
//! value copied. Where gradients flow, the copy is the value of a function whose backward is the transfer back, which
//! cuts the gradient in two as every such function does. So no program ever knows of more than one device.

use super::{Device, Places};
use crate::autograd::{Context, CustomFunction, custom_function, grad_enabled};
use crate::engine::recording_body;
use crate::error::{Error, ErrorKind, OperandNote, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Node, Operand, Operands, Recorded, Tensor, Traits, with_traits};
use smallvec::smallvec;
use std::sync::Arc;

/// A transfer as a function with a backward.
struct Transfer {
    from: Device,
    to: Device,
}

impl CustomFunction for Transfer {
    fn forward(&self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![inputs[0].moved(self.to)])
    }

    fn backward(&self, _: &Context, cotangents: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![Some(cotangents[0].to(self.from))])
    }

    fn jvp(&self, _: &Context, tangents: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![tangents[0].to(self.to)])
    }
}

impl Tensor {
    /// The device this tensor lives on, or is computed on. Tensors made of numbers alone belong to none, and are
    /// computed wherever they are needed; of them it is the processor.
    pub fn device(&self) -> Result<Device> {
        Ok(self.places()?.device().unwrap_or_default())
    }

    pub(crate) fn places(&self) -> Result<Places> {
        Ok(self.node()?.traits.places)
    }

    /// The tensor on a device: itself if it lives there, else a copy, through which gradients flow back.
    ///
    /// ```no_run
    /// use lazulite::{Device, prelude::*};
    /// let x = Tensor::randn([3]).with_grad();
    /// let loss = x.to(Device::cuda(0)?).square().sum(..);     // computed on the GPU
    /// loss.backward()?;
    /// assert_eq!(x.grad().expect("x was reached").device()?, Device::cpu());
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn to(&self, device: Device) -> Tensor {
        let _scope = Scope::pin();
        let Ok(node) = &self.0 else {
            return self.clone();
        };
        let places = node.traits.places;
        if places == Places::of(device) {
            return self.clone();
        }
        if recording_body() && node.traits.level > 0 {
            let message = "inside of a function that is recorded, tensors stay on its device";
            let error = Error::new(ErrorKind::Capture, "to", message).at(Place::here());
            let error = error.operand(self.note("self"));
            return Tensor::error(error.hint("move what goes into the function, or its results"));
        }
        let loose = places.is_none() || node.traits.constant;
        if loose && !self.is_realized() {
            return self.same(node.traits.grad).pinned_to(Places::of(device));
        }
        if !(node.traits.grad && grad_enabled()) {
            return self.moved(device);
        }
        let (from, to) = (places.device().unwrap_or_default(), device);
        let moved = custom_function(Transfer { from, to }, &[self]).pop();
        moved.unwrap_or_else(|| self.clone())
    }

    /// The copy, through which no gradients flow.
    #[track_caller]
    fn moved(&self, device: Device) -> Tensor {
        let Ok(node) = &self.0 else {
            return self.clone();
        };
        let traits = Traits {
            heavy: true,
            level: node.traits.level,
            places: Places::of(device),
            ..Traits::default()
        };
        let operands = smallvec![Operand::Node(node.clone())];
        let recorded = Recorded::Move(device);
        Tensor(Ok(with_traits(recorded, node.ty.clone(), operands, traits)))
    }

    /// The same tensor, which was recorded just now and nobody else has, at a place.
    pub(crate) fn pinned_to(mut self, places: Places) -> Tensor {
        if let Ok(node) = &mut self.0
            && let Some(node) = Arc::get_mut(node)
        {
            node.traits.places = places;
        }
        self
    }

    /// The same tensor, made of numbers or draws just now, where this thread makes tensors.
    pub(crate) fn pinned_here(self) -> Tensor {
        self.pinned_to(Places::of(Device::here()))
    }
}

/// The one device of operands that seem to lie on several. Numbers, and tensors of one element on the processor, go to
/// where the others are; if these do not agree, that is the user's mistake.
#[cold]
#[track_caller]
pub(crate) fn reconcile(op: &'static str, operands: &mut Operands) -> Result<Places> {
    let single = |n: &Node| n.ty.rank() == 0 && n.traits.places == Places::HOST;
    let mut decided = Places::NONE;
    let nodes = || operands.iter().filter_map(Operand::node);
    for node in nodes().filter(|n| !n.traits.constant && !single(n)) {
        decided = decided.join(node.traits.places);
    }
    if decided.is_none() {
        // Of several constants that were made on different devices the first one decides.
        let all = nodes().map(|n| n.traits.places);
        decided = all.fold(Places::NONE, |a, b| if a.is_none() { b } else { a });
    }
    let Some(device) = decided.device() else {
        return Err(apart(op, operands));
    };
    for operand in operands.iter_mut() {
        let Operand::Node(node) = operand else {
            continue;
        };
        let moves = single(node) && !node.traits.constant && decided != Places::HOST;
        if moves && node.traits.level == 0 {
            *node = Tensor(Ok(node.clone())).to(device).node()?.clone();
        }
    }
    Ok(decided)
}

/// The error of operands on different devices.
#[track_caller]
fn apart(op: &'static str, operands: &Operands) -> Error {
    let mut found: Vec<(Device, &Arc<Node>)> = Vec::new();
    for node in operands.iter().filter_map(Operand::node) {
        if let Some(device) = node.traits.places.device()
            && !node.traits.constant
            && found.iter().all(|(d, _)| *d != device)
        {
            found.push((device, node));
        }
    }
    let names: Vec<String> = found.iter().map(|(d, _)| d.to_string()).collect();
    let message = format!("the operands lie on {}", names.join(" and "));
    let mut error = Error::new(ErrorKind::Device, op, message).at(Place::here());
    for (device, node) in &found {
        error = error.operand(OperandNote {
            role: "operand",
            ty: format!("{} on {device}", node.ty),
            place: Some(node.place),
        });
    }
    error.hint("bring them to one device with `.to(device)`")
}
