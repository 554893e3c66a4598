//! What captured functions may return.

use crate::tensor::Tensor;

/// What a captured function may return.
pub trait Outputs: Sized {
    /// The results in order.
    fn into_tensors(self) -> Vec<Tensor>;
    /// Puts replayed results, as many as there were, into the same form.
    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self>;
}

impl Outputs for Tensor {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self]
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        tensors.next()
    }
}

impl Outputs for Vec<Tensor> {
    fn into_tensors(self) -> Vec<Tensor> {
        self
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Some(tensors.collect())
    }
}

impl<const M: usize> Outputs for [Tensor; M] {
    fn into_tensors(self) -> Vec<Tensor> {
        self.into()
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        tensors.take(M).collect::<Vec<_>>().try_into().ok()
    }
}

impl Outputs for (Tensor, Tensor) {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Some((tensors.next()?, tensors.next()?))
    }
}

impl Outputs for (Tensor, Tensor, Tensor) {
    fn into_tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1, self.2]
    }

    fn from_tensors(tensors: &mut dyn Iterator<Item = Tensor>) -> Option<Self> {
        Some((tensors.next()?, tensors.next()?, tensors.next()?))
    }
}
