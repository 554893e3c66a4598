//! Kernels with more outer ranges than machines take.

use lazulite_ir::{Dim, DimOverflow, IndexExpr, Kernel, OUTER_RANGES, Ranges, Var, delinearize};

/// The kernel with its first ranges as one, from whose counter theirs are computed, if it has too many.
pub(super) fn with_few_ranges(mut kernel: Kernel) -> Result<Kernel, DimOverflow> {
    if kernel.outer.len() <= OUTER_RANGES {
        return Ok(kernel);
    }
    let (first, others) = kernel.outer.split_at(kernel.outer.len() + 1 - OUTER_RANGES);
    let joined = Dim::product(first)?;
    let outer: Vec<Dim> = [&joined].into_iter().chain(others).cloned().collect();
    let counter = IndexExpr::var(Var::Outer(0));
    let ranges = Ranges {
        outer: &outer,
        inner: &[],
    };
    let counters = delinearize(&counter, first, ranges)?;
    let moved = |var: Var| match var {
        Var::Outer(i) => {
            let behind = |i: usize| Var::Outer((i + 1 - first.len()) as u32);
            let counter = counters.get(i as usize).cloned();
            Some(counter.unwrap_or_else(|| IndexExpr::var(behind(i as usize))))
        }
        Var::Inner(_) => None,
    };
    for stage in &mut kernel.stages {
        let ranges = Ranges {
            outer: &outer,
            inner: &stage.ranges,
        };
        for index in stage.insts.iter_mut().filter_map(|i| i.op.index_mut()) {
            *index = index.substitute(&moved, ranges)?;
        }
    }
    kernel.outer = outer;
    Ok(kernel)
}
