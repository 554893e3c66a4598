//! Control flow and transformations: operations whose arguments are functions of tensors.
//!
//! The functions are recorded once, with parameters in place of their arguments; tensors they use
//! besides are taken along. What they do is part of the program like everything else: it is optimised,
//! differentiated and vectorised, and its sizes and numbers may change without recompilation.

mod checkpoint;
mod flow;
mod transform;

pub use checkpoint::checkpoint;
pub(crate) use flow::turns;
pub use flow::{cond, scan, while_loop};
pub use transform::{VmapOptions, jvp, vmap, vmap_with};

use crate::engine::{Body, Region, RegionKind};
use crate::error::Result;
use crate::tensor::{Operand, Operands, Recorded, Tensor, items, record_node};
use lazulite_ir::TensorType;
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
    let name = kind.name();
    let (region, captured) = Region::new(kind, bodies);
    let mut all = Operands::new();
    for operand in operands {
        all.push(Operand::Node(operand.node()?.clone()));
    }
    all.extend(captured.into_iter().map(Operand::Node));
    let Some(first) = results.first().cloned() else {
        return Ok(Vec::new());
    };
    let tuple = record_node(name, Recorded::Region(Arc::new(region)), first, all, true)?;
    Ok(items(&tuple, results))
}
