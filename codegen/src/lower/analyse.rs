//! What lowering must know of a kernel before it writes code: in which loop each value belongs,
//! whether it differs between lanes, and in which form half floats travel.

use super::{LaneLoop, Result};
use crate::CodegenError;
use crate::backend::Caps;
use crate::vector::Class;
use lazulite_ir::{
    Access, Binary, DType, Dim, IndexAtom, IndexExpr, Inst, InstOp, Kernel, Stage, Unary, ValueId,
    Var, price,
};

/// Pieces into which a loop along columns should remain divisible.
const PIECES: i64 = 8;

/// How f16 and bf16 values are held. Those that are merely moved keep their bits; conversion would
/// quiet signalling NaNs and cost time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// As the class of the type says: half floats as f32.
    Natural,
    /// Half floats as 16 bits in 32-bit integers.
    Bits,
}

impl Form {
    /// The register class of a value of `dtype` in this form.
    pub fn class(self, dtype: DType) -> Class {
        match self {
            Form::Natural => Class::of(dtype),
            Form::Bits => Class::I32,
        }
    }
}

/// What is known of one value or store.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Number of loops around the place where it belongs, outer ranges first.
    depth: usize,
    varies: bool,
}

const NOTHING: Facts = Facts {
    depth: 0,
    varies: false,
};

/// Facts about every instruction of a kernel.
pub(super) struct Analysis {
    /// Per value.
    values: Vec<Facts>,
    forms: Vec<Form>,
    /// Per stage and instruction.
    insts: Vec<Vec<Facts>>,
    /// Per value: stage and number of the instruction that defines it.
    places: Vec<Option<(usize, usize)>>,
    /// Half floats that are only stored: storing rounds them.
    stored: Vec<bool>,
    /// Cost of one point of each stage.
    costs: Vec<u32>,
}

impl Analysis {
    pub fn new(kernel: &Kernel, lane_loop: LaneLoop) -> Result<Analysis> {
        let mut analysis = Analysis {
            values: vec![NOTHING; kernel.values.len()],
            forms: forms(kernel),
            insts: Vec::with_capacity(kernel.stages.len()),
            places: vec![None; kernel.values.len()],
            stored: only_stored(kernel),
            costs: Vec::with_capacity(kernel.stages.len()),
        };
        for (number, stage) in kernel.stages.iter().enumerate() {
            let context = StageContext::new(kernel, stage, lane_loop);
            let mut facts = Vec::with_capacity(stage.insts.len());
            for (i, inst) in stage.insts.iter().enumerate() {
                let f = analysis.inst(&context, inst);
                if let Some(v) = inst.result {
                    *analysis.values.get_mut(v.0 as usize).ok_or_else(|| {
                        CodegenError::Malformed(format!("value {} is not declared", v.0))
                    })? = f;
                    analysis.places[v.0 as usize] = Some((number, i));
                }
                facts.push(f);
            }
            // Behind the stage an accumulator is a value of the outer point.
            for inst in &stage.insts {
                if let (Some(v), InstOp::Accumulate(..)) = (inst.result, &inst.op) {
                    let value = &mut analysis.values[v.0 as usize];
                    value.depth = kernel.outer.len();
                    value.varies &= lane_loop != LaneLoop::Inner;
                }
            }
            analysis.insts.push(facts);
            let cost = stage.insts.iter().map(|i| price::inst(&i.op)).sum();
            analysis.costs.push(cost);
        }
        Ok(analysis)
    }

    /// In which form a value is held.
    pub fn form(&self, v: ValueId) -> Form {
        self.forms[v.0 as usize]
    }

    /// Number of loops around the place where an instruction belongs.
    pub fn depth(&self, stage: usize, inst: usize) -> usize {
        self.insts[stage][inst].depth
    }

    /// The same for what defines a value; an accumulator's is that of the outer point.
    pub fn value_depth(&self, v: ValueId) -> usize {
        self.values[v.0 as usize].depth
    }

    /// Whether an instruction's result, or what it stores, differs between lanes.
    pub fn varies(&self, stage: usize, inst: usize) -> bool {
        self.insts[stage][inst].varies
    }

    /// True when all that is ever done with a value is to store it.
    pub fn only_stored(&self, v: ValueId) -> bool {
        self.stored[v.0 as usize]
    }

    /// How many vectors one iteration of the lane loop of a stage (of all of them, for `None`) should
    /// handle: enough to hide latencies and loop overhead in short bodies. In long ones the
    /// processor overlaps iterations by itself, and each copy costs compile time. Where vectors are long more is gained,
    /// even with 16 registers.
    pub fn copies(&self, stage: Option<usize>, caps: &Caps) -> u32 {
        let cost: u32 = match stage {
            Some(stage) => self.costs[stage],
            None => self.costs.iter().sum(),
        };
        let (four, two) = match caps.vector_bytes {
            0..32 => (16, 32),
            _ => (64, 96),
        };
        match cost {
            _ if cost <= four => 4,
            _ if cost <= two => 2,
            _ => 1,
        }
    }

    /// The same for the last outer range: cheap reductions of columns take many at once, so that they find several lines
    /// of cache in each row, as long as pieces of work are left for all threads.
    pub fn outer_copies(&self, kernel: &Kernel, caps: &Caps) -> u32 {
        let usual = self.copies(None, caps);
        let reduces = kernel.stages.iter().any(|s| !s.ranges.is_empty());
        let extent = kernel.outer.last().and_then(Dim::as_const);
        let (true, true, Some(extent)) = (reduces, self.costs.iter().sum::<u32>() <= 8, extent)
        else {
            return usual;
        };
        let mut copies = (caps.registers / 2).max(usual);
        while copies > usual && extent < i64::from(copies * caps.lanes()) * PIECES {
            copies /= 2;
        }
        copies.max(usual)
    }

    /// The index expression that a value is, if it is one.
    pub fn index_of<'k>(&self, kernel: &'k Kernel, v: ValueId) -> Option<&'k IndexExpr> {
        match self.definition(kernel, v)? {
            InstOp::Index(e) => Some(e),
            _ => None,
        }
    }

    /// The factors of a value that is a product.
    pub fn factors(&self, kernel: &Kernel, v: ValueId) -> Option<(ValueId, ValueId)> {
        match *self.definition(kernel, v)? {
            InstOp::Binary(Binary::Mul, a, b) => Some((a, b)),
            _ => None,
        }
    }

    /// A sum as a product and what is added to it. The rule looks at the definitions only, so that every kernel that
    /// computes the sum from the same values rounds it alike; of two products neither is preferred.
    pub fn product_sum(
        &self,
        kernel: &Kernel,
        [x, y]: [ValueId; 2],
    ) -> Option<([ValueId; 2], ValueId)> {
        let is_product = |v| match self.definition(kernel, v) {
            Some(InstOp::Unary(Unary::Neg, v)) => self.factors(kernel, *v).is_some(),
            _ => self.factors(kernel, v).is_some(),
        };
        let (product, rest) = match (is_product(x), is_product(y)) {
            (true, false) => (x, y),
            (false, true) => (y, x),
            (true, true) | (false, false) => return None,
        };
        let (a, b) = self.factors(kernel, product)?;
        Some(([a, b], rest))
    }

    fn definition<'k>(&self, kernel: &'k Kernel, v: ValueId) -> Option<&'k InstOp> {
        let (stage, inst) = (*self.places.get(v.0 as usize)?)?;
        Some(&kernel.stages[stage].insts[inst].op)
    }

    fn inst(&self, context: &StageContext<'_>, inst: &Inst) -> Facts {
        let mut facts = Facts {
            depth: context.least_depth(&inst.op),
            varies: context.varies_by_itself(&inst.op),
        };
        let mut merge = |v: ValueId| {
            let Some(f) = self.values.get(v.0 as usize) else {
                return;
            };
            facts.depth = facts.depth.max(f.depth);
            facts.varies |= f.varies;
        };
        inst.op.visit_operands(&mut merge);
        if let Some(index) = inst.op.index() {
            index.visit_values(&mut merge);
            facts.depth = facts.depth.max(context.index_depth(index));
            facts.varies |= context.lane_var.is_some_and(|v| index.depends_on(v));
        }
        facts
    }
}

/// `copies`, or as many fewer as make packs of so many vectors divide the sizes that indices along the lanes are divided
/// by, where one vector does: all of a pack has the same quotient then.
pub(super) fn even_copies(stages: &[Stage], lane_loop: LaneLoop, lanes: u32, copies: u32) -> u32 {
    let mut copies = copies.max(1);
    let mut fit = |d: &Dim| {
        let rest = |copies: u32| d.as_const().map(|d| d % i64::from(lanes * copies));
        while rest(1) == Some(0) && rest(copies) != Some(0) {
            copies /= 2;
        }
    };
    for stage in stages {
        let Some(var) = lane_var(stage, lane_loop) else {
            continue;
        };
        for index in stage.insts.iter().filter_map(|inst| inst.op.index()) {
            index.visit_atoms(&mut |atom| match atom {
                IndexAtom::FloorDiv(x, d) | IndexAtom::Mod(x, d) if x.depends_on(var) => fit(d),
                _ => {}
            });
        }
    }
    copies
}

/// A stage and the loops around it.
struct StageContext<'a> {
    kernel: &'a Kernel,
    stage: &'a Stage,
    lane_loop: LaneLoop,
    lane_var: Option<Var>,
    /// All ranges are known to run at least once.
    runs: bool,
}

/// The variable along the lanes while a stage runs.
pub(super) fn lane_var(stage: &Stage, lane_loop: LaneLoop) -> Option<Var> {
    match lane_loop {
        LaneLoop::None => None,
        LaneLoop::Outer(i) => Some(Var::Outer(i)),
        LaneLoop::Inner if stage.ordered => None,
        LaneLoop::Inner => stage
            .ranges
            .len()
            .checked_sub(1)
            .map(|i| Var::Inner(i as u32)),
    }
}

impl<'a> StageContext<'a> {
    fn new(kernel: &'a Kernel, stage: &'a Stage, lane_loop: LaneLoop) -> StageContext<'a> {
        StageContext {
            kernel,
            stage,
            lane_loop,
            lane_var: lane_var(stage, lane_loop),
            runs: stage
                .ranges
                .iter()
                .all(|r| r.bounds().0.is_some_and(|lo| lo > 0)),
        }
    }

    /// The loop below which an instruction must not leave the nest, whatever its operands are.
    fn least_depth(&self, op: &InstOp) -> usize {
        let outer = self.kernel.outer.len();
        let full = outer + self.stage.ranges.len();
        // What may fault or touch memory runs only where the stage does.
        let guarded = if self.runs { 0 } else { outer };
        match op {
            InstOp::Store { .. } | InstOp::StoreLocal { .. } | InstOp::Accumulate(..) => full,
            InstOp::Load { buffer, .. } => {
                let written = match self.kernel.buffers.get(buffer.0 as usize) {
                    Some(b) => b.access != Access::Read,
                    None => true,
                };
                match written {
                    true => full,
                    false => guarded,
                }
            }
            InstOp::LoadLocal { local, .. } => {
                let stored_here =
                    self.stage.insts.iter().any(
                        |i| matches!(&i.op, InstOp::StoreLocal { local: l, .. } if l == local),
                    );
                match stored_here {
                    true => full,
                    false => outer,
                }
            }
            InstOp::CheckIndex { .. } | InstOp::CheckDivisor { .. } => guarded,
            InstOp::Binary(Binary::Div | Binary::Rem, ..) => guarded,
            InstOp::Const(_)
            | InstOp::Index(_)
            | InstOp::InRange { .. }
            | InstOp::Unary(..)
            | InstOp::Binary(..)
            | InstOp::Compare(..)
            | InstOp::Select(..)
            | InstOp::Cast(_)
            | InstOp::Bitcast(_)
            | InstOp::Random { .. } => 0,
        }
    }

    /// Locals are private to a point; what is accumulated over lanes counts once per lane.
    fn varies_by_itself(&self, op: &InstOp) -> bool {
        match (op, self.lane_loop) {
            (InstOp::LoadLocal { .. } | InstOp::StoreLocal { .. }, LaneLoop::Outer(_)) => true,
            (InstOp::Accumulate(..), LaneLoop::Inner) => self.lane_var.is_some(),
            _ => false,
        }
    }

    fn index_depth(&self, index: &IndexExpr) -> usize {
        let mut depth = 0;
        index.visit_vars(&mut |v| {
            depth = depth.max(match v {
                Var::Outer(i) => i as usize + 1,
                Var::Inner(i) => self.kernel.outer.len() + i as usize + 1,
            });
        });
        depth
    }
}

/// The loop depth of an atom's own variables; values count as deepest.
pub(super) fn atom_depth(atom: &IndexAtom, outer: usize) -> usize {
    match atom {
        IndexAtom::Var(Var::Outer(i)) => *i as usize + 1,
        IndexAtom::Var(Var::Inner(i)) => outer + *i as usize + 1,
        IndexAtom::Value(_) => usize::MAX,
        IndexAtom::FloorDiv(x, _) | IndexAtom::Mod(x, _) => x
            .terms
            .iter()
            .map(|t| atom_depth(&t.atom, outer))
            .max()
            .unwrap_or(0),
    }
}

/// The form of every value: bits for half floats that are only moved.
fn forms(kernel: &Kernel) -> Vec<Form> {
    let half = |v: ValueId| {
        matches!(
            kernel.values.get(v.0 as usize),
            Some(DType::F16 | DType::BF16)
        )
    };
    let mut forms: Vec<Form> = kernel
        .values
        .iter()
        .map(|d| match d {
            DType::F16 | DType::BF16 => Form::Bits,
            _ => Form::Natural,
        })
        .collect();
    let insts = || kernel.stages.iter().flat_map(|s| &s.insts);
    // A value that is converted, or comes from a conversion, is held as f32; so is what a selection
    // joins with it. Selections chain, so repeat until nothing changes.
    let mut changed = true;
    while changed {
        changed = false;
        let mut natural = |v: ValueId, forms: &mut Vec<Form>| {
            if half(v) && forms[v.0 as usize] == Form::Bits {
                forms[v.0 as usize] = Form::Natural;
                changed = true;
            }
        };
        for inst in insts() {
            match (&inst.op, inst.result) {
                (InstOp::Cast(x), Some(r)) => {
                    natural(*x, &mut forms);
                    natural(r, &mut forms);
                }
                (InstOp::Accumulate(_, x), Some(r)) => {
                    natural(*x, &mut forms);
                    natural(r, &mut forms);
                }
                (
                    InstOp::Store {
                        value,
                        combine: Some(_),
                        ..
                    },
                    _,
                ) => natural(*value, &mut forms),
                (InstOp::Select(_, a, b), Some(r)) if half(r) => {
                    let all = [*a, *b, r];
                    if all
                        .iter()
                        .any(|v| forms.get(v.0 as usize) == Some(&Form::Natural))
                    {
                        all.into_iter().for_each(|v| natural(v, &mut forms));
                    }
                }
                _ => {}
            }
        }
    }
    forms
}

/// Per value: whether all its uses are plain stores.
fn only_stored(kernel: &Kernel) -> Vec<bool> {
    let mut stored = vec![true; kernel.values.len()];
    for inst in kernel.stages.iter().flat_map(|s| &s.insts) {
        let stores = match &inst.op {
            InstOp::Store {
                value,
                combine: None,
                ..
            }
            | InstOp::StoreLocal { value, .. } => Some(*value),
            _ => None,
        };
        inst.op.visit_operands(&mut |v| {
            if stores != Some(v)
                && let Some(s) = stored.get_mut(v.0 as usize)
            {
                *s = false;
            }
        });
    }
    stored
}
