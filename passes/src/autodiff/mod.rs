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

/// An end of the graph from which cotangents flow backwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    /// The tensor.
    pub node: NodeId,
    /// Its cotangent, a tensor of the same type; ones if there is none.
    pub cotangent: Option<NodeId>,
    /// The cotangent stands for all that flows into the node, instead of adding to it.
    pub replaces: bool,
}

/// A graph continued with a reverse sweep.
#[derive(Clone, Debug)]
pub struct Extended {
    /// The graph, without results. Its parameters are those of the old one.
    pub graph: Graph,
    /// What the nodes of the old graph have become; none if all are what they were.
    pub values: Option<Vec<NodeId>>,
    /// The gradients of the wanted nodes; `None` as in [`Vjp::gradients`].
    pub gradients: Vec<Option<NodeId>>,
}

/// Reverse mode as a step in building a graph: everything that stands, and behind it the gradients of
/// the `ends` with respect to the nodes `wrt`.
///
/// Where nothing that stands has to change, the graph is continued as it is: many gradients in one program, each for
/// itself, do not copy the program each time.
pub fn extend(graph: Graph, ends: &[End], wrt: &[NodeId], rules: &dyn Rules) -> Result<Extended> {
    check(&graph, ends, wrt)?;
    let border = ends.iter().filter(|e| e.replaces).map(|e| e.node).collect();
    let targets: Vec<NodeId> = ends.iter().map(|e| e.node).collect();
    let Some(tape) = Tape::of(&graph, wrt, &targets, &border) else {
        let all = graph.ids().collect();
        let (graph, values, gradients) = reverse_mode(&graph, ends, wrt, rules, all)?;
        let values = values.into_iter().map(|v| v.unwrap_or(NodeId(u32::MAX)));
        return Ok(Extended {
            graph,
            values: Some(values.collect()),
            gradients,
        });
    };
    let mut shared = Shared::new(rules, "gradient");
    let mut cx = Cx::upon(&mut shared, graph);
    let gradients = swept(&mut cx, &tape, ends, wrt)?;
    Ok(Extended {
        graph: cx.builder.finish([], &Graph::new()),
        values: None,
        gradients,
    })
}

fn check(graph: &Graph, ends: &[End], wrt: &[NodeId]) -> Result<()> {
    for &id in wrt {
        check_differentiable(graph, id)?;
    }
    for end in ends {
        let ty = check_differentiable(graph, end.node)?;
        check_seed(graph, end.cotangent, ty)?;
    }
    Ok(())
}

/// The gradients of the nodes `wrt`.
fn swept(
    cx: &mut Cx<'_, '_>,
    tape: &Tape<'_>,
    ends: &[End],
    wrt: &[NodeId],
) -> Result<Vec<Option<NodeId>>> {
    let mut seeds = Vec::with_capacity(ends.len());
    for end in ends {
        let source = tape.graph(cx).source(end.node).cloned();
        cx.at_derivative_of(source.as_ref());
        let cotangent = match end.cotangent {
            Some(node) => tape.value(node)?,
            None => {
                let ty = tape.graph(cx).tensor_type(end.node).clone();
                ones(cx, &ty)?
            }
        };
        seeds.push(reverse::Seeded {
            node: end.node,
            cotangent,
            replaces: end.replaces,
        });
    }
    let found = reverse::sweep(cx, tape, &seeds)?;
    Ok(wrt.iter().map(|id| found[id.index()]).collect())
}

/// The continued graph, what `kept` and all it depends on have become, and the gradients.
type Reversed = (Graph, Vec<Option<NodeId>>, Vec<Option<NodeId>>);

fn reverse_mode(
    graph: &Graph,
    ends: &[End],
    wrt: &[NodeId],
    rules: &dyn Rules,
    kept: Vec<NodeId>,
) -> Result<Reversed> {
    check(graph, ends, wrt)?;
    let mut shared = Shared::new(rules, "gradient");
    let mut cx = Cx::new(&mut shared);
    let inputs = cx.inputs_of(graph);
    let targets: Vec<NodeId> = ends.iter().map(|e| e.node).collect();
    let tape = Tape::record(&mut cx, graph, &inputs, wrt, &targets, kept)?;
    let gradients = swept(&mut cx, &tape, ends, wrt)?;
    let values = tape.into_values().unwrap_or_default();
    Ok((cx.builder.finish([], graph), values, gradients))
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
    let mut seeded = graph.clone();
    let mut ends = Vec::new();
    for (&node, &seed) in graph.outputs().iter().zip(seeds) {
        let cotangent = match seed {
            Seed::None => continue,
            Seed::One => None,
            Seed::Parameter => {
                let ty = check_differentiable(graph, node)?;
                Some(seeded.input(ty.clone()))
            }
            Seed::Node(node) => Some(node),
        };
        ends.push(End {
            node,
            cotangent,
            replaces: false,
        });
    }
    let kept = graph.outputs().iter().chain(wrt).copied();
    let kept = kept
        .chain(ends.iter().filter_map(|e| e.cotangent))
        .collect();
    let (mut out, values, found) = reverse_mode(&seeded, &ends, wrt, rules, kept)?;
    let mut outputs: Vec<NodeId> = { graph.outputs().iter() }
        .filter_map(|o| values[o.index()])
        .collect();
    let mut gradients = Vec::with_capacity(wrt.len());
    for gradient in found {
        gradients.push(gradient.map(|_| outputs.len()));
        outputs.extend(gradient);
    }
    out.set_outputs(outputs);
    Ok(Vjp {
        graph: out,
        gradients,
    })
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
        check_seed(graph, seed.node(), ty)?;
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
        None => ones(cx, ty),
    }
}

fn ones(cx: &mut Cx<'_, '_>, ty: &TensorType) -> Result<NodeId> {
    Ok(cx.splat(Scalar::from_f64(ty.dtype, 1.0), &ty.dims)?)
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

fn check_seed(graph: &Graph, seed: Option<NodeId>, expected: &TensorType) -> Result<()> {
    let Some(node) = seed else {
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
