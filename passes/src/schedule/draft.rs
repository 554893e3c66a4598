//! A kernel being put together.
//!
//! Stages have a *level*: stages of a level come after all stages of lower levels, and within a level
//! the stage without ranges comes first. An accumulator of a stage of level `l` is there from level
//! `l + 1` on. Instructions are asked for in the context of a stage, but go where they are executed
//! least: what does not depend on a stage's ranges goes to the stage without ranges of the lowest level
//! that knows the operands. Equal instructions are one.
//!
//! Constants are held back until the end, and then stand in every stage that uses them, so that no
//! stage carries them for another one.

use lazulite_ir::{
    Access, BufferDecl, BufferId, BufferRef, Combine, DType, Dim, DimOverflow, Inst, InstOp,
    Kernel, Lanes, LocalDecl, LocalRef, Ranges, Stage, ValueId, Var,
};
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

/// A stage by number of creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct StageRef(usize);

/// Where a value can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Home {
    /// Everywhere.
    Anywhere,
    /// From this level on.
    Level(u32),
    /// In this stage only.
    Stage(StageRef),
}

struct StageDraft {
    level: u32,
    ranges: Vec<Dim>,
    ordered: bool,
    items: Vec<Item>,
}

/// What a stage does.
enum Item {
    /// Defines a value.
    Define(ValueId),
    /// Carries out an instruction without a result.
    Act(Box<InstOp>),
}

/// A value.
struct Definition {
    dtype: DType,
    home: Home,
    /// The stage that the instruction stands in, when it may stand in no other.
    stage: Option<StageRef>,
    op: InstOp,
}

/// The draft.
pub(super) struct Draft {
    outer: Vec<Dim>,
    buffers: Vec<BufferDecl>,
    args: Vec<BufferId>,
    refs: FxHashMap<BufferId, BufferRef>,
    /// Locals, and the level from which on they are filled.
    locals: Vec<(LocalDecl, u32)>,
    values: Vec<Definition>,
    stages: Vec<StageDraft>,
    /// Values by the hash of their definition.
    known: FxHashMap<u64, SmallVec<[ValueId; 1]>>,
}

impl Draft {
    /// An empty kernel over `outer`.
    pub fn new(outer: Vec<Dim>) -> Draft {
        Draft {
            outer,
            buffers: Vec::new(),
            args: Vec::new(),
            refs: FxHashMap::default(),
            locals: Vec::new(),
            values: Vec::new(),
            stages: Vec::new(),
            known: FxHashMap::default(),
        }
    }

    /// The stage of a level over `ranges`.
    pub fn stage(&mut self, level: u32, ranges: &[Dim], ordered: bool) -> StageRef {
        let same = |s: &StageDraft| s.level == level && s.ranges == ranges && s.ordered == ordered;
        StageRef(self.stages.iter().position(same).unwrap_or_else(|| {
            self.stages.push(StageDraft {
                level,
                ranges: ranges.to_vec(),
                ordered,
                items: Vec::new(),
            });
            self.stages.len() - 1
        }))
    }

    /// The level of a stage.
    pub fn level(&self, stage: StageRef) -> u32 {
        self.stages[stage.0].level
    }

    /// The loops around a stage's instructions.
    pub fn ranges(&self, stage: StageRef) -> Ranges<'_> {
        Ranges {
            outer: &self.outer,
            inner: &self.stages[stage.0].ranges,
        }
    }

    /// Type of a value.
    pub fn dtype(&self, value: ValueId) -> DType {
        self.values[value.0 as usize].dtype
    }

    /// The parameter for a buffer.
    pub fn buffer(&mut self, id: BufferId, dtype: DType, access: Access) -> BufferRef {
        let next = BufferRef(self.buffers.len() as u32);
        let found = *self.refs.entry(id).or_insert(next);
        if found == next {
            self.buffers.push(BufferDecl { dtype, access });
            self.args.push(id);
        } else {
            let decl = &mut self.buffers[found.0 as usize];
            if decl.access != access {
                decl.access = Access::ReadWrite;
            }
        }
        found
    }

    /// Scratch memory that stages of lower levels than `ready` fill.
    pub fn local(&mut self, dtype: DType, len: Dim, ready: u32) -> LocalRef {
        self.locals.push((LocalDecl { dtype, len }, ready));
        LocalRef(self.locals.len() as u32 - 1)
    }

    /// The value of an instruction wanted in `stage`.
    pub fn emit(&mut self, stage: StageRef, dtype: DType, op: InstOp) -> ValueId {
        if let Some(value) = self.guarded_zero(&op) {
            return value;
        }
        let home = self.home_of(stage, &op);
        self.emit_at(home, dtype, op)
    }

    /// A load under a guard is zero where the guard is false: choosing zero there changes nothing.
    fn guarded_zero(&self, op: &InstOp) -> Option<ValueId> {
        let InstOp::Select(condition, value, otherwise) = op else {
            return None;
        };
        let definition = |v: &ValueId| &self.values[v.0 as usize].op;
        let is_zero = matches!(definition(otherwise), InstOp::Const(c) if c.bits() == 0);
        let is_guarded =
            matches!(definition(value), InstOp::Load { guard, .. } if *guard == Some(*condition));
        (is_zero && is_guarded).then_some(*value)
    }

    /// The value of an instruction that may run only where the loops of `stage` run.
    pub fn emit_inside(&mut self, stage: StageRef, dtype: DType, op: InstOp) -> ValueId {
        self.emit_at(Home::Stage(stage), dtype, op)
    }

    fn emit_at(&mut self, home: Home, dtype: DType, op: InstOp) -> ValueId {
        let (stage, target) = match home {
            Home::Anywhere => (None, None),
            Home::Level(level) => (None, Some(self.stage(level, &[], false))),
            Home::Stage(s) => (Some(s), Some(s)),
        };
        let definition = Definition {
            dtype,
            home,
            stage,
            op,
        };
        self.define(definition, target)
    }

    /// The value with this definition, which is added to the stage `target` if there is none yet.
    fn define(&mut self, new: Definition, target: Option<StageRef>) -> ValueId {
        let mut hasher = FxHasher::default();
        (new.stage, new.dtype, &new.op).hash(&mut hasher);
        let candidates = self.known.entry(hasher.finish()).or_default();
        let values = &self.values;
        let same = |v: &ValueId| {
            let old = &values[v.0 as usize];
            old.stage == new.stage && old.dtype == new.dtype && old.op == new.op
        };
        if let Some(&known) = candidates.iter().find(|v| same(v)) {
            return known;
        }
        let value = ValueId(self.values.len() as u32);
        candidates.push(value);
        self.values.push(new);
        if let Some(target) = target {
            self.stages[target.0].items.push(Item::Define(value));
        }
        value
    }

    /// Where an instruction wanted in `stage` is to stand.
    fn home_of(&self, stage: StageRef, op: &InstOp) -> Home {
        if let InstOp::Const(_) = op {
            return Home::Anywhere;
        }
        let mut level = match op {
            InstOp::LoadLocal { local, .. } => self.locals[local.0 as usize].1,
            _ => 0,
        };
        let mut is_bound = false;
        let mut note = |v: ValueId| match self.values[v.0 as usize].home {
            Home::Anywhere => {}
            Home::Level(l) => level = level.max(l),
            Home::Stage(_) => is_bound = true,
        };
        op.visit_operands(&mut note);
        if let Some(index) = op.index() {
            index.visit_values(&mut note);
            index.visit_vars(&mut |v| is_bound |= matches!(v, Var::Inner(_)));
        }
        // A fault must not be recorded for a loop that does not run.
        if is_bound || (records_faults(op) && !self.certainly_runs(stage)) {
            return Home::Stage(stage);
        }
        Home::Level(level)
    }

    /// True when the loops of a stage run at least once, whatever the sizes.
    pub fn certainly_runs(&self, stage: StageRef) -> bool {
        let runs = |d: &Dim| d.bounds().0.is_some_and(|lo| lo >= 1);
        self.stages[stage.0].ranges.iter().all(runs)
    }

    /// `value` converted to `dtype`.
    pub fn cast(&mut self, stage: StageRef, value: ValueId, dtype: DType) -> ValueId {
        if self.dtype(value) == dtype {
            return value;
        }
        self.emit(stage, dtype, InstOp::Cast(value))
    }

    /// Combines `value` over the ranges of `stage`; the result is there on the next level.
    pub fn accumulate(&mut self, stage: StageRef, combine: Combine, value: ValueId) -> ValueId {
        let home = Home::Level(self.level(stage) + 1);
        self.accumulate_at(stage, combine, value, home)
    }

    /// The running combination inside an ordered stage.
    pub fn running(&mut self, stage: StageRef, combine: Combine, value: ValueId) -> ValueId {
        self.accumulate_at(stage, combine, value, Home::Stage(stage))
    }

    fn accumulate_at(
        &mut self,
        stage: StageRef,
        combine: Combine,
        value: ValueId,
        home: Home,
    ) -> ValueId {
        let definition = Definition {
            dtype: self.dtype(value),
            home,
            stage: Some(stage),
            op: InstOp::Accumulate(combine, value),
        };
        self.define(definition, Some(stage))
    }

    /// Adds an instruction without a result.
    pub fn act(&mut self, stage: StageRef, op: InstOp) {
        self.stages[stage.0].items.push(Item::Act(Box::new(op)));
    }

    /// True when nothing would be written.
    pub fn is_idle(&self) -> bool {
        let stores = |i: &Item| matches!(i, Item::Act(op) if matches!(**op, InstOp::Store { .. }));
        !self.stages.iter().any(|s| s.items.iter().any(stores))
    }

    /// The kernel (still without a choice of lanes) and its arguments, in the order of their use.
    pub fn finish(mut self) -> Result<(Kernel, Vec<BufferId>), DimOverflow> {
        let mut drafts = std::mem::take(&mut self.stages);
        // Stable: stages of a level keep their order of creation.
        drafts.sort_by_key(|s| (s.level, !s.ranges.is_empty()));
        self.drop_unused(&mut drafts);
        drafts.retain(|s| !s.items.is_empty());
        let mut numbering = Numbering {
            draft: &self,
            names: FxHashMap::default(),
            values: Vec::new(),
            buffers: Vec::new(),
            locals: Vec::new(),
        };
        let mut stages = Vec::with_capacity(drafts.len());
        for draft in drafts {
            stages.push(Stage {
                insts: numbering.stage(draft.items)?,
                ranges: draft.ranges,
                ordered: draft.ordered,
            });
        }
        let Numbering {
            values,
            buffers,
            locals,
            ..
        } = numbering;
        let buffer = |r: &BufferRef| self.buffers[r.0 as usize];
        let local = |r: &LocalRef| self.locals[r.0 as usize].0.clone();
        let kernel = Kernel {
            buffers: buffers.iter().map(buffer).collect(),
            locals: locals.iter().map(local).collect(),
            lanes: Lanes::None,
            values,
            stages,
            outer: self.outer,
        };
        let args = buffers.iter().map(|r| self.args[r.0 as usize]).collect();
        Ok((kernel, args))
    }

    /// Removes instructions whose results nobody uses; stages are in order of execution.
    fn drop_unused(&self, stages: &mut [StageDraft]) {
        let mut used = vec![false; self.values.len()];
        for stage in stages.iter_mut().rev() {
            let mut kept = Vec::with_capacity(stage.items.len());
            for item in stage.items.drain(..).rev() {
                let op = match &item {
                    Item::Define(v) => {
                        let op = &self.values[v.0 as usize].op;
                        if !used[v.0 as usize] && !records_faults(op) {
                            continue;
                        }
                        op
                    }
                    Item::Act(op) => op,
                };
                op.visit_operands(&mut |v| used[v.0 as usize] = true);
                if let Some(index) = op.index() {
                    index.visit_values(&mut |v| used[v.0 as usize] = true);
                }
                kept.push(item);
            }
            kept.reverse();
            stage.items = kept;
        }
    }
}

fn records_faults(op: &InstOp) -> bool {
    matches!(op, InstOp::CheckIndex { .. } | InstOp::CheckDivisor { .. })
}

/// Gives values, buffers and locals their final numbers, in the order of their appearance: equal
/// kernels become equal texts.
struct Numbering<'a> {
    draft: &'a Draft,
    names: FxHashMap<ValueId, ValueId>,
    values: Vec<DType>,
    buffers: Vec<BufferRef>,
    locals: Vec<LocalRef>,
}

impl Numbering<'_> {
    fn define(&mut self, old: ValueId) -> ValueId {
        self.values.push(self.draft.dtype(old));
        ValueId(self.values.len() as u32 - 1)
    }

    fn stage(&mut self, items: Vec<Item>) -> Result<Vec<Inst>, DimOverflow> {
        let draft = self.draft;
        let mut constants: FxHashMap<ValueId, ValueId> = FxHashMap::default();
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let (old, mut op) = match item {
                Item::Define(v) => (Some(v), draft.values[v.0 as usize].op.clone()),
                Item::Act(op) => (None, *op),
            };
            op.visit_operands_mut(&mut |v| {
                let definition = &draft.values[v.0 as usize];
                if definition.home != Home::Anywhere {
                    *v = self.names[v];
                    return;
                }
                let known = constants.get(v).copied();
                *v = known.unwrap_or_else(|| {
                    let result = self.define(*v);
                    constants.insert(*v, result);
                    out.push(Inst {
                        result: Some(result),
                        op: definition.op.clone(),
                    });
                    result
                });
            });
            if let Some(index) = op.index_mut() {
                *index = index.rename_values(&|v| self.names[&v])?;
            }
            self.rename_memory(&mut op);
            let result = old.map(|old| {
                let new = self.define(old);
                self.names.insert(old, new);
                new
            });
            out.push(Inst { result, op });
        }
        Ok(out)
    }

    fn rename_memory(&mut self, op: &mut InstOp) {
        match op {
            InstOp::Load { buffer, .. } | InstOp::Store { buffer, .. } => {
                *buffer = BufferRef(position(&mut self.buffers, *buffer));
            }
            InstOp::LoadLocal { local, .. } | InstOp::StoreLocal { local, .. } => {
                *local = LocalRef(position(&mut self.locals, *local));
            }
            _ => {}
        }
    }
}

/// The position of `item` in `list`, where it is added when it is new.
fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> u32 {
    let found = list.iter().position(|x| *x == item);
    found.unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    }) as u32
}
