//! Datasets: examples by number.

use super::collate::{Sample, joined};
use super::shuffle::permutation;
use crate::compile::{Outputs, host_value_of};
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::tensor::{Tensor, realize_all};
use lazulite_ir::TensorType;
use lazulite_runtime::Buffer;
use std::sync::Arc;

/// Examples by number.
///
/// A loader asks for them from several threads, in any order, and for one as often as it likes.
///
/// ```
/// use lazulite::data::{DataLoader, Dataset};
/// use lazulite::prelude::*;
///
/// /// Numbers and their squares.
/// struct Squares(usize);
///
/// impl Dataset for Squares {
///     type Item = (f32, f32);
///
///     fn len(&self) -> usize {
///         self.0
///     }
///
///     fn get(&self, index: usize) -> Result<(f32, f32)> {
///         let x = index as f32;
///         Ok((x, x * x))
///     }
/// }
///
/// let loader = DataLoader::new(Squares(6)).batch_size(3);
/// let squares = loader.try_iter().map(|batch| batch?.1.to_vec::<f32>());
/// assert_eq!(squares.collect::<Result<Vec<_>>>()?, [[0.0, 1.0, 4.0], [9.0, 16.0, 25.0]]);
/// # Ok::<(), lazulite::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// An example.
    type Item;

    /// The number of examples.
    fn len(&self) -> usize;

    /// True if there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The example of this number, below [`len`](Dataset::len). Random numbers drawn in here depend on the
    /// loader's seed, the epoch and the batch, not on the thread.
    ///
    /// # Errors
    /// Whatever keeps the example from being had. It ends the loader's iteration.
    fn get(&self, index: usize) -> Result<Self::Item>;

    /// Several examples as a batch. Datasets that can do so faster than one by one have their own.
    ///
    /// # Errors
    /// As for [`get`](Dataset::get), and when the examples do not fit together.
    fn batch(&self, indices: &[usize]) -> Result<<Self::Item as Sample>::Batch>
    where
        Self::Item: Sample,
    {
        let items = indices.iter().map(|&i| self.get(i));
        Sample::collate(items.collect::<Result<_>>()?)
    }

    /// The dataset with `function` applied to every example that is asked for.
    ///
    /// ```
    /// use lazulite::data::{Dataset, TensorDataset};
    /// use lazulite::prelude::*;
    /// let numbers = TensorDataset::new(Tensor::arange(0, 5, 1))?;
    /// let doubled = numbers.map(|x| Ok(x * 2));
    /// assert_eq!(doubled.get(3)?.item::<i64>()?, 6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    fn map<T, F>(self, function: F) -> Map<Self, F>
    where
        Self: Sized,
        F: Fn(Self::Item) -> Result<T> + Send + Sync,
    {
        Map {
            dataset: self,
            function,
        }
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<D::Item> {
        (**self).get(index)
    }

    fn batch(&self, indices: &[usize]) -> Result<<D::Item as Sample>::Batch>
    where
        D::Item: Sample,
    {
        (**self).batch(indices)
    }
}

/// A dataset with a function applied to every example; made by [`Dataset::map`].
#[derive(Clone, Copy, Debug)]
pub struct Map<D, F> {
    dataset: D,
    function: F,
}

impl<D, F, T> Dataset for Map<D, F>
where
    D: Dataset,
    F: Fn(D::Item) -> Result<T> + Send + Sync,
{
    type Item = T;

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize) -> Result<T> {
        (self.function)(self.dataset.get(index)?)
    }
}

/// Tensors of equal length along the first axis: example `i` is what stands there at `i`.
#[derive(Clone, Debug)]
pub struct TensorDataset<T> {
    columns: Vec<Column>,
    len: usize,
    form: std::marker::PhantomData<fn() -> T>,
}

/// One of the tensors.
#[derive(Clone, Debug)]
struct Column {
    /// The type of an example's part, and its bytes.
    row: TensorType,
    row_bytes: usize,
    value: Buffer,
}

impl<T: Outputs> TensorDataset<T> {
    /// Of a tensor, or a tuple, array or list of them, whose examples have the same form. Computes them.
    ///
    /// # Errors
    /// When they cannot be computed, or have no first axis of the same size.
    #[track_caller]
    pub fn new(tensors: T) -> Result<TensorDataset<T>> {
        let place = Place::here();
        let tensors = tensors.into_tensors();
        realize_all(&tensors.iter().collect::<Vec<_>>())?;
        let error = |message: String, tensor: &Tensor| {
            let error = Error::new(ErrorKind::Shape, "TensorDataset", message).at(place);
            Err(error.operand(tensor.note("tensor")))
        };
        let (mut columns, mut common) = (Vec::new(), None);
        for tensor in &tensors {
            let ty = &tensor.node()?.ty;
            let dims = tensor.dims()?;
            let Some(&len) = dims.first() else {
                return error("a 0-d tensor has no examples".into(), tensor);
            };
            let first = *common.get_or_insert(len);
            if len != first {
                return error(format!("tensors hold {first} and {len} examples"), tensor);
            }
            columns.push(Column {
                row: TensorType::new(ty.dtype, ty.dims.iter().skip(1).cloned()),
                row_bytes: dims[1..].iter().product::<usize>() * ty.dtype.size(),
                value: host_value_of(tensor)?,
            });
        }
        Ok(TensorDataset {
            columns,
            len: common.unwrap_or(0),
            form: std::marker::PhantomData,
        })
    }
}

impl<T> TensorDataset<T> {
    /// The bytes of an example's part in a column.
    fn bytes<'a>(&self, column: &'a Column, index: usize) -> Result<&'a [u8]> {
        let from = index.checked_mul(column.row_bytes);
        let bytes = from.and_then(|from| {
            let all = column.value.as_bytes();
            all.get(from..from + column.row_bytes)
        });
        bytes
            .filter(|_| index < self.len)
            .ok_or_else(|| no_example(index, self.len))
    }
}

/// The number of the example is too large.
pub(super) fn no_example(index: usize, len: usize) -> Error {
    let message = format!("there is no example {index} among {len}");
    Error::new(ErrorKind::Index, "get", message)
}

impl<T> Dataset for TensorDataset<T>
where
    T: Outputs + Sample<Batch = T>,
{
    type Item = T;

    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<T> {
        let part = |column: &Column| {
            let value = Buffer::from_bytes(self.bytes(column, index)?);
            let value = value.map_err(|e| Error::new(ErrorKind::Memory, "get", e.to_string()))?;
            Ok(Tensor::leaf(column.row.clone(), value))
        };
        let parts = self.columns.iter().map(part).collect::<Result<_>>()?;
        formed(parts)
    }

    fn batch(&self, indices: &[usize]) -> Result<T> {
        let part = |column: &Column| {
            let mut bytes = Vec::with_capacity(indices.len() * column.row_bytes);
            for &index in indices {
                bytes.extend_from_slice(self.bytes(column, index)?);
            }
            joined(indices.len(), &column.row, &bytes)
        };
        let parts = self.columns.iter().map(part).collect::<Result<_>>()?;
        formed(parts)
    }
}

/// Tensors in the form in which the dataset was given them.
fn formed<T: Outputs>(parts: Vec<Tensor>) -> Result<T> {
    let formed = T::from_tensors(&mut parts.into_iter());
    formed.ok_or_else(|| crate::tensor::internal("get", "a part of an example is missing"))
}

/// Some examples of a dataset, in an order of their own.
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Arc<[usize]>,
}

impl<D: Dataset> Subset<D> {
    /// The examples of these numbers; one may occur several times.
    ///
    /// # Errors
    /// When the dataset has no example of such a number.
    #[track_caller]
    pub fn new(dataset: D, indices: impl Into<Arc<[usize]>>) -> Result<Subset<D>> {
        let (indices, len) = (indices.into(), dataset.len());
        match indices.iter().find(|i| **i >= len) {
            Some(&index) => Err(no_example(index, len).named("Subset").at(Place::here())),
            None => Ok(Subset { dataset, indices }),
        }
    }

    fn index(&self, index: usize) -> Result<usize> {
        let found = self.indices.get(index).copied();
        found.ok_or_else(|| no_example(index, self.indices.len()))
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    type Item = D::Item;

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<D::Item> {
        self.dataset.get(self.index(index)?)
    }

    fn batch(&self, indices: &[usize]) -> Result<<D::Item as Sample>::Batch>
    where
        D::Item: Sample,
    {
        let inner = indices.iter().map(|&i| self.index(i));
        self.dataset.batch(&inner.collect::<Result<Vec<_>>>()?)
    }
}

/// Deals the examples out by chance into parts of these sizes, which must add up to all of them. The same seed
/// deals the same way.
///
/// ```
/// use lazulite::data::{Dataset, TensorDataset, random_split};
/// use lazulite::prelude::*;
/// let data = TensorDataset::new(Tensor::arange(0, 10, 1))?;
/// let [train, test] = random_split(data, [8, 2], 7)?;
/// assert_eq!((train.len(), test.len()), (8, 2));
/// # Ok::<(), lazulite::Error>(())
/// ```
///
/// # Errors
/// When the sizes do not add up.
#[track_caller]
pub fn random_split<D: Dataset, const N: usize>(
    dataset: D,
    sizes: [usize; N],
    seed: u64,
) -> Result<[Subset<Arc<D>>; N]> {
    let len = dataset.len();
    let total = sizes
        .iter()
        .try_fold(0usize, |sum, size| sum.checked_add(*size));
    if total != Some(len) {
        let message = format!("parts of sizes {sizes:?} are not the {len} examples there are");
        return Err(Error::new(ErrorKind::Argument, "random_split", message).at(Place::here()));
    }
    let dataset = Arc::new(dataset);
    let order = permutation(len, seed, 0)?;
    let mut rest = order.as_slice();
    Ok(sizes.map(|size| {
        let (part, behind) = rest.split_at(size);
        rest = behind;
        Subset {
            dataset: dataset.clone(),
            indices: part.into(),
        }
    }))
}
