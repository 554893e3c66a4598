//! From members to a kernel.
//!
//! The members of a group run at the same outer points. Each gets a level (above all accumulators it
//! needs) and a stage. Where a member reads another one, the value is taken from where it is: an
//! accumulator, the same stage, a local row buffer for values that are expensive to compute
//! again, or the computation is simply repeated, with everything equal shared.

use super::ScheduleError;
use super::draft::{Draft, StageRef};
use super::lower::{Code, Fragment, Read, Stored};
use super::member::{Member, MemberKind, variable};
use lazulite_ir::{
    Access, Binary, BufferId, DType, Dim, DimOverflow, IndexExpr, InstOp, LocalRef, Ranges, Scalar,
    ValueId, Var, linearize,
};
use rustc_hash::FxHashMap;

/// A member with its place in a kernel.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// What is computed.
    pub member: Member,
    /// For each variable of the member's space, the index it has in terms of the kernel's outer
    /// loops and of the stage's loops.
    pub assign: Vec<IndexExpr>,
    /// Extents of the stage's loops.
    pub inner: Vec<Dim>,
    /// The coordinates of the member's elements in the same terms.
    pub coords: Vec<IndexExpr>,
}

impl Placed {
    /// Places a member: `outer_assign` gives the variables that outer loops determine, all others
    /// become loops of the stage.
    pub fn new(
        member: Member,
        outer_assign: &[Option<IndexExpr>],
        outer: &[Dim],
    ) -> Result<Placed, DimOverflow> {
        let mut inner = Vec::new();
        let mut assign = Vec::with_capacity(outer_assign.len());
        for (given, extent) in outer_assign.iter().zip(&member.space) {
            assign.push(given.clone().unwrap_or_else(|| {
                inner.push(extent.clone());
                IndexExpr::var(Var::Inner(inner.len() as u32 - 1))
            }));
        }
        let mut placed = Placed {
            coords: Vec::new(),
            member,
            assign,
            inner,
        };
        placed.coords = placed.moved(&placed.member.coords, outer)?;
        Ok(placed)
    }

    /// Indices over the member's space in terms of the kernel's loops.
    pub fn moved(
        &self,
        indices: &[IndexExpr],
        outer: &[Dim],
    ) -> Result<Vec<IndexExpr>, DimOverflow> {
        let ranges = Ranges {
            outer,
            inner: &self.inner,
        };
        let replace = |v: Var| match v {
            Var::Inner(i) => self.assign.get(i as usize).cloned(),
            Var::Outer(_) => None,
        };
        indices
            .iter()
            .map(|c| c.substitute(&replace, ranges))
            .collect()
    }
}

/// Where stored tensors are and what they look like.
pub(super) trait Memory {
    /// The buffer of a tensor.
    fn buffer(&self, tensor: Stored) -> Result<BufferId, ScheduleError>;
    /// Its element type and dims.
    fn shape(&self, tensor: Stored) -> (DType, &[Dim]);
    /// The computation of a tensor that is not in memory because every reader repeats it.
    fn repeated(&self, tensor: Stored) -> Option<&Member>;
}

/// Condition, point, stage: what distinguishes two computations of one member.
type Instance = (usize, StageRef, Vec<IndexExpr>, Option<ValueId>);

/// Puts one kernel together.
pub(super) struct Assembler<'a> {
    pub draft: Draft,
    memory: &'a dyn Memory,
    members: &'a [Placed],
    numbers: FxHashMap<Stored, usize>,
    levels: Vec<u32>,
    /// Row buffers of members, with the stage that fills them.
    locals: Vec<Option<LocalRef>>,
    /// Members whose row buffers have to be filled yet.
    unfilled: Vec<usize>,
    /// Results of reductions.
    results: Vec<Option<ValueId>>,
    /// For products, the buffer and linear index of the sums.
    product: Option<(BufferId, DType, IndexExpr)>,
    instances: FxHashMap<Instance, ValueId>,
    keep_cost: u32,
}

impl<'a> Assembler<'a> {
    /// A kernel over `outer` for `members`, operands before users. Values that cost `keep_cost`
    /// and more are not computed twice.
    pub fn new(
        outer: Vec<Dim>,
        members: &'a [Placed],
        memory: &'a dyn Memory,
        keep_cost: u32,
    ) -> Assembler<'a> {
        let numbers = members.iter().enumerate();
        let numbers: FxHashMap<Stored, usize> = numbers.map(|(i, p)| (p.member.value, i)).collect();
        let mut levels: Vec<u32> = Vec::with_capacity(members.len());
        for placed in members {
            let reads = placed.member.fragment.reads();
            let needs = reads.filter_map(|r| {
                let &m = numbers.get(&r.from)?;
                let reduces = matches!(members[m].member.kind, MemberKind::Reduce { .. });
                Some(levels[m] + u32::from(reduces))
            });
            levels.push(needs.max().unwrap_or(0));
        }
        Assembler {
            draft: Draft::new(outer),
            memory,
            members,
            numbers,
            levels,
            locals: vec![None; members.len()],
            unfilled: Vec::new(),
            results: vec![None; members.len()],
            product: None,
            instances: FxHashMap::default(),
            keep_cost,
        }
    }

    /// Says where the sums are that a [`MemberKind::Product`] member stands for.
    pub fn set_product(&mut self, buffer: BufferId, dtype: DType, index: IndexExpr) {
        self.product = Some((buffer, dtype, index));
    }

    /// Adds all members; `target` says which buffer a member is written to, if any.
    pub fn add_members(
        &mut self,
        target: &dyn Fn(Stored) -> Option<BufferId>,
    ) -> Result<(), ScheduleError> {
        for m in 0..self.members.len() {
            self.add_member(m, target(self.members[m].member.value))?;
        }
        while let Some(m) = self.unfilled.pop() {
            self.fill_local(m)?;
        }
        Ok(())
    }

    fn home_stage(&mut self, m: usize) -> StageRef {
        let placed = &self.members[m];
        let ordered = matches!(placed.member.kind, MemberKind::Scan { .. });
        self.draft.stage(self.levels[m], &placed.inner, ordered)
    }

    fn add_member(&mut self, m: usize, target: Option<BufferId>) -> Result<(), ScheduleError> {
        let placed = &self.members[m];
        let member = &placed.member;
        let mut stage = self.home_stage(m);
        let value = match member.kind {
            MemberKind::Map | MemberKind::Product if target.is_none() || member.is_empty() => {
                return Ok(());
            }
            MemberKind::Product => self.product_value(m, stage)?,
            MemberKind::Map => self.instance(m, stage, placed.assign.clone(), None)?,
            MemberKind::Reduce { combine, .. } => {
                let value = self.instance(m, stage, placed.assign.clone(), None)?;
                let sum = self.draft.accumulate(stage, combine, value);
                stage = self.draft.stage(self.levels[m] + 1, &[], false);
                let result = self.draft.cast(stage, sum, member.dtype);
                self.results[m] = Some(result);
                result
            }
            MemberKind::Scan { combine, .. } => {
                let value = self.instance(m, stage, placed.assign.clone(), None)?;
                let running = self.draft.running(stage, combine, value);
                self.draft.cast(stage, running, member.dtype)
            }
        };
        let Some(target) = target.filter(|_| !member.is_empty()) else {
            return Ok(());
        };
        let ranges = self.draft.ranges(stage);
        let index = linearize(&placed.coords, &member.dims, ranges)?;
        let buffer = self.draft.buffer(target, member.dtype, Access::Write);
        let store = InstOp::Store {
            buffer,
            index,
            value,
            combine: None,
            guard: None,
        };
        self.draft.act(stage, store);
        Ok(())
    }

    fn product_value(&mut self, m: usize, stage: StageRef) -> Result<ValueId, ScheduleError> {
        let (buffer, dtype, index) = self.product.clone().ok_or(ScheduleError::Size)?;
        let buffer = self.draft.buffer(buffer, dtype, Access::Read);
        let guard = None;
        let load = InstOp::Load {
            buffer,
            index,
            guard,
        };
        let sum = self.draft.emit(stage, dtype, load);
        Ok(self.draft.cast(stage, sum, self.members[m].member.dtype))
    }

    /// The value of a member's fragment in `stage`, for the variables at `at`.
    fn instance(
        &mut self,
        m: usize,
        stage: StageRef,
        at: Vec<IndexExpr>,
        guard: Option<ValueId>,
    ) -> Result<ValueId, ScheduleError> {
        let key = (m, stage, at, guard);
        if let Some(&known) = self.instances.get(&key) {
            return Ok(known);
        }
        let fragment = &self.members[m].member.fragment;
        let values = self.splice(fragment, stage, &key.2, guard)?;
        let value = values[fragment.root.0 as usize];
        self.instances.insert(key, value);
        Ok(value)
    }

    /// Computes a fragment in `stage` with its variables at `at`, which may lie outside of the
    /// fragment's space where `guard` is false. Gives the kernel's name of each of its values.
    pub fn splice(
        &mut self,
        fragment: &Fragment,
        stage: StageRef,
        at: &[IndexExpr],
        guard: Option<ValueId>,
    ) -> Result<Vec<ValueId>, ScheduleError> {
        let mut names: Vec<ValueId> = Vec::with_capacity(fragment.values.len());
        for (dtype, code) in &fragment.values {
            let name = |v: ValueId| names[v.0 as usize];
            let value = match code {
                Code::Read(read) => {
                    let mut coords = Vec::with_capacity(read.coords.len());
                    for c in read.coords.iter() {
                        coords.push(self.moved(stage, c, at, &name)?);
                    }
                    let own = read.guard.map(name);
                    let guard = self.and(stage, guard, own);
                    self.resolve(read, stage, coords, guard)?
                }
                Code::Inst(op) => {
                    let mut op = op.clone();
                    op.visit_operands_mut(&mut |v| *v = name(*v));
                    if let Some(index) = op.index_mut() {
                        *index = self.moved(stage, index, at, &name)?;
                    }
                    self.guarded(stage, &mut op, guard);
                    self.draft.emit(stage, *dtype, op)
                }
            };
            names.push(value);
        }
        Ok(names)
    }

    /// An index of a fragment in terms of the kernel's loops and values.
    pub fn moved(
        &self,
        stage: StageRef,
        index: &IndexExpr,
        at: &[IndexExpr],
        name: &dyn Fn(ValueId) -> ValueId,
    ) -> Result<IndexExpr, ScheduleError> {
        let replace = |v: Var| match v {
            Var::Inner(i) => at.get(i as usize).cloned(),
            Var::Outer(_) => None,
        };
        let index = index.rename_values(name)?;
        Ok(index.substitute(&replace, self.draft.ranges(stage))?)
    }

    pub fn and(
        &mut self,
        stage: StageRef,
        a: Option<ValueId>,
        b: Option<ValueId>,
    ) -> Option<ValueId> {
        match (a, b) {
            (Some(a), Some(b)) if a != b => {
                let both = InstOp::Binary(Binary::And, a, b);
                Some(self.draft.emit(stage, DType::Bool, both))
            }
            (a, b) => a.or(b),
        }
    }

    /// Keeps an instruction from recording faults where `guard` is false.
    fn guarded(&mut self, stage: StageRef, op: &mut InstOp, guard: Option<ValueId>) {
        let Some(outer) = guard else { return };
        match op {
            InstOp::CheckIndex { guard, .. } => *guard = self.and(stage, Some(outer), *guard),
            InstOp::CheckDivisor { value, .. } => {
                let dtype = self.draft.dtype(*value);
                let one = InstOp::Const(Scalar::from_i64(dtype, 1));
                let one = self.draft.emit(stage, dtype, one);
                let select = InstOp::Select(outer, *value, one);
                *value = self.draft.emit(stage, dtype, select);
            }
            _ => {}
        }
    }

    /// The value of an element read: from another member, or from memory.
    fn resolve(
        &mut self,
        read: &Read,
        stage: StageRef,
        coords: Vec<IndexExpr>,
        guard: Option<ValueId>,
    ) -> Result<ValueId, ScheduleError> {
        if let Some(&m) = self.numbers.get(&read.from) {
            match self.members[m].member.kind {
                MemberKind::Map => return self.member_value(m, stage, coords, guard),
                MemberKind::Product => return self.product_value(m, stage),
                MemberKind::Reduce { .. } => {
                    if let Some(result) = self.results[m] {
                        return Ok(result);
                    }
                }
                MemberKind::Scan { .. } => {}
            }
        }
        let memory = self.memory;
        if let Some(member) = memory.repeated(read.from) {
            let at = member.point(coords);
            let values = self.splice(&member.fragment, stage, &at, guard)?;
            return Ok(values[member.fragment.root.0 as usize]);
        }
        let (dtype, dims) = memory.shape(read.from);
        let ranges = self.draft.ranges(stage);
        let index = linearize(&coords, dims, ranges)?;
        // Where no loop runs there may be no element either, unless the outer loops vouch for it.
        let certain = |d: &Dim| d.bounds().0.is_some_and(|lo| lo >= 1) || ranges.outer.contains(d);
        let exists = dims.iter().all(certain) || self.draft.certainly_runs(stage);
        let buffer = memory.buffer(read.from)?;
        let buffer = self.draft.buffer(buffer, dtype, Access::Read);
        let load = InstOp::Load {
            buffer,
            index,
            guard,
        };
        Ok(if exists {
            self.draft.emit(stage, dtype, load)
        } else {
            self.draft.emit_inside(stage, dtype, load)
        })
    }

    fn member_value(
        &mut self,
        m: usize,
        stage: StageRef,
        coords: Vec<IndexExpr>,
        guard: Option<ValueId>,
    ) -> Result<ValueId, ScheduleError> {
        let placed = &self.members[m];
        let member = &placed.member;
        let later = self.draft.level(stage) > self.levels[m];
        let expensive = member.cost >= self.keep_cost && !placed.inner.is_empty();
        if later && expensive && guard.is_none() {
            return self.load_local(m, stage, &coords);
        }
        let at = member.point(coords);
        self.instance(m, stage, at, guard)
    }

    /// An element of a member's row, which an earlier stage leaves in scratch memory.
    fn load_local(
        &mut self,
        m: usize,
        stage: StageRef,
        coords: &[IndexExpr],
    ) -> Result<ValueId, ScheduleError> {
        let placed = &self.members[m];
        let dtype = placed.member.dtype;
        let index = self.row_index(m, stage, coords)?;
        let local = match self.locals[m] {
            Some(local) => local,
            None => {
                let len = Dim::product(&placed.inner)?;
                let local = self.draft.local(dtype, len, self.levels[m] + 1);
                self.locals[m] = Some(local);
                self.unfilled.push(m);
                local
            }
        };
        let load = InstOp::LoadLocal { local, index };
        Ok(self.draft.emit(stage, dtype, load))
    }

    /// The position within a member's row of the element at `coords`.
    fn row_index(
        &self,
        m: usize,
        stage: StageRef,
        coords: &[IndexExpr],
    ) -> Result<IndexExpr, ScheduleError> {
        let placed = &self.members[m];
        let mut row = vec![IndexExpr::constant(Dim::ZERO); placed.inner.len()];
        for (own, coord) in placed.member.coords.iter().zip(coords) {
            let assigned = variable(own).and_then(|v| variable(&placed.assign[v]));
            if let Some(i) = assigned {
                row[i] = coord.clone();
            }
        }
        Ok(linearize(&row, &placed.inner, self.draft.ranges(stage))?)
    }

    fn fill_local(&mut self, m: usize) -> Result<(), ScheduleError> {
        let Some(local) = self.locals[m] else {
            return Ok(());
        };
        let placed = &self.members[m];
        let stage = self.home_stage(m);
        let value = self.instance(m, stage, placed.assign.clone(), None)?;
        let index = self.row_index(m, stage, &placed.coords)?;
        let store = InstOp::StoreLocal {
            local,
            index,
            value,
        };
        self.draft.act(stage, store);
        Ok(())
    }
}
