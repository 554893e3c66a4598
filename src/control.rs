//! Control flow and transformations: operations whose arguments are functions of tensors.
//!
//! The functions are recorded once, with parameters in place of their arguments; tensors they use
//! besides are taken along. What they do is part of the program like everything else: it is optimised,
//! differentiated and vectorised, and its sizes and numbers may change without recompilation.

mod checkpoint;
mod flow;
mod transform;

pub use checkpoint::checkpoint;
pub(crate) use flow::turn;
pub use flow::{cond, scan, while_loop};
pub use transform::{VmapOptions, jvp, vmap, vmap_with};

use crate::engine::{Body, Region, RegionKind};
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, Scope};
use crate::tensor::{Operand, Operands, Recorded, Tensor, Traits, record_node, with_traits};
use lazulite_ir::TensorType;
use smallvec::smallvec;
use std::sync::Arc;

pub use lazulite_passes::batch::Randomness;

/// The types of tensors.
fn types(tensors: &[&Tensor]) -> Result<Vec<Arc<TensorType>>> {
    tensors.iter().map(|t| Ok(t.node()?.ty.clone())).collect()
}

/// Records what a function computes.
#[track_caller]
fn body(
    types: &[Arc<TensorType>],
    function: impl FnOnce(&[Tensor]) -> Vec<Tensor>,
) -> Result<Body> {
    Body::record(types, |parameters| Ok(function(parameters)))
}

/// Records a region with results of these types.
#[track_caller]
fn region(
    kind: RegionKind,
    bodies: Vec<Body>,
    operands: &[&Tensor],
    results: Vec<Arc<TensorType>>,
) -> Result<Vec<Tensor>> {
    let (region, captured) = Region::new(kind, bodies);
    let mut all = Operands::new();
    for operand in operands {
        all.push(Operand::Node(operand.node()?.clone()));
    }
    all.extend(captured.into_iter().map(Operand::Node));
    let Some(first) = results.first().cloned() else {
        return Ok(Vec::new());
    };
    let tuple = record_node(Recorded::Region(Arc::new(region)), first, all, true);
    let items = (0..).zip(results).map(|(index, ty)| {
        let traits = Traits {
            grad: tuple_grad(&tuple.traits, &ty),
            heavy: true,
            ..tuple.traits
        };
        let operands = smallvec![Operand::Node(tuple.clone())];
        Tensor(Ok(with_traits(Recorded::Item(index), ty, operands, traits)))
    });
    Ok(items.collect())
}

fn tuple_grad(tuple: &Traits, ty: &TensorType) -> bool {
    tuple.grad && crate::tensor::differentiable(ty.dtype)
}

/// An error of a function's results.
fn bad(op: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Shape, op, message).at(Place::here())
}

/// Makes tensors by steps that may fail; a single one carries the error.
#[track_caller]
fn attempt(make: impl FnOnce() -> Result<Vec<Tensor>>) -> Vec<Tensor> {
    let _scope = Scope::pin();
    make().unwrap_or_else(|e| vec![Tensor::error(e.at(Place::here()))])
}
