//! Singular values: `linalg.svd` gives the left vectors, the values from the largest, and the right vectors
//! conjugated as rows, as many as there are values; `linalg.svd_full` gives square unitary matrices of
//! vectors; `linalg.svdvals` gives the values.

use super::{
    K, M, N, Scalar, Wide, function, is_finite, load, nanoseconds, of_scalar, part_mut, reals,
    scalars, store,
};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, Par};

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.svd": (scalars(&[M, N])) -> (scalars(&[M, K]), reals(&[K]), scalars(&[K, N])),
        |call| of_scalar!(vectors, call, ComputeSvdVectors::Thin)),
    function!("linalg.svd_full": (scalars(&[M, N])) -> (scalars(&[M, M]), reals(&[K]), scalars(&[N, N])),
        |call| of_scalar!(vectors, call, ComputeSvdVectors::Full)),
    function!("linalg.svdvals": (scalars(&[M, N])) -> (reals(&[K])), |call| of_scalar!(values, call)),
];

fn vectors<T: Scalar>(call: &mut Call<'_>, which: ComputeSvdVectors) -> Result<(), String> {
    let core = call.operand_core(0);
    let (m, n) = (core[0], core[1]);
    let (left, right) = (call.result_core(0)[1], call.result_core(2)[0]);
    call.for_chunks(nanoseconds([10 * m, n, m.min(n)]), |chunk| {
        let (us, vs) = (chunk.take_result::<T>(0)?, chunk.take_result::<T>(2)?);
        let values = chunk.take_result::<T::Real>(1)?;
        for (entry, place) in chunk.entries().enumerate() {
            let a = load::<T>(chunk, 0, entry, (m, n))?;
            let zero = |rows, columns| Mat::from_fn(rows, columns, |_, _| T::Wide::real_of(0.0));
            let (mut u, mut v) = (zero(m, left), zero(n, right));
            let s = decompose(&a, which, Some((&mut u, &mut v)), place)?;
            store(part_mut(us, entry, m * left), left, &u, T::narrow);
            for (at, to) in part_mut(vs, entry, right * n).iter_mut().enumerate() {
                *to = T::narrow(v[(at % n, at / n)].conjugate());
            }
            for (to, value) in part_mut(values, entry, s.len()).iter_mut().zip(s) {
                *to = T::real(value);
            }
        }
        Ok(())
    })
}

fn values<T: Scalar>(call: &mut Call<'_>) -> Result<(), String> {
    let core = call.operand_core(0);
    let (m, n) = (core[0], core[1]);
    call.for_chunks(nanoseconds([4 * m, n, m.min(n)]), |chunk| {
        let values = chunk.take_result::<T::Real>(0)?;
        for (entry, place) in chunk.entries().enumerate() {
            let a = load::<T>(chunk, 0, entry, (m, n))?;
            let s = decompose(&a, ComputeSvdVectors::No, None, place)?;
            for (to, value) in part_mut(values, entry, s.len()).iter_mut().zip(s) {
                *to = T::real(value);
            }
        }
        Ok(())
    })
}

/// The singular values from the largest; vectors go to the given matrices.
fn decompose<W: Wide>(
    a: &Mat<W>,
    which: ComputeSvdVectors,
    vectors: Option<(&mut Mat<W>, &mut Mat<W>)>,
    place: usize,
) -> Result<Vec<f64>, String> {
    if !is_finite(a) {
        return Err(format!(
            "matrix {place} of the batch has no singular values: it holds infinities or NaN"
        ));
    }
    let (m, n) = (a.nrows(), a.ncols());
    let mut s = Diag::<W>::zeros(m.min(n));
    let need = svd_scratch::<W>(m, n, which, which, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    let (u, v) = vectors.unzip();
    let done = svd(
        a.as_ref(),
        s.as_mut(),
        u.map(|u| u.as_mut()),
        v.map(|v| v.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    );
    match done {
        Ok(()) => Ok((0..m.min(n)).map(|i| s[i].parts().re).collect()),
        Err(_) => Err(format!(
            "the singular values of matrix {place} of the batch do not converge"
        )),
    }
}
