//! Random tensors.
//!
//! Every draw takes a fresh stream number from its generator, and each element depends only on the
//! seed, the stream and its own index: results do not depend on threads, on other draws' sizes, or
//! on how programs are fused.

use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::tensor::{Dim, IntoDims, Tensor, random_bits};
use lazulite_ir::DType;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A source of random streams. Clones share their state.
#[derive(Clone, Debug)]
pub struct Generator {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    seed: AtomicU64,
    next_stream: AtomicU64,
}

impl Generator {
    /// A generator whose draws are determined by `seed`.
    pub fn new(seed: u64) -> Generator {
        Generator {
            state: Arc::new(State {
                seed: seed.into(),
                next_stream: 0.into(),
            }),
        }
    }

    /// Starts over with another seed.
    pub fn manual_seed(&self, seed: u64) {
        self.state.seed.store(seed, Relaxed);
        self.state.next_stream.store(0, Relaxed);
    }

    /// True for handles of the same generator.
    pub(crate) fn is(&self, other: &Generator) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// The seed, and the first of `count` stream numbers that are now taken.
    pub(crate) fn take_streams(&self, count: u64) -> (u64, u64) {
        let first = self.state.next_stream.fetch_add(count, Relaxed);
        (self.state.seed.load(Relaxed), first)
    }
}

/// Streams between the first ones of two threads' default generators.
const STREAMS_PER_THREAD: u64 = 1 << 40;

thread_local! {
    /// Threads start with the same seed and different streams, so that they draw different numbers.
    static DEFAULT: RefCell<Generator> = RefCell::new({
        static THREADS: AtomicU64 = AtomicU64::new(0);
        let generator = Generator::new(0);
        let first = THREADS.fetch_add(1, Relaxed).wrapping_mul(STREAMS_PER_THREAD);
        generator.state.next_stream.store(first, Relaxed);
        generator
    });
}

/// This thread's default generator.
pub(crate) fn default_generator() -> Generator {
    DEFAULT.with_borrow(Clone::clone)
}

/// Seeds this thread's default generator.
///
/// ```
/// use lazulite::prelude::*;
/// manual_seed(7);
/// let a = Tensor::randn([4]).to_vec::<f32>()?;
/// manual_seed(7);
/// assert_eq!(a, Tensor::randn([4]).to_vec::<f32>()?);
/// # Ok::<(), lazulite::Error>(())
/// ```
pub fn manual_seed(seed: u64) {
    default_generator().manual_seed(seed);
}

impl Tensor {
    /// Uniform numbers in [0, 1), f32.
    #[track_caller]
    pub fn rand(dims: impl IntoDims) -> Tensor {
        default_generator().rand(dims)
    }

    /// Standard normal numbers, f32.
    #[track_caller]
    pub fn randn(dims: impl IntoDims) -> Tensor {
        default_generator().randn(dims)
    }

    /// Integers from `low` up to but not including `high`, i64.
    #[track_caller]
    pub fn randint(low: i64, high: i64, dims: impl IntoDims) -> Tensor {
        default_generator().randint(low, high, dims)
    }
}

impl Generator {
    /// Uniform numbers in [0, 1), f32.
    #[track_caller]
    pub fn rand(&self, dims: impl IntoDims) -> Tensor {
        unit_interval(&random_bits(self, dims, DType::U32)).named("rand", &[])
    }

    /// Standard normal numbers, f32.
    #[track_caller]
    pub fn randn(&self, dims: impl IntoDims) -> Tensor {
        let bits = random_bits(self, dims, DType::U64);
        // Box and Muller; the radius needs a number that is not zero.
        let radius = unit_interval(&bits.cast(DType::U32)).neg().add(1);
        let angle = unit_interval(&bits.bitwise_right_shift(32).cast(DType::U32));
        let radius = radius.log().mul(-2).sqrt();
        let normal = radius.mul(angle.mul(std::f64::consts::TAU).cos());
        normal.named("randn", &[])
    }

    /// Integers from `low` up to but not including `high`, i64.
    #[track_caller]
    pub fn randint(&self, low: i64, high: i64, dims: impl IntoDims) -> Tensor {
        let Some(range) = high.checked_sub(low).filter(|r| *r > 0) else {
            let message = format!("there are no integers from {low} up to {high}");
            return Tensor::error(
                Error::new(ErrorKind::Argument, "randint", message).at(Place::here()),
            );
        };
        // 63 bits, so that the signed remainder is not negative.
        let bits = random_bits(self, dims, DType::U64)
            .bitwise_right_shift(1)
            .cast(DType::I64);
        bits.fmod(range).add(low)
    }
}

/// 24 random bits as a number in [0, 1): every f32 of that spacing is equally likely.
#[track_caller]
fn unit_interval(bits: &Tensor) -> Tensor {
    bits.bitwise_right_shift(8)
        .cast(DType::F32)
        .mul(1.0 / f64::from(1u32 << 24))
}

/// A random permutation of the integers up to `n`, i64.
#[track_caller]
fn permutation(generator: &Generator, n: Dim) -> Tensor {
    random_bits(generator, [n], DType::U64).argsort(0, false)
}

impl Tensor {
    /// A random permutation of the integers from 0 up to `n`, i64.
    #[track_caller]
    pub fn randperm(n: impl Into<Dim>) -> Tensor {
        permutation(&default_generator(), n.into())
    }
}
