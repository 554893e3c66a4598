//! Cholesky decomposition: `linalg.cholesky` gives the lower factor of a Hermitian matrix, of which it
//! looks at the lower triangle, and fails if the matrix is not positive definite;
//! `linalg.cholesky_ex` gives as `info` the order of the first leading minor that is not positive, or 0.

use super::{INFO, SQUARE, Scalar, Wide, function, load, nanoseconds, of_scalar, part_mut, store};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::{Mat, Par};

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.cholesky": (SQUARE) -> (SQUARE, INFO), |call| of_scalar!(kernel, call, true)),
    function!("linalg.cholesky_ex": (SQUARE) -> (SQUARE, INFO), |call| of_scalar!(kernel, call, false)),
];

fn kernel<T: Scalar>(call: &mut Call<'_>, fails: bool) -> Result<(), String> {
    let n = call.operand_core(0)[0];
    call.for_chunks(nanoseconds([n, n, n]), |chunk| {
        let (factors, infos) = (chunk.take_result::<T>(0)?, chunk.take_result::<i32>(1)?);
        for (entry, place) in chunk.entries().enumerate() {
            let mut l = load::<T>(chunk, 0, entry, (n, n))?;
            let minor = factor(&mut l);
            if fails && minor > 0 {
                return Err(format!(
                    "matrix {place} of the batch is not positive definite: \
                     its leading minor of order {minor} is not positive"
                ));
            }
            infos[entry] = minor as i32;
            store(part_mut(factors, entry, n * n), n, &l, T::narrow);
        }
        Ok(())
    })
}

/// Replaces the matrix by its factor. The order of the first minor that is not positive, or 0.
fn factor<W: Wide>(matrix: &mut Mat<W>) -> usize {
    let n = matrix.nrows();
    let need = cholesky_in_place_scratch::<W>(n, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    let done = cholesky_in_place(
        matrix.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    );
    for j in 0..n {
        for i in 0..j {
            matrix[(i, j)] = W::real_of(0.0);
        }
    }
    match done {
        Err(LltError::NonPositivePivot { index }) => index + 1,
        Ok(_) => {
            // NaN is not positive either.
            let fine = |i: usize| matrix[(i, i)].parts().re > 0.0;
            (0..n).find(|i| !fine(*i)).map_or(0, |i| i + 1)
        }
    }
}
