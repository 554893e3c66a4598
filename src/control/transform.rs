//! Functions transformed as a whole.

use super::{body, region, types};
use crate::autograd::{check_smooth, fitting};
use crate::engine::{RegionKind, draws_inside};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::ops::{attempt_list, bad_shape};
use crate::tensor::Tensor;
use lazulite_ir::{Dim, TensorType};
use lazulite_passes::batch::Randomness;
use std::sync::Arc;

/// The results of `function` at `arguments`, and their tangents along the tangents of the arguments:
/// forward-mode derivatives. Both lists are of the same length. A single tensor carries the error in
/// each if there is one.
///
/// ```
/// use lazulite::{jvp, prelude::*};
/// let x = Tensor::from_vec(vec![1.0f32, 2.0], [2]);
/// let (y, t) = jvp(|x| vec![&x[0] * &x[0]], &[&x], &[&Tensor::ones([2])]);
/// assert_eq!(y[0].to_vec::<f32>()?, [1.0, 4.0]);
/// assert_eq!(t[0].to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn jvp(
    function: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
    tangents: &[&Tensor],
) -> (Vec<Tensor>, Vec<Tensor>) {
    let mut values = attempt_list(|| {
        if arguments.len() != tangents.len() {
            let (given, wanted) = (tangents.len(), arguments.len());
            let message = format!("{given} tangents were given for {wanted} arguments");
            return Err(Error::new(ErrorKind::Argument, "jvp", message).at(Place::here()));
        }
        check_smooth("jvp", arguments)?;
        let types = types(arguments)?;
        let mut along = Vec::with_capacity(types.len());
        for (argument, tangent) in arguments.iter().zip(tangents) {
            along.push(fitting("jvp", (*tangent).clone(), argument.node()?)?);
        }
        let body = body(&types, function)?;
        let own = body.result_types();
        let results = own.iter().chain(&own).cloned().collect();
        let operands: Vec<&Tensor> = arguments.iter().copied().chain(&along).collect();
        region(RegionKind::Forward, vec![body], &operands, results)
    });
    if values.len() == 1 {
        return (values.clone(), values);
    }
    let tangents = values.split_off(values.len() / 2);
    (values, tangents)
}

/// How [`vmap_with`] maps.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct VmapOptions {
    /// Per argument the axis that is mapped over, `None` for arguments that all calls share. Axis 0
    /// of all arguments if the list is empty.
    pub in_axes: Vec<Option<i64>>,
    /// Per result, where the mapped axis is put. In front if the list is empty.
    pub out_axes: Vec<i64>,
    /// What random draws inside of the function are.
    pub randomness: Randomness,
}

impl VmapOptions {
    /// Over axis 0 of all arguments, into axis 0 of all results, without random draws.
    pub fn new() -> VmapOptions {
        VmapOptions::default()
    }

    /// With these axes of the arguments.
    pub fn in_axes(mut self, axes: &[Option<i64>]) -> VmapOptions {
        self.in_axes = axes.to_vec();
        self
    }

    /// With these axes of the results.
    pub fn out_axes(mut self, axes: &[i64]) -> VmapOptions {
        self.out_axes = axes.to_vec();
        self
    }

    /// With random draws allowed.
    pub fn randomness(mut self, randomness: Randomness) -> VmapOptions {
        self.randomness = randomness;
        self
    }
}

/// Calls `function`, written for single elements, for all elements along the first axis of its
/// arguments at once, and stacks the results.
///
/// ```
/// use lazulite::{prelude::*, vmap};
/// let (a, b) = (Tensor::ones([4, 3]), Tensor::ones([4, 3]));
/// let dots = vmap(|x| vec![x[0].dot(&x[1])], &[&a, &b]);
/// assert_eq!(dots[0].to_vec::<f32>()?, [3.0; 4]);
/// # Ok::<(), lazulite::Error>(())
/// ```
#[track_caller]
pub fn vmap(function: impl FnOnce(&[Tensor]) -> Vec<Tensor>, arguments: &[&Tensor]) -> Vec<Tensor> {
    vmap_with(function, arguments, &VmapOptions::new())
}

/// As [`vmap`], along chosen axes.
#[track_caller]
pub fn vmap_with(
    function: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
    arguments: &[&Tensor],
    options: &VmapOptions,
) -> Vec<Tensor> {
    attempt_list(|| {
        let axes = in_axes(arguments, options)?;
        let mut size: Option<Dim> = None;
        let mut parameters = Vec::with_capacity(arguments.len());
        for (argument, axis) in arguments.iter().zip(&axes) {
            let ty = &argument.node()?.ty;
            let Some(axis) = *axis else {
                parameters.push(ty.clone());
                continue;
            };
            let mut dims = ty.dims.clone();
            let length = dims.remove(axis);
            if size
                .as_ref()
                .is_some_and(|s| s.compare_eq(&length) == Some(false))
            {
                let error = bad_shape("vmap", "the mapped axes differ in size");
                return Err(error.operand(argument.note("argument")));
            }
            size.get_or_insert(length);
            parameters.push(Arc::new(TensorType::new(ty.dtype, dims)));
        }
        let Some(size) = size else {
            return Err(bad_shape("vmap", "no argument is mapped over"));
        };
        let body = body(&parameters, |x| {
            let _draws = draws_inside();
            function(x)
        })?;
        let results = body.result_types().into_iter().map(|ty| {
            let dims = [size.clone()].into_iter().chain(ty.dims.iter().cloned());
            Arc::new(TensorType::new(ty.dtype, dims))
        });
        let results: Vec<Arc<TensorType>> = results.collect();
        let kind = RegionKind::Batch {
            axes,
            size: size.clone(),
            randomness: options.randomness,
        };
        let mapped = region(kind, vec![body], arguments, results)?;
        if options.out_axes.is_empty() {
            return Ok(mapped);
        }
        if options.out_axes.len() != mapped.len() {
            let (given, wanted) = (options.out_axes.len(), mapped.len());
            let message = format!("{given} axes were given for {wanted} results");
            return Err(bad_shape("vmap", message));
        }
        let moved = mapped.iter().zip(&options.out_axes);
        Ok(moved.map(|(t, &axis)| t.movedim([0], [axis])).collect())
    })
}

#[track_caller]
fn in_axes(arguments: &[&Tensor], options: &VmapOptions) -> Result<Vec<Option<usize>>> {
    let given = &options.in_axes;
    if !given.is_empty() && given.len() != arguments.len() {
        let message = format!(
            "{} axes were given for {} arguments",
            given.len(),
            arguments.len()
        );
        return Err(bad_shape("vmap", message));
    }
    let mut axes = Vec::with_capacity(arguments.len());
    for (i, argument) in arguments.iter().enumerate() {
        let axis = given.get(i).copied().unwrap_or(Some(0));
        axes.push(match axis {
            Some(_) if argument.rank()? == 0 => {
                let error = bad_shape("vmap", "a 0-d tensor has no axis to map over");
                return Err(error.operand(argument.note("argument")));
            }
            Some(axis) => Some(argument.axis("vmap", axis)?),
            None => None,
        });
    }
    Ok(axes)
}
