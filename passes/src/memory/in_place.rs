//! When a kernel may write a buffer over one that it reads.
//!
//! No two outer points of a kernel store to the same element, nor do two points of a stage that is
//! not ordered. So an element is safe from others if the point that reads it is the one that
//! writes it: read and written at the same index expression, over the same ranges. It must also be
//! read first: in an earlier stage, or earlier in the same one.

use lazulite_ir::{BufferRef, IndexAtom, IndexExpr, InstOp, Kernel, Stage};

/// An access to a buffer: stage, instruction, index.
struct At<'k> {
    order: (usize, usize),
    stage: &'k Stage,
    index: &'k IndexExpr,
}

/// True when the memory of parameter `write` may be that of parameter `read`, which has as many
/// bytes per element.
pub(super) fn in_place(kernel: &Kernel, read: BufferRef, write: BufferRef) -> bool {
    let (mut loads, mut stores) = (Vec::new(), Vec::new());
    for (s, stage) in kernel.stages.iter().enumerate() {
        for (i, inst) in stage.insts.iter().enumerate() {
            let at = |index| At {
                order: (s, i),
                stage,
                index,
            };
            match &inst.op {
                InstOp::Load { buffer, index, .. } if *buffer == read => loads.push(at(index)),
                // Also a load from the written parameter, which would see what was there before.
                InstOp::Load { buffer, .. } if *buffer == write => return false,
                InstOp::Store {
                    buffer, combine, ..
                } if *buffer == read || (*buffer == write && combine.is_some()) => return false,
                InstOp::Store { buffer, index, .. } if *buffer == write => stores.push(at(index)),
                _ => {}
            }
        }
    }
    let Some(first) = stores.first() else {
        return false;
    };
    let same = |at: &At<'_>| at.index == first.index && at.stage.ranges == first.stage.ranges;
    !reads_data(first.index)
        && stores.iter().all(|s| same(s) && !s.stage.ordered)
        && loads.iter().all(|l| same(l) && l.order < first.order)
}

/// True when an index depends on computed values: they may be others in another stage.
fn reads_data(index: &IndexExpr) -> bool {
    index.terms.iter().any(|t| match &t.atom {
        IndexAtom::Var(_) => false,
        IndexAtom::Value(_) => true,
        IndexAtom::FloorDiv(e, _) | IndexAtom::Mod(e, _) => reads_data(e),
    })
}
