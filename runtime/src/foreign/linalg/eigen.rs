//! Eigenvalues. `linalg.eigh` gives those of Hermitian matrices, ascending, and orthonormal vectors, and
//! looks at the lower triangle; `linalg.eigh_upper` at the upper one; `linalg.eigvalsh` and
//! `linalg.eigvalsh_upper` give the values. `linalg.eig` gives complex eigenvalues of any matrices, and
//! vectors of length 1 whose largest element is real; `linalg.eigvals` the values.

use super::{
    N, SQUARE, Scalar, Wide, complexes, function, is_finite, load, nanoseconds, of_scalar,
    part_mut, reals, store,
};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{
    ComputeEigenvectors, EvdError, evd_cplx, evd_real, evd_scratch, self_adjoint_evd,
    self_adjoint_evd_scratch,
};
use faer::{Mat, Par};
use num_complex::Complex;

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.eigh": (SQUARE) -> (reals(&[N]), SQUARE), |call| of_scalar!(hermitian, call, false, true)),
    function!("linalg.eigh_upper": (SQUARE) -> (reals(&[N]), SQUARE), |call| of_scalar!(hermitian, call, true, true)),
    function!("linalg.eigvalsh": (SQUARE) -> (reals(&[N])), |call| of_scalar!(hermitian, call, false, false)),
    function!("linalg.eigvalsh_upper": (SQUARE) -> (reals(&[N])), |call| of_scalar!(hermitian, call, true, false)),
    function!("linalg.eig": (SQUARE) -> (complexes(&[N]), complexes(&[N, N])), |call| of_scalar!(general, call, true)),
    function!("linalg.eigvals": (SQUARE) -> (complexes(&[N])), |call| of_scalar!(general, call, false)),
];

fn compute(vectors: bool) -> ComputeEigenvectors {
    match vectors {
        true => ComputeEigenvectors::Yes,
        false => ComputeEigenvectors::No,
    }
}

/// The error about a matrix that has no eigenvalues.
fn without(place: usize, why: &str) -> String {
    format!("matrix {place} of the batch has no eigenvalues: {why}")
}

const NOT_FINITE: &str = "it holds infinities or NaN";
const DIVERGES: &str = "they do not converge";

fn hermitian<T: Scalar>(call: &mut Call<'_>, upper: bool, vectors: bool) -> Result<(), String> {
    let n = call.operand_core(0)[0];
    call.for_chunks(nanoseconds([5 * n, n, n]), |chunk| {
        let values = chunk.take_result::<T::Real>(0)?;
        let mut all_vectors = match vectors {
            true => Some(chunk.take_result::<T>(1)?),
            false => None,
        };
        for (entry, place) in chunk.entries().enumerate() {
            let mut a = load::<T>(chunk, 0, entry, (n, n))?;
            if upper {
                a = a.adjoint().to_owned();
            }
            let mut u = vectors.then(|| Mat::from_fn(n, n, |_, _| T::Wide::real_of(0.0)));
            let s = decompose(&a, u.as_mut(), place)?;
            for (to, value) in part_mut(values, entry, n).iter_mut().zip(s) {
                *to = T::real(value);
            }
            if let (Some(all), Some(u)) = (&mut all_vectors, &u) {
                store(part_mut(all, entry, n * n), n, u, T::narrow);
            }
        }
        Ok(())
    })
}

/// Eigenvalues of a Hermitian matrix, from its lower triangle.
fn decompose<W: Wide>(
    a: &Mat<W>,
    vectors: Option<&mut Mat<W>>,
    place: usize,
) -> Result<Vec<f64>, String> {
    let n = a.nrows();
    let finite = |z: Complex<f64>| z.re.is_finite() && z.im.is_finite();
    if !(0..n).all(|j| (j..n).all(|i| finite(a[(i, j)].parts()))) {
        return Err(without(place, NOT_FINITE));
    }
    if n == 0 {
        return Ok(Vec::new());
    }
    let mut s = Diag::<W>::zeros(n);
    let which = compute(vectors.is_some());
    let need = self_adjoint_evd_scratch::<W>(n, which, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(need);
    let done = self_adjoint_evd(
        a.as_ref(),
        s.as_mut(),
        vectors.map(|u| u.as_mut()),
        Par::Seq,
        MemStack::new(&mut memory),
        Default::default(),
    );
    done.map_err(|_| without(place, DIVERGES))?;
    Ok((0..n).map(|i| s[i].parts().re).collect())
}

/// Eigenvalues, and eigenvectors as columns if they were asked for.
type Eigen = (Vec<Complex<f64>>, Option<Mat<Complex<f64>>>);

/// Numbers that matrices without symmetry may consist of.
trait General: Wide {
    fn eigen(a: &Mat<Self>, vectors: bool) -> Result<Eigen, EvdError>;
}

impl General for f64 {
    fn eigen(a: &Mat<f64>, vectors: bool) -> Result<Eigen, EvdError> {
        let n = a.nrows();
        let (mut re, mut im) = (Diag::zeros(n), Diag::zeros(n));
        let mut u = vectors.then(|| Mat::<f64>::zeros(n, n));
        let which = compute(vectors);
        let none = ComputeEigenvectors::No;
        let need = evd_scratch::<f64>(n, none, which, Par::Seq, Default::default());
        evd_real(
            a.as_ref(),
            re.as_mut(),
            im.as_mut(),
            None,
            u.as_mut().map(|u| u.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(need)),
            Default::default(),
        )?;
        let values: Vec<_> = (0..n).map(|i| Complex::new(re[i], im[i])).collect();
        // A pair of conjugate values has the parts of one vector in two columns.
        let element = |u: &Mat<f64>, i: usize, j: usize| match im[j] {
            0.0 => Complex::new(u[(i, j)], 0.0),
            y if y > 0.0 => Complex::new(u[(i, j)], u[(i, j + 1)]),
            _ => Complex::new(u[(i, j - 1)], -u[(i, j)]),
        };
        let u = u.map(|u| Mat::from_fn(n, n, |i, j| element(&u, i, j)));
        Ok((values, u))
    }
}

impl General for Complex<f64> {
    fn eigen(a: &Mat<Complex<f64>>, vectors: bool) -> Result<Eigen, EvdError> {
        let n = a.nrows();
        let mut s = Diag::<Complex<f64>>::zeros(n);
        let mut u = vectors.then(|| Mat::<Complex<f64>>::zeros(n, n));
        let which = compute(vectors);
        let none = ComputeEigenvectors::No;
        let need = evd_scratch::<Complex<f64>>(n, none, which, Par::Seq, Default::default());
        evd_cplx(
            a.as_ref(),
            s.as_mut(),
            None,
            u.as_mut().map(|u| u.as_mut()),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(need)),
            Default::default(),
        )?;
        Ok(((0..n).map(|i| s[i]).collect(), u))
    }
}

fn general<T: Scalar<Wide: General>>(call: &mut Call<'_>, vectors: bool) -> Result<(), String> {
    let n = call.operand_core(0)[0];
    call.for_chunks(nanoseconds([20 * n, n, n]), |chunk| {
        let values = chunk.take_result::<T::Complex>(0)?;
        let mut all_vectors = match vectors {
            true => Some(chunk.take_result::<T::Complex>(1)?),
            false => None,
        };
        for (entry, place) in chunk.entries().enumerate() {
            let a = load::<T>(chunk, 0, entry, (n, n))?;
            if !is_finite(&a) {
                return Err(without(place, NOT_FINITE));
            }
            if n == 0 {
                continue;
            }
            let eigen = T::Wide::eigen(&a, vectors);
            let (s, u) = eigen.map_err(|_| without(place, DIVERGES))?;
            for (to, value) in part_mut(values, entry, n).iter_mut().zip(s) {
                *to = T::complex(value);
            }
            if let (Some(all), Some(mut u)) = (&mut all_vectors, u) {
                (0..n).for_each(|j| normalise(&mut u, j));
                store(part_mut(all, entry, n * n), n, &u, T::complex);
            }
        }
        Ok(())
    })
}

/// Gives a column length 1 and a largest element that is real.
fn normalise(u: &mut Mat<Complex<f64>>, column: usize) {
    let n = u.nrows();
    let largest = (0..n).map(|i| u[(i, column)]);
    let largest = largest.fold(Complex::new(0.0, 0.0), |a, b| {
        if b.magnitude() > a.magnitude() { b } else { a }
    });
    let top = largest.magnitude();
    if top == 0.0 || !top.is_finite() {
        return;
    }
    // By the largest first: squares do not overflow.
    let turn = largest.conjugate() / top;
    let scaled = |i: usize| u[(i, column)] / top;
    let length = (0..n).map(|i| scaled(i).norm_sqr()).sum::<f64>().sqrt();
    for i in 0..n {
        let value = u[(i, column)] / top * turn / length;
        let real = u[(i, column)] == largest;
        u[(i, column)] = if real {
            Complex::new(value.re, 0.0)
        } else {
            value
        };
    }
}
