//! Reductions of columns, swept row by row.
//!
//! Accumulators in registers are few: a loop down a column with as many as there are takes some lines of cache from each
//! row, and memory that is far from what was read before is slow to come. Of large arrays a strip of columns is swept
//! instead, some rows at once, while the accumulators of the whole strip are in scratch memory, which stays in the nearest
//! cache.

use super::nest::Blocks;
use super::{LaneLoop, Lowerer, Pack, Result};
use crate::vector::{Class, MemAccess, Scalar, VarId};
use lazulite_ir::{Access, DType, Dim, Inst, InstOp, Kernel, ValueId, price};

/// Bytes at most of a strip's accumulators that are added to: half of the nearest cache.
const STRIP_BYTES: i64 = 16 << 10;
/// Columns that a thread takes at least, if there are shares for so many threads, or else fewer. 64 MiB of rows of 16 KiB take
/// one thread of Zen 4 2.3 ms in whole rows, 2.7 in strips of 1024 columns, 3.1 in strips of 512, and 4 and more down the columns.
const SHARES: [i64; 2] = [1024, 512];
const THREADS: i64 = 4;
/// Rows that are added at once, as accumulators come from memory and go back once for all of them, and fewer where a point
/// costs more than so much. What costs more still is bound by its arithmetic.
const ROWS: i64 = 8;
const FEWER_ROWS: i64 = 4;
const CHEAP: u32 = 16;
const DEAR: u32 = 64;
/// Bytes that a kernel reads from which on columns are swept: more than the caches next to a core hold.
const SWEPT_BYTES: i64 = 1 << 20;

/// How the columns of a kernel are swept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sweep {
    /// Columns of a strip at most, a multiple of `share`.
    columns: i64,
    /// Boxes begin at multiples of this.
    pub share: i64,
    rows: i64,
}

/// Where the accumulators of a strip are, by the value they stand for: those of the present block, and what the blocks
/// before have given.
struct Strip {
    value: ValueId,
    running: i64,
    total: Option<i64>,
}

/// How the columns of a kernel that reads at least `least` bytes are swept; `None` for one of another form.
pub(super) fn sweep(
    kernel: &Kernel,
    lane_loop: LaneLoop,
    least: Option<i64>,
) -> Result<Option<Sweep>> {
    let (LaneLoop::Outer(_), [reduction, rest @ ..]) = (lane_loop, &kernel.stages[..]) else {
        return Ok(None);
    };
    let fits = |inst: &Inst| match &inst.op {
        InstOp::Load { buffer, .. } => kernel.buffers[buffer.0 as usize].access == Access::Read,
        InstOp::Accumulate(..) => inst
            .result
            .is_some_and(|v| Class::of(kernel.values[v.0 as usize]) != Class::Mask),
        InstOp::Const(_)
        | InstOp::Index(_)
        | InstOp::InRange { .. }
        | InstOp::Unary(..)
        | InstOp::Binary(..)
        | InstOp::Compare(..)
        | InstOp::Select(..)
        | InstOp::Cast(_)
        | InstOp::Bitcast(_)
        | InstOp::Random { .. } => true,
        // Which fault is the first depends on the order of points.
        InstOp::CheckIndex { .. } | InstOp::CheckDivisor { .. } => false,
        InstOp::Store { .. } | InstOp::LoadLocal { .. } | InstOp::StoreLocal { .. } => false,
    };
    let [rows] = &reduction.ranges[..] else {
        return Ok(None);
    };
    let fits = !reduction.ordered
        && reduction.insts.iter().all(fits)
        && rest.iter().all(|stage| stage.ranges.is_empty())
        && kernel.locals.is_empty();
    let cost: u32 = reduction.insts.iter().map(|i| price::inst(&i.op)).sum();
    let outer: Option<Vec<i64>> = kernel.outer.iter().map(Dim::as_const).collect();
    let (Some(rows), Some([others @ .., columns]), true) =
        (rows.as_const(), outer.as_deref(), fits)
    else {
        return Ok(None);
    };
    let read = kernel.work()?.bytes_read()?.as_const();
    let is_large = read.is_some_and(|bytes| bytes >= least.unwrap_or(SWEPT_BYTES));
    if rows < 2 * ROWS || !is_large || cost > DEAR {
        return Ok(None);
    }
    let others = others.iter().copied().fold(1, i64::saturating_mul);
    let is_shared = |share: &i64| (columns / share).saturating_mul(others) >= THREADS;
    let accumulators = { reduction.insts.iter() }
        .filter(|i| matches!(i.op, InstOp::Accumulate(..)))
        .filter_map(|i| Some(element(kernel.values[i.result?.0 as usize]).size() as i64));
    let bytes: i64 = accumulators.sum();
    let sweep = |share: i64| Sweep {
        columns: STRIP_BYTES / bytes.max(1) / share * share,
        share,
        rows: if cost <= CHEAP { ROWS } else { FEWER_ROWS },
    };
    let share = SHARES.into_iter().find(is_shared);
    Ok(share.map(sweep).filter(|sweep| sweep.columns > 0))
}

/// In what type an accumulator of a type is held in memory: as in its register.
fn element(dtype: DType) -> DType {
    match Class::of(dtype) {
        Class::F32 => DType::F32,
        Class::F64 => DType::F64,
        Class::I64 => DType::I64,
        // Truth values are not swept.
        Class::I32 | Class::Mask => DType::I32,
    }
}

impl Lowerer<'_> {
    /// The accumulators of a strip of `columns` in scratch memory, and the bytes they take.
    fn strips(&self, columns: i64) -> (Vec<Strip>, i64) {
        let in_blocks = self.blocks(0, &[]).is_some();
        let mut end = 0;
        let mut place = |value| {
            let begin = end;
            end += columns * element(self.dtype(value)).size() as i64;
            begin
        };
        let insts = self.kernel.stages[0].insts.iter();
        let accumulators = insts.filter_map(|inst| match (inst.result, &inst.op) {
            (Some(value), InstOp::Accumulate(..)) => {
                let in_blocks = in_blocks && self.is_rounded_sum(inst);
                Some(Strip {
                    value,
                    running: place(value),
                    total: in_blocks.then(|| place(value)),
                })
            }
            _ => None,
        });
        (accumulators.collect(), end)
    }

    /// Bytes of scratch memory for a strip.
    pub(super) fn strip_bytes(&self, sweep: Sweep) -> Dim {
        Dim::constant(self.strips(sweep.columns).1)
    }

    /// The last outer loop and all within, for columns from one on to another one.
    pub(super) fn swept(
        &mut self,
        Sweep {
            columns,
            rows: step,
            ..
        }: Sweep,
        (from, to): (Scalar, Scalar),
        packs: &[Pack],
    ) -> Result<()> {
        let (blocks, (strips, _)) = (self.blocks(0, &[]), self.strips(columns));
        let (begin, end) = self.open_parts(from, to, columns);
        self.lane_loops(begin, end, packs, &mut |l| {
            l.open_accumulators(0, &[], blocks.is_some())?;
            l.keep_strips(&strips, begin);
            Ok(())
        })?;
        let (first, rows) = (
            self.b.s_const(0),
            self.dim(&self.kernel.stages[0].ranges[0]),
        );
        match blocks {
            None => self.sweep_rows((first, rows, step), (begin, end), packs, &strips)?,
            Some(Blocks { size, .. }) => {
                let (row, next) = self.open_parts(first, rows, size);
                self.sweep_rows((row, next, step), (begin, end), packs, &strips)?;
                self.lane_loops(begin, end, packs, &mut |l| {
                    l.load_strips(&strips, begin, true)?;
                    l.end_block(0)?;
                    l.keep_strips(&strips, begin);
                    Ok(())
                })?;
                self.b.close_loop();
            }
        }
        self.lane_loops(begin, end, packs, &mut |l| {
            l.stage = 0;
            l.level(0, l.kernel.outer.len())?;
            l.load_strips(&strips, begin, blocks.is_some())?;
            l.close_accumulators(0)?;
            (1..l.kernel.stages.len()).try_for_each(|stage| l.stage(stage))
        })?;
        self.b.close_loop();
        Ok(())
    }

    /// Adds rows from one on to another one, so many at once.
    fn sweep_rows(
        &mut self,
        (from, to, step): (Scalar, Scalar, i64),
        (begin, end): (Scalar, Scalar),
        packs: &[Pack],
        strips: &[Strip],
    ) -> Result<()> {
        let mut first = from;
        for rows in [step, 1] {
            let row = self.b.open_loop(first, to, rows);
            self.lane_loops(begin, end, packs, &mut |l| {
                l.stage = 0;
                l.load_strips(strips, begin, false)?;
                l.level(0, l.kernel.outer.len())?;
                for more in 0..rows {
                    let more = l.b.s_const(more);
                    let row = l.b.s_add(row, more);
                    l.inner.push(row);
                    l.level(0, l.kernel.outer.len() + 1)?;
                    l.inner.pop();
                }
                l.keep_strips(strips, begin);
                Ok(())
            })?;
            first = self.b.close_loop();
        }
        Ok(())
    }

    /// Gives every accumulator its variables for the present pack, with what a strip that begins at column `begin`
    /// holds for it; with what the blocks before have given if `totals` says so.
    fn load_strips(&mut self, strips: &[Strip], begin: Scalar, totals: bool) -> Result<()> {
        self.open_accumulators(0, &[], totals)?;
        for (var, mem, address) in self.strip_parts(strips, begin) {
            let (_, lanes) = self.b.var_shape(var);
            let access = MemAccess::Contiguous;
            let value = self.load_lanes(mem, lanes, address, access, None);
            self.b.set(var, value);
        }
        Ok(())
    }

    /// Puts the variables of the present pack's accumulators back to where a strip has them.
    fn keep_strips(&mut self, strips: &[Strip], begin: Scalar) {
        for (var, mem, address) in self.strip_parts(strips, begin) {
            let (_, lanes) = self.b.var_shape(var);
            let (value, mask) = (self.b.get(var), self.within(lanes, None));
            let access = MemAccess::Contiguous;
            self.b.store(mem, address, access, value, mask, false);
        }
    }

    /// The variables of the present pack's accumulators, and where a strip has each.
    fn strip_parts(&mut self, strips: &[Strip], begin: Scalar) -> Vec<(VarId, DType, Scalar)> {
        let memory = self.b.buffer(self.kernel.buffers.len() as u32);
        let Some(&column) = self.outer.last() else {
            return Vec::new();
        };
        let column = self.b.s_sub(column, begin);
        let mut parts = Vec::new();
        for strip in strips {
            let Some(accumulator) = self.accumulators.get(&strip.value) else {
                continue;
            };
            let mem = element(self.dtype(strip.value));
            let size = mem.size() as i64;
            let totals = strip.total.map(|at| (at, accumulator.totals()));
            let all = [(strip.running, accumulator.wide())]
                .into_iter()
                .chain(totals);
            for (at, vars) in all {
                // Swept kernels have one copy.
                for &var in vars {
                    let (at, size) = (self.b.s_const(at), self.b.s_const(size));
                    let place = self.b.s_mul(column, size);
                    let place = self.b.s_add(place, at);
                    parts.push((var, mem, self.b.s_add(memory, place)));
                }
            }
        }
        parts
    }
}
