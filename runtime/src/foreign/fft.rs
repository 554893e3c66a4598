//! Discrete Fourier transforms along the last axis, not normalised: `fft.forward` with
//! `exp(-2 pi i j k / n)`, `fft.backward` with the conjugate; `fft.r2c`, the half of a real sequence's
//! forward transform that determines it, and `fft.c2r`, the backward transform of such a half (imaginary
//! parts that a half cannot have count as 0).

use super::Function;
use super::call::{Call, Number};
use super::signature::{ElementKind, Extent, Pattern, Signature};
use crate::Element;
use num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftDirection, FftNum, FftPlanner};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

const SEQUENCE: Extent = Extent::Var('n');
const COMPLEX: Pattern = Pattern {
    kind: ElementKind::Scalar,
    core: &[SEQUENCE],
};
const REAL: Pattern = COMPLEX;
const HALF: Pattern = Pattern {
    kind: ElementKind::Complex,
    core: &[Extent::Half('n')],
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "fft.forward",
        scalars: &[Element::C64, Element::C128],
        signature: Signature {
            operands: &[COMPLEX],
            results: &[COMPLEX],
        },
        kernel: |call| complex(call, FftDirection::Forward),
    },
    Function {
        name: "fft.backward",
        scalars: &[Element::C64, Element::C128],
        signature: Signature {
            operands: &[COMPLEX],
            results: &[COMPLEX],
        },
        kernel: |call| complex(call, FftDirection::Inverse),
    },
    Function {
        name: "fft.r2c",
        scalars: &[Element::F32, Element::F64],
        signature: Signature {
            operands: &[REAL],
            results: &[HALF],
        },
        kernel: |call| match call.scalar() {
            Element::F64 => real_to_complex::<f64>(call),
            _ => real_to_complex::<f32>(call),
        },
    },
    Function {
        name: "fft.c2r",
        scalars: &[Element::F32, Element::F64],
        signature: Signature {
            operands: &[HALF],
            results: &[REAL],
        },
        kernel: |call| match call.scalar() {
            Element::F64 => complex_to_real::<f64>(call),
            _ => complex_to_real::<f32>(call),
        },
    },
];

/// Length that plans are kept for, in all: they hold a few numbers per element.
const KEPT_LENGTH: usize = 1 << 22;
/// What a plan counts as beyond its length.
const PLAN_OVERHEAD: usize = 64;

/// Plans made so far, for reuse.
struct Plans<T: FftNum> {
    complex: FftPlanner<T>,
    real: RealFftPlanner<T>,
    /// Lengths asked for since the planners were new.
    lengths: rustc_hash::FxHashSet<usize>,
    total: usize,
}

impl<T: FftNum> Plans<T> {
    fn new() -> Plans<T> {
        Plans {
            complex: FftPlanner::new(),
            real: RealFftPlanner::new(),
            lengths: rustc_hash::FxHashSet::default(),
            total: 0,
        }
    }

    /// Counts a length; forgets all plans when they have become too many.
    fn note(&mut self, length: usize) {
        if !self.lengths.insert(length) {
            return;
        }
        let size = length.saturating_add(PLAN_OVERHEAD);
        if self.total.saturating_add(size) > KEPT_LENGTH {
            *self = Plans::new();
            self.lengths.insert(length);
        }
        self.total = self.total.saturating_add(size);
    }
}

/// Parts of complex numbers.
trait Real: Number + FftNum + Default
where
    Complex<Self>: Number,
{
    fn plans() -> &'static Mutex<Plans<Self>>;
}

macro_rules! real {
    ($($type:ty),*) => {$(
        impl Real for $type {
            fn plans() -> &'static Mutex<Plans<$type>> {
                static PLANS: LazyLock<Mutex<Plans<$type>>> =
                    LazyLock::new(|| Mutex::new(Plans::new()));
                &PLANS
            }
        }
    )*};
}

real!(f32, f64);

/// A plan for sequences of `length` elements.
fn plan<T: Real, P: ?Sized>(length: usize, make: impl FnOnce(&mut Plans<T>) -> Arc<P>) -> Arc<P>
where
    Complex<T>: Number,
{
    // Planners are only ever extended by whole plans.
    let mut plans = T::plans().lock().unwrap_or_else(PoisonError::into_inner);
    plans.note(length);
    make(&mut plans)
}

/// About how long a sequence takes.
fn nanoseconds(length: usize) -> f64 {
    let length = length as f64;
    10.0 + 0.5 * length * (length + 1.0).log2()
}

fn complex(call: &mut Call<'_>, direction: FftDirection) -> Result<(), String> {
    match call.scalar() {
        Element::C128 => complex_of::<f64>(call, direction),
        _ => complex_of::<f32>(call, direction),
    }
}

fn complex_of<T: Real>(call: &mut Call<'_>, direction: FftDirection) -> Result<(), String>
where
    Complex<T>: Number,
{
    let length = call.operand_core(0)[0];
    if length == 0 {
        return Ok(());
    }
    let plan: Arc<dyn Fft<T>> = plan(length, |p: &mut Plans<T>| {
        p.complex.plan_fft(length, direction)
    });
    call.for_chunks(nanoseconds(length), |chunk| {
        let from = chunk.operand::<Complex<T>>(0)?;
        let to = chunk.take_result::<Complex<T>>(0)?;
        let mut scratch = vec![Complex::default(); plan.get_immutable_scratch_len()];
        plan.process_immutable_with_scratch(from, to, &mut scratch);
        Ok(())
    })
}

fn real_to_complex<T: Real>(call: &mut Call<'_>) -> Result<(), String>
where
    Complex<T>: Number,
{
    let length = call.operand_core(0)[0];
    if length == 0 {
        return Err("there is no transform of nothing".into());
    }
    let plan: Arc<dyn RealToComplex<T>> =
        plan(length, |p: &mut Plans<T>| p.real.plan_fft_forward(length));
    call.for_chunks(nanoseconds(length) / 2.0, |chunk| {
        let from = chunk.operand::<T>(0)?.chunks_exact(length);
        let to = chunk.take_result::<Complex<T>>(0)?;
        let mut row = plan.make_input_vec();
        let mut scratch = plan.make_scratch_vec();
        for (from, to) in from.zip(to.chunks_exact_mut(length / 2 + 1)) {
            row.copy_from_slice(from);
            let done = plan.process_with_scratch(&mut row, to, &mut scratch);
            done.map_err(|e| e.to_string())?;
        }
        Ok(())
    })
}

fn complex_to_real<T: Real>(call: &mut Call<'_>) -> Result<(), String>
where
    Complex<T>: Number,
{
    let length = call.result_core(0)[0];
    if length == 0 {
        return Ok(());
    }
    let plan: Arc<dyn ComplexToReal<T>> =
        plan(length, |p: &mut Plans<T>| p.real.plan_fft_inverse(length));
    call.for_chunks(nanoseconds(length) / 2.0, |chunk| {
        let from = chunk.operand::<Complex<T>>(0)?.chunks_exact(length / 2 + 1);
        let to = chunk.take_result::<T>(0)?;
        let mut row = plan.make_input_vec();
        let mut scratch = plan.make_scratch_vec();
        for (from, to) in from.zip(to.chunks_exact_mut(length)) {
            row.copy_from_slice(from);
            row[0].im = T::zero();
            if length.is_multiple_of(2) {
                row[length / 2].im = T::zero();
            }
            let done = plan.process_with_scratch(&mut row, to, &mut scratch);
            done.map_err(|e| e.to_string())?;
        }
        Ok(())
    })
}
