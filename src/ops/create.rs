//! Tensors from nothing but sizes and numbers. They stay lazy and cost no memory until used.

use crate::error::{Error, ErrorKind};
use crate::location::Place;
use crate::tensor::{Dim, IntoDims, Number, Tensor, constant, primitive, unfit};
use lazulite_ir::{DType, Op, Scalar, TensorType};

impl Tensor {
    /// All zeros, f32.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::zeros((2, 3)).to_vec::<f32>()?, [0.0; 6]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn zeros(dims: impl IntoDims) -> Tensor {
        Tensor::full_of(dims, 0, DType::F32).named("zeros", &[])
    }

    /// All ones, f32.
    #[track_caller]
    pub fn ones(dims: impl IntoDims) -> Tensor {
        Tensor::full_of(dims, 1, DType::F32).named("ones", &[])
    }

    /// All `value`, of the type a tensor of just that number has: f32, i64, bool or c64.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::full([2], 7).to_vec::<i64>()?, [7, 7]);
    /// assert_eq!(Tensor::full([2], 0.5).to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn full(dims: impl IntoDims, value: impl Into<Number>) -> Tensor {
        let value = value.into();
        Tensor::full_of(dims, value, value.default_dtype())
    }

    /// All `value`, of the given element type, which must be able to hold it.
    #[track_caller]
    pub fn full_of(dims: impl IntoDims, value: impl Into<Number>, dtype: DType) -> Tensor {
        let constant = match value.into().fitting(dtype) {
            Ok(value) => constant(value),
            Err(message) => return Tensor::error(unfit("full", message)),
        };
        match dims.into_dims() {
            Ok(dims) if dims.is_empty() => constant,
            Ok(dims) => constant.expand_to("full", dims),
            Err(e) => Tensor::error(e.at(Place::here())),
        }
    }

    /// As [`Tensor::zeros`]. PyTorch leaves open what such a tensor holds; here all tensors hold something, and zeros
    /// cost nothing.
    #[track_caller]
    pub fn empty(dims: impl IntoDims) -> Tensor {
        Tensor::full_of(dims, 0, DType::F32).named("empty", &[])
    }

    /// As [`Tensor::empty`], with an element type.
    #[track_caller]
    pub fn empty_of(dims: impl IntoDims, dtype: DType) -> Tensor {
        Tensor::full_of(dims, 0, dtype).named("empty", &[])
    }

    /// As [`Tensor::empty`], with this tensor's type and sizes.
    #[track_caller]
    pub fn empty_like(&self) -> Tensor {
        self.full_like(0).named("empty_like", &[self])
    }

    /// Zeros of a type.
    #[track_caller]
    pub(crate) fn zeros_of(ty: &TensorType) -> Tensor {
        constant(Scalar::from_i64(ty.dtype, 0)).expand_to("zeros", ty.dims.clone())
    }

    /// Zeros with this tensor's type and sizes.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::from([1u8, 2]).zeros_like().to_vec::<u8>()?, [0, 0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("new_zeros"))]
    #[track_caller]
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0).named("zeros_like", &[self])
    }

    /// Ones with this tensor's type and sizes.
    #[track_caller]
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1).named("ones_like", &[self])
    }

    /// `value` everywhere, with this tensor's type and sizes.
    #[track_caller]
    pub fn full_like(&self, value: impl Into<Number>) -> Tensor {
        match self.node() {
            Ok(node) => match value.into().fitting(node.ty.dtype) {
                Ok(value) => {
                    let all = constant(value).expand_to("full_like", node.ty.dims.clone());
                    all.pinned_to(node.traits.places)
                }
                Err(message) => Tensor::error(unfit("full_like", message)),
            },
            Err(e) => Tensor::error(e),
        }
    }

    /// The numbers `start, start + step, ...` below `end` (above it for a negative step); i64 if all
    /// three are integers, else f32.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::arange(2, 8, 3).to_vec::<i64>()?, [2, 5]);
    /// assert_eq!(Tensor::arange(1.0, 0.0, -0.5).to_vec::<f32>()?, [1.0, 0.5]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn arange(
        start: impl Into<Number>,
        end: impl Into<Number>,
        step: impl Into<Number>,
    ) -> Tensor {
        let (start, end, step) = (start.into(), end.into(), step.into());
        let count = match (start, end, step) {
            (Number::Int(a), Number::Int(b), Number::Int(s)) => integer_count(a, b, s),
            _ => float_count(start, end, step),
        };
        let Some(count) = count else {
            let message = format!("no numbers lead from {start} to {end} in steps of {step}");
            return Tensor::error(
                Error::new(ErrorKind::Argument, "arange", message)
                    .at(Place::here())
                    .hint("the step must be finite, not zero, and lead from start towards end"),
            );
        };
        let index = Tensor::iota(count);
        let numbers = match (start, step) {
            (Number::Int(start), Number::Int(step)) if matches!(end, Number::Int(_)) => {
                index.mul(step).add(start)
            }
            // PyTorch computes in f64 and rounds once.
            _ => index
                .cast(DType::F64)
                .mul(start_as_f64(step))
                .add(start_as_f64(start))
                .cast(DType::F32),
        };
        numbers.named("arange", &[])
    }

    /// As [`Tensor::arange`], of the given element type.
    #[track_caller]
    pub fn arange_of(
        start: impl Into<Number>,
        end: impl Into<Number>,
        step: impl Into<Number>,
        dtype: DType,
    ) -> Tensor {
        let (start, end, step) = (start.into(), end.into(), step.into());
        let integers = |n: Number| match n {
            Number::Bool(v) => Number::Int(v.into()),
            other => other,
        };
        Tensor::arange(integers(start), integers(end), integers(step)).cast(dtype)
    }

    /// The integers from 0 up to `len`, which may be an unknown size; i64.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::iota(3).to_vec::<i64>()?, [0, 1, 2]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("arange", "range"))]
    #[track_caller]
    pub fn iota(len: impl Into<Dim>) -> Tensor {
        match len.into().0 {
            Ok(len) => primitive(
                "iota",
                Op::Iota {
                    len,
                    dtype: DType::I64,
                },
                &[],
            ),
            Err(e) => Tensor::error(e.at(Place::here())),
        }
    }

    /// A size as a 0-d i64 tensor.
    #[track_caller]
    pub fn from_dim(dim: impl Into<Dim>) -> Tensor {
        match dim.into().0 {
            Ok(value) => primitive(
                "from_dim",
                Op::Size {
                    value,
                    dtype: DType::I64,
                },
                &[],
            ),
            Err(e) => Tensor::error(e.at(Place::here())),
        }
    }

    /// The identity matrix with `n` rows, f32.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::eye(2).to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[doc(alias("identity"))]
    #[track_caller]
    pub fn eye(n: impl Into<Dim>) -> Tensor {
        let n = n.into();
        Tensor::eye_of(n.clone(), n, DType::F32)
    }

    /// Ones on the diagonal of a matrix of the given sizes and element type.
    #[track_caller]
    pub fn eye_of(rows: impl Into<Dim>, columns: impl Into<Dim>, dtype: DType) -> Tensor {
        let (rows, columns) = (Tensor::iota(rows), Tensor::iota(columns));
        let diagonal = rows.unsqueeze(1).eq(columns.unsqueeze(0));
        diagonal.cast(dtype).named("eye", &[])
    }

    /// `count` numbers evenly spaced from `start` to `end`, both included; f32.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 3).to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn linspace(start: f64, end: f64, count: usize) -> Tensor {
        Tensor::linspace_of(start, end, count, DType::F32)
    }

    /// As [`Tensor::linspace`], of the given element type.
    #[track_caller]
    pub fn linspace_of(start: f64, end: f64, count: usize, dtype: DType) -> Tensor {
        let index = Tensor::iota(count).cast(DType::F64);
        let last = count.saturating_sub(1);
        let step = if last == 0 {
            0.0
        } else {
            (end - start) / last as f64
        };
        // From the nearer end, so that both ends come out exactly.
        let from_start = index.mul(step).add(start);
        let from_end = index.mul(-1.0).add(last as f64).mul(-step).add(end);
        let near_start = index.lt((count / 2).max(1));
        let all = near_start.where_(from_start, from_end);
        all.cast(dtype).named("linspace", &[])
    }

    /// `count` powers of `base` with exponents evenly spaced from `start` to `end`.
    #[track_caller]
    pub fn logspace(start: f64, end: f64, count: usize, base: f64, dtype: DType) -> Tensor {
        let exponents = Tensor::linspace_of(start, end, count, DType::F64);
        super::arithmetic::pow(base.into(), exponents.into()).cast(dtype)
    }
}

fn start_as_f64(number: Number) -> f64 {
    number.scalar(DType::F64).as_f64()
}

fn integer_count(start: i64, end: i64, step: i64) -> Option<usize> {
    let distance = i128::from(end) - i128::from(start);
    let step = i128::from(step);
    if step == 0 || (distance != 0 && (distance > 0) != (step > 0)) {
        return None;
    }
    // Rounded up.
    usize::try_from((distance + step - step.signum()) / step).ok()
}

fn float_count(start: Number, end: Number, step: Number) -> Option<usize> {
    let [start, end, step] = [start, end, step].map(start_as_f64);
    let count = ((end - start) / step).ceil();
    (step != 0.0 && (0.0..1e18).contains(&count)).then_some(count as usize)
}
