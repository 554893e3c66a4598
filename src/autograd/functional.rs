//! Derivatives of functions of tensors, in the manner of functions.

use super::gradient::{GradOptions, grad_with};
use super::mode::enable_grad;
use crate::control::vmap;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Dim, Tensor, internal};

/// The function that [`vjp`] returns: from cotangents of the results to those of the arguments.
pub struct Pullback {
    arguments: Vec<Tensor>,
    results: Vec<Tensor>,
}

impl Pullback {
    /// The cotangents of the arguments; zeros for arguments that the results do not depend on. They
    /// can be differentiated in turn.
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
        let options = GradOptions::new()
            .cotangents(&cotangents)
            .create_graph(true)
            .allow_unused(true);
        let arguments: Vec<&Tensor> = self.arguments.iter().collect();
        let found = grad_with(&results, &arguments, &options)?;
        let each = found.into_iter().zip(&self.arguments);
        Ok(each
            .map(|(g, x)| g.unwrap_or_else(|| x.zeros_like()))
            .collect())
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
    enable_grad(|| {
        let mut own = Vec::with_capacity(arguments.len());
        for argument in arguments {
            argument.check()?;
            let differentiable = argument.is_differentiable();
            // Its own identity: the function may use the outer tensor as well.
            own.push(argument.same(differentiable));
        }
        let results = function(&own);
        results.iter().try_for_each(Tensor::check)?;
        let pullback = Pullback {
            arguments: own,
            results: results.clone(),
        };
        Ok((results, pullback))
    })
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
    let mut value = Tensor::zeros(());
    let gradient = |x: &[Tensor]| -> Vec<Tensor> {
        let inner = vjp(|x| vec![function(&x[0])], &[&x[0]]);
        let found = inner.and_then(|(y, pullback)| {
            single("vhp", &y[0])?;
            value = y[0].clone();
            pullback.call(&[&y[0].ones_like()])
        });
        found.unwrap_or_else(|e| vec![Tensor::error(e)])
    };
    let (_, pullback) = vjp(gradient, &[x])?;
    let mut product = pullback.call(&[v])?;
    let product = product.pop().unwrap_or_else(|| x.zeros_like());
    Ok((value, product))
}

/// The result of `function` at `x`, which must be of one element, and its Hessian times `v`. The
/// Hessian is symmetric, so this is [`vhp`].
#[track_caller]
pub fn hvp(
    function: impl FnOnce(&Tensor) -> Tensor,
    x: &Tensor,
    v: &Tensor,
) -> Result<(Tensor, Tensor)> {
    vhp(function, x, v)
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
    let (y, pullback) = vjp(|x| vec![function(&x[0])], &[x])?;
    let y = &y[0];
    let count = y.dims()?.iter().product::<usize>();
    let units = Tensor::eye(count).type_as(y);
    let dims = y.sizes()?;
    let shape: Vec<Dim> = dims.iter().cloned().chain(x.sizes()?).collect();
    let row = |unit: &[Tensor]| {
        let found = pullback.call(&[&unit[0].reshape(dims.clone())]);
        found.unwrap_or_else(|e| vec![Tensor::error(e)])
    };
    let mut rows = vmap(row, &[&units]);
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
    let gradient = |x: &Tensor| -> Tensor {
        let inner = vjp(|x| vec![function(&x[0])], &[x]);
        let found = inner.and_then(|(y, pullback)| {
            single("hessian", &y[0])?;
            pullback.call(&[&y[0].ones_like()])
        });
        match found {
            Ok(mut gradients) => gradients.pop().unwrap_or_else(|| x.zeros_like()),
            Err(e) => Tensor::error(e),
        }
    };
    jacobian(gradient, x)
}
