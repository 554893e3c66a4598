//! Last touches on a kernel: adjacent loops that all indices walk through as one become one, and the
//! vector lanes are chosen.

use super::machine::SizeHints;
use lazulite_ir::{
    Dim, DimOverflow, IndexAtom, IndexExpr, InstOp, Kernel, Lanes, Ranges, Stage, Var,
};

/// Merges outer loops, then the loops of each stage.
pub(super) fn collapse(kernel: &mut Kernel) -> Result<(), DimOverflow> {
    let mut o = kernel.outer.len();
    while o >= 2 {
        o -= 1;
        let (high, low) = (o as u32 - 1, o as u32);
        let extent = kernel.outer[o].clone();
        let is_one = |e| walks(e, [Var::Outer(high), Var::Outer(low)], &extent);
        if kernel.stages.iter().flat_map(stage_indices).all(is_one) {
            merge_outer(kernel, o)?;
        }
    }
    let outer = kernel.outer.clone();
    for stage in &mut kernel.stages {
        let mut i = stage.ranges.len();
        while i >= 2 {
            i -= 1;
            let (high, low) = (i as u32 - 1, i as u32);
            let extent = stage.ranges[i].clone();
            let is_one = |e| walks(e, [Var::Inner(high), Var::Inner(low)], &extent);
            if stage_indices(stage).all(is_one) {
                merge_inner(stage, i, &outer)?;
            }
        }
    }
    Ok(())
}

fn stage_indices(stage: &Stage) -> impl Iterator<Item = &IndexExpr> {
    stage.insts.iter().filter_map(|i| i.op.index())
}

/// True when the two variables occur only as `high * extent + low`.
fn walks(index: &IndexExpr, [high, low]: [Var; 2], extent: &Dim) -> bool {
    let mut strides = [Dim::ZERO, Dim::ZERO];
    for t in &index.terms {
        match &t.atom {
            IndexAtom::Var(v) if *v == high => strides[0] = t.coefficient.clone(),
            IndexAtom::Var(v) if *v == low => strides[1] = t.coefficient.clone(),
            IndexAtom::Var(_) | IndexAtom::Value(_) => {}
            IndexAtom::FloorDiv(x, _) | IndexAtom::Mod(x, _) => {
                if !walks(x, [high, low], extent) {
                    return false;
                }
            }
        }
    }
    strides[1].mul(extent).is_ok_and(|s| s == strides[0])
}

/// Merges outer loops `low - 1` and `low`.
fn merge_outer(kernel: &mut Kernel, low: usize) -> Result<(), DimOverflow> {
    let gone = kernel.outer.remove(low);
    kernel.outer[low - 1] = kernel.outer[low - 1].mul(&gone)?;
    let replace = |v: Var| match v {
        Var::Outer(o) => {
            merged(o, low).map(|o| o.map_or(zero(), |o| IndexExpr::var(Var::Outer(o))))
        }
        Var::Inner(_) => None,
    };
    for stage in &mut kernel.stages {
        let ranges = Ranges {
            outer: &kernel.outer,
            inner: &stage.ranges,
        };
        for inst in &mut stage.insts {
            if let Some(index) = inst.op.index_mut() {
                *index = index.substitute(&replace, ranges)?;
            }
        }
    }
    Ok(())
}

/// Merges the stage's loops `low - 1` and `low`.
fn merge_inner(stage: &mut Stage, low: usize, outer: &[Dim]) -> Result<(), DimOverflow> {
    let gone = stage.ranges.remove(low);
    stage.ranges[low - 1] = stage.ranges[low - 1].mul(&gone)?;
    let replace = |v: Var| match v {
        Var::Inner(i) => {
            merged(i, low).map(|i| i.map_or(zero(), |i| IndexExpr::var(Var::Inner(i))))
        }
        Var::Outer(_) => None,
    };
    let ranges = Ranges {
        outer,
        inner: &stage.ranges,
    };
    for inst in &mut stage.insts {
        if let Some(index) = inst.op.index_mut() {
            *index = index.substitute(&replace, ranges)?;
        }
    }
    Ok(())
}

fn zero() -> IndexExpr {
    IndexExpr::constant(Dim::ZERO)
}

/// What becomes of loop `n` when loops `low - 1` and `low` are one: `None` if nothing, else its new
/// number, or nothing for the high one, whose part the low one takes over.
fn merged(n: u32, low: usize) -> Option<Option<u32>> {
    let low = low as u32;
    if n + 1 < low {
        None
    } else if n + 1 == low {
        Some(None)
    } else {
        Some(Some(n - 1))
    }
}

/// Elements per vector, for the comparison of alternatives.
const LANES: i64 = 8;

/// Cost of an access whose lanes are not neighbours, against one whose lanes are.
const SCATTERED: i64 = 4;

/// Chooses the loop along vector lanes: the one that most accesses walk along.
pub(super) fn choose_lanes(kernel: &mut Kernel, sizes: &SizeHints) {
    let outer = kernel.outer.len().checked_sub(1);
    let has_inner = kernel.stages.iter().any(|s| !s.ranges.is_empty());
    let ordered = kernel.stages.iter().any(|s| s.ordered);
    kernel.lanes = match outer {
        None if !has_inner || ordered => Lanes::None,
        None => Lanes::Inner,
        Some(_) if !has_inner || ordered => Lanes::Outer,
        Some(outer) => {
            let last = Var::Outer(outer as u32);
            let along_outer: i64 = kernel
                .stages
                .iter()
                .map(|s| stage_cost(s, Some(last), sizes))
                .fold(0, i64::saturating_add);
            let along_outer =
                along_outer.saturating_mul(padding(sizes.estimate(&kernel.outer[outer])));
            let along_inner: i64 = kernel
                .stages
                .iter()
                .map(|s| inner_cost(s, sizes))
                .fold(0, i64::saturating_add);
            if along_outer <= along_inner {
                Lanes::Outer
            } else {
                Lanes::Inner
            }
        }
    };
}

/// How much of the last vector of a loop is wasted, as a factor times [`LANES`].
fn padding(extent: i64) -> i64 {
    let extent = extent.max(1);
    let vectors = extent.saturating_add(LANES - 1) / LANES;
    vectors.saturating_mul(LANES * LANES) / extent
}

fn inner_cost(stage: &Stage, sizes: &SizeHints) -> i64 {
    let last = stage.ranges.len().checked_sub(1);
    let lane = last.map(|i| Var::Inner(i as u32));
    let cost = stage_cost(stage, lane, sizes);
    match last {
        Some(i) => {
            let reduces = |i: &lazulite_ir::Inst| matches!(i.op, InstOp::Accumulate(..));
            let horizontal = stage.insts.iter().filter(|i| reduces(i)).count() as i64;
            let extent = sizes.estimate(&stage.ranges[i]);
            cost.saturating_mul(padding(extent))
                .saturating_add(horizontal * LANES * LANES * 4)
        }
        // Scalar code.
        None => cost.saturating_mul(LANES * LANES),
    }
}

/// Cost of a stage for one outer point, in accesses per lane, with lanes along `lane`.
fn stage_cost(stage: &Stage, lane: Option<Var>, sizes: &SizeHints) -> i64 {
    let points = sizes.count(&stage.ranges);
    let access = |op: &InstOp| {
        let (InstOp::Load { index, .. } | InstOp::Store { index, .. }) = op else {
            return 1;
        };
        match lane.map(|v| index.stride_of(v)) {
            Some(Some(stride)) if stride.is(0) || stride.is(1) || stride.is(-1) => 1,
            Some(_) => SCATTERED,
            None => 1,
        }
    };
    let insts = stage.insts.iter().map(|i| access(&i.op)).sum::<i64>();
    points.saturating_mul(insts)
}
