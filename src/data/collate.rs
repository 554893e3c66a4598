//! How examples become batches.
//!
//! Batches are made of bytes, not of operations: nothing is recorded, and their values are known at once.

use crate::compile::host_value_of;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{Tensor, internal, realize_all};
use lazulite_ir::{Dim, TensorType};
use lazulite_runtime::Buffer;
use std::collections::BTreeMap;

/// An example, or a part of one, that can be joined with others to a batch: tensors of equal type and sizes are
/// stacked along a new first axis, numbers become a tensor of one axis, and tuples, arrays, lists and maps are
/// joined part by part.
pub trait Sample: Sized {
    /// What several of them are joined to.
    type Batch: Batch;

    /// Joins examples, of which there is at least one.
    ///
    /// # Errors
    /// When they do not fit together, or a value cannot be computed.
    fn collate(samples: Vec<Self>) -> Result<Self::Batch>;
}

/// What a loader gives: tensors in some arrangement.
pub trait Batch: Send + 'static {
    /// What stands for a batch that could not be made: all its tensors carry the error.
    fn failed(error: Error) -> Self;
}

impl Batch for Tensor {
    fn failed(error: Error) -> Tensor {
        Tensor::error(error)
    }
}

impl<B: Batch> Batch for Vec<B> {
    fn failed(error: Error) -> Vec<B> {
        vec![B::failed(error)]
    }
}

impl<B: Batch, const N: usize> Batch for [B; N] {
    fn failed(error: Error) -> [B; N] {
        std::array::from_fn(|_| B::failed(error.clone()))
    }
}

impl<B: Batch> Batch for BTreeMap<String, B> {
    /// Which parts there would have been is not known.
    fn failed(error: Error) -> BTreeMap<String, B> {
        BTreeMap::from([(String::from("error"), B::failed(error))])
    }
}

impl Sample for Tensor {
    type Batch = Tensor;

    fn collate(samples: Vec<Tensor>) -> Result<Tensor> {
        stack(&samples)
    }
}

/// Tensors of the same type one above the other.
fn stack(samples: &[Tensor]) -> Result<Tensor> {
    // One by one: equal examples are served by one program, however many there are in a batch.
    samples.iter().try_for_each(|t| realize_all(&[t]))?;
    let Some(first) = samples.first() else {
        return Err(internal("collate", "a batch is empty"));
    };
    let ty = first.node()?.ty.clone();
    let mut bytes = Vec::new();
    for (i, sample) in samples.iter().enumerate() {
        let node = sample.node()?;
        if *node.ty != *ty {
            let message = format!(
                "example 0 of the batch is {ty} and example {i} is {}",
                node.ty
            );
            return Err(Error::new(ErrorKind::Shape, "collate", message)
                .operand(sample.note("example"))
                .hint(
                    "bring the examples to one size, or give the loader a function that joins them",
                ));
        }
        let value = host_value_of(sample)?;
        bytes.reserve_exact(samples.len() * value.len() - bytes.len());
        bytes.extend_from_slice(value.as_bytes());
    }
    joined(samples.len(), &ty, &bytes)
}

/// A batch of `count` examples of type `ty` that lie in `bytes` one after the other.
pub(super) fn joined(count: usize, ty: &TensorType, bytes: &[u8]) -> Result<Tensor> {
    let value = Buffer::from_bytes(bytes)
        .map_err(|e| Error::new(ErrorKind::Memory, "collate", e.to_string()))?;
    let dims = std::iter::once(Dim::constant(count as i64)).chain(ty.dims.iter().cloned());
    Ok(Tensor::leaf(TensorType::new(ty.dtype, dims), value))
}

macro_rules! numbers {
    ($($ty:ty),*) => {$(
        impl Sample for $ty {
            type Batch = Tensor;

            fn collate(samples: Vec<$ty>) -> Result<Tensor> {
                let tensor = Tensor::from_slice(&samples, [samples.len()]);
                tensor.check().map(|()| tensor)
            }
        }
    )*};
}

numbers!(bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

macro_rules! tuples {
    ($($name:ident $part:ident $position:tt),*) => {
        impl<$($name: Batch),*> Batch for ($($name,)*) {
            fn failed(error: Error) -> Self {
                ($($name::failed(error.clone()),)*)
            }
        }

        impl<$($name: Sample),*> Sample for ($($name,)*) {
            type Batch = ($($name::Batch,)*);

            fn collate(samples: Vec<Self>) -> Result<Self::Batch> {
                $(let mut $part = Vec::with_capacity(samples.len());)*
                for sample in samples {
                    $($part.push(sample.$position);)*
                }
                Ok(($($name::collate($part)?,)*))
            }
        }
    };
}

tuples!(A a 0, B b 1);
tuples!(A a 0, B b 1, C c 2);
tuples!(A a 0, B b 1, C c 2, D d 3);

impl<S: Sample, const N: usize> Sample for [S; N] {
    type Batch = [S::Batch; N];

    fn collate(samples: Vec<[S; N]>) -> Result<[S::Batch; N]> {
        let parts = transposed(samples.into_iter().map(Vec::from).collect())?;
        let parts = parts
            .into_iter()
            .map(S::collate)
            .collect::<Result<Vec<_>>>()?;
        let parts = <[S::Batch; N]>::try_from(parts);
        parts.map_err(|_| internal("collate", "parts of a batch are missing"))
    }
}

impl<S: Sample> Sample for Vec<S> {
    type Batch = Vec<S::Batch>;

    fn collate(samples: Vec<Vec<S>>) -> Result<Vec<S::Batch>> {
        transposed(samples)?.into_iter().map(S::collate).collect()
    }
}

/// The first parts of all examples, then the second ones, and so on.
fn transposed<S>(samples: Vec<Vec<S>>) -> Result<Vec<Vec<S>>> {
    let parts = samples.first().map_or(0, Vec::len);
    let mut joined: Vec<Vec<S>> = (0..parts)
        .map(|_| Vec::with_capacity(samples.len()))
        .collect();
    for sample in samples {
        if sample.len() != parts {
            let message = format!("examples have {parts} and {} parts", sample.len());
            return Err(Error::new(ErrorKind::Shape, "collate", message));
        }
        for (part, all) in sample.into_iter().zip(&mut joined) {
            all.push(part);
        }
    }
    Ok(joined)
}

impl<S: Sample> Sample for BTreeMap<String, S> {
    type Batch = BTreeMap<String, S::Batch>;

    fn collate(samples: Vec<BTreeMap<String, S>>) -> Result<Self::Batch> {
        let names = samples.first().into_iter().flat_map(BTreeMap::keys);
        let names: Vec<String> = names.cloned().collect();
        if let Some(other) = samples.iter().find(|s| !s.keys().eq(&names)) {
            let other: Vec<&String> = other.keys().collect();
            let message = format!("examples have parts {names:?} and {other:?}");
            return Err(Error::new(ErrorKind::Shape, "collate", message));
        }
        let values = samples.into_iter().map(|s| s.into_values().collect());
        let parts = transposed(values.collect())?.into_iter().map(S::collate);
        let parts = parts.collect::<Result<Vec<_>>>()?;
        Ok(names.into_iter().zip(parts).collect())
    }
}
