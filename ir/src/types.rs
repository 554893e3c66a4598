//! Tensor types: an element type and symbolic dimensions.

use crate::{DType, Dim};
use smallvec::SmallVec;
use std::fmt;
use std::sync::Arc;

/// The dimensions of a tensor, outermost first.
pub type Dims = SmallVec<[Dim; 4]>;

/// Element type and dimensions of one tensor.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first; none for a scalar.
    pub dims: Dims,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, dims: impl IntoIterator<Item = Dim>) -> TensorType {
        TensorType {
            dtype,
            dims: dims.into_iter().collect(),
        }
    }

    /// A 0-d type.
    pub fn scalar(dtype: DType) -> TensorType {
        TensorType {
            dtype,
            dims: Dims::new(),
        }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The dimensions as numbers, when all are constant.
    pub fn const_dims(&self) -> Option<SmallVec<[usize; 4]>> {
        self.dims
            .iter()
            .map(|d| d.as_const().and_then(|c| usize::try_from(c).ok()))
            .collect()
    }
}

/// The type of a node's value: one tensor, or several for operations with several results (which
/// `Get` takes apart).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// One tensor.
    Tensor(TensorType),
    /// Several tensors.
    Tuple(Arc<[TensorType]>),
}

impl Type {
    /// The tensor type, when this is one tensor.
    pub fn as_tensor(&self) -> Option<&TensorType> {
        match self {
            Type::Tensor(t) => Some(t),
            Type::Tuple(_) => None,
        }
    }
}

/// As in text: `f32[4, n]`.
impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        for (i, d) in self.dims.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{d}")?;
        }
        f.write_str("]")
    }
}

/// As in text: `f32[4, n]`, or `(f32[4, n], i64[])`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = match self {
            Type::Tensor(t) => return t.fmt(f),
            Type::Tuple(types) => types,
        };
        f.write_str("(")?;
        for (i, t) in types.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{t}")?;
        }
        f.write_str(")")
    }
}
