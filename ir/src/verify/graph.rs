//! Graphs: operands come before users, types are what inference says, tuples are only taken apart,
//! parameters are numbered in order, results exist and are tensors, every condition on sizes that
//! the types need is among the guards, and all that holds for the graphs inside as well.

use super::{Finding, Findings, Report, lines_at, result};
use crate::text::graph::print_graph_with_starts;
use crate::text::lex::MAX_DEPTH;
use crate::{Dim, Graph, Guard, Node, NodeId, Op, Relation, Type, infer};
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Checks a graph.
pub fn verify_graph(graph: &Graph) -> Result<(), Findings> {
    let mut verifier = Verifier::default();
    verifier.graph(graph, "", 0);
    result(verifier.findings)
}

#[derive(Default)]
struct Verifier {
    findings: Vec<Finding>,
    /// Graphs inside that have been checked, by address: many nodes may hold the same.
    checked: FxHashSet<*const Graph>,
}

impl Verifier {
    /// Checks one graph; `name` is put before its findings. True when nothing was found.
    fn graph(&mut self, graph: &Graph, name: &str, depth: u32) -> bool {
        let before = self.findings.len();
        let mut checker = Checker {
            graph,
            report: Report::new(),
            guards: graph.guards().iter().map(condition).collect(),
        };
        for (id, node) in graph.ids().zip(graph.nodes()) {
            let regions = self.regions(node, &mut checker, id, name, depth);
            checker.node(id, node, regions);
        }
        checker.outputs();
        let found = checker.report.finish(|places| lines_of(graph, places));
        self.findings.extend(found.into_iter().map(|f| Finding {
            message: format!("{name}{}", f.message),
            ..f
        }));
        self.findings.len() == before
    }

    /// Checks the graphs that a node holds. True when nothing was found.
    fn regions(
        &mut self,
        node: &Node,
        checker: &mut Checker<'_>,
        id: NodeId,
        name: &str,
        depth: u32,
    ) -> bool {
        let mut sound = true;
        for (attribute, region) in node.op.regions() {
            if depth == MAX_DEPTH {
                let message = format!("graphs nest deeper than {MAX_DEPTH} levels");
                checker.report.add(Place::Node(id), message);
                return false;
            }
            if self.checked.insert(Arc::as_ptr(region)) {
                let name = format!("{name}in `{attribute}` of %{}: ", id.0);
                sound &= self.graph(region, &name, depth + 1);
            }
        }
        sound
    }
}

fn condition(guard: &Guard) -> (&Dim, Relation, &Dim) {
    (&guard.lhs, guard.relation, &guard.rhs)
}

#[derive(Clone, Copy)]
enum Place {
    Node(NodeId),
    /// The line with the results.
    Return,
}

fn lines_of(graph: &Graph, places: &[Place]) -> (String, Vec<usize>) {
    let (text, starts) = print_graph_with_starts(graph);
    let end = text.rfind("return").unwrap_or(0);
    let offset = |place: &Place| match place {
        Place::Node(id) => starts[id.index()],
        Place::Return => end,
    };
    let lines = lines_at(&text, places.iter().map(offset));
    (text, lines)
}

struct Checker<'a> {
    graph: &'a Graph,
    report: Report<Place>,
    guards: FxHashSet<(&'a Dim, Relation, &'a Dim)>,
}

impl Checker<'_> {
    fn node(&mut self, id: NodeId, node: &Node, regions_are_sound: bool) {
        let later = node.inputs.iter().find(|operand| **operand >= id);
        if let Some(operand) = later {
            let message = format!(
                "%{} uses %{}, which does not come before it",
                id.0, operand.0
            );
            return self.report.add(Place::Node(id), message);
        }
        if let Op::Input { index, .. } = node.op {
            self.parameter(id, index);
        }
        // Inference trusts the graphs inside.
        if regions_are_sound {
            self.types(id, node);
        }
    }

    fn parameter(&mut self, id: NodeId, index: u32) {
        let inputs = self.graph.inputs();
        if inputs.get(index as usize) != Some(&id) {
            let message = format!("%{} is not parameter number {index} of the graph", id.0);
            self.report.add(Place::Node(id), message);
        }
    }

    fn types(&mut self, id: NodeId, node: &Node) {
        let operands = node.inputs.iter().map(|i| &self.graph.node(*i).ty);
        let operands: Vec<&Type> = operands.collect();
        let mut needed = Vec::new();
        let inferred = match infer(&node.op, &operands, &mut needed) {
            Ok(inferred) => inferred,
            Err(error) => {
                let message = format!("%{} is ill typed: {error}", id.0);
                return self.report.add(Place::Node(id), message);
            }
        };
        if inferred != node.ty {
            let message = format!("%{} is of type {inferred}, not {}", id.0, node.ty);
            self.report.add(Place::Node(id), message);
        }
        for guard in &needed {
            if !self.guards.contains(&condition(guard)) {
                let message = format!("%{} needs a guard that is missing: {guard}", id.0);
                self.report.add(Place::Node(id), message);
            }
        }
    }

    fn outputs(&mut self) {
        for (i, output) in self.graph.outputs().iter().enumerate() {
            let problem = match self.graph.nodes().get(output.index()) {
                None => "which does not exist",
                Some(node) if node.ty.as_tensor().is_none() => "which is a tuple",
                Some(_) => continue,
            };
            let message = format!("result {i} is %{}, {problem}", output.0);
            self.report.add(Place::Return, message);
        }
    }
}
