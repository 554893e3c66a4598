//! LU decomposition with partial pivoting. `linalg.lu_factor_ex` gives both factors in one matrix (the
//! ones on the diagonal of the lower are left out), for each row the one it was exchanged with in its
//! turn, counted from 1, and as `info` the number of the first zero on the diagonal of the upper factor, or
//! 0. `linalg.lu_factor` fails if there is such a zero. `linalg.permutation.i32` turns exchanges into the
//! rows that the decomposition has in each place.

use super::{
    Extent, INFO, K, M, N, Scalar, Wide, function, integers, is_finite, load, nanoseconds,
    of_scalar, part, part_mut, scalars, store,
};
use crate::Element;
use crate::foreign::call::Call;
use crate::foreign::{ElementKind, Function, Pattern, Signature};
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::lu::partial_pivoting::factor::{lu_in_place, lu_in_place_scratch};
use faer::{Mat, Par};

const FACTORS: Pattern = scalars(&[M, N]);
const EXCHANGES: Pattern = integers(&[K]);

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.lu_factor": (FACTORS) -> (FACTORS, EXCHANGES, INFO), |call| of_scalar!(kernel, call, true)),
    function!("linalg.lu_factor_ex": (FACTORS) -> (FACTORS, EXCHANGES, INFO), |call| of_scalar!(kernel, call, false)),
    Function {
        name: "linalg.permutation",
        scalars: &[Element::I32],
        signature: Signature {
            operands: &[integers(&[Extent::Var('k')])],
            results: &[Pattern {
                kind: ElementKind::Fixed(Element::I64),
                core: &[M],
            }],
        },
        kernel: permutation,
    },
];

fn kernel<T: Scalar>(call: &mut Call<'_>, fails: bool) -> Result<(), String> {
    let core = call.operand_core(0);
    let (m, n) = (core[0], core[1]);
    let k = m.min(n);
    call.for_chunks(nanoseconds([m, n, k]), |chunk| {
        let factors = chunk.take_result::<T>(0)?;
        let (exchanges, infos) = (chunk.take_result::<i32>(1)?, chunk.take_result::<i32>(2)?);
        for (entry, place) in chunk.entries().enumerate() {
            let a = load::<T>(chunk, 0, entry, (m, n))?;
            let (lu, swaps) = factor(a);
            let zero = (0..k).find(|i| lu[(*i, *i)].is_zero()).map_or(0, |i| i + 1);
            if fails && zero > 0 {
                return Err(format!(
                    "matrix {place} of the batch is singular: \
                     element {zero} of its upper factor's diagonal is zero"
                ));
            }
            infos[entry] = zero as i32;
            for (to, swap) in part_mut(exchanges, entry, k).iter_mut().zip(swaps) {
                *to = swap as i32 + 1;
            }
            store(part_mut(factors, entry, m * n), n, &lu, T::narrow);
        }
        Ok(())
    })
}

/// Both factors, and the exchanges of rows.
pub(super) fn factor<W: Wide>(a: Mat<W>) -> (Mat<W>, Vec<usize>) {
    let (m, n) = (a.nrows(), a.ncols());
    let k = m.min(n);
    let mut lu = a.clone();
    let (mut rows, mut inverse) = (vec![0usize; m], vec![0usize; m]);
    let need = lu_in_place_scratch::<usize, W>(m, n, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    lu_in_place(
        lu.as_mut(),
        &mut rows,
        &mut inverse,
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    );
    // faer divides by pivots that are zero.
    let whole = (0..k).all(|i| !lu[(i, i)].is_zero()) && (is_finite(&lu) || !is_finite(&a));
    if !whole {
        return factor_singular(a);
    }
    let mut places: Vec<usize> = (0..m).collect();
    let mut swaps = Vec::with_capacity(k);
    for (i, row) in rows.iter().enumerate().take(k) {
        // Rows above stay where they are.
        let from = (i..m).find(|j| places[*j] == *row).unwrap_or(i);
        places.swap(i, from);
        swaps.push(from);
    }
    (lu, swaps)
}

/// As [`factor`], leaving columns alone where nothing is left to eliminate.
fn factor_singular<W: Wide>(mut a: Mat<W>) -> (Mat<W>, Vec<usize>) {
    let (m, n) = (a.nrows(), a.ncols());
    let mut swaps = Vec::with_capacity(m.min(n));
    for k in 0..m.min(n) {
        let mut largest = k;
        for i in k + 1..m {
            if a[(i, k)].magnitude() > a[(largest, k)].magnitude() {
                largest = i;
            }
        }
        swaps.push(largest);
        for j in 0..n {
            let (upper, lower) = (a[(k, j)], a[(largest, j)]);
            (a[(k, j)], a[(largest, j)]) = (lower, upper);
        }
        let pivot = a[(k, k)];
        if pivot.is_zero() {
            continue;
        }
        for i in k + 1..m {
            a[(i, k)] /= pivot;
        }
        for j in k + 1..n {
            let above = a[(k, j)];
            for i in k + 1..m {
                a[(i, j)] = a[(i, j)] - a[(i, k)] * above;
            }
        }
    }
    (a, swaps)
}

fn permutation(call: &mut Call<'_>) -> Result<(), String> {
    let (k, m) = (call.operand_core(0)[0], call.result_core(0)[0]);
    call.for_chunks(nanoseconds([m, 1, 1]), |chunk| {
        let (exchanges, rows) = (chunk.operand::<i32>(0)?, chunk.take_result::<i64>(0)?);
        for (entry, place) in chunk.entries().enumerate() {
            let rows = part_mut(rows, entry, m);
            rows.iter_mut().zip(0..).for_each(|(row, i)| *row = i);
            for (i, exchange) in part(exchanges, entry, k).iter().enumerate() {
                match usize::try_from(*exchange) {
                    Ok(with @ 1..) if with <= m && i < m => rows.swap(i, with - 1),
                    _ => {
                        return Err(format!(
                            "exchange {i} of matrix {place} of the batch is with row {exchange}, \
                             counted from 1, of {m}"
                        ));
                    }
                }
            }
        }
        Ok(())
    })
}
