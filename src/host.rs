//! Values crossing between tensors and the program's own memory.

use crate::device::{Device, Places};
use crate::element::Element;
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use crate::tensor::{IntoDims, Tensor};
use lazulite_ir::{Scalar, TensorType};
use lazulite_runtime::Buffer;

impl Tensor {
    /// A tensor holding `data`, row-major, with the given sizes.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from_vec(vec![1, 2, 3, 4, 5, 6], [2, 3]);
    /// assert_eq!(x.dtype()?, DType::I32);
    /// assert_eq!(x.i((1, 2)).item::<i32>()?, 6);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("tensor", "as_tensor", "from_numpy"))]
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, dims: impl IntoDims) -> Tensor {
        Tensor::from_slice(&data, dims).named("from_vec", &[])
    }

    /// A tensor holding a copy of `data`, row-major, with the given sizes.
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], dims: impl IntoDims) -> Tensor {
        match leaf_type::<T>(data.len(), dims) {
            Ok(ty) => match Buffer::from_bytes(T::as_bytes(data)) {
                Ok(buffer) => match Device::here() {
                    here if here.is_cpu() => Tensor::leaf(ty, buffer),
                    here => Tensor::leaf(ty, buffer).to(here),
                },
                Err(e) => Tensor::error(
                    Error::new(ErrorKind::Memory, "from_slice", e.to_string()).at(Place::here()),
                ),
            },
            Err(e) => Tensor::error(e),
        }
    }

    /// A table that belongs to an operation: computed with wherever that is.
    #[track_caller]
    pub(crate) fn table<T: Element>(data: Vec<T>, dims: impl IntoDims) -> Tensor {
        let _here = Device::cpu().use_here();
        Tensor::from_slice(&data, dims).pinned_to(Places::NONE)
    }

    /// A 0-d tensor.
    #[doc(alias("tensor"))]
    #[track_caller]
    pub fn scalar<T: Element>(value: T) -> Tensor {
        Tensor::from_slice(&[value], ())
    }

    /// Computes the value and copies it out, row-major. `T` must be the tensor's own element type;
    /// [`Tensor::cast`] converts.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let x = Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]);
    /// assert_eq!((&x * 2.0).to_vec::<f32>()?, [2.0, 4.0, 6.0, 8.0]);
    /// assert!(x.to_vec::<f64>().is_err());
    /// assert_eq!(x.cast(DType::F64).to_vec::<f64>()?.len(), 4);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("tolist", "numpy", "cpu"))]
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        self.read("to_vec", |bytes| Ok(T::from_bytes(bytes)), Some(T::DTYPE))
    }

    /// Computes the value of a tensor with one element. `T` must be the tensor's own element type.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([1.0f32, 2.0]).sum(..).item::<f32>()?, 3.0);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("to_scalar"))]
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        let place = Place::here();
        let one = |bytes: &[u8]| match T::from_bytes(bytes).as_slice() {
            [value] => Ok(*value),
            values => Err(Error::new(
                ErrorKind::Shape,
                "item",
                format!("the tensor has {} elements, not one", values.len()),
            )
            .at(place)
            .operand(self.note("self"))
            .hint("use to_vec, or reduce or index the tensor to one element first")),
        };
        self.read("item", one, Some(T::DTYPE))
    }

    /// Computes the value and shows `view` its bytes: dense, row-major, native byte order.
    #[track_caller]
    pub fn with_bytes<R>(&self, view: impl FnOnce(&[u8]) -> R) -> Result<R> {
        self.read("with_bytes", |bytes| Ok(view(bytes)), None)
    }

    /// All elements as scalars, for display and tests.
    #[track_caller]
    pub(crate) fn to_scalars(&self) -> Result<Vec<Scalar>> {
        let dtype = self.dtype()?;
        let decode = |bytes: &[u8]| {
            let element = |chunk: &[u8]| {
                let mut bits = [0u8; 16];
                bits[..chunk.len()].copy_from_slice(chunk);
                Scalar::from_bits(dtype, u128::from_le_bytes(bits))
            };
            Ok(bytes.chunks_exact(dtype.size()).map(element).collect())
        };
        self.read("to_scalars", decode, None)
    }

    #[track_caller]
    fn read<R>(
        &self,
        op: &'static str,
        decode: impl FnOnce(&[u8]) -> Result<R>,
        dtype: Option<lazulite_ir::DType>,
    ) -> Result<R> {
        let node = self.node()?;
        if let Some(wanted) = dtype
            && wanted != node.ty.dtype
        {
            let message = format!(
                "the tensor holds {}, it cannot be read as {wanted}",
                node.ty.dtype
            );
            return Err(Error::new(ErrorKind::DType, op, message)
                .at(Place::here())
                .operand(self.note("self"))
                .hint(format!("convert it first: x.cast(DType::{wanted:?})")));
        }
        crate::tensor::realize_all(&[self])?;
        match node.value() {
            Some(value) => decode(value.to_host()?.as_bytes()),
            None => Err(crate::tensor::internal(
                op,
                "a realised tensor has no value",
            )),
        }
    }
}

#[track_caller]
fn leaf_type<T: Element>(len: usize, dims: impl IntoDims) -> Result<TensorType> {
    let place = Place::here();
    let dims = dims.into_dims().map_err(|e| e.at(place))?;
    let ty = TensorType {
        dtype: T::DTYPE,
        dims,
    };
    let error = |message: String| Error::new(ErrorKind::Shape, "from_slice", message).at(place);
    let Some(sizes) = ty.const_dims() else {
        return Err(error(
            "sizes of data must be known, non-negative numbers".into(),
        ));
    };
    let count = sizes.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    if count != Some(len) {
        let wanted = count.map_or_else(|| "too many".into(), |c| c.to_string());
        return Err(error(format!(
            "{len} elements do not fill dims {sizes:?}, which hold {wanted}"
        )));
    }
    Ok(ty)
}
