//! Derivatives: graphs in, graphs out.
//!
//! [`vjp`] appends the reverse sweep to a graph, [`jvp`] the forward one. The results are ordinary
//! graphs, to be dumped, optimised and differentiated again.
//!
//! Both sweeps share one table (`linearise`): the derivative of each primitive with respect to
//! each operand is a chain of linear maps (`linear::Map`), which the forward sweep applies and the
//! reverse sweep transposes. Operations that hold graphs have rules of their own (`region`).
//!
//! Gradients of complex tensors are PyTorch's: for a real loss L and z = x + iy the gradient is
//! dL/dx + i dL/dy, so transposition is that of the real inner product Re(conj(a) b).
//!
//! What has no derivative (comparisons, integers, random bits) ends a path; what has derivative zero
//! (`floor`) does not, as in PyTorch. A node that no path reaches is reported, never given zeros.

mod activity;
mod context;
mod error;
mod forward;
mod linear;
mod linearise;
mod ordered;
mod pointwise;
mod product;
mod region;
mod reverse;
mod rules;
mod tape;

pub use error::AutodiffError;
pub use rules::{NoRules, Rule, Rules};

use crate::build::Emit;
use context::{Cx, Shared};
use lazulite_ir::{Graph, NodeId, Scalar, TensorType};
use std::collections::BTreeMap;
use tape::Tape;

type Result<T> = std::result::Result<T, AutodiffError>;

/// Where the derivative at an end of the graph comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seed {
    /// This end is not differentiated.
    None,
    /// Ones.
    One,
    /// A parameter of the new graph, behind those of the old one.
    Parameter,
    /// A tensor of the old graph, of the same type.
    Node(NodeId),
}

/// A graph with gradients.
#[derive(Clone, Debug)]
pub struct Vjp {
    /// Parameters: those of the graph, then one cotangent per [`Seed::Parameter`]. Results: those
    /// of the graph, then the gradients that exist.
    pub graph: Graph,
    /// For each wanted node, which result is its gradient; `None` if no differentiable path leads
    /// from it to a seeded result.
    pub gradients: Vec<Option<usize>>,
}

/// A graph with tangents.
#[derive(Clone, Debug)]
pub struct Jvp {
    /// Parameters: those of the graph, then one tangent per [`Seed::Parameter`]. Results: those of
    /// the graph, then the tangents that exist.
    pub graph: Graph,
    /// For each result of the graph, which result is its tangent; `None` if it does not depend
    /// differentiably on a seeded node.
    pub tangents: Vec<Option<usize>>,
}

/// Reverse mode: the graph followed by the gradients, with respect to the nodes `wrt` (parameters
/// or any other tensors), of its results weighted by their cotangents. `seeds` has one entry per
/// result.
pub fn vjp(graph: &Graph, seeds: &[Seed], wrt: &[NodeId], rules: &dyn Rules) -> Result<Vjp> {
    if seeds.len() != graph.outputs().len() {
        return Err(AutodiffError::SeedCount {
            seeds: seeds.len(),
            results: graph.outputs().len(),
        });
    }
    for &id in wrt {
        check_differentiable(graph, id)?;
    }
    let mut shared = Shared::new(rules, "gradient");
    let mut cx = Cx::new(&mut shared);
    let inputs = cx.inputs_of(graph);
    let mut ends = Vec::new();
    for (&output, &seed) in graph.outputs().iter().zip(seeds) {
        if seed == Seed::None {
            continue;
        }
        let ty = check_differentiable(graph, output)?;
        check_seed(graph, seed, ty)?;
        let parameter = (seed == Seed::Parameter).then(|| cx.builder.input(ty.clone()));
        ends.push((output, seed, parameter));
    }
    let targets: Vec<NodeId> = ends.iter().map(|e| e.0).collect();
    let kept = graph.outputs().iter().copied().chain(wrt.iter().copied());
    let kept = kept.chain(seeds.iter().filter_map(|s| s.node())).collect();
    let tape = Tape::record(&mut cx, graph, &inputs, wrt, &targets, kept)?;
    let mut cotangents = Vec::with_capacity(ends.len());
    for (output, seed, parameter) in ends {
        cx.at_derivative_of(graph.source(output));
        let cotangent = match seed.node() {
            Some(node) => tape.value(node)?,
            None => seed_value(&mut cx, parameter, graph.tensor_type(output))?,
        };
        cotangents.push((output, cotangent));
    }
    let found = reverse::sweep(&mut cx, &tape, &cotangents)?;
    let mut outputs = tape.values(graph.outputs())?;
    let mut gradients = Vec::with_capacity(wrt.len());
    for id in wrt {
        let gradient = found[id.index()];
        gradients.push(gradient.map(|_| outputs.len()));
        outputs.extend(gradient);
    }
    let graph = cx.builder.finish(outputs, graph);
    Ok(Vjp { graph, gradients })
}

/// Forward mode: the graph followed by the tangents of its results along the tangents of the nodes
/// in `along`. A tangent given for a node that is no parameter adds to what flows into it.
/// [`Seed::Node`] must stand before the node in the graph.
pub fn jvp(graph: &Graph, along: &[(NodeId, Seed)], rules: &dyn Rules) -> Result<Jvp> {
    let mut shared = Shared::new(rules, "tangent");
    let mut cx = Cx::new(&mut shared);
    let inputs = cx.inputs_of(graph);
    let mut starts = BTreeMap::new();
    for &(node, seed) in along {
        let ty = check_differentiable(graph, node)?;
        check_seed(graph, seed, ty)?;
        if seed.node().is_some_and(|s| s >= node) {
            return Err(AutodiffError::LateTangent { node });
        }
        let tangent = match seed {
            Seed::None => continue,
            Seed::One | Seed::Parameter => {
                let parameter = (seed == Seed::Parameter).then(|| cx.builder.input(ty.clone()));
                forward::Start::Value(seed_value(&mut cx, parameter, ty)?)
            }
            Seed::Node(node) => forward::Start::Node(node),
        };
        starts.insert(node, tangent);
    }
    let (mut outputs, found) = forward::sweep(&mut cx, graph, &inputs, &starts)?;
    let mut tangents = Vec::with_capacity(found.len());
    for tangent in found {
        tangents.push(tangent.map(|_| outputs.len()));
        outputs.extend(tangent);
    }
    let graph = cx.builder.finish(outputs, graph);
    Ok(Jvp { graph, tangents })
}

impl Seed {
    fn node(self) -> Option<NodeId> {
        match self {
            Seed::Node(node) => Some(node),
            Seed::None | Seed::One | Seed::Parameter => None,
        }
    }
}

/// The parameter, or ones.
fn seed_value(cx: &mut Cx<'_, '_>, parameter: Option<NodeId>, ty: &TensorType) -> Result<NodeId> {
    match parameter {
        Some(id) => Ok(id),
        None => Ok(cx.splat(Scalar::from_f64(ty.dtype, 1.0), &ty.dims)?),
    }
}

/// The type of a node that may have a derivative.
fn check_differentiable(graph: &Graph, node: NodeId) -> Result<&TensorType> {
    let known = graph.nodes().get(node.index());
    let ty = known.and_then(|n| n.ty.as_tensor());
    ty.filter(|t| activity::differentiable(t))
        .ok_or_else(|| AutodiffError::NotDifferentiable {
            node,
            ty: known.map(|n| Box::new(n.ty.clone())),
            source: known.and_then(|_| graph.source(node).cloned()),
        })
}

fn check_seed(graph: &Graph, seed: Seed, expected: &TensorType) -> Result<()> {
    let Some(node) = seed.node() else {
        return Ok(());
    };
    let got = check_differentiable(graph, node)?;
    (got == expected)
        .then_some(())
        .ok_or_else(|| AutodiffError::SeedType {
            got: Box::new(got.clone()),
            expected: Box::new(expected.clone()),
        })
}
