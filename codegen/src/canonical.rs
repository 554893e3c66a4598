//! Kernels apart from the names of their sizes: two kernels that differ only in these have the same
//! code, which reads sizes by number.

use lazulite_ir::{Dim, DimOverflow, IndexAtom, IndexExpr, IndexTerm, InstOp, Kernel, Symbol};
use std::borrow::Cow;

/// A kernel whose symbols are named by their position in `symbols`.
pub(crate) struct Canonical<'k> {
    pub kernel: Cow<'k, Kernel>,
    /// The kernel's own symbols.
    pub symbols: Vec<Symbol>,
}

/// Canonical name of symbol number `n`.
fn name(n: usize) -> String {
    format!("s{n}")
}

/// Renames the symbols of a kernel in the order in which they occur.
pub(crate) fn canonical(kernel: &Kernel) -> Result<Canonical<'_>, DimOverflow> {
    let mut symbols: Vec<Symbol> = Vec::new();
    kernel.visit_dims(&mut |dim| {
        dim.visit_symbols(&mut |s| {
            if !symbols.contains(s) {
                symbols.push(s.clone());
            }
        });
    });
    let named = |(n, s): (usize, &Symbol)| *s.0 == *name(n);
    if symbols.iter().enumerate().all(named) {
        return Ok(Canonical {
            kernel: Cow::Borrowed(kernel),
            symbols,
        });
    }
    let rename = |dim: &Dim| {
        dim.substitute(&|s| {
            let number = symbols.iter().position(|x| x == s)?;
            Some(Dim::symbol(&name(number)))
        })
    };
    let renamed = map_dims(kernel, &rename)?;
    Ok(Canonical {
        kernel: Cow::Owned(renamed),
        symbols,
    })
}

/// A size in canonical names, in the names that `symbols` lists.
pub(crate) fn original(dim: &Dim, symbols: &[Symbol]) -> Result<Dim, DimOverflow> {
    dim.substitute(&|s| {
        let number: usize = s.0.strip_prefix('s')?.parse().ok()?;
        Some(Dim::symbol(&symbols.get(number)?.0))
    })
}

type Rename<'a> = &'a dyn Fn(&Dim) -> Result<Dim, DimOverflow>;

/// The kernel with every size replaced.
fn map_dims(kernel: &Kernel, rename: Rename<'_>) -> Result<Kernel, DimOverflow> {
    let mut kernel = kernel.clone();
    for dim in &mut kernel.outer {
        *dim = rename(dim)?;
    }
    for local in &mut kernel.locals {
        local.len = rename(&local.len)?;
    }
    for stage in &mut kernel.stages {
        for dim in &mut stage.ranges {
            *dim = rename(dim)?;
        }
        for inst in &mut stage.insts {
            if let Some(index) = inst.op.index_mut() {
                *index = map_index(index, rename)?;
            }
            match &mut inst.op {
                InstOp::InRange { lo, hi, .. } => {
                    *lo = rename(lo)?;
                    *hi = rename(hi)?;
                }
                InstOp::CheckIndex { bound, .. } => *bound = rename(bound)?,
                _ => {}
            }
        }
    }
    Ok(kernel)
}

/// Other names may put the terms in another order, so they are summed up anew.
fn map_index(e: &IndexExpr, rename: Rename<'_>) -> Result<IndexExpr, DimOverflow> {
    let mut sum = IndexExpr::constant(rename(&e.constant)?);
    for t in &e.terms {
        let atom = match &t.atom {
            IndexAtom::Var(v) => IndexAtom::Var(*v),
            IndexAtom::Value(v) => IndexAtom::Value(*v),
            IndexAtom::FloorDiv(x, d) => {
                IndexAtom::FloorDiv(Box::new(map_index(x, rename)?), rename(d)?)
            }
            IndexAtom::Mod(x, d) => IndexAtom::Mod(Box::new(map_index(x, rename)?), rename(d)?),
        };
        let coefficient = rename(&t.coefficient)?;
        let term = IndexExpr {
            terms: [IndexTerm { atom, coefficient }].into_iter().collect(),
            constant: Dim::ZERO,
        };
        sum = sum.add(&term)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lazulite_ir::parse_kernel;

    fn kernel(rows: &str, columns: &str) -> Kernel {
        parse_kernel(&format!(
            "kernel(b0: f32 read, b1: f32 write) {{ outer o0 < {rows}*{columns} lanes inner
               local l0: f32[{columns}]
               stage i0 < {columns} {{
                 v0 = in_range 1 <= i0 < {columns} - 1 : bool
                 v1 = load b0[floordiv(o0, {columns}) + i0*{rows}] if v0 : f32
                 store b1[o0*{columns} + i0] = v1
               }} }}"
        ))
        .unwrap()
    }

    #[test]
    fn names_of_sizes_do_not_matter() {
        let (a, b) = (kernel("m", "n"), kernel("z", "a"));
        let (a, b) = (canonical(&a).unwrap(), canonical(&b).unwrap());
        // Which comes first may depend on the names, but whatever comes first is s0.
        let swapped = kernel("n", "m");
        let swapped = canonical(&swapped).unwrap();
        assert!(a.kernel == b.kernel || swapped.kernel == b.kernel);
        let back = original(&a.kernel.outer[0], &a.symbols).unwrap();
        assert_eq!(back, kernel("m", "n").outer[0]);
        let again = canonical(&a.kernel).unwrap();
        assert!(matches!(again.kernel, Cow::Borrowed(_)));
    }

    #[test]
    fn kernels_of_known_sizes_stay_as_they_are() {
        let kernel = kernel("3", "4");
        let found = canonical(&kernel).unwrap();
        assert!(matches!(found.kernel, Cow::Borrowed(_)));
        assert!(found.symbols.is_empty());
    }
}
