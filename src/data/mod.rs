//! Data for training: datasets, and the loader that makes batches of them.
//!
//! A [`Dataset`] gives examples by number. A [`DataLoader`] puts them in an order, fetches them on threads of its
//! own, a few batches ahead, and joins them to batches of tensors whose values are known:
//!
//! ```
//! use lazulite::data::{DataLoader, TensorDataset};
//! use lazulite::prelude::*;
//!
//! let x = Tensor::arange(0, 20, 1).reshape([10, 2]);
//! let y = Tensor::arange(0, 10, 1);
//! let loader = DataLoader::new(TensorDataset::new((x, y))?).batch_size(4).shuffle(7).workers(2);
//! let mut seen = 0;
//! for (x, y) in &loader {
//!     assert_eq!(x.dims()?, [y.dims()?[0], 2]);
//!     seen += y.dims()?[0];
//! }
//! assert_eq!((loader.len(), seen), (3, 10));
//! # Ok::<(), lazulite::Error>(())
//! ```
//!
//! What a loader gives depends on its seed and on the number of the epoch, never on the number of threads.

mod collate;
mod dataset;
pub mod digits;
mod loader;
mod queue;
mod shuffle;

pub use collate::{Batch, Sample};
pub use dataset::{Dataset, Map, Subset, TensorDataset, random_split};
pub use loader::{Batches, DataLoader, LoaderState, TryBatches};
