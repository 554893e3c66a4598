//! Buffers that share memory: views that scheduling made, and results of a step written over an
//! operand that dies there.

use super::in_place::in_place;
use super::lifetimes::{Lifetimes, visit};
use super::viewed;
use lazulite_ir::{Access, BufferId, BufferRef, ContractStep, KernelCall, Place, Plan, Step};
use rustc_hash::FxHashSet;

/// One piece of memory and the buffers in it.
#[derive(Clone)]
struct Class {
    /// First and last touch of all members, loops not considered.
    touched: Option<(u32, u32)>,
    /// Read or written slice by slice: stays as it is.
    sliced: bool,
    /// Exchanged by a loop: may take over the memory that its first value is made in, but is not
    /// given to others, since after the loop it may be the memory of its partner.
    carried: bool,
}

/// Buffers grouped by the memory they lie in (a union-find whose roots own the memory).
pub(super) struct Storage {
    parent: Vec<u32>,
    classes: Vec<Class>,
    /// Copies that had nothing left to do when their two ends were merged.
    merged_copies: FxHashSet<(BufferId, BufferId)>,
    /// Final lifetimes, by root.
    live: Vec<(u32, u32)>,
}

impl Storage {
    /// Groups buffers by the views there are.
    pub fn new(plan: &Plan, uses: &Lifetimes) -> Storage {
        let class = |touched: &Option<(u32, u32)>| Class {
            touched: *touched,
            sliced: false,
            carried: false,
        };
        let mut storage = Storage {
            parent: (0..plan.buffers.len() as u32).collect(),
            classes: uses.touched.iter().map(class).collect(),
            merged_copies: FxHashSet::default(),
            live: Vec::new(),
        };
        for (i, buffer) in plan.buffers.iter().enumerate() {
            if let Some(of) = viewed(&buffer.place) {
                let slice = matches!(buffer.place, Place::LoopSlice { .. });
                storage.classes[i].sliced |= slice;
                storage.join(of, BufferId(i as u32));
            }
        }
        let mut carried = Vec::new();
        visit(&plan.steps, &mut |_, step| {
            if let Step::Loop { carries, .. } | Step::While { carries, .. } = step {
                carried.extend(carries.iter().copied());
            }
        });
        for &(a, b) in &carried {
            for id in [a, b] {
                let root = storage.root(id);
                storage.classes[root.0 as usize].carried = true;
            }
        }
        storage.find_lifetimes(uses, &carried);
        storage
    }

    /// The buffer that owns the memory.
    pub fn root(&mut self, id: BufferId) -> BufferId {
        let mut at = id.0;
        while self.parent[at as usize] != at {
            let above = self.parent[self.parent[at as usize] as usize];
            self.parent[at as usize] = above;
            at = above;
        }
        BufferId(at)
    }

    /// First and last touch of the memory, loops not considered.
    pub fn touched(&mut self, id: BufferId) -> Option<(u32, u32)> {
        let root = self.root(id);
        self.classes[root.0 as usize].touched
    }

    /// First and last step that needs the memory.
    pub fn live(&mut self, id: BufferId) -> (u32, u32) {
        let root = self.root(id);
        self.live[root.0 as usize]
    }

    /// Puts `member` into the memory of `owner`.
    fn join(&mut self, owner: BufferId, member: BufferId) {
        let (owner, member) = (self.root(owner), self.root(member));
        if owner == member {
            return;
        }
        self.parent[member.0 as usize] = owner.0;
        let joined = self.classes[member.0 as usize].clone();
        let class = &mut self.classes[owner.0 as usize];
        class.sliced |= joined.sliced;
        class.carried |= joined.carried;
        class.touched = match (class.touched, joined.touched) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }

    /// Lifetimes of all memory; the two ends of a carry are exchanged, so they live equally long.
    fn find_lifetimes(&mut self, uses: &Lifetimes, carried: &[(BufferId, BufferId)]) {
        let of = |c: &Class| c.touched.map_or((0, 0), |t| uses.with_loops(t));
        let mut live: Vec<(u32, u32)> = self.classes.iter().map(of).collect();
        // Memory may be carried by several loops one after the other, and inner loops hand theirs
        // to outer ones: until nothing changes any more.
        let mut changed = true;
        while changed {
            changed = false;
            for &(a, b) in carried {
                let (a, b) = (self.root(a).0 as usize, self.root(b).0 as usize);
                let union = (live[a].0.min(live[b].0), live[a].1.max(live[b].1));
                changed |= live[a] != union || live[b] != union;
                (live[a], live[b]) = (union, union);
            }
        }
        self.live = live;
    }

    /// Writes an Alias for every buffer that now lies in another's memory.
    pub fn write_places(&mut self, plan: &mut Plan) {
        for (i, buffer) in plan.buffers.iter_mut().enumerate() {
            let root = self.root(BufferId(i as u32));
            let slice = matches!(buffer.place, Place::LoopSlice { .. });
            if root.0 as usize != i && !slice {
                buffer.place = Place::Alias(root);
            }
        }
    }

    /// Writes lifetimes: that of all its memory for every buffer.
    pub fn write_lifetimes(&mut self, plan: &mut Plan) {
        for (i, buffer) in plan.buffers.iter_mut().enumerate() {
            buffer.live = self.live(BufferId(i as u32));
        }
    }

    /// True for a copy that was found to have nothing to do.
    pub fn is_merged_copy(&mut self, from: BufferId, to: BufferId) -> bool {
        self.merged_copies.contains(&(from, to)) && self.root(from) == self.root(to)
    }
}

/// Lets results of steps be written over operands that die there.
pub(super) fn share(plan: &Plan, uses: &Lifetimes, storage: &mut Storage) {
    visit(&plan.steps, &mut |position, step| match step {
        Step::Kernel(call) => {
            for (read, write) in candidates(plan, call) {
                if !safe_call(plan, storage, call, read, write) {
                    continue;
                }
                let (from, to) = (call.args[read], call.args[write]);
                merge(plan, uses, storage, position, from, to);
            }
        }
        Step::Contract(contract) => share_contract(plan, uses, storage, position, contract),
        Step::Copy { from, to, len } => {
            let whole = |id: &BufferId| plan.buffers[id.0 as usize].len == *len;
            if whole(from) && whole(to) && merge(plan, uses, storage, position, *from, *to) {
                storage.merged_copies.insert((*from, *to));
            }
        }
        Step::Sort { .. }
        | Step::Custom { .. }
        | Step::If { .. }
        | Step::Loop { .. }
        | Step::While { .. } => {}
    });
}

/// An epilogue may write over the product, or else over what it reads besides; the operands of
/// the product are read until its last tile is done.
fn share_contract(
    plan: &Plan,
    uses: &Lifetimes,
    storage: &mut Storage,
    position: u32,
    contract: &ContractStep,
) {
    let Some(call) = &contract.epilogue else {
        return;
    };
    let mut pairs = candidates(plan, call);
    let is_product = |&(read, _): &(usize, usize)| call.args[read] == contract.product;
    pairs.sort_by_key(|pair| !is_product(pair));
    for (read, write) in pairs {
        if !safe_epilogue(plan, storage, contract, call, read, write) {
            continue;
        }
        let (from, to) = (call.args[read], call.args[write]);
        merge(plan, uses, storage, position, from, to);
    }
}

/// Read and written parameters of a call, by position.
pub(super) fn candidates(plan: &Plan, call: &KernelCall) -> Vec<(usize, usize)> {
    let params = &plan.kernels[call.kernel as usize].buffers;
    let of = |access: Access| {
        let all = params.iter().enumerate();
        all.filter(move |(_, p)| p.access == access).map(|(i, _)| i)
    };
    let pairs = of(Access::Write).flat_map(|w| of(Access::Read).map(move |r| (r, w)));
    pairs.collect()
}

/// True when a call may write parameter `write` over the memory of parameter `read`, also through
/// other parameters in that memory.
pub(super) fn safe_call(
    plan: &Plan,
    storage: &mut Storage,
    call: &KernelCall,
    read: usize,
    write: usize,
) -> bool {
    let kernel = &plan.kernels[call.kernel as usize];
    let (from, to) = (
        storage.root(call.args[read]),
        storage.root(call.args[write]),
    );
    call.args.iter().enumerate().all(|(i, &arg)| {
        let root = storage.root(arg);
        if root == to {
            return i == write;
        }
        root != from || in_place(kernel, BufferRef(i as u32), BufferRef(write as u32))
    })
}

/// As [`safe_call`], for the epilogue of a contraction.
pub(super) fn safe_epilogue(
    plan: &Plan,
    storage: &mut Storage,
    contract: &ContractStep,
    call: &KernelCall,
    read: usize,
    write: usize,
) -> bool {
    let (from, to) = (
        storage.root(call.args[read]),
        storage.root(call.args[write]),
    );
    let [lhs, rhs, product] =
        [contract.lhs, contract.rhs, contract.product].map(|id| storage.root(id));
    // The product is written before the epilogue reads anything.
    from != lhs && from != rhs && to != product && safe_call(plan, storage, call, read, write)
}

/// Makes two buffers one if the first dies in the step at `position` and the second is born there.
fn merge(
    plan: &Plan,
    uses: &Lifetimes,
    storage: &mut Storage,
    position: u32,
    from: BufferId,
    to: BufferId,
) -> bool {
    let (from, to) = (storage.root(from), storage.root(to));
    let [a, b] = [from, to].map(|id| storage.classes[id.0 as usize].clone());
    let (Some(old), Some(new)) = (a.touched, b.touched) else {
        return false;
    };
    let [x, y] = [from, to].map(|id| &plan.buffers[id.0 as usize]);
    let fits = x.len == y.len && x.dtype.size() == y.dtype.size();
    // In a loop both must belong to one iteration.
    let (first, last) = uses.loop_around(position).unwrap_or((0, u32::MAX));
    let same_iteration = first <= old.0 && new.1 <= last;
    let dies = old.1 == position && new.0 == position;
    let stays = a.sliced || b.sliced || a.carried;
    if from == to || stays || !fits || !same_iteration || !dies {
        return false;
    }
    let own = matches!(
        [from, to].map(|id| &plan.buffers[id.0 as usize].place),
        [Place::Arena, Place::Arena | Place::Output]
    );
    if own {
        storage.join(to, from);
    }
    own
}
