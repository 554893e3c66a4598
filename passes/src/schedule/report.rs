//! What scheduling decided and why, as data: for people who look at programs and for tests.
//!
//! Decisions are noted where they are made; the report is put together only when somebody asks for it.

use super::context::Context;
use super::lower::Stored;
use super::places::Places;
use super::policy::Policy;
pub use super::policy::Residence;
use super::tasks::{Placement, Task};
use lazulite_ir::{BufferId, Class, Graph, NodeId, Op, Step};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::fmt;

/// Why the value of a node is not computed anew wherever it is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Need {
    /// It is a parameter.
    Parameter,
    /// It is a result of the program.
    Result,
    /// It joins many elements: computing it again for each use would repeat all of them.
    Aggregate,
    /// It is the result of an operation that is no kernel, or is updated in place.
    OwnStep,
    /// An operation that is no kernel (a sort, a loop, a library function) reads it from memory.
    Operand,
    /// Fusion is off.
    FusionOff,
    /// A view reads only a part of it, but faults are to be found in all of it.
    Faults,
    /// A view repeats its elements, and they are expensive.
    Repeated,
    /// Indices would go through too many reshapes.
    Indices,
    /// The kernel would have too many instructions.
    Instructions,
    /// Several operations use it, and it is too expensive to be computed for each.
    Shared {
        /// How many.
        users: u32,
        /// Price of one element, in additions.
        cost: u32,
    },
    /// A matrix product reads it with strides, without a copy.
    Product,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Need::Parameter => f.write_str("it is a parameter"),
            Need::Result => f.write_str("it is a result of the program"),
            Need::Aggregate => f.write_str("it joins many elements, which every use would repeat"),
            Need::OwnStep => f.write_str("its operation is a step of its own"),
            Need::Operand => f.write_str("an operation that is a step of its own reads it"),
            Need::FusionOff => f.write_str("fusion is off"),
            Need::Faults => {
                f.write_str("faults are to be found in all of it, and a view reads a part")
            }
            Need::Repeated => f.write_str("a view repeats its elements, and they are expensive"),
            Need::Indices => f.write_str("indices would go through too many reshapes"),
            Need::Instructions => f.write_str("the kernel would have too many instructions"),
            Need::Shared { users, cost } => write!(
                f,
                "{users} operations use it, and an element costs {cost} additions"
            ),
            Need::Product => f.write_str("a matrix product reads it with strides, without a copy"),
        }
    }
}

/// Why a value did not join a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refusal {
    /// The kernel runs along a scan; nothing joins it.
    Scan,
    /// The value is a scan, which is a kernel of its own.
    IsScan,
    /// It reads the kernel's values at points other than those at which they are computed.
    OtherPoints,
    /// It reads nothing that the kernel reads or computes, and the tensors are too large to share a kernel
    /// without.
    NothingShared,
    /// The loops of the two do not fit.
    Loops,
    /// The kernel finishes the tiles of a matrix product, which takes values of single elements only.
    Tiles,
    /// The kernel would have too many instructions.
    Instructions {
        /// So many.
        count: usize,
        /// At most.
        limit: usize,
    },
    /// The kernel would use too many tensors.
    Buffers {
        /// At most.
        limit: usize,
    },
    /// Its rows would not stay in the cache between passes.
    LongRows {
        /// Elements of a row, as far as is known.
        row: i64,
        /// At most.
        limit: i64,
    },
    /// There are too few rows to run in parallel.
    FewRows {
        /// So many.
        rows: i64,
        /// At least.
        needed: i64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Scan => f.write_str("that kernel runs along a scan, which nothing joins"),
            Refusal::IsScan => f.write_str("a scan is a kernel of its own"),
            Refusal::OtherPoints => f.write_str(
                "it reads values of that kernel at points where they are not yet computed",
            ),
            Refusal::NothingShared => f.write_str("the two have no tensor in common"),
            Refusal::Loops => f.write_str("their loops do not fit"),
            Refusal::Tiles => {
                f.write_str("that kernel finishes tiles of a matrix product, one element at a time")
            }
            Refusal::Instructions { count, limit } => {
                write!(
                    f,
                    "together they have {count} instructions, more than {limit}"
                )
            }
            Refusal::Buffers { limit } => write!(f, "together they use more than {limit} tensors"),
            Refusal::LongRows { row, limit } => write!(
                f,
                "rows of {row} elements do not stay in the cache between passes (up to {limit} do)"
            ),
            Refusal::FewRows { rows, needed } => write!(
                f,
                "{rows} rows are too few to run in parallel ({needed} are enough)"
            ),
        }
    }
}

/// What a task becomes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TaskKind {
    /// A fused loop nest.
    Kernel,
    /// A matrix product with its packers and its epilogue.
    Product,
    /// A copy, and a kernel that updates it.
    Scatter,
    /// A step of its own: a sort, a library function, control flow.
    Step,
}

impl TaskKind {
    /// The name in dumps.
    pub const fn name(self) -> &'static str {
        match self {
            TaskKind::Kernel => "kernel",
            TaskKind::Product => "product",
            TaskKind::Scatter => "scatter",
            TaskKind::Step => "step",
        }
    }
}

/// A value and the task it was kept out of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The value.
    pub node: NodeId,
    /// The task that it did not join.
    pub task: u32,
    /// Why.
    pub why: Refusal,
}

/// A unit of work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskReport {
    /// What it becomes.
    pub kind: TaskKind,
    /// The values it computes, operands first.
    pub members: Vec<NodeId>,
    /// Its launches: see [`launches`].
    pub launches: Vec<u32>,
    /// Why its values are not in other tasks.
    pub cuts: Vec<Cut>,
}

/// What became of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeReport {
    /// Where its value is.
    pub residence: Residence,
    /// Why it is not computed anew in each use.
    pub need: Option<Need>,
    /// The tasks that compute it, first to last; the first few.
    pub tasks: SmallVec<[u32; 2]>,
    /// Whether it goes through memory.
    pub in_memory: bool,
}

/// A graph that was scheduled: the program's, or the body of an operation.
#[derive(Clone, Debug)]
pub struct ScheduledGraph {
    /// As kernels were made from it.
    pub graph: Graph,
    /// How many bodies it lies in.
    pub depth: usize,
    /// By node.
    pub nodes: Vec<NodeReport>,
    /// In order.
    pub tasks: Vec<TaskReport>,
}

/// What scheduling decided.
#[derive(Clone, Default, Debug)]
pub struct ScheduleReport {
    /// The program's graph, then the bodies in it.
    pub graphs: Vec<ScheduledGraph>,
}

/// Tasks listed for one node at most.
const TASKS_KEPT: usize = 4;

/// The steps of a plan that do work, with their positions among all steps, in the order of a walk that visits
/// a step before those inside of it. Which of them run, and when, is known behind [`crate::memory::hoist`].
pub fn launches(steps: &[Step]) -> Vec<(u32, &Step)> {
    let mut found = Vec::new();
    let mut position = 0;
    let mut pending: Vec<&Step> = steps.iter().rev().collect();
    while let Some(step) = pending.pop() {
        match step {
            Step::Kernel(_) | Step::Contract(_) | Step::Sort { .. } | Step::Custom { .. } => {
                found.push((position, step));
            }
            Step::Copy { .. } => {}
            Step::If { then, other, .. } => {
                pending.extend(other.iter().rev());
                pending.extend(then.iter().rev());
            }
            Step::Loop { body, .. } => pending.extend(body.iter().rev()),
            Step::While { test, body, .. } => {
                pending.extend(body.iter().rev());
                pending.extend(test.iter().rev());
            }
        }
        position += 1;
    }
    found
}

/// What tells a launch from all others: its kernel and the buffers it works on.
type LaunchKey = (Option<u32>, Vec<BufferId>);

fn launch_key(step: &Step) -> Option<LaunchKey> {
    match step {
        Step::Kernel(call) => Some((Some(call.kernel), call.args.clone())),
        // Which right operand it reads may still change.
        Step::Contract(c) => Some((None, vec![c.lhs, c.product])),
        Step::Sort { outputs, .. } => Some((None, outputs.clone())),
        Step::Custom { outputs, .. } => Some((None, outputs.iter().map(|(b, _)| *b).collect())),
        Step::Copy { .. } | Step::If { .. } | Step::Loop { .. } | Step::While { .. } => None,
    }
}

/// A report in the making.
#[derive(Default)]
pub(super) struct Notes {
    report: ScheduleReport,
    /// Which graph's which task a launch belongs to.
    launches: FxHashMap<LaunchKey, (usize, usize)>,
}

impl Notes {
    /// A place for the report of the next graph.
    pub fn begin(&mut self, graph: &Graph, depth: usize) -> usize {
        self.report.graphs.push(ScheduledGraph {
            graph: graph.clone(),
            depth,
            nodes: Vec::new(),
            tasks: Vec::new(),
        });
        self.report.graphs.len() - 1
    }

    /// Notes the steps that a task of a graph has become.
    pub fn steps(&mut self, graph: usize, task: usize, steps: &[Step]) {
        for key in steps.iter().filter_map(launch_key) {
            self.launches.entry(key).or_insert((graph, task));
        }
    }

    /// The report for the finished steps.
    pub fn finish(mut self, steps: &[Step]) -> ScheduleReport {
        for (number, (_, step)) in launches(steps).into_iter().enumerate() {
            let known = launch_key(step).and_then(|key| self.launches.get(&key));
            if let Some(&(graph, task)) = known {
                let task = self.report.graphs[graph].tasks.get_mut(task);
                task.into_iter()
                    .for_each(|t| t.launches.push(number as u32));
            }
        }
        self.report
    }
}

/// Puts the report of one graph together, if one is wanted.
pub(super) fn describe(
    cx: &mut Context<'_>,
    at: usize,
    policy: &Policy,
    tasks: &[Task],
    placements: &[Placement],
    places: &Places<'_>,
) {
    let Some(notes) = &mut cx.notes else { return };
    let scheduled = &mut notes.report.graphs[at];
    let graph = &scheduled.graph;
    scheduled.tasks = tasks.iter().map(task_report).collect();
    for placement in placements {
        let cuts = placement.refused.iter().map(|&(task, why)| Cut {
            node: placement.node,
            task: task as u32,
            why,
        });
        scheduled.tasks[placement.task].cuts.extend(cuts);
    }
    let mut nodes: Vec<NodeReport> = graph
        .ids()
        .map(|id| NodeReport {
            residence: policy.residence(id),
            need: policy.need(id),
            tasks: SmallVec::new(),
            in_memory: places.in_memory.contains(&Stored::of(id)),
        })
        .collect();
    for (number, task) in scheduled.tasks.iter().enumerate() {
        for member in &task.members {
            nodes[member.index()].tasks.push(number as u32);
        }
    }
    for &id in policy.live().iter().rev() {
        hand_down(graph, id, &mut nodes);
    }
    for node in &mut nodes {
        node.tasks.sort_unstable();
    }
    scheduled.nodes = nodes;
}

/// What is computed in its users is computed in all tasks that these are computed in.
fn hand_down(graph: &Graph, id: NodeId, nodes: &mut [NodeReport]) {
    let tasks = nodes[id.index()].tasks.clone();
    for operand in &graph.node(id).inputs {
        let node = &mut nodes[operand.index()];
        let is_leaf = matches!(graph.node(*operand).op, Op::Input { .. });
        if node.residence != Residence::Inline || is_leaf {
            continue;
        }
        for task in &tasks {
            if node.tasks.len() < TASKS_KEPT && !node.tasks.contains(task) {
                node.tasks.push(*task);
            }
        }
    }
}

fn task_report(task: &Task) -> TaskReport {
    let (kind, members) = match task {
        Task::Kernel(group) => (TaskKind::Kernel, group.values().collect()),
        Task::Product(c) => (TaskKind::Product, c.epilogue.values().collect()),
        Task::Scatter(s) => (TaskKind::Scatter, vec![s.node]),
        Task::Step(node) => (TaskKind::Step, vec![*node]),
    };
    TaskReport {
        kind,
        members,
        launches: Vec::new(),
        cuts: Vec::new(),
    }
}

/// Whether a node is worth a mention among others: it computes something.
pub fn computes(op: &Op) -> bool {
    match op.class() {
        Class::Leaf | Class::View => matches!(op, Op::Pad { .. } | Op::Random { .. }),
        Class::Pointwise | Class::Aggregate | Class::Index | Class::Region => true,
        Class::Other => !matches!(op, Op::Get { .. } | Op::Barrier {}),
    }
}
