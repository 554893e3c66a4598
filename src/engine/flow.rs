//! How gradients flow while a graph is built: named composites, barriers, values known beforehand, and
//! reverse sweeps.
//!
//! Recorded nodes have an identity, graph nodes have none. So where the difference matters, a call of
//! the identity function stands between: in front of what gradients must not enter (`detach`), and
//! behind each tensor that somebody wants the gradient of (`wrt`). All of them dissolve when calls are
//! inlined.

use super::build::{BuildError, Builder, zeros};
use super::rules::{DETACH, FacadeRules, remember, remember_function};
use super::trace::{Link, Trace, TraceNode};
use crate::autograd::{Function, GradientSpec};
use crate::error::{Error, ErrorKind};
use crate::tensor::{Composite, Derivative, Recorded};
use lazulite_ir::{Graph, NodeId, Op, TypeError};
use lazulite_passes::autodiff::{self, AutodiffError, End};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What is remembered of gradients in one graph.
pub(super) struct Flow {
    /// Listed nodes that must be distinct from all others; empty if there are none.
    apart: Vec<bool>,
    /// Results of nodes with several, by position, where they are not those of one operation.
    results: FxHashMap<u32, Vec<Option<NodeId>>>,
    /// Nodes whose values are parameters as well.
    known: Vec<(NodeId, NodeId)>,
}

impl Flow {
    pub fn new(trace: &Trace) -> Flow {
        let mut flow = Flow {
            apart: Vec::new(),
            results: FxHashMap::default(),
            known: Vec::new(),
        };
        for listed in &trace.nodes {
            let Recorded::Gradient(spec) = &listed.node.op else {
                continue;
            };
            flow.apart.resize(trace.nodes.len(), false);
            let parts = Parts::of(spec, &listed.links);
            let replaced = parts.ends.iter().filter(|e| e.replaces).map(|e| e.node);
            for position in replaced.chain(parts.wrt) {
                flow.apart[position as usize] = true;
            }
        }
        flow
    }
}

/// The operands of a gradient node.
struct Parts {
    ends: Vec<EndLinks>,
    wrt: Vec<u32>,
}

struct EndLinks {
    node: u32,
    cotangent: Option<Link>,
    replaces: bool,
}

impl Parts {
    fn of(spec: &GradientSpec, links: &[Link]) -> Parts {
        let mut links = links.iter().copied();
        let mut ends = Vec::with_capacity(spec.ends.len());
        for end in &spec.ends {
            let node = links.next().and_then(Link::node);
            let cotangent = if end.seeded { links.next() } else { None };
            ends.extend(node.map(|node| EndLinks {
                node,
                cotangent,
                replaces: end.replaces,
            }));
        }
        let wrt = links.filter_map(Link::node).collect();
        Parts { ends, wrt }
    }
}

impl Builder<'_> {
    /// True if no gradient may go from `listed`, which was recorded without, to its operand.
    pub(super) fn stops_at(&self, listed: &TraceNode, operand: u32) -> bool {
        let node = &listed.node;
        self.trace.differentiates
            && !node.traits.grad
            && node.is_smooth()
            && !matches!(node.op, Recorded::Gradient(_))
            && self.trace.nodes[operand as usize].node.traits.grad
    }

    /// The value of a node behind which gradients do not go.
    pub(super) fn detached(&mut self, id: NodeId) -> Result<NodeId, TypeError> {
        self.identity(DETACH.into(), &[id])
    }

    /// The node under a name of its own, if its gradient is wanted.
    pub(super) fn apart(
        &mut self,
        position: u32,
        listed: &TraceNode,
        id: NodeId,
    ) -> Result<NodeId, TypeError> {
        let wanted = self.flow.apart.get(position as usize) == Some(&true);
        // Parameters are distinct as they are.
        if !wanted || (listed.is_leaf && !listed.has_history()) {
            return Ok(id);
        }
        self.identity(format!("wrt.{position}").into(), &[id])
    }

    /// A node that is computed by `computed` and has the known value `value`.
    pub(super) fn known(&mut self, computed: NodeId, value: NodeId) -> Result<NodeId, TypeError> {
        let name = format!("known.{}", self.flow.known.len());
        self.flow.known.push((computed, value));
        self.identity(name.into(), &[computed, value])
    }

    /// A call of the function that returns its first argument.
    fn identity(&mut self, name: Arc<str>, operands: &[NodeId]) -> Result<NodeId, TypeError> {
        let mut body = Graph::new();
        let types = operands.iter().map(|&o| self.graph.tensor_type(o).clone());
        let parameters: Vec<NodeId> = types.map(|ty| body.input(ty)).collect();
        body.set_outputs(parameters.first().copied());
        let call = Op::Call {
            name,
            body: Arc::new(body),
        };
        let call = self.graph.add(call, operands.iter().copied())?;
        self.graph.add(Op::Get { index: 0 }, [call])
    }

    /// The result of a composite. `operands` are its operands and the result of its definition.
    pub(super) fn composite(
        &mut self,
        composite: &Composite,
        operands: &[NodeId],
    ) -> Result<NodeId, TypeError> {
        let (inputs, results) = operands.split_at(composite.operands as usize);
        let (body, extra) = cut(&self.graph, inputs, results)?;
        let numbers_only = extra.iter().all(|e| self.literals.contains(&Some(*e)));
        if !numbers_only && !matches!(composite.derivative, Derivative::Definition) {
            // Its own derivative would miss what its operands do not include.
            return Ok(results[0]);
        }
        let call = Op::Call {
            name: remember(composite),
            body: Arc::new(body),
        };
        let operands = inputs.iter().copied().chain(extra);
        let call = self.graph.add(call, operands)?;
        self.graph.add(Op::Get { index: 0 }, [call])
    }

    /// The result of a function with a backward of its own. In whole programs its part in a gradient was
    /// settled when that was recorded; as part of another function it is called when that is
    /// differentiated.
    pub(super) fn function(
        &mut self,
        function: &Arc<Function>,
        index: u32,
        operands: &[NodeId],
    ) -> Result<NodeId, TypeError> {
        match operands {
            [] => Err(TypeError::NoSuchNode),
            [value, ..] if !self.trace.is_body => Ok(*value),
            _ => self.identity(remember_function(function, index), operands),
        }
    }

    /// Appends a reverse sweep. The graph may be rebuilt on the way, and then all nodes get new names.
    pub(super) fn gradient(
        &mut self,
        listed: &TraceNode,
        spec: &GradientSpec,
    ) -> Result<Vec<Option<NodeId>>, BuildError> {
        let parts = Parts::of(spec, &listed.links);
        let ids = parts.ends.iter().map(|end| self.ids[end.node as usize]);
        let ids: Vec<NodeId> = ids.collect();
        self.keep_forward(ids.into_iter());
        let mut ends = Vec::with_capacity(parts.ends.len());
        for end in &parts.ends {
            ends.push(End {
                node: self.ids[end.node as usize],
                cotangent: match end.cotangent {
                    Some(link) => Some(self.operand(link)?),
                    None => None,
                },
                replaces: end.replaces,
            });
        }
        let wrt: Vec<NodeId> = { parts.wrt.iter() }
            .map(|&position| self.ids[position as usize])
            .collect();
        let graph = std::mem::take(&mut self.graph);
        let extended = autodiff::extend(graph, &ends, &wrt, &FacadeRules)
            .map_err(|e| BuildError::Told(gradient_error(&e)))?;
        self.graph = extended.graph;
        if let Some(values) = &extended.values {
            self.rename(values);
        }
        let mut gradients = extended.gradients;
        for (gradient, &position) in gradients.iter_mut().zip(&parts.wrt) {
            // What was recorded leads there, but only by derivatives that are zero everywhere, as
            // from the gradient of a linear function to its argument.
            if gradient.is_none() {
                let ty = self.graph.tensor_type(self.ids[position as usize]).clone();
                *gradient = Some(zeros(&mut self.graph, &ty)?);
            }
        }
        Ok(gradients)
    }

    /// Calls all nodes what they have become.
    fn rename(&mut self, values: &[NodeId]) {
        let rename = |id: &mut NodeId| {
            if let Some(new) = values.get(id.index()) {
                *id = *new;
            }
        };
        self.ids.iter_mut().for_each(rename);
        self.leaves.values_mut().for_each(rename);
        self.literals.iter_mut().flatten().for_each(rename);
        for results in self.flow.results.values_mut() {
            results.iter_mut().flatten().for_each(rename);
        }
        for (computed, value) in &mut self.flow.known {
            rename(computed);
            rename(value);
        }
    }

    /// Keeps the results of a node with several; the node itself is the first of them.
    pub(super) fn enter_results(&mut self, position: u32, results: Vec<Option<NodeId>>) -> NodeId {
        let first = results.iter().flatten().next().copied();
        self.flow.results.insert(position, results);
        first.unwrap_or(NodeId(u32::MAX))
    }

    /// The kept result that an item stands for; none if its operand is one operation.
    pub(super) fn result(
        &mut self,
        listed: &TraceNode,
        index: u32,
    ) -> Result<Option<NodeId>, BuildError> {
        let tuple = listed.links.first().and_then(|l| l.node());
        let Some(results) = tuple.and_then(|t| self.flow.results.get(&t)) else {
            return Ok(None);
        };
        let Some(Some(id)) = results.get(index as usize).copied() else {
            let error = Error::new(ErrorKind::Internal, "grad", "a result is missing");
            let error = error.at(listed.node.place);
            return Err(BuildError::Told(error));
        };
        // A gradient that was asked for without further gradients in mind is a constant.
        let smooth = listed.node.ty.dtype.is_inexact();
        if self.trace.differentiates && !listed.node.traits.grad && smooth {
            return Ok(Some(self.detached(id)?));
        }
        Ok(Some(id))
    }

    /// The graph. What is computed although its value is known is taken from there.
    pub(super) fn finish(self) -> Result<Graph, BuildError> {
        if self.flow.known.is_empty() {
            return Ok(self.graph);
        }
        lazulite_passes::substitute(&self.graph, &self.flow.known)
            .map_err(|e| BuildError::Told(Error::new(ErrorKind::Internal, "grad", e.to_string())))
    }
}

/// The part of a graph between `inputs` and `results` as a graph, and the graph's parameters that it
/// needs besides.
fn cut(
    graph: &Graph,
    inputs: &[NodeId],
    results: &[NodeId],
) -> Result<(Graph, Vec<NodeId>), TypeError> {
    let mut body = Graph::new();
    let mut new_of: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    for &input in inputs {
        let parameter = body.input(graph.tensor_type(input).clone());
        new_of.entry(input).or_insert(parameter);
    }
    let mut extra = Vec::new();
    let mut inside: Vec<NodeId> = Vec::new();
    let mut seen: rustc_hash::FxHashSet<NodeId> = new_of.keys().copied().collect();
    let mut pending: Vec<NodeId> = results.to_vec();
    while let Some(id) = pending.pop() {
        if !seen.insert(id) {
            continue;
        }
        if matches!(graph.node(id).op, Op::Input { .. }) {
            new_of.insert(id, body.input(graph.tensor_type(id).clone()));
            extra.push(id);
            continue;
        }
        inside.push(id);
        pending.extend(graph.node(id).inputs.iter().copied());
    }
    inside.sort_unstable();
    for id in inside {
        let node = graph.node(id);
        let operands: Vec<NodeId> = node.inputs.iter().map(|i| new_of[i]).collect();
        let new = body.add(node.op.clone(), operands)?;
        if let Some(source) = graph.source(id) {
            body.set_source(new, source.clone());
        }
        new_of.insert(id, new);
    }
    body.set_outputs(results.iter().map(|r| new_of[r]));
    Ok((body, extra))
}

pub(super) fn gradient_error(error: &AutodiffError) -> Error {
    let place = error.source().map(|s| s.place());
    Error::new(ErrorKind::Gradient, "grad", error.to_string()).located(place.unwrap_or_default())
}
