//! Work done ahead by threads: results come out in order, and only so many wait at a time.
//!
//! Pieces are numbered. A thread claims the next piece if it is less than `ahead` pieces in front of the one that is
//! taken out next; that one can always be claimed, so whoever waits for it waits for work in progress and never for
//! room. Dropping the queue stops the threads after the piece they are at, and waits for them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Results of numbered pieces of work, made by threads and taken out in order.
pub(super) struct Queue<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// There is room, or nothing more is wanted.
    room: Condvar,
    /// The first result is there.
    ready: Condvar,
}

struct State<T> {
    /// Results of claimed pieces, `None` while they are worked at. The first is that of piece `taken`.
    results: VecDeque<Option<T>>,
    /// Pieces taken out.
    taken: usize,
    /// Pieces in all.
    pieces: usize,
    /// Pieces that may be claimed and not yet taken, at least 1.
    ahead: usize,
    stopped: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece, once there is room for its result.
    fn claim(&self) -> Option<usize> {
        let full = |s: &mut State<T>| {
            let claimed = s.taken + s.results.len();
            !s.stopped && claimed < s.pieces && s.results.len() >= s.ahead
        };
        let state = self.room.wait_while(self.lock(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let piece = state.taken + state.results.len();
        if state.stopped || piece >= state.pieces {
            return None;
        }
        state.results.push_back(None);
        Some(piece)
    }

    fn enter(&self, piece: usize, result: T) {
        let mut state = self.lock();
        let position = piece - state.taken;
        state.results[position] = Some(result);
        if position == 0 {
            self.ready.notify_one();
        }
    }
}

impl<T: Send + 'static> Queue<T> {
    /// Starts `threads` threads, or as many as the system allows. `work` must not panic. `None` if not a single one
    /// could be started.
    pub fn start(
        pieces: usize,
        threads: usize,
        ahead: usize,
        work: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Option<Queue<T>> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                results: VecDeque::new(),
                taken: 0,
                pieces,
                ahead: ahead.max(1),
                stopped: false,
            }),
            room: Condvar::new(),
            ready: Condvar::new(),
        });
        let work = Arc::new(work);
        let start = |i: usize| {
            let (shared, work) = (shared.clone(), work.clone());
            let run = move || {
                while let Some(piece) = shared.claim() {
                    let result = work(piece);
                    shared.enter(piece, result);
                }
            };
            Builder::new()
                .name(format!("lazulite-data-{i}"))
                .spawn(run)
                .ok()
        };
        let threads: Vec<JoinHandle<()>> = (0..threads.min(pieces)).map_while(start).collect();
        (!threads.is_empty()).then_some(Queue { shared, threads })
    }

    /// The result of the next piece; `None` after the last.
    pub fn take(&mut self) -> Option<T> {
        let mut state = self.shared.lock();
        if state.taken >= state.pieces {
            return None;
        }
        loop {
            if let Some(result) = state.results.front_mut().and_then(Option::take) {
                state.results.pop_front();
                state.taken += 1;
                self.shared.room.notify_one();
                return Some(result);
            }
            let waited = self.shared.ready.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // Its work does not panic, and nobody is left to be told.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    #[test]
    fn results_come_in_order_and_never_too_many_wait() {
        for (threads, ahead) in [(1, 1), (1, 3), (3, 1), (4, 2), (2, 100)] {
            let (made, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (m, t) = (made.clone(), taken.clone());
            let work = move |piece: usize| {
                assert!(piece < t.load(SeqCst) + ahead + 1);
                if piece.is_multiple_of(3) {
                    std::thread::sleep(Duration::from_micros(200));
                }
                m.fetch_add(1, SeqCst);
                piece
            };
            let mut queue = Queue::start(50, threads, ahead, work).unwrap();
            for piece in 0..50 {
                assert_eq!(queue.take(), Some(piece));
                taken.fetch_add(1, SeqCst);
            }
            assert_eq!(queue.take(), None);
            drop(queue);
            assert_eq!(made.load(SeqCst), 50);
        }
    }

    #[test]
    fn dropping_it_early_stops_the_threads() {
        let alive = Arc::new(());
        for taken in 0..3 {
            let held = alive.clone();
            let work = move |piece| (piece, Arc::strong_count(&held));
            let mut queue = Queue::start(usize::MAX, 3, 2, work).unwrap();
            assert_eq!((0..taken).map_while(|_| queue.take()).count(), taken);
            drop(queue);
            assert_eq!(Arc::strong_count(&alive), 1);
        }
    }
}
