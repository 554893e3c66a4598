//! Gradients that are collected with the tensors themselves.

use super::gradient::{Sweep, not_smooth};
use super::leaf::HookHandle;
use super::mode::no_grad;
use crate::engine;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Node, Tensor, realize_all};
use lazulite_ir::DType;
use std::sync::Arc;

/// What [`Tensor::backward_with`] takes.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct BackwardOptions {
    /// The cotangent of the result; one if there is none.
    pub cotangent: Option<Tensor>,
    /// Tensors to collect gradients for; all that are reached if there are none.
    pub inputs: Vec<Tensor>,
}

impl Tensor {
    /// True if gradients flow to this tensor.
    pub fn requires_grad(&self) -> bool {
        self.0.as_ref().is_ok_and(|node| node.traits.grad)
    }

    /// True for element types that have gradients.
    pub(crate) fn is_differentiable(&self) -> bool {
        self.dtype().is_ok_and(DType::is_inexact)
    }

    /// This tensor, needing a gradient. Tensors that need one already are the same afterwards.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let w = Tensor::randn([3]).with_grad();
    /// (&w * 2.0).sum(..).backward()?;
    /// assert_eq!(w.grad().expect("w was reached").to_vec::<f32>()?, [2.0; 3]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("requires_grad"))]
    #[track_caller]
    pub fn with_grad(mut self) -> Tensor {
        self.requires_grad_(true);
        self
    }

    /// Makes this tensor need a gradient, or not. It rebinds the handle: what was computed from the
    /// tensor before does not change.
    #[track_caller]
    pub fn requires_grad_(&mut self, needed: bool) -> &mut Tensor {
        if self.requires_grad() == needed || self.check().is_err() {
            return self;
        }
        *self = if needed && !self.is_differentiable() {
            Tensor::error(
                not_smooth("requires_grad_")
                    .at(Place::here())
                    .operand(self.note("self")),
            )
        } else {
            self.same(needed)
        };
        self
    }

    /// The value without its history: no gradient flows back through the result.
    #[track_caller]
    pub fn detach(&self) -> Tensor {
        if self.requires_grad() {
            self.same(false)
        } else {
            self.clone()
        }
    }

    /// As [`detach`](Tensor::detach), in place: the handle is rebound.
    #[track_caller]
    pub fn detach_(&mut self) -> &mut Tensor {
        *self = self.detach();
        self
    }

    /// True for tensors that were not computed from others through which gradients flow.
    pub fn is_leaf(&self) -> bool {
        let Ok(node) = &self.0 else {
            return true;
        };
        let operands = node.operands();
        !node.traits.grad
            || !operands
                .iter()
                .any(|o| o.node().is_some_and(|n| n.traits.grad))
    }

    /// The gradient collected by [`backward`](Tensor::backward).
    pub fn grad(&self) -> Option<Tensor> {
        self.0.as_ref().ok()?.known_leaf()?.gradient()
    }

    /// Puts a gradient in the place of the collected one.
    #[track_caller]
    pub fn set_grad(&self, gradient: Option<Tensor>) -> Result<()> {
        let node = self.node()?;
        let gradient = match gradient {
            Some(gradient) => Some(super::gradient::fitting("set_grad", gradient, node)?),
            None => None,
        };
        node.leaf().set_gradient(gradient);
        Ok(())
    }

    /// Forgets the collected gradient.
    pub fn zero_grad(&self) {
        if let Some(leaf) = self.0.as_ref().ok().and_then(|n| n.known_leaf()) {
            leaf.set_gradient(None);
        }
    }

    /// Asks [`backward`](Tensor::backward) to collect the gradient of this tensor although it is
    /// computed from others.
    pub fn retain_grad(&self) {
        if let Ok(node) = &self.0 {
            node.leaf().retain();
        }
    }

    /// Calls `hook` with the gradient of this tensor whenever it is computed; what it returns takes
    /// the gradient's place, also for the tensors that this one is computed from.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::ones([2]).with_grad();
    /// let hook = x.register_hook(|gradient| Some(gradient * 10.0))?;
    /// x.sum(..).backward()?;
    /// assert_eq!(x.grad().expect("x was reached").to_vec::<f32>()?, [10.0, 10.0]);
    /// hook.remove();
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn register_hook(
        &self,
        hook: impl Fn(&Tensor) -> Option<Tensor> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        let node = self.node()?;
        if !node.traits.grad {
            let message = "the tensor does not need a gradient";
            return Err(Error::new(ErrorKind::Gradient, "register_hook", message)
                .at(Place::here())
                .operand(self.note("self")));
        }
        Ok(node.leaf().add_hook(Arc::new(hook)))
    }

    /// Computes this tensor, which must have one element, and the gradients of all tensors it depends
    /// on that need one, and adds them to what these have collected, in one program. See
    /// [`Tensor::grad`].
    #[track_caller]
    pub fn backward(&self) -> Result<()> {
        self.backward_with(&BackwardOptions::default())
    }

    /// As [`backward`](Tensor::backward), with a cotangent, or for chosen tensors only.
    #[track_caller]
    pub fn backward_with(&self, options: &BackwardOptions) -> Result<()> {
        let _scope = Scope::pin();
        if engine::capturing() || engine::recording_body() {
            let message = "inside a captured function nothing is computed, so nothing is collected";
            return Err(Error::new(ErrorKind::Capture, "backward", message)
                .at(Place::here())
                .hint("use `grad`, whose results can be returned"));
        }
        no_grad(|| {
            let sweep = Sweep::new(&[self], std::slice::from_ref(&options.cotangent));
            let sweep = sweep.map_err(|e| e.renamed("grad", "backward"))?;
            let wanted: Vec<Arc<Node>> = if options.inputs.is_empty() {
                let reached = sweep.reach.leaves.iter().chain(&sweep.reach.retained);
                reached.cloned().collect()
            } else {
                chosen(&options.inputs, &sweep)?
            };
            let gradients = sweep.gradients(&wanted);
            let sums: Vec<Tensor> = { wanted.iter().zip(gradients) }
                .map(
                    |(node, new)| match node.known_leaf().and_then(|l| l.gradient()) {
                        Some(before) => before + new,
                        None => new,
                    },
                )
                .collect();
            let computed: Vec<&Tensor> = std::iter::once(self).chain(&sums).collect();
            realize_all(&computed)?;
            for (node, sum) in wanted.iter().zip(sums) {
                node.leaf().set_gradient(Some(sum));
            }
            Ok(())
        })
    }
}

#[track_caller]
fn chosen(inputs: &[Tensor], sweep: &Sweep) -> Result<Vec<Arc<Node>>> {
    let mut nodes = Vec::with_capacity(inputs.len());
    for input in inputs {
        let node = input.node()?;
        if !sweep.reach.contains(node) {
            let message = "the result does not depend on this tensor";
            return Err(Error::new(ErrorKind::Gradient, "backward", message)
                .at(Place::here())
                .operand(input.note("input")));
        }
        nodes.push(node.clone());
    }
    Ok(nodes)
}
