//! The loop nest: outer ranges, stages, the loops along lanes, and accumulators.

use super::analyse::lane_var;
use super::{LaneLoop, Lowerer, Pack, Result, Slot};
use crate::CodegenError;
use crate::vector::{Class, Cmp, Reg, Scalar, VarId};
use lazulite_ir::{Combine, DType, Dim, Inst, InstOp, ValueId, Var};
use smallvec::{SmallVec, smallvec};

/// The variables behind one accumulator.
pub(super) struct Accumulator {
    kind: Combine,
    dtype: DType,
    /// One per copy.
    wide: SmallVec<[VarId; 4]>,
    /// For the rest of an inner lane loop; the loops are joined after the stage.
    rest: Option<VarId>,
    /// What the blocks of a long sum before the present one have given, for each of the others in their order.
    totals: SmallVec<[VarId; 4]>,
}

impl Accumulator {
    /// The variables that are added to, one per copy.
    pub fn wide(&self) -> &[VarId] {
        &self.wide
    }

    /// What the blocks before have given, likewise.
    pub fn totals(&self) -> &[VarId] {
        &self.totals
    }

    fn parts(&self) -> impl Iterator<Item = VarId> + '_ {
        self.wide.iter().copied().chain(self.rest)
    }

    /// The variables with the results, as `wide` and `rest`.
    fn results(&self) -> (&[VarId], Option<VarId>) {
        match self.totals.is_empty() {
            true => (&self.wide, self.rest),
            false => {
                let (wide, rest) = self.totals.split_at(self.wide.len());
                (wide, rest.first().copied())
            }
        }
    }
}

/// Terms that a sum of f32 adds up one by one at most. Longer ones are sums of blocks: rounding then grows with the size
/// and the number of blocks instead of the number of terms, and 2^24 ones and one more are not 2^24.
const TERMS: i64 = 4096;

/// Points of loops within each other, and instructions at all of them, up to which they are written down one by one: what
/// does not differ between them is computed once, and sums need not go through a loop.
const UNROLLED: i64 = 16;
const UNROLLED_INSTS: i64 = 256;

/// The loop of a stage that is run in blocks, and the iterations of one.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    range: usize,
    pub size: i64,
}

impl Lowerer<'_> {
    /// The whole kernel.
    pub(super) fn kernel_body(&mut self) -> Result<()> {
        // Numbered here, they are found from everywhere instead of being reloaded under conditions.
        for buffer in 0..self.kernel.buffers.len() as u32 {
            self.b.buffer(buffer);
        }
        self.in_both_forms(|l| l.outer_loop(0))
    }

    /// The loop over outer range `depth` and all within.
    fn outer_loop(&mut self, depth: usize) -> Result<()> {
        if depth == self.kernel.outer.len() {
            return (0..self.kernel.stages.len()).try_for_each(|stage| self.stage(stage));
        }
        for stage in 0..self.kernel.stages.len() {
            self.stage = stage;
            self.level(stage, depth)?;
        }
        let (from, to) = (self.b.box_from(depth as u32), self.b.box_to(depth as u32));
        let var = Var::Outer(depth as u32);
        if self.lane_loop == LaneLoop::Outer(depth as u32) {
            let packs = self.packs(&self.kernel.outer[depth], var, 0);
            if let Some(sweep) = self.sweep {
                return self.swept(sweep, (from, to), &packs);
            }
            return self.lane_loops(from, to, &packs, &mut |l| l.outer_loop(depth + 1));
        }
        let counter = self.b.open_loop(from, to, 1);
        self.outer.push(counter);
        self.outer_loop(depth + 1)?;
        self.outer.pop();
        self.b.close_loop();
        Ok(())
    }

    /// The loops that share the points along the lanes: as few as the extent needs.
    fn packs(&self, extent: &Dim, var: Var, stage: usize) -> SmallVec<[Pack; 3]> {
        let copies = self.copies.get(stage).copied().unwrap_or(1);
        let pack = |lanes, copies| Pack {
            lanes,
            copies,
            var: Some(var),
            masked: false,
        };
        let (all, one) = (pack(self.lanes, copies), pack(self.lanes, 1));
        if self.caps.masks {
            let rest = Pack {
                masked: true,
                ..one
            };
            let points = i64::from(self.lanes * copies);
            return match extent.as_const().map(|n| (n / points, n % points)) {
                None => smallvec![all, rest],
                Some((0, r)) if r % i64::from(self.lanes) == 0 => smallvec![one],
                Some((0, _)) => smallvec![rest],
                Some((_, 0)) => smallvec![all],
                Some((_, r)) if r % i64::from(self.lanes) == 0 => smallvec![all, one],
                Some(_) => smallvec![all, rest],
            };
        }
        let mut packs: SmallVec<[Pack; 3]> = smallvec![all];
        if copies > 1 {
            packs.push(one);
        }
        packs.push(pack(1, 1));
        if let Some(extent) = extent.as_const() {
            let mut rest = extent;
            packs.retain(|p| {
                let points = i64::from(p.lanes * p.copies);
                let needed = rest >= points;
                rest %= points;
                needed
            });
        }
        packs
    }

    /// Runs `body` for every pack in turn, over the points that the packs before it have left.
    pub(super) fn lane_loops(
        &mut self,
        from: Scalar,
        to: Scalar,
        packs: &[Pack],
        body: &mut dyn FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut start = from;
        let before = (self.pack, self.mask);
        for &pack in packs {
            self.pack = pack;
            let step = i64::from(pack.lanes * pack.copies);
            // Under a mask the last step may be a part of one.
            let limit = match pack.masked {
                true => {
                    let more = self.b.s_const(step - 1);
                    self.b.s_add(to, more)
                }
                false => to,
            };
            let counter = self.b.open_loop(start, limit, step);
            self.mask = pack.masked.then(|| self.lanes_before(counter, to));
            let counters = match pack.var {
                Some(Var::Inner(_)) => &mut self.inner,
                Some(Var::Outer(_)) | None => &mut self.outer,
            };
            counters.push(counter);
            body(self)?;
            let counters = match pack.var {
                Some(Var::Inner(_)) => &mut self.inner,
                Some(Var::Outer(_)) | None => &mut self.outer,
            };
            counters.pop();
            start = self.b.close_loop();
        }
        (self.pack, self.mask) = before;
        Ok(())
    }

    /// The lanes for which `counter + lane < to`; it is not far away.
    fn lanes_before(&mut self, counter: Scalar, to: Scalar) -> Reg {
        let (left, zero) = (self.b.s_sub(to, counter), self.b.s_const(0));
        let left = self.b.splat(Class::I32, self.lanes, left);
        let lane = self.b.ramp(Class::I32, self.lanes, zero, 1);
        self.b.compare(Cmp::Lt, lane, left)
    }

    /// Everything of a stage that belongs into exactly `depth` loops.
    pub(super) fn level(&mut self, stage: usize, depth: usize) -> Result<()> {
        for inst in 0..self.kernel.stages[stage].insts.len() {
            if self.analysis.depth(stage, inst) == depth {
                self.inst(stage, inst)?;
            }
        }
        Ok(())
    }

    /// One stage at one outer point (or pack of them).
    pub(super) fn stage(&mut self, number: usize) -> Result<()> {
        self.stage = number;
        let stage = &self.kernel.stages[number];
        let lanes = match lane_var(stage, self.lane_loop) {
            Some(var @ Var::Inner(i)) => self.packs(&stage.ranges[i as usize], var, number),
            Some(Var::Outer(_)) | None => SmallVec::new(),
        };
        let blocks = self.blocks(number, &lanes);
        self.open_accumulators(number, &lanes, blocks.is_some())?;
        let runs = !stage.ranges.iter().any(|r| r.is(0));
        if runs {
            // Loads that left the inner loops must not run where these would not.
            let mut conditions = 0;
            for range in &stage.ranges {
                if range.bounds().0.is_none_or(|lo| lo <= 0) {
                    let (zero, extent) = (self.b.s_const(0), self.dim(range));
                    let runs = self.b.s_less(zero, extent);
                    self.b.open_if_nonzero(runs);
                    conditions += 1;
                }
            }
            self.inner_loop(number, 0, &lanes, blocks)?;
            for _ in 0..conditions {
                self.b.close_if();
            }
        }
        self.close_accumulators(number)
    }

    /// The innermost loop that may be too long for one sum, together with those in it.
    pub(super) fn blocks(&self, number: usize, lanes: &[Pack]) -> Option<Blocks> {
        let stage = &self.kernel.stages[number];
        let is_rounded = |inst: &Inst| self.is_rounded_sum(inst);
        if stage.ordered || !stage.insts.iter().any(is_rounded) {
            return None;
        }
        let mut within = 1;
        for (range, extent) in stage.ranges.iter().enumerate().rev() {
            let along = range + 1 == stage.ranges.len();
            let points = lanes.iter().map(|p| i64::from(p.lanes * p.copies)).max();
            let step = points.filter(|_| along).unwrap_or(1);
            let steps = extent.as_const().map(|n| (n + step - 1) / step);
            match steps.map(|steps| steps.saturating_mul(within)) {
                Some(terms) if terms <= TERMS => within = terms.max(1),
                _ => {
                    let size = (TERMS / within).max(1) * step;
                    return Some(Blocks { range, size });
                }
            }
        }
        None
    }

    /// Whether an accumulator adds up what rounds soon.
    pub(super) fn is_rounded_sum(&self, inst: &Inst) -> bool {
        let sums = matches!(inst.op, InstOp::Accumulate(Combine::Sum, _));
        sums && inst.result.is_some_and(|v| self.dtype(v) == DType::F32)
    }

    /// What belongs outside inner range `range`, then the loop over it.
    fn inner_loop(
        &mut self,
        stage: usize,
        range: usize,
        lanes: &[Pack],
        blocks: Option<Blocks>,
    ) -> Result<()> {
        self.level(stage, self.kernel.outer.len() + range)?;
        let ranges = &self.kernel.stages[stage].ranges;
        let Some(extent) = ranges.get(range) else {
            return Ok(());
        };
        let (from, to) = (self.b.s_const(0), self.dim(extent));
        match blocks {
            Some(Blocks { range: at, size }) if at == range => {
                let block = self.open_parts(from, to, size);
                self.points(stage, range, lanes, blocks, block)?;
                self.end_block(stage)?;
                self.b.close_loop();
                Ok(())
            }
            Some(_) | None => self.points(stage, range, lanes, blocks, (from, to)),
        }
    }

    /// Opens a loop over parts of `size` points, and gives where the present one begins and ends. The last may be shorter.
    pub(super) fn open_parts(&mut self, from: Scalar, to: Scalar, size: i64) -> (Scalar, Scalar) {
        let more = self.b.s_const(size - 1);
        let limit = self.b.s_add(to, more);
        let begin = self.b.open_loop(from, limit, size);
        let size = self.b.s_const(size);
        let end = self.b.s_add(begin, size);
        (begin, self.b.s_min(end, to))
    }

    /// The points of an inner range from one on to another one.
    fn points(
        &mut self,
        stage: usize,
        range: usize,
        lanes: &[Pack],
        blocks: Option<Blocks>,
        (from, to): (Scalar, Scalar),
    ) -> Result<()> {
        if range + 1 == self.kernel.stages[stage].ranges.len() && !lanes.is_empty() {
            return self.lane_loops(from, to, lanes, &mut |l| {
                l.inner_loop(stage, range + 1, &[], blocks)
            });
        }
        if let Some(count) = self
            .unrolled(stage, range, lanes)
            .filter(|_| blocks.is_none())
        {
            for point in 0..count {
                let counter = self.b.s_const(point);
                self.inner.push(counter);
                self.inner_loop(stage, range + 1, lanes, blocks)?;
                self.inner.pop();
            }
            return Ok(());
        }
        let counter = self.b.open_loop(from, to, 1);
        self.inner.push(counter);
        self.inner_loop(stage, range + 1, lanes, blocks)?;
        self.inner.pop();
        self.b.close_loop();
        Ok(())
    }

    /// The points of an inner range that are written down one by one, if those of the ranges in it are as well.
    fn unrolled(&self, stage: usize, range: usize, lanes: &[Pack]) -> Option<i64> {
        let stage = &self.kernel.stages[stage];
        let (ranges, insts) = (&stage.ranges[range..], stage.insts.len() as i64);
        let extents = ranges.iter().map(Dim::as_const);
        let points = extents.reduce(|a, b| a?.checked_mul(b?))??;
        let copies = i64::from(self.pack.copies);
        let is_short = points <= UNROLLED && points * insts * copies <= UNROLLED_INSTS;
        (lanes.is_empty() && is_short).then(|| ranges[0].as_const())?
    }

    /// Adds what a block has given to what the blocks before it have, and starts anew.
    pub(super) fn end_block(&mut self, number: usize) -> Result<()> {
        for inst in &self.kernel.stages[number].insts {
            let Some(a) = inst.result.and_then(|v| self.accumulators.get(&v)) else {
                continue;
            };
            let (kind, dtype) = (a.kind, a.dtype);
            let pairs: SmallVec<[_; 4]> = a.parts().zip(a.totals.iter().copied()).collect();
            for (part, total) in pairs {
                let (block, before) = (self.b.get(part), self.b.get(total));
                let sum = self.combine(kind, dtype, before, block)?;
                self.b.set(total, sum);
                self.start(part, kind, dtype)?;
            }
        }
        Ok(())
    }

    /// Sets a variable to what combinations start from.
    fn start(&mut self, var: VarId, kind: Combine, dtype: DType) -> Result<()> {
        let (class, lanes) = self.b.var_shape(var);
        let identity = self
            .b
            .const_bits(class, lanes, super::ops::identity(kind, dtype)?);
        self.b.set(var, identity);
        Ok(())
    }

    /// Gives every accumulator of a stage its variables, set to the identity.
    pub(super) fn open_accumulators(
        &mut self,
        number: usize,
        packs: &[Pack],
        in_blocks: bool,
    ) -> Result<()> {
        for (i, inst) in self.kernel.stages[number].insts.iter().enumerate() {
            let (Some(v), InstOp::Accumulate(kind, _)) = (inst.result, &inst.op) else {
                continue;
            };
            let dtype = self.dtype(v);
            let widths: (u32, u32, bool) = if packs.is_empty() {
                match self.analysis.varies(number, i) {
                    true => (self.pack.copies, self.pack.lanes, false),
                    false => (1, 1, false),
                }
            } else {
                let copies = packs.iter().filter(|p| p.lanes > 1).map(|p| p.copies).max();
                let rest = packs.iter().any(|p| p.lanes == 1);
                (copies.unwrap_or(0), self.lanes, rest)
            };
            let (copies, lanes, rest) = widths;
            let class = self.class(v);
            let mut accumulator = Accumulator {
                kind: *kind,
                dtype,
                wide: (0..copies).map(|_| self.b.var(class, lanes)).collect(),
                rest: rest.then(|| self.b.var(class, 1)),
                totals: SmallVec::new(),
            };
            if in_blocks && self.is_rounded_sum(inst) {
                let total = |part| {
                    let (class, lanes) = self.b.var_shape(part);
                    self.b.var(class, lanes)
                };
                accumulator.totals = accumulator.parts().map(total).collect();
            }
            for var in accumulator
                .parts()
                .chain(accumulator.totals.iter().copied())
            {
                self.start(var, *kind, dtype)?;
            }
            self.accumulators.insert(v, accumulator);
        }
        Ok(())
    }

    /// One more value into an accumulator; gives the running value.
    pub(super) fn accumulate(
        &mut self,
        result: ValueId,
        varies: bool,
        value: ValueId,
    ) -> Result<Slot> {
        self.each_copy(varies, |l, copy, lanes| {
            let Some(a) = l.accumulators.get(&result) else {
                return Err(CodegenError::Malformed(
                    "an accumulator without stage".into(),
                ));
            };
            let (kind, dtype) = (a.kind, a.dtype);
            let var = match a.rest {
                Some(rest) if lanes == 1 => rest,
                _ => a.wide[copy],
            };
            let old = l.b.get(var);
            let product = match (kind, dtype.is_float() && l.contract) {
                (Combine::Sum, true) => l.analysis.factors(l.kernel, value),
                _ => None,
            };
            let new = match product {
                Some((x, y)) => {
                    let (x, y) = (l.get(x, copy, lanes)?, l.get(y, copy, lanes)?);
                    l.b.fma(x, y, old)
                }
                None => {
                    let value = l.get(value, copy, lanes)?;
                    // What has just been computed comes first: the check for NaN does not wait for the sum so far.
                    l.combine(kind, dtype, value, old)?
                }
            };
            // Lanes that are points of their own are not stored where they do not count.
            let is_joined = matches!(l.pack.var, Some(Var::Inner(_)));
            let new = match l.within(lanes, None).filter(|_| is_joined) {
                Some(mask) => l.b.select(mask, new, old),
                None => new,
            };
            l.b.set(var, new);
            Ok(new)
        })
    }

    /// Makes the final values of a stage's accumulators available.
    pub(super) fn close_accumulators(&mut self, number: usize) -> Result<()> {
        let across = matches!(
            lane_var(&self.kernel.stages[number], self.lane_loop),
            Some(Var::Inner(_))
        );
        for (i, inst) in self.kernel.stages[number].insts.iter().enumerate() {
            let (Some(v), InstOp::Accumulate(..)) = (inst.result, &inst.op) else {
                continue;
            };
            let Some(a) = self.accumulators.remove(&v) else {
                continue;
            };
            let (wide, rest) = a.results();
            let regs: SmallVec<[Reg; 4]> = wide.iter().map(|&var| self.b.get(var)).collect();
            let slot = match (across, self.analysis.varies(number, i)) {
                (true, _) => Slot::Uniform(self.join((a.kind, a.dtype), regs, rest)?),
                (false, true) => Slot::Lanes(regs),
                (false, false) => Slot::Uniform(regs[0]),
            };
            self.values[v.0 as usize] = slot;
        }
        Ok(())
    }

    /// All copies, all lanes and the rest of an accumulator in one value, in an order that depends on
    /// nothing but the extent.
    fn join(
        &mut self,
        (kind, dtype): (Combine, DType),
        mut regs: SmallVec<[Reg; 4]>,
        rest: Option<VarId>,
    ) -> Result<Reg> {
        while regs.len() > 1 {
            let half = regs.len().div_ceil(2);
            let upper: SmallVec<[Reg; 4]> = regs.drain(half..).collect();
            for (i, high) in upper.into_iter().enumerate() {
                regs[i] = self.combine(kind, dtype, regs[i], high)?;
            }
        }
        let wide = match regs.first() {
            Some(&wide) => {
                let f = super::ops::combining(kind, dtype)?;
                let one = self.b.horizontal(f, wide);
                Some(self.wrap(dtype, one))
            }
            None => None,
        };
        match (wide, rest) {
            (Some(wide), Some(rest)) => {
                let rest = self.b.get(rest);
                self.combine(kind, dtype, wide, rest)
            }
            (Some(wide), None) => Ok(wide),
            (None, Some(rest)) => Ok(self.b.get(rest)),
            // A loop without points: the identity.
            (None, None) => {
                let class = Class::of(dtype);
                let bits = super::ops::identity(kind, dtype)?;
                Ok(self.b.const_bits(class, 1, bits))
            }
        }
    }
}
