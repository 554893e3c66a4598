//! Vectorisation: a graph of one element becomes the graph of a whole batch.
//!
//! [`vmap`] gives every operation its form for operands with a further axis (`rules`, an exhaustive
//! match), and operations that hold graphs batched graphs (`region`). Inside the pass the batch axis
//! is always the first one. What does not depend on a batched parameter is computed once, as before.
//!
//! The meaning is that of running the graph once per element and stacking the results, also for
//! branches and loops whose conditions differ between elements: where both sides of a branch, or
//! further turns of a finished loop, could do what the element itself would not have done (an index
//! out of range, a division by zero, a loop without end), and for foreign functions, the elements
//! take turns in a loop (`sequence`).

mod context;
mod error;
mod facts;
mod index;
mod region;
mod rules;
mod sequence;
mod sweep;

pub use error::VmapError;

use context::{Cx, Lane, Shared};
use lazulite_ir::{Dim, Graph, TensorType};

type Result<T> = std::result::Result<T, VmapError>;

/// What random numbers are for the elements of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Randomness {
    /// Drawing is an error, unless seed or stream are batched themselves.
    #[default]
    Error,
    /// Every element has its own draw.
    Different,
    /// All elements share one draw.
    Same,
}

/// A batched graph.
#[derive(Clone, Debug)]
pub struct Vmap {
    /// Parameters: those of the graph, with the batch axis where that was asked for. Results: those of
    /// the graph.
    pub graph: Graph,
    /// Which results have a batch axis, as their first one. The others are equal for all elements.
    pub batched: Vec<bool>,
}

/// The graph for a batch of `size` elements. `in_axes` has an entry per parameter: where in the new
/// parameter the batch axis is, or `None` for one that all elements share.
///
/// ```
/// use lazulite_ir::{Dim, parse_graph};
/// use lazulite_passes::batch::{Randomness, vmap};
///
/// let dot = parse_graph(
///     "graph(%0: f32[3], %1: f32[3]) {
///       %2 = mul %0, %1 : f32[3]
///       %3 = reduce %2 {kind=sum, axes=[0]} : f32[]
///       return %3
///     }",
/// )?;
/// let rows = vmap(&dot, &[Some(0), None], &Dim::symbol("rows"), Randomness::Error)?;
/// assert_eq!(rows.graph.output_types()[0].to_string(), "f32[rows]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn vmap(
    graph: &Graph,
    in_axes: &[Option<usize>],
    size: &Dim,
    randomness: Randomness,
) -> Result<Vmap> {
    if in_axes.len() != graph.inputs().len() {
        return Err(VmapError::AxisCount {
            axes: in_axes.len(),
            parameters: graph.inputs().len(),
        });
    }
    let mut shared = Shared::new(size, randomness);
    let mut cx = Cx::new(&mut shared);
    let mut lanes = Vec::with_capacity(in_axes.len());
    for (parameter, (&input, &axis)) in graph.inputs().iter().zip(in_axes).enumerate() {
        cx.builder.at(graph.source(input));
        let ty = graph.tensor_type(input);
        let node = cx.builder.input(with_axis(ty, parameter, axis, size)?);
        let batched = axis.is_some();
        let node = cx.axis_first(node, axis.unwrap_or(0))?;
        lanes.push(Lane { node, batched });
    }
    let results = sweep::sweep(&mut cx, graph, &lanes)?;
    let (nodes, batched): (Vec<_>, Vec<_>) = results.iter().map(|x| (x.node, x.batched)).unzip();
    let graph = cx.builder.finish(nodes, graph);
    Ok(Vmap { graph, batched })
}

/// The type of a parameter with its batch axis.
fn with_axis(
    ty: &TensorType,
    parameter: usize,
    axis: Option<usize>,
    size: &Dim,
) -> Result<TensorType> {
    let mut ty = ty.clone();
    if let Some(axis) = axis {
        let rank = ty.rank();
        if axis > rank {
            return Err(VmapError::AxisOutOfRange {
                parameter,
                axis,
                rank,
            });
        }
        ty.dims.insert(axis, size.clone());
    }
    Ok(ty)
}
