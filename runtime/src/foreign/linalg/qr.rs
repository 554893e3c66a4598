//! QR decomposition. `linalg.qr` gives the columns of the unitary factor that count and the upper factor,
//! whose diagonal is real; `linalg.qr_complete` gives a square unitary factor; `linalg.geqrf` gives the
//! upper factor with the reflectors `I - tau v v^H` that made it below its diagonal, and their factors
//! `tau`.

use super::{
    K, M, N, Scalar, Wide, function, load, nanoseconds, of_scalar, part_mut, scalars, store,
};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj,
};
use faer::linalg::qr::no_pivoting::factor::{
    qr_in_place, qr_in_place_scratch, recommended_block_size,
};
use faer::{Conj, Mat, Par};

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.qr": (scalars(&[M, N])) -> (scalars(&[M, K]), scalars(&[K, N])), |call| of_scalar!(factors, call)),
    function!("linalg.qr_complete": (scalars(&[M, N])) -> (scalars(&[M, M]), scalars(&[M, N])), |call| of_scalar!(factors, call)),
    function!("linalg.geqrf": (scalars(&[M, N])) -> (scalars(&[M, N]), scalars(&[K])), |call| of_scalar!(reflectors, call)),
];

/// The upper factor with reflectors below, and the factors of blocks of reflectors.
struct Compact<W: Wide> {
    matrix: Mat<W>,
    blocks: Mat<W>,
}

impl<W: Wide> Compact<W> {
    fn new(mut matrix: Mat<W>) -> Compact<W> {
        let (m, n) = (matrix.nrows(), matrix.ncols());
        let size = recommended_block_size::<W>(m, n);
        let mut blocks = Mat::from_fn(size, m.min(n), |_, _| W::real_of(0.0));
        if m.min(n) > 0 {
            let need = qr_in_place_scratch::<W>(m, n, size, Par::Seq, Default::default());
            let mut memory = MemBuffer::new(need);
            qr_in_place(
                matrix.as_mut(),
                blocks.as_mut(),
                Par::Seq,
                MemStack::new(&mut memory),
                Default::default(),
            );
        }
        Compact { matrix, blocks }
    }

    /// The first columns of the unitary factor.
    fn unitary(&self, columns: usize) -> Mat<W> {
        let (m, k) = (self.matrix.nrows(), self.blocks.ncols());
        let mut q = Mat::from_fn(m, columns, |i, j| W::real_of(f64::from(u8::from(i == j))));
        if k > 0 {
            let size = self.blocks.nrows();
            let need = apply_block_householder_sequence_on_the_left_in_place_scratch::<W>(
                m, size, columns,
            );
            let mut memory = MemBuffer::new(need);
            apply_block_householder_sequence_on_the_left_in_place_with_conj(
                self.matrix.as_ref().subcols(0, k),
                self.blocks.as_ref(),
                Conj::No,
                q.as_mut(),
                Par::Seq,
                MemStack::new(&mut memory),
            );
        }
        q
    }
}

fn factors<T: Scalar>(call: &mut Call<'_>) -> Result<(), String> {
    let core = call.operand_core(0);
    let (m, n) = (core[0], core[1]);
    let columns = call.result_core(0)[1];
    call.for_chunks(nanoseconds([2 * m, n, m.min(n)]), |chunk| {
        let (unitary, upper) = (chunk.take_result::<T>(0)?, chunk.take_result::<T>(1)?);
        for entry in 0..chunk.entries().len() {
            let compact = Compact::new(load::<T>(chunk, 0, entry, (m, n))?);
            let mut q = compact.unitary(columns);
            let mut r = Mat::from_fn(columns, n, |i, j| match i <= j {
                true => compact.matrix[(i, j)],
                false => T::Wide::real_of(0.0),
            });
            for i in 0..m.min(n) {
                turn(&mut q, &mut r, i);
            }
            spread_nan(&q, &mut r);
            store(
                part_mut(unitary, entry, m * columns),
                columns,
                &q,
                T::narrow,
            );
            store(part_mut(upper, entry, columns * n), n, &r, T::narrow);
        }
        Ok(())
    })
}

/// Where the unitary factor is none, because numbers are missing or infinite, the upper one is not known either:
/// columns behind such a one count as if there was nothing to reflect.
fn spread_nan<W: Wide>(q: &Mat<W>, r: &mut Mat<W>) {
    let unknown = |z: W| !z.magnitude().is_finite();
    let columns = q.ncols().min(r.ncols());
    let Some(first) = (0..columns).find(|&j| (0..q.nrows()).any(|i| unknown(q[(i, j)]))) else {
        return;
    };
    for j in first..r.ncols() {
        for i in first..=j.min(r.nrows().saturating_sub(1)) {
            r[(i, j)] = W::real_of(f64::NAN);
        }
    }
}

/// Makes a number on the upper factor's diagonal real.
fn turn<W: Wide>(q: &mut Mat<W>, r: &mut Mat<W>, at: usize) {
    let value = r[(at, at)];
    let (size, z) = (value.magnitude(), value.parts());
    if z.im == 0.0 || !size.is_normal() {
        return;
    }
    let phase = W::of(z.re / size, z.im / size);
    r[(at, at)] = W::real_of(size);
    for j in at + 1..r.ncols() {
        r[(at, j)] *= phase.conjugate();
    }
    for i in 0..q.nrows() {
        q[(i, at)] *= phase;
    }
}

fn reflectors<T: Scalar>(call: &mut Call<'_>) -> Result<(), String> {
    let core = call.operand_core(0);
    let (m, n) = (core[0], core[1]);
    let k = m.min(n);
    call.for_chunks(nanoseconds([m, n, k]), |chunk| {
        let (compacts, taus) = (chunk.take_result::<T>(0)?, chunk.take_result::<T>(1)?);
        for entry in 0..chunk.entries().len() {
            let compact = Compact::new(load::<T>(chunk, 0, entry, (m, n))?);
            let size = compact.blocks.nrows();
            for (i, tau) in part_mut(taus, entry, k).iter_mut().enumerate() {
                // The diagonals of blocks hold inverses, infinite where nothing is reflected.
                let inverse = compact.blocks[(i % size, i)].parts().re;
                *tau = T::narrow(T::Wide::real_of(inverse.recip()));
            }
            store(
                part_mut(compacts, entry, m * n),
                n,
                &compact.matrix,
                T::narrow,
            );
        }
        Ok(())
    })
}
