//! Simplification: constant folding, exact identities, composition of views, explicit roundings
//! for half floats; equal operations become one, and dead ones go.
//!
//! The graph is rebuilt from front to back. Every operation is offered to the rules of its kind
//! (see [`rules`]); a rule looks at the operation and what its operands are, and says what to put
//! in its place. Since operands are finished before their users, and rules look down only, one
//! pass finishes the graph, in time linear in its size (but for hashing). A second run changes
//! nothing.
//!
//! A rule fires only if its condition is certain for all values of the symbols, if the replacement has
//! the very type of what it replaces, and if it does not drop the last operand whose computation may
//! record a fault: `(x / y) * 0` is not 0 where `y` is.

mod expr;
mod facts;
pub(crate) mod fold;
pub mod rules;

use crate::build::{Bodies, Builder, Emit, compact, live_nodes};
use crate::faults::Faulting;
use crate::{Numerics, Options, PassError};
use expr::Expr;
use facts::Facts;
use lazulite_ir::{Graph, Node, NodeId, Op, TensorType, Type};
use rules::Class;
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

const PASS: &str = "canon";

/// Replacements of replacements after which an operation is left as it is. Rules only ever make
/// operations simpler, so this is never reached; it makes certain that no set of rules can hang.
const MAX_STEPS: u32 = 64;

/// Depth of replacements inside replacements, after which operations are left as they are: an
/// operation that moves down through a tower of others must not cost its height every time.
const MAX_DEPTH: u32 = 8;

/// The simplified graph.
pub fn canon(graph: &Graph, options: &Options) -> Result<Graph, PassError> {
    canon_with_report(graph, options).map(|(graph, _)| graph)
}

/// What a run of `canon` did.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// How many operations were offered to the rules.
    pub visited: u64,
    /// How often each rule fired, by name.
    pub fired: BTreeMap<&'static str, u64>,
}

/// The simplified graph, and what was done, bodies included.
pub fn canon_with_report(graph: &Graph, options: &Options) -> Result<(Graph, Report), PassError> {
    let mut report = Report::default();
    let new = run(graph, options, &mut Bodies::default(), &mut report)?;
    Ok((new, report))
}

fn run(
    graph: &Graph,
    options: &Options,
    bodies: &mut Bodies,
    report: &mut Report,
) -> Result<Graph, PassError> {
    let mut canon = Canon {
        builder: Builder::with_inputs_of(PASS, graph),
        options,
        settled: Vec::new(),
        rounded: FxHashSet::default(),
        faulting: Faulting::default(),
        depth: 0,
        bodies,
        report,
    };
    let inputs = canon.graph().inputs().to_vec();
    let results = canon.splice(graph, &inputs)?;
    compact(PASS, &canon.builder.finish(results, graph))
}

/// What an operation has become.
#[derive(Clone)]
enum Value {
    Node(NodeId),
    /// The results of an operation with several, taken apart.
    Results(Arc<[NodeId]>),
}

/// A graph being rebuilt. It also holds the operations that were replaced; they are dropped in the
/// end.
struct Canon<'a> {
    builder: Builder,
    options: &'a Options,
    /// By node of the new graph: what it is to be replaced by.
    settled: Vec<Option<Value>>,
    /// Roundings to f16 or bf16 that end an arithmetic operation, as opposed to conversions that
    /// the program asked for.
    rounded: FxHashSet<NodeId>,
    faulting: Faulting,
    depth: u32,
    bodies: &'a mut Bodies,
    report: &'a mut Report,
}

impl Emit for Canon<'_> {
    fn graph(&self) -> &Graph {
        self.builder.graph()
    }

    fn emit(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, PassError> {
        let value = self.rewrite(op, inputs)?;
        self.one(&value)
    }
}

impl Canon<'_> {
    /// Adds the operations of `graph`, with `arguments` for its parameters; returns its results.
    fn splice(&mut self, graph: &Graph, arguments: &[NodeId]) -> Result<Vec<NodeId>, PassError> {
        let mut values: Vec<Option<Value>> = vec![None; graph.nodes().len()];
        for (input, &argument) in graph.inputs().iter().zip(arguments) {
            values[input.index()] = Some(Value::Node(argument));
        }
        let place = self.builder.origin().clone();
        for id in live_nodes(graph) {
            let node = graph.node(id);
            if matches!(node.op, Op::Input { .. }) {
                continue;
            }
            // What has no place of its own belongs to what it is spliced into.
            let own = graph.origin(id);
            let source = own.source().or(place.source()).cloned();
            self.builder.at_origin(&own.with_source(source));
            values[id.index()] = Some(self.copy(node, &values)?);
        }
        self.builder.at_origin(&place);
        let outputs = graph.outputs().iter();
        outputs.map(|o| self.operand(&values, *o)).collect()
    }

    fn copy(&mut self, node: &Node, values: &[Option<Value>]) -> Result<Value, PassError> {
        if let Op::Get { index } = node.op
            && let Some(Value::Results(results)) = &values[node.inputs[0].index()]
        {
            return Ok(Value::Node(results[index as usize]));
        }
        let operands = node.inputs.iter().map(|&i| self.operand(values, i));
        let operands: Vec<NodeId> = operands.collect::<Result<_, _>>()?;
        let (options, report) = (self.options, &mut *self.report);
        let op = self.bodies.map(&node.op, &mut |body, bodies| {
            run(body, options, bodies, report)
        })?;
        self.rewrite(op, &operands)
    }

    fn operand(&self, values: &[Option<Value>], id: NodeId) -> Result<NodeId, PassError> {
        let value = values[id.index()].as_ref();
        value.map_or_else(|| Err(misused()), |value| self.one(value))
    }

    fn one(&self, value: &Value) -> Result<NodeId, PassError> {
        match value {
            Value::Node(id) => Ok(*id),
            Value::Results(_) => Err(misused()),
        }
    }

    /// Adds an operation over finished operands, and applies rules to it until none fires.
    fn rewrite(&mut self, op: Op, inputs: &[NodeId]) -> Result<Value, PassError> {
        let mut id = self.builder.emit(op, inputs)?;
        if self.depth > MAX_DEPTH {
            return Ok(Value::Node(id));
        }
        let mut replaced = Vec::new();
        let value = loop {
            if let Some(Some(value)) = self.settled.get(id.index()) {
                break value.clone();
            }
            replaced.push(id);
            if replaced.len() as u32 > MAX_STEPS {
                break Value::Node(id);
            }
            match self.step(id)? {
                Some(Value::Node(new)) => id = new,
                None => break Value::Node(id),
                Some(results @ Value::Results(_)) => break results,
            }
        };
        self.settled.resize(self.graph().nodes().len(), None);
        for id in replaced {
            self.settled[id.index()] = Some(value.clone());
        }
        Ok(value)
    }

    /// Applies the first rule that fires; the outermost operation of the replacement is not yet
    /// offered to the rules.
    fn step(&mut self, id: NodeId) -> Result<Option<Value>, PassError> {
        self.report.visited += 1;
        self.faulting.update(self.builder.graph());
        let numerics = self.options.numerics;
        let allowed = |class: Class| match class {
            Class::Exact => true,
            Class::Order => numerics >= Numerics::Order,
        };
        let node = self.graph().node(id);
        let rules = rules::rules_for(&node.op).iter();
        let rules = rules.flat_map(|list| list.iter());
        for rule in rules.filter(|rule| allowed(rule.class)) {
            let facts = Facts::new(self.builder.graph(), &self.rounded, &self.faulting);
            let Some(expr) = (rule.apply)(&facts, self.graph().node(id)) else {
                continue;
            };
            let first_new = self.graph().nodes().len();
            let value = self.replacement(expr)?;
            if self.drops_faults(id, &value) {
                continue;
            }
            let same = matches!(value, Value::Node(new) if new == id);
            if same || !self.has_type(&value, &self.graph().node(id).ty) {
                return Ok(None);
            }
            *self.report.fired.entry(rule.name).or_default() += 1;
            self.credit(rule.name, id, first_new, &value);
            return Ok(Some(value));
        }
        Ok(None)
    }

    /// Notes that `rule` put `value` in the place of `id`, and added the nodes from `first_new` on for it.
    fn credit(&mut self, rule: &'static str, id: NodeId, first_new: usize, value: &Value) {
        let mut origin = self.graph().origin(id).clone();
        origin.add_rule(rule);
        let end = self.graph().nodes().len();
        let new = (first_new..end).map(|i| NodeId(i as u32));
        let results = match value {
            Value::Node(result) => std::slice::from_ref(result),
            Value::Results(results) => results,
        };
        for node in new.chain(results.iter().copied()) {
            self.builder.credit(node, &origin);
        }
    }

    /// True if an operand may record a fault and nothing that the replacement is computed from may.
    fn drops_faults(&mut self, id: NodeId, value: &Value) -> bool {
        self.faulting.update(self.builder.graph());
        let operands = &self.graph().node(id).inputs;
        if !operands.iter().any(|&i| self.faulting.of(i)) {
            return false;
        }
        match value {
            Value::Node(new) => !self.faulting.of(*new),
            Value::Results(results) => !results.iter().any(|&r| self.faulting.of(r)),
        }
    }

    /// Sizes that are equal only because a guard says so may be spelled differently in the
    /// replacement, and then it would change the types of results.
    fn has_type(&self, value: &Value, ty: &Type) -> bool {
        match (value, ty) {
            (Value::Node(id), ty) => self.graph().node(*id).ty == *ty,
            (Value::Results(ids), Type::Tuple(types)) => {
                let same = |(id, ty): (&NodeId, &TensorType)| self.ty(*id) == ty;
                ids.len() == types.len() && ids.iter().zip(types.iter()).all(same)
            }
            (Value::Results(_), Type::Tensor(_)) => false,
        }
    }

    fn replacement(&mut self, expr: Expr) -> Result<Value, PassError> {
        self.depth += 1;
        let value = match expr {
            Expr::Op(op, operands) => {
                let operands = self.build_all(operands)?;
                Value::Node(self.builder.emit(op, &operands)?)
            }
            Expr::Results(results) => Value::Results(self.build_all(results)?.into()),
            Expr::Splice(body, arguments) => {
                let arguments = self.build_all(arguments)?;
                Value::Results(self.splice(&body, &arguments)?.into())
            }
            other => Value::Node(self.build(other)?),
        };
        self.depth -= 1;
        Ok(value)
    }

    fn build_all(&mut self, exprs: Vec<Expr>) -> Result<Vec<NodeId>, PassError> {
        exprs.into_iter().map(|e| self.build(e)).collect()
    }

    /// Adds a replacement's operations, simplified themselves. The recursion is over the
    /// replacement as the rule wrote it down.
    fn build(&mut self, expr: Expr) -> Result<NodeId, PassError> {
        match expr {
            Expr::Node(id) => Ok(id),
            Expr::Op(op, operands) => {
                let operands = self.build_all(operands)?;
                self.emit(op, &operands)
            }
            // Repeated numbers are made in their final form: no rule need see them.
            Expr::Splat(value, dims) => self.builder.splat(value, &dims),
            Expr::Broadcast(scalar, dims) => self.builder.broadcast(scalar, &dims),
            Expr::Round(x, dtype) => {
                let x = self.build(*x)?;
                let rounded = self.cast(x, dtype)?;
                if self.graph().node(rounded).op == (Op::Cast { dtype }) {
                    self.rounded.insert(rounded);
                }
                Ok(rounded)
            }
            Expr::Results(_) | Expr::Splice(..) => Err(misused()),
        }
    }
}

/// The error for a tuple in the place of a tensor, which the verifier rejects too.
fn misused() -> PassError {
    PassError::Invalid {
        after: "inline",
        report: "several results are used as one tensor".into(),
    }
}
