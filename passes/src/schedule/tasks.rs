//! The order of work: tasks, each becoming one kernel or a few steps that belong together.
//!
//! Kept values are taken in the graph's order. Each joins a group that comes no earlier than every task
//! it depends on, or gets a task of its own at the end. So tasks can run in their order, and no choice
//! of fusion can make a cycle.
//!
//! Numbers that depend on nothing but parameters that are numbers come first, wherever the graph has them: what uses
//! one of them, such as an optimiser's step with its count, can then join what comes before it in the graph.

use super::ScheduleError;
use super::ScheduleOptions;
use super::contract::{Contraction, Source};
use super::faults::Faults;
use super::group::Group;
use super::lower::Stored;
use super::member::{self, Member};
use super::policy::{Policy, Residence, is_inlinable};
use super::report::Refusal;
use super::scatter::{self, Scattering};
use lazulite_ir::{Graph, NodeId, Op, Type};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A unit of work.
#[derive(Debug)]
pub(super) enum Task {
    /// A kernel.
    Kernel(Box<Group>),
    /// A matrix product with its packers and epilogue.
    Product(Box<Contraction>),
    /// A copy and a kernel that updates it.
    Scatter(Box<Scattering>),
    /// An operation that is a step of its own.
    Step(NodeId),
}

impl Task {
    /// The group that members can join.
    pub fn group(&self) -> Option<&Group> {
        match self {
            Task::Kernel(group) => Some(group),
            Task::Product(contraction) => Some(&contraction.epilogue),
            Task::Scatter(_) | Task::Step(_) => None,
        }
    }

    fn group_mut(&mut self) -> Option<&mut Group> {
        match self {
            Task::Kernel(group) => Some(group),
            Task::Product(contraction) => Some(&mut contraction.epilogue),
            Task::Scatter(_) | Task::Step(_) => None,
        }
    }
}

/// Where a value was put.
pub(super) struct Placement {
    /// The value.
    pub node: NodeId,
    /// The task that computes it.
    pub task: usize,
    /// The tasks that it could not join, which come close.
    pub refused: SmallVec<[(usize, Refusal); 2]>,
}

/// The work of a graph, and how the choice of tasks came about.
pub(super) struct Arranged {
    /// In order.
    pub tasks: Vec<Task>,
    /// Of values that might have joined others.
    pub placements: Vec<Placement>,
}

/// Orders the work of a graph.
pub(super) fn arrange(
    graph: &Graph,
    policy: &Policy,
    faults: &mut Faults,
    options: &ScheduleOptions,
) -> Result<Arranged, ScheduleError> {
    let mut arranger = Arranger {
        graph,
        policy,
        faults,
        options,
        list: Vec::new(),
        placements: Vec::new(),
        task_of: FxHashMap::default(),
        last_reader: FxHashMap::default(),
    };
    let early = known_early(graph, policy);
    for turn in [true, false] {
        for &id in policy.live() {
            if policy.residence(id) != Residence::Inline && early[id.index()] == turn {
                arranger.place(id)?;
            }
        }
    }
    Ok(Arranged {
        tasks: arranger.list,
        placements: arranger.placements,
    })
}

/// Per node: whether it is a number that depends on numbers only, without a step of its own.
fn known_early(graph: &Graph, policy: &Policy) -> Vec<bool> {
    let mut early = vec![false; graph.nodes().len()];
    for &id in policy.live() {
        let node = graph.node(id);
        let is_number = match &node.ty {
            Type::Tensor(ty) => ty.dims.iter().all(|d| d.is(1)),
            Type::Tuple(_) => false,
        };
        early[id.index()] = is_number
            && (is_inlinable(&node.op) || matches!(node.op, Op::Input { .. }))
            && node.inputs.iter().all(|input| early[input.index()]);
    }
    early
}

struct Arranger<'a> {
    graph: &'a Graph,
    policy: &'a Policy,
    faults: &'a mut Faults,
    options: &'a ScheduleOptions,
    list: Vec<Task>,
    placements: Vec<Placement>,
    /// Which task defines a node's value.
    task_of: FxHashMap<NodeId, usize>,
    /// The last group that reads a tensor.
    last_reader: FxHashMap<Stored, usize>,
}

impl Arranger<'_> {
    fn place(&mut self, id: NodeId) -> Result<(), ScheduleError> {
        match &self.graph.node(id).op {
            Op::Input { .. } => Ok(()),
            Op::Contract { .. } if !self.graph.tensor_type(id).dims.iter().any(|d| d.is(0)) => {
                let contraction = Source {
                    graph: self.graph,
                    policy: self.policy,
                    faults: self.faults,
                    machine: &self.options.machine,
                }
                .contraction(id)?;
                self.append(id, Task::Product(Box::new(contraction)));
                Ok(())
            }
            Op::Scatter { .. } => {
                let (graph, policy) = (self.graph, self.policy);
                let scattering = scatter::build(graph, policy, self.faults, id)?;
                self.append(id, Task::Scatter(Box::new(scattering)));
                Ok(())
            }
            Op::Sort { .. }
            | Op::If { .. }
            | Op::While { .. }
            | Op::Loop { .. }
            | Op::Custom { .. } => {
                self.append(id, Task::Step(id));
                Ok(())
            }
            _ => {
                let member = member::define(self.graph, self.policy, self.faults, id)?;
                self.place_member(id, member)
            }
        }
    }

    fn append(&mut self, id: NodeId, task: Task) {
        self.list.push(task);
        self.task_of.insert(id, self.list.len() - 1);
    }

    /// Lets a member join a group, or start one.
    fn place_member(&mut self, id: NodeId, member: Member) -> Result<(), ScheduleError> {
        let mut refused = SmallVec::new();
        for position in self.candidates(&member) {
            let Some(group) = self.list[position].group_mut() else {
                continue;
            };
            match group.fit(&member, self.options)? {
                Ok(fit) => {
                    self.note_reads(&member, position);
                    if let Some(group) = self.list[position].group_mut() {
                        group.join(member, fit)?;
                    }
                    self.task_of.insert(id, position);
                    self.note_placement(id, position, refused);
                    return Ok(());
                }
                Err(why) => refused.push((position, why)),
            }
        }
        self.note_placement(id, self.list.len(), refused);
        self.note_reads(&member, self.list.len());
        let group = Group::of(member)?;
        self.append(id, Task::Kernel(Box::new(group)));
        Ok(())
    }

    fn note_placement(
        &mut self,
        node: NodeId,
        task: usize,
        refused: SmallVec<[(usize, Refusal); 2]>,
    ) {
        if !refused.is_empty() {
            self.placements.push(Placement {
                node,
                task,
                refused,
            });
        }
    }

    /// Tasks that the member might join, best first.
    fn candidates(&self, member: &Member) -> Vec<usize> {
        if !self.options.fuse {
            return Vec::new();
        }
        let reads = || member.fragment.reads().map(|r| r.from);
        let earliest = reads().filter_map(|r| self.task_of.get(&r.node)).max();
        let earliest = earliest.copied();
        let readers = reads().filter_map(|r| self.last_reader.get(&r)).copied();
        let last = self.list.len().checked_sub(1);
        let mut found: Vec<usize> = earliest.into_iter().collect();
        for position in readers.chain(last) {
            if earliest.is_none_or(|e| position > e) && !found.contains(&position) {
                found.push(position);
            }
        }
        found
    }

    fn note_reads(&mut self, member: &Member, position: usize) {
        for read in member.fragment.reads() {
            let inside = self
                .list
                .get(position)
                .and_then(Task::group)
                .is_some_and(|g| g.defines(read.from));
            if !inside {
                self.last_reader.insert(read.from, position);
            }
        }
    }
}
