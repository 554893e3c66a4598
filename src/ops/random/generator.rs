//! Where random streams come from.

use crate::scoped::Scoped;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A source of random streams. Clones share their state.
#[derive(Clone, Debug)]
pub struct Generator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    seed: AtomicU64,
    next_stream: AtomicU64,
}

/// Where a generator stands; draws after returning to it are the same again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GeneratorState {
    seed: u64,
    next_stream: u64,
}

impl GeneratorState {
    /// The state as two numbers, for files.
    pub(crate) fn words(self) -> [u64; 2] {
        [self.seed, self.next_stream]
    }

    /// The state that [`words`](GeneratorState::words) gave.
    pub(crate) fn from_words([seed, next_stream]: [u64; 2]) -> GeneratorState {
        GeneratorState { seed, next_stream }
    }
}

impl Generator {
    /// A generator whose draws are determined by `seed`.
    pub fn new(seed: u64) -> Generator {
        Generator {
            inner: Arc::new(Inner {
                seed: seed.into(),
                next_stream: 0.into(),
            }),
        }
    }

    /// Starts over with another seed.
    pub fn manual_seed(&self, seed: u64) {
        self.set_state(GeneratorState {
            seed,
            next_stream: 0,
        });
    }

    /// The seed that the draws are determined by.
    pub fn initial_seed(&self) -> u64 {
        self.inner.seed.load(Relaxed)
    }

    /// Where the generator stands.
    pub fn state(&self) -> GeneratorState {
        GeneratorState {
            seed: self.initial_seed(),
            next_stream: self.inner.next_stream.load(Relaxed),
        }
    }

    /// Returns to a state.
    pub fn set_state(&self, state: GeneratorState) {
        self.inner.seed.store(state.seed, Relaxed);
        self.inner.next_stream.store(state.next_stream, Relaxed);
    }

    /// Runs `draw` with this as the thread's default generator, so that every random operation in it
    /// draws from here.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let p = Tensor::full([8], 0.5);
    /// let coins = || Generator::new(3).scope(|| p.bernoulli().to_vec::<f32>());
    /// assert_eq!(coins()?, coins()?);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    pub fn scope<T>(&self, draw: impl FnOnce() -> T) -> T {
        let _default = Scoped::set(&DEFAULT, self.clone());
        draw()
    }

    /// True for handles of the same generator.
    pub(crate) fn is(&self, other: &Generator) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The seed, and the first of `count` stream numbers that are now taken.
    pub(crate) fn take_streams(&self, count: u64) -> (u64, u64) {
        let first = self.inner.next_stream.fetch_add(count, Relaxed);
        (self.initial_seed(), first)
    }
}

/// Streams between the first ones of two threads' default generators.
const STREAMS_PER_THREAD: u64 = 1 << 40;

thread_local! {
    /// Threads start with the same seed and different streams, so that they draw different numbers.
    static DEFAULT: RefCell<Generator> = RefCell::new({
        static THREADS: AtomicU64 = AtomicU64::new(0);
        let next_stream = THREADS.fetch_add(1, Relaxed).wrapping_mul(STREAMS_PER_THREAD);
        let generator = Generator::new(0);
        generator.set_state(GeneratorState { seed: 0, next_stream });
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

/// Runs `draw` and returns this thread's default generator to where it stood before: draws inside
/// leave no trace.
pub fn fork_rng<T>(draw: impl FnOnce() -> T) -> T {
    let generator = default_generator();
    let fork = Generator::new(0);
    fork.set_state(generator.state());
    fork.scope(draw)
}
