//! Recording gradients, and asking for them.

use super::mode::set_grad_enabled;
use super::reach::{Reach, Stop, between};
use crate::device::Places;
use crate::engine::recording_body;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Node, Operand, Operands, Recorded, Tensor, items, record_node};
use std::sync::Arc;

/// How the operands of a gradient node are to be read: the ends with their cotangents, then the
/// tensors whose gradients are wanted.
#[derive(Clone, Debug)]
pub(crate) struct GradientSpec {
    pub ends: Vec<EndSpec>,
    /// Inside of a function: addresses of the nodes from outside of it on the way from the ends to the
    /// wanted tensors.
    pub outside: Vec<usize>,
}

/// An end that gradients flow from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndSpec {
    /// Its cotangent is the operand behind it; otherwise it is one.
    pub seeded: bool,
    /// The cotangent stands for all that flows into it.
    pub replaces: bool,
}

impl EndSpec {
    /// For cache keys.
    pub fn word(self) -> u64 {
        u64::from(self.seeded) | u64::from(self.replaces) << 1
    }
}

/// A tensor with the cotangent that flows into it from outside.
struct End {
    node: Arc<Node>,
    cotangent: Option<Tensor>,
    replaces: bool,
}

/// Gradients in the making: the ends grow while hooks and functions on the way are dealt with.
pub(crate) struct Sweep {
    ends: Vec<End>,
    pub reach: Reach,
}

impl Sweep {
    /// From results and their cotangents (ones where there are none).
    #[track_caller]
    pub fn new(outputs: &[&Tensor], cotangents: &[Option<Tensor>]) -> Result<Sweep> {
        let mut ends = Vec::with_capacity(outputs.len());
        for (i, output) in outputs.iter().enumerate() {
            let cotangent = cotangents.get(i).cloned().flatten();
            ends.push(end(output, cotangent)?);
        }
        let reach = Reach::from(ends.iter().map(|e| &e.node));
        let mut sweep = Sweep { ends, reach };
        sweep.pass_stops()?;
        Ok(sweep)
    }

    /// Lets hooks and functions with a backward of their own act on the gradients, from the
    /// results on.
    #[track_caller]
    fn pass_stops(&mut self) -> Result<()> {
        for stop in std::mem::take(&mut self.reach.stops) {
            match stop {
                Stop::Hooks(node) => {
                    let Some(mut gradient) = self.gradients(std::slice::from_ref(&node)).pop()
                    else {
                        continue;
                    };
                    let hooks = node.known_leaf().map(|l| l.hooks()).unwrap_or_default();
                    for hook in hooks {
                        if let Some(other) = hook(&gradient) {
                            gradient = fitting("register_hook", other, &node)?;
                        }
                    }
                    self.replace(node, gradient);
                }
                Stop::Function(function, results) => {
                    let gradients = self.gradients(&results);
                    let each = results.iter().cloned().zip(gradients.iter().cloned());
                    for (node, gradient) in each {
                        self.replace(node, gradient);
                    }
                    for (node, gradient) in function.pull(&results, gradients)? {
                        self.ends.push(End {
                            node,
                            cotangent: Some(gradient),
                            replaces: false,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn replace(&mut self, node: Arc<Node>, gradient: Tensor) {
        // What came in as an end of its own is part of the gradient that stands for all.
        self.ends
            .retain(|e| e.replaces || !Arc::ptr_eq(&e.node, &node));
        self.ends.push(End {
            node,
            cotangent: Some(gradient),
            replaces: true,
        });
    }

    /// Records the gradients of nodes that are reached: of those on each device from the ends there, since functions
    /// that move tensors have been dealt with.
    #[track_caller]
    pub fn gradients(&self, wrt: &[Arc<Node>]) -> Vec<Tensor> {
        let nodes = wrt.iter().chain(self.ends.iter().map(|e| &e.node));
        let places = nodes.map(|n| n.traits.places);
        if !places.fold(Places::NONE, Places::join).disagree() {
            return self.gradients_at(Places::NONE, wrt);
        }
        let mut found: Vec<Option<Tensor>> = vec![None; wrt.len()];
        while let Some(next) = found.iter().position(Option::is_none) {
            let here = wrt[next].traits.places;
            let together: Vec<usize> = (next..wrt.len())
                .filter(|&i| found[i].is_none() && wrt[i].traits.places == here)
                .collect();
            let nodes: Vec<Arc<Node>> = together.iter().map(|&i| wrt[i].clone()).collect();
            let gradients = self.gradients_at(here, &nodes);
            for (i, gradient) in together.into_iter().zip(gradients) {
                found[i] = Some(gradient);
            }
        }
        found.into_iter().flatten().collect()
    }

    /// As [`gradients`](Sweep::gradients), from the ends at a place.
    #[track_caller]
    fn gradients_at(&self, here: Places, wrt: &[Arc<Node>]) -> Vec<Tensor> {
        let Some(first) = wrt.first() else {
            return Vec::new();
        };
        let mut operands = Operands::new();
        let mut ends = Vec::with_capacity(self.ends.len());
        let wrong = |end: &End| {
            end.cotangent
                .as_ref()
                .and_then(|c| c.0.as_ref().err().cloned())
        };
        if let Some(error) = self.ends.iter().find_map(wrong) {
            return vec![Tensor::error(error); wrt.len()];
        }
        let near = |end: &&End| here.admits(end.node.traits.places);
        for end in self.ends.iter().filter(near) {
            operands.push(Operand::Node(end.node.clone()));
            let cotangent = end.cotangent.as_ref().and_then(|c| c.0.as_ref().ok());
            operands.extend(cotangent.map(|c| Operand::Node(c.clone())));
            ends.push(EndSpec {
                seeded: cotangent.is_some(),
                replaces: end.replaces,
            });
        }
        operands.extend(wrt.iter().cloned().map(Operand::Node));
        let outside = if recording_body() {
            between(self.ends.iter().filter(near).map(|e| &e.node), wrt)
        } else {
            Vec::new()
        };
        let spec = Recorded::Gradient(Box::new(GradientSpec { ends, outside }));
        match record_node("grad", spec, first.ty.clone(), operands, true) {
            Ok(all) => items(&all, wrt.iter().map(|node| node.ty.clone())),
            Err(e) => vec![Tensor::error(e); wrt.len()],
        }
    }
}

/// A checked end.
#[track_caller]
fn end(output: &Tensor, cotangent: Option<Tensor>) -> Result<End> {
    let node = output.node()?;
    let wrong = |kind, message: &str| {
        Error::new(kind, "grad", message)
            .at(Place::here())
            .operand(output.note("result"))
    };
    if !node.traits.grad {
        let error = wrong(
            ErrorKind::Gradient,
            "the result does not depend on any tensor that needs a gradient",
        );
        if node.traits.from_gradient {
            return Err(error.hint(AGAIN));
        }
        return Err(error.hint(
            "make the tensors need one with `with_grad()` before they are used, outside of `no_grad`",
        ));
    }
    let cotangent = match cotangent {
        Some(cotangent) => Some(fitting("grad", cotangent, node)?),
        None => {
            let single = node.ty.dims.iter().all(|d| d.is(1));
            if !single || node.ty.dtype.is_complex() {
                let error = wrong(
                    ErrorKind::Gradient,
                    "only results of one real element have a gradient without a cotangent",
                );
                return Err(
                    error.hint("sum it up, or give a cotangent: `backward_with`, `grad_with`")
                );
            }
            None
        }
    };
    Ok(End {
        node: node.clone(),
        cotangent,
        replaces: false,
    })
}

/// A cotangent in the type of the tensor it belongs to.
#[track_caller]
pub(crate) fn fitting(op: &'static str, cotangent: Tensor, node: &Arc<Node>) -> Result<Tensor> {
    let own = cotangent.node()?;
    let known = |dims: &[lazulite_ir::Dim]| dims.iter().all(|d| d.as_const().is_some());
    let differs = own.ty.dims != node.ty.dims && known(&own.ty.dims) && known(&node.ty.dims);
    if differs || own.ty.rank() != node.ty.rank() {
        let message = "the cotangent has other sizes than its tensor";
        return Err(Error::new(ErrorKind::Shape, op, message)
            .at(Place::here())
            .operand(cotangent.note("cotangent"))
            .operand(Tensor(Ok(node.clone())).note("tensor")));
    }
    Ok(cotangent.cast(node.ty.dtype))
}

/// How gradients are to be taken.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct GradOptions {
    /// Cotangents of the results, in order; ones where there is none.
    pub cotangents: Vec<Option<Tensor>>,
    /// The gradients can be differentiated in turn.
    pub create_graph: bool,
    /// Tensors that the results do not depend on have no gradient, which is no error then.
    pub allow_unused: bool,
}

impl GradOptions {
    /// No cotangents, no further gradients, and every tensor must be used.
    pub fn new() -> GradOptions {
        GradOptions::default()
    }

    /// With cotangents of all results.
    pub fn cotangents(mut self, cotangents: &[&Tensor]) -> GradOptions {
        self.cotangents = cotangents.iter().map(|t| Some((*t).clone())).collect();
        self
    }

    /// With gradients that can be differentiated, or without.
    pub fn create_graph(mut self, create_graph: bool) -> GradOptions {
        self.create_graph = create_graph;
        self
    }

    /// With unused tensors allowed, or not.
    pub fn allow_unused(mut self, allow_unused: bool) -> GradOptions {
        self.allow_unused = allow_unused;
        self
    }
}

/// The gradients of the sum of `outputs` with respect to `inputs`, which must need gradients. They are
/// lazy, as everything.
///
/// ```
/// use lazulite::{grad, prelude::*};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [3]).with_grad();
/// let loss = (&x * &x).sum(..);
/// let gradients = grad(&[&loss], &[&x])?;
/// assert_eq!(gradients[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn grad(outputs: &[&Tensor], inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let gradients = grad_with(outputs, inputs, &GradOptions::new())?;
    Ok(gradients.into_iter().flatten().collect())
}

/// As [`grad`], with options. A gradient is `None` only for a tensor that the results do not depend
/// on, when that is allowed.
///
/// ```
/// use lazulite::{GradOptions, grad_with, prelude::*};
/// let x = Tensor::full([2], 3.0).with_grad();
/// let first = grad_with(&[&(&x * &x * &x)], &[&x],
///     &GradOptions::new().cotangents(&[&Tensor::ones([2])]).create_graph(true))?;
/// let Some(first) = &first[0] else { panic!("x is used") };
/// let second = lazulite::grad(&[&first.sum(..)], &[&x])?;
/// assert_eq!(second[0].to_vec::<f32>()?, [18.0, 18.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn grad_with(
    outputs: &[&Tensor],
    inputs: &[&Tensor],
    options: &GradOptions,
) -> Result<Vec<Option<Tensor>>> {
    let _scope = Scope::pin();
    if outputs.is_empty() || inputs.is_empty() {
        let (outputs, inputs) = (outputs.len(), inputs.len());
        let message = format!("gradients of {outputs} results with respect to {inputs} tensors");
        return Err(Error::new(ErrorKind::Argument, "grad", message)
            .at(Place::here())
            .hint("there must be at least one of both"));
    }
    if !options.cotangents.is_empty() && options.cotangents.len() != outputs.len() {
        let (given, wanted) = (options.cotangents.len(), outputs.len());
        let message = format!("{given} cotangents were given for {wanted} results");
        return Err(Error::new(ErrorKind::Argument, "grad", message).at(Place::here()));
    }
    set_grad_enabled(options.create_graph, || {
        let sweep = Sweep::new(outputs, &options.cotangents)?;
        let mut used = Vec::new();
        for input in inputs {
            let node = input.node()?;
            if sweep.reach.contains(node) {
                used.push(node.clone());
            } else if !options.allow_unused {
                return Err(unused(input, node));
            }
        }
        let mut gradients = sweep.gradients(&used).into_iter();
        let each = inputs.iter().map(|input| {
            let node = input.node()?;
            Ok(if sweep.reach.contains(node) {
                gradients.next()
            } else {
                None
            })
        });
        each.collect()
    })
}

/// What to do about a gradient that has none itself.
const AGAIN: &str = "the result was computed from a gradient; take that with `grad_with` and `create_graph(true)` to \
                     take gradients of it";

#[track_caller]
fn unused(input: &Tensor, node: &Node) -> Error {
    let error = if node.traits.grad {
        Error::new(
            ErrorKind::Gradient,
            "grad",
            "the results do not depend on this tensor",
        )
        .hint("with `allow_unused` its gradient is None instead")
    } else if node.ty.dtype.is_inexact() {
        Error::new(
            ErrorKind::Gradient,
            "grad",
            "the tensor does not need a gradient",
        )
        .hint("make it need one with `with_grad()` before it is used")
    } else {
        not_smooth("grad")
    };
    error.at(Place::here()).operand(input.note("input"))
}

/// The error of a tensor that cannot have a gradient, without place and operand.
pub(super) fn not_smooth(op: &'static str) -> Error {
    let message = "only tensors of floats and complex numbers have gradients";
    Error::new(ErrorKind::DType, op, message).hint("cast it first")
}

/// An error unless all arguments of a function that is differentiated have gradients.
#[track_caller]
pub(crate) fn check_smooth(op: &'static str, arguments: &[&Tensor]) -> Result<()> {
    for argument in arguments {
        argument.check()?;
        if !argument.is_differentiable() {
            return Err(not_smooth(op)
                .at(Place::here())
                .operand(argument.note("argument")));
        }
    }
    Ok(())
}
