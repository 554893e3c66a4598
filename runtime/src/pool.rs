//! Threads. rayon owns them; boxes of a kernel are handed out by counters of our own.
//!
//! Every participant of a dispatch has a share of neighbouring boxes, which it works through before it takes from the
//! others': memory is then gone through in as few places as there are threads, and a thread finds in its cache what
//! it left there for the next kernel. Boxes that read the same operand are claimed one after the other instead.
//!
//! A dispatch puts a job on the pool's list and works on it itself. Helpers (tasks running on
//! rayon's threads) claim boxes of listed jobs; when there are none they spin for a few
//! microseconds, so that the next kernel of a program finds them awake, then end, and rayon parks
//! their threads. The dispatching thread waits only for boxes that were claimed, never for a helper
//! to arrive. Hence a dispatch ends on its own whatever the other threads do: programs may run
//! from many threads at once, from other rayon pools, and inside each other.

use rayon::{ThreadPool, ThreadPoolBuilder};
use smallvec::SmallVec;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a thread looks for something to do before it goes to sleep.
const SPIN: Duration = Duration::from_micros(30);

/// Threads that run programs. With one thread there are none but the caller's.
pub struct Pool {
    threads: usize,
    helpers: Option<Helpers>,
}

struct Helpers {
    rayon: ThreadPool,
    shared: Arc<Shared>,
}

/// The threads could not be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolError(String);

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start threads: {}", self.0)
    }
}

impl std::error::Error for PoolError {}

/// What is done for each box: called with the box and the number of the participant, which is below
/// [`Pool::threads`] and not shared by two participants of a dispatch.
type Task<'a> = dyn Fn(usize, usize) + Sync + 'a;

impl Pool {
    /// As many threads as a pool may have here: more than there is any use for.
    pub fn most_threads() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cores.saturating_mul(4).max(256)
    }

    /// A pool in which `threads` threads (at least one) work on a program, the caller's included.
    ///
    /// # Errors
    /// When they are more than [`Pool::most_threads`], or the system refuses to start them.
    pub fn new(threads: usize) -> Result<Pool, PoolError> {
        let (threads, most) = (threads.max(1), Pool::most_threads());
        if threads > most {
            let message = format!("{threads} are asked for, at most {most} make sense here");
            return Err(PoolError(message));
        }
        if threads == 1 {
            return Ok(Pool::single());
        }
        let rayon = ThreadPoolBuilder::new()
            .num_threads(threads - 1)
            .thread_name(|i| format!("lazulite-{i}"))
            .build()
            .map_err(|e| PoolError(e.to_string()))?;
        let shared = Arc::new(Shared::default());
        Ok(Pool {
            threads,
            helpers: Some(Helpers { rayon, shared }),
        })
    }

    /// The pool of the calling thread alone.
    pub const fn single() -> Pool {
        Pool {
            threads: 1,
            helpers: None,
        }
    }

    /// Number of threads, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `task` for every box below `boxes`, each once, and returns when all are done. Threads work far from one
    /// another.
    pub(crate) fn for_each(&self, boxes: usize, task: &Task<'_>) {
        self.dispatch(boxes, self.threads, task);
    }

    /// The same for boxes of which neighbours read the same: threads work next to one another.
    pub(crate) fn for_each_in_turn(&self, boxes: usize, task: &Task<'_>) {
        self.dispatch(boxes, 1, task);
    }

    fn dispatch(&self, boxes: usize, shares: usize, task: &Task<'_>) {
        match &self.helpers {
            Some(helpers) if boxes > 1 => helpers.dispatch(boxes, shares, self.threads, task),
            Some(_) | None => (0..boxes).for_each(|b| task(b, 0)),
        }
    }
}

/// What dispatching threads and helpers share.
#[derive(Default)]
struct Shared {
    /// Counts dispatches, so that idle helpers notice a new one.
    epoch: AtomicU64,
    /// Helpers that are awake or about to be.
    awake: AtomicUsize,
    jobs: Mutex<Vec<Arc<Job>>>,
}

/// A dispatch in progress.
struct Job {
    boxes: usize,
    shares: SmallVec<[Share; 4]>,
    /// Boxes done.
    done: AtomicUsize,
    /// Next participant number; the dispatching thread is number 0.
    participants: AtomicUsize,
    max_participants: usize,
    /// Valid until `done` equals `boxes`, see [`Helpers::dispatch`].
    task: *const Task<'static>,
    caller: Thread,
    caller_sleeps: AtomicBool,
}

/// Neighbouring boxes. On a cache line of its own, as a participant counts in its own share most of the time.
#[repr(align(64))]
struct Share {
    /// Next box to claim.
    next: AtomicUsize,
    end: usize,
}

impl Share {
    fn is_claimed(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.end
    }

    /// A box that nobody else gets.
    fn claim(&self) -> Option<usize> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.end).then_some(index)
    }
}

/// `boxes` in `count` shares of about the same size.
fn cut(boxes: usize, count: usize) -> SmallVec<[Share; 4]> {
    let (each, more) = (boxes / count, boxes % count);
    let begin = |i: usize| each * i + more.min(i);
    let share = |i| Share {
        next: AtomicUsize::new(begin(i)),
        end: begin(i + 1),
    };
    (0..count).map(share).collect()
}

// SAFETY: the task is `Sync` and only called while the dispatching thread keeps it alive; the other fields
// are Send and Sync themselves.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Helpers {
    fn dispatch(&self, boxes: usize, shares: usize, threads: usize, task: &Task<'_>) {
        let task: *const Task<'_> = task;
        // SAFETY: only the lifetime changes. A participant calls the task only for a box that it
        // claimed and has not counted as done. We return only when all boxes are done, and the
        // guard in `Job::work` turns unwinding out of a task into an abort, so the
        // task outlives every call.
        let task = unsafe { std::mem::transmute::<*const Task<'_>, *const Task<'static>>(task) };
        let job = Arc::new(Job {
            boxes,
            shares: cut(boxes, shares.min(boxes)),
            max_participants: threads,
            done: AtomicUsize::new(0),
            participants: AtomicUsize::new(1),
            task,
            caller: std::thread::current(),
            caller_sleeps: AtomicBool::new(false),
        });
        self.shared.jobs().push(job.clone());
        self.shared.epoch.fetch_add(1, Ordering::SeqCst);
        self.wake(threads.min(boxes) - 1);
        job.work(0);
        job.wait();
        self.shared.jobs().retain(|j| !Arc::ptr_eq(j, &job));
    }

    /// Starts helpers until `wanted` are awake.
    fn wake(&self, wanted: usize) {
        let awake = self.shared.awake.load(Ordering::SeqCst);
        for _ in awake..wanted {
            self.shared.awake.fetch_add(1, Ordering::SeqCst);
            let shared = self.shared.clone();
            self.rayon.spawn(move || shared.help());
        }
    }
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, Vec<Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on jobs until none came for a while.
    fn help(&self) {
        loop {
            // Read before the list: a job that is missing in it changes the epoch later.
            let epoch = self.epoch.load(Ordering::SeqCst);
            if let Some((job, participant)) = self.join() {
                job.work(participant);
                continue;
            }
            if spin_until(|| self.epoch.load(Ordering::Relaxed) != epoch) {
                continue;
            }
            // Either the next dispatch sees us gone and starts another helper, or we see it.
            self.awake.fetch_sub(1, Ordering::SeqCst);
            if self.epoch.load(Ordering::SeqCst) == epoch {
                return;
            }
            self.awake.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A job with boxes left, and our number in it.
    fn join(&self) -> Option<(Arc<Job>, usize)> {
        self.jobs().iter().find_map(|job| {
            if job.shares.iter().all(Share::is_claimed) {
                return None;
            }
            // Counted under the lock, so the number cannot run away.
            let participant = job.participants.load(Ordering::Relaxed);
            if participant >= job.max_participants {
                return None;
            }
            job.participants.store(participant + 1, Ordering::Relaxed);
            Some((job.clone(), participant))
        })
    }
}

impl Job {
    /// Runs boxes until all are claimed.
    fn work(&self, participant: usize) {
        let guard = AbortOnUnwind;
        let mut count = 0;
        let (others, own) = self.shares.split_at(participant % self.shares.len());
        for share in own.iter().chain(others) {
            while let Some(index) = share.claim() {
                // SAFETY: box `index` is claimed and not yet counted as done, so the task lives.
                unsafe { (*self.task)(index, participant) };
                count += 1;
            }
        }
        std::mem::forget(guard);
        if count == 0 {
            return;
        }
        // The caller must see what the boxes wrote: it reads `done` with acquire.
        let done = self.done.fetch_add(count, Ordering::SeqCst) + count;
        if done == self.boxes && self.caller_sleeps.load(Ordering::SeqCst) {
            self.caller.unpark();
        }
    }

    /// Waits until all boxes are done.
    fn wait(&self) {
        let all_done = || self.done.load(Ordering::SeqCst) == self.boxes;
        if spin_until(all_done) {
            return;
        }
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while !all_done() {
            std::thread::park();
        }
    }
}

/// Whether the condition came true within [`SPIN`].
fn spin_until(condition: impl Fn() -> bool) -> bool {
    if condition() {
        return true;
    }
    let begin = Instant::now();
    while begin.elapsed() < SPIN {
        for _ in 0..32 {
            if condition() {
                return true;
            }
            std::hint::spin_loop();
        }
    }
    false
}

/// Other participants may still use what the unwinding frame owns.
struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    fn sum_of_squares(pool: &Pool, boxes: usize) -> usize {
        let seen: Vec<AtomicUsize> = (0..boxes).map(|_| AtomicUsize::new(0)).collect();
        let task = |b: usize, participant: usize| {
            assert!(participant < pool.threads());
            seen[b].fetch_add(b * b, Ordering::Relaxed);
        };
        match boxes % 2 {
            0 => pool.for_each(boxes, &task),
            _ => pool.for_each_in_turn(boxes, &task),
        }
        seen.iter().map(|s| s.load(Ordering::Relaxed)).sum()
    }

    fn expected(boxes: usize) -> usize {
        (0..boxes).map(|b| b * b).sum()
    }

    #[test]
    fn every_box_runs_once() {
        for threads in 1..5 {
            let pool = Pool::new(threads).unwrap();
            for boxes in [0, 1, 2, 3, 100, 101, 1000, 1001] {
                assert_eq!(sum_of_squares(&pool, boxes), expected(boxes));
            }
        }
    }

    #[test]
    fn many_callers_share_a_pool() {
        let pool = Pool::new(3).unwrap();
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for boxes in 0..200 {
                        assert_eq!(sum_of_squares(&pool, boxes), expected(boxes));
                    }
                });
            }
        });
    }

    #[test]
    fn dispatch_within_rayon_and_within_a_box() {
        let pool = Pool::new(3).unwrap();
        (0..50usize).into_par_iter().for_each(|boxes| {
            assert_eq!(sum_of_squares(&pool, boxes), expected(boxes));
        });
        pool.for_each(8, &|_, _| {
            assert_eq!(sum_of_squares(&pool, 20), expected(20));
        });
    }

    #[test]
    fn helpers_come_back_after_sleeping() {
        let pool = Pool::new(2).unwrap();
        for _ in 0..5 {
            assert_eq!(sum_of_squares(&pool, 64), expected(64));
            std::thread::sleep(4 * SPIN);
        }
    }
}
