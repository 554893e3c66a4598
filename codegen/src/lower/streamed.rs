//! Results that bypass the caches.
//!
//! What a kernel moves may be more than the caches hold. Nobody finds its results there then, and an ordinary store
//! would first read the line that it overwrites. Stores of whole vectors to places that are multiples of a vector's size can go
//! to memory at once. Where buffers begin is known when the kernel runs: its body is written down twice, and the
//! buffers decide which one runs.

use super::analyse::lane_var;
use super::{LaneLoop, Lowerer, Result, Slot};
use crate::vector::Scalar;
use lazulite_ir::{
    Access, BufferRef, Dim, IndexAtom, IndexExpr, InstOp, Kernel, Stage, Var, price,
};

/// The buffers of a kernel that moves at least `least` bytes, of which vectors of so many bytes can be stored past
/// the caches.
pub(super) fn streamed(
    kernel: &Kernel,
    lane_loop: LaneLoop,
    vector_bytes: u32,
    least: Option<i64>,
) -> Result<Vec<BufferRef>> {
    let moved = {
        let work = kernel.work()?;
        work.bytes_read()?.add(&work.bytes_written()?)?.as_const()
    };
    if moved.is_none_or(|bytes| bytes < least.unwrap_or(price::CACHE_BYTES)) {
        return Ok(Vec::new());
    }
    let buffers = (0..kernel.buffers.len() as u32).map(BufferRef);
    let fits = |buffer: &BufferRef| {
        let decl = &kernel.buffers[buffer.0 as usize];
        let size = decl.dtype.size() as i64;
        let stores = stores(kernel, *buffer).collect::<Vec<_>>();
        let even = |(stage, op): &(&Stage, &InstOp)| {
            let var = lane_var(stage, lane_loop);
            var.is_some_and(|var| is_whole(op, var, i64::from(vector_bytes) / size))
        };
        decl.access == Access::Write
            && matches!(size, 4 | 8)
            && !stores.is_empty()
            && stores.iter().all(even)
    };
    Ok(buffers.filter(fits).collect())
}

/// The instructions that store into a buffer.
fn stores(kernel: &Kernel, buffer: BufferRef) -> impl Iterator<Item = (&Stage, &InstOp)> {
    let insts = { kernel.stages.iter() }.flat_map(|s| s.insts.iter().map(move |i| (s, &i.op)));
    insts.filter(move |(_, op)| matches!(op, InstOp::Store { buffer: b, .. } if *b == buffer))
}

/// Whether vectors of `lanes` elements along `var` are stored whole and at multiples of their size.
fn is_whole(op: &InstOp, var: Var, lanes: i64) -> bool {
    let InstOp::Store {
        index,
        combine: None,
        guard: None,
        ..
    } = op
    else {
        return false;
    };
    let is_multiple = |d: &Dim| d.as_const().is_some_and(|d| d % lanes == 0);
    let others = |index: &IndexExpr| {
        let mut terms = index.terms.iter();
        terms.all(|t| t.atom == IndexAtom::Var(var) || is_multiple(&t.coefficient))
    };
    index.stride_of(var) == Some(Dim::ONE) && is_multiple(&index.constant) && others(index)
}

impl Lowerer<'_> {
    /// The loops, if results bypass the caches once more, for buffers where they can.
    pub(super) fn in_both_forms(
        &mut self,
        mut loops: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if self.streamed.is_empty() {
            return loops(self);
        }
        let streamed = std::mem::take(&mut self.streamed);
        let off = self.count_off(&streamed);
        let (zero, one) = (self.b.s_const(0), self.b.s_const(1));
        let is_off = self.b.s_less(zero, off);
        self.b.open_if_nonzero(is_off);
        loops(self)?;
        self.b.close_if();
        // Nothing that was defined under the condition holds outside.
        self.values.fill(Slot::Undefined);
        self.accumulators.clear();
        self.streamed = streamed;
        let is_on = self.b.s_sub(one, is_off);
        self.b.open_if_nonzero(is_on);
        loops(self)?;
        self.b.close_if();
        Ok(())
    }

    /// Positive where one of the buffers does not begin at a multiple of a vector's size, or lies where the kernel reads: what
    /// was read is in the caches already.
    fn count_off(&mut self, streamed: &[BufferRef]) -> Scalar {
        let bytes = self.b.s_const(i64::from(self.caps.vector_bytes));
        let one = self.b.s_const(1);
        let mut off = self.b.s_const(0);
        for buffer in streamed {
            let begin = self.b.buffer(buffer.0);
            let over = self.b.s_mod(begin, bytes);
            off = self.b.s_add(off, over);
            for (other, decl) in (0..).zip(&self.kernel.buffers) {
                if decl.access == Access::Write {
                    continue;
                }
                let other = self.b.buffer(other);
                let (before, behind) = (self.b.s_less(begin, other), self.b.s_less(other, begin));
                let apart = self.b.s_add(before, behind);
                let same = self.b.s_sub(one, apart);
                off = self.b.s_add(off, same);
            }
        }
        off
    }

    /// Whether what is stored now into a buffer bypasses the caches.
    pub(super) fn is_streamed(&self, buffer: BufferRef, lanes: u32) -> bool {
        lanes == self.lanes && self.mask.is_none() && self.streamed.contains(&buffer)
    }
}
