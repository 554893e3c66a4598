//! The loader: a dataset in batches.

use super::collate::{Batch, Sample};
use super::dataset::Dataset;
use super::queue::Queue;
use super::shuffle::{Chance, numbers, permutation};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::ops::Generator;
use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A dataset in batches. Made with [`DataLoader::new`], set up by the methods that follow, and iterated by
/// reference, once per epoch:
///
/// ```
/// use lazulite::data::{DataLoader, TensorDataset};
/// use lazulite::prelude::*;
/// let data = TensorDataset::new(Tensor::arange(0, 10, 1))?;
/// let loader = DataLoader::new(data).batch_size(4).drop_last(true);
/// for epoch in 0..2 {
///     for x in &loader {
///         assert_eq!(x.dims()?, [4]);
///     }
/// }
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// A batch that fails ends the iteration. `for` sees tensors that carry the error, so that it comes out where the
/// loss is computed; [`DataLoader::try_iter`] gives the error itself.
pub struct DataLoader<B> {
    /// The number of examples.
    examples: usize,
    fetch: Arc<Fetch<B>>,
    batch_size: usize,
    drop_last: bool,
    shuffle: bool,
    seed: u64,
    workers: usize,
    prefetch: usize,
    place: Place,
    progress: Arc<Mutex<Progress>>,
}

/// Makes the batch of these examples.
type Fetch<B> = dyn Fn(&[usize]) -> Result<B> + Send + Sync;

/// Where a loader stands: what the next batch is. [`DataLoader::set_state`] returns to it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LoaderState {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch in the epoch, from 0.
    pub batch: u64,
}

#[derive(Default)]
struct Progress {
    /// Behind the batch that was given last.
    now: LoaderState,
    /// Where the next iteration begins.
    next: LoaderState,
}

impl<B: Batch> DataLoader<B> {
    /// Batches of one example each, in the dataset's order, fetched when they are asked for.
    #[track_caller]
    pub fn new<D>(dataset: D) -> DataLoader<B>
    where
        D: Dataset + 'static,
        D::Item: Sample<Batch = B>,
    {
        let examples = dataset.len();
        DataLoader::fetching(examples, move |indices| dataset.batch(indices))
    }

    /// As [`DataLoader::new`], with a function that joins examples: to bring texts to one length, for example.
    ///
    /// ```
    /// use lazulite::data::{DataLoader, TensorDataset};
    /// use lazulite::prelude::*;
    /// let data = TensorDataset::new(Tensor::arange(0, 6, 1))?;
    /// let sums = |x: Vec<Tensor>| Tensor::stack(&x.iter().collect::<Vec<_>>(), 0).sum(..).realize();
    /// let loader = DataLoader::with_collate(data, sums).batch_size(3);
    /// let sums = loader.try_iter().map(|sum| sum?.item::<i64>());
    /// assert_eq!(sums.collect::<Result<Vec<_>>>()?, [3, 12]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn with_collate<D, C>(dataset: D, collate: C) -> DataLoader<B>
    where
        D: Dataset + 'static,
        C: Fn(Vec<D::Item>) -> Result<B> + Send + Sync + 'static,
    {
        let examples = dataset.len();
        DataLoader::fetching(examples, move |indices| {
            let items = indices.iter().map(|&i| dataset.get(i));
            collate(items.collect::<Result<_>>()?)
        })
    }

    #[track_caller]
    fn fetching(
        examples: usize,
        fetch: impl Fn(&[usize]) -> Result<B> + Send + Sync + 'static,
    ) -> DataLoader<B> {
        DataLoader {
            examples,
            fetch: Arc::new(fetch),
            batch_size: 1,
            drop_last: false,
            shuffle: false,
            seed: 0,
            workers: 0,
            prefetch: 2,
            place: Place::here(),
            progress: Arc::default(),
        }
    }

    /// Examples per batch, at least 1: with 0, the first batch is an error.
    pub fn batch_size(self, batch_size: usize) -> Self {
        DataLoader { batch_size, ..self }
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others.
    pub fn drop_last(self, drop_last: bool) -> Self {
        DataLoader { drop_last, ..self }
    }

    /// Another order in every epoch, determined by `seed` and the epoch; and [`DataLoader::seed`].
    pub fn shuffle(self, seed: u64) -> Self {
        DataLoader {
            shuffle: true,
            ..self.seed(seed)
        }
    }

    /// What, with the epoch, determines the random numbers that the dataset draws.
    pub fn seed(self, seed: u64) -> Self {
        DataLoader { seed, ..self }
    }

    /// So many threads fetch batches ahead. With 0, the default, the thread that iterates fetches them.
    pub fn workers(self, workers: usize) -> Self {
        DataLoader { workers, ..self }
    }

    /// So many batches (at least one, 2 by default) are fetched ahead or being fetched, when there are workers;
    /// further ones wait until batches are taken.
    pub fn prefetch(self, prefetch: usize) -> Self {
        DataLoader { prefetch, ..self }
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        // Batches of nothing are as many as are needed to tell of the error.
        let size = self.batch_size.max(1);
        match self.drop_last {
            true => self.examples / size,
            false => self.examples.div_ceil(size),
        }
    }

    /// True if an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the next batch of the iteration in progress is; between iterations, the first of the next.
    pub fn state(&self) -> LoaderState {
        lock(&self.progress).now
    }

    /// What decides which examples are in which batch, by name.
    pub(crate) fn settings(&self) -> [(&'static str, u64); 5] {
        [
            ("examples", self.examples as u64),
            ("a batch size of", self.batch_size as u64),
            ("drop_last", u64::from(self.drop_last)),
            ("shuffle", u64::from(self.shuffle)),
            ("the seed", self.seed),
        ]
    }

    /// The next iteration begins with this batch and goes to the end of its epoch, as if the epochs before had been
    /// run.
    pub fn set_state(&self, state: LoaderState) {
        *lock(&self.progress) = Progress {
            now: state,
            next: state,
        };
    }

    /// Iterates over an epoch: the one after the last that was begun. The first error is given and ends it.
    pub fn try_iter(&self) -> TryBatches<B> {
        let batches = self.len();
        let start = {
            let mut progress = lock(&self.progress);
            let start = progress.next;
            progress.next = following(start.epoch);
            progress.now = match start.batch < batches as u64 {
                true => start,
                false => progress.next,
            };
            start
        };
        let first = usize::try_from(start.batch).map_or(batches, |b| b.min(batches));
        let epoch = Epoch {
            fetch: self.fetch.clone(),
            order: self.order(start.epoch),
            batch_size: self.batch_size,
            seed: self.seed,
            number: start.epoch,
            place: self.place,
        };
        let epoch = Arc::new(epoch);
        let queue = match self.workers {
            0 => None,
            workers => {
                let epoch = epoch.clone();
                let work = move |piece: usize| epoch.batch(first + piece);
                Queue::start(batches - first, workers, self.prefetch, work)
            }
        };
        TryBatches {
            queue,
            epoch,
            next: first,
            end: batches,
            progress: self.progress.clone(),
        }
    }

    /// Iterates over an epoch as [`DataLoader::try_iter`] does; a failed batch is one whose tensors carry the error.
    pub fn iter(&self) -> Batches<B> {
        Batches(self.try_iter())
    }

    fn order(&self, epoch: u64) -> Order {
        match self.shuffle {
            true => Order::Shuffled(permutation(self.examples, self.seed, epoch)),
            false => Order::Given(self.examples),
        }
    }
}

impl<B: Batch> IntoIterator for &DataLoader<B> {
    type Item = B;
    type IntoIter = Batches<B>;

    fn into_iter(self) -> Batches<B> {
        self.iter()
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning of the epoch after this one.
fn following(epoch: u64) -> LoaderState {
    LoaderState {
        epoch: epoch.saturating_add(1),
        batch: 0,
    }
}

/// One pass over the examples.
/// The order in which an epoch takes examples.
enum Order {
    /// So many, as they come.
    Given(usize),
    /// By chance; an error where memory does not hold it.
    Shuffled(Result<Vec<usize>>),
}

impl Order {
    /// The examples of batch `number`.
    fn batch(&self, number: usize, size: usize) -> Result<Cow<'_, [usize]>> {
        let from = number * size;
        let part = |len: usize| from..len.min(from.saturating_add(size));
        match self {
            Order::Given(len) => numbers(part(*len)).map(Cow::Owned),
            Order::Shuffled(Ok(order)) => Ok(Cow::Borrowed(&order[part(order.len())])),
            Order::Shuffled(Err(e)) => Err(e.clone()),
        }
    }
}

struct Epoch<B> {
    fetch: Arc<Fetch<B>>,
    order: Order,
    batch_size: usize,
    seed: u64,
    number: u64,
    place: Place,
}

impl<B> Epoch<B> {
    /// Makes a batch. Does not panic.
    fn batch(&self, number: usize) -> Result<B> {
        if self.batch_size == 0 {
            let error = Error::new(ErrorKind::Argument, "DataLoader", "the batch size is 0");
            return Err(error.at(self.place).hint("it is 1 at least"));
        }
        let examples = self.order.batch(number, self.batch_size);
        let examples = examples.map_err(|e| e.at(self.place))?;
        let seed = Chance::new(self.seed, self.number, number as u64).next();
        let fetch = || Generator::new(seed).scope(|| (self.fetch)(&examples));
        let outcome = catch_unwind(AssertUnwindSafe(fetch)).unwrap_or_else(|panic| {
            let message = format!("the dataset panicked: {}", words(&*panic));
            Err(Error::new(ErrorKind::Host, "DataLoader", message).at(self.place))
        });
        outcome.map_err(|e| {
            let which = format!("it was batch {number} of epoch {}", self.number);
            match e.advice().map(|advice| format!("{advice}; {which}")) {
                Some(advice) => e.hint(advice),
                None => e.hint(which),
            }
        })
    }
}

/// What was said when panicking.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("(no message)")
}

/// The batches of an epoch, or the first error; made by [`DataLoader::try_iter`].
pub struct TryBatches<B> {
    queue: Option<Queue<Result<B>>>,
    epoch: Arc<Epoch<B>>,
    next: usize,
    end: usize,
    progress: Arc<Mutex<Progress>>,
}

impl<B: Batch> Iterator for TryBatches<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        if self.next >= self.end {
            return None;
        }
        let batch = match &mut self.queue {
            Some(queue) => queue.take()?,
            None => self.epoch.batch(self.next),
        };
        self.next += 1;
        if batch.is_err() {
            self.end = self.next;
            self.queue = None;
            return Some(batch);
        }
        let epoch = self.epoch.number;
        lock(&self.progress).now = match self.next == self.end {
            true => following(epoch),
            false => LoaderState {
                epoch,
                batch: self.next as u64,
            },
        };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left.min(1), Some(left))
    }
}

/// The batches of an epoch; made by [`DataLoader::iter`].
pub struct Batches<B>(TryBatches<B>);

impl<B: Batch> Iterator for Batches<B> {
    type Item = B;

    fn next(&mut self) -> Option<B> {
        self.0.next().map(|batch| batch.unwrap_or_else(B::failed))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
