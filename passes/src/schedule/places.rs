//! Which values go through memory from one task to another, and which are computed again instead.
//!
//! A value that several tasks read is stored by the one that computes it, unless computing it again costs
//! less than the way through memory and needs nothing in memory that is not there anyway (but for tensors
//! that are much smaller).

use super::ScheduleOptions;
use super::lower::Stored;
use super::member::{Member, MemberKind};
use super::policy::{Policy, Residence, storage_of, stored_type};
use super::tasks::Task;
use lazulite_ir::{Graph, Op};
use rustc_hash::{FxHashMap, FxHashSet};

/// How the tasks of a graph get at each other's values.
pub(super) struct Places<'a> {
    /// Tensors that have to be in memory.
    pub in_memory: FxHashSet<Stored>,
    /// Members whose values other tasks compute again.
    pub repeated: FxHashMap<Stored, &'a Member>,
}

impl<'a> Places<'a> {
    /// Decides for all values.
    pub fn decide(
        graph: &Graph,
        policy: &Policy,
        tasks: &'a [Task],
        options: &ScheduleOptions,
    ) -> Places<'a> {
        let mut decision = Decision {
            graph,
            policy,
            options,
            readers: FxHashMap::default(),
            costs: FxHashMap::default(),
            places: Places {
                in_memory: FxHashSet::default(),
                repeated: FxHashMap::default(),
            },
        };
        decision.require_memory(tasks);
        let groups = tasks.iter().filter_map(Task::group);
        for placed in groups.flat_map(|g| &g.members) {
            decision.repeat_if_cheap(&placed.member);
        }
        decision.places
    }
}

struct Decision<'g, 'a> {
    graph: &'g Graph,
    policy: &'g Policy,
    options: &'g ScheduleOptions,
    /// How many groups other than its own read a tensor; none for tensors that are needed in
    /// memory for other reasons.
    readers: FxHashMap<Stored, Option<u32>>,
    /// Cost of an element of repeated values.
    costs: FxHashMap<Stored, u32>,
    places: Places<'a>,
}

impl<'a> Decision<'_, 'a> {
    /// Notes all values that outlive their task, and by how many others they are read.
    fn require_memory(&mut self, tasks: &'a [Task]) {
        let mut fixed = |tensor| {
            self.readers.insert(tensor, None);
        };
        for &id in self.policy.live() {
            if self.policy.residence(id) == Residence::Stored {
                fixed(Stored::of(id));
            }
        }
        for task in tasks {
            match task {
                Task::Kernel(_) => {}
                Task::Product(contraction) => contraction.operand_reads().for_each(&mut fixed),
                Task::Scatter(scattering) => scattering.reads().for_each(&mut fixed),
                Task::Step(id) => {
                    let inputs = self.graph.node(*id).inputs.iter();
                    inputs.for_each(|&i| fixed(storage_of(self.graph, i)));
                }
            }
        }
        for group in tasks.iter().filter_map(Task::group) {
            let reads = group.members.iter().flat_map(|p| p.member.fragment.reads());
            let outside: FxHashSet<Stored> = reads
                .map(|r| r.from)
                .filter(|from| !group.defines(*from))
                .collect();
            for tensor in outside {
                let count = self.readers.entry(tensor).or_insert(Some(0));
                *count = count.map(|n| n + 1);
            }
        }
        self.places.in_memory.extend(self.readers.keys());
    }

    /// Takes a value out of memory again if its readers better compute it themselves. Operands have
    /// been decided.
    fn repeat_if_cheap(&mut self, member: &'a Member) {
        let Some(&Some(readers)) = self.readers.get(&member.value) else {
            return;
        };
        if member.kind != MemberKind::Map || !self.policy.is_only_shared(member.value.node) {
            return;
        }
        let reads = || member.fragment.reads().map(|r| r.from);
        let available = |from: Stored| {
            let input = matches!(self.graph.node(from.node).op, Op::Input { .. });
            let known = self.places.in_memory.contains(&from);
            input || known || self.costs.contains_key(&from) || self.is_small(from, member)
        };
        let inside = reads().filter_map(|r| self.costs.get(&r));
        let cost = inside.fold(member.cost, |sum, c| sum.saturating_add(*c));
        if cost.saturating_mul(readers) <= self.options.machine.repeat_cost
            && reads().all(available)
        {
            self.places.in_memory.remove(&member.value);
            let needed = reads().filter(|r| !self.costs.contains_key(r));
            self.places.in_memory.extend(needed);
            self.costs.insert(member.value, cost);
            self.places.repeated.insert(member.value, member);
        }
    }

    fn is_small(&self, tensor: Stored, member: &Member) -> bool {
        let count = |dims| self.options.sizes.count(dims);
        let own = count(stored_type(self.graph, tensor).1);
        own.saturating_mul(8) <= count(&member.dims)
    }
}
