//! Graphs and plans as they are shown: nodes with what is known of them, groups that became kernels,
//! buffers with their lifetimes. Everything that is shown of a program is read from here.

use crate::engine::Assignment;
use crate::error::{Error, ErrorKind, Result};
use crate::indexed::without_index;
use lazulite_ir::{
    AttrWriter, Class, Dim, Graph, Node, NodeId, Op, Origin, Place, Plan, Source, Symbol,
    TensorType, Type,
};
use lazulite_passes::report::{Residence, ScheduleReport, ScheduledGraph, TaskReport};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Bodies of operations shown for one stage at most.
const MAX_BODIES: usize = 256;

/// The values of a program's unknown sizes, as far as they are given.
pub(crate) struct Known {
    symbols: Vec<Symbol>,
    values: Vec<i64>,
    missing: Vec<Symbol>,
}

impl Known {
    /// The sizes given for `symbols`.
    pub fn new(symbols: &[Symbol], given: &[(String, i64)]) -> Result<Known> {
        let argument = |message: String| {
            let names: Vec<String> = symbols.iter().map(ToString::to_string).collect();
            let hint = match names.is_empty() {
                true => "all its sizes are known".to_string(),
                false => format!("its sizes are {}", names.join(", ")),
            };
            Error::new(ErrorKind::Argument, "inspect", message).hint(hint)
        };
        let mut known = Known {
            symbols: Vec::new(),
            values: Vec::new(),
            missing: Vec::new(),
        };
        for (name, value) in given {
            if !symbols.iter().any(|s| *s.0 == **name) {
                return Err(argument(format!("the program has no size called {name}")));
            }
            if *value < 0 {
                return Err(argument(format!("the size {name} cannot be {value}")));
            }
        }
        for symbol in symbols {
            match given.iter().find(|(name, _)| *symbol.0 == **name) {
                Some((_, value)) => {
                    known.symbols.push(symbol.clone());
                    known.values.push(*value);
                }
                None => known.missing.push(symbol.clone()),
            }
        }
        Ok(known)
    }

    fn assignment(&self) -> Assignment<'_> {
        Assignment {
            symbols: &self.symbols,
            values: &self.values,
        }
    }

    /// The number a size is.
    pub fn size(&self, dim: &Dim) -> Option<i64> {
        self.assignment().size(dim)
    }

    /// Bytes of a tensor.
    pub fn bytes(&self, ty: &TensorType) -> Option<u64> {
        let element = ty.dtype.size() as u64;
        let mut sizes = ty.dims.iter().map(|d| self.size(d));
        sizes.try_fold(element, |bytes, size| {
            bytes.checked_mul(u64::try_from(size?).ok()?)
        })
    }

    /// A type with its sizes known.
    pub fn tensor_type(&self, ty: &TensorType) -> Option<TensorType> {
        self.assignment().tensor_type(ty)
    }

    /// The sizes that are known, with their values.
    pub fn pairs(&self) -> impl Iterator<Item = (&Symbol, i64)> {
        self.symbols.iter().zip(self.values.iter().copied())
    }

    /// The program's sizes.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().chain(&self.missing)
    }

    /// The first size that is not known.
    pub fn missing(&self) -> Option<&Symbol> {
        self.missing.first()
    }
}

/// A place in the user's program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceReport {
    /// File name.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl SourceReport {
    fn of(source: &Arc<Source>) -> SourceReport {
        SourceReport {
            file: source.file.clone(),
            line: source.line,
            column: source.column,
        }
    }
}

/// `src/main.rs:12:5`
impl std::fmt::Display for SourceReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// An operation.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeReport {
    /// Its number in the graph.
    pub id: u32,
    /// The operation's name; of a named composite, the composite's.
    pub op: String,
    /// Of parameters that have one: the name.
    pub name: Option<String>,
    /// What kind of operation it is: `parameter`, `leaf`, `pointwise`, `view`, `aggregate`, `product`, `index`,
    /// `region` or `other`.
    pub class: &'static str,
    /// Its attributes but for the graphs it holds, as in text.
    pub attributes: String,
    /// Element type and sizes, as in text.
    pub ty: String,
    /// Bytes of its value, where all sizes are known.
    pub bytes: Option<u64>,
    /// Numbers of its operands.
    pub inputs: Vec<u32>,
    /// Where it was recorded.
    pub source: Option<SourceReport>,
    /// Composites and module paths around it, outermost first, separated by " > ".
    pub trail: Arc<str>,
    /// Where equal operations were recorded that have become this one.
    pub also: Vec<SourceReport>,
    /// The rewrite rules that had a part in it, first to last.
    pub rules: Vec<&'static str>,
    /// The graphs it holds, as positions in the list of graphs.
    pub bodies: Vec<usize>,
    /// Part of a number at every place: shown with its users rather than by itself.
    pub number: Option<String>,
    /// What scheduling made of it.
    pub scheduled: Option<Scheduled>,
}

/// What scheduling made of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheduled {
    /// The groups that compute it; none for parameters and what is a view of them.
    pub groups: Vec<u32>,
    /// Computed anew wherever it is used.
    pub inline: bool,
    /// Whether it goes through memory.
    pub in_memory: bool,
    /// Why it is not computed anew wherever it is used.
    pub why: Option<String>,
}

/// A value that is not in the same kernel as another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CutReport {
    /// The value.
    pub node: u32,
    /// The group that it did not join.
    pub group: u32,
    /// Why.
    pub why: String,
}

/// Operations that run together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupReport {
    /// Its number.
    pub number: u32,
    /// `kernel`, `product`, `scatter` or `step`.
    pub kind: &'static str,
    /// What it computes, in a few words.
    pub title: String,
    /// The values it computes.
    pub members: Vec<u32>,
    /// The launches that carry it out: see [`super::Report::launches`].
    pub launches: Vec<u32>,
    /// Why its values are not in other groups.
    pub cuts: Vec<CutReport>,
}

/// A graph: the program's, or the body of an operation.
#[derive(Clone, PartialEq, Debug)]
pub struct GraphReport {
    /// What it is.
    pub title: String,
    /// The nodes that results depend on, operands first.
    pub nodes: Vec<NodeReport>,
    /// Numbers of the results.
    pub outputs: Vec<u32>,
    /// What runs together, in order; empty before scheduling.
    pub groups: Vec<GroupReport>,
}

/// A piece of planned memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BufferReport {
    /// Its number.
    pub number: u32,
    /// Element type and number of elements, as in text.
    pub ty: String,
    /// Where it lies, as in text.
    pub place: String,
    /// Bytes, where all sizes are known; none of its own for aliases and parts of others.
    pub bytes: Option<u64>,
    /// First and last step that touches it.
    pub live: (u32, u32),
}

/// A graph before scheduling, and the bodies in it.
pub(super) fn graphs(graph: &Graph, known: &Known, names: &[String]) -> Vec<GraphReport> {
    let mut reader = Reader {
        known,
        bodies: Vec::new(),
        numbers: FxHashMap::default(),
    };
    let mut found = vec![reader.graph(graph, "program".into())];
    name_parameters(graph, &mut found[0], names);
    let mut next = 0;
    while let Some((title, body)) = reader.bodies.get(next).cloned() {
        next += 1;
        found.push(reader.graph(&body, title));
    }
    found
}

/// The graphs that were scheduled. `numbers` has for every launch of the schedule its number among those that run.
pub(super) fn scheduled(
    report: &ScheduleReport,
    numbers: &[Option<u32>],
    known: &Known,
    names: &[String],
) -> Vec<GraphReport> {
    let graphs = report.graphs.iter().enumerate();
    let read = |(number, scheduled): (usize, &ScheduledGraph)| {
        let mut reader = Reader {
            known,
            bodies: Vec::new(),
            numbers: FxHashMap::default(),
        };
        let title = match scheduled.depth {
            0 => "program".into(),
            depth => format!("body {number}, at depth {depth}"),
        };
        let mut graph = reader.graph(&scheduled.graph, title);
        if scheduled.depth == 0 {
            name_parameters(&scheduled.graph, &mut graph, names);
        }
        for node in &mut graph.nodes {
            node.bodies.clear();
            node.scheduled = Some(of_node(scheduled, node.id));
        }
        graph.groups = groups(scheduled, numbers, &graph.nodes);
        graph
    };
    graphs.map(read).collect()
}

/// Gives the program's parameters their names.
fn name_parameters(graph: &Graph, shown: &mut GraphReport, names: &[String]) {
    for node in &mut shown.nodes {
        if let Op::Input { index, .. } = graph.node(NodeId(node.id)).op {
            node.name = names.get(index as usize).cloned();
        }
    }
}

fn of_node(scheduled: &ScheduledGraph, id: u32) -> Scheduled {
    let is_parameter = matches!(scheduled.graph.node(NodeId(id)).op, Op::Input { .. });
    match scheduled.nodes.get(id as usize) {
        Some(node) => Scheduled {
            groups: node.tasks.to_vec(),
            inline: node.residence == Residence::Inline,
            in_memory: node.in_memory || is_parameter,
            why: node.need.map(|need| need.to_string()),
        },
        None => Scheduled {
            groups: Vec::new(),
            inline: true,
            in_memory: false,
            why: None,
        },
    }
}

fn groups(
    scheduled: &ScheduledGraph,
    numbers: &[Option<u32>],
    nodes: &[NodeReport],
) -> Vec<GroupReport> {
    let runs = |launch: &u32| numbers.get(*launch as usize).copied().flatten();
    let mut inside: Vec<Vec<&NodeReport>> = vec![Vec::new(); scheduled.tasks.len()];
    for node in nodes {
        let own = node.scheduled.iter().flat_map(|s| &s.groups);
        own.for_each(|&g| inside[g as usize].push(node));
    }
    let group = |(number, task): (usize, &TaskReport)| GroupReport {
        number: number as u32,
        kind: task.kind.name(),
        title: title(&scheduled.graph, &inside[number]),
        members: task.members.iter().map(|m| m.0).collect(),
        launches: task.launches.iter().filter_map(runs).collect(),
        cuts: { task.cuts.iter() }
            .map(|cut| CutReport {
                node: cut.node.0,
                group: cut.task,
                why: cut.why.to_string(),
            })
            .collect(),
    };
    scheduled.tasks.iter().enumerate().map(group).collect()
}

/// Operations named in a title at most.
const TITLE_OPS: usize = 5;

/// The names of the operations that compute something, each once, in order.
fn title(graph: &Graph, nodes: &[&NodeReport]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut left_out = 0;
    for node in nodes {
        if !lazulite_passes::report::computes(&graph.node(NodeId(node.id)).op) {
            continue;
        }
        match names.contains(&node.op.as_str()) {
            true => {}
            false if names.len() < TITLE_OPS => names.push(&node.op),
            false => left_out += 1,
        }
    }
    let title = match names.is_empty() {
        true => "copy".into(),
        false => names.join(", "),
    };
    match left_out {
        0 => title,
        n => format!("{title} and {n} more"),
    }
}

struct Reader<'a> {
    known: &'a Known,
    /// The bodies met, with their titles, and where they will stand.
    bodies: Vec<(String, Arc<Graph>)>,
    numbers: FxHashMap<*const Graph, usize>,
}

impl Reader<'_> {
    fn graph(&mut self, graph: &Graph, title: String) -> GraphReport {
        let mut live: FxHashSet<NodeId> = graph.outputs().iter().copied().collect();
        live.extend(graph.inputs());
        for id in graph.ids().rev() {
            if live.contains(&id) {
                live.extend(&graph.node(id).inputs);
            }
        }
        let mut numbers: FxHashMap<NodeId, String> = FxHashMap::default();
        let mut nodes = Vec::with_capacity(live.len());
        for id in graph.ids().filter(|id| live.contains(id)) {
            let mut node = self.node(graph, id);
            node.number = number(graph.node(id), &numbers);
            if let Some(text) = &node.number {
                numbers.insert(id, text.clone());
            }
            nodes.push(node);
        }
        GraphReport {
            title,
            nodes,
            outputs: graph.outputs().iter().map(|o| o.0).collect(),
            groups: Vec::new(),
        }
    }

    fn node(&mut self, graph: &Graph, id: NodeId) -> NodeReport {
        let node = graph.node(id);
        let origin: &Origin = graph.origin(id);
        let bytes = match &node.ty {
            Type::Tensor(ty) => self.known.bytes(ty),
            Type::Tuple(types) => types.iter().map(|ty| self.known.bytes(ty)).sum(),
        };
        let op = match &node.op {
            Op::Call { name, .. } => name.to_string(),
            op => op.mnemonic().to_string(),
        };
        let bodies = node.op.regions().into_iter().filter_map(|(part, body)| {
            let title = format!("{part} of %{} {op}", id.0);
            self.body(title, body)
        });
        let bodies = bodies.collect();
        NodeReport {
            id: id.0,
            name: None,
            class: class(&node.op),
            attributes: attributes(&node.op),
            ty: node.ty.to_string(),
            bytes,
            inputs: node.inputs.iter().map(|i| i.0).collect(),
            source: origin.source().map(SourceReport::of),
            trail: origin
                .source()
                .map_or_else(|| "".into(), |s| without_index(&s.trail).into()),
            also: origin.also().iter().map(SourceReport::of).collect(),
            rules: origin.rules().to_vec(),
            bodies,
            number: None,
            scheduled: None,
            op,
        }
    }

    /// The position of a body among the graphs; none beyond those that are shown.
    fn body(&mut self, title: String, body: &Arc<Graph>) -> Option<usize> {
        let next = self.bodies.len() + 1;
        if let Some(known) = self.numbers.get(&Arc::as_ptr(body)) {
            return Some(*known);
        }
        if next > MAX_BODIES {
            return None;
        }
        self.numbers.insert(Arc::as_ptr(body), next);
        self.bodies.push((title, body.clone()));
        Some(next)
    }
}

fn class(op: &Op) -> &'static str {
    match (op, op.class()) {
        (Op::Input { .. }, _) => "parameter",
        (Op::Contract { .. }, _) => "product",
        (_, Class::Leaf) => "leaf",
        (_, Class::Pointwise) => "pointwise",
        (_, Class::View) => "view",
        (_, Class::Aggregate) => "aggregate",
        (_, Class::Index) => "index",
        (_, Class::Region) => "region",
        (_, Class::Other) => "other",
    }
}

/// The number that a node is at every place.
fn number(node: &Node, numbers: &FxHashMap<NodeId, String>) -> Option<String> {
    match &node.op {
        Op::Const { value } => {
            // The type stands beside it.
            let text = value.to_string();
            let inside = text.split_once('(').and_then(|(_, t)| t.strip_suffix(')'));
            Some(inside.unwrap_or(&text).to_string())
        }
        Op::Reshape { .. } | Op::Expand { .. } | Op::Cast { .. } => {
            numbers.get(node.inputs.first()?).cloned()
        }
        _ => None,
    }
}

/// The attributes of an operation that holds no graphs; of others, those that are short.
fn attributes(op: &Op) -> String {
    match op {
        Op::Unary { .. } | Op::Binary { .. } | Op::Call { .. } | Op::If { .. } => String::new(),
        Op::While { carries, .. } => format!("carries={carries}"),
        Op::Loop {
            trip,
            carries,
            scanned,
            ..
        } => format!("trip={trip}, carries={carries}, scanned={scanned}"),
        op => {
            let mut text = String::new();
            op.write_attrs(&mut AttrWriter::new(&mut text));
            text
        }
    }
}

/// The buffers of a plan.
pub(super) fn buffers(plan: &Plan, known: &Known) -> Vec<BufferReport> {
    let read = |(number, buffer): (usize, &lazulite_ir::PlanBuffer)| {
        let ty = TensorType::new(buffer.dtype, [buffer.len.clone()]);
        let text = buffer.to_string();
        let place = text.strip_prefix(&ty.to_string()).unwrap_or(&text).trim();
        BufferReport {
            number: number as u32,
            place: place.to_string(),
            bytes: match buffer.place {
                Place::Alias(_) | Place::LoopSlice { .. } => None,
                Place::Input(_) | Place::Output | Place::Arena => known.bytes(&ty),
            },
            live: buffer.live,
            ty: ty.to_string(),
        }
    };
    plan.buffers.iter().enumerate().map(read).collect()
}
