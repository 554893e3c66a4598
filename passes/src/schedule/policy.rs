//! What lives in memory and what is computed where it is needed.
//!
//! Every node gets a [`Residence`]. Views, constants and pointwise operations are *inline*: lowered into
//! each user. Results that other operations can only read from memory are *stored*. Between the
//! two are values that are *kept*: computed once, as a member of a kernel of their own or of a
//! kernel that needs them; they get a buffer only if another kernel reads them.
//!
//! Kept are: aggregates; values that cost more than a trip through memory and have several users or
//! are repeated by a view; and values at which a computation is cut so that no kernel becomes too long
//! and no index too deep. Every inline computation has at most `limit` instructions.
//!
//! A fault must be found even in elements that are not used: values that may have one are stored when
//! a view reads only a part of them.

use super::ScheduleError;
use super::ScheduleOptions;
use super::lower::Stored;
use super::operands;
use super::report::Need;
use crate::build::live_nodes;
use crate::faults::may_fault;
use lazulite_ir::{Class, Combine, DType, Dim, Graph, Node, NodeId, Op, Type, price};
use rustc_hash::{FxHashMap, FxHashSet};

/// Where the value of a node is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Residence {
    /// Computed in each user.
    Inline,
    /// Computed once; in memory if another kernel needs it.
    Kept,
    /// In memory.
    Stored,
}

/// Reshapes and the like that may lie between a value and its use: each can multiply the size of
/// index expressions.
const MAX_REINDEXED: u32 = 4;

/// Cost of a windowed value from which on it is kept: windows read each element several times. A
/// padded tensor is not yet worth it.
const WINDOW_COST: u32 = price::ACCESS + 3;

/// The residence of every node.
pub(super) struct Policy {
    residence: Vec<Residence>,
    /// Nodes that are kept for no other reason than having several users.
    shared: Vec<bool>,
    need: Vec<Option<Need>>,
    live: Vec<NodeId>,
    cost: Vec<Estimate>,
    wide_scans: bool,
}

/// What computing one element inline takes, at most.
#[derive(Clone, Copy, Default, Debug)]
struct Estimate {
    /// Instructions.
    insts: u32,
    /// As [`price`] has it.
    cost: u32,
    /// Index-splitting views passed.
    reindexed: u32,
    /// There may be faults to record.
    faults: bool,
}

impl Estimate {
    fn plus(self, other: Estimate) -> Estimate {
        Estimate {
            insts: self.insts.saturating_add(other.insts),
            cost: self.cost.saturating_add(other.cost),
            reindexed: self.reindexed.max(other.reindexed),
            faults: self.faults || other.faults,
        }
    }
}

const READ: Estimate = Estimate {
    insts: 1,
    cost: price::ACCESS,
    reindexed: 0,
    faults: false,
};

impl Policy {
    /// Where `node` lives.
    pub fn residence(&self, node: NodeId) -> Residence {
        self.residence[node.index()]
    }

    /// Why the value of `node` is not computed anew in each use.
    pub fn need(&self, node: NodeId) -> Option<Need> {
        self.need[node.index()]
    }

    /// The nodes that results depend on, operands first.
    pub fn live(&self) -> &[NodeId] {
        &self.live
    }

    /// True when `node` is kept only because it has several users.
    pub fn is_only_shared(&self, node: NodeId) -> bool {
        self.shared[node.index()]
    }

    /// The type in which elements of this type are combined one after the other.
    pub fn scanned_in(&self, kind: Combine, dtype: DType) -> DType {
        match (kind, dtype.compute()) {
            (Combine::Sum | Combine::Prod, DType::F32) if self.wide_scans => DType::F64,
            (_, wide) => wide,
        }
    }

    /// Cost of one element of `node` computed from its inputs in memory.
    pub fn cost(&self, node: NodeId) -> u32 {
        self.cost[node.index()].cost
    }

    /// Decides for a whole graph.
    pub fn decide(graph: &Graph, options: &ScheduleOptions) -> Result<Policy, ScheduleError> {
        let live = live_nodes(graph);
        let mut decision = Decision {
            graph,
            options,
            limit: (options.machine.kernel_insts as u32 * 5 / 8).max(8),
            users: count_users(graph, &live),
            policy: Policy {
                residence: vec![Residence::Inline; graph.nodes().len()],
                shared: vec![false; graph.nodes().len()],
                need: vec![None; graph.nodes().len()],
                cost: vec![Estimate::default(); graph.nodes().len()],
                live: Vec::new(),
                wide_scans: options.machine.wide_scans,
            },
        };
        for &output in graph.outputs() {
            decision.store(output, Need::Result);
        }
        for &id in &live {
            decision.required(id);
        }
        for &id in &live {
            decision.chosen(id)?;
        }
        let mut policy = decision.policy;
        policy.live = live;
        Ok(policy)
    }
}

/// The tensor in memory that holds the elements of `node` in the same order: reshapes share memory
/// (where it is plain that the number of elements is the same, and not only by a guard).
pub(super) fn storage_of(graph: &Graph, node: NodeId) -> Stored {
    let count = |id| Dim::product(&graph.tensor_type(id).dims);
    let mut at = node;
    loop {
        let n = graph.node(at);
        match n.op {
            Op::Reshape { .. } if count(at) == count(n.inputs[0]) => at = n.inputs[0],
            Op::Get { index } => {
                return Stored {
                    node: n.inputs[0],
                    result: index,
                };
            }
            _ => return Stored::of(at),
        }
    }
}

/// Number of distinct nodes that use each node.
pub(super) fn count_users(graph: &Graph, live: &[NodeId]) -> Vec<u32> {
    let mut users = vec![0u32; graph.nodes().len()];
    for &id in live {
        let inputs = &graph.node(id).inputs;
        for (i, input) in inputs.iter().enumerate() {
            if !inputs[..i].contains(input) {
                users[input.index()] += 1;
            }
        }
    }
    users
}

struct Decision<'a> {
    graph: &'a Graph,
    options: &'a ScheduleOptions,
    limit: u32,
    users: Vec<u32>,
    policy: Policy,
}

impl Decision<'_> {
    fn raise(&mut self, node: NodeId, to: Residence, need: Need) {
        self.policy.shared[node.index()] = false;
        let residence = &mut self.policy.residence[node.index()];
        if to > *residence {
            *residence = to;
            self.policy.need[node.index()] = Some(need);
        }
    }

    /// Sees to it that the elements of `node` are in memory, in order.
    fn store(&mut self, node: NodeId, need: Need) {
        let node = storage_of(self.graph, node).node;
        self.raise(node, Residence::Stored, need);
    }

    /// Keeps the value that `node` is a rearrangement of.
    fn keep(&mut self, node: NodeId, need: Need) {
        let mut at = node;
        loop {
            let n = self.graph.node(at);
            match n.op {
                Op::Reshape { .. } | Op::Permute { .. } | Op::Expand { .. }
                    if self.policy.residence(at) == Residence::Inline =>
                {
                    at = n.inputs[0];
                }
                _ => break,
            }
        }
        if can_be_kept(&self.graph.node(at).op) {
            self.raise(at, Residence::Kept, need);
        }
    }

    /// What follows from the operation alone.
    fn required(&mut self, id: NodeId) {
        let node = self.graph.node(id);
        match &node.op {
            Op::Input { .. } => self.raise(id, Residence::Stored, Need::Parameter),
            Op::Scatter { .. } => self.raise(id, Residence::Stored, Need::OwnStep),
            Op::Reduce { .. } | Op::Scan { .. } | Op::Fold { .. } | Op::Contract { .. } => {
                self.raise(id, Residence::Kept, Need::Aggregate);
            }
            Op::Sort { .. }
            | Op::If { .. }
            | Op::While { .. }
            | Op::Loop { .. }
            | Op::Custom { .. } => {
                self.raise(id, Residence::Stored, Need::OwnStep);
                for &input in &node.inputs {
                    self.store(input, Need::Operand);
                }
            }
            Op::Cast { .. }
            | Op::Bitcast { .. }
            | Op::Unary { .. }
            | Op::Binary { .. }
            | Op::Compare { .. }
            | Op::Select {}
            | Op::Gather { .. }
            | Op::Random { .. } => {
                if !self.options.fuse {
                    self.raise(id, Residence::Stored, Need::FusionOff);
                }
            }
            Op::Const { .. }
            | Op::Size { .. }
            | Op::Iota { .. }
            | Op::Reshape { .. }
            | Op::Permute { .. }
            | Op::Barrier {}
            | Op::Expand { .. }
            | Op::Pad { .. }
            | Op::Slice { .. }
            | Op::Window { .. }
            | Op::Complex {}
            | Op::Real {}
            | Op::Imag {}
            | Op::Call { .. }
            | Op::Get { .. } => {}
        }
    }

    /// What is better in memory, going by cost. Operands have been decided.
    fn chosen(&mut self, id: NodeId) -> Result<(), ScheduleError> {
        let node = self.graph.node(id);
        if let Op::Contract { .. } = node.op {
            if self.graph.tensor_type(id).dims.iter().any(|d| d.is(0)) {
                // Nothing will be packed.
                self.keep_faults(node);
            }
            if let Some(base) = operands::direct_operand(self.graph, id, &self.options.machine)?
                && can_be_kept(&self.graph.node(base).op)
            {
                self.raise(base, Residence::Kept, Need::Product);
            }
            if let Some(base) = operands::narrow_operand(self.graph, id, &self.options.machine)?
                && can_be_kept(&self.graph.node(base).op)
            {
                self.raise(base, Residence::Kept, Need::Product);
            }
            if let Some(padded) = operands::padded_operand(self.graph, id, &self.options.machine) {
                self.raise(padded, Residence::Stored, Need::Product);
            }
            return Ok(());
        }
        if !is_inlinable(&node.op) {
            return Ok(());
        }
        self.keep_repeated(id, node);
        if is_partial(&node.op) {
            self.keep_faults(node);
        }
        let mut estimate = self.estimate(node);
        if estimate.reindexed > MAX_REINDEXED {
            for &input in &node.inputs {
                self.keep(input, Need::Indices);
            }
            estimate = self.estimate(node);
        }
        if estimate.insts > self.limit {
            estimate = self.shared_estimate(id, estimate);
        }
        while estimate.insts > self.limit {
            let insts = |i: &NodeId| self.read_estimate(*i).insts;
            let heaviest = node.inputs.iter().copied().max_by_key(insts);
            let Some(heaviest) = heaviest.filter(|i| insts(i) > READ.insts) else {
                break;
            };
            self.keep(heaviest, Need::Instructions);
            self.policy.cost[heaviest.index()] = READ;
            estimate = self.estimate(node);
        }
        self.policy.cost[id.index()] = estimate;
        let is_view = node.op.class() == Class::View && !matches!(node.op, Op::Pad { .. });
        if self.policy.residence(id) == Residence::Inline
            && self.users[id.index()] >= 2
            && !is_view
            && estimate.cost >= self.options.machine.keep_cost
        {
            let (users, cost) = (self.users[id.index()], estimate.cost);
            self.raise(id, Residence::Kept, Need::Shared { users, cost });
            self.policy.shared[id.index()] = true;
        }
        Ok(())
    }

    /// Stores operands in which faults are to be found although the node does not read all of
    /// them.
    fn keep_faults(&mut self, node: &Node) {
        for &input in &node.inputs {
            if self.read_estimate(input).faults {
                self.store(input, Need::Faults);
            }
        }
    }

    /// Keeps operands that the node reads more often than they have elements.
    fn keep_repeated(&mut self, id: NodeId, node: &Node) {
        let threshold = match node.op {
            Op::Expand { .. } | Op::Gather { .. } => self.options.machine.keep_cost,
            Op::Window { .. } => WINDOW_COST,
            _ => return,
        };
        let operand = node.inputs[0];
        let count = |id| self.options.sizes.count(&self.graph.tensor_type(id).dims);
        if self.read_estimate(operand).cost >= threshold && count(id) > count(operand) {
            self.keep(operand, Need::Repeated);
        }
    }

    /// An operand's estimate as its user sees it.
    fn read_estimate(&self, operand: NodeId) -> Estimate {
        match self.policy.residence(operand) {
            Residence::Inline => self.policy.cost[operand.index()],
            Residence::Kept | Residence::Stored => READ,
        }
    }

    /// Counting everything as often as it is used.
    fn estimate(&self, node: &Node) -> Estimate {
        let own = own_estimate(self.graph, node);
        let mut sum = node
            .inputs
            .iter()
            .fold(own, |sum, &i| sum.plus(self.read_estimate(i)));
        sum.reindexed += u32::from(splits_indices(self.graph, node));
        if let Op::Expand { .. } = node.op {
            // Repeated elements come from cache.
            sum.cost = sum.cost.saturating_sub(price::ACCESS - 1);
        }
        sum
    }

    /// Counting what is shared once: nodes are distinct when they are reached through different
    /// views. Gives up at the limit.
    fn shared_estimate(&self, id: NodeId, upper: Estimate) -> Estimate {
        let mut views: FxHashMap<(u32, NodeId), u32> = FxHashMap::default();
        let mut seen: FxHashSet<(NodeId, u32)> = FxHashSet::default();
        let mut stack = vec![(id, 0u32)];
        let mut sum = Estimate::default();
        while let Some((at, view)) = stack.pop() {
            if !seen.insert((at, view)) {
                continue;
            }
            if at != id && self.policy.residence(at) != Residence::Inline {
                sum = sum.plus(READ);
            } else {
                let node = self.graph.node(at);
                sum = sum.plus(own_estimate(self.graph, node));
                let mut inside = view;
                if matches!(node.op.class(), Class::View | Class::Index) {
                    let next = views.len() as u32 + 1;
                    inside = *views.entry((view, at)).or_insert(next);
                }
                stack.extend(node.inputs.iter().map(|&i| (i, inside)));
            }
            if sum.insts > self.limit {
                return upper;
            }
        }
        Estimate {
            reindexed: upper.reindexed,
            ..sum
        }
    }
}

/// The type of a stored tensor.
pub(super) fn stored_type(graph: &Graph, tensor: Stored) -> (DType, &[Dim]) {
    let ty = match &graph.node(tensor.node).ty {
        Type::Tensor(ty) => ty,
        Type::Tuple(types) => &types[tensor.result as usize],
    };
    (ty.dtype, &ty.dims)
}

/// True when a kernel of its own can compute the node's value.
fn can_be_kept(op: &Op) -> bool {
    is_inlinable(op) && !matches!(op, Op::Const { .. } | Op::Size { .. } | Op::Iota { .. })
}

/// Operations that can be computed in their users.
pub(super) fn is_inlinable(op: &Op) -> bool {
    match op.class() {
        Class::Pointwise | Class::View => true,
        Class::Leaf => !matches!(op, Op::Input { .. }),
        Class::Index => matches!(op, Op::Gather { .. }),
        Class::Aggregate | Class::Region | Class::Other => false,
    }
}

/// The node without its operands.
fn own_estimate(graph: &Graph, node: &Node) -> Estimate {
    let rank = |id: NodeId| graph.tensor_type(id).rank() as u32;
    let insts = match &node.op {
        Op::Pad { .. } => 1 + 2 * rank(node.inputs[0]),
        Op::Gather { axes } => 4 * axes.len() as u32,
        Op::Random { .. } => 2,
        Op::Iota { .. } | Op::Size { .. } => 2,
        op if op.class() == Class::View => 0,
        _ => 1,
    };
    Estimate {
        insts,
        cost: price::op(&node.op),
        reindexed: 0,
        faults: may_fault(graph, node),
    }
}

/// True when some elements of the first operand may not be read.
fn is_partial(op: &Op) -> bool {
    match op {
        Op::Slice { .. } | Op::Window { .. } | Op::Gather { .. } => true,
        Op::Expand { dims } => !dims.iter().all(|d| d.bounds().0.is_some_and(|lo| lo >= 1)),
        Op::Pad { low, high, .. } => {
            let cuts = |d: &Dim| d.bounds().0.is_none_or(|lo| lo < 0);
            low.iter().chain(high).any(cuts)
        }
        _ => false,
    }
}

/// True for views that put divisions into index expressions.
fn splits_indices(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::Reshape { dims } => {
            let long = |dims: &[Dim]| {
                dims.iter()
                    .filter(|d| !d.is(1))
                    .cloned()
                    .collect::<Vec<_>>()
            };
            long(dims) != long(&graph.tensor_type(node.inputs[0]).dims)
        }
        Op::Pad { interior, .. } => interior.iter().any(|d| !d.is(0)),
        _ => false,
    }
}
