//! Derivatives of functions of tensors, in the manner of functions.

use super::gradient::{GradOptions, check_smooth, grad_with};
use super::mode::{enable_grad, grad_enabled};
use super::reach::leads_beyond;
use crate::control::vmap;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Dim, Node, Tensor, internal};
use std::sync::Arc;

/// The function that [`vjp`] returns: from cotangents of the results to those of the arguments.
pub struct Pullback {
    arguments: Vec<Tensor>,
    results: Vec<Tensor>,
    /// The arguments that only the function needs gradients of.
    own: Vec<Arc<Node>>,
}

impl Pullback {
    /// The cotangents of the arguments; zeros for arguments that the results do not depend on. They
    /// can be differentiated in turn where what they are computed from needs gradients: the arguments that
    /// were given, the cotangents, or what the function uses besides.
    #[track_caller]
    pub fn call(&self, cotangents: &[&Tensor]) -> Result<Vec<Tensor>> {
        let _scope = Scope::pin();
        if cotangents.len() != self.results.len() {
            let (given, wanted) = (cotangents.len(), self.results.len());
            let message = format!("{given} cotangents were given for {wanted} results");
            return Err(Error::new(ErrorKind::Argument, "vjp", message).at(Place::here()));
        }
        // Results that depend on no argument have nothing to give.
        let used: Vec<(&Tensor, &Tensor)> = { self.results.iter().zip(cotangents) }
            .filter(|(r, _)| r.requires_grad())
            .map(|(r, c)| (r, *c))
            .collect();
        if used.is_empty() {
            return Ok(self.arguments.iter().map(Tensor::zeros_like).collect());
        }
        let (results, cotangents): (Vec<&Tensor>, Vec<&Tensor>) = used.into_iter().unzip();
        let from = results.iter().chain(&cotangents);
        let nodes: Vec<Arc<Node>> = from.map(|t| t.node().cloned()).collect::<Result<_>>()?;
        let options = GradOptions::new()
            .cotangents(&cotangents)
            .create_graph(grad_enabled() && leads_beyond(&nodes, &self.own).contains(&true))
            .allow_unused(true);
        let arguments: Vec<&Tensor> = self.arguments.iter().collect();
        let found = grad_with(&results, &arguments, &options)?;
        let each = found.into_iter().zip(&self.arguments);
        Ok(each
            .map(|(g, x)| g.unwrap_or_else(|| x.zeros_like()))
            .collect())
    }

    /// What was computed from the function's arguments, for those outside of it: only the function needs the gradients
    /// of arguments that were given without, so a history that leads to nothing else ends here.
    #[track_caller]
    fn released(&self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let nodes: Vec<Arc<Node>> = { tensors.iter() }
            .map(|t| t.node().cloned())
            .collect::<Result<_>>()?;
        let mut released = Vec::with_capacity(tensors.len());
        for (tensor, beyond) in tensors.iter().zip(leads_beyond(&nodes, &self.own)) {
            released.push(match beyond && grad_enabled() {
                true => tensor.clone(),
                false => tensor.detach(),
            });
        }
        Ok(released)
    }
}

/// The results of `function` at `arguments`, and the function from cotangents of the results to
/// those of the arguments.
///
/// ```
/// use lazulite::{prelude::*, vjp};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// let (y, pullback) = vjp(|x| vec![x[0].exp()], &[&x])?;
/// let g = pullback.call(&[&Tensor::ones([2])])?;
/// assert_eq!(g[0].to_vec::<f32>()?, y[0].to_vec::<f32>()?);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn vjp(
    function: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
) -> Result<(Vec<Tensor>, Pullback)> {
    let _scope = Scope::pin();
    check_smooth("vjp", arguments)?;
    pullback(function, arguments)
}

/// As [`vjp`], and cotangents of arguments that have no gradients are zeros.
#[track_caller]
pub(super) fn pullback(
    function: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
) -> Result<(Vec<Tensor>, Pullback)> {
    let pullback = enable_grad(|| -> Result<Pullback> {
        let mut inner = Vec::with_capacity(arguments.len());
        let mut own = Vec::new();
        for argument in arguments {
            argument.check()?;
            // Its own identity: the function may use the outer tensor as well.
            let argument_inside = argument.same(argument.is_differentiable());
            if !argument.requires_grad() {
                own.push(argument_inside.node()?.clone());
            }
            inner.push(argument_inside);
        }
        let results = function(&inner);
        results.iter().try_for_each(Tensor::check)?;
        Ok(Pullback {
            arguments: inner,
            results,
            own,
        })
    })?;
    let results = pullback.released(pullback.results.clone())?;
    Ok((results, pullback))
}

/// The result of `function` at `x`, which must be of one element, and its Hessian times `v` from the
/// left.
#[track_caller]
pub fn vhp(
    function: impl FnOnce(&Tensor) -> Tensor,
    x: &Tensor,
    v: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let _scope = Scope::pin();
    value_and_product("vhp", function, x, v)
}

/// The result of `function` at `x`, which must be of one element, and its Hessian times `v`. The
/// Hessian is symmetric, so this is [`vhp`].
#[track_caller]
pub fn hvp(
    function: impl FnOnce(&Tensor) -> Tensor,
    x: &Tensor,
    v: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let _scope = Scope::pin();
    value_and_product("hvp", function, x, v)
}

#[track_caller]
fn value_and_product(
    op: &'static str,
    function: impl FnOnce(&Tensor) -> Tensor,
    x: &Tensor,
    v: &Tensor,
) -> Result<(Tensor, Tensor)> {
    check_smooth(op, &[x])?;
    let mut value = Tensor::zeros(());
    let gradient = |x: &[Tensor]| -> Vec<Tensor> {
        let inner = pullback(|x| vec![function(&x[0])], &[&x[0]]);
        let found = inner.and_then(|(y, pullback)| {
            single(op, &y[0])?;
            value = y[0].clone();
            pullback.call(&[&y[0].ones_like()])
        });
        found.unwrap_or_else(|e| vec![Tensor::error(e)])
    };
    let (_, outer) = pullback(gradient, &[x])?;
    let mut product = outer.call(&[v])?;
    let product = product.pop().unwrap_or_else(|| x.zeros_like());
    let value = outer.released(vec![value])?.remove(0);
    Ok((value, product))
}

/// The derivatives of all elements of the result with respect to all elements of `x`: a tensor with the
/// result's axes, then those of `x`.
///
/// ```
/// use lazulite::{jacobian, prelude::*};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// let j = jacobian(|x| x * x, &x)?;
/// assert_eq!(j.to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn jacobian(function: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Result<Tensor> {
    let _scope = Scope::pin();
    check_smooth("jacobian", &[x])?;
    rows(function, x)
}

/// The Jacobian, of a function at a tensor that has gradients.
#[track_caller]
fn rows(function: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Result<Tensor> {
    let (y, pullback) = pullback(|x| vec![function(&x[0])], &[x])?;
    let y = &y[0];
    let count = y.dims()?.iter().product::<usize>();
    let units = Tensor::eye(count).type_as(y);
    let dims = y.sizes()?;
    let shape: Vec<Dim> = dims.iter().cloned().chain(x.sizes()?).collect();
    let row = |unit: &[Tensor]| {
        let found = pullback.call(&[&unit[0].reshape(dims.clone())]);
        found.unwrap_or_else(|e| vec![Tensor::error(e)])
    };
    let mut rows = pullback.released(vmap(row, &[&units]))?;
    let rows = rows
        .pop()
        .ok_or_else(|| internal("jacobian", "there is no result"))?;
    Ok(rows.reshape(shape))
}

/// The result of a function that has a Hessian: one element.
#[track_caller]
fn single(op: &'static str, y: &Tensor) -> Result<()> {
    if y.node()?.ty.dims.iter().all(|d| d.is(1)) {
        return Ok(());
    }
    let message = "only functions whose result has one element have a Hessian";
    Err(Error::new(ErrorKind::Gradient, op, message)
        .at(Place::here())
        .operand(y.note("result"))
        .hint("sum the result up, or take the `jacobian` of the gradient"))
}

/// The second derivatives of a function whose result has one element.
///
/// ```
/// use lazulite::{hessian, prelude::*};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// let h = hessian(|x| x.pow(3.0).sum(..), &x)?;
/// assert_eq!(h.to_vec::<f32>()?, [6.0, 0.0, 0.0, 12.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn hessian(function: impl FnOnce(&Tensor) -> Tensor, x: &Tensor) -> Result<Tensor> {
    let _scope = Scope::pin();
    check_smooth("hessian", &[x])?;
    let gradient = |x: &Tensor| -> Tensor {
        let inner = pullback(|x| vec![function(&x[0])], &[x]);
        let found = inner.and_then(|(y, pullback)| {
            single("hessian", &y[0])?;
            pullback.call(&[&y[0].ones_like()])
        });
        match found {
            Ok(mut gradients) => gradients.pop().unwrap_or_else(|| x.zeros_like()),
            Err(e) => Tensor::error(e),
        }
    };
    rows(gradient, x)
}
